/*
 * The bytes of records and segment headers; rt_record.h describes them.
 */


#include "rt_crc32c.h"
#include "rt_record.h"


static const u_char  rt_segment_magic[] = "RTSEGM1\n";


size_t
rt_record_size(const rt_record_t *rec)
{
    return rt_align(RT_RECORD_HEADER_SIZE + rec->entity.len + rec->data.len,
                    RT_RECORD_ALIGN);
}


u_char *
rt_record_encode(u_char *p, const rt_record_t *rec, uint32_t salt)
{
    size_t   size, padded;
    u_char  *start;

    start = p;
    size = RT_RECORD_HEADER_SIZE + rec->entity.len + rec->data.len;
    padded = rt_align(size, RT_RECORD_ALIGN);

    p = rt_set32(p + 4, (uint32_t) size);
    p = rt_set64(p, rec->seq);
    p = rt_set64(p, rec->time_ms);
    p = rt_set64(p, rec->version);
    p = rt_set64(p, rec->prev);
    p = rt_set32(p, rec->batch);
    p = rt_set16(p, rec->type);
    *p++ = rec->lift;
    *p++ = rec->engine;
    *p++ = rec->flags;
    *p++ = (u_char) rec->entity.len;
    p = rt_set16(p, 0);

    memcpy(p, rec->entity.data, rec->entity.len);
    p += rec->entity.len;

    if (rec->data.len) {
        memcpy(p, rec->data.data, rec->data.len);
        p += rec->data.len;
    }

    memset(p, 0, padded - size);

    rt_set32(start, rt_crc32c(salt, start + 4, padded - 4));

    return start + padded;
}


rt_int_t
rt_record_decode(rt_record_t *rec, const u_char *p, size_t n, uint32_t salt)
{
    size_t  size, padded, name;

    rec->next = RT_RECORD_HEADER_SIZE;

    if (n < RT_RECORD_HEADER_SIZE) {
        return RT_AGAIN;
    }

    size = rt_get32(p + 4);
    name = p[49];

    if (size < RT_RECORD_HEADER_SIZE + name
        || size > RT_RECORD_HEADER_SIZE + name + RT_RECORD_DATA_MAX)
    {
        return RT_DECLINED;
    }

    padded = rt_align(size, RT_RECORD_ALIGN);
    rec->next = padded;

    if (n < padded) {
        return RT_AGAIN;
    }

    if (rt_get32(p) != rt_crc32c(salt, p + 4, padded - 4)) {
        return RT_DECLINED;
    }

    rec->seq = rt_get64(p + 8);
    rec->time_ms = rt_get64(p + 16);
    rec->version = rt_get64(p + 24);
    rec->prev = rt_get64(p + 32);
    rec->batch = rt_get32(p + 40);
    rec->type = rt_get16(p + 44);
    rec->lift = p[46];
    rec->engine = p[47];
    rec->flags = p[48];
    rec->entity.len = name;
    rec->entity.data = p + RT_RECORD_HEADER_SIZE;
    rec->data.len = size - RT_RECORD_HEADER_SIZE - name;
    rec->data.data = rec->entity.data + name;

    return RT_OK;
}


void
rt_segment_encode(u_char *p, uint32_t segment, uint64_t epoch,
    uint64_t first_seq, uint64_t time_ms, size_t size)
{
    u_char  *start;

    start = p;

    memset(p, 0, RT_SEGMENT_HEADER_SIZE);
    memcpy(p, rt_segment_magic, 8);

    p = rt_set32(p + 8, segment);
    p = rt_set32(p, (uint32_t) size);
    p = rt_set64(p, epoch);
    p = rt_set64(p, first_seq);
    p = rt_set64(p, time_ms);

    rt_set32(start + RT_SEGMENT_HEADER_SIZE - 4,
             rt_crc32c(0, start, RT_SEGMENT_HEADER_SIZE - 4));
}


rt_int_t
rt_segment_decode(const u_char *p, uint32_t segment, uint64_t *first_seq,
    size_t *size)
{
    if (memcmp(p, rt_segment_magic, 8) != 0
        || rt_get32(p + RT_SEGMENT_HEADER_SIZE - 4)
           != rt_crc32c(0, p, RT_SEGMENT_HEADER_SIZE - 4)
        || rt_get32(p + 8) != segment)
    {
        return RT_DECLINED;
    }

    *size = rt_get32(p + 12);
    *first_seq = rt_get64(p + 24);

    return RT_OK;
}
