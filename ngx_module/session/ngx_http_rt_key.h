/*
 * Idempotency keys of requests.
 */

#ifndef _NGX_HTTP_RT_KEY_H_INCLUDED_
#define _NGX_HTTP_RT_KEY_H_INCLUDED_


#include "ngx_http_rt_header.h"
#include "ngx_http_rt_zone.h"


/* empty: there is none; returns NULL, or what is wrong with it */
const char *ngx_http_rt_key_find(ngx_http_request_t *r, ngx_str_t *key);

/* what the zone knows a key by, and what was asked with it; m is NULL for a */
/* batch */
const char *ngx_http_rt_key_check(const ngx_str_t *key);
void ngx_http_rt_key_digest(ngx_http_rt_key_t *digest, const ngx_str_t *topic,
    const ngx_str_t *key, const ngx_http_rt_message_t *m,
    const ngx_str_t *body);


#endif /* _NGX_HTTP_RT_KEY_H_INCLUDED_ */
