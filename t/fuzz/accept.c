/*
 * Accept and Prefer: the choice is one of the types, does not depend on blanks
 * around the value, and a type that is excluded is not chosen.
 *
 * Sources: ngx_http_rt_accept.c
 */


#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <ngx_http_rt_accept.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const char *const  types[] = {
    "text/event-stream", NULL, "application/json", "application/x-ndjson"
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int        rc, waits;
    size_t     n;
    u_char    *p;
    unsigned   seconds, again;

    rc = ngx_http_rt_accept_choose(data, size, types, 4);

    if (rc < -1 || rc > 3) {
        abort();
    }

    seconds = 0;
    again = 0;
    waits = ngx_http_rt_prefer_wait(data, size, &seconds);

    if ((waits != 0 && waits != 1) || seconds > NGX_HTTP_RT_PREFER_WAIT_MAX) {
        abort();
    }

    p = malloc(size + 128);

    p[0] = ' ';
    p[1] = '\t';
    memcpy(p + 2, data, size);
    memset(p + 2 + size, ' ', 2);

    if (ngx_http_rt_accept_choose(p, size + 4, types, 4) != rc
        || ngx_http_rt_prefer_wait(p, size + 4, &again) != waits
        || again != seconds)
    {
        abort();
    }

    /* what comes first is read as it stands, whatever follows it */

    memcpy(p, "wait=7,", 7);
    memcpy(p + 7, data, size);

    if (ngx_http_rt_prefer_wait(p, size + 7, &seconds) != 1 || seconds != 7) {
        abort();
    }

    n = sizeof("text/event-stream;q=1, ") - 1;
    memcpy(p, "text/event-stream;q=1, ", n);
    memcpy(p + n, data, size);

    if (ngx_http_rt_accept_choose(p, n + size, types, 1) != 0) {
        abort();
    }

    /* WebSocket has no type, it is not chosen by an exact one */

    if (rc == 1 && memchr(data, '*', size) == NULL
        && memchr(data, 'h', size) == NULL && memchr(data, 'H', size) == NULL)
    {
        abort();
    }

    free(p);

    return 0;
}
