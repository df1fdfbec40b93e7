/*
 * Visits: which client's connection has sent commands to which entity, and as
 * which user, for engines that want to know when the connection is closed.
 *
 * A visit lives from the first command until its engine has been told of the
 * end.  When the connection, or the link on which it was named, is gone, the
 * visit waits in a queue for that; if the client sends another command before,
 * by another link, nothing has happened.  The table is memory only: a restart
 * of the daemon forgets it.
 */


#ifndef _RT_VISIT_H_INCLUDED_
#define _RT_VISIT_H_INCLUDED_


#include "rt_entity.h"


#define RT_VISITS_MAX      100000           /* by default */
#define RT_VISITS_CLIENT   1024             /* of one connection */


typedef struct rt_visit_s  rt_visit_t;


struct rt_visit_s {
    rt_table_node_t      node;              /* by connection */
    rt_visit_t          *next;              /* of all, the newest first */
    rt_visit_t         **prev;
    rt_visit_t          *queue_next;
    uint64_t             connection;
    const void          *link;              /* a name only */
    rt_entity_t         *entity;
    rt_uint_t            gone;
    rt_uint_t            queued;
    uint32_t             user_len;
    u_char               user[];
};


typedef struct {
    rt_table_t           table;
    rt_visit_t          *list;              /* all */
    size_t               n;
    size_t               max;
    rt_visit_t          *queue;             /* gone, to be told */
    rt_visit_t         **queue_last;
} rt_visits_t;


void rt_visits_init(rt_visits_t *t, size_t max);
void rt_visits_free(rt_visits_t *t);

/*
 * RT_OK: it is known, or has been added; RT_DECLINED: there are too many.
 * Without an entity, which is to be created, only whether there is room.
 */
rt_int_t rt_visits_add(rt_visits_t *t, const void *link, uint64_t connection,
    rt_entity_t *e, rt_str_t user);

/* that connection is closed; all of that link are */
void rt_visits_gone(rt_visits_t *t, const void *link, uint64_t connection);
void rt_visits_link_gone(rt_visits_t *t, const void *link);

/* the first to be told, NULL: none; and it has been told */
rt_visit_t *rt_visits_next(rt_visits_t *t);
void rt_visits_told(rt_visits_t *t, rt_visit_t *v);

static inline rt_str_t
rt_visit_user(const rt_visit_t *v)
{
    rt_str_t  s = { v->user_len, v->user };

    return s;
}


#endif /* _RT_VISIT_H_INCLUDED_ */
