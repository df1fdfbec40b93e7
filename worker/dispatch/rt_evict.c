/*
 * Eviction: the state of an entity that is idle goes, and its next use replays
 * its events.  Where old segments are dropped nothing is evicted, and what was
 * evicted before comes back.
 */


#include "rt_dispatch_private.h"


#define RT_EVICT_A_TURN    1000             /* entities looked at */
#define RT_UNEVICT_A_TURN  10


static rt_entity_t *
rt_evict_next(rt_dispatch_t *d)
{
    return d->entities.list[d->evict_next++ % d->entities.n];
}


static void
rt_evict_some(rt_dispatch_t *d)
{
    uint64_t      first;
    rt_uint_t     n;
    rt_entity_t  *e;

    first = rt_journal_first(&d->journal);

    for (n = 0; d->entities.n && n < RT_EVICT_A_TURN; n++) {
        e = rt_evict_next(d);

        if (e->state && e->due_ms == 0 && e->subscriptions == NULL
            && e->user == NULL && e->reads == 0
            && (e->clock == NULL || e->clock->due_ms == 0)
            && e->first_addr >= first && e->last_seq <= d->journal.durable_seq
            && (e->clock == NULL || !e->clock->listed)
            && e->used_ms + d->conf.idle_ms < d->clock_ms)
        {
            e->engine->destroy(e->state);
            e->state = NULL;
            free(e->clock);
            e->clock = NULL;
            d->stats.evicted++;
        }
    }
}


/* its events shall be dropped, and for that its state is needed */

static void
rt_unevict_some(rt_dispatch_t *d)
{
    rt_uint_t     n, reloaded;
    rt_entity_t  *e;

    reloaded = 0;

    for (n = 0; d->entities.n && n < RT_EVICT_A_TURN
                && reloaded < RT_UNEVICT_A_TURN; n++)
    {
        e = rt_evict_next(d);

        if (e->state == NULL && !e->damaged) {
            (void) rt_dispatch_load(d, e);
            reloaded++;
        }
    }
}


void
rt_dispatch_evict(rt_dispatch_t *d)
{
    /* what is evicted is read from the journal: that must be kept */

    if (d->conf.retain_bytes) {
        rt_unevict_some(d);

    } else if (d->conf.idle_ms) {
        rt_evict_some(d);
    }
}
