/*
 * Ids of clients' connections, which commands carry.  A connection whose id a
 * daemon has been given is named to it once more at its end (GONE), so that
 * what an engine keeps for a connection ends with it.
 */

#include "ngx_http_rt_link_private.h"


/* a client's connection that was named to daemons */

typedef struct {
    uint64_t                 id;
    uint64_t                 links;         /* bits by number */
} ngx_http_rt_link_client_t;


static void ngx_http_rt_link_client_gone(void *data);


/*
 * nginx numbers connections of all processes; with the zone's epoch a number is
 * not used again after a restart either.  0: no memory.
 */

uint64_t
ngx_http_rt_link_client(ngx_http_request_t *r, ngx_http_rt_link_t *link)
{
    ngx_pool_t                 *pool;
    ngx_pool_cleanup_t         *cln;
    ngx_http_rt_link_client_t  *client;

    pool = r->connection->pool;

    for (cln = pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_rt_link_client_gone) {
            break;
        }
    }

    if (cln == NULL) {
        cln = ngx_pool_cleanup_add(pool, sizeof(ngx_http_rt_link_client_t));
        if (cln == NULL) {
            return 0;
        }

        client = cln->data;
        client->id = link->zone->epoch << 40
                     | (r->connection->number & 0xffffffffff);
        client->links = 0;

        cln->handler = ngx_http_rt_link_client_gone;
    }

    client = cln->data;
    client->links |= (uint64_t) 1 << link->number;

    return client->id;
}


static void
ngx_http_rt_link_client_gone(void *data)
{
    ngx_http_rt_link_client_t *client = data;

    ngx_uint_t                i, n;
    ngx_http_rt_link_t       *link;
    ngx_http_rt_worker_t    **workers;
    ngx_http_rt_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_realtime_module);
    workers = mcf->workers.elts;

    for (i = 0; i < mcf->workers.nelts; i++) {
        link = workers[i]->links.elts;

        for (n = 0; n < workers[i]->links.nelts; n++) {

            if (client->links & (uint64_t) 1 << link[n].number) {
                (void) ngx_http_rt_link_tell(&link[n], RT_WIRE_GONE, 0,
                                             RT_WIRE_F_CONNECTION, client->id);
            }
        }
    }
}
