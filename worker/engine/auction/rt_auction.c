/*
 * Auctions: English with proxy bidding, Dutch, sealed first-price, Vickrey.
 *
 * This file is the engine's table of functions, the entrance to the room.  A
 * command goes through decide, which says what happens in an event; the event
 * goes through apply, which changes the state; describe and publish show the
 * event to everybody.  rt_auction_private.h lists the files.
 *
 * Money is an integer of the currency's minor unit.  Times are the journal's,
 * in milliseconds.
 *
 * docs/auction.md has the rules for users, docs/engines.md what each function
 * of the table must do.
 */


#include "rt_auction_private.h"


#define RT_AUCTION_ID  1                    /* in the journal for ever */


const char  *rt_auction_kinds[] = {
    "english", "dutch", "sealed", "vickrey", NULL
};


const rt_engine_t  rt_auction_engine = {
    .name = "auction",
    .id = RT_AUCTION_ID,
    .durability = RT_DURABLE_SYNC,

    .create = rt_auction_state_create,
    .destroy = rt_auction_state_destroy,
    .decide = rt_auction_decide,
    .apply = rt_auction_state_apply,
    .query = rt_auction_view_query,

    .snapshot = rt_auction_snapshot_save,
    .restore = rt_auction_snapshot_load,

    .due = rt_auction_clock_due,
    .owner = rt_auction_state_owner,
    .ended = rt_auction_clock_ended,
    .clock = rt_auction_clock_next,
    .watched = rt_auction_publish_topic,
    .live = rt_auction_clock_live,

    .describe = rt_auction_publish_describe,
    .publish = rt_auction_publish,

    .types = rt_auction_event_versions,
    .ntypes = RT_AUCTION_EVENT_TYPES,
    .lift = rt_auction_terms_lift
};
