/*
 * Where a WebSocket may come from: realtime_origin against the Origin header.
 * Browsers let any page connect, so it is for us to look (RFC 6455, 10.2).
 */

#include "ngx_http_rt_http.h"


static ngx_uint_t ngx_http_rt_origin_is(ngx_str_t *host, ngx_str_t *name);


/* NGX_DONE: it has been refused */

ngx_int_t
ngx_http_rt_origin_check(ngx_http_request_t *r)
{
    u_char                  *p, *last;
    ngx_str_t               *hosts, origin, host, name;
    ngx_uint_t               i;
    ngx_table_elt_t         *h;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    h = ngx_http_rt_header_find(r, "Origin");

    if (h == NULL || rlcf->origin == NGX_HTTP_RT_ORIGIN_ANY) {
        return NGX_OK;
    }

    origin = h->value;
    last = origin.data + origin.len;

    /* host:port, and host alone */

    p = ngx_strlcasestrn(origin.data, last, (u_char *) "://", 3 - 1);
    if (p == NULL) {
        goto forbidden;
    }

    host.data = p + 3;
    host.len = last - host.data;

    p = (host.len && host.data[0] == '[')
        ? ngx_strlchr(host.data, last, ']') : host.data;

    p = ngx_strlchr(p ? p : host.data, last, ':');

    name.data = host.data;
    name.len = p ? (size_t) (p - host.data) : host.len;

    if (rlcf->origin == NGX_HTTP_RT_ORIGIN_SAME) {
        h = r->headers_in.host;

        if (h && h->value.len == host.len
            && ngx_strncasecmp(h->value.data, host.data, host.len) == 0)
        {
            return NGX_OK;
        }

        goto forbidden;
    }

    hosts = rlcf->origins->elts;

    for (i = 0; i < rlcf->origins->nelts; i++) {

        if (ngx_http_rt_origin_is(&hosts[i], &origin)
            || ngx_http_rt_origin_is(&hosts[i], &host)
            || ngx_http_rt_origin_is(&hosts[i], &name))
        {
            return NGX_OK;
        }
    }

forbidden:

    return ngx_http_rt_refuse(r, NGX_HTTP_FORBIDDEN,
                              "this Origin may not connect");
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
