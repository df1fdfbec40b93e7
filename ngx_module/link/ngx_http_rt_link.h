/*
 * The room of the daemons: which there are behind a name of realtime_worker,
 * and the link of this process to each of them, one connection.
 *
 * Files: ngx_http_rt_worker.c has the directive and finds the daemon of an
 * entity; ngx_http_rt_link.c and its neighbours the connection, frames, calls
 * and the daemon's publications; ngx_http_rt_tally.c the state of the links of
 * all processes, in shared memory.  The room owns the connections, their
 * buffers and the tables of calls.
 *
 * A caller owns an ngx_http_rt_call_t, which waits in the link's table under an
 * id.  Its handler is called exactly once: with the answer, or without one and
 * with a status that says why; after that, or after a cancel, the link has
 * forgotten the call.  A subscription's handler is called for each event, with
 * RT_WIRE_EVENT, and for the last time with anything else.
 *
 * Handlers run from the link's events: they set the log, and run the posted
 * requests of a connection that they have finalized a request of.
 *
 * The room may call zone/ (publications, subscribers of a topic), text/, and
 * the wire format that it shares with the daemon (rt_wire.h); nothing of
 * delivery/, session/, dialect/ or http/, which all call it.
 */

#ifndef _NGX_HTTP_RT_LINK_H_INCLUDED_
#define _NGX_HTTP_RT_LINK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include <ngx_http.h>

#include "ngx_http_rt_zone.h"

#include "rt_wire.h"


/* daemons in one configuration; a connection's mask has a bit for each */
#define NGX_HTTP_RT_LINKS_MAX      64

/* answers to ngx_http_rt_link_ask(), but for NGX_OK */
#define NGX_HTTP_RT_LINK_DOWN      NGX_DECLINED
#define NGX_HTTP_RT_LINK_BUSY      NGX_BUSY
#define NGX_HTTP_RT_LINK_LARGE     NGX_ABORT


typedef struct ngx_http_rt_link_s  ngx_http_rt_link_t;
typedef struct ngx_http_rt_worker_s  ngx_http_rt_worker_t;
typedef struct ngx_http_rt_call_s  ngx_http_rt_call_t;


/* the configuration of http{}: zones, and the daemons that publish to them */

typedef struct {
    ngx_array_t                    zones;   /* ngx_http_rt_zone_t * */
    ngx_array_t                    workers; /* ngx_http_rt_worker_t * */
    ngx_uint_t                     nlinks;  /* of all workers */
    ngx_shm_zone_t                *tallies; /* of links; NULL: there are none */
    ngx_msec_t                     drain;
} ngx_http_rt_main_conf_t;


/* how a daemon's wall clock stands to its journal's time, as it said last */

typedef struct {
    int64_t                        offset_ms;
    uint64_t                       held;
    uint64_t                       steps;
    uint64_t                       refused;
    unsigned                       known:1;
} ngx_http_rt_link_clock_t;


/* f is NULL if no answer came; status 503: nothing was done, 504: who knows */

typedef void (*ngx_http_rt_call_pt)(ngx_http_rt_call_t *call,
    const rt_wire_frame_t *f, ngx_uint_t status);


struct ngx_http_rt_call_s {
    ngx_rbtree_node_t              node;    /* in link->calls, by id */
    ngx_http_rt_link_t            *link;    /* NULL: it does not wait */
    ngx_http_rt_call_pt            handler;
    void                          *data;
    ngx_event_t                    timer;
    uint64_t                       at;      /* of the link's output, bytes */
    unsigned                       type:8;
};


/* what is asked; strings that are empty are left out, but for the name */

typedef struct {
    rt_wire_type_e                 type;
    ngx_str_t                      engine;
    ngx_str_t                      entity;
    ngx_str_t                      name;
    ngx_str_t                      key;
    ngx_str_t                      user;
    ngx_str_t                      args;
    ngx_str_t                      body;
    ngx_str_t                      expect_too;  /* versions, 8 bytes each */
    uint64_t                       connection;
    uint64_t                       expect;
    uint64_t                       from;
    uint64_t                       window;
    ngx_msec_t                     timeout; /* 0: for ever */
    unsigned                       has_expect:1;
} ngx_http_rt_ask_t;


/* bytes in one piece; those from pos to last wait */

typedef struct {
    u_char                        *start;
    u_char                        *pos;
    u_char                        *last;
    u_char                        *end;
} ngx_http_rt_link_buf_t;


typedef enum {
    NGX_HTTP_RT_LINK_S_DOWN = 0,
    NGX_HTTP_RT_LINK_S_CONNECTING,
    NGX_HTTP_RT_LINK_S_HELLO,               /* ours is said */
    NGX_HTTP_RT_LINK_S_UP,
    NGX_HTTP_RT_LINK_S_CLOSING              /* by the daemon */
} ngx_http_rt_link_state_e;


/* what other processes may know of a link; only its process writes */

typedef struct {
    uint64_t                       key;     /* which link */
    uint32_t                       up;
    uint32_t                       waiting; /* answers owed */
    uint32_t                       streams;
    uint32_t                       reserved;
} ngx_http_rt_tally_t;


/* of all processes that have the link */

typedef struct {
    ngx_uint_t                     processes;
    ngx_uint_t                     linked;
    ngx_uint_t                     up;      /* all of them are linked */
    ngx_uint_t                     waiting;
    ngx_uint_t                     streams;
} ngx_http_rt_tally_sum_t;


struct ngx_http_rt_link_s {
    ngx_http_rt_worker_t          *worker;
    ngx_http_rt_zone_t            *zone;
    ngx_addr_t                    *addr;
    ngx_str_t                      name;    /* as it was configured */
    uint64_t                       peer;    /* hash of it */
    ngx_uint_t                     number;  /* among all */

    /* of the process */

    ngx_http_rt_link_state_e       state;
    ngx_connection_t              *connection;
    ngx_event_t                    timer;   /* of the state */
    ngx_event_t                    flush;
    ngx_log_t                      quiet;   /* of a link that is down */
    ngx_uint_t                     failures;
    const char                    *complaint; /* the last one, with its errno */
    ngx_err_t                      err;
    ngx_msec_t                     heard;
    ngx_http_rt_link_clock_t       clock;

    ngx_http_rt_link_buf_t         in;
    ngx_http_rt_link_buf_t         out;
    uint64_t                       sent;    /* bytes, of this connection */

    ngx_rbtree_t                   calls;
    ngx_rbtree_node_t              sentinel;
    ngx_uint_t                     ids;
    ngx_uint_t                     owed;    /* answers */
    ngx_uint_t                     nsubscriptions;
    ngx_http_rt_tally_t           *tally;   /* or NULL */

    size_t                         frame_max;   /* the daemon's limits */
    ngx_uint_t                     inflight;

    ngx_http_rt_place_t            place;   /* to be confirmed */
    unsigned                       confirm:1;
};


typedef struct {
    uint32_t                       hash;
    ngx_http_rt_link_t            *link;
} ngx_http_rt_worker_point_t;


struct ngx_http_rt_worker_s {
    ngx_str_t                      name;
    ngx_http_rt_zone_t            *zone;
    ngx_array_t                    links;   /* ngx_http_rt_link_t */
    ngx_http_rt_worker_point_t    *points;  /* by hash */
    ngx_uint_t                     npoints;
};


/* ngx_http_rt_worker.c */

char *ngx_http_rt_worker(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_rt_worker_init(ngx_conf_t *cf, ngx_http_rt_main_conf_t *mcf);
ngx_http_rt_worker_t *ngx_http_rt_worker_named(ngx_http_rt_main_conf_t *mcf,
    ngx_str_t *name);
ngx_http_rt_link_t *ngx_http_rt_worker_link(ngx_http_rt_worker_t *worker,
    ngx_str_t *engine, ngx_str_t *entity);
void ngx_http_rt_worker_init_process(ngx_http_rt_main_conf_t *mcf,
    ngx_cycle_t *cycle);
void ngx_http_rt_worker_exit_process(ngx_http_rt_main_conf_t *mcf);


/* ngx_http_rt_tally.c */

ngx_int_t ngx_http_rt_tally_init(ngx_conf_t *cf, ngx_http_rt_main_conf_t *mcf);
void ngx_http_rt_tally_init_process(ngx_http_rt_main_conf_t *mcf);
void ngx_http_rt_tally_exit_process(ngx_http_rt_main_conf_t *mcf);
void ngx_http_rt_tally_sum(ngx_http_rt_main_conf_t *mcf,
    ngx_http_rt_link_t *link, ngx_http_rt_tally_sum_t *sum);


/* ngx_http_rt_link.c */

void ngx_http_rt_link_init_process(ngx_http_rt_link_t *link,
    ngx_cycle_t *cycle);
void ngx_http_rt_link_exit_process(ngx_http_rt_link_t *link);


/* ngx_http_rt_link_call.c */

ngx_int_t ngx_http_rt_link_ask(ngx_http_rt_link_t *link,
    ngx_http_rt_call_t *call, const ngx_http_rt_ask_t *ask);
void ngx_http_rt_link_cancel(ngx_http_rt_call_t *call);

/* so many events of a subscription have been passed on */
void ngx_http_rt_link_passed(ngx_http_rt_call_t *call, ngx_uint_t n);


/* ngx_http_rt_link_output.c */

/* a frame that needs no answer, or a PING; see the wire's rules */
ngx_int_t ngx_http_rt_link_tell(ngx_http_rt_link_t *link, rt_wire_type_e type,
    uint64_t id, rt_wire_field_e tag, uint64_t value);


/* ngx_http_rt_link_client.c */

/* the connection's id in commands; its daemons will be told of its end */
uint64_t ngx_http_rt_link_client(ngx_http_request_t *r,
    ngx_http_rt_link_t *link);


#endif /* _NGX_HTTP_RT_LINK_H_INCLUDED_ */
