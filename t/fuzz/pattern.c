/*
 * Topics and patterns: the input is "pattern,topic".  Matching is compared to
 * a slow matcher that splits both into segments first.
 *
 * Sources: ngx_http_rt_pattern.c ngx_http_rt_rule.c ngx_http_rt_utf8.c
 * Sources: ngx_http_rt_hash.c
 */


#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <ngx_http_rt_hash.h>
#include <ngx_http_rt_pattern.h>
#include <ngx_http_rt_rule.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const u_char *p, size_t len);
static int match(const u_char *pat, const u_char *pend, const u_char *topic,
    const u_char *tend);
static const u_char *segment(const u_char *p, const u_char *last);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t         plen, tlen;
    unsigned       wild;
    const u_char  *topic;

    topic = memchr(data, ',', size);

    if (topic == NULL) {
        check(data, size);
        return 0;
    }

    plen = topic - data;
    topic++;
    tlen = size - plen - 1;

    check(data, plen);
    check(topic, tlen);

    if (ngx_http_rt_rule_pattern(data, plen, &wild) == NULL
        && ngx_http_rt_rule_topic(topic, tlen) == NULL
        && ngx_http_rt_pattern_match(data, plen, topic, tlen)
           != match(data, data + plen, topic, topic + tlen))
    {
        abort();
    }

    return 0;
}


static void
check(const u_char *p, size_t len)
{
    size_t         i, head;
    unsigned       wild;
    const char    *topic, *pattern;
    const u_char  *start;

    static const ngx_http_rt_hash_key_t  key = { 1, 2 };

    (void) ngx_http_rt_siphash(&key, p, len);

    wild = 7;
    topic = ngx_http_rt_rule_topic(p, len);
    pattern = ngx_http_rt_rule_pattern(p, len, &wild);

    /* a topic is a pattern without stars, and matches itself alone */

    if (topic == NULL
        && (pattern != NULL || wild != 0
            || ngx_http_rt_pattern_head(p, len) != len
            || !ngx_http_rt_pattern_match(p, len, p, len)
            || ngx_http_rt_pattern_match(p, len, p, len - 1)))
    {
        abort();
    }

    if (pattern != NULL) {

        if (wild != 7) {
            abort();
        }

        return;
    }

    for (i = 0; i < len; i++) {
        if (p[i] < 0x20 || p[i] == 0x7f || p[i] == ','
            || (i && p[i - 1] == 0xc2 && p[i] < 0xa0))
        {
            abort();
        }
    }

    if (wild != (topic != NULL) || wild != (memchr(p, '*', len) != NULL)) {
        abort();
    }

    if (!wild) {
        return;
    }

    /* the head is a topic or empty, and the segment after it has a star */

    head = ngx_http_rt_pattern_head(p, len);

    if (head && (p[head] != '/' || ngx_http_rt_rule_topic(p, head))) {
        abort();
    }

    start = p + head + (head != 0);

    if (memchr(start, '*', segment(start, p + len) - start) == NULL) {
        abort();
    }
}


static int
match(const u_char *pat, const u_char *pend, const u_char *topic,
    const u_char *tend)
{
    size_t         plen, tlen;
    const u_char  *pseg, *tseg;

    for ( ;; ) {

        if (pend - pat == 2 && memcmp(pat, "**", 2) == 0) {
            return 1;
        }

        pseg = segment(pat, pend);
        tseg = segment(topic, tend);

        plen = pseg - pat;
        tlen = tseg - topic;

        if (pat[plen - 1] == '*') {

            if (tlen < plen - 1 || memcmp(pat, topic, plen - 1) != 0) {
                return 0;
            }

        } else if (tlen != plen || memcmp(pat, topic, plen) != 0) {
            return 0;
        }

        if (pseg == pend || tseg == tend) {
            return pseg == pend && tseg == tend;
        }

        pat = pseg + 1;
        topic = tseg + 1;
    }
}


/* the end of the segment at p */

static const u_char *
segment(const u_char *p, const u_char *last)
{
    while (p < last && *p != '/') {
        p++;
    }

    return p;
}
