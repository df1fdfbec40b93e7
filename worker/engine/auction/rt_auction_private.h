/*
 * What the files of an auction share, and no file of another room includes.
 *
 *   rt_auction.c            the engine's table of functions
 *   rt_auction_decide.c     commands and ticks become events
 *   rt_auction_end.c        the last event: who wins, and pays how much
 *   rt_auction_state.c      events become state; the table of bidders
 *   rt_auction_terms.c      what "create" says, in JSON and in bytes
 *   rt_auction_event.c      an event's data, in a struct and in bytes
 *   rt_auction_price.c      increments, the Dutch price, proxy bidding
 *   rt_auction_seal.c       sealed bids: encryption, and who wins
 *   rt_auction_view.c       the queries
 *   rt_auction_publish.c    the events as everybody sees them
 *   rt_auction_clock.c      when something is due, and the closing clock
 *   rt_auction_snapshot.c   the state in bytes
 *
 * decide calls end, price, seal, terms and event; nothing calls decide.  Only
 * rt_auction_state.c and rt_auction_snapshot.c change a state; everybody else
 * has a pointer to const.
 */


#ifndef _RT_AUCTION_PRIVATE_H_INCLUDED_
#define _RT_AUCTION_PRIVATE_H_INCLUDED_


#include "rt_auction.h"


/* what a double holds exactly, so that JavaScript sees the same number */
#define RT_AUCTION_MONEY_MAX     9007199254740991ll

#define RT_AUCTION_MS_MAX        (3660ll * 86400 * 1000)     /* ten years */
#define RT_AUCTION_INCREMENTS    16         /* rows of the table */
#define RT_AUCTION_BIDDERS_MAX   100000
#define RT_AUCTION_USER_MAX      255        /* bytes of in->user, by the wire */
#define RT_AUCTION_EVENT_TYPES   (RT_AUCTION_E_CANCELLED + 1)
#define RT_AUCTION_SEALED_SIZE   40         /* version, seed, box */

/* the layouts that are written today */
#define RT_AUCTION_TERMS         2          /* version of "created" */
#define RT_AUCTION_LAYOUT        2          /* of snapshots */


typedef enum {
    RT_AUCTION_SCHEDULED = 0,
    RT_AUCTION_OPEN,
    RT_AUCTION_CLOSED,
    RT_AUCTION_CANCELLED
} rt_auction_state_e;


typedef struct {
    u_char                  *user;          /* owner */
    uint32_t                 user_len;
    uint32_t                 bids;
    int64_t                  amount;        /* the last visible one */
    int64_t                  max;           /* 0: no bid stands */
    uint64_t                 order;         /* version in which max was set */
    uint64_t                 since;         /* of the oldest bid standing */
    rt_uint_t                sealed;        /* "box" holds a bid */
    u_char                   box[RT_AUCTION_SEALED_SIZE];
} rt_auction_bidder_t;


typedef struct {
    int64_t                  from;          /* from this price on */
    int64_t                  by;
} rt_auction_increment_t;


/* the terms: what "created" says */

typedef struct {
    uint8_t                  kind;
    uint8_t                  retraction;    /* allowed */
    rt_str_t                 currency;
    rt_str_t                 seller;
    int64_t                  start;
    int64_t                  reserve;
    int64_t                  increment;
    int64_t                  buy_now;       /* 0: none */
    int64_t                  bidder_max;    /* 0: none */
    uint64_t                 created;
    uint64_t                 starts_at;
    uint64_t                 ends_at;
    uint64_t                 snipe_ms;
    uint64_t                 snipe_cap;     /* the latest end */
    uint64_t                 step_ms;
    uint32_t                 max_bidders;
    uint32_t                 bidder_bids;   /* 0: any number */
    uint32_t                 nincrements;
    rt_auction_increment_t   increments[RT_AUCTION_INCREMENTS];

    /* since the second layout */

    uint64_t                 clock_ms;      /* 0: no clock */
    uint64_t                 retract_within_ms;  /* of the bid; 0: any time */
    uint64_t                 retract_before_ms;  /* but not so near the end */
} rt_auction_terms_t;


typedef struct {
    rt_auction_terms_t       t;
    u_char                  *texts;         /* owner of currency and seller */
    uint8_t                  state;
    int64_t                  price;
    int64_t                  leader;        /* index of a bidder, -1: none */
    int64_t                  winner;
    int64_t                  paid;
    uint64_t                 ends_at;       /* extended */
    uint64_t                 steps;         /* of the Dutch price, announced */
    uint64_t                 bids;

    rt_auction_bidder_t     *bidders;       /* by first bid */
    uint32_t                 n;
    uint32_t                 max;
    uint32_t                *index;         /* by user; place + 1 */
    uint32_t                 mask;
} rt_auction_t;


/*
 * The data of an event, but for "created", whose data are the terms.  What a
 * type does not have is 0.  Strings and box point into the event or the state.
 */

typedef struct {
    int64_t                  price;
    uint64_t                 ends_at;
    int64_t                  amount;
    int64_t                  max;
    int64_t                  paid;
    uint64_t                 bids;
    uint64_t                 steps;
    rt_str_t                 user;
    rt_str_t                 leader;        /* of "closed" the winner */
    rt_str_t                 reason;
    const u_char            *box;           /* NULL: cut off */
    uint8_t                  sealed;        /* the kind hides its bids */
} rt_auction_event_t;


/* an English auction's leader and price */

typedef struct {
    int64_t                  leader;        /* index of a bidder, -1: none */
    int64_t                  price;
} rt_auction_standing_t;


/* the result of sealed bids */

typedef struct {
    const rt_auction_bidder_t  *winner;     /* NULL: nobody bid */
    int64_t                  best;          /* -1: nobody bid */
    int64_t                  second;        /* -1: only one bid */
    uint32_t                 lost;          /* sealed with another secret */
} rt_auction_reveal_t;


/* rt_auction_state.c */

void *rt_auction_state_create(void);
void rt_auction_state_destroy(void *state);
void rt_auction_state_apply(void *state, const rt_event_t *ev);
rt_uint_t rt_auction_state_owner(const void *state, rt_str_t *user);

/* copies the strings of the terms */
void rt_auction_state_set_terms(rt_auction_t *a, const rt_auction_terms_t *t);

/* index of a bidder, or -1 */
int64_t rt_auction_state_find(const rt_auction_t *a, rt_str_t user);

/* finds or adds; valid until the next one is added */
rt_auction_bidder_t *rt_auction_state_bidder(rt_auction_t *a, rt_str_t user);


/* rt_auction_terms.c */

/* RT_ERROR: refused in "out" */
rt_int_t rt_auction_terms_parse(rt_auction_terms_t *t, const rt_input_t *in,
    rt_output_t *out);

void rt_auction_terms_save(const rt_auction_terms_t *t, rt_buf_t *b,
    rt_uint_t layout);
void rt_auction_terms_load(rt_auction_terms_t *t, rt_reader_t *r,
    rt_uint_t layout);
rt_uint_t rt_auction_terms_layout(const rt_auction_terms_t *t);
void rt_auction_terms_lift(const rt_event_t *ev, rt_buf_t *b);


/* rt_auction_event.c */

/* today's version of each type */
extern const uint8_t  rt_auction_event_versions[RT_AUCTION_EVENT_TYPES];

void rt_auction_event_emit(rt_output_t *out, rt_auction_event_e type,
    const rt_auction_event_t *e);
void rt_auction_event_read(const rt_event_t *ev, rt_auction_event_t *e);


/* rt_auction_price.c */

/* at this moment; of a Dutch auction it depends on the time */
int64_t rt_auction_price(const rt_auction_t *a, uint64_t time_ms);

/* the least amount of the next bid, Dutch auctions excepted */
int64_t rt_auction_price_minimum(const rt_auction_t *a);

uint64_t rt_auction_price_steps(const rt_auction_t *a, uint64_t time_ms);
int64_t rt_auction_price_after_steps(const rt_auction_t *a, uint64_t steps);

/* "bidder" is a->n for a new one */
rt_auction_standing_t rt_auction_price_after_bid(const rt_auction_t *a,
    int64_t bidder, int64_t amount, int64_t max);

rt_auction_standing_t rt_auction_price_without(const rt_auction_t *a,
    int64_t bidder);


/* rt_auction_seal.c */

void rt_auction_seal(const rt_auction_t *a, const rt_input_t *in,
    int64_t amount, u_char *box);

/* -1: it was sealed with another secret */
int64_t rt_auction_seal_open(const rt_auction_t *a, const rt_input_t *in,
    const u_char *box);

rt_auction_reveal_t rt_auction_seal_reveal(const rt_auction_t *a,
    const rt_input_t *in);


/* rt_auction_decide.c */

void rt_auction_decide(const void *state, const rt_input_t *in,
    rt_output_t *out);


/* rt_auction_end.c: the event and the answer */

void rt_auction_end_sell(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out, const char *reason, int64_t price, rt_uint_t status);
void rt_auction_end_tick(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out);
void rt_auction_end_close(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out);
void rt_auction_end_cancel(const rt_auction_t *a, rt_output_t *out);


/* rt_auction_view.c */

void rt_auction_view_query(const void *state, const rt_input_t *in,
    rt_output_t *out);

void rt_auction_view_string(rt_buf_t *b, rt_str_t s);   /* empty: null */
void rt_auction_view_number(rt_buf_t *b, int64_t n, rt_uint_t known);


/* rt_auction_publish.c */

void rt_auction_publish_describe(const rt_event_t *ev, rt_buf_t *b);
void rt_auction_publish_topic(rt_str_t entity, rt_buf_t *topic);
rt_uint_t rt_auction_publish(const rt_event_t *ev, rt_uint_t index,
    rt_message_t *m);


/* rt_auction_clock.c */

uint64_t rt_auction_clock_due(const void *state);
rt_uint_t rt_auction_clock_ended(const void *state);
uint64_t rt_auction_clock_next(const void *state, uint64_t last_ms);
rt_uint_t rt_auction_clock_live(const void *state, const rt_audience_t *au,
    rt_message_t *m);


/* rt_auction_snapshot.c */

void rt_auction_snapshot_save(const void *state, rt_buf_t *b);
rt_int_t rt_auction_snapshot_load(void *state, rt_reader_t *r);


static inline rt_str_t
rt_auction_bidder_name(const rt_auction_bidder_t *b)
{
    rt_str_t  s = { b->user_len, b->user };

    return s;
}


/* sealed first-price or Vickrey */

static inline rt_uint_t
rt_auction_is_sealed(const rt_auction_t *a)
{
    return a->t.kind == RT_AUCTION_SEALED_FIRST
           || a->t.kind == RT_AUCTION_VICKREY;
}


#endif /* _RT_AUCTION_PRIVATE_H_INCLUDED_ */
