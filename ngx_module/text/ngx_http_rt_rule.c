/*
 * HTTP's rules for topics, patterns, event names and media types.  All of them
 * are checked once, where they come in.
 */


#include <string.h>
#include <strings.h>

#include <ngx_http_rt_pattern.h>
#include <ngx_http_rt_rule.h>
#include <ngx_http_rt_utf8.h>


static const char *ngx_http_rt_rule_scan(const u_char *p, size_t len,
    unsigned *wild);
static const char *ngx_http_rt_rule_segments(const u_char *p,
    const u_char *last, unsigned *wild);
static int ngx_http_rt_rule_is_control(const u_char *p);
static size_t ngx_http_rt_rule_star(const u_char *start, const u_char *p,
    const u_char *last);
static int ngx_http_rt_rule_ends(const char *p, size_t len, const char *end);


const char *
ngx_http_rt_rule_topic(const u_char *p, size_t len)
{
    return ngx_http_rt_rule_scan(p, len, NULL);
}


const char *
ngx_http_rt_rule_pattern(const u_char *p, size_t len, unsigned *wild)
{
    unsigned     stars;
    const char  *reason;

    stars = 0;
    reason = ngx_http_rt_rule_scan(p, len, &stars);

    if (reason == NULL) {
        *wild = stars;
    }

    return reason;
}


/* stars are allowed if there is where to report them */

static const char *
ngx_http_rt_rule_scan(const u_char *p, size_t len, unsigned *wild)
{
    if (len == 0) {
        return "topic is empty";
    }

    if (len > NGX_HTTP_RT_TOPIC_MAX) {
        return "topic is longer than 255 bytes";
    }

    if (ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, p, len)
        != NGX_HTTP_RT_UTF8_ACCEPT)
    {
        return "topic is not valid UTF-8";
    }

    return ngx_http_rt_rule_segments(p, p + len, wild);
}


/* valid UTF-8, so that a first byte of two is never the last */

static const char *
ngx_http_rt_rule_segments(const u_char *p, const u_char *last, unsigned *wild)
{
    size_t         stars;
    const u_char  *start;

    for (start = p; p < last; p++) {

        if (ngx_http_rt_rule_is_control(p)) {
            return "topic has a control character";
        }

        if (*p == ',') {
            return "topic has a comma";
        }

        if (*p == '/') {

            if (p == start) {
                return "topic has an empty segment";
            }

            start = p + 1;
        }

        if (*p != '*') {
            continue;
        }

        if (wild == NULL) {
            return "topic has a star";
        }

        stars = ngx_http_rt_rule_star(start, p, last);

        if (stars == 0) {
            return "topic has a star in the wrong place";
        }

        *wild = 1;
        p += stars - 1;
    }

    return (p == start) ? "topic has an empty segment" : NULL;
}


/* C0, DEL, and C1, that is U+0080 to U+009F or C2 80 to C2 9F */

static int
ngx_http_rt_rule_is_control(const u_char *p)
{
    return *p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0);
}


/* how many stars are well placed at p in the segment from start, 0 if none */

static size_t
ngx_http_rt_rule_star(const u_char *start, const u_char *p,
    const u_char *last)
{
    if (last - p == 1 || p[1] == '/') {
        return 1;
    }

    if (p == start && last - p == 2 && p[1] == '*') {
        return 2;
    }

    return 0;
}


const char *
ngx_http_rt_rule_event(const u_char *p, size_t len)
{
    if (len > NGX_HTTP_RT_EVENT_MAX) {
        return "event name is longer than 128 bytes";
    }

    if (len >= 9 && memcmp(p, "realtime:", 9) == 0) {
        return "event names beginning with \"realtime:\" are reserved";
    }

    if (!ngx_http_rt_rule_plain(p, len)) {
        return "event name is not valid UTF-8 or has a control character";
    }

    return NULL;
}


const char *
ngx_http_rt_rule_type(const u_char *p, size_t len)
{
    if (len > NGX_HTTP_RT_TYPE_MAX) {
        return "content type is longer than 255 bytes";
    }

    if (!ngx_http_rt_rule_plain(p, len)) {
        return "content type is not valid UTF-8 or has a control character";
    }

    return NULL;
}


int
ngx_http_rt_rule_plain(const u_char *p, size_t len)
{
    size_t  i;

    if (ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, p, len)
        != NGX_HTTP_RT_UTF8_ACCEPT)
    {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (ngx_http_rt_rule_is_control(&p[i])) {
            return 0;
        }
    }

    return 1;
}


int
ngx_http_rt_rule_is_text(const u_char *type, size_t len)
{
    size_t       i;
    const char  *p;

    static const char  *types[] = {
        "application/json",
        "application/x-ndjson",
        "application/xml",
        "application/javascript",
        "application/ecmascript",
        "application/x-www-form-urlencoded"
    };

    p = (const char *) type;

    /* without parameters */

    for (i = 0; i < len && p[i] != ';' && p[i] != ' ' && p[i] != '\t'; i++) {
        /* void */
    }

    len = i;

    if (len >= 5 && strncasecmp(p, "text/", 5) == 0) {
        return 1;
    }

    if (ngx_http_rt_rule_ends(p, len, "+json")
        || ngx_http_rt_rule_ends(p, len, "+xml"))
    {
        return 1;
    }

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strlen(types[i]) == len && strncasecmp(p, types[i], len) == 0) {
            return 1;
        }
    }

    return 0;
}


static int
ngx_http_rt_rule_ends(const char *p, size_t len, const char *end)
{
    size_t  n;

    n = strlen(end);

    return len > n && strncasecmp(p + len - n, end, n) == 0;
}
