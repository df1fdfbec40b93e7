/*
 * The opening handshake of a WebSocket (RFC 6455, 4.2), on the server's side.
 */

#include "ngx_http_rt_dialect.h"
#include "ngx_http_rt_header.h"

#include <ngx_sha1.h>


ngx_uint_t
ngx_http_rt_websocket_asked(ngx_http_request_t *r)
{
    ngx_str_t  upgrade;

    return ngx_http_rt_header_list(r, "Upgrade", &upgrade) == NGX_OK
           && ngx_http_rt_header_token(&upgrade, "websocket");
}


ngx_int_t
ngx_http_rt_websocket_check(ngx_http_request_t *r, const char **reason)
{
    u_char     key[20];
    ngx_str_t  connection, version, src, dst;

    if (r->method != NGX_HTTP_GET) {
        *reason = "a WebSocket handshake is a GET";
        return NGX_HTTP_BAD_REQUEST;
    }

    if (r->http_version != NGX_HTTP_VERSION_11) {
        *reason = "WebSocket needs HTTP/1.1";
        return NGX_HTTP_BAD_REQUEST;
    }

    if (ngx_http_rt_header_list(r, "Connection", &connection) != NGX_OK
        || ngx_http_rt_header_list(r, "Sec-WebSocket-Version", &version)
           != NGX_OK
        || ngx_http_rt_header_list(r, "Sec-WebSocket-Key", &src) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_rt_header_token(&connection, "upgrade") == NULL) {
        *reason = "Connection must name Upgrade";
        return NGX_HTTP_BAD_REQUEST;
    }

    if (version.len != 2 || ngx_strncmp(version.data, "13", 2) != 0) {
        if (ngx_http_rt_header_add(r, "Sec-WebSocket-Version",
                                   (u_char *) "13", 2)
            != NGX_OK
            || ngx_http_rt_websocket_headers(r) != NGX_OK)
        {
            return NGX_ERROR;
        }

        *reason = "Sec-WebSocket-Version must be 13";
        return 426;
    }

    if (src.len == 24) {
        dst.data = key;

        if (ngx_decode_base64(&dst, &src) == NGX_OK && dst.len == 16) {
            return NGX_OK;
        }
    }

    *reason = "Sec-WebSocket-Key must be 16 bytes in base64";

    return NGX_HTTP_BAD_REQUEST;
}


/* with 426 (RFC 9110, 7.8), but HTTP/2 does not know them (RFC 9113, 8.2.2) */

ngx_int_t
ngx_http_rt_websocket_headers(ngx_http_request_t *r)
{
    if (r->http_version >= NGX_HTTP_VERSION_20) {
        return NGX_OK;
    }

    if (ngx_http_rt_header_add(r, "Connection", (u_char *) "upgrade", 7)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_rt_header_add(r, "Upgrade", (u_char *) "websocket", 9);
}


ngx_uint_t
ngx_http_rt_websocket_deflate(ngx_http_request_t *r,
    ngx_http_rt_ws_deflate_t *deflate)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == sizeof("Sec-WebSocket-Extensions") - 1
                && ngx_strncasecmp(h[i].key.data,
                                   (u_char *) "Sec-WebSocket-Extensions",
                                   h[i].key.len)
                   == 0
                && ngx_http_rt_ws_extension_parse(h[i].value.data,
                                                  h[i].value.len, deflate))
            {
                return deflate->window;
            }
        }
    }

    return 0;
}


/* RFC 6455, 4.2.2 */

ngx_int_t
ngx_http_rt_websocket_accept(ngx_http_request_t *r, const ngx_str_t *protocol,
    const ngx_http_rt_ws_deflate_t *deflate)
{
    u_char            digest[20], value[28], *p;
    u_char            extension[NGX_HTTP_RT_WS_EXTENSION_LEN];
    ngx_str_t         src, dst;
    ngx_sha1_t        sha1;
    ngx_table_elt_t  *h;

    h = ngx_http_rt_header_find(r, "Sec-WebSocket-Key");

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, h->value.data, h->value.len);
    ngx_sha1_update(&sha1, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    ngx_sha1_final(digest, &sha1);

    src.data = digest;
    src.len = sizeof(digest);
    dst.data = value;

    ngx_encode_base64(&dst, &src);

    if (ngx_http_rt_header_add(r, "Upgrade", (u_char *) "websocket", 9)
        != NGX_OK
        || ngx_http_rt_header_add(r, "Sec-WebSocket-Accept", dst.data,
                                  dst.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (deflate) {
        p = ngx_http_rt_ws_extension_write(extension, deflate);

        if (ngx_http_rt_header_add(r, "Sec-WebSocket-Extensions", extension,
                                   p - extension)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (protocol && protocol->len) {
        return ngx_http_rt_header_add(r, "Sec-WebSocket-Protocol",
                                      protocol->data, protocol->len);
    }

    return NGX_OK;
}
