/*
 * Reading the ring from a process: copying a message out, and finding a
 * topic's next record when its position is not known.
 */

#include "ngx_http_rt.h"


/* the scratch is given back after a message larger than this */
#define NGX_HTTP_RT_READ_KEEP  (1024 * 1024)


static ngx_int_t ngx_http_rt_read_far(ngx_http_rt_zone_t *zone, uint64_t seq,
    ngx_http_rt_start_t *start);


static u_char  *ngx_http_rt_read_scratch;
static size_t   ngx_http_rt_read_size;


/*
 * Copies the message of a record just read.  It stays valid until the next
 * call.  NGX_DECLINED: lapped meanwhile, or its blob is, so that it is lost
 * though the record is still there.
 */

ngx_int_t
ngx_http_rt_read_message(ngx_http_rt_zone_t *zone, uint64_t pos,
    ngx_http_rt_record_t *rec, ngx_http_rt_message_t *m)
{
    size_t               len;
    u_char              *p;
    uint64_t             blob;
    ngx_http_rt_ring_t  *ring;

    len = ngx_http_rt_record_load(rec) - sizeof(ngx_http_rt_record_t);

    if (len > ngx_http_rt_read_size
        || (ngx_http_rt_read_size > NGX_HTTP_RT_READ_KEEP
            && len <= NGX_HTTP_RT_READ_KEEP))
    {
        if (ngx_http_rt_read_scratch) {
            ngx_free(ngx_http_rt_read_scratch);
        }

        ngx_http_rt_read_size = 0;
        ngx_http_rt_read_scratch = ngx_alloc(ngx_max(len, ngx_pagesize),
                                             ngx_cycle->log);
        if (ngx_http_rt_read_scratch == NULL) {
            return NGX_ERROR;
        }

        ngx_http_rt_read_size = ngx_max(len, ngx_pagesize);
    }

    p = ngx_http_rt_read_scratch;

    ring = &zone->sh->store.ring;

    if (rec->flags & NGX_HTTP_RT_RECORD_APART) {
        len -= rec->data_len;

        if (ngx_http_rt_ring_copy(ring, pos, len, (u_char *) &blob,
                                  sizeof(blob))
            != NGX_HTTP_RT_RING_OK
            || ngx_http_rt_ring_copy(ring, blob, 0, p + len, rec->data_len)
               != NGX_HTTP_RT_RING_OK)
        {
            return NGX_DECLINED;
        }
    }

    if (ngx_http_rt_ring_copy(ring, pos, 0, p, len) != NGX_HTTP_RT_RING_OK) {
        return NGX_DECLINED;
    }

    m->epoch = zone->sh->store.epoch;
    m->seq = rec->seq;
    m->time = rec->time;
    m->binary = (rec->flags & NGX_HTTP_RT_RECORD_BINARY) ? 1 : 0;

    m->topic = p;
    m->topic_len = rec->topic_len;
    p += rec->topic_len;

    m->event = p;
    m->event_len = rec->event_len;
    p += rec->event_len;

    m->type = p;
    m->type_len = rec->type_len;
    p += rec->type_len;

    m->data = p;
    m->data_len = rec->data_len;

    return NGX_OK;
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
