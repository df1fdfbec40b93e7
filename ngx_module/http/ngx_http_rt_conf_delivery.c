/*
 * Directives about what subscribers get: from where on, how fast, and how much.
 */

#include "ngx_http_rt_conf.h"


char *
ngx_http_rt_history_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ngx_int_t    n;
    ngx_str_t   *value, s;
    ngx_uint_t   i;

    if (rlcf->session.reader.history_count != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        rlcf->session.reader.history_count = 0;
        rlcf->session.reader.history_age = 0;
        return NGX_CONF_OK;
    }

    rlcf->session.reader.history_count = 100;
    rlcf->session.reader.history_age = 3600 * 1000;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "count=", 6) == 0) {
            n = ngx_atoi(value[i].data + 6, value[i].len - 6);

            if (n == NGX_ERROR) {
                goto invalid;
            }

            rlcf->session.reader.history_count = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "age=", 4) == 0) {
            s.data = value[i].data + 4;
            s.len = value[i].len - 4;

            rlcf->session.reader.history_age = ngx_parse_time(&s, 0);

            if (rlcf->session.reader.history_age == (ngx_msec_t) NGX_ERROR) {
                goto invalid;
            }

            continue;
        }

        goto invalid;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", it must be count=number, "
                       "age=time, or only \"off\"", &value[i]);

    return NGX_CONF_ERROR;
}


/* realtime_slow gap | latest | close */

char *
ngx_http_rt_slow_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ngx_str_t        *value;
    ngx_conf_enum_t  *e;

    static ngx_conf_enum_t  ways[] = {
        { ngx_string("gap"), NGX_HTTP_RT_SLOW_GAP },
        { ngx_string("latest"), NGX_HTTP_RT_SLOW_LATEST },
        { ngx_string("close"), NGX_HTTP_RT_SLOW_CLOSE },
        { ngx_null_string, 0 }
    };

    if (rlcf->session.reader.slow != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (e = ways; e->name.len; e++) {

        if (value[1].len == e->name.len
            && ngx_strcmp(value[1].data, e->name.data) == 0)
        {
            rlcf->session.reader.slow = e->value;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\", it must be gap, latest or close",
                       &value[1]);

    return NGX_CONF_ERROR;
}


char *
ngx_http_rt_start_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ngx_str_t  *value;

    if (rlcf->session.reader.start != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "newest") == 0) {
        rlcf->session.reader.start = 0;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "oldest") == 0) {
        rlcf->session.reader.start = NGX_HTTP_RT_START_OLDEST;
        return NGX_CONF_OK;
    }

    rlcf->session.reader.start = ngx_atoi(value[1].data, value[1].len);

    if (rlcf->session.reader.start == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", it must be newest, oldest "
                           "or a number", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* realtime_message_rate N/s [burst=N] | off */

char *
ngx_http_rt_rate_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (rlcf->session.message_rate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        rlcf->session.message_rate = 0;
        rlcf->session.message_burst = 0;
        return NGX_CONF_OK;
    }

    if (value[1].len < 3
        || ngx_strcmp(value[1].data + value[1].len - 2, "/s") != 0)
    {
        goto invalid;
    }

    n = ngx_atoi(value[1].data, value[1].len - 2);

    if (n == NGX_ERROR || n == 0 || n > 1000000) {
        goto invalid;
    }

    rlcf->session.message_rate = n * 1000;

    /* what a second allows may come at once */

    rlcf->session.message_burst = n;

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "burst=", 6) != 0) {
            goto invalid;
        }

        n = ngx_atoi(value[2].data + 6, value[2].len - 6);

        if (n == NGX_ERROR || n == 0 || n > 1000000) {
            goto invalid;
        }

        rlcf->session.message_burst = n;
    }

    return NGX_CONF_OK;

invalid:

    return "must be \"N/s [burst=N]\" or \"off\", with N from 1 to 1000000";
}


/* a time, or "off" */

char *
ngx_http_rt_interval_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t   *value;
    ngx_msec_t  *interval;

    interval = (ngx_msec_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (*interval != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {
        *interval = 0;
        return NGX_CONF_OK;
    }

    *interval = ngx_parse_time(&value[1], 0);

    if (*interval == (ngx_msec_t) NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", it must be a time or "
                           "\"off\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_rt_positive(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t *msec = data;

    return *msec ? NGX_CONF_OK : "must not be 0";
}
