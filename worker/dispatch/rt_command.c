/*
 * One command: what refuses it before its engine is asked, the engine's
 * decision, the commit, and the answer.
 */


#include "rt_dispatch_private.h"


static rt_int_t
rt_command_repeat(rt_dispatch_t *d, const rt_request_t *rq, rt_answer_t *a,
    rt_idem_t *idem, const rt_engine_t *engine)
{
    rt_idem_t  *first;

    rt_idem_key(idem->key, engine->id, rq->entity, rq->user, rq->key);
    idem->user = rt_idem_user(rq->user);
    idem->request = rt_idem_request(d->secret, rq->name, rq->body);

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


static rt_uint_t
rt_command_expects(const rt_request_t *rq, uint64_t version)
{
    size_t    i;
    uint64_t  expect;

    if (!rq->has_expect || rq->expect == version) {
        return 1;
    }

    for (i = 0; i + sizeof(expect) <= rq->expect_too.len; i += sizeof(expect)) {
        memcpy(&expect, rq->expect_too.data + i, sizeof(expect));

        if (expect == version) {
            return 1;
        }
    }

    return 0;
}


/* RT_OK: it is answered; RT_DECLINED: the engine is to decide */

static rt_int_t
rt_command_check(rt_dispatch_t *d, const rt_request_t *rq, rt_answer_t *a,
    const rt_entity_t *e)
{
    size_t     max;
    rt_uint_t  create;

    if (d->journal.failing) {
        return rt_dispatch_say(d, a, 503, "unavailable",
                               "the journal cannot be written");
    }

    if (!rt_command_expects(rq, e ? e->version : 0)) {
        rt_dispatch_say(d, a, 412, "version", "it has another version");
        a->version = e ? e->version : 0;
        a->has_version = 1;
        rt_dispatch_wait_for(d, a, e);
        return RT_OK;
    }

    max = d->conf.user_entities;
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

    if (create && max && rt_user_entities(&d->users, rq->user) >= max) {
        d->stats.user_limits++;
        return rt_dispatch_say(d, a, 429, "user_entities",
                               "this user has too many that are open");
    }

    return RT_DECLINED;
}


static rt_int_t
rt_command_parse(rt_dispatch_t *d, rt_str_t body)
{
    static const rt_str_t  empty = rt_string("{}");

    if (body.len == 0) {
        body = empty;
    }

    return rt_json_parse(&d->json, body.data, body.len);
}


static void
rt_command_decide(rt_dispatch_t *d, const rt_request_t *rq,
    const rt_engine_t *engine, const rt_entity_t *e)
{
    rt_input_t  in;

    rt_dispatch_input(d, &in, rq->entity, "", e ? e->version : 0);

    in.name = rq->name;
    in.user = rq->user;
    in.connection = rq->connection;
    in.json = &d->json;
    in.data = &d->json.nodes[0];

    rt_dispatch_reset(&d->out);
    engine->decide(e ? e->state : NULL, &in, &d->out);

    rt_assert(d->out.status != 0);
}


/* what the engine has said is committed; idem is NULL without a key */

static rt_int_t
rt_command_commit(rt_dispatch_t *d, const rt_request_t *rq, rt_answer_t *a,
    const rt_engine_t *engine, rt_entity_t *e, rt_idem_t *idem)
{
    rt_int_t   rc;
    rt_uint_t  created;

    if (idem) {
        idem->status = (uint32_t) d->out.status;
        idem->version = (e ? e->version : 0) + d->out.n;
    }

    created = e == NULL;

    rc = rt_commit(d, engine, &e, rq->entity, d->clock_ms, idem);

    if (rc != RT_OK) {
        d->stats.commands--;
        return rc;
    }

    if (d->out.status >= 400) {
        d->stats.refused++;
    }

    if (created && e && engine->wants_gone && rq->connection) {
        (void) rt_visits_add(&d->visits, rq->link, rq->connection, e,
                             rq->user);
    }

    a->status = d->out.status;
    a->version = e ? e->version : 0;
    a->has_version = e != NULL;
    a->body = rt_buf_str(&d->out.body);

    rt_dispatch_wait_for(d, a, e);

    if (idem && rt_dispatch_durability(d, engine) == RT_DURABLE_SYNC) {
        a->needs_seq = idem->seq;
    }

    return RT_OK;
}


static rt_int_t
rt_command_do(rt_dispatch_t *d, const rt_request_t *rq, rt_answer_t *a,
    const rt_engine_t *engine, rt_entity_t *e)
{
    rt_idem_t  idem;

    if (rq->key.len) {
        memset(&idem, 0, sizeof(rt_idem_t));

        if (rt_command_repeat(d, rq, a, &idem, engine) == RT_OK) {
            return RT_OK;
        }
    }

    if (rt_command_check(d, rq, a, e) == RT_OK) {
        return RT_OK;
    }

    if (rt_command_parse(d, rq->body) != RT_OK) {
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

    rt_command_decide(d, rq, engine, e);

    if (d->out.n > RT_EVENTS_MAX
        || rt_buf_size(&d->out.data) + rt_buf_size(&d->out.body)
           > RT_COMMAND_SIZE_MAX)
    {
        return rt_dispatch_say(d, a, 422, "too_large",
                               "what follows from it is too large");
    }

    return rt_command_commit(d, rq, a, engine, e, rq->key.len ? &idem : NULL);
}


rt_int_t
rt_command_run(rt_dispatch_t *d, const rt_request_t *rq, rt_answer_t *a,
    const rt_engine_t *engine, rt_entity_t *e)
{
    size_t    rate;
    rt_int_t  rc;

    rate = d->conf.user_commands;
    d->stats.commands++;

    if (rate && rt_user_command(&d->users, rq->user, rt_time_us(), rate)
                != RT_OK)
    {
        d->stats.user_limits++;
        rt_dispatch_say(d, a, 429, "user_commands",
                        "this user sends too many commands a second");
        a->retry = 1;
        return RT_OK;
    }

    rc = rt_command_do(d, rq, a, engine, e);

    if (rate && rc == RT_AGAIN) {
        rt_user_refund(&d->users, rq->user, rate);
    }

    return rc;
}
