/*
 * Tallies: how each process stands with each daemon, in shared memory of their
 * own, so that whichever process is asked for its status can tell of all.
 *
 * A process has a row, by its place among nginx's, and writes in no other; the
 * row has a tally for each of its links.  Tallies of one daemon are found by a
 * hash of the worker's name and the address, for processes from before a reload
 * may have other links, or the same in another order.  The row of a process
 * that was killed is passed over until the place has its next owner.
 */

#include "ngx_http_rt_link.h"


/* a new name when the layout changes, for a reload may bring a new module */
#define NGX_HTTP_RT_TALLY_NAME  "realtime_worker tallies 1"


typedef struct {
    ngx_pid_t             pid;       /* 0: free */
    ngx_http_rt_tally_t   tallies[NGX_HTTP_RT_LINKS_MAX];
} ngx_http_rt_tally_row_t;


static ngx_int_t ngx_http_rt_tally_init_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_http_rt_tally_row_t *ngx_http_rt_tally_rows(
    ngx_http_rt_main_conf_t *mcf);
static uint64_t ngx_http_rt_tally_key(ngx_http_rt_link_t *link);


static int  ngx_http_rt_tally_tag;


/* the links are known */

ngx_int_t
ngx_http_rt_tally_init(ngx_conf_t *cf, ngx_http_rt_main_conf_t *mcf)
{
    size_t     size;
    ngx_str_t  name = ngx_string(NGX_HTTP_RT_TALLY_NAME);

    if (mcf->nlinks == 0) {
        return NGX_OK;
    }

    /* the same size for any number of links: a reload must find it again */

    size = NGX_HTTP_RT_SLOTS * sizeof(ngx_http_rt_tally_row_t)
           + 16 * ngx_pagesize;

    mcf->tallies = ngx_shared_memory_add(cf, &name, size,
                                         &ngx_http_rt_tally_tag);
    if (mcf->tallies == NULL) {
        return NGX_ERROR;
    }

    mcf->tallies->init = ngx_http_rt_tally_init_zone;
    mcf->tallies->data = mcf;

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_tally_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (data || shm_zone->shm.exists) {
        return NGX_OK;
    }

    shpool->data = ngx_slab_calloc(shpool, NGX_HTTP_RT_SLOTS
                                           * sizeof(ngx_http_rt_tally_row_t));

    return shpool->data ? NGX_OK : NGX_ERROR;
}


/* a process beyond the last row has no tallies, as it has no subscribers */

void
ngx_http_rt_tally_init_process(ngx_http_rt_main_conf_t *mcf)
{
    ngx_uint_t                 i, n;
    ngx_http_rt_link_t        *link;
    ngx_http_rt_worker_t     **workers;
    ngx_http_rt_tally_row_t   *row;

    if (mcf->nlinks == 0 || ngx_process_slot >= NGX_HTTP_RT_SLOTS) {
        return;
    }

    row = &ngx_http_rt_tally_rows(mcf)[ngx_process_slot];

    ngx_memzero(row, sizeof(ngx_http_rt_tally_row_t));

    workers = mcf->workers.elts;

    for (i = 0; i < mcf->workers.nelts; i++) {
        link = workers[i]->links.elts;

        for (n = 0; n < workers[i]->links.nelts; n++) {
            link[n].tally = &row->tallies[link[n].number];
            link[n].tally->key = ngx_http_rt_tally_key(&link[n]);
        }
    }

    row->pid = ngx_pid;
}


void
ngx_http_rt_tally_exit_process(ngx_http_rt_main_conf_t *mcf)
{
    ngx_http_rt_tally_row_t  *row;

    if (mcf->nlinks == 0 || ngx_process_slot >= NGX_HTTP_RT_SLOTS) {
        return;
    }

    row = &ngx_http_rt_tally_rows(mcf)[ngx_process_slot];

    if (row->pid == ngx_pid) {
        row->pid = 0;
    }
}


void
ngx_http_rt_tally_sum(ngx_http_rt_main_conf_t *mcf, ngx_http_rt_link_t *link,
    ngx_http_rt_tally_sum_t *sum)
{
    uint64_t                  key;
    ngx_pid_t                 pid;
    ngx_uint_t                i, n;
    ngx_http_rt_tally_t      *tally;
    ngx_http_rt_tally_row_t  *rows;

    ngx_memzero(sum, sizeof(ngx_http_rt_tally_sum_t));

    key = ngx_http_rt_tally_key(link);
    rows = ngx_http_rt_tally_rows(mcf);

    for (i = 0; i < NGX_HTTP_RT_SLOTS; i++) {
        pid = rows[i].pid;

        if (pid == 0
            || (pid != ngx_pid && kill(pid, 0) == -1
                && ngx_errno == NGX_ESRCH))
        {
            continue;
        }

        for (n = 0; n < NGX_HTTP_RT_LINKS_MAX; n++) {
            tally = &rows[i].tallies[n];

            if (tally->key == key) {
                sum->processes++;
                sum->linked += tally->up;
                sum->waiting += tally->waiting;
                sum->streams += tally->streams;
            }
        }
    }

    sum->up = (sum->linked && sum->linked == sum->processes);
}


static ngx_http_rt_tally_row_t *
ngx_http_rt_tally_rows(ngx_http_rt_main_conf_t *mcf)
{
    return ((ngx_slab_pool_t *) mcf->tallies->shm.addr)->data;
}


/* never 0, which is the key of no link */

static uint64_t
ngx_http_rt_tally_key(ngx_http_rt_link_t *link)
{
    return (link->peer ^ ngx_murmur_hash2(link->worker->name.data,
                                          link->worker->name.len))
           | (uint64_t) 1 << 63;
}
