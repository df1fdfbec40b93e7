/*
 * Appending to topics, and finding where to read them from; the header has the
 * order of an append.
 */

#include <string.h>

#include "ngx_http_rt_pattern.h"
#include "ngx_http_rt_point.h"
#include "ngx_http_rt_topic.h"


static void ngx_http_rt_topic_evict(void *data, ngx_http_rt_record_t *rec,
    uint64_t pos);
static void ngx_http_rt_topic_evict_blob(ngx_http_rt_store_t *store,
    ngx_http_rt_record_t *blob);
static void ngx_http_rt_topic_write(ngx_http_rt_record_t *rec,
    ngx_http_rt_message_t *m);
static uint64_t ngx_http_rt_topic_seq(ngx_http_rt_store_t *store,
    ngx_http_rt_cell_t *cell);
static uint64_t ngx_http_rt_topic_follow(ngx_http_rt_store_t *store,
    ngx_http_rt_cell_t *cell, uint64_t pos);
static void ngx_http_rt_topic_verify(ngx_http_rt_store_t *store,
    ngx_http_rt_cell_t *cell);
static void ngx_http_rt_topic_lose(ngx_http_rt_store_t *store,
    ngx_http_rt_cell_t *cell);
static void ngx_http_rt_topic_lose_all(ngx_http_rt_store_t *store);
static void ngx_http_rt_topic_trim(ngx_http_rt_store_t *store);
static int ngx_http_rt_topic_room(ngx_http_rt_store_t *store,
    ngx_http_rt_message_t *messages, size_t n);
static int ngx_http_rt_topic_put(ngx_http_rt_store_t *store,
    ngx_http_rt_message_t *messages, size_t n, ngx_http_rt_presence_t *p);
static void ngx_http_rt_topic_link(ngx_http_rt_store_t *store);


/* after the death of a process that held the mutex */

void
ngx_http_rt_topic_repair(ngx_http_rt_store_t *store)
{
    ngx_http_rt_index_repair(&store->index);

    if (store->from && store->from < store->ring.head) {
        ngx_http_rt_ring_commit(&store->ring, store->from, store->ring.head);
        ngx_http_rt_topic_link(store);
        ngx_http_rt_source_settle(&store->sources);
    }

    ngx_http_rt_source_cancel(&store->sources);
    store->from = 0;

    ngx_http_rt_blob_repair(&store->ring, &store->pins);
    ngx_http_rt_topic_trim(store);
}


/* records that a topic has lost, by its floor, while they are still there */

static void
ngx_http_rt_topic_trim(ngx_http_rt_store_t *store)
{
    uint32_t                   i;
    ngx_http_rt_cell_t        *cell;
    ngx_http_rt_cell_topic_t  *t;

    for (i = 1; i < store->index.ncells; i++) {
        cell = &store->index.cells[i];

        if (cell->kind != NGX_HTTP_RT_CELL_TOPIC) {
            continue;
        }

        t = &cell->topic;

        if (t->floor < t->deleted) {
            t->floor = t->deleted;
        }

        ngx_http_rt_topic_verify(store, cell);

        while (t->first && ngx_http_rt_topic_seq(store, cell) <= t->floor
               && t->first)
        {
            t->first = ngx_http_rt_topic_follow(store, cell, t->first);
        }
    }
}


/*
 * The seq of the topic's first record; if there is none, the topic has lost all
 * that it had.
 */

static uint64_t
ngx_http_rt_topic_seq(ngx_http_rt_store_t *store, ngx_http_rt_cell_t *cell)
{
    ngx_http_rt_record_t  rec;

    if (ngx_http_rt_ring_read(&store->ring, cell->topic.first, &rec)
        != NGX_HTTP_RT_RING_OK
        || rec.topic_id != cell->id)
    {
        ngx_http_rt_topic_lose(store, cell);
        return cell->topic.seq;
    }

    return rec.seq;
}


/*
 * The position of the topic's next record, 0: none.  A link that leads back, or
 * further than the topic's last record, loses all that is left of the topic.
 */

static uint64_t
ngx_http_rt_topic_follow(ngx_http_rt_store_t *store, ngx_http_rt_cell_t *cell,
    uint64_t pos)
{
    uint64_t                   next;
    ngx_http_rt_cell_topic_t  *t;

    t = &cell->topic;
    next = ngx_http_rt_record_next(ngx_http_rt_record(&store->ring, pos), pos);

    if (pos == t->last || (next > pos && next <= t->last)) {
        return (pos == t->last) ? 0 : next;
    }

    if (t->first) {
        ngx_http_rt_topic_lose(store, cell);
    }

    return 0;
}


/* both ends of the chain must be in the ring */

static void
ngx_http_rt_topic_verify(ngx_http_rt_store_t *store, ngx_http_rt_cell_t *cell)
{
    ngx_http_rt_ring_t        *ring;
    ngx_http_rt_cell_topic_t  *t;

    t = &cell->topic;
    ring = &store->ring;

    if (t->first == 0) {
        return;
    }

    if (t->first < ring->tail || t->last < t->first || t->last >= ring->head
        || (t->first | t->last) % NGX_HTTP_RT_RING_ALIGN
        || ring->size - t->last % ring->size < sizeof(ngx_http_rt_record_t)
        || ring->size - t->first % ring->size < sizeof(ngx_http_rt_record_t))
    {
        ngx_http_rt_topic_lose(store, cell);
    }
}


static void
ngx_http_rt_topic_lose(ngx_http_rt_store_t *store, ngx_http_rt_cell_t *cell)
{
    cell->topic.floor = cell->topic.seq;
    cell->topic.first = 0;

    store->damages++;
}


/* the ring is damaged: each topic has lost all that it had */

static void
ngx_http_rt_topic_lose_all(ngx_http_rt_store_t *store)
{
    uint32_t                   i;
    ngx_http_rt_cell_topic_t  *t;

    for (i = 1; i < store->index.ncells; i++) {

        if (store->index.cells[i].kind != NGX_HTTP_RT_CELL_TOPIC) {
            continue;
        }

        t = &store->index.cells[i].topic;

        if (t->first) {
            t->floor = t->seq;
            __atomic_store_n(&t->first, 0, __ATOMIC_RELEASE);
        }
    }

    store->evicted = store->ring.seq;
    store->damages++;
}


/* a reader has found something at pos that is no record */

void
ngx_http_rt_topic_mend(ngx_http_rt_store_t *store, uint64_t pos)
{
    (void) ngx_http_rt_ring_mend(&store->ring, pos, ngx_http_rt_topic_evict,
                                 store);
}


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
    ngx_http_rt_record_t    *rec, *blob;
    ngx_http_rt_message_t   *m;
    ngx_http_rt_presence_t   of;

    ring = &store->ring;
    index = &store->index;

    memset(p, 0, sizeof(ngx_http_rt_presence_t));

    /* a batch, or its key, may have needed more cells than there are */

    for (i = 0; i < n; i++) {
        m = &messages[i];

        if (ngx_http_rt_index_of_topic(index, m->cell, m->topic_id) == NULL) {
            return NGX_HTTP_RT_TOPIC_FULL;
        }
    }

    seq = ring->seq;
    at = ring->head;

    for (i = 0; i < n; i++) {
        m = &messages[i];

        cell = &index->cells[m->cell];

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

        ngx_http_rt_point("write");

        rec = ngx_http_rt_record(ring, pos);
        memset(rec, 0, sizeof(ngx_http_rt_record_t));

        rec->size = size;
        rec->hash = cell->hash;
        rec->interest = interest;
        rec->topic = ngx_http_rt_index_number(index, cell);
        rec->topic_id = cell->id;

        ngx_http_rt_topic_write(rec, m);

        if (m->blob) {

            /* it takes the message along when it goes */

            blob = ngx_http_rt_record(ring, m->blob);
            blob->topic = rec->topic;
            blob->topic_id = rec->topic_id;
            blob->seq = m->seq;
        }

        ngx_http_rt_point("written");

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
 * is refused for good is passed over, so the place moves also then.
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

    rc = ngx_http_rt_topic_append(store, m, 1, p);

    if (rc != NGX_HTTP_RT_TOPIC_OK && rc != NGX_HTTP_RT_TOPIC_BUSY) {
        ngx_http_rt_source_settle(&store->sources);
    }

    ngx_http_rt_source_cancel(&store->sources);

    return rc;
}


ngx_http_rt_cell_t *
ngx_http_rt_topic_find(ngx_http_rt_store_t *store, const u_char *name,
    size_t len, uint32_t hash)
{
    return ngx_http_rt_index_find(&store->index, NGX_HTTP_RT_CELL_TOPIC, hash,
                                  name, len);
}


/* who subscribes to it, and to patterns it matches; cell: NULL if not known */

void
ngx_http_rt_topic_presence(ngx_http_rt_store_t *store,
    ngx_http_rt_cell_t *cell, const u_char *name, size_t len,
    ngx_http_rt_presence_t *p)
{
    memset(p, 0, sizeof(ngx_http_rt_presence_t));

    if (cell) {
        ngx_http_rt_index_presence(&store->index, cell, p);
    }

    ngx_http_rt_index_patterns(&store->index, name, len, p);
}


void
ngx_http_rt_topic_stat(ngx_http_rt_store_t *store, ngx_http_rt_cell_t *cell,
    ngx_http_rt_topic_stat_t *stat)
{
    ngx_http_rt_record_t      *rec;
    ngx_http_rt_cell_topic_t  *t;

    t = &cell->topic;

    memset(stat, 0, sizeof(ngx_http_rt_topic_stat_t));

    ngx_http_rt_topic_verify(store, cell);

    if (t->first == 0) {
        return;
    }

    rec = ngx_http_rt_record(&store->ring, t->first);

    stat->messages = t->ordinal - rec->ordinal + 1;
    stat->bytes = t->bytes - rec->bytes + rec->data_len;
    stat->first = rec->seq;
    stat->last = t->seq;
}


/*
 * Deletes messages up to a seq, oldest first; returns whether there are more of
 * them.  The records stay where they are, marked, for readers of patterns come
 * across them, also when nothing is known of the topic any more.
 */

int
ngx_http_rt_topic_delete(ngx_http_rt_store_t *store, ngx_http_rt_cell_t *cell,
    uint64_t upto)
{
    unsigned                   i, n;
    uint64_t                   pos, first, seq;
    ngx_http_rt_record_t      *rec;
    ngx_http_rt_cell_topic_t  *t;

    t = &cell->topic;

    ngx_http_rt_topic_verify(store, cell);

    first = t->first;
    seq = 0;

    for (pos = first, n = 0; pos && n < NGX_HTTP_RT_TOPIC_STEPS; n++) {
        rec = ngx_http_rt_record(&store->ring, pos);

        if (rec->topic_id != cell->id || rec->seq > upto) {
            break;
        }

        seq = rec->seq;
        pos = ngx_http_rt_topic_follow(store, cell, pos);
    }

    if (n == 0 || t->first == 0) {
        return 0;
    }

    t->deleted = seq;
    t->floor = seq;
    __atomic_store_n(&t->first, pos, __ATOMIC_RELEASE);

    for (pos = first, i = 0; pos && i < n; i++) {
        rec = ngx_http_rt_record(&store->ring, pos);
        rec->flags |= NGX_HTTP_RT_RECORD_DELETED;
        pos = ngx_http_rt_topic_follow(store, cell, pos);
    }

    return seq < upto && t->first;
}


void
ngx_http_rt_topic_view(ngx_http_rt_store_t *store, ngx_http_rt_cell_t *cell,
    uint32_t hash, ngx_http_rt_view_t *view)
{
    ngx_http_rt_cell_topic_t  *t;

    memset(view, 0, sizeof(ngx_http_rt_view_t));

    view->now = store->ring.seq;

    if (cell == NULL) {
        view->seq = ngx_http_rt_index_forgotten(&store->index, hash);
        return;
    }

    ngx_http_rt_topic_verify(store, cell);

    t = &cell->topic;

    view->id = cell->id;
    view->cell = ngx_http_rt_index_number(&store->index, cell);
    view->first = t->first;
    view->last = t->last;
    view->seq = t->seq;
    view->floor = t->floor;
    view->deleted = t->deleted;
    view->ordinal = t->ordinal;
}


/*
 * A reader that has everything up to seq, or wants everything behind it, goes
 * back from the topic's newest record as far as there is something for it and
 * history allows.  "cell" is NULL if the index does not know the topic,
 * "history" if all is allowed.  In that case the way may be too far to go it
 * under the mutex.
 */

void
ngx_http_rt_topic_start(ngx_http_rt_store_t *store, ngx_http_rt_cell_t *cell,
    uint32_t hash, uint64_t seq, const ngx_http_rt_history_t *history,
    ngx_http_rt_start_t *start)
{
    unsigned                   steps;
    uint64_t                   pos, forgotten;
    ngx_http_rt_record_t      *rec;
    ngx_http_rt_cell_topic_t  *t;

    start->seq = seq;
    start->pos = 0;
    start->reason = NGX_HTTP_RT_GAP_NONE;
    start->far = 0;
    steps = 0;

    if (cell == NULL) {
        forgotten = ngx_http_rt_index_forgotten(&store->index, hash);

        if (forgotten > seq) {
            start->seq = forgotten;
            start->reason = NGX_HTTP_RT_GAP_EVICTED;
        }

        return;
    }

    t = &cell->topic;

    for (pos = t->first ? t->last : 0;
         pos;
         pos = (pos == t->first) ? 0 : ngx_http_rt_record_prev(rec, pos))
    {
        rec = ngx_http_rt_record(&store->ring, pos);

        if (rec->seq <= seq) {
            return;
        }

        if (history == NULL) {

            if (++steps == NGX_HTTP_RT_TOPIC_STEPS && t->floor <= seq) {
                start->pos = 0;
                start->far = ngx_http_rt_ring_seek(&store->ring, seq);
                start->topic_id = cell->id;
                return;
            }

        } else if (t->ordinal - rec->ordinal >= history->count
                   || rec->time < history->since)
        {
            start->seq = rec->seq;
            start->reason = NGX_HTTP_RT_GAP_HISTORY;
            return;
        }

        start->pos = pos;
    }

    if (t->floor > seq) {
        start->seq = t->floor;
        start->reason = (t->floor == t->deleted) ? NGX_HTTP_RT_GAP_DELETED
                                                 : NGX_HTTP_RT_GAP_EVICTED;
    }
}


static void
ngx_http_rt_topic_evict(void *data, ngx_http_rt_record_t *rec, uint64_t pos)
{
    ngx_http_rt_store_t *store = data;

    ngx_http_rt_cell_t  *cell;

    ngx_http_rt_point("evict");

    if (rec == NULL) {
        ngx_http_rt_topic_lose_all(store);
        return;
    }

    if (rec->flags & NGX_HTTP_RT_RECORD_BLOB) {
        ngx_http_rt_topic_evict_blob(store, rec);
        return;
    }

    store->evicted = rec->seq;

    cell = ngx_http_rt_index_of_topic(&store->index, rec->topic,
                                      rec->topic_id);

    if (cell && cell->topic.first == pos) {
        cell->topic.floor = rec->seq;

        ngx_http_rt_point("floor");

        __atomic_store_n(&cell->topic.first,
                         ngx_http_rt_topic_follow(store, cell, pos),
                         __ATOMIC_RELEASE);
    }

    ngx_http_rt_point("evicted");
}


/* its message is lost, and so are those of the topic before it */

static void
ngx_http_rt_topic_evict_blob(ngx_http_rt_store_t *store,
    ngx_http_rt_record_t *blob)
{
    uint64_t                   seq;
    ngx_http_rt_cell_t        *cell;
    ngx_http_rt_cell_topic_t  *t;

    cell = ngx_http_rt_index_of_topic(&store->index, blob->topic,
                                      blob->topic_id);
    if (cell == NULL) {
        return;
    }

    t = &cell->topic;

    while (t->first) {
        seq = ngx_http_rt_topic_seq(store, cell);

        if (t->first == 0 || seq > blob->seq) {
            break;
        }

        t->floor = seq;

        __atomic_store_n(&t->first,
                         ngx_http_rt_topic_follow(store, cell, t->first),
                         __ATOMIC_RELEASE);
    }
}


static void
ngx_http_rt_topic_write(ngx_http_rt_record_t *rec, ngx_http_rt_message_t *m)
{
    u_char  *p;

    rec->flags = m->binary ? NGX_HTTP_RT_RECORD_BINARY : 0;
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

static void
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

            if (t->first
                && (t->last < ring->tail || t->last >= pos
                    || t->last % NGX_HTTP_RT_RING_ALIGN
                    || ring->size - t->last % ring->size
                       < sizeof(ngx_http_rt_record_t)))
            {
                ngx_http_rt_topic_lose(store, cell);
            }

            if (t->first) {
                rec->prev = (pos - t->last) / NGX_HTTP_RT_RING_ALIGN;

                ngx_http_rt_point("prev");

                prev = ngx_http_rt_record(ring, t->last);
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
