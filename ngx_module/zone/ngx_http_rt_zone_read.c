/*
 * Reading the ring from a process, without the mutex.
 */

#include "ngx_http_rt_zone_private.h"


/* the scratch is given back after a message larger than this */
#define NGX_HTTP_RT_ZONE_KEEP  (1024 * 1024)


static int ngx_http_rt_zone_lapped(ngx_http_rt_zone_t *zone, uint64_t pos);
static int ngx_http_rt_zone_hand(ngx_http_rt_zone_t *zone, uint64_t pos,
    const ngx_http_rt_record_t *rec);


static u_char  *ngx_http_rt_zone_scratch;
static size_t   ngx_http_rt_zone_size;


uint64_t
ngx_http_rt_zone_seq(ngx_http_rt_zone_t *zone)
{
    return __atomic_load_n(&zone->sh->store.ring.seq, __ATOMIC_ACQUIRE);
}


uint64_t
ngx_http_rt_zone_head(ngx_http_rt_zone_t *zone)
{
    return ngx_http_rt_ring_head(&zone->sh->store.ring);
}


ngx_atomic_uint_t
ngx_http_rt_zone_deletes(ngx_http_rt_zone_t *zone)
{
    return zone->sh->deletes;
}


uint64_t
ngx_http_rt_zone_seek(ngx_http_rt_zone_t *zone, uint64_t seq,
    uint64_t *evicted)
{
    uint64_t  pos;

    pos = ngx_http_rt_ring_seek(&zone->sh->store.ring, seq);

    *evicted = __atomic_load_n(&zone->sh->store.evicted, __ATOMIC_ACQUIRE);

    return pos;
}


/*
 * What the store takes for overwritten, though the tail has not come to it, may
 * be damage.  The writer would find it when it gets there; readers that look
 * again until then would never come further.
 */

static int
ngx_http_rt_zone_lapped(ngx_http_rt_zone_t *zone, uint64_t pos)
{
    ngx_http_rt_ring_t  *ring;

    ring = &zone->sh->store.ring;

    if (pos >= __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE)
        && pos < ngx_http_rt_ring_head(ring))
    {
        ngx_http_rt_zone_lock(zone);
        ngx_http_rt_topic_mend(&zone->sh->store, pos);
        ngx_http_rt_zone_unlock(zone);
    }

    return NGX_HTTP_RT_RING_LAPPED;
}


int
ngx_http_rt_zone_scan(ngx_http_rt_zone_t *zone, uint64_t *pos, uint64_t end,
    ngx_http_rt_record_t *rec)
{
    int  rc;

    rc = ngx_http_rt_ring_scan(&zone->sh->store.ring, pos, end, rec);

    return (rc == NGX_HTTP_RT_RING_LAPPED)
           ? ngx_http_rt_zone_lapped(zone, *pos) : rc;
}


int
ngx_http_rt_zone_walk(ngx_http_rt_zone_t *zone, uint64_t *pos, uint64_t end,
    ngx_http_rt_record_t *rec)
{
    int  rc;

    for ( ;; ) {
        rc = ngx_http_rt_ring_walk(&zone->sh->store.ring, pos, end, rec);

        if (rc == NGX_HTTP_RT_RING_OK
            && (rec->flags & NGX_HTTP_RT_RECORD_CONTROL))
        {
            rc = ngx_http_rt_zone_hand(zone, *pos, rec);

            if (rc == NGX_HTTP_RT_RING_OK) {
                *pos += rec->size;
                continue;
            }
        }

        if (rc != NGX_HTTP_RT_RING_LAPPED) {
            return rc;
        }

        if (zone->control) {
            zone->control(zone, NGX_HTTP_RT_CONTROL_LOST, NULL, 0);
        }

        return ngx_http_rt_zone_lapped(zone, *pos);
    }
}


/* hands over a control record, unless that has been done in an earlier walk */

static int
ngx_http_rt_zone_hand(ngx_http_rt_zone_t *zone, uint64_t pos,
    const ngx_http_rt_record_t *rec)
{
    static u_char  bytes[NGX_HTTP_RT_CONTROL_MAX];

    if (zone->control == NULL || pos <= zone->controlled) {
        return NGX_HTTP_RT_RING_OK;
    }

    if (rec->data_len > NGX_HTTP_RT_CONTROL_MAX
        || ngx_http_rt_ring_copy(&zone->sh->store.ring, pos, 0, bytes,
                                 rec->data_len)
           != NGX_HTTP_RT_RING_OK)
    {
        return NGX_HTTP_RT_RING_LAPPED;
    }

    zone->controlled = pos;
    zone->control(zone, rec->control, bytes, rec->data_len);

    return NGX_HTTP_RT_RING_OK;
}


int
ngx_http_rt_zone_record(ngx_http_rt_zone_t *zone, uint64_t pos,
    ngx_http_rt_record_t *rec)
{
    return ngx_http_rt_ring_read(&zone->sh->store.ring, pos, rec);
}


int
ngx_http_rt_zone_name(ngx_http_rt_zone_t *zone, uint64_t pos,
    const ngx_http_rt_record_t *rec, u_char *name)
{
    return ngx_http_rt_ring_copy(&zone->sh->store.ring, pos, 0, name,
                                 rec->topic_len);
}


/*
 * Copies the message of a record just read.  It stays valid until the next
 * call.  NGX_DECLINED: lapped meanwhile, or its blob is, so that it is lost
 * though the record is still there.
 */

ngx_int_t
ngx_http_rt_zone_message(ngx_http_rt_zone_t *zone, uint64_t pos,
    const ngx_http_rt_record_t *rec, ngx_http_rt_message_t *m)
{
    size_t               len;
    u_char              *p;
    uint64_t             blob;
    ngx_http_rt_ring_t  *ring;

    if (ngx_http_rt_record_load(rec)
        > ((rec->flags & NGX_HTTP_RT_RECORD_APART)
           ? zone->sh->store.ring.size / NGX_HTTP_RT_RING_SHARE : rec->size))
    {
        return NGX_DECLINED;
    }

    len = ngx_http_rt_record_load(rec) - sizeof(ngx_http_rt_record_t);

    if (len > ngx_http_rt_zone_size
        || (ngx_http_rt_zone_size > NGX_HTTP_RT_ZONE_KEEP
            && len <= NGX_HTTP_RT_ZONE_KEEP))
    {
        if (ngx_http_rt_zone_scratch) {
            ngx_free(ngx_http_rt_zone_scratch);
        }

        ngx_http_rt_zone_size = 0;
        ngx_http_rt_zone_scratch = ngx_alloc(ngx_max(len, ngx_pagesize),
                                             ngx_cycle->log);
        if (ngx_http_rt_zone_scratch == NULL) {
            return NGX_ERROR;
        }

        ngx_http_rt_zone_size = ngx_max(len, ngx_pagesize);
    }

    p = ngx_http_rt_zone_scratch;

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

    m->epoch = zone->epoch;
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
