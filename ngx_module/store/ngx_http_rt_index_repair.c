/*
 * What is done to the index after a process has died in the middle of a change,
 * or a damaged link has been found: everything is derived anew from what hangs
 * in the hash table.  The order of the lists is lost; keys and idle topics go
 * in the order of their cells.
 */

#include "ngx_http_rt_index_private.h"


static void ngx_http_rt_index_mark_bucket(ngx_http_rt_index_t *index,
    uint32_t *bucket);
static int ngx_http_rt_index_mark_cell(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
static int ngx_http_rt_index_marks(ngx_http_rt_index_t *index, uint32_t *link,
    unsigned kind);
static void ngx_http_rt_index_restore(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);


void
ngx_http_rt_index_repair(ngx_http_rt_index_t *index)
{
    uint32_t             i;
    ngx_http_rt_cell_t  *cell;

    index->mark++;
    index->damaged = 0;
    index->free = 0;
    index->nfree = 0;
    index->topics = 0;
    index->patterns = 0;
    index->nkeys = 0;
    index->nreaders = 0;
    memset(&index->idle, 0, sizeof(ngx_http_rt_index_list_t));
    memset(&index->keys, 0, sizeof(ngx_http_rt_index_list_t));
    memset(&index->shapeless, 0, sizeof(ngx_http_rt_index_list_t));
    memset(index->rung, 0, sizeof(index->rung));
    ngx_http_rt_shapes_clear(&index->shapes);

    for (i = 0; i <= index->mask; i++) {
        ngx_http_rt_index_mark_bucket(index, &index->buckets[i]);
    }

    for (i = index->ncells - 1; i; i--) {
        cell = &index->cells[i];

        if (cell->mark != index->mark) {
            ngx_http_rt_index_free(index, cell);
        }
    }

    for (i = 1; i < index->ncells; i++) {
        ngx_http_rt_index_restore(index, &index->cells[i]);
    }
}


/* a link to a cell that cannot be there ends the bucket */

static void
ngx_http_rt_index_mark_bucket(ngx_http_rt_index_t *index, uint32_t *bucket)
{
    uint32_t            *link;
    ngx_http_rt_cell_t  *cell;

    for (link = bucket; *link; link = &cell->next) {

        if (*link >= index->ncells) {
            *link = 0;
            return;
        }

        cell = &index->cells[*link];

        if (cell->mark == index->mark
            || &index->buckets[cell->hash & index->mask] != bucket)
        {
            *link = 0;
            return;
        }

        if (ngx_http_rt_index_mark_cell(index, cell) != 0) {
            cell->mark = index->mark - 1;
            *link = 0;
            return;
        }
    }
}


static int
ngx_http_rt_index_mark_cell(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell)
{
    size_t               len;
    u_char               name[NGX_HTTP_RT_TOPIC_MAX];
    uint32_t            *link;

    if (cell->kind != NGX_HTTP_RT_CELL_KEY
        && cell->kind != NGX_HTTP_RT_CELL_TOPIC
        && cell->kind != NGX_HTTP_RT_CELL_PATTERN)
    {
        return -1;
    }

    cell->mark = index->mark;
    cell->listed = 0;

    if (cell->kind == NGX_HTTP_RT_CELL_KEY) {
        return 0;
    }

    if (cell->name_len > NGX_HTTP_RT_CELL_NAME
        && (cell->rest == 0
            || !ngx_http_rt_index_marks(index, &cell->rest,
                                        NGX_HTTP_RT_CELL_REST)))
    {
        return -1;
    }

    for (link = &cell->crowd; *link; link = &index->cells[*link].next) {
        if (!ngx_http_rt_index_marks(index, link, NGX_HTTP_RT_CELL_CROWDED)) {
            break;
        }
    }

    if (cell->kind == NGX_HTTP_RT_CELL_TOPIC) {
        index->topics++;
        return 0;
    }

    if (cell->shape != NGX_HTTP_RT_SHAPE_NONE) {
        len = ngx_http_rt_index_name(index, cell, name);

        if (ngx_http_rt_shapes_recount(&index->shapes, cell->shape, name, len)
            != 0)
        {
            return -1;
        }
    }

    index->patterns++;

    return 0;
}


/* a cell that belongs to another one; the link is cut if it cannot */

static int
ngx_http_rt_index_marks(ngx_http_rt_index_t *index, uint32_t *link,
    unsigned kind)
{
    ngx_http_rt_cell_t  *cell;

    if (*link < index->ncells) {
        cell = &index->cells[*link];

        if (cell->kind == kind && cell->mark != index->mark) {
            cell->mark = index->mark;
            return 1;
        }
    }

    *link = 0;

    return 0;
}


static void
ngx_http_rt_index_restore(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell)
{
    uint32_t             steps;
    ngx_http_rt_cell_t  *more;

    if (cell->kind == NGX_HTTP_RT_CELL_KEY) {
        ngx_http_rt_index_list(index, cell);
        return;
    }

    if (cell->kind != NGX_HTTP_RT_CELL_TOPIC
        && cell->kind != NGX_HTTP_RT_CELL_PATTERN)
    {
        return;
    }

    steps = 0;

    for (more = cell;
         more;
         more = ngx_http_rt_index_next_crowd(index, more, &steps))
    {
        ngx_http_rt_index_dedup(more);
    }

    if (cell->kind == NGX_HTTP_RT_CELL_TOPIC) {

        /* also a topic of no use stays: a message may not be linked yet */

        if (ngx_http_rt_index_vacant(index, cell)) {
            ngx_http_rt_index_list(index, cell);

        } else {
            index->nreaders += ngx_http_rt_index_weight(index, cell);
        }

        return;
    }

    index->nreaders += ngx_http_rt_index_weight(index, cell);

    if (cell->shape == NGX_HTTP_RT_SHAPE_NONE) {
        ngx_http_rt_index_list(index, cell);
        ngx_http_rt_index_count_rung(index, cell);
    }

    if (ngx_http_rt_index_vacant(index, cell)) {
        ngx_http_rt_index_remove(index, cell);
    }
}
