/*
 * WebSocket frames.  The first byte chooses the limit, the second whether
 * compression was agreed, the third how the rest is cut; what is put together
 * of the events must be the same whole, cut, and byte by byte.
 *
 * Text that is told of as whole must be UTF-8, no payload larger than the
 * limit, and nothing may follow an error or a close.
 *
 * Sources: ngx_http_rt_ws_frame.c ngx_http_rt_utf8.c
 */


#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <ngx_http_rt_utf8.h>
#include <ngx_http_rt_ws_frame.h>


#define INPUT_MAX    4096
#define EVENTS_SIZE  (INPUT_MAX * 4)


typedef struct {
    size_t   len;
    size_t   data_len;
    int      ended;
    u_char   p[EVENTS_SIZE];         /* events, one after the other */
    u_char   data[INPUT_MAX];      /* the open message */
} events_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(events_t *ev, const u_char *p, size_t size, size_t max,
    unsigned deflate, size_t cut);
static int feed(events_t *ev, ngx_http_rt_ws_parser_t *ws, const u_char *p,
    size_t len);
static void tell(events_t *ev, int kind, int value, const u_char *p,
    size_t len);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t           max, cut, i;
    unsigned         deflate;
    static events_t  ev[3];

    if (size < 3 || size > INPUT_MAX) {
        return 0;
    }

    max = data[0] < 0xf0 ? data[0] : (size_t) data[0] << 8;
    deflate = data[1] & 1;
    cut = data[2] + 2;

    data += 3;
    size -= 3;

    run(&ev[0], data, size, max, deflate, size ? size : 1);
    run(&ev[1], data, size, max, deflate, cut);
    run(&ev[2], data, size, max, deflate, 1);

    for (i = 1; i < 3; i++) {
        if (ev[i].len != ev[0].len
            || memcmp(ev[i].p, ev[0].p, ev[0].len) != 0)
        {
            abort();
        }
    }

    return 0;
}


static void
run(events_t *ev, const u_char *p, size_t size, size_t max, unsigned deflate,
    size_t cut)
{
    size_t                    n;
    ngx_http_rt_ws_parser_t   ws;

    ev->len = 0;
    ev->data_len = 0;
    ev->ended = 0;

    ngx_http_rt_ws_parser_init(&ws, max, deflate);

    while (size) {
        n = size < cut ? size : cut;

        if (feed(ev, &ws, p, n) != 0) {
            break;
        }

        p += n;
        size -= n;
    }

    ngx_http_rt_ws_parser_free(&ws);
}


static int
feed(events_t *ev, ngx_http_rt_ws_parser_t *ws, const u_char *p, size_t len)
{
    int      rc;
    u_char  *buf, *pos, *last, *before;

    buf = malloc(len);
    memcpy(buf, p, len);

    pos = buf;
    last = buf + len;

    for ( ;; ) {
        before = pos;
        rc = ngx_http_rt_ws_parse(ws, &pos, last);

        if (pos < before || pos > last) {
            abort();
        }

        if (rc == NGX_HTTP_RT_WS_AGAIN) {

            if (pos != last) {
                abort();
            }

            break;
        }

        if (ev->ended) {
            abort();
        }

        if (rc == NGX_HTTP_RT_WS_ERROR) {

            if (ws->reason == NULL
                || (ws->code != 1002 && ws->code != 1007 && ws->code != 1009)
                || ngx_http_rt_ws_parse(ws, &pos, last) != rc)
            {
                abort();
            }

            tell(ev, '!', ws->code, NULL, 0);
            free(buf);
            return -1;
        }

        if (rc == NGX_HTTP_RT_WS_CONTROL) {

            if (ws->len > NGX_HTTP_RT_WS_CONTROL_MAX) {
                abort();
            }

            tell(ev, ws->opcode, 0, ws->data, ws->len);

            if (ws->opcode == NGX_HTTP_RT_WS_CLOSE) {
                tell(ev, 'c', ws->code, NULL, 0);
                ev->ended = 1;
            }

            continue;
        }

        if (ws->data < buf || ws->data + ws->len > last
            || (ws->len == 0 && !ws->fin)
            || (ws->opcode != NGX_HTTP_RT_WS_TEXT
                && ws->opcode != NGX_HTTP_RT_WS_BINARY))
        {
            abort();
        }

        memcpy(ev->data + ev->data_len, ws->data, ws->len);
        ev->data_len += ws->len;

        if (ev->data_len > ngx_http_rt_ws_limit(ws)) {
            abort();
        }

        if (!ws->fin) {
            continue;
        }

        if (ws->opcode == NGX_HTTP_RT_WS_TEXT && !ws->compressed
            && ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, ev->data,
                                     ev->data_len)
               != NGX_HTTP_RT_UTF8_ACCEPT)
        {
            abort();
        }

        tell(ev, ws->opcode, ws->compressed, ev->data, ev->data_len);
        ev->data_len = 0;
    }

    free(buf);

    return 0;
}


static void
tell(events_t *ev, int kind, int value, const u_char *p, size_t len)
{
    ev->p[ev->len++] = (u_char) kind;
    ev->p[ev->len++] = (u_char) value;
    ev->p[ev->len++] = (u_char) (value >> 8);
    ev->p[ev->len++] = (u_char) len;
    ev->p[ev->len++] = (u_char) (len >> 8);

    if (len) {
        memcpy(ev->p + ev->len, p, len);
        ev->len += len;
    }
}
