/*
 * Time: when an auction has something to do, and the closing clock.
 *
 * rt_auction_clock_due() is the next moment at which decide() gets a tick: the
 * start, the next fall of a Dutch price, the end.  It follows from the state;
 * no timer is set.
 *
 * The closing clock is a live message, not an event: the journal has nothing
 * of it.  Every clock_ms, counted back from the end, the topic's subscribers
 * are counted (rt_auction_clock_next()).  A message is sent when their number
 * has changed since the last count, and at each of the last RT_AUCTION_CLOCKS
 * counts (rt_auction_clock_live()).
 */


#include "rt_auction_private.h"


#define RT_AUCTION_CLOCKS  10               /* the last ones, in any case */


static uint64_t
rt_auction_clock_due_open(const rt_auction_t *a)
{
    int64_t   price;
    uint64_t  step;

    if (a->t.kind != RT_AUCTION_DUTCH) {
        return a->ends_at;
    }

    price = rt_auction_price_after_steps(a, a->steps);

    if (price <= a->t.reserve) {
        return a->ends_at;
    }

    step = a->t.starts_at + (a->steps + 1) * a->t.step_ms;

    return rt_min(step, a->ends_at);
}


uint64_t
rt_auction_clock_due(const void *state)
{
    const rt_auction_t  *a;

    a = state;

    switch (a->state) {

    case RT_AUCTION_SCHEDULED:
        return a->t.starts_at;

    case RT_AUCTION_OPEN:
        return rt_auction_clock_due_open(a);

    default:
        return 0;
    }
}


rt_uint_t
rt_auction_clock_ended(const void *state)
{
    const rt_auction_t  *a;

    a = state;

    return a->state == RT_AUCTION_CLOSED || a->state == RT_AUCTION_CANCELLED;
}


uint64_t
rt_auction_clock_next(const void *state, uint64_t last_ms)
{
    uint64_t             next, left;
    const rt_auction_t  *a;

    a = state;

    if (a->state != RT_AUCTION_OPEN || a->t.clock_ms == 0) {
        return 0;
    }

    /* a whole interval later, on the grid that is counted back from the end */

    next = rt_max(last_ms, a->t.starts_at) + a->t.clock_ms;

    if (next >= a->ends_at) {
        return 0;
    }

    left = (a->ends_at - next) / a->t.clock_ms * a->t.clock_ms;

    if (left == 0) {
        return 0;
    }

    rt_assert(a->ends_at - left >= next);

    return a->ends_at - left;
}


rt_uint_t
rt_auction_clock_live(const void *state, const rt_audience_t *au,
    rt_message_t *m)
{
    const rt_auction_t  *a;

    a = state;

    if (a->state != RT_AUCTION_OPEN || au->time_ms >= a->ends_at) {
        return 0;
    }

    if (au->watchers == au->told
        && a->ends_at - au->time_ms > RT_AUCTION_CLOCKS * a->t.clock_ms)
    {
        return 0;
    }

    m->event = "clock";

    rt_buf_printf(&m->body, "{\"type\":\"clock\",\"now\":%llu,"
                  "\"ends_at\":%llu", (unsigned long long) au->time_ms,
                  (unsigned long long) a->ends_at);

    if (!rt_auction_is_sealed(a)) {
        rt_buf_literal(&m->body, ",\"price\":");
        rt_buf_number(&m->body, rt_auction_price(a, au->time_ms));
    }

    rt_buf_printf(&m->body, ",\"version\":%llu,\"watchers\":%llu}",
                  (unsigned long long) au->version,
                  (unsigned long long) au->watchers);

    return 1;
}
