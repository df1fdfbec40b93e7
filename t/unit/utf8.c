/*
 * UTF-8: every sequence of up to three bytes and the edges of those of four,
 * against the grammar of RFC 3629, 4.
 *
 * Sources: ngx_http_rt_utf8.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_utf8.h>


typedef struct {
    u_char    first[2];
    u_char    second[2];
    unsigned  tail;                  /* bytes 80..BF after the second */
} utf8_rule_t;


static const utf8_rule_t  rules[] = {
    { { 0xc2, 0xdf }, { 0x80, 0xbf }, 0 },
    { { 0xe0, 0xe0 }, { 0xa0, 0xbf }, 1 },
    { { 0xe1, 0xec }, { 0x80, 0xbf }, 1 },
    { { 0xed, 0xed }, { 0x80, 0x9f }, 1 },
    { { 0xee, 0xef }, { 0x80, 0xbf }, 1 },
    { { 0xf0, 0xf0 }, { 0x90, 0xbf }, 2 },
    { { 0xf1, 0xf3 }, { 0x80, 0xbf }, 2 },
    { { 0xf4, 0xf4 }, { 0x80, 0x8f }, 2 },
};


/* what the grammar says of a text: 1 whole, 0 unfinished, -1 wrong */

static int
reference(const u_char *p, size_t len)
{
    size_t              i, n;
    const utf8_rule_t  *rule;

    while (len) {

        if (p[0] < 0x80) {
            p++;
            len--;
            continue;
        }

        rule = NULL;

        for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
            if (p[0] >= rules[i].first[0] && p[0] <= rules[i].first[1]) {
                rule = &rules[i];
            }
        }

        if (rule == NULL) {
            return -1;
        }

        if (len == 1) {
            return 0;
        }

        if (p[1] < rule->second[0] || p[1] > rule->second[1]) {
            return -1;
        }

        n = 2 + rule->tail;

        for (i = 2; i < n && i < len; i++) {
            if (p[i] < 0x80 || p[i] > 0xbf) {
                return -1;
            }
        }

        if (len < n) {
            return 0;
        }

        p += n;
        len -= n;
    }

    return 1;
}


static int
verdict(uint32_t state)
{
    switch (state) {

    case NGX_HTTP_RT_UTF8_ACCEPT:
        return 1;

    case NGX_HTTP_RT_UTF8_REJECT:
        return -1;

    default:
        return 0;
    }
}


static void
check(const u_char *p, size_t len)
{
    size_t    i;
    uint32_t  state;

    state = ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, p, len);

    if (verdict(state) != reference(p, len)) {
        fail_msg("%02x %02x %02x %02x (%d bytes): %d, should be %d", p[0],
                 len > 1 ? p[1] : 0, len > 2 ? p[2] : 0, len > 3 ? p[3] : 0,
                 (int) len, verdict(state), reference(p, len));
    }

    state = NGX_HTTP_RT_UTF8_ACCEPT;

    for (i = 0; i < len; i++) {
        state = ngx_http_rt_utf8_step(state, p + i, 1);
    }

    if (verdict(state) != reference(p, len)) {
        fail_msg("%02x %02x (%d bytes, one by one): %d, should be %d", p[0],
                 len > 1 ? p[1] : 0, (int) len, verdict(state),
                 reference(p, len));
    }
}


static void
test_up_to_three_bytes(void **state)
{
    u_char    p[3];
    unsigned  a, b, c;

    (void) state;

    for (a = 0; a < 256; a++) {
        p[0] = (u_char) a;
        check(p, 1);

        for (b = 0; b < 256; b++) {
            p[1] = (u_char) b;
            check(p, 2);

            /* two ASCII bytes in front say nothing new */

            if (a < 0x7f && b < 0x7f) {
                continue;
            }

            for (c = 0; c < 256; c++) {
                p[2] = (u_char) c;
                check(p, 3);
            }
        }
    }
}


static void
test_four_bytes(void **state)
{
    size_t               i, j, k, l;
    u_char               p[4];
    static const u_char  edges[] = {
        0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2,
        0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff
    };

    (void) state;

    for (i = 0; i < sizeof(edges); i++) {
        for (j = 0; j < sizeof(edges); j++) {
            for (k = 0; k < sizeof(edges); k++) {
                for (l = 0; l < sizeof(edges); l++) {
                    p[0] = edges[i];
                    p[1] = edges[j];
                    p[2] = edges[k];
                    p[3] = edges[l];
                    check(p, 4);
                }
            }
        }
    }
}


/* any bad byte at any place of the words that ASCII is skipped in */

static void
test_words(void **state)
{
    size_t    len, at;
    u_char    p[40];
    uint32_t  rc;

    (void) state;

    for (len = 1; len < sizeof(p); len++) {
        for (at = 0; at < len; at++) {
            memset(p, 'a', len);
            p[at] = 0xff;

            rc = ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, p, len);
            assert_int_equal(verdict(rc), -1);

            p[at] = 0xc3;
            rc = ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, p, len);
            assert_int_equal(verdict(rc), at + 1 == len ? 0 : -1);
        }
    }
}


static void
test_cut_anywhere(void **state)
{
    size_t              i, len;
    uint32_t            rc;
    static const char   text[] = "kr\xc3\xa4nze \xe2\x82\xac \xf0\x9f\x8e\xb2"
                                 " and some more plain text behind them";

    (void) state;

    len = sizeof(text) - 1;

    for (i = 0; i <= len; i++) {
        rc = ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT,
                                   (const u_char *) text, i);
        assert_true(rc != NGX_HTTP_RT_UTF8_REJECT);

        rc = ngx_http_rt_utf8_step(rc, (const u_char *) text + i, len - i);
        assert_true(rc == NGX_HTTP_RT_UTF8_ACCEPT);
    }
}


static void
test_states(void **state)
{
    (void) state;

    assert_true(ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, NULL, 0)
                == NGX_HTTP_RT_UTF8_ACCEPT);

    assert_true(ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_REJECT,
                                      (const u_char *) "a", 1)
                == NGX_HTTP_RT_UTF8_REJECT);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_up_to_three_bytes),
        cmocka_unit_test(test_four_bytes),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_states),
    };

    if (getenv("CMOCKA_MESSAGE_OUTPUT") == NULL) {
        cmocka_set_message_output(CM_OUTPUT_TAP);
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}
