/*
 * Saved requests, and what they hold of other modules; for the detaching of
 * sessions alone.
 */

#ifndef _NGX_HTTP_RT_SAVED_H_INCLUDED_
#define _NGX_HTTP_RT_SAVED_H_INCLUDED_


#include "ngx_http_rt_session.h"


/* the request line, Host and Referer, for the error log */
#define NGX_HTTP_RT_SAVED_LOGGED  3


/* a string without data, an element without a next one */
#define NGX_HTTP_RT_SAVED_NONE    0xffff

#define NGX_HTTP_RT_SAVED_WORD    sizeof(uintptr_t)


typedef struct {
    uint16_t                       offset;  /* in the text */
    uint16_t                       len;
} ngx_http_rt_span_t;


/* words, headers and so on follow it, then the text */

struct ngx_http_rt_saved_s {
    ngx_pool_t                    *held;    /* or NULL */
    ngx_http_core_srv_conf_t      *srv_conf;
    ngx_log_handler_pt             log_handler;
    ngx_event_handler_pt           read_handler;
    ngx_event_handler_pt           write_handler;
    uint32_t                       head_len;
    ngx_http_rt_span_t             logged[NGX_HTTP_RT_SAVED_LOGGED];
};


/* the strings in ngx_http_request_t, by their offsets */

#define NGX_HTTP_RT_SAVED_STRINGS  14

#define ngx_http_rt_saved_string(r, i)                                        \
    ((ngx_str_t *) ((u_char *) (r) + ngx_http_rt_saved_strings[i]))

extern const size_t  ngx_http_rt_saved_strings[NGX_HTTP_RT_SAVED_STRINGS];


#if (nginx_version < 1023000)

/* and the arrays of pointers to headers */

#if (NGX_HTTP_X_FORWARDED_FOR)
#define NGX_HTTP_RT_SAVED_ARRAYS   4
#else
#define NGX_HTTP_RT_SAVED_ARRAYS   3
#endif

#define ngx_http_rt_saved_array(r, i)                                         \
    ((ngx_array_t *) ((u_char *) (r) + ngx_http_rt_saved_arrays[i]))

#define ngx_http_rt_saved_array_list(r, i)                                    \
    (ngx_http_rt_saved_arrays[i] < offsetof(ngx_http_request_t, headers_out)  \
         ? &(r)->headers_in.headers : &(r)->headers_out.headers)

extern const size_t  ngx_http_rt_saved_arrays[NGX_HTTP_RT_SAVED_ARRAYS];

#endif


/* ngx_http_rt_savable.c */

/* the session's request, which waits for nothing of its own */
ngx_uint_t ngx_http_rt_savable(ngx_http_rt_session_t *s,
    ngx_http_request_t *r);

/* does one of these words point into what is freed with the request? */
ngx_uint_t ngx_http_rt_savable_inside(ngx_http_request_t *r, void *data,
    size_t size);


/* ngx_http_rt_saved.c */

/* NULL: the request cannot be saved; else what it holds is in there */
ngx_http_rt_saved_t *ngx_http_rt_saved_create(ngx_http_rt_session_t *s);

/* of the connection while its request is saved */
u_char *ngx_http_rt_saved_log(ngx_log_t *log, u_char *buf, size_t len);

/* for a pool's cleanup */
void ngx_http_rt_saved_free(void *data);


/* ngx_http_rt_restored.c */

/* NULL: no memory, and it is still saved; else it is the request's pool's */
ngx_http_request_t *ngx_http_rt_restore(ngx_http_rt_session_t *s);


/* ngx_http_rt_held.c */

/* is it limit_conn's alone? */
ngx_uint_t ngx_http_rt_held_known(ngx_http_request_t *r, ngx_pool_t *pool);

/* what the request holds, which it holds no more; NULL: nothing */
ngx_pool_t *ngx_http_rt_held_take(ngx_http_request_t *r);

/* for a pool's cleanup */
void ngx_http_rt_held_free(void *data);


#endif /* _NGX_HTTP_RT_SAVED_H_INCLUDED_ */
