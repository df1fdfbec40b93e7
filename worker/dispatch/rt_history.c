/*
 * Queries of the past, which every engine has: "history" and "events", a page
 * of events, and "at", the state at a version or a time.  They run in any
 * thread.
 */


#include "rt_dispatch_private.h"


#define RT_HISTORY_PAGE  RT_ENTITY_MARK


rt_int_t
rt_history_page(rt_dispatch_t *d, rt_entity_t *e, uint64_t from,
    uint64_t *addrs, rt_uint_t *n)
{
    rt_int_t   rc;
    rt_past_t  p;

    rt_past_init(&p, &d->journal, e);
    rc = rt_past_page(&p, from, addrs, n);
    rt_past_end(&p, e);

    return rc;
}


rt_int_t
rt_history_lift(const rt_engine_t *engine, const rt_record_t *rec,
    rt_event_t *ev, rt_buf_t lifted[2])
{
    ev->time_ms = rec->time_ms;
    ev->version = rec->version;
    ev->type = rec->type;
    ev->lift = rec->lift;
    ev->entity = rec->entity;
    ev->data = rec->data;

    return rt_engine_lift(engine, ev, lifted);
}


void
rt_history_event(rt_dispatch_t *d, const rt_engine_t *engine,
    const rt_record_t *rec, rt_event_t *ev)
{
    rt_int_t  rc;

    rc = rt_history_lift(engine, rec, ev, d->lifted);

    rt_assert(rc == RT_OK);                 /* the start has seen to it */
}


void
rt_history_describe(const rt_engine_t *engine, const rt_event_t *ev,
    rt_buf_t *b)
{
    rt_buf_literal(b, "{\"version\":");
    rt_buf_number(b, (int64_t) ev->version);
    rt_buf_literal(b, ",\"time\":");
    rt_buf_number(b, (int64_t) ev->time_ms);
    rt_buf_literal(b, ",");
    engine->describe(ev, b);
    rt_buf_literal(b, "}");
}


static void
rt_history_lost(rt_output_t *out, rt_int_t rc)
{
    rt_buf_reset(&out->body);

    switch (rc) {

    case RT_DECLINED:
        rt_refuse(out, 410, "gone", "its events are no longer kept");
        break;

    case RT_AGAIN:
        rt_refuse(out, 503, "unavailable", "the journal cannot be read now");
        break;

    default:
        rt_refuse(out, 500, "unreadable", "the journal is damaged");
    }
}


static rt_int_t
rt_history_events(rt_past_t *p, uint64_t from, rt_uint_t *n,
    rt_buf_t *b, rt_buf_t lifted[2])
{
    uint64_t     addrs[RT_HISTORY_PAGE];
    rt_int_t     rc;
    rt_uint_t    i;
    rt_event_t   ev;

    rc = rt_past_page(p, from, addrs, n);

    for (i = 0; rc == RT_OK && i < *n; i++) {

        rc = rt_past_event(p, addrs[i], from + i, &ev, lifted);

        if (rc != RT_OK) {
            break;
        }

        if (*(b->last - 1) != '[') {
            rt_buf_literal(b, ",");
        }

        rt_history_describe(p->engine, &ev, b);
    }

    return rc;
}


static void
rt_history_list(rt_past_t *p, const rt_input_t *in, rt_output_t *out)
{
    int64_t    from, limit;
    rt_buf_t   lifted[2];
    rt_int_t   rc;
    rt_uint_t  n, left;

    from = 1;
    limit = RT_HISTORY_MAX;

    if (rt_arg_number(in->args, "from", &from) == RT_ERROR
        || rt_arg_number(in->args, "limit", &limit) == RT_ERROR
        || limit == 0)
    {
        rt_refuse(out, 400, "bad_argument",
                  "\"from\" and \"limit\" are numbers");
        return;
    }

    memset(lifted, 0, sizeof(lifted));

    from = rt_max(from, 1);
    left = (rt_uint_t) rt_min(limit, RT_HISTORY_MAX);

    out->status = 200;
    rt_buf_literal(&out->body, "{\"events\":[");

    do {
        n = rt_min(left, RT_HISTORY_PAGE);
        rc = rt_history_events(p, (uint64_t) from, &n, &out->body, lifted);

        from += (int64_t) n;
        left -= n;
    } while (rc == RT_OK && n && left);

    if (rc != RT_OK) {
        rt_history_lost(out, rc);

    } else {
        rt_buf_literal(&out->body, "]}");
    }

    rt_buf_free(&lifted[0]);
    rt_buf_free(&lifted[1]);
}


/* RT_DECLINED: there is no such version, or it is refused */

static rt_int_t
rt_history_version(rt_past_t *p, rt_input_t *then, rt_output_t *out)
{
    int64_t      n;
    uint64_t     addr;
    rt_int_t     rc;
    rt_uint_t    one;
    rt_record_t  rec;

    then->version = 0;

    rc = rt_arg_number(then->args, "version", &n);

    if (rc == RT_OK) {
        one = 1;
        then->version = (uint64_t) n;

        if (n > 0 && then->version <= p->version
            && rt_past_page(p, then->version, &addr, &one) == RT_OK
            && rt_journal_read(p->journal, addr, &rec) == RT_OK)
        {
            then->time_ms = rec.time_ms;
        }

    } else if (rc == RT_DECLINED) {
        rc = rt_arg_number(then->args, "time", &n);

        if (rc == RT_OK) {
            then->time_ms = rt_min((uint64_t) n, then->time_ms);
            rc = rt_past_version_at(p, (uint64_t) n, &then->version);

            if (rc != RT_OK) {
                rt_history_lost(out, rc);
                return RT_DECLINED;
            }
        }
    }

    if (rc != RT_OK) {
        rt_refuse(out, 400, "bad_argument",
                  "one of \"version\" and \"time\" is needed, a number");
        return RT_DECLINED;
    }

    if (then->version == 0 || then->version > p->version) {
        rt_refuse(out, 404, "not_found", "there is no version %llu",
                  (unsigned long long) then->version);
        return RT_DECLINED;
    }

    return RT_OK;
}


static void
rt_history_at(rt_past_t *p, const rt_input_t *in, rt_output_t *out,
    uint64_t *version)
{
    void        *state;
    rt_int_t     rc;
    rt_input_t   then;

    then = *in;

    if (rt_history_version(p, &then, out) != RT_OK) {
        return;
    }

    rc = rt_past_state(p, then.version, &state);

    if (rc != RT_OK) {
        rt_history_lost(out, rc);
        return;
    }

    then.name.data = (const u_char *) "state";
    then.name.len = 5;

    p->engine->query(state, &then, out);
    p->engine->destroy(state);

    *version = then.version;
}


rt_uint_t
rt_history_asks(rt_str_t name)
{
    return rt_str_is(name, "history") || rt_str_is(name, "events")
           || rt_str_is(name, "at");
}


void
rt_history_query(rt_past_t *p, const rt_input_t *in, rt_output_t *out,
    uint64_t *version)
{
    if (rt_str_is(in->name, "at")) {
        rt_history_at(p, in, out, version);
        return;
    }

    rt_history_list(p, in, out);
}
