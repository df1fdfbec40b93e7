/*
 * Catching up with patterns: along the ring itself, record by record, so that
 * whatever matches comes in the order of seq.
 *
 * What is lost cannot be seen in the ring.  It is looked for in the index
 * instead, which knows of each topic how far back it reaches: at the start,
 * when the ring has overtaken the reader, and after a DELETE.  Such a pass goes
 * through all topics, in steps; what it knows between two steps is in
 * ngx_http_rt_scan_pass_t.  What a topic has lost, or history does not allow,
 * is told, and kept as a bound of what may still be in the ring and is not to
 * be delivered, nor told again.
 *
 * A reader that came without an id has claimed nothing: what was gone before it
 * came is bounded and not told.  What is taken from it later is.
 */

#include "ngx_http_rt_bounds.h"
#include "ngx_http_rt_delivery.h"
#include "ngx_http_rt_pattern.h"


/* records matched, between two looks at the clock */
#define NGX_HTTP_RT_SCAN_CLOCK    16


typedef struct {
    uint32_t                   cell;    /* to go on with; 0: none is left */
    ngx_uint_t                 i;       /* of those found */
    ngx_uint_t                 n;
    ngx_uint_t                 told;
    uint64_t                   most;    /* seq of those not told one by one */
    ngx_uint_t                 walking; /* start is under way */
    ngx_http_rt_start_t        start;
    ngx_http_rt_bounds_t       before;
    ngx_http_rt_found_t        found[NGX_HTTP_RT_ZONE_FOUND];
} ngx_http_rt_scan_pass_t;


struct ngx_http_rt_scan_s {
    uint64_t                   pos;     /* or POS_LOOK: by the cursor */
    uint64_t                   seq;     /* the bounds serve up to here */
    uint64_t                   end;     /* of the ring when it came */
    ngx_uint_t                 deletes; /* of the zone when it came */
    ngx_uint_t                 seen;    /* of these, by the last pass */
    uint64_t                   marked;  /* the last seq it was for */
    ngx_http_rt_bounds_t       bounds;
    ngx_http_rt_scan_pass_t   *pass;    /* or NULL */
    unsigned                   gaps:1;  /* to be looked for first */
    unsigned                   live:1;  /* its start is over: what it loses */
};                                      /* is "lagged" */


static ngx_int_t ngx_http_rt_scan_look(ngx_http_rt_reader_t *rd,
    ngx_http_rt_buffer_t **b);
static ngx_int_t ngx_http_rt_scan_record(ngx_http_rt_reader_t *rd,
    ngx_http_rt_buffer_t **b, ngx_http_rt_record_t *rec, uint64_t end,
    size_t *size);
static ngx_int_t ngx_http_rt_scan_message(ngx_http_rt_reader_t *rd,
    ngx_http_rt_buffer_t **b, ngx_http_rt_record_t *rec, size_t *size);
static ngx_int_t ngx_http_rt_scan_pass(ngx_http_rt_reader_t *rd,
    ngx_http_rt_buffer_t **b);
static ngx_int_t ngx_http_rt_scan_found(ngx_http_rt_reader_t *rd,
    ngx_http_rt_buffer_t **b, ngx_http_rt_found_t *found);
static ngx_int_t ngx_http_rt_scan_lost(ngx_http_rt_reader_t *rd,
    ngx_http_rt_found_t *found, uint64_t had, uint64_t *seq,
    ngx_uint_t *reason);
static ngx_int_t ngx_http_rt_scan_forgotten(ngx_http_rt_reader_t *rd,
    ngx_http_rt_buffer_t **b);
static void ngx_http_rt_scan_pass_free(ngx_http_rt_scan_t *scan);
static ngx_uint_t ngx_http_rt_scan_silent(ngx_http_rt_reader_t *rd,
    ngx_uint_t reason);
static ngx_uint_t ngx_http_rt_scan_match(ngx_http_rt_reader_t *rd,
    const u_char *name, size_t len);
static ngx_uint_t ngx_http_rt_scan_excluded(ngx_http_rt_scan_t *scan,
    ngx_http_rt_record_t *rec);


ngx_int_t
ngx_http_rt_scan_create(ngx_http_rt_reader_t *rd)
{
    rd->scan = ngx_calloc(sizeof(ngx_http_rt_scan_t), ngx_cycle->log);

    if (rd->scan == NULL) {
        return NGX_ERROR;
    }

    rd->scan->pos = NGX_HTTP_RT_POS_LOOK;

    return NGX_OK;
}


void
ngx_http_rt_scan_free(ngx_http_rt_reader_t *rd)
{
    if (rd->scan == NULL) {
        return;
    }

    ngx_http_rt_scan_pass_free(rd->scan);
    ngx_http_rt_bounds_free(&rd->scan->bounds);

    ngx_free(rd->scan);
    rd->scan = NULL;
}


/* the reader wants what has been before; its cursor is set if it has an id */

void
ngx_http_rt_scan_start(ngx_http_rt_reader_t *rd, ngx_uint_t given)
{
    uint64_t               pos, evicted;
    ngx_http_rt_zone_t    *zone;
    ngx_http_rt_scan_t    *scan;
    ngx_http_rt_record_t   rec;

    scan = rd->scan;
    zone = rd->hub->zone;

    scan->end = ngx_http_rt_zone_head(zone);
    scan->deletes = rd->deletes;
    scan->gaps = 1;

    if (given) {
        return;
    }

    /* right before the oldest record of the ring */

    pos = ngx_http_rt_zone_seek(zone, 0, &evicted);

    if (ngx_http_rt_zone_scan(zone, &pos, scan->end, &rec)
        == NGX_HTTP_RT_RING_OK)
    {
        rd->cursor = rec.seq - 1;
    }
}


void
ngx_http_rt_scan_live(ngx_http_rt_reader_t *rd)
{
    ngx_http_rt_scan_t  *scan;

    scan = rd->scan;

    scan->pos = NGX_HTTP_RT_POS_LOOK;
    scan->live = 1;

    if (rd->cursor >= scan->seq) {
        ngx_http_rt_bounds_free(&scan->bounds);
    }
}


void
ngx_http_rt_scan_deleted(ngx_http_rt_reader_t *rd)
{
    rd->scan->gaps = 1;
}


/* NGX_OK: all read up to where the hub has walked; NGX_AGAIN: not yet */

ngx_int_t
ngx_http_rt_scan_fill(ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t **b)
{
    int                     rc;
    size_t                  size;
    uint64_t                end;
    ngx_int_t               rv;
    ngx_uint_t              n;
    ngx_http_rt_hub_t      *hub;
    ngx_http_rt_scan_t     *scan;
    ngx_http_rt_record_t    rec;

    hub = rd->hub;
    scan = rd->scan;

    rv = ngx_http_rt_scan_look(rd, b);
    if (rv != NGX_OK) {
        return rv;
    }

    end = ngx_max(hub->pos, scan->end);
    size = 0;

    for (n = 1; size < rd->sink->batch_size; n++) {

        rc = ngx_http_rt_zone_scan(hub->zone, &scan->pos, end, &rec);

        if (rc == NGX_HTTP_RT_RING_END) {
            rd->cursor = ngx_max(rd->cursor, ngx_max(hub->seq, rd->came_at));
            return NGX_OK;
        }

        rv = NGX_DECLINED;

        if (rc == NGX_HTTP_RT_RING_OK) {
            rv = ngx_http_rt_scan_record(rd, b, &rec, end, &size);
        }

        if (rv == NGX_DECLINED) {

            /* lapped */

            scan->pos = NGX_HTTP_RT_POS_LOOK;
            scan->gaps = !rd->pace;

            return NGX_AGAIN;
        }

        if (rv != NGX_OK) {

            /* BUSY: neither this one nor the later ones are due yet */

            return (rv == NGX_BUSY) ? NGX_OK : rv;
        }

        scan->pos += rec.size;

        if (n % NGX_HTTP_RT_SCAN_CLOCK == 0 && ngx_http_rt_hub_late(hub)) {
            break;
        }
    }

    return NGX_AGAIN;
}


/* the place in the ring, and what is lost before it */

static ngx_int_t
ngx_http_rt_scan_look(ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t **b)
{
    uint64_t             evicted;
    ngx_http_rt_scan_t  *scan;

    scan = rd->scan;

    if (scan->pos == NGX_HTTP_RT_POS_LOOK) {

        scan->pos = ngx_http_rt_zone_seek(rd->hub->zone, rd->cursor, &evicted);

        /* what has been overwritten may have been for this one */

        if (scan->live && rd->pace == NULL && evicted > rd->cursor) {
            scan->gaps = 1;
        }
    }

    if (!scan->gaps && scan->pass == NULL) {
        return NGX_OK;
    }

    return ngx_http_rt_scan_pass(rd, b);
}


/* NGX_DECLINED: lapped; NGX_BUSY: nothing more is due; NGX_AGAIN; NGX_DONE */

static ngx_int_t
ngx_http_rt_scan_record(ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t **b,
    ngx_http_rt_record_t *rec, uint64_t end, size_t *size)
{
    u_char               name[NGX_HTTP_RT_TOPIC_MAX];
    ngx_str_t            topic;
    ngx_http_rt_zone_t  *zone;
    ngx_http_rt_scan_t  *scan;

    zone = rd->hub->zone;
    scan = rd->scan;

    if (ngx_http_rt_zone_name(zone, scan->pos, rec, name)
        != NGX_HTTP_RT_RING_OK)
    {
        return NGX_DECLINED;
    }

    if (rec->seq <= rd->cursor
        || (rd->pace && rec->next
            && ngx_http_rt_record_next(rec, scan->pos) < end)
        || !ngx_http_rt_scan_match(rd, name, rec->topic_len)
        || ngx_http_rt_scan_excluded(scan, rec)
        || (rd->skips && rd->skips(rd, name, rec->topic_len, rec->seq)))
    {
        return NGX_OK;
    }

    if (rec->flags & NGX_HTTP_RT_RECORD_DELETED) {

        if (rd->pace == NULL && scan->marked < rec->seq
            && scan->seen != ngx_http_rt_zone_deletes(zone))
        {
            /* it may not have been told of this one */

            scan->marked = rec->seq;
            scan->gaps = 1;
            return NGX_AGAIN;
        }

        return NGX_OK;
    }

    if (ngx_http_rt_pace_early(rd, rec)) {
        rd->cursor = rec->seq - 1;
        return NGX_BUSY;
    }

    if (rec->flags & NGX_HTTP_RT_RECORD_REFUSED) {
        topic.data = name;
        topic.len = rec->topic_len;

        /* what has been read comes before a gap */

        return *size ? NGX_AGAIN
                     : ngx_http_rt_reader_refused(rd, b, &topic, rec->seq);
    }

    return ngx_http_rt_scan_message(rd, b, rec, size);
}


static ngx_int_t
ngx_http_rt_scan_message(ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t **b,
    ngx_http_rt_record_t *rec, size_t *size)
{
    ngx_int_t               rc;
    ngx_http_rt_scan_t     *scan;
    ngx_http_rt_message_t   m;

    scan = rd->scan;

    rc = ngx_http_rt_zone_message(rd->hub->zone, scan->pos, rec, &m);

    if (rc == NGX_ERROR
        || (rc == NGX_OK && ngx_http_rt_buffer_add(b, &m) != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        rd->cursor = rec->seq;
        *size += ngx_http_rt_record_load(rec);
        return NGX_OK;
    }

    if (rd->pace) {
        return NGX_OK;
    }

    /* it is lost, though its record may still be there */

    scan->gaps = 1;
    scan->pos += rec->size;

    return NGX_AGAIN;
}


/* what is lost of all topics that match, and has not been told before */

static ngx_int_t
ngx_http_rt_scan_pass(ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t **b)
{
    ngx_int_t                 rc;
    ngx_http_rt_scan_t       *scan;
    ngx_http_rt_zone_t       *zone;
    ngx_http_rt_scan_pass_t  *pass;

    scan = rd->scan;
    zone = rd->hub->zone;
    pass = scan->pass;

    if (pass == NULL) {
        pass = ngx_calloc(sizeof(ngx_http_rt_scan_pass_t), ngx_cycle->log);
        if (pass == NULL) {
            return NGX_ERROR;
        }

        scan->pass = pass;
        scan->gaps = 0;
        scan->seen = ngx_http_rt_zone_deletes(zone);

        pass->before = scan->bounds;
        pass->cell = 1;
        ngx_memzero(&scan->bounds, sizeof(ngx_http_rt_bounds_t));
    }

    for ( ;; ) {

        for (/* void */; pass->i < pass->n; pass->i++) {
            rc = ngx_http_rt_scan_found(rd, b, &pass->found[pass->i]);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        if (pass->cell == 0) {
            break;
        }

        if ((size_t) ((*b)->last - (*b)->pos) >= NGX_HTTP_RT_BATCH_SIZE
            || ngx_http_rt_hub_late(rd->hub))
        {
            return NGX_AGAIN;
        }

        pass->i = 0;
        pass->n = ngx_http_rt_zone_topics(zone, &pass->cell, rd->cursor,
                                          pass->found);
    }

    rc = ngx_http_rt_scan_forgotten(rd, b);
    if (rc != NGX_OK) {
        return rc;
    }

    rd->came = NULL;
    scan->seq = ngx_http_rt_zone_seq(zone);
    scan->live = 1;

    ngx_http_rt_scan_pass_free(scan);

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_scan_found(ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t **b,
    ngx_http_rt_found_t *found)
{
    uint64_t                  had, seq;
    ngx_int_t                 rc;
    ngx_str_t                 name;
    ngx_uint_t                reason;
    ngx_http_rt_scan_t       *scan;
    ngx_http_rt_scan_pass_t  *pass;

    scan = rd->scan;
    pass = scan->pass;

    had = ngx_http_rt_bounds_of(&pass->before, found->view.cell,
                                    found->view.id);
    had = ngx_max(had, rd->cursor);

    /* a bound of before stays; history concerned only the start */

    if ((scan->live && found->view.floor <= had && had == rd->cursor)
        || !ngx_http_rt_scan_match(rd, found->name, found->len))
    {
        return NGX_OK;
    }

    rc = ngx_http_rt_scan_lost(rd, found, had, &seq, &reason);
    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : rc;
    }

    if (ngx_http_rt_bounds_add(&scan->bounds, &found->view, seq) != NGX_OK) {
        return NGX_ERROR;
    }

    if (reason == NGX_HTTP_RT_GAP_NONE) {
        return NGX_OK;
    }

    if (rd->came || pass->told == NGX_HTTP_RT_BOUNDS_MAX) {
        pass->most = ngx_max(pass->most, seq);
        return NGX_OK;
    }

    if (ngx_http_rt_scan_silent(rd, reason)) {
        return NGX_OK;
    }

    pass->told++;

    name.data = found->name;
    name.len = found->len;

    return ngx_http_rt_reader_gap(rd, b, &name, had, seq, reason);
}


/* NGX_DECLINED: nothing; NGX_AGAIN: the time was up */

static ngx_int_t
ngx_http_rt_scan_lost(ngx_http_rt_reader_t *rd, ngx_http_rt_found_t *found,
    uint64_t had, uint64_t *seq, ngx_uint_t *reason)
{
    ngx_http_rt_view_t       *view;
    ngx_http_rt_zone_t       *zone;
    ngx_http_rt_scan_pass_t  *pass;

    view = &found->view;
    pass = rd->scan->pass;
    zone = rd->hub->zone;

    if (rd->scan->live) {
        *seq = ngx_max(view->floor, had);
        *reason = (view->floor <= had) ? NGX_HTTP_RT_GAP_NONE
                  : (view->floor == view->deleted) ? NGX_HTTP_RT_GAP_DELETED
                                                   : NGX_HTTP_RT_GAP_LAGGED;
        return NGX_OK;
    }

    if (!pass->walking) {
        pass->walking = 1;
        ngx_http_rt_start_init(&pass->start, view, rd->cursor, &rd->history);
    }

    while (!ngx_http_rt_zone_start_step(zone, &pass->start, NGX_HTTP_RT_STEP))
    {
        if (ngx_http_rt_hub_late(rd->hub)) {
            return NGX_AGAIN;
        }
    }

    pass->walking = 0;

    *seq = pass->start.seq;
    *reason = pass->start.reason;

    return (*reason == NGX_HTTP_RT_GAP_NONE) ? NGX_DECLINED : NGX_OK;
}


/* topics that the index has given up meanwhile */

static ngx_int_t
ngx_http_rt_scan_forgotten(ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t **b)
{
    uint64_t                     to;
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_http_rt_name_t         *topic;
    ngx_http_rt_subscription_t  *sub;

    for (i = 0; i < rd->nsubscriptions; i++) {
        sub = &rd->subscriptions[i];
        topic = &sub->audience->topic;

        to = ngx_http_rt_zone_forgotten(rd->hub->zone, topic);

        if (topic->wild || rd->came) {
            to = ngx_max(to, rd->scan->pass->most);
        }

        if (rd->came == NULL && to <= ngx_max(rd->cursor, sub->seq)) {
            continue;
        }

        sub->seq = to;

        if (ngx_http_rt_scan_silent(rd, NGX_HTTP_RT_GAP_EVICTED)) {
            continue;
        }

        rc = ngx_http_rt_reader_gap(rd, b, &topic->name, rd->cursor, to,
                                    rd->came ? NGX_HTTP_RT_GAP_EPOCH
                                             : NGX_HTTP_RT_GAP_EVICTED);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static void
ngx_http_rt_scan_pass_free(ngx_http_rt_scan_t *scan)
{
    if (scan->pass) {
        ngx_http_rt_bounds_free(&scan->pass->before);
        ngx_free(scan->pass);
        scan->pass = NULL;
    }
}


static ngx_uint_t
ngx_http_rt_scan_silent(ngx_http_rt_reader_t *rd, ngx_uint_t reason)
{
    if (rd->pace) {
        return 1;
    }

    if (rd->scan->live || !rd->silent) {
        return 0;
    }

    /* it may have had to wait for its first look into the index */

    return reason != NGX_HTTP_RT_GAP_DELETED
           || rd->scan->deletes == ngx_http_rt_zone_deletes(rd->hub->zone);
}


static ngx_uint_t
ngx_http_rt_scan_match(ngx_http_rt_reader_t *rd, const u_char *name,
    size_t len)
{
    ngx_uint_t            i;
    ngx_http_rt_name_t  *topic;

    for (i = 0; i < rd->nsubscriptions; i++) {
        topic = &rd->subscriptions[i].audience->topic;

        if (topic->wild) {
            if (ngx_http_rt_pattern_match(topic->name.data, topic->name.len,
                                          name, len))
            {
                return 1;
            }

        } else if (topic->name.len == len
                   && ngx_memcmp(topic->name.data, name, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_rt_scan_excluded(ngx_http_rt_scan_t *scan, ngx_http_rt_record_t *rec)
{
    if (rec->seq > scan->seq) {
        ngx_http_rt_bounds_free(&scan->bounds);
        return 0;
    }

    return rec->seq <= ngx_http_rt_bounds_of(&scan->bounds, rec->topic,
                                                 rec->topic_id);
}
