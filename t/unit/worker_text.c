/*
 * What may come into a journal: UTF-8 without control characters, alone and in
 * the strings of a JSON object, however they are written there.
 *
 * Sources: core/
 * Libs: -lyajl -lsodium
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <rt_json.h>
#include <rt_utf8.h>


static rt_uint_t
is_text(const char *p, size_t len)
{
    rt_str_t  s;

    s.data = (const u_char *) p;
    s.len = len;

    return rt_utf8_is_text(s);
}

#define yes(s)  assert_true(is_text(s, sizeof(s) - 1))
#define no(s)   assert_false(is_text(s, sizeof(s) - 1))


static void
characters(void **data)
{
    (void) data;

    yes("");
    yes(" ~");
    yes("\xc2\xa0\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf");
    yes("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");

    no("\0");
    no("a\x1f");
    no("a\nb");
    no("\x7f");
    no("\xc2\x80");                         /* C1 */
    no("\xc2\x9f");
    no("\x80");
    no("\xff");
    no("\xc1\xbf");                         /* overlong */
    no("\xe0\x9f\xbf");
    no("\xf0\x8f\xbf\xbf");
    no("\xed\xa0\x80");                     /* a surrogate */
    no("\xf4\x90\x80\x80");                 /* beyond Unicode */
    no("\xf5\x80\x80\x80");
    no("\xc3");                             /* cut off */
    no("\xe2\x82");
    no("\xf0\x9f\x98");
    no("\xe2\x82(");
    no("\xf0\x9f\x98(");
}


/* all of two bytes, against the ranges in words */

static void
pairs(void **data)
{
    char      s[2];
    unsigned  a, b, text;

    (void) data;

    for (a = 0; a < 256; a++) {
        for (b = 0; b < 256; b++) {
            s[0] = (char) a;
            s[1] = (char) b;

            text = (a >= 0x20 && a < 0x7f && b >= 0x20 && b < 0x7f)
                   || (a == 0xc2 && b >= 0xa0 && b < 0xc0)
                   || (a > 0xc2 && a < 0xe0 && b >= 0x80 && b < 0xc0);

            assert_int_equal(is_text(s, 2), text);
        }
    }
}


static void
json(void **data)
{
    size_t     i;
    rt_json_t  js;

    static const char  *good[] = {
        "{\"a\":\"\xc3\xa9\"}", "{\"a\":\"\\u00e9\\\"\\\\\"}",
        "{\"\\ud83d\\ude00\":\"\\ud83d\\ude00\"}"
    };

    static const char  *bad[] = {
        "{\"a\":\"\xff\"}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\\n\"}", "{\"a\":\"\\u0085\"}", "{\"a\":\"\x7f\"}",
        "{\"\\u0007\":1}", "{\"\xe0\x80\xaf\":1}", "{\"a\":[{\"b\":\"\\t\"}]}"
    };

    (void) data;

    memset(&js, 0, sizeof(rt_json_t));

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(rt_json_parse(&js, (const u_char *) good[i],
                                       strlen(good[i])), RT_OK);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(rt_json_parse(&js, (const u_char *) bad[i],
                                       strlen(bad[i])), RT_DECLINED);
    }

    rt_json_free(&js);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(characters),
        cmocka_unit_test(pairs),
        cmocka_unit_test(json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
