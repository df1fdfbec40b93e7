/*
 * A message's data as a JSON value.  What publishers send is only said to be
 * JSON, so it is checked while it is copied: nothing that a publisher sends may
 * end the object that it stands in, or its line.
 *
 * Yajl is no judge of that: behind the value it takes a token that has no end,
 * such as the quote in '1 "x'.
 */


#include <string.h>
#include <strings.h>

#include <ngx_http_rt_json.h>
#include <ngx_http_rt_json_value.h>


#define ngx_http_rt_json_value_digit(ch)  ((ch) >= '0' && (ch) <= '9')


typedef struct {
    const u_char    *s;
    const u_char    *last;
    u_char          *p;
    unsigned         depth;
    u_char           close[NGX_HTTP_RT_JSON_VALUE_DEPTH];
} ngx_http_rt_json_value_t;


static int ngx_http_rt_json_value_type(const u_char *type, size_t len);
static int ngx_http_rt_json_value_one(ngx_http_rt_json_value_t *v);
static int ngx_http_rt_json_value_open(ngx_http_rt_json_value_t *v,
    u_char close);
static int ngx_http_rt_json_value_next(ngx_http_rt_json_value_t *v);
static int ngx_http_rt_json_value_name(ngx_http_rt_json_value_t *v);
static int ngx_http_rt_json_value_peek(ngx_http_rt_json_value_t *v);
static int ngx_http_rt_json_value_string(ngx_http_rt_json_value_t *v);
static const u_char *ngx_http_rt_json_value_escape(const u_char *s,
    const u_char *last);
static int ngx_http_rt_json_value_number(ngx_http_rt_json_value_t *v);
static const u_char *ngx_http_rt_json_value_digits(const u_char *s,
    const u_char *last);
static int ngx_http_rt_json_value_word(ngx_http_rt_json_value_t *v,
    const char *word);
static int ngx_http_rt_json_value_put(ngx_http_rt_json_value_t *v,
    const u_char *end);


u_char *
ngx_http_rt_json_value_write(u_char *p, const ngx_http_rt_message_t *m)
{
    u_char  *head, *end;

    if (m->binary || !ngx_http_rt_json_value_type(m->type, m->type_len)) {
        return ngx_http_rt_json_write(p, m);
    }

    head = ngx_http_rt_json_head(p, m);

    memcpy(head, ",\"json\":", 8);

    end = ngx_http_rt_json_value_copy(head + 8, m->data, m->data_len);

    if (end == NULL) {
        return ngx_http_rt_json_write(p, m);
    }

    *end++ = '}';

    return end;
}


/* application/json, or a suffix +json (RFC 6839, 3.1), before parameters */

static int
ngx_http_rt_json_value_type(const u_char *type, size_t len)
{
    const u_char  *end;

    if (len == 0) {
        return 0;
    }

    end = memchr(type, ';', len);

    if (end) {
        len = end - type;
    }

    while (len && (type[len - 1] == ' ' || type[len - 1] == '\t')) {
        len--;
    }

    if (len == 16 && strncasecmp((char *) type, "application/json", 16) == 0) {
        return 1;
    }

    return len > 5
           && strncasecmp((char *) type + len - 5, "+json", 5) == 0;
}


u_char *
ngx_http_rt_json_value_copy(u_char *p, const u_char *s, size_t len)
{
    ngx_http_rt_json_value_t  v;

    if (len == 0) {
        return NULL;
    }

    v.s = s;
    v.last = s + len;
    v.p = p;
    v.depth = 0;

    do {
        if (ngx_http_rt_json_value_one(&v) != 0) {
            return NULL;
        }
    } while (ngx_http_rt_json_value_next(&v));

    return (ngx_http_rt_json_value_peek(&v) < 0 && v.depth == 0) ? v.p : NULL;
}


/* a scalar, or the way down to the first one of a container; empty ones, too */

static int
ngx_http_rt_json_value_one(ngx_http_rt_json_value_t *v)
{
    for ( ;; ) {

        switch (ngx_http_rt_json_value_peek(v)) {

        case '{':
            if (ngx_http_rt_json_value_open(v, '}') != 0) {
                return -1;
            }

            if (ngx_http_rt_json_value_peek(v) == '}') {
                return 0;
            }

            if (ngx_http_rt_json_value_name(v) != 0) {
                return -1;
            }

            break;

        case '[':
            if (ngx_http_rt_json_value_open(v, ']') != 0) {
                return -1;
            }

            if (ngx_http_rt_json_value_peek(v) == ']') {
                return 0;
            }

            break;

        case '"':
            return ngx_http_rt_json_value_string(v);

        case 't':
            return ngx_http_rt_json_value_word(v, "true");

        case 'f':
            return ngx_http_rt_json_value_word(v, "false");

        case 'n':
            return ngx_http_rt_json_value_word(v, "null");

        default:
            return ngx_http_rt_json_value_number(v);
        }
    }
}


static int
ngx_http_rt_json_value_open(ngx_http_rt_json_value_t *v, u_char close)
{
    if (v->depth == NGX_HTTP_RT_JSON_VALUE_DEPTH) {
        return -1;
    }

    v->close[v->depth++] = close;

    return ngx_http_rt_json_value_put(v, v->s + 1);
}


/* behind a value: 1: another one is to come; what is wrong is left unread */

static int
ngx_http_rt_json_value_next(ngx_http_rt_json_value_t *v)
{
    int  ch;

    while (v->depth) {
        ch = ngx_http_rt_json_value_peek(v);

        if (ch == v->close[v->depth - 1]) {
            v->depth--;
            ngx_http_rt_json_value_put(v, v->s + 1);
            continue;
        }

        if (ch != ',') {
            return 0;
        }

        ngx_http_rt_json_value_put(v, v->s + 1);

        return v->close[v->depth - 1] == ']'
               || ngx_http_rt_json_value_name(v) == 0;
    }

    return 0;
}


static int
ngx_http_rt_json_value_name(ngx_http_rt_json_value_t *v)
{
    if (ngx_http_rt_json_value_peek(v) != '"'
        || ngx_http_rt_json_value_string(v) != 0
        || ngx_http_rt_json_value_peek(v) != ':')
    {
        return -1;
    }

    return ngx_http_rt_json_value_put(v, v->s + 1);
}


/* behind blanks, which are copied; -1: the end */

static int
ngx_http_rt_json_value_peek(ngx_http_rt_json_value_t *v)
{
    u_char  ch;

    while (v->s < v->last) {
        ch = *v->s;

        if (ch == '\n' || ch == '\r') {
            ch = ' ';
        }

        if (ch != ' ' && ch != '\t') {
            return ch;
        }

        *v->p++ = ch;
        v->s++;
    }

    return -1;
}


/* the data is UTF-8 already */

static int
ngx_http_rt_json_value_string(ngx_http_rt_json_value_t *v)
{
    const u_char  *s;

    for (s = v->s + 1; s < v->last; s++) {

        if (*s == '"') {
            return ngx_http_rt_json_value_put(v, s + 1);
        }

        if (*s < 0x20) {
            return -1;
        }

        if (*s == '\\') {
            s = ngx_http_rt_json_value_escape(s + 1, v->last);
            if (s == NULL) {
                return -1;
            }
        }
    }

    return -1;
}


/* its last byte */

static const u_char *
ngx_http_rt_json_value_escape(const u_char *s, const u_char *last)
{
    int  i;

    if (s == last || *s == '\0') {
        return NULL;
    }

    if (*s != 'u') {
        return strchr("\"\\/bfnrt", *s) ? s : NULL;
    }

    for (i = 0; i < 4; i++) {

        if (++s == last || *s == '\0'
            || strchr("0123456789abcdefABCDEF", *s) == NULL)
        {
            return NULL;
        }
    }

    return s;
}


static int
ngx_http_rt_json_value_number(ngx_http_rt_json_value_t *v)
{
    const u_char  *s, *first;

    s = v->s;

    if (s < v->last && *s == '-') {
        s++;
    }

    first = s;
    s = ngx_http_rt_json_value_digits(s, v->last);

    if (s == NULL || (*first == '0' && s - first > 1)) {
        return -1;
    }

    if (s < v->last && *s == '.') {
        s = ngx_http_rt_json_value_digits(s + 1, v->last);
        if (s == NULL) {
            return -1;
        }
    }

    if (s < v->last && (*s == 'e' || *s == 'E')) {
        s++;

        if (s < v->last && (*s == '+' || *s == '-')) {
            s++;
        }

        s = ngx_http_rt_json_value_digits(s, v->last);
        if (s == NULL) {
            return -1;
        }
    }

    return ngx_http_rt_json_value_put(v, s);
}


/* behind at least one, or NULL */

static const u_char *
ngx_http_rt_json_value_digits(const u_char *s, const u_char *last)
{
    const u_char  *first;

    for (first = s; s < last && ngx_http_rt_json_value_digit(*s); s++) {
        /* void */
    }

    return (s > first) ? s : NULL;
}


static int
ngx_http_rt_json_value_word(ngx_http_rt_json_value_t *v, const char *word)
{
    size_t  len;

    len = strlen(word);

    if ((size_t) (v->last - v->s) < len || memcmp(v->s, word, len) != 0) {
        return -1;
    }

    return ngx_http_rt_json_value_put(v, v->s + len);
}


static int
ngx_http_rt_json_value_put(ngx_http_rt_json_value_t *v, const u_char *end)
{
    size_t  len;

    len = end - v->s;

    memcpy(v->p, v->s, len);

    v->p += len;
    v->s = end;

    return 0;
}
