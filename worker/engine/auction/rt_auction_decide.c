/*
 * Commands and ticks become events; nothing is changed here.
 *
 * The path of a bid on an English auction:
 *
 *   rt_auction_decide()             dispatch has parsed the body; the name of
 *                                   the command selects the function
 *   rt_auction_decide_bid()         is there a user, is the auction open
 *   rt_fields_read()                "amount" and "max" out of the body
 *   rt_auction_decide_limits()      bidders, bids of one, greatest bid
 *   rt_auction_decide_english()     is it at least the minimum
 *   rt_auction_price_after_bid()    the new leader and price
 *   rt_auction_decide_extended()    the new end
 *   rt_auction_event_emit()         the event "bid" with all of that
 *
 * and then, by dispatch: the journal, rt_auction_state_apply(), fdatasync(),
 * the answer and the publication.
 *
 * A decision is one event and a 2xx answer, or no event and a refusal.
 * Dispatch may throw a decision away and ask again.
 *
 * An auction is open while time < ends_at.  Dispatch sends the tick that
 * closes it before it asks for a decision of that millisecond.
 */


#include "rt_auction_private.h"
#include "rt_fields.h"


typedef struct {
    int64_t  amount;
    int64_t  max;
} rt_auction_bid_t;


static const rt_field_t  rt_auction_bid_fields[] = {
    { "amount", RT_FIELD_NUMBER, rt_field_at(rt_auction_bid_t, amount),
      0, RT_AUCTION_MONEY_MAX, RT_FIELD_REQUIRED, NULL }
};

/* its least value is the amount */

static const rt_field_t  rt_auction_max_field = {
    "max", RT_FIELD_NUMBER, rt_field_at(rt_auction_bid_t, max),
    0, RT_AUCTION_MONEY_MAX, 0, NULL
};


/* answers */

static void
rt_auction_answer_bid(rt_output_t *out, int64_t price, rt_str_t leader,
    uint64_t ends_at)
{
    out->status = 201;
    rt_buf_literal(&out->body, "{\"price\":");
    rt_buf_number(&out->body, price);
    rt_buf_literal(&out->body, ",\"leader\":");
    rt_json_string(&out->body, leader);
    rt_buf_literal(&out->body, ",\"ends_at\":");
    rt_buf_number(&out->body, (int64_t) ends_at);
    rt_buf_literal(&out->body, "}");
}


static void
rt_auction_answer_sealed(rt_output_t *out, uint64_t bids, uint64_t ends_at)
{
    out->status = 201;
    rt_buf_literal(&out->body, "{\"price\":null,\"leader\":null,\"bids\":");
    rt_buf_number(&out->body, (int64_t) bids);
    rt_buf_literal(&out->body, ",\"ends_at\":");
    rt_buf_number(&out->body, (int64_t) ends_at);
    rt_buf_literal(&out->body, "}");
}


static void
rt_auction_refuse_low(rt_output_t *out, int64_t minimum)
{
    out->status = 409;
    rt_buf_literal(&out->body, "{\"error\":\"too_low\",\"message\":\"the bid "
                   "is below the minimum\",\"minimum\":");
    rt_buf_number(&out->body, minimum);
    rt_buf_literal(&out->body, "}");
}


/* checks: RT_ERROR is a refusal */

static rt_int_t
rt_auction_decide_open(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    if (in->user.len == 0) {
        rt_refuse(out, 401, "user_required", "who is it");
        return RT_ERROR;
    }

    if (rt_str_eq(a->t.seller, in->user)) {
        rt_refuse(out, 403, "own_auction", "a seller does not bid");
        return RT_ERROR;
    }

    if (a->state == RT_AUCTION_SCHEDULED) {
        rt_refuse(out, 409, "not_open", "the auction has not begun");
        return RT_ERROR;
    }

    if (a->state != RT_AUCTION_OPEN || in->time_ms >= a->ends_at) {
        rt_refuse(out, 409, "closed", "the auction is over");
        return RT_ERROR;
    }

    return RT_OK;
}


static rt_int_t
rt_auction_decide_limits(const rt_auction_t *a, rt_output_t *out,
    int64_t bidder, int64_t max)
{
    if (bidder < 0 && a->n >= a->t.max_bidders) {
        rt_refuse(out, 409, "too_many_bidders", "no more than %u may bid",
                  a->t.max_bidders);
        return RT_ERROR;
    }

    if (a->t.bidder_bids && bidder >= 0
        && a->bidders[bidder].bids >= a->t.bidder_bids)
    {
        rt_refuse(out, 409, "too_many_bids", "no more than %u bids each",
                  a->t.bidder_bids);
        return RT_ERROR;
    }

    if (a->t.bidder_max && max > a->t.bidder_max) {
        rt_refuse(out, 409, "over_limit", "no bid may be above %lld",
                  (long long) a->t.bidder_max);
        return RT_ERROR;
    }

    return RT_OK;
}


static rt_int_t
rt_auction_decide_seller(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    if (a->t.seller.len && !rt_str_eq(a->t.seller, in->user)) {
        rt_refuse(out, 403, "forbidden", "only the seller may do that");
        return RT_ERROR;
    }

    if (a->state != RT_AUCTION_OPEN && a->state != RT_AUCTION_SCHEDULED) {
        rt_refuse(out, 409, "closed", "the auction is over");
        return RT_ERROR;
    }

    return RT_OK;
}


/* create */

static void
rt_auction_decide_create(const rt_input_t *in, rt_output_t *out)
{
    rt_buf_t            b;
    rt_auction_terms_t  t;

    if (rt_auction_terms_parse(&t, in, out) != RT_OK) {
        return;
    }

    memset(&b, 0, sizeof(rt_buf_t));
    rt_auction_terms_save(&t, &b, RT_AUCTION_TERMS);
    rt_emit(out, RT_AUCTION_E_CREATED, RT_AUCTION_TERMS, b.pos,
            rt_buf_size(&b));
    rt_buf_free(&b);

    out->status = 201;
    rt_buf_printf(&out->body, "{\"state\":\"%s\",\"ends_at\":%llu}",
                  t.starts_at > t.created ? "scheduled" : "open",
                  (unsigned long long) t.ends_at);
}


/* bid */

/* the end after a bid: a late one extends it, up to the cap */

static uint64_t
rt_auction_decide_extended(const rt_auction_t *a, uint64_t time_ms)
{
    uint64_t  ends_at;

    rt_assert(time_ms < a->ends_at);

    if (a->t.snipe_ms == 0 || a->ends_at - time_ms > a->t.snipe_ms) {
        return a->ends_at;
    }

    ends_at = rt_min(time_ms + a->t.snipe_ms, a->t.snipe_cap);

    return rt_max(ends_at, a->ends_at);
}


static void
rt_auction_decide_sealed(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out, int64_t amount)
{
    u_char              box[RT_AUCTION_SEALED_SIZE];
    rt_auction_event_t  e;

    if (amount < a->t.start) {
        rt_auction_refuse_low(out, a->t.start);
        return;
    }

    rt_auction_seal(a, in, amount, box);

    memset(&e, 0, sizeof(rt_auction_event_t));
    e.ends_at = rt_auction_decide_extended(a, in->time_ms);
    e.user = in->user;
    e.box = box;

    rt_auction_event_emit(out, RT_AUCTION_E_SEALED, &e);
    rt_auction_answer_sealed(out, a->bids + 1, e.ends_at);
}


static void
rt_auction_decide_dutch(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out, int64_t amount)
{
    int64_t  price;

    price = rt_auction_price(a, in->time_ms);

    if (amount < price) {
        rt_auction_refuse_low(out, price);
        return;
    }

    rt_auction_end_sell(a, in, out, "sold", price, 201);
}


static int64_t
rt_auction_decide_minimum(const rt_auction_t *a, int64_t bidder,
    const rt_auction_bid_t *bid)
{
    /* the leader may raise the maximum, which alone does not raise the price */

    if (bidder >= 0 && bidder == a->leader
        && bid->max > a->bidders[bidder].max && bid->max > bid->amount)
    {
        return a->price;
    }

    return rt_auction_price_minimum(a);
}


static void
rt_auction_decide_english(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out, int64_t bidder, const rt_auction_bid_t *bid)
{
    int64_t                minimum;
    rt_auction_event_t     e;
    rt_auction_standing_t  s;

    minimum = rt_auction_decide_minimum(a, bidder, bid);

    if (bid->amount < minimum) {
        rt_auction_refuse_low(out, minimum);
        return;
    }

    memset(&e, 0, sizeof(rt_auction_event_t));
    e.amount = bid->amount;
    e.max = bid->max;

    if (bidder >= 0 && bidder == a->leader) {
        e.max = rt_max(e.max, a->bidders[bidder].max);
    }

    s = rt_auction_price_after_bid(a, bidder < 0 ? (int64_t) a->n : bidder,
                                   e.amount, e.max);

    rt_assert(s.leader >= 0 && s.leader <= (int64_t) a->n);
    rt_assert(s.price >= a->price);

    e.price = s.price;
    e.ends_at = rt_auction_decide_extended(a, in->time_ms);
    e.bids = a->bids + 1;
    e.user = in->user;
    e.leader = s.leader < (int64_t) a->n
               ? rt_auction_bidder_name(&a->bidders[s.leader]) : in->user;

    rt_auction_event_emit(out, RT_AUCTION_E_BID, &e);
    rt_auction_answer_bid(out, e.price, e.leader, e.ends_at);
}


static rt_int_t
rt_auction_decide_body(const rt_input_t *in, rt_output_t *out,
    rt_auction_bid_t *bid)
{
    char        error[RT_FIELD_ERROR_MAX];
    rt_int_t    rc;
    rt_field_t  max;

    rc = rt_fields_read(in->json, in->data, rt_auction_bid_fields,
                        rt_fields_n(rt_auction_bid_fields), bid, error);

    if (rc == RT_OK) {
        max = rt_auction_max_field;
        max.min = bid->amount;
        bid->max = bid->amount;

        rc = rt_fields_read(in->json, in->data, &max, 1, bid, error);
    }

    if (rc != RT_OK) {
        rt_refuse(out, 422, "invalid", "%s", error);
    }

    return rc;
}


static void
rt_auction_decide_bid(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    int64_t           bidder;
    rt_auction_bid_t  bid;

    if (rt_auction_decide_open(a, in, out) != RT_OK
        || rt_auction_decide_body(in, out, &bid) != RT_OK)
    {
        return;
    }

    bidder = rt_auction_state_find(a, in->user);

    if (rt_auction_decide_limits(a, out, bidder, bid.max) != RT_OK) {
        return;
    }

    switch (a->t.kind) {

    case RT_AUCTION_ENGLISH:
        rt_auction_decide_english(a, in, out, bidder, &bid);
        break;

    case RT_AUCTION_DUTCH:
        rt_auction_decide_dutch(a, in, out, bid.amount);
        break;

    default:
        rt_assert(rt_auction_is_sealed(a));
        rt_auction_decide_sealed(a, in, out, bid.amount);
    }
}


/* buy */

static void
rt_auction_decide_buy(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    int64_t     paid;
    const char  *reason;

    if (rt_auction_decide_open(a, in, out) != RT_OK) {
        return;
    }

    if (a->t.kind == RT_AUCTION_DUTCH) {
        paid = rt_auction_price(a, in->time_ms);
        reason = "sold";

    } else if (a->t.buy_now == 0
               || (a->leader >= 0 && a->price >= a->t.buy_now))
    {
        rt_refuse(out, 409, "no_buy_now", "it cannot be bought at once");
        return;

    } else {
        paid = a->t.buy_now;
        reason = "bought";
    }

    if (rt_auction_decide_limits(a, out, rt_auction_state_find(a, in->user),
                                 paid)
        != RT_OK)
    {
        return;
    }

    rt_auction_end_sell(a, in, out, reason, paid, 200);
}


/* retract */

static rt_int_t
rt_auction_decide_retractable(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out, int64_t bidder)
{
    const rt_auction_bidder_t  *b;

    if (!a->t.retraction) {
        rt_refuse(out, 409, "binding", "bids cannot be retracted here");
        return RT_ERROR;
    }

    if (a->t.retract_before_ms
        && a->ends_at - in->time_ms <= a->t.retract_before_ms)
    {
        rt_refuse(out, 409, "too_late", "bids are binding in the last %llu ms",
                  (unsigned long long) a->t.retract_before_ms);
        return RT_ERROR;
    }

    b = bidder < 0 ? NULL : &a->bidders[bidder];

    if (b == NULL || (b->max == 0 && !b->sealed)) {
        rt_refuse(out, 404, "no_bid", "there is no bid to retract");
        return RT_ERROR;
    }

    if (a->t.retract_within_ms
        && in->time_ms - b->since > a->t.retract_within_ms)
    {
        rt_refuse(out, 409, "too_late", "bids are binding after %llu ms",
                  (unsigned long long) a->t.retract_within_ms);
        return RT_ERROR;
    }

    return RT_OK;
}


static void
rt_auction_decide_retract(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    int64_t                bidder;
    rt_auction_event_t     e;
    rt_auction_standing_t  s;

    if (rt_auction_decide_open(a, in, out) != RT_OK) {
        return;
    }

    bidder = rt_auction_state_find(a, in->user);

    if (rt_auction_decide_retractable(a, in, out, bidder) != RT_OK) {
        return;
    }

    memset(&e, 0, sizeof(rt_auction_event_t));
    e.price = a->price;
    e.ends_at = a->ends_at;
    e.user = in->user;
    e.sealed = (uint8_t) rt_auction_is_sealed(a);

    if (!e.sealed) {
        s = rt_auction_price_without(a, bidder);
        e.price = s.price;

        if (s.leader >= 0) {
            e.leader = rt_auction_bidder_name(&a->bidders[s.leader]);
        }
    }

    rt_auction_event_emit(out, RT_AUCTION_E_RETRACTED, &e);

    out->status = 200;
    rt_buf_literal(&out->body, "{\"retracted\":true}");
}


/* close, cancel */

static void
rt_auction_decide_close(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    if (rt_auction_decide_seller(a, in, out) != RT_OK) {
        return;
    }

    rt_auction_end_close(a, in, out);
}


/*
 * As with auctioneers: what is offered with a reserve may be withdrawn until a
 * bid has met it, what is offered without one until there is a bid.  Whether a
 * sealed bid meets the reserve is not known before the end.
 */

static rt_uint_t
rt_auction_decide_is_bound(const rt_auction_t *a)
{
    uint32_t  i;

    for (i = 0; i < a->n && rt_auction_is_sealed(a); i++) {
        if (a->bidders[i].sealed) {
            return 1;
        }
    }

    return a->leader >= 0 && a->price >= a->t.reserve;
}


static void
rt_auction_decide_cancel(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    if (rt_auction_decide_seller(a, in, out) != RT_OK) {
        return;
    }

    if (a->t.seller.len && rt_auction_decide_is_bound(a)) {
        rt_refuse(out, 409, "has_bids", "there is a bid that binds the seller; "
                  "\"close\" ends it by its rules");
        return;
    }

    rt_auction_end_cancel(a, out);
}


/* rt_auction_clock_due() has come: open, close, or let the price fall */

static void
rt_auction_decide_tick(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    rt_auction_event_t  e;

    out->status = 200;

    if (a->state == RT_AUCTION_OPEN && in->time_ms >= a->ends_at) {
        rt_auction_end_tick(a, in, out);
        return;
    }

    memset(&e, 0, sizeof(rt_auction_event_t));
    e.ends_at = a->ends_at;

    if (a->state == RT_AUCTION_SCHEDULED) {
        e.price = a->price;
        rt_auction_event_emit(out, RT_AUCTION_E_OPENED, &e);
        return;
    }

    rt_assert(a->state == RT_AUCTION_OPEN && a->t.kind == RT_AUCTION_DUTCH);

    e.steps = rt_auction_price_steps(a, in->time_ms);
    e.price = rt_auction_price_after_steps(a, e.steps);

    rt_assert(e.price >= a->t.reserve && e.price <= a->t.start);

    rt_auction_event_emit(out, RT_AUCTION_E_PRICE, &e);
}


typedef struct {
    const char  *name;
    void       (*decide)(const rt_auction_t *a, const rt_input_t *in,
                     rt_output_t *out);
} rt_auction_command_t;


static const rt_auction_command_t  rt_auction_commands[] = {
    { "bid", rt_auction_decide_bid },
    { "buy", rt_auction_decide_buy },
    { "retract", rt_auction_decide_retract },
    { "close", rt_auction_decide_close },
    { "cancel", rt_auction_decide_cancel },
    { NULL, NULL }
};


static void
rt_auction_decide_command(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    const rt_auction_command_t  *c;

    for (c = rt_auction_commands; c->name; c++) {
        if (rt_str_is(in->name, c->name)) {
            c->decide(a, in, out);
            return;
        }
    }

    rt_refuse(out, 404, "unknown_command", "an auction knows create, bid, "
              "buy, retract, close and cancel");
}


void
rt_auction_decide(const void *state, const rt_input_t *in, rt_output_t *out)
{
    rt_assert(out->n == 0 && in->user.len <= RT_AUCTION_USER_MAX);

    if (state == NULL) {
        rt_auction_decide_create(in, out);

    } else if (in->tick) {
        rt_auction_decide_tick(state, in, out);

    } else {
        rt_auction_decide_command(state, in, out);
    }

    rt_assert(out->n == (out->status < 300 ? 1 : 0));
}
