/*
 * The types that the module's files share, from the zone up to the protocols.
 * Each layer calls the ones below it and knows nothing of those above:
 *
 *     protocols     ngx_http_rt_sse.c, _ws.c, _poll.c, _stream.c
 *     subscriber    one client: its cursor, what is in flight to it, its end
 *     delivery      the process walks the ring and serves its audiences
 *     zone          shared memory: ring, index, slots of processes
 */

#ifndef _NGX_HTTP_RT_H_INCLUDED_
#define _NGX_HTTP_RT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "ngx_http_rt_id.h"
#include "ngx_http_rt_message.h"
#include "ngx_http_rt_pattern.h"
#include "ngx_http_rt_rule.h"
#include "ngx_http_rt_ws_extension.h"
#include "ngx_http_rt_zone.h"
#include "ngx_http_rt_zone_private.h"


/* topics of one subscriber */
#define NGX_HTTP_RT_TOPICS_MAX     256

/* what a reader gets at a time, to the end of the message that reaches it */
#define NGX_HTTP_RT_BATCH_SIZE     (64 * 1024)

/* the same of a long-poll */
#define NGX_HTTP_RT_POLL_SIZE      (1024 * 1024)

/* how long delivery may keep the event loop to itself */
#define NGX_HTTP_RT_SLICE_MS       2

/* positions of a reader that are none: nothing to read until there is news, */
/* and: look into the index first */
#define NGX_HTTP_RT_POS_NONE       0
#define NGX_HTTP_RT_POS_LOOK       1

/* records of the ring looked at between two looks at the clock */
#define NGX_HTTP_RT_WALK           1024


typedef struct ngx_http_rt_buffer_s        ngx_http_rt_buffer_t;
typedef struct ngx_http_rt_subscriber_s    ngx_http_rt_subscriber_t;
typedef struct ngx_http_rt_subscription_s  ngx_http_rt_subscription_t;
typedef struct ngx_http_rt_worker_s        ngx_http_rt_worker_t;
typedef struct ngx_http_rt_pass_conf_s     ngx_http_rt_pass_conf_t;
typedef struct ngx_http_rt_loc_conf_s      ngx_http_rt_loc_conf_t;


/* ways to write a message; see ngx_http_rt_encode.c */

typedef enum {
    NGX_HTTP_RT_ENC_SSE = 0,
    NGX_HTTP_RT_ENC_SSE_CHUNKED,
    NGX_HTTP_RT_ENC_SSE_JSON,
    NGX_HTTP_RT_ENC_SSE_JSON_CHUNKED,
    NGX_HTTP_RT_ENC_STREAM,
    NGX_HTTP_RT_ENC_STREAM_CHUNKED,
    NGX_HTTP_RT_ENC_POLL,
    NGX_HTTP_RT_ENC_WS,
    NGX_HTTP_RT_ENC_WS_JSON,
    NGX_HTTP_RT_ENC_WS_DEFLATE,
    NGX_HTTP_RT_ENC_WS_JSON_DEFLATE,
    NGX_HTTP_RT_ENC_WS_DEFLATE_SMALL,
    NGX_HTTP_RT_ENC_WS_JSON_DEFLATE_SMALL,
    NGX_HTTP_RT_ENCODINGS
} ngx_http_rt_encoding_e;


typedef enum {
    NGX_HTTP_RT_SLOW_GAP = 0,
    NGX_HTTP_RT_SLOW_LATEST,
    NGX_HTTP_RT_SLOW_CLOSE
} ngx_http_rt_slow_e;


typedef struct {
    ngx_str_t                      topic;   /* or pattern */
    ngx_http_rt_id_t               from;    /* had by the client */
    ngx_http_rt_id_t               to;      /* the last that may be missing */
    ngx_http_rt_id_t               id;      /* resuming here loses nothing */
    ngx_uint_t                     reason;
} ngx_http_rt_gap_t;


typedef struct {
    ngx_int_t                      level;
    size_t                         min;     /* smaller ones go as they are */
} ngx_http_rt_deflate_t;


/* encoded messages, shared by all who stand at the same place */

struct ngx_http_rt_buffer_s {
    ngx_http_rt_buffer_t          *next;    /* of a batch, in other encoding */
    ngx_uint_t                     refs;
    ngx_uint_t                     messages;
    ngx_http_rt_deflate_t          deflate;
    ngx_uint_t                     encoding;
    u_char                        *pos;
    u_char                        *last;
    u_char                        *end;
    u_char                         start[];
};


/*
 * What the subscribers of one topic or pattern in this process share.  What
 * each message needs comes first.
 */

struct ngx_http_rt_audience_s {
    ngx_http_rt_audience_t        *next;    /* in the bucket */
    uint32_t                       hash;

    unsigned                       wild:1;
    unsigned                       dirty:1;
    unsigned                       serving:1;

    uint64_t                       topic_id;  /* its name's last time, or 0 */

    uint64_t                       news;    /* the last seq of it seen */
    uint64_t                       fresh;   /* the first of these unread */
    uint64_t                       seq;     /* the live have all up to here */
    uint64_t                       pos;     /* where to read on, or 0 */
    uint64_t                       end;     /* of the last news */

    ngx_queue_t                    queue;   /* in zone->dirty */
    ngx_queue_t                    live;    /* subscriptions */
    ngx_http_rt_zone_t            *zone;

    /* while a batch is being served */

    ngx_queue_t                   *walk;    /* the next to get it */
    uint64_t                       first;   /* seqs */
    uint64_t                       last;
    ngx_http_rt_buffer_t          *buffers; /* one for each encoding */

    uint32_t                       encoded; /* bits of those in use */
    uint32_t                       encodings[NGX_HTTP_RT_ENCODINGS];
    ngx_http_rt_deflate_t          deflate; /* of the last to come */

    ngx_uint_t                     count;   /* subscriptions, live or not */
    ngx_str_t                      name;
};


struct ngx_http_rt_subscription_s {
    ngx_http_rt_subscriber_t      *subscriber;
    ngx_http_rt_audience_t        *audience;
    ngx_queue_t                    queue;   /* in audience->live */

    uint64_t                       seq;     /* nothing up to here is wanted */
    uint64_t                       pos;     /* where to read on, when behind */
    ngx_http_rt_gap_e              gap;     /* to be told, up to seq */
};


#define ngx_http_rt_batch_size(s)                                             \
    ((s)->protocol->transport == NGX_HTTP_RT_POLL                             \
     ? NGX_HTTP_RT_POLL_SIZE : NGX_HTTP_RT_BATCH_SIZE)


/* what a protocol is */

typedef struct {
    ngx_http_rt_transport_e        transport;
    size_t                         ctx_size;

    /* the header and the hello; NGX_OK, NGX_AGAIN, NGX_ERROR */
    ngx_int_t                    (*open)(ngx_http_rt_subscriber_t *s);

    /* what send() does with a buffer; NULL: the bytes go out as they are */
    ngx_int_t                    (*send)(ngx_http_rt_subscriber_t *s,
                                         ngx_http_rt_buffer_t *b);

    /* the timer, which is always set: it holds a process that is to quit */
    void                         (*timer)(ngx_http_rt_subscriber_t *s);

    /* what the client sends; NULL: nothing that matters */
    void                         (*read)(ngx_http_rt_subscriber_t *s);

    /* what could not be sent while a buffer was in flight; NULL: nothing */
    ngx_int_t                    (*flush)(ngx_http_rt_subscriber_t *s);

    /* the last words, a WebSocket close code tells why */
    void                         (*close)(ngx_http_rt_subscriber_t *s,
                                          ngx_uint_t code, const char *reason);
} ngx_http_rt_protocol_t;


/*
 * Who has patterns catches up along the ring itself.  What history does not
 * allow of single topics at the start is kept until the start is passed.
 */

typedef struct {
    uint32_t                       cell;
    uint64_t                       id;
    uint64_t                       seq;     /* up to here */
} ngx_http_rt_bound_t;


typedef struct {
    ngx_uint_t                     n;
    ngx_http_rt_bound_t           *elts;    /* by cell */
} ngx_http_rt_bounds_t;


typedef struct {
    uint64_t                       pos;     /* or POS_LOOK: by the cursor */
    uint64_t                       seq;     /* the bounds serve up to here */
    uint64_t                       end;     /* of the ring when it came */
    ngx_atomic_uint_t              deletes; /* of the zone when it came */
    ngx_atomic_uint_t              seen;    /* of these, by the last look */
    uint64_t                       marked;  /* the last seq it was for */
    ngx_http_rt_bounds_t           bounds;
    ngx_http_rt_history_t          history;
    unsigned                       gaps:1;  /* to be looked for first */
    unsigned                       silent:1;  /* of what was gone before */
    unsigned                       live:1;  /* its start is over: what it */
} ngx_http_rt_scan_t;                       /* loses is "lagged" */


/* of a subscriber with realtime_conflate or realtime_debounce */

typedef struct {
    ngx_rbtree_node_t              node;    /* in zone->waiting, by its time */
    ngx_http_rt_subscriber_t      *subscriber;
    ngx_msec_t                     interval;
    ngx_msec_t                     left;    /* until the next is quiet */
    unsigned                       debounce:1;
    unsigned                       waiting:1;
} ngx_http_rt_pace_t;


/*
 * It lives in the request's pool, or in one of its own if the request may end
 * before it; see ngx_http_rt_detach.c.  What each message needs comes last, to
 * be near the subscriptions.
 */

struct ngx_http_rt_subscriber_s {
    ngx_http_request_t            *request; /* NULL: it has been detached */
    ngx_pool_t                    *pool;    /* we die with it */
    ngx_http_rt_loc_conf_t        *conf;
    ngx_http_core_loc_conf_t      *core_conf;
    void                          *ctx;     /* of the protocol */

    ngx_queue_t                    queue;   /* in zone->subscribers */
    ngx_queue_t                    behind;  /* in zone->behind or ->ended */

    uint64_t                       came_at; /* the zone's seq when it came */
    ngx_http_rt_id_t              *came;    /* NULL or &came_id: with an id */
    ngx_http_rt_id_t               came_id; /* of another epoch */
    ngx_http_rt_scan_t            *scan;    /* with patterns, to catch up */

    u_char                        *out_pos;
    ngx_chain_t                   *out_chain;  /* unless direct */

    ngx_uint_t                     gaps;
    ngx_event_t                    timer;

    ngx_int_t                      rc;      /* what it ended with */
    const char                    *close_reason;

    ngx_connection_t              *connection;
    ngx_http_rt_zone_t            *zone;
    const ngx_http_rt_protocol_t  *protocol;
    ngx_http_rt_pace_t            *pace;    /* or NULL */
    ngx_http_rt_buffer_t          *out;     /* in flight, one reference */

    uint64_t                       cursor;  /* has all of its topics so far */
    ngx_uint_t                     messages;
    uint64_t                       bytes;
    ngx_msec_t                     active;  /* when something was sent */

    uint16_t                       close_code;
    uint16_t                       nsubscriptions;

    unsigned                       encoding:4;
    unsigned                       direct:1;   /* past the filters */
    unsigned                       chunked:1;
    unsigned                       joined:1;   /* counted in the zone */
    unsigned                       live:1;
    unsigned                       queued:1;   /* by "behind" */
    unsigned                       blocked:1;  /* the socket is full */
    unsigned                       closing:1;  /* takes no more messages */
    unsigned                       ended:1;
    unsigned                       told:1;     /* what it has missed */
    unsigned                       draining:1;
    unsigned                       said:1;     /* its last words */

    ngx_http_rt_subscription_t     subscriptions[];
};


typedef struct {
    ngx_array_t                    zones;   /* ngx_http_rt_zone_t * */
    ngx_array_t                    workers; /* ngx_http_rt_worker_t * */
    ngx_uint_t                     nlinks;  /* of all workers */
    ngx_shm_zone_t                *tallies; /* of links; NULL: there are none */
    ngx_msec_t                     drain;
} ngx_http_rt_main_conf_t;


struct ngx_http_rt_loc_conf_s {
    ngx_http_complex_value_t      *publish;
    ngx_shm_zone_t                *publish_zone;

    ngx_array_t                   *subscribe;   /* of complex values */
    ngx_shm_zone_t                *subscribe_zone;
    ngx_uint_t                     subscribe_encoded;

    ngx_http_rt_pass_conf_t       *pass;

    ngx_array_t                   *transports;  /* ngx_uint_t */
    ngx_array_t                   *origins;     /* ngx_str_t */
    ngx_uint_t                     origin;

    ngx_uint_t                     history_count;
    ngx_msec_t                     history_age;
    ngx_int_t                      start;
    ngx_uint_t                     slow;

    ngx_msec_t                     keepalive;
    ngx_msec_t                     retry;
    ngx_msec_t                     poll_timeout;
    ngx_flag_t                     envelope;
    size_t                         message_max_size;
    ngx_uint_t                     message_rate;    /* per second * 1000 */
    ngx_uint_t                     message_burst;
    ngx_uint_t                     subscriber_limit;
    ngx_flag_t                     deflate_on;
    ngx_http_rt_deflate_t          deflate;
    ngx_msec_t                     conflate;
    ngx_msec_t                     debounce;
    ngx_flag_t                     detach;
};


#define NGX_HTTP_RT_START_OLDEST   -2   /* else how many messages back */

#define NGX_HTTP_RT_ORIGIN_SAME    0
#define NGX_HTTP_RT_ORIGIN_ANY     1
#define NGX_HTTP_RT_ORIGIN_HOSTS   2


/* what the variables of a request tell, of publishers and subscribers */

typedef struct {
    ngx_str_t                      topic;
    uint64_t                       epoch;
    uint64_t                       seq;
    ngx_uint_t                     transport;
    ngx_uint_t                     subscribers;
    ngx_http_rt_subscriber_t      *subscriber;
    void                          *publish;
    void                          *pass;
    void                          *events;
    ngx_http_rt_ws_deflate_t       deflate;
    ngx_int_t                      rc;      /* of an answer given within */
    ngx_uint_t                     messages;
    ngx_uint_t                     gaps;
    uint64_t                       bytes;
    unsigned                       has_id:1;
    unsigned                       has_subscribers:1;
    unsigned                       subscribed:1;
    unsigned                       body:1;  /* there was one, discarded */
} ngx_http_rt_ctx_t;


/* ngx_http_rt_audience.c */

typedef void (*ngx_http_rt_audience_pt)(ngx_http_rt_audience_t *a, void *data);

ngx_http_rt_audience_t *ngx_http_rt_audience_get(ngx_http_rt_zone_t *zone,
    ngx_str_t *name, ngx_uint_t wild);
ngx_http_rt_audience_t *ngx_http_rt_audience_find(ngx_http_rt_zone_t *zone,
    u_char *name, ngx_http_rt_record_t *rec);
void ngx_http_rt_audience_matches(ngx_http_rt_zone_t *zone, u_char *topic,
    size_t len, ngx_http_rt_audience_pt match, void *data);
void ngx_http_rt_audience_put(ngx_http_rt_audience_t *a);
void ngx_http_rt_audience_release(ngx_http_rt_audience_t *a);


/* ngx_http_rt_encode.c */

const char *ngx_http_rt_gap_reason(ngx_uint_t reason);

ngx_http_rt_buffer_t *ngx_http_rt_buffer_create(ngx_uint_t encoding,
    size_t size);
ngx_int_t ngx_http_rt_buffer_reserve(ngx_http_rt_buffer_t **b, size_t size);
ngx_int_t ngx_http_rt_buffer_add(ngx_http_rt_buffer_t **b,
    ngx_http_rt_message_t *m);
ngx_int_t ngx_http_rt_buffer_add_gap(ngx_http_rt_buffer_t **b,
    ngx_http_rt_gap_t *gap);
ngx_uint_t ngx_http_rt_buffer_takes_objects(ngx_uint_t encoding);
ngx_int_t ngx_http_rt_buffer_add_object(ngx_http_rt_buffer_t **b,
    u_char *json, size_t len, const char *event, u_char *id, size_t id_len);
void ngx_http_rt_buffer_finish(ngx_http_rt_buffer_t *b);
void ngx_http_rt_buffer_release(ngx_http_rt_buffer_t *b);


/* ngx_http_rt_deflate.c */

size_t ngx_http_rt_deflate(ngx_uint_t small, ngx_int_t level,
    const u_char *src, size_t len, u_char *dst);
ngx_int_t ngx_http_rt_inflate(u_char *src, size_t len, size_t max,
    ngx_str_t *dst);


/* ngx_http_rt_catchup.c, until it walks by itself */

ngx_int_t ngx_http_rt_read_start(ngx_http_rt_zone_t *zone,
    ngx_http_rt_audience_t *a, uint64_t seq, ngx_http_rt_start_t *start);


/* ngx_http_rt_deliver.c */

void ngx_http_rt_deliver(ngx_event_t *ev);
void ngx_http_rt_deliver_post(ngx_http_rt_zone_t *zone);


/* ngx_http_rt_catchup.c */

void ngx_http_rt_catchup(ngx_http_rt_subscriber_t *s);
ngx_uint_t ngx_http_rt_catchup_early(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_record_t *rec);
ngx_int_t ngx_http_rt_catchup_gap(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_buffer_t **b, ngx_str_t *topic, uint64_t from, uint64_t to,
    ngx_uint_t reason);


/* ngx_http_rt_scan.c */

ngx_int_t ngx_http_rt_scan_fill(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_buffer_t **b);


/* ngx_http_rt_pace.c */

void ngx_http_rt_pace_init(ngx_http_rt_zone_t *zone, ngx_log_t *log);
void ngx_http_rt_pace_wait(ngx_http_rt_subscriber_t *s, ngx_msec_t ms);
void ngx_http_rt_pace_cancel(ngx_http_rt_subscriber_t *s);


/* ngx_http_rt_subscriber.c */

ngx_http_rt_subscriber_t *ngx_http_rt_subscriber_create(ngx_http_request_t *r,
    ngx_http_rt_zone_t *zone, const ngx_http_rt_protocol_t *protocol,
    ngx_uint_t subscriptions);
ngx_int_t ngx_http_rt_subscriber_open(ngx_http_rt_subscriber_t *s);
ngx_int_t ngx_http_rt_subscriber_send(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_buffer_t *b);
void ngx_http_rt_subscriber_deliver(ngx_http_rt_subscriber_t *s,
    ngx_http_rt_buffer_t *b);
ngx_int_t ngx_http_rt_subscriber_header(ngx_http_rt_subscriber_t *s,
    ngx_str_t *type, u_char *hello, size_t len);
uint64_t ngx_http_rt_subscriber_position(ngx_http_rt_subscriber_t *s);
void ngx_http_rt_subscriber_idle(ngx_http_rt_subscriber_t *s);
void ngx_http_rt_subscriber_last(ngx_http_rt_subscriber_t *s, u_char *text,
    size_t len);
void ngx_http_rt_subscriber_live(ngx_http_rt_subscriber_t *s);
void ngx_http_rt_subscriber_unlive(ngx_http_rt_subscriber_t *s);
void ngx_http_rt_subscriber_behind(ngx_http_rt_subscriber_t *s);
void ngx_http_rt_subscriber_close(ngx_http_rt_subscriber_t *s,
    ngx_uint_t code, const char *reason);
void ngx_http_rt_subscriber_end(ngx_http_rt_subscriber_t *s, ngx_int_t rc);
void ngx_http_rt_subscriber_finalize(ngx_http_rt_zone_t *zone);
void ngx_http_rt_subscriber_write(ngx_http_rt_subscriber_t *s);
void ngx_http_rt_subscriber_tell(ngx_http_rt_subscriber_t *s);
void ngx_http_rt_subscriber_leave(void *data);
void ngx_http_rt_subscriber_free(void *data);
void ngx_http_rt_subscriber_drain(void);
void ngx_http_rt_subscriber_exit(ngx_http_rt_zone_t *zone);


/* ngx_http_rt_detach.c */

void ngx_http_rt_detach(ngx_http_rt_subscriber_t *s);
void ngx_http_rt_detach_close(ngx_http_rt_subscriber_t *s, ngx_int_t rc);


/* the protocols */

extern const ngx_http_rt_protocol_t  ngx_http_rt_sse;
extern const ngx_http_rt_protocol_t  ngx_http_rt_stream;
extern const ngx_http_rt_protocol_t  ngx_http_rt_poll;
extern const ngx_http_rt_protocol_t  ngx_http_rt_ws;

ngx_uint_t ngx_http_rt_ws_asked(ngx_http_request_t *r);
ngx_int_t ngx_http_rt_ws_check(ngx_http_request_t *r);
ngx_int_t ngx_http_rt_ws_headers(ngx_http_request_t *r);
ngx_uint_t ngx_http_rt_ws_envelope(ngx_http_request_t *r);
ngx_uint_t ngx_http_rt_ws_deflate(ngx_http_request_t *r);


/* until its users include it themselves */

#include "ngx_http_rt_http.h"


#endif /* _NGX_HTTP_RT_H_INCLUDED_ */
