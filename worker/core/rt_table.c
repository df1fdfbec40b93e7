/*
 * Chains.  While the table grows there are two arrays of buckets: those of the
 * old one from "moved" on are still in use, the others are empty.
 */


#include <sodium.h>

#include "rt_table.h"


/* n insertions move n buckets before it doubles again; so much is in time */
#define RT_TABLE_MOVES  4


void
rt_table_init(rt_table_t *t, size_t size)
{
    rt_assert(size && (size & (size - 1)) == 0);
    rt_assert(crypto_shorthash_KEYBYTES == RT_TABLE_KEY);
    rt_assert(crypto_shorthash_BYTES == sizeof(uint64_t));

    memset(t, 0, sizeof(rt_table_t));

    t->mask = size - 1;
    t->buckets = rt_calloc(size * sizeof(rt_table_node_t *));
    randombytes_buf(t->key, RT_TABLE_KEY);
}


void
rt_table_free(rt_table_t *t)
{
    free(t->buckets);
    free(t->old);
    memset(t, 0, sizeof(rt_table_t));
}


uint64_t
rt_table_hash(const rt_table_t *t, const void *data, size_t len)
{
    u_char  hash[crypto_shorthash_BYTES];

    crypto_shorthash(hash, data, len, t->key);

    return rt_get64(hash);
}


uint64_t
rt_table_hash_number(const rt_table_t *t, uint64_t n)
{
    u_char  data[8];

    rt_set64(data, n);

    return rt_table_hash(t, data, sizeof(data));
}


/* a bucket becomes two; the order in each stays */

static void
rt_table_move(rt_table_t *t)
{
    size_t             i;
    rt_table_node_t   *node, *next, **low, **high, ***last;

    i = t->moved++;
    low = &t->buckets[i];
    high = &t->buckets[i + t->old_mask + 1];

    rt_assert(*low == NULL && *high == NULL);

    for (node = t->old[i]; node; node = next) {
        next = node->next;
        node->next = NULL;

        last = (node->hash & t->mask) == i ? &low : &high;
        **last = node;
        *last = &node->next;
    }

    if (t->moved > t->old_mask) {
        free(t->old);
        t->old = NULL;
    }
}


static void
rt_table_grow(rt_table_t *t)
{
    rt_assert(t->old == NULL);

    t->old = t->buckets;
    t->old_mask = t->mask;
    t->moved = 0;

    t->mask = t->mask * 2 + 1;
    t->buckets = rt_calloc((t->mask + 1) * sizeof(rt_table_node_t *));
}


void
rt_table_add(rt_table_t *t, rt_table_node_t *node, uint64_t hash)
{
    rt_uint_t          i;
    rt_table_node_t  **bucket;

    for (i = 0; t->old && i < RT_TABLE_MOVES; i++) {
        rt_table_move(t);
    }

    if (t->n > t->mask) {
        rt_table_grow(t);
    }

    bucket = rt_table_bucket(t, hash);

    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    t->n++;
}


void
rt_table_delete(rt_table_t *t, rt_table_node_t *node)
{
    rt_table_node_t  **p;

    for (p = rt_table_bucket(t, node->hash); *p != node; p = &(*p)->next) {
        rt_assert(*p != NULL);
    }

    *p = node->next;
    node->next = NULL;
    t->n--;
}
