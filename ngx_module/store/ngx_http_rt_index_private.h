/*
 * What the files of the index share: ngx_http_rt_index.c has cells, the hash
 * table and order lists, ngx_http_rt_index_key.c the idempotency keys,
 * ngx_http_rt_presence.c the subscribers, and ngx_http_rt_index_repair.c what
 * is done after a death.
 */

#ifndef _NGX_HTTP_RT_INDEX_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_RT_INDEX_PRIVATE_H_INCLUDED_


#include <string.h>

#include "ngx_http_rt_index.h"
#include "ngx_http_rt_pattern.h"


#define NGX_HTTP_RT_SLOT(p)   ((p) >> 24)
#define NGX_HTTP_RT_COUNT(p)  ((p) & NGX_HTTP_RT_PRESENCE_MAX)

/* readers have it: a pattern, or a topic with subscribers */

#define ngx_http_rt_index_held(cell)                                          \
    ((cell)->kind == NGX_HTTP_RT_CELL_PATTERN                                 \
     || ((cell)->kind == NGX_HTTP_RT_CELL_TOPIC && !(cell)->listed))


/* the cell of a link; NULL: there is none, or the link is damaged */

static inline ngx_http_rt_cell_t *
ngx_http_rt_index_at(ngx_http_rt_index_t *index, uint32_t n)
{
    if (n >= index->ncells) {
        index->damaged = 1;
        return NULL;
    }

    return n ? &index->cells[n] : NULL;
}


/* the next in a bucket; no bucket has more cells than there are */

static inline ngx_http_rt_cell_t *
ngx_http_rt_index_next(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell,
    uint32_t *steps)
{
    if (++*steps >= index->ncells) {
        index->damaged = 1;
        return NULL;
    }

    return ngx_http_rt_index_at(index, cell->next);
}


ngx_http_rt_cell_t *ngx_http_rt_index_alloc(ngx_http_rt_index_t *index,
    unsigned kind);
void ngx_http_rt_index_free(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
void ngx_http_rt_index_hang(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
void ngx_http_rt_index_list(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
void ngx_http_rt_index_unlist(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);

ngx_http_rt_cell_t *ngx_http_rt_index_next_crowd(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *in, uint32_t *steps);
uint32_t ngx_http_rt_index_weight(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
int ngx_http_rt_index_vacant(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
void ngx_http_rt_index_dedup(ngx_http_rt_cell_t *in);
void ngx_http_rt_index_count_rung(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);


#endif /* _NGX_HTTP_RT_INDEX_PRIVATE_H_INCLUDED_ */
