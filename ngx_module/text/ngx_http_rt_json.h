/*
 * The JSON form of a message, and the two encodings it is made of: JSON string
 * escapes (RFC 8259) and base64 (RFC 4648).
 *
 * Each comes as a pair: _size says how many bytes _write may need, _write
 * returns the end of what it wrote.
 */


#ifndef _NGX_HTTP_RT_JSON_H_INCLUDED_
#define _NGX_HTTP_RT_JSON_H_INCLUDED_


#include <ngx_http_rt_message.h>


/* "event" and "type" if given; binary data as "base64" instead of "data" */
size_t ngx_http_rt_json_size(const ngx_http_rt_message_t *m);
u_char *ngx_http_rt_json_write(u_char *p, const ngx_http_rt_message_t *m);

/* all but the data and the end */
u_char *ngx_http_rt_json_head(u_char *p, const ngx_http_rt_message_t *m);

/* what goes between the quotes; s is UTF-8, the size is exact */
size_t ngx_http_rt_json_escape_size(const u_char *s, size_t len);
u_char *ngx_http_rt_json_escape(u_char *p, const u_char *s, size_t len);

/* with padding; the size is exact */
size_t ngx_http_rt_base64_size(size_t len);
u_char *ngx_http_rt_base64_write(u_char *p, const u_char *s, size_t len);


#endif /* _NGX_HTTP_RT_JSON_H_INCLUDED_ */
