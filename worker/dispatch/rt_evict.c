/*
 * Eviction: the state of an entity that is idle goes, and its next use replays
 * its events.  Where old segments are dropped nothing is evicted, and what was
 * evicted before comes back.
 */


#include "rt_dispatch_private.h"


#define RT_EVICT_A_TURN    1000             /* entities looked at */
#define RT_UNEVICT_A_TURN  10               /* of up to RT_EVICT_VERSIONS */


static void
rt_evict_some(rt_dispatch_t *d, rt_entities_t *t, size_t *next)
{
    uint64_t      first;
    rt_uint_t     n;
    rt_entity_t  *e;

    first = rt_journal_first(&d->journal);

    for (n = 0; t->n && n < RT_EVICT_A_TURN; n++) {
        e = t->list[(*next)++ % t->n];

        if (e->state && rt_entity_at(e) == 0 && e->subscriptions == NULL
            && e->user == NULL
            && e->version <= RT_EVICT_VERSIONS && e->first_addr >= first
            && e->last_seq <= d->journal.durable_seq
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
rt_unevict_some(rt_dispatch_t *d, rt_entities_t *t, size_t *next)
{
    rt_uint_t     n, reloaded;
    rt_entity_t  *e;

    reloaded = 0;

    for (n = 0; t->n && n < RT_EVICT_A_TURN && reloaded < RT_UNEVICT_A_TURN;
         n++)
    {
        e = t->list[(*next)++ % t->n];

        if (e->state == NULL && !e->damaged) {
            (void) rt_dispatch_entity(d, e->engine, rt_entity_name(e));
            reloaded++;
        }
    }
}


void
rt_dispatch_evict(rt_dispatch_t *d)
{
    /* what is evicted is replayed from its first event: that must be kept */

    if (d->conf.retain_bytes) {
        rt_unevict_some(d, &d->entities, &d->evict_next);
        rt_unevict_some(d, &d->projected, &d->evict_projected);
        return;
    }

    if (d->conf.idle_ms == 0) {
        return;
    }

    rt_evict_some(d, &d->entities, &d->evict_next);
    rt_evict_some(d, &d->projected, &d->evict_projected);
}
