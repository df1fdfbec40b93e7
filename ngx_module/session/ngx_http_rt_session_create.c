/*
 * Making a session: its memory, and the cleanups that end and free it with its
 * request.
 */

#include "ngx_http_rt_session.h"


/*
 * A session's own pool: each of the session's parts is larger than what it has
 * room for, and so an allocation of its exact size.
 */
#define NGX_HTTP_RT_SESSION_POOL  160


static ngx_int_t ngx_http_rt_session_alloc(ngx_http_rt_session_t *s,
    size_t transport, size_t dialect);


ngx_http_rt_session_t *
ngx_http_rt_session_create(ngx_http_request_t *r, ngx_http_rt_zone_t *zone,
    const ngx_http_rt_session_conf_t *conf,
    const ngx_http_rt_transport_t *transport,
    const ngx_http_rt_dialect_t *dialect, ngx_uint_t topics)
{
    size_t                  size, dialect_size;
    ngx_uint_t              detaches;
    ngx_pool_t             *pool;
    ngx_pool_cleanup_t     *pcln;
    ngx_http_cleanup_t     *cln;
    ngx_http_rt_session_t  *s;

    size = sizeof(ngx_http_rt_session_t) + ngx_http_rt_reader_size(topics);
    dialect_size = dialect ? dialect->ctx_size : 0;

    pcln = ngx_pool_cleanup_add(r->pool, 0);
    if (pcln == NULL) {
        return NULL;
    }

    pool = r->pool;

    detaches = (conf->detach != NGX_HTTP_RT_DETACH_OFF
                && transport->id != NGX_HTTP_RT_POLL
                && r->http_version < NGX_HTTP_VERSION_20);

    if (detaches) {
        pool = ngx_create_pool(NGX_HTTP_RT_SESSION_POOL, r->connection->log);
        if (pool == NULL) {
            return NULL;
        }
    }

    s = ngx_pcalloc(pool, size);

    if (s == NULL) {
        if (pool != r->pool) {
            ngx_destroy_pool(pool);
        }

        return NULL;
    }

    s->pool = pool;
    s->detaches = detaches;
    s->conf = conf;

    pcln->handler = ngx_http_rt_session_free;
    pcln->data = s;

    s->request = r;
    s->core_conf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    s->transport = transport;
    s->dialect = dialect;
    s->last_part = &s->parts;

    s->sink.ops = &ngx_http_rt_session_sink;
    s->sink.hub = zone->hub;
    s->sink.connection = r->connection;
    s->sink.batch_size = NGX_HTTP_RT_BATCH_SIZE;
    s->sink.transport = transport->id;
    s->sink.gathers = (dialect && dialect->multiplex);

    ngx_http_rt_sink_init(&s->sink);

    if (ngx_http_rt_session_alloc(s, transport->ctx_size, dialect_size)
        != NGX_OK
        || (s->sink.gathers && ngx_http_rt_session_topics_init(s) != NGX_OK))
    {
        return NULL;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_rt_session_leave;
    cln->data = s;

    return s;
}


static ngx_int_t
ngx_http_rt_session_alloc(ngx_http_rt_session_t *s, size_t transport,
    size_t dialect)
{
    if (transport) {
        s->ctx = ngx_pcalloc(s->pool, transport);
        if (s->ctx == NULL) {
            return NGX_ERROR;
        }
    }

    if (dialect) {
        s->dialect_ctx = ngx_pcalloc(s->pool, dialect);
        if (s->dialect_ctx == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
