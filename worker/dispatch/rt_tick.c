/*
 * Work that no command asks for: ticks that are due, clocks of live messages,
 * and the end of clients' connections, of which engines are told.
 */


#include "rt_dispatch_private.h"


#define RT_TICKS_AT_ONCE   64               /* of one entity, late or not */
#define RT_TICKS_A_TURN    10000            /* of all, clocks included */
#define RT_TICK_RETRY_MS   100              /* the disk was not ready */
#define RT_GONE_A_TURN     1000             /* connections engines hear of */


/* connections that are closed; returns ms until it goes on, 0: all are told */

static uint64_t
rt_tick_gone(rt_dispatch_t *d)
{
    rt_int_t      rc;
    rt_uint_t     n;
    rt_input_t    in;
    rt_visit_t   *v;
    rt_entity_t  *e;

    for (n = 0; n < RT_GONE_A_TURN; n++) {

        v = rt_visits_next(&d->visits);

        if (v == NULL) {
            return 0;
        }

        e = v->entity;

        rc = rt_dispatch_load(d, e);

        if (rc == RT_DECLINED || (rc != RT_OK && !e->damaged)) {
            return RT_TICK_RETRY_MS;        /* or earlier: it rings */
        }

        if (rc != RT_OK) {
            rt_visits_told(&d->visits, v);  /* unreadable: nobody to tell */
            continue;
        }

        if (d->journal.failing) {
            return RT_TICK_RETRY_MS;
        }

        rc = rt_tick_run(d, e);

        if (rc != RT_OK) {
            return rc == RT_DECLINED ? 1 : RT_TICK_RETRY_MS;
        }

        rt_dispatch_input(d, &in, rt_entity_name(e), "gone", e->version);
        in.user = rt_visit_user(v);
        in.connection = v->connection;
        in.gone = 1;

        rt_dispatch_reset(&d->out);
        e->engine->decide(e->state, &in, &d->out);

        if (rt_commit(d, e->engine, &e, in.entity, in.time_ms, NULL) != RT_OK)
        {
            return RT_TICK_RETRY_MS;
        }

        rt_visits_told(&d->visits, v);
        d->stats.gone++;
    }

    return rt_visits_next(&d->visits) ? 1 : 0;
}


rt_int_t
rt_tick_run(rt_dispatch_t *d, rt_entity_t *e)
{
    rt_int_t    rc;
    rt_uint_t   n;
    rt_input_t  in;

    for (n = 0; e->due_ms && e->due_ms <= d->clock_ms; n++) {

        if (d->journal.failing) {
            return RT_AGAIN;
        }

        if (n == RT_TICKS_AT_ONCE) {
            return RT_DECLINED;
        }

        rt_dispatch_input(d, &in, rt_entity_name(e), "tick", e->version);
        in.tick = 1;

        d->stats.late_ms_max = rt_max(d->stats.late_ms_max,
                                      d->clock_ms - e->due_ms);

        rt_dispatch_reset(&d->out);
        e->engine->decide(e->state, &in, &d->out);

        /* a tick that changes nothing would be due for ever */

        rt_assert(d->out.n != 0);

        rc = rt_commit(d, e->engine, &e, in.entity, in.time_ms, NULL);

        if (rc != RT_OK) {
            return rc;
        }

        d->stats.ticks++;
    }

    return RT_OK;
}


/* into the list of those whose watchers are to be counted */

static void
rt_tick_clock(rt_dispatch_t *d, rt_entity_t *e)
{
    uint64_t     last, due;
    rt_clock_t  *c;

    c = e->clock;

    if (c == NULL || c->due_ms == 0 || c->due_ms > d->clock_ms) {
        return;
    }

    if (!c->listed) {
        c->listed = 1;
        c->next = NULL;
        *d->clocks_last = e;
        d->clocks_last = &c->next;
    }

    /* what a late one has missed is left out */

    last = c->due_ms;
    due = e->engine->clock(e->state, last);

    if (due && due <= d->clock_ms) {
        last = d->clock_ms;
        due = e->engine->clock(e->state, last);
    }

    rt_assert(due == 0 || due > d->clock_ms);
    rt_entity_set_clock(&d->entities, e, due, last);
}


rt_entity_t *
rt_dispatch_clock_next(rt_dispatch_t *d)
{
    rt_entity_t  *e;

    e = d->clocks;

    if (e == NULL) {
        return NULL;
    }

    e->clock->listed = 0;
    d->clocks = e->clock->next;

    if (d->clocks == NULL) {
        d->clocks_last = &d->clocks;
    }

    return e;
}


rt_uint_t
rt_dispatch_clock_waits(const rt_dispatch_t *d)
{
    return d->clocks != NULL;
}


uint64_t
rt_dispatch_tick(rt_dispatch_t *d, uint64_t max)
{
    uint64_t      ms, until;
    rt_int_t      rc;
    rt_uint_t     n;
    rt_entity_t  *e;

    until = d->stats.ticks + RT_TICKS_A_TURN;
    rt_reads_turn(d);

    ms = rt_tick_gone(d);

    if (ms) {
        max = rt_min(ms, max);
    }

    for (n = 0; /* void */ ; n++) {
        e = rt_entity_first(&d->entities);

        if (e == NULL) {
            return max;
        }

        if (rt_entity_at(e) > d->clock_ms) {
            return rt_min(rt_entity_at(e) - d->clock_ms, max);
        }

        if (n == RT_TICKS_A_TURN || d->stats.ticks >= until) {
            return 1;
        }

        if (e->leave_ms && e->leave_ms <= d->clock_ms) {
            rt_end_run(d, e);
            continue;
        }

        rt_assert(e->state);                /* not evicted while it is due */
        e->used_ms = d->clock_ms;

        rt_tick_clock(d, e);

        rc = rt_tick_run(d, e);

        if (rc != RT_OK && rc != RT_DECLINED) {
            return rt_min(RT_TICK_RETRY_MS, max);
        }
    }
}
