/*
 * How an auction ends: sold in an instant, by its rules, or cancelled.
 *
 *   sold       somebody takes the Dutch price or "buy_now"
 *   rules      the clock or the seller ends it: the English leader wins if the
 *              price has met the reserve; of sealed kinds all bids are opened,
 *              and the highest wins if it has.  "sealed" pays the own bid,
 *              "vickrey" the second one, at least "start" and the reserve
 *   cancelled  nobody wins
 *
 * A Dutch auction that ends by its rules has no winner.  decide() has checked
 * whether the end is allowed.
 */


#include "rt_auction_private.h"


static void
rt_auction_end_answer(rt_output_t *out, rt_uint_t status,
    const rt_auction_event_t *e)
{
    out->status = status;
    rt_buf_literal(&out->body, "{\"state\":\"closed\",\"winner\":");
    rt_json_string(&out->body, e->leader);
    rt_buf_literal(&out->body, ",\"leader\":");
    rt_json_string(&out->body, e->leader);
    rt_buf_literal(&out->body, ",\"price\":");
    rt_buf_number(&out->body, e->paid);
    rt_buf_literal(&out->body, ",\"paid\":");
    rt_buf_number(&out->body, e->paid);
    rt_buf_literal(&out->body, "}");
}


void
rt_auction_end_sell(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out, const char *reason, int64_t price, rt_uint_t status)
{
    rt_auction_event_t  e;

    memset(&e, 0, sizeof(rt_auction_event_t));
    e.price = price;
    e.paid = price;
    e.ends_at = a->ends_at;
    e.leader = in->user;
    e.reason.data = (const u_char *) reason;
    e.reason.len = strlen(reason);

    rt_auction_event_emit(out, RT_AUCTION_E_CLOSED, &e);
    rt_auction_end_answer(out, status, &e);
}


static void
rt_auction_end_sealed(const rt_auction_t *a, const rt_input_t *in,
    rt_auction_event_t *e)
{
    rt_auction_reveal_t  v;

    v = rt_auction_seal_reveal(a, in);

    if (v.lost) {
        e->price = a->t.start;
        e->reason = (rt_str_t) rt_string("unsealable");
        return;
    }

    if (v.winner == NULL || v.best < a->t.reserve) {
        e->price = rt_max(v.best, a->t.start);
        return;
    }

    e->paid = v.best;

    if (a->t.kind == RT_AUCTION_VICKREY) {
        e->paid = rt_max(rt_max(v.second, a->t.start), a->t.reserve);
    }

    rt_assert(e->paid <= v.best);

    e->price = e->paid;
    e->leader = rt_auction_bidder_name(v.winner);
}


static void
rt_auction_end_by_rules(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out, rt_str_t reason, rt_auction_event_t *e)
{
    memset(e, 0, sizeof(rt_auction_event_t));
    e->ends_at = a->ends_at;
    e->reason = reason;

    if (rt_auction_is_sealed(a)) {
        rt_auction_end_sealed(a, in, e);

    } else if (a->t.kind == RT_AUCTION_ENGLISH && a->leader >= 0
               && a->price >= a->t.reserve)
    {
        e->price = a->price;
        e->paid = a->price;
        e->leader = rt_auction_bidder_name(&a->bidders[a->leader]);

        rt_assert(e->paid <= a->bidders[a->leader].max);

    } else {
        e->price = rt_auction_price(a, in->time_ms);
    }

    rt_auction_event_emit(out, RT_AUCTION_E_CLOSED, e);
}


void
rt_auction_end_tick(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    rt_auction_event_t  e;

    rt_auction_end_by_rules(a, in, out, (rt_str_t) rt_string("ended"), &e);
}


void
rt_auction_end_close(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    rt_auction_event_t  e;

    rt_auction_end_by_rules(a, in, out, (rt_str_t) rt_string("closed"), &e);

    if (e.leader.len) {
        rt_auction_end_answer(out, 200, &e);
        return;
    }

    out->status = 200;
    rt_buf_literal(&out->body, "{\"state\":\"closed\",\"winner\":null,"
                   "\"paid\":null}");
}


void
rt_auction_end_cancel(const rt_auction_t *a, rt_output_t *out)
{
    rt_auction_event_t  e;

    memset(&e, 0, sizeof(rt_auction_event_t));
    e.ends_at = a->ends_at;

    rt_auction_event_emit(out, RT_AUCTION_E_CANCELLED, &e);

    out->status = 200;
    rt_buf_literal(&out->body, "{\"state\":\"cancelled\"}");
}
