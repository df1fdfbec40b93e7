/*
 * Operations: what clients may do, whatever protocol they speak.  HTTP handlers
 * and dialects parse and answer; between the two they call one function of
 * these, which asks ngx_http_rt_may(), checks what it has been given, and calls
 * the zone or a daemon's link.
 */

#ifndef _NGX_HTTP_RT_OPERATION_H_INCLUDED_
#define _NGX_HTTP_RT_OPERATION_H_INCLUDED_


#include "ngx_http_rt_link.h"
#include "ngx_http_rt_session.h"


typedef enum {
    NGX_HTTP_RT_OP_PUBLISH = 0,
    NGX_HTTP_RT_OP_SUBSCRIBE,
    NGX_HTTP_RT_OP_UNSUBSCRIBE,
    NGX_HTTP_RT_OP_HISTORY,
    NGX_HTTP_RT_OP_COMMAND,
    NGX_HTTP_RT_OP_QUERY
} ngx_http_rt_operation_e;


/*
 * NGX_OK, or NGX_DECLINED: it may not.  "topic" is a topic, a pattern to be
 * subscribed to, or the entity of a command; a NULL principal may everything.
 */

ngx_int_t ngx_http_rt_may(const ngx_http_rt_principal_t *who,
    ngx_uint_t operation, const ngx_str_t *topic);


/* publish */

typedef enum {
    NGX_HTTP_RT_PUBLISHED = 0,
    NGX_HTTP_RT_PUBLISH_INVALID,        /* as "reason" says */
    NGX_HTTP_RT_PUBLISH_FORBIDDEN,
    NGX_HTTP_RT_PUBLISH_SIZE,           /* beyond size_max */
    NGX_HTTP_RT_PUBLISH_LARGE,          /* beyond a quarter of the ring */
    NGX_HTTP_RT_PUBLISH_MISMATCH,       /* the key had other messages */
    NGX_HTTP_RT_PUBLISH_BUSY,
    NGX_HTTP_RT_PUBLISH_FULL,
    NGX_HTTP_RT_PUBLISH_RESULTS
} ngx_http_rt_published_e;


/* what a topic must be to be published to; NULL, or what is wrong with it */

typedef const char *(*ngx_http_rt_topic_rule_pt)(const u_char *p, size_t len);


typedef struct ngx_http_rt_publication_s  ngx_http_rt_publication_t;

typedef void (*ngx_http_rt_publication_pt)(ngx_http_rt_publication_t *pub);


/* one message as a client gave it, of any length, not checked */

typedef struct {
    ngx_str_t                      topic;
    ngx_str_t                      event;       /* empty: none */
    ngx_str_t                      type;        /* empty: none */
    ngx_str_t                      data;
    unsigned                       binary:1;
    unsigned                       utf8:1;      /* data: known already */
} ngx_http_rt_draft_t;


/*
 * Messages to be published, all or none.  The caller sets the first part, adds
 * each message, and publishes; memory and strings are its own, and must stay
 * until there is a result.  A publication with a handler may be answered
 * later; one without is answered at once, if need be with BUSY.
 */

struct ngx_http_rt_publication_s {
    const ngx_http_rt_principal_t *who;
    ngx_http_rt_zone_t            *zone;
    ngx_http_rt_message_t         *messages;    /* room for those added */
    ngx_http_rt_key_t        *key;         /* or NULL */
    ngx_http_rt_topic_rule_pt      rule;        /* NULL: HTTP's */
    size_t                         size_max;    /* of one's data; 0: none */
    ngx_http_rt_publication_pt     handler;     /* or NULL */
    void                          *data;

    /* results */

    ngx_uint_t                     n;           /* messages added */
    ngx_http_rt_published_e        rc;
    const char                    *reason;      /* of INVALID */
    uint64_t                       epoch;
    uint64_t                       first;       /* seqs; of a replay those of */
    uint64_t                       last;        /* the first time, as are */
    uint64_t                       subscribers;
    uint64_t                       count;       /* and this: messages */
    unsigned                       replay:1;

    ngx_http_rt_append_t           append;      /* private */
};


/* checks one message; NGX_OK, NGX_DECLINED: pub->rc is set */
ngx_int_t ngx_http_rt_publication_add(ngx_http_rt_publication_t *pub,
    const ngx_http_rt_draft_t *draft);

/* NGX_OK: pub->rc is set; NGX_AGAIN: the handler will be called when it is */
ngx_int_t ngx_http_rt_operation_publish(ngx_http_rt_publication_t *pub);

/* the publisher has gone; it may or may not be published */
void ngx_http_rt_publication_cancel(ngx_http_rt_publication_t *pub);

/* the result as an HTTP status, and as the code of a WebSocket close frame; */
/* *text is a short reason, static or pub->reason */
ngx_uint_t ngx_http_rt_publication_status(const ngx_http_rt_publication_t *pub,
    const char **text);
ngx_uint_t ngx_http_rt_publication_code(const ngx_http_rt_publication_t *pub,
    const char **text);


/* subscribe and unsubscribe, in a session that multiplexes */

typedef enum {
    NGX_HTTP_RT_SUBSCRIBED = 0,
    NGX_HTTP_RT_SUBSCRIBING,            /* the dialect's started() is told */
    NGX_HTTP_RT_SUBSCRIBE_INVALID,      /* as "reason" says */
    NGX_HTTP_RT_SUBSCRIBE_FORBIDDEN,
    NGX_HTTP_RT_SUBSCRIBE_TWICE,
    NGX_HTTP_RT_SUBSCRIBE_MANY,         /* beyond realtime_subscription_limit */
    NGX_HTTP_RT_SUBSCRIBE_CROWDED,      /* beyond realtime_subscriber_limit */
    NGX_HTTP_RT_SUBSCRIBE_FULL,
    NGX_HTTP_RT_SUBSCRIBE_UNKNOWN       /* there is nothing to unsubscribe */
} ngx_http_rt_subscribed_e;


typedef struct {
    ngx_str_t                      topic;       /* or pattern */
    ngx_http_rt_from_t             from;

    /* results */

    ngx_http_rt_subscribed_e       rc;
    const char                    *code;        /* one word, for programs */
    const char                    *reason;
    uint64_t                       position;    /* SUBSCRIBED: it begins here */
    ngx_http_rt_reader_t          *reader;
} ngx_http_rt_joining_t;


/* NGX_OK: rc, code and reason are set; NGX_ERROR: no memory */
ngx_int_t ngx_http_rt_operation_subscribe(ngx_http_rt_session_t *s,
    ngx_http_rt_joining_t *j);
ngx_int_t ngx_http_rt_operation_unsubscribe(ngx_http_rt_session_t *s,
    ngx_http_rt_joining_t *j);


/*
 * Commands and queries: NGX_OK: call->handler will be called; else nothing has
 * been asked, for a reason of ngx_http_rt_link_ask() or:
 */

#define NGX_HTTP_RT_OP_FORBIDDEN   NGX_HTTP_FORBIDDEN

ngx_int_t ngx_http_rt_operation_command(const ngx_http_rt_principal_t *who,
    ngx_http_rt_link_t *link, ngx_http_rt_call_t *call,
    ngx_http_rt_ask_t *ask);
ngx_int_t ngx_http_rt_operation_query(const ngx_http_rt_principal_t *who,
    ngx_http_rt_link_t *link, ngx_http_rt_call_t *call,
    ngx_http_rt_ask_t *ask);


#endif /* _NGX_HTTP_RT_OPERATION_H_INCLUDED_ */
