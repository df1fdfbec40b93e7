/*
 * The forms and framings of the built-in protocols, and the list of the
 * encodings in use.  What a form writes comes from text/; here is only how it
 * is put together.  A foreign protocol keeps its form in its own folder.
 */

#include "ngx_http_rt_encode.h"
#include "ngx_http_rt_json.h"
#include "ngx_http_rt_json_value.h"
#include "ngx_http_rt_sse_encode.h"
#include "ngx_http_rt_ws_frame.h"


static u_char *ngx_http_rt_form_object_sse(u_char *p,
    const ngx_http_rt_object_t *o);
static u_char *ngx_http_rt_form_object_sse_json(u_char *p,
    const ngx_http_rt_object_t *o);
static u_char *ngx_http_rt_form_object_json(u_char *p,
    const ngx_http_rt_object_t *o);
static u_char *ngx_http_rt_form_object_line(u_char *p,
    const ngx_http_rt_object_t *o);
static size_t ngx_http_rt_form_line_size(const ngx_http_rt_message_t *m);
static u_char *ngx_http_rt_form_line_write(u_char *p,
    const ngx_http_rt_message_t *m);
static u_char *ngx_http_rt_form_line_value_write(u_char *p,
    const ngx_http_rt_message_t *m);
static size_t ngx_http_rt_form_bare_size(const ngx_http_rt_message_t *m);
static u_char *ngx_http_rt_form_bare_write(u_char *p,
    const ngx_http_rt_message_t *m);
static u_char *ngx_http_rt_framing_websocket_header(u_char *p,
    ngx_uint_t binary, size_t len);
static void ngx_http_rt_framing_chunked_finish(ngx_http_rt_buffer_t *b);
static void ngx_http_rt_framing_array_finish(ngx_http_rt_buffer_t *b);


const ngx_http_rt_form_t  ngx_http_rt_form_sse = {
    ngx_http_rt_sse_size, ngx_http_rt_sse_write,
    ngx_http_rt_form_object_sse, 0, 0, 1, 1
};


const ngx_http_rt_form_t  ngx_http_rt_form_sse_json = {
    ngx_http_rt_sse_json_size, ngx_http_rt_sse_json_write,
    ngx_http_rt_form_object_sse_json, 0, 0, 1, 0
};


const ngx_http_rt_form_t  ngx_http_rt_form_sse_json_value = {
    ngx_http_rt_sse_json_size, ngx_http_rt_sse_json_value_write,
    ngx_http_rt_form_object_sse_json, 0, 0, 1, 0
};


const ngx_http_rt_form_t  ngx_http_rt_form_sse_topic = {
    ngx_http_rt_sse_topic_size, ngx_http_rt_sse_topic_write,
    ngx_http_rt_form_object_sse, 0, 0, 1, 1
};


const ngx_http_rt_form_t  ngx_http_rt_form_json = {
    ngx_http_rt_json_size, ngx_http_rt_json_write,
    ngx_http_rt_form_object_json, 0, 0, 1, 0
};


const ngx_http_rt_form_t  ngx_http_rt_form_json_value = {
    ngx_http_rt_json_size, ngx_http_rt_json_value_write,
    ngx_http_rt_form_object_json, 0, 0, 1, 0
};


const ngx_http_rt_form_t  ngx_http_rt_form_line = {
    ngx_http_rt_form_line_size, ngx_http_rt_form_line_write,
    ngx_http_rt_form_object_line, 0, 0, 1, 0
};


const ngx_http_rt_form_t  ngx_http_rt_form_line_value = {
    ngx_http_rt_form_line_size, ngx_http_rt_form_line_value_write,
    ngx_http_rt_form_object_line, 0, 0, 1, 0
};


const ngx_http_rt_form_t  ngx_http_rt_form_bare = {
    ngx_http_rt_form_bare_size, ngx_http_rt_form_bare_write,
    NULL, 0, 1, 0, 0
};


const ngx_http_rt_framing_t  ngx_http_rt_framing_none = {
    0, NULL, 0, NULL
};


const ngx_http_rt_framing_t  ngx_http_rt_framing_chunked = {
    0, NULL, 0, ngx_http_rt_framing_chunked_finish
};


const ngx_http_rt_framing_t  ngx_http_rt_framing_array = {
    0, NULL, ',', ngx_http_rt_framing_array_finish
};


const ngx_http_rt_framing_t  ngx_http_rt_framing_websocket = {
    NGX_HTTP_RT_WS_HEADER_MAX, ngx_http_rt_framing_websocket_header, 0, NULL
};


/* of this process */

static ngx_http_rt_encoding_t  *ngx_http_rt_encodings;


const ngx_http_rt_encoding_t *
ngx_http_rt_encoding(const ngx_http_rt_form_t *form,
    const ngx_http_rt_framing_t *framing, ngx_uint_t window,
    const ngx_http_rt_deflate_t *deflate)
{
    ngx_http_rt_encoding_t  *enc;

    for (enc = ngx_http_rt_encodings; enc; enc = enc->next) {

        if (enc->form == form && enc->framing == framing
            && enc->window == window
            && (window == 0 || (enc->deflate.level == deflate->level
                                && enc->deflate.min == deflate->min)))
        {
            return enc;
        }
    }

    enc = ngx_calloc(sizeof(ngx_http_rt_encoding_t), ngx_cycle->log);
    if (enc == NULL) {
        return NULL;
    }

    enc->form = form;
    enc->framing = framing;
    enc->window = window;

    if (window) {
        enc->deflate = *deflate;
    }

    enc->next = ngx_http_rt_encodings;
    ngx_http_rt_encodings = enc;

    return enc;
}


static u_char *
ngx_http_rt_form_object_sse(u_char *p, const ngx_http_rt_object_t *o)
{
    if (o->id_len) {
        p = ngx_cpymem(p, "id: ", 4);
        p = ngx_cpymem(p, o->id, o->id_len);
        *p++ = LF;
    }

    if (o->event) {
        p = ngx_cpymem(p, "event: ", 7);
        p = ngx_cpymem(p, o->event, ngx_strlen(o->event));
        *p++ = LF;
    }

    p = ngx_cpymem(p, "data: ", 6);
    p = ngx_cpymem(p, o->json, o->len);
    *p++ = LF;
    *p++ = LF;

    return p;
}


/* an EventSource hears of an event only if it knows its name: here none has */

static u_char *
ngx_http_rt_form_object_sse_json(u_char *p, const ngx_http_rt_object_t *o)
{
    ngx_http_rt_object_t  nameless;

    nameless = *o;
    nameless.event = NULL;

    return ngx_http_rt_form_object_sse(p, &nameless);
}


static u_char *
ngx_http_rt_form_object_json(u_char *p, const ngx_http_rt_object_t *o)
{
    return ngx_cpymem(p, o->json, o->len);
}


static u_char *
ngx_http_rt_form_object_line(u_char *p, const ngx_http_rt_object_t *o)
{
    p = ngx_cpymem(p, o->json, o->len);
    *p++ = LF;

    return p;
}


static size_t
ngx_http_rt_form_line_size(const ngx_http_rt_message_t *m)
{
    return ngx_http_rt_json_size(m) + 1;
}


static u_char *
ngx_http_rt_form_line_write(u_char *p, const ngx_http_rt_message_t *m)
{
    p = ngx_http_rt_json_write(p, m);
    *p++ = LF;

    return p;
}


static u_char *
ngx_http_rt_form_line_value_write(u_char *p, const ngx_http_rt_message_t *m)
{
    p = ngx_http_rt_json_value_write(p, m);
    *p++ = LF;

    return p;
}


static size_t
ngx_http_rt_form_bare_size(const ngx_http_rt_message_t *m)
{
    return m->data_len;
}


static u_char *
ngx_http_rt_form_bare_write(u_char *p, const ngx_http_rt_message_t *m)
{
    return m->data_len ? ngx_cpymem(p, m->data, m->data_len) : p;
}


static u_char *
ngx_http_rt_framing_websocket_header(u_char *p, ngx_uint_t binary, size_t len)
{
    return ngx_http_rt_ws_header(p, NGX_HTTP_RT_WS_FIN
                                    | (binary ? NGX_HTTP_RT_WS_BINARY
                                              : NGX_HTTP_RT_WS_TEXT),
                                 len);
}


/* RFC 9112, 7.1 */

static void
ngx_http_rt_framing_chunked_finish(ngx_http_rt_buffer_t *b)
{
    size_t  len;

    len = b->last - b->pos;

    *b->last++ = CR;
    *b->last++ = LF;
    *--b->pos = LF;
    *--b->pos = CR;

    do {
        *--b->pos = "0123456789abcdef"[len & 0xf];
        len >>= 4;
    } while (len);
}


static void
ngx_http_rt_framing_array_finish(ngx_http_rt_buffer_t *b)
{
    *--b->pos = '[';
    *b->last++ = ']';
}
