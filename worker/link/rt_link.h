/*
 * The link's side in the daemon: listening, connections, frames in and out.
 *
 * A connection has three buffers: "in", whose frames are handled as they are
 * whole; "out", what may be written; and "held", answers that wait until the
 * journal has what they speak of.  All of a turn's output goes out in one
 * write at its end.  A connection that does not read its answers is not read
 * from either; when the journal has no room, no connection is.
 */


#ifndef _RT_LINK_H_INCLUDED_
#define _RT_LINK_H_INCLUDED_


#include "rt_dispatch.h"
#include "rt_wire.h"


#define RT_LINK_CONNECTIONS    1024         /* nginx processes, and ctl */
#define RT_LINK_INFLIGHT       8192         /* held answers a connection */
#define RT_LINK_SUBSCRIPTIONS  16384        /* a connection */
#define RT_LINK_OUT_MAX        (4 * 1024 * 1024)    /* of answers, then it
                                                       is not read */
#define RT_LINK_READ           (256 * 1024) /* at once, for fairness */
#define RT_LINK_ZONES          RT_ENTITY_ZONES  /* whose cursors are kept */
#define RT_LINK_PEERS          16           /* users who may connect */
#define RT_LINK_HELLO_MS       5000         /* to say it in */
#define RT_LINK_DRAIN_MS       5000         /* at stop, for answers */
#define RT_LINK_OUT_REST       (1024 * 1024)    /* of publications and events,
                                                   then there are no more */


typedef struct rt_conn_s  rt_conn_t;
typedef struct rt_sink_s  rt_sink_t;
typedef struct rt_link_s  rt_link_t;


typedef struct {
    uint64_t             seq;
    size_t               size;              /* of the answer's frame */
} rt_mark_t;


struct rt_conn_s {
    rt_poll_t            poll;
    rt_link_t           *link;
    int                  fd;
    pid_t                pid;
    uid_t                uid;

    unsigned             hello:1;
    unsigned             dead:1;            /* freed at the turn's end */
    unsigned             closing:1;         /* no more commands */
    unsigned             blocked:1;         /* the journal had no room */
    unsigned             full:1;            /* its answers pile up */
    unsigned             dirty:1;           /* in link->dirty */
    unsigned             behind:1;          /* has subscriptions to serve */

    uint64_t             protocol;          /* the lower one of both */
    size_t               frame_max;         /* the peer's */
    uint64_t             blocked_ms;        /* since */

    rt_buf_t             in;
    rt_buf_t             out;
    rt_buf_t             held;
    rt_mark_t           *marks;             /* ring of RT_LINK_INFLIGHT */
    uint32_t             mark_first;
    uint32_t             mark_next;

    rt_sink_t           *sink;              /* the zone it offers, or NULL */
    uint64_t             zone_epoch;
    uint64_t             window;

    rt_subscription_t   *subscriptions;
    rt_uint_t            nsubscriptions;

    uint64_t             snapshot_id;       /* waits for a snapshot */
    rt_uint_t            snapshot_wanted;

    rt_timer_t           timer;             /* for the hello */

    rt_conn_t           *next;
    rt_conn_t          **prev;
    rt_conn_t           *dirty_next;
};


/* live messages to a zone: a question, and what its answer gave to send */

typedef struct {
    uint64_t             id;                /* of the question */
    rt_uint_t            n;                 /* asked for; 0: no question */
    rt_entity_t         *entities[RT_WIRE_AUDIENCE_MAX];
    rt_buf_t             held;              /* frames, until the disk has */
    uint64_t             needs_seq;         /* what they tell of */
} rt_live_t;


/* where publication to a zone stands */

struct rt_sink_s {
    u_char               name[RT_WIRE_ZONE_MAX];
    size_t               name_len;
    uint64_t             zone_epoch;
    rt_conn_t           *publisher;         /* NULL: it waits */
    rt_uint_t            rivals;            /* a second one, and it is logged */

    uint64_t             cursor;            /* address of the next record */
    rt_uint_t            behind;            /* not all of the disk's is sent */
    uint64_t             sent_position;     /* the last one sent */
    uint64_t             sent_index;
    uint64_t             position;          /* the last one confirmed */
    uint64_t             index;
    uint64_t             start;             /* an address, if none is */

    struct {
        uint64_t         position;
        uint64_t         index;
    }                   *window;            /* sent, not confirmed; a ring */
    uint32_t             window_size;
    uint32_t             window_first;
    uint32_t             window_next;

    rt_live_t            live;
};


struct rt_subscription_s {
    rt_conn_t           *conn;
    uint64_t             id;
    uint64_t             connection;        /* the client's */
    rt_entity_t         *entity;            /* NULL: many */
    const rt_engine_t   *engine;            /* NULL: all */
    uint64_t             version;           /* the next to send */
    uint64_t             cursor;            /* or the next record */
    uint64_t             live_seq;          /* events after it are live */
    uint64_t             window;
    uint64_t             unconfirmed;
    rt_subscription_t   *next;              /* of the connection */
    rt_subscription_t   *entity_next;
};


typedef struct {
    uint64_t             accepted;
    uint64_t             refused;           /* peers that may not */
    uint64_t             bad_frames;
    uint64_t             frames;
    uint64_t             published;
    uint64_t             confirmed;
    uint64_t             unpublished;       /* larger than the peer takes */
    uint64_t             events_sent;
    uint64_t             gones;             /* GONE frames */
    uint64_t             audiences;         /* AUDIENCE frames */
    uint64_t             notices;           /* NOTICE frames */
} rt_link_stats_t;


typedef struct {
    const char          *listen;            /* unix:PATH or ADDRESS:PORT */
    mode_t               mode;
    const char          *group;             /* of the socket, or NULL */
    rt_uint_t            npeers;            /* 0: whom the mode lets in */
    uid_t                peers[RT_LINK_PEERS];
} rt_link_conf_t;


struct rt_link_s {
    rt_link_conf_t       conf;
    rt_dispatch_t       *dispatch;
    rt_poll_t            listening;
    rt_poll_t            journal;           /* its eventfd */
    rt_uint_t            nconns;
    rt_conn_t           *conns;
    rt_conn_t           *dirty;             /* have output */
    rt_uint_t            stopping;
    rt_link_stats_t      stats;

    rt_sink_t            sinks[RT_LINK_ZONES];
    rt_uint_t            nsinks;
    rt_uint_t            sinks_changed;
    rt_uint_t            many;              /* subscriptions without entity */
    uint64_t             served_seq;        /* durable_seq at the last serve */

    rt_timer_t           live_timer;        /* for those left over */
    uint64_t             live_ms;           /* not before this */
    uint64_t             live_id;           /* of the last question */

    rt_message_t         message;
    rt_buf_t             scratch;
};


/* the socket; before privileges are dropped */
rt_int_t rt_link_listen(rt_link_t *l, const rt_link_conf_t *conf);

/* after the journal's start: take connections */
rt_int_t rt_link_start(rt_link_t *l, rt_dispatch_t *d);

/* say CLOSE to all; then rt_link_idle() tells when nothing is owed */
void rt_link_stop(rt_link_t *l);
rt_uint_t rt_link_idle(const rt_link_t *l);
void rt_link_close(rt_link_t *l);

/* the end of a turn: publications, events, writes, the dead */
void rt_link_flush(rt_link_t *l);

void rt_link_snapshot_done(rt_link_t *l, rt_uint_t ok);
void rt_link_status(rt_link_t *l, rt_buf_t *b);


/* between rt_link.c, rt_publish.c and rt_live.c */

/* room for a frame in out, and it will be written at the turn's end */
u_char *rt_link_reserve(rt_conn_t *c, size_t size);
void rt_link_reply(rt_conn_t *c, uint64_t id, const rt_answer_t *a);
void rt_link_refuse(rt_conn_t *c, uint64_t id, rt_uint_t status,
    const char *code, const char *message);

rt_int_t rt_publish_load(rt_link_t *l);     /* the cursors of zones */
void rt_publish_save(rt_link_t *l, rt_uint_t sync);
void rt_publish_hello(rt_conn_t *c, const rt_wire_frame_t *f);
void rt_publish_confirm(rt_conn_t *c, const rt_wire_frame_t *f);
void rt_publish_subscribe(rt_conn_t *c, const rt_wire_frame_t *f);
void rt_publish_unsubscribe(rt_conn_t *c, uint64_t id);
void rt_publish_gone(rt_conn_t *c, uint64_t connection);
void rt_publish_detach(rt_conn_t *c);       /* the connection is dead */
void rt_publish_serve(rt_link_t *l);        /* send what is due */

/* rt_live.c */
void rt_live_serve(rt_link_t *l);           /* ask for who is due */
rt_int_t rt_live_answer(rt_conn_t *c, const rt_wire_frame_t *f);
void rt_live_release(rt_link_t *l, rt_sink_t *s);   /* send what is on disk */
void rt_live_reset(rt_sink_t *s);           /* it has another publisher */


#endif /* _RT_LINK_H_INCLUDED_ */
