/*
 * The terms of an auction: what its seller says at the beginning, and what
 * never changes afterwards.
 *
 * rt_auction_terms_parse() reads them from the body of "create": first the
 * defaults, then a table of fields, then what depends on more than one field.
 * What it accepts is within the bounds that the rest of the room relies on.
 *
 * rt_auction_terms_save() writes them into the event "created" and at the
 * beginning of snapshots, rt_auction_terms_load() reads both.  The second
 * layout appends the clock and the times of retraction.  "created" is always
 * written in the second one, and rt_auction_terms_lift() turns an event of the
 * first into it.
 */


#include "rt_auction_private.h"
#include "rt_fields.h"


#define RT_AUCTION_BIDDERS       1000       /* unless create says otherwise */
#define RT_AUCTION_SNIPES        10         /* cap: so many times snipe_ms */
#define RT_AUCTION_DUTCH_STEPS   10         /* unless create says otherwise */
#define RT_AUCTION_STEP_MS_MIN   100        /* each step is an event */

#define RT_AUCTION_CLOCK_MS_MIN  250        /* each is a message in the ring */
#define RT_AUCTION_CLOCK_MS_MAX  60000


/* the terms, and times that are relative in the body */

typedef struct {
    rt_auction_terms_t  t;
    uint64_t            starts_in_ms;
    uint64_t            ends_in_ms;
    uint64_t            snipe_cap_ms;
} rt_auction_create_t;


#define rt_auction_at(m)     rt_field_at(rt_auction_create_t, m)

#define rt_auction_money(name, m, min)                                        \
    { name, RT_FIELD_NUMBER, rt_auction_at(m), min, RT_AUCTION_MONEY_MAX, 0,  \
      NULL }
#define rt_auction_ms(name, m, min)                                           \
    { name, RT_FIELD_NUMBER, rt_auction_at(m), min, RT_AUCTION_MS_MAX, 0,     \
      NULL }


/* of several wrong fields the first one here is named in the refusal */

static const rt_field_t  rt_auction_create_fields[] = {
    { "kind", RT_FIELD_NAME, rt_auction_at(t.kind), 0, 0, RT_FIELD_REQUIRED,
      rt_auction_kinds },
    { "currency", RT_FIELD_STRING, rt_auction_at(t.currency),
      0, RT_AUCTION_CURRENCY_MAX, 0, NULL },

    rt_auction_money("start", t.start, 0),
    rt_auction_money("reserve", t.reserve, 0),
    rt_auction_money("increment", t.increment, 1),
    rt_auction_money("buy_now", t.buy_now, 1),
    rt_auction_money("bidder_max", t.bidder_max, 1),

    { "bidder_bids", RT_FIELD_NUMBER, rt_auction_at(t.bidder_bids),
      1, UINT32_MAX, 0, NULL },
    { "max_bidders", RT_FIELD_NUMBER, rt_auction_at(t.max_bidders),
      1, RT_AUCTION_BIDDERS_MAX, 0, NULL },

    rt_auction_ms("ends_in_ms", ends_in_ms, 1),
    rt_auction_ms("starts_in_ms", starts_in_ms, 0),
    rt_auction_ms("snipe_ms", t.snipe_ms, 0),
    rt_auction_ms("snipe_cap_ms", snipe_cap_ms, 0),
    rt_auction_ms("step_ms", t.step_ms, RT_AUCTION_STEP_MS_MIN),
    rt_auction_ms("retract_before_ms", t.retract_before_ms, 0),
    rt_auction_ms("retract_within_ms", t.retract_within_ms, 0),

    { "clock_ms", RT_FIELD_NUMBER, rt_auction_at(t.clock_ms),
      0, RT_AUCTION_CLOCK_MS_MAX, 0, NULL }
};


static void
rt_auction_terms_defaults(rt_auction_create_t *c, const rt_input_t *in)
{
    memset(c, 0, sizeof(rt_auction_create_t));

    c->t.retraction = 1;
    c->t.created = in->time_ms;
    c->t.seller = in->user;
    c->t.max_bidders = RT_AUCTION_BIDDERS;
    c->t.currency.data = (const u_char *) "";

    /* not given; what is needed has no number of its own for that */

    c->t.start = -1;
    c->t.retract_before_ms = UINT64_MAX;
}


static rt_int_t
rt_auction_terms_fields(rt_auction_create_t *c, const rt_input_t *in,
    rt_output_t *out)
{
    char  error[RT_FIELD_ERROR_MAX];

    if (rt_fields_read(in->json, in->data, rt_auction_create_fields,
                       rt_fields_n(rt_auction_create_fields), c, error)
        != RT_OK)
    {
        rt_refuse(out, 422, "invalid", "%s", error);
        return RT_ERROR;
    }

    if (c->t.clock_ms && c->t.clock_ms < RT_AUCTION_CLOCK_MS_MIN) {
        rt_refuse(out, 422, "invalid", "\"clock_ms\" must be 0 or from %d to "
                  "%d", RT_AUCTION_CLOCK_MS_MIN, RT_AUCTION_CLOCK_MS_MAX);
        return RT_ERROR;
    }

    if (c->t.start < 0 || c->ends_in_ms == 0) {
        rt_refuse(out, 422, "invalid", "\"start\" and \"ends_in_ms\" are "
                  "needed");
        return RT_ERROR;
    }

    return RT_OK;
}


/* null is refused here, so this is not in the table */

static rt_int_t
rt_auction_terms_retraction(rt_auction_terms_t *t, const rt_input_t *in,
    rt_output_t *out)
{
    rt_json_node_t  *node;

    node = rt_json_get(in->json, in->data, "retraction");

    if (node == NULL) {
        return RT_OK;
    }

    if (node->type != RT_JSON_BOOL) {
        rt_refuse(out, 422, "invalid", "\"retraction\" must be true or false");
        return RT_ERROR;
    }

    t->retraction = (uint8_t) node->number;

    return RT_OK;
}


static rt_uint_t
rt_auction_terms_is_price(const rt_json_node_t *node, int64_t min)
{
    return node != NULL && node->type == RT_JSON_INTEGER
           && node->number >= min && node->number <= RT_AUCTION_MONEY_MAX;
}


/* RT_DECLINED: the list is not what it must be */

static rt_int_t
rt_auction_terms_rows(rt_auction_terms_t *t, const rt_json_t *json,
    const rt_json_node_t *list)
{
    int64_t                  last;
    rt_json_node_t          *row, *from, *by;
    rt_auction_increment_t  *i;

    if (list->type != RT_JSON_ARRAY || list->count > RT_AUCTION_INCREMENTS) {
        return RT_DECLINED;
    }

    last = -1;

    for (row = rt_json_first(json, list); row; row = rt_json_next(json, row)) {
        from = rt_json_get(json, row, "from");
        by = rt_json_get(json, row, "by");

        if (!rt_auction_terms_is_price(from, last + 1)
            || !rt_auction_terms_is_price(by, 1))
        {
            return RT_DECLINED;
        }

        rt_assert(t->nincrements < RT_AUCTION_INCREMENTS);

        i = &t->increments[t->nincrements++];
        i->from = from->number;
        i->by = by->number;
        last = from->number;
    }

    return RT_OK;
}


static rt_int_t
rt_auction_terms_increments(rt_auction_terms_t *t, const rt_input_t *in,
    rt_output_t *out)
{
    rt_json_node_t  *list;

    list = rt_json_get(in->json, in->data, "increments");

    if (list && rt_auction_terms_rows(t, in->json, list) != RT_OK) {
        rt_refuse(out, 422, "invalid", "\"increments\" must be at most %d rows "
                  "{\"from\":price,\"by\":increment}, ascending",
                  RT_AUCTION_INCREMENTS);
        return RT_ERROR;
    }

    return RT_OK;
}


static rt_int_t
rt_auction_terms_dutch(rt_auction_terms_t *t, rt_output_t *out,
    uint64_t ends_in_ms)
{
    int64_t  steps;

    if (t->reserve > t->start) {
        rt_refuse(out, 422, "invalid", "a Dutch auction falls from \"start\" "
                  "to \"reserve\"");
        return RT_ERROR;
    }

    if (t->increment == 0) {
        t->increment = rt_max((t->start - t->reserve) / RT_AUCTION_DUTCH_STEPS,
                              1);
    }

    if (t->step_ms == 0) {
        steps = (t->start - t->reserve + t->increment - 1) / t->increment;
        t->step_ms = ends_in_ms / (uint64_t) (steps + 1);
        t->step_ms = rt_max(t->step_ms, RT_AUCTION_STEP_MS_MIN);
    }

    return RT_OK;
}


/* relative times become absolute; what was not given becomes its default */

static void
rt_auction_terms_times(rt_auction_create_t *c, const rt_input_t *in)
{
    rt_auction_terms_t  *t;

    t = &c->t;

    /* a cap that is null is 0 */

    if (rt_json_get(in->json, in->data, "snipe_cap_ms") == NULL) {
        c->snipe_cap_ms = rt_min(t->snipe_ms * RT_AUCTION_SNIPES,
                                 RT_AUCTION_MS_MAX);
    }

    if (t->retract_before_ms == UINT64_MAX) {
        t->retract_before_ms = t->snipe_ms;
    }

    t->starts_at = t->created + c->starts_in_ms;
    t->ends_at = t->starts_at + c->ends_in_ms;
    t->snipe_cap = t->ends_at + c->snipe_cap_ms;

    rt_assert(t->created <= t->starts_at && t->starts_at < t->ends_at
              && t->ends_at <= t->snipe_cap);
    rt_assert(t->snipe_cap - t->created <= 3 * RT_AUCTION_MS_MAX);
}


rt_int_t
rt_auction_terms_parse(rt_auction_terms_t *t, const rt_input_t *in,
    rt_output_t *out)
{
    rt_auction_create_t  c;

    rt_auction_terms_defaults(&c, in);

    if (rt_auction_terms_fields(&c, in, out) != RT_OK
        || rt_auction_terms_retraction(&c.t, in, out) != RT_OK
        || rt_auction_terms_increments(&c.t, in, out) != RT_OK)
    {
        return RT_ERROR;
    }

    if (c.t.kind == RT_AUCTION_DUTCH
        && rt_auction_terms_dutch(&c.t, out, c.ends_in_ms) != RT_OK)
    {
        return RT_ERROR;
    }

    rt_auction_terms_times(&c, in);

    c.t.increment = rt_max(c.t.increment, 1);
    *t = c.t;

    return RT_OK;
}


void
rt_auction_terms_save(const rt_auction_terms_t *t, rt_buf_t *b,
    rt_uint_t layout)
{
    uint32_t  i;

    rt_buf_put8(b, t->kind);
    rt_buf_put8(b, t->retraction);
    rt_buf_put_str(b, t->currency);
    rt_buf_put_str(b, t->seller);
    rt_buf_put64(b, (uint64_t) t->start);
    rt_buf_put64(b, (uint64_t) t->reserve);
    rt_buf_put64(b, (uint64_t) t->increment);
    rt_buf_put64(b, (uint64_t) t->buy_now);
    rt_buf_put64(b, (uint64_t) t->bidder_max);
    rt_buf_put64(b, t->created);
    rt_buf_put64(b, t->starts_at);
    rt_buf_put64(b, t->ends_at);
    rt_buf_put64(b, t->snipe_ms);
    rt_buf_put64(b, t->snipe_cap);
    rt_buf_put64(b, t->step_ms);
    rt_buf_put32(b, t->max_bidders);
    rt_buf_put32(b, t->bidder_bids);
    rt_buf_put32(b, t->nincrements);

    for (i = 0; i < t->nincrements; i++) {
        rt_buf_put64(b, (uint64_t) t->increments[i].from);
        rt_buf_put64(b, (uint64_t) t->increments[i].by);
    }

    if (layout > 1) {
        rt_buf_put64(b, t->clock_ms);
        rt_buf_put64(b, t->retract_within_ms);
        rt_buf_put64(b, t->retract_before_ms);
    }
}


/* bytes from a disk: what would be out of bounds is brought within them */

void
rt_auction_terms_load(rt_auction_terms_t *t, rt_reader_t *r, rt_uint_t layout)
{
    uint32_t  i;

    memset(t, 0, sizeof(rt_auction_terms_t));

    t->kind = rt_read8(r) & 3;
    t->retraction = rt_read8(r);
    t->currency = rt_read_str(r);
    t->seller = rt_read_str(r);
    t->start = (int64_t) rt_read64(r);
    t->reserve = (int64_t) rt_read64(r);
    t->increment = rt_max((int64_t) rt_read64(r), 1);
    t->buy_now = (int64_t) rt_read64(r);
    t->bidder_max = (int64_t) rt_read64(r);
    t->created = rt_read64(r);
    t->starts_at = rt_read64(r);
    t->ends_at = rt_read64(r);
    t->snipe_ms = rt_read64(r);
    t->snipe_cap = rt_read64(r);
    t->step_ms = rt_max(rt_read64(r), 1);
    t->max_bidders = rt_read32(r);
    t->bidder_bids = rt_read32(r);
    t->nincrements = rt_min(rt_read32(r), RT_AUCTION_INCREMENTS);

    for (i = 0; i < t->nincrements; i++) {
        t->increments[i].from = (int64_t) rt_read64(r);
        t->increments[i].by = (int64_t) rt_read64(r);
    }

    if (layout > 1) {
        t->clock_ms = rt_read64(r);
        t->retract_within_ms = rt_read64(r);
        t->retract_before_ms = rt_read64(r);

    } else {
        t->retract_before_ms = t->snipe_ms;
    }
}


/*
 * The layout of a snapshot.  Hashes of snapshots are in the journal, so terms
 * that the first layout can say are always written in it.
 */

rt_uint_t
rt_auction_terms_layout(const rt_auction_terms_t *t)
{
    return t->clock_ms == 0 && t->retract_within_ms == 0
           && t->retract_before_ms == t->snipe_ms ? 1 : RT_AUCTION_LAYOUT;
}


/* "created" of the first layout becomes one of the second */

void
rt_auction_terms_lift(const rt_event_t *ev, rt_buf_t *b)
{
    rt_reader_t         r;
    rt_auction_terms_t  t;

    rt_reader_init(&r, ev->data.data, ev->data.len);
    rt_auction_terms_load(&t, &r, ev->lift);

    rt_buf_put(b, ev->data.data, ev->data.len);
    rt_buf_put64(b, t.clock_ms);
    rt_buf_put64(b, t.retract_within_ms);
    rt_buf_put64(b, t.retract_before_ms);
}
