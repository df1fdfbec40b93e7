/*
 * The life of a session: its beginning with a request, its timer, its goodbye
 * and its end; ngx_http_rt_session.h has the whole picture.
 */

#include "ngx_http_rt_session.h"


extern ngx_module_t  ngx_http_realtime_module;


static void ngx_http_rt_session_request(ngx_http_rt_session_t *s);
static void ngx_http_rt_session_begin(ngx_http_rt_session_t *s);
static void ngx_http_rt_session_handler(ngx_event_t *ev);
static void ngx_http_rt_session_finalize(ngx_http_rt_session_t *s);
static void ngx_http_rt_session_test_reading(ngx_http_request_t *r);
static void ngx_http_rt_session_left(ngx_http_rt_session_t *s);
static void ngx_http_rt_session_read_handler(ngx_http_request_t *r);
static void ngx_http_rt_session_write_handler(ngx_http_request_t *r);
static void ngx_http_rt_session_timer(ngx_event_t *ev);
static void ngx_http_rt_session_depart(ngx_http_rt_session_t *s);


/* of this process */

static ngx_queue_t  ngx_http_rt_sessions;
static ngx_queue_t  ngx_http_rt_sessions_next;  /* opened, or ended */
static ngx_event_t  ngx_http_rt_sessions_event;


ngx_int_t
ngx_http_rt_session_init_process(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_http_rt_sessions);
    ngx_queue_init(&ngx_http_rt_sessions_next);

    ngx_http_rt_sessions_event.handler = ngx_http_rt_session_handler;
    ngx_http_rt_sessions_event.log = cycle->log;

    return NGX_OK;
}


/*
 * The session has its request from here on, and opens as soon as its reader
 * knows where it begins, which nearly always is now.
 */

ngx_int_t
ngx_http_rt_session_open(ngx_http_rt_session_t *s)
{
    ngx_int_t  rc;

    ngx_http_rt_session_request(s);

    s->timer.handler = ngx_http_rt_session_timer;
    s->timer.data = s;
    s->timer.log = s->sink.connection->log;

    ngx_queue_insert_tail(&ngx_http_rt_sessions, &s->queue);
    s->known = 1;

    if (s->reader || s->sink.gathers) {
        s->counted = 1;
        s->sink.hub->zone->slot->subscribers[s->transport->id]++;
    }

    s->active = ngx_current_msec;

    if (s->reader && s->reader->starting) {

        ngx_http_rt_hub_slice(s->sink.hub);
        rc = ngx_http_rt_reader_start(s->reader);

        if (rc == NGX_ERROR) {
            ngx_http_rt_session_end(s, NGX_ERROR);
            return NGX_DONE;
        }

        if (rc == NGX_AGAIN) {

            /* a timer holds a process that is to quit */

            ngx_add_timer(&s->timer, s->core_conf->send_timeout);
            ngx_http_rt_reader_behind(s->reader);
            return NGX_DONE;
        }
    }

    ngx_http_rt_session_begin(s);

    return NGX_DONE;
}


static void
ngx_http_rt_session_request(ngx_http_rt_session_t *s)
{
    ngx_http_request_t  *r;

    r = s->request;

    r->main->count++;
    r->read_event_handler = s->transport->read
                                ? ngx_http_rt_session_read_handler
                                : ngx_http_rt_session_test_reading;
    r->write_event_handler = ngx_http_rt_session_write_handler;

    r->limit_rate = 0;
    r->limit_rate_set = 1;
}


static void
ngx_http_rt_session_begin(ngx_http_rt_session_t *s)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = s->sink.connection;
    s->opened = 1;

    rc = s->transport->open(s);

    if (rc == NGX_ERROR) {
        ngx_http_rt_session_end(s, NGX_ERROR);
        return;
    }

    if (rc == NGX_DONE) {
        return;
    }

    if (rc == NGX_AGAIN && !s->sink.blocked
        && ngx_http_rt_session_block(s) == NGX_ERROR)
    {
        ngx_http_rt_session_end(s, NGX_ERROR);
        return;
    }

    if (ngx_exiting) {
        s->draining = 1;
        ngx_add_timer(&s->timer, 0);
    }

    if (s->detaches) {
        ngx_http_rt_session_list(s);
    }

    if (s->reader) {
        ngx_http_rt_reader_behind(s->reader);
    }

    ngx_http_rt_sink_ready(&s->sink);

    /* what came with the request, or an end that has been seen already */

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


/* a reader that was starting knows its position now */

void
ngx_http_rt_session_started(ngx_http_rt_sink_t *sink,
    ngx_http_rt_reader_t *rd)
{
    ngx_http_rt_session_t  *s;

    s = ngx_http_rt_session_of(sink);

    if (s->topics) {
        ngx_http_rt_session_topics_started(rd);
    }

    if (!s->opened) {
        ngx_http_set_log_request(sink->connection->log, s->request);
        ngx_http_rt_session_begin(s);
        return;
    }

    if (s->dialect && s->dialect->started
        && s->dialect->started(s, rd) == NGX_ERROR)
    {
        ngx_http_rt_session_end(s, NGX_ERROR);
    }
}


/* what it was blocked with has gone out */

void
ngx_http_rt_session_unblocked(ngx_http_rt_session_t *s)
{
    if ((s->detaches && s->request) || s->topics) {
        ngx_http_rt_session_list(s);
    }

    ngx_http_rt_sink_ready(&s->sink);
}


void
ngx_http_rt_session_idle(ngx_http_rt_session_t *s)
{
    ngx_msec_t      keepalive;
    ngx_msec_int_t  left;

    keepalive = s->conf->keepalive;
    left = s->active + keepalive - ngx_current_msec;

    ngx_add_timer(&s->timer, left > 0 ? (ngx_msec_t) left : keepalive);
}


void
ngx_http_rt_session_close(ngx_http_rt_session_t *s, ngx_uint_t code,
    const char *reason)
{
    if (s->sink.closing || s->sink.ended) {
        return;
    }

    /* neither the client's own close nor the goodbye of a process */

    if (*reason && code != NGX_HTTP_RT_GOING) {
        ngx_log_error(NGX_LOG_INFO, s->sink.connection->log, 0,
                      "session closed with %ui: %s", code, reason);
    }

    s->sink.closing = 1;
    s->close_code = code;
    s->close_reason = reason;

    if (s->sink.queued) {
        s->sink.queued = 0;
        ngx_queue_remove(&s->sink.behind);
    }

    if (s->reader) {
        ngx_http_rt_reader_unlive(s->reader);
    }

    if (!s->opened) {
        ngx_http_rt_session_end(s, NGX_HTTP_SERVICE_UNAVAILABLE);
        return;
    }

    if (!s->sink.blocked && ngx_http_rt_session_flush(s) == NGX_ERROR) {
        ngx_http_rt_session_end(s, NGX_ERROR);
        return;
    }

    if (!s->sink.blocked) {
        s->transport->close(s, code, reason);
    }
}


void
ngx_http_rt_session_end(ngx_http_rt_session_t *s, ngx_int_t rc)
{
    if (s->sink.ended) {
        return;
    }

    s->sink.ended = 1;
    s->rc = rc;

    if (s->sink.queued) {
        s->sink.queued = 0;
        ngx_queue_remove(&s->sink.behind);
    }

    if (s->reader) {
        ngx_http_rt_reader_unlive(s->reader);
    }

    ngx_http_rt_session_list(s);
}


/* for the sessions' event, where nothing walks over anything */

void
ngx_http_rt_session_list(ngx_http_rt_session_t *s)
{
    if (!s->listed) {
        s->listed = 1;
        ngx_queue_insert_tail(&ngx_http_rt_sessions_next, &s->next);
    }

    ngx_post_event(&ngx_http_rt_sessions_event, &ngx_posted_events);
}


static void
ngx_http_rt_session_handler(ngx_event_t *ev)
{
    uint64_t                deadline;
    ngx_queue_t            *q;
    ngx_http_rt_session_t  *s;

    deadline = ngx_http_rt_clock() + NGX_HTTP_RT_SLICE;

    while (!ngx_queue_empty(&ngx_http_rt_sessions_next)) {

        if (ngx_http_rt_clock() >= deadline) {
            ngx_post_event(ev, &ngx_posted_next_events);

            /* a timer holds a process that is to quit */

            if (!ev->timer_set) {
                ngx_add_timer(ev, 1000);
            }

            return;
        }

        q = ngx_queue_head(&ngx_http_rt_sessions_next);
        s = ngx_queue_data(q, ngx_http_rt_session_t, next);

        ngx_queue_remove(q);
        s->listed = 0;

        if (s->sink.ended) {
            ngx_http_rt_session_finalize(s);
            continue;
        }

        if (s->left && s->request == NULL
            && ngx_http_rt_detach_restore(s) == NULL)
        {
            ngx_http_rt_session_end(s, NGX_HTTP_CLIENT_CLOSED_REQUEST);
            continue;
        }

        if (s->left) {
            ngx_http_rt_session_left(s);
            continue;
        }

        if (s->topics) {
            ngx_http_rt_session_topics_settle(s);
        }

        if (s->detaches && s->request) {
            ngx_http_rt_detach(s);
        }
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }
}


static void
ngx_http_rt_session_finalize(ngx_http_rt_session_t *s)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = s->request;
    c = s->sink.connection;
    rc = s->rc;

    /* the request may linger */

    ngx_http_rt_session_depart(s);

    if (r == NULL) {
        r = ngx_http_rt_detach_restore(s);
    }

    if (r == NULL) {
        ngx_http_rt_detach_close(s, rc);
        return;
    }

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/*
 * Of a client that has nothing to say.  Hundreds may leave in one turn, so the
 * end of a connection waits for the sessions' event.
 */

static void
ngx_http_rt_session_test_reading(ngx_http_request_t *r)
{
    ngx_http_rt_report_t  *report;

    report = ngx_http_get_module_ctx(r, ngx_http_realtime_module);

    if (report->session && r->connection->read->pending_eof) {
        report->session->left = 1;
        ngx_http_rt_session_list(report->session);
        return;
    }

    ngx_http_test_reading(r);
}


static void
ngx_http_rt_session_left(ngx_http_rt_session_t *s)
{
    ngx_connection_t  *c;

    c = s->sink.connection;

    ngx_http_set_log_request(c->log, s->request);
    ngx_http_test_reading(s->request);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_rt_session_read_handler(ngx_http_request_t *r)
{
    ngx_uint_t              early;
    ngx_http_rt_report_t   *report;
    ngx_http_rt_session_t  *s;

    report = ngx_http_get_module_ctx(r, ngx_http_realtime_module);
    s = report->session;

    if (s == NULL || !s->opened) {
        return;
    }

    early = (r->header_in->pos < r->header_in->last);

    s->transport->read(s);

    if (early && s->detaches && r->header_in->pos == r->header_in->last) {

        /* nothing of the input is in the request any more */

        ngx_http_rt_session_list(s);
    }
}


static void
ngx_http_rt_session_write_handler(ngx_http_request_t *r)
{
    ngx_http_rt_report_t  *report;

    report = ngx_http_get_module_ctx(r, ngx_http_realtime_module);

    if (report->session) {
        ngx_http_rt_session_write(report->session);
    }
}


static void
ngx_http_rt_session_timer(ngx_event_t *ev)
{
    ngx_http_rt_session_t  *s;

    s = ev->data;

    if (s->request) {
        ngx_http_set_log_request(s->sink.connection->log, s->request);
    }

    if (s->sink.ended) {
        return;
    }

    if (!s->opened) {

        /* its beginning has not been found in time */

        ngx_http_rt_session_end(s, NGX_HTTP_SERVICE_UNAVAILABLE);
        return;
    }

    if (s->topics) {
        ngx_http_rt_session_topics_settle(s);
    }

    if (s->draining && !s->sink.closing) {

        if (s->reader && s->reader->queued && !s->reader->told) {

            /* one that comes to a process that goes is first told what */
            /* there is; that takes long if its socket is full */

            ngx_add_timer(&s->timer, s->sink.blocked ? 100 : 1);
            return;
        }

        ngx_http_rt_session_close(s, NGX_HTTP_RT_GOING,
                                  "going away, come back");
        return;
    }

    s->transport->timer(s);
}


void
ngx_http_rt_session_drain(ngx_msec_t ms)
{
    ngx_queue_t            *q;
    ngx_http_rt_session_t  *s;

    for (q = ngx_queue_head(&ngx_http_rt_sessions);
         q != ngx_queue_sentinel(&ngx_http_rt_sessions);
         q = ngx_queue_next(q))
    {
        s = ngx_queue_data(q, ngx_http_rt_session_t, queue);

        if (s->sink.closing || s->sink.ended || !s->opened) {
            continue;
        }

        s->draining = 1;
        ngx_add_timer(&s->timer, ms ? ngx_random() % ms : 0);
    }
}


/* a last word to those whom it costs nothing */

void
ngx_http_rt_session_exit(void)
{
    ngx_queue_t            *q, *next;
    ngx_http_rt_session_t  *s;

    for (q = ngx_queue_head(&ngx_http_rt_sessions);
         q != ngx_queue_sentinel(&ngx_http_rt_sessions);
         q = next)
    {
        next = ngx_queue_next(q);
        s = ngx_queue_data(q, ngx_http_rt_session_t, queue);

        ngx_http_rt_session_close(s, NGX_HTTP_RT_GOING,
                                  "going away, come back");
    }
}


/* whatever has ended the request or the connection */

void
ngx_http_rt_session_leave(void *data)
{
    ngx_http_rt_session_t *s = data;

    if (s->timer.timer_set) {
        ngx_del_timer(&s->timer);
    }

    if (s->listed) {
        s->listed = 0;
        ngx_queue_remove(&s->next);
    }

    s->sink.ended = 1;

    if (s->request) {
        ngx_http_rt_session_tell(s);
    }

    ngx_http_rt_session_depart(s);
}


/* it counts no more, and nothing rings for it */

static void
ngx_http_rt_session_depart(ngx_http_rt_session_t *s)
{
    ngx_http_rt_sink_t  *sink;

    sink = &s->sink;

    if (sink->queued) {
        sink->queued = 0;
        ngx_queue_remove(&sink->behind);
    }

    if (sink->dirty) {
        sink->dirty = 0;
        ngx_queue_remove(&sink->gathered);
    }

    if (s->reader) {

        /* its counters stay to be told */

        ngx_http_rt_reader_leave(s->reader);
    }

    ngx_http_rt_session_topics_leave(s);

    if (s->transport->leave) {
        s->transport->leave(s);
    }

    if (s->counted) {
        s->counted = 0;
        sink->hub->zone->slot->subscribers[s->transport->id]--;
    }

    if (s->known) {
        s->known = 0;
        ngx_queue_remove(&s->queue);
    }
}


void
ngx_http_rt_session_free(void *data)
{
    ngx_http_rt_session_t *s = data;

    if (s->dialect && s->dialect->free && s->dialect_ctx) {
        s->dialect->free(s);
    }

    if (s->transport->free && s->ctx) {
        s->transport->free(s);
    }

    ngx_http_rt_session_drop(s);

    if (s->detaches) {
        ngx_destroy_pool(s->pool);
    }
}
