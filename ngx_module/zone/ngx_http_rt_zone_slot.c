/*
 * The mutex, and the slots of processes.
 *
 * A process has the slot of its place in the master's table, so no two living
 * processes share one, whatever cycle they are of.  What a dead process left in
 * the index is taken out by the next owner of its slot, or by another process:
 * now and then, and before anybody is refused for want of room.
 *
 * "busy" is set while the mutex is held.  A process that finds it set has got
 * the mutex from a dead one, and repairs first.
 */

#include "ngx_http_rt_zone_private.h"


/* cells swept between two releases of the mutex: 0.1 ms */
#define NGX_HTTP_RT_ZONE_SWEEP     1024

/* ms between two looks for processes that have died */
#define NGX_HTTP_RT_ZONE_REAP      10000


static ngx_int_t ngx_http_rt_zone_sweep(ngx_http_rt_zone_t *zone,
    ngx_http_rt_slot_t *slot, ngx_pid_t pid);
static void ngx_http_rt_zone_housekeeping(ngx_event_t *ev);


void
ngx_http_rt_zone_lock(ngx_http_rt_zone_t *zone)
{
    ngx_shmtx_lock(&zone->shpool->mutex);

    if (zone->sh->busy) {
        ngx_http_rt_topic_repair(&zone->sh->store);
        zone->repaired = 1;
    }

    zone->sh->busy = 1;
}


/* links of the index that have been found damaged are cut before it is free */

void
ngx_http_rt_zone_unlock(ngx_http_rt_zone_t *zone)
{
    uint64_t  damages;

    if (zone->sh->store.index.damaged) {
        ngx_http_rt_topic_repair(&zone->sh->store);
        zone->sh->store.damages++;
    }

    damages = zone->sh->store.damages;
    zone->sh->busy = 0;

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (damages != zone->damages) {
        zone->damages = damages;

        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "realtime_zone \"%V\" was damaged and has been "
                      "repaired, messages are lost", &zone->name);
    }

    if (zone->repaired) {
        zone->repaired = 0;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "realtime_zone \"%V\" repaired after the death "
                      "of a process", &zone->name);
    }
}


ngx_int_t
ngx_http_rt_zone_slot_init(ngx_http_rt_zone_t *zone, ngx_cycle_t *cycle)
{
    ngx_http_rt_slot_t  *slot;

    if (ngx_process_slot >= NGX_HTTP_RT_SLOTS) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "more than %d processes, no subscriber can be served "
                      "in this one", NGX_HTTP_RT_SLOTS);
        return NGX_OK;
    }

    slot = &zone->sh->slots[ngx_process_slot];

    zone->damages = zone->sh->store.damages;

    ngx_http_rt_zone_lock(zone);

    ngx_memzero(slot->subscribers, sizeof(slot->subscribers));
    slot->rung = 0;
    slot->pid = ngx_pid;

    ngx_http_rt_zone_unpin(zone, slot);

    ngx_http_rt_zone_unlock(zone);

    zone->controlled = ngx_http_rt_ring_head(&zone->sh->store.ring) - 1;
    zone->slot = slot;
    zone->bit = (uint64_t) 1 << ngx_process_slot % 64;

    (void) ngx_http_rt_zone_sweep(zone, slot, ngx_pid);
    (void) ngx_http_rt_zone_reap(zone);

    if (ngx_process == NGX_PROCESS_WORKER) {
        zone->housekeeping.data = zone;
        zone->housekeeping.handler = ngx_http_rt_zone_housekeeping;
        zone->housekeeping.log = cycle->log;
        zone->housekeeping.cancelable = 1;

        ngx_add_timer(&zone->housekeeping, NGX_HTTP_RT_ZONE_REAP);
    }

    return NGX_OK;
}


void
ngx_http_rt_zone_slot_exit(ngx_http_rt_zone_t *zone)
{
    if (zone->slot == NULL) {
        return;
    }

    (void) ngx_http_rt_zone_sweep(zone, zone->slot, ngx_pid);

    ngx_memzero(zone->slot->subscribers, sizeof(zone->slot->subscribers));
    zone->slot->pid = 0;
    zone->slot = NULL;
}


static void
ngx_http_rt_zone_housekeeping(ngx_event_t *ev)
{
    (void) ngx_http_rt_zone_reap(ev->data);

    ngx_add_timer(ev, NGX_HTTP_RT_ZONE_REAP);
}


/* frees the slots of dead processes, and returns how many */

ngx_uint_t
ngx_http_rt_zone_reap(ngx_http_rt_zone_t *zone)
{
    ngx_pid_t            pid;
    ngx_uint_t           i, n;
    ngx_http_rt_slot_t  *slot;

    n = 0;

    for (i = 0; i < NGX_HTTP_RT_SLOTS; i++) {
        slot = &zone->sh->slots[i];
        pid = slot->pid;

        if (pid == 0 || pid == ngx_pid || kill(pid, 0) == 0
            || ngx_errno != NGX_ESRCH
            || ngx_http_rt_zone_sweep(zone, slot, pid) != NGX_OK)
        {
            continue;
        }

        ngx_http_rt_zone_lock(zone);

        if (slot->pid == pid) {
            ngx_memzero(slot->subscribers, sizeof(slot->subscribers));
            ngx_http_rt_zone_unpin(zone, slot);
            slot->pid = 0;
            n++;
        }

        ngx_http_rt_zone_unlock(zone);
    }

    return n;
}


/* NGX_DECLINED: the slot has another owner now, who sweeps by itself */

static ngx_int_t
ngx_http_rt_zone_sweep(ngx_http_rt_zone_t *zone, ngx_http_rt_slot_t *slot,
    ngx_pid_t pid)
{
    uint32_t  next;

    next = 1;

    do {
        ngx_http_rt_zone_lock(zone);

        if (slot->pid != pid) {
            ngx_http_rt_zone_unlock(zone);
            return NGX_DECLINED;
        }

        next = ngx_http_rt_index_sweep(&zone->sh->store.index,
                                       slot - zone->sh->slots, next,
                                       NGX_HTTP_RT_ZONE_SWEEP);

        ngx_http_rt_zone_unlock(zone);

    } while (next);

    return NGX_OK;
}


void
ngx_http_rt_zone_unpin(ngx_http_rt_zone_t *zone, ngx_http_rt_slot_t *slot)
{
    ngx_http_rt_blob_unpin(&zone->sh->store.ring, &zone->sh->store.pins,
                           slot - zone->sh->slots);
}
