/*
 * The link's frames: written, read back whole, byte by byte, cut at each
 * offset, and everything that must be refused.
 *
 * Sources: rt_wire.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <rt_wire.h>


static size_t
command(u_char *p)
{
    u_char  *start;

    start = p;

    p = rt_wire_begin(p, RT_WIRE_COMMAND, 0x80, 0x1122334455667788ull);
    p = rt_wire_put_number(p, RT_WIRE_F_EXPECT, UINT64_MAX);
    p = rt_wire_put_string(p, RT_WIRE_F_ENGINE, "auction", 7);
    p = rt_wire_put_string(p, RT_WIRE_F_ENTITY, "42", 2);
    p = rt_wire_put_string(p, RT_WIRE_F_NAME, "bid", 3);
    p = rt_wire_put_string(p, RT_WIRE_F_BODY, "{}", 2);
    rt_wire_end(start, p);

    return (size_t) (p - start);
}


static void
test_round_trip(void **state)
{
    size_t            i, n;
    u_char            buf[256], *exact;
    rt_wire_str_t     s;
    rt_wire_frame_t   f;

    (void) state;

    n = command(buf);

    for (i = 0; i < n; i++) {

        /* an exact copy, so that a sanitizer sees a byte too far */

        exact = malloc(i ? i : 1);
        memcpy(exact, buf, i);
        assert_int_equal(rt_wire_parse(&f, exact, i, RT_WIRE_FRAME_MAX),
                         RT_WIRE_AGAIN);
        assert_int_equal(f.size, i < RT_WIRE_HEADER_SIZE ? 0 : n);
        free(exact);
    }

    assert_int_equal(rt_wire_parse(&f, buf, n, RT_WIRE_FRAME_MAX), RT_WIRE_OK);
    assert_int_equal(f.type, RT_WIRE_COMMAND);
    assert_int_equal(f.flags, 0x80);
    assert_true(f.id == 0x1122334455667788ull);
    assert_true(rt_wire_number(&f, RT_WIRE_F_EXPECT) == UINT64_MAX);
    assert_int_equal(rt_wire_number(&f, RT_WIRE_F_TIMEOUT), 0);
    assert_false(rt_wire_has(&f, RT_WIRE_F_TIMEOUT));

    s = rt_wire_string(&f, RT_WIRE_F_NAME);
    assert_int_equal(s.len, 3);
    assert_memory_equal(s.data, "bid", 3);
    assert_int_equal(rt_wire_string(&f, RT_WIRE_F_KEY).len, 0);
}


static void
refused(u_char *buf, size_t n, const char *error)
{
    rt_wire_frame_t  f;

    assert_int_equal(rt_wire_parse(&f, buf, n, RT_WIRE_FRAME_MAX),
                     RT_WIRE_ERROR);
    assert_string_equal(f.error, error);
}


static void
test_headers(void **state)
{
    size_t            n;
    u_char            buf[256];
    rt_wire_frame_t   f;

    (void) state;

    n = command(buf);

    /* impossible sizes are seen in the first four bytes */

    memcpy(buf, "\x0f\0\0\0", 4);
    refused(buf, 4, "frame shorter than its header");

    memcpy(buf, "\0\0\0\0", 4);
    refused(buf, 4, "frame shorter than its header");

    memcpy(buf, "\xff\xff\xff\xff", 4);
    refused(buf, 4, "frame too large");

    (void) command(buf);
    assert_int_equal(rt_wire_parse(&f, buf, n, n - 1), RT_WIRE_ERROR);
    assert_int_equal(rt_wire_parse(&f, buf, n, n), RT_WIRE_OK);

    buf[4] = 0;
    refused(buf, n, "unknown frame type");
    buf[4] = RT_WIRE_TYPE_LAST;
    refused(buf, n, "unknown frame type");

    (void) command(buf);
    buf[6] = 1;
    refused(buf, n, "reserved bytes are not zero");
}


static size_t
with(u_char *buf, uint32_t word, const void *data, size_t len)
{
    u_char  *p;

    p = rt_wire_begin(buf, RT_WIRE_PING, 0, 0);

    *p++ = (u_char) word;
    *p++ = (u_char) (word >> 8);
    *p++ = (u_char) (word >> 16);
    *p++ = (u_char) (word >> 24);

    memcpy(p, data, len);
    rt_wire_end(buf, p + len);

    return (size_t) (p + len - buf);
}


static void
test_fields(void **state)
{
    u_char            buf[1024], *p;
    rt_wire_frame_t   f;

    (void) state;

    refused(buf, with(buf, 9 << 8 | RT_WIRE_F_BODY, "12345678", 8),
            "field past the end of its frame");
    refused(buf, with(buf, 0xffffffff, "12345678", 8),
            "field past the end of its frame");
    refused(buf, with(buf, 8 << 8 | 0, "12345678", 8), "unknown field");
    refused(buf, with(buf, 8 << 8 | 64, "12345678", 8), "unknown field");
    refused(buf, with(buf, 7 << 8 | RT_WIRE_F_INFLIGHT, "1234567", 7),
            "number of a wrong length");

    memset(buf, 'k', sizeof(buf));
    refused(buf, with(buf, 256 << 8 | RT_WIRE_F_KEY, buf + 512, 256),
            "string too long");

    /* half a word at the end */

    p = rt_wire_begin(buf, RT_WIRE_PING, 0, 0);
    rt_wire_end(buf, p + 3);
    refused(buf, (size_t) (p + 3 - buf), "field past the end of its frame");

    /* twice */

    p = rt_wire_begin(buf, RT_WIRE_PING, 0, 0);
    p = rt_wire_put_number(p, RT_WIRE_F_INFLIGHT, 1);
    p = rt_wire_put_number(p, RT_WIRE_F_INFLIGHT, 1);
    rt_wire_end(buf, p);
    refused(buf, (size_t) (p - buf), "field given twice");

    /* fields of a later day are skipped */

    assert_int_equal(rt_wire_parse(&f, buf, with(buf, 8 << 8 | 31, "12345678",
                                                 8), RT_WIRE_FRAME_MAX),
                     RT_WIRE_OK);
    assert_int_equal(rt_wire_parse(&f, buf, with(buf, 5 << 8 | 63, "12345", 5),
                                   RT_WIRE_FRAME_MAX),
                     RT_WIRE_OK);

    /* and those of former days */

    assert_int_equal(rt_wire_parse(&f, buf, with(buf, 8 << 8 | 4, "12345678",
                                                 8), RT_WIRE_FRAME_MAX),
                     RT_WIRE_OK);
    assert_int_equal(rt_wire_parse(&f, buf, with(buf, 5 << 8 | 44, "12345", 5),
                                   RT_WIRE_FRAME_MAX),
                     RT_WIRE_OK);
}


static void
test_required(void **state)
{
    u_char            buf[256], *p;
    unsigned          type;
    rt_wire_frame_t   f;

    /* those that need nothing */

    static const uint64_t  bare = 1 << RT_WIRE_UNSUBSCRIBE
        | 1 << RT_WIRE_STATUS | 1 << RT_WIRE_SNAPSHOT | 1 << RT_WIRE_PING
        | 1 << RT_WIRE_PONG | 1 << RT_WIRE_CLOSE | 1 << RT_WIRE_ACCEPT_TIME;

    (void) state;

    for (type = 1; type < RT_WIRE_TYPE_LAST; type++) {
        p = rt_wire_begin(buf, (rt_wire_type_e) type, 0, 1);
        rt_wire_end(buf, p);

        assert_int_equal(rt_wire_parse(&f, buf, 16, RT_WIRE_FRAME_MAX),
                         bare >> type & 1 ? RT_WIRE_OK : RT_WIRE_ERROR);
        assert_string_not_equal(rt_wire_type_name(type), "unknown");
    }

    /* a publication's confirmation and an event's */

    p = rt_wire_begin(buf, RT_WIRE_CONFIRM, 0, 0);
    p = rt_wire_put_number(p, RT_WIRE_F_VERSION, 1);
    rt_wire_end(buf, p);
    refused(buf, (size_t) (p - buf), "required field missing");
    buf[8] = 1;
    assert_int_equal(rt_wire_parse(&f, buf, (size_t) (p - buf),
                                   RT_WIRE_FRAME_MAX), RT_WIRE_OK);

    p = rt_wire_begin(buf, RT_WIRE_HELLO, 0, 0);
    p = rt_wire_put_number(p, RT_WIRE_F_PROTOCOL, 1);
    p = rt_wire_put_number(p, RT_WIRE_F_FRAME_MAX, RT_WIRE_FRAME_MAX_MIN - 1);
    rt_wire_end(buf, p);
    refused(buf, (size_t) (p - buf), "impossible hello");
}


/* the numbers of an answer, which nothing aligns */

static void
test_watchers(void **state)
{
    u_char            buf[256], *p;
    rt_wire_str_t     s;
    rt_wire_frame_t   f;

    (void) state;

    (void) rt_wire_put_watchers(buf, 3);
    p = rt_wire_put_watchers(buf + RT_WIRE_WATCHERS_SIZE, UINT64_MAX - 1);
    assert_ptr_equal(p, buf + 2 * RT_WIRE_WATCHERS_SIZE);
    memcpy(buf + 100, buf, 16);

    p = rt_wire_begin(buf, RT_WIRE_WATCHERS, 0, 7);
    p = rt_wire_put_string(p, RT_WIRE_F_BODY, buf + 100, 16);
    rt_wire_end(buf, p);

    assert_int_equal(rt_wire_parse(&f, buf, (size_t) (p - buf),
                                   RT_WIRE_FRAME_MAX), RT_WIRE_OK);
    assert_int_equal(f.id, 7);
    s = rt_wire_string(&f, RT_WIRE_F_BODY);
    assert_int_equal(s.len, 16);
    assert_true(rt_wire_watchers(&s, 0) == 3);
    assert_true(rt_wire_watchers(&s, 1) == UINT64_MAX - 1);

    /* a notice without a topic is nobody's */

    p = rt_wire_begin(buf, RT_WIRE_NOTICE, 0, 0);
    p = rt_wire_put_string(p, RT_WIRE_F_BODY, "{}", 2);
    rt_wire_end(buf, p);
    refused(buf, (size_t) (p - buf), "required field missing");

    p = rt_wire_put_string(p, RT_WIRE_F_TOPIC, "t", 1);
    rt_wire_end(buf, p);
    assert_int_equal(rt_wire_parse(&f, buf, (size_t) (p - buf),
                                   RT_WIRE_FRAME_MAX), RT_WIRE_OK);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_watchers)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
