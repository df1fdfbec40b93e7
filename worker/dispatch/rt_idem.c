/*
 * A ring of answers by age, and an open-addressed index over it.
 */


#include <sodium.h>

#include "rt_idem.h"


void
rt_idem_init(rt_idems_t *t, size_t max, size_t bytes_max, uint64_t age_ms)
{
    size_t  n;

    memset(t, 0, sizeof(rt_idems_t));

    for (n = 16; n < max * 2; n *= 2) { /* void */ }

    t->max = max;
    t->bytes_max = bytes_max;
    t->age_ms = age_ms;
    t->mask = n - 1;
    t->ring = rt_calloc(max * sizeof(rt_idem_t));
    t->index = rt_calloc(n * sizeof(uint32_t));
}


void
rt_idem_free(rt_idems_t *t)
{
    for ( /* void */ ; t->first < t->next; t->first++) {
        free(t->ring[t->first % t->max].body);
    }

    free(t->ring);
    free(t->index);
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
rt_idem_request(rt_str_t command, rt_str_t body)
{
    u_char                    hash[16];
    crypto_generichash_state  st;

    crypto_generichash_init(&st, NULL, 0, sizeof(hash));
    rt_idem_hash_str(&st, command);
    rt_idem_hash_str(&st, body);
    crypto_generichash_final(&st, hash, sizeof(hash));

    return rt_get64(hash);
}


static size_t
rt_idem_slot(const rt_idems_t *t, const u_char *key)
{
    size_t  i;

    for (i = rt_get64(key) & t->mask; t->index[i]; i = (i + 1) & t->mask) {
        if (memcmp(t->ring[t->index[i] - 1].key, key, RT_IDEM_KEY) == 0) {
            break;
        }
    }

    return i;
}


static void
rt_idem_drop(rt_idems_t *t)
{
    size_t      i, k, home;
    rt_idem_t  *e;

    e = &t->ring[t->first++ % t->max];
    t->bytes -= e->len;

    i = rt_idem_slot(t, e->key);

    free(e->body);
    e->body = NULL;

    /* close the hole, so that probing never stops early */

    for (k = (i + 1) & t->mask; t->index[k]; k = (k + 1) & t->mask) {
        home = rt_get64(t->ring[t->index[k] - 1].key) & t->mask;

        if (((k - home) & t->mask) >= ((k - i) & t->mask)) {
            t->index[i] = t->index[k];
            i = k;
        }
    }

    t->index[i] = 0;
}


rt_idem_t *
rt_idem_find(rt_idems_t *t, const u_char *key, uint64_t now_ms)
{
    size_t      i;
    rt_idem_t  *e;

    i = rt_idem_slot(t, key);

    if (t->index[i] == 0) {
        return NULL;
    }

    e = &t->ring[t->index[i] - 1];

    return now_ms - e->time_ms > t->age_ms ? NULL : e;
}


void
rt_idem_add(rt_idems_t *t, const rt_idem_t *i, const u_char *data)
{
    size_t      slot;
    rt_idem_t  *e;

    while (t->first < t->next
           && (t->next - t->first == t->max
               || t->bytes + i->len > t->bytes_max
               || i->time_ms - t->ring[t->first % t->max].time_ms > t->age_ms))
    {
        rt_idem_drop(t);
    }

    slot = rt_idem_slot(t, i->key);

    if (t->index[slot] != 0) {
        return;                             /* the first answer stays */
    }

    e = &t->ring[t->next % t->max];
    *e = *i;
    e->body = rt_malloc(i->len);
    memcpy(e->body, data, i->len);

    t->bytes += i->len;
    t->index[slot] = (uint32_t) (t->next % t->max) + 1;
    t->next++;
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
