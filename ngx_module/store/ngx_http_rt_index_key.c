/*
 * Idempotency keys in the index.  They are digests, so they are their own hash;
 * the oldest one is at the end of their list.
 */

#include "ngx_http_rt_index_private.h"


ngx_http_rt_cell_t *
ngx_http_rt_index_find_key(ngx_http_rt_index_t *index, const u_char *key)
{
    uint32_t             hash, steps;
    ngx_http_rt_cell_t  *cell;

    memcpy(&hash, key, sizeof(uint32_t));

    steps = 0;

    for (cell = ngx_http_rt_index_at(index,
                                     index->buckets[hash & index->mask]);
         cell;
         cell = ngx_http_rt_index_next(index, cell, &steps))
    {
        if (cell->hash == hash && cell->kind == NGX_HTTP_RT_CELL_KEY
            && memcmp(cell->key.key, key, sizeof(cell->key.key)) == 0)
        {
            return cell;
        }
    }

    return NULL;
}


/* keys older than "expired" make room first */

ngx_http_rt_cell_t *
ngx_http_rt_index_add_key(ngx_http_rt_index_t *index,
    const ngx_http_rt_key_t *key, uint64_t expired)
{
    int                  i;
    ngx_http_rt_cell_t  *cell;

    index->expired = expired;

    for (i = 0; i < 2; i++) {
        cell = ngx_http_rt_index_at(index, index->keys.oldest);

        if (cell && cell->key.time < expired) {
            ngx_http_rt_index_remove(index, cell);
        }
    }

    cell = ngx_http_rt_index_alloc(index, NGX_HTTP_RT_CELL_KEY);
    if (cell == NULL) {
        return NULL;
    }

    memcpy(&cell->hash, key->key, sizeof(uint32_t));
    cell->key = *key;

    ngx_http_rt_index_hang(index, cell);
    ngx_http_rt_index_list(index, cell);

    return cell;
}
