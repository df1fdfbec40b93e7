/*
 * Versions of an If-Match: what is found is found again when it is written as
 * weak ETags.
 *
 * Sources: ngx_http_rt_versions.c
 */


#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ngx_http_rt_versions.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int       i, n;
    char      text[NGX_HTTP_RT_VERSIONS_MAX * 32], *p;
    uint64_t  versions[NGX_HTTP_RT_VERSIONS_MAX];
    uint64_t  again[NGX_HTTP_RT_VERSIONS_MAX];

    n = ngx_http_rt_versions_parse(data, size, versions);

    if (n < -1 || n > NGX_HTTP_RT_VERSIONS_MAX) {
        abort();
    }

    if (n < 1) {
        return 0;
    }

    p = text;

    for (i = 0; i < n; i++) {
        p += sprintf(p, "W/\"%" PRIu64 "\" , ", versions[i]);
    }

    if (ngx_http_rt_versions_parse((u_char *) text, p - text, again) != n
        || memcmp(versions, again, n * sizeof(uint64_t)) != 0)
    {
        abort();
    }

    return 0;
}
