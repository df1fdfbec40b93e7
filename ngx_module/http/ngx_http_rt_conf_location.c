/*
 * Directives that make a location ours: realtime_publish, realtime_subscribe,
 * realtime_pass and realtime_status, with their topics and zones.
 */

#include "ngx_http_rt_conf.h"
#include "ngx_http_rt_pass.h"
#include "ngx_http_rt_rule.h"


static char *ngx_http_rt_complex(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t *cv);
static char *ngx_http_rt_own(ngx_conf_t *cf, ngx_http_handler_pt handler);


char *
ngx_http_rt_publish_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ngx_str_t  *value, name;

    if (rlcf->publish) {
        return "is duplicate";
    }

    value = cf->args->elts;

    rlcf->publish = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (rlcf->publish == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_rt_complex(cf, &value[1], rlcf->publish) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_strlchr(value[1].data, value[1].data + value[1].len, ',')) {
        return "takes one topic, without a comma";
    }

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "zone=", 5) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[2]);
            return NGX_CONF_ERROR;
        }

        name.data = value[2].data + 5;
        name.len = value[2].len - 5;

        rlcf->publish_zone = ngx_http_rt_zone_named(cf, &name);
        if (rlcf->publish_zone == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_rt_own(cf, ngx_http_rt_handler);
}


char *
ngx_http_rt_subscribe_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ngx_str_t                 *value, name;
    ngx_uint_t                 i;
    ngx_http_complex_value_t  *cv;

    if (rlcf->subscribe) {
        return "is duplicate";
    }

    value = cf->args->elts;

    rlcf->subscribe = ngx_array_create(cf->pool, 2,
                                       sizeof(ngx_http_complex_value_t));
    if (rlcf->subscribe == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "zone=", 5) == 0) {
            name.data = value[i].data + 5;
            name.len = value[i].len - 5;

            rlcf->subscribe_zone = ngx_http_rt_zone_named(cf, &name);
            if (rlcf->subscribe_zone == NULL) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strcmp(value[i].data, "encoded") == 0 && i > 1) {
            rlcf->subscribe_encoded = 1;
            continue;
        }

        cv = ngx_array_push(rlcf->subscribe);
        if (cv == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_http_rt_complex(cf, &value[i], cv) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (rlcf->subscribe->nelts == 0) {
        return "has no topic";
    }

    return ngx_http_rt_own(cf, ngx_http_rt_handler);
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
ngx_http_rt_complex(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t *cv)
{
    unsigned                           wild;
    const char                        *reason;
    ngx_http_compile_complex_value_t   ccv;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = cv;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    /* what cannot vary can be judged now; lists are left to the request */

    if (cv->lengths == NULL && ngx_strlchr(value->data,
                                           value->data + value->len, ',')
                               == NULL)
    {
        reason = ngx_http_rt_rule_pattern(value->data, value->len, &wild);

        if (reason) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid topic \"%V\": "
                               "%s", value, reason);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_rt_own(ngx_conf_t *cf, ngx_http_handler_pt handler)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler && clcf->handler != handler) {
        return "conflicts with what else this location is for";
    }

    clcf->handler = handler;

    return NGX_CONF_OK;
}
