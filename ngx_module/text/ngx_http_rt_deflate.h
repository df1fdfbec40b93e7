/*
 * Compression for permessage-deflate (RFC 7692), with zlib: one message at a
 * time, which depends on no other.
 */

#ifndef _NGX_HTTP_RT_DEFLATE_H_INCLUDED_
#define _NGX_HTTP_RT_DEFLATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * The length of the compressed bytes in dst, which has room for len; 0 if they
 * would not be fewer.  The window is what the client allows, 9 to 15 bits.
 */
size_t ngx_http_rt_deflate(ngx_uint_t window, ngx_int_t level,
    const u_char *src, size_t len, u_char *dst);

/*
 * NGX_DECLINED: more than max bytes come out; NGX_ERROR: these are not deflated
 * bytes, or there is no memory.  The result is valid until the next call.
 */
ngx_int_t ngx_http_rt_inflate(u_char *src, size_t len, size_t max,
    ngx_str_t *dst);


#endif /* _NGX_HTTP_RT_DEFLATE_H_INCLUDED_ */
