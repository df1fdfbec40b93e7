/*
 * The plain WebSocket: messages come as bare data, or in envelopes, and what a
 * client sends is bare data, published to the location's topic.
 */

#include "ngx_http_rt_dialect.h"
#include "ngx_http_rt_publishing.h"


static ngx_int_t ngx_http_rt_bare_input(ngx_http_rt_session_t *s,
    u_char *data, size_t len, ngx_uint_t binary);
static ngx_int_t ngx_http_rt_bare_published(ngx_http_rt_session_t *s,
    const ngx_http_rt_publication_t *pub, const u_char *ref, size_t ref_len);


const ngx_http_rt_dialect_t  ngx_http_rt_bare = {
    ngx_null_string,
    ngx_null_string,
    &ngx_http_rt_form_bare,
    0,
    0,
    NULL,
    ngx_http_rt_bare_input,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL
};


const ngx_http_rt_dialect_t  ngx_http_rt_envelope = {
    ngx_null_string,
    ngx_null_string,
    &ngx_http_rt_form_json,
    0,
    0,
    ngx_http_rt_hello,
    ngx_http_rt_bare_input,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL
};


/* {"open":{"id":"..."}} */

ngx_int_t
ngx_http_rt_hello(ngx_http_rt_session_t *s)
{
    u_char  json[32 + NGX_HTTP_RT_ID_LEN], *p;

    p = ngx_cpymem(json, "{\"open\":{\"id\":\"", 15);
    p = ngx_http_rt_id_write(p, s->sink.hub->zone->epoch, s->reader->cursor);
    p = ngx_cpymem(p, "\"}}", 3);

    if (ngx_http_rt_session_reply(s, json, p - json) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_rt_session_flush(s);
}


static ngx_int_t
ngx_http_rt_bare_input(ngx_http_rt_session_t *s, u_char *data, size_t len,
    ngx_uint_t binary)
{
    ngx_str_t            *topic;
    ngx_http_rt_draft_t   draft;

    if (s->publish_zone == NULL) {
        ngx_http_rt_session_close(s, 1008, "nothing may be published here");
        return NGX_OK;
    }

    topic = s->principal.publish->elts;

    ngx_memzero(&draft, sizeof(ngx_http_rt_draft_t));

    draft.topic = *topic;
    draft.data.data = data;
    draft.data.len = len;
    draft.binary = binary;
    draft.utf8 = 1;

    return ngx_http_rt_publishing(s, &draft, NULL, NULL, 0,
                                  ngx_http_rt_bare_published);
}


static ngx_int_t
ngx_http_rt_bare_published(ngx_http_rt_session_t *s,
    const ngx_http_rt_publication_t *pub, const u_char *ref, size_t ref_len)
{
    ngx_uint_t   code;
    const char  *text;

    if (pub->rc != NGX_HTTP_RT_PUBLISHED) {
        code = ngx_http_rt_publication_code(pub, &text);
        ngx_http_rt_session_close(s, code, text);
    }

    return NGX_OK;
}
