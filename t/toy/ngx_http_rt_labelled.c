/*
 * A dialect with something private before each message: the pattern or topic
 * that the client has subscribed to, before data that all share.
 *
 *     -> room/a           subscribes to this topic or pattern
 *     <- room/a|text      a message
 */

#include "ngx_http_rt_dialect.h"
#include "ngx_http_rt_operation.h"
#include "ngx_http_rt_ws_frame.h"


static size_t
ngx_http_rt_labelled_size(const ngx_http_rt_message_t *m)
{
    return m->data_len;
}


static u_char *
ngx_http_rt_labelled_write(u_char *p, const ngx_http_rt_message_t *m)
{
    return m->data_len ? ngx_cpymem(p, m->data, m->data_len) : p;
}


/* heads, and what is said besides is text */

static const ngx_http_rt_form_t  ngx_http_rt_labelled_form = {
    ngx_http_rt_labelled_size, ngx_http_rt_labelled_write, NULL,
    1, 1, 1, 0
};


/* the frame covers the label and what all share */

static u_char *
ngx_http_rt_labelled_head(ngx_http_rt_session_t *s, ngx_http_rt_reader_t *rd,
    u_char *p, size_t len)
{
    ngx_str_t  *name;

    name = &rd->subscriptions[0].audience->topic.name;

    p = ngx_http_rt_ws_header(p, NGX_HTTP_RT_WS_FIN|NGX_HTTP_RT_WS_TEXT,
                              name->len + 1 + len);
    p = ngx_cpymem(p, name->data, name->len);
    *p++ = '|';

    return p;
}


static ngx_int_t
ngx_http_rt_labelled_input(ngx_http_rt_session_t *s, u_char *data, size_t len,
    ngx_uint_t binary)
{
    ngx_http_rt_joining_t  join;

    ngx_memzero(&join, sizeof(ngx_http_rt_joining_t));

    join.topic.data = data;
    join.topic.len = len;

    return ngx_http_rt_operation_subscribe(s, &join);
}


const ngx_http_rt_dialect_t  ngx_http_rt_labelled = {
    ngx_string("labelled"),
    ngx_null_string,
    &ngx_http_rt_labelled_form,
    1,
    0,
    NULL,
    ngx_http_rt_labelled_input,
    ngx_http_rt_labelled_head,
    NULL, NULL, NULL, NULL
};
