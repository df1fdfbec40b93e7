/*
 * A request of the multiplexing session (subprotocol realtime.json), as a
 * client sends it:
 *
 *     {"subscribe":{"topic":"a","id":"5f3a-17"},"ref":1}
 *     {"publish":{"topic":"a","data":"text","event":"e","key":"k"},"ref":"x"}
 *
 * One member names the operation; its value is an object with the arguments.
 * "ref" is a number or a string and comes back as it was written; without it
 * nothing is answered.  Members that nobody knows are passed over.
 */

#ifndef _NGX_HTTP_RT_NATIVE_REQUEST_H_INCLUDED_
#define _NGX_HTTP_RT_NATIVE_REQUEST_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


/* as written */
#define NGX_HTTP_RT_NATIVE_REF_MAX  64


typedef enum {
    NGX_HTTP_RT_NATIVE_SUBSCRIBE = 0,
    NGX_HTTP_RT_NATIVE_UNSUBSCRIBE,
    NGX_HTTP_RT_NATIVE_PUBLISH,
    NGX_HTTP_RT_NATIVE_HISTORY,
    NGX_HTTP_RT_NATIVE_PRESENCE,
    NGX_HTTP_RT_NATIVE_COMMAND,
    NGX_HTTP_RT_NATIVE_QUERY,
    NGX_HTTP_RT_NATIVE_REFRESH,
    NGX_HTTP_RT_NATIVE_PING,
    NGX_HTTP_RT_NATIVE_PONG,
    NGX_HTTP_RT_NATIVE_OPERATIONS           /* how many; or none was given */
} ngx_http_rt_native_operation_e;


typedef enum {
    NGX_HTTP_RT_NATIVE_TOPIC = 0,
    NGX_HTTP_RT_NATIVE_ID,
    NGX_HTTP_RT_NATIVE_DATA,
    NGX_HTTP_RT_NATIVE_BASE64,
    NGX_HTTP_RT_NATIVE_EVENT,
    NGX_HTTP_RT_NATIVE_TYPE,
    NGX_HTTP_RT_NATIVE_KEY,
    NGX_HTTP_RT_NATIVE_FIELDS
} ngx_http_rt_native_field_e;


typedef struct {
    const u_char      *p;                   /* NULL: not given */
    size_t             len;
} ngx_http_rt_native_field_t;


typedef struct {
    unsigned                    operation;
    const u_char               *ref;        /* in the text, with its quotes */
    size_t                      ref_len;    /* 0: no answer is wanted */
    ngx_http_rt_native_field_t  fields[NGX_HTTP_RT_NATIVE_FIELDS];
    unsigned                    json:1;     /* data is no string: as written */
} ngx_http_rt_native_request_t;


/*
 * 0, or -1 and what is wrong in err; "ref" is there even then, if it came
 * before what is wrong.  The arena is as large as the text.
 */
int ngx_http_rt_native_request_parse(const u_char *text, size_t len,
    u_char *arena, ngx_http_rt_native_request_t *request, char *err,
    size_t errlen);


#endif /* _NGX_HTTP_RT_NATIVE_REQUEST_H_INCLUDED_ */
