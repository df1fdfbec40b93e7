/*
 * A ring of answers by age, and a table of them by key.
 */


#include <sodium.h>

#include "rt_engine.h"
#include "rt_idem.h"


#define RT_IDEM_BUCKETS  64                 /* to begin with */


void
rt_idem_init(rt_idems_t *t, size_t max, size_t bytes_max, uint64_t age_ms)
{
    memset(t, 0, sizeof(rt_idems_t));

    t->max = max;
    t->bytes_max = bytes_max;
    t->age_ms = age_ms;
    t->ring = rt_calloc(max * sizeof(rt_idem_t));
    rt_table_init(&t->table, RT_IDEM_BUCKETS);
}


void
rt_idem_free(rt_idems_t *t)
{
    for ( /* void */ ; t->first < t->next; t->first++) {
        free(t->ring[t->first % t->max].body);
    }

    free(t->ring);
    rt_table_free(&t->table);
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


static void
rt_idem_drop(rt_idems_t *t)
{
    rt_idem_t  *e;

    rt_assert(t->first < t->next);

    e = &t->ring[t->first++ % t->max];

    rt_assert(t->bytes >= e->len);

    t->bytes -= e->len;
    rt_table_delete(&t->table, &e->node);

    free(e->body);
    e->body = NULL;
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
    uint64_t    hash;
    rt_idem_t  *e;

    while (t->first < t->next
           && (t->next - t->first == t->max
               || t->bytes + i->len > t->bytes_max
               || i->time_ms - t->ring[t->first % t->max].time_ms > t->age_ms))
    {
        rt_idem_drop(t);
    }

    hash = rt_table_hash(&t->table, i->key, RT_IDEM_KEY);

    if (rt_idem_get(t, i->key, hash) != NULL) {
        return;                             /* the first answer stays */
    }

    e = &t->ring[t->next++ % t->max];
    *e = *i;
    e->body = rt_malloc(i->len);
    memcpy(e->body, data, i->len);

    t->bytes += i->len;
    rt_table_add(&t->table, &e->node, hash);

    rt_assert(t->next - t->first <= t->max);
    rt_assert(t->next - t->first == t->table.n);
}


void
rt_idem_encode(const rt_idem_t *i, const u_char *body, rt_buf_t *b)
{
    rt_buf_put(b, i->key, RT_IDEM_KEY);
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
    uint64_t          n;
    const rt_idem_t  *e;

    rt_buf_put64(b, t->next - t->first);

    for (n = t->first; n < t->next; n++) {
        e = &t->ring[n % t->max];

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
