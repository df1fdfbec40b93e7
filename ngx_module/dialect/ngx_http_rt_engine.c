/*
 * Streams of an engine's events, as SSE or ndjson: what was from a version on,
 * and then what becomes.
 *
 * The request waits until the daemon has said something; a refusal is answered
 * as any other.  Then it becomes a session, whose messages come from the link
 * instead of the ring.
 *
 * The daemon sends at most a window of events that we have not confirmed; they
 * gather in one buffer while another one is in flight, and are confirmed when
 * they have gone out.  So a slow client holds up only itself.
 *
 * A stream knows the version that comes next.  When the daemon goes, the stream
 * stays, and subscribes anew from there as soon as the daemon is back; a client
 * that comes back itself says it in Last-Event-ID.
 */

#include "ngx_http_rt_engine.h"


#define NGX_HTTP_RT_ENGINE_WINDOW  256

/* ms between two attempts while the daemon is away */
#define NGX_HTTP_RT_ENGINE_RETRY   250


typedef struct {
    ngx_http_request_t                *request;
    ngx_http_rt_session_t             *session;     /* NULL: not yet */
    ngx_http_rt_zone_t                *zone;
    const ngx_http_rt_session_conf_t  *conf;
    ngx_http_rt_link_t                *link;
    ngx_http_rt_ask_t                  ask;         /* from: the next version */
    ngx_http_rt_call_t                 call;
    ngx_http_rt_engine_refuse_pt       refuse;
    ngx_http_rt_buffer_t              *pending;     /* gathered, or NULL */
    ngx_uint_t                         gathered;    /* events */
    ngx_uint_t                         sent;        /* in flight */
    ngx_event_t                        event;       /* at the turn's end */
    unsigned                           sse:1;
    unsigned                           lost:1;      /* the daemon */
    unsigned                           over:1;
} ngx_http_rt_engine_t;


static void ngx_http_rt_engine_call(ngx_http_rt_call_t *call,
    const rt_wire_frame_t *f, ngx_uint_t status);
static void ngx_http_rt_engine_refused(ngx_http_rt_engine_t *e,
    const rt_wire_frame_t *f, ngx_uint_t status);
static ngx_int_t ngx_http_rt_engine_begin(ngx_http_rt_engine_t *e);
static void ngx_http_rt_engine_over(ngx_http_rt_engine_t *e,
    const rt_wire_frame_t *f);
static void ngx_http_rt_engine_add(ngx_http_rt_engine_t *e,
    const rt_wire_frame_t *f);
static ngx_int_t ngx_http_rt_engine_gather(ngx_http_rt_engine_t *e,
    const ngx_http_rt_object_t *o);
static void ngx_http_rt_engine_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_rt_engine_send(ngx_http_rt_engine_t *e);
static ngx_int_t ngx_http_rt_engine_open(ngx_http_rt_session_t *s);
static void ngx_http_rt_engine_timer(ngx_http_rt_session_t *s);
static ngx_int_t ngx_http_rt_engine_flush(ngx_http_rt_session_t *s);
static void ngx_http_rt_engine_close(ngx_http_rt_session_t *s,
    ngx_uint_t code, const char *reason);
static void ngx_http_rt_engine_leave(ngx_http_rt_session_t *s);
static void ngx_http_rt_engine_cleanup(void *data);


static const ngx_http_rt_transport_t  ngx_http_rt_engine_sse = {
    NGX_HTTP_RT_SSE,
    0,
    ngx_http_rt_engine_open,
    NULL,
    ngx_http_rt_engine_timer,
    NULL,
    ngx_http_rt_engine_flush,
    ngx_http_rt_engine_close,
    ngx_http_rt_engine_leave,
    NULL
};


static const ngx_http_rt_transport_t  ngx_http_rt_engine_stream = {
    NGX_HTTP_RT_STREAM,
    0,
    ngx_http_rt_engine_open,
    NULL,
    ngx_http_rt_engine_timer,
    NULL,
    ngx_http_rt_engine_flush,
    ngx_http_rt_engine_close,
    ngx_http_rt_engine_leave,
    NULL
};


ngx_int_t
ngx_http_rt_engine(ngx_http_request_t *r, ngx_http_rt_zone_t *zone,
    const ngx_http_rt_session_conf_t *conf, ngx_http_rt_link_t *link,
    const ngx_http_rt_ask_t *ask, ngx_uint_t sse,
    ngx_http_rt_engine_refuse_pt refuse)
{
    ngx_int_t              rc;
    ngx_http_cleanup_t    *cln;
    ngx_http_rt_engine_t  *e;

    e = ngx_pcalloc(r->pool, sizeof(ngx_http_rt_engine_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (e == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    e->request = r;
    e->zone = zone;
    e->conf = conf;
    e->link = link;
    e->sse = sse;
    e->refuse = refuse;

    e->event.handler = ngx_http_rt_engine_handler;
    e->event.data = e;
    e->event.log = r->connection->log;

    e->ask = *ask;
    e->ask.type = RT_WIRE_SUBSCRIBE;
    e->ask.window = NGX_HTTP_RT_ENGINE_WINDOW;

    e->call.handler = ngx_http_rt_engine_call;
    e->call.data = e;

    cln->handler = ngx_http_rt_engine_cleanup;
    cln->data = e;

    rc = ngx_http_rt_link_ask(link, &e->call, &e->ask);

    if (rc != NGX_OK) {
        return rc;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    r->main->count++;

    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);
    }

    return NGX_DONE;
}


static void
ngx_http_rt_engine_call(ngx_http_rt_call_t *call, const rt_wire_frame_t *f,
    ngx_uint_t status)
{
    ngx_uint_t             over;
    ngx_http_rt_engine_t  *e;

    e = call->data;

    if (e->over) {
        return;
    }

    ngx_http_set_log_request(e->request->connection->log, e->request);

    over = (f == NULL || f->type == RT_WIRE_REPLY);

    if (e->session == NULL) {

        if (over) {
            ngx_http_rt_engine_refused(e, f, status);
            return;
        }

        if (ngx_http_rt_engine_begin(e) != NGX_OK) {
            return;
        }
    }

    if (over) {
        ngx_http_rt_engine_over(e, f);
        return;
    }

    e->lost = 0;

    if (f->type == RT_WIRE_EVENT) {
        ngx_http_rt_engine_add(e, f);
    }
}


static void
ngx_http_rt_engine_refused(ngx_http_rt_engine_t *e, const rt_wire_frame_t *f,
    ngx_uint_t status)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = e->request;
    c = r->connection;

    e->over = 1;

    ngx_http_finalize_request(r, e->refuse(r, f, status));
    ngx_http_run_posted_requests(c);
}


/* the request becomes a session */

static ngx_int_t
ngx_http_rt_engine_begin(ngx_http_rt_engine_t *e)
{
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_rt_session_t  *s;

    r = e->request;
    c = r->connection;

    s = ngx_http_rt_session_create(r, e->zone, e->conf,
                                   e->sse ? &ngx_http_rt_engine_sse
                                          : &ngx_http_rt_engine_stream,
                                   NULL, 0);

    if (s) {
        s->ctx = e;
        s->sink.encoding = ngx_http_rt_encoding(
                               e->sse ? &ngx_http_rt_form_sse
                                      : &ngx_http_rt_form_line,
                               &ngx_http_rt_framing_none, 0, NULL);
    }

    if (s == NULL || s->sink.encoding == NULL) {
        e->over = 1;
        ngx_http_rt_link_cancel(&e->call);
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        ngx_http_run_posted_requests(c);
        return NGX_ERROR;
    }

    s->attached = 1;

    e->session = s;

    /* the timeout was for the first answer */

    e->ask.timeout = 0;

    if (e->call.timer.timer_set) {
        ngx_del_timer(&e->call.timer);
    }

    ((ngx_http_rt_report_t *)
         ngx_http_get_module_ctx(r, ngx_http_realtime_module))->session = s;

    /* the session counts the request by itself */

    r->main->count--;

    (void) ngx_http_rt_session_open(s);

    return NGX_OK;
}


/* ended by the daemon, or lost with it */

static void
ngx_http_rt_engine_over(ngx_http_rt_engine_t *e, const rt_wire_frame_t *f)
{
    rt_wire_str_t         body;
    ngx_http_rt_object_t  o;

    if (f == NULL) {
        e->lost = 1;
        ngx_add_timer(&e->session->timer, NGX_HTTP_RT_ENGINE_RETRY);
        return;
    }

    /* what it wants next is no longer kept */

    body = rt_wire_string(f, RT_WIRE_F_BODY);

    ngx_memzero(&o, sizeof(ngx_http_rt_object_t));

    o.json = body.data;
    o.len = body.len;
    o.event = "realtime:error";

    if (ngx_http_rt_engine_gather(e, &o) != NGX_OK) {
        ngx_http_rt_session_end(e->session, NGX_ERROR);
        return;
    }

    ngx_http_rt_session_close(e->session, 1000, "");
}


/* what it has had already, before the daemon went, is confirmed unseen */

static void
ngx_http_rt_engine_add(ngx_http_rt_engine_t *e, const rt_wire_frame_t *f)
{
    u_char                id[NGX_INT64_LEN];
    uint64_t              version;
    rt_wire_str_t         body;
    ngx_http_rt_object_t  o;

    e->gathered++;

    if (!e->event.posted) {
        ngx_post_event(&e->event, &ngx_posted_events);
    }

    version = rt_wire_number(f, RT_WIRE_F_VERSION);
    body = rt_wire_string(f, RT_WIRE_F_BODY);

    if (e->session->sink.closing || e->session->sink.ended
        || version < e->ask.from)
    {
        return;
    }

    e->ask.from = version + 1;

    ngx_memzero(&o, sizeof(ngx_http_rt_object_t));

    o.json = body.data;
    o.len = body.len;
    o.id = id;
    o.id_len = ngx_sprintf(id, "%uL", version) - id;

    if (ngx_http_rt_engine_gather(e, &o) != NGX_OK) {
        ngx_http_rt_session_end(e->session, NGX_ERROR);
    }
}


static ngx_int_t
ngx_http_rt_engine_gather(ngx_http_rt_engine_t *e,
    const ngx_http_rt_object_t *o)
{
    if (e->pending == NULL) {
        e->pending = ngx_http_rt_buffer_create(e->session->sink.encoding,
                                               4096);
        if (e->pending == NULL) {
            return NGX_ERROR;
        }
    }

    return ngx_http_rt_buffer_add_object(&e->pending, o);
}


/* all that has come in this turn goes at once */

static void
ngx_http_rt_engine_handler(ngx_event_t *ev)
{
    ngx_http_rt_engine_t  *e;

    e = ev->data;

    if (e->session == NULL || !ngx_http_rt_sink_takes(&e->session->sink)) {
        return;
    }

    ngx_http_set_log_request(e->request->connection->log, e->request);

    if (ngx_http_rt_engine_send(e) == NGX_ERROR) {
        ngx_http_rt_session_end(e->session, NGX_ERROR);
    }
}


/* NGX_AGAIN: the socket is full; confirmed is what has gone out */

static ngx_int_t
ngx_http_rt_engine_send(ngx_http_rt_engine_t *e)
{
    ngx_int_t              rc;
    ngx_http_rt_buffer_t  *b;

    b = e->pending;
    rc = NGX_OK;

    e->pending = NULL;
    e->sent += e->gathered;
    e->gathered = 0;

    if (b) {
        ngx_http_rt_buffer_finish(b);
        rc = ngx_http_rt_session_send(e->session, b);
        ngx_http_rt_buffer_release(b);
    }

    if (rc == NGX_OK && e->sent) {
        ngx_http_rt_link_passed(&e->call, e->sent);
        e->sent = 0;
    }

    return rc;
}


static ngx_int_t
ngx_http_rt_engine_open(ngx_http_rt_session_t *s)
{
    u_char                 hello[32 + NGX_INT_T_LEN], *p;
    ngx_http_rt_engine_t  *e;

    static ngx_str_t  sse = ngx_string("text/event-stream");
    static ngx_str_t  stream = ngx_string("application/x-ndjson");

    e = s->ctx;

    ngx_http_rt_session_idle(s);

    if (!e->sse) {
        return ngx_http_rt_head(s, &stream, NULL, 0);
    }

    p = ngx_sprintf(hello, "retry: %M\n", s->conf->retry);

    return ngx_http_rt_head(s, &sse, hello, p - hello);
}


static void
ngx_http_rt_engine_timer(ngx_http_rt_session_t *s)
{
    ngx_int_t              rc;
    ngx_http_rt_engine_t  *e;
    ngx_http_rt_buffer_t  *b;

    e = s->ctx;

    if (e->sse && ngx_current_msec - s->active >= s->conf->keepalive
        && ngx_http_rt_sink_takes(&s->sink))
    {
        b = ngx_http_rt_buffer_create(s->sink.encoding, 2);
        rc = NGX_ERROR;

        if (b) {
            b->last = ngx_cpymem(b->last, ":\n", 2);
            ngx_http_rt_buffer_finish(b);
            rc = ngx_http_rt_session_send(s, b);
            ngx_http_rt_buffer_release(b);
        }

        if (rc == NGX_ERROR) {
            ngx_http_rt_session_end(s, NGX_ERROR);
            return;
        }
    }

    if (e->lost && e->call.link == NULL && !s->sink.closing) {
        rc = ngx_http_rt_link_ask(e->link, &e->call, &e->ask);
        e->lost = (rc != NGX_OK);
    }

    if (e->lost) {
        ngx_add_timer(&s->timer, NGX_HTTP_RT_ENGINE_RETRY);
        return;
    }

    ngx_http_rt_session_idle(s);
}


static ngx_int_t
ngx_http_rt_engine_flush(ngx_http_rt_session_t *s)
{
    return ngx_http_rt_engine_send(s->ctx);
}


/* called again when what is gathered is out */

static void
ngx_http_rt_engine_close(ngx_http_rt_session_t *s, ngx_uint_t code,
    const char *reason)
{
    ngx_int_t              rc;
    ngx_http_rt_engine_t  *e;

    e = s->ctx;

    ngx_http_rt_link_cancel(&e->call);

    rc = ngx_http_rt_engine_send(e);

    if (rc == NGX_OK) {
        ngx_http_rt_tail(s, NULL, 0);

    } else if (rc == NGX_ERROR) {
        ngx_http_rt_session_end(s, NGX_ERROR);
    }
}


static void
ngx_http_rt_engine_leave(ngx_http_rt_session_t *s)
{
    ngx_http_rt_engine_cleanup(s->ctx);
}


/* whatever ends the request */

static void
ngx_http_rt_engine_cleanup(void *data)
{
    ngx_http_rt_engine_t *e = data;

    e->over = 1;

    ngx_http_rt_link_cancel(&e->call);

    if (e->event.posted) {
        ngx_delete_posted_event(&e->event);
    }

    if (e->pending) {
        ngx_http_rt_buffer_release(e->pending);
        e->pending = NULL;
    }
}
