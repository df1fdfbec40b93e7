/*
 * What the files of worker/link share, and nobody else includes.
 */


#ifndef _RT_LINK_PRIVATE_H_INCLUDED_
#define _RT_LINK_PRIVATE_H_INCLUDED_


#include <sys/stat.h>

#include "rt_link.h"
#include "rt_loop.h"
#include "rt_wire.h"


#define RT_LINK_CONNECTIONS    1024         /* nginx processes, and ctl */
#define RT_LINK_INFLIGHT       8192         /* held answers a connection */
#define RT_LINK_SUBSCRIPTIONS  16384        /* a connection */
#define RT_LINK_OUT_MAX        (4 * 1024 * 1024)    /* of answers, then it
                                                       is not read */
#define RT_LINK_READ           (256 * 1024) /* at once, for fairness */
#define RT_LINK_FRAMES_US      1000         /* of a turn, for a connection; */
#define RT_LINK_FRAMES_ALL_US  2000         /* for all; then a few */
#define RT_LINK_ZONES          RT_ENTITY_ZONES  /* whose cursors are kept */
#define RT_LINK_HELLO_MS       5000         /* to say it in */
#define RT_LINK_HANDOVER_MS    2000         /* that a publisher may be silent
                                               and owe something */
#define RT_LINK_ACCEPT_MS      500          /* until accept() is tried again */
#define RT_LINK_SKEW_MS        3600000      /* less is no other clock, but
                                               a frame that has waited */
#define RT_LINK_OUT_REST       (1024 * 1024)    /* of publications and events,
                                                   then there are no more */
#define RT_LINK_RECORDS_A_TURN 1024         /* that a cursor reads */
#define RT_LINK_SERVE_US       2000         /* of a turn, for subscriptions */


typedef struct rt_conn_s  rt_conn_t;
typedef struct rt_zone_s  rt_zone_t;


typedef struct {
    uint64_t             seq;
    size_t               size;              /* of the answer's frame */
} rt_mark_t;


struct rt_conn_s {
    rt_poll_t            poll;
    rt_link_t           *link;
    int                  fd;
    pid_t                pid;

    unsigned             hello:1;
    unsigned             local:1;           /* SENT is of this host's clock */
    unsigned             dead:1;            /* freed at the turn's end */
    unsigned             closing:1;         /* no more commands */
    unsigned             blocked:1;         /* its frame comes again */
    unsigned             full:1;            /* its answers pile up */
    unsigned             more:1;            /* it had no more time */
    unsigned             dirty:1;           /* in link->dirty */
    unsigned             silent:1;          /* another one took over */

    uint64_t             heard_ms;          /* its last byte */
    uint64_t             protocol;          /* the lower one of both */
    size_t               frame_max;         /* the peer's */
    uint64_t             blocked_ms;        /* since */
    uint64_t             more_turn;         /* the turn in which it had none */
    uint64_t             skew_ms;           /* our clock less the peer's */

    rt_buf_t             in;
    rt_buf_t             out;
    rt_buf_t             held;
    rt_mark_t           *marks;             /* ring of RT_LINK_INFLIGHT */
    uint32_t             mark_first;
    uint32_t             mark_next;
    rt_uint_t            waiting;           /* requests, for old records */

    rt_zone_t           *zone;              /* the zone it offers, or NULL */
    uint64_t             zone_epoch;
    uint64_t             window;

    rt_subscription_t   *subscriptions;     /* a list; owner */
    rt_uint_t            nsubscriptions;
    rt_subscription_t   *ready;             /* those to be served: a queue */
    rt_subscription_t  **ready_last;
    rt_uint_t            nready;
    rt_table_t           by_id;             /* of them; both made with the */
    rt_table_t           by_client;         /* first one */

    uint64_t             snapshot_id;       /* waits for a snapshot */
    rt_uint_t            snapshot_wanted;

    rt_timer_t           timer;             /* for the hello */

    rt_conn_t           *next;
    rt_conn_t          **prev;
    rt_conn_t           *dirty_next;
};


/* the event that was described last, for all that subscribe to its entity */

typedef struct {
    uint64_t             addr;              /* 0: none */
    uint64_t             seq;
    uint64_t             version;
    rt_buf_t             body;
} rt_described_t;


/* live messages to a zone: a question, and what its answer gave to send */

typedef struct {
    uint64_t             id;                /* of the question */
    uint32_t             publisher;         /* counts them */
    rt_uint_t            n;                 /* asked for; 0: no question */
    rt_entity_t         *entities[RT_WIRE_AUDIENCE_MAX];
    rt_buf_t             held;              /* frames, until the disk has */
    uint64_t             needs_seq;         /* what they tell of */
} rt_live_t;


/* where publication to a zone stands */

struct rt_zone_s {
    u_char               name[RT_WIRE_ZONE_MAX];
    size_t               name_len;
    uint64_t             zone_epoch;
    rt_conn_t           *publisher;         /* NULL: it waits */
    rt_uint_t            rivals;            /* a second one, and it is logged */
    uint64_t             owed_ms;           /* since it owes something, or 0 */

    uint64_t             cursor;            /* address of the next record */
    unsigned             behind:1;          /* not all of the disk's is sent */
    unsigned             owes:1;            /* away, a publication waits */
    uint64_t             sent_position;     /* the last one sent */
    uint64_t             sent_index;
    uint64_t             position;          /* the last one confirmed */
    uint64_t             index;
    uint64_t             done;              /* before it nothing is owed */
    uint64_t             saved;             /* as the file says */

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
    rt_table_node_t      id_node;
    rt_table_node_t      client_node;
    rt_subscription_t   *next;              /* of the connection */
    rt_subscription_t  **prev;
    rt_subscription_t   *entity_next;
    rt_subscription_t  **entity_prev;
    rt_subscription_t   *ready_next;
    rt_subscription_t  **ready_prev;        /* NULL: it is not in the queue */
};


typedef struct {
    uint64_t             accepted;
    uint64_t             refused;           /* peers that may not */
    uint64_t             bad_frames;
    uint64_t             frames;
    uint64_t             published;
    uint64_t             confirmed;
    uint64_t             unreadable;        /* damages that were skipped */
    uint64_t             unpublished;       /* larger than the peer takes */
    uint64_t             events_sent;
    uint64_t             gones;             /* GONE frames */
    uint64_t             audiences;         /* AUDIENCE frames */
    uint64_t             notices;           /* NOTICE frames */
    uint64_t             handovers;         /* from silent publishers */
    uint64_t             deferred;          /* to the next turn, for time */
    uint64_t             events_deferred;
} rt_link_stats_t;


struct rt_link_s {
    rt_link_conf_t       conf;
    rt_dispatch_t       *dispatch;
    rt_journal_t        *journal;           /* dispatch's, to read */
    rt_poll_t            listening;
    struct stat          file;              /* the socket's, that we made */
    rt_poll_t            synced;            /* the journal's eventfd */
    rt_uint_t            nconns;
    rt_conn_t           *conns;
    rt_conn_t           *dirty;             /* have output */
    rt_uint_t            stopping;
    rt_link_stats_t      stats;

    rt_zone_t            zones[RT_LINK_ZONES];
    rt_uint_t            nzones;
    rt_uint_t            zones_changed;
    uint64_t             turn;              /* a count */
    uint64_t             turn_us;           /* its first frame, 0: none yet */
    uint64_t             served_seq;        /* durable_seq at the last serve */
    rt_conn_t           *serve_next;        /* is served first */
    rt_described_t       described;

    rt_timer_t           watch;             /* for zones that are owed */
    rt_timer_t           accepting;         /* set: it could not */
    rt_uint_t            cannot_accept;     /* which has been logged */

    rt_timer_t           live_timer;        /* for those left over */
    uint64_t             live_ms;           /* not before this */
    uint64_t             live_id;           /* of the last question */

    rt_message_t         message;
    rt_buf_t             scratch;
};


/* rt_link.c */

void rt_link_serve(rt_link_t *l);           /* send what is due */
void rt_link_status(rt_link_t *l, rt_buf_t *b);

/* where a cursor goes on after a damage at addr, which is logged */
uint64_t rt_link_skip(rt_link_t *l, uint64_t addr, const char *what);


/* rt_listen.c */

void rt_listen_again(rt_timer_t *t);        /* after accept() has failed */
void rt_listen_remove(rt_link_t *l);        /* the socket's file, if ours */


/* rt_conn.c */

void rt_conn_open(rt_link_t *l, int fd, pid_t pid);
void rt_conn_kill(rt_conn_t *c);            /* freed at the turn's end */
void rt_conn_free(rt_conn_t *c);
void rt_conn_detach(rt_conn_t *c);
void rt_conn_bad(rt_conn_t *c, const char *what);   /* it sent a bad frame */

/* it will be written at the turn's end; with room for a frame in "out" */
void rt_conn_mark_dirty(rt_conn_t *c);
u_char *rt_conn_reserve(rt_conn_t *c, size_t size);

void rt_conn_reply(rt_conn_t *c, uint64_t id, const rt_answer_t *a);
void rt_conn_refuse(rt_conn_t *c, uint64_t id, rt_uint_t status,
    const char *code, const char *message);

void rt_conn_write(rt_conn_t *c);
void rt_conn_frames(rt_conn_t *c);          /* those that have come in */
void rt_conn_release(rt_conn_t *c);         /* answers that are on disk now */
rt_uint_t rt_conn_is_full(const rt_conn_t *c);


/* rt_request.c */

/* RT_AGAIN: no room in the journal, the frame comes again */
rt_int_t rt_request(rt_conn_t *c, const rt_wire_frame_t *f);
void rt_request_answered(const rt_request_t *rq, const rt_answer_t *a);
rt_str_t rt_request_string(const rt_wire_frame_t *f, rt_wire_field_e tag);


/* rt_zone.c */

rt_int_t rt_zone_load(rt_link_t *l);        /* the cursors, from disk */
void rt_zone_save(rt_link_t *l, rt_uint_t sync);
void rt_zone_hello(rt_conn_t *c, const rt_wire_frame_t *f);
void rt_zone_confirm(rt_conn_t *c, uint64_t position, uint64_t index);
void rt_zone_detach(rt_conn_t *c);          /* another link takes over */
void rt_zone_watch(rt_link_t *l, rt_zone_t *z);     /* is it taken? */
void rt_zone_serve(rt_link_t *l, rt_zone_t *z);

/* the fields of a message in a frame: at most so many bytes, and written */
size_t rt_zone_message_size(const rt_message_t *m);
u_char *rt_zone_put_message(u_char *p, const rt_message_t *m);


/* rt_subscription.c */

void rt_subscription_open(rt_conn_t *c, const rt_wire_frame_t *f);
void rt_subscription_close(rt_conn_t *c, uint64_t id);
void rt_subscription_close_all(rt_conn_t *c);
void rt_subscription_gone(rt_conn_t *c, uint64_t connection);
void rt_subscription_confirm(rt_conn_t *c, uint64_t id, uint64_t n);
void rt_subscription_serve_all(rt_link_t *l);


/* rt_live.c */

void rt_live_serve(rt_link_t *l);           /* ask for who is due */
rt_int_t rt_live_answer(rt_conn_t *c, const rt_wire_frame_t *f);
void rt_live_release(rt_link_t *l, rt_zone_t *z);   /* send what is on disk */
void rt_live_reset(rt_zone_t *z);           /* it has another publisher */


#endif /* _RT_LINK_PRIVATE_H_INCLUDED_ */
