/*
 * Frames to the daemon.  They are written into one buffer of the link, which
 * goes out in one send() at the end of the event loop's turn; what the socket
 * does not take stays in front of what comes later.
 *
 * A frame is written in three steps: reserve() makes room for its largest size,
 * rt_wire_begin() to rt_wire_end() fill it, add() makes it part of the output.
 */

#include "ngx_http_rt_link_private.h"


/* an empty buffer that is larger is given back */
#define NGX_HTTP_RT_LINK_KEEP         (256 * 1024)


u_char *
ngx_http_rt_link_output_reserve(ngx_http_rt_link_t *link, size_t size)
{
    if (ngx_http_rt_link_buf_grow(&link->out, size) != NGX_OK) {
        return NULL;
    }

    return link->out.last;
}


void
ngx_http_rt_link_output_add(ngx_http_rt_link_t *link, u_char *last)
{
    link->out.last = last;

    if (!link->flush.posted) {
        ngx_post_event(&link->flush, &ngx_posted_events);
    }
}


ngx_int_t
ngx_http_rt_link_tell(ngx_http_rt_link_t *link, rt_wire_type_e type,
    uint64_t id, rt_wire_field_e tag, uint64_t value)
{
    u_char  *p, *start;

    if (link->state < NGX_HTTP_RT_LINK_S_HELLO) {
        return NGX_DECLINED;
    }

    start = ngx_http_rt_link_output_reserve(link, RT_WIRE_HEADER_SIZE
                                           + RT_WIRE_NUMBER_SIZE);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = rt_wire_begin(start, type, 0, id);

    if (tag) {
        p = rt_wire_put_number(p, tag, value);
    }

    rt_wire_end(start, p);

    ngx_http_rt_link_output_add(link, p);

    return NGX_OK;
}


/* at the end of the turn: all that has gathered, in one piece */

void
ngx_http_rt_link_output_flush(ngx_event_t *ev)
{
    ssize_t                  n;
    ngx_connection_t        *c;
    ngx_http_rt_link_t      *link;
    ngx_http_rt_link_buf_t  *b;

    link = ev->data;
    c = link->connection;
    b = &link->out;

    if (c == NULL) {
        return;
    }

    while (b->pos < b->last) {

        n = c->send(c, b->pos, b->last - b->pos);

        if (n == NGX_ERROR) {
            ngx_http_rt_link_fail(link);
            return;
        }

        if (n == NGX_AGAIN) {
            break;
        }

        b->pos += n;
        link->sent += n;
    }

    ngx_http_rt_link_buf_compact(b);

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_http_rt_link_fail(link);
    }
}


void
ngx_http_rt_link_output_write(ngx_event_t *wev)
{
    ngx_connection_t  *c;

    c = wev->data;

    ngx_http_rt_link_output_flush(&((ngx_http_rt_link_t *) c->data)->flush);
}


ngx_int_t
ngx_http_rt_link_buf_grow(ngx_http_rt_link_buf_t *b, size_t size)
{
    size_t   used, need;
    u_char  *p;

    if ((size_t) (b->end - b->last) >= size) {
        return NGX_OK;
    }

    used = b->last - b->pos;
    need = ngx_max(used + size, 2 * used);
    need = ngx_max(need, NGX_HTTP_RT_LINK_READ);

    p = ngx_alloc(need, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (used) {
        ngx_memcpy(p, b->pos, used);
    }

    ngx_free(b->start);

    b->start = p;
    b->pos = p;
    b->last = p + used;
    b->end = p + need;

    return NGX_OK;
}


void
ngx_http_rt_link_buf_compact(ngx_http_rt_link_buf_t *b)
{
    size_t  n;

    n = b->last - b->pos;

    if (n == 0 && b->end - b->start > NGX_HTTP_RT_LINK_KEEP) {
        ngx_free(b->start);
        ngx_memzero(b, sizeof(ngx_http_rt_link_buf_t));
        return;
    }

    /* what is moved is less than what was used */

    if (n < (size_t) (b->pos - b->start)) {
        ngx_memmove(b->start, b->pos, n);
        b->pos = b->start;
        b->last = b->start + n;
    }
}
