/*
 * A message as an event of a text/event-stream (WHATWG HTML, 9.2), bare or
 * with the JSON form as its data.  The sizes are upper bounds.
 */


#ifndef _NGX_HTTP_RT_SSE_ENCODE_H_INCLUDED_
#define _NGX_HTTP_RT_SSE_ENCODE_H_INCLUDED_


#include <ngx_http_rt_message.h>


size_t ngx_http_rt_sse_size(const ngx_http_rt_message_t *m);
u_char *ngx_http_rt_sse_write(u_char *p, const ngx_http_rt_message_t *m);

size_t ngx_http_rt_sse_json_size(const ngx_http_rt_message_t *m);
u_char *ngx_http_rt_sse_json_write(u_char *p, const ngx_http_rt_message_t *m);
u_char *ngx_http_rt_sse_json_value_write(u_char *p,
    const ngx_http_rt_message_t *m);

/* the event is the topic's name, instead of its own */
size_t ngx_http_rt_sse_topic_size(const ngx_http_rt_message_t *m);
u_char *ngx_http_rt_sse_topic_write(u_char *p, const ngx_http_rt_message_t *m);


#endif /* _NGX_HTTP_RT_SSE_ENCODE_H_INCLUDED_ */
