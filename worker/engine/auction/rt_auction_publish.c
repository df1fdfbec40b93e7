/*
 * The events as everybody sees them: as JSON in "events", "history" and on the
 * topic auction/<id>, and as a struct for projections.
 *
 * A maximum and a reserve are never in it, and of a sealed bid neither the
 * amount nor the bidder.  Pure functions of the event: they run again after a
 * restart, and give the same bytes.
 */


#include "rt_auction_private.h"


/* no printf() here: this is done for each event */

static void
rt_auction_publish_type(rt_buf_t *b, const char *type)
{
    rt_buf_literal(b, "\"type\":\"");
    rt_buf_put(b, type, strlen(type));
}


static void
rt_auction_publish_head(rt_buf_t *b, const char *type, int64_t price,
    rt_str_t leader, uint64_t ends_at)
{
    rt_auction_publish_type(b, type);
    rt_buf_literal(b, "\",\"price\":");
    rt_buf_number(b, price);
    rt_buf_literal(b, ",\"leader\":");
    rt_auction_view_string(b, leader);
    rt_buf_literal(b, ",\"ends_at\":");
    rt_buf_number(b, (int64_t) ends_at);
}


/* neither price nor leader: of sealed kinds, and of a cancelled auction */

static void
rt_auction_publish_hidden(rt_buf_t *b, const char *type, uint64_t ends_at)
{
    rt_auction_publish_type(b, type);
    rt_buf_literal(b, "\",\"price\":null,\"leader\":null,\"ends_at\":");
    rt_buf_number(b, (int64_t) ends_at);
}


static void
rt_auction_publish_created(rt_buf_t *b, const rt_event_t *ev)
{
    rt_str_t            none = rt_string("");
    rt_reader_t         r;
    rt_auction_terms_t  t;

    rt_reader_init(&r, ev->data.data, ev->data.len);
    rt_auction_terms_load(&t, &r, RT_AUCTION_TERMS);

    rt_auction_publish_head(b, "created", t.start, none, t.ends_at);
    rt_buf_printf(b, ",\"kind\":\"%s\",\"start\":%lld,\"starts_at\":%llu,"
                  "\"currency\":", rt_auction_kinds[t.kind],
                  (long long) t.start, (unsigned long long) t.starts_at);
    rt_json_string(b, t.currency);
    rt_buf_literal(b, ",\"seller\":");
    rt_auction_view_string(b, t.seller);
    rt_buf_literal(b, ",\"buy_now\":");
    rt_auction_view_number(b, t.buy_now, t.buy_now != 0);
}


static void
rt_auction_publish_bid(rt_buf_t *b, const rt_auction_event_t *e)
{
    rt_auction_publish_head(b, "bid", e->price, e->leader, e->ends_at);
    rt_buf_literal(b, ",\"bidder\":");
    rt_json_string(b, e->user);
    rt_buf_literal(b, ",\"amount\":");
    rt_buf_number(b, e->amount);
    rt_buf_literal(b, ",\"bids\":");
    rt_buf_number(b, (int64_t) e->bids);
}


static void
rt_auction_publish_retracted(rt_buf_t *b, const rt_auction_event_t *e)
{
    if (e->sealed) {
        rt_auction_publish_hidden(b, "retracted", e->ends_at);
        return;
    }

    rt_auction_publish_head(b, "retracted", e->price, e->leader, e->ends_at);
    rt_buf_literal(b, ",\"bidder\":");
    rt_json_string(b, e->user);
}


static void
rt_auction_publish_closed(rt_buf_t *b, const rt_auction_event_t *e)
{
    rt_auction_publish_head(b, "closed", e->price, e->leader, e->ends_at);
    rt_buf_literal(b, ",\"winner\":");
    rt_auction_view_string(b, e->leader);
    rt_buf_literal(b, ",\"paid\":");
    rt_auction_view_number(b, e->paid, e->leader.len != 0);
    rt_buf_literal(b, ",\"reason\":");
    rt_json_string(b, e->reason);
}


void
rt_auction_publish_describe(const rt_event_t *ev, rt_buf_t *b)
{
    rt_auction_event_t  e;

    rt_auction_event_read(ev, &e);

    switch (ev->type) {

    case RT_AUCTION_E_CREATED:
        rt_auction_publish_created(b, ev);
        break;

    case RT_AUCTION_E_OPENED:
        rt_auction_publish_head(b, "opened", e.price, e.leader, e.ends_at);
        break;

    case RT_AUCTION_E_BID:
        rt_auction_publish_bid(b, &e);
        break;

    case RT_AUCTION_E_SEALED:
        rt_auction_publish_hidden(b, "bid", e.ends_at);
        break;

    case RT_AUCTION_E_RETRACTED:
        rt_auction_publish_retracted(b, &e);
        break;

    case RT_AUCTION_E_PRICE:
        rt_auction_publish_head(b, "price", e.price, e.leader, e.ends_at);
        break;

    case RT_AUCTION_E_CLOSED:
        rt_auction_publish_closed(b, &e);
        break;

    case RT_AUCTION_E_CANCELLED:
        rt_auction_publish_hidden(b, "cancelled", e.ends_at);
        break;

    default:
        rt_buf_literal(b, "\"type\":\"unknown\"");
    }
}


void
rt_auction_publish_topic(rt_str_t entity, rt_buf_t *topic)
{
    rt_buf_literal(topic, "auction/");
    rt_buf_put(topic, entity.data, entity.len);
}


rt_uint_t
rt_auction_publish(const rt_event_t *ev, rt_uint_t index, rt_message_t *m)
{
    if (index > 0) {
        return 0;
    }

    rt_auction_publish_topic(ev->entity, &m->topic);

    rt_buf_literal(&m->body, "{");
    rt_auction_publish_describe(ev, &m->body);
    rt_buf_literal(&m->body, ",\"version\":");
    rt_buf_number(&m->body, (int64_t) ev->version);
    rt_buf_literal(&m->body, ",\"time\":");
    rt_buf_number(&m->body, (int64_t) ev->time_ms);
    rt_buf_literal(&m->body, "}");

    return 1;
}


static void
rt_auction_told_created(const rt_event_t *ev, rt_auction_told_t *t)
{
    rt_reader_t         r;
    rt_auction_terms_t  terms;

    rt_reader_init(&r, ev->data.data, ev->data.len);
    rt_auction_terms_load(&terms, &r, RT_AUCTION_TERMS);

    t->kind = terms.kind;
    t->currency = terms.currency;
    t->price = terms.start;
    t->start = terms.start;
    t->buy_now = terms.buy_now;
    t->starts_at = terms.starts_at;
    t->ends_at = terms.ends_at;
}


void
rt_auction_told(const rt_event_t *ev, rt_auction_told_t *t)
{
    rt_auction_event_t  e;

    memset(t, 0, sizeof(rt_auction_told_t));

    if (ev->type == RT_AUCTION_E_CREATED) {
        rt_auction_told_created(ev, t);
        return;
    }

    rt_auction_event_read(ev, &e);

    t->price = e.price;
    t->ends_at = e.ends_at;
    t->bids = e.bids;

    if (ev->type == RT_AUCTION_E_BID || ev->type == RT_AUCTION_E_RETRACTED) {
        t->leader = e.leader;
    }
}
