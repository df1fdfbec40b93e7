/*
 * Topic names and subscription patterns.
 *
 * Both are checked once, where they come in; matching trusts what has been
 * checked and so needs no second look at a byte: as a star can only end a
 * segment, there is nothing to try twice.
 */


#include <string.h>

#include <ngx_http_rt_pattern.h>
#include <ngx_http_rt_utf8.h>


static const char *ngx_http_rt_pattern_scan(const u_char *p, size_t len,
    unsigned *wild);
static size_t ngx_http_rt_pattern_star(const u_char *start, const u_char *p,
    const u_char *last);


const char *
ngx_http_rt_topic_check(const u_char *p, size_t len)
{
    return ngx_http_rt_pattern_scan(p, len, NULL);
}


const char *
ngx_http_rt_pattern_check(const u_char *p, size_t len, unsigned *wild)
{
    unsigned     stars;
    const char  *reason;

    stars = 0;
    reason = ngx_http_rt_pattern_scan(p, len, &stars);

    if (reason == NULL) {
        *wild = stars;
    }

    return reason;
}


/* stars are allowed if there is where to tell them */

static const char *
ngx_http_rt_pattern_scan(const u_char *p, size_t len, unsigned *wild)
{
    u_char         ch;
    size_t         stars;
    const u_char  *start, *last;

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

    last = p + len;
    start = p;

    while (p < last) {
        ch = *p;

        /* C1, U+0080 to U+009F, is C2 80 to C2 9F */

        if (ch < 0x20 || ch == 0x7f || (ch == 0xc2 && p[1] < 0xa0)) {
            return "topic has a control character";
        }

        if (ch == ',') {
            return "topic has a comma";
        }

        if (ch == '*') {

            if (wild == NULL) {
                return "topic has a star";
            }

            stars = ngx_http_rt_pattern_star(start, p, last);

            if (stars == 0) {
                return "topic has a star in the wrong place";
            }

            *wild = 1;
            p += stars;
            continue;
        }

        if (ch == '/') {

            if (p == start) {
                return "topic has an empty segment";
            }

            start = p + 1;
        }

        p++;
    }

    if (p == start) {
        return "topic has an empty segment";
    }

    return NULL;
}


/* how many stars are well placed at p in the segment from start, 0 if none */

static size_t
ngx_http_rt_pattern_star(const u_char *start, const u_char *p,
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


int
ngx_http_rt_pattern_match(const u_char *pat, size_t plen, const u_char *topic,
    size_t tlen)
{
    const u_char  *pend, *tend;

    pend = pat + plen;
    tend = topic + tlen;

    while (pat < pend) {

        if (*pat == '*') {

            if (pend - pat == 2 && pat[1] == '*') {
                return topic < tend;
            }

            while (topic < tend && *topic != '/') {
                topic++;
            }

            pat++;
            continue;
        }

        if (topic == tend || *topic != *pat) {
            return 0;
        }

        pat++;
        topic++;
    }

    return topic == tend;
}


size_t
ngx_http_rt_pattern_head(const u_char *pat, size_t plen)
{
    const u_char  *p;

    p = memchr(pat, '*', plen);

    if (p == NULL) {
        return plen;
    }

    while (p > pat && *p != '/') {
        p--;
    }

    return p - pat;
}


/*
 * MurmurHash64A by Austin Appleby, in the public domain, with a seed of 0 and
 * folded to 32 bits.  Words are read in the machine's byte order: the value is
 * for tables in memory, not to be stored or sent.
 */

uint32_t
ngx_http_rt_hash(const u_char *p, size_t len)
{
    uint64_t        h, k;
    const uint64_t  m = 0xc6a4a7935bd1e995ULL;

    h = len * m;

    while (len >= 8) {
        memcpy(&k, p, 8);

        k *= m;
        k ^= k >> 47;
        k *= m;

        h ^= k;
        h *= m;

        p += 8;
        len -= 8;
    }

    if (len) {
        k = 0;
        memcpy(&k, p, len);

        h ^= k;
        h *= m;
    }

    h ^= h >> 47;
    h *= m;
    h ^= h >> 47;

    return (uint32_t) (h ^ (h >> 32));
}
