/*
 * realtime_pass over HTTP: POST is a command to an entity, GET a query.
 *
 * A request is described in an ngx_http_rt_ask_t whose strings lie in the
 * request's pool, goes to the daemon that has the entity, and waits as a call
 * in the link's table.  A client that leaves first takes its call with it; the
 * command is decided nevertheless.
 *
 * Every refusal, ours or the daemon's, is {"error":"code","message":"..."}.
 */

#include "ngx_http_rt.h"
#include "ngx_http_rt_accept.h"
#include "ngx_http_rt_json.h"
#include "ngx_http_rt_pass.h"


#define NGX_HTTP_RT_PASS_TIMEOUT  5000


/* of a request that waits */

typedef struct {
    ngx_http_request_t       *request;
    ngx_http_rt_link_t       *link;
    ngx_http_rt_ask_t         ask;
    ngx_http_rt_call_t        call;
} ngx_http_rt_pass_ctx_t;


static char *ngx_http_rt_pass_value(ngx_conf_t *cf, ngx_str_t *value,
    size_t len, ngx_http_complex_value_t *cv);
static ngx_int_t ngx_http_rt_pass_strings(ngx_http_request_t *r,
    ngx_http_rt_ask_t *ask, const char **wrong);
static ngx_int_t ngx_http_rt_pass_check(ngx_http_rt_ask_t *ask,
    const char **wrong);
static ngx_int_t ngx_http_rt_pass_command(ngx_http_request_t *r,
    ngx_http_rt_pass_ctx_t *ctx);
static void ngx_http_rt_pass_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_pass_conditions(ngx_http_request_t *r,
    ngx_http_rt_ask_t *ask);
static ngx_int_t ngx_http_rt_pass_send(ngx_http_request_t *r,
    ngx_http_rt_pass_ctx_t *ctx);
static void ngx_http_rt_pass_answered(ngx_http_rt_call_t *call,
    const rt_wire_frame_t *f, ngx_uint_t status);
static ngx_int_t ngx_http_rt_pass_number(ngx_http_request_t *r,
    const char *name, const char *fmt, uint64_t n);
static ngx_int_t ngx_http_rt_pass_query(ngx_http_request_t *r,
    ngx_http_rt_pass_ctx_t *ctx);
static ngx_uint_t ngx_http_rt_pass_stream(ngx_http_request_t *r);
static void ngx_http_rt_pass_cleanup(void *data);


/* realtime_pass name engine= entity= command= [user=] [timeout=] */

char *
ngx_http_rt_pass_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_rt_loc_conf_t *rlcf = conf;

    char                     *rv;
    ngx_str_t                *value, s;
    ngx_uint_t                i, has_engine, has_entity;
    ngx_http_rt_pass_conf_t  *pass;

    if (rlcf->pass) {
        return "is duplicate";
    }

    value = cf->args->elts;

    pass = ngx_pcalloc(cf->pool, sizeof(ngx_http_rt_pass_conf_t));
    if (pass == NULL) {
        return NGX_CONF_ERROR;
    }

    rlcf->pass = pass;

    pass->name = value[1];
    pass->timeout = NGX_HTTP_RT_PASS_TIMEOUT;

    has_engine = 0;
    has_entity = 0;

    for (i = 2; i < cf->args->nelts; i++) {

        rv = NGX_CONF_OK;

        if (ngx_strncmp(value[i].data, "engine=", 7) == 0) {
            rv = ngx_http_rt_pass_value(cf, &value[i], 7, &pass->engine);
            has_engine = 1;

        } else if (ngx_strncmp(value[i].data, "entity=", 7) == 0) {
            rv = ngx_http_rt_pass_value(cf, &value[i], 7, &pass->entity);
            has_entity = 1;

        } else if (ngx_strncmp(value[i].data, "command=", 8) == 0) {
            rv = ngx_http_rt_pass_value(cf, &value[i], 8, &pass->command);
            pass->has_command = 1;

        } else if (ngx_strncmp(value[i].data, "user=", 5) == 0) {
            rv = ngx_http_rt_pass_value(cf, &value[i], 5, &pass->user);
            pass->has_user = 1;

        } else if (ngx_strncmp(value[i].data, "timeout=", 8) == 0) {
            s.data = value[i].data + 8;
            s.len = value[i].len - 8;

            pass->timeout = ngx_parse_time(&s, 0);

            if (pass->timeout == (ngx_msec_t) NGX_ERROR || pass->timeout == 0)
            {
                rv = NGX_CONF_ERROR;
            }

        } else {
            rv = NGX_CONF_ERROR;
        }

        if (rv != NGX_CONF_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    if (!has_engine || !has_entity) {
        return "needs engine= and entity=";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_rt_pass_value(ngx_conf_t *cf, ngx_str_t *value, size_t len,
    ngx_http_complex_value_t *cv)
{
    ngx_str_t                         *s;
    ngx_http_compile_complex_value_t   ccv;

    s = ngx_palloc(cf->pool, sizeof(ngx_str_t));
    if (s == NULL) {
        return NGX_CONF_ERROR;
    }

    s->data = value->data + len;
    s->len = value->len - len;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = s;
    ccv.complex_value = cv;

    return (ngx_http_compile_complex_value(&ccv) == NGX_OK) ? NGX_CONF_OK
                                                            : NGX_CONF_ERROR;
}


/* all of the configuration has been read */

char *
ngx_http_rt_pass_merge(ngx_conf_t *cf, ngx_http_rt_loc_conf_t *conf)
{
    ngx_http_rt_main_conf_t  *mcf;
    ngx_http_rt_pass_conf_t  *pass;

    pass = conf->pass;
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_realtime_module);

    if (conf->publish) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"realtime_pass\" and \"realtime_publish\" "
                           "exclude each other");
        return NGX_CONF_ERROR;
    }

    pass->worker = ngx_http_rt_worker_named(mcf, &pass->name);

    if (pass->worker == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown realtime_worker \"%V\"", &pass->name);
        return NGX_CONF_ERROR;
    }

    if (conf->subscribe_zone == NULL) {
        conf->subscribe_zone = pass->worker->zone->shm_zone;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_rt_pass(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_rt_ctx_t        *rctx;
    ngx_http_rt_pass_ctx_t   *ctx;
    ngx_http_rt_loc_conf_t   *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (r != r->main) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "realtime_pass cannot serve a subrequest");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rctx = ngx_http_rt_ctx(r);
    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_rt_pass_ctx_t));

    if (rctx == NULL || ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rctx->pass = ctx;
    ctx->request = r;

    if ((r->method & NGX_HTTP_GET) && ngx_http_rt_ws_asked(r)) {

        /* what is wrong with them can be told only before the handshake */

        rc = ngx_http_rt_pass_ask(r, &ctx->ask, &ctx->link);

        if (rc != NGX_OK) {
            r->keepalive = 0;
            return (rc == NGX_DONE) ? rctx->rc : rc;
        }

        return ngx_http_rt_subscribe(r);
    }

    if ((r->method & NGX_HTTP_GET) && !rlcf->pass->has_command
        && rlcf->subscribe)
    {
        return ngx_http_rt_subscribe(r);
    }

    if ((r->method & NGX_HTTP_POST) && rlcf->pass->has_command) {
        return ngx_http_rt_pass_command(r, ctx);
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (!rlcf->pass->has_command) {

        if (ngx_http_rt_ws_headers(r) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_rt_pass_error(r, 426, "upgrade",
                                      "WebSocket is needed here");
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {

        if (ngx_http_rt_header_add(r, "Allow", (u_char *) "GET, HEAD, POST",
                                   15)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_rt_pass_error(r, NGX_HTTP_NOT_ALLOWED, "method",
                                      "this method is not for this place");
    }

    return ngx_http_rt_pass_query(r, ctx);
}


static ngx_int_t
ngx_http_rt_pass_query(ngx_http_request_t *r, ngx_http_rt_pass_ctx_t *ctx)
{
    ngx_int_t                rc;
    ngx_uint_t               stream;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    rc = ngx_http_rt_pass_ask(r, &ctx->ask, &ctx->link);
    if (rc != NGX_OK) {
        return (rc == NGX_DONE) ? ngx_http_rt_ctx(r)->rc : rc;
    }

    stream = ngx_http_rt_pass_stream(r);

    if (stream && ctx->ask.name.len == 6
        && ngx_strncmp(ctx->ask.name.data, "events", 6) == 0)
    {
        return ngx_http_rt_events(r, ctx->link, &ctx->ask, stream == 1);
    }

    if (stream && rlcf->subscribe) {
        return ngx_http_rt_subscribe(r);
    }

    if (r->args.len > RT_WIRE_ARGS_MAX) {
        return ngx_http_rt_pass_error(r, NGX_HTTP_BAD_REQUEST,
                                      "bad_argument",
                                      "the arguments are too long");
    }

    ctx->ask.type = RT_WIRE_QUERY;
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


/* engine, entity, command, user, and the daemon that has them */

ngx_int_t
ngx_http_rt_pass_ask(ngx_http_request_t *r, ngx_http_rt_ask_t *ask,
    ngx_http_rt_link_t **link)
{
    ngx_int_t                rc;
    const char              *wrong;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    wrong = NULL;

    rc = ngx_http_rt_pass_strings(r, ask, &wrong);

    if (rc == NGX_DECLINED) {
        ngx_http_rt_ctx(r)->rc = ngx_http_rt_pass_error(r,
                                            NGX_HTTP_BAD_REQUEST,
                                            "bad_request", wrong);
        return NGX_DONE;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ask->timeout = rlcf->pass->timeout;

    *link = ngx_http_rt_worker_link(rlcf->pass->worker, &ask->engine,
                                    &ask->entity);

    ask->connection = ngx_http_rt_link_client(r, *link);

    return ask->connection ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_http_rt_pass_strings(ngx_http_request_t *r, ngx_http_rt_ask_t *ask,
    const char **wrong)
{
    ngx_http_rt_loc_conf_t   *rlcf;
    ngx_http_rt_pass_conf_t  *pass;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    pass = rlcf->pass;

    if (ngx_http_complex_value(r, &pass->engine, &ask->engine) != NGX_OK
        || ngx_http_complex_value(r, &pass->entity, &ask->entity) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (pass->has_command
        && ngx_http_complex_value(r, &pass->command, &ask->name) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (pass->has_user
        && ngx_http_complex_value(r, &pass->user, &ask->user) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_rt_pass_check(ask, wrong);
}


/* the wire's limits: beyond them the daemon would close the link */

static ngx_int_t
ngx_http_rt_pass_check(ngx_http_rt_ask_t *ask, const char **wrong)
{
    if (ask->engine.len == 0 || ask->engine.len > RT_WIRE_ENGINE_MAX) {
        *wrong = "engine must have 1 to 32 bytes";
        return NGX_DECLINED;
    }

    if (ask->entity.len == 0 || ask->entity.len > RT_WIRE_ENTITY_MAX) {
        *wrong = "entity must have 1 to 200 bytes";
        return NGX_DECLINED;
    }

    if (ask->name.len > RT_WIRE_NAME_MAX) {
        *wrong = "command must have 1 to 64 bytes";
        return NGX_DECLINED;
    }

    if (ask->user.len > RT_WIRE_USER_MAX) {
        *wrong = "user must have at most 255 bytes";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_pass_command(ngx_http_request_t *r, ngx_http_rt_pass_ctx_t *ctx)
{
    ngx_int_t                rc;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (r->headers_in.content_length_n > (off_t) rlcf->message_max_size) {
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
    ngx_int_t                rc;
    ngx_http_rt_ctx_t       *rctx;
    ngx_http_rt_pass_ctx_t  *ctx;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    rctx = ngx_http_rt_ctx(r);
    ctx = rctx->pass;

    ctx->ask.type = RT_WIRE_COMMAND;

    if (ngx_http_rt_publish_collect(r, &ctx->ask.body) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    rc = ngx_http_rt_pass_conditions(r, &ctx->ask);

    if (rc == NGX_OK) {
        rc = ngx_http_rt_pass_ask(r, &ctx->ask, &ctx->link);
    }

    if (rc == NGX_OK && ctx->ask.body.len > rlcf->message_max_size) {
        rc = NGX_DONE;
        rctx->rc = ngx_http_rt_pass_error(r,
                                          NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                          "too_large",
                                          "the body is larger than allowed");
    }

    if (rc == NGX_OK) {
        rc = ngx_http_rt_pass_send(r, ctx);

        if (rc == NGX_AGAIN) {
            return;
        }
    }

    ngx_http_finalize_request(r, (rc == NGX_DONE) ? rctx->rc : rc);
}


/* If-Match and Idempotency-Key; NGX_DONE: it has been refused */

static ngx_int_t
ngx_http_rt_pass_conditions(ngx_http_request_t *r, ngx_http_rt_ask_t *ask)
{
    size_t            i;
    ngx_int_t         n;
    ngx_str_t         s;
    const char       *wrong;
    ngx_table_elt_t  *h;

    /* If-Match is for the daemon to judge, not for nginx */

    r->disable_not_modified = 1;

    h = ngx_http_rt_header_find(r, "If-Match");

    if (h && !(h->value.len == 1 && h->value.data[0] == '*')) {
        s = h->value;

        if (s.len > 2 && s.data[0] == '"' && s.data[s.len - 1] == '"') {
            s.data++;
            s.len -= 2;
        }

        n = ngx_atoi(s.data, s.len);

        if (n == NGX_ERROR) {
            wrong = "If-Match must be one version";
            goto refused;
        }

        ask->expect = n;
        ask->has_expect = 1;
    }

    h = ngx_http_rt_header_find(r, "Idempotency-Key");

    if (h == NULL) {
        return NGX_OK;
    }

    if (h->value.len == 0 || h->value.len > RT_WIRE_KEY_MAX) {
        wrong = "Idempotency-Key must have 1 to 255 characters";
        goto refused;
    }

    for (i = 0; i < h->value.len; i++) {
        if (h->value.data[i] < 0x20 || h->value.data[i] > 0x7e) {
            wrong = "Idempotency-Key has a character out of ASCII";
            goto refused;
        }
    }

    ask->key = h->value;

    return NGX_OK;

refused:

    ngx_http_rt_ctx(r)->rc = ngx_http_rt_pass_error(r, NGX_HTTP_BAD_REQUEST,
                                                    "bad_request", wrong);
    return NGX_DONE;
}


/* NGX_AGAIN: it waits, else what to finalize the request with */

static ngx_int_t
ngx_http_rt_pass_send(ngx_http_request_t *r, ngx_http_rt_pass_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_uint_t           status;
    const char          *code, *message;
    ngx_http_cleanup_t  *cln;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_rt_pass_cleanup;
    cln->data = ctx;

    ctx->call.handler = ngx_http_rt_pass_answered;
    ctx->call.data = ctx;

    rc = ngx_http_rt_link_ask(ctx->link, &ctx->call, &ctx->ask);

    if (rc != NGX_OK) {
        status = ngx_http_rt_pass_reason(rc, &code, &message);
        return ngx_http_rt_pass_error(r, status, code, message);
    }

    return NGX_AGAIN;
}


static void
ngx_http_rt_pass_answered(ngx_http_rt_call_t *call, const rt_wire_frame_t *f,
    ngx_uint_t status)
{
    ngx_int_t                rc;
    const char              *code, *message;
    ngx_connection_t        *c;
    ngx_http_request_t      *r;
    ngx_http_rt_pass_ctx_t  *ctx;

    ctx = call->data;
    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (f) {
        rc = ngx_http_rt_pass_reply(r, f);

    } else {
        status = ngx_http_rt_pass_reason(status, &code, &message);
        rc = ngx_http_rt_pass_error(r, status, code, message);
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


ngx_int_t
ngx_http_rt_pass_reply(ngx_http_request_t *r, const rt_wire_frame_t *f)
{
    u_char         *json;
    uint64_t        status, version;
    rt_wire_str_t   body;

    body = rt_wire_string(f, RT_WIRE_F_BODY);
    status = rt_wire_number(f, RT_WIRE_F_STATUS);

    if (status < 200 || status > 599) {
        return NGX_HTTP_BAD_GATEWAY;
    }

    if (rt_wire_has(f, RT_WIRE_F_VERSION)) {
        version = rt_wire_number(f, RT_WIRE_F_VERSION);

        if (ngx_http_rt_pass_number(r, "Realtime-Version", "%uL", version)
            != NGX_OK
            || ngx_http_rt_pass_number(r, "ETag", "\"%uL\"", version)
               != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (rt_wire_has(f, RT_WIRE_F_RETRY)
        && ngx_http_rt_pass_number(r, "Retry-After", "%uL",
                                   rt_wire_number(f, RT_WIRE_F_RETRY))
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if ((f->flags & RT_WIRE_REPEATED)
        && ngx_http_rt_header_add(r, "Idempotent-Replay", (u_char *) "true", 4)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!(r->method & NGX_HTTP_POST)
        && ngx_http_rt_header_add(r, "Cache-Control", (u_char *) "no-cache", 8)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json = NULL;

    if (body.len) {
        json = ngx_pnalloc(r->pool, body.len);
        if (json == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_memcpy(json, body.data, body.len);
    }

    return ngx_http_rt_answer(r, status, json, body.len);
}


/* nginx looks for the ETag to compare If-None-Match with */

static ngx_int_t
ngx_http_rt_pass_number(ngx_http_request_t *r, const char *name,
    const char *fmt, uint64_t n)
{
    u_char            text[NGX_INT64_LEN + 2];
    ngx_table_elt_t  *h;

    if (ngx_http_rt_header_add(r, name, text, ngx_sprintf(text, fmt, n) - text)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_strcmp(name, "ETag") == 0) {
        h = (ngx_table_elt_t *) r->headers_out.headers.last->elts;
        r->headers_out.etag = &h[r->headers_out.headers.last->nelts - 1];
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_rt_pass_reason(ngx_int_t rc, const char **code, const char **message)
{
    switch (rc) {

    case NGX_HTTP_RT_LINK_DOWN:
    case NGX_HTTP_SERVICE_UNAVAILABLE:
        *code = "unavailable";
        *message = "the daemon is away, nothing has been done";
        return NGX_HTTP_SERVICE_UNAVAILABLE;

    case NGX_HTTP_RT_LINK_BUSY:
        *code = "busy";
        *message = "too many requests wait for the daemon";
        return NGX_HTTP_SERVICE_UNAVAILABLE;

    case NGX_HTTP_RT_LINK_LARGE:
        *code = "too_large";
        *message = "it is larger than the daemon takes";
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;

    case NGX_HTTP_GATEWAY_TIME_OUT:
        *code = "timeout";
        *message = "no answer came: it may have been done, or not";
        return NGX_HTTP_GATEWAY_TIME_OUT;

    default:
        *code = "internal";
        *message = "no memory";
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


/* code and message are plain text */

ngx_int_t
ngx_http_rt_pass_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *message)
{
    u_char  *json, *p;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "realtime request refused with %ui: %s", status, message);

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE
        && ngx_http_rt_header_add(r, "Retry-After", (u_char *) "1", 1)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json = ngx_pnalloc(r->pool, ngx_strlen(code) + ngx_strlen(message) + 32);
    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_sprintf(json, "{\"error\":\"%s\",\"message\":\"%s\"}", code,
                    message);

    return ngx_http_rt_answer(r, status, json, p - json);
}


static void
ngx_http_rt_pass_cleanup(void *data)
{
    ngx_http_rt_pass_ctx_t *ctx = data;

    ngx_http_rt_link_cancel(&ctx->call);
}
