/*
 * The JSON form, its escapes and base64.
 *
 * Sources: ngx_http_rt_json.c ngx_http_rt_id.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_json.h>


typedef struct {
    const char  *topic;
    const char  *event;
    const char  *type;
    const char  *data;
    unsigned     binary;
    const char  *expect;             /* after the id */
} json_case_t;


static const json_case_t  cases[] = {
    { "chat/42", "", "", "Hello", 0,
      "\"topic\":\"chat/42\",\"time\":1700000000123,\"data\":\"Hello\"}" },
    { "a", "join", "", "", 0,
      "\"topic\":\"a\",\"time\":1700000000123,\"event\":\"join\","
      "\"data\":\"\"}" },
    { "a", "", "text/plain", "x", 0,
      "\"topic\":\"a\",\"time\":1700000000123,\"type\":\"text/plain\","
      "\"data\":\"x\"}" },
    { "a", "e", "application/json", "{\"k\":\"v\\n\"}\n", 0,
      "\"topic\":\"a\",\"time\":1700000000123,\"event\":\"e\","
      "\"type\":\"application/json\","
      "\"data\":\"{\\\"k\\\":\\\"v\\\\n\\\"}\\n\"}" },
    { "a", "", "", "\xff\x01", 1,
      "\"topic\":\"a\",\"time\":1700000000123,\"base64\":\"/wE=\"}" },
    { "a", "", "image/png", "", 1,
      "\"topic\":\"a\",\"time\":1700000000123,\"type\":\"image/png\","
      "\"base64\":\"\"}" },
    { "k\xc3\xa4se \"1\"", "\xe2\x82\xac", "a/b; c=\"d\"", "\xf0\x9f\x8e\xb2",
      0,
      "\"topic\":\"k\xc3\xa4se \\\"1\\\"\",\"time\":1700000000123,"
      "\"event\":\"\xe2\x82\xac\",\"type\":\"a/b; c=\\\"d\\\"\","
      "\"data\":\"\xf0\x9f\x8e\xb2\"}" },
};


static void
message(ngx_http_rt_message_t *m, const json_case_t *c)
{
    memset(m, 0, sizeof(ngx_http_rt_message_t));

    m->epoch = 0x5f3a;
    m->seq = 17;
    m->time = 1700000000123ULL;
    m->topic = (const u_char *) c->topic;
    m->topic_len = (uint8_t) strlen(c->topic);
    m->event = (const u_char *) c->event;
    m->event_len = (uint8_t) strlen(c->event);
    m->type = (const u_char *) c->type;
    m->type_len = (uint8_t) strlen(c->type);
    m->data = (const u_char *) c->data;
    m->data_len = (uint32_t) strlen(c->data);
    m->binary = c->binary;
}


static void
test_message(void **state)
{
    char                    want[512];
    size_t                  i, len, size;
    u_char                 *buf, *end;
    ngx_http_rt_message_t   m;

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        message(&m, &cases[i]);

        len = snprintf(want, sizeof(want), "{\"id\":\"5f3a-17\",%s",
                       cases[i].expect);
        size = ngx_http_rt_json_size(&m);
        buf = malloc(size);
        end = ngx_http_rt_json_write(buf, &m);

        assert_in_range(end - buf, 1, size);

        if ((size_t) (end - buf) != len || memcmp(buf, want, len) != 0) {
            fail_msg("%.*s, should be %s", (int) (end - buf), buf, want);
        }

        free(buf);
    }
}


/* the bound holds for the largest numbers, and is not far above for small */

static void
test_message_size(void **state)
{
    size_t                  size;
    u_char                 *buf;
    ngx_http_rt_message_t   m;

    (void) state;

    message(&m, &cases[0]);
    m.epoch = UINT64_MAX;
    m.seq = UINT64_MAX;
    m.time = UINT64_MAX;

    size = ngx_http_rt_json_size(&m);
    buf = malloc(size);

    assert_int_equal(ngx_http_rt_json_write(buf, &m) - buf, size);

    m.epoch = 0;
    m.seq = 0;
    m.time = 0;

    assert_true(ngx_http_rt_json_write(buf, &m) - buf + 64 > (long) size);

    free(buf);
}


/* what is not given may have no bytes at all */

static void
test_message_empty(void **state)
{
    u_char                  buf[128], *end;
    ngx_http_rt_message_t   m;

    (void) state;

    memset(&m, 0, sizeof(ngx_http_rt_message_t));
    m.topic = (const u_char *) "a";
    m.topic_len = 1;

    assert_in_range(ngx_http_rt_json_size(&m), 43, sizeof(buf));
    end = ngx_http_rt_json_write(buf, &m);

    assert_int_equal(end - buf, 43);
    assert_memory_equal(buf, "{\"id\":\"0-0\",\"topic\":\"a\",\"time\":0,"
                             "\"data\":\"\"}", 43);
}


static void
expect(const u_char *s, size_t len, const char *want)
{
    size_t   size;
    u_char  *buf, *end;

    size = ngx_http_rt_json_escape_size(s, len);
    assert_int_equal(size, strlen(want));

    buf = malloc(size + 1);
    end = ngx_http_rt_json_escape(buf, s, len);

    assert_int_equal(end - buf, size);
    assert_memory_equal(buf, want, size);

    free(buf);
}


/* each ASCII byte at each place of a text around the word size */

static void
test_escape(void **state)
{
    char      want[64];
    size_t    len, at;
    u_char    s[20];
    unsigned  ch;

    (void) state;

    for (ch = 0; ch < 0x80; ch++) {
        for (len = 1; len < sizeof(s); len++) {
            for (at = 0; at < len; at++) {
                memset(s, 'x', len);
                memset(want, 'x', sizeof(want));
                s[at] = (u_char) ch;

                switch (ch) {
                case '"':
                    strcpy(want + at, "\\\"");
                    break;
                case '\\':
                    strcpy(want + at, "\\\\");
                    break;
                case '\b':
                    strcpy(want + at, "\\b");
                    break;
                case '\t':
                    strcpy(want + at, "\\t");
                    break;
                case '\n':
                    strcpy(want + at, "\\n");
                    break;
                case '\f':
                    strcpy(want + at, "\\f");
                    break;
                case '\r':
                    strcpy(want + at, "\\r");
                    break;
                default:
                    sprintf(want + at, ch < 0x20 ? "\\u%04x" : "%c", ch);
                }

                strncat(want, "xxxxxxxxxxxxxxxxxxxxxxx", len - at - 1);
                expect(s, len, want);
            }
        }
    }
}


static void
test_escape_not(void **state)
{
    size_t  i;
    u_char  s[8];
    char    want[9];

    (void) state;

    expect((const u_char *) "", 0, "");
    expect((const u_char *) "/", 1, "/");

    /* whatever has its high bit set is left alone, in any company */

    for (i = 0x80; i < 0x100; i++) {
        memset(s, (int) i, sizeof(s));
        memcpy(want, s, sizeof(s));
        want[8] = '\0';
        expect(s, sizeof(s), want);
    }

    expect((const u_char *) "\xa2\xdc\x9f\x82\x8a\x8d\xff\x80\n", 9,
           "\xa2\xdc\x9f\x82\x8a\x8d\xff\x80\\n");

    /* a byte that is escaped borrows from the next one in the word's test */

    expect((const u_char *) "\"#\"#\\]\\]", 8, "\\\"#\\\"#\\\\]\\\\]");
}


static void
test_escape_nul(void **state)
{
    (void) state;

    expect((const u_char *) "\0\0", 2, "\\u0000\\u0000");
    expect((const u_char *) "\0\0\0\0\0\0\0\x1f", 8,
           "\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u001f");
}


/* RFC 4648, 10 */

static void
test_base64(void **state)
{
    size_t   i, len;
    u_char   buf[64], *end;
    struct {
        const char  *bytes;
        const char  *text;
    } vectors[] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
        { "\xff\xff\xfe\xfb\xff\xbf\x10", "///++/+/EA==" },
    };

    (void) state;

    for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        len = strlen(vectors[i].bytes);

        end = ngx_http_rt_base64_write(buf, (u_char *) vectors[i].bytes, len);

        assert_int_equal(end - buf, strlen(vectors[i].text));
        assert_int_equal(end - buf, ngx_http_rt_base64_size(len));
        assert_memory_equal(buf, vectors[i].text, end - buf);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_message),
        cmocka_unit_test(test_message_size),
        cmocka_unit_test(test_message_empty),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_escape_not),
        cmocka_unit_test(test_escape_nul),
        cmocka_unit_test(test_base64),
    };

    if (getenv("CMOCKA_MESSAGE_OUTPUT") == NULL) {
        cmocka_set_message_output(CM_OUTPUT_TAP);
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}
