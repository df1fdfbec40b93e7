/*
 * What the files of a link call of each other; nobody else includes this.
 */

#ifndef _NGX_HTTP_RT_LINK_PRIVATE_H_INCLUDED_
#define _NGX_HTTP_RT_LINK_PRIVATE_H_INCLUDED_


#include "ngx_http_rt_link.h"


/*
 * Bytes of one read, and the least size of a buffer.  They hold some 500 small
 * publications, which take 2 ms to append.
 */

#define NGX_HTTP_RT_LINK_READ          (64 * 1024)

/* answers that may be owed before the daemon's HELLO, and at most after it */
#define NGX_HTTP_RT_LINK_INFLIGHT      256
#define NGX_HTTP_RT_LINK_INFLIGHT_MAX  65536


/* ngx_http_rt_link.c */

ngx_int_t ngx_http_rt_link_greeted(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f);
void ngx_http_rt_link_fail(ngx_http_rt_link_t *link);
void ngx_http_rt_link_complain(ngx_http_rt_link_t *link, ngx_uint_t level,
    ngx_err_t err, const char *fmt, const char *detail);

/* the numbers of this link for the status, which other processes answer too */
void ngx_http_rt_link_tally(ngx_http_rt_link_t *link);


/* ngx_http_rt_link_output.c */

u_char *ngx_http_rt_link_output_reserve(ngx_http_rt_link_t *link, size_t size);
void ngx_http_rt_link_output_add(ngx_http_rt_link_t *link, u_char *last);
void ngx_http_rt_link_output_flush(ngx_event_t *ev);
void ngx_http_rt_link_output_write(ngx_event_t *wev);

/* makes room for "size" bytes after last */
ngx_int_t ngx_http_rt_link_buf_grow(ngx_http_rt_link_buf_t *b, size_t size);

/* moves what waits to the start, or frees a large buffer that is empty */
void ngx_http_rt_link_buf_compact(ngx_http_rt_link_buf_t *b);


/* ngx_http_rt_link_input.c */

void ngx_http_rt_link_input_read(ngx_event_t *rev);


/* ngx_http_rt_link_call.c */

void ngx_http_rt_link_call_answer(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f);

/* the connection is gone: each call is answered without a frame */
void ngx_http_rt_link_call_end_all(ngx_http_rt_link_t *link);


/* ngx_http_rt_link_publication.c */

/* the place that the zone has of the daemon at this address; NGX_DECLINED */
ngx_int_t ngx_http_rt_link_publication_known(ngx_http_rt_link_t *link,
    ngx_http_rt_place_t *place);

/* the daemon's journal, by its HELLO */
void ngx_http_rt_link_publication_begin(ngx_http_rt_link_t *link,
    const ngx_http_rt_place_t *place);

/* NGX_ERROR: the daemon has to send it again, to another connection */
ngx_int_t ngx_http_rt_link_publication_append(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f);
ngx_int_t ngx_http_rt_link_publication_audience(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f);
void ngx_http_rt_link_publication_confirm(ngx_http_rt_link_t *link);


#endif /* _NGX_HTTP_RT_LINK_PRIVATE_H_INCLUDED_ */
