/*
 * A connection: its buffers, reading frames and writing answers.
 *
 * Nothing is freed while events are handled: a connection that ends is marked
 * dead and is freed at the end of the turn.
 */


#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rt_link_private.h"
#include "rt_log.h"


#define RT_LINK_KEEP  (256 * 1024)          /* a buffer keeps this when empty */
#define RT_LINK_FRAMES_LOOK  8              /* between two looks at the time */


static void rt_conn_event(rt_poll_t *ev, uint32_t events);


void
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

    rt_conn_detach(c);
}


/* the reason of a close is logged here, or where a call has failed */

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


void
rt_conn_open(rt_link_t *l, int fd, pid_t pid)
{
    rt_conn_t  *c;

    c = rt_calloc(sizeof(rt_conn_t));

    c->link = l;
    c->fd = fd;
    c->pid = pid;
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

    c->heard_ms = rt_loop_now();
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


void
rt_conn_free(rt_conn_t *c)
{
    *c->prev = c->next;

    if (c->next) {
        c->next->prev = c->prev;
    }

    if (c->link->serve_next == c) {
        c->link->serve_next = c->next;
    }

    c->link->nconns--;

    rt_buf_free(&c->in);
    rt_buf_free(&c->out);
    rt_buf_free(&c->held);
    free(c->marks);
    free(c);
}


/* what others know of the connection is undone */

void
rt_conn_detach(rt_conn_t *c)
{
    rt_dispatch_link_gone(c->link->dispatch, c);
    rt_subscription_close_all(c);
    rt_zone_detach(c);
}


void
rt_conn_mark_dirty(rt_conn_t *c)
{
    if (!c->dirty) {
        c->dirty = 1;
        c->dirty_next = c->link->dirty;
        c->link->dirty = c;
    }
}


static void
rt_conn_compact(rt_buf_t *b)
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
rt_conn_reserve(rt_conn_t *c, size_t size)
{
    rt_conn_mark_dirty(c);

    return rt_buf_reserve(&c->out, size);
}


void
rt_conn_reply(rt_conn_t *c, uint64_t id, const rt_answer_t *a)
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
        rt_conn_refuse(c, id, 500, "too_large",
                       "the answer is larger than a frame");
        return;
    }

    b = &c->out;
    m = NULL;

    if (a->needs_seq > c->link->journal->durable_seq) {
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
rt_conn_refuse(rt_conn_t *c, uint64_t id, rt_uint_t status, const char *code,
    const char *message)
{
    rt_answer_t  a;

    memset(&a, 0, sizeof(rt_answer_t));

    rt_buf_reset(&c->link->scratch);
    rt_json_error(&c->link->scratch, code, message);

    a.status = status;
    a.retry = status == 503;
    a.body = rt_buf_str(&c->link->scratch);

    rt_conn_reply(c, id, &a);
}


/* what the journal has now may go */

void
rt_conn_release(rt_conn_t *c)
{
    size_t      size;
    uint64_t    durable;
    rt_mark_t  *m;

    size = 0;
    durable = c->link->journal->durable_seq;

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
        rt_conn_compact(&c->held);
        rt_conn_mark_dirty(c);
    }
}


void
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

    rt_conn_compact(&c->out);

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


void
rt_conn_bad(rt_conn_t *c, const char *what)
{
    rt_log(RT_LOG_INFO, 0, "peer %d sent a bad frame: %s", (int) c->pid, what);

    c->link->stats.bad_frames++;
    rt_conn_kill(c);
}


/* the peer does not take its answers, or wait for the disk */

rt_uint_t
rt_conn_is_full(const rt_conn_t *c)
{
    return rt_buf_size(&c->out) + rt_buf_size(&c->held) >= RT_LINK_OUT_MAX;
}


/* what others send must not wait for all that one has sent */

static uint64_t
rt_conn_time(rt_conn_t *c)
{
    uint64_t    now;
    rt_link_t  *l;

    l = c->link;
    now = rt_time_us();

    if (l->turn_us == 0) {
        l->turn_us = now;
    }

    return rt_min(now + RT_LINK_FRAMES_US, l->turn_us + RT_LINK_FRAMES_ALL_US);
}


void
rt_conn_frames(rt_conn_t *c)
{
    rt_int_t         rc;
    uint64_t         end_us;
    rt_uint_t        n;
    rt_wire_frame_t  f;

    c->full = 0;
    c->more = 0;
    end_us = rt_conn_time(c);

    for (n = 1; !c->dead && !c->closing; n++) {

        if (n % RT_LINK_FRAMES_LOOK == 0 && rt_time_us() > end_us) {
            c->more = 1;
            c->more_turn = c->link->turn;
            c->link->stats.deferred++;
            rt_loop_again();
            return;
        }

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

        if (rt_request(c, &f) == RT_AGAIN) {

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

    rt_conn_compact(&c->in);
}


static void
rt_conn_read(rt_conn_t *c)
{
    ssize_t  n;

    if (c->more) {
        return;                             /* these come first */
    }

    rt_conn_compact(&c->in);
    rt_buf_reserve(&c->in, RT_LINK_READ);

    n = recv(c->fd, c->in.last, RT_LINK_READ, 0);

    if (n > 0) {
        c->in.last += n;
        c->heard_ms = rt_loop_now();
        c->silent = 0;
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
