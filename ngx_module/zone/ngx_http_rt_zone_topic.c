/*
 * What the index knows of topics and who subscribes to them, one short hold of
 * the mutex at a time.
 */

#include "ngx_http_rt_zone_private.h"


static ngx_int_t ngx_http_rt_zone_enter_some(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *topics, ngx_uint_t *n, ngx_uint_t limit,
    ngx_http_rt_at_t *at);
static ngx_int_t ngx_http_rt_zone_enter_one(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *t, ngx_uint_t limit);


#define ngx_http_rt_zone_kind(t)                                              \
    ((t)->wild ? NGX_HTTP_RT_CELL_PATTERN : NGX_HTTP_RT_CELL_TOPIC)


uint32_t
ngx_http_rt_zone_hash(ngx_http_rt_zone_t *zone, const u_char *name, size_t len)
{
    return ngx_http_rt_index_hash(&zone->sh->store.index, name, len);
}


void
ngx_http_rt_zone_name_set(ngx_http_rt_zone_t *zone, ngx_http_rt_name_t *t,
    const u_char *name, size_t len, unsigned wild)
{
    t->name.data = (u_char *) name;
    t->name.len = len;
    t->hash = ngx_http_rt_zone_hash(zone, name, len);
    t->wild = wild;
}


void
ngx_http_rt_zone_prefetch(ngx_http_rt_zone_t *zone, uint32_t hash)
{
    ngx_http_rt_index_prefetch(&zone->sh->store.index, hash);
}


ngx_http_rt_cell_t *
ngx_http_rt_zone_find(ngx_http_rt_zone_t *zone, const ngx_http_rt_name_t *t)
{
    return ngx_http_rt_index_find(&zone->sh->store.index,
                                  ngx_http_rt_zone_kind(t), t->hash,
                                  t->name.data, t->name.len);
}


void
ngx_http_rt_zone_view(ngx_http_rt_zone_t *zone, const ngx_http_rt_name_t *t,
    ngx_http_rt_view_t *view)
{
    ngx_http_rt_cell_t  *cell;

    ngx_http_rt_zone_lock(zone);

    cell = t->wild ? NULL : ngx_http_rt_zone_find(zone, t);

    ngx_http_rt_topic_view(&zone->sh->store, cell, t->hash, view);

    ngx_http_rt_zone_unlock(zone);
}


/* a topic that is given up meanwhile has lost all that the view knew */

int
ngx_http_rt_zone_start_step(ngx_http_rt_zone_t *zone,
    ngx_http_rt_start_t *start, unsigned steps)
{
    int                   rc;
    ngx_http_rt_view_t    view;
    ngx_http_rt_cell_t   *cell;
    ngx_http_rt_store_t  *store;

    store = &zone->sh->store;

    rc = ngx_http_rt_start_step(&store->ring, start, steps);

    if (rc == NGX_HTTP_RT_START_AGAIN) {
        ngx_http_rt_zone_lock(zone);

        cell = ngx_http_rt_index_of_topic(&store->index, start->view.cell,
                                          start->view.id);

        ngx_http_rt_topic_view(store, cell, 0, &view);

        ngx_http_rt_zone_unlock(zone);

        if (cell == NULL) {
            view.seq = start->view.seq;
        }

        rc = ngx_http_rt_start_again(start, &view);
    }

    return rc == NGX_HTTP_RT_START_OVER;
}


/* what has been entered is left again if the rest cannot be */

ngx_int_t
ngx_http_rt_zone_enter(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *topics, ngx_uint_t n, ngx_uint_t limit,
    ngx_http_rt_at_t *at)
{
    ngx_int_t   rc;
    ngx_uint_t  i, some;

    if (zone->slot == NULL) {
        return NGX_DECLINED;
    }

    i = 0;

    do {
        some = ngx_min(n - i, NGX_HTTP_RT_ZONE_HOLD);

        rc = ngx_http_rt_zone_enter_some(zone, topics + i, &some, limit, at);

        if (rc != NGX_OK && ngx_http_rt_zone_reap(zone)) {
            i += some;
            continue;
        }

        if (rc != NGX_OK) {
            ngx_http_rt_zone_leave(zone, topics, i + some);

            if (rc == NGX_DECLINED) {
                (void) ngx_atomic_fetch_add(&zone->sh->subscriptions_refused,
                                            1);
            }

            return rc;
        }

        i += some;

    } while (i < n);

    return NGX_OK;
}


/* n becomes how many have been entered */

static ngx_int_t
ngx_http_rt_zone_enter_some(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *topics, ngx_uint_t *n, ngx_uint_t limit,
    ngx_http_rt_at_t *at)
{
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_http_rt_ring_t  *ring;

    ring = &zone->sh->store.ring;
    rc = NGX_OK;

    ngx_http_rt_zone_lock(zone);

    for (i = 0; i < *n; i++) {
        rc = ngx_http_rt_zone_enter_one(zone, &topics[i], limit);
        if (rc != NGX_OK) {
            break;
        }
    }

    at->seq = ring->seq;
    at->pos = ring->head;

    ngx_http_rt_zone_unlock(zone);

    *n = i;

    return rc;
}


static ngx_int_t
ngx_http_rt_zone_enter_one(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *t, ngx_uint_t limit)
{
    ngx_http_rt_cell_t      *cell;
    ngx_http_rt_index_t     *index;
    ngx_http_rt_presence_t   p;

    index = &zone->sh->store.index;
    cell = ngx_http_rt_zone_find(zone, t);

    if (cell && limit) {
        ngx_memzero(&p, sizeof(ngx_http_rt_presence_t));
        ngx_http_rt_index_presence(index, cell, &p);

        if (p.subscribers >= limit) {
            return NGX_BUSY;
        }
    }

    if (!ngx_http_rt_index_room(index, cell, t->name.len)) {
        return NGX_DECLINED;
    }

    if (cell == NULL) {
        cell = ngx_http_rt_index_add(index, ngx_http_rt_zone_kind(t), t->hash,
                                     t->name.data, t->name.len);
        if (cell == NULL) {
            return NGX_DECLINED;
        }
    }

    if (ngx_http_rt_index_enter(index, cell, ngx_http_rt_zone_slot(zone))
        != 0)
    {
        ngx_http_rt_index_settle(index, cell);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


void
ngx_http_rt_zone_delayed(ngx_http_rt_zone_t *zone)
{
    (void) ngx_atomic_fetch_add(&zone->sh->subscribers_delayed, 1);
}


void
ngx_http_rt_zone_leave(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *topics, ngx_uint_t n)
{
    ngx_uint_t           i, end;
    ngx_http_rt_cell_t  *cell;

    if (zone->slot == NULL) {
        return;
    }

    for (i = 0; i < n; /* void */ ) {

        end = i + ngx_min(n - i, NGX_HTTP_RT_ZONE_HOLD);

        ngx_http_rt_zone_lock(zone);

        for ( /* void */ ; i < end; i++) {
            cell = ngx_http_rt_zone_find(zone, &topics[i]);

            if (cell) {
                ngx_http_rt_index_leave(&zone->sh->store.index, cell,
                                        ngx_http_rt_zone_slot(zone));
            }
        }

        ngx_http_rt_zone_unlock(zone);
    }
}


ngx_uint_t
ngx_http_rt_zone_topics(ngx_http_rt_zone_t *zone, uint32_t *from,
    uint64_t cursor, ngx_http_rt_found_t *found)
{
    uint32_t              i, end;
    ngx_uint_t            n;
    ngx_http_rt_cell_t   *cell;
    ngx_http_rt_index_t  *index;

    index = &zone->sh->store.index;
    end = ngx_min(index->ncells, *from + NGX_HTTP_RT_ZONE_CELLS);
    n = 0;

    ngx_http_rt_zone_lock(zone);

    for (i = *from; i < end && n < NGX_HTTP_RT_ZONE_FOUND; i++) {
        cell = &index->cells[i];

        if (cell->kind != NGX_HTTP_RT_CELL_TOPIC
            || cell->topic.seq <= cursor)
        {
            continue;
        }

        ngx_http_rt_topic_view(&zone->sh->store, cell, cell->hash,
                               &found[n].view);
        found[n].len = ngx_http_rt_index_name(index, cell, found[n].name);
        n++;
    }

    ngx_http_rt_zone_unlock(zone);

    *from = (i < index->ncells) ? i : 0;

    return n;
}


uint64_t
ngx_http_rt_zone_forgotten(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *t)
{
    ngx_http_rt_index_t  *index;

    index = &zone->sh->store.index;

    return t->wild ? ngx_http_rt_index_forgotten_match(index, t->name.data,
                                                       t->name.len)
                   : ngx_http_rt_index_forgotten(index, t->hash);
}


ngx_int_t
ngx_http_rt_zone_stat(ngx_http_rt_zone_t *zone, const ngx_http_rt_name_t *t,
    ngx_http_rt_zone_stat_t *stat)
{
    ngx_http_rt_cell_t        *cell;
    ngx_http_rt_store_t       *store;
    ngx_http_rt_presence_t     p;
    ngx_http_rt_topic_stat_t   held;

    store = &zone->sh->store;

    ngx_memzero(&held, sizeof(ngx_http_rt_topic_stat_t));

    (void) ngx_http_rt_zone_reap(zone);

    ngx_http_rt_zone_lock(zone);

    cell = ngx_http_rt_zone_find(zone, t);

    if (cell) {
        ngx_http_rt_topic_stat(store, cell, &held);
    }

    ngx_http_rt_topic_presence(store, cell, t->name.data, t->name.len, &p);

    ngx_http_rt_zone_unlock(zone);

    stat->messages = held.messages;
    stat->bytes = held.bytes;
    stat->first = held.first;
    stat->last = held.last;
    stat->subscribers = p.subscribers;

    return (stat->messages || stat->subscribers) ? NGX_OK : NGX_DECLINED;
}


/* subscribers of a topic in all processes, patterns included */

uint64_t
ngx_http_rt_zone_watchers(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *t)
{
    ngx_http_rt_presence_t  p;

    ngx_http_rt_zone_lock(zone);

    ngx_http_rt_topic_presence(&zone->sh->store,
                               ngx_http_rt_zone_find(zone, t),
                               t->name.data, t->name.len, &p);

    ngx_http_rt_zone_unlock(zone);

    return p.subscribers;
}


/*
 * Readers look at the counter of DELETEs: one that sees a record's mark sees
 * the first change of it, one that sees the second sees the floor.
 */

void
ngx_http_rt_zone_forget(ngx_http_rt_zone_t *zone, const ngx_http_rt_name_t *t)
{
    int                  more;
    uint64_t             upto;
    ngx_http_rt_cell_t  *cell;

    upto = 0;

    do {
        more = 0;

        ngx_http_rt_zone_lock(zone);

        cell = ngx_http_rt_zone_find(zone, t);

        if (cell) {
            upto = upto ? upto : cell->topic.seq;

            zone->sh->deletes++;
            more = ngx_http_rt_topic_delete(&zone->sh->store, cell, upto);
            zone->sh->deletes++;
        }

        ngx_http_rt_zone_unlock(zone);

    } while (more);
}


void
ngx_http_rt_zone_status(ngx_http_rt_zone_t *zone,
    ngx_http_rt_zone_status_t *st)
{
    ngx_uint_t            i, n;
    ngx_http_rt_slot_t   *slot;
    ngx_http_rt_store_t  *store;

    store = &zone->sh->store;

    ngx_memzero(st, sizeof(ngx_http_rt_zone_status_t));

    (void) ngx_http_rt_zone_reap(zone);

    ngx_http_rt_zone_lock(zone);

    st->epoch = store->epoch;
    st->published = store->ring.seq;
    st->evicted = store->evicted;
    st->topics = store->index.topics;
    st->ring_bytes = store->ring.size;
    st->ring_used = store->ring.head - store->ring.tail;
    st->index_free = (uint64_t) store->index.nfree * NGX_HTTP_RT_CELL_SIZE;
    st->topics_evicted = store->index.topics_evicted;
    st->keys_evicted = store->index.keys_evicted;
    st->publications_refused = zone->sh->publications_refused;
    st->subscriptions_refused = zone->sh->subscriptions_refused;
    st->subscribers_delayed = zone->sh->subscribers_delayed;

    ngx_http_rt_zone_unlock(zone);

    for (n = 0; n < NGX_HTTP_RT_SLOTS; n++) {
        slot = &zone->sh->slots[n];

        for (i = 0; i < NGX_HTTP_RT_TRANSPORTS; i++) {
            st->subscribers[i] += slot->subscribers[i];
            st->delivered[i] += slot->delivered[i];
        }

        for (i = 0; i < NGX_HTTP_RT_GAP_REASONS; i++) {
            st->gaps[i] += slot->gaps[i];
        }

        st->refused += slot->refused;
    }
}


ngx_int_t
ngx_http_rt_zone_source(ngx_http_rt_zone_t *zone, uint64_t peer,
    ngx_http_rt_place_t *place)
{
    ngx_http_rt_source_t  *source;

    ngx_memzero(place, sizeof(ngx_http_rt_place_t));

    ngx_http_rt_zone_lock(zone);

    source = ngx_http_rt_source_of_peer(&zone->sh->store.sources, peer);

    if (source) {
        ngx_http_rt_source_place(source, place);
    }

    ngx_http_rt_zone_unlock(zone);

    return source ? NGX_OK : NGX_DECLINED;
}


void
ngx_http_rt_zone_source_set(ngx_http_rt_zone_t *zone, uint64_t peer,
    const ngx_http_rt_place_t *place)
{
    ngx_http_rt_zone_lock(zone);

    (void) ngx_http_rt_source_get(&zone->sh->store.sources, place, peer);

    ngx_http_rt_zone_unlock(zone);
}
