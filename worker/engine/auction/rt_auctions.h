/*
 * What the files of the list of auctions share.
 *
 *   rt_auctions.c           the engine: events change the list; snapshots
 *   rt_auctions_list.c      the items, by name and in order
 *   rt_auctions_view.c      the pages
 *
 * They know of an auction what rt_auction.h says and nothing else: they do not
 * include rt_auction_private.h.
 */


#ifndef _RT_AUCTIONS_H_INCLUDED_
#define _RT_AUCTIONS_H_INCLUDED_


#include "rt_auction.h"
#include "rt_table.h"


/* a larger shop wants a database; some 200 bytes each */
#define RT_AUCTIONS_MAX  100000


typedef struct rt_auctions_item_s  rt_auctions_item_t;


struct rt_auctions_item_s {
    rt_table_node_t       node;             /* by its name */
    uint64_t              at;               /* its place in its list */
    rt_uint_t             open;
    uint64_t              version;
    uint64_t              bids;
    int64_t               price;
    u_char               *leader;           /* owner; NULL: nobody */
    uint32_t              leader_len;

    uint8_t               kind;
    uint8_t               currency_len;
    u_char                currency[RT_AUCTION_CURRENCY_MAX];
    int64_t               start;
    int64_t               buy_now;
    uint64_t              starts_at;
    uint64_t              ends_at;

    uint32_t              name_len;
    u_char                name[];
};


typedef struct {
    rt_auctions_item_t  **items;            /* owner, of the items too */
    size_t                first;
    size_t                n;
    size_t                max;
} rt_auctions_list_t;


typedef struct {
    rt_auctions_list_t    open;             /* by ends_at, name */
    rt_auctions_list_t    scheduled;        /* by starts_at, name */
    rt_table_t            table;            /* of the items of both */
    uint64_t              unlisted;         /* created while it was full */
} rt_auctions_t;


/* rt_auctions_list.c */

void *rt_auctions_list_create(void);
void rt_auctions_list_destroy(void *state);

rt_auctions_item_t *rt_auctions_list_find(const rt_auctions_t *a,
    rt_str_t name);

/* a new item, in no list yet; its name is in the table */
rt_auctions_item_t *rt_auctions_list_add(rt_auctions_t *a, rt_str_t name);

/* out of its list and of the table, and freed */
void rt_auctions_list_remove(rt_auctions_t *a, rt_auctions_item_t *item);

/* into a list, by the item's time; out of the one it is in */
void rt_auctions_list_insert(rt_auctions_t *a, rt_auctions_item_t *item,
    rt_uint_t open);
void rt_auctions_list_take(rt_auctions_t *a, rt_auctions_item_t *item);

/* how many items of a list are before (at, name) */
size_t rt_auctions_list_place(const rt_auctions_list_t *l, uint64_t at,
    rt_str_t name);

/* less than, equal to or greater than 0, as memcmp() */
int rt_auctions_list_compare(const rt_auctions_item_t *item, uint64_t at,
    rt_str_t name);


/* rt_auctions_view.c */

void rt_auctions_view_query(const void *state, const rt_input_t *in,
    rt_output_t *out);


static inline rt_str_t
rt_auctions_item_name(const rt_auctions_item_t *item)
{
    rt_str_t  s = { item->name_len, item->name };

    return s;
}


static inline rt_str_t
rt_auctions_item_leader(const rt_auctions_item_t *item)
{
    rt_str_t  s = { item->leader_len, item->leader };

    return s;
}


static inline rt_str_t
rt_auctions_item_currency(const rt_auctions_item_t *item)
{
    rt_str_t  s = { item->currency_len, item->currency };

    return s;
}


static inline rt_auctions_item_t *
rt_auctions_list_at(const rt_auctions_list_t *l, size_t i)
{
    rt_assert(i < l->n);

    return l->items[l->first + i];
}


#endif /* _RT_AUCTIONS_H_INCLUDED_ */
