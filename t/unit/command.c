/*
 * Commands of WebSocket clients: what is found in them, and what is told of
 * those that are none.
 *
 * Sources: ngx_http_rt_command.c ngx_http_rt_utf8.c
 * Sources: ngx_http_rt_json_text.c ngx_http_rt_json_reader.c
 * Libs: -lyajl
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_command.h>


typedef struct {
    const char  *text;
    const char  *id;
    const char  *name;
    const char  *data;
    const char  *key;
    int64_t      version;               /* -1: none */
} command_good_t;


typedef struct {
    const char  *text;
    const char  *id;
    const char  *error;
} command_bad_t;


static const command_good_t  good[] = {
    { "{\"command\":\"bid\"}", "", "bid", "", "", -1 },
    { "{\"id\":1,\"command\":\"bid\",\"data\":{\"amount\":150}}", "1", "bid",
      "{\"amount\":150}", "", -1 },
    { " { \"data\" : { \"a\" : [ 1 , {} ] } , \"id\" : \"x\\\"y\" ,\n"
      "\"version\" : 7 , \"key\":\"k\\u0031\",\"command\":\"b\\u0069d\" } ",
      "\"x\\\"y\"", "bid", "{ \"a\" : [ 1 , {} ] }", "k1", 7 },
    { "{\"command\":\"a\",\"id\":-1.50e3}", "-1.50e3", "a", "", "", -1 },
    { "{\"command\":\"a\",\"id\":null,\"data\":null,\"key\":null}", "", "a",
      "", "", -1 },
    { "{\"command\":\"a\",\"data\":{}}", "", "a", "{}", "", -1 },
    { "{\"command\":\"a\",\"data\":{\"id\":9,\"command\":8,\"version\":-1}}",
      "", "a", "{\"id\":9,\"command\":8,\"version\":-1}", "", -1 },
    { "{\"x\":[{\"id\":1}],\"y\":true,\"z\":\"\",\"command\":\"a\"}", "", "a",
      "", "", -1 },
    { "{\"command\":\"a\",\"version\":0}", "", "a", "", "", 0 },
    { "{}", "", "", "", "", -1 },
    { "{\"id\":1,\"command\":\"\"}", "1", "", "", "", -1 },
    { "{\"command\":\"a\",\"version\":999999999999999999}", "", "a", "", "",
      999999999999999999 },
};


static const command_bad_t  bad[] = {
    { "", "", "malformed JSON at byte 0" },
    { "{\"id\":6", "", "malformed JSON at byte 7" },
    { "{\"version\":6", "", "malformed JSON at byte 12" },
    { "7", "", "malformed JSON at byte 1" },
    { "[]", "", "message is not a JSON object" },
    { "null", "", "message is not a JSON object" },
    { "{\"id\":1,\"command\":[]}", "1", "\"command\" must be a string" },
    { "{\"id\":true}", "", "\"id\" must be a number or a string" },
    { "{\"data\":[]}", "", "\"data\" must be an object" },
    { "{\"data\":\"{}\"}", "", "\"data\" must be an object" },
    { "{\"key\":1}", "", "\"key\" must be a string" },
    { "{\"version\":\"1\"}", "", "\"version\" must be a number" },
    { "{\"version\":1.0}", "",
      "\"version\" must be a whole number, not negative" },
    { "{\"version\":1000000000000000000}", "",
      "\"version\" must be a whole number, not negative" },
    { "{\"id\":1,\"id\":2}", "1", "\"id\" comes twice" },
    { "{\"command\":\"a\"} x", "", "malformed JSON at byte 17" },
    { "{\"command\":\"x\",\"id\"\f:1}", "", "control character" },
    { "{\"command\":\"x\",\v\"id\":1}", "", "control character" },
    { "{\"command\":\"x\",\"key\":\"\\ud83c\"}", "",
      "unpaired surrogate" },
    { "{\"command\":\"x\",\"key\":\"\\udfb2\\ud83c\"}", "",
      "unpaired surrogate" },
    { "{\"command\":\"x\",\"data\":{\"a\":\"\\ud83c\"}}", "",
      "unpaired surrogate" },
    { "{\"command\":\"\xff\"}", "", "text is not valid UTF-8" },
    { "{\"id\":\"123456789-123456789-123456789-123456789-123456789-12345678"
      "9-123\"}", "", "\"id\" is longer than 64 bytes" },
};


/* from memory of its own, so that a read beyond it is seen */

static int
parse(const char *text, ngx_http_rt_command_t *c, u_char **copy,
    u_char **arena, char *err, size_t errlen)
{
    size_t  len;

    len = strlen(text);

    *copy = malloc(len + 1);
    *arena = malloc(len + 1);
    memcpy(*copy, text, len);

    return ngx_http_rt_command_parse(*copy, len, *arena, c, err, errlen);
}


static void
same(const u_char *p, size_t len, const char *s)
{
    assert_int_equal(len, strlen(s));

    if (len) {
        assert_memory_equal(p, s, len);
    }
}


static void
test_good(void **state)
{
    char                    err[128];
    size_t                  i;
    u_char                 *copy, *arena;
    ngx_http_rt_command_t   c;

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {

        assert_int_equal(parse(good[i].text, &c, &copy, &arena, err,
                               sizeof(err)), 0);

        same(c.id, c.id_len, good[i].id);
        same(c.name, c.name_len, good[i].name);
        same(c.data, c.data_len, good[i].data);
        same(c.key, c.key_len, good[i].key);

        assert_int_equal(c.has_version, good[i].version != -1);
        assert_int_equal(c.version, c.has_version ? good[i].version : 0);

        free(copy);
        free(arena);
    }
}


static void
test_bad(void **state)
{
    char                    err[128];
    size_t                  i;
    u_char                 *copy, *arena;
    ngx_http_rt_command_t   c;

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {

        assert_int_equal(parse(bad[i].text, &c, &copy, &arena, err,
                               sizeof(err)), -1);
        assert_string_equal(err, bad[i].error);
        same(c.id, c.id_len, bad[i].id);

        free(copy);
        free(arena);
    }
}


/* no beginning of a command is one */

static void
test_cut(void **state)
{
    char                    err[128];
    size_t                  len, i;
    u_char                 *copy, *arena;
    ngx_http_rt_command_t   c;

    (void) state;

    len = strlen(good[2].text) - 1;
    arena = malloc(len);

    for (i = 0; i < len; i++) {
        copy = malloc(i + 1);
        memcpy(copy, good[2].text, i);

        assert_int_equal(ngx_http_rt_command_parse(copy, i, arena, &c, err,
                                                   sizeof(err)), -1);
        free(copy);
    }

    free(arena);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
