/*
 * Directives about connections: which transports a location takes, from which
 * origins, and how it compresses.
 */

#include "ngx_http_rt_conf.h"


static ngx_uint_t ngx_http_rt_transport_named(ngx_str_t *name);
static ngx_int_t ngx_http_rt_transport_add(ngx_array_t *transports,
    ngx_uint_t n);


ngx_conf_enum_t  ngx_http_rt_transports[] = {
    { ngx_string("sse"), NGX_HTTP_RT_SSE },
    { ngx_string("websocket"), NGX_HTTP_RT_WEBSOCKET },
    { ngx_string("poll"), NGX_HTTP_RT_POLL },
    { ngx_string("stream"), NGX_HTTP_RT_STREAM },
    { ngx_null_string, 0 }
};


char *
ngx_http_rt_transports_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i, n;

    if (rlcf->transports != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    rlcf->transports = ngx_array_create(cf->pool, NGX_HTTP_RT_TRANSPORTS,
                                        sizeof(ngx_uint_t));
    if (rlcf->transports == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        n = ngx_http_rt_transport_named(&value[i]);

        if (n == NGX_HTTP_RT_TRANSPORTS) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown transport \"%V\", it must be sse, "
                               "websocket, poll or stream", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (ngx_http_rt_transport_add(rlcf->transports, n) != NGX_OK) {
            return "names a transport twice";
        }
    }

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_http_rt_transport_named(ngx_str_t *name)
{
    ngx_str_t   *known;
    ngx_uint_t   n;

    for (n = 0; n < NGX_HTTP_RT_TRANSPORTS; n++) {
        known = &ngx_http_rt_transports[n].name;

        if (name->len == known->len
            && ngx_strcmp(name->data, known->data) == 0)
        {
            break;
        }
    }

    return n;
}


/* NGX_DECLINED: it is there already; the array has room for all */

static ngx_int_t
ngx_http_rt_transport_add(ngx_array_t *transports, ngx_uint_t n)
{
    ngx_uint_t   i, *transport;

    transport = transports->elts;

    for (i = 0; i < transports->nelts; i++) {
        if (transport[i] == n) {
            return NGX_DECLINED;
        }
    }

    transport = ngx_array_push(transports);

    *transport = n;

    return NGX_OK;
}


char *
ngx_http_rt_transports_merge(ngx_conf_t *cf, ngx_http_rt_loc_conf_t *prev,
    ngx_http_rt_loc_conf_t *conf)
{
    ngx_uint_t  n;

    ngx_conf_merge_ptr_value(conf->transports, prev->transports, NULL);

    if (conf->transports) {
        return NGX_CONF_OK;
    }

    conf->transports = ngx_array_create(cf->pool, NGX_HTTP_RT_TRANSPORTS,
                                        sizeof(ngx_uint_t));
    if (conf->transports == NULL) {
        return NGX_CONF_ERROR;
    }

    for (n = 0; n < NGX_HTTP_RT_TRANSPORTS; n++) {
        (void) ngx_http_rt_transport_add(conf->transports, n);
    }

    return NGX_CONF_OK;
}


char *
ngx_http_rt_origin_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ngx_str_t   *value, *host;
    ngx_uint_t   i;

    if (rlcf->origin != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2) {

        if (ngx_strcmp(value[1].data, "same") == 0) {
            rlcf->origin = NGX_HTTP_RT_ORIGIN_SAME;
            return NGX_CONF_OK;
        }

        if (ngx_strcmp(value[1].data, "any") == 0) {
            rlcf->origin = NGX_HTTP_RT_ORIGIN_ANY;
            return NGX_CONF_OK;
        }
    }

    rlcf->origin = NGX_HTTP_RT_ORIGIN_HOSTS;

    rlcf->origins = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                     sizeof(ngx_str_t));
    if (rlcf->origins == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "same") == 0
            || ngx_strcmp(value[i].data, "any") == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" must stand alone", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (ngx_strcmp(value[i].data, "*") == 0) {
            return "takes \"any\", not \"*\"";
        }

        host = ngx_array_push(rlcf->origins);
        if (host == NULL) {
            return NGX_CONF_ERROR;
        }

        *host = value[i];
    }

    return NGX_CONF_OK;
}


/* realtime_deflate on | off [level=1..9] [min=size] */

char *
ngx_http_rt_deflate_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ssize_t      size;
    ngx_str_t   *value, s;
    ngx_uint_t   i;

    if (rlcf->session.deflate_on != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        rlcf->session.deflate_on = 0;

    } else if (ngx_strcmp(value[1].data, "on") == 0) {
        rlcf->session.deflate_on = 1;

    } else {
        i = 1;
        goto invalid;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "level=", 6) == 0) {
            rlcf->session.deflate.level = ngx_atoi(value[i].data + 6,
                                           value[i].len - 6);

            if (rlcf->session.deflate.level < 1
                || rlcf->session.deflate.level > 9)
            {
                goto invalid;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "min=", 4) == 0) {
            s.data = value[i].data + 4;
            s.len = value[i].len - 4;

            size = ngx_parse_size(&s);

            if (size == NGX_ERROR) {
                goto invalid;
            }

            rlcf->session.deflate.min = size;
            continue;
        }

        goto invalid;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", it must be \"on\" or "
                       "\"off\", then level=1 to 9 or min=size", &value[i]);

    return NGX_CONF_ERROR;
}
