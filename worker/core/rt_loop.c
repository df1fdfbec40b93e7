/*
 * One turn: wait, call the handlers of what is ready, then the timers that
 * are due, then the "before sleep" hooks, in which everything that gathered
 * during the turn (journal batches, replies, dead connections) is dealt with
 * once.  Timers are a binary heap by time.
 */


#include <sys/epoll.h>
#include <time.h>
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

static rt_timer_t     **rt_loop_timers;     /* from 1 */
static size_t           rt_loop_ntimers;
static size_t           rt_loop_timers_max;

static rt_uint_t        rt_loop_nhooks;
static rt_loop_hook_t   rt_loop_hooks[RT_LOOP_HOOKS_MAX];


uint64_t
rt_time_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


uint64_t
rt_time_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


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

    free(rt_loop_timers);
    rt_loop_timers = NULL;
    rt_loop_ntimers = 0;
    rt_loop_timers_max = 0;
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


static void
rt_timer_place(rt_timer_t *t, size_t i)
{
    rt_loop_timers[i] = t;
    t->place = i;
}


static void
rt_timer_sift(rt_timer_t *t, size_t i)
{
    size_t  k;

    while (i > 1 && t->at_ms < rt_loop_timers[i / 2]->at_ms) {
        rt_timer_place(rt_loop_timers[i / 2], i);
        i /= 2;
    }

    for ( ;; ) {
        k = i * 2;

        if (k > rt_loop_ntimers) {
            break;
        }

        if (k < rt_loop_ntimers
            && rt_loop_timers[k + 1]->at_ms < rt_loop_timers[k]->at_ms)
        {
            k++;
        }

        if (t->at_ms <= rt_loop_timers[k]->at_ms) {
            break;
        }

        rt_timer_place(rt_loop_timers[k], i);
        i = k;
    }

    rt_timer_place(t, i);
}


void
rt_timer_set(rt_timer_t *t, uint64_t after_ms)
{
    t->at_ms = rt_loop_ms + after_ms;

    if (t->place == 0) {

        if (rt_loop_ntimers + 2 > rt_loop_timers_max) {
            rt_loop_timers_max = rt_max(rt_loop_timers_max * 2, 64);
            rt_loop_timers = rt_realloc(rt_loop_timers,
                                        rt_loop_timers_max * sizeof(void *));
        }

        t->place = ++rt_loop_ntimers;
    }

    rt_timer_sift(t, t->place);
}


void
rt_timer_delete(rt_timer_t *t)
{
    size_t       i;
    rt_timer_t  *last;

    i = t->place;

    if (i == 0) {
        return;
    }

    t->place = 0;
    last = rt_loop_timers[rt_loop_ntimers--];

    if (last != t) {
        rt_timer_sift(last, i);
    }
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
    uint64_t  at;

    if (rt_loop_hurry) {
        return 0;
    }

    if (rt_loop_ntimers == 0) {
        return -1;
    }

    at = rt_loop_timers[1]->at_ms;

    return at <= rt_loop_ms ? 0 : (int) rt_min(at - rt_loop_ms, 60000);
}


static void
rt_loop_expire(void)
{
    rt_timer_t  *t;

    while (rt_loop_ntimers && rt_loop_timers[1]->at_ms <= rt_loop_ms) {
        t = rt_loop_timers[1];
        rt_timer_delete(t);
        t->handler(t);
    }
}


void
rt_loop_run(void)
{
    int                  i, n, timeout;
    rt_uint_t            k;
    rt_poll_t          *ev;
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
