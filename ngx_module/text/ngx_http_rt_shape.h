/*
 * Finding the patterns that match a topic by hash, in a time that does not grow
 * with their number: tuple space search, of V. Srinivasan, S. Suri and
 * G. Varghese, "Packet Classification using Tuple Space Search", 1999.
 *
 * The shape of a pattern says which of its segments are literal, which are "*",
 * which are a prefix of what length and "*", and whether "**" ends it:
 *
 *     prices/eu*       literal, prefix of 2
 *     chat and **      literal, "**"
 *
 * Patterns of one shape hang in a hash table by what is literal in them.  For a
 * topic there is one lookup for each shape in use: the same bytes are taken out
 * of the topic, if it has the segments for them.  What is found has to be
 * compared; ngx_http_rt_pattern_match() does that.
 *
 * A table has at most 64 shapes.  A pattern with more than 16 segments, or with
 * a shape for which there is no place, has none; its table has to keep it
 * elsewhere.  A table in shared memory may be changed by a process that dies:
 * a shape is written before it is counted, and shapes_clear() with
 * shapes_recount() for each pattern makes the counts right again.
 */

#ifndef _NGX_HTTP_RT_SHAPE_H_INCLUDED_
#define _NGX_HTTP_RT_SHAPE_H_INCLUDED_


#include "ngx_http_rt_hash.h"


/* one lookup of a topic costs 20 to 50 ns for each shape in use */
#define NGX_HTTP_RT_SHAPES          64
#define NGX_HTTP_RT_SHAPE_NONE      NGX_HTTP_RT_SHAPES

/* more are rare, and make shapes large */
#define NGX_HTTP_RT_SHAPE_SEGMENTS  16

#define NGX_HTTP_RT_SHAPE_LITERAL   255
#define NGX_HTTP_RT_SHAPE_STAR      0


typedef struct {
    uint8_t               n;          /* segments, without "**" */
    uint8_t               deep;       /* "**" ends it */

    /* LITERAL, STAR, or the length of a prefix */
    uint8_t               parts[NGX_HTTP_RT_SHAPE_SEGMENTS];
} ngx_http_rt_shape_t;


typedef struct {
    uint64_t              used;       /* bits of those with patterns */
    uint32_t              counts[NGX_HTTP_RT_SHAPES];
    ngx_http_rt_shape_t   shapes[NGX_HTTP_RT_SHAPES];
} ngx_http_rt_shapes_t;


/* a topic in segments; of the first ones it is known where they end */

typedef struct {
    const u_char         *topic;
    unsigned              n;
    uint8_t               ends[NGX_HTTP_RT_SHAPE_SEGMENTS];
} ngx_http_rt_segments_t;


/* the pattern has been checked; 0, or -1 if it has no shape */
int ngx_http_rt_shape_parse(const u_char *p, size_t len,
    ngx_http_rt_shape_t *shape);

/* the number of the pattern's shape, or NONE; get() adds it if need be, and */
/* counts the pattern, and put() takes it out again */
unsigned ngx_http_rt_shapes_find(const ngx_http_rt_shapes_t *shapes,
    const u_char *p, size_t len);
unsigned ngx_http_rt_shapes_get(ngx_http_rt_shapes_t *shapes,
    const u_char *p, size_t len);
void ngx_http_rt_shapes_put(ngx_http_rt_shapes_t *shapes, unsigned number);

/* counts anew; 0, or -1 if the number is not the pattern's */
void ngx_http_rt_shapes_clear(ngx_http_rt_shapes_t *shapes);
int ngx_http_rt_shapes_recount(ngx_http_rt_shapes_t *shapes, unsigned number,
    const u_char *p, size_t len);

/* where a pattern of this shape hangs */
uint32_t ngx_http_rt_shape_hash_pattern(const ngx_http_rt_shapes_t *shapes,
    unsigned number, const ngx_http_rt_hash_key_t *key, const u_char *p,
    size_t len);

/* where those of this shape hang that may match the topic; -1: none can */
void ngx_http_rt_shape_split(ngx_http_rt_segments_t *segments,
    const u_char *topic, size_t len);
int ngx_http_rt_shape_hash_topic(const ngx_http_rt_shapes_t *shapes,
    unsigned number, const ngx_http_rt_hash_key_t *key,
    const ngx_http_rt_segments_t *segments, uint32_t *hash);


#endif /* _NGX_HTTP_RT_SHAPE_H_INCLUDED_ */
