/*
 * Admission of subscribers: which transport, which dialect, which topics, from
 * where on.
 *
 * All that can be refused is refused here, with a status and a reason, before
 * the protocol says anything.  Then the reader, or one for each topic of a
 * session that multiplexes, enters its topics in the zone; what is appended
 * later will wake this process.
 */

#include "ngx_http_rt_http.h"
#include "ngx_http_rt_accept.h"
#include "ngx_http_rt_operation.h"
#include "ngx_http_rt_pass.h"


/* what a request has been understood as */

typedef struct {
    ngx_uint_t                     transport;
    const ngx_http_rt_dialect_t   *dialect;     /* of a WebSocket */
    ngx_http_rt_ws_deflate_t       deflate;
    ngx_uint_t                     window;      /* 0: not negotiated */
    ngx_array_t                    topics;      /* of ngx_http_rt_name_t */
    ngx_http_rt_from_t             from;
} ngx_http_rt_subscribe_t;


static ngx_int_t ngx_http_rt_subscribe_read(ngx_http_request_t *r,
    ngx_http_rt_subscribe_t *sub);
static ngx_int_t ngx_http_rt_subscribe_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_subscribe_transport(ngx_http_request_t *r,
    ngx_uint_t *transport);
static ngx_int_t ngx_http_rt_subscribe_dialect(ngx_http_request_t *r,
    ngx_http_rt_subscribe_t *sub);
static ngx_int_t ngx_http_rt_subscribe_session(ngx_http_request_t *r,
    ngx_http_rt_subscribe_t *sub);
static const ngx_http_rt_encoding_t *ngx_http_rt_subscribe_encoding(
    ngx_http_request_t *r, ngx_http_rt_subscribe_t *sub);
static ngx_int_t ngx_http_rt_subscribe_principal(ngx_http_rt_session_t *s,
    ngx_http_rt_subscribe_t *sub);
static ngx_int_t ngx_http_rt_subscribe_publisher(ngx_http_rt_session_t *s);
static ngx_str_t *ngx_http_rt_subscribe_grant(ngx_http_rt_session_t *s,
    ngx_array_t *list, const ngx_str_t *name);
static ngx_int_t ngx_http_rt_subscribe_reader(ngx_http_rt_session_t *s,
    ngx_http_rt_subscribe_t *sub);
static ngx_int_t ngx_http_rt_subscribe_readers(ngx_http_rt_session_t *s,
    ngx_http_rt_subscribe_t *sub);
static ngx_int_t ngx_http_rt_subscribe_refuse(ngx_http_request_t *r,
    ngx_int_t rc);


static const ngx_array_t  ngx_http_rt_subscribe_nothing;

static const ngx_http_rt_transport_t  *ngx_http_rt_subscribe_transports[] = {
    &ngx_http_rt_sse,
    &ngx_http_rt_websocket,
    &ngx_http_rt_poll,
    &ngx_http_rt_stream
};


ngx_int_t
ngx_http_rt_subscribe(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_rt_ctx_t        *ctx;
    ngx_http_rt_zone_t       *zone;
    ngx_http_rt_loc_conf_t   *rlcf;
    ngx_http_rt_subscribe_t   sub;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    zone = rlcf->subscribe_zone->data;

    ctx = ngx_http_rt_ctx(r);

    ngx_memzero(&sub, sizeof(ngx_http_rt_subscribe_t));

    if (ctx == NULL
        || ngx_array_init(&sub.topics, r->pool, 4, sizeof(ngx_http_rt_name_t))
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_rt_subscribe_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_rt_subscribe_read(r, &sub);
    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? ctx->rc : rc;
    }

    if (zone->slot == NULL) {
        return ngx_http_rt_answer_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                    "this process takes no subscribers");
    }

    rc = ngx_http_rt_subscribe_session(r, &sub);

    return (rc == NGX_DONE && ctx->report.session == NULL) ? ctx->rc : rc;
}


/* NGX_DONE: it has been refused, here and below */

static ngx_int_t
ngx_http_rt_subscribe_read(ngx_http_request_t *r, ngx_http_rt_subscribe_t *sub)
{
    ngx_int_t           rc;
    ngx_http_rt_ctx_t  *ctx;

    ctx = ngx_http_rt_ctx(r);

    rc = ngx_http_rt_subscribe_transport(r, &sub->transport);

    if (rc == NGX_OK) {
        ctx->transport = sub->transport;
        ctx->subscribed = 1;
        rc = ngx_http_rt_subscribe_dialect(r, sub);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_rt_topics(r, &sub->topics);
    }

    return (rc == NGX_OK) ? ngx_http_rt_subscribe_from(r, &sub->from) : rc;
}


static ngx_int_t
ngx_http_rt_subscribe_body(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    ngx_http_rt_ctx(r)->body = (r->headers_in.content_length_n > 0
                                || r->headers_in.chunked);

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (r->discard_body) {

        /*
         * The rest of it is for the lingering close: nginx would read it, but
         * then not notice any more that the client leaves.
         */

        r->discard_body = 0;
        r->count--;

        r->keepalive = 0;
        r->lingering_close = 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_subscribe_transport(ngx_http_request_t *r, ngx_uint_t *transport)
{
    int                      n;
    ngx_int_t                rc;
    ngx_str_t                accept;
    ngx_uint_t               i, *transports;
    const char              *reason, *types[NGX_HTTP_RT_TRANSPORTS];
    ngx_http_rt_loc_conf_t  *rlcf;

    static const char  *all[] = {
        "text/event-stream", NULL, "application/json", "application/x-ndjson"
    };

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    transports = rlcf->transports->elts;

    if (ngx_http_rt_websocket_asked(r)) {
        *transport = NGX_HTTP_RT_WEBSOCKET;

        for (i = 0; i < rlcf->transports->nelts; i++) {
            if (transports[i] == NGX_HTTP_RT_WEBSOCKET) {
                break;
            }
        }

        if (i == rlcf->transports->nelts) {
            goto not_acceptable;
        }

        rc = ngx_http_rt_websocket_check(r, &reason);

        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (rc == NGX_OK && ngx_http_rt_ctx(r)->body) {
            rc = NGX_HTTP_BAD_REQUEST;
            reason = "a WebSocket handshake has no body";
        }

        if (rc != NGX_OK) {
            return ngx_http_rt_refuse(r, rc, "%s", reason);
        }

        return NGX_OK;
    }

    for (i = 0; i < rlcf->transports->nelts; i++) {
        types[i] = all[transports[i]];
    }

    if (ngx_http_rt_header_list(r, "Accept", &accept) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    n = ngx_http_rt_accept_choose(accept.data, accept.len, types,
                                  rlcf->transports->nelts);

    if (n < 0) {
        goto not_acceptable;
    }

    *transport = transports[n];

    if (*transport == NGX_HTTP_RT_WEBSOCKET) {

        if (ngx_http_rt_websocket_headers(r) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_rt_refuse(r, 426, "WebSocket is needed here");
    }

    return NGX_OK;

not_acceptable:

    return ngx_http_rt_refuse(r, 406, "no transport for what is accepted");
}


/* of a WebSocket; the others have none */

static ngx_int_t
ngx_http_rt_subscribe_dialect(ngx_http_request_t *r,
    ngx_http_rt_subscribe_t *sub)
{
    ngx_str_t                protocols;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (sub->transport != NGX_HTTP_RT_WEBSOCKET) {

        return rlcf->subscribe
                   ? NGX_OK
                   : ngx_http_rt_refuse(r, 426, "WebSocket is needed here");
    }

    if (rlcf->session.deflate_on) {
        sub->window = ngx_http_rt_websocket_deflate(r, &sub->deflate);
    }

    if (ngx_http_rt_header_list(r, "Sec-WebSocket-Protocol", &protocols)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    sub->dialect = ngx_http_rt_dialect_offered(&protocols);

    if (rlcf->pass) {
        sub->dialect = &ngx_http_rt_pass_ws;

    } else if (rlcf->dialect) {
        sub->dialect = rlcf->dialect;

    } else if (sub->dialect == NULL) {
        sub->dialect = ngx_http_rt_subscribe_envelope(r)
                           ? &ngx_http_rt_envelope : &ngx_http_rt_bare;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_subscribe_session(ngx_http_request_t *r,
    ngx_http_rt_subscribe_t *sub)
{
    ngx_int_t                rc;
    ngx_uint_t               n;
    ngx_http_rt_ctx_t       *ctx;
    ngx_http_rt_zone_t      *zone;
    ngx_http_rt_session_t   *s;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    zone = rlcf->subscribe_zone->data;

    n = (sub->dialect && sub->dialect->multiplex) ? 0 : sub->topics.nelts;

    s = ngx_http_rt_session_create(r, zone, &rlcf->session,
                              ngx_http_rt_subscribe_transports[sub->transport],
                              sub->dialect, n);
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s->inflates = (sub->window != 0);
    s->sink.encoding = ngx_http_rt_subscribe_encoding(r, sub);

    if (s->sink.encoding == NULL) {
        goto failed;
    }

    rc = ngx_http_rt_subscribe_principal(s, sub);

    if (rc == NGX_OK && sub->dialect == &ngx_http_rt_pass_ws) {
        rc = ngx_http_rt_pass_ws_attach(s);
    }

    if (rc == NGX_DONE) {
        return NGX_DONE;
    }

    if (rc != NGX_OK) {
        goto failed;
    }

    rc = s->sink.gathers ? ngx_http_rt_subscribe_readers(s, sub)
                         : ngx_http_rt_subscribe_reader(s, sub);

    if (rc != NGX_OK) {

        /* the first topics may have readers, and the answer may take long */

        ngx_http_rt_session_leave(s);

        return ngx_http_rt_subscribe_refuse(r, rc);
    }

    if (sub->dialect
        && ngx_http_rt_websocket_accept(r, &sub->dialect->subprotocol,
                                        sub->window ? &sub->deflate : NULL)
           != NGX_OK)
    {
        goto failed;
    }

    ctx = ngx_http_rt_ctx(r);

    ctx->report.session = s;
    ctx->epoch = zone->epoch;
    ctx->has_id = 1;

    return ngx_http_rt_session_open(s);

failed:

    ngx_http_rt_session_leave(s);

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static const ngx_http_rt_encoding_t *
ngx_http_rt_subscribe_encoding(ngx_http_request_t *r,
    ngx_http_rt_subscribe_t *sub)
{
    ngx_uint_t                  window;
    ngx_http_rt_loc_conf_t     *rlcf;
    const ngx_http_rt_form_t   *form;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    form = ngx_http_rt_subscribe_form(r, sub->transport,
                                    sub->dialect ? sub->dialect->form : NULL);

    switch (sub->transport) {

    case NGX_HTTP_RT_WEBSOCKET:
        window = sub->window;

        if (window <= NGX_HTTP_RT_WS_WINDOW_MIN) {

            /* of so small a window zlib makes no use; we need not compress */

            window = 0;

        } else if (window < NGX_HTTP_RT_WS_WINDOW_MAX) {

            /* one that fits them all */

            window = NGX_HTTP_RT_WS_WINDOW_MIN + 1;
        }

        return ngx_http_rt_encoding(form, &ngx_http_rt_framing_websocket,
                                    window, &rlcf->session.deflate);

    case NGX_HTTP_RT_POLL:
        return ngx_http_rt_encoding(form, &ngx_http_rt_framing_array, 0, NULL);

    default: /* NGX_HTTP_RT_SSE, NGX_HTTP_RT_STREAM */
        return ngx_http_rt_encoding(form, &ngx_http_rt_framing_none, 0, NULL);
    }
}


/* what a WebSocket's client may do later is settled now */

static ngx_int_t
ngx_http_rt_subscribe_principal(ngx_http_rt_session_t *s,
    ngx_http_rt_subscribe_t *sub)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_array_t         *subscribe;
    ngx_http_rt_name_t  *t;

    if (sub->dialect == NULL) {
        return NGX_OK;
    }

    s->principal.publish = &ngx_http_rt_subscribe_nothing;
    s->principal.subscribe = &ngx_http_rt_subscribe_nothing;

    rc = ngx_http_rt_subscribe_publisher(s);
    if (rc != NGX_OK) {
        return rc;
    }

    if (!s->sink.gathers || sub->topics.nelts == 0) {
        return NGX_OK;
    }

    subscribe = ngx_array_create(s->pool, sub->topics.nelts,
                                 sizeof(ngx_str_t));
    if (subscribe == NULL) {
        return NGX_ERROR;
    }

    s->principal.subscribe = subscribe;

    t = sub->topics.elts;

    for (i = 0; i < sub->topics.nelts; i++) {
        if (ngx_http_rt_subscribe_grant(s, subscribe, &t[i].name) == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* "websocket": the request is a GET, which fences for POST have not seen */

static ngx_int_t
ngx_http_rt_subscribe_publisher(ngx_http_rt_session_t *s)
{
    unsigned                 wild;
    ngx_int_t                rc;
    ngx_str_t                topic;
    const char              *reason;
    ngx_array_t             *publish;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(s->request, ngx_http_realtime_module);

    if (rlcf->publish == NULL || !rlcf->publish_websocket) {
        return NGX_OK;
    }

    rc = ngx_http_rt_template_topic(s->request, rlcf->publish->elts, &topic,
                                    &wild, &reason);
    if (rc == NGX_DECLINED) {
        return ngx_http_rt_refuse(s->request, NGX_HTTP_BAD_REQUEST, "%s",
                                  reason);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (wild && !s->sink.gathers) {

        /* for batches, and sessions that name topics */

        return NGX_OK;
    }

    publish = ngx_array_create(s->pool, 1, sizeof(ngx_str_t));

    if (publish == NULL
        || ngx_http_rt_subscribe_grant(s, publish, &topic) == NULL)
    {
        return NGX_ERROR;
    }

    s->publish_zone = rlcf->publish_zone->data;
    s->principal.publish = publish;

    return NGX_OK;
}


static ngx_str_t *
ngx_http_rt_subscribe_grant(ngx_http_rt_session_t *s, ngx_array_t *list,
    const ngx_str_t *name)
{
    ngx_str_t  *grant;

    grant = ngx_array_push(list);
    if (grant == NULL) {
        return NULL;
    }

    grant->len = name->len;
    grant->data = ngx_pstrdup(s->pool, (ngx_str_t *) name);

    return grant->data ? grant : NULL;
}


/* all topics in the total order of the zone */

static ngx_int_t
ngx_http_rt_subscribe_reader(ngx_http_rt_session_t *s,
    ngx_http_rt_subscribe_t *sub)
{
    ngx_int_t                         rc;
    ngx_http_rt_pace_t               *pace;
    ngx_http_rt_reader_t             *rd;
    const ngx_http_rt_reader_conf_t  *conf;

    rd = ngx_http_rt_session_first(s);
    conf = &s->conf->reader;

    if (conf->conflate || conf->debounce) {
        pace = ngx_pcalloc(s->pool, sizeof(ngx_http_rt_pace_t));
        if (pace == NULL) {
            return NGX_ERROR;
        }

        ngx_http_rt_pace_start(rd, pace, conf);
    }

    rc = ngx_http_rt_reader_init(rd, &s->sink, conf, sub->topics.elts,
                                 sub->topics.nelts, &sub->from);
    if (rc == NGX_OK) {
        s->reader = rd;
    }

    return rc;
}


/* each by itself; if one is refused, the session leaves the first */

static ngx_int_t
ngx_http_rt_subscribe_readers(ngx_http_rt_session_t *s,
    ngx_http_rt_subscribe_t *sub)
{
    uint64_t               position;
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_http_rt_name_t    *t;
    ngx_http_rt_reader_t  *rd;

    s->position = ngx_http_rt_zone_seq(s->sink.hub->zone);

    t = sub->topics.elts;

    for (i = 0; i < sub->topics.nelts; i++) {

        rc = ngx_http_rt_session_subscribe(s, &t[i].name, t[i].wild,
                                           &sub->from, &position, &rd);
        switch (rc) {

        case NGX_OK:
            s->position = ngx_min(s->position, position);
            break;

        case NGX_DONE:
            break;

        case NGX_AGAIN:
            return NGX_BUSY;

        default:
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_subscribe_refuse(ngx_http_request_t *r, ngx_int_t rc)
{
    switch (rc) {

    case NGX_BUSY:
        return ngx_http_rt_answer_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                    "topic has as many subscribers as allowed");

    case NGX_DECLINED:
        return ngx_http_rt_answer_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                       "no room for the topic, all topics have subscribers");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}
