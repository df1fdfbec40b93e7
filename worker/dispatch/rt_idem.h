/*
 * The idempotency table: the first answer to a key, given again.
 *
 * Keys are scoped to engine, entity and user, and kept as 128-bit hashes.
 * They go when they are too old by the journal's time.  When there are too
 * many, or their answers take too many bytes, the oldest of the user who has
 * the most goes: whoever fills the table loses his own.  All of that follows
 * from the journal alone, so a replay has the same table.
 */


#ifndef _RT_IDEM_H_INCLUDED_
#define _RT_IDEM_H_INCLUDED_


#include "rt_heap.h"
#include "rt_table.h"


#define RT_IDEM_KEY      16
#define RT_IDEM_MAX      100000             /* answers */
#define RT_IDEM_BYTES    (64 * 1024 * 1024) /* of their bodies */
#define RT_IDEM_AGE_MS   (24 * 3600 * 1000) /* a client gives up before */


typedef struct rt_idem_s       rt_idem_t;
typedef struct rt_idem_user_s  rt_idem_user_t;


struct rt_idem_s {
    rt_table_node_t  node;                  /* by key */
    rt_idem_t       *next;                  /* of all, by age */
    rt_idem_t       *prev;
    rt_idem_t       *user_next;             /* of its user, by age */
    rt_idem_user_t  *owner;

    u_char           key[RT_IDEM_KEY];
    uint64_t         user;                  /* a hash of the name */
    uint64_t         request;               /* keyed hash: command and body */
    uint64_t         time_ms;
    uint64_t         version;
    uint64_t         seq;                   /* where the answer is journaled */
    uint32_t         status;
    uint32_t         len;
    u_char          *body;                  /* of the same allocation */
};


/* the answers of a user */

struct rt_idem_user_s {
    rt_table_node_t  node;                  /* by the hash */
    rt_heap_node_t   place;                 /* who has the most comes first */
    rt_idem_t       *first;
    rt_idem_t       *last;
    uint64_t         user;
    size_t           share;                 /* keys and bytes, together */
};


typedef struct {
    rt_table_t       table;
    rt_table_t       users;
    rt_heap_t        heap;                  /* of users */
    rt_idem_t       *first;                 /* all, by age */
    rt_idem_t       *last;
    size_t           n;
    size_t           max;
    size_t           bytes;
    size_t           bytes_max;
    uint64_t         age_ms;
} rt_idems_t;


void rt_idem_init(rt_idems_t *t, size_t max, size_t bytes_max,
    uint64_t age_ms);
void rt_idem_free(rt_idems_t *t);

void rt_idem_key(u_char *key, rt_uint_t engine, rt_str_t entity, rt_str_t user,
    rt_str_t name);
uint64_t rt_idem_user(rt_str_t user);

/* keyed: a body may hold a secret, such as a sealed bid's amount */
uint64_t rt_idem_request(const u_char *secret, rt_str_t command,
    rt_str_t body);

rt_idem_t *rt_idem_find(rt_idems_t *t, const u_char *key, uint64_t now_ms);

/* takes from *i all but body, which is copied from data */
void rt_idem_add(rt_idems_t *t, const rt_idem_t *i, const u_char *data);

void rt_idem_save(const rt_idems_t *t, rt_buf_t *b);
rt_int_t rt_idem_restore(rt_idems_t *t, rt_reader_t *r);

/* a record's data */
void rt_idem_encode(const rt_idem_t *i, const u_char *body, rt_buf_t *b);
rt_int_t rt_idem_decode(rt_idem_t *i, rt_reader_t *r, rt_str_t *body);


#endif /* _RT_IDEM_H_INCLUDED_ */
