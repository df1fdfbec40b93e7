/*
 * The link: the connection of this process to one daemon.
 *
 *               timer            connect()           HELLO said
 *     DOWN  ------------> CONNECTING ------> HELLO ------------> UP
 *       ^                      |               |     and heard    |
 *       +----------------------+---------------+------------------+
 *          refused, closed, silent, a bad frame: all that wait are answered
 *
 * Frames are written into one buffer, which goes out in one piece at the end of
 * the event loop's turn, and are read from another as they become whole.  What
 * waits to be sent is bounded: beyond NGX_HTTP_RT_LINK_OUT_MAX, or with as many
 * answers owed as the daemon allows, nothing more may be asked.
 *
 * At the start of a process, and only then, questions may follow our HELLO
 * before the daemon's has come; a daemon that has been away is trusted again
 * when it has spoken.
 *
 * Publications go into the zone as they are read, each with its place in the
 * daemon's journal (ngx_http_rt_source.h), and are confirmed once a turn.
 * Which process the daemon sends them to is its choice; two at a time do no
 * harm.
 */

#include "ngx_http_rt_link.h"
#include "ngx_http_rt_utf8.h"


#define NGX_HTTP_RT_LINK_READ         (64 * 1024)

/* reads before others have their turn */
#define NGX_HTTP_RT_LINK_TURN         16

/* questions that wait for the socket; the daemon reads on when it can */
#define NGX_HTTP_RT_LINK_OUT_MAX      (4 * 1024 * 1024)

/* an empty buffer that is larger is given back */
#define NGX_HTTP_RT_LINK_KEEP         (256 * 1024)

/* before the daemon has told its own limit */
#define NGX_HTTP_RT_LINK_INFLIGHT     256

/* the daemon has a list of them, and a limit of twice as many */
#define NGX_HTTP_RT_LINK_STREAMS      8192

/* unconfirmed publications */
#define NGX_HTTP_RT_LINK_WINDOW       4096

/* ms: for connect() and hello, between pings, and until it counts as dead */
#define NGX_HTTP_RT_LINK_TIMEOUT      5000
#define NGX_HTTP_RT_LINK_PING         5000
#define NGX_HTTP_RT_LINK_SILENCE      15000

/* ms: half of it for certain, half by chance */
#define NGX_HTTP_RT_LINK_BACKOFF      50
#define NGX_HTTP_RT_LINK_BACKOFF_MAX  1000

/* ids of PINGs that follow a SUBSCRIBE */
#define NGX_HTTP_RT_LINK_PONG         ((uint64_t) 1 << 62)


/* a client's connection that was named to daemons */

typedef struct {
    uint64_t                 id;
    uint64_t                 links;         /* bits by number */
} ngx_http_rt_link_client_t;


static void ngx_http_rt_link_connect(ngx_http_rt_link_t *link);
static void ngx_http_rt_link_connected(ngx_event_t *wev);
static void ngx_http_rt_link_hello(ngx_http_rt_link_t *link);
static void ngx_http_rt_link_timer(ngx_event_t *ev);
static void ngx_http_rt_link_close(ngx_http_rt_link_t *link);
static void ngx_http_rt_link_complain(ngx_http_rt_link_t *link,
    ngx_uint_t level, ngx_err_t err, const char *fmt, const char *detail);
static void ngx_http_rt_link_fail(ngx_http_rt_link_t *link);
static void ngx_http_rt_link_end_calls(ngx_http_rt_link_t *link);

static u_char *ngx_http_rt_link_reserve(ngx_http_rt_link_t *link, size_t size);
static void ngx_http_rt_link_add(ngx_http_rt_link_t *link, u_char *last);
static ngx_int_t ngx_http_rt_link_grow(ngx_http_rt_link_buf_t *b, size_t size);
static void ngx_http_rt_link_compact(ngx_http_rt_link_buf_t *b);
static void ngx_http_rt_link_flush(ngx_event_t *ev);
static void ngx_http_rt_link_write(ngx_event_t *wev);

static ngx_int_t ngx_http_rt_link_takes(ngx_http_rt_link_t *link, size_t size,
    ngx_uint_t stream);
static size_t ngx_http_rt_link_size(const ngx_http_rt_ask_t *ask);
static u_char *ngx_http_rt_link_put(u_char *p, rt_wire_field_e tag,
    const ngx_str_t *s);
static u_char *ngx_http_rt_link_frame(u_char *p, uint64_t id,
    const ngx_http_rt_ask_t *ask);
static void ngx_http_rt_link_tally(ngx_http_rt_link_t *link);
static void ngx_http_rt_link_forget(ngx_http_rt_call_t *call);
static void ngx_http_rt_link_late(ngx_event_t *ev);

static void ngx_http_rt_link_read(ngx_event_t *rev);
static ngx_int_t ngx_http_rt_link_input(ngx_http_rt_link_t *link);
static ngx_int_t ngx_http_rt_link_take(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f);
static ngx_int_t ngx_http_rt_link_greeted(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f);
static void ngx_http_rt_link_answer(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f);
static ngx_int_t ngx_http_rt_link_publication(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f);
static ngx_int_t ngx_http_rt_link_audience(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f);
static void ngx_http_rt_link_pong(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f);
static void ngx_http_rt_link_confirm(ngx_http_rt_link_t *link);
static void ngx_http_rt_link_gone(void *data);


void
ngx_http_rt_link_init_process(ngx_http_rt_link_t *link, ngx_cycle_t *cycle)
{
    ngx_rbtree_init(&link->calls, &link->sentinel, ngx_rbtree_insert_value);

    link->timer.handler = ngx_http_rt_link_timer;
    link->timer.data = link;
    link->timer.log = cycle->log;
    link->timer.cancelable = 1;

    link->flush.handler = ngx_http_rt_link_flush;
    link->flush.data = link;
    link->flush.log = cycle->log;

    link->quiet = *cycle->log;
    link->quiet.log_level = NGX_LOG_ALERT;

    ngx_http_rt_link_connect(link);
}


void
ngx_http_rt_link_exit_process(ngx_http_rt_link_t *link)
{
    if (link->timer.handler == NULL) {
        return;
    }

    ngx_http_rt_link_close(link);

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }
}


static void
ngx_http_rt_link_connect(ngx_http_rt_link_t *link)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_peer_connection_t   pc;

    ngx_memzero(&pc, sizeof(ngx_peer_connection_t));

    pc.sockaddr = link->addr->sockaddr;
    pc.socklen = link->addr->socklen;
    pc.name = &link->addr->name;
    pc.get = ngx_event_get_peer;
    pc.log = &link->quiet;
    pc.log_error = NGX_ERROR_ERR;

    ngx_set_socket_errno(0);

    rc = ngx_event_connect_peer(&pc);

    if (rc != NGX_OK && rc != NGX_AGAIN) {

        if (rc == NGX_DECLINED) {
            ngx_http_rt_link_complain(link, NGX_LOG_ERR, ngx_socket_errno,
                                      "connect() to \"%V\" failed", NULL);
        }

        ngx_http_rt_link_fail(link);
        return;
    }

    c = pc.connection;

    /* not to be closed when the process is to quit: by exit_process only */

    c->data = link;
    c->log = link->failures ? &link->quiet : ngx_cycle->log;
    c->read->log = c->log;
    c->read->channel = 1;
    c->read->handler = ngx_http_rt_link_read;
    c->write->log = c->log;
    c->write->channel = 1;
    c->write->handler = ngx_http_rt_link_connected;

    link->connection = c;
    link->state = NGX_HTTP_RT_LINK_S_CONNECTING;

    ngx_add_timer(&link->timer, NGX_HTTP_RT_LINK_TIMEOUT);

    if (rc == NGX_OK) {
        ngx_http_rt_link_hello(link);
    }
}


static void
ngx_http_rt_link_connected(ngx_event_t *wev)
{
    int                  err;
    socklen_t            len;
    ngx_connection_t    *c;
    ngx_http_rt_link_t  *link;

    c = wev->data;
    link = c->data;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_http_rt_link_complain(link, NGX_LOG_ERR, err,
                                  "connect() to \"%V\" failed", NULL);
        ngx_http_rt_link_fail(link);
        return;
    }

    ngx_http_rt_link_hello(link);
}


static void
ngx_http_rt_link_hello(ngx_http_rt_link_t *link)
{
    u_char                 *p, *start;
    ngx_http_rt_zone_t     *zone;
    ngx_http_rt_place_t     place;
    ngx_int_t               known;

    zone = link->zone;

    link->connection->write->handler = ngx_http_rt_link_write;
    link->frame_max = RT_WIRE_FRAME_MAX;
    link->inflight = NGX_HTTP_RT_LINK_INFLIGHT;
    link->heard = ngx_current_msec;

    start = ngx_http_rt_link_reserve(link, 512);
    if (start == NULL) {
        ngx_http_rt_link_fail(link);
        return;
    }

    known = ngx_http_rt_zone_source(zone, link->peer, &place);

    p = rt_wire_begin(start, RT_WIRE_HELLO, 0, 0);
    p = rt_wire_put_number(p, RT_WIRE_F_PROTOCOL, RT_WIRE_PROTOCOL);
    p = rt_wire_put_number(p, RT_WIRE_F_FRAME_MAX, RT_WIRE_FRAME_MAX);

    if (known == NGX_OK) {
        p = rt_wire_put_number(p, RT_WIRE_F_EPOCH, place.epoch);
        p = rt_wire_put_number(p, RT_WIRE_F_POSITION, place.position);
        p = rt_wire_put_number(p, RT_WIRE_F_INDEX, place.index);
    }

    p = rt_wire_put_number(p, RT_WIRE_F_ZONE_EPOCH, zone->epoch);
    p = rt_wire_put_number(p, RT_WIRE_F_WINDOW, NGX_HTTP_RT_LINK_WINDOW);
    p = rt_wire_put_string(p, RT_WIRE_F_ZONE, zone->name.data,
                           zone->name.len);
    rt_wire_end(start, p);

    ngx_http_rt_link_add(link, p);

    link->state = NGX_HTTP_RT_LINK_S_HELLO;
}


/* to connect again, or to look whether the daemon is alive */

static void
ngx_http_rt_link_timer(ngx_event_t *ev)
{
    ngx_msec_t           silence;
    ngx_http_rt_link_t  *link;

    link = ev->data;

    switch (link->state) {

    case NGX_HTTP_RT_LINK_S_DOWN:
        ngx_http_rt_link_connect(link);
        return;

    case NGX_HTTP_RT_LINK_S_CONNECTING:
    case NGX_HTTP_RT_LINK_S_HELLO:
        ngx_http_rt_link_complain(link, NGX_LOG_ERR, NGX_ETIMEDOUT,
                                  "realtime_worker \"%V\" does not answer",
                                  NULL);
        ngx_http_rt_link_fail(link);
        return;

    default:
        break;
    }

    silence = ngx_current_msec - link->heard;

    if (silence >= NGX_HTTP_RT_LINK_SILENCE) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, NGX_ETIMEDOUT,
                      "realtime_worker \"%V\" has been silent for %M ms",
                      &link->name, silence);
        ngx_http_rt_link_fail(link);
        return;
    }

    if (silence >= NGX_HTTP_RT_LINK_PING) {
        (void) ngx_http_rt_link_tell(link, RT_WIRE_PING, 0, 0, 0);
    }

    ngx_add_timer(&link->timer, NGX_HTTP_RT_LINK_PING);
}


static void
ngx_http_rt_link_close(ngx_http_rt_link_t *link)
{
    if (link->connection) {
        ngx_close_connection(link->connection);
        link->connection = NULL;
    }

    if (link->flush.posted) {
        ngx_delete_posted_event(&link->flush);
    }

    ngx_free(link->in.start);
    ngx_free(link->out.start);

    ngx_memzero(&link->in, sizeof(ngx_http_rt_link_buf_t));
    ngx_memzero(&link->out, sizeof(ngx_http_rt_link_buf_t));

    link->state = NGX_HTTP_RT_LINK_S_DOWN;
    link->owed = 0;
    link->confirm = 0;

    ngx_http_rt_link_tally(link);
}


/* of what keeps it down, each reason is worth one line, not each attempt */

static void
ngx_http_rt_link_complain(ngx_http_rt_link_t *link, ngx_uint_t level,
    ngx_err_t err, const char *fmt, const char *detail)
{
    if (link->failures && link->complaint == fmt && link->err == err) {
        return;
    }

    link->complaint = fmt;
    link->err = err;

    ngx_log_error(level, ngx_cycle->log, err, fmt, &link->name, detail);
}


static void
ngx_http_rt_link_fail(ngx_http_rt_link_t *link)
{
    ngx_msec_t  delay;

    ngx_http_rt_link_close(link);

    delay = NGX_HTTP_RT_LINK_BACKOFF << ngx_min(link->failures, 8);
    delay = ngx_min(delay, NGX_HTTP_RT_LINK_BACKOFF_MAX);

    link->failures++;

    ngx_add_timer(&link->timer, delay / 2 + ngx_random() % (delay / 2 + 1));

    ngx_http_rt_link_end_calls(link);
}


/*
 * A command that has gone to the socket may have been decided; what has not,
 * and a query, may be asked again.
 */

static void
ngx_http_rt_link_end_calls(ngx_http_rt_link_t *link)
{
    uint64_t             sent;
    ngx_uint_t           unsure;
    ngx_http_rt_call_t  *call;

    sent = link->sent;
    link->sent = 0;

    while (link->calls.root != &link->sentinel) {

        call = (ngx_http_rt_call_t *) ngx_rbtree_min(link->calls.root,
                                                     &link->sentinel);

        unsure = (call->type == RT_WIRE_COMMAND && call->at < sent);

        ngx_http_rt_link_forget(call);

        call->handler(call, NULL, unsure ? NGX_HTTP_GATEWAY_TIME_OUT
                                         : NGX_HTTP_SERVICE_UNAVAILABLE);
    }
}


/* output */

static u_char *
ngx_http_rt_link_reserve(ngx_http_rt_link_t *link, size_t size)
{
    if (ngx_http_rt_link_grow(&link->out, size) != NGX_OK) {
        return NULL;
    }

    return link->out.last;
}


static void
ngx_http_rt_link_add(ngx_http_rt_link_t *link, u_char *last)
{
    link->out.last = last;

    if (!link->flush.posted) {
        ngx_post_event(&link->flush, &ngx_posted_events);
    }
}


static ngx_int_t
ngx_http_rt_link_grow(ngx_http_rt_link_buf_t *b, size_t size)
{
    size_t   used, need;
    u_char  *p;

    if ((size_t) (b->end - b->last) >= size) {
        return NGX_OK;
    }

    used = b->last - b->pos;
    need = ngx_max(used + size, 2 * used);
    need = ngx_max(need, NGX_HTTP_RT_LINK_READ);

    p = ngx_alloc(need, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (used) {
        ngx_memcpy(p, b->pos, used);
    }

    ngx_free(b->start);

    b->start = p;
    b->pos = p;
    b->last = p + used;
    b->end = p + need;

    return NGX_OK;
}


static void
ngx_http_rt_link_compact(ngx_http_rt_link_buf_t *b)
{
    size_t  n;

    n = b->last - b->pos;

    if (n == 0 && b->end - b->start > NGX_HTTP_RT_LINK_KEEP) {
        ngx_free(b->start);
        ngx_memzero(b, sizeof(ngx_http_rt_link_buf_t));
        return;
    }

    /* what is moved is less than what was used */

    if (n < (size_t) (b->pos - b->start)) {
        ngx_memmove(b->start, b->pos, n);
        b->pos = b->start;
        b->last = b->start + n;
    }
}


/* at the end of the turn: all that has gathered, in one piece */

static void
ngx_http_rt_link_flush(ngx_event_t *ev)
{
    ssize_t                  n;
    ngx_connection_t        *c;
    ngx_http_rt_link_t      *link;
    ngx_http_rt_link_buf_t  *b;

    link = ev->data;
    c = link->connection;
    b = &link->out;

    if (c == NULL) {
        return;
    }

    while (b->pos < b->last) {

        n = c->send(c, b->pos, b->last - b->pos);

        if (n == NGX_ERROR) {
            ngx_http_rt_link_fail(link);
            return;
        }

        if (n == NGX_AGAIN) {
            break;
        }

        b->pos += n;
        link->sent += n;
    }

    ngx_http_rt_link_compact(b);

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_http_rt_link_fail(link);
    }
}


static void
ngx_http_rt_link_write(ngx_event_t *wev)
{
    ngx_connection_t  *c;

    c = wev->data;

    ngx_http_rt_link_flush(&((ngx_http_rt_link_t *) c->data)->flush);
}


/* questions */

ngx_int_t
ngx_http_rt_link_ask(ngx_http_rt_link_t *link, ngx_http_rt_call_t *call,
    const ngx_http_rt_ask_t *ask)
{
    size_t       size;
    u_char      *p, *start;
    ngx_int_t    rc;
    ngx_uint_t   stream;

    call->link = NULL;

    size = ngx_http_rt_link_size(ask);
    stream = (ask->type == RT_WIRE_SUBSCRIBE);

    rc = ngx_http_rt_link_takes(link, size, stream);
    if (rc != NGX_OK) {
        return rc;
    }

    start = ngx_http_rt_link_reserve(link, size);
    if (start == NULL) {
        return NGX_ERROR;
    }

    /* ids of subscriptions are odd: their answers are not owed */

    link->ids += 2;

    call->node.key = link->ids + stream;
    call->link = link;
    call->type = ask->type;
    call->at = link->sent + (link->out.last - link->out.pos);

    ngx_rbtree_insert(&link->calls, &call->node);

    p = ngx_http_rt_link_frame(start, call->node.key, ask);
    rt_wire_end(start, p);

    ngx_http_rt_link_add(link, p);

    if (stream) {
        link->nsubscriptions++;

        /* the PONG tells that there was no refusal before it */

        (void) ngx_http_rt_link_tell(link, RT_WIRE_PING, call->node.key
                                     | NGX_HTTP_RT_LINK_PONG, 0, 0);

    } else {
        link->owed++;
    }

    ngx_http_rt_link_tally(link);

    ngx_memzero(&call->timer, sizeof(ngx_event_t));

    if (ask->timeout) {
        call->timer.handler = ngx_http_rt_link_late;
        call->timer.data = call;
        call->timer.log = ngx_cycle->log;

        ngx_add_timer(&call->timer, ask->timeout);
    }

    return NGX_OK;
}


/* whether a question may be asked now */

static ngx_int_t
ngx_http_rt_link_takes(ngx_http_rt_link_t *link, size_t size,
    ngx_uint_t stream)
{
    if (link->state != NGX_HTTP_RT_LINK_S_UP
        && (link->state != NGX_HTTP_RT_LINK_S_HELLO || link->failures))
    {
        return NGX_HTTP_RT_LINK_DOWN;
    }

    if (size > link->frame_max) {
        return NGX_HTTP_RT_LINK_LARGE;
    }

    if (link->out.last - link->out.pos + size > NGX_HTTP_RT_LINK_OUT_MAX
        || (stream ? link->nsubscriptions >= NGX_HTTP_RT_LINK_STREAMS
                   : link->owed >= link->inflight))
    {
        return NGX_HTTP_RT_LINK_BUSY;
    }

    return NGX_OK;
}


/* no less than what ngx_http_rt_link_frame() writes */

static size_t
ngx_http_rt_link_size(const ngx_http_rt_ask_t *ask)
{
    return RT_WIRE_HEADER_SIZE + 5 * RT_WIRE_NUMBER_SIZE
           + 7 * RT_WIRE_FIELD_SIZE
           + ask->engine.len + ask->entity.len + ask->name.len
           + ask->key.len + ask->user.len + ask->args.len + ask->body.len;
}


static u_char *
ngx_http_rt_link_put(u_char *p, rt_wire_field_e tag, const ngx_str_t *s)
{
    return rt_wire_put_string(p, tag, s->len ? s->data : (u_char *) "",
                              s->len);
}


static u_char *
ngx_http_rt_link_frame(u_char *p, uint64_t id, const ngx_http_rt_ask_t *ask)
{
    p = rt_wire_begin(p, ask->type, 0, id);

    if (ask->type == RT_WIRE_STATUS) {
        return p;
    }

    if (ask->window) {
        p = rt_wire_put_number(p, RT_WIRE_F_WINDOW, ask->window);
    }

    p = rt_wire_put_number(p, RT_WIRE_F_CONNECTION, ask->connection);

    if (ask->has_expect) {
        p = rt_wire_put_number(p, RT_WIRE_F_EXPECT, ask->expect);
    }

    if (ask->timeout) {
        p = rt_wire_put_number(p, RT_WIRE_F_TIMEOUT, ask->timeout);
    }

    if (ask->type == RT_WIRE_SUBSCRIBE) {
        p = rt_wire_put_number(p, RT_WIRE_F_FROM, ask->from);
    }

    p = ngx_http_rt_link_put(p, RT_WIRE_F_ENGINE, &ask->engine);
    p = ngx_http_rt_link_put(p, RT_WIRE_F_ENTITY, &ask->entity);

    if (ask->type != RT_WIRE_SUBSCRIBE) {
        p = ngx_http_rt_link_put(p, RT_WIRE_F_NAME, &ask->name);
    }

    if (ask->key.len) {
        p = ngx_http_rt_link_put(p, RT_WIRE_F_KEY, &ask->key);
    }

    if (ask->user.len) {
        p = ngx_http_rt_link_put(p, RT_WIRE_F_USER, &ask->user);
    }

    if (ask->args.len) {
        p = ngx_http_rt_link_put(p, RT_WIRE_F_ARGS, &ask->args);
    }

    if (ask->type == RT_WIRE_COMMAND) {
        p = ngx_http_rt_link_put(p, RT_WIRE_F_BODY, &ask->body);
    }

    return p;
}


/* for those who ask another process */

static void
ngx_http_rt_link_tally(ngx_http_rt_link_t *link)
{
    if (link->tally) {
        link->tally->up = (link->state == NGX_HTTP_RT_LINK_S_UP);
        link->tally->waiting = link->owed;
        link->tally->streams = link->nsubscriptions;
    }
}


/* it waits no more */

static void
ngx_http_rt_link_forget(ngx_http_rt_call_t *call)
{
    ngx_http_rt_link_t  *link;

    link = call->link;

    ngx_rbtree_delete(&link->calls, &call->node);

    if (call->type == RT_WIRE_SUBSCRIBE) {
        link->nsubscriptions--;
        ngx_http_rt_link_tally(link);
    }

    if (call->timer.timer_set) {
        ngx_del_timer(&call->timer);
    }

    call->link = NULL;
}


/* the answer that may come yet is nobody's, but still owed */

void
ngx_http_rt_link_cancel(ngx_http_rt_call_t *call)
{
    ngx_http_rt_link_t  *link;

    link = call->link;

    if (link == NULL) {
        return;
    }

    if (call->type == RT_WIRE_SUBSCRIBE) {
        (void) ngx_http_rt_link_tell(link, RT_WIRE_UNSUBSCRIBE,
                                     call->node.key, 0, 0);
    }

    ngx_http_rt_link_forget(call);
}


static void
ngx_http_rt_link_late(ngx_event_t *ev)
{
    ngx_http_rt_call_t  *call;

    call = ev->data;

    ngx_http_rt_link_forget(call);

    call->handler(call, NULL, NGX_HTTP_GATEWAY_TIME_OUT);
}


ngx_int_t
ngx_http_rt_link_tell(ngx_http_rt_link_t *link, rt_wire_type_e type,
    uint64_t id, rt_wire_field_e tag, uint64_t value)
{
    u_char  *p, *start;

    if (link->state < NGX_HTTP_RT_LINK_S_HELLO) {
        return NGX_DECLINED;
    }

    start = ngx_http_rt_link_reserve(link, RT_WIRE_HEADER_SIZE
                                           + RT_WIRE_NUMBER_SIZE);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = rt_wire_begin(start, type, 0, id);

    if (tag) {
        p = rt_wire_put_number(p, tag, value);
    }

    rt_wire_end(start, p);

    ngx_http_rt_link_add(link, p);

    return NGX_OK;
}


void
ngx_http_rt_link_passed(ngx_http_rt_call_t *call, ngx_uint_t n)
{
    if (call->link) {
        (void) ngx_http_rt_link_tell(call->link, RT_WIRE_CONFIRM,
                                     call->node.key, RT_WIRE_F_VERSION, n);
    }
}


/* input */

static void
ngx_http_rt_link_read(ngx_event_t *rev)
{
    ssize_t              n;
    ngx_uint_t           turn;
    ngx_connection_t    *c;
    ngx_http_rt_link_t  *link;

    c = rev->data;
    link = c->data;

    if (link->state == NGX_HTTP_RT_LINK_S_CONNECTING) {
        return;
    }

    for (turn = 0; turn < NGX_HTTP_RT_LINK_TURN; turn++) {

        if (ngx_http_rt_link_grow(&link->in, NGX_HTTP_RT_LINK_READ)
            != NGX_OK)
        {
            ngx_http_rt_link_fail(link);
            return;
        }

        n = c->recv(c, link->in.last, link->in.end - link->in.last);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_rt_link_complain(link, NGX_LOG_WARN, 0,
                              (link->state == NGX_HTTP_RT_LINK_S_HELLO)
                              ? "realtime_worker \"%V\" closed the link "
                                "without a hello"
                              : "realtime_worker \"%V\" closed the link",
                              NULL);
            ngx_http_rt_link_fail(link);
            return;
        }

        link->in.last += n;
        link->heard = ngx_current_msec;

        if (ngx_http_rt_link_input(link) != NGX_OK) {
            ngx_http_rt_link_fail(link);
            return;
        }
    }

    ngx_http_rt_link_confirm(link);

    if (turn == NGX_HTTP_RT_LINK_TURN) {
        ngx_post_event(rev, &ngx_posted_next_events);
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_rt_link_fail(link);
    }
}


static ngx_int_t
ngx_http_rt_link_input(ngx_http_rt_link_t *link)
{
    int                      rc;
    rt_wire_frame_t          f;
    ngx_http_rt_link_buf_t  *b;

    b = &link->in;

    for ( ;; ) {
        rc = rt_wire_parse(&f, b->pos, b->last - b->pos, RT_WIRE_FRAME_MAX);

        if (rc == RT_WIRE_AGAIN) {
            break;
        }

        if (rc == RT_WIRE_ERROR) {
            ngx_http_rt_link_complain(link, NGX_LOG_ERR, 0,
                              "realtime_worker \"%V\" sent a bad frame: %s",
                              f.error);
            return NGX_ERROR;
        }

        if (ngx_http_rt_link_take(link, &f) != NGX_OK) {
            return NGX_ERROR;
        }

        b->pos += f.size;
    }

    ngx_http_rt_link_compact(b);

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_link_take(ngx_http_rt_link_t *link, const rt_wire_frame_t *f)
{
    ngx_uint_t  greeted;

    greeted = (link->state != NGX_HTTP_RT_LINK_S_HELLO);

    if (greeted == (f->type == RT_WIRE_HELLO)) {
        ngx_http_rt_link_complain(link, NGX_LOG_ERR, 0,
                            "realtime_worker \"%V\" sent \"%s\" out of turn",
                            rt_wire_type_name(f->type));
        return NGX_ERROR;
    }

    switch (f->type) {

    case RT_WIRE_HELLO:
        return ngx_http_rt_link_greeted(link, f);

    case RT_WIRE_REPLY:
    case RT_WIRE_EVENT:
    case RT_WIRE_PONG:
        ngx_http_rt_link_answer(link, f);
        break;

    case RT_WIRE_PUBLISH:
    case RT_WIRE_NOTICE:
        return ngx_http_rt_link_publication(link, f);

    case RT_WIRE_AUDIENCE:
        return ngx_http_rt_link_audience(link, f);

    case RT_WIRE_PING:
        ngx_http_rt_link_pong(link, f);
        break;

    case RT_WIRE_CLOSE:
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "realtime_worker \"%V\" is going", &link->name);
        link->state = NGX_HTTP_RT_LINK_S_CLOSING;
        ngx_http_rt_link_tally(link);
        break;

    default:
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "realtime_worker \"%V\" sent \"%s\", which is not its",
                      &link->name, rt_wire_type_name(f->type));
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_link_greeted(ngx_http_rt_link_t *link, const rt_wire_frame_t *f)
{
    ngx_http_rt_zone_t   *zone;
    ngx_http_rt_place_t   place;

    zone = link->zone;

    place.epoch = rt_wire_number(f, RT_WIRE_F_EPOCH);
    place.position = rt_wire_number(f, RT_WIRE_F_POSITION);
    place.index = rt_wire_number(f, RT_WIRE_F_INDEX);

    if (place.epoch == 0
        || rt_wire_number(f, RT_WIRE_F_PROTOCOL) == 0
        || rt_wire_number(f, RT_WIRE_F_INFLIGHT) == 0
        || rt_wire_number(f, RT_WIRE_F_FRAME_MAX) < RT_WIRE_FRAME_MAX_MIN)
    {
        ngx_http_rt_link_complain(link, NGX_LOG_ERR, 0,
                            "realtime_worker \"%V\" said an impossible hello",
                            NULL);
        return NGX_ERROR;
    }

    ngx_http_rt_zone_source_set(zone, link->peer, &place);

    link->place.epoch = place.epoch;
    link->frame_max = rt_wire_number(f, RT_WIRE_F_FRAME_MAX);
    link->inflight = rt_wire_number(f, RT_WIRE_F_INFLIGHT);

    if (link->failures) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "realtime_worker \"%V\" is back", &link->name);
    }

    link->failures = 0;
    link->connection->log = ngx_cycle->log;
    link->connection->read->log = ngx_cycle->log;
    link->connection->write->log = ngx_cycle->log;
    link->state = NGX_HTTP_RT_LINK_S_UP;
    ngx_http_rt_link_tally(link);

    ngx_add_timer(&link->timer, NGX_HTTP_RT_LINK_PING);

    return NGX_OK;
}


static void
ngx_http_rt_link_answer(ngx_http_rt_link_t *link, const rt_wire_frame_t *f)
{
    ngx_uint_t           id;
    ngx_http_rt_call_t  *call;
    ngx_rbtree_node_t   *node;

    id = f->id & ~NGX_HTTP_RT_LINK_PONG;

    if (f->type == RT_WIRE_REPLY && (id & 1) == 0 && link->owed) {
        link->owed--;
        ngx_http_rt_link_tally(link);
    }

    node = link->calls.root;

    while (node != &link->sentinel && node->key != id) {
        node = (id < node->key) ? node->left : node->right;
    }

    if (node == &link->sentinel) {
        return;
    }

    call = (ngx_http_rt_call_t *) node;

    if (f->type == RT_WIRE_REPLY) {
        ngx_http_rt_link_forget(call);

    } else if (call->type != RT_WIRE_SUBSCRIBE) {
        return;
    }

    call->handler(call, f, 0);
}


/* NGX_ERROR: the daemon has to send it again, to another connection */

static ngx_int_t
ngx_http_rt_link_publication(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f)
{
    ngx_int_t                rc;
    const char              *reason;
    rt_wire_str_t            s;
    ngx_http_rt_append_t     a;
    ngx_http_rt_message_t    m;

    ngx_memzero(&m, sizeof(ngx_http_rt_message_t));

    s = rt_wire_string(f, RT_WIRE_F_TOPIC);
    m.topic = s.data;
    m.topic_len = s.len;

    s = rt_wire_string(f, RT_WIRE_F_EVENT);
    m.event = s.data;
    m.event_len = s.len;

    s = rt_wire_string(f, RT_WIRE_F_TYPE);
    m.type = s.data;
    m.type_len = s.len;

    s = rt_wire_string(f, RT_WIRE_F_BODY);
    m.data = s.data;
    m.data_len = s.len;

    if (f->type == RT_WIRE_PUBLISH) {
        link->place.position = rt_wire_number(f, RT_WIRE_F_POSITION);
        link->place.index = rt_wire_number(f, RT_WIRE_F_INDEX);
        link->confirm = 1;
    }

    reason = ngx_http_rt_topic_check(m.topic, m.topic_len);

    if (reason == NULL
        && ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, m.data, m.data_len)
           != NGX_HTTP_RT_UTF8_ACCEPT)
    {
        reason = "data is not valid UTF-8";
    }

    if (reason == NULL) {
        ngx_memzero(&a, sizeof(ngx_http_rt_append_t));

        a.messages = &m;
        a.n = 1;
        a.place = (f->type == RT_WIRE_PUBLISH) ? &link->place : NULL;

        rc = ngx_http_rt_zone_append_now(link->zone, &a);

        if (rc == NGX_HTTP_RT_TOPIC_LARGE) {
            reason = "it is too large";

        } else if (rc == NGX_HTTP_RT_TOPIC_FULL) {
            reason = "no room for the topic";

        } else if (rc == NGX_HTTP_RT_TOPIC_BUSY
                   && f->type == RT_WIRE_PUBLISH)
        {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "publication of realtime_worker \"%V\" must wait, "
                          "the ring is busy", &link->name);
            return NGX_ERROR;

        } else if (rc == NGX_HTTP_RT_TOPIC_BUSY) {
            reason = "the ring is busy";
        }
    }

    if (reason) {

        if (link->zone->slot) {
            link->zone->slot->refused++;
        }

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "publication of realtime_worker \"%V\" to \"%*s\" "
                      "was refused: %s", &link->name, (size_t) m.topic_len,
                      m.topic, reason);
    }

    return NGX_OK;
}


/* how many subscribe to each topic; the mutex is held for one at a time */

static ngx_int_t
ngx_http_rt_link_audience(ngx_http_rt_link_t *link, const rt_wire_frame_t *f)
{
    u_char              *p, *start;
    uint64_t             n;
    ngx_uint_t           i;
    rt_wire_str_t        body;
    const u_char        *topic, *end, *last;
    ngx_http_rt_name_t   name;
    u_char               numbers[RT_WIRE_AUDIENCE_MAX * RT_WIRE_WATCHERS_SIZE];

    body = rt_wire_string(f, RT_WIRE_F_BODY);
    last = body.data + body.len;

    for (topic = body.data, i = 0; topic <= last; topic = end + 1, i++) {

        end = ngx_strlchr((u_char *) topic, (u_char *) last, '\n');
        if (end == NULL) {
            end = last;
        }

        if (i == RT_WIRE_AUDIENCE_MAX) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "realtime_worker \"%V\" asked for too many topics",
                          &link->name);
            return NGX_ERROR;
        }

        n = 0;

        if (ngx_http_rt_topic_check(topic, end - topic) == NULL) {
            ngx_http_rt_zone_name_set(link->zone, &name, topic, end - topic,
                                      0);
            n = ngx_http_rt_zone_watchers(link->zone, &name);
        }

        (void) rt_wire_put_watchers(&numbers[i * RT_WIRE_WATCHERS_SIZE], n);
    }

    start = ngx_http_rt_link_reserve(link, RT_WIRE_HEADER_SIZE
                                           + RT_WIRE_FIELD_SIZE
                                           + i * RT_WIRE_WATCHERS_SIZE);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = rt_wire_begin(start, RT_WIRE_WATCHERS, 0, f->id);
    p = rt_wire_put_string(p, RT_WIRE_F_BODY, numbers,
                           i * RT_WIRE_WATCHERS_SIZE);
    rt_wire_end(start, p);

    ngx_http_rt_link_add(link, p);

    return NGX_OK;
}


static void
ngx_http_rt_link_pong(ngx_http_rt_link_t *link, const rt_wire_frame_t *f)
{
    u_char         *p, *start;
    rt_wire_str_t   body;

    body = rt_wire_string(f, RT_WIRE_F_BODY);

    start = ngx_http_rt_link_reserve(link, RT_WIRE_HEADER_SIZE
                                           + RT_WIRE_FIELD_SIZE + body.len);
    if (start == NULL) {
        return;
    }

    p = rt_wire_begin(start, RT_WIRE_PONG, 0, f->id);

    if (body.len) {
        p = rt_wire_put_string(p, RT_WIRE_F_BODY, body.data, body.len);
    }

    rt_wire_end(start, p);

    ngx_http_rt_link_add(link, p);
}


/* everything up to the last that was read */

static void
ngx_http_rt_link_confirm(ngx_http_rt_link_t *link)
{
    u_char  *p, *start;

    if (!link->confirm) {
        return;
    }

    start = ngx_http_rt_link_reserve(link, RT_WIRE_HEADER_SIZE
                                           + 2 * RT_WIRE_NUMBER_SIZE);
    if (start == NULL) {
        return;
    }

    link->confirm = 0;

    p = rt_wire_begin(start, RT_WIRE_CONFIRM, 0, 0);
    p = rt_wire_put_number(p, RT_WIRE_F_POSITION, link->place.position);
    p = rt_wire_put_number(p, RT_WIRE_F_INDEX, link->place.index);
    rt_wire_end(start, p);

    ngx_http_rt_link_add(link, p);
}


/*
 * nginx numbers connections of all processes; with the zone's epoch a number is
 * not used again after a restart either.  0: no memory.
 */

uint64_t
ngx_http_rt_link_client(ngx_http_request_t *r, ngx_http_rt_link_t *link)
{
    ngx_pool_t                 *pool;
    ngx_pool_cleanup_t         *cln;
    ngx_http_rt_link_client_t  *client;

    pool = r->connection->pool;

    for (cln = pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_rt_link_gone) {
            break;
        }
    }

    if (cln == NULL) {
        cln = ngx_pool_cleanup_add(pool, sizeof(ngx_http_rt_link_client_t));
        if (cln == NULL) {
            return 0;
        }

        client = cln->data;
        client->id = link->zone->epoch << 40
                     | (r->connection->number & 0xffffffffff);
        client->links = 0;

        cln->handler = ngx_http_rt_link_gone;
    }

    client = cln->data;
    client->links |= (uint64_t) 1 << link->number;

    return client->id;
}


static void
ngx_http_rt_link_gone(void *data)
{
    ngx_http_rt_link_client_t *client = data;

    ngx_uint_t                i, n;
    ngx_http_rt_link_t       *link;
    ngx_http_rt_worker_t    **workers;
    ngx_http_rt_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_realtime_module);
    workers = mcf->workers.elts;

    for (i = 0; i < mcf->workers.nelts; i++) {
        link = workers[i]->links.elts;

        for (n = 0; n < workers[i]->links.nelts; n++) {

            if (client->links & (uint64_t) 1 << link[n].number) {
                (void) ngx_http_rt_link_tell(&link[n], RT_WIRE_GONE, 0,
                                             RT_WIRE_F_CONNECTION, client->id);
            }
        }
    }
}
