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
 * Readers take no lock.  They copy out first and look at the tail afterwards:
 * if it has passed the record meanwhile, what was copied is worthless, and the
 * reader has been lapped.
 */

#ifndef _NGX_HTTP_RT_RING_H_INCLUDED_
#define _NGX_HTTP_RT_RING_H_INCLUDED_


#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>


#define NGX_HTTP_RT_RING_ALIGN    8

/* a message may take this part of the ring, so that an append leaves most */
#define NGX_HTTP_RT_RING_SHARE    4

/* how finely a position can be found by its seq: parts of the ring */
#define NGX_HTTP_RT_RING_MARKS    1024

#define NGX_HTTP_RT_RECORD_FILLER 0x01
#define NGX_HTTP_RT_RECORD_BINARY 0x02
#define NGX_HTTP_RT_RECORD_BLOB   0x04  /* a filler with a message's data, */
#define NGX_HTTP_RT_RECORD_APART  0x08  /* and that message */
#define NGX_HTTP_RT_RECORD_DELETED 0x10

#define NGX_HTTP_RT_RING_OK       0
#define NGX_HTTP_RT_RING_END      1
#define NGX_HTTP_RT_RING_LAPPED   2


/* followed by topic, event, type and data, or the position of its blob, */
/* without separators */

typedef struct {
    uint32_t              size;         /* with the bytes, multiple of 8 */
    uint32_t              flags;

    uint64_t              seq;
    uint64_t              time;         /* ms since 1970 */
    uint64_t              ordinal;      /* number in its topic, from 1 */
    uint64_t              bytes;        /* data of the topic up to here */
    uint64_t              interest;     /* slots to be rung, modulo 64 */

    uint64_t              topic_id;
    uint32_t              topic;        /* its cell in the index */
    uint32_t              hash;         /* of the topic's name */

    uint32_t              prev;         /* of the topic, in units of 8 bytes */
    uint32_t              next;         /* back and ahead from here, 0: none */

    uint32_t              data_len;
    uint8_t               topic_len;
    uint8_t               event_len;
    uint8_t               type_len;
    uint8_t               reserved;
} ngx_http_rt_record_t;


typedef struct {
    uint64_t              seq;          /* of the first record that */
    uint64_t              pos;          /* begins in this part, and where */
} ngx_http_rt_ring_mark_t;


typedef struct {
    u_char               *base;         /* in the zone, as we are */
    uint64_t              size;
    uint64_t              seq;          /* last committed */

    uint64_t              head  __attribute__((aligned(64)));
    uint64_t              tail  __attribute__((aligned(64)));
    uint64_t              pin;          /* the tail must not pass it, or 0 */

    ngx_http_rt_ring_mark_t  marks[NGX_HTTP_RT_RING_MARKS]
                                __attribute__((aligned(64)));
} ngx_http_rt_ring_t;


typedef void (*ngx_http_rt_ring_evict_pt)(void *data,
    ngx_http_rt_record_t *rec, uint64_t pos);


#define ngx_http_rt_record(ring, pos)                                         \
    ((ngx_http_rt_record_t *) ((ring)->base + (pos) % (ring)->size))

#define ngx_http_rt_record_next(rec, pos)                                     \
    ((rec)->next ? (pos) + (uint64_t) (rec)->next * NGX_HTTP_RT_RING_ALIGN : 0)

#define ngx_http_rt_record_prev(rec, pos)                                     \
    ((rec)->prev ? (pos) - (uint64_t) (rec)->prev * NGX_HTTP_RT_RING_ALIGN : 0)

/* what it has of the message, wherever the data is */

#define ngx_http_rt_record_load(rec)                                          \
    (sizeof(ngx_http_rt_record_t) + (rec)->topic_len + (rec)->event_len       \
     + (rec)->type_len + (rec)->data_len)

#define ngx_http_rt_ring_head(ring)                                           \
    __atomic_load_n(&(ring)->head, __ATOMIC_ACQUIRE)


void ngx_http_rt_ring_init(ngx_http_rt_ring_t *ring, u_char *base,
    size_t size);
size_t ngx_http_rt_record_size(size_t topic, size_t event, size_t type,
    size_t data);

/* the writer, under the zone's mutex; 0: a pin is in the way */
uint64_t ngx_http_rt_ring_reserve(ngx_http_rt_ring_t *ring, uint64_t at,
    size_t size, ngx_http_rt_ring_evict_pt evict, void *data);
void ngx_http_rt_ring_commit(ngx_http_rt_ring_t *ring, uint64_t from,
    uint64_t head);
uint64_t ngx_http_rt_ring_seek(ngx_http_rt_ring_t *ring, uint64_t seq);

/* readers */
int ngx_http_rt_ring_read(ngx_http_rt_ring_t *ring, uint64_t pos,
    ngx_http_rt_record_t *rec);
int ngx_http_rt_ring_scan(ngx_http_rt_ring_t *ring, uint64_t *pos,
    uint64_t end, ngx_http_rt_record_t *rec);
int ngx_http_rt_ring_copy(ngx_http_rt_ring_t *ring, uint64_t pos,
    size_t offset, u_char *dst, size_t len);


#endif /* _NGX_HTTP_RT_RING_H_INCLUDED_ */
