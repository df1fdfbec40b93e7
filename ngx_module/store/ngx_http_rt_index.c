/*
 * Cells, the hash table, order lists, and which cell goes when none is free;
 * the header has the rules.  Cells are named by number, and 0 is none.
 */

#include "ngx_http_rt_index_private.h"
#include "ngx_http_rt_point.h"


_Static_assert(sizeof(ngx_http_rt_cell_t) == NGX_HTTP_RT_CELL_SIZE,
               "a cell has its size");


static ngx_http_rt_cell_t *ngx_http_rt_index_find_pattern(
    ngx_http_rt_index_t *index, const u_char *name, size_t len);
static ngx_http_rt_cell_t *ngx_http_rt_index_lookup(
    ngx_http_rt_index_t *index, unsigned kind, uint32_t hash,
    const u_char *name, size_t len);
static void ngx_http_rt_index_add_pattern(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, const u_char *name, size_t len);
static void ngx_http_rt_index_unhang(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
static ngx_http_rt_cell_t *ngx_http_rt_index_victim(
    ngx_http_rt_index_t *index, unsigned kind);
static ngx_http_rt_index_list_t *ngx_http_rt_index_list_of(
    ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell);
static void ngx_http_rt_index_forget(uint64_t *forgotten, uint32_t hash,
    uint64_t seq);
static size_t ngx_http_rt_index_segment(const u_char *name, size_t len);
static int ngx_http_rt_index_named(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, const u_char *name, size_t len);


/* base is zeroed memory, aligned to a cell */

int
ngx_http_rt_index_init(ngx_http_rt_index_t *index, u_char *base, size_t size)
{
    uint32_t  n;

    memset(index, 0, sizeof(ngx_http_rt_index_t));

    /* one bucket per cell or a little less costs 2% */

    for (n = 1; (size_t) n * 2 <= size / NGX_HTTP_RT_CELL_SIZE; n *= 2) {
        if (n == 0x40000000) {
            return -1;
        }
    }

    index->mask = n - 1;
    index->cells = (ngx_http_rt_cell_t *) base;
    index->ncells = (size - n * sizeof(uint32_t)) / NGX_HTTP_RT_CELL_SIZE;
    index->buckets = (uint32_t *) &index->cells[index->ncells];

    if (index->ncells < 2) {
        return -1;
    }

    index->most_readers = index->ncells / NGX_HTTP_RT_SHARE_READERS;
    index->least_keys = index->ncells / NGX_HTTP_RT_SHARE_KEYS;

    ngx_http_rt_index_repair(index);

    return 0;
}


uint32_t
ngx_http_rt_index_hash(const ngx_http_rt_index_t *index, const u_char *name,
    size_t len)
{
    uint64_t  hash;

    hash = ngx_http_rt_siphash(&index->seed, name, len);

    return (uint32_t) (hash ^ hash >> 32);
}


void
ngx_http_rt_index_prefetch(ngx_http_rt_index_t *index, uint32_t hash)
{
    ngx_http_rt_cell_t  *cell;

    cell = index->cells + index->buckets[hash & index->mask];

    __builtin_prefetch(cell);
    __builtin_prefetch(cell->presence);
    __builtin_prefetch(cell->name);
}


ngx_http_rt_cell_t *
ngx_http_rt_index_find(ngx_http_rt_index_t *index, unsigned kind,
    uint32_t hash, const u_char *name, size_t len)
{
    if (kind == NGX_HTTP_RT_CELL_PATTERN) {
        return ngx_http_rt_index_find_pattern(index, name, len);
    }

    return ngx_http_rt_index_lookup(index, kind, hash, name, len);
}


/* its shape may have found a place since, so it is also looked for elsewhere */

static ngx_http_rt_cell_t *
ngx_http_rt_index_find_pattern(ngx_http_rt_index_t *index, const u_char *name,
    size_t len)
{
    unsigned             shape;
    uint32_t             hash;
    ngx_http_rt_cell_t  *cell;

    shape = ngx_http_rt_shapes_find(&index->shapes, name, len);

    if (shape != NGX_HTTP_RT_SHAPE_NONE) {
        hash = ngx_http_rt_shape_hash_pattern(&index->shapes, shape,
                                              &index->seed, name, len);

        cell = ngx_http_rt_index_lookup(index, NGX_HTTP_RT_CELL_PATTERN, hash,
                                        name, len);

        if (cell || index->shapeless.oldest == 0) {
            return cell;
        }
    }

    return ngx_http_rt_index_lookup(index, NGX_HTTP_RT_CELL_PATTERN,
                                    ngx_http_rt_index_hash(index, name, len),
                                    name, len);
}


static ngx_http_rt_cell_t *
ngx_http_rt_index_lookup(ngx_http_rt_index_t *index, unsigned kind,
    uint32_t hash, const u_char *name, size_t len)
{
    uint32_t             steps;
    ngx_http_rt_cell_t  *cell;

    steps = 0;

    for (cell = ngx_http_rt_index_at(index,
                                     index->buckets[hash & index->mask]);
         cell;
         cell = ngx_http_rt_index_next(index, cell, &steps))
    {
        if (cell->hash == hash && cell->kind == kind
            && ngx_http_rt_index_named(index, cell, name, len))
        {
            return cell;
        }
    }

    return NULL;
}


int
ngx_http_rt_index_room(const ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, size_t len)
{
    uint32_t  n;

    if (cell && ngx_http_rt_index_held(cell)) {
        return 1;
    }

    n = 1 + (len > NGX_HTTP_RT_CELL_NAME);

    return index->nreaders + n <= index->most_readers;
}


ngx_http_rt_cell_t *
ngx_http_rt_index_add(ngx_http_rt_index_t *index, unsigned kind,
    uint32_t hash, const u_char *name, size_t len)
{
    size_t               n;
    ngx_http_rt_cell_t  *cell, *rest;

    if (kind == NGX_HTTP_RT_CELL_PATTERN
        && !ngx_http_rt_index_room(index, NULL, len))
    {
        return NULL;
    }

    cell = ngx_http_rt_index_alloc(index, kind);
    if (cell == NULL) {
        return NULL;
    }

    n = (len < NGX_HTTP_RT_CELL_NAME) ? len : NGX_HTTP_RT_CELL_NAME;

    if (len > n) {
        rest = ngx_http_rt_index_alloc(index, NGX_HTTP_RT_CELL_REST);
        if (rest == NULL) {
            ngx_http_rt_index_free(index, cell);
            return NULL;
        }

        memcpy(rest->text, name + n, len - n);
        cell->rest = ngx_http_rt_index_number(index, rest);
    }

    memcpy(cell->name, name, n);
    cell->name_len = len;
    cell->hash = hash;

    if (kind == NGX_HTTP_RT_CELL_PATTERN) {
        ngx_http_rt_index_add_pattern(index, cell, name, len);
        return cell;
    }

    cell->id = ++index->ids;
    cell->topic.floor = ngx_http_rt_index_forgotten(index, hash);
    index->topics++;

    ngx_http_rt_index_hang(index, cell);
    ngx_http_rt_index_list(index, cell);

    return cell;
}


static void
ngx_http_rt_index_add_pattern(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, const u_char *name, size_t len)
{
    cell->shape = ngx_http_rt_shapes_get(&index->shapes, name, len);

    cell->hash = (cell->shape == NGX_HTTP_RT_SHAPE_NONE)
                 ? ngx_http_rt_index_hash(index, name, len)
                 : ngx_http_rt_shape_hash_pattern(&index->shapes, cell->shape,
                                                  &index->seed, name, len);

    index->patterns++;
    index->nreaders += 1 + (cell->rest != 0);

    ngx_http_rt_index_hang(index, cell);

    if (cell->shape == NGX_HTTP_RT_SHAPE_NONE) {
        ngx_http_rt_index_list(index, cell);
    }
}


void
ngx_http_rt_index_remove(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    u_char               name[NGX_HTTP_RT_TOPIC_MAX];
    uint32_t             steps;
    ngx_http_rt_cell_t  *more, *next;

    if (ngx_http_rt_index_held(cell)) {
        index->nreaders -= ngx_http_rt_index_weight(index, cell);
    }

    if (cell->kind == NGX_HTTP_RT_CELL_TOPIC) {
        ngx_http_rt_index_remember(index, name,
                                   ngx_http_rt_index_name(index, cell, name),
                                   cell->hash, cell->topic.seq);
        index->topics--;

    } else if (cell->kind == NGX_HTTP_RT_CELL_PATTERN) {
        index->patterns--;
    }

    ngx_http_rt_point("unhang");

    ngx_http_rt_index_unhang(index, cell);

    ngx_http_rt_point("unhung");

    ngx_http_rt_index_unlist(index, cell);

    ngx_http_rt_point("unlisted");

    if (cell->kind == NGX_HTTP_RT_CELL_PATTERN
        && cell->shape < NGX_HTTP_RT_SHAPES)
    {
        ngx_http_rt_shapes_put(&index->shapes, cell->shape);
    }

    if (cell->kind != NGX_HTTP_RT_CELL_KEY) {

        steps = 0;

        for (more = ngx_http_rt_index_next_crowd(index, cell, &steps);
             more;
             more = next)
        {
            next = ngx_http_rt_index_next_crowd(index, more, &steps);
            ngx_http_rt_index_free(index, more);
        }

        more = ngx_http_rt_index_at(index, cell->rest);

        if (more) {
            ngx_http_rt_index_free(index, more);
        }
    }

    ngx_http_rt_index_free(index, cell);
}


void
ngx_http_rt_index_remember(ngx_http_rt_index_t *index, const u_char *name,
    size_t len, uint32_t hash, uint64_t seq)
{
    uint32_t  below;

    below = ngx_http_rt_index_hash(index, name,
                                   ngx_http_rt_index_segment(name, len));

    ngx_http_rt_index_forget(index->forgotten, hash, seq);
    ngx_http_rt_index_forget(index->forgotten_below, below, seq);
}


static void
ngx_http_rt_index_unhang(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    uint32_t             n, steps, *p;
    ngx_http_rt_cell_t  *before;

    n = ngx_http_rt_index_number(index, cell);
    p = &index->buckets[cell->hash & index->mask];
    steps = 0;

    for (before = ngx_http_rt_index_at(index, *p);
         before && before != cell;
         before = ngx_http_rt_index_next(index, before, &steps))
    {
        p = &before->next;
    }

    if (*p == n) {
        __atomic_store_n(p, cell->next, __ATOMIC_RELEASE);
    }
}


/* something happened in a topic: of the idle ones it is the newest */

void
ngx_http_rt_index_touch(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    if (cell->kind == NGX_HTTP_RT_CELL_TOPIC && cell->listed && cell->newer) {
        ngx_http_rt_index_unlist(index, cell);
        ngx_http_rt_index_list(index, cell);
    }
}


/* up to which seq a topic that the index does not have may have lost */

uint64_t
ngx_http_rt_index_forgotten(ngx_http_rt_index_t *index, uint32_t hash)
{
    return index->forgotten[hash % NGX_HTTP_RT_FORGOTTEN];
}


/* the same for all topics that match a pattern, or a little more than those */

uint64_t
ngx_http_rt_index_forgotten_match(ngx_http_rt_index_t *index,
    const u_char *pattern, size_t len)
{
    size_t    i, n;
    uint64_t  seq;

    n = ngx_http_rt_index_segment(pattern, len);

    if (ngx_http_rt_pattern_head(pattern, len) >= n) {
        i = ngx_http_rt_index_hash(index, pattern, n) % NGX_HTTP_RT_FORGOTTEN;
        return index->forgotten_below[i];
    }

    seq = 0;

    for (i = 0; i < NGX_HTTP_RT_FORGOTTEN; i++) {
        if (seq < index->forgotten_below[i]) {
            seq = index->forgotten_below[i];
        }
    }

    return seq;
}


static void
ngx_http_rt_index_forget(uint64_t *forgotten, uint32_t hash, uint64_t seq)
{
    forgotten += hash % NGX_HTTP_RT_FORGOTTEN;

    if (*forgotten < seq) {
        *forgotten = seq;
    }
}


/* the length of the first segment */

static size_t
ngx_http_rt_index_segment(const u_char *name, size_t len)
{
    const u_char  *p;

    p = memchr(name, '/', len);

    return p ? (size_t) (p - name) : len;
}


size_t
ngx_http_rt_index_name(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell,
    u_char *name)
{
    size_t               n;
    ngx_http_rt_cell_t  *rest;

    n = cell->name_len;

    if (n > NGX_HTTP_RT_CELL_NAME) {
        rest = ngx_http_rt_index_at(index, cell->rest);

        memcpy(name + NGX_HTTP_RT_CELL_NAME, (rest ? rest : cell)->text,
               n - NGX_HTTP_RT_CELL_NAME);
        n = NGX_HTTP_RT_CELL_NAME;
    }

    memcpy(name, cell->name, n);

    return cell->name_len;
}


/* the topic that a record names, if it has not been given up since */

ngx_http_rt_cell_t *
ngx_http_rt_index_of_topic(ngx_http_rt_index_t *index, uint32_t number,
    uint64_t id)
{
    ngx_http_rt_cell_t  *cell;

    if (number == 0 || number >= index->ncells) {
        return NULL;
    }

    cell = &index->cells[number];

    if (cell->kind != NGX_HTTP_RT_CELL_TOPIC || cell->id != id) {
        return NULL;
    }

    return cell;
}


ngx_http_rt_cell_t *
ngx_http_rt_index_alloc(ngx_http_rt_index_t *index, unsigned kind)
{
    ngx_http_rt_cell_t  *cell;

    if (index->free == 0) {
        cell = ngx_http_rt_index_victim(index, kind);

        if (cell == NULL) {
            return NULL;
        }

        if (cell->kind == NGX_HTTP_RT_CELL_TOPIC) {
            index->topics_evicted++;

        } else if (cell->key.time >= index->expired) {
            index->keys_evicted++;
        }

        ngx_http_rt_index_remove(index, cell);
    }

    cell = ngx_http_rt_index_at(index, index->free);
    if (cell == NULL) {
        return NULL;
    }

    index->free = cell->next;

    ngx_http_rt_point("taken");

    index->nfree--;

    memset(cell, 0, sizeof(ngx_http_rt_cell_t));
    cell->kind = kind;

    return cell;
}


/* a key that has its share, or is more than the share of keys, or a topic */

static ngx_http_rt_cell_t *
ngx_http_rt_index_victim(ngx_http_rt_index_t *index, unsigned kind)
{
    uint32_t             most;
    ngx_http_rt_cell_t  *key, *topic;

    key = ngx_http_rt_index_at(index, index->keys.oldest);
    topic = ngx_http_rt_index_at(index, index->idle.oldest);

    most = index->least_keys - (kind == NGX_HTTP_RT_CELL_KEY
                                && index->least_keys != 0);

    if (key && (index->nkeys > most || topic == NULL
                || key->key.time < index->expired))
    {
        return key;
    }

    return topic;
}


void
ngx_http_rt_index_free(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    cell->id = 0;
    cell->kind = NGX_HTTP_RT_CELL_FREE;
    cell->listed = 0;
    cell->next = index->free;

    index->free = ngx_http_rt_index_number(index, cell);
    index->nfree++;
}


void
ngx_http_rt_index_hang(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    uint32_t  *bucket;

    bucket = &index->buckets[cell->hash & index->mask];
    cell->next = *bucket;

    ngx_http_rt_point("hang");

    __atomic_store_n(bucket, ngx_http_rt_index_number(index, cell),
                     __ATOMIC_RELEASE);

    ngx_http_rt_point("hung");
}


static ngx_http_rt_index_list_t *
ngx_http_rt_index_list_of(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell)
{
    switch (cell->kind) {

    case NGX_HTTP_RT_CELL_KEY:
        return &index->keys;

    case NGX_HTTP_RT_CELL_PATTERN:
        return &index->shapeless;

    default:
        return &index->idle;
    }
}


void
ngx_http_rt_index_list(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    uint32_t                   n;
    ngx_http_rt_cell_t        *newest;
    ngx_http_rt_index_list_t  *list;

    n = ngx_http_rt_index_number(index, cell);
    list = ngx_http_rt_index_list_of(index, cell);
    newest = ngx_http_rt_index_at(index, list->newest);

    cell->listed = 1;
    cell->newer = 0;
    cell->older = list->newest;

    *(newest ? &newest->newer : &list->oldest) = n;

    list->newest = n;

    index->nkeys += (cell->kind == NGX_HTTP_RT_CELL_KEY);
}


void
ngx_http_rt_index_unlist(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    ngx_http_rt_cell_t        *older, *newer;
    ngx_http_rt_index_list_t  *list;

    if (!cell->listed) {
        return;
    }

    list = ngx_http_rt_index_list_of(index, cell);
    older = ngx_http_rt_index_at(index, cell->older);
    newer = ngx_http_rt_index_at(index, cell->newer);

    *(older ? &older->newer : &list->oldest) = cell->newer;
    *(newer ? &newer->older : &list->newest) = cell->older;

    cell->listed = 0;

    index->nkeys -= (cell->kind == NGX_HTTP_RT_CELL_KEY);
}


static int
ngx_http_rt_index_named(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell,
    const u_char *name, size_t len)
{
    size_t               n;
    ngx_http_rt_cell_t  *rest;

    if (cell->name_len != len) {
        return 0;
    }

    n = (len < NGX_HTTP_RT_CELL_NAME) ? len : NGX_HTTP_RT_CELL_NAME;

    if (memcmp(cell->name, name, n) != 0) {
        return 0;
    }

    if (len == n) {
        return 1;
    }

    rest = ngx_http_rt_index_at(index, cell->rest);

    return rest && memcmp(rest->text, name + n, len - n) == 0;
}


