/*
 * The link: the connection of this process to one daemon, from connect() to
 * its end.
 *
 *               timer            connect()          HELLO sent
 *     DOWN  ------------> CONNECTING ------> HELLO ------------> UP
 *       ^                      |               |   and received   |
 *       +----------------------+---------------+------------------+
 *          refused, closed, silent, a bad frame: each waiting call is answered
 *
 * The other files of the link: frames to the daemon (_output.c) and from it
 * (_input.c), calls that wait for an answer (_call.c), publications of the
 * daemon for the zone (_publication.c), and the ids of clients' connections
 * (_client.c).
 *
 * At the start of a process, and only then, calls may follow our HELLO before
 * the daemon's has come; a daemon that has been away is trusted again when its
 * HELLO has been read.
 */

#include "ngx_http_rt_link_private.h"


/* ms: for connect() and hello, between pings, and until it counts as dead */
#define NGX_HTTP_RT_LINK_TIMEOUT      5000
#define NGX_HTTP_RT_LINK_PING         5000
#define NGX_HTTP_RT_LINK_SILENCE      15000

/* ms: half of it for certain, half by chance */
#define NGX_HTTP_RT_LINK_BACKOFF      50
#define NGX_HTTP_RT_LINK_BACKOFF_MAX  1000

/* bytes of our HELLO, whose zone has at most RT_WIRE_ZONE_MAX */
#define NGX_HTTP_RT_LINK_HELLO        512

/* publications that the daemon may send ahead of our CONFIRM */
#define NGX_HTTP_RT_LINK_WINDOW       4096


static void ngx_http_rt_link_connect(ngx_http_rt_link_t *link);
static void ngx_http_rt_link_attach(ngx_http_rt_link_t *link,
    ngx_connection_t *c);
static void ngx_http_rt_link_connected(ngx_event_t *wev);
static void ngx_http_rt_link_hello(ngx_http_rt_link_t *link);
static u_char *ngx_http_rt_link_hello_frame(ngx_http_rt_link_t *link,
    u_char *start);
static void ngx_http_rt_link_up(ngx_http_rt_link_t *link);
static void ngx_http_rt_link_timer(ngx_event_t *ev);
static void ngx_http_rt_link_close(ngx_http_rt_link_t *link);


void
ngx_http_rt_link_init_process(ngx_http_rt_link_t *link, ngx_cycle_t *cycle)
{
    ngx_rbtree_init(&link->calls, &link->sentinel, ngx_rbtree_insert_value);

    link->timer.handler = ngx_http_rt_link_timer;
    link->timer.data = link;
    link->timer.log = cycle->log;
    link->timer.cancelable = 1;

    link->flush.handler = ngx_http_rt_link_output_flush;
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

    ngx_http_rt_link_attach(link, pc.connection);

    if (rc == NGX_OK) {
        ngx_http_rt_link_hello(link);
    }
}


/* it is closed by exit_process only, not when the process begins to quit */

static void
ngx_http_rt_link_attach(ngx_http_rt_link_t *link, ngx_connection_t *c)
{
    c->data = link;
    c->log = link->failures ? &link->quiet : ngx_cycle->log;
    c->read->log = c->log;
    c->read->channel = 1;
    c->read->handler = ngx_http_rt_link_input_read;
    c->write->log = c->log;
    c->write->channel = 1;
    c->write->handler = ngx_http_rt_link_connected;

    link->connection = c;
    link->state = NGX_HTTP_RT_LINK_S_CONNECTING;

    ngx_add_timer(&link->timer, NGX_HTTP_RT_LINK_TIMEOUT);
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
    u_char  *p, *start;

    link->connection->write->handler = ngx_http_rt_link_output_write;
    link->frame_max = RT_WIRE_FRAME_MAX;
    link->inflight = NGX_HTTP_RT_LINK_INFLIGHT;
    link->heard = ngx_current_msec;

    start = ngx_http_rt_link_output_reserve(link, NGX_HTTP_RT_LINK_HELLO);
    if (start == NULL) {
        ngx_http_rt_link_fail(link);
        return;
    }

    p = ngx_http_rt_link_hello_frame(link, start);

    ngx_http_rt_link_output_add(link, p);

    link->state = NGX_HTTP_RT_LINK_S_HELLO;
}


static u_char *
ngx_http_rt_link_hello_frame(ngx_http_rt_link_t *link, u_char *start)
{
    u_char               *p;
    ngx_http_rt_zone_t   *zone;
    ngx_http_rt_place_t   place;

    zone = link->zone;

    p = rt_wire_begin(start, RT_WIRE_HELLO, 0, 0);
    p = rt_wire_put_number(p, RT_WIRE_F_PROTOCOL, RT_WIRE_PROTOCOL);
    p = rt_wire_put_number(p, RT_WIRE_F_FRAME_MAX, RT_WIRE_FRAME_MAX);

    if (ngx_http_rt_link_publication_known(link, &place) == NGX_OK) {
        p = rt_wire_put_number(p, RT_WIRE_F_EPOCH, place.epoch);
        p = rt_wire_put_number(p, RT_WIRE_F_POSITION, place.position);
        p = rt_wire_put_number(p, RT_WIRE_F_INDEX, place.index);
    }

    p = rt_wire_put_number(p, RT_WIRE_F_ZONE_EPOCH, zone->epoch);
    p = rt_wire_put_number(p, RT_WIRE_F_WINDOW, NGX_HTTP_RT_LINK_WINDOW);
    p = rt_wire_put_number(p, RT_WIRE_F_SENT, ngx_current_msec);
    p = rt_wire_put_string(p, RT_WIRE_F_ZONE, zone->name.data,
                           zone->name.len);
    rt_wire_end(start, p);

    return p;
}


ngx_int_t
ngx_http_rt_link_greeted(ngx_http_rt_link_t *link, const rt_wire_frame_t *f)
{
    uint64_t             inflight;
    ngx_http_rt_place_t  place;

    place.epoch = rt_wire_number(f, RT_WIRE_F_EPOCH);
    place.position = rt_wire_number(f, RT_WIRE_F_POSITION);
    place.index = rt_wire_number(f, RT_WIRE_F_INDEX);

    inflight = rt_wire_number(f, RT_WIRE_F_INFLIGHT);

    if (place.epoch == 0
        || rt_wire_number(f, RT_WIRE_F_PROTOCOL) == 0
        || inflight == 0
        || rt_wire_number(f, RT_WIRE_F_FRAME_MAX) < RT_WIRE_FRAME_MAX_MIN)
    {
        ngx_http_rt_link_complain(link, NGX_LOG_ERR, 0,
                            "realtime_worker \"%V\" said an impossible hello",
                            NULL);
        return NGX_ERROR;
    }

    ngx_http_rt_link_publication_begin(link, &place);

    link->frame_max = rt_wire_number(f, RT_WIRE_F_FRAME_MAX);
    link->inflight = ngx_min(inflight, NGX_HTTP_RT_LINK_INFLIGHT_MAX);

    if (link->failures) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "realtime_worker \"%V\" is back", &link->name);
    }

    ngx_http_rt_link_up(link);

    return NGX_OK;
}


static void
ngx_http_rt_link_up(ngx_http_rt_link_t *link)
{
    link->failures = 0;
    link->connection->log = ngx_cycle->log;
    link->connection->read->log = ngx_cycle->log;
    link->connection->write->log = ngx_cycle->log;
    link->state = NGX_HTTP_RT_LINK_S_UP;

    ngx_http_rt_link_tally(link);

    ngx_add_timer(&link->timer, NGX_HTTP_RT_LINK_PING);
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

    /* the answer has the daemon's clock: it is wanted from a busy one, too */

    (void) ngx_http_rt_link_tell(link, RT_WIRE_PING, 0, RT_WIRE_F_SENT,
                                 ngx_current_msec);

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
    link->clock.known = 0;

    ngx_http_rt_link_tally(link);
}


void
ngx_http_rt_link_fail(ngx_http_rt_link_t *link)
{
    ngx_msec_t  delay;

    ngx_http_rt_link_close(link);

    delay = NGX_HTTP_RT_LINK_BACKOFF << ngx_min(link->failures, 8);
    delay = ngx_min(delay, NGX_HTTP_RT_LINK_BACKOFF_MAX);

    link->failures++;

    ngx_add_timer(&link->timer, delay / 2 + ngx_random() % (delay / 2 + 1));

    ngx_http_rt_link_call_end_all(link);
}


/* of what keeps it down, each reason is worth one line, not each attempt */

void
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


/* for those who ask another process */

void
ngx_http_rt_link_tally(ngx_http_rt_link_t *link)
{
    if (link->tally) {
        link->tally->up = (link->state == NGX_HTTP_RT_LINK_S_UP);
        link->tally->waiting = link->owed;
        link->tally->streams = link->nsubscriptions;
    }
}
