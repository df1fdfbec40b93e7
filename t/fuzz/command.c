/*
 * Commands of WebSocket clients: whatever is taken lies in the text or in the
 * arena, and says the same when it is put together anew.
 *
 * Sources: ngx_http_rt_command.c ngx_http_rt_utf8.c
 * Sources: ngx_http_rt_json_text.c ngx_http_rt_json_reader.c
 * Libs: -lyajl
 */


#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ngx_http_rt_command.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(const u_char *p, size_t len, const u_char *base,
    size_t size);
static void again(const ngx_http_rt_command_t *c);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                     rc;
    char                    err[128];
    u_char                 *arena;
    ngx_http_rt_command_t   c;

    arena = malloc(size ? size : 1);
    memset(err, '#', sizeof(err));

    rc = ngx_http_rt_command_parse(data, size, arena, &c, err, sizeof(err));

    if (rc != 0
        && (rc != -1 || memchr(err, '\0', sizeof(err)) == NULL
            || err[0] == '\0'))
    {
        abort();
    }

    within(c.id, c.id_len, data, size);

    if (c.id_len > NGX_HTTP_RT_COMMAND_ID_MAX) {
        abort();
    }

    if (rc == 0) {
        within(c.data, c.data_len, data, size);
        within(c.name, c.name_len, arena, size);
        within(c.key, c.key_len, arena, size);

        if (c.data_len
            && (c.data[0] != '{' || c.data[c.data_len - 1] != '}'))
        {
            abort();
        }

        again(&c);
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


/* id and data as they were, in another command */

static void
again(const ngx_http_rt_command_t *c)
{
    char                    err[128];
    size_t                  len;
    u_char                 *text, *arena, *p;
    ngx_http_rt_command_t   d;

    text = malloc(c->id_len + c->data_len + 64);
    p = text;

    p += sprintf((char *) p, "{\"command\":\"x\"");

    if (c->id_len) {
        p += sprintf((char *) p, ",\"id\":");
        memcpy(p, c->id, c->id_len);
        p += c->id_len;
    }

    if (c->data_len) {
        p += sprintf((char *) p, ",\"data\":");
        memcpy(p, c->data, c->data_len);
        p += c->data_len;
    }

    *p++ = '}';
    len = (size_t) (p - text);
    arena = malloc(len);

    if (ngx_http_rt_command_parse(text, len, arena, &d, err, sizeof(err)) != 0
        || d.id_len != c->id_len || d.data_len != c->data_len
        || (c->id_len && memcmp(c->id, d.id, c->id_len) != 0)
        || (c->data_len && memcmp(c->data, d.data, c->data_len) != 0))
    {
        abort();
    }

    free(arena);
    free(text);
}
