/*
 * Reading a request of the multiplexing session.
 *
 * yajl calls back for each token.  Depth 1 is the outer object, depth 2 the
 * arguments; what lies deeper is only counted.  "ref" and data that is no
 * string are kept as they were written.
 *
 * Strings are at most as long decoded as in the text, so that an arena of the
 * text's length holds them all.
 */

#include <string.h>

#include <ngx_http_rt_json_reader.h>
#include <ngx_http_rt_native_request.h>


/* deeper texts are not worth a look, whoever is to read them */
#define NGX_HTTP_RT_NATIVE_DEPTH  64

/* whose value comes next, in the outer object, beside the operations */
#define NGX_HTTP_RT_NATIVE_REF    (NGX_HTTP_RT_NATIVE_OPERATIONS + 1)
#define NGX_HTTP_RT_NATIVE_OTHER  (NGX_HTTP_RT_NATIVE_OPERATIONS + 2)


typedef struct {
    ngx_http_rt_json_reader_t      reader;
    ngx_http_rt_native_request_t  *request;
    u_char                        *arena;
    unsigned                       depth;
    unsigned                       outer;   /* member of the outer object */
    unsigned                       field;   /* of the arguments */
} ngx_http_rt_native_ctx_t;


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
static int ngx_http_rt_native_start(ngx_http_rt_native_ctx_t *ctx);
static int ngx_http_rt_native_scalar(ngx_http_rt_native_ctx_t *ctx);
static int ngx_http_rt_native_ref(ngx_http_rt_native_ctx_t *ctx);


#define ngx_http_rt_native_error(ctx, ...)                                    \
    ngx_http_rt_json_reader_error(&(ctx)->reader, __VA_ARGS__)


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
    ngx_http_rt_native_ctx_t  ctx;

    memset(request, 0, sizeof(ngx_http_rt_native_request_t));
    memset(&ctx, 0, sizeof(ngx_http_rt_native_ctx_t));

    request->operation = NGX_HTTP_RT_NATIVE_OPERATIONS;

    ctx.request = request;
    ctx.arena = arena;

    ngx_http_rt_json_reader_init(&ctx.reader, text, err, errlen);

    if (ngx_http_rt_json_reader_run(&ctx.reader, len,
                                    &ngx_http_rt_native_callbacks, &ctx)
        != 0)
    {
        return -1;
    }

    if (request->operation == NGX_HTTP_RT_NATIVE_OPERATIONS) {
        (void) ngx_http_rt_native_error(&ctx, "no operation is named");
        return -1;
    }

    return 0;
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

    if (ctx->reader.ended) {
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
    ngx_http_rt_native_field_t  *field;

    if (ctx->depth == 2 && ctx->outer < NGX_HTTP_RT_NATIVE_OPERATIONS
        && ctx->field == NGX_HTTP_RT_NATIVE_DATA)
    {
        field = &ctx->request->fields[NGX_HTTP_RT_NATIVE_DATA];
        field->p = ngx_http_rt_json_reader_value(&ctx->reader, &field->len);

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
        field->len = ctx->reader.text
                     + ngx_http_rt_json_reader_at(&ctx->reader) - field->p;
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

    ctx->reader.value = ngx_http_rt_json_reader_at(&ctx->reader);

    if (ctx->depth == 1) {
        return ngx_http_rt_native_outer(ctx, p, len);
    }

    if (ctx->outer >= NGX_HTTP_RT_NATIVE_OPERATIONS) {
        return 1;
    }

    ctx->field = ngx_http_rt_json_reader_name(ngx_http_rt_native_fields,
                                              NGX_HTTP_RT_NATIVE_FIELDS, p,
                                              len);

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

    i = ngx_http_rt_json_reader_name(ngx_http_rt_native_operations,
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

    field->p = ngx_http_rt_json_reader_value(&ctx->reader, &field->len);

    ctx->request->json = 1;

    return 1;
}


static int
ngx_http_rt_native_ref(ngx_http_rt_native_ctx_t *ctx)
{
    size_t         len;
    const u_char  *p;

    p = ngx_http_rt_json_reader_value(&ctx->reader, &len);

    if (len > NGX_HTTP_RT_NATIVE_REF_MAX) {
        return ngx_http_rt_native_error(ctx,
                                        "\"ref\" is longer than %d bytes",
                                        NGX_HTTP_RT_NATIVE_REF_MAX);
    }

    ctx->request->ref = p;
    ctx->request->ref_len = len;

    return 1;
}
