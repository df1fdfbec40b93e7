/*
 * Catching up with patterns: along the ring itself, record by record, so that
 * whatever matches comes in the order of seq.
 *
 * What is lost cannot be seen in the ring.  It is looked for in the index
 * instead, which knows of each topic how far back it reaches: at the start,
 * when the ring has overtaken the reader, and after a DELETE.  What a topic
 * has lost or history does not allow is told, and kept as a bound of what may
 * still be in the ring and is not to be delivered, nor told again.
 *
 * Who came without an id has claimed nothing: what was gone before it came is
 * bounded and not told.  What is taken from it later is.
 */

#include "ngx_http_rt.h"


/* topics whose bounds are kept, and gaps told one by one */
#define NGX_HTTP_RT_SCAN_BOUNDS   4096

/* cells looked at under the mutex at a time, and topics found among them */
#define NGX_HTTP_RT_SCAN_CELLS    1024
#define NGX_HTTP_RT_SCAN_FOUND    16

/* records looked at in one step */
#define NGX_HTTP_RT_SCAN_RECORDS  16384


typedef struct {
    ngx_http_rt_bound_t     bound;
    uint64_t                had;        /* or was told of before */
    ngx_uint_t              reason;     /* NONE: nothing new is lost */
    ngx_str_t               name;
    u_char                  text[NGX_HTTP_RT_TOPIC_MAX];
} ngx_http_rt_scan_found_t;


static ngx_int_t ngx_http_rt_scan_gaps(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_buffer_t **b);
static uint32_t ngx_http_rt_scan_cells(ngx_http_rt_subscriber_t *s,
    const ngx_http_rt_bounds_t *before, uint32_t from,
    ngx_http_rt_scan_found_t *found, ngx_uint_t *n);
static ngx_uint_t ngx_http_rt_scan_silent(ngx_http_rt_subscriber_t *s,
    ngx_uint_t reason);
static ngx_int_t ngx_http_rt_scan_bound(ngx_http_rt_bounds_t *bounds,
    ngx_http_rt_bound_t *bound);
static uint64_t ngx_http_rt_scan_bound_of(const ngx_http_rt_bounds_t *bounds,
    uint32_t cell, uint64_t id);
static ngx_uint_t ngx_http_rt_scan_match(ngx_http_rt_subscriber_t *s,
    u_char *name, size_t len);
static ngx_uint_t ngx_http_rt_scan_excluded(ngx_http_rt_scan_t *scan,
    ngx_http_rt_record_t *rec);


/* NGX_OK: all read up to where the process has walked; NGX_AGAIN: not yet */

ngx_int_t
ngx_http_rt_scan_fill(ngx_http_rt_subscriber_t *s, ngx_http_rt_buffer_t **b)
{
    int                     rc;
    size_t                  size;
    u_char                  name[NGX_HTTP_RT_TOPIC_MAX];
    ngx_int_t               rv;
    uint64_t                end;
    ngx_uint_t              n;
    ngx_http_rt_zone_t     *zone;
    ngx_http_rt_ring_t     *ring;
    ngx_http_rt_scan_t     *scan;
    ngx_http_rt_record_t    rec;
    ngx_http_rt_message_t   m;

    zone = s->zone;
    scan = s->scan;
    ring = &zone->sh->store.ring;

    if (scan->pos == NGX_HTTP_RT_POS_LOOK) {
        ngx_http_rt_zone_lock(zone);

        scan->pos = ngx_http_rt_ring_seek(ring, s->cursor);

        /* what has been overwritten may have been for this one */

        if (scan->live && s->pace == NULL
            && zone->sh->store.evicted > s->cursor)
        {
            scan->gaps = 1;
        }

        ngx_http_rt_zone_unlock(zone);
    }

    if (scan->gaps) {
        scan->gaps = 0;

        rv = ngx_http_rt_scan_gaps(s, b);
        if (rv != NGX_OK) {
            return rv;
        }
    }

    end = ngx_max(zone->pos, scan->end);
    size = 0;

    for (n = 0; n < NGX_HTTP_RT_SCAN_RECORDS; n++) {

        rc = ngx_http_rt_ring_scan(ring, &scan->pos, end, &rec);

        if (rc == NGX_HTTP_RT_RING_END) {

            s->cursor = ngx_max(s->cursor, ngx_max(zone->seq, s->came_at));

            return NGX_OK;
        }

        if (rc == NGX_HTTP_RT_RING_OK) {
            rc = ngx_http_rt_ring_copy(ring, scan->pos, 0, name,
                                       rec.topic_len);
        }

        if (rc == NGX_HTTP_RT_RING_OK
            && rec.seq > s->cursor
            && !(s->pace && rec.next
                 && ngx_http_rt_record_next(&rec, scan->pos) < end)
            && ngx_http_rt_scan_match(s, name, rec.topic_len)
            && !ngx_http_rt_scan_excluded(scan, &rec))
        {
            if (rec.flags & NGX_HTTP_RT_RECORD_DELETED) {

                if (s->pace == NULL && scan->seen != zone->sh->deletes
                    && scan->marked < rec.seq)
                {
                    /* it may not have been told of this one */

                    scan->marked = rec.seq;
                    scan->gaps = 1;
                    return NGX_AGAIN;
                }

                scan->pos += rec.size;
                continue;
            }

            if (ngx_http_rt_catchup_early(s, &rec)) {

                /* nor are the later ones quiet yet */

                s->cursor = rec.seq - 1;
                return NGX_OK;
            }

            rv = ngx_http_rt_zone_message(zone, scan->pos, &rec, &m);

            if (rv == NGX_ERROR
                || (rv == NGX_OK && ngx_http_rt_buffer_add(b, &m) != NGX_OK))
            {
                return NGX_ERROR;
            }

            if (rv == NGX_OK) {
                s->cursor = rec.seq;
                size += ngx_http_rt_record_load(&rec);

            } else if (s->pace == NULL) {

                /* it is lost, though its record may still be there */

                scan->gaps = 1;
                scan->pos += rec.size;

                return NGX_AGAIN;
            }
        }

        if (rc == NGX_HTTP_RT_RING_LAPPED) {
            scan->pos = NGX_HTTP_RT_POS_LOOK;
            scan->gaps = !s->pace;

            return NGX_AGAIN;
        }

        scan->pos += rec.size;

        if (size >= ngx_http_rt_batch_size(s)) {
            break;
        }
    }

    return NGX_AGAIN;
}


/* what is lost of all topics that match, and has not been told before */

static ngx_int_t
ngx_http_rt_scan_gaps(ngx_http_rt_subscriber_t *s, ngx_http_rt_buffer_t **b)
{
    uint32_t                     cell;
    uint64_t                     most, to, cursor;
    ngx_int_t                    rc;
    ngx_str_t                   *name;
    ngx_uint_t                   i, n, told;
    ngx_http_rt_scan_t          *scan;
    ngx_http_rt_index_t         *index;
    ngx_http_rt_bounds_t         before;
    ngx_http_rt_scan_found_t    found[NGX_HTTP_RT_SCAN_FOUND];
    ngx_http_rt_subscription_t  *sub;

    scan = s->scan;
    index = &s->zone->sh->store.index;
    cursor = s->cursor;

    scan->seen = s->zone->sh->deletes;

    before = scan->bounds;
    ngx_memzero(&scan->bounds, sizeof(ngx_http_rt_bounds_t));

    told = 0;
    most = 0;
    cell = 1;

    do {
        cell = ngx_http_rt_scan_cells(s, &before, cell, found, &n);

        for (i = 0; i < n; i++) {

            rc = ngx_http_rt_scan_bound(&scan->bounds, &found[i].bound);
            if (rc != NGX_OK) {
                goto done;
            }

            if (found[i].reason == NGX_HTTP_RT_GAP_NONE) {
                continue;
            }

            if (s->came || told == NGX_HTTP_RT_SCAN_BOUNDS) {
                most = ngx_max(most, found[i].bound.seq);
                continue;
            }

            if (ngx_http_rt_scan_silent(s, found[i].reason)) {
                continue;
            }

            told++;

            rc = ngx_http_rt_catchup_gap(s, b, &found[i].name, found[i].had,
                                         found[i].bound.seq, found[i].reason);
            if (rc != NGX_OK) {
                goto done;
            }
        }

    } while (cell);

    for (i = 0; i < s->nsubscriptions; i++) {
        sub = &s->subscriptions[i];
        name = &sub->audience->name;

        /* topics that the index has given up meanwhile */

        to = ngx_max(most, ngx_http_rt_index_forgotten_match(index, name->data,
                                                             name->len));

        if (!sub->audience->wild && s->came == NULL) {
            to = ngx_http_rt_index_forgotten(index, sub->audience->hash);
        }

        if (s->came == NULL && to <= ngx_max(cursor, sub->seq)) {
            continue;
        }

        sub->seq = to;

        if (ngx_http_rt_scan_silent(s, NGX_HTTP_RT_GAP_EVICTED)) {
            continue;
        }

        rc = ngx_http_rt_catchup_gap(s, b, name, cursor, to,
                                     s->came ? NGX_HTTP_RT_GAP_EPOCH
                                             : NGX_HTTP_RT_GAP_EVICTED);
        if (rc != NGX_OK) {
            goto done;
        }
    }

    s->came = NULL;
    scan->seq = s->zone->sh->store.ring.seq;
    scan->live = 1;

    rc = NGX_OK;

done:

    if (before.elts) {
        ngx_free(before.elts);
    }

    return rc;
}


/* a piece of the index; returns the cell to go on with, 0 at the end */

static uint32_t
ngx_http_rt_scan_cells(ngx_http_rt_subscriber_t *s,
    const ngx_http_rt_bounds_t *before, uint32_t from,
    ngx_http_rt_scan_found_t *found, ngx_uint_t *n)
{
    uint64_t                   cursor, had;
    ngx_uint_t                 i;
    ngx_http_rt_zone_t        *zone;
    ngx_http_rt_cell_t        *cell;
    ngx_http_rt_scan_t        *scan;
    ngx_http_rt_start_t        start;
    ngx_http_rt_index_t       *index;

    zone = s->zone;
    scan = s->scan;
    index = &zone->sh->store.index;
    cursor = s->cursor;

    *n = 0;

    ngx_http_rt_zone_lock(zone);

    for (i = 0;
         i < NGX_HTTP_RT_SCAN_CELLS && from < index->ncells
         && *n < NGX_HTTP_RT_SCAN_FOUND;
         i++, from++)
    {
        cell = &index->cells[from];

        if (cell->kind != NGX_HTTP_RT_CELL_TOPIC
            || cell->topic.seq <= cursor)
        {
            continue;
        }

        had = ngx_http_rt_scan_bound_of(before, from, cell->id);
        had = ngx_max(had, cursor);

        /* a bound of before stays; history concerned only the start */

        if (scan->live && cell->topic.floor <= had && had == cursor) {
            continue;
        }

        found->name.data = found->text;
        found->name.len = ngx_http_rt_index_name(index, cell, found->text);

        if (!ngx_http_rt_scan_match(s, found->text, found->name.len)) {
            continue;
        }

        if (scan->live) {
            start.seq = ngx_max(cell->topic.floor, had);
            start.reason = (cell->topic.floor <= had) ? NGX_HTTP_RT_GAP_NONE
                           : (cell->topic.floor == cell->topic.deleted)
                           ? NGX_HTTP_RT_GAP_DELETED : NGX_HTTP_RT_GAP_LAGGED;

        } else {
            ngx_http_rt_topic_start(&zone->sh->store, cell, cell->hash,
                                    cursor, &scan->history, &start);

            if (start.reason == NGX_HTTP_RT_GAP_NONE) {
                continue;
            }
        }

        found->reason = start.reason;
        found->had = had;
        found->bound.cell = from;
        found->bound.id = cell->id;
        found->bound.seq = start.seq;

        found++;
        (*n)++;
    }

    if (from == index->ncells) {
        from = 0;
    }

    ngx_http_rt_zone_unlock(zone);

    return from;
}


static ngx_uint_t
ngx_http_rt_scan_silent(ngx_http_rt_subscriber_t *s, ngx_uint_t reason)
{
    if (s->pace) {
        return 1;
    }

    if (s->scan->live || !s->scan->silent) {
        return 0;
    }

    /* it may have had to wait for its first look into the index */

    return reason != NGX_HTTP_RT_GAP_DELETED
           || s->scan->deletes == s->zone->sh->deletes;
}


static ngx_int_t
ngx_http_rt_scan_bound(ngx_http_rt_bounds_t *bounds,
    ngx_http_rt_bound_t *bound)
{
    if (bounds->n == NGX_HTTP_RT_SCAN_BOUNDS) {
        return NGX_OK;
    }

    if (bounds->elts == NULL) {
        bounds->elts = ngx_alloc(NGX_HTTP_RT_SCAN_BOUNDS
                                 * sizeof(ngx_http_rt_bound_t),
                                 ngx_cycle->log);
        if (bounds->elts == NULL) {
            return NGX_ERROR;
        }
    }

    bounds->elts[bounds->n++] = *bound;

    return NGX_OK;
}


/* up to which seq nothing of a topic is to be delivered, or 0 */

static uint64_t
ngx_http_rt_scan_bound_of(const ngx_http_rt_bounds_t *bounds, uint32_t cell,
    uint64_t id)
{
    ngx_uint_t            low, high, i;
    ngx_http_rt_bound_t  *bound;

    low = 0;
    high = bounds->n;

    while (low < high) {
        i = (low + high) / 2;
        bound = &bounds->elts[i];

        if (bound->cell == cell) {
            return (bound->id == id) ? bound->seq : 0;
        }

        if (bound->cell < cell) {
            low = i + 1;

        } else {
            high = i;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_rt_scan_match(ngx_http_rt_subscriber_t *s, u_char *name, size_t len)
{
    ngx_uint_t               i;
    ngx_http_rt_audience_t  *a;

    for (i = 0; i < s->nsubscriptions; i++) {
        a = s->subscriptions[i].audience;

        if (a->wild) {
            if (ngx_http_rt_pattern_match(a->name.data, a->name.len, name,
                                          len))
            {
                return 1;
            }

        } else if (a->name.len == len
                   && ngx_memcmp(a->name.data, name, len) == 0)
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

        if (scan->bounds.elts) {
            ngx_free(scan->bounds.elts);
            ngx_memzero(&scan->bounds, sizeof(ngx_http_rt_bounds_t));
        }

        return 0;
    }

    return rec->seq <= ngx_http_rt_scan_bound_of(&scan->bounds, rec->topic,
                                                 rec->topic_id);
}
