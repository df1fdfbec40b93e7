/*
 * The index: a zone's fixed-size cells, and the hash table over them.
 *
 * Everything that a zone knows by name lives in cells of 256 bytes: topics,
 * patterns that somebody has subscribed to, idempotency keys.  The rest of a
 * long name and the presences that do not fit go to cells of their own.
 *
 * Who subscribes is kept as presences: a count per process slot, so that what
 * a dead process held is given back when its slot is swept.
 *
 * All changes happen under the zone's mutex.  A process may die at any
 * instruction of them; therefore only what hangs in the hash table counts, it
 * is hung there and taken out by one store each, and repair() derives all the
 * rest (free list, order lists, counts) from it anew.
 *
 * When no cell is free, the oldest idempotency key goes first, then the topic
 * without subscribers that has been idle longest.  A topic with subscribers is
 * never given up.
 */

#ifndef _NGX_HTTP_RT_INDEX_H_INCLUDED_
#define _NGX_HTTP_RT_INDEX_H_INCLUDED_


#include "ngx_http_rt_record.h"


#define NGX_HTTP_RT_CELL_SIZE      256
#define NGX_HTTP_RT_CELL_NAME      128
#define NGX_HTTP_RT_CELL_PRESENCES 8
#define NGX_HTTP_RT_CELL_CROWD     56

/* subscribers of one topic in one process; the eight bits above are its slot */
#define NGX_HTTP_RT_PRESENCE_MAX   0xffffff

/* the last seqs of topics that were given up, by hash of their names, and by */
/* hash of their first segments */
#define NGX_HTTP_RT_FORGOTTEN      1024

#define NGX_HTTP_RT_CELL_FREE      0
#define NGX_HTTP_RT_CELL_TOPIC     1
#define NGX_HTTP_RT_CELL_PATTERN   2    /* hash: of its literal head */
#define NGX_HTTP_RT_CELL_KEY       3
#define NGX_HTTP_RT_CELL_REST      4    /* of a name */
#define NGX_HTTP_RT_CELL_CROWDED   5    /* presences */


typedef struct {
    uint64_t                 first;     /* positions of the oldest record */
    uint64_t                 last;      /* and the newest; first 0: none */
    uint64_t                 seq;       /* of the last message ever */
    uint64_t                 floor;     /* up to this seq all is gone */
    uint64_t                 deleted;   /* up to this seq by DELETE */
    uint64_t                 ordinal;   /* of the last message */
    uint64_t                 bytes;     /* of all messages ever */
} ngx_http_rt_cell_topic_t;


typedef struct {
    uint32_t                 next;      /* in bucket or free list */
    uint32_t                 hash;
    uint32_t                 older;     /* in the list of idle topics */
    uint32_t                 newer;     /* or of keys */
    uint32_t                 rest;      /* of the name */
    uint32_t                 crowd;     /* more presences, chained by next */
    uint32_t                 mark;      /* by the last repair */
    uint8_t                  kind;
    uint8_t                  name_len;
    uint8_t                  listed;
    uint8_t                  npresence;

    union {
        struct {
            uint64_t                  id;
            ngx_http_rt_cell_topic_t  topic;
            uint32_t                  presence[NGX_HTTP_RT_CELL_PRESENCES];
            u_char                    name[NGX_HTTP_RT_CELL_NAME];
        };

        ngx_http_rt_key_t        key;
        u_char                        text[NGX_HTTP_RT_CELL_SIZE - 32];
        uint32_t                      crowded[NGX_HTTP_RT_CELL_CROWD];
    };
} ngx_http_rt_cell_t;


typedef struct {
    uint32_t                 oldest;
    uint32_t                 newest;
} ngx_http_rt_index_list_t;


typedef struct {
    ngx_http_rt_cell_t      *cells;     /* in the zone; [0] is not used */
    uint32_t                *buckets;
    uint32_t                 ncells;
    uint32_t                 mask;      /* of buckets */

    uint32_t                 free;
    uint32_t                 nfree;
    uint32_t                 topics;
    uint32_t                 patterns;
    uint32_t                 mark;

    ngx_http_rt_index_list_t idle;      /* topics without subscribers */
    ngx_http_rt_index_list_t keys;

    uint64_t                 ids;       /* of topics */
    uint64_t                 forgotten[NGX_HTTP_RT_FORGOTTEN];
    uint64_t                 forgotten_below[NGX_HTTP_RT_FORGOTTEN];
} ngx_http_rt_index_t;


/* a set of slots, and the subscribers in them */

typedef struct {
    uint64_t                 slots[NGX_HTTP_RT_SLOTS / 64];
    uint64_t                 subscribers;
} ngx_http_rt_presence_t;


#define ngx_http_rt_index_number(index, cell)                                 \
    ((uint32_t) ((cell) - (index)->cells))


int ngx_http_rt_index_init(ngx_http_rt_index_t *index, u_char *base,
    size_t size);
void ngx_http_rt_index_repair(ngx_http_rt_index_t *index);

/* without the mutex: who will look for this hash soon */
void ngx_http_rt_index_prefetch(ngx_http_rt_index_t *index, uint32_t hash);

ngx_http_rt_cell_t *ngx_http_rt_index_find(ngx_http_rt_index_t *index,
    unsigned kind, uint32_t hash, const u_char *name, size_t len);
ngx_http_rt_cell_t *ngx_http_rt_index_add(ngx_http_rt_index_t *index,
    unsigned kind, uint32_t hash, const u_char *name, size_t len);
void ngx_http_rt_index_remove(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
void ngx_http_rt_index_touch(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
uint64_t ngx_http_rt_index_forgotten(ngx_http_rt_index_t *index,
    uint32_t hash);
uint64_t ngx_http_rt_index_forgotten_match(ngx_http_rt_index_t *index,
    const u_char *pattern, size_t len);

/* "name" has room for 255 bytes */
size_t ngx_http_rt_index_name(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, u_char *name);
ngx_http_rt_cell_t *ngx_http_rt_index_of_topic(ngx_http_rt_index_t *index,
    uint32_t number, uint64_t id);

/* keys are found by their digest; "key" is 20 bytes */
ngx_http_rt_cell_t *ngx_http_rt_index_find_key(ngx_http_rt_index_t *index,
    const u_char *key);
ngx_http_rt_cell_t *ngx_http_rt_index_add_key(ngx_http_rt_index_t *index,
    const ngx_http_rt_key_t *key, uint64_t expired);

/* 0, or -1 if there is no room */
int ngx_http_rt_index_enter(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, unsigned slot);
void ngx_http_rt_index_leave(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, unsigned slot);
void ngx_http_rt_index_presence(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, ngx_http_rt_presence_t *p);
void ngx_http_rt_index_patterns(ngx_http_rt_index_t *index,
    const u_char *topic, size_t len, ngx_http_rt_presence_t *p);
uint32_t ngx_http_rt_index_sweep(ngx_http_rt_index_t *index, unsigned slot,
    uint32_t from, uint32_t n);


#endif /* _NGX_HTTP_RT_INDEX_H_INCLUDED_ */
