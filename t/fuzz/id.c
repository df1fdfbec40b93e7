/*
 * Ids: what is taken for one is what we would write, but for zeros in front of
 * the epoch; and whatever we write is taken for itself.
 *
 * Sources: ngx_http_rt_id.c
 */


#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <ngx_http_rt_id.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t            zeros;
    u_char           *end, buf[NGX_HTTP_RT_ID_LEN];
    uint64_t          n[2];
    ngx_http_rt_id_t  id;

    if (ngx_http_rt_id_parse(data, size, &id) == 0) {
        end = ngx_http_rt_id_write(buf, id.epoch, id.seq);
        zeros = 0;

        while (data[zeros] == '0' && data[zeros + 1] != '-') {
            zeros++;
        }

        if ((size_t) (end - buf) != size - zeros
            || memcmp(buf, data + zeros, end - buf) != 0)
        {
            abort();
        }
    }

    if (size >= sizeof(n)) {
        memcpy(n, data, sizeof(n));
        end = ngx_http_rt_id_write(buf, n[0], n[1]);

        if (end - buf > NGX_HTTP_RT_ID_LEN
            || ngx_http_rt_id_parse(buf, end - buf, &id) != 0
            || id.epoch != n[0]
            || id.seq != n[1])
        {
            abort();
        }
    }

    return 0;
}
