/*
 * HTTP's rules for event names and media types; those for topics are tested
 * with patterns.
 *
 * Sources: ngx_http_rt_rule.c ngx_http_rt_utf8.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_rule.h>


#define u(s)  ((const u_char *) (s))


static void
test_event(void **state)
{
    char  name[NGX_HTTP_RT_EVENT_MAX + 1];

    (void) state;

    memset(name, 'e', sizeof(name));

    assert_null(ngx_http_rt_rule_event(u(name), NGX_HTTP_RT_EVENT_MAX));
    assert_string_equal(ngx_http_rt_rule_event(u(name), sizeof(name)),
                        "event name is longer than 128 bytes");

    assert_null(ngx_http_rt_rule_event(u("realtime"), 8));
    assert_null(ngx_http_rt_rule_event(u("bid \xc3\xa4,*/"), 9));
    assert_non_null(ngx_http_rt_rule_event(u("realtime:gap"), 12));
    assert_non_null(ngx_http_rt_rule_event(u("a\nb"), 3));
    assert_non_null(ngx_http_rt_rule_event(u("a\x7f"), 2));
    assert_non_null(ngx_http_rt_rule_event(u("\xc2\x85"), 2));
    assert_non_null(ngx_http_rt_rule_event(u("\xc2"), 1));
    assert_non_null(ngx_http_rt_rule_event(u("\xff"), 1));
}


static void
test_type(void **state)
{
    char  name[NGX_HTTP_RT_TYPE_MAX + 1];

    (void) state;

    memset(name, 't', sizeof(name));

    assert_null(ngx_http_rt_rule_type(u(name), NGX_HTTP_RT_TYPE_MAX));
    assert_non_null(ngx_http_rt_rule_type(u(name), sizeof(name)));
    assert_non_null(ngx_http_rt_rule_type(u("text/\x01"), 6));
}


static void
test_text(void **state)
{
    size_t  i;

    static const char  *text[] = {
        "text/plain", "TEXT/x", "text/", "application/json",
        "Application/JSON; charset=utf-8", "application/json ",
        "application/x-ndjson", "application/xml", "a/b+json", "a/b+XML;q",
        "application/x-www-form-urlencoded"
    };

    static const char  *binary[] = {
        "", "text", "text;/x", "+json", "+xml", "application/jso",
        "application/json5", "application/octet-stream", "image/png",
        "a/b;+json", "x-text/plain"
    };

    (void) state;

    for (i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        if (!ngx_http_rt_rule_is_text(u(text[i]), strlen(text[i]))) {
            fail_msg("\"%s\" is text", text[i]);
        }
    }

    for (i = 0; i < sizeof(binary) / sizeof(binary[0]); i++) {
        if (ngx_http_rt_rule_is_text(u(binary[i]), strlen(binary[i]))) {
            fail_msg("\"%s\" is binary", binary[i]);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_event),
        cmocka_unit_test(test_type),
        cmocka_unit_test(test_text)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
