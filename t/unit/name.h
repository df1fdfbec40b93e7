/*
 * The hash of a name, as an index with a seed of zeros has it.
 */


#ifndef _NAME_H_INCLUDED_
#define _NAME_H_INCLUDED_


#include <ngx_http_rt_hash.h>


static uint32_t
name_hash(const u_char *p, size_t len)
{
    uint64_t                       hash;
    static ngx_http_rt_hash_key_t  zero;

    hash = ngx_http_rt_siphash(&zero, p, len);

    return (uint32_t) (hash ^ hash >> 32);
}


#endif /* _NAME_H_INCLUDED_ */
