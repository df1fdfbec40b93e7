/*
 * The multiplexing session (subprotocol realtime.json): JSON both ways, topics
 * that come and go, and publications, on one WebSocket.
 *
 *     <- {"open":{"id":"5f3a-17","client":"...","user":null}}
 *     -> {"subscribe":{"topic":"a","id":"5f3a-12"},"ref":1}
 *     <- {"ref":1,"ok":{"id":"5f3a-12"}}
 *     <- {"id":"5f3a-13","topic":"a",...}
 *     -> {"publish":{"topic":"a","data":"text"},"ref":2}
 *     <- {"ref":2,"ok":{"id":"5f3a-18","subscribers":3}}
 *
 * It begins with the topics of the location's own realtime_subscribe.  A client
 * may subscribe to what these cover, and publish what realtime_publish covers.
 * Requests are read one after the other; what has a ref is answered in order.
 */

#include "ngx_http_rt_dialect.h"
#include "ngx_http_rt_json.h"
#include "ngx_http_rt_native_request.h"
#include "ngx_http_rt_operation.h"
#include "ngx_http_rt_publishing.h"

#include <sys/random.h>


/* random bytes of a client's id */
#define NGX_HTTP_RT_NATIVE_CLIENT  16

/* the longest answer without a message's text */
#define NGX_HTTP_RT_NATIVE_REPLY                                              \
    (NGX_HTTP_RT_NATIVE_REF_MAX + NGX_HTTP_RT_ID_LEN + 128)

#define NGX_HTTP_RT_NATIVE_TEXT    256


static ngx_int_t ngx_http_rt_native_open(ngx_http_rt_session_t *s);
static ngx_int_t ngx_http_rt_native_hello(ngx_http_rt_session_t *s);
static ngx_int_t ngx_http_rt_native_input(ngx_http_rt_session_t *s,
    u_char *data, size_t len, ngx_uint_t binary);
static ngx_int_t ngx_http_rt_native_do(ngx_http_rt_session_t *s,
    ngx_http_rt_native_request_t *request);
static ngx_int_t ngx_http_rt_native_subscribe(ngx_http_rt_session_t *s,
    ngx_http_rt_native_request_t *request);
static ngx_int_t ngx_http_rt_native_unsubscribe(ngx_http_rt_session_t *s,
    ngx_http_rt_native_request_t *request);
static void ngx_http_rt_native_topic(ngx_http_rt_native_request_t *request,
    ngx_str_t *topic);
static ngx_int_t ngx_http_rt_native_publish(ngx_http_rt_session_t *s,
    ngx_http_rt_native_request_t *request);
static ngx_int_t ngx_http_rt_native_published(ngx_http_rt_session_t *s,
    const ngx_http_rt_publication_t *pub, const u_char *ref, size_t ref_len);
static ngx_int_t ngx_http_rt_native_started(ngx_http_rt_session_t *s,
    ngx_http_rt_reader_t *rd);
static ngx_int_t ngx_http_rt_native_position(ngx_http_rt_session_t *s,
    const u_char *ref, size_t ref_len, uint64_t seq);
static ngx_int_t ngx_http_rt_native_ok(ngx_http_rt_session_t *s,
    ngx_http_rt_native_request_t *request);
static ngx_int_t ngx_http_rt_native_error(ngx_http_rt_session_t *s,
    const u_char *ref, size_t ref_len, const char *code,
    const char *message);
static u_char *ngx_http_rt_native_ref(u_char *p, const u_char *ref,
    size_t len);
static ngx_int_t ngx_http_rt_native_ping(ngx_http_rt_session_t *s);


const ngx_http_rt_dialect_t  ngx_http_rt_native = {
    ngx_string("native"),
    ngx_string("realtime.json"),
    &ngx_http_rt_form_json,
    1,
    0,
    ngx_http_rt_native_open,
    ngx_http_rt_native_input,
    NULL,
    ngx_http_rt_native_started,
    ngx_http_rt_native_ping,
    NULL,
    NULL
};


#define ngx_http_rt_native_refuse(s, request, code, message)                  \
    ngx_http_rt_native_error(s, (request)->ref, (request)->ref_len, code,     \
                             message)


/* the location's own topics have been subscribed to already */

static ngx_int_t
ngx_http_rt_native_open(ngx_http_rt_session_t *s)
{
    if (ngx_http_rt_native_hello(s) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_rt_session_flush(s);
}


static ngx_int_t
ngx_http_rt_native_hello(ngx_http_rt_session_t *s)
{
    u_char  client[NGX_HTTP_RT_NATIVE_CLIENT];
    u_char  json[NGX_HTTP_RT_NATIVE_REPLY], *p;

    /* it cannot be guessed: others may be told to act on it */

    if (getrandom(client, sizeof(client), 0) != (ssize_t) sizeof(client)) {
        ngx_log_error(NGX_LOG_CRIT, s->sink.connection->log, ngx_errno,
                      "getrandom() failed");
        return NGX_ERROR;
    }

    p = ngx_cpymem(json, "{\"open\":{\"id\":\"", 15);
    p = ngx_http_rt_id_write(p, s->sink.hub->zone->epoch, s->position);
    p = ngx_cpymem(p, "\",\"client\":\"", 12);
    p = ngx_hex_dump(p, client, sizeof(client));
    p = ngx_cpymem(p, "\",\"user\":null}}", 15);

    return ngx_http_rt_session_reply(s, json, p - json);
}


static ngx_int_t
ngx_http_rt_native_input(ngx_http_rt_session_t *s, u_char *data, size_t len,
    ngx_uint_t binary)
{
    char                           err[NGX_HTTP_RT_NATIVE_TEXT];
    u_char                        *arena;
    ngx_int_t                      rc;
    ngx_http_rt_native_request_t   request;

    if (binary) {
        ngx_http_rt_session_close(s, 1003, "requests are text");
        return NGX_OK;
    }

    arena = ngx_alloc(len + 1, s->sink.connection->log);
    if (arena == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_rt_native_request_parse(data, len, arena, &request, err,
                                         sizeof(err))
        != 0)
    {
        /* a request that cannot be read may have wanted an answer */

        if (request.ref_len == 0) {
            request.ref = (u_char *) "null";
            request.ref_len = 4;
        }

        rc = ngx_http_rt_native_refuse(s, &request, "bad_request", err);

    } else {
        rc = ngx_http_rt_native_do(s, &request);
    }

    ngx_free(arena);

    return rc;
}


static ngx_int_t
ngx_http_rt_native_do(ngx_http_rt_session_t *s,
    ngx_http_rt_native_request_t *request)
{
    switch (request->operation) {

    case NGX_HTTP_RT_NATIVE_SUBSCRIBE:
        return ngx_http_rt_native_subscribe(s, request);

    case NGX_HTTP_RT_NATIVE_UNSUBSCRIBE:
        return ngx_http_rt_native_unsubscribe(s, request);

    case NGX_HTTP_RT_NATIVE_PUBLISH:
        return ngx_http_rt_native_publish(s, request);

    case NGX_HTTP_RT_NATIVE_PING:
    case NGX_HTTP_RT_NATIVE_PONG:
        return ngx_http_rt_native_ok(s, request);

    default:
        return ngx_http_rt_native_refuse(s, request, "unsupported",
                                   "this operation is not supported here");
    }
}


static ngx_int_t
ngx_http_rt_native_subscribe(ngx_http_rt_session_t *s,
    ngx_http_rt_native_request_t *request)
{
    ngx_http_rt_joining_t        join;
    ngx_http_rt_native_field_t  *id;

    ngx_memzero(&join, sizeof(ngx_http_rt_joining_t));

    id = &request->fields[NGX_HTTP_RT_NATIVE_ID];

    if (id->len == 8 && ngx_memcmp(id->p, "earliest", 8) == 0) {
        join.from.earliest = 1;

    } else if (id->len) {

        if (ngx_http_rt_id_parse(id->p, id->len, &join.from.id) != 0) {
            return ngx_http_rt_native_refuse(s, request, "bad_id",
                                             "\"id\" is malformed");
        }

        join.from.given = 1;
    }

    ngx_http_rt_native_topic(request, &join.topic);

    if (ngx_http_rt_operation_subscribe(s, &join) != NGX_OK) {
        return NGX_ERROR;
    }

    switch (join.rc) {

    case NGX_HTTP_RT_SUBSCRIBED:
        return ngx_http_rt_native_position(s, request->ref, request->ref_len,
                                           join.position);

    case NGX_HTTP_RT_SUBSCRIBING:
        s->busy = 1;
        return ngx_http_rt_session_remember(join.reader, request->ref,
                                            request->ref_len);

    default:
        return ngx_http_rt_native_refuse(s, request, join.code, join.reason);
    }
}


static ngx_int_t
ngx_http_rt_native_unsubscribe(ngx_http_rt_session_t *s,
    ngx_http_rt_native_request_t *request)
{
    ngx_http_rt_joining_t  join;

    ngx_http_rt_native_topic(request, &join.topic);

    if (ngx_http_rt_operation_unsubscribe(s, &join) != NGX_OK) {
        return NGX_ERROR;
    }

    return (join.rc == NGX_HTTP_RT_SUBSCRIBED)
               ? ngx_http_rt_native_ok(s, request)
               : ngx_http_rt_native_refuse(s, request, join.code,
                                           join.reason);
}


/* empty if there is none, which is no topic either */

static void
ngx_http_rt_native_topic(ngx_http_rt_native_request_t *request,
    ngx_str_t *topic)
{
    topic->data = (u_char *) request->fields[NGX_HTTP_RT_NATIVE_TOPIC].p;
    topic->len = request->fields[NGX_HTTP_RT_NATIVE_TOPIC].len;
}


static ngx_int_t
ngx_http_rt_native_publish(ngx_http_rt_session_t *s,
    ngx_http_rt_native_request_t *request)
{
    ngx_str_t                    key, src;
    ngx_http_rt_draft_t          draft;
    ngx_http_rt_native_field_t  *f;

    f = request->fields;

    ngx_memzero(&draft, sizeof(ngx_http_rt_draft_t));

    ngx_http_rt_native_topic(request, &draft.topic);

    draft.event.data = (u_char *) f[NGX_HTTP_RT_NATIVE_EVENT].p;
    draft.event.len = f[NGX_HTTP_RT_NATIVE_EVENT].len;
    draft.type.data = (u_char *) f[NGX_HTTP_RT_NATIVE_TYPE].p;
    draft.type.len = f[NGX_HTTP_RT_NATIVE_TYPE].len;
    draft.data.data = (u_char *) f[NGX_HTTP_RT_NATIVE_DATA].p;
    draft.data.len = f[NGX_HTTP_RT_NATIVE_DATA].len;

    if (request->json && draft.type.len == 0) {
        ngx_str_set(&draft.type, "application/json");
    }

    if (f[NGX_HTTP_RT_NATIVE_BASE64].p) {

        src.data = (u_char *) f[NGX_HTTP_RT_NATIVE_BASE64].p;
        src.len = f[NGX_HTTP_RT_NATIVE_BASE64].len;

        /* decoded in place: it becomes shorter */

        draft.data.data = src.data;
        draft.binary = 1;

        if (f[NGX_HTTP_RT_NATIVE_DATA].p
            || ngx_decode_base64(&draft.data, &src) != NGX_OK)
        {
            return ngx_http_rt_native_refuse(s, request, "bad_request",
                           "\"base64\" is malformed, or beside \"data\"");
        }
    }

    key.data = (u_char *) f[NGX_HTTP_RT_NATIVE_KEY].p;
    key.len = f[NGX_HTTP_RT_NATIVE_KEY].len;

    return ngx_http_rt_publishing(s, &draft, &key, request->ref,
                                  request->ref_len,
                                  ngx_http_rt_native_published);
}


static ngx_int_t
ngx_http_rt_native_published(ngx_http_rt_session_t *s,
    const ngx_http_rt_publication_t *pub, const u_char *ref, size_t ref_len)
{
    u_char       json[NGX_HTTP_RT_NATIVE_REPLY], *p;
    const char  *text;

    if (pub->rc != NGX_HTTP_RT_PUBLISHED) {
        (void) ngx_http_rt_publication_status(pub, &text);

        return ngx_http_rt_native_error(s, ref, ref_len,
                                        ngx_http_rt_publishing_code(pub),
                                        text);
    }

    if (ref_len == 0) {
        return NGX_OK;
    }

    p = ngx_http_rt_native_ref(json, ref, ref_len);
    p = ngx_cpymem(p, "\"ok\":{\"id\":\"", 12);
    p = ngx_http_rt_id_write(p, pub->epoch, pub->last);
    p = ngx_sprintf(p, "\",\"subscribers\":%uL}}", pub->subscribers);

    return ngx_http_rt_session_reply(s, json, p - json);
}


/* a topic that had to look where it begins */

static ngx_int_t
ngx_http_rt_native_started(ngx_http_rt_session_t *s, ngx_http_rt_reader_t *rd)
{
    ngx_str_t  *ref;

    ref = rd->data;

    if (ref == NULL) {
        return NGX_OK;
    }

    /* what the client has said meanwhile */

    s->busy = 0;
    ngx_post_event(s->sink.connection->read, &ngx_posted_events);

    return ngx_http_rt_native_position(s, ref->data, ref->len, rd->cursor);
}


static ngx_int_t
ngx_http_rt_native_position(ngx_http_rt_session_t *s, const u_char *ref,
    size_t ref_len, uint64_t seq)
{
    u_char  json[NGX_HTTP_RT_NATIVE_REPLY], *p;

    if (ref_len == 0) {
        return NGX_OK;
    }

    p = ngx_http_rt_native_ref(json, ref, ref_len);
    p = ngx_cpymem(p, "\"ok\":{\"id\":\"", 12);
    p = ngx_http_rt_id_write(p, s->sink.hub->zone->epoch, seq);
    p = ngx_cpymem(p, "\"}}", 3);

    return ngx_http_rt_session_reply(s, json, p - json);
}


static ngx_int_t
ngx_http_rt_native_ok(ngx_http_rt_session_t *s,
    ngx_http_rt_native_request_t *request)
{
    u_char  json[NGX_HTTP_RT_NATIVE_REPLY], *p;

    if (request->ref_len == 0) {
        return NGX_OK;
    }

    p = ngx_http_rt_native_ref(json, request->ref, request->ref_len);
    p = ngx_cpymem(p, "\"ok\":{}}", 8);

    return ngx_http_rt_session_reply(s, json, p - json);
}


static ngx_int_t
ngx_http_rt_native_error(ngx_http_rt_session_t *s, const u_char *ref,
    size_t ref_len, const char *code, const char *message)
{
    u_char  json[NGX_HTTP_RT_NATIVE_REPLY + 6 * NGX_HTTP_RT_NATIVE_TEXT], *p;
    size_t  len;

    if (ref_len == 0) {
        return NGX_OK;
    }

    len = ngx_min(ngx_strlen(message), NGX_HTTP_RT_NATIVE_TEXT);

    p = ngx_http_rt_native_ref(json, ref, ref_len);
    p = ngx_sprintf(p, "\"error\":{\"code\":\"%s\",\"message\":\"", code);
    p = ngx_http_rt_json_escape(p, (u_char *) message, len);
    p = ngx_cpymem(p, "\"}}", 3);

    return ngx_http_rt_session_reply(s, json, p - json);
}


static u_char *
ngx_http_rt_native_ref(u_char *p, const u_char *ref, size_t len)
{
    p = ngx_cpymem(p, "{\"ref\":", 7);
    p = ngx_cpymem(p, ref, len);
    *p++ = ',';

    return p;
}


/* a script sees no ping frames */

static ngx_int_t
ngx_http_rt_native_ping(ngx_http_rt_session_t *s)
{
    if (ngx_http_rt_session_reply(s, (u_char *) "{\"ping\":{}}", 11)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}
