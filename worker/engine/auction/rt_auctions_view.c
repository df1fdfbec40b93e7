/*
 * The pages of the list of auctions: "open" by end, "scheduled" by start.
 *
 * A page ends with "next", the time and the name of its last item.  The next
 * page begins behind that place, whether or not the item is still there, so a
 * list that changes in between loses nothing that stays where it is.
 *
 * Of sealed kinds neither price nor leader is shown.
 */


#include "rt_auctions.h"


#define RT_AUCTIONS_PAGE         50         /* unless "n" says otherwise */
#define RT_AUCTIONS_PAGE_MAX     200        /* of at most 2 KB each */
#define RT_AUCTIONS_AT_DIGITS    15
#define RT_AUCTIONS_AFTER_MAX    256


/* the arguments of a query */

typedef struct {
    int64_t   n;
    uint64_t  at;                           /* 0: from the beginning */
    rt_str_t  name;                         /* in "buf" */
    u_char    buf[RT_AUCTIONS_AFTER_MAX];
} rt_auctions_page_t;


static rt_uint_t
rt_auctions_view_hidden(const rt_auctions_item_t *item)
{
    return item->kind == RT_AUCTION_SEALED_FIRST
           || item->kind == RT_AUCTION_VICKREY;
}


static void
rt_auctions_view_standing(const rt_auctions_item_t *item, rt_buf_t *b)
{
    if (rt_auctions_view_hidden(item)) {
        rt_buf_literal(b, ",\"price\":null,\"leader\":null");
        return;
    }

    rt_buf_literal(b, ",\"price\":");
    rt_buf_number(b, item->price);
    rt_buf_literal(b, ",\"leader\":");

    if (item->leader_len) {
        rt_json_string(b, rt_auctions_item_leader(item));
    } else {
        rt_buf_literal(b, "null");
    }
}


static void
rt_auctions_view_item(const rt_auctions_item_t *item, rt_buf_t *b)
{
    rt_buf_literal(b, "{\"auction\":");
    rt_json_string(b, rt_auctions_item_name(item));
    rt_buf_printf(b, ",\"kind\":\"%s\",\"currency\":",
                  rt_auction_kinds[item->kind]);
    rt_json_string(b, rt_auctions_item_currency(item));

    rt_auctions_view_standing(item, b);

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


/* "after": "next" of the page before, "<at>-<name>" */

static rt_int_t
rt_auctions_view_after(rt_str_t args, rt_auctions_page_t *page)
{
    size_t    i, len;
    u_char   *p;
    rt_int_t  rc;

    p = page->buf;

    page->at = 0;
    page->name.data = p;
    page->name.len = 0;

    rc = rt_arg(args, "after", p, sizeof(page->buf), &len);

    if (rc == RT_DECLINED || (rc == RT_OK && len == 0)) {
        return RT_OK;
    }

    for (i = 0; rc == RT_OK && i < len && p[i] != '-'; i++) {

        if (p[i] < '0' || p[i] > '9' || i == RT_AUCTIONS_AT_DIGITS) {
            return RT_ERROR;
        }

        page->at = page->at * 10 + (p[i] - '0');
    }

    if (rc != RT_OK || i == 0 || i == len) {
        return RT_ERROR;
    }

    page->name.data = p + i + 1;
    page->name.len = len - i - 1;

    return RT_OK;
}


static rt_int_t
rt_auctions_view_arguments(rt_str_t args, rt_auctions_page_t *page)
{
    page->n = RT_AUCTIONS_PAGE;

    if (rt_auctions_view_after(args, page) != RT_OK
        || rt_arg_number(args, "n", &page->n) == RT_ERROR
        || page->n < 1 || page->n > RT_AUCTIONS_PAGE_MAX)
    {
        return RT_ERROR;
    }

    return RT_OK;
}


/* the place of the first item of a page */

static size_t
rt_auctions_view_first(const rt_auctions_list_t *l, size_t from,
    const rt_auctions_page_t *page)
{
    size_t  i;

    if (page->at == 0) {
        return from;
    }

    i = rt_auctions_list_place(l, page->at, page->name);

    if (i < l->n
        && rt_auctions_list_compare(rt_auctions_list_at(l, i), page->at,
                                    page->name)
           == 0)
    {
        i++;
    }

    return rt_max(i, from);
}


/* the items from i on, and "next"; at most n */

static void
rt_auctions_view_items(const rt_auctions_list_t *l, size_t i, int64_t n,
    rt_buf_t *b)
{
    rt_buf_t                   next;
    const rt_auctions_item_t  *item;

    item = NULL;

    rt_buf_literal(b, "{\"auctions\":[");

    for ( /* void */ ; n > 0 && i < l->n; n--, i++) {
        if (item) {
            rt_buf_literal(b, ",");
        }

        item = rt_auctions_list_at(l, i);
        rt_auctions_view_item(item, b);
    }

    rt_buf_literal(b, "],\"next\":");

    if (i >= l->n) {
        rt_buf_literal(b, "null");
        return;
    }

    rt_assert(item != NULL);                /* n is at least 1 */

    memset(&next, 0, sizeof(rt_buf_t));
    rt_buf_number(&next, (int64_t) item->at);
    rt_buf_literal(&next, "-");
    rt_buf_put(&next, item->name, item->name_len);

    rt_json_string(b, rt_buf_str(&next));
    rt_buf_free(&next);
}


/* items before "from" are passed over, and not counted */

static void
rt_auctions_view_page(const rt_auctions_t *a, const rt_auctions_list_t *l,
    size_t from, const rt_input_t *in, rt_output_t *out)
{
    rt_auctions_page_t  page;

    if (rt_auctions_view_arguments(in->args, &page) != RT_OK) {
        rt_refuse(out, 400, "bad_argument", "\"n\" is a number from 1 to %d, "
                  "\"after\" is \"next\" of the page before",
                  RT_AUCTIONS_PAGE_MAX);
        return;
    }

    rt_assert(from <= l->n);

    out->status = 200;
    rt_auctions_view_items(l, rt_auctions_view_first(l, from, &page), page.n,
                           &out->body);

    rt_buf_printf(&out->body, ",\"count\":%zu,\"unlisted\":%llu,"
                  "\"since\":%llu,\"time\":%llu}", l->n - from,
                  (unsigned long long) a->unlisted,
                  (unsigned long long) in->since,
                  (unsigned long long) in->time_ms);
}


void
rt_auctions_view_query(const void *state, const rt_input_t *in,
    rt_output_t *out)
{
    size_t                from;
    rt_str_t              none = rt_string("");
    const rt_auctions_t  *a;

    a = state;

    if (!rt_str_is(in->entity, "all")) {
        rt_refuse(out, 404, "not_found", "there is \"all\" and no other");

    } else if (rt_str_is(in->name, "open")) {

        /* those that are over are closed in a moment */

        from = rt_auctions_list_place(&a->open, in->time_ms + 1, none);
        rt_auctions_view_page(a, &a->open, from, in, out);

    } else if (rt_str_is(in->name, "scheduled")) {
        rt_auctions_view_page(a, &a->scheduled, 0, in, out);

    } else {
        rt_refuse(out, 404, "unknown_query", "auctions know open and "
                  "scheduled");
    }
}
