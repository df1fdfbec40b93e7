/*
 * Zones: the shared memory of one name, and its life over reloads.
 *
 * A zone is laid out once, when it is new: the common part, the index, and the
 * rest is ring.  A reload finds it as it is.  With another size, or another
 * size of the index, it is a new zone with a new epoch.
 */

#include "ngx_http_rt_zone_private.h"

#include <sys/random.h>


/* changes with every change of what lies in the zone */
#define NGX_HTTP_RT_ZONE_LAYOUT    0x72740005

#define NGX_HTTP_RT_ZONE_MIN       (1024 * 1024)
#define NGX_HTTP_RT_ZONE_MAX       ((off_t) 16 * 1024 * 1024 * 1024)
#define NGX_HTTP_RT_INDEX_MIN      (16 * 1024)


static ngx_int_t ngx_http_rt_zone_sizes(ngx_conf_t *cf, off_t *size,
    off_t *index);
static ngx_int_t ngx_http_rt_zone_init(ngx_shm_zone_t *shm_zone, void *data);
static void ngx_http_rt_zone_taken(ngx_http_rt_zone_t *zone);
static ngx_int_t ngx_http_rt_zone_build(ngx_http_rt_zone_t *zone,
    ngx_log_t *log);
static ngx_http_rt_zone_t *ngx_http_rt_zone_before(ngx_str_t *name,
    size_t *size);


/* realtime_zone name size [index=size] */

char *
ngx_http_rt_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char *p = conf;

    off_t                 size, index;
    size_t                before;
    ngx_str_t            *value;
    ngx_array_t          *zones;
    ngx_shm_zone_t       *shm_zone;
    ngx_http_rt_zone_t   *zone, *old, **zp;

    value = cf->args->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "empty zone name");
        return NGX_CONF_ERROR;
    }

    if (ngx_http_rt_zone_sizes(cf, &size, &index) != NGX_OK) {
        return NGX_CONF_ERROR;
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

    ngx_queue_init(&zone->pending);

    shm_zone->init = ngx_http_rt_zone_init;
    shm_zone->data = zone;

    zones = (ngx_array_t *) (p + cmd->offset);

    zp = ngx_array_push(zones);
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


static ngx_int_t
ngx_http_rt_zone_sizes(ngx_conf_t *cf, off_t *size, off_t *index)
{
    ngx_str_t  *value, s;

    value = cf->args->elts;

    *size = ngx_parse_offset(&value[2]);

    if (*size < NGX_HTTP_RT_ZONE_MIN || *size > NGX_HTTP_RT_ZONE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" of realtime_zone \"%V\", "
                           "it must be from 1m to 16g", &value[2], &value[1]);
        return NGX_ERROR;
    }

    *index = *size / 8;

    if (cf->args->nelts < 4) {
        return NGX_OK;
    }

    if (ngx_strncmp(value[3].data, "index=", 6) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", it must be index=size",
                           &value[3]);
        return NGX_ERROR;
    }

    s.data = value[3].data + 6;
    s.len = value[3].len - 6;

    *index = ngx_parse_offset(&s);

    if (*index < NGX_HTTP_RT_INDEX_MIN || *index > *size / 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid index size \"%V\", it must be "
                           "from 16k to half the zone", &value[3]);
        return NGX_ERROR;
    }

    return NGX_OK;
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
        zone->epoch = zone->sh->store.epoch;

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

static void
ngx_http_rt_zone_taken(ngx_http_rt_zone_t *zone)
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
        != (ssize_t) sizeof(uint64_t)
        || getrandom(&sh->store.index.seed, sizeof(ngx_http_rt_hash_key_t), 0)
           != (ssize_t) sizeof(ngx_http_rt_hash_key_t))
    {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno, "getrandom() failed");
        return NGX_ERROR;
    }

    /* of one length, and never 0 */

    sh->store.epoch |= (uint64_t) 1 << 63;

    sh->layout = NGX_HTTP_RT_ZONE_LAYOUT;

    zone->sh = sh;
    zone->epoch = sh->store.epoch;
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


ngx_int_t
ngx_http_rt_zone_init_module(ngx_array_t *zones, ngx_cycle_t *cycle)
{
    ngx_uint_t            i;
    ngx_http_rt_zone_t  **zone;

    zone = zones->elts;

    for (i = 0; i < zones->nelts; i++) {
        ngx_http_rt_zone_taken(zone[i]);
    }

    return ngx_http_rt_bell_init_module(zones, cycle);
}


ngx_int_t
ngx_http_rt_zone_init_process(ngx_array_t *zones, ngx_cycle_t *cycle,
    void (*drain)(void))
{
    ngx_uint_t            i;
    ngx_http_rt_zone_t  **zone;

    zone = zones->elts;

    for (i = 0; i < zones->nelts; i++) {
        ngx_http_rt_zone_append_init(zone[i], cycle->log);

        if (ngx_http_rt_zone_slot_init(zone[i], cycle) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_rt_bell_init_process(zones, cycle, drain);
}


void
ngx_http_rt_zone_exit_process(ngx_array_t *zones)
{
    ngx_uint_t            i;
    ngx_http_rt_zone_t  **zone;

    zone = zones->elts;

    for (i = 0; i < zones->nelts; i++) {
        ngx_http_rt_zone_slot_exit(zone[i]);
    }
}
