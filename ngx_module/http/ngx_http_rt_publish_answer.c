/*
 * The answer to a publisher, {"id":...} for a message, {"first_id":...} for a
 * batch, and the values of the access log's variables.  A replay is answered as
 * the first time was.
 */

#include "ngx_http_rt_publish.h"
#include "ngx_http_rt_json.h"


static void ngx_http_rt_publish_log(ngx_http_request_t *r,
    ngx_http_rt_publication_t *pub);
static u_char *ngx_http_rt_publish_json_batch(u_char *p,
    ngx_http_rt_publication_t *pub);
static u_char *ngx_http_rt_publish_json(u_char *p,
    ngx_http_rt_publish_ctx_t *ctx);


/* NGX_DONE: it was refused */

ngx_int_t
ngx_http_rt_publish_answer(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx)
{
    size_t                      size;
    u_char                     *json, *p;
    ngx_http_rt_publication_t  *pub;

    pub = &ctx->pub;

    if (pub->rc != NGX_HTTP_RT_PUBLISHED) {
        return ngx_http_rt_publish_refuse(r, ctx);
    }

    ngx_http_rt_publish_log(r, pub);

    size = 128 + 2 * NGX_HTTP_RT_ID_LEN
           + ngx_http_rt_json_escape_size(ctx->topic.data, ctx->topic.len);

    json = ngx_pnalloc(r->pool, size);
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ctx->batch ? ngx_http_rt_publish_json_batch(json, pub)
                   : ngx_http_rt_publish_json(json, ctx);

    if (ngx_http_rt_header_id(r, pub->epoch, pub->last) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (pub->replay
        && ngx_http_rt_header_add(r, "Idempotent-Replay", (u_char *) "true", 4)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_rt_answer(r, NGX_HTTP_CREATED, json, p - json);
}


static void
ngx_http_rt_publish_log(ngx_http_request_t *r, ngx_http_rt_publication_t *pub)
{
    ngx_uint_t          i;
    ngx_http_rt_ctx_t  *ctx;

    ctx = ngx_http_rt_ctx(r);

    ctx->epoch = pub->epoch;
    ctx->report.seq = pub->last;
    ctx->has_id = 1;
    ctx->subscribers = pub->subscribers;
    ctx->has_subscribers = 1;

    if (pub->replay) {
        return;
    }

    ctx->report.messages = pub->n;

    for (i = 0; i < pub->n; i++) {
        ctx->report.bytes += pub->messages[i].data_len;
    }
}


static u_char *
ngx_http_rt_publish_json_batch(u_char *p, ngx_http_rt_publication_t *pub)
{
    p = ngx_cpymem(p, "{\"first_id\":\"", 13);
    p = ngx_http_rt_id_write(p, pub->epoch, pub->first);
    p = ngx_cpymem(p, "\",\"last_id\":\"", 13);
    p = ngx_http_rt_id_write(p, pub->epoch, pub->last);
    p = ngx_cpymem(p, "\",\"count\":", 10);
    p = ngx_http_rt_uint_write(p, pub->count);
    *p++ = '}';

    return p;
}


static u_char *
ngx_http_rt_publish_json(u_char *p, ngx_http_rt_publish_ctx_t *ctx)
{
    p = ngx_cpymem(p, "{\"id\":\"", 7);
    p = ngx_http_rt_id_write(p, ctx->pub.epoch, ctx->pub.last);
    p = ngx_cpymem(p, "\",\"topic\":\"", 11);
    p = ngx_http_rt_json_escape(p, ctx->topic.data, ctx->topic.len);
    p = ngx_cpymem(p, "\",\"subscribers\":", 16);
    p = ngx_http_rt_uint_write(p, ctx->pub.subscribers);
    *p++ = '}';

    return p;
}
