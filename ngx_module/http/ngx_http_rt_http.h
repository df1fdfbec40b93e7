/*
 * The room of HTTP: directives and their configuration, requests and answers.
 *
 * It owns requests: it reads what they ask, waits with them, answers them and
 * finalizes them.  It has
 *
 *     module, conf_*      directives, configuration, process start and end
 *     handler             which way a request goes
 *     publish*, key       POST, PUT, GET and DELETE of realtime_publish
 *     subscribe           admission of subscribers
 *     pass*               realtime_pass: commands and queries
 *     status*             realtime_status
 *     body, answer,       parts of requests and answers
 *     header, variables
 *
 * The room stands at the top: it may call all others, operations (session/)
 * rather than the zone or a link where there is one.  Dialects, which begin as
 * requests, may call what this header declares; nobody else calls in here.
 *
 * A request is answered exactly once.  A function that has refused one from
 * within returns NGX_DONE, and the handler finalizes with ctx->rc.
 */

#ifndef _NGX_HTTP_RT_HTTP_H_INCLUDED_
#define _NGX_HTTP_RT_HTTP_H_INCLUDED_


#include "ngx_http_rt.h"


/* ngx_http_rt_handler.c */

ngx_int_t ngx_http_rt_handler(ngx_http_request_t *r);

/* made at the first call; NULL: no memory */
ngx_http_rt_ctx_t *ngx_http_rt_ctx(ngx_http_request_t *r);

/* NGX_OK: a client's own request; subrequests have nobody to wait with */
ngx_int_t ngx_http_rt_handler_main(ngx_http_request_t *r,
    const char *directive);


/* ngx_http_rt_publish.c */

ngx_int_t ngx_http_rt_publish(ngx_http_request_t *r);


/* ngx_http_rt_subscribe.c */

ngx_int_t ngx_http_rt_subscribe(ngx_http_request_t *r);


/* ngx_http_rt_status.c */

ngx_int_t ngx_http_rt_status(ngx_http_request_t *r);


/* ngx_http_rt_body.c */

/* in one piece; NGX_DECLINED: it is gone */
ngx_int_t ngx_http_rt_body_collect(ngx_http_request_t *r, ngx_str_t *body);
ngx_int_t ngx_http_rt_body_ignore(ngx_http_request_t *r);
ngx_int_t ngx_http_rt_body_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *text);

/* from now on a client that leaves ends its request with 499 */
void ngx_http_rt_body_watch(ngx_http_request_t *r);


/* ngx_http_rt_answer.c */

ngx_int_t ngx_http_rt_answer_init(ngx_conf_t *cf);

/* json is in the request's pool, or static */
ngx_int_t ngx_http_rt_answer(ngx_http_request_t *r, ngx_uint_t status,
    u_char *json, size_t len);
ngx_int_t ngx_http_rt_answer_text(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, u_char *text, size_t len);

/* {"error":"..."}; "fmt" is ngx_sprintf()'s, the text is cut at 511 bytes */
ngx_int_t ngx_http_rt_answer_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *fmt, ...);

/* refuses from within: the handler returns ctx->rc when it sees NGX_DONE */

#define ngx_http_rt_refuse(r, status, ...)                                    \
    (ngx_http_rt_ctx(r)->rc =                                                 \
             ngx_http_rt_answer_error(r, status, __VA_ARGS__), NGX_DONE)


/* ngx_http_rt_header.c */

/* name is static, value is copied */
ngx_int_t ngx_http_rt_header_add(ngx_http_request_t *r, const char *name,
    const u_char *value, size_t len);
ngx_int_t ngx_http_rt_header_id(ngx_http_request_t *r, uint64_t epoch,
    uint64_t seq);
ngx_int_t ngx_http_rt_header_live(ngx_http_request_t *r);

/* the first one of this name, or NULL */
ngx_table_elt_t *ngx_http_rt_header_find(ngx_http_request_t *r,
    const char *name);

/* all lines of this name as one list (RFC 9110, 5.3); empty: there is none */
ngx_int_t ngx_http_rt_header_list(ngx_http_request_t *r, const char *name,
    ngx_str_t *list);

/* where a list between commas has the token, whatever its case; or NULL */
u_char *ngx_http_rt_header_token(ngx_str_t *list, const char *token);


#endif /* _NGX_HTTP_RT_HTTP_H_INCLUDED_ */
