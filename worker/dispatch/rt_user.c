/*
 * A table by name, and a list by last use.  Whoever has nothing open and has
 * not sent anything for a second is as good as unknown: two of the list are
 * looked at for each that is added, so that there are not many of them.
 */


#include "rt_user.h"


#define RT_USERS_MIN      64
#define RT_USERS_LOOKS    2
#define RT_USER_BURST_US  1000000           /* of commands at once */


void
rt_users_init(rt_users_t *t)
{
    memset(t, 0, sizeof(rt_users_t));
    rt_table_init(&t->table, RT_USERS_MIN);
    t->last = &t->list;
}


static void
rt_user_unlink(rt_users_t *t, rt_user_t *u)
{
    *u->prev = u->next;

    if (u->next) {
        u->next->prev = u->prev;

    } else {
        t->last = u->prev;
    }
}


static void
rt_user_link(rt_users_t *t, rt_user_t *u)
{
    u->next = NULL;
    u->prev = t->last;
    *t->last = u;
    t->last = &u->next;
}


static void
rt_user_delete(rt_users_t *t, rt_user_t *u)
{
    rt_user_unlink(t, u);
    rt_table_delete(&t->table, &u->node);
    free(u);
}


void
rt_users_free(rt_users_t *t)
{
    while (t->list) {
        rt_user_delete(t, t->list);
    }

    rt_table_free(&t->table);
}


static rt_user_t *
rt_user_find(const rt_users_t *t, rt_str_t name, uint64_t hash)
{
    rt_user_t        *u;
    rt_table_node_t  *n;

    for (n = rt_table_first(&t->table, hash); n; n = rt_table_next(n)) {
        u = rt_item(n, rt_user_t, node);

        if (rt_str_eq(rt_user_name(u), name)) {
            return u;
        }
    }

    return NULL;
}


static void
rt_user_forget(rt_users_t *t, uint64_t now_us)
{
    rt_uint_t   i;
    rt_user_t  *u;

    for (i = 0; t->list && i < RT_USERS_LOOKS; i++) {
        u = t->list;

        if (u->open == 0 && u->paid_us <= now_us) {
            rt_user_delete(t, u);

        } else {
            rt_user_unlink(t, u);
            rt_user_link(t, u);
        }
    }
}


static rt_user_t *
rt_user_get(rt_users_t *t, rt_str_t name, uint64_t now_us)
{
    uint64_t    hash;
    rt_user_t  *u;

    hash = rt_table_hash(&t->table, name.data, name.len);
    u = rt_user_find(t, name, hash);

    if (u) {
        rt_user_unlink(t, u);
        rt_user_link(t, u);
        return u;
    }

    rt_user_forget(t, now_us);

    u = rt_calloc(sizeof(rt_user_t) + name.len);

    u->name_len = (uint32_t) name.len;

    if (name.len) {
        memcpy(u->name, name.data, name.len);
    }

    rt_table_add(&t->table, &u->node, hash);
    rt_user_link(t, u);

    return u;
}


/* each command costs its share of a second, which may be owed for a second */

rt_int_t
rt_user_command(rt_users_t *t, rt_str_t name, uint64_t now_us, size_t rate)
{
    uint64_t    paid_us;
    rt_user_t  *u;

    u = rt_user_get(t, name, now_us);

    paid_us = rt_max(u->paid_us, now_us) + RT_USER_BURST_US / rate;

    if (paid_us - now_us > RT_USER_BURST_US) {
        return RT_DECLINED;
    }

    u->paid_us = paid_us;

    return RT_OK;
}


void
rt_user_refund(rt_users_t *t, rt_str_t name, size_t rate)
{
    rt_user_t  *u;

    u = rt_user_find(t, name, rt_table_hash(&t->table, name.data, name.len));

    if (u) {
        u->paid_us -= rt_min(RT_USER_BURST_US / rate, u->paid_us);
    }
}


size_t
rt_user_entities(const rt_users_t *t, rt_str_t name)
{
    rt_user_t  *u;

    u = rt_user_find(t, name, rt_table_hash(&t->table, name.data, name.len));

    return u ? u->open : 0;
}


rt_user_t *
rt_user_open(rt_users_t *t, rt_str_t name, uint64_t now_us)
{
    rt_user_t  *u;

    u = rt_user_get(t, name, now_us);
    u->open++;

    return u;
}


void
rt_user_close(rt_user_t *u)
{
    rt_assert(u->open > 0);
    u->open--;
}
