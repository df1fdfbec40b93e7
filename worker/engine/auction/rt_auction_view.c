/*
 * The queries: "state" for everybody, "mine" for one bidder.
 *
 * A sealed auction that is not closed shows neither price nor leader.  A
 * maximum and a sealed amount are shown by "mine" only, to their bidder.
 */


#include "rt_auction_private.h"


static const char  *rt_auction_states[] = {
    "scheduled", "open", "closed", "cancelled"
};


void
rt_auction_view_string(rt_buf_t *b, rt_str_t s)
{
    if (s.len) {
        rt_json_string(b, s);
    } else {
        rt_buf_literal(b, "null");
    }
}


void
rt_auction_view_number(rt_buf_t *b, int64_t n, rt_uint_t known)
{
    if (known) {
        rt_buf_number(b, n);
    } else {
        rt_buf_literal(b, "null");
    }
}


static void
rt_auction_view_bidder(rt_buf_t *b, const rt_auction_t *a, int64_t i)
{
    if (i < 0) {
        rt_buf_literal(b, "null");
        return;
    }

    rt_json_string(b, rt_auction_bidder_name(&a->bidders[i]));
}


static rt_uint_t
rt_auction_view_reserve_met(const rt_auction_t *a, rt_uint_t hidden)
{
    return a->winner >= 0
           || (!hidden && a->leader >= 0 && a->price >= a->t.reserve);
}


static void
rt_auction_view_state(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    int64_t     price;
    rt_buf_t   *b;
    rt_uint_t   hidden;

    b = &out->body;
    out->status = 200;

    hidden = rt_auction_is_sealed(a) && a->state != RT_AUCTION_CLOSED;
    price = rt_auction_price(a, in->time_ms);

    rt_buf_printf(b, "{\"state\":\"%s\",\"kind\":\"%s\",\"currency\":",
                  rt_auction_states[a->state], rt_auction_kinds[a->t.kind]);
    rt_json_string(b, a->t.currency);

    rt_buf_literal(b, ",\"price\":");
    rt_auction_view_number(b, price, !hidden);
    rt_buf_literal(b, ",\"leader\":");
    rt_auction_view_bidder(b, a, hidden ? -1 : a->leader);

    rt_buf_printf(b, ",\"bids\":%llu,\"bidders\":%u,\"minimum\":%lld,"
                  "\"start\":%lld,\"starts_at\":%llu,\"ends_at\":%llu,"
                  "\"time\":%llu,\"reserve_met\":%s",
                  (unsigned long long) a->bids, a->n,
                  (long long) (a->t.kind == RT_AUCTION_DUTCH
                               ? price : rt_auction_price_minimum(a)),
                  (long long) a->t.start,
                  (unsigned long long) a->t.starts_at,
                  (unsigned long long) a->ends_at,
                  (unsigned long long) in->time_ms,
                  rt_auction_view_reserve_met(a, hidden) ? "true" : "false");

    rt_buf_literal(b, ",\"buy_now\":");
    rt_auction_view_number(b, a->t.buy_now, a->t.buy_now != 0);
    rt_buf_literal(b, ",\"winner\":");
    rt_auction_view_bidder(b, a, a->winner);
    rt_buf_literal(b, ",\"paid\":");
    rt_auction_view_number(b, a->paid, a->winner >= 0);
    rt_buf_literal(b, "}");
}


static void
rt_auction_view_mine(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    int64_t                     i, amount, max;
    rt_buf_t                   *b;
    rt_uint_t                   won, stands;
    const rt_auction_bidder_t  *me;

    if (in->user.len == 0) {
        rt_refuse(out, 401, "user_required", "who is it");
        return;
    }

    b = &out->body;
    out->status = 200;

    i = rt_auction_state_find(a, in->user);
    me = i < 0 ? NULL : &a->bidders[i];
    won = me && i == a->winner;

    amount = me ? me->amount : 0;
    max = me ? me->max : 0;

    if (me && me->sealed) {
        amount = rt_auction_seal_open(a, in, me->box);
        max = amount;
    }

    stands = max > 0 || (me && me->sealed);

    rt_buf_printf(b, "{\"bids\":%u,\"amount\":", me ? me->bids : 0);
    rt_auction_view_number(b, amount, stands);
    rt_buf_literal(b, ",\"max\":");
    rt_auction_view_number(b, max, stands);
    rt_buf_printf(b, ",\"leading\":%s,\"won\":%s,\"paid\":",
                  me && i == a->leader ? "true" : "false",
                  won ? "true" : "false");
    rt_auction_view_number(b, a->paid, won);
    rt_buf_literal(b, "}");
}


void
rt_auction_view_query(const void *state, const rt_input_t *in,
    rt_output_t *out)
{
    if (rt_str_is(in->name, "state")) {
        rt_auction_view_state(state, in, out);

    } else if (rt_str_is(in->name, "mine")) {
        rt_auction_view_mine(state, in, out);

    } else {
        rt_refuse(out, 404, "unknown_query", "an auction knows state, mine, "
                  "history, events and at");
    }
}
