/*
 * Streams of an engine's events: GET .../events?from=N.
 */

#ifndef _NGX_HTTP_RT_ENGINE_H_INCLUDED_
#define _NGX_HTTP_RT_ENGINE_H_INCLUDED_


#include "ngx_http_rt_dialect.h"
#include "ngx_http_rt_link.h"


/*
 * Answers a request whose subscription the daemon has refused: f is its reply,
 * or NULL, and then status says why there is none.  Returns what to finalize
 * with.
 */

typedef ngx_int_t (*ngx_http_rt_engine_refuse_pt)(ngx_http_request_t *r,
    const rt_wire_frame_t *f, ngx_uint_t status);


/*
 * Subscribes to the entity that "ask" names, from ask->from on.  NGX_DONE: the
 * request is waited with; NGX_ERROR: no memory; else the link has refused.
 */

ngx_int_t ngx_http_rt_engine(ngx_http_request_t *r, ngx_http_rt_zone_t *zone,
    const ngx_http_rt_session_conf_t *conf, ngx_http_rt_link_t *link,
    const ngx_http_rt_ask_t *ask, ngx_uint_t sse,
    ngx_http_rt_engine_refuse_pt refuse);


#endif /* _NGX_HTTP_RT_ENGINE_H_INCLUDED_ */
