/*
 * An entity's past, read from the journal: a page of its events, its state at
 * a version.  All of this runs in any thread, with a journal reader of its own.
 *
 * Each record knows the address of the entity's previous one, and the entity
 * keeps the address of every 256th.  So a page of events is found by walking
 * back from the next mark, at most 512 records, wherever in its life it lies.
 * A state is the newest checkpoint before it and the events that follow.
 */


#include "rt_dispatch_private.h"
#include "rt_log.h"


#define RT_PAST_PAGE  RT_ENTITY_MARK


void
rt_past_init(rt_past_t *p, rt_journal_t *j, const rt_entity_t *e)
{
    p->journal = j;
    p->engine = e->engine;
    p->name = rt_entity_name(e);
    p->version = e->version;
    p->last_addr = e->last_addr;
    p->marks = e->marks;
    p->nmarks = e->nmarks;
    p->checkpoints = e->checkpoints;
    p->ncheckpoints = e->ncheckpoints;
    p->damaged = 0;
}


static rt_int_t
rt_past_damaged(rt_past_t *p, uint64_t addr)
{
    if (!p->damaged) {
        p->damaged = 1;
        p->damaged_addr = addr;
        p->damaged_errno = p->journal->read_error;
    }

    return RT_ERROR;
}


/* one of the entity's records, of that version */

static rt_int_t
rt_past_read(rt_past_t *p, uint64_t addr, uint64_t version, rt_record_t *rec)
{
    rt_int_t  rc;

    rc = rt_journal_read(p->journal, addr, rec);

    /* whole, but another one: a file has been exchanged */

    if (rc == RT_OK
        && (rec->type >= RT_RECORD_SYSTEM || rec->engine != p->engine->id
            || rec->version != version || !rt_str_eq(rec->entity, p->name)))
    {
        rc = RT_ERROR;
    }

    return rc == RT_ERROR ? rt_past_damaged(p, addr) : rc;
}


rt_int_t
rt_past_event(rt_past_t *p, uint64_t addr, uint64_t version, rt_event_t *ev,
    rt_buf_t lifted[2])
{
    rt_int_t     rc;
    rt_record_t  rec;

    rc = rt_past_read(p, addr, version, &rec);

    if (rc == RT_OK && rt_history_lift(p->engine, &rec, ev, lifted) != RT_OK) {
        rc = rt_past_damaged(p, addr);
    }

    return rc;
}


void
rt_past_end(const rt_past_t *p, rt_entity_t *e)
{
    if (p->damaged && !e->damaged) {
        e->damaged = 1;
        rt_log(RT_LOG_CRIT, p->damaged_errno, "\"%s\" \"%.*s\" cannot be "
               "read: no record of it at %08u.seg:%u, the journal is damaged",
               e->engine->name, (int) e->name_len, e->name,
               rt_addr_segment(p->damaged_addr),
               rt_addr_offset(p->damaged_addr));
    }
}


rt_int_t
rt_past_page(rt_past_t *p, uint64_t from, uint64_t *addrs, rt_uint_t *n)
{
    rt_int_t     rc;
    uint64_t     mark, last, addr, version;
    rt_record_t  rec;

    from = rt_max(from, 1);

    if (from > p->version) {
        *n = 0;
        return RT_OK;
    }

    last = rt_min(from + *n - 1, p->version);
    *n = (rt_uint_t) (last - from + 1);

    /* the first mark at or after "last", or the end of the chain */

    mark = (last + RT_ENTITY_MARK - 1) / RT_ENTITY_MARK;
    addr = mark <= p->nmarks ? p->marks[mark - 1] : p->last_addr;
    version = mark <= p->nmarks ? mark * RT_ENTITY_MARK : p->version;

    for ( /* void */ ; /* void */ ; version--) {
        rc = rt_past_read(p, addr, version, &rec);

        if (rc != RT_OK) {
            return rc;
        }

        if (rec.version <= last) {
            addrs[rec.version - from] = addr;
        }

        if (rec.version == from) {
            return RT_OK;
        }

        addr = rec.prev;
    }
}


/* the events of a page become state */

static rt_int_t
rt_past_apply(rt_past_t *p, void *state, uint64_t from, rt_uint_t *n,
    rt_buf_t lifted[2])
{
    uint64_t     addrs[RT_PAST_PAGE];
    rt_int_t     rc;
    rt_uint_t    i;
    rt_event_t   ev;

    rc = rt_past_page(p, from, addrs, n);

    for (i = 0; rc == RT_OK && i < *n; i++) {

        rc = rt_past_event(p, addrs[i], from + i, &ev, lifted);

        if (rc == RT_OK) {
            p->engine->apply(state, &ev);
        }
    }

    return rc;
}


/* a damaged checkpoint costs time only: the one before is taken */

static void *
rt_past_begin(rt_past_t *p, uint64_t version, uint64_t *at)
{
    void                   *state;
    const rt_checkpoint_t  *c;

    for (c = rt_checkpoint_find(p, version); c; /* void */) {
        state = p->engine->create();

        if (rt_checkpoint_restore(p, c, state) == RT_OK) {
            *at = c->version;
            return state;
        }

        p->engine->destroy(state);

        c = c > p->checkpoints ? c - 1 : NULL;
    }

    *at = 0;

    return p->engine->create();
}


rt_int_t
rt_past_state(rt_past_t *p, uint64_t version, void **state)
{
    rt_int_t   rc;
    uint64_t   at;
    rt_buf_t   lifted[2];
    rt_uint_t  n;

    memset(lifted, 0, sizeof(lifted));

    rc = RT_OK;
    *state = rt_past_begin(p, version, &at);

    for ( /* void */ ; rc == RT_OK && at < version; at += n) {
        n = (rt_uint_t) rt_min(version - at, RT_PAST_PAGE);
        rc = rt_past_apply(p, *state, at + 1, &n, lifted);
    }

    if (rc != RT_OK) {
        p->engine->destroy(*state);
        *state = NULL;
    }

    rt_buf_free(&lifted[0]);
    rt_buf_free(&lifted[1]);

    return rc;
}


/* by the marks, then within a page */

rt_int_t
rt_past_version_at(rt_past_t *p, uint64_t time_ms, uint64_t *version)
{
    uint64_t     low, high, mid, addrs[RT_PAST_PAGE];
    rt_int_t     rc;
    rt_uint_t    i, n;
    rt_record_t  rec;

    low = 0;
    high = p->nmarks;

    while (low < high) {
        mid = (low + high) / 2;

        rc = rt_past_read(p, p->marks[mid], (mid + 1) * RT_ENTITY_MARK, &rec);

        if (rc != RT_OK && rc != RT_DECLINED) {
            return rc;
        }

        if (rc == RT_OK && rec.time_ms > time_ms) {
            high = mid;

        } else {
            low = mid + 1;
        }
    }

    *version = low * RT_ENTITY_MARK;

    n = RT_PAST_PAGE;
    rc = rt_past_page(p, *version + 1, addrs, &n);

    for (i = 0; rc == RT_OK && i < n; i++) {
        rc = rt_past_read(p, addrs[i], *version + 1, &rec);

        if (rc == RT_OK && rec.time_ms > time_ms) {
            break;
        }

        *version += rc == RT_OK;
    }

    return rc;
}
