/*
 * What goes out of a session.
 *
 * A session with one reader sends each buffer as it comes; what the socket does
 * not take stays in s->out, and the session is blocked until it is out.
 *
 * A session that multiplexes would have a send for each reader.  It gathers
 * parts instead, a part being a piece of a shared buffer, and all of them go in
 * one writev() at the end of the turn, or when there are PARTS or PARTS_BYTES.
 * So what a blocked session holds is bounded, too.
 *
 * Replies are gathered in a buffer of the session's own.  They go before
 * anything that comes after them; with more than NGX_HTTP_RT_REPLIES_MAX the
 * client is too slow and is closed.
 */

#include "ngx_http_rt_session.h"


/* parts of one writev(), and their bytes, to the end of the last part */
#define NGX_HTTP_RT_PARTS        64
#define NGX_HTTP_RT_PARTS_BYTES  (64 * 1024)

/* unused parts that the process keeps */
#define NGX_HTTP_RT_PARTS_KEPT   1024


extern ngx_module_t  ngx_http_realtime_module;


struct ngx_http_rt_part_s {
    ngx_chain_t              chain;     /* first: to be found by it */
    ngx_buf_t                buf;
    ngx_http_rt_buffer_t    *buffer;    /* one reference */
    ngx_http_rt_part_t      *next;
};


static ngx_int_t ngx_http_rt_session_sink_send(ngx_http_rt_sink_t *sink,
    ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t *b);
static ngx_int_t ngx_http_rt_session_heads(ngx_http_rt_session_t *s,
    ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t *b);
static void ngx_http_rt_session_sink_flush(ngx_http_rt_sink_t *sink);
static void ngx_http_rt_session_sink_close(ngx_http_rt_sink_t *sink,
    ngx_uint_t code, const char *reason);
static void ngx_http_rt_session_sink_end(ngx_http_rt_sink_t *sink);
static ngx_int_t ngx_http_rt_session_direct(ngx_http_rt_session_t *s,
    ngx_http_rt_buffer_t *b, u_char *pos);
static ngx_int_t ngx_http_rt_session_filter(ngx_http_rt_session_t *s,
    ngx_http_rt_buffer_t *b);
static ngx_int_t ngx_http_rt_session_gather(ngx_http_rt_session_t *s,
    ngx_http_rt_buffer_t *b, u_char *pos, u_char *last);
static ngx_int_t ngx_http_rt_session_parts(ngx_http_rt_session_t *s);
static void ngx_http_rt_session_part_free(ngx_http_rt_part_t *part);
static ngx_int_t ngx_http_rt_session_replies(ngx_http_rt_session_t *s);
static ngx_int_t ngx_http_rt_session_rest(ngx_http_rt_session_t *s);


const ngx_http_rt_sink_ops_t  ngx_http_rt_session_sink = {
    ngx_http_rt_session_sink_send,
    ngx_http_rt_session_sink_flush,
    ngx_http_rt_session_started,
    ngx_http_rt_session_sink_close,
    ngx_http_rt_session_sink_end
};


/* of this process */

static ngx_http_rt_part_t  *ngx_http_rt_parts;
static ngx_uint_t           ngx_http_rt_nparts;


static ngx_int_t
ngx_http_rt_session_sink_send(ngx_http_rt_sink_t *sink,
    ngx_http_rt_reader_t *rd, ngx_http_rt_buffer_t *b)
{
    ngx_http_rt_session_t  *s;

    s = ngx_http_rt_session_of(sink);

    if (s->topics && !ngx_queue_empty(&s->topics->leaving)) {
        ngx_http_rt_session_list(s);
    }

    if (b->ends && s->dialect->head) {
        return ngx_http_rt_session_heads(s, rd, b);
    }

    return ngx_http_rt_session_send(s, b);
}


/* what is the reader's own, and what all share, by turns */

static ngx_int_t
ngx_http_rt_session_heads(ngx_http_rt_session_t *s, ngx_http_rt_reader_t *rd,
    ngx_http_rt_buffer_t *b)
{
    u_char                *p, *start, *end;
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_http_rt_buffer_t  *heads;

    s->active = ngx_current_msec;

    rc = ngx_http_rt_session_replies(s);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    heads = ngx_http_rt_buffer_create(b->encoding,
                                      b->messages * NGX_HTTP_RT_HEAD_MAX);
    if (heads == NULL) {
        return NGX_ERROR;
    }

    p = heads->pos;
    start = b->pos;

    for (i = 0; i < b->messages && rc != NGX_ERROR; i++) {

        end = b->pos + b->ends[i];

        heads->last = s->dialect->head(s, rd, p, end - start);

        rc = ngx_http_rt_session_gather(s, heads, p, heads->last);

        if (rc != NGX_ERROR && end != start) {
            rc = ngx_http_rt_session_gather(s, b, start, end);
        }

        p = heads->last;
        start = end;
    }

    ngx_http_rt_buffer_release(heads);

    return rc;
}


static void
ngx_http_rt_session_sink_flush(ngx_http_rt_sink_t *sink)
{
    ngx_http_rt_session_t  *s;

    s = ngx_http_rt_session_of(sink);

    if (!sink->ended && !sink->blocked
        && ngx_http_rt_session_flush(s) == NGX_ERROR)
    {
        ngx_http_rt_session_end(s, NGX_ERROR);
    }
}


static void
ngx_http_rt_session_sink_close(ngx_http_rt_sink_t *sink, ngx_uint_t code,
    const char *reason)
{
    ngx_http_rt_session_close(ngx_http_rt_session_of(sink), code, reason);
}


static void
ngx_http_rt_session_sink_end(ngx_http_rt_sink_t *sink)
{
    ngx_http_rt_session_end(ngx_http_rt_session_of(sink), NGX_ERROR);
}


ngx_int_t
ngx_http_rt_session_send(ngx_http_rt_session_t *s, ngx_http_rt_buffer_t *b)
{
    s->active = ngx_current_msec;

    if (s->replies) {
        switch (ngx_http_rt_session_replies(s)) {

        case NGX_OK:
            break;

        case NGX_AGAIN:
            return ngx_http_rt_session_gather(s, b, b->pos, b->last);

        default:
            return NGX_ERROR;
        }
    }

    if (s->sink.gathers || s->parts) {
        return ngx_http_rt_session_gather(s, b, b->pos, b->last);
    }

    if (s->transport->send) {
        return s->transport->send(s, b);
    }

    if (s->direct) {
        return ngx_http_rt_session_direct(s, b, b->pos);
    }

    return ngx_http_rt_session_filter(s, b);
}


static ngx_int_t
ngx_http_rt_session_direct(ngx_http_rt_session_t *s, ngx_http_rt_buffer_t *b,
    u_char *pos)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = s->sink.connection;

    do {
        n = c->send(c, pos, b->last - pos);

        if (n == NGX_ERROR) {
            c->error = 1;
            return NGX_ERROR;
        }

        if (n == NGX_AGAIN) {
            break;
        }

        pos += n;

    } while (pos < b->last);

    if (pos == b->last) {
        return NGX_OK;
    }

    if (s->out == NULL) {
        s->out = b;
        b->refs++;
    }

    s->out_pos = pos;

    return ngx_http_rt_session_block(s);
}


static ngx_int_t
ngx_http_rt_session_filter(ngx_http_rt_session_t *s, ngx_http_rt_buffer_t *b)
{
    ngx_buf_t           *buf;
    ngx_http_request_t  *r;

    r = s->request;

    if (s->out_chain == NULL) {
        s->out_chain = ngx_alloc_chain_link(r->pool);
        if (s->out_chain == NULL) {
            return NGX_ERROR;
        }

        s->out_chain->buf = ngx_calloc_buf(r->pool);
        if (s->out_chain->buf == NULL) {
            return NGX_ERROR;
        }

        s->out_chain->next = NULL;
    }

    /* the filters keep the buf itself until it is empty */

    buf = s->out_chain->buf;

    ngx_memzero(buf, sizeof(ngx_buf_t));

    buf->start = b->pos;
    buf->pos = b->pos;
    buf->last = b->last;
    buf->end = b->last;
    buf->memory = 1;
    buf->flush = 1;
    buf->tag = (ngx_buf_tag_t) &ngx_http_realtime_module;

    s->out = b;
    b->refs++;

    if (ngx_http_output_filter(r, s->out_chain) == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (ngx_buf_size(buf) == 0 && r->out == NULL && !r->connection->buffered) {
        s->out = NULL;
        b->refs--;
        return NGX_OK;
    }

    return ngx_http_rt_session_block(s);
}


/* the socket is full; readers find out when something is for them */

ngx_int_t
ngx_http_rt_session_block(ngx_http_rt_session_t *s)
{
    ngx_event_t  *wev;

    s->sink.blocked = 1;

    wev = s->sink.connection->write;

    if (!wev->timer_set) {
        ngx_add_timer(wev, s->core_conf->send_timeout);
    }

    if (ngx_handle_write_event(wev, s->core_conf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


/* one part more; all go out when there are enough, or at the turn's end */

static ngx_int_t
ngx_http_rt_session_gather(ngx_http_rt_session_t *s, ngx_http_rt_buffer_t *b,
    u_char *pos, u_char *last)
{
    ngx_http_rt_part_t  *part;
    ngx_http_rt_sink_t  *sink;

    part = ngx_http_rt_parts;

    if (part) {
        ngx_http_rt_parts = part->next;
        ngx_http_rt_nparts--;

    } else {
        part = ngx_alloc(sizeof(ngx_http_rt_part_t), ngx_cycle->log);
        if (part == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_memzero(part, sizeof(ngx_http_rt_part_t));

    part->chain.buf = &part->buf;
    part->buf.pos = pos;
    part->buf.last = last;
    part->buf.start = pos;
    part->buf.end = last;
    part->buf.memory = 1;
    part->buf.flush = 1;
    part->buffer = b;
    b->refs++;

    *s->last_part = part;
    s->last_part = &part->next;
    s->parts_size += last - pos;
    s->nparts++;

    sink = &s->sink;

    if (sink->blocked) {
        return NGX_AGAIN;
    }

    if (s->nparts >= NGX_HTTP_RT_PARTS
        || s->parts_size >= NGX_HTTP_RT_PARTS_BYTES)
    {
        return ngx_http_rt_session_parts(s);
    }

    if (!sink->dirty) {
        sink->dirty = 1;
        ngx_queue_insert_tail(&sink->hub->gathered, &sink->gathered);
        ngx_http_rt_hub_post(sink->hub);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_session_parts(ngx_http_rt_session_t *s)
{
    ngx_chain_t         *cl;
    ngx_connection_t    *c;
    ngx_http_rt_part_t  *part;

    c = s->sink.connection;

    if (s->parts == NULL && !c->buffered) {
        return NGX_OK;
    }

    for (part = s->parts; part; part = part->next) {
        part->chain.next = part->next ? &part->next->chain : NULL;
    }

    cl = c->send_chain(c, s->parts ? &s->parts->chain : NULL, 0);

    if (cl == NGX_CHAIN_ERROR) {
        c->error = 1;
        return NGX_ERROR;
    }

    while (s->parts && &s->parts->chain != cl) {
        part = s->parts;
        s->parts = part->next;
        s->nparts--;

        ngx_http_rt_session_part_free(part);
    }

    if (s->parts == NULL) {
        s->last_part = &s->parts;
        s->parts_size = 0;

        if (!c->buffered) {
            return NGX_OK;
        }
    }

    return ngx_http_rt_session_block(s);
}


static void
ngx_http_rt_session_part_free(ngx_http_rt_part_t *part)
{
    ngx_http_rt_buffer_release(part->buffer);

    if (ngx_http_rt_nparts == NGX_HTTP_RT_PARTS_KEPT) {
        ngx_free(part);
        return;
    }

    part->next = ngx_http_rt_parts;
    ngx_http_rt_parts = part;
    ngx_http_rt_nparts++;
}


ngx_int_t
ngx_http_rt_session_reply(ngx_http_rt_session_t *s, const u_char *json,
    size_t len)
{
    ngx_int_t              rc;
    ngx_http_rt_sink_t    *sink;
    ngx_http_rt_buffer_t  *b;
    ngx_http_rt_object_t   o;

    sink = &s->sink;

    if (sink->closing || sink->ended) {
        return NGX_OK;
    }

    b = s->replies;

    if (b == NULL) {
        b = ngx_http_rt_buffer_create(sink->encoding, len);
        if (b == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_memzero(&o, sizeof(ngx_http_rt_object_t));

    o.json = json;
    o.len = len;

    rc = ngx_http_rt_buffer_add_object(&b, &o);

    s->replies = b;

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (b->last - b->pos > NGX_HTTP_RT_REPLIES_MAX) {
        ngx_http_rt_session_close(s, 1013, "too slow");
        return NGX_OK;
    }

    if (!sink->blocked && !sink->dirty) {
        sink->dirty = 1;
        ngx_queue_insert_tail(&sink->hub->gathered, &sink->gathered);
        ngx_http_rt_hub_post(sink->hub);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_session_replies(ngx_http_rt_session_t *s)
{
    ngx_int_t              rc;
    ngx_http_rt_buffer_t  *b;

    b = s->replies;

    if (b == NULL) {
        return NGX_OK;
    }

    s->replies = NULL;
    s->active = ngx_current_msec;

    rc = (s->sink.gathers || s->parts)
             ? ngx_http_rt_session_gather(s, b, b->pos, b->last)
             : ngx_http_rt_session_direct(s, b, b->pos);

    ngx_http_rt_buffer_release(b);

    return rc;
}


/* all that has been gathered; NGX_AGAIN: the session is blocked */

ngx_int_t
ngx_http_rt_session_flush(ngx_http_rt_session_t *s)
{
    ngx_int_t  rc;

    rc = ngx_http_rt_session_replies(s);

    return (rc == NGX_OK) ? ngx_http_rt_session_parts(s) : rc;
}


/* the socket takes something again */

void
ngx_http_rt_session_write(ngx_http_rt_session_t *s)
{
    ngx_int_t          rc;
    ngx_event_t       *wev;
    ngx_connection_t  *c;

    c = s->sink.connection;
    wev = c->write;

    if (s->sink.ended || !s->sink.blocked) {
        return;
    }

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT, "client timed out");
        c->timedout = 1;
        ngx_http_rt_session_end(s, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    rc = ngx_http_rt_session_rest(s);

    if (rc == NGX_ERROR
        || ngx_handle_write_event(wev, s->core_conf->send_lowat) != NGX_OK)
    {
        ngx_http_rt_session_end(s, NGX_ERROR);
        return;
    }

    if (rc == NGX_AGAIN) {

        /* as nginx does it: the time is between two writes */

        ngx_add_timer(wev, s->core_conf->send_timeout);
        return;
    }

    s->sink.blocked = 0;

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    if ((s->transport->flush && s->transport->flush(s) == NGX_ERROR)
        || (!s->sink.blocked && ngx_http_rt_session_flush(s) == NGX_ERROR))
    {
        ngx_http_rt_session_end(s, NGX_ERROR);
        return;
    }

    if (s->sink.closing) {

        if (!s->sink.blocked) {
            s->transport->close(s, s->close_code, s->close_reason);
        }

        return;
    }

    ngx_http_rt_session_unblocked(s);
}


/* what was in flight when the socket was full; NGX_AGAIN: it still is */

static ngx_int_t
ngx_http_rt_session_rest(ngx_http_rt_session_t *s)
{
    ngx_int_t              rc;
    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    ngx_http_rt_buffer_t  *b;

    c = s->sink.connection;
    r = s->request;

    /* the header, or all of it over HTTP/2 */

    if (r && (!s->direct || r->out || c->buffered)) {

        if (ngx_http_output_filter(r, NULL) == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (r->out || c->buffered) {
            return NGX_AGAIN;
        }
    }

    if (s->out) {

        if (s->direct) {
            rc = ngx_http_rt_session_direct(s, s->out, s->out_pos);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        b = s->out;
        s->out = NULL;

        ngx_http_rt_buffer_release(b);
    }

    return ngx_http_rt_session_parts(s);
}


/* nothing more will go out */

void
ngx_http_rt_session_drop(ngx_http_rt_session_t *s)
{
    ngx_http_rt_part_t  *part;

    while (s->parts) {
        part = s->parts;
        s->parts = part->next;
        ngx_http_rt_session_part_free(part);
    }

    if (s->replies) {
        ngx_http_rt_buffer_release(s->replies);
        s->replies = NULL;
    }

    if (s->out) {
        ngx_http_rt_buffer_release(s->out);
        s->out = NULL;
    }
}
