/*
 * One function for each type of field: it checks the value, then stores it.
 */


#include <stdio.h>

#include "rt_fields.h"


static void
rt_field_store(const rt_field_t *f, void *at, int64_t value)
{
    uint8_t   u8;
    uint16_t  u16;
    uint32_t  u32;

    switch (f->size) {

    case 1:
        u8 = (uint8_t) value;
        memcpy(at, &u8, 1);
        break;

    case 2:
        u16 = (uint16_t) value;
        memcpy(at, &u16, 2);
        break;

    case 4:
        u32 = (uint32_t) value;
        memcpy(at, &u32, 4);
        break;

    default:
        rt_assert(f->size == 8);
        memcpy(at, &value, 8);
    }
}


static rt_int_t
rt_field_number(const rt_field_t *f, const rt_json_node_t *node, void *at,
    char *error)
{
    if (node->type != RT_JSON_INTEGER) {
        snprintf(error, RT_FIELD_ERROR_MAX, "\"%s\" must be an integer",
                 f->name);
        return RT_DECLINED;
    }

    if (node->number < f->min || node->number > f->max) {
        snprintf(error, RT_FIELD_ERROR_MAX, "\"%s\" must be from %lld to %lld",
                 f->name, (long long) f->min, (long long) f->max);
        return RT_DECLINED;
    }

    rt_field_store(f, at, node->number);

    return RT_OK;
}


static rt_int_t
rt_field_string(const rt_field_t *f, const rt_json_node_t *node, void *at,
    char *error)
{
    rt_assert(f->size == sizeof(rt_str_t));

    if (node->type != RT_JSON_STRING
        || node->string.len > (size_t) f->max)
    {
        snprintf(error, RT_FIELD_ERROR_MAX, "\"%s\" must be a string of at "
                 "most %lld bytes", f->name, (long long) f->max);
        return RT_DECLINED;
    }

    if (node->string.len < (size_t) f->min) {
        snprintf(error, RT_FIELD_ERROR_MAX, "\"%s\" must be a string of at "
                 "least %lld bytes", f->name, (long long) f->min);
        return RT_DECLINED;
    }

    memcpy(at, &node->string, sizeof(rt_str_t));

    return RT_OK;
}


static rt_int_t
rt_field_bool(const rt_field_t *f, const rt_json_node_t *node, void *at,
    char *error)
{
    if (node->type != RT_JSON_BOOL) {
        snprintf(error, RT_FIELD_ERROR_MAX, "\"%s\" must be true or false",
                 f->name);
        return RT_DECLINED;
    }

    rt_field_store(f, at, node->number);

    return RT_OK;
}


static void
rt_field_list(const rt_field_t *f, char *error)
{
    size_t     used;
    rt_uint_t  i;

    used = (size_t) snprintf(error, RT_FIELD_ERROR_MAX,
                             "\"%s\" must be one of", f->name);

    for (i = 0; f->names[i] && used < RT_FIELD_ERROR_MAX; i++) {
        used += (size_t) snprintf(error + used, RT_FIELD_ERROR_MAX - used,
                                  i ? ", %s" : " %s", f->names[i]);
    }
}


static rt_int_t
rt_field_name(const rt_field_t *f, const rt_json_node_t *node, void *at,
    char *error)
{
    rt_uint_t  i;

    for (i = 0; node->type == RT_JSON_STRING && f->names[i]; i++) {
        if (rt_str_is(node->string, f->names[i])) {
            rt_field_store(f, at, (int64_t) i);
            return RT_OK;
        }
    }

    rt_field_list(f, error);

    return RT_DECLINED;
}


static rt_int_t
rt_field_absent(const rt_field_t *f, char *error)
{
    if (!(f->flags & RT_FIELD_REQUIRED)) {
        return RT_OK;
    }

    if (f->type == RT_FIELD_NAME) {
        rt_field_list(f, error);

    } else {
        snprintf(error, RT_FIELD_ERROR_MAX, "\"%s\" is needed", f->name);
    }

    return RT_DECLINED;
}


static rt_int_t
rt_field_read(const rt_field_t *f, const rt_json_node_t *node, void *out,
    char *error)
{
    u_char  *at;

    at = (u_char *) out + f->offset;

    if (node == NULL || node->type == RT_JSON_NULL) {
        return rt_field_absent(f, error);
    }

    switch (f->type) {

    case RT_FIELD_NUMBER:
        return rt_field_number(f, node, at, error);

    case RT_FIELD_STRING:
        return rt_field_string(f, node, at, error);

    case RT_FIELD_BOOL:
        return rt_field_bool(f, node, at, error);

    default:
        rt_assert(f->type == RT_FIELD_NAME);
        return rt_field_name(f, node, at, error);
    }
}


rt_int_t
rt_fields_read(const rt_json_t *js, const rt_json_node_t *object,
    const rt_field_t *fields, rt_uint_t n, void *out,
    char error[RT_FIELD_ERROR_MAX])
{
    rt_int_t   rc;
    rt_uint_t  i;

    error[0] = '\0';

    for (i = 0; i < n; i++) {
        rc = rt_field_read(&fields[i], rt_json_get(js, object, fields[i].name),
                           out, error);

        if (rc != RT_OK) {
            return rc;
        }
    }

    return RT_OK;
}
