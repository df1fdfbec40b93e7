/*
 * Pins, and what is written into blobs; the header has the rules.
 */

#include <string.h>

#include "ngx_http_rt_blob.h"


void
ngx_http_rt_blob_pin(ngx_http_rt_ring_t *ring, ngx_http_rt_pins_t *pins,
    unsigned slot, uint64_t pos)
{
    unsigned  i;
    uint64_t  least;

    pins->pos[slot] = pos;

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


void
ngx_http_rt_blob_write(ngx_http_rt_ring_t *ring, uint64_t pos,
    const u_char *data, size_t len)
{
    memcpy(&ngx_http_rt_record(ring, pos)[1], data, len);
}
