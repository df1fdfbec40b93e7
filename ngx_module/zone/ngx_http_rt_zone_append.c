/*
 * Appending to the ring, and waking the processes that have subscribers.
 *
 *     append()      tries; what is BUSY waits in zone->pending
 *     retry timer   each ms, in the order in which they came
 *     handler()     with OK, or with BUSY after a tenth of a second
 *
 * BUSY means that another process copies a large message into the place that
 * the next record needs.  If it hangs, waiting is in vain: after the first
 * append that has waited for nothing the zone is "stuck", and others are
 * refused at once until one succeeds.
 *
 * The data of a large message is copied before the mutex is taken, into a blob
 * that is reserved first; see ngx_http_rt_blob.h.  If the first try fails, the
 * others do without.
 */

#include "ngx_http_rt_zone_private.h"
#include "ngx_http_rt_point.h"


/* ms for which an append waits, and between two tries */
#define NGX_HTTP_RT_ZONE_WAIT      100
#define NGX_HTTP_RT_ZONE_PAUSE     1

/* pending appends that are tried in one turn of the event loop */
#define NGX_HTTP_RT_ZONE_RETRIES   32


static ngx_int_t ngx_http_rt_zone_try(ngx_http_rt_zone_t *zone,
    ngx_http_rt_append_t *a);
static ngx_int_t ngx_http_rt_zone_put(ngx_http_rt_zone_t *zone,
    ngx_http_rt_append_t *a, ngx_http_rt_presence_t *p);
static void ngx_http_rt_zone_retry(ngx_event_t *ev);
static void ngx_http_rt_zone_blob(ngx_http_rt_zone_t *zone,
    ngx_http_rt_append_t *a);
static void ngx_http_rt_zone_renew(ngx_http_rt_zone_t *zone,
    ngx_http_rt_message_t *m);


void
ngx_http_rt_zone_append_init(ngx_http_rt_zone_t *zone, ngx_log_t *log)
{
    zone->retry.data = zone;
    zone->retry.handler = ngx_http_rt_zone_retry;
    zone->retry.log = log;
}


ngx_int_t
ngx_http_rt_zone_append(ngx_http_rt_zone_t *zone, ngx_http_rt_append_t *a)
{
    if (ngx_queue_empty(&zone->pending)) {

        if (ngx_http_rt_zone_append_now(zone, a) != NGX_HTTP_RT_TOPIC_BUSY
            || zone->stuck)
        {
            return NGX_OK;
        }
    }

    a->zone = zone;
    a->since = ngx_current_msec;
    a->pending = 1;

    ngx_queue_insert_tail(&zone->pending, &a->queue);

    if (!zone->retry.timer_set) {
        ngx_add_timer(&zone->retry, NGX_HTTP_RT_ZONE_PAUSE);
    }

    return NGX_AGAIN;
}


ngx_int_t
ngx_http_rt_zone_append_now(ngx_http_rt_zone_t *zone, ngx_http_rt_append_t *a)
{
    a->pending = 0;

    if (a->n == 1 && a->messages->data_len >= NGX_HTTP_RT_BLOB_MIN
        && a->place == NULL && zone->slot)
    {
        ngx_http_rt_zone_blob(zone, a);
    }

    return ngx_http_rt_zone_try(zone, a);
}


void
ngx_http_rt_zone_cancel(ngx_http_rt_append_t *a)
{
    if (a->pending) {
        ngx_queue_remove(&a->queue);
        a->pending = 0;
    }
}


static void
ngx_http_rt_zone_retry(ngx_event_t *ev)
{
    ngx_uint_t             n;
    ngx_queue_t           *q;
    ngx_http_rt_zone_t    *zone;
    ngx_http_rt_append_t  *a;

    zone = ev->data;

    for (n = 0; n < NGX_HTTP_RT_ZONE_RETRIES; n++) {

        if (ngx_queue_empty(&zone->pending)) {
            return;
        }

        q = ngx_queue_head(&zone->pending);
        a = ngx_queue_data(q, ngx_http_rt_append_t, queue);

        if (ngx_http_rt_zone_try(zone, a) == NGX_HTTP_RT_TOPIC_BUSY) {

            if (!zone->stuck
                && ngx_current_msec - a->since < NGX_HTTP_RT_ZONE_WAIT)
            {
                break;
            }

            zone->stuck = 1;
        }

        ngx_http_rt_zone_cancel(a);
        a->handler(a);
    }

    if (!ev->timer_set && !ngx_queue_empty(&zone->pending)) {
        ngx_add_timer(ev, NGX_HTTP_RT_ZONE_PAUSE);
    }
}


/* once more if slots of dead processes have given back what was missing */

static ngx_int_t
ngx_http_rt_zone_try(ngx_http_rt_zone_t *zone, ngx_http_rt_append_t *a)
{
    ngx_uint_t              i;
    uint64_t                now;
    ngx_http_rt_presence_t  p;

    now = ngx_http_rt_now();

    for (i = 0; i < a->n; i++) {
        a->messages[i].time = now;
        a->messages[i].epoch = zone->epoch;
    }

    a->subscribers = 0;

    do {
        ngx_http_rt_zone_lock(zone);

        ngx_http_rt_zone_renew(zone, a->messages);

        a->rc = ngx_http_rt_zone_put(zone, a, &p);

        if (a->messages->blob) {

            /* another attempt does without */

            a->messages->blob = 0;
            ngx_http_rt_zone_unpin(zone, zone->slot);
        }

        ngx_http_rt_zone_unlock(zone);

    } while ((a->rc == NGX_HTTP_RT_TOPIC_FULL
              || a->rc == NGX_HTTP_RT_TOPIC_BUSY)
             && ngx_http_rt_zone_reap(zone));

    if (a->rc == NGX_HTTP_RT_TOPIC_OK) {
        zone->stuck = 0;
        a->subscribers = p.subscribers;

        ngx_http_rt_bell_ring(zone, &p);

    } else if (a->rc == NGX_HTTP_RT_TOPIC_REPLAY && a->key) {
        a->subscribers = a->key->subscribers;

    } else if (a->rc == NGX_HTTP_RT_TOPIC_FULL) {
        (void) ngx_atomic_fetch_add(&zone->sh->publications_refused, 1);
    }

    return a->rc;
}


static ngx_int_t
ngx_http_rt_zone_put(ngx_http_rt_zone_t *zone, ngx_http_rt_append_t *a,
    ngx_http_rt_presence_t *p)
{
    ngx_http_rt_store_t  *store;

    store = &zone->sh->store;

    if (a->place) {
        return ngx_http_rt_topic_append_from(store, a->messages, p, a->place);
    }

    if (a->key) {
        return ngx_http_rt_topic_append_once(store, a->messages, a->n, p,
                                             a->key);
    }

    return ngx_http_rt_topic_append(store, a->messages, a->n, p);
}


/*
 * Copies the data of a large message; if it cannot, append() will.  A request
 * that is repeated with its key must not push messages out of the ring.
 */

static void
ngx_http_rt_zone_blob(ngx_http_rt_zone_t *zone, ngx_http_rt_append_t *a)
{
    ngx_int_t               rc;
    ngx_http_rt_store_t    *store;
    ngx_http_rt_message_t  *m;

    m = a->messages;
    store = &zone->sh->store;

    ngx_http_rt_zone_lock(zone);

    rc = NGX_HTTP_RT_TOPIC_REPLAY;

    if (a->key == NULL
        || ngx_http_rt_index_find_key(&store->index, a->key->key) == NULL)
    {
        rc = ngx_http_rt_topic_reserve(store, ngx_http_rt_zone_slot(zone), m);
    }

    ngx_http_rt_zone_unlock(zone);

    if (rc == NGX_HTTP_RT_TOPIC_OK) {
        ngx_http_rt_blob_write(&store->ring, m->blob, m->data, m->data_len);
        ngx_http_rt_point("copied");
    }
}


/* a blob that others have filled the ring behind would soon be overwritten */

static void
ngx_http_rt_zone_renew(ngx_http_rt_zone_t *zone, ngx_http_rt_message_t *m)
{
    ngx_http_rt_ring_t  *ring;

    ring = &zone->sh->store.ring;

    if (m->blob
        && (ring->head - m->blob > ring->size / NGX_HTTP_RT_BLOB_OLD
            || m->blob < ring->tail))
    {
        m->blob = 0;
        ngx_http_rt_zone_unpin(zone, zone->slot);
    }
}


/* ms since 1970, the clock of messages */

uint64_t
ngx_http_rt_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


ngx_int_t
ngx_http_rt_zone_control(ngx_http_rt_zone_t *zone, ngx_uint_t type,
    const u_char *bytes, size_t len)
{
    ngx_int_t               rc;
    ngx_uint_t              i;
    ngx_http_rt_presence_t  p;

    if (type == NGX_HTTP_RT_CONTROL_LOST || type > 255
        || len > NGX_HTTP_RT_CONTROL_MAX)
    {
        return NGX_ERROR;
    }

    ngx_http_rt_zone_lock(zone);
    rc = ngx_http_rt_topic_control(&zone->sh->store, type, bytes, len);
    ngx_http_rt_zone_unlock(zone);

    if (rc != NGX_HTTP_RT_TOPIC_OK) {
        return (rc == NGX_HTTP_RT_TOPIC_BUSY) ? NGX_BUSY : NGX_ERROR;
    }

    ngx_memzero(&p, sizeof(ngx_http_rt_presence_t));

    for (i = 0; i < NGX_HTTP_RT_SLOTS; i++) {
        if (zone->sh->slots[i].pid) {
            p.slots[i / 64] |= (uint64_t) 1 << i % 64;
        }
    }

    ngx_http_rt_bell_ring(zone, &p);

    return NGX_OK;
}
