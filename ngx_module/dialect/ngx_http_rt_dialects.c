/*
 * The dialects there are.  A protocol's folder and its line here are all that
 * it takes to add one: dialect(name) is ngx_http_rt_<name>.
 */

#include "ngx_http_rt_dialect.h"
#include "ngx_http_rt_header.h"


#define NGX_HTTP_RT_DIALECTS(dialect)                                         \
    dialect(native)                                                           \
    /* in the order in which a client's subprotocols are looked at */


#define ngx_http_rt_dialect_declare(name)                                     \
    extern const ngx_http_rt_dialect_t  ngx_http_rt_##name;

#define ngx_http_rt_dialect_entry(name)                                       \
    &ngx_http_rt_##name,


NGX_HTTP_RT_DIALECTS(ngx_http_rt_dialect_declare)


static const ngx_http_rt_dialect_t  *ngx_http_rt_dialects[] = {
    NGX_HTTP_RT_DIALECTS(ngx_http_rt_dialect_entry)
    NULL
};


const ngx_http_rt_dialect_t *
ngx_http_rt_dialect_find(const ngx_str_t *name)
{
    ngx_uint_t                    i;
    const ngx_http_rt_dialect_t  *d;

    for (i = 0; ngx_http_rt_dialects[i]; i++) {
        d = ngx_http_rt_dialects[i];

        if (d->name.len == name->len
            && ngx_memcmp(d->name.data, name->data, name->len) == 0)
        {
            return d;
        }
    }

    return NULL;
}


/* the first in our order whose subprotocol the client offers, or NULL */

const ngx_http_rt_dialect_t *
ngx_http_rt_dialect_offered(ngx_str_t *protocols)
{
    u_char                       *p;
    ngx_uint_t                    i;
    const ngx_http_rt_dialect_t  *d;

    for (i = 0; ngx_http_rt_dialects[i]; i++) {
        d = ngx_http_rt_dialects[i];

        if (d->subprotocol.len == 0) {
            continue;
        }

        /* subprotocols differ by case, other tokens of headers do not */

        p = ngx_http_rt_header_token(protocols,
                                     (const char *) d->subprotocol.data);

        if (p && ngx_strncmp(p, d->subprotocol.data, d->subprotocol.len) == 0)
        {
            return d;
        }
    }

    return NULL;
}
