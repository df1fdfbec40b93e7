/*
 * Answers to commands and queries: the daemon's, with its version in headers,
 * and ours when there is none of it.  Every refusal, ours or the daemon's, is
 * {"error":"code","message":"..."}.
 */

#include "ngx_http_rt_pass.h"
#include "ngx_http_rt_operation.h"


static ngx_int_t ngx_http_rt_pass_headers(ngx_http_request_t *r,
    const rt_wire_frame_t *f);
static ngx_int_t ngx_http_rt_pass_version(ngx_http_request_t *r,
    uint64_t version);
static ngx_int_t ngx_http_rt_pass_number(ngx_http_request_t *r,
    const char *name, const char *fmt, uint64_t n);


ngx_int_t
ngx_http_rt_pass_reply(ngx_http_request_t *r, const rt_wire_frame_t *f)
{
    u_char         *json;
    uint64_t        status;
    rt_wire_str_t   body;

    status = rt_wire_number(f, RT_WIRE_F_STATUS);

    if (status < 200 || status > 599) {
        return NGX_HTTP_BAD_GATEWAY;
    }

    if (ngx_http_rt_pass_headers(r, f) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body = rt_wire_string(f, RT_WIRE_F_BODY);
    json = NULL;

    if (body.len) {
        json = ngx_pnalloc(r->pool, body.len);
        if (json == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_memcpy(json, body.data, body.len);
    }

    return ngx_http_rt_answer(r, status, json, body.len);
}


static ngx_int_t
ngx_http_rt_pass_headers(ngx_http_request_t *r, const rt_wire_frame_t *f)
{
    if (rt_wire_has(f, RT_WIRE_F_VERSION)
        && ngx_http_rt_pass_version(r, rt_wire_number(f, RT_WIRE_F_VERSION))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rt_wire_has(f, RT_WIRE_F_RETRY)
        && ngx_http_rt_pass_number(r, "Retry-After", "%uL",
                                   rt_wire_number(f, RT_WIRE_F_RETRY))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if ((f->flags & RT_WIRE_REPEATED)
        && ngx_http_rt_header_add(r, "Idempotent-Replay", (u_char *) "true", 4)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->method & NGX_HTTP_POST) {
        return NGX_OK;
    }

    return ngx_http_rt_header_add(r, "Cache-Control", (u_char *) "no-cache",
                                  8);
}


/* nginx looks for the ETag to compare If-None-Match with */

static ngx_int_t
ngx_http_rt_pass_version(ngx_http_request_t *r, uint64_t version)
{
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (ngx_http_rt_pass_number(r, "Realtime-Version", "%uL", version)
        != NGX_OK
        || ngx_http_rt_pass_number(r, "ETag", "\"%uL\"", version) != NGX_OK)
    {
        return NGX_ERROR;
    }

    part = r->headers_out.headers.last;
    h = part->elts;

    r->headers_out.etag = &h[part->nelts - 1];

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_pass_number(ngx_http_request_t *r, const char *name,
    const char *fmt, uint64_t n)
{
    u_char  text[NGX_INT64_LEN + 2];

    return ngx_http_rt_header_add(r, name, text,
                                  ngx_sprintf(text, fmt, n) - text);
}


ngx_uint_t
ngx_http_rt_pass_reason(ngx_int_t rc, const char **code, const char **message)
{
    switch (rc) {

    case NGX_HTTP_RT_LINK_DOWN:
    case NGX_HTTP_SERVICE_UNAVAILABLE:
        *code = "unavailable";
        *message = "the daemon is away, nothing has been done";
        return NGX_HTTP_SERVICE_UNAVAILABLE;

    case NGX_HTTP_RT_LINK_BUSY:
        *code = "busy";
        *message = "too many requests wait for the daemon";
        return NGX_HTTP_SERVICE_UNAVAILABLE;

    case NGX_HTTP_RT_LINK_LARGE:
        *code = "too_large";
        *message = "it is larger than the daemon takes";
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;

    case NGX_HTTP_RT_OP_FORBIDDEN:
        *code = "forbidden";
        *message = "this may not be asked here";
        return NGX_HTTP_FORBIDDEN;

    case NGX_HTTP_GATEWAY_TIME_OUT:
        *code = "timeout";
        *message = "no answer came: it may have been done, or not";
        return NGX_HTTP_GATEWAY_TIME_OUT;

    default:
        *code = "internal";
        *message = "no memory";
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


/* code and message are plain text */

ngx_int_t
ngx_http_rt_pass_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *message)
{
    u_char  *json, *p;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "realtime request refused with %ui: %s", status, message);

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE
        && ngx_http_rt_header_add(r, "Retry-After", (u_char *) "1", 1)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json = ngx_pnalloc(r->pool, ngx_strlen(code) + ngx_strlen(message) + 32);
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_sprintf(json, "{\"error\":\"%s\",\"message\":\"%s\"}", code,
                    message);

    return ngx_http_rt_answer(r, status, json, p - json);
}


ngx_int_t
ngx_http_rt_pass_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *message)
{
    ngx_http_rt_ctx(r)->rc = ngx_http_rt_pass_error(r, status, code, message);

    return NGX_DONE;
}
