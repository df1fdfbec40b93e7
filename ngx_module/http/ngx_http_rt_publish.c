/*
 * Publishing over HTTP: POST and PUT publish the body to a topic, or a batch of
 * lines to many, all or none; GET shows a topic, DELETE forgets its messages
 * (_publish_topic.c).
 *
 * The request's header is checked, then the body is read, and the operation is
 * given one message, or each line of the batch (_publish_batch.c), whose
 * strings lie in the request's pool, with an idempotency key if there is one
 * (_key.c).  Its result is answered at once or later (_publish_answer.c).
 */

#include "ngx_http_rt_publish.h"
#include "ngx_http_rt_key.h"
#include "ngx_http_rt_rule.h"


static ngx_int_t ngx_http_rt_publish_read(ngx_http_request_t *r,
    ngx_str_t *topic, unsigned wild);
static ngx_http_rt_publish_ctx_t *ngx_http_rt_publish_create(
    ngx_http_request_t *r, ngx_str_t *topic, unsigned wild);
static const char *ngx_http_rt_publish_check(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_uint_t *status);
static void ngx_http_rt_publish_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_publish_ready(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx);
static ngx_int_t ngx_http_rt_publish_message(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_str_t *body);
static ngx_int_t ngx_http_rt_publish_key(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_str_t *body);
static ngx_int_t ngx_http_rt_publish_wait(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx);
static void ngx_http_rt_publish_done(ngx_http_rt_publication_t *pub);
static void ngx_http_rt_publish_cleanup(void *data);


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

    rc = ngx_http_rt_template_topic(r, rlcf->publish->elts, &topic, &wild,
                                    &reason);
    if (rc == NGX_DECLINED) {
        return ngx_http_rt_body_refuse(r, NGX_HTTP_BAD_REQUEST, reason);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx = ngx_http_rt_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->report.topic = topic;

    if (r->method & (NGX_HTTP_POST|NGX_HTTP_PUT)) {
        return ngx_http_rt_publish_read(r, &topic, wild);
    }

    if (wild) {
        return ngx_http_rt_body_refuse(r, NGX_HTTP_BAD_REQUEST,
                             "topic has a wildcard, only batches are taken");
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return (r->method & NGX_HTTP_DELETE)
           ? ngx_http_rt_publish_forget(r, &topic)
           : ngx_http_rt_publish_show(r, &topic);
}


static ngx_int_t
ngx_http_rt_publish_read(ngx_http_request_t *r, ngx_str_t *topic,
    unsigned wild)
{
    ngx_int_t                   rc;
    ngx_uint_t                  status;
    const char                 *reason;
    ngx_http_rt_publish_ctx_t  *ctx;

    ctx = ngx_http_rt_publish_create(r, topic, wild);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    reason = ngx_http_rt_publish_check(r, ctx, &status);

    if (reason) {
        return ngx_http_rt_body_refuse(r, status, reason);
    }

    ngx_http_rt_ctx(r)->publish = ctx;

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_rt_publish_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static ngx_http_rt_publish_ctx_t *
ngx_http_rt_publish_create(ngx_http_request_t *r, ngx_str_t *topic,
    unsigned wild)
{
    ngx_http_rt_zone_t         *zone;
    ngx_http_rt_loc_conf_t     *rlcf;
    ngx_http_rt_publish_ctx_t  *ctx;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_rt_publish_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    zone = rlcf->publish_zone->data;

    ngx_http_rt_zone_prefetch(zone, ngx_http_rt_zone_hash(zone, topic->data,
                                                          topic->len));

    ctx->request = r;
    ctx->topic = *topic;
    ctx->wild = wild;
    ctx->batch = ngx_http_rt_publish_batch_asked(r);

    ctx->grant.elts = &ctx->topic;
    ctx->grant.nelts = 1;
    ctx->who.publish = &ctx->grant;

    ctx->pub.who = &ctx->who;
    ctx->pub.zone = zone;
    ctx->pub.size_max = rlcf->session.message_max_size;
    ctx->pub.handler = ngx_http_rt_publish_done;
    ctx->pub.data = ctx;

    return ctx;
}


/* by the header alone: NULL, or what is wrong */

static const char *
ngx_http_rt_publish_check(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_uint_t *status)
{
    const char  *text;

    *status = NGX_HTTP_BAD_REQUEST;

    if (ctx->batch) {
        return ngx_http_rt_publish_batch_type(r);
    }

    if (ctx->wild) {
        return "topic has a wildcard, only batches are taken";
    }

    if (r->headers_in.content_length_n > (off_t) ctx->pub.size_max) {
        ctx->pub.rc = NGX_HTTP_RT_PUBLISH_SIZE;
        *status = ngx_http_rt_publication_status(&ctx->pub, &text);
        return text;
    }

    return NULL;
}


static void
ngx_http_rt_publish_body(ngx_http_request_t *r)
{
    ngx_int_t           rc;
    ngx_http_rt_ctx_t  *ctx;

    ctx = ngx_http_rt_ctx(r);

    rc = ngx_http_rt_publish_ready(r, ctx->publish);

    if (rc == NGX_AGAIN) {
        return;
    }

    ngx_http_finalize_request(r, (rc == NGX_DONE) ? ctx->rc : rc);
}


/* NGX_AGAIN: it waits; else what to finalize with, NGX_DONE: refused */

static ngx_int_t
ngx_http_rt_publish_ready(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx)
{
    ngx_int_t  rc;
    ngx_str_t  body;

    if (ngx_http_rt_body_collect(r, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ctx->batch ? ngx_http_rt_publish_batch(r, ctx, &body)
                    : ngx_http_rt_publish_message(r, ctx, &body);

    if (rc == NGX_OK) {
        rc = ngx_http_rt_publish_key(r, ctx, &body);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_rt_operation_publish(&ctx->pub) == NGX_AGAIN) {
        return ngx_http_rt_publish_wait(r, ctx);
    }

    return ngx_http_rt_publish_answer(r, ctx);
}


static ngx_int_t
ngx_http_rt_publish_message(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_str_t *body)
{
    ngx_table_elt_t      *h;
    ngx_http_rt_draft_t   draft;

    ngx_memzero(&draft, sizeof(ngx_http_rt_draft_t));

    ctx->pub.messages = ngx_palloc(r->pool, sizeof(ngx_http_rt_message_t));
    if (ctx->pub.messages == NULL) {
        return NGX_ERROR;
    }

    draft.topic = ctx->topic;
    draft.data = *body;

    h = r->headers_in.content_type;

    if (h && h->value.len) {
        draft.type = h->value;
        draft.binary = !ngx_http_rt_rule_is_text(h->value.data, h->value.len);
    }

    h = ngx_http_rt_header_find(r, "Realtime-Event");

    if (h) {
        draft.event = h->value;
    }

    if (ngx_http_rt_publication_add(&ctx->pub, &draft) != NGX_OK) {
        return ngx_http_rt_publish_refuse(r, ctx);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_rt_publish_refuse(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx)
{
    const char  *text;
    ngx_uint_t   status;

    status = ngx_http_rt_publication_status(&ctx->pub, &text);

    return ngx_http_rt_refuse(r, status, "%s", text);
}


/* the key of this topic, with all that the client may vary */

static ngx_int_t
ngx_http_rt_publish_key(ngx_http_request_t *r, ngx_http_rt_publish_ctx_t *ctx,
    ngx_str_t *body)
{
    ngx_str_t               key;
    const char             *reason;
    ngx_http_rt_message_t  *m;

    reason = ngx_http_rt_key_find(r, &key);

    if (reason) {
        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST, "%s", reason);
    }

    if (key.len == 0) {
        return NGX_OK;
    }

    m = ctx->batch ? NULL : ctx->pub.messages;

    ngx_http_rt_key_digest(&ctx->key, &ctx->topic, &key, m, body);

    ctx->key.count = ctx->batch ? ctx->pub.n : 0;
    ctx->pub.key = &ctx->key;

    return NGX_OK;
}


/* another process is in the way; the client may leave before it is not */

static ngx_int_t
ngx_http_rt_publish_wait(ngx_http_request_t *r, ngx_http_rt_publish_ctx_t *ctx)
{
    ngx_http_cleanup_t  *cln;

    cln = ngx_http_cleanup_add(r, 0);

    if (cln == NULL) {
        ngx_http_rt_publication_cancel(&ctx->pub);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_rt_publish_cleanup;
    cln->data = ctx;

    ngx_http_rt_body_watch(r);

    return NGX_AGAIN;
}


static void
ngx_http_rt_publish_done(ngx_http_rt_publication_t *pub)
{
    ngx_int_t                   rc;
    ngx_connection_t           *c;
    ngx_http_request_t         *r;
    ngx_http_rt_publish_ctx_t  *ctx;

    ctx = pub->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_rt_publish_answer(r, ctx);

    ngx_http_finalize_request(r, (rc == NGX_DONE) ? ngx_http_rt_ctx(r)->rc
                                                  : rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_rt_publish_cleanup(void *data)
{
    ngx_http_rt_publish_ctx_t *ctx = data;

    ngx_http_rt_publication_cancel(&ctx->pub);
}
