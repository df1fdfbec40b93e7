/*
 * Blobs: the data of a large message, copied into the ring while others
 * publish.
 *
 *     under the mutex    a blob is reserved: a filler, and a pin on it
 *     without it         the data is copied into the blob
 *     under the mutex    the message is appended as any other, but for its
 *                        data, whose place it names; the pin goes
 *
 *     | rec | blob ........ | rec | rec | message | rec |
 *             ^ pin                         |
 *             +-----------------------------+
 *
 * So messages stay in the order of seq, and readers see a message when its data
 * is there.  A blob lies before its message; when the tail passes it, the
 * message is lost with it, and its topic's floor says so.
 *
 * While a slot has a pin, the tail does not pass it: who needs the room has to
 * try again.  A blob without a message, because its process died, is a filler;
 * the pin goes when the dead process's slot is freed.  If it died under the
 * mutex, a repair takes back what it did not complete: a pin on a blob that is
 * not there, and a blob's message that has not been committed.
 */

#ifndef _NGX_HTTP_RT_BLOB_H_INCLUDED_
#define _NGX_HTTP_RT_BLOB_H_INCLUDED_


#include "ngx_http_rt_index.h"
#include "ngx_http_rt_ring.h"


/* smaller data is copied under the mutex: a microsecond or two */
#define NGX_HTTP_RT_BLOB_MIN  (16 * 1024)


/* one that has more than this part of the ring behind it would soon be lost, */
/* and its message with it */
#define NGX_HTTP_RT_BLOB_OLD  2


typedef struct {
    uint64_t                 pos[NGX_HTTP_RT_SLOTS];    /* or 0 */
} ngx_http_rt_pins_t;


/* under the mutex */
void ngx_http_rt_blob_pin(ngx_http_rt_ring_t *ring, ngx_http_rt_pins_t *pins,
    unsigned slot, uint64_t pos);
void ngx_http_rt_blob_unpin(ngx_http_rt_ring_t *ring, ngx_http_rt_pins_t *pins,
    unsigned slot);
void ngx_http_rt_blob_repair(ngx_http_rt_ring_t *ring,
    ngx_http_rt_pins_t *pins);

/* without it, as long as it is pinned */
void ngx_http_rt_blob_write(ngx_http_rt_ring_t *ring, uint64_t pos,
    const u_char *data, size_t len);


#endif /* _NGX_HTTP_RT_BLOB_H_INCLUDED_ */
