/*
 * What is known of a topic: who subscribes to it, what the ring holds of it,
 * and where a reader may begin.
 */

#include "ngx_http_rt_topic_private.h"


ngx_http_rt_cell_t *
ngx_http_rt_topic_find(ngx_http_rt_store_t *store, const u_char *name,
    size_t len, uint32_t hash)
{
    return ngx_http_rt_index_find(&store->index, NGX_HTTP_RT_CELL_TOPIC, hash,
                                  name, len);
}


/* who subscribes to it, and to patterns it matches; cell: NULL if not known */

void
ngx_http_rt_topic_presence(ngx_http_rt_store_t *store,
    ngx_http_rt_cell_t *cell, const u_char *name, size_t len,
    ngx_http_rt_presence_t *p)
{
    memset(p, 0, sizeof(ngx_http_rt_presence_t));

    if (cell) {
        ngx_http_rt_index_presence(&store->index, cell, p);
    }

    ngx_http_rt_index_patterns(&store->index, name, len, p);
}


void
ngx_http_rt_topic_stat(ngx_http_rt_store_t *store, ngx_http_rt_cell_t *cell,
    ngx_http_rt_topic_stat_t *stat)
{
    ngx_http_rt_record_t      *rec;
    ngx_http_rt_cell_topic_t  *t;

    t = &cell->topic;

    memset(stat, 0, sizeof(ngx_http_rt_topic_stat_t));

    ngx_http_rt_topic_verify(store, cell);

    if (t->first == 0) {
        return;
    }

    rec = ngx_http_rt_record(&store->ring, t->first);

    stat->messages = t->ordinal - rec->ordinal + 1;
    stat->bytes = t->bytes - rec->bytes + rec->data_len;
    stat->first = rec->seq;
    stat->last = t->seq;
}


void
ngx_http_rt_topic_view(ngx_http_rt_store_t *store, ngx_http_rt_cell_t *cell,
    uint32_t hash, ngx_http_rt_view_t *view)
{
    ngx_http_rt_cell_topic_t  *t;

    memset(view, 0, sizeof(ngx_http_rt_view_t));

    view->now = store->ring.seq;

    if (cell == NULL) {
        view->seq = ngx_http_rt_index_forgotten(&store->index, hash);
        return;
    }

    ngx_http_rt_topic_verify(store, cell);

    t = &cell->topic;

    view->id = cell->id;
    view->cell = ngx_http_rt_index_number(&store->index, cell);
    view->first = t->first;
    view->last = t->last;
    view->seq = t->seq;
    view->floor = t->floor;
    view->deleted = t->deleted;
    view->ordinal = t->ordinal;
}
