/*
 * Where a reader of one topic begins: the way back from the topic's newest
 * record to the oldest one that the reader wants and may have.
 *
 * It sets out from a view: a copy of what the index knew of the topic at one
 * moment, taken under the mutex.  The way itself is walked without the mutex,
 * in steps with a budget.  Records may be overwritten or deleted meanwhile;
 * then the step says AGAIN, and goes on from a fresh view.
 *
 * A reader that is far behind a busy topic is served sooner along the ring
 * than along the chain: after NGX_HTTP_RT_START_BACK records back the walk
 * looks ahead, from the mark in the ring that lies before the reader's seq.
 */

#ifndef _NGX_HTTP_RT_START_H_INCLUDED_
#define _NGX_HTTP_RT_START_H_INCLUDED_


#include "ngx_http_rt_record.h"


/* records that are looked at backwards before the walk looks ahead */
#define NGX_HTTP_RT_START_BACK   1024

#define NGX_HTTP_RT_START_MORE   0
#define NGX_HTTP_RT_START_OVER   1
#define NGX_HTTP_RT_START_AGAIN  2      /* wants ngx_http_rt_start_again() */


/* what the index knows of one topic */

typedef struct {
    uint64_t              id;           /* 0: the index does not know it */
    uint32_t              cell;
    uint64_t              first;        /* positions of the oldest record */
    uint64_t              last;         /* and the newest; first 0: none */
    uint64_t              seq;          /* of the last message ever; if it is */
                                        /* unknown: of what was forgotten */
    uint64_t              floor;        /* up to this seq all is gone */
    uint64_t              deleted;      /* up to this seq by DELETE */
    uint64_t              ordinal;      /* of the last message */
    uint64_t              now;          /* the zone's seq at this moment */
} ngx_http_rt_view_t;


typedef struct {
    uint64_t              seq;          /* up to here all is had or lost */
    uint64_t              pos;          /* of the first record, 0: none yet */
    ngx_http_rt_gap_e     reason;       /* if what is up to seq is lost */

    uint64_t              had;          /* the rest is private */
    uint64_t              found;        /* seq of the record at pos */
    uint64_t              back;         /* the record to look at next, */
    uint64_t              ahead;        /* and along the ring, 0: do not */
    uint64_t              steps;
    ngx_http_rt_view_t    view;
    ngx_http_rt_history_t history;
    unsigned              bounded:1;    /* by history */
    unsigned              over:1;
    unsigned              straight:1;   /* never ahead again */
} ngx_http_rt_start_t;


/* the reader has all up to seq, or wants all behind it; history NULL: of all */
/* that is there */
void ngx_http_rt_start_init(ngx_http_rt_start_t *start,
    const ngx_http_rt_view_t *view, uint64_t seq,
    const ngx_http_rt_history_t *history);

/* looks at up to so many records; MORE, OVER, AGAIN */
int ngx_http_rt_start_step(ngx_http_rt_ring_t *ring,
    ngx_http_rt_start_t *start, unsigned steps);

/* after AGAIN, with a fresh view; MORE or OVER */
int ngx_http_rt_start_again(ngx_http_rt_start_t *start,
    const ngx_http_rt_view_t *view);


#endif /* _NGX_HTTP_RT_START_H_INCLUDED_ */
