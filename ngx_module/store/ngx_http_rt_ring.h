/*
 * The ring: a zone's log of records in publish order, in one circular run of
 * bytes in shared memory.
 *
 * A position is a byte offset that only grows; its place in memory is the
 * position modulo the ring's size, and 0 is never a position.  Records lie
 * between tail (the oldest) and head (where the next one goes) and are never
 * split: where one does not fit before the end of the memory, a filler takes
 * the rest.
 *
 *     | filler | rec | rec | rec |  free  |
 *              ^ tail            ^ head
 *
 * One writer at a time, under the zone's mutex: reserve() passes the tail over
 * what will be overwritten, the caller fills the record in, commit() stores
 * the head.  A writer that dies before commit() has left nothing, for nobody
 * looks beyond the head.  Only into blobs is written without the mutex; the
 * tail does not pass a pin.  See ngx_http_rt_blob.h.
 *
 * A control record is a filler, too, so it has no seq and belongs to no topic;
 * it is reserved, written, and one store of the head makes it visible.  Only
 * walk() sees it.
 *
 * Readers take no lock.  They copy out first and look at the tail afterwards:
 * if it has passed the record meanwhile, what was copied is worthless, and the
 * reader has been lapped.
 *
 * What lies in the memory is checked where it is walked.  To a reader a record
 * that cannot be one is as good as overwritten: LAPPED, though the tail has not
 * passed it.  A writer that meets one gives up all that is in the ring: the
 * tail jumps to the head, and evict() is told so by a record of NULL.
 */

#ifndef _NGX_HTTP_RT_RING_H_INCLUDED_
#define _NGX_HTTP_RT_RING_H_INCLUDED_


#include "ngx_http_rt_record.h"


/* a message may take this part of the ring, so that an append leaves most */
#define NGX_HTTP_RT_RING_SHARE    4

/* how finely a position can be found by its seq: parts of the ring */
#define NGX_HTTP_RT_RING_MARKS    1024


typedef struct {
    uint64_t              seq;          /* of the first record that */
    uint64_t              pos;          /* begins in this part, and where */
} ngx_http_rt_ring_mark_t;


struct ngx_http_rt_ring_s {
    u_char               *base;         /* in the zone, as we are */
    uint64_t              size;
    uint64_t              seq;          /* last committed */

    uint64_t              head  __attribute__((aligned(64)));
    uint64_t              tail  __attribute__((aligned(64)));
    uint64_t              pin;          /* the tail must not pass it, or 0 */

    ngx_http_rt_ring_mark_t  marks[NGX_HTTP_RT_RING_MARKS]
                                __attribute__((aligned(64)));
};


typedef void (*ngx_http_rt_ring_evict_pt)(void *data,
    ngx_http_rt_record_t *rec, uint64_t pos);


#define ngx_http_rt_record(ring, pos)                                         \
    ((ngx_http_rt_record_t *) ((ring)->base + (pos) % (ring)->size))

#define ngx_http_rt_ring_head(ring)                                           \
    __atomic_load_n(&(ring)->head, __ATOMIC_ACQUIRE)


void ngx_http_rt_ring_init(ngx_http_rt_ring_t *ring, u_char *base,
    size_t size);
size_t ngx_http_rt_record_size(size_t topic, size_t event, size_t type,
    size_t data);

/* whether something of this size may be a record, "rest" before the end */

#define ngx_http_rt_ring_sane(len, rest)                                      \
    ((len) >= sizeof(ngx_http_rt_record_t)                                    \
     && (len) % NGX_HTTP_RT_RING_ALIGN == 0 && (len) <= (rest))


/* the writer, under the zone's mutex; 0: a pin is in the way */
uint64_t ngx_http_rt_ring_reserve(ngx_http_rt_ring_t *ring, uint64_t at,
    size_t size, ngx_http_rt_ring_evict_pt evict, void *data);
void ngx_http_rt_ring_commit(ngx_http_rt_ring_t *ring, uint64_t from,
    uint64_t head);
/* gives all up if a walk has come to pos, and there is no record; returns */
/* whether */
int ngx_http_rt_ring_mend(ngx_http_rt_ring_t *ring, uint64_t pos,
    ngx_http_rt_ring_evict_pt evict, void *data);

/* at or before the first record behind seq, without the mutex */
uint64_t ngx_http_rt_ring_seek(ngx_http_rt_ring_t *ring, uint64_t seq);

/* readers */
int ngx_http_rt_ring_read(ngx_http_rt_ring_t *ring, uint64_t pos,
    ngx_http_rt_record_t *rec);
int ngx_http_rt_ring_scan(ngx_http_rt_ring_t *ring, uint64_t *pos,
    uint64_t end, ngx_http_rt_record_t *rec);
/* the same with control records */
int ngx_http_rt_ring_walk(ngx_http_rt_ring_t *ring, uint64_t *pos,
    uint64_t end, ngx_http_rt_record_t *rec);
int ngx_http_rt_ring_copy(ngx_http_rt_ring_t *ring, uint64_t pos,
    size_t offset, u_char *dst, size_t len);


#endif /* _NGX_HTTP_RT_RING_H_INCLUDED_ */
