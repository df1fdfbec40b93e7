/*
 * Admission of subscribers: which transport, which topics, from where on.
 *
 * All that can be refused is refused here, with a status and a reason, before
 * the protocol says anything.  Then the subscriber enters its topics in the
 * index and learns, under the same hold of the mutex, where in each of them it
 * begins; what is appended later will ring its process's bell.
 */

#include "ngx_http_rt.h"
#include "ngx_http_rt_accept.h"
#include "ngx_http_rt_ws_extension.h"


/* where a subscriber wants to begin */

typedef struct {
    ngx_http_rt_id_t         id;
    unsigned                 given:1;
    unsigned                 earliest:1;
} ngx_http_rt_from_t;


typedef struct {
    ngx_str_t                name;
    unsigned                 wild;
} ngx_http_rt_topic_name_t;


static ngx_int_t ngx_http_rt_subscribe_transport(ngx_http_request_t *r,
    ngx_uint_t *transport);
static ngx_int_t ngx_http_rt_subscribe_origin(ngx_http_request_t *r);
static ngx_uint_t ngx_http_rt_subscribe_is(ngx_str_t *host, ngx_str_t *name);
static ngx_int_t ngx_http_rt_subscribe_topics(ngx_http_request_t *r,
    ngx_array_t *topics);
static ngx_int_t ngx_http_rt_subscribe_list(ngx_http_request_t *r,
    ngx_str_t *list, ngx_uint_t encoded, ngx_array_t *topics);
static ngx_int_t ngx_http_rt_subscribe_from(ngx_http_request_t *r,
    ngx_http_rt_from_t *from);
static ngx_uint_t ngx_http_rt_subscribe_encoding(ngx_http_request_t *r,
    ngx_uint_t transport);
static ngx_int_t ngx_http_rt_subscribe_audiences(ngx_http_rt_subscriber_t *s,
    ngx_array_t *topics);
static ngx_int_t ngx_http_rt_subscribe_enter(ngx_http_rt_subscriber_t *s);
static void ngx_http_rt_subscribe_undo(ngx_http_rt_subscriber_t *s);
static void ngx_http_rt_subscribe_start(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_from_t *from);


static const ngx_http_rt_protocol_t  *ngx_http_rt_protocols[] = {
    &ngx_http_rt_sse,
    &ngx_http_rt_ws,
    &ngx_http_rt_poll,
    &ngx_http_rt_stream
};


ngx_int_t
ngx_http_rt_subscribe(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_uint_t                 transport;
    ngx_array_t                topics;
    ngx_http_rt_ctx_t         *ctx;
    ngx_http_rt_zone_t        *zone;
    ngx_http_rt_from_t         from;
    ngx_http_rt_loc_conf_t    *rlcf;
    ngx_http_rt_subscriber_t  *s;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    zone = rlcf->subscribe_zone->data;

    if (r != r->main) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "realtime_subscribe cannot serve a subrequest");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx = ngx_http_rt_ctx(r);

    if (ctx == NULL
        || ngx_array_init(&topics, r->pool, 4,
                          sizeof(ngx_http_rt_topic_name_t))
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->body = (r->headers_in.content_length_n > 0 || r->headers_in.chunked);

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

    rc = ngx_http_rt_subscribe_transport(r, &transport);

    if (rc == NGX_OK) {
        ctx->transport = transport;
        ctx->subscribed = 1;
        rc = ngx_http_rt_subscribe_topics(r, &topics);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_rt_subscribe_from(r, &from);
    }

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? ctx->rc : rc;
    }

    if (zone->slot == NULL) {
        return ngx_http_rt_answer_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                    "this process takes no subscribers");
    }

    s = ngx_http_rt_subscriber_create(r, zone,
                                      ngx_http_rt_protocols[transport],
                                      topics.nelts);
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s->encoding = ngx_http_rt_subscribe_encoding(r, transport);

    if (rlcf->conflate || rlcf->debounce) {
        s->pace = ngx_pcalloc(s->pool, sizeof(ngx_http_rt_pace_t));
        if (s->pace == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        s->pace->subscriber = s;
        s->pace->interval = ngx_max(rlcf->conflate, rlcf->debounce);
        s->pace->debounce = (rlcf->debounce != 0);
    }

    if (ngx_http_rt_subscribe_audiences(s, &topics) != NGX_OK) {
        ngx_http_rt_subscribe_undo(s);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    do {
        ngx_http_rt_zone_lock(zone);

        rc = ngx_http_rt_subscribe_enter(s);

        if (rc == NGX_OK) {
            ngx_http_rt_subscribe_start(s, &from);
        }

        ngx_http_rt_zone_unlock(zone);

    } while (rc != NGX_OK && ngx_http_rt_zone_reap(zone));

    if (rc != NGX_OK) {
        ngx_http_rt_subscribe_undo(s);
    }

    if (rc == NGX_BUSY) {
        return ngx_http_rt_answer_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                    "topic has as many subscribers as allowed");
    }

    if (rc != NGX_OK) {
        return ngx_http_rt_answer_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                       "no room for the topic, all topics have subscribers");
    }

    ctx->subscriber = s;
    ctx->epoch = zone->sh->store.epoch;
    ctx->has_id = 1;

    return ngx_http_rt_subscriber_open(s);
}


/* NGX_DONE: it has been refused, here and below */

static ngx_int_t
ngx_http_rt_subscribe_transport(ngx_http_request_t *r, ngx_uint_t *transport)
{
    int                      n;
    ngx_int_t                rc;
    ngx_str_t                accept;
    ngx_uint_t               i, *transports;
    const char              *types[NGX_HTTP_RT_TRANSPORTS];
    ngx_http_rt_loc_conf_t  *rlcf;

    static const char  *all[] = {
        "text/event-stream", NULL, "application/json", "application/x-ndjson"
    };

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    transports = rlcf->transports->elts;

    if (ngx_http_rt_ws_asked(r)) {
        *transport = NGX_HTTP_RT_WEBSOCKET;

        for (i = 0; i < rlcf->transports->nelts; i++) {
            if (transports[i] == NGX_HTTP_RT_WEBSOCKET) {
                break;
            }
        }

        if (i == rlcf->transports->nelts) {
            goto not_acceptable;
        }

        rc = ngx_http_rt_ws_check(r);

        return (rc == NGX_OK) ? ngx_http_rt_subscribe_origin(r) : rc;
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

        if (ngx_http_rt_ws_headers(r) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_rt_refuse(r, 426, "WebSocket is needed here");
    }

    return NGX_OK;

not_acceptable:

    return ngx_http_rt_refuse(r, 406,
                                    "no transport for what is accepted");
}


/* browsers let any page connect, so it is for us to look (RFC 6455, 10.2) */

static ngx_int_t
ngx_http_rt_subscribe_origin(ngx_http_request_t *r)
{
    u_char                  *p, *last;
    ngx_str_t               *hosts, origin, host, name;
    ngx_uint_t               i;
    ngx_table_elt_t         *h;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    h = ngx_http_rt_header_find(r, "Origin");

    if (h == NULL || rlcf->origin == NGX_HTTP_RT_ORIGIN_ANY) {
        return NGX_OK;
    }

    origin = h->value;
    last = origin.data + origin.len;

    /* host:port, and host alone */

    p = ngx_strlcasestrn(origin.data, last, (u_char *) "://", 3 - 1);
    if (p == NULL) {
        goto forbidden;
    }

    host.data = p + 3;
    host.len = last - host.data;

    p = (host.len && host.data[0] == '[')
        ? ngx_strlchr(host.data, last, ']') : host.data;

    p = ngx_strlchr(p ? p : host.data, last, ':');

    name.data = host.data;
    name.len = p ? (size_t) (p - host.data) : host.len;

    if (rlcf->origin == NGX_HTTP_RT_ORIGIN_SAME) {
        h = r->headers_in.host;

        if (h && h->value.len == host.len
            && ngx_strncasecmp(h->value.data, host.data, host.len) == 0)
        {
            return NGX_OK;
        }

        goto forbidden;
    }

    hosts = rlcf->origins->elts;

    for (i = 0; i < rlcf->origins->nelts; i++) {

        if (ngx_http_rt_subscribe_is(&hosts[i], &origin)
            || ngx_http_rt_subscribe_is(&hosts[i], &host)
            || ngx_http_rt_subscribe_is(&hosts[i], &name))
        {
            return NGX_OK;
        }
    }

forbidden:

    return ngx_http_rt_refuse(r, NGX_HTTP_FORBIDDEN,
                              "this Origin may not connect");
}


/* "*.example.com" is for all below example.com, and so with a scheme */

static ngx_uint_t
ngx_http_rt_subscribe_is(ngx_str_t *host, ngx_str_t *name)
{
    u_char  *star;
    size_t   before, after;

    star = ngx_strlchr(host->data, host->data + host->len, '*');

    if (star == NULL) {
        return host->len == name->len
               && ngx_strncasecmp(host->data, name->data, name->len) == 0;
    }

    before = star - host->data;
    after = host->len - before - 1;

    return name->len > before + after
           && ngx_strncasecmp(name->data, host->data, before) == 0
           && ngx_strncasecmp(name->data + name->len - after, star + 1, after)
              == 0;
}


static ngx_int_t
ngx_http_rt_subscribe_topics(ngx_http_request_t *r, ngx_array_t *topics)
{
    size_t                     len;
    u_char                    *p;
    ngx_int_t                  rc;
    ngx_str_t                  list;
    ngx_uint_t                 i;
    ngx_http_rt_ctx_t         *ctx;
    ngx_http_rt_loc_conf_t    *rlcf;
    ngx_http_rt_topic_name_t  *t;
    ngx_http_complex_value_t  *cv;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (rlcf->subscribe == NULL) {

        /* a WebSocket for commands alone */

        return NGX_OK;
    }

    cv = rlcf->subscribe->elts;

    for (i = 0; i < rlcf->subscribe->nelts; i++) {

        if (ngx_http_complex_value(r, &cv[i], &list) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        rc = ngx_http_rt_subscribe_list(r, &list, rlcf->subscribe_encoded,
                                        topics);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    /* for the access log */

    t = topics->elts;
    len = 0;

    for (i = 0; i < topics->nelts; i++) {
        len += t[i].name.len + 1;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx = ngx_http_rt_ctx(r);
    ctx->topic.data = p;
    ctx->topic.len = len - 1;

    for (i = 0; i < topics->nelts; i++) {
        p = ngx_cpymem(p, t[i].name.data, t[i].name.len);
        *p++ = ',';
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_subscribe_list(ngx_http_request_t *r, ngx_str_t *list,
    ngx_uint_t encoded, ngx_array_t *topics)
{
    u_char                    *p, *last, *end, *src, *dst;
    unsigned                   wild;
    ngx_str_t                  name;
    ngx_uint_t                 i;
    const char                *reason;
    ngx_http_rt_topic_name_t  *t;

    p = list->data;
    last = p + list->len;

    do {
        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        name.data = p;
        name.len = end - p;

        if (encoded && name.len) {
            name.data = ngx_pnalloc(r->pool, name.len);
            if (name.data == NULL) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            src = p;
            dst = name.data;

            ngx_unescape_uri(&dst, &src, name.len, 0);

            name.len = dst - name.data;
        }

        reason = ngx_http_rt_rule_pattern(name.data, name.len, &wild);

        if (reason) {
            return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST, "%s", reason);
        }

        t = topics->elts;

        for (i = 0; i < topics->nelts; i++) {
            if (t[i].name.len == name.len
                && ngx_memcmp(t[i].name.data, name.data, name.len) == 0)
            {
                break;
            }
        }

        if (i == topics->nelts) {

            if (i == NGX_HTTP_RT_TOPICS_MAX) {
                return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                                          "more than %d topics",
                                          NGX_HTTP_RT_TOPICS_MAX);
            }

            t = ngx_array_push(topics);
            if (t == NULL) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            t->name = name;
            t->wild = wild;
        }

        p = end + 1;

    } while (end < last);

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_subscribe_from(ngx_http_request_t *r, ngx_http_rt_from_t *from)
{
    u_char           *src, *dst;
    ngx_str_t         value, arg;
    ngx_table_elt_t  *h;

    ngx_memzero(from, sizeof(ngx_http_rt_from_t));

    h = ngx_http_rt_header_find(r, "Last-Event-ID");

    if (h == NULL || h->value.len == 0) {
        h = ngx_http_rt_header_find(r, "Realtime-Last-Id");
    }

    if (h && h->value.len) {
        value = h->value;

    } else if (ngx_http_arg(r, (u_char *) "last_event_id", 13, &arg)
               == NGX_OK
               && arg.len)
    {
        value.data = ngx_pnalloc(r->pool, arg.len);
        if (value.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        src = arg.data;
        dst = value.data;

        ngx_unescape_uri(&dst, &src, arg.len, 0);

        value.len = dst - value.data;

    } else {
        return NGX_OK;
    }

    if (value.len == 8 && ngx_strncmp(value.data, "earliest", 8) == 0) {
        from->earliest = 1;
        return NGX_OK;
    }

    if (ngx_http_rt_id_parse(value.data, value.len, &from->id) != 0) {
        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                                  "last event id is malformed");
    }

    from->given = 1;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_rt_subscribe_encoding(ngx_http_request_t *r, ngx_uint_t transport)
{
    ngx_str_t                arg;
    ngx_uint_t               envelope;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    envelope = rlcf->envelope
               || (ngx_http_arg(r, (u_char *) "envelope", 8, &arg) == NGX_OK
                   && arg.len == 1 && arg.data[0] == '1');

    switch (transport) {

    case NGX_HTTP_RT_SSE:
        return envelope ? NGX_HTTP_RT_ENC_SSE_JSON : NGX_HTTP_RT_ENC_SSE;

    case NGX_HTTP_RT_WEBSOCKET:
        envelope |= ngx_http_rt_ws_envelope(r) || rlcf->pass;

        switch (ngx_http_rt_ws_deflate(r)) {

        case 0:
        case NGX_HTTP_RT_WS_WINDOW_MIN:

            /* of so small a window zlib makes no use; we need not compress */

            return NGX_HTTP_RT_ENC_WS + envelope;

        case NGX_HTTP_RT_WS_WINDOW_MAX:
            return NGX_HTTP_RT_ENC_WS_DEFLATE + envelope;

        default:
            return NGX_HTTP_RT_ENC_WS_DEFLATE_SMALL + envelope;
        }

    case NGX_HTTP_RT_POLL:
        return NGX_HTTP_RT_ENC_POLL;

    default: /* NGX_HTTP_RT_STREAM */
        return NGX_HTTP_RT_ENC_STREAM;
    }
}


static ngx_int_t
ngx_http_rt_subscribe_audiences(ngx_http_rt_subscriber_t *s,
    ngx_array_t *topics)
{
    ngx_uint_t                   i;
    ngx_http_rt_audience_t      *a;
    ngx_http_rt_topic_name_t    *t;
    ngx_http_rt_subscription_t  *sub;

    t = topics->elts;

    for (i = 0; i < topics->nelts; i++) {

        a = ngx_http_rt_audience_get(s->zone, &t[i].name, t[i].wild);
        if (a == NULL) {
            return NGX_ERROR;
        }

        a->count++;
        a->deflate = s->conf->deflate;

        sub = &s->subscriptions[i];
        sub->subscriber = s;
        sub->audience = a;

        if (t[i].wild && s->scan == NULL) {
            s->scan = ngx_pcalloc(s->pool, sizeof(ngx_http_rt_scan_t));
            if (s->scan == NULL) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


static void
ngx_http_rt_subscribe_undo(ngx_http_rt_subscriber_t *s)
{
    ngx_uint_t               i;
    ngx_http_rt_audience_t  *a;

    for (i = 0; i < s->nsubscriptions; i++) {
        a = s->subscriptions[i].audience;

        if (a) {
            a->count--;
            ngx_http_rt_audience_put(a);
        }
    }
}


/*
 * Under the mutex.  NGX_BUSY: a topic has its limit of subscribers;
 * NGX_DECLINED: there is no room for a topic.
 */

static ngx_int_t
ngx_http_rt_subscribe_enter(ngx_http_rt_subscriber_t *s)
{
    unsigned                 kind, slot;
    ngx_int_t                rc;
    ngx_uint_t               i;
    ngx_http_rt_cell_t      *cell;
    ngx_http_rt_zone_t      *zone;
    ngx_http_rt_index_t     *index;
    ngx_http_rt_audience_t  *a;
    ngx_http_rt_presence_t   p;

    zone = s->zone;
    index = &zone->sh->store.index;
    slot = zone->slot - zone->sh->slots;

    for (i = 0; i < s->nsubscriptions; i++) {
        a = s->subscriptions[i].audience;
        kind = a->wild ? NGX_HTTP_RT_CELL_PATTERN : NGX_HTTP_RT_CELL_TOPIC;

        cell = ngx_http_rt_index_find(index, kind, a->hash, a->name.data,
                                      a->name.len);

        if (cell && s->conf->subscriber_limit) {
            ngx_memzero(&p, sizeof(ngx_http_rt_presence_t));
            ngx_http_rt_index_presence(index, cell, &p);

            if (p.subscribers >= s->conf->subscriber_limit) {
                rc = NGX_BUSY;
                goto failed;
            }
        }

        if (cell == NULL) {
            cell = ngx_http_rt_index_add(index, kind, a->hash, a->name.data,
                                         a->name.len);
        }

        if (cell == NULL || ngx_http_rt_index_enter(index, cell, slot) != 0) {
            rc = NGX_DECLINED;
            goto failed;
        }
    }

    if (zone->nsubscribers == 0) {
        zone->pos = zone->sh->store.ring.head;
        zone->seq = zone->sh->store.ring.seq;
    }

    for (i = 0; i < s->nsubscriptions; i++) {
        a = s->subscriptions[i].audience;

        if (a->count == 1) {
            a->seq = zone->sh->store.ring.seq;
        }
    }

    ngx_queue_insert_tail(&zone->subscribers, &s->queue);
    zone->nsubscribers++;
    zone->slot->subscribers[s->protocol->transport]++;

    s->joined = 1;

    return NGX_OK;

failed:

    while (i--) {
        a = s->subscriptions[i].audience;
        kind = a->wild ? NGX_HTTP_RT_CELL_PATTERN : NGX_HTTP_RT_CELL_TOPIC;

        cell = ngx_http_rt_index_find(index, kind, a->hash, a->name.data,
                                      a->name.len);
        ngx_http_rt_index_leave(index, cell, slot);
    }

    return rc;
}


/* under the mutex: where it begins, in all and in each of its topics */

static void
ngx_http_rt_subscribe_start(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_from_t *from)
{
    uint64_t                     seq, pos, least, first, now;
    ngx_uint_t                   i, silent;
    ngx_http_rt_ring_t          *ring;
    ngx_http_rt_scan_t          *scan;
    ngx_http_rt_store_t         *store;
    ngx_http_rt_start_t          start;
    ngx_http_rt_record_t         rec;
    ngx_http_rt_audience_t      *a;
    ngx_http_rt_history_t        history;
    ngx_http_rt_subscription_t  *sub;

    store = &s->zone->sh->store;
    ring = &store->ring;
    scan = s->scan;

    history.count = s->conf->history_count;
    history.since = 0;

    now = ngx_http_rt_now();

    if (s->conf->history_age < now) {
        history.since = now - s->conf->history_age;
    }

    s->cursor = ring->seq;
    s->came_at = ring->seq;

    if (scan) {
        scan->pos = NGX_HTTP_RT_POS_LOOK;
        scan->end = ring->head;
        scan->deletes = s->zone->sh->deletes;
        scan->history = history;
    }

    if (!from->given && !from->earliest && s->conf->start == 0) {

        if (scan) {
            scan->live = 1;
        }

        return;
    }

    silent = !from->given || s->pace;
    seq = 0;

    if (from->given) {

        if (from->id.epoch == store->epoch && from->id.seq <= ring->seq) {
            seq = from->id.seq;

        } else {
            s->came = &s->came_id;
            s->came_id = from->id;
        }

    } else if (!from->earliest && s->conf->start > 0) {
        history.count = ngx_min(history.count, (uint64_t) s->conf->start);
    }

    if (scan) {
        scan->history = history;
        scan->gaps = 1;
        scan->silent = silent;

        s->cursor = seq;

        if (!from->given) {

            /* right before the oldest record of the ring */

            pos = ring->tail;
            s->cursor = ring->seq;

            if (ngx_http_rt_ring_scan(ring, &pos, ring->head, &rec)
                == NGX_HTTP_RT_RING_OK)
            {
                s->cursor = rec.seq - 1;
            }
        }

        return;
    }

    least = ring->seq;

    for (i = 0; i < s->nsubscriptions; i++) {
        sub = &s->subscriptions[i];
        a = sub->audience;

        ngx_http_rt_topic_start(store,
                                ngx_http_rt_topic_find(store, a->name.data,
                                                       a->name.len, a->hash),
                                a->hash, seq, &history, &start);

        sub->seq = start.seq;
        sub->pos = start.pos;

        if (!from->given) {

            /* it has claimed nothing: it begins right before the first */

            if (start.pos) {
                first = ngx_http_rt_record(ring, start.pos)->seq;
                least = ngx_min(least, first - 1);
            }

        } else if (!silent) {
            sub->gap = s->came ? NGX_HTTP_RT_GAP_EPOCH : start.reason;
        }
    }

    s->cursor = from->given ? seq : least;
}
