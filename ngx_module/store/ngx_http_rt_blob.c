/*
 * Pins, and what is written into blobs; the header has the rules.
 */

#include <string.h>

#include "ngx_http_rt_blob.h"


static void ngx_http_rt_blob_least(ngx_http_rt_ring_t *ring,
    ngx_http_rt_pins_t *pins);


void
ngx_http_rt_blob_pin(ngx_http_rt_ring_t *ring, ngx_http_rt_pins_t *pins,
    unsigned slot, uint64_t pos)
{
    pins->pos[slot] = pos;

    ngx_http_rt_blob_least(ring, pins);
}


static void
ngx_http_rt_blob_least(ngx_http_rt_ring_t *ring, ngx_http_rt_pins_t *pins)
{
    unsigned  i;
    uint64_t  pos, least;

    least = 0;

    for (i = 0; i < NGX_HTTP_RT_SLOTS; i++) {
        pos = pins->pos[i];

        if (pos && (least == 0 || pos < least)) {
            least = pos;
        }
    }

    __atomic_store_n(&ring->pin, least, __ATOMIC_RELEASE);
}


void
ngx_http_rt_blob_unpin(ngx_http_rt_ring_t *ring, ngx_http_rt_pins_t *pins,
    unsigned slot)
{
    if (pins->pos[slot]) {
        ngx_http_rt_blob_pin(ring, pins, slot, 0);
    }
}


/*
 * The seq of a message that was not committed will be another one's, which
 * must not go with this blob.
 */

void
ngx_http_rt_blob_repair(ngx_http_rt_ring_t *ring, ngx_http_rt_pins_t *pins)
{
    unsigned               i;
    ngx_http_rt_record_t  *blob;

    for (i = 0; i < NGX_HTTP_RT_SLOTS; i++) {

        if (pins->pos[i] >= ring->head) {
            pins->pos[i] = 0;
        }

        if (pins->pos[i] == 0) {
            continue;
        }

        blob = ngx_http_rt_record(ring, pins->pos[i]);

        if (blob->seq > ring->seq) {
            blob->seq = 0;
        }
    }

    ngx_http_rt_blob_least(ring, pins);
}


void
ngx_http_rt_blob_write(ngx_http_rt_ring_t *ring, uint64_t pos,
    const u_char *data, size_t len)
{
    memcpy(&ngx_http_rt_record(ring, pos)[1], data, len);
}
