/*
 * What a WebSocket's client sends.  Frames are parsed by
 * ngx_http_rt_ws_frame.c; here they become messages for the session's dialect,
 * and pings are answered.
 *
 * Input is read into one buffer of the process and parsed at once, for
 * NGX_HTTP_RT_WEBSOCKET_SLICE at most.  What is left then, 16 KiB at the most,
 * is kept in the session until the next turn of the event loop.  A message that
 * comes in pieces is gathered, up to realtime_message_max_size.
 */

#include "ngx_http_rt_deflate.h"
#include "ngx_http_rt_utf8.h"
#include "ngx_http_rt_websocket.h"


#define NGX_HTTP_RT_WEBSOCKET_READ   16384

/* how long one connection's input may keep the event loop to itself, ns */
#define NGX_HTTP_RT_WEBSOCKET_SLICE  500000


static ngx_int_t ngx_http_rt_websocket_recv(ngx_http_rt_session_t *s,
    u_char **pos, u_char **last);
static ngx_int_t ngx_http_rt_websocket_input(ngx_http_rt_session_t *s,
    u_char **pos, u_char *last, uint64_t deadline);
static void ngx_http_rt_websocket_rest(ngx_http_rt_session_t *s, u_char *pos,
    u_char *last);
static ngx_int_t ngx_http_rt_websocket_part(ngx_http_rt_session_t *s);
static ngx_int_t ngx_http_rt_websocket_message(ngx_http_rt_session_t *s,
    u_char *data, size_t len);
static ngx_int_t ngx_http_rt_websocket_inflate(ngx_http_rt_session_t *s,
    u_char *data, size_t len, ngx_str_t *text);
static ngx_uint_t ngx_http_rt_websocket_excess(
    ngx_http_rt_websocket_ctx_t *ws, const ngx_http_rt_session_conf_t *conf);
static ngx_int_t ngx_http_rt_websocket_control(ngx_http_rt_session_t *s);
static ngx_int_t ngx_http_rt_websocket_ping(ngx_http_rt_session_t *s);
static void ngx_http_rt_websocket_leave(ngx_http_rt_session_t *s,
    ngx_uint_t code, const char *reason);


static u_char  ngx_http_rt_websocket_buffer[NGX_HTTP_RT_WEBSOCKET_READ];


void
ngx_http_rt_websocket_read(ngx_http_rt_session_t *s)
{
    u_char                       *p, *last;
    uint64_t                      deadline;
    ngx_connection_t             *c;
    ngx_http_rt_websocket_ctx_t  *ws;

    c = s->sink.connection;
    ws = s->ctx;

    if (ws->peer_closed && !s->sink.closing) {
        ngx_http_rt_session_close(s, ws->code, ws->reason);
        return;
    }

    deadline = ngx_http_rt_clock() + NGX_HTTP_RT_WEBSOCKET_SLICE;

    while (!s->sink.ended && !s->busy) {

        if (ngx_http_rt_websocket_recv(s, &p, &last) != NGX_OK) {
            return;
        }

        switch (ngx_http_rt_websocket_input(s, &p, last, deadline)) {

        case NGX_OK:
            break;

        case NGX_AGAIN:
            ngx_http_rt_websocket_rest(s, p, last);
            ngx_post_event(c->read, &ngx_posted_next_events);
            return;

        default: /* NGX_DONE: no more input is wanted */
            return;
        }

        if (ngx_http_rt_clock() >= deadline) {
            ngx_post_event(c->read, &ngx_posted_next_events);
            return;
        }
    }
}


/* what comes next: kept, with the handshake, or from the socket */

static ngx_int_t
ngx_http_rt_websocket_recv(ngx_http_rt_session_t *s, u_char **pos,
    u_char **last)
{
    ssize_t                       n;
    ngx_buf_t                    *b;
    ngx_connection_t             *c;
    ngx_http_rt_websocket_ctx_t  *ws;

    c = s->sink.connection;
    ws = s->ctx;

    b = ws->rest ? ws->rest : s->request ? s->request->header_in : NULL;

    if (b && b->pos < b->last) {
        *pos = b->pos;
        *last = b->last;
        b->pos = b->last;

        return NGX_OK;
    }

    if (ws->rest) {
        ngx_free(ws->rest);
        ws->rest = NULL;
    }

    n = c->recv(c, ngx_http_rt_websocket_buffer, NGX_HTTP_RT_WEBSOCKET_READ);

    if (n == NGX_AGAIN) {

        if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
            ngx_http_rt_session_end(s, NGX_ERROR);
        }

        return NGX_AGAIN;
    }

    if (n == NGX_ERROR || n == 0) {
        c->error = (n == NGX_ERROR);
        ngx_http_rt_session_end(s, NGX_HTTP_CLIENT_CLOSED_REQUEST);

        return NGX_ERROR;
    }

    s->active = ngx_current_msec;

    *pos = ngx_http_rt_websocket_buffer;
    *last = *pos + n;

    return NGX_OK;
}


/*
 * NGX_DONE: no more input is wanted; NGX_AGAIN: the time is up, or the client
 * has to wait for an operation, and *pos is where to go on.
 */

static ngx_int_t
ngx_http_rt_websocket_input(ngx_http_rt_session_t *s, u_char **pos,
    u_char *last, uint64_t deadline)
{
    ngx_int_t                     rc;
    ngx_http_rt_websocket_ctx_t  *ws;

    ws = s->ctx;
    ws->unanswered = 0;

    while (!s->sink.ended) {

        switch (ngx_http_rt_ws_parse(&ws->parser, pos, last)) {

        case NGX_HTTP_RT_WS_AGAIN:
            return NGX_OK;

        case NGX_HTTP_RT_WS_PART:
            rc = ngx_http_rt_websocket_part(s);
            break;

        case NGX_HTTP_RT_WS_CONTROL:
            rc = ngx_http_rt_websocket_control(s);
            break;

        default: /* NGX_HTTP_RT_WS_ERROR */

            /* it is not listened to any more, and need not answer */

            ngx_http_rt_websocket_leave(s, ws->parser.code,
                                        ws->parser.reason);
            return NGX_DONE;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        if (*pos < last && (s->busy || ngx_http_rt_clock() >= deadline)) {
            return NGX_AGAIN;
        }
    }

    return NGX_DONE;
}


/* a piece of the process's buffer, until there is time for it */

static void
ngx_http_rt_websocket_rest(ngx_http_rt_session_t *s, u_char *pos,
    u_char *last)
{
    ngx_buf_t                    *b;
    ngx_http_rt_websocket_ctx_t  *ws;

    ws = s->ctx;
    b = ws->rest ? ws->rest : s->request ? s->request->header_in : NULL;

    if (b && pos >= b->start && last == b->last) {

        /* it came from there, and goes on being there */

        b->pos = pos;
        return;
    }

    b = ngx_alloc(sizeof(ngx_buf_t) + (last - pos), s->sink.connection->log);
    if (b == NULL) {
        ngx_http_rt_session_end(s, NGX_ERROR);
        return;
    }

    b->start = (u_char *) &b[1];
    b->pos = b->start;
    b->last = ngx_cpymem(b->pos, pos, last - pos);

    ws->rest = b;
}


static ngx_int_t
ngx_http_rt_websocket_part(ngx_http_rt_session_t *s)
{
    size_t                        size;
    u_char                       *p;
    ngx_int_t                     rc;
    ngx_http_rt_ws_parser_t      *parser;
    ngx_http_rt_websocket_ctx_t  *ws;

    ws = s->ctx;
    parser = &ws->parser;

    if (s->sink.closing) {
        return NGX_OK;
    }

    if (s->dialect->input == NULL) {
        ngx_http_rt_session_close(s, 1008, "nothing may be published here");
        return NGX_OK;
    }

    if (parser->fin && ws->len == 0) {
        return ngx_http_rt_websocket_message(s, parser->data, parser->len);
    }

    if (ws->len + parser->len > ws->size) {
        size = ngx_max(2 * ws->size, ws->len + parser->len);
        size = ngx_min(size, ngx_http_rt_ws_limit(parser));

        p = realloc(ws->message, size);
        if (p == NULL) {
            ngx_http_rt_session_end(s, NGX_ERROR);
            return NGX_DONE;
        }

        ws->message = p;
        ws->size = size;
    }

    ngx_memcpy(ws->message + ws->len, parser->data, parser->len);
    ws->len += parser->len;

    if (!parser->fin) {
        return NGX_OK;
    }

    rc = ngx_http_rt_websocket_message(s, ws->message, ws->len);

    ngx_free(ws->message);
    ws->message = NULL;
    ws->len = 0;
    ws->size = 0;

    return rc;
}


/* a message is complete */

static ngx_int_t
ngx_http_rt_websocket_message(ngx_http_rt_session_t *s, u_char *data,
    size_t len)
{
    ngx_str_t                     text;
    ngx_http_rt_websocket_ctx_t  *ws;

    ws = s->ctx;

    if (s->conf->message_rate && ngx_http_rt_websocket_excess(ws, s->conf)) {
        ngx_http_rt_session_close(s, 1008, "too many messages");
        return NGX_OK;
    }

    text.data = data;
    text.len = len;

    if (ws->parser.compressed
        && ngx_http_rt_websocket_inflate(s, data, len, &text) != NGX_OK)
    {
        return NGX_OK;
    }

    if (s->dialect->input(s, text.data, text.len,
                          ws->parser.opcode == NGX_HTTP_RT_WS_BINARY)
        == NGX_ERROR)
    {
        ngx_http_rt_session_end(s, NGX_ERROR);
        return NGX_DONE;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_websocket_inflate(ngx_http_rt_session_t *s, u_char *data,
    size_t len, ngx_str_t *text)
{
    ngx_http_rt_websocket_ctx_t  *ws;

    ws = s->ctx;

    switch (ngx_http_rt_inflate(data, len, s->conf->message_max_size, text)) {

    case NGX_OK:
        break;

    case NGX_DECLINED:
        ngx_http_rt_session_close(s, 1009, "message is too large");
        return NGX_DECLINED;

    default: /* NGX_ERROR */
        ngx_http_rt_session_close(s, 1007, "invalid deflated data");
        return NGX_DECLINED;
    }

    if (ws->parser.opcode == NGX_HTTP_RT_WS_TEXT
        && ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, text->data,
                                 text->len)
           != NGX_HTTP_RT_UTF8_ACCEPT)
    {
        ngx_http_rt_session_close(s, 1007, "text is not valid UTF-8");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* a bucket that leaks at the rate, as in limit_req; in thousandths */

static ngx_uint_t
ngx_http_rt_websocket_excess(ngx_http_rt_websocket_ctx_t *ws,
    const ngx_http_rt_session_conf_t *conf)
{
    ngx_msec_int_t  ms, excess;

    ms = ngx_min(ngx_current_msec - ws->last, (ngx_msec_t) 60000);

    excess = ws->excess - (ngx_msec_int_t) (conf->message_rate * ms / 1000);

    ws->excess = ngx_max(excess, 0) + 1000;
    ws->last = ngx_current_msec;

    return ws->excess > (ngx_msec_int_t) conf->message_burst * 1000;
}


static ngx_int_t
ngx_http_rt_websocket_control(ngx_http_rt_session_t *s)
{
    ngx_http_rt_websocket_ctx_t  *ws;

    ws = s->ctx;

    switch (ws->parser.opcode) {

    case NGX_HTTP_RT_WS_PING:
        return s->sink.closing ? NGX_OK : ngx_http_rt_websocket_ping(s);

    case NGX_HTTP_RT_WS_CLOSE:

        if (!s->sink.closing) {
            ngx_http_rt_websocket_leave(s, ws->parser.code, "");
            return NGX_DONE;
        }

        ws->peer_closed = 1;

        if (s->said && !s->sink.blocked) {
            ngx_http_rt_session_end(s, NGX_OK);
        }

        return NGX_DONE;

    default: /* NGX_HTTP_RT_WS_PONG */
        return NGX_OK;
    }
}


static ngx_int_t
ngx_http_rt_websocket_ping(ngx_http_rt_session_t *s)
{
    ngx_http_rt_ws_parser_t      *parser;
    ngx_http_rt_websocket_ctx_t  *ws;

    ws = s->ctx;
    parser = &ws->parser;

    if (!s->sink.blocked) {

        if (ngx_http_rt_websocket_frame(s, NGX_HTTP_RT_WS_PONG, parser->data,
                                        parser->len)
            == NGX_ERROR)
        {
            ngx_http_rt_session_end(s, NGX_ERROR);
            return NGX_DONE;
        }

        return NGX_OK;
    }

    if (ws->pong_data == NULL) {
        ws->pong_data = ngx_pnalloc(s->pool, NGX_HTTP_RT_WS_CONTROL_MAX);
        if (ws->pong_data == NULL) {
            ngx_http_rt_session_end(s, NGX_ERROR);
            return NGX_DONE;
        }
    }

    ngx_memcpy(ws->pong_data, parser->data, parser->len);
    ws->pong_len = parser->len;
    ws->pong = 1;

    return NGX_OK;
}


/*
 * The client has said the last that it may say.  A message that it published
 * right before is on its way to it, and the close frame must not overtake it.
 */

static void
ngx_http_rt_websocket_leave(ngx_http_rt_session_t *s, ngx_uint_t code,
    const char *reason)
{
    ngx_http_rt_websocket_ctx_t *ws = s->ctx;

    ws->peer_closed = 1;

    if (!ngx_http_rt_hub_pending(s->sink.hub)) {
        ngx_http_rt_session_close(s, code, reason);
        return;
    }

    ws->code = code;
    ws->reason = reason;

    ngx_post_event(s->sink.connection->read, &ngx_posted_events);
}
