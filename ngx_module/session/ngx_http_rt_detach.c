/*
 * Detaching: a session that goes on without its request.
 *
 * The request of a WebSocket, or of an SSE or ndjson stream over HTTP/1, is not
 * needed after its header has gone out, and its pool and buffers are most of
 * what an idle connection costs.  They are freed then.  What remains is nginx's
 * connection and the session, which the connection's pool owns from then on.
 *
 *     realtime_detach saved   The request is saved (ngx_http_rt_saved.c) and
 *                             restored before its end: it is logged then, and
 *                             counts for limit_conn until then.  All that may
 *                             end it restores it first, and nginx goes on as
 *                             with one that was never away.
 *     realtime_detach on      It ends with the handshake: it is logged, and
 *                             what it held is given back.
 *
 * A session that still needs its request keeps it: over HTTP/2, by long-poll,
 * with commands, as long as something of the request is in flight or input that
 * came with the handshake is not used up, and if it cannot be saved.
 *
 * A restored request is not saved again but where the session would have been
 * detached anew: when its socket was full and takes something again.
 */

#include "ngx_http_rt_session.h"
#include "ngx_http_rt_saved.h"


/* bytes that nobody wants, read at a time */
#define NGX_HTTP_RT_DETACH_READ  4096

/* reads of one connection before others have their turn */
#define NGX_HTTP_RT_DETACH_TURN  16


static ngx_uint_t ngx_http_rt_detach_may(ngx_http_rt_session_t *s);
static ngx_pool_cleanup_t *ngx_http_rt_detach_watch(ngx_connection_t *c);
static void ngx_http_rt_detach_free(ngx_http_rt_session_t *s);
static void ngx_http_rt_detach_buffers(ngx_connection_t *c,
    ngx_http_connection_t *hc);
static void ngx_http_rt_detach_handler(ngx_event_t *ev);
static void ngx_http_rt_detach_discard(ngx_http_rt_session_t *s);
static ngx_int_t ngx_http_rt_detach_drain(ngx_connection_t *c);
static void ngx_http_rt_detach_cleanup(void *data);
static void ngx_http_rt_detach_reset(ngx_connection_t *c);
static void ngx_http_rt_detach_linger(ngx_connection_t *c);
static void ngx_http_rt_detach_lingering(ngx_event_t *rev);


/* called where the request is nobody's business at the moment */

void
ngx_http_rt_detach(ngx_http_rt_session_t *s)
{
    ngx_connection_t       *c;
    ngx_pool_cleanup_t     *pcln;

    c = s->sink.connection;

    if (!ngx_http_rt_detach_may(s)) {
        return;
    }

    pcln = ngx_http_rt_detach_watch(c);
    if (pcln == NULL) {
        return;
    }

    if (s->conf->detach == NGX_HTTP_RT_DETACH_SAVED) {

        s->saved = ngx_http_rt_saved_create(s);
        if (s->saved == NULL) {
            return;
        }

    } else {
        ngx_http_rt_session_tell(s);
    }

    pcln->data = s;

    ngx_http_rt_detach_free(s);

    c->data = s;

    c->read->handler = ngx_http_rt_detach_handler;
    c->write->handler = ngx_http_rt_detach_handler;

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


static ngx_uint_t
ngx_http_rt_detach_may(ngx_http_rt_session_t *s)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = s->request;
    c = s->sink.connection;

    if (!s->direct || s->attached || !ngx_http_rt_sink_takes(&s->sink)
        || r->main->count != 1 || r->discard_body || r->out || c->buffered)
    {
        return 0;
    }

    if (s->conf->detach == NGX_HTTP_RT_DETACH_SAVED && !s->transport->read
        && c->read->ready)
    {
        /* it has said something more, or its end, which nginx looks at */

        return 0;
    }

    if (s->transport->read && r->header_in->pos < r->header_in->last) {

        /* it goes with the request */

        s->transport->read(s);

        if (!ngx_http_rt_sink_takes(&s->sink)
            || r->header_in->pos < r->header_in->last)
        {
            return 0;
        }
    }

    return 1;
}


/* one for all requests of the connection */

static ngx_pool_cleanup_t *
ngx_http_rt_detach_watch(ngx_connection_t *c)
{
    ngx_pool_cleanup_t  *pcln;

    for (pcln = c->pool->cleanup; pcln; pcln = pcln->next) {
        if (pcln->handler == ngx_http_rt_detach_cleanup) {
            return pcln;
        }
    }

    pcln = ngx_pool_cleanup_add(c->pool, 0);
    if (pcln == NULL) {
        return NULL;
    }

    pcln->handler = ngx_http_rt_detach_cleanup;
    pcln->data = NULL;

    return pcln;
}


static void
ngx_http_rt_detach_free(ngx_http_rt_session_t *s)
{
    ngx_connection_t       *c;
    ngx_pool_cleanup_t     *pcln;
    ngx_http_cleanup_t     *cln;
    ngx_http_request_t     *r;
    ngx_http_connection_t  *hc;

    r = s->request;
    c = s->sink.connection;
    hc = r->http_connection;

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->data == s) {
            cln->handler = NULL;
        }
    }

    for (pcln = r->pool->cleanup; pcln; pcln = pcln->next) {
        if (pcln->data == s) {
            pcln->handler = NULL;
        }
    }

    if (s->saved) {
        s->saved->log_handler = c->log->handler;
        s->saved->read_handler = c->read->handler;
        s->saved->write_handler = c->write->handler;

        /* logged and counted as long as it is saved */

        r->logged = 1;
        r->stat_reading = 0;
        r->stat_writing = 0;
    }

    s->request = NULL;

    ngx_http_set_log_request(c->log, r);
    ngx_http_free_request(r, 0);

    ngx_http_rt_detach_buffers(c, hc);

    c->log->action = "serving session";

    if (s->saved) {
        c->log->action = NULL;
        c->log->handler = ngx_http_rt_saved_log;
    }
}


ngx_http_request_t *
ngx_http_rt_detach_restore(ngx_http_rt_session_t *s)
{
    size_t                size;
    ngx_buf_t            *b;
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    ngx_http_log_ctx_t   *ctx;
    ngx_http_rt_saved_t  *saved;

    c = s->sink.connection;
    saved = s->saved;

    if (saved == NULL) {
        return NULL;
    }

    b = c->buffer;

    if (b->pos == NULL) {
        size = b->end - b->start;

        b->pos = ngx_palloc(c->pool, size);
        if (b->pos == NULL) {
            return NULL;
        }

        b->start = b->pos;
        b->end = b->pos + size;
    }

    b->pos = b->start;
    b->last = b->start;

    r = ngx_http_rt_restore(s);
    if (r == NULL) {
        return NULL;
    }

    r->header_in = b;

    ngx_http_rt_detach_watch(c)->data = NULL;

    ctx = c->log->data;
    ctx->request = r;
    ctx->current_request = r;

    c->log->handler = saved->log_handler;
    c->log->action = NULL;

    c->data = r;
    c->destroyed = 0;
    c->read->handler = saved->read_handler;
    c->write->handler = saved->write_handler;

    s->request = r;
    s->saved = NULL;

    return r;
}


/* what nginx frees of an idle keepalive connection */

static void
ngx_http_rt_detach_buffers(ngx_connection_t *c, ngx_http_connection_t *hc)
{
    ngx_chain_t  *cl;

    if (ngx_pfree(c->pool, c->buffer->start) == NGX_OK) {

        /* as nginx notes it */

        c->buffer->pos = NULL;
    }

    for (cl = hc->free; cl; cl = cl->next) {
        (void) ngx_pfree(c->pool, cl->buf->start);
    }

    for (cl = hc->busy; cl; cl = cl->next) {
        (void) ngx_pfree(c->pool, cl->buf->start);
    }

    hc->free = NULL;
    hc->busy = NULL;
    hc->nbusy = 0;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_ssl_free_buffer(c);
    }
#endif
}


static void
ngx_http_rt_detach_handler(ngx_event_t *ev)
{
    ngx_connection_t       *c;
    ngx_http_rt_session_t  *s;

    c = ev->data;
    s = c->data;

    if (s->saved && !ev->write && ev->pending_eof && !c->close
        && s->transport->read == NULL && !s->sink.ended)
    {
        /* hundreds may leave in one turn */

        s->left = 1;
        ngx_http_rt_session_list(s);
        return;
    }

    if (s->saved && !s->sink.ended
        && (c->close || (!ev->write && s->transport->read == NULL))
        && ngx_http_rt_detach_restore(s))
    {
        /* its end, or something that nginx has to look at */

        ev->handler(ev);
        return;
    }

    if (c->close) {

        /* worker_shutdown_timeout */

        ngx_http_rt_session_end(s, NGX_ERROR);
        return;
    }

    if (ev->write) {
        ngx_http_rt_session_write(s);

    } else if (s->transport->read) {
        s->transport->read(s);

    } else {
        ngx_http_rt_detach_discard(s);
    }
}


/* the client of a stream has nothing to say but its end */

static void
ngx_http_rt_detach_discard(ngx_http_rt_session_t *s)
{
    if (!s->sink.ended
        && ngx_http_rt_detach_drain(s->sink.connection) == NGX_ERROR)
    {
        s->sink.connection->error = 1;
        ngx_http_rt_session_end(s, NGX_HTTP_CLIENT_CLOSED_REQUEST);
    }
}


/* NGX_ERROR: nothing more will come */

static ngx_int_t
ngx_http_rt_detach_drain(ngx_connection_t *c)
{
    u_char      buffer[NGX_HTTP_RT_DETACH_READ];
    ssize_t     n;
    ngx_uint_t  turn;

    for (turn = 0; turn < NGX_HTTP_RT_DETACH_TURN; turn++) {

        n = c->recv(c, buffer, NGX_HTTP_RT_DETACH_READ);

        if (n == NGX_AGAIN) {
            return ngx_handle_read_event(c->read, 0);
        }

        if (n == NGX_ERROR || n == 0) {
            return NGX_ERROR;
        }
    }

    ngx_post_event(c->read, &ngx_posted_next_events);

    return NGX_OK;
}


static void
ngx_http_rt_detach_cleanup(void *data)
{
    ngx_http_rt_session_t *s = data;

    if (s == NULL) {
        return;
    }

    ngx_http_rt_session_leave(s);

    if (s->saved) {

        /* there was no memory to restore the request */

        s->sink.connection->log->handler = s->saved->log_handler;

        if (s->saved->held) {
            ngx_http_rt_held_free(s->saved->held);
        }

        ngx_http_rt_saved_free(s->saved);
    }

    ngx_http_rt_session_free(s);
}


/*
 * Where the last words were said, the peer's are awaited: to close with
 * something unread would reset the connection and might destroy them.
 */

void
ngx_http_rt_detach_close(ngx_http_rt_session_t *s, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = s->sink.connection;

    if (s->timer.timer_set) {
        ngx_del_timer(&s->timer);
    }

    if (rc == NGX_OK && !c->error && !c->close) {

        if (s->core_conf->lingering_close == NGX_HTTP_LINGERING_OFF) {
            ngx_http_close_connection(c);
            return;
        }

        ngx_http_rt_detach_linger(c);
        return;
    }

    if (c->timedout && s->core_conf->reset_timedout_connection) {
        ngx_http_rt_detach_reset(c);
    }

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        c->ssl->no_send_shutdown = 1;
    }
#endif

    ngx_http_close_connection(c);
}


/* close() will drop what has not been sent */

static void
ngx_http_rt_detach_reset(ngx_connection_t *c)
{
    struct linger  linger;

    linger.l_onoff = 1;
    linger.l_linger = 0;

    if (setsockopt(c->fd, SOL_SOCKET, SO_LINGER, (const void *) &linger,
                   sizeof(struct linger))
        == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, c->log, ngx_socket_errno,
                      "setsockopt(SO_LINGER) failed");
    }
}


static void
ngx_http_rt_detach_linger(ngx_connection_t *c)
{
    ngx_event_t               *rev;
    ngx_http_rt_session_t  *s;

    s = c->data;
    rev = c->read;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_int_t  rc;

        c->ssl->shutdown_without_free = 1;

        rc = ngx_ssl_shutdown(c);

        if (rc == NGX_ERROR) {
            ngx_http_close_connection(c);
            return;
        }

        if (rc == NGX_AGAIN) {
            c->ssl->handler = ngx_http_rt_detach_linger;
            return;
        }
    }
#endif

    rev->handler = ngx_http_rt_detach_lingering;
    c->write->handler = ngx_http_empty_handler;

    if (ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN) == -1) {
        ngx_connection_error(c, ngx_socket_errno,
                             ngx_shutdown_socket_n " failed");
        ngx_http_close_connection(c);
        return;
    }

    ngx_reusable_connection(c, 1);

    ngx_add_timer(rev, s->core_conf->lingering_timeout);

    ngx_post_event(rev, &ngx_posted_events);
}


/* as long as lingering_timeout in all */

static void
ngx_http_rt_detach_lingering(ngx_event_t *rev)
{
    ngx_connection_t  *c;

    c = rev->data;

    if (rev->timedout || c->close
        || ngx_http_rt_detach_drain(c) == NGX_ERROR)
    {
        ngx_http_close_connection(c);
    }
}
