/*
 * The link: nginx processes and realtimectl speak to the daemon over it.
 *
 * This header is the interface of the room worker/link, together with
 * rt_wire.h, the frames, which the nginx module compiles, too.  The room owns
 * the socket, the connections, the zones' cursors and the subscriptions.  It
 * calls dispatch, reads the journal, and uses core; it decides nothing.
 * rt_link_private.h is for its own files:
 *
 *   rt_listen.c        the socket; connections are accepted
 *   rt_conn.c          a connection: reading and writing, buffers
 *   rt_request.c       frames that came in
 *   rt_zone.c          publication to zones of nginx
 *   rt_subscription.c  events to subscribers
 *   rt_live.c          messages that are not journaled
 *   rt_link.c          start, stop, the end of a turn, counters
 *   rt_wire.c          bytes to frames and back
 *
 * A connection has three buffers: "in", whose frames are handled as soon as
 * they are whole; "out", what may be written; and "held", answers that wait
 * until the journal has what they tell.  All output of a turn is written at
 * once at its end.  A connection that does not read its answers is not read
 * from either; when the journal has no room, no connection is.
 */


#ifndef _RT_LINK_H_INCLUDED_
#define _RT_LINK_H_INCLUDED_


#include "rt_dispatch.h"


#define RT_LINK_PEERS          16           /* users who may connect */
#define RT_LINK_DRAIN_MS       5000         /* at stop, for answers */


typedef struct rt_link_s  rt_link_t;


typedef struct {
    const char          *listen;            /* unix:PATH or ADDRESS:PORT */
    mode_t               mode;
    const char          *group;             /* of the socket, or NULL */
    rt_uint_t            npeers;            /* 0: whom the mode lets in */
    uid_t                peers[RT_LINK_PEERS];
} rt_link_conf_t;


/* the socket; before privileges are dropped; NULL: logged why not */
rt_link_t *rt_link_listen(const rt_link_conf_t *conf);

/* after the journal's start: take connections */
rt_int_t rt_link_start(rt_link_t *l, rt_dispatch_t *d);

/* CLOSE to all; rt_link_idle(): no answer is left to be sent */
void rt_link_stop(rt_link_t *l);
rt_uint_t rt_link_idle(const rt_link_t *l);
void rt_link_close(rt_link_t *l);

/* what a running daemon can change */
void rt_link_configure(rt_link_t *l, const rt_link_conf_t *conf);

/* the end of a turn: publications, events, writes; dead connections go */
void rt_link_flush(rt_link_t *l);

/* the cursors of zones to disk, if they have changed */
void rt_link_save(rt_link_t *l, rt_uint_t sync);

void rt_link_snapshot_done(rt_link_t *l, rt_uint_t ok);


#endif /* _RT_LINK_H_INCLUDED_ */
