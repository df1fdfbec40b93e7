/*
 * WebSocket frames: what clients may send, what they may not, and that neither
 * depends on how the bytes come in.  Every case is fed whole, byte by byte and
 * split at each offset.
 *
 * Events are written down as text to compare them:
 *
 *     T(Hello)   B(...)   a whole text or binary message, put together
 *     z          before it: it was compressed
 *     8(1000:bye)   9(...)   10(...)   control frames
 *     !1002      the end, by error
 *
 * Sources: ngx_http_rt_ws_frame.c ngx_http_rt_utf8.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_utf8.h>
#include <ngx_http_rt_ws_frame.h>


#define LOG_SIZE    (512 * 1024)
#define FRAMES_MAX  6

#define BARE        1                /* not masked */
#define LEN16       2                /* a length of two bytes, needed or not */
#define LEN64       4
#define LEN_ONLY    8                /* the header alone, payload is cut off */


typedef struct {
    unsigned     first;
    const char  *payload;
    unsigned     flags;
    size_t       len;                /* if not strlen() of payload */
} ws_frame_t;


typedef struct {
    const char  *name;
    size_t       max;
    unsigned     deflate;
    ws_frame_t   frames[FRAMES_MAX];
    const char  *expect;
} ws_case_t;


typedef struct {
    char    *log;
    size_t   len;
    size_t   parts;
    char    *data;                   /* of the open message */
    size_t   data_len;
    int      ended;
} ws_log_t;


#define F(first, payload)              { first, payload, 0, 0 }
#define G(first, payload, flags, len)  { first, payload, flags, len }

#define A10   "aaaaaaaaaa"
#define A100  A10 A10 A10 A10 A10 A10 A10 A10 A10 A10
#define A125  A100 A10 A10 "aaaaa"
#define A126  A125 "a"


static const ws_case_t  cases[] = {

    /* messages */

    { "text", 100, 0, { F(0x81, "Hello") }, "T(Hello)" },
    { "binary", 100, 0, { G(0x82, "\xff\x00\x80", 0, 3) },
      "B(\\xff\\x00\\x80)" },
    { "empty text", 100, 0, { F(0x81, "") }, "T()" },
    { "empty binary, max 0", 0, 0, { F(0x82, "") }, "B()" },
    { "two", 100, 0, { F(0x81, "one"), F(0x82, "two") }, "T(one)B(two)" },
    { "125 bytes", 1000, 0, { F(0x81, A125) }, "T(" A125 ")" },
    { "126 bytes", 1000, 0, { F(0x81, A126) }, "T(" A126 ")" },
    { "fragments", 100, 0,
      { F(0x01, "Hel"), F(0x80, "lo"), F(0x82, "x") }, "T(Hello)B(x)" },
    { "three fragments", 100, 0,
      { F(0x02, "a"), F(0x00, "b"), F(0x80, "c") }, "B(abc)" },
    { "empty fragments", 100, 0,
      { F(0x01, ""), F(0x00, ""), F(0x00, "a"), F(0x00, ""),
        F(0x80, "") }, "T(a)" },
    { "nothing but empty fragments", 100, 0,
      { F(0x02, ""), F(0x00, ""), F(0x80, "") }, "B()" },
    { "control between fragments", 100, 0,
      { F(0x01, "Hel"), F(0x89, "ping"), F(0x00, "l"), F(0x8a, ""),
        F(0x80, "o") }, "9(ping)10()T(Hello)" },
    { "compressed", 100, 1, { F(0xc1, "\xff"), F(0x81, "a") },
      "zT(\\xff)T(a)" },
    { "compressed fragments", 100, 1,
      { F(0x41, "\xff"), F(0x89, ""), F(0x80, "\xfe"), F(0x82, "a") },
      "9()zT(\\xff\\xfe)B(a)" },

    /* control frames */

    { "ping", 0, 0, { F(0x89, "Hello") }, "9(Hello)" },
    { "longest ping", 0, 0, { F(0x89, A125) }, "9(" A125 ")" },
    { "empty pong", 0, 0, { F(0x8a, "") }, "10()" },
    { "ping too long", 1000, 0, { F(0x89, A126) }, "!1002" },
    { "fragmented ping", 100, 0, { F(0x09, "a") }, "!1002" },
    { "close", 0, 0, { F(0x88, "") }, "8(1005:)" },
    { "close with code", 0, 0, { F(0x88, "\x03\xe8") }, "8(1000:)" },
    { "close with reason", 0, 0, { F(0x88, "\x0f\xa0" "bye \xe2\x82\xac") },
      "8(4000:bye \\xe2\\x82\\xac)" },
    { "longest close", 0, 0, { F(0x88, "\x03\xe8" A100 A10 A10 "aaa") },
      "8(1000:" A100 A10 A10 "aaa)" },
    { "close of one byte", 0, 0, { F(0x88, "\x0f") }, "!1002" },
    { "close too long", 0, 0, { F(0x88, "\x03\xe8" A125) }, "!1002" },
    { "fragmented close", 0, 0, { F(0x08, "") }, "!1002" },
    { "close reason not UTF-8", 0, 0, { F(0x88, "\x03\xe8\xff") }, "!1007" },
    { "close reason cut", 0, 0, { F(0x88, "\x03\xe8\xe2\x82") }, "!1007" },
    { "nothing after close", 100, 0,
      { F(0x88, "\x03\xe8"), F(0x81, "late"), F(0xff, "") }, "8(1000:)" },
    { "close within a message", 100, 0,
      { F(0x01, "a"), F(0x88, ""), F(0x80, "b") }, "8(1005:)" },

    /* what a header must not say */

    { "RSV1", 100, 0, { F(0xc1, "a") }, "!1002" },
    { "RSV2", 100, 1, { F(0xa1, "a") }, "!1002" },
    { "RSV3", 100, 1, { F(0x91, "a") }, "!1002" },
    { "RSV1 and RSV2", 100, 1, { F(0xe1, "a") }, "!1002" },
    { "RSV1 on ping", 100, 1, { F(0xc9, "a") }, "!1002" },
    { "RSV1 on continuation", 100, 1,
      { F(0x41, "a"), F(0xc0, "b") }, "!1002" },
    { "opcode 3", 100, 0, { F(0x83, "a") }, "!1002" },
    { "opcode 7", 100, 0, { F(0x87, "a") }, "!1002" },
    { "opcode 11", 100, 0, { F(0x8b, "a") }, "!1002" },
    { "opcode 15", 100, 0, { F(0x8f, "a") }, "!1002" },
    { "not masked", 100, 0, { G(0x81, "a", BARE, 0) }, "!1002" },
    { "ping not masked", 100, 0, { G(0x89, "", BARE, 0) }, "!1002" },
    { "continuation of nothing", 100, 0, { F(0x80, "a") }, "!1002" },
    { "continuation after the end", 100, 0,
      { F(0x81, "a"), F(0x00, "b") }, "T(a)!1002" },
    { "text within text", 100, 0,
      { F(0x01, "a"), F(0x81, "b") }, "!1002" },
    { "binary within text", 100, 0,
      { F(0x01, "a"), F(0x02, "b") }, "!1002" },
    { "16 bits for 125", 1000, 0, { G(0x82, A125, LEN16, 0) }, "!1002" },
    { "16 bits for 0", 1000, 0, { G(0x82, "", LEN16, 0) }, "!1002" },
    { "64 bits for 126", 1000, 0, { G(0x82, A126, LEN64, 0) }, "!1002" },
    { "64 bits for 65535", 100000, 0,
      { G(0x82, "", LEN64|LEN_ONLY, 65535) }, "!1002" },
    { "64 bits for 65536", 65535, 0,
      { G(0x82, "", LEN64|LEN_ONLY, 65536) }, "!1009" },
    { "highest bit", SIZE_MAX, 0,
      { G(0x82, "", LEN_ONLY, (size_t) 1 << 63) }, "!1002" },

    /* sizes */

    { "as large as allowed", 5, 0, { F(0x81, "Hello") }, "T(Hello)" },
    { "one too large", 4, 0, { G(0x81, "", LEN_ONLY, 5) }, "!1009" },
    { "compressed ones are for the inflater", 4, 1,
      { F(0x41, "12345678901234567890"), F(0x80, "1"), F(0x81, "a") },
      "zT(123456789012345678901)T(a)" },
    { "but not any", 4, 1, { G(0xc1, "", LEN_ONLY, 22) }, "!1009" },
    { "2^63 - 1", 1000, 0,
      { G(0x81, "", LEN_ONLY, ((size_t) 1 << 63) - 1) }, "!1009" },
    { "in fragments", 5, 0,
      { F(0x01, "Hel"), F(0x80, "lo") }, "T(Hello)" },
    { "in fragments, one too large", 5, 0,
      { F(0x01, "Hel"), F(0x00, "lo"), G(0x80, "", LEN_ONLY, 1) },
      "!1009" },
    { "each message for itself", 5, 0,
      { F(0x81, "Hello"), F(0x81, "World") }, "T(Hello)T(World)" },
    { "pings do not count", 5, 0,
      { F(0x01, "Hel"), F(0x89, "Hello"), F(0x80, "lo") },
      "9(Hello)T(Hello)" },

    /* UTF-8 */

    { "euro", 100, 0, { F(0x81, "\xe2\x82\xac") },
      "T(\\xe2\\x82\\xac)" },
    { "euro across fragments", 100, 0,
      { F(0x01, "\xe2"), F(0x00, "\x82"), F(0x89, "\xff"),
        F(0x80, "\xac") }, "9(\\xff)T(\\xe2\\x82\\xac)" },
    { "bad byte", 100, 0, { F(0x81, "Hello \xff world") }, "!1007" },
    { "surrogate", 100, 0, { F(0x81, "\xed\xa0\x80") }, "!1007" },
    { "overlong", 100, 0, { F(0x81, "\xc0\xaf") }, "!1007" },
    { "cut character", 100, 0, { F(0x81, "a\xe2\x82") }, "!1007" },
    { "cut by an empty end", 100, 0,
      { F(0x01, "\xe2\x82"), F(0x80, "") }, "!1007" },
    { "a header alone", 100, 0,
      { G(0x01, "\xe2(", LEN_ONLY, 0) }, "" },
    { "bad in the first of fragments", 100, 0,
      { F(0x01, "\xe2(") }, "!1007" },
    { "next message starts anew", 100, 0,
      { F(0x82, "\xe2"), F(0x81, "a") }, "B(\\xe2)T(a)" },
    { "compressed text is not looked at", 100, 1,
      { F(0xc1, "\xff\xff") }, "zT(\\xff\\xff)" },
};


/* bytes of the cases' frames, from a client with this masking key */

static u_char *
frame_write(u_char *p, const ws_frame_t *f)
{
    int           shift;
    size_t        i, len;
    u_char        masked;
    const u_char  key[] = { 0x37, 0xfa, 0x21, 0x3d };

    len = f->len ? f->len : strlen(f->payload);
    masked = (f->flags & BARE) ? 0 : 0x80;

    *p++ = (u_char) f->first;

    if ((f->flags & LEN64) || len > 65535) {
        *p++ = masked | 127;
        shift = 56;

    } else if ((f->flags & LEN16) || len > 125) {
        *p++ = masked | 126;
        shift = 8;

    } else {
        *p++ = masked | (u_char) len;
        shift = -8;
    }

    for ( /* void */ ; shift >= 0; shift -= 8) {
        *p++ = (u_char) ((uint64_t) len >> shift);
    }

    if (!masked) {
        memcpy(p, f->payload, len);
        return p + len;
    }

    memcpy(p, key, 4);
    p += 4;

    if (f->flags & LEN_ONLY) {
        return p;
    }

    for (i = 0; i < len; i++) {
        *p++ = (u_char) f->payload[i] ^ key[i % 4];
    }

    return p;
}


static void
log_text(ws_log_t *log, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    log->len += vsnprintf(log->log + log->len, LOG_SIZE - log->len, fmt, args);
    va_end(args);
}


static void
log_bytes(ws_log_t *log, const u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        log_text(log, p[i] >= 0x20 && p[i] < 0x7f ? "%c" : "\\x%02x", p[i]);
    }
}


static void
feed(ws_log_t *log, ngx_http_rt_ws_parser_t *ws, const u_char *p, size_t len)
{
    int      rc;
    u_char  *buf, *pos, *last;

    /* a copy of its own size: whoever reads beyond is caught */

    buf = malloc(len ? len : 1);
    memcpy(buf, p, len);

    pos = buf;
    last = buf + len;

    for ( ;; ) {
        rc = ngx_http_rt_ws_parse(ws, &pos, last);

        assert_true(pos >= buf && pos <= last);

        switch (rc) {

        case NGX_HTTP_RT_WS_AGAIN:
            assert_ptr_equal(pos, last);
            free(buf);
            return;

        case NGX_HTTP_RT_WS_PART:
            assert_true(ws->data >= buf && ws->data + ws->len <= last);
            assert_true(ws->len || ws->fin);

            memcpy(log->data + log->data_len, ws->data, ws->len);
            log->data_len += ws->len;
            log->parts++;

            if (ws->fin) {
                log_text(log, "%s%s(", ws->compressed ? "z" : "",
                         ws->opcode == NGX_HTTP_RT_WS_TEXT ? "T" : "B");
                log_bytes(log, (u_char *) log->data, log->data_len);
                log_text(log, ")");
                log->data_len = 0;
            }

            break;

        case NGX_HTTP_RT_WS_CONTROL:
            log_text(log, "%d(", ws->opcode);

            if (ws->opcode == NGX_HTTP_RT_WS_CLOSE) {
                log_text(log, "%d:", ws->code);
            }

            log_bytes(log, ws->data, ws->len);
            log_text(log, ")");
            break;

        case NGX_HTTP_RT_WS_ERROR:
            assert_non_null(ws->reason);
            assert_ptr_equal(pos, last);

            if (!log->ended) {
                log_text(log, "!%d", ws->code);
                log->ended = 1;
            }

            free(buf);
            return;

        default:
            fail_msg("returned %d", rc);
        }
    }
}


static void
log_init(ws_log_t *log)
{
    memset(log, 0, sizeof(ws_log_t));

    log->log = malloc(LOG_SIZE);
    log->data = malloc(LOG_SIZE);
    log->log[0] = '\0';
}


static void
log_check(ws_log_t *log, const ws_case_t *c, const char *how)
{
    if (strcmp(log->log, c->expect) != 0) {
        fail_msg("%s, %s: \"%s\", should be \"%s\"", c->name, how, log->log,
                 c->expect);
    }

    free(log->log);
    free(log->data);
}


static void
test_cases(void **state)
{
    size_t                    i, k, len;
    u_char                   *p, *bytes;
    ws_log_t                  log;
    const ws_case_t          *c;
    ngx_http_rt_ws_parser_t   ws;

    (void) state;

    bytes = malloc(LOG_SIZE);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        c = &cases[i];
        p = bytes;

        for (k = 0; k < FRAMES_MAX && c->frames[k].payload; k++) {
            p = frame_write(p, &c->frames[k]);
        }

        len = p - bytes;

        log_init(&log);
        ngx_http_rt_ws_parser_init(&ws, c->max, c->deflate);
        feed(&log, &ws, bytes, len);
        log_check(&log, c, "whole");
        ngx_http_rt_ws_parser_free(&ws);

        log_init(&log);
        ngx_http_rt_ws_parser_init(&ws, c->max, c->deflate);

        for (k = 0; k < len; k++) {
            feed(&log, &ws, bytes + k, 1);
            feed(&log, &ws, bytes + k, 0);
        }

        log_check(&log, c, "byte by byte");
        ngx_http_rt_ws_parser_free(&ws);

        for (k = 0; k <= len; k++) {
            log_init(&log);
            ngx_http_rt_ws_parser_init(&ws, c->max, c->deflate);
            feed(&log, &ws, bytes, k);
            feed(&log, &ws, bytes + k, len - k);
            log_check(&log, c, "split");
            ngx_http_rt_ws_parser_free(&ws);
        }
    }

    free(bytes);
}


static void
test_close_codes(void **state)
{
    int                       good;
    u_char                    payload[2], *p, *pos, bytes[16];
    unsigned                  code;
    ws_frame_t                f;
    ngx_http_rt_ws_parser_t   ws;

    (void) state;

    for (code = 0; code < 65536; code++) {
        payload[0] = (u_char) (code >> 8);
        payload[1] = (u_char) code;

        f.first = 0x88;
        f.payload = (char *) payload;
        f.flags = 0;
        f.len = 2;

        p = frame_write(bytes, &f);
        pos = bytes;

        ngx_http_rt_ws_parser_init(&ws, 0, 0);

        good = (code >= 1000 && code <= 1003)
               || (code >= 1007 && code <= 1014)
               || (code >= 3000 && code <= 4999);

        assert_int_equal(ngx_http_rt_ws_parse(&ws, &pos, p),
                         good ? NGX_HTTP_RT_WS_CONTROL : NGX_HTTP_RT_WS_ERROR);
        assert_int_equal(ws.code, good ? code : 1002);
    }
}


/* a header that says too much is refused before anything follows it */

static void
test_fail_fast(void **state)
{
    size_t                    i;
    u_char                   *pos, bytes[16];
    ngx_http_rt_ws_parser_t   ws;
    static const struct {
        u_char    bytes[16];
        size_t    len;
        unsigned  code;
    } early[] = {
        { { 0x91, 0x80 }, 2, 1002 },
        { { 0x81, 0x05 }, 2, 1002 },
        { { 0x89, 0xfe }, 2, 1002 },
        { { 0x81, 0xfd }, 2, 1009 },
        { { 0x81, 0xfe, 0x01, 0x00 }, 4, 1009 },
        { { 0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0 }, 10, 1002 },
        { { 0x81, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0 }, 10, 1009 },
        { { 0x81, 0xe4, 0, 0, 0, 0, 'a', 0xff }, 8, 1007 },
        { { 0x81, 0xe4, 0, 0, 0, 0, 0xe0, 0x80 }, 8, 1007 },
    };

    (void) state;

    for (i = 0; i < sizeof(early) / sizeof(early[0]); i++) {
        memcpy(bytes, early[i].bytes, sizeof(bytes));
        pos = bytes;

        ngx_http_rt_ws_parser_init(&ws, 100, 0);

        assert_int_equal(ngx_http_rt_ws_parse(&ws, &pos,
                                              bytes + early[i].len),
                         NGX_HTTP_RT_WS_ERROR);
        assert_int_equal(ws.code, early[i].code);
        assert_int_equal(ngx_http_rt_ws_parse(&ws, &pos, pos),
                         NGX_HTTP_RT_WS_ERROR);
    }
}


/* parts come as the bytes do, and are not held back */

static void
test_parts(void **state)
{
    u_char                   *pos, bytes[] = { 0x01, 0x83, 1, 2, 3, 4,
                                               'a' ^ 1, 'b' ^ 2, 'c' ^ 3,
                                               0x80, 0x80, 0, 0, 0, 0 };
    ngx_http_rt_ws_parser_t   ws;

    (void) state;

    ngx_http_rt_ws_parser_init(&ws, 3, 0);

    pos = bytes;
    assert_int_equal(ngx_http_rt_ws_parse(&ws, &pos, bytes + 8),
                     NGX_HTTP_RT_WS_PART);
    assert_ptr_equal(ws.data, bytes + 6);
    assert_int_equal(ws.len, 2);
    assert_memory_equal(ws.data, "ab", 2);
    assert_int_equal(ws.fin, 0);
    assert_int_equal(ws.opcode, NGX_HTTP_RT_WS_TEXT);
    assert_int_equal(ngx_http_rt_ws_parse(&ws, &pos, bytes + 8),
                     NGX_HTTP_RT_WS_AGAIN);

    assert_int_equal(ngx_http_rt_ws_parse(&ws, &pos, bytes + 15),
                     NGX_HTTP_RT_WS_PART);
    assert_int_equal(ws.len, 1);
    assert_memory_equal(ws.data, "c", 1);
    assert_int_equal(ws.fin, 0);

    /* an empty last fragment */

    assert_int_equal(ngx_http_rt_ws_parse(&ws, &pos, bytes + 15),
                     NGX_HTTP_RT_WS_PART);
    assert_int_equal(ws.len, 0);
    assert_int_equal(ws.fin, 1);
    assert_int_equal(ws.opcode, NGX_HTTP_RT_WS_TEXT);
    assert_ptr_equal(pos, bytes + 15);
}


/* RFC 6455, 5.7 */

static void
test_rfc_examples(void **state)
{
    u_char                   *pos, *end, buf[16];
    u_char                    hello[] = { 0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d,
                                          0x7f, 0x9f, 0x4d, 0x51, 0x58 };
    u_char                    pong[] = { 0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d,
                                         0x7f, 0x9f, 0x4d, 0x51, 0x58 };
    ngx_http_rt_ws_parser_t   ws;

    (void) state;

    ngx_http_rt_ws_parser_init(&ws, 100, 0);

    pos = hello;
    assert_int_equal(ngx_http_rt_ws_parse(&ws, &pos, hello + sizeof(hello)),
                     NGX_HTTP_RT_WS_PART);
    assert_int_equal(ws.len, 5);
    assert_memory_equal(ws.data, "Hello", 5);

    pos = pong;
    assert_int_equal(ngx_http_rt_ws_parse(&ws, &pos, pong + sizeof(pong)),
                     NGX_HTTP_RT_WS_CONTROL);
    assert_int_equal(ws.opcode, NGX_HTTP_RT_WS_PONG);
    assert_int_equal(ws.len, 5);
    assert_memory_equal(ws.data, "Hello", 5);

    end = ngx_http_rt_ws_header(buf, 0x81, 5);
    assert_int_equal(end - buf, 2);
    assert_memory_equal(buf, "\x81\x05", 2);

    end = ngx_http_rt_ws_header(buf, 0x82, 256);
    assert_int_equal(end - buf, 4);
    assert_memory_equal(buf, "\x82\x7e\x01\x00", 4);

    end = ngx_http_rt_ws_header(buf, 0x82, 65536);
    assert_int_equal(end - buf, 10);
    assert_memory_equal(buf, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
}


static void
test_header_edges(void **state)
{
    u_char  *end, buf[NGX_HTTP_RT_WS_HEADER_MAX];

    (void) state;

    end = ngx_http_rt_ws_header(buf, 0x81, 0);
    assert_int_equal(end - buf, 2);
    assert_memory_equal(buf, "\x81\x00", 2);

    end = ngx_http_rt_ws_header(buf, 0xc1, 125);
    assert_int_equal(end - buf, 2);
    assert_memory_equal(buf, "\xc1\x7d", 2);

    end = ngx_http_rt_ws_header(buf, 0x81, 126);
    assert_int_equal(end - buf, 4);
    assert_memory_equal(buf, "\x81\x7e\x00\x7e", 4);

    end = ngx_http_rt_ws_header(buf, 0x81, 65535);
    assert_int_equal(end - buf, 4);
    assert_memory_equal(buf, "\x81\x7e\xff\xff", 4);

    end = ngx_http_rt_ws_header(buf, 0x82, 0x0123456789abcdefULL);
    assert_int_equal(end - buf, 10);
    assert_memory_equal(buf, "\x82\x7f\x01\x23\x45\x67\x89\xab\xcd\xef", 10);
}


static void
test_close(void **state)
{
    size_t   i, len;
    u_char  *end, buf[NGX_HTTP_RT_WS_CLOSE_MAX], reason[256];

    (void) state;

    end = ngx_http_rt_ws_close(buf, 1000, NULL, 0);
    assert_int_equal(end - buf, 4);
    assert_memory_equal(buf, "\x88\x02\x03\xe8", 4);

    end = ngx_http_rt_ws_close(buf, 4000, (u_char *) "lagged", 6);
    assert_int_equal(end - buf, 10);
    assert_memory_equal(buf, "\x88\x08\x0f\xa0lagged", 10);

    end = ngx_http_rt_ws_close(buf, NGX_HTTP_RT_WS_NO_CODE, NULL, 0);
    assert_int_equal(end - buf, 2);
    assert_memory_equal(buf, "\x88\x00", 2);

    /* euros from each offset on: the cut is always between two of them */

    for (i = 0; i < 8; i++) {
        memset(reason, 'a', i);

        for (len = i; len + 3 <= sizeof(reason); len += 3) {
            memcpy(reason + len, "\xe2\x82\xac", 3);
        }

        end = ngx_http_rt_ws_close(buf, 1008, reason, len);
        assert_int_equal(buf[0], 0x88);
        assert_int_equal(buf[1], end - buf - 2);
        assert_in_range(buf[1], 2 + 121, 2 + 123);
        assert_memory_equal(buf + 4, reason, buf[1] - 2);
        assert_true(ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, buf + 4,
                                          buf[1] - 2)
                    == NGX_HTTP_RT_UTF8_ACCEPT);
    }

    /* what fits is not cut */

    memset(reason, 'a', 126);

    for (len = 120; len < 126; len++) {
        end = ngx_http_rt_ws_close(buf, 1008, reason, len);
        assert_int_equal(end - buf, len > 123 ? NGX_HTTP_RT_WS_CLOSE_MAX
                                              : 4 + len);
    }
}


/* each length, alignment and cut of a payload against the mask by hand */

static void
test_unmask(void **state)
{
    size_t                    i, len, align, cut, at, done;
    u_char                    buf[80], *p, *pos, *last;
    const u_char              key[] = { 0xa5, 0x5a, 0xff, 0x01 };
    ngx_http_rt_ws_parser_t   ws;

    (void) state;

    for (align = 0; align < 8; align++) {
        for (len = 1; len < 40; len++) {
            for (cut = 0; cut <= len; cut++) {
                p = buf + align;
                p[0] = 0x82;
                p[1] = 0x80 | (u_char) len;
                memcpy(p + 2, key, 4);

                for (i = 0; i < len; i++) {
                    p[6 + i] = (u_char) (i * 7) ^ key[i % 4];
                }

                ngx_http_rt_ws_parser_init(&ws, len, 0);

                pos = p;
                done = 0;

                for (i = 0; i < 2; i++) {
                    last = p + 6 + (i == 0 ? cut : len);

                    while (ngx_http_rt_ws_parse(&ws, &pos, last)
                           == NGX_HTTP_RT_WS_PART)
                    {
                        for (at = 0; at < ws.len; at++) {
                            assert_int_equal(ws.data[at],
                                             (u_char) ((done + at) * 7));
                        }

                        done += ws.len;
                    }
                }

                assert_int_equal(done, len);
                assert_int_equal(ws.fin, 1);
            }
        }
    }
}


static void
test_large(void **state)
{
    size_t                    i, len, got;
    u_char                   *bytes, *pos, *last;
    ngx_http_rt_ws_parser_t   ws;

    (void) state;

    len = 70000;
    bytes = malloc(len + 14);

    memcpy(bytes, "\x81\xff\0\0\0\0\0\x01\x11\x70\x01\x02\x03\x04", 14);

    for (i = 0; i < len; i++) {
        bytes[14 + i] = 'x' ^ (u_char) (i % 4 + 1);
    }

    ngx_http_rt_ws_parser_init(&ws, len, 0);

    pos = bytes;
    got = 0;

    do {
        last = pos + 4096 + 1;

        if (last > bytes + len + 14) {
            last = bytes + len + 14;
        }

        while (ngx_http_rt_ws_parse(&ws, &pos, last) == NGX_HTTP_RT_WS_PART) {
            for (i = 0; i < ws.len; i++) {
                assert_int_equal(ws.data[i], 'x');
            }

            got += ws.len;
        }

    } while (pos < bytes + len + 14);

    assert_int_equal(got, len);
    assert_int_equal(ws.fin, 1);

    free(bytes);
}


static void
test_size(void **state)
{
    (void) state;

    assert_true(sizeof(ngx_http_rt_ws_parser_t) <= 80);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_close_codes),
        cmocka_unit_test(test_fail_fast),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_rfc_examples),
        cmocka_unit_test(test_header_edges),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_unmask),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_size),
    };

    if (getenv("CMOCKA_MESSAGE_OUTPUT") == NULL) {
        cmocka_set_message_output(CM_OUTPUT_TAP);
    }

    return cmocka_run_group_tests(tests, NULL, NULL);
}
