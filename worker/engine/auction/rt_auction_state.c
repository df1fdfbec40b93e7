/*
 * The state of an auction and the only function that changes it, apply().
 *
 * An event says everything that apply() needs: it carries the new price, the
 * leader and the end.  apply() stores them; it has no rule of its own and
 * cannot fail.  So a replay under rules that have changed since gives the
 * state that was.
 *
 * Bidders are an array in the order of their first bid; the leader and the
 * winner are places in it.  Beside it is an open-addressing table of places by
 * user name, which is never more than half full.  Bidders are not removed: a
 * retraction empties one.  decide() has bounded their number.
 */


#include "rt_auction_private.h"


#define RT_AUCTION_BIDDERS_MIN  8           /* places at the first bid */


static uint32_t
rt_auction_state_hash(rt_str_t user)
{
    size_t    i;
    uint32_t  h;

    h = 2166136261u;

    for (i = 0; i < user.len; i++) {
        h = (h ^ user.data[i]) * 16777619u;
    }

    return h ^ h >> 15;
}


/* where the user's place is, or would be */

static uint32_t
rt_auction_state_slot(const rt_auction_t *a, rt_str_t user)
{
    uint32_t                    i;
    const rt_auction_bidder_t  *b;

    for (i = rt_auction_state_hash(user) & a->mask; a->index[i];
         i = (i + 1) & a->mask)
    {
        b = &a->bidders[a->index[i] - 1];

        if (rt_str_eq(rt_auction_bidder_name(b), user)) {
            break;
        }
    }

    return i;
}


int64_t
rt_auction_state_find(const rt_auction_t *a, rt_str_t user)
{
    if (a->n == 0) {
        return -1;
    }

    return (int64_t) a->index[rt_auction_state_slot(a, user)] - 1;
}


static void
rt_auction_state_grow(rt_auction_t *a)
{
    uint32_t  i, slot;

    a->max = rt_max(a->max * 2, RT_AUCTION_BIDDERS_MIN);
    a->bidders = rt_realloc(a->bidders,
                            a->max * sizeof(rt_auction_bidder_t));

    free(a->index);

    a->mask = a->max * 2 - 1;
    a->index = rt_calloc(a->max * 2 * sizeof(uint32_t));

    for (i = 0; i < a->n; i++) {
        slot = rt_auction_state_slot(a, rt_auction_bidder_name(&a->bidders[i]));
        a->index[slot] = i + 1;
    }
}


rt_auction_bidder_t *
rt_auction_state_bidder(rt_auction_t *a, rt_str_t user)
{
    int64_t               i;
    rt_auction_bidder_t  *b;

    i = rt_auction_state_find(a, user);

    if (i >= 0) {
        return &a->bidders[i];
    }

    if (a->n == a->max) {
        rt_auction_state_grow(a);
    }

    b = &a->bidders[a->n];
    memset(b, 0, sizeof(rt_auction_bidder_t));

    b->user = rt_malloc(user.len);
    b->user_len = (uint32_t) user.len;
    memcpy(b->user, user.data, user.len);

    a->index[rt_auction_state_slot(a, user)] = ++a->n;

    rt_assert(a->n <= a->max);

    return b;
}


void *
rt_auction_state_create(void)
{
    rt_auction_t  *a;

    a = rt_calloc(sizeof(rt_auction_t));
    a->leader = -1;
    a->winner = -1;

    return a;
}


void
rt_auction_state_destroy(void *state)
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


void
rt_auction_state_set_terms(rt_auction_t *a, const rt_auction_terms_t *t)
{
    rt_assert(a->texts == NULL);            /* terms are set once */

    a->t = *t;

    a->texts = rt_malloc(t->currency.len + t->seller.len);
    memcpy(a->texts, t->currency.data, t->currency.len);
    memcpy(a->texts + t->currency.len, t->seller.data, t->seller.len);

    a->t.currency.data = a->texts;
    a->t.seller.data = a->texts + t->currency.len;
}


static void
rt_auction_state_created(rt_auction_t *a, const rt_event_t *ev)
{
    rt_reader_t         r;
    rt_auction_terms_t  t;

    rt_reader_init(&r, ev->data.data, ev->data.len);
    rt_auction_terms_load(&t, &r, RT_AUCTION_TERMS);
    rt_auction_state_set_terms(a, &t);

    a->state = t.starts_at > ev->time_ms ? RT_AUCTION_SCHEDULED
                                         : RT_AUCTION_OPEN;
    a->price = t.start;
    a->ends_at = t.ends_at;
}


static void
rt_auction_state_bid(rt_auction_t *a, const rt_event_t *ev,
    const rt_auction_event_t *e)
{
    rt_auction_bidder_t  *b;

    a->price = e->price;
    a->ends_at = e->ends_at;
    a->bids = e->bids;

    b = rt_auction_state_bidder(a, e->user);

    rt_assert(ev->version > b->order);      /* versions ascend */

    b->bids++;
    b->amount = e->amount;

    if (b->max == 0) {
        b->since = ev->time_ms;
    }

    /* "order" decides ties for the earlier bid: it changes with max only */

    if (e->max > b->max) {
        b->max = e->max;
        b->order = ev->version;
    }

    a->leader = rt_str_eq(e->user, e->leader)
                ? b - a->bidders : rt_auction_state_find(a, e->leader);
}


static void
rt_auction_state_sealed(rt_auction_t *a, const rt_event_t *ev,
    const rt_auction_event_t *e)
{
    rt_auction_bidder_t  *b;

    a->ends_at = e->ends_at;
    a->bids++;

    b = rt_auction_state_bidder(a, e->user);

    rt_assert(ev->version > b->order);      /* versions ascend */

    b->bids++;
    b->order = ev->version;
    b->since = ev->time_ms;
    b->sealed = 1;

    if (e->box) {
        memcpy(b->box, e->box, RT_AUCTION_SEALED_SIZE);
    }
}


static void
rt_auction_state_retracted(rt_auction_t *a, const rt_auction_event_t *e)
{
    rt_auction_bidder_t  *b;

    a->price = e->price;
    a->ends_at = e->ends_at;

    b = rt_auction_state_bidder(a, e->user);

    b->amount = 0;
    b->max = 0;
    b->since = 0;
    b->sealed = 0;
    memset(b->box, 0, RT_AUCTION_SEALED_SIZE);

    a->leader = e->leader.len ? rt_auction_state_find(a, e->leader) : -1;
}


static void
rt_auction_state_closed(rt_auction_t *a, const rt_auction_event_t *e)
{
    a->state = RT_AUCTION_CLOSED;
    a->price = e->price;
    a->paid = e->paid;
    a->ends_at = e->ends_at;

    if (e->leader.len) {
        a->winner = rt_auction_state_bidder(a, e->leader) - a->bidders;
        a->leader = a->winner;
    }
}


void
rt_auction_state_apply(void *state, const rt_event_t *ev)
{
    rt_auction_t        *a;
    rt_auction_event_t   e;

    a = state;
    rt_auction_event_read(ev, &e);

    switch (ev->type) {

    case RT_AUCTION_E_CREATED:
        rt_auction_state_created(a, ev);
        break;

    case RT_AUCTION_E_OPENED:
        a->state = RT_AUCTION_OPEN;
        break;

    case RT_AUCTION_E_BID:
        rt_auction_state_bid(a, ev, &e);
        break;

    case RT_AUCTION_E_SEALED:
        rt_auction_state_sealed(a, ev, &e);
        break;

    case RT_AUCTION_E_RETRACTED:
        rt_auction_state_retracted(a, &e);
        break;

    case RT_AUCTION_E_PRICE:
        a->price = e.price;
        a->steps = e.steps;
        break;

    case RT_AUCTION_E_CLOSED:
        rt_auction_state_closed(a, &e);
        break;

    case RT_AUCTION_E_CANCELLED:
        a->state = RT_AUCTION_CANCELLED;
        break;
    }

    rt_assert(a->n <= a->t.max_bidders);
    rt_assert(a->leader >= -1 && a->leader < (int64_t) a->n);
    rt_assert(a->winner >= -1 && a->winner < (int64_t) a->n);
}


rt_uint_t
rt_auction_state_owner(const void *state, rt_str_t *user)
{
    const rt_auction_t  *a;

    a = state;
    *user = a->t.seller;

    return a->state == RT_AUCTION_SCHEDULED || a->state == RT_AUCTION_OPEN;
}
