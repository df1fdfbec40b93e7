/*
 * The members of a JSON object as a table: name, type, place, range.
 *
 * An engine declares one table for each command and reads the whole body with
 * one call.  A member that is absent or null leaves its place as it is, so
 * the caller fills in the defaults first.  Unknown members are ignored.  The
 * first member, in the order of the table, that breaks its rule ends the
 * reading: the caller gets a text for the client, and what was stored before
 * is not to be used.
 */


#ifndef _RT_FIELDS_H_INCLUDED_
#define _RT_FIELDS_H_INCLUDED_


#include "rt_core.h"
#include "rt_json.h"


#define RT_FIELD_ERROR_MAX  256


typedef enum {
    RT_FIELD_NUMBER,                /* integer of 1, 2, 4 or 8 bytes */
    RT_FIELD_STRING,                /* rt_str_t; points into the JSON text */
    RT_FIELD_BOOL,                  /* integer: 0 or 1 */
    RT_FIELD_NAME                   /* integer: the index in "names" */
} rt_field_type_e;


#define RT_FIELD_REQUIRED  0x01


typedef struct {
    const char              *name;
    rt_field_type_e          type;
    size_t                   offset;
    size_t                   size;
    int64_t                  min;   /* of a number; of a string, its bytes */
    int64_t                  max;
    rt_uint_t                flags;
    const char       *const *names; /* NULL at the end */
} rt_field_t;


/*
 *   static const rt_field_t  rt_bid_fields[] = {
 *       { "amount", RT_FIELD_NUMBER, rt_field_at(rt_bid_t, amount),
 *         0, RT_MONEY_MAX, RT_FIELD_REQUIRED, NULL },
 *   };
 */

#define rt_field_at(type, member)                                             \
    offsetof(type, member), sizeof(((type *) 0)->member)

#define rt_fields_n(fields)  (sizeof(fields) / sizeof((fields)[0]))


/* RT_DECLINED: error says which member is wrong, and what it must be */

rt_int_t rt_fields_read(const rt_json_t *js, const rt_json_node_t *object,
    const rt_field_t *fields, rt_uint_t n, void *out,
    char error[RT_FIELD_ERROR_MAX]);


#endif /* _RT_FIELDS_H_INCLUDED_ */
