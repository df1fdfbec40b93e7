/*
 * Values of the request headers that choose and shape a transport: Accept
 * (RFC 9110, 12.5.1) and Prefer (RFC 7240).
 */


#ifndef _NGX_HTTP_RT_ACCEPT_H_INCLUDED_
#define _NGX_HTTP_RT_ACCEPT_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


#define NGX_HTTP_RT_PREFER_WAIT_MAX  86400


/*
 * The index of the type to serve, or -1 if none is acceptable.  types are in
 * the server's order, lower-case; NULL is one that no media type asks for.
 */
int ngx_http_rt_accept_choose(const u_char *p, size_t len,
    const char *const *types, size_t n);

/* 1 and *seconds if there is a "wait=N", else 0 */
int ngx_http_rt_prefer_wait(const u_char *p, size_t len, unsigned *seconds);


#endif /* _NGX_HTTP_RT_ACCEPT_H_INCLUDED_ */
