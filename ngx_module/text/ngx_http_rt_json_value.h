/*
 * The JSON form with data that is JSON as a value, "json", instead of as a
 * string in a string.
 */

#ifndef _NGX_HTTP_RT_JSON_VALUE_H_INCLUDED_
#define _NGX_HTTP_RT_JSON_VALUE_H_INCLUDED_


#include <ngx_http_rt_message.h>


/* arrays and objects in each other; deeper data stays a string */
#define NGX_HTTP_RT_JSON_VALUE_DEPTH  128


/*
 * As ngx_http_rt_json_write(), of as many bytes at most.  "data" is still there
 * instead of "json" if the type is not that of JSON, or the data is not JSON.
 */
u_char *ngx_http_rt_json_value_write(u_char *p, const ngx_http_rt_message_t *m);

/*
 * Copies a JSON text (RFC 8259) as one line: newlines, which only stand between
 * tokens, become blanks.  NULL: it is none, and what p points at is spoilt.
 */
u_char *ngx_http_rt_json_value_copy(u_char *p, const u_char *s, size_t len);


#endif /* _NGX_HTTP_RT_JSON_VALUE_H_INCLUDED_ */
