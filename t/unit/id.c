/*
 * Message ids: one spelling each way, and nothing else is an id.
 *
 * Sources: ngx_http_rt_id.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_id.h>


typedef struct {
    const char  *text;
    uint64_t     epoch;
    uint64_t     seq;
} id_good_t;


static const id_good_t  good[] = {
    { "0-0", 0, 0 },
    { "5f3a-17", 0x5f3a, 17 },
    { "a-1", 0xa, 1 },
    { "10-10", 0x10, 10 },
    { "abcdef0123456789-99", 0xabcdef0123456789, 99 },
    { "8000000000000000-100", 0x8000000000000000, 100 },
    { "ffffffffffffffff-18446744073709551615", UINT64_MAX, UINT64_MAX },
    { "f-18446744073709551614", 0xf, UINT64_MAX - 1 },
    { "f-9999999999999999999", 0xf, 9999999999999999999ULL },
    { "f-10000000000000000000", 0xf, 10000000000000000000ULL },
};


static const char  *bad[] = {
    "",
    "-",
    "1",
    "-1",
    "1-",
    "1-01",
    "1-00",
    "A-1",
    "g-1",
    "0x1-1",
    "1-a",
    "1--1",
    "1-1-1",
    "1 -1",
    "1.1",
    "1g1",
    "1:1",
    " 1-1",
    "1-1 ",
    "1-+1",
    "1-1,",
    "10000000000000000-1",
    "00000000000000000-1",
    "1-18446744073709551616",
    "1-18446744073709551620",
    "1-99999999999999999999",
    "1-100000000000000000000",
    "ffffffffffffffff-184467440737095516150",
    "earliest",
};


static void
test_good(void **state)
{
    u_char            *end, buf[NGX_HTTP_RT_ID_LEN + 1];
    size_t             i, len;
    ngx_http_rt_id_t   id;

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        len = strlen(good[i].text);

        assert_int_equal(ngx_http_rt_id_parse((u_char *) good[i].text, len,
                                              &id), 0);
        assert_true(id.epoch == good[i].epoch);
        assert_true(id.seq == good[i].seq);

        memset(buf, '#', sizeof(buf));
        end = ngx_http_rt_id_write(buf, id.epoch, id.seq);

        assert_int_equal(end - buf, len);
        assert_memory_equal(buf, good[i].text, len);
        assert_int_equal(*end, '#');
    }
}


static void
test_bad(void **state)
{
    size_t            i;
    ngx_http_rt_id_t  id;

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {

        if (ngx_http_rt_id_parse((u_char *) bad[i], strlen(bad[i]), &id)
            != -1)
        {
            fail_msg("\"%s\" is taken for an id", bad[i]);
        }
    }

    assert_int_equal(ngx_http_rt_id_parse(NULL, 0, &id), -1);

    /* a NUL is no end */

    assert_int_equal(ngx_http_rt_id_parse((u_char *) "1-1\0", 4, &id), -1);
}


static void
test_leading_zeros(void **state)
{
    ngx_http_rt_id_t  id;

    (void) state;

    assert_int_equal(ngx_http_rt_id_parse((u_char *) "000000000000000a-1", 18,
                                          &id), 0);
    assert_true(id.epoch == 0xa);
}


/* against printf, around each power of ten and of two */

static void
test_write(void **state)
{
    int        n;
    char       want[64];
    u_char    *end, buf[NGX_HTTP_RT_ID_LEN];
    uint64_t   v, power[20 + 64];
    unsigned   i, k;

    (void) state;

    power[0] = 1;

    for (i = 1; i < 20; i++) {
        power[i] = power[i - 1] * 10;
    }

    for (i = 0; i < 64; i++) {
        power[20 + i] = 1ULL << i;
    }

    for (i = 0; i < 20 + 64; i++) {
        for (k = 0; k < 3; k++) {
            v = power[i] + k - 1;

            n = snprintf(want, sizeof(want), "%llu", (unsigned long long) v);
            end = ngx_http_rt_uint_write(buf, v);
            assert_int_equal(end - buf, n);
            assert_memory_equal(buf, want, n);

            n = snprintf(want, sizeof(want), "%llx-%llu",
                         (unsigned long long) v, (unsigned long long) ~v);
            end = ngx_http_rt_id_write(buf, v, ~v);
            assert_int_equal(end - buf, n);
            assert_memory_equal(buf, want, n);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_leading_zeros),
        cmocka_unit_test(test_write),
    };

    if (getenv("CMOCKA_MESSAGE_OUTPUT") == NULL) {
        cmocka_set_message_output(CM_OUTPUT_TAP);
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}
