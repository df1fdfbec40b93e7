/*
 * What the files of the configuration call of each other; nobody else includes
 * this.
 */

#ifndef _NGX_HTTP_RT_CONF_H_INCLUDED_
#define _NGX_HTTP_RT_CONF_H_INCLUDED_


#include "ngx_http_rt_http.h"


/* by ngx_http_rt_transport_e */

extern ngx_conf_enum_t  ngx_http_rt_transports[];


/* ngx_http_rt_conf_location.c */

char *ngx_http_rt_publish_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_rt_subscribe_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_rt_pass_location(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_rt_protocol_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_rt_status_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* ngx_http_rt_conf_transport.c */

char *ngx_http_rt_transports_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_rt_transports_merge(ngx_conf_t *cf,
    ngx_http_rt_loc_conf_t *prev, ngx_http_rt_loc_conf_t *conf);
char *ngx_http_rt_origin_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_rt_deflate_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* ngx_http_rt_conf_delivery.c */

char *ngx_http_rt_history_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_rt_slow_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_rt_start_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_rt_rate_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_rt_interval_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_rt_positive(ngx_conf_t *cf, void *post, void *data);


/* ngx_http_rt_variables.c */

ngx_int_t ngx_http_rt_variables_add(ngx_conf_t *cf);


#endif /* _NGX_HTTP_RT_CONF_H_INCLUDED_ */
