/*
 * Session: a client's connection, from the end of its request's admission to
 * the end of the connection.
 *
 * It owns the socket's two directions, the timer, the limits, what is in flight
 * and what waits behind it, the readers, the principal, and the goodbye.  It is
 * a delivery sink with all that around it.  What bytes mean is not its
 * business:
 *
 *     transport    how bytes come and go: an SSE response, a long-poll, a
 *                  stream of lines, a WebSocket
 *     dialect      what the messages of a WebSocket mean: bare data, commands,
 *                  the multiplexing session, foreign protocols
 *
 * There are two ways out.  Over HTTP/1 and WebSocket, once the header has gone
 * through the filters, bytes are given to the connection as they are: chunked
 * framing is part of the buffer, and all sessions share it.  Over HTTP/2 and 3
 * a buffer goes through the filter chain, one at a time.
 *
 * Nothing ends here at once, for most calls come from a walk over others: an
 * ended session waits for the sessions' own event.  The request's cleanup takes
 * it out of everything, whatever ends the request; the pool's cleanup frees it.
 * Without a request (ngx_http_rt_detach.c) the connection's pool does both.
 *
 * May call: delivery/, zone/, text/.
 */

#ifndef _NGX_HTTP_RT_SESSION_H_INCLUDED_
#define _NGX_HTTP_RT_SESSION_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "ngx_http_rt_delivery.h"


/* replies that wait for one client's socket; then it is too slow */
#define NGX_HTTP_RT_REPLIES_MAX    (256 * 1024)

/* what a dialect may put before each message for one reader, with the frame */
#define NGX_HTTP_RT_HEAD_MAX       300

/* the close code of a process that goes */
#define NGX_HTTP_RT_GOING          1012

/* realtime_detach: what becomes of the request after its header */
#define NGX_HTTP_RT_DETACH_OFF     0       /* it stays */
#define NGX_HTTP_RT_DETACH_ON      1       /* it ends */
#define NGX_HTTP_RT_DETACH_SAVED   2       /* it is saved until its end */

/* the largest context that begins with a report */
#define NGX_HTTP_RT_REPORT_MAX     256


typedef struct ngx_http_rt_session_s    ngx_http_rt_session_t;
typedef struct ngx_http_rt_transport_s  ngx_http_rt_transport_t;
typedef struct ngx_http_rt_dialect_s    ngx_http_rt_dialect_t;
typedef struct ngx_http_rt_part_s       ngx_http_rt_part_t;
typedef struct ngx_http_rt_saved_s      ngx_http_rt_saved_t;


/* what a location says of its sessions */

typedef struct {
    ngx_msec_t                     keepalive;
    ngx_msec_t                     retry;
    ngx_msec_t                     poll_timeout;
    size_t                         message_max_size;
    ngx_uint_t                     message_rate;    /* per second * 1000 */
    ngx_uint_t                     message_burst;
    ngx_uint_t                     topics_max;      /* if it multiplexes */
    ngx_flag_t                     deflate_on;
    ngx_http_rt_deflate_t          deflate;
    ngx_uint_t                     detach;
    ngx_http_rt_reader_conf_t      reader;
} ngx_http_rt_session_conf_t;


/*
 * On whose behalf.  The lists are of ngx_str_t, topics and patterns, as the
 * location's directives gave them for the request; NULL: all topics, for the
 * caller has checked by itself.
 */

typedef struct {
    const ngx_array_t             *publish;
    const ngx_array_t             *subscribe;   /* and history */
} ngx_http_rt_principal_t;


struct ngx_http_rt_transport_s {
    ngx_http_rt_transport_e        id;
    size_t                         ctx_size;

    /* the header and the hello; NGX_OK, NGX_AGAIN, NGX_ERROR */
    ngx_int_t                    (*open)(ngx_http_rt_session_t *s);

    /* what is done with a buffer; NULL: its bytes go out as they are */
    ngx_int_t                    (*send)(ngx_http_rt_session_t *s,
                                         ngx_http_rt_buffer_t *b);

    /* the timer, which is always set: it holds a process that is to quit */
    void                         (*timer)(ngx_http_rt_session_t *s);

    /* what the client sends; NULL: nothing that matters */
    void                         (*read)(ngx_http_rt_session_t *s);

    /* the socket takes something again; NULL: nothing has waited */
    ngx_int_t                    (*flush)(ngx_http_rt_session_t *s);

    /* the last words, a WebSocket close code says why */
    void                         (*close)(ngx_http_rt_session_t *s,
                                          ngx_uint_t code,
                                          const char *reason);

    /* it leaves, and is being freed; NULL: nothing to do */
    void                         (*leave)(ngx_http_rt_session_t *s);
    void                         (*free)(ngx_http_rt_session_t *s);
};


/*
 * What a WebSocket's messages mean.  Input becomes operations, which are in
 * ngx_http_rt_operation.h; replies go out by ngx_http_rt_session_reply().
 */

struct ngx_http_rt_dialect_s {
    ngx_str_t                      name;       /* of realtime_protocol */
    ngx_str_t                      subprotocol; /* or empty */
    const ngx_http_rt_form_t      *form;       /* of messages */
    unsigned                       multiplex:1; /* readers come and go */
    size_t                         ctx_size;

    /* hello, after the 101; NULL: nothing is said */
    ngx_int_t                    (*open)(ngx_http_rt_session_t *s);

    /* a whole message of the client; NGX_ERROR: no memory */
    ngx_int_t                    (*input)(ngx_http_rt_session_t *s,
                                          u_char *data, size_t len,
                                          ngx_uint_t binary);

    /*
     * If form->heads: the frame's header and what is private to the reader,
     * before "len" bytes of a message that all share; at most
     * NGX_HTTP_RT_HEAD_MAX bytes.  Then nothing is compressed.
     */
    u_char                      *(*head)(ngx_http_rt_session_t *s,
                                         ngx_http_rt_reader_t *rd, u_char *p,
                                         size_t len);

    /* a topic of the session that was starting knows its position now */
    ngx_int_t                    (*started)(ngx_http_rt_session_t *s,
                                            ngx_http_rt_reader_t *rd);

    /* nothing has been sent for realtime_keepalive: beside a ping frame */
    ngx_int_t                    (*ping)(ngx_http_rt_session_t *s);

    /* with which code it closes, in this protocol; NULL: with the same */
    ngx_uint_t                   (*goodbye)(ngx_uint_t code);

    void                         (*free)(ngx_http_rt_session_t *s);
};


/*
 * What variables of the request say; its context begins with this.  Nothing
 * else in the context of a subscriber points into the request.
 */

typedef struct {
    size_t                         size;       /* of the context */
    ngx_str_t                      topic;
    ngx_http_rt_session_t         *session;    /* NULL: it has left */
    uint64_t                       seq;
    ngx_uint_t                     messages;
    ngx_uint_t                     gaps;
    uint64_t                       bytes;
} ngx_http_rt_report_t;


/* the readers of a session that multiplexes */

typedef struct {
    ngx_rbtree_t                   tree;
    ngx_rbtree_node_t              sentinel;
    ngx_uint_t                     count;
    ngx_queue_t                    patterns;   /* of these, oldest first */
    ngx_queue_t                    leaving;    /* of these */
} ngx_http_rt_session_topics_t;


/* what delivery needs comes last, and the first reader follows it */

struct ngx_http_rt_session_s {
    ngx_http_request_t            *request; /* NULL: it has been detached */
    ngx_http_rt_saved_t           *saved;   /* instead of it, or NULL */
    ngx_pool_t                    *pool;    /* we die with it */
    const ngx_http_rt_session_conf_t  *conf;
    ngx_http_core_loc_conf_t      *core_conf;
    void                          *ctx;     /* of the transport */
    void                          *dialect_ctx;
    ngx_http_rt_principal_t        principal;
    ngx_http_rt_zone_t            *publish_zone;  /* NULL: may not publish */
    void                          *publishing;    /* waits for the zone */

    ngx_queue_t                    queue;   /* of all sessions */
    ngx_queue_t                    next;    /* of those that have ended, or */
    ngx_event_t                    timer;   /* have been opened */

    ngx_chain_t                   *out_chain;  /* unless direct */
    ngx_http_rt_buffer_t          *out;     /* in flight, one reference */
    u_char                        *out_pos;
    ngx_http_rt_part_t           **last_part;
    size_t                         parts_size;
    ngx_uint_t                     nparts;

    ngx_http_rt_session_topics_t  *topics;  /* if it multiplexes, or NULL */
    ngx_http_rt_reader_t          *reader;  /* or NULL, if it does */

    uint64_t                       position;   /* without a reader: the last */
    ngx_uint_t                     messages;   /* of readers that have left */
    ngx_uint_t                     gaps;
    uint64_t                       bytes;

    ngx_int_t                      rc;      /* what it ended with */
    const char                    *close_reason;
    uint16_t                       close_code;

    /* what each message needs */

    unsigned                       direct:1;   /* past the filters */
    unsigned                       chunked:1;
    unsigned                       known:1;    /* among all sessions */
    unsigned                       counted:1;  /* in the zone's slot */
    unsigned                       listed:1;   /* by "next" */
    unsigned                       left:1;     /* its client has closed */
    unsigned                       opened:1;
    unsigned                       detaches:1; /* and has a pool of its own */
    unsigned                       attached:1; /* needs its request */
    unsigned                       inflates:1; /* messages may be compressed */
    unsigned                       busy:1;     /* input waits for an answer */
    unsigned                       draining:1;
    unsigned                       said:1;     /* its last words */

    const ngx_http_rt_transport_t *transport;
    const ngx_http_rt_dialect_t   *dialect; /* or NULL */
    ngx_http_rt_part_t            *parts;   /* gathered, or in flight */
    ngx_http_rt_buffer_t          *replies; /* not yet sent, or NULL */
    ngx_msec_t                     active;  /* when something was sent */

    ngx_http_rt_sink_t             sink;
};


/* a topic or pattern of a session that multiplexes */

typedef struct {
    ngx_rbtree_node_t              node;    /* by the hash of the name */
    ngx_queue_t                    queue;   /* among patterns, if it is one */
    ngx_queue_t                    going;   /* if it is leaving */
    uint64_t                       since;   /* the position it began with */
    unsigned                       leaving:1;  /* it has been unsubscribed */
    ngx_http_rt_reader_t           reader;
} ngx_http_rt_session_topic_t;


/* by its node */

#define ngx_http_rt_session_topic(n)                                          \
    ((ngx_http_rt_session_topic_t *)                                          \
         ((u_char *) (n) - offsetof(ngx_http_rt_session_topic_t, node)))


#define ngx_http_rt_session_of(p)                                             \
    ((ngx_http_rt_session_t *)                                                \
         ((u_char *) (p) - offsetof(ngx_http_rt_session_t, sink)))


/* the place of the first reader, behind the session */

#define ngx_http_rt_session_first(s)                                          \
    ((ngx_http_rt_reader_t *) ((ngx_http_rt_session_t *) (s) + 1))


/* ngx_http_rt_session.c */

ngx_int_t ngx_http_rt_session_init_process(ngx_cycle_t *cycle);

/* for a request whose transport, dialect and number of topics are known */
ngx_http_rt_session_t *ngx_http_rt_session_create(ngx_http_request_t *r,
    ngx_http_rt_zone_t *zone, const ngx_http_rt_session_conf_t *conf,
    const ngx_http_rt_transport_t *transport,
    const ngx_http_rt_dialect_t *dialect, ngx_uint_t topics);

/* its readers have begun; the request is the session's from here on */
ngx_int_t ngx_http_rt_session_open(ngx_http_rt_session_t *s);

/* sets the timer to when realtime_keepalive has something to do */
void ngx_http_rt_session_idle(ngx_http_rt_session_t *s);

/* the last words are said when what is in flight is out, then it ends */
void ngx_http_rt_session_close(ngx_http_rt_session_t *s, ngx_uint_t code,
    const char *reason);

/* for the sessions' event: it ends, detaches, or its topics settle */
void ngx_http_rt_session_list(ngx_http_rt_session_t *s);

/* rc is for ngx_http_finalize_request() */
void ngx_http_rt_session_end(ngx_http_rt_session_t *s, ngx_int_t rc);

void ngx_http_rt_session_write(ngx_http_rt_session_t *s);
void ngx_http_rt_session_unblocked(ngx_http_rt_session_t *s);
void ngx_http_rt_session_started(ngx_http_rt_sink_t *sink,
    ngx_http_rt_reader_t *rd);
void ngx_http_rt_session_leave(void *data);
void ngx_http_rt_session_free(void *data);

/* the process is to quit: all say goodbye, spread over "ms" */
void ngx_http_rt_session_drain(ngx_msec_t ms);
/* the process goes at once */
void ngx_http_rt_session_exit(void);


/* ngx_http_rt_session_out.c */

/*
 * NGX_OK: it has gone out, or will at the end of the turn; NGX_AGAIN: not all
 * of it, and the session is blocked until it has.  Not while it is blocked.
 */
ngx_int_t ngx_http_rt_session_send(ngx_http_rt_session_t *s,
    ngx_http_rt_buffer_t *b);

/* a JSON object of ours: at the end of the turn, or when the socket takes it */
ngx_int_t ngx_http_rt_session_reply(ngx_http_rt_session_t *s,
    const u_char *json, size_t len);
ngx_int_t ngx_http_rt_session_flush(ngx_http_rt_session_t *s);
ngx_int_t ngx_http_rt_session_block(ngx_http_rt_session_t *s);
void ngx_http_rt_session_drop(ngx_http_rt_session_t *s);

extern const ngx_http_rt_sink_ops_t  ngx_http_rt_session_sink;


/* ngx_http_rt_session_topics.c */

/*
 * One topic or pattern more, by its name, which has been checked.  NGX_OK, with
 * its position; NGX_DONE: the dialect's started() will be told; NGX_BUSY: it
 * has this one already; NGX_ABORT: it has as many as allowed; NGX_DECLINED: no
 * room in the zone; NGX_AGAIN: the topic has as many subscribers as allowed;
 * NGX_ERROR.
 */
ngx_int_t ngx_http_rt_session_subscribe(ngx_http_rt_session_t *s,
    const ngx_str_t *name, ngx_uint_t wild, const ngx_http_rt_from_t *from,
    uint64_t *position, ngx_http_rt_reader_t **rd);

/* a copy of these bytes becomes rd->data, an ngx_str_t *, and goes with it */
ngx_int_t ngx_http_rt_session_remember(ngx_http_rt_reader_t *rd,
    const u_char *bytes, size_t len);
ngx_int_t ngx_http_rt_session_unsubscribe(ngx_http_rt_session_t *s,
    const ngx_str_t *name);
ngx_int_t ngx_http_rt_session_topics_init(ngx_http_rt_session_t *s);
void ngx_http_rt_session_topics_started(ngx_http_rt_reader_t *rd);
void ngx_http_rt_session_topics_settle(ngx_http_rt_session_t *s);
void ngx_http_rt_session_topics_leave(ngx_http_rt_session_t *s);


/* ngx_http_rt_session_report.c */

void ngx_http_rt_session_tell(ngx_http_rt_session_t *s);
void ngx_http_rt_session_report(ngx_http_rt_session_t *s,
    ngx_http_rt_report_t *report);


/* ngx_http_rt_detach.c */

void ngx_http_rt_detach(ngx_http_rt_session_t *s);
void ngx_http_rt_detach_close(ngx_http_rt_session_t *s, ngx_int_t rc);

/* the request is there again; NULL: it is not, nor can be */
ngx_http_request_t *ngx_http_rt_detach_restore(ngx_http_rt_session_t *s);


/* ngx_http_rt_held.c */

/* is the request for a location whose sessions save theirs? */
typedef ngx_uint_t (*ngx_http_rt_saves_pt)(ngx_http_request_t *r);

/* for postconfiguration */
ngx_int_t ngx_http_rt_held_init(ngx_conf_t *cf, ngx_http_rt_saves_pt saves);


#endif /* _NGX_HTTP_RT_SESSION_H_INCLUDED_ */
