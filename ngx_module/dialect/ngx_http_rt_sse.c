/*
 * EventSource: the WHATWG event stream.  It begins with the time to wait before
 * a reconnect and the position as an id; comments keep the idle alive.
 *
 * An EventSource keeps an id at the empty line behind it, and sends it back as
 * Last-Event-ID.  Other clients take each empty line for a message, with data
 * or without.  So there is none without data; and an EventSource, whose request
 * is not to be answered from a cache, gets the position as an event with a name
 * of ours, of which it says nothing to a page that does not ask for it.
 */

#include "ngx_http_rt_dialect.h"
#include "ngx_http_rt_header.h"


static ngx_int_t ngx_http_rt_sse_open(ngx_http_rt_session_t *s);
static ngx_uint_t ngx_http_rt_sse_no_cache(ngx_http_request_t *r);
static void ngx_http_rt_sse_timer(ngx_http_rt_session_t *s);
static void ngx_http_rt_sse_close(ngx_http_rt_session_t *s, ngx_uint_t code,
    const char *reason);


const ngx_http_rt_transport_t  ngx_http_rt_sse = {
    NGX_HTTP_RT_SSE,
    0,
    ngx_http_rt_sse_open,
    NULL,
    ngx_http_rt_sse_timer,
    NULL,
    NULL,
    ngx_http_rt_sse_close,
    NULL,
    NULL
};


static ngx_int_t
ngx_http_rt_sse_open(ngx_http_rt_session_t *s)
{
    u_char   hello[128 + 2 * NGX_HTTP_RT_ID_LEN], *p, *id;
    size_t   len;

    static ngx_str_t  type = ngx_string("text/event-stream");

    p = ngx_sprintf(hello, "retry: %M\nid: ", s->conf->retry);

    id = p;
    p = ngx_http_rt_id_write(p, s->sink.hub->zone->epoch, s->reader->cursor);
    len = p - id;

    *p++ = LF;

    if (!s->sink.encoding->form->named) {
        p = ngx_sprintf(p, "data: {\"open\":{\"id\":\"%*s\"}}\n\n", len, id);

    } else if (ngx_http_rt_sse_no_cache(s->request)) {
        p = ngx_sprintf(p, "event: realtime:open\ndata: {\"id\":\"%*s\"}\n\n",
                        len, id);
    }

    ngx_http_rt_session_idle(s);

    return ngx_http_rt_head(s, &type, hello, p - hello);
}


/* WHATWG HTML, 9.2.2, and Fetch, 4.5: its cache mode is "no-store" */

static ngx_uint_t
ngx_http_rt_sse_no_cache(ngx_http_request_t *r)
{
    ngx_str_t  list;

    return ngx_http_rt_header_list(r, "Cache-Control", &list) == NGX_OK
           && (ngx_http_rt_header_token(&list, "no-cache")
               || ngx_http_rt_header_token(&list, "no-store"));
}


static void
ngx_http_rt_sse_timer(ngx_http_rt_session_t *s)
{
    ngx_http_rt_buffer_t  *b;

    if (ngx_current_msec - s->active >= s->conf->keepalive
        && ngx_http_rt_sink_takes(&s->sink))
    {
        b = ngx_http_rt_buffer_create(s->sink.encoding, 2);

        if (b) {
            b->last = ngx_cpymem(b->last, ":\n", 2);
            ngx_http_rt_buffer_finish(b);

            if (ngx_http_rt_session_send(s, b) == NGX_ERROR) {
                ngx_http_rt_session_end(s, NGX_ERROR);
            }

            ngx_http_rt_buffer_release(b);
        }
    }

    if (!s->sink.ended) {
        ngx_http_rt_session_idle(s);
    }
}


/* come back soon, but not all at once */

static void
ngx_http_rt_sse_close(ngx_http_rt_session_t *s, ngx_uint_t code,
    const char *reason)
{
    u_char  text[64], *p;

    p = ngx_sprintf(text, "retry: %M\n", ngx_random() % s->conf->retry + 1);

    ngx_http_rt_tail(s, text, p - text);
}
