/*
 * What limit_conn holds for a request, in a pool of its own.
 *
 * limit_conn counts a request until the cleanup of its pool.  That cleanup and
 * its data must outlive the request when it is saved, but nobody else knows
 * their layout.  So limit_conn's handler of the preaccess phase is called
 * through this file, and is given a small pool in place of the request's for
 * the time of the call: what it leaves there can be moved from the request to
 * its copy and back, unseen.  The counting is limit_conn's, at its usual place
 * among the handlers.  The pool ends with the request otherwise.
 *
 * The handler is found by calling limit_conn's postconfiguration once more,
 * with phases of our own, to which it adds it.
 */

#include "ngx_http_rt_session.h"
#include "ngx_http_rt_saved.h"


/* holds two zones' counts; more make it grow */
#define NGX_HTTP_RT_HELD_POOL    160

/* r->limit_conn_status: it has been counted, in one zone at least */
#define NGX_HTTP_RT_HELD_PASSED  1


static ngx_int_t ngx_http_rt_held_handler(ngx_http_request_t *r);
static ngx_http_handler_pt ngx_http_rt_held_find(ngx_conf_t *cf);
static ngx_http_module_t *ngx_http_rt_held_module(ngx_conf_t *cf);


/* of the configuration that was read last, and that this process has */

static ngx_http_handler_pt    ngx_http_rt_held_limit_conn;
static ngx_http_rt_saves_pt   ngx_http_rt_held_saves;


/* after limit_conn's postconfiguration; without it, nothing is to be done */

ngx_int_t
ngx_http_rt_held_init(ngx_conf_t *cf, ngx_http_rt_saves_pt saves)
{
    ngx_uint_t                  i;
    ngx_array_t                *handlers;
    ngx_http_handler_pt        *h, found;
    ngx_http_core_main_conf_t  *cmcf;

    ngx_http_rt_held_saves = saves;

    found = ngx_http_rt_held_find(cf);

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    handlers = &cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers;
    h = handlers->elts;

    for (i = 0; found && i < handlers->nelts; i++) {
        if (h[i] == found) {
            h[i] = ngx_http_rt_held_handler;
            ngx_http_rt_held_limit_conn = found;
        }
    }

    return NGX_OK;
}


static ngx_http_handler_pt
ngx_http_rt_held_find(ngx_conf_t *cf)
{
    void                       **main_conf;
    ngx_uint_t                   i;
    ngx_conf_t                   conf;
    ngx_array_t                 *handlers;
    ngx_http_module_t           *module;
    ngx_http_conf_ctx_t          ctx;
    ngx_http_core_main_conf_t   *cmcf;

    module = ngx_http_rt_held_module(cf);

    if (module == NULL || module->postconfiguration == NULL) {
        return NULL;
    }

    cmcf = ngx_pcalloc(cf->temp_pool, sizeof(ngx_http_core_main_conf_t));
    main_conf = ngx_palloc(cf->temp_pool,
                           sizeof(void *) * ngx_http_max_module);

    if (cmcf == NULL || main_conf == NULL) {
        return NULL;
    }

    for (i = 0; i <= NGX_HTTP_LOG_PHASE; i++) {
        if (ngx_array_init(&cmcf->phases[i].handlers, cf->temp_pool, 1,
                           sizeof(ngx_http_handler_pt))
            != NGX_OK)
        {
            return NULL;
        }
    }

    conf = *cf;
    ctx = *(ngx_http_conf_ctx_t *) cf->ctx;

    ngx_memcpy(main_conf, ctx.main_conf, sizeof(void *) * ngx_http_max_module);

    main_conf[ngx_http_core_module.ctx_index] = cmcf;
    ctx.main_conf = main_conf;
    conf.ctx = &ctx;

    handlers = &cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers;

    if (module->postconfiguration(&conf) != NGX_OK || handlers->nelts != 1) {
        return NULL;
    }

    return *(ngx_http_handler_pt *) handlers->elts;
}


static ngx_http_module_t *
ngx_http_rt_held_module(ngx_conf_t *cf)
{
    ngx_uint_t      i;
    ngx_module_t  **modules;

    modules = cf->cycle->modules;

    for (i = 0; modules[i]; i++) {
        if (ngx_strcmp(modules[i]->name, "ngx_http_limit_conn_module") == 0) {
            return modules[i]->ctx;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_rt_held_handler(ngx_http_request_t *r)
{
    u_char              *last;
    ngx_int_t            rc;
    ngx_pool_t          *pool, *held;
    ngx_pool_cleanup_t  *pcln;

    if (r != r->main || r->limit_conn_status || r->stream
        || !ngx_http_rt_held_saves(r))
    {
        return ngx_http_rt_held_limit_conn(r);
    }

    pcln = ngx_pool_cleanup_add(r->pool, 0);
    if (pcln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    held = ngx_create_pool(NGX_HTTP_RT_HELD_POOL, r->connection->log);
    if (held == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    pcln->handler = ngx_http_rt_held_free;
    pcln->data = held;

    pool = r->pool;
    last = held->d.last;

    r->pool = held;
    rc = ngx_http_rt_held_limit_conn(r);
    r->pool = pool;

    if (held->d.last == last && held->large == NULL) {

        /* there is no limit_conn here */

        pcln->handler = NULL;
        ngx_destroy_pool(held);
    }

    return rc;
}


/* a variable in limit_conn's key may have left something of another module */

ngx_uint_t
ngx_http_rt_held_known(ngx_http_request_t *r, ngx_pool_t *pool)
{
    ngx_pool_cleanup_t  *pcln;

    if (pool->cleanup == NULL) {
        return 1;
    }

    for (pcln = pool->cleanup; pcln; pcln = pcln->next) {
        if (pcln->handler != pool->cleanup->handler) {
            return 0;
        }
    }

    return r->limit_conn_status == NGX_HTTP_RT_HELD_PASSED;
}


ngx_pool_t *
ngx_http_rt_held_take(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *pcln;

    for (pcln = r->pool->cleanup; pcln; pcln = pcln->next) {
        if (pcln->handler == ngx_http_rt_held_free) {
            pcln->handler = NULL;
            return pcln->data;
        }
    }

    return NULL;
}


void
ngx_http_rt_held_free(void *data)
{
    ngx_destroy_pool(data);
}
