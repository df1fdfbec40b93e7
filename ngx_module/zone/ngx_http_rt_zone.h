/*
 * The zone: what all processes share of one name, as an interface.
 *
 * It owns the shared memory, with the ring of messages, the index of topics
 * and the slots of processes; the mutex over it; and the bells that wake
 * processes.  Everything above, delivery, sessions, dialects, HTTP and links,
 * may call what stands here.  Nothing above includes the store or takes the
 * mutex, and nothing here calls upwards, but for the hooks below.
 *
 * Each function says whether it takes the mutex.  One hold does at most
 *
 *     enter, leave        NGX_HTTP_RT_ZONE_HOLD topics
 *     topics              NGX_HTTP_RT_ZONE_CELLS cells
 *     forget              NGX_HTTP_RT_TOPIC_STEPS records
 *     append              one append: up to a quarter of the ring
 *     sweep of a slot     NGX_HTTP_RT_ZONE_SWEEP cells
 *     all others          one topic
 *
 * The one exception is the repair after a process has died in the middle of a
 * change, or after the memory was found damaged: it goes over all of the index
 * in one hold, for nobody can use it before.
 *
 * A process may die at any instruction.  What it had not completed is taken
 * back or completed by the next process that takes the mutex.
 */

#ifndef _NGX_HTTP_RT_ZONE_H_INCLUDED_
#define _NGX_HTTP_RT_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_http_rt_message.h"
#include "ngx_http_rt_pattern.h"
#include "ngx_http_rt_record.h"
#include "ngx_http_rt_start.h"


/* topics that are entered or left in one hold of the mutex: about 10 us */
#define NGX_HTTP_RT_ZONE_HOLD      64

/* cells that zone_topics() looks at in one hold, and topics that it finds */
#define NGX_HTTP_RT_ZONE_CELLS     256
#define NGX_HTTP_RT_ZONE_FOUND     16

/* bytes of a control record */
#define NGX_HTTP_RT_CONTROL_MAX    4096

/* the type that tells that control records have been lost */
#define NGX_HTTP_RT_CONTROL_LOST   0


typedef struct ngx_http_rt_zone_s      ngx_http_rt_zone_t;
typedef struct ngx_http_rt_zone_sh_s   ngx_http_rt_zone_sh_t;
typedef struct ngx_http_rt_append_s    ngx_http_rt_append_t;


typedef enum {
    NGX_HTTP_RT_SSE = 0,
    NGX_HTTP_RT_WEBSOCKET,
    NGX_HTTP_RT_POLL,
    NGX_HTTP_RT_STREAM,
    NGX_HTTP_RT_TRANSPORTS
} ngx_http_rt_transport_e;


/* a process's place in a zone; as long as it lives, only its process writes, */
/* but for "rung" */

typedef struct {
    ngx_atomic_t                   rung;    /* its bell has been */
    ngx_pid_t                      pid;     /* 0: free */

    uint64_t                       subscribers[NGX_HTTP_RT_TRANSPORTS];
    uint64_t                       delivered[NGX_HTTP_RT_TRANSPORTS];
    uint64_t                       gaps[NGX_HTTP_RT_GAP_REASONS];
    uint64_t                       refused; /* publications of daemons */
} __attribute__((aligned(64))) ngx_http_rt_slot_t;


typedef void (*ngx_http_rt_zone_control_pt)(ngx_http_rt_zone_t *zone,
    ngx_uint_t type, const u_char *bytes, size_t len);


/* a zone as one process has it */

struct ngx_http_rt_zone_s {
    ngx_str_t                      name;
    uint64_t                       epoch;
    ngx_http_rt_slot_t            *slot;    /* NULL: this process takes no */
                                            /* subscribers */
    uint64_t                       bit;     /* of records' interest */
    ngx_shm_zone_t                *shm_zone;

    /* set by layers above */

    void                          *hub;     /* of delivery */
    void                         (*heard)(ngx_http_rt_zone_t *zone);
                                            /* there may be something new */
    ngx_http_rt_zone_control_pt    control; /* a control record, or NULL */

    /* private to zone/ */

    ngx_http_rt_zone_sh_t         *sh;
    ngx_slab_pool_t               *shpool;
    size_t                         index_size;
    ngx_event_t                    housekeeping;
    ngx_event_t                    retry;   /* of pending appends */
    ngx_queue_t                    pending;
    uint64_t                       controlled;  /* position of the last one */
    uint64_t                       damages; /* of the store, logged */
    unsigned                       repaired:1;
    unsigned                       stuck:1; /* the ring, when we waited */
};


/* a topic or a pattern, as it is named to the zone */

typedef struct {
    ngx_str_t                      name;
    uint32_t                       hash;    /* ngx_http_rt_zone_hash() of it */
    unsigned                       wild:1;
} ngx_http_rt_name_t;


typedef struct {
    uint64_t                       seq;     /* of the last message */
    uint64_t                       pos;     /* where the next record goes */
} ngx_http_rt_at_t;


typedef struct {
    ngx_http_rt_view_t             view;
    uint8_t                        len;
    u_char                         name[NGX_HTTP_RT_TOPIC_MAX];
} ngx_http_rt_found_t;


typedef struct {
    uint64_t                       messages;
    uint64_t                       bytes;
    uint64_t                       first;   /* seqs; of no use if there are */
    uint64_t                       last;    /* no messages */
    uint64_t                       subscribers;
} ngx_http_rt_zone_stat_t;


/* of the whole zone; subscribers, delivered, gaps and refused are sums */

typedef struct {
    uint64_t                       epoch;
    uint64_t                       published;
    uint64_t                       evicted;
    uint64_t                       topics;
    uint64_t                       ring_bytes;
    uint64_t                       ring_used;
    uint64_t                       index_free;
    uint64_t                       subscribers[NGX_HTTP_RT_TRANSPORTS];
    uint64_t                       delivered[NGX_HTTP_RT_TRANSPORTS];
    uint64_t                       gaps[NGX_HTTP_RT_GAP_REASONS];
    uint64_t                       refused; /* publications of daemons */

    /* for want of room in the index */

    uint64_t                       topics_evicted;
    uint64_t                       keys_evicted;
    uint64_t                       publications_refused;
    uint64_t                       subscriptions_refused;

    uint64_t                       subscribers_delayed;
} ngx_http_rt_zone_status_t;


/*
 * Messages to be appended, all or none.  Memory, messages and their bytes must
 * stay until the append is over.  "rc" is NGX_HTTP_RT_TOPIC_OK, FULL, LARGE,
 * REPLAY, MISMATCH or BUSY; after OK the messages have their seqs, and with OK
 * and REPLAY the key, if there is one, has the answer.
 */

struct ngx_http_rt_append_s {
    ngx_http_rt_message_t         *messages;
    ngx_uint_t                     n;
    ngx_http_rt_key_t             *key;     /* or NULL */
    const ngx_http_rt_place_t     *place;   /* or NULL; n is 1, no key */

    ngx_int_t                      rc;
    uint64_t                       subscribers;

    void                         (*handler)(ngx_http_rt_append_t *a);
    void                          *data;

    /* private to zone/ */

    ngx_http_rt_zone_t            *zone;
    ngx_queue_t                    queue;
    ngx_msec_t                     since;
    unsigned                       pending:1;
};


extern ngx_module_t  ngx_http_realtime_module;


/*
 * The life of zones.  The directive's offset is that of an ngx_array_t of
 * ngx_http_rt_zone_t * in its configuration.  drain() is called when the
 * process is to quit.
 */

char *ngx_http_rt_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_shm_zone_t *ngx_http_rt_zone_named(ngx_conf_t *cf, ngx_str_t *name);
ngx_int_t ngx_http_rt_zone_init_module(ngx_array_t *zones, ngx_cycle_t *cycle);
ngx_int_t ngx_http_rt_zone_init_process(ngx_array_t *zones,
    ngx_cycle_t *cycle, void (*drain)(void));
void ngx_http_rt_zone_exit_process(ngx_array_t *zones);


/* without the mutex, any number of times */

uint32_t ngx_http_rt_zone_hash(ngx_http_rt_zone_t *zone, const u_char *name,
    size_t len);
void ngx_http_rt_zone_name_set(ngx_http_rt_zone_t *zone, ngx_http_rt_name_t *t,
    const u_char *name, size_t len, unsigned wild);
void ngx_http_rt_zone_prefetch(ngx_http_rt_zone_t *zone, uint32_t hash);

uint64_t ngx_http_rt_zone_seq(ngx_http_rt_zone_t *zone);
uint64_t ngx_http_rt_zone_head(ngx_http_rt_zone_t *zone);
ngx_atomic_uint_t ngx_http_rt_zone_deletes(ngx_http_rt_zone_t *zone);

/* where a position lies: at or before the first record behind seq, by the */
/* ring's marks; "evicted" gets the seq up to which messages have gone at all */
uint64_t ngx_http_rt_zone_seek(ngx_http_rt_zone_t *zone, uint64_t seq,
    uint64_t *evicted);

/* the first message at or behind *pos and before end; OK, END, LAPPED */
int ngx_http_rt_zone_scan(ngx_http_rt_zone_t *zone, uint64_t *pos,
    uint64_t end, ngx_http_rt_record_t *rec);

/* the same for the one walk of the process, with subscribers or without; */
/* zone->control() gets each control record on the way, once, and if LAPPED */
/* CONTROL_LOST */
int ngx_http_rt_zone_walk(ngx_http_rt_zone_t *zone, uint64_t *pos,
    uint64_t end, ngx_http_rt_record_t *rec);

/* the record at pos; OK, LAPPED */
int ngx_http_rt_zone_record(ngx_http_rt_zone_t *zone, uint64_t pos,
    ngx_http_rt_record_t *rec);

/* the topic of a record just read; "name" has room for 255 bytes; OK, LAPPED */
int ngx_http_rt_zone_name(ngx_http_rt_zone_t *zone, uint64_t pos,
    const ngx_http_rt_record_t *rec, u_char *name);

/* its message, valid until the next call; NGX_DECLINED: lapped, or its data */
/* is, so that it is lost; NGX_ERROR: no memory */
ngx_int_t ngx_http_rt_zone_message(ngx_http_rt_zone_t *zone, uint64_t pos,
    const ngx_http_rt_record_t *rec, ngx_http_rt_message_t *m);

/* up to which seq topics that are forgotten, and that this topic or pattern */
/* may have meant, had messages */
uint64_t ngx_http_rt_zone_forgotten(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *t);


/* one hold of the mutex each, or several as said above */

void ngx_http_rt_zone_view(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *t, ngx_http_rt_view_t *view);

/* goes on from a view, without the mutex but where the way was overwritten; */
/* 1: over; 0: there is more to do */
int ngx_http_rt_zone_start_step(ngx_http_rt_zone_t *zone,
    ngx_http_rt_start_t *start, unsigned steps);

/* presences, all or none; NGX_BUSY: a topic has its limit of subscribers, 0 */
/* is none; NGX_DECLINED: no room; "at": what comes behind it rings */
ngx_int_t ngx_http_rt_zone_enter(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *topics, ngx_uint_t n, ngx_uint_t limit,
    ngx_http_rt_at_t *at);
void ngx_http_rt_zone_leave(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *topics, ngx_uint_t n);

/* counts a subscriber that waits for a later turn of the event loop */
void ngx_http_rt_zone_delayed(ngx_http_rt_zone_t *zone);

/* topics in cells from *from on, 1 at first, with a seq behind the cursor; */
/* returns how many; *from becomes the cell to go on with, 0 at the end */
ngx_uint_t ngx_http_rt_zone_topics(ngx_http_rt_zone_t *zone, uint32_t *from,
    uint64_t cursor, ngx_http_rt_found_t *found);

/* NGX_DECLINED: there are neither messages nor subscribers */
ngx_int_t ngx_http_rt_zone_stat(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *t, ngx_http_rt_zone_stat_t *stat);
uint64_t ngx_http_rt_zone_watchers(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *t);
void ngx_http_rt_zone_status(ngx_http_rt_zone_t *zone,
    ngx_http_rt_zone_status_t *status);

/* deletes what there is of a topic now */
void ngx_http_rt_zone_forget(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *t);

/* NGX_OK: a->rc is set; NGX_AGAIN: a->handler(a) is called when it is, but */
/* not before this has returned */
ngx_int_t ngx_http_rt_zone_append(ngx_http_rt_zone_t *zone,
    ngx_http_rt_append_t *a);

/* a pending one will not be answered: it is taken back, nothing of it is */
/* published; one that is over is left alone */
void ngx_http_rt_zone_cancel(ngx_http_rt_append_t *a);

/* never pending; returns a->rc, BUSY at once if the ring is held */
ngx_int_t ngx_http_rt_zone_append_now(ngx_http_rt_zone_t *zone,
    ngx_http_rt_append_t *a);

/* to every process that has a slot, this one too; types are from 1 to 255; */
/* NGX_BUSY: the ring is held; NGX_ERROR: there is no such record */
ngx_int_t ngx_http_rt_zone_control(ngx_http_rt_zone_t *zone, ngx_uint_t type,
    const u_char *bytes, size_t len);

/* the place of the source that was last behind this peer; NGX_DECLINED: none */
ngx_int_t ngx_http_rt_zone_source(ngx_http_rt_zone_t *zone, uint64_t peer,
    ngx_http_rt_place_t *place);
void ngx_http_rt_zone_source_set(ngx_http_rt_zone_t *zone, uint64_t peer,
    const ngx_http_rt_place_t *place);


/* ms since 1970, the clock of messages */
uint64_t ngx_http_rt_now(void);


#endif /* _NGX_HTTP_RT_ZONE_H_INCLUDED_ */
