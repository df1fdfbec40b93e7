/*
 * The chains of topics through the ring: what goes when the tail passes records
 * or somebody deletes them, what a repair makes of a chain that a death left
 * half done, and what is given up where the memory is damaged.
 *
 * A link leads to a later record of the same topic, up to the topic's last one.
 * If it does not, the topic has lost all that it had; so no walk along a chain
 * is longer than the chain, or leaves the memory.
 */

#include "ngx_http_rt_point.h"
#include "ngx_http_rt_topic_private.h"


static uint64_t ngx_http_rt_topic_seq(ngx_http_rt_store_t *store,
    ngx_http_rt_cell_t *cell);
static uint64_t ngx_http_rt_topic_follow(ngx_http_rt_store_t *store,
    ngx_http_rt_cell_t *cell, const ngx_http_rt_record_t *rec, uint64_t pos);
static void ngx_http_rt_topic_lose_all(ngx_http_rt_store_t *store);
static void ngx_http_rt_topic_evict_blob(ngx_http_rt_store_t *store,
    ngx_http_rt_record_t *blob);
static void ngx_http_rt_topic_trim(ngx_http_rt_store_t *store);


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
            t->first = ngx_http_rt_topic_follow(store, cell,
                               ngx_http_rt_record(&store->ring, t->first),
                               t->first);
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
    const ngx_http_rt_record_t *rec, uint64_t pos)
{
    uint64_t                   next;
    ngx_http_rt_cell_topic_t  *t;

    t = &cell->topic;
    next = ngx_http_rt_record_next(rec, pos);

    if (pos == t->last || (next > pos && next <= t->last)) {
        return (pos == t->last) ? 0 : next;
    }

    if (t->first) {
        ngx_http_rt_topic_lose(store, cell);
    }

    return 0;
}


/* both ends of the chain must be in the ring */

void
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


void
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
        pos = ngx_http_rt_topic_follow(store, cell, rec, pos);
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
        pos = ngx_http_rt_topic_follow(store, cell, rec, pos);
    }

    return seq < upto && t->first;
}


void
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
                         ngx_http_rt_topic_follow(store, cell, rec, pos),
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
                         ngx_http_rt_topic_follow(store, cell,
                               ngx_http_rt_record(&store->ring, t->first),
                               t->first),
                         __ATOMIC_RELEASE);
    }
}
