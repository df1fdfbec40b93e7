/*
 * Long-poll: one answer with a JSON array of what there is, at once, or when
 * something comes, or empty when the time is up.  What the client sends next is
 * in Realtime-Last-Id.
 */

#include "ngx_http_rt_dialect.h"
#include "ngx_http_rt_accept.h"
#include "ngx_http_rt_header.h"


static ngx_int_t ngx_http_rt_poll_open(ngx_http_rt_session_t *s);
static ngx_int_t ngx_http_rt_poll_send(ngx_http_rt_session_t *s,
    ngx_http_rt_buffer_t *b);
static void ngx_http_rt_poll_timer(ngx_http_rt_session_t *s);
static void ngx_http_rt_poll_close(ngx_http_rt_session_t *s, ngx_uint_t code,
    const char *reason);


const ngx_http_rt_transport_t  ngx_http_rt_poll = {
    NGX_HTTP_RT_POLL,
    0,
    ngx_http_rt_poll_open,
    ngx_http_rt_poll_send,
    ngx_http_rt_poll_timer,
    NULL,
    NULL,
    ngx_http_rt_poll_close,
    NULL,
    NULL
};


static ngx_int_t
ngx_http_rt_poll_open(ngx_http_rt_session_t *s)
{
    unsigned             seconds;
    ngx_str_t            prefer;
    ngx_msec_t           wait;
    ngx_http_request_t  *r;

    static ngx_str_t  type = ngx_string("application/json");

    r = s->request;

    if (r->method == NGX_HTTP_HEAD) {
        return ngx_http_rt_head(s, &type, NULL, 0);
    }

    wait = s->conf->poll_timeout;

    if (ngx_http_rt_header_list(r, "Prefer", &prefer) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_rt_prefer_wait(prefer.data, prefer.len, &seconds)) {
        wait = ngx_min(wait, (ngx_msec_t) seconds * 1000);
    }

    s->sink.batch_size = NGX_HTTP_RT_POLL_SIZE;

    ngx_add_timer(&s->timer, wait);

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_poll_send(ngx_http_rt_session_t *s, ngx_http_rt_buffer_t *b)
{
    ngx_buf_t           *buf;
    ngx_int_t            rc;
    ngx_chain_t          out;
    ngx_http_request_t  *r;

    r = s->request;

    r->headers_out.status = NGX_HTTP_OK;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_length_n = b->last - b->pos;

    if (ngx_http_rt_header_live(r) != NGX_OK
        || ngx_http_rt_header_id(r, s->sink.hub->zone->epoch,
                                 ngx_http_rt_reader_position(s->reader))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    buf = ngx_calloc_buf(r->pool);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_OK) {
        buf->pos = b->pos;
        buf->last = b->last;
        buf->start = b->pos;
        buf->end = b->last;
        buf->memory = 1;
        buf->last_buf = 1;
        buf->last_in_chain = 1;

        out.buf = buf;
        out.next = NULL;

        /* given back with the pool, for it may still be on its way */

        s->out = b;
        b->refs++;

        rc = ngx_http_output_filter(r, &out);
    }

    ngx_http_rt_session_end(s, rc);

    return NGX_OK;
}


/* it has waited long enough */

static void
ngx_http_rt_poll_timer(ngx_http_rt_session_t *s)
{
    ngx_http_rt_buffer_t  *b;

    if (s->reader->queued && (!s->reader->told || s->reader->partial)) {

        /* it has not even been told what there is */

        ngx_add_timer(&s->timer, 1);
        return;
    }

    b = ngx_http_rt_buffer_create(s->sink.encoding, 2);

    if (b == NULL) {
        ngx_http_rt_session_end(s, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_rt_buffer_finish(b);
    ngx_http_rt_reader_deliver(s->reader, b);
    ngx_http_rt_buffer_release(b);
}


static void
ngx_http_rt_poll_close(ngx_http_rt_session_t *s, ngx_uint_t code,
    const char *reason)
{
    if (s->reader->partial) {
        ngx_http_rt_buffer_finish(s->reader->partial);
        ngx_http_rt_reader_deliver(s->reader, s->reader->partial);
        return;
    }

    ngx_http_rt_poll_timer(s);
}
