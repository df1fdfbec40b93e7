/*
 * Bodies of requests: one piece of them for whoever publishes or commands, none
 * for the rest, and notice of clients that leave while their answer is awaited.
 */

#include "ngx_http_rt_http.h"


static ngx_int_t ngx_http_rt_body_copy(ngx_http_request_t *r, ngx_str_t *body);
static off_t ngx_http_rt_body_promised(ngx_http_request_t *r);


/*
 * In the handler of ngx_http_read_client_request_body().  NGX_DECLINED: the
 * body, or a part of it, is gone, because another handler had the request
 * before an internal redirect.
 */

ngx_int_t
ngx_http_rt_body_collect(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_str_set(body, "");

    if (r->request_body
        && ngx_http_rt_body_copy(r, body) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_rt_body_promised(r) == (off_t) body->len) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "the request body has been read by another handler");

    return NGX_DECLINED;
}


/* bytes; -1: it has been discarded, and nothing tells how many they were */

static off_t
ngx_http_rt_body_promised(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    if (r->discard_body || r->request_body == NULL) {
        return -1;
    }

#if (NGX_HTTP_V2)
    if (r->stream && r->stream->skip_data) {
        return -1;
    }
#endif

    h = r->headers_in.content_length;

    if (h) {
        return ngx_atoof(h->value.data, h->value.len);
    }

    /* nginx makes a body without a handler only to discard its chunks */

    if (r->headers_in.chunked && r->request_body->post_handler == NULL) {
        return -1;
    }

    /* of chunks, and of HTTP/2, it is known at the end */

    return ngx_max(r->headers_in.content_length_n, 0);
}


static ngx_int_t
ngx_http_rt_body_copy(ngx_http_request_t *r, ngx_str_t *body)
{
    u_char       *p;
    size_t        size;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = r->request_body->bufs;

    if (cl == NULL) {
        return NGX_OK;
    }

    b = cl->buf;

    if (cl->next == NULL && !b->in_file) {
        body->len = b->last - b->pos;

        if (body->len) {
            body->data = b->pos;
        }

        return NGX_OK;
    }

    for (size = 0; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;
    body->len = size;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;
        size = ngx_buf_size(b);

        if (size == 0) {
            continue;
        }

        if (!b->in_file) {
            p = ngx_cpymem(p, b->pos, size);
            continue;
        }

        if (ngx_read_file(b->file, p, size, b->file_pos) != (ssize_t) size) {
            return NGX_ERROR;
        }

        p += size;
    }

    return NGX_OK;
}


/* a refusal before the body has been read */

ngx_int_t
ngx_http_rt_body_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *text)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    return (rc != NGX_OK) ? rc
                          : ngx_http_rt_answer_error(r, status, "%s", text);
}


/*
 * No body is wanted, and the client's leaving is to be noticed later.  nginx
 * would read what has not come yet, and then not notice it any more: that rest
 * is left to the lingering close.
 */

ngx_int_t
ngx_http_rt_body_ignore(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK || !r->discard_body) {
        return rc;
    }

    r->discard_body = 0;
    r->count--;

    r->keepalive = 0;
    r->lingering_close = 1;

    return NGX_OK;
}


/*
 * The request waits for something else than its client.  If the client leaves,
 * nginx finalizes the request with 499, which runs its cleanups.  What a client
 * sends ahead for its next request stays where it is.
 */

void
ngx_http_rt_body_watch(ngx_http_request_t *r)
{
    ngx_event_t  *rev;

    rev = r->connection->read;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    if (rev->ready) {

        /* it may have left with its last byte: that edge has passed */

        ngx_post_event(rev, &ngx_posted_events);
    }
}
