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
 * Cells are shared out, so that no kind can push out another one:
 *
 *     readers     patterns, topics with subscribers, and what they need: at
 *                 most half of the cells; who comes then is refused
 *     keys        an eighth is theirs as long as they are young
 *     topics      what is left, at least three eighths
 *
 * A kind may have more as long as nobody else wants it.  When no cell is free,
 * a key goes if keys have more than their share or the oldest is expired, else
 * the topic without subscribers that has been idle longest.  A new key takes
 * the place of the oldest key when keys have their share.  What goes before its
 * time is counted.
 *
 * A pattern is found by its shape; see ngx_http_rt_shape.h.  Of those without
 * one only the slots are known in one place: these are rung for each message,
 * and the number of subscribers of a topic includes the first
 * NGX_HTTP_RT_SHAPELESS of them that match.
 *
 * Links are checked where they are followed.  One that leads nowhere, or round
 * and round, sets "damaged"; then a repair has to follow.
 */

#ifndef _NGX_HTTP_RT_INDEX_H_INCLUDED_
#define _NGX_HTTP_RT_INDEX_H_INCLUDED_


#include "ngx_http_rt_hash.h"
#include "ngx_http_rt_record.h"
#include "ngx_http_rt_shape.h"


#define NGX_HTTP_RT_CELL_SIZE      256
#define NGX_HTTP_RT_CELL_NAME      128
#define NGX_HTTP_RT_CELL_PRESENCES 8
#define NGX_HTTP_RT_CELL_CROWD     56

/* subscribers of one topic in one process; the eight bits above are its slot */
#define NGX_HTTP_RT_PRESENCE_MAX   0xffffff

/* the last seqs of topics that were given up, by hash of their names, and by */
/* hash of their first segments */
#define NGX_HTTP_RT_FORGOTTEN      1024

/* the shares, in parts of the cells: whoever opens connections cannot have */
/* more than half, and a zone of 64m, with 32 thousand cells, keeps 4096 keys */
#define NGX_HTTP_RT_SHARE_READERS  2
#define NGX_HTTP_RT_SHARE_KEYS     8

/* patterns without a shape that are compared with each topic: some us */
#define NGX_HTTP_RT_SHAPELESS      16

#define NGX_HTTP_RT_CELL_FREE      0
#define NGX_HTTP_RT_CELL_TOPIC     1
#define NGX_HTTP_RT_CELL_PATTERN   2    /* hash: by its shape */
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

            union {
                ngx_http_rt_cell_topic_t  topic;
                uint32_t                  shape;
            };

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
    uint32_t                 nkeys;
    uint32_t                 nreaders;  /* cells of readers */
    uint32_t                 damaged;

    ngx_http_rt_index_list_t idle;      /* topics without subscribers */
    ngx_http_rt_index_list_t keys;
    ngx_http_rt_index_list_t shapeless; /* patterns */

    uint32_t                 most_readers;  /* their shares, in cells */
    uint32_t                 least_keys;
    uint64_t                 expired;   /* keys of before, ms since 1970 */
    uint64_t                 keys_evicted;
    uint64_t                 topics_evicted;

    ngx_http_rt_hash_key_t   seed;      /* of hashes of names */
    ngx_http_rt_shapes_t     shapes;
    uint32_t                 rung[NGX_HTTP_RT_SLOTS];  /* presences of */
                                        /* shapeless patterns */
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

uint32_t ngx_http_rt_index_hash(const ngx_http_rt_index_t *index,
    const u_char *name, size_t len);

/* whether readers may have the cells for this one; NULL: for a new one */
int ngx_http_rt_index_room(const ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, size_t len);

/* the hash is that of a topic; patterns have their own */
ngx_http_rt_cell_t *ngx_http_rt_index_find(ngx_http_rt_index_t *index,
    unsigned kind, uint32_t hash, const u_char *name, size_t len);
ngx_http_rt_cell_t *ngx_http_rt_index_add(ngx_http_rt_index_t *index,
    unsigned kind, uint32_t hash, const u_char *name, size_t len);
void ngx_http_rt_index_remove(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
void ngx_http_rt_index_touch(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);

/* a topic without a cell may have had messages up to this seq */
void ngx_http_rt_index_remember(ngx_http_rt_index_t *index,
    const u_char *name, size_t len, uint32_t hash, uint64_t seq);

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

/* 0, or -1 if there is no room; settle() then takes out what nobody needs */
int ngx_http_rt_index_enter(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, unsigned slot);
void ngx_http_rt_index_leave(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, unsigned slot);
void ngx_http_rt_index_settle(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell);
void ngx_http_rt_index_presence(ngx_http_rt_index_t *index,
    ngx_http_rt_cell_t *cell, ngx_http_rt_presence_t *p);
void ngx_http_rt_index_patterns(ngx_http_rt_index_t *index,
    const u_char *topic, size_t len, ngx_http_rt_presence_t *p);
uint32_t ngx_http_rt_index_sweep(ngx_http_rt_index_t *index, unsigned slot,
    uint32_t from, uint32_t n);


#endif /* _NGX_HTTP_RT_INDEX_H_INCLUDED_ */
