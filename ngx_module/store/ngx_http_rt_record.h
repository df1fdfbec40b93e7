/*
 * What lies in the ring and what is said about it, as plain types: records,
 * the reasons of gaps, how far back a reader may begin, and what comes with an
 * append and what comes of it.  Every layer of the module may include this.
 */

#ifndef _NGX_HTTP_RT_RECORD_H_INCLUDED_
#define _NGX_HTTP_RT_RECORD_H_INCLUDED_


#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>


#define NGX_HTTP_RT_RING_ALIGN    8

#define NGX_HTTP_RT_RECORD_FILLER 0x01
#define NGX_HTTP_RT_RECORD_BINARY 0x02
#define NGX_HTTP_RT_RECORD_BLOB   0x04  /* a filler with a message's data, */
#define NGX_HTTP_RT_RECORD_APART  0x08  /* and that message */
#define NGX_HTTP_RT_RECORD_DELETED 0x10
#define NGX_HTTP_RT_RECORD_CONTROL 0x20 /* a filler for all processes */
#define NGX_HTTP_RT_RECORD_REFUSED 0x40 /* the place of a lost message */

/* slots of processes in a zone */
#define NGX_HTTP_RT_SLOTS        256

/* results of reading */
#define NGX_HTTP_RT_RING_OK       0
#define NGX_HTTP_RT_RING_END      1
#define NGX_HTTP_RT_RING_LAPPED   2

/* results of an append */
#define NGX_HTTP_RT_TOPIC_OK       0
#define NGX_HTTP_RT_TOPIC_FULL    -1    /* no room in the index */
#define NGX_HTTP_RT_TOPIC_LARGE   -2    /* more than its share of the ring */
#define NGX_HTTP_RT_TOPIC_REPLAY  -3    /* the key has been used for the same */
#define NGX_HTTP_RT_TOPIC_MISMATCH -4   /* or for something else */
#define NGX_HTTP_RT_TOPIC_BUSY    -5    /* a pin is in the way, try again */

/* how long an idempotency key is kept, ms */
#define NGX_HTTP_RT_TOPIC_KEY_AGE 600000


typedef struct ngx_http_rt_ring_s  ngx_http_rt_ring_t;


/* followed by topic, event, type and data, or the position of its blob, */
/* without separators */

typedef struct {
    uint32_t              size;         /* with the bytes, multiple of 8 */
    uint32_t              flags;

    uint64_t              seq;
    uint64_t              time;         /* ms since 1970 */
    uint64_t              ordinal;      /* number in its topic, from 1 */
    uint64_t              bytes;        /* data of the topic up to here */
    uint64_t              interest;     /* slots to be rung, modulo 64 */

    uint64_t              topic_id;
    uint32_t              topic;        /* its cell in the index */
    uint32_t              hash;         /* of the topic's name */

    uint32_t              prev;         /* of the topic, in units of 8 bytes */
    uint32_t              next;         /* back and ahead from here, 0: none */

    uint32_t              data_len;
    uint8_t               topic_len;
    uint8_t               event_len;
    uint8_t               type_len;
    uint8_t               control;      /* type of a control record */
} ngx_http_rt_record_t;


typedef enum {
    NGX_HTTP_RT_GAP_NONE = 0,
    NGX_HTTP_RT_GAP_EVICTED,
    NGX_HTTP_RT_GAP_HISTORY,
    NGX_HTTP_RT_GAP_LAGGED,
    NGX_HTTP_RT_GAP_DELETED,
    NGX_HTTP_RT_GAP_EPOCH,
    NGX_HTTP_RT_GAP_REFUSED,
    NGX_HTTP_RT_GAP_REASONS
} ngx_http_rt_gap_e;


/* how far back a reader may begin */

typedef struct {
    uint64_t              count;        /* messages of a topic */
    uint64_t              since;        /* ms since 1970 */
} ngx_http_rt_history_t;


/* an idempotency key, and the answer to what was published with it */

typedef struct {
    uint64_t              time;         /* ms since 1970 */
    uint64_t              first;        /* the answer: seqs of */
    uint64_t              last;         /* the messages, */
    uint32_t              count;        /* how many if a batch, else 0, */
    uint32_t              subscribers;
    u_char                key[20];      /* SHA-1 of topic and key */
    u_char                body[20];     /* SHA-1 of the body */
} ngx_http_rt_key_t;


/* how far a source, the journal of a daemon, has come */

typedef struct {
    uint64_t              epoch;        /* of the journal */
    uint64_t              position;
    uint64_t              index;
} ngx_http_rt_place_t;


#define ngx_http_rt_record_next(rec, pos)                                     \
    ((rec)->next ? (pos) + (uint64_t) (rec)->next * NGX_HTTP_RT_RING_ALIGN : 0)

#define ngx_http_rt_record_prev(rec, pos)                                     \
    ((rec)->prev ? (pos) - (uint64_t) (rec)->prev * NGX_HTTP_RT_RING_ALIGN : 0)

/* what it has of the message, wherever the data is */

#define ngx_http_rt_record_load(rec)                                          \
    (sizeof(ngx_http_rt_record_t) + (rec)->topic_len + (rec)->event_len       \
     + (rec)->type_len + (rec)->data_len)


#endif /* _NGX_HTTP_RT_RECORD_H_INCLUDED_ */
