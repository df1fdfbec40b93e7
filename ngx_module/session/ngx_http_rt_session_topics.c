/*
 * The topics of a session that multiplexes: each is a reader of its own, with
 * its own position, and comes and goes at any time.
 *
 * Topics and patterns of one session may overlap: all of "room", and "room/7".
 * A message goes to the client once all the same, and those of a topic in the
 * order of seq, but for what a client asks for again.  A pattern leaves to a
 * topic, and to an older pattern, what comes after the position where that one
 * began.  A topic does not begin later than where the pattern is, so that none
 * comes in between.  A pattern that overlaps reads by itself, for it cannot
 * share what is written for all.
 *
 * What is unsubscribed while a pattern still covers it goes at once only if all
 * are at the same position.  Else it is "leaving": its reader goes on, as what
 * comes is for the client in any case, until all patterns are where it is.
 */

#include "ngx_http_rt_session.h"
#include "ngx_http_rt_pattern.h"


/* behind all */
#define NGX_HTTP_RT_SEQ_MAX  ((uint64_t) -1)


static void ngx_http_rt_session_topics_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_int_t ngx_http_rt_session_topics_order(uint32_t hash,
    const ngx_str_t *name, ngx_rbtree_node_t *node);
static ngx_http_rt_session_topic_t *ngx_http_rt_session_topics_find(
    ngx_http_rt_session_t *s, uint32_t hash, const ngx_str_t *name);
static void ngx_http_rt_session_topics_overlap(ngx_http_rt_session_t *s,
    ngx_http_rt_session_topic_t *new);
static ngx_http_rt_session_topic_t *ngx_http_rt_session_topics_cover(
    ngx_http_rt_session_t *s, const ngx_str_t *name, ngx_uint_t leaving);
static ngx_int_t ngx_http_rt_session_topics_add(ngx_http_rt_session_t *s,
    const ngx_http_rt_name_t *topic, const ngx_http_rt_from_t *from,
    uint64_t cap, ngx_http_rt_session_topic_t **new);
static void ngx_http_rt_session_topics_uncover(ngx_http_rt_session_t *s);
static ngx_uint_t ngx_http_rt_session_topics_covered(
    ngx_http_rt_session_t *s, ngx_http_rt_session_topic_t *t);
static ngx_uint_t ngx_http_rt_session_topics_skips(ngx_http_rt_reader_t *rd,
    const u_char *name, size_t len, uint64_t seq);
static void ngx_http_rt_session_topics_remove(ngx_http_rt_session_t *s,
    ngx_http_rt_session_topic_t *t);

#define ngx_http_rt_session_topic_of(rd)                                      \
    ((ngx_http_rt_session_topic_t *)                                          \
         ((u_char *) (rd) - offsetof(ngx_http_rt_session_topic_t, reader)))

#define ngx_http_rt_session_topic_name(t)                                     \
    (&(t)->reader.subscriptions[0].audience->topic.name)


ngx_int_t
ngx_http_rt_session_topics_init(ngx_http_rt_session_t *s)
{
    s->topics = ngx_pcalloc(s->pool, sizeof(ngx_http_rt_session_topics_t));
    if (s->topics == NULL) {
        return NGX_ERROR;
    }

    ngx_rbtree_init(&s->topics->tree, &s->topics->sentinel,
                    ngx_http_rt_session_topics_insert);
    ngx_queue_init(&s->topics->patterns);
    ngx_queue_init(&s->topics->leaving);

    return NGX_OK;
}


ngx_int_t
ngx_http_rt_session_subscribe(ngx_http_rt_session_t *s, const ngx_str_t *name,
    ngx_uint_t wild, const ngx_http_rt_from_t *from, uint64_t *position,
    ngx_http_rt_reader_t **rd)
{
    uint64_t                      cap, since;
    ngx_int_t                     rc;
    ngx_http_rt_name_t            topic;
    ngx_http_rt_session_topic_t  *t;

    ngx_http_rt_zone_name_set(s->sink.hub->zone, &topic, name->data, name->len,
                              wild);

    cap = NGX_HTTP_RT_SEQ_MAX;
    since = NGX_HTTP_RT_SEQ_MAX;

    t = ngx_http_rt_session_topics_find(s, topic.hash, name);

    if (t && !t->leaving) {
        return NGX_BUSY;
    }

    if (t) {
        cap = ngx_http_rt_reader_position(&t->reader);
        since = t->since;
        ngx_http_rt_session_topics_remove(s, t);

    } else if (!wild) {
        t = ngx_http_rt_session_topics_cover(s, name, 1);

        if (t) {
            cap = ngx_http_rt_reader_position(&t->reader);
        }
    }

    if (s->topics->count >= s->conf->topics_max) {
        return NGX_ABORT;
    }

    rc = ngx_http_rt_session_topics_add(s, &topic, from, cap, &t);
    if (rc != NGX_OK) {
        return rc;
    }

    t->since = t->reader.starting ? 0 : ngx_min(t->reader.cursor, since);

    ngx_http_rt_session_topics_overlap(s, t);

    ngx_rbtree_insert(&s->topics->tree, &t->node);
    s->topics->count++;

    if (wild) {
        ngx_queue_insert_tail(&s->topics->patterns, &t->queue);
    }

    *position = t->reader.cursor;
    *rd = &t->reader;

    ngx_http_rt_reader_behind(&t->reader);

    return t->reader.starting ? NGX_DONE : NGX_OK;
}


/* it begins at "cap" at the latest */

static ngx_int_t
ngx_http_rt_session_topics_add(ngx_http_rt_session_t *s,
    const ngx_http_rt_name_t *topic, const ngx_http_rt_from_t *from,
    uint64_t cap, ngx_http_rt_session_topic_t **new)
{
    uint64_t                      epoch;
    ngx_int_t                     rc;
    ngx_http_rt_from_t            f;
    ngx_http_rt_session_topic_t  *t;

    f = *from;
    epoch = s->sink.hub->zone->epoch;

    if (cap != NGX_HTTP_RT_SEQ_MAX) {

        if (f.given && f.id.epoch == epoch) {
            f.id.seq = ngx_min(f.id.seq, cap);

        } else if (!f.given && !f.earliest && s->conf->reader.start == 0) {
            f.given = 1;
            f.id.epoch = epoch;
            f.id.seq = cap;
        }
    }

    t = ngx_calloc(sizeof(ngx_http_rt_session_topic_t)
                   + sizeof(ngx_http_rt_subscription_t),
                   s->sink.connection->log);
    if (t == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_rt_reader_init(&t->reader, &s->sink, &s->conf->reader,
                                 topic, 1, &f);
    if (rc != NGX_OK) {
        ngx_free(t);
        return (rc == NGX_BUSY) ? NGX_AGAIN : rc;
    }

    if (t->reader.starting) {
        t->reader.least = ngx_min(t->reader.least, cap);

        ngx_http_rt_hub_slice(s->sink.hub);
        rc = ngx_http_rt_reader_start(&t->reader);

        if (rc == NGX_ERROR) {
            ngx_http_rt_reader_leave(&t->reader);
            ngx_free(t);
            return NGX_ERROR;
        }
    }

    t->node.key = topic->hash;

    *new = t;

    return NGX_OK;
}


/* until now patterns have left all of the topic to it */

void
ngx_http_rt_session_topics_started(ngx_http_rt_reader_t *rd)
{
    ngx_http_rt_session_topic_of(rd)->since = rd->cursor;
}


ngx_int_t
ngx_http_rt_session_remember(ngx_http_rt_reader_t *rd, const u_char *bytes,
    size_t len)
{
    ngx_str_t  *s;

    s = ngx_alloc(sizeof(ngx_str_t) + len, ngx_cycle->log);
    if (s == NULL) {
        return NGX_ERROR;
    }

    s->len = len;
    s->data = (u_char *) &s[1];

    if (len) {
        ngx_memcpy(s->data, bytes, len);
    }

    rd->data = s;

    return NGX_OK;
}


/* NGX_DECLINED: it has no such topic */

ngx_int_t
ngx_http_rt_session_unsubscribe(ngx_http_rt_session_t *s,
    const ngx_str_t *name)
{
    uint32_t                      hash;
    ngx_http_rt_session_topic_t  *t;

    hash = ngx_http_rt_zone_hash(s->sink.hub->zone, name->data, name->len);

    t = ngx_http_rt_session_topics_find(s, hash, name);

    if (t == NULL || t->leaving) {
        return NGX_DECLINED;
    }

    t->leaving = 1;
    ngx_queue_insert_tail(&s->topics->leaving, &t->going);

    if (t->reader.scan) {
        t->reader.skips = ngx_http_rt_session_topics_skips;

        /* it may have covered others that are leaving */

        ngx_http_rt_session_topics_uncover(s);
    }

    if (!ngx_http_rt_session_topics_covered(s, t)) {
        ngx_http_rt_session_topics_remove(s, t);
        return NGX_OK;
    }

    ngx_http_rt_session_topics_settle(s);

    return NGX_OK;
}


static void
ngx_http_rt_session_topics_uncover(ngx_http_rt_session_t *s)
{
    ngx_queue_t                  *q, *next;
    ngx_http_rt_session_topic_t  *t;

    for (q = ngx_queue_head(&s->topics->leaving);
         q != ngx_queue_last(&s->topics->leaving);
         q = next)
    {
        next = ngx_queue_next(q);
        t = ngx_queue_data(q, ngx_http_rt_session_topic_t, going);

        if (!ngx_http_rt_session_topics_covered(s, t)) {
            ngx_http_rt_session_topics_remove(s, t);
        }
    }
}


/* those that are leaving go, if all patterns are where they are */

void
ngx_http_rt_session_topics_settle(ngx_http_rt_session_t *s)
{
    uint64_t                      position;
    ngx_queue_t                  *q, *next;
    ngx_http_rt_session_topic_t  *t;

    position = NGX_HTTP_RT_SEQ_MAX;

    if (ngx_queue_empty(&s->topics->leaving)) {
        return;
    }

    for (q = ngx_queue_head(&s->topics->patterns);
         q != ngx_queue_sentinel(&s->topics->patterns);
         q = ngx_queue_next(q))
    {
        t = ngx_queue_data(q, ngx_http_rt_session_topic_t, queue);

        if (position == NGX_HTTP_RT_SEQ_MAX) {
            position = ngx_http_rt_reader_position(&t->reader);

        } else if (position != ngx_http_rt_reader_position(&t->reader)) {
            return;
        }
    }

    for (q = ngx_queue_head(&s->topics->leaving);
         q != ngx_queue_sentinel(&s->topics->leaving);
         q = next)
    {
        next = ngx_queue_next(q);
        t = ngx_queue_data(q, ngx_http_rt_session_topic_t, going);

        if (ngx_http_rt_reader_position(&t->reader) == position) {
            ngx_http_rt_session_topics_remove(s, t);
        }
    }
}


/* the oldest pattern that has the topic, or NULL */

static ngx_http_rt_session_topic_t *
ngx_http_rt_session_topics_cover(ngx_http_rt_session_t *s,
    const ngx_str_t *name, ngx_uint_t leaving)
{
    ngx_str_t                    *pattern;
    ngx_queue_t                  *q;
    ngx_http_rt_session_topic_t  *t;

    for (q = ngx_queue_head(&s->topics->patterns);
         q != ngx_queue_sentinel(&s->topics->patterns);
         q = ngx_queue_next(q))
    {
        t = ngx_queue_data(q, ngx_http_rt_session_topic_t, queue);
        pattern = ngx_http_rt_session_topic_name(t);

        if ((leaving || !t->leaving)
            && ngx_http_rt_pattern_match(pattern->data, pattern->len,
                                         name->data, name->len))
        {
            return t;
        }
    }

    return NULL;
}


/* whether a pattern that stays has its topic; of a pattern, perhaps some */

static ngx_uint_t
ngx_http_rt_session_topics_covered(ngx_http_rt_session_t *s,
    ngx_http_rt_session_topic_t *t)
{
    ngx_queue_t                  *q;
    ngx_http_rt_session_topic_t  *other;

    if (t->reader.scan == NULL) {
        return ngx_http_rt_session_topics_cover(s,
                                     ngx_http_rt_session_topic_name(t), 0)
               != NULL;
    }

    for (q = ngx_queue_head(&s->topics->patterns);
         q != ngx_queue_sentinel(&s->topics->patterns);
         q = ngx_queue_next(q))
    {
        other = ngx_queue_data(q, ngx_http_rt_session_topic_t, queue);

        if (!other->leaving) {
            return 1;
        }
    }

    return 0;
}


/* by hash and name; insertion and search must agree where hashes are equal */

static void
ngx_http_rt_session_topics_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_str_t          *name;
    ngx_rbtree_node_t  **p;

    name = ngx_http_rt_session_topic_name(ngx_http_rt_session_topic(node));

    for ( ;; ) {
        p = (ngx_http_rt_session_topics_order(node->key, name, temp) < 0)
                ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


static ngx_int_t
ngx_http_rt_session_topics_order(uint32_t hash, const ngx_str_t *name,
    ngx_rbtree_node_t *node)
{
    ngx_str_t  *other;

    if (hash != node->key) {
        return (hash < node->key) ? -1 : 1;
    }

    other = ngx_http_rt_session_topic_name(ngx_http_rt_session_topic(node));

    if (name->len != other->len) {
        return (name->len < other->len) ? -1 : 1;
    }

    return ngx_memcmp(name->data, other->data, name->len);
}


static ngx_http_rt_session_topic_t *
ngx_http_rt_session_topics_find(ngx_http_rt_session_t *s, uint32_t hash,
    const ngx_str_t *name)
{
    ngx_int_t           rc;
    ngx_rbtree_node_t  *node;

    node = s->topics->tree.root;

    while (node != s->topics->tree.sentinel) {

        rc = ngx_http_rt_session_topics_order(hash, name, node);

        if (rc == 0) {
            return ngx_http_rt_session_topic(node);
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


/* which patterns must look at each message from now on */

static void
ngx_http_rt_session_topics_overlap(ngx_http_rt_session_t *s,
    ngx_http_rt_session_topic_t *new)
{
    ngx_str_t                    *name, *pattern;
    ngx_queue_t                  *q;
    ngx_http_rt_session_topic_t  *t;

    name = ngx_http_rt_session_topic_name(new);

    if (new->reader.scan && s->topics->count) {
        new->reader.skips = ngx_http_rt_session_topics_skips;
    }

    for (q = ngx_queue_head(&s->topics->patterns);
         q != ngx_queue_sentinel(&s->topics->patterns);
         q = ngx_queue_next(q))
    {
        t = ngx_queue_data(q, ngx_http_rt_session_topic_t, queue);
        pattern = ngx_http_rt_session_topic_name(t);

        if (new->reader.scan == NULL
            && ngx_http_rt_pattern_match(pattern->data, pattern->len,
                                         name->data, name->len))
        {
            t->reader.skips = ngx_http_rt_session_topics_skips;
        }
    }
}


/* whether a message is another reader's, or of no pattern that stays */

static ngx_uint_t
ngx_http_rt_session_topics_skips(ngx_http_rt_reader_t *rd, const u_char *name,
    size_t len, uint64_t seq)
{
    uint32_t                      hash;
    ngx_str_t                     topic, *pattern;
    ngx_queue_t                  *q;
    ngx_http_rt_session_t        *s;
    ngx_http_rt_session_topic_t  *t, *own;

    s = ngx_http_rt_session_of(rd->sink);
    own = ngx_http_rt_session_topic_of(rd);

    topic.data = (u_char *) name;
    topic.len = len;

    hash = ngx_http_rt_zone_hash(rd->hub->zone, name, len);
    t = ngx_http_rt_session_topics_find(s, hash, &topic);

    if (t && seq > t->since) {
        return 1;
    }

    for (q = ngx_queue_head(&s->topics->patterns);
         q != &own->queue;
         q = ngx_queue_next(q))
    {
        t = ngx_queue_data(q, ngx_http_rt_session_topic_t, queue);
        pattern = ngx_http_rt_session_topic_name(t);

        if (seq > t->since
            && ngx_http_rt_pattern_match(pattern->data, pattern->len, name,
                                         len))
        {
            return 1;
        }
    }

    return own->leaving
           && ngx_http_rt_session_topics_cover(s, &topic, 0) == NULL;
}


static void
ngx_http_rt_session_topics_remove(ngx_http_rt_session_t *s,
    ngx_http_rt_session_topic_t *t)
{
    ngx_rbtree_delete(&s->topics->tree, &t->node);
    s->topics->count--;

    if (t->reader.scan) {
        ngx_queue_remove(&t->queue);
    }

    if (t->leaving) {
        ngx_queue_remove(&t->going);
    }

    s->messages += t->reader.messages;
    s->bytes += t->reader.bytes;
    s->gaps += t->reader.gaps;
    s->position = ngx_max(s->position, t->reader.cursor);

    ngx_http_rt_reader_leave(&t->reader);

    if (t->reader.data) {
        ngx_free(t->reader.data);
    }

    ngx_free(t);
}


void
ngx_http_rt_session_topics_leave(ngx_http_rt_session_t *s)
{
    ngx_rbtree_t       *tree;
    ngx_rbtree_node_t  *node;

    if (s->topics == NULL) {
        return;
    }

    tree = &s->topics->tree;

    while (tree->root != tree->sentinel) {
        node = ngx_rbtree_min(tree->root, tree->sentinel);

        ngx_http_rt_session_topics_remove(s, ngx_http_rt_session_topic(node));
    }
}
