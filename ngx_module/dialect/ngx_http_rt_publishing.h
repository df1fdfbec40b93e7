/*
 * Publications of a session's client, whatever its dialect.
 */

#ifndef _NGX_HTTP_RT_PUBLISHING_H_INCLUDED_
#define _NGX_HTTP_RT_PUBLISHING_H_INCLUDED_


#include "ngx_http_rt_operation.h"


/* NGX_ERROR: no memory */

typedef ngx_int_t (*ngx_http_rt_publishing_pt)(ngx_http_rt_session_t *s,
    const ngx_http_rt_publication_t *pub, const u_char *ref, size_t ref_len);


/*
 * Publishes one message, in the session's name; key may be empty.  done() is
 * called with the result, now or later.  Until then the session takes no input,
 * so that what a client says is done in order.
 */
ngx_int_t ngx_http_rt_publishing(ngx_http_rt_session_t *s,
    const ngx_http_rt_draft_t *draft, const ngx_str_t *key, const u_char *ref,
    size_t ref_len, ngx_http_rt_publishing_pt done);

/* one word that names the result, for programs */
const char *ngx_http_rt_publishing_code(const ngx_http_rt_publication_t *pub);

/* the session goes */
void ngx_http_rt_publishing_cancel(ngx_http_rt_session_t *s);


#endif /* _NGX_HTTP_RT_PUBLISHING_H_INCLUDED_ */
