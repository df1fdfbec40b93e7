/*
 * Requests of the multiplexing session: whatever is taken lies in the text or
 * in the arena, and says the same when it is put together anew.
 *
 * Sources: ngx_http_rt_native_request.c ngx_http_rt_utf8.c
 * Sources: ngx_http_rt_json_text.c ngx_http_rt_json_reader.c
 * Libs: -lyajl
 */


#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ngx_http_rt_native_request.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(const u_char *p, size_t len, const u_char *base,
    size_t size);
static void again(const ngx_http_rt_native_request_t *r);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                            rc;
    char                           err[128];
    size_t                         i, used;
    u_char                        *arena;
    ngx_http_rt_native_request_t   r;

    arena = malloc(size ? size : 1);
    memset(err, '#', sizeof(err));

    rc = ngx_http_rt_native_request_parse(data, size, arena, &r, err,
                                          sizeof(err));

    if (rc != 0
        && (rc != -1 || memchr(err, '\0', sizeof(err)) == NULL
            || err[0] == '\0'))
    {
        abort();
    }

    within(r.ref, r.ref_len, data, size);

    if (r.ref_len > NGX_HTTP_RT_NATIVE_REF_MAX) {
        abort();
    }

    if (rc == 0) {

        if (r.operation >= NGX_HTTP_RT_NATIVE_OPERATIONS) {
            abort();
        }

        used = 0;

        for (i = 0; i < NGX_HTTP_RT_NATIVE_FIELDS; i++) {

            if (i == NGX_HTTP_RT_NATIVE_DATA && r.json) {
                within(r.fields[i].p, r.fields[i].len, data, size);
                continue;
            }

            within(r.fields[i].p, r.fields[i].len, arena, size);
            used += r.fields[i].len;
        }

        if (used > size) {
            abort();
        }

        again(&r);
    }

    free(arena);

    return 0;
}


static void
within(const u_char *p, size_t len, const u_char *base, size_t size)
{
    if (len && (p < base || len > size || p + len > base + size)) {
        abort();
    }
}


/* ref and data as they were, in another request */

static void
again(const ngx_http_rt_native_request_t *r)
{
    char                               err[128];
    size_t                             len;
    u_char                            *text, *arena, *p;
    ngx_http_rt_native_request_t       s;
    const ngx_http_rt_native_field_t  *f, *g;

    f = &r->fields[NGX_HTTP_RT_NATIVE_DATA];

    text = malloc(r->ref_len + f->len + 64);
    p = text;

    p += sprintf((char *) p, "{\"publish\":{");

    if (r->json) {
        p += sprintf((char *) p, "\"data\":");
        memcpy(p, f->p, f->len);
        p += f->len;
    }

    *p++ = '}';

    if (r->ref_len) {
        p += sprintf((char *) p, ",\"ref\":");
        memcpy(p, r->ref, r->ref_len);
        p += r->ref_len;
    }

    *p++ = '}';
    len = (size_t) (p - text);
    arena = malloc(len);

    g = &s.fields[NGX_HTTP_RT_NATIVE_DATA];

    if (ngx_http_rt_native_request_parse(text, len, arena, &s, err,
                                         sizeof(err)) != 0
        || s.json != r->json || s.ref_len != r->ref_len
        || (r->ref_len && memcmp(r->ref, s.ref, r->ref_len) != 0)
        || (r->json && (g->len != f->len
                        || memcmp(g->p, f->p, f->len) != 0)))
    {
        abort();
    }

    free(arena);
    free(text);
}
