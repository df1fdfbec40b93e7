/*
 * Projections: engines that are fed another engine's events.
 *
 * They follow in the same step: what an event's own entity has applied, the
 * projections of its engine have applied before anything is answered.  So a
 * projection stands where the journal stands, a snapshot's seq is its own,
 * and it needs no records: a replay makes it again.
 *
 * One that a snapshot does not know, or knows in another revision, is built
 * at the start from the oldest record kept up to the snapshot.  "since" says
 * which record that was.
 */


#include "rt_dispatch_private.h"
#include "rt_log.h"


typedef struct {
    rt_dispatch_t  *dispatch;
    uint64_t        seq;                    /* the last one wanted */
    uint64_t        first;
    rt_uint_t       done;
} rt_projection_build_t;


void
rt_projection_init(rt_dispatch_t *d)
{
    rt_uint_t         i;
    rt_projection_t  *p;

    for (i = 0; rt_engines[i]; i++) {
        if (rt_engines[i]->source == NULL) {
            continue;
        }

        rt_assert(d->nprojections < RT_ENGINES_MAX);

        p = &d->projections[d->nprojections++];
        p->engine = rt_engines[i];
        p->since = 1;
    }
}


rt_projection_t *
rt_projection_find(rt_dispatch_t *d, const rt_engine_t *engine)
{
    rt_uint_t  i;

    for (i = 0; i < d->nprojections; i++) {
        if (d->projections[i].engine == engine) {
            return &d->projections[i];
        }
    }

    return NULL;
}


/* the entity of that name, made if it is new; NULL: there are too many */

static rt_entity_t *
rt_projection_entity(rt_dispatch_t *d, rt_projection_t *p, rt_str_t name)
{
    rt_entity_t  *e;

    /* most projections have one entity, or events in runs */

    e = p->last;

    if (e != NULL && rt_str_eq(rt_entity_name(e), name)) {
        e->used_ms = d->clock_ms;
        return e;
    }

    e = rt_dispatch_entity(d, p->engine, name);

    if (e != NULL) {
        p->last = e;
        return e;
    }

    if (p->entities >= RT_PROJECTED_MAX) {

        if (p->passed_over++ == 0) {
            rt_log(RT_LOG_ERR, 0, "projection \"%s\" has %d entities, new "
                   "ones are passed over", p->engine->name, RT_PROJECTED_MAX);
        }

        return NULL;
    }

    e = rt_entity_add(&d->projected, p->engine, name);
    e->state = p->engine->create();
    e->used_ms = d->clock_ms;
    p->entities++;
    p->last = e;

    return e;
}


static void
rt_projection_apply(rt_dispatch_t *d, rt_projection_t *p, const rt_event_t *ev,
    const rt_record_t *rec)
{
    rt_uint_t     i;
    rt_entity_t  *e;

    for (i = 0; /* void */ ; i++) {

        rt_buf_reset(&d->name);

        if (!p->engine->project(ev, i, &d->name)) {
            return;
        }

        e = rt_projection_entity(d, p, rt_buf_str(&d->name));

        if (e != NULL) {
            p->engine->apply(e->state, ev);

            e->version++;
            e->last_addr = rec->addr;
            e->last_seq = rec->seq;
        }
    }
}


void
rt_projection_feed(rt_dispatch_t *d, const rt_engine_t *engine,
    const rt_event_t *ev, const rt_record_t *rec)
{
    rt_uint_t         i;
    rt_projection_t  *p;

    for (i = 0; i < d->nprojections; i++) {
        p = &d->projections[i];

        if (p->engine->source == engine) {
            rt_projection_apply(d, p, ev, rec);
        }
    }
}


static rt_int_t
rt_projection_record(void *data, const rt_record_t *rec)
{
    rt_uint_t               i;
    rt_event_t              ev;
    rt_dispatch_t          *d;
    rt_projection_t        *p;
    const rt_engine_t      *engine;
    rt_projection_build_t  *b;

    b = data;
    d = b->dispatch;

    if (rec->seq > b->seq) {
        b->done = 1;
        return RT_ERROR;                    /* the replay goes on from here */
    }

    if (b->first == 0) {
        b->first = rec->seq;
    }

    d->clock_ms = rec->time_ms;

    engine = rec->type < RT_RECORD_SYSTEM ? rt_engine_by_id(rec->engine)
                                          : NULL;
    if (engine == NULL) {
        return RT_OK;
    }

    for (i = 0; i < d->nprojections; i++) {
        p = &d->projections[i];

        if (p->since != 0 || p->engine->source != engine) {
            continue;
        }

        if (rt_history_lift(engine, rec, &ev, d->lifted) != RT_OK) {
            return rt_replay_newer(engine, rec);
        }

        rt_projection_apply(d, p, &ev, rec);
    }

    return RT_OK;
}


/*
 * The first record after a damage that can be read; RT_DECLINED: none.  At an
 * offset of 0 it is a segment's header: nothing is read from that segment.
 */

static rt_int_t
rt_projection_resume(rt_dispatch_t *d, const rt_scan_result_t *res,
    uint64_t *addr, uint64_t *seq)
{
    rt_int_t     rc;
    uint64_t     at;
    rt_record_t  rec;

    at = res->addr;

    do {
        at = rt_addr_offset(at)
             ? rt_journal_skip(&d->journal, at)
             : rt_addr(rt_addr_segment(at) + 1, RT_SEGMENT_HEADER_SIZE);

        rc = rt_journal_try(&d->journal, at, &rec);
    } while (rc == RT_ERROR);

    *addr = rec.addr;
    *seq = rec.seq;

    return rc == RT_OK ? RT_OK : RT_DECLINED;
}


rt_int_t
rt_projection_build(rt_dispatch_t *d, uint64_t seq)
{
    rt_int_t                rc;
    uint64_t                start, addr, first;
    rt_uint_t               i, n;
    rt_projection_t        *p;
    rt_scan_result_t        res;
    rt_projection_build_t   b;

    n = 0;

    for (i = 0; i < d->nprojections; i++) {
        n += d->projections[i].since == 0;
    }

    if (n == 0) {
        return RT_OK;
    }

    memset(&b, 0, sizeof(rt_projection_build_t));
    b.dispatch = d;
    b.seq = seq;

    start = rt_time_us();

    addr = rt_journal_first(&d->journal);
    first = 0;

    for ( ;; ) {
        rc = rt_journal_scan(&d->journal, addr, first, &res,
                             rt_projection_record, &b);

        if (b.done || (rc == RT_OK && res.seq > seq)) {
            break;
        }

        /* what ends before the snapshot is no torn tail */

        if (rc != RT_OK && !res.damaged) {
            rt_log(RT_LOG_EMERG, 0, "journal in \"%s\" %s, and projections "
                   "must be built from it", d->journal.dir, res.error);
            return RT_ERROR;
        }

        /* the damage is an old one, and the state does not need it */

        rt_log(RT_LOG_CRIT, 0, "journal in \"%s\" is damaged at "
               "%08u.seg:%u, projections pass over it", d->journal.dir,
               rt_addr_segment(res.addr), rt_addr_offset(res.addr));

        if (rt_projection_resume(d, &res, &addr, &first) != RT_OK) {
            break;
        }

        b.first = first;                    /* what is known without a hole */
    }

    for (i = 0; i < d->nprojections; i++) {
        p = &d->projections[i];

        if (p->since) {
            continue;
        }

        p->since = b.first;

        rt_log(RT_LOG_NOTICE, 0, "projection \"%s\" built from seq %llu to "
               "%llu in %llu ms", p->engine->name,
               (unsigned long long) p->since, (unsigned long long) seq,
               (unsigned long long) (rt_time_us() - start) / 1000);

        if (p->since > 1) {
            rt_log(RT_LOG_WARN, 0, "projection \"%s\" begins at seq %llu: "
                   "events before it are no longer kept", p->engine->name,
                   (unsigned long long) p->since);
        }
    }

    return RT_OK;
}


uint64_t
rt_projection_hash(rt_dispatch_t *d, const rt_projection_t *p)
{
    size_t        i;
    uint64_t      sum;
    rt_entity_t  *e;

    sum = 0;

    for (i = 0; i < d->projected.n; i++) {
        e = d->projected.list[i];

        if (e->engine == p->engine) {
            sum += rt_entity_state_hash(d, e);
        }
    }

    return sum;
}


void
rt_projection_status(rt_dispatch_t *d, rt_buf_t *b)
{
    rt_uint_t         i;
    rt_projection_t  *p;

    rt_buf_literal(b, "\"projections\":{");

    for (i = 0; i < d->nprojections; i++) {
        p = &d->projections[i];

        rt_buf_printf(b, "%s\"%s\":{\"since\":%llu,\"entities\":%zu,"
                      "\"passed_over\":%llu}", i ? "," : "", p->engine->name,
                      (unsigned long long) p->since, p->entities,
                      (unsigned long long) p->passed_over);
    }

    rt_buf_literal(b, "}");
}
