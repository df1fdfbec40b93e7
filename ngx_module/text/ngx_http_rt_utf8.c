/*
 * A streaming UTF-8 validator.
 *
 * Within a character the state says how many bytes are still to come and in
 * which range the next one has to be.  The range is narrower than 80..BF only
 * after the lead bytes E0, ED, F0 and F4: this is where overlong forms,
 * surrogates and what is beyond U+10FFFF are refused (RFC 3629, 4), at the
 * first byte that shows it.
 *
 *     bits  0..7   bytes to come
 *     bits  8..15  lowest next byte
 *     bits 16..23  highest next byte
 *
 * Most text is ASCII, and is skipped eight bytes at a time.
 */


#include <string.h>

#include <ngx_http_rt_utf8.h>


#define NGX_HTTP_RT_UTF8_HIGH  0x8080808080808080ULL

#define ngx_http_rt_utf8_expect(n, low, high)                                 \
    ((uint32_t) (n) | (uint32_t) (low) << 8 | (uint32_t) (high) << 16)


static uint32_t ngx_http_rt_utf8_lead(u_char ch);


uint32_t
ngx_http_rt_utf8_step(uint32_t state, const u_char *p, size_t len)
{
    u_char         ch;
    uint64_t       word;
    const u_char  *last;

    if (state == NGX_HTTP_RT_UTF8_REJECT || len == 0) {
        return state;
    }

    last = p + len;

    while (p < last) {

        if (state == NGX_HTTP_RT_UTF8_ACCEPT) {

            while (last - p >= 8) {
                memcpy(&word, p, 8);

                if (word & NGX_HTTP_RT_UTF8_HIGH) {
                    break;
                }

                p += 8;
            }

            while (p < last && *p < 0x80) {
                p++;
            }

            if (p == last) {
                break;
            }

            state = ngx_http_rt_utf8_lead(*p++);

            if (state == NGX_HTTP_RT_UTF8_REJECT) {
                return state;
            }

            continue;
        }

        ch = *p++;

        if (ch < ((state >> 8) & 0xff) || ch > (state >> 16)) {
            return NGX_HTTP_RT_UTF8_REJECT;
        }

        state = (state & 0xff) - 1;

        if (state != 0) {
            state = ngx_http_rt_utf8_expect(state, 0x80, 0xbf);
        }
    }

    return state;
}


static uint32_t
ngx_http_rt_utf8_lead(u_char ch)
{
    if (ch < 0xc2) {
        return NGX_HTTP_RT_UTF8_REJECT;
    }

    if (ch < 0xe0) {
        return ngx_http_rt_utf8_expect(1, 0x80, 0xbf);
    }

    if (ch < 0xf0) {
        return ngx_http_rt_utf8_expect(2, ch == 0xe0 ? 0xa0 : 0x80,
                                       ch == 0xed ? 0x9f : 0xbf);
    }

    if (ch < 0xf5) {
        return ngx_http_rt_utf8_expect(3, ch == 0xf0 ? 0x90 : 0x80,
                                       ch == 0xf4 ? 0x8f : 0xbf);
    }

    return NGX_HTTP_RT_UTF8_REJECT;
}
