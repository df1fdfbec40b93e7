/*
 * Pace: readers that want the newest message of each topic only, now and then.
 *
 *     conflate    a message at once, then none for the interval, then the
 *                 newest of what has come meanwhile
 *     debounce    the newest message when a topic has been quiet for the
 *                 interval, by the time it was published
 *
 * While it waits, a reader is in no audience's list and costs nothing; when its
 * time has come it catches up, which for it means: the last record of each
 * topic, in the order of seq.  All that wait in a hub share one timer.
 */

#include "ngx_http_rt_delivery.h"


/* readers woken in one turn of the event loop */
#define NGX_HTTP_RT_PACE_TURN  1024


static void ngx_http_rt_pace_handler(ngx_event_t *ev);
static void ngx_http_rt_pace_timer(ngx_http_rt_hub_t *hub);


void
ngx_http_rt_pace_init(ngx_http_rt_hub_t *hub, ngx_log_t *log)
{
    ngx_rbtree_init(&hub->waiting, &hub->waiting_sentinel,
                    ngx_rbtree_insert_timer_value);

    hub->pace.handler = ngx_http_rt_pace_handler;
    hub->pace.data = hub;
    hub->pace.log = log;
    hub->pace.cancelable = 1;
}


/* before ngx_http_rt_reader_init() */

void
ngx_http_rt_pace_start(ngx_http_rt_reader_t *rd, ngx_http_rt_pace_t *pace,
    const ngx_http_rt_reader_conf_t *conf)
{
    rd->pace = pace;

    pace->reader = rd;
    pace->interval = ngx_max(conf->conflate, conf->debounce);
    pace->debounce = (conf->debounce != 0);
}


/* nothing for so long, however much comes */

void
ngx_http_rt_pace_wait(ngx_http_rt_reader_t *rd, ngx_msec_t ms)
{
    ngx_http_rt_pace_t  *pace;

    pace = rd->pace;

    if (pace->waiting || rd->sink->closing || rd->sink->ended) {
        return;
    }

    ngx_http_rt_reader_unlive(rd);

    pace->waiting = 1;
    pace->node.key = ngx_current_msec + ms;

    ngx_rbtree_insert(&rd->hub->waiting, &pace->node);

    ngx_http_rt_pace_timer(rd->hub);
}


void
ngx_http_rt_pace_cancel(ngx_http_rt_reader_t *rd)
{
    if (rd->pace && rd->pace->waiting) {
        rd->pace->waiting = 0;
        ngx_rbtree_delete(&rd->hub->waiting, &rd->pace->node);
    }
}


/* whether a record has to wait until its topic has been quiet */

ngx_uint_t
ngx_http_rt_pace_early(ngx_http_rt_reader_t *rd,
    const ngx_http_rt_record_t *rec)
{
    uint64_t  now, due;

    if (rd->pace == NULL || !rd->pace->debounce) {
        return 0;
    }

    now = ngx_http_rt_now();
    due = rec->time + rd->pace->interval;

    if (due <= now) {
        return 0;
    }

    /* the clock may have been set back meanwhile */

    rd->pace->left = ngx_min(due - now, rd->pace->interval);

    return 1;
}


static void
ngx_http_rt_pace_handler(ngx_event_t *ev)
{
    ngx_uint_t           n;
    ngx_http_rt_hub_t   *hub;
    ngx_rbtree_node_t   *node;
    ngx_http_rt_pace_t  *pace;

    hub = ev->data;

    for (n = 0; hub->waiting.root != hub->waiting.sentinel; n++) {

        node = ngx_rbtree_min(hub->waiting.root, hub->waiting.sentinel);

        if (n == NGX_HTTP_RT_PACE_TURN
            || (ngx_msec_int_t) (node->key - ngx_current_msec) > 0)
        {
            break;
        }

        pace = (ngx_http_rt_pace_t *)
                   ((u_char *) node - offsetof(ngx_http_rt_pace_t, node));

        ngx_http_rt_pace_cancel(pace->reader);
        ngx_http_rt_reader_behind(pace->reader);
    }

    ngx_http_rt_pace_timer(hub);
}


static void
ngx_http_rt_pace_timer(ngx_http_rt_hub_t *hub)
{
    ngx_msec_int_t      left;
    ngx_rbtree_node_t  *node;

    if (hub->waiting.root == hub->waiting.sentinel) {
        return;
    }

    node = ngx_rbtree_min(hub->waiting.root, hub->waiting.sentinel);
    left = node->key - ngx_current_msec;

    if (hub->pace.timer_set) {

        if ((ngx_msec_int_t) (node->key - hub->pace.timer.key) >= 0) {
            return;
        }

        /* an earlier time; nginx would not move a timer by a little */

        ngx_del_timer(&hub->pace);
    }

    ngx_add_timer(&hub->pace, ngx_max(left, 0));
}
