/*
 * The data directory after accidents: files that are missing, older than the
 * others, or half written; snapshots that fail.
 *
 * Sources: core/ journal/ dispatch/ engine/auction/ rt_engines.c
 * Libs: -lyajl -lsodium -lpthread
 */


#include "worker_dispatch.h"

#include <sys/stat.h>


#define command(e, n, u, b)  ask_engine(0, "auction", e, n, u, b, "", -1)
#define query(e, n, args)    ask_engine(1, "auction", e, n, "", args, "", -1)


static char  path[512], aside[520];


static const char *
in_dir(char *p, const char *name)
{
    snprintf(p, 512, "%s/%s", dir, name);

    return p;
}


static void
create(const char *name)
{
    assert_int_equal(command(name, "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":10000000}"), 201);
}


static void
bids(const char *name, int n)
{
    int   i;
    char  body[64];

    static int  amount;

    for (i = 0; i < n; i++) {
        sprintf(body, "{\"amount\":%d}", ++amount);
        assert_int_equal(command(name, "bid", i % 2 ? "u" : "v", body), 201);
    }

    sync_all();
}


static void
test_lost(void **state)
{
    unsigned  i;

    static const char  *names[] = { "secret", "journal.id" };

    (void) state;

    up();
    create("a");
    down(1);

    for (i = 0; i < 2; i++) {
        in_dir(path, names[i]);
        in_dir(aside, "aside");
        assert_int_equal(rename(path, aside), 0);
        assert_int_equal(rt_store_open(&d, &conf), RT_ERROR);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(rename(aside, path), 0);
        up();
        down(0);
    }
}


/* an older copy of the journal beside newer snapshots */

static void
test_ahead(void **state)
{
    int      fd;
    u_char  *p;

    (void) state;

    up();
    create("a");
    bids("a", 50);
    down(0);

    in_dir(path, "00000001.seg");
    fd = open(path, O_RDWR);
    p = malloc(RT_SEGMENT_SIZE_MIN);
    assert_int_equal(pread(fd, p, RT_SEGMENT_SIZE_MIN, 0),
                     RT_SEGMENT_SIZE_MIN);

    up();
    bids("a", 50);
    down(1);

    assert_int_equal(pwrite(fd, p, RT_SEGMENT_SIZE_MIN, 0),
                     RT_SEGMENT_SIZE_MIN);
    close(fd);
    free(p);

    assert_int_equal(rt_store_open(&d, &conf), RT_ERROR);

    /* without the snapshot it is an old, whole journal */

    in_dir(path, "snapshot-00000000000000000101");
    assert_int_equal(unlink(path), 0);
    up();
    assert_int_equal(d.journal.next_seq, 52);
    down(0);
}


static void
test_begun(void **state)
{
    size_t  i;

    static const char  *gone[] = {
        "snapshot-00000000000000000007.new", "zones.new", "secret.new",
        "journal.id.new", "spare-77.new", "old-3"
    };
    static const char  *stay[] = {
        "old-notes", "spare-time", "zones.new.txt", "snapshot-7.new",
        "old-3.txt", "old-03"
    };

    (void) state;

    for (i = 0; i < 6; i++) {
        close(open(in_dir(path, gone[i]), O_CREAT|O_WRONLY, 0600));
        close(open(in_dir(path, stay[i]), O_CREAT|O_WRONLY, 0600));
    }

    up();
    down(0);

    for (i = 0; i < 6; i++) {
        assert_int_equal(access(in_dir(path, gone[i]), F_OK), -1);
        assert_int_equal(access(in_dir(path, stay[i]), F_OK), 0);
    }
}


/* what fails leaves the addresses as they were, and so retention */

static void
test_failed(void **state)
{
    int        status, i;
    uint64_t   newest, older;

    (void) state;

    conf.retain_bytes = 1;
    up();
    create("a");

    for (i = 0; i < 2; i++) {
        bids("a", 10);
        assert_int_equal(rt_dispatch_snapshot(&d), RT_OK);
        assert_true(waitpid(d.snapshot_pid, &status, 0) != -1);
        assert_int_equal(rt_dispatch_snapshot_child(&d, d.snapshot_pid,
                                                    status), RT_OK);
        assert_int_equal(rt_dispatch_snapshot_commit(&d), RT_OK);
    }

    newest = d.snapshot_addr[0];
    older = d.snapshot_addr[1];
    assert_true(older != 0 && older < newest);

    bids("a", 10);
    assert_int_equal(rt_dispatch_snapshot(&d), RT_OK);
    assert_true(waitpid(d.snapshot_pid, &status, 0) != -1);
    assert_int_equal(rt_dispatch_snapshot_child(&d, d.snapshot_pid, 256),
                     RT_ERROR);
    assert_int_equal(rt_dispatch_snapshot_commit(&d), RT_DECLINED);
    assert_true(d.snapshot_addr[0] == newest && d.snapshot_addr[1] == older);

    /* the name is taken by a directory */

    snprintf(path, sizeof(path), "%s/snapshot-%020llu", dir,
             (unsigned long long) d.journal.next_seq - 1);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(rt_dispatch_snapshot(&d), RT_OK);
    assert_true(waitpid(d.snapshot_pid, &status, 0) != -1);
    assert_int_equal(rt_dispatch_snapshot_child(&d, d.snapshot_pid, status),
                     RT_OK);
    assert_int_equal(rt_dispatch_snapshot_commit(&d), RT_ERROR);
    assert_true(d.snapshot_addr[0] == newest && d.snapshot_addr[1] == older);
    assert_int_equal(d.stats.snapshots_failed, 2);
    assert_int_equal(rmdir(path), 0);

    snprintf(aside, sizeof(aside), "%s.new", path);
    assert_int_equal(access(aside, F_OK), -1);
    down(0);
}


#define store_test(t)  cmocka_unit_test_setup_teardown(t, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        store_test(test_lost),
        store_test(test_ahead),
        store_test(test_begun),
        store_test(test_failed)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
