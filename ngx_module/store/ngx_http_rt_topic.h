/*
 * Topics: what ring and index mean together.
 *
 * A topic's records are chained both ways through the ring; its cell in the
 * index knows both ends of the chain, the last seq, and the floor: the seq up
 * to which messages are gone, be it that the ring has overwritten them or that
 * somebody has deleted them.  So what a reader has lost is known exactly.
 *
 * An append goes in this order, and a process may die between any two
 * instructions of it:
 *
 *     make room     the tail passes old records; their topics' ends follow
 *     write         the records, which nobody looks at yet
 *     commit        one store of the head: now they exist, all or none
 *     link          chains, ends and counts of the topics
 *
 * store->from is where linking has to begin; ngx_http_rt_topic_repair() does
 * it again, and doing it twice changes nothing.  The place of a source moves
 * with the commit in the same way; see ngx_http_rt_source.h.
 *
 * Everything here runs under the zone's mutex, but for back() and what
 * ngx_http_rt_ring.h gives readers.
 */

#ifndef _NGX_HTTP_RT_TOPIC_H_INCLUDED_
#define _NGX_HTTP_RT_TOPIC_H_INCLUDED_


#include "ngx_http_rt_blob.h"
#include "ngx_http_rt_index.h"
#include "ngx_http_rt_message.h"
#include "ngx_http_rt_ring.h"
#include "ngx_http_rt_source.h"
#include "ngx_http_rt_start.h"


typedef struct {
    ngx_http_rt_ring_t       ring;
    ngx_http_rt_index_t      index;
    ngx_http_rt_pins_t       pins;
    uint64_t                 epoch;
    uint64_t                 from;      /* committed, not yet linked; or 0 */
    uint64_t                 evicted;   /* messages overwritten */
    uint64_t                 damages;   /* found and mended */
    ngx_http_rt_sources_t    sources;   /* of publications by daemons */
} ngx_http_rt_store_t;


/* what the ring still holds of a topic */

typedef struct {
    uint64_t                 messages;
    uint64_t                 bytes;
    uint64_t                 first;     /* seqs; of no use if none */
    uint64_t                 last;
} ngx_http_rt_topic_stat_t;


/* records that are looked at, or deleted, under the mutex at a time */
#define NGX_HTTP_RT_TOPIC_STEPS    1024


void ngx_http_rt_topic_repair(ngx_http_rt_store_t *store);

void ngx_http_rt_topic_mend(ngx_http_rt_store_t *store, uint64_t pos);

int ngx_http_rt_topic_control(ngx_http_rt_store_t *store, unsigned type,
    const u_char *bytes, size_t len);

int ngx_http_rt_topic_reserve(ngx_http_rt_store_t *store, unsigned slot,
    ngx_http_rt_message_t *m);

int ngx_http_rt_topic_append(ngx_http_rt_store_t *store,
    ngx_http_rt_message_t *messages, size_t n, ngx_http_rt_presence_t *p);

int ngx_http_rt_topic_append_once(ngx_http_rt_store_t *store,
    ngx_http_rt_message_t *messages, size_t n, ngx_http_rt_presence_t *p,
    ngx_http_rt_key_t *key);

/* with m->refused only its place: no data, and no cell if there is no room */
int ngx_http_rt_topic_append_from(ngx_http_rt_store_t *store,
    ngx_http_rt_message_t *m, ngx_http_rt_presence_t *p,
    const ngx_http_rt_place_t *place);

ngx_http_rt_cell_t *ngx_http_rt_topic_find(ngx_http_rt_store_t *store,
    const u_char *name, size_t len, uint32_t hash);
void ngx_http_rt_topic_presence(ngx_http_rt_store_t *store,
    ngx_http_rt_cell_t *cell, const u_char *name, size_t len,
    ngx_http_rt_presence_t *p);
void ngx_http_rt_topic_stat(ngx_http_rt_store_t *store,
    ngx_http_rt_cell_t *cell, ngx_http_rt_topic_stat_t *stat);
int ngx_http_rt_topic_delete(ngx_http_rt_store_t *store,
    ngx_http_rt_cell_t *cell, uint64_t upto);

/* cell: NULL if the index does not know it */
void ngx_http_rt_topic_view(ngx_http_rt_store_t *store,
    ngx_http_rt_cell_t *cell, uint32_t hash, ngx_http_rt_view_t *view);


#endif /* _NGX_HTTP_RT_TOPIC_H_INCLUDED_ */
