/*
 * Zones: cursors on the journal, from which nginx's zones are published to.
 *
 * All links of an nginx's processes share a zone by its name, and one of them
 * is the publisher.  A zone reads the journal from its cursor to the end that
 * is on disk, asks the engine for each record's messages, and sends them, at
 * most a window ahead of what is confirmed.  What a link has not confirmed when
 * it ends is sent again over the next one; nginx drops what its zone has
 * already (rt_wire.h).  A zone without links is a cursor that waits.  It
 * passes over records that publish nothing, so that it keeps no segment for
 * them.
 *
 * The file "zones" has the epoch, then a line for each zone: the position and
 * index of what is confirmed, or zeros; the address before which nothing is
 * owed; the name.  Retention asks for what the file says, not for what the
 * memory knows: after a crash it is the file that counts.
 */


#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "rt_io.h"
#include "rt_link_private.h"
#include "rt_log.h"
#include "rt_utf8.h"


#define RT_ZONE_WINDOW  65536               /* no peer gets more */


/* what engines publish is JSON */

static const char  rt_zone_json[] = "application/json";


static void
rt_zone_floor(rt_link_t *l)
{
    uint64_t   floor;
    rt_uint_t  i;

    floor = UINT64_MAX;

    for (i = 0; i < l->nzones; i++) {
        floor = rt_min(floor, l->zones[i].saved);
    }

    rt_dispatch_keep(l->dispatch, l->nzones ? rt_max(floor, 1) : 0);
}


/* lines that are not understood are an error: a zone would miss messages */

static rt_int_t
rt_zone_parse(rt_link_t *l, const char *p)
{
    char                 name[RT_WIRE_ZONE_MAX + 1];
    const char          *end;
    rt_zone_t           *z;
    unsigned long long   position, index, done;

    for ( /* void */ ; *p; p = end + 1) {

        end = strchr(p, '\n');

        if (end == NULL || l->nzones == RT_LINK_ZONES
            || sscanf(p, "%llu %llu %llu %64[^\n]", &position, &index, &done,
                      name)
               != 4)
        {
            return RT_ERROR;
        }

        z = &l->zones[l->nzones++];
        z->name_len = strlen(name);
        memcpy(z->name, name, z->name_len);
        z->position = position;
        z->index = index;
        z->done = done;
        z->saved = done;
        z->cursor = rt_max(done, rt_journal_first(l->journal));
        z->sent_position = position;
        z->sent_index = index;
    }

    return RT_OK;
}


rt_int_t
rt_zone_load(rt_link_t *l)
{
    int                  fd, n;
    char                 path[PATH_MAX], text[8192];
    ssize_t              size;
    unsigned long long   epoch;

    snprintf(path, sizeof(path), "%s/zones", l->journal->dir);

    fd = rt_io.open(path, O_RDONLY|O_CLOEXEC, 0);

    if (fd == -1 && errno == ENOENT) {
        return RT_OK;
    }

    size = fd == -1 ? -1 : rt_io_read(fd, text, sizeof(text) - 1, 0);

    if (size == -1) {
        rt_log(RT_LOG_EMERG, errno, "reading \"%s\" failed", path);

        if (fd != -1) {
            close(fd);
        }

        return RT_ERROR;
    }

    close(fd);
    text[size] = '\0';

    if (sscanf(text, "%llx\n%n", &epoch, &n) != 1
        || epoch != l->journal->epoch)
    {
        rt_log(RT_LOG_WARN, 0, "\"%s\" is of another journal, ignored", path);
        return RT_OK;
    }

    if (rt_zone_parse(l, text + n) != RT_OK) {
        rt_log(RT_LOG_EMERG, 0, "\"%s\" is not understood", path);
        return RT_ERROR;
    }

    rt_zone_floor(l);

    return RT_OK;
}


/* what is sent and not confirmed is owed, and what is not yet looked at */

static void
rt_zone_settle(rt_zone_t *z)
{
    uint64_t  done;

    done = z->window_first == z->window_next
           ? z->cursor : z->window[z->window_first % z->window_size].position;

    z->done = rt_max(z->done, done);
}


/* is the file behind by so much that segments are kept for it? */

static rt_uint_t
rt_zone_is_behind(rt_link_t *l)
{
    rt_uint_t   i;
    rt_zone_t  *z;

    for (i = 0; i < l->nzones; i++) {
        z = &l->zones[i];

        if (rt_addr_segment(z->done) != rt_addr_segment(z->saved)) {
            return 1;
        }
    }

    return 0;
}


void
rt_zone_save(rt_link_t *l, rt_uint_t sync)
{
    rt_buf_t    b;
    rt_int_t    rc;
    rt_uint_t   i;
    rt_zone_t  *z;

    for (i = 0; i < l->nzones; i++) {
        rt_zone_settle(&l->zones[i]);
    }

    if (!l->zones_changed && !rt_zone_is_behind(l)) {
        return;
    }

    memset(&b, 0, sizeof(rt_buf_t));

    rt_buf_printf(&b, "%llx\n",
                  (unsigned long long) l->journal->epoch);

    for (i = 0; i < l->nzones; i++) {
        z = &l->zones[i];

        rt_buf_printf(&b, "%llu %llu %llu %.*s\n",
                      (unsigned long long) z->position,
                      (unsigned long long) z->index,
                      (unsigned long long) z->done, (int) z->name_len,
                      z->name);
    }

    rc = rt_io_replace(l->journal->dir, "zones", b.pos, rt_buf_size(&b), sync);
    rt_buf_free(&b);

    if (rc != RT_OK) {
        rt_log(RT_LOG_ERR, errno, "writing the zones' cursors failed");
        l->zones_changed = 1;               /* the next save tries again */
        return;
    }

    l->zones_changed = 0;

    for (i = 0; i < l->nzones; i++) {
        l->zones[i].saved = l->zones[i].done;
    }

    rt_zone_floor(l);
}


/* go on after (position, index) */

static void
rt_zone_seek(rt_link_t *l, rt_zone_t *z, uint64_t position, uint64_t index,
    uint64_t done)
{
    uint64_t  first;

    first = rt_journal_first(l->journal);

    z->position = position;
    z->index = index;
    z->sent_position = position;
    z->sent_index = index;
    z->window_first = 0;
    z->window_next = 0;
    z->done = done;
    z->cursor = rt_max(done, first);
    z->owes = 0;

    if (done < first) {
        rt_log(RT_LOG_WARN, 0, "zone \"%.*s\" was away too long: events from "
               "%08u.seg:%u on are no longer kept and were not published",
               (int) z->name_len, z->name, rt_addr_segment(done),
               rt_addr_offset(done));
    }
}


/* back to what is not confirmed, or to where it began if nothing is */

static void
rt_zone_rewind(rt_link_t *l, rt_zone_t *z)
{
    rt_zone_settle(z);
    rt_zone_seek(l, z, z->position, z->index, z->done);
}


static void
rt_zone_take(rt_zone_t *z, rt_conn_t *c)
{
    z->publisher = c;
    z->owed_ms = 0;
    rt_live_reset(z);

    if (z->window_size != c->window) {
        z->window_size = (uint32_t) c->window;
        z->window = rt_realloc(z->window,
                               z->window_size * sizeof(z->window[0]));
    }
}


static rt_zone_t *
rt_zone_get(rt_link_t *l, rt_wire_str_t name)
{
    rt_uint_t   i;
    rt_zone_t  *z;

    for (i = 0; i < l->nzones; i++) {
        z = &l->zones[i];

        if (z->name_len == name.len
            && memcmp(z->name, name.data, name.len) == 0)
        {
            return z;
        }
    }

    if (l->nzones == RT_LINK_ZONES) {
        return NULL;
    }

    /* a zone never seen: from now on */

    z = &l->zones[l->nzones++];
    memset(z, 0, sizeof(rt_zone_t));
    memcpy(z->name, name.data, name.len);
    z->name_len = name.len;

    z->cursor = rt_max(l->journal->durable_addr,
                       rt_journal_first(l->journal));
    rt_zone_rewind(l, z);

    l->zones_changed = 1;
    rt_zone_save(l, 1);

    return z;
}


/* where the zone says it stands; RT_DECLINED: it is not to be published to */

static rt_int_t
rt_zone_place(rt_link_t *l, rt_zone_t *z, const rt_wire_frame_t *f)
{
    uint64_t     position, index;
    rt_record_t  rec;

    position = rt_wire_number(f, RT_WIRE_F_POSITION);
    index = rt_wire_number(f, RT_WIRE_F_INDEX);

    if (rt_wire_number(f, RT_WIRE_F_EPOCH) != l->journal->epoch
        || position == 0)
    {
        rt_zone_rewind(l, z);
        return RT_OK;
    }

    if (position >= l->journal->durable_addr) {

        /* only published what was on disk: the journal was set back */

        rt_log(RT_LOG_CRIT, 0, "zone \"%.*s\" is ahead of the journal: "
               "was an old copy put back? nothing is published to it "
               "until nginx is restarted", (int) z->name_len, z->name);
        return RT_DECLINED;
    }

    if (rt_journal_try(l->journal, position, &rec) == RT_ERROR) {
        rt_log(RT_LOG_INFO, 0, "zone \"%.*s\" gave a position that is none",
               (int) z->name_len, z->name);
        rt_zone_rewind(l, z);
        return RT_OK;
    }

    rt_zone_settle(z);

    /* where we know it to be: what publishes nothing is behind it already */

    if (position == z->position && index == z->index) {
        rt_zone_rewind(l, z);

    } else {
        rt_zone_seek(l, z, position, index, position);
    }

    return RT_OK;
}


static void
rt_zone_rival(rt_zone_t *z, const rt_conn_t *c)
{
    if (z->publisher == NULL) {
        z->rivals = 0;
        return;
    }

    if (z->rivals) {
        return;
    }

    z->rivals = 1;
    rt_log(RT_LOG_WARN, 0, "zone \"%.*s\" of process %d has come while "
           "there is another one of that name, of process %d: whoever "
           "comes last is published to; nginx instances with one daemon "
           "need zones of different names", (int) z->name_len, z->name,
           (int) c->pid, (int) z->publisher->pid);
}


void
rt_zone_hello(rt_conn_t *c, const rt_wire_frame_t *f)
{
    uint64_t       epoch;
    rt_link_t     *l;
    rt_zone_t     *z;
    rt_wire_str_t  name;

    l = c->link;
    name = rt_wire_string(f, RT_WIRE_F_ZONE);

    c->window = rt_wire_number(f, RT_WIRE_F_WINDOW);

    if (c->window == 0) {
        c->window = RT_WIRE_WINDOW;
    }

    c->window = rt_min(c->window, RT_ZONE_WINDOW);

    if (name.len == 0) {
        return;
    }

    if (!rt_utf8_is_text(rt_request_string(f, RT_WIRE_F_ZONE))) {
        rt_log(RT_LOG_ERR, 0, "the zone's name of process %d is not UTF-8 "
               "without control characters, it gets nothing", (int) c->pid);
        return;
    }

    z = rt_zone_get(l, name);

    if (z == NULL) {
        rt_log(RT_LOG_ERR, 0, "too many zones, \"%.*s\" gets nothing",
               (int) name.len, name.data);
        return;
    }

    epoch = rt_wire_number(f, RT_WIRE_F_ZONE_EPOCH);
    c->zone_epoch = epoch;

    if (z->publisher != NULL && z->zone_epoch == epoch) {
        c->zone = z;                        /* it may take over */
        return;
    }

    rt_zone_rival(z, c);
    z->zone_epoch = epoch;

    if (rt_zone_place(l, z, f) != RT_OK) {
        return;
    }

    c->zone = z;
    rt_zone_take(z, c);
}


/* another link of the zone; one that was silent when nothing else is left */

static rt_conn_t *
rt_zone_successor(const rt_zone_t *z, const rt_conn_t *c)
{
    rt_conn_t  *n, *silent;

    silent = NULL;

    for (n = c->link->conns; n; n = n->next) {

        if (n == c || n->zone != z || n->zone_epoch != z->zone_epoch
            || n->dead || n->closing)
        {
            continue;
        }

        if (!n->silent) {
            return n;
        }

        silent = n;
    }

    return silent;
}


void
rt_zone_detach(rt_conn_t *c)
{
    rt_conn_t  *n;
    rt_zone_t  *z;

    z = c->zone;

    if (z == NULL || z->publisher != c) {
        return;
    }

    z->publisher = NULL;
    rt_zone_rewind(c->link, z);

    n = rt_zone_successor(z, c);

    if (n) {
        rt_zone_take(z, n);
    }
}


/*
 * A publisher that owes a confirmation or an answer, and has said nothing at
 * all for a while, hangs: another link takes over after the last confirmed
 * pair.  When it goes on it may apply what it still has: the zone drops what
 * comes twice.
 */

static void
rt_zone_hand_over(rt_link_t *l, rt_zone_t *z)
{
    rt_conn_t  *c, *n;

    c = z->publisher;
    n = rt_zone_successor(z, c);

    if (n == NULL || n->silent) {
        return;                             /* nobody is better */
    }

    rt_log(RT_LOG_WARN, 0, "process %d takes nothing for zone \"%.*s\", "
           "process %d is published to", (int) c->pid, (int) z->name_len,
           z->name, (int) n->pid);

    c->silent = 1;
    l->stats.handovers++;

    rt_zone_rewind(l, z);
    rt_zone_take(z, n);
}


void
rt_zone_watch(rt_link_t *l, rt_zone_t *z)
{
    uint64_t  now, since;

    if (z->publisher == NULL
        || (z->window_first == z->window_next && z->live.n == 0))
    {
        z->owed_ms = 0;
        return;
    }

    now = rt_loop_now();

    if (z->owed_ms == 0) {
        z->owed_ms = rt_max(now, 1);
    }

    since = rt_max(z->owed_ms, z->publisher->heard_ms);

    if (now - since >= RT_LINK_HANDOVER_MS) {
        rt_zone_hand_over(l, z);
        z->owed_ms = rt_max(now, 1);
        since = now;
    }

    if (rt_timer_at(&l->watch) == 0) {
        rt_timer_set(&l->watch, RT_LINK_HANDOVER_MS - (now - since));
    }
}


void
rt_zone_confirm(rt_conn_t *c, uint64_t position, uint64_t index)
{
    rt_zone_t  *z;
    uint32_t    i;

    z = c->zone;

    if (z == NULL || z->publisher != c) {
        return;                             /* it has been, a moment ago */
    }

    while (z->window_first != z->window_next) {
        i = z->window_first % z->window_size;

        if (z->window[i].position > position
            || (z->window[i].position == position
                && z->window[i].index > index))
        {
            break;
        }

        z->position = z->window[i].position;
        z->index = z->window[i].index;
        z->window_first++;
        c->link->stats.confirmed++;
        c->link->zones_changed = 1;
    }
}


/* what a publication and a notice have in common */

size_t
rt_zone_message_size(const rt_message_t *m)
{
    return 4 * RT_WIRE_FIELD_SIZE + rt_buf_size(&m->body)
           + rt_buf_size(&m->topic) + (m->event ? strlen(m->event) : 0)
           + sizeof(rt_zone_json);
}


u_char *
rt_zone_put_message(u_char *p, const rt_message_t *m)
{
    p = rt_wire_put_string(p, RT_WIRE_F_BODY, m->body.pos,
                           rt_buf_size(&m->body));
    p = rt_wire_put_string(p, RT_WIRE_F_TOPIC, m->topic.pos,
                           rt_buf_size(&m->topic));

    if (m->event && *m->event) {
        p = rt_wire_put_string(p, RT_WIRE_F_EVENT, m->event,
                               strlen(m->event));
    }

    return rt_wire_put_string(p, RT_WIRE_F_TYPE, rt_zone_json,
                              sizeof(rt_zone_json) - 1);
}


static void
rt_zone_send(rt_link_t *l, rt_zone_t *z, const rt_record_t *rec,
    rt_uint_t index)
{
    size_t         size;
    u_char        *p, *start;
    unsigned       lost;
    rt_conn_t     *c;
    rt_message_t  *m;

    c = z->publisher;
    m = &l->message;

    size = RT_WIRE_HEADER_SIZE + 2 * RT_WIRE_NUMBER_SIZE
           + rt_zone_message_size(m);
    lost = 0;

    if (size > c->frame_max) {
        l->stats.unpublished++;
        rt_buf_reset(&m->body);
        lost = RT_WIRE_LOST;
    }

    start = rt_conn_reserve(c, size);

    p = rt_wire_begin(start, RT_WIRE_PUBLISH, lost, 0);
    p = rt_wire_put_number(p, RT_WIRE_F_POSITION, rec->addr);
    p = rt_wire_put_number(p, RT_WIRE_F_INDEX, index);
    p = rt_zone_put_message(p, m);

    rt_wire_end(start, p);
    c->out.last = p;

    rt_assert(z->window_next - z->window_first < z->window_size);
    rt_assert(rec->addr >= z->sent_position);

    z->window[z->window_next % z->window_size].position = rec->addr;
    z->window[z->window_next++ % z->window_size].index = index;
    l->stats.published++;
}


void
rt_zone_serve(rt_link_t *l, rt_zone_t *z)
{
    rt_int_t            rc;
    rt_uint_t           n, i;
    rt_event_t          ev;
    rt_record_t         rec;
    rt_dispatch_t      *d;
    const rt_engine_t  *engine;

    d = l->dispatch;
    z->behind = 1;

    for (n = 0; z->cursor < l->journal->durable_addr; n++) {

        if (n == RT_LINK_RECORDS_A_TURN) {
            rt_loop_again();
            return;
        }

        if (z->publisher && rt_buf_size(&z->publisher->out) > RT_LINK_OUT_REST)
        {
            return;
        }

        rc = rt_journal_read(l->journal, z->cursor, &rec);

        if (rc == RT_AGAIN) {
            return;                         /* it is tried in a later turn */
        }

        if (rc == RT_ERROR) {
            z->cursor = rt_link_skip(l, z->cursor, "publication");
            continue;
        }

        if (rc != RT_OK || rec.addr >= l->journal->durable_addr) {
            break;
        }

        engine = rec.type < RT_RECORD_SYSTEM ? rt_engine_by_id(rec.engine)
                                             : NULL;
        if (engine) {
            rt_history_event(d, engine, &rec, &ev);

            i = rec.addr == z->sent_position ? z->sent_index + 1 : 0;

            for ( /* void */ ; /* void */ ; i++) {

                rt_buf_reset(&l->message.topic);
                rt_buf_reset(&l->message.body);
                l->message.event = NULL;

                if (!engine->publish(&ev, i, &l->message)) {
                    break;
                }

                if (z->publisher == NULL) {
                    z->owes = 1;            /* until somebody takes it */
                    return;
                }

                if (z->window_next - z->window_first == z->window_size) {
                    return;                 /* until something is confirmed */
                }

                rt_zone_send(l, z, &rec, i);
                z->sent_position = rec.addr;
                z->sent_index = i;
            }
        }

        z->cursor = rec.next;
    }

    z->behind = 0;
}
