/*
 * The engine contract: what a kind of state machine provides and receives.
 *
 * decide() reads state and input and emits the events that follow, or refuses;
 * it changes nothing.  apply() alone changes state; it cannot fail, and it is
 * what a replay runs.  Neither sees a clock, a socket, a random number or a
 * pointer's value: time and seed come with the input.  So the same journal
 * gives the same state, byte for byte.
 *
 * A projection is an engine, too; it is fed with another one's events.
 *
 * Everything else is written once around it, in worker/dispatch: whether the
 * entity exists, the expected version, the idempotency table, the journal,
 * ticks, history, the state at a version or a time, events, publication.
 *
 * docs/engines.md shows how to write one, the auction being the example.
 */


#ifndef _RT_ENGINE_H_INCLUDED_
#define _RT_ENGINE_H_INCLUDED_


#include "rt_core.h"
#include "rt_json.h"


#define RT_ENGINES_MAX        16            /* compiled in */
#define RT_EVENTS_MAX         64            /* of one command, else 422 */
#define RT_SECRET_SIZE        32


typedef enum {
    RT_DURABLE_SYNC = 0,                    /* answered after fdatasync() */
    RT_DURABLE_BATCH,                       /* answered at once, synced soon */
    RT_DURABLE_NONE                         /* synced some time */
} rt_durability_e;


typedef struct rt_engine_s  rt_engine_t;


typedef struct {
    uint64_t                time_ms;        /* the journal's time */
    uint64_t                seed;           /* 64 bits of chance */
    const u_char           *secret;         /* the daemon's, RT_SECRET_SIZE */
    rt_str_t                entity;
    rt_str_t                name;           /* of the command or query */
    rt_str_t                user;           /* may be empty */
    uint64_t                connection;
    uint64_t                version;        /* of the entity, before */
    rt_uint_t               tick;           /* the clock commands, not a user */
    rt_uint_t               gone;           /* the connection is closed */
    uint64_t                since;          /* a projection's first seq */

    const rt_json_t        *json;           /* a command's body */
    const rt_json_node_t   *data;
    rt_str_t                args;           /* a query's, percent-encoded */
} rt_input_t;


typedef struct {
    uint16_t                type;
    uint8_t                 lift;
    size_t                  start;          /* in rt_output_t.data */
    size_t                  size;
} rt_emitted_t;


typedef struct {
    rt_uint_t               status;         /* HTTP's */
    rt_buf_t                body;           /* JSON */
    rt_buf_t                data;           /* of the events */
    rt_uint_t               n;
    rt_uint_t               size;           /* there is room for */
    rt_emitted_t           *events;         /* owner */
} rt_output_t;


typedef struct {
    uint64_t                time_ms;
    uint64_t                version;        /* of the entity, after it */
    uint16_t                type;
    uint8_t                 lift;           /* the type's version */
    rt_str_t                entity;
    rt_str_t                data;
} rt_event_t;


typedef struct {
    rt_buf_t                topic;
    rt_buf_t                body;
    const char             *event;          /* name, or NULL */
} rt_message_t;


/* the subscribers that watch an entity in one zone */

typedef struct {
    uint64_t                time_ms;
    uint64_t                version;        /* of the entity */
    uint64_t                watchers;       /* more than 0 */
    uint64_t                told;           /* when they were counted last, or
                                               RT_TOLD_NONE */
} rt_audience_t;

/* they may not have been told, or not all who watch now: tell them */
#define RT_TOLD_NONE          UINT64_MAX


struct rt_engine_s {
    const char             *name;           /* in URLs and topics */
    uint8_t                 id;             /* in the journal, for ever */
    rt_durability_e         durability;
    rt_uint_t               no_hash;        /* states too large to hash often */
    rt_uint_t               wants_gone;     /* decide() is told of in->gone */

    /* an entity's state before its first event */
    void                 *(*create)(void);
    void                  (*destroy)(void *state);

    /*
     * A command; or, with in->tick, due() has come.  state is NULL for
     * "create", and only then.  Events by rt_emit(), the answer in
     * out->status and out->body; or rt_refuse(), and no events.
     *
     * With in->gone, a connection that has sent commands is closed: its user
     * and its id are in the input.  Events or none; there is no answer.
     */
    void                  (*decide)(const void *state, const rt_input_t *in,
                              rt_output_t *out);

    void                  (*apply)(void *state, const rt_event_t *ev);

    void                  (*query)(const void *state, const rt_input_t *in,
                              rt_output_t *out);

    /*
     * Canonical: equal states give equal bytes.  When these change, so does
     * the revision, and hashes of before are not compared; restore() reads
     * what any snapshot may hold.
     */
    uint32_t                revision;
    void                  (*snapshot)(const void *state, rt_buf_t *b);
    rt_int_t              (*restore)(void *state, rt_reader_t *r);

    /* when the clock has something to say, ms since 1970; 0: never */
    uint64_t              (*due)(const void *state);

    /*
     * Whether it is open, and whose it is: always the same one's.  A user may
     * have so many; NULL: they are not counted.
     */
    rt_uint_t             (*owner)(const void *state, rt_str_t *user);

    /* 1: nothing can happen to it any more, and after a while it goes */
    rt_uint_t             (*ended)(const void *state);

    /* the event's public JSON members: "type":"bid","price":150 */
    void                  (*describe)(const rt_event_t *ev, rt_buf_t *b);

    /*
     * The event's index-th message, 0 when there are no more.  A pure
     * function of the event, for it runs again after a restart.
     */
    rt_uint_t             (*publish)(const rt_event_t *ev, rt_uint_t index,
                              rt_message_t *m);

    /*
     * Live messages, all three or none: not events, not journaled, sent at
     * most once to those that watch at that time.  clock() is when the watchers
     * are to be counted next, if the last time was last_ms, and later than
     * that; 0: not in this state.  watched() writes the topic whose subscribers
     * they are.  live() then gives their message, or 0 if there is none; its
     * topic is written already.
     */
    uint64_t              (*clock)(const void *state, uint64_t last_ms);
    void                  (*watched)(rt_str_t entity, rt_buf_t *topic);
    rt_uint_t             (*live)(const void *state, const rt_audience_t *a,
                              rt_message_t *m);

    /*
     * Today's version of each event type, by its number; 0: there is none.
     * NULL: whatever type there is, it is of version 1.
     */
    const uint8_t          *types;
    rt_uint_t               ntypes;

    /*
     * Upcaster: the data of an event of version ev->lift becomes in b what it
     * would be in version ev->lift + 1.  Called until it is of today's; NULL
     * if no type ever changed.
     */
    void                  (*lift)(const rt_event_t *ev, rt_buf_t *b);

    /*
     * A projection, an engine fed by another one's events: apply() gets those
     * of "source", lifted.  It has no events of its own, so that decide(),
     * due(), describe(), publish() and lift() are not called and may be NULL.
     * project() gives the index-th name of its entities that an event is for,
     * 0 when there are no more: a pure function of the event.  In another
     * revision than a snapshot's it is built anew.
     */
    const rt_engine_t      *source;
    rt_uint_t             (*project)(const rt_event_t *ev, rt_uint_t index,
                              rt_buf_t *name);
};


/* the engines that are compiled in, in worker/rt_engines.c */

extern const rt_engine_t  *rt_engines[];    /* NULL at the end */

const rt_engine_t *rt_engine_by_name(rt_str_t name);
const rt_engine_t *rt_engine_by_id(rt_uint_t id);


/* today's version of an event type; 0: there is no such type */
rt_uint_t rt_engine_version(const rt_engine_t *engine, rt_uint_t type);

/*
 * The event becomes one of today's version, its data then in one of the
 * buffers.  RT_DECLINED: it is of a newer one, or of an unknown type.
 */
rt_int_t rt_engine_lift(const rt_engine_t *engine, rt_event_t *ev,
    rt_buf_t lifted[2]);

/* for decide(): an event; data is copied.  Too many are refused afterwards. */
void rt_emit(rt_output_t *out, uint16_t type, uint8_t lift, const void *data,
    size_t size);

/* for decide() and query(): the answer is no */
void rt_refuse(rt_output_t *out, rt_uint_t status, const char *code,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* for query(): an argument, decoded into buf; RT_DECLINED: not given */
rt_int_t rt_arg(rt_str_t args, const char *name, u_char *buf, size_t size,
    size_t *len);

/* RT_OK, RT_DECLINED: not given, RT_ERROR: not a number up to 2^63 - 1 */
rt_int_t rt_arg_number(rt_str_t args, const char *name, int64_t *n);


#endif /* _RT_ENGINE_H_INCLUDED_ */
