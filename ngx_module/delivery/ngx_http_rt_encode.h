/*
 * Encodings: how messages become the bytes that a client gets, and the buffers
 * that hold them.
 *
 * An encoding is a product of three:
 *
 *     form           what one message looks like: bare data, a JSON object, an
 *                    event of a text/event-stream, ...
 *     framing        what goes around each message (a WebSocket frame) or
 *                    around all of a buffer (a chunk of HTTP/1.1, an array)
 *     compression    permessage-deflate, its level, and from which size on
 *
 * Those in use are interned: two clients with the same three have the same
 * ngx_http_rt_encoding_t, so encodings are compared by address.  They are never
 * freed; there are at most as many as configurations times forms.
 *
 * A buffer holds any number of messages in one encoding, ready to be sent.  It
 * is made once and sent to many; whatever still needs it after its turn of the
 * event loop holds a reference.
 */

#ifndef _NGX_HTTP_RT_ENCODE_H_INCLUDED_
#define _NGX_HTTP_RT_ENCODE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_rt_id.h"
#include "ngx_http_rt_message.h"


typedef struct ngx_http_rt_encoding_s  ngx_http_rt_encoding_t;
typedef struct ngx_http_rt_buffer_s    ngx_http_rt_buffer_t;


/* what is missing between two positions */

typedef struct {
    ngx_str_t                      topic;   /* or pattern */
    ngx_http_rt_id_t               from;    /* had by the client */
    ngx_http_rt_id_t               to;      /* the last that may be missing */
    ngx_http_rt_id_t               id;      /* resuming here loses nothing */
    ngx_uint_t                     reason;
} ngx_http_rt_gap_t;


/* a JSON object of ours among the messages; event and id are for SSE */

typedef struct {
    const u_char                  *json;
    size_t                         len;
    const char                    *event;   /* or NULL */
    const u_char                  *id;
    size_t                         id_len;  /* 0: none */
} ngx_http_rt_object_t;


typedef struct {

    /* the bytes that write() may need at most; exactly these if "exact" */
    size_t                       (*size)(const ngx_http_rt_message_t *m);
    u_char                      *(*write)(u_char *p,
                                          const ngx_http_rt_message_t *m);

    /* at most 64 bytes more than json and id; NULL: messages only */
    u_char                      *(*object)(u_char *p,
                                           const ngx_http_rt_object_t *o);

    unsigned                       heads:1;  /* something private goes before */
                                             /* each message */
    unsigned                       exact:1;
    unsigned                       text:1;   /* also of binary messages */
    unsigned                       named:1;  /* an object's event says what */
} ngx_http_rt_form_t;                        /* it is */


typedef struct {

    /* the room before each message, and the frame put into it */
    size_t                         head;
    u_char                      *(*header)(u_char *p, ngx_uint_t binary,
                                           size_t len);

    /* between two messages, or 0 */
    u_char                         separator;

    /* around all of them; there are 10 bytes before and 2 behind */
    void                         (*finish)(ngx_http_rt_buffer_t *b);
} ngx_http_rt_framing_t;


typedef struct {
    ngx_int_t                      level;
    size_t                         min;     /* smaller ones go as they are */
} ngx_http_rt_deflate_t;


struct ngx_http_rt_encoding_s {
    const ngx_http_rt_form_t      *form;
    const ngx_http_rt_framing_t   *framing;
    ngx_uint_t                     window;  /* bits, 0: not compressed */
    ngx_http_rt_deflate_t          deflate;
    ngx_http_rt_encoding_t        *next;
};


struct ngx_http_rt_buffer_s {
    ngx_http_rt_buffer_t          *next;    /* of a batch, in other encoding */
    const ngx_http_rt_encoding_t  *encoding;
    ngx_uint_t                     refs;
    ngx_uint_t                     messages;
    uint32_t                      *ends;    /* of messages, if form->heads */
    u_char                        *pos;
    u_char                        *last;
    u_char                        *end;
    u_char                         start[];
};


extern const ngx_http_rt_form_t  ngx_http_rt_form_sse;
extern const ngx_http_rt_form_t  ngx_http_rt_form_sse_json;
extern const ngx_http_rt_form_t  ngx_http_rt_form_sse_json_value;
extern const ngx_http_rt_form_t  ngx_http_rt_form_sse_topic;
extern const ngx_http_rt_form_t  ngx_http_rt_form_json;
extern const ngx_http_rt_form_t  ngx_http_rt_form_json_value;
extern const ngx_http_rt_form_t  ngx_http_rt_form_line;
extern const ngx_http_rt_form_t  ngx_http_rt_form_line_value;
extern const ngx_http_rt_form_t  ngx_http_rt_form_bare;

extern const ngx_http_rt_framing_t  ngx_http_rt_framing_none;
extern const ngx_http_rt_framing_t  ngx_http_rt_framing_chunked;
extern const ngx_http_rt_framing_t  ngx_http_rt_framing_array;
extern const ngx_http_rt_framing_t  ngx_http_rt_framing_websocket;


/* NULL: no memory; deflate is not looked at when window is 0 */
const ngx_http_rt_encoding_t *ngx_http_rt_encoding(
    const ngx_http_rt_form_t *form, const ngx_http_rt_framing_t *framing,
    ngx_uint_t window, const ngx_http_rt_deflate_t *deflate);

ngx_http_rt_buffer_t *ngx_http_rt_buffer_create(
    const ngx_http_rt_encoding_t *encoding, size_t size);

/* these may move the buffer, so nothing else may hold it yet */
ngx_int_t ngx_http_rt_buffer_reserve(ngx_http_rt_buffer_t **bp, size_t size);
ngx_int_t ngx_http_rt_buffer_add(ngx_http_rt_buffer_t **bp,
    const ngx_http_rt_message_t *m);

/* NGX_DECLINED: the form carries nothing but messages */
ngx_int_t ngx_http_rt_buffer_add_object(ngx_http_rt_buffer_t **bp,
    const ngx_http_rt_object_t *o);
ngx_int_t ngx_http_rt_buffer_add_gap(ngx_http_rt_buffer_t **bp,
    const ngx_http_rt_gap_t *gap);

void ngx_http_rt_buffer_finish(ngx_http_rt_buffer_t *b);
void ngx_http_rt_buffer_release(ngx_http_rt_buffer_t *b);

const char *ngx_http_rt_gap_reason(ngx_uint_t reason);


#endif /* _NGX_HTTP_RT_ENCODE_H_INCLUDED_ */
