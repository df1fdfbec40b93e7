/*
 * Stream: one JSON object per line (application/x-ndjson), for as long as the
 * client stays.
 */

#include "ngx_http_rt_dialect.h"


/* only to hold a process that is to quit until this has been ended */
#define NGX_HTTP_RT_STREAM_TIMER  60000


static ngx_int_t ngx_http_rt_stream_open(ngx_http_rt_session_t *s);
static void ngx_http_rt_stream_timer(ngx_http_rt_session_t *s);
static void ngx_http_rt_stream_close(ngx_http_rt_session_t *s,
    ngx_uint_t code, const char *reason);


const ngx_http_rt_transport_t  ngx_http_rt_stream = {
    NGX_HTTP_RT_STREAM,
    0,
    ngx_http_rt_stream_open,
    NULL,
    ngx_http_rt_stream_timer,
    NULL,
    NULL,
    ngx_http_rt_stream_close,
    NULL,
    NULL
};


static ngx_int_t
ngx_http_rt_stream_open(ngx_http_rt_session_t *s)
{
    u_char  hello[32 + NGX_HTTP_RT_ID_LEN], *p;

    static ngx_str_t  type = ngx_string("application/x-ndjson");

    p = ngx_cpymem(hello, "{\"open\":{\"id\":\"", 15);
    p = ngx_http_rt_id_write(p, s->sink.hub->zone->epoch, s->reader->cursor);
    p = ngx_cpymem(p, "\"}}\n", 4);

    ngx_add_timer(&s->timer, NGX_HTTP_RT_STREAM_TIMER);

    return ngx_http_rt_head(s, &type, hello, p - hello);
}


static void
ngx_http_rt_stream_timer(ngx_http_rt_session_t *s)
{
    ngx_add_timer(&s->timer, NGX_HTTP_RT_STREAM_TIMER);
}


static void
ngx_http_rt_stream_close(ngx_http_rt_session_t *s, ngx_uint_t code,
    const char *reason)
{
    ngx_http_rt_tail(s, NULL, 0);
}
