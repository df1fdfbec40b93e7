/*
 * The link as a whole: start and stop, what is done at the end of a turn, and
 * its counters.
 */


#include <sys/epoll.h>
#include <unistd.h>

#include "rt_link_private.h"
#include "rt_log.h"


static void rt_link_synced(rt_poll_t *ev, uint32_t events);


static void
rt_link_woken(rt_timer_t *t)
{
    (void) t;                               /* the end of the turn does it */
}


rt_int_t
rt_link_start(rt_link_t *l, rt_dispatch_t *d)
{
    l->dispatch = d;
    l->journal = rt_dispatch_journal(d);
    l->live_timer.handler = rt_link_woken;
    l->watch.handler = rt_link_woken;
    l->accepting.handler = rt_listen_again;
    l->accepting.data = l;

    if (rt_dispatch_start(d, rt_request_answered) != RT_OK
        || rt_zone_load(l) != RT_OK)
    {
        return RT_ERROR;
    }

    l->synced.fd = l->journal->event_fd;
    l->synced.handler = rt_link_synced;
    l->synced.data = l;

    if (rt_poll_add(&l->synced, EPOLLIN) != RT_OK
        || rt_poll_add(&l->listening, EPOLLIN) != RT_OK)
    {
        return RT_ERROR;
    }

    return RT_OK;
}


/* who may connect from now on */

void
rt_link_configure(rt_link_t *l, const rt_link_conf_t *conf)
{
    l->conf.npeers = conf->npeers;
    memcpy(l->conf.peers, conf->peers, sizeof(conf->peers));
}


/* a damage in the journal holds up nobody: a cursor passes over it */

uint64_t
rt_link_skip(rt_link_t *l, uint64_t addr, const char *what)
{
    uint64_t  next;

    next = rt_journal_skip(l->journal, addr);
    l->stats.unreadable++;

    rt_log(RT_LOG_CRIT, 0, "no record at %08u.seg:%u, the journal is damaged: "
           "%s goes on at %08u.seg:%u", rt_addr_segment(addr),
           rt_addr_offset(addr), what, rt_addr_segment(next),
           rt_addr_offset(next));

    return next;
}


void
rt_link_save(rt_link_t *l, rt_uint_t sync)
{
    rt_zone_save(l, sync);
}


/* the journal has synced, or failed, or goes on */

static void
rt_link_synced(rt_poll_t *ev, uint32_t events)
{
    rt_link_t  *l;
    rt_conn_t  *c;

    (void) events;

    l = ev->data;

    rt_journal_notified(l->journal);

    for (c = l->conns; c; c = c->next) {
        if (!c->dead) {
            rt_conn_release(c);
        }
    }
}


static void
rt_link_unblock(rt_link_t *l)
{
    rt_conn_t  *c;

    for (c = l->conns; c; c = c->next) {
        if (!c->dead
            && (c->blocked || (c->full && !rt_conn_is_full(c))
                || (c->more && c->more_turn != l->turn)))
        {
            rt_conn_frames(c);

            if (!c->blocked && !c->full) {
                rt_conn_mark_dirty(c);
            }
        }
    }
}


void
rt_link_serve(rt_link_t *l)
{
    rt_uint_t  i;

    for (i = 0; i < l->nzones; i++) {
        rt_zone_watch(l, &l->zones[i]);

        if (l->zones[i].publisher && !l->zones[i].publisher->dead) {

            /* first, so that the price never seems to fall back */

            rt_live_release(l, &l->zones[i]);
            rt_zone_serve(l, &l->zones[i]);

        } else if (!l->zones[i].owes) {
            rt_zone_serve(l, &l->zones[i]); /* what publishes nothing */
        }
    }

    rt_live_serve(l);

    rt_subscription_serve_all(l);
}


void
rt_link_flush(rt_link_t *l)
{
    rt_conn_t  *c, *next;

    rt_link_unblock(l);
    l->turn++;
    l->turn_us = 0;

    rt_link_serve(l);

    while (l->dirty) {
        c = l->dirty;
        l->dirty = c->dirty_next;
        c->dirty = 0;

        if (!c->dead) {
            rt_conn_write(c);
        }
    }

    for (c = l->conns; c; c = next) {
        next = c->next;

        if (c->dead) {
            rt_conn_free(c);
        }
    }
}


void
rt_link_stop(rt_link_t *l)
{
    u_char     *p, *start;
    rt_conn_t  *c;

    l->stopping = 1;
    rt_timer_delete(&l->accepting);
    rt_poll_delete(&l->listening);

    for (c = l->conns; c; c = c->next) {

        if (c->dead) {
            continue;
        }

        c->closing = 1;

        start = rt_conn_reserve(c, 64);
        p = rt_wire_begin(start, RT_WIRE_CLOSE, 0, 0);
        rt_wire_end(start, p);
        c->out.last = p;
    }
}


rt_uint_t
rt_link_idle(const rt_link_t *l)
{
    rt_conn_t  *c;

    for (c = l->conns; c; c = c->next) {
        if (!c->dead && (c->waiting || rt_buf_size(&c->out)
                         || rt_buf_size(&c->held)))
        {
            return 0;
        }
    }

    return 1;
}


void
rt_link_close(rt_link_t *l)
{
    rt_uint_t   i;
    rt_conn_t  *c;

    l->zones_changed = l->nzones != 0;
    rt_zone_save(l, 1);

    for (c = l->conns; c; c = c->next) {
        rt_conn_kill(c);
    }

    while (l->conns) {
        rt_conn_free(l->conns);
    }

    for (i = 0; i < l->nzones; i++) {
        free(l->zones[i].window);
        rt_buf_free(&l->zones[i].live.held);
    }

    rt_buf_free(&l->message.topic);
    rt_buf_free(&l->message.body);
    rt_buf_free(&l->scratch);
    rt_buf_free(&l->described.body);

    /* while it is open no other file can have its inode */

    rt_listen_remove(l);
    close(l->listening.fd);

    free(l);
}


void
rt_link_snapshot_done(rt_link_t *l, rt_uint_t ok)
{
    rt_conn_t    *c;
    rt_answer_t   a;

    for (c = l->conns; c; c = c->next) {

        if (c->dead || !c->snapshot_wanted) {
            continue;
        }

        c->snapshot_wanted = 0;

        if (!ok) {
            rt_conn_refuse(c, c->snapshot_id, 500, "failed",
                           "the snapshot could not be written");
            continue;
        }

        memset(&a, 0, sizeof(rt_answer_t));
        rt_buf_reset(&l->scratch);
        rt_buf_printf(&l->scratch, "{\"seq\":%llu}", (unsigned long long)
                      rt_dispatch_snapshot_seq(l->dispatch));
        a.status = 200;
        a.body = rt_buf_str(&l->scratch);
        rt_conn_reply(c, c->snapshot_id, &a);
    }
}


void
rt_link_status(rt_link_t *l, rt_buf_t *b)
{
    rt_uint_t         i;
    rt_zone_t        *s;
    rt_link_stats_t  *st;

    st = &l->stats;

    rt_buf_printf(b, "{\"version\":\"%s\",\"pid\":%d,", RT_VERSION,
                  (int) getpid());
    rt_dispatch_status(l->dispatch, b);

    rt_buf_printf(b, ",\"link\":{\"connections\":%zu,\"accepted\":%llu,"
                  "\"refused\":%llu,\"bad_frames\":%llu,\"frames\":%llu,"
                  "\"published\":%llu,\"confirmed\":%llu,"
                  "\"unpublished\":%llu,\"unreadable\":%llu,"
                  "\"events_sent\":%llu,"
                  "\"gones\":%llu,\"audiences\":%llu,\"notices\":%llu,"
                  "\"handovers\":%llu,\"deferred\":%llu,"
                  "\"events_deferred\":%llu},"
                  "\"zones\":{",
                  (size_t) l->nconns, (unsigned long long) st->accepted,
                  (unsigned long long) st->refused,
                  (unsigned long long) st->bad_frames,
                  (unsigned long long) st->frames,
                  (unsigned long long) st->published,
                  (unsigned long long) st->confirmed,
                  (unsigned long long) st->unpublished,
                  (unsigned long long) st->unreadable,
                  (unsigned long long) st->events_sent,
                  (unsigned long long) st->gones,
                  (unsigned long long) st->audiences,
                  (unsigned long long) st->notices,
                  (unsigned long long) st->handovers,
                  (unsigned long long) st->deferred,
                  (unsigned long long) st->events_deferred);

    for (i = 0; i < l->nzones; i++) {
        s = &l->zones[i];

        if (i) {
            rt_buf_literal(b, ",");
        }

        rt_json_string(b, (rt_str_t) { s->name_len, s->name });
        rt_buf_printf(b, ":{\"position\":%llu,\"unconfirmed\":%u,"
                      "\"publisher\":%d}", (unsigned long long) s->position,
                      s->window_next - s->window_first,
                      s->publisher ? (int) s->publisher->pid : 0);
    }

    rt_buf_literal(b, "}}");
}
