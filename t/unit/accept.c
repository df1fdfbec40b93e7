/*
 * Accept chooses a transport, Prefer tells how long to wait.
 *
 * Sources: ngx_http_rt_accept.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_accept.h>


#define SSE     0
#define SOCKET  1
#define POLL    2
#define STREAM  3
#define NONE    -1

#define CHROME  "text/html,application/xhtml+xml,application/xml;q=0.9,"      \
                "image/avif,image/webp,image/apng,*/*;q=0.8,"                 \
                "application/signed-exchange;v=b3;q=0.7"
#define JAVA    "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"


static const char *const  types[] = {
    "text/event-stream", NULL, "application/json", "application/x-ndjson"
};


/* the same with WebSocket first, and without SSE */

static const char *const  socket_first[] = {
    NULL, "application/x-ndjson", "application/json"
};


static const struct {
    const char  *accept;
    int          index;
} choices[] = {
    { "", SSE },
    { "   ", SSE },
    { " , ,", SSE },
    { "*/*", SSE },
    { "*", SSE },
    { "text/html", SSE },
    { "application/xhtml+xml", SSE },
    { "TEXT/HTML; charset=utf-8", SSE },
    { CHROME, SSE },
    { JAVA, SSE },

    { "text/event-stream", SSE },
    { "application/json", POLL },
    { "application/x-ndjson", STREAM },
    { "Application/JSON", POLL },
    { "application/json;charset=utf-8", POLL },
    { "\tapplication/json ; charset=\"a,b;q=0\" ; x", POLL },
    { "application/x-ndjson;q=0.5;a=\"\\\"\", application/json", POLL },
    { "application/x-ndjson;q=0.5;a=\",\\\\\", application/json", POLL },

    /* exact before wildcards, whatever their weight */

    { "application/json, text/plain, */*", POLL },
    { "*/*, application/json", POLL },
    { "*/*, application/json;q=0.1", POLL },
    { "text/html, application/x-ndjson", STREAM },
    { "text/*, application/json", POLL },

    /* weights, then the client's order */

    { "application/json, application/x-ndjson", POLL },
    { "application/x-ndjson, application/json", STREAM },
    { "application/x-ndjson;q=0.5, application/json", POLL },
    { "application/x-ndjson;q=0.5, application/json;q=0.51", POLL },
    { "application/x-ndjson;q=0.500, application/json;q=0.499", STREAM },
    { "application/x-ndjson;q=0.001, application/json;q=0.002", POLL },
    { "application/json;q=1.0, text/event-stream;q=1.000", POLL },
    { "application/json;Q=0.1, application/x-ndjson;q=0.2", STREAM },
    { "application/json; q = .1 , application/x-ndjson; q = .2", STREAM },
    { "application/json;a=b;q=0.1, application/x-ndjson;q=0.2", STREAM },
    { "application/json;q=0.9, application/x-ndjson;q=7", STREAM },
    { "application/json;q=1, application/x-ndjson;q=1.5", POLL },
    { "application/json;q=x, application/x-ndjson;q=0.9", POLL },
    { "application/json;q=, application/x-ndjson;q=0.9", POLL },
    { "application/json;q=0.1.2, application/x-ndjson;q=0.9", POLL },
    { "application/json;q=., application/x-ndjson;q=0.9", POLL },
    { "application/json;q=-1, application/x-ndjson;q=0.9", POLL },
    { "application/json;qq=0.1, application/x-ndjson;q=0.9", POLL },

    /* wildcards: the server's order */

    { "text/*", SSE },
    { "application/*", POLL },
    { "APPLICATION/*", POLL },
    { "application/*, text/*", SSE },
    { "application/*, text/*;q=0.5", POLL },
    { "text/*;q=0.5, */*", SOCKET },
    { "text/*;q=0.5, */*;q=0.2", SSE },

    /* a weight of 0 excludes */

    { "text/event-stream;q=0", NONE },
    { "*/*;q=0", NONE },
    { "*/*;q=0.000", NONE },
    { "application/json, */*;q=0", POLL },
    { "text/event-stream;q=0, */*", SOCKET },
    { "application/json;q=0, application/*", STREAM },
    { "text/*;q=0, */*", SOCKET },
    { "text/*;q=0, text/event-stream", SSE },
    { "*/*, */*;q=0", SSE },
    { "application/json, application/json;q=0", POLL },
    { "application/json;q=0, application/x-ndjson;q=0, application/*", NONE },

    /* nothing of ours */

    { "image/png", NONE },
    { "text/plain, application/xml", NONE },
    { "image/*", NONE },
    { "application/json2", NONE },
    { "application/jso", NONE },
    { "application", NONE },
    { "application/", NONE },
    { "/*", NONE },
    { "*/json", NONE },
    { "t/*", NONE },
    { "text/event-stream/*", NONE },
    { ";q=1", NONE },
    { "\"", NONE },
    { "\"application/json", NONE },
};


/* with a copy of its own size: whoever reads beyond is caught */

static int
choose(const char *accept, const char *const *list, size_t n)
{
    int      rc;
    size_t   len;
    u_char  *p;

    len = strlen(accept);
    p = malloc(len ? len : 1);
    memcpy(p, accept, len);

    rc = ngx_http_rt_accept_choose(p, len, list, n);

    free(p);

    return rc;
}


static void
test_choose(void **state)
{
    int     rc;
    size_t  i;

    (void) state;

    for (i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
        rc = choose(choices[i].accept, types, 4);

        if (rc != choices[i].index) {
            fail_msg("\"%s\": %d, should be %d", choices[i].accept, rc,
                     choices[i].index);
        }
    }
}


static void
test_socket_first(void **state)
{
    (void) state;

    assert_int_equal(choose("", socket_first, 3), 0);
    assert_int_equal(choose("*/*", socket_first, 3), 0);
    assert_int_equal(choose("text/html", socket_first, 3), 0);
    assert_int_equal(choose(CHROME, socket_first, 3), 0);
    assert_int_equal(choose("application/*", socket_first, 3), 1);
    assert_int_equal(choose("application/json", socket_first, 3), 2);
    assert_int_equal(choose("application/json, */*", socket_first, 3), 2);
    assert_int_equal(choose("text/event-stream", socket_first, 3), -1);
    assert_int_equal(choose("text/*", socket_first, 3), -1);
}


static void
test_few(void **state)
{
    (void) state;

    assert_int_equal(choose("", types, 0), -1);
    assert_int_equal(choose("*/*", types, 0), -1);
    assert_int_equal(choose("*/*", types, 1), 0);
    assert_int_equal(ngx_http_rt_accept_choose(NULL, 0, types, 4), 0);
    assert_int_equal(choose("application/json", types, 2), -1);
}


static void
test_prefer(void **state)
{
    int       rc;
    u_char   *p;
    size_t    i, len;
    unsigned  seconds;
    static const struct {
        const char  *prefer;
        int          rc;
        unsigned     seconds;
    } values[] = {
        { "wait=10", 1, 10 },
        { "wait=0", 1, 0 },
        { "wait=007", 1, 7 },
        { "Wait=10", 1, 10 },
        { " wait = 10 ", 1, 10 },
        { "wait=\"10\"", 1, 10 },
        { "wait = \"10\" ; foo", 1, 10 },
        { "wait=10;foo=bar", 1, 10 },
        { "respond-async, wait=10", 1, 10 },
        { "respond-async,wait=10,handling=lenient", 1, 10 },
        { ", , wait=10,", 1, 10 },
        { "return=representation; x=\"a, wait=5\", wait=6", 1, 6 },
        { "wait=1, wait=2", 1, 1 },
        { "wait=86400", 1, 86400 },
        { "wait=86401", 1, 86400 },
        { "wait=4294967306", 1, 86400 },
        { "wait=99999999999999999999999999999999", 1, 86400 },

        { "", 0, 0 },
        { "wait", 0, 0 },
        { "wait=", 0, 0 },
        { "wait=\"\"", 0, 0 },
        { "wait=\"", 0, 0 },
        { "wait=\"5", 0, 0 },
        { "wait=-1", 0, 0 },
        { "wait=+1", 0, 0 },
        { "wait=1.5", 0, 0 },
        { "wait=1s", 0, 0 },
        { "wait=1 2", 0, 0 },
        { "waits=1", 0, 0 },
        { "await=1", 0, 0 },
        { "wai=1", 0, 0 },
        { "foo; wait=5", 0, 0 },
        { "respond-async", 0, 0 },
        { "x=\"wait=5", 0, 0 },
    };

    (void) state;

    assert_int_equal(ngx_http_rt_prefer_wait(NULL, 0, &seconds), 0);

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        len = strlen(values[i].prefer);
        p = malloc(len ? len : 1);
        memcpy(p, values[i].prefer, len);

        seconds = 77;
        rc = ngx_http_rt_prefer_wait(p, len, &seconds);
        free(p);

        if (rc != values[i].rc || (rc && seconds != values[i].seconds)) {
            fail_msg("\"%s\": %d, %u", values[i].prefer, rc, seconds);
        }

        if (rc == 0) {
            assert_int_equal(seconds, 77);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_socket_first),
        cmocka_unit_test(test_few),
        cmocka_unit_test(test_prefer),
    };

    if (getenv("CMOCKA_MESSAGE_OUTPUT") == NULL) {
        cmocka_set_message_output(CM_OUTPUT_TAP);
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}
