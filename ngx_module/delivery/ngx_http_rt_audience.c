/*
 * Audiences: all subscribers of one topic, or of one pattern, in this process.
 *
 * They hang in a hash table of the zone's process side, topics by the hash of
 * their name, patterns by the hash of their literal head, so that the patterns
 * of a topic are found by the topic's own heads.  An audience lives as long as
 * it has subscriptions.
 */

#include "ngx_http_rt.h"
#include "ngx_http_rt_pattern.h"


#define NGX_HTTP_RT_AUDIENCE_BUCKETS  64


static ngx_int_t ngx_http_rt_audience_grow(ngx_http_rt_zone_t *zone);


/* finds or creates; the caller adds a subscription or puts it back */

ngx_http_rt_audience_t *
ngx_http_rt_audience_get(ngx_http_rt_zone_t *zone, ngx_str_t *name,
    ngx_uint_t wild)
{
    size_t                    head;
    uint32_t                  hash;
    ngx_http_rt_audience_t   *a, **bucket;

    head = wild ? ngx_http_rt_pattern_head(name->data, name->len) : name->len;
    hash = ngx_http_rt_zone_hash(zone, name->data, head);

    if (zone->naudiences >= zone->nbuckets
        && ngx_http_rt_audience_grow(zone) != NGX_OK)
    {
        return NULL;
    }

    bucket = &zone->buckets[hash & (zone->nbuckets - 1)];

    for (a = *bucket; a; a = a->next) {
        if (a->hash == hash && a->wild == wild && a->name.len == name->len
            && ngx_memcmp(a->name.data, name->data, name->len) == 0)
        {
            return a;
        }
    }

    a = ngx_calloc(sizeof(ngx_http_rt_audience_t) + name->len, ngx_cycle->log);
    if (a == NULL) {
        return NULL;
    }

    a->zone = zone;
    a->hash = hash;
    a->wild = wild;
    a->name.len = name->len;
    a->name.data = (u_char *) &a[1];
    ngx_memcpy(a->name.data, name->data, name->len);

    ngx_queue_init(&a->live);

    a->next = *bucket;
    *bucket = a;

    zone->naudiences++;
    zone->npatterns += wild;

    return a;
}


/* a topic's, by a record of it; its id is the same as long as it is known */

ngx_http_rt_audience_t *
ngx_http_rt_audience_find(ngx_http_rt_zone_t *zone, u_char *name,
    ngx_http_rt_record_t *rec)
{
    ngx_http_rt_audience_t  *a;

    for (a = zone->buckets[rec->hash & (zone->nbuckets - 1)]; a; a = a->next) {

        if (a->hash != rec->hash || a->wild) {
            continue;
        }

        if (a->topic_id == rec->topic_id) {
            return a;
        }

        if (a->name.len == rec->topic_len
            && ngx_memcmp(a->name.data, name, rec->topic_len) == 0)
        {
            a->topic_id = rec->topic_id;
            return a;
        }
    }

    return NULL;
}


/* calls match() for each pattern that the topic matches */

void
ngx_http_rt_audience_matches(ngx_http_rt_zone_t *zone, u_char *topic,
    size_t len, ngx_http_rt_audience_pt match, void *data)
{
    size_t                   i;
    uint32_t                 hash;
    ngx_http_rt_audience_t  *a;

    if (zone->npatterns == 0) {
        return;
    }

    for (i = 0; i < len; i++) {

        if (i && topic[i] != '/') {
            continue;
        }

        hash = ngx_http_rt_zone_hash(zone, topic, i);

        for (a = zone->buckets[hash & (zone->nbuckets - 1)]; a; a = a->next) {
            if (a->hash == hash && a->wild
                && ngx_http_rt_pattern_head(a->name.data, a->name.len) == i
                && ngx_http_rt_pattern_match(a->name.data, a->name.len,
                                             topic, len))
            {
                match(a, data);
            }
        }
    }
}


/* frees it if nobody is left */

void
ngx_http_rt_audience_put(ngx_http_rt_audience_t *a)
{
    ngx_http_rt_zone_t       *zone;
    ngx_http_rt_audience_t  **p;

    if (a->count) {
        return;
    }

    zone = a->zone;

    for (p = &zone->buckets[a->hash & (zone->nbuckets - 1)];
         *p != a;
         p = &(*p)->next)
    { /* void */ }

    *p = a->next;

    zone->naudiences--;
    zone->npatterns -= a->wild;

    if (a->dirty) {
        ngx_queue_remove(&a->queue);
    }

    ngx_http_rt_audience_release(a);

    ngx_free(a);
}


/* the batch has been served, or will not be */

void
ngx_http_rt_audience_release(ngx_http_rt_audience_t *a)
{
    ngx_http_rt_buffer_t  *b;

    while (a->buffers) {
        b = a->buffers;
        a->buffers = b->next;

        ngx_http_rt_buffer_release(b);
    }

    a->serving = 0;
}


static ngx_int_t
ngx_http_rt_audience_grow(ngx_http_rt_zone_t *zone)
{
    ngx_uint_t                i, n;
    ngx_http_rt_audience_t   *a, *next, **buckets, **p;

    n = zone->nbuckets ? 2 * zone->nbuckets : NGX_HTTP_RT_AUDIENCE_BUCKETS;

    buckets = ngx_calloc(n * sizeof(ngx_http_rt_audience_t *), ngx_cycle->log);
    if (buckets == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < zone->nbuckets; i++) {

        for (a = zone->buckets[i]; a; a = next) {
            next = a->next;
            p = &buckets[a->hash & (n - 1)];
            a->next = *p;
            *p = a;
        }
    }

    if (zone->buckets) {
        ngx_free(zone->buckets);
    }

    zone->buckets = buckets;
    zone->nbuckets = n;

    return NGX_OK;
}
