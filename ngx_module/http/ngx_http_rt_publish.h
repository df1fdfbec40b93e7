/*
 * What the files of publishing over HTTP share; nobody else includes this.
 */

#ifndef _NGX_HTTP_RT_PUBLISH_H_INCLUDED_
#define _NGX_HTTP_RT_PUBLISH_H_INCLUDED_


#include "ngx_http_rt_http.h"
#include "ngx_http_rt_operation.h"


/* of a request that publishes */

typedef struct {
    ngx_http_request_t            *request;
    ngx_str_t                      topic;   /* or pattern, of the location */
    unsigned                       wild:1;
    unsigned                       batch:1;

    ngx_array_t                    grant;   /* the topic, as a list */
    ngx_http_rt_principal_t        who;
    ngx_http_rt_publication_t      pub;
    ngx_http_rt_key_t         key;     /* if the request has one */
} ngx_http_rt_publish_ctx_t;


/* ngx_http_rt_publish.c */

/* a refusal after the body; NGX_DONE, see ngx_http_rt_refuse() */
ngx_int_t ngx_http_rt_publish_refuse(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx);


/* ngx_http_rt_publish_batch.c; NGX_OK, NGX_DONE: refused, NGX_ERROR */

ngx_int_t ngx_http_rt_publish_batch(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_str_t *body);
ngx_uint_t ngx_http_rt_publish_batch_asked(ngx_http_request_t *r);

/* NULL, or what is wrong with the type of the request */
const char *ngx_http_rt_publish_batch_type(ngx_http_request_t *r);


/* ngx_http_rt_publish_topic.c */

ngx_int_t ngx_http_rt_publish_show(ngx_http_request_t *r, ngx_str_t *topic);
ngx_int_t ngx_http_rt_publish_forget(ngx_http_request_t *r, ngx_str_t *topic);


/* ngx_http_rt_publish_answer.c */

ngx_int_t ngx_http_rt_publish_answer(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx);


#endif /* _NGX_HTTP_RT_PUBLISH_H_INCLUDED_ */
