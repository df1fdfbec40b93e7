/*
 * A keyed hash for names that come from outside, so that nobody can choose many
 * that fall into one bucket: SipHash-1-3, of J.-P. Aumasson and D. J.
 * Bernstein, "SipHash: a fast short-input PRF", 2012, with one round for each
 * word and three at the end.  The key is random and never leaves the memory.
 */

#ifndef _NGX_HTTP_RT_HASH_H_INCLUDED_
#define _NGX_HTTP_RT_HASH_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


typedef struct {
    uint64_t  k0;
    uint64_t  k1;
} ngx_http_rt_hash_key_t;


uint64_t ngx_http_rt_siphash(const ngx_http_rt_hash_key_t *key,
    const u_char *p, size_t len);


#endif /* _NGX_HTTP_RT_HASH_H_INCLUDED_ */
