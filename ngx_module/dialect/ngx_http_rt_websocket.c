/*
 * WebSocket: RFC 6455 over HTTP/1.1, as a transport: the response that opens
 * it, pings, frames of our own, and the end, which both sides may begin.  What
 * the client sends is read in ngx_http_rt_websocket_input.c.
 *
 * While output is in flight no other frame may go between: a pong waits in the
 * session, and a later one takes its place (RFC 6455, 5.5.3).
 */

#include "ngx_http_rt_header.h"
#include "ngx_http_rt_websocket.h"


/* ms to wait for the peer's close frame */
#define NGX_HTTP_RT_WEBSOCKET_CLOSE_WAIT  5000

#define NGX_HTTP_RT_WEBSOCKET_UNANSWERED  2


static ngx_int_t ngx_http_rt_websocket_open(ngx_http_rt_session_t *s);
static ngx_int_t ngx_http_rt_websocket_header(ngx_http_rt_session_t *s);
static ngx_int_t ngx_http_rt_websocket_flush(ngx_http_rt_session_t *s);
static void ngx_http_rt_websocket_timer(ngx_http_rt_session_t *s);
static ngx_int_t ngx_http_rt_websocket_idle(ngx_http_rt_session_t *s);
static void ngx_http_rt_websocket_close(ngx_http_rt_session_t *s,
    ngx_uint_t code, const char *reason);
static void ngx_http_rt_websocket_free(ngx_http_rt_session_t *s);


const ngx_http_rt_transport_t  ngx_http_rt_websocket = {
    NGX_HTTP_RT_WEBSOCKET,
    sizeof(ngx_http_rt_websocket_ctx_t),
    ngx_http_rt_websocket_open,
    NULL,
    ngx_http_rt_websocket_timer,
    ngx_http_rt_websocket_read,
    ngx_http_rt_websocket_flush,
    ngx_http_rt_websocket_close,
    ngx_http_rt_publishing_cancel,
    ngx_http_rt_websocket_free
};


/* the handshake's headers have been checked and added */

static ngx_int_t
ngx_http_rt_websocket_open(ngx_http_rt_session_t *s)
{
    ngx_int_t                     rc;
    ngx_http_request_t           *r;
    ngx_http_rt_websocket_ctx_t  *ws;

    r = s->request;
    ws = s->ctx;

    ngx_http_rt_ws_parser_init(&ws->parser, s->conf->message_max_size,
                               s->inflates);

    rc = ngx_http_rt_websocket_header(s);
    if (rc != NGX_OK) {
        return rc;
    }

    s->direct = 1;

    if (r->header_in->pos < r->header_in->last) {

        /* frames came with the handshake; the socket may stay silent */

        ngx_post_event(r->connection->read, &ngx_posted_events);
    }

    ngx_http_rt_session_idle(s);

    if (r->out || r->connection->buffered) {

        /* cannot be, with an empty socket; the hello is for those who wait */

        return NGX_ERROR;
    }

    return s->dialect->open ? s->dialect->open(s) : NGX_OK;
}


static ngx_int_t
ngx_http_rt_websocket_header(ngx_http_rt_session_t *s)
{
    uint64_t             seq;
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = s->request;
    seq = s->reader ? s->reader->cursor : s->position;

    if (ngx_http_rt_header_live(r) != NGX_OK
        || ngx_http_rt_header_id(r, s->sink.hub->zone->epoch, seq) != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->keepalive = 0;
    r->lingering_close = 1;

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (s->core_conf->tcp_nodelay
        && ngx_tcp_nodelay(s->sink.connection) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* what had to wait for the socket */

static ngx_int_t
ngx_http_rt_websocket_flush(ngx_http_rt_session_t *s)
{
    ngx_http_rt_websocket_ctx_t  *ws;

    ws = s->ctx;

    if (!ws->pong) {
        return NGX_OK;
    }

    ws->pong = 0;

    return ngx_http_rt_websocket_frame(s, NGX_HTTP_RT_WS_PONG, ws->pong_data,
                                       ws->pong_len);
}


ngx_int_t
ngx_http_rt_websocket_frame(ngx_http_rt_session_t *s, ngx_uint_t opcode,
    const u_char *data, size_t len)
{
    ngx_int_t              rc;
    ngx_http_rt_buffer_t  *b;

    b = ngx_http_rt_buffer_create(s->sink.encoding,
                                  NGX_HTTP_RT_WS_HEADER_MAX + len);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_http_rt_ws_header(b->last, NGX_HTTP_RT_WS_FIN|opcode, len);

    if (len) {
        b->last = ngx_cpymem(b->last, data, len);
    }

    rc = ngx_http_rt_session_send(s, b);

    ngx_http_rt_buffer_release(b);

    return rc;
}


static void
ngx_http_rt_websocket_timer(ngx_http_rt_session_t *s)
{
    if (s->sink.closing && s->sink.blocked) {

        /* our close is still to be sent; send_timeout watches over that */

        ngx_add_timer(&s->timer, NGX_HTTP_RT_WEBSOCKET_CLOSE_WAIT);
        return;
    }

    if (s->sink.closing) {

        /* the peer did not answer our close */

        ngx_http_rt_session_end(s, NGX_OK);
        return;
    }

    if (ngx_current_msec - s->active >= s->conf->keepalive
        && !s->sink.blocked
        && ngx_http_rt_websocket_idle(s) != NGX_OK)
    {
        return;
    }

    ngx_http_rt_session_idle(s);
}


static ngx_int_t
ngx_http_rt_websocket_idle(ngx_http_rt_session_t *s)
{
    ngx_int_t                     rc;
    ngx_http_rt_websocket_ctx_t  *ws;

    ws = s->ctx;

    if (ws->unanswered == NGX_HTTP_RT_WEBSOCKET_UNANSWERED) {
        ngx_log_error(NGX_LOG_INFO, s->sink.connection->log, 0,
                      "client answers no pings");
        ngx_http_rt_session_end(s, NGX_HTTP_REQUEST_TIME_OUT);
        return NGX_DONE;
    }

    ws->unanswered++;

    rc = s->dialect->ping ? s->dialect->ping(s) : NGX_OK;

    if (rc != NGX_ERROR && !s->sink.blocked) {
        rc = ngx_http_rt_websocket_frame(s, NGX_HTTP_RT_WS_PING, NULL, 0);
    }

    if (rc == NGX_ERROR) {
        ngx_http_rt_session_end(s, NGX_ERROR);
        return NGX_DONE;
    }

    return NGX_OK;
}


/* called again when the frame is out, if it could not be sent at once */

static void
ngx_http_rt_websocket_close(ngx_http_rt_session_t *s, ngx_uint_t code,
    const char *reason)
{
    u_char                        frame[NGX_HTTP_RT_WS_CLOSE_MAX], *p;
    ngx_int_t                     rc;
    ngx_http_rt_websocket_ctx_t  *ws;

    ws = s->ctx;

    if (!s->said) {
        s->said = 1;

        if (s->dialect->goodbye) {
            code = s->dialect->goodbye(code);
        }

        /* the frame's payload: the code, and the reason cut at a character */

        p = ngx_http_rt_ws_close(frame, code, (u_char *) reason,
                                 ngx_strlen(reason));

        rc = ngx_http_rt_websocket_frame(s, NGX_HTTP_RT_WS_CLOSE, frame + 2,
                                         p - frame - 2);

        if (rc != NGX_ERROR && !s->sink.blocked) {
            rc = ngx_http_rt_session_flush(s);
        }

        if (rc == NGX_ERROR) {
            ngx_http_rt_session_end(s, NGX_ERROR);
            return;
        }

        if (rc == NGX_AGAIN) {
            return;
        }
    }

    if (ws->peer_closed) {
        ngx_http_rt_session_end(s, NGX_OK);
        return;
    }

    ngx_add_timer(&s->timer, NGX_HTTP_RT_WEBSOCKET_CLOSE_WAIT);
}


static void
ngx_http_rt_websocket_free(ngx_http_rt_session_t *s)
{
    ngx_http_rt_websocket_ctx_t *ws = s->ctx;

    ngx_http_rt_ws_parser_free(&ws->parser);

    if (ws->message) {
        ngx_free(ws->message);
    }

    if (ws->rest) {
        ngx_free(ws->rest);
    }
}
