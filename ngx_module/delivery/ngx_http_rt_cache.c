/*
 * Cache: batches that readers behind have written, for others that read from
 * the same position.
 *
 * After a reload, or when a message wakes all conflated readers of a topic,
 * many read the same records in the same encoding.  The first one leaves its
 * position here, the second one the buffer as well, and the others take that.
 * So a reader that nobody follows costs no memory.  What lies at a position
 * never changes, but messages may be deleted: the zone's count of deletions is
 * part of the key.
 *
 * The cache is of the process: 64 places, 4 MiB in all.
 */

#include "ngx_http_rt_delivery.h"


#define NGX_HTTP_RT_CACHE_PLACES  64
#define NGX_HTTP_RT_CACHE_BYTES   (4 * 1024 * 1024)


typedef struct {
    const ngx_http_rt_encoding_t  *encoding;
    uint64_t                       audience;    /* its id */
    ngx_uint_t                     deletes;
    ngx_uint_t                     newest;      /* of a reader at a pace */
    uint64_t                       pos;
} ngx_http_rt_cache_key_t;


typedef struct {
    ngx_http_rt_cache_key_t        key;
    ngx_http_rt_buffer_t          *buffer;      /* NULL: it was read once */
    size_t                         size;
    uint64_t                       last;        /* seq */
    uint64_t                       next;        /* position, or none */
} ngx_http_rt_cache_place_t;


static ngx_http_rt_cache_place_t *ngx_http_rt_cache_place(
    ngx_http_rt_reader_t *rd, uint64_t pos, ngx_http_rt_cache_key_t *key);
static void ngx_http_rt_cache_drop(ngx_http_rt_cache_place_t *place);


/* of this process */

static ngx_http_rt_cache_place_t
    ngx_http_rt_cache_places[NGX_HTTP_RT_CACHE_PLACES];
static size_t      ngx_http_rt_cache_bytes;
static ngx_uint_t  ngx_http_rt_cache_hand;


/*
 * The batch at the position of a reader of one topic, if it ends before "upto";
 * the reader is moved behind it.  NULL: there is none.
 */

ngx_http_rt_buffer_t *
ngx_http_rt_cache_get(ngx_http_rt_reader_t *rd, uint64_t upto)
{
    ngx_http_rt_cache_key_t      key;
    ngx_http_rt_subscription_t  *sub;
    ngx_http_rt_cache_place_t   *place;

    sub = &rd->subscriptions[0];
    place = ngx_http_rt_cache_place(rd, sub->pos, &key);

    if (place->buffer == NULL || place->last > upto
        || ngx_memcmp(&place->key, &key, sizeof(ngx_http_rt_cache_key_t)) != 0)
    {
        return NULL;
    }

    rd->cursor = place->last;
    sub->seq = place->last;
    sub->pos = place->next;

    return place->buffer;
}


/* a finished batch of a reader of one topic, from "pos" to where it is now */

void
ngx_http_rt_cache_put(ngx_http_rt_reader_t *rd, uint64_t pos,
    ngx_http_rt_buffer_t *b)
{
    size_t                      size;
    ngx_http_rt_cache_key_t     key;
    ngx_http_rt_cache_place_t  *place;

    size = b->end - b->start;
    place = ngx_http_rt_cache_place(rd, pos, &key);

    if (ngx_memcmp(&place->key, &key, sizeof(ngx_http_rt_cache_key_t)) != 0) {
        ngx_http_rt_cache_drop(place);
        place->key = key;
        return;
    }

    if (size > NGX_HTTP_RT_CACHE_BYTES / 8) {
        return;
    }

    ngx_http_rt_cache_drop(place);

    while (ngx_http_rt_cache_bytes + size > NGX_HTTP_RT_CACHE_BYTES) {
        ngx_http_rt_cache_hand++;
        ngx_http_rt_cache_drop(&ngx_http_rt_cache_places[
                         ngx_http_rt_cache_hand % NGX_HTTP_RT_CACHE_PLACES]);
    }

    place->buffer = b;
    place->size = size;
    place->last = rd->subscriptions[0].seq;
    place->next = rd->subscriptions[0].pos;

    b->refs++;
    ngx_http_rt_cache_bytes += size;
}


static ngx_http_rt_cache_place_t *
ngx_http_rt_cache_place(ngx_http_rt_reader_t *rd, uint64_t pos,
    ngx_http_rt_cache_key_t *key)
{
    uint64_t  n;

    ngx_memzero(key, sizeof(ngx_http_rt_cache_key_t));

    key->encoding = rd->sink->encoding;
    key->audience = rd->subscriptions[0].audience->id;
    key->deletes = rd->deletes;
    key->newest = (rd->pace != NULL);
    key->pos = pos;

    n = pos / 8 + (uintptr_t) key->encoding / 16 + key->audience;

    return &ngx_http_rt_cache_places[n % NGX_HTTP_RT_CACHE_PLACES];
}


static void
ngx_http_rt_cache_drop(ngx_http_rt_cache_place_t *place)
{
    if (place->buffer) {
        ngx_http_rt_cache_bytes -= place->size;
        ngx_http_rt_buffer_release(place->buffer);
        place->buffer = NULL;
    }
}
