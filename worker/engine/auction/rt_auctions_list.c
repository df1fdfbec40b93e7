/*
 * The items of the list of auctions: a table by name, and two lists in order
 * of time, the open ones by their end and the scheduled ones by their start.
 *
 * The table owns the items.  An item is in the table and in one list.  A list
 * is a sorted array of pointers with free places at both ends: an auction that
 * begins last mostly ends last, so items come at the end and go at the front,
 * and few pointers are moved.
 *
 * The table doubles when there are more items than buckets.
 */


#include "rt_auctions.h"


#define RT_AUCTIONS_LIST_MIN  64            /* places and buckets at first */


void *
rt_auctions_list_create(void)
{
    rt_auctions_t  *a;

    a = rt_calloc(sizeof(rt_auctions_t));
    a->mask = RT_AUCTIONS_LIST_MIN - 1;
    a->buckets = rt_calloc(RT_AUCTIONS_LIST_MIN
                           * sizeof(rt_auctions_item_t *));

    return a;
}


static void
rt_auctions_list_free(rt_auctions_item_t *item)
{
    free(item->leader);
    free(item);
}


void
rt_auctions_list_destroy(void *state)
{
    uint32_t             i;
    rt_auctions_t       *a;
    rt_auctions_item_t  *item, *next;

    a = state;

    for (i = 0; i <= a->mask; i++) {
        for (item = a->buckets[i]; item; item = next) {
            next = item->next;
            rt_auctions_list_free(item);
        }
    }

    free(a->buckets);
    free(a->open.items);
    free(a->scheduled.items);
    free(a);
}


/* the lists */

int
rt_auctions_list_compare(const rt_auctions_item_t *item, uint64_t at,
    rt_str_t name)
{
    int  rc;

    if (item->at != at) {
        return item->at < at ? -1 : 1;
    }

    rc = memcmp(item->name, name.data, rt_min(item->name_len, name.len));

    if (rc != 0) {
        return rc;
    }

    return item->name_len < name.len ? -1 : item->name_len > name.len;
}


size_t
rt_auctions_list_place(const rt_auctions_list_t *l, uint64_t at, rt_str_t name)
{
    size_t  low, high, mid;

    low = 0;
    high = l->n;

    while (low < high) {
        mid = (low + high) / 2;

        if (rt_auctions_list_compare(l->items[l->first + mid], at, name) < 0) {
            low = mid + 1;

        } else {
            high = mid;
        }
    }

    return low;
}


static size_t
rt_auctions_list_place_of(const rt_auctions_list_t *l,
    const rt_auctions_item_t *item)
{
    return rt_auctions_list_place(l, item->at, rt_auctions_item_name(item));
}


static rt_auctions_list_t *
rt_auctions_list_of(rt_auctions_t *a, const rt_auctions_item_t *item)
{
    return item->open ? &a->open : &a->scheduled;
}


/* a free place at the end: by moving all to the front, or by more memory */

static void
rt_auctions_list_reserve(rt_auctions_list_t *l)
{
    if (l->first + l->n < l->max) {
        return;
    }

    if (l->first < l->max / 2 || l->max == 0) {
        l->max = rt_max(l->max * 2, RT_AUCTIONS_LIST_MIN);
        l->items = rt_realloc(l->items, l->max * sizeof(rt_auctions_item_t *));
    }

    if (l->first) {
        memmove(l->items, l->items + l->first,
                l->n * sizeof(rt_auctions_item_t *));
        l->first = 0;
    }

    rt_assert(l->first + l->n < l->max);
}


void
rt_auctions_list_insert(rt_auctions_t *a, rt_auctions_item_t *item,
    rt_uint_t open)
{
    size_t                i;
    rt_auctions_list_t   *l;
    rt_auctions_item_t  **p;

    item->open = open;
    item->at = open ? item->ends_at : item->starts_at;

    l = rt_auctions_list_of(a, item);
    rt_auctions_list_reserve(l);

    i = rt_auctions_list_place_of(l, item);
    p = l->items + l->first + i;

    memmove(p + 1, p, (l->n - i) * sizeof(rt_auctions_item_t *));
    *p = item;
    l->n++;
}


void
rt_auctions_list_take(rt_auctions_t *a, rt_auctions_item_t *item)
{
    size_t                i;
    rt_auctions_list_t   *l;
    rt_auctions_item_t  **p;

    l = rt_auctions_list_of(a, item);
    i = rt_auctions_list_place_of(l, item);
    p = l->items + l->first + i;

    rt_assert(i < l->n && *p == item);

    if (i == 0) {
        l->first++;

    } else {
        memmove(p, p + 1, (l->n - i - 1) * sizeof(rt_auctions_item_t *));
    }

    l->n--;
}


/* the table */

static uint32_t
rt_auctions_list_hash(rt_str_t name)
{
    size_t    i;
    uint32_t  h;

    h = 2166136261u;

    for (i = 0; i < name.len; i++) {
        h = (h ^ name.data[i]) * 16777619u;
    }

    return h ^ h >> 15;
}


rt_auctions_item_t *
rt_auctions_list_find(const rt_auctions_t *a, rt_str_t name)
{
    uint32_t             hash;
    rt_auctions_item_t  *item;

    hash = rt_auctions_list_hash(name);

    for (item = a->buckets[hash & a->mask]; item; item = item->next) {
        if (item->hash == hash
            && rt_str_eq(rt_auctions_item_name(item), name))
        {
            break;
        }
    }

    return item;
}


static void
rt_auctions_list_link(rt_auctions_t *a, rt_auctions_item_t *item)
{
    rt_auctions_item_t  **p;

    p = &a->buckets[item->hash & a->mask];
    item->next = *p;
    *p = item;
}


static void
rt_auctions_list_double(rt_auctions_t *a)
{
    uint32_t              i, old;
    rt_auctions_item_t   *item, *next, **buckets;

    old = a->mask;
    buckets = a->buckets;

    a->mask = old * 2 + 1;
    a->buckets = rt_calloc((a->mask + 1) * sizeof(rt_auctions_item_t *));

    for (i = 0; i <= old; i++) {
        for (item = buckets[i]; item; item = next) {
            next = item->next;
            rt_auctions_list_link(a, item);
        }
    }

    free(buckets);
}


rt_auctions_item_t *
rt_auctions_list_add(rt_auctions_t *a, rt_str_t name)
{
    rt_auctions_item_t  *item;

    if (a->open.n + a->scheduled.n > a->mask) {
        rt_auctions_list_double(a);
    }

    item = rt_calloc(sizeof(rt_auctions_item_t) + name.len);
    item->hash = rt_auctions_list_hash(name);
    item->name_len = (uint32_t) name.len;
    memcpy(item->name, name.data, name.len);

    rt_auctions_list_link(a, item);

    return item;
}


void
rt_auctions_list_remove(rt_auctions_t *a, rt_auctions_item_t *item)
{
    rt_auctions_item_t  **p;

    rt_auctions_list_take(a, item);

    for (p = &a->buckets[item->hash & a->mask]; *p != item; p = &(*p)->next) {
        rt_assert(*p != NULL);
    }

    *p = item->next;
    rt_auctions_list_free(item);
}
