/*
 * JSON as a value: what is copied is JSON for yajl, too, of one line, and is
 * copied unchanged the next time.
 *
 * Sources: ngx_http_rt_json_value.c ngx_http_rt_json.c ngx_http_rt_id.c
 * Libs: -lyajl
 */


#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include <ngx_http_rt_json_value.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char       *copy, *again, *end;
    yajl_handle   yajl;

    copy = malloc(size + 1);
    again = malloc(size + 1);

    end = ngx_http_rt_json_value_copy(copy, data, size);

    if (end) {

        if ((size_t) (end - copy) != size || memchr(copy, '\n', size)
            || memchr(copy, '\r', size)
            || ngx_http_rt_json_value_copy(again, copy, size) != again + size
            || memcmp(copy, again, size) != 0)
        {
            abort();
        }

        yajl = yajl_alloc(NULL, NULL, NULL);
        yajl_config(yajl, yajl_dont_validate_strings, 1);

        if (yajl_parse(yajl, copy, size) != yajl_status_ok
            || yajl_complete_parse(yajl) != yajl_status_ok)
        {
            abort();
        }

        yajl_free(yajl);
    }

    free(copy);
    free(again);

    return 0;
}
