/*
 * What the two files of the WebSocket transport share; nobody else includes
 * this.
 */

#ifndef _NGX_HTTP_RT_WEBSOCKET_H_INCLUDED_
#define _NGX_HTTP_RT_WEBSOCKET_H_INCLUDED_


#include "ngx_http_rt_dialect.h"
#include "ngx_http_rt_ws_frame.h"


typedef struct {
    ngx_http_rt_ws_parser_t   parser;

    u_char                   *message;      /* being gathered */
    size_t                    len;
    size_t                    size;

    ngx_buf_t                *rest;         /* read, not yet parsed; or NULL */

    ngx_uint_t                unanswered;   /* pings */

    ngx_msec_t                last;         /* message of the client */
    ngx_msec_int_t            excess;

    const char               *reason;       /* to close with */
    uint16_t                  code;

    unsigned                  peer_closed:1;
    unsigned                  pong:1;       /* to be sent */
    uint8_t                   pong_len;
    u_char                   *pong_data;
} ngx_http_rt_websocket_ctx_t;


void ngx_http_rt_websocket_read(ngx_http_rt_session_t *s);


#endif /* _NGX_HTTP_RT_WEBSOCKET_H_INCLUDED_ */
