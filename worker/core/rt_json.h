/*
 * JSON in and out.
 *
 * In: one object from a foreigner, parsed by yajl into a flat array of nodes
 * in the order of the text; nothing in it is trusted and everything in it is
 * bounded; its strings are UTF-8 without control characters, or it is none.
 * Out: bytes appended to a buffer.
 */


#ifndef _RT_JSON_H_INCLUDED_
#define _RT_JSON_H_INCLUDED_


#include "rt_core.h"


#define RT_JSON_DEPTH_MAX   8               /* no command nests deeper */
#define RT_JSON_KEYS_MAX    64              /* in one object: all compared */
#define RT_JSON_NODES_MAX   4096            /* values in one text */
#define RT_JSON_ARENA       (64 * 1024)     /* what most texts need */


typedef enum {
    RT_JSON_NULL,
    RT_JSON_BOOL,
    RT_JSON_INTEGER,
    RT_JSON_REAL,
    RT_JSON_STRING,
    RT_JSON_ARRAY,
    RT_JSON_OBJECT
} rt_json_type_e;


typedef struct {
    rt_json_type_e   type;
    uint32_t         next;                  /* sibling, 0: the last */
    uint32_t         count;                 /* children; they follow at once */
    rt_str_t         name;                  /* in an object */
    rt_str_t         string;
    int64_t          number;                /* and bool */
} rt_json_node_t;


typedef struct rt_json_block_s  rt_json_block_t;


/* a parser and what it has read; all zero before its first use */

typedef struct {
    rt_uint_t         n;
    rt_json_node_t   *nodes;                /* node 0 is the whole; owner */
    char              error[160];           /* after RT_DECLINED */
    size_t            error_at;             /* byte offset */

    /* private: what yajl allocates lives until the next parse */
    u_char           *arena;                /* owner; RT_JSON_ARENA */
    size_t            arena_used;
    rt_json_block_t  *blocks;               /* owner; what did not fit */
} rt_json_t;


void rt_json_free(rt_json_t *js);

/*
 * RT_OK: an object; valid until the next call, and while p lives.
 * RT_DECLINED: not one; js->error says what and js->error_at where.
 */
rt_int_t rt_json_parse(rt_json_t *js, const u_char *p, size_t n);

rt_json_node_t *rt_json_get(const rt_json_t *js, const rt_json_node_t *object,
    const char *name);

#define rt_json_first(js, node)                                               \
    ((node)->count ? (rt_json_node_t *) (node) + 1 : NULL)
#define rt_json_next(js, node)                                                \
    ((node)->next ? &(js)->nodes[(node)->next] : NULL)


void rt_json_string(rt_buf_t *b, rt_str_t s);   /* quoted and escaped */

/* {"error":"code","message":"..."} */
void rt_json_error(rt_buf_t *b, const char *code, const char *message);


#endif /* _RT_JSON_H_INCLUDED_ */
