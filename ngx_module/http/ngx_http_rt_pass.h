/*
 * What realtime_pass has been given, and what its three ways share: HTTP in
 * _pass.c, WebSocket in _pass_ws.c, streams of events in
 * ngx_http_rt_engine.c.
 */

#ifndef _NGX_HTTP_RT_PASS_H_INCLUDED_
#define _NGX_HTTP_RT_PASS_H_INCLUDED_


#include "ngx_http_rt_http.h"
#include "ngx_http_rt_link.h"


struct ngx_http_rt_pass_conf_s {
    ngx_str_t                      name;
    ngx_http_rt_worker_t          *worker;
    ngx_http_complex_value_t       engine;
    ngx_http_complex_value_t       entity;
    ngx_http_complex_value_t       command;
    ngx_http_complex_value_t       user;
    ngx_msec_t                     timeout;
    unsigned                       has_command:1;
    unsigned                       has_user:1;
};


/* ngx_http_rt_pass_conf.c */

char *ngx_http_rt_pass_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_rt_pass_merge(ngx_conf_t *cf, ngx_http_rt_loc_conf_t *conf);


/* ngx_http_rt_pass.c */

ngx_int_t ngx_http_rt_pass(ngx_http_request_t *r);


/* ngx_http_rt_pass_ask.c */

/* what the location says, and of which daemon; NGX_DONE: it has been refused */
ngx_int_t ngx_http_rt_pass_ask(ngx_http_request_t *r, ngx_http_rt_ask_t *ask,
    ngx_http_rt_link_t **link);
ngx_int_t ngx_http_rt_pass_conditions(ngx_http_request_t *r,
    ngx_http_rt_ask_t *ask);


/* ngx_http_rt_pass_reply.c */

/* the daemon's answer */
ngx_int_t ngx_http_rt_pass_reply(ngx_http_request_t *r,
    const rt_wire_frame_t *f);

/* {"error":"code","message":"..."} and Retry-After with 503 */
ngx_int_t ngx_http_rt_pass_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *message);

/* the same from within, as ngx_http_rt_refuse() */
ngx_int_t ngx_http_rt_pass_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *message);

/* why ngx_http_rt_link_ask() did not, or what became of a call */
ngx_uint_t ngx_http_rt_pass_reason(ngx_int_t rc, const char **code,
    const char **message);


/* ngx_http_rt_pass_ws.c */

extern const ngx_http_rt_dialect_t  ngx_http_rt_pass_ws;

/* before the session opens; NGX_OK, NGX_DONE: refused, NGX_ERROR */
ngx_int_t ngx_http_rt_pass_ws_attach(ngx_http_rt_session_t *s);


#endif /* _NGX_HTTP_RT_PASS_H_INCLUDED_ */
