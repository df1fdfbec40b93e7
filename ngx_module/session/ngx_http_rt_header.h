/*
 * Headers: those of an answer are added, those of a request are found.
 */

#ifndef _NGX_HTTP_RT_HEADER_H_INCLUDED_
#define _NGX_HTTP_RT_HEADER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* name is static, value is copied */
ngx_int_t ngx_http_rt_header_add(ngx_http_request_t *r, const char *name,
    const u_char *value, size_t len);

/* Realtime-Last-Id: the position that a client has with this answer */
ngx_int_t ngx_http_rt_header_id(ngx_http_request_t *r, uint64_t epoch,
    uint64_t seq);

/* what is sent as it becomes is neither cached nor held back */
ngx_int_t ngx_http_rt_header_live(ngx_http_request_t *r);

/* the first line of this name, or NULL */
ngx_table_elt_t *ngx_http_rt_header_find(ngx_http_request_t *r,
    const char *name);

/* all lines of this name as one list (RFC 9110, 5.3); empty: there is none */
ngx_int_t ngx_http_rt_header_list(ngx_http_request_t *r, const char *name,
    ngx_str_t *list);

/* where a list between commas has the token, whatever its case; or NULL */
u_char *ngx_http_rt_header_token(ngx_str_t *list, const char *token);


#endif /* _NGX_HTTP_RT_HEADER_H_INCLUDED_ */
