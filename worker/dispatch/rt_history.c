/*
 * The past: an entity's events from the journal, and its state at a version.
 *
 * Each record knows the address of the entity's previous one, and the entity
 * keeps the address of every 256th.  So a page of events is found by walking
 * back from the next mark, at most 512 records, wherever in its life it lies.
 */


#include <stdio.h>

#include "rt_dispatch_private.h"
#include "rt_log.h"


#define RT_HISTORY_PAGE  RT_ENTITY_MARK


/*
 * One of the entity's records, of that version, 0: of a projection's, which
 * are another's; *gone says why it is not there.
 */

static rt_int_t
rt_history_read(rt_dispatch_t *d, rt_entity_t *e, uint64_t addr,
    uint64_t version, rt_record_t *rec, rt_uint_t *gone)
{
    rt_int_t            rc;
    const rt_engine_t  *engine;

    rc = rt_journal_read(&d->journal, addr, rec);

    /* whole, but another one: a file has been exchanged */

    engine = e->engine->source ? e->engine->source : e->engine;

    if (rc == RT_OK
        && (rec->type >= RT_RECORD_SYSTEM || rec->engine != engine->id
            || (version && (rec->version != version
                            || !rt_str_eq(rec->entity, rt_entity_name(e))))))
    {
        rc = RT_ERROR;
    }

    switch (rc) {

    case RT_OK:
        return RT_OK;

    case RT_DECLINED:
        *gone = RT_HISTORY_GONE;
        return RT_ERROR;

    case RT_AGAIN:
        *gone = RT_HISTORY_LATER;
        return RT_ERROR;

    default:
        *gone = RT_HISTORY_UNREADABLE;
    }

    if (!e->damaged) {
        e->damaged = 1;
        rt_log(RT_LOG_CRIT, d->journal.read_error, "\"%s\" \"%.*s\" cannot "
               "be read: no record of it at %08u.seg:%u, the journal is "
               "damaged", e->engine->name, (int) e->name_len, e->name,
               rt_addr_segment(addr), rt_addr_offset(addr));
    }

    return RT_ERROR;
}


/* the answer for what is not there */

static void
rt_history_refuse(rt_output_t *out, rt_uint_t gone, int64_t from)
{
    switch (gone) {

    case RT_HISTORY_UNREADABLE:
        rt_refuse(out, 500, "unreadable", "the journal is damaged");
        break;

    case RT_HISTORY_LATER:
        rt_refuse(out, 503, "unavailable", "the journal cannot be read now");
        break;

    default:
        rt_refuse(out, 410, "gone", "events from version %lld on are no "
                  "longer kept", (long long) from);
    }
}


rt_uint_t
rt_history_page(rt_dispatch_t *d, rt_entity_t *e, uint64_t from,
    uint64_t *addrs, rt_uint_t n, rt_uint_t *gone)
{
    uint64_t     mark, last, addr, version;
    rt_record_t  rec;

    *gone = 0;
    from = rt_max(from, 1);

    if (from > e->version) {
        return 0;
    }

    last = rt_min(from + n - 1, e->version);
    n = (rt_uint_t) (last - from + 1);

    if (e->engine->source) {
        rt_assert(last <= e->nmarks);
        memcpy(addrs, e->marks + (from - 1), n * sizeof(uint64_t));
        return n;
    }

    /* the first mark at or after "last", or the end of the chain */

    mark = (last + RT_ENTITY_MARK - 1) / RT_ENTITY_MARK;
    addr = mark <= e->nmarks ? e->marks[mark - 1] : e->last_addr;
    version = mark <= e->nmarks ? mark * RT_ENTITY_MARK : e->version;

    for ( /* void */ ; /* void */ ; version--) {

        if (rt_history_read(d, e, addr, version, &rec, gone) != RT_OK) {
            return 0;
        }

        if (rec.version <= last) {
            addrs[rec.version - from] = addr;
        }

        if (rec.version == from) {
            return n;
        }

        addr = rec.prev;
    }
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


void *
rt_history_state(rt_dispatch_t *d, rt_entity_t *e, uint64_t version,
    rt_uint_t *gone)
{
    void               *state;
    uint64_t            from, addrs[RT_HISTORY_PAGE];
    rt_buf_t            lifted[2];
    rt_uint_t           i, n;
    rt_event_t          ev;
    rt_record_t         rec;
    const rt_engine_t  *source;

    *gone = 0;
    state = e->engine->create();
    source = e->engine->source ? e->engine->source : e->engine;

    /* its own: an event that is being applied elsewhere may lie in d's */

    memset(lifted, 0, sizeof(lifted));

    for (from = 1; from <= version; from += n) {

        n = (rt_uint_t) rt_min(version - from + 1, RT_HISTORY_PAGE);
        n = rt_history_page(d, e, from, addrs, n, gone);

        if (n == 0) {
            goto failed;
        }

        for (i = 0; i < n; i++) {

            if (rt_history_read(d, e, addrs[i],
                                e->engine->source ? 0 : from + i, &rec, gone)
                != RT_OK)
            {
                /* a projection is better without one event than not there */

                if (e->engine->source && *gone == RT_HISTORY_UNREADABLE) {
                    *gone = 0;
                    continue;
                }

                goto failed;
            }

            if (rt_history_lift(source, &rec, &ev, lifted) != RT_OK) {
                *gone = RT_HISTORY_UNREADABLE;
                goto failed;
            }

            e->engine->apply(state, &ev);
        }
    }

    goto done;

failed:

    e->engine->destroy(state);
    state = NULL;

done:

    rt_buf_free(&lifted[0]);
    rt_buf_free(&lifted[1]);

    return state;
}


/* the last version at a time: by the marks, then within a page */

static uint64_t
rt_history_version_at(rt_dispatch_t *d, rt_entity_t *e, uint64_t time_ms,
    rt_uint_t *gone)
{
    uint64_t     low, high, mid, addrs[RT_HISTORY_PAGE], version;
    rt_uint_t    i, n;
    rt_record_t  rec;

    low = 0;
    high = e->nmarks;
    *gone = 0;

    while (low < high) {
        mid = (low + high) / 2;

        if (rt_history_read(d, e, e->marks[mid], (mid + 1) * RT_ENTITY_MARK,
                            &rec, gone)
            != RT_OK)
        {

            if (*gone != RT_HISTORY_GONE) {
                return 0;
            }

            *gone = 0;
            low = mid + 1;                  /* older than what is kept */
            continue;
        }

        if (rec.time_ms > time_ms) {
            high = mid;

        } else {
            low = mid + 1;
        }
    }

    version = low * RT_ENTITY_MARK;

    n = rt_history_page(d, e, version + 1, addrs, RT_HISTORY_PAGE, gone);

    if (*gone == RT_HISTORY_GONE) {
        *gone = 0;
    }

    for (i = 0; i < n; i++) {
        if (rt_history_read(d, e, addrs[i], version + 1, &rec, gone) != RT_OK
            || rec.time_ms > time_ms)
        {
            break;
        }

        version = rec.version;
    }

    return version;
}


static void
rt_history_list(rt_dispatch_t *d, rt_entity_t *e, const rt_input_t *in,
    rt_output_t *out)
{
    int64_t      from, limit;
    uint64_t     addrs[RT_HISTORY_PAGE];
    rt_uint_t    i, n, gone, left;
    rt_event_t   ev;
    rt_record_t  rec;

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

    from = rt_max(from, 1);
    left = (rt_uint_t) rt_min(limit, RT_HISTORY_MAX);

    out->status = 200;
    rt_buf_literal(&out->body, "{\"events\":[");

    while (left) {
        n = rt_history_page(d, e, (uint64_t) from, addrs,
                            rt_min(left, RT_HISTORY_PAGE), &gone);

        if (gone) {
            rt_buf_reset(&out->body);
            rt_history_refuse(out, gone, from);
            return;
        }

        for (i = 0; i < n; i++) {

            if (rt_history_read(d, e, addrs[i], (uint64_t) from + i, &rec,
                                &gone)
                != RT_OK)
            {
                rt_buf_reset(&out->body);
                rt_history_refuse(out, gone, from);
                return;
            }

            if (*(out->body.last - 1) != '[') {
                rt_buf_literal(&out->body, ",");
            }

            rt_history_event(d, e->engine, &rec, &ev);
            rt_history_describe(e->engine, &ev, &out->body);
        }

        if (n == 0) {
            break;
        }

        from += (int64_t) n;
        left -= n;
    }

    rt_buf_literal(&out->body, "]}");
}


static void
rt_history_at(rt_dispatch_t *d, rt_entity_t *e, const rt_input_t *in,
    rt_output_t *out, uint64_t *version)
{
    void        *state;
    int64_t      n;
    rt_int_t     rc;
    rt_uint_t    gone;
    rt_input_t   then;
    rt_record_t  rec;
    uint64_t     addr;

    then = *in;
    gone = 0;

    rc = rt_arg_number(in->args, "version", &n);

    if (rc == RT_DECLINED) {
        rc = rt_arg_number(in->args, "time", &n);

        if (rc == RT_OK) {
            then.time_ms = rt_min((uint64_t) n, in->time_ms);
            n = (int64_t) rt_history_version_at(d, e, (uint64_t) n, &gone);
        }

    } else if (rc == RT_OK && n > 0 && (uint64_t) n <= e->version
               && rt_history_page(d, e, (uint64_t) n, &addr, 1, &gone) == 1
               && rt_history_read(d, e, addr, (uint64_t) n, &rec, &gone)
                  == RT_OK)
    {
        then.time_ms = rec.time_ms;
    }

    if (rc != RT_OK) {
        rt_refuse(out, 400, "bad_argument",
                  "one of \"version\" and \"time\" is needed, a number");
        return;
    }

    if (gone) {
        rt_history_refuse(out, gone, n);
        return;
    }

    if (n == 0 || (uint64_t) n > e->version) {
        rt_refuse(out, 404, "not_found", "there is no version %lld",
                  (long long) n);
        return;
    }

    if (n > RT_AT_VERSIONS) {
        rt_refuse(out, 422, "too_far", "a state after more than %d events is "
                  "not replayed", RT_AT_VERSIONS);
        return;
    }

    state = rt_history_state(d, e, (uint64_t) n, &gone);

    if (state == NULL) {
        rt_history_refuse(out, gone, 1);
        return;
    }

    then.name.data = (const u_char *) "state";
    then.name.len = 5;
    then.version = (uint64_t) n;

    e->engine->query(state, &then, out);
    e->engine->destroy(state);

    *version = (uint64_t) n;
}


rt_int_t
rt_history_query(rt_dispatch_t *d, rt_entity_t *e, const rt_input_t *in,
    rt_output_t *out, uint64_t *version)
{
    if (rt_str_is(in->name, "history") || rt_str_is(in->name, "events")) {
        rt_history_list(d, e, in, out);
        return RT_OK;
    }

    if (rt_str_is(in->name, "at")) {
        rt_history_at(d, e, in, out, version);
        return RT_OK;
    }

    return RT_DECLINED;
}
