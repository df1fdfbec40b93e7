/*
 * A message as an event of a text/event-stream:
 *
 *     id: 5f3a-17
 *     event: name                  if it has one
 *     data: line                   one for each line
 *     (an empty line)
 *
 * CRLF, CR and LF all end a line, as they do for the client's parser; it puts
 * the lines together with LF.  An empty message is one empty data line, for
 * without any the client would dispatch nothing.
 */


#include <string.h>

#include <ngx_http_rt_id.h>
#include <ngx_http_rt_json.h>
#include <ngx_http_rt_json_value.h>
#include <ngx_http_rt_sse_encode.h>


#define NGX_HTTP_RT_SSE_ONES     0x0101010101010101ULL
#define NGX_HTTP_RT_SSE_HIGH     0x8080808080808080ULL

#define NGX_HTTP_RT_SSE_BINARY   "realtime:binary"

#define ngx_http_rt_sse_add(p, s)                                             \
    (memcpy(p, s, sizeof(s) - 1), (p) + sizeof(s) - 1)


static size_t ngx_http_rt_sse_head_size(const ngx_http_rt_message_t *m);
static u_char *ngx_http_rt_sse_head(u_char *p, const ngx_http_rt_message_t *m);
static u_char *ngx_http_rt_sse_id(u_char *p, const ngx_http_rt_message_t *m);
static u_char *ngx_http_rt_sse_event(u_char *p, const u_char *name, size_t len);
static u_char *ngx_http_rt_sse_data(u_char *p, const ngx_http_rt_message_t *m,
    int nameless);
static const u_char *ngx_http_rt_sse_eol(const u_char *p, const u_char *last);


size_t
ngx_http_rt_sse_size(const ngx_http_rt_message_t *m)
{
    size_t         size;
    const u_char  *p, *last;

    size = ngx_http_rt_sse_head_size(m) + sizeof("data: \n\n") - 1;

    if (m->binary) {
        return size + sizeof("event: " NGX_HTTP_RT_SSE_BINARY "\n") - 1
               + ngx_http_rt_base64_size(m->data_len);
    }

    if (m->data_len == 0) {
        return size;
    }

    size += m->data_len;
    last = m->data + m->data_len;

    /* a line's own end, at least one byte, is counted in data_len */

    for (p = ngx_http_rt_sse_eol(m->data, last);
         p < last;
         p = ngx_http_rt_sse_eol(p + 1, last))
    {
        size += sizeof("data: ") - 1;
    }

    return size;
}


u_char *
ngx_http_rt_sse_write(u_char *p, const ngx_http_rt_message_t *m)
{
    p = ngx_http_rt_sse_head(p, m);

    return ngx_http_rt_sse_data(p, m, m->event_len == 0);
}


size_t
ngx_http_rt_sse_topic_size(const ngx_http_rt_message_t *m)
{
    return ngx_http_rt_sse_size(m) + sizeof("event: \n") - 1 + m->topic_len;
}


u_char *
ngx_http_rt_sse_topic_write(u_char *p, const ngx_http_rt_message_t *m)
{
    p = ngx_http_rt_sse_id(p, m);
    p = ngx_http_rt_sse_event(p, m->topic, m->topic_len);

    return ngx_http_rt_sse_data(p, m, 0);
}


static u_char *
ngx_http_rt_sse_data(u_char *p, const ngx_http_rt_message_t *m, int nameless)
{
    size_t         len;
    const u_char  *line, *eol, *last;

    if (m->binary) {

        if (nameless) {
            p = ngx_http_rt_sse_add(p, "event: " NGX_HTTP_RT_SSE_BINARY "\n");
        }

        p = ngx_http_rt_sse_add(p, "data: ");
        p = ngx_http_rt_base64_write(p, m->data, m->data_len);

        return ngx_http_rt_sse_add(p, "\n\n");
    }

    if (m->data_len == 0) {
        return ngx_http_rt_sse_add(p, "data: \n\n");
    }

    line = m->data;
    last = m->data + m->data_len;

    for ( ;; ) {
        eol = ngx_http_rt_sse_eol(line, last);
        len = eol - line;

        p = ngx_http_rt_sse_add(p, "data: ");

        memcpy(p, line, len);
        p += len;
        *p++ = '\n';

        if (eol == last) {
            break;
        }

        line = eol + 1;

        if (*eol == '\r' && line < last && *line == '\n') {
            line++;
        }
    }

    *p++ = '\n';

    return p;
}


size_t
ngx_http_rt_sse_json_size(const ngx_http_rt_message_t *m)
{
    return sizeof("id: \ndata: \n\n") - 1 + NGX_HTTP_RT_ID_LEN
           + ngx_http_rt_json_size(m);
}


u_char *
ngx_http_rt_sse_json_write(u_char *p, const ngx_http_rt_message_t *m)
{
    p = ngx_http_rt_sse_id(p, m);

    p = ngx_http_rt_sse_add(p, "data: ");
    p = ngx_http_rt_json_write(p, m);

    return ngx_http_rt_sse_add(p, "\n\n");
}


u_char *
ngx_http_rt_sse_json_value_write(u_char *p, const ngx_http_rt_message_t *m)
{
    p = ngx_http_rt_sse_id(p, m);

    p = ngx_http_rt_sse_add(p, "data: ");
    p = ngx_http_rt_json_value_write(p, m);

    return ngx_http_rt_sse_add(p, "\n\n");
}


static size_t
ngx_http_rt_sse_head_size(const ngx_http_rt_message_t *m)
{
    size_t  size;

    size = sizeof("id: \n") - 1 + NGX_HTTP_RT_ID_LEN;

    if (m->event_len) {
        size += sizeof("event: \n") - 1 + m->event_len;
    }

    return size;
}


static u_char *
ngx_http_rt_sse_head(u_char *p, const ngx_http_rt_message_t *m)
{
    p = ngx_http_rt_sse_id(p, m);

    return m->event_len ? ngx_http_rt_sse_event(p, m->event, m->event_len) : p;
}


static u_char *
ngx_http_rt_sse_id(u_char *p, const ngx_http_rt_message_t *m)
{
    p = ngx_http_rt_sse_add(p, "id: ");
    p = ngx_http_rt_id_write(p, m->epoch, m->seq);
    *p++ = '\n';

    return p;
}


static u_char *
ngx_http_rt_sse_event(u_char *p, const u_char *name, size_t len)
{
    p = ngx_http_rt_sse_add(p, "event: ");
    memcpy(p, name, len);
    p += len;
    *p++ = '\n';

    return p;
}


/*
 * The first CR or LF, or last.  Eight bytes at a time: x - 1 has a high bit
 * that x has not only if some byte of x was 0.
 */

static const u_char *
ngx_http_rt_sse_eol(const u_char *p, const u_char *last)
{
    uint64_t  word, cr, lf;

    while (last - p >= 8) {
        memcpy(&word, p, 8);

        cr = word ^ NGX_HTTP_RT_SSE_ONES * '\r';
        lf = word ^ NGX_HTTP_RT_SSE_ONES * '\n';

        cr = (cr - NGX_HTTP_RT_SSE_ONES) & ~cr;
        lf = (lf - NGX_HTTP_RT_SSE_ONES) & ~lf;

        if ((cr | lf) & NGX_HTTP_RT_SSE_HIGH) {
            break;
        }

        p += 8;
    }

    while (p < last && *p != '\r' && *p != '\n') {
        p++;
    }

    return p;
}
