/*
 * Headers: those of an answer are added, those of a request are found.
 */

#include "ngx_http_rt_header.h"
#include "ngx_http_rt_id.h"


static ngx_table_elt_t *ngx_http_rt_header_next(const char *name,
    ngx_list_part_t **part, ngx_uint_t *i);


/* name is static, value is copied */

ngx_int_t
ngx_http_rt_header_add(ngx_http_request_t *r, const char *name,
    const u_char *value, size_t len)
{
    u_char           *p;
    ngx_table_elt_t  *h;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, value, len);

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = p;
    h->value.len = len;

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return NGX_OK;
}


/* the position that a client has with this answer */

ngx_int_t
ngx_http_rt_header_id(ngx_http_request_t *r, uint64_t epoch, uint64_t seq)
{
    u_char  id[NGX_HTTP_RT_ID_LEN];

    return ngx_http_rt_header_add(r, "Realtime-Last-Id", id,
                                  ngx_http_rt_id_write(id, epoch, seq) - id);
}


/* what is sent as it becomes is neither cached nor held back */

ngx_int_t
ngx_http_rt_header_live(ngx_http_request_t *r)
{
    if (ngx_http_rt_header_add(r, "Cache-Control", (u_char *) "no-cache", 8)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_rt_header_add(r, "X-Accel-Buffering", (u_char *) "no", 2);
}


/* the first one of this name */

ngx_table_elt_t *
ngx_http_rt_header_find(ngx_http_request_t *r, const char *name)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;

    i = 0;
    part = &r->headers_in.headers.part;

    return ngx_http_rt_header_next(name, &part, &i);
}


/* all lines of this name as one list (RFC 9110, 5.3); empty: there is none */

ngx_int_t
ngx_http_rt_header_list(ngx_http_request_t *r, const char *name,
    ngx_str_t *list)
{
    size_t            len;
    u_char           *p;
    ngx_uint_t        i, lines;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ngx_str_null(list);

    len = 0;
    lines = 0;

    i = 0;
    part = &r->headers_in.headers.part;
    h = ngx_http_rt_header_next(name, &part, &i);

    while (h) {
        *list = h->value;
        len += h->value.len + 1;
        lines++;
        h = ngx_http_rt_header_next(name, &part, &i);
    }

    if (lines < 2) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    list->data = p;
    list->len = len - 1;

    i = 0;
    part = &r->headers_in.headers.part;
    h = ngx_http_rt_header_next(name, &part, &i);

    while (h) {
        p = ngx_cpymem(p, h->value.data, h->value.len);
        *p++ = ',';
        h = ngx_http_rt_header_next(name, &part, &i);
    }

    return NGX_OK;
}


/* from *part and *i on, which are moved behind it */

static ngx_table_elt_t *
ngx_http_rt_header_next(const char *name, ngx_list_part_t **part,
    ngx_uint_t *i)
{
    size_t            len;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    for ( /* void */ ; *part; *part = (*part)->next, *i = 0) {

        while (*i < (*part)->nelts) {
            h = (ngx_table_elt_t *) (*part)->elts + (*i)++;

            if (h->key.len == len
                && ngx_strncasecmp(h->key.data, (u_char *) name, len) == 0)
            {
                return h;
            }
        }
    }

    return NULL;
}


/* where a list between commas has the token, whatever its case; or NULL */

u_char *
ngx_http_rt_header_token(ngx_str_t *list, const char *token)
{
    u_char  *p, *last, *start;
    size_t   len;

    len = ngx_strlen(token);

    p = list->data;
    last = p + list->len;

    while (p < last) {

        if (*p == ' ' || *p == ',' || *p == '\t') {
            p++;
            continue;
        }

        start = p;

        while (p < last && *p != ' ' && *p != ',' && *p != '\t') {
            p++;
        }

        if ((size_t) (p - start) == len
            && ngx_strncasecmp(start, (u_char *) token, len) == 0)
        {
            return start;
        }
    }

    return NULL;
}
