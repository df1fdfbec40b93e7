/*
 * What the files of zone/ share with each other and with nobody else: the
 * layout of the shared memory, the mutex, and the store beneath.
 */

#ifndef _NGX_HTTP_RT_ZONE_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_RT_ZONE_PRIVATE_H_INCLUDED_


#include "ngx_http_rt_zone.h"
#include "ngx_http_rt_topic.h"


/* a zone's shared memory begins with this */

struct ngx_http_rt_zone_sh_s {
    ngx_uint_t                     layout;
    ngx_atomic_t                   busy;    /* a change is under way */
    ngx_atomic_t                   deletes; /* of topics' messages */
    ngx_uint_t                     nbells;
    int                            bells[NGX_HTTP_RT_SLOTS];
    ngx_atomic_t                   publications_refused;
    ngx_atomic_t                   subscriptions_refused;
    ngx_atomic_t                   subscribers_delayed;
    ngx_http_rt_store_t            store;
    ngx_http_rt_slot_t             slots[NGX_HTTP_RT_SLOTS];
};


#define ngx_http_rt_zone_slot(zone)                                           \
    ((unsigned) ((zone)->slot - (zone)->sh->slots))


/* ngx_http_rt_zone_slot.c */

void ngx_http_rt_zone_lock(ngx_http_rt_zone_t *zone);
void ngx_http_rt_zone_unlock(ngx_http_rt_zone_t *zone);
ngx_int_t ngx_http_rt_zone_slot_init(ngx_http_rt_zone_t *zone,
    ngx_cycle_t *cycle);
void ngx_http_rt_zone_slot_exit(ngx_http_rt_zone_t *zone);
ngx_uint_t ngx_http_rt_zone_reap(ngx_http_rt_zone_t *zone);
void ngx_http_rt_zone_unpin(ngx_http_rt_zone_t *zone,
    ngx_http_rt_slot_t *slot);


/* ngx_http_rt_zone_append.c */

void ngx_http_rt_zone_append_init(ngx_http_rt_zone_t *zone, ngx_log_t *log);


/* ngx_http_rt_zone_topic.c; under the mutex */

ngx_http_rt_cell_t *ngx_http_rt_zone_find(ngx_http_rt_zone_t *zone,
    const ngx_http_rt_name_t *t);


/* ngx_http_rt_bell.c */

ngx_int_t ngx_http_rt_bell_init_module(ngx_array_t *zones,
    ngx_cycle_t *cycle);
ngx_int_t ngx_http_rt_bell_init_process(ngx_array_t *zones,
    ngx_cycle_t *cycle, void (*drain)(void));
void ngx_http_rt_bell_ring(ngx_http_rt_zone_t *zone,
    ngx_http_rt_presence_t *p);


#endif /* _NGX_HTTP_RT_ZONE_PRIVATE_H_INCLUDED_ */
