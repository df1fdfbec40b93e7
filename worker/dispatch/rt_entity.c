/*
 * A table by engine and name, a list of all, and a heap of the entities that
 * wait for a time, be it for a tick or for a live message.
 */


#include "rt_entity.h"


#define RT_ENTITIES_MIN  1024


static uint64_t
rt_entity_hash(const rt_entities_t *t, const rt_engine_t *engine, rt_str_t name)
{
    /* the same name in another engine is in another bucket */

    return rt_table_hash(&t->table, name.data, name.len)
           + engine->id * 0x9e3779b97f4a7c15ull;
}


void
rt_entities_init(rt_entities_t *t)
{
    memset(t, 0, sizeof(rt_entities_t));
    rt_table_init(&t->table, RT_ENTITIES_MIN);
}


static void
rt_entity_free(rt_entity_t *e)
{
    if (e->state) {
        e->engine->destroy(e->state);
    }

    free(e->marks);
    free(e->checkpoints);
    free(e->clock);
    free(e);
}


void
rt_entities_free(rt_entities_t *t)
{
    size_t  i;

    for (i = 0; i < t->n; i++) {
        rt_entity_free(t->list[i]);
    }

    free(t->list);
    rt_table_free(&t->table);
    rt_heap_free(&t->heap);
    memset(t, 0, sizeof(rt_entities_t));
}


rt_entity_t *
rt_entity_find(rt_entities_t *t, const rt_engine_t *engine, rt_str_t name)
{
    rt_entity_t      *e;
    rt_table_node_t  *n;

    n = rt_table_first(&t->table, rt_entity_hash(t, engine, name));

    for ( /* void */ ; n; n = rt_table_next(n)) {
        e = rt_item(n, rt_entity_t, node);

        if (e->engine == engine && rt_str_eq(rt_entity_name(e), name)) {
            return e;
        }
    }

    return NULL;
}


rt_entity_t *
rt_entity_add(rt_entities_t *t, const rt_engine_t *engine, rt_str_t name)
{
    rt_entity_t  *e;

    if (t->n == t->max) {
        t->max = rt_max(t->max * 2, RT_ENTITIES_MIN);
        t->list = rt_realloc(t->list, t->max * sizeof(rt_entity_t *));
    }

    e = rt_calloc(sizeof(rt_entity_t) + name.len);

    e->engine = engine;
    e->name_len = (uint32_t) name.len;
    memcpy(e->name, name.data, name.len);

    rt_table_add(&t->table, &e->node, rt_entity_hash(t, engine, name));
    e->place = t->n;
    t->list[t->n++] = e;

    rt_assert(t->n == t->table.n);

    return e;
}


void
rt_entity_remove(rt_entities_t *t, rt_entity_t *e)
{
    rt_entity_t  *last;

    rt_assert(e->holds == 0 && e->reads == 0 && e->subscriptions == NULL
              && !e->dirty && (e->clock == NULL || !e->clock->listed));

    rt_heap_delete(&t->heap, &e->first);
    rt_table_delete(&t->table, &e->node);

    last = t->list[--t->n];
    last->place = e->place;
    t->list[e->place] = last;

    rt_entity_free(e);
}


void
rt_entity_note(rt_entity_t *e, uint64_t version, uint64_t addr, uint64_t seq)
{
    rt_assert(version == e->version + 1);
    rt_assert(addr > e->last_addr);

    e->version = version;
    e->last_addr = addr;
    e->last_seq = seq;

    if (e->first_addr == 0) {
        e->first_addr = addr;
    }

    if (version % RT_ENTITY_MARK == 0) {
        rt_entity_mark(e, addr);
    }
}


void
rt_entity_mark(rt_entity_t *e, uint64_t addr)
{
    if (e->nmarks == e->max_marks) {
        e->max_marks = rt_max(e->max_marks * 2, 4);
        e->marks = rt_realloc(e->marks, e->max_marks * sizeof(uint64_t));
    }

    e->marks[e->nmarks++] = addr;
}


void
rt_entity_checkpoint(rt_entity_t *e, uint64_t version, uint64_t addr)
{
    rt_checkpoint_t  *c;

    if (e->ncheckpoints == e->max_checkpoints) {
        e->max_checkpoints = rt_max(e->max_checkpoints * 2, 2);
        e->checkpoints = rt_realloc(e->checkpoints, e->max_checkpoints
                                                    * sizeof(rt_checkpoint_t));
    }

    c = &e->checkpoints[e->ncheckpoints++];
    c->version = version;
    c->addr = addr;
}


/* by the earliest of its tick, its clock and its going */

static void
rt_entity_place(rt_entities_t *t, rt_entity_t *e)
{
    uint64_t  at_ms;

    at_ms = e->due_ms;

    if (e->clock && e->clock->due_ms) {
        at_ms = at_ms ? rt_min(at_ms, e->clock->due_ms) : e->clock->due_ms;
    }

    if (e->leave_ms) {
        at_ms = at_ms ? rt_min(at_ms, e->leave_ms) : e->leave_ms;
    }

    if (rt_entity_at(e) == at_ms) {
        return;
    }

    if (at_ms == 0) {
        rt_heap_delete(&t->heap, &e->first);

    } else {
        rt_heap_set(&t->heap, &e->first, at_ms);
    }
}


void
rt_entity_set_due(rt_entities_t *t, rt_entity_t *e, uint64_t due_ms)
{
    e->due_ms = due_ms;
    rt_entity_place(t, e);
}


void
rt_entity_set_leave(rt_entities_t *t, rt_entity_t *e, uint64_t leave_ms)
{
    e->leave_ms = leave_ms;
    rt_entity_place(t, e);
}


void
rt_entity_set_clock(rt_entities_t *t, rt_entity_t *e, uint64_t due_ms,
    uint64_t last_ms)
{
    if (e->clock == NULL) {

        if (due_ms == 0) {
            return;
        }

        e->clock = rt_calloc(sizeof(rt_clock_t));
    }

    e->clock->due_ms = due_ms;
    e->clock->last_ms = last_ms;
    rt_entity_place(t, e);
}
