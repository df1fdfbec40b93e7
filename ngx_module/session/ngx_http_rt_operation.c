/*
 * Operations: permission, checks, and the call to the zone or to a link; see
 * the header.  Nothing here knows how a client asked or how it is answered, but
 * for one table that gives each result of a publication its two codes.
 */

#include "ngx_http_rt_operation.h"
#include "ngx_http_rt_rule.h"
#include "ngx_http_rt_utf8.h"


typedef struct {
    ngx_uint_t                     status;      /* of HTTP */
    const char                    *text;
    ngx_uint_t                     code;        /* of WebSocket */
    const char                    *reason;      /* at most 123 bytes */
} ngx_http_rt_published_t;


/* by ngx_http_rt_subscribed_e */

static const struct {
    const char                    *code;
    const char                    *reason;

} ngx_http_rt_subscribed[] = {

    { "ok", "" },
    { "ok", "" },
    { "bad_topic", NULL },
    { "forbidden", "this topic may not be subscribed to" },
    { "already_subscribed", "the session has this topic" },
    { "too_many_topics", "the session has as many topics as allowed" },
    { "too_many_subscribers", "topic has as many subscribers as allowed" },
    { "no_room", "no room for the topic" },
    { "not_subscribed", "the session has no such topic" }
};


static ngx_int_t ngx_http_rt_operation_listed(const ngx_array_t *list,
    const ngx_str_t *topic);
static ngx_int_t ngx_http_rt_operation_ask(const ngx_http_rt_principal_t *who,
    ngx_uint_t operation, ngx_http_rt_link_t *link, ngx_http_rt_call_t *call,
    ngx_http_rt_ask_t *ask);
static const char *ngx_http_rt_publication_check(
    ngx_http_rt_publication_t *pub, const ngx_http_rt_draft_t *draft);
static ngx_int_t ngx_http_rt_publication_refuse(ngx_http_rt_publication_t *pub,
    ngx_http_rt_published_e rc, const char *reason);
static void ngx_http_rt_joining_done(ngx_http_rt_joining_t *j,
    ngx_http_rt_subscribed_e rc);
static void ngx_http_rt_publication_later(ngx_http_rt_append_t *a);
static void ngx_http_rt_publication_done(ngx_http_rt_publication_t *pub);


/* by ngx_http_rt_published_e; without a text it is pub->reason */

static const ngx_http_rt_published_t  ngx_http_rt_published[] = {

    { NGX_HTTP_CREATED, "published", 1000, "published" },

    { NGX_HTTP_BAD_REQUEST, NULL, 1007, NULL },

    { NGX_HTTP_BAD_REQUEST, "topic may not be published to here",
      1008, "topic may not be published to here" },

    { NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
      "message is larger than realtime_message_max_size",
      1009, "message is too large" },

    { NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
      "message or batch is larger than a quarter of the zone's ring",
      1009, "message is too large" },

    { 422, "Idempotency-Key was used with another message",
      1008, "the key was used with another message" },

    { NGX_HTTP_SERVICE_UNAVAILABLE,
      "the ring is held by another process, try again",
      1013, "the ring is busy, try again" },

    { NGX_HTTP_SERVICE_UNAVAILABLE,
      "no room for the topic, all topics have subscribers",
      1013, "no room for the topic" }
};


ngx_int_t
ngx_http_rt_may(const ngx_http_rt_principal_t *who, ngx_uint_t operation,
    const ngx_str_t *topic)
{
    if (who == NULL) {
        return NGX_OK;
    }

    switch (operation) {

    case NGX_HTTP_RT_OP_PUBLISH:
        return ngx_http_rt_operation_listed(who->publish, topic);

    case NGX_HTTP_RT_OP_SUBSCRIBE:
    case NGX_HTTP_RT_OP_HISTORY:
        return ngx_http_rt_operation_listed(who->subscribe, topic);

    default:

        /* what one has one may leave; entities are the location's matter */

        return NGX_OK;
    }
}


static ngx_int_t
ngx_http_rt_operation_listed(const ngx_array_t *list, const ngx_str_t *topic)
{
    ngx_str_t   *grant;
    ngx_uint_t   i;

    if (list == NULL) {
        return NGX_OK;
    }

    grant = list->elts;

    for (i = 0; i < list->nelts; i++) {

        /* a pattern is covered by itself; stars are no segment's bytes */

        if (grant[i].len == topic->len
            && ngx_memcmp(grant[i].data, topic->data, topic->len) == 0)
        {
            return NGX_OK;
        }

        if (ngx_strlchr(topic->data, topic->data + topic->len, '*') == NULL
            && ngx_http_rt_pattern_match(grant[i].data, grant[i].len,
                                         topic->data, topic->len))
        {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_rt_publication_add(ngx_http_rt_publication_t *pub,
    const ngx_http_rt_draft_t *draft)
{
    const char             *reason;
    ngx_http_rt_message_t  *m;

    reason = ngx_http_rt_publication_check(pub, draft);

    if (reason) {
        return ngx_http_rt_publication_refuse(pub, NGX_HTTP_RT_PUBLISH_INVALID,
                                              reason);
    }

    if (ngx_http_rt_may(pub->who, NGX_HTTP_RT_OP_PUBLISH, &draft->topic)
        != NGX_OK)
    {
        return ngx_http_rt_publication_refuse(pub,
                                        NGX_HTTP_RT_PUBLISH_FORBIDDEN, NULL);
    }

    if (pub->size_max && draft->data.len > pub->size_max) {
        return ngx_http_rt_publication_refuse(pub, NGX_HTTP_RT_PUBLISH_SIZE,
                                              NULL);
    }

    m = &pub->messages[pub->n++];

    ngx_memzero(m, sizeof(ngx_http_rt_message_t));

    m->topic = draft->topic.data;
    m->topic_len = draft->topic.len;
    m->event = draft->event.data;
    m->event_len = draft->event.len;
    m->type = draft->type.data;
    m->type_len = draft->type.len;
    m->data = draft->data.data;
    m->data_len = draft->data.len;
    m->binary = draft->binary;

    return NGX_OK;
}


/* NULL, or what is wrong */

static const char *
ngx_http_rt_publication_check(ngx_http_rt_publication_t *pub,
    const ngx_http_rt_draft_t *draft)
{
    const char  *reason;

    reason = pub->rule ? pub->rule(draft->topic.data, draft->topic.len)
                       : ngx_http_rt_rule_topic(draft->topic.data,
                                                draft->topic.len);

    if (reason == NULL && draft->event.len) {
        reason = ngx_http_rt_rule_event(draft->event.data, draft->event.len);
    }

    if (reason == NULL && draft->type.len) {
        reason = ngx_http_rt_rule_type(draft->type.data, draft->type.len);
    }

    if (reason == NULL && !draft->binary && !draft->utf8
        && ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, draft->data.data,
                                 draft->data.len)
           != NGX_HTTP_RT_UTF8_ACCEPT)
    {
        reason = "text is not valid UTF-8";
    }

    return reason;
}


static ngx_int_t
ngx_http_rt_publication_refuse(ngx_http_rt_publication_t *pub,
    ngx_http_rt_published_e rc, const char *reason)
{
    pub->rc = rc;
    pub->reason = reason;

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_rt_operation_publish(ngx_http_rt_publication_t *pub)
{
    ngx_http_rt_append_t  *a;

    pub->epoch = pub->zone->epoch;

    a = &pub->append;

    a->messages = pub->messages;
    a->n = pub->n;
    a->key = pub->key;
    a->place = NULL;
    a->handler = ngx_http_rt_publication_later;
    a->data = pub;

    if (pub->handler == NULL) {
        (void) ngx_http_rt_zone_append_now(pub->zone, a);

    } else if (ngx_http_rt_zone_append(pub->zone, a) == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    ngx_http_rt_publication_done(pub);

    return NGX_OK;
}


static void
ngx_http_rt_publication_later(ngx_http_rt_append_t *a)
{
    ngx_http_rt_publication_t  *pub;

    pub = a->data;

    ngx_http_rt_publication_done(pub);

    pub->handler(pub);
}


static void
ngx_http_rt_publication_done(ngx_http_rt_publication_t *pub)
{
    switch (pub->append.rc) {

    case NGX_HTTP_RT_TOPIC_OK:
        pub->rc = NGX_HTTP_RT_PUBLISHED;
        pub->first = pub->messages[0].seq;
        pub->last = pub->messages[pub->n - 1].seq;
        pub->count = pub->n;
        pub->subscribers = pub->append.subscribers;
        break;

    case NGX_HTTP_RT_TOPIC_REPLAY:
        pub->rc = NGX_HTTP_RT_PUBLISHED;
        pub->first = pub->key->first;
        pub->last = pub->key->last;
        pub->count = pub->key->count;
        pub->subscribers = pub->key->subscribers;
        pub->replay = 1;
        break;

    case NGX_HTTP_RT_TOPIC_MISMATCH:
        pub->rc = NGX_HTTP_RT_PUBLISH_MISMATCH;
        break;

    case NGX_HTTP_RT_TOPIC_LARGE:
        pub->rc = NGX_HTTP_RT_PUBLISH_LARGE;
        break;

    case NGX_HTTP_RT_TOPIC_BUSY:
        pub->rc = NGX_HTTP_RT_PUBLISH_BUSY;
        break;

    default: /* NGX_HTTP_RT_TOPIC_FULL */
        pub->rc = NGX_HTTP_RT_PUBLISH_FULL;
        break;
    }
}


void
ngx_http_rt_publication_cancel(ngx_http_rt_publication_t *pub)
{
    ngx_http_rt_zone_cancel(&pub->append);
}


ngx_uint_t
ngx_http_rt_publication_status(const ngx_http_rt_publication_t *pub,
    const char **text)
{
    const ngx_http_rt_published_t  *p;

    p = &ngx_http_rt_published[pub->rc];

    *text = p->text ? p->text : pub->reason;

    return p->status;
}


ngx_uint_t
ngx_http_rt_publication_code(const ngx_http_rt_publication_t *pub,
    const char **text)
{
    const ngx_http_rt_published_t  *p;

    p = &ngx_http_rt_published[pub->rc];

    *text = p->reason ? p->reason : pub->reason;

    return p->code;
}


ngx_int_t
ngx_http_rt_operation_subscribe(ngx_http_rt_session_t *s,
    ngx_http_rt_joining_t *j)
{
    unsigned     wild;
    const char  *reason;

    reason = ngx_http_rt_rule_pattern(j->topic.data, j->topic.len, &wild);

    if (reason) {
        ngx_http_rt_joining_done(j, NGX_HTTP_RT_SUBSCRIBE_INVALID);
        j->reason = reason;
        return NGX_OK;
    }

    if (ngx_http_rt_may(&s->principal, NGX_HTTP_RT_OP_SUBSCRIBE, &j->topic)
        != NGX_OK)
    {
        ngx_http_rt_joining_done(j, NGX_HTTP_RT_SUBSCRIBE_FORBIDDEN);
        return NGX_OK;
    }

    switch (ngx_http_rt_session_subscribe(s, &j->topic, wild, &j->from,
                                          &j->position, &j->reader))
    {
    case NGX_OK:
        ngx_http_rt_joining_done(j, NGX_HTTP_RT_SUBSCRIBED);
        return NGX_OK;

    case NGX_DONE:
        ngx_http_rt_joining_done(j, NGX_HTTP_RT_SUBSCRIBING);
        return NGX_OK;

    case NGX_BUSY:
        ngx_http_rt_joining_done(j, NGX_HTTP_RT_SUBSCRIBE_TWICE);
        return NGX_OK;

    case NGX_ABORT:
        ngx_http_rt_joining_done(j, NGX_HTTP_RT_SUBSCRIBE_MANY);
        return NGX_OK;

    case NGX_AGAIN:
        ngx_http_rt_joining_done(j, NGX_HTTP_RT_SUBSCRIBE_CROWDED);
        return NGX_OK;

    case NGX_DECLINED:
        ngx_http_rt_joining_done(j, NGX_HTTP_RT_SUBSCRIBE_FULL);
        return NGX_OK;

    default:
        return NGX_ERROR;
    }
}


ngx_int_t
ngx_http_rt_operation_unsubscribe(ngx_http_rt_session_t *s,
    ngx_http_rt_joining_t *j)
{
    ngx_http_rt_joining_done(j,
                     ngx_http_rt_session_unsubscribe(s, &j->topic) == NGX_OK
                         ? NGX_HTTP_RT_SUBSCRIBED
                         : NGX_HTTP_RT_SUBSCRIBE_UNKNOWN);

    return NGX_OK;
}


static void
ngx_http_rt_joining_done(ngx_http_rt_joining_t *j, ngx_http_rt_subscribed_e rc)
{
    j->rc = rc;
    j->code = ngx_http_rt_subscribed[rc].code;
    j->reason = ngx_http_rt_subscribed[rc].reason;
}


ngx_int_t
ngx_http_rt_operation_command(const ngx_http_rt_principal_t *who,
    ngx_http_rt_link_t *link, ngx_http_rt_call_t *call, ngx_http_rt_ask_t *ask)
{
    ask->type = RT_WIRE_COMMAND;

    return ngx_http_rt_operation_ask(who, NGX_HTTP_RT_OP_COMMAND, link, call,
                                     ask);
}


ngx_int_t
ngx_http_rt_operation_query(const ngx_http_rt_principal_t *who,
    ngx_http_rt_link_t *link, ngx_http_rt_call_t *call, ngx_http_rt_ask_t *ask)
{
    ask->type = RT_WIRE_QUERY;

    return ngx_http_rt_operation_ask(who, NGX_HTTP_RT_OP_QUERY, link, call,
                                     ask);
}


static ngx_int_t
ngx_http_rt_operation_ask(const ngx_http_rt_principal_t *who,
    ngx_uint_t operation, ngx_http_rt_link_t *link, ngx_http_rt_call_t *call,
    ngx_http_rt_ask_t *ask)
{
    if (ngx_http_rt_may(who, operation, &ask->entity) != NGX_OK) {
        return NGX_HTTP_RT_OP_FORBIDDEN;
    }

    return ngx_http_rt_link_ask(link, call, ask);
}
