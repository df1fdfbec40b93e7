/*
 * Answers: JSON, text, refusals with a reason, and nginx's own 413 to a
 * publisher in the same form.
 */

#include "ngx_http_rt_http.h"
#include "ngx_http_rt_json.h"


#define NGX_HTTP_RT_ANSWER_ERROR  512


static ngx_int_t ngx_http_rt_answer_header_filter(ngx_http_request_t *r);

static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


/* json is in the request's pool, or static */

ngx_int_t
ngx_http_rt_answer(ngx_http_request_t *r, ngx_uint_t status, u_char *json,
    size_t len)
{
    return ngx_http_rt_answer_text(r, status, "application/json", json, len);
}


ngx_int_t
ngx_http_rt_answer_text(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, u_char *text, size_t len)
{
    ngx_buf_t    *b, *eol;
    ngx_int_t     rc;
    ngx_uint_t    open;
    ngx_chain_t   out, end;

    /* a line that ends is easier to read in a terminal */

    open = (len && text[len - 1] != LF);

    r->headers_out.status = status;
    r->headers_out.content_length_n = len + open;

    /* nginx has no text for these */

    if (status == 422) {
        ngx_str_set(&r->headers_out.status_line, "422 Unprocessable Content");

    } else if (status == 426) {
        ngx_str_set(&r->headers_out.status_line, "426 Upgrade Required");
    }
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    if (len == 0) {
        r->headers_out.content_type.len = 0;
        r->header_only = 1;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    eol = ngx_calloc_buf(r->pool);

    if (b == NULL || eol == NULL) {
        return NGX_ERROR;
    }

    b->pos = text;
    b->last = text + len;
    b->memory = 1;

    eol->pos = (u_char *) CRLF + 1;
    eol->last = eol->pos + 1;
    eol->memory = 1;

    out.buf = b;
    out.next = open ? &end : NULL;

    end.buf = eol;
    end.next = NULL;

    b = open ? eol : b;

    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    return ngx_http_output_filter(r, &out);
}


/* {"error":"..."}; "fmt" is ngx_sprintf()'s, the text is cut at 511 bytes */

ngx_int_t
ngx_http_rt_answer_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *fmt, ...)
{
    u_char    text[NGX_HTTP_RT_ANSWER_ERROR], *p, *json;
    size_t    len;
    va_list   args;

    va_start(args, fmt);
    len = ngx_vslprintf(text, text + sizeof(text), fmt, args) - text;
    va_end(args);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "realtime request refused with %ui: %*s", status, len, text);

    json = ngx_pnalloc(r->pool, ngx_http_rt_json_escape_size(text, len) + 12);
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(json, "{\"error\":\"", 10);
    p = ngx_http_rt_json_escape(p, text, len);
    p = ngx_cpymem(p, "\"}", 2);

    return ngx_http_rt_answer(r, status, json, p - json);
}


ngx_int_t
ngx_http_rt_answer_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_rt_answer_header_filter;

    return NGX_OK;
}


/*
 * nginx refuses a body beyond client_max_body_size before we are asked, or
 * while it reads it for us; its answer is ours here, instead of its page.
 */

static ngx_int_t
ngx_http_rt_answer_header_filter(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (rlcf->publish == NULL || r != r->main
        || r->err_status != NGX_HTTP_REQUEST_ENTITY_TOO_LARGE)
    {
        return ngx_http_next_header_filter(r);
    }

    r->err_status = 0;

    rc = ngx_http_rt_answer_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                  "body is larger than client_max_body_size");

    /* the page stays where it is */

    r->header_only = 1;

    return rc;
}
