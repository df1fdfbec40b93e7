/*
 * Serving: an audience with news reads its own records (a topic along its
 * chain, a pattern along the ring), writes them once for each encoding in use,
 * and hands the same buffers to all of its live subscriptions, in slices.
 *
 * It does not matter where a slice has been interrupted, for a reader's cursor
 * tells whether it has a batch:
 *
 *     batch->last <= cursor       it has it: skip
 *     batch->first <= cursor      it has a part: it catches up by itself
 *     another of its topics has news up to batch->last: it catches up, too,
 *                                 so that it gets all in the order of seq
 *     else                        the batch is its next one
 *
 * A batch ends with NGX_HTTP_RT_BATCH_SIZE bytes of messages, or when the time
 * of the slice is up.
 */

#include "ngx_http_rt_delivery.h"
#include "ngx_http_rt_pattern.h"


/* subscriptions served, or messages written, between two looks at the clock */
#define NGX_HTTP_RT_SERVE_CLOCK  16


static ngx_int_t ngx_http_rt_serve_audience(ngx_http_rt_audience_t *a);
static ngx_int_t ngx_http_rt_serve_live(ngx_http_rt_audience_t *a);
static void ngx_http_rt_serve_prefetch_next(ngx_http_rt_audience_t *a);
static void ngx_http_rt_serve_prefetch_queue(ngx_queue_t *q);
static void ngx_http_rt_serve_prefetch_sink(ngx_queue_t *q);
static void ngx_http_rt_serve_prefetch_connection(ngx_http_rt_audience_t *a,
    ngx_queue_t *q);
static ngx_int_t ngx_http_rt_serve_batch(ngx_http_rt_audience_t *a);
static ngx_int_t ngx_http_rt_serve_next(ngx_http_rt_audience_t *a,
    ngx_http_rt_record_t *rec, uint64_t *pos);
static ngx_int_t ngx_http_rt_serve_next_topic(ngx_http_rt_audience_t *a,
    ngx_http_rt_record_t *rec, uint64_t *pos);
static ngx_int_t ngx_http_rt_serve_look(ngx_http_rt_audience_t *a);
static ngx_int_t ngx_http_rt_serve_next_match(ngx_http_rt_audience_t *a,
    ngx_http_rt_record_t *rec, uint64_t *pos);
static void ngx_http_rt_serve_buffers(ngx_http_rt_audience_t *a, size_t size);
static void ngx_http_rt_serve_add(ngx_http_rt_audience_t *a,
    const ngx_http_rt_message_t *m);
static ngx_int_t ngx_http_rt_serve_lost(ngx_http_rt_audience_t *a);
static void ngx_http_rt_serve_to(ngx_http_rt_subscription_t *sub);
static ngx_uint_t ngx_http_rt_serve_alone(ngx_http_rt_reader_t *rd,
    ngx_http_rt_audience_t *a);


ngx_int_t
ngx_http_rt_serve(ngx_http_rt_hub_t *hub)
{
    ngx_int_t                rc;
    ngx_queue_t             *q;
    ngx_http_rt_audience_t  *a, *next;

    while (!ngx_queue_empty(&hub->dirty)) {

        q = ngx_queue_head(&hub->dirty);
        a = ngx_queue_data(q, ngx_http_rt_audience_t, queue);

        ngx_http_rt_serve_prefetch_connection(a, ngx_queue_head(&a->live));

        if (ngx_queue_next(q) != ngx_queue_sentinel(&hub->dirty)) {
            next = ngx_queue_data(ngx_queue_next(q), ngx_http_rt_audience_t,
                                  queue);
            ngx_http_rt_serve_prefetch_connection(next,
                                                 ngx_queue_head(&next->live));
        }

        rc = ngx_http_rt_serve_audience(a);

        ngx_queue_remove(q);

        if (a->serving || a->losing || a->seq < a->news) {
            ngx_queue_insert_tail(&hub->dirty, q);

        } else {
            a->dirty = 0;
        }

        if (rc == NGX_AGAIN || ngx_http_rt_hub_late(hub)) {
            return ngx_queue_empty(&hub->dirty) ? NGX_OK : NGX_AGAIN;
        }
    }

    return NGX_OK;
}


/* one batch, or as much of it as there is time for: NGX_AGAIN */

static ngx_int_t
ngx_http_rt_serve_audience(ngx_http_rt_audience_t *a)
{
    ngx_int_t  rc;

    ngx_http_rt_hub_told(a);

    if (a->losing) {
        return ngx_http_rt_serve_lost(a);
    }

    if (a->deletes != a->hub->deletes) {

        /* what it knows of a chain may have been deleted */

        a->deletes = a->hub->deletes;
        a->pos = a->wild ? a->pos : NGX_HTTP_RT_POS_NONE;
    }

    if (!a->serving) {

        rc = ngx_http_rt_serve_batch(a);

        if (rc != NGX_OK) {
            ngx_http_rt_audience_release(a);
        }

        if (rc == NGX_DECLINED) {
            return ngx_http_rt_serve_lost(a);
        }

        if (rc == NGX_DONE) {
            a->seq = a->news;
            return NGX_OK;
        }

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        a->serving = 1;
        a->walk = ngx_queue_head(&a->live);
    }

    return ngx_http_rt_serve_live(a);
}


static ngx_int_t
ngx_http_rt_serve_live(ngx_http_rt_audience_t *a)
{
    ngx_uint_t    n;
    ngx_queue_t  *q;

    n = 0;

    while (a->walk != ngx_queue_sentinel(&a->live)) {

        q = a->walk;
        a->walk = ngx_queue_next(q);

        ngx_http_rt_serve_prefetch_next(a);

        ngx_http_rt_serve_to(ngx_queue_data(q, ngx_http_rt_subscription_t,
                                            queue));

        if (++n % NGX_HTTP_RT_SERVE_CLOCK == 0
            && ngx_http_rt_hub_late(a->hub))
        {
            return NGX_AGAIN;
        }
    }

    ngx_http_rt_audience_release(a);

    return NGX_OK;
}


/*
 * A send takes long enough to fetch what the next ones need, and each is found
 * by the one before: three ahead a reader, whose hot part lies right before its
 * first subscription; two ahead its sink, with the session before it; one ahead
 * the connection.
 */

static void
ngx_http_rt_serve_prefetch_next(ngx_http_rt_audience_t *a)
{
    ngx_queue_t  *q;

    q = a->walk;

    if (q == ngx_queue_sentinel(&a->live)) {
        return;
    }

    ngx_http_rt_serve_prefetch_connection(a, q);

    q = ngx_queue_next(q);

    if (q == ngx_queue_sentinel(&a->live)) {
        return;
    }

    ngx_http_rt_serve_prefetch_sink(q);
    ngx_http_rt_serve_prefetch_queue(ngx_queue_next(q));
}


void
ngx_http_rt_serve_prefetch(ngx_http_rt_audience_t *a)
{
    ngx_http_rt_serve_prefetch_queue(ngx_queue_head(&a->live));
}


static void
ngx_http_rt_serve_prefetch_queue(ngx_queue_t *q)
{
    u_char  *p;

    p = (u_char *) q;

    __builtin_prefetch(p);
    __builtin_prefetch(p - 64);
}


static void
ngx_http_rt_serve_prefetch_sink(ngx_queue_t *q)
{
    u_char                      *p;
    ngx_http_rt_subscription_t  *sub;

    sub = ngx_queue_data(q, ngx_http_rt_subscription_t, queue);
    p = (u_char *) sub->reader->sink;

    __builtin_prefetch(p - 40);
    __builtin_prefetch(p + 24);
}


static void
ngx_http_rt_serve_prefetch_connection(ngx_http_rt_audience_t *a,
    ngx_queue_t *q)
{
    ngx_connection_t            *c;
    ngx_http_rt_subscription_t  *sub;

    if (q == ngx_queue_sentinel(&a->live)) {
        return;
    }

    sub = ngx_queue_data(q, ngx_http_rt_subscription_t, queue);
    c = sub->reader->sink->connection;

    __builtin_prefetch(c);
    __builtin_prefetch(&c->sent);
}


/*
 * Reads what is new and writes it once for each encoding in use.  NGX_DONE:
 * nothing; NGX_DECLINED: something is lost; NGX_AGAIN: no time to find it.
 */

static ngx_int_t
ngx_http_rt_serve_batch(ngx_http_rt_audience_t *a)
{
    size_t                  size;
    uint64_t                pos;
    ngx_int_t               rc;
    ngx_uint_t              n;
    ngx_http_rt_buffer_t   *b;
    ngx_http_rt_record_t    rec;
    ngx_http_rt_message_t   m;

    if (ngx_queue_empty(&a->live)) {
        return NGX_DONE;
    }

    size = 0;

    for (n = 0; size < NGX_HTTP_RT_BATCH_SIZE; n++) {

        if (n % NGX_HTTP_RT_SERVE_CLOCK == NGX_HTTP_RT_SERVE_CLOCK - 1
            && ngx_http_rt_hub_late(a->hub))
        {
            break;
        }

        rc = ngx_http_rt_serve_next(a, &rec, &pos);

        if (rc == NGX_OK) {
            rc = ngx_http_rt_zone_message(a->hub->zone, pos, &rec, &m);
        }

        if (rc != NGX_OK) {

            if (n) {
                break;
            }

            return (rc == NGX_DONE || rc == NGX_AGAIN) ? rc : NGX_DECLINED;
        }

        if (n == 0) {
            a->first = rec.seq;
            ngx_http_rt_serve_buffers(a, rec.data_len + 256);
        }

        ngx_http_rt_serve_add(a, &m);

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


/* NGX_DONE: no more; NGX_DECLINED: there was something that is gone */

static ngx_int_t
ngx_http_rt_serve_next(ngx_http_rt_audience_t *a, ngx_http_rt_record_t *rec,
    uint64_t *pos)
{
    if (a->seq >= a->news) {
        return NGX_DONE;
    }

    return a->wild ? ngx_http_rt_serve_next_match(a, rec, pos)
                   : ngx_http_rt_serve_next_topic(a, rec, pos);
}


static ngx_int_t
ngx_http_rt_serve_next_topic(ngx_http_rt_audience_t *a,
    ngx_http_rt_record_t *rec, uint64_t *pos)
{
    ngx_int_t            rc;
    ngx_http_rt_zone_t  *zone;

    zone = a->hub->zone;

    if (a->pos == NGX_HTTP_RT_POS_NONE
        || ngx_http_rt_zone_record(zone, a->pos, rec) != NGX_HTTP_RT_RING_OK)
    {
        rc = ngx_http_rt_serve_look(a);
        if (rc != NGX_OK) {
            return rc;
        }

        if (ngx_http_rt_zone_record(zone, a->pos, rec) != NGX_HTTP_RT_RING_OK)
        {
            return NGX_DECLINED;
        }
    }

    if (rec->seq > a->news) {
        return NGX_DONE;
    }

    *pos = a->pos;

    return (rec->flags & NGX_HTTP_RT_RECORD_REFUSED) ? NGX_DECLINED : NGX_OK;
}


/*
 * The audience's next record, by the index.  If the way back to it is long, its
 * readers go it, each by itself and in steps.
 */

static ngx_int_t
ngx_http_rt_serve_look(ngx_http_rt_audience_t *a)
{
    ngx_http_rt_view_t   view;
    ngx_http_rt_start_t  start;

    ngx_http_rt_zone_view(a->hub->zone, &a->topic, &view);
    ngx_http_rt_start_init(&start, &view, a->seq, NULL);

    if (!ngx_http_rt_zone_start_step(a->hub->zone, &start, NGX_HTTP_RT_STEP)
        || start.reason != NGX_HTTP_RT_GAP_NONE)
    {
        return NGX_DECLINED;
    }

    if (start.pos == 0) {
        return NGX_DONE;
    }

    a->pos = start.pos;

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_serve_next_match(ngx_http_rt_audience_t *a,
    ngx_http_rt_record_t *rec, uint64_t *pos)
{
    int                  rc;
    u_char               name[NGX_HTTP_RT_TOPIC_MAX];
    ngx_uint_t           n;
    ngx_http_rt_zone_t  *zone;

    zone = a->hub->zone;

    for (n = 1; /* void */; n++) {

        rc = ngx_http_rt_zone_scan(zone, &a->pos, a->end, rec);

        if (rc == NGX_HTTP_RT_RING_OK) {
            rc = ngx_http_rt_zone_name(zone, a->pos, rec, name);
        }

        if (rc == NGX_HTTP_RT_RING_LAPPED) {
            return NGX_DECLINED;
        }

        if (rc == NGX_HTTP_RT_RING_END) {
            return NGX_DONE;
        }

        if (rec->seq > a->seq
            && ngx_http_rt_pattern_match(a->topic.name.data,
                                         a->topic.name.len, name,
                                         rec->topic_len))
        {
            *pos = a->pos;

            return (rec->flags & (NGX_HTTP_RT_RECORD_DELETED
                                  |NGX_HTTP_RT_RECORD_REFUSED))
                   ? NGX_DECLINED : NGX_OK;
        }

        a->pos += rec->size;

        if (n % NGX_HTTP_RT_STEP == 0 && ngx_http_rt_hub_late(a->hub)) {
            return NGX_AGAIN;
        }
    }
}


static void
ngx_http_rt_serve_buffers(ngx_http_rt_audience_t *a, size_t size)
{
    ngx_http_rt_use_t     *use;
    ngx_http_rt_buffer_t  *b;

    for (use = &a->use; use; use = use->next) {

        if (use->count == 0) {
            continue;
        }

        b = ngx_http_rt_buffer_create(use->encoding, size);

        if (b) {
            b->next = a->buffers;
            a->buffers = b;
        }
    }
}


/* where there is no memory, those who need the encoding see that it is gone */

static void
ngx_http_rt_serve_add(ngx_http_rt_audience_t *a,
    const ngx_http_rt_message_t *m)
{
    ngx_http_rt_buffer_t  *b, **bp;

    for (bp = &a->buffers; *bp; /* void */) {

        if (ngx_http_rt_buffer_add(bp, m) == NGX_OK) {
            bp = &(*bp)->next;
            continue;
        }

        b = *bp;
        *bp = b->next;
        ngx_http_rt_buffer_release(b);
    }
}


/* each reader finds out by itself what it has lost */

static ngx_int_t
ngx_http_rt_serve_lost(ngx_http_rt_audience_t *a)
{
    ngx_uint_t                   n;
    ngx_queue_t                 *q;
    ngx_http_rt_subscription_t  *sub;

    if (!a->losing) {
        a->losing = 1;
        a->seq = a->news;
        a->pos = NGX_HTTP_RT_POS_NONE;
    }

    for (n = 1; !ngx_queue_empty(&a->live); n++) {

        if (n % NGX_HTTP_RT_STEP == 0 && ngx_http_rt_hub_late(a->hub)) {
            return NGX_AGAIN;
        }

        q = ngx_queue_head(&a->live);
        sub = ngx_queue_data(q, ngx_http_rt_subscription_t, queue);
        ngx_http_rt_reader_behind(sub->reader);
    }

    a->losing = 0;

    return NGX_OK;
}


static void
ngx_http_rt_serve_to(ngx_http_rt_subscription_t *sub)
{
    ngx_uint_t               alone;
    ngx_http_rt_sink_t      *sink;
    ngx_http_rt_pace_t      *pace;
    ngx_http_rt_buffer_t    *b;
    ngx_http_rt_reader_t    *rd;
    ngx_http_rt_audience_t  *a;

    a = sub->audience;
    rd = sub->reader;

    if (a->last <= rd->cursor) {
        return;
    }

    sink = rd->sink;
    pace = rd->pace;

    if (pace && pace->debounce) {
        ngx_http_rt_pace_wait(rd, pace->interval);
        return;
    }

    for (b = a->buffers; b && b->encoding != sink->encoding; b = b->next) {
        /* void */
    }

    alone = (a->first > rd->cursor
             && (rd->nsubscriptions == 1 || ngx_http_rt_serve_alone(rd, a)));

    if (b == NULL || !alone || rd->skips || !ngx_http_rt_sink_takes(sink)
        || (pace && a->first != a->last))
    {
        if (alone) {

            /* all before the batch was not for it, or it has it */

            rd->cursor = ngx_max(rd->cursor, a->first - 1);
        }

        ngx_http_rt_reader_behind(rd);
        return;
    }

    rd->cursor = a->last;

    ngx_http_rt_reader_deliver(rd, b);

    if (pace) {
        ngx_http_rt_pace_wait(rd, pace->interval);
    }
}


/* whether none of the reader's other topics has news up to the batch */

static ngx_uint_t
ngx_http_rt_serve_alone(ngx_http_rt_reader_t *rd, ngx_http_rt_audience_t *a)
{
    uint64_t                 fresh;
    ngx_uint_t               i;
    ngx_http_rt_audience_t  *other;

    for (i = 0; i < rd->nsubscriptions; i++) {
        other = rd->subscriptions[i].audience;

        ngx_http_rt_hub_told(other);

        if (other == a || other->news <= rd->cursor) {
            continue;
        }

        /* a batch that is being served may not have come here yet */

        fresh = (other->serving && other->last > rd->cursor) ? other->first
                                                             : other->fresh;

        if (fresh <= a->last) {
            return 0;
        }
    }

    return 1;
}
