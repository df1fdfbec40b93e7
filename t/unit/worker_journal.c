/*
 * The journal: what is appended is read back; every byte flipped, every
 * truncation; commands of several records; disks that fail.
 *
 * Sources: core/ journal/
 * Libs: -lyajl -lsodium -lpthread
 */


#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

#include <rt_crc32c.h>
#include <rt_io.h>
#include <rt_journal.h>
#include <rt_log.h>

#include "worker_dir.h"


#define SEGMENT  65536


static char            dir[64];
static rt_journal_t    journal;
static uint64_t        addrs[4096];         /* by seq */
static uint64_t        last_addr;

static uint64_t        seen;
static uint64_t        seen_sum;

static rt_io_t         real;
static int             fail_errno;
static unsigned        fail_count;          /* so many calls yet */
static unsigned        calls;


static int
setup(void **state)
{
    (void) state;

    real = rt_io;
    rt_log_level = 0;
    strcpy(dir, "/tmp/rt_journal_XXXXXX");
    last_addr = 0;

    return mkdtemp(dir) ? 0 : -1;
}


static int
teardown(void **state)
{
    (void) state;

    rt_io = real;
    remove_dir(dir);

    return 0;
}


static rt_int_t
on_record(void *data, const rt_record_t *rec)
{
    (void) data;

    seen++;
    seen_sum += rec->seq * 31 + rec->data.len;

    if (rec->seq < 4096 && addrs[rec->seq]) {
        assert_true(addrs[rec->seq] == rec->addr);
    }

    return RT_OK;
}


static void
open_journal(rt_uint_t read_only)
{
    rt_journal_conf_t  conf;

    memset(&conf, 0, sizeof(conf));
    conf.dir = dir;
    conf.segment_size = SEGMENT;
    conf.buffer_size = 4 * SEGMENT;
    conf.read_only = read_only;

    assert_int_equal(rt_journal_open(&journal, &conf), RT_OK);
}


static rt_int_t
recover(rt_scan_result_t *res)
{
    open_journal(0);
    seen = 0;
    seen_sum = 0;

    return rt_journal_recover(&journal, rt_journal_first(&journal), 1, res,
                              on_record, NULL);
}


static void
start(void)
{
    rt_scan_result_t  res;

    assert_int_equal(recover(&res), RT_OK);
    assert_int_equal(rt_journal_start(&journal), RT_OK);
}


static void
stop(void)
{
    assert_int_equal(rt_journal_stop(&journal, 20000), RT_OK);
    rt_journal_close(&journal);
}


static void
append(size_t size, rt_uint_t flags)
{
    u_char       data[2048];
    rt_record_t  rec;

    memset(data, 'a' + (int) (journal.next_seq % 26), sizeof(data));
    memset(&rec, 0, sizeof(rec));

    rec.time_ms = 1000 + journal.next_seq;
    rec.version = journal.next_seq;
    rec.prev = last_addr;
    rec.type = 7;
    rec.lift = 1;
    rec.engine = 1;
    rec.flags = (uint8_t) flags;
    rec.entity.data = (const u_char *) "entity";
    rec.entity.len = 6;
    rec.data.data = data;
    rec.data.len = size;

    while (!rt_journal_has_room(&journal, size + 256)) {
        rt_journal_flush(&journal);
        rt_journal_notified(&journal);
        usleep(100);
    }

    rt_journal_append(&journal, &rec);
    last_addr = rec.addr;

    if (rec.seq < 4096) {
        addrs[rec.seq] = rec.addr;
    }
}


/* on disk, so that what follows is another batch */

static void
sync_all(void)
{
    int  i;

    for (i = 0; journal.durable_seq != journal.next_seq - 1; i++) {
        rt_journal_flush(&journal);
        rt_journal_notified(&journal);
        usleep(100);
        assert_true(i < 100000);
    }
}


static void
three_batches(void)
{
    int  i;

    memset(addrs, 0, sizeof(addrs));
    start();

    for (i = 0; i < 15; i++) {
        append((size_t) (i * 7 % 50), 0);

        if (i % 5 == 4) {
            sync_all();
        }
    }

    stop();
}


static void
test_append_read(void **state)
{
    int               i, n;
    uint64_t          addr, seq;
    rt_record_t       rec;
    rt_scan_result_t  res;

    (void) state;

    memset(addrs, 0, sizeof(addrs));
    start();

    for (i = 0; i < 3000; i++) {
        append((size_t) (i % 700), 0);

        if (i % 97 == 0) {
            rt_journal_flush(&journal);
            rt_journal_notified(&journal);
        }

        /* the chain, also through what is not on disk yet */

        if (i % 500 == 499) {
            addr = last_addr;

            for (seq = journal.next_seq - 1, n = 0; n < 400; seq--, n++) {
                assert_int_equal(rt_journal_read(&journal, addr, &rec), RT_OK);
                assert_true(rec.seq == seq);
                addr = rec.prev;
            }
        }
    }

    sync_all();
    assert_true(journal.segment > 10);

    /* forward, over the ends of segments */

    addr = rt_journal_first(&journal);

    for (i = 1; i <= 3000; i++) {
        assert_int_equal(rt_journal_read(&journal, addr, &rec), RT_OK);
        assert_true(rec.seq == (uint64_t) i);
        assert_int_equal(rec.data.len, (i - 1) % 700);
        addr = rec.next;
    }

    stop();

    assert_int_equal(recover(&res), RT_OK);
    assert_int_equal(seen, 3000);
    assert_int_equal(res.seq, 3001);
    assert_int_equal(res.torn, 0);

    /* dropped segments are no longer read, and are used again */

    assert_int_equal(rt_journal_start(&journal), RT_OK);
    rt_journal_retain(&journal, addrs[1500]);
    assert_int_equal(journal.first_segment, rt_addr_segment(addrs[1500]));
    assert_int_equal(rt_journal_read(&journal, addrs[1], &rec), RT_DECLINED);
    assert_int_equal(rt_journal_read(&journal, addrs[1500], &rec), RT_OK);

    for (i = 0; i < 1000; i++) {
        append(600, 0);
    }

    sync_all();
    stop();

    open_journal(0);
    seen = 0;
    assert_int_equal(rt_journal_recover(&journal, rt_journal_first(&journal),
                                        0, &res, on_record, NULL), RT_OK);
    assert_int_equal(res.seq, 4001);
    rt_journal_close(&journal);
}


static u_char *
load(const char *path, size_t *size)
{
    int          fd;
    u_char      *p;
    struct stat  st;

    fd = open(path, O_RDONLY);
    assert_true(fd != -1);
    assert_int_equal(fstat(fd, &st), 0);

    p = malloc((size_t) st.st_size);
    assert_int_equal(read(fd, p, (size_t) st.st_size), st.st_size);
    close(fd);

    *size = (size_t) st.st_size;

    return p;
}


static void
save(const char *path, const u_char *p, size_t size)
{
    int  fd;

    fd = open(path, O_WRONLY|O_CREAT|O_TRUNC, 0600);
    assert_true(fd != -1);
    assert_int_equal(write(fd, p, size), (ssize_t) size);
    close(fd);
}


static unsigned
seq_at(size_t offset)
{
    unsigned  seq;

    for (seq = 15; seq && rt_addr_offset(addrs[seq]) > offset; seq--) {
        /* void */
    }

    return seq;
}


static void
test_flipped(void **state)
{
    char              path[512];
    size_t            i, end, size, k;
    u_char           *p;
    rt_int_t          rc;
    unsigned          seq;
    rt_scan_result_t  res;

    static const u_char  masks[] = { 0x01, 0x80, 0xff };

    (void) state;

    three_batches();
    snprintf(path, sizeof(path), "%s/00000001.seg", dir);
    p = load(path, &size);
    end = rt_addr_offset(last_addr) + 128;

    for (i = 0; i < end; i++) {
        for (k = 0; k < sizeof(masks); k++) {

            p[i] ^= masks[k];
            save(path, p, size);

            open_journal(1);
            seen = 0;
            rc = rt_journal_scan(&journal, rt_journal_first(&journal), 1, &res,
                                 on_record, NULL);
            rt_journal_close(&journal);

            seq = seq_at(i);

            if (i < RT_SEGMENT_HEADER_SIZE) {
                assert_int_equal(rc, RT_ERROR);
                assert_true(res.damaged);

            } else if (seq <= 10) {

                /* a later batch is whole: this one was on disk */

                assert_int_equal(rc, RT_ERROR);
                assert_true(res.damaged);
                assert_true(res.addr == addrs[seq]);
                assert_int_equal(seen, seq - 1);

            } else {

                /* it may have been torn, or it is after the end */

                assert_int_equal(rc, RT_OK);
                assert_true(seen == seq - 1 || (seq == 15 && seen == 15));
                assert_int_equal(res.seq, seen + 1);
            }

            p[i] ^= masks[k];
        }
    }

    free(p);
}


static void
test_truncated(void **state)
{
    char              path[512];
    size_t            i, end, size;
    u_char           *p;
    unsigned          whole;
    rt_scan_result_t  res;

    (void) state;

    three_batches();
    snprintf(path, sizeof(path), "%s/00000001.seg", dir);
    p = load(path, &size);
    end = rt_addr_offset(last_addr) + 128;

    for (i = 0; i < end; i++) {
        save(path, p, i);

        assert_int_equal(recover(&res), RT_OK);

        for (whole = 0; whole < 15; whole++) {
            if ((whole == 14 ? rt_addr_offset(last_addr) + 104
                 : rt_addr_offset(addrs[whole + 2])) > i)
            {
                break;
            }
        }

        if (whole < 14) {
            assert_int_equal(seen, whole);
        }

        /* and it goes on from there */

        if (i % 37 == 0) {
            uint64_t  was;

            was = seen;
            memset(addrs + seen + 1, 0, 8 * (15 - seen));
            assert_int_equal(rt_journal_start(&journal), RT_OK);
            append(100, 0);
            append(10, 0);
            sync_all();
            stop();
            assert_int_equal(recover(&res), RT_OK);
            assert_int_equal(seen, was + 2);
            rt_journal_close(&journal);

            unlink(path);
            remove_dir(dir);
            assert_int_equal(mkdir(dir, 0700), 0);
            last_addr = 0;
            three_batches();
            free(p);
            p = load(path, &size);
            continue;
        }

        rt_journal_close(&journal);
    }

    free(p);
}


/* the records of one command stand and fall together */

static void
test_commands(void **state)
{
    char              path[512];
    size_t            i, size;
    u_char           *p;
    rt_scan_result_t  res;

    (void) state;

    memset(addrs, 0, sizeof(addrs));
    start();
    append(10, 0);
    sync_all();
    append(10, RT_RECORD_MORE);
    append(20, RT_RECORD_MORE);
    append(30, 0);
    sync_all();
    stop();

    assert_int_equal(recover(&res), RT_OK);
    assert_int_equal(seen, 4);
    rt_journal_close(&journal);

    snprintf(path, sizeof(path), "%s/00000001.seg", dir);
    p = load(path, &size);

    for (i = rt_addr_offset(addrs[2]); i < rt_addr_offset(addrs[4]) + 88; i++) {
        save(path, p, i);
        assert_int_equal(recover(&res), RT_OK);
        assert_int_equal(seen, 1);
        assert_int_equal(journal.offset, rt_addr_offset(addrs[2]));
        assert_int_equal(journal.next_seq, 2);
        rt_journal_close(&journal);
    }

    free(p);
}


/*
 * A command over two segments, the second of which is torn: nothing is left of
 * it in the first, either, that a later start could take for damage.
 */

static void
test_torn_over_segments(void **state)
{
    int               i;
    char              path[512];
    size_t            size;
    u_char           *p;
    uint64_t          n;
    rt_scan_result_t  res;

    (void) state;

    memset(addrs, 0, sizeof(addrs));
    start();

    do {
        append(400, 0);
    } while (journal.offset < SEGMENT - 1500);

    sync_all();
    n = journal.next_seq - 1;

    for (i = 0; i < 5; i++) {
        append(400, i < 4 ? RT_RECORD_MORE : 0);
    }

    assert_int_equal(journal.segment, 2);
    assert_int_equal(rt_addr_segment(addrs[n + 2]), 1);
    sync_all();
    stop();

    snprintf(path, sizeof(path), "%s/00000002.seg", dir);
    p = load(path, &size);
    memset(p + rt_addr_offset(last_addr), 0, 460);
    save(path, p, size);
    free(p);

    assert_int_equal(recover(&res), RT_OK);
    assert_int_equal(seen, n);
    assert_int_equal(res.torn, 1);
    assert_int_equal(rt_journal_start(&journal), RT_OK);

    /* beyond what is written now, END and all are zeros */

    memset(addrs + n + 1, 0, 10 * sizeof(addrs[0]));
    snprintf(path, sizeof(path), "%s/00000001.seg", dir);
    p = load(path, &size);

    for (i = (int) journal.offset; i < (int) size; i++) {
        assert_int_equal(p[i], 0);
    }

    free(p);

    append(10, 0);
    sync_all();
    append(10, 0);
    sync_all();
    stop();

    assert_int_equal(recover(&res), RT_OK);
    assert_int_equal(seen, n + 2);
    rt_journal_close(&journal);
}


/* what a crash leaves of a batch whose later sectors came first */

static void
test_hole_in_batch(void **state)
{
    char              path[512];
    size_t            size;
    u_char           *p;
    rt_scan_result_t  res;

    (void) state;

    three_batches();
    snprintf(path, sizeof(path), "%s/00000001.seg", dir);
    p = load(path, &size);

    memset(p + rt_addr_offset(addrs[12]), 0,
           rt_addr_offset(addrs[13]) - rt_addr_offset(addrs[12]));
    save(path, p, size);

    assert_int_equal(recover(&res), RT_OK);
    assert_int_equal(seen, 11);
    assert_int_equal(res.torn, 1);
    assert_int_equal(rt_journal_start(&journal), RT_OK);

    /* a record of the same size at the same place: 13 must not come back */

    memset(addrs, 0, sizeof(addrs));
    append(11 * 7 % 50, 0);
    sync_all();
    stop();

    assert_int_equal(recover(&res), RT_OK);
    assert_int_equal(seen, 12);
    rt_journal_close(&journal);
    free(p);
}


static void
test_missing_segment(void **state)
{
    int               i;
    char              path[512];
    rt_scan_result_t  res;
    rt_journal_conf_t conf;

    (void) state;

    start();

    for (i = 0; i < 500; i++) {
        append(600, 0);
    }

    sync_all();
    stop();

    /* the first byte of the next segment proves the one before */

    snprintf(path, sizeof(path), "%s/00000002.seg", dir);
    assert_int_equal(truncate(path, 5000), 0);
    assert_int_equal(recover(&res), RT_ERROR);
    assert_true(res.damaged);
    assert_int_equal(rt_addr_segment(res.addr), 2);
    assert_non_null(strstr(res.error, "00000002.seg:"));

    /* repaired, it ends there */

    i = (int) seen;
    assert_int_equal(rt_journal_repair(&journal, &res), RT_OK);
    rt_journal_close(&journal);
    assert_int_equal(recover(&res), RT_OK);
    assert_int_equal(seen, i);
    assert_int_equal(rt_journal_start(&journal), RT_OK);

    for (i = 0; i < 500; i++) {
        append(600, 0);
    }

    sync_all();
    stop();

    unlink(path);
    memset(&conf, 0, sizeof(conf));
    conf.dir = dir;
    assert_int_equal(rt_journal_open(&journal, &conf), RT_ERROR);
}


/* disks that fail */

static ssize_t
short_pwrite(int fd, const void *buf, size_t size, off_t offset)
{
    if (++calls % 3 == 0) {
        errno = EINTR;
        return -1;
    }

    return pwrite(fd, buf, size > 1000 ? 1000 + calls % 7 : size, offset);
}


static ssize_t
short_pread(int fd, void *buf, size_t size, off_t offset)
{
    if (++calls % 3 == 0) {
        errno = EINTR;
        return -1;
    }

    return pread(fd, buf, size > 100 ? 100 + calls % 7 : size, offset);
}


static int
fail_now(void)
{
    if (fail_count) {
        fail_count--;
        errno = fail_errno;
        return 1;
    }

    return 0;
}


static ssize_t
failing_pwrite(int fd, const void *buf, size_t size, off_t offset)
{
    if (fail_now()) {

        /* half of it came through */

        if (pwrite(fd, buf, size / 2, offset) < 0) {
            errno = fail_errno;
        }

        errno = fail_errno;
        return -1;
    }

    return pwrite(fd, buf, size, offset);
}


static int
failing_fdatasync(int fd)
{
    return fail_now() ? -1 : fdatasync(fd);
}


static int
failing_open(const char *path, int flags, mode_t mode)
{
    return fail_now() ? -1 : open(path, flags, mode);
}


static int
slow_fdatasync(int fd)
{
    calls++;
    usleep(5000);

    return fdatasync(fd);
}


static void
test_short_io(void **state)
{
    int               i;
    rt_scan_result_t  res;

    (void) state;

    memset(addrs, 0, sizeof(addrs));
    rt_io.pwrite = short_pwrite;
    rt_io.pread = short_pread;

    start();

    for (i = 0; i < 300; i++) {
        append((size_t) i, 0);

        if (i % 10 == 0) {
            sync_all();
        }
    }

    sync_all();
    stop();

    assert_int_equal(recover(&res), RT_OK);
    assert_int_equal(seen, 300);
    rt_journal_close(&journal);
}


static void
failing(int err)
{
    int               i, told;
    uint64_t          durable;
    rt_scan_result_t  res;

    memset(addrs, 0, sizeof(addrs));
    fail_count = 0;
    start();

    append(100, 0);
    sync_all();

    fail_errno = err;
    fail_count = 6;
    told = 0;

    for (i = 0; i < 50; i++) {
        append(600, 0);
    }

    durable = journal.durable_seq;

    for (i = 0; journal.durable_seq != journal.next_seq - 1; i++) {
        rt_journal_flush(&journal);
        rt_journal_notified(&journal);
        told |= journal.failing != 0;

        /* nothing is called durable that is not */

        if (fail_count > 1) {
            assert_true(journal.durable_seq == durable);
        }

        usleep(1000);
        assert_true(i < 20000);
    }

    rt_journal_notified(&journal);
    assert_true(told);
    assert_false(journal.failing);
    assert_true(journal.stats.errors > 0);

    append(100, 0);
    sync_all();
    stop();

    assert_int_equal(recover(&res), RT_OK);
    assert_int_equal(seen, 52);
    rt_journal_close(&journal);
}


static void
test_write_fails(void **state)
{
    (void) state;

    rt_io.pwrite = failing_pwrite;
    failing(ENOSPC);
}


static void
test_sync_fails(void **state)
{
    (void) state;

    rt_io.fdatasync = failing_fdatasync;
    failing(EIO);
}


/* no room for the next segment, then there is */

static void
test_no_segment(void **state)
{
    int               i;
    unsigned          n;
    rt_scan_result_t  res;

    (void) state;

    memset(addrs, 0, sizeof(addrs));
    start();
    append(100, 0);
    sync_all();

    fail_errno = ENOSPC;
    fail_count = 1000000;
    rt_io.open = failing_open;

    /* the spares, then nothing */

    for (n = 0; !journal.failing && n < 2000; n++) {
        if (rt_journal_has_room(&journal, 1000)) {
            append(600, 0);
        }

        rt_journal_flush(&journal);
        rt_journal_notified(&journal);
        usleep(200);
    }

    assert_true(journal.failing);
    assert_true(journal.durable_seq < journal.next_seq - 1);

    fail_count = 0;

    for (i = 0; journal.durable_seq != journal.next_seq - 1; i++) {
        rt_journal_flush(&journal);
        rt_journal_notified(&journal);
        usleep(1000);
        assert_true(i < 20000);
    }

    n = (unsigned) journal.next_seq - 1;
    stop();

    assert_int_equal(recover(&res), RT_OK);
    assert_int_equal(seen, n);
    rt_journal_close(&journal);
}


/* what comes while one batch syncs goes with the next */

static void
test_slow_sync(void **state)
{
    int  i;

    (void) state;

    rt_io.fdatasync = slow_fdatasync;
    start();
    append(100, 0);
    sync_all();
    calls = 0;

    for (i = 0; i < 200; i++) {
        append(100, 0);
        rt_journal_flush(&journal);
        rt_journal_notified(&journal);
        usleep(100);
    }

    sync_all();
    assert_true(calls < 60);
    assert_true(journal.stats.batch_max > 5);
    stop();
}


static void
test_crc(void **state)
{
    size_t  i;
    u_char  buf[300];

    (void) state;

    /* RFC 3720, B.4 */

    memset(buf, 0, 32);
    assert_int_equal(rt_crc32c(0, buf, 32), 0x8a9136aa);
    memset(buf, 0xff, 32);
    assert_int_equal(rt_crc32c(0, buf, 32), 0x62a8ab43);

    for (i = 0; i < sizeof(buf); i++) {
        buf[i] = (u_char) (i * 7 + i / 3);
        assert_int_equal(rt_crc32c(5, buf, i), rt_crc32c_table(5, buf, i));
        assert_int_equal(rt_crc32c(rt_crc32c(9, buf, i / 2), buf + i / 2,
                                   i - i / 2), rt_crc32c(9, buf, i));
    }
}


#define journal_test(t)  cmocka_unit_test_setup_teardown(t, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        journal_test(test_append_read),
        journal_test(test_flipped),
        journal_test(test_truncated),
        journal_test(test_commands),
        journal_test(test_torn_over_segments),
        journal_test(test_hole_in_batch),
        journal_test(test_missing_segment),
        journal_test(test_short_io),
        journal_test(test_write_fails),
        journal_test(test_sync_fails),
        journal_test(test_no_segment),
        journal_test(test_slow_sync),
        cmocka_unit_test(test_crc)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
