/*
 * Publishing over HTTP: POST and PUT append the body to a topic, or a batch of
 * lines to many, all or none; GET tells of a topic, DELETE forgets its
 * messages.
 *
 * A message comes as request body, is described in an ngx_http_rt_message_t
 * whose strings lie in the request's pool, and goes into the ring under one
 * hold of the zone's mutex, together with its idempotency key.
 */

#include "ngx_http_rt.h"
#include "ngx_http_rt_batch.h"
#include "ngx_http_rt_json.h"
#include "ngx_http_rt_utf8.h"

#include <ngx_sha1.h>


#define NGX_HTTP_RT_EVENT_MAX  128
#define NGX_HTTP_RT_TYPE_MAX   255
#define NGX_HTTP_RT_KEY_MAX    255

/* messages of a batch, for they are appended under one hold of the mutex */
#define NGX_HTTP_RT_BATCH_MAX  16384


typedef struct {
    ngx_str_t                 topic;
    ngx_uint_t                wild;

    ngx_http_rt_message_t    *messages;
    ngx_uint_t                n;

    unsigned                  batch:1;
    unsigned                  keyed:1;
    unsigned                  replay:1;
    ngx_uint_t                status;   /* if refused */
    ngx_http_rt_key_t         key;      /* with the answer */
    ngx_http_rt_append_t      append;
} ngx_http_rt_publish_ctx_t;


static ngx_int_t ngx_http_rt_publish_read(ngx_http_request_t *r,
    ngx_str_t *topic, ngx_uint_t wild);
static void ngx_http_rt_publish_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_publish_message(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_str_t *body);
static ngx_int_t ngx_http_rt_publish_batch(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_str_t *body);
static const char *ngx_http_rt_publish_line(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_http_rt_batch_line_t *line,
    ngx_http_rt_message_t *m);
static ngx_int_t ngx_http_rt_publish_key(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_str_t *body);
static void ngx_http_rt_publish_done(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_int_t rc);
static void ngx_http_rt_publish_cancel(void *data);
static void ngx_http_rt_publish_appended(ngx_http_rt_append_t *a);
static ngx_int_t ngx_http_rt_publish_result(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx);
static ngx_int_t ngx_http_rt_publish_append(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx);
static ngx_int_t ngx_http_rt_publish_created(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx);
static const char *ngx_http_rt_publish_event_check(const u_char *p,
    size_t len);
static const char *ngx_http_rt_publish_type_check(const u_char *p, size_t len);
static ngx_uint_t ngx_http_rt_publish_plain(const u_char *p, size_t len);
static ngx_uint_t ngx_http_rt_publish_text(ngx_str_t *type);
static ngx_int_t ngx_http_rt_publish_tell(ngx_http_request_t *r,
    ngx_str_t *topic);
static ngx_int_t ngx_http_rt_publish_delete(ngx_http_request_t *r,
    ngx_str_t *topic);


ngx_int_t
ngx_http_rt_publish(ngx_http_request_t *r)
{
    unsigned                 wild;
    ngx_int_t                rc;
    ngx_str_t                topic;
    const char              *reason;
    ngx_http_rt_ctx_t       *ctx;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (ngx_http_complex_value(r, rlcf->publish, &topic) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    reason = ngx_http_rt_pattern_check(topic.data, topic.len, &wild);

    if (reason == NULL) {
        ctx = ngx_http_rt_ctx(r);
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->topic = topic;

        if (r->method & (NGX_HTTP_POST|NGX_HTTP_PUT)) {
            return ngx_http_rt_publish_read(r, &topic, wild);
        }
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (reason) {
        return ngx_http_rt_answer_error(r, NGX_HTTP_BAD_REQUEST, "%s", reason);
    }

    if (wild) {
        return ngx_http_rt_answer_error(r, NGX_HTTP_BAD_REQUEST,
                           "topic has a wildcard, only batches are taken");
    }

    if (r->method & NGX_HTTP_DELETE) {
        return ngx_http_rt_publish_delete(r, &topic);
    }

    return ngx_http_rt_publish_tell(r, &topic);
}


static ngx_int_t
ngx_http_rt_publish_read(ngx_http_request_t *r, ngx_str_t *topic,
    ngx_uint_t wild)
{
    ngx_int_t                   rc;
    ngx_str_t                  *type;
    ngx_table_elt_t            *h;
    ngx_http_rt_zone_t         *zone;
    ngx_http_rt_loc_conf_t     *rlcf;
    ngx_http_rt_publish_ctx_t  *ctx;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_rt_publish_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->topic = *topic;
    ctx->wild = wild;

    zone = rlcf->publish_zone->data;

    ngx_http_rt_zone_prefetch(zone, ngx_http_rt_zone_hash(zone, topic->data,
                                                          topic->len));

    h = ngx_http_rt_header_find(r, "Realtime-Batch");

    if (h && (h->value.len != 2
              || ngx_strncasecmp(h->value.data, (u_char *) "on", 2) != 0))
    {
        h = NULL;
    }

    ctx->batch = (h != NULL);

    if (ctx->batch) {
        type = r->headers_in.content_type
               ? &r->headers_in.content_type->value : NULL;

        if (type == NULL || type->len < 20
            || ngx_strncasecmp(type->data, (u_char *) "application/x-ndjson",
                               20)
               != 0
            || (type->len > 20 && type->data[20] != ';'
                && type->data[20] != ' '))
        {
            rc = ngx_http_discard_request_body(r);

            return (rc != NGX_OK) ? rc
                   : ngx_http_rt_answer_error(r, NGX_HTTP_BAD_REQUEST,
                               "a batch must be of type application/x-ndjson");
        }

    } else if (wild) {
        rc = ngx_http_discard_request_body(r);

        return (rc != NGX_OK) ? rc
               : ngx_http_rt_answer_error(r, NGX_HTTP_BAD_REQUEST,
                           "topic has a wildcard, only batches are taken");

    } else if (r->headers_in.content_length_n
               > (off_t) rlcf->message_max_size)
    {
        rc = ngx_http_discard_request_body(r);

        return (rc != NGX_OK) ? rc
               : ngx_http_rt_answer_error(r,
                                          NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                 "message is larger than %uz bytes",
                                 rlcf->message_max_size);
    }

    ngx_http_rt_ctx(r)->publish = ctx;

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_rt_publish_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_rt_publish_body(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_str_t                   body;
    ngx_http_rt_publish_ctx_t  *ctx;

    ctx = ngx_http_rt_ctx(r)->publish;

    if (ngx_http_rt_publish_collect(r, &body) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    /* each returns NGX_OK, or NGX_DONE when it has answered itself */

    rc = ctx->batch ? ngx_http_rt_publish_batch(r, ctx, &body)
                    : ngx_http_rt_publish_message(r, ctx, &body);

    if (rc == NGX_OK) {
        rc = ngx_http_rt_publish_key(r, ctx, &body);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_rt_publish_append(r, ctx);
    }

    if (rc == NGX_AGAIN) {
        return;
    }

    ngx_http_rt_publish_done(r, ctx, rc);
}


static void
ngx_http_rt_publish_done(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_int_t rc)
{
    if (rc == NGX_OK) {
        rc = ngx_http_rt_publish_created(r, ctx);

    } else if (rc == NGX_DONE) {
        rc = ngx_http_rt_ctx(r)->rc;
    }

    ngx_http_finalize_request(r, rc);
}


/* the body in one piece */

ngx_int_t
ngx_http_rt_publish_collect(ngx_http_request_t *r, ngx_str_t *body)
{
    u_char       *p;
    size_t        len, size;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    ngx_str_set(body, "");

    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        return NGX_OK;
    }

    cl = r->request_body->bufs;
    b = cl->buf;

    if (cl->next == NULL && !b->in_file) {
        body->len = b->last - b->pos;

        if (body->len) {
            body->data = b->pos;
        }

        return NGX_OK;
    }

    len = 0;

    for ( /* void */ ; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;
    body->len = len;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;
        size = ngx_buf_size(b);

        if (size == 0) {
            continue;
        }

        if (!b->in_file) {
            p = ngx_cpymem(p, b->pos, size);
            continue;
        }

        n = ngx_read_file(b->file, p, size, b->file_pos);

        if (n != (ssize_t) size) {
            return NGX_ERROR;
        }

        p += size;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_publish_message(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_str_t *body)
{
    const char              *reason;
    ngx_str_t               *type;
    ngx_table_elt_t         *h;
    ngx_http_rt_message_t   *m;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (body->len > rlcf->message_max_size) {
        return ngx_http_rt_refuse(r,
                                          NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                 "message is larger than %uz bytes",
                                 rlcf->message_max_size);
    }

    m = ngx_pcalloc(r->pool, sizeof(ngx_http_rt_message_t));
    if (m == NULL) {
        return NGX_ERROR;
    }

    ctx->messages = m;
    ctx->n = 1;

    m->topic = ctx->topic.data;
    m->topic_len = ctx->topic.len;
    m->data = body->data;
    m->data_len = body->len;

    type = r->headers_in.content_type ? &r->headers_in.content_type->value
                                      : NULL;

    if (type && type->len) {
        reason = ngx_http_rt_publish_type_check(type->data, type->len);

        if (reason) {
            return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST, "%s",
                                              reason);
        }

        m->type = type->data;
        m->type_len = type->len;
        m->binary = !ngx_http_rt_publish_text(type);
    }

    if (!m->binary
        && ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, body->data,
                                 body->len)
           != NGX_HTTP_RT_UTF8_ACCEPT)
    {
        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                                          "text is not valid UTF-8");
    }

    h = ngx_http_rt_header_find(r, "Realtime-Event");

    if (h && h->value.len) {
        reason = ngx_http_rt_publish_event_check(h->value.data, h->value.len);

        if (reason) {
            return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST, "%s",
                                              reason);
        }

        m->event = h->value.data;
        m->event_len = h->value.len;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_publish_batch(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_str_t *body)
{
    char                      err[128];
    u_char                   *p, *last, *end, *arena;
    ngx_uint_t                n;
    const char               *reason;
    ngx_http_rt_batch_line_t  line;

    last = body->data + body->len;

    for (p = body->data, n = 1; n < NGX_HTTP_RT_BATCH_MAX; p++, n++) {
        p = memchr(p, LF, last - p);
        if (p == NULL) {
            break;
        }
    }

    ctx->messages = ngx_pcalloc(r->pool, n * sizeof(ngx_http_rt_message_t));
    arena = ngx_pnalloc(r->pool, body->len + 1);

    if (ctx->messages == NULL || arena == NULL) {
        return NGX_ERROR;
    }

    for (p = body->data, n = 1; p < last; p = end + 1, n++) {

        end = memchr(p, LF, last - p);
        if (end == NULL) {
            end = last;
        }

        if (end == p || (end == p + 1 && *p == CR)) {
            continue;
        }

        if (ctx->n == NGX_HTTP_RT_BATCH_MAX) {
            return ngx_http_rt_refuse(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                      "line %ui: more than %d messages", n,
                                      NGX_HTTP_RT_BATCH_MAX);
        }

        if (ngx_http_rt_batch_parse(p, end - p, arena, &line, err,
                                    sizeof(err))
            != 0)
        {
            return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                                              "line %ui: %s", n, err);
        }

        arena += end - p;

        reason = ngx_http_rt_publish_line(r, ctx, &line,
                                          &ctx->messages[ctx->n]);
        if (reason) {
            return ngx_http_rt_refuse(r, ctx->status,
                                              "line %ui: %s", n, reason);
        }

        ctx->n++;
    }

    if (ctx->n == 0) {
        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                                          "batch is empty");
    }

    return NGX_OK;
}


/* NULL, or what is wrong, with the status for it in ctx->status */

static const char *
ngx_http_rt_publish_line(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_http_rt_batch_line_t *line,
    ngx_http_rt_message_t *m)
{
    const char              *reason;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    ctx->status = NGX_HTTP_BAD_REQUEST;

    if (line->topic_given) {

        reason = ngx_http_rt_topic_check(line->topic, line->topic_len);
        if (reason) {
            return reason;
        }

        if (!ngx_http_rt_pattern_match(ctx->topic.data, ctx->topic.len,
                                       line->topic, line->topic_len))
        {
            return "topic may not be published to here";
        }

        m->topic = line->topic;
        m->topic_len = line->topic_len;

    } else if (ctx->wild) {
        return "no topic";

    } else {
        m->topic = ctx->topic.data;
        m->topic_len = ctx->topic.len;
    }

    if (line->event_len) {
        reason = ngx_http_rt_publish_event_check(line->event, line->event_len);
        if (reason) {
            return reason;
        }
    }

    if (line->type_len) {
        reason = ngx_http_rt_publish_type_check(line->type, line->type_len);
        if (reason) {
            return reason;
        }
    }

    if (line->data_len > rlcf->message_max_size) {
        ctx->status = NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
        return "message is larger than realtime_message_max_size";
    }

    m->event = line->event;
    m->event_len = line->event_len;
    m->type = line->type;
    m->type_len = line->type_len;
    m->data = line->data;
    m->data_len = line->data_len;
    m->binary = line->binary;

    return NULL;
}


/*
 * The key counts for the topic as the location says it, and with all that the
 * client may vary: batch or not, event, type, body.
 */

static ngx_int_t
ngx_http_rt_publish_key(ngx_http_request_t *r, ngx_http_rt_publish_ctx_t *ctx,
    ngx_str_t *body)
{
    size_t                  i;
    ngx_sha1_t              sha1;
    ngx_table_elt_t        *h;
    ngx_http_rt_message_t  *m;

    h = ngx_http_rt_header_find(r, "Idempotency-Key");

    if (h == NULL) {
        return NGX_OK;
    }

    if (h->value.len == 0 || h->value.len > NGX_HTTP_RT_KEY_MAX) {
        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                          "Idempotency-Key must have 1 to 255 characters");
    }

    for (i = 0; i < h->value.len; i++) {
        if (h->value.data[i] < 0x20 || h->value.data[i] > 0x7e) {
            return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                         "Idempotency-Key has a character out of ASCII");
        }
    }

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, ctx->topic.data, ctx->topic.len);
    ngx_sha1_update(&sha1, "", 1);
    ngx_sha1_update(&sha1, h->value.data, h->value.len);
    ngx_sha1_final(ctx->key.key, &sha1);

    m = ctx->messages;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, ctx->batch ? "b" : "m", 1);

    if (!ctx->batch) {
        ngx_sha1_update(&sha1, &m->event_len, sizeof(m->event_len));
        ngx_sha1_update(&sha1, &m->type_len, sizeof(m->type_len));

        if (m->event_len) {
            ngx_sha1_update(&sha1, m->event, m->event_len);
        }

        if (m->type_len) {
            ngx_sha1_update(&sha1, m->type, m->type_len);
        }
    }

    ngx_sha1_update(&sha1, body->data, body->len);
    ngx_sha1_final(ctx->key.body, &sha1);

    ctx->keyed = 1;

    return NGX_OK;
}


/* NGX_AGAIN: the zone will answer later */

static ngx_int_t
ngx_http_rt_publish_append(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx)
{
    ngx_http_cleanup_t      *cln;
    ngx_http_rt_append_t    *a;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    ctx->key.count = ctx->batch ? ctx->n : 0;

    a = &ctx->append;

    a->messages = ctx->messages;
    a->n = ctx->n;
    a->key = ctx->keyed ? &ctx->key : NULL;
    a->handler = ngx_http_rt_publish_appended;
    a->data = r;

    if (ngx_http_rt_zone_append(rlcf->publish_zone->data, a) == NGX_OK) {
        return ngx_http_rt_publish_result(r, ctx);
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        ngx_http_rt_zone_cancel(a);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_rt_publish_cancel;
    cln->data = a;

    return NGX_AGAIN;
}


static void
ngx_http_rt_publish_cancel(void *data)
{
    ngx_http_rt_zone_cancel(data);
}


static void
ngx_http_rt_publish_appended(ngx_http_rt_append_t *a)
{
    ngx_connection_t           *c;
    ngx_http_request_t         *r;
    ngx_http_rt_publish_ctx_t  *ctx;

    r = a->data;
    c = r->connection;
    ctx = ngx_http_rt_ctx(r)->publish;

    ngx_http_set_log_request(c->log, r);

    ngx_http_rt_publish_done(r, ctx, ngx_http_rt_publish_result(r, ctx));

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_rt_publish_result(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx)
{
    switch (ctx->append.rc) {

    case NGX_HTTP_RT_TOPIC_OK:
        ctx->key.first = ctx->messages[0].seq;
        ctx->key.last = ctx->messages[ctx->n - 1].seq;
        ctx->key.subscribers = ctx->append.subscribers;

        return NGX_OK;

    case NGX_HTTP_RT_TOPIC_REPLAY:
        ctx->replay = 1;
        return NGX_OK;

    case NGX_HTTP_RT_TOPIC_MISMATCH:
        return ngx_http_rt_refuse(r, 422,
                    "Idempotency-Key was used with another message");

    case NGX_HTTP_RT_TOPIC_LARGE:
        return ngx_http_rt_refuse(r,
                                          NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                      "%s is larger than a quarter of the zone's ring",
                      ctx->batch ? "batch" : "message");

    case NGX_HTTP_RT_TOPIC_BUSY:
        return ngx_http_rt_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                      "the ring is held by another process, try again");

    default: /* NGX_HTTP_RT_TOPIC_FULL */
        return ngx_http_rt_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                      "no room for the topic, all topics have subscribers");
    }
}


static ngx_int_t
ngx_http_rt_publish_created(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx)
{
    size_t                   size;
    u_char                  *json, *p;
    uint64_t                 epoch;
    ngx_uint_t               i;
    ngx_http_rt_ctx_t       *rctx;
    ngx_http_rt_zone_t      *zone;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    zone = rlcf->publish_zone->data;
    epoch = zone->epoch;

    rctx = ngx_http_rt_ctx(r);

    rctx->epoch = epoch;
    rctx->seq = ctx->key.last;
    rctx->has_id = 1;
    rctx->subscribers = ctx->key.subscribers;
    rctx->has_subscribers = 1;

    if (!ctx->replay) {
        rctx->messages = ctx->n;

        for (i = 0; i < ctx->n; i++) {
            rctx->bytes += ctx->messages[i].data_len;
        }
    }

    size = 128 + 2 * NGX_HTTP_RT_ID_LEN
           + ngx_http_rt_json_escape_size(ctx->topic.data, ctx->topic.len);

    json = ngx_pnalloc(r->pool, size);
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->key.count) {
        p = ngx_cpymem(json, "{\"first_id\":\"", 13);
        p = ngx_http_rt_id_write(p, epoch, ctx->key.first);
        p = ngx_cpymem(p, "\",\"last_id\":\"", 13);
        p = ngx_http_rt_id_write(p, epoch, ctx->key.last);
        p = ngx_cpymem(p, "\",\"count\":", 10);
        p = ngx_http_rt_uint_write(p, ctx->key.count);

    } else {
        p = ngx_cpymem(json, "{\"id\":\"", 7);
        p = ngx_http_rt_id_write(p, epoch, ctx->key.last);
        p = ngx_cpymem(p, "\",\"topic\":\"", 11);
        p = ngx_http_rt_json_escape(p, ctx->topic.data, ctx->topic.len);
        p = ngx_cpymem(p, "\",\"subscribers\":", 16);
        p = ngx_http_rt_uint_write(p, ctx->key.subscribers);
    }

    *p++ = '}';

    if (ngx_http_rt_header_id(r, epoch, ctx->key.last) != NGX_OK
        || (ctx->replay
            && ngx_http_rt_header_add(r, "Idempotent-Replay",
                                      (u_char *) "true", 4)
               != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_rt_answer(r, NGX_HTTP_CREATED, json, p - json);
}


static const char *
ngx_http_rt_publish_event_check(const u_char *p, size_t len)
{
    if (len > NGX_HTTP_RT_EVENT_MAX) {
        return "event name is longer than 128 bytes";
    }

    if (len >= 9 && ngx_strncmp(p, "realtime:", 9) == 0) {
        return "event names beginning with \"realtime:\" are reserved";
    }

    if (!ngx_http_rt_publish_plain(p, len)) {
        return "event name is not valid UTF-8 or has a control character";
    }

    return NULL;
}


static const char *
ngx_http_rt_publish_type_check(const u_char *p, size_t len)
{
    if (len > NGX_HTTP_RT_TYPE_MAX) {
        return "content type is longer than 255 bytes";
    }

    if (!ngx_http_rt_publish_plain(p, len)) {
        return "content type is not valid UTF-8 or has a control character";
    }

    return NULL;
}


/* UTF-8 without control characters: C0, DEL, and C1 from U+0080 to U+009F */

static ngx_uint_t
ngx_http_rt_publish_plain(const u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (p[i] < 0x20 || p[i] == 0x7f
            || (p[i] == 0xc2 && i + 1 < len && p[i + 1] < 0xa0))
        {
            return 0;
        }
    }

    return ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, p, len)
           == NGX_HTTP_RT_UTF8_ACCEPT;
}


/* whether a message of this type is text */

static ngx_uint_t
ngx_http_rt_publish_text(ngx_str_t *type)
{
    u_char      *p, *last;
    size_t       len;
    ngx_uint_t   i;

    static ngx_str_t  types[] = {
        ngx_string("application/json"),
        ngx_string("application/x-ndjson"),
        ngx_string("application/xml"),
        ngx_string("application/javascript"),
        ngx_string("application/ecmascript"),
        ngx_string("application/x-www-form-urlencoded"),
        ngx_null_string
    };

    p = type->data;
    last = p;

    while (last < p + type->len && *last != ';' && *last != ' '
           && *last != '\t')
    {
        last++;
    }

    len = last - p;

    if (len >= 5 && ngx_strncasecmp(p, (u_char *) "text/", 5) == 0) {
        return 1;
    }

    if (len > 5 && ngx_strncasecmp(last - 5, (u_char *) "+json", 5) == 0) {
        return 1;
    }

    if (len > 4 && ngx_strncasecmp(last - 4, (u_char *) "+xml", 4) == 0) {
        return 1;
    }

    for (i = 0; types[i].len; i++) {
        if (types[i].len == len
            && ngx_strncasecmp(p, types[i].data, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_rt_publish_tell(ngx_http_request_t *r, ngx_str_t *topic)
{
    u_char                    *json, *p;
    uint64_t                   epoch;
    ngx_http_rt_name_t         name;
    ngx_http_rt_zone_t        *zone;
    ngx_http_rt_loc_conf_t    *rlcf;
    ngx_http_rt_zone_stat_t    stat;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    zone = rlcf->publish_zone->data;
    epoch = zone->epoch;

    ngx_http_rt_zone_name_set(zone, &name, topic->data, topic->len, 0);

    if (ngx_http_rt_zone_stat(zone, &name, &stat) != NGX_OK) {
        return ngx_http_rt_answer_error(r, NGX_HTTP_NOT_FOUND,
                          "topic has no messages and no subscribers");
    }

    json = ngx_pnalloc(r->pool, 192 + 3 * NGX_INT64_LEN
                                + 2 * NGX_HTTP_RT_ID_LEN
                                + ngx_http_rt_json_escape_size(topic->data,
                                                               topic->len));
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(json, "{\"topic\":\"", 10);
    p = ngx_http_rt_json_escape(p, topic->data, topic->len);
    p = ngx_sprintf(p, "\",\"messages\":%uL,\"bytes\":%uL,\"subscribers\":%uL,"
                    "\"first_id\":", stat.messages, stat.bytes,
                    stat.subscribers);

    if (stat.messages) {
        *p++ = '"';
        p = ngx_http_rt_id_write(p, epoch, stat.first);
        p = ngx_cpymem(p, "\",\"last_id\":\"", 13);
        p = ngx_http_rt_id_write(p, epoch, stat.last);
        p = ngx_cpymem(p, "\"}", 2);

    } else {
        p = ngx_cpymem(p, "null,\"last_id\":null}", 20);
    }

    if (ngx_http_rt_header_add(r, "Cache-Control", (u_char *) "no-cache", 8)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_rt_answer(r, NGX_HTTP_OK, json, p - json);
}


static ngx_int_t
ngx_http_rt_publish_delete(ngx_http_request_t *r, ngx_str_t *topic)
{
    ngx_http_rt_name_t       name;
    ngx_http_rt_zone_t      *zone;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    zone = rlcf->publish_zone->data;

    ngx_http_rt_zone_name_set(zone, &name, topic->data, topic->len, 0);

    ngx_http_rt_zone_forget(zone, &name);

    return ngx_http_rt_answer(r, NGX_HTTP_NO_CONTENT, NULL, 0);
}
