/*
 * Requests of the multiplexing session: what is found in them, and what is told
 * of those that are none.
 *
 * Sources: ngx_http_rt_native_request.c ngx_http_rt_utf8.c
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

#include <ngx_http_rt_native_request.h>


typedef struct {
    const char  *text;
    unsigned     operation;
    const char  *ref;
    unsigned     json;
    const char  *fields[NGX_HTTP_RT_NATIVE_FIELDS];   /* NULL: not given */
} request_good_t;


typedef struct {
    const char  *text;
    const char  *ref;
    const char  *error;
} request_bad_t;


/* topic, id, data, base64, event, type, key */

static const request_good_t  good[] = {
    { "{\"subscribe\":{\"topic\":\"a/b\"}}",
      NGX_HTTP_RT_NATIVE_SUBSCRIBE, "", 0, { "a/b" } },
    { "{\"subscribe\":{\"topic\":\"a\",\"id\":\"5f-1\"},\"ref\":1}",
      NGX_HTTP_RT_NATIVE_SUBSCRIBE, "1", 0, { "a", "5f-1" } },
    { "{\"ref\":\"x\\\"y\",\"unsubscribe\":{\"topic\":\"\"}}",
      NGX_HTTP_RT_NATIVE_UNSUBSCRIBE, "\"x\\\"y\"", 0, { "" } },
    { "{\"publish\":{\"topic\":\"a\",\"data\":\"\\u00e4\\n\",\"event\":\"e\","
      "\"type\":\"t/t\",\"key\":\"k\"},\"ref\":-1.50e3}",
      NGX_HTTP_RT_NATIVE_PUBLISH, "-1.50e3", 0,
      { "a", NULL, "\xc3\xa4\n", NULL, "e", "t/t", "k" } },
    { "{\"publish\":{\"topic\":\"a\",\"base64\":\"AAEC\"}}",
      NGX_HTTP_RT_NATIVE_PUBLISH, "", 0, { "a", NULL, NULL, "AAEC" } },
    { "{\"publish\":{\"data\": { \"topic\" : [ 1 , {} ] } ,\"topic\":\"a\"}}",
      NGX_HTTP_RT_NATIVE_PUBLISH, "", 1,
      { "a", NULL, "{ \"topic\" : [ 1 , {} ] }" } },
    { "{\"publish\":{\"topic\":\"a\",\"data\" :\n[]}}",
      NGX_HTTP_RT_NATIVE_PUBLISH, "", 1, { "a", NULL, "[]" } },
    { "{\"publish\":{\"topic\":\"a\",\"data\": 1.50 }}",
      NGX_HTTP_RT_NATIVE_PUBLISH, "", 1, { "a", NULL, "1.50" } },
    { "{\"publish\":{\"topic\":\"a\",\"data\":null}}",
      NGX_HTTP_RT_NATIVE_PUBLISH, "", 1, { "a", NULL, "null" } },
    { "{\"publish\":{\"topic\":\"a\",\"data\":false}}",
      NGX_HTTP_RT_NATIVE_PUBLISH, "", 1, { "a", NULL, "false" } },
    { " { \"x\" : { \"ref\" : 3 , \"topic\" : 4 } , \"ping\" : { } ,\n"
      "\"y\" : [ { \"publish\" : { } } ] , \"ref\" : 2 } ",
      NGX_HTTP_RT_NATIVE_PING, "2", 0, { NULL } },
    { "{\"pong\":{\"x\":{\"topic\":\"a\"},\"y\":1}}",
      NGX_HTTP_RT_NATIVE_PONG, "", 0, { NULL } },
    { "{\"command\":{},\"x\":null,\"y\":true,\"z\":\"\"}",
      NGX_HTTP_RT_NATIVE_COMMAND, "", 0, { NULL } },
};


static const request_bad_t  bad[] = {
    { "", "", "malformed JSON at byte 0" },
    { "{\"ref\":6", "", "malformed JSON at byte 8" },
    { "{\"ref\":1,", "1", "malformed JSON at byte 9" },
    { "7", "", "malformed JSON at byte 1" },
    { "[]", "", "message is not a JSON object" },
    { "null", "", "message is not a JSON object" },
    { "{}", "", "no operation is named" },
    { "{\"ref\":1}", "1", "no operation is named" },
    { "{\"dance\":{},\"ref\":1}", "1", "no operation is named" },
    { "{\"ref\":1,\"ping\":{},\"pong\":{}}", "1", "more than one operation" },
    { "{\"ping\":{},\"ping\":{}}", "", "more than one operation" },
    { "{\"ping\":1}", "", "\"ping\" must be an object" },
    { "{\"ping\":null}", "", "\"ping\" must be an object" },
    { "{\"publish\":[]}", "", "\"publish\" must be an object" },
    { "{\"ref\":true}", "", "\"ref\" must be a number or a string" },
    { "{\"ref\":{}}", "", "\"ref\" must be a number or a string" },
    { "{\"ref\":1,\"ref\":2}", "1", "\"ref\" comes twice" },
    { "{\"subscribe\":{\"topic\":1},\"ref\":1}", "",
      "\"topic\" must be a string" },
    { "{\"ref\":1,\"subscribe\":{\"id\":{}}}", "1", "\"id\" must be a string" },
    { "{\"publish\":{\"key\":null}}", "", "\"key\" must be a string" },
    { "{\"publish\":{\"data\":1,\"data\":2}}", "", "\"data\" comes twice" },
    { "{\"publish\":{\"topic\":\"\",\"topic\":\"\"}}", "",
      "\"topic\" comes twice" },
    { "{\"ping\":{}} x", "", "malformed JSON at byte 13" },
    { "{\"ping\"\f:{}}", "", "control character" },
    { "{\"subscribe\":{\"topic\":\"\\ud83c\"}}", "", "unpaired surrogate" },
    { "{\"subscribe\":{\"topic\":\"\xff\"}}", "", "text is not valid UTF-8" },
    { "{\"ref\":\"123456789-123456789-123456789-123456789-123456789-1234567"
      "89-123\"}", "", "\"ref\" is longer than 64 bytes" },
};


/* from memory of its own, so that a read beyond it is seen */

static int
parse(const char *text, size_t len, ngx_http_rt_native_request_t *r,
    u_char **copy, u_char **arena, char *err, size_t errlen)
{
    *copy = malloc(len + 1);
    *arena = malloc(len + 1);

    memset(err, 0, errlen);
    memcpy(*copy, text, len);
    *copy = realloc(*copy, len ? len : 1);
    *arena = realloc(*arena, len ? len : 1);

    return ngx_http_rt_native_request_parse(*copy, len, *arena, r, err,
                                            errlen);
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
    char                           err[128];
    size_t                         i, f;
    u_char                        *copy, *arena;
    ngx_http_rt_native_request_t   r;

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {

        if (parse(good[i].text, strlen(good[i].text), &r, &copy, &arena, err,
                  sizeof(err))
            != 0)
        {
            fail_msg("%s: %s", good[i].text, err);
        }

        assert_int_equal(r.operation, good[i].operation);
        assert_int_equal(r.json, good[i].json);
        same(r.ref, r.ref_len, good[i].ref);

        for (f = 0; f < NGX_HTTP_RT_NATIVE_FIELDS; f++) {

            if (good[i].fields[f] == NULL) {
                assert_null(r.fields[f].p);
                continue;
            }

            assert_non_null(r.fields[f].p);
            same(r.fields[f].p, r.fields[f].len, good[i].fields[f]);
        }

        free(copy);
        free(arena);
    }
}


static void
test_bad(void **state)
{
    char                           err[128];
    size_t                         i;
    u_char                        *copy, *arena;
    ngx_http_rt_native_request_t   r;

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {

        assert_int_equal(parse(bad[i].text, strlen(bad[i].text), &r, &copy,
                               &arena, err, sizeof(err)), -1);
        assert_string_equal(err, bad[i].error);
        same(r.ref, r.ref_len, bad[i].ref);

        free(copy);
        free(arena);
    }
}


/* no beginning of a request is one */

static void
test_cut(void **state)
{
    char                           err[128];
    size_t                         n, len, i;
    u_char                        *copy, *arena;
    ngx_http_rt_native_request_t   r;

    (void) state;

    for (n = 0; n < sizeof(good) / sizeof(good[0]); n++) {
        len = strlen(good[n].text);

        while (good[n].text[len - 1] == ' ') {
            len--;
        }

        for (i = 0; i < len; i++) {
            assert_int_equal(parse(good[n].text, i, &r, &copy, &arena, err,
                                   sizeof(err)), -1);
            free(copy);
            free(arena);
        }
    }
}


/* 64 levels are read, in data as in what nobody knows; one more is not */

static void
test_depth(void **state)
{
    int                            rc, known;
    char                           err[128], text[512], *p;
    size_t                         depth, i, n;
    u_char                        *copy, *arena;
    ngx_http_rt_native_request_t   r;

    (void) state;

    for (known = 0; known < 2; known++) {
        for (depth = 64; depth <= 65; depth++) {

            p = stpcpy(text, known ? "{\"publish\":{\"data\":"
                                   : "{\"ping\":{},\"x\":");
            n = depth - (known ? 2 : 1);

            for (i = 0; i < n; i++) {
                *p++ = '[';
            }

            for (i = 0; i < n; i++) {
                *p++ = ']';
            }

            p = stpcpy(p, known ? "}}" : "}");

            rc = parse(text, (size_t) (p - text), &r, &copy, &arena, err,
                       sizeof(err));

            if (depth == 64) {
                assert_int_equal(rc, 0);

            } else {
                assert_int_equal(rc, -1);
                assert_string_equal(err, "nested too deep");
            }

            free(copy);
            free(arena);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_depth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
