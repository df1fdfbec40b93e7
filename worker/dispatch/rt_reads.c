/*
 * The queue of reads, and what becomes of their requests; rt_reads.h says how
 * they go.  The threads are in rt_reads_thread.c.
 */


#include "rt_dispatch_private.h"


static void
rt_reads_put(rt_reads_queue_t *q, rt_read_t *r)
{
    r->next = NULL;
    *q->last = r;
    q->last = &r->next;
}


static rt_read_t *
rt_reads_take(rt_reads_queue_t *q)
{
    rt_read_t  *r;

    r = q->first;

    if (r) {
        q->first = r->next;

        if (q->first == NULL) {
            q->last = &q->first;
        }
    }

    return r;
}


void
rt_reads_init(rt_reads_t *rs)
{
    rs->queue.last = &rs->queue.first;
    rs->held.last = &rs->held.first;
    rs->loaded.last = &rs->loaded.first;
    rs->poll.fd = -1;
}


/* the request is copied: its frame goes */

static rt_wait_t *
rt_reads_wait(const rt_request_t *rq)
{
    size_t      i, size;
    u_char     *p;
    rt_str_t   *s;
    rt_wait_t  *w;

    size = rq->engine.len + rq->entity.len + rq->name.len + rq->body.len
           + rq->args.len + rq->key.len + rq->user.len
           + rq->expect_too.len;

    w = rt_calloc(sizeof(rt_wait_t) + size);

    w->rq = *rq;
    w->size = size;
    w->since_ms = rt_loop_now();
    p = (u_char *) (w + 1);

    rt_str_t  *strings[] = { &w->rq.engine, &w->rq.entity, &w->rq.name,
                             &w->rq.body, &w->rq.args, &w->rq.key,
                             &w->rq.user, &w->rq.expect_too };

    for (i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        s = strings[i];

        if (s->len) {
            memcpy(p, s->data, s->len);
        }

        s->data = p;
        p += s->len;
    }

    return w;
}


static void
rt_reads_add_wait(rt_reads_t *rs, rt_read_t *r, const rt_request_t *rq)
{
    rt_wait_t  *w;

    w = rt_reads_wait(rq);

    *r->last = w;
    r->last = &w->next;
    rs->n++;
    rs->bytes += w->size;
}


static rt_read_t *
rt_reads_new(rt_reads_t *rs, rt_entity_t *e, rt_uint_t query)
{
    rt_read_t  *r;

    r = rt_calloc(sizeof(rt_read_t));

    r->entity = e;
    r->query = query;
    r->version = e->version;
    r->last_addr = e->last_addr;
    r->last_seq = e->last_seq;
    r->last = &r->waits;

    e->reads++;
    rs->queries += query;

    return r;
}


static void
rt_reads_end(rt_reads_t *rs, rt_read_t *r)
{
    rt_assert(r->waits == NULL && r->entity->reads != 0);

    r->entity->reads--;
    rs->queries -= r->query;

    if (r->entity->load == r) {
        r->entity->load = NULL;
    }

    free(r);
}


static rt_uint_t
rt_reads_full(const rt_reads_t *rs)
{
    return rs->n >= RT_READS_MAX || rs->bytes >= RT_READS_BYTES;
}


static rt_int_t
rt_reads_busy(rt_dispatch_t *d, rt_answer_t *a)
{
    return rt_dispatch_say(d, a, 503, "busy",
                           "too many requests wait for old records");
}


rt_int_t
rt_reads_load(rt_dispatch_t *d, rt_entity_t *e, const rt_request_t *rq,
    rt_answer_t *a)
{
    rt_reads_t  *rs;

    rs = &d->reads;

    if (e->failed_ms && d->clock_ms - e->failed_ms < RT_READS_AGAIN_MS) {
        return rq ? rt_dispatch_unreadable(d, a, e) : RT_ERROR;
    }

    if (rq && rt_reads_full(rs)) {
        return rt_reads_busy(d, a);
    }

    if (e->load == NULL) {
        e->load = rt_reads_new(rs, e, 0);
        rt_reads_put(&rs->queue, e->load);
    }

    if (rq) {
        rt_reads_add_wait(rs, e->load, rq);
    }

    return RT_DECLINED;
}


rt_int_t
rt_reads_query(rt_dispatch_t *d, rt_entity_t *e, const rt_request_t *rq,
    rt_answer_t *a)
{
    rt_read_t   *r;
    rt_reads_t  *rs;

    rs = &d->reads;

    if (rt_reads_full(rs) || rs->queries >= RT_READS_QUERIES) {
        return rt_reads_busy(d, a);
    }

    r = rt_reads_new(rs, e, 1);
    rt_reads_add_wait(rs, r, rq);

    rt_reads_put(r->last_seq > d->journal.durable_seq ? &rs->held : &rs->queue,
                 r);

    return RT_DECLINED;
}


/* the next wait of a read is answered, or its link is gone */

static void
rt_reads_answer(rt_dispatch_t *d, rt_read_t *r, const rt_answer_t *a)
{
    rt_wait_t   *w;
    rt_reads_t  *rs;

    rs = &d->reads;
    w = r->waits;

    r->waits = w->next;

    if (r->waits == NULL) {
        r->last = &r->waits;
    }

    rs->n--;
    rs->bytes -= w->size;

    if (!w->dropped) {
        rs->handler(&w->rq, a);
    }

    /* it was under way when its connection ended: now its engine is told */

    if (w->gone) {
        rt_visits_gone(&d->visits, w->rq.link, w->rq.connection);
    }

    free(w);
}


/* RT_AGAIN: it has to wait for room in the journal */

static rt_int_t
rt_reads_run_one(rt_dispatch_t *d, rt_read_t *r, rt_answer_t *a)
{
    rt_wait_t  *w;

    w = r->waits;
    memset(a, 0, sizeof(rt_answer_t));

    if (w->dropped) {
        return RT_OK;
    }

    if (r->entity->state == NULL) {
        return rt_dispatch_unreadable(d, a, r->entity);
    }

    if (w->rq.timeout_ms && rt_loop_now() - w->since_ms >= w->rq.timeout_ms) {
        return rt_dispatch_say(d, a, 503, "busy",
                               "it came too late to its turn");
    }

    return rt_dispatch_run(d, &w->rq, a, r->entity->engine, r->entity);
}


/*
 * The requests of an entity whose state is there, or cannot be had.  RT_AGAIN:
 * the journal has no room, or the time is up.
 */

static rt_int_t
rt_reads_run(rt_dispatch_t *d, rt_read_t *r, uint64_t end_us)
{
    rt_answer_t  a;

    while (r->waits) {
        if (rt_reads_run_one(d, r, &a) == RT_AGAIN) {
            return RT_AGAIN;
        }

        rt_reads_answer(d, r, &a);

        if (r->waits && rt_time_us() >= end_us) {
            rt_loop_again();
            return RT_AGAIN;
        }
    }

    return RT_OK;
}


static void
rt_reads_loaded(rt_dispatch_t *d, rt_reads_thread_t *t, rt_read_t *r)
{
    rt_entity_t  *e;

    e = r->entity;

    rt_assert(e->state == NULL);

    rt_dispatch_loaded(d, e, &t->past, t->state, t->rc);

    t->state = NULL;
    e->used_ms = d->clock_ms;
    e->failed_ms = t->rc == RT_OK || t->rc == RT_AGAIN ? 0 : d->clock_ms;

    rt_reads_put(&d->reads.loaded, r);
}


static void
rt_reads_queried(rt_dispatch_t *d, rt_reads_thread_t *t, rt_read_t *r)
{
    rt_answer_t  a;

    memset(&a, 0, sizeof(rt_answer_t));

    rt_assert(t->out.status != 0);

    rt_past_end(&t->past, r->entity);

    a.status = t->out.status;
    a.version = t->version;
    a.has_version = a.status < 300;
    a.body = rt_buf_str(&t->out.body);

    rt_reads_answer(d, r, &a);
    rt_reads_end(&d->reads, r);
}


/* those held that the disk has now */

static void
rt_reads_release(rt_dispatch_t *d)
{
    rt_read_t         *r;
    rt_reads_t        *rs;
    rt_reads_queue_t   held;

    rs = &d->reads;

    if (rs->held.first == NULL || rs->held_seq == d->journal.durable_seq) {
        return;
    }

    rs->held_seq = d->journal.durable_seq;

    held = rs->held;
    rs->held.first = NULL;
    rs->held.last = &rs->held.first;

    while (held.first) {
        r = held.first;
        held.first = r->next;

        rt_reads_put(r->last_seq > d->journal.durable_seq
                     ? &rs->held : &rs->queue, r);
    }
}


void
rt_reads_turn(rt_dispatch_t *d)
{
    uint64_t            end_us;
    rt_read_t          *r;
    rt_reads_t         *rs;
    rt_reads_thread_t  *t;

    rs = &d->reads;

    for (t = rs->threads; t < rs->threads + rs->nthreads; t++) {

        r = rt_reads_done(t);

        if (r && r->query) {
            rt_reads_queried(d, t, r);

        } else if (r) {
            rt_reads_loaded(d, t, r);
        }
    }

    end_us = rt_time_us() + RT_READS_RUN_US;

    while (rs->loaded.first
           && rt_reads_run(d, rs->loaded.first, end_us) == RT_OK)
    {
        rt_reads_end(rs, rt_reads_take(&rs->loaded));
    }

    rt_reads_release(d);

    for (t = rs->threads; t < rs->threads + rs->nthreads; t++) {

        if (t->read == NULL && rs->queue.first) {
            rt_reads_give(d, t, rt_reads_take(&rs->queue));
        }
    }
}


/* each wait of a queue */

static void
rt_reads_gone_of(rt_read_t *r, const void *link, uint64_t connection,
    rt_uint_t all)
{
    rt_wait_t  *w;

    for (w = r->waits; w; w = w->next) {

        if (w->rq.link != link) {
            continue;
        }

        if (all) {
            w->dropped = 1;

        } else if (w->rq.connection == connection) {
            w->gone = 1;
        }
    }
}


static void
rt_reads_each(rt_reads_t *rs, const void *link, uint64_t connection,
    rt_uint_t all)
{
    rt_uint_t           i;
    rt_read_t          *r;
    rt_reads_thread_t  *t;
    rt_reads_queue_t   *queues[3] = { &rs->queue, &rs->held, &rs->loaded };

    if (rs->n == 0) {
        return;
    }

    for (i = 0; i < 3; i++) {
        for (r = queues[i]->first; r; r = r->next) {
            rt_reads_gone_of(r, link, connection, all);
        }
    }

    for (t = rs->threads; t < rs->threads + rs->nthreads; t++) {
        if (t->read) {
            rt_reads_gone_of(t->read, link, connection, all);
        }
    }
}


void
rt_reads_link_gone(rt_reads_t *rs, const void *link)
{
    rt_reads_each(rs, link, 0, 1);
}


void
rt_reads_gone(rt_reads_t *rs, const void *link, uint64_t connection)
{
    rt_reads_each(rs, link, connection, 0);
}


uint64_t
rt_reads_floor(const rt_reads_t *rs)
{
    uint64_t                  floor;
    const rt_reads_thread_t  *t;

    floor = UINT64_MAX;

    for (t = rs->threads; t < rs->threads + rs->nthreads; t++) {
        if (t->read) {
            floor = rt_min(floor, t->read->entity->first_addr);
        }
    }

    return floor;
}


static void
rt_reads_drop(rt_reads_t *rs, rt_read_t *r)
{
    rt_wait_t  *w;

    while (r->waits) {
        w = r->waits;
        r->waits = w->next;
        free(w);
    }

    rt_reads_end(rs, r);
}


void
rt_reads_free(rt_reads_t *rs)
{
    rt_uint_t          i;
    rt_reads_queue_t  *queues[3] = { &rs->queue, &rs->held, &rs->loaded };

    for (i = 0; i < 3; i++) {
        while (queues[i]->first) {
            rt_reads_drop(rs, rt_reads_take(queues[i]));
        }
    }

    for (i = 0; i < rs->nthreads; i++) {
        if (rs->threads[i].read) {
            rt_reads_drop(rs, rs->threads[i].read);
        }
    }
}
