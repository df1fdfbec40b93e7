/*
 * Frames from the daemon.  One read a turn of the event loop goes into the
 * link's buffer; each frame in it that is whole is handled at once and in
 * order, and its strings point into the buffer until then.
 */

#include "ngx_http_rt_link_private.h"


static ngx_int_t ngx_http_rt_link_input_recv(ngx_http_rt_link_t *link);
static ngx_int_t ngx_http_rt_link_input_frames(ngx_http_rt_link_t *link);
static ngx_int_t ngx_http_rt_link_input_take(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f);
static void ngx_http_rt_link_input_clock(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f);
static void ngx_http_rt_link_input_pong(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f);


void
ngx_http_rt_link_input_read(ngx_event_t *rev)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_rt_link_t  *link;

    c = rev->data;
    link = c->data;

    if (link->state == NGX_HTTP_RT_LINK_S_CONNECTING) {
        return;
    }

    rc = ngx_http_rt_link_input_recv(link);

    if (rc == NGX_ERROR) {
        ngx_http_rt_link_fail(link);
        return;
    }

    ngx_http_rt_link_publication_confirm(link);

    if (rc == NGX_OK && rev->ready) {

        /* others have their turn first */

        ngx_post_event(rev, &ngx_posted_next_events);
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_rt_link_fail(link);
    }
}


/* NGX_AGAIN: the socket is empty; NGX_ERROR: the link has failed */

static ngx_int_t
ngx_http_rt_link_input_recv(ngx_http_rt_link_t *link)
{
    ssize_t                  n;
    ngx_connection_t        *c;
    ngx_http_rt_link_buf_t  *b;

    c = link->connection;
    b = &link->in;

    if (ngx_http_rt_link_buf_grow(b, NGX_HTTP_RT_LINK_READ) != NGX_OK) {
        return NGX_ERROR;
    }

    n = c->recv(c, b->last, NGX_HTTP_RT_LINK_READ);

    if (n == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (n == NGX_ERROR || n == 0) {
        ngx_http_rt_link_complain(link, NGX_LOG_WARN, 0,
                              (link->state == NGX_HTTP_RT_LINK_S_HELLO)
                              ? "realtime_worker \"%V\" closed the link "
                                "without a hello"
                              : "realtime_worker \"%V\" closed the link",
                              NULL);
        return NGX_ERROR;
    }

    b->last += n;
    link->heard = ngx_current_msec;

    return ngx_http_rt_link_input_frames(link);
}


static ngx_int_t
ngx_http_rt_link_input_frames(ngx_http_rt_link_t *link)
{
    int                      rc;
    rt_wire_frame_t          f;
    ngx_http_rt_link_buf_t  *b;

    b = &link->in;

    for ( ;; ) {
        rc = rt_wire_parse(&f, b->pos, b->last - b->pos, RT_WIRE_FRAME_MAX);

        if (rc == RT_WIRE_AGAIN) {
            break;
        }

        if (rc == RT_WIRE_ERROR) {
            ngx_http_rt_link_complain(link, NGX_LOG_ERR, 0,
                              "realtime_worker \"%V\" sent a bad frame: %s",
                              f.error);
            return NGX_ERROR;
        }

        if (ngx_http_rt_link_input_take(link, &f) != NGX_OK) {
            return NGX_ERROR;
        }

        b->pos += f.size;
    }

    ngx_http_rt_link_buf_compact(b);

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_link_input_take(ngx_http_rt_link_t *link, const rt_wire_frame_t *f)
{
    ngx_uint_t  greeted;

    greeted = (link->state != NGX_HTTP_RT_LINK_S_HELLO);

    if (greeted == (f->type == RT_WIRE_HELLO)) {
        ngx_http_rt_link_complain(link, NGX_LOG_ERR, 0,
                            "realtime_worker \"%V\" sent \"%s\" out of turn",
                            rt_wire_type_name(f->type));
        return NGX_ERROR;
    }

    switch (f->type) {

    case RT_WIRE_HELLO:
        ngx_http_rt_link_input_clock(link, f);
        return ngx_http_rt_link_greeted(link, f);

    case RT_WIRE_PONG:
        ngx_http_rt_link_input_clock(link, f);
        /* fall through */

    case RT_WIRE_REPLY:
    case RT_WIRE_EVENT:
        ngx_http_rt_link_call_answer(link, f);
        break;

    case RT_WIRE_PUBLISH:
    case RT_WIRE_NOTICE:
        return ngx_http_rt_link_publication_append(link, f);

    case RT_WIRE_AUDIENCE:
        return ngx_http_rt_link_publication_audience(link, f);

    case RT_WIRE_PING:
        ngx_http_rt_link_input_pong(link, f);
        break;

    case RT_WIRE_CLOSE:
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "realtime_worker \"%V\" is going", &link->name);
        link->state = NGX_HTTP_RT_LINK_S_CLOSING;
        ngx_http_rt_link_tally(link);
        break;

    default:
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "realtime_worker \"%V\" sent \"%s\", which is not its",
                      &link->name, rt_wire_type_name(f->type));
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_rt_link_input_clock(ngx_http_rt_link_t *link, const rt_wire_frame_t *f)
{
    ngx_http_rt_link_clock_t  *clock;

    clock = &link->clock;

    clock->known = rt_wire_has(f, RT_WIRE_F_OFFSET);
    clock->offset_ms = (int64_t) rt_wire_number(f, RT_WIRE_F_OFFSET);
    clock->held = rt_wire_number(f, RT_WIRE_F_HELD);
    clock->steps = rt_wire_number(f, RT_WIRE_F_STEPS);
    clock->refused = rt_wire_number(f, RT_WIRE_F_REFUSED);
}


static void
ngx_http_rt_link_input_pong(ngx_http_rt_link_t *link, const rt_wire_frame_t *f)
{
    u_char         *p, *start;
    rt_wire_str_t   body;

    body = rt_wire_string(f, RT_WIRE_F_BODY);

    start = ngx_http_rt_link_output_reserve(link, RT_WIRE_HEADER_SIZE
                                            + RT_WIRE_FIELD_SIZE + body.len);
    if (start == NULL) {
        return;
    }

    p = rt_wire_begin(start, RT_WIRE_PONG, 0, f->id);

    if (body.len) {
        p = rt_wire_put_string(p, RT_WIRE_F_BODY, body.data, body.len);
    }

    rt_wire_end(start, p);

    ngx_http_rt_link_output_add(link, p);
}
