/*
 * Catching up: what a reader reads by itself while it is behind.
 *
 * It comes here at its start, after its sink was full, when a batch does not
 * fit its cursor, or when something of its topics was lost.  A step reads what
 * lies between its cursor and the place that the hub has walked to, in the
 * order of seq, into a buffer of its own: at most as much as its sink takes at
 * a time, and as long as there is time in the slice.  When nothing is left the
 * reader is live again.
 *
 * Topics are read along their chains, merged by seq.  A reader with patterns
 * reads the ring itself, in ngx_http_rt_scan.c.
 */

#include "ngx_http_rt_delivery.h"


#define NGX_HTTP_RT_CATCHUP_END    ((uint64_t) -1)

/* messages written between two looks at the clock */
#define NGX_HTTP_RT_CATCHUP_CLOCK  16


/* a step under way */

typedef struct {
    ngx_http_rt_reader_t   *reader;
    ngx_http_rt_buffer_t  **buffer;
    uint64_t                upto;       /* seq */
    size_t                  size;       /* of what has been read */
    ngx_uint_t              messages;
    uint64_t                next[NGX_HTTP_RT_TOPICS_MAX];
} ngx_http_rt_catchup_step_t;


static void ngx_http_rt_catchup_read(ngx_http_rt_reader_t *rd);
static ngx_int_t ngx_http_rt_catchup_cached(ngx_http_rt_reader_t *rd);
static void ngx_http_rt_catchup_done(ngx_http_rt_reader_t *rd,
    ngx_http_rt_buffer_t *b, ngx_int_t rc);
static void ngx_http_rt_catchup_deleted(ngx_http_rt_reader_t *rd);
static uint64_t ngx_http_rt_catchup_upto(ngx_http_rt_reader_t *rd);
static ngx_int_t ngx_http_rt_catchup_fill(ngx_http_rt_reader_t *rd,
    ngx_http_rt_buffer_t **b);
static ngx_int_t ngx_http_rt_catchup_look(ngx_http_rt_catchup_step_t *step,
    ngx_uint_t i);
static ngx_int_t ngx_http_rt_catchup_peek(ngx_http_rt_catchup_step_t *step,
    ngx_uint_t i);
static ngx_int_t ngx_http_rt_catchup_newest(ngx_http_rt_catchup_step_t *step,
    ngx_uint_t i);
static ngx_int_t ngx_http_rt_catchup_find(ngx_http_rt_catchup_step_t *step,
    ngx_http_rt_subscription_t *sub);
static ngx_uint_t ngx_http_rt_catchup_reason(ngx_http_rt_reader_t *rd,
    ngx_http_rt_subscription_t *sub, ngx_http_rt_start_t *start);
static void ngx_http_rt_catchup_latest(ngx_http_rt_subscription_t *sub,
    ngx_http_rt_start_t *start);
static ngx_int_t ngx_http_rt_catchup_message(ngx_http_rt_catchup_step_t *step,
    ngx_http_rt_subscription_t *sub);
static ngx_int_t ngx_http_rt_catchup_add(ngx_http_rt_catchup_step_t *step,
    ngx_http_rt_subscription_t *sub, const ngx_http_rt_record_t *rec);


/* a step; the reader is in no list */

void
ngx_http_rt_catchup(ngx_http_rt_reader_t *rd)
{
    ngx_int_t            rc;
    ngx_http_rt_sink_t  *sink;

    sink = rd->sink;

    if (rd->live || !ngx_http_rt_sink_takes(sink)) {
        return;
    }

    if (rd->starting) {

        rc = ngx_http_rt_reader_start(rd);

        if (rc == NGX_ERROR) {
            sink->ops->end(sink);
            return;
        }

        if (rc == NGX_OK) {
            sink->ops->started(sink, rd);
        }

        ngx_http_rt_reader_behind(rd);
        return;
    }

    ngx_http_rt_catchup_deleted(rd);

    rd->told = 1;

    if (rd->pace) {
        rd->pace->left = 0;
    }

    if (ngx_http_rt_catchup_cached(rd) == NGX_OK) {
        return;
    }

    ngx_http_rt_catchup_read(rd);
}


static void
ngx_http_rt_catchup_read(ngx_http_rt_reader_t *rd)
{
    uint64_t               pos;
    ngx_int_t              rc;
    ngx_uint_t             gaps;
    ngx_http_rt_sink_t    *sink;
    ngx_http_rt_buffer_t  *b;

    sink = rd->sink;

    b = rd->partial;
    rd->partial = NULL;

    if (b == NULL) {
        b = ngx_http_rt_buffer_create(sink->encoding, 1024);
        if (b == NULL) {
            sink->ops->end(sink);
            return;
        }
    }

    gaps = rd->gaps;
    pos = (rd->nsubscriptions == 1) ? rd->subscriptions[0].pos : 0;

    rc = rd->scan ? ngx_http_rt_scan_fill(rd, &b)
                  : ngx_http_rt_catchup_fill(rd, &b);

    /* NGX_AGAIN: there is more; NGX_DONE: it has been closed */

    if (rc == NGX_AGAIN
        && sink->batch_size > NGX_HTTP_RT_BATCH_SIZE
        && (size_t) (b->last - b->pos) < sink->batch_size)
    {
        /* one answer with all that there is */

        rd->partial = b;
        ngx_http_rt_reader_behind(rd);
        return;
    }

    if ((rc == NGX_OK || rc == NGX_AGAIN) && b->last != b->pos) {
        ngx_http_rt_buffer_finish(b);

        if (b->messages > 0 && rd->gaps == gaps && rd->scan == NULL
            && rd->nsubscriptions == 1 && pos > NGX_HTTP_RT_POS_LOOK)
        {
            ngx_http_rt_cache_put(rd, pos, b);
        }
    }

    ngx_http_rt_catchup_done(rd, b, rc);

    ngx_http_rt_buffer_release(b);
}


/* NGX_OK: another reader has written what comes next */

static ngx_int_t
ngx_http_rt_catchup_cached(ngx_http_rt_reader_t *rd)
{
    uint64_t                     upto;
    ngx_int_t                    rc;
    ngx_http_rt_buffer_t        *b;
    ngx_http_rt_record_t         rec;
    ngx_http_rt_subscription_t  *sub;

    sub = &rd->subscriptions[0];

    if (rd->nsubscriptions != 1 || rd->scan || rd->partial
        || rd->sink->batch_size != NGX_HTTP_RT_BATCH_SIZE
        || (rd->pace && rd->pace->debounce))
    {
        return NGX_DECLINED;
    }

    upto = ngx_http_rt_catchup_upto(rd);

    if (rd->pace
        && ngx_http_rt_find_newest(sub, ngx_max(sub->seq, rd->cursor), upto,
                                   &rec)
           != NGX_OK)
    {
        return NGX_DECLINED;
    }

    b = ngx_http_rt_cache_get(rd, upto);
    if (b == NULL) {
        return NGX_DECLINED;
    }

    rc = NGX_AGAIN;

    if (rd->pace) {
        rd->cursor = ngx_max(rd->cursor, upto);
        rc = NGX_OK;
    }

    b->refs++;

    ngx_http_rt_catchup_done(rd, b, rc);

    ngx_http_rt_buffer_release(b);

    return NGX_OK;
}


/* sends what has been read; then it reads on, waits, or is live */

static void
ngx_http_rt_catchup_done(ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t *b,
    ngx_int_t rc)
{
    if (rc == NGX_DONE) {
        return;
    }

    if (rc == NGX_ERROR) {
        rd->sink->ops->end(rd->sink);
        return;
    }

    if (b->last != b->pos) {
        ngx_http_rt_reader_deliver(rd, b);
    }

    if (rc == NGX_AGAIN) {
        ngx_http_rt_reader_behind(rd);

    } else if (rd->pace && rd->pace->left) {
        ngx_http_rt_pace_wait(rd, rd->pace->left);

    } else if (rd->pace && !rd->pace->debounce && b->messages) {
        ngx_http_rt_pace_wait(rd, rd->pace->interval);

    } else {
        ngx_http_rt_reader_live(rd);
    }
}


/*
 * Messages have been deleted somewhere.  Their records are still in the ring,
 * so positions must be looked up again.
 */

static void
ngx_http_rt_catchup_deleted(ngx_http_rt_reader_t *rd)
{
    ngx_uint_t                   i, deletes;
    ngx_http_rt_subscription_t  *sub;

    deletes = ngx_http_rt_zone_deletes(rd->hub->zone);

    if (rd->deletes == deletes) {
        return;
    }

    rd->deletes = deletes;

    if (rd->scan) {
        ngx_http_rt_scan_deleted(rd);
        return;
    }

    for (i = 0; i < rd->nsubscriptions; i++) {
        sub = &rd->subscriptions[i];

        if (sub->pos != NGX_HTTP_RT_POS_NONE) {
            sub->pos = NGX_HTTP_RT_POS_LOOK;
        }

        if (sub->start) {
            ngx_free(sub->start);
            sub->start = NULL;
        }
    }
}


/*
 * What was there when the reader came need not wait for the hub's walk; nor
 * needs one that wants only the newest.
 */

static uint64_t
ngx_http_rt_catchup_upto(ngx_http_rt_reader_t *rd)
{
    if (rd->pace) {
        return ngx_http_rt_zone_seq(rd->hub->zone);
    }

    return ngx_max(rd->hub->seq, rd->came_at);
}


/* NGX_OK: all read up to where the hub has walked; NGX_AGAIN: not yet */

static ngx_int_t
ngx_http_rt_catchup_fill(ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t **b)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i, least;
    ngx_http_rt_catchup_step_t  step;

    step.reader = rd;
    step.buffer = b;
    step.upto = ngx_http_rt_catchup_upto(rd);
    step.size = 0;
    step.messages = 0;

    /* a connection for commands only has no topics */

    step.next[0] = NGX_HTTP_RT_CATCHUP_END;

    for (i = 0; i < rd->nsubscriptions; i++) {
        rc = ngx_http_rt_catchup_look(&step, i);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    for ( ;; ) {
        least = 0;

        for (i = 1; i < rd->nsubscriptions; i++) {
            if (step.next[i] < step.next[least]) {
                least = i;
            }
        }

        if (step.next[least] > step.upto) {
            rd->cursor = ngx_max(rd->cursor, step.upto);
            return NGX_OK;
        }

        rc = ngx_http_rt_catchup_message(&step, &rd->subscriptions[least]);

        if (rc == NGX_BUSY) {
            return NGX_OK;
        }

        if (rc != NGX_OK) {
            return rc;
        }

        if (step.size >= rd->sink->batch_size
            || (++step.messages % NGX_HTTP_RT_CATCHUP_CLOCK == 0
                && ngx_http_rt_hub_late(rd->hub)))
        {
            return NGX_AGAIN;
        }

        rc = ngx_http_rt_catchup_look(&step, least);
        if (rc != NGX_OK) {
            return rc;
        }
    }
}


/* the seq of the subscription's next record, with the gap before it */

static ngx_int_t
ngx_http_rt_catchup_look(ngx_http_rt_catchup_step_t *step, ngx_uint_t i)
{
    ngx_int_t              rc;
    ngx_http_rt_reader_t  *rd;

    rd = step->reader;

    for ( ;; ) {
        rc = rd->pace ? ngx_http_rt_catchup_newest(step, i)
                      : ngx_http_rt_catchup_peek(step, i);

        if (rc != NGX_DECLINED) {
            return rc;
        }

        /* what has been read comes before a gap */

        if (step->size) {
            return NGX_AGAIN;
        }

        rc = ngx_http_rt_catchup_find(step, &rd->subscriptions[i]);
        if (rc != NGX_OK) {
            return rc;
        }

        if (ngx_http_rt_hub_late(rd->hub)) {
            return NGX_AGAIN;
        }
    }
}


/* NGX_DECLINED: it must be looked for */

static ngx_int_t
ngx_http_rt_catchup_peek(ngx_http_rt_catchup_step_t *step, ngx_uint_t i)
{
    uint64_t                     have;
    ngx_http_rt_record_t         rec;
    ngx_http_rt_reader_t        *rd;
    ngx_http_rt_subscription_t  *sub;

    rd = step->reader;
    sub = &rd->subscriptions[i];
    have = ngx_max(sub->seq, rd->cursor);

    step->next[i] = NGX_HTTP_RT_CATCHUP_END;

    if (sub->pos == NGX_HTTP_RT_POS_NONE) {
        ngx_http_rt_hub_told(sub->audience);

        return (sub->audience->news > have) ? NGX_DECLINED : NGX_OK;
    }

    if (sub->pos == NGX_HTTP_RT_POS_LOOK
        || ngx_http_rt_zone_record(rd->hub->zone, sub->pos, &rec)
           != NGX_HTTP_RT_RING_OK)
    {
        return NGX_DECLINED;
    }

    step->next[i] = rec.seq;

    return NGX_OK;
}


/* the same for those who want the newest one only */

static ngx_int_t
ngx_http_rt_catchup_newest(ngx_http_rt_catchup_step_t *step, ngx_uint_t i)
{
    ngx_int_t                    rc;
    ngx_http_rt_record_t         rec;
    ngx_http_rt_reader_t        *rd;
    ngx_http_rt_subscription_t  *sub;

    rd = step->reader;
    sub = &rd->subscriptions[i];

    step->next[i] = NGX_HTTP_RT_CATCHUP_END;

    rc = ngx_http_rt_find_newest(sub, ngx_max(sub->seq, rd->cursor),
                                 step->upto, &rec);
    if (rc == NGX_OK) {
        step->next[i] = rec.seq;
    }

    return (rc == NGX_AGAIN) ? NGX_AGAIN : NGX_OK;
}


/* where to read on, by the index; what is lost before that is told */

static ngx_int_t
ngx_http_rt_catchup_find(ngx_http_rt_catchup_step_t *step,
    ngx_http_rt_subscription_t *sub)
{
    uint64_t               have;
    ngx_int_t              rc;
    ngx_uint_t             reason;
    ngx_http_rt_start_t    start;
    ngx_http_rt_reader_t  *rd;

    rd = step->reader;
    have = ngx_max(sub->seq, rd->cursor);

    rc = ngx_http_rt_find(sub, have, sub->first ? &rd->history : NULL, &start);
    if (rc != NGX_OK) {
        return rc;
    }

    reason = ngx_http_rt_catchup_reason(rd, sub, &start);

    if (reason != NGX_HTTP_RT_GAP_NONE) {
        rc = ngx_http_rt_reader_gap(rd, step->buffer,
                                    &sub->audience->topic.name, have,
                                    start.seq, reason);
    }

    sub->first = 0;
    sub->seq = start.seq;
    sub->pos = start.pos;

    return rc;
}


/* why it is not right behind what the reader has */

static ngx_uint_t
ngx_http_rt_catchup_reason(ngx_http_rt_reader_t *rd,
    ngx_http_rt_subscription_t *sub, ngx_http_rt_start_t *start)
{
    if (sub->first) {

        if (rd->silent) {
            return NGX_HTTP_RT_GAP_NONE;
        }

        return rd->came ? NGX_HTTP_RT_GAP_EPOCH : start->reason;
    }

    if (start->reason == NGX_HTTP_RT_GAP_NONE) {

        if (start->pos == NGX_HTTP_RT_POS_NONE) {

            /* news that the hub has been told of, but not of this topic */

            start->seq = ngx_max(start->seq, sub->audience->news);
        }

        return NGX_HTTP_RT_GAP_NONE;
    }

    if (start->reason == NGX_HTTP_RT_GAP_DELETED) {
        return NGX_HTTP_RT_GAP_DELETED;
    }

    if (rd->conf->slow == NGX_HTTP_RT_SLOW_LATEST && start->pos) {
        ngx_http_rt_catchup_latest(sub, start);
    }

    return NGX_HTTP_RT_GAP_LAGGED;
}


/* on to the newest message */

static void
ngx_http_rt_catchup_latest(ngx_http_rt_subscription_t *sub,
    ngx_http_rt_start_t *start)
{
    ngx_http_rt_view_t     view;
    ngx_http_rt_zone_t    *zone;
    ngx_http_rt_record_t   rec;

    zone = sub->reader->hub->zone;

    ngx_http_rt_zone_view(zone, &sub->audience->topic, &view);

    if (view.id && view.first
        && ngx_http_rt_zone_record(zone, view.last, &rec)
           == NGX_HTTP_RT_RING_OK)
    {
        start->pos = view.last;
        start->seq = rec.seq - 1;
    }
}


/* NGX_BUSY: neither this one nor the later ones are due yet */

static ngx_int_t
ngx_http_rt_catchup_message(ngx_http_rt_catchup_step_t *step,
    ngx_http_rt_subscription_t *sub)
{
    uint64_t               pos;
    ngx_int_t              rc;
    ngx_http_rt_record_t   rec;
    ngx_http_rt_reader_t  *rd;

    rd = step->reader;
    pos = sub->pos;

    if (ngx_http_rt_zone_record(rd->hub->zone, pos, &rec)
        != NGX_HTTP_RT_RING_OK)
    {
        sub->pos = NGX_HTTP_RT_POS_LOOK;
        return NGX_OK;
    }

    if (ngx_http_rt_pace_early(rd, &rec)) {
        rd->cursor = rec.seq - 1;
        return NGX_BUSY;
    }

    if (rec.flags & NGX_HTTP_RT_RECORD_REFUSED) {

        /* what has been read comes before a gap */

        rc = step->size ? NGX_AGAIN
                        : ngx_http_rt_reader_refused(rd, step->buffer,
                                               &sub->audience->topic.name,
                                               rec.seq);

    } else {
        rc = ngx_http_rt_catchup_add(step, sub, &rec);
    }

    if (rc == NGX_DECLINED) {
        sub->pos = NGX_HTTP_RT_POS_LOOK;
        return NGX_OK;
    }

    if (rc == NGX_OK) {
        sub->seq = rec.seq;
        sub->pos = ngx_http_rt_record_next(&rec, pos);
    }

    return rc;
}


/* NGX_DECLINED: it has gone meanwhile */

static ngx_int_t
ngx_http_rt_catchup_add(ngx_http_rt_catchup_step_t *step,
    ngx_http_rt_subscription_t *sub, const ngx_http_rt_record_t *rec)
{
    ngx_int_t               rc;
    ngx_http_rt_reader_t   *rd;
    ngx_http_rt_message_t   m;

    rd = step->reader;

    rc = ngx_http_rt_zone_message(rd->hub->zone, sub->pos, rec, &m);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_rt_buffer_add(step->buffer, &m) != NGX_OK) {
        return NGX_ERROR;
    }

    rd->cursor = rec->seq;
    step->size += ngx_http_rt_record_load(rec);

    return NGX_OK;
}
