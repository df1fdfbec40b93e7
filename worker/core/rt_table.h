/*
 * The hash table.  A node is a member of the thing that is found by it, so a
 * thing may be in several tables; the table owns its buckets only, and the
 * caller compares keys:
 *
 *   hash = rt_table_hash(t, name.data, name.len);
 *
 *   for (n = rt_table_first(t, hash); n; n = rt_table_next(n)) {
 *       e = rt_item(n, rt_entity_t, node);
 *
 *       if (rt_str_eq(rt_entity_name(e), name)) {
 *           return e;
 *       }
 *   }
 *
 * The hash is SipHash with a key of the table's own, which is random: a peer
 * cannot choose names that collide.  The table doubles when it has as many
 * nodes as buckets; the old buckets are moved a few at each insertion, so that
 * no insertion takes long.
 *
 * There is no walk over a table, for its order differs from run to run, and
 * journal and states must not depend on that.  Who needs all things keeps a
 * list of them.  Nodes of one hash are found newest first, always.
 */


#ifndef _RT_TABLE_H_INCLUDED_
#define _RT_TABLE_H_INCLUDED_


#include "rt_core.h"


#define RT_TABLE_KEY  16


typedef struct rt_table_node_s  rt_table_node_t;


struct rt_table_node_s {
    rt_table_node_t   *next;
    uint64_t           hash;
};


typedef struct {
    rt_table_node_t  **buckets;             /* owner */
    size_t             mask;
    rt_table_node_t  **old;                 /* owner; NULL: none is left */
    size_t             old_mask;
    size_t             moved;               /* buckets of old */
    size_t             n;
    u_char             key[RT_TABLE_KEY];
} rt_table_t;


/* size: buckets to begin with, a power of two */
void rt_table_init(rt_table_t *t, size_t size);
void rt_table_free(rt_table_t *t);

uint64_t rt_table_hash(const rt_table_t *t, const void *data, size_t len);
uint64_t rt_table_hash_number(const rt_table_t *t, uint64_t n);

void rt_table_add(rt_table_t *t, rt_table_node_t *node, uint64_t hash);
void rt_table_delete(rt_table_t *t, rt_table_node_t *node);


/* where nodes of that hash are */

static inline rt_table_node_t **
rt_table_bucket(const rt_table_t *t, uint64_t hash)
{
    if (t->old && (hash & t->old_mask) >= t->moved) {
        return &t->old[hash & t->old_mask];
    }

    return &t->buckets[hash & t->mask];
}


/* the node, or the first after it, that has this hash */

static inline rt_table_node_t *
rt_table_skip(rt_table_node_t *node, uint64_t hash)
{
    while (node && node->hash != hash) {
        node = node->next;
    }

    return node;
}


static inline rt_table_node_t *
rt_table_first(const rt_table_t *t, uint64_t hash)
{
    return rt_table_skip(*rt_table_bucket(t, hash), hash);
}


static inline rt_table_node_t *
rt_table_next(const rt_table_node_t *node)
{
    return rt_table_skip(node->next, node->hash);
}


#endif /* _RT_TABLE_H_INCLUDED_ */
