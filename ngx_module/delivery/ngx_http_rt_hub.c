/*
 * Hub: the event of delivery, and the walk over the zone's new records.
 *
 * The walk takes no lock and encodes nothing.  It looks at each new record's
 * interest bits and tells the audiences concerned that there is news; these are
 * served after it, and then the readers that are behind have a step each.
 * Whoever makes new work while the event runs only marks it: the event posts
 * itself for the next turn of the event loop, never for this one.
 *
 * If the ring has overtaken the walk, each audience must look by itself for
 * what it has lost.  There may be very many, so they are told in steps; one
 * that gets news before it is told is told at that moment.
 */

#include "ngx_http_rt_delivery.h"

#include <sys/random.h>


/* records walked over before the audiences are served, and taken at a time */
#define NGX_HTTP_RT_HUB_WALK      1024
#define NGX_HTTP_RT_HUB_AHEAD     16

/* audiences told of a lap between two looks at the clock */
#define NGX_HTTP_RT_HUB_BUCKETS   64

/* sinks flushed between two looks at the clock */
#define NGX_HTTP_RT_HUB_FLUSHES   16


typedef struct {
    uint64_t  seq;
    uint64_t  pos;
    uint64_t  end;
} ngx_http_rt_hub_news_t;


static void ngx_http_rt_hub_heard(ngx_http_rt_zone_t *zone);
static void ngx_http_rt_hub_now(ngx_http_rt_hub_t *hub);
static void ngx_http_rt_hub_deliver(ngx_event_t *ev);
static ngx_int_t ngx_http_rt_hub_walk(ngx_http_rt_hub_t *hub);
static ngx_uint_t ngx_http_rt_hub_take(ngx_http_rt_hub_t *hub, uint64_t head,
    ngx_http_rt_record_t *recs, uint64_t *at, int *rc);
static int ngx_http_rt_hub_record(ngx_http_rt_hub_t *hub,
    ngx_http_rt_record_t *rec, uint64_t pos);
static void ngx_http_rt_hub_news(ngx_http_rt_audience_t *a, void *data);
static void ngx_http_rt_hub_dirty(ngx_http_rt_audience_t *a);
static void ngx_http_rt_hub_lapped(ngx_http_rt_hub_t *hub);
static ngx_int_t ngx_http_rt_hub_laps(ngx_http_rt_hub_t *hub);
static ngx_int_t ngx_http_rt_hub_behind(ngx_http_rt_hub_t *hub);
static ngx_int_t ngx_http_rt_hub_flush(ngx_http_rt_hub_t *hub);


ngx_int_t
ngx_http_rt_hub_init_process(ngx_http_rt_zone_t *zone, ngx_cycle_t *cycle)
{
    ngx_http_rt_hub_t  *hub;

    hub = ngx_pcalloc(cycle->pool, sizeof(ngx_http_rt_hub_t));
    if (hub == NULL) {
        return NGX_ERROR;
    }

    hub->zone = zone;
    zone->hub = hub;
    zone->heard = ngx_http_rt_hub_heard;

    ngx_queue_init(&hub->dirty);
    ngx_queue_init(&hub->behind);
    ngx_queue_init(&hub->gathered);

    if (getrandom(&hub->key, sizeof(ngx_http_rt_hash_key_t), 0)
        != (ssize_t) sizeof(ngx_http_rt_hash_key_t))
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "getrandom() failed");
        return NGX_ERROR;
    }

    hub->event.data = hub;
    hub->event.handler = ngx_http_rt_hub_deliver;
    hub->event.log = cycle->log;

    ngx_http_rt_pace_init(hub, cycle->log);

    if (zone->slot) {
        ngx_http_rt_hub_now(hub);
    }

    return NGX_OK;
}


/* something may be new in the ring */

static void
ngx_http_rt_hub_heard(ngx_http_rt_zone_t *zone)
{
    ngx_http_rt_hub_post(zone->hub);
}


/* a reader has come, and has entered at this place */

void
ngx_http_rt_hub_join(ngx_http_rt_hub_t *hub, const ngx_http_rt_at_t *at)
{
    if (hub->nreaders++ == 0 && hub->zone->control == NULL) {
        hub->pos = at->pos;
        hub->seq = at->seq;
    }
}


/* where the zone is now */

static void
ngx_http_rt_hub_now(ngx_http_rt_hub_t *hub)
{
    ngx_http_rt_at_t  at;

    (void) ngx_http_rt_zone_enter(hub->zone, NULL, 0, 0, &at);

    hub->pos = at.pos;
    hub->seq = at.seq;
}


void
ngx_http_rt_hub_post(ngx_http_rt_hub_t *hub)
{
    if (hub->running) {
        hub->again = 1;
        return;
    }

    ngx_post_event(&hub->event, &ngx_posted_events);
}


/* whether something is to be delivered in this turn still */

ngx_uint_t
ngx_http_rt_hub_pending(ngx_http_rt_hub_t *hub)
{
    return hub->event.posted;
}


ngx_uint_t
ngx_http_rt_hub_late(ngx_http_rt_hub_t *hub)
{
    return ngx_http_rt_clock() >= hub->deadline;
}


/* a slice of its own, outside of the event */

void
ngx_http_rt_hub_slice(ngx_http_rt_hub_t *hub)
{
    hub->deadline = ngx_http_rt_clock() + NGX_HTTP_RT_SLICE;
}


static void
ngx_http_rt_hub_deliver(ngx_event_t *ev)
{
    ngx_int_t           more, late;
    ngx_http_rt_hub_t  *hub;

    hub = ev->data;

    if (hub->zone->slot == NULL) {
        return;
    }

    hub->running = 1;
    hub->again = 0;

    __atomic_exchange_n(&hub->zone->slot->rung, 0, __ATOMIC_SEQ_CST);

    hub->deletes = ngx_http_rt_zone_deletes(hub->zone);

    ngx_http_rt_hub_slice(hub);

    do {
        more = ngx_http_rt_hub_walk(hub);

        if (ngx_http_rt_hub_laps(hub) == NGX_AGAIN) {
            more = 1;
        }

        late = (ngx_http_rt_serve(hub) == NGX_AGAIN);

    } while (more && !late && !ngx_http_rt_hub_late(hub));

    /* a step at least, for others may never leave time */

    if (ngx_http_rt_hub_behind(hub) == NGX_AGAIN) {
        late = 1;
    }

    if (ngx_http_rt_hub_flush(hub) == NGX_AGAIN) {
        late = 1;
    }

    hub->running = 0;

    if (more || late || hub->again) {
        ngx_post_event(&hub->event, &ngx_posted_next_events);
    }
}


/*
 * Returns whether there is more to walk.  A few records are taken at a time, so
 * that what one of them needs is fetched while another is looked at.
 */

static ngx_int_t
ngx_http_rt_hub_walk(ngx_http_rt_hub_t *hub)
{
    int                    rc;
    uint64_t               head, at[NGX_HTTP_RT_HUB_AHEAD];
    ngx_uint_t             i, n, walked;
    ngx_http_rt_record_t   recs[NGX_HTTP_RT_HUB_AHEAD];

    if (hub->nreaders == 0 && hub->zone->control == NULL) {
        return 0;
    }

    head = ngx_http_rt_zone_head(hub->zone);

    for (walked = 0; walked < NGX_HTTP_RT_HUB_WALK; walked += n) {

        n = ngx_http_rt_hub_take(hub, head, recs, at, &rc);

        for (i = 0; i < n; i++) {

            if ((recs[i].interest & hub->zone->bit)
                && ngx_http_rt_hub_record(hub, &recs[i], at[i])
                   == NGX_HTTP_RT_RING_LAPPED)
            {
                ngx_http_rt_hub_lapped(hub);
                return 0;
            }

            hub->seq = recs[i].seq;
            hub->pos = at[i] + recs[i].size;

            /* of patterns without a shape there may be very many */

            if (hub->shapeless && ngx_http_rt_hub_late(hub)) {
                return 1;
            }
        }

        if (rc == NGX_HTTP_RT_RING_LAPPED) {
            ngx_http_rt_hub_lapped(hub);
            return 0;
        }

        if (rc == NGX_HTTP_RT_RING_END) {
            hub->pos = ngx_max(hub->pos, head);
            return 0;
        }

        if (hub->npatterns && ngx_http_rt_hub_late(hub)) {
            return 1;
        }
    }

    return 1;
}


/* *rc: OK if there may be more, or why there is not */

static ngx_uint_t
ngx_http_rt_hub_take(ngx_http_rt_hub_t *hub, uint64_t head,
    ngx_http_rt_record_t *recs, uint64_t *at, int *rc)
{
    uint64_t                 pos;
    ngx_uint_t               i, n;
    ngx_http_rt_audience_t  *a;

    *rc = NGX_HTTP_RT_RING_OK;
    pos = hub->pos;

    for (n = 0; n < NGX_HTTP_RT_HUB_AHEAD; n++) {

        *rc = ngx_http_rt_zone_walk(hub->zone, &pos, head, &recs[n]);

        if (*rc != NGX_HTTP_RT_RING_OK) {
            break;
        }

        if (hub->nbuckets) {
            __builtin_prefetch(&hub->buckets[recs[n].hash
                                             & (hub->nbuckets - 1)]);
        }

        at[n] = pos;
        pos += recs[n].size;
    }

    /* there may be no audience at all, and only clients with commands */

    for (i = 0; i < n && hub->nbuckets; i++) {
        a = hub->buckets[recs[i].hash & (hub->nbuckets - 1)];

        __builtin_prefetch(a);
        __builtin_prefetch((u_char *) a + 64);
    }

    return n;
}


static int
ngx_http_rt_hub_record(ngx_http_rt_hub_t *hub, ngx_http_rt_record_t *rec,
    uint64_t pos)
{
    u_char                   name[NGX_HTTP_RT_TOPIC_MAX];
    ngx_http_rt_audience_t  *a;
    ngx_http_rt_hub_news_t   news;

    if (hub->nbuckets == 0) {
        return NGX_HTTP_RT_RING_OK;
    }

    if (ngx_http_rt_zone_name(hub->zone, pos, rec, name)
        != NGX_HTTP_RT_RING_OK)
    {
        return NGX_HTTP_RT_RING_LAPPED;
    }

    news.seq = rec->seq;
    news.pos = pos;
    news.end = pos + rec->size;

    a = ngx_http_rt_audience_find(hub, name, rec);
    if (a) {
        ngx_http_rt_hub_news(a, &news);
    }

    if (hub->npatterns) {
        ngx_http_rt_audience_matches(hub, name, rec->topic_len,
                                     ngx_http_rt_hub_news, &news);
    }

    return NGX_HTTP_RT_RING_OK;
}


static void
ngx_http_rt_hub_news(ngx_http_rt_audience_t *a, void *data)
{
    ngx_http_rt_hub_news_t *news = data;

    ngx_http_rt_hub_told(a);

    if (news->seq <= a->seq) {
        return;
    }

    if (a->seq >= a->news) {
        a->pos = news->pos;
        a->fresh = news->seq;
    }

    a->news = news->seq;
    a->end = news->end;

    ngx_http_rt_hub_dirty(a);
}


static void
ngx_http_rt_hub_dirty(ngx_http_rt_audience_t *a)
{
    if (!a->dirty) {
        a->dirty = 1;
        ngx_queue_insert_tail(&a->hub->dirty, &a->queue);
        ngx_http_rt_serve_prefetch(a);
    }
}


/* a topic that had nothing in the meantime will see that it has lost nothing */

static void
ngx_http_rt_hub_lapped(ngx_http_rt_hub_t *hub)
{
    if (hub->lap_bucket == 0) {

        /* all have been told of the last one */

        hub->lap_fresh = hub->seq + 1;
        hub->lap_pos = hub->pos;
    }

    ngx_http_rt_hub_now(hub);

    hub->laps++;
    hub->lap_seq = hub->seq;
    hub->lap_end = hub->pos;
    hub->lap_bucket = hub->nbuckets;
}


void
ngx_http_rt_hub_lap(ngx_http_rt_audience_t *a)
{
    ngx_http_rt_hub_t  *hub;

    hub = a->hub;
    a->laps = hub->laps;

    if (hub->lap_seq <= a->seq) {
        return;
    }

    if (a->seq >= a->news) {
        a->pos = hub->lap_pos;
        a->fresh = hub->lap_fresh;
    }

    a->news = ngx_max(a->news, hub->lap_seq);
    a->end = ngx_max(a->end, hub->lap_end);

    ngx_http_rt_hub_dirty(a);
}


/* NGX_AGAIN: not all have been told yet */

static ngx_int_t
ngx_http_rt_hub_laps(ngx_http_rt_hub_t *hub)
{
    ngx_http_rt_audience_t  *a;

    while (hub->lap_bucket) {

        hub->lap_bucket--;

        /* the shapeless are told with the last bucket */

        for (a = hub->buckets[hub->lap_bucket]; a; a = a->next) {
            ngx_http_rt_hub_told(a);
        }

        for (a = hub->shapeless; a && hub->lap_bucket == 0; a = a->next) {
            ngx_http_rt_hub_told(a);
        }

        if (hub->lap_bucket % NGX_HTTP_RT_HUB_BUCKETS == 0
            && ngx_http_rt_hub_late(hub))
        {
            return hub->lap_bucket ? NGX_AGAIN : NGX_OK;
        }
    }

    return NGX_OK;
}


/* a step for each sink whose readers are behind; NGX_AGAIN: there is more */

static ngx_int_t
ngx_http_rt_hub_behind(ngx_http_rt_hub_t *hub)
{
    ngx_queue_t           *q, *last;
    ngx_http_rt_sink_t    *sink;
    ngx_http_rt_reader_t  *rd;

    if (ngx_queue_empty(&hub->behind)) {
        return NGX_OK;
    }

    last = ngx_queue_last(&hub->behind);

    do {
        q = ngx_queue_head(&hub->behind);
        sink = ngx_queue_data(q, ngx_http_rt_sink_t, behind);

        ngx_queue_remove(q);
        sink->queued = 0;

        if (ngx_http_rt_sink_takes(sink) && !ngx_queue_empty(&sink->readers)) {

            rd = ngx_queue_data(ngx_queue_head(&sink->readers),
                                ngx_http_rt_reader_t, behind);

            ngx_queue_remove(&rd->behind);
            rd->queued = 0;

            ngx_http_rt_catchup(rd);

            ngx_http_rt_sink_ready(sink);
        }

    } while (q != last && !ngx_queue_empty(&hub->behind)
             && !ngx_http_rt_hub_late(hub));

    return ngx_queue_empty(&hub->behind) ? NGX_OK : NGX_AGAIN;
}


/*
 * What the sinks of many readers have gathered, in a slice of its own.
 * NGX_AGAIN: the rest goes out in the next turn, and gathers until then.
 */

static ngx_int_t
ngx_http_rt_hub_flush(ngx_http_rt_hub_t *hub)
{
    ngx_uint_t           n;
    ngx_queue_t         *q;
    ngx_http_rt_sink_t  *sink;

    if (ngx_queue_empty(&hub->gathered)) {
        return NGX_OK;
    }

    ngx_http_rt_hub_slice(hub);

    for (n = 1; !ngx_queue_empty(&hub->gathered); n++) {
        q = ngx_queue_head(&hub->gathered);
        sink = ngx_queue_data(q, ngx_http_rt_sink_t, gathered);

        ngx_queue_remove(q);
        sink->dirty = 0;

        sink->ops->flush(sink);

        if (n % NGX_HTTP_RT_HUB_FLUSHES == 0 && ngx_http_rt_hub_late(hub)) {
            break;
        }
    }

    return ngx_queue_empty(&hub->gathered) ? NGX_OK : NGX_AGAIN;
}


uint64_t
ngx_http_rt_clock(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}
