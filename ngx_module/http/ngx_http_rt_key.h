/*
 * Idempotency keys of requests.
 */

#ifndef _NGX_HTTP_RT_KEY_H_INCLUDED_
#define _NGX_HTTP_RT_KEY_H_INCLUDED_


#include "ngx_http_rt_http.h"


/* empty: there is none; returns NULL, or what is wrong with it */
const char *ngx_http_rt_key_find(ngx_http_request_t *r, ngx_str_t *key);

/* what the zone knows a key by, and what was asked with it; m is NULL for a */
/* batch */
void ngx_http_rt_key_digest(ngx_http_rt_key_t *digest, ngx_str_t *topic,
    ngx_str_t *key, ngx_http_rt_message_t *m, ngx_str_t *body);


#endif /* _NGX_HTTP_RT_KEY_H_INCLUDED_ */
