/*
 * permessage-deflate (RFC 7692): what a client offers in
 * Sec-WebSocket-Extensions, and what it is answered.
 *
 * Towards clients each message is compressed by itself, so that all of them
 * can share it; and clients are asked to do so, too, so that a connection at
 * rest needs no inflater.
 */


#ifndef _NGX_HTTP_RT_WS_EXTENSION_H_INCLUDED_
#define _NGX_HTTP_RT_WS_EXTENSION_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


#define NGX_HTTP_RT_WS_WINDOW_MIN     8
#define NGX_HTTP_RT_WS_WINDOW_MAX     15

#define NGX_HTTP_RT_WS_EXTENSION_LEN                                          \
    sizeof("permessage-deflate; server_no_context_takeover; "                 \
           "client_no_context_takeover; server_max_window_bits=15")


typedef struct {
    unsigned  window;                /* the server's, 8 to 15 bits */
    unsigned  window_given:1;        /* and to be answered */
} ngx_http_rt_ws_deflate_t;


/* 1 if one of the offers can be accepted: the first of them is; else 0 */
int ngx_http_rt_ws_extension_parse(const u_char *p, size_t len,
    ngx_http_rt_ws_deflate_t *deflate);

/* the value of the answer's header; returns its end */
u_char *ngx_http_rt_ws_extension_write(u_char *p,
    const ngx_http_rt_ws_deflate_t *deflate);


#endif /* _NGX_HTTP_RT_WS_EXTENSION_H_INCLUDED_ */
