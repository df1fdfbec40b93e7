/*
 * A saved request is restored: the way back from ngx_http_rt_saved.c, part by
 * part in the same order.
 *
 * It gets a pool as nginx's own requests have it.  Its strings are not copied:
 * what saved it is freed with the pool.  Nothing of the session and the
 * connection changes before all memory has been had.
 */

#include "ngx_http_rt_session.h"
#include "ngx_http_rt_saved.h"


typedef struct {
    u_char                        *pos;
    u_char                        *text;
    ngx_pool_t                    *pool;
} ngx_http_rt_restored_t;


static ngx_int_t ngx_http_rt_restored_own(ngx_http_rt_session_t *s,
    ngx_http_request_t *r, ngx_pool_t *pool);
static ngx_int_t ngx_http_rt_restored_read(ngx_http_rt_restored_t *rd,
    ngx_http_request_t *r);
static ngx_uint_t ngx_http_rt_restored_number(ngx_http_rt_restored_t *rd);
static void ngx_http_rt_restored_text(ngx_http_rt_restored_t *rd,
    ngx_str_t *text);
static void ngx_http_rt_restored_words(ngx_http_rt_restored_t *rd, void *data,
    size_t size);
static ngx_int_t ngx_http_rt_restored_list(ngx_http_rt_restored_t *rd,
    ngx_list_t *list, ngx_uint_t lowcase);
static void ngx_http_rt_restored_links(ngx_http_rt_restored_t *rd,
    ngx_list_t *list, void *start);
static ngx_int_t ngx_http_rt_restored_variables(ngx_http_rt_restored_t *rd,
    ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_restored_captures(ngx_http_rt_restored_t *rd,
    ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_restored_context(ngx_http_rt_restored_t *rd,
    ngx_http_request_t *r);

#if (nginx_version < 1023000)
static ngx_int_t ngx_http_rt_restored_arrays(ngx_http_rt_restored_t *rd,
    ngx_http_request_t *r);
#endif


extern ngx_module_t  ngx_http_realtime_module;


/* NULL: no memory, and it is still saved */

ngx_http_request_t *
ngx_http_rt_restore(ngx_http_rt_session_t *s)
{
    ngx_pool_t              *pool;
    ngx_http_request_t      *r;
    ngx_http_rt_saved_t     *saved;
    ngx_http_rt_restored_t   rd;

    saved = s->saved;

    pool = ngx_create_pool(saved->srv_conf->request_pool_size,
                           s->sink.connection->log);
    if (pool == NULL) {
        return NULL;
    }

    rd.pos = (u_char *) (saved + 1);
    rd.text = rd.pos + saved->head_len;
    rd.pool = pool;

    r = ngx_pcalloc(pool, sizeof(ngx_http_request_t));

    if (r == NULL
        || ngx_http_rt_restored_read(&rd, r) != NGX_OK
        || ngx_http_rt_restored_own(s, r, pool) != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    return r;
}


/* its end is that of all that belongs to it */

static ngx_int_t
ngx_http_rt_restored_own(ngx_http_rt_session_t *s, ngx_http_request_t *r,
    ngx_pool_t *pool)
{
    ngx_http_cleanup_t  *cln;
    ngx_pool_cleanup_t  *session, *saved, *held;

    r->pool = pool;
    r->main = r;

    cln = ngx_http_cleanup_add(r, 0);
    held = ngx_pool_cleanup_add(pool, 0);
    saved = ngx_pool_cleanup_add(pool, 0);
    session = ngx_pool_cleanup_add(pool, 0);

    if (cln == NULL || held == NULL || saved == NULL || session == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_rt_session_leave;
    cln->data = s;

    if (s->saved->held) {
        held->handler = ngx_http_rt_held_free;
        held->data = s->saved->held;
    }

    saved->handler = ngx_http_rt_saved_free;
    saved->data = s->saved;

    session->handler = ngx_http_rt_session_free;
    session->data = s;

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_restored_read(ngx_http_rt_restored_t *rd, ngx_http_request_t *r)
{
    ngx_uint_t  i;

    ngx_http_rt_restored_words(rd, r, sizeof(ngx_http_request_t));

    for (i = 0; i < NGX_HTTP_RT_SAVED_STRINGS; i++) {
        ngx_http_rt_restored_text(rd, ngx_http_rt_saved_string(r, i));
    }

    r->ctx = ngx_pcalloc(rd->pool, sizeof(void *) * ngx_http_max_module);

    if (r->ctx == NULL
        || ngx_http_rt_restored_list(rd, &r->headers_in.headers, 1) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_rt_restored_links(rd, &r->headers_in.headers,
                            &r->headers_in.headers + 1);

    if (ngx_http_rt_restored_list(rd, &r->headers_out.headers, 0) != NGX_OK
        || ngx_list_init(&r->headers_out.trailers, rd->pool, 1,
                         sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_rt_restored_links(rd, &r->headers_out.headers,
                            &r->headers_out.trailers + 1);

#if (nginx_version < 1023000)
    if (ngx_http_rt_restored_arrays(rd, r) != NGX_OK) {
        return NGX_ERROR;
    }
#endif

    if (ngx_http_rt_restored_variables(rd, r) != NGX_OK
        || ngx_http_rt_restored_captures(rd, r) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_rt_restored_context(rd, r);
}


static ngx_uint_t
ngx_http_rt_restored_number(ngx_http_rt_restored_t *rd)
{
    uint16_t  n;

    ngx_memcpy(&n, rd->pos, sizeof(uint16_t));
    rd->pos += sizeof(uint16_t);

    return n;
}


static void
ngx_http_rt_restored_text(ngx_http_rt_restored_t *rd, ngx_str_t *text)
{
    ngx_uint_t  offset;

    offset = ngx_http_rt_restored_number(rd);

    text->len = ngx_http_rt_restored_number(rd);
    text->data = (offset == NGX_HTTP_RT_SAVED_NONE) ? NULL : rd->text + offset;
}


static void
ngx_http_rt_restored_words(ngx_http_rt_restored_t *rd, void *data,
    size_t size)
{
    u_char  *bits, *p;
    size_t   i, n;

    n = size / NGX_HTTP_RT_SAVED_WORD;

    bits = rd->pos;
    rd->pos += (n + 7) / 8;

    for (i = 0, p = data; i < n; i++, p += NGX_HTTP_RT_SAVED_WORD) {
        if (bits[i / 8] & (1 << (i % 8))) {
            ngx_memcpy(p, rd->pos, NGX_HTTP_RT_SAVED_WORD);
            rd->pos += NGX_HTTP_RT_SAVED_WORD;
        }
    }
}


static ngx_int_t
ngx_http_rt_restored_list(ngx_http_rt_restored_t *rd, ngx_list_t *list,
    ngx_uint_t lowcase)
{
    ngx_uint_t        i, n;
    ngx_table_elt_t  *h;

    n = ngx_http_rt_restored_number(rd);

    if (ngx_list_init(list, rd->pool, n + 1, sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    h = list->part.elts;
    list->part.nelts = n;

    for (i = 0; i < n; i++) {
        ngx_memcpy(&h[i].hash, rd->pos, sizeof(ngx_uint_t));
        rd->pos += sizeof(ngx_uint_t);

        ngx_http_rt_restored_text(rd, &h[i].key);
        ngx_http_rt_restored_text(rd, &h[i].value);

        h[i].lowcase_key = NULL;

        if (lowcase) {
            h[i].lowcase_key = ngx_pnalloc(rd->pool, h[i].key.len + 1);
            if (h[i].lowcase_key == NULL) {
                return NGX_ERROR;
            }

            ngx_strlow(h[i].lowcase_key, h[i].key.data, h[i].key.len);
            h[i].lowcase_key[h[i].key.len] = '\0';
        }

#if (nginx_version >= 1023000)
        {
        ngx_uint_t  next;

        next = ngx_http_rt_restored_number(rd);
        h[i].next = (next == NGX_HTTP_RT_SAVED_NONE) ? NULL : &h[next];
        }
#endif
    }

    return NGX_OK;
}


static void
ngx_http_rt_restored_links(ngx_http_rt_restored_t *rd, ngx_list_t *list,
    void *start)
{
    void             **p;
    ngx_uint_t         n;
    ngx_table_elt_t   *h;

    p = start;
    h = list->part.elts;

    for ( ;; ) {
        n = ngx_http_rt_restored_number(rd);

        if (n == NGX_HTTP_RT_SAVED_NONE) {
            return;
        }

        p[n] = &h[ngx_http_rt_restored_number(rd)];
    }
}


#if (nginx_version < 1023000)

static ngx_int_t
ngx_http_rt_restored_arrays(ngx_http_rt_restored_t *rd,
    ngx_http_request_t *r)
{
    ngx_uint_t         i, n;
    ngx_list_t        *list;
    ngx_array_t       *array;
    ngx_table_elt_t   *h, **elt;

    for (i = 0; i < NGX_HTTP_RT_SAVED_ARRAYS; i++) {
        array = ngx_http_rt_saved_array(r, i);
        list = ngx_http_rt_saved_array_list(r, i);
        h = list->part.elts;

        n = ngx_http_rt_restored_number(rd);

        if (n && ngx_array_init(array, rd->pool, n, sizeof(void *)) != NGX_OK)
        {
            return NGX_ERROR;
        }

        while (n--) {
            elt = ngx_array_push(array);
            if (elt == NULL) {
                return NGX_ERROR;
            }

            *elt = &h[ngx_http_rt_restored_number(rd)];
        }
    }

    return NGX_OK;
}

#endif


static ngx_int_t
ngx_http_rt_restored_variables(ngx_http_rt_restored_t *rd,
    ngx_http_request_t *r)
{
    ngx_str_t                   text;
    ngx_uint_t                  i, flags;
    ngx_http_variable_value_t  *v;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    r->variables = ngx_pcalloc(rd->pool, cmcf->variables.nelts
                                         * sizeof(ngx_http_variable_value_t));
    if (r->variables == NULL) {
        return NGX_ERROR;
    }

    for ( ;; ) {
        i = ngx_http_rt_restored_number(rd);

        if (i == NGX_HTTP_RT_SAVED_NONE) {
            return NGX_OK;
        }

        flags = ngx_http_rt_restored_number(rd);
        ngx_http_rt_restored_text(rd, &text);

        v = &r->variables[i];
        v->valid = flags & 1;
        v->no_cacheable = (flags >> 1) & 1;
        v->not_found = (flags >> 2) & 1;
        v->escape = (flags >> 3) & 1;
        v->len = text.len;
        v->data = text.data;
    }
}


static ngx_int_t
ngx_http_rt_restored_captures(ngx_http_rt_restored_t *rd,
    ngx_http_request_t *r)
{
#if (NGX_PCRE)
    ngx_str_t                   text;
    ngx_http_core_main_conf_t  *cmcf;

    if (r->ncaptures == 0) {
        return NGX_OK;
    }

    /* as many as a regular expression of the log's may want */

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    r->captures = ngx_palloc(rd->pool, cmcf->ncaptures * sizeof(int));
    if (r->captures == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(r->captures, rd->pos, r->ncaptures * sizeof(int));
    rd->pos += r->ncaptures * sizeof(int);

    ngx_http_rt_restored_text(rd, &text);
    r->captures_data = text.data;
#endif

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_restored_context(ngx_http_rt_restored_t *rd,
    ngx_http_request_t *r)
{
    size_t                 size;
    ngx_str_t              topic;
    ngx_http_rt_report_t  *report;

    ngx_http_rt_restored_text(rd, &topic);
    size = ngx_http_rt_restored_number(rd);

    report = ngx_pcalloc(rd->pool, size);
    if (report == NULL) {
        return NGX_ERROR;
    }

    ngx_http_rt_restored_words(rd, report, size);
    report->topic = topic;

    ngx_http_set_ctx(r, report, ngx_http_realtime_module);

    return NGX_OK;
}
