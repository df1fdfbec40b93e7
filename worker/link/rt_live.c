/*
 * Live messages: what an engine sends to the present watchers of an entity.
 *
 *   dispatch    an entity's clock is due: it is put on a list
 *   AUDIENCE    the list's topics, to the publisher of each zone
 *   WATCHERS    how many subscribe to each
 *   NOTICE      the engine's message to them, if it has one
 *
 * None of it is journaled.  A zone is asked again when its answer has come and
 * been dealt with, and not oftener than RT_LIVE_PACE_MS; with more entities
 * due than that they wait on their list, where each is once.  A zone that has
 * not taken all of its publications yet has no use for more, and without any
 * zone the list is dropped: nothing piles up.
 *
 * A message can be lost with the link that it was for, and a watcher who takes
 * another one's place between two counts changes no number.  So engines learn
 * that nothing is known of what was told when a zone has another publisher, and
 * at each RT_LIVE_REPEAT'th count that nobody was told anything.
 *
 * The state that a message describes may be ahead of the disk.  Then the
 * message is held until the disk has it, as answers are.
 */


#include "rt_link_private.h"


#define RT_LIVE_PACE_MS   10                /* between questions */
#define RT_LIVE_PROTOCOL  2                 /* peers that know the frames */
#define RT_LIVE_REPEAT    10                /* counts, then it is told again */


static rt_uint_t
rt_live_takes(const rt_zone_t *z)
{
    const rt_conn_t  *c;

    c = z->publisher;

    return c && !c->dead && c->protocol >= RT_LIVE_PROTOCOL;
}


static rt_uint_t
rt_live_is_ready(const rt_zone_t *z)
{
    return rt_live_takes(z) && !z->behind && z->live.n == 0
           && rt_buf_size(&z->live.held) == 0
           && rt_buf_size(&z->publisher->out) <= RT_LINK_OUT_REST;
}


void
rt_live_reset(rt_zone_t *z)
{
    rt_uint_t  i;

    for (i = 0; i < z->live.n; i++) {
        z->live.entities[i]->holds--;
    }

    z->live.n = 0;
    z->live.publisher++;
    rt_buf_reset(&z->live.held);
}


/* takes from the list what one frame may hold; the topics go to scratch */

static rt_uint_t
rt_live_batch(rt_link_t *l, rt_entity_t **entities, size_t max)
{
    rt_buf_t       *b;
    rt_uint_t       n;
    rt_entity_t    *e;
    rt_dispatch_t  *d;

    b = &l->scratch;
    d = l->dispatch;
    rt_buf_reset(b);

    for (n = 0; n < RT_WIRE_AUDIENCE_MAX; n++) {

        if (rt_buf_size(b) + RT_WIRE_TOPIC_MAX + 1 > max) {
            break;
        }

        e = rt_dispatch_clock_next(d);

        if (e == NULL) {
            break;
        }

        if (n) {
            rt_buf_literal(b, "\n");
        }

        e->engine->watched(rt_entity_name(e), b);
        entities[n] = e;
    }

    return n;
}


static void
rt_live_ask(rt_link_t *l, rt_zone_t *z, rt_entity_t **entities, rt_uint_t n)
{
    u_char     *p, *start;
    rt_uint_t   i;
    rt_conn_t  *c;

    c = z->publisher;

    z->live.id = l->live_id;
    z->live.n = n;
    memcpy(z->live.entities, entities, n * sizeof(entities[0]));

    for (i = 0; i < n; i++) {
        entities[i]->holds++;
    }

    start = rt_conn_reserve(c, RT_WIRE_HEADER_SIZE + RT_WIRE_FIELD_SIZE
                               + rt_buf_size(&l->scratch));

    p = rt_wire_begin(start, RT_WIRE_AUDIENCE, 0, z->live.id);
    p = rt_wire_put_string(p, RT_WIRE_F_BODY, l->scratch.pos,
                           rt_buf_size(&l->scratch));
    rt_wire_end(start, p);
    c->out.last = p;

    l->stats.audiences++;
}


void
rt_live_serve(rt_link_t *l)
{
    size_t          max;
    uint64_t        now;
    rt_uint_t       i, n, ready, takes;
    rt_zone_t      *z;
    rt_entity_t    *entities[RT_WIRE_AUDIENCE_MAX];
    rt_dispatch_t  *d;

    d = l->dispatch;

    if (!rt_dispatch_clock_waits(d)) {
        return;
    }

    takes = 0;
    ready = 0;
    max = RT_WIRE_FRAME_MAX;

    for (i = 0; i < l->nzones; i++) {
        z = &l->zones[i];

        if (rt_live_takes(z)) {
            takes++;
        }

        if (rt_live_is_ready(z)) {
            ready++;
            max = rt_min(max, z->publisher->frame_max);
        }
    }

    if (takes == 0 || l->stopping) {
        while (rt_dispatch_clock_next(d)) { /* void */ }
        return;
    }

    now = rt_loop_now();

    if (ready && now >= l->live_ms) {
        n = rt_live_batch(l, entities,
                          max - RT_WIRE_HEADER_SIZE - RT_WIRE_FIELD_SIZE);
        l->live_ms = now + RT_LIVE_PACE_MS;
        l->live_id++;

        for (i = 0; i < l->nzones; i++) {
            if (rt_live_is_ready(&l->zones[i])) {
                rt_live_ask(l, &l->zones[i], entities, n);
            }
        }
    }

    /* those that are not ready wake us by getting so */

    if (ready && rt_dispatch_clock_waits(d)) {
        rt_timer_set(&l->live_timer, l->live_ms - now);
    }
}


static rt_int_t
rt_live_notice(rt_link_t *l, rt_zone_t *z)
{
    size_t         size;
    u_char        *p, *start;
    rt_buf_t      *b;
    rt_message_t  *m;

    b = &z->live.held;
    m = &l->message;

    size = RT_WIRE_HEADER_SIZE + rt_zone_message_size(m);

    if (size > z->publisher->frame_max) {
        l->stats.unpublished++;
        return RT_DECLINED;
    }

    start = rt_buf_reserve(b, size);

    p = rt_wire_begin(start, RT_WIRE_NOTICE, 0, 0);
    p = rt_zone_put_message(p, m);
    rt_wire_end(start, p);
    b->last = p;

    l->stats.notices++;

    return RT_OK;
}


/* that many watch it: the engine may have something to say to them */

static void
rt_live_tell(rt_link_t *l, rt_zone_t *z, rt_entity_t *e, uint64_t watchers)
{
    rt_told_t       *told;
    rt_message_t    *m;
    rt_dispatch_t   *d;
    rt_audience_t    a;

    if (e->clock == NULL) {
        return;                             /* it has been evicted */
    }

    d = l->dispatch;
    m = &l->message;
    told = &e->clock->told[z - l->zones];

    a.time_ms = rt_dispatch_now(d);
    a.version = e->version;
    a.watchers = watchers;
    a.told = told->publisher == z->live.publisher
             && told->counts < RT_LIVE_REPEAT - 1
             ? told->watchers : RT_TOLD_NONE;

    told->watchers = watchers;
    told->publisher = z->live.publisher;
    told->counts++;

    if (watchers == 0) {
        told->counts = 0;
        return;
    }

    if (e->state == NULL) {
        return;
    }

    rt_buf_reset(&m->topic);
    rt_buf_reset(&m->body);
    m->event = NULL;

    e->engine->watched(rt_entity_name(e), &m->topic);

    if (e->engine->live(e->state, &a, m) && rt_live_notice(l, z) == RT_OK) {
        told->counts = 0;
        z->live.needs_seq = rt_max(z->live.needs_seq, e->last_seq);
    }
}


rt_int_t
rt_live_answer(rt_conn_t *c, const rt_wire_frame_t *f)
{
    rt_uint_t       i, n;
    rt_zone_t      *z;
    rt_wire_str_t   body;

    z = c->zone;

    if (z == NULL || z->publisher != c || z->live.n == 0
        || z->live.id != f->id)
    {
        return RT_OK;                       /* it was asked, a moment ago */
    }

    body = rt_wire_string(f, RT_WIRE_F_BODY);

    if (body.len != z->live.n * RT_WIRE_WATCHERS_SIZE) {
        return RT_ERROR;
    }

    n = z->live.n;
    z->live.n = 0;
    z->live.needs_seq = 0;

    for (i = 0; i < n; i++) {
        rt_live_tell(c->link, z, z->live.entities[i],
                     rt_wire_watchers(&body, i));
        z->live.entities[i]->holds--;
    }

    return RT_OK;
}


void
rt_live_release(rt_link_t *l, rt_zone_t *z)
{
    size_t     size;
    u_char    *p;
    rt_buf_t  *b;

    b = &z->live.held;
    size = rt_buf_size(b);

    if (size == 0 || z->live.needs_seq > l->journal->durable_seq) {
        return;
    }

    p = rt_conn_reserve(z->publisher, size);
    memcpy(p, b->pos, size);
    z->publisher->out.last = p + size;

    rt_buf_reset(b);
}
