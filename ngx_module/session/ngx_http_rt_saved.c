/*
 * A saved request: what nginx needs of one at its end, in a fifth of its size.
 *
 * nginx's request takes two blocks of 4 KiB while its subscriber is connected,
 * and needs them for a moment only: when it ends, its line goes to the access
 * log.  Meanwhile it is kept here as one block of bytes:
 *
 *     words      the words of the structure that are not zero
 *     headers    of the request and the response, with the fields that point
 *                to them
 *     variables  with a value, the captures, and our own context
 *     text       what strings point to, each byte once
 *
 * The restored request equals the one that was saved: variables without a value
 * are evaluated at its end, as ever.  So nothing need be known of log formats.
 *
 * Which requests can be saved is in ngx_http_rt_savable.c.
 *
 * limit_conn's count is a cleanup of the request's pool, see
 * ngx_http_rt_held.c.
 */

#include "ngx_http_rt_session.h"
#include "ngx_http_rt_saved.h"


/* of words and headers, and of text; larger requests are not saved */
#define NGX_HTTP_RT_SAVED_HEAD    16384
#define NGX_HTTP_RT_SAVED_TEXT    65535

/* strings that others may be a part of */
#define NGX_HTTP_RT_SAVED_PIECES  64


typedef struct {
    u_char                        *data;
    size_t                         len;
    size_t                         offset;
} ngx_http_rt_piece_t;


/* one that is being saved */

typedef struct {
    u_char                        *last;
    size_t                         text_len;
    ngx_uint_t                     npieces;
    ngx_uint_t                     failed;
    ngx_http_rt_piece_t            pieces[NGX_HTTP_RT_SAVED_PIECES];
    u_char                         head[NGX_HTTP_RT_SAVED_HEAD];
    u_char                         text[NGX_HTTP_RT_SAVED_TEXT];
} ngx_http_rt_draft_t;


static void ngx_http_rt_saved_bare(ngx_http_request_t *r,
    ngx_http_request_t *copy);
static void ngx_http_rt_saved_unlink(ngx_list_t *list, void *data,
    size_t size);
static ngx_http_rt_saved_t *ngx_http_rt_saved_finish(ngx_http_rt_draft_t *d,
    ngx_http_request_t *r);
static void ngx_http_rt_saved_put(ngx_http_rt_draft_t *d, const void *data,
    size_t len);
static void ngx_http_rt_saved_put_number(ngx_http_rt_draft_t *d, ngx_uint_t n);
static size_t ngx_http_rt_saved_put_text(ngx_http_rt_draft_t *d, u_char *data,
    size_t len);
static void ngx_http_rt_saved_put_words(ngx_http_rt_draft_t *d, void *data,
    size_t size);
static void ngx_http_rt_saved_put_list(ngx_http_rt_draft_t *d,
    ngx_list_t *list);
static ngx_uint_t ngx_http_rt_saved_index(ngx_list_t *list, void *elt);
static void ngx_http_rt_saved_put_links(ngx_http_rt_draft_t *d,
    ngx_list_t *list, void *start, void *end);
static void ngx_http_rt_saved_put_variables(ngx_http_rt_draft_t *d,
    ngx_http_request_t *r);
static void ngx_http_rt_saved_put_captures(ngx_http_rt_draft_t *d,
    ngx_http_request_t *r);
static void ngx_http_rt_saved_put_context(ngx_http_rt_draft_t *d,
    ngx_http_request_t *r);
#if (nginx_version < 1023000)
static void ngx_http_rt_saved_put_arrays(ngx_http_rt_draft_t *d,
    ngx_http_request_t *r);
#endif


extern ngx_module_t  ngx_http_realtime_module;


/* of this process */

static ngx_http_rt_draft_t  ngx_http_rt_draft;


const size_t  ngx_http_rt_saved_strings[NGX_HTTP_RT_SAVED_STRINGS] = {
    offsetof(ngx_http_request_t, request_line),
    offsetof(ngx_http_request_t, uri),
    offsetof(ngx_http_request_t, args),
    offsetof(ngx_http_request_t, exten),
    offsetof(ngx_http_request_t, unparsed_uri),
    offsetof(ngx_http_request_t, method_name),
    offsetof(ngx_http_request_t, http_protocol),
    offsetof(ngx_http_request_t, schema),
    offsetof(ngx_http_request_t, headers_in.server),
    offsetof(ngx_http_request_t, headers_in.user),
    offsetof(ngx_http_request_t, headers_in.passwd),
    offsetof(ngx_http_request_t, headers_out.status_line),
    offsetof(ngx_http_request_t, headers_out.content_type),
    offsetof(ngx_http_request_t, headers_out.charset)
};


#if (nginx_version < 1023000)

/* of pointers to headers */

const size_t  ngx_http_rt_saved_arrays[NGX_HTTP_RT_SAVED_ARRAYS] = {
#if (NGX_HTTP_X_FORWARDED_FOR)
    offsetof(ngx_http_request_t, headers_in.x_forwarded_for),
#endif
    offsetof(ngx_http_request_t, headers_in.cookies),
    offsetof(ngx_http_request_t, headers_out.cache_control),
    offsetof(ngx_http_request_t, headers_out.link)
};

#endif


ngx_http_rt_saved_t *
ngx_http_rt_saved_create(ngx_http_rt_session_t *s)
{
    ngx_uint_t            i;
    ngx_str_t            *str;
    ngx_http_request_t   *r, copy;
    ngx_http_rt_draft_t  *d;

    r = s->request;
    d = &ngx_http_rt_draft;

    if (!ngx_http_rt_savable(s, r)) {
        return NULL;
    }

    d->last = d->head;
    d->text_len = 0;
    d->npieces = 0;
    d->failed = 0;

    ngx_http_rt_saved_bare(r, &copy);

    if (ngx_http_rt_savable_inside(r, &copy, sizeof(ngx_http_request_t))) {
        return NULL;
    }

    ngx_http_rt_saved_put_words(d, &copy, sizeof(ngx_http_request_t));

    for (i = 0; i < NGX_HTTP_RT_SAVED_STRINGS; i++) {
        str = ngx_http_rt_saved_string(r, i);
        (void) ngx_http_rt_saved_put_text(d, str->data, str->len);
    }

    ngx_http_rt_saved_put_list(d, &r->headers_in.headers);
    ngx_http_rt_saved_put_links(d, &r->headers_in.headers,
                                &r->headers_in.headers + 1,
                                &r->headers_in + 1);

    ngx_http_rt_saved_put_list(d, &r->headers_out.headers);
    ngx_http_rt_saved_put_links(d, &r->headers_out.headers,
                                &r->headers_out.trailers + 1,
                                &r->headers_out + 1);

#if (nginx_version < 1023000)
    ngx_http_rt_saved_put_arrays(d, r);
#endif

    ngx_http_rt_saved_put_variables(d, r);
    ngx_http_rt_saved_put_captures(d, r);
    ngx_http_rt_saved_put_context(d, r);

    return ngx_http_rt_saved_finish(d, r);
}


/* without what is saved otherwise, or made anew */

static void
ngx_http_rt_saved_bare(ngx_http_request_t *r, ngx_http_request_t *copy)
{
    ngx_uint_t  i;

    ngx_memcpy(copy, r, sizeof(ngx_http_request_t));

    copy->ctx = NULL;
    copy->pool = NULL;
    copy->header_in = NULL;
    copy->main = NULL;
    copy->variables = NULL;
    copy->cleanup = NULL;
    copy->headers_out.content_type_lowcase = NULL;

#if (NGX_PCRE)
    copy->captures = NULL;
    copy->captures_data = NULL;
#endif

    for (i = 0; i < NGX_HTTP_RT_SAVED_STRINGS; i++) {
        ngx_str_null(ngx_http_rt_saved_string(copy, i));
    }

#if (nginx_version < 1023000)
    for (i = 0; i < NGX_HTTP_RT_SAVED_ARRAYS; i++) {
        ngx_memzero(ngx_http_rt_saved_array(copy, i), sizeof(ngx_array_t));
    }
#endif

    ngx_memzero(&copy->headers_in.headers, sizeof(ngx_list_t));
    ngx_memzero(&copy->headers_out.headers, sizeof(ngx_list_t));
    ngx_memzero(&copy->headers_out.trailers, sizeof(ngx_list_t));

    ngx_http_rt_saved_unlink(&r->headers_in.headers, &copy->headers_in,
                             sizeof(ngx_http_headers_in_t));
    ngx_http_rt_saved_unlink(&r->headers_out.headers, &copy->headers_out,
                             sizeof(ngx_http_headers_out_t));

    /* of the parser */

    ngx_memzero(&copy->state, sizeof(ngx_http_request_t)
                              - offsetof(ngx_http_request_t, state));

    copy->http_minor = r->http_minor;
    copy->http_major = r->http_major;
}


static void
ngx_http_rt_saved_unlink(ngx_list_t *list, void *data, size_t size)
{
    void    *elt;
    u_char  *p, *end;

    p = data;

    for (end = p + size; p < end; p += NGX_HTTP_RT_SAVED_WORD) {

        ngx_memcpy(&elt, p, NGX_HTTP_RT_SAVED_WORD);

        if (ngx_http_rt_saved_index(list, elt) != NGX_HTTP_RT_SAVED_NONE) {
            ngx_memzero(p, NGX_HTTP_RT_SAVED_WORD);
        }
    }
}


static ngx_http_rt_saved_t *
ngx_http_rt_saved_finish(ngx_http_rt_draft_t *d, ngx_http_request_t *r)
{
    size_t                head_len;
    ngx_uint_t            i;
    ngx_str_t            *strings[NGX_HTTP_RT_SAVED_LOGGED];
    ngx_http_rt_saved_t  *saved;
    ngx_http_rt_span_t    logged[NGX_HTTP_RT_SAVED_LOGGED];

    strings[0] = &r->request_line;
    strings[1] = r->headers_in.host ? &r->headers_in.host->value : NULL;
    strings[2] = r->headers_in.referer ? &r->headers_in.referer->value : NULL;

    head_len = d->last - d->head;

    for (i = 0; i < NGX_HTTP_RT_SAVED_LOGGED; i++) {
        logged[i].offset = 0;
        logged[i].len = 0;

        if (strings[i]) {
            logged[i].offset = ngx_http_rt_saved_put_text(d, strings[i]->data,
                                                          strings[i]->len);
            logged[i].len = strings[i]->len;
        }
    }

    if (d->failed) {
        return NULL;
    }

    saved = ngx_alloc(sizeof(ngx_http_rt_saved_t) + head_len + d->text_len,
                      r->connection->log);
    if (saved == NULL) {
        return NULL;
    }

    saved->held = ngx_http_rt_held_take(r);
    saved->srv_conf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    saved->head_len = head_len;
    ngx_memcpy(saved->logged, logged, sizeof(logged));

    ngx_memcpy(ngx_cpymem((u_char *) (saved + 1), d->head, head_len), d->text,
               d->text_len);

    return saved;
}


static void
ngx_http_rt_saved_put(ngx_http_rt_draft_t *d, const void *data, size_t len)
{
    if (len > (size_t) (d->head + NGX_HTTP_RT_SAVED_HEAD - d->last)) {
        d->failed = 1;
        return;
    }

    d->last = ngx_cpymem(d->last, data, len);
}


static void
ngx_http_rt_saved_put_number(ngx_http_rt_draft_t *d, ngx_uint_t n)
{
    uint16_t  number;

    if (n > 0xffff) {
        d->failed = 1;
    }

    number = (uint16_t) n;

    ngx_http_rt_saved_put(d, &number, sizeof(uint16_t));
}


/* strings of a request are parts of each other; each ends with a zero */

static size_t
ngx_http_rt_saved_put_text(ngx_http_rt_draft_t *d, u_char *data, size_t len)
{
    size_t                offset;
    ngx_uint_t            i;
    ngx_http_rt_piece_t  *piece;

    if (data == NULL) {
        ngx_http_rt_saved_put_number(d, NGX_HTTP_RT_SAVED_NONE);
        ngx_http_rt_saved_put_number(d, 0);
        return 0;
    }

    for (i = 0; i < d->npieces; i++) {
        piece = &d->pieces[i];

        if (data >= piece->data && data + len <= piece->data + piece->len) {
            offset = piece->offset + (data - piece->data);
            goto found;
        }
    }

    if (len >= NGX_HTTP_RT_SAVED_TEXT - d->text_len) {
        d->failed = 1;
        return 0;
    }

    offset = d->text_len;

    ngx_memcpy(d->text + offset, data, len);
    d->text[offset + len] = '\0';
    d->text_len += len + 1;

    if (d->npieces < NGX_HTTP_RT_SAVED_PIECES) {
        piece = &d->pieces[d->npieces++];
        piece->data = data;
        piece->len = len;
        piece->offset = offset;
    }

found:

    ngx_http_rt_saved_put_number(d, offset);
    ngx_http_rt_saved_put_number(d, len);

    return offset;
}


/* a bit for each: it is not zero; then those */

static void
ngx_http_rt_saved_put_words(ngx_http_rt_draft_t *d, void *data, size_t size)
{
    u_char      bits[64], *p;
    size_t      i, n;
    uintptr_t   word;

    n = size / NGX_HTTP_RT_SAVED_WORD;

    if (n > sizeof(bits) * 8) {
        d->failed = 1;
        return;
    }

    ngx_memzero(bits, sizeof(bits));

    for (i = 0, p = data; i < n; i++, p += NGX_HTTP_RT_SAVED_WORD) {
        ngx_memcpy(&word, p, NGX_HTTP_RT_SAVED_WORD);

        if (word) {
            bits[i / 8] |= 1 << (i % 8);
        }
    }

    ngx_http_rt_saved_put(d, bits, (n + 7) / 8);

    for (i = 0, p = data; i < n; i++, p += NGX_HTTP_RT_SAVED_WORD) {
        if (bits[i / 8] & (1 << (i % 8))) {
            ngx_http_rt_saved_put(d, p, NGX_HTTP_RT_SAVED_WORD);
        }
    }
}


static void
ngx_http_rt_saved_put_list(ngx_http_rt_draft_t *d, ngx_list_t *list)
{
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    n = 0;

    for (part = &list->part; part; part = part->next) {
        n += part->nelts;
    }

    ngx_http_rt_saved_put_number(d, n);

    for (part = &list->part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            ngx_http_rt_saved_put(d, &h[i].hash, sizeof(ngx_uint_t));
            (void) ngx_http_rt_saved_put_text(d, h[i].key.data, h[i].key.len);
            (void) ngx_http_rt_saved_put_text(d, h[i].value.data,
                                              h[i].value.len);
#if (nginx_version >= 1023000)
            ngx_http_rt_saved_put_number(d,
                                  ngx_http_rt_saved_index(list, h[i].next));
#endif
        }
    }
}


static ngx_uint_t
ngx_http_rt_saved_index(ngx_list_t *list, void *elt)
{
    size_t            at;
    ngx_uint_t        n;
    ngx_list_part_t  *part;

    n = 0;

    for (part = &list->part; part && elt; part = part->next) {

        at = (uintptr_t) elt - (uintptr_t) part->elts;

        if (part->nelts && (uintptr_t) elt >= (uintptr_t) part->elts
            && at < part->nelts * sizeof(ngx_table_elt_t)
            && at % sizeof(ngx_table_elt_t) == 0)
        {
            return n + at / sizeof(ngx_table_elt_t);
        }

        n += part->nelts;
    }

    return NGX_HTTP_RT_SAVED_NONE;
}


/* the fields from start to end that point to a header: which, and to which */

static void
ngx_http_rt_saved_put_links(ngx_http_rt_draft_t *d, ngx_list_t *list,
    void *start, void *end)
{
    void       **p;
    ngx_uint_t   i;

    for (p = start; p < (void **) end; p++) {

        i = ngx_http_rt_saved_index(list, *p);

        if (i != NGX_HTTP_RT_SAVED_NONE) {
            ngx_http_rt_saved_put_number(d, p - (void **) start);
            ngx_http_rt_saved_put_number(d, i);
        }
    }

    ngx_http_rt_saved_put_number(d, NGX_HTTP_RT_SAVED_NONE);
}


#if (nginx_version < 1023000)

static void
ngx_http_rt_saved_put_arrays(ngx_http_rt_draft_t *d, ngx_http_request_t *r)
{
    void        **elts;
    ngx_uint_t    i, n, index;
    ngx_list_t   *list;
    ngx_array_t  *array;

    for (i = 0; i < NGX_HTTP_RT_SAVED_ARRAYS; i++) {
        array = ngx_http_rt_saved_array(r, i);
        list = ngx_http_rt_saved_array_list(r, i);
        elts = array->elts;

        ngx_http_rt_saved_put_number(d, array->nelts);

        for (n = 0; n < array->nelts; n++) {
            index = ngx_http_rt_saved_index(list, elts[n]);

            if (index == NGX_HTTP_RT_SAVED_NONE) {
                d->failed = 1;
            }

            ngx_http_rt_saved_put_number(d, index);
        }
    }
}

#endif


static void
ngx_http_rt_saved_put_variables(ngx_http_rt_draft_t *d, ngx_http_request_t *r)
{
    ngx_uint_t                  i;
    ngx_http_variable_value_t  *v;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    for (i = 0; i < cmcf->variables.nelts; i++) {
        v = &r->variables[i];

        if (!v->valid && !v->not_found) {
            continue;
        }

        ngx_http_rt_saved_put_number(d, i);
        ngx_http_rt_saved_put_number(d, v->valid | v->no_cacheable << 1
                                        | v->not_found << 2 | v->escape << 3);
        (void) ngx_http_rt_saved_put_text(d, v->valid ? v->data : NULL,
                                          v->valid ? v->len : 0);
    }

    ngx_http_rt_saved_put_number(d, NGX_HTTP_RT_SAVED_NONE);
}


static void
ngx_http_rt_saved_put_captures(ngx_http_rt_draft_t *d, ngx_http_request_t *r)
{
#if (NGX_PCRE)
    int         len;
    ngx_uint_t  i;

    len = 0;

    for (i = 0; i < r->ncaptures; i++) {
        len = ngx_max(len, r->captures[i]);
        ngx_http_rt_saved_put(d, &r->captures[i], sizeof(int));
    }

    if (r->ncaptures) {
        (void) ngx_http_rt_saved_put_text(d, r->captures_data, len);
    }
#endif
}


/* of our module, which knows by its report how large it is */

static void
ngx_http_rt_saved_put_context(ngx_http_rt_draft_t *d, ngx_http_request_t *r)
{
    uintptr_t              context[NGX_HTTP_RT_REPORT_MAX
                                   / sizeof(uintptr_t)];
    ngx_http_rt_report_t  *report;

    report = ngx_http_get_module_ctx(r, ngx_http_realtime_module);

    (void) ngx_http_rt_saved_put_text(d, report->topic.data,
                                      report->topic.len);

    ngx_http_rt_saved_put_number(d, report->size);

    if (report->size > NGX_HTTP_RT_REPORT_MAX) {
        d->failed = 1;
        return;
    }

    ngx_memcpy(context, report, report->size);
    ngx_memzero((u_char *) context + offsetof(ngx_http_rt_report_t, topic),
                sizeof(ngx_str_t));

    if (ngx_http_rt_savable_inside(r, context, report->size)) {
        d->failed = 1;
        return;
    }

    ngx_http_rt_saved_put_words(d, context, report->size);
}


void
ngx_http_rt_saved_free(void *data)
{
    ngx_free(data);
}


/* as nginx's own handler, which needs the request */

u_char *
ngx_http_rt_saved_log(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char                 *p, *text;
    ngx_str_t               value[NGX_HTTP_RT_SAVED_LOGGED];
    ngx_uint_t              i;
    ngx_http_log_ctx_t     *ctx;
    ngx_http_rt_saved_t    *saved;
    ngx_http_rt_session_t  *s;

    static const char  *format[] = {
        ", request: \"%V\"", ", host: \"%V\"", ", referrer: \"%V\""
    };

    ctx = log->data;
    s = ctx->connection->data;
    saved = s->saved;

    p = buf;

    if (log->action) {
        p = ngx_snprintf(p, len, " while %s", log->action);
    }

    p = ngx_snprintf(p, buf + len - p, ", client: %V, server: %V",
                     &ctx->connection->addr_text,
                     &saved->srv_conf->server_name);

    text = (u_char *) (saved + 1) + saved->head_len;

    for (i = 0; i < NGX_HTTP_RT_SAVED_LOGGED; i++) {
        value[i].data = text + saved->logged[i].offset;
        value[i].len = saved->logged[i].len;

        if (value[i].len) {
            p = ngx_snprintf(p, buf + len - p, format[i], &value[i]);
        }
    }

    return p;
}
