/*
 * Accept and Prefer.
 *
 * Both are lists: elements between commas, each with parameters after
 * semicolons, commas and semicolons within quotes not counting.  Values come
 * from clients of every age; an element that makes no sense is passed over,
 * not an error.
 *
 * A media type that the client names beats any wildcard, whatever its q: a
 * script that lists JSON, plain text and then everything means JSON.  HTML, as
 * a browser's address bar asks for it, is not ours to serve and taken for the
 * wildcard that any browser adds to it.
 */


#include <string.h>

#include <ngx_http_rt_accept.h>


/* how closely a media range names a type; less is less */
#define NGX_HTTP_RT_ACCEPT_NONE     0
#define NGX_HTTP_RT_ACCEPT_ANY      1
#define NGX_HTTP_RT_ACCEPT_PARTIAL  2
#define NGX_HTTP_RT_ACCEPT_EXACT    3

#define NGX_HTTP_RT_ACCEPT_Q_MAX    1000


typedef struct {
    unsigned  level;
    unsigned  q;                     /* in thousandths */
    size_t    order;                 /* of the element in the client's list */
} ngx_http_rt_accept_rank_t;


static void ngx_http_rt_accept_rank(const u_char *p, const u_char *last,
    const char *type, ngx_http_rt_accept_rank_t *rank);
static unsigned ngx_http_rt_accept_level(const u_char *p, const u_char *last,
    const char *type);
static unsigned ngx_http_rt_accept_q(const u_char *p, const u_char *last);
static int ngx_http_rt_accept_weight(const u_char *p, const u_char *last,
    unsigned *q);
static int ngx_http_rt_prefer_seconds(const u_char *p, const u_char *last,
    unsigned *seconds);
static const u_char *ngx_http_rt_accept_until(const u_char *p,
    const u_char *last, u_char stop);
static const u_char *ngx_http_rt_accept_trim(const u_char **p,
    const u_char *last);
static int ngx_http_rt_accept_equal(const u_char *p, const u_char *last,
    const char *s, size_t len);


int
ngx_http_rt_accept_choose(const u_char *p, size_t len,
    const char *const *types, size_t n)
{
    int                        best;
    size_t                     i;
    const u_char              *last;
    ngx_http_rt_accept_rank_t  rank, top;

    while (len && (*p == ' ' || *p == '\t' || *p == ',')) {
        p++;
        len--;
    }

    if (len == 0) {
        return n ? 0 : -1;
    }

    last = p + len;

    best = -1;
    memset(&top, 0, sizeof(ngx_http_rt_accept_rank_t));

    for (i = 0; i < n; i++) {
        ngx_http_rt_accept_rank(p, last, types[i], &rank);

        if (rank.q == 0) {
            continue;
        }

        if (rank.level == NGX_HTTP_RT_ACCEPT_EXACT) {

            if (top.level == NGX_HTTP_RT_ACCEPT_EXACT
                && (rank.q < top.q
                    || (rank.q == top.q && rank.order > top.order)))
            {
                continue;
            }

        } else if (top.level == NGX_HTTP_RT_ACCEPT_EXACT
                   || rank.q <= top.q)
        {
            continue;
        }

        best = (int) i;
        top = rank;
    }

    return best;
}


/* the element that names the type most closely decides, even with a q of 0 */

static void
ngx_http_rt_accept_rank(const u_char *p, const u_char *last, const char *type,
    ngx_http_rt_accept_rank_t *rank)
{
    size_t         order;
    unsigned       level, q;
    const u_char  *end, *params, *stop;

    memset(rank, 0, sizeof(ngx_http_rt_accept_rank_t));

    for (order = 0; p < last; order++) {
        end = ngx_http_rt_accept_until(p, last, ',');
        params = ngx_http_rt_accept_until(p, end, ';');
        stop = ngx_http_rt_accept_trim(&p, params);

        level = ngx_http_rt_accept_level(p, stop, type);

        if (level && level >= rank->level) {
            q = ngx_http_rt_accept_q(params, end);

            if (level > rank->level || q > rank->q) {
                rank->level = level;
                rank->q = q;
                rank->order = order;
            }
        }

        p = (end < last) ? end + 1 : last;
    }
}


static unsigned
ngx_http_rt_accept_level(const u_char *p, const u_char *last,
    const char *type)
{
    size_t  len;

    /* a lone star is what old Java clients send */

    if (ngx_http_rt_accept_equal(p, last, "*/*", 3)
        || ngx_http_rt_accept_equal(p, last, "*", 1)
        || ngx_http_rt_accept_equal(p, last, "text/html", 9)
        || ngx_http_rt_accept_equal(p, last, "application/xhtml+xml", 21))
    {
        return NGX_HTTP_RT_ACCEPT_ANY;
    }

    if (type == NULL) {
        return NGX_HTTP_RT_ACCEPT_NONE;
    }

    if (ngx_http_rt_accept_equal(p, last, type, strlen(type))) {
        return NGX_HTTP_RT_ACCEPT_EXACT;
    }

    len = last - p;

    if (len > 2 && p[len - 2] == '/' && p[len - 1] == '*'
        && strlen(type) >= len
        && ngx_http_rt_accept_equal(p, last - 1, type, len - 1))
    {
        return NGX_HTTP_RT_ACCEPT_PARTIAL;
    }

    return NGX_HTTP_RT_ACCEPT_NONE;
}


/* parameters begin with their semicolon; a q that is none is passed over */

static unsigned
ngx_http_rt_accept_q(const u_char *p, const u_char *last)
{
    unsigned       q;
    const u_char  *end, *value, *stop;

    for ( /* void */ ; p < last; p = end) {
        p++;
        end = ngx_http_rt_accept_until(p, last, ';');
        value = ngx_http_rt_accept_until(p, end, '=');
        stop = ngx_http_rt_accept_trim(&p, value);

        if (value == end || !ngx_http_rt_accept_equal(p, stop, "q", 1)) {
            continue;
        }

        value++;
        stop = ngx_http_rt_accept_trim(&value, end);

        if (ngx_http_rt_accept_weight(value, stop, &q) == 0) {
            return q;
        }
    }

    return NGX_HTTP_RT_ACCEPT_Q_MAX;
}


/* "0.5", "1", ".5"; what is beyond three digits or above 1 is cut off */

static int
ngx_http_rt_accept_weight(const u_char *p, const u_char *last, unsigned *q)
{
    unsigned       n, unit;
    const u_char  *start;

    n = 0;

    for (start = p; p < last && *p >= '0' && *p <= '9'; p++) {

        if (*p != '0') {
            n = NGX_HTTP_RT_ACCEPT_Q_MAX;
        }
    }

    if (p < last && *p == '.') {
        start++;
        unit = NGX_HTTP_RT_ACCEPT_Q_MAX / 10;

        for (p++; p < last && *p >= '0' && *p <= '9'; p++) {
            n += unit * (*p - '0');
            unit /= 10;
        }
    }

    if (p < last || p <= start) {
        return -1;
    }

    *q = (n < NGX_HTTP_RT_ACCEPT_Q_MAX) ? n : NGX_HTTP_RT_ACCEPT_Q_MAX;

    return 0;
}


int
ngx_http_rt_prefer_wait(const u_char *p, size_t len, unsigned *seconds)
{
    const u_char  *last, *end, *params, *value, *stop;

    if (len == 0) {
        return 0;
    }

    last = p + len;

    while (p < last) {
        end = ngx_http_rt_accept_until(p, last, ',');
        params = ngx_http_rt_accept_until(p, end, ';');
        value = ngx_http_rt_accept_until(p, params, '=');
        stop = ngx_http_rt_accept_trim(&p, value);

        if (ngx_http_rt_accept_equal(p, stop, "wait", 4)) {

            /* given twice, the first counts (RFC 7240, 2) */

            if (value == params) {
                return 0;
            }

            value++;
            stop = ngx_http_rt_accept_trim(&value, params);

            return ngx_http_rt_prefer_seconds(value, stop, seconds);
        }

        p = (end < last) ? end + 1 : last;
    }

    return 0;
}


static int
ngx_http_rt_prefer_seconds(const u_char *p, const u_char *last,
    unsigned *seconds)
{
    unsigned  n;

    if (last - p > 2 && *p == '"' && last[-1] == '"') {
        p++;
        last--;
    }

    if (p == last) {
        return 0;
    }

    for (n = 0; p < last; p++) {

        if (*p < '0' || *p > '9') {
            return 0;
        }

        n = n * 10 + (*p - '0');

        if (n > NGX_HTTP_RT_PREFER_WAIT_MAX) {
            n = NGX_HTTP_RT_PREFER_WAIT_MAX;
        }
    }

    *seconds = n;

    return 1;
}


/* the first stop character that is not quoted, or last */

static const u_char *
ngx_http_rt_accept_until(const u_char *p, const u_char *last, u_char stop)
{
    int  quoted;

    quoted = 0;

    for ( /* void */ ; p < last; p++) {

        if (quoted) {

            if (*p == '\\' && last - p > 1) {
                p++;

            } else if (*p == '"') {
                quoted = 0;
            }

        } else if (*p == '"') {
            quoted = 1;

        } else if (*p == stop) {
            break;
        }
    }

    return p;
}


/* moves p over leading blanks and returns the end without trailing ones */

static const u_char *
ngx_http_rt_accept_trim(const u_char **p, const u_char *last)
{
    while (*p < last && (**p == ' ' || **p == '\t')) {
        (*p)++;
    }

    while (last > *p && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    return last;
}


/* s is lower-case */

static int
ngx_http_rt_accept_equal(const u_char *p, const u_char *last, const char *s,
    size_t len)
{
    u_char  ch;
    size_t  i;

    if ((size_t) (last - p) != len) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        ch = p[i];

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        if (ch != (u_char) s[i]) {
            return 0;
        }
    }

    return 1;
}
