/*
 * What every file of the daemon uses: results, strings, buffers, memory.
 *
 * The room worker/core is a library of small parts that know nothing of each
 * other's users, and nothing of journals, entities or connections.  Each part
 * has a header of its own, and all rooms may include it:
 *
 *   rt_core.h     this one: results, strings, byte buffers, asserts
 *   rt_log.h      the error log
 *   rt_loop.h     the event loop: descriptors, timers
 *   rt_time.h     clocks, and one that no setting of a clock moves
 *   rt_io.h       files, by a table that tests can replace
 *   rt_crc32c.h   checksums
 *   rt_table.h    the hash table
 *   rt_heap.h     the binary heap
 *   rt_json.h     JSON in and out
 *   rt_utf8.h     text
 *   rt_fields.h   the members of a JSON object, by a table
 *   rt_engine.h   the contract between engines and dispatch
 *
 * When no memory is left the process ends: what was acknowledged is in the
 * journal, a restart replays it, and everything that a peer can make us
 * allocate is bounded by a limit of its own.
 *
 * rt_assert() is for invariants of our own: versions ascend, windows are
 * bounded.  It is not for what the world may do: disks, clocks, peers' bytes.
 */


#ifndef _RT_CORE_H_INCLUDED_
#define _RT_CORE_H_INCLUDED_


#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>


typedef intptr_t   rt_int_t;
typedef uintptr_t  rt_uint_t;

#define RT_OK          0
#define RT_ERROR      -1
#define RT_AGAIN      -2
#define RT_DECLINED   -5

#define RT_VERSION    "0.1.0"

/* their arguments are evaluated once */

#define rt_min(a, b)                                                          \
    ({ __typeof__((a) + (b)) a_ = (a), b_ = (b); a_ < b_ ? a_ : b_; })
#define rt_max(a, b)                                                          \
    ({ __typeof__((a) + (b)) a_ = (a), b_ = (b); a_ > b_ ? a_ : b_; })

/* the thing whose member is at p */

#define rt_item(p, type, member)                                              \
    ((type *) ((u_char *) (p) - offsetof(type, member)))

#define rt_align(n, a)    (((n) + ((a) - 1)) & ~((a) - 1))
#define rt_likely(x)      __builtin_expect(!!(x), 1)
#define rt_unlikely(x)    __builtin_expect(!!(x), 0)


typedef struct {
    size_t         len;
    const u_char  *data;
} rt_str_t;

#define rt_string(s)      { sizeof(s) - 1, (const u_char *) s }


/* a growing byte buffer: start <= pos <= last <= end */

typedef struct {
    u_char        *start;
    u_char        *pos;
    u_char        *last;
    u_char        *end;
} rt_buf_t;


void *rt_malloc(size_t size);
void *rt_calloc(size_t size);
void *rt_realloc(void *p, size_t size);

void rt_buf_grow(rt_buf_t *b, size_t size);
void rt_buf_free(rt_buf_t *b);
void rt_buf_printf(rt_buf_t *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void rt_buf_number(rt_buf_t *b, int64_t n);

/* a failed assertion: log, abort; a restart replays the journal */

void rt_assert_failed(const char *expr, const char *file, int line)
    __attribute__((noreturn));

#define rt_assert(e)                                                          \
    (rt_likely(e) ? (void) 0 : rt_assert_failed(#e, __FILE__, __LINE__))


static inline size_t
rt_buf_size(const rt_buf_t *b)
{
    return (size_t) (b->last - b->pos);
}


static inline void
rt_buf_reset(rt_buf_t *b)
{
    b->pos = b->start;
    b->last = b->start;
}


static inline u_char *
rt_buf_reserve(rt_buf_t *b, size_t size)
{
    if (rt_unlikely((size_t) (b->end - b->last) < size)) {
        rt_buf_grow(b, size);
    }

    return b->last;
}


static inline void
rt_buf_put(rt_buf_t *b, const void *data, size_t size)
{
    if (size) {
        memcpy(rt_buf_reserve(b, size), data, size);
        b->last += size;
    }
}

#define rt_buf_literal(b, s)  rt_buf_put(b, s, sizeof(s) - 1)


static inline rt_str_t
rt_buf_str(const rt_buf_t *b)
{
    rt_str_t  s;

    s.len = rt_buf_size(b);
    s.data = b->pos;

    return s;
}


static inline int
rt_str_eq(rt_str_t a, rt_str_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


static inline int
rt_str_is(rt_str_t a, const char *b)
{
    return strlen(b) == a.len && (a.len == 0 || memcmp(a.data, b, a.len) == 0);
}


/* little-endian numbers at any address: what goes to disk */

static inline uint16_t
rt_get16(const u_char *p)
{
    return (uint16_t) (p[0] | p[1] << 8);
}


static inline uint32_t
rt_get32(const u_char *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
           | (uint32_t) p[3] << 24;
}


static inline uint64_t
rt_get64(const u_char *p)
{
    return (uint64_t) rt_get32(p) | (uint64_t) rt_get32(p + 4) << 32;
}


static inline u_char *
rt_set16(u_char *p, uint16_t v)
{
    p[0] = (u_char) v;
    p[1] = (u_char) (v >> 8);

    return p + 2;
}


static inline u_char *
rt_set32(u_char *p, uint32_t v)
{
    p[0] = (u_char) v;
    p[1] = (u_char) (v >> 8);
    p[2] = (u_char) (v >> 16);
    p[3] = (u_char) (v >> 24);

    return p + 4;
}


static inline u_char *
rt_set64(u_char *p, uint64_t v)
{
    p = rt_set32(p, (uint32_t) v);

    return rt_set32(p, (uint32_t) (v >> 32));
}


static inline void
rt_buf_put8(rt_buf_t *b, uint8_t v)
{
    *rt_buf_reserve(b, 1) = v;
    b->last++;
}


static inline void
rt_buf_put32(rt_buf_t *b, uint32_t v)
{
    b->last = rt_set32(rt_buf_reserve(b, 4), v);
}


static inline void
rt_buf_put64(rt_buf_t *b, uint64_t v)
{
    b->last = rt_set64(rt_buf_reserve(b, 8), v);
}


static inline void
rt_buf_put_str(rt_buf_t *b, rt_str_t s)
{
    rt_buf_put32(b, (uint32_t) s.len);
    rt_buf_put(b, s.data, s.len);
}


/*
 * Reading what rt_buf_put*() wrote.  Past the end everything reads as zero
 * and "bad" is set, so that a reader checks once, at its end.
 */

typedef struct {
    const u_char  *pos;
    const u_char  *last;
    rt_uint_t      bad;
} rt_reader_t;


static inline void
rt_reader_init(rt_reader_t *r, const void *data, size_t size)
{
    r->pos = data;
    r->last = r->pos + size;
    r->bad = 0;
}


static inline const u_char *
rt_read(rt_reader_t *r, size_t size)
{
    const u_char  *p;

    if (rt_unlikely((size_t) (r->last - r->pos) < size)) {
        r->bad = 1;
        r->pos = r->last;
        return NULL;
    }

    p = r->pos;
    r->pos += size;

    return p;
}


static inline uint8_t
rt_read8(rt_reader_t *r)
{
    const u_char  *p = rt_read(r, 1);

    return p ? *p : 0;
}


static inline uint32_t
rt_read32(rt_reader_t *r)
{
    const u_char  *p = rt_read(r, 4);

    return p ? rt_get32(p) : 0;
}


static inline uint64_t
rt_read64(rt_reader_t *r)
{
    const u_char  *p = rt_read(r, 8);

    return p ? rt_get64(p) : 0;
}


static inline rt_str_t
rt_read_str(rt_reader_t *r)
{
    rt_str_t  s;

    s.len = rt_read32(r);
    s.data = rt_read(r, s.len);

    if (s.data == NULL) {
        s.len = 0;
        s.data = (const u_char *) "";
    }

    return s;
}


#endif /* _RT_CORE_H_INCLUDED_ */
