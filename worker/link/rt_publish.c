/*
 * Cursors on the journal: publication to zones, and subscriptions to events.
 *
 * A sink is a zone of nginx, by name; all its processes' links share it, and
 * one of them is the publisher.  A sink reads the journal from its cursor to
 * the end that is on disk, asks the engine for each record's messages, and
 * sends them, at most a window ahead of what is confirmed.  What a link that
 * dies has not confirmed is sent again over the next one: the zone drops what
 * it has (rt_wire.h).  A zone without links is a cursor that waits.
 *
 * A subscription to one entity knows the next version to send; a page of its
 * events is looked up from there, so catching up and living on are the same.
 * One to many entities has a cursor as sinks do.
 */


#include <limits.h>
#include <stdio.h>
#include <unistd.h>
#include <fcntl.h>

#include "rt_io.h"
#include "rt_link.h"
#include "rt_log.h"


#define RT_PUBLISH_A_TURN   4096            /* records a cursor reads */
#define RT_PUBLISH_PAGE     64              /* events of an entity at once */
#define RT_PUBLISH_WINDOW   65536           /* no peer gets more */


/* zones */

rt_int_t
rt_publish_load(rt_link_t *l)
{
    int                  fd, n;
    char                 path[PATH_MAX], text[8192], *p, *end;
    char                 name[RT_WIRE_ZONE_MAX + 1];
    ssize_t              size;
    rt_sink_t           *s;
    unsigned long long   epoch, position, index;

    snprintf(path, sizeof(path), "%s/zones", l->dispatch->journal.dir);

    fd = rt_io.open(path, O_RDONLY|O_CLOEXEC, 0);

    if (fd == -1) {
        return RT_OK;
    }

    size = rt_io_read(fd, text, sizeof(text) - 1, 0);
    close(fd);

    text[rt_max(size, 0)] = '\0';

    if (sscanf(text, "%llx\n%n", &epoch, &n) != 1
        || epoch != l->dispatch->journal.epoch)
    {
        rt_log(RT_LOG_WARN, 0, "\"%s\" is of another journal, ignored", path);
        return RT_OK;
    }

    for (p = text + n; l->nsinks < RT_LINK_ZONES; p = end + 1) {

        end = strchr(p, '\n');

        if (end == NULL
            || sscanf(p, "%llu %llu %64[^\n]", &position, &index, name) != 3)
        {
            break;
        }

        s = &l->sinks[l->nsinks++];
        s->name_len = strlen(name);
        memcpy(s->name, name, s->name_len);
        s->position = position;

        if (position) {
            s->index = index;

        } else {
            s->start = index;
        }
    }

    return RT_OK;
}


static void
rt_publish_floor(rt_link_t *l)
{
    uint64_t   floor;
    rt_uint_t  i;

    floor = 0;

    for (i = 0; i < l->nsinks; i++) {
        if (l->sinks[i].position) {
            floor = floor ? rt_min(floor, l->sinks[i].position)
                          : l->sinks[i].position;
        }
    }

    l->dispatch->publish_floor = floor;
}


void
rt_publish_save(rt_link_t *l, rt_uint_t sync)
{
    rt_buf_t    b;
    rt_uint_t   i;
    rt_sink_t  *s;

    if (!l->sinks_changed) {
        return;
    }

    l->sinks_changed = 0;
    memset(&b, 0, sizeof(rt_buf_t));

    rt_buf_printf(&b, "%llx\n",
                  (unsigned long long) l->dispatch->journal.epoch);

    for (i = 0; i < l->nsinks; i++) {
        s = &l->sinks[i];

        /* nothing is confirmed at 0: where it begins stands behind it */

        rt_buf_printf(&b, "%llu %llu %.*s\n", (unsigned long long) s->position,
                      (unsigned long long) (s->position ? s->index : s->start),
                      (int) s->name_len, s->name);
    }

    if (rt_io_replace(l->dispatch->journal.dir, "zones", b.pos,
                      rt_buf_size(&b), sync)
        != RT_OK)
    {
        rt_log(RT_LOG_ERR, errno, "writing the zones' cursors failed");
    }

    rt_buf_free(&b);
    rt_publish_floor(l);
}


/* go on after (position, index) */

static void
rt_sink_seek(rt_link_t *l, rt_sink_t *s, uint64_t position, uint64_t index)
{
    uint64_t  first;

    first = rt_journal_first(&l->dispatch->journal);

    s->position = position;
    s->index = index;
    s->sent_position = position;
    s->sent_index = index;
    s->window_first = 0;
    s->window_next = 0;
    s->cursor = rt_max(position, first);

    if (position && position < first) {
        rt_log(RT_LOG_WARN, 0, "zone \"%.*s\" was away too long: events from "
               "%08u.seg:%u on are no longer kept and were not published",
               (int) s->name_len, s->name, rt_addr_segment(position),
               rt_addr_offset(position));
    }
}


/* go on after what is confirmed, or where it began if nothing is */

static void
rt_sink_rewind(rt_link_t *l, rt_sink_t *s)
{
    rt_sink_seek(l, s, s->position, s->index);

    if (s->position == 0) {
        s->cursor = rt_max(s->start, s->cursor);
    }
}


static void
rt_sink_take(rt_sink_t *s, rt_conn_t *c)
{
    s->publisher = c;
    rt_live_reset(s);

    if (s->window_size != c->window) {
        s->window_size = (uint32_t) c->window;
        s->window = rt_realloc(s->window,
                               s->window_size * sizeof(s->window[0]));
    }
}


static rt_sink_t *
rt_sink_get(rt_link_t *l, rt_wire_str_t name)
{
    rt_uint_t   i;
    rt_sink_t  *s;

    for (i = 0; i < l->nsinks; i++) {
        s = &l->sinks[i];

        if (s->name_len == name.len
            && memcmp(s->name, name.data, name.len) == 0)
        {
            return s;
        }
    }

    if (l->nsinks == RT_LINK_ZONES || memchr(name.data, '\n', name.len)) {
        return NULL;
    }

    /* a zone never seen: from now on */

    s = &l->sinks[l->nsinks++];
    memset(s, 0, sizeof(rt_sink_t));
    memcpy(s->name, name.data, name.len);
    s->name_len = name.len;

    s->start = l->dispatch->journal.durable_addr;
    rt_sink_rewind(l, s);

    l->sinks_changed = 1;
    rt_publish_save(l, 1);

    return s;
}


void
rt_publish_hello(rt_conn_t *c, const rt_wire_frame_t *f)
{
    uint64_t        epoch, position, index;
    rt_link_t      *l;
    rt_sink_t      *s;
    rt_record_t     rec;
    rt_wire_str_t   name;

    l = c->link;
    name = rt_wire_string(f, RT_WIRE_F_ZONE);

    c->window = rt_wire_number(f, RT_WIRE_F_WINDOW);

    if (c->window == 0) {
        c->window = RT_WIRE_WINDOW;
    }

    c->window = rt_min(c->window, RT_PUBLISH_WINDOW);

    if (name.len == 0) {
        return;
    }

    s = rt_sink_get(l, name);

    if (s == NULL) {
        rt_log(RT_LOG_ERR, 0, "too many zones, \"%.*s\" gets nothing",
               (int) name.len, name.data);
        return;
    }

    epoch = rt_wire_number(f, RT_WIRE_F_ZONE_EPOCH);
    c->zone_epoch = epoch;

    if (s->publisher != NULL && s->zone_epoch == epoch) {
        c->sink = s;                        /* it may take over */
        return;
    }

    if (s->publisher == NULL) {
        s->rivals = 0;

    } else if (!s->rivals) {
        s->rivals = 1;
        rt_log(RT_LOG_WARN, 0, "zone \"%.*s\" of process %d has come while "
               "there is another one of that name, of process %d: whoever "
               "comes last is published to; nginx instances with one daemon "
               "need zones of different names", (int) name.len, name.data,
               (int) c->pid, (int) s->publisher->pid);
    }

    s->zone_epoch = epoch;
    c->sink = s;

    position = rt_wire_number(f, RT_WIRE_F_POSITION);
    index = rt_wire_number(f, RT_WIRE_F_INDEX);

    if (rt_wire_number(f, RT_WIRE_F_EPOCH) == l->dispatch->journal.epoch
        && position != 0)
    {
        if (position >= l->dispatch->journal.durable_addr) {

            /* only published what was on disk: the journal was set back */

            rt_log(RT_LOG_CRIT, 0, "zone \"%.*s\" is ahead of the journal: "
                   "was an old copy put back? nothing is published to it "
                   "until nginx is restarted",
                   (int) name.len, name.data);
            c->sink = NULL;
            return;
        }

        if (rt_journal_try(&l->dispatch->journal, position, &rec) == RT_ERROR) {
            rt_log(RT_LOG_INFO, 0, "zone \"%.*s\" gave a position that is "
                   "none", (int) name.len, name.data);
            rt_sink_rewind(l, s);

        } else {
            rt_sink_seek(l, s, position, index);
        }

    } else {
        rt_sink_rewind(l, s);
    }

    rt_sink_take(s, c);
}


void
rt_publish_detach(rt_conn_t *c)
{
    rt_conn_t  *n;
    rt_link_t  *l;
    rt_sink_t  *s;

    l = c->link;
    s = c->sink;

    rt_visits_link_gone(&l->dispatch->visits, c);

    while (c->subscriptions) {
        rt_publish_unsubscribe(c, c->subscriptions->id);
    }

    if (s == NULL || s->publisher != c) {
        return;
    }

    s->publisher = NULL;

    for (n = l->conns; n; n = n->next) {
        if (n != c && n->sink == s && n->zone_epoch == s->zone_epoch
            && !n->dead && !n->closing)
        {
            rt_sink_rewind(l, s);
            rt_sink_take(s, n);
            return;
        }
    }
}


static void
rt_sink_confirm(rt_conn_t *c, uint64_t position, uint64_t index)
{
    rt_sink_t  *s;
    uint32_t    i;

    s = c->sink;

    if (s == NULL || s->publisher != c) {
        return;                             /* it has been, a moment ago */
    }

    while (s->window_first != s->window_next) {
        i = s->window_first % s->window_size;

        if (s->window[i].position > position
            || (s->window[i].position == position
                && s->window[i].index > index))
        {
            break;
        }

        s->position = s->window[i].position;
        s->index = s->window[i].index;
        s->window_first++;
        c->link->stats.confirmed++;
        c->link->sinks_changed = 1;
    }
}


static rt_uint_t
rt_sink_send(rt_link_t *l, rt_sink_t *s, const rt_record_t *rec,
    const rt_engine_t *engine, rt_uint_t index)
{
    size_t         size, event;
    u_char        *p, *start;
    rt_conn_t     *c;
    rt_message_t  *m;

    static const char  json[] = "application/json";

    (void) engine;

    c = s->publisher;
    m = &l->message;
    event = m->event ? strlen(m->event) : 0;

    size = RT_WIRE_HEADER_SIZE + 3 * RT_WIRE_NUMBER_SIZE
           + 4 * RT_WIRE_FIELD_SIZE + rt_buf_size(&m->topic)
           + rt_buf_size(&m->body) + event + sizeof(json);

    if (size > c->frame_max) {
        l->stats.unpublished++;
        return 0;
    }

    start = rt_link_reserve(c, size);

    p = rt_wire_begin(start, RT_WIRE_PUBLISH, 0, 0);
    p = rt_wire_put_number(p, RT_WIRE_F_POSITION, rec->addr);
    p = rt_wire_put_number(p, RT_WIRE_F_INDEX, index);
    p = rt_wire_put_number(p, RT_WIRE_F_TIME, rec->time_ms);
    p = rt_wire_put_string(p, RT_WIRE_F_BODY, m->body.pos,
                           rt_buf_size(&m->body));
    p = rt_wire_put_string(p, RT_WIRE_F_TOPIC, m->topic.pos,
                           rt_buf_size(&m->topic));

    if (event) {
        p = rt_wire_put_string(p, RT_WIRE_F_EVENT, m->event, event);
    }

    p = rt_wire_put_string(p, RT_WIRE_F_TYPE, json, sizeof(json) - 1);

    rt_wire_end(start, p);
    c->out.last = p;

    s->window[s->window_next % s->window_size].position = rec->addr;
    s->window[s->window_next++ % s->window_size].index = index;
    l->stats.published++;

    return 1;
}


static void
rt_sink_serve(rt_link_t *l, rt_sink_t *s)
{
    rt_uint_t           n, i;
    rt_event_t          ev;
    rt_record_t         rec;
    rt_dispatch_t      *d;
    const rt_engine_t  *engine;

    d = l->dispatch;
    s->behind = 1;

    for (n = 0; s->cursor < d->journal.durable_addr; n++) {

        if (n == RT_PUBLISH_A_TURN) {
            rt_loop_again();
            return;
        }

        if (rt_buf_size(&s->publisher->out) > RT_LINK_OUT_REST) {
            return;
        }

        if (rt_journal_read(&d->journal, s->cursor, &rec) != RT_OK
            || rec.addr >= d->journal.durable_addr)
        {
            break;
        }

        engine = rec.type < RT_RECORD_SYSTEM ? rt_engine_by_id(rec.engine)
                                             : NULL;
        if (engine) {
            rt_history_event(d, engine, &rec, &ev);

            i = rec.addr == s->sent_position ? s->sent_index + 1 : 0;

            for ( /* void */ ; /* void */ ; i++) {

                rt_buf_reset(&l->message.topic);
                rt_buf_reset(&l->message.body);
                l->message.event = NULL;

                if (!engine->publish(&ev, i, &l->message)) {
                    break;
                }

                if (s->window_next - s->window_first == s->window_size) {
                    return;                 /* until something is confirmed */
                }

                rt_sink_send(l, s, &rec, engine, i);
                s->sent_position = rec.addr;
                s->sent_index = i;
            }
        }

        s->cursor = rec.next;
    }

    s->behind = 0;
}


/* subscriptions */

static rt_subscription_t **
rt_subscription_find(rt_conn_t *c, uint64_t id)
{
    rt_subscription_t  **p;

    for (p = &c->subscriptions; *p; p = &(*p)->next) {
        if ((*p)->id == id) {
            return p;
        }
    }

    return NULL;
}


void
rt_publish_subscribe(rt_conn_t *c, const rt_wire_frame_t *f)
{
    rt_str_t            name;
    uint64_t            from;
    rt_link_t          *l;
    rt_record_t         rec;
    rt_entity_t        *e;
    rt_wire_str_t       s;
    rt_subscription_t  *sub;
    const rt_engine_t  *engine;

    l = c->link;

    s = rt_wire_string(f, RT_WIRE_F_ENGINE);
    name.data = s.data;
    name.len = s.len;

    engine = rt_engine_by_name(name);

    if (engine == NULL && name.len) {
        rt_link_refuse(c, f->id, 404, "unknown_engine",
                       "there is no such engine");
        return;
    }

    if (engine != NULL && engine->source) {
        rt_link_refuse(c, f->id, 404, "no_events", "a projection has no events "
                       "of its own");
        return;
    }

    s = rt_wire_string(f, RT_WIRE_F_ENTITY);
    name.data = s.data;
    name.len = s.len;

    e = NULL;

    if (name.len) {
        e = engine ? rt_dispatch_entity(l->dispatch, engine, name) : NULL;

        if (e == NULL) {
            rt_link_refuse(c, f->id, 404, "not_found", "there is none");
            return;
        }
    }

    if (c->nsubscriptions == RT_LINK_SUBSCRIPTIONS
        || rt_subscription_find(c, f->id))
    {
        rt_link_refuse(c, f->id, 503, "busy", "too many subscriptions");
        return;
    }

    sub = rt_calloc(sizeof(rt_subscription_t));

    sub->conn = c;
    sub->id = f->id;
    sub->connection = rt_wire_number(f, RT_WIRE_F_CONNECTION);
    sub->entity = e;
    sub->engine = engine;
    sub->live_seq = l->dispatch->journal.durable_seq;
    sub->window = rt_wire_number(f, RT_WIRE_F_WINDOW);

    if (sub->window == 0) {
        sub->window = RT_WIRE_WINDOW;
    }

    from = rt_wire_number(f, RT_WIRE_F_FROM);

    if (e == NULL && from && from != UINT64_MAX
        && rt_journal_try(&l->dispatch->journal, from, &rec) == RT_ERROR)
    {
        free(sub);
        rt_link_refuse(c, f->id, 400, "bad_position", "there is no record");
        return;
    }

    if (e) {
        sub->version = rt_max(from, 1);
        sub->entity_next = e->subscriptions;
        e->subscriptions = sub;

        if (e->last_seq > l->dispatch->journal.durable_seq && !e->dirty) {
            e->dirty = 1;
            e->dirty_next = l->dispatch->dirty;
            l->dispatch->dirty = e;
        }

    } else {
        l->many++;
        sub->cursor = rt_journal_first(&l->dispatch->journal);

        if (from == UINT64_MAX) {
            sub->cursor = rt_max(l->dispatch->journal.durable_addr,
                                 sub->cursor);

        } else if (from) {
            sub->cursor = rt_max(from, sub->cursor);
            sub->version = from;            /* the position it comes after */
        }
    }

    sub->next = c->subscriptions;
    c->subscriptions = sub;
    c->nsubscriptions++;
    c->behind = 1;
}


void
rt_publish_unsubscribe(rt_conn_t *c, uint64_t id)
{
    rt_subscription_t  *sub, **p, **ep;

    p = rt_subscription_find(c, id);

    if (p == NULL) {
        return;
    }

    sub = *p;
    *p = sub->next;
    c->nsubscriptions--;

    if (sub->entity) {
        for (ep = &sub->entity->subscriptions; *ep != sub;
             ep = &(*ep)->entity_next)
        {
            /* void */
        }

        *ep = sub->entity_next;

    } else {
        c->link->many--;
    }

    free(sub);
}


void
rt_publish_gone(rt_conn_t *c, uint64_t connection)
{
    rt_subscription_t  *sub, *next;

    c->link->stats.gones++;
    rt_visits_gone(&c->link->dispatch->visits, c, connection);

    for (sub = c->subscriptions; sub; sub = next) {
        next = sub->next;

        if (sub->connection == connection) {
            rt_publish_unsubscribe(c, sub->id);
        }
    }
}


void
rt_publish_confirm(rt_conn_t *c, const rt_wire_frame_t *f)
{
    uint64_t             n;
    rt_subscription_t  **p;

    if (f->id == 0) {
        rt_sink_confirm(c, rt_wire_number(f, RT_WIRE_F_POSITION),
                        rt_wire_number(f, RT_WIRE_F_INDEX));
        return;
    }

    p = rt_subscription_find(c, f->id);

    if (p) {
        n = rt_wire_number(f, RT_WIRE_F_VERSION);
        (*p)->unconfirmed -= rt_min(n, (*p)->unconfirmed);
        c->behind = 1;
    }
}


static void
rt_subscription_send(rt_link_t *l, rt_subscription_t *sub,
    const rt_record_t *rec, const rt_engine_t *engine)
{
    size_t       size;
    u_char      *p, *start;
    rt_uint_t    flags;
    rt_conn_t   *c;
    rt_event_t   ev;

    c = sub->conn;

    rt_history_event(l->dispatch, engine, rec, &ev);

    rt_buf_reset(&l->scratch);
    rt_history_describe(engine, &ev, &l->scratch);

    size = RT_WIRE_HEADER_SIZE + 3 * RT_WIRE_NUMBER_SIZE
           + 3 * RT_WIRE_FIELD_SIZE + RT_WIRE_ENGINE_MAX + ev.entity.len
           + rt_buf_size(&l->scratch);

    flags = rec->seq > sub->live_seq ? RT_WIRE_LIVE : 0;

    start = rt_link_reserve(c, size);

    p = rt_wire_begin(start, RT_WIRE_EVENT, (unsigned) flags, sub->id);
    p = rt_wire_put_number(p, RT_WIRE_F_POSITION, rec->addr);
    p = rt_wire_put_number(p, RT_WIRE_F_VERSION, rec->version);
    p = rt_wire_put_number(p, RT_WIRE_F_TIME, rec->time_ms);

    if (sub->entity == NULL) {
        p = rt_wire_put_string(p, RT_WIRE_F_ENGINE, engine->name,
                               strlen(engine->name));
        p = rt_wire_put_string(p, RT_WIRE_F_ENTITY, ev.entity.data,
                               ev.entity.len);
    }

    p = rt_wire_put_string(p, RT_WIRE_F_BODY, l->scratch.pos,
                           rt_buf_size(&l->scratch));
    rt_wire_end(start, p);
    c->out.last = p;

    sub->unconfirmed++;
    l->stats.events_sent++;
}


static rt_uint_t
rt_subscription_rests(const rt_subscription_t *sub)
{
    return sub->unconfirmed >= sub->window
           || rt_buf_size(&sub->conn->out) > RT_LINK_OUT_REST;
}


/* returns 1 if there is more to send when there is room */

static rt_uint_t
rt_subscription_serve_many(rt_link_t *l, rt_subscription_t *sub)
{
    rt_uint_t           n;
    rt_record_t         rec;
    rt_journal_t       *j;
    const rt_engine_t  *engine;

    j = &l->dispatch->journal;

    for (n = 0; sub->cursor < j->durable_addr; n++) {

        if (n == RT_PUBLISH_A_TURN) {
            rt_loop_again();
            return 1;
        }

        if (rt_subscription_rests(sub)) {
            return 1;
        }

        if (rt_journal_read(j, sub->cursor, &rec) != RT_OK
            || rec.addr >= j->durable_addr)
        {
            return 0;
        }

        sub->cursor = rec.next;

        engine = rec.type < RT_RECORD_SYSTEM ? rt_engine_by_id(rec.engine)
                                             : NULL;

        if (engine && rec.addr != sub->version
            && (sub->engine == NULL || sub->engine == engine))
        {
            rt_subscription_send(l, sub, &rec, engine);
        }
    }

    return 0;
}


static rt_uint_t
rt_subscription_serve(rt_link_t *l, rt_subscription_t *sub)
{
    uint64_t        addrs[RT_PUBLISH_PAGE];
    rt_uint_t       i, n, gone;
    rt_record_t     rec;
    rt_dispatch_t  *d;

    d = l->dispatch;

    if (rt_subscription_rests(sub)) {
        return sub->version <= sub->entity->version;
    }

    n = rt_history_page(d, sub->entity, sub->version, addrs, RT_PUBLISH_PAGE,
                        &gone);

    if (gone) {
        rt_link_refuse(sub->conn, sub->id, 410, "gone",
                       "events from this version on are no longer kept");
        rt_publish_unsubscribe(sub->conn, sub->id);
        return 0;
    }

    for (i = 0; i < n; i++) {

        if (rt_subscription_rests(sub)) {
            return 1;
        }

        if (rt_journal_read(&d->journal, addrs[i], &rec) != RT_OK
            || rec.seq > d->journal.durable_seq)
        {
            return 0;                       /* the entity is dirty then */
        }

        rt_subscription_send(l, sub, &rec, sub->entity->engine);
        sub->version++;
    }

    if (sub->version <= sub->entity->version) {
        rt_loop_again();
        return 1;
    }

    return 0;
}


static void
rt_publish_serve_dirty(rt_link_t *l)
{
    rt_entity_t        *e, **p;
    rt_subscription_t  *sub;

    for (p = &l->dispatch->dirty; *p; /* void */) {
        e = *p;

        for (sub = e->subscriptions; sub; sub = sub->entity_next) {
            sub->conn->behind = 1;
        }

        if (e->last_seq > l->dispatch->journal.durable_seq) {
            p = &e->dirty_next;             /* there will be more */
            continue;
        }

        *p = e->dirty_next;
        e->dirty = 0;
    }
}


void
rt_publish_serve(rt_link_t *l)
{
    rt_uint_t           i;
    rt_uint_t           more;
    rt_conn_t          *c;
    rt_subscription_t  *sub, *next;

    for (i = 0; i < l->nsinks; i++) {
        if (l->sinks[i].publisher && !l->sinks[i].publisher->dead) {

            /* first, so that the price never seems to fall back */

            rt_live_release(l, &l->sinks[i]);
            rt_sink_serve(l, &l->sinks[i]);
        }
    }

    rt_live_serve(l);

    if (l->served_seq != l->dispatch->journal.durable_seq) {
        l->served_seq = l->dispatch->journal.durable_seq;
        rt_publish_serve_dirty(l);
    }

    for (c = l->conns; c; c = c->next) {

        if (c->dead || (!c->behind && l->many == 0)) {
            continue;
        }

        more = 0;

        for (sub = c->subscriptions; sub; sub = next) {
            next = sub->next;
            more |= sub->entity ? rt_subscription_serve(l, sub)
                                : rt_subscription_serve_many(l, sub);
        }

        c->behind = more;
    }
}
