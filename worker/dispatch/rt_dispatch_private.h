/*
 * What the files of worker/dispatch share, and nobody else includes.
 */


#ifndef _RT_DISPATCH_PRIVATE_H_INCLUDED_
#define _RT_DISPATCH_PRIVATE_H_INCLUDED_


#include "rt_dispatch.h"
#include "rt_idem.h"
#include "rt_loop.h"
#include "rt_reads.h"
#include "rt_snapshot.h"
#include "rt_user.h"
#include "rt_visit.h"


#define RT_HASH_EVERY          4096         /* records, then a state hash */
#define RT_CHECKPOINT_EVENTS   256          /* at least, between two */
#define RT_HISTORY_MAX         1000         /* events in one "history" */

/* of one projection: events cannot be refused, so more names are passed over */
#define RT_PROJECTED_MAX       1000000


typedef struct {
    uint64_t             commands;
    uint64_t             queries;
    uint64_t             refused;
    uint64_t             repeated;
    uint64_t             events;
    uint64_t             ticks;
    uint64_t             late_ms_max;       /* a tick after its time */
    uint64_t             busy;              /* answered with 503 */
    uint64_t             gone;              /* engines told of it */
    uint64_t             visits_full;       /* commands refused for it */
    uint64_t             user_limits;       /* and for those of a user */
    uint64_t             evicted;
    uint64_t             reloaded;
    uint64_t             checkpoints;
    uint64_t             ended;
    uint64_t             snapshots;
    uint64_t             snapshots_failed;
    uint64_t             snapshot_us;       /* the last one's fork() */
    uint64_t             replayed;          /* at start */
    uint64_t             start_us;          /* how long it took */
} rt_dispatch_stats_t;


typedef struct {
    const rt_engine_t   *engine;
    uint64_t             since;             /* seq of its first event; 1: it
                                               has all; 0: not built yet */
    size_t               entities;
    rt_entity_t         *last;              /* that got an event, or NULL */
    uint64_t             passed_over;       /* names beyond the limit */
} rt_projection_t;


struct rt_dispatch_s {
    rt_dispatch_conf_t   conf;
    rt_journal_t         journal;
    rt_entities_t        entities;
    rt_entities_t        projected;         /* those of projections */
    rt_projection_t      projections[RT_ENGINES_MAX];
    rt_uint_t            nprojections;
    rt_idems_t           idems;
    rt_visits_t          visits;
    rt_users_t           users;
    rt_reads_t           reads;
    rt_dispatch_stats_t  stats;

    rt_time_t            time;
    uint64_t             clock_ms;          /* of this turn */
    rt_output_t          out;
    rt_json_t            json;
    rt_buf_t             scratch;
    rt_buf_t             lifted[2];
    rt_buf_t             name;              /* of a projection's entity */
    u_char               secret[RT_SECRET_SIZE];
    u_char               seeds[512];
    size_t               seeds_left;

    rt_uint_t            sync_wanted;       /* a "sync" record gathers */
    rt_uint_t            batch_wanted;
    uint64_t             since_hash;
    uint64_t             since_snapshot;
    rt_uint_t            leaving;           /* some have subscriptions */
    rt_entity_t         *dirty;             /* with subscriptions to serve */
    rt_entity_t         *clocks;            /* with watchers to be counted */
    rt_entity_t        **clocks_last;
    size_t               evict_next;        /* entity to look at */

    uint64_t             publish_floor;     /* zones have not confirmed it */

    pid_t                snapshot_pid;      /* the child that writes it */
    rt_uint_t            snapshot_written;  /* waits for the disk */
    uint64_t             snapshot_seq;
    uint64_t             snapshot_next;     /* address of that one */
    uint64_t             snapshot_addr[2];  /* of the newest, the older one;
                                               0: there is none */
    uint64_t             evicted_floor[2];  /* what those evicted need: in the
                                               newer snapshot, the older one */
    uint64_t            *evicted_next;      /* and in that being written:
                                               the child writes it here */
};


/* rt_dispatch.c */

rt_durability_e rt_dispatch_durability(const rt_dispatch_t *d,
    const rt_engine_t *engine);

/* the input of decide(), all but the rest of the request */
void rt_dispatch_input(rt_dispatch_t *d, rt_input_t *in, rt_str_t entity,
    const char *name, uint64_t version);
void rt_dispatch_reset(rt_output_t *out);

/* an answer that no engine has given; RT_OK */
rt_int_t rt_dispatch_say(rt_dispatch_t *d, rt_answer_t *a, rt_uint_t status,
    const char *code, const char *message);

/* the answer waits for the entity's last event; e may be NULL */
void rt_dispatch_wait_for(const rt_dispatch_t *d, rt_answer_t *a,
    const rt_entity_t *e);


/*
 * Its state, if it was evicted, is read: at once at the start and in tools,
 * else RT_DECLINED, until it is there.  RT_ERROR: it cannot be.
 */
rt_int_t rt_dispatch_load(rt_dispatch_t *d, rt_entity_t *e);

/* it was read, and that is what came of it; the state is NULL, or taken */
void rt_dispatch_loaded(rt_dispatch_t *d, rt_entity_t *e, const rt_past_t *p,
    void *state, rt_int_t rc);

/* a request of an entity whose state is there; e may be NULL */
rt_int_t rt_dispatch_run(rt_dispatch_t *d, const rt_request_t *rq,
    rt_answer_t *a, const rt_engine_t *engine, rt_entity_t *e);

void rt_dispatch_query_input(const rt_dispatch_t *d, rt_input_t *in,
    const rt_request_t *rq, uint64_t version);


/* rt_command.c; e is NULL if there is none */

rt_int_t rt_command_run(rt_dispatch_t *d, const rt_request_t *rq,
    rt_answer_t *a, const rt_engine_t *engine, rt_entity_t *e);


/* rt_commit.c */

/* d->out; *ep is set when it creates; RT_AGAIN: no room, nothing has changed */
rt_int_t rt_commit(rt_dispatch_t *d, const rt_engine_t *engine,
    rt_entity_t **ep, rt_str_t name, uint64_t time_ms, rt_idem_t *idem);

/* after its state has changed: its place among those that are due */
void rt_commit_due(rt_dispatch_t *d, rt_entity_t *e);


/* rt_tick.c */

/*
 * Those of one entity that are due.  RT_AGAIN: the disk is not ready;
 * RT_DECLINED: so many were run, and more are due.
 */
rt_int_t rt_tick_run(rt_dispatch_t *d, rt_entity_t *e);


/* rt_replay.c */

rt_int_t rt_replay_record(rt_dispatch_t *d, const rt_record_t *rec);

/* logs that the event is newer than this program; RT_ERROR */
rt_int_t rt_replay_newer(const rt_engine_t *engine, const rt_record_t *rec);

uint64_t rt_entity_state_hash(rt_dispatch_t *d, rt_entity_t *e);

/* of all entities: the sum of their hashes, so that their order is nothing */
uint64_t rt_dispatch_hash(rt_dispatch_t *d);


/* rt_store.c */

rt_int_t rt_store_open(rt_dispatch_t *d, const rt_dispatch_conf_t *conf);
void rt_store_close(rt_dispatch_t *d);

void rt_store_init(rt_dispatch_t *d, const rt_dispatch_conf_t *conf);
void rt_store_free(rt_dispatch_t *d);       /* all but the journal */


/* rt_timekeeper.c */

/* all is replayed: the journal's time goes on */
void rt_timekeeper_start(rt_dispatch_t *d);


/* rt_image.c */

rt_int_t rt_image_write(rt_dispatch_t *d);

/* RT_DECLINED: it may speak of events newer than this program knows */
rt_int_t rt_image_load(rt_dispatch_t *d, rt_reader_t *body);


/* rt_dump.c */

/* the address of the oldest event that an evicted entity needs */
uint64_t rt_dump_floor(rt_dispatch_t *d);

/* the child has exited: its file waits for the journal, or is dropped */
void rt_dispatch_snapshot_exited(rt_dispatch_t *d, int status);


/* rt_projection.c */

void rt_projection_init(rt_dispatch_t *d);
rt_projection_t *rt_projection_find(rt_dispatch_t *d,
    const rt_engine_t *engine);

/* an event of that engine, today's, is applied to what it is for */
void rt_projection_feed(rt_dispatch_t *d, const rt_engine_t *engine,
    const rt_event_t *ev, const rt_record_t *rec);

/* those that a snapshot did not have, from the oldest record kept to it */
rt_int_t rt_projection_build(rt_dispatch_t *d, uint64_t seq);

uint64_t rt_projection_hash(rt_dispatch_t *d, const rt_projection_t *p);
void rt_projection_status(rt_dispatch_t *d, rt_buf_t *b);


/* rt_checkpoint.c */

/* after a commit: if one is due and there is room, its records */
void rt_checkpoint_commit(rt_dispatch_t *d, rt_entity_t *e, uint64_t time_ms);

/* a record of one, at the start */
rt_int_t rt_checkpoint_replay(const rt_record_t *rec, rt_entity_t *e);

/* the newest one up to that version; NULL: none */
const rt_checkpoint_t *rt_checkpoint_find(rt_past_t *p,
    uint64_t version);

/* the state that it holds; RT_DECLINED: no longer kept, RT_ERROR: damaged */
rt_int_t rt_checkpoint_restore(rt_past_t *p, const rt_checkpoint_t *c,
    void *state);


/*
 * rt_past.c; RT_DECLINED: no longer kept, RT_AGAIN: no descriptors, later,
 * RT_ERROR: damaged
 */

void rt_past_init(rt_past_t *p, rt_journal_t *j, const rt_entity_t *e);

/* the entity is told of damage, which is logged once; in the thread of logic */
void rt_past_end(const rt_past_t *p, rt_entity_t *e);

/* the addresses of *n events from a version on; fewer, where it ends */
rt_int_t rt_past_page(rt_past_t *p, uint64_t from, uint64_t *addrs,
    rt_uint_t *n);

/* the event of that version, which lies there, lifted */
rt_int_t rt_past_event(rt_past_t *p, uint64_t addr, uint64_t version,
    rt_event_t *ev, rt_buf_t lifted[2]);

rt_int_t rt_past_state(rt_past_t *p, uint64_t version, void **state);

/* the last version at a time */
rt_int_t rt_past_version_at(rt_past_t *p, uint64_t time_ms,
    uint64_t *version);


/* rt_end.c */

/* has it ended, and when will it go? */
void rt_end_look(rt_dispatch_t *d, rt_entity_t *e);

/* its time has come: it goes, or in a moment */
void rt_end_run(rt_dispatch_t *d, rt_entity_t *e);

rt_int_t rt_end_replay(rt_dispatch_t *d, const rt_record_t *rec,
    rt_entity_t *e);


/* rt_history.c */

/* is it one of the generic queries? */
rt_uint_t rt_history_asks(rt_str_t name);

void rt_history_query(rt_past_t *p, const rt_input_t *in,
    rt_output_t *out, uint64_t *version);


#endif /* _RT_DISPATCH_PRIVATE_H_INCLUDED_ */
