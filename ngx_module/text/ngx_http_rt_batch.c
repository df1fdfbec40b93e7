/*
 * One line of a batch.
 *
 * yajl reads the JSON and calls back for each token; what it calls for tells
 * where we are: a key names the member, the next value must be its string, and
 * anything else is an error.  The first error stops yajl and stays.
 *
 * Strings are at most as long decoded as in the line, so that an arena of the
 * line's length holds them all.
 *
 * yajl wants memory five times for each line.  It gets it from the stack, and
 * from malloc() when a line needs more; each piece is preceded by its size.
 */


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ngx_http_rt_batch.h>
#include <ngx_http_rt_json_reader.h>
#include <ngx_http_rt_json_text.h>


#define NGX_HTTP_RT_BATCH_TOPIC    0
#define NGX_HTTP_RT_BATCH_EVENT    1
#define NGX_HTTP_RT_BATCH_TYPE     2
#define NGX_HTTP_RT_BATCH_DATA     3
#define NGX_HTTP_RT_BATCH_BASE64   4
#define NGX_HTTP_RT_BATCH_MEMBERS  5

/* yajl's buffer alone begins with 2k */
#define NGX_HTTP_RT_BATCH_MEMORY   4096
#define NGX_HTTP_RT_BATCH_ALIGN    16

/* how much of an unknown member's name is told */
#define NGX_HTTP_RT_BATCH_NAME     32


typedef struct {
    ngx_http_rt_batch_line_t  *line;
    u_char                    *arena;
    char                      *err;
    size_t                     errlen;
    unsigned                   member;      /* whose value comes next */
    unsigned                   seen;        /* bits of members */
    unsigned                   open:1;      /* in the object */
    unsigned                   closed:1;    /* after it */
    unsigned                   failed:1;
} ngx_http_rt_batch_ctx_t;


typedef struct {
    u_char                    *pos;
    u_char                     start[NGX_HTTP_RT_BATCH_MEMORY]
                                 __attribute__((aligned(
                                     NGX_HTTP_RT_BATCH_ALIGN)));
} ngx_http_rt_batch_memory_t;


static int ngx_http_rt_batch_json(ngx_http_rt_batch_ctx_t *ctx,
    const u_char *p, size_t len);
static void *ngx_http_rt_batch_malloc(void *data, size_t size);
static void *ngx_http_rt_batch_realloc(void *data, void *p, size_t size);
static void ngx_http_rt_batch_free(void *data, void *p);
static void ngx_http_rt_batch_syntax(ngx_http_rt_batch_ctx_t *ctx,
    yajl_handle yajl);
static int ngx_http_rt_batch_start_map(void *data);
static int ngx_http_rt_batch_map_key(void *data, const u_char *p, size_t len);
static int ngx_http_rt_batch_end_map(void *data);
static int ngx_http_rt_batch_string(void *data, const u_char *p, size_t len);
static int ngx_http_rt_batch_start_array(void *data);
static int ngx_http_rt_batch_number(void *data, const char *p, size_t len);
static int ngx_http_rt_batch_boolean(void *data, int value);
static int ngx_http_rt_batch_null(void *data);
static int ngx_http_rt_batch_wrong(ngx_http_rt_batch_ctx_t *ctx,
    const char *what);
static int ngx_http_rt_batch_unknown(ngx_http_rt_batch_ctx_t *ctx,
    const u_char *p, size_t len);
static u_char *ngx_http_rt_batch_base64(u_char *dst, const u_char *p,
    size_t len);
static u_char ngx_http_rt_batch_digit(u_char ch);
static int ngx_http_rt_batch_error(ngx_http_rt_batch_ctx_t *ctx,
    const char *fmt, ...) __attribute__((format(printf, 2, 3)));


static const char *const  ngx_http_rt_batch_names[] = {
    "topic",
    "event",
    "type",
    "data",
    "base64"
};


static const yajl_callbacks  ngx_http_rt_batch_callbacks = {
    ngx_http_rt_batch_null,
    ngx_http_rt_batch_boolean,
    NULL,                                  /* integer and double: number */
    NULL,
    ngx_http_rt_batch_number,
    ngx_http_rt_batch_string,
    ngx_http_rt_batch_start_map,
    ngx_http_rt_batch_map_key,
    ngx_http_rt_batch_end_map,
    ngx_http_rt_batch_start_array,
    NULL                                   /* no array is ever entered */
};


int
ngx_http_rt_batch_parse(const u_char *line, size_t len, u_char *arena,
    ngx_http_rt_batch_line_t *out, char *err, size_t errlen)
{
    const char               *wrong;
    ngx_http_rt_batch_ctx_t   ctx;

    memset(out, 0, sizeof(ngx_http_rt_batch_line_t));
    memset(&ctx, 0, sizeof(ngx_http_rt_batch_ctx_t));

    ctx.line = out;
    ctx.arena = arena;
    ctx.err = err;
    ctx.errlen = errlen;

    wrong = ngx_http_rt_json_text_check(line, len);

    if (wrong) {
        (void) ngx_http_rt_batch_error(&ctx, "%s", wrong);
        return -1;
    }

    if (ngx_http_rt_batch_json(&ctx, line, len) != 0) {
        return -1;
    }

    if (!out->data_given) {
        (void) ngx_http_rt_batch_error(&ctx, "no data");
        return -1;
    }

    return 0;
}


static int
ngx_http_rt_batch_json(ngx_http_rt_batch_ctx_t *ctx, const u_char *p,
    size_t len)
{
    yajl_handle                 yajl;
    yajl_status                 rc;
    yajl_alloc_funcs            alloc;
    ngx_http_rt_batch_memory_t  memory;

    memory.pos = memory.start;

    alloc.malloc = ngx_http_rt_batch_malloc;
    alloc.realloc = ngx_http_rt_batch_realloc;
    alloc.free = ngx_http_rt_batch_free;
    alloc.ctx = &memory;

    yajl = yajl_alloc(&ngx_http_rt_batch_callbacks, &alloc, ctx);
    if (yajl == NULL) {
        (void) ngx_http_rt_batch_error(ctx, "no memory");
        return -1;
    }

    /* the line has been checked as a whole */

    (void) yajl_config(yajl, yajl_dont_validate_strings, 1);

    rc = yajl_parse(yajl, p, len);

    if (rc == yajl_status_ok) {
        rc = yajl_complete_parse(yajl);
    }

    if (rc != yajl_status_ok && !ctx->failed) {
        ngx_http_rt_batch_syntax(ctx, yajl);
    }

    yajl_free(yajl);

    return ctx->failed ? -1 : 0;
}


static void *
ngx_http_rt_batch_malloc(void *data, size_t size)
{
    ngx_http_rt_batch_memory_t *memory = data;

    u_char  *p;
    size_t   all, left;

    all = NGX_HTTP_RT_BATCH_ALIGN
          + (size + NGX_HTTP_RT_BATCH_ALIGN - 1)
            / NGX_HTTP_RT_BATCH_ALIGN * NGX_HTTP_RT_BATCH_ALIGN;

    left = memory->start + NGX_HTTP_RT_BATCH_MEMORY - memory->pos;

    if (all <= left) {
        p = memory->pos;
        memory->pos += all;

    } else {
        p = malloc(all);
        if (p == NULL) {
            return NULL;
        }
    }

    memcpy(p, &size, sizeof(size_t));

    return p + NGX_HTTP_RT_BATCH_ALIGN;
}


static void *
ngx_http_rt_batch_realloc(void *data, void *p, size_t size)
{
    void    *new;
    size_t   old;

    new = ngx_http_rt_batch_malloc(data, size);

    if (new && p) {
        memcpy(&old, (u_char *) p - NGX_HTTP_RT_BATCH_ALIGN, sizeof(size_t));
        memcpy(new, p, old < size ? old : size);

        ngx_http_rt_batch_free(data, p);
    }

    return new;
}


static void
ngx_http_rt_batch_free(void *data, void *p)
{
    ngx_http_rt_batch_memory_t *memory = data;

    u_char  *start;

    start = (u_char *) p - NGX_HTTP_RT_BATCH_ALIGN;

    if (p && (start < memory->start
              || start >= memory->start + NGX_HTTP_RT_BATCH_MEMORY))
    {
        free(start);
    }
}


/* yajl says "parse error: premature EOF" and a newline */

static void
ngx_http_rt_batch_syntax(ngx_http_rt_batch_ctx_t *ctx, yajl_handle yajl)
{
    char    *text, *why;
    u_char  *error;

    if (ctx->closed) {
        (void) ngx_http_rt_batch_error(ctx, "garbage after the object");
        return;
    }

    error = yajl_get_error(yajl, 0, NULL, 0);
    if (error == NULL) {
        (void) ngx_http_rt_batch_error(ctx, "bad JSON");
        return;
    }

    text = (char *) error;
    why = strstr(text, ": ");
    why = why ? why + 2 : text;

    (void) ngx_http_rt_batch_error(ctx, "bad JSON: %.*s",
                                   (int) strcspn(why, "\n"), why);

    yajl_free_error(yajl, error);
}


static int
ngx_http_rt_batch_start_map(void *data)
{
    ngx_http_rt_batch_ctx_t  *ctx = data;

    if (ctx->open) {
        return ngx_http_rt_batch_wrong(ctx, "an object");
    }

    ctx->open = 1;

    return 1;
}


static int
ngx_http_rt_batch_map_key(void *data, const u_char *p, size_t len)
{
    ngx_http_rt_batch_ctx_t  *ctx = data;

    unsigned  i;

    i = ngx_http_rt_json_reader_name(ngx_http_rt_batch_names,
                                     NGX_HTTP_RT_BATCH_MEMBERS, p, len);

    if (i == NGX_HTTP_RT_BATCH_MEMBERS) {
        return ngx_http_rt_batch_unknown(ctx, p, len);
    }

    if (ctx->seen & (1u << i)) {
        return ngx_http_rt_batch_error(ctx, "duplicate member \"%s\"",
                                       ngx_http_rt_batch_names[i]);
    }

    ctx->seen |= 1u << i;
    ctx->member = i;

    if ((ctx->seen & (1u << NGX_HTTP_RT_BATCH_DATA))
        && (ctx->seen & (1u << NGX_HTTP_RT_BATCH_BASE64)))
    {
        return ngx_http_rt_batch_error(ctx, "both \"data\" and \"base64\"");
    }

    return 1;
}


static int
ngx_http_rt_batch_end_map(void *data)
{
    ngx_http_rt_batch_ctx_t  *ctx = data;

    ctx->closed = 1;

    return 1;
}


static int
ngx_http_rt_batch_string(void *data, const u_char *p, size_t len)
{
    ngx_http_rt_batch_ctx_t  *ctx = data;

    u_char                    *start, *end;
    ngx_http_rt_batch_line_t  *line;

    if (!ctx->open) {
        return ngx_http_rt_batch_wrong(ctx, "a string");
    }

    line = ctx->line;
    start = ctx->arena;

    if (ctx->member == NGX_HTTP_RT_BATCH_BASE64) {
        end = ngx_http_rt_batch_base64(start, p, len);

        if (end == NULL) {
            return ngx_http_rt_batch_error(ctx, "bad base64");
        }

    } else {
        end = start + len;

        if (len) {
            memcpy(start, p, len);
        }
    }

    ctx->arena = end;
    len = end - start;

    switch (ctx->member) {

    case NGX_HTTP_RT_BATCH_TOPIC:
        line->topic = start;
        line->topic_len = len;
        line->topic_given = 1;
        break;

    case NGX_HTTP_RT_BATCH_EVENT:
        line->event = start;
        line->event_len = len;
        break;

    case NGX_HTTP_RT_BATCH_TYPE:
        line->type = start;
        line->type_len = len;
        break;

    default: /* NGX_HTTP_RT_BATCH_DATA, NGX_HTTP_RT_BATCH_BASE64 */
        line->data = start;
        line->data_len = len;
        line->data_given = 1;
        line->binary = (ctx->member == NGX_HTTP_RT_BATCH_BASE64);
    }

    return 1;
}


static int
ngx_http_rt_batch_start_array(void *data)
{
    return ngx_http_rt_batch_wrong(data, "an array");
}


static int
ngx_http_rt_batch_number(void *data, const char *p, size_t len)
{
    (void) p;
    (void) len;

    return ngx_http_rt_batch_wrong(data, "a number");
}


static int
ngx_http_rt_batch_boolean(void *data, int value)
{
    return ngx_http_rt_batch_wrong(data, value ? "true" : "false");
}


static int
ngx_http_rt_batch_null(void *data)
{
    return ngx_http_rt_batch_wrong(data, "null");
}


static int
ngx_http_rt_batch_wrong(ngx_http_rt_batch_ctx_t *ctx, const char *what)
{
    if (!ctx->open) {
        return ngx_http_rt_batch_error(ctx, "line is %s, not an object", what);
    }

    return ngx_http_rt_batch_error(ctx, "\"%s\" is %s, not a string",
                                   ngx_http_rt_batch_names[ctx->member], what);
}


/* a name is told if it is short and plain */

static int
ngx_http_rt_batch_unknown(ngx_http_rt_batch_ctx_t *ctx, const u_char *p,
    size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (p[i] <= 0x20 || p[i] >= 0x7f || p[i] == '"' || p[i] == '\\') {
            break;
        }
    }

    if (i < len || len > NGX_HTTP_RT_BATCH_NAME) {
        return ngx_http_rt_batch_error(ctx, "unknown member");
    }

    return ngx_http_rt_batch_error(ctx, "unknown member \"%.*s\"", (int) len,
                                   (const char *) p);
}


/*
 * RFC 4648, 4: padding is needed, and the bits that it makes spare are 0 (3.5).
 * Returns the end, NULL if it is not base64.
 */

static u_char *
ngx_http_rt_batch_base64(u_char *dst, const u_char *p, size_t len)
{
    u_char    a, b, c, d;
    unsigned  pad;

    if (len % 4 != 0) {
        return NULL;
    }

    for ( /* void */ ; len; p += 4, len -= 4) {
        pad = 0;

        if (len == 4 && p[3] == '=') {
            pad = (p[2] == '=') ? 2 : 1;
        }

        a = ngx_http_rt_batch_digit(p[0]);
        b = ngx_http_rt_batch_digit(p[1]);
        c = (pad == 2) ? 0 : ngx_http_rt_batch_digit(p[2]);
        d = (pad >= 1) ? 0 : ngx_http_rt_batch_digit(p[3]);

        if ((a | b | c | d) & 0xc0) {
            return NULL;
        }

        if ((pad == 2 && (b & 0x0f)) || (pad == 1 && (c & 0x03))) {
            return NULL;
        }

        *dst++ = (u_char) (a << 2 | b >> 4);

        if (pad < 2) {
            *dst++ = (u_char) (b << 4 | c >> 2);
        }

        if (pad < 1) {
            *dst++ = (u_char) (c << 6 | d);
        }
    }

    return dst;
}


/* 0xff if it is none */

static u_char
ngx_http_rt_batch_digit(u_char ch)
{
    if (ch >= 'A' && ch <= 'Z') {
        return ch - 'A';
    }

    if (ch >= 'a' && ch <= 'z') {
        return ch - 'a' + 26;
    }

    if (ch >= '0' && ch <= '9') {
        return ch - '0' + 52;
    }

    switch (ch) {

    case '+':
        return 62;

    case '/':
        return 63;

    default:
        return 0xff;
    }
}


/* 0, for the callbacks to return: yajl stops */

static int
ngx_http_rt_batch_error(ngx_http_rt_batch_ctx_t *ctx, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(ctx->err, ctx->errlen, fmt, args);
    va_end(args);

    ctx->failed = 1;

    return 0;
}
