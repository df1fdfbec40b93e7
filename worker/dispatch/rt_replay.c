/*
 * The journal's records back into state, and the hashes that prove that it is
 * the same state.
 */


#include <sodium.h>
#include <stdio.h>

#include "rt_dispatch_private.h"
#include "rt_log.h"


static rt_int_t
rt_replay_answer(rt_dispatch_t *d, const rt_record_t *rec)
{
    rt_str_t     body;
    rt_idem_t    idem;
    rt_reader_t  r;

    rt_reader_init(&r, rec->data.data, rec->data.len);

    if (rt_idem_decode(&idem, &r, &body) != RT_OK) {
        rt_log(RT_LOG_EMERG, 0, "bad answer in the journal at seq %llu",
               (unsigned long long) rec->seq);
        return RT_ERROR;
    }

    idem.seq = rec->seq;
    idem.time_ms = rec->time_ms;
    rt_idem_add(&d->idems, &idem, body.data);

    return RT_OK;
}


static rt_int_t
rt_replay_bad(const rt_record_t *rec, const char *what)
{
    rt_log(RT_LOG_EMERG, 0, "%s: engine %u, \"%.*s\" version %llu, at "
           "%08u.seg:%u, seq %llu", what, (unsigned) rec->engine,
           (int) rec->entity.len, rec->entity.data,
           (unsigned long long) rec->version, rt_addr_segment(rec->addr),
           rt_addr_offset(rec->addr), (unsigned long long) rec->seq);

    return RT_ERROR;
}


rt_int_t
rt_replay_newer(const rt_engine_t *engine, const rt_record_t *rec)
{
    char        what[200];
    rt_uint_t   known;

    known = rt_engine_version(engine, rec->type);

    if (known) {
        snprintf(what, sizeof(what), "\"%s\" event of type %u is of version "
                 "%u, and this realtimed knows version %u: it is older than "
                 "the one that wrote it", engine->name, rec->type, rec->lift,
                 (unsigned) known);

    } else {
        snprintf(what, sizeof(what), "\"%s\" event of type %u, which this "
                 "realtimed does not know: it is older than the one that "
                 "wrote it", engine->name, rec->type);
    }

    return rt_replay_bad(rec, what);
}


static rt_int_t
rt_replay_hash(rt_dispatch_t *d, const rt_record_t *rec,
    const rt_engine_t *engine, rt_entity_t *e)
{
    d->since_hash = 0;

    if (rec->lift != (uint8_t) engine->revision) {
        return RT_OK;                       /* of a state of another shape */
    }

    if (e && e->state == NULL) {
        return RT_OK;                       /* its events cannot be read */
    }

    if (e == NULL || rec->data.len != 8
        || rt_get64(rec->data.data) != rt_entity_state_hash(d, e))
    {
        return rt_replay_bad(rec, "replay gives another state than there "
                             "was: has the engine changed");
    }

    return RT_OK;
}


rt_int_t
rt_replay_record(rt_dispatch_t *d, const rt_record_t *rec)
{
    rt_event_t          ev;
    rt_entity_t        *e;
    const rt_engine_t  *engine;

    d->clock_ms = rec->time_ms;
    d->since_hash++;
    d->since_snapshot++;

    if (rec->type == RT_RECORD_ANSWER) {
        return rt_replay_answer(d, rec);
    }

    engine = rt_engine_by_id(rec->engine);

    if (engine == NULL) {
        return rt_replay_bad(rec, "unknown engine in the journal");
    }

    e = rt_dispatch_entity(d, engine, rec->entity);

    if (e && rec->type != RT_RECORD_ENDED) {
        (void) rt_dispatch_load(d, e);      /* or it goes on without */
    }

    if (rec->type == RT_RECORD_HASH) {
        return rt_replay_hash(d, rec, engine, e);
    }

    if (rec->type == RT_RECORD_CHECKPOINT) {
        return e && rt_checkpoint_replay(rec, e) == RT_OK
               ? RT_OK : rt_replay_bad(rec, "bad checkpoint in the journal");
    }

    if (rec->type == RT_RECORD_ENDED) {
        return e && rt_end_replay(d, rec, e) == RT_OK
               ? RT_OK : rt_replay_bad(rec, "bad end in the journal");
    }

    if (rec->type >= RT_RECORD_SYSTEM) {
        return rt_replay_bad(rec, "unknown record in the journal");
    }

    if (e == NULL) {
        e = rt_entity_add(&d->entities, engine, rec->entity);
        e->state = engine->create();
        e->used_ms = rec->time_ms;
    }

    if (rec->version != e->version + 1 || rec->prev != e->last_addr) {
        return rt_replay_bad(rec, "event out of order in the journal");
    }

    if (rt_history_lift(engine, rec, &ev, d->lifted) != RT_OK) {
        return rt_replay_newer(engine, rec);
    }

    if (e->state) {
        engine->apply(e->state, &ev);
    }

    rt_entity_note(e, rec->version, rec->addr, rec->seq);
    rt_projection_feed(d, engine, &ev, rec);

    if (e->state) {
        rt_commit_due(d, e);
    }

    return RT_OK;
}


uint64_t
rt_entity_state_hash(rt_dispatch_t *d, rt_entity_t *e)
{
    u_char                    hash[16], id;
    u_char                    version[8];
    crypto_generichash_state  st;

    (void) rt_dispatch_load(d, e);

    rt_buf_reset(&d->scratch);

    if (e->state) {
        e->engine->snapshot(e->state, &d->scratch);
    }

    id = e->engine->id;
    rt_set64(version, e->version);

    crypto_generichash_init(&st, NULL, 0, sizeof(hash));
    crypto_generichash_update(&st, &id, 1);
    crypto_generichash_update(&st, version, sizeof(version));
    crypto_generichash_update(&st, e->name, e->name_len);
    crypto_generichash_update(&st, d->scratch.pos, rt_buf_size(&d->scratch));
    crypto_generichash_final(&st, hash, sizeof(hash));

    return rt_get64(hash);
}


uint64_t
rt_dispatch_hash(rt_dispatch_t *d)
{
    size_t     i;
    uint64_t   sum;
    rt_uint_t  n;

    sum = 0;

    for (i = 0; i < d->entities.n; i++) {
        sum += rt_entity_state_hash(d, d->entities.list[i]);
    }

    for (n = 0; n < d->nprojections; n++) {
        sum += rt_projection_hash(d, &d->projections[n]);
    }

    return sum;
}
