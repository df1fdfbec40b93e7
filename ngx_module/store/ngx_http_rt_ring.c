/*
 * The ring's bytes: making room, committing, reading without a lock.  What a
 * record means to its topic is ngx_http_rt_topic.c's business; see the header
 * for the rules between writer and readers.
 */

#include <string.h>

#include "ngx_http_rt_point.h"
#include "ngx_http_rt_ring.h"


static void ngx_http_rt_ring_evict(ngx_http_rt_ring_t *ring,
    ngx_http_rt_ring_evict_pt evict, void *data);
static int ngx_http_rt_ring_take(ngx_http_rt_ring_t *ring, uint64_t pos,
    size_t rest, ngx_http_rt_record_t *rec);
static int ngx_http_rt_ring_find(ngx_http_rt_ring_t *ring, uint64_t *pos,
    uint64_t end, uint32_t flags, ngx_http_rt_record_t *rec);
static int ngx_http_rt_ring_check(ngx_http_rt_ring_t *ring, uint64_t pos);


void
ngx_http_rt_ring_init(ngx_http_rt_ring_t *ring, u_char *base, size_t size)
{
    memset(ring, 0, sizeof(ngx_http_rt_ring_t));

    ring->base = base;
    ring->size = size & ~((size_t) NGX_HTTP_RT_RING_ALIGN - 1);
    ring->head = ring->size;
    ring->tail = ring->size;
}


size_t
ngx_http_rt_record_size(size_t topic, size_t event, size_t type, size_t data)
{
    size_t  size;

    size = sizeof(ngx_http_rt_record_t) + topic + event + type + data;

    return (size + NGX_HTTP_RT_RING_ALIGN - 1)
           & ~((size_t) NGX_HTTP_RT_RING_ALIGN - 1);
}


/*
 * Makes room for a record of this size at position "at" or, if it would be
 * split there, behind a filler; evict() is called for each record that goes,
 * and for each blob.
 * A batch calls once for each record, with "at" behind the one before.
 */

uint64_t
ngx_http_rt_ring_reserve(ngx_http_rt_ring_t *ring, uint64_t at,
    size_t size, ngx_http_rt_ring_evict_pt evict, void *data)
{
    uint64_t               pos;
    size_t                 rest;
    ngx_http_rt_record_t  *rec;

    rest = ring->size - at % ring->size;
    pos = (rest < size) ? at + rest : at;

    if (ring->pin && pos + size - ring->pin > ring->size) {
        return 0;
    }

    while (pos + size - ring->tail > ring->size) {
        ngx_http_rt_ring_evict(ring, evict, data);
    }

    /* readers must see the tail move before the bytes change */

    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    if (pos != at && pos - at >= sizeof(ngx_http_rt_record_t)) {
        rec = ngx_http_rt_record(ring, at);
        memset(rec, 0, sizeof(ngx_http_rt_record_t));
        rec->size = pos - at;
        rec->flags = NGX_HTTP_RT_RECORD_FILLER;
    }

    return pos;
}


/* the oldest record, or all if it cannot be one */

static void
ngx_http_rt_ring_evict(ngx_http_rt_ring_t *ring,
    ngx_http_rt_ring_evict_pt evict, void *data)
{
    uint64_t               tail;
    size_t                 rest;
    ngx_http_rt_record_t  *rec;

    tail = ring->tail;
    rest = ring->size - tail % ring->size;
    rec = (ngx_http_rt_record_t *) (ring->base + ring->size - rest);

    if (rest < sizeof(ngx_http_rt_record_t)) {
        tail += rest;

    } else if (!ngx_http_rt_ring_sane(rec->size, rest)
               || rec->size > ring->head - tail)
    {
        evict(data, NULL, tail);
        tail = ring->head;

    } else {
        if (!(rec->flags & NGX_HTTP_RT_RECORD_FILLER)
            || (rec->flags & NGX_HTTP_RT_RECORD_BLOB))
        {
            evict(data, rec, tail);
        }

        tail += rec->size;
    }

    __atomic_store_n(&ring->tail, tail, __ATOMIC_RELAXED);
}


/* pos comes from a walk, so if there is no record, one before it was damaged */

int
ngx_http_rt_ring_mend(ngx_http_rt_ring_t *ring, uint64_t pos,
    ngx_http_rt_ring_evict_pt evict, void *data)
{
    size_t                 rest;
    ngx_http_rt_record_t  *rec;

    rest = ring->size - pos % ring->size;

    if (pos < ring->tail || pos >= ring->head
        || rest < sizeof(ngx_http_rt_record_t))
    {
        return 0;
    }

    rec = ngx_http_rt_record(ring, pos);

    if (ngx_http_rt_ring_sane(rec->size, rest)
        && rec->size <= ring->head - pos)
    {
        return 0;
    }

    evict(data, NULL, pos);

    __atomic_store_n(&ring->tail, ring->head, __ATOMIC_RELEASE);

    return 1;
}


/* the records from position "from" on are complete and become visible */

void
ngx_http_rt_ring_commit(ngx_http_rt_ring_t *ring, uint64_t from,
    uint64_t head)
{
    uint64_t                  part, pos, place;
    ngx_http_rt_record_t      rec;
    ngx_http_rt_ring_mark_t  *mark;

    part = ring->size / NGX_HTTP_RT_RING_MARKS + 1;
    pos = from;

    __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);

    ngx_http_rt_point("head");

    while (ngx_http_rt_ring_scan(ring, &pos, head, &rec)
           == NGX_HTTP_RT_RING_OK)
    {
        ring->seq = rec.seq;

        place = pos % ring->size;
        mark = &ring->marks[place / part];

        if (mark->pos < pos - place % part) {
            __atomic_store_n(&mark->seq, rec.seq, __ATOMIC_RELAXED);

            ngx_http_rt_point("mark");

            __atomic_store_n(&mark->pos, pos, __ATOMIC_RELEASE);
        }

        pos += rec.size;
    }
}


/*
 * The seq of a mark is stored before its position, so a mark that is being
 * changed has a seq that is too late for its position, which does no harm.
 */

uint64_t
ngx_http_rt_ring_seek(ngx_http_rt_ring_t *ring, uint64_t seq)
{
    uint64_t                  pos, at;
    int                       i;
    ngx_http_rt_ring_mark_t  *mark;

    pos = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);

    for (i = 0; i < NGX_HTTP_RT_RING_MARKS; i++) {
        mark = &ring->marks[i];
        at = __atomic_load_n(&mark->pos, __ATOMIC_ACQUIRE);

        if (at > pos
            && __atomic_load_n(&mark->seq, __ATOMIC_RELAXED) <= seq + 1)
        {
            pos = at;
        }
    }

    return pos;
}


static int
ngx_http_rt_ring_check(ngx_http_rt_ring_t *ring, uint64_t pos)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    if (__atomic_load_n(&ring->tail, __ATOMIC_RELAXED) > pos) {
        return NGX_HTTP_RT_RING_LAPPED;
    }

    return NGX_HTTP_RT_RING_OK;
}


int
ngx_http_rt_ring_read(ngx_http_rt_ring_t *ring, uint64_t pos,
    ngx_http_rt_record_t *rec)
{
    size_t  rest;

    rest = ring->size - pos % ring->size;

    /* a position may be a stranger's: never read past the end */

    if (rest < sizeof(ngx_http_rt_record_t) || pos % NGX_HTTP_RT_RING_ALIGN) {
        return NGX_HTTP_RT_RING_LAPPED;
    }

    return ngx_http_rt_ring_take(ring, pos, rest, rec);
}


/* "rest" is from pos to the end of the memory */

static inline int
ngx_http_rt_ring_take(ngx_http_rt_ring_t *ring, uint64_t pos, size_t rest,
    ngx_http_rt_record_t *rec)
{
    memcpy(rec, ring->base + ring->size - rest, sizeof(ngx_http_rt_record_t));

    if (!ngx_http_rt_ring_sane(rec->size, rest)) {
        return NGX_HTTP_RT_RING_LAPPED;
    }

    return ngx_http_rt_ring_check(ring, pos);
}


/* the first record at or after *pos and before end */

int
ngx_http_rt_ring_scan(ngx_http_rt_ring_t *ring, uint64_t *pos,
    uint64_t end, ngx_http_rt_record_t *rec)
{
    return ngx_http_rt_ring_find(ring, pos, end, NGX_HTTP_RT_RECORD_FILLER,
                                 rec);
}


int
ngx_http_rt_ring_walk(ngx_http_rt_ring_t *ring, uint64_t *pos,
    uint64_t end, ngx_http_rt_record_t *rec)
{
    return ngx_http_rt_ring_find(ring, pos, end,
                                 NGX_HTTP_RT_RECORD_FILLER
                                 |NGX_HTTP_RT_RECORD_CONTROL, rec);
}


/* fillers are skipped, but those with another one of the flags */

static int
ngx_http_rt_ring_find(ngx_http_rt_ring_t *ring, uint64_t *pos, uint64_t end,
    uint32_t flags, ngx_http_rt_record_t *rec)
{
    size_t  rest;

    while (*pos < end) {

        rest = ring->size - *pos % ring->size;

        if (rest < sizeof(ngx_http_rt_record_t)) {
            *pos += rest;
            continue;
        }

        if (*pos % NGX_HTTP_RT_RING_ALIGN
            || ngx_http_rt_ring_take(ring, *pos, rest, rec)
               != NGX_HTTP_RT_RING_OK)
        {
            return NGX_HTTP_RT_RING_LAPPED;
        }

        if ((rec->flags & flags) != NGX_HTTP_RT_RECORD_FILLER) {
            return NGX_HTTP_RT_RING_OK;
        }

        *pos += rec->size;
    }

    return NGX_HTTP_RT_RING_END;
}


/* len bytes of the record at pos, from offset behind its header */

int
ngx_http_rt_ring_copy(ngx_http_rt_ring_t *ring, uint64_t pos,
    size_t offset, u_char *dst, size_t len)
{
    size_t  rest;

    rest = ring->size - pos % ring->size;

    if (rest < sizeof(ngx_http_rt_record_t)
        || rest - sizeof(ngx_http_rt_record_t) < offset
        || rest - sizeof(ngx_http_rt_record_t) - offset < len)
    {
        return NGX_HTTP_RT_RING_LAPPED;
    }

    memcpy(dst, ring->base + pos % ring->size + sizeof(ngx_http_rt_record_t)
                + offset, len);

    return ngx_http_rt_ring_check(ring, pos);
}
