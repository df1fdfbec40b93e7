/*
 * Topics as a directive writes them: text and variables.
 *
 * Only the text may hold wildcards, and commas between topics.  The value of a
 * variable often comes from a client, so it is literal: a star or a comma in it
 * is refused, and so is a slash, unless the variable is the end of the topic
 * and begins a segment.  Next to a star of the text a value may not be empty:
 * "$user*" would become "*".  With "patterns" the stars and commas of values
 * count; a list in a value means a topic for each of its parts, all with the
 * text that the directive puts around it.
 */

#include "ngx_http_rt_http.h"
#include "ngx_http_rt_rule.h"


/* text of the directive, or a variable */

typedef struct {
    ngx_str_t                      text;
    ngx_http_complex_value_t      *value;       /* NULL: the text */
    unsigned                       slashes:1;   /* it may have them */
    unsigned                       starred:1;   /* as its segment's text is */
} ngx_http_rt_template_part_t;


/* what a request makes of it */

typedef struct {
    ngx_http_request_t            *request;
    ngx_http_rt_template_t        *template;
    ngx_str_t                     *values;      /* of its parts */
    ngx_str_t                     *pieces;      /* of one topic */
    ngx_uint_t                     list;        /* which part is one */
    ngx_str_t                      topic;
    const char                    *reason;
} ngx_http_rt_template_ctx_t;


static char *ngx_http_rt_template_add(ngx_conf_t *cf, ngx_str_t *text,
    ngx_array_t *templates, ngx_uint_t flags);
static size_t ngx_http_rt_template_variable(ngx_str_t *text, size_t i);
static char *ngx_http_rt_template_part(ngx_conf_t *cf, ngx_str_t *text,
    size_t start, size_t end, ngx_http_rt_template_t *t);
static ngx_uint_t ngx_http_rt_template_starred(ngx_str_t *text, size_t start,
    size_t end);
static char *ngx_http_rt_template_judge(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_rt_template_t *t);
static ngx_int_t ngx_http_rt_template_values(ngx_http_rt_template_ctx_t *ctx);
static ngx_int_t ngx_http_rt_template_each(ngx_http_rt_template_ctx_t *ctx,
    ngx_http_rt_template_pt add, void *data);
static ngx_int_t ngx_http_rt_template_build(ngx_http_rt_template_ctx_t *ctx);
static ngx_int_t ngx_http_rt_template_piece(ngx_http_rt_template_ctx_t *ctx,
    ngx_http_rt_template_part_t *part, ngx_str_t *piece);
static const char *ngx_http_rt_template_literal(ngx_http_rt_template_t *t,
    ngx_http_rt_template_part_t *part, ngx_str_t *value);
static ngx_int_t ngx_http_rt_template_one(ngx_http_request_t *r,
    ngx_str_t *topic, void *data);


/* a directive's parameter: one topic, or several between commas */

char *
ngx_http_rt_template_compile(ngx_conf_t *cf, ngx_str_t *text,
    ngx_array_t *templates, ngx_uint_t flags)
{
    char       *rv;
    u_char     *p, *end, *last;
    ngx_str_t   topic;

    p = text->data;
    last = p + text->len;

    do {
        end = ngx_strlchr(p, last, ',');
        if (end == NULL) {
            end = last;
        }

        topic.data = p;
        topic.len = end - p;

        rv = ngx_http_rt_template_add(cf, &topic, templates, flags);
        if (rv != NGX_CONF_OK) {
            return rv;
        }

        p = end + 1;

    } while (end < last);

    return NGX_CONF_OK;
}


static char *
ngx_http_rt_template_add(ngx_conf_t *cf, ngx_str_t *text,
    ngx_array_t *templates, ngx_uint_t flags)
{
    char                    *rv;
    size_t                   i, n;
    ngx_http_rt_template_t  *t;

    t = ngx_array_push(templates);
    if (t == NULL) {
        return NGX_CONF_ERROR;
    }

    t->flags = flags;
    t->variables = 0;

    if (ngx_array_init(&t->parts, cf->pool, 2,
                       sizeof(ngx_http_rt_template_part_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < text->len; i = n) {
        n = ngx_http_rt_template_variable(text, i);

        rv = ngx_http_rt_template_part(cf, text, i, n, t);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return ngx_http_rt_template_judge(cf, text, t);
}


/* where the part that begins at i ends; nginx judges names and brackets */

static size_t
ngx_http_rt_template_variable(ngx_str_t *text, size_t i)
{
    u_char      *p, *last;
    ngx_uint_t   bracket;

    p = text->data + i;
    last = text->data + text->len;

    if (*p != '$') {
        p = ngx_strlchr(p, last, '$');
        return p ? (size_t) (p - text->data) : text->len;
    }

    if (++p < last && *p >= '1' && *p <= '9') {
        return p + 1 - text->data;
    }

    bracket = (p < last && *p == '{');
    p += bracket;

    while (p < last && (*p == '_' || (*p >= '0' && *p <= '9')
                        || ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z')))
    {
        p++;
    }

    if (bracket && p < last && *p == '}') {
        p++;
    }

    return p - text->data;
}


static char *
ngx_http_rt_template_part(ngx_conf_t *cf, ngx_str_t *text, size_t start,
    size_t end, ngx_http_rt_template_t *t)
{
    ngx_http_rt_template_part_t       *part;
    ngx_http_compile_complex_value_t   ccv;

    part = ngx_array_push(&t->parts);
    if (part == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(part, sizeof(ngx_http_rt_template_part_t));

    part->text.data = text->data + start;
    part->text.len = end - start;

    if (part->text.data[0] != '$') {
        return NGX_CONF_OK;
    }

    part->value = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (part->value == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &part->text;
    ccv.complex_value = part->value;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    t->variables = 1;

    part->slashes = (end == text->len
                     && (start == 0 || text->data[start - 1] == '/'));
    part->starred = ngx_http_rt_template_starred(text, start, end);

    return NGX_CONF_OK;
}


/* whether the segment has a star beside what stands from start to end */

static ngx_uint_t
ngx_http_rt_template_starred(ngx_str_t *text, size_t start, size_t end)
{
    size_t  i;

    for (i = start; i > 0 && text->data[i - 1] != '/'; i--) {
        if (text->data[i - 1] == '*') {
            return 1;
        }
    }

    for (i = end; i < text->len && text->data[i] != '/'; i++) {
        if (text->data[i] == '*') {
            return 1;
        }
    }

    return 0;
}


/* what cannot vary can be judged now */

static char *
ngx_http_rt_template_judge(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_rt_template_t *t)
{
    unsigned     wild;
    const char  *reason;

    if (t->variables) {
        return NGX_CONF_OK;
    }

    reason = ngx_http_rt_rule_pattern(text->data, text->len, &wild);

    if (reason) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid topic \"%V\": %s",
                           text, reason);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_rt_template_topics(ngx_http_request_t *r, ngx_http_rt_template_t *t,
    ngx_http_rt_template_pt add, void *data, const char **reason)
{
    ngx_int_t                    rc;
    ngx_http_rt_template_ctx_t   ctx;

    ngx_memzero(&ctx, sizeof(ngx_http_rt_template_ctx_t));

    ctx.request = r;
    ctx.template = t;
    ctx.values = ngx_palloc(r->pool, 2 * (t->parts.nelts + 1)
                                     * sizeof(ngx_str_t));
    if (ctx.values == NULL) {
        return NGX_ERROR;
    }

    ctx.pieces = ctx.values + t->parts.nelts;

    rc = ngx_http_rt_template_values(&ctx);

    if (rc == NGX_OK) {
        rc = ngx_http_rt_template_each(&ctx, add, data);
    }

    *reason = ctx.reason;

    return rc;
}


/* of variables; which of them is a list */

static ngx_int_t
ngx_http_rt_template_values(ngx_http_rt_template_ctx_t *ctx)
{
    ngx_str_t                    *v;
    ngx_uint_t                    i, n;
    ngx_http_rt_template_part_t  *part;

    part = ctx->template->parts.elts;
    n = ctx->template->parts.nelts;

    ctx->list = n;

    for (i = 0; i < n; i++) {
        v = &ctx->values[i];

        if (part[i].value == NULL) {
            *v = part[i].text;
            continue;
        }

        if (ngx_http_complex_value(ctx->request, part[i].value, v) != NGX_OK) {
            return NGX_ERROR;
        }

        if (!(ctx->template->flags & NGX_HTTP_RT_TEMPLATE_PATTERNS)
            || ngx_strlchr(v->data, v->data + v->len, ',') == NULL)
        {
            continue;
        }

        if (ctx->list < n) {
            ctx->reason = "topic has two lists";
            return NGX_DECLINED;
        }

        ctx->list = i;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_template_each(ngx_http_rt_template_ctx_t *ctx,
    ngx_http_rt_template_pt add, void *data)
{
    u_char      *p, *end, *last;
    ngx_int_t    rc;
    ngx_str_t   *list;
    ngx_uint_t   n;

    list = NULL;
    p = NULL;
    last = NULL;
    end = NULL;

    if (ctx->list < ctx->template->parts.nelts) {
        list = &ctx->values[ctx->list];
        p = list->data;
        last = p + list->len;
    }

    n = 0;

    do {
        if (n++ == NGX_HTTP_RT_TOPICS_MAX) {
            ctx->reason = "list of topics is too long";
            return NGX_DECLINED;
        }

        if (list) {
            end = ngx_strlchr(p, last, ',');
            if (end == NULL) {
                end = last;
            }

            list->data = p;
            list->len = end - p;

            p = end + 1;
        }

        rc = ngx_http_rt_template_build(ctx);

        if (rc == NGX_OK) {
            rc = add(ctx->request, &ctx->topic, data);
        }

        if (rc != NGX_OK) {
            return rc;
        }

    } while (end < last);

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_template_build(ngx_http_rt_template_ctx_t *ctx)
{
    u_char                       *p;
    ngx_int_t                     rc;
    ngx_uint_t                    i, n;
    ngx_http_rt_template_part_t  *part;

    part = ctx->template->parts.elts;
    n = ctx->template->parts.nelts;

    ctx->topic.len = 0;

    for (i = 0; i < n; i++) {
        ctx->pieces[i] = ctx->values[i];

        if (part[i].value) {
            rc = ngx_http_rt_template_piece(ctx, &part[i], &ctx->pieces[i]);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        ctx->topic.len += ctx->pieces[i].len;
    }

    if (n == 1) {
        ctx->topic = ctx->pieces[0];
        return NGX_OK;
    }

    p = ngx_pnalloc(ctx->request->pool, ctx->topic.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->topic.data = p;

    for (i = 0; i < n; i++) {
        p = ngx_cpymem(p, ctx->pieces[i].data, ctx->pieces[i].len);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_template_piece(ngx_http_rt_template_ctx_t *ctx,
    ngx_http_rt_template_part_t *part, ngx_str_t *piece)
{
    u_char  *src, *dst;

    if ((ctx->template->flags & NGX_HTTP_RT_TEMPLATE_ENCODED) && piece->len) {
        src = piece->data;

        dst = ngx_pnalloc(ctx->request->pool, piece->len);
        if (dst == NULL) {
            return NGX_ERROR;
        }

        piece->data = dst;

        ngx_unescape_uri(&dst, &src, piece->len, 0);

        piece->len = dst - piece->data;
    }

    ctx->reason = ngx_http_rt_template_literal(ctx->template, part, piece);

    return ctx->reason ? NGX_DECLINED : NGX_OK;
}


/* NULL, or what is wrong with a value */

static const char *
ngx_http_rt_template_literal(ngx_http_rt_template_t *t,
    ngx_http_rt_template_part_t *part, ngx_str_t *value)
{
    u_char  *p, *last;

    if (value->len == 0) {
        return part->starred ? "topic is empty beside a star" : NULL;
    }

    last = value->data + value->len;

    for (p = value->data; p < last; p++) {

        if (*p == '/' && !part->slashes) {
            return "topic has a slash within a segment";
        }

        if (t->flags & NGX_HTTP_RT_TEMPLATE_PATTERNS) {
            continue;
        }

        if (*p == '*') {
            return "topic has a star";
        }

        if (*p == ',') {
            return "topic has a comma";
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_rt_template_topic(ngx_http_request_t *r, ngx_http_rt_template_t *t,
    ngx_str_t *topic, unsigned *wild, const char **reason)
{
    ngx_int_t  rc;

    rc = ngx_http_rt_template_topics(r, t, ngx_http_rt_template_one, topic,
                                     reason);
    if (rc != NGX_OK) {
        return rc;
    }

    *reason = ngx_http_rt_rule_pattern(topic->data, topic->len, wild);

    return *reason ? NGX_DECLINED : NGX_OK;
}


static ngx_int_t
ngx_http_rt_template_one(ngx_http_request_t *r, ngx_str_t *topic, void *data)
{
    *(ngx_str_t *) data = *topic;

    return NGX_OK;
}
