/*
 * The body of a snapshot: the whole state as bytes, written and read.
 */


#include "rt_dispatch_private.h"
#include "rt_log.h"


/*
 * What a snapshot says of the program that wrote it: the versions of its
 * event types, and which projections are in it.
 */

static void
rt_image_engines(rt_dispatch_t *d, rt_buf_t *b)
{
    rt_uint_t           i;
    rt_projection_t    *p;
    const rt_engine_t  *engine;

    for (i = 0; rt_engines[i]; i++) {
        engine = rt_engines[i];
        p = rt_projection_find(d, engine);

        rt_buf_put8(b, engine->id);
        rt_buf_put32(b, engine->revision);
        rt_buf_put64(b, p ? p->since : 0);
        rt_buf_put8(b, (uint8_t) engine->ntypes);
        rt_buf_put(b, engine->types, engine->ntypes);
    }

    rt_buf_put8(b, 0);                      /* no engine's id */
}


static void
rt_image_entity(rt_entity_t *e, rt_buf_t *b)
{
    size_t    at;
    uint32_t  i;

    rt_buf_put8(b, e->engine->id);
    rt_buf_put_str(b, rt_entity_name(e));
    rt_buf_put64(b, e->version);
    rt_buf_put64(b, e->first_addr);
    rt_buf_put64(b, e->last_addr);
    rt_buf_put64(b, e->last_seq);
    rt_buf_put64(b, e->used_ms);
    rt_buf_put64(b, e->ended_ms);
    rt_buf_put32(b, e->nmarks);

    for (i = 0; i < e->nmarks; i++) {
        rt_buf_put64(b, e->marks[i]);
    }

    rt_buf_put32(b, e->ncheckpoints);

    for (i = 0; i < e->ncheckpoints; i++) {
        rt_buf_put64(b, e->checkpoints[i].version);
        rt_buf_put64(b, e->checkpoints[i].addr);
    }

    rt_buf_put8(b, e->state != NULL);

    if (e->state == NULL) {
        return;                             /* evicted: its events are kept */
    }

    at = rt_buf_size(b);
    rt_buf_put32(b, 0);

    e->engine->snapshot(e->state, b);

    rt_set32(b->pos + at, (uint32_t) (rt_buf_size(b) - at - 4));
}


static void
rt_image_entities(rt_entities_t *t, rt_snapshot_writer_t *w)
{
    size_t  i;

    rt_buf_put64(&w->buf, t->n);

    for (i = 0; i < t->n; i++) {
        rt_image_entity(t->list[i], &w->buf);
        rt_snapshot_flush(w);
    }
}


rt_int_t
rt_image_write(rt_dispatch_t *d)
{
    rt_snapshot_head_t    head;
    rt_snapshot_writer_t  w;

    head.epoch = d->journal.epoch;
    head.seq = d->snapshot_seq;
    head.addr = d->snapshot_next;
    head.time_ms = d->journal.last_time;

    if (rt_snapshot_create(&w, d->conf.journal.dir, &head) != RT_OK) {
        return RT_ERROR;
    }

    rt_image_engines(d, &w.buf);

    rt_buf_put64(&w.buf, d->since_hash);
    rt_idem_save(&d->idems, &w.buf);

    rt_image_entities(&d->entities, &w);
    rt_image_entities(&d->projected, &w);

    return rt_snapshot_finish(&w);
}


/*
 * A newer program's state may come from events that this one cannot read.
 * The projections that are in the snapshot get their "since".
 */

static rt_int_t
rt_image_load_engines(rt_dispatch_t *d, uint64_t *sinces, rt_reader_t *r)
{
    uint8_t             id, n;
    uint32_t            revision;
    uint64_t            since;
    rt_uint_t           i, known;
    const u_char       *types;
    rt_projection_t    *p;
    const rt_engine_t  *engine;

    for (id = rt_read8(r); id; id = rt_read8(r)) {
        revision = rt_read32(r);
        since = rt_read64(r);
        n = rt_read8(r);
        types = rt_read(r, n);

        engine = rt_engine_by_id(id);

        if (types == NULL || engine == NULL) {
            continue;
        }

        for (i = 0; i < n; i++) {
            known = rt_engine_version(engine, i);

            if (types[i] > known) {
                rt_log(RT_LOG_WARN, 0, "the snapshot is of a newer realtimed: "
                       "it knows \"%s\" events of type %u in version %u, this "
                       "one in %u", engine->name, (unsigned) i, types[i],
                       (unsigned) known);
                return RT_DECLINED;
            }
        }

        p = rt_projection_find(d, engine);

        if (p && revision == engine->revision) {
            sinces[p - d->projections] = since;
        }
    }

    return RT_OK;
}


static rt_int_t
rt_image_load_state(rt_dispatch_t *d, rt_entity_t *e, rt_str_t bytes)
{
    rt_reader_t  r;

    rt_reader_init(&r, bytes.data, bytes.len);

    e->state = e->engine->create();

    if (e->engine->restore(e->state, &r) != RT_OK || r.bad || r.pos != r.last) {
        return RT_ERROR;
    }

    if (e->engine->source == NULL) {
        rt_commit_due(d, e);
    }

    return RT_OK;
}


/* where its events and its checkpoints lie */

static void
rt_image_load_places(rt_entity_t *e, rt_str_t marks, rt_str_t checkpoints)
{
    uint64_t     version;
    rt_reader_t  r;

    rt_reader_init(&r, marks.data, marks.len);

    while (r.pos < r.last) {
        rt_entity_mark(e, rt_read64(&r));
    }

    rt_reader_init(&r, checkpoints.data, checkpoints.len);

    while (r.pos < r.last) {
        version = rt_read64(&r);
        rt_entity_checkpoint(e, version, rt_read64(&r));
    }
}


static rt_str_t
rt_image_read_list(rt_reader_t *r, size_t size)
{
    rt_str_t  s;

    s.len = (size_t) rt_read32(r) * size;
    s.data = rt_read(r, s.len);

    return s;
}


static rt_int_t
rt_image_load_entity(rt_dispatch_t *d, rt_entities_t *t, rt_reader_t *r)
{
    rt_str_t            name, state, marks, checkpoints;
    rt_uint_t           evicted;
    rt_entity_t        *e;
    const u_char       *numbers;
    rt_projection_t    *p;
    const rt_engine_t  *engine;

    engine = rt_engine_by_id(rt_read8(r));
    name = rt_read_str(r);

    numbers = rt_read(r, 6 * 8);
    marks = rt_image_read_list(r, 8);
    checkpoints = rt_image_read_list(r, 16);

    evicted = rt_read8(r) == 0;
    memset(&state, 0, sizeof(rt_str_t));

    if (!evicted) {
        state = rt_read_str(r);
    }

    if (r->bad) {
        return RT_ERROR;
    }

    p = engine ? rt_projection_find(d, engine) : NULL;

    if (t == &d->projected && (p == NULL || p->since == 0)) {
        return RT_OK;                       /* gone, or to be built anew */
    }

    if (engine == NULL || (p && evicted)) {
        return RT_ERROR;
    }

    e = rt_entity_add(t, engine, name);

    e->version = rt_get64(numbers);
    e->first_addr = rt_get64(numbers + 8);
    e->last_addr = rt_get64(numbers + 16);
    e->last_seq = rt_get64(numbers + 24);
    e->used_ms = rt_get64(numbers + 32);

    e->ended_ms = rt_get64(numbers + 40);

    rt_image_load_places(e, marks, checkpoints);

    if (p) {
        p->entities++;
    }

    if (evicted) {
        rt_end_look(d, e);
        return RT_OK;
    }

    return rt_image_load_state(d, e, state);
}


static rt_int_t
rt_image_load_entities(rt_dispatch_t *d, rt_entities_t *t, rt_reader_t *r)
{
    uint64_t  n;

    for (n = rt_read64(r); n; n--) {
        if (rt_image_load_entity(d, t, r) != RT_OK) {
            return RT_ERROR;
        }
    }

    return RT_OK;
}


rt_int_t
rt_image_load(rt_dispatch_t *d, rt_reader_t *r)
{
    uint64_t   sinces[RT_ENGINES_MAX];
    rt_uint_t  i;

    memset(sinces, 0, sizeof(sinces));

    if (rt_image_load_engines(d, sinces, r) != RT_OK) {
        return RT_DECLINED;
    }

    for (i = 0; i < d->nprojections; i++) {
        d->projections[i].since = sinces[i];
    }

    d->since_hash = rt_read64(r);

    if (rt_idem_restore(&d->idems, r) != RT_OK
        || rt_image_load_entities(d, &d->entities, r) != RT_OK
        || rt_image_load_entities(d, &d->projected, r) != RT_OK)
    {
        return RT_ERROR;
    }

    return r->bad || r->pos != r->last ? RT_ERROR : RT_OK;
}
