/*
 * The users table: what one user has open, and how fast it sends commands.
 *
 * Limits of the present only: they are asked before an engine decides, so that
 * a replay does not depend on them.  Commands without a user share the user
 * whose name is empty.
 */


#ifndef _RT_USER_H_INCLUDED_
#define _RT_USER_H_INCLUDED_


#include "rt_entity.h"


#define RT_USER_ENTITIES   100000           /* open; a tenth of all */
#define RT_USER_COMMANDS   1000             /* a second, and at once */


struct rt_user_s {
    rt_table_node_t      node;              /* by name */
    rt_user_t           *next;              /* of all, the last used last */
    rt_user_t          **prev;
    size_t               open;              /* entities */
    uint64_t             paid_us;           /* when its commands are paid for */
    uint32_t             name_len;
    u_char               name[];
};


typedef struct {
    rt_table_t           table;
    rt_user_t           *list;              /* all */
    rt_user_t          **last;
} rt_users_t;


void rt_users_init(rt_users_t *t);
void rt_users_free(rt_users_t *t);

/* a command at that time; RT_DECLINED: one too many */
rt_int_t rt_user_command(rt_users_t *t, rt_str_t name, uint64_t now_us,
    size_t rate);

/* it could not be carried out, and will come again */
void rt_user_refund(rt_users_t *t, rt_str_t name, size_t rate);

/* how many it has open */
size_t rt_user_entities(const rt_users_t *t, rt_str_t name);

/* the one an open entity counts for; it stays while it has any */
rt_user_t *rt_user_open(rt_users_t *t, rt_str_t name, uint64_t now_us);
void rt_user_close(rt_user_t *u);

static inline rt_str_t
rt_user_name(const rt_user_t *u)
{
    rt_str_t  s = { u->name_len, u->name };

    return s;
}


#endif /* _RT_USER_H_INCLUDED_ */
