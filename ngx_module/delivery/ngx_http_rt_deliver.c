/*
 * Delivery: a process walks the ring and serves its audiences.
 *
 * The walk takes no lock and encodes nothing; it looks at each new record's
 * interest bits and tells the audiences concerned that there is news.  An
 * audience then reads its own records (a topic along its chain, a pattern
 * along the ring), writes them once per encoding in use, and hands the same
 * buffers to all live subscribers, in slices: when NGX_HTTP_RT_SLICE_MS are
 * over, the rest waits for the next turn of the event loop.
 *
 * Nobody needs to know where a slice has been interrupted, for a subscriber's
 * cursor tells whether it has a batch:
 *
 *     batch->last <= cursor       it has it: skip
 *     batch->first <= cursor      it has a part: it catches up by itself
 *     another of its topics has news up to batch->last: it catches up, too,
 *                                 so that it gets all in the order of seq
 *     else                        the batch is its next one
 *
 * Nothing is freed or finalized in here but at the end of a turn.
 */

#include "ngx_http_rt.h"


/* subscribers served between two looks at the clock */
#define NGX_HTTP_RT_DELIVER_CLOCK  16

/* records taken at a time */
#define NGX_HTTP_RT_DELIVER_AHEAD  16


static ngx_int_t ngx_http_rt_deliver_walk(ngx_http_rt_zone_t *zone);
static int ngx_http_rt_deliver_record(ngx_http_rt_zone_t *zone,
    ngx_http_rt_record_t *rec, uint64_t pos);
static void ngx_http_rt_deliver_lapped(ngx_http_rt_zone_t *zone);
static void ngx_http_rt_deliver_deleted(ngx_http_rt_zone_t *zone);
static void ngx_http_rt_deliver_news(ngx_http_rt_audience_t *a, void *data);
static ngx_int_t ngx_http_rt_deliver_dirty(ngx_http_rt_zone_t *zone,
    uint64_t deadline);
static ngx_int_t ngx_http_rt_deliver_audience(ngx_http_rt_audience_t *a,
    uint64_t deadline);
static void ngx_http_rt_deliver_prefetch(ngx_queue_t *q);
static void ngx_http_rt_deliver_prefetch_connection(ngx_http_rt_audience_t *a,
    ngx_queue_t *q);
static ngx_int_t ngx_http_rt_deliver_batch(ngx_http_rt_audience_t *a);
static void ngx_http_rt_deliver_buffers(ngx_http_rt_audience_t *a,
    size_t size);
static ngx_int_t ngx_http_rt_deliver_next(ngx_http_rt_audience_t *a,
    ngx_http_rt_record_t *rec, uint64_t *pos);
static ngx_int_t ngx_http_rt_deliver_next_match(ngx_http_rt_audience_t *a,
    ngx_http_rt_record_t *rec, uint64_t *pos);
static void ngx_http_rt_deliver_lost(ngx_http_rt_audience_t *a);
static void ngx_http_rt_deliver_to(ngx_http_rt_subscription_t *sub);
static ngx_uint_t ngx_http_rt_deliver_alone(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_audience_t *a);
static ngx_int_t ngx_http_rt_deliver_behind(ngx_http_rt_zone_t *zone,
    uint64_t deadline);
static uint64_t ngx_http_rt_deliver_clock(void);


typedef struct {
    uint64_t  seq;
    uint64_t  fresh;     /* nothing new is before this seq */
    uint64_t  pos;
    uint64_t  end;
} ngx_http_rt_news_t;


void
ngx_http_rt_deliver_post(ngx_http_rt_zone_t *zone)
{
    ngx_post_event(&zone->event, &ngx_posted_events);
}


void
ngx_http_rt_deliver(ngx_event_t *ev)
{
    uint64_t             deadline;
    ngx_int_t            more, late;
    ngx_http_rt_zone_t  *zone;

    zone = ev->data;

    if (zone->slot == NULL) {
        return;
    }

    ngx_http_rt_subscriber_finalize(zone);

    __atomic_exchange_n(&zone->slot->rung, 0, __ATOMIC_SEQ_CST);

    if (zone->deletes != zone->sh->deletes) {
        ngx_http_rt_deliver_deleted(zone);
    }

    deadline = ngx_http_rt_deliver_clock()
               + NGX_HTTP_RT_SLICE_MS * (uint64_t) 1000000;

    do {
        more = ngx_http_rt_deliver_walk(zone);
        late = ngx_http_rt_deliver_dirty(zone, deadline);
    } while (more && !late && ngx_http_rt_deliver_clock() < deadline);

    if (ngx_http_rt_deliver_behind(zone, deadline)) {
        late = 1;
    }

    ngx_http_rt_subscriber_finalize(zone);

    if (more || late) {
        ngx_post_event(&zone->event, &ngx_posted_next_events);
    }
}


/*
 * Returns whether there is more to walk.  A few records are taken at a time, so
 * that what one of them needs is fetched while another is looked at.
 */

static ngx_int_t
ngx_http_rt_deliver_walk(ngx_http_rt_zone_t *zone)
{
    int                      rc;
    uint64_t                 pos, head, at[NGX_HTTP_RT_DELIVER_AHEAD];
    ngx_uint_t               i, n, walked;
    ngx_http_rt_ring_t      *ring;
    ngx_http_rt_record_t     recs[NGX_HTTP_RT_DELIVER_AHEAD];
    ngx_http_rt_audience_t  *a;

    if (zone->nsubscribers == 0) {
        return 0;
    }

    ring = &zone->sh->store.ring;
    head = ngx_http_rt_ring_head(ring);

    for (walked = 0; walked < NGX_HTTP_RT_WALK; walked += n) {

        rc = NGX_HTTP_RT_RING_OK;
        pos = zone->pos;

        for (n = 0; n < NGX_HTTP_RT_DELIVER_AHEAD; n++) {

            rc = ngx_http_rt_ring_scan(ring, &pos, head, &recs[n]);

            if (rc != NGX_HTTP_RT_RING_OK) {
                break;
            }

            __builtin_prefetch(&zone->buckets[recs[n].hash
                                              & (zone->nbuckets - 1)]);

            at[n] = pos;
            pos += recs[n].size;
        }

        /* there may be none at all, and only clients with commands */

        for (i = 0; i < n && zone->nbuckets; i++) {
            a = zone->buckets[recs[i].hash & (zone->nbuckets - 1)];

            __builtin_prefetch(a);
            __builtin_prefetch((u_char *) a + 64);
        }

        for (i = 0; i < n; i++) {

            if ((recs[i].interest & zone->bit)
                && ngx_http_rt_deliver_record(zone, &recs[i], at[i])
                   == NGX_HTTP_RT_RING_LAPPED)
            {
                ngx_http_rt_deliver_lapped(zone);
                return 0;
            }

            zone->seq = recs[i].seq;
            zone->pos = at[i] + recs[i].size;
        }

        if (rc == NGX_HTTP_RT_RING_LAPPED) {
            ngx_http_rt_deliver_lapped(zone);
            return 0;
        }

        if (rc == NGX_HTTP_RT_RING_END) {
            zone->pos = pos;
            return 0;
        }
    }

    return 1;
}


static int
ngx_http_rt_deliver_record(ngx_http_rt_zone_t *zone, ngx_http_rt_record_t *rec,
    uint64_t pos)
{
    u_char                   name[NGX_HTTP_RT_TOPIC_MAX];
    ngx_http_rt_news_t       news;
    ngx_http_rt_audience_t  *a;

    if (ngx_http_rt_ring_copy(&zone->sh->store.ring, pos, 0, name,
                              rec->topic_len)
        != NGX_HTTP_RT_RING_OK)
    {
        return NGX_HTTP_RT_RING_LAPPED;
    }

    news.seq = rec->seq;
    news.fresh = rec->seq;
    news.pos = pos;
    news.end = pos + rec->size;

    a = ngx_http_rt_audience_find(zone, name, rec);
    if (a) {
        ngx_http_rt_deliver_news(a, &news);
    }

    ngx_http_rt_audience_matches(zone, name, rec->topic_len,
                                 ngx_http_rt_deliver_news, &news);

    return NGX_HTTP_RT_RING_OK;
}


/*
 * The ring has overtaken the process.  Each audience must look by itself for
 * what it has lost; a topic that had nothing in the meantime has lost nothing.
 */

static void
ngx_http_rt_deliver_lapped(ngx_http_rt_zone_t *zone)
{
    ngx_uint_t               i;
    ngx_http_rt_news_t       news;
    ngx_http_rt_audience_t  *a;

    news.pos = zone->pos;
    news.fresh = zone->seq + 1;

    ngx_http_rt_zone_lock(zone);

    zone->pos = zone->sh->store.ring.head;
    zone->seq = zone->sh->store.ring.seq;

    ngx_http_rt_zone_unlock(zone);

    news.seq = zone->seq;
    news.end = zone->pos;

    for (i = 0; i < zone->nbuckets; i++) {
        for (a = zone->buckets[i]; a; a = a->next) {
            ngx_http_rt_deliver_news(a, &news);
        }
    }
}


/*
 * Messages have been deleted somewhere.  Their records are still in the ring,
 * so all who know a position there must look it up again.
 */

static void
ngx_http_rt_deliver_deleted(ngx_http_rt_zone_t *zone)
{
    ngx_uint_t                 i;
    ngx_queue_t               *q;
    ngx_http_rt_audience_t    *a;
    ngx_http_rt_subscriber_t  *s;

    zone->deletes = zone->sh->deletes;

    for (i = 0; i < zone->nbuckets; i++) {
        for (a = zone->buckets[i]; a; a = a->next) {
            a->pos = a->wild ? a->pos : NGX_HTTP_RT_POS_NONE;
        }
    }

    for (q = ngx_queue_head(&zone->subscribers);
         q != ngx_queue_sentinel(&zone->subscribers);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_http_rt_subscriber_t, queue);

        if (s->live) {
            continue;
        }

        if (s->scan) {
            s->scan->gaps = 1;
            continue;
        }

        for (i = 0; i < s->nsubscriptions; i++) {
            if (s->subscriptions[i].pos) {
                s->subscriptions[i].pos = NGX_HTTP_RT_POS_LOOK;
            }
        }
    }
}


static void
ngx_http_rt_deliver_news(ngx_http_rt_audience_t *a, void *data)
{
    ngx_http_rt_news_t *news = data;

    if (news->seq <= a->seq) {
        return;
    }

    if (a->seq >= a->news) {
        a->pos = news->pos;
        a->fresh = news->fresh;
    }

    a->news = news->seq;
    a->end = news->end;

    if (!a->dirty) {
        a->dirty = 1;
        ngx_queue_insert_tail(&a->zone->dirty, &a->queue);
        ngx_http_rt_deliver_prefetch(ngx_queue_head(&a->live));
    }
}


/* returns whether time was up */

static ngx_int_t
ngx_http_rt_deliver_dirty(ngx_http_rt_zone_t *zone, uint64_t deadline)
{
    ngx_int_t                rc;
    ngx_queue_t             *q;
    ngx_http_rt_audience_t  *a, *next;

    while (!ngx_queue_empty(&zone->dirty)) {

        q = ngx_queue_head(&zone->dirty);
        a = ngx_queue_data(q, ngx_http_rt_audience_t, queue);

        ngx_http_rt_deliver_prefetch_connection(a,
                                               ngx_queue_head(&a->live));

        if (ngx_queue_next(q) != ngx_queue_sentinel(&zone->dirty)) {
            next = ngx_queue_data(ngx_queue_next(q), ngx_http_rt_audience_t,
                                  queue);
            ngx_http_rt_deliver_prefetch_connection(next,
                                               ngx_queue_head(&next->live));
        }

        rc = ngx_http_rt_deliver_audience(a, deadline);

        ngx_queue_remove(q);

        if (a->serving || a->seq < a->news) {
            ngx_queue_insert_tail(&zone->dirty, q);

        } else {
            a->dirty = 0;
        }

        if (rc == NGX_AGAIN || ngx_http_rt_deliver_clock() >= deadline) {
            return !ngx_queue_empty(&zone->dirty);
        }
    }

    return 0;
}


/* one batch, or as much of it as there is time for: NGX_AGAIN */

static ngx_int_t
ngx_http_rt_deliver_audience(ngx_http_rt_audience_t *a, uint64_t deadline)
{
    ngx_int_t     rc;
    ngx_uint_t    n;
    ngx_queue_t  *q;

    if (!a->serving) {

        rc = ngx_http_rt_deliver_batch(a);

        if (rc != NGX_OK) {
            ngx_http_rt_audience_release(a);
        }

        if (rc == NGX_DECLINED) {
            ngx_http_rt_deliver_lost(a);
            return NGX_OK;
        }

        if (rc == NGX_DONE) {
            a->seq = a->news;
            return NGX_OK;
        }

        a->serving = 1;
        a->walk = ngx_queue_head(&a->live);
    }

    n = 0;

    while (a->walk != ngx_queue_sentinel(&a->live)) {

        q = a->walk;
        a->walk = ngx_queue_next(q);

        ngx_http_rt_deliver_prefetch_connection(a, a->walk);
        ngx_http_rt_deliver_prefetch(ngx_queue_next(a->walk));

        ngx_http_rt_deliver_to(ngx_queue_data(q, ngx_http_rt_subscription_t,
                                              queue));

        if (++n % NGX_HTTP_RT_DELIVER_CLOCK == 0
            && ngx_http_rt_deliver_clock() >= deadline)
        {
            return NGX_AGAIN;
        }
    }

    ngx_http_rt_audience_release(a);

    return NGX_OK;
}


/*
 * A send takes long enough to fetch what the next ones need: a subscriber,
 * whose hot part lies right before its first subscription, and then its
 * connection.
 */

static void
ngx_http_rt_deliver_prefetch(ngx_queue_t *q)
{
    u_char  *p;

    p = (u_char *) q;

    __builtin_prefetch(p);
    __builtin_prefetch(p - 64);
    __builtin_prefetch(p - 128);
}


static void
ngx_http_rt_deliver_prefetch_connection(ngx_http_rt_audience_t *a,
    ngx_queue_t *q)
{
    ngx_connection_t            *c;
    ngx_http_rt_subscription_t  *sub;

    if (q == ngx_queue_sentinel(&a->live)) {
        return;
    }

    sub = ngx_queue_data(q, ngx_http_rt_subscription_t, queue);
    c = sub->subscriber->connection;

    __builtin_prefetch(c);
    __builtin_prefetch(&c->sent);
}


/*
 * Reads what is new, up to NGX_HTTP_RT_BATCH_SIZE, and writes it once for each
 * encoding in use.  NGX_DONE: nothing; NGX_DECLINED: something is lost.
 */

static ngx_int_t
ngx_http_rt_deliver_batch(ngx_http_rt_audience_t *a)
{
    size_t                  size;
    uint64_t                pos;
    ngx_int_t               rc;
    ngx_uint_t              n;
    ngx_http_rt_buffer_t   *b, **bp;
    ngx_http_rt_record_t    rec;
    ngx_http_rt_message_t   m;

    if (ngx_queue_empty(&a->live)) {
        return NGX_DONE;
    }

    size = 0;

    for (n = 0; size < NGX_HTTP_RT_BATCH_SIZE; n++) {

        rc = a->wild ? ngx_http_rt_deliver_next_match(a, &rec, &pos)
                     : ngx_http_rt_deliver_next(a, &rec, &pos);

        if (rc == NGX_OK) {
            rc = ngx_http_rt_zone_message(a->zone, pos, &rec, &m);
        }

        if (rc != NGX_OK) {

            if (n) {
                break;
            }

            return (rc == NGX_DONE) ? NGX_DONE : NGX_DECLINED;
        }

        if (n == 0) {
            a->first = rec.seq;
            ngx_http_rt_deliver_buffers(a, rec.data_len + 256);
        }

        for (bp = &a->buffers; *bp; /* void */) {

            if (ngx_http_rt_buffer_add(bp, &m) == NGX_OK) {
                bp = &(*bp)->next;
                continue;
            }

            /* those who need it see that there is none */

            b = *bp;
            *bp = b->next;
            ngx_http_rt_buffer_release(b);
        }

        a->last = rec.seq;
        a->seq = rec.seq;

        if (a->wild) {
            a->pos = pos + rec.size;

        } else {
            a->pos = ngx_http_rt_record_next(&rec, pos);
        }

        size += ngx_http_rt_record_load(&rec);
    }

    a->fresh = a->seq + 1;

    for (b = a->buffers; b; b = b->next) {
        ngx_http_rt_buffer_finish(b);
    }

    return NGX_OK;
}


static void
ngx_http_rt_deliver_buffers(ngx_http_rt_audience_t *a, size_t size)
{
    uint32_t               bits;
    ngx_http_rt_buffer_t  *b;

    for (bits = a->encoded; bits; bits &= bits - 1) {

        b = ngx_http_rt_buffer_create(__builtin_ctz(bits), size);
        if (b == NULL) {
            continue;
        }

        b->deflate = a->deflate;
        b->next = a->buffers;
        a->buffers = b;
    }
}


/* NGX_DONE: no more; NGX_DECLINED: there was something that is gone */

static ngx_int_t
ngx_http_rt_deliver_next(ngx_http_rt_audience_t *a, ngx_http_rt_record_t *rec,
    uint64_t *pos)
{
    ngx_http_rt_start_t  start;

    if (a->seq >= a->news) {
        return NGX_DONE;
    }

    if (a->pos == 0
        || ngx_http_rt_ring_read(&a->zone->sh->store.ring, a->pos, rec)
           != NGX_HTTP_RT_RING_OK)
    {
        if (ngx_http_rt_read_start(a->zone, a, a->seq, &start) != NGX_OK) {
            return NGX_DECLINED;
        }

        if (start.pos == 0) {
            return NGX_DONE;
        }

        a->pos = start.pos;

        if (ngx_http_rt_ring_read(&a->zone->sh->store.ring, a->pos, rec)
            != NGX_HTTP_RT_RING_OK)
        {
            return NGX_DECLINED;
        }
    }

    if (rec->seq > a->news) {
        return NGX_DONE;
    }

    *pos = a->pos;

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_deliver_next_match(ngx_http_rt_audience_t *a,
    ngx_http_rt_record_t *rec, uint64_t *pos)
{
    int                  rc;
    u_char               name[NGX_HTTP_RT_TOPIC_MAX];
    ngx_http_rt_ring_t  *ring;

    if (a->seq >= a->news) {
        return NGX_DONE;
    }

    ring = &a->zone->sh->store.ring;

    for ( ;; ) {
        rc = ngx_http_rt_ring_scan(ring, &a->pos, a->end, rec);

        if (rc == NGX_HTTP_RT_RING_OK) {
            rc = ngx_http_rt_ring_copy(ring, a->pos, 0, name, rec->topic_len);
        }

        if (rc == NGX_HTTP_RT_RING_LAPPED) {
            return NGX_DECLINED;
        }

        if (rc == NGX_HTTP_RT_RING_END) {
            return NGX_DONE;
        }

        if (rec->seq > a->seq
            && ngx_http_rt_pattern_match(a->name.data, a->name.len, name,
                                         rec->topic_len))
        {
            *pos = a->pos;

            return (rec->flags & NGX_HTTP_RT_RECORD_DELETED) ? NGX_DECLINED
                                                             : NGX_OK;
        }

        a->pos += rec->size;
    }
}


/* each subscriber finds out by itself what it has lost */

static void
ngx_http_rt_deliver_lost(ngx_http_rt_audience_t *a)
{
    ngx_queue_t                 *q;
    ngx_http_rt_subscription_t  *sub;

    a->seq = a->news;
    a->pos = 0;

    while (!ngx_queue_empty(&a->live)) {
        q = ngx_queue_head(&a->live);
        sub = ngx_queue_data(q, ngx_http_rt_subscription_t, queue);
        ngx_http_rt_subscriber_behind(sub->subscriber);
    }
}


static void
ngx_http_rt_deliver_to(ngx_http_rt_subscription_t *sub)
{
    ngx_http_rt_buffer_t      *b;
    ngx_http_rt_audience_t    *a;
    ngx_http_rt_subscriber_t  *s;

    a = sub->audience;
    s = sub->subscriber;

    if (a->last <= s->cursor) {
        return;
    }

    for (b = a->buffers; b && b->encoding != s->encoding; b = b->next) {
        /* void */
    }

    if (s->pace && s->pace->debounce) {
        ngx_http_rt_pace_wait(s, s->pace->interval);
        return;
    }

    if (s->pace && a->first != a->last) {
        ngx_http_rt_subscriber_behind(s);
        return;
    }

    if (b == NULL || a->first <= s->cursor
        || (s->nsubscriptions > 1 && !ngx_http_rt_deliver_alone(s, a)))
    {
        ngx_http_rt_subscriber_behind(s);
        return;
    }

    s->cursor = a->last;

    ngx_http_rt_subscriber_deliver(s, b);

    if (s->pace) {
        ngx_http_rt_pace_wait(s, s->pace->interval);
    }
}


/* whether none of the subscriber's other topics has news up to the batch */

static ngx_uint_t
ngx_http_rt_deliver_alone(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_audience_t *a)
{
    uint64_t                 fresh;
    ngx_uint_t               i;
    ngx_http_rt_audience_t  *other;

    for (i = 0; i < s->nsubscriptions; i++) {
        other = s->subscriptions[i].audience;

        if (other == a || other->news <= s->cursor) {
            continue;
        }

        /* a batch that is being served may not have come here yet */

        fresh = (other->serving && other->last > s->cursor) ? other->first
                                                            : other->fresh;

        if (fresh <= a->last) {
            return 0;
        }
    }

    return 1;
}


/* a step for each who is behind; returns whether there is more to do */

static ngx_int_t
ngx_http_rt_deliver_behind(ngx_http_rt_zone_t *zone, uint64_t deadline)
{
    ngx_queue_t               *q, *last;
    ngx_http_rt_subscriber_t  *s;

    if (ngx_queue_empty(&zone->behind)) {
        return 0;
    }

    last = ngx_queue_last(&zone->behind);

    do {
        q = ngx_queue_head(&zone->behind);
        s = ngx_queue_data(q, ngx_http_rt_subscriber_t, behind);

        ngx_queue_remove(q);
        s->queued = 0;

        if (s->conf->detach && s->request) {
            ngx_http_rt_detach(s);
        }

        ngx_http_rt_catchup(s);

    } while (q != last && ngx_http_rt_deliver_clock() < deadline);

    return !ngx_queue_empty(&zone->behind);
}


static uint64_t
ngx_http_rt_deliver_clock(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}
