/*
 * The end of an entity.  When its engine says that nothing can happen to it any
 * more, it stays for a while (limits/ended), so that its state can be asked
 * for.  Then its subscriptions are closed, a record says so, and the entity
 * and its name are free.  Its events stay in the journal.
 */


#include "rt_dispatch_private.h"


#define RT_END_RETRY_MS  100                /* somebody points at it */


void
rt_end_look(rt_dispatch_t *d, rt_entity_t *e)
{
    if (e->engine->ended == NULL || e->engine->source) {
        return;
    }

    if (e->ended_ms == 0 && e->state && e->engine->ended(e->state)) {
        e->ended_ms = rt_max(d->clock_ms, 1);
    }

    if (e->ended_ms && d->conf.ended_ms) {
        rt_entity_set_leave(&d->entities, e, e->ended_ms + d->conf.ended_ms);
    }
}


static rt_uint_t
rt_end_is_held(const rt_dispatch_t *d, const rt_entity_t *e)
{
    return e->holds || e->reads || e->subscriptions || e->dirty
           || (e->clock && e->clock->listed)
           || e->last_seq > d->journal.durable_seq;
}


void
rt_end_run(rt_dispatch_t *d, rt_entity_t *e)
{
    rt_record_t  rec;

    e->leaving = 1;

    if (e->subscriptions) {
        d->leaving = 1;
        rt_dispatch_changed(d, e);
    }

    if (rt_end_is_held(d, e) || d->journal.failing
        || !rt_journal_has_room(&d->journal, RT_RECORD_HEADER_SIZE + 8
                                             + e->name_len))
    {
        rt_entity_set_leave(&d->entities, e, d->clock_ms + RT_END_RETRY_MS);
        return;
    }

    memset(&rec, 0, sizeof(rt_record_t));

    rec.type = RT_RECORD_ENDED;
    rec.engine = e->engine->id;
    rec.entity = rt_entity_name(e);
    rec.version = e->version;
    rec.prev = e->last_addr;
    rec.time_ms = d->clock_ms;

    rt_journal_append(&d->journal, &rec);

    d->since_hash++;
    d->since_snapshot++;
    d->stats.ended++;

    rt_entity_remove(&d->entities, e);
}


rt_int_t
rt_end_replay(rt_dispatch_t *d, const rt_record_t *rec, rt_entity_t *e)
{
    if (rec->version != e->version || rec->prev != e->last_addr) {
        return RT_ERROR;
    }

    rt_entity_remove(&d->entities, e);

    return RT_OK;
}


rt_uint_t
rt_dispatch_leaving(rt_dispatch_t *d)
{
    rt_uint_t  leaving;

    leaving = d->leaving;
    d->leaving = 0;

    return leaving;
}
