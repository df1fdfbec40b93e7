/*
 * Presences: which slots subscribe to a topic or pattern, how many in each, and
 * who is to be rung for a message.  A cell has room for some; the rest is in
 * cells of their own, the crowd.
 */

#include "ngx_http_rt_index_private.h"


/* cells that the presences of all slots need */
#define NGX_HTTP_RT_CROWDS_MAX  (NGX_HTTP_RT_SLOTS / NGX_HTTP_RT_CELL_CROWD + 2)


static int ngx_http_rt_index_add_presence(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, unsigned slot);
static ngx_http_rt_cell_t *ngx_http_rt_index_add_crowd(
    ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell,
    ngx_http_rt_cell_t *last);
static void ngx_http_rt_index_shaped(ngx_http_rt_index_t *index,
    unsigned shape, const ngx_http_rt_segments_t *segments, size_t len,
    ngx_http_rt_presence_t *p);
static void ngx_http_rt_index_shapeless(ngx_http_rt_index_t *index,
    const u_char *topic, size_t len, ngx_http_rt_presence_t *p);
static uint32_t *ngx_http_rt_index_presences(ngx_http_rt_cell_t *in);
static uint32_t *ngx_http_rt_index_slot(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, unsigned slot, ngx_http_rt_cell_t **in);
static void ngx_http_rt_index_vacate(ngx_http_rt_cell_t *in, uint32_t *p);


/* never more than there is room for */

static inline uint32_t
ngx_http_rt_index_npresence(ngx_http_rt_cell_t *in)
{
    uint32_t  most;

    most = (in->kind == NGX_HTTP_RT_CELL_CROWDED) ? NGX_HTTP_RT_CELL_CROWD
                                                  : NGX_HTTP_RT_CELL_PRESENCES;

    return (in->npresence < most) ? in->npresence : most;
}


#define ngx_http_rt_index_is_shapeless(cell)                                  \
    ((cell)->kind == NGX_HTTP_RT_CELL_PATTERN                                 \
     && (cell)->shape == NGX_HTTP_RT_SHAPE_NONE)


int
ngx_http_rt_index_enter(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell,
    unsigned slot)
{
    uint32_t            *p;
    ngx_http_rt_cell_t  *in;

    p = ngx_http_rt_index_slot(index, cell, slot, &in);

    if (p) {
        if (NGX_HTTP_RT_COUNT(*p) == NGX_HTTP_RT_PRESENCE_MAX) {
            return -1;
        }

        (*p)++;

    } else if (ngx_http_rt_index_add_presence(index, cell, slot) != 0) {
        return -1;
    }

    if (ngx_http_rt_index_is_shapeless(cell)) {
        index->rung[slot]++;
    }

    return 0;
}


static int
ngx_http_rt_index_add_presence(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, unsigned slot)
{
    uint32_t            *p, steps;
    ngx_http_rt_cell_t  *in, *last;

    if (!ngx_http_rt_index_held(cell)
        && index->nreaders + ngx_http_rt_index_weight(index, cell)
           > index->most_readers)
    {
        return -1;
    }

    steps = 0;

    for (in = cell, last = cell;
         in;
         last = in, in = ngx_http_rt_index_next_crowd(index, in, &steps))
    {
        if (in->npresence < (in == cell ? NGX_HTTP_RT_CELL_PRESENCES
                                        : NGX_HTTP_RT_CELL_CROWD))
        {
            break;
        }
    }

    if (in == NULL) {
        in = ngx_http_rt_index_add_crowd(index, cell, last);
        if (in == NULL) {
            return -1;
        }
    }

    p = ngx_http_rt_index_presences(in);
    p[in->npresence] = (uint32_t) slot << 24 | 1;
    __atomic_store_n(&in->npresence, in->npresence + 1, __ATOMIC_RELEASE);

    if (cell->kind == NGX_HTTP_RT_CELL_TOPIC && cell->listed) {
        ngx_http_rt_index_unlist(index, cell);
        index->nreaders += ngx_http_rt_index_weight(index, cell);
    }

    return 0;
}


static ngx_http_rt_cell_t *
ngx_http_rt_index_add_crowd(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, ngx_http_rt_cell_t *last)
{
    ngx_http_rt_cell_t  *in;

    if (index->nreaders == index->most_readers) {
        return NULL;
    }

    in = ngx_http_rt_index_alloc(index, NGX_HTTP_RT_CELL_CROWDED);
    if (in == NULL) {
        return NULL;
    }

    *(last == cell ? &last->crowd : &last->next) =
                                        ngx_http_rt_index_number(index, in);

    index->nreaders += ngx_http_rt_index_held(cell);

    return in;
}


/* the cells of a topic or pattern: its own, the rest of its name, the crowd */

uint32_t
ngx_http_rt_index_weight(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    uint32_t             n, steps;
    ngx_http_rt_cell_t  *in;

    n = (cell->rest != 0);
    steps = 0;

    for (in = cell;
         in;
         in = ngx_http_rt_index_next_crowd(index, in, &steps))
    {
        n++;
    }

    return n;
}


void
ngx_http_rt_index_leave(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell,
    unsigned slot)
{
    uint32_t            *p;
    ngx_http_rt_cell_t  *in;

    p = ngx_http_rt_index_slot(index, cell, slot, &in);

    if (p == NULL) {
        return;
    }

    if (ngx_http_rt_index_is_shapeless(cell)) {
        index->rung[slot]--;
    }

    if (NGX_HTTP_RT_COUNT(*p) > 1) {
        (*p)--;
        return;
    }

    ngx_http_rt_index_vacate(in, p);
    ngx_http_rt_index_settle(index, cell);
}


/* adds the cell's slots and subscribers to p */

void
ngx_http_rt_index_presence(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, ngx_http_rt_presence_t *p)
{
    uint32_t             i, steps, *presence;
    unsigned             slot;
    ngx_http_rt_cell_t  *in;

    steps = 0;

    for (in = cell;
         in;
         in = ngx_http_rt_index_next_crowd(index, in, &steps))
    {
        presence = ngx_http_rt_index_presences(in);

        for (i = 0; i < ngx_http_rt_index_npresence(in); i++) {
            slot = NGX_HTTP_RT_SLOT(presence[i]);
            p->slots[slot / 64] |= (uint64_t) 1 << slot % 64;
            p->subscribers += NGX_HTTP_RT_COUNT(presence[i]);
        }
    }
}


/* the same for all patterns that match the topic */

void
ngx_http_rt_index_patterns(ngx_http_rt_index_t *index, const u_char *topic,
    size_t len, ngx_http_rt_presence_t *p)
{
    uint64_t                bits;
    ngx_http_rt_segments_t  segments;

    if (index->patterns == 0) {
        return;
    }

    ngx_http_rt_shape_split(&segments, topic, len);

    for (bits = index->shapes.used; bits; bits &= bits - 1) {
        ngx_http_rt_index_shaped(index, __builtin_ctzll(bits), &segments, len,
                                 p);
    }

    if (index->shapeless.oldest) {
        ngx_http_rt_index_shapeless(index, topic, len, p);
    }
}


static void
ngx_http_rt_index_shaped(ngx_http_rt_index_t *index, unsigned shape,
    const ngx_http_rt_segments_t *segments, size_t len,
    ngx_http_rt_presence_t *p)
{
    size_t               n;
    u_char               name[NGX_HTTP_RT_TOPIC_MAX];
    uint32_t             hash, steps;
    ngx_http_rt_cell_t  *cell;

    if (ngx_http_rt_shape_hash_topic(&index->shapes, shape, &index->seed,
                                     segments, &hash)
        != 0)
    {
        return;
    }

    steps = 0;

    for (cell = ngx_http_rt_index_at(index,
                                     index->buckets[hash & index->mask]);
         cell;
         cell = ngx_http_rt_index_next(index, cell, &steps))
    {
        if (cell->hash != hash || cell->kind != NGX_HTTP_RT_CELL_PATTERN
            || cell->shape != shape)
        {
            continue;
        }

        n = ngx_http_rt_index_name(index, cell, name);

        if (ngx_http_rt_pattern_match(name, n, segments->topic, len)) {
            ngx_http_rt_index_presence(index, cell, p);
        }
    }
}


/* all their slots, but subscribers only of a few */

static void
ngx_http_rt_index_shapeless(ngx_http_rt_index_t *index, const u_char *topic,
    size_t len, ngx_http_rt_presence_t *p)
{
    size_t               n;
    u_char               name[NGX_HTTP_RT_TOPIC_MAX];
    unsigned             i;
    ngx_http_rt_cell_t  *cell;

    for (i = 0; i < NGX_HTTP_RT_SLOTS; i++) {
        if (index->rung[i]) {
            p->slots[i / 64] |= (uint64_t) 1 << i % 64;
        }
    }

    cell = ngx_http_rt_index_at(index, index->shapeless.oldest);

    for (i = 0; cell && i < NGX_HTTP_RT_SHAPELESS; i++) {
        n = ngx_http_rt_index_name(index, cell, name);

        if (ngx_http_rt_pattern_match(name, n, topic, len)) {
            ngx_http_rt_index_presence(index, cell, p);
        }

        cell = ngx_http_rt_index_at(index, cell->newer);
    }
}


/* of one that is without a shape, what it adds to the slots to be rung */

void
ngx_http_rt_index_count_rung(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell)
{
    uint32_t             i, steps, *p;
    ngx_http_rt_cell_t  *in;

    steps = 0;

    for (in = cell;
         in;
         in = ngx_http_rt_index_next_crowd(index, in, &steps))
    {
        p = ngx_http_rt_index_presences(in);

        for (i = 0; i < ngx_http_rt_index_npresence(in); i++) {
            index->rung[NGX_HTTP_RT_SLOT(p[i])] += NGX_HTTP_RT_COUNT(p[i]);
        }
    }
}


/*
 * Takes a slot's presences out of n cells beginning with "from"; returns where
 * to go on, or 0 at the end.
 */

uint32_t
ngx_http_rt_index_sweep(ngx_http_rt_index_t *index, unsigned slot,
    uint32_t from, uint32_t n)
{
    uint32_t            *p;
    ngx_http_rt_cell_t  *cell, *in;

    for ( /* void */ ; n && from < index->ncells; n--, from++) {
        cell = &index->cells[from];

        if (cell->kind != NGX_HTTP_RT_CELL_TOPIC
            && cell->kind != NGX_HTTP_RT_CELL_PATTERN)
        {
            continue;
        }

        p = ngx_http_rt_index_slot(index, cell, slot, &in);

        if (p) {

            if (ngx_http_rt_index_is_shapeless(cell)) {
                index->rung[slot] -= NGX_HTTP_RT_COUNT(*p);
            }

            ngx_http_rt_index_vacate(in, p);
            ngx_http_rt_index_settle(index, cell);
        }
    }

    return (from < index->ncells) ? from : 0;
}


/* the cells that hold a topic's presences: its own, then the crowded ones */

ngx_http_rt_cell_t *
ngx_http_rt_index_next_crowd(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *in, uint32_t *steps)
{
    uint32_t  n;

    n = (in->kind == NGX_HTTP_RT_CELL_CROWDED) ? in->next : in->crowd;

    if (n == 0) {
        return NULL;
    }

    if (n >= index->ncells
        || index->cells[n].kind != NGX_HTTP_RT_CELL_CROWDED
        || ++*steps > NGX_HTTP_RT_CROWDS_MAX)
    {
        index->damaged = 1;
        return NULL;
    }

    return &index->cells[n];
}


static uint32_t *
ngx_http_rt_index_presences(ngx_http_rt_cell_t *in)
{
    return (in->kind == NGX_HTTP_RT_CELL_CROWDED) ? in->crowded
                                                  : in->presence;
}


/* the slot's presence and the cell that holds it, or NULL */

static uint32_t *
ngx_http_rt_index_slot(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell,
    unsigned slot, ngx_http_rt_cell_t **in)
{
    uint32_t  i, steps, *p;

    steps = 0;

    for (*in = cell;
         *in;
         *in = ngx_http_rt_index_next_crowd(index, *in, &steps))
    {
        p = ngx_http_rt_index_presences(*in);

        for (i = 0; i < ngx_http_rt_index_npresence(*in); i++) {
            if (NGX_HTTP_RT_SLOT(p[i]) == slot) {
                return &p[i];
            }
        }
    }

    return NULL;
}


static void
ngx_http_rt_index_vacate(ngx_http_rt_cell_t *in, uint32_t *p)
{
    *p = ngx_http_rt_index_presences(in)[in->npresence - 1];

    __atomic_store_n(&in->npresence, in->npresence - 1, __ATOMIC_RELEASE);
}


/* a death in the middle of vacate() leaves the last presence twice */

void
ngx_http_rt_index_dedup(ngx_http_rt_cell_t *in)
{
    uint32_t  i, *p;

    p = ngx_http_rt_index_presences(in);

    in->npresence = ngx_http_rt_index_npresence(in);

    for (i = 0; i + 1 < in->npresence; i++) {
        if (NGX_HTTP_RT_SLOT(p[i]) == NGX_HTTP_RT_SLOT(p[in->npresence - 1])) {
            in->npresence--;
        }
    }
}


int
ngx_http_rt_index_vacant(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    uint32_t             steps;
    ngx_http_rt_cell_t  *in;

    steps = 0;

    for (in = cell;
         in;
         in = ngx_http_rt_index_next_crowd(index, in, &steps))
    {
        if (in->npresence) {
            return 0;
        }
    }

    return 1;
}


/* a topic or pattern that may have lost its last subscriber */

void
ngx_http_rt_index_settle(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    if (!ngx_http_rt_index_vacant(index, cell)) {
        return;
    }

    if (cell->kind == NGX_HTTP_RT_CELL_PATTERN || cell->topic.seq == 0) {
        ngx_http_rt_index_remove(index, cell);

    } else if (!cell->listed) {
        index->nreaders -= ngx_http_rt_index_weight(index, cell);
        ngx_http_rt_index_list(index, cell);
    }
}
