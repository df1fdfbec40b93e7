/*
 * Lines of a batch: what they may say, and what is told of those that may not.
 *
 * Sources: ngx_http_rt_batch.c ngx_http_rt_utf8.c
 * Sources: ngx_http_rt_json_text.c ngx_http_rt_json_reader.c
 * Libs: -lyajl
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_batch.h>


typedef struct {
    const char  *line;
    const char  *topic;
    const char  *event;
    const char  *type;
    const char  *data;
    unsigned     topic_given;
    unsigned     binary;
} batch_good_t;


typedef struct {
    const char  *line;
    const char  *error;
} batch_bad_t;


static const batch_good_t  good[] = {
    { "{\"topic\":\"a/b\",\"data\":\"Hello\"}", "a/b", "", "", "Hello", 1, 0 },
    { "{\"data\":\"\"}", "", "", "", "", 0, 0 },
    { "{\"topic\":\"\",\"data\":\"x\"}", "", "", "", "x", 1, 0 },
    { " { \"data\" : \"x\" , \"type\":\"text/plain\",\"event\":\"join\" }\r\t ",
      "", "join", "text/plain", "x", 0, 0 },
    { "{\"base64\":\"Zm9vYmFy\"}", "", "", "", "foobar", 0, 1 },
    { "{\"base64\":\"\"}", "", "", "", "", 0, 1 },
    { "{\"base64\":\"Zg==\",\"topic\":\"a\"}", "a", "", "", "f", 1, 1 },
    { "{\"base64\":\"Zm8=\"}", "", "", "", "fo", 0, 1 },
    { "{\"base64\":\"\\/\\/\\u002b+\"}", "", "", "", "\xff\xff\xbe", 0, 1 },
    { "{\"data\":\"a\\n\\\"\\\\\\/\\b\\f\\r\\t\\u00e4\"}", "", "", "",
      "a\n\"\\/\b\f\r\t\xc3\xa4", 0, 0 },
    { "{\"data\":\"\\ud83c\\udfb2\"}", "", "", "", "\xf0\x9f\x8e\xb2", 0, 0 },
    { "{\"data\":\"\\uD83C\\uDFB2\"}", "", "", "", "\xf0\x9f\x8e\xb2", 0, 0 },
    { "{\"data\":\"\xe2\x82\xac\"}", "", "", "", "\xe2\x82\xac", 0, 0 },
    { "{\"data\":\"\\\\ud800\"}", "", "", "", "\\ud800", 0, 0 },
    { "{\"\\u0064ata\":\"x\"}", "", "", "", "x", 0, 0 },
    { "{\"data\":\"{\\\"k\\\":[1]}\"}", "", "", "", "{\"k\":[1]}", 0, 0 },
};


static const batch_bad_t  bad[] = {
    { "", "bad JSON: premature EOF" },
    { "  ", "bad JSON: premature EOF" },
    { "{\"data\":\"x\"", "bad JSON: premature EOF" },
    { "{\"data\":\"x", "bad JSON: premature EOF" },
    { "{\"data\":x}", "bad JSON: invalid char in json text." },
    { "{'data':\"x\"}", "bad JSON: invalid char in json text." },
    { "{\"data\":\"x\",}",
      "bad JSON: invalid object key (must be a string)" },
    { "{\"data\":\"a\tb\"}", "bad JSON: invalid character inside string." },
    { "/* c */{\"data\":\"x\"}",
      "bad JSON: probable comment found in input text, comments are not "
      "enabled." },

    { "{}", "no data" },
    { "{\"topic\":\"a\",\"event\":\"b\",\"type\":\"c\"}", "no data" },
    { "{\"data\":\"x\",\"base64\":\"Zg==\"}",
      "both \"data\" and \"base64\"" },
    { "{\"base64\":\"Zg==\",\"data\":\"x\"}",
      "both \"data\" and \"base64\"" },

    { "{\"data\":\"x\",\"data\":\"y\"}", "duplicate member \"data\"" },
    { "{\"topic\":\"a\",\"topic\":\"a\",\"data\":\"\"}",
      "duplicate member \"topic\"" },
    { "{\"data\":\"x\",\"id\":\"1-1\"}", "unknown member \"id\"" },
    { "{\"\":\"x\"}", "unknown member \"\"" },
    { "{\"Data\":\"x\"}", "unknown member \"Data\"" },
    { "{\"dat\":\"x\"}", "unknown member \"dat\"" },
    { "{\"data\\u0000\":\"x\"}", "unknown member" },
    { "{\"da ta\":\"x\"}", "unknown member" },
    { "{\"k\xc3\xa4\":\"x\"}", "unknown member" },
    { "{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":\"x\"}", "unknown member" },

    { "{\"data\":null}", "\"data\" is null, not a string" },
    { "{\"event\":null,\"data\":\"x\"}", "\"event\" is null, not a string" },
    { "{\"data\":true}", "\"data\" is true, not a string" },
    { "{\"type\":false}", "\"type\" is false, not a string" },
    { "{\"data\":1}", "\"data\" is a number, not a string" },
    { "{\"data\":-1.5e400}", "\"data\" is a number, not a string" },
    { "{\"data\":99999999999999999999999}",
      "\"data\" is a number, not a string" },
    { "{\"data\":{\"k\":\"v\"}}", "\"data\" is an object, not a string" },
    { "{\"topic\":[\"a\"]}", "\"topic\" is an array, not a string" },

    { "\"data\"", "line is a string, not an object" },
    { "[{\"data\":\"x\"}]", "line is an array, not an object" },
    { "17", "line is a number, not an object" },
    { "null", "line is null, not an object" },
    { "true", "line is true, not an object" },

    { "{\"data\":\"x\"} x", "garbage after the object" },
    { "{\"data\":\"x\"}{\"data\":\"y\"}", "garbage after the object" },
    { "{\"data\":\"x\"},", "garbage after the object" },
    { "{\"data\":\"x\"}\n\"y\"", "garbage after the object" },

    { "{\"base64\":\"Zg\"}", "bad base64" },
    { "{\"base64\":\"Zg=\"}", "bad base64" },
    { "{\"base64\":\"Zh==\"}", "bad base64" },
    { "{\"base64\":\"Zm9=\"}", "bad base64" },
    { "{\"base64\":\"Z===\"}", "bad base64" },
    { "{\"base64\":\"====\"}", "bad base64" },
    { "{\"base64\":\"Zg==Zg==\"}", "bad base64" },
    { "{\"base64\":\"Zm=v\"}", "bad base64" },
    { "{\"base64\":\"Zm9v\\n\"}", "bad base64" },
    { "{\"base64\":\"Zm 9\"}", "bad base64" },
    { "{\"base64\":\"__--\"}", "bad base64" },
    { "{\"base64\":\"\xc3\xa4\xc3\xa4\"}", "bad base64" },

    { "{\"data\":\"\xff\"}", "text is not valid UTF-8" },
    { "{\"data\":\"\xed\xa0\x80\"}", "text is not valid UTF-8" },
    { "{\"data\":\f\"x\"}", "control character" },
    { "{\"data\":\"x\v\"}", "control character" },
    { "{\"data\":\"x\"}\xc3", "text is not valid UTF-8" },
    { "{\"data\":\"\\ud83c\"}", "unpaired surrogate" },
    { "{\"data\":\"\\ud83cx\\udfb2\"}", "unpaired surrogate" },
    { "{\"data\":\"\\udfb2\"}", "unpaired surrogate" },
    { "{\"data\":\"\\udfb2\\ud83c\"}", "unpaired surrogate" },
    { "{\"data\":\"\\ud83c\\u0041\"}", "unpaired surrogate" },
    { "{\"data\":\"\\ud83c\\ud83c\"}", "unpaired surrogate" },
    { "{\"data\":\"\\udfb2\\udfb2\"}", "unpaired surrogate" },
    { "{\"data\":\"\\ud83c\\ue000\"}", "unpaired surrogate" },
    { "{\"data\":\"\\ud83c\\", "unpaired surrogate" },
    { "{\"data\":\"\\ud83c\\u", "unpaired surrogate" },
    { "{\"data\":\"\\u12\"}",
      "bad JSON: invalid (non-hex) character occurs after '\\u' inside "
      "string." },
};


/* with line and arena of their own sizes: whoever goes beyond is caught */

static int
parse(const char *text, size_t len, ngx_http_rt_batch_line_t *out,
    u_char **arena, char *err, size_t errlen)
{
    int      rc;
    u_char  *line;

    line = malloc(len ? len : 1);
    memcpy(line, text, len);
    *arena = malloc(len ? len : 1);

    rc = ngx_http_rt_batch_parse(line, len, *arena, out, err, errlen);

    /* nothing points into the line */

    memset(line, '#', len);
    free(line);

    return rc;
}


static void
expect(const char *name, const u_char *p, size_t len, const char *want,
    const char *line)
{
    if (len != strlen(want) || (len && memcmp(p, want, len) != 0)) {
        fail_msg("%s of %s: \"%.*s\"", name, line, (int) len, p);
    }
}


static void
test_good(void **state)
{
    char                       err[NGX_HTTP_RT_BATCH_ERROR_LEN];
    size_t                     i;
    u_char                    *arena;
    const batch_good_t        *g;
    ngx_http_rt_batch_line_t   out;

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        g = &good[i];

        if (parse(g->line, strlen(g->line), &out, &arena, err, sizeof(err))
            != 0)
        {
            fail_msg("%s: %s", g->line, err);
        }

        expect("topic", out.topic, out.topic_len, g->topic, g->line);
        expect("event", out.event, out.event_len, g->event, g->line);
        expect("type", out.type, out.type_len, g->type, g->line);
        expect("data", out.data, out.data_len, g->data, g->line);

        assert_int_equal(out.topic_given, g->topic_given);
        assert_int_equal(out.binary, g->binary);
        assert_int_equal(out.data_given, 1);

        free(arena);
    }
}


static void
test_bad(void **state)
{
    int                        rc;
    char                       err[NGX_HTTP_RT_BATCH_ERROR_LEN];
    size_t                     i;
    u_char                    *arena;
    ngx_http_rt_batch_line_t   out;

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rc = parse(bad[i].line, strlen(bad[i].line), &out, &arena, err,
                   sizeof(err));
        free(arena);

        if (rc != -1 || strcmp(err, bad[i].error) != 0) {
            fail_msg("%s: %s, should be %s", bad[i].line, rc ? err : "good",
                     bad[i].error);
        }
    }
}


/* no line that is cut is taken */

static void
test_cut(void **state)
{
    char                       err[NGX_HTTP_RT_BATCH_ERROR_LEN];
    size_t                     len;
    u_char                    *arena;
    ngx_http_rt_batch_line_t   out;
    static const char          line[] = "{\"topic\":\"\\ud83c\\udfb2\","
                                        "\"event\":\"\xe2\x82\xac\","
                                        "\"base64\":\"Zg==\"}";

    (void) state;

    for (len = 0; len < sizeof(line) - 1; len++) {
        assert_int_equal(parse(line, len, &out, &arena, err, sizeof(err)), -1);
        assert_true(strlen(err) > 0);
        free(arena);
    }

    assert_int_equal(parse(line, len, &out, &arena, err, sizeof(err)), 0);
    free(arena);
}


static void
test_nul(void **state)
{
    char                       err[NGX_HTTP_RT_BATCH_ERROR_LEN];
    u_char                    *arena;
    ngx_http_rt_batch_line_t   out;

    (void) state;

    assert_int_equal(parse("{\"data\":\"a\\u0000b\"}", 19, &out, &arena, err,
                           sizeof(err)), 0);
    assert_int_equal(out.data_len, 3);
    assert_memory_equal(out.data, "a\0b", 3);
    free(arena);

    assert_int_equal(parse("{\"data\":\"x\"}\0", 13, &out, &arena, err,
                           sizeof(err)), -1);
    assert_string_equal(err, "garbage after the object");
    free(arena);
}


/* an error too long for its place is cut, not written beyond it */

static void
test_short_error(void **state)
{
    char                       err[8];
    u_char                    *arena;
    ngx_http_rt_batch_line_t   out;

    (void) state;

    memset(err, '#', sizeof(err));

    assert_int_equal(parse("17", 2, &out, &arena, err, 5), -1);
    assert_memory_equal(err, "line\0###", 8);
    free(arena);
}


static void
test_large(void **state)
{
    char                      *line, err[NGX_HTTP_RT_BATCH_ERROR_LEN];
    size_t                     i, len;
    u_char                    *arena;
    ngx_http_rt_batch_line_t   out;

    (void) state;

    len = 300000;
    line = malloc(len + 16);

    memcpy(line, "{\"data\":\"", 9);
    memset(line + 9, 'x', len);
    memcpy(line + 9 + len, "\\n\"}", 4);

    assert_int_equal(parse(line, len + 13, &out, &arena, err, sizeof(err)), 0);
    assert_int_equal(out.data_len, len + 1);

    for (i = 0; i < len; i++) {
        assert_int_equal(out.data[i], 'x');
    }

    free(arena);

    /* nesting is refused where it begins, however deep it would go */

    memcpy(line, "{\"data\":", 8);
    memset(line + 8, '[', len);

    assert_int_equal(parse(line, len + 8, &out, &arena, err, sizeof(err)), -1);
    assert_string_equal(err, "\"data\" is an array, not a string");

    free(arena);
    free(line);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_short_error),
        cmocka_unit_test(test_large),
    };

    if (getenv("CMOCKA_MESSAGE_OUTPUT") == NULL) {
        cmocka_set_message_output(CM_OUTPUT_TAP);
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}
