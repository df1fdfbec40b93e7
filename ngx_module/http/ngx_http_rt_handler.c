/*
 * Requests to a location of ours: by its directives and the method they go to
 * publishing, subscribing, or a daemon.
 */

#include "ngx_http_rt_http.h"
#include "ngx_http_rt_pass.h"


static ngx_int_t ngx_http_rt_handler_origin(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_handler_lost(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_handler_refuse(ngx_http_request_t *r,
    const char *allow);


/* a location that publishes or passes, subscribes, or both */

ngx_int_t
ngx_http_rt_handler(ngx_http_request_t *r)
{
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (ngx_http_rt_handler_main(r, rlcf->pass ? "realtime_pass"
                                    : rlcf->subscribe ? "realtime_subscribe"
                                    : "realtime_publish")
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_rt_origin_check(r) != NGX_OK) {
        return ngx_http_rt_handler_origin(r);
    }

    if ((rlcf->pass || rlcf->subscribe || rlcf->dialect)
        && ngx_http_rt_header_find(r, "Sec-WebSocket-Key")
        && !ngx_http_rt_websocket_asked(r))
    {
        return ngx_http_rt_handler_lost(r);
    }

    if (rlcf->pass) {
        return ngx_http_rt_pass(r);
    }

    if ((rlcf->subscribe || rlcf->dialect)
        && (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)))
    {
        return ngx_http_rt_admit(r);
    }

    if (rlcf->publish == NULL) {
        return ngx_http_rt_handler_refuse(r, "GET, HEAD");
    }

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST|NGX_HTTP_PUT)) {
        return ngx_http_rt_publish(r);
    }

    /* who may speak in a room may not make it forget what others said */

    if (rlcf->subscribe || rlcf->dialect) {
        return ngx_http_rt_handler_refuse(r, "GET, HEAD, POST, PUT");
    }

    if (r->method & NGX_HTTP_DELETE) {
        return ngx_http_rt_publish(r);
    }

    return ngx_http_rt_handler_refuse(r, "GET, HEAD, POST, PUT, DELETE");
}


/* Upgrade is of one hop only, and a proxy hands it on when told to */

static ngx_int_t
ngx_http_rt_handler_lost(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_rt_loc_conf_t  *rlcf;

    static const char  text[] = "Sec-WebSocket-Key without Upgrade: "
                                "a proxy in between has lost it";

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (rlcf->pass == NULL) {
        return ngx_http_rt_body_refuse(r, NGX_HTTP_BAD_REQUEST, text);
    }

    rc = ngx_http_discard_request_body(r);

    return (rc != NGX_OK) ? rc
                          : ngx_http_rt_pass_error(r, NGX_HTTP_BAD_REQUEST,
                                                   "upgrade", text);
}


static ngx_int_t
ngx_http_rt_handler_origin(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return rlcf->pass
           ? ngx_http_rt_pass_error(r, NGX_HTTP_FORBIDDEN, "origin",
                              "realtime_origin does not allow this Origin")
           : ngx_http_rt_answer_error(r, NGX_HTTP_FORBIDDEN,
                              "realtime_origin does not allow this Origin");
}


static ngx_int_t
ngx_http_rt_handler_refuse(ngx_http_request_t *r, const char *allow)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_rt_header_add(r, "Allow", (u_char *) allow,
                               ngx_strlen(allow))
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_rt_answer_error(r, NGX_HTTP_NOT_ALLOWED,
                                    "this method is not for this place");
}


ngx_int_t
ngx_http_rt_handler_main(ngx_http_request_t *r, const char *directive)
{
    if (r == r->main) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "%s cannot serve a subrequest", directive);

    return NGX_DECLINED;
}


ngx_http_rt_ctx_t *
ngx_http_rt_ctx(ngx_http_request_t *r)
{
    ngx_http_rt_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_realtime_module);

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_rt_ctx_t));
        if (ctx == NULL) {
            return NULL;
        }

        ctx->report.size = sizeof(ngx_http_rt_ctx_t);

        ngx_http_set_ctx(r, ctx, ngx_http_realtime_module);
    }

    return ctx;
}
