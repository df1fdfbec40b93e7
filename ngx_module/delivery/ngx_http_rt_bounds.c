/*
 * Bounds of single topics, sorted by their cells, as a pass over the index
 * finds them.
 */

#include "ngx_http_rt_bounds.h"


ngx_int_t
ngx_http_rt_bounds_add(ngx_http_rt_bounds_t *bounds, ngx_http_rt_view_t *view,
    uint64_t seq)
{
    ngx_uint_t            size;
    ngx_http_rt_bound_t  *bound;

    if (bounds->n == NGX_HTTP_RT_BOUNDS_MAX) {
        return NGX_OK;
    }

    if (bounds->n == bounds->size) {
        size = ngx_max(2 * bounds->size, 16);

        bound = realloc(bounds->elts, size * sizeof(ngx_http_rt_bound_t));
        if (bound == NULL) {
            return NGX_ERROR;
        }

        bounds->elts = bound;
        bounds->size = size;
    }

    bound = &bounds->elts[bounds->n++];

    bound->cell = view->cell;
    bound->id = view->id;
    bound->seq = seq;

    return NGX_OK;
}


uint64_t
ngx_http_rt_bounds_of(const ngx_http_rt_bounds_t *bounds, uint32_t cell,
    uint64_t id)
{
    ngx_uint_t            low, high, i;
    ngx_http_rt_bound_t  *bound;

    low = 0;
    high = bounds->n;

    while (low < high) {
        i = (low + high) / 2;
        bound = &bounds->elts[i];

        if (bound->cell == cell) {
            return (bound->id == id) ? bound->seq : 0;
        }

        if (bound->cell < cell) {
            low = i + 1;

        } else {
            high = i;
        }
    }

    return 0;
}


void
ngx_http_rt_bounds_free(ngx_http_rt_bounds_t *bounds)
{
    if (bounds->elts) {
        ngx_free(bounds->elts);
        ngx_memzero(bounds, sizeof(ngx_http_rt_bounds_t));
    }
}
