/*
 * Auctions: English with proxy bidding, Dutch, sealed first-price, Vickrey.
 *
 * Money is an integer of the currency's minor unit.  Times are the journal's.
 * An auction is open while time < ends_at: the clock's tick closes it before
 * any command of the same millisecond is decided.
 *
 * English.  A bid has an amount, which is visible at once, and may have a
 * greater max, up to which the auction bids for the bidder.  With L the
 * leader's max and m the challenger's:
 *
 *   m <= L   the leader stays, at min(L, m + increment); a tie goes to the
 *            earlier bid
 *   m > L    the challenger leads, at the greater of his amount and
 *            min(m, L + increment)
 *
 * and when the leader's max reaches the reserve, the price does, too.
 *
 * Sealed kinds.  The amount is encrypted with a key that is derived from the
 * daemon's secret; neither journal nor snapshot holds it in the clear, and no
 * view tells who bid.  Closing decrypts all.
 *
 * The clock.  Every clock_ms, counted back from the end, those who watch are
 * counted: they are told when their number has changed, and each time when the
 * end is near.  It is no event; the journal knows nothing of it.
 *
 * docs/auction.md has the rules for users.
 */


#include <sodium.h>

#include "rt_auction.h"


#define RT_AUCTION_ID            1

/* what a double holds exactly, so that JavaScript sees the same number */
#define RT_AUCTION_MONEY_MAX     9007199254740991ll

#define RT_AUCTION_MS_MAX        (3660ll * 86400 * 1000)     /* ten years */
#define RT_AUCTION_INCREMENTS    16         /* rows of the table */
#define RT_AUCTION_BIDDERS       1000       /* unless create says otherwise */
#define RT_AUCTION_BIDDERS_MAX   100000
#define RT_AUCTION_SNIPES        10         /* cap: so many times snipe_ms */
#define RT_AUCTION_DUTCH_STEPS   10         /* unless create says otherwise */
#define RT_AUCTION_STEP_MS_MIN   100        /* each step is an event */

#define RT_AUCTION_CLOCK_MS_MIN  250        /* each is a message in the ring */
#define RT_AUCTION_CLOCK_MS_MAX  60000
#define RT_AUCTION_CLOCKS        10         /* the last ones, in any case */

#define RT_AUCTION_SEALED        40         /* version, seed, box */

/* what is written today */
#define RT_AUCTION_TERMS         2          /* version of "created" */
#define RT_AUCTION_LAYOUT        2          /* of snapshots */


typedef enum {
    RT_AUCTION_SCHEDULED = 0,
    RT_AUCTION_OPEN,
    RT_AUCTION_CLOSED,
    RT_AUCTION_CANCELLED
} rt_auction_state_e;


typedef struct {
    u_char          *user;                  /* owner */
    uint32_t         user_len;
    uint32_t         bids;
    int64_t          amount;                /* the last visible one */
    int64_t          max;                   /* 0: none stands */
    uint64_t         order;                 /* version in which max was set */
    uint64_t         since;                 /* the oldest bid that stands */
    rt_uint_t        sealed;                /* is there a box */
    u_char           box[RT_AUCTION_SEALED];
} rt_bidder_t;


typedef struct {
    int64_t          from;
    int64_t          by;
} rt_increment_t;


/* the terms: what "created" says */

typedef struct {
    uint8_t          kind;
    uint8_t          retraction;            /* allowed */
    rt_str_t         currency;
    rt_str_t         seller;
    int64_t          start;
    int64_t          reserve;
    int64_t          increment;
    int64_t          buy_now;               /* 0: none */
    int64_t          bidder_max;            /* 0: none */
    uint64_t         created;
    uint64_t         starts_at;
    uint64_t         ends_at;
    uint64_t         snipe_ms;
    uint64_t         snipe_cap;             /* the latest end */
    uint64_t         step_ms;
    uint32_t         max_bidders;
    uint32_t         bidder_bids;           /* 0: any number */
    uint32_t         nincrements;
    rt_increment_t   increments[RT_AUCTION_INCREMENTS];

    /* since the second layout */

    uint64_t         clock_ms;              /* 0: no clock */
    uint64_t         retract_within_ms;     /* after the bid, 0: any time */
    uint64_t         retract_before_ms;     /* but not so near the end */
} rt_terms_t;


typedef struct {
    rt_terms_t       t;
    u_char          *texts;                 /* owner of currency and seller */
    uint8_t          state;
    int64_t          price;
    int64_t          leader;                /* index of a bidder, -1: none */
    int64_t          winner;
    int64_t          paid;
    uint64_t         ends_at;               /* extended */
    uint64_t         steps;                 /* of the Dutch price, announced */
    uint64_t         bids;

    rt_bidder_t     *bidders;               /* by first bid */
    uint32_t         n;
    uint32_t         max;
    uint32_t        *index;                 /* by user; place + 1 */
    uint32_t         mask;
} rt_auction_t;


const char  *rt_auction_kinds[] = {
    "english", "dutch", "sealed", "vickrey", NULL
};

static const char  *rt_auction_states[] = {
    "scheduled", "open", "closed", "cancelled"
};


/* bidders */

static uint32_t
rt_auction_hash(rt_str_t user)
{
    size_t    i;
    uint32_t  h;

    h = 2166136261u;

    for (i = 0; i < user.len; i++) {
        h = (h ^ user.data[i]) * 16777619u;
    }

    return h ^ h >> 15;
}


static rt_str_t
rt_bidder_name(const rt_bidder_t *b)
{
    rt_str_t  s = { b->user_len, b->user };

    return s;
}


static uint32_t
rt_auction_slot(const rt_auction_t *a, rt_str_t user)
{
    uint32_t  i;

    for (i = rt_auction_hash(user) & a->mask; a->index[i];
         i = (i + 1) & a->mask)
    {
        if (rt_str_eq(rt_bidder_name(&a->bidders[a->index[i] - 1]), user)) {
            break;
        }
    }

    return i;
}


static int64_t
rt_auction_find(const rt_auction_t *a, rt_str_t user)
{
    if (a->n == 0) {
        return -1;
    }

    return (int64_t) a->index[rt_auction_slot(a, user)] - 1;
}


static void
rt_auction_reindex(rt_auction_t *a)
{
    uint32_t  i;

    free(a->index);

    a->mask = a->max * 2 - 1;
    a->index = rt_calloc(a->max * 2 * sizeof(uint32_t));

    for (i = 0; i < a->n; i++) {
        a->index[rt_auction_slot(a, rt_bidder_name(&a->bidders[i]))] = i + 1;
    }
}


static rt_bidder_t *
rt_auction_bidder(rt_auction_t *a, rt_str_t user)
{
    int64_t       i;
    rt_bidder_t  *b;

    i = rt_auction_find(a, user);

    if (i >= 0) {
        return &a->bidders[i];
    }

    if (a->n == a->max) {
        a->max = rt_max(a->max * 2, 8);
        a->bidders = rt_realloc(a->bidders, a->max * sizeof(rt_bidder_t));
        rt_auction_reindex(a);
    }

    b = &a->bidders[a->n];
    memset(b, 0, sizeof(rt_bidder_t));

    b->user = rt_malloc(user.len);
    b->user_len = (uint32_t) user.len;
    memcpy(b->user, user.data, user.len);

    a->index[rt_auction_slot(a, user)] = ++a->n;

    return b;
}


/* life */

static void *
rt_auction_create(void)
{
    rt_auction_t  *a;

    a = rt_calloc(sizeof(rt_auction_t));
    a->leader = -1;
    a->winner = -1;

    return a;
}


static void
rt_auction_destroy(void *state)
{
    uint32_t       i;
    rt_auction_t  *a;

    a = state;

    for (i = 0; i < a->n; i++) {
        free(a->bidders[i].user);
    }

    free(a->bidders);
    free(a->index);
    free(a->texts);
    free(a);
}


/* rules */

static rt_uint_t
rt_auction_is_sealed(const rt_auction_t *a)
{
    return a->t.kind == RT_AUCTION_SEALED_FIRST
           || a->t.kind == RT_AUCTION_VICKREY;
}


static int64_t
rt_auction_increment(const rt_terms_t *t, int64_t price)
{
    int64_t   by;
    uint32_t  i;

    by = t->increment;

    for (i = 0; i < t->nincrements && t->increments[i].from <= price; i++) {
        by = t->increments[i].by;
    }

    return by;
}


static int64_t
rt_auction_minimum(const rt_auction_t *a)
{
    if (a->t.kind != RT_AUCTION_ENGLISH || a->leader < 0) {
        return a->t.start;
    }

    return a->price + rt_auction_increment(&a->t, a->price);
}


/* how far a Dutch price has fallen */

static uint64_t
rt_auction_dutch_steps(const rt_auction_t *a, uint64_t time_ms)
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


static int64_t
rt_auction_dutch_price(const rt_auction_t *a, uint64_t steps)
{
    int64_t  fallen;

    if (__builtin_mul_overflow((int64_t) steps, a->t.increment, &fallen)
        || fallen > a->t.start - a->t.reserve)
    {
        return a->t.reserve;
    }

    return a->t.start - fallen;
}


static int64_t
rt_auction_price(const rt_auction_t *a, uint64_t time_ms)
{
    if (a->t.kind == RT_AUCTION_DUTCH && a->state == RT_AUCTION_OPEN) {
        return rt_auction_dutch_price(a, rt_auction_dutch_steps(a, time_ms));
    }

    return a->price;
}


/* the standing of an English auction after a bid, or without a bidder */

typedef struct {
    int64_t  leader;
    int64_t  price;
} rt_standing_t;


static int64_t
rt_auction_reserved(const rt_terms_t *t, int64_t price, int64_t max)
{
    return max >= t->reserve ? rt_max(price, t->reserve) : price;
}


static rt_standing_t
rt_auction_after_bid(const rt_auction_t *a, int64_t bidder, int64_t amount,
    int64_t max)
{
    int64_t         lead;
    rt_standing_t   s;

    s.leader = bidder;
    s.price = rt_max(a->price, amount);

    if (a->leader >= 0 && a->leader != bidder) {
        lead = a->bidders[a->leader].max;

        if (max <= lead) {
            s.leader = a->leader;
            s.price = rt_min(lead, max + rt_auction_increment(&a->t, max));
            s.price = rt_max(s.price, a->price);
            return s;
        }

        s.price = rt_min(max, lead + rt_auction_increment(&a->t, lead));
        s.price = rt_max(s.price, amount);
    }

    s.price = rt_auction_reserved(&a->t, s.price, max);

    return s;
}


static rt_standing_t
rt_auction_without(const rt_auction_t *a, int64_t gone)
{
    int64_t             i, second;
    rt_standing_t       s;
    const rt_bidder_t  *b, *top;

    s.leader = -1;
    s.price = a->t.start;
    second = -1;

    for (i = 0; i < (int64_t) a->n; i++) {
        b = &a->bidders[i];

        if (i == gone || b->max == 0) {
            continue;
        }

        top = s.leader >= 0 ? &a->bidders[s.leader] : NULL;

        if (top == NULL || b->max > top->max
            || (b->max == top->max && b->order < top->order))
        {
            second = top ? top->max : -1;
            s.leader = i;

        } else if (b->max > second) {
            second = b->max;
        }
    }

    if (s.leader < 0) {
        return s;
    }

    top = &a->bidders[s.leader];

    if (second >= 0) {
        s.price = rt_min(top->max,
                         second + rt_auction_increment(&a->t, second));
    }

    s.price = rt_max(s.price, top->amount);
    s.price = rt_auction_reserved(&a->t, s.price, top->max);

    return s;
}


/* sealing */

static void
rt_auction_key(const rt_auction_t *a, const rt_input_t *in, u_char *key)
{
    u_char                    created[8];
    crypto_generichash_state  st;

    rt_set64(created, a->t.created);

    crypto_generichash_init(&st, in->secret, RT_SECRET_SIZE,
                            crypto_secretbox_KEYBYTES);
    crypto_generichash_update(&st, (const u_char *) "auction seal", 12);
    crypto_generichash_update(&st, created, sizeof(created));
    crypto_generichash_update(&st, in->entity.data, in->entity.len);
    crypto_generichash_final(&st, key, crypto_secretbox_KEYBYTES);
}


static void
rt_auction_seal(const rt_auction_t *a, const rt_input_t *in, int64_t amount,
    u_char *box)
{
    u_char  key[crypto_secretbox_KEYBYTES];
    u_char  nonce[crypto_secretbox_NONCEBYTES], text[8];

    rt_auction_key(a, in, key);

    /* the version makes it unique, the seed unpredictable */

    memset(nonce, 0, sizeof(nonce));
    rt_set64(nonce, in->version + 1);
    rt_set64(nonce + 8, in->seed);
    memcpy(box, nonce, 16);

    rt_set64(text, (uint64_t) amount);
    crypto_secretbox_easy(box + 16, text, sizeof(text), nonce, key);

    sodium_memzero(key, sizeof(key));
}


/* -1: the secret is not the one it was sealed with */

static int64_t
rt_auction_unseal(const rt_auction_t *a, const rt_input_t *in,
    const u_char *box)
{
    u_char  key[crypto_secretbox_KEYBYTES];
    u_char  nonce[crypto_secretbox_NONCEBYTES], text[8];
    int     rc;

    rt_auction_key(a, in, key);

    memset(nonce, 0, sizeof(nonce));
    memcpy(nonce, box, 16);

    rc = crypto_secretbox_open_easy(text, box + 16, RT_AUCTION_SEALED - 16,
                                    nonce, key);
    sodium_memzero(key, sizeof(key));

    return rc == 0 ? (int64_t) rt_get64(text) : -1;
}


/* reading a body */

static rt_int_t
rt_auction_number(const rt_input_t *in, rt_output_t *out, const char *name,
    int64_t min, int64_t max, int64_t *n)
{
    rt_json_node_t  *node;

    node = rt_json_get(in->json, in->data, name);

    if (node == NULL || node->type == RT_JSON_NULL) {
        return RT_DECLINED;
    }

    if (node->type != RT_JSON_INTEGER) {
        rt_refuse(out, 422, "invalid", "\"%s\" must be an integer", name);
        return RT_ERROR;
    }

    if (node->number < min || node->number > max) {
        rt_refuse(out, 422, "invalid", "\"%s\" must be from %lld to %lld",
                  name, (long long) min, (long long) max);
        return RT_ERROR;
    }

    *n = node->number;

    return RT_OK;
}


static rt_int_t
rt_auction_text(const rt_input_t *in, rt_output_t *out, const char *name,
    size_t max, rt_str_t *s)
{
    rt_json_node_t  *node;

    node = rt_json_get(in->json, in->data, name);

    if (node == NULL || node->type == RT_JSON_NULL) {
        return RT_DECLINED;
    }

    if (node->type != RT_JSON_STRING || node->string.len > max) {
        rt_refuse(out, 422, "invalid", "\"%s\" must be a string of at most "
                  "%zu bytes", name, max);
        return RT_ERROR;
    }

    *s = node->string;

    return RT_OK;
}


static rt_int_t
rt_auction_increments(const rt_input_t *in, rt_output_t *out, rt_terms_t *t)
{
    int64_t          last;
    rt_json_node_t  *list, *row, *from, *by;

    list = rt_json_get(in->json, in->data, "increments");

    if (list == NULL) {
        return RT_OK;
    }

    if (list->type != RT_JSON_ARRAY || list->count > RT_AUCTION_INCREMENTS) {
        goto invalid;
    }

    last = -1;

    for (row = rt_json_first(in->json, list); row;
         row = rt_json_next(in->json, row))
    {
        from = rt_json_get(in->json, row, "from");
        by = rt_json_get(in->json, row, "by");

        if (from == NULL || by == NULL || from->type != RT_JSON_INTEGER
            || by->type != RT_JSON_INTEGER || from->number <= last
            || from->number > RT_AUCTION_MONEY_MAX || by->number < 1
            || by->number > RT_AUCTION_MONEY_MAX)
        {
            goto invalid;
        }

        last = from->number;
        t->increments[t->nincrements].from = from->number;
        t->increments[t->nincrements++].by = by->number;
    }

    return RT_OK;

invalid:

    rt_refuse(out, 422, "invalid", "\"increments\" must be at most %d rows "
              "{\"from\":price,\"by\":increment}, ascending",
              RT_AUCTION_INCREMENTS);

    return RT_ERROR;
}


/* the terms in an event and in a snapshot */

static void
rt_terms_save(const rt_terms_t *t, rt_buf_t *b, rt_uint_t layout)
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


static void
rt_terms_load(rt_terms_t *t, rt_reader_t *r, rt_uint_t layout)
{
    uint32_t  i;

    memset(t, 0, sizeof(rt_terms_t));

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
 * Hashes of snapshots are in the journal: one that can be said in the first
 * layout is for ever said so.
 */

static rt_uint_t
rt_terms_layout(const rt_terms_t *t)
{
    return t->clock_ms == 0 && t->retract_within_ms == 0
           && t->retract_before_ms == t->snipe_ms ? 1 : RT_AUCTION_LAYOUT;
}


static void
rt_auction_set_terms(rt_auction_t *a, const rt_terms_t *t)
{
    a->t = *t;

    a->texts = rt_malloc(t->currency.len + t->seller.len);
    memcpy(a->texts, t->currency.data, t->currency.len);
    memcpy(a->texts + t->currency.len, t->seller.data, t->seller.len);

    a->t.currency.data = a->texts;
    a->t.seller.data = a->texts + t->currency.len;
}


/* decide */

#define RT_NUMBER(name, min, max, var)                                        \
    do {                                                                      \
        rc = rt_auction_number(in, out, name, min, max, &n);                  \
                                                                              \
        if (rc == RT_ERROR) {                                                 \
            return;                                                           \
        }                                                                     \
                                                                              \
        if (rc == RT_OK) {                                                    \
            var = (__typeof__(var)) n;                                        \
        }                                                                     \
    } while (0)


static rt_int_t
rt_auction_dutch_terms(rt_terms_t *t, rt_output_t *out, uint64_t ends_in)
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
        t->step_ms = ends_in / (uint64_t) (steps + 1);
        t->step_ms = rt_max(t->step_ms, RT_AUCTION_STEP_MS_MIN);
    }

    return RT_OK;
}


static void
rt_auction_decide_create(const rt_input_t *in, rt_output_t *out)
{
    int64_t          n;
    rt_buf_t         b;
    rt_int_t         rc;
    uint64_t         ends_in, starts_in, cap;
    rt_uint_t        kind;
    rt_terms_t       t;
    rt_json_node_t  *node;

    memset(&t, 0, sizeof(rt_terms_t));

    node = rt_json_get(in->json, in->data, "kind");

    for (kind = 0; rt_auction_kinds[kind]; kind++) {
        if (node && node->type == RT_JSON_STRING
            && rt_str_is(node->string, rt_auction_kinds[kind]))
        {
            break;
        }
    }

    if (rt_auction_kinds[kind] == NULL) {
        rt_refuse(out, 422, "invalid", "\"kind\" must be one of english, "
                  "dutch, sealed, vickrey");
        return;
    }

    t.kind = (uint8_t) kind;
    t.retraction = 1;
    t.created = in->time_ms;
    t.seller = in->user;
    t.max_bidders = RT_AUCTION_BIDDERS;
    t.start = -1;
    ends_in = 0;
    starts_in = 0;
    cap = 0;

    t.currency.data = (const u_char *) "";

    if (rt_auction_text(in, out, "currency", RT_AUCTION_CURRENCY_MAX,
                        &t.currency) == RT_ERROR) {
        return;
    }

    RT_NUMBER("start", 0, RT_AUCTION_MONEY_MAX, t.start);
    RT_NUMBER("reserve", 0, RT_AUCTION_MONEY_MAX, t.reserve);
    RT_NUMBER("increment", 1, RT_AUCTION_MONEY_MAX, t.increment);
    RT_NUMBER("buy_now", 1, RT_AUCTION_MONEY_MAX, t.buy_now);
    RT_NUMBER("bidder_max", 1, RT_AUCTION_MONEY_MAX, t.bidder_max);
    RT_NUMBER("bidder_bids", 1, UINT32_MAX, t.bidder_bids);
    RT_NUMBER("max_bidders", 1, RT_AUCTION_BIDDERS_MAX, t.max_bidders);
    RT_NUMBER("ends_in_ms", 1, RT_AUCTION_MS_MAX, ends_in);
    RT_NUMBER("starts_in_ms", 0, RT_AUCTION_MS_MAX, starts_in);
    RT_NUMBER("snipe_ms", 0, RT_AUCTION_MS_MAX, t.snipe_ms);
    RT_NUMBER("snipe_cap_ms", 0, RT_AUCTION_MS_MAX, cap);
    RT_NUMBER("step_ms", RT_AUCTION_STEP_MS_MIN, RT_AUCTION_MS_MAX, t.step_ms);

    t.retract_before_ms = t.snipe_ms;
    RT_NUMBER("retract_before_ms", 0, RT_AUCTION_MS_MAX, t.retract_before_ms);
    RT_NUMBER("retract_within_ms", 0, RT_AUCTION_MS_MAX, t.retract_within_ms);

    RT_NUMBER("clock_ms", 0, RT_AUCTION_CLOCK_MS_MAX, t.clock_ms);

    if (t.clock_ms && t.clock_ms < RT_AUCTION_CLOCK_MS_MIN) {
        rt_refuse(out, 422, "invalid", "\"clock_ms\" must be 0 or from %d to "
                  "%d", RT_AUCTION_CLOCK_MS_MIN, RT_AUCTION_CLOCK_MS_MAX);
        return;
    }

    if (t.start < 0 || ends_in == 0) {
        rt_refuse(out, 422, "invalid", "\"start\" and \"ends_in_ms\" are "
                  "needed");
        return;
    }

    node = rt_json_get(in->json, in->data, "retraction");

    if (node) {
        if (node->type != RT_JSON_BOOL) {
            rt_refuse(out, 422, "invalid", "\"retraction\" must be true or "
                      "false");
            return;
        }

        t.retraction = (uint8_t) node->number;
    }

    if (rt_auction_increments(in, out, &t) != RT_OK) {
        return;
    }

    if (t.kind == RT_AUCTION_DUTCH
        && rt_auction_dutch_terms(&t, out, ends_in) != RT_OK)
    {
        return;
    }

    if (rt_json_get(in->json, in->data, "snipe_cap_ms") == NULL) {
        cap = rt_min(t.snipe_ms * RT_AUCTION_SNIPES, RT_AUCTION_MS_MAX);
    }

    t.increment = rt_max(t.increment, 1);
    t.starts_at = t.created + starts_in;
    t.ends_at = t.starts_at + ends_in;
    t.snipe_cap = t.ends_at + cap;

    memset(&b, 0, sizeof(rt_buf_t));
    rt_terms_save(&t, &b, RT_AUCTION_TERMS);
    rt_emit(out, RT_AUCTION_E_CREATED, RT_AUCTION_TERMS, b.pos,
            rt_buf_size(&b));
    rt_buf_free(&b);

    out->status = 201;
    rt_buf_literal(&out->body, "{\"state\":\"");

    if (starts_in) {
        rt_buf_literal(&out->body, "scheduled");
    } else {
        rt_buf_literal(&out->body, "open");
    }

    rt_buf_literal(&out->body, "\",\"ends_at\":");
    rt_buf_number(&out->body, (int64_t) t.ends_at);
    rt_buf_literal(&out->body, "}");
}


static void
rt_auction_emit_closed(const rt_auction_t *a, rt_output_t *out,
    const char *reason, int64_t price, rt_str_t winner, int64_t paid,
    uint64_t ends_at)
{
    u_char    buf[64 + 255 + 32], *p;
    size_t    len;

    (void) a;

    len = strlen(reason);

    p = rt_set64(buf, (uint64_t) price);
    p = rt_set64(p, (uint64_t) paid);
    p = rt_set64(p, ends_at);
    p = rt_set32(p, (uint32_t) winner.len);
    memcpy(p, winner.data, winner.len);
    p += winner.len;
    p = rt_set32(p, (uint32_t) len);
    memcpy(p, reason, len);
    p += len;

    rt_emit(out, RT_AUCTION_E_CLOSED, 1, buf, (size_t) (p - buf));
}


/* the end of sealed bids: all are opened, the best wins */

static void
rt_auction_reveal(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out, const char *reason)
{
    int64_t             amount, best, second, paid;
    uint32_t            i, lost;
    rt_str_t            none = rt_string("");
    const rt_bidder_t  *b, *top;

    best = -1;
    second = -1;
    lost = 0;
    top = NULL;

    for (i = 0; i < a->n; i++) {
        b = &a->bidders[i];

        if (!b->sealed) {
            continue;
        }

        amount = rt_auction_unseal(a, in, b->box);

        if (amount < 0) {
            lost++;
            continue;
        }

        if (amount > best || (amount == best && b->order < top->order)) {
            second = best;
            best = amount;
            top = b;

        } else if (amount > second) {
            second = amount;
        }
    }

    if (lost) {
        rt_auction_emit_closed(a, out, "unsealable", a->t.start, none, 0,
                               a->ends_at);
        return;
    }

    if (top == NULL || best < a->t.reserve) {
        rt_auction_emit_closed(a, out, reason, rt_max(best, a->t.start), none,
                               0, a->ends_at);
        return;
    }

    paid = best;

    if (a->t.kind == RT_AUCTION_VICKREY) {
        paid = rt_max(rt_max(second, a->t.start), a->t.reserve);
    }

    rt_auction_emit_closed(a, out, reason, paid, rt_bidder_name(top), paid,
                           a->ends_at);
}


static void
rt_auction_finish(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out, const char *reason)
{
    rt_str_t  none = rt_string("");

    if (rt_auction_is_sealed(a)) {
        rt_auction_reveal(a, in, out, reason);
        return;
    }

    if (a->t.kind == RT_AUCTION_ENGLISH && a->leader >= 0
        && a->price >= a->t.reserve)
    {
        rt_auction_emit_closed(a, out, reason, a->price,
                               rt_bidder_name(&a->bidders[a->leader]),
                               a->price, a->ends_at);
        return;
    }

    rt_auction_emit_closed(a, out, reason, rt_auction_price(a, in->time_ms),
                           none, 0, a->ends_at);
}


static void
rt_auction_tick(const rt_auction_t *a, const rt_input_t *in, rt_output_t *out)
{
    u_char    buf[24];
    uint64_t  steps;

    out->status = 200;

    if (a->state == RT_AUCTION_SCHEDULED) {
        rt_set64(buf, (uint64_t) a->price);
        rt_set64(buf + 8, a->ends_at);
        rt_emit(out, RT_AUCTION_E_OPENED, 1, buf, 16);
        return;
    }

    if (in->time_ms >= a->ends_at) {
        rt_auction_finish(a, in, out, "ended");
        return;
    }

    steps = rt_auction_dutch_steps(a, in->time_ms);

    rt_set64(buf, (uint64_t) rt_auction_dutch_price(a, steps));
    rt_set64(buf + 8, a->ends_at);
    rt_set64(buf + 16, steps);
    rt_emit(out, RT_AUCTION_E_PRICE, 1, buf, sizeof(buf));
}


static rt_int_t
rt_auction_check_open(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    if (in->user.len == 0) {
        rt_refuse(out, 401, "user_required", "who is it");
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


static void
rt_auction_too_low(rt_output_t *out, int64_t minimum)
{
    out->status = 409;
    rt_buf_literal(&out->body, "{\"error\":\"too_low\",\"message\":\"the bid "
                   "is below the minimum\",\"minimum\":");
    rt_buf_number(&out->body, minimum);
    rt_buf_literal(&out->body, "}");
}


static rt_int_t
rt_auction_check_limits(const rt_auction_t *a, rt_output_t *out,
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


static uint64_t
rt_auction_extended(const rt_auction_t *a, uint64_t time_ms)
{
    uint64_t  ends_at;

    if (a->t.snipe_ms == 0 || a->ends_at - time_ms > a->t.snipe_ms) {
        return a->ends_at;
    }

    ends_at = rt_min(time_ms + a->t.snipe_ms, a->t.snipe_cap);

    return rt_max(ends_at, a->ends_at);
}


static void
rt_auction_answer_sold(rt_output_t *out, rt_str_t winner, int64_t paid,
    rt_uint_t status)
{
    out->status = status;
    rt_buf_literal(&out->body, "{\"state\":\"closed\",\"winner\":");
    rt_json_string(&out->body, winner);
    rt_buf_literal(&out->body, ",\"leader\":");
    rt_json_string(&out->body, winner);
    rt_buf_literal(&out->body, ",\"price\":");
    rt_buf_number(&out->body, paid);
    rt_buf_literal(&out->body, ",\"paid\":");
    rt_buf_number(&out->body, paid);
    rt_buf_literal(&out->body, "}");
}


static void
rt_auction_decide_sealed(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out, int64_t amount)
{
    u_char    buf[12 + 255 + RT_AUCTION_SEALED], *p;
    uint64_t  ends_at;

    if (amount < a->t.start) {
        rt_auction_too_low(out, a->t.start);
        return;
    }

    ends_at = rt_auction_extended(a, in->time_ms);

    p = rt_set64(buf, ends_at);
    p = rt_set32(p, (uint32_t) in->user.len);
    memcpy(p, in->user.data, in->user.len);
    p += in->user.len;
    rt_auction_seal(a, in, amount, p);
    p += RT_AUCTION_SEALED;

    rt_emit(out, RT_AUCTION_E_SEALED, 1, buf, (size_t) (p - buf));

    out->status = 201;
    rt_buf_literal(&out->body, "{\"price\":null,\"leader\":null,\"bids\":");
    rt_buf_number(&out->body, (int64_t) a->bids + 1);
    rt_buf_literal(&out->body, ",\"ends_at\":");
    rt_buf_number(&out->body, (int64_t) ends_at);
    rt_buf_literal(&out->body, "}");
}


static void
rt_auction_decide_bid(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    u_char          buf[48 + 512], *p;
    int64_t         n, amount, max, bidder, minimum;
    uint64_t        ends_at;
    rt_int_t        rc;
    rt_str_t        leader;
    rt_standing_t   s;

    if (rt_auction_check_open(a, in, out) != RT_OK) {
        return;
    }

    amount = -1;
    RT_NUMBER("amount", 0, RT_AUCTION_MONEY_MAX, amount);

    if (amount < 0) {
        rt_refuse(out, 422, "invalid", "\"amount\" is needed");
        return;
    }

    max = amount;
    RT_NUMBER("max", amount, RT_AUCTION_MONEY_MAX, max);

    bidder = rt_auction_find(a, in->user);

    if (rt_auction_check_limits(a, out, bidder, max) != RT_OK) {
        return;
    }

    if (rt_auction_is_sealed(a)) {
        rt_auction_decide_sealed(a, in, out, amount);
        return;
    }

    if (a->t.kind == RT_AUCTION_DUTCH) {
        minimum = rt_auction_price(a, in->time_ms);

        if (amount < minimum) {
            rt_auction_too_low(out, minimum);
            return;
        }

        rt_auction_emit_closed(a, out, "sold", minimum, in->user, minimum,
                               a->ends_at);
        rt_auction_answer_sold(out, in->user, minimum, 201);
        return;
    }

    minimum = rt_auction_minimum(a);

    /* the leader may raise his max without outbidding himself */

    if (bidder >= 0 && bidder == a->leader
        && max > a->bidders[bidder].max && max > amount)
    {
        minimum = a->price;
    }

    if (amount < minimum) {
        rt_auction_too_low(out, minimum);
        return;
    }

    if (bidder >= 0 && bidder == a->leader) {
        max = rt_max(max, a->bidders[bidder].max);
    }

    s = rt_auction_after_bid(a, bidder < 0 ? (int64_t) a->n : bidder, amount,
                             max);
    ends_at = rt_auction_extended(a, in->time_ms);

    leader = s.leader >= 0 && s.leader < (int64_t) a->n
             ? rt_bidder_name(&a->bidders[s.leader]) : in->user;

    p = rt_set64(buf, (uint64_t) amount);
    p = rt_set64(p, (uint64_t) max);
    p = rt_set64(p, (uint64_t) s.price);
    p = rt_set64(p, ends_at);
    p = rt_set64(p, a->bids + 1);
    p = rt_set32(p, (uint32_t) in->user.len);
    memcpy(p, in->user.data, in->user.len);
    p += in->user.len;
    p = rt_set32(p, (uint32_t) leader.len);
    memcpy(p, leader.data, leader.len);
    p += leader.len;

    rt_emit(out, RT_AUCTION_E_BID, 1, buf, (size_t) (p - buf));

    out->status = 201;
    rt_buf_literal(&out->body, "{\"price\":");
    rt_buf_number(&out->body, s.price);
    rt_buf_literal(&out->body, ",\"leader\":");
    rt_json_string(&out->body, leader);
    rt_buf_literal(&out->body, ",\"ends_at\":");
    rt_buf_number(&out->body, (int64_t) ends_at);
    rt_buf_literal(&out->body, "}");
}


static void
rt_auction_decide_buy(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    int64_t  paid;

    if (rt_auction_check_open(a, in, out) != RT_OK) {
        return;
    }

    if (a->t.kind == RT_AUCTION_DUTCH) {
        paid = rt_auction_price(a, in->time_ms);

    } else if (a->t.buy_now == 0
               || (a->leader >= 0 && a->price >= a->t.buy_now))
    {
        rt_refuse(out, 409, "no_buy_now", "it cannot be bought at once");
        return;

    } else {
        paid = a->t.buy_now;
    }

    if (rt_auction_check_limits(a, out, rt_auction_find(a, in->user), paid)
        != RT_OK)
    {
        return;
    }

    rt_auction_emit_closed(a, out, a->t.kind == RT_AUCTION_DUTCH
                           ? "sold" : "bought", paid, in->user, paid,
                           a->ends_at);
    rt_auction_answer_sold(out, in->user, paid, 200);
}


static void
rt_auction_decide_retract(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    u_char          buf[24 + 512], *p;
    int64_t         bidder;
    rt_str_t        leader = rt_string("");
    rt_standing_t   s;

    if (rt_auction_check_open(a, in, out) != RT_OK) {
        return;
    }

    if (!a->t.retraction) {
        rt_refuse(out, 409, "binding", "bids cannot be retracted here");
        return;
    }

    if (a->t.retract_before_ms
        && a->ends_at - in->time_ms <= a->t.retract_before_ms)
    {
        rt_refuse(out, 409, "too_late", "bids are binding in the last %llu ms",
                  (unsigned long long) a->t.retract_before_ms);
        return;
    }

    bidder = rt_auction_find(a, in->user);

    if (bidder < 0
        || (a->bidders[bidder].max == 0 && !a->bidders[bidder].sealed))
    {
        rt_refuse(out, 404, "no_bid", "there is no bid to retract");
        return;
    }

    if (a->t.retract_within_ms
        && in->time_ms - a->bidders[bidder].since > a->t.retract_within_ms)
    {
        rt_refuse(out, 409, "too_late", "bids are binding after %llu ms",
                  (unsigned long long) a->t.retract_within_ms);
        return;
    }

    s.leader = -1;
    s.price = a->price;

    if (!rt_auction_is_sealed(a)) {
        s = rt_auction_without(a, bidder);
    }

    if (s.leader >= 0) {
        leader = rt_bidder_name(&a->bidders[s.leader]);
    }

    p = rt_set64(buf, (uint64_t) s.price);
    p = rt_set64(p, a->ends_at);
    p = rt_set32(p, (uint32_t) in->user.len);
    memcpy(p, in->user.data, in->user.len);
    p += in->user.len;
    p = rt_set32(p, (uint32_t) leader.len);
    memcpy(p, leader.data, leader.len);
    p += leader.len;
    *p++ = (u_char) rt_auction_is_sealed(a);

    rt_emit(out, RT_AUCTION_E_RETRACTED, 1, buf, (size_t) (p - buf));

    out->status = 200;
    rt_buf_literal(&out->body, "{\"retracted\":true}");
}


static rt_int_t
rt_auction_check_seller(const rt_auction_t *a, const rt_input_t *in,
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


static void
rt_auction_decide(const void *state, const rt_input_t *in, rt_output_t *out)
{
    u_char               ends_at[8];
    rt_reader_t          r;
    int64_t              paid;
    rt_str_t             winner;
    const rt_auction_t  *a;

    a = state;

    if (a == NULL) {
        rt_auction_decide_create(in, out);
        return;
    }

    if (in->tick) {
        rt_auction_tick(a, in, out);
        return;
    }

    if (rt_str_is(in->name, "bid")) {
        rt_auction_decide_bid(a, in, out);

    } else if (rt_str_is(in->name, "buy")) {
        rt_auction_decide_buy(a, in, out);

    } else if (rt_str_is(in->name, "retract")) {
        rt_auction_decide_retract(a, in, out);

    } else if (rt_str_is(in->name, "close")) {

        if (rt_auction_check_seller(a, in, out) != RT_OK) {
            return;
        }

        rt_auction_finish(a, in, out, "closed");

        /* the answer says what the event says */

        rt_reader_init(&r, out->data.pos, rt_buf_size(&out->data));
        (void) rt_read64(&r);
        paid = (int64_t) rt_read64(&r);
        (void) rt_read64(&r);
        winner = rt_read_str(&r);

        if (winner.len) {
            rt_auction_answer_sold(out, winner, paid, 200);
            return;
        }

        out->status = 200;
        rt_buf_literal(&out->body, "{\"state\":\"closed\",\"winner\":null,"
                       "\"paid\":null}");

    } else if (rt_str_is(in->name, "cancel")) {

        if (rt_auction_check_seller(a, in, out) != RT_OK) {
            return;
        }

        rt_set64(ends_at, a->ends_at);
        rt_emit(out, RT_AUCTION_E_CANCELLED, 1, ends_at, sizeof(ends_at));
        out->status = 200;
        rt_buf_literal(&out->body, "{\"state\":\"cancelled\"}");

    } else {
        rt_refuse(out, 404, "unknown_command", "an auction knows create, bid, "
                  "buy, retract, close and cancel");
    }
}


/* apply */

static void
rt_auction_apply_bid(rt_auction_t *a, const rt_event_t *ev, rt_reader_t *r)
{
    int64_t       amount, max;
    rt_str_t      user, leader;
    rt_bidder_t  *b;

    amount = (int64_t) rt_read64(r);
    max = (int64_t) rt_read64(r);
    a->price = (int64_t) rt_read64(r);
    a->ends_at = rt_read64(r);
    a->bids = rt_read64(r);
    user = rt_read_str(r);
    leader = rt_read_str(r);

    b = rt_auction_bidder(a, user);
    b->bids++;
    b->amount = amount;

    if (b->max == 0) {
        b->since = ev->time_ms;
    }

    /* only a greater max is a newer one: the tie goes to the earlier */

    if (max > b->max) {
        b->max = max;
        b->order = ev->version;
    }

    a->leader = rt_str_eq(user, leader) ? b - a->bidders
                                        : rt_auction_find(a, leader);
}


static void
rt_auction_apply_sealed(rt_auction_t *a, const rt_event_t *ev, rt_reader_t *r)
{
    rt_bidder_t   *b;
    const u_char  *box;

    a->ends_at = rt_read64(r);
    b = rt_auction_bidder(a, rt_read_str(r));
    box = rt_read(r, RT_AUCTION_SEALED);

    a->bids++;
    b->bids++;
    b->order = ev->version;
    b->since = ev->time_ms;
    b->sealed = 1;

    if (box) {
        memcpy(b->box, box, RT_AUCTION_SEALED);
    }
}


static void
rt_auction_apply_retracted(rt_auction_t *a, rt_reader_t *r)
{
    rt_str_t      leader;
    rt_bidder_t  *b;

    a->price = (int64_t) rt_read64(r);
    a->ends_at = rt_read64(r);

    b = rt_auction_bidder(a, rt_read_str(r));
    leader = rt_read_str(r);

    b->amount = 0;
    b->max = 0;
    b->since = 0;
    b->sealed = 0;
    memset(b->box, 0, RT_AUCTION_SEALED);

    a->leader = leader.len ? rt_auction_find(a, leader) : -1;
}


static void
rt_auction_apply_closed(rt_auction_t *a, rt_reader_t *r)
{
    rt_str_t  winner;

    a->state = RT_AUCTION_CLOSED;
    a->price = (int64_t) rt_read64(r);
    a->paid = (int64_t) rt_read64(r);
    a->ends_at = rt_read64(r);
    winner = rt_read_str(r);

    if (winner.len) {
        a->winner = rt_auction_bidder(a, winner) - a->bidders;
        a->leader = a->winner;
    }
}


static void
rt_auction_apply(void *state, const rt_event_t *ev)
{
    rt_terms_t     t;
    rt_reader_t    r;
    rt_auction_t  *a;

    a = state;
    rt_reader_init(&r, ev->data.data, ev->data.len);

    switch (ev->type) {

    case RT_AUCTION_E_CREATED:
        rt_terms_load(&t, &r, RT_AUCTION_TERMS);
        rt_auction_set_terms(a, &t);
        a->state = t.starts_at > ev->time_ms ? RT_AUCTION_SCHEDULED
                                             : RT_AUCTION_OPEN;
        a->price = t.start;
        a->ends_at = t.ends_at;
        break;

    case RT_AUCTION_E_OPENED:
        a->state = RT_AUCTION_OPEN;
        break;

    case RT_AUCTION_E_BID:
        rt_auction_apply_bid(a, ev, &r);
        break;

    case RT_AUCTION_E_SEALED:
        rt_auction_apply_sealed(a, ev, &r);
        break;

    case RT_AUCTION_E_RETRACTED:
        rt_auction_apply_retracted(a, &r);
        break;

    case RT_AUCTION_E_PRICE:
        a->price = (int64_t) rt_read64(&r);
        (void) rt_read64(&r);
        a->steps = rt_read64(&r);
        break;

    case RT_AUCTION_E_CLOSED:
        rt_auction_apply_closed(a, &r);
        break;

    case RT_AUCTION_E_CANCELLED:
        a->state = RT_AUCTION_CANCELLED;
        break;
    }
}


static uint64_t
rt_auction_due(const void *state)
{
    uint64_t             step;
    const rt_auction_t  *a;

    a = state;

    switch (a->state) {

    case RT_AUCTION_SCHEDULED:
        return a->t.starts_at;

    case RT_AUCTION_OPEN:

        if (a->t.kind == RT_AUCTION_DUTCH
            && rt_auction_dutch_price(a, a->steps) > a->t.reserve)
        {
            step = a->t.starts_at + (a->steps + 1) * a->t.step_ms;
            return rt_min(step, a->ends_at);
        }

        return a->ends_at;

    default:
        return 0;
    }
}


/* views */

static void
rt_auction_put_name(rt_buf_t *b, const rt_auction_t *a, int64_t i)
{
    if (i < 0) {
        rt_buf_literal(b, "null");
        return;
    }

    rt_json_string(b, rt_bidder_name(&a->bidders[i]));
}


static void
rt_auction_query_state(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    rt_buf_t   *b;
    rt_uint_t   hidden;
    int64_t     price;

    b = &out->body;
    out->status = 200;

    hidden = rt_auction_is_sealed(a) && a->state != RT_AUCTION_CLOSED;
    price = rt_auction_price(a, in->time_ms);

    rt_buf_printf(b, "{\"state\":\"%s\",\"kind\":\"%s\",\"currency\":",
                  rt_auction_states[a->state], rt_auction_kinds[a->t.kind]);
    rt_json_string(b, a->t.currency);

    rt_buf_literal(b, ",\"price\":");

    if (hidden) {
        rt_buf_literal(b, "null");
    } else {
        rt_buf_number(b, price);
    }

    rt_buf_literal(b, ",\"leader\":");
    rt_auction_put_name(b, a, hidden ? -1 : a->leader);

    rt_buf_printf(b, ",\"bids\":%llu,\"bidders\":%u,\"minimum\":%lld,"
                  "\"start\":%lld,\"starts_at\":%llu,\"ends_at\":%llu,"
                  "\"time\":%llu,\"reserve_met\":%s",
                  (unsigned long long) a->bids, a->n,
                  (long long) (a->t.kind == RT_AUCTION_DUTCH
                               ? price : rt_auction_minimum(a)),
                  (long long) a->t.start,
                  (unsigned long long) a->t.starts_at,
                  (unsigned long long) a->ends_at,
                  (unsigned long long) in->time_ms,
                  a->winner >= 0 || (!hidden && a->leader >= 0
                                     && a->price >= a->t.reserve)
                  ? "true" : "false");

    rt_buf_literal(b, ",\"buy_now\":");

    if (a->t.buy_now) {
        rt_buf_number(b, a->t.buy_now);
    } else {
        rt_buf_literal(b, "null");
    }

    rt_buf_literal(b, ",\"winner\":");
    rt_auction_put_name(b, a, a->winner);
    rt_buf_literal(b, ",\"paid\":");

    if (a->winner >= 0) {
        rt_buf_number(b, a->paid);
    } else {
        rt_buf_literal(b, "null");
    }

    rt_buf_literal(b, "}");
}


static void
rt_auction_query_mine(const rt_auction_t *a, const rt_input_t *in,
    rt_output_t *out)
{
    int64_t             i, amount, max;
    rt_buf_t           *b;
    const rt_bidder_t  *me;

    if (in->user.len == 0) {
        rt_refuse(out, 401, "user_required", "who is it");
        return;
    }

    b = &out->body;
    out->status = 200;

    i = rt_auction_find(a, in->user);
    me = i < 0 ? NULL : &a->bidders[i];

    amount = me ? me->amount : 0;
    max = me ? me->max : 0;

    if (me && me->sealed) {
        amount = rt_auction_unseal(a, in, me->box);
        max = amount;
    }

    rt_buf_printf(b, "{\"bids\":%u,\"amount\":", me ? me->bids : 0);

    if (max > 0 || (me && me->sealed)) {
        rt_buf_printf(b, "%lld,\"max\":%lld", (long long) amount,
                      (long long) max);
    } else {
        rt_buf_literal(b, "null,\"max\":null");
    }

    rt_buf_printf(b, ",\"leading\":%s,\"won\":%s,\"paid\":",
                  i >= 0 && i == a->leader ? "true" : "false",
                  i >= 0 && i == a->winner ? "true" : "false");

    if (i >= 0 && i == a->winner) {
        rt_buf_number(b, a->paid);
    } else {
        rt_buf_literal(b, "null");
    }

    rt_buf_literal(b, "}");
}


static void
rt_auction_query(const void *state, const rt_input_t *in, rt_output_t *out)
{
    if (rt_str_is(in->name, "state")) {
        rt_auction_query_state(state, in, out);

    } else if (rt_str_is(in->name, "mine")) {
        rt_auction_query_mine(state, in, out);

    } else {
        rt_refuse(out, 404, "unknown_query", "an auction knows state, mine, "
                  "history, events and at");
    }
}


/* events for everybody: never a max, never who bid in secret */

static void
rt_auction_put_string(rt_buf_t *b, rt_str_t s)
{
    if (s.len) {
        rt_json_string(b, s);
    } else {
        rt_buf_literal(b, "null");
    }
}


static void
rt_auction_put_price(rt_buf_t *b, int64_t price, rt_str_t leader,
    uint64_t ends_at)
{
    rt_buf_literal(b, "\",\"price\":");
    rt_buf_number(b, price);
    rt_buf_literal(b, ",\"leader\":");
    rt_auction_put_string(b, leader);
    rt_buf_literal(b, ",\"ends_at\":");
    rt_buf_number(b, (int64_t) ends_at);
}


static void
rt_auction_describe_bid(rt_reader_t *r, rt_buf_t *b)
{
    int64_t   amount, price;
    uint64_t  ends_at, bids;
    rt_str_t  user, leader;

    amount = (int64_t) rt_read64(r);
    (void) rt_read64(r);
    price = (int64_t) rt_read64(r);
    ends_at = rt_read64(r);
    bids = rt_read64(r);
    user = rt_read_str(r);
    leader = rt_read_str(r);

    rt_buf_literal(b, "\"type\":\"bid");
    rt_auction_put_price(b, price, leader, ends_at);
    rt_buf_literal(b, ",\"bidder\":");
    rt_json_string(b, user);
    rt_buf_literal(b, ",\"amount\":");
    rt_buf_number(b, amount);
    rt_buf_literal(b, ",\"bids\":");
    rt_buf_number(b, (int64_t) bids);
}


static void
rt_auction_describe_retracted(rt_reader_t *r, rt_buf_t *b)
{
    int64_t   price;
    uint64_t  ends_at;
    rt_str_t  user, leader;

    price = (int64_t) rt_read64(r);
    ends_at = rt_read64(r);
    user = rt_read_str(r);
    leader = rt_read_str(r);

    if (rt_read8(r)) {
        rt_buf_literal(b, "\"type\":\"retracted\",\"price\":null,"
                       "\"leader\":null,\"ends_at\":");
        rt_buf_number(b, (int64_t) ends_at);
        return;
    }

    rt_buf_literal(b, "\"type\":\"retracted");
    rt_auction_put_price(b, price, leader, ends_at);
    rt_buf_literal(b, ",\"bidder\":");
    rt_json_string(b, user);
}


static void
rt_auction_describe_closed(rt_reader_t *r, rt_buf_t *b)
{
    int64_t   price, paid;
    uint64_t  ends_at;
    rt_str_t  winner;

    price = (int64_t) rt_read64(r);
    paid = (int64_t) rt_read64(r);
    ends_at = rt_read64(r);
    winner = rt_read_str(r);

    rt_buf_literal(b, "\"type\":\"closed");
    rt_auction_put_price(b, price, winner, ends_at);
    rt_buf_literal(b, ",\"winner\":");
    rt_auction_put_string(b, winner);
    rt_buf_literal(b, ",\"paid\":");

    if (winner.len) {
        rt_buf_number(b, paid);
    } else {
        rt_buf_literal(b, "null");
    }

    rt_buf_literal(b, ",\"reason\":");
    rt_json_string(b, rt_read_str(r));
}


static void
rt_auction_describe_created(rt_reader_t *r, rt_buf_t *b)
{
    rt_str_t    none = rt_string("");
    rt_terms_t  t;

    rt_terms_load(&t, r, RT_AUCTION_TERMS);

    rt_buf_literal(b, "\"type\":\"created");
    rt_auction_put_price(b, t.start, none, t.ends_at);
    rt_buf_printf(b, ",\"kind\":\"%s\",\"start\":%lld,\"starts_at\":%llu,"
                  "\"currency\":", rt_auction_kinds[t.kind],
                  (long long) t.start, (unsigned long long) t.starts_at);
    rt_json_string(b, t.currency);
    rt_buf_literal(b, ",\"seller\":");
    rt_auction_put_string(b, t.seller);
    rt_buf_literal(b, ",\"buy_now\":");

    if (t.buy_now) {
        rt_buf_number(b, t.buy_now);
    } else {
        rt_buf_literal(b, "null");
    }
}


static void
rt_auction_describe(const rt_event_t *ev, rt_buf_t *b)
{
    int64_t      price;
    rt_str_t     none = rt_string("");
    rt_reader_t  r;

    rt_reader_init(&r, ev->data.data, ev->data.len);

    switch (ev->type) {

    case RT_AUCTION_E_CREATED:
        rt_auction_describe_created(&r, b);
        break;

    case RT_AUCTION_E_OPENED:
        rt_buf_literal(b, "\"type\":\"opened");
        price = (int64_t) rt_read64(&r);
        rt_auction_put_price(b, price, none, rt_read64(&r));
        break;

    case RT_AUCTION_E_BID:
        rt_auction_describe_bid(&r, b);
        break;

    case RT_AUCTION_E_SEALED:
        rt_buf_literal(b, "\"type\":\"bid\",\"price\":null,\"leader\":null,"
                       "\"ends_at\":");
        rt_buf_number(b, (int64_t) rt_read64(&r));
        break;

    case RT_AUCTION_E_RETRACTED:
        rt_auction_describe_retracted(&r, b);
        break;

    case RT_AUCTION_E_PRICE:
        rt_buf_literal(b, "\"type\":\"price");
        price = (int64_t) rt_read64(&r);
        rt_auction_put_price(b, price, none, rt_read64(&r));
        break;

    case RT_AUCTION_E_CLOSED:
        rt_auction_describe_closed(&r, b);
        break;

    case RT_AUCTION_E_CANCELLED:
        rt_buf_literal(b, "\"type\":\"cancelled\",\"price\":null,"
                       "\"leader\":null,\"ends_at\":");
        rt_buf_number(b, (int64_t) rt_read64(&r));
        break;

    default:
        rt_buf_literal(b, "\"type\":\"unknown\"");
    }
}


static void
rt_auction_watched(rt_str_t entity, rt_buf_t *topic)
{
    rt_buf_literal(topic, "auction/");
    rt_buf_put(topic, entity.data, entity.len);
}


void
rt_auction_told(const rt_event_t *ev, rt_auction_told_t *t)
{
    rt_terms_t   terms;
    rt_reader_t  r;

    memset(t, 0, sizeof(rt_auction_told_t));
    rt_reader_init(&r, ev->data.data, ev->data.len);

    switch (ev->type) {

    case RT_AUCTION_E_CREATED:
        rt_terms_load(&terms, &r, RT_AUCTION_TERMS);

        t->kind = terms.kind;
        t->currency = terms.currency;
        t->price = terms.start;
        t->start = terms.start;
        t->buy_now = terms.buy_now;
        t->starts_at = terms.starts_at;
        t->ends_at = terms.ends_at;
        break;

    case RT_AUCTION_E_OPENED:
    case RT_AUCTION_E_PRICE:
        t->price = (int64_t) rt_read64(&r);
        t->ends_at = rt_read64(&r);
        break;

    case RT_AUCTION_E_BID:
        (void) rt_read(&r, 16);             /* amount, max */
        t->price = (int64_t) rt_read64(&r);
        t->ends_at = rt_read64(&r);
        t->bids = rt_read64(&r);
        (void) rt_read_str(&r);             /* bidder */
        t->leader = rt_read_str(&r);
        break;

    case RT_AUCTION_E_RETRACTED:
        t->price = (int64_t) rt_read64(&r);
        t->ends_at = rt_read64(&r);
        (void) rt_read_str(&r);             /* bidder */
        t->leader = rt_read_str(&r);
        break;

    case RT_AUCTION_E_CLOSED:
        t->price = (int64_t) rt_read64(&r);
        (void) rt_read64(&r);               /* paid */
        t->ends_at = rt_read64(&r);
        break;

    case RT_AUCTION_E_SEALED:
    case RT_AUCTION_E_CANCELLED:
        t->ends_at = rt_read64(&r);
        break;
    }
}


static rt_uint_t
rt_auction_publish(const rt_event_t *ev, rt_uint_t index, rt_message_t *m)
{
    if (index > 0) {
        return 0;
    }

    rt_auction_watched(ev->entity, &m->topic);

    rt_buf_literal(&m->body, "{");
    rt_auction_describe(ev, &m->body);
    rt_buf_literal(&m->body, ",\"version\":");
    rt_buf_number(&m->body, (int64_t) ev->version);
    rt_buf_literal(&m->body, ",\"time\":");
    rt_buf_number(&m->body, (int64_t) ev->time_ms);
    rt_buf_literal(&m->body, "}");

    return 1;
}


/* the closing clock */

static uint64_t
rt_auction_clock(const void *state, uint64_t last_ms)
{
    uint64_t             next;
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

    next = (a->ends_at - next) / a->t.clock_ms * a->t.clock_ms;

    return next ? a->ends_at - next : 0;
}


static rt_uint_t
rt_auction_live(const void *state, const rt_audience_t *au, rt_message_t *m)
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


/* "created" of the first layout becomes one of the second */

static void
rt_auction_lift(const rt_event_t *ev, rt_buf_t *b)
{
    rt_terms_t   t;
    rt_reader_t  r;

    rt_reader_init(&r, ev->data.data, ev->data.len);
    rt_terms_load(&t, &r, ev->lift);

    rt_buf_put(b, ev->data.data, ev->data.len);
    rt_buf_put64(b, t.clock_ms);
    rt_buf_put64(b, t.retract_within_ms);
    rt_buf_put64(b, t.retract_before_ms);
}


/* snapshot */

static void
rt_auction_snapshot(const void *state, rt_buf_t *b)
{
    uint32_t             i;
    rt_uint_t            layout;
    const rt_bidder_t   *u;
    const rt_auction_t  *a;

    a = state;

    layout = rt_terms_layout(&a->t);

    rt_buf_put8(b, (uint8_t) layout);
    rt_terms_save(&a->t, b, layout);
    rt_buf_put8(b, a->state);
    rt_buf_put64(b, (uint64_t) a->price);
    rt_buf_put64(b, (uint64_t) a->leader);
    rt_buf_put64(b, (uint64_t) a->winner);
    rt_buf_put64(b, (uint64_t) a->paid);
    rt_buf_put64(b, a->ends_at);
    rt_buf_put64(b, a->steps);
    rt_buf_put64(b, a->bids);
    rt_buf_put32(b, a->n);

    for (i = 0; i < a->n; i++) {
        u = &a->bidders[i];

        rt_buf_put_str(b, rt_bidder_name(u));
        rt_buf_put32(b, u->bids);
        rt_buf_put64(b, (uint64_t) u->amount);
        rt_buf_put64(b, (uint64_t) u->max);
        rt_buf_put64(b, u->order);

        if (layout > 1) {
            rt_buf_put64(b, u->since);
        }

        rt_buf_put8(b, (uint8_t) u->sealed);

        if (u->sealed) {
            rt_buf_put(b, u->box, RT_AUCTION_SEALED);
        }
    }
}


static rt_int_t
rt_auction_restore(void *state, rt_reader_t *r)
{
    uint32_t       n;
    rt_uint_t      layout;
    rt_terms_t     t;
    rt_bidder_t   *u;
    rt_auction_t  *a;
    const u_char  *box;

    a = state;

    layout = rt_read8(r);

    if (layout == 0 || layout > RT_AUCTION_LAYOUT) {
        return RT_ERROR;
    }

    rt_terms_load(&t, r, layout);
    rt_auction_set_terms(a, &t);

    a->state = rt_read8(r) & 3;
    a->price = (int64_t) rt_read64(r);
    a->leader = (int64_t) rt_read64(r);
    a->winner = (int64_t) rt_read64(r);
    a->paid = (int64_t) rt_read64(r);
    a->ends_at = rt_read64(r);
    a->steps = rt_read64(r);
    a->bids = rt_read64(r);

    for (n = rt_read32(r); n && !r->bad; n--) {
        u = rt_auction_bidder(a, rt_read_str(r));

        u->bids = rt_read32(r);
        u->amount = (int64_t) rt_read64(r);
        u->max = (int64_t) rt_read64(r);
        u->order = rt_read64(r);
        u->since = layout > 1 ? rt_read64(r) : 0;
        u->sealed = rt_read8(r);

        if (u->sealed) {
            box = rt_read(r, RT_AUCTION_SEALED);

            if (box) {
                memcpy(u->box, box, RT_AUCTION_SEALED);
            }
        }
    }

    if (a->leader < -1 || a->leader >= (int64_t) a->n
        || a->winner < -1 || a->winner >= (int64_t) a->n)
    {
        return RT_ERROR;
    }

    return r->bad ? RT_ERROR : RT_OK;
}


/* today's versions, "created" being the first type */

static const uint8_t  rt_auction_types[] = {
    0, RT_AUCTION_TERMS, 1, 1, 1, 1, 1, 1, 1
};


const rt_engine_t  rt_auction_engine = {
    .name = "auction",
    .id = RT_AUCTION_ID,
    .durability = RT_DURABLE_SYNC,
    .create = rt_auction_create,
    .destroy = rt_auction_destroy,
    .decide = rt_auction_decide,
    .apply = rt_auction_apply,
    .query = rt_auction_query,
    .snapshot = rt_auction_snapshot,
    .restore = rt_auction_restore,
    .due = rt_auction_due,
    .describe = rt_auction_describe,
    .publish = rt_auction_publish,
    .clock = rt_auction_clock,
    .watched = rt_auction_watched,
    .live = rt_auction_live,
    .lift = rt_auction_lift,
    .types = rt_auction_types,
    .ntypes = sizeof(rt_auction_types)
};
