/*
 * Data that is JSON as a value of the JSON form.
 *
 * Sources: ngx_http_rt_json_value.c ngx_http_rt_json.c ngx_http_rt_id.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_json.h>
#include <ngx_http_rt_json_value.h>


static const char *const  values[] = {
    "1", "0", "-0", "12.50", "1e5", "1E-5", "-1.5e+30", "true", "false",
    "null", "\"\"", "\"x\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00eF\"",
    "{}", "[]", " [ ] ", "{ }", "[1,2]", "[[],{}]", "{\"a\":1}",
    "{ \"a\" : [ { \"b\" : null } , 2 ] , \"c\" : {} }", "\t1 ",
    "\"}\"", "[\"]\"]", "\"\x7f\xc3\xa9\"",
};


static const char *const  others[] = {
    "", " ", "x", "01", "-", "+1", ".5", "1.", "1e", "1e+", "tru", "trues",
    "nul", "\"", "\"x", "\"\\\"", "\"\\x\"", "\"\\u12g4\"", "\"\\u12", "\"\\",
    "\"a\nb\"", "\"\x01\"", "{", "[", "}", "]", "[1", "[1,", "[1,]", "[,1]",
    "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\" 1}",
    "{\"a\":1]", "[1}", "1 2", "1 \"x", "{}{}", "1,\"x\":2", "1}",
    "{},\"topic\":\"x\"",
};


static void
valid(void **state)
{
    size_t  i, len;
    u_char  copy[256], *end;

    (void) state;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        len = strlen(values[i]);
        end = ngx_http_rt_json_value_copy(copy, (u_char *) values[i], len);

        if (end != copy + len || memcmp(copy, values[i], len) != 0) {
            fail_msg("%s", values[i]);
        }
    }
}


static void
invalid(void **state)
{
    size_t  i;
    u_char  copy[256];

    (void) state;

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {

        if (ngx_http_rt_json_value_copy(copy, (u_char *) others[i],
                                        strlen(others[i])))
        {
            fail_msg("%s", others[i]);
        }
    }

    assert_null(ngx_http_rt_json_value_copy(copy, (u_char *) "\"\\\0\"", 4));
}


static void
depth(void **state)
{
    u_char  text[2 * NGX_HTTP_RT_JSON_VALUE_DEPTH + 2];
    u_char  copy[sizeof(text)];

    (void) state;

    memset(text, '[', sizeof(text) / 2);
    memset(text + sizeof(text) / 2, ']', sizeof(text) / 2);

    assert_null(ngx_http_rt_json_value_copy(copy, text, sizeof(text)));
    assert_ptr_equal(ngx_http_rt_json_value_copy(copy, text + 1,
                                                 sizeof(text) - 2),
                     copy + sizeof(text) - 2);
}


/* never more bytes than the form with a string */

static void
form(void **state)
{
    int                    i;
    size_t                 size;
    u_char                 text[512], *end;
    ngx_http_rt_message_t  m;

    static const struct {
        const char  *type;
        const char  *data;
        const char  *end;
    } cases[] = {
        { "application/json", "{\"a\":\n1}", ",\"json\":{\"a\": 1}}" },
        { "Application/JSON ; charset=utf-8", "1", ",\"json\":1}" },
        { "application/vnd.x+json", "[]", ",\"json\":[]}" },
        { "application/json", "{", ",\"data\":\"{\"}" },
        { "application/json", "1,\"x\":1", ",\"data\":\"1,\\\"x\\\":1\"}" },
        { "text/plain", "1", ",\"data\":\"1\"}" },
        { "", "1", ",\"data\":\"1\"}" },
    };

    (void) state;

    for (i = 0; i < (int) (sizeof(cases) / sizeof(cases[0])); i++) {
        memset(&m, 0, sizeof(m));

        m.topic = (u_char *) "t";
        m.topic_len = 1;
        m.type = (u_char *) cases[i].type;
        m.type_len = strlen(cases[i].type);
        m.data = (u_char *) cases[i].data;
        m.data_len = strlen(cases[i].data);

        end = ngx_http_rt_json_value_write(text, &m);
        size = strlen(cases[i].end);

        assert_true((size_t) (end - text) <= ngx_http_rt_json_size(&m));
        assert_memory_equal(end - size, cases[i].end, size);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(valid),
        cmocka_unit_test(invalid),
        cmocka_unit_test(depth),
        cmocka_unit_test(form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
