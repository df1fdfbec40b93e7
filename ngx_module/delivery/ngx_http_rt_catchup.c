/*
 * Catching up: what a subscriber reads by itself while it is behind.
 *
 * It comes here at its start, after its socket was full, when a batch does not
 * fit its cursor, or when something of its topics was lost.  A step reads at
 * most NGX_HTTP_RT_BATCH_SIZE of what lies between its cursor and the place
 * the process has walked to, in the order of seq, into a buffer of its own.
 * When nothing is left it is live again.
 *
 * Topics are read along their chains, merged by seq.  Who has patterns reads
 * the ring itself, in ngx_http_rt_scan.c.
 */

#include "ngx_http_rt.h"


#define NGX_HTTP_RT_CATCHUP_END  ((uint64_t) -1)


static ngx_int_t ngx_http_rt_read_far(ngx_http_rt_zone_t *zone, uint64_t seq,
    ngx_http_rt_start_t *start);
static ngx_int_t ngx_http_rt_catchup_start(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_buffer_t **b);
static ngx_int_t ngx_http_rt_catchup_fill(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_buffer_t **b);
static ngx_int_t ngx_http_rt_catchup_peek(ngx_http_rt_subscription_t *sub,
    uint64_t *next);
static ngx_int_t ngx_http_rt_catchup_newest(ngx_http_rt_subscription_t *sub,
    uint64_t upto, uint64_t *next);
static ngx_int_t ngx_http_rt_catchup_lost(ngx_http_rt_subscription_t *sub,
    ngx_http_rt_start_t *start);


void
ngx_http_rt_catchup(ngx_http_rt_subscriber_t *s)
{
    ngx_int_t                rc;
    ngx_http_rt_buffer_t    *b;

    if (s->live || s->blocked || s->closing || s->ended) {
        return;
    }

    s->told = 1;

    b = ngx_http_rt_buffer_create(s->encoding, 1024);
    if (b == NULL) {
        ngx_http_rt_subscriber_end(s, NGX_ERROR);
        return;
    }

    b->deflate = s->conf->deflate;

    rc = ngx_http_rt_catchup_start(s, &b);

    if (s->pace) {
        s->pace->left = 0;
    }

    if (rc == NGX_OK) {
        rc = s->scan ? ngx_http_rt_scan_fill(s, &b)
                     : ngx_http_rt_catchup_fill(s, &b);
    }

    /* NGX_AGAIN: there is more; NGX_DONE: it has been closed */

    if (rc == NGX_ERROR) {
        ngx_http_rt_subscriber_end(s, NGX_ERROR);

    } else if (rc != NGX_DONE) {

        if (b->last != b->pos) {
            ngx_http_rt_buffer_finish(b);
            ngx_http_rt_subscriber_deliver(s, b);
        }

        if (rc == NGX_AGAIN) {
            ngx_http_rt_subscriber_behind(s);

        } else if (s->pace && s->pace->left) {
            ngx_http_rt_pace_wait(s, s->pace->left);

        } else if (s->pace && !s->pace->debounce && b->messages) {
            ngx_http_rt_pace_wait(s, s->pace->interval);

        } else {
            ngx_http_rt_subscriber_live(s);
        }
    }

    ngx_http_rt_buffer_release(b);
}


/* the gaps that were found when it came */

static ngx_int_t
ngx_http_rt_catchup_start(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_buffer_t **b)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i, reason;
    ngx_http_rt_subscription_t  *sub;

    for (i = 0; i < s->nsubscriptions; i++) {
        sub = &s->subscriptions[i];

        if (sub->gap == NGX_HTTP_RT_GAP_NONE) {
            continue;
        }

        reason = sub->gap;
        sub->gap = NGX_HTTP_RT_GAP_NONE;

        rc = ngx_http_rt_catchup_gap(s, b, &sub->audience->name, s->cursor,
                                     sub->seq, reason);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/*
 * Tells a gap and counts it.  NGX_DONE: the client could not be told and is
 * sent away.
 */

ngx_int_t
ngx_http_rt_catchup_gap(ngx_http_rt_subscriber_t *s, ngx_http_rt_buffer_t **b,
    ngx_str_t *topic, uint64_t from, uint64_t to, ngx_uint_t reason)
{
    ngx_int_t                rc;
    ngx_http_rt_gap_t        gap;

    s->gaps++;
    s->zone->slot->gaps[reason]++;

    if (reason == NGX_HTTP_RT_GAP_LAGGED
        && s->conf->slow == NGX_HTTP_RT_SLOW_CLOSE)
    {
        ngx_http_rt_subscriber_close(s, 1013, "too slow");
        return NGX_DONE;
    }

    gap.topic = *topic;
    gap.reason = reason;
    gap.to.epoch = s->zone->sh->store.epoch;
    gap.to.seq = to;

    if (reason == NGX_HTTP_RT_GAP_EPOCH) {
        gap.from = *s->came;

    } else {
        gap.from.epoch = gap.to.epoch;
        gap.from.seq = from;
    }

    gap.id = gap.to;

    if (s->nsubscriptions == 1 && s->scan == NULL) {
        s->cursor = to;

    } else {
        gap.id.seq = s->cursor;
    }

    rc = ngx_http_rt_buffer_add_gap(b, &gap);

    if (rc != NGX_DECLINED || s->conf->slow == NGX_HTTP_RT_SLOW_LATEST) {
        return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
    }

    ngx_http_rt_subscriber_close(s, 4000, ngx_http_rt_gap_reason(reason));

    return NGX_DONE;
}


/* NGX_OK: all read up to where the process has walked; NGX_AGAIN: not yet */

static ngx_int_t
ngx_http_rt_catchup_fill(ngx_http_rt_subscriber_t *s, ngx_http_rt_buffer_t **b)
{
    size_t                       size;
    uint64_t                     next[NGX_HTTP_RT_TOPICS_MAX];
    uint64_t                     pos, from, upto;
    ngx_int_t                    rc;
    ngx_uint_t                   i, least, reason;
    ngx_http_rt_start_t          start;
    ngx_http_rt_record_t         rec;
    ngx_http_rt_message_t        m;
    ngx_http_rt_subscription_t  *sub;

    /* what was there when it came need not wait for the process's walk */

    upto = ngx_max(s->zone->seq, s->came_at);

    size = 0;
    least = 0;
    i = 0;

    /* a connection for commands only has no topics */

    next[0] = NGX_HTTP_RT_CATCHUP_END;

    for ( ;; ) {

        /* all of them at first, then the one that has been read */

        while (i < s->nsubscriptions) {
            sub = &s->subscriptions[i];

            rc = s->pace ? ngx_http_rt_catchup_newest(sub, upto, &next[i])
                         : ngx_http_rt_catchup_peek(sub, &next[i]);

            if (rc == NGX_DECLINED) {

                /* what has been read comes before the gap */

                if (size) {
                    return NGX_AGAIN;
                }

                from = ngx_max(sub->seq, s->cursor);

                reason = ngx_http_rt_catchup_lost(sub, &start);

                if (reason) {
                    rc = ngx_http_rt_catchup_gap(s, b, &sub->audience->name,
                                                 from, start.seq, reason);
                    if (rc != NGX_OK) {
                        return rc;
                    }
                }

                sub->seq = start.seq;
                sub->pos = start.pos;

                continue;
            }

            if (size) {
                break;
            }

            i++;
        }

        least = 0;

        for (i = 1; i < s->nsubscriptions; i++) {
            if (next[i] < next[least]) {
                least = i;
            }
        }

        if (next[least] > upto) {
            s->cursor = ngx_max(s->cursor, upto);
            return NGX_OK;
        }

        i = least;
        sub = &s->subscriptions[i];
        pos = sub->pos;

        if (ngx_http_rt_ring_read(&s->zone->sh->store.ring, pos, &rec)
            != NGX_HTTP_RT_RING_OK)
        {
            continue;
        }

        if (ngx_http_rt_catchup_early(s, &rec)) {

            /* nor are the later ones quiet yet */

            s->cursor = rec.seq - 1;
            return NGX_OK;
        }

        rc = ngx_http_rt_zone_message(s->zone, pos, &rec, &m);

        if (rc == NGX_DECLINED) {
            sub->pos = NGX_HTTP_RT_POS_LOOK;
            continue;
        }

        if (rc == NGX_ERROR || ngx_http_rt_buffer_add(b, &m) != NGX_OK) {
            return NGX_ERROR;
        }

        s->cursor = rec.seq;
        sub->seq = rec.seq;
        sub->pos = ngx_http_rt_record_next(&rec, pos);

        size += ngx_http_rt_record_load(&rec);

        if (size >= ngx_http_rt_batch_size(s)) {
            return NGX_AGAIN;
        }
    }
}


/* the seq of the subscription's next record; NGX_DECLINED: look it up */

static ngx_int_t
ngx_http_rt_catchup_peek(ngx_http_rt_subscription_t *sub, uint64_t *next)
{
    uint64_t              have;
    ngx_http_rt_zone_t   *zone;
    ngx_http_rt_record_t  rec;

    zone = sub->subscriber->zone;
    have = ngx_max(sub->seq, sub->subscriber->cursor);

    *next = NGX_HTTP_RT_CATCHUP_END;

    if (sub->pos == NGX_HTTP_RT_POS_NONE) {
        return (sub->audience->news > have) ? NGX_DECLINED : NGX_OK;
    }

    if (sub->pos == NGX_HTTP_RT_POS_LOOK
        || ngx_http_rt_ring_read(&zone->sh->store.ring, sub->pos, &rec)
           != NGX_HTTP_RT_RING_OK)
    {
        return NGX_DECLINED;
    }

    *next = rec.seq;

    return NGX_OK;
}


/* the same for those who want the newest one only, up to a seq */

static ngx_int_t
ngx_http_rt_catchup_newest(ngx_http_rt_subscription_t *sub, uint64_t upto,
    uint64_t *next)
{
    uint64_t                 have, pos;
    ngx_http_rt_cell_t      *cell;
    ngx_http_rt_zone_t      *zone;
    ngx_http_rt_ring_t      *ring;
    ngx_http_rt_record_t    *rec;
    ngx_http_rt_audience_t  *a;

    a = sub->audience;
    zone = sub->subscriber->zone;
    ring = &zone->sh->store.ring;
    have = ngx_max(sub->seq, sub->subscriber->cursor);

    *next = NGX_HTTP_RT_CATCHUP_END;

    ngx_http_rt_zone_lock(zone);

    cell = ngx_http_rt_topic_find(&zone->sh->store, a->name.data, a->name.len,
                                  a->hash);

    pos = (cell && cell->topic.first) ? cell->topic.last : 0;

    while (pos) {
        rec = ngx_http_rt_record(ring, pos);

        if (rec->seq <= upto) {

            if (rec->seq > have) {
                sub->pos = pos;
                *next = rec->seq;
            }

            break;
        }

        pos = (pos == cell->topic.first) ? 0
                                         : ngx_http_rt_record_prev(rec, pos);
    }

    ngx_http_rt_zone_unlock(zone);

    return NGX_OK;
}


/* whether a record has to wait until its topic has been quiet */

ngx_uint_t
ngx_http_rt_catchup_early(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_record_t *rec)
{
    uint64_t  now, due;

    if (s->pace == NULL || !s->pace->debounce) {
        return 0;
    }

    now = ngx_http_rt_now();
    due = rec->time + s->pace->interval;

    if (due <= now) {
        return 0;
    }

    /* the clock may have been set back meanwhile */

    s->pace->left = ngx_min(due - now, s->pace->interval);

    return 1;
}


/*
 * Where to read on, by the index, and why not right behind what the subscriber
 * has.
 */

static ngx_int_t
ngx_http_rt_catchup_lost(ngx_http_rt_subscription_t *sub,
    ngx_http_rt_start_t *start)
{
    uint64_t                   have;
    ngx_http_rt_cell_t        *cell;
    ngx_http_rt_zone_t        *zone;
    ngx_http_rt_record_t      *rec;
    ngx_http_rt_audience_t    *a;
    ngx_http_rt_subscriber_t  *s;

    s = sub->subscriber;
    a = sub->audience;
    zone = s->zone;
    have = ngx_max(sub->seq, s->cursor);

    if (ngx_http_rt_read_start(zone, a, have, start) == NGX_OK) {

        if (start->pos == 0) {

            /* news that the process has been told of, but not of this topic */

            start->seq = ngx_max(have, a->news);
        }

        return NGX_HTTP_RT_GAP_NONE;
    }

    if (start->reason == NGX_HTTP_RT_GAP_DELETED) {
        return NGX_HTTP_RT_GAP_DELETED;
    }

    if (s->conf->slow == NGX_HTTP_RT_SLOW_LATEST && start->pos) {

        ngx_http_rt_zone_lock(zone);

        cell = ngx_http_rt_topic_find(&zone->sh->store, a->name.data,
                                      a->name.len, a->hash);

        if (cell && cell->topic.first) {
            rec = ngx_http_rt_record(&zone->sh->store.ring, cell->topic.last);

            start->pos = cell->topic.last;
            start->seq = rec->seq - 1;
        }

        ngx_http_rt_zone_unlock(zone);
    }

    return NGX_HTTP_RT_GAP_LAGGED;
}


/*
 * The first record of the audience's topic behind seq.  NGX_DECLINED: what is
 * up to start->seq is lost.
 */

ngx_int_t
ngx_http_rt_read_start(ngx_http_rt_zone_t *zone, ngx_http_rt_audience_t *a,
    uint64_t seq, ngx_http_rt_start_t *start)
{
    ngx_http_rt_cell_t   *cell;
    ngx_http_rt_store_t  *store;

    store = &zone->sh->store;

    do {
        ngx_http_rt_zone_lock(zone);

        cell = ngx_http_rt_topic_find(store, a->name.data, a->name.len,
                                      a->hash);

        ngx_http_rt_topic_start(store, cell, a->hash, seq, NULL, start);

        ngx_http_rt_zone_unlock(zone);

    } while (start->far
             && ngx_http_rt_read_far(zone, seq, start) != NGX_OK);

    return start->reason ? NGX_DECLINED : NGX_OK;
}


/* along the ring, without the mutex; NGX_DECLINED: lapped, look again */

static ngx_int_t
ngx_http_rt_read_far(ngx_http_rt_zone_t *zone, uint64_t seq,
    ngx_http_rt_start_t *start)
{
    int                    rc;
    uint64_t               pos, head;
    ngx_http_rt_ring_t    *ring;
    ngx_http_rt_record_t   rec;

    ring = &zone->sh->store.ring;
    pos = start->far;
    head = ngx_http_rt_ring_head(ring);

    for ( ;; ) {
        rc = ngx_http_rt_ring_scan(ring, &pos, head, &rec);

        if (rc != NGX_HTTP_RT_RING_OK) {
            return NGX_DECLINED;
        }

        if (rec.seq > seq && rec.topic_id == start->topic_id) {
            start->pos = pos;
            return NGX_OK;
        }

        pos += rec.size;
    }
}
