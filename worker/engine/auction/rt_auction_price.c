/*
 * What an auction costs: the least bid, the price after a bid, after a
 * retraction, and at a moment.  Pure functions of the state.
 *
 * English, with proxy bidding: each bidder has a maximum, and the auction bids
 * for the bidder up to it.  With L the leader's maximum and m the challenger's:
 *
 *   m <= L   the leader stays, at min(L, m + increment); a tie goes to the
 *            earlier bid
 *   m > L    the challenger leads, at the greater of the challenger's amount
 *            and min(m, L + increment)
 *
 * and when the leader's maximum reaches the reserve, so does the price.  The
 * price is never above the leader's maximum.
 *
 * Dutch: the price falls from "start" by "increment" every "step_ms", and
 * stops at "reserve".
 */


#include "rt_auction_private.h"


static int64_t
rt_auction_price_increment(const rt_auction_terms_t *t, int64_t price)
{
    int64_t   by;
    uint32_t  i;

    by = t->increment;

    for (i = 0; i < t->nincrements && t->increments[i].from <= price; i++) {
        by = t->increments[i].by;
    }

    return by;
}


int64_t
rt_auction_price_minimum(const rt_auction_t *a)
{
    if (a->t.kind != RT_AUCTION_ENGLISH || a->leader < 0) {
        return a->t.start;
    }

    return a->price + rt_auction_price_increment(&a->t, a->price);
}


/* how many steps a Dutch price has fallen */

uint64_t
rt_auction_price_steps(const rt_auction_t *a, uint64_t time_ms)
{
    uint64_t  n, all;

    if (time_ms <= a->t.starts_at) {
        return 0;
    }

    n = (time_ms - a->t.starts_at) / a->t.step_ms;

    all = (uint64_t) ((a->t.start - a->t.reserve + a->t.increment - 1)
                      / a->t.increment);

    return rt_min(n, all);
}


int64_t
rt_auction_price_after_steps(const rt_auction_t *a, uint64_t steps)
{
    int64_t  fallen;

    if (__builtin_mul_overflow((int64_t) steps, a->t.increment, &fallen)
        || fallen > a->t.start - a->t.reserve)
    {
        return a->t.reserve;
    }

    return a->t.start - fallen;
}


int64_t
rt_auction_price(const rt_auction_t *a, uint64_t time_ms)
{
    if (a->t.kind == RT_AUCTION_DUTCH && a->state == RT_AUCTION_OPEN) {
        return rt_auction_price_after_steps(a,
                                           rt_auction_price_steps(a, time_ms));
    }

    return a->price;
}


/* a leader with this maximum has met the reserve, or has not */

static int64_t
rt_auction_price_reserved(const rt_auction_terms_t *t, int64_t price,
    int64_t max)
{
    return max >= t->reserve ? rt_max(price, t->reserve) : price;
}


rt_auction_standing_t
rt_auction_price_after_bid(const rt_auction_t *a, int64_t bidder,
    int64_t amount, int64_t max)
{
    int64_t                lead;
    rt_auction_standing_t  s;

    rt_assert(amount >= 0 && amount <= max && max <= RT_AUCTION_MONEY_MAX);

    s.leader = bidder;
    s.price = rt_max(a->price, amount);

    if (a->leader >= 0 && a->leader != bidder) {
        lead = a->bidders[a->leader].max;

        if (max <= lead) {
            s.leader = a->leader;
            s.price = rt_min(lead,
                             max + rt_auction_price_increment(&a->t, max));
            s.price = rt_max(s.price, a->price);

            rt_assert(s.price <= lead);

            return s;
        }

        s.price = rt_min(max, lead + rt_auction_price_increment(&a->t, lead));
        s.price = rt_max(s.price, amount);
    }

    s.price = rt_auction_price_reserved(&a->t, s.price, max);

    rt_assert(s.price <= max);

    return s;
}


/* the greatest maximum, the earlier of equals; and the second, -1: none */

static int64_t
rt_auction_price_best(const rt_auction_t *a, int64_t without, int64_t *second)
{
    int64_t                     i, best;
    const rt_auction_bidder_t  *b, *top;

    best = -1;
    *second = -1;

    for (i = 0; i < (int64_t) a->n; i++) {
        b = &a->bidders[i];

        if (i == without || b->max == 0) {
            continue;
        }

        top = best >= 0 ? &a->bidders[best] : NULL;

        if (top == NULL || b->max > top->max
            || (b->max == top->max && b->order < top->order))
        {
            *second = top ? top->max : -1;
            best = i;

        } else if (b->max > *second) {
            *second = b->max;
        }
    }

    return best;
}


rt_auction_standing_t
rt_auction_price_without(const rt_auction_t *a, int64_t bidder)
{
    int64_t                     second;
    rt_auction_standing_t       s;
    const rt_auction_bidder_t  *top;

    s.leader = rt_auction_price_best(a, bidder, &second);
    s.price = a->t.start;

    if (s.leader < 0) {
        return s;
    }

    top = &a->bidders[s.leader];

    rt_assert(s.leader != bidder && second <= top->max);

    if (second >= 0) {
        s.price = rt_min(top->max,
                         second + rt_auction_price_increment(&a->t, second));
    }

    s.price = rt_max(s.price, top->amount);
    s.price = rt_auction_price_reserved(&a->t, s.price, top->max);

    rt_assert(s.price <= top->max);

    return s;
}
