/*
 * Finding where a subscription reads on.
 *
 * The index is asked once, under the zone's mutex, and answers with a view of
 * the topic's chain.  The way back along the chain, from the newest record to
 * the first one that is wanted, is walked without the mutex and in steps; it
 * may be as long as realtime_history allows.  What has been walked is kept in
 * the subscription when the time of the slice is up.
 */

#include "ngx_http_rt_delivery.h"


/* records newer than what is wanted, published while we look */
#define NGX_HTTP_RT_FIND_NEWER  64


ngx_int_t
ngx_http_rt_find(ngx_http_rt_subscription_t *sub, uint64_t seq,
    const ngx_http_rt_history_t *history, ngx_http_rt_start_t *found)
{
    ngx_http_rt_hub_t    *hub;
    ngx_http_rt_view_t    view;
    ngx_http_rt_start_t  *start;

    hub = sub->reader->hub;
    start = sub->start;

    if (start == NULL) {
        ngx_http_rt_zone_view(hub->zone, &sub->audience->topic, &view);
        ngx_http_rt_start_init(found, &view, seq, history);
        start = found;
    }

    while (!ngx_http_rt_zone_start_step(hub->zone, start, NGX_HTTP_RT_STEP)) {

        if (!ngx_http_rt_hub_late(hub)) {
            continue;
        }

        if (sub->start == NULL) {
            sub->start = ngx_alloc(sizeof(ngx_http_rt_start_t),
                                   ngx_cycle->log);
            if (sub->start == NULL) {
                return NGX_ERROR;
            }

            *sub->start = *start;
        }

        return NGX_AGAIN;
    }

    if (sub->start) {
        *found = *sub->start;
        ngx_free(sub->start);
        sub->start = NULL;
    }

    return NGX_OK;
}


/*
 * The subscription's newest record up to a seq.  NGX_DECLINED: it has that one,
 * or there is none; NGX_AGAIN: too many are newer, ask again with another seq.
 */

ngx_int_t
ngx_http_rt_find_newest(ngx_http_rt_subscription_t *sub, uint64_t have,
    uint64_t upto, ngx_http_rt_record_t *rec)
{
    uint64_t             pos;
    ngx_uint_t           i;
    ngx_http_rt_view_t   view;
    ngx_http_rt_zone_t  *zone;

    zone = sub->reader->hub->zone;

    ngx_http_rt_zone_view(zone, &sub->audience->topic, &view);

    if (view.id == 0 || view.first == 0 || view.seq <= have) {
        return NGX_DECLINED;
    }

    pos = view.last;

    for (i = 0; i < NGX_HTTP_RT_FIND_NEWER; i++) {

        if (ngx_http_rt_zone_record(zone, pos, rec) != NGX_HTTP_RT_RING_OK
            || rec->topic_id != view.id
            || rec->seq <= have)
        {
            return NGX_DECLINED;
        }

        if (rec->seq <= upto) {
            sub->pos = pos;
            return NGX_OK;
        }

        if (pos == view.first || rec->prev == 0) {
            return NGX_DECLINED;
        }

        pos = ngx_http_rt_record_prev(rec, pos);
    }

    return NGX_AGAIN;
}
