/*
 * Pages of which origins may ask, and what browsers are told of it.
 *
 * A browser lets any page connect a WebSocket (RFC 6455, 10.2) and send a
 * simple POST, with its visitor's cookies.  So a request that names an Origin
 * is looked at here, whatever its method, and refused by the handler if
 * realtime_origin does not allow it; programs name none.
 *
 * Whether the page gets to see the answer is for CORS to say.  Its headers are
 * added before nginx's access phase, so that refusals have them as well, and a
 * preflight is answered there: it comes without cookies and tokens, with a
 * method that limit_except does not know.
 */

#include "ngx_http_rt_http.h"


typedef struct {
    ngx_str_t    all;       /* without a default port, as the others */
    ngx_str_t    scheme;
    ngx_str_t    host;      /* with the port */
    ngx_str_t    name;
    ngx_uint_t   port;      /* the scheme's default, or 0 */
} ngx_http_rt_origin_t;


static ngx_int_t ngx_http_rt_origin_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_origin_preflight(ngx_http_request_t *r);
static ngx_uint_t ngx_http_rt_origin_allowed(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_uint_t ngx_http_rt_origin_parse(ngx_str_t *value,
    ngx_http_rt_origin_t *o);
static void ngx_http_rt_origin_bare(ngx_str_t *host, ngx_uint_t port);
static ngx_uint_t ngx_http_rt_origin_same(ngx_http_request_t *r,
    ngx_http_rt_origin_t *o);
static ngx_uint_t ngx_http_rt_origin_listed(ngx_http_rt_loc_conf_t *rlcf,
    ngx_http_rt_origin_t *o);
static ngx_uint_t ngx_http_rt_origin_is(ngx_str_t *host, ngx_str_t *name);
static ngx_int_t ngx_http_rt_origin_cors(ngx_http_request_t *r,
    ngx_str_t *origin);
static ngx_uint_t ngx_http_rt_origin_added(ngx_http_request_t *r);
static ngx_int_t ngx_http_rt_origin_add(ngx_http_request_t *r,
    const char *name, const char *value);


static const char  ngx_http_rt_origin_vary[] = "Vary";

static const char  ngx_http_rt_origin_methods[] =
    "GET, HEAD, POST, PUT, DELETE";

static const char  ngx_http_rt_origin_headers[] =
    "Authorization, Cache-Control, Content-Type, Idempotency-Key, If-Match, "
    "If-None-Match, Last-Event-ID, Prefer, Realtime-Batch, Realtime-Event, "
    "Realtime-Last-Id";

static const char  ngx_http_rt_origin_exposed[] =
    "ETag, Idempotent-Replay, Realtime-Last-Id, Realtime-Version, Retry-After";


ngx_int_t
ngx_http_rt_origin_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_rt_origin_handler;

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_origin_handler(ngx_http_request_t *r)
{
    ngx_table_elt_t         *h;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (r != r->main || rlcf->origin == NGX_HTTP_RT_ORIGIN_SAME
        || (rlcf->publish == NULL && rlcf->subscribe == NULL
            && rlcf->pass == NULL && rlcf->dialect == NULL)
        || ngx_http_rt_origin_added(r))
    {
        return NGX_DECLINED;
    }

    if (ngx_http_rt_origin_add(r, ngx_http_rt_origin_vary, "Origin")
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h = ngx_http_rt_header_find(r, "Origin");

    if (h == NULL || !ngx_http_rt_origin_allowed(r, &h->value)) {
        return NGX_DECLINED;
    }

    if (ngx_http_rt_origin_cors(r, &h->value) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->method == NGX_HTTP_OPTIONS
        && ngx_http_rt_header_find(r, "Access-Control-Request-Method"))
    {
        return ngx_http_rt_origin_preflight(r);
    }

    return NGX_DECLINED;
}


/* the same for all locations: whoever asks is told the rest by the request */

static ngx_int_t
ngx_http_rt_origin_preflight(ngx_http_request_t *r)
{
    if (ngx_http_rt_origin_add(r, "Access-Control-Allow-Methods",
                               ngx_http_rt_origin_methods)
        != NGX_OK
        || ngx_http_rt_origin_add(r, "Access-Control-Allow-Headers",
                                  ngx_http_rt_origin_headers)
           != NGX_OK
        || ngx_http_rt_origin_add(r, "Access-Control-Max-Age", "600")
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_HTTP_NO_CONTENT;
}


ngx_int_t
ngx_http_rt_origin_check(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    h = ngx_http_rt_header_find(r, "Origin");

    if (h == NULL || ngx_http_rt_origin_allowed(r, &h->value)) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "Origin \"%V\" is not allowed by realtime_origin",
                  &h->value);

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_http_rt_origin_allowed(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_http_rt_origin_t     o;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (rlcf->origin == NGX_HTTP_RT_ORIGIN_ANY) {
        return 1;
    }

    if (!ngx_http_rt_origin_parse(value, &o)) {
        return 0;
    }

    return (rlcf->origin == NGX_HTTP_RT_ORIGIN_SAME)
               ? ngx_http_rt_origin_same(r, &o)
               : ngx_http_rt_origin_listed(rlcf, &o);
}


/* 0: it is none, such as "null" */

static ngx_uint_t
ngx_http_rt_origin_parse(ngx_str_t *value, ngx_http_rt_origin_t *o)
{
    u_char  *p, *last;

    o->all = *value;
    last = value->data + value->len;

    p = ngx_strlcasestrn(value->data, last, (u_char *) "://", 3 - 1);

    if (p == NULL || p + 3 == last) {
        return 0;
    }

    o->scheme.data = value->data;
    o->scheme.len = p - value->data;

    o->port = 0;

    if (o->scheme.len == 5
        && ngx_strncasecmp(o->scheme.data, (u_char *) "https", 5) == 0)
    {
        o->port = 443;

    } else if (o->scheme.len == 4
               && ngx_strncasecmp(o->scheme.data, (u_char *) "http", 4) == 0)
    {
        o->port = 80;
    }

    o->host.data = p + 3;
    o->host.len = last - o->host.data;

    ngx_http_rt_origin_bare(&o->host, o->port);

    last = o->host.data + o->host.len;
    o->all.len = last - o->all.data;

    p = (o->host.data[0] == '[') ? ngx_strlchr(o->host.data, last, ']')
                                 : o->host.data;

    p = ngx_strlchr(p ? p : o->host.data, last, ':');

    o->name.data = o->host.data;
    o->name.len = p ? (size_t) (p - o->host.data) : o->host.len;

    return 1;
}


/* without ":443", if that is the port */

static void
ngx_http_rt_origin_bare(ngx_str_t *host, ngx_uint_t port)
{
    size_t  len;
    u_char  text[NGX_INT_T_LEN + 1];

    if (port == 0) {
        return;
    }

    len = ngx_sprintf(text, ":%ui", port) - text;

    if (host->len > len
        && ngx_memcmp(host->data + host->len - len, text, len) == 0)
    {
        host->len -= len;
    }
}


static ngx_uint_t
ngx_http_rt_origin_same(ngx_http_request_t *r, ngx_http_rt_origin_t *o)
{
    ngx_str_t         host;
    ngx_table_elt_t  *h;

    h = r->headers_in.host;

    if (h == NULL) {
        return 0;
    }

    host = h->value;

    ngx_http_rt_origin_bare(&host, o->port);

    return host.len == o->host.len
           && ngx_strncasecmp(host.data, o->host.data, host.len) == 0;
}


static ngx_uint_t
ngx_http_rt_origin_listed(ngx_http_rt_loc_conf_t *rlcf,
    ngx_http_rt_origin_t *o)
{
    ngx_str_t   *hosts, host;
    ngx_uint_t   i;

    hosts = rlcf->origins->elts;

    for (i = 0; i < rlcf->origins->nelts; i++) {
        host = hosts[i];

        if (ngx_http_rt_origin_is(&host, &o->name)) {
            return 1;
        }

        ngx_http_rt_origin_bare(&host, o->port);

        if (host.data[host.len - 1] == '*') {

            /* a star would stand for other ports, too */

            host = hosts[i];
        }

        if (ngx_http_rt_origin_is(&host, &o->all)
            || ngx_http_rt_origin_is(&host, &o->host))
        {
            return 1;
        }
    }

    return 0;
}


/* "*.example.com" is for all below example.com, and so with a scheme */

static ngx_uint_t
ngx_http_rt_origin_is(ngx_str_t *host, ngx_str_t *name)
{
    u_char  *star;
    size_t   before, after;

    star = ngx_strlchr(host->data, host->data + host->len, '*');

    if (star == NULL) {
        return host->len == name->len
               && ngx_strncasecmp(host->data, name->data, name->len) == 0;
    }

    before = star - host->data;
    after = host->len - before - 1;

    return name->len > before + after
           && ngx_strncasecmp(name->data, host->data, before) == 0
           && ngx_strncasecmp(name->data + name->len - after, star + 1, after)
              == 0;
}


/* a listed origin is trusted with its visitors' cookies, any is not */

static ngx_int_t
ngx_http_rt_origin_cors(ngx_http_request_t *r, ngx_str_t *origin)
{
    ngx_int_t                rc;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (rlcf->origin == NGX_HTTP_RT_ORIGIN_ANY) {
        rc = ngx_http_rt_origin_add(r, "Access-Control-Allow-Origin", "*");

    } else {
        rc = ngx_http_rt_header_add(r, "Access-Control-Allow-Origin",
                                    origin->data, origin->len);

        if (rc == NGX_OK) {
            rc = ngx_http_rt_origin_add(r, "Access-Control-Allow-Credentials",
                                        "true");
        }
    }

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_rt_origin_add(r, "Access-Control-Expose-Headers",
                                  ngx_http_rt_origin_exposed);
}


/* an internal redirect comes here once more */

static ngx_uint_t
ngx_http_rt_origin_added(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.data == (u_char *) ngx_http_rt_origin_vary) {
                return 1;
            }
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_rt_origin_add(ngx_http_request_t *r, const char *name,
    const char *value)
{
    return ngx_http_rt_header_add(r, name, (u_char *) value,
                                  ngx_strlen(value));
}
