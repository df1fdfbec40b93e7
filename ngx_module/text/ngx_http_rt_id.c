/*
 * Message ids, "<epoch>-<seq>".
 *
 * One id has one spelling: no leading zeros, no upper case, no sign, nothing
 * around it.  So clients may compare ids as strings, and whatever else comes
 * in is a mistake that is told.  The one exception is the epoch on the way in,
 * which may have leading zeros, for it is an opaque number of 1 to 16 digits.
 *
 * Ids are written once per message and encoding, on the hot path.
 */


#include <string.h>

#include <ngx_http_rt_id.h>


static const char  ngx_http_rt_digits[] =
    "00010203040506070809"
    "10111213141516171819"
    "20212223242526272829"
    "30313233343536373839"
    "40414243444546474849"
    "50515253545556575859"
    "60616263646566676869"
    "70717273747576777879"
    "80818283848586878889"
    "90919293949596979899";


int
ngx_http_rt_id_parse(const u_char *p, size_t len, ngx_http_rt_id_t *id)
{
    u_char         ch;
    uint64_t       epoch, seq;
    const u_char  *start, *last;

    if (len == 0) {
        return -1;
    }

    last = p + len;
    epoch = 0;

    for (start = p; p < last; p++) {
        ch = *p;

        if (ch >= '0' && ch <= '9') {
            epoch = (epoch << 4) | (ch - '0');

        } else if (ch >= 'a' && ch <= 'f') {
            epoch = (epoch << 4) | (ch - 'a' + 10);

        } else {
            break;
        }
    }

    if (p == start || p - start > 16 || p == last || *p != '-') {
        return -1;
    }

    p++;

    if (p == last || (*p == '0' && last - p > 1)) {
        return -1;
    }

    for (seq = 0; p < last; p++) {
        ch = *p;

        if (ch < '0' || ch > '9') {
            return -1;
        }

        ch -= '0';

        if (seq > (UINT64_MAX - ch) / 10) {
            return -1;
        }

        seq = seq * 10 + ch;
    }

    id->epoch = epoch;
    id->seq = seq;

    return 0;
}


u_char *
ngx_http_rt_id_write(u_char *p, uint64_t epoch, uint64_t seq)
{
    unsigned  i, n;

    n = (63 - __builtin_clzll(epoch | 1)) / 4 + 1;

    for (i = n; i; i--) {
        p[i - 1] = "0123456789abcdef"[epoch & 0xf];
        epoch >>= 4;
    }

    p += n;
    *p++ = '-';

    return ngx_http_rt_uint_write(p, seq);
}


u_char *
ngx_http_rt_uint_write(u_char *p, uint64_t n)
{
    u_char   *d;
    size_t    len;
    uint64_t  rest;
    u_char    buf[NGX_HTTP_RT_UINT_LEN];

    d = buf + NGX_HTTP_RT_UINT_LEN;

    while (n >= 100) {
        rest = n % 100;
        n /= 100;
        d -= 2;
        memcpy(d, &ngx_http_rt_digits[rest * 2], 2);
    }

    if (n >= 10) {
        d -= 2;
        memcpy(d, &ngx_http_rt_digits[n * 2], 2);

    } else {
        *--d = (u_char) ('0' + n);
    }

    len = buf + NGX_HTTP_RT_UINT_LEN - d;
    memcpy(p, d, len);

    return p + len;
}
