/*
 * WebSocket: RFC 6455 over HTTP/1.1.  Frames are parsed by
 * ngx_http_rt_ws_frame.c; here is what they mean: messages of the client are
 * published if the location publishes, or are commands if it passes; pings are
 * answered, and both sides may begin to close.
 *
 * Input is read into one buffer of the process and parsed at once; only a
 * message that comes in pieces is gathered, up to realtime_message_max_size.
 * While output is in flight no other frame may go between: a pong waits in the
 * session, and a later one takes its place (RFC 6455, 5.5.3).
 */

#include "ngx_http_rt.h"
#include "ngx_http_rt_pass.h"
#include "ngx_http_rt_utf8.h"
#include "ngx_http_rt_ws_extension.h"
#include "ngx_http_rt_ws_frame.h"

#include <ngx_sha1.h>


#define NGX_HTTP_RT_WS_READ        16384

/* reads of one connection before others have their turn */
#define NGX_HTTP_RT_WS_TURN        16

/* ms to wait for the peer's close frame */
#define NGX_HTTP_RT_WS_CLOSE_WAIT  5000

#define NGX_HTTP_RT_WS_UNANSWERED  2


typedef struct {
    ngx_http_rt_ws_parser_t   parser;

    ngx_str_t                 topic;        /* published to, or empty */
    u_char                   *message;      /* being gathered */
    size_t                    len;
    size_t                    size;

    ngx_uint_t                unanswered;   /* pings */

    ngx_msec_t                last;         /* message of the client */
    ngx_msec_int_t            excess;

    const char               *reason;       /* to close with */
    uint16_t                  code;

    unsigned                  peer_closed:1;
    unsigned                  pong:1;       /* to be sent */
    uint8_t                   pong_len;
    u_char                   *pong_data;
} ngx_http_rt_ws_ctx_t;


static ngx_int_t ngx_http_rt_ws_open(ngx_http_rt_subscriber_t *s);
static ngx_int_t ngx_http_rt_ws_accept(ngx_http_request_t *r);
static void ngx_http_rt_ws_read(ngx_http_rt_subscriber_t *s);
static ngx_int_t ngx_http_rt_ws_input(ngx_http_rt_subscriber_t *s, u_char *pos,
    u_char *last);
static ngx_int_t ngx_http_rt_ws_part(ngx_http_rt_subscriber_t *s);
static void ngx_http_rt_ws_message(ngx_http_rt_subscriber_t *s, u_char *data,
    size_t len);
static ngx_uint_t ngx_http_rt_ws_excess(ngx_http_rt_ws_ctx_t *ws,
    ngx_http_rt_loc_conf_t *rlcf);
static void ngx_http_rt_ws_publish(ngx_http_rt_subscriber_t *s, u_char *data,
    size_t len);
static ngx_int_t ngx_http_rt_ws_control(ngx_http_rt_subscriber_t *s);
static void ngx_http_rt_ws_leave(ngx_http_rt_subscriber_t *s, ngx_uint_t code,
    const char *reason);
static ngx_int_t ngx_http_rt_ws_flush(ngx_http_rt_subscriber_t *s);
static ngx_int_t ngx_http_rt_ws_frame(ngx_http_rt_subscriber_t *s,
    ngx_uint_t opcode, u_char *data, size_t len);
static void ngx_http_rt_ws_timer(ngx_http_rt_subscriber_t *s);
static void ngx_http_rt_ws_close_frame(ngx_http_rt_subscriber_t *s,
    ngx_uint_t code, const char *reason);
static void ngx_http_rt_ws_cleanup(void *data);


const ngx_http_rt_protocol_t  ngx_http_rt_ws = {
    NGX_HTTP_RT_WEBSOCKET,
    sizeof(ngx_http_rt_ws_ctx_t),
    ngx_http_rt_ws_open,
    NULL,
    ngx_http_rt_ws_timer,
    ngx_http_rt_ws_read,
    ngx_http_rt_ws_flush,
    ngx_http_rt_ws_close_frame
};


static u_char  ngx_http_rt_ws_buffer[NGX_HTTP_RT_WS_READ];


ngx_uint_t
ngx_http_rt_ws_asked(ngx_http_request_t *r)
{
    ngx_str_t  upgrade;

    return ngx_http_rt_header_list(r, "Upgrade", &upgrade) == NGX_OK
           && ngx_http_rt_header_token(&upgrade, "websocket");
}


/* the request's side of the handshake; NGX_DONE: it has been refused */

ngx_int_t
ngx_http_rt_ws_check(ngx_http_request_t *r)
{
    u_char     key[20];
    ngx_str_t  connection, version, src, dst;

    if (r->method != NGX_HTTP_GET) {
        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                                  "a WebSocket handshake is a GET");
    }

    if (r->http_version != NGX_HTTP_VERSION_11) {
        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                                        "WebSocket needs HTTP/1.1");
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked
        || ngx_http_rt_ctx(r)->body)
    {
        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                                     "a WebSocket handshake has no body");
    }

    if (ngx_http_rt_header_list(r, "Connection", &connection) != NGX_OK
        || ngx_http_rt_header_list(r, "Sec-WebSocket-Version", &version)
           != NGX_OK
        || ngx_http_rt_header_list(r, "Sec-WebSocket-Key", &src) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_rt_header_token(&connection, "upgrade") == NULL) {
        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                                  "Connection must name Upgrade");
    }

    if (version.len != 2 || ngx_strncmp(version.data, "13", 2) != 0) {
        if (ngx_http_rt_header_add(r, "Sec-WebSocket-Version",
                                   (u_char *) "13", 2)
            != NGX_OK
            || ngx_http_rt_ws_headers(r) != NGX_OK)
        {
            return NGX_ERROR;
        }

        return ngx_http_rt_refuse(r, 426, "Sec-WebSocket-Version must be 13");
    }

    if (src.len == 24) {
        dst.data = key;

        if (ngx_decode_base64(&dst, &src) == NGX_OK && dst.len == 16) {
            return NGX_OK;
        }
    }

    return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                                "Sec-WebSocket-Key must be 16 bytes in base64");
}


/* with 426 (RFC 9110, 7.8), but HTTP/2 does not know them (RFC 9113, 8.2.2) */

ngx_int_t
ngx_http_rt_ws_headers(ngx_http_request_t *r)
{
    if (r->http_version >= NGX_HTTP_VERSION_20) {
        return NGX_OK;
    }

    if (ngx_http_rt_header_add(r, "Connection", (u_char *) "upgrade", 7)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_rt_header_add(r, "Upgrade", (u_char *) "websocket", 9);
}


/* whether the client offers the subprotocol of the envelope */

ngx_uint_t
ngx_http_rt_ws_envelope(ngx_http_request_t *r)
{
    u_char     *p;
    ngx_str_t   list;

    if (ngx_http_rt_header_list(r, "Sec-WebSocket-Protocol", &list)
        != NGX_OK)
    {
        return 0;
    }

    p = ngx_http_rt_header_token(&list, "realtime.json");

    return p && ngx_strncmp(p, "realtime.json", 13) == 0;
}


/* the window of the offer that is accepted, or 0 */

ngx_uint_t
ngx_http_rt_ws_deflate(ngx_http_request_t *r)
{
    ngx_uint_t                 i;
    ngx_list_part_t           *part;
    ngx_table_elt_t           *h;
    ngx_http_rt_loc_conf_t    *rlcf;
    ngx_http_rt_ws_deflate_t   deflate;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (!rlcf->deflate_on) {
        return 0;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == sizeof("Sec-WebSocket-Extensions") - 1
                && ngx_strncasecmp(h[i].key.data,
                                   (u_char *) "Sec-WebSocket-Extensions",
                                   h[i].key.len)
                   == 0
                && ngx_http_rt_ws_extension_parse(h[i].value.data,
                                                  h[i].value.len, &deflate))
            {
                ngx_http_rt_ctx(r)->deflate = deflate;
                return deflate.window;
            }
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_rt_ws_open(ngx_http_rt_subscriber_t *s)
{
    u_char                   hello[32 + NGX_HTTP_RT_ID_LEN], *p;
    ngx_int_t                rc;
    ngx_str_t                topic;
    ngx_pool_cleanup_t      *cln;
    ngx_http_request_t      *r;
    ngx_http_rt_ws_ctx_t    *ws;
    ngx_http_rt_buffer_t    *b;

    r = s->request;
    ws = s->ctx;

    cln = ngx_pool_cleanup_add(s->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_rt_ws_cleanup;
    cln->data = ws;

    ngx_http_rt_ws_parser_init(&ws->parser, s->conf->message_max_size,
                               ngx_http_rt_ws_deflate(r) != 0);

    if (s->conf->publish) {

        if (ngx_http_complex_value(r, s->conf->publish, &topic) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_http_rt_rule_topic(topic.data, topic.len) == NULL) {
            ws->topic.len = topic.len;
            ws->topic.data = ngx_pstrdup(s->pool, &topic);
            if (ws->topic.data == NULL) {
                return NGX_ERROR;
            }
        }
    }

    if (s->conf->pass && ngx_http_rt_pass_ws_open(s) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_rt_ws_accept(r) != NGX_OK
        || ngx_http_rt_header_live(r) != NGX_OK
        || ngx_http_rt_header_id(r, s->zone->sh->store.epoch, s->cursor)
           != NGX_OK)
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
        && ngx_tcp_nodelay(s->connection) != NGX_OK)
    {
        return NGX_ERROR;
    }

    s->direct = 1;

    if (r->header_in->pos < r->header_in->last) {

        /* frames came with the handshake; the socket may stay silent */

        ngx_post_event(r->connection->read, &ngx_posted_events);
    }

    ngx_http_rt_subscriber_idle(s);

    if (r->out || r->connection->buffered) {

        /* cannot be, with an empty socket; the hello is for those who wait */

        return NGX_ERROR;
    }

    if (!ngx_http_rt_buffer_takes_objects(s->encoding)) {
        return NGX_OK;
    }

    p = ngx_cpymem(hello, "{\"open\":{\"id\":\"", 15);
    p = ngx_http_rt_id_write(p, s->zone->sh->store.epoch, s->cursor);
    p = ngx_cpymem(p, "\"}}", 3);

    b = ngx_http_rt_buffer_create(s->encoding, sizeof(hello));
    if (b == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_rt_buffer_add_object(&b, hello, p - hello, NULL, NULL, 0);

    if (rc == NGX_OK) {
        rc = ngx_http_rt_subscriber_send(s, b);
    }

    ngx_http_rt_buffer_release(b);

    return rc;
}


/* RFC 6455, 4.2.2 */

static ngx_int_t
ngx_http_rt_ws_accept(ngx_http_request_t *r)
{
    u_char            digest[20], *value, *p;
    u_char            extension[NGX_HTTP_RT_WS_EXTENSION_LEN];
    ngx_str_t         src, dst;
    ngx_sha1_t        sha1;
    ngx_table_elt_t  *h;

    h = ngx_http_rt_header_find(r, "Sec-WebSocket-Key");

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, h->value.data, h->value.len);
    ngx_sha1_update(&sha1, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    ngx_sha1_final(digest, &sha1);

    value = ngx_pnalloc(r->pool, ngx_base64_encoded_length(sizeof(digest)));
    if (value == NULL) {
        return NGX_ERROR;
    }

    src.data = digest;
    src.len = sizeof(digest);
    dst.data = value;

    ngx_encode_base64(&dst, &src);

    if (ngx_http_rt_header_add(r, "Upgrade", (u_char *) "websocket", 9)
        != NGX_OK
        || ngx_http_rt_header_add(r, "Sec-WebSocket-Accept", dst.data,
                                  dst.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_rt_ws_deflate(r)) {
        p = ngx_http_rt_ws_extension_write(extension,
                                           &ngx_http_rt_ctx(r)->deflate);

        if (ngx_http_rt_header_add(r, "Sec-WebSocket-Extensions", extension,
                                   p - extension)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_http_rt_ws_envelope(r)) {
        return ngx_http_rt_header_add(r, "Sec-WebSocket-Protocol",
                                      (u_char *) "realtime.json", 13);
    }

    return NGX_OK;
}


static void
ngx_http_rt_ws_read(ngx_http_rt_subscriber_t *s)
{
    u_char                *p;
    ssize_t                n;
    ngx_buf_t             *b;
    ngx_uint_t             turn;
    ngx_connection_t      *c;
    ngx_http_rt_ws_ctx_t  *ws;

    c = s->connection;
    ws = s->ctx;

    if (ws->peer_closed && !s->closing) {
        ngx_http_rt_subscriber_close(s, ws->code, ws->reason);
        return;
    }

    for (turn = 0; !s->ended; turn++) {

        /* what came with the handshake is first */

        b = s->request ? s->request->header_in : NULL;

        if (b && b->pos < b->last) {
            p = b->pos;
            n = b->last - b->pos;
            b->pos = b->last;

        } else {
            if (turn >= NGX_HTTP_RT_WS_TURN) {
                ngx_post_event(c->read, &ngx_posted_next_events);
                return;
            }

            p = ngx_http_rt_ws_buffer;
            n = c->recv(c, p, NGX_HTTP_RT_WS_READ);
        }

        if (n == NGX_AGAIN) {

            if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
                ngx_http_rt_subscriber_end(s, NGX_ERROR);
            }

            return;
        }

        if (n == NGX_ERROR || n == 0) {
            c->error = (n == NGX_ERROR);
            ngx_http_rt_subscriber_end(s, NGX_HTTP_CLIENT_CLOSED_REQUEST);
            return;
        }

        s->active = ngx_current_msec;

        if (ngx_http_rt_ws_input(s, p, p + n) != NGX_OK) {
            return;
        }
    }
}


/* NGX_DONE: no more input is wanted */

static ngx_int_t
ngx_http_rt_ws_input(ngx_http_rt_subscriber_t *s, u_char *pos, u_char *last)
{
    ngx_int_t              rc;
    ngx_http_rt_ws_ctx_t  *ws;

    ws = s->ctx;
    ws->unanswered = 0;

    while (!s->ended) {

        switch (ngx_http_rt_ws_parse(&ws->parser, &pos, last)) {

        case NGX_HTTP_RT_WS_AGAIN:
            return NGX_OK;

        case NGX_HTTP_RT_WS_PART:
            rc = ngx_http_rt_ws_part(s);
            break;

        case NGX_HTTP_RT_WS_CONTROL:
            rc = ngx_http_rt_ws_control(s);
            break;

        default: /* NGX_HTTP_RT_WS_ERROR */

            /* it is not listened to any more, and need not answer */

            ngx_http_rt_ws_leave(s, ws->parser.code, ws->parser.reason);
            return NGX_DONE;
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_http_rt_ws_part(ngx_http_rt_subscriber_t *s)
{
    size_t                    size;
    u_char                   *p;
    ngx_http_rt_ws_ctx_t     *ws;
    ngx_http_rt_ws_parser_t  *parser;

    ws = s->ctx;
    parser = &ws->parser;

    if (s->closing) {
        return NGX_OK;
    }

    if (ws->topic.len == 0 && s->conf->pass == NULL) {
        ngx_http_rt_subscriber_close(s, 1008,
                                     "nothing may be published here");
        return NGX_OK;
    }

    if (parser->fin && ws->len == 0) {
        ngx_http_rt_ws_message(s, parser->data, parser->len);
        return NGX_OK;
    }

    if (ws->len + parser->len > ws->size) {
        size = ngx_max(2 * ws->size, ws->len + parser->len);
        size = ngx_min(size, ngx_http_rt_ws_limit(parser));

        p = realloc(ws->message, size);
        if (p == NULL) {
            ngx_http_rt_subscriber_end(s, NGX_ERROR);
            return NGX_DONE;
        }

        ws->message = p;
        ws->size = size;
    }

    ngx_memcpy(ws->message + ws->len, parser->data, parser->len);
    ws->len += parser->len;

    if (parser->fin) {
        ngx_http_rt_ws_message(s, ws->message, ws->len);

        ngx_free(ws->message);
        ws->message = NULL;
        ws->len = 0;
        ws->size = 0;
    }

    return NGX_OK;
}


/* a message is complete */

static void
ngx_http_rt_ws_message(ngx_http_rt_subscriber_t *s, u_char *data, size_t len)
{
    ngx_str_t                text;
    ngx_http_rt_ws_ctx_t    *ws;

    ws = s->ctx;
    if (s->conf->message_rate && ngx_http_rt_ws_excess(ws, s->conf)) {
        ngx_http_rt_subscriber_close(s, 1008, "too many messages");
        return;
    }

    if (ws->parser.compressed) {

        switch (ngx_http_rt_inflate(data, len, s->conf->message_max_size,
                                    &text))
        {
        case NGX_OK:
            break;

        case NGX_DECLINED:
            ngx_http_rt_subscriber_close(s, 1009, "message is too large");
            return;

        default: /* NGX_ERROR */
            ngx_http_rt_subscriber_close(s, 1007, "invalid deflated data");
            return;
        }

        if (ws->parser.opcode == NGX_HTTP_RT_WS_TEXT
            && ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, text.data,
                                     text.len)
               != NGX_HTTP_RT_UTF8_ACCEPT)
        {
            ngx_http_rt_subscriber_close(s, 1007, "text is not valid UTF-8");
            return;
        }

        data = text.data;
        len = text.len;
    }

    if (s->conf->pass == NULL) {
        ngx_http_rt_ws_publish(s, data, len);

    } else if (ws->parser.opcode == NGX_HTTP_RT_WS_TEXT) {
        ngx_http_rt_pass_ws_message(s, data, len);

    } else {
        ngx_http_rt_subscriber_close(s, 1003, "commands are text");
    }
}


/* a bucket that leaks at the rate, as in limit_req; in thousandths */

static ngx_uint_t
ngx_http_rt_ws_excess(ngx_http_rt_ws_ctx_t *ws, ngx_http_rt_loc_conf_t *rlcf)
{
    ngx_msec_int_t  ms, excess;

    ms = ngx_min(ngx_current_msec - ws->last, (ngx_msec_t) 60000);

    excess = ws->excess - (ngx_msec_int_t) (rlcf->message_rate * ms / 1000);

    ws->excess = ngx_max(excess, 0) + 1000;
    ws->last = ngx_current_msec;

    return ws->excess > (ngx_msec_int_t) rlcf->message_burst * 1000;
}


static void
ngx_http_rt_ws_publish(ngx_http_rt_subscriber_t *s, u_char *data, size_t len)
{
    ngx_shm_zone_t           *shm_zone;
    ngx_http_rt_ws_ctx_t     *ws;
    ngx_http_rt_append_t      a;
    ngx_http_rt_message_t     m;

    ws = s->ctx;
    shm_zone = s->conf->publish_zone;

    ngx_memzero(&m, sizeof(ngx_http_rt_message_t));

    m.topic = ws->topic.data;
    m.topic_len = ws->topic.len;
    m.data = data;
    m.data_len = len;
    m.binary = (ws->parser.opcode == NGX_HTTP_RT_WS_BINARY);

    ngx_memzero(&a, sizeof(ngx_http_rt_append_t));

    a.messages = &m;
    a.n = 1;

    switch (ngx_http_rt_zone_append_now(shm_zone->data, &a)) {

    case NGX_HTTP_RT_TOPIC_OK:
        break;

    case NGX_HTTP_RT_TOPIC_LARGE:
        ngx_http_rt_subscriber_close(s, 1009, "message is too large");
        break;

    case NGX_HTTP_RT_TOPIC_BUSY:
        ngx_http_rt_subscriber_close(s, 1013, "the ring is busy, try again");
        break;

    default: /* NGX_HTTP_RT_TOPIC_FULL */
        ngx_http_rt_subscriber_close(s, 1013, "no room for the topic");
    }
}


static ngx_int_t
ngx_http_rt_ws_control(ngx_http_rt_subscriber_t *s)
{
    ngx_http_rt_ws_ctx_t     *ws;
    ngx_http_rt_ws_parser_t  *parser;

    ws = s->ctx;
    parser = &ws->parser;

    switch (parser->opcode) {

    case NGX_HTTP_RT_WS_PING:

        if (s->closing) {
            return NGX_OK;
        }

        if (!s->blocked) {
            if (ngx_http_rt_ws_frame(s, NGX_HTTP_RT_WS_PONG, parser->data,
                                     parser->len)
                == NGX_ERROR)
            {
                ngx_http_rt_subscriber_end(s, NGX_ERROR);
                return NGX_DONE;
            }

            return NGX_OK;
        }

        if (ws->pong_data == NULL) {
            ws->pong_data = ngx_pnalloc(s->pool,
                                        NGX_HTTP_RT_WS_CONTROL_MAX);
            if (ws->pong_data == NULL) {
                ngx_http_rt_subscriber_end(s, NGX_ERROR);
                return NGX_DONE;
            }
        }

        ngx_memcpy(ws->pong_data, parser->data, parser->len);
        ws->pong_len = parser->len;
        ws->pong = 1;

        return NGX_OK;

    case NGX_HTTP_RT_WS_CLOSE:

        if (!s->closing) {
            ngx_http_rt_ws_leave(s, parser->code, "");
            return NGX_DONE;
        }

        ws->peer_closed = 1;

        if (s->said && !s->blocked) {
            ngx_http_rt_subscriber_end(s, NGX_OK);
        }

        return NGX_DONE;

    default: /* NGX_HTTP_RT_WS_PONG */
        return NGX_OK;
    }
}


/*
 * The client has said the last that it may say.  What it published right before
 * is on its way to it, and goes first.
 */

static void
ngx_http_rt_ws_leave(ngx_http_rt_subscriber_t *s, ngx_uint_t code,
    const char *reason)
{
    ngx_http_rt_ws_ctx_t *ws = s->ctx;

    ws->peer_closed = 1;

    if (!s->zone->event.posted) {
        ngx_http_rt_subscriber_close(s, code, reason);
        return;
    }

    ws->code = code;
    ws->reason = reason;

    ngx_post_event(s->connection->read, &ngx_posted_events);
}


/* what had to wait for the socket */

static ngx_int_t
ngx_http_rt_ws_flush(ngx_http_rt_subscriber_t *s)
{
    ngx_int_t                rc;
    ngx_http_rt_ws_ctx_t    *ws;

    ws = s->ctx;
    rc = NGX_OK;

    if (ws->pong) {
        ws->pong = 0;

        rc = ngx_http_rt_ws_frame(s, NGX_HTTP_RT_WS_PONG, ws->pong_data,
                                  ws->pong_len);
    }

    return (rc == NGX_OK && s->conf->pass) ? ngx_http_rt_pass_ws_flush(s) : rc;
}


static ngx_int_t
ngx_http_rt_ws_frame(ngx_http_rt_subscriber_t *s, ngx_uint_t opcode,
    u_char *data, size_t len)
{
    ngx_int_t              rc;
    ngx_http_rt_buffer_t  *b;

    b = ngx_http_rt_buffer_create(s->encoding,
                                  NGX_HTTP_RT_WS_HEADER_MAX + len);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_http_rt_ws_header(b->last, NGX_HTTP_RT_WS_FIN|opcode, len);

    if (len) {
        b->last = ngx_cpymem(b->last, data, len);
    }

    rc = ngx_http_rt_subscriber_send(s, b);

    ngx_http_rt_buffer_release(b);

    return rc;
}


static void
ngx_http_rt_ws_timer(ngx_http_rt_subscriber_t *s)
{
    ngx_http_rt_ws_ctx_t    *ws;

    ws = s->ctx;
    if (s->closing && s->blocked) {

        /* our close is still to be sent; send_timeout watches over that */

        ngx_add_timer(&s->timer, NGX_HTTP_RT_WS_CLOSE_WAIT);
        return;
    }

    if (s->closing) {

        /* the peer did not answer our close */

        ngx_http_rt_subscriber_end(s, NGX_OK);
        return;
    }

    if (ngx_current_msec - s->active >= s->conf->keepalive && !s->blocked) {

        if (ws->unanswered == NGX_HTTP_RT_WS_UNANSWERED) {
            ngx_log_error(NGX_LOG_INFO, s->connection->log, 0,
                          "client answers no pings");
            ngx_http_rt_subscriber_end(s, NGX_HTTP_REQUEST_TIME_OUT);
            return;
        }

        ws->unanswered++;

        if (ngx_http_rt_ws_frame(s, NGX_HTTP_RT_WS_PING, NULL, 0)
            == NGX_ERROR)
        {
            ngx_http_rt_subscriber_end(s, NGX_ERROR);
            return;
        }
    }

    ngx_http_rt_subscriber_idle(s);
}


/* called again when the frame is out, if it could not be sent at once */

static void
ngx_http_rt_ws_close_frame(ngx_http_rt_subscriber_t *s, ngx_uint_t code,
    const char *reason)
{
    u_char                 frame[NGX_HTTP_RT_WS_CLOSE_MAX + 2], *p;
    ngx_int_t              rc;
    ngx_http_rt_ws_ctx_t  *ws;
    ngx_http_rt_buffer_t  *b;

    ws = s->ctx;

    if (!s->said) {
        s->said = 1;

        if (code == NGX_HTTP_RT_WS_NO_CODE) {
            p = ngx_http_rt_ws_header(frame, NGX_HTTP_RT_WS_FIN
                                             |NGX_HTTP_RT_WS_CLOSE, 0);

        } else {
            p = ngx_http_rt_ws_close(frame, code, (u_char *) reason,
                                     ngx_strlen(reason));
        }

        b = ngx_http_rt_buffer_create(s->encoding, p - frame);
        if (b == NULL) {
            ngx_http_rt_subscriber_end(s, NGX_ERROR);
            return;
        }

        b->last = ngx_cpymem(b->last, frame, p - frame);

        rc = ngx_http_rt_subscriber_send(s, b);

        ngx_http_rt_buffer_release(b);

        if (rc == NGX_ERROR) {
            ngx_http_rt_subscriber_end(s, NGX_ERROR);
            return;
        }

        if (rc == NGX_AGAIN) {
            return;
        }
    }

    if (ws->peer_closed) {
        ngx_http_rt_subscriber_end(s, NGX_OK);
        return;
    }

    ngx_add_timer(&s->timer, NGX_HTTP_RT_WS_CLOSE_WAIT);
}


static void
ngx_http_rt_ws_cleanup(void *data)
{
    ngx_http_rt_ws_ctx_t *ws = data;

    if (ws->message) {
        ngx_free(ws->message);
    }
}
