/*
 * CRC-32C.  The table is built at the first use without the instruction.
 */


#include "rt_crc32c.h"


#define RT_CRC32C_POLY  0x82f63b78          /* reversed */


static uint32_t  rt_crc32c_bytes[256];


static __attribute__((constructor)) void
rt_crc32c_init(void)
{
    uint32_t  c, i, k;

    for (i = 0; i < 256; i++) {
        c = i;

        for (k = 0; k < 8; k++) {
            c = c & 1 ? c >> 1 ^ RT_CRC32C_POLY : c >> 1;
        }

        rt_crc32c_bytes[i] = c;
    }
}


uint32_t
rt_crc32c_table(uint32_t seed, const void *data, size_t size)
{
    uint32_t       c;
    const u_char  *p, *last;

    c = ~seed;
    p = data;

    for (last = p + size; p < last; p++) {
        c = c >> 8 ^ rt_crc32c_bytes[(c ^ *p) & 0xff];
    }

    return ~c;
}


#if defined(__x86_64__)

static __attribute__((target("sse4.2"))) uint32_t
rt_crc32c_sse(uint32_t seed, const void *data, size_t size)
{
    uint64_t       c, v;
    const u_char  *p;

    c = (uint32_t) ~seed;
    p = data;

    for ( /* void */ ; size >= 8; size -= 8, p += 8) {
        memcpy(&v, p, 8);
        c = __builtin_ia32_crc32di(c, v);
    }

    for ( /* void */ ; size; size--, p++) {
        c = __builtin_ia32_crc32qi((uint32_t) c, *p);
    }

    return ~(uint32_t) c;
}


uint32_t
rt_crc32c(uint32_t seed, const void *data, size_t size)
{
    static int  has = -1;

    if (rt_unlikely(has == -1)) {
        has = __builtin_cpu_supports("sse4.2") != 0;
    }

    return has ? rt_crc32c_sse(seed, data, size)
               : rt_crc32c_table(seed, data, size);
}

#else

uint32_t
rt_crc32c(uint32_t seed, const void *data, size_t size)
{
    return rt_crc32c_table(seed, data, size);
}

#endif
