/*
 * Bells: one eventfd per process slot, that only says "there is something new
 * in a ring".
 *
 * The master makes the set before its first fork, so that all processes of all
 * cycles share it; the zones remember it, for a module file that was replaced
 * on disk comes back without its variables at a reload.  There are four times
 * as many as worker_processes at the start.  A process whose slot is beyond
 * them has no bell and looks by itself every NGX_HTTP_RT_BELL_POLL ms.
 *
 * The bell's connection is idle in nginx's sense: that is how a process learns
 * at once that it is to quit.
 */

#include "ngx_http_rt_zone_private.h"

#include <sys/eventfd.h>


#define NGX_HTTP_RT_BELL_MIN   32
#define NGX_HTTP_RT_BELL_POLL  10


static void ngx_http_rt_bell_handler(ngx_event_t *rev);
static void ngx_http_rt_bell_poll(ngx_event_t *ev);
static void ngx_http_rt_bell_heard(void);


static int         ngx_http_rt_bells[NGX_HTTP_RT_SLOTS];
static ngx_uint_t  ngx_http_rt_nbells;
static ngx_event_t  ngx_http_rt_bell_timer;

static ngx_array_t  *ngx_http_rt_bell_zones;
static void        (*ngx_http_rt_bell_drain)(void);


ngx_int_t
ngx_http_rt_bell_init_module(ngx_array_t *array, ngx_cycle_t *cycle)
{
    int                     fd;
    ngx_uint_t              i, n;
    ngx_core_conf_t        *ccf;
    ngx_http_rt_zone_t    **zones;
    ngx_http_rt_zone_sh_t  *sh;

    if (ngx_test_config) {
        return NGX_OK;
    }

    zones = array->elts;

    for (i = 0; i < array->nelts && ngx_http_rt_nbells == 0; i++) {
        sh = zones[i]->sh;

        ngx_memcpy(ngx_http_rt_bells, sh->bells, sizeof(sh->bells));
        ngx_http_rt_nbells = sh->nbells;
    }

    if (ngx_http_rt_nbells == 0 && array->nelts) {
        ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx,
                                               ngx_core_module);

        n = ngx_max(4 * ccf->worker_processes, NGX_HTTP_RT_BELL_MIN);
        n = ngx_min(n, NGX_HTTP_RT_SLOTS);

        for (i = 0; i < n; i++) {
            fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

            if (fd == -1) {
                ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                              "eventfd() failed");
                return NGX_ERROR;
            }

            ngx_http_rt_bells[i] = fd;
        }

        ngx_http_rt_nbells = n;
    }

    for (i = 0; i < array->nelts; i++) {
        sh = zones[i]->sh;

        if (sh->nbells == 0) {
            ngx_memcpy(sh->bells, ngx_http_rt_bells, sizeof(sh->bells));
            sh->nbells = ngx_http_rt_nbells;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_rt_bell_init_process(ngx_array_t *array, ngx_cycle_t *cycle,
    void (*drain)(void))
{
    int                fd;
    ngx_uint_t         own;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    ngx_http_rt_bell_zones = array;
    ngx_http_rt_bell_drain = drain;

    own = ((ngx_uint_t) ngx_process_slot >= ngx_http_rt_nbells);

    if (own) {
        fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (fd == -1) {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                          "eventfd() failed");
            return NGX_ERROR;
        }

    } else {
        fd = ngx_http_rt_bells[ngx_process_slot];
    }

    c = ngx_get_connection(fd, cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->pool = cycle->pool;
    c->log = cycle->log;
    c->idle = 1;

    rev = c->read;
    rev->log = cycle->log;
    rev->channel = 1;
    rev->handler = ngx_http_rt_bell_handler;

    c->write->log = cycle->log;
    c->write->channel = 1;

    if (ngx_add_event(rev, NGX_READ_EVENT, 0) == NGX_ERROR) {
        ngx_free_connection(c);
        return NGX_ERROR;
    }

    if (own) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "process slot %i is beyond the %ui bells, "
                      "polling for messages", ngx_process_slot,
                      ngx_http_rt_nbells);

        ngx_http_rt_bell_timer.handler = ngx_http_rt_bell_poll;
        ngx_http_rt_bell_timer.log = cycle->log;
        ngx_http_rt_bell_timer.data = c;
        ngx_http_rt_bell_timer.cancelable = 1;

        ngx_add_timer(&ngx_http_rt_bell_timer, NGX_HTTP_RT_BELL_POLL);
    }

    return NGX_OK;
}


/* wakes the processes of the slots that have not been woken yet */

void
ngx_http_rt_bell_ring(ngx_http_rt_zone_t *zone, ngx_http_rt_presence_t *p)
{
    uint64_t             one, bits;
    ngx_uint_t           i, n;
    ngx_http_rt_slot_t  *slot;

    one = 1;

    for (i = 0; i < NGX_HTTP_RT_SLOTS / 64; i++) {

        for (bits = p->slots[i]; bits; bits &= bits - 1) {
            n = i * 64 + __builtin_ctzll(bits);
            slot = &zone->sh->slots[n];

            if (slot == zone->slot) {

                if (zone->heard) {
                    zone->heard(zone);
                }

                continue;
            }

            if (n >= ngx_http_rt_nbells
                || slot->rung
                || __atomic_exchange_n(&slot->rung, 1, __ATOMIC_SEQ_CST))
            {
                continue;
            }

            if (write(ngx_http_rt_bells[n], &one, sizeof(uint64_t)) == -1
                && ngx_errno != NGX_EAGAIN)
            {
                ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                              "write() to eventfd failed");
            }
        }
    }
}


static void
ngx_http_rt_bell_handler(ngx_event_t *rev)
{
    uint64_t           n;
    ngx_connection_t  *c;

    c = rev->data;

    if (c->close) {
        c->close = 0;
        ngx_http_rt_bell_drain();
        return;
    }

    if (read(c->fd, &n, sizeof(uint64_t)) == -1 && ngx_errno != NGX_EAGAIN) {
        ngx_log_error(NGX_LOG_ALERT, rev->log, ngx_errno,
                      "read() from eventfd failed");
    }

    ngx_http_rt_bell_heard();
}


static void
ngx_http_rt_bell_poll(ngx_event_t *ev)
{
    ngx_http_rt_bell_heard();

    ngx_add_timer(ev, NGX_HTTP_RT_BELL_POLL);
}


static void
ngx_http_rt_bell_heard(void)
{
    ngx_uint_t            i;
    ngx_http_rt_zone_t  **zones;

    zones = ngx_http_rt_bell_zones->elts;

    for (i = 0; i < ngx_http_rt_bell_zones->nelts; i++) {
        if (zones[i]->heard) {
            zones[i]->heard(zones[i]);
        }
    }
}
