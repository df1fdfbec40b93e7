/*
 * Dialects: what protocols are.  A transport says how bytes come and go, a
 * dialect what the messages of a WebSocket mean; ngx_http_rt_session.h has both
 * types.
 *
 * To add a protocol: a folder with its dialect, and one line in
 * ngx_http_rt_dialects.c.  "realtime_protocol name;" or its subprotocol selects
 * it then.  Input becomes operations (ngx_http_rt_operation.h) and
 * subscriptions of the session; a form says what a message looks like;
 * ngx_http_rt_session_reply() takes what is said besides.
 *
 * May call: session/ and all below it, and link/ for engines.  Knows nothing of
 * directives.
 */

#ifndef _NGX_HTTP_RT_DIALECT_H_INCLUDED_
#define _NGX_HTTP_RT_DIALECT_H_INCLUDED_


#include "ngx_http_rt_session.h"
#include "ngx_http_rt_ws_extension.h"


/* the same of a long-poll as NGX_HTTP_RT_BATCH_SIZE of others */
#define NGX_HTTP_RT_POLL_SIZE  (1024 * 1024)


/* ngx_http_rt_dialects.c: NULL: there is none of this name */

const ngx_http_rt_dialect_t *ngx_http_rt_dialect_find(const ngx_str_t *name);
const ngx_http_rt_dialect_t *ngx_http_rt_dialect_offered(ngx_str_t *protocols);


/* transports */

extern const ngx_http_rt_transport_t  ngx_http_rt_sse;
extern const ngx_http_rt_transport_t  ngx_http_rt_stream;
extern const ngx_http_rt_transport_t  ngx_http_rt_poll;
extern const ngx_http_rt_transport_t  ngx_http_rt_websocket;


/* ngx_http_rt_publishing.c: the session goes */

void ngx_http_rt_publishing_cancel(ngx_http_rt_session_t *s);


/* ngx_http_rt_bare.c: a client's messages are published as they are */

extern const ngx_http_rt_dialect_t  ngx_http_rt_bare;
extern const ngx_http_rt_dialect_t  ngx_http_rt_envelope;

ngx_int_t ngx_http_rt_hello(ngx_http_rt_session_t *s);


/* ngx_http_rt_head.c: the response of SSE and stream, and its end */

ngx_int_t ngx_http_rt_head(ngx_http_rt_session_t *s, ngx_str_t *type,
    u_char *hello, size_t len);
void ngx_http_rt_tail(ngx_http_rt_session_t *s, u_char *text, size_t len);


/*
 * ngx_http_rt_websocket_handshake.c, all before the session is there.  A
 * refusal is a status, with its reason; NGX_OK; NGX_ERROR.
 */

ngx_uint_t ngx_http_rt_websocket_asked(ngx_http_request_t *r);
ngx_int_t ngx_http_rt_websocket_check(ngx_http_request_t *r,
    const char **reason);
ngx_int_t ngx_http_rt_websocket_headers(ngx_http_request_t *r);

/* the window of the first offer that can be accepted, in bits, or 0 */
ngx_uint_t ngx_http_rt_websocket_deflate(ngx_http_request_t *r,
    ngx_http_rt_ws_deflate_t *deflate);
ngx_int_t ngx_http_rt_websocket_accept(ngx_http_request_t *r,
    const ngx_str_t *protocol, const ngx_http_rt_ws_deflate_t *deflate);


/* ngx_http_rt_websocket.c: one control frame; as ngx_http_rt_session_send() */

ngx_int_t ngx_http_rt_websocket_frame(ngx_http_rt_session_t *s,
    ngx_uint_t opcode, const u_char *data, size_t len);


#endif /* _NGX_HTTP_RT_DIALECT_H_INCLUDED_ */
