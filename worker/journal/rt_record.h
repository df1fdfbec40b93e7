/*
 * The bytes of the journal: segments and records.
 *
 * A segment begins with a header of 64 bytes; records follow without holes; an
 * END record closes it when the next record does not fit.  After the last
 * record of the last segment there are zeros, or what a former life of the
 * file has left, which no checksum fits: checksums are seeded with a salt
 * made of the segment's number.
 *
 * A record, little-endian, padded with zeros to a multiple of 8:
 *
 *    0  u32  crc32c of all that follows, padding included, seeded with salt
 *    4  u32  size without padding
 *    8  u64  seq, from 1 without holes
 *   16  u64  time, ms since 1970, never falling
 *   24  u64  version of the entity after this event
 *   32  u64  address of the entity's previous record, 0: none
 *   40  u32  batch: seq less the seq of the first record of its batch
 *   44  u16  type, the engine's; 0xff00 and above are the journal's
 *   46  u8   version of the type
 *   47  u8   engine
 *   48  u8   flags
 *   49  u8   length of the entity's name
 *   50  u16  zero
 *   52       name, then data
 *
 * An address is segment << 32 | offset.  "previous" makes each entity's events
 * a chain, so its history is read without an index on disk.
 */


#ifndef _RT_RECORD_H_INCLUDED_
#define _RT_RECORD_H_INCLUDED_


#include "rt_core.h"


#define RT_SEGMENT_HEADER_SIZE   64
#define RT_RECORD_HEADER_SIZE    52
#define RT_RECORD_ALIGN          8

/* the END record: a header without name and data, padded */
#define RT_RECORD_END_SIZE       56

/* one event; a snapshot of a large book would not fit, and must not */
#define RT_RECORD_DATA_MAX       (1024 * 1024)
#define RT_RECORD_SIZE_MAX                                                    \
    rt_align(RT_RECORD_HEADER_SIZE + 255 + RT_RECORD_DATA_MAX, RT_RECORD_ALIGN)

/* types that are the journal's and the dispatcher's own */
#define RT_RECORD_END            0xffff     /* the segment ends here */
#define RT_RECORD_ANSWER         0xfffe     /* an idempotency key's answer */
#define RT_RECORD_HASH           0xfffd     /* the entity's state hash */
#define RT_RECORD_CHECKPOINT     0xfffc     /* the entity's state */
#define RT_RECORD_ENDED          0xfffb     /* the entity is no more */
#define RT_RECORD_SYSTEM         0xff00     /* from here on */

/* flags */
#define RT_RECORD_MORE           0x01       /* the command has more records */


typedef struct {
    uint64_t       addr;
    uint64_t       next;                    /* address after it */
    uint64_t       seq;
    uint64_t       time_ms;
    uint64_t       version;
    uint64_t       prev;
    uint32_t       batch;
    uint16_t       type;
    uint8_t        lift;                    /* the type's version */
    uint8_t        engine;
    uint8_t        flags;
    rt_str_t       entity;                  /* borrowed, until the next read */
    rt_str_t       data;
} rt_record_t;


#define rt_addr(segment, offset)  ((uint64_t) (segment) << 32 | (offset))
#define rt_addr_segment(addr)     ((uint32_t) ((addr) >> 32))
#define rt_addr_offset(addr)      ((uint32_t) (addr))

#define rt_segment_salt(n)  ((uint32_t) (n) * 0x9e3779b1u)

size_t rt_record_size(const rt_record_t *rec);      /* with padding */
u_char *rt_record_encode(u_char *p, const rt_record_t *rec, uint32_t salt);

/*
 * RT_OK, RT_AGAIN if n bytes do not hold all of it (rec->next is then the
 * size), RT_DECLINED if there is no record here.
 */
rt_int_t rt_record_decode(rt_record_t *rec, const u_char *p, size_t n,
    uint32_t salt);

void rt_segment_encode(u_char *p, uint32_t segment, uint64_t epoch,
    uint64_t first_seq, uint64_t time_ms, size_t size);
rt_int_t rt_segment_decode(const u_char *p, uint32_t segment,
    uint64_t *first_seq, size_t *size);


#endif /* _RT_RECORD_H_INCLUDED_ */
