/*
 * An auction's events in bytes: one table with the members of each type, in
 * the order in which the journal has them.
 *
 * decide() fills an rt_auction_event_t and emits it; apply(), describe() and
 * told() read the bytes back into one.  Types and layouts are for ever: a
 * member that is added makes a new version of its type, and an upcaster in
 * rt_auction_engine.lift.
 *
 * "created" is not in the table: its data are the terms (rt_auction_terms.c).
 */


#include "rt_auction_private.h"


/* of the longest event, "bid": five numbers and two users */
#define RT_AUCTION_EVENT_MAX  (5 * 8 + 2 * (4 + RT_AUCTION_USER_MAX))


typedef enum {
    RT_AUCTION_MEMBER_END = 0,
    RT_AUCTION_MEMBER_NUMBER,               /* 8 bytes */
    RT_AUCTION_MEMBER_STRING,               /* length and bytes */
    RT_AUCTION_MEMBER_FLAG,                 /* 1 byte */
    RT_AUCTION_MEMBER_BOX                   /* RT_AUCTION_SEALED_SIZE bytes */
} rt_auction_member_type_e;


typedef struct {
    rt_auction_member_type_e  type;
    size_t                    offset;       /* in rt_auction_event_t */
} rt_auction_member_t;


#define RT_AUCTION_MEMBERS_MAX  8           /* with the end */

#define rt_auction_number(m)                                                  \
    { RT_AUCTION_MEMBER_NUMBER, offsetof(rt_auction_event_t, m) }
#define rt_auction_string(m)                                                  \
    { RT_AUCTION_MEMBER_STRING, offsetof(rt_auction_event_t, m) }
#define rt_auction_flag(m)                                                    \
    { RT_AUCTION_MEMBER_FLAG, offsetof(rt_auction_event_t, m) }
#define rt_auction_box(m)                                                     \
    { RT_AUCTION_MEMBER_BOX, offsetof(rt_auction_event_t, m) }


static const rt_auction_member_t
    rt_auction_event_members[RT_AUCTION_EVENT_TYPES][RT_AUCTION_MEMBERS_MAX] =
{
    [RT_AUCTION_E_OPENED] = {
        rt_auction_number(price),
        rt_auction_number(ends_at)
    },

    [RT_AUCTION_E_BID] = {
        rt_auction_number(amount),
        rt_auction_number(max),
        rt_auction_number(price),
        rt_auction_number(ends_at),
        rt_auction_number(bids),
        rt_auction_string(user),
        rt_auction_string(leader)
    },

    [RT_AUCTION_E_SEALED] = {
        rt_auction_number(ends_at),
        rt_auction_string(user),
        rt_auction_box(box)
    },

    [RT_AUCTION_E_RETRACTED] = {
        rt_auction_number(price),
        rt_auction_number(ends_at),
        rt_auction_string(user),
        rt_auction_string(leader),
        rt_auction_flag(sealed)
    },

    [RT_AUCTION_E_PRICE] = {
        rt_auction_number(price),
        rt_auction_number(ends_at),
        rt_auction_number(steps)
    },

    [RT_AUCTION_E_CLOSED] = {
        rt_auction_number(price),
        rt_auction_number(paid),
        rt_auction_number(ends_at),
        rt_auction_string(leader),
        rt_auction_string(reason)
    },

    [RT_AUCTION_E_CANCELLED] = {
        rt_auction_number(ends_at)
    }
};


/* today's version of each type */

const uint8_t  rt_auction_event_versions[RT_AUCTION_EVENT_TYPES] = {
    [RT_AUCTION_E_CREATED] = RT_AUCTION_TERMS,
    [RT_AUCTION_E_OPENED] = 1,
    [RT_AUCTION_E_BID] = 1,
    [RT_AUCTION_E_SEALED] = 1,
    [RT_AUCTION_E_RETRACTED] = 1,
    [RT_AUCTION_E_PRICE] = 1,
    [RT_AUCTION_E_CLOSED] = 1,
    [RT_AUCTION_E_CANCELLED] = 1
};


static u_char *
rt_auction_event_put(u_char *p, rt_auction_member_type_e type, const void *at)
{
    uint64_t       n;
    rt_str_t       s;
    const u_char  *box;

    switch (type) {

    case RT_AUCTION_MEMBER_NUMBER:
        memcpy(&n, at, sizeof(n));
        return rt_set64(p, n);

    case RT_AUCTION_MEMBER_STRING:
        memcpy(&s, at, sizeof(s));
        rt_assert(s.len <= RT_AUCTION_USER_MAX);

        p = rt_set32(p, (uint32_t) s.len);

        if (s.len) {
            memcpy(p, s.data, s.len);
        }

        return p + s.len;

    case RT_AUCTION_MEMBER_FLAG:
        *p = *(const uint8_t *) at;
        return p + 1;

    default:
        rt_assert(type == RT_AUCTION_MEMBER_BOX);
        memcpy(&box, at, sizeof(box));
        memcpy(p, box, RT_AUCTION_SEALED_SIZE);
        return p + RT_AUCTION_SEALED_SIZE;
    }
}


static void
rt_auction_event_get(rt_reader_t *r, rt_auction_member_type_e type, void *at)
{
    uint64_t       n;
    rt_str_t       s;
    const u_char  *box;

    switch (type) {

    case RT_AUCTION_MEMBER_NUMBER:
        n = rt_read64(r);
        memcpy(at, &n, sizeof(n));
        break;

    case RT_AUCTION_MEMBER_STRING:
        s = rt_read_str(r);
        memcpy(at, &s, sizeof(s));
        break;

    case RT_AUCTION_MEMBER_FLAG:
        *(uint8_t *) at = rt_read8(r);
        break;

    default:
        rt_assert(type == RT_AUCTION_MEMBER_BOX);
        box = rt_read(r, RT_AUCTION_SEALED_SIZE);
        memcpy(at, &box, sizeof(box));
    }
}


void
rt_auction_event_emit(rt_output_t *out, rt_auction_event_e type,
    const rt_auction_event_t *e)
{
    u_char                     *p, data[RT_AUCTION_EVENT_MAX];
    const rt_auction_member_t  *m;

    rt_assert(type < RT_AUCTION_EVENT_TYPES && type != RT_AUCTION_E_CREATED);

    p = data;

    for (m = rt_auction_event_members[type]; m->type; m++) {
        p = rt_auction_event_put(p, m->type, (const u_char *) e + m->offset);
    }

    rt_assert((size_t) (p - data) <= sizeof(data));

    rt_emit(out, type, rt_auction_event_versions[type], data,
            (size_t) (p - data));
}


void
rt_auction_event_read(const rt_event_t *ev, rt_auction_event_t *e)
{
    rt_reader_t                 r;
    const rt_auction_member_t  *m;

    memset(e, 0, sizeof(rt_auction_event_t));
    rt_reader_init(&r, ev->data.data, ev->data.len);

    if (ev->type >= RT_AUCTION_EVENT_TYPES) {
        return;
    }

    for (m = rt_auction_event_members[ev->type]; m->type; m++) {
        rt_auction_event_get(&r, m->type, (u_char *) e + m->offset);
    }
}
