/*
 * UTF-8 by the table of RFC 3629, 4: the first byte says how many follow, and
 * for some of them the second one has narrower bounds.
 */


#include "rt_utf8.h"


/* the bytes of a character that begins with c, or 0 */

static size_t
rt_utf8_length(u_char c)
{
    if (c < 0x80) {
        return c < 0x20 || c == 0x7f ? 0 : 1;
    }

    if (c < 0xc2 || c > 0xf4) {
        return 0;
    }

    return c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
}


/* C1 controls, overlong forms, surrogates, what is beyond Unicode */

static rt_uint_t
rt_utf8_is_excluded(u_char first, u_char second)
{
    switch (first) {

    case 0xc2:
    case 0xe0:
        return second < 0xa0;

    case 0xed:
        return second > 0x9f;

    case 0xf0:
        return second < 0x90;

    case 0xf4:
        return second > 0x8f;

    default:
        return 0;
    }
}


rt_uint_t
rt_utf8_is_text(rt_str_t s)
{
    size_t         i, n;
    const u_char  *p, *last;

    p = s.data;

    for (last = p + s.len; p < last; p += n) {

        n = rt_utf8_length(*p);

        if (n == 0 || n > (size_t) (last - p)
            || (n > 1 && rt_utf8_is_excluded(p[0], p[1])))
        {
            return 0;
        }

        for (i = 1; i < n; i++) {
            if ((p[i] & 0xc0) != 0x80) {
                return 0;
            }
        }
    }

    return 1;
}
