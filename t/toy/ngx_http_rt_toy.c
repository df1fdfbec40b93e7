/*
 * The toy dialect: what a protocol needs, and no more.  docs/dialects.md walks
 * through this file.
 *
 *     -> +topic           subscribes to a topic or pattern
 *     -> -topic           unsubscribes
 *     -> topic: text      publishes
 *     <- topic: text      a message
 *     <- ! reason         what could not be done
 *     <- ? gap {...}      messages are missing; the object says which
 *
 * Each line is one text message of the WebSocket, without a line end.
 */

#include "ngx_http_rt_dialect.h"
#include "ngx_http_rt_operation.h"
#include "ngx_http_rt_publishing.h"


static ngx_int_t ngx_http_rt_toy_input(ngx_http_rt_session_t *s, u_char *data,
    size_t len, ngx_uint_t binary);
static ngx_int_t ngx_http_rt_toy_subscribe(ngx_http_rt_session_t *s,
    ngx_str_t *topic);
static ngx_int_t ngx_http_rt_toy_publish(ngx_http_rt_session_t *s,
    u_char *line, u_char *last);
static ngx_int_t ngx_http_rt_toy_published(ngx_http_rt_session_t *s,
    const ngx_http_rt_publication_t *pub, const u_char *ref, size_t ref_len);
static ngx_int_t ngx_http_rt_toy_error(ngx_http_rt_session_t *s,
    const char *reason);


static size_t
ngx_http_rt_toy_size(const ngx_http_rt_message_t *m)
{
    return m->topic_len + 2 + m->data_len;
}


static u_char *
ngx_http_rt_toy_write(u_char *p, const ngx_http_rt_message_t *m)
{
    p = ngx_cpymem(p, m->topic, m->topic_len);
    p = ngx_cpymem(p, ": ", 2);

    return m->data_len ? ngx_cpymem(p, m->data, m->data_len) : p;
}


/* a gap has an event, a line of ours has none */

static u_char *
ngx_http_rt_toy_object(u_char *p, const ngx_http_rt_object_t *o)
{
    if (o->event) {
        p = ngx_cpymem(p, "? gap ", 6);
    }

    return ngx_cpymem(p, o->json, o->len);
}


/* size() is exact; binary messages stay binary; a gap is named by object() */

static const ngx_http_rt_form_t  ngx_http_rt_toy_form = {
    ngx_http_rt_toy_size, ngx_http_rt_toy_write, ngx_http_rt_toy_object,
    0, 1, 0, 1
};


const ngx_http_rt_dialect_t  ngx_http_rt_toy = {
    ngx_string("toy"),                     /* realtime_protocol toy; */
    ngx_string("toy"),                     /* Sec-WebSocket-Protocol: toy */
    &ngx_http_rt_toy_form,
    1,                                     /* topics come and go */
    0,                                     /* no memory of its own */
    NULL,                                  /* no hello */
    ngx_http_rt_toy_input,
    NULL, NULL, NULL, NULL, NULL           /* head, started, ping, goodbye, */
                                           /* free */
};


static ngx_int_t
ngx_http_rt_toy_input(ngx_http_rt_session_t *s, u_char *data, size_t len,
    ngx_uint_t binary)
{
    ngx_str_t  topic;

    if (binary || len == 0) {
        ngx_http_rt_session_close(s, 1003, "lines are text");
        return NGX_OK;
    }

    topic.data = data + 1;
    topic.len = len - 1;

    switch (data[0]) {

    case '+':
        return ngx_http_rt_toy_subscribe(s, &topic);

    case '-':
        return (ngx_http_rt_session_unsubscribe(s, &topic) == NGX_OK)
                   ? NGX_OK : ngx_http_rt_toy_error(s, "not subscribed");

    default:
        return ngx_http_rt_toy_publish(s, data, data + len);
    }
}


static ngx_int_t
ngx_http_rt_toy_subscribe(ngx_http_rt_session_t *s, ngx_str_t *topic)
{
    ngx_http_rt_joining_t  join;

    ngx_memzero(&join, sizeof(ngx_http_rt_joining_t));

    join.topic = *topic;

    if (ngx_http_rt_operation_subscribe(s, &join) != NGX_OK) {
        return NGX_ERROR;
    }

    return (join.rc <= NGX_HTTP_RT_SUBSCRIBING)
               ? NGX_OK : ngx_http_rt_toy_error(s, join.reason);
}


static ngx_int_t
ngx_http_rt_toy_publish(ngx_http_rt_session_t *s, u_char *line, u_char *last)
{
    u_char               *colon;
    ngx_http_rt_draft_t   draft;

    colon = ngx_strlchr(line, last, ':');

    if (colon == NULL || colon + 1 == last || colon[1] != ' ') {
        return ngx_http_rt_toy_error(s, "neither +, - nor topic: text");
    }

    ngx_memzero(&draft, sizeof(ngx_http_rt_draft_t));

    draft.topic.data = line;
    draft.topic.len = colon - line;
    draft.data.data = colon + 2;
    draft.data.len = last - draft.data.data;
    draft.utf8 = 1;

    return ngx_http_rt_publishing(s, &draft, NULL, NULL, 0,
                                  ngx_http_rt_toy_published);
}


static ngx_int_t
ngx_http_rt_toy_published(ngx_http_rt_session_t *s,
    const ngx_http_rt_publication_t *pub, const u_char *ref, size_t ref_len)
{
    const char  *reason;

    if (pub->rc == NGX_HTTP_RT_PUBLISHED) {
        return NGX_OK;
    }

    (void) ngx_http_rt_publication_code(pub, &reason);

    return ngx_http_rt_toy_error(s, reason);
}


static ngx_int_t
ngx_http_rt_toy_error(ngx_http_rt_session_t *s, const char *reason)
{
    u_char  line[128], *last;

    last = ngx_snprintf(line, sizeof(line), "! %s", reason);

    return ngx_http_rt_session_reply(s, line, last - line);
}
