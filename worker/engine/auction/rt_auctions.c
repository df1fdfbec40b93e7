/*
 * The list of auctions that are open or scheduled, a read model for a shop's
 * front page: a projection of the auctions' events.  There is one entity,
 * "all".
 *
 * Each event is first reduced to its public part by rt_auction_told(); the
 * list never has a maximum, a reserve or a sealed bid.  "created" adds an
 * item, other events change it, "closed" and "cancelled" remove it.  An event
 * of an auction whose "created" was not seen changes nothing.
 *
 * An event cannot be refused, so the list bounds itself: auctions that are
 * created when it is full are counted, and never listed.
 */


#include "rt_auctions.h"


#define RT_AUCTIONS_ID  129                 /* of projections: from 128 */


static rt_uint_t
rt_auctions_project(const rt_event_t *ev, rt_uint_t index, rt_buf_t *name)
{
    (void) ev;

    rt_buf_literal(name, "all");

    return index == 0;
}


static void
rt_auctions_set_leader(rt_auctions_item_t *item, rt_str_t leader)
{
    if (leader.len > item->leader_len) {
        item->leader = rt_realloc(item->leader, leader.len);
    }

    item->leader_len = (uint32_t) leader.len;

    if (leader.len) {
        memcpy(item->leader, leader.data, leader.len);
    }
}


static void
rt_auctions_set_currency(rt_auctions_item_t *item, rt_str_t currency)
{
    item->currency_len = (uint8_t) rt_min(currency.len,
                                          RT_AUCTION_CURRENCY_MAX);
    memcpy(item->currency, currency.data, item->currency_len);
}


static void
rt_auctions_created(rt_auctions_t *a, const rt_event_t *ev,
    const rt_auction_told_t *t)
{
    rt_auctions_item_t  *item;

    if (a->open.n + a->scheduled.n >= RT_AUCTIONS_MAX) {
        a->unlisted++;
        return;
    }

    item = rt_auctions_list_add(a, ev->entity);

    item->version = ev->version;
    item->kind = (uint8_t) t->kind;
    rt_auctions_set_currency(item, t->currency);
    item->price = t->price;
    item->start = t->start;
    item->buy_now = t->buy_now;
    item->starts_at = t->starts_at;
    item->ends_at = t->ends_at;

    rt_auctions_list_insert(a, item, t->starts_at <= ev->time_ms);
}


static void
rt_auctions_changed(rt_auctions_t *a, rt_auctions_item_t *item,
    const rt_event_t *ev, const rt_auction_told_t *t)
{
    rt_assert(ev->version > item->version); /* versions ascend */

    item->version = ev->version;

    switch (ev->type) {

    case RT_AUCTION_E_OPENED:
    case RT_AUCTION_E_PRICE:
        item->price = t->price;
        break;

    case RT_AUCTION_E_BID:
        item->price = t->price;
        item->bids = t->bids;
        rt_auctions_set_leader(item, t->leader);
        break;

    case RT_AUCTION_E_SEALED:
        item->bids++;
        break;

    case RT_AUCTION_E_RETRACTED:
        item->price = t->price;
        rt_auctions_set_leader(item, t->leader);
        break;
    }

    if (t->ends_at != item->ends_at || ev->type == RT_AUCTION_E_OPENED) {
        rt_auctions_list_take(a, item);
        item->ends_at = t->ends_at;
        rt_auctions_list_insert(a, item, 1);
    }
}


static void
rt_auctions_apply(void *state, const rt_event_t *ev)
{
    rt_auctions_t       *a;
    rt_auction_told_t    t;
    rt_auctions_item_t  *item;

    a = state;
    rt_auction_told(ev, &t);

    if (ev->type == RT_AUCTION_E_CREATED) {
        rt_auctions_created(a, ev, &t);
        return;
    }

    item = rt_auctions_list_find(a, ev->entity);

    if (item == NULL) {
        return;                             /* "created" was not seen */
    }

    if (ev->type == RT_AUCTION_E_CLOSED || ev->type == RT_AUCTION_E_CANCELLED) {
        rt_auctions_list_remove(a, item);
        return;
    }

    rt_auctions_changed(a, item, ev, &t);
}


/* snapshots: the items of both lists in their order */

static void
rt_auctions_save(const rt_auctions_list_t *l, rt_buf_t *b)
{
    size_t                     i;
    const rt_auctions_item_t  *item;

    rt_buf_put64(b, l->n);

    for (i = 0; i < l->n; i++) {
        item = rt_auctions_list_at(l, i);

        rt_buf_put_str(b, rt_auctions_item_name(item));
        rt_buf_put64(b, item->version);
        rt_buf_put64(b, item->bids);
        rt_buf_put64(b, (uint64_t) item->price);
        rt_buf_put_str(b, rt_auctions_item_leader(item));
        rt_buf_put8(b, item->kind);
        rt_buf_put_str(b, rt_auctions_item_currency(item));
        rt_buf_put64(b, (uint64_t) item->start);
        rt_buf_put64(b, (uint64_t) item->buy_now);
        rt_buf_put64(b, item->starts_at);
        rt_buf_put64(b, item->ends_at);
    }
}


static void
rt_auctions_snapshot(const void *state, rt_buf_t *b)
{
    const rt_auctions_t  *a;

    a = state;

    rt_buf_put64(b, a->unlisted);
    rt_auctions_save(&a->open, b);
    rt_auctions_save(&a->scheduled, b);
}


static rt_int_t
rt_auctions_load(rt_auctions_t *a, rt_uint_t open, rt_reader_t *r)
{
    uint64_t             n;
    rt_auctions_item_t  *item;

    for (n = rt_read64(r); n && !r->bad; n--) {
        item = rt_auctions_list_add(a, rt_read_str(r));

        item->version = rt_read64(r);
        item->bids = rt_read64(r);
        item->price = (int64_t) rt_read64(r);
        rt_auctions_set_leader(item, rt_read_str(r));
        item->kind = rt_read8(r) & 3;
        rt_auctions_set_currency(item, rt_read_str(r));
        item->start = (int64_t) rt_read64(r);
        item->buy_now = (int64_t) rt_read64(r);
        item->starts_at = rt_read64(r);
        item->ends_at = rt_read64(r);

        rt_auctions_list_insert(a, item, open);
    }

    return r->bad ? RT_ERROR : RT_OK;
}


static rt_int_t
rt_auctions_restore(void *state, rt_reader_t *r)
{
    rt_auctions_t  *a;

    a = state;
    a->unlisted = rt_read64(r);

    if (rt_auctions_load(a, 1, r) != RT_OK) {
        return RT_ERROR;
    }

    return rt_auctions_load(a, 0, r);
}


const rt_engine_t  rt_auctions_engine = {
    .name = "auctions",
    .id = RT_AUCTIONS_ID,
    .source = &rt_auction_engine,
    .revision = 1,
    .project = rt_auctions_project,
    .create = rt_auctions_list_create,
    .destroy = rt_auctions_list_destroy,
    .apply = rt_auctions_apply,
    .query = rt_auctions_view_query,
    .snapshot = rt_auctions_snapshot,
    .restore = rt_auctions_restore
};
