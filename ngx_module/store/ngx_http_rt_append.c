/*
 * Appending: room in the index, records into the ring, one store of its head,
 * and then the links; ngx_http_rt_topic.h has the order.
 */

#include "ngx_http_rt_point.h"
#include "ngx_http_rt_topic_private.h"


static int ngx_http_rt_topic_room(ngx_http_rt_store_t *store,
    ngx_http_rt_message_t *messages, size_t n);
static void ngx_http_rt_topic_place(ngx_http_rt_store_t *store,
    ngx_http_rt_message_t *m);
static int ngx_http_rt_topic_put(ngx_http_rt_store_t *store,
    ngx_http_rt_message_t *messages, size_t n, ngx_http_rt_presence_t *p);
static void ngx_http_rt_topic_put_at(ngx_http_rt_store_t *store, uint64_t pos,
    size_t size, ngx_http_rt_message_t *m, uint64_t interest);
static void ngx_http_rt_topic_write(ngx_http_rt_record_t *rec,
    ngx_http_rt_message_t *m);


/*
 * Reserves a blob for the data of a message that is to be appended.  The slot
 * has one at a time, and a pin on it until ngx_http_rt_blob_unpin().
 */

int
ngx_http_rt_topic_reserve(ngx_http_rt_store_t *store, unsigned slot,
    ngx_http_rt_message_t *m)
{
    size_t                 size;
    uint64_t               pos;
    ngx_http_rt_ring_t    *ring;
    ngx_http_rt_record_t  *rec;

    ring = &store->ring;

    size = ngx_http_rt_record_size(m->topic_len, m->event_len, m->type_len,
                                   m->data_len);

    if (size > ring->size / NGX_HTTP_RT_RING_SHARE) {
        return NGX_HTTP_RT_TOPIC_LARGE;
    }

    size = ngx_http_rt_record_size(0, 0, 0, m->data_len);

    pos = ngx_http_rt_ring_reserve(ring, ring->head, size,
                                   ngx_http_rt_topic_evict, store);
    if (pos == 0) {
        return NGX_HTTP_RT_TOPIC_BUSY;
    }

    rec = ngx_http_rt_record(ring, pos);
    memset(rec, 0, sizeof(ngx_http_rt_record_t));

    rec->size = size;
    rec->flags = NGX_HTTP_RT_RECORD_FILLER|NGX_HTTP_RT_RECORD_BLOB;

    ngx_http_rt_blob_pin(ring, &store->pins, slot, pos);

    ngx_http_rt_point("blob");

    __atomic_store_n(&ring->head, pos + size, __ATOMIC_RELEASE);

    m->blob = pos;

    return NGX_HTTP_RT_TOPIC_OK;
}


/* a control record; nothing of it is there before the head is stored */

int
ngx_http_rt_topic_control(ngx_http_rt_store_t *store, unsigned type,
    const u_char *bytes, size_t len)
{
    size_t                 size;
    uint64_t               pos;
    ngx_http_rt_ring_t    *ring;
    ngx_http_rt_record_t  *rec;

    ring = &store->ring;
    size = ngx_http_rt_record_size(0, 0, 0, len);

    if (size > ring->size / NGX_HTTP_RT_RING_SHARE) {
        return NGX_HTTP_RT_TOPIC_LARGE;
    }

    pos = ngx_http_rt_ring_reserve(ring, ring->head, size,
                                   ngx_http_rt_topic_evict, store);
    if (pos == 0) {
        return NGX_HTTP_RT_TOPIC_BUSY;
    }

    ngx_http_rt_point("control");

    rec = ngx_http_rt_record(ring, pos);
    memset(rec, 0, sizeof(ngx_http_rt_record_t));

    rec->size = size;
    rec->flags = NGX_HTTP_RT_RECORD_FILLER|NGX_HTTP_RT_RECORD_CONTROL;
    rec->control = type;
    rec->data_len = len;

    memcpy(&rec[1], bytes, len);

    ngx_http_rt_point("controlled");

    __atomic_store_n(&ring->head, pos + size, __ATOMIC_RELEASE);

    return NGX_HTTP_RT_TOPIC_OK;
}


/*
 * Appends all messages or none.  Their seq is set; "p" gets the slots that
 * have subscribers of any of them, and the sum of their subscribers.
 */

int
ngx_http_rt_topic_append(ngx_http_rt_store_t *store,
    ngx_http_rt_message_t *messages, size_t n, ngx_http_rt_presence_t *p)
{
    int  rc;

    rc = ngx_http_rt_topic_room(store, messages, n);

    if (rc != NGX_HTTP_RT_TOPIC_OK) {
        return rc;
    }

    return ngx_http_rt_topic_put(store, messages, n, p);
}


static int
ngx_http_rt_topic_put(ngx_http_rt_store_t *store,
    ngx_http_rt_message_t *messages, size_t n, ngx_http_rt_presence_t *p)
{
    size_t                   i, size;
    uint64_t                 at, pos, seq, interest;
    ngx_http_rt_cell_t      *cell;
    ngx_http_rt_ring_t      *ring;
    ngx_http_rt_index_t     *index;
    ngx_http_rt_message_t   *m;
    ngx_http_rt_presence_t   of;

    ring = &store->ring;
    index = &store->index;

    memset(p, 0, sizeof(ngx_http_rt_presence_t));

    /* a batch, or its key, may have needed more cells than there are */

    for (i = 0; i < n; i++) {
        m = &messages[i];

        if (!m->refused
            && ngx_http_rt_index_of_topic(index, m->cell, m->topic_id) == NULL)
        {
            return NGX_HTTP_RT_TOPIC_FULL;
        }
    }

    seq = ring->seq;
    at = ring->head;

    for (i = 0; i < n; i++) {
        m = &messages[i];

        cell = m->cell ? &index->cells[m->cell] : NULL;

        ngx_http_rt_topic_presence(store, cell, m->topic, m->topic_len, &of);

        p->slots[0] |= of.slots[0];
        p->slots[1] |= of.slots[1];
        p->slots[2] |= of.slots[2];
        p->slots[3] |= of.slots[3];
        p->subscribers += of.subscribers;

        interest = of.slots[0] | of.slots[1] | of.slots[2] | of.slots[3];

        size = ngx_http_rt_record_size(m->topic_len, m->event_len,
                                       m->type_len,
                                       m->blob ? sizeof(m->blob)
                                               : m->data_len);

        pos = ngx_http_rt_ring_reserve(ring, at, size,
                                       ngx_http_rt_topic_evict, store);
        if (pos == 0) {
            return NGX_HTTP_RT_TOPIC_BUSY;
        }

        m->seq = ++seq;

        ngx_http_rt_topic_put_at(store, pos, size, m, interest);

        at = pos + size;
    }

    store->from = ring->head;

    ngx_http_rt_point("commit");

    ngx_http_rt_ring_commit(ring, ring->head, at);

    ngx_http_rt_point("committed");

    ngx_http_rt_topic_link(store);

    ngx_http_rt_point("linked");

    ngx_http_rt_source_settle(&store->sources);

    __atomic_store_n(&store->from, 0, __ATOMIC_RELEASE);

    return NGX_HTTP_RT_TOPIC_OK;
}


static void
ngx_http_rt_topic_put_at(ngx_http_rt_store_t *store, uint64_t pos, size_t size,
    ngx_http_rt_message_t *m, uint64_t interest)
{
    ngx_http_rt_record_t  *rec, *blob;

    ngx_http_rt_point("write");

    rec = ngx_http_rt_record(&store->ring, pos);
    memset(rec, 0, sizeof(ngx_http_rt_record_t));

    rec->size = size;
    rec->hash = m->hash;
    rec->interest = interest;
    rec->topic = m->cell;
    rec->topic_id = m->topic_id;

    ngx_http_rt_topic_write(rec, m);

    if (m->blob) {

        /* it takes the message along when it goes */

        blob = ngx_http_rt_record(&store->ring, m->blob);
        blob->topic = rec->topic;
        blob->topic_id = rec->topic_id;
        blob->seq = m->seq;
    }

    ngx_http_rt_point("written");
}


/*
 * Sees to it that all topics are in the index.  Those that are there already
 * must not be given up for those that are not.
 */

static int
ngx_http_rt_topic_room(ngx_http_rt_store_t *store,
    ngx_http_rt_message_t *messages, size_t n)
{
    size_t                  i, total, missing;
    ngx_http_rt_cell_t     *cell;
    ngx_http_rt_index_t    *index;
    ngx_http_rt_message_t  *m;

    index = &store->index;

    total = 0;
    missing = 0;

    for (i = 0; i < n; i++) {
        m = &messages[i];
        total += ngx_http_rt_record_size(m->topic_len, m->event_len,
                                         m->type_len, m->data_len);
    }

    if (total > store->ring.size / NGX_HTTP_RT_RING_SHARE) {
        return NGX_HTTP_RT_TOPIC_LARGE;
    }

    for (i = 0; i < n; i++) {
        m = &messages[i];
        m->hash = ngx_http_rt_index_hash(index, m->topic, m->topic_len);
        m->cell = 0;
        m->topic_id = 0;

        cell = ngx_http_rt_topic_find(store, m->topic, m->topic_len, m->hash);

        if (cell == NULL) {
            missing++;
            continue;
        }

        __builtin_prefetch(ngx_http_rt_record(&store->ring,
                                              cell->topic.last));

        ngx_http_rt_index_touch(index, cell);

        m->cell = ngx_http_rt_index_number(index, cell);
        m->topic_id = cell->id;
    }

    for (i = 0; i < n && missing; i++) {
        m = &messages[i];

        if (m->cell) {
            continue;
        }

        cell = ngx_http_rt_topic_find(store, m->topic, m->topic_len, m->hash);

        if (cell == NULL) {
            ngx_http_rt_point("add");

            cell = ngx_http_rt_index_add(index, NGX_HTTP_RT_CELL_TOPIC,
                                         m->hash, m->topic, m->topic_len);
            if (cell == NULL) {
                return NGX_HTTP_RT_TOPIC_FULL;
            }

            ngx_http_rt_point("added");
        }

        m->cell = ngx_http_rt_index_number(index, cell);
        m->topic_id = cell->id;
    }

    return NGX_HTTP_RT_TOPIC_OK;
}


/*
 * The same with an idempotency key: the first time, key->first and all that
 * follows are set, and kept; after that they are what was kept.  n is 1 or,
 * for a batch, key->count.
 *
 * The key goes into the index before the messages go into the ring, but counts
 * only with its answer: who dies in between has published nothing, or has
 * published without an answer.
 */

int
ngx_http_rt_topic_append_once(ngx_http_rt_store_t *store,
    ngx_http_rt_message_t *messages, size_t n, ngx_http_rt_presence_t *p,
    ngx_http_rt_key_t *key)
{
    int                   rc;
    uint64_t              expired;
    ngx_http_rt_cell_t   *cell;
    ngx_http_rt_index_t  *index;

    index = &store->index;

    key->time = messages[0].time;
    key->first = 0;
    key->last = 0;

    expired = key->time - NGX_HTTP_RT_TOPIC_KEY_AGE;

    cell = ngx_http_rt_index_find_key(index, key->key);

    if (cell && (cell->key.time < expired || cell->key.last == 0)) {
        ngx_http_rt_index_remove(index, cell);
        cell = NULL;
    }

    if (cell) {
        if (memcmp(cell->key.body, key->body, sizeof(key->body)) != 0) {
            return NGX_HTTP_RT_TOPIC_MISMATCH;
        }

        *key = cell->key;

        return NGX_HTTP_RT_TOPIC_REPLAY;
    }

    rc = ngx_http_rt_topic_room(store, messages, n);

    if (rc != NGX_HTTP_RT_TOPIC_OK) {
        return rc;
    }

    if (ngx_http_rt_index_add_key(index, key, expired) == NULL) {
        return NGX_HTTP_RT_TOPIC_FULL;
    }

    ngx_http_rt_point("key");

    rc = ngx_http_rt_topic_put(store, messages, n, p);

    ngx_http_rt_point("keyed");

    cell = ngx_http_rt_index_find_key(index, key->key);

    if (rc != NGX_HTTP_RT_TOPIC_OK) {
        if (cell) {
            ngx_http_rt_index_remove(index, cell);
        }

        return rc;
    }

    key->first = messages[0].seq;
    key->last = messages[n - 1].seq;
    key->subscribers = p->subscribers;

    if (cell) {
        cell->key.first = key->first;
        cell->key.subscribers = key->subscribers;

        /* with the last one it counts */

        __atomic_store_n(&cell->key.last, key->last, __ATOMIC_RELEASE);
    }

    return NGX_HTTP_RT_TOPIC_OK;
}


/*
 * A publication of a source that is known; REPLAY: it was applied before.  What
 * cannot be appended comes again as "refused", so that it leaves its place.
 */

int
ngx_http_rt_topic_append_from(ngx_http_rt_store_t *store,
    ngx_http_rt_message_t *m, ngx_http_rt_presence_t *p,
    const ngx_http_rt_place_t *place)
{
    int                    rc;
    ngx_http_rt_source_t  *source;

    source = ngx_http_rt_source_find(&store->sources, place->epoch);

    if (source == NULL || !ngx_http_rt_source_is_new(source, place)) {
        return NGX_HTTP_RT_TOPIC_REPLAY;
    }

    ngx_http_rt_source_prepare(&store->sources, source, place);

    if (m->refused) {
        ngx_http_rt_topic_place(store, m);
        rc = ngx_http_rt_topic_put(store, m, 1, p);

    } else {
        rc = ngx_http_rt_topic_append(store, m, 1, p);
    }

    ngx_http_rt_source_cancel(&store->sources);

    return rc;
}


/*
 * The topic of a refused message is in the index, or those who ask for it later
 * are told that it may have had something.
 */

static void
ngx_http_rt_topic_place(ngx_http_rt_store_t *store, ngx_http_rt_message_t *m)
{
    m->event_len = 0;
    m->type_len = 0;
    m->data_len = 0;

    if (ngx_http_rt_topic_room(store, m, 1) != NGX_HTTP_RT_TOPIC_OK) {
        ngx_http_rt_index_remember(&store->index, m->topic, m->topic_len,
                                   m->hash, store->ring.seq + 1);
    }
}


static void
ngx_http_rt_topic_write(ngx_http_rt_record_t *rec, ngx_http_rt_message_t *m)
{
    u_char  *p;

    rec->flags = m->refused ? NGX_HTTP_RT_RECORD_REFUSED
                 : m->binary ? NGX_HTTP_RT_RECORD_BINARY : 0;
    rec->seq = m->seq;
    rec->time = m->time;
    rec->topic_len = m->topic_len;
    rec->event_len = m->event_len;
    rec->type_len = m->type_len;
    rec->data_len = m->data_len;

    p = (u_char *) &rec[1];

    memcpy(p, m->topic, m->topic_len);
    p += m->topic_len;

    if (m->event_len) {
        memcpy(p, m->event, m->event_len);
        p += m->event_len;
    }

    if (m->type_len) {
        memcpy(p, m->type, m->type_len);
        p += m->type_len;
    }

    if (m->blob) {
        rec->flags |= NGX_HTTP_RT_RECORD_APART;
        memcpy(p, &m->blob, sizeof(m->blob));

    } else if (m->data_len) {
        memcpy(p, m->data, m->data_len);
    }
}


/*
 * Links the records from store->from on.  What has been stored to t->last is
 * complete but for the counts; what is in t->seq is complete.
 */

void
ngx_http_rt_topic_link(ngx_http_rt_store_t *store)
{
    uint64_t                   pos;
    ngx_http_rt_ring_t        *ring;
    ngx_http_rt_cell_t        *cell;
    ngx_http_rt_record_t      *rec, *prev, copy;
    ngx_http_rt_cell_topic_t  *t;

    ring = &store->ring;

    for (pos = store->from;
         ngx_http_rt_ring_scan(ring, &pos, ring->head, &copy)
         == NGX_HTTP_RT_RING_OK;
         pos += copy.size)
    {
        cell = ngx_http_rt_index_of_topic(&store->index, copy.topic,
                                          copy.topic_id);

        if (cell == NULL || cell->topic.seq >= copy.seq) {
            continue;
        }

        t = &cell->topic;
        rec = ngx_http_rt_record(ring, pos);

        if (t->last != pos) {
            rec->ordinal = t->ordinal + 1;
            rec->bytes = t->bytes + rec->data_len;

            prev = ngx_http_rt_record(ring, t->last);

            if (t->first
                && (t->last < ring->tail || t->last >= pos
                    || t->last % NGX_HTTP_RT_RING_ALIGN
                    || (u_char *) &prev[1] > ring->base + ring->size))
            {
                ngx_http_rt_topic_lose(store, cell);
            }

            if (t->first) {
                rec->prev = (pos - t->last) / NGX_HTTP_RT_RING_ALIGN;

                ngx_http_rt_point("prev");

                __atomic_store_n(&prev->next, rec->prev, __ATOMIC_RELEASE);

                ngx_http_rt_point("next");
            }

            __atomic_store_n(&t->last, pos, __ATOMIC_RELEASE);

            ngx_http_rt_point("last");
        }

        if (t->first == 0) {
            __atomic_store_n(&t->first, pos, __ATOMIC_RELEASE);

            ngx_http_rt_point("first");
        }

        t->ordinal = rec->ordinal;
        t->bytes = rec->bytes;

        ngx_http_rt_point("seq");

        __atomic_store_n(&t->seq, rec->seq, __ATOMIC_RELEASE);

        ngx_http_rt_index_touch(&store->index, cell);
    }
}
