/*
 * Message ids as clients see them: "<epoch>-<seq>", the epoch in lower-case
 * hexadecimal, the seq in decimal.  Pure functions over bytes.
 */


#ifndef _NGX_HTTP_RT_ID_H_INCLUDED_
#define _NGX_HTTP_RT_ID_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


#define NGX_HTTP_RT_ID_LEN    (16 + 1 + 20)
#define NGX_HTTP_RT_UINT_LEN  20


typedef struct {
    uint64_t  epoch;
    uint64_t  seq;
} ngx_http_rt_id_t;


/* 0, or -1 if the bytes are not exactly one id */
int ngx_http_rt_id_parse(const u_char *p, size_t len, ngx_http_rt_id_t *id);

/* both return the end; at most the lengths above are written */
u_char *ngx_http_rt_id_write(u_char *p, uint64_t epoch, uint64_t seq);
u_char *ngx_http_rt_uint_write(u_char *p, uint64_t n);


#endif /* _NGX_HTTP_RT_ID_H_INCLUDED_ */
