/*
 * Pace: subscribers that want the newest message of each topic only, now and
 * then.
 *
 *     conflate    a message at once, then none for the interval, then the
 *                 newest of what has come meanwhile
 *     debounce    the newest message when a topic has been quiet for the
 *                 interval, by the time it was published
 *
 * While it waits, a subscriber is in no audience's list and costs nothing; when
 * its time has come it catches up, which for it means: the last record of each
 * topic, in the order of seq.  All that wait in a zone share one timer.
 */

#include "ngx_http_rt.h"


static void ngx_http_rt_pace_handler(ngx_event_t *ev);
static void ngx_http_rt_pace_timer(ngx_http_rt_zone_t *zone);


void
ngx_http_rt_pace_init(ngx_http_rt_zone_t *zone, ngx_log_t *log)
{
    ngx_rbtree_init(&zone->waiting, &zone->waiting_sentinel,
                    ngx_rbtree_insert_timer_value);

    zone->pace.handler = ngx_http_rt_pace_handler;
    zone->pace.data = zone;
    zone->pace.log = log;
    zone->pace.cancelable = 1;
}


/* nothing for so long, however much comes */

void
ngx_http_rt_pace_wait(ngx_http_rt_subscriber_t *s, ngx_msec_t ms)
{
    ngx_http_rt_pace_t  *pace;

    pace = s->pace;

    if (pace->waiting || s->closing || s->ended) {
        return;
    }

    ngx_http_rt_subscriber_unlive(s);

    pace->waiting = 1;
    pace->node.key = ngx_current_msec + ms;

    ngx_rbtree_insert(&s->zone->waiting, &pace->node);

    ngx_http_rt_pace_timer(s->zone);
}


void
ngx_http_rt_pace_cancel(ngx_http_rt_subscriber_t *s)
{
    if (s->pace && s->pace->waiting) {
        s->pace->waiting = 0;
        ngx_rbtree_delete(&s->zone->waiting, &s->pace->node);
    }
}


static void
ngx_http_rt_pace_handler(ngx_event_t *ev)
{
    ngx_rbtree_node_t         *node;
    ngx_http_rt_zone_t        *zone;
    ngx_http_rt_pace_t        *pace;

    zone = ev->data;

    while (zone->waiting.root != zone->waiting.sentinel) {

        node = ngx_rbtree_min(zone->waiting.root, zone->waiting.sentinel);

        if ((ngx_msec_int_t) (node->key - ngx_current_msec) > 0) {
            break;
        }

        pace = (ngx_http_rt_pace_t *)
                   ((u_char *) node - offsetof(ngx_http_rt_pace_t, node));

        ngx_http_rt_pace_cancel(pace->subscriber);
        ngx_http_rt_subscriber_behind(pace->subscriber);
    }

    ngx_http_rt_pace_timer(zone);
}


static void
ngx_http_rt_pace_timer(ngx_http_rt_zone_t *zone)
{
    ngx_msec_int_t      left;
    ngx_rbtree_node_t  *node;

    if (zone->waiting.root == zone->waiting.sentinel) {
        return;
    }

    node = ngx_rbtree_min(zone->waiting.root, zone->waiting.sentinel);
    left = node->key - ngx_current_msec;

    if (zone->pace.timer_set) {

        if ((ngx_msec_int_t) (node->key - zone->pace.timer.key) >= 0) {
            return;
        }

        /* an earlier time; nginx would not move a timer by a little */

        ngx_del_timer(&zone->pace);
    }

    ngx_add_timer(&zone->pace, ngx_max(left, 0));
}
