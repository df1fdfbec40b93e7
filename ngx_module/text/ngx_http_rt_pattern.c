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
