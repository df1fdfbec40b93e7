/*
 * The interface of the auctions' room: the engines, the names of the kinds,
 * the types of the events, and the public part of an event.  A projection of
 * auctions includes this header and nothing else of the room.
 */


#ifndef _RT_AUCTION_H_INCLUDED_
#define _RT_AUCTION_H_INCLUDED_


#include "rt_engine.h"


#define RT_AUCTION_CURRENCY_MAX  8


/* in the journal for ever */

typedef enum {
    RT_AUCTION_ENGLISH = 0,
    RT_AUCTION_DUTCH,
    RT_AUCTION_SEALED_FIRST,
    RT_AUCTION_VICKREY
} rt_auction_kind_e;


/* event types, in the journal for ever */

typedef enum {
    RT_AUCTION_E_CREATED = 1,
    RT_AUCTION_E_OPENED,
    RT_AUCTION_E_BID,
    RT_AUCTION_E_SEALED,
    RT_AUCTION_E_RETRACTED,
    RT_AUCTION_E_PRICE,
    RT_AUCTION_E_CLOSED,
    RT_AUCTION_E_CANCELLED
} rt_auction_event_e;


/*
 * The public part of an event: never a maximum, a reserve or a sealed bid.
 * What an event does not say is 0.
 */

typedef struct {
    uint64_t           ends_at;
    int64_t            price;
    uint64_t           bids;                /* bid */
    rt_str_t           leader;              /* bid, retracted */

    /* created */
    rt_auction_kind_e  kind;
    rt_str_t           currency;
    int64_t            start;
    int64_t            buy_now;
    uint64_t           starts_at;
} rt_auction_told_t;


extern const rt_engine_t  rt_auction_engine;
extern const rt_engine_t  rt_auctions_engine;   /* a projection */

extern const char  *rt_auction_kinds[];     /* NULL at the end */

/* strings of "t" point into the event's data */
void rt_auction_told(const rt_event_t *ev, rt_auction_told_t *t);


#endif /* _RT_AUCTION_H_INCLUDED_ */
