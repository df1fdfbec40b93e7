/*
 * Subscribers: one client connection with its topics, its cursor, what is in
 * flight to it, and its end.
 *
 *                 catchup: all read
 *        behind ----------------------> live     gets its audiences' buffers
 *          ^  <----------------------    |
 *          |    lost, out of order       | the socket is full
 *          |                             v
 *          +------------------------- blocked    holds one buffer, and is in
 *                  it has gone out               nobody's list
 *
 * There are two ways out.  Over HTTP/1 and WebSocket, once the header has gone
 * through the filters, bytes are given to the connection as they are: chunked
 * framing is part of the buffer, and all subscribers share it.  Over HTTP/2
 * and 3 a buffer goes through the filter chain, one at a time.
 *
 * Nothing ends here at once, for most calls come from a walk over others: an
 * ended subscriber waits in zone->ended for ngx_http_rt_subscriber_finalize().
 * The request's cleanup takes it out of everything, whatever ends the request;
 * the pool's cleanup frees it, with the buffer, which HTTP/2 may have needed
 * until then.  Without a request, the connection's pool does both.
 */

#include "ngx_http_rt.h"


/* beside the subscriber itself: the pool's own, and small things */
#define NGX_HTTP_RT_SUBSCRIBER_POOL  128

/* the close code of a process that goes */
#define NGX_HTTP_RT_GOING  1012


static ngx_int_t ngx_http_rt_subscriber_direct(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_buffer_t *b, u_char *pos);
static ngx_int_t ngx_http_rt_subscriber_filter(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_buffer_t *b);
static ngx_int_t ngx_http_rt_subscriber_block(ngx_http_rt_subscriber_t *s);
static void ngx_http_rt_subscriber_read_handler(ngx_http_request_t *r);
static void ngx_http_rt_subscriber_write_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_subscriber_flush(ngx_http_rt_subscriber_t *s);
static void ngx_http_rt_subscriber_timer(ngx_event_t *ev);
static void ngx_http_rt_subscriber_depart(ngx_http_rt_subscriber_t *s);


/* for a request whose zone, protocol and number of topics are known */

ngx_http_rt_subscriber_t *
ngx_http_rt_subscriber_create(ngx_http_request_t *r, ngx_http_rt_zone_t *zone,
    const ngx_http_rt_protocol_t *protocol, ngx_uint_t subscriptions)
{
    size_t                     size;
    ngx_pool_t                *pool;
    ngx_http_cleanup_t        *cln;
    ngx_pool_cleanup_t        *pcln;
    ngx_http_rt_loc_conf_t    *rlcf;
    ngx_http_rt_subscriber_t  *s;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    size = sizeof(ngx_http_rt_subscriber_t)
           + subscriptions * sizeof(ngx_http_rt_subscription_t);

    pcln = ngx_pool_cleanup_add(r->pool, 0);
    if (pcln == NULL) {
        return NULL;
    }

    pool = r->pool;

    if (rlcf->detach) {
        pool = ngx_create_pool(NGX_HTTP_RT_SUBSCRIBER_POOL
                               + ngx_min(size + protocol->ctx_size, 1024),
                               r->connection->log);
        if (pool == NULL) {
            return NULL;
        }
    }

    s = ngx_pcalloc(pool, size);

    if (s == NULL) {
        if (pool != r->pool) {
            ngx_destroy_pool(pool);
        }

        return NULL;
    }

    s->pool = pool;
    s->conf = rlcf;

    pcln->handler = ngx_http_rt_subscriber_free;
    pcln->data = s;

    if (protocol->ctx_size) {
        s->ctx = ngx_pcalloc(pool, protocol->ctx_size);
        if (s->ctx == NULL) {
            return NULL;
        }
    }

    s->request = r;
    s->connection = r->connection;
    s->core_conf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    s->zone = zone;
    s->protocol = protocol;
    s->nsubscriptions = subscriptions;

    s->timer.handler = ngx_http_rt_subscriber_timer;
    s->timer.data = s;
    s->timer.log = r->connection->log;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_rt_subscriber_leave;
    cln->data = s;

    return s;
}


/* the subscriptions have been entered; the request is ours from here on */

ngx_int_t
ngx_http_rt_subscriber_open(ngx_http_rt_subscriber_t *s)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = s->request;

    r->main->count++;
    r->read_event_handler = s->protocol->read
                                ? ngx_http_rt_subscriber_read_handler
                                : ngx_http_test_reading;
    r->write_event_handler = ngx_http_rt_subscriber_write_handler;

    r->limit_rate = 0;
    r->limit_rate_set = 1;

    s->active = ngx_current_msec;

    rc = s->protocol->open(s);

    if (rc == NGX_ERROR) {
        ngx_http_rt_subscriber_end(s, NGX_ERROR);
        return NGX_DONE;
    }

    if (rc == NGX_DONE) {
        return NGX_DONE;
    }

    if (rc == NGX_AGAIN && !s->blocked
        && ngx_http_rt_subscriber_block(s) == NGX_ERROR)
    {
        ngx_http_rt_subscriber_end(s, NGX_ERROR);
        return NGX_DONE;
    }

    if (ngx_exiting) {
        s->draining = 1;
        ngx_add_timer(&s->timer, 0);
    }

    ngx_http_rt_subscriber_behind(s);

    /* what came with the request, or an end that has been seen already */

    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);
    }

    return NGX_DONE;
}


/*
 * NGX_OK: it has gone out.  NGX_AGAIN: not all of it, and the subscriber is
 * blocked until it has.  Must not be called while it is.
 */

ngx_int_t
ngx_http_rt_subscriber_send(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_buffer_t *b)
{
    s->active = ngx_current_msec;

    if (s->protocol->send) {
        return s->protocol->send(s, b);
    }

    if (s->direct) {
        return ngx_http_rt_subscriber_direct(s, b, b->pos);
    }

    return ngx_http_rt_subscriber_filter(s, b);
}


/* sends messages, and sees to what comes of it */

void
ngx_http_rt_subscriber_deliver(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_buffer_t *b)
{
    ngx_int_t  rc;

    s->messages += b->messages;
    s->bytes += b->last - b->pos;
    s->zone->slot->delivered[s->protocol->transport] += b->messages;

    rc = ngx_http_rt_subscriber_send(s, b);

    if (rc == NGX_ERROR) {
        ngx_http_rt_subscriber_end(s, NGX_ERROR);
    }
}


static ngx_int_t
ngx_http_rt_subscriber_direct(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_buffer_t *b, u_char *pos)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = s->connection;

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

    return ngx_http_rt_subscriber_block(s);
}


static ngx_int_t
ngx_http_rt_subscriber_filter(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_buffer_t *b)
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

    return ngx_http_rt_subscriber_block(s);
}


/* the socket is full: it is in nobody's list until that changes */

static ngx_int_t
ngx_http_rt_subscriber_block(ngx_http_rt_subscriber_t *s)
{
    ngx_event_t  *wev;

    s->blocked = 1;

    ngx_http_rt_subscriber_unlive(s);

    wev = s->connection->write;

    if (!wev->timer_set) {
        ngx_add_timer(wev, s->core_conf->send_timeout);
    }

    if (ngx_handle_write_event(wev, s->core_conf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


/* the header and the first bytes of a stream; after that, SSE and stream go */
/* their way without the filters where they can */

ngx_int_t
ngx_http_rt_subscriber_header(ngx_http_rt_subscriber_t *s, ngx_str_t *type,
    u_char *hello, size_t len)
{
    ngx_buf_t           *b;
    ngx_int_t            rc;
    ngx_chain_t          out;
    ngx_http_request_t  *r;

    r = s->request;

    if (s->conf->detach && r->method != NGX_HTTP_HEAD) {
        r->keepalive = 0;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_length_n = -1;

    /* compression would hold messages back */

    r->gzip_tested = 1;
    r->gzip_ok = 0;

    if (ngx_http_rt_header_live(r) != NGX_OK
        || ngx_http_rt_header_id(r, s->zone->sh->store.epoch, s->cursor)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    if (r->header_only) {

        /* HEAD: where it would have begun */

        ngx_http_rt_subscriber_end(s, NGX_OK);
        return NGX_DONE;
    }

    b = ngx_create_temp_buf(r->pool, len);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->last, hello, len);
    b->flush = 1;

    out.buf = b;
    out.next = NULL;

    if (ngx_http_output_filter(r, &out) == NGX_ERROR) {
        return NGX_ERROR;
    }

    s->direct = (r->http_version < NGX_HTTP_VERSION_20);

    if (s->direct) {
        if (s->core_conf->tcp_nodelay
            && ngx_tcp_nodelay(s->connection) != NGX_OK)
        {
            return NGX_ERROR;
        }

        s->chunked = r->chunked;

        if (s->chunked) {
            s->encoding++;
        }
    }

    return (r->out || r->connection->buffered) ? NGX_AGAIN : NGX_OK;
}


/* the last words of a stream, then its end; called again when they are out */

void
ngx_http_rt_subscriber_last(ngx_http_rt_subscriber_t *s, u_char *text,
    size_t len)
{
    ngx_int_t              rc;
    ngx_http_rt_buffer_t  *b;

    if (!s->said) {
        s->said = 1;

        b = ngx_http_rt_buffer_create(s->encoding, len + 5);
        if (b == NULL) {
            ngx_http_rt_subscriber_end(s, NGX_ERROR);
            return;
        }

        if (len) {
            b->last = ngx_cpymem(b->last, text, len);
            ngx_http_rt_buffer_finish(b);
        }

        if (s->chunked) {
            b->last = ngx_cpymem(b->last, "0" CRLF CRLF, 5);
        }

        rc = NGX_OK;

        if (b->last != b->pos) {
            rc = ngx_http_rt_subscriber_send(s, b);
        }

        ngx_http_rt_buffer_release(b);

        if (rc == NGX_AGAIN) {
            return;
        }

        if (rc == NGX_ERROR) {
            ngx_http_rt_subscriber_end(s, NGX_ERROR);
            return;
        }
    }

    rc = s->direct ? NGX_OK : ngx_http_send_special(s->request, NGX_HTTP_LAST);

    ngx_http_rt_subscriber_end(s, (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK);
}


/* a position from which the client can resume */

uint64_t
ngx_http_rt_subscriber_position(ngx_http_rt_subscriber_t *s)
{
    ngx_uint_t  i;

    if (!s->live) {
        return s->cursor;
    }

    for (i = 0; i < s->nsubscriptions; i++) {
        if (s->subscriptions[i].audience->news > s->cursor) {
            return s->cursor;
        }
    }

    return ngx_max(s->cursor, s->zone->seq);
}


/* sets the timer to the time when realtime_keepalive will have something to */
/* do if nothing is sent */

void
ngx_http_rt_subscriber_idle(ngx_http_rt_subscriber_t *s)
{
    ngx_msec_t      keepalive;
    ngx_msec_int_t  left;

    keepalive = s->conf->keepalive;
    left = s->active + keepalive - ngx_current_msec;

    ngx_add_timer(&s->timer, left > 0 ? (ngx_msec_t) left : keepalive);
}


/* has all its topics' messages up to its cursor, and nothing is in flight */

void
ngx_http_rt_subscriber_live(ngx_http_rt_subscriber_t *s)
{
    ngx_uint_t                   i;
    ngx_http_rt_audience_t      *a;
    ngx_http_rt_subscription_t  *sub;

    if (s->live || s->blocked || s->closing || s->ended) {
        return;
    }

    s->live = 1;

    if (s->scan) {
        s->scan->pos = NGX_HTTP_RT_POS_LOOK;
        s->scan->live = 1;
    }

    for (i = 0; i < s->nsubscriptions; i++) {
        sub = &s->subscriptions[i];
        a = sub->audience;

        sub->pos = NGX_HTTP_RT_POS_NONE;
        ngx_queue_insert_tail(&a->live, &sub->queue);

        a->encodings[s->encoding]++;
        a->encoded |= 1u << s->encoding;
    }
}


void
ngx_http_rt_subscriber_unlive(ngx_http_rt_subscriber_t *s)
{
    ngx_uint_t                   i;
    ngx_http_rt_audience_t      *a;
    ngx_http_rt_subscription_t  *sub;

    if (!s->live) {
        return;
    }

    if (s->scan) {

        /* of what was not for it, it has lost nothing */

        s->cursor = ngx_http_rt_subscriber_position(s);
    }

    s->live = 0;

    for (i = 0; i < s->nsubscriptions; i++) {
        sub = &s->subscriptions[i];
        a = sub->audience;

        if (a->serving && a->walk == &sub->queue) {
            a->walk = ngx_queue_next(&sub->queue);
        }

        ngx_queue_remove(&sub->queue);

        if (--a->encodings[s->encoding] == 0) {
            a->encoded &= ~(1u << s->encoding);
        }
    }
}


/* will read by itself, as soon as it can be sent to */

void
ngx_http_rt_subscriber_behind(ngx_http_rt_subscriber_t *s)
{
    ngx_http_rt_subscriber_unlive(s);

    if (s->queued || s->blocked || s->closing || s->ended
        || (s->pace && s->pace->waiting))
    {
        return;
    }

    s->queued = 1;
    ngx_queue_insert_tail(&s->zone->behind, &s->behind);

    ngx_http_rt_deliver_post(s->zone);
}


/*
 * The protocol says goodbye as soon as what is in flight is out, and ends the
 * subscriber.
 */

void
ngx_http_rt_subscriber_close(ngx_http_rt_subscriber_t *s, ngx_uint_t code,
    const char *reason)
{
    if (s->closing || s->ended) {
        return;
    }

    /* neither the client's own close nor the goodbye of a process */

    if (*reason && code != NGX_HTTP_RT_GOING) {
        ngx_log_error(NGX_LOG_INFO, s->connection->log, 0,
                      "subscriber closed with %ui: %s", code, reason);
    }

    ngx_http_rt_subscriber_unlive(s);
    ngx_http_rt_pace_cancel(s);

    if (s->queued) {
        s->queued = 0;
        ngx_queue_remove(&s->behind);
    }

    s->closing = 1;
    s->close_code = code;
    s->close_reason = reason;

    if (!s->blocked) {
        s->protocol->close(s, code, reason);
    }
}


/* rc is for ngx_http_finalize_request() */

void
ngx_http_rt_subscriber_end(ngx_http_rt_subscriber_t *s, ngx_int_t rc)
{
    if (s->ended) {
        return;
    }

    ngx_http_rt_subscriber_unlive(s);
    ngx_http_rt_pace_cancel(s);

    if (s->queued) {
        ngx_queue_remove(&s->behind);
    }

    s->ended = 1;
    s->queued = 1;
    s->rc = rc;

    ngx_queue_insert_tail(&s->zone->ended, &s->behind);

    ngx_http_rt_deliver_post(s->zone);
}


/* those that have ended; to be called where nobody walks over subscribers */

void
ngx_http_rt_subscriber_finalize(ngx_http_rt_zone_t *zone)
{
    ngx_int_t                  rc;
    ngx_queue_t               *q;
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_rt_subscriber_t  *s;

    while (!ngx_queue_empty(&zone->ended)) {

        q = ngx_queue_head(&zone->ended);
        s = ngx_queue_data(q, ngx_http_rt_subscriber_t, behind);

        ngx_queue_remove(q);
        s->queued = 0;

        r = s->request;
        c = s->connection;
        rc = s->rc;

        /* the request may linger */

        ngx_http_rt_subscriber_depart(s);

        if (r == NULL) {
            ngx_http_rt_detach_close(s, rc);
            continue;
        }

        ngx_http_set_log_request(c->log, r);

        ngx_http_finalize_request(r, rc);
        ngx_http_run_posted_requests(c);
    }
}


static void
ngx_http_rt_subscriber_read_handler(ngx_http_request_t *r)
{
    ngx_http_rt_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_realtime_module);

    if (ctx->subscriber) {
        ctx->subscriber->protocol->read(ctx->subscriber);
    }
}


static void
ngx_http_rt_subscriber_write_handler(ngx_http_request_t *r)
{
    ngx_http_rt_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_realtime_module);

    if (ctx->subscriber) {
        ngx_http_rt_subscriber_write(ctx->subscriber);
    }
}


/* the socket takes something again */

void
ngx_http_rt_subscriber_write(ngx_http_rt_subscriber_t *s)
{
    ngx_int_t          rc;
    ngx_event_t       *wev;
    ngx_connection_t  *c;

    c = s->connection;
    wev = c->write;

    if (s->ended || !s->blocked) {
        return;
    }

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT, "client timed out");
        c->timedout = 1;
        ngx_http_rt_subscriber_end(s, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    rc = ngx_http_rt_subscriber_flush(s);

    if (rc == NGX_ERROR
        || ngx_handle_write_event(wev, s->core_conf->send_lowat) != NGX_OK)
    {
        ngx_http_rt_subscriber_end(s, NGX_ERROR);
        return;
    }

    if (rc == NGX_AGAIN) {
        /* as nginx does it: the time is between two writes */

        ngx_add_timer(wev, s->core_conf->send_timeout);
        return;
    }

    s->blocked = 0;

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    if (s->closing) {
        s->protocol->close(s, s->close_code, s->close_reason);
        return;
    }

    if (s->protocol->flush && s->protocol->flush(s) == NGX_ERROR) {
        ngx_http_rt_subscriber_end(s, NGX_ERROR);
        return;
    }

    ngx_http_rt_subscriber_behind(s);
}


static ngx_int_t
ngx_http_rt_subscriber_flush(ngx_http_rt_subscriber_t *s)
{
    ngx_int_t              rc;
    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    ngx_http_rt_buffer_t  *b;

    c = s->connection;
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

    if (s->out == NULL) {
        return NGX_OK;
    }

    if (s->direct) {
        rc = ngx_http_rt_subscriber_direct(s, s->out, s->out_pos);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    b = s->out;
    s->out = NULL;

    ngx_http_rt_buffer_release(b);

    return NGX_OK;
}


static void
ngx_http_rt_subscriber_timer(ngx_event_t *ev)
{
    ngx_http_rt_subscriber_t  *s;

    s = ev->data;

    if (s->request) {
        ngx_http_set_log_request(s->connection->log, s->request);
    }

    if (s->ended) {
        return;
    }

    if (s->draining && !s->closing) {

        if (s->queued && !s->told) {

            /* who comes to a process that goes is told what there is first */

            ngx_add_timer(&s->timer, 1);
            return;
        }

        ngx_http_rt_subscriber_close(s, NGX_HTTP_RT_GOING,
                                     "going away, come back");
        return;
    }

    s->protocol->timer(s);
}


/* the process is to quit: all say goodbye, spread over realtime_drain */

void
ngx_http_rt_subscriber_drain(void)
{
    ngx_uint_t                 i;
    ngx_queue_t               *q;
    ngx_http_rt_zone_t       **zones;
    ngx_http_rt_main_conf_t   *mcf;
    ngx_http_rt_subscriber_t  *s;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_realtime_module);
    zones = mcf->zones.elts;

    for (i = 0; i < mcf->zones.nelts; i++) {

        for (q = ngx_queue_head(&zones[i]->subscribers);
             q != ngx_queue_sentinel(&zones[i]->subscribers);
             q = ngx_queue_next(q))
        {
            s = ngx_queue_data(q, ngx_http_rt_subscriber_t, queue);

            if (s->closing || s->ended) {
                continue;
            }

            s->draining = 1;
            ngx_add_timer(&s->timer, mcf->drain ? ngx_random() % mcf->drain
                                                : 0);
        }
    }
}


/* the process leaves at once: a last word to whom it costs nothing */

void
ngx_http_rt_subscriber_exit(ngx_http_rt_zone_t *zone)
{
    ngx_queue_t               *q, *next;
    ngx_http_rt_subscriber_t  *s;

    for (q = ngx_queue_head(&zone->subscribers);
         q != ngx_queue_sentinel(&zone->subscribers);
         q = next)
    {
        next = ngx_queue_next(q);
        s = ngx_queue_data(q, ngx_http_rt_subscriber_t, queue);

        ngx_http_rt_subscriber_close(s, NGX_HTTP_RT_GOING,
                                     "going away, come back");
    }
}


/* whatever has ended the request or the connection */

void
ngx_http_rt_subscriber_leave(void *data)
{
    ngx_http_rt_subscriber_t *s = data;

    if (s->timer.timer_set) {
        ngx_del_timer(&s->timer);
    }

    ngx_http_rt_subscriber_unlive(s);
    ngx_http_rt_pace_cancel(s);

    if (s->queued) {
        ngx_queue_remove(&s->behind);
        s->queued = 0;
    }

    s->ended = 1;

    if (s->request) {
        ngx_http_rt_subscriber_tell(s);
    }

    ngx_http_rt_subscriber_depart(s);
}


/* what the variables of the request will say without it */

void
ngx_http_rt_subscriber_tell(ngx_http_rt_subscriber_t *s)
{
    ngx_http_rt_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(s->request, ngx_http_realtime_module);

    if (ctx) {
        ctx->seq = s->cursor;
        ctx->messages = s->messages;
        ctx->gaps = s->gaps;
        ctx->bytes = s->bytes;
        ctx->subscriber = NULL;
    }
}


/* it counts no more, and nothing rings for it */

static void
ngx_http_rt_subscriber_depart(ngx_http_rt_subscriber_t *s)
{
    ngx_uint_t               i;
    ngx_http_rt_cell_t      *cell;
    ngx_http_rt_zone_t      *zone;
    ngx_http_rt_store_t     *store;
    ngx_http_rt_audience_t  *a;

    if (!s->joined) {
        return;
    }

    zone = s->zone;
    store = &zone->sh->store;

    ngx_http_rt_zone_lock(zone);

    for (i = 0; i < s->nsubscriptions; i++) {
        a = s->subscriptions[i].audience;

        cell = ngx_http_rt_index_find(&store->index,
                                      a->wild ? NGX_HTTP_RT_CELL_PATTERN
                                              : NGX_HTTP_RT_CELL_TOPIC,
                                      a->hash, a->name.data, a->name.len);
        if (cell) {
            ngx_http_rt_index_leave(&store->index, cell,
                                    zone->slot - zone->sh->slots);
        }
    }

    ngx_http_rt_zone_unlock(zone);

    for (i = 0; i < s->nsubscriptions; i++) {
        a = s->subscriptions[i].audience;
        a->count--;
        ngx_http_rt_audience_put(a);
    }

    ngx_queue_remove(&s->queue);
    zone->nsubscribers--;
    zone->slot->subscribers[s->protocol->transport]--;
    s->joined = 0;
}


void
ngx_http_rt_subscriber_free(void *data)
{
    ngx_http_rt_subscriber_t *s = data;

    if (s->out) {
        ngx_http_rt_buffer_release(s->out);
    }

    if (s->scan && s->scan->bounds.elts) {
        ngx_free(s->scan->bounds.elts);
    }

    if (s->conf->detach) {
        ngx_destroy_pool(s->pool);
    }
}
