/*
 * One turn: wait, call the handlers of what is ready, then the timers that
 * are due, then the "before sleep" hooks, in which everything that gathered
 * during the turn (journal batches, replies, dead connections) is dealt with
 * once.
 */


#include <sys/epoll.h>
#include <unistd.h>

#include "rt_log.h"
#include "rt_loop.h"


#define RT_LOOP_EVENTS_MAX  256             /* taken from epoll at once */


typedef struct {
    rt_before_sleep_pt   handler;
    void                *data;
} rt_loop_hook_t;


static int              rt_loop_epoll = -1;
static uint64_t         rt_loop_ms;
static rt_uint_t        rt_loop_stopped;
static rt_uint_t        rt_loop_hurry;

static rt_heap_t        rt_loop_timers;

static rt_uint_t        rt_loop_nhooks;
static rt_loop_hook_t   rt_loop_hooks[RT_LOOP_HOOKS_MAX];


uint64_t
rt_loop_now(void)
{
    return rt_loop_ms;
}


rt_int_t
rt_loop_init(void)
{
    rt_loop_epoll = epoll_create1(EPOLL_CLOEXEC);

    if (rt_loop_epoll == -1) {
        rt_log(RT_LOG_EMERG, errno, "epoll_create1() failed");
        return RT_ERROR;
    }

    rt_loop_ms = rt_time_us() / 1000;
    rt_loop_stopped = 0;
    rt_loop_nhooks = 0;

    return RT_OK;
}


void
rt_loop_done(void)
{
    close(rt_loop_epoll);
    rt_loop_epoll = -1;

    rt_heap_free(&rt_loop_timers);
}


static rt_int_t
rt_poll_ctl(rt_poll_t *ev, int op, uint32_t events)
{
    struct epoll_event  ee;

    ee.events = events;
    ee.data.ptr = ev;
    ev->events = events;

    if (epoll_ctl(rt_loop_epoll, op, ev->fd, &ee) == -1) {
        rt_log(RT_LOG_ALERT, errno, "epoll_ctl(%d, %d) failed", op, ev->fd);
        return RT_ERROR;
    }

    return RT_OK;
}


rt_int_t
rt_poll_add(rt_poll_t *ev, uint32_t events)
{
    return rt_poll_ctl(ev, EPOLL_CTL_ADD, events);
}


rt_int_t
rt_poll_change(rt_poll_t *ev, uint32_t events)
{
    if (ev->events == events) {
        return RT_OK;
    }

    return rt_poll_ctl(ev, EPOLL_CTL_MOD, events);
}


void
rt_poll_delete(rt_poll_t *ev)
{
    (void) rt_poll_ctl(ev, EPOLL_CTL_DEL, 0);
}


void
rt_timer_set(rt_timer_t *t, uint64_t after_ms)
{
    rt_heap_set(&rt_loop_timers, &t->node, rt_loop_ms + after_ms);
}


void
rt_timer_delete(rt_timer_t *t)
{
    rt_heap_delete(&rt_loop_timers, &t->node);
}


void
rt_loop_before_sleep(rt_before_sleep_pt handler, void *data)
{
    rt_assert(rt_loop_nhooks < RT_LOOP_HOOKS_MAX);

    rt_loop_hooks[rt_loop_nhooks].handler = handler;
    rt_loop_hooks[rt_loop_nhooks++].data = data;
}


void
rt_loop_again(void)
{
    rt_loop_hurry = 1;
}


void
rt_loop_stop(void)
{
    rt_loop_stopped = 1;
}


static int
rt_loop_timeout(void)
{
    rt_heap_node_t  *first;

    if (rt_loop_hurry) {
        return 0;
    }

    first = rt_heap_top(&rt_loop_timers);

    if (first == NULL) {
        return -1;
    }

    return first->at <= rt_loop_ms ? 0
           : (int) rt_min(first->at - rt_loop_ms, 60000);
}


static void
rt_loop_expire(void)
{
    rt_timer_t      *t;
    rt_heap_node_t  *first;

    for ( ;; ) {
        first = rt_heap_top(&rt_loop_timers);

        if (first == NULL || first->at > rt_loop_ms) {
            return;
        }

        t = rt_item(first, rt_timer_t, node);
        rt_timer_delete(t);
        t->handler(t);
    }
}


void
rt_loop_run(void)
{
    int                  i, n, timeout;
    rt_uint_t            k;
    rt_poll_t           *ev;
    struct epoll_event   list[RT_LOOP_EVENTS_MAX];

    while (!rt_loop_stopped) {

        timeout = rt_loop_timeout();
        rt_loop_hurry = 0;

        n = epoll_wait(rt_loop_epoll, list, RT_LOOP_EVENTS_MAX, timeout);

        if (n == -1) {
            if (errno != EINTR) {
                rt_log(RT_LOG_ALERT, errno, "epoll_wait() failed");
                return;
            }

            n = 0;
        }

        rt_loop_ms = rt_time_us() / 1000;

        for (i = 0; i < n; i++) {
            ev = list[i].data.ptr;
            ev->handler(ev, list[i].events);
        }

        rt_loop_expire();

        for (k = 0; k < rt_loop_nhooks; k++) {
            rt_loop_hooks[k].handler(rt_loop_hooks[k].data);
        }
    }
}
