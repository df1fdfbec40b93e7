/*
 * The items of the list of auctions: a table by name, and two lists in order
 * of time, the open ones by their end and the scheduled ones by their start.
 *
 * An item is in the table and in one list, which owns it.  A list is a sorted
 * array of pointers with free places at both ends: an auction that begins last
 * mostly ends last, so items come at the end and go at the front, and few
 * pointers are moved.
 */


#include "rt_auctions.h"


#define RT_AUCTIONS_LIST_MIN  64            /* places and buckets at first */


void *
rt_auctions_list_create(void)
{
    rt_auctions_t  *a;

    a = rt_calloc(sizeof(rt_auctions_t));
    rt_table_init(&a->table, RT_AUCTIONS_LIST_MIN);

    return a;
}


static void
rt_auctions_list_free(rt_auctions_item_t *item)
{
    free(item->leader);
    free(item);
}


static void
rt_auctions_list_free_all(rt_auctions_list_t *l)
{
    size_t  i;

    for (i = 0; i < l->n; i++) {
        rt_auctions_list_free(rt_auctions_list_at(l, i));
    }

    free(l->items);
}


void
rt_auctions_list_destroy(void *state)
{
    rt_auctions_t  *a;

    a = state;

    rt_auctions_list_free_all(&a->open);
    rt_auctions_list_free_all(&a->scheduled);
    rt_table_free(&a->table);
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

rt_auctions_item_t *
rt_auctions_list_find(const rt_auctions_t *a, rt_str_t name)
{
    uint64_t             hash;
    rt_table_node_t     *n;
    rt_auctions_item_t  *item;

    hash = rt_table_hash(&a->table, name.data, name.len);

    for (n = rt_table_first(&a->table, hash); n; n = rt_table_next(n)) {
        item = rt_item(n, rt_auctions_item_t, node);

        if (rt_str_eq(rt_auctions_item_name(item), name)) {
            return item;
        }
    }

    return NULL;
}


rt_auctions_item_t *
rt_auctions_list_add(rt_auctions_t *a, rt_str_t name)
{
    rt_auctions_item_t  *item;

    item = rt_calloc(sizeof(rt_auctions_item_t) + name.len);
    item->name_len = (uint32_t) name.len;
    memcpy(item->name, name.data, name.len);

    rt_table_add(&a->table, &item->node,
                 rt_table_hash(&a->table, name.data, name.len));

    return item;
}


void
rt_auctions_list_remove(rt_auctions_t *a, rt_auctions_item_t *item)
{
    rt_auctions_list_take(a, item);
    rt_table_delete(&a->table, &item->node);
    rt_auctions_list_free(item);
}
