/*
 * Yajl is lenient in three things, which are checked before it sees a text:
 *
 *     UTF-8;
 *     surrogates that come without the other half, which it would turn into a
 *     question mark or into what is not UTF-8, so that two keys might become
 *     the same one;
 *     vertical tabs and form feeds, which it takes for blanks.
 */


#include <string.h>

#include <ngx_http_rt_json_text.h>
#include <ngx_http_rt_utf8.h>


static int ngx_http_rt_json_text_surrogates(const u_char *p,
    const u_char *last);
static int ngx_http_rt_json_text_hex(const u_char *p, const u_char *last);


const char *
ngx_http_rt_json_text_check(const u_char *p, size_t len)
{
    if (ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, p, len)
        != NGX_HTTP_RT_UTF8_ACCEPT)
    {
        return "text is not valid UTF-8";
    }

    /* not even in a string (RFC 8259, 2 and 7) */

    if (len && (memchr(p, '\v', len) || memchr(p, '\f', len))) {
        return "control character";
    }

    if (ngx_http_rt_json_text_surrogates(p, p + len) != 0) {
        return "unpaired surrogate";
    }

    return NULL;
}


/*
 * A backslash outside of a string is yajl's to refuse, and so is an escape
 * that is not complete.
 */

static int
ngx_http_rt_json_text_surrogates(const u_char *p, const u_char *last)
{
    int  n;

    while (p < last) {
        p = memchr(p, '\\', last - p);

        if (p == NULL || last - p < 2) {
            return 0;
        }

        if (p[1] != 'u') {
            p += 2;
            continue;
        }

        n = ngx_http_rt_json_text_hex(p, last);
        p += 2;

        if (n < 0xd800 || n > 0xdfff) {
            continue;
        }

        if (n > 0xdbff) {
            return -1;
        }

        p += 4;
        n = ngx_http_rt_json_text_hex(p, last);

        if (n < 0xdc00 || n > 0xdfff) {
            return -1;
        }

        p += 6;
    }

    return 0;
}


/* the value of the \uXXXX at p, -1 if there is none */

static int
ngx_http_rt_json_text_hex(const u_char *p, const u_char *last)
{
    int     n;
    u_char  ch;
    size_t  i;

    if (last - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return -1;
    }

    n = 0;

    for (i = 2; i < 6; i++) {
        ch = p[i];

        if (ch >= '0' && ch <= '9') {
            n = n << 4 | (ch - '0');
            continue;
        }

        ch |= 0x20;

        if (ch < 'a' || ch > 'f') {
            return -1;
        }

        n = n << 4 | (ch - 'a' + 10);
    }

    return n;
}
