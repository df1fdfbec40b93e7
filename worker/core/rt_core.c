/*
 * Memory and byte buffers.  Allocation never fails: rt_core.h says why.
 */


#define _GNU_SOURCE                         /* sbrk(), madvise() */

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rt_core.h"
#include "rt_log.h"


#define RT_HEAP_STEP  (32 * 1024 * 1024)    /* of address space */

/* where the heap ended when it was looked at last, by whichever thread */
static u_char  *rt_heap_end;


/*
 * The heap grows in large steps, of huge pages where the system allows them:
 * what fork() takes for a snapshot, and what each first write costs after it,
 * goes with the number of pages.  Without them all is as before, but slower.
 */

static void
rt_heap_grown(u_char *end)
{
    u_char  *start;

    start = __atomic_exchange_n(&rt_heap_end, end, __ATOMIC_RELAXED);

    if (start == NULL) {
        (void) mallopt(M_TOP_PAD, RT_HEAP_STEP);
        (void) mallopt(M_TRIM_THRESHOLD, 2 * RT_HEAP_STEP);

    } else if (end > start) {
        start -= (uintptr_t) start % (uintptr_t) getpagesize();
        (void) madvise(start, (size_t) (end - start), MADV_HUGEPAGE);
    }
}


static void *
rt_allocated(void *p, size_t size)
{
    if (rt_unlikely((u_char *) sbrk(0)
                    != __atomic_load_n(&rt_heap_end, __ATOMIC_RELAXED)))
    {
        rt_heap_grown(sbrk(0));
    }

    if (p == NULL) {
        rt_log(RT_LOG_EMERG, errno, "malloc(%zu) failed", size);
        abort();
    }

    return p;
}


void *
rt_malloc(size_t size)
{
    size = rt_max(size, 1);

    return rt_allocated(malloc(size), size);
}


void *
rt_calloc(size_t size)
{
    size = rt_max(size, 1);

    return rt_allocated(calloc(1, size), size);
}


void *
rt_realloc(void *p, size_t size)
{
    size = rt_max(size, 1);

    return rt_allocated(realloc(p, size), size);
}


void
rt_buf_grow(rt_buf_t *b, size_t size)
{
    size_t  pos, last, n;

    pos = (size_t) (b->pos - b->start);
    last = (size_t) (b->last - b->start);

    n = rt_max((size_t) (b->end - b->start) * 2, 256);
    n = rt_max(n, last + size);

    b->start = rt_realloc(b->start, n);
    b->pos = b->start + pos;
    b->last = b->start + last;
    b->end = b->start + n;
}


void
rt_buf_free(rt_buf_t *b)
{
    free(b->start);
    memset(b, 0, sizeof(rt_buf_t));
}


void
rt_buf_printf(rt_buf_t *b, const char *fmt, ...)
{
    int      n;
    size_t   room;
    va_list  args;

    rt_buf_reserve(b, 64);

    for ( ;; ) {
        room = (size_t) (b->end - b->last);

        va_start(args, fmt);
        n = vsnprintf((char *) b->last, room, fmt, args);
        va_end(args);

        rt_assert(n >= 0);

        if ((size_t) n < room) {
            b->last += n;
            return;
        }

        rt_buf_grow(b, (size_t) n + 1);
    }
}


void
rt_buf_number(rt_buf_t *b, int64_t n)
{
    u_char    tmp[24], *p;
    uint64_t  u;

    p = tmp + sizeof(tmp);
    u = n < 0 ? 0 - (uint64_t) n : (uint64_t) n;

    do {
        *--p = (u_char) ('0' + u % 10);
        u /= 10;
    } while (u);

    if (n < 0) {
        *--p = '-';
    }

    rt_buf_put(b, p, (size_t) (tmp + sizeof(tmp) - p));
}


void
rt_assert_failed(const char *expr, const char *file, int line)
{
    rt_log(RT_LOG_ALERT, 0, "assertion \"%s\" failed in %s:%d",
           expr, file, line);
    abort();
}
