/*
 * The versions of an If-Match (RFC 9110, 13.1.1): a list of ETags, each of them
 * a number, in quotes or bare.  What compresses an answer makes its ETag weak,
 * W/"2", and leaves the version as it is, so these are taken as well.
 */

#ifndef _NGX_HTTP_RT_VERSIONS_H_INCLUDED_
#define _NGX_HTTP_RT_VERSIONS_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


#define NGX_HTTP_RT_VERSIONS_MAX  16


/* how many; 0: "*", any version will do; -1: malformed, or too many */
int ngx_http_rt_versions_parse(const u_char *s, size_t len,
    uint64_t versions[NGX_HTTP_RT_VERSIONS_MAX]);


#endif /* _NGX_HTTP_RT_VERSIONS_H_INCLUDED_ */
