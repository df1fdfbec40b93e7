/*
 * Compression for permessage-deflate (RFC 7692), with zlib.
 *
 * No message depends on another, in either direction, so one deflater for each
 * of two windows and one inflater serve all connections of the process.  The
 * small window is for clients that ask for less than 15 bits; what it writes
 * fits any window from 9 bits on.
 */

#include "ngx_http_rt_deflate.h"
#include "ngx_http_rt_ws_extension.h"

#include <zlib.h>


#define NGX_HTTP_RT_DEFLATE_SMALL  9

/* the inflated message is kept for reuse up to this size */
#define NGX_HTTP_RT_INFLATE_KEEP   (256 * 1024)

/* in z_stream's data_type: inflate() stands between two blocks */
#define NGX_HTTP_RT_INFLATE_BLOCK_END  128


typedef struct {
    z_stream   stream;
    ngx_int_t  level;
    unsigned   ready:1;
} ngx_http_rt_deflater_t;


static ngx_int_t ngx_http_rt_inflate_init(z_stream *z);
static ngx_int_t ngx_http_rt_inflate_grow(size_t max);


static ngx_http_rt_deflater_t  ngx_http_rt_deflaters[2];

static z_stream    ngx_http_rt_inflater;
static ngx_uint_t  ngx_http_rt_inflater_ready;
static u_char     *ngx_http_rt_inflated;
static size_t      ngx_http_rt_inflated_size;


size_t
ngx_http_rt_deflate(ngx_uint_t window, ngx_int_t level, const u_char *src,
    size_t len, u_char *dst)
{
    int                      rc;
    z_stream                *z;
    ngx_http_rt_deflater_t  *d;

    d = &ngx_http_rt_deflaters[window < NGX_HTTP_RT_WS_WINDOW_MAX];
    z = &d->stream;

    if (!d->ready || d->level != level) {

        if (d->ready) {
            (void) deflateEnd(z);
            d->ready = 0;
        }

        rc = deflateInit2(z, level, Z_DEFLATED,
                          window < NGX_HTTP_RT_WS_WINDOW_MAX
                              ? -NGX_HTTP_RT_DEFLATE_SMALL
                              : -NGX_HTTP_RT_WS_WINDOW_MAX,
                          8, Z_DEFAULT_STRATEGY);
        if (rc != Z_OK) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "deflateInit2() failed: %d", rc);
            return 0;
        }

        d->level = level;
        d->ready = 1;

    } else {
        (void) deflateReset(z);
    }

    z->next_in = (u_char *) src;
    z->avail_in = len;
    z->next_out = dst;
    z->avail_out = len;

    rc = deflate(z, Z_SYNC_FLUSH);

    if (rc != Z_OK || z->avail_in || z->avail_out == 0) {
        return 0;
    }

    /* less the empty block at the end (RFC 7692, 7.2.1) */

    return len - z->avail_out - 4;
}


ngx_int_t
ngx_http_rt_inflate(u_char *src, size_t len, size_t max, ngx_str_t *dst)
{
    int        rc;
    size_t     size;
    u_char     tail[4] = { 0x00, 0x00, 0xff, 0xff };
    z_stream  *z;
    unsigned   tailed;

    z = &ngx_http_rt_inflater;

    if (ngx_http_rt_inflate_init(z) != NGX_OK) {
        return NGX_ERROR;
    }

    z->next_in = src;
    z->avail_in = len;
    z->next_out = ngx_http_rt_inflated;
    z->avail_out = ngx_http_rt_inflated_size;
    tailed = 0;

    for ( ;; ) {

        if (z->avail_out == 0 && ngx_http_rt_inflate_grow(max) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = inflate(z, Z_SYNC_FLUSH);

        size = ngx_http_rt_inflated_size - z->avail_out;

        if (size > max) {
            return NGX_DECLINED;
        }

        if (rc == Z_STREAM_END && !tailed) {

            /* blocks may follow a final one (RFC 7692, 7.2.3.4) */

            if (z->avail_in == 0) {
                break;
            }

            (void) inflateReset(z);
            continue;
        }

        if (rc != Z_OK && rc != Z_BUF_ERROR) {
            return NGX_ERROR;
        }

        if (z->avail_out == 0) {
            continue;
        }

        if (tailed) {

            /* it must end with the tail's block, unless there was nothing */

            if (len && !(z->data_type & NGX_HTTP_RT_INFLATE_BLOCK_END)) {
                return NGX_ERROR;
            }

            break;
        }

        z->next_in = tail;
        z->avail_in = sizeof(tail);
        tailed = 1;
    }

    dst->data = ngx_http_rt_inflated;
    dst->len = size;

    return NGX_OK;
}


static ngx_int_t
ngx_http_rt_inflate_init(z_stream *z)
{
    if (!ngx_http_rt_inflater_ready) {

        if (inflateInit2(z, -NGX_HTTP_RT_WS_WINDOW_MAX) != Z_OK) {
            return NGX_ERROR;
        }

        ngx_http_rt_inflater_ready = 1;

    } else {
        (void) inflateReset(z);
    }

    if (ngx_http_rt_inflated_size > NGX_HTTP_RT_INFLATE_KEEP) {
        ngx_free(ngx_http_rt_inflated);
        ngx_http_rt_inflated = NULL;
        ngx_http_rt_inflated_size = 0;
    }

    return NGX_OK;
}


/* one byte more than allowed, so that too much is seen */

static ngx_int_t
ngx_http_rt_inflate_grow(size_t max)
{
    u_char  *p;
    size_t   size;

    size = ngx_max(2 * ngx_http_rt_inflated_size, ngx_pagesize);
    size = ngx_max(ngx_min(size, max + 1), ngx_http_rt_inflated_size + 1);

    p = realloc(ngx_http_rt_inflated, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_http_rt_inflater.next_out = p + ngx_http_rt_inflated_size;
    ngx_http_rt_inflater.avail_out = size - ngx_http_rt_inflated_size;

    ngx_http_rt_inflated = p;
    ngx_http_rt_inflated_size = size;

    return NGX_OK;
}
