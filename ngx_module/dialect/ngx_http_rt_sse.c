/*
 * EventSource: the WHATWG event stream.  It begins with the time to wait before
 * a reconnect and an id without data, which an EventSource keeps and sends back
 * as Last-Event-ID; comments keep the idle alive.
 */

#include "ngx_http_rt_dialect.h"


static ngx_int_t ngx_http_rt_sse_open(ngx_http_rt_session_t *s);
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
    u_char   hello[128 + 3 * NGX_HTTP_RT_ID_LEN], *p, *id;
    size_t   len;

    static ngx_str_t  type = ngx_string("text/event-stream");

    p = ngx_sprintf(hello, "retry: %M\nid: ", s->conf->retry);

    id = p;
    p = ngx_http_rt_id_write(p, s->sink.hub->zone->epoch, s->reader->cursor);
    len = p - id;

    p = ngx_cpymem(p, "\n\n", 2);

    if (s->sink.encoding->form == &ngx_http_rt_form_sse_json) {
        p = ngx_sprintf(p, "id: %*s\ndata: {\"open\":{\"id\":\"%*s\"}}\n\n",
                        len, id, len, id);
    }

    ngx_http_rt_session_idle(s);

    return ngx_http_rt_head(s, &type, hello, p - hello);
}


static void
ngx_http_rt_sse_timer(ngx_http_rt_session_t *s)
{
    ngx_http_rt_buffer_t  *b;

    if (ngx_current_msec - s->active >= s->conf->keepalive
        && ngx_http_rt_sink_takes(&s->sink))
    {
        b = ngx_http_rt_buffer_create(s->sink.encoding, 3);

        if (b) {
            b->last = ngx_cpymem(b->last, ":\n\n", 3);
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

    p = ngx_sprintf(text, "retry: %M\n\n", ngx_random() % s->conf->retry + 1);

    ngx_http_rt_tail(s, text, p - text);
}
