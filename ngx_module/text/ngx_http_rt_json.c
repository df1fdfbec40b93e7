/*
 * The JSON form of a message.
 *
 * Strings are copied in words of eight bytes as long as no byte of a word has
 * to be escaped, which is all the way for nearly every message.  Nothing but
 * what RFC 8259 demands is escaped; as that includes newlines, the form is
 * always one line, fit for ndjson and for a single data field.
 */


#include <string.h>

#include <ngx_http_rt_id.h>
#include <ngx_http_rt_json.h>


#define NGX_HTTP_RT_JSON_ONES  0x0101010101010101ULL
#define NGX_HTTP_RT_JSON_HIGH  0x8080808080808080ULL

#define ngx_http_rt_json_add(p, s)                                            \
    (memcpy(p, s, sizeof(s) - 1), (p) + sizeof(s) - 1)


static int ngx_http_rt_json_plain(uint64_t word);
static u_char *ngx_http_rt_json_string(u_char *p, const u_char *s, size_t len);


/*
 * What follows the backslash, 0 if there is none.  Data is often JSON itself
 * and full of quotes, in no order that a branch could be predicted by.
 */

static const u_char  ngx_http_rt_json_escapes[256] = {
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u',
    'b', 't', 'n', 'u', 'f', 'r', 'u', 'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u',

    ['"'] = '"', ['\\'] = '\\'
};


size_t
ngx_http_rt_json_size(const ngx_http_rt_message_t *m)
{
    size_t  size;

    size = sizeof("{\"id\":\"\",\"topic\":\"\",\"time\":") - 1
           + NGX_HTTP_RT_ID_LEN + NGX_HTTP_RT_UINT_LEN
           + ngx_http_rt_json_escape_size(m->topic, m->topic_len);

    if (m->event_len) {
        size += sizeof(",\"event\":\"\"") - 1
                + ngx_http_rt_json_escape_size(m->event, m->event_len);
    }

    if (m->type_len) {
        size += sizeof(",\"type\":\"\"") - 1
                + ngx_http_rt_json_escape_size(m->type, m->type_len);
    }

    if (m->binary) {
        return size + sizeof(",\"base64\":\"\"}") - 1
               + ngx_http_rt_base64_size(m->data_len);
    }

    return size + sizeof(",\"data\":\"\"}") - 1
           + ngx_http_rt_json_escape_size(m->data, m->data_len);
}


u_char *
ngx_http_rt_json_write(u_char *p, const ngx_http_rt_message_t *m)
{
    p = ngx_http_rt_json_head(p, m);

    if (m->binary) {
        p = ngx_http_rt_json_add(p, ",\"base64\":\"");
        p = ngx_http_rt_base64_write(p, m->data, m->data_len);
        *p++ = '"';

    } else {
        p = ngx_http_rt_json_add(p, ",\"data\":");
        p = ngx_http_rt_json_string(p, m->data, m->data_len);
    }

    *p++ = '}';

    return p;
}


u_char *
ngx_http_rt_json_head(u_char *p, const ngx_http_rt_message_t *m)
{
    p = ngx_http_rt_json_add(p, "{\"id\":\"");
    p = ngx_http_rt_id_write(p, m->epoch, m->seq);

    p = ngx_http_rt_json_add(p, "\",\"topic\":");
    p = ngx_http_rt_json_string(p, m->topic, m->topic_len);

    p = ngx_http_rt_json_add(p, ",\"time\":");
    p = ngx_http_rt_uint_write(p, m->time);

    if (m->event_len) {
        p = ngx_http_rt_json_add(p, ",\"event\":");
        p = ngx_http_rt_json_string(p, m->event, m->event_len);
    }

    if (m->type_len) {
        p = ngx_http_rt_json_add(p, ",\"type\":");
        p = ngx_http_rt_json_string(p, m->type, m->type_len);
    }

    return p;
}


static u_char *
ngx_http_rt_json_string(u_char *p, const u_char *s, size_t len)
{
    *p++ = '"';
    p = ngx_http_rt_json_escape(p, s, len);
    *p++ = '"';

    return p;
}


size_t
ngx_http_rt_json_escape_size(const u_char *s, size_t len)
{
    u_char         ch;
    size_t         size;
    uint64_t       word;
    const u_char  *last, *stop;

    if (len == 0) {
        return 0;
    }

    size = len;
    last = s + len;

    while (s < last) {

        if (last - s >= 8) {
            memcpy(&word, s, 8);

            if (ngx_http_rt_json_plain(word)) {
                s += 8;
                continue;
            }

            stop = s + 8;

        } else {
            stop = last;
        }

        while (s < stop) {
            ch = ngx_http_rt_json_escapes[*s++];
            size += (ch != 0) + (ch == 'u') * 4;
        }
    }

    return size;
}


u_char *
ngx_http_rt_json_escape(u_char *p, const u_char *s, size_t len)
{
    u_char         ch, escape;
    uint64_t       word;
    const u_char  *last, *stop;

    if (len == 0) {
        return p;
    }

    last = s + len;

    while (s < last) {

        if (last - s >= 8) {
            memcpy(&word, s, 8);

            if (ngx_http_rt_json_plain(word)) {
                memcpy(p, &word, 8);
                p += 8;
                s += 8;
                continue;
            }

            stop = s + 8;

        } else {
            stop = last;
        }

        while (s < stop) {
            ch = *s++;
            escape = ngx_http_rt_json_escapes[ch];

            *p = '\\';
            p += (escape != 0);
            *p++ = escape ? escape : ch;

            if (escape == 'u') {
                *p++ = '0';
                *p++ = '0';
                *p++ = (u_char) ('0' + (ch >> 4));
                *p++ = "0123456789abcdef"[ch & 0xf];
            }
        }
    }

    return p;
}


/*
 * Whether none of eight bytes is below 0x20, a quote or a backslash: x - 1 has
 * a high bit that x has not only if some byte of x was 0 (and x - 0x20 alike).
 */

static int
ngx_http_rt_json_plain(uint64_t word)
{
    uint64_t  control, quote, slash;

    control = (word - NGX_HTTP_RT_JSON_ONES * 0x20) & ~word;

    quote = word ^ NGX_HTTP_RT_JSON_ONES * '"';
    quote = (quote - NGX_HTTP_RT_JSON_ONES) & ~quote;

    slash = word ^ NGX_HTTP_RT_JSON_ONES * '\\';
    slash = (slash - NGX_HTTP_RT_JSON_ONES) & ~slash;

    return ((control | quote | slash) & NGX_HTTP_RT_JSON_HIGH) == 0;
}


size_t
ngx_http_rt_base64_size(size_t len)
{
    return (len + 2) / 3 * 4;
}


u_char *
ngx_http_rt_base64_write(u_char *p, const u_char *s, size_t len)
{
    uint32_t           n;
    static const char  digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    while (len >= 3) {
        n = (uint32_t) s[0] << 16 | (uint32_t) s[1] << 8 | s[2];

        *p++ = digits[n >> 18];
        *p++ = digits[(n >> 12) & 0x3f];
        *p++ = digits[(n >> 6) & 0x3f];
        *p++ = digits[n & 0x3f];

        s += 3;
        len -= 3;
    }

    if (len == 0) {
        return p;
    }

    n = (uint32_t) s[0] << 16 | (len == 2 ? (uint32_t) s[1] << 8 : 0);

    *p++ = digits[n >> 18];
    *p++ = digits[(n >> 12) & 0x3f];
    *p++ = (len == 2) ? digits[(n >> 6) & 0x3f] : '=';
    *p++ = '=';

    return p;
}
