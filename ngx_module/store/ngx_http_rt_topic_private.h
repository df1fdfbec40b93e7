/*
 * What the files of topics share: ngx_http_rt_append.c puts records into the
 * ring, ngx_http_rt_chain.c takes them out and keeps the chains right, and
 * ngx_http_rt_topic.c answers what is known of a topic.
 */

#ifndef _NGX_HTTP_RT_TOPIC_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_RT_TOPIC_PRIVATE_H_INCLUDED_


#include <string.h>

#include "ngx_http_rt_topic.h"


/* ngx_http_rt_append.c */

void ngx_http_rt_topic_link(ngx_http_rt_store_t *store);


/* ngx_http_rt_chain.c */

void ngx_http_rt_topic_evict(void *data, ngx_http_rt_record_t *rec,
    uint64_t pos);
void ngx_http_rt_topic_verify(ngx_http_rt_store_t *store,
    ngx_http_rt_cell_t *cell);
void ngx_http_rt_topic_lose(ngx_http_rt_store_t *store,
    ngx_http_rt_cell_t *cell);


#endif /* _NGX_HTTP_RT_TOPIC_PRIVATE_H_INCLUDED_ */
