/*
 * Audiences: all subscriptions of one topic, or of one pattern, in this
 * process.
 *
 * They hang in a hash table of the hub, topics by the hash of their name,
 * patterns by their shape and what is literal in them, so that the patterns of
 * a topic are found with one lookup for each shape in use; see
 * ngx_http_rt_shape.h.  Patterns that have no shape are in a list.  An audience
 * lives as long as it has subscriptions.
 *
 * It knows which encodings its live subscriptions use: a list, of which the
 * first place is its own, for most audiences need no second one.
 */

#include "ngx_http_rt_delivery.h"
#include "ngx_http_rt_pattern.h"


#define NGX_HTTP_RT_AUDIENCE_BUCKETS  64


static ngx_http_rt_audience_t **ngx_http_rt_audience_place(
    ngx_http_rt_hub_t *hub, const ngx_http_rt_name_t *topic, unsigned *shape,
    uint32_t *hash);
static void ngx_http_rt_audience_uncount(ngx_http_rt_hub_t *hub,
    unsigned shape);
static ngx_http_rt_audience_t **ngx_http_rt_audience_list(
    ngx_http_rt_audience_t *a);
static ngx_int_t ngx_http_rt_audience_grow(ngx_http_rt_hub_t *hub);


/* of this process */

static uint64_t  ngx_http_rt_audience_ids;


/* finds or creates; the caller adds a subscription or puts it back */

ngx_http_rt_audience_t *
ngx_http_rt_audience_get(ngx_http_rt_hub_t *hub,
    const ngx_http_rt_name_t *topic)
{
    uint32_t                  hash;
    unsigned                  shape;
    ngx_http_rt_audience_t   *a, **list;

    if (hub->naudiences >= hub->nbuckets
        && ngx_http_rt_audience_grow(hub) != NGX_OK)
    {
        return NULL;
    }

    /* it has been counted for its shape if it is new */

    list = ngx_http_rt_audience_place(hub, topic, &shape, &hash);

    for (a = *list; a; a = a->next) {
        if (a->hash == hash && a->wild == topic->wild
            && a->topic.name.len == topic->name.len
            && ngx_memcmp(a->topic.name.data, topic->name.data,
                          topic->name.len)
               == 0)
        {
            break;
        }
    }

    if (a) {
        ngx_http_rt_audience_uncount(hub, shape);
        return a;
    }

    a = ngx_calloc(sizeof(ngx_http_rt_audience_t) + topic->name.len,
                   ngx_cycle->log);
    if (a == NULL) {
        ngx_http_rt_audience_uncount(hub, shape);
        return NULL;
    }

    a->hub = hub;
    a->id = ++ngx_http_rt_audience_ids;
    a->laps = hub->laps;
    a->deletes = hub->deletes;
    a->hash = hash;
    a->shape = shape;
    a->wild = topic->wild;

    a->topic = *topic;
    a->topic.name.data = (u_char *) &a[1];
    ngx_memcpy(a->topic.name.data, topic->name.data, topic->name.len);

    ngx_queue_init(&a->live);

    a->next = *list;
    *list = a;

    hub->naudiences++;
    hub->npatterns += topic->wild;

    return a;
}


/* where a topic or pattern hangs; a pattern is counted for its shape */

static ngx_http_rt_audience_t **
ngx_http_rt_audience_place(ngx_http_rt_hub_t *hub,
    const ngx_http_rt_name_t *topic, unsigned *shape, uint32_t *hash)
{
    ngx_http_rt_audience_t  *a;

    *shape = NGX_HTTP_RT_SHAPE_NONE;
    *hash = topic->hash;

    /* what had to begin without a shape stays there */

    for (a = topic->wild ? hub->shapeless : NULL; a; a = a->next) {
        if (a->topic.name.len == topic->name.len
            && ngx_memcmp(a->topic.name.data, topic->name.data,
                          topic->name.len)
               == 0)
        {
            return &hub->shapeless;
        }
    }

    if (topic->wild) {
        *shape = ngx_http_rt_shapes_get(&hub->shapes, topic->name.data,
                                        topic->name.len);

        if (*shape == NGX_HTTP_RT_SHAPE_NONE) {
            return &hub->shapeless;
        }

        *hash = ngx_http_rt_shape_hash_pattern(&hub->shapes, *shape, &hub->key,
                                               topic->name.data,
                                               topic->name.len);
    }

    return &hub->buckets[*hash & (hub->nbuckets - 1)];
}


static void
ngx_http_rt_audience_uncount(ngx_http_rt_hub_t *hub, unsigned shape)
{
    if (shape != NGX_HTTP_RT_SHAPE_NONE) {
        ngx_http_rt_shapes_put(&hub->shapes, shape);
    }
}


static ngx_http_rt_audience_t **
ngx_http_rt_audience_list(ngx_http_rt_audience_t *a)
{
    ngx_http_rt_hub_t  *hub;

    hub = a->hub;

    return (a->wild && a->shape == NGX_HTTP_RT_SHAPE_NONE)
               ? &hub->shapeless
               : &hub->buckets[a->hash & (hub->nbuckets - 1)];
}


/* a topic's, by a record of it; its id is the same as long as it is known */

ngx_http_rt_audience_t *
ngx_http_rt_audience_find(ngx_http_rt_hub_t *hub, const u_char *name,
    const ngx_http_rt_record_t *rec)
{
    ngx_http_rt_audience_t  *a;

    for (a = hub->buckets[rec->hash & (hub->nbuckets - 1)]; a; a = a->next) {

        if (a->hash != rec->hash || a->wild) {
            continue;
        }

        if (a->topic_id == rec->topic_id && a->topic_id) {
            return a;
        }

        if (a->topic.name.len == rec->topic_len
            && ngx_memcmp(a->topic.name.data, name, rec->topic_len) == 0)
        {
            a->topic_id = rec->topic_id;
            return a;
        }
    }

    return NULL;
}


/* calls match() for each pattern that the topic matches */

void
ngx_http_rt_audience_matches(ngx_http_rt_hub_t *hub, const u_char *name,
    size_t len, void (*match)(ngx_http_rt_audience_t *a, void *data),
    void *data)
{
    uint32_t                 hash;
    uint64_t                 used;
    unsigned                 shape;
    ngx_http_rt_audience_t  *a;
    ngx_http_rt_segments_t   segments;

    ngx_http_rt_shape_split(&segments, name, len);

    for (used = hub->shapes.used; used; used &= used - 1) {

        shape = __builtin_ctzll(used);

        if (ngx_http_rt_shape_hash_topic(&hub->shapes, shape, &hub->key,
                                         &segments, &hash)
            != 0)
        {
            continue;
        }

        for (a = hub->buckets[hash & (hub->nbuckets - 1)]; a; a = a->next) {

            if (a->hash == hash && a->wild && a->shape == shape
                && ngx_http_rt_pattern_match(a->topic.name.data,
                                             a->topic.name.len, name, len))
            {
                match(a, data);
            }
        }
    }

    for (a = hub->shapeless; a; a = a->next) {
        if (ngx_http_rt_pattern_match(a->topic.name.data, a->topic.name.len,
                                      name, len))
        {
            match(a, data);
        }
    }
}


/* frees it if nobody is left */

void
ngx_http_rt_audience_put(ngx_http_rt_audience_t *a)
{
    ngx_http_rt_hub_t        *hub;
    ngx_http_rt_use_t        *use;
    ngx_http_rt_audience_t  **p;

    if (a->count) {
        return;
    }

    hub = a->hub;

    for (p = ngx_http_rt_audience_list(a); *p != a; p = &(*p)->next) {
        /* void */
    }

    *p = a->next;

    ngx_http_rt_audience_uncount(hub, a->wild ? a->shape
                                              : NGX_HTTP_RT_SHAPE_NONE);

    hub->naudiences--;
    hub->npatterns -= a->wild;

    if (a->dirty) {
        ngx_queue_remove(&a->queue);
    }

    ngx_http_rt_audience_release(a);

    while (a->use.next) {
        use = a->use.next;
        a->use.next = use->next;
        ngx_free(use);
    }

    ngx_free(a);
}


/* one live subscription more in this encoding */

ngx_int_t
ngx_http_rt_audience_use(ngx_http_rt_audience_t *a,
    const ngx_http_rt_encoding_t *encoding)
{
    ngx_http_rt_use_t  *use, *unused;

    unused = NULL;

    for (use = &a->use; use; use = use->next) {

        if (use->count == 0) {
            unused = use;

        } else if (use->encoding == encoding) {
            use->count++;
            return NGX_OK;
        }
    }

    if (unused == NULL) {
        unused = ngx_alloc(sizeof(ngx_http_rt_use_t), ngx_cycle->log);
        if (unused == NULL) {
            return NGX_ERROR;
        }

        unused->next = a->use.next;
        a->use.next = unused;
    }

    unused->encoding = encoding;
    unused->count = 1;

    return NGX_OK;
}


void
ngx_http_rt_audience_disuse(ngx_http_rt_audience_t *a,
    const ngx_http_rt_encoding_t *encoding)
{
    ngx_http_rt_use_t  *use;

    for (use = &a->use; use; use = use->next) {
        if (use->count && use->encoding == encoding) {
            use->count--;
            return;
        }
    }
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
ngx_http_rt_audience_grow(ngx_http_rt_hub_t *hub)
{
    ngx_uint_t                i, n;
    ngx_http_rt_audience_t   *a, *next, **buckets, **p;

    n = hub->nbuckets ? 2 * hub->nbuckets : NGX_HTTP_RT_AUDIENCE_BUCKETS;

    buckets = ngx_calloc(n * sizeof(ngx_http_rt_audience_t *), ngx_cycle->log);
    if (buckets == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < hub->nbuckets; i++) {

        for (a = hub->buckets[i]; a; a = next) {
            next = a->next;
            p = &buckets[a->hash & (n - 1)];
            a->next = *p;
            *p = a;
        }
    }

    if (hub->buckets) {
        ngx_free(hub->buckets);
    }

    hub->buckets = buckets;
    hub->nbuckets = n;

    if (hub->lap_bucket) {

        /* some that have not been told of the lap have moved */

        hub->lap_bucket = n;
    }

    return NGX_OK;
}
