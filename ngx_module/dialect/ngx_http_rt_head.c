/*
 * The response that SSE and streams of lines are: its header with the first
 * bytes, and its end.  After the header has gone through the filters, bytes go
 * their way without them where they can.
 */

#include "ngx_http_rt_dialect.h"
#include "ngx_http_rt_header.h"


static ngx_int_t ngx_http_rt_head_plain(ngx_http_request_t *r,
    ngx_str_t *type);
static ngx_int_t ngx_http_rt_head_hello(ngx_http_request_t *r, u_char *hello,
    size_t len);


ngx_int_t
ngx_http_rt_head(ngx_http_rt_session_t *s, ngx_str_t *type, u_char *hello,
    size_t len)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = s->request;

    if (s->conf->detach == NGX_HTTP_RT_DETACH_ON
        && r->method != NGX_HTTP_HEAD)
    {
        r->keepalive = 0;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = -1;

    if (ngx_http_rt_head_plain(r, type) != NGX_OK
        || ngx_http_rt_header_live(r) != NGX_OK
        || (s->reader
            && ngx_http_rt_header_id(r, s->sink.hub->zone->epoch,
                                     s->reader->cursor)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    if (r->header_only) {

        /* HEAD: where it would have begun */

        ngx_http_rt_session_end(s, NGX_OK);
        return NGX_DONE;
    }

    if (ngx_http_rt_head_hello(r, hello, len) == NGX_ERROR) {
        return NGX_ERROR;
    }

    s->direct = (r->http_version < NGX_HTTP_VERSION_20);

    if (s->direct) {
        if (s->core_conf->tcp_nodelay
            && ngx_tcp_nodelay(s->sink.connection) != NGX_OK)
        {
            return NGX_ERROR;
        }

        s->chunked = r->chunked;

        if (s->chunked) {
            s->sink.encoding = ngx_http_rt_encoding(s->sink.encoding->form,
                                           &ngx_http_rt_framing_chunked, 0,
                                           NULL);
            if (s->sink.encoding == NULL) {
                return NGX_ERROR;
            }
        }
    }

    return (r->out || r->connection->buffered) ? NGX_AGAIN : NGX_OK;
}


/*
 * Messages go round the body filters, or would wait in them, so none may say
 * in the header that it compresses or recodes.  Those that compress, whatever
 * their module, and charset's conversion leave alone what is encoded already:
 * it is "identity", which is not sent.  charset_types and the like are compared
 * with the first content_type_len bytes, and charset gives no name to what has
 * one, which is not sent either, for the two lengths differ.
 */

static ngx_int_t
ngx_http_rt_head_plain(ngx_http_request_t *r, ngx_str_t *type)
{
    u_char  *p;

    static const char  charset[] = "; charset=utf-8";

    /* outlives a saved request */
    static ngx_table_elt_t  identity = {
        .key = ngx_string("Content-Encoding"), .value = ngx_string("identity")
    };

    p = ngx_pnalloc(r->pool, type->len + sizeof(charset) - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    r->headers_out.content_encoding = &identity;

    r->headers_out.content_type.data = p;
    r->headers_out.content_type.len = type->len;
    r->headers_out.content_type_len = type->len + sizeof(charset) - 1;
    r->headers_out.content_type_lowcase = NULL;

    p = ngx_cpymem(p, type->data, type->len);
    ngx_memcpy(p, charset, sizeof(charset) - 1);

    ngx_str_set(&r->headers_out.charset, "utf-8");

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_head_hello(ngx_http_request_t *r, u_char *hello, size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    if (len == 0) {
        return ngx_http_send_special(r, NGX_HTTP_FLUSH);
    }

    b = ngx_create_temp_buf(r->pool, len);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->last, hello, len);
    b->flush = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/* the last words, then the end; called again when they are out */

void
ngx_http_rt_tail(ngx_http_rt_session_t *s, u_char *text, size_t len)
{
    ngx_int_t              rc;
    ngx_http_rt_buffer_t  *b;

    if (!s->said) {
        s->said = 1;

        b = ngx_http_rt_buffer_create(s->sink.encoding, len + 5);
        if (b == NULL) {
            ngx_http_rt_session_end(s, NGX_ERROR);
            return;
        }

        if (len) {
            b->last = ngx_cpymem(b->last, text, len);
            ngx_http_rt_buffer_finish(b);
        }

        if (s->chunked) {
            b->last = ngx_cpymem(b->last, "0" CRLF CRLF, 5);
        }

        rc = NGX_OK;

        if (b->last != b->pos) {
            rc = ngx_http_rt_session_send(s, b);
        }

        ngx_http_rt_buffer_release(b);

        if (rc == NGX_AGAIN) {
            return;
        }

        if (rc == NGX_ERROR) {
            ngx_http_rt_session_end(s, NGX_ERROR);
            return;
        }
    }

    rc = s->direct ? NGX_OK : ngx_http_send_special(s->request, NGX_HTTP_LAST);

    ngx_http_rt_session_end(s, (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK);
}
