/*
 * Workers: the daemons behind a name of realtime_worker, and which of them an
 * entity lives on.
 *
 * Entities are spread by a consistent hash, a ring of 160 points for each
 * address (as in nginx's upstreams), so that one daemon more takes 1/n of the
 * entities from all others and leaves the rest where they are.  An entity whose
 * daemon is away is away, too: nobody else has its state.
 *
 * The hash has no seed: all processes, of all machines and after every restart,
 * must find the same daemon.  Nothing is chained by it, so names chosen to
 * collide gain no more than commands to one entity do: they reach one daemon.
 *
 * A worker publishes to the zone of its own name; if there is none, to the
 * first one.
 */

#include "ngx_http_rt_link.h"


#define NGX_HTTP_RT_WORKER_POINTS  160


static char *ngx_http_rt_worker_add(ngx_conf_t *cf,
    ngx_http_rt_main_conf_t *mcf, ngx_http_rt_worker_t *worker,
    ngx_str_t *address);
static char *ngx_http_rt_worker_spread(ngx_conf_t *cf,
    ngx_http_rt_worker_t *worker);
static int ngx_libc_cdecl ngx_http_rt_worker_cmp(const void *one,
    const void *two);
static ngx_http_rt_zone_t *ngx_http_rt_worker_zone(
    ngx_http_rt_main_conf_t *mcf, ngx_http_rt_worker_t *worker);


/* realtime_worker name address ... */

char *
ngx_http_rt_worker(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_main_conf_t *mcf = conf;

    ngx_str_t              *value;
    ngx_uint_t              i;
    ngx_http_rt_worker_t   *worker, **wp;

    value = cf->args->elts;

    if (ngx_http_rt_worker_named(mcf, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate realtime_worker \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    worker = ngx_pcalloc(cf->pool, sizeof(ngx_http_rt_worker_t));
    wp = ngx_array_push(&mcf->workers);

    if (worker == NULL || wp == NULL) {
        return NGX_CONF_ERROR;
    }

    *wp = worker;
    worker->name = value[1];

    /* never grows: pointers to its elements are kept */

    if (ngx_array_init(&worker->links, cf->pool, cf->args->nelts - 2,
                       sizeof(ngx_http_rt_link_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_rt_worker_add(cf, mcf, worker, &value[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_rt_worker_spread(cf, worker);
}


static char *
ngx_http_rt_worker_add(ngx_conf_t *cf, ngx_http_rt_main_conf_t *mcf,
    ngx_http_rt_worker_t *worker, ngx_str_t *address)
{
    ngx_url_t            u;
    ngx_uint_t           i;
    ngx_http_rt_link_t  *link;

    link = worker->links.elts;

    for (i = 0; i < worker->links.nelts; i++) {
        if (link[i].name.len == address->len
            && ngx_memcmp(link[i].name.data, address->data, address->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate address \"%V\"", address);
            return NGX_CONF_ERROR;
        }
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *address;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in \"%V\", it must be unix:path or host:port",
                           u.err ? u.err : "error", address);
        return NGX_CONF_ERROR;
    }

    if (u.no_port || u.uri.len || u.naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid address \"%V\", it must be unix:path or "
                           "host:port", address);
        return NGX_CONF_ERROR;
    }

    if (mcf->nlinks == NGX_HTTP_RT_LINKS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "more than %d daemons",
                           NGX_HTTP_RT_LINKS_MAX);
        return NGX_CONF_ERROR;
    }

    link = ngx_array_push(&worker->links);
    if (link == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(link, sizeof(ngx_http_rt_link_t));

    link->worker = worker;
    link->addr = &u.addrs[0];
    link->name = *address;
    link->number = mcf->nlinks++;
    link->peer = (uint64_t) ngx_murmur_hash2(address->data, address->len) << 32
                 | ngx_crc32_long(address->data, address->len);

    return NGX_CONF_OK;
}


static char *
ngx_http_rt_worker_spread(ngx_conf_t *cf, ngx_http_rt_worker_t *worker)
{
    size_t                       len;
    u_char                       text[512 + NGX_INT_T_LEN], *p;
    ngx_uint_t                   i, n;
    ngx_http_rt_link_t          *link;
    ngx_http_rt_worker_point_t  *point;

    link = worker->links.elts;

    worker->npoints = worker->links.nelts * NGX_HTTP_RT_WORKER_POINTS;
    worker->points = ngx_palloc(cf->pool,
                                worker->npoints
                                * sizeof(ngx_http_rt_worker_point_t));
    if (worker->points == NULL) {
        return NGX_CONF_ERROR;
    }

    point = worker->points;

    for (i = 0; i < worker->links.nelts; i++) {

        len = ngx_min(link[i].name.len, 512);
        p = ngx_cpymem(text, link[i].name.data, len);

        for (n = 0; n < NGX_HTTP_RT_WORKER_POINTS; n++) {
            point->hash = ngx_murmur_hash2(text,
                                           ngx_sprintf(p, "-%ui", n) - text);
            point->link = &link[i];
            point++;
        }
    }

    ngx_qsort(worker->points, worker->npoints,
              sizeof(ngx_http_rt_worker_point_t), ngx_http_rt_worker_cmp);

    return NGX_CONF_OK;
}


/* by hash; of equal ones by the name, for the order must not tell */

static int ngx_libc_cdecl
ngx_http_rt_worker_cmp(const void *one, const void *two)
{
    const ngx_http_rt_worker_point_t *first = one;
    const ngx_http_rt_worker_point_t *second = two;

    if (first->hash != second->hash) {
        return (first->hash < second->hash) ? -1 : 1;
    }

    return (int) ngx_memn2cmp(first->link->name.data, second->link->name.data,
                              first->link->name.len, second->link->name.len);
}


/* all directives have been read */

char *
ngx_http_rt_worker_init(ngx_conf_t *cf, ngx_http_rt_main_conf_t *mcf)
{
    ngx_uint_t              i, n;
    ngx_http_rt_link_t     *link;
    ngx_http_rt_worker_t  **workers;

    workers = mcf->workers.elts;

    for (i = 0; i < mcf->workers.nelts; i++) {

        if (mcf->zones.nelts == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "no \"realtime_zone\" is defined for "
                               "realtime_worker \"%V\"", &workers[i]->name);
            return NGX_CONF_ERROR;
        }

        workers[i]->zone = ngx_http_rt_worker_zone(mcf, workers[i]);

        if (workers[i]->zone->name.len > RT_WIRE_ZONE_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "name of realtime_zone \"%V\" is too long for "
                               "realtime_worker \"%V\"",
                               &workers[i]->zone->name, &workers[i]->name);
            return NGX_CONF_ERROR;
        }

        link = workers[i]->links.elts;

        for (n = 0; n < workers[i]->links.nelts; n++) {
            link[n].zone = workers[i]->zone;
        }
    }

    if (ngx_http_rt_tally_init(cf, mcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_http_rt_zone_t *
ngx_http_rt_worker_zone(ngx_http_rt_main_conf_t *mcf,
    ngx_http_rt_worker_t *worker)
{
    ngx_uint_t            i;
    ngx_http_rt_zone_t  **zones;

    zones = mcf->zones.elts;

    for (i = 0; i < mcf->zones.nelts; i++) {
        if (zones[i]->name.len == worker->name.len
            && ngx_memcmp(zones[i]->name.data, worker->name.data,
                          worker->name.len)
               == 0)
        {
            return zones[i];
        }
    }

    return zones[0];
}


ngx_http_rt_worker_t *
ngx_http_rt_worker_named(ngx_http_rt_main_conf_t *mcf, ngx_str_t *name)
{
    ngx_uint_t              i;
    ngx_http_rt_worker_t  **workers;

    workers = mcf->workers.elts;

    for (i = 0; i < mcf->workers.nelts; i++) {
        if (workers[i]->name.len == name->len
            && ngx_memcmp(workers[i]->name.data, name->data, name->len) == 0)
        {
            return workers[i];
        }
    }

    return NULL;
}


/* the daemon that has this entity */

ngx_http_rt_link_t *
ngx_http_rt_worker_link(ngx_http_rt_worker_t *worker, ngx_str_t *engine,
    ngx_str_t *entity)
{
    u_char                       text[RT_WIRE_ENGINE_MAX + RT_WIRE_ENTITY_MAX
                                      + 1], *p;
    uint32_t                     hash;
    ngx_uint_t                   i, n, middle;
    ngx_http_rt_worker_point_t  *points;

    points = worker->points;

    if (worker->links.nelts == 1) {
        return points[0].link;
    }

    p = ngx_cpymem(text, engine->data,
                   ngx_min(engine->len, RT_WIRE_ENGINE_MAX));
    *p++ = '/';
    p = ngx_cpymem(p, entity->data, ngx_min(entity->len, RT_WIRE_ENTITY_MAX));

    hash = ngx_murmur_hash2(text, p - text);

    i = 0;
    n = worker->npoints;

    while (i < n) {
        middle = (i + n) / 2;

        if (points[middle].hash < hash) {
            i = middle + 1;

        } else {
            n = middle;
        }
    }

    return points[i % worker->npoints].link;
}


void
ngx_http_rt_worker_init_process(ngx_http_rt_main_conf_t *mcf,
    ngx_cycle_t *cycle)
{
    ngx_uint_t              i, n;
    ngx_http_rt_link_t     *link;
    ngx_http_rt_worker_t  **workers;

    ngx_http_rt_tally_init_process(mcf);

    workers = mcf->workers.elts;

    for (i = 0; i < mcf->workers.nelts; i++) {
        link = workers[i]->links.elts;

        for (n = 0; n < workers[i]->links.nelts; n++) {
            ngx_http_rt_link_init_process(&link[n], cycle);
        }
    }
}


void
ngx_http_rt_worker_exit_process(ngx_http_rt_main_conf_t *mcf)
{
    ngx_uint_t              i, n;
    ngx_http_rt_link_t     *link;
    ngx_http_rt_worker_t  **workers;

    workers = mcf->workers.elts;

    for (i = 0; i < mcf->workers.nelts; i++) {
        link = workers[i]->links.elts;

        for (n = 0; n < workers[i]->links.nelts; n++) {
            ngx_http_rt_link_exit_process(&link[n]);
        }
    }

    ngx_http_rt_tally_exit_process(mcf);
}
