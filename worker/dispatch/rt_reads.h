/*
 * Reads: what old records are needed for is done by threads of their own, and
 * the request waits for it while the thread of logic goes on.
 *
 * A read is the state of an entity that was evicted, for any number of
 * requests, which then run in their order; or one query of the past.  Reads
 * wait in a queue.  A thread gets one at a time, with a copy of what it needs
 * of the entity, and reads only what is on disk; so it shares nothing with the
 * thread of logic.  A query whose entity is ahead of the disk is held until
 * the disk has it.
 *
 * While a read is under way its entity is neither evicted nor removed, and
 * retention keeps its records.
 */


#ifndef _RT_READS_H_INCLUDED_
#define _RT_READS_H_INCLUDED_


#include <pthread.h>

#include "rt_dispatch.h"
#include "rt_loop.h"


#define RT_READS_THREADS      2
#define RT_READS_MAX          8192          /* requests that wait, then 503 */
#define RT_READS_BYTES        (64 * 1024 * 1024)    /* of them */
#define RT_READS_QUERIES      256           /* of the past; their answers are
                                               large */
#define RT_READS_RUN_US       2000          /* of a turn, for what waited */
#define RT_READS_AGAIN_MS     10000         /* a failed one is not repeated */


/* an entity's past: what is needed to read it, in any thread */

typedef struct {
    rt_journal_t           *journal;
    const rt_engine_t      *engine;
    rt_str_t                name;
    uint64_t                version;        /* the last one */
    uint64_t                last_addr;
    const uint64_t         *marks;
    uint32_t                nmarks;
    uint32_t                ncheckpoints;
    const rt_checkpoint_t  *checkpoints;
    rt_uint_t               damaged;        /* a record is not there */
    int                     damaged_errno;
    uint64_t                damaged_addr;
} rt_past_t;


typedef struct rt_wait_s   rt_wait_t;
typedef struct rt_read_s   rt_read_t;
typedef struct rt_reads_s  rt_reads_t;


/* a request; its strings lie behind it */

struct rt_wait_s {
    rt_request_t             rq;
    size_t                   size;
    uint64_t                 since_ms;      /* of rt_loop_now() */
    rt_uint_t                dropped;       /* the link is gone */
    rt_uint_t                gone;          /* the client's connection is */
    rt_wait_t               *next;
};


struct rt_read_s {
    rt_entity_t             *entity;
    rt_uint_t                query;         /* of the past; else the state */
    uint64_t                 version;       /* the entity's when it came */
    uint64_t                 last_addr;
    uint64_t                 last_seq;
    rt_wait_t               *waits;         /* owner */
    rt_wait_t              **last;
    rt_read_t               *next;
};


typedef struct {
    rt_read_t               *first;
    rt_read_t              **last;
} rt_reads_queue_t;


typedef struct {
    pthread_t                thread;
    rt_reads_t              *reads;
    rt_journal_t             journal;       /* a reader */

    rt_read_t               *read;          /* under the mutex; NULL: idle */
    rt_uint_t                done;          /* so is this */

    rt_past_t                past;          /* its lists are copies */
    rt_input_t               in;            /* its strings are the request's */
    rt_output_t              out;
    uint64_t                 version;
    void                    *state;
    rt_int_t                 rc;
} rt_reads_thread_t;


struct rt_reads_s {
    rt_uint_t                nthreads;      /* 0: reads are done at once */
    rt_reads_thread_t        threads[RT_READS_THREADS];
    pthread_mutex_t          mutex;
    pthread_cond_t           wake;
    rt_uint_t                stop;
    rt_poll_t                poll;          /* an eventfd: one is done */
    rt_answer_pt             handler;

    rt_reads_queue_t         queue;
    rt_reads_queue_t         held;          /* until the disk has it */
    uint64_t                 held_seq;      /* durable_seq at the last look */
    rt_reads_queue_t         loaded;        /* its requests are to run */

    size_t                   n;             /* requests */
    size_t                   bytes;
    size_t                   queries;
};


/* rt_reads.c */

void rt_reads_init(rt_reads_t *rs);
void rt_reads_free(rt_reads_t *rs);         /* what still waits is dropped */

/*
 * The request waits for the entity's state, or is a query of the past.
 * RT_DECLINED: it will be answered; RT_OK: *a says why it cannot be.  Without
 * a request the state is only read.
 */
rt_int_t rt_reads_load(rt_dispatch_t *d, rt_entity_t *e,
    const rt_request_t *rq, rt_answer_t *a);
rt_int_t rt_reads_query(rt_dispatch_t *d, rt_entity_t *e,
    const rt_request_t *rq, rt_answer_t *a);

/* what is done is answered, what can be is begun */
void rt_reads_turn(rt_dispatch_t *d);

/* links and clients that are gone */
void rt_reads_link_gone(rt_reads_t *rs, const void *link);
void rt_reads_gone(rt_reads_t *rs, const void *link, uint64_t connection);

/* the oldest address that reads under way may need */
uint64_t rt_reads_floor(const rt_reads_t *rs);


/* rt_reads_thread.c */

rt_int_t rt_reads_start(rt_dispatch_t *d, rt_answer_pt handler);
void rt_reads_stop(rt_reads_t *rs);

/* an idle thread gets a read */
void rt_reads_give(rt_dispatch_t *d, rt_reads_thread_t *t, rt_read_t *r);

/* the one that it has done, or NULL; what came of it is in t */
rt_read_t *rt_reads_done(rt_reads_thread_t *t);


#endif /* _RT_READS_H_INCLUDED_ */
