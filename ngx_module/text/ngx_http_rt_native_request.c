/*
 * Reading a request of the multiplexing session.
 *
 * yajl reads the JSON and calls back for each token.  Depth 1 is the outer
 * object, depth 2 the arguments; what lies deeper is only counted.  yajl says
 * how many bytes it has used up to the end of each token, so "ref" and data
 * that is no string are found in the text as they were written.
 *
 * Strings are at most as long decoded as in the text, so that an arena of the
 * text's length holds them all.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <yajl/yajl_parse.h>

#include <ngx_http_rt_json_text.h>
#include <ngx_http_rt_native_request.h>


/* deeper texts are not worth a look, whoever is to read them */
#define NGX_HTTP_RT_NATIVE_DEPTH  64

/* whose value comes next, in the outer object, beside the operations */
#define NGX_HTTP_RT_NATIVE_REF    (NGX_HTTP_RT_NATIVE_OPERATIONS + 1)
#define NGX_HTTP_RT_NATIVE_OTHER  (NGX_HTTP_RT_NATIVE_OPERATIONS + 2)


typedef struct {
    ngx_http_rt_native_request_t  *request;
    yajl_handle                    yajl;
    const u_char                  *text;
    u_char                        *arena;
    char                          *err;
    size_t                         errlen;
    size_t                         value;   /* where the value may begin */
    unsigned                       depth;
    unsigned                       outer;   /* member of the outer object */
    unsigned                       field;   /* of the arguments */
    unsigned                       ended:1; /* the text */
    unsigned                       failed:1;
} ngx_http_rt_native_ctx_t;


static int ngx_http_rt_native_json(ngx_http_rt_native_ctx_t *ctx, size_t len);
static int ngx_http_rt_native_null(void *data);
static int ngx_http_rt_native_boolean(void *data, int value);
static int ngx_http_rt_native_number(void *data, const char *p, size_t len);
static int ngx_http_rt_native_string(void *data, const u_char *p, size_t len);
static int ngx_http_rt_native_start_map(void *data);
static int ngx_http_rt_native_start_array(void *data);
static int ngx_http_rt_native_map_key(void *data, const u_char *p,
    size_t len);
static int ngx_http_rt_native_end(void *data);
static int ngx_http_rt_native_outer(ngx_http_rt_native_ctx_t *ctx,
    const u_char *p, size_t len);
static unsigned ngx_http_rt_native_name(const char *const *names, unsigned n,
    const u_char *p, size_t len);
static int ngx_http_rt_native_start(ngx_http_rt_native_ctx_t *ctx);
static int ngx_http_rt_native_scalar(ngx_http_rt_native_ctx_t *ctx);
static int ngx_http_rt_native_ref(ngx_http_rt_native_ctx_t *ctx);
static const u_char *ngx_http_rt_native_begin(ngx_http_rt_native_ctx_t *ctx);
static int ngx_http_rt_native_error(ngx_http_rt_native_ctx_t *ctx,
    const char *fmt, ...) __attribute__((format(printf, 2, 3)));


static const char *const  ngx_http_rt_native_operations[] = {
    "subscribe", "unsubscribe", "publish", "history", "presence", "command",
    "query", "refresh", "ping", "pong"
};


static const char *const  ngx_http_rt_native_fields[] = {
    "topic", "id", "data", "base64", "event", "type", "key"
};


static const yajl_callbacks  ngx_http_rt_native_callbacks = {
    ngx_http_rt_native_null,
    ngx_http_rt_native_boolean,
    NULL,                                  /* integer and double: number */
    NULL,
    ngx_http_rt_native_number,
    ngx_http_rt_native_string,
    ngx_http_rt_native_start_map,
    ngx_http_rt_native_map_key,
    ngx_http_rt_native_end,
    ngx_http_rt_native_start_array,
    ngx_http_rt_native_end
};


int
ngx_http_rt_native_request_parse(const u_char *text, size_t len,
    u_char *arena, ngx_http_rt_native_request_t *request, char *err,
    size_t errlen)
{
    const char                *wrong;
    ngx_http_rt_native_ctx_t   ctx;

    memset(request, 0, sizeof(ngx_http_rt_native_request_t));
    memset(&ctx, 0, sizeof(ngx_http_rt_native_ctx_t));

    request->operation = NGX_HTTP_RT_NATIVE_OPERATIONS;

    ctx.request = request;
    ctx.text = text;
    ctx.arena = arena;
    ctx.err = err;
    ctx.errlen = errlen;

    wrong = ngx_http_rt_json_text_check(text, len);

    if (wrong) {
        (void) ngx_http_rt_native_error(&ctx, "%s", wrong);
        return -1;
    }

    if (ngx_http_rt_native_json(&ctx, len) != 0) {
        return -1;
    }

    if (request->operation == NGX_HTTP_RT_NATIVE_OPERATIONS) {
        (void) ngx_http_rt_native_error(&ctx, "no operation is named");
        return -1;
    }

    return 0;
}


static int
ngx_http_rt_native_json(ngx_http_rt_native_ctx_t *ctx, size_t len)
{
    size_t       at;
    yajl_status  rc;

    ctx->yajl = yajl_alloc(&ngx_http_rt_native_callbacks, NULL, ctx);
    if (ctx->yajl == NULL) {
        (void) ngx_http_rt_native_error(ctx, "no memory");
        return -1;
    }

    /* it is valid already, and yajl has its own idea of what that means */

    yajl_config(ctx->yajl, yajl_dont_validate_strings, 1);

    rc = yajl_parse(ctx->yajl, ctx->text, len);

    at = yajl_get_bytes_consumed(ctx->yajl);

    if (rc == yajl_status_ok) {
        ctx->ended = 1;
        rc = yajl_complete_parse(ctx->yajl);
    }

    yajl_free(ctx->yajl);

    if (rc == yajl_status_ok) {
        return 0;
    }

    (void) ngx_http_rt_native_error(ctx, "malformed JSON at byte %zu", at);

    return -1;
}


static int
ngx_http_rt_native_null(void *data)
{
    return ngx_http_rt_native_scalar(data);
}


static int
ngx_http_rt_native_boolean(void *data, int value)
{
    (void) value;

    return ngx_http_rt_native_scalar(data);
}


static int
ngx_http_rt_native_number(void *data, const char *p, size_t len)
{
    ngx_http_rt_native_ctx_t *ctx = data;

    (void) p;
    (void) len;

    /* only a number may end with the text, and then no object does */

    if (ctx->ended) {
        return 0;
    }

    if (ctx->depth == 1 && ctx->outer == NGX_HTTP_RT_NATIVE_REF) {
        return ngx_http_rt_native_ref(ctx);
    }

    return ngx_http_rt_native_scalar(ctx);
}


static int
ngx_http_rt_native_string(void *data, const u_char *p, size_t len)
{
    ngx_http_rt_native_ctx_t *ctx = data;

    ngx_http_rt_native_field_t  *field;

    if (ctx->depth == 1 && ctx->outer == NGX_HTTP_RT_NATIVE_REF) {
        return ngx_http_rt_native_ref(ctx);
    }

    if (ctx->depth != 2 || ctx->outer >= NGX_HTTP_RT_NATIVE_OPERATIONS
        || ctx->field == NGX_HTTP_RT_NATIVE_FIELDS)
    {
        return ngx_http_rt_native_scalar(ctx);
    }

    field = &ctx->request->fields[ctx->field];

    field->p = ctx->arena;
    field->len = len;

    if (len) {
        memcpy(ctx->arena, p, len);
        ctx->arena += len;
    }

    return 1;
}


static int
ngx_http_rt_native_start_map(void *data)
{
    ngx_http_rt_native_ctx_t *ctx = data;

    if (ctx->depth == 0
        || (ctx->depth == 1 && ctx->outer < NGX_HTTP_RT_NATIVE_OPERATIONS))
    {
        ctx->depth++;
        return 1;
    }

    return ngx_http_rt_native_start(ctx);
}


static int
ngx_http_rt_native_start_array(void *data)
{
    ngx_http_rt_native_ctx_t *ctx = data;

    if (ctx->depth == 0) {
        return ngx_http_rt_native_error(ctx, "message is not a JSON object");
    }

    return ngx_http_rt_native_start(ctx);
}


/* a value with others in it: only data may be one, of what is known */

static int
ngx_http_rt_native_start(ngx_http_rt_native_ctx_t *ctx)
{
    if (ctx->depth == 2 && ctx->outer < NGX_HTTP_RT_NATIVE_OPERATIONS
        && ctx->field == NGX_HTTP_RT_NATIVE_DATA)
    {
        ctx->request->fields[NGX_HTTP_RT_NATIVE_DATA].p =
                                               ngx_http_rt_native_begin(ctx);

    } else if (ngx_http_rt_native_scalar(ctx) == 0) {
        return 0;
    }

    if (++ctx->depth > NGX_HTTP_RT_NATIVE_DEPTH) {
        return ngx_http_rt_native_error(ctx, "nested too deep");
    }

    return 1;
}


static int
ngx_http_rt_native_end(void *data)
{
    ngx_http_rt_native_ctx_t *ctx = data;

    ngx_http_rt_native_field_t  *field;

    field = &ctx->request->fields[NGX_HTTP_RT_NATIVE_DATA];

    if (--ctx->depth == 2 && ctx->outer < NGX_HTTP_RT_NATIVE_OPERATIONS
        && ctx->field == NGX_HTTP_RT_NATIVE_DATA)
    {
        field->len = ctx->text + yajl_get_bytes_consumed(ctx->yajl)
                     - field->p;
        ctx->request->json = 1;
    }

    return 1;
}


static int
ngx_http_rt_native_map_key(void *data, const u_char *p, size_t len)
{
    ngx_http_rt_native_ctx_t *ctx = data;

    if (ctx->depth > 2) {
        return 1;
    }

    ctx->value = yajl_get_bytes_consumed(ctx->yajl);

    if (ctx->depth == 1) {
        return ngx_http_rt_native_outer(ctx, p, len);
    }

    if (ctx->outer >= NGX_HTTP_RT_NATIVE_OPERATIONS) {
        return 1;
    }

    ctx->field = ngx_http_rt_native_name(ngx_http_rt_native_fields,
                                         NGX_HTTP_RT_NATIVE_FIELDS, p, len);

    if (ctx->field < NGX_HTTP_RT_NATIVE_FIELDS
        && ctx->request->fields[ctx->field].p)
    {
        return ngx_http_rt_native_error(ctx, "\"%s\" comes twice",
                                     ngx_http_rt_native_fields[ctx->field]);
    }

    return 1;
}


static int
ngx_http_rt_native_outer(ngx_http_rt_native_ctx_t *ctx, const u_char *p,
    size_t len)
{
    unsigned  i;

    if (len == 3 && memcmp(p, "ref", 3) == 0) {
        ctx->outer = NGX_HTTP_RT_NATIVE_REF;

        return ctx->request->ref_len
                   ? ngx_http_rt_native_error(ctx, "\"ref\" comes twice") : 1;
    }

    i = ngx_http_rt_native_name(ngx_http_rt_native_operations,
                                NGX_HTTP_RT_NATIVE_OPERATIONS, p, len);

    if (i == NGX_HTTP_RT_NATIVE_OPERATIONS) {
        ctx->outer = NGX_HTTP_RT_NATIVE_OTHER;
        return 1;
    }

    if (ctx->request->operation != NGX_HTTP_RT_NATIVE_OPERATIONS) {
        return ngx_http_rt_native_error(ctx, "more than one operation");
    }

    ctx->outer = i;
    ctx->field = NGX_HTTP_RT_NATIVE_FIELDS;
    ctx->request->operation = i;

    return 1;
}


static unsigned
ngx_http_rt_native_name(const char *const *names, unsigned n, const u_char *p,
    size_t len)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (len == strlen(names[i]) && memcmp(p, names[i], len) == 0) {
            break;
        }
    }

    return i;
}


/* a value that is not what it has to be, or that nobody looks at */

static int
ngx_http_rt_native_scalar(ngx_http_rt_native_ctx_t *ctx)
{
    ngx_http_rt_native_field_t  *field;

    if (ctx->depth == 0) {
        return ngx_http_rt_native_error(ctx, "message is not a JSON object");
    }

    if (ctx->depth == 1 && ctx->outer == NGX_HTTP_RT_NATIVE_REF) {
        return ngx_http_rt_native_error(ctx, "\"ref\" must be a number "
                                             "or a string");
    }

    if (ctx->depth == 1 && ctx->outer < NGX_HTTP_RT_NATIVE_OPERATIONS) {
        return ngx_http_rt_native_error(ctx, "\"%s\" must be an object",
                                  ngx_http_rt_native_operations[ctx->outer]);
    }

    if (ctx->depth != 2 || ctx->outer >= NGX_HTTP_RT_NATIVE_OPERATIONS
        || ctx->field == NGX_HTTP_RT_NATIVE_FIELDS)
    {
        return 1;
    }

    if (ctx->field != NGX_HTTP_RT_NATIVE_DATA) {
        return ngx_http_rt_native_error(ctx, "\"%s\" must be a string",
                                     ngx_http_rt_native_fields[ctx->field]);
    }

    field = &ctx->request->fields[NGX_HTTP_RT_NATIVE_DATA];

    field->p = ngx_http_rt_native_begin(ctx);
    field->len = ctx->text + yajl_get_bytes_consumed(ctx->yajl) - field->p;

    ctx->request->json = 1;

    return 1;
}


static int
ngx_http_rt_native_ref(ngx_http_rt_native_ctx_t *ctx)
{
    size_t         len;
    const u_char  *p;

    p = ngx_http_rt_native_begin(ctx);
    len = ctx->text + yajl_get_bytes_consumed(ctx->yajl) - p;

    if (len > NGX_HTTP_RT_NATIVE_REF_MAX) {
        return ngx_http_rt_native_error(ctx,
                                        "\"ref\" is longer than %d bytes",
                                        NGX_HTTP_RT_NATIVE_REF_MAX);
    }

    ctx->request->ref = p;
    ctx->request->ref_len = len;

    return 1;
}


/* of the value whose token has just been read: behind the colon */

static const u_char *
ngx_http_rt_native_begin(ngx_http_rt_native_ctx_t *ctx)
{
    const u_char  *p, *last;

    p = ctx->text + ctx->value;
    last = ctx->text + yajl_get_bytes_consumed(ctx->yajl);

    while (p < last
           && (*p == ':' || *p == ' ' || *p == '\t' || *p == '\r'
               || *p == '\n'))
    {
        p++;
    }

    return p;
}


/* the first one stays; returns 0, for yajl */

static int
ngx_http_rt_native_error(ngx_http_rt_native_ctx_t *ctx, const char *fmt, ...)
{
    va_list  args;

    if (ctx->failed) {
        return 0;
    }

    ctx->failed = 1;

    va_start(args, fmt);
    (void) vsnprintf(ctx->err, ctx->errlen, fmt, args);
    va_end(args);

    return 0;
}
