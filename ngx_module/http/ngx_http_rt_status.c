/*
 * Counters of all zones, as JSON or as Prometheus text.
 *
 * Each process counts in its own slot, without atomics; here they are summed
 * up.  A slot's totals stay when its process is gone, and its successor goes on
 * with them, so that they never go back.  Daemons are asked first, for JSON.
 */

#include "ngx_http_rt.h"
#include "ngx_http_rt_accept.h"
#include "ngx_http_rt_json.h"
#include "ngx_http_rt_worker_status.h"


/* JSON and Prometheus text of one zone, but for its name */
#define NGX_HTTP_RT_STATUS_SIZE  4096


typedef struct {
    ngx_http_rt_zone_t      *zone;
    uint64_t                 epoch;
    uint64_t                 published;
    uint64_t                 evicted;
    uint64_t                 topics;
    uint64_t                 ring_bytes;
    uint64_t                 ring_used;
    uint64_t                 index_free;
    uint64_t                 subscribers[NGX_HTTP_RT_TRANSPORTS];
    uint64_t                 delivered[NGX_HTTP_RT_TRANSPORTS];
    uint64_t                 gaps[NGX_HTTP_RT_GAP_REASONS];
    uint64_t                 refused;
    uint64_t                 topics_evicted;
    uint64_t                 keys_evicted;
    uint64_t                 publications_refused;
    uint64_t                 subscriptions_refused;
} ngx_http_rt_status_t;


static ngx_int_t ngx_http_rt_status_all(ngx_http_request_t *r,
    ngx_http_rt_worker_status_t *workers);
static ngx_int_t ngx_http_rt_status_answer(ngx_http_request_t *r,
    ngx_http_rt_worker_status_t *workers, ngx_uint_t prometheus);
static ngx_int_t ngx_http_rt_status_format(ngx_http_request_t *r,
    ngx_uint_t *prometheus);
static void ngx_http_rt_status_collect(ngx_http_rt_zone_t *zone,
    ngx_http_rt_status_t *st);
static u_char *ngx_http_rt_status_json(u_char *p, ngx_http_rt_status_t *st,
    ngx_uint_t n);
static u_char *ngx_http_rt_status_text(u_char *p, ngx_http_rt_status_t *st,
    ngx_uint_t n);
static u_char *ngx_http_rt_status_metric(u_char *p, ngx_http_rt_status_t *st,
    ngx_uint_t n, const char *name, const char *type, const char *help,
    size_t offset);
static u_char *ngx_http_rt_status_labelled(u_char *p,
    ngx_http_rt_status_t *st, ngx_uint_t n, const char *name,
    const char *type, const char *help, size_t offset, const char *label,
    const char **values, ngx_uint_t first, ngx_uint_t nvalues);


static const char  *ngx_http_rt_status_transports[] = {
    "sse", "websocket", "poll", "stream"
};


ngx_int_t
ngx_http_rt_status(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_uint_t                    prometheus;
    ngx_http_rt_worker_status_t  *workers;

    if (ngx_http_rt_handler_main(r, "realtime_status") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        if (ngx_http_rt_header_add(r, "Allow", (u_char *) "GET, HEAD", 9)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_rt_answer_error(r, NGX_HTTP_NOT_ALLOWED,
                                        "the status can only be read");
    }

    rc = ngx_http_rt_body_ignore(r);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_rt_status_format(r, &prometheus);
    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? ngx_http_rt_ctx(r)->rc : rc;
    }

    rc = ngx_http_rt_worker_status(r, !prometheus, ngx_http_rt_status_all,
                                   &workers);

    if (rc == NGX_AGAIN) {
        ngx_http_rt_body_watch(r);

        r->main->count++;
        return NGX_DONE;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_rt_status_answer(r, workers, prometheus);
}


/* the daemons have answered */

static ngx_int_t
ngx_http_rt_status_all(ngx_http_request_t *r,
    ngx_http_rt_worker_status_t *workers)
{
    return ngx_http_rt_status_answer(r, workers, 0);
}


static ngx_int_t
ngx_http_rt_status_answer(ngx_http_request_t *r,
    ngx_http_rt_worker_status_t *workers, ngx_uint_t prometheus)
{
    size_t                     size;
    u_char                    *p, *last;
    ngx_uint_t                 i, n;
    ngx_http_rt_zone_t       **zones;
    ngx_http_rt_status_t      *st;
    ngx_http_rt_main_conf_t   *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_realtime_module);
    zones = mcf->zones.elts;
    n = mcf->zones.nelts;

    size = NGX_HTTP_RT_STATUS_SIZE + ngx_http_rt_worker_status_size(workers);

    for (i = 0; i < n; i++) {
        size += NGX_HTTP_RT_STATUS_SIZE + 32 * 6 * zones[i]->name.len;
    }

    st = ngx_pcalloc(r->pool, (n + 1) * sizeof(ngx_http_rt_status_t));
    p = ngx_pnalloc(r->pool, size);

    if (st == NULL || p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    for (i = 0; i < n; i++) {
        ngx_http_rt_status_collect(zones[i], &st[i]);
    }

    if (ngx_http_rt_header_add(r, "Cache-Control", (u_char *) "no-cache", 8)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (prometheus) {
        last = ngx_http_rt_status_text(p, st, n);
        last = ngx_http_rt_worker_status_text(last, workers);

        return ngx_http_rt_answer_text(r, NGX_HTTP_OK,
                                       "text/plain; version=0.0.4", p,
                                       last - p);
    }

    last = ngx_http_rt_status_json(p, st, n);
    last = ngx_cpymem(last, ",\"workers\":{", 12);
    last = ngx_http_rt_worker_status_json(last, workers);
    last = ngx_cpymem(last, "}}\n", 3);

    return ngx_http_rt_answer(r, NGX_HTTP_OK, p, last - p);
}


/* ?format= wins over Accept */

static ngx_int_t
ngx_http_rt_status_format(ngx_http_request_t *r, ngx_uint_t *prometheus)
{
    int               n;
    ngx_str_t         arg;
    ngx_table_elt_t  *h;

    static const char  *types[] = {
        "application/json", "text/plain", "application/openmetrics-text"
    };

    *prometheus = 0;

    if (ngx_http_arg(r, (u_char *) "format", 6, &arg) == NGX_OK) {

        if (arg.len == 10 && ngx_strncmp(arg.data, "prometheus", 10) == 0) {
            *prometheus = 1;
            return NGX_OK;
        }

        if (arg.len == 4 && ngx_strncmp(arg.data, "json", 4) == 0) {
            return NGX_OK;
        }

        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                                  "format must be json or prometheus");
    }

    h = ngx_http_rt_header_find(r, "Accept");

    if (h) {
        n = ngx_http_rt_accept_choose(h->value.data, h->value.len, types, 3);
        *prometheus = (n > 0);
    }

    return NGX_OK;
}


static void
ngx_http_rt_status_collect(ngx_http_rt_zone_t *zone, ngx_http_rt_status_t *st)
{
    ngx_uint_t            i, n;
    ngx_http_rt_slot_t   *slot;
    ngx_http_rt_store_t  *store;

    store = &zone->sh->store;

    st->zone = zone;

    (void) ngx_http_rt_zone_reap(zone);

    ngx_http_rt_zone_lock(zone);

    st->epoch = store->epoch;
    st->published = store->ring.seq;
    st->evicted = store->evicted;
    st->topics = store->index.topics;
    st->ring_bytes = store->ring.size;
    st->ring_used = store->ring.head - store->ring.tail;
    st->index_free = (uint64_t) store->index.nfree * NGX_HTTP_RT_CELL_SIZE;
    st->topics_evicted = store->index.topics_evicted;
    st->keys_evicted = store->index.keys_evicted;
    st->publications_refused = zone->sh->publications_refused;
    st->subscriptions_refused = zone->sh->subscriptions_refused;

    ngx_http_rt_zone_unlock(zone);

    for (n = 0; n < NGX_HTTP_RT_SLOTS; n++) {
        slot = &zone->sh->slots[n];

        for (i = 0; i < NGX_HTTP_RT_TRANSPORTS; i++) {
            st->subscribers[i] += slot->subscribers[i];
            st->delivered[i] += slot->delivered[i];
        }

        for (i = 0; i < NGX_HTTP_RT_GAP_REASONS; i++) {
            st->gaps[i] += slot->gaps[i];
        }

        st->refused += slot->refused;
    }
}


/* without the last brace */

static u_char *
ngx_http_rt_status_json(u_char *p, ngx_http_rt_status_t *st, ngx_uint_t n)
{
    uint64_t    delivered, gaps;
    ngx_uint_t  i;

    p = ngx_cpymem(p, "{\"zones\":{", 10);

    for ( /* void */ ; n; n--, st++) {

        delivered = 0;
        gaps = 0;

        for (i = 0; i < NGX_HTTP_RT_TRANSPORTS; i++) {
            delivered += st->delivered[i];
        }

        for (i = 0; i < NGX_HTTP_RT_GAP_REASONS; i++) {
            gaps += st->gaps[i];
        }

        *p++ = '"';
        p = ngx_http_rt_json_escape(p, st->zone->name.data,
                                    st->zone->name.len);
        p = ngx_sprintf(p, "\":{\"epoch\":\"%xL\",\"messages_published\":%uL,"
                        "\"messages_delivered\":%uL,\"gaps\":%uL,"
                        "\"messages_evicted\":%uL,\"topics\":%uL,"
                        "\"subscribers\":{",
                        st->epoch, st->published, delivered, gaps,
                        st->evicted, st->topics);

        for (i = 0; i < NGX_HTTP_RT_TRANSPORTS; i++) {
            p = ngx_sprintf(p, "%s\"%s\":%uL", i ? "," : "",
                            ngx_http_rt_status_transports[i],
                            st->subscribers[i]);
        }

        p = ngx_sprintf(p, "},\"ring_bytes\":%uL,\"ring_used_bytes\":%uL,"
                        "\"index_free_bytes\":%uL,"
                        "\"worker_publications_refused\":%uL,"
                        "\"topics_evicted\":%uL,\"keys_evicted\":%uL,"
                        "\"publications_refused\":%uL,"
                        "\"subscriptions_refused\":%uL}%s",
                        st->ring_bytes, st->ring_used, st->index_free,
                        st->refused, st->topics_evicted, st->keys_evicted,
                        st->publications_refused, st->subscriptions_refused,
                        n > 1 ? "," : "");
    }

    *p++ = '}';

    return p;
}


static u_char *
ngx_http_rt_status_text(u_char *p, ngx_http_rt_status_t *st, ngx_uint_t n)
{
    ngx_uint_t   i;
    const char  *reasons[NGX_HTTP_RT_GAP_REASONS];

    for (i = 0; i < NGX_HTTP_RT_GAP_REASONS; i++) {
        reasons[i] = ngx_http_rt_gap_reason(i);
    }

    p = ngx_http_rt_status_metric(p, st, n,
                                  "realtime_messages_published_total",
                                  "counter", "Messages published.",
                           offsetof(ngx_http_rt_status_t, published));

    p = ngx_http_rt_status_labelled(p, st, n,
                                    "realtime_messages_delivered_total",
                                    "counter",
                                    "Messages sent to subscribers.",
                           offsetof(ngx_http_rt_status_t, delivered),
                           "transport", ngx_http_rt_status_transports, 0,
                           NGX_HTTP_RT_TRANSPORTS);

    p = ngx_http_rt_status_labelled(p, st, n, "realtime_gaps_total",
                                    "counter",
                                    "Gaps that subscribers were told of.",
                           offsetof(ngx_http_rt_status_t, gaps),
                           "reason", reasons, NGX_HTTP_RT_GAP_NONE + 1,
                           NGX_HTTP_RT_GAP_REASONS);

    p = ngx_http_rt_status_metric(p, st, n,
                                  "realtime_messages_evicted_total",
                                  "counter",
                                  "Messages overwritten in the ring.",
                           offsetof(ngx_http_rt_status_t, evicted));

    p = ngx_http_rt_status_labelled(p, st, n, "realtime_subscribers",
                                    "gauge", "Subscribers connected.",
                           offsetof(ngx_http_rt_status_t, subscribers),
                           "transport", ngx_http_rt_status_transports, 0,
                           NGX_HTTP_RT_TRANSPORTS);

    p = ngx_http_rt_status_metric(p, st, n, "realtime_topics", "gauge",
                                  "Topics in the index.",
                           offsetof(ngx_http_rt_status_t, topics));

    p = ngx_http_rt_status_metric(p, st, n, "realtime_ring_bytes", "gauge",
                                  "Size of the ring.",
                           offsetof(ngx_http_rt_status_t, ring_bytes));

    p = ngx_http_rt_status_metric(p, st, n, "realtime_ring_used_bytes",
                                  "gauge", "Bytes of messages in the ring.",
                           offsetof(ngx_http_rt_status_t, ring_used));

    p = ngx_http_rt_status_metric(p, st, n, "realtime_index_free_bytes",
                                  "gauge", "Bytes free in the index.",
                           offsetof(ngx_http_rt_status_t, index_free));

    p = ngx_http_rt_status_metric(p, st, n,
                           "realtime_topics_evicted_total", "counter",
                           "Idle topics given up for want of room.",
                           offsetof(ngx_http_rt_status_t, topics_evicted));

    p = ngx_http_rt_status_metric(p, st, n,
                           "realtime_keys_evicted_total", "counter",
                           "Idempotency keys given up before their time.",
                           offsetof(ngx_http_rt_status_t, keys_evicted));

    p = ngx_http_rt_status_metric(p, st, n,
                           "realtime_publications_refused_total", "counter",
                           "Publications refused for want of room.",
                           offsetof(ngx_http_rt_status_t,
                                    publications_refused));

    p = ngx_http_rt_status_metric(p, st, n,
                           "realtime_subscriptions_refused_total", "counter",
                           "Subscriptions refused for want of room.",
                           offsetof(ngx_http_rt_status_t,
                                    subscriptions_refused));

    return ngx_http_rt_status_metric(p, st, n,
                           "realtime_worker_publications_refused_total",
                           "counter",
                           "Publications of daemons that were not taken.",
                           offsetof(ngx_http_rt_status_t, refused));
}


static u_char *
ngx_http_rt_status_metric(u_char *p, ngx_http_rt_status_t *st, ngx_uint_t n,
    const char *name, const char *type, const char *help, size_t offset)
{
    p = ngx_sprintf(p, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);

    for ( /* void */ ; n; n--, st++) {
        p = ngx_sprintf(p, "%s{zone=\"", name);
        p = ngx_http_rt_json_escape(p, st->zone->name.data,
                                    st->zone->name.len);
        p = ngx_sprintf(p, "\"} %uL\n",
                        *(uint64_t *) ((u_char *) st + offset));
    }

    return p;
}


static u_char *
ngx_http_rt_status_labelled(u_char *p, ngx_http_rt_status_t *st, ngx_uint_t n,
    const char *name, const char *type, const char *help, size_t offset,
    const char *label, const char **values, ngx_uint_t first,
    ngx_uint_t nvalues)
{
    uint64_t    *value;
    ngx_uint_t   i;

    p = ngx_sprintf(p, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);

    for ( /* void */ ; n; n--, st++) {
        value = (uint64_t *) ((u_char *) st + offset);

        for (i = first; i < nvalues; i++) {
            p = ngx_sprintf(p, "%s{zone=\"", name);
            p = ngx_http_rt_json_escape(p, st->zone->name.data,
                                        st->zone->name.len);
            p = ngx_sprintf(p, "\",%s=\"%s\"} %uL\n", label, values[i],
                            value[i]);
        }
    }

    return p;
}
