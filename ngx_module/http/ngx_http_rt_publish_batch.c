/*
 * Batches: each line of the body is a JSON object that describes a message, see
 * ngx_http_rt_batch.h.  The first line that is wrong refuses the whole batch.
 */

#include "ngx_http_rt_publish.h"
#include "ngx_http_rt_batch.h"


/* messages of a batch, for they are appended under one hold of the mutex */
#define NGX_HTTP_RT_BATCH_MAX  16384


static ngx_uint_t ngx_http_rt_publish_batch_lines(ngx_str_t *body);
static ngx_int_t ngx_http_rt_publish_batch_line(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_uint_t n, ngx_str_t *line,
    u_char *arena);
static ngx_int_t ngx_http_rt_publish_batch_add(
    ngx_http_rt_publish_ctx_t *ctx, ngx_http_rt_batch_line_t *line);
static void ngx_http_rt_publish_batch_str(ngx_str_t *s, const u_char *data,
    size_t len);


ngx_uint_t
ngx_http_rt_publish_batch_asked(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    h = ngx_http_rt_header_find(r, "Realtime-Batch");

    return h && h->value.len == 2
           && ngx_strncasecmp(h->value.data, (u_char *) "on", 2) == 0;
}


const char *
ngx_http_rt_publish_batch_type(ngx_http_request_t *r)
{
    u_char           *p;
    ngx_table_elt_t  *h;

    h = r->headers_in.content_type;

    if (h == NULL || h->value.len < 20) {
        return "a batch must be of type application/x-ndjson";
    }

    p = h->value.data;

    if (ngx_strncasecmp(p, (u_char *) "application/x-ndjson", 20) != 0
        || (h->value.len > 20 && p[20] != ';' && p[20] != ' '))
    {
        return "a batch must be of type application/x-ndjson";
    }

    return NULL;
}


ngx_int_t
ngx_http_rt_publish_batch(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_str_t *body)
{
    u_char      *p, *last, *end, *arena;
    ngx_int_t    rc;
    ngx_str_t    line;
    ngx_uint_t   n;

    n = ngx_http_rt_publish_batch_lines(body);

    ctx->pub.messages = ngx_palloc(r->pool,
                                   n * sizeof(ngx_http_rt_message_t));
    arena = ngx_pnalloc(r->pool, body->len + 1);

    if (ctx->pub.messages == NULL || arena == NULL) {
        return NGX_ERROR;
    }

    last = body->data + body->len;

    for (p = body->data, n = 1; p < last; p = end + 1, n++) {

        end = memchr(p, LF, last - p);
        if (end == NULL) {
            end = last;
        }

        if (end == p || (end == p + 1 && *p == CR)) {
            continue;
        }

        line.data = p;
        line.len = end - p;

        rc = ngx_http_rt_publish_batch_line(r, ctx, n, &line, arena);
        if (rc != NGX_OK) {
            return rc;
        }

        arena += line.len;
    }

    if (ctx->pub.n == 0) {
        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST, "batch is empty");
    }

    return NGX_OK;
}


/* no fewer than there are, but for those beyond the limit */

static ngx_uint_t
ngx_http_rt_publish_batch_lines(ngx_str_t *body)
{
    u_char      *p, *last;
    ngx_uint_t   n;

    last = body->data + body->len;

    for (p = body->data, n = 1; n < NGX_HTTP_RT_BATCH_MAX; p++, n++) {
        p = memchr(p, LF, last - p);
        if (p == NULL) {
            break;
        }
    }

    return n;
}


static ngx_int_t
ngx_http_rt_publish_batch_line(ngx_http_request_t *r,
    ngx_http_rt_publish_ctx_t *ctx, ngx_uint_t n, ngx_str_t *line,
    u_char *arena)
{
    char                      err[NGX_HTTP_RT_BATCH_ERROR_LEN];
    const char               *text;
    ngx_uint_t                status;
    ngx_http_rt_batch_line_t  parsed;

    if (ctx->pub.n == NGX_HTTP_RT_BATCH_MAX) {
        return ngx_http_rt_refuse(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                  "line %ui: more than %d messages", n,
                                  NGX_HTTP_RT_BATCH_MAX);
    }

    if (ngx_http_rt_batch_parse(line->data, line->len, arena, &parsed, err,
                                sizeof(err))
        != 0)
    {
        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST, "line %ui: %s", n,
                                  err);
    }

    if (!parsed.topic_given && ctx->wild) {
        return ngx_http_rt_refuse(r, NGX_HTTP_BAD_REQUEST,
                                  "line %ui: no topic", n);
    }

    if (ngx_http_rt_publish_batch_add(ctx, &parsed) != NGX_OK) {
        status = ngx_http_rt_publication_status(&ctx->pub, &text);

        return ngx_http_rt_refuse(r, status, "line %ui: %s", n, text);
    }

    return NGX_OK;
}


/* what JSON says is UTF-8; the parser has seen to it */

static ngx_int_t
ngx_http_rt_publish_batch_add(ngx_http_rt_publish_ctx_t *ctx,
    ngx_http_rt_batch_line_t *line)
{
    ngx_http_rt_draft_t  draft;

    ngx_memzero(&draft, sizeof(ngx_http_rt_draft_t));

    draft.topic = ctx->topic;

    if (line->topic_given) {
        ngx_http_rt_publish_batch_str(&draft.topic, line->topic,
                                      line->topic_len);
    }

    ngx_http_rt_publish_batch_str(&draft.event, line->event, line->event_len);
    ngx_http_rt_publish_batch_str(&draft.type, line->type, line->type_len);
    ngx_http_rt_publish_batch_str(&draft.data, line->data, line->data_len);

    draft.binary = line->binary;
    draft.utf8 = 1;

    return ngx_http_rt_publication_add(&ctx->pub, &draft);
}


static void
ngx_http_rt_publish_batch_str(ngx_str_t *s, const u_char *data, size_t len)
{
    s->data = (u_char *) data;
    s->len = len;
}
