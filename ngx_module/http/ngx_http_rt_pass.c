/*
 * realtime_pass over HTTP: POST is a command to an entity, GET a query.
 *
 * A request is described in an ngx_http_rt_ask_t whose strings lie in the
 * request's pool (_pass_ask.c), goes to the daemon that has the entity, and
 * waits as a call in the link's table; the answer is written by _pass_reply.c.
 *
 * A client that leaves while its request waits is noticed: the request ends
 * with 499 and its call is cancelled.  The daemon decides the command
 * nevertheless.
 */

#include "ngx_http_rt_pass.h"
#include "ngx_http_rt_accept.h"
#include "ngx_http_rt_engine.h"
#include "ngx_http_rt_operation.h"
#include "ngx_http_rt_rule.h"


/* of a request that waits */

typedef struct {
    ngx_http_request_t       *request;
    ngx_http_rt_link_t       *link;
    ngx_http_rt_ask_t         ask;
    ngx_http_rt_call_t        call;
} ngx_http_rt_pass_ctx_t;


static ngx_int_t ngx_http_rt_pass_upgrade(ngx_http_request_t *r,
    ngx_http_rt_pass_ctx_t *ctx);
static ngx_int_t ngx_http_rt_pass_query(ngx_http_request_t *r,
    ngx_http_rt_pass_ctx_t *ctx);
static ngx_int_t ngx_http_rt_pass_method(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_pass_events(ngx_http_request_t *r,
    ngx_http_rt_pass_ctx_t *ctx, ngx_uint_t sse);
static ngx_int_t ngx_http_rt_pass_from(ngx_http_request_t *r, uint64_t *from);
static ngx_int_t ngx_http_rt_pass_unanswered(ngx_http_request_t *r,
    const rt_wire_frame_t *f, ngx_uint_t status);
static ngx_int_t ngx_http_rt_pass_wait(ngx_http_request_t *r,
    ngx_http_rt_pass_ctx_t *ctx);
static ngx_uint_t ngx_http_rt_pass_stream(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_pass_command(ngx_http_request_t *r);
static void ngx_http_rt_pass_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_pass_decide(ngx_http_request_t *r,
    ngx_http_rt_pass_ctx_t *ctx);
static ngx_int_t ngx_http_rt_pass_send(ngx_http_request_t *r,
    ngx_http_rt_pass_ctx_t *ctx);
static void ngx_http_rt_pass_answered(ngx_http_rt_call_t *call,
    const rt_wire_frame_t *f, ngx_uint_t status);
static void ngx_http_rt_pass_cleanup(void *data);


ngx_int_t
ngx_http_rt_pass(ngx_http_request_t *r)
{
    ngx_http_rt_ctx_t       *rctx;
    ngx_http_rt_pass_ctx_t  *ctx;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    rctx = ngx_http_rt_ctx(r);
    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_rt_pass_ctx_t));

    if (rctx == NULL || ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rctx->pass = ctx;
    ctx->request = r;

    if ((r->method & NGX_HTTP_GET) && ngx_http_rt_websocket_asked(r)) {
        return ngx_http_rt_pass_upgrade(r, ctx);
    }

    if ((r->method & NGX_HTTP_GET) && !rlcf->pass->has_command
        && rlcf->subscribe)
    {
        return ngx_http_rt_admit(r);
    }

    if ((r->method & NGX_HTTP_POST) && rlcf->pass->has_command) {
        return ngx_http_rt_pass_command(r);
    }

    return ngx_http_rt_pass_query(r, ctx);
}


/* what is wrong with the location's values is answered before the handshake */

static ngx_int_t
ngx_http_rt_pass_upgrade(ngx_http_request_t *r, ngx_http_rt_pass_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_rt_pass_ask(r, &ctx->ask, &ctx->link);

    if (rc != NGX_OK) {
        r->keepalive = 0;
        return (rc == NGX_DONE) ? ngx_http_rt_ctx(r)->rc : rc;
    }

    return ngx_http_rt_admit(r);
}


static ngx_int_t
ngx_http_rt_pass_query(ngx_http_request_t *r, ngx_http_rt_pass_ctx_t *ctx)
{
    ngx_int_t                rc;
    ngx_uint_t               stream;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    rc = ngx_http_rt_body_ignore(r);

    if (rc == NGX_OK) {
        rc = ngx_http_rt_pass_method(r);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_rt_pass_ask(r, &ctx->ask, &ctx->link);
    }

    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? ngx_http_rt_ctx(r)->rc : rc;
    }

    stream = ngx_http_rt_pass_stream(r);

    if (stream && ctx->ask.name.len == 6
        && ngx_strncmp(ctx->ask.name.data, "events", 6) == 0)
    {
        return ngx_http_rt_pass_events(r, ctx, stream == 1);
    }

    if (stream && rlcf->subscribe) {
        return ngx_http_rt_admit(r);
    }

    return ngx_http_rt_pass_wait(r, ctx);
}


/* whether a query is meant; NGX_DONE: it has been refused */

static ngx_int_t
ngx_http_rt_pass_method(ngx_http_request_t *r)
{
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (!rlcf->pass->has_command) {

        if (ngx_http_rt_websocket_headers(r) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_rt_pass_refuse(r, 426, "upgrade",
                                       "WebSocket is needed here");
    }

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        return NGX_OK;
    }

    if (ngx_http_rt_header_add(r, "Allow", (u_char *) "GET, HEAD, POST", 15)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_rt_pass_refuse(r, NGX_HTTP_NOT_ALLOWED, "method",
                                   "this method is not for this place");
}


/* what was of the entity from a version on, and what becomes */

static ngx_int_t
ngx_http_rt_pass_events(ngx_http_request_t *r, ngx_http_rt_pass_ctx_t *ctx,
    ngx_uint_t sse)
{
    ngx_int_t                rc;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (ngx_http_rt_pass_from(r, &ctx->ask.from) != NGX_OK) {
        return ngx_http_rt_pass_error(r, NGX_HTTP_BAD_REQUEST, "bad_argument",
                                      "from must be a number");
    }

    rc = ngx_http_rt_engine(r, rlcf->subscribe_zone->data, &rlcf->session,
                            ctx->link, &ctx->ask, sse,
                            ngx_http_rt_pass_unanswered);

    if (rc == NGX_DONE) {
        return NGX_DONE;
    }

    return ngx_http_rt_pass_unanswered(r, NULL, rc);
}


/*
 * Last-Event-ID is the last version that the client had.  One that is no number
 * is of another server, and would be sent again and again: it counts as none.
 */

static ngx_int_t
ngx_http_rt_pass_from(ngx_http_request_t *r, uint64_t *from)
{
    ngx_int_t         n;
    ngx_str_t         arg;
    ngx_table_elt_t  *h;

    *from = 1;

    h = ngx_http_rt_header_find(r, "Last-Event-ID");

    if (h && h->value.len) {
        n = ngx_atoi(h->value.data, h->value.len);

        if (n != NGX_ERROR) {
            *from = (uint64_t) n + 1;
            return NGX_OK;
        }
    }

    if (ngx_http_arg(r, (u_char *) "from", 4, &arg) == NGX_OK) {
        n = ngx_atoi(arg.data, arg.len);
        *from = ngx_max(n, 1);

        return (n == NGX_ERROR) ? NGX_ERROR : NGX_OK;
    }

    return NGX_OK;
}


/* the daemon's reply, or without one why there is none */

static ngx_int_t
ngx_http_rt_pass_unanswered(ngx_http_request_t *r, const rt_wire_frame_t *f,
    ngx_uint_t status)
{
    const char  *code, *message;

    if (f) {
        return ngx_http_rt_pass_reply(r, f);
    }

    status = ngx_http_rt_pass_reason(status, &code, &message);

    return ngx_http_rt_pass_error(r, status, code, message);
}


static ngx_int_t
ngx_http_rt_pass_wait(ngx_http_request_t *r, ngx_http_rt_pass_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (r->args.len > RT_WIRE_ARGS_MAX) {
        return ngx_http_rt_pass_error(r, NGX_HTTP_BAD_REQUEST,
                                      "bad_argument",
                                      "the arguments are too long");
    }

    if (!ngx_http_rt_rule_plain(r->args.data, r->args.len)) {
        return ngx_http_rt_pass_error(r, NGX_HTTP_BAD_REQUEST,
                                      "bad_argument",
                                      "the arguments must be UTF-8 without "
                                      "control characters");
    }

    ctx->ask.args = r->args;

    rc = ngx_http_rt_pass_send(r, ctx);

    if (rc == NGX_AGAIN) {
        r->main->count++;
        return NGX_DONE;
    }

    return rc;
}


/* 1: SSE, 2: ndjson, 0: an answer */

static ngx_uint_t
ngx_http_rt_pass_stream(ngx_http_request_t *r)
{
    int               n;
    ngx_table_elt_t  *h;

    static const char  *types[] = {
        "application/json", "text/event-stream", "application/x-ndjson"
    };

    h = ngx_http_rt_header_find(r, "Accept");

    if (h == NULL) {
        return 0;
    }

    n = ngx_http_rt_accept_choose(h->value.data, h->value.len, types, 3);

    return (n > 0) ? n : 0;
}


static ngx_int_t
ngx_http_rt_pass_command(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (r->headers_in.content_length_n
        > (off_t) rlcf->session.message_max_size)
    {
        rc = ngx_http_discard_request_body(r);

        return (rc != NGX_OK) ? rc
               : ngx_http_rt_pass_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                        "too_large",
                                        "the body is larger than allowed");
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_rt_pass_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


static void
ngx_http_rt_pass_body(ngx_http_request_t *r)
{
    ngx_int_t           rc;
    ngx_http_rt_ctx_t  *rctx;

    rctx = ngx_http_rt_ctx(r);

    rc = ngx_http_rt_pass_decide(r, rctx->pass);

    if (rc == NGX_AGAIN) {
        return;
    }

    ngx_http_finalize_request(r, (rc == NGX_DONE) ? rctx->rc : rc);
}


/* NGX_AGAIN: it waits; NGX_DONE: it has been refused */

static ngx_int_t
ngx_http_rt_pass_decide(ngx_http_request_t *r, ngx_http_rt_pass_ctx_t *ctx)
{
    ngx_int_t                rc;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (ngx_http_rt_body_collect(r, &ctx->ask.body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_rt_pass_conditions(r, &ctx->ask);

    if (rc == NGX_OK) {
        rc = ngx_http_rt_pass_ask(r, &ctx->ask, &ctx->link);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->ask.body.len > rlcf->session.message_max_size) {
        return ngx_http_rt_pass_refuse(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                       "too_large",
                                       "the body is larger than allowed");
    }

    return ngx_http_rt_pass_send(r, ctx);
}


/* NGX_AGAIN: it waits, else what to finalize the request with */

static ngx_int_t
ngx_http_rt_pass_send(ngx_http_request_t *r, ngx_http_rt_pass_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_http_cleanup_t  *cln;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_rt_pass_cleanup;
    cln->data = ctx;

    ctx->call.handler = ngx_http_rt_pass_answered;
    ctx->call.data = ctx;

    rc = (r->method & NGX_HTTP_POST)
         ? ngx_http_rt_operation_command(NULL, ctx->link, &ctx->call,
                                         &ctx->ask)
         : ngx_http_rt_operation_query(NULL, ctx->link, &ctx->call, &ctx->ask);

    if (rc != NGX_OK) {
        return ngx_http_rt_pass_unanswered(r, NULL, rc);
    }

    ngx_http_rt_body_watch(r);

    return NGX_AGAIN;
}


static void
ngx_http_rt_pass_answered(ngx_http_rt_call_t *call, const rt_wire_frame_t *f,
    ngx_uint_t status)
{
    ngx_int_t                rc;
    ngx_connection_t        *c;
    ngx_http_request_t      *r;
    ngx_http_rt_pass_ctx_t  *ctx;

    ctx = call->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = ngx_http_rt_pass_unanswered(r, f, status);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_rt_pass_cleanup(void *data)
{
    ngx_http_rt_pass_ctx_t *ctx = data;

    ngx_http_rt_link_cancel(&ctx->call);
}
