/*
 * The commit: what an engine has decided becomes records, then state.
 *
 * All of a command's records fit into the journal's buffer or none is
 * appended; then the command comes again and is decided again.
 */


#include "rt_dispatch_private.h"


/* an entity counts for its user while it is open */

static void
rt_commit_user(rt_dispatch_t *d, rt_entity_t *e)
{
    rt_str_t   name;
    rt_uint_t  open;

    open = e->engine->owner && e->engine->owner(e->state, &name);

    if (open && e->user == NULL) {
        e->user = rt_user_open(&d->users, name, rt_time_us());
    }

    if (!open && e->user) {
        rt_user_close(e->user);
        e->user = NULL;
    }
}


/* the state has changed, and with it when it is to be looked at */

void
rt_commit_due(rt_dispatch_t *d, rt_entity_t *e)
{
    uint64_t            last;
    const rt_engine_t  *engine;

    engine = e->engine;

    rt_end_look(d, e);
    rt_entity_set_due(&d->entities, e, engine->due(e->state));
    rt_commit_user(d, e);

    if (engine->clock) {
        last = e->clock ? e->clock->last_ms : d->clock_ms;
        rt_entity_set_clock(&d->entities, e, engine->clock(e->state, last),
                            last);
    }
}


static void
rt_commit_append(rt_dispatch_t *d, const rt_engine_t *engine,
    rt_record_t *rec, rt_str_t name, uint64_t time_ms)
{
    rec->time_ms = time_ms;
    rec->engine = engine->id;
    rec->entity = name;

    rt_journal_append(&d->journal, rec);

    d->since_hash++;
    d->since_snapshot++;
}


static void
rt_commit_event(rt_dispatch_t *d, const rt_engine_t *engine, rt_entity_t *e,
    uint64_t time_ms, const rt_emitted_t *em, rt_uint_t more)
{
    rt_str_t     name;
    rt_event_t   ev;
    rt_record_t  rec;

    rt_assert(em->lift == rt_engine_version(engine, em->type));
    rt_assert(em->start + em->size <= rt_buf_size(&d->out.data));

    name = rt_entity_name(e);

    memset(&rec, 0, sizeof(rt_record_t));

    rec.version = e->version + 1;
    rec.prev = e->last_addr;
    rec.type = em->type;
    rec.lift = em->lift;
    rec.data.data = d->out.data.pos + em->start;
    rec.data.len = em->size;
    rec.flags = more ? RT_RECORD_MORE : 0;

    rt_commit_append(d, engine, &rec, name, time_ms);

    ev.time_ms = time_ms;
    ev.version = rec.version;
    ev.type = rec.type;
    ev.lift = rec.lift;
    ev.entity = name;
    ev.data = rec.data;

    rt_assert(rec.addr > e->last_addr && rec.seq > e->last_seq);

    engine->apply(e->state, &ev);
    rt_entity_note(e, rec.version, rec.addr, rec.seq);
    rt_projection_feed(d, engine, &ev, &rec);
}


static void
rt_commit_answer(rt_dispatch_t *d, const rt_engine_t *engine, rt_str_t name,
    uint64_t time_ms, rt_idem_t *idem)
{
    rt_str_t     body;
    rt_record_t  rec;

    body = rt_buf_str(&d->out.body);

    rt_buf_reset(&d->scratch);
    idem->len = (uint32_t) body.len;
    rt_idem_encode(idem, body.data, &d->scratch);

    memset(&rec, 0, sizeof(rt_record_t));

    rec.type = RT_RECORD_ANSWER;
    rec.version = idem->version;
    rec.data = rt_buf_str(&d->scratch);

    rt_commit_append(d, engine, &rec, name, time_ms);

    idem->seq = rec.seq;
    idem->time_ms = time_ms;
    rt_idem_add(&d->idems, idem, body.data);
}


static void
rt_commit_hash(rt_dispatch_t *d, const rt_engine_t *engine, rt_entity_t *e,
    uint64_t time_ms)
{
    u_char       hash[8];
    rt_record_t  rec;

    rt_set64(hash, rt_entity_state_hash(d, e));

    memset(&rec, 0, sizeof(rt_record_t));

    rec.type = RT_RECORD_HASH;
    rec.lift = (uint8_t) engine->revision;
    rec.version = e->version;
    rec.data.data = hash;
    rec.data.len = sizeof(hash);

    rt_commit_append(d, engine, &rec, rt_entity_name(e), time_ms);
    d->since_hash = 0;
}


/* room for the records, and for a hash */

static rt_uint_t
rt_commit_has_room(rt_dispatch_t *d, rt_str_t name)
{
    size_t  need;

    need = rt_buf_size(&d->out.data) + rt_buf_size(&d->out.body)
           + (d->out.n + 2) * (RT_RECORD_HEADER_SIZE + 64 + name.len);

    return rt_journal_has_room(&d->journal, need);
}


static void
rt_commit_wants_sync(rt_dispatch_t *d, const rt_engine_t *engine)
{
    switch (rt_dispatch_durability(d, engine)) {

    case RT_DURABLE_SYNC:
        d->sync_wanted = 1;
        break;

    case RT_DURABLE_BATCH:
        d->batch_wanted = 1;
        break;

    default:
        break;
    }
}


rt_int_t
rt_commit(rt_dispatch_t *d, const rt_engine_t *engine, rt_entity_t **ep,
    rt_str_t name, uint64_t time_ms, rt_idem_t *idem)
{
    rt_uint_t     i;
    rt_entity_t  *e;
    rt_output_t  *out;

    out = &d->out;
    e = *ep;

    if (out->n == 0 && idem == NULL) {
        return RT_OK;
    }

    if (!rt_commit_has_room(d, name)) {
        return RT_AGAIN;
    }

    if (e == NULL && out->n) {
        e = rt_entity_add(&d->entities, engine, name);
        e->state = engine->create();
        e->used_ms = time_ms;
        *ep = e;
    }

    for (i = 0; i < out->n; i++) {
        rt_commit_event(d, engine, e, time_ms, &out->events[i],
                        i + 1 < out->n || idem);
    }

    d->stats.events += out->n;

    if (idem) {
        rt_commit_answer(d, engine, name, time_ms, idem);
    }

    if (out->n) {
        rt_commit_due(d, e);
        rt_dispatch_changed(d, e);
    }

    if (out->n && d->since_hash >= RT_HASH_EVERY && !engine->no_hash) {
        rt_commit_hash(d, engine, e, time_ms);
    }

    if (out->n) {
        rt_checkpoint_commit(d, e, time_ms);
    }

    rt_commit_wants_sync(d, engine);

    return RT_OK;
}
