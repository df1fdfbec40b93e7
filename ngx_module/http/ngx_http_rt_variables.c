/*
 * Variables for the access log: what a request published, or what a subscriber
 * has been sent by now.
 */

#include "ngx_http_rt_conf.h"


static ngx_int_t ngx_http_rt_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_rt_variable_transport(ngx_http_rt_ctx_t *ctx,
    ngx_http_variable_value_t *v);
static ngx_int_t ngx_http_rt_variable_id(ngx_http_request_t *r,
    ngx_http_rt_ctx_t *ctx, ngx_http_variable_value_t *v);
static ngx_int_t ngx_http_rt_variable_number(ngx_http_request_t *r,
    uint64_t n, ngx_http_variable_value_t *v);

typedef enum {
    NGX_HTTP_RT_VAR_TOPIC = 0,
    NGX_HTTP_RT_VAR_ID,
    NGX_HTTP_RT_VAR_TRANSPORT,
    NGX_HTTP_RT_VAR_MESSAGES,
    NGX_HTTP_RT_VAR_BYTES,
    NGX_HTTP_RT_VAR_SUBSCRIBERS,
    NGX_HTTP_RT_VAR_GAPS
} ngx_http_rt_variable_e;


static ngx_http_variable_t  ngx_http_rt_variables[] = {

    { ngx_string("realtime_topic"), NULL, ngx_http_rt_variable,
      NGX_HTTP_RT_VAR_TOPIC, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("realtime_id"), NULL, ngx_http_rt_variable,
      NGX_HTTP_RT_VAR_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("realtime_transport"), NULL, ngx_http_rt_variable,
      NGX_HTTP_RT_VAR_TRANSPORT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("realtime_messages"), NULL, ngx_http_rt_variable,
      NGX_HTTP_RT_VAR_MESSAGES, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("realtime_bytes"), NULL, ngx_http_rt_variable,
      NGX_HTTP_RT_VAR_BYTES, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("realtime_subscribers"), NULL, ngx_http_rt_variable,
      NGX_HTTP_RT_VAR_SUBSCRIBERS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("realtime_gaps"), NULL, ngx_http_rt_variable,
      NGX_HTTP_RT_VAR_GAPS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_rt_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_rt_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_http_rt_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_realtime_module);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (ctx->report.session) {
        ngx_http_rt_session_report(ctx->report.session, &ctx->report);
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    switch (data) {

    case NGX_HTTP_RT_VAR_TOPIC:
        v->data = ctx->report.topic.data;
        v->len = ctx->report.topic.len;
        return NGX_OK;

    case NGX_HTTP_RT_VAR_TRANSPORT:
        return ngx_http_rt_variable_transport(ctx, v);

    case NGX_HTTP_RT_VAR_ID:
        return ngx_http_rt_variable_id(r, ctx, v);

    case NGX_HTTP_RT_VAR_SUBSCRIBERS:

        if (!ctx->has_subscribers) {
            v->not_found = 1;
            return NGX_OK;
        }

        return ngx_http_rt_variable_number(r, ctx->subscribers, v);

    case NGX_HTTP_RT_VAR_MESSAGES:
        return ngx_http_rt_variable_number(r, ctx->report.messages, v);

    case NGX_HTTP_RT_VAR_BYTES:
        return ngx_http_rt_variable_number(r, ctx->report.bytes, v);

    default: /* NGX_HTTP_RT_VAR_GAPS */
        return ngx_http_rt_variable_number(r, ctx->report.gaps, v);
    }
}


static ngx_int_t
ngx_http_rt_variable_transport(ngx_http_rt_ctx_t *ctx,
    ngx_http_variable_value_t *v)
{
    ngx_str_t  *name;

    if (!ctx->subscribed) {
        v->not_found = 1;
        return NGX_OK;
    }

    name = &ngx_http_rt_transports[ctx->transport].name;

    v->data = name->data;
    v->len = name->len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_variable_id(ngx_http_request_t *r, ngx_http_rt_ctx_t *ctx,
    ngx_http_variable_value_t *v)
{
    u_char  *p;

    if (!ctx->has_id) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_HTTP_RT_ID_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ngx_http_rt_id_write(p, ctx->epoch, ctx->report.seq) - p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_variable_number(ngx_http_request_t *r, uint64_t n,
    ngx_http_variable_value_t *v)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ngx_sprintf(p, "%uL", n) - p;

    return NGX_OK;
}
