/*
 * The entity table: every instance of every engine, by engine and name.
 *
 * An entity that is idle may be evicted: its state goes, what is kept says
 * where its events are, and the next use replays them.
 *
 * Walks over all entities follow the list.  An entity that goes leaves its
 * place to the last one; as creations and ends are in the journal, the order
 * is the same in each run.
 */


#ifndef _RT_ENTITY_H_INCLUDED_
#define _RT_ENTITY_H_INCLUDED_


#include "rt_engine.h"
#include "rt_heap.h"
#include "rt_table.h"


/* each so many versions the address of an event is kept: 8 bytes a mark */
#define RT_ENTITY_MARK  256

/* whose audiences are counted, each by itself */
#define RT_ENTITY_ZONES  16


typedef struct rt_entity_s        rt_entity_t;
typedef struct rt_subscription_s  rt_subscription_t;
typedef struct rt_user_s          rt_user_t;
struct rt_read_s;


/* what the watchers of one zone have been told */

typedef struct {
    uint64_t             watchers;          /* when they were counted last */
    uint32_t             publisher;         /* of the zone then; 0: none */
    uint32_t             counts;            /* since they were told */
} rt_told_t;


/* live messages: when the next is due, and what was told */

typedef struct {
    uint64_t             due_ms;            /* 0: there will be none */
    uint64_t             last_ms;           /* due then */
    rt_entity_t         *next;              /* in the list of those due */
    rt_uint_t            listed;
    rt_told_t            told[RT_ENTITY_ZONES];     /* by zone */
} rt_clock_t;


/* the state after that version is a record of the journal */

typedef struct {
    uint64_t             version;
    uint64_t             addr;
} rt_checkpoint_t;


struct rt_entity_s {
    const rt_engine_t   *engine;
    void                *state;             /* owner; NULL: evicted, or
                                               unreadable */
    rt_table_node_t      node;              /* by engine and name */
    uint64_t             version;
    uint64_t             first_addr;        /* of its first event */
    uint64_t             last_addr;         /* of its last event */
    uint64_t             last_seq;
    uint64_t             used_ms;

    uint64_t             due_ms;            /* of a tick, 0: none */
    rt_clock_t          *clock;             /* owner; NULL: none */
    rt_heap_node_t       first;             /* at the earlier one of both */

    uint64_t            *marks;             /* of versions 256, 512, ... */
    uint32_t             nmarks;
    uint32_t             max_marks;

    rt_user_t           *user;              /* it is open for; NULL: none */
    rt_checkpoint_t     *checkpoints;       /* owner; by version */
    uint32_t             ncheckpoints;
    uint32_t             max_checkpoints;
    uint64_t             checkpoint_next;   /* none before that version */

    struct rt_read_s    *load;              /* its state is being read */
    uint64_t             failed_ms;         /* that has failed; 0: not */
    uint32_t             reads;             /* of it, under way */

    size_t               place;             /* in the list */
    uint64_t             ended_ms;          /* its last event; 0: it lives */
    uint64_t             leave_ms;          /* then it goes; 0: never */
    uint32_t             holds;             /* who points at it: visits, reads,
                                               questions of links */
    rt_uint_t            leaving;           /* subscriptions are closed */

    rt_subscription_t   *subscriptions;     /* a list */
    rt_entity_t         *dirty_next;        /* has new events to tell */
    unsigned             dirty:1;
    unsigned             damaged:1;         /* its events cannot be read, and
                                               that is logged */

    uint32_t             name_len;
    u_char               name[];
};


typedef struct {
    rt_table_t           table;
    rt_heap_t            heap;              /* those that are due some time */

    rt_entity_t        **list;              /* all, as they were added */
    size_t               n;
    size_t               max;
} rt_entities_t;


void rt_entities_init(rt_entities_t *t);
void rt_entities_free(rt_entities_t *t);

rt_entity_t *rt_entity_find(rt_entities_t *t, const rt_engine_t *engine,
    rt_str_t name);
rt_entity_t *rt_entity_add(rt_entities_t *t, const rt_engine_t *engine,
    rt_str_t name);

/* nobody may point at it any more */
void rt_entity_remove(rt_entities_t *t, rt_entity_t *e);

/* the one that is due first, NULL: none */
static inline rt_entity_t *
rt_entity_first(const rt_entities_t *t)
{
    rt_heap_node_t  *node = rt_heap_top(&t->heap);

    return node ? rt_item(node, rt_entity_t, first) : NULL;
}

/* when a tick or the clock is due; 0: never */
static inline uint64_t
rt_entity_at(const rt_entity_t *e)
{
    return e->first.place ? e->first.at : 0;
}

/* its new place among those that are due; 0: it is not */
void rt_entity_set_due(rt_entities_t *t, rt_entity_t *e, uint64_t due_ms);

/* the same for live messages, the last of which was due at last_ms */
void rt_entity_set_clock(rt_entities_t *t, rt_entity_t *e, uint64_t due_ms,
    uint64_t last_ms);

/* the same for its going */
void rt_entity_set_leave(rt_entities_t *t, rt_entity_t *e, uint64_t leave_ms);

/* an event of that version lies there */
void rt_entity_note(rt_entity_t *e, uint64_t version, uint64_t addr,
    uint64_t seq);

/* the next mark, and the next checkpoint */
void rt_entity_mark(rt_entity_t *e, uint64_t addr);
void rt_entity_checkpoint(rt_entity_t *e, uint64_t version, uint64_t addr);

static inline rt_str_t
rt_entity_name(const rt_entity_t *e)
{
    rt_str_t  s = { e->name_len, e->name };

    return s;
}


#endif /* _RT_ENTITY_H_INCLUDED_ */
