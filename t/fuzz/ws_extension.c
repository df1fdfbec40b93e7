/*
 * Offers of permessage-deflate: what is agreed to has a window that there is,
 * our answer is itself an offer of the same, and neither blanks around the
 * offers nor one in front of them that is declined change anything.
 *
 * Sources: ngx_http_rt_ws_extension.c
 */


#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <ngx_http_rt_ws_extension.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
same(const char *before, const uint8_t *data, size_t size, int rc,
    const ngx_http_rt_ws_deflate_t *deflate)
{
    int                       got;
    size_t                    len;
    u_char                   *p;
    ngx_http_rt_ws_deflate_t  other;

    len = strlen(before);
    p = malloc(len + size + 1);

    memcpy(p, before, len);
    memcpy(p + len, data, size);
    p[len + size] = ' ';

    got = ngx_http_rt_ws_extension_parse(p, len + size + 1, &other);

    free(p);

    if (got != rc
        || (rc && (other.window != deflate->window
                   || other.window_given != deflate->window_given)))
    {
        abort();
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                       rc;
    u_char                   *end, answer[NGX_HTTP_RT_WS_EXTENSION_LEN];
    ngx_http_rt_ws_deflate_t  deflate, again;

    rc = ngx_http_rt_ws_extension_parse(data, size, &deflate);

    same("\t ", data, size, rc, &deflate);
    same("foo; a=\"b, c\", ", data, size, rc, &deflate);
    same("permessage-deflate; what=1, ", data, size, rc, &deflate);

    if (rc == 0) {
        return 0;
    }

    if (rc != 1
        || deflate.window < NGX_HTTP_RT_WS_WINDOW_MIN
        || deflate.window > NGX_HTTP_RT_WS_WINDOW_MAX
        || (!deflate.window_given
            && deflate.window != NGX_HTTP_RT_WS_WINDOW_MAX))
    {
        abort();
    }

    end = ngx_http_rt_ws_extension_write(answer, &deflate);

    if ((size_t) (end - answer) >= sizeof(answer)
        || ngx_http_rt_ws_extension_parse(answer, end - answer, &again) != 1
        || again.window != deflate.window
        || again.window_given != deflate.window_given)
    {
        abort();
    }

    return 0;
}
