/*
 * Bounds: what a reader of patterns is not to get of single topics, though it
 * may still lie in the ring.
 */

#ifndef _NGX_HTTP_RT_BOUNDS_H_INCLUDED_
#define _NGX_HTTP_RT_BOUNDS_H_INCLUDED_


#include "ngx_http_rt_zone.h"


/* topics whose bounds are kept, and gaps told one by one */
#define NGX_HTTP_RT_BOUNDS_MAX  4096


typedef struct {
    uint32_t                   cell;
    uint64_t                   id;      /* of the topic */
    uint64_t                   seq;     /* nothing up to here */
} ngx_http_rt_bound_t;


typedef struct {
    ngx_uint_t                 n;
    ngx_uint_t                 size;
    ngx_http_rt_bound_t       *elts;    /* by cell */
} ngx_http_rt_bounds_t;


/* in the order of cells; beyond the maximum nothing is added */
ngx_int_t ngx_http_rt_bounds_add(ngx_http_rt_bounds_t *bounds,
    ngx_http_rt_view_t *view, uint64_t seq);

/* up to which seq nothing of a topic is to be delivered, or 0 */
uint64_t ngx_http_rt_bounds_of(const ngx_http_rt_bounds_t *bounds,
    uint32_t cell, uint64_t id);

void ngx_http_rt_bounds_free(ngx_http_rt_bounds_t *bounds);


#endif /* _NGX_HTTP_RT_BOUNDS_H_INCLUDED_ */
