/*
 * Streams of an entity's events: GET .../events?from=N as SSE or ndjson, what
 * was from version N on, and then what becomes.
 *
 * The daemon sends at most a window of events that we have not confirmed; they
 * gather in one buffer while another one is in flight, and are confirmed when
 * they have gone out.  So a slow client holds up only itself.
 *
 * A stream knows the version that comes next.  When the daemon goes, it stays,
 * and subscribes anew from there as soon as the daemon is back; a client that
 * comes back itself says it in Last-Event-ID.
 *
 * Nothing ends here at once: what ends is finalized by the stream's own event,
 * and the buffers go with the request's pool, for HTTP/2 may need them so long.
 */

#include "ngx_http_rt_pass.h"


#define NGX_HTTP_RT_EVENTS_WINDOW  256

/* ms between two attempts while the daemon is away */
#define NGX_HTTP_RT_EVENTS_RETRY   250


typedef struct {
    ngx_http_request_t       *request;      /* owner: we die with it */
    ngx_http_rt_link_t       *link;
    ngx_http_rt_ask_t         ask;          /* from: the next version */
    ngx_http_rt_call_t        call;
    ngx_queue_t               queue;

    u_char                   *data[2];      /* gathering, in flight */
    size_t                    size[2];
    size_t                    len;          /* gathered */
    ngx_uint_t                events[2];
    ngx_buf_t                 buf;
    ngx_chain_t               chain;

    ngx_msec_t                active;
    ngx_event_t               timer;        /* holds a process that quits */
    ngx_event_t               event;        /* there is something to do */
    ngx_int_t                 rc;

    unsigned                  sse:1;
    unsigned                  header:1;     /* has been sent */
    unsigned                  blocked:1;
    unsigned                  lost:1;       /* the daemon */
    unsigned                  last:1;       /* say it when all is out */
    unsigned                  draining:1;
    unsigned                  ended:1;
} ngx_http_rt_events_t;


static ngx_int_t ngx_http_rt_events_from(ngx_http_request_t *r,
    uint64_t *from);
static void ngx_http_rt_events_call(ngx_http_rt_call_t *call,
    const rt_wire_frame_t *f, ngx_uint_t status);
static void ngx_http_rt_events_over(ngx_http_rt_events_t *e,
    const rt_wire_frame_t *f, ngx_uint_t status);
static void ngx_http_rt_events_header(ngx_http_rt_events_t *e);
static void ngx_http_rt_events_add(ngx_http_rt_events_t *e,
    const rt_wire_frame_t *f);
static ngx_int_t ngx_http_rt_events_gather(ngx_http_rt_events_t *e,
    const u_char *text, size_t len);
static void ngx_http_rt_events_do(ngx_event_t *ev);
static ngx_int_t ngx_http_rt_events_send(ngx_http_rt_events_t *e);
static ngx_int_t ngx_http_rt_events_sent(ngx_http_rt_events_t *e);
static void ngx_http_rt_events_write(ngx_http_request_t *r);
static void ngx_http_rt_events_timer(ngx_event_t *ev);
static void ngx_http_rt_events_end(ngx_http_rt_events_t *e, ngx_int_t rc);
static void ngx_http_rt_events_cleanup(void *data);
static void ngx_http_rt_events_free(void *data);


/* of this process */

static ngx_queue_t  ngx_http_rt_events_all;


ngx_int_t
ngx_http_rt_events(ngx_http_request_t *r, ngx_http_rt_link_t *link,
    ngx_http_rt_ask_t *ask, ngx_uint_t sse)
{
    ngx_int_t               rc;
    ngx_uint_t              status;
    const char             *code, *message;
    ngx_http_cleanup_t     *cln;
    ngx_pool_cleanup_t     *pcln;
    ngx_http_rt_events_t   *e;

    e = ngx_pcalloc(r->pool, sizeof(ngx_http_rt_events_t));
    cln = ngx_http_cleanup_add(r, 0);
    pcln = ngx_pool_cleanup_add(r->pool, 0);

    if (e == NULL || cln == NULL || pcln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_rt_ctx(r)->events = e;

    e->request = r;
    e->link = link;
    e->sse = sse;
    e->active = ngx_current_msec;

    e->ask = *ask;
    e->ask.type = RT_WIRE_SUBSCRIBE;
    e->ask.window = NGX_HTTP_RT_EVENTS_WINDOW;
    e->ask.timeout = 0;

    if (ngx_http_rt_events_from(r, &e->ask.from) != NGX_OK) {
        return ngx_http_rt_pass_error(r, NGX_HTTP_BAD_REQUEST, "bad_argument",
                                      "from must be a number");
    }

    e->call.handler = ngx_http_rt_events_call;
    e->call.data = e;

    rc = ngx_http_rt_link_ask(link, &e->call, &e->ask);

    if (rc != NGX_OK) {
        status = ngx_http_rt_pass_reason(rc, &code, &message);
        return ngx_http_rt_pass_error(r, status, code, message);
    }

    if (ngx_http_rt_events_all.next == NULL) {
        ngx_queue_init(&ngx_http_rt_events_all);
    }

    ngx_queue_insert_tail(&ngx_http_rt_events_all, &e->queue);

    cln->handler = ngx_http_rt_events_cleanup;
    cln->data = e;
    pcln->handler = ngx_http_rt_events_free;
    pcln->data = e;

    e->event.handler = ngx_http_rt_events_do;
    e->event.data = e;
    e->event.log = r->connection->log;
    e->timer.handler = ngx_http_rt_events_timer;
    e->timer.data = e;
    e->timer.log = r->connection->log;

    /* until the daemon has said something */

    ngx_add_timer(&e->timer, ask->timeout);

    r->limit_rate = 0;
    r->limit_rate_set = 1;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_rt_events_write;
    r->main->count++;

    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);
    }

    return NGX_DONE;
}


/* Last-Event-ID is the last version that the client had */

static ngx_int_t
ngx_http_rt_events_from(ngx_http_request_t *r, uint64_t *from)
{
    ngx_int_t         n;
    ngx_str_t         arg;
    ngx_table_elt_t  *h;

    *from = 1;

    h = ngx_http_rt_header_find(r, "Last-Event-ID");

    if (h && h->value.len) {
        n = ngx_atoi(h->value.data, h->value.len);
        *from = n + 1;

        return (n == NGX_ERROR) ? NGX_ERROR : NGX_OK;
    }

    if (ngx_http_arg(r, (u_char *) "from", 4, &arg) == NGX_OK) {
        n = ngx_atoi(arg.data, arg.len);
        *from = ngx_max(n, 1);

        return (n == NGX_ERROR) ? NGX_ERROR : NGX_OK;
    }

    return NGX_OK;
}


static void
ngx_http_rt_events_call(ngx_http_rt_call_t *call, const rt_wire_frame_t *f,
    ngx_uint_t status)
{
    ngx_http_rt_events_t  *e;

    e = call->data;

    if (e->ended) {
        return;
    }

    if (f == NULL || f->type == RT_WIRE_REPLY) {
        ngx_http_rt_events_over(e, f, status);
        return;
    }

    e->lost = 0;

    ngx_http_rt_events_header(e);

    if (f->type == RT_WIRE_EVENT) {
        ngx_http_rt_events_add(e, f);
    }

    if (!e->event.posted) {
        ngx_post_event(&e->event, &ngx_posted_events);
    }
}


/* refused, ended by the daemon, or lost with it */

static void
ngx_http_rt_events_over(ngx_http_rt_events_t *e, const rt_wire_frame_t *f,
    ngx_uint_t status)
{
    const char          *code, *message;
    rt_wire_str_t        body;
    ngx_http_request_t  *r;

    r = e->request;

    ngx_http_set_log_request(r->connection->log, r);

    if (!e->header) {

        if (f) {
            ngx_http_rt_events_end(e, ngx_http_rt_pass_reply(r, f));
            return;
        }

        status = ngx_http_rt_pass_reason(status, &code, &message);

        ngx_http_rt_events_end(e, ngx_http_rt_pass_error(r, status, code,
                                                         message));
        return;
    }

    if (f == NULL) {
        e->lost = 1;
        ngx_add_timer(&e->timer, NGX_HTTP_RT_EVENTS_RETRY);
        return;
    }

    /* what it wants next is no longer kept */

    body = rt_wire_string(f, RT_WIRE_F_BODY);

    if ((e->sse
         && ngx_http_rt_events_gather(e, (u_char *) "event: realtime:error\n"
                                      "data: ", 28)
            != NGX_OK)
        || ngx_http_rt_events_gather(e, body.data, body.len) != NGX_OK
        || ngx_http_rt_events_gather(e, (u_char *) "\n\n", e->sse ? 2 : 1)
           != NGX_OK)
    {
        ngx_http_rt_events_end(e, NGX_ERROR);
        return;
    }

    e->last = 1;

    ngx_post_event(&e->event, &ngx_posted_events);
}


static void
ngx_http_rt_events_header(ngx_http_rt_events_t *e)
{
    u_char                   hello[32 + NGX_INT_T_LEN], *p;
    ngx_int_t                rc;
    ngx_http_request_t      *r;
    ngx_http_rt_loc_conf_t  *rlcf;

    if (e->header) {
        return;
    }

    e->header = 1;

    r = e->request;
    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    ngx_http_set_log_request(r->connection->log, r);

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = -1;

    if (e->sse) {
        ngx_str_set(&r->headers_out.content_type, "text/event-stream");

    } else {
        ngx_str_set(&r->headers_out.content_type, "application/x-ndjson");
    }

    r->headers_out.content_type_len = r->headers_out.content_type.len;

    /* compression would hold events back */

    r->gzip_tested = 1;
    r->gzip_ok = 0;

    if (ngx_http_rt_header_live(r) != NGX_OK) {
        ngx_http_rt_events_end(e, NGX_ERROR);
        return;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        ngx_http_rt_events_end(e, NGX_ERROR);
        return;
    }

    ngx_add_timer(&e->timer, e->draining ? 0 : rlcf->keepalive);

    p = ngx_sprintf(hello, "retry: %M\n\n", rlcf->retry);

    if (e->sse && ngx_http_rt_events_gather(e, hello, p - hello) != NGX_OK) {
        ngx_http_rt_events_end(e, NGX_ERROR);
        return;
    }

    if (!e->sse && ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR) {
        ngx_http_rt_events_end(e, NGX_ERROR);
    }
}


/* what it has had already, before the daemon went, is confirmed unseen */

static void
ngx_http_rt_events_add(ngx_http_rt_events_t *e, const rt_wire_frame_t *f)
{
    u_char          text[32 + NGX_INT64_LEN], *p;
    uint64_t        version;
    ngx_int_t       rc;
    rt_wire_str_t   body;

    e->events[0]++;

    version = rt_wire_number(f, RT_WIRE_F_VERSION);
    body = rt_wire_string(f, RT_WIRE_F_BODY);

    if (e->ended || version < e->ask.from) {
        return;
    }

    e->ask.from = version + 1;

    rc = NGX_OK;

    if (e->sse) {
        p = ngx_sprintf(text, "id: %uL\ndata: ", version);
        rc = ngx_http_rt_events_gather(e, text, p - text);
    }

    if (rc != NGX_OK
        || ngx_http_rt_events_gather(e, body.data, body.len) != NGX_OK
        || ngx_http_rt_events_gather(e, (u_char *) "\n\n", e->sse ? 2 : 1)
           != NGX_OK)
    {
        ngx_http_rt_events_end(e, NGX_ERROR);
    }
}


static ngx_int_t
ngx_http_rt_events_gather(ngx_http_rt_events_t *e, const u_char *text,
    size_t len)
{
    size_t   size;
    u_char  *p;

    if (e->len + len > e->size[0]) {

        size = ngx_max(2 * e->size[0], e->len + len);
        size = ngx_max(size, 4096);

        p = realloc(e->data[0], size);
        if (p == NULL) {
            return NGX_ERROR;
        }

        e->data[0] = p;
        e->size[0] = size;
    }

    if (len) {
        ngx_memcpy(e->data[0] + e->len, text, len);
        e->len += len;
    }

    return NGX_OK;
}


/* at the end of the turn */

static void
ngx_http_rt_events_do(ngx_event_t *ev)
{
    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    ngx_http_rt_events_t  *e;

    e = ev->data;
    r = e->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (!e->ended && ngx_http_rt_events_send(e) == NGX_ERROR) {
        ngx_http_rt_events_end(e, NGX_ERROR);
    }

    if (e->ended) {
        ngx_http_finalize_request(r, e->rc);
    }

    ngx_http_run_posted_requests(c);
}


/* NGX_AGAIN: the socket is full */

static ngx_int_t
ngx_http_rt_events_send(ngx_http_rt_events_t *e)
{
    u_char              *p;
    size_t               size;
    ngx_http_request_t  *r;

    r = e->request;

    if (e->blocked) {
        return NGX_AGAIN;
    }

    if (e->len == 0) {

        if (e->events[0]) {
            ngx_http_rt_link_passed(&e->call, e->events[0]);
            e->events[0] = 0;
        }

        if (e->last) {
            ngx_http_rt_events_end(e, ngx_http_send_special(r,
                                                            NGX_HTTP_LAST));
        }

        return NGX_OK;
    }

    p = e->data[1];
    e->data[1] = e->data[0];
    e->data[0] = p;

    size = e->size[1];
    e->size[1] = e->size[0];
    e->size[0] = size;

    e->events[1] = e->events[0];
    e->events[0] = 0;

    ngx_memzero(&e->buf, sizeof(ngx_buf_t));

    e->buf.start = e->data[1];
    e->buf.pos = e->data[1];
    e->buf.last = e->data[1] + e->len;
    e->buf.end = e->buf.last;
    e->buf.memory = 1;
    e->buf.flush = 1;
    e->buf.tag = (ngx_buf_tag_t) &ngx_http_realtime_module;

    e->len = 0;
    e->active = ngx_current_msec;
    e->chain.buf = &e->buf;
    e->chain.next = NULL;

    if (ngx_http_output_filter(r, &e->chain) == NGX_ERROR) {
        return NGX_ERROR;
    }

    return ngx_http_rt_events_sent(e);
}


/* whether all has gone out; then it is confirmed */

static ngx_int_t
ngx_http_rt_events_sent(ngx_http_rt_events_t *e)
{
    ngx_event_t               *wev;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = e->request;
    wev = r->connection->write;

    if (ngx_buf_size(&e->buf) == 0 && r->out == NULL
        && !r->connection->buffered)
    {
        e->blocked = 0;

        if (wev->timer_set) {
            ngx_del_timer(wev);
        }

        ngx_http_rt_link_passed(&e->call, e->events[1]);
        e->events[1] = 0;

        if ((e->len || e->last) && !e->event.posted) {
            ngx_post_event(&e->event, &ngx_posted_events);
        }

        return NGX_OK;
    }

    e->blocked = 1;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    ngx_add_timer(wev, clcf->send_timeout);

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


static void
ngx_http_rt_events_write(ngx_http_request_t *r)
{
    ngx_event_t             *wev;
    ngx_http_rt_ctx_t       *ctx;
    ngx_http_rt_events_t    *e;

    ctx = ngx_http_get_module_ctx(r, ngx_http_realtime_module);
    e = ctx->events;
    wev = r->connection->write;

    if (e->ended || !e->blocked) {
        return;
    }

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client timed out");
        r->connection->timedout = 1;
        ngx_http_rt_events_end(e, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (ngx_http_output_filter(r, NULL) == NGX_ERROR
        || ngx_http_rt_events_sent(e) == NGX_ERROR)
    {
        ngx_http_rt_events_end(e, NGX_ERROR);
    }
}


static void
ngx_http_rt_events_timer(ngx_event_t *ev)
{
    ngx_int_t                rc;
    const char              *code, *message;
    ngx_http_request_t      *r;
    ngx_http_rt_events_t    *e;
    ngx_http_rt_loc_conf_t  *rlcf;

    e = ev->data;
    r = e->request;

    ngx_http_set_log_request(r->connection->log, r);

    if (e->ended) {
        return;
    }

    if (!e->header) {
        (void) ngx_http_rt_pass_reason(NGX_HTTP_GATEWAY_TIME_OUT, &code,
                                       &message);
        ngx_http_rt_events_end(e, ngx_http_rt_pass_error(r,
                                         NGX_HTTP_GATEWAY_TIME_OUT, code,
                                         message));
        return;
    }

    if (e->draining) {
        e->last = 1;
        ngx_http_rt_link_cancel(&e->call);
        ngx_post_event(&e->event, &ngx_posted_events);
        return;
    }

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (e->sse && ngx_current_msec - e->active >= rlcf->keepalive
        && !e->blocked)
    {
        if (ngx_http_rt_events_gather(e, (u_char *) ":\n\n", 3) != NGX_OK) {
            ngx_http_rt_events_end(e, NGX_ERROR);
            return;
        }

        ngx_post_event(&e->event, &ngx_posted_events);
    }

    if (e->lost && e->call.link == NULL) {
        rc = ngx_http_rt_link_ask(e->link, &e->call, &e->ask);
        e->lost = (rc != NGX_OK);
    }

    ngx_add_timer(&e->timer, e->lost ? NGX_HTTP_RT_EVENTS_RETRY
                                     : rlcf->keepalive);
}


static void
ngx_http_rt_events_end(ngx_http_rt_events_t *e, ngx_int_t rc)
{
    if (e->ended) {
        return;
    }

    e->ended = 1;
    e->rc = rc;

    ngx_http_rt_link_cancel(&e->call);

    if (!e->event.posted) {
        ngx_post_event(&e->event, &ngx_posted_events);
    }
}


/* the process is to quit: they end, spread over realtime_drain */

void
ngx_http_rt_events_drain(void)
{
    ngx_queue_t              *q;
    ngx_http_rt_events_t     *e;
    ngx_http_rt_main_conf_t  *mcf;

    if (ngx_http_rt_events_all.next == NULL) {
        return;
    }

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_realtime_module);

    for (q = ngx_queue_head(&ngx_http_rt_events_all);
         q != ngx_queue_sentinel(&ngx_http_rt_events_all);
         q = ngx_queue_next(q))
    {
        e = ngx_queue_data(q, ngx_http_rt_events_t, queue);

        if (e->ended || e->draining) {
            continue;
        }

        e->draining = 1;

        if (e->header) {
            ngx_add_timer(&e->timer, mcf->drain ? ngx_random() % mcf->drain
                                                : 0);
        }
    }
}


static void
ngx_http_rt_events_cleanup(void *data)
{
    ngx_http_rt_events_t *e = data;

    ngx_queue_remove(&e->queue);

    e->ended = 1;

    ngx_http_rt_link_cancel(&e->call);

    if (e->timer.timer_set) {
        ngx_del_timer(&e->timer);
    }

    if (e->event.posted) {
        ngx_delete_posted_event(&e->event);
    }
}


static void
ngx_http_rt_events_free(void *data)
{
    ngx_http_rt_events_t *e = data;

    free(e->data[0]);
    free(e->data[1]);
}
