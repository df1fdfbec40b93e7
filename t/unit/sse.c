/*
 * The event stream form: examples, and every short text of letters and line
 * ends through a reader written after the standard.
 *
 * Sources: ngx_http_rt_sse_encode.c ngx_http_rt_json.c ngx_http_rt_json_value.c
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

#include <ngx_http_rt_json.h>
#include <ngx_http_rt_sse_encode.h>


typedef struct {
    const char  *event;
    const char  *data;
    unsigned     binary;
    const char  *expect;             /* after the id's line */
} sse_case_t;


static const sse_case_t  cases[] = {
    { "", "Hello", 0, "data: Hello\n\n" },
    { "", "", 0, "data: \n\n" },
    { "join", "ann", 0, "event: join\ndata: ann\n\n" },
    { "", " two spaces", 0, "data:  two spaces\n\n" },
    { "", "a\nb", 0, "data: a\ndata: b\n\n" },
    { "", "a\rb", 0, "data: a\ndata: b\n\n" },
    { "", "a\r\nb", 0, "data: a\ndata: b\n\n" },
    { "", "a\n\rb", 0, "data: a\ndata: \ndata: b\n\n" },
    { "", "a\r\r\nb", 0, "data: a\ndata: \ndata: b\n\n" },
    { "", "a\n", 0, "data: a\ndata: \n\n" },
    { "", "a\r\n", 0, "data: a\ndata: \n\n" },
    { "", "a\r", 0, "data: a\ndata: \n\n" },
    { "", "\n", 0, "data: \ndata: \n\n" },
    { "", "\n\n\n", 0, "data: \ndata: \ndata: \ndata: \n\n" },
    { "", "data: x\nid: y\n\nz", 0,
      "data: data: x\ndata: id: y\ndata: \ndata: z\n\n" },
    { "", "\xff", 1, "event: realtime:binary\ndata: /w==\n\n" },
    { "", "", 1, "event: realtime:binary\ndata: \n\n" },
    { "picture", "foobar", 1, "event: picture\ndata: Zm9vYmFy\n\n" },
};


static void
message(ngx_http_rt_message_t *m, const sse_case_t *c)
{
    memset(m, 0, sizeof(ngx_http_rt_message_t));

    m->epoch = 0x5f3a;
    m->seq = 17;
    m->time = 1;
    m->topic = (const u_char *) "a";
    m->topic_len = 1;
    m->event = (const u_char *) c->event;
    m->event_len = (uint8_t) strlen(c->event);
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

        len = snprintf(want, sizeof(want), "id: 5f3a-17\n%s",
                       cases[i].expect);
        size = ngx_http_rt_sse_size(&m);
        buf = malloc(size);
        end = ngx_http_rt_sse_write(buf, &m);

        assert_in_range(end - buf, 1, size);

        if ((size_t) (end - buf) != len || memcmp(buf, want, len) != 0) {
            fail_msg("\"%.*s\", should be \"%s\"", (int) (end - buf), buf,
                     want);
        }

        free(buf);

        /* and with the largest id */

        m.epoch = UINT64_MAX;
        m.seq = UINT64_MAX;

        buf = malloc(size);
        end = ngx_http_rt_sse_write(buf, &m);
        assert_in_range(end - buf, 1, size);
        free(buf);
    }
}


static void
test_envelope(void **state)
{
    size_t                  len, size;
    u_char                 *buf, *end;
    const char             *want;
    ngx_http_rt_message_t   m;
    static const sse_case_t lines = { "join", "a\r\nb", 0, NULL };
    static const sse_case_t binary = { "", "\xff", 1, NULL };

    (void) state;

    message(&m, &lines);
    want = "id: 5f3a-17\n"
           "data: {\"id\":\"5f3a-17\",\"topic\":\"a\",\"time\":1,"
           "\"event\":\"join\",\"data\":\"a\\r\\nb\"}\n\n";

    size = ngx_http_rt_sse_json_size(&m);
    buf = malloc(size);
    end = ngx_http_rt_sse_json_write(buf, &m);
    len = end - buf;

    assert_in_range(len, 1, size);
    assert_int_equal(len, strlen(want));
    assert_memory_equal(buf, want, len);
    free(buf);

    /* the form says that it is binary, so the event need not */

    message(&m, &binary);
    want = "id: 5f3a-17\ndata: {\"id\":\"5f3a-17\",\"topic\":\"a\","
           "\"time\":1,\"base64\":\"/w==\"}\n\n";

    size = ngx_http_rt_sse_json_size(&m);
    buf = malloc(size);
    end = ngx_http_rt_sse_json_write(buf, &m);
    len = end - buf;

    assert_in_range(len, 1, size);
    assert_int_equal(len, strlen(want));
    assert_memory_equal(buf, want, len);
    free(buf);
}


static void
test_empty(void **state)
{
    u_char                  buf[128], *end;
    ngx_http_rt_message_t   m;

    (void) state;

    memset(&m, 0, sizeof(ngx_http_rt_message_t));

    assert_in_range(ngx_http_rt_sse_size(&m), 16, sizeof(buf));
    end = ngx_http_rt_sse_write(buf, &m);

    assert_int_equal(end - buf, 16);
    assert_memory_equal(buf, "id: 0-0\ndata: \n\n", 16);
}


/*
 * WHATWG HTML, 9.2.6, for one event: what is dispatched as data.  Returns its
 * length, -1 if nothing is dispatched or something is left over.
 */

static int
client(const u_char *p, size_t len, char *data)
{
    int            n;
    size_t         size;
    const u_char  *last, *eol;

    n = 0;

    for (last = p + len; p < last; p = eol + 1) {
        eol = p;

        while (eol < last && *eol != '\n') {
            if (*eol == '\r') {
                return -1;
            }

            eol++;
        }

        if (eol == last) {
            return -1;
        }

        if (eol == p) {
            if (n == 0 || eol + 1 != last) {
                return -1;
            }

            return n - 1;
        }

        size = eol - p;

        if (size >= 5 && memcmp(p, "data:", 5) == 0) {
            p += 5;

            if (*p == ' ') {
                p++;
            }

            memcpy(data + n, p, eol - p);
            n += eol - p;
            data[n++] = '\n';

        } else if (size < 4 || memcmp(p, "id: ", 4) != 0) {
            return -1;
        }
    }

    return -1;
}


/* what the text is once its line ends are LF */

static int
normal(const char *s, size_t len, char *out)
{
    int     n;
    size_t  i;

    n = 0;

    for (i = 0; i < len; i++) {

        if (s[i] != '\r') {
            out[n++] = s[i];
            continue;
        }

        out[n++] = '\n';

        if (i + 1 < len && s[i + 1] == '\n') {
            i++;
        }
    }

    return n;
}


static void
check(const char *s, size_t len)
{
    int                     n, got;
    char                    want[128], data[128];
    size_t                  size;
    u_char                 *buf, *end;
    sse_case_t              c;
    ngx_http_rt_message_t   m;

    memset(&c, 0, sizeof(sse_case_t));
    c.event = "";
    c.data = "";

    message(&m, &c);
    m.data = (const u_char *) s;
    m.data_len = (uint32_t) len;

    size = ngx_http_rt_sse_size(&m);
    buf = malloc(size);
    end = ngx_http_rt_sse_write(buf, &m);

    assert_in_range(end - buf, 1, size);

    n = normal(s, len, want);
    got = client(buf, end - buf, data);

    assert_int_equal(got, n);
    assert_memory_equal(data, want, n);

    free(buf);
}


static void
test_every_short_text(void **state)
{
    char    s[8];
    size_t  len, i, k, n, all;

    (void) state;

    for (len = 0, all = 1; len <= 7; len++, all *= 4) {
        for (i = 0; i < all; i++) {
            for (k = 0, n = i; k < len; k++, n /= 4) {
                s[k] = "a \r\n"[n % 4];
            }

            check(s, len);
        }
    }
}


/* a line end at each place of the words that lines are searched in */

static void
test_words(void **state)
{
    char    s[33];
    size_t  len, at, end;

    (void) state;

    for (len = 1; len < sizeof(s); len++) {
        for (at = 0; at < len; at++) {
            for (end = 0; end < 3; end++) {
                memset(s, "x\xff\x0b"[end], sizeof(s));
                memcpy(s + at, &"\n\0\r\0\r\n"[end * 2], end == 2 ? 2 : 1);
                check(s, len);
            }
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_message),
        cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_every_short_text),
        cmocka_unit_test(test_words),
    };

    if (getenv("CMOCKA_MESSAGE_OUTPUT") == NULL) {
        cmocka_set_message_output(CM_OUTPUT_TAP);
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}
