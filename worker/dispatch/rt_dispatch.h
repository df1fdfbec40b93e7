/*
 * Dispatch: what happens around every engine, written once.
 *
 * A command's way: link -> rt_dispatch() -> idempotency, expected version ->
 * engine->decide() -> journal -> engine->apply() -> answer.  The answer names
 * the seq that must be on disk before it may be sent; the link holds it until
 * then.  State runs ahead of the disk by at most the journal's buffers, and
 * nobody is told of what the disk does not have: that is why refusals and
 * queries, too, wait for the last event of the entity they speak of.
 *
 * Projections are fed as events are applied, in a replay, too.  They have a
 * table of their own; their entities' "version" counts the events they got.
 */


#ifndef _RT_DISPATCH_H_INCLUDED_
#define _RT_DISPATCH_H_INCLUDED_


#include "rt_entity.h"
#include "rt_idem.h"
#include "rt_journal.h"
#include "rt_loop.h"
#include "rt_visit.h"
#include "rt_snapshot.h"


/* limits, each with a directive of its own in realtimed.conf */
#define RT_ENTITIES_MAX        1000000
#define RT_SNAPSHOT_EVENTS     1000000      /* journaled, then a snapshot */
#define RT_IDLE_MS             (600 * 1000) /* then evicted, if none is due */
#define RT_BATCH_MS            10           /* "batch" is synced within */
#define RT_NONE_MS             1000         /* and "none" */

/* a command's events and answer: far below what the journal may gather */
#define RT_COMMAND_SIZE_MAX    (512 * 1024)

#define RT_HASH_EVERY          4096         /* records, then a state hash */
#define RT_EVICT_VERSIONS      4096         /* more events: never evicted */
#define RT_AT_VERSIONS         100000       /* replayed for one "at" query */
#define RT_HISTORY_MAX         1000         /* events in one "history" */

/* of one projection: events cannot be refused, so more names are passed over */
#define RT_PROJECTED_MAX       1000000


typedef struct {
    rt_journal_conf_t    journal;
    size_t               entities_max;
    size_t               visits_max;
    size_t               idem_max;
    size_t               idem_bytes;
    uint64_t             idem_age_ms;
    uint64_t             snapshot_events;   /* 0: only when asked */
    uint64_t             retain_bytes;      /* 0: keep all */
    uint64_t             idle_ms;           /* 0: never evict */
    int                  durability[256];   /* by engine id, -1: its own */
} rt_dispatch_conf_t;


typedef struct {
    rt_uint_t            query;
    rt_str_t             engine;
    rt_str_t             entity;
    rt_str_t             name;
    rt_str_t             body;
    rt_str_t             args;
    rt_str_t             key;
    rt_str_t             user;
    uint64_t             connection;
    const void          *link;              /* by which it came */
    rt_uint_t            has_expect;
    uint64_t             expect;
} rt_request_t;


typedef struct {
    rt_uint_t            status;
    rt_uint_t            has_version;
    uint64_t             version;
    uint64_t             needs_seq;         /* on disk before it is sent */
    rt_uint_t            repeated;
    rt_uint_t            retry;             /* Retry-After, seconds */
    rt_str_t             body;              /* until the next call */
} rt_answer_t;


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
    uint64_t             evicted;
    uint64_t             reloaded;
    uint64_t             snapshots;
    uint64_t             snapshots_failed;
    uint64_t             replayed;          /* at start */
    uint64_t             start_us;          /* how long it took */
} rt_dispatch_stats_t;


typedef struct {
    const rt_engine_t   *engine;
    uint64_t             since;             /* seq of its first event; 1: it
                                               has all; 0: not built yet */
    size_t               entities;
    uint64_t             passed_over;       /* names beyond the limit */
} rt_projection_t;


typedef struct {
    rt_dispatch_conf_t   conf;
    rt_journal_t         journal;
    rt_entities_t        entities;
    rt_entities_t        projected;         /* those of projections */
    rt_projection_t      projections[RT_ENGINES_MAX];
    rt_uint_t            nprojections;
    rt_idems_t           idems;
    rt_visits_t          visits;
    rt_dispatch_stats_t  stats;

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
    rt_entity_t         *dirty;             /* with subscriptions to serve */
    rt_entity_t         *clocks;            /* with watchers to be counted */
    rt_entity_t        **clocks_last;
    size_t               evict_next;        /* slot to look at next */
    size_t               evict_projected;

    uint64_t             publish_floor;     /* zones have not confirmed it */

    pid_t                snapshot_pid;      /* the child that writes it */
    rt_uint_t            snapshot_written;  /* waits for the disk */
    uint64_t             snapshot_seq;
    uint64_t             snapshot_floor;    /* address of the older one */
    uint64_t             snapshot_addr;
    uint64_t             evicted_floor[2];  /* what those evicted need: in the
                                               newer snapshot, the older one */
    uint64_t             evicted_next;      /* and in that being written */
    rt_uint_t            stopping;
} rt_dispatch_t;


void rt_dispatch_defaults(rt_dispatch_conf_t *conf);

/* opens, loads the newest good snapshot, replays what follows */
rt_int_t rt_dispatch_open(rt_dispatch_t *d, const rt_dispatch_conf_t *conf);
void rt_dispatch_close(rt_dispatch_t *d);

/* RT_OK: *a is the answer; RT_AGAIN: no room in the journal, come back */
rt_int_t rt_dispatch(rt_dispatch_t *d, const rt_request_t *rq, rt_answer_t *a);

/* what time is it; before commands */
void rt_dispatch_turn(rt_dispatch_t *d);

/* ticks that are due; returns ms until the next one, at most max */
uint64_t rt_dispatch_tick(rt_dispatch_t *d, uint64_t max);

/* at the end of a turn; returns in how many ms it must be called, 0: never */
uint64_t rt_dispatch_flush(rt_dispatch_t *d, rt_uint_t force);

/* an idle moment: some entities may go */
void rt_dispatch_evict(rt_dispatch_t *d);

/* in a child process; RT_DECLINED: one is being written */
rt_int_t rt_dispatch_snapshot(rt_dispatch_t *d);
void rt_dispatch_snapshot_exited(rt_dispatch_t *d, int status);
void rt_dispatch_snapshot_commit(rt_dispatch_t *d);
rt_uint_t rt_dispatch_snapshot_pending(const rt_dispatch_t *d);

/* in this process, after rt_journal_stop() */
rt_int_t rt_dispatch_snapshot_now(rt_dispatch_t *d);

rt_entity_t *rt_dispatch_entity(rt_dispatch_t *d, const rt_engine_t *engine,
    rt_str_t name);

/* after its state has changed: its place among those that are due */
void rt_dispatch_due(rt_dispatch_t *d, rt_entity_t *e);

/* takes the first of those whose watchers are to be counted; NULL: none */
rt_entity_t *rt_dispatch_clock_next(rt_dispatch_t *d);

/* for replay --check and the start */
void rt_dispatch_init(rt_dispatch_t *d, const rt_dispatch_conf_t *conf);
void rt_dispatch_free(rt_dispatch_t *d);    /* all but the journal */
rt_int_t rt_dispatch_replay(rt_dispatch_t *d, const rt_record_t *rec);

/* RT_DECLINED: it may speak of events newer than this program knows */
rt_int_t rt_dispatch_load(rt_dispatch_t *d, const rt_snapshot_head_t *head,
    rt_reader_t *body);

/* logs that the event is newer than this program; RT_ERROR */
rt_int_t rt_dispatch_newer(const rt_engine_t *engine, const rt_record_t *rec);

uint64_t rt_entity_state_hash(rt_dispatch_t *d, rt_entity_t *e);
/* of all entities: the sum of their hashes, so that order is nothing */
uint64_t rt_dispatch_hash(rt_dispatch_t *d);

void rt_dispatch_status(rt_dispatch_t *d, rt_buf_t *b);     /* JSON members */


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


/* rt_history.c */

/*
 * The addresses of up to n events of an entity, from version "from" on.
 * Returns how many; *gone is set when they are no longer kept.
 */
rt_uint_t rt_history_page(rt_dispatch_t *d, const rt_entity_t *e,
    uint64_t from, uint64_t *addrs, rt_uint_t n, rt_uint_t *gone);

/*
 * The record as an event, lifted to today's version.  RT_DECLINED: this
 * program does not know it.
 */
rt_int_t rt_history_lift(const rt_engine_t *engine, const rt_record_t *rec,
    rt_event_t *ev, rt_buf_t lifted[2]);

/* the same of one that the start has let pass; its data lives in d */
void rt_history_event(rt_dispatch_t *d, const rt_engine_t *engine,
    const rt_record_t *rec, rt_event_t *ev);

/* {"version":...,"time":...,"type":...} */
void rt_history_describe(const rt_engine_t *engine, const rt_event_t *ev,
    rt_buf_t *b);

/* the state after that version; NULL if it cannot be had */
void *rt_history_state(rt_dispatch_t *d, const rt_entity_t *e,
    uint64_t version, rt_uint_t *gone);

/* the generic queries; RT_DECLINED: not one of them */
rt_int_t rt_history_query(rt_dispatch_t *d, rt_entity_t *e,
    const rt_input_t *in, rt_output_t *out, uint64_t *version);


#endif /* _RT_DISPATCH_H_INCLUDED_ */
