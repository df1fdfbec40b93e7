/*
 * Readers: topics with one cursor, from their beginning to their end.
 *
 * A reader enters its topics in the zone first, so that whatever is appended
 * later wakes this process, and then looks where it begins.  One without an id
 * whose location says more than "newest" has claimed nothing: it begins right
 * before the first message that history allows, and must know which one that
 * is before the client is told a position.  Until then it is "starting".  All
 * others know their position at once and find the way there when they read.
 */

#include "ngx_http_rt_delivery.h"


/* topics named to the zone at a time */
#define NGX_HTTP_RT_READER_TOPICS  64


static ngx_int_t ngx_http_rt_reader_audiences(ngx_http_rt_reader_t *rd,
    const ngx_http_rt_name_t *topics, ngx_uint_t n);
static void ngx_http_rt_reader_put(ngx_http_rt_reader_t *rd);
static void ngx_http_rt_reader_from(ngx_http_rt_reader_t *rd,
    const ngx_http_rt_from_t *from);


void
ngx_http_rt_sink_init(ngx_http_rt_sink_t *sink)
{
    ngx_queue_init(&sink->readers);
}


void
ngx_http_rt_sink_ready(ngx_http_rt_sink_t *sink)
{
    if (sink->queued || !ngx_http_rt_sink_takes(sink)
        || ngx_queue_empty(&sink->readers))
    {
        return;
    }

    sink->queued = 1;
    ngx_queue_insert_tail(&sink->hub->behind, &sink->behind);

    ngx_http_rt_hub_post(sink->hub);
}


/* "rd" is zeroed, but for its pace, and has room for n subscriptions */

ngx_int_t
ngx_http_rt_reader_init(ngx_http_rt_reader_t *rd, ngx_http_rt_sink_t *sink,
    const ngx_http_rt_reader_conf_t *conf, const ngx_http_rt_name_t *topics,
    ngx_uint_t n, const ngx_http_rt_from_t *from)
{
    ngx_int_t           rc;
    ngx_uint_t          i;
    ngx_http_rt_at_t    at;
    ngx_http_rt_hub_t  *hub;

    hub = sink->hub;

    rd->hub = hub;
    rd->sink = sink;
    rd->conf = conf;
    rd->nsubscriptions = n;

    if (ngx_http_rt_reader_audiences(rd, topics, n) != NGX_OK) {
        ngx_http_rt_reader_leave(rd);
        return NGX_ERROR;
    }

    rc = ngx_http_rt_zone_enter(hub->zone, topics, n, conf->subscriber_limit,
                                &at);
    if (rc != NGX_OK) {
        ngx_http_rt_reader_leave(rd);
        return rc;
    }

    rd->entered = 1;
    rd->came_at = at.seq;

    ngx_http_rt_hub_join(hub, &at);

    for (i = 0; i < n; i++) {
        if (rd->subscriptions[i].audience->count == 1) {
            rd->subscriptions[i].audience->seq = at.seq;
        }
    }

    rd->deletes = ngx_http_rt_zone_deletes(hub->zone);

    ngx_http_rt_reader_from(rd, from);

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_reader_audiences(ngx_http_rt_reader_t *rd,
    const ngx_http_rt_name_t *topics, ngx_uint_t n)
{
    ngx_uint_t                   i;
    ngx_http_rt_audience_t      *a;
    ngx_http_rt_subscription_t  *sub;

    for (i = 0; i < n; i++) {

        a = ngx_http_rt_audience_get(rd->hub, &topics[i]);
        if (a == NULL) {
            return NGX_ERROR;
        }

        a->count++;

        sub = &rd->subscriptions[i];
        sub->reader = rd;
        sub->audience = a;

        if (topics[i].wild && rd->scan == NULL
            && ngx_http_rt_scan_create(rd) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_rt_reader_from(ngx_http_rt_reader_t *rd,
    const ngx_http_rt_from_t *from)
{
    uint64_t                          now;
    ngx_uint_t                        i;
    ngx_http_rt_zone_t               *zone;
    const ngx_http_rt_reader_conf_t  *conf;

    conf = rd->conf;
    zone = rd->hub->zone;

    rd->cursor = rd->came_at;

    if (!from->given && !from->earliest && conf->start == 0) {

        if (rd->scan) {
            ngx_http_rt_scan_live(rd);
        }

        return;
    }

    now = ngx_http_rt_now();

    rd->history.count = conf->history_count;
    rd->history.since = (conf->history_age < now) ? now - conf->history_age
                                                  : 0;
    rd->silent = !from->given || rd->pace;

    if (from->given) {

        if (from->id.epoch == zone->epoch && from->id.seq <= rd->came_at) {
            rd->cursor = from->id.seq;

        } else {
            rd->came = &rd->came_id;
            rd->came_id = from->id;
            rd->cursor = 0;
        }

    } else if (!from->earliest && conf->start > 0) {
        rd->history.count = ngx_min(rd->history.count,
                                    (uint64_t) conf->start);
    }

    if (rd->scan) {
        ngx_http_rt_scan_start(rd, from->given);
        return;
    }

    rd->starting = !from->given;
    rd->least = rd->came_at;

    for (i = 0; i < rd->nsubscriptions; i++) {
        rd->subscriptions[i].pos = NGX_HTTP_RT_POS_LOOK;
        rd->subscriptions[i].first = 1;
    }
}


/* NGX_OK: the cursor is where it begins; NGX_AGAIN: the time was up */

ngx_int_t
ngx_http_rt_reader_start(ngx_http_rt_reader_t *rd)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_http_rt_start_t          start;
    ngx_http_rt_record_t         rec;
    ngx_http_rt_subscription_t  *sub;

    for (i = 0; rd->starting && i < rd->nsubscriptions; i++) {
        sub = &rd->subscriptions[i];

        if (!sub->first) {
            continue;
        }

        rc = ngx_http_rt_find(sub, 0, &rd->history, &start);
        if (rc != NGX_OK) {
            return rc;
        }

        sub->first = 0;
        sub->seq = start.seq;
        sub->pos = start.pos;

        /* it begins right before the first of all */

        if (start.pos
            && ngx_http_rt_zone_record(rd->hub->zone, start.pos, &rec)
               == NGX_HTTP_RT_RING_OK)
        {
            rd->least = ngx_min(rd->least, rec.seq - 1);
        }
    }

    if (rd->starting) {
        rd->starting = 0;
        rd->cursor = rd->least;
    }

    return NGX_OK;
}


/* it counts no more, and nothing rings for it */

void
ngx_http_rt_reader_leave(ngx_http_rt_reader_t *rd)
{
    ngx_uint_t           i, n;
    ngx_http_rt_name_t  topics[NGX_HTTP_RT_READER_TOPICS];

    ngx_http_rt_reader_unlive(rd);
    ngx_http_rt_pace_cancel(rd);

    if (rd->queued) {
        rd->queued = 0;
        ngx_queue_remove(&rd->behind);
    }

    for (i = 0, n = 0; rd->entered && i < rd->nsubscriptions; /* void */) {
        topics[n++] = rd->subscriptions[i++].audience->topic;

        if (n == NGX_HTTP_RT_READER_TOPICS || i == rd->nsubscriptions) {
            ngx_http_rt_zone_leave(rd->hub->zone, topics, n);
            n = 0;
        }
    }

    if (rd->entered) {
        rd->entered = 0;
        rd->hub->nreaders--;
    }

    ngx_http_rt_reader_put(rd);
    ngx_http_rt_scan_free(rd);

    if (rd->partial) {
        ngx_http_rt_buffer_release(rd->partial);
        rd->partial = NULL;
    }
}


static void
ngx_http_rt_reader_put(ngx_http_rt_reader_t *rd)
{
    ngx_uint_t                   i;
    ngx_http_rt_audience_t      *a;
    ngx_http_rt_subscription_t  *sub;

    for (i = 0; i < rd->nsubscriptions; i++) {
        sub = &rd->subscriptions[i];
        a = sub->audience;

        if (sub->start) {
            ngx_free(sub->start);
            sub->start = NULL;
        }

        if (a) {
            sub->audience = NULL;
            a->count--;
            ngx_http_rt_audience_put(a);
        }
    }

    rd->nsubscriptions = 0;
}


/* a position from which the client can resume */

uint64_t
ngx_http_rt_reader_position(ngx_http_rt_reader_t *rd)
{
    ngx_uint_t               i;
    ngx_http_rt_audience_t  *a;

    if (!rd->live) {
        return rd->cursor;
    }

    for (i = 0; i < rd->nsubscriptions; i++) {
        a = rd->subscriptions[i].audience;

        ngx_http_rt_hub_told(a);

        if (a->news > rd->cursor) {
            return rd->cursor;
        }
    }

    return ngx_max(rd->cursor, rd->hub->seq);
}


/* has all its topics' messages up to its cursor */

void
ngx_http_rt_reader_live(ngx_http_rt_reader_t *rd)
{
    ngx_uint_t                   i;
    ngx_http_rt_sink_t          *sink;
    ngx_http_rt_subscription_t  *sub;

    sink = rd->sink;

    if (rd->live || sink->closing || sink->ended) {
        return;
    }

    rd->live = 1;

    if (rd->scan) {
        ngx_http_rt_scan_live(rd);
    }

    for (i = 0; i < rd->nsubscriptions; i++) {
        sub = &rd->subscriptions[i];

        sub->pos = NGX_HTTP_RT_POS_NONE;
        ngx_queue_insert_tail(&sub->audience->live, &sub->queue);

        /* without memory it will find no buffer, and read by itself */

        (void) ngx_http_rt_audience_use(sub->audience, sink->encoding);
    }
}


void
ngx_http_rt_reader_unlive(ngx_http_rt_reader_t *rd)
{
    ngx_uint_t                   i;
    ngx_http_rt_audience_t      *a;
    ngx_http_rt_subscription_t  *sub;

    if (!rd->live) {
        return;
    }

    if (rd->scan) {

        /* of what was not for it, it has lost nothing */

        rd->cursor = ngx_http_rt_reader_position(rd);
    }

    rd->live = 0;

    for (i = 0; i < rd->nsubscriptions; i++) {
        sub = &rd->subscriptions[i];
        a = sub->audience;

        if (a->serving && a->walk == &sub->queue) {
            a->walk = ngx_queue_next(&sub->queue);
        }

        ngx_queue_remove(&sub->queue);

        ngx_http_rt_audience_disuse(a, rd->sink->encoding);
    }
}


/* will read by itself, as soon as its sink takes something */

void
ngx_http_rt_reader_behind(ngx_http_rt_reader_t *rd)
{
    ngx_http_rt_sink_t  *sink;

    sink = rd->sink;

    ngx_http_rt_reader_unlive(rd);

    if (rd->queued || sink->closing || sink->ended
        || (rd->pace && rd->pace->waiting))
    {
        return;
    }

    rd->queued = 1;
    ngx_queue_insert_tail(&sink->readers, &rd->behind);

    ngx_http_rt_sink_ready(sink);
}


void
ngx_http_rt_reader_deliver(ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t *b)
{
    ngx_http_rt_sink_t  *sink;

    sink = rd->sink;

    rd->messages += b->messages;
    rd->bytes += b->last - b->pos;
    rd->hub->zone->slot->delivered[sink->transport] += b->messages;

    if (sink->ops->send(sink, rd, b) == NGX_ERROR) {
        sink->ops->end(sink);
    }
}


/*
 * Tells a gap and counts it.  NGX_DONE: the client could not be told and is
 * sent away.
 */

ngx_int_t
ngx_http_rt_reader_gap(ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t **b,
    const ngx_str_t *topic, uint64_t from, uint64_t to, ngx_uint_t reason)
{
    ngx_int_t            rc;
    ngx_http_rt_gap_t    gap;
    ngx_http_rt_zone_t  *zone;

    zone = rd->hub->zone;

    rd->gaps++;
    zone->slot->gaps[reason]++;

    if (reason == NGX_HTTP_RT_GAP_LAGGED
        && rd->conf->slow == NGX_HTTP_RT_SLOW_CLOSE)
    {
        if ((*b)->last != (*b)->pos) {

            /* an answer under way ends here, with what it has */

            rd->partial = *b;
            rd->partial->refs++;
        }

        rd->sink->ops->close(rd->sink, 1013, "too slow");
        return NGX_DONE;
    }

    gap.topic = *topic;
    gap.reason = reason;
    gap.to.epoch = zone->epoch;
    gap.to.seq = to;

    if (reason == NGX_HTTP_RT_GAP_EPOCH) {
        gap.from = *rd->came;

    } else {
        gap.from.epoch = gap.to.epoch;
        gap.from.seq = from;
    }

    gap.id = gap.to;

    if (rd->nsubscriptions == 1 && rd->scan == NULL) {
        rd->cursor = to;

    } else {
        gap.id.seq = rd->cursor;
    }

    rc = ngx_http_rt_buffer_add_gap(b, &gap);

    if (rc != NGX_DECLINED || rd->conf->slow == NGX_HTTP_RT_SLOW_LATEST) {
        return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
    }

    rd->sink->ops->close(rd->sink, 4000, ngx_http_rt_gap_reason(reason));

    return NGX_DONE;
}


/*
 * The zone has refused a publication and kept its place.  Whoever has claimed
 * nothing misses nothing that was before it came.
 */

ngx_int_t
ngx_http_rt_reader_refused(ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t **b,
    const ngx_str_t *topic, uint64_t seq)
{
    uint64_t  from;

    from = rd->cursor;
    rd->cursor = seq;

    if (rd->silent && seq <= rd->came_at) {
        return NGX_OK;
    }

    return ngx_http_rt_reader_gap(rd, b, topic, from, seq,
                                  NGX_HTTP_RT_GAP_REFUSED);
}
