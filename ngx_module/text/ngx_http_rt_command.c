/*
 * Reading a WebSocket client's command.
 *
 * yajl calls back for each token.  What lies in the outer object is ours; what
 * lies deeper, in "data" or in a member that nobody knows, is only counted.
 * "id" and "data" are passed on as they were written.
 *
 * Strings are at most as long decoded as in the text, so that an arena of the
 * text's length holds them all.
 */


#include <string.h>

#include <ngx_http_rt_command.h>
#include <ngx_http_rt_json_reader.h>


#define NGX_HTTP_RT_COMMAND_ID       0
#define NGX_HTTP_RT_COMMAND_NAME     1
#define NGX_HTTP_RT_COMMAND_DATA     2
#define NGX_HTTP_RT_COMMAND_KEY      3
#define NGX_HTTP_RT_COMMAND_VERSION  4
#define NGX_HTTP_RT_COMMAND_MEMBERS  5

/* deeper texts are not worth a look, whoever is to read them */
#define NGX_HTTP_RT_COMMAND_DEPTH    64


typedef struct {
    ngx_http_rt_json_reader_t   reader;
    ngx_http_rt_command_t      *command;
    u_char                     *arena;
    unsigned                    depth;
    unsigned                    member;     /* whose value comes next */
    unsigned                    seen;       /* bits of members */
} ngx_http_rt_command_ctx_t;


static int ngx_http_rt_command_null(void *data);
static int ngx_http_rt_command_boolean(void *data, int value);
static int ngx_http_rt_command_number(void *data, const char *p, size_t len);
static int ngx_http_rt_command_string(void *data, const u_char *p, size_t len);
static int ngx_http_rt_command_start_map(void *data);
static int ngx_http_rt_command_map_key(void *data, const u_char *p,
    size_t len);
static int ngx_http_rt_command_end(void *data);
static int ngx_http_rt_command_start_array(void *data);
static int ngx_http_rt_command_id(ngx_http_rt_command_ctx_t *ctx);
static const u_char *ngx_http_rt_command_keep(ngx_http_rt_command_ctx_t *ctx,
    const u_char *p, size_t len);
static int ngx_http_rt_command_wrong(ngx_http_rt_command_ctx_t *ctx);


#define ngx_http_rt_command_error(ctx, ...)                                   \
    ngx_http_rt_json_reader_error(&(ctx)->reader, __VA_ARGS__)


static const char *const  ngx_http_rt_command_names[] = {
    "id",
    "command",
    "data",
    "key",
    "version"
};


static const char *const  ngx_http_rt_command_types[] = {
    "a number or a string",
    "a string",
    "an object",
    "a string",
    "a number"
};


static const yajl_callbacks  ngx_http_rt_command_callbacks = {
    ngx_http_rt_command_null,
    ngx_http_rt_command_boolean,
    NULL,                                  /* integer and double: number */
    NULL,
    ngx_http_rt_command_number,
    ngx_http_rt_command_string,
    ngx_http_rt_command_start_map,
    ngx_http_rt_command_map_key,
    ngx_http_rt_command_end,
    ngx_http_rt_command_start_array,
    ngx_http_rt_command_end
};


int
ngx_http_rt_command_parse(const u_char *text, size_t len, u_char *arena,
    ngx_http_rt_command_t *command, char *err, size_t errlen)
{
    ngx_http_rt_command_ctx_t  ctx;

    memset(command, 0, sizeof(ngx_http_rt_command_t));
    memset(&ctx, 0, sizeof(ngx_http_rt_command_ctx_t));

    ctx.command = command;
    ctx.arena = arena;

    ngx_http_rt_json_reader_init(&ctx.reader, text, err, errlen);

    return ngx_http_rt_json_reader_run(&ctx.reader, len,
                                       &ngx_http_rt_command_callbacks, &ctx);
}


static int
ngx_http_rt_command_null(void *data)
{
    ngx_http_rt_command_ctx_t *ctx = data;

    if (ctx->depth > 1) {
        return 1;
    }

    /* as if it had not been given; but the whole must be an object */

    return ctx->depth ? 1 : ngx_http_rt_command_wrong(ctx);
}


static int
ngx_http_rt_command_boolean(void *data, int value)
{
    (void) value;

    return ngx_http_rt_command_wrong(data);
}


static int
ngx_http_rt_command_number(void *data, const char *p, size_t len)
{
    ngx_http_rt_command_ctx_t *ctx = data;

    size_t    i;
    uint64_t  version;

    /* only a number may end with the text, and then no object does */

    if (ctx->reader.ended) {
        return 0;
    }

    if (ctx->depth != 1) {
        return ngx_http_rt_command_wrong(ctx);
    }

    if (ctx->member == NGX_HTTP_RT_COMMAND_ID) {
        return ngx_http_rt_command_id(ctx);
    }

    if (ctx->member != NGX_HTTP_RT_COMMAND_VERSION) {
        return ngx_http_rt_command_wrong(ctx);
    }

    version = 0;

    for (i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9' || i == 18) {
            return ngx_http_rt_command_error(ctx, "\"version\" must be a "
                                             "whole number, not negative");
        }

        version = version * 10 + (p[i] - '0');
    }

    ctx->command->version = version;
    ctx->command->has_version = 1;

    return 1;
}


static int
ngx_http_rt_command_string(void *data, const u_char *p, size_t len)
{
    ngx_http_rt_command_ctx_t *ctx = data;

    ngx_http_rt_command_t  *command;

    command = ctx->command;

    if (ctx->depth != 1) {
        return ngx_http_rt_command_wrong(ctx);
    }

    switch (ctx->member) {

    case NGX_HTTP_RT_COMMAND_ID:
        return ngx_http_rt_command_id(ctx);

    case NGX_HTTP_RT_COMMAND_NAME:
        command->name = ngx_http_rt_command_keep(ctx, p, len);
        command->name_len = len;
        return 1;

    case NGX_HTTP_RT_COMMAND_KEY:
        command->key = ngx_http_rt_command_keep(ctx, p, len);
        command->key_len = len;
        return 1;

    default:
        return ngx_http_rt_command_wrong(ctx);
    }
}


static int
ngx_http_rt_command_start_map(void *data)
{
    ngx_http_rt_command_ctx_t *ctx = data;

    if (ctx->depth == 1 && ctx->member != NGX_HTTP_RT_COMMAND_DATA
        && ctx->member != NGX_HTTP_RT_COMMAND_MEMBERS)
    {
        return ngx_http_rt_command_wrong(ctx);
    }

    if (ctx->depth == 1 && ctx->member == NGX_HTTP_RT_COMMAND_DATA) {
        ctx->command->data = ctx->reader.text
                             + ngx_http_rt_json_reader_at(&ctx->reader) - 1;
    }

    if (++ctx->depth > NGX_HTTP_RT_COMMAND_DEPTH) {
        return ngx_http_rt_command_error(ctx, "nested too deep");
    }

    return 1;
}


static int
ngx_http_rt_command_map_key(void *data, const u_char *p, size_t len)
{
    ngx_http_rt_command_ctx_t *ctx = data;

    unsigned  i;

    if (ctx->depth > 1) {
        return 1;
    }

    ctx->reader.value = ngx_http_rt_json_reader_at(&ctx->reader);

    i = ngx_http_rt_json_reader_name(ngx_http_rt_command_names,
                                     NGX_HTTP_RT_COMMAND_MEMBERS, p, len);

    ctx->member = i;

    if (i < NGX_HTTP_RT_COMMAND_MEMBERS) {

        if (ctx->seen & 1u << i) {
            return ngx_http_rt_command_error(ctx, "\"%s\" comes twice",
                                             ngx_http_rt_command_names[i]);
        }

        ctx->seen |= 1u << i;
    }

    return 1;
}


static int
ngx_http_rt_command_end(void *data)
{
    ngx_http_rt_command_ctx_t *ctx = data;

    ngx_http_rt_command_t  *command;

    command = ctx->command;

    if (--ctx->depth == 1 && ctx->member == NGX_HTTP_RT_COMMAND_DATA) {
        command->data_len = ctx->reader.text
                            + ngx_http_rt_json_reader_at(&ctx->reader)
                            - command->data;
    }

    return 1;
}


static int
ngx_http_rt_command_start_array(void *data)
{
    ngx_http_rt_command_ctx_t *ctx = data;

    if (ctx->depth == 0
        || (ctx->depth == 1 && ctx->member != NGX_HTTP_RT_COMMAND_MEMBERS))
    {
        return ngx_http_rt_command_wrong(ctx);
    }

    if (++ctx->depth > NGX_HTTP_RT_COMMAND_DEPTH) {
        return ngx_http_rt_command_error(ctx, "nested too deep");
    }

    return 1;
}


static int
ngx_http_rt_command_id(ngx_http_rt_command_ctx_t *ctx)
{
    size_t         len;
    const u_char  *p;

    p = ngx_http_rt_json_reader_value(&ctx->reader, &len);

    if (len > NGX_HTTP_RT_COMMAND_ID_MAX) {
        return ngx_http_rt_command_error(ctx, "\"id\" is longer than %d bytes",
                                         NGX_HTTP_RT_COMMAND_ID_MAX);
    }

    ctx->command->id = p;
    ctx->command->id_len = len;

    return 1;
}


static const u_char *
ngx_http_rt_command_keep(ngx_http_rt_command_ctx_t *ctx, const u_char *p,
    size_t len)
{
    const u_char  *kept;

    kept = ctx->arena;

    if (len) {
        memcpy(ctx->arena, p, len);
        ctx->arena += len;
    }

    return kept;
}


/* a value that may be anything, or not what it has to be */

static int
ngx_http_rt_command_wrong(ngx_http_rt_command_ctx_t *ctx)
{
    if (ctx->depth > 1
        || (ctx->depth && ctx->member == NGX_HTTP_RT_COMMAND_MEMBERS))
    {
        return 1;
    }

    if (ctx->depth == 0) {
        return ngx_http_rt_command_error(ctx, "message is not a JSON object");
    }

    return ngx_http_rt_command_error(ctx, "\"%s\" must be %s",
                                     ngx_http_rt_command_names[ctx->member],
                                     ngx_http_rt_command_types[ctx->member]);
}
