/*
 * What a subscriber asks for besides topics: where it begins, and the form of
 * messages.
 */

#include "ngx_http_rt_http.h"
#include "ngx_http_rt_encode.h"


static ngx_int_t ngx_http_rt_subscribe_last_id(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_uint_t ngx_http_rt_subscribe_by_topic(ngx_http_request_t *r);


/* as in ngx_http_rt_subscribe_last_id(), of which the first counts */

static const char  *ngx_http_rt_subscribe_id_headers[] = {
    "Last-Event-ID", "Realtime-Last-Id", NULL
};


/* the second is what polyfills of EventSource send instead of a header */

static ngx_str_t  ngx_http_rt_subscribe_id_args[] = {
    ngx_string("last_event_id"), ngx_string("lastEventId"), ngx_null_string
};


/*
 * An EventSource that has an id of another server, malformed for us, sends it
 * again and again, and gives up for ever when it is refused.  So it is an id of
 * another epoch, 0-0: a gap tells the page to load its state again.
 */

ngx_int_t
ngx_http_rt_subscribe_from(ngx_http_request_t *r, ngx_http_rt_from_t *from)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    ngx_memzero(from, sizeof(ngx_http_rt_from_t));

    rc = ngx_http_rt_subscribe_last_id(r, &value);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (value.len == 8 && ngx_strncmp(value.data, "earliest", 8) == 0) {
        from->earliest = 1;
        return NGX_OK;
    }

    from->given = 1;

    if (ngx_http_rt_id_parse(value.data, value.len, &from->id) != 0) {
        from->id.epoch = 0;
        from->id.seq = 0;

        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "last event id \"%V\" is of another server", &value);
    }

    return NGX_OK;
}


/* NGX_DECLINED: there is none */

static ngx_int_t
ngx_http_rt_subscribe_last_id(ngx_http_request_t *r, ngx_str_t *value)
{
    u_char           *src, *dst;
    ngx_str_t         arg, *name;
    const char      **header;
    ngx_table_elt_t  *h;

    for (header = ngx_http_rt_subscribe_id_headers; *header; header++) {
        h = ngx_http_rt_header_find(r, *header);

        if (h && h->value.len) {
            *value = h->value;
            return NGX_OK;
        }
    }

    for (name = ngx_http_rt_subscribe_id_args; name->len; name++) {

        if (ngx_http_arg(r, name->data, name->len, &arg) != NGX_OK
            || arg.len == 0)
        {
            continue;
        }

        value->data = ngx_pnalloc(r->pool, arg.len);
        if (value->data == NULL) {
            return NGX_ERROR;
        }

        src = arg.data;
        dst = value->data;

        ngx_unescape_uri(&dst, &src, arg.len, 0);

        value->len = dst - value->data;

        return NGX_OK;
    }

    return NGX_DECLINED;
}


/* 0: none, 1: data is a string, 2: data that is JSON is a value */

ngx_uint_t
ngx_http_rt_subscribe_envelope(ngx_http_request_t *r)
{
    ngx_str_t                arg;
    ngx_http_rt_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    if (ngx_http_arg(r, (u_char *) "envelope", 8, &arg) == NGX_OK
        && arg.len == 1)
    {
        if (arg.data[0] == '2') {
            return 2;
        }

        if (arg.data[0] == '1') {
            return 1;
        }
    }

    return rlcf->envelope;
}


/* of a WebSocket the dialect's form is given */

const ngx_http_rt_form_t *
ngx_http_rt_subscribe_form(ngx_http_request_t *r, ngx_uint_t transport,
    const ngx_http_rt_form_t *form)
{
    ngx_uint_t  envelope;

    envelope = ngx_http_rt_subscribe_envelope(r);

    switch (transport) {

    case NGX_HTTP_RT_SSE:

        if (envelope == 0) {
            return ngx_http_rt_subscribe_by_topic(r)
                       ? &ngx_http_rt_form_sse_topic : &ngx_http_rt_form_sse;
        }

        return (envelope == 2) ? &ngx_http_rt_form_sse_json_value
                               : &ngx_http_rt_form_sse_json;

    case NGX_HTTP_RT_STREAM:
        return (envelope == 2) ? &ngx_http_rt_form_line_value
                               : &ngx_http_rt_form_line;

    case NGX_HTTP_RT_POLL:
        form = &ngx_http_rt_form_json;
        break;

    default:
        break;
    }

    return (envelope == 2 && form == &ngx_http_rt_form_json)
               ? &ngx_http_rt_form_json_value : form;
}


/* ?event=topic */

static ngx_uint_t
ngx_http_rt_subscribe_by_topic(ngx_http_request_t *r)
{
    ngx_str_t  arg;

    return ngx_http_arg(r, (u_char *) "event", 5, &arg) == NGX_OK
           && arg.len == 5
           && ngx_strncmp(arg.data, "topic", 5) == 0;
}
