/*
 * SipHash-1-3; see the header.  Words are read in the machine's byte order: the
 * value is for tables in memory, not to be stored or sent.
 */

#include <string.h>

#include "ngx_http_rt_hash.h"


#define ngx_http_rt_rotl(x, b)  (((x) << (b)) | ((x) >> (64 - (b))))

#define ngx_http_rt_sipround(v0, v1, v2, v3)                                  \
    do {                                                                      \
        v0 += v1;                                                             \
        v2 += v3;                                                             \
        v1 = ngx_http_rt_rotl(v1, 13) ^ v0;                                   \
        v3 = ngx_http_rt_rotl(v3, 16) ^ v2;                                   \
        v0 = ngx_http_rt_rotl(v0, 32);                                        \
        v2 += v1;                                                             \
        v0 += v3;                                                             \
        v1 = ngx_http_rt_rotl(v1, 17) ^ v2;                                   \
        v3 = ngx_http_rt_rotl(v3, 21) ^ v0;                                   \
        v2 = ngx_http_rt_rotl(v2, 32);                                        \
    } while (0)


uint64_t
ngx_http_rt_siphash(const ngx_http_rt_hash_key_t *key, const u_char *p,
    size_t len)
{
    uint64_t  v0, v1, v2, v3, m, last;

    v0 = key->k0 ^ 0x736f6d6570736575ULL;
    v1 = key->k1 ^ 0x646f72616e646f6dULL;
    v2 = key->k0 ^ 0x6c7967656e657261ULL;
    v3 = key->k1 ^ 0x7465646279746573ULL;

    last = (uint64_t) len << 56;

    while (len >= 8) {
        memcpy(&m, p, 8);

        v3 ^= m;
        ngx_http_rt_sipround(v0, v1, v2, v3);
        v0 ^= m;

        p += 8;
        len -= 8;
    }

    m = 0;
    memcpy(&m, p, len);
    last |= m;

    v3 ^= last;
    ngx_http_rt_sipround(v0, v1, v2, v3);
    v0 ^= last;

    v2 ^= 0xff;
    ngx_http_rt_sipround(v0, v1, v2, v3);
    ngx_http_rt_sipround(v0, v1, v2, v3);
    ngx_http_rt_sipround(v0, v1, v2, v3);

    return v0 ^ v1 ^ v2 ^ v3;
}
