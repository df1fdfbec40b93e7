/*
 * The module: its directives, the configuration that they fill, how it is
 * inherited, and what nginx calls at start and end of a process.  The setters
 * of directives that are more than a number are in _conf_location.c,
 * _conf_transport.c and _conf_delivery.c.  Nothing in here happens per request.
 */

#include "ngx_http_rt_conf.h"
#include "ngx_http_rt_pass.h"


static void *ngx_http_rt_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_rt_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_rt_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_rt_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static void ngx_http_rt_merge_values(ngx_http_rt_loc_conf_t *prev,
    ngx_http_rt_loc_conf_t *conf);
static void ngx_http_rt_merge_reader(ngx_http_rt_reader_conf_t *prev,
    ngx_http_rt_reader_conf_t *conf);
static char *ngx_http_rt_merge_location(ngx_conf_t *cf,
    ngx_http_rt_loc_conf_t *prev, ngx_http_rt_loc_conf_t *conf);
static char *ngx_http_rt_merge_zone(ngx_conf_t *cf,
    ngx_http_rt_loc_conf_t *conf, ngx_shm_zone_t *shm_zone, ngx_uint_t line);
static char *ngx_http_rt_merge_zones(ngx_conf_t *cf,
    ngx_http_rt_loc_conf_t *conf);
static ngx_int_t ngx_http_rt_postconfiguration(ngx_conf_t *cf);
static ngx_uint_t ngx_http_rt_saves(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_rt_init_process(ngx_cycle_t *cycle);
static void ngx_http_rt_exit_process(ngx_cycle_t *cycle);

static ngx_conf_enum_t  ngx_http_rt_detaches[] = {
    { ngx_string("off"), NGX_HTTP_RT_DETACH_OFF },
    { ngx_string("on"), NGX_HTTP_RT_DETACH_ON },
    { ngx_string("saved"), NGX_HTTP_RT_DETACH_SAVED },
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
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
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

    { ngx_string("realtime_protocol"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_rt_protocol_directive,
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
      ngx_http_rt_slow_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("realtime_keepalive"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, session.keepalive),
      &ngx_http_rt_positive_post },

    { ngx_string("realtime_retry"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, session.retry),
      &ngx_http_rt_positive_post },

    { ngx_string("realtime_poll_timeout"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, session.poll_timeout),
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
      offsetof(ngx_http_rt_loc_conf_t, session.message_max_size),
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
      offsetof(ngx_http_rt_loc_conf_t, session.reader.conflate),
      NULL },

    { ngx_string("realtime_debounce"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_http_rt_interval_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, session.reader.debounce),
      NULL },

    { ngx_string("realtime_detach"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, session.detach),
      &ngx_http_rt_detaches },

    { ngx_string("realtime_subscriber_limit"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, session.reader.subscriber_limit),
      NULL },

    { ngx_string("realtime_subscription_limit"),
      NGX_HTTP_RT_ALL_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_rt_loc_conf_t, session.topics_max),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_rt_module_ctx = {
    ngx_http_rt_variables_add,             /* preconfiguration */
    ngx_http_rt_postconfiguration,         /* postconfiguration */

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
    conf->session.reader.history_count = NGX_CONF_UNSET_UINT;
    conf->session.reader.history_age = NGX_CONF_UNSET_MSEC;
    conf->session.reader.start = NGX_CONF_UNSET;
    conf->session.reader.slow = NGX_CONF_UNSET_UINT;
    conf->session.keepalive = NGX_CONF_UNSET_MSEC;
    conf->session.retry = NGX_CONF_UNSET_MSEC;
    conf->session.poll_timeout = NGX_CONF_UNSET_MSEC;
    conf->envelope = NGX_CONF_UNSET;
    conf->session.message_max_size = NGX_CONF_UNSET_SIZE;
    conf->session.reader.subscriber_limit = NGX_CONF_UNSET_UINT;
    conf->session.message_rate = NGX_CONF_UNSET_UINT;
    conf->session.message_burst = NGX_CONF_UNSET_UINT;
    conf->session.deflate_on = NGX_CONF_UNSET;
    conf->session.deflate.level = NGX_CONF_UNSET;
    conf->session.deflate.min = NGX_CONF_UNSET_SIZE;
    conf->session.reader.conflate = NGX_CONF_UNSET_MSEC;
    conf->session.reader.debounce = NGX_CONF_UNSET_MSEC;
    conf->session.detach = NGX_CONF_UNSET_UINT;
    conf->session.topics_max = NGX_CONF_UNSET_UINT;

    return conf;
}


static char *
ngx_http_rt_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_rt_loc_conf_t *prev = parent;
    ngx_http_rt_loc_conf_t *conf = child;

    ngx_http_rt_merge_values(prev, conf);

    if (conf->session.reader.conflate && conf->session.reader.debounce) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"realtime_conflate\" and \"realtime_debounce\" "
                           "exclude each other");
        return NGX_CONF_ERROR;
    }

    if (ngx_http_rt_transports_merge(cf, prev, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (conf->pass && ngx_http_rt_pass_merge(cf, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_rt_merge_location(cf, prev, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (conf->publish == NULL && conf->subscribe == NULL
        && conf->dialect == NULL)
    {
        return NGX_CONF_OK;
    }

    return ngx_http_rt_merge_zones(cf, conf);
}


static void
ngx_http_rt_merge_values(ngx_http_rt_loc_conf_t *prev,
    ngx_http_rt_loc_conf_t *conf)
{
    ngx_http_rt_session_conf_t  *ps, *cs;

    if (conf->origin == NGX_CONF_UNSET_UINT) {
        conf->origins = prev->origins;
    }

    ngx_conf_merge_uint_value(conf->origin, prev->origin,
                              NGX_HTTP_RT_ORIGIN_SAME);
    ngx_conf_merge_value(conf->envelope, prev->envelope, 0);

    ps = &prev->session;
    cs = &conf->session;

    ngx_conf_merge_msec_value(cs->keepalive, ps->keepalive, 15000);
    ngx_conf_merge_msec_value(cs->retry, ps->retry, 2000);
    ngx_conf_merge_msec_value(cs->poll_timeout, ps->poll_timeout, 25000);
    ngx_conf_merge_size_value(cs->message_max_size, ps->message_max_size,
                              64 * 1024);
    ngx_conf_merge_uint_value(cs->message_rate, ps->message_rate, 0);
    ngx_conf_merge_uint_value(cs->message_burst, ps->message_burst, 0);
    ngx_conf_merge_uint_value(cs->topics_max, ps->topics_max, 1024);
    ngx_conf_merge_value(cs->deflate_on, ps->deflate_on, 1);
    ngx_conf_merge_value(cs->deflate.level, ps->deflate.level, 1);
    ngx_conf_merge_size_value(cs->deflate.min, ps->deflate.min, 256);
    ngx_conf_merge_uint_value(cs->detach, ps->detach,
                              NGX_HTTP_RT_DETACH_SAVED);

    ngx_http_rt_merge_reader(&ps->reader, &cs->reader);
}


static void
ngx_http_rt_merge_reader(ngx_http_rt_reader_conf_t *prev,
    ngx_http_rt_reader_conf_t *conf)
{
    ngx_conf_merge_uint_value(conf->history_count, prev->history_count, 100);
    ngx_conf_merge_msec_value(conf->history_age, prev->history_age,
                              3600 * 1000);
    ngx_conf_merge_value(conf->start, prev->start, 0);
    ngx_conf_merge_uint_value(conf->slow, prev->slow, NGX_HTTP_RT_SLOW_GAP);
    ngx_conf_merge_msec_value(conf->conflate, prev->conflate, 0);
    ngx_conf_merge_msec_value(conf->debounce, prev->debounce, 0);
    ngx_conf_merge_uint_value(conf->subscriber_limit, prev->subscriber_limit,
                              0);
}


/* "if" and "limit_except" are still the same location */

static char *
ngx_http_rt_merge_location(ngx_conf_t *cf, ngx_http_rt_loc_conf_t *prev,
    ngx_http_rt_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* directives of others, such as proxy_pass, take it without a word */

    if (conf->handler && clcf->handler != conf->handler) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" is for something else, too, "
                      "such as proxy_pass, which conflicts with what is in "
                      "%V:%ui", &clcf->name, &conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    if (!clcf->noname) {
        conf->post_fenced = (clcf->limit_except & NGX_HTTP_POST)
                            && !(clcf->limit_except & NGX_HTTP_GET);

    } else if (!clcf->lmt_excpt) {
        conf->post_fenced = prev->post_fenced;
    }

    if (clcf->noname && conf->publish == NULL && conf->subscribe == NULL
        && conf->pass == NULL)
    {
        conf->pass = prev->pass;
        conf->dialect = prev->dialect;
        conf->publish = prev->publish;
        conf->publish_zone = prev->publish_zone;
        conf->publish_websocket = prev->publish_websocket;
        conf->subscribe = prev->subscribe;
        conf->subscribe_zone = prev->subscribe_zone;
    }

    if (clcf->lmt_excpt && clcf->handler == NULL
        && (conf->publish || conf->subscribe || conf->pass || conf->dialect))
    {
        clcf->handler = ngx_http_rt_handler;
    }

    return NGX_CONF_OK;
}


/* without zone= it is the first that is defined */

static char *
ngx_http_rt_merge_zones(ngx_conf_t *cf, ngx_http_rt_loc_conf_t *conf)
{
    ngx_http_rt_zone_t      **zones;
    ngx_http_rt_main_conf_t  *mcf;

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

    if (ngx_http_rt_merge_zone(cf, conf, conf->publish_zone,
                               conf->publish_line) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_rt_merge_zone(cf, conf, conf->subscribe_zone,
                                  conf->subscribe_line);
}


/* one that is named only, and defined nowhere, has no size */

static char *
ngx_http_rt_merge_zone(ngx_conf_t *cf, ngx_http_rt_loc_conf_t *conf,
    ngx_shm_zone_t *shm_zone, ngx_uint_t line)
{
    if (shm_zone->shm.size) {
        return NGX_CONF_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "unknown realtime_zone \"%V\" in %V:%ui",
                  &shm_zone->shm.name, &conf->file, line);

    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_rt_postconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_rt_origin_init(cf) != NGX_OK
        || ngx_http_rt_held_init(cf, ngx_http_rt_saves) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_rt_answer_init(cf);
}


static ngx_uint_t
ngx_http_rt_saves(ngx_http_request_t *r)
{
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    return (rlcf->subscribe || rlcf->dialect)
           && rlcf->session.detach == NGX_HTTP_RT_DETACH_SAVED;
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
    ngx_http_rt_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                              ngx_http_realtime_module);

    ngx_http_rt_session_drain(mcf->drain);
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

    if (ngx_http_rt_zone_init_process(&mcf->zones, cycle, ngx_http_rt_drain)
        != NGX_OK
        || ngx_http_rt_session_init_process(cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    zones = mcf->zones.elts;

    for (i = 0; i < mcf->zones.nelts; i++) {
        if (ngx_http_rt_hub_init_process(zones[i], cycle) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_http_rt_admit_init_process(cycle);
    ngx_http_rt_worker_init_process(mcf, cycle);

    return NGX_OK;
}


static void
ngx_http_rt_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_rt_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_realtime_module);

    if (mcf == NULL) {
        return;
    }

    ngx_http_rt_worker_exit_process(mcf);

    ngx_http_rt_session_exit();
    ngx_http_rt_zone_exit_process(&mcf->zones);

#if (nginx_version < 1025004)

    /* to nginx before it, what a fast stop finds in a drain is a leak */

    if (ngx_terminate) {
        ngx_exiting = 0;
    }

#endif
}
