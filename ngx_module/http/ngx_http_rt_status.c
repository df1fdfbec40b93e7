/*
 * Counters of all zones, as JSON or as Prometheus text.
 *
 * Each process counts in its own slot of a zone, and the zone sums them up.
 * For JSON the daemons are asked first; a client that leaves meanwhile is
 * noticed.
 *
 * A new counter of a zone is a line in the table of metrics, and a member in
 * ngx_http_rt_status_zone().
 */

#include "ngx_http_rt_http.h"
#include "ngx_http_rt_accept.h"
#include "ngx_http_rt_json.h"
#include "ngx_http_rt_worker_status.h"


/* JSON and Prometheus text of one zone, but for its name */
#define NGX_HTTP_RT_STATUS_SIZE  4096


typedef struct {
    ngx_http_rt_zone_t         *zone;
    ngx_http_rt_zone_status_t   count;
} ngx_http_rt_status_t;


/* what tells apart the values of one counter */

typedef enum {
    NGX_HTTP_RT_STATUS_ONE = 0,
    NGX_HTTP_RT_STATUS_TRANSPORT,
    NGX_HTTP_RT_STATUS_REASON
} ngx_http_rt_status_label_e;


typedef struct {
    const char                 *name;
    const char                 *type;
    const char                 *help;
    ngx_http_rt_status_label_e  label;
    size_t                      offset;     /* in the zone's status */
} ngx_http_rt_status_metric_t;


static ngx_int_t ngx_http_rt_status_refuse(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_status_all(ngx_http_request_t *r,
    ngx_http_rt_worker_status_t *workers);
static ngx_int_t ngx_http_rt_status_answer(ngx_http_request_t *r,
    ngx_http_rt_worker_status_t *workers, ngx_uint_t prometheus);
static ngx_int_t ngx_http_rt_status_format(ngx_http_request_t *r,
    ngx_uint_t *prometheus);
static ngx_http_rt_status_t *ngx_http_rt_status_collect(ngx_http_request_t *r,
    ngx_uint_t *n, size_t *size);
static u_char *ngx_http_rt_status_json(u_char *p, ngx_http_rt_status_t *st,
    ngx_uint_t n);
static u_char *ngx_http_rt_status_zone(u_char *p, ngx_http_rt_status_t *st);
static u_char *ngx_http_rt_status_text(u_char *p, ngx_http_rt_status_t *st,
    ngx_uint_t n);
static u_char *ngx_http_rt_status_values(u_char *p, ngx_http_rt_status_t *st,
    ngx_http_rt_status_metric_t *metric);
static u_char *ngx_http_rt_status_value(u_char *p, ngx_http_rt_status_t *st,
    ngx_http_rt_status_metric_t *metric, const char *label, const char *value,
    uint64_t n);


static const char  *ngx_http_rt_status_transports[] = {
    "sse", "websocket", "poll", "stream"
};


static ngx_http_rt_status_metric_t  ngx_http_rt_status_metrics[] = {

    { "realtime_messages_published_total", "counter",
      "Messages published.",
      NGX_HTTP_RT_STATUS_ONE,
      offsetof(ngx_http_rt_zone_status_t, published) },

    { "realtime_messages_delivered_total", "counter",
      "Messages sent to subscribers.",
      NGX_HTTP_RT_STATUS_TRANSPORT,
      offsetof(ngx_http_rt_zone_status_t, delivered) },

    { "realtime_gaps_total", "counter",
      "Gaps that subscribers were told of.",
      NGX_HTTP_RT_STATUS_REASON,
      offsetof(ngx_http_rt_zone_status_t, gaps) },

    { "realtime_messages_evicted_total", "counter",
      "Messages overwritten in the ring.",
      NGX_HTTP_RT_STATUS_ONE,
      offsetof(ngx_http_rt_zone_status_t, evicted) },

    { "realtime_subscribers", "gauge",
      "Subscribers connected.",
      NGX_HTTP_RT_STATUS_TRANSPORT,
      offsetof(ngx_http_rt_zone_status_t, subscribers) },

    { "realtime_topics", "gauge",
      "Topics in the index.",
      NGX_HTTP_RT_STATUS_ONE,
      offsetof(ngx_http_rt_zone_status_t, topics) },

    { "realtime_ring_bytes", "gauge",
      "Size of the ring.",
      NGX_HTTP_RT_STATUS_ONE,
      offsetof(ngx_http_rt_zone_status_t, ring_bytes) },

    { "realtime_ring_used_bytes", "gauge",
      "Bytes of messages in the ring.",
      NGX_HTTP_RT_STATUS_ONE,
      offsetof(ngx_http_rt_zone_status_t, ring_used) },

    { "realtime_index_free_bytes", "gauge",
      "Bytes free in the index.",
      NGX_HTTP_RT_STATUS_ONE,
      offsetof(ngx_http_rt_zone_status_t, index_free) },

    { "realtime_topics_evicted_total", "counter",
      "Idle topics given up for want of room.",
      NGX_HTTP_RT_STATUS_ONE,
      offsetof(ngx_http_rt_zone_status_t, topics_evicted) },

    { "realtime_keys_evicted_total", "counter",
      "Idempotency keys given up before their time.",
      NGX_HTTP_RT_STATUS_ONE,
      offsetof(ngx_http_rt_zone_status_t, keys_evicted) },

    { "realtime_publications_refused_total", "counter",
      "Publications refused for want of room.",
      NGX_HTTP_RT_STATUS_ONE,
      offsetof(ngx_http_rt_zone_status_t, publications_refused) },

    { "realtime_subscriptions_refused_total", "counter",
      "Subscriptions refused for want of room.",
      NGX_HTTP_RT_STATUS_ONE,
      offsetof(ngx_http_rt_zone_status_t, subscriptions_refused) },

    { "realtime_subscribers_delayed_total", "counter",
      "Subscribers that were admitted in a later turn of the event loop.",
      NGX_HTTP_RT_STATUS_ONE,
      offsetof(ngx_http_rt_zone_status_t, subscribers_delayed) },

    { "realtime_worker_publications_refused_total", "counter",
      "Publications of daemons that were not taken.",
      NGX_HTTP_RT_STATUS_ONE,
      offsetof(ngx_http_rt_zone_status_t, refused) },

    { NULL, NULL, NULL, NGX_HTTP_RT_STATUS_ONE, 0 }
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

    rc = ngx_http_rt_body_ignore(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_http_rt_status_refuse(r);
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


static ngx_int_t
ngx_http_rt_status_refuse(ngx_http_request_t *r)
{
    if (ngx_http_rt_header_add(r, "Allow", (u_char *) "GET, HEAD", 9)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_rt_answer_error(r, NGX_HTTP_NOT_ALLOWED,
                                    "the status can only be read");
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
    size_t                 size;
    u_char                *p, *last;
    ngx_uint_t             n;
    ngx_http_rt_status_t  *st;

    st = ngx_http_rt_status_collect(r, &n, &size);
    if (st == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_pnalloc(r->pool, size + ngx_http_rt_worker_status_size(workers));
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
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


/* of all zones, and the bytes that it takes to write it; NULL: no memory */

static ngx_http_rt_status_t *
ngx_http_rt_status_collect(ngx_http_request_t *r, ngx_uint_t *n, size_t *size)
{
    ngx_uint_t                i;
    ngx_http_rt_zone_t      **zones;
    ngx_http_rt_status_t     *st;
    ngx_http_rt_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_realtime_module);
    zones = mcf->zones.elts;

    *n = mcf->zones.nelts;
    *size = NGX_HTTP_RT_STATUS_SIZE;

    st = ngx_palloc(r->pool, (*n + 1) * sizeof(ngx_http_rt_status_t));
    if (st == NULL) {
        return NULL;
    }

    for (i = 0; i < *n; i++) {
        st[i].zone = zones[i];
        ngx_http_rt_zone_status(zones[i], &st[i].count);

        *size += NGX_HTTP_RT_STATUS_SIZE + 32 * 6 * zones[i]->name.len;
    }

    return st;
}


/* without the last brace */

static u_char *
ngx_http_rt_status_json(u_char *p, ngx_http_rt_status_t *st, ngx_uint_t n)
{
    ngx_uint_t  i;

    p = ngx_cpymem(p, "{\"zones\":{", 10);

    for (i = 0; i < n; i++) {

        if (i) {
            *p++ = ',';
        }

        p = ngx_http_rt_status_zone(p, &st[i]);
    }

    *p++ = '}';

    return p;
}


static u_char *
ngx_http_rt_status_zone(u_char *p, ngx_http_rt_status_t *st)
{
    uint64_t                    delivered, gaps;
    ngx_uint_t                  i;
    ngx_http_rt_zone_status_t  *count;

    count = &st->count;

    delivered = 0;
    gaps = 0;

    for (i = 0; i < NGX_HTTP_RT_TRANSPORTS; i++) {
        delivered += count->delivered[i];
    }

    for (i = 0; i < NGX_HTTP_RT_GAP_REASONS; i++) {
        gaps += count->gaps[i];
    }

    *p++ = '"';
    p = ngx_http_rt_json_escape(p, st->zone->name.data, st->zone->name.len);
    p = ngx_sprintf(p, "\":{\"epoch\":\"%xL\",\"messages_published\":%uL,"
                    "\"messages_delivered\":%uL,\"gaps\":%uL,"
                    "\"messages_evicted\":%uL,\"topics\":%uL,"
                    "\"subscribers\":{",
                    count->epoch, count->published, delivered, gaps,
                    count->evicted, count->topics);

    for (i = 0; i < NGX_HTTP_RT_TRANSPORTS; i++) {
        p = ngx_sprintf(p, "%s\"%s\":%uL", i ? "," : "",
                        ngx_http_rt_status_transports[i],
                        count->subscribers[i]);
    }

    return ngx_sprintf(p, "},\"ring_bytes\":%uL,\"ring_used_bytes\":%uL,"
                       "\"index_free_bytes\":%uL,"
                       "\"worker_publications_refused\":%uL,"
                       "\"topics_evicted\":%uL,\"keys_evicted\":%uL,"
                       "\"publications_refused\":%uL,"
                       "\"subscriptions_refused\":%uL,"
                       "\"subscribers_delayed\":%uL}",
                       count->ring_bytes, count->ring_used,
                       count->index_free, count->refused,
                       count->topics_evicted, count->keys_evicted,
                       count->publications_refused,
                       count->subscriptions_refused,
                       count->subscribers_delayed);
}


static u_char *
ngx_http_rt_status_text(u_char *p, ngx_http_rt_status_t *st, ngx_uint_t n)
{
    ngx_uint_t                    i;
    ngx_http_rt_status_metric_t  *m;

    for (m = ngx_http_rt_status_metrics; m->name; m++) {
        p = ngx_sprintf(p, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help,
                        m->name, m->type);

        for (i = 0; i < n; i++) {
            p = ngx_http_rt_status_values(p, &st[i], m);
        }
    }

    return p;
}


static u_char *
ngx_http_rt_status_values(u_char *p, ngx_http_rt_status_t *st,
    ngx_http_rt_status_metric_t *metric)
{
    uint64_t    *value;
    ngx_uint_t   i;

    value = (uint64_t *) ((u_char *) &st->count + metric->offset);

    switch (metric->label) {

    case NGX_HTTP_RT_STATUS_ONE:
        return ngx_http_rt_status_value(p, st, metric, NULL, NULL, *value);

    case NGX_HTTP_RT_STATUS_TRANSPORT:

        for (i = 0; i < NGX_HTTP_RT_TRANSPORTS; i++) {
            p = ngx_http_rt_status_value(p, st, metric, "transport",
                                         ngx_http_rt_status_transports[i],
                                         value[i]);
        }

        return p;

    default: /* NGX_HTTP_RT_STATUS_REASON */

        for (i = NGX_HTTP_RT_GAP_NONE + 1; i < NGX_HTTP_RT_GAP_REASONS; i++) {
            p = ngx_http_rt_status_value(p, st, metric, "reason",
                                         ngx_http_rt_gap_reason(i), value[i]);
        }

        return p;
    }
}


static u_char *
ngx_http_rt_status_value(u_char *p, ngx_http_rt_status_t *st,
    ngx_http_rt_status_metric_t *metric, const char *label, const char *value,
    uint64_t n)
{
    p = ngx_sprintf(p, "%s{zone=\"", metric->name);
    p = ngx_http_rt_json_escape(p, st->zone->name.data, st->zone->name.len);

    if (label) {
        return ngx_sprintf(p, "\",%s=\"%s\"} %uL\n", label, value, n);
    }

    return ngx_sprintf(p, "\"} %uL\n", n);
}
