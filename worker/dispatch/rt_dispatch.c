/*
 * Commands and queries; ticks; the journal's records back into state.
 * rt_dispatch.h says how a command moves, rt_store.c how state is saved.
 */


#include <sodium.h>
#include <stdio.h>

#include "rt_dispatch.h"
#include "rt_log.h"


#define RT_TICKS_AT_ONCE   64               /* of one entity, late or not */
#define RT_TICKS_A_TURN    10000            /* of all */
#define RT_TICK_RETRY_MS   100              /* the disk was not ready */
#define RT_GONE_A_TURN     1000             /* connections engines hear of */
#define RT_EVICT_A_TURN    1000             /* slots looked at */
#define RT_UNEVICT_A_TURN  10               /* of up to RT_EVICT_VERSIONS */


static rt_int_t rt_dispatch_command(rt_dispatch_t *d, const rt_request_t *rq,
    rt_answer_t *a, const rt_engine_t *engine, rt_entity_t *e);
static void rt_dispatch_ask(rt_dispatch_t *d, const rt_request_t *rq,
    rt_answer_t *a, const rt_engine_t *engine, rt_entity_t *e);
static rt_int_t rt_dispatch_run_ticks(rt_dispatch_t *d, rt_entity_t *e);
static rt_int_t rt_dispatch_commit(rt_dispatch_t *d,
    const rt_engine_t *engine, rt_entity_t **ep, rt_str_t name,
    uint64_t time_ms, rt_idem_t *idem);


void
rt_dispatch_turn(rt_dispatch_t *d)
{
    d->clock_ms = rt_max(rt_time_ms(), d->journal.last_time);
}


static rt_durability_e
rt_dispatch_durability(rt_dispatch_t *d, const rt_engine_t *engine)
{
    int  n;

    if (engine->source) {
        engine = engine->source;
    }

    n = d->conf.durability[engine->id];

    return n == -1 ? engine->durability : (rt_durability_e) n;
}


static uint64_t
rt_dispatch_seed(rt_dispatch_t *d)
{
    if (d->seeds_left == 0) {
        randombytes_buf(d->seeds, sizeof(d->seeds));
        d->seeds_left = sizeof(d->seeds);
    }

    d->seeds_left -= 8;

    return rt_get64(d->seeds + d->seeds_left);
}


static void
rt_dispatch_reset(rt_output_t *out)
{
    out->status = 0;
    out->n = 0;
    rt_buf_reset(&out->body);
    rt_buf_reset(&out->data);
}


static rt_int_t
rt_dispatch_say(rt_dispatch_t *d, rt_answer_t *a, rt_uint_t status,
    const char *code, const char *message)
{
    rt_dispatch_reset(&d->out);
    rt_refuse(&d->out, status, code, "%s", message);

    a->status = status;
    a->body = rt_buf_str(&d->out.body);

    if (status == 503) {
        a->retry = 1;
        d->stats.busy++;

    } else {
        d->stats.refused++;
    }

    return RT_OK;
}


/* what makes a topic: UTF-8, no control characters, none of , / * */

static rt_int_t
rt_dispatch_check_entity(rt_str_t s)
{
    rt_uint_t      n;
    uint32_t       c;
    const u_char  *p, *last;

    if (s.len == 0 || s.len > 200) {
        return RT_DECLINED;
    }

    p = s.data;

    for (last = p + s.len; p < last; /* void */) {
        c = *p++;

        if (c < 0x80) {
            if (c < 0x20 || c == 0x7f || c == ',' || c == '/' || c == '*') {
                return RT_DECLINED;
            }

            continue;
        }

        n = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;

        if (c < 0xc2 || c > 0xf4 || (size_t) (last - p) < n) {
            return RT_DECLINED;
        }

        /* overlong forms, surrogates, beyond Unicode, C1 controls */

        if ((c == 0xe0 && *p < 0xa0) || (c == 0xed && *p > 0x9f)
            || (c == 0xf0 && *p < 0x90) || (c == 0xf4 && *p > 0x8f)
            || (c == 0xc2 && *p < 0xa0))
        {
            return RT_DECLINED;
        }

        while (n--) {
            if ((*p++ & 0xc0) != 0x80) {
                return RT_DECLINED;
            }
        }
    }

    return RT_OK;
}


/* an entity with its state; it may have been evicted */

rt_entity_t *
rt_dispatch_entity(rt_dispatch_t *d, const rt_engine_t *engine, rt_str_t name)
{
    rt_uint_t     gone;
    rt_entity_t  *e;

    e = rt_entity_find(engine->source ? &d->projected : &d->entities, engine,
                       name);

    if (e == NULL) {
        return NULL;
    }

    if (e->state == NULL) {
        e->state = rt_history_state(d, e, e->version, &gone);

        /* eviction made sure that its events are kept */

        rt_assert(e->state != NULL);
        d->stats.reloaded++;
    }

    e->used_ms = d->clock_ms;

    return e;
}


rt_int_t
rt_dispatch(rt_dispatch_t *d, const rt_request_t *rq, rt_answer_t *a)
{
    rt_entity_t        *e;
    const rt_engine_t  *engine;

    memset(a, 0, sizeof(rt_answer_t));

    engine = rt_engine_by_name(rq->engine);

    if (engine == NULL) {
        return rt_dispatch_say(d, a, 404, "unknown_engine",
                               "there is no such engine");
    }

    if (rt_dispatch_check_entity(rq->entity) != RT_OK) {
        return rt_dispatch_say(d, a, 400, "bad_entity",
                               "a name has 1 to 200 bytes of UTF-8 without "
                               "control characters, \",\", \"/\" and \"*\"");
    }

    if (engine->source && !rq->query) {
        return rt_dispatch_say(d, a, 409, "read_only",
                               "a projection takes no commands, it follows "
                               "another engine's events");
    }

    e = rt_dispatch_entity(d, engine, rq->entity);

    if (e && e->due_ms && e->due_ms <= d->clock_ms
        && rt_dispatch_run_ticks(d, e) != RT_OK)
    {
        if (d->journal.failing) {
            return rt_dispatch_say(d, a, 503, "unavailable",
                                   "the journal cannot be written");
        }

        return RT_AGAIN;
    }

    if (!rq->query) {
        return rt_dispatch_command(d, rq, a, engine, e);
    }

    d->stats.queries++;

    if (e == NULL && engine->source == NULL) {
        return rt_dispatch_say(d, a, 404, "not_found", "there is none");
    }

    rt_dispatch_ask(d, rq, a, engine, e);

    return RT_OK;
}


static void
rt_dispatch_wait_for(rt_dispatch_t *d, rt_answer_t *a, rt_entity_t *e)
{
    if (e && rt_dispatch_durability(d, e->engine) == RT_DURABLE_SYNC) {
        a->needs_seq = e->last_seq;
    }
}


/* of a projection, too, that no event was for yet: it is empty, then */

static void
rt_dispatch_ask(rt_dispatch_t *d, const rt_request_t *rq, rt_answer_t *a,
    const rt_engine_t *engine, rt_entity_t *e)
{
    void       *state;
    uint64_t    version;
    rt_input_t  in;

    memset(&in, 0, sizeof(rt_input_t));

    in.time_ms = d->clock_ms;
    in.secret = d->secret;
    in.entity = rq->entity;
    in.name = rq->name;
    in.user = rq->user;
    in.connection = rq->connection;
    in.version = e ? e->version : 0;
    in.args = rq->args;

    version = in.version;

    rt_dispatch_reset(&d->out);

    if (engine->source) {
        in.since = rt_projection_find(d, engine)->since;
        state = e ? e->state : engine->create();
        engine->query(state, &in, &d->out);

        if (e == NULL) {
            engine->destroy(state);
        }

    } else if (rt_history_query(d, e, &in, &d->out, &version) == RT_DECLINED) {
        engine->query(e->state, &in, &d->out);
    }

    rt_assert(d->out.status != 0);

    a->status = d->out.status;
    a->version = version;
    a->has_version = a->status < 300;
    a->body = rt_buf_str(&d->out.body);

    rt_dispatch_wait_for(d, a, e);
}


static rt_int_t
rt_dispatch_repeat(rt_dispatch_t *d, const rt_request_t *rq, rt_answer_t *a,
    rt_idem_t *idem, const rt_engine_t *engine)
{
    rt_idem_t  *first;

    rt_idem_key(idem->key, engine->id, rq->entity, rq->user, rq->key);
    idem->request = rt_idem_request(rq->name, rq->body);

    first = rt_idem_find(&d->idems, idem->key, d->clock_ms);

    if (first == NULL) {
        return RT_DECLINED;
    }

    if (first->request != idem->request) {
        return rt_dispatch_say(d, a, 422, "key_reused",
                               "this key has been used with another request");
    }

    d->stats.repeated++;

    a->status = first->status;
    a->version = first->version;
    a->has_version = first->version != 0;
    a->repeated = 1;
    a->body.data = first->body;
    a->body.len = first->len;

    if (rt_dispatch_durability(d, engine) == RT_DURABLE_SYNC) {
        a->needs_seq = first->seq;
    }

    return RT_OK;
}


static rt_int_t
rt_dispatch_command(rt_dispatch_t *d, const rt_request_t *rq, rt_answer_t *a,
    const rt_engine_t *engine, rt_entity_t *e)
{
    rt_int_t    rc;
    rt_str_t    body;
    rt_uint_t   create;
    rt_idem_t   idem;
    rt_input_t  in;

    d->stats.commands++;

    if (rq->key.len) {
        memset(&idem, 0, sizeof(rt_idem_t));
        rc = rt_dispatch_repeat(d, rq, a, &idem, engine);

        if (rc == RT_OK) {
            return RT_OK;
        }
    }

    if (d->journal.failing) {
        return rt_dispatch_say(d, a, 503, "unavailable",
                               "the journal cannot be written");
    }

    if (rq->has_expect && rq->expect != (e ? e->version : 0)) {
        rt_dispatch_say(d, a, 412, "version", "it has another version");
        a->version = e ? e->version : 0;
        a->has_version = 1;
        rt_dispatch_wait_for(d, a, e);
        return RT_OK;
    }

    create = rt_str_is(rq->name, "create");

    if (e == NULL && !create) {
        return rt_dispatch_say(d, a, 404, "not_found", "there is none");
    }

    if (e != NULL && create) {
        rt_dispatch_say(d, a, 409, "exists", "it has been created before");
        rt_dispatch_wait_for(d, a, e);
        return RT_OK;
    }

    if (create && d->entities.n >= d->conf.entities_max) {
        return rt_dispatch_say(d, a, 503, "full", "there are too many");
    }

    body = rq->body;

    if (body.len == 0) {
        body.data = (const u_char *) "{}";
        body.len = 2;
    }

    if (rt_json_parse(&d->json, body.data, body.len) != RT_OK) {
        return rt_dispatch_say(d, a, 400, "bad_json", d->json.error);
    }

    /* not decided if its connection's end could not be told */

    if (engine->wants_gone && rq->connection
        && rt_visits_add(&d->visits, rq->link, rq->connection, e, rq->user)
           != RT_OK)
    {
        d->stats.visits_full++;
        return rt_dispatch_say(d, a, 503, "visits",
                               "too many connections are followed");
    }

    memset(&in, 0, sizeof(rt_input_t));

    in.time_ms = d->clock_ms;
    in.seed = rt_dispatch_seed(d);
    in.secret = d->secret;
    in.entity = rq->entity;
    in.name = rq->name;
    in.user = rq->user;
    in.connection = rq->connection;
    in.version = e ? e->version : 0;
    in.json = &d->json;
    in.data = &d->json.nodes[0];

    rt_dispatch_reset(&d->out);
    engine->decide(e ? e->state : NULL, &in, &d->out);

    rt_assert(d->out.status != 0);

    if (rt_buf_size(&d->out.data) + rt_buf_size(&d->out.body)
        > RT_COMMAND_SIZE_MAX)
    {
        return rt_dispatch_say(d, a, 422, "too_large",
                               "what follows from it is too large");
    }

    if (rq->key.len) {
        idem.status = (uint32_t) d->out.status;
        idem.version = (e ? e->version : 0) + d->out.n;
    }

    rc = rt_dispatch_commit(d, engine, &e, rq->entity, in.time_ms,
                            rq->key.len ? &idem : NULL);

    if (rc != RT_OK) {
        d->stats.commands--;
        return rc;
    }

    if (d->out.status >= 400) {
        d->stats.refused++;
    }

    if (create && e && engine->wants_gone && rq->connection) {
        (void) rt_visits_add(&d->visits, rq->link, rq->connection, e,
                             rq->user);
    }

    a->status = d->out.status;
    a->version = e ? e->version : 0;
    a->has_version = e != NULL;
    a->body = rt_buf_str(&d->out.body);

    rt_dispatch_wait_for(d, a, e);

    if (rq->key.len && rt_dispatch_durability(d, engine) == RT_DURABLE_SYNC) {
        a->needs_seq = idem.seq;
    }

    return RT_OK;
}


/* the state has changed, and with it when it is to be looked at */

void
rt_dispatch_due(rt_dispatch_t *d, rt_entity_t *e)
{
    uint64_t            last;
    const rt_engine_t  *engine;

    engine = e->engine;

    rt_entity_set_due(&d->entities, e, engine->due(e->state));

    if (engine->clock) {
        last = e->clock ? e->clock->last_ms : d->clock_ms;
        rt_entity_set_clock(&d->entities, e, engine->clock(e->state, last),
                            last);
    }
}


static void
rt_dispatch_append(rt_dispatch_t *d, const rt_engine_t *engine,
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
rt_dispatch_mark_dirty(rt_dispatch_t *d, rt_entity_t *e)
{
    if (e->subscriptions && !e->dirty) {
        e->dirty = 1;
        e->dirty_next = d->dirty;
        d->dirty = e;
    }
}


/*
 * What out says becomes records, then state.  Nothing has been changed when
 * there is no room: the command comes again and is decided again.
 */

static rt_int_t
rt_dispatch_commit(rt_dispatch_t *d, const rt_engine_t *engine,
    rt_entity_t **ep, rt_str_t name, uint64_t time_ms, rt_idem_t *idem)
{
    size_t         need;
    u_char         hash[8];
    rt_str_t       body;
    rt_uint_t      i;
    rt_event_t     ev;
    rt_entity_t   *e;
    rt_record_t    rec;
    rt_output_t   *out;
    rt_emitted_t  *em;

    out = &d->out;
    e = *ep;

    if (out->n == 0 && idem == NULL) {
        return RT_OK;
    }

    body = rt_buf_str(&out->body);

    need = rt_buf_size(&out->data) + body.len
           + (out->n + 2) * (RT_RECORD_HEADER_SIZE + 64 + name.len);

    if (!rt_journal_has_room(&d->journal, need)) {
        return RT_AGAIN;
    }

    for (i = 0; i < out->n; i++) {
        em = &out->events[i];

        if (e == NULL) {
            e = rt_entity_add(&d->entities, engine, name);
            e->state = engine->create();
            e->used_ms = time_ms;
            *ep = e;
        }

        rt_assert(em->lift == rt_engine_version(engine, em->type));

        memset(&rec, 0, sizeof(rt_record_t));

        rec.version = e->version + 1;
        rec.prev = e->last_addr;
        rec.type = em->type;
        rec.lift = em->lift;
        rec.data.data = out->data.pos + em->start;
        rec.data.len = em->size;
        rec.flags = i + 1 < out->n || idem ? RT_RECORD_MORE : 0;

        rt_dispatch_append(d, engine, &rec, name, time_ms);

        ev.time_ms = time_ms;
        ev.version = rec.version;
        ev.type = rec.type;
        ev.lift = rec.lift;
        ev.entity = name;
        ev.data = rec.data;

        engine->apply(e->state, &ev);
        rt_entity_note(e, rec.version, rec.addr, rec.seq);
        rt_projection_feed(d, engine, &ev, &rec);
    }

    d->stats.events += out->n;

    if (idem) {
        rt_buf_reset(&d->scratch);
        idem->len = (uint32_t) body.len;
        rt_idem_encode(idem, body.data, &d->scratch);

        memset(&rec, 0, sizeof(rt_record_t));

        rec.type = RT_RECORD_ANSWER;
        rec.version = idem->version;
        rec.data = rt_buf_str(&d->scratch);

        rt_dispatch_append(d, engine, &rec, name, time_ms);

        idem->seq = rec.seq;
        idem->time_ms = time_ms;
        rt_idem_add(&d->idems, idem, body.data);
    }

    if (out->n) {
        rt_dispatch_due(d, e);
        rt_dispatch_mark_dirty(d, e);
    }

    if (out->n && d->since_hash >= RT_HASH_EVERY && !engine->no_hash) {
        rt_set64(hash, rt_entity_state_hash(d, e));

        memset(&rec, 0, sizeof(rt_record_t));

        rec.type = RT_RECORD_HASH;
        rec.lift = (uint8_t) engine->revision;
        rec.version = e->version;
        rec.data.data = hash;
        rec.data.len = sizeof(hash);

        rt_dispatch_append(d, engine, &rec, name, time_ms);
        d->since_hash = 0;
    }

    if (rt_dispatch_durability(d, engine) == RT_DURABLE_SYNC) {
        d->sync_wanted = 1;

    } else if (rt_dispatch_durability(d, engine) == RT_DURABLE_BATCH) {
        d->batch_wanted = 1;
    }

    return RT_OK;
}


/* connections that are closed; returns ms until it goes on, 0: all are told */

static uint64_t
rt_dispatch_run_gone(rt_dispatch_t *d)
{
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
        (void) rt_dispatch_entity(d, e->engine, rt_entity_name(e));

        if (d->journal.failing || rt_dispatch_run_ticks(d, e) != RT_OK) {
            return RT_TICK_RETRY_MS;
        }

        memset(&in, 0, sizeof(rt_input_t));

        in.time_ms = d->clock_ms;
        in.seed = rt_dispatch_seed(d);
        in.secret = d->secret;
        in.entity = rt_entity_name(e);
        in.name.data = (const u_char *) "gone";
        in.name.len = 4;
        in.user = rt_visit_user(v);
        in.connection = v->connection;
        in.version = e->version;
        in.gone = 1;

        rt_dispatch_reset(&d->out);
        e->engine->decide(e->state, &in, &d->out);

        if (rt_dispatch_commit(d, e->engine, &e, in.entity, in.time_ms, NULL)
            != RT_OK)
        {
            return RT_TICK_RETRY_MS;
        }

        rt_visits_told(&d->visits, v);
        d->stats.gone++;
    }

    return rt_visits_next(&d->visits) ? 1 : 0;
}


/* ticks */

static rt_int_t
rt_dispatch_run_ticks(rt_dispatch_t *d, rt_entity_t *e)
{
    rt_int_t    rc;
    rt_uint_t   n;
    rt_input_t  in;

    for (n = 0; e->due_ms && e->due_ms <= d->clock_ms; n++) {

        if (d->journal.failing) {
            return RT_AGAIN;
        }

        if (n == RT_TICKS_AT_ONCE) {
            break;                          /* it goes on in the next turn */
        }

        memset(&in, 0, sizeof(rt_input_t));

        in.time_ms = d->clock_ms;
        in.seed = rt_dispatch_seed(d);
        in.secret = d->secret;
        in.entity = rt_entity_name(e);
        in.name.data = (const u_char *) "tick";
        in.name.len = 4;
        in.version = e->version;
        in.tick = 1;

        d->stats.late_ms_max = rt_max(d->stats.late_ms_max,
                                      d->clock_ms - e->due_ms);

        rt_dispatch_reset(&d->out);
        e->engine->decide(e->state, &in, &d->out);

        /* a tick that changes nothing would be due for ever */

        rt_assert(d->out.n != 0);

        rc = rt_dispatch_commit(d, e->engine, &e, in.entity, in.time_ms, NULL);

        if (rc != RT_OK) {
            return rc;
        }

        d->stats.ticks++;
    }

    return RT_OK;
}


/* into the list of those whose watchers are to be counted */

static void
rt_dispatch_clock(rt_dispatch_t *d, rt_entity_t *e)
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


uint64_t
rt_dispatch_tick(rt_dispatch_t *d, uint64_t max)
{
    uint64_t      ms;
    rt_uint_t     n;
    rt_entity_t  *e;

    ms = rt_dispatch_run_gone(d);

    if (ms) {
        max = rt_min(ms, max);
    }

    for (n = 0; d->entities.heap_n; n++) {
        e = d->entities.heap[1];

        if (e->at_ms > d->clock_ms) {
            return rt_min(e->at_ms - d->clock_ms, max);
        }

        if (n == RT_TICKS_A_TURN) {
            return 1;
        }

        (void) rt_dispatch_entity(d, e->engine, rt_entity_name(e));

        rt_dispatch_clock(d, e);

        if (rt_dispatch_run_ticks(d, e) != RT_OK) {
            return rt_min(RT_TICK_RETRY_MS, max);
        }
    }

    return max;
}


/* how long what has gathered may wait for the disk */

uint64_t
rt_dispatch_flush(rt_dispatch_t *d, rt_uint_t force)
{
    rt_journal_t  *j;

    j = &d->journal;

    if (j->batch[j->active].used == 0) {
        return 0;
    }

    if (force || d->sync_wanted
        || j->batch[j->active].used > j->conf.buffer_size / 2)
    {
        rt_journal_flush(j);

        if (j->batch[j->active].used == 0) {
            d->sync_wanted = 0;
            d->batch_wanted = 0;
        }

        return 0;                           /* or the writer will ring */
    }

    return d->batch_wanted ? RT_BATCH_MS : RT_NONE_MS;
}


static void
rt_dispatch_evict_from(rt_dispatch_t *d, rt_entities_t *t, size_t *next)
{
    uint64_t      first;
    rt_uint_t     n;
    rt_entity_t  *e;

    first = rt_journal_first(&d->journal);

    for (n = 0; n < RT_EVICT_A_TURN; n++) {
        e = t->slots[(*next)++ & t->mask];

        if (e && e->state && e->at_ms == 0 && e->subscriptions == NULL
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
rt_dispatch_unevict_from(rt_dispatch_t *d, rt_entities_t *t, size_t *next)
{
    rt_uint_t     n, reloaded;
    rt_entity_t  *e;

    reloaded = 0;

    for (n = 0; n < RT_EVICT_A_TURN && reloaded < RT_UNEVICT_A_TURN; n++) {
        e = t->slots[(*next)++ & t->mask];

        if (e && e->state == NULL) {
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
        rt_dispatch_unevict_from(d, &d->entities, &d->evict_next);
        rt_dispatch_unevict_from(d, &d->projected, &d->evict_projected);
        return;
    }

    if (d->conf.idle_ms == 0) {
        return;
    }

    rt_dispatch_evict_from(d, &d->entities, &d->evict_next);
    rt_dispatch_evict_from(d, &d->projected, &d->evict_projected);
}


/* records into state */

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
rt_dispatch_newer(const rt_engine_t *engine, const rt_record_t *rec)
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


rt_int_t
rt_dispatch_replay(rt_dispatch_t *d, const rt_record_t *rec)
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

    if (rec->type == RT_RECORD_HASH) {
        d->since_hash = 0;

        if (rec->lift != (uint8_t) engine->revision) {
            return RT_OK;                   /* of a state of another shape */
        }

        if (e == NULL || rec->data.len != 8
            || rt_get64(rec->data.data) != rt_entity_state_hash(d, e))
        {
            return rt_replay_bad(rec, "replay gives another state than there "
                                 "was: has the engine changed");
        }

        return RT_OK;
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
        return rt_dispatch_newer(engine, rec);
    }

    engine->apply(e->state, &ev);

    rt_entity_note(e, rec->version, rec->addr, rec->seq);
    rt_projection_feed(d, engine, &ev, rec);
    rt_dispatch_due(d, e);

    return RT_OK;
}


uint64_t
rt_entity_state_hash(rt_dispatch_t *d, rt_entity_t *e)
{
    u_char                    hash[16], id;
    u_char                    version[8];
    crypto_generichash_state  st;

    (void) rt_dispatch_entity(d, e->engine, rt_entity_name(e));

    rt_buf_reset(&d->scratch);
    e->engine->snapshot(e->state, &d->scratch);

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

    for (i = 0; i <= d->entities.mask; i++) {
        if (d->entities.slots[i]) {
            sum += rt_entity_state_hash(d, d->entities.slots[i]);
        }
    }

    for (n = 0; n < d->nprojections; n++) {
        sum += rt_projection_hash(d, &d->projections[n]);
    }

    return sum;
}


void
rt_dispatch_status(rt_dispatch_t *d, rt_buf_t *b)
{
    rt_journal_t         *j;
    rt_dispatch_stats_t  *s;

    j = &d->journal;
    s = &d->stats;

    rt_buf_printf(b, "\"entities\":%zu,\"commands\":%llu,\"queries\":%llu,"
                  "\"refused\":%llu,\"repeated\":%llu,\"busy\":%llu,"
                  "\"visits\":%zu,\"visits_full\":%llu,\"gone\":%llu,"
                  "\"events\":%llu,\"ticks\":%llu,\"tick_late_ms_max\":%llu,"
                  "\"evicted\":%llu,\"reloaded\":%llu,"
                  "\"snapshots\":%llu,\"snapshots_failed\":%llu,"
                  "\"replayed\":%llu,\"start_ms\":%llu,",
                  d->entities.n, (unsigned long long) s->commands,
                  (unsigned long long) s->queries,
                  (unsigned long long) s->refused,
                  (unsigned long long) s->repeated,
                  (unsigned long long) s->busy, d->visits.n,
                  (unsigned long long) s->visits_full,
                  (unsigned long long) s->gone,
                  (unsigned long long) s->events,
                  (unsigned long long) s->ticks,
                  (unsigned long long) s->late_ms_max,
                  (unsigned long long) s->evicted,
                  (unsigned long long) s->reloaded,
                  (unsigned long long) s->snapshots,
                  (unsigned long long) s->snapshots_failed,
                  (unsigned long long) s->replayed,
                  (unsigned long long) s->start_us / 1000);

    rt_projection_status(d, b);

    rt_buf_printf(b, ",\"journal\":{\"epoch\":\"%llx\",\"seq\":%llu,"
                  "\"durable_seq\":%llu,\"segments\":%u,\"failing\":%s,"
                  "\"pending_bytes\":%zu,\"records\":%llu,\"bytes\":%llu,"
                  "\"batches\":%llu,\"batch_max\":%llu,\"sync_us_avg\":%llu,"
                  "\"sync_us_max\":%llu,\"errors\":%llu}",
                  (unsigned long long) j->epoch,
                  (unsigned long long) j->next_seq - 1,
                  (unsigned long long) j->durable_seq,
                  j->segment - j->first_segment + (j->first_segment != 0),
                  j->failing ? "true" : "false", rt_journal_pending(j),
                  (unsigned long long) j->stats.records,
                  (unsigned long long) j->stats.bytes,
                  (unsigned long long) j->stats.batches,
                  (unsigned long long) j->stats.batch_max,
                  (unsigned long long) (j->stats.batches
                                        ? j->stats.sync_us / j->stats.batches
                                        : 0),
                  (unsigned long long) j->stats.sync_max_us,
                  (unsigned long long) j->stats.errors);
}
