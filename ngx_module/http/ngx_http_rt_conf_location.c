/*
 * Directives that make a location ours: realtime_publish, realtime_subscribe,
 * realtime_pass and realtime_status, with their topics and zones.
 */

#include "ngx_http_rt_conf.h"
#include "ngx_http_rt_pass.h"


static char *ngx_http_rt_publish_parameter(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_rt_loc_conf_t *rlcf);
static ngx_uint_t ngx_http_rt_subscribe_flag(ngx_str_t *value);
static char *ngx_http_rt_own(ngx_conf_t *cf, ngx_http_handler_pt handler);


char *
ngx_http_rt_publish_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    char        *rv;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (rlcf->publish) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strlchr(value[1].data, value[1].data + value[1].len, ',')) {
        return "takes one topic, without a comma";
    }

    rlcf->publish = ngx_array_create(cf->pool, 1,
                                     sizeof(ngx_http_rt_template_t));
    if (rlcf->publish == NULL) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_rt_template_compile(cf, &value[1], rlcf->publish, 0);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_http_rt_publish_parameter(cf, &value[i], rlcf);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return ngx_http_rt_own(cf, ngx_http_rt_handler);
}


static char *
ngx_http_rt_publish_parameter(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_rt_loc_conf_t *rlcf)
{
    ngx_str_t  name;

    if (ngx_strcmp(value->data, "websocket") == 0) {
        rlcf->publish_websocket = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value->data, "zone=", 5) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\", "
                           "it must be websocket or zone=name", value);
        return NGX_CONF_ERROR;
    }

    name.data = value->data + 5;
    name.len = value->len - 5;

    rlcf->publish_line = cf->conf_file->line;
    rlcf->publish_zone = ngx_http_rt_zone_named(cf, &name);

    return rlcf->publish_zone ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_http_rt_subscribe_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    char        *rv;
    ngx_str_t   *value, name;
    ngx_uint_t   i, flags;

    if (rlcf->subscribe) {
        return "is duplicate";
    }

    value = cf->args->elts;

    rlcf->subscribe = ngx_array_create(cf->pool, 2,
                                       sizeof(ngx_http_rt_template_t));
    if (rlcf->subscribe == NULL) {
        return NGX_CONF_ERROR;
    }

    /* the words count for all topics, before and behind them */

    flags = 0;

    for (i = 2; i < cf->args->nelts; i++) {
        flags |= ngx_http_rt_subscribe_flag(&value[i]);
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "zone=", 5) == 0) {
            name.data = value[i].data + 5;
            name.len = value[i].len - 5;

            rlcf->subscribe_line = cf->conf_file->line;
            rlcf->subscribe_zone = ngx_http_rt_zone_named(cf, &name);
            if (rlcf->subscribe_zone == NULL) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (i > 1 && ngx_http_rt_subscribe_flag(&value[i])) {
            continue;
        }

        rv = ngx_http_rt_template_compile(cf, &value[i], rlcf->subscribe,
                                          flags);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (rlcf->subscribe->nelts == 0) {
        return "has no topic";
    }

    return ngx_http_rt_own(cf, ngx_http_rt_handler);
}


/* 0: it is a topic */

static ngx_uint_t
ngx_http_rt_subscribe_flag(ngx_str_t *value)
{
    if (ngx_strcmp(value->data, "patterns") == 0) {
        return NGX_HTTP_RT_TEMPLATE_PATTERNS;
    }

    if (ngx_strcmp(value->data, "encoded") == 0) {
        return NGX_HTTP_RT_TEMPLATE_ENCODED;
    }

    return 0;
}


char *
ngx_http_rt_pass_location(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *rv;

    rv = ngx_http_rt_pass_directive(cf, cmd, conf);

    return (rv == NGX_CONF_OK) ? ngx_http_rt_own(cf, ngx_http_rt_handler) : rv;
}


/* realtime_protocol name */

char *
ngx_http_rt_protocol_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ngx_str_t  *value;

    if (rlcf->dialect) {
        return "is duplicate";
    }

    value = cf->args->elts;

    rlcf->dialect = ngx_http_rt_dialect_find(&value[1]);

    if (rlcf->dialect == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown protocol \"%V\", it must be \"native\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_rt_own(cf, ngx_http_rt_handler);
}


char *
ngx_http_rt_status_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_rt_own(cf, ngx_http_rt_status);
}


static char *
ngx_http_rt_own(ngx_conf_t *cf, ngx_http_handler_pt handler)
{
    ngx_http_rt_loc_conf_t    *rlcf;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    rlcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_realtime_module);

    if (clcf->handler && clcf->handler != handler) {
        return "conflicts with what else this location is for";
    }

    clcf->handler = handler;

    rlcf->handler = handler;
    rlcf->file = cf->conf_file->file.name;
    rlcf->line = cf->conf_file->line;

    return NGX_CONF_OK;
}
