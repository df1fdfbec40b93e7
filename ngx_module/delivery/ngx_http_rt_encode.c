/*
 * Encodings: the ways a message is written, and the buffers that it is written
 * to.
 *
 * A buffer holds any number of messages in one encoding, ready to be sent:
 * with the chunk's frame around them where HTTP/1.1 wants one, as one array
 * for a long-poll.  It is made once and sent to many; who still needs it after
 * his event loop turn holds a reference.
 */

#include "ngx_http_rt.h"
#include "ngx_http_rt_json.h"
#include "ngx_http_rt_sse_encode.h"
#include "ngx_http_rt_ws_frame.h"


/* room before the messages: eight digits of a chunk's size and CRLF */
#define NGX_HTTP_RT_BUFFER_HEAD    10
#define NGX_HTTP_RT_BUFFER_TAIL    2

/* the fixed text of a gap, and three ids */
#define NGX_HTTP_RT_GAP_SIZE       (160 + 3 * NGX_HTTP_RT_ID_LEN)


typedef struct {
    size_t      (*size)(const ngx_http_rt_message_t *m);
    u_char     *(*write)(u_char *p, const ngx_http_rt_message_t *m);
    u_char     *(*object)(u_char *p, const u_char *json, size_t len,
                          const char *event, const u_char *id, size_t id_len);
    unsigned      chunked:1;
    unsigned      array:1;
    unsigned      deflate:1;
    unsigned      small:1;       /* the window */
} ngx_http_rt_encoding_t;


static size_t ngx_http_rt_encode_line_size(const ngx_http_rt_message_t *m);
static u_char *ngx_http_rt_encode_line(u_char *p,
    const ngx_http_rt_message_t *m);
static size_t ngx_http_rt_encode_ws_size(const ngx_http_rt_message_t *m);
static u_char *ngx_http_rt_encode_ws(u_char *p,
    const ngx_http_rt_message_t *m);
static size_t ngx_http_rt_encode_ws_json_size(const ngx_http_rt_message_t *m);
static u_char *ngx_http_rt_encode_ws_json(u_char *p,
    const ngx_http_rt_message_t *m);

static u_char *ngx_http_rt_encode_deflate(u_char *frame, u_char *last,
    ngx_uint_t small, ngx_http_rt_deflate_t *deflate);

static u_char *ngx_http_rt_encode_object_sse(u_char *p, const u_char *json,
    size_t len, const char *event, const u_char *id, size_t id_len);
static u_char *ngx_http_rt_encode_object_line(u_char *p, const u_char *json,
    size_t len, const char *event, const u_char *id, size_t id_len);
static u_char *ngx_http_rt_encode_object(u_char *p, const u_char *json,
    size_t len, const char *event, const u_char *id, size_t id_len);
static u_char *ngx_http_rt_encode_object_ws(u_char *p, const u_char *json,
    size_t len, const char *event, const u_char *id, size_t id_len);


static ngx_http_rt_encoding_t  ngx_http_rt_encodings[] = {

    /* NGX_HTTP_RT_ENC_SSE */
    { ngx_http_rt_sse_size, ngx_http_rt_sse_write,
      ngx_http_rt_encode_object_sse, 0, 0, 0, 0 },

    /* NGX_HTTP_RT_ENC_SSE_CHUNKED */
    { ngx_http_rt_sse_size, ngx_http_rt_sse_write,
      ngx_http_rt_encode_object_sse, 1, 0, 0, 0 },

    /* NGX_HTTP_RT_ENC_SSE_JSON */
    { ngx_http_rt_sse_json_size, ngx_http_rt_sse_json_write,
      ngx_http_rt_encode_object_sse, 0, 0, 0, 0 },

    /* NGX_HTTP_RT_ENC_SSE_JSON_CHUNKED */
    { ngx_http_rt_sse_json_size, ngx_http_rt_sse_json_write,
      ngx_http_rt_encode_object_sse, 1, 0, 0, 0 },

    /* NGX_HTTP_RT_ENC_STREAM */
    { ngx_http_rt_encode_line_size, ngx_http_rt_encode_line,
      ngx_http_rt_encode_object_line, 0, 0, 0, 0 },

    /* NGX_HTTP_RT_ENC_STREAM_CHUNKED */
    { ngx_http_rt_encode_line_size, ngx_http_rt_encode_line,
      ngx_http_rt_encode_object_line, 1, 0, 0, 0 },

    /* NGX_HTTP_RT_ENC_POLL */
    { ngx_http_rt_json_size, ngx_http_rt_json_write,
      ngx_http_rt_encode_object, 0, 1, 0, 0 },

    /* NGX_HTTP_RT_ENC_WS */
    { ngx_http_rt_encode_ws_size, ngx_http_rt_encode_ws,
      NULL, 0, 0, 0, 0 },

    /* NGX_HTTP_RT_ENC_WS_JSON */
    { ngx_http_rt_encode_ws_json_size, ngx_http_rt_encode_ws_json,
      ngx_http_rt_encode_object_ws, 0, 0, 0, 0 },

    /* NGX_HTTP_RT_ENC_WS_DEFLATE */
    { ngx_http_rt_encode_ws_size, ngx_http_rt_encode_ws,
      NULL, 0, 0, 1, 0 },

    /* NGX_HTTP_RT_ENC_WS_JSON_DEFLATE */
    { ngx_http_rt_encode_ws_json_size, ngx_http_rt_encode_ws_json,
      ngx_http_rt_encode_object_ws, 0, 0, 1, 0 },

    /* NGX_HTTP_RT_ENC_WS_DEFLATE_SMALL */
    { ngx_http_rt_encode_ws_size, ngx_http_rt_encode_ws,
      NULL, 0, 0, 1, 1 },

    /* NGX_HTTP_RT_ENC_WS_JSON_DEFLATE_SMALL */
    { ngx_http_rt_encode_ws_json_size, ngx_http_rt_encode_ws_json,
      ngx_http_rt_encode_object_ws, 0, 0, 1, 1 }
};


static const char  *ngx_http_rt_gap_reasons[] = {
    "", "evicted", "history", "lagged", "deleted", "epoch"
};


const char *
ngx_http_rt_gap_reason(ngx_uint_t reason)
{
    return ngx_http_rt_gap_reasons[reason];
}


ngx_http_rt_buffer_t *
ngx_http_rt_buffer_create(ngx_uint_t encoding, size_t size)
{
    ngx_http_rt_buffer_t  *b;

    size += NGX_HTTP_RT_BUFFER_HEAD + NGX_HTTP_RT_BUFFER_TAIL;

    b = ngx_alloc(sizeof(ngx_http_rt_buffer_t) + size, ngx_cycle->log);
    if (b == NULL) {
        return NULL;
    }

    b->next = NULL;
    b->refs = 1;
    b->messages = 0;
    b->encoding = encoding;
    b->deflate.level = 1;
    b->deflate.min = 0;
    b->pos = b->start + NGX_HTTP_RT_BUFFER_HEAD;
    b->last = b->pos;
    b->end = b->start + size;

    return b;
}


/* room for size more bytes; nobody else may hold the buffer yet */

ngx_int_t
ngx_http_rt_buffer_reserve(ngx_http_rt_buffer_t **bp, size_t size)
{
    size_t                 used, all;
    ngx_http_rt_buffer_t  *b, *new;

    b = *bp;

    size += NGX_HTTP_RT_BUFFER_TAIL;

    if ((size_t) (b->end - b->last) >= size) {
        return NGX_OK;
    }

    used = b->last - b->start;
    all = ngx_max(used + size, 2 * (size_t) (b->end - b->start));

    new = realloc(b, sizeof(ngx_http_rt_buffer_t) + all);
    if (new == NULL) {
        ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, ngx_errno,
                      "realloc(%uz) failed", all);
        return NGX_ERROR;
    }

    new->pos = new->start + NGX_HTTP_RT_BUFFER_HEAD;
    new->last = new->start + used;
    new->end = new->start + all;

    *bp = new;

    return NGX_OK;
}


ngx_int_t
ngx_http_rt_buffer_add(ngx_http_rt_buffer_t **bp, ngx_http_rt_message_t *m)
{
    size_t                   size;
    u_char                  *p;
    ngx_http_rt_buffer_t    *b;
    ngx_http_rt_encoding_t  *enc;

    enc = &ngx_http_rt_encodings[(*bp)->encoding];

    size = enc->size(m) + 1;

    if (ngx_http_rt_buffer_reserve(bp, enc->deflate ? 2 * size : size)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    b = *bp;

    if (enc->array && b->last != b->pos) {
        *b->last++ = ',';
    }

    p = b->last;
    b->last = enc->write(p, m);
    b->messages++;

    if (enc->deflate) {
        b->last = ngx_http_rt_encode_deflate(p, b->last, enc->small,
                                             &b->deflate);
    }

    return NGX_OK;
}


/* NGX_DECLINED: this encoding cannot carry it */

ngx_int_t
ngx_http_rt_buffer_add_gap(ngx_http_rt_buffer_t **bp, ngx_http_rt_gap_t *gap)
{
    u_char                  *p, *json, id[NGX_HTTP_RT_ID_LEN];
    u_char                   text[NGX_HTTP_RT_GAP_SIZE
                                  + 6 * NGX_HTTP_RT_TOPIC_MAX];
    size_t                   id_len;
    ngx_http_rt_encoding_t  *enc;

    enc = &ngx_http_rt_encodings[(*bp)->encoding];

    if (enc->object == NULL) {
        return NGX_DECLINED;
    }

    p = ngx_cpymem(text, "{\"gap\":", 7);
    json = p;

    p = ngx_cpymem(p, "{\"topic\":\"", 10);
    p = ngx_http_rt_json_escape(p, gap->topic.data, gap->topic.len);
    p = ngx_cpymem(p, "\",\"from\":\"", 10);
    p = ngx_http_rt_id_write(p, gap->from.epoch, gap->from.seq);
    p = ngx_cpymem(p, "\",\"to\":\"", 8);
    p = ngx_http_rt_id_write(p, gap->to.epoch, gap->to.seq);
    p = ngx_sprintf(p, "\",\"reason\":\"%s\"}",
                    ngx_http_rt_gap_reason(gap->reason));

    if (enc->object != ngx_http_rt_encode_object_sse
        || enc->write == ngx_http_rt_sse_json_write)
    {
        *p++ = '}';
        json = text;
    }

    id_len = ngx_http_rt_id_write(id, gap->id.epoch, gap->id.seq) - id;

    return ngx_http_rt_buffer_add_object(bp, json, p - json, "realtime:gap",
                                         id, id_len);
}


/* whether the client can be told anything but bare messages */

ngx_uint_t
ngx_http_rt_buffer_takes_objects(ngx_uint_t encoding)
{
    return ngx_http_rt_encodings[encoding].object != NULL;
}


/* a JSON object of ours; "event" and "id" are for SSE */

ngx_int_t
ngx_http_rt_buffer_add_object(ngx_http_rt_buffer_t **bp, u_char *json,
    size_t len, const char *event, u_char *id, size_t id_len)
{
    ngx_http_rt_buffer_t    *b;
    ngx_http_rt_encoding_t  *enc;

    enc = &ngx_http_rt_encodings[(*bp)->encoding];

    /* the longest frame around it is SSE's: three field names */

    if (ngx_http_rt_buffer_reserve(bp, len + id_len + 64) != NGX_OK) {
        return NGX_ERROR;
    }

    b = *bp;

    if (enc->array && b->last != b->pos) {
        *b->last++ = ',';
    }

    b->last = enc->object(b->last, json, len, event, id, id_len);

    return NGX_OK;
}


/* what goes around all messages */

void
ngx_http_rt_buffer_finish(ngx_http_rt_buffer_t *b)
{
    size_t                   len;
    ngx_http_rt_encoding_t  *enc;

    enc = &ngx_http_rt_encodings[b->encoding];

    if (enc->array) {
        *--b->pos = '[';
        *b->last++ = ']';

    } else if (enc->chunked) {
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
}


void
ngx_http_rt_buffer_release(ngx_http_rt_buffer_t *b)
{
    if (--b->refs == 0) {
        ngx_free(b);
    }
}


static size_t
ngx_http_rt_encode_line_size(const ngx_http_rt_message_t *m)
{
    return ngx_http_rt_json_size(m) + 1;
}


static u_char *
ngx_http_rt_encode_line(u_char *p, const ngx_http_rt_message_t *m)
{
    p = ngx_http_rt_json_write(p, m);
    *p++ = LF;

    return p;
}


static size_t
ngx_http_rt_encode_ws_size(const ngx_http_rt_message_t *m)
{
    return NGX_HTTP_RT_WS_HEADER_MAX + m->data_len;
}


static u_char *
ngx_http_rt_encode_ws(u_char *p, const ngx_http_rt_message_t *m)
{
    p = ngx_http_rt_ws_header(p, NGX_HTTP_RT_WS_FIN
                                 | (m->binary ? NGX_HTTP_RT_WS_BINARY
                                              : NGX_HTTP_RT_WS_TEXT),
                              m->data_len);

    return ngx_cpymem(p, m->data, m->data_len);
}


static size_t
ngx_http_rt_encode_ws_json_size(const ngx_http_rt_message_t *m)
{
    return NGX_HTTP_RT_WS_HEADER_MAX + ngx_http_rt_json_size(m);
}


/* the length is known after the message; the header is put before it then */

static u_char *
ngx_http_rt_encode_ws_json(u_char *p, const ngx_http_rt_message_t *m)
{
    size_t   len, head;
    u_char  *json;

    json = p + NGX_HTTP_RT_WS_HEADER_MAX;
    len = ngx_http_rt_json_write(json, m) - json;

    head = ngx_http_rt_ws_header(p, NGX_HTTP_RT_WS_FIN|NGX_HTTP_RT_WS_TEXT,
                                 len)
           - p;

    ngx_memmove(p + head, json, len);

    return p + head + len;
}


/*
 * The frame again, compressed, if that makes it smaller.  Behind "last" there
 * is as much room as the frame has taken.
 */

static u_char *
ngx_http_rt_encode_deflate(u_char *frame, u_char *last, ngx_uint_t small,
    ngx_http_rt_deflate_t *deflate)
{
    size_t   len, head;
    u_char  *data;

    /* RFC 6455, 5.2: where the payload begins is in the length */

    head = (frame[1] < 126) ? 2 : (frame[1] == 126) ? 4 : 10;
    data = frame + head;

    if ((size_t) (last - data) < deflate->min) {
        return last;
    }

    len = ngx_http_rt_deflate(small, deflate->level, data, last - data, last);

    if (len == 0) {
        return last;
    }

    head = ngx_http_rt_ws_header(frame, frame[0] | NGX_HTTP_RT_WS_RSV1, len)
           - frame;

    ngx_memmove(frame + head, last, len);

    return frame + head + len;
}


static u_char *
ngx_http_rt_encode_object_sse(u_char *p, const u_char *json, size_t len,
    const char *event, const u_char *id, size_t id_len)
{
    p = ngx_cpymem(p, "id: ", 4);
    p = ngx_cpymem(p, id, id_len);
    *p++ = LF;

    if (event) {
        p = ngx_cpymem(p, "event: ", 7);
        p = ngx_cpymem(p, event, ngx_strlen(event));
        *p++ = LF;
    }

    p = ngx_cpymem(p, "data: ", 6);
    p = ngx_cpymem(p, json, len);
    *p++ = LF;
    *p++ = LF;

    return p;
}


static u_char *
ngx_http_rt_encode_object(u_char *p, const u_char *json, size_t len,
    const char *event, const u_char *id, size_t id_len)
{
    return ngx_cpymem(p, json, len);
}


static u_char *
ngx_http_rt_encode_object_line(u_char *p, const u_char *json, size_t len,
    const char *event, const u_char *id, size_t id_len)
{
    p = ngx_cpymem(p, json, len);
    *p++ = LF;

    return p;
}


static u_char *
ngx_http_rt_encode_object_ws(u_char *p, const u_char *json, size_t len,
    const char *event, const u_char *id, size_t id_len)
{
    p = ngx_http_rt_ws_header(p, NGX_HTTP_RT_WS_FIN|NGX_HTTP_RT_WS_TEXT, len);

    return ngx_cpymem(p, json, len);
}
