/*
 * Tables of answers by key and of users by name, a list of all answers and one
 * of each user's, both by age, and a heap of users by what they have.
 */


#include <sodium.h>

#include "rt_engine.h"
#include "rt_idem.h"


#define RT_IDEM_BUCKETS  64                 /* to begin with */

/* of two users that have as much, the one with the older answer comes first */
#define RT_IDEM_SEQ_BITS  24


static void rt_idem_drop(rt_idems_t *t, rt_idem_user_t *u);


void
rt_idem_init(rt_idems_t *t, size_t max, size_t bytes_max, uint64_t age_ms)
{
    memset(t, 0, sizeof(rt_idems_t));

    t->max = max;
    t->bytes_max = bytes_max;
    t->age_ms = age_ms;
    rt_table_init(&t->table, RT_IDEM_BUCKETS);
    rt_table_init(&t->users, RT_IDEM_BUCKETS);
}


void
rt_idem_free(rt_idems_t *t)
{
    while (t->first) {
        rt_idem_drop(t, t->first->owner);
    }

    rt_table_free(&t->table);
    rt_table_free(&t->users);
    rt_heap_free(&t->heap);
    memset(t, 0, sizeof(rt_idems_t));
}


static void
rt_idem_hash_str(crypto_generichash_state *st, rt_str_t s)
{
    u_char  len[8];

    rt_set64(len, s.len);
    crypto_generichash_update(st, len, sizeof(len));
    crypto_generichash_update(st, s.data, s.len);
}


void
rt_idem_key(u_char *key, rt_uint_t engine, rt_str_t entity, rt_str_t user,
    rt_str_t name)
{
    u_char                    id;
    crypto_generichash_state  st;

    id = (u_char) engine;

    crypto_generichash_init(&st, NULL, 0, RT_IDEM_KEY);
    crypto_generichash_update(&st, &id, 1);
    rt_idem_hash_str(&st, entity);
    rt_idem_hash_str(&st, user);
    rt_idem_hash_str(&st, name);
    crypto_generichash_final(&st, key, RT_IDEM_KEY);
}


uint64_t
rt_idem_user(rt_str_t user)
{
    u_char  hash[crypto_generichash_BYTES_MIN];

    crypto_generichash(hash, sizeof(hash), user.data, user.len, NULL, 0);

    return rt_get64(hash);
}


uint64_t
rt_idem_request(const u_char *secret, rt_str_t command, rt_str_t body)
{
    u_char                    hash[16];
    crypto_generichash_state  st;

    static const rt_str_t  purpose = rt_string("idempotent request");

    crypto_generichash_init(&st, secret, RT_SECRET_SIZE, sizeof(hash));
    rt_idem_hash_str(&st, purpose);
    rt_idem_hash_str(&st, command);
    rt_idem_hash_str(&st, body);
    crypto_generichash_final(&st, hash, sizeof(hash));

    return rt_get64(hash);
}


static rt_idem_t *
rt_idem_get(const rt_idems_t *t, const u_char *key, uint64_t hash)
{
    rt_idem_t        *e;
    rt_table_node_t  *n;

    for (n = rt_table_first(&t->table, hash); n; n = rt_table_next(n)) {
        e = rt_item(n, rt_idem_t, node);

        if (memcmp(e->key, key, RT_IDEM_KEY) == 0) {
            return e;
        }
    }

    return NULL;
}


static rt_idem_user_t *
rt_idem_user_get(rt_idems_t *t, uint64_t user)
{
    uint64_t          hash;
    rt_idem_user_t   *u;
    rt_table_node_t  *n;

    hash = rt_table_hash_number(&t->users, user);

    for (n = rt_table_first(&t->users, hash); n; n = rt_table_next(n)) {
        u = rt_item(n, rt_idem_user_t, node);

        if (u->user == user) {
            return u;
        }
    }

    u = rt_calloc(sizeof(rt_idem_user_t));
    u->user = user;
    rt_table_add(&t->users, &u->node, hash);

    return u;
}


/* what an answer takes of both limits */

static size_t
rt_idem_share(const rt_idems_t *t, const rt_idem_t *e)
{
    return t->bytes_max / t->max + 1 + e->len;
}


static void
rt_idem_place(rt_idems_t *t, rt_idem_user_t *u)
{
    uint64_t  at;

    if (u->first == NULL) {
        rt_heap_delete(&t->heap, &u->place);
        rt_table_delete(&t->users, &u->node);
        free(u);
        return;
    }

    at = UINT64_MAX >> RT_IDEM_SEQ_BITS;
    at -= rt_min(u->share >> 4, at);

    rt_heap_set(&t->heap, &u->place, (at << RT_IDEM_SEQ_BITS)
                | (u->first->seq & ((1 << RT_IDEM_SEQ_BITS) - 1)));
}


/* the oldest of a user */

static void
rt_idem_drop(rt_idems_t *t, rt_idem_user_t *u)
{
    rt_idem_t  *e;

    e = u->first;

    rt_assert(e && e->owner == u && t->bytes >= e->len);

    u->first = e->user_next;
    u->share -= rt_idem_share(t, e);
    rt_idem_place(t, u);

    if (e->prev) {
        e->prev->next = e->next;

    } else {
        t->first = e->next;
    }

    if (e->next) {
        e->next->prev = e->prev;

    } else {
        t->last = e->prev;
    }

    t->n--;
    t->bytes -= e->len;
    rt_table_delete(&t->table, &e->node);
    free(e);
}


static void
rt_idem_make_room(rt_idems_t *t, const rt_idem_t *i)
{
    rt_heap_node_t  *most;

    while (t->first && i->time_ms - t->first->time_ms > t->age_ms) {
        rt_idem_drop(t, t->first->owner);
    }

    while (t->first && (t->n == t->max || t->bytes + i->len > t->bytes_max)) {
        most = rt_heap_top(&t->heap);
        rt_idem_drop(t, rt_item(most, rt_idem_user_t, place));
    }
}


rt_idem_t *
rt_idem_find(rt_idems_t *t, const u_char *key, uint64_t now_ms)
{
    rt_idem_t  *e;

    e = rt_idem_get(t, key, rt_table_hash(&t->table, key, RT_IDEM_KEY));

    return e == NULL || now_ms - e->time_ms > t->age_ms ? NULL : e;
}


void
rt_idem_add(rt_idems_t *t, const rt_idem_t *i, const u_char *data)
{
    uint64_t         hash;
    rt_idem_t       *e;
    rt_idem_user_t  *u;

    rt_idem_make_room(t, i);

    hash = rt_table_hash(&t->table, i->key, RT_IDEM_KEY);

    if (rt_idem_get(t, i->key, hash) != NULL) {
        return;                             /* the first answer stays */
    }

    e = rt_malloc(sizeof(rt_idem_t) + i->len);
    *e = *i;
    e->body = (u_char *) (e + 1);

    if (i->len) {
        memcpy(e->body, data, i->len);
    }

    e->next = NULL;
    e->prev = t->last;
    *(t->last ? &t->last->next : &t->first) = e;
    t->last = e;
    t->n++;
    t->bytes += i->len;
    rt_table_add(&t->table, &e->node, hash);

    u = rt_idem_user_get(t, i->user);

    e->owner = u;
    e->user_next = NULL;
    *(u->first ? &u->last->user_next : &u->first) = e;
    u->last = e;
    u->share += rt_idem_share(t, e);
    rt_idem_place(t, u);

    rt_assert(t->n <= t->max && t->n == t->table.n);
}


void
rt_idem_encode(const rt_idem_t *i, const u_char *body, rt_buf_t *b)
{
    rt_buf_put(b, i->key, RT_IDEM_KEY);
    rt_buf_put64(b, i->user);
    rt_buf_put64(b, i->request);
    rt_buf_put64(b, i->version);
    rt_buf_put32(b, i->status);
    rt_buf_put32(b, i->len);
    rt_buf_put(b, body, i->len);
}


rt_int_t
rt_idem_decode(rt_idem_t *i, rt_reader_t *r, rt_str_t *body)
{
    const u_char  *key;

    memset(i, 0, sizeof(rt_idem_t));

    key = rt_read(r, RT_IDEM_KEY);

    if (key) {
        memcpy(i->key, key, RT_IDEM_KEY);
    }

    i->user = rt_read64(r);
    i->request = rt_read64(r);
    i->version = rt_read64(r);
    i->status = rt_read32(r);

    *body = rt_read_str(r);
    i->len = (uint32_t) body->len;

    return r->bad ? RT_ERROR : RT_OK;
}


void
rt_idem_save(const rt_idems_t *t, rt_buf_t *b)
{
    const rt_idem_t  *e;

    rt_buf_put64(b, t->n);

    for (e = t->first; e; e = e->next) {
        rt_buf_put64(b, e->time_ms);
        rt_buf_put64(b, e->seq);
        rt_idem_encode(e, e->body, b);
    }
}


rt_int_t
rt_idem_restore(rt_idems_t *t, rt_reader_t *r)
{
    uint64_t   n, time_ms, seq;
    rt_str_t   body;
    rt_idem_t  i;

    for (n = rt_read64(r); n && !r->bad; n--) {
        time_ms = rt_read64(r);
        seq = rt_read64(r);

        if (rt_idem_decode(&i, r, &body) != RT_OK) {
            return RT_ERROR;
        }

        i.time_ms = time_ms;
        i.seq = seq;
        rt_idem_add(t, &i, body.data);
    }

    return r->bad ? RT_ERROR : RT_OK;
}
