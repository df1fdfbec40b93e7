/*
 * The event loop: descriptors, timers, and hooks that run before each sleep.
 *
 * It is plain epoll.  Measured against libev and libuv on a Unix-socket echo
 * the three are within noise of each other, so a dependency gains nothing.
 * Descriptors are level-triggered.  An event of a connection may still be in
 * the batch when another handler closes it: so handlers mark what they close,
 * and it is freed in a "before sleep" hook.
 *
 * There is one loop in a process; its state is in rt_loop.c.
 */


#ifndef _RT_LOOP_H_INCLUDED_
#define _RT_LOOP_H_INCLUDED_


#include "rt_core.h"
#include "rt_heap.h"
#include "rt_time.h"


typedef struct rt_poll_s   rt_poll_t;
typedef struct rt_timer_s  rt_timer_t;

typedef void (*rt_poll_pt)(rt_poll_t *ev, uint32_t events);
typedef void (*rt_timer_pt)(rt_timer_t *t);
typedef void (*rt_before_sleep_pt)(void *data);


struct rt_poll_s {
    int           fd;
    uint32_t      events;           /* what epoll is asked for */
    rt_poll_pt    handler;
    void         *data;
};


struct rt_timer_s {
    rt_heap_node_t  node;           /* at: monotonic, ms */
    rt_timer_pt     handler;
    void           *data;
};


/* what "before sleep" hooks a program may have */
#define RT_LOOP_HOOKS_MAX  8


rt_int_t rt_loop_init(void);
void rt_loop_done(void);

rt_int_t rt_poll_add(rt_poll_t *ev, uint32_t events);
rt_int_t rt_poll_change(rt_poll_t *ev, uint32_t events);
void rt_poll_delete(rt_poll_t *ev);

void rt_timer_set(rt_timer_t *t, uint64_t after_ms);
void rt_timer_delete(rt_timer_t *t);

/* at that time of rt_loop_now() at the latest; 0: it is not set */
static inline uint64_t
rt_timer_at(const rt_timer_t *t)
{
    return t->node.place ? t->node.at : 0;
}

void rt_loop_before_sleep(rt_before_sleep_pt handler, void *data);
void rt_loop_again(void);           /* do not sleep in this turn */
void rt_loop_run(void);             /* until rt_loop_stop() */
void rt_loop_stop(void);

uint64_t rt_loop_now(void);         /* monotonic ms, of this turn */


#endif /* _RT_LOOP_H_INCLUDED_ */
