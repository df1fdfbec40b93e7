/*
 * A binary heap of things that have a time.  A node is a member of the thing;
 * the heap owns its array only.  Of equal times the one that was set first may
 * come second: the order depends on the calls alone.
 */


#ifndef _RT_HEAP_H_INCLUDED_
#define _RT_HEAP_H_INCLUDED_


#include "rt_core.h"


typedef struct {
    uint64_t         at;
    size_t           place;         /* from 1; 0: it is in no heap */
} rt_heap_node_t;


typedef struct {
    rt_heap_node_t **nodes;         /* from 1; owner */
    size_t           n;
    size_t           max;
} rt_heap_t;


/* inserts or moves the node */
void rt_heap_set(rt_heap_t *h, rt_heap_node_t *node, uint64_t at);
void rt_heap_delete(rt_heap_t *h, rt_heap_node_t *node);
void rt_heap_free(rt_heap_t *h);


/* the first in time, NULL: none */

static inline rt_heap_node_t *
rt_heap_top(const rt_heap_t *h)
{
    return h->n ? h->nodes[1] : NULL;
}


#endif /* _RT_HEAP_H_INCLUDED_ */
