/*
 * Zones: the shared memory of one name, its life over reloads, its mutex, and
 * the slots of processes in it.
 *
 * A zone is laid out once, when it is new: the common part, the index, and the
 * rest is ring.  A reload finds it as it is.  With another size, or another
 * size of the index, it is a new zone with a new epoch.
 *
 * A process has the slot of its place in the master's table, so no two living
 * processes share one, whatever cycle they are of.  What a dead process left in
 * the index is taken out by the next owner of its slot, or by another process:
 * now and then, and before anybody is refused for want of room.
 *
 * "busy" is set while the mutex is held.  Who finds it set has got the mutex
 * from a dead process and repairs first.
 */

#include "ngx_http_rt.h"
#include "ngx_http_rt_point.h"

#include <sys/random.h>


/* changes with every change of what lies in the zone */
#define NGX_HTTP_RT_ZONE_LAYOUT    0x72740003

#define NGX_HTTP_RT_ZONE_MIN       (1024 * 1024)
#define NGX_HTTP_RT_ZONE_MAX       ((off_t) 16 * 1024 * 1024 * 1024)
#define NGX_HTTP_RT_INDEX_MIN      (16 * 1024)

/* cells swept between two releases of the mutex */
#define NGX_HTTP_RT_ZONE_SWEEP     4096

/* ms between two looks for processes that have died */
#define NGX_HTTP_RT_ZONE_REAP      10000

/* tries, some us apart, while another process copies into the ring's tail */
#define NGX_HTTP_RT_ZONE_TRIES     1000
#define NGX_HTTP_RT_ZONE_PAUSE     100


static ngx_int_t ngx_http_rt_zone_init(ngx_shm_zone_t *shm_zone, void *data);
static ngx_int_t ngx_http_rt_zone_build(ngx_http_rt_zone_t *zone,
    ngx_log_t *log);
static ngx_http_rt_zone_t *ngx_http_rt_zone_before(ngx_str_t *name,
    size_t *size);
static ngx_int_t ngx_http_rt_zone_sweep(ngx_http_rt_zone_t *zone,
    ngx_http_rt_slot_t *slot, ngx_pid_t pid);
static void ngx_http_rt_zone_housekeeping(ngx_event_t *ev);
static void ngx_http_rt_zone_unpin(ngx_http_rt_zone_t *zone,
    ngx_http_rt_slot_t *slot);
static void ngx_http_rt_zone_blob(ngx_http_rt_zone_t *zone,
    ngx_http_rt_message_t *m, ngx_http_rt_cell_key_t *key);
static void ngx_http_rt_zone_renew(ngx_http_rt_zone_t *zone,
    ngx_http_rt_message_t *m);
static ngx_uint_t ngx_http_rt_zone_again(ngx_http_rt_zone_t *zone,
    ngx_int_t rc, ngx_uint_t *tries);


/* realtime_zone name size [index=size] */

char *
ngx_http_rt_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_main_conf_t  *mcf = conf;

    off_t                 size, index;
    size_t                before;
    ngx_str_t            *value, s;
    ngx_shm_zone_t       *shm_zone;
    ngx_http_rt_zone_t   *zone, *old, **zp;

    value = cf->args->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "empty zone name");
        return NGX_CONF_ERROR;
    }

    size = ngx_parse_offset(&value[2]);

    if (size < NGX_HTTP_RT_ZONE_MIN || size > NGX_HTTP_RT_ZONE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" of realtime_zone \"%V\", "
                           "it must be from 1m to 16g", &value[2], &value[1]);
        return NGX_CONF_ERROR;
    }

    index = size / 8;

    if (cf->args->nelts == 4) {

        if (ngx_strncmp(value[3].data, "index=", 6) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[3]);
            return NGX_CONF_ERROR;
        }

        s.data = value[3].data + 6;
        s.len = value[3].len - 6;

        index = ngx_parse_offset(&s);

        if (index < NGX_HTTP_RT_INDEX_MIN || index > size / 2) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid index size \"%V\", it must be "
                               "from 16k to half the zone", &value[3]);
            return NGX_CONF_ERROR;
        }
    }

    shm_zone = ngx_shared_memory_add(cf, &value[1], size,
                                     &ngx_http_realtime_module);
    if (shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    if (shm_zone->data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate realtime_zone \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_rt_zone_t));
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->name = value[1];
    zone->shm_zone = shm_zone;
    zone->index_size = index;

    ngx_queue_init(&zone->subscribers);
    ngx_queue_init(&zone->dirty);
    ngx_queue_init(&zone->behind);
    ngx_queue_init(&zone->ended);

    shm_zone->init = ngx_http_rt_zone_init;
    shm_zone->data = zone;

    zp = ngx_array_push(&mcf->zones);
    if (zp == NULL) {
        return NGX_CONF_ERROR;
    }

    *zp = zone;

    old = ngx_http_rt_zone_before(&value[1], &before);

    if (old && (before != (size_t) size
                || old->index_size != zone->index_size))
    {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "realtime_zone \"%V\" has another size now and "
                           "begins empty, with a new epoch", &value[1]);

        /* nginx sees another size of the whole by itself */

        shm_zone->noreuse = (before == (size_t) size);
    }

    return NGX_CONF_OK;
}


/* the zone of another directive's zone= parameter, defined or to be defined */

ngx_shm_zone_t *
ngx_http_rt_zone_named(ngx_conf_t *cf, ngx_str_t *name)
{
    if (name->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "empty zone name");
        return NULL;
    }

    return ngx_shared_memory_add(cf, name, 0, &ngx_http_realtime_module);
}


static ngx_int_t
ngx_http_rt_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_rt_zone_t  *old = data;

    ngx_http_rt_zone_t  *zone;

    zone = shm_zone->data;
    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    /* since 1.27.3 nginx names the old zone although the memory is new */

    if (shm_zone->noreuse) {
        old = NULL;
    }

    if (old || shm_zone->shm.exists) {
        zone->sh = old ? old->sh : zone->shpool->data;

        if (zone->sh->layout != NGX_HTTP_RT_ZONE_LAYOUT) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "realtime_zone \"%V\" was made by another version "
                          "of the module, nginx must be restarted",
                          &zone->name);
            return NGX_ERROR;
        }

        return NGX_OK;
    }

    return ngx_http_rt_zone_build(zone, shm_zone->shm.log);
}


/*
 * The new configuration is in force.  "noreuse" was for this reload only, and
 * nginx reads it in two places: the new zone's decides whether memory is taken
 * over, and given back if the reload fails; the old zone's decides whether the
 * master unmaps the old memory.  A single process still serves clients from
 * that memory.
 */

void
ngx_http_rt_zone_init_module(ngx_http_rt_zone_t *zone)
{
    size_t               size;
    ngx_http_rt_zone_t  *old;

    if (!zone->shm_zone->noreuse) {
        return;
    }

    zone->shm_zone->noreuse = 0;

    old = ngx_http_rt_zone_before(&zone->name, &size);

    if (old && ngx_process == NGX_PROCESS_MASTER) {
        old->shm_zone->noreuse = 1;
    }
}


static ngx_int_t
ngx_http_rt_zone_build(ngx_http_rt_zone_t *zone, ngx_log_t *log)
{
    size_t                  pages, index;
    u_char                 *p;
    ngx_http_rt_zone_sh_t  *sh;


    index = (zone->index_size + ngx_pagesize - 1) / ngx_pagesize;

    sh = ngx_slab_alloc(zone->shpool, sizeof(ngx_http_rt_zone_sh_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(sh, sizeof(ngx_http_rt_zone_sh_t));

    pages = zone->shpool->pfree;

    p = ngx_slab_alloc(zone->shpool, index * ngx_pagesize);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(p, index * ngx_pagesize);

    if (ngx_http_rt_index_init(&sh->store.index, p, index * ngx_pagesize)
        != 0)
    {
        return NGX_ERROR;
    }

    p = ngx_slab_alloc(zone->shpool, (pages - index) * ngx_pagesize);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_http_rt_ring_init(&sh->store.ring, p, (pages - index) * ngx_pagesize);

    if (getrandom(&sh->store.epoch, sizeof(uint64_t), 0)
        != (ssize_t) sizeof(uint64_t))
    {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "getrandom() failed");
        return NGX_ERROR;
    }

    /* of one length, and never 0 */

    sh->store.epoch |= (uint64_t) 1 << 63;

    sh->layout = NGX_HTTP_RT_ZONE_LAYOUT;

    zone->sh = sh;
    zone->shpool->data = sh;
    zone->shpool->log_nomem = 0;

    return NGX_OK;
}


/* the zone of this name in the cycle that is running */

static ngx_http_rt_zone_t *
ngx_http_rt_zone_before(ngx_str_t *name, size_t *size)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_shm_zone_t   *shm_zone;

    for (part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
         part;
         part = part->next)
    {
        shm_zone = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (shm_zone[i].tag == &ngx_http_realtime_module
                && shm_zone[i].shm.name.len == name->len
                && ngx_strncmp(shm_zone[i].shm.name.data, name->data,
                               name->len) == 0)
            {
                *size = shm_zone[i].shm.size;
                return shm_zone[i].data;
            }
        }
    }

    return NULL;
}


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


void
ngx_http_rt_zone_unlock(ngx_http_rt_zone_t *zone)
{
    zone->sh->busy = 0;

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (zone->repaired) {
        zone->repaired = 0;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "realtime_zone \"%V\" repaired after the death "
                      "of a process", &zone->name);
    }
}


ngx_int_t
ngx_http_rt_zone_init_process(ngx_http_rt_zone_t *zone, ngx_cycle_t *cycle)
{
    ngx_http_rt_slot_t  *slot;

    zone->event.data = zone;
    zone->event.handler = ngx_http_rt_deliver;
    zone->event.log = cycle->log;

    ngx_http_rt_pace_init(zone, cycle->log);

    if (ngx_process_slot >= NGX_HTTP_RT_SLOTS) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "more than %d processes, no subscriber can be served "
                      "in this one", NGX_HTTP_RT_SLOTS);
        return NGX_OK;
    }

    slot = &zone->sh->slots[ngx_process_slot];

    ngx_http_rt_zone_lock(zone);

    ngx_memzero(slot->subscribers, sizeof(slot->subscribers));
    slot->rung = 0;
    slot->pid = ngx_pid;

    ngx_http_rt_zone_unpin(zone, slot);

    ngx_http_rt_zone_unlock(zone);

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
ngx_http_rt_zone_exit_process(ngx_http_rt_zone_t *zone)
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


static void
ngx_http_rt_zone_unpin(ngx_http_rt_zone_t *zone, ngx_http_rt_slot_t *slot)
{
    ngx_http_rt_blob_unpin(&zone->sh->store.ring, &zone->sh->store.pins,
                           slot - zone->sh->slots);
}


/*
 * Appends all or none, once for a key if there is one, and wakes the processes
 * that have subscribers; returns what ngx_http_rt_topic_append() does, BUSY if
 * the ring has been busy for a tenth of a second, or has been so before and
 * still is.
 */

ngx_int_t
ngx_http_rt_zone_append(ngx_http_rt_zone_t *zone,
    ngx_http_rt_message_t *messages, ngx_uint_t n,
    ngx_http_rt_cell_key_t *key, ngx_http_rt_presence_t *p)
{
    ngx_int_t   rc;
    ngx_uint_t  i, tries;
    uint64_t    now;

    now = ngx_http_rt_now();

    for (i = 0; i < n; i++) {
        messages[i].time = now;
        messages[i].epoch = zone->sh->store.epoch;
    }

    if (n == 1 && messages->data_len >= NGX_HTTP_RT_BLOB_MIN && zone->slot) {
        ngx_http_rt_zone_blob(zone, messages, key);
    }

    tries = 0;

    do {
        ngx_http_rt_zone_lock(zone);

        ngx_http_rt_zone_renew(zone, messages);

        rc = key ? ngx_http_rt_topic_append_once(&zone->sh->store, messages, n,
                                                 p, key)
                 : ngx_http_rt_topic_append(&zone->sh->store, messages, n, p);

        if (messages->blob) {

            /* another attempt does without */

            messages->blob = 0;
            ngx_http_rt_zone_unpin(zone, zone->slot);
        }

        ngx_http_rt_zone_unlock(zone);

    } while (ngx_http_rt_zone_again(zone, rc, &tries));

    if (rc == NGX_HTTP_RT_TOPIC_OK) {
        ngx_http_rt_bell_ring(zone, p);
    }

    return rc;
}


/*
 * Copies the data of a large message; if it cannot, append() will.  Who asks
 * again with a key that is known shall not push others out of the ring.
 */

static void
ngx_http_rt_zone_blob(ngx_http_rt_zone_t *zone, ngx_http_rt_message_t *m,
    ngx_http_rt_cell_key_t *key)
{
    ngx_int_t             rc;
    ngx_http_rt_store_t  *store;

    store = &zone->sh->store;

    ngx_http_rt_zone_lock(zone);

    rc = NGX_HTTP_RT_TOPIC_REPLAY;

    if (key == NULL
        || ngx_http_rt_index_find_key(&store->index, key->key) == NULL)
    {
        rc = ngx_http_rt_topic_reserve(store, zone->slot - zone->sh->slots, m);
    }

    ngx_http_rt_zone_unlock(zone);

    if (rc == NGX_HTTP_RT_TOPIC_OK) {
        ngx_http_rt_blob_write(&store->ring, m->blob, m->data, m->data_len);
        ngx_http_rt_point("copied");
    }
}


/* who was held up while others filled the ring does without its blob */

static void
ngx_http_rt_zone_renew(ngx_http_rt_zone_t *zone, ngx_http_rt_message_t *m)
{
    ngx_http_rt_ring_t  *ring;

    ring = &zone->sh->store.ring;

    if (m->blob && ring->head - m->blob > ring->size / NGX_HTTP_RT_BLOB_OLD) {
        m->blob = 0;
        ngx_http_rt_zone_unpin(zone, zone->slot);
    }
}


/* ms since 1970, the clock of messages */

uint64_t
ngx_http_rt_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


/* whether what has been refused may succeed now */

static ngx_uint_t
ngx_http_rt_zone_again(ngx_http_rt_zone_t *zone, ngx_int_t rc,
    ngx_uint_t *tries)
{
    switch (rc) {

    case NGX_HTTP_RT_TOPIC_FULL:
        return ngx_http_rt_zone_reap(zone);

    case NGX_HTTP_RT_TOPIC_BUSY:

        /* it copies, has died meanwhile, or hangs: then waiting is in vain */

        if (ngx_http_rt_zone_reap(zone)) {
            return 1;
        }

        if (zone->stuck) {
            return 0;
        }

        (void) usleep(NGX_HTTP_RT_ZONE_PAUSE);

        zone->stuck = (++*tries == NGX_HTTP_RT_ZONE_TRIES);
        return 1;

    case NGX_HTTP_RT_TOPIC_OK:
        zone->stuck = 0;
        return 0;

    default:
        return 0;
    }
}


/* the same with a publication of a daemon's journal */

ngx_int_t
ngx_http_rt_zone_append_from(ngx_http_rt_zone_t *zone,
    ngx_http_rt_message_t *m, const ngx_http_rt_place_t *place)
{
    ngx_int_t                rc;
    ngx_uint_t               tries;
    ngx_http_rt_presence_t   p;

    m->time = ngx_http_rt_now();
    m->epoch = zone->sh->store.epoch;

    tries = 0;

    do {
        ngx_http_rt_zone_lock(zone);

        rc = ngx_http_rt_topic_append_from(&zone->sh->store, m, &p, place);

        ngx_http_rt_zone_unlock(zone);

    } while (ngx_http_rt_zone_again(zone, rc, &tries));

    if (rc == NGX_HTTP_RT_TOPIC_OK) {
        ngx_http_rt_bell_ring(zone, &p);
    }

    return rc;
}


/* subscribers of a topic in all processes, patterns included */

uint64_t
ngx_http_rt_zone_watchers(ngx_http_rt_zone_t *zone, const u_char *topic,
    size_t len)
{
    uint32_t                 hash;
    ngx_http_rt_cell_t      *cell;
    ngx_http_rt_store_t     *store;
    ngx_http_rt_presence_t   p;

    store = &zone->sh->store;
    hash = ngx_http_rt_hash(topic, len);

    ngx_http_rt_zone_lock(zone);

    cell = ngx_http_rt_topic_find(store, topic, len, hash);

    ngx_http_rt_topic_presence(store, cell, topic, len, &p);

    ngx_http_rt_zone_unlock(zone);

    return p.subscribers;
}
