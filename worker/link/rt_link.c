/*
 * Listening, connections, frames; rt_link.h says how the buffers move.
 *
 * Nothing is freed while events are being handled: a connection that ends is
 * marked dead and goes at the end of the turn.
 */


#define _GNU_SOURCE                         /* struct ucred, accept4() */

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "rt_link.h"
#include "rt_log.h"


#define RT_LINK_BACKLOG     511
#define RT_LINK_BIND_TRIES  20              /* 10 ms apart */
#define RT_LINK_KEEP        (256 * 1024)    /* a buffer keeps this when empty */


static void rt_link_accept(rt_poll_t *ev, uint32_t events);
static void rt_link_journal(rt_poll_t *ev, uint32_t events);
static void rt_conn_event(rt_poll_t *ev, uint32_t events);
static void rt_conn_frames(rt_conn_t *c);


/* listening */

static rt_int_t
rt_link_unix(rt_link_t *l, const char *path)
{
    int                  fd, probe, rc, err, tries;
    mode_t               mask;
    struct group        *gr;
    struct sockaddr_un   sun;

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;

    if (strlen(path) >= sizeof(sun.sun_path)) {
        rt_log(RT_LOG_EMERG, 0, "socket path \"%s\" is too long", path);
        return RT_ERROR;
    }

    strcpy(sun.sun_path, path);

    /* a socket nobody listens on is a leftover */

    for (tries = 0; /* void */ ; tries++) {

        probe = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0);
        rc = connect(probe, (struct sockaddr *) &sun, sizeof(sun));
        err = errno;
        close(probe);

        if (rc == -1) {
            break;
        }

        /* by a predecessor that was killed and is not quite gone? */

        if (tries == RT_LINK_BIND_TRIES) {
            rt_log(RT_LOG_EMERG, EADDRINUSE, "bind() to \"%s\" failed", path);
            return RT_ERROR;
        }

        usleep(10000);
    }

    if (err == ECONNREFUSED) {
        unlink(path);
    }

    fd = socket(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (fd == -1) {
        rt_log(RT_LOG_EMERG, errno, "socket() failed");
        return RT_ERROR;
    }

    mask = umask(0777 & ~l->conf.mode);

    if (bind(fd, (struct sockaddr *) &sun, sizeof(sun)) == -1) {
        umask(mask);
        rt_log(RT_LOG_EMERG, errno, "bind() to \"%s\" failed", path);
        close(fd);
        return RT_ERROR;
    }

    umask(mask);

    if (l->conf.group) {
        gr = getgrnam(l->conf.group);

        if (gr == NULL || chown(path, (uid_t) -1, gr->gr_gid) == -1) {
            rt_log(RT_LOG_EMERG, errno, "chown() \"%s\" to group \"%s\" failed",
                   path, l->conf.group);
            close(fd);
            return RT_ERROR;
        }
    }

    return fd;
}


static rt_int_t
rt_link_inet(const char *address)
{
    int                  fd, on;
    char                 host[64];
    unsigned             port;
    struct sockaddr_in   sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    on = 1;

    if (sscanf(address, "%63[0-9.]:%u", host, &port) != 2 || port > 65535
        || inet_pton(AF_INET, host, &sin.sin_addr) != 1)
    {
        rt_log(RT_LOG_EMERG, 0, "\"%s\" is neither unix:path nor address:port",
               address);
        return RT_ERROR;
    }

    sin.sin_port = htons((in_port_t) port);

    fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (fd == -1
        || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1
        || bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1)
    {
        rt_log(RT_LOG_EMERG, errno, "bind() to %s failed", address);

        if (fd != -1) {
            close(fd);
        }

        return RT_ERROR;
    }

    return fd;
}


rt_int_t
rt_link_listen(rt_link_t *l, const rt_link_conf_t *conf)
{
    rt_int_t  fd;

    memset(l, 0, sizeof(rt_link_t));
    l->conf = *conf;
    l->listening.fd = -1;

    fd = strncmp(conf->listen, "unix:", 5) == 0
         ? rt_link_unix(l, conf->listen + 5) : rt_link_inet(conf->listen);

    if (fd == RT_ERROR) {
        return RT_ERROR;
    }

    if (listen((int) fd, RT_LINK_BACKLOG) == -1) {
        rt_log(RT_LOG_EMERG, errno, "listen() failed");
        close((int) fd);
        return RT_ERROR;
    }

    l->listening.fd = (int) fd;
    l->listening.handler = rt_link_accept;
    l->listening.data = l;

    return RT_OK;
}


static void
rt_link_woken(rt_timer_t *t)
{
    (void) t;                               /* the end of the turn does it */
}


rt_int_t
rt_link_start(rt_link_t *l, rt_dispatch_t *d)
{
    l->dispatch = d;
    l->live_timer.handler = rt_link_woken;

    if (rt_publish_load(l) != RT_OK) {
        return RT_ERROR;
    }

    l->journal.fd = d->journal.event_fd;
    l->journal.handler = rt_link_journal;
    l->journal.data = l;

    if (rt_poll_add(&l->journal, EPOLLIN) != RT_OK
        || rt_poll_add(&l->listening, EPOLLIN) != RT_OK)
    {
        return RT_ERROR;
    }

    return RT_OK;
}


/* connections */

static void
rt_conn_kill(rt_conn_t *c)
{
    if (c->dead) {
        return;
    }

    c->dead = 1;
    rt_timer_delete(&c->timer);
    rt_poll_delete(&c->poll);
    close(c->fd);
    c->fd = -1;

    rt_publish_detach(c);
}


/* whoever closes a connection says why: here, or where a call has failed */

static void
rt_conn_end(rt_conn_t *c, const char *why)
{
    rt_log(RT_LOG_INFO, 0, "peer %d %s", (int) c->pid, why);
    rt_conn_kill(c);
}


static void
rt_conn_no_hello(rt_timer_t *t)
{
    rt_conn_end(t->data, "said no hello");
}


static rt_int_t
rt_link_check_peer(rt_link_t *l, int fd, struct ucred *cred)
{
    rt_uint_t  i;
    socklen_t  len;

    cred->pid = 0;
    cred->uid = (uid_t) -1;
    len = sizeof(struct ucred);

    if (strncmp(l->conf.listen, "unix:", 5) != 0) {
        return RT_OK;
    }

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, cred, &len) == -1) {
        rt_log(RT_LOG_ALERT, errno, "getsockopt(SO_PEERCRED) failed");
        return RT_ERROR;
    }

    if (l->conf.npeers == 0 || cred->uid == geteuid() || cred->uid == 0) {
        return RT_OK;
    }

    for (i = 0; i < l->conf.npeers; i++) {
        if (l->conf.peers[i] == cred->uid) {
            return RT_OK;
        }
    }

    return RT_DECLINED;
}


static void
rt_link_accept(rt_poll_t *ev, uint32_t events)
{
    int            fd, on;
    rt_link_t     *l;
    rt_conn_t     *c;
    struct ucred   cred;

    (void) events;

    l = ev->data;
    on = 1;

    fd = accept4(ev->fd, NULL, NULL, SOCK_NONBLOCK|SOCK_CLOEXEC);

    if (fd == -1) {
        if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
            rt_log(RT_LOG_CRIT, errno, "accept4() failed");
        }

        return;
    }

    if (rt_link_check_peer(l, fd, &cred) != RT_OK) {
        rt_log(RT_LOG_INFO, 0, "peer %d of user %d is not allowed",
               (int) cred.pid, (int) cred.uid);
        l->stats.refused++;
        close(fd);
        return;
    }

    if (l->nconns == RT_LINK_CONNECTIONS) {
        rt_log(RT_LOG_INFO, 0, "too many connections");
        l->stats.refused++;
        close(fd);
        return;
    }

    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    c = rt_calloc(sizeof(rt_conn_t));

    c->link = l;
    c->fd = fd;
    c->pid = cred.pid;
    c->uid = cred.uid;
    c->frame_max = RT_WIRE_FRAME_MAX;
    c->poll.fd = fd;
    c->poll.handler = rt_conn_event;
    c->poll.data = c;
    c->timer.handler = rt_conn_no_hello;
    c->timer.data = c;
    c->marks = rt_malloc(RT_LINK_INFLIGHT * sizeof(rt_mark_t));

    c->next = l->conns;
    c->prev = &l->conns;

    if (c->next) {
        c->next->prev = &c->next;
    }

    l->conns = c;
    l->nconns++;
    l->stats.accepted++;

    rt_timer_set(&c->timer, RT_LINK_HELLO_MS);

    if (rt_poll_add(&c->poll, EPOLLIN|EPOLLRDHUP) != RT_OK) {
        c->dead = 1;
        close(fd);
        rt_timer_delete(&c->timer);
    }
}


static void
rt_conn_free(rt_conn_t *c)
{
    *c->prev = c->next;

    if (c->next) {
        c->next->prev = c->prev;
    }

    c->link->nconns--;

    rt_buf_free(&c->in);
    rt_buf_free(&c->out);
    rt_buf_free(&c->held);
    free(c->marks);
    free(c);
}


/* output */

static void
rt_conn_mark_dirty(rt_conn_t *c)
{
    if (!c->dirty) {
        c->dirty = 1;
        c->dirty_next = c->link->dirty;
        c->link->dirty = c;
    }
}


static void
rt_buf_compact(rt_buf_t *b)
{
    size_t  n;

    n = rt_buf_size(b);

    if (n == 0) {
        rt_buf_reset(b);

        if (b->end - b->start > RT_LINK_KEEP) {
            rt_buf_free(b);
        }

    } else if (b->pos - b->start > (ptrdiff_t) n) {
        memmove(b->start, b->pos, n);
        b->pos = b->start;
        b->last = b->start + n;
    }
}


u_char *
rt_link_reserve(rt_conn_t *c, size_t size)
{
    rt_conn_mark_dirty(c);

    return rt_buf_reserve(&c->out, size);
}


void
rt_link_reply(rt_conn_t *c, uint64_t id, const rt_answer_t *a)
{
    size_t      size;
    u_char     *p, *start;
    rt_buf_t   *b;
    rt_mark_t  *m;

    if (c->dead) {
        return;
    }

    size = RT_WIRE_HEADER_SIZE + 3 * RT_WIRE_NUMBER_SIZE + RT_WIRE_FIELD_SIZE
           + a->body.len;

    if (size > c->frame_max) {
        rt_link_refuse(c, id, 500, "too_large",
                       "the answer is larger than a frame");
        return;
    }

    b = &c->out;
    m = NULL;

    if (a->needs_seq > c->link->dispatch->journal.durable_seq) {
        b = &c->held;
        m = &c->marks[c->mark_next++ % RT_LINK_INFLIGHT];
    }

    start = rt_buf_reserve(b, size);

    p = rt_wire_begin(start, RT_WIRE_REPLY, a->repeated ? RT_WIRE_REPEATED : 0,
                      id);
    p = rt_wire_put_number(p, RT_WIRE_F_STATUS, a->status);

    if (a->has_version) {
        p = rt_wire_put_number(p, RT_WIRE_F_VERSION, a->version);
    }

    if (a->retry) {
        p = rt_wire_put_number(p, RT_WIRE_F_RETRY, a->retry);
    }

    p = rt_wire_put_string(p, RT_WIRE_F_BODY, a->body.data, a->body.len);
    rt_wire_end(start, p);
    b->last = p;

    if (m) {
        m->seq = a->needs_seq;
        m->size = (size_t) (p - start);
        return;
    }

    rt_conn_mark_dirty(c);
}


void
rt_link_refuse(rt_conn_t *c, uint64_t id, rt_uint_t status, const char *code,
    const char *message)
{
    rt_answer_t  a;

    memset(&a, 0, sizeof(rt_answer_t));

    rt_buf_reset(&c->link->scratch);
    rt_json_error(&c->link->scratch, code, message);

    a.status = status;
    a.retry = status == 503;
    a.body = rt_buf_str(&c->link->scratch);

    rt_link_reply(c, id, &a);
}


/* what the journal has now may go */

static void
rt_conn_release(rt_conn_t *c)
{
    size_t      size;
    uint64_t    durable;
    rt_mark_t  *m;

    size = 0;
    durable = c->link->dispatch->journal.durable_seq;

    /* marks need not ascend: a repeated answer needs less than its neighbour */

    while (c->mark_first != c->mark_next) {
        m = &c->marks[c->mark_first % RT_LINK_INFLIGHT];

        if (m->seq > durable) {
            break;
        }

        size += m->size;
        c->mark_first++;
    }

    if (size) {
        rt_buf_put(&c->out, c->held.pos, size);
        c->held.pos += size;
        rt_buf_compact(&c->held);
        rt_conn_mark_dirty(c);
    }
}


static void
rt_conn_write(rt_conn_t *c)
{
    ssize_t   n;
    uint32_t  events;

    while (rt_buf_size(&c->out)) {
        n = send(c->fd, c->out.pos, rt_buf_size(&c->out), MSG_NOSIGNAL);

        if (n == -1) {
            if (errno == EINTR) {
                continue;
            }

            if (errno == EAGAIN) {
                break;
            }

            rt_log(RT_LOG_INFO, errno, "send() to peer %d failed",
                   (int) c->pid);
            rt_conn_kill(c);
            return;
        }

        c->out.pos += n;
    }

    rt_buf_compact(&c->out);

    events = EPOLLRDHUP;

    if (rt_buf_size(&c->out)) {
        events |= EPOLLOUT;
    }

    if (!c->blocked && !c->full && !c->closing) {
        events |= EPOLLIN;
    }

    if (rt_poll_change(&c->poll, events) != RT_OK) {
        rt_conn_kill(c);
    }
}


/* input */

static void
rt_conn_bad(rt_conn_t *c, const char *what)
{
    rt_log(RT_LOG_INFO, 0, "peer %d sent a bad frame: %s", (int) c->pid, what);

    c->link->stats.bad_frames++;
    rt_conn_kill(c);
}


static void
rt_conn_hello(rt_conn_t *c, const rt_wire_frame_t *f)
{
    u_char     *p, *start;
    uint64_t    position, index;
    rt_link_t  *l;

    static const char  program[] = "realtimed/" RT_VERSION;

    l = c->link;

    c->hello = 1;
    c->protocol = rt_min(rt_wire_number(f, RT_WIRE_F_PROTOCOL),
                         RT_WIRE_PROTOCOL);
    c->frame_max = rt_min(rt_wire_number(f, RT_WIRE_F_FRAME_MAX),
                          RT_WIRE_FRAME_MAX);

    rt_timer_delete(&c->timer);
    rt_publish_hello(c, f);

    position = 0;
    index = 0;

    if (c->sink) {
        position = c->sink->position;
        index = c->sink->index;
    }

    start = rt_link_reserve(c, 512);

    p = rt_wire_begin(start, RT_WIRE_HELLO, 0, 0);
    p = rt_wire_put_number(p, RT_WIRE_F_PROTOCOL, RT_WIRE_PROTOCOL);
    p = rt_wire_put_number(p, RT_WIRE_F_FRAME_MAX, RT_WIRE_FRAME_MAX);
    p = rt_wire_put_number(p, RT_WIRE_F_INFLIGHT, RT_LINK_INFLIGHT);
    p = rt_wire_put_number(p, RT_WIRE_F_PID, (uint64_t) getpid());
    p = rt_wire_put_number(p, RT_WIRE_F_EPOCH, l->dispatch->journal.epoch);
    p = rt_wire_put_number(p, RT_WIRE_F_POSITION, position);
    p = rt_wire_put_number(p, RT_WIRE_F_INDEX, index);
    p = rt_wire_put_string(p, RT_WIRE_F_PROGRAM, program, sizeof(program) - 1);
    rt_wire_end(start, p);

    c->out.last = p;
}


static rt_str_t
rt_conn_string(const rt_wire_frame_t *f, rt_wire_field_e tag)
{
    rt_str_t       s;
    rt_wire_str_t  w;

    w = rt_wire_string(f, tag);
    s.len = w.len;
    s.data = w.data;

    return s;
}


static rt_int_t
rt_conn_request(rt_conn_t *c, const rt_wire_frame_t *f)
{
    uint64_t       timeout;
    rt_int_t       rc;
    rt_answer_t    a;
    rt_request_t   rq;

    if (c->mark_next - c->mark_first >= RT_LINK_INFLIGHT - 1) {
        c->link->dispatch->stats.busy++;
        rt_link_refuse(c, f->id, 503, "busy", "too many requests wait");
        return RT_OK;
    }

    timeout = rt_wire_number(f, RT_WIRE_F_TIMEOUT);

    if (timeout && c->blocked_ms && rt_loop_now() - c->blocked_ms > timeout) {
        c->link->dispatch->stats.busy++;
        rt_link_refuse(c, f->id, 503, "busy", "it came too late to its turn");
        return RT_OK;
    }

    rq.query = f->type == RT_WIRE_QUERY;
    rq.engine = rt_conn_string(f, RT_WIRE_F_ENGINE);
    rq.entity = rt_conn_string(f, RT_WIRE_F_ENTITY);
    rq.name = rt_conn_string(f, RT_WIRE_F_NAME);
    rq.body = rt_conn_string(f, RT_WIRE_F_BODY);
    rq.args = rt_conn_string(f, RT_WIRE_F_ARGS);
    rq.key = rt_conn_string(f, RT_WIRE_F_KEY);
    rq.user = rt_conn_string(f, RT_WIRE_F_USER);
    rq.connection = rt_wire_number(f, RT_WIRE_F_CONNECTION);
    rq.link = c;
    rq.has_expect = rt_wire_has(f, RT_WIRE_F_EXPECT);
    rq.expect = rt_wire_number(f, RT_WIRE_F_EXPECT);

    rc = rt_dispatch(c->link->dispatch, &rq, &a);

    if (rc == RT_OK) {
        rt_link_reply(c, f->id, &a);
    }

    return rc;
}


static void
rt_conn_status(rt_conn_t *c, uint64_t id)
{
    rt_buf_t     b;
    rt_answer_t  a;

    memset(&b, 0, sizeof(rt_buf_t));
    memset(&a, 0, sizeof(rt_answer_t));

    rt_link_status(c->link, &b);

    a.status = 200;
    a.body = rt_buf_str(&b);

    rt_link_reply(c, id, &a);
    rt_buf_free(&b);
}


static void
rt_conn_pong(rt_conn_t *c, const rt_wire_frame_t *f)
{
    u_char         *p, *start;
    rt_wire_str_t   body;

    body = rt_wire_string(f, RT_WIRE_F_BODY);

    start = rt_link_reserve(c, RT_WIRE_HEADER_SIZE + RT_WIRE_FIELD_SIZE
                               + body.len);

    p = rt_wire_begin(start, RT_WIRE_PONG, 0, f->id);
    p = rt_wire_put_string(p, RT_WIRE_F_BODY, body.data, body.len);
    rt_wire_end(start, p);

    c->out.last = p;
}


static void
rt_conn_snapshot(rt_conn_t *c, uint64_t id)
{
    if (c->snapshot_wanted
        || rt_dispatch_snapshot(c->link->dispatch) == RT_ERROR)
    {
        rt_link_refuse(c, id, 503, "busy", "a snapshot cannot be made now");
        return;
    }

    if (!rt_dispatch_snapshot_pending(c->link->dispatch)) {
        rt_link_refuse(c, id, 409, "empty", "the journal is empty");
        return;
    }

    c->snapshot_wanted = 1;
    c->snapshot_id = id;
}


void
rt_link_snapshot_done(rt_link_t *l, rt_uint_t ok)
{
    rt_conn_t    *c;
    rt_answer_t   a;

    for (c = l->conns; c; c = c->next) {

        if (c->dead || !c->snapshot_wanted) {
            continue;
        }

        c->snapshot_wanted = 0;

        if (!ok) {
            rt_link_refuse(c, c->snapshot_id, 500, "failed",
                           "the snapshot could not be written");
            continue;
        }

        memset(&a, 0, sizeof(rt_answer_t));
        rt_buf_reset(&l->scratch);
        rt_buf_printf(&l->scratch, "{\"seq\":%llu}",
                      (unsigned long long) l->dispatch->snapshot_seq);
        a.status = 200;
        a.body = rt_buf_str(&l->scratch);
        rt_link_reply(c, c->snapshot_id, &a);
    }
}


static rt_int_t
rt_conn_frame(rt_conn_t *c, const rt_wire_frame_t *f)
{
    c->link->stats.frames++;

    if (c->hello == (f->type == RT_WIRE_HELLO)) {
        rt_conn_bad(c, c->hello ? "a second hello" : "no hello");
        return RT_OK;
    }

    switch (f->type) {

    case RT_WIRE_HELLO:
        rt_conn_hello(c, f);
        break;

    case RT_WIRE_COMMAND:
    case RT_WIRE_QUERY:
        return rt_conn_request(c, f);

    case RT_WIRE_CONFIRM:
        rt_publish_confirm(c, f);
        break;

    case RT_WIRE_SUBSCRIBE:
        rt_publish_subscribe(c, f);
        break;

    case RT_WIRE_UNSUBSCRIBE:
        rt_publish_unsubscribe(c, f->id);
        break;

    case RT_WIRE_GONE:
        rt_publish_gone(c, rt_wire_number(f, RT_WIRE_F_CONNECTION));
        break;

    case RT_WIRE_STATUS:
        rt_conn_status(c, f->id);
        break;

    case RT_WIRE_SNAPSHOT:
        rt_conn_snapshot(c, f->id);
        break;

    case RT_WIRE_WATCHERS:
        if (rt_live_answer(c, f) != RT_OK) {
            rt_conn_bad(c, "numbers of another audience");
        }

        break;

    case RT_WIRE_PING:
        rt_conn_pong(c, f);
        break;

    case RT_WIRE_PONG:
        break;

    default:
        rt_conn_bad(c, "a frame that only realtimed sends");
    }

    return RT_OK;
}


/* its answers are not taken, or wait for the disk */

static rt_uint_t
rt_conn_is_full(const rt_conn_t *c)
{
    return rt_buf_size(&c->out) + rt_buf_size(&c->held) >= RT_LINK_OUT_MAX;
}


static void
rt_conn_frames(rt_conn_t *c)
{
    rt_int_t         rc;
    rt_wire_frame_t  f;

    c->full = 0;

    while (!c->dead && !c->closing) {

        if (rt_conn_is_full(c)) {
            c->full = 1;
            rt_conn_mark_dirty(c);
            return;
        }

        rc = rt_wire_parse(&f, c->in.pos, rt_buf_size(&c->in),
                           RT_WIRE_FRAME_MAX);

        if (rc == RT_WIRE_AGAIN) {
            break;
        }

        if (rc == RT_WIRE_ERROR) {
            rt_conn_bad(c, f.error);
            return;
        }

        if (rt_conn_frame(c, &f) == RT_AGAIN) {

            /* the frame stays, and is looked at again when there is room */

            if (!c->blocked) {
                c->blocked = 1;
                c->blocked_ms = rt_max(rt_loop_now(), 1);
            }

            rt_conn_mark_dirty(c);
            return;
        }

        c->in.pos += f.size;
    }

    c->blocked = 0;
    c->blocked_ms = 0;

    rt_buf_compact(&c->in);
}


static void
rt_conn_read(rt_conn_t *c)
{
    ssize_t  n;

    rt_buf_compact(&c->in);
    rt_buf_reserve(&c->in, RT_LINK_READ);

    n = recv(c->fd, c->in.last, RT_LINK_READ, 0);

    if (n > 0) {
        c->in.last += n;
        rt_conn_frames(c);
        return;
    }

    if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }

    if (n == -1) {
        rt_log(RT_LOG_INFO, errno, "recv() from peer %d failed", (int) c->pid);
        rt_conn_kill(c);
        return;
    }

    rt_conn_end(c, "closed its connection");
}


static void
rt_conn_event(rt_poll_t *ev, uint32_t events)
{
    rt_conn_t  *c;

    c = ev->data;

    if (c->dead) {
        return;
    }

    rt_dispatch_turn(c->link->dispatch);

    if (events & (EPOLLERR|EPOLLHUP)) {
        rt_conn_end(c, "is gone");
        return;
    }

    if (events & EPOLLOUT) {
        rt_conn_write(c);
    }

    if (!c->dead && events & EPOLLIN) {
        rt_conn_read(c);
        return;
    }

    /* half closed, and not being read: it will take no answers for long */

    if (!c->dead && events & EPOLLRDHUP) {
        rt_conn_end(c, "closed its half while it was not read from");
    }
}


/* the journal has synced, or failed, or goes on */

static void
rt_link_journal(rt_poll_t *ev, uint32_t events)
{
    rt_link_t  *l;
    rt_conn_t  *c;

    (void) events;

    l = ev->data;

    rt_journal_notified(&l->dispatch->journal);

    for (c = l->conns; c; c = c->next) {
        if (!c->dead) {
            rt_conn_release(c);
        }
    }
}


static void
rt_link_unblock(rt_link_t *l)
{
    rt_conn_t  *c;

    for (c = l->conns; c; c = c->next) {
        if (!c->dead && (c->blocked || (c->full && !rt_conn_is_full(c)))) {
            rt_conn_frames(c);

            if (!c->blocked && !c->full) {
                rt_conn_mark_dirty(c);
            }
        }
    }
}


void
rt_link_flush(rt_link_t *l)
{
    rt_conn_t  *c, *next;

    rt_link_unblock(l);
    rt_publish_serve(l);

    while (l->dirty) {
        c = l->dirty;
        l->dirty = c->dirty_next;
        c->dirty = 0;

        if (!c->dead) {
            rt_conn_write(c);
        }
    }

    for (c = l->conns; c; c = next) {
        next = c->next;

        if (c->dead) {
            rt_conn_free(c);
        }
    }
}


void
rt_link_stop(rt_link_t *l)
{
    u_char     *p, *start;
    rt_conn_t  *c;

    static const char  reason[] = "realtimed is stopping";

    l->stopping = 1;
    rt_poll_delete(&l->listening);

    for (c = l->conns; c; c = c->next) {

        if (c->dead) {
            continue;
        }

        c->closing = 1;

        start = rt_link_reserve(c, 64);
        p = rt_wire_begin(start, RT_WIRE_CLOSE, 0, 0);
        p = rt_wire_put_string(p, RT_WIRE_F_REASON, reason, sizeof(reason) - 1);
        rt_wire_end(start, p);
        c->out.last = p;
    }
}


rt_uint_t
rt_link_idle(const rt_link_t *l)
{
    rt_conn_t  *c;

    for (c = l->conns; c; c = c->next) {
        if (!c->dead && (rt_buf_size(&c->out) || rt_buf_size(&c->held))) {
            return 0;
        }
    }

    return 1;
}


void
rt_link_close(rt_link_t *l)
{
    rt_uint_t   i;
    rt_conn_t  *c;

    for (c = l->conns; c; c = c->next) {
        rt_conn_kill(c);
    }

    while (l->conns) {
        rt_conn_free(l->conns);
    }

    for (i = 0; i < l->nsinks; i++) {
        free(l->sinks[i].window);
        rt_buf_free(&l->sinks[i].live.held);
    }

    rt_buf_free(&l->message.topic);
    rt_buf_free(&l->message.body);
    rt_buf_free(&l->scratch);

    close(l->listening.fd);

    if (strncmp(l->conf.listen, "unix:", 5) == 0) {
        unlink(l->conf.listen + 5);
    }
}


void
rt_link_status(rt_link_t *l, rt_buf_t *b)
{
    rt_uint_t         i;
    rt_sink_t        *s;
    rt_link_stats_t  *st;

    st = &l->stats;

    rt_buf_printf(b, "{\"version\":\"%s\",\"pid\":%d,", RT_VERSION,
                  (int) getpid());
    rt_dispatch_status(l->dispatch, b);

    rt_buf_printf(b, ",\"link\":{\"connections\":%zu,\"accepted\":%llu,"
                  "\"refused\":%llu,\"bad_frames\":%llu,\"frames\":%llu,"
                  "\"published\":%llu,\"confirmed\":%llu,"
                  "\"unpublished\":%llu,\"events_sent\":%llu,"
                  "\"gones\":%llu,\"audiences\":%llu,\"notices\":%llu},"
                  "\"zones\":{",
                  (size_t) l->nconns, (unsigned long long) st->accepted,
                  (unsigned long long) st->refused,
                  (unsigned long long) st->bad_frames,
                  (unsigned long long) st->frames,
                  (unsigned long long) st->published,
                  (unsigned long long) st->confirmed,
                  (unsigned long long) st->unpublished,
                  (unsigned long long) st->events_sent,
                  (unsigned long long) st->gones,
                  (unsigned long long) st->audiences,
                  (unsigned long long) st->notices);

    for (i = 0; i < l->nsinks; i++) {
        s = &l->sinks[i];

        if (i) {
            rt_buf_literal(b, ",");
        }

        rt_json_string(b, (rt_str_t) { s->name_len, s->name });
        rt_buf_printf(b, ":{\"position\":%llu,\"unconfirmed\":%u,"
                      "\"publisher\":%d}", (unsigned long long) s->position,
                      s->window_next - s->window_first,
                      s->publisher ? (int) s->publisher->pid : 0);
    }

    rt_buf_literal(b, "}}");
}
