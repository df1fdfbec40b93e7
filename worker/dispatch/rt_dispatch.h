/*
 * Dispatch: what happens around every engine, written once.
 *
 * This header is the interface of the room worker/dispatch, together with
 * rt_entity.h, an instance of an engine.  The room owns all state of entities,
 * the table of idempotency keys, the snapshots, and the journal, which it opens
 * and fills.  It calls journal and core, and engines by their contract in
 * rt_engine.h.  It knows nothing of connections: "link" in a request is a name.
 * rt_dispatch_private.h is for its own files:
 *
 *   rt_dispatch.c    requests come in; the accessors of this header
 *   rt_command.c     one command
 *   rt_commit.c      an engine's decision becomes records, then state
 *   rt_tick.c        ticks, clocks, closed connections of clients
 *   rt_checkpoint.c  states in the journal
 *   rt_past.c        events and states of the past
 *   rt_history.c     queries of the past
 *   rt_reads.c, rt_reads_thread.c   requests that wait for it
 *   rt_projection.c  engines that follow another one's events
 *   rt_replay.c      records back into state, and hashes of states
 *   rt_store.c       the start
 *   rt_timekeeper.c  the journal's time
 *   rt_image.c       the body of a snapshot
 *   rt_dump.c        snapshots of a running daemon, retention
 *   rt_evict.c       idle entities
 *   rt_end.c         those that have ended
 *   rt_check.c       replay --check
 *   rt_status.c      counters
 *   rt_entity.c, rt_idem.c, rt_visit.c, rt_user.c   the tables
 *
 * The path of a command: link -> rt_dispatch() -> idempotency key, expected
 * version -> engine->decide() -> journal -> engine->apply() -> answer.  The
 * answer names the seq that must be on disk before it may be sent; the link
 * holds it until then.  State runs ahead of the disk by at most the journal's
 * buffers, and nothing is sent that the disk does not have: therefore refusals
 * and queries, too, wait for the last event of the entity that they are about.
 *
 * Projections are fed as events are applied, in a replay, too.  They have a
 * table of their own; their entities' "version" counts the events they got.
 */


#ifndef _RT_DISPATCH_H_INCLUDED_
#define _RT_DISPATCH_H_INCLUDED_


#include "rt_entity.h"
#include "rt_journal.h"
#include "rt_time.h"


typedef struct rt_dispatch_s  rt_dispatch_t;


/* limits, each with a directive of its own in realtimed.conf */
#define RT_ENTITIES_MAX        1000000
#define RT_SNAPSHOT_EVENTS     1000000      /* journaled, then a snapshot */
#define RT_USER_COMMANDS_MAX   1000000      /* a second */
#define RT_IDLE_MS             (600 * 1000) /* then evicted, if none is due */
#define RT_ENDED_MS            (7ull * 86400 * 1000)  /* then they go */
#define RT_BATCH_MS            10           /* "batch" is synced within */
#define RT_NONE_MS             1000         /* and "none" */

/* a command's events and answer: far below what the journal may gather */
#define RT_COMMAND_SIZE_MAX    (512 * 1024)


typedef struct {
    rt_journal_conf_t    journal;
    size_t               entities_max;
    size_t               visits_max;
    size_t               user_entities;     /* open; 0: no limit */
    size_t               user_commands;     /* a second; 0: no limit */
    size_t               idem_max;
    size_t               idem_bytes;
    uint64_t             idem_age_ms;
    uint64_t             snapshot_events;   /* 0: only when asked */
    uint64_t             retain_bytes;      /* 0: keep all */
    uint64_t             idle_ms;           /* 0: never evict */
    uint64_t             clock_step_ms;     /* the wall clock ahead by more */
    rt_uint_t            accept_time;       /* it is right, at the start */
    uint64_t             ended_ms;          /* 0: they stay */
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
    uint64_t             id;                /* the link's name for it */
    uint64_t             timeout_ms;        /* to be decided within; 0: none */
    rt_uint_t            has_expect;
    uint64_t             expect;
    rt_str_t             expect_too;        /* versions, 8 bytes each */
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


/* an answer that rt_dispatch() could not give at once */

typedef void (*rt_answer_pt)(const rt_request_t *rq, const rt_answer_t *a);


void rt_dispatch_defaults(rt_dispatch_conf_t *conf);

/* opens, loads the newest good snapshot, replays; NULL: logged why not */
rt_dispatch_t *rt_dispatch_open(const rt_dispatch_conf_t *conf);

/* what a running daemon can change */
void rt_dispatch_configure(rt_dispatch_t *d, const rt_dispatch_conf_t *conf);

/* to start, stop and read; dispatch alone appends */
rt_journal_t *rt_dispatch_journal(rt_dispatch_t *d);

/* old records are read by threads from now on; without, on the spot */
rt_int_t rt_dispatch_start(rt_dispatch_t *d, rt_answer_pt handler);

/* the threads end, before the journal is closed; what waits has no answer */
void rt_dispatch_stop(rt_dispatch_t *d);

/*
 * RT_OK: *a is the answer; RT_AGAIN: come back, for there is no room in the
 * journal, or ticks are due, which come first; RT_DECLINED: it waits for old
 * records, the handler gets the answer
 */
rt_int_t rt_dispatch(rt_dispatch_t *d, const rt_request_t *rq, rt_answer_t *a);

/* a request was answered with 503 before it came here */
void rt_dispatch_count_busy(rt_dispatch_t *d);

/* sets the time of this turn; before commands */
void rt_dispatch_turn(rt_dispatch_t *d);
uint64_t rt_dispatch_now(const rt_dispatch_t *d);

/* the journal's clock, to read */
const rt_time_t *rt_dispatch_time(const rt_dispatch_t *d);

/* the wall clock is right; returns by how many ms the journal's time leaps */
uint64_t rt_dispatch_accept_time(rt_dispatch_t *d);

/* now and then and at the stop: a start goes on from there */
void rt_dispatch_save_time(rt_dispatch_t *d, rt_uint_t sync);

/* ticks that are due; returns ms until the next one, at most max */
uint64_t rt_dispatch_tick(rt_dispatch_t *d, uint64_t max);

/* at the end of a turn; returns in how many ms it must be called, 0: never */
uint64_t rt_dispatch_flush(rt_dispatch_t *d, rt_uint_t force);

/* an idle moment: some entities may go */
void rt_dispatch_evict(rt_dispatch_t *d);

/* a client's connection is closed; all that were named on a link are */
void rt_dispatch_gone(rt_dispatch_t *d, const void *link, uint64_t connection);
void rt_dispatch_link_gone(rt_dispatch_t *d, const void *link);

/* the journal is kept from that address on; 0: no zone needs it */
void rt_dispatch_keep(rt_dispatch_t *d, uint64_t addr);

/* JSON members */
void rt_dispatch_status(rt_dispatch_t *d, rt_buf_t *b);


/* entities */

/* it may have been evicted; NULL: there is none */
rt_entity_t *rt_dispatch_entity(rt_dispatch_t *d, const rt_engine_t *engine,
    rt_str_t name);

/* the answer, where its events cannot be read */
rt_int_t rt_dispatch_unreadable(rt_dispatch_t *d, rt_answer_t *a,
    const rt_entity_t *e);

/*
 * Entities whose subscribers have events to get.  An entity is one when a
 * commit changes it, or when rt_dispatch_changed() says so; it stays one until
 * its last event is on disk.
 */
void rt_dispatch_changed(rt_dispatch_t *d, rt_entity_t *e);
void rt_dispatch_each_changed(rt_dispatch_t *d,
    void (*handler)(rt_entity_t *e));

/* entities have ended whose subscriptions must end, too */
rt_uint_t rt_dispatch_leaving(rt_dispatch_t *d);

/* takes the first of those whose watchers are to be counted; NULL: none */
rt_entity_t *rt_dispatch_clock_next(rt_dispatch_t *d);
rt_uint_t rt_dispatch_clock_waits(const rt_dispatch_t *d);


/* snapshots */

/* in a child process; RT_DECLINED: one is being written */
rt_int_t rt_dispatch_snapshot(rt_dispatch_t *d);

/* enough records for the next one */
rt_uint_t rt_dispatch_snapshot_due(const rt_dispatch_t *d);

/* a child has exited; RT_DECLINED: another one, RT_ERROR: no snapshot */
rt_int_t rt_dispatch_snapshot_child(rt_dispatch_t *d, pid_t pid, int status);

/* RT_OK: it has its name; RT_DECLINED: not yet, or there is none */
rt_int_t rt_dispatch_snapshot_commit(rt_dispatch_t *d);

rt_uint_t rt_dispatch_snapshot_pending(const rt_dispatch_t *d);
uint64_t rt_dispatch_snapshot_seq(const rt_dispatch_t *d);

/* in this process, after rt_journal_stop() */
rt_int_t rt_dispatch_snapshot_now(rt_dispatch_t *d);


/* events as records have them */

/*
 * The addresses of *n events of an entity from a version on; fewer, where it
 * ends.  RT_DECLINED: they are no longer kept, RT_AGAIN: they cannot be read
 * now, RT_ERROR: they are damaged.
 */
rt_int_t rt_history_page(rt_dispatch_t *d, rt_entity_t *e,
    uint64_t from, uint64_t *addrs, rt_uint_t *n);

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


/*
 * realtimectl replay --check, in the directory of a stopped daemon: the report
 * goes to stdout.  RT_OK: all states agree.
 */
rt_int_t rt_check(const char *dir);


#endif /* _RT_DISPATCH_H_INCLUDED_ */
