/*
 * What the parsers of clients' JSON objects share: one run of yajl over a
 * checked text, the first error, and values as they were written.
 */

#ifndef _NGX_HTTP_RT_JSON_READER_H_INCLUDED_
#define _NGX_HTTP_RT_JSON_READER_H_INCLUDED_


#include <stddef.h>
#include <sys/types.h>

#include <yajl/yajl_parse.h>


typedef struct {
    yajl_handle       yajl;
    const u_char     *text;
    size_t            value;                /* where the value may begin */
    char             *err;
    size_t            errlen;
    unsigned          ended:1;              /* the text */
    unsigned          failed:1;
} ngx_http_rt_json_reader_t;


void ngx_http_rt_json_reader_init(ngx_http_rt_json_reader_t *reader,
    const u_char *text, char *err, size_t errlen);

/* 0, or -1 and what is wrong in err; ctx is what the callbacks get */
int ngx_http_rt_json_reader_run(ngx_http_rt_json_reader_t *reader, size_t len,
    const yajl_callbacks *callbacks, void *ctx);

/* within a callback: how many bytes of the text have been used */
size_t ngx_http_rt_json_reader_at(ngx_http_rt_json_reader_t *reader);

/* the value of the token that has just been read, after a key has set value */
const u_char *ngx_http_rt_json_reader_value(ngx_http_rt_json_reader_t *reader,
    size_t *len);

/* the place among the names, n if it is none of them */
unsigned ngx_http_rt_json_reader_name(const char *const *names, unsigned n,
    const u_char *p, size_t len);

/* the first error stays; returns 0, which stops yajl */
int ngx_http_rt_json_reader_error(ngx_http_rt_json_reader_t *reader,
    const char *fmt, ...) __attribute__((format(printf, 2, 3)));


#endif /* _NGX_HTTP_RT_JSON_READER_H_INCLUDED_ */
