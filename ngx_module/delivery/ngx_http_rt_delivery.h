/*
 * Delivery: from the zone's log to the readers of this process.
 *
 *     zone        the log; here it is only read, without its mutex
 *     hub         a zone as one process delivers it: how far it has walked, the
 *                 audiences, what is behind
 *     audience    all subscriptions of one topic or pattern in this process;
 *                 its new messages are encoded once for each encoding in use
 *     reader      topics with one cursor, in the order of seq
 *     sink        where a reader's messages go: the side of a client's
 *                 connection that delivery knows
 *
 * A reader is in one of three states:
 *
 *               it has read all
 *     behind  ------------------>  live      gets its audiences' buffers
 *        ^    <------------------
 *        |    lost something, or out of order, or its sink is full
 *        |
 *     waiting (realtime_conflate and realtime_debounce)
 *
 * A reader that is behind reads by itself, in steps, as soon as its sink takes
 * something; see ngx_http_rt_catchup.c.  A sink has one reader or many; those
 * that are behind wait in the sink, and sinks with such readers wait in the
 * hub, so that each connection has one step in turn, whatever it has
 * subscribed to.
 *
 * All of it runs in the hub's event: NGX_HTTP_RT_SLICE at most, then the
 * event loop has its turn.  Nothing is freed in a walk: a sink that is to end
 * is told so by close() and end(), and goes later.
 *
 * May call: zone/ and text/.  Knows nothing of requests and protocols.
 */

#ifndef _NGX_HTTP_RT_DELIVERY_H_INCLUDED_
#define _NGX_HTTP_RT_DELIVERY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_http_rt_encode.h"
#include "ngx_http_rt_shape.h"
#include "ngx_http_rt_zone.h"


/* topics of one reader */
#define NGX_HTTP_RT_TOPICS_MAX     256

/* what a reader gets at a time, to the end of the message that reaches it */
#define NGX_HTTP_RT_BATCH_SIZE     (64 * 1024)

/* how long anything may keep the event loop to itself: 2 ms, in ns */
#define NGX_HTTP_RT_SLICE          2000000

/* records that one step of a walk looks at between two looks at the clock */
#define NGX_HTTP_RT_STEP           256

/* positions of a reader that are none: nothing to read until there is news, */
/* and: ask the index first */
#define NGX_HTTP_RT_POS_NONE       0
#define NGX_HTTP_RT_POS_LOOK       1


typedef struct ngx_http_rt_hub_s           ngx_http_rt_hub_t;
typedef struct ngx_http_rt_audience_s      ngx_http_rt_audience_t;
typedef struct ngx_http_rt_subscription_s  ngx_http_rt_subscription_t;
typedef struct ngx_http_rt_reader_s        ngx_http_rt_reader_t;
typedef struct ngx_http_rt_sink_s          ngx_http_rt_sink_t;
typedef struct ngx_http_rt_scan_s          ngx_http_rt_scan_t;
typedef struct ngx_http_rt_pace_s          ngx_http_rt_pace_t;


typedef enum {
    NGX_HTTP_RT_SLOW_GAP = 0,
    NGX_HTTP_RT_SLOW_LATEST,
    NGX_HTTP_RT_SLOW_CLOSE
} ngx_http_rt_slow_e;


#define NGX_HTTP_RT_START_OLDEST   -2   /* else how many messages back */


/* what a location says of its readers */

typedef struct {
    ngx_uint_t                     history_count;
    ngx_msec_t                     history_age;
    ngx_int_t                      start;
    ngx_uint_t                     slow;
    ngx_msec_t                     conflate;
    ngx_msec_t                     debounce;
    ngx_uint_t                     subscriber_limit;
} ngx_http_rt_reader_conf_t;


/* where a reader wants to begin */

typedef struct {
    ngx_http_rt_id_t               id;
    unsigned                       given:1;
    unsigned                       earliest:1;
} ngx_http_rt_from_t;


/*
 * Where the messages of readers go.  What each delivery needs is here; the rest
 * is for whatever embeds it.  The functions may be called within walks.
 */

typedef struct {

    /* the buffer, or all of it later: then the sink is blocked; NGX_ERROR */
    ngx_int_t                    (*send)(ngx_http_rt_sink_t *sink,
                                         ngx_http_rt_reader_t *rd,
                                         ngx_http_rt_buffer_t *b);

    /* what has been gathered goes out, at the end of a turn */
    void                         (*flush)(ngx_http_rt_sink_t *sink);

    /* a reader that was starting knows its position now */
    void                         (*started)(ngx_http_rt_sink_t *sink,
                                            ngx_http_rt_reader_t *rd);

    /* a gap cannot be told; or there is no memory or connection */
    void                         (*close)(ngx_http_rt_sink_t *sink,
                                          ngx_uint_t code,
                                          const char *reason);
    void                         (*end)(ngx_http_rt_sink_t *sink);
} ngx_http_rt_sink_ops_t;


struct ngx_http_rt_sink_s {
    const ngx_http_rt_sink_ops_t  *ops;
    ngx_connection_t              *connection;
    const ngx_http_rt_encoding_t  *encoding;
    uint8_t                        transport;  /* counted for */
    unsigned                       queued:1;
    unsigned                       blocked:1;  /* takes nothing now */
    unsigned                       closing:1;  /* takes no more messages */
    unsigned                       ended:1;
    unsigned                       gathers:1;  /* sends at the turn's end */
    unsigned                       dirty:1;    /* has gathered something */

    ngx_http_rt_hub_t             *hub;
    size_t                         batch_size;
    ngx_queue_t                    behind;     /* in hub->behind, if queued */
    ngx_queue_t                    readers;    /* that are behind */
    ngx_queue_t                    gathered;   /* in hub->gathered */
};


#define ngx_http_rt_sink_takes(sink)                                          \
    (!((sink)->blocked || (sink)->closing || (sink)->ended))


/* of a reader with realtime_conflate or realtime_debounce */

struct ngx_http_rt_pace_s {
    ngx_rbtree_node_t              node;    /* in hub->waiting, by its time */
    ngx_http_rt_reader_t          *reader;
    ngx_msec_t                     interval;
    ngx_msec_t                     left;    /* until the next is quiet */
    unsigned                       debounce:1;
    unsigned                       waiting:1;
};


struct ngx_http_rt_subscription_s {
    ngx_http_rt_reader_t          *reader;
    ngx_http_rt_audience_t        *audience;
    ngx_queue_t                    queue;   /* in audience->live */

    uint64_t                       seq;     /* nothing up to here is wanted */
    uint64_t                       pos;     /* where to read on, when behind */
    ngx_http_rt_start_t           *start;   /* the walk to there, or NULL */
    unsigned                       first:1; /* its start is not yet found */
};


/*
 * What each message needs comes last, to be near the first subscription, which
 * follows.
 */

struct ngx_http_rt_reader_s {
    ngx_queue_t                    behind;  /* in sink->readers, if queued */
    void                          *data;    /* of whatever made it */
    const ngx_http_rt_reader_conf_t  *conf;
    ngx_http_rt_scan_t            *scan;    /* with patterns, to catch up */

    ngx_http_rt_id_t              *came;    /* NULL or &came_id: with an id */
    ngx_http_rt_id_t               came_id; /* of another epoch */
    uint64_t                       came_at; /* the zone's seq when it came */
    ngx_http_rt_history_t          history; /* at its start */
    uint64_t                       least;   /* of its starts, so far */
    ngx_http_rt_buffer_t          *partial; /* not yet all of an answer */
    ngx_uint_t                     gaps;
    ngx_uint_t                     deletes; /* the zone's, when pos was found */

    /* of a pattern: a message that is not for it all the same; or NULL */
    ngx_uint_t                   (*skips)(ngx_http_rt_reader_t *rd,
                                          const u_char *name, size_t len,
                                          uint64_t seq);

    ngx_http_rt_sink_t            *sink;
    ngx_http_rt_hub_t             *hub;
    ngx_http_rt_pace_t            *pace;    /* or NULL */
    uint64_t                       cursor;  /* has all of its topics so far */
    uint64_t                       messages;
    uint64_t                       bytes;

    uint16_t                       nsubscriptions;
    unsigned                       entered:1;  /* counted in the zone */
    unsigned                       starting:1; /* looks where it begins */
    unsigned                       silent:1;   /* has claimed nothing before */
    unsigned                       live:1;
    unsigned                       queued:1;
    unsigned                       told:1;     /* what it has missed */

    ngx_http_rt_subscription_t     subscriptions[];
};


/* how many subscriptions of an audience are live in an encoding */

typedef struct ngx_http_rt_use_s  ngx_http_rt_use_t;

struct ngx_http_rt_use_s {
    const ngx_http_rt_encoding_t  *encoding;
    ngx_uint_t                     count;
    ngx_http_rt_use_t             *next;
};


/* what each message needs comes first */

struct ngx_http_rt_audience_s {
    ngx_http_rt_audience_t        *next;    /* in the bucket */
    uint32_t                       hash;

    unsigned                       wild:1;
    unsigned                       dirty:1;
    unsigned                       serving:1;
    unsigned                       losing:1;  /* its live are told of a loss */
    unsigned                       shape:8;   /* of a pattern */

    uint64_t                       topic_id;  /* its name's last time, or 0 */

    uint64_t                       news;    /* the last seq of it seen */
    uint64_t                       fresh;   /* the first of these unread */
    uint64_t                       seq;     /* the live have all up to here */
    uint64_t                       pos;     /* where to read on, or 0 */
    uint64_t                       end;     /* of the last news */

    ngx_queue_t                    queue;   /* in hub->dirty */
    ngx_queue_t                    live;    /* subscriptions */
    ngx_http_rt_hub_t             *hub;

    /* while a batch is being served */

    ngx_queue_t                   *walk;    /* the next to get it */
    uint64_t                       first;   /* seqs */
    uint64_t                       last;
    ngx_http_rt_buffer_t          *buffers; /* one for each encoding */

    ngx_http_rt_use_t              use;     /* the first of a list */

    ngx_uint_t                     laps;    /* the hub's, seen */
    ngx_uint_t                     deletes; /* likewise */
    uint64_t                       id;      /* unique in the process */
    ngx_uint_t                     count;   /* subscriptions, live or not */
    ngx_http_rt_name_t            topic;
};


struct ngx_http_rt_hub_s {
    ngx_http_rt_zone_t            *zone;

    uint64_t                       pos;     /* how far it has walked */
    uint64_t                       seq;
    uint64_t                       deadline;  /* of the slice, in ns */
    ngx_atomic_uint_t              deletes; /* of the zone, seen */

    ngx_http_rt_audience_t       **buckets;
    ngx_uint_t                     nbuckets;
    ngx_uint_t                     naudiences;
    ngx_uint_t                     npatterns;
    ngx_uint_t                     nreaders;

    ngx_http_rt_hash_key_t         key;     /* patterns hang by their shapes, */
    ngx_http_rt_shapes_t           shapes;  /* or among the shapeless */
    ngx_http_rt_audience_t        *shapeless;

    /* the ring has overtaken the walk: audiences learn it one by one */

    ngx_uint_t                     laps;
    uint64_t                       lap_fresh;
    uint64_t                       lap_pos;
    uint64_t                       lap_seq;
    uint64_t                       lap_end;
    ngx_uint_t                     lap_bucket;  /* the next to be told */

    ngx_queue_t                    dirty;    /* audiences with news */
    ngx_queue_t                    behind;   /* sinks with readers behind */
    ngx_queue_t                    gathered; /* sinks to be flushed */

    ngx_rbtree_t                   waiting; /* readers at their pace */
    ngx_rbtree_node_t              waiting_sentinel;
    ngx_event_t                    pace;

    ngx_event_t                    event;
    unsigned                       running:1;
    unsigned                       again:1;
};


/* ngx_http_rt_hub.c */

ngx_int_t ngx_http_rt_hub_init_process(ngx_http_rt_zone_t *zone,
    ngx_cycle_t *cycle);
void ngx_http_rt_hub_join(ngx_http_rt_hub_t *hub,
    const ngx_http_rt_at_t *at);
void ngx_http_rt_hub_post(ngx_http_rt_hub_t *hub);
ngx_uint_t ngx_http_rt_hub_pending(ngx_http_rt_hub_t *hub);
ngx_uint_t ngx_http_rt_hub_late(ngx_http_rt_hub_t *hub);
void ngx_http_rt_hub_slice(ngx_http_rt_hub_t *hub);

/* monotonic, in ns */
uint64_t ngx_http_rt_clock(void);

/* before an audience's news count: it may not know yet what a lap has taken */

void ngx_http_rt_hub_lap(ngx_http_rt_audience_t *a);

#define ngx_http_rt_hub_told(a)                                               \
    if ((a)->laps != (a)->hub->laps) {                                        \
        ngx_http_rt_hub_lap(a);                                               \
    }

#define ngx_http_rt_hub(zone)  ((ngx_http_rt_hub_t *) (zone)->hub)


/* ngx_http_rt_audience.c */

ngx_http_rt_audience_t *ngx_http_rt_audience_get(ngx_http_rt_hub_t *hub,
    const ngx_http_rt_name_t *topic);
void ngx_http_rt_audience_put(ngx_http_rt_audience_t *a);
ngx_http_rt_audience_t *ngx_http_rt_audience_find(ngx_http_rt_hub_t *hub,
    const u_char *name, const ngx_http_rt_record_t *rec);
void ngx_http_rt_audience_matches(ngx_http_rt_hub_t *hub, const u_char *name,
    size_t len, void (*match)(ngx_http_rt_audience_t *a, void *data),
    void *data);
ngx_int_t ngx_http_rt_audience_use(ngx_http_rt_audience_t *a,
    const ngx_http_rt_encoding_t *encoding);
void ngx_http_rt_audience_disuse(ngx_http_rt_audience_t *a,
    const ngx_http_rt_encoding_t *encoding);
void ngx_http_rt_audience_release(ngx_http_rt_audience_t *a);


/* ngx_http_rt_serve.c: NGX_AGAIN if the time was up */

void ngx_http_rt_serve_prefetch(ngx_http_rt_audience_t *a);
ngx_int_t ngx_http_rt_serve(ngx_http_rt_hub_t *hub);


/* ngx_http_rt_reader.c */

/* NGX_OK, NGX_BUSY: a topic's limit, NGX_DECLINED: no room, NGX_ERROR */
ngx_int_t ngx_http_rt_reader_init(ngx_http_rt_reader_t *rd,
    ngx_http_rt_sink_t *sink, const ngx_http_rt_reader_conf_t *conf,
    const ngx_http_rt_name_t *topics, ngx_uint_t n,
    const ngx_http_rt_from_t *from);
ngx_int_t ngx_http_rt_reader_start(ngx_http_rt_reader_t *rd);
void ngx_http_rt_reader_leave(ngx_http_rt_reader_t *rd);

uint64_t ngx_http_rt_reader_position(ngx_http_rt_reader_t *rd);
void ngx_http_rt_reader_live(ngx_http_rt_reader_t *rd);
void ngx_http_rt_reader_unlive(ngx_http_rt_reader_t *rd);
void ngx_http_rt_reader_behind(ngx_http_rt_reader_t *rd);
void ngx_http_rt_reader_deliver(ngx_http_rt_reader_t *rd,
    ngx_http_rt_buffer_t *b);
ngx_int_t ngx_http_rt_reader_gap(ngx_http_rt_reader_t *rd,
    ngx_http_rt_buffer_t **b, const ngx_str_t *topic, uint64_t from,
    uint64_t to, ngx_uint_t reason);
ngx_int_t ngx_http_rt_reader_refused(ngx_http_rt_reader_t *rd,
    ngx_http_rt_buffer_t **b, const ngx_str_t *topic, uint64_t seq);

/* the sink takes something again, or has been opened */
void ngx_http_rt_sink_ready(ngx_http_rt_sink_t *sink);
void ngx_http_rt_sink_init(ngx_http_rt_sink_t *sink);

#define ngx_http_rt_reader_size(n)                                            \
    (sizeof(ngx_http_rt_reader_t)                                             \
     + (n) * sizeof(ngx_http_rt_subscription_t))


/* ngx_http_rt_catchup.c */

void ngx_http_rt_catchup(ngx_http_rt_reader_t *rd);


/* ngx_http_rt_find.c: where a subscription begins; NGX_AGAIN: go on later */

ngx_int_t ngx_http_rt_find(ngx_http_rt_subscription_t *sub, uint64_t seq,
    const ngx_http_rt_history_t *history, ngx_http_rt_start_t *found);
ngx_int_t ngx_http_rt_find_newest(ngx_http_rt_subscription_t *sub,
    uint64_t have, uint64_t upto, ngx_http_rt_record_t *rec);


/* ngx_http_rt_scan.c */

ngx_int_t ngx_http_rt_scan_create(ngx_http_rt_reader_t *rd);
void ngx_http_rt_scan_free(ngx_http_rt_reader_t *rd);
void ngx_http_rt_scan_start(ngx_http_rt_reader_t *rd, ngx_uint_t given);
void ngx_http_rt_scan_live(ngx_http_rt_reader_t *rd);
void ngx_http_rt_scan_deleted(ngx_http_rt_reader_t *rd);
ngx_int_t ngx_http_rt_scan_fill(ngx_http_rt_reader_t *rd,
    ngx_http_rt_buffer_t **b);


/* ngx_http_rt_cache.c: batches that many read from the same position */

ngx_http_rt_buffer_t *ngx_http_rt_cache_get(ngx_http_rt_reader_t *rd,
    uint64_t upto);
void ngx_http_rt_cache_put(ngx_http_rt_reader_t *rd, uint64_t pos,
    ngx_http_rt_buffer_t *b);


/* ngx_http_rt_pace.c */

void ngx_http_rt_pace_init(ngx_http_rt_hub_t *hub, ngx_log_t *log);
void ngx_http_rt_pace_start(ngx_http_rt_reader_t *rd,
    ngx_http_rt_pace_t *pace, const ngx_http_rt_reader_conf_t *conf);
void ngx_http_rt_pace_wait(ngx_http_rt_reader_t *rd, ngx_msec_t ms);
void ngx_http_rt_pace_cancel(ngx_http_rt_reader_t *rd);
ngx_uint_t ngx_http_rt_pace_early(ngx_http_rt_reader_t *rd,
    const ngx_http_rt_record_t *rec);


#endif /* _NGX_HTTP_RT_DELIVERY_H_INCLUDED_ */
