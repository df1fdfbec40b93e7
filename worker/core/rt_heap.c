/*
 * A node knows its place, so that it is moved and deleted in log n.
 */


#include "rt_heap.h"


#define RT_HEAP_MIN  64


static void
rt_heap_place(rt_heap_t *h, rt_heap_node_t *node, size_t i)
{
    h->nodes[i] = node;
    node->place = i;
}


static void
rt_heap_sift(rt_heap_t *h, rt_heap_node_t *node, size_t i)
{
    size_t  k;

    while (i > 1 && node->at < h->nodes[i / 2]->at) {
        rt_heap_place(h, h->nodes[i / 2], i);
        i /= 2;
    }

    for ( ;; ) {
        k = i * 2;

        if (k > h->n) {
            break;
        }

        if (k < h->n && h->nodes[k + 1]->at < h->nodes[k]->at) {
            k++;
        }

        if (node->at <= h->nodes[k]->at) {
            break;
        }

        rt_heap_place(h, h->nodes[k], i);
        i = k;
    }

    rt_heap_place(h, node, i);
}


void
rt_heap_set(rt_heap_t *h, rt_heap_node_t *node, uint64_t at)
{
    node->at = at;

    if (node->place == 0) {

        if (h->n + 2 > h->max) {
            h->max = rt_max(h->max * 2, RT_HEAP_MIN);
            h->nodes = rt_realloc(h->nodes, h->max * sizeof(void *));
        }

        node->place = ++h->n;
        h->nodes[node->place] = node;
    }

    rt_assert(node->place <= h->n && h->nodes[node->place] == node);

    rt_heap_sift(h, node, node->place);
}


void
rt_heap_delete(rt_heap_t *h, rt_heap_node_t *node)
{
    size_t           i;
    rt_heap_node_t  *last;

    i = node->place;

    if (i == 0) {
        return;
    }

    rt_assert(i <= h->n && h->nodes[i] == node);

    node->place = 0;
    last = h->nodes[h->n--];

    if (last != node) {
        rt_heap_sift(h, last, i);
    }
}


void
rt_heap_free(rt_heap_t *h)
{
    free(h->nodes);
    memset(h, 0, sizeof(rt_heap_t));
}
