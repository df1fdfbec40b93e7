/*
 * A table by connection, and a list of all.  A link that ends is rare: then the
 * list is looked through.
 */


#include "rt_visit.h"


#define RT_VISITS_MIN  64


void
rt_visits_init(rt_visits_t *t, size_t max)
{
    memset(t, 0, sizeof(rt_visits_t));

    t->max = max;
    rt_table_init(&t->table, RT_VISITS_MIN);
    t->queue_last = &t->queue;
}


void
rt_visits_free(rt_visits_t *t)
{
    rt_visit_t  *v, *next;

    for (v = t->list; v; v = next) {
        next = v->next;
        free(v);
    }

    rt_table_free(&t->table);
    memset(t, 0, sizeof(rt_visits_t));
}


/* the newest of a connection, and the one before */

static rt_visit_t *
rt_visit_check(rt_table_node_t *n, uint64_t connection)
{
    rt_visit_t  *v;

    for ( /* void */ ; n; n = rt_table_next(n)) {
        v = rt_item(n, rt_visit_t, node);

        if (v->connection == connection) {
            return v;
        }
    }

    return NULL;
}


static rt_visit_t *
rt_visit_first(const rt_visits_t *t, uint64_t connection)
{
    return rt_visit_check(rt_table_first(&t->table,
                              rt_table_hash_number(&t->table, connection)),
                          connection);
}


static rt_visit_t *
rt_visit_next(const rt_visit_t *v)
{
    return rt_visit_check(rt_table_next(&v->node), v->connection);
}


static void
rt_visit_add(rt_visits_t *t, rt_visit_t *v)
{
    rt_table_add(&t->table, &v->node,
                 rt_table_hash_number(&t->table, v->connection));

    v->next = t->list;
    v->prev = &t->list;

    if (v->next) {
        v->next->prev = &v->next;
    }

    t->list = v;
    t->n++;

    rt_assert(t->n <= t->max);
}


rt_int_t
rt_visits_add(rt_visits_t *t, const void *link, uint64_t connection,
    rt_entity_t *e, rt_str_t user)
{
    rt_uint_t    n;
    rt_visit_t  *v;

    n = 0;

    for (v = rt_visit_first(t, connection); v; v = rt_visit_next(v)) {

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

    v = rt_calloc(sizeof(rt_visit_t) + user.len);

    v->connection = connection;
    v->link = link;
    v->entity = e;
    e->holds++;
    v->user_len = (uint32_t) user.len;

    if (user.len) {
        memcpy(v->user, user.data, user.len);
    }

    rt_visit_add(t, v);

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

    for (v = rt_visit_first(t, connection); v; v = rt_visit_next(v)) {
        if (v->link == link) {
            rt_visits_queue(t, v);
        }
    }
}


void
rt_visits_link_gone(rt_visits_t *t, const void *link)
{
    rt_visit_t  *v;

    for (v = t->list; v; v = v->next) {
        if (v->link == link) {
            rt_visits_queue(t, v);
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
    rt_assert(v == t->queue && v->queued);

    t->queue = v->queue_next;

    if (t->queue == NULL) {
        t->queue_last = &t->queue;
    }

    rt_table_delete(&t->table, &v->node);

    *v->prev = v->next;

    if (v->next) {
        v->next->prev = v->prev;
    }

    t->n--;
    v->entity->holds--;
    free(v);
}
