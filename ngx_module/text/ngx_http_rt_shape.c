/*
 * Shapes of patterns; the header has the idea.
 *
 * What is hashed is the number of the shape, and each literal segment and
 * prefix with a slash behind it.  A pattern is cut into segments in the same
 * way as a topic, so both give the same bytes.
 */

#include <string.h>

#include "ngx_http_rt_pattern.h"
#include "ngx_http_rt_shape.h"


static uint32_t ngx_http_rt_shape_hash(const ngx_http_rt_shape_t *shape,
    unsigned number, const ngx_http_rt_hash_key_t *key,
    const ngx_http_rt_segments_t *segments);


int
ngx_http_rt_shape_parse(const u_char *p, size_t len,
    ngx_http_rt_shape_t *shape)
{
    size_t         n;
    const u_char  *end, *last;

    memset(shape, 0, sizeof(ngx_http_rt_shape_t));

    last = p + len;

    for ( /* void */ ; p <= last; p = end + 1) {

        end = memchr(p, '/', last - p);
        if (end == NULL) {
            end = last;
        }

        n = end - p;

        if (n == 2 && p[0] == '*' && p[1] == '*') {
            shape->deep = 1;
            return 0;
        }

        if (shape->n == NGX_HTTP_RT_SHAPE_SEGMENTS) {
            return -1;
        }

        shape->parts[shape->n++] = (n && end[-1] == '*')
                                   ? n - 1 : NGX_HTTP_RT_SHAPE_LITERAL;
    }

    return 0;
}


unsigned
ngx_http_rt_shapes_find(const ngx_http_rt_shapes_t *shapes, const u_char *p,
    size_t len)
{
    unsigned             i;
    uint64_t             bits;
    ngx_http_rt_shape_t  shape;

    if (ngx_http_rt_shape_parse(p, len, &shape) != 0) {
        return NGX_HTTP_RT_SHAPE_NONE;
    }

    for (bits = shapes->used; bits; bits &= bits - 1) {
        i = __builtin_ctzll(bits);

        if (memcmp(&shapes->shapes[i], &shape, sizeof(shape)) == 0) {
            return i;
        }
    }

    return NGX_HTTP_RT_SHAPE_NONE;
}


unsigned
ngx_http_rt_shapes_get(ngx_http_rt_shapes_t *shapes, const u_char *p,
    size_t len)
{
    unsigned             i;
    ngx_http_rt_shape_t  shape;

    i = ngx_http_rt_shapes_find(shapes, p, len);

    if (i == NGX_HTTP_RT_SHAPE_NONE) {

        if (~shapes->used == 0
            || ngx_http_rt_shape_parse(p, len, &shape) != 0)
        {
            return NGX_HTTP_RT_SHAPE_NONE;
        }

        i = __builtin_ctzll(~shapes->used);

        shapes->shapes[i] = shape;
        shapes->counts[i] = 0;

        __atomic_store_n(&shapes->used, shapes->used | (uint64_t) 1 << i,
                         __ATOMIC_RELEASE);
    }

    shapes->counts[i]++;

    return i;
}


void
ngx_http_rt_shapes_put(ngx_http_rt_shapes_t *shapes, unsigned number)
{
    if (--shapes->counts[number] == 0) {
        shapes->used &= ~((uint64_t) 1 << number);
    }
}


void
ngx_http_rt_shapes_clear(ngx_http_rt_shapes_t *shapes)
{
    shapes->used = 0;
    memset(shapes->counts, 0, sizeof(shapes->counts));
}


int
ngx_http_rt_shapes_recount(ngx_http_rt_shapes_t *shapes, unsigned number,
    const u_char *p, size_t len)
{
    ngx_http_rt_shape_t  shape;

    if (number >= NGX_HTTP_RT_SHAPES
        || ngx_http_rt_shape_parse(p, len, &shape) != 0
        || memcmp(&shapes->shapes[number], &shape, sizeof(shape)) != 0)
    {
        return -1;
    }

    shapes->counts[number]++;
    shapes->used |= (uint64_t) 1 << number;

    return 0;
}


uint32_t
ngx_http_rt_shape_hash_pattern(const ngx_http_rt_shapes_t *shapes,
    unsigned number, const ngx_http_rt_hash_key_t *key, const u_char *p,
    size_t len)
{
    ngx_http_rt_segments_t  segments;

    ngx_http_rt_shape_split(&segments, p, len);

    return ngx_http_rt_shape_hash(&shapes->shapes[number], number, key,
                                  &segments);
}


void
ngx_http_rt_shape_split(ngx_http_rt_segments_t *segments, const u_char *topic,
    size_t len)
{
    size_t    i;
    unsigned  n;

    n = 0;

    for (i = 0; i <= len; i++) {

        if (i < len && topic[i] != '/') {
            continue;
        }

        if (n < NGX_HTTP_RT_SHAPE_SEGMENTS) {
            segments->ends[n] = i;
        }

        n++;
    }

    segments->topic = topic;
    segments->n = n;
}


int
ngx_http_rt_shape_hash_topic(const ngx_http_rt_shapes_t *shapes,
    unsigned number, const ngx_http_rt_hash_key_t *key,
    const ngx_http_rt_segments_t *segments, uint32_t *hash)
{
    unsigned                    i, from, part;
    const ngx_http_rt_shape_t  *shape;

    shape = &shapes->shapes[number];

    if (shape->deep ? segments->n <= shape->n : segments->n != shape->n) {
        return -1;
    }

    for (i = 0, from = 0; i < shape->n; i++) {
        part = shape->parts[i];

        if (part != NGX_HTTP_RT_SHAPE_LITERAL
            && segments->ends[i] - from < part)
        {
            return -1;
        }

        from = segments->ends[i] + 1;
    }

    *hash = ngx_http_rt_shape_hash(shape, number, key, segments);

    return 0;
}


static uint32_t
ngx_http_rt_shape_hash(const ngx_http_rt_shape_t *shape, unsigned number,
    const ngx_http_rt_hash_key_t *key, const ngx_http_rt_segments_t *segments)
{
    u_char    *p, text[1 + NGX_HTTP_RT_TOPIC_MAX + 1];
    unsigned   i, from, len;
    uint64_t   hash;

    p = text;
    *p++ = number;

    for (i = 0, from = 0; i < shape->n; i++) {

        len = (shape->parts[i] == NGX_HTTP_RT_SHAPE_LITERAL)
              ? segments->ends[i] - from : shape->parts[i];

        memcpy(p, segments->topic + from, len);
        p += len;
        *p++ = '/';

        from = segments->ends[i] + 1;
    }

    hash = ngx_http_rt_siphash(key, text, p - text);

    return (uint32_t) (hash ^ hash >> 32);
}
