/*
 * Lines of a batch: whatever is taken is UTF-8 within the arena, and says the
 * same when it is written as JSON and parsed again.
 *
 * Sources: ngx_http_rt_batch.c ngx_http_rt_utf8.c
 * Sources: ngx_http_rt_json_text.c ngx_http_rt_json_reader.c
 * Sources: ngx_http_rt_json.c ngx_http_rt_id.c
 * Libs: -lyajl
 */


#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <ngx_http_rt_batch.h>
#include <ngx_http_rt_json.h>
#include <ngx_http_rt_utf8.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void text(const u_char *arena, size_t size, const u_char *p,
    size_t len, int utf8);
static u_char *member(u_char *p, const char *name, const u_char *s,
    size_t len);
static void same(const u_char *p, size_t plen, const u_char *s, size_t slen);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                        rc;
    char                       err[NGX_HTTP_RT_BATCH_ERROR_LEN];
    u_char                    *arena, *line, *again, *p;
    ngx_http_rt_batch_line_t   out, back;

    arena = malloc(size ? size : 1);
    memset(err, '#', sizeof(err));

    rc = ngx_http_rt_batch_parse(data, size, arena, &out, err, sizeof(err));

    if (rc != 0) {

        if (rc != -1 || memchr(err, '\0', sizeof(err)) == NULL
            || err[0] == '\0')
        {
            abort();
        }

        free(arena);
        return 0;
    }

    if (!out.data_given) {
        abort();
    }

    text(arena, size, out.topic, out.topic_len, 1);
    text(arena, size, out.event, out.event_len, 1);
    text(arena, size, out.type, out.type_len, 1);
    text(arena, size, out.data, out.data_len, !out.binary);

    line = malloc(size * 6 + 128);
    again = malloc(size * 6 + 128);

    p = line;
    *p++ = '{';

    if (out.topic_given) {
        p = member(p, "\"topic\":\"", out.topic, out.topic_len);
        *p++ = ',';
    }

    if (out.event_len) {
        p = member(p, "\"event\":\"", out.event, out.event_len);
        *p++ = ',';
    }

    if (out.type_len) {
        p = member(p, "\"type\":\"", out.type, out.type_len);
        *p++ = ',';
    }

    if (out.binary) {
        memcpy(p, "\"base64\":\"", 10);
        p = ngx_http_rt_base64_write(p + 10, out.data, out.data_len);
        *p++ = '"';

    } else {
        p = member(p, "\"data\":\"", out.data, out.data_len);
    }

    *p++ = '}';

    if (ngx_http_rt_batch_parse(line, p - line, again, &back, err,
                                sizeof(err)) != 0
        || back.topic_given != out.topic_given
        || back.binary != out.binary)
    {
        abort();
    }

    same(out.topic, out.topic_len, back.topic, back.topic_len);
    same(out.event, out.event_len, back.event, back.event_len);
    same(out.type, out.type_len, back.type, back.type_len);
    same(out.data, out.data_len, back.data, back.data_len);

    free(again);
    free(line);
    free(arena);

    return 0;
}


static void
text(const u_char *arena, size_t size, const u_char *p, size_t len, int utf8)
{
    if (p == NULL && len == 0) {
        return;
    }

    if (p < arena || p + len > arena + size) {
        abort();
    }

    if (utf8
        && ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, p, len)
           != NGX_HTTP_RT_UTF8_ACCEPT)
    {
        abort();
    }
}


static u_char *
member(u_char *p, const char *name, const u_char *s, size_t len)
{
    u_char  *end;

    memcpy(p, name, strlen(name));
    p += strlen(name);

    end = ngx_http_rt_json_escape(p, s, len);

    if ((size_t) (end - p) != ngx_http_rt_json_escape_size(s, len)) {
        abort();
    }

    *end++ = '"';

    return end;
}


static void
same(const u_char *p, size_t plen, const u_char *s, size_t slen)
{
    if (plen != slen || (plen && memcmp(p, s, plen) != 0)) {
        abort();
    }
}
