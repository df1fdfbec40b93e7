/*
 * The part of realtime_status that is about workers.
 */

#ifndef _NGX_HTTP_RT_WORKER_STATUS_H_INCLUDED_
#define _NGX_HTTP_RT_WORKER_STATUS_H_INCLUDED_


#include "ngx_http_rt_link.h"


typedef struct ngx_http_rt_worker_status_s  ngx_http_rt_worker_status_t;

/* answers, and returns what to finalize the request with */

typedef ngx_int_t (*ngx_http_rt_worker_status_pt)(ngx_http_request_t *r,
    ngx_http_rt_worker_status_t *status);


/*
 * NGX_OK: *sp is all there is; NGX_AGAIN: the daemons have been asked, and the
 * handler will be called with their answers; NGX_ERROR: no memory.
 */

ngx_int_t ngx_http_rt_worker_status(ngx_http_request_t *r, ngx_uint_t ask,
    ngx_http_rt_worker_status_pt handler, ngx_http_rt_worker_status_t **sp);

size_t ngx_http_rt_worker_status_size(ngx_http_rt_worker_status_t *status);
u_char *ngx_http_rt_worker_status_json(u_char *p,
    ngx_http_rt_worker_status_t *status);
u_char *ngx_http_rt_worker_status_text(u_char *p,
    ngx_http_rt_worker_status_t *status);


#endif /* _NGX_HTTP_RT_WORKER_STATUS_H_INCLUDED_ */
