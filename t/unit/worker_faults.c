/*
 * Each call to the disk fails, once or a few times, with each error, at each
 * place of a journal's life: start, appending over many segments, retention,
 * a snapshot, stop, start.  Nothing that was called durable is lost, and the
 * journal goes on when the disk does, or starts again.
 *
 * Sources: core/ journal/
 * Libs: -lyajl -lsodium -lpthread
 */


#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

#include <rt_io.h>
#include <rt_journal.h>
#include <rt_log.h>
#include <rt_snapshot.h>

#include "worker_dir.h"


#define SEGMENT   65536
#define RECORDS   600                       /* of 600 bytes: six segments */
#define SECONDS   20                        /* a test may wait for the disk */


typedef enum {
    CALL_OPEN, CALL_PREAD, CALL_PWRITE, CALL_FDATASYNC, CALL_FSYNC,
    CALL_RENAME, CALL_UNLINK, CALL_MKDIR, CALL_STAT, CALL_FSTAT,
    CALL_OPENDIR, CALLS
} call_e;


static const char  *names[] = {
    "open", "pread", "pwrite", "fdatasync", "fsync", "rename", "unlink",
    "mkdir", "stat", "fstat", "opendir"
};

static const int  errors[] = { EIO, ENOSPC, EMFILE };

static char           dir[80], base[64];
static rt_journal_t   journal;
static uint64_t       seen;
static rt_io_t        real;

static atomic_int     call;                 /* the one that fails */
static atomic_uint    count;                /* how often it was called */
static unsigned       from, times;          /* fails then, so many times */
static int            error;


static int
fails(call_e c)
{
    unsigned  n;

    if (atomic_load(&call) != (int) c) {
        return 0;
    }

    n = atomic_fetch_add(&count, 1);

    if (n < from || n >= from + times) {
        return 0;
    }

    errno = error;

    return 1;
}


static int
f_open(const char *path, int flags, mode_t mode)
{
    return fails(CALL_OPEN) ? -1 : real.open(path, flags, mode);
}


static ssize_t
f_pread(int fd, void *buf, size_t size, off_t offset)
{
    return fails(CALL_PREAD) ? -1 : real.pread(fd, buf, size, offset);
}


static ssize_t
f_pwrite(int fd, const void *buf, size_t size, off_t offset)
{
    return fails(CALL_PWRITE) ? -1 : real.pwrite(fd, buf, size, offset);
}


static int
f_fdatasync(int fd)
{
    return fails(CALL_FDATASYNC) ? -1 : real.fdatasync(fd);
}


static int
f_fsync(int fd)
{
    return fails(CALL_FSYNC) ? -1 : real.fsync(fd);
}


static int
f_rename(const char *a, const char *b)
{
    return fails(CALL_RENAME) ? -1 : real.rename(a, b);
}


static int
f_unlink(const char *path)
{
    return fails(CALL_UNLINK) ? -1 : real.unlink(path);
}


static int
f_mkdir(const char *path, mode_t mode)
{
    return fails(CALL_MKDIR) ? -1 : real.mkdir(path, mode);
}


static int
f_stat(const char *path, struct stat *st)
{
    return fails(CALL_STAT) ? -1 : real.stat(path, st);
}


static int
f_fstat(int fd, struct stat *st)
{
    return fails(CALL_FSTAT) ? -1 : real.fstat(fd, st);
}


static DIR *
f_opendir(const char *path)
{
    return fails(CALL_OPENDIR) ? NULL : real.opendir(path);
}


static int
setup(void **state)
{
    static const rt_io_t  failing = {
        f_open, f_pread, f_pwrite, f_fdatasync, f_fsync, f_rename, f_unlink,
        f_mkdir, f_stat, f_fstat, f_opendir
    };

    (void) state;

    real = rt_io;
    rt_io = failing;
    rt_log_level = 0;
    atomic_store(&call, -1);

    /* in memory where there is such a place: syncs are not what is tested */

    strcpy(base, "/dev/shm/rt_faults_XXXXXX");

    if (mkdtemp(base) != NULL) {
        snprintf(dir, sizeof(dir), "%s/data", base);
        return 0;
    }

    strcpy(base, "/tmp/rt_faults_XXXXXX");

    if (mkdtemp(base) == NULL) {
        return -1;
    }

    snprintf(dir, sizeof(dir), "%s/data", base);

    return 0;
}


static int
teardown(void **state)
{
    (void) state;

    rt_io = real;
    remove_dir(dir);

    return rmdir(base);
}


static rt_int_t
on_record(void *data, const rt_record_t *rec)
{
    (void) data;

    assert_true(rec->seq > seen);
    seen = rec->seq;

    return RT_OK;
}


static rt_int_t
up(void)
{
    rt_journal_conf_t  conf;
    rt_scan_result_t   res;

    memset(&conf, 0, sizeof(conf));
    conf.dir = dir;
    conf.segment_size = SEGMENT;
    conf.buffer_size = 2 * SEGMENT;
    seen = 0;

    if (rt_journal_open(&journal, &conf) != RT_OK) {
        return RT_ERROR;
    }

    if (rt_journal_recover(&journal, rt_journal_first(&journal), 0, &res,
                           on_record, NULL)
        != RT_OK
        || rt_journal_start(&journal) != RT_OK)
    {
        rt_journal_close(&journal);
        return RT_ERROR;
    }

    return RT_OK;
}


/* a failed start leaves what a later one can use */

static void
up_at_last(uint64_t durable)
{
    unsigned  n;

    for (n = 0; up() != RT_OK; n++) {
        assert_true(n < 5);
    }

    assert_true(seen >= durable);
}


static void
sync_all(void)
{
    unsigned  n;

    for (n = 0; !rt_journal_is_synced(&journal); n++) {
        rt_journal_flush(&journal);
        rt_journal_notified(&journal);
        usleep(100);
        assert_true(n < SECONDS * 10000);
    }
}


static void
append(rt_uint_t flags)
{
    u_char       data[540];
    rt_record_t  rec;

    memset(data, 'x', sizeof(data));
    memset(&rec, 0, sizeof(rec));

    rec.time_ms = 1000 + journal.next_seq;
    rec.version = journal.next_seq;
    rec.type = 7;
    rec.engine = 1;
    rec.flags = (uint8_t) flags;
    rec.entity.data = (const u_char *) "entity";
    rec.entity.len = 6;
    rec.data.data = data;
    rec.data.len = sizeof(data);

    while (!rt_journal_has_room(&journal, 1000)) {
        sync_all();
    }

    rt_journal_append(&journal, &rec);
}


static void
snapshot(void)
{
    rt_snapshot_head_t    head;
    rt_snapshot_writer_t  w;

    memset(&head, 0, sizeof(head));
    head.epoch = journal.epoch;
    head.seq = journal.next_seq - 1;
    head.addr = rt_addr(journal.segment, journal.offset);

    if (rt_snapshot_create(&w, dir, &head) != RT_OK) {
        return;
    }

    rt_buf_put64(&w.buf, 1);

    if (rt_snapshot_finish(&w) != RT_OK) {
        rt_snapshot_abandon(dir, head.seq);
        return;
    }

    (void) rt_snapshot_commit(dir, head.seq);
}


/* returns how often the call was made */

static unsigned
life(call_e c, int err, unsigned at, unsigned n)
{
    unsigned  i;
    uint64_t  last;

    error = err;
    from = at;
    times = n;
    atomic_store(&count, 0);
    atomic_store(&call, (int) c);

    up_at_last(0);

    for (i = 0; i < RECORDS; i++) {
        append(i % 7 == 3 ? RT_RECORD_MORE : 0);

        if (i % 50 == 49) {
            sync_all();
        }

        if (i % 200 == 199) {
            snapshot();
        }

        if (i == RECORDS / 2) {
            sync_all();
            rt_journal_retain(&journal, journal.durable_addr);
        }
    }

    sync_all();
    last = journal.durable_seq;
    assert_int_equal(last, RECORDS);

    assert_int_equal(rt_journal_stop(&journal, SECONDS * 1000), RT_OK);
    rt_journal_close(&journal);

    up_at_last(last);

    for (i = 0; i < 10; i++) {
        append(0);
    }

    sync_all();
    assert_int_equal(rt_journal_stop(&journal, SECONDS * 1000), RT_OK);
    rt_journal_close(&journal);

    atomic_store(&call, -1);

    assert_int_equal(up(), RT_OK);
    assert_int_equal(seen, RECORDS + 10);
    assert_int_equal(rt_journal_stop(&journal, SECONDS * 1000), RT_OK);
    rt_journal_close(&journal);
    remove_dir(dir);

    return atomic_load(&count);
}


/* all places of a call that is made seldom, a choice of those made often */

static void
test_each(void **state)
{
    int       c;
    size_t    e;
    unsigned  at, n, step;

    (void) state;

    for (c = 0; c < CALLS; c++) {

        n = life((call_e) c, EIO, 0, 0);
        assert_true(n > 0);
        step = n / 12 + 1;

        for (at = 0; at < n; at += step) {
            for (e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
                (void) life((call_e) c, errors[e], at + (unsigned) e % step,
                            1 + at % 3);
            }
        }

        print_message("%s: %u calls\n", names[c], n);
    }
}


/* the directory cannot be synced when a spare has become a segment */

static void
test_segment_name(void **state)
{
    unsigned  i;

    (void) state;

    assert_int_equal(up(), RT_OK);
    append(0);
    sync_all();

    error = EIO;
    from = 0;
    times = 3;
    atomic_store(&count, 0);
    atomic_store(&call, CALL_FSYNC);

    /* until the next segment has begun, in spite of it */

    for (i = 0; journal.segment < 3; i++) {
        append(0);
    }

    sync_all();
    assert_true(atomic_load(&count) > 3);
    assert_false(journal.failing);

    assert_int_equal(rt_journal_stop(&journal, SECONDS * 1000), RT_OK);
    rt_journal_close(&journal);
    atomic_store(&call, -1);
}


/* a spare that somebody has removed is not waited for */

static void
test_spare_gone(void **state)
{
    char      path[128];
    unsigned  i, n;

    (void) state;

    assert_int_equal(up(), RT_OK);
    append(0);
    sync_all();

    for (n = 0; n < 10; n++) {
        for (i = 0; i < 20; i++) {
            snprintf(path, sizeof(path), "%s/spare-%u", dir, i);
            (void) unlink(path);
        }

        for (i = 0; i < SEGMENT / 600; i++) {
            append(0);
        }

        sync_all();
    }

    assert_int_equal(rt_journal_stop(&journal, SECONDS * 1000), RT_OK);
    rt_journal_close(&journal);
}


#define faults_test(t)  cmocka_unit_test_setup_teardown(t, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        faults_test(test_each),
        faults_test(test_segment_name),
        faults_test(test_spare_gone)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
