/*
 * Subscriptions to events.
 *
 * A subscription to one entity knows the next version to send; a page of its
 * events is looked up from there, so that catching up and going on live are the
 * same.  A subscription to many entities has a cursor on the journal, as zones
 * have.
 */


#include "rt_link_private.h"


#define RT_SUBSCRIPTION_PAGE     64         /* events of an entity at once */
#define RT_SUBSCRIPTION_BUCKETS  16         /* to begin with */
#define RT_SUBSCRIPTION_LOOKS    16         /* served between looks at time */


static rt_subscription_t *
rt_subscription_find(rt_conn_t *c, uint64_t id)
{
    rt_subscription_t  *sub;
    rt_table_node_t    *n;

    if (c->nsubscriptions == 0) {
        return NULL;
    }

    n = rt_table_first(&c->by_id, rt_table_hash_number(&c->by_id, id));

    for ( /* void */ ; n; n = rt_table_next(n)) {
        sub = rt_item(n, rt_subscription_t, id_node);

        if (sub->id == id) {
            return sub;
        }
    }

    return NULL;
}


/*
 * The queue of a connection holds the subscriptions that may have something to
 * send.  One to an entity leaves it when it has sent all, and comes back when
 * the entity changes; or when its window is full, and comes back when events
 * are confirmed.  One to many entities stays.
 */

static void
rt_subscription_ready(rt_subscription_t *sub)
{
    rt_conn_t  *c;

    if (sub->ready_prev) {
        return;
    }

    c = sub->conn;

    if (c->nready++ == 0) {
        c->ready_last = &c->ready;
    }

    sub->ready_next = NULL;
    sub->ready_prev = c->ready_last;
    *c->ready_last = sub;
    c->ready_last = &sub->ready_next;
}


static void
rt_subscription_unready(rt_subscription_t *sub)
{
    rt_conn_t  *c;

    if (sub->ready_prev == NULL) {
        return;
    }

    c = sub->conn;
    *sub->ready_prev = sub->ready_next;

    if (sub->ready_next) {
        sub->ready_next->ready_prev = sub->ready_prev;

    } else {
        c->ready_last = sub->ready_prev;
    }

    sub->ready_prev = NULL;
    c->nready--;

    rt_assert((c->nready == 0) == (c->ready == NULL));
}


static void
rt_subscription_link(rt_conn_t *c, rt_subscription_t *sub)
{
    if (c->by_id.buckets == NULL) {
        rt_table_init(&c->by_id, RT_SUBSCRIPTION_BUCKETS);
        rt_table_init(&c->by_client, RT_SUBSCRIPTION_BUCKETS);
    }

    rt_table_add(&c->by_id, &sub->id_node,
                 rt_table_hash_number(&c->by_id, sub->id));
    rt_table_add(&c->by_client, &sub->client_node,
                 rt_table_hash_number(&c->by_client, sub->connection));

    sub->next = c->subscriptions;
    sub->prev = &c->subscriptions;

    if (sub->next) {
        sub->next->prev = &sub->next;
    }

    c->subscriptions = sub;
    c->nsubscriptions++;

    rt_subscription_ready(sub);
}


static void
rt_subscription_unlink(rt_conn_t *c, rt_subscription_t *sub)
{
    rt_table_delete(&c->by_id, &sub->id_node);
    rt_table_delete(&c->by_client, &sub->client_node);

    *sub->prev = sub->next;

    if (sub->next) {
        sub->next->prev = sub->prev;
    }

    c->nsubscriptions--;

    rt_assert(c->nsubscriptions == c->by_id.n);
}


/* what the frame asks for; RT_DECLINED: it is refused */

static rt_int_t
rt_subscription_target(rt_conn_t *c, const rt_wire_frame_t *f,
    const rt_engine_t **engine, rt_entity_t **e)
{
    rt_str_t     name;
    rt_answer_t  a;

    memset(&a, 0, sizeof(rt_answer_t));

    name = rt_request_string(f, RT_WIRE_F_ENGINE);
    *engine = rt_engine_by_name(name);
    *e = NULL;

    if (*engine == NULL && name.len) {
        rt_conn_refuse(c, f->id, 404, "unknown_engine",
                       "there is no such engine");
        return RT_DECLINED;
    }

    if (*engine != NULL && (*engine)->source) {
        rt_conn_refuse(c, f->id, 404, "no_events", "a projection has no events "
                       "of its own");
        return RT_DECLINED;
    }

    name = rt_request_string(f, RT_WIRE_F_ENTITY);

    if (name.len == 0) {
        return RT_OK;
    }

    if (*engine) {
        *e = rt_dispatch_entity(c->link->dispatch, *engine, name);
    }

    if (*e == NULL) {
        rt_conn_refuse(c, f->id, 404, "not_found", "there is none");
        return RT_DECLINED;
    }

    if ((*e)->state == NULL && (*e)->damaged) {
        (void) rt_dispatch_unreadable(c->link->dispatch, &a, *e);
        rt_conn_reply(c, f->id, &a);
        return RT_DECLINED;
    }

    return RT_OK;
}


static rt_int_t
rt_subscription_check(rt_conn_t *c, const rt_wire_frame_t *f, rt_uint_t many)
{
    uint64_t     from;
    rt_record_t  rec;

    if (c->nsubscriptions == RT_LINK_SUBSCRIPTIONS
        || rt_subscription_find(c, f->id))
    {
        rt_conn_refuse(c, f->id, 503, "busy", "too many subscriptions");
        return RT_DECLINED;
    }

    from = rt_wire_number(f, RT_WIRE_F_FROM);

    if (many && from && from != UINT64_MAX
        && rt_journal_try(c->link->journal, from, &rec) == RT_ERROR)
    {
        rt_conn_refuse(c, f->id, 400, "bad_position", "there is no record");
        return RT_DECLINED;
    }

    return RT_OK;
}


static void
rt_subscription_to_entity(rt_link_t *l, rt_subscription_t *sub, uint64_t from)
{
    rt_entity_t  *e;

    e = sub->entity;

    sub->version = rt_max(from, 1);
    sub->entity_next = e->subscriptions;
    sub->entity_prev = &e->subscriptions;

    if (sub->entity_next) {
        sub->entity_next->entity_prev = &sub->entity_next;
    }

    e->subscriptions = sub;

    if (e->last_seq > l->journal->durable_seq) {
        rt_dispatch_changed(l->dispatch, e);
    }
}


static void
rt_subscription_to_many(rt_link_t *l, rt_subscription_t *sub, uint64_t from)
{
    sub->cursor = rt_journal_first(l->journal);

    if (from == UINT64_MAX) {
        sub->cursor = rt_max(l->journal->durable_addr, sub->cursor);

    } else if (from) {
        sub->cursor = rt_max(from, sub->cursor);
        sub->version = from;                /* the position it comes after */
    }
}


void
rt_subscription_open(rt_conn_t *c, const rt_wire_frame_t *f)
{
    uint64_t            from;
    rt_entity_t        *e;
    rt_subscription_t  *sub;
    const rt_engine_t  *engine;

    if (rt_subscription_target(c, f, &engine, &e) != RT_OK
        || rt_subscription_check(c, f, e == NULL) != RT_OK)
    {
        return;
    }

    from = rt_wire_number(f, RT_WIRE_F_FROM);

    sub = rt_calloc(sizeof(rt_subscription_t));

    sub->conn = c;
    sub->id = f->id;
    sub->connection = rt_wire_number(f, RT_WIRE_F_CONNECTION);
    sub->entity = e;
    sub->engine = engine;
    sub->live_seq = c->link->journal->durable_seq;
    sub->window = rt_wire_number(f, RT_WIRE_F_WINDOW);

    if (sub->window == 0) {
        sub->window = RT_WIRE_WINDOW;
    }

    if (e) {
        rt_subscription_to_entity(c->link, sub, from);

    } else {
        rt_subscription_to_many(c->link, sub, from);
    }

    rt_subscription_link(c, sub);
}


static void
rt_subscription_free(rt_subscription_t *sub)
{
    rt_subscription_unready(sub);
    rt_subscription_unlink(sub->conn, sub);

    if (sub->entity) {
        *sub->entity_prev = sub->entity_next;

        if (sub->entity_next) {
            sub->entity_next->entity_prev = sub->entity_prev;
        }
    }

    free(sub);
}


void
rt_subscription_close(rt_conn_t *c, uint64_t id)
{
    rt_subscription_t  *sub;

    sub = rt_subscription_find(c, id);

    if (sub) {
        rt_subscription_free(sub);
    }
}


void
rt_subscription_close_all(rt_conn_t *c)
{
    while (c->subscriptions) {
        rt_subscription_free(c->subscriptions);
    }

    rt_table_free(&c->by_id);
    rt_table_free(&c->by_client);
}


/* that client's connection is closed */

void
rt_subscription_gone(rt_conn_t *c, uint64_t connection)
{
    rt_subscription_t  *sub;
    rt_table_node_t    *n, *next;

    if (c->nsubscriptions == 0) {
        return;
    }

    n = rt_table_first(&c->by_client,
                       rt_table_hash_number(&c->by_client, connection));

    for ( /* void */ ; n; n = next) {
        next = rt_table_next(n);
        sub = rt_item(n, rt_subscription_t, client_node);

        if (sub->connection == connection) {
            rt_subscription_free(sub);
        }
    }
}


void
rt_subscription_confirm(rt_conn_t *c, uint64_t id, uint64_t n)
{
    rt_subscription_t  *sub;

    sub = rt_subscription_find(c, id);

    if (sub) {
        sub->unconfirmed -= rt_min(n, sub->unconfirmed);
        rt_subscription_ready(sub);
    }
}


static void
rt_subscription_describe(rt_link_t *l, const rt_record_t *rec,
    const rt_engine_t *engine)
{
    rt_event_t       ev;
    rt_described_t  *de;

    de = &l->described;

    de->addr = rec->addr;
    de->seq = rec->seq;
    de->version = rec->version;

    rt_history_event(l->dispatch, engine, rec, &ev);

    rt_buf_reset(&de->body);
    rt_history_describe(engine, &ev, &de->body);
}


/* the event that has been described */

static void
rt_subscription_send(rt_link_t *l, rt_subscription_t *sub,
    const rt_engine_t *engine, rt_str_t entity)
{
    size_t           size;
    u_char          *p, *start;
    rt_uint_t        flags;
    rt_conn_t       *c;
    rt_described_t  *de;

    c = sub->conn;
    de = &l->described;

    size = RT_WIRE_HEADER_SIZE + 2 * RT_WIRE_NUMBER_SIZE
           + 3 * RT_WIRE_FIELD_SIZE + RT_WIRE_ENGINE_MAX + entity.len
           + rt_buf_size(&de->body);

    flags = de->seq > sub->live_seq ? RT_WIRE_LIVE : 0;

    start = rt_conn_reserve(c, size);

    p = rt_wire_begin(start, RT_WIRE_EVENT, (unsigned) flags, sub->id);
    p = rt_wire_put_number(p, RT_WIRE_F_POSITION, de->addr);
    p = rt_wire_put_number(p, RT_WIRE_F_VERSION, de->version);

    if (sub->entity == NULL) {
        p = rt_wire_put_string(p, RT_WIRE_F_ENGINE, engine->name,
                               strlen(engine->name));
        p = rt_wire_put_string(p, RT_WIRE_F_ENTITY, entity.data,
                               entity.len);
    }

    p = rt_wire_put_string(p, RT_WIRE_F_BODY, de->body.pos,
                           rt_buf_size(&de->body));
    rt_wire_end(start, p);
    c->out.last = p;

    sub->unconfirmed++;
    rt_assert(sub->unconfirmed <= sub->window);
    l->stats.events_sent++;
}


static rt_uint_t
rt_subscription_is_full(const rt_subscription_t *sub)
{
    return sub->unconfirmed >= sub->window;
}


static rt_uint_t
rt_subscription_rests(const rt_conn_t *c)
{
    return rt_buf_size(&c->out) > RT_LINK_OUT_REST;
}


static void
rt_subscription_serve_many(rt_link_t *l, rt_subscription_t *sub)
{
    rt_int_t            rc;
    rt_uint_t           n;
    rt_record_t         rec;
    rt_journal_t       *j;
    const rt_engine_t  *engine;

    j = l->journal;

    for (n = 0; sub->cursor < j->durable_addr; n++) {

        if (n == RT_LINK_RECORDS_A_TURN) {
            rt_loop_again();
            return;
        }

        if (rt_subscription_is_full(sub) || rt_subscription_rests(sub->conn)) {
            return;
        }

        rc = rt_journal_read(j, sub->cursor, &rec);

        if (rc == RT_ERROR) {
            sub->cursor = rt_link_skip(l, sub->cursor, "a subscription");
            continue;
        }

        if (rc != RT_OK || rec.addr >= j->durable_addr) {
            return;
        }

        sub->cursor = rec.next;

        engine = rec.type < RT_RECORD_SYSTEM ? rt_engine_by_id(rec.engine)
                                             : NULL;

        if (engine && rec.addr != sub->version
            && (sub->engine == NULL || sub->engine == engine))
        {
            rt_subscription_describe(l, &rec, engine);
            rt_subscription_send(l, sub, engine, rec.entity);
        }
    }
}


/*
 * The next events of its entity.  Whoever listens live wants the last one, and
 * the first of them has had it read and described for all.
 */

static rt_int_t
rt_subscription_page(rt_link_t *l, const rt_subscription_t *sub,
    uint64_t *addrs, rt_uint_t *n)
{
    rt_entity_t  *e;

    e = sub->entity;

    if (sub->version == e->version && e->last_addr == l->described.addr) {
        addrs[0] = e->last_addr;
        *n = 1;
        return RT_OK;
    }

    *n = RT_SUBSCRIPTION_PAGE;

    return rt_history_page(l->dispatch, e, sub->version, addrs, n);
}


/*
 * RT_OK: it has sent all that is on disk, or its window is full; RT_AGAIN:
 * there is more to send; RT_DECLINED: its events are no longer kept;
 * RT_ERROR: they cannot be read.
 */

static rt_int_t
rt_subscription_serve(rt_link_t *l, rt_subscription_t *sub)
{
    uint64_t     addrs[RT_SUBSCRIPTION_PAGE];
    rt_int_t     rc;
    rt_uint_t    i, n;
    rt_record_t  rec;

    if (rt_subscription_is_full(sub)) {
        return RT_OK;
    }

    rc = rt_subscription_page(l, sub, addrs, &n);

    if (rc != RT_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {

        if (rt_subscription_is_full(sub)) {
            return RT_OK;
        }

        if (rt_subscription_rests(sub->conn)) {
            return RT_AGAIN;
        }

        if (addrs[i] != l->described.addr) {

            if (rt_journal_read(l->journal, addrs[i], &rec) != RT_OK
                || rec.seq > l->journal->durable_seq)
            {
                return RT_OK;               /* it is woken by the disk */
            }

            rt_subscription_describe(l, &rec, sub->entity->engine);
        }

        rt_subscription_send(l, sub, sub->entity->engine,
                             rt_entity_name(sub->entity));
        sub->version++;
    }

    if (sub->version <= sub->entity->version) {
        rt_loop_again();
        return RT_AGAIN;
    }

    return RT_OK;
}


static void
rt_subscription_serve_one(rt_link_t *l, rt_subscription_t *sub)
{
    rt_int_t  rc;

    rt_subscription_unready(sub);

    if (sub->entity == NULL) {
        rt_subscription_serve_many(l, sub);
        rt_subscription_ready(sub);
        return;
    }

    rc = rt_subscription_serve(l, sub);

    if (rc == RT_AGAIN) {
        rt_subscription_ready(sub);

    } else if (rc == RT_OK && sub->entity->leaving
               && sub->version > sub->entity->version)
    {
        rt_conn_refuse(sub->conn, sub->id, 410, "ended", "there is no more");
        rt_subscription_free(sub);

    } else if (rc == RT_DECLINED) {
        rt_conn_refuse(sub->conn, sub->id, 410, "gone",
                       "events from this version on are no longer kept");
        rt_subscription_free(sub);

    } else if (rc == RT_ERROR) {
        rt_conn_refuse(sub->conn, sub->id, 500, "unreadable",
                       "the journal is damaged");
        rt_subscription_free(sub);
    }
}


static void
rt_subscription_wake(rt_entity_t *e)
{
    rt_subscription_t  *sub;

    for (sub = e->subscriptions; sub; sub = sub->entity_next) {
        rt_subscription_ready(sub);
    }
}


/* each once; those that have more to send have gone to the end */

static rt_int_t
rt_subscription_serve_conn(rt_link_t *l, rt_conn_t *c, uint64_t end_us)
{
    rt_uint_t  n;

    for (n = c->nready; n && !c->dead && !rt_subscription_rests(c); n--) {
        rt_subscription_serve_one(l, c->ready);

        if (n % RT_SUBSCRIPTION_LOOKS == 1 && rt_time_us() > end_us) {
            return RT_AGAIN;
        }
    }

    return RT_OK;
}


/*
 * What takes longer than its share of the turn goes on in the next one, which
 * begins with the next connection.
 */

void
rt_subscription_serve_all(rt_link_t *l)
{
    uint64_t    end_us;
    rt_uint_t   n;
    rt_conn_t  *c;

    if (l->served_seq != l->journal->durable_seq
        || rt_dispatch_leaving(l->dispatch))
    {
        l->served_seq = l->journal->durable_seq;
        rt_dispatch_each_changed(l->dispatch, rt_subscription_wake);
    }

    end_us = rt_time_us() + RT_LINK_SERVE_US;
    c = l->serve_next;
    l->serve_next = NULL;

    for (n = l->nconns; n; n--) {

        c = c ? c : l->conns;

        if (rt_subscription_serve_conn(l, c, end_us) != RT_OK) {
            l->serve_next = c->next;
            l->stats.events_deferred++;
            rt_loop_again();
            return;
        }

        c = c->next;
    }
}
