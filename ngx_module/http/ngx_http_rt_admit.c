/*
 * The pace of admission: what entering topics costs, NGX_HTTP_RT_SLICE in one
 * turn of the event loop.
 *
 * One turn may bring hundreds of subscribers, with 256 topics each.  Those that
 * come when the slice is used up wait in a queue, in their order.  Each later
 * turn admits for one slice, after the events of all others.
 *
 * A waiting request is as it was when it came to the content handler; if its
 * client goes, it ends.  There are at most as many as connections.  The zone's
 * status counts them: subscribers_delayed.
 */

#include "ngx_http_rt_http.h"


typedef struct {
    ngx_queue_t          queue;
    ngx_http_request_t  *request;
    ngx_http_cleanup_t  *cleanup;
    unsigned             waits:1;
} ngx_http_rt_admit_t;


static ngx_int_t ngx_http_rt_admit_wait(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_admit_now(ngx_http_request_t *r);
static void ngx_http_rt_admit_leave(void *data);
static void ngx_http_rt_admit_handler(ngx_event_t *ev);


/* of this process */

static ngx_queue_t  ngx_http_rt_admit_waiting;
static ngx_event_t  ngx_http_rt_admit_event;
static uint64_t     ngx_http_rt_admit_spent;    /* in this turn, ns */


void
ngx_http_rt_admit_init_process(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_http_rt_admit_waiting);

    ngx_http_rt_admit_event.handler = ngx_http_rt_admit_handler;
    ngx_http_rt_admit_event.log = cycle->log;
}


ngx_int_t
ngx_http_rt_admit(ngx_http_request_t *r)
{
    if (ngx_http_rt_admit_spent >= NGX_HTTP_RT_SLICE
        || !ngx_queue_empty(&ngx_http_rt_admit_waiting))
    {
        return ngx_http_rt_admit_wait(r);
    }

    return ngx_http_rt_admit_now(r);
}


static ngx_int_t
ngx_http_rt_admit_now(ngx_http_request_t *r)
{
    uint64_t   start;
    ngx_int_t  rc;

    start = ngx_http_rt_clock();
    rc = ngx_http_rt_subscribe(r);
    ngx_http_rt_admit_spent += ngx_http_rt_clock() - start;

    if (!ngx_http_rt_admit_event.posted) {
        ngx_post_event(&ngx_http_rt_admit_event, &ngx_posted_next_events);
    }

    return rc;
}


static ngx_int_t
ngx_http_rt_admit_wait(ngx_http_request_t *r)
{
    ngx_http_cleanup_t      *cln;
    ngx_http_rt_admit_t     *a;
    ngx_http_rt_loc_conf_t  *rlcf;

    cln = ngx_http_cleanup_add(r, sizeof(ngx_http_rt_admit_t));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    a = cln->data;
    a->request = r;
    a->cleanup = cln;
    a->waits = 1;

    cln->handler = ngx_http_rt_admit_leave;

    ngx_queue_insert_tail(&ngx_http_rt_admit_waiting, &a->queue);

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    ngx_http_rt_zone_delayed(rlcf->subscribe_zone->data);

    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;

    /* a timer holds a process that is to quit */

    if (!ngx_http_rt_admit_event.timer_set) {
        ngx_add_timer(&ngx_http_rt_admit_event, 1000);
    }

    return NGX_DONE;
}


static void
ngx_http_rt_admit_leave(void *data)
{
    ngx_http_rt_admit_t *a = data;

    if (a->waits) {
        a->waits = 0;
        ngx_queue_remove(&a->queue);
    }
}


/* once in a turn, or by its timer */

static void
ngx_http_rt_admit_handler(ngx_event_t *ev)
{
    ngx_int_t             rc;
    ngx_queue_t          *q;
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    ngx_http_rt_admit_t  *a;

    ngx_http_rt_admit_spent = 0;

    while (!ngx_queue_empty(&ngx_http_rt_admit_waiting)
           && ngx_http_rt_admit_spent < NGX_HTTP_RT_SLICE)
    {
        q = ngx_queue_head(&ngx_http_rt_admit_waiting);
        a = ngx_queue_data(q, ngx_http_rt_admit_t, queue);

        ngx_http_rt_admit_leave(a);
        a->cleanup->handler = NULL;

        r = a->request;
        c = r->connection;

        ngx_http_set_log_request(c->log, r);

        rc = ngx_http_rt_admit_now(r);

        ngx_http_finalize_request(r, rc);
        ngx_http_run_posted_requests(c);
    }

    if (ngx_queue_empty(&ngx_http_rt_admit_waiting) && ev->timer_set) {
        ngx_del_timer(ev);
    }
}
