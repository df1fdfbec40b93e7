/*
 * A hash table with chains by connection, doubled when it is full, so that all
 * visits of a connection are in one chain.  A link that ends is rare: then all
 * chains are looked through.
 */


#include "rt_visit.h"


#define RT_VISITS_MIN  64


void
rt_visits_init(rt_visits_t *t, size_t max)
{
    memset(t, 0, sizeof(rt_visits_t));

    t->max = max;
    t->mask = RT_VISITS_MIN - 1;
    t->buckets = rt_calloc(RT_VISITS_MIN * sizeof(void *));
    t->queue_last = &t->queue;
}


void
rt_visits_free(rt_visits_t *t)
{
    size_t       i;
    rt_visit_t  *v, *next;

    for (i = 0; i <= t->mask; i++) {
        for (v = t->buckets[i]; v; v = next) {
            next = v->next;
            free(v);
        }
    }

    free(t->buckets);
    memset(t, 0, sizeof(rt_visits_t));
}


static rt_visit_t **
rt_visits_bucket(const rt_visits_t *t, uint64_t connection)
{
    uint64_t  h;

    h = connection * 0x9e3779b97f4a7c15ull;

    return &t->buckets[(h >> 32) & t->mask];
}


static void
rt_visits_double(rt_visits_t *t)
{
    size_t        i, n;
    rt_visit_t   *v, *next, **old, **bucket;

    n = t->mask + 1;
    old = t->buckets;

    t->mask = n * 2 - 1;
    t->buckets = rt_calloc(n * 2 * sizeof(void *));

    for (i = 0; i < n; i++) {
        for (v = old[i]; v; v = next) {
            next = v->next;
            bucket = rt_visits_bucket(t, v->connection);
            v->next = *bucket;
            *bucket = v;
        }
    }

    free(old);
}


rt_int_t
rt_visits_add(rt_visits_t *t, const void *link, uint64_t connection,
    rt_entity_t *e, rt_str_t user)
{
    rt_uint_t    n;
    rt_visit_t  *v, **bucket;

    n = 0;

    for (v = *rt_visits_bucket(t, connection); v; v = v->next) {

        if (v->connection != connection) {
            continue;
        }

        if (v->entity == e && rt_str_eq(rt_visit_user(v), user)) {
            v->link = link;
            v->gone = 0;
            return RT_OK;
        }

        n++;
    }

    if (t->n >= t->max || n >= RT_VISITS_CLIENT) {
        return RT_DECLINED;
    }

    if (e == NULL) {
        return RT_OK;
    }

    if (t->n > t->mask) {
        rt_visits_double(t);
    }

    v = rt_calloc(sizeof(rt_visit_t) + user.len);

    v->connection = connection;
    v->link = link;
    v->entity = e;
    v->user_len = (uint32_t) user.len;

    if (user.len) {
        memcpy(v->user, user.data, user.len);
    }

    bucket = rt_visits_bucket(t, connection);
    v->next = *bucket;
    *bucket = v;
    t->n++;

    return RT_OK;
}


static void
rt_visits_queue(rt_visits_t *t, rt_visit_t *v)
{
    v->gone = 1;

    if (v->queued) {
        return;
    }

    v->queued = 1;
    v->queue_next = NULL;
    *t->queue_last = v;
    t->queue_last = &v->queue_next;
}


void
rt_visits_gone(rt_visits_t *t, const void *link, uint64_t connection)
{
    rt_visit_t  *v;

    for (v = *rt_visits_bucket(t, connection); v; v = v->next) {
        if (v->connection == connection && v->link == link) {
            rt_visits_queue(t, v);
        }
    }
}


void
rt_visits_link_gone(rt_visits_t *t, const void *link)
{
    size_t       i;
    rt_visit_t  *v;

    for (i = 0; t->n && i <= t->mask; i++) {
        for (v = t->buckets[i]; v; v = v->next) {
            if (v->link == link) {
                rt_visits_queue(t, v);
            }
        }
    }
}


rt_visit_t *
rt_visits_next(rt_visits_t *t)
{
    rt_visit_t  *v;

    for ( ;; ) {
        v = t->queue;

        if (v == NULL || v->gone) {
            return v;
        }

        /* it came back */

        v->queued = 0;
        t->queue = v->queue_next;

        if (t->queue == NULL) {
            t->queue_last = &t->queue;
        }
    }
}


void
rt_visits_told(rt_visits_t *t, rt_visit_t *v)
{
    rt_visit_t  **p;

    rt_assert(v == t->queue);

    t->queue = v->queue_next;

    if (t->queue == NULL) {
        t->queue_last = &t->queue;
    }

    for (p = rt_visits_bucket(t, v->connection); *p != v; p = &(*p)->next) {
        /* void */
    }

    *p = v->next;
    t->n--;
    free(v);
}
