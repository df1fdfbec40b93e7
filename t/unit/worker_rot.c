/*
 * A rotten byte in an old segment: the entity that needs it is unreadable, is
 * logged once, and everybody else is served, after a start, too.
 *
 * Sources: core/ journal/ dispatch/ engine/auction/ rt_engines.c
 * Libs: -lyajl -lsodium -lpthread
 */


#include "worker_dispatch.h"

#include <rt_io.h>
#include <sys/stat.h>


#define command(e, n, u, b)  ask_engine(0, "auction", e, n, u, b, "", -1)
#define query(e, n, args)    ask_engine(1, "auction", e, n, "", args, "", -1)

#define MINUTE  60000


static char     log_path[80];
static rt_io_t  real;


static int
setup_log(void **state)
{
    strcpy(log_path, "/tmp/rt_rot_log_XXXXXX");
    close(mkstemp(log_path));

    if (setup(state) != 0 || rt_log_open(log_path) != RT_OK) {
        return -1;
    }

    rt_log_level = RT_LOG_CRIT;
    real = rt_io;

    return 0;
}


static int
teardown_log(void **state)
{
    rt_io = real;
    unlink(log_path);

    return teardown(state);
}


/* lines of the log with that */

static unsigned
logged(const char *what)
{
    char      line[1024];
    FILE     *f;
    unsigned  n;

    f = fopen(log_path, "r");
    assert_non_null(f);
    n = 0;

    while (fgets(line, sizeof(line), f)) {
        n += strstr(line, what) != NULL;
    }

    fclose(f);

    return n;
}


static void
flip(uint64_t addr)
{
    int     fd;
    char    path[128];
    u_char  c;

    snprintf(path, sizeof(path), "%s/%08u.seg", dir, rt_addr_segment(addr));
    fd = open(path, O_RDWR);
    assert_true(fd != -1);
    assert_int_equal(pread(fd, &c, 1, rt_addr_offset(addr) + 60), 1);
    c ^= 0x10;
    assert_int_equal(pwrite(fd, &c, 1, rt_addr_offset(addr) + 60), 1);
    close(fd);
}


static void
evict(void)
{
    int  i;

    sync_all();
    now += conf.idle_ms + 1;
    d.clock_ms = now;

    for (i = 0; i < 10; i++) {
        rt_dispatch_evict(&d);
    }
}


static rt_entity_t *
entity(const char *name)
{
    return rt_entity_find(&d.entities, &rt_auction_engine, str(name));
}


/* auctions with some bids, over; all of them evicted */

static void
old_auctions(void)
{
    int   i, k;
    char  name[16], body[64];

    up();

    for (i = 0; i < 5; i++) {
        sprintf(name, "a%d", i);
        assert_int_equal(command(name, "create", "", "{\"kind\":\"english\","
                                 "\"start\":1,\"ends_in_ms\":1000}"), 201);

        for (k = 1; k < 40; k++) {
            sprintf(body, "{\"amount\":%d}", k);
            assert_int_equal(command(name, "bid", k % 2 ? "u" : "v", body),
                             201);
        }
    }

    now += MINUTE;
    d.clock_ms = now;
    (void) rt_dispatch_tick(&d, 1000);
    evict();
}


static void
check(const char *rotten, rt_uint_t status)
{
    int   i;
    char  name[16];

    for (i = 0; i < 5; i++) {
        sprintf(name, "a%d", i);

        if (strcmp(name, rotten) != 0) {
            assert_int_equal(query(name, "state", ""), 200);
            assert_int_equal(query(name, "history", ""), 200);
            continue;
        }

        assert_int_equal(query(name, "state", ""), status);
        part(status == 500 ? "\"unreadable\"" : "\"unavailable\"");
        assert_int_equal(query(name, "history", ""), status);
        assert_int_equal(query(name, "at", "version=3"), status);
        assert_int_equal(command(name, "bid", "u", "{\"amount\":99}"), status);
    }
}


static void
test_evicted(void **state)
{
    uint64_t   addr;
    rt_uint_t  n;

    (void) state;

    old_auctions();
    assert_null(entity("a2")->state);
    n = 1;
    assert_int_equal(rt_history_page(&d, entity("a2"), 7, &addr, &n),
                     RT_OK);
    assert_int_equal(n, 1);
    flip(addr);
    d.journal.window_size = 0;

    check("a2", 500);
    check("a2", 500);
    assert_int_equal(logged("[crit]"), 1);
    assert_int_equal(logged("\"auction\" \"a2\" cannot be read"), 1);

    /* what is new is served, and the start does not need the old bytes */

    assert_int_equal(command("new", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":10000000}"), 201);
    assert_int_equal(ask_engine(1, "auctions", "all", "open", "", "", "", -1),
                     200);
    part("\"new\"");
    evict();
    down(1);

    up();
    check("a2", 500);
    assert_int_equal(query("new", "state", ""), 200);
    assert_int_equal(logged("\"a2\" cannot be read"), 2);
    assert_int_equal(logged("\"a2\" cannot be read"), logged("\"auction\" "));
    (void) rt_dispatch_hash(&d);
    down(0);

    /* put back, it is read again */

    flip(addr);
    up();
    assert_int_equal(query("a2", "state", ""), 200);
    down(0);
}


/* an open auction: its state is in memory, its past is not */

static void
test_history(void **state)
{
    int        k;
    char       body[64];
    uint64_t   addr, time_ms;
    rt_uint_t  n;

    (void) state;

    up();
    assert_int_equal(command("a", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":100000000}"), 201);

    for (k = 1; k < 600; k++) {
        now++;
        sprintf(body, "{\"amount\":%d}", k);
        assert_int_equal(command("a", "bid", k % 2 ? "u" : "v", body), 201);
    }

    time_ms = now;
    sync_all();
    n = 1;
    assert_int_equal(rt_history_page(&d, entity("a"), 256, &addr, &n),
                     RT_OK);
    assert_int_equal(n, 1);
    flip(addr);
    d.journal.window_size = 0;

    assert_int_equal(query("a", "state", ""), 200);
    assert_int_equal(query("a", "history", "from=300"), 200);
    assert_int_equal(query("a", "history", "from=200"), 500);
    part("unreadable");
    assert_int_equal(query("a", "at", "version=200"), 500);
    sprintf(body, "time=%llu", (unsigned long long) time_ms - 500);
    assert_int_equal(query("a", "at", body), 500);

    /* from the checkpoint after it */

    assert_int_equal(query("a", "at", "version=400"), 200);
    sprintf(body, "time=%llu", (unsigned long long) time_ms - 10);
    assert_int_equal(query("a", "at", body), 200);
    assert_int_equal(command("a", "bid", "u", "{\"amount\":1000}"), 201);
    assert_int_equal(logged("[crit]"), 1);
    down(1);

    up();
    assert_int_equal(query("a", "state", ""), 200);
    down(0);
}


/* a cursor on all records passes over it */

static void
test_skip(void **state)
{
    uint64_t     addr, next, seq;
    rt_uint_t    n;
    rt_int_t     rc;
    rt_record_t  rec;

    (void) state;

    old_auctions();
    n = 1;
    assert_int_equal(rt_history_page(&d, entity("a1"), 7, &addr, &n),
                     RT_OK);
    assert_int_equal(n, 1);
    assert_int_equal(rt_journal_read(&d.journal, addr, &rec), RT_OK);
    seq = rec.seq;
    next = rec.next;
    flip(addr);
    d.journal.window_size = 0;

    assert_int_equal(rt_journal_try(&d.journal, addr, &rec), RT_ERROR);
    assert_true(rt_journal_skip(&d.journal, addr) == next);

    addr = rt_journal_first(&d.journal);

    for (n = 0; addr < d.journal.durable_addr; n++) {
        rc = rt_journal_read(&d.journal, addr, &rec);

        if (rc == RT_ERROR) {
            addr = rt_journal_skip(&d.journal, addr);
            continue;
        }

        assert_int_equal(rc, RT_OK);
        addr = rec.next;
    }

    assert_int_equal(n, d.journal.next_seq - 1);
    assert_true(seq > 1);
    down(1);

    /* a projection that must be built does without the record */

    rt_store_init(&d, &conf);
    assert_int_equal(rt_journal_open(&d.journal, &conf.journal), RT_OK);
    d.projections[0].since = 0;
    assert_int_equal(rt_projection_build(&d, 1000), RT_OK);
    assert_int_equal(d.projections[0].since, seq + 1);
    rt_store_close(&d);
}


static int
no_descriptors(const char *path, int flags, mode_t mode)
{
    (void) path;
    (void) flags;
    (void) mode;

    errno = EMFILE;

    return -1;
}


/* no descriptors now: later it is read, and nothing is called damaged */

static void
test_descriptors(void **state)
{
    rt_uint_t  i;

    (void) state;

    old_auctions();

    for (i = 0; i < RT_JOURNAL_FDS; i++) {
        if (d.journal.fds[i].fd != -1) {
            close(d.journal.fds[i].fd);
            d.journal.fds[i].fd = -1;
        }
    }

    d.journal.window_size = 0;
    rt_io.open = no_descriptors;

    assert_int_equal(query("a3", "state", ""), 503);
    part("\"unavailable\"");
    assert_int_equal(query("a3", "history", ""), 503);
    assert_int_equal(logged("[crit]"), 1);

    rt_io = real;
    assert_int_equal(query("a3", "state", ""), 200);
    assert_int_equal(query("a3", "history", ""), 200);
    down(1);
}


#define rot_test(t)                                                           \
    cmocka_unit_test_setup_teardown(t, setup_log, teardown_log)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        rot_test(test_evicted),
        rot_test(test_history),
        rot_test(test_skip),
        rot_test(test_descriptors)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
