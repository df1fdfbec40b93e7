/*
 * Reading and writing the link's frames; rt_wire.h has the whole story.
 *
 * Two tables say what is allowed: how long each string may be, and which
 * fields each frame type cannot do without.  Everything else is one loop over
 * the fields.
 */


#include "rt_wire.h"


#define RT_WIRE_BODY_MAX  0xffffff          /* what 24 bits hold */


static const uint32_t  rt_wire_lengths[] = {
    RT_WIRE_ENGINE_MAX,
    RT_WIRE_ENTITY_MAX,
    RT_WIRE_NAME_MAX,
    RT_WIRE_KEY_MAX,
    RT_WIRE_USER_MAX,
    RT_WIRE_BODY_MAX,                       /* 37: none */
    RT_WIRE_ARGS_MAX,
    RT_WIRE_BODY_MAX,
    RT_WIRE_TOPIC_MAX,
    RT_WIRE_EVENT_MAX,
    RT_WIRE_TYPE_MAX,
    RT_WIRE_ZONE_MAX
};

#define RT_WIRE_LENGTHS  (sizeof(rt_wire_lengths) / sizeof(uint32_t))


static const struct {
    const char  *name;
    uint64_t     required;
} rt_wire_types[] = {
    { "unknown", 0 },
    { "hello", rt_wire_bit(RT_WIRE_F_PROTOCOL)
               | rt_wire_bit(RT_WIRE_F_FRAME_MAX) },
    { "command", rt_wire_bit(RT_WIRE_F_ENGINE) | rt_wire_bit(RT_WIRE_F_ENTITY)
                 | rt_wire_bit(RT_WIRE_F_NAME) | rt_wire_bit(RT_WIRE_F_BODY) },
    { "query", rt_wire_bit(RT_WIRE_F_ENGINE) | rt_wire_bit(RT_WIRE_F_ENTITY)
               | rt_wire_bit(RT_WIRE_F_NAME) },
    { "reply", rt_wire_bit(RT_WIRE_F_STATUS) | rt_wire_bit(RT_WIRE_F_BODY) },
    { "publish", rt_wire_bit(RT_WIRE_F_POSITION) | rt_wire_bit(RT_WIRE_F_INDEX)
                 | rt_wire_bit(RT_WIRE_F_TOPIC)
                 | rt_wire_bit(RT_WIRE_F_BODY) },
    { "confirm", 0 },                       /* depends on the id, see below */
    { "subscribe", rt_wire_bit(RT_WIRE_F_ENGINE)
                   | rt_wire_bit(RT_WIRE_F_ENTITY)
                   | rt_wire_bit(RT_WIRE_F_FROM) },
    { "event", rt_wire_bit(RT_WIRE_F_VERSION) | rt_wire_bit(RT_WIRE_F_BODY)
               | rt_wire_bit(RT_WIRE_F_POSITION) },
    { "unsubscribe", 0 },
    { "gone", rt_wire_bit(RT_WIRE_F_CONNECTION) },
    { "status", 0 },
    { "snapshot", 0 },
    { "ping", 0 },
    { "pong", 0 },
    { "close", 0 },
    { "audience", rt_wire_bit(RT_WIRE_F_BODY) },
    { "watchers", rt_wire_bit(RT_WIRE_F_BODY) },
    { "notice", rt_wire_bit(RT_WIRE_F_TOPIC) | rt_wire_bit(RT_WIRE_F_BODY) },
    { "accept_time", 0 }
};


static uint32_t
rt_wire_get32(const u_char *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
           | (uint32_t) p[3] << 24;
}


static uint64_t
rt_wire_get64(const u_char *p)
{
    return (uint64_t) rt_wire_get32(p) | (uint64_t) rt_wire_get32(p + 4) << 32;
}


static u_char *
rt_wire_set32(u_char *p, uint32_t v)
{
    p[0] = (u_char) v;
    p[1] = (u_char) (v >> 8);
    p[2] = (u_char) (v >> 16);
    p[3] = (u_char) (v >> 24);

    return p + 4;
}


static u_char *
rt_wire_set64(u_char *p, uint64_t v)
{
    p = rt_wire_set32(p, (uint32_t) v);
    return rt_wire_set32(p, (uint32_t) (v >> 32));
}


static int
rt_wire_error(rt_wire_frame_t *f, const char *error)
{
    f->error = error;
    return RT_WIRE_ERROR;
}


size_t
rt_wire_string_max(rt_wire_field_e tag)
{
    size_t  n;

    if (tag < RT_WIRE_F_STRING) {
        return 0;
    }

    n = (size_t) tag - RT_WIRE_F_STRING;

    /* strings to come are skipped, and only the frame bounds them */

    return n < RT_WIRE_LENGTHS ? rt_wire_lengths[n] : RT_WIRE_BODY_MAX;
}


static int
rt_wire_header(rt_wire_frame_t *f, const u_char *p, size_t n, size_t frame_max)
{
    f->size = 0;
    f->present = 0;
    f->error = NULL;

    if (n >= 4) {
        f->size = rt_wire_get32(p);

        if (f->size < RT_WIRE_HEADER_SIZE) {
            return rt_wire_error(f, "frame shorter than its header");
        }

        if (f->size > frame_max) {
            return rt_wire_error(f, "frame too large");
        }
    }

    if (n < RT_WIRE_HEADER_SIZE) {
        f->size = 0;
        return RT_WIRE_AGAIN;
    }

    f->type = p[4];
    f->flags = p[5];
    f->id = rt_wire_get64(p + 8);

    if (f->type == 0 || f->type >= RT_WIRE_TYPE_LAST) {
        return rt_wire_error(f, "unknown frame type");
    }

    if (p[6] != 0 || p[7] != 0) {
        return rt_wire_error(f, "reserved bytes are not zero");
    }

    return n < f->size ? RT_WIRE_AGAIN : RT_WIRE_OK;
}


/* a field's value, len bytes at p, goes where it belongs */

static int
rt_wire_field(rt_wire_frame_t *f, uint32_t tag, const u_char *p, size_t len)
{
    if (tag == 0 || tag > RT_WIRE_F_MAX) {
        return rt_wire_error(f, "unknown field");
    }

    if (f->present & rt_wire_bit(tag)) {
        return rt_wire_error(f, "field given twice");
    }

    f->present |= rt_wire_bit(tag);

    if (tag < RT_WIRE_F_STRING) {

        if (len != 8) {
            return rt_wire_error(f, "number of a wrong length");
        }

        f->number[tag] = rt_wire_get64(p);

        return RT_WIRE_OK;
    }

    if (len > rt_wire_string_max((rt_wire_field_e) tag)) {
        return rt_wire_error(f, "string too long");
    }

    f->string[tag - RT_WIRE_F_STRING].len = len;
    f->string[tag - RT_WIRE_F_STRING].data = p;

    return RT_WIRE_OK;
}


/* all fields are read: is each there that the type needs? */

static int
rt_wire_check(rt_wire_frame_t *f)
{
    uint64_t  required;

    required = rt_wire_types[f->type].required;

    if (f->type == RT_WIRE_CONFIRM) {
        required = f->id == 0 ? rt_wire_bit(RT_WIRE_F_POSITION)
                                | rt_wire_bit(RT_WIRE_F_INDEX)
                              : rt_wire_bit(RT_WIRE_F_VERSION);
    }

    if ((f->present & required) != required) {
        return rt_wire_error(f, "required field missing");
    }

    if (f->type == RT_WIRE_HELLO
        && (f->number[RT_WIRE_F_FRAME_MAX] < RT_WIRE_FRAME_MAX_MIN
            || f->number[RT_WIRE_F_PROTOCOL] == 0))
    {
        return rt_wire_error(f, "impossible hello");
    }

    return RT_WIRE_OK;
}


int
rt_wire_parse(rt_wire_frame_t *f, const u_char *p, size_t n, size_t frame_max)
{
    int            rc;
    size_t         len;
    uint32_t       tag;
    const u_char  *last;

    rc = rt_wire_header(f, p, n, frame_max);
    if (rc != RT_WIRE_OK) {
        return rc;
    }

    last = p + f->size;
    p += RT_WIRE_HEADER_SIZE;

    while (p < last) {

        if (last - p < RT_WIRE_FIELD_SIZE) {
            return rt_wire_error(f, "field past the end of its frame");
        }

        len = rt_wire_get32(p);
        p += RT_WIRE_FIELD_SIZE;

        tag = (uint32_t) len & 0xff;
        len >>= 8;

        if (len > (size_t) (last - p)) {
            return rt_wire_error(f, "field past the end of its frame");
        }

        rc = rt_wire_field(f, tag, p, len);
        if (rc != RT_WIRE_OK) {
            return rc;
        }

        p += len;
    }

    return rt_wire_check(f);
}


uint64_t
rt_wire_number(const rt_wire_frame_t *f, rt_wire_field_e tag)
{
    return rt_wire_has(f, tag) ? f->number[tag] : 0;
}


rt_wire_str_t
rt_wire_string(const rt_wire_frame_t *f, rt_wire_field_e tag)
{
    static const rt_wire_str_t  empty = { 0, (const u_char *) "" };

    return rt_wire_has(f, tag) ? f->string[tag - RT_WIRE_F_STRING] : empty;
}


const char *
rt_wire_type_name(unsigned type)
{
    return rt_wire_types[type < RT_WIRE_TYPE_LAST ? type : 0].name;
}


u_char *
rt_wire_begin(u_char *p, rt_wire_type_e type, unsigned flags, uint64_t id)
{
    p = rt_wire_set32(p, 0);
    *p++ = (u_char) type;
    *p++ = (u_char) flags;
    *p++ = 0;
    *p++ = 0;

    return rt_wire_set64(p, id);
}


u_char *
rt_wire_put_number(u_char *p, rt_wire_field_e tag, uint64_t value)
{
    p = rt_wire_set32(p, (uint32_t) tag | 8 << 8);
    return rt_wire_set64(p, value);
}


u_char *
rt_wire_put_string(u_char *p, rt_wire_field_e tag, const void *data, size_t len)
{
    p = rt_wire_set32(p, (uint32_t) tag | (uint32_t) len << 8);

    if (len) {
        memcpy(p, data, len);
    }

    return p + len;
}


void
rt_wire_end(u_char *start, const u_char *last)
{
    rt_wire_set32(start, (uint32_t) (last - start));
}


u_char *
rt_wire_put_watchers(u_char *p, uint64_t n)
{
    return rt_wire_set64(p, n);
}


uint64_t
rt_wire_watchers(const rt_wire_str_t *body, size_t i)
{
    return rt_wire_get64(body->data + i * RT_WIRE_WATCHERS_SIZE);
}
