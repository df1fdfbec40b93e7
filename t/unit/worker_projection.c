/*
 * Projections: the list of auctions after random commands, restarts,
 * snapshots and evictions against one that asks every auction; a projection
 * that comes late, or after retention, or in another revision; its limits.
 *
 * Sources: core/ journal/ dispatch/ engine/auction/ rt_engines.c
 * Libs: -lyajl -lsodium -lpthread
 */


#include "worker_dispatch.h"

#include <rt_crc32c.h>


#define STEPS     30000
#define AUCTIONS  1000

#define command(e, n, u, b)  ask_engine(0, "auction", e, n, u, b, "", -1)
#define look(e, n, args)     ask_engine(1, "auction", e, n, "", args, "", -1)
#define list(n, args)        ask_engine(1, "auctions", "all", n, "", args, "", \
                                        -1)


typedef struct {
    uint64_t  at;
    char      name[32];
    char      json[512];
} row_t;


static row_t  rows[AUCTIONS];


/* "name":value of the last answer, as it stands there */

static const char *
value(const char *name)
{
    char         key[32], *p;
    size_t       n;
    static char  values[16][64];
    static int   i;

    snprintf(key, sizeof(key), "\"%s\":", name);
    p = strstr(text, key);
    assert_non_null(p);
    p += strlen(key);
    n = strcspn(p, ",}");

    i = (i + 1) % 16;
    snprintf(values[i], sizeof(values[i]), "%.*s", (int) n, p);

    return values[i];
}


static int
row_compare(const void *a, const void *b)
{
    const row_t  *x, *y;

    x = a;
    y = b;

    return x->at != y->at ? (x->at < y->at ? -1 : 1)
                          : strcmp(x->name, y->name);
}


/* what the list must be, by asking each auction */

static int
expected(int created, const char *state, const char *by)
{
    int    i, n;
    char   name[32];
    row_t *row;

    n = 0;

    for (i = 0; i < created; i++) {
        sprintf(name, "a%d", i);
        assert_int_equal(look(name, "state", ""), 200);

        if (strncmp(value("state") + 1, state, strlen(state)) != 0) {
            continue;
        }

        row = &rows[n++];
        strcpy(row->name, name);
        row->at = strtoull(value(by), NULL, 10);

        snprintf(row->json, sizeof(row->json),
                 "{\"auction\":\"%s\",\"kind\":%s,\"currency\":%s,"
                 "\"price\":%s,\"leader\":%s,\"bids\":%s,\"start\":%s,"
                 "\"buy_now\":%s,\"starts_at\":%s,\"ends_at\":%s,"
                 "\"version\":%llu}", name, value("kind"), value("currency"),
                 value("price"), value("leader"), value("bids"),
                 value("start"), value("buy_now"), value("starts_at"),
                 value("ends_at"), (unsigned long long) a.version);
    }

    qsort(rows, (size_t) n, sizeof(row_t), row_compare);

    return n;
}


static void
compare(int created, const char *state, const char *by)
{
    int       i, k, n, size;
    char      args[128], count[64], *p, *next;

    n = expected(created, state, by);
    size = 1 + (int) dice(60);
    sprintf(args, "n=%d", size);
    i = 0;

    do {
        assert_int_equal(list(state, args), 200);

        p = text + strlen("{\"auctions\":[");

        for (k = 0; k < size && i < n; k++, i++) {
            p += k > 0;

            if (strncmp(p, rows[i].json, strlen(rows[i].json)) != 0) {
                fail_msg("%d of %d: %s, not %s", i, n, p, rows[i].json);
            }

            p += strlen(rows[i].json);
        }

        assert_memory_equal(p, "],\"next\":", 9);
        sprintf(count, ",\"count\":%d,\"unlisted\":0,\"since\":1,", n);
        part(count);

        p += 9;
        next = NULL;

        if (*p == '"') {
            next = p + 1;
            *strchr(next, '"') = '\0';
            sprintf(args, "n=%d&after=%s", size, next);
        }

        assert_true((next != NULL) == (i < n));

    } while (next);
}


static void
ticks(void)
{
    d.clock_ms = now;

    while (rt_dispatch_tick(&d, 5000) <= 1) {
        sync_all();
    }
}


static void
create(int i)
{
    char  name[32], body[256];

    static const char  *kinds[] = { "english", "english", "dutch", "sealed",
                                    "vickrey" };

    sprintf(name, "a%d", i);
    sprintf(body, "{\"kind\":\"%s\",\"currency\":\"EUR\",\"start\":%u,"
            "\"reserve\":%u,\"increment\":%u,\"ends_in_ms\":%u,"
            "\"starts_in_ms\":%u,\"snipe_ms\":%u%s}", kinds[dice(5)],
            1000 + dice(100), dice(2) ? 0 : dice(900), 1 + dice(50),
            1000 * (1 + dice(90)), dice(3) ? 0 : dice(8000), dice(3000),
            dice(2) ? ",\"buy_now\":4000" : "");
    assert_int_equal(command(name, "create", "", body), 201);
}


static void
step(int created)
{
    char         name[32], who[8], body[64];
    unsigned     amount;
    const char  *what;

    /* mostly one of the last, for they are open */

    sprintf(name, "a%u", (unsigned) created - 1
            - dice(rt_min((unsigned) created, 40u)));
    sprintf(who, "u%u", dice(6));
    amount = 900 + dice(1u << (10 + dice(16)));
    sprintf(body, "{\"amount\":%u,\"max\":%u}", amount,
            amount + dice(amount / 8));

    what = dice(12) ? "bid" : dice(2) ? "retract" : dice(2) ? "buy"
           : dice(2) ? "close" : "cancel";

    (void) command(name, what, who, strcmp(what, "bid") ? "{}" : body);
}


static void
test_random(void **state)
{
    int       i, created, reloaded;
    uint64_t  hash;

    (void) state;

    created = 0;
    reloaded = 0;
    now = rt_time_ms();
    up();

    assert_int_equal(list("open", ""), 200);
    part("{\"auctions\":[],\"next\":null,\"count\":0,");
    assert_int_equal(a.version, 0);

    for (i = 0; i < STEPS; i++) {

        if (created < AUCTIONS && dice(STEPS / AUCTIONS / 2) == 0) {
            create(created++);
        }

        if (created) {
            step(created);
        }

        now += dice(10);

        if (dice(200) == 0) {
            ticks();
            compare(created, "open", "ends_at");
            compare(created, "scheduled", "starts_at");
        }

        if (dice(1000) == 0) {
            ticks();
            sync_all();
            now += conf.idle_ms + 1;
            d.clock_ms = now;
            rt_dispatch_evict(&d);
            rt_dispatch_evict(&d);
        }

        if (dice(400) == 0) {
            hash = dice(2) ? rt_dispatch_hash(&d) : 0;
            reloaded += (int) d.stats.reloaded;
            down(dice(2));
            up();
            assert_true(hash == 0 || rt_dispatch_hash(&d) == hash);
        }
    }

    assert_true(reloaded > 10);
    assert_int_equal(created, AUCTIONS);

    assert_int_equal(list("open", ""), 200);
    assert_true(a.needs_seq == d.journal.next_seq - 1);

    hash = rt_dispatch_hash(&d);
    down(0);
    up();
    assert_true(rt_dispatch_hash(&d) == hash);
    down(0);
}


static struct rt_engine_s  changed;


static rt_int_t
not_restored(void *state, rt_reader_t *r)
{
    (void) state;
    (void) r;

    fail_msg("it must be built anew");

    return RT_ERROR;
}


static void
use(const rt_engine_t *projection)
{
    assert_ptr_equal(rt_engines[0], &rt_auction_engine);
    rt_engines[1] = projection;
}


static void
test_late(void **state)
{
    int       i, created;
    uint64_t  hash;

    (void) state;

    /* a program without it; then with it, from a snapshot and some more */

    use(NULL);
    now = rt_time_ms();
    up();

    for (created = 0; created < 30; created++) {
        create(created);
        step(created + 1);
    }

    down(1);
    up();
    step(created);
    down(0);

    use(&rt_auctions_engine);
    up();
    compare(created, "open", "ends_at");
    hash = rt_dispatch_hash(&d);
    down(0);

    up();
    assert_in_range(d.stats.replayed, 0, 2);
    compare(created, "open", "ends_at");
    assert_true(rt_dispatch_hash(&d) == hash);
    down(1);

    /* now it is in the snapshot; in another revision it is not */

    up();
    assert_true(rt_dispatch_hash(&d) == hash);
    assert_int_equal(d.stats.replayed, 0);
    down(0);

    changed = rt_auctions_engine;
    changed.revision++;
    changed.restore = not_restored;
    use(&changed);
    up();
    assert_int_equal(d.stats.replayed, 0);
    assert_true(rt_dispatch_hash(&d) == hash);

    for (i = 0; i < 20; i++) {
        step(created);
    }

    compare(created, "open", "ends_at");
    down(1);

    /* and a program that has given it up starts, too */

    use(NULL);
    up();
    assert_int_equal(list("open", ""), 404);
    part("unknown_engine");
    down(1);

    use(&rt_auctions_engine);
    up();
    compare(created, "open", "ends_at");
    down(0);
}


static void
test_retention(void **state)
{
    int          i, round, fd, err;
    char         body[64], path[512], log[4096];
    ssize_t      n;
    uint64_t     since;

    (void) state;

    conf.retain_bytes = 1;
    use(NULL);
    now = rt_time_ms();
    up();
    assert_int_equal(command("old", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":100000000}"), 201);

    for (round = 0; round < 3; round++) {

        for (i = 1; i <= 20000; i++) {
            sprintf(body, "{\"amount\":%d}", round * 20000 + i);
            assert_int_equal(command("old", "bid", i % 2 ? "ann" : "bob",
                                     body), 201);
        }

        sync_all();
        assert_int_equal(rt_dispatch_snapshot(&d), RT_OK);
        assert_int_equal(waitpid(d.snapshot_pid, &err, 0), d.snapshot_pid);
        rt_dispatch_snapshot_exited(&d, err);
        rt_dispatch_snapshot_commit(&d);
    }

    assert_true(d.journal.first_segment > 2);
    down(1);

    use(&rt_auctions_engine);
    snprintf(path, sizeof(path), "%s/log", dir);
    rt_log_level = RT_LOG_WARN;
    assert_int_equal(rt_log_open(path), RT_OK);
    up();
    rt_log_level = 0;

    fd = open(path, O_RDONLY);
    n = read(fd, log, sizeof(log) - 1);
    close(fd);
    log[rt_max(n, 0)] = '\0';

    since = d.projections[0].since;
    assert_true(since > 1000);
    sprintf(body, "\"auctions\" begins at seq %llu:",
            (unsigned long long) since);
    assert_non_null(strstr(log, body));

    /* it does not know what it has not seen, and says so */

    assert_int_equal(command("new", "create", "", "{\"kind\":\"sealed\","
                             "\"start\":1,\"ends_in_ms\":1000}"), 201);
    assert_int_equal(list("open", ""), 200);
    sprintf(body, "\"count\":1,\"unlisted\":0,\"since\":%llu,",
            (unsigned long long) since);
    part(body);
    part("[{\"auction\":\"new\",\"kind\":\"sealed\",");

    /* and does so again after a restart, whatever is kept then */

    down(1);
    up();
    assert_int_equal(list("open", ""), 200);
    part(body);
    down(0);
}


static void
test_refusals(void **state)
{
    int          i;
    rt_uint_t    seq;

    static const char  *bad[] = {
        "n=0", "n=201", "n=x", "after=x", "after=-", "after=12", "after=1x-a",
        "after=1234567890123456-a"
    };

    (void) state;

    now = rt_time_ms();
    up();
    create(0);
    seq = d.journal.next_seq;

    assert_int_equal(ask_engine(0, "auctions", "all", "create", "ann", "{}",
                                "", -1), 409);
    part("\"error\":\"read_only\"");
    assert_int_equal(ask_engine(0, "auctions", "new", "bid", "ann", "{}",
                                "key", 3), 409);
    assert_int_equal(d.journal.next_seq, seq);

    assert_int_equal(list("history", ""), 404);
    assert_int_equal(list("events", ""), 404);
    assert_int_equal(list("at", "version=1"), 404);
    part("\"error\":\"unknown_query\"");
    assert_int_equal(ask_engine(1, "auctions", "none", "open", "", "", "", -1),
                     404);
    part("\"error\":\"not_found\"");
    assert_int_equal(d.projected.n, 1);

    for (i = 0; i < (int) (sizeof(bad) / sizeof(bad[0])); i++) {
        assert_int_equal(list("open", bad[i]), 400);
    }

    assert_int_equal(list("open", "after=&n=1"), 200);
    assert_int_equal(list("open", "after=1-a%26b&n=200"), 200);

    /* a limit of entities, not of commands */

    d.projections[0].entities = RT_PROJECTED_MAX;
    rt_entities_free(&d.projected);
    rt_entities_init(&d.projected);
    d.projections[0].last = NULL;
    create(1);
    assert_int_equal(d.projections[0].passed_over, 1);
    assert_int_equal(list("open", ""), 200);
    part("\"auctions\":[]");
    down(0);
}


/* as many as there may be, and one more */

static void
test_full(void **state)
{
    int           i;
    char          name[32];
    void         *s, *other;
    rt_buf_t      b, c;
    rt_event_t    ev;
    rt_input_t    in;
    rt_output_t   out;
    rt_reader_t   r;
    rt_json_t     json;

    static const char  terms[] = "{\"kind\":\"english\",\"start\":1,"
                                 "\"ends_in_ms\":1000}";

    (void) state;

    memset(&in, 0, sizeof(in));
    memset(&out, 0, sizeof(out));
    memset(&json, 0, sizeof(json));
    memset(&b, 0, sizeof(b));
    memset(&c, 0, sizeof(c));

    in.time_ms = 1000000;
    in.name = str("create");
    in.json = &json;
    assert_int_equal(rt_json_parse(&json, (const u_char *) terms,
                                   sizeof(terms) - 1), RT_OK);
    in.data = &json.nodes[0];

    s = rt_auctions_engine.create();
    other = rt_auctions_engine.create();

    for (i = 0; i <= 100000; i++) {
        in.time_ms = 1000000 + (uint64_t) dice(1000);
        out.n = 0;
        rt_buf_reset(&out.data);
        rt_buf_reset(&out.body);
        rt_auction_engine.decide(NULL, &in, &out);

        memset(&ev, 0, sizeof(ev));
        sprintf(name, "%d", i * 7919 % 100001);
        ev.entity = str(name);
        ev.version = 1;
        ev.time_ms = in.time_ms;
        ev.type = out.events[0].type;
        ev.data = rt_buf_str(&out.data);
        rt_auctions_engine.apply(s, &ev);
    }

    in.time_ms = 1000000;
    in.entity = str("all");
    in.name = str("open");
    in.args = str("n=1");
    rt_buf_reset(&out.body);
    rt_auctions_engine.query(s, &in, &out);
    snprintf(text, sizeof(text), "%.*s", (int) rt_buf_size(&out.body),
             out.body.pos);
    part("\"count\":100000,\"unlisted\":1,");

    rt_auctions_engine.snapshot(s, &b);
    rt_reader_init(&r, b.pos, rt_buf_size(&b));
    assert_int_equal(rt_auctions_engine.restore(other, &r), RT_OK);
    assert_ptr_equal(r.pos, r.last);
    rt_auctions_engine.snapshot(other, &c);
    assert_true(rt_str_eq(rt_buf_str(&b), rt_buf_str(&c)));

    rt_auctions_engine.destroy(s);
    rt_auctions_engine.destroy(other);
    rt_buf_free(&b);
    rt_buf_free(&c);
    rt_buf_free(&out.data);
    free(out.events);
    rt_buf_free(&out.body);
    rt_json_free(&json);
}


#define dispatch_test(t)  cmocka_unit_test_setup_teardown(t, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        dispatch_test(test_random),
        dispatch_test(test_late),
        dispatch_test(test_retention),
        dispatch_test(test_refusals),
        cmocka_unit_test(test_full)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
