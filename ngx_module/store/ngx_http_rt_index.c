/*
 * Cells, buckets, order lists and presences of the index; its header has the
 * rules.  Cells are named by number, and number 0 is nobody.
 */

#include <string.h>

#include "ngx_http_rt_index.h"
#include "ngx_http_rt_pattern.h"
#include "ngx_http_rt_point.h"


#define NGX_HTTP_RT_SLOT(p)   ((p) >> 24)
#define NGX_HTTP_RT_COUNT(p)  ((p) & NGX_HTTP_RT_PRESENCE_MAX)


_Static_assert(sizeof(ngx_http_rt_cell_t) == NGX_HTTP_RT_CELL_SIZE,
               "a cell has its size");


static ngx_http_rt_cell_t *ngx_http_rt_index_alloc(ngx_http_rt_index_t *index,
    unsigned kind);
static void ngx_http_rt_index_free(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
static void ngx_http_rt_index_hang(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
static void ngx_http_rt_index_list(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
static void ngx_http_rt_index_unlist(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
static void ngx_http_rt_index_forget(uint64_t *forgotten, uint32_t hash,
    uint64_t seq);
static size_t ngx_http_rt_index_segment(const u_char *name, size_t len);
static int ngx_http_rt_index_named(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, const u_char *name, size_t len);
static ngx_http_rt_cell_t *ngx_http_rt_index_next_crowd(
    ngx_http_rt_index_t *index, ngx_http_rt_cell_t *in);
static uint32_t *ngx_http_rt_index_presences(ngx_http_rt_cell_t *in);
static uint32_t *ngx_http_rt_index_slot(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, unsigned slot, ngx_http_rt_cell_t **in);
static void ngx_http_rt_index_vacate(ngx_http_rt_cell_t *in, uint32_t *p);
static void ngx_http_rt_index_dedup(ngx_http_rt_cell_t *in);
static int ngx_http_rt_index_vacant(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
static void ngx_http_rt_index_settle(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);


#define ngx_http_rt_index_cell(index, n)                                      \
    ((n) ? &(index)->cells[n] : NULL)

#define ngx_http_rt_index_list_of(index, cell)                                \
    ((cell)->kind == NGX_HTTP_RT_CELL_KEY ? &(index)->keys : &(index)->idle)


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

    ngx_http_rt_index_repair(index);

    return 0;
}


/*
 * Derives everything anew from what hangs in the hash table.  The order of the
 * lists is lost: keys and idle topics go in the order of their cells.
 */

void
ngx_http_rt_index_repair(ngx_http_rt_index_t *index)
{
    uint32_t             i, n;
    ngx_http_rt_cell_t  *cell, *more;

    index->mark++;
    index->free = 0;
    index->nfree = 0;
    index->topics = 0;
    index->patterns = 0;
    memset(&index->idle, 0, sizeof(ngx_http_rt_index_list_t));
    memset(&index->keys, 0, sizeof(ngx_http_rt_index_list_t));

    for (i = 0; i <= index->mask; i++) {

        for (n = index->buckets[i]; n; n = cell->next) {
            cell = &index->cells[n];
            cell->mark = index->mark;
            cell->listed = 0;

            if (cell->kind == NGX_HTTP_RT_CELL_KEY) {
                continue;
            }

            if (cell->rest) {
                index->cells[cell->rest].mark = index->mark;
            }

            for (more = cell;
                 more;
                 more = ngx_http_rt_index_next_crowd(index, more))
            {
                more->mark = index->mark;
            }

            if (cell->kind == NGX_HTTP_RT_CELL_TOPIC) {
                index->topics++;

            } else {
                index->patterns++;
            }
        }
    }

    for (i = index->ncells - 1; i; i--) {
        cell = &index->cells[i];

        if (cell->mark != index->mark) {
            ngx_http_rt_index_free(index, cell);
        }
    }

    for (i = 1; i < index->ncells; i++) {
        cell = &index->cells[i];

        if (cell->kind == NGX_HTTP_RT_CELL_KEY) {
            ngx_http_rt_index_list(index, cell);

        } else if (cell->kind == NGX_HTTP_RT_CELL_TOPIC
                   || cell->kind == NGX_HTTP_RT_CELL_PATTERN)
        {
            for (more = cell;
                 more;
                 more = ngx_http_rt_index_next_crowd(index, more))
            {
                ngx_http_rt_index_dedup(more);
            }

            if (!ngx_http_rt_index_vacant(index, cell)) {
                continue;
            }

            /* a topic stays: a message of it may not be linked yet */

            if (cell->kind == NGX_HTTP_RT_CELL_PATTERN) {
                ngx_http_rt_index_remove(index, cell);

            } else {
                ngx_http_rt_index_list(index, cell);
            }
        }
    }
}


void
ngx_http_rt_index_prefetch(ngx_http_rt_index_t *index, uint32_t hash)
{
    ngx_http_rt_cell_t  *cell;

    cell = &index->cells[index->buckets[hash & index->mask]];

    __builtin_prefetch(cell);
    __builtin_prefetch(cell->presence);
    __builtin_prefetch(cell->name);
}


ngx_http_rt_cell_t *
ngx_http_rt_index_find(ngx_http_rt_index_t *index, unsigned kind,
    uint32_t hash, const u_char *name, size_t len)
{
    uint32_t             n;
    ngx_http_rt_cell_t  *cell;

    for (n = index->buckets[hash & index->mask]; n; n = cell->next) {
        cell = &index->cells[n];

        if (cell->hash == hash && cell->kind == kind
            && ngx_http_rt_index_named(index, cell, name, len))
        {
            return cell;
        }
    }

    return NULL;
}


ngx_http_rt_cell_t *
ngx_http_rt_index_add(ngx_http_rt_index_t *index, unsigned kind,
    uint32_t hash, const u_char *name, size_t len)
{
    size_t               n;
    ngx_http_rt_cell_t  *cell, *rest;

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

    if (kind == NGX_HTTP_RT_CELL_TOPIC) {
        cell->id = ++index->ids;
        cell->topic.floor = ngx_http_rt_index_forgotten(index, hash);
        index->topics++;

    } else {
        index->patterns++;
    }

    ngx_http_rt_index_hang(index, cell);

    if (kind == NGX_HTTP_RT_CELL_TOPIC) {
        ngx_http_rt_index_list(index, cell);
    }

    return cell;
}


void
ngx_http_rt_index_remove(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    size_t               len;
    u_char               name[NGX_HTTP_RT_TOPIC_MAX];
    uint32_t             n, hash, *p;
    ngx_http_rt_cell_t  *more;

    n = ngx_http_rt_index_number(index, cell);

    if (cell->kind == NGX_HTTP_RT_CELL_TOPIC) {
        len = ngx_http_rt_index_name(index, cell, name);
        hash = ngx_http_rt_hash(name, ngx_http_rt_index_segment(name, len));

        ngx_http_rt_index_forget(index->forgotten, cell->hash,
                                 cell->topic.seq);
        ngx_http_rt_index_forget(index->forgotten_below, hash,
                                 cell->topic.seq);
        index->topics--;

    } else if (cell->kind == NGX_HTTP_RT_CELL_PATTERN) {
        index->patterns--;
    }

    for (p = &index->buckets[cell->hash & index->mask];
         *p != n;
         p = &index->cells[*p].next)
    { /* void */ }

    ngx_http_rt_point("unhang");

    __atomic_store_n(p, cell->next, __ATOMIC_RELEASE);

    ngx_http_rt_point("unhung");

    ngx_http_rt_index_unlist(index, cell);

    ngx_http_rt_point("unlisted");

    if (cell->kind != NGX_HTTP_RT_CELL_KEY) {

        while (cell->crowd) {
            more = &index->cells[cell->crowd];
            cell->crowd = more->next;
            ngx_http_rt_index_free(index, more);
        }

        if (cell->rest) {
            ngx_http_rt_index_free(index, &index->cells[cell->rest]);
        }
    }

    ngx_http_rt_index_free(index, cell);
}


/* something happened in a topic: of the idle ones it is the newest */

void
ngx_http_rt_index_touch(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    if (cell->listed && cell->newer) {
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
        i = ngx_http_rt_hash(pattern, n) % NGX_HTTP_RT_FORGOTTEN;
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
    size_t  n;

    n = cell->name_len;

    if (n > NGX_HTTP_RT_CELL_NAME) {
        memcpy(name + NGX_HTTP_RT_CELL_NAME, index->cells[cell->rest].text,
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
ngx_http_rt_index_find_key(ngx_http_rt_index_t *index, const u_char *key)
{
    uint32_t             n, hash;
    ngx_http_rt_cell_t  *cell;

    memcpy(&hash, key, sizeof(uint32_t));

    for (n = index->buckets[hash & index->mask]; n; n = cell->next) {
        cell = &index->cells[n];

        if (cell->hash == hash && cell->kind == NGX_HTTP_RT_CELL_KEY
            && memcmp(cell->key.key, key, sizeof(cell->key.key)) == 0)
        {
            return cell;
        }
    }

    return NULL;
}


/* keys older than "expired" make room first */

ngx_http_rt_cell_t *
ngx_http_rt_index_add_key(ngx_http_rt_index_t *index,
    const ngx_http_rt_key_t *key, uint64_t expired)
{
    int                  i;
    ngx_http_rt_cell_t  *cell;

    for (i = 0; i < 2; i++) {
        cell = ngx_http_rt_index_cell(index, index->keys.oldest);

        if (cell && cell->key.time < expired) {
            ngx_http_rt_index_remove(index, cell);
        }
    }

    cell = ngx_http_rt_index_alloc(index, NGX_HTTP_RT_CELL_KEY);
    if (cell == NULL) {
        return NULL;
    }

    memcpy(&cell->hash, key->key, sizeof(uint32_t));
    cell->key = *key;

    ngx_http_rt_index_hang(index, cell);
    ngx_http_rt_index_list(index, cell);

    return cell;
}


int
ngx_http_rt_index_enter(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell,
    unsigned slot)
{
    uint32_t            *p;
    ngx_http_rt_cell_t  *in, *last;

    p = ngx_http_rt_index_slot(index, cell, slot, &in);

    if (p) {
        if (NGX_HTTP_RT_COUNT(*p) == NGX_HTTP_RT_PRESENCE_MAX) {
            return -1;
        }

        (*p)++;
        return 0;
    }

    for (in = cell, last = cell;
         in;
         last = in, in = ngx_http_rt_index_next_crowd(index, in))
    {
        if (in->npresence < (in == cell ? NGX_HTTP_RT_CELL_PRESENCES
                                        : NGX_HTTP_RT_CELL_CROWD))
        {
            break;
        }
    }

    if (in == NULL) {
        in = ngx_http_rt_index_alloc(index, NGX_HTTP_RT_CELL_CROWDED);
        if (in == NULL) {
            return -1;
        }

        *(last == cell ? &last->crowd : &last->next) =
                                        ngx_http_rt_index_number(index, in);
    }

    p = ngx_http_rt_index_presences(in);
    p[in->npresence] = (uint32_t) slot << 24 | 1;
    __atomic_store_n(&in->npresence, in->npresence + 1, __ATOMIC_RELEASE);

    if (cell->listed) {
        ngx_http_rt_index_unlist(index, cell);
    }

    return 0;
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
    uint32_t             i, *presence;
    unsigned             slot;
    ngx_http_rt_cell_t  *in;

    for (in = cell; in; in = ngx_http_rt_index_next_crowd(index, in)) {
        presence = ngx_http_rt_index_presences(in);

        for (i = 0; i < in->npresence; i++) {
            slot = NGX_HTTP_RT_SLOT(presence[i]);
            p->slots[slot / 64] |= (uint64_t) 1 << slot % 64;
            p->subscribers += NGX_HTTP_RT_COUNT(presence[i]);
        }
    }
}


/* the same for all patterns that match the topic, found by their heads */

void
ngx_http_rt_index_patterns(ngx_http_rt_index_t *index, const u_char *topic,
    size_t len, ngx_http_rt_presence_t *p)
{
    size_t               i, n;
    u_char               name[255];
    uint32_t             hash, number;
    ngx_http_rt_cell_t  *cell;

    if (index->patterns == 0) {
        return;
    }

    for (i = 0; i < len; i++) {

        if (i && topic[i] != '/') {
            continue;
        }

        hash = ngx_http_rt_hash(topic, i);

        for (number = index->buckets[hash & index->mask];
             number;
             number = cell->next)
        {
            cell = &index->cells[number];

            if (cell->hash != hash
                || cell->kind != NGX_HTTP_RT_CELL_PATTERN)
            {
                continue;
            }

            n = ngx_http_rt_index_name(index, cell, name);

            if (ngx_http_rt_pattern_head(name, n) == i
                && ngx_http_rt_pattern_match(name, n, topic, len))
            {
                ngx_http_rt_index_presence(index, cell, p);
            }
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
            ngx_http_rt_index_vacate(in, p);
            ngx_http_rt_index_settle(index, cell);
        }
    }

    return (from < index->ncells) ? from : 0;
}


static ngx_http_rt_cell_t *
ngx_http_rt_index_alloc(ngx_http_rt_index_t *index, unsigned kind)
{
    uint32_t             n;
    ngx_http_rt_cell_t  *cell;

    if (index->free == 0) {
        n = index->keys.oldest ? index->keys.oldest : index->idle.oldest;

        if (n == 0) {
            return NULL;
        }

        ngx_http_rt_index_remove(index, &index->cells[n]);
    }

    cell = &index->cells[index->free];
    index->free = cell->next;

    ngx_http_rt_point("taken");

    index->nfree--;

    memset(cell, 0, sizeof(ngx_http_rt_cell_t));
    cell->kind = kind;

    return cell;
}


static void
ngx_http_rt_index_free(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    cell->id = 0;
    cell->kind = NGX_HTTP_RT_CELL_FREE;
    cell->listed = 0;
    cell->next = index->free;

    index->free = ngx_http_rt_index_number(index, cell);
    index->nfree++;
}


static void
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


static void
ngx_http_rt_index_list(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    uint32_t                   n;
    ngx_http_rt_index_list_t  *list;

    n = ngx_http_rt_index_number(index, cell);
    list = ngx_http_rt_index_list_of(index, cell);

    cell->listed = 1;
    cell->newer = 0;
    cell->older = list->newest;

    if (list->newest) {
        index->cells[list->newest].newer = n;

    } else {
        list->oldest = n;
    }

    list->newest = n;
}


static void
ngx_http_rt_index_unlist(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    ngx_http_rt_index_list_t  *list;

    if (!cell->listed) {
        return;
    }

    list = ngx_http_rt_index_list_of(index, cell);

    *(cell->older ? &index->cells[cell->older].newer : &list->oldest) =
                                                                 cell->newer;
    *(cell->newer ? &index->cells[cell->newer].older : &list->newest) =
                                                                 cell->older;
    cell->listed = 0;
}


static int
ngx_http_rt_index_named(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell,
    const u_char *name, size_t len)
{
    size_t  n;

    if (cell->name_len != len) {
        return 0;
    }

    n = (len < NGX_HTTP_RT_CELL_NAME) ? len : NGX_HTTP_RT_CELL_NAME;

    return memcmp(cell->name, name, n) == 0
           && memcmp(index->cells[cell->rest].text, name + n, len - n) == 0;
}


/* the cells that hold a topic's presences: its own, then the crowded ones */

static ngx_http_rt_cell_t *
ngx_http_rt_index_next_crowd(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *in)
{
    uint32_t  n;

    n = (in->kind == NGX_HTTP_RT_CELL_CROWDED) ? in->next : in->crowd;

    return n ? &index->cells[n] : NULL;
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
    uint32_t  i, *p;

    for (*in = cell; *in; *in = ngx_http_rt_index_next_crowd(index, *in)) {
        p = ngx_http_rt_index_presences(*in);

        for (i = 0; i < (*in)->npresence; i++) {
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

static void
ngx_http_rt_index_dedup(ngx_http_rt_cell_t *in)
{
    uint32_t  i, *p;

    p = ngx_http_rt_index_presences(in);

    for (i = 0; i + 1 < in->npresence; i++) {
        if (NGX_HTTP_RT_SLOT(p[i]) == NGX_HTTP_RT_SLOT(p[in->npresence - 1])) {
            in->npresence--;
        }
    }
}


static int
ngx_http_rt_index_vacant(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    ngx_http_rt_cell_t  *in;

    for (in = cell; in; in = ngx_http_rt_index_next_crowd(index, in)) {
        if (in->npresence) {
            return 0;
        }
    }

    return 1;
}


/* a topic or pattern that may have lost its last subscriber */

static void
ngx_http_rt_index_settle(ngx_http_rt_index_t *index, ngx_http_rt_cell_t *cell)
{
    if (!ngx_http_rt_index_vacant(index, cell)) {
        return;
    }

    if (cell->kind == NGX_HTTP_RT_CELL_PATTERN || cell->topic.seq == 0) {
        ngx_http_rt_index_remove(index, cell);

    } else if (!cell->listed) {
        ngx_http_rt_index_list(index, cell);
    }
}
