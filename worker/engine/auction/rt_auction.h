/*
 * What an auction's events tell to everybody: for projections, which must not
 * know more.  Never a max, never who has bid in secret.
 */


#ifndef _RT_AUCTION_H_INCLUDED_
#define _RT_AUCTION_H_INCLUDED_


#include "rt_engine.h"


#define RT_AUCTION_CURRENCY_MAX  8


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


extern const char  *rt_auction_kinds[];     /* NULL at the end */

/* what it does not say is 0 */
void rt_auction_told(const rt_event_t *ev, rt_auction_told_t *t);


#endif /* _RT_AUCTION_H_INCLUDED_ */
