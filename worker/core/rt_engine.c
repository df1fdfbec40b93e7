/*
 * What all engines share: versions of event types, the output of decide(),
 * and the arguments of queries.
 */


#include <stdarg.h>
#include <stdio.h>

#include "rt_engine.h"


#define RT_REFUSE_MAX  512
#define RT_EMIT_MIN    16


rt_uint_t
rt_engine_version(const rt_engine_t *engine, rt_uint_t type)
{
    if (engine->types == NULL) {
        return 1;
    }

    return type < engine->ntypes ? engine->types[type] : 0;
}


rt_int_t
rt_engine_lift(const rt_engine_t *engine, rt_event_t *ev, rt_buf_t lifted[2])
{
    rt_buf_t   *b;
    rt_uint_t   today;

    today = rt_engine_version(engine, ev->type);

    if (ev->lift > today || (ev->lift < today && engine->lift == NULL)) {
        return RT_DECLINED;
    }

    while (ev->lift < today) {
        b = &lifted[ev->lift % 2];          /* the other one is being read */

        rt_buf_reset(b);
        engine->lift(ev, b);

        ev->data = rt_buf_str(b);
        ev->lift++;
    }

    return RT_OK;
}


void
rt_emit(rt_output_t *out, uint16_t type, uint8_t lift, const void *data,
    size_t size)
{
    rt_emitted_t  *e;

    if (out->n == out->size) {
        out->size = rt_max(2 * out->size, RT_EMIT_MIN);
        out->events = rt_realloc(out->events,
                                 out->size * sizeof(rt_emitted_t));
    }

    e = &out->events[out->n++];

    e->type = type;
    e->lift = lift;
    e->start = rt_buf_size(&out->data);
    e->size = size;

    rt_buf_put(&out->data, data, size);
}


void
rt_refuse(rt_output_t *out, rt_uint_t status, const char *code,
    const char *fmt, ...)
{
    char     text[RT_REFUSE_MAX];
    va_list  args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    out->n = 0;
    rt_buf_reset(&out->data);

    out->status = status;
    rt_buf_reset(&out->body);
    rt_json_error(&out->body, code, text);
}


static int
rt_arg_hex(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


rt_int_t
rt_arg(rt_str_t args, const char *name, u_char *buf, size_t size, size_t *len)
{
    int            hi, lo;
    size_t         n;
    const u_char  *p, *last, *end;

    n = strlen(name);
    p = args.data;

    for (last = p + args.len; p < last; p = end + 1) {

        end = memchr(p, '&', (size_t) (last - p));
        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - p) <= n || memcmp(p, name, n) != 0 || p[n] != '=') {
            continue;
        }

        *len = 0;

        for (p += n + 1; p < end; p++) {

            if (*len == size) {
                return RT_ERROR;
            }

            if (*p == '%' && end - p > 2) {
                hi = rt_arg_hex(p[1]);
                lo = rt_arg_hex(p[2]);

                if (hi >= 0 && lo >= 0) {
                    buf[(*len)++] = (u_char) (hi << 4 | lo);
                    p += 2;
                    continue;
                }
            }

            buf[(*len)++] = *p == '+' ? ' ' : *p;
        }

        return RT_OK;
    }

    return RT_DECLINED;
}


rt_int_t
rt_arg_number(rt_str_t args, const char *name, int64_t *n)
{
    size_t    i, len;
    u_char    buf[20];
    rt_int_t  rc;

    rc = rt_arg(args, name, buf, sizeof(buf), &len);

    if (rc != RT_OK) {
        return rc;
    }

    if (len == 0) {
        return RT_ERROR;
    }

    *n = 0;

    for (i = 0; i < len; i++) {

        if (buf[i] < '0' || buf[i] > '9') {
            return RT_ERROR;
        }

        if (__builtin_mul_overflow(*n, 10, n)
            || __builtin_add_overflow(*n, buf[i] - '0', n))
        {
            return RT_ERROR;
        }
    }

    return RT_OK;
}
