/*
 * The state of an auction in bytes, for snapshots and for the hashes in the
 * journal: equal states give equal bytes.
 *
 * A snapshot begins with the number of its layout.  The first layout has
 * neither the second part of the terms nor "since" of the bidders; it is
 * written for every auction that it can say (rt_auction_terms_layout()), and
 * both are read.
 */


#include "rt_auction_private.h"


static void
rt_auction_snapshot_save_bidder(const rt_auction_bidder_t *u, rt_buf_t *b,
    rt_uint_t layout)
{
    rt_buf_put_str(b, rt_auction_bidder_name(u));
    rt_buf_put32(b, u->bids);
    rt_buf_put64(b, (uint64_t) u->amount);
    rt_buf_put64(b, (uint64_t) u->max);
    rt_buf_put64(b, u->order);

    if (layout > 1) {
        rt_buf_put64(b, u->since);
    }

    rt_buf_put8(b, (uint8_t) u->sealed);

    if (u->sealed) {
        rt_buf_put(b, u->box, RT_AUCTION_SEALED_SIZE);
    }
}


void
rt_auction_snapshot_save(const void *state, rt_buf_t *b)
{
    uint32_t             i;
    rt_uint_t            layout;
    const rt_auction_t  *a;

    a = state;

    layout = rt_auction_terms_layout(&a->t);

    rt_buf_put8(b, (uint8_t) layout);
    rt_auction_terms_save(&a->t, b, layout);
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
        rt_auction_snapshot_save_bidder(&a->bidders[i], b, layout);
    }
}


static void
rt_auction_snapshot_load_bidder(rt_auction_t *a, rt_reader_t *r,
    rt_uint_t layout)
{
    const u_char         *box;
    rt_auction_bidder_t  *u;

    u = rt_auction_state_bidder(a, rt_read_str(r));

    u->bids = rt_read32(r);
    u->amount = (int64_t) rt_read64(r);
    u->max = (int64_t) rt_read64(r);
    u->order = rt_read64(r);
    u->since = layout > 1 ? rt_read64(r) : 0;
    u->sealed = rt_read8(r);

    if (u->sealed) {
        box = rt_read(r, RT_AUCTION_SEALED_SIZE);

        if (box) {
            memcpy(u->box, box, RT_AUCTION_SEALED_SIZE);
        }
    }
}


rt_int_t
rt_auction_snapshot_load(void *state, rt_reader_t *r)
{
    uint32_t             n;
    rt_uint_t            layout;
    rt_auction_t        *a;
    rt_auction_terms_t   t;

    a = state;

    layout = rt_read8(r);

    if (layout == 0 || layout > RT_AUCTION_LAYOUT) {
        return RT_ERROR;
    }

    rt_auction_terms_load(&t, r, layout);
    rt_auction_state_set_terms(a, &t);

    a->state = rt_read8(r) & 3;
    a->price = (int64_t) rt_read64(r);
    a->leader = (int64_t) rt_read64(r);
    a->winner = (int64_t) rt_read64(r);
    a->paid = (int64_t) rt_read64(r);
    a->ends_at = rt_read64(r);
    a->steps = rt_read64(r);
    a->bids = rt_read64(r);

    for (n = rt_read32(r); n && !r->bad; n--) {
        rt_auction_snapshot_load_bidder(a, r, layout);
    }

    if (a->leader < -1 || a->leader >= (int64_t) a->n
        || a->winner < -1 || a->winner >= (int64_t) a->n)
    {
        return RT_ERROR;
    }

    return r->bad ? RT_ERROR : RT_OK;
}
