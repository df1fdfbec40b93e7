/*
 * Which requests can be saved: those of which everything is known.
 *
 * A request stays whole if it has the context or a cleanup of a module that is
 * not known here, an upstream, a body or a post_action; if it waits for
 * something; or if another handler than access_log's is called at its end.
 *
 * Last, no word that is saved may point into what is freed: a field of nginx's
 * structure that is not known here prevents its request from being saved.
 */

#include "ngx_http_rt_session.h"
#include "ngx_http_rt_saved.h"


static ngx_uint_t ngx_http_rt_savable_contexts(ngx_http_request_t *r);
static ngx_uint_t ngx_http_rt_savable_cleanups(ngx_http_rt_session_t *s,
    ngx_http_request_t *r);
static ngx_uint_t ngx_http_rt_savable_freed(ngx_http_request_t *r, u_char *p);


extern ngx_module_t  ngx_http_realtime_module;


/* modules whose context no variable reads, and that do nothing more by now */

static const char  *ngx_http_rt_savable_modules[] = {
    "ngx_http_copy_filter_module",
    "ngx_http_chunked_filter_module",
    "ngx_http_header_count_module",
    "ngx_http_auth_request_module",
    NULL
};


ngx_uint_t
ngx_http_rt_savable(ngx_http_rt_session_t *s, ngx_http_request_t *r)
{
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    /* access_log's own handler is always there */

    if (cmcf->phases[NGX_HTTP_LOG_PHASE].handlers.nelts != 1
        || s->core_conf->post_action.data)
    {
        return 0;
    }

    if (r != r->main || r->parent || r->stream || r->count != 1 || r->blocked
        || r->aio || r->logged || r->buffered || r->reading_body
        || r->upstream || r->upstream_states || r->request_body
        || r->out || r->postponed || r->posted_requests || r->post_subrequest)
    {
        return 0;
    }

#if (NGX_HTTP_CACHE)
    if (r->cache) {
        return 0;
    }
#endif

    if (r->header_in->pos < r->header_in->last
        || r->headers_out.override_charset
        || r->headers_out.trailers.part.nelts)
    {
        return 0;
    }

    return ngx_http_rt_savable_contexts(r)
           && ngx_http_rt_savable_cleanups(s, r);
}


static ngx_uint_t
ngx_http_rt_savable_contexts(ngx_http_request_t *r)
{
    ngx_uint_t      i, n;
    ngx_module_t  **modules;

    modules = ngx_cycle->modules;

    for (i = 0; modules[i]; i++) {

        if (modules[i]->type != NGX_HTTP_MODULE
            || modules[i] == &ngx_http_realtime_module
            || r->ctx[modules[i]->ctx_index] == NULL)
        {
            continue;
        }

        for (n = 0; ngx_http_rt_savable_modules[n]; n++) {
            if (ngx_strcmp(ngx_http_rt_savable_modules[n], modules[i]->name)
                == 0)
            {
                break;
            }
        }

        if (ngx_http_rt_savable_modules[n] == NULL) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_rt_savable_cleanups(ngx_http_rt_session_t *s, ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;
    ngx_pool_cleanup_t  *pcln;

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->handler && cln->data != s) {
            return 0;
        }
    }

    for (pcln = r->pool->cleanup; pcln; pcln = pcln->next) {
        if (pcln->handler && pcln->data != s
            && pcln->handler != ngx_http_rt_saved_free
            && (pcln->handler != ngx_http_rt_held_free
                || !ngx_http_rt_held_known(r, pcln->data)))
        {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_http_rt_savable_inside(ngx_http_request_t *r, void *data, size_t size)
{
    u_char  *p, *end, *word;

    p = data;

    for (end = p + size; p < end; p += NGX_HTTP_RT_SAVED_WORD) {

        ngx_memcpy(&word, p, NGX_HTTP_RT_SAVED_WORD);

        if (word && ngx_http_rt_savable_freed(r, word)) {
            return 1;
        }
    }

    return 0;
}


/* what is freed with the request */

static ngx_uint_t
ngx_http_rt_savable_freed(ngx_http_request_t *r, u_char *p)
{
    ngx_buf_t         *b;
    ngx_pool_t        *pool;
    ngx_chain_t       *cl;
    ngx_pool_large_t  *l;

    for (pool = r->pool; pool; pool = pool->d.next) {
        if (p >= (u_char *) pool && p < pool->d.end) {
            return 1;
        }
    }

    for (l = r->pool->large; l; l = l->next) {
        if (p == l->alloc) {
            return 1;
        }
    }

    b = r->connection->buffer;

    if (p >= b->start && p < b->end) {
        return 1;
    }

    for (cl = r->http_connection->busy; cl; cl = cl->next) {
        if (p >= cl->buf->start && p < cl->buf->end) {
            return 1;
        }
    }

    return 0;
}
