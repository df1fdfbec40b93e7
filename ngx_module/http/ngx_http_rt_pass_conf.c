/*
 * The directive realtime_pass: engine, entity, command and user of the requests
 * to a location, each of which may hold variables.
 */

#include "ngx_http_rt_pass.h"


#define NGX_HTTP_RT_PASS_TIMEOUT  5000


/* parameters that must be given, or make a difference when they are */
#define NGX_HTTP_RT_PASS_ENGINE   1
#define NGX_HTTP_RT_PASS_ENTITY   2
#define NGX_HTTP_RT_PASS_COMMAND  4
#define NGX_HTTP_RT_PASS_USER     8


/* a parameter with variables */

typedef struct {
    ngx_str_t    name;
    size_t       offset;
    ngx_uint_t   bit;
} ngx_http_rt_pass_param_t;


static char *ngx_http_rt_pass_param(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_rt_pass_conf_t *pass, ngx_uint_t *given);
static char *ngx_http_rt_pass_value(ngx_conf_t *cf, ngx_str_t *value,
    size_t len, ngx_http_complex_value_t *cv);


static ngx_http_rt_pass_param_t  ngx_http_rt_pass_params[] = {

    { ngx_string("engine="),
      offsetof(ngx_http_rt_pass_conf_t, engine), NGX_HTTP_RT_PASS_ENGINE },

    { ngx_string("entity="),
      offsetof(ngx_http_rt_pass_conf_t, entity), NGX_HTTP_RT_PASS_ENTITY },

    { ngx_string("command="),
      offsetof(ngx_http_rt_pass_conf_t, command), NGX_HTTP_RT_PASS_COMMAND },

    { ngx_string("user="),
      offsetof(ngx_http_rt_pass_conf_t, user), NGX_HTTP_RT_PASS_USER },

    { ngx_null_string, 0, 0 }
};


/* realtime_pass name engine= entity= command= [user=] [timeout=] */

char *
ngx_http_rt_pass_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ngx_str_t                *value;
    ngx_uint_t                i, given;
    ngx_http_rt_pass_conf_t  *pass;

    if (rlcf->pass) {
        return "is duplicate";
    }

    value = cf->args->elts;

    pass = ngx_pcalloc(cf->pool, sizeof(ngx_http_rt_pass_conf_t));
    if (pass == NULL) {
        return NGX_CONF_ERROR;
    }

    rlcf->pass = pass;

    pass->name = value[1];
    pass->timeout = NGX_HTTP_RT_PASS_TIMEOUT;

    given = 0;

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_rt_pass_param(cf, &value[i], pass, &given)
            != NGX_CONF_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", it must be engine=, "
                               "entity=, command=, user= or timeout=, "
                               "a time that is not 0", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    pass->has_command = (given & NGX_HTTP_RT_PASS_COMMAND) ? 1 : 0;
    pass->has_user = (given & NGX_HTTP_RT_PASS_USER) ? 1 : 0;

    if (!(given & NGX_HTTP_RT_PASS_ENGINE)
        || !(given & NGX_HTTP_RT_PASS_ENTITY))
    {
        return "needs engine= and entity=";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_rt_pass_param(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_rt_pass_conf_t *pass, ngx_uint_t *given)
{
    ngx_str_t                  s;
    ngx_http_rt_pass_param_t  *p;

    for (p = ngx_http_rt_pass_params; p->name.len; p++) {

        if (ngx_strncmp(value->data, p->name.data, p->name.len) == 0) {
            *given |= p->bit;

            return ngx_http_rt_pass_value(cf, value, p->name.len,
                                          (void *) ((u_char *) pass
                                                    + p->offset));
        }
    }

    if (ngx_strncmp(value->data, "timeout=", 8) != 0) {
        return NGX_CONF_ERROR;
    }

    s.data = value->data + 8;
    s.len = value->len - 8;

    pass->timeout = ngx_parse_time(&s, 0);

    if (pass->timeout == (ngx_msec_t) NGX_ERROR || pass->timeout == 0) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_rt_pass_value(ngx_conf_t *cf, ngx_str_t *value, size_t len,
    ngx_http_complex_value_t *cv)
{
    ngx_str_t                         *s;
    ngx_http_compile_complex_value_t   ccv;

    s = ngx_palloc(cf->pool, sizeof(ngx_str_t));
    if (s == NULL) {
        return NGX_CONF_ERROR;
    }

    s->data = value->data + len;
    s->len = value->len - len;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = s;
    ccv.complex_value = cv;

    return (ngx_http_compile_complex_value(&ccv) == NGX_OK) ? NGX_CONF_OK
                                                            : NGX_CONF_ERROR;
}


/* all of the configuration has been read */

char *
ngx_http_rt_pass_merge(ngx_conf_t *cf, ngx_http_rt_loc_conf_t *conf)
{
    ngx_http_rt_main_conf_t  *mcf;
    ngx_http_rt_pass_conf_t  *pass;

    pass = conf->pass;
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_realtime_module);

    if (conf->publish) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"realtime_pass\" and \"realtime_publish\" "
                           "exclude each other");
        return NGX_CONF_ERROR;
    }

    pass->worker = ngx_http_rt_worker_named(mcf, &pass->name);

    if (pass->worker == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "unknown realtime_worker \"%V\" in %V:%ui",
                      &pass->name, &conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    if (conf->subscribe_zone == NULL) {
        conf->subscribe_zone = pass->worker->zone->shm_zone;
    }

    return NGX_CONF_OK;
}
