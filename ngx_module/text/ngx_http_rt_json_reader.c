/*
 * One run of yajl over a client's text.  yajl calls the parser's callbacks for
 * each token, and says how many bytes it has used up to the token's end: so a
 * value is found in the text as it was written.
 */


#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <ngx_http_rt_json_reader.h>
#include <ngx_http_rt_json_text.h>


void
ngx_http_rt_json_reader_init(ngx_http_rt_json_reader_t *reader,
    const u_char *text, char *err, size_t errlen)
{
    memset(reader, 0, sizeof(ngx_http_rt_json_reader_t));

    reader->text = text;
    reader->err = err;
    reader->errlen = errlen;
}


int
ngx_http_rt_json_reader_run(ngx_http_rt_json_reader_t *reader, size_t len,
    const yajl_callbacks *callbacks, void *ctx)
{
    size_t       at;
    const char  *wrong;
    yajl_status  rc;

    wrong = ngx_http_rt_json_text_check(reader->text, len);

    if (wrong) {
        (void) ngx_http_rt_json_reader_error(reader, "%s", wrong);
        return -1;
    }

    reader->yajl = yajl_alloc(callbacks, NULL, ctx);
    if (reader->yajl == NULL) {
        (void) ngx_http_rt_json_reader_error(reader, "no memory");
        return -1;
    }

    /* it is valid already, and yajl has its own idea of what that means */

    yajl_config(reader->yajl, yajl_dont_validate_strings, 1);

    rc = yajl_parse(reader->yajl, reader->text, len);

    at = yajl_get_bytes_consumed(reader->yajl);

    if (rc == yajl_status_ok) {
        reader->ended = 1;
        rc = yajl_complete_parse(reader->yajl);
    }

    yajl_free(reader->yajl);

    if (rc == yajl_status_ok) {
        return 0;
    }

    (void) ngx_http_rt_json_reader_error(reader, "malformed JSON at byte %zu",
                                         at);

    return -1;
}


size_t
ngx_http_rt_json_reader_at(ngx_http_rt_json_reader_t *reader)
{
    return yajl_get_bytes_consumed(reader->yajl);
}


/* from behind the colon to the end of the token */

const u_char *
ngx_http_rt_json_reader_value(ngx_http_rt_json_reader_t *reader, size_t *len)
{
    const u_char  *p, *last;

    p = reader->text + reader->value;
    last = reader->text + ngx_http_rt_json_reader_at(reader);

    while (p < last
           && (*p == ':' || *p == ' ' || *p == '\t' || *p == '\r'
               || *p == '\n'))
    {
        p++;
    }

    *len = last - p;

    return p;
}


unsigned
ngx_http_rt_json_reader_name(const char *const *names, unsigned n,
    const u_char *p, size_t len)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (len == strlen(names[i]) && memcmp(p, names[i], len) == 0) {
            break;
        }
    }

    return i;
}


int
ngx_http_rt_json_reader_error(ngx_http_rt_json_reader_t *reader,
    const char *fmt, ...)
{
    va_list  args;

    if (reader->failed) {
        return 0;
    }

    reader->failed = 1;

    va_start(args, fmt);
    (void) vsnprintf(reader->err, reader->errlen, fmt, args);
    va_end(args);

    return 0;
}
