/*
 * Lists of versions: elements between commas, of which RFC 9110, 5.6.1 lets
 * some be empty.
 */

#include <ngx_http_rt_versions.h>


static const u_char *ngx_http_rt_versions_one(const u_char *p,
    const u_char *last, uint64_t *version);


int
ngx_http_rt_versions_parse(const u_char *s, size_t len,
    uint64_t versions[NGX_HTTP_RT_VERSIONS_MAX])
{
    int            n, comma;
    const u_char  *p, *last;

    if (len == 1 && s[0] == '*') {
        return 0;
    }

    n = 0;
    comma = 1;
    last = s + len;

    for (p = s; p < last; /* void */ ) {

        if (*p == ' ' || *p == '\t') {
            p++;
            continue;
        }

        if (*p == ',') {
            comma = 1;
            p++;
            continue;
        }

        if (!comma || n == NGX_HTTP_RT_VERSIONS_MAX) {
            return -1;
        }

        p = ngx_http_rt_versions_one(p, last, &versions[n++]);

        if (p == NULL) {
            return -1;
        }

        comma = 0;
    }

    return n ? n : -1;
}


/* the end of it, or NULL */

static const u_char *
ngx_http_rt_versions_one(const u_char *p, const u_char *last,
    uint64_t *version)
{
    int            quoted;
    uint64_t       n;
    const u_char  *start;

    quoted = 0;

    if (last - p > 2 && p[0] == 'W' && p[1] == '/') {

        if (p[2] != '"') {
            return NULL;
        }

        p += 2;
    }

    if (*p == '"') {
        quoted = 1;
        p++;
    }

    start = p;

    for (n = 0; p < last && *p >= '0' && *p <= '9'; p++) {

        if (n > (UINT64_MAX - 9) / 10) {
            return NULL;
        }

        n = n * 10 + (*p - '0');
    }

    if (p == start) {
        return NULL;
    }

    if (quoted && (p == last || *p++ != '"')) {
        return NULL;
    }

    *version = n;

    return p;
}
