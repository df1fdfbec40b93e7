/*
 * Frames that came in: each type is a request to dispatch, a zone, a
 * subscription or the link itself.
 */


#include "rt_link_private.h"


/* by how much the peer's clock is another one */

static void
rt_request_skew(rt_conn_t *c, const rt_wire_frame_t *f)
{
    int64_t  ms;

    if (rt_wire_has(f, RT_WIRE_F_SENT)) {
        ms = (int64_t) (rt_time_us() / 1000
                        - rt_wire_number(f, RT_WIRE_F_SENT));

        c->skew_ms = ms < RT_LINK_SKEW_MS && ms > -RT_LINK_SKEW_MS
                     ? 0 : (uint64_t) ms;
    }
}


/* how long it has waited, wherever that was */

static uint64_t
rt_request_age(const rt_conn_t *c, const rt_wire_frame_t *f)
{
    int64_t  ms, blocked;

    blocked = c->blocked_ms ? (int64_t) (rt_loop_now() - c->blocked_ms) : 0;

    if (!c->local || !rt_wire_has(f, RT_WIRE_F_SENT)) {
        return (uint64_t) blocked;
    }

    ms = (int64_t) (rt_time_us() / 1000 - c->skew_ms
                    - rt_wire_number(f, RT_WIRE_F_SENT));

    return (uint64_t) rt_max(ms, blocked);
}


/* of its timeout, once it has been checked; 0: it has none */

static uint64_t
rt_request_left(const rt_conn_t *c, const rt_wire_frame_t *f)
{
    uint64_t  timeout;

    timeout = rt_wire_number(f, RT_WIRE_F_TIMEOUT);

    return timeout ? timeout - rt_min(rt_request_age(c, f), timeout - 1) : 0;
}


static u_char *
rt_request_put_clock(const rt_conn_t *c, u_char *p)
{
    const rt_time_t  *t;

    t = rt_dispatch_time(c->link->dispatch);

    p = rt_wire_put_number(p, RT_WIRE_F_OFFSET,
                           (uint64_t) (t->offset_us / 1000));
    p = rt_wire_put_number(p, RT_WIRE_F_HELD, t->held);
    p = rt_wire_put_number(p, RT_WIRE_F_STEPS, t->steps);

    return rt_wire_put_number(p, RT_WIRE_F_REFUSED, t->refused);
}


static void
rt_request_hello(rt_conn_t *c, const rt_wire_frame_t *f)
{
    u_char     *p, *start;
    uint64_t    position, index;
    rt_link_t  *l;

    l = c->link;

    c->hello = 1;
    c->protocol = rt_min(rt_wire_number(f, RT_WIRE_F_PROTOCOL),
                         RT_WIRE_PROTOCOL);
    c->frame_max = rt_min(rt_wire_number(f, RT_WIRE_F_FRAME_MAX),
                          RT_WIRE_FRAME_MAX);

    c->local = strncmp(c->link->conf.listen, "unix:", 5) == 0;
    rt_request_skew(c, f);

    rt_timer_delete(&c->timer);
    rt_zone_hello(c, f);

    position = 0;
    index = 0;

    if (c->zone) {
        position = c->zone->position;
        index = c->zone->index;
    }

    start = rt_conn_reserve(c, 512);

    p = rt_wire_begin(start, RT_WIRE_HELLO, 0, 0);
    p = rt_wire_put_number(p, RT_WIRE_F_PROTOCOL, RT_WIRE_PROTOCOL);
    p = rt_wire_put_number(p, RT_WIRE_F_FRAME_MAX, RT_WIRE_FRAME_MAX);
    p = rt_wire_put_number(p, RT_WIRE_F_INFLIGHT, RT_LINK_INFLIGHT);
    p = rt_wire_put_number(p, RT_WIRE_F_EPOCH, l->journal->epoch);
    p = rt_wire_put_number(p, RT_WIRE_F_POSITION, position);
    p = rt_wire_put_number(p, RT_WIRE_F_INDEX, index);
    p = rt_request_put_clock(c, p);
    rt_wire_end(start, p);

    c->out.last = p;
}


rt_str_t
rt_request_string(const rt_wire_frame_t *f, rt_wire_field_e tag)
{
    rt_str_t       s;
    rt_wire_str_t  w;

    w = rt_wire_string(f, tag);
    s.len = w.len;
    s.data = w.data;

    return s;
}


/* RT_DECLINED: it is refused */

static rt_int_t
rt_request_check(rt_conn_t *c, const rt_wire_frame_t *f)
{
    uint64_t  timeout;

    rt_assert(c->mark_next - c->mark_first < RT_LINK_INFLIGHT);

    if (c->mark_next - c->mark_first + c->waiting >= RT_LINK_INFLIGHT - 1) {
        rt_conn_refuse(c, f->id, 503, "busy", "too many requests wait");
        return RT_DECLINED;
    }

    timeout = rt_wire_number(f, RT_WIRE_F_TIMEOUT);

    if (timeout && rt_request_age(c, f) >= timeout) {
        rt_conn_refuse(c, f->id, 503, "busy", "it came too late to its turn");
        return RT_DECLINED;
    }

    return RT_OK;
}


static rt_int_t
rt_request_dispatch(rt_conn_t *c, const rt_wire_frame_t *f)
{
    rt_int_t       rc;
    rt_answer_t    a;
    rt_request_t   rq;

    if (rt_request_check(c, f) != RT_OK) {
        rt_dispatch_count_busy(c->link->dispatch);
        return RT_OK;
    }

    rq.query = f->type == RT_WIRE_QUERY;
    rq.engine = rt_request_string(f, RT_WIRE_F_ENGINE);
    rq.entity = rt_request_string(f, RT_WIRE_F_ENTITY);
    rq.name = rt_request_string(f, RT_WIRE_F_NAME);
    rq.body = rt_request_string(f, RT_WIRE_F_BODY);
    rq.args = rt_request_string(f, RT_WIRE_F_ARGS);
    rq.key = rt_request_string(f, RT_WIRE_F_KEY);
    rq.user = rt_request_string(f, RT_WIRE_F_USER);
    rq.connection = rt_wire_number(f, RT_WIRE_F_CONNECTION);
    rq.link = c;
    rq.id = f->id;
    rq.timeout_ms = rt_request_left(c, f);
    rq.has_expect = rt_wire_has(f, RT_WIRE_F_EXPECT);
    rq.expect = rt_wire_number(f, RT_WIRE_F_EXPECT);
    rq.expect_too = rt_request_string(f, RT_WIRE_F_EXPECT_TOO);

    rc = rt_dispatch(c->link->dispatch, &rq, &a);

    if (rc == RT_OK) {
        rt_conn_reply(c, f->id, &a);

    } else if (rc == RT_DECLINED) {
        c->waiting++;                       /* rt_request_answered() */
        return RT_OK;
    }

    return rc;
}


void
rt_request_answered(const rt_request_t *rq, const rt_answer_t *a)
{
    rt_conn_t  *c;

    c = (rt_conn_t *) rq->link;

    rt_assert(c->waiting != 0);

    c->waiting--;
    rt_conn_reply(c, rq->id, a);
}


static void
rt_request_status(rt_conn_t *c, uint64_t id)
{
    rt_buf_t     b;
    rt_answer_t  a;

    memset(&b, 0, sizeof(rt_buf_t));
    memset(&a, 0, sizeof(rt_answer_t));

    rt_link_status(c->link, &b);

    a.status = 200;
    a.body = rt_buf_str(&b);

    rt_conn_reply(c, id, &a);
    rt_buf_free(&b);
}


static void
rt_request_accept_time(rt_conn_t *c, uint64_t id)
{
    uint64_t      ms;
    rt_buf_t     *b;
    rt_answer_t   a;

    b = &c->link->scratch;
    ms = rt_dispatch_accept_time(c->link->dispatch);

    rt_buf_reset(b);
    rt_buf_printf(b, "{\"time\":%llu,\"step_ms\":%llu}",
                  (unsigned long long) rt_dispatch_now(c->link->dispatch),
                  (unsigned long long) ms);

    memset(&a, 0, sizeof(rt_answer_t));
    a.status = 200;
    a.body = rt_buf_str(b);

    rt_conn_reply(c, id, &a);
}


static void
rt_request_pong(rt_conn_t *c, const rt_wire_frame_t *f)
{
    u_char         *p, *start;
    rt_wire_str_t   body;

    body = rt_wire_string(f, RT_WIRE_F_BODY);

    start = rt_conn_reserve(c, RT_WIRE_HEADER_SIZE + 4 * RT_WIRE_NUMBER_SIZE
                               + RT_WIRE_FIELD_SIZE + body.len);

    p = rt_wire_begin(start, RT_WIRE_PONG, 0, f->id);
    p = rt_request_put_clock(c, p);
    p = rt_wire_put_string(p, RT_WIRE_F_BODY, body.data, body.len);
    rt_wire_end(start, p);

    c->out.last = p;
}


static void
rt_request_snapshot(rt_conn_t *c, uint64_t id)
{
    if (c->snapshot_wanted
        || rt_dispatch_snapshot(c->link->dispatch) == RT_ERROR)
    {
        rt_conn_refuse(c, id, 503, "busy", "a snapshot cannot be made now");
        return;
    }

    if (!rt_dispatch_snapshot_pending(c->link->dispatch)) {
        rt_conn_refuse(c, id, 409, "empty", "the journal is empty");
        return;
    }

    c->snapshot_wanted = 1;
    c->snapshot_id = id;
}


static void
rt_request_confirm(rt_conn_t *c, const rt_wire_frame_t *f)
{
    if (f->id == 0) {
        rt_zone_confirm(c, rt_wire_number(f, RT_WIRE_F_POSITION),
                        rt_wire_number(f, RT_WIRE_F_INDEX));
        return;
    }

    rt_subscription_confirm(c, f->id, rt_wire_number(f, RT_WIRE_F_VERSION));
}


static void
rt_request_gone(rt_conn_t *c, uint64_t connection)
{
    c->link->stats.gones++;

    rt_dispatch_gone(c->link->dispatch, c, connection);
    rt_subscription_gone(c, connection);
}


rt_int_t
rt_request(rt_conn_t *c, const rt_wire_frame_t *f)
{
    c->link->stats.frames++;

    if (c->hello == (f->type == RT_WIRE_HELLO)) {
        rt_conn_bad(c, c->hello ? "a second hello" : "no hello");
        return RT_OK;
    }

    switch (f->type) {

    case RT_WIRE_HELLO:
        rt_request_hello(c, f);
        break;

    case RT_WIRE_COMMAND:
    case RT_WIRE_QUERY:
        return rt_request_dispatch(c, f);

    case RT_WIRE_CONFIRM:
        rt_request_confirm(c, f);
        break;

    case RT_WIRE_SUBSCRIBE:
        rt_subscription_open(c, f);
        break;

    case RT_WIRE_UNSUBSCRIBE:
        rt_subscription_close(c, f->id);
        break;

    case RT_WIRE_GONE:
        rt_request_gone(c, rt_wire_number(f, RT_WIRE_F_CONNECTION));
        break;

    case RT_WIRE_STATUS:
        rt_request_status(c, f->id);
        break;

    case RT_WIRE_SNAPSHOT:
        rt_request_snapshot(c, f->id);
        break;

    case RT_WIRE_ACCEPT_TIME:
        rt_request_accept_time(c, f->id);
        break;

    case RT_WIRE_WATCHERS:
        if (rt_live_answer(c, f) != RT_OK) {
            rt_conn_bad(c, "numbers of another audience");
        }

        break;

    case RT_WIRE_PING:
        rt_request_skew(c, f);
        rt_request_pong(c, f);
        break;

    case RT_WIRE_PONG:
        break;

    default:
        rt_conn_bad(c, "a frame that only realtimed sends");
    }

    return RT_OK;
}
