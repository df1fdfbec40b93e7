/*
 * The door of the room: requests come in here and go to commands or queries;
 * and what the rooms above may ask and set.
 */


#include <sodium.h>

#include "rt_dispatch_private.h"
#include "rt_log.h"
#include "rt_utf8.h"


#define RT_DISPATCH_ENTITY_MAX  200         /* "engine/entity/x" is a topic */


static void rt_dispatch_ask(rt_dispatch_t *d, const rt_request_t *rq,
    rt_answer_t *a, const rt_engine_t *engine, rt_entity_t *e);


rt_dispatch_t *
rt_dispatch_open(const rt_dispatch_conf_t *conf)
{
    rt_dispatch_t  *d;

    d = rt_malloc(sizeof(rt_dispatch_t));

    if (rt_store_open(d, conf) != RT_OK) {
        free(d);
        return NULL;
    }

    return d;
}


/* the journal is open: where it is stays */

void
rt_dispatch_configure(rt_dispatch_t *d, const rt_dispatch_conf_t *conf)
{
    rt_journal_conf_t  journal;

    journal = d->conf.journal;
    d->conf = *conf;
    d->conf.journal = journal;
    d->visits.max = conf->visits_max;
    d->time.limit_us = conf->clock_step_ms * 1000;
}


rt_int_t
rt_dispatch_start(rt_dispatch_t *d, rt_answer_pt handler)
{
    return rt_reads_start(d, handler);
}


void
rt_dispatch_stop(rt_dispatch_t *d)
{
    rt_reads_stop(&d->reads);
}


rt_journal_t *
rt_dispatch_journal(rt_dispatch_t *d)
{
    return &d->journal;
}


uint64_t
rt_dispatch_now(const rt_dispatch_t *d)
{
    return d->clock_ms;
}


rt_durability_e
rt_dispatch_durability(const rt_dispatch_t *d, const rt_engine_t *engine)
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


/* what an engine gets: the rest is zero */

void
rt_dispatch_input(rt_dispatch_t *d, rt_input_t *in, rt_str_t entity,
    const char *name, uint64_t version)
{
    memset(in, 0, sizeof(rt_input_t));

    in->time_ms = d->clock_ms;
    in->seed = rt_dispatch_seed(d);
    in->secret = d->secret;
    in->entity = entity;
    in->version = version;
    in->name.data = (const u_char *) name;
    in->name.len = strlen(name);
}


void
rt_dispatch_reset(rt_output_t *out)
{
    out->status = 0;
    out->n = 0;
    rt_buf_reset(&out->body);
    rt_buf_reset(&out->data);
}


rt_int_t
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
    size_t  i;

    if (s.len == 0 || s.len > RT_DISPATCH_ENTITY_MAX || !rt_utf8_is_text(s)) {
        return RT_DECLINED;
    }

    for (i = 0; i < s.len; i++) {
        if (s.data[i] == ',' || s.data[i] == '/' || s.data[i] == '*') {
            return RT_DECLINED;
        }
    }

    return RT_OK;
}


rt_int_t
rt_dispatch_unreadable(rt_dispatch_t *d, rt_answer_t *a, const rt_entity_t *e)
{
    if (e->damaged) {
        return rt_dispatch_say(d, a, 500, "unreadable",
                               "its events cannot be read, the journal is "
                               "damaged");
    }

    return rt_dispatch_say(d, a, 503, "unavailable",
                           "the journal cannot be read now");
}


rt_entity_t *
rt_dispatch_entity(rt_dispatch_t *d, const rt_engine_t *engine, rt_str_t name)
{
    rt_entity_t  *e;

    e = rt_entity_find(engine->source ? &d->projected : &d->entities, engine,
                       name);

    if (e != NULL) {
        e->used_ms = d->clock_ms;
    }

    return e;
}


rt_int_t
rt_dispatch_load(rt_dispatch_t *d, rt_entity_t *e)
{
    void       *state;
    rt_int_t    rc;
    rt_past_t   p;

    if (e->state) {
        return RT_OK;
    }

    if (d->reads.nthreads) {
        return rt_reads_load(d, e, NULL, NULL);
    }

    rt_past_init(&p, &d->journal, e);
    rc = rt_past_state(&p, e->version, &state);
    rt_dispatch_loaded(d, e, &p, state, rc);

    return rc == RT_OK ? RT_OK : RT_ERROR;
}


void
rt_dispatch_loaded(rt_dispatch_t *d, rt_entity_t *e, const rt_past_t *p,
    void *state, rt_int_t rc)
{
    rt_past_end(p, e);
    e->state = state;

    if (rc == RT_OK) {
        e->damaged = 0;
        d->stats.reloaded++;

    } else {

        /* eviction made sure that they are kept: somebody has not */

        e->damaged |= rc != RT_AGAIN;
    }
}


/* its state was evicted, or others wait for it already */

static rt_int_t
rt_dispatch_wait(rt_dispatch_t *d, const rt_request_t *rq, rt_answer_t *a,
    rt_entity_t *e)
{
    if (d->reads.nthreads) {
        return rt_reads_load(d, e, rq, a);
    }

    if (rt_dispatch_load(d, e) != RT_OK) {
        return rt_dispatch_unreadable(d, a, e);
    }

    return rt_dispatch_run(d, rq, a, e->engine, e);
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

    if (!rt_utf8_is_text(rq->user)) {
        return rt_dispatch_say(d, a, 400, "bad_user",
                               "a user is UTF-8 without control characters");
    }

    if (engine->source && !rq->query) {
        return rt_dispatch_say(d, a, 409, "read_only",
                               "a projection takes no commands, it follows "
                               "another engine's events");
    }

    e = rt_dispatch_entity(d, engine, rq->entity);

    if (e && !(rq->query && rt_history_asks(rq->name))
        && (e->state == NULL || e->load))
    {
        return rt_dispatch_wait(d, rq, a, e);
    }

    return rt_dispatch_run(d, rq, a, engine, e);
}


rt_int_t
rt_dispatch_run(rt_dispatch_t *d, const rt_request_t *rq, rt_answer_t *a,
    const rt_engine_t *engine, rt_entity_t *e)
{
    if (e && e->due_ms && e->due_ms <= d->clock_ms
        && rt_tick_run(d, e) != RT_OK)
    {
        if (d->journal.failing) {
            return rt_dispatch_say(d, a, 503, "unavailable",
                                   "the journal cannot be written");
        }

        return RT_AGAIN;
    }

    if (!rq->query) {
        return rt_command_run(d, rq, a, engine, e);
    }

    d->stats.queries++;

    if (e == NULL && engine->source == NULL) {
        return rt_dispatch_say(d, a, 404, "not_found", "there is none");
    }

    if (d->reads.nthreads && engine->source == NULL
        && rt_history_asks(rq->name))
    {
        return rt_reads_query(d, e, rq, a);
    }

    rt_dispatch_ask(d, rq, a, engine, e);

    return RT_OK;
}


void
rt_dispatch_wait_for(const rt_dispatch_t *d, rt_answer_t *a,
    const rt_entity_t *e)
{
    if (e && rt_dispatch_durability(d, e->engine) == RT_DURABLE_SYNC) {
        a->needs_seq = e->last_seq;
    }
}


void
rt_dispatch_query_input(const rt_dispatch_t *d, rt_input_t *in,
    const rt_request_t *rq, uint64_t version)
{
    memset(in, 0, sizeof(rt_input_t));

    in->time_ms = d->clock_ms;
    in->secret = d->secret;
    in->entity = rq->entity;
    in->name = rq->name;
    in->user = rq->user;
    in->connection = rq->connection;
    in->version = version;
    in->args = rq->args;
}


/* of a projection, too, that no event was for yet: it is empty, then */

static void
rt_dispatch_ask(rt_dispatch_t *d, const rt_request_t *rq, rt_answer_t *a,
    const rt_engine_t *engine, rt_entity_t *e)
{
    void       *state;
    uint64_t    version;
    rt_past_t   past;
    rt_input_t  in;

    version = e ? e->version : 0;
    rt_dispatch_query_input(d, &in, rq, version);

    rt_dispatch_reset(&d->out);

    if (engine->source) {
        in.since = rt_projection_find(d, engine)->since;
        state = e ? e->state : engine->create();
        engine->query(state, &in, &d->out);

        if (e == NULL) {
            engine->destroy(state);
        }

    } else if (rt_history_asks(rq->name)) {
        rt_past_init(&past, &d->journal, e);
        rt_history_query(&past, &in, &d->out, &version);
        rt_past_end(&past, e);

    } else {
        engine->query(e->state, &in, &d->out);
    }

    rt_assert(d->out.status != 0);

    a->status = d->out.status;
    a->version = version;
    a->has_version = a->status < 300;
    a->body = rt_buf_str(&d->out.body);

    rt_dispatch_wait_for(d, a, e);
}


/* how long what has gathered may wait for the disk */

uint64_t
rt_dispatch_flush(rt_dispatch_t *d, rt_uint_t force)
{
    rt_journal_t  *j;

    j = &d->journal;

    if (rt_journal_gathered(j) == 0) {
        return 0;
    }

    if (force || d->sync_wanted
        || rt_journal_gathered(j) > j->conf.buffer_size / 2)
    {
        rt_journal_flush(j);

        if (rt_journal_gathered(j) == 0) {
            d->sync_wanted = 0;
            d->batch_wanted = 0;
        }

        return 0;                           /* or the writer will ring */
    }

    return d->batch_wanted ? RT_BATCH_MS : RT_NONE_MS;
}


void
rt_dispatch_count_busy(rt_dispatch_t *d)
{
    d->stats.busy++;
}


void
rt_dispatch_gone(rt_dispatch_t *d, const void *link, uint64_t connection)
{
    rt_reads_gone(&d->reads, link, connection);
    rt_visits_gone(&d->visits, link, connection);
}


void
rt_dispatch_link_gone(rt_dispatch_t *d, const void *link)
{
    rt_reads_link_gone(&d->reads, link);
    rt_visits_link_gone(&d->visits, link);
}


void
rt_dispatch_keep(rt_dispatch_t *d, uint64_t addr)
{
    d->publish_floor = addr;
}


/* entities with subscriptions that have new events */

void
rt_dispatch_changed(rt_dispatch_t *d, rt_entity_t *e)
{
    if (e->subscriptions && !e->dirty) {
        e->dirty = 1;
        e->dirty_next = d->dirty;
        d->dirty = e;
    }
}


void
rt_dispatch_each_changed(rt_dispatch_t *d,
    void (*handler)(rt_entity_t *e))
{
    rt_entity_t  *e, **p;

    for (p = &d->dirty; *p; /* void */) {
        e = *p;
        handler(e);

        if (e->last_seq > d->journal.durable_seq) {
            p = &e->dirty_next;             /* there will be more */
            continue;
        }

        *p = e->dirty_next;
        e->dirty = 0;
    }
}
