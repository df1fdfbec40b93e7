/*
 * All auctions that are open or will be: a projection of the auctions' events
 * for a shop's front page.  One entity, "all"; two lists in it, the open ones
 * by their end and the scheduled ones by their start.
 *
 * An item is in a table by name and in one of the lists.  A list is a sorted
 * array of pointers with free places at both ends: what begins last ends
 * last, mostly, so items come at the end and go at the front, and little is
 * moved.
 *
 * It knows only what rt_auction_told() tells; of sealed kinds neither price
 * nor leader is shown.  An auction whose beginning it has not seen is not in
 * it.
 */


#include "rt_auction.h"


#define RT_AUCTIONS_ID        129           /* of projections: from 128 */

/* a larger shop wants a database; some 200 bytes each */
#define RT_AUCTIONS_MAX       100000

#define RT_AUCTIONS_PAGE      50            /* unless "n" says otherwise */
#define RT_AUCTIONS_PAGE_MAX  200           /* of at most 2 KB each */

#define RT_AUCTIONS_MIN       64            /* places in a new list */


typedef struct rt_item_s  rt_item_t;


struct rt_item_s {
    rt_item_t          *next;               /* in its bucket */
    uint64_t            at;                 /* its place in its list */
    rt_uint_t           open;
    uint64_t            version;
    uint64_t            bids;
    int64_t             price;
    u_char             *leader;             /* owner; NULL: nobody */
    uint32_t            leader_len;

    uint8_t             kind;
    uint8_t             currency_len;
    u_char              currency[RT_AUCTION_CURRENCY_MAX];
    int64_t             start;
    int64_t             buy_now;
    uint64_t            starts_at;
    uint64_t            ends_at;

    uint32_t            hash;
    uint32_t            name_len;
    u_char              name[];
};


typedef struct {
    rt_item_t         **items;              /* owner, not of the items */
    size_t              first;
    size_t              n;
    size_t              max;
} rt_list_t;


typedef struct {
    rt_list_t           open;               /* by ends_at, name */
    rt_list_t           scheduled;          /* by starts_at, name */
    rt_item_t         **buckets;            /* owner of the items */
    uint32_t            mask;
    uint64_t            unlisted;           /* created while it was full */
} rt_auctions_t;


static rt_str_t
rt_item_name(const rt_item_t *item)
{
    rt_str_t  s = { item->name_len, item->name };

    return s;
}


/* lists */

static int
rt_item_compare(const rt_item_t *item, uint64_t at, rt_str_t name)
{
    int  rc;

    if (item->at != at) {
        return item->at < at ? -1 : 1;
    }

    rc = memcmp(item->name, name.data, rt_min(item->name_len, name.len));

    if (rc != 0) {
        return rc;
    }

    return item->name_len < name.len ? -1 : item->name_len > name.len;
}


/* how many are before (at, name) */

static size_t
rt_list_place(const rt_list_t *l, uint64_t at, rt_str_t name)
{
    size_t  low, high, mid;

    low = 0;
    high = l->n;

    while (low < high) {
        mid = (low + high) / 2;

        if (rt_item_compare(l->items[l->first + mid], at, name) < 0) {
            low = mid + 1;

        } else {
            high = mid;
        }
    }

    return low;
}


static void
rt_list_add(rt_list_t *l, rt_item_t *item)
{
    size_t       i;
    rt_item_t  **p;

    if (l->first + l->n == l->max) {

        if (l->first < l->max / 2 || l->max == 0) {
            l->max = rt_max(l->max * 2, RT_AUCTIONS_MIN);
            l->items = rt_realloc(l->items, l->max * sizeof(rt_item_t *));
        }

        if (l->first) {
            memmove(l->items, l->items + l->first,
                    l->n * sizeof(rt_item_t *));
            l->first = 0;
        }
    }

    i = rt_list_place(l, item->at, rt_item_name(item));
    p = l->items + l->first + i;

    memmove(p + 1, p, (l->n - i) * sizeof(rt_item_t *));
    *p = item;
    l->n++;
}


static void
rt_list_remove(rt_list_t *l, rt_item_t *item)
{
    size_t       i;
    rt_item_t  **p;

    i = rt_list_place(l, item->at, rt_item_name(item));
    p = l->items + l->first + i;

    rt_assert(i < l->n && *p == item);

    if (i == 0) {
        l->first++;

    } else {
        memmove(p, p + 1, (l->n - i - 1) * sizeof(rt_item_t *));
    }

    l->n--;
}


static void
rt_auctions_list(rt_auctions_t *a, rt_item_t *item, rt_uint_t open)
{
    item->open = open;
    item->at = open ? item->ends_at : item->starts_at;
    rt_list_add(open ? &a->open : &a->scheduled, item);
}


static void
rt_auctions_unlist(rt_auctions_t *a, rt_item_t *item)
{
    rt_list_remove(item->open ? &a->open : &a->scheduled, item);
}


/* the table */

static uint32_t
rt_auctions_hash(rt_str_t name)
{
    size_t    i;
    uint32_t  h;

    h = 2166136261u;

    for (i = 0; i < name.len; i++) {
        h = (h ^ name.data[i]) * 16777619u;
    }

    return h ^ h >> 15;
}


/* where the pointer to it is, or would be */

static rt_item_t **
rt_auctions_find(const rt_auctions_t *a, rt_str_t name)
{
    uint32_t     hash;
    rt_item_t  **p;

    hash = rt_auctions_hash(name);

    for (p = &a->buckets[hash & a->mask]; *p; p = &(*p)->next) {
        if ((*p)->hash == hash && rt_str_eq(rt_item_name(*p), name)) {
            break;
        }
    }

    return p;
}


static void
rt_auctions_double(rt_auctions_t *a)
{
    uint32_t     i, old;
    rt_item_t   *item, *next, **p, **buckets;

    old = a->mask;
    buckets = a->buckets;

    a->mask = old * 2 + 1;
    a->buckets = rt_calloc((a->mask + 1) * sizeof(rt_item_t *));

    for (i = 0; i <= old; i++) {
        for (item = buckets[i]; item; item = next) {
            next = item->next;
            p = &a->buckets[item->hash & a->mask];
            item->next = *p;
            *p = item;
        }
    }

    free(buckets);
}


static rt_item_t *
rt_auctions_add(rt_auctions_t *a, rt_str_t name)
{
    rt_item_t  *item, **p;

    if (a->open.n + a->scheduled.n > a->mask) {
        rt_auctions_double(a);
    }

    item = rt_calloc(sizeof(rt_item_t) + name.len);
    item->hash = rt_auctions_hash(name);
    item->name_len = (uint32_t) name.len;
    memcpy(item->name, name.data, name.len);

    p = &a->buckets[item->hash & a->mask];
    item->next = *p;
    *p = item;

    return item;
}


static void
rt_item_free(rt_item_t *item)
{
    free(item->leader);
    free(item);
}


/* life */

static void *
rt_auctions_create(void)
{
    rt_auctions_t  *a;

    a = rt_calloc(sizeof(rt_auctions_t));
    a->mask = RT_AUCTIONS_MIN - 1;
    a->buckets = rt_calloc(RT_AUCTIONS_MIN * sizeof(rt_item_t *));

    return a;
}


static void
rt_auctions_destroy(void *state)
{
    uint32_t        i;
    rt_item_t      *item, *next;
    rt_auctions_t  *a;

    a = state;

    for (i = 0; i <= a->mask; i++) {
        for (item = a->buckets[i]; item; item = next) {
            next = item->next;
            rt_item_free(item);
        }
    }

    free(a->buckets);
    free(a->open.items);
    free(a->scheduled.items);
    free(a);
}


/* events */

static rt_uint_t
rt_auctions_project(const rt_event_t *ev, rt_uint_t index, rt_buf_t *name)
{
    (void) ev;

    rt_buf_literal(name, "all");

    return index == 0;
}


static void
rt_item_lead(rt_item_t *item, rt_str_t leader)
{
    if (leader.len > item->leader_len) {
        item->leader = rt_realloc(item->leader, leader.len);
    }

    item->leader_len = (uint32_t) leader.len;

    if (leader.len) {
        memcpy(item->leader, leader.data, leader.len);
    }
}


static rt_uint_t
rt_item_sealed(const rt_item_t *item)
{
    return item->kind == RT_AUCTION_SEALED_FIRST
           || item->kind == RT_AUCTION_VICKREY;
}


static void
rt_auctions_created(rt_auctions_t *a, const rt_event_t *ev,
    const rt_auction_told_t *t)
{
    rt_item_t  *item;

    if (a->open.n + a->scheduled.n >= RT_AUCTIONS_MAX) {
        a->unlisted++;
        return;
    }

    item = rt_auctions_add(a, ev->entity);

    item->version = ev->version;
    item->kind = (uint8_t) t->kind;
    item->currency_len = (uint8_t) rt_min(t->currency.len,
                                          RT_AUCTION_CURRENCY_MAX);
    memcpy(item->currency, t->currency.data, item->currency_len);
    item->price = t->price;
    item->start = t->start;
    item->buy_now = t->buy_now;
    item->starts_at = t->starts_at;
    item->ends_at = t->ends_at;

    rt_auctions_list(a, item, t->starts_at <= ev->time_ms);
}


static void
rt_auctions_changed(rt_auctions_t *a, rt_item_t *item, const rt_event_t *ev,
    const rt_auction_told_t *t)
{
    item->version = ev->version;

    switch (ev->type) {

    case RT_AUCTION_E_OPENED:
    case RT_AUCTION_E_PRICE:
        item->price = t->price;
        break;

    case RT_AUCTION_E_BID:
        item->price = t->price;
        item->bids = t->bids;
        rt_item_lead(item, t->leader);
        break;

    case RT_AUCTION_E_SEALED:
        item->bids++;
        break;

    case RT_AUCTION_E_RETRACTED:
        item->price = t->price;
        rt_item_lead(item, t->leader);
        break;
    }

    if (t->ends_at != item->ends_at || ev->type == RT_AUCTION_E_OPENED) {
        rt_auctions_unlist(a, item);
        item->ends_at = t->ends_at;
        rt_auctions_list(a, item, 1);
    }
}


static void
rt_auctions_apply(void *state, const rt_event_t *ev)
{
    rt_item_t          **p, *item;
    rt_auctions_t       *a;
    rt_auction_told_t    t;

    a = state;
    rt_auction_told(ev, &t);

    if (ev->type == RT_AUCTION_E_CREATED) {
        rt_auctions_created(a, ev, &t);
        return;
    }

    p = rt_auctions_find(a, ev->entity);
    item = *p;

    if (item == NULL) {
        return;                             /* its beginning was not seen */
    }

    if (ev->type != RT_AUCTION_E_CLOSED
        && ev->type != RT_AUCTION_E_CANCELLED)
    {
        rt_auctions_changed(a, item, ev, &t);
        return;
    }

    rt_auctions_unlist(a, item);
    *p = item->next;
    rt_item_free(item);
}


/* views */

static void
rt_item_put(const rt_item_t *item, rt_buf_t *b)
{
    rt_str_t  currency = { item->currency_len, item->currency };
    rt_str_t  leader = { item->leader_len, item->leader };

    rt_buf_literal(b, "{\"auction\":");
    rt_json_string(b, rt_item_name(item));
    rt_buf_printf(b, ",\"kind\":\"%s\",\"currency\":",
                  rt_auction_kinds[item->kind]);
    rt_json_string(b, currency);

    rt_buf_literal(b, ",\"price\":");

    if (rt_item_sealed(item)) {
        rt_buf_literal(b, "null,\"leader\":null");

    } else {
        rt_buf_number(b, item->price);
        rt_buf_literal(b, ",\"leader\":");

        if (leader.len) {
            rt_json_string(b, leader);
        } else {
            rt_buf_literal(b, "null");
        }
    }

    rt_buf_printf(b, ",\"bids\":%llu,\"start\":%lld,\"buy_now\":",
                  (unsigned long long) item->bids, (long long) item->start);

    if (item->buy_now) {
        rt_buf_number(b, item->buy_now);
    } else {
        rt_buf_literal(b, "null");
    }

    rt_buf_printf(b, ",\"starts_at\":%llu,\"ends_at\":%llu,\"version\":%llu}",
                  (unsigned long long) item->starts_at,
                  (unsigned long long) item->ends_at,
                  (unsigned long long) item->version);
}


/*
 * "after" is the last item of the page before, "<at>-<name>".  RT_OK, and at
 * is 0 if it was not given.
 */

static rt_int_t
rt_auctions_after(const rt_input_t *in, uint64_t *at, u_char *buf, size_t size,
    rt_str_t *name)
{
    size_t    i, len;
    rt_int_t  rc;

    *at = 0;
    name->data = buf;
    name->len = 0;

    rc = rt_arg(in->args, "after", buf, size, &len);

    if (rc == RT_DECLINED || (rc == RT_OK && len == 0)) {
        return RT_OK;
    }

    for (i = 0; rc == RT_OK && i < len && buf[i] != '-'; i++) {

        if (buf[i] < '0' || buf[i] > '9' || i == 15) {
            return RT_ERROR;
        }

        *at = *at * 10 + (buf[i] - '0');
    }

    if (rc != RT_OK || i == 0 || i == len) {
        return RT_ERROR;
    }

    name->data = buf + i + 1;
    name->len = len - i - 1;

    return RT_OK;
}


static void
rt_auctions_page(const rt_auctions_t *a, const rt_list_t *l, size_t from,
    const rt_input_t *in, rt_output_t *out)
{
    size_t      i;
    u_char      after[256];
    int64_t     n;
    rt_buf_t   *b;
    rt_str_t    name, key;
    uint64_t    at;
    rt_buf_t    next;

    n = RT_AUCTIONS_PAGE;

    if (rt_auctions_after(in, &at, after, sizeof(after), &name) != RT_OK
        || rt_arg_number(in->args, "n", &n) == RT_ERROR
        || n < 1 || n > RT_AUCTIONS_PAGE_MAX)
    {
        rt_refuse(out, 400, "bad_argument", "\"n\" is a number from 1 to %d, "
                  "\"after\" is \"next\" of the page before",
                  RT_AUCTIONS_PAGE_MAX);
        return;
    }

    i = from;

    if (at) {
        i = rt_list_place(l, at, name);

        if (i < l->n && rt_item_compare(l->items[l->first + i], at, name) == 0)
        {
            i++;
        }

        i = rt_max(i, from);
    }

    b = &out->body;
    out->status = 200;

    rt_buf_literal(b, "{\"auctions\":[");

    for ( /* void */ ; n > 0 && i < l->n; n--, i++) {
        if (*(b->last - 1) != '[') {
            rt_buf_literal(b, ",");
        }

        rt_item_put(l->items[l->first + i], b);
    }

    rt_buf_literal(b, "],\"next\":");

    if (i < l->n) {
        memset(&next, 0, sizeof(rt_buf_t));
        key = rt_item_name(l->items[l->first + i - 1]);

        rt_buf_number(&next, (int64_t) l->items[l->first + i - 1]->at);
        rt_buf_literal(&next, "-");
        rt_buf_put(&next, key.data, key.len);

        rt_json_string(b, rt_buf_str(&next));
        rt_buf_free(&next);

    } else {
        rt_buf_literal(b, "null");
    }

    rt_buf_printf(b, ",\"count\":%zu,\"unlisted\":%llu,\"since\":%llu,"
                  "\"time\":%llu}", l->n - from,
                  (unsigned long long) a->unlisted,
                  (unsigned long long) in->since,
                  (unsigned long long) in->time_ms);
}


static void
rt_auctions_query(const void *state, const rt_input_t *in, rt_output_t *out)
{
    size_t                from;
    rt_str_t              none = rt_string("");
    const rt_auctions_t  *a;

    a = state;

    if (!rt_str_is(in->entity, "all")) {
        rt_refuse(out, 404, "not_found", "there is \"all\" and no other");

    } else if (rt_str_is(in->name, "open")) {

        /* those that are over, and will be closed in a moment */

        from = rt_list_place(&a->open, in->time_ms + 1, none);
        rt_auctions_page(a, &a->open, from, in, out);

    } else if (rt_str_is(in->name, "scheduled")) {
        rt_auctions_page(a, &a->scheduled, 0, in, out);

    } else {
        rt_refuse(out, 404, "unknown_query", "auctions know open and "
                  "scheduled");
    }
}


/* snapshot */

static void
rt_list_save(const rt_list_t *l, rt_buf_t *b)
{
    size_t            i;
    const rt_item_t  *item;

    rt_buf_put64(b, l->n);

    for (i = 0; i < l->n; i++) {
        item = l->items[l->first + i];

        rt_buf_put_str(b, rt_item_name(item));
        rt_buf_put64(b, item->version);
        rt_buf_put64(b, item->bids);
        rt_buf_put64(b, (uint64_t) item->price);
        rt_buf_put_str(b, (rt_str_t) { item->leader_len, item->leader });
        rt_buf_put8(b, item->kind);
        rt_buf_put_str(b, (rt_str_t) { item->currency_len, item->currency });
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
    rt_list_save(&a->open, b);
    rt_list_save(&a->scheduled, b);
}


static rt_int_t
rt_auctions_load(rt_auctions_t *a, rt_uint_t open, rt_reader_t *r)
{
    uint64_t    n;
    rt_str_t    currency;
    rt_item_t  *item;

    for (n = rt_read64(r); n && !r->bad; n--) {
        item = rt_auctions_add(a, rt_read_str(r));

        item->version = rt_read64(r);
        item->bids = rt_read64(r);
        item->price = (int64_t) rt_read64(r);
        rt_item_lead(item, rt_read_str(r));
        item->kind = rt_read8(r) & 3;
        currency = rt_read_str(r);
        item->start = (int64_t) rt_read64(r);
        item->buy_now = (int64_t) rt_read64(r);
        item->starts_at = rt_read64(r);
        item->ends_at = rt_read64(r);

        item->currency_len = (uint8_t) rt_min(currency.len,
                                              RT_AUCTION_CURRENCY_MAX);
        memcpy(item->currency, currency.data, item->currency_len);

        rt_auctions_list(a, item, open);
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
    .create = rt_auctions_create,
    .destroy = rt_auctions_destroy,
    .apply = rt_auctions_apply,
    .query = rt_auctions_query,
    .snapshot = rt_auctions_snapshot,
    .restore = rt_auctions_restore
};
