/*
 * The module: its directives, their merging, its variables, and what nginx
 * calls at start and end.  Nothing in here happens per message.
 */

#include "ngx_http_rt.h"
#include "ngx_http_rt_pass.h"


static ngx_int_t ngx_http_rt_handler(ngx_http_request_t *r);

static ngx_int_t ngx_http_rt_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

static char *ngx_http_rt_publish_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_rt_subscribe_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_rt_pass_location(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_rt_status_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_rt_transports_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_rt_origin_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_rt_history_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_rt_start_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_rt_rate_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_rt_deflate_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_rt_interval_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_rt_positive(ngx_conf_t *cf, void *post, void *data);

static char *ngx_http_rt_complex(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t *cv);
static char *ngx_http_rt_own(ngx_conf_t *cf, ngx_http_handler_pt handler);

static void *ngx_http_rt_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_rt_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_rt_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_rt_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_rt_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_rt_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_rt_init_process(ngx_cycle_t *cycle);
static void ngx_http_rt_exit_process(ngx_cycle_t *cycle);


static ngx_conf_enum_t  ngx_http_rt_slow[] = {
    { ngx_string("gap"), NGX_HTTP_RT_SLOW_GAP },
    { ngx_string("latest"), NGX_HTTP_RT_SLOW_LATEST },
    { ngx_string("close"), NGX_HTTP_RT_SLOW_CLOSE },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_rt_transports[] = {
    { ngx_string("sse"), NGX_HTTP_RT_SSE },
    { ngx_string("websocket"), NGX_HTTP_RT_WEBSOCKET },
    { ngx_string("poll"), NGX_HTTP_RT_POLL },
    { ngx_string("stream"), NGX_HTTP_RT_STREAM },
    { ngx_null_string, 0 }
};


static ngx_conf_post_t  ngx_http_rt_positive_post = { ngx_http_rt_positive };


#define NGX_HTTP_RT_ALL_CONF                                                  \
    (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF)


static ngx_command_t  ngx_http_rt_commands[] = {

    { ngx_string("realtime_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE23,
      ngx_http_rt_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_rt_main_conf_t, zones),
      NULL },

    { ngx_string("realtime_worker"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_rt_worker,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("realtime_drain"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_rt_main_conf_t, drain),
      NULL },

    { ngx_string("realtime_publish"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_rt_publish_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("realtime_subscribe"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_rt_subscribe_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("realtime_pass"),
      NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_rt_pass_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("realtime_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_rt_status_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("realtime_transports"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_1MORE,
      ngx_http_rt_transports_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("realtime_origin"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_1MORE,
      ngx_http_rt_origin_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("realtime_history"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE12,
      ngx_http_rt_history_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("realtime_start"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_http_rt_start_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("realtime_slow"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, slow),
      &ngx_http_rt_slow },

    { ngx_string("realtime_keepalive"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, keepalive),
      &ngx_http_rt_positive_post },

    { ngx_string("realtime_retry"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, retry),
      &ngx_http_rt_positive_post },

    { ngx_string("realtime_poll_timeout"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, poll_timeout),
      NULL },

    { ngx_string("realtime_envelope"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, envelope),
      NULL },

    { ngx_string("realtime_message_max_size"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, message_max_size),
      NULL },

    { ngx_string("realtime_message_rate"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE12,
      ngx_http_rt_rate_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("realtime_deflate"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE123,
      ngx_http_rt_deflate_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("realtime_conflate"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_http_rt_interval_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, conflate),
      NULL },

    { ngx_string("realtime_debounce"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_http_rt_interval_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, debounce),
      NULL },

    { ngx_string("realtime_detach"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, detach),
      NULL },

    { ngx_string("realtime_subscriber_limit"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, subscriber_limit),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_rt_module_ctx = {
    ngx_http_rt_add_variables,             /* preconfiguration */
    ngx_http_rt_answer_init,               /* postconfiguration */

    ngx_http_rt_create_main_conf,          /* create main configuration */
    ngx_http_rt_init_main_conf,            /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_rt_create_loc_conf,           /* create location configuration */
    ngx_http_rt_merge_loc_conf             /* merge location configuration */
};


ngx_module_t  ngx_http_realtime_module = {
    NGX_MODULE_V1,
    &ngx_http_rt_module_ctx,               /* module context */
    ngx_http_rt_commands,                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_rt_init_module,               /* init module */
    ngx_http_rt_init_process,              /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_rt_exit_process,              /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


typedef enum {
    NGX_HTTP_RT_VAR_TOPIC = 0,
    NGX_HTTP_RT_VAR_ID,
    NGX_HTTP_RT_VAR_TRANSPORT,
    NGX_HTTP_RT_VAR_MESSAGES,
    NGX_HTTP_RT_VAR_BYTES,
    NGX_HTTP_RT_VAR_SUBSCRIBERS,
    NGX_HTTP_RT_VAR_GAPS
} ngx_http_rt_variable_e;


static ngx_http_variable_t  ngx_http_rt_variables[] = {

    { ngx_string("realtime_topic"), NULL, ngx_http_rt_variable,
      NGX_HTTP_RT_VAR_TOPIC, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("realtime_id"), NULL, ngx_http_rt_variable,
      NGX_HTTP_RT_VAR_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("realtime_transport"), NULL, ngx_http_rt_variable,
      NGX_HTTP_RT_VAR_TRANSPORT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("realtime_messages"), NULL, ngx_http_rt_variable,
      NGX_HTTP_RT_VAR_MESSAGES, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("realtime_bytes"), NULL, ngx_http_rt_variable,
      NGX_HTTP_RT_VAR_BYTES, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("realtime_subscribers"), NULL, ngx_http_rt_variable,
      NGX_HTTP_RT_VAR_SUBSCRIBERS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("realtime_gaps"), NULL, ngx_http_rt_variable,
      NGX_HTTP_RT_VAR_GAPS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* a location that publishes or passes, subscribes, or both */

static ngx_int_t
ngx_http_rt_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_uint_t               allowed;
    const char              *allow;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (rlcf->pass) {
        return ngx_http_rt_pass(r);
    }

    if (rlcf->subscribe && (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_http_rt_subscribe(r);
    }

    if (rlcf->publish == NULL) {
        allowed = 0;
        allow = "GET, HEAD";

    } else {
        allowed = NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST|NGX_HTTP_PUT
                  |NGX_HTTP_DELETE;
        allow = "GET, HEAD, POST, PUT, DELETE";
    }

    if (r->method & allowed) {
        return ngx_http_rt_publish(r);
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_rt_header_add(r, "Allow", (u_char *) allow,
                               ngx_strlen(allow))
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_rt_answer_error(r, NGX_HTTP_NOT_ALLOWED,
                                    "this method is not for this place");
}


/* made at the first call; NULL: no memory */

ngx_http_rt_ctx_t *
ngx_http_rt_ctx(ngx_http_request_t *r)
{
    ngx_http_rt_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_realtime_module);

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_rt_ctx_t));
        if (ctx == NULL) {
            return NULL;
        }

        ngx_http_set_ctx(r, ctx, ngx_http_realtime_module);
    }

    return ctx;
}


static ngx_int_t
ngx_http_rt_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char             *p;
    uint64_t            n;
    ngx_str_t          *name;
    ngx_http_rt_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_realtime_module);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (ctx->subscriber) {
        ctx->seq = ctx->subscriber->cursor;
        ctx->messages = ctx->subscriber->messages;
        ctx->gaps = ctx->subscriber->gaps;
        ctx->bytes = ctx->subscriber->bytes;
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    switch (data) {

    case NGX_HTTP_RT_VAR_TOPIC:
        v->data = ctx->topic.data;
        v->len = ctx->topic.len;
        return NGX_OK;

    case NGX_HTTP_RT_VAR_TRANSPORT:

        if (!ctx->subscribed) {
            v->not_found = 1;
            return NGX_OK;
        }

        name = &ngx_http_rt_transports[ctx->transport].name;
        v->data = name->data;
        v->len = name->len;
        return NGX_OK;

    case NGX_HTTP_RT_VAR_ID:

        if (!ctx->has_id) {
            v->not_found = 1;
            return NGX_OK;
        }

        p = ngx_pnalloc(r->pool, NGX_HTTP_RT_ID_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        v->data = p;
        v->len = ngx_http_rt_id_write(p, ctx->epoch, ctx->seq) - p;
        return NGX_OK;

    case NGX_HTTP_RT_VAR_SUBSCRIBERS:

        if (!ctx->has_subscribers) {
            v->not_found = 1;
            return NGX_OK;
        }

        n = ctx->subscribers;
        break;

    case NGX_HTTP_RT_VAR_MESSAGES:
        n = ctx->messages;
        break;

    case NGX_HTTP_RT_VAR_BYTES:
        n = ctx->bytes;
        break;

    default: /* NGX_HTTP_RT_VAR_GAPS */
        n = ctx->gaps;
        break;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = ngx_sprintf(p, "%uL", n) - p;

    return NGX_OK;
}


static char *
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


static char *
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


static char *
ngx_http_rt_pass_location(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *rv;

    rv = ngx_http_rt_pass_directive(cf, cmd, conf);

    return (rv == NGX_CONF_OK) ? ngx_http_rt_own(cf, ngx_http_rt_handler) : rv;
}


static char *
ngx_http_rt_status_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_rt_own(cf, ngx_http_rt_status);
}


static char *
ngx_http_rt_transports_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i, k, n, *transport;

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

        for (n = 0; n < NGX_HTTP_RT_TRANSPORTS; n++) {
            if (value[i].len == ngx_http_rt_transports[n].name.len
                && ngx_strcmp(value[i].data,
                              ngx_http_rt_transports[n].name.data)
                   == 0)
            {
                break;
            }
        }

        if (n == NGX_HTTP_RT_TRANSPORTS) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown transport \"%V\", it must be sse, "
                               "websocket, poll or stream", &value[i]);
            return NGX_CONF_ERROR;
        }

        transport = rlcf->transports->elts;

        for (k = 0; k < rlcf->transports->nelts; k++) {
            if (transport[k] == n) {
                return "names a transport twice";
            }
        }

        transport = ngx_array_push(rlcf->transports);
        if (transport == NULL) {
            return NGX_CONF_ERROR;
        }

        *transport = n;
    }

    return NGX_CONF_OK;
}


static char *
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


static char *
ngx_http_rt_history_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ngx_int_t    n;
    ngx_str_t   *value, s;
    ngx_uint_t   i;

    if (rlcf->history_count != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        rlcf->history_count = 0;
        rlcf->history_age = 0;
        return NGX_CONF_OK;
    }

    rlcf->history_count = 100;
    rlcf->history_age = 3600 * 1000;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "count=", 6) == 0) {
            n = ngx_atoi(value[i].data + 6, value[i].len - 6);

            if (n == NGX_ERROR) {
                goto invalid;
            }

            rlcf->history_count = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "age=", 4) == 0) {
            s.data = value[i].data + 4;
            s.len = value[i].len - 4;

            rlcf->history_age = ngx_parse_time(&s, 0);

            if (rlcf->history_age == (ngx_msec_t) NGX_ERROR) {
                goto invalid;
            }

            continue;
        }

        goto invalid;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                       &value[i]);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_rt_start_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ngx_str_t  *value;

    if (rlcf->start != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "newest") == 0) {
        rlcf->start = 0;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "oldest") == 0) {
        rlcf->start = NGX_HTTP_RT_START_OLDEST;
        return NGX_CONF_OK;
    }

    rlcf->start = ngx_atoi(value[1].data, value[1].len);

    if (rlcf->start == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", it must be newest, oldest "
                           "or a number", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* realtime_message_rate N/s [burst=N] | off */

static char *
ngx_http_rt_rate_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (rlcf->message_rate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        rlcf->message_rate = 0;
        rlcf->message_burst = 0;
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

    rlcf->message_rate = n * 1000;

    /* what a second allows may come at once */

    rlcf->message_burst = n;

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "burst=", 6) != 0) {
            goto invalid;
        }

        n = ngx_atoi(value[2].data + 6, value[2].len - 6);

        if (n == NGX_ERROR || n == 0 || n > 1000000) {
            goto invalid;
        }

        rlcf->message_burst = n;
    }

    return NGX_CONF_OK;

invalid:

    return "must be \"N/s [burst=N]\" or \"off\", with N from 1 to 1000000";
}


/* realtime_deflate on | off [level=1..9] [min=size] */

static char *
ngx_http_rt_deflate_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    ssize_t      size;
    ngx_str_t   *value, s;
    ngx_uint_t   i;

    if (rlcf->deflate_on != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        rlcf->deflate_on = 0;

    } else if (ngx_strcmp(value[1].data, "on") == 0) {
        rlcf->deflate_on = 1;

    } else {
        i = 1;
        goto invalid;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "level=", 6) == 0) {
            rlcf->deflate.level = ngx_atoi(value[i].data + 6,
                                           value[i].len - 6);

            if (rlcf->deflate.level < 1 || rlcf->deflate.level > 9) {
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

            rlcf->deflate.min = size;
            continue;
        }

        goto invalid;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                       &value[i]);

    return NGX_CONF_ERROR;
}


/* a time, or "off" */

static char *
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
        return "invalid value";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_rt_positive(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t *msec = data;

    return *msec ? NGX_CONF_OK : "must not be 0";
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
        reason = ngx_http_rt_pattern_check(value->data, value->len, &wild);

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


static void *
ngx_http_rt_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_rt_main_conf_t  *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_rt_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&mcf->zones, cf->pool, 2, sizeof(ngx_http_rt_zone_t *))
        != NGX_OK
        || ngx_array_init(&mcf->workers, cf->pool, 2,
                          sizeof(ngx_http_rt_worker_t *))
           != NGX_OK)
    {
        return NULL;
    }

    mcf->drain = NGX_CONF_UNSET_MSEC;

    return mcf;
}


static char *
ngx_http_rt_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_rt_main_conf_t *mcf = conf;

    ngx_conf_init_msec_value(mcf->drain, 10000);

    return ngx_http_rt_worker_init(cf, mcf);
}


static void *
ngx_http_rt_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_rt_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_rt_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->transports = NGX_CONF_UNSET_PTR;
    conf->origin = NGX_CONF_UNSET_UINT;
    conf->history_count = NGX_CONF_UNSET_UINT;
    conf->history_age = NGX_CONF_UNSET_MSEC;
    conf->start = NGX_CONF_UNSET;
    conf->slow = NGX_CONF_UNSET_UINT;
    conf->keepalive = NGX_CONF_UNSET_MSEC;
    conf->retry = NGX_CONF_UNSET_MSEC;
    conf->poll_timeout = NGX_CONF_UNSET_MSEC;
    conf->envelope = NGX_CONF_UNSET;
    conf->message_max_size = NGX_CONF_UNSET_SIZE;
    conf->subscriber_limit = NGX_CONF_UNSET_UINT;
    conf->message_rate = NGX_CONF_UNSET_UINT;
    conf->message_burst = NGX_CONF_UNSET_UINT;
    conf->deflate_on = NGX_CONF_UNSET;
    conf->deflate.level = NGX_CONF_UNSET;
    conf->deflate.min = NGX_CONF_UNSET_SIZE;
    conf->conflate = NGX_CONF_UNSET_MSEC;
    conf->debounce = NGX_CONF_UNSET_MSEC;
    conf->detach = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_rt_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_rt_loc_conf_t *prev = parent;
    ngx_http_rt_loc_conf_t *conf = child;

    ngx_uint_t                i, *transport;
    ngx_http_rt_zone_t      **zones;
    ngx_http_rt_main_conf_t  *mcf;
    ngx_http_core_loc_conf_t *clcf;

    if (conf->origin == NGX_CONF_UNSET_UINT) {
        conf->origins = prev->origins;
    }

    ngx_conf_merge_uint_value(conf->origin, prev->origin,
                              NGX_HTTP_RT_ORIGIN_SAME);

    ngx_conf_merge_uint_value(conf->history_count, prev->history_count, 100);
    ngx_conf_merge_msec_value(conf->history_age, prev->history_age,
                              3600 * 1000);
    ngx_conf_merge_value(conf->start, prev->start, 0);
    ngx_conf_merge_uint_value(conf->slow, prev->slow, NGX_HTTP_RT_SLOW_GAP);
    ngx_conf_merge_msec_value(conf->keepalive, prev->keepalive, 15000);
    ngx_conf_merge_msec_value(conf->retry, prev->retry, 2000);
    ngx_conf_merge_msec_value(conf->poll_timeout, prev->poll_timeout, 25000);
    ngx_conf_merge_value(conf->envelope, prev->envelope, 0);
    ngx_conf_merge_size_value(conf->message_max_size, prev->message_max_size,
                              64 * 1024);
    ngx_conf_merge_uint_value(conf->subscriber_limit, prev->subscriber_limit,
                              0);

    ngx_conf_merge_uint_value(conf->message_rate, prev->message_rate, 0);
    ngx_conf_merge_uint_value(conf->message_burst, prev->message_burst, 0);
    ngx_conf_merge_value(conf->deflate_on, prev->deflate_on, 1);
    ngx_conf_merge_value(conf->deflate.level, prev->deflate.level, 1);
    ngx_conf_merge_size_value(conf->deflate.min, prev->deflate.min, 256);
    ngx_conf_merge_msec_value(conf->conflate, prev->conflate, 0);
    ngx_conf_merge_msec_value(conf->debounce, prev->debounce, 0);
    ngx_conf_merge_value(conf->detach, prev->detach, 0);

    if (conf->conflate && conf->debounce) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"realtime_conflate\" and \"realtime_debounce\" "
                           "exclude each other");
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_ptr_value(conf->transports, prev->transports, NULL);

    if (conf->transports == NULL) {
        conf->transports = ngx_array_create(cf->pool, NGX_HTTP_RT_TRANSPORTS,
                                            sizeof(ngx_uint_t));
        if (conf->transports == NULL) {
            return NGX_CONF_ERROR;
        }

        for (i = 0; i < NGX_HTTP_RT_TRANSPORTS; i++) {
            transport = ngx_array_push(conf->transports);
            *transport = i;
        }
    }

    if (conf->pass && ngx_http_rt_pass_merge(cf, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && conf->publish == NULL && conf->subscribe == NULL
        && conf->pass == NULL)
    {
        /* "if" and "limit_except" are still the same location */

        conf->pass = prev->pass;
        conf->publish = prev->publish;
        conf->publish_zone = prev->publish_zone;
        conf->subscribe = prev->subscribe;
        conf->subscribe_zone = prev->subscribe_zone;
        conf->subscribe_encoded = prev->subscribe_encoded;
    }

    if (clcf->lmt_excpt && clcf->handler == NULL
        && (conf->publish || conf->subscribe || conf->pass))
    {
        clcf->handler = ngx_http_rt_handler;
    }

    if (conf->publish == NULL && conf->subscribe == NULL) {
        return NGX_CONF_OK;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_realtime_module);

    if (mcf->zones.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"realtime_zone\" is defined for "
                           "\"realtime_publish\" or \"realtime_subscribe\"");
        return NGX_CONF_ERROR;
    }

    zones = mcf->zones.elts;

    if (conf->publish_zone == NULL) {
        conf->publish_zone = zones[0]->shm_zone;
    }

    if (conf->subscribe_zone == NULL) {
        conf->subscribe_zone = zones[0]->shm_zone;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_rt_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_rt_variables; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_init_module(ngx_cycle_t *cycle)
{
    ngx_http_rt_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_realtime_module);

    return mcf ? ngx_http_rt_zone_init_module(&mcf->zones, cycle) : NGX_OK;
}


static void
ngx_http_rt_drain(void)
{
    ngx_http_rt_subscriber_drain();
    ngx_http_rt_events_drain();
}


static ngx_int_t
ngx_http_rt_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                i;
    ngx_http_rt_zone_t      **zones;
    ngx_http_rt_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_realtime_module);

    if (mcf == NULL || mcf->zones.nelts == 0
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    zones = mcf->zones.elts;

    for (i = 0; i < mcf->zones.nelts; i++) {
        zones[i]->event.data = zones[i];
        zones[i]->event.handler = ngx_http_rt_deliver;
        zones[i]->event.log = cycle->log;
        zones[i]->heard = ngx_http_rt_deliver_post;

        ngx_http_rt_pace_init(zones[i], cycle->log);
    }

    if (ngx_http_rt_zone_init_process(&mcf->zones, cycle, ngx_http_rt_drain)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_rt_worker_init_process(mcf, cycle);

    return NGX_OK;
}


static void
ngx_http_rt_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                i;
    ngx_http_rt_zone_t      **zones;
    ngx_http_rt_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_realtime_module);

    if (mcf == NULL) {
        return;
    }

    ngx_http_rt_worker_exit_process(mcf);

    zones = mcf->zones.elts;

    for (i = 0; i < mcf->zones.nelts; i++) {
        ngx_http_rt_subscriber_exit(zones[i]);
    }

    ngx_http_rt_zone_exit_process(&mcf->zones);

#if (nginx_version < 1025004)

    /* to nginx before it, what a fast stop finds in a drain is a leak */

    if (ngx_terminate) {
        ngx_exiting = 0;
    }

#endif
}
