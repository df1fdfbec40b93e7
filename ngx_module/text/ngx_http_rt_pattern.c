/*
 * Patterns and the topics that they match.  Both have been checked where they
 * came in (ngx_http_rt_rule.h), and matching needs no second look at a byte: as
 * a star can only end a segment, there is nothing to try twice.
 */


#include <string.h>

#include <ngx_http_rt_pattern.h>


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
