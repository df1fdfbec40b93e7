/*
 * Checkpoints: now and then an entity's state becomes a record of the journal,
 * so that a state of the past is the nearest checkpoint and the few events
 * after it, however many there were before.
 *
 * There are at least RT_CHECKPOINT_EVENTS events between two, and so many that
 * what they take is in proportion to the events: a large state is written more
 * rarely.  One that would take the thread of logic too long, or more room than
 * the journal's buffer has, is left out.  Only the record's address is kept.
 *
 * A checkpoint is one group of records, which a torn tail cuts whole; the data
 * of each is
 *
 *    0  u32  size of the state
 *    4  u32  where this part begins
 *    8       the part
 *
 * "prev" is the address of the entity's last event, "lift" the revision of the
 * state's bytes.
 */


#include "rt_dispatch_private.h"
#include "rt_log.h"


#define RT_CHECKPOINT_HEAD    8
#define RT_CHECKPOINT_PART    (512 * 1024)
#define RT_CHECKPOINT_MAX     (2 * 1024 * 1024)     /* an estimate: a few ms */

/* an event for so many bytes of the state: about what an event takes */
#define RT_CHECKPOINT_SHARE   128


static void
rt_checkpoint_append(rt_dispatch_t *d, rt_entity_t *e, uint64_t time_ms,
    rt_str_t state)
{
    size_t       at, n;
    rt_buf_t    *b;
    rt_record_t  rec;

    b = &d->lifted[0];

    memset(&rec, 0, sizeof(rt_record_t));

    rec.type = RT_RECORD_CHECKPOINT;
    rec.lift = (uint8_t) e->engine->revision;
    rec.engine = e->engine->id;
    rec.entity = rt_entity_name(e);
    rec.version = e->version;
    rec.prev = e->last_addr;
    rec.time_ms = time_ms;

    for (at = 0; at < state.len; at += n) {
        n = rt_min(state.len - at, RT_CHECKPOINT_PART);

        rt_buf_reset(b);
        rt_buf_put32(b, (uint32_t) state.len);
        rt_buf_put32(b, (uint32_t) at);
        rt_buf_put(b, state.data + at, n);

        rec.data = rt_buf_str(b);
        rec.flags = at + n < state.len ? RT_RECORD_MORE : 0;

        rt_journal_append(&d->journal, &rec);

        d->since_hash++;
        d->since_snapshot++;

        if (at == 0) {
            rt_entity_checkpoint(e, e->version, rec.addr);
        }
    }
}


void
rt_checkpoint_commit(rt_dispatch_t *d, rt_entity_t *e, uint64_t time_ms)
{
    size_t    need;
    rt_str_t  state;

    if (e->checkpoint_next == 0) {
        e->checkpoint_next = RT_CHECKPOINT_EVENTS;

        if (e->ncheckpoints) {
            e->checkpoint_next += e->checkpoints[e->ncheckpoints - 1].version;
        }
    }

    if (e->version < e->checkpoint_next) {
        return;
    }

    rt_buf_reset(&d->scratch);
    e->engine->snapshot(e->state, &d->scratch);
    state = rt_buf_str(&d->scratch);

    e->checkpoint_next = e->version + rt_max(RT_CHECKPOINT_EVENTS,
                                             state.len / RT_CHECKPOINT_SHARE);

    need = state.len + (state.len / RT_CHECKPOINT_PART + 1)
                       * (RT_RECORD_HEADER_SIZE + RT_CHECKPOINT_HEAD
                          + RT_RECORD_ALIGN + e->name_len
                          + RT_RECORD_END_SIZE + RT_SEGMENT_HEADER_SIZE);

    if (state.len && state.len <= RT_CHECKPOINT_MAX
        && rt_journal_has_room(&d->journal, need))
    {
        rt_checkpoint_append(d, e, time_ms, state);
        d->stats.checkpoints++;
    }
}


rt_int_t
rt_checkpoint_replay(const rt_record_t *rec, rt_entity_t *e)
{
    if (rec->data.len <= RT_CHECKPOINT_HEAD || rec->prev != e->last_addr
        || rec->version != e->version)
    {
        return RT_ERROR;
    }

    if (rt_get32(rec->data.data + 4) == 0) {
        rt_entity_checkpoint(e, rec->version, rec->addr);
        e->checkpoint_next = rec->version
                             + rt_max(RT_CHECKPOINT_EVENTS,
                                      rt_get32(rec->data.data)
                                      / RT_CHECKPOINT_SHARE);
    }

    return RT_OK;
}


const rt_checkpoint_t *
rt_checkpoint_find(rt_past_t *p, uint64_t version)
{
    uint32_t  low, high, mid;

    low = 0;
    high = p->ncheckpoints;

    while (low < high) {
        mid = (low + high) / 2;

        if (p->checkpoints[mid].version > version) {
            high = mid;

        } else {
            low = mid + 1;
        }
    }

    return low ? &p->checkpoints[low - 1] : NULL;
}


/* the bytes of all of its records */

static rt_int_t
rt_checkpoint_read(rt_past_t *p, const rt_checkpoint_t *c, rt_buf_t *b)
{
    size_t       size;
    rt_int_t     rc;
    uint64_t     addr;
    rt_record_t  rec;

    addr = c->addr;

    do {
        rc = rt_journal_read(p->journal, addr, &rec);

        if (rc != RT_OK) {
            return rc;
        }

        if (rec.type != RT_RECORD_CHECKPOINT || rec.version != c->version
            || rec.engine != p->engine->id
            || !rt_str_eq(rec.entity, p->name)
            || rec.data.len <= RT_CHECKPOINT_HEAD
            || rt_get32(rec.data.data + 4) != rt_buf_size(b))
        {
            return RT_ERROR;
        }

        size = rt_get32(rec.data.data);

        rt_buf_put(b, rec.data.data + RT_CHECKPOINT_HEAD,
                   rec.data.len - RT_CHECKPOINT_HEAD);
        addr = rec.next;

    } while (rt_buf_size(b) < size);

    return RT_OK;
}


rt_int_t
rt_checkpoint_restore(rt_past_t *p, const rt_checkpoint_t *c,
    void *state)
{
    rt_int_t     rc;
    rt_buf_t     b;
    rt_reader_t  r;

    memset(&b, 0, sizeof(rt_buf_t));

    rc = rt_checkpoint_read(p, c, &b);

    if (rc == RT_OK) {
        rt_reader_init(&r, b.pos, rt_buf_size(&b));

        if (p->engine->restore(state, &r) != RT_OK || r.bad
            || r.pos != r.last)
        {
            rc = RT_ERROR;
        }
    }

    if (rc == RT_ERROR) {
        rt_log(RT_LOG_CRIT, 0, "the checkpoint at %08u.seg:%u cannot be read",
               rt_addr_segment(c->addr), rt_addr_offset(c->addr));
    }

    rt_buf_free(&b);

    return rc;
}
