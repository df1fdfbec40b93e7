/*
 * The topics that a subscriber asks for, from the location and the request.
 */

#include "ngx_http_rt_http.h"
#include "ngx_http_rt_rule.h"


static ngx_int_t ngx_http_rt_topics_add(ngx_http_request_t *r,
    ngx_str_t *name, void *data);
static ngx_int_t ngx_http_rt_topics_name(ngx_http_request_t *r,
    ngx_array_t *topics);


/* of ngx_http_rt_name_t; NGX_DONE: it has been refused, here and below */

ngx_int_t
ngx_http_rt_topics(ngx_http_request_t *r, ngx_array_t *topics)
{
    ngx_int_t                rc;
    ngx_uint_t               i;
    const char              *reason;
    ngx_http_rt_loc_conf_t  *rlcf;
    ngx_http_rt_template_t  *t;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (rlcf->subscribe == NULL) {

        /* a WebSocket that begins without any */

        return NGX_OK;
    }

    t = rlcf->subscribe->elts;

    for (i = 0; i < rlcf->subscribe->nelts; i++) {

        rc = ngx_http_rt_template_topics(r, &t[i], ngx_http_rt_topics_add,
                                         topics, &reason);

        if (rc == NGX_DECLINED) {
            return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST, "%s", reason);
        }

        if (rc != NGX_OK) {
            return (rc == NGX_ERROR) ? NGX_HTTP_INTERNAL_SERVER_ERROR : rc;
        }
    }

    return ngx_http_rt_topics_name(r, topics);
}


static ngx_int_t
ngx_http_rt_topics_add(ngx_http_request_t *r, ngx_str_t *name, void *data)
{
    ngx_array_t *topics = data;

    unsigned                 wild;
    ngx_uint_t               i;
    const char              *reason;
    ngx_http_rt_name_t      *t, topic;
    ngx_http_rt_zone_t      *zone;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    zone = rlcf->subscribe_zone->data;

    reason = ngx_http_rt_rule_pattern(name->data, name->len, &wild);

    if (reason) {
        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST, "%s", reason);
    }

    ngx_http_rt_zone_name_set(zone, &topic, name->data, name->len, wild);

    t = topics->elts;

    for (i = 0; i < topics->nelts; i++) {
        if (t[i].hash == topic.hash && t[i].name.len == name->len
            && ngx_memcmp(t[i].name.data, name->data, name->len) == 0)
        {
            return NGX_OK;
        }
    }

    if (i == NGX_HTTP_RT_TOPICS_MAX) {
        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                                  "more than %d topics",
                                  NGX_HTTP_RT_TOPICS_MAX);
    }

    t = ngx_array_push(topics);
    if (t == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *t = topic;

    return NGX_OK;
}


/* for the access log */

static ngx_int_t
ngx_http_rt_topics_name(ngx_http_request_t *r, ngx_array_t *topics)
{
    size_t               len;
    u_char              *p;
    ngx_uint_t           i;
    ngx_http_rt_ctx_t   *ctx;
    ngx_http_rt_name_t  *t;

    t = topics->elts;
    len = 0;

    for (i = 0; i < topics->nelts; i++) {
        len += t[i].name.len + 1;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx = ngx_http_rt_ctx(r);
    ctx->report.topic.data = p;
    ctx->report.topic.len = len - 1;

    for (i = 0; i < topics->nelts; i++) {
        p = ngx_cpymem(p, t[i].name.data, t[i].name.len);
        *p++ = ',';
    }

    return NGX_OK;
}
