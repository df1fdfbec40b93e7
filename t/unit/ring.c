/*
 * The ring: where records lie, what is overwritten and when, and that a reader
 * never takes for a record what is none.
 *
 * All appends are kept in a list, too; which of them the ring must still hold,
 * and where, follows from that list alone.  Where a reader or a writer is to
 * be met in the middle of its work, its next page is taken away from it, and
 * the other one works in the handler of the fault.
 *
 * Sources: ngx_http_rt_ring.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include <ngx_http_rt_ring.h>
#include "roll.h"


#define HEADER       sizeof(ngx_http_rt_record_t)
#define APPENDS_MAX  32768
#define MEMORY_SIZE  (1024 * 1024)
#define COPY_SIZE    (64 * 1024)


typedef struct {
    uint64_t             pos;
    uint64_t             seq;
    size_t               size;
} append_t;


typedef struct {
    ngx_http_rt_ring_t   ring;
    append_t             list[APPENDS_MAX];
    size_t               first;      /* that is still there */
    size_t               n;
    uint64_t             seq;
    uint64_t             at;         /* where the next may lie */
    uint64_t             keep;       /* and up to where all may be gone */
} log_t;


static u_char           *memory;     /* between two pages that are not ours */
static size_t            page;
static log_t             t;

static u_char           *trap_page;
static int               trapped;
static void            (*trap_action)(void);


/* an empty ring at the end of the memory that has grown to "start" already */

static void
start(size_t size, uint64_t pos)
{
    memset(&t, 0, sizeof(log_t));
    memset(memory, 0xff, MEMORY_SIZE);

    ngx_http_rt_ring_init(&t.ring, memory + MEMORY_SIZE - size, size);

    if (pos) {
        t.ring.head = pos;
        t.ring.tail = pos;
    }

    t.at = t.ring.head;
}


static u_char
body(uint64_t seq, size_t i)
{
    return (u_char) (seq * 31 + i * 7 + 1);
}


static void
evict(void *data, ngx_http_rt_record_t *rec, uint64_t pos)
{
    append_t  *a;

    (void) data;

    assert_true(t.first < t.n);

    a = &t.list[t.first++];

    assert_true(pos == a->pos);
    assert_true(rec->seq == a->seq);
    assert_true(rec->size == a->size);

    /* the tail passes it afterwards */

    assert_true(t.ring.tail == pos);
}


static void
evict_nothing(void *data, ngx_http_rt_record_t *rec, uint64_t pos)
{
    (void) data;
    (void) rec;
    (void) pos;
}


/* room behind t.at, checked; returns the position */

static uint64_t
reserve(size_t size)
{
    size_t                 rest;
    uint64_t               pos, want;
    ngx_http_rt_record_t  *filler;

    rest = t.ring.size - t.at % t.ring.size;
    want = (rest < size) ? t.at + rest : t.at;

    pos = ngx_http_rt_ring_reserve(&t.ring, t.at, size, evict, &t);

    assert_true(pos == want);
    assert_true(pos % t.ring.size + size <= t.ring.size);

    /* gone is what begins where something else will be, and no more */

    if (t.keep + t.ring.size < pos + size) {
        t.keep = pos + size - t.ring.size;
    }

    assert_true(t.ring.tail >= t.keep);
    assert_true(t.ring.tail <= t.ring.head);

    if (t.first < t.n) {
        assert_true(t.list[t.first].pos >= t.ring.tail);
    }

    if (t.first) {
        assert_true(t.list[t.first - 1].pos < t.keep);
    }

    if (pos != t.at && rest >= HEADER) {
        filler = ngx_http_rt_record(&t.ring, t.at);
        assert_int_equal(filler->size, rest);
        assert_int_equal(filler->flags, NGX_HTTP_RT_RECORD_FILLER);
    }

    return pos;
}


static void
write_record(uint64_t pos, size_t size, uint64_t seq)
{
    size_t                 i;
    u_char                *p;
    ngx_http_rt_record_t  *rec;

    rec = ngx_http_rt_record(&t.ring, pos);
    memset(rec, 0, HEADER);

    rec->size = size;
    rec->seq = seq;
    rec->data_len = size - HEADER;

    p = (u_char *) &rec[1];

    for (i = 0; i < size - HEADER; i++) {
        p[i] = body(seq, i);
    }
}


/* reserves and writes; not yet visible */

static void
prepare(size_t size)
{
    append_t  *a;
    uint64_t   pos;

    assert_true(t.n < APPENDS_MAX);

    pos = reserve(size);

    a = &t.list[t.n++];
    a->pos = pos;
    a->seq = ++t.seq;
    a->size = size;

    write_record(pos, size, t.seq);

    t.at = pos + size;
}


static void
commit(void)
{
    ngx_http_rt_ring_commit(&t.ring, t.ring.head, t.at);

    assert_true(t.ring.head == t.at);
    assert_true(t.ring.seq == t.seq);
}


static void
append(size_t size)
{
    prepare(size);
    commit();
}


/* the records from pos on are those of the list from i on */

static void
check_from(uint64_t pos, size_t i)
{
    size_t                 k, offset, len;
    u_char                 copy[COPY_SIZE];
    append_t              *a;
    ngx_http_rt_record_t   rec;

    for ( /* void */ ; i < t.n; i++) {
        a = &t.list[i];

        assert_int_equal(ngx_http_rt_ring_scan(&t.ring, &pos, t.ring.head,
                                               &rec),
                         NGX_HTTP_RT_RING_OK);
        assert_true(pos == a->pos);
        assert_true(rec.seq == a->seq);
        assert_true(rec.size == a->size);

        len = rec.data_len;
        offset = roll(len + 1);
        len = roll(len - offset + 1);

        memset(copy, 0xee, len + 1);

        assert_int_equal(ngx_http_rt_ring_copy(&t.ring, pos, offset, copy,
                                               len),
                         NGX_HTTP_RT_RING_OK);

        for (k = 0; k < len; k++) {
            assert_int_equal(copy[k], body(a->seq, offset + k));
        }

        assert_int_equal(copy[len], 0xee);

        pos += rec.size;
    }

    assert_int_equal(ngx_http_rt_ring_scan(&t.ring, &pos, t.ring.head, &rec),
                     NGX_HTTP_RT_RING_END);
    assert_true(pos == t.ring.head);
}


static void
check_seek(uint64_t seq)
{
    size_t                i, part;
    uint64_t              pos;
    ngx_http_rt_record_t  rec;

    part = t.ring.size / NGX_HTTP_RT_RING_MARKS + 1;
    pos = ngx_http_rt_ring_seek(&t.ring, seq);

    assert_true(pos >= t.ring.tail);
    assert_true(pos <= t.ring.head);

    if (seq >= t.seq) {
        return;
    }

    i = (seq > t.first) ? seq : t.first;

    assert_true(pos <= t.list[i].pos);

    /* and it is worth something: no more than a part of the ring too early */

    if (i > t.first) {
        assert_true(t.list[i].pos - pos < part + t.list[i - 1].size);
    }

    /* a record begins there, or a filler before the next one */

    while (i > t.first && t.list[i - 1].pos >= pos) {
        i--;
    }

    assert_int_equal(ngx_http_rt_ring_scan(&t.ring, &pos, t.ring.head, &rec),
                     NGX_HTTP_RT_RING_OK);
    assert_true(pos == t.list[i].pos);
    assert_true(rec.seq == t.list[i].seq);
}


static void
check(void)
{
    size_t                i;
    ngx_http_rt_record_t  rec;

    check_from(t.ring.tail, t.first);

    if (t.first < t.n) {
        i = t.first + roll(t.n - t.first);
        check_from(t.list[i].pos, i);
    }

    /* who stands at what has gone is told */

    for (i = (t.first < 3) ? 0 : t.first - 3; i < t.first; i++) {
        assert_int_equal(ngx_http_rt_ring_read(&t.ring, t.list[i].pos, &rec),
                         NGX_HTTP_RT_RING_LAPPED);
    }

    check_seek(roll(t.seq + 2));
}


static void
test_init(void **state)
{
    size_t                 size;
    uint64_t               pos;
    ngx_http_rt_ring_t     ring;
    ngx_http_rt_record_t   rec;

    (void) state;

    for (size = 4096; size < 4096 + 16; size++) {
        memset(&ring, 0xff, sizeof(ring));

        ngx_http_rt_ring_init(&ring, memory, size);

        assert_true(ring.base == memory);
        assert_true(ring.size % NGX_HTTP_RT_RING_ALIGN == 0);
        assert_true(ring.size <= size);
        assert_true(size - ring.size < NGX_HTTP_RT_RING_ALIGN);
        assert_true(ring.head == ring.tail);
        assert_true(ring.head != 0);
        assert_true(ring.head % ring.size == 0);
        assert_true(ring.seq == 0);

        pos = ring.tail;

        assert_int_equal(ngx_http_rt_ring_scan(&ring, &pos, ring.head, &rec),
                         NGX_HTTP_RT_RING_END);
        assert_true(ngx_http_rt_ring_seek(&ring, 0) == ring.head);
        assert_true(ngx_http_rt_ring_seek(&ring, UINT64_MAX) == ring.head);
    }
}


static void
test_record_size(void **state)
{
    size_t  n;

    (void) state;

    assert_int_equal(ngx_http_rt_record_size(0, 0, 0, 0), HEADER);
    assert_int_equal(HEADER % NGX_HTTP_RT_RING_ALIGN, 0);

    for (n = 1; n <= 8; n++) {
        assert_int_equal(ngx_http_rt_record_size(n, 0, 0, 0), HEADER + 8);
        assert_int_equal(ngx_http_rt_record_size(0, n, 0, 0), HEADER + 8);
        assert_int_equal(ngx_http_rt_record_size(0, 0, n, 0), HEADER + 8);
        assert_int_equal(ngx_http_rt_record_size(0, 0, 0, n), HEADER + 8);
        assert_int_equal(ngx_http_rt_record_size(1, 2, 5, n), HEADER + 16);
    }

    assert_true(ngx_http_rt_record_size(255, 255, 255, UINT32_MAX)
                >= HEADER + 3 * 255 + (uint64_t) UINT32_MAX);
}


/* each place in the memory, with records that fit there and that do not */

static void
test_wrap(void **state)
{
    size_t    size, quarter, place, i;
    uint64_t  lap;
    size_t    sizes[6];

    (void) state;

    for (size = 1000; size <= 1024; size += 24) {

        quarter = size / NGX_HTTP_RT_RING_SHARE & ~(size_t) 7;

        sizes[0] = HEADER;
        sizes[1] = HEADER + 8;
        sizes[2] = HEADER + 64;
        sizes[3] = quarter - 8;
        sizes[4] = quarter;
        sizes[5] = quarter;

        for (place = 0; place < size; place += 8) {

            lap = (roll(2) ? UINT32_MAX / size : 1 + roll(3)) * size;

            for (i = 0; i < 6; i++) {
                start(size, lap + place);
                check();

                append(sizes[i]);
                check();

                append(sizes[5 - i]);
                check();

                while (t.ring.head < lap + place + 3 * size) {
                    append(HEADER + 8 * roll((quarter - HEADER) / 8 + 1));
                    check();
                }
            }
        }
    }
}


/* more than 32 bits of position, and nearly 64 */

static void
test_positions(void **state)
{
    size_t            i, k, size, quarter;
    static const uint64_t  from[] = {
        0, (uint64_t) 1 << 32, (uint64_t) 1 << 35, (uint64_t) 1 << 62
    };

    (void) state;

    for (i = 0; i < sizeof(from) / sizeof(from[0]); i++) {

        size = 4000 + 8 * roll(100);
        quarter = size / NGX_HTTP_RT_RING_SHARE & ~(size_t) 7;

        start(size, from[i] ? from[i] - 8 * (1 + roll(1000)) : 0);

        for (k = 0; k < 1000; k++) {

            if (roll(3)) {
                append(HEADER + 8 * roll(8));

            } else {
                append(HEADER + 8 * roll((quarter - HEADER) / 8 + 1));
            }

            check();
        }
    }
}


/* whatever comes, about half of what was there stays there */

static void
test_quarter(void **state)
{
    size_t  place, quarter;

    (void) state;

    quarter = 4096 / NGX_HTTP_RT_RING_SHARE;

    for (place = 0; place < 4096; place += 8) {
        start(4096, 4096 * 5 + place);

        while (t.first == 0) {
            append(HEADER);
        }

        append(quarter);
        check();

        assert_true(t.n - t.first > 4096 / HEADER / 2 - 4);

        /* three of them at least fit at once */

        append(quarter);
        append(quarter);
        append(quarter);
        check();

        assert_true(t.n - t.first >= 3);
    }
}


/* several reserved one behind the other, seen together */

static void
test_batch(void **state)
{
    size_t                 i, k, n, left, size, before;
    uint64_t               pos;
    ngx_http_rt_record_t   rec;

    (void) state;

    size = 2000;
    start(size, 0);

    for (i = 0; i < 1000; i++) {
        left = size / NGX_HTTP_RT_RING_SHARE;
        before = t.n;
        n = 1 + roll(5);

        for (k = 0; k < n && left >= HEADER; k++) {
            prepare(HEADER + 8 * roll((left - HEADER) / 8 + 1));
            left -= t.list[t.n - 1].size;

            pos = t.ring.head;
            assert_int_equal(ngx_http_rt_ring_scan(&t.ring, &pos, t.ring.head,
                                                   &rec),
                             NGX_HTTP_RT_RING_END);
            assert_true(t.ring.seq == t.list[before].seq - 1);
        }

        commit();
        check();

        check_seek(t.list[before].seq - 1);
    }
}


/* who dies before commit() has left nothing, however often */

static void
test_torn_append(void **state)
{
    size_t                 i, k, n, size;
    uint64_t               head, pos;
    ngx_http_rt_record_t   rec;

    (void) state;

    size = 2000;
    start(size, 0);

    for (i = 0; i < 1000; i++) {

        head = t.ring.head;
        n = roll(4);

        for (k = 0; k < n; k++) {
            pos = reserve(HEADER + 8 * roll((size / 4 - HEADER) / 8 + 1));
            write_record(pos, HEADER, UINT64_MAX);
            memset(ngx_http_rt_record(&t.ring, pos), 0xee,
                   roll(HEADER));

            assert_true(t.ring.head == head);
            assert_true(t.ring.seq == t.seq);

            pos = head;
            assert_int_equal(ngx_http_rt_ring_scan(&t.ring, &pos, t.ring.head,
                                                   &rec),
                             NGX_HTTP_RT_RING_END);
            check();
        }

        append(HEADER + 8 * roll((size / 4 - HEADER) / 8 + 1));
        check();
    }
}


static void
test_seek(void **state)
{
    size_t    i, size;
    uint64_t  seq;

    (void) state;

    /* with parts smaller than a record, and with several records in each */

    for (size = 8000; size <= MEMORY_SIZE; size = size * 5 / 24 * 8) {
        start(size, roll(2) ? 0 : ((uint64_t) 1 << 32) - 8 * roll(2000));

        for (i = 0; i < 4 * size / HEADER && t.n < APPENDS_MAX; i++) {
            append(HEADER + 8 * roll(roll(20) ? 6 : 100));

            if (roll(size / 50) == 0) {
                for (seq = t.list[t.first].seq - 1; seq <= t.seq; seq++) {
                    check_seek(seq);
                }

                check_seek(0);
            }
        }

        assert_true(t.first > t.n / 4);

        assert_true(ngx_http_rt_ring_seek(&t.ring, UINT64_MAX)
                    >= t.ring.tail);
    }
}


/* seq and place of a mark are two stores; a death may come in between */

static void
test_seek_torn_mark(void **state)
{
    size_t    i, size;
    uint64_t  pos, seq;

    (void) state;

    size = 60000;
    start(size, 0);

    while (t.n < 3000) {
        append(HEADER + 8 * roll(6));
    }

    for (i = 0; i < NGX_HTTP_RT_RING_MARKS; i++) {
        pos = t.ring.marks[i].pos;

        if (pos <= t.ring.tail) {
            continue;
        }

        seq = t.ring.marks[i].seq;
        t.ring.marks[i].seq = t.seq + 1;

        for (pos = t.list[t.first].seq - 1; pos < t.seq; pos += 7) {
            assert_true(ngx_http_rt_ring_seek(&t.ring, pos)
                        <= t.list[pos].pos);
        }

        t.ring.marks[i].seq = seq;
    }
}


/* any position, even one that nobody wrote: no byte beyond the memory */

static void
test_stranger(void **state)
{
    int                    rc;
    size_t                 rest;
    uint64_t               pos;
    ngx_http_rt_record_t   rec;

    (void) state;

    start(1000, 0);

    while (t.first < 10) {
        append(HEADER + 8 * roll(10));
    }

    for (pos = 0; pos < t.ring.head + 2000; pos++) {
        rc = ngx_http_rt_ring_read(&t.ring, pos, &rec);

        rest = t.ring.size - pos % t.ring.size;

        if (pos < t.ring.tail || rest < HEADER) {
            assert_int_equal(rc, NGX_HTTP_RT_RING_LAPPED);
        }
    }

    for (rest = 1; rest < HEADER; rest++) {
        pos = UINT64_MAX / t.ring.size * t.ring.size - rest;
        assert_int_equal(ngx_http_rt_ring_read(&t.ring, pos, &rec),
                         NGX_HTTP_RT_RING_LAPPED);
    }
}


/* a reader between any two steps of a writer */

static void
evict_under_reader(void *data, ngx_http_rt_record_t *rec, uint64_t pos)
{
    uint64_t              *last = data;
    ngx_http_rt_record_t   copy;

    /* nothing has been overwritten yet */

    assert_int_equal(ngx_http_rt_ring_read(&t.ring, pos, &copy),
                     NGX_HTTP_RT_RING_OK);
    assert_memory_equal(&copy, rec, HEADER);

    if (*last) {
        assert_int_equal(ngx_http_rt_ring_read(&t.ring, *last, &copy),
                         NGX_HTTP_RT_RING_LAPPED);
    }

    *last = pos;
    evict(NULL, rec, pos);
}


static void
test_interleaved(void **state)
{
    int                    i;
    size_t                 size;
    u_char                 copy[64];
    uint64_t               pos, at, last, reader;
    ngx_http_rt_record_t   rec;

    (void) state;

    start(2000, 0);

    for (i = 0; i < 500; i++) {

        if (t.first == 0) {
            append(HEADER + 64);
            continue;
        }

        /* it has read the oldest header and is about to copy the bytes */

        reader = t.list[t.first].pos;

        assert_int_equal(ngx_http_rt_ring_read(&t.ring, reader, &rec),
                         NGX_HTTP_RT_RING_OK);

        size = HEADER + 8 * (8 + roll(40));
        last = 0;
        pos = ngx_http_rt_ring_reserve(&t.ring, t.at, size,
                                       evict_under_reader, &last);

        /* room has been made, maybe of its record; nothing written yet */

        assert_int_equal(ngx_http_rt_ring_copy(&t.ring, reader, 0, copy, 64),
                         last ? NGX_HTTP_RT_RING_LAPPED
                              : NGX_HTTP_RT_RING_OK);

        at = reader;
        assert_int_equal(ngx_http_rt_ring_scan(&t.ring, &at, t.ring.head,
                                               &rec),
                         last ? NGX_HTTP_RT_RING_LAPPED
                              : NGX_HTTP_RT_RING_OK);

        t.list[t.n].pos = pos;
        t.list[t.n].seq = ++t.seq;
        t.list[t.n++].size = size;
        t.at = pos + size;

        write_record(pos, size, t.seq);

        assert_int_equal(ngx_http_rt_ring_copy(&t.ring, reader, 0, copy, 64),
                         last ? NGX_HTTP_RT_RING_LAPPED
                              : NGX_HTTP_RT_RING_OK);
        check_from(t.ring.head, t.n);
        commit();
        check();
    }
}


static void
trap(int sig, siginfo_t *info, void *context)
{
    u_char  *p;

    (void) context;

    p = info->si_addr;

    if (trapped || p < trap_page || p >= trap_page + page) {
        signal(sig, SIG_DFL);
        return;
    }

    trapped = 1;
    mprotect(trap_page, page, PROT_READ|PROT_WRITE);

    trap_action();
}


static void
trap_set(u_char *p, int prot, void (*action)(void))
{
    struct sigaction  sa;

    memset(&sa, 0, sizeof(sa));
    sa.sa_sigaction = trap;
    sa.sa_flags = SA_SIGINFO|SA_NODEFER;
    sigemptyset(&sa.sa_mask);

    assert_int_equal(sigaction(SIGSEGV, &sa, NULL), 0);

    trapped = 0;
    trap_action = action;
    trap_page = memory + (p - memory) / page * page;

    assert_int_equal(mprotect(trap_page, page, prot), 0);
}


static void
trap_unset(void)
{
    mprotect(trap_page, page, PROT_READ|PROT_WRITE);
    signal(SIGSEGV, SIG_DFL);
}


/* the writer passes the reader: the tail moves, then the bytes change */

static void
lap(void)
{
    uint64_t  pos;

    pos = t.ring.head;

    do {
        pos = ngx_http_rt_ring_reserve(&t.ring, pos, 1024, evict_nothing,
                                       NULL);
        memset(ngx_http_rt_record(&t.ring, pos), 0x5a, 1024);
        pos += 1024;
    } while (t.ring.tail < t.list[2].pos);
}


/* or has nothing to do */

static void
no_lap(void)
{
}


/* three records, the middle one of them over two pages */

static void
start_over_pages(void)
{
    size_t  i;

    start(8 * page, 8 * page);

    append(page - HEADER);
    append(2 * page - HEADER);

    while (t.n < 9) {
        append(HEADER + 8 * t.n);
    }

    i = t.list[1].pos % t.ring.size;

    assert_int_equal(i, page - HEADER);
}


static void
test_lapped_while_copying(void **state)
{
    int                    i, rc;
    size_t                 k, len;
    u_char                *copy;
    uint64_t               pos;
    ngx_http_rt_record_t   rec;

    (void) state;

    copy = malloc(2 * page);
    assert_non_null(copy);

    for (i = 0; i < 2; i++) {

        /* the bytes: half of them are copied already */

        start_over_pages();

        pos = t.list[1].pos;
        len = t.list[1].size - HEADER;

        trap_set(t.ring.base + 2 * page, PROT_NONE, i ? no_lap : lap);

        rc = ngx_http_rt_ring_copy(&t.ring, pos, 0, copy, len);

        trap_unset();

        assert_true(trapped);
        assert_int_equal(rc, i ? NGX_HTTP_RT_RING_OK
                               : NGX_HTTP_RT_RING_LAPPED);

        if (i) {
            for (k = 0; k < len; k++) {
                assert_int_equal(copy[k], body(2, k));
            }
        }

        /* the header, by read() and by scan() */

        start_over_pages();
        trap_set(t.ring.base + pos % t.ring.size, PROT_NONE,
                 i ? no_lap : lap);

        rc = ngx_http_rt_ring_read(&t.ring, pos, &rec);

        trap_unset();

        assert_true(trapped);
        assert_int_equal(rc, i ? NGX_HTTP_RT_RING_OK
                               : NGX_HTTP_RT_RING_LAPPED);

        start_over_pages();
        trap_set(t.ring.base + pos % t.ring.size, PROT_NONE,
                 i ? no_lap : lap);

        rc = ngx_http_rt_ring_scan(&t.ring, &pos, t.ring.head, &rec);

        trap_unset();

        assert_true(trapped);
        assert_int_equal(rc, i ? NGX_HTTP_RT_RING_OK
                               : NGX_HTTP_RT_RING_LAPPED);
    }

    free(copy);
}


/* the writer in the act of its first change of bytes */

static void
first_write(void)
{
    ngx_http_rt_record_t  rec;

    if (ngx_http_rt_ring_read(&t.ring, t.list[t.first - 1].pos, &rec)
        != NGX_HTTP_RT_RING_LAPPED)
    {
        trapped = 2;
    }

    /* whoever stands at the filler's place stands at the head or is lapped */

    if (t.ring.tail + t.ring.size < t.at + HEADER) {
        trapped = 3;
    }
}


static void
test_tail_before_bytes(void **state)
{
    size_t  rest;

    (void) state;

    for (rest = HEADER; rest < 400; rest += 8) {
        start(8 * page, 8 * page);

        /* full, but for a rest that is too short for the next one */

        while (t.ring.size - t.ring.head % t.ring.size > 2048) {
            append(HEADER + 8);
        }

        append(t.ring.size - t.ring.head % t.ring.size - rest);

        while (t.ring.head < 3 * t.ring.size - 2048) {
            append(HEADER + 8);
        }

        append(3 * t.ring.size - t.ring.head - rest);

        trap_set(t.ring.base + t.at % t.ring.size, PROT_READ, first_write);

        prepare(rest + 8 * 40);

        trap_unset();

        assert_int_equal(trapped, 1);

        commit();
        check();
    }
}


static int
setup(void **state)
{
    u_char  *p;

    (void) state;

    page = sysconf(_SC_PAGESIZE);
    seed = 88172645463325252ULL;

    p = mmap(NULL, MEMORY_SIZE + 2 * page, PROT_NONE,
             MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED
        || mprotect(p + page, MEMORY_SIZE, PROT_READ|PROT_WRITE) != 0)
    {
        return -1;
    }

    memory = p + page;

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_record_size),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_quarter),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_torn_append),
        cmocka_unit_test(test_seek),
        cmocka_unit_test(test_seek_torn_mark),
        cmocka_unit_test(test_stranger),
        cmocka_unit_test(test_interleaved),
        cmocka_unit_test(test_lapped_while_copying),
        cmocka_unit_test(test_tail_before_bytes),
    };

    if (getenv("CMOCKA_MESSAGE_OUTPUT") == NULL) {
        cmocka_set_message_output(CM_OUTPUT_TAP);
    }

    return cmocka_run_group_tests(tests, setup, NULL);
}
