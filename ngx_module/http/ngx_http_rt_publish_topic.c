/*
 * Where one may publish, GET shows what there is of the topic, and DELETE
 * forgets its messages.
 */

#include "ngx_http_rt_publish.h"
#include "ngx_http_rt_json.h"


static u_char *ngx_http_rt_publish_stat(u_char *p, ngx_str_t *topic,
    ngx_http_rt_zone_t *zone, ngx_http_rt_zone_stat_t *stat);


ngx_int_t
ngx_http_rt_publish_show(ngx_http_request_t *r, ngx_str_t *topic)
{
    u_char                   *json, *p;
    ngx_http_rt_name_t        name;
    ngx_http_rt_zone_t       *zone;
    ngx_http_rt_loc_conf_t   *rlcf;
    ngx_http_rt_zone_stat_t   stat;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    zone = rlcf->publish_zone->data;

    ngx_http_rt_zone_name_set(zone, &name, topic->data, topic->len, 0);

    if (ngx_http_rt_zone_stat(zone, &name, &stat) != NGX_OK) {
        return ngx_http_rt_answer_error(r, NGX_HTTP_NOT_FOUND,
                          "topic has no messages and no subscribers");
    }

    json = ngx_pnalloc(r->pool, 192 + 3 * NGX_INT64_LEN
                                + 2 * NGX_HTTP_RT_ID_LEN
                                + ngx_http_rt_json_escape_size(topic->data,
                                                               topic->len));
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_http_rt_publish_stat(json, topic, zone, &stat);

    if (ngx_http_rt_header_add(r, "Cache-Control", (u_char *) "no-cache", 8)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_rt_answer(r, NGX_HTTP_OK, json, p - json);
}


static u_char *
ngx_http_rt_publish_stat(u_char *p, ngx_str_t *topic, ngx_http_rt_zone_t *zone,
    ngx_http_rt_zone_stat_t *stat)
{
    p = ngx_cpymem(p, "{\"topic\":\"", 10);
    p = ngx_http_rt_json_escape(p, topic->data, topic->len);
    p = ngx_sprintf(p, "\",\"messages\":%uL,\"bytes\":%uL,\"subscribers\":%uL,"
                    "\"first_id\":", stat->messages, stat->bytes,
                    stat->subscribers);

    if (stat->messages == 0) {
        return ngx_cpymem(p, "null,\"last_id\":null}", 20);
    }

    *p++ = '"';
    p = ngx_http_rt_id_write(p, zone->epoch, stat->first);
    p = ngx_cpymem(p, "\",\"last_id\":\"", 13);
    p = ngx_http_rt_id_write(p, zone->epoch, stat->last);

    return ngx_cpymem(p, "\"}", 2);
}


ngx_int_t
ngx_http_rt_publish_forget(ngx_http_request_t *r, ngx_str_t *topic)
{
    ngx_http_rt_name_t       name;
    ngx_http_rt_zone_t      *zone;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    zone = rlcf->publish_zone->data;

    ngx_http_rt_zone_name_set(zone, &name, topic->data, topic->len, 0);
    ngx_http_rt_zone_forget(zone, &name);

    return ngx_http_rt_answer(r, NGX_HTTP_NO_CONTENT, NULL, 0);
}
