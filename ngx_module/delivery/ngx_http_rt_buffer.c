/*
 * Buffers: messages in one encoding, ready to be sent.
 *
 *     | head | message | message | ... | tail |
 *            ^ pos                ^ last
 *
 * Head and tail are room for what the framing puts around all of them: the size
 * line of a chunk and its CRLF, or the brackets of an array.
 */

#include "ngx_http_rt_encode.h"
#include "ngx_http_rt_deflate.h"
#include "ngx_http_rt_json.h"
#include "ngx_http_rt_pattern.h"
#include "ngx_http_rt_ws_frame.h"


/* eight digits of a chunk's size and CRLF */
#define NGX_HTTP_RT_BUFFER_HEAD    10
#define NGX_HTTP_RT_BUFFER_TAIL    2

/* the fixed text of a gap, and three ids */
#define NGX_HTTP_RT_GAP_SIZE       (160 + 3 * NGX_HTTP_RT_ID_LEN)


static ngx_int_t ngx_http_rt_buffer_add_headless(ngx_http_rt_buffer_t *b,
    const ngx_http_rt_message_t *m);
static u_char *ngx_http_rt_buffer_deflate(const ngx_http_rt_encoding_t *enc,
    u_char *frame, u_char *last);


static const char  *ngx_http_rt_gap_reasons[] = {
    "", "evicted", "history", "lagged", "deleted", "epoch", "refused"
};


const char *
ngx_http_rt_gap_reason(ngx_uint_t reason)
{
    return ngx_http_rt_gap_reasons[reason];
}


ngx_http_rt_buffer_t *
ngx_http_rt_buffer_create(const ngx_http_rt_encoding_t *encoding, size_t size)
{
    ngx_http_rt_buffer_t  *b;

    size += NGX_HTTP_RT_BUFFER_HEAD + NGX_HTTP_RT_BUFFER_TAIL;

    b = ngx_alloc(sizeof(ngx_http_rt_buffer_t) + size, ngx_cycle->log);
    if (b == NULL) {
        return NULL;
    }

    b->next = NULL;
    b->encoding = encoding;
    b->refs = 1;
    b->messages = 0;
    b->ends = NULL;
    b->pos = b->start + NGX_HTTP_RT_BUFFER_HEAD;
    b->last = b->pos;
    b->end = b->start + size;

    return b;
}


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
ngx_http_rt_buffer_add(ngx_http_rt_buffer_t **bp,
    const ngx_http_rt_message_t *m)
{
    size_t                         size, len, head;
    u_char                        *p, *text;
    ngx_uint_t                     binary;
    ngx_http_rt_buffer_t          *b;
    const ngx_http_rt_form_t      *form;
    const ngx_http_rt_framing_t   *framing;
    const ngx_http_rt_encoding_t  *enc;

    enc = (*bp)->encoding;
    form = enc->form;
    framing = enc->framing;

    size = form->size(m);
    len = size + framing->head + 1;

    if (ngx_http_rt_buffer_reserve(bp, enc->window ? 2 * len : len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    b = *bp;
    p = b->last;

    if (form->heads) {
        return ngx_http_rt_buffer_add_headless(b, m);
    }

    b->messages++;

    if (framing->separator && p != b->pos) {
        *p++ = framing->separator;
    }

    if (framing->head == 0) {
        b->last = form->write(p, m);
        return NGX_OK;
    }

    binary = m->binary && !form->text;

    if (form->exact) {
        b->last = form->write(framing->header(p, binary, size), m);

    } else {

        /* the length is known after the message; the header goes before it */

        text = p + framing->head;
        len = form->write(text, m) - text;
        head = framing->header(p, binary, len) - p;

        if (head != framing->head) {
            ngx_memmove(p + head, text, len);
        }

        b->last = p + head + len;
    }

    if (enc->window) {
        b->last = ngx_http_rt_buffer_deflate(enc, p, b->last);
    }

    return NGX_OK;
}


/* the message without its frame, for the length of the head is not known */

static ngx_int_t
ngx_http_rt_buffer_add_headless(ngx_http_rt_buffer_t *b,
    const ngx_http_rt_message_t *m)
{
    uint32_t  *ends;

    /* room is made in powers of two */

    if ((b->messages & (b->messages - 1)) == 0) {
        ends = realloc(b->ends, ngx_max(2 * b->messages, 1)
                                * sizeof(uint32_t));
        if (ends == NULL) {
            return NGX_ERROR;
        }

        b->ends = ends;
    }

    b->last = b->encoding->form->write(b->last, m);
    b->ends[b->messages++] = b->last - b->pos;

    return NGX_OK;
}


/*
 * The WebSocket frame again, compressed, if that makes it smaller.  Behind
 * "last" there is as much room as the frame has taken.
 */

static u_char *
ngx_http_rt_buffer_deflate(const ngx_http_rt_encoding_t *enc, u_char *frame,
    u_char *last)
{
    size_t   len, head;
    u_char  *data;

    /* RFC 6455, 5.2: where the payload begins is in the length */

    head = (frame[1] < 126) ? 2 : (frame[1] == 126) ? 4 : 10;
    data = frame + head;

    if ((size_t) (last - data) < enc->deflate.min) {
        return last;
    }

    len = ngx_http_rt_deflate(enc->window, enc->deflate.level, data,
                              last - data, last);

    if (len == 0) {
        return last;
    }

    head = ngx_http_rt_ws_header(frame, frame[0] | NGX_HTTP_RT_WS_RSV1, len)
           - frame;

    ngx_memmove(frame + head, last, len);

    return frame + head + len;
}


ngx_int_t
ngx_http_rt_buffer_add_object(ngx_http_rt_buffer_t **bp,
    const ngx_http_rt_object_t *o)
{
    size_t                         len, head;
    u_char                        *p, *text;
    ngx_http_rt_buffer_t          *b;
    const ngx_http_rt_framing_t   *framing;
    const ngx_http_rt_encoding_t  *enc;

    enc = (*bp)->encoding;
    framing = enc->framing;

    if (enc->form->object == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_http_rt_buffer_reserve(bp, framing->head + o->len + o->id_len + 64)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    b = *bp;
    p = b->last;

    if (framing->separator && p != b->pos) {
        *p++ = framing->separator;
    }

    text = p + framing->head;
    len = enc->form->object(text, o) - text;

    if (framing->head) {
        head = framing->header(p, 0, len) - p;

        ngx_memmove(p + head, text, len);
        text = p + head;
    }

    b->last = text + len;

    return NGX_OK;
}


ngx_int_t
ngx_http_rt_buffer_add_gap(ngx_http_rt_buffer_t **bp,
    const ngx_http_rt_gap_t *gap)
{
    u_char                *p, id[NGX_HTTP_RT_ID_LEN];
    u_char                 text[NGX_HTTP_RT_GAP_SIZE
                                + 6 * NGX_HTTP_RT_TOPIC_MAX];
    ngx_http_rt_object_t   o;

    p = ngx_cpymem(text, "{\"gap\":", 7);
    p = ngx_cpymem(p, "{\"topic\":\"", 10);
    p = ngx_http_rt_json_escape(p, gap->topic.data, gap->topic.len);
    p = ngx_cpymem(p, "\",\"from\":\"", 10);
    p = ngx_http_rt_id_write(p, gap->from.epoch, gap->from.seq);
    p = ngx_cpymem(p, "\",\"to\":\"", 8);
    p = ngx_http_rt_id_write(p, gap->to.epoch, gap->to.seq);
    p = ngx_sprintf(p, "\",\"reason\":\"%s\"}}",
                    ngx_http_rt_gap_reason(gap->reason));

    o.json = text;
    o.len = p - text;
    o.event = "realtime:gap";
    o.id = id;
    o.id_len = ngx_http_rt_id_write(id, gap->id.epoch, gap->id.seq) - id;

    if ((*bp)->encoding->form->named) {

        /* the event says that it is a gap */

        o.json += 7;
        o.len -= 8;
    }

    return ngx_http_rt_buffer_add_object(bp, &o);
}


/* what goes around all messages */

void
ngx_http_rt_buffer_finish(ngx_http_rt_buffer_t *b)
{
    if (b->encoding->framing->finish) {
        b->encoding->framing->finish(b);
    }
}


void
ngx_http_rt_buffer_release(ngx_http_rt_buffer_t *b)
{
    if (--b->refs == 0) {

        if (b->ends) {
            free(b->ends);
        }

        ngx_free(b);
    }
}
