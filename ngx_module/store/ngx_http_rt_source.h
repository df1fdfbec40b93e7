/*
 * Sources: journals whose publications go into the zone, and how far each has
 * come.
 *
 * A source is known by its epoch.  Its place is the (position, index) of the
 * last publication that was appended to the ring; what is not behind it has
 * been applied already, whoever sends it again.
 *
 * The place must move together with the ring's head, and a process may die
 * between any two instructions.  Therefore a source has two places, of which
 * "current" is one.  An append goes in this order:
 *
 *     prepare     the new place is written beside the current one
 *     commit      the ring's head, see ngx_http_rt_topic.h
 *     settle      one store makes the new place the current one
 *
 * and a repair settles if, and only if, the head had been stored.
 *
 * "peer" is a hash of the daemon's address: who connects to it again tells it
 * the place of the source that it was last.
 */

#ifndef _NGX_HTTP_RT_SOURCE_H_INCLUDED_
#define _NGX_HTTP_RT_SOURCE_H_INCLUDED_


#include "ngx_http_rt_record.h"


/* daemons, and their journals' epochs; the one longest unused goes first */
#define NGX_HTTP_RT_SOURCES  128


typedef struct {
    uint64_t                 epoch;     /* 0: free */
    uint64_t                 peer;
    uint64_t                 used;
    uint64_t                 position[2];
    uint64_t                 index[2];
    uint32_t                 current;
    uint32_t                 reserved;
} ngx_http_rt_source_t;


typedef struct {
    uint32_t                 moving;    /* 0, or who and where to: see move */
    uint32_t                 reserved;
    uint64_t                 uses;
    ngx_http_rt_source_t     sources[NGX_HTTP_RT_SOURCES];
} ngx_http_rt_sources_t;


ngx_http_rt_source_t *ngx_http_rt_source_find(ngx_http_rt_sources_t *sources,
    uint64_t epoch);
ngx_http_rt_source_t *ngx_http_rt_source_of_peer(
    ngx_http_rt_sources_t *sources, uint64_t peer);

/* found, or made with this place */
ngx_http_rt_source_t *ngx_http_rt_source_get(ngx_http_rt_sources_t *sources,
    const ngx_http_rt_place_t *place, uint64_t peer);

void ngx_http_rt_source_place(const ngx_http_rt_source_t *source,
    ngx_http_rt_place_t *place);

/* whether the place is behind the one that the source has come to */
int ngx_http_rt_source_is_new(const ngx_http_rt_source_t *source,
    const ngx_http_rt_place_t *place);

void ngx_http_rt_source_prepare(ngx_http_rt_sources_t *sources,
    ngx_http_rt_source_t *source, const ngx_http_rt_place_t *place);
void ngx_http_rt_source_settle(ngx_http_rt_sources_t *sources);
void ngx_http_rt_source_cancel(ngx_http_rt_sources_t *sources);


#endif /* _NGX_HTTP_RT_SOURCE_H_INCLUDED_ */
