/*
 * Hash table with linear probing, doubled at two thirds; a binary heap of the
 * entities that wait for a time, be it for a tick or for a live message.
 * Entities are never removed.
 */


#include "rt_entity.h"


#define RT_ENTITIES_MIN  1024


/* FNV would do for fair names; this one mixes eight bytes at a time */

static uint64_t
rt_entity_hash(const rt_engine_t *engine, rt_str_t name)
{
    size_t         n;
    uint64_t       h, v;
    const u_char  *p;

    h = 0x9e3779b97f4a7c15ull * (engine->id + 1ull) ^ name.len;
    p = name.data;

    for (n = name.len; n >= 8; n -= 8, p += 8) {
        memcpy(&v, p, 8);
        h = (h ^ v) * 0xff51afd7ed558ccdull;
        h ^= h >> 32;
    }

    v = 0;
    memcpy(&v, p, n);
    h = (h ^ v) * 0xff51afd7ed558ccdull;
    h ^= h >> 29;
    h *= 0xc4ceb9fe1a85ec53ull;

    return h ^ h >> 32;
}


void
rt_entities_init(rt_entities_t *t)
{
    memset(t, 0, sizeof(rt_entities_t));

    t->mask = RT_ENTITIES_MIN - 1;
    t->slots = rt_calloc(RT_ENTITIES_MIN * sizeof(void *));
}


void
rt_entities_free(rt_entities_t *t)
{
    size_t        i;
    rt_entity_t  *e;

    for (i = 0; i <= t->mask; i++) {
        e = t->slots[i];

        if (e == NULL) {
            continue;
        }

        if (e->state) {
            e->engine->destroy(e->state);
        }

        free(e->marks);
        free(e->clock);
        free(e);
    }

    free(t->slots);
    free(t->heap);
    memset(t, 0, sizeof(rt_entities_t));
}


rt_entity_t *
rt_entity_find(rt_entities_t *t, const rt_engine_t *engine, rt_str_t name)
{
    size_t        i;
    uint64_t      hash;
    rt_entity_t  *e;

    hash = rt_entity_hash(engine, name);

    for (i = hash & t->mask; /* void */ ; i = (i + 1) & t->mask) {
        e = t->slots[i];

        if (e == NULL) {
            return NULL;
        }

        if (e->hash == hash && e->engine == engine
            && rt_str_eq(rt_entity_name(e), name))
        {
            return e;
        }
    }
}


static void
rt_entity_place(rt_entities_t *t, rt_entity_t *e)
{
    size_t  i;

    i = e->hash & t->mask;

    while (t->slots[i]) {
        i = (i + 1) & t->mask;
    }

    t->slots[i] = e;
}


static void
rt_entities_double(rt_entities_t *t)
{
    size_t         i, n;
    rt_entity_t  **old;

    n = t->mask + 1;
    old = t->slots;

    t->mask = n * 2 - 1;
    t->slots = rt_calloc(n * 2 * sizeof(void *));

    for (i = 0; i < n; i++) {
        if (old[i]) {
            rt_entity_place(t, old[i]);
        }
    }

    free(old);
}


rt_entity_t *
rt_entity_add(rt_entities_t *t, const rt_engine_t *engine, rt_str_t name)
{
    rt_entity_t  *e;

    if (t->n * 3 > t->mask * 2) {
        rt_entities_double(t);
    }

    e = rt_calloc(sizeof(rt_entity_t) + name.len);

    e->engine = engine;
    e->hash = rt_entity_hash(engine, name);
    e->name_len = (uint32_t) name.len;
    memcpy(e->name, name.data, name.len);

    rt_entity_place(t, e);
    t->n++;

    return e;
}


void
rt_entity_note(rt_entity_t *e, uint64_t version, uint64_t addr, uint64_t seq)
{
    e->version = version;
    e->last_addr = addr;
    e->last_seq = seq;

    if (e->first_addr == 0) {
        e->first_addr = addr;
    }

    if (version % RT_ENTITY_MARK != 0 && e->engine->source == NULL) {
        return;
    }

    if (e->nmarks == e->max_marks) {
        e->max_marks = rt_max(e->max_marks * 2, 4);
        e->marks = rt_realloc(e->marks, e->max_marks * sizeof(uint64_t));
    }

    e->marks[e->nmarks++] = addr;
}


static void
rt_due_put(rt_entities_t *t, rt_entity_t *e, size_t i)
{
    t->heap[i] = e;
    e->place = i;
}


static void
rt_due_sift(rt_entities_t *t, rt_entity_t *e, size_t i)
{
    size_t  k;

    while (i > 1 && e->at_ms < t->heap[i / 2]->at_ms) {
        rt_due_put(t, t->heap[i / 2], i);
        i /= 2;
    }

    for ( ;; ) {
        k = i * 2;

        if (k > t->heap_n) {
            break;
        }

        if (k < t->heap_n && t->heap[k + 1]->at_ms < t->heap[k]->at_ms) {
            k++;
        }

        if (e->at_ms <= t->heap[k]->at_ms) {
            break;
        }

        rt_due_put(t, t->heap[k], i);
        i = k;
    }

    rt_due_put(t, e, i);
}


/* by the earlier of its tick and its clock */

static void
rt_due_place(rt_entities_t *t, rt_entity_t *e)
{
    size_t        i;
    uint64_t      at_ms;
    rt_entity_t  *last;

    at_ms = e->due_ms;

    if (e->clock && e->clock->due_ms) {
        at_ms = at_ms ? rt_min(at_ms, e->clock->due_ms) : e->clock->due_ms;
    }

    if (e->at_ms == at_ms) {
        return;
    }

    e->at_ms = at_ms;

    if (at_ms == 0) {
        i = e->place;
        e->place = 0;
        last = t->heap[t->heap_n--];

        if (last != e) {
            rt_due_sift(t, last, i);
        }

        return;
    }

    if (e->place == 0) {

        if (t->heap_n + 2 > t->heap_max) {
            t->heap_max = rt_max(t->heap_max * 2, 64);
            t->heap = rt_realloc(t->heap, t->heap_max * sizeof(void *));
        }

        e->place = ++t->heap_n;
    }

    rt_due_sift(t, e, e->place);
}


void
rt_entity_set_due(rt_entities_t *t, rt_entity_t *e, uint64_t due_ms)
{
    e->due_ms = due_ms;
    rt_due_place(t, e);
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
    rt_due_place(t, e);
}
