/*
 * What a request to a location with realtime_pass asks of a daemon, and which
 * one: the location's engine, entity, command and user, the conditions in the
 * request's header, and the limits of the wire for each, beyond which the
 * daemon would close the link.
 */

#include "ngx_http_rt_pass.h"
#include "ngx_http_rt_key.h"
#include "ngx_http_rt_rule.h"
#include "ngx_http_rt_versions.h"


static ngx_int_t ngx_http_rt_pass_strings(ngx_http_request_t *r,
    ngx_http_rt_ask_t *ask, const char **wrong);
static const char *ngx_http_rt_pass_expect(ngx_http_request_t *r,
    ngx_http_rt_ask_t *ask);
static ngx_int_t ngx_http_rt_pass_check(ngx_http_rt_pass_conf_t *pass,
    ngx_http_rt_ask_t *ask, const char **wrong);


/* engine, entity, command, user, and the daemon that has them */

ngx_int_t
ngx_http_rt_pass_ask(ngx_http_request_t *r, ngx_http_rt_ask_t *ask,
    ngx_http_rt_link_t **link)
{
    ngx_int_t                rc;
    const char              *wrong;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    wrong = NULL;

    rc = ngx_http_rt_pass_strings(r, ask, &wrong);

    if (rc == NGX_DECLINED) {
        return ngx_http_rt_pass_refuse(r, NGX_HTTP_BAD_REQUEST, "bad_request",
                                       wrong);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ask->timeout = rlcf->pass->timeout;

    *link = ngx_http_rt_worker_link(rlcf->pass->worker, &ask->engine,
                                    &ask->entity);

    ask->connection = ngx_http_rt_link_client(r, *link);

    return ask->connection ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_http_rt_pass_strings(ngx_http_request_t *r, ngx_http_rt_ask_t *ask,
    const char **wrong)
{
    ngx_http_rt_loc_conf_t   *rlcf;
    ngx_http_rt_pass_conf_t  *pass;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);
    pass = rlcf->pass;

    if (ngx_http_complex_value(r, &pass->engine, &ask->engine) != NGX_OK
        || ngx_http_complex_value(r, &pass->entity, &ask->entity) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (pass->has_command
        && ngx_http_complex_value(r, &pass->command, &ask->name) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (pass->has_user
        && ngx_http_complex_value(r, &pass->user, &ask->user) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_rt_pass_check(pass, ask, wrong);
}


/*
 * The wire's limits, beyond which the daemon would close the link; and what is
 * no text would be journalled, but not be published or shown.
 */

static ngx_int_t
ngx_http_rt_pass_check(ngx_http_rt_pass_conf_t *pass, ngx_http_rt_ask_t *ask,
    const char **wrong)
{
    if (ask->engine.len == 0 || ask->engine.len > RT_WIRE_ENGINE_MAX) {
        *wrong = "engine must have 1 to 32 bytes";
        return NGX_DECLINED;
    }

    if (ask->entity.len == 0 || ask->entity.len > RT_WIRE_ENTITY_MAX) {
        *wrong = "entity must have 1 to 200 bytes";
        return NGX_DECLINED;
    }

    if (ask->name.len > RT_WIRE_NAME_MAX
        || (pass->has_command && ask->name.len == 0))
    {
        *wrong = "command must have 1 to 64 bytes";
        return NGX_DECLINED;
    }

    if (ask->user.len > RT_WIRE_USER_MAX) {
        *wrong = "user must have at most 255 bytes";
        return NGX_DECLINED;
    }

    if (!ngx_http_rt_rule_plain(ask->engine.data, ask->engine.len)
        || !ngx_http_rt_rule_plain(ask->entity.data, ask->entity.len)
        || !ngx_http_rt_rule_plain(ask->name.data, ask->name.len)
        || !ngx_http_rt_rule_plain(ask->user.data, ask->user.len))
    {
        *wrong = "engine, entity, command and user must be UTF-8 without "
                 "control characters";
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* If-Match and Idempotency-Key; NGX_DONE: it has been refused */

ngx_int_t
ngx_http_rt_pass_conditions(ngx_http_request_t *r, ngx_http_rt_ask_t *ask)
{
    const char  *wrong;

    wrong = ngx_http_rt_pass_expect(r, ask);

    if (wrong == NULL) {
        wrong = ngx_http_rt_key_find(r, &ask->key);
    }

    if (wrong == NULL) {
        return NGX_OK;
    }

    return ngx_http_rt_pass_refuse(r, NGX_HTTP_BAD_REQUEST, "bad_request",
                                   wrong);
}


/* NULL, or what is wrong */

static const char *
ngx_http_rt_pass_expect(ngx_http_request_t *r, ngx_http_rt_ask_t *ask)
{
    int               n;
    u_char           *p;
    size_t            size;
    uint64_t          versions[NGX_HTTP_RT_VERSIONS_MAX];
    ngx_table_elt_t  *h;

    /* If-Match is for the daemon to judge, not for nginx */

    r->disable_not_modified = 1;

    h = ngx_http_rt_header_find(r, "If-Match");

    if (h == NULL) {
        return NULL;
    }

    n = ngx_http_rt_versions_parse(h->value.data, h->value.len, versions);

    if (n < 0) {
        return "If-Match must be 1 to 16 versions";
    }

    if (n == 0) {
        return NULL;
    }

    ask->expect = versions[0];
    ask->has_expect = 1;

    if (n == 1) {
        return NULL;
    }

    size = (n - 1) * sizeof(uint64_t);

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return "there is no memory";
    }

    ngx_memcpy(p, &versions[1], size);

    ask->expect_too.data = p;
    ask->expect_too.len = size;

    return NULL;
}
