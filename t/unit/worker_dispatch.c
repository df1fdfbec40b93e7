/*
 * Dispatch over a real journal: random commands compared with a slow and
 * obvious model; after each, now and then, the daemon is reopened, with and
 * without a snapshot, and must be what it was.  Idempotency, versions, states
 * of the past, eviction, damaged snapshots; an engine that hears of closed
 * connections; whose watchers are to be counted, and when.
 *
 * Sources: core/ journal/ dispatch/ engine/auction/ rt_engines.c
 * Libs: -lyajl -lsodium -lpthread
 */


#define _GNU_SOURCE                         /* memmem() */

#include "worker_dispatch.h"


#define ask(query, ...)      ask_engine(query, "auction", __VA_ARGS__)
#define command(e, n, u, b)  ask(0, e, n, u, b, "", -1)
#define query(e, n, args)    ask(1, e, n, "", args, "", -1)


/* the model: bids in a list, everything found by looking at all of them */

#define MODEL_BIDDERS  6
#define MODEL_BIDS     4096

typedef struct {
    int      user;
    int64_t  amount;
    int64_t  max;
    int      gone;
} model_bid_t;


typedef struct {
    int          kind;                      /* 0 english, 1 sealed, 2 vickrey */
    int64_t      start, reserve, increment;
    int64_t      price;
    int          leader;
    int          n;
    model_bid_t  bids[MODEL_BIDS];
} model_t;


/* the standing of a user: his greatest max, and the first bid that had it */

static int
model_best(model_t *m, int user)
{
    int  i, best;

    best = -1;

    for (i = 0; i < m->n; i++) {
        if (m->bids[i].user == user && !m->bids[i].gone
            && (best < 0 || m->bids[i].max > m->bids[best].max))
        {
            best = i;
        }
    }

    return best;
}


static void
model_top(model_t *m, int *first, int *second)
{
    int  i, u, b;
    int  order[MODEL_BIDDERS], n;

    n = 0;

    for (u = 0; u < MODEL_BIDDERS; u++) {
        b = model_best(m, u);

        if (b < 0) {
            continue;
        }

        for (i = n++; i > 0
             && (m->bids[b].max > m->bids[order[i - 1]].max
                 || (m->bids[b].max == m->bids[order[i - 1]].max
                     && b < order[i - 1])); i--)
        {
            order[i] = order[i - 1];
        }

        order[i] = b;
    }

    *first = n > 0 ? order[0] : -1;
    *second = n > 1 ? order[1] : -1;
}


static int64_t
model_min(model_t *m)
{
    return m->leader < 0 ? m->start : m->price + m->increment;
}


/* returns the status */

static rt_uint_t
model_bid(model_t *m, int user, int64_t amount, int64_t max)
{
    int      first, second, was, i;
    int64_t  price, mine;

    if (m->kind) {
        if (amount < m->start) {
            return 409;
        }

        for (i = 0; i < m->n; i++) {
            m->bids[i].gone |= m->bids[i].user == user;
        }

        max = amount;

    } else {
        i = model_best(m, user);
        mine = i < 0 ? -1 : m->bids[i].max;

        if (amount < (m->leader == user && max > mine && max > amount
                      ? m->price : model_min(m)))
        {
            return 409;
        }
    }

    m->bids[m->n].user = user;
    m->bids[m->n].amount = amount;
    m->bids[m->n].max = max;
    m->bids[m->n++].gone = 0;

    if (m->kind) {
        return 201;
    }

    was = m->leader;
    model_top(m, &first, &second);
    m->leader = m->bids[first].user;

    price = m->price;

    if (m->leader == user) {
        price = rt_max(price, amount);
    }

    if (!(was == user && m->leader == user) && second >= 0) {
        price = rt_max(price, rt_min(m->bids[first].max,
                                     m->bids[second].max + m->increment));
    }

    if (m->bids[first].max >= m->reserve && m->leader == user) {
        price = rt_max(price, m->reserve);
    }

    m->price = price;

    return 201;
}


static rt_uint_t
model_retract(model_t *m, int user)
{
    int  i, first, second, any, last;

    any = 0;

    for (i = 0; i < m->n; i++) {
        if (m->bids[i].user == user && !m->bids[i].gone) {
            m->bids[i].gone = 1;
            any = 1;
        }
    }

    if (!any) {
        return 404;
    }

    if (m->kind) {
        return 200;
    }

    model_top(m, &first, &second);
    m->price = m->start;
    m->leader = -1;

    if (first >= 0) {
        m->leader = m->bids[first].user;
        last = first;

        for (i = 0; i < m->n; i++) {
            if (m->bids[i].user == m->leader && !m->bids[i].gone) {
                last = i;                   /* the newest visible amount */
            }
        }

        if (second >= 0) {
            m->price = rt_min(m->bids[first].max,
                              m->bids[second].max + m->increment);
        }

        m->price = rt_max(m->price, m->bids[last].amount);

        if (m->bids[first].max >= m->reserve) {
            m->price = rt_max(m->price, m->reserve);
        }
    }

    return 200;
}


static void
model_end(model_t *m, int *winner, int64_t *paid)
{
    int  first, second;

    model_top(m, &first, &second);
    *winner = -1;
    *paid = 0;

    if (first < 0 || m->bids[first].max < m->reserve) {
        return;
    }

    if (m->kind == 0) {
        if (m->price >= m->reserve) {
            *winner = m->leader;
            *paid = m->price;
        }

        return;
    }

    *winner = m->bids[first].user;
    *paid = m->bids[first].max;

    if (m->kind == 2) {
        *paid = rt_max(m->start, m->reserve);

        if (second >= 0) {
            *paid = rt_max(*paid, m->bids[second].max);
        }
    }
}


static void
compare(model_t *m, const char *entity)
{
    char  want[128];

    assert_int_equal(query(entity, "state", ""), 200);

    if (m->kind) {
        part("\"price\":null,\"leader\":null");
        return;
    }

    if (m->leader < 0) {
        sprintf(want, "\"price\":%lld,\"leader\":null", (long long) m->price);
    } else {
        sprintf(want, "\"price\":%lld,\"leader\":\"u%d\"",
                (long long) m->price, m->leader);
    }

    part(want);
    sprintf(want, "\"minimum\":%lld,", (long long) model_min(m));
    part(want);
}


#define ROUNDS     40
#define AUCTIONS   5
#define STEPS      400
#define REMEMBER   64

static void
test_model(void **state)
{
    int         round, step, i, user, winner;
    char        name[32], body[128], who[8], want[128];
    char        kept[REMEMBER][2048], kept_name[REMEMBER][32];
    int64_t     amount, max, paid;
    uint64_t    hash, versions[REMEMBER];
    rt_uint_t   status, nkept;
    model_t    *m, *models;

    static const char  *kinds[] = { "english", "sealed", "vickrey" };

    (void) state;

    models = calloc(AUCTIONS, sizeof(model_t));
    now = rt_time_ms();
    up();

    for (round = 0; round < ROUNDS; round++) {

        nkept = 0;

        for (i = 0; i < AUCTIONS; i++) {
            m = &models[i];
            memset(m, 0, offsetof(model_t, bids));
            m->kind = i < 3 ? 0 : i - 2;
            m->start = 1 + dice(200);
            m->reserve = dice(2) ? 0 : dice(3000);
            m->increment = 1 + dice(60);
            m->price = m->start;
            m->leader = -1;

            sprintf(name, "r%d-%d", round, i);
            sprintf(body, "{\"kind\":\"%s\",\"start\":%lld,\"reserve\":%lld,"
                    "\"increment\":%lld,\"ends_in_ms\":100000}",
                    kinds[m->kind], (long long) m->start,
                    (long long) m->reserve, (long long) m->increment);
            assert_int_equal(command(name, "create", "", body), 201);
        }

        for (step = 0; step < STEPS; step++) {
            i = (int) dice(AUCTIONS);
            m = &models[i];
            sprintf(name, "r%d-%d", round, i);

            user = (int) dice(MODEL_BIDDERS);
            sprintf(who, "u%d", user);
            now += dice(3);

            if (dice(25) == 0) {
                status = command(name, "retract", who, "{}");
                assert_int_equal(status, model_retract(m, user));

            } else {
                amount = m->kind ? (int64_t) dice(4000)
                         : model_min(m) + (int) dice(120) - 40;
                amount = rt_max(amount, 0);
                max = amount + (dice(2) ? (int) dice(500) : 0);

                sprintf(body, "{\"amount\":%lld,\"max\":%lld}",
                        (long long) amount, (long long) max);
                status = command(name, "bid", who, body);
                assert_int_equal(status, model_bid(m, user, amount, max));
            }

            if (dice(10) == 0) {
                compare(m, name);
            }

            if (dice(40) == 0 && nkept < REMEMBER) {
                (void) query(name, "state", "");
                versions[nkept] = a.version;
                strcpy(kept_name[nkept], name);
                snprintf(kept[nkept++], 2048, "%.*s",
                         (int) (strstr(text, "\"starts_at\"") - text), text);
            }

            if (dice(800) == 0) {
                hash = rt_dispatch_hash(&d);
                down(dice(2));
                up();
                assert_true(rt_dispatch_hash(&d) == hash);
            }
        }

        /* the past is what it was, from the journal */

        while (nkept--) {
            sprintf(body, "version=%llu",
                    (unsigned long long) versions[nkept]);
            assert_int_equal(query(kept_name[nkept], "at", body), 200);
            assert_true(a.version == versions[nkept]);
            part(kept[nkept]);
        }

        now += 100000;

        for (i = 0; i < AUCTIONS; i++) {
            sprintf(name, "r%d-%d", round, i);
            model_end(&models[i], &winner, &paid);
            (void) query(name, "state", "");
            part("\"state\":\"closed\"");

            if (winner < 0) {
                part("\"winner\":null,\"paid\":null");
                continue;
            }

            sprintf(want, "\"winner\":\"u%d\",\"paid\":%lld}", winner,
                    (long long) paid);
            part(want);
        }
    }

    hash = rt_dispatch_hash(&d);
    down(0);
    up();
    assert_true(rt_dispatch_hash(&d) == hash);
    down(0);
    free(models);
}


static void
test_idempotency(void **state)
{
    int       i;
    char      first[512], key[32];
    uint64_t  version, seq;

    (void) state;

    now = rt_time_ms();
    up();
    assert_int_equal(command("i", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":100000}"), 201);

    assert_int_equal(ask(0, "i", "bid", "ann", "{\"amount\":5}", "k", -1), 201);
    strcpy(first, text);
    version = a.version;
    seq = a.needs_seq;
    assert_int_equal(a.repeated, 0);

    /* again: at once, later, after a restart, with a snapshot */

    for (i = 0; i < 4; i++) {
        assert_int_equal(ask(0, "i", "bid", "ann", "{\"amount\":5}", "k", -1),
                         201);
        assert_int_equal(a.repeated, 1);
        assert_true(a.version == version);
        assert_string_equal(text, first);

        if (i < 3) {
            assert_true(a.needs_seq == seq);
            down(i > 1);
            up();
        }
    }

    /* another body, another user, another entity */

    assert_int_equal(ask(0, "i", "bid", "ann", "{\"amount\":6}", "k", -1), 422);
    assert_int_equal(ask(0, "i", "bid", "bob", "{\"amount\":6}", "k", -1), 201);
    assert_int_equal(a.repeated, 0);

    /* a refusal, too, is the first answer */

    assert_int_equal(ask(0, "i", "bid", "cat", "{\"amount\":6}", "r", -1), 409);
    assert_int_equal(command("i", "retract", "bob", "{}"), 200);
    assert_int_equal(ask(0, "i", "bid", "cat", "{\"amount\":6}", "r", -1), 409);
    assert_int_equal(a.repeated, 1);

    /* bounded: the oldest go ... */

    for (i = 0; i < 60; i++) {
        sprintf(key, "key-%d", i);
        (void) ask(0, "i", "bid", "ann", "{\"amount\":1}", key, -1);
        assert_true(d.idems.n <= 50);
    }

    assert_int_equal(ask(0, "i", "bid", "ann", "{\"amount\":1}", "key-59", -1),
                     409);
    assert_int_equal(a.repeated, 1);
    (void) ask(0, "i", "bid", "ann", "{\"amount\":7}", "k", -1);
    assert_int_equal(a.repeated, 0);

    /* of the one who has the most, in a replay and with a snapshot, too */

    for (i = 0; i < 3; i++) {
        assert_int_equal(ask(0, "i", "bid", "bob", "{\"amount\":6}", "k", -1),
                         201);
        assert_int_equal(a.repeated, 1);
        (void) ask(0, "i", "bid", "cat", "{\"amount\":6}", "r", -1);
        assert_int_equal(a.repeated, 1);
        (void) ask(0, "i", "bid", "ann", "{\"amount\":7}", "k", -1);
        assert_int_equal(a.repeated, 1);
        assert_true(d.idems.n == 50);

        down(i > 0);
        up();
    }

    /* and too old ones */

    now += conf.idem_age_ms + 1;
    (void) ask(0, "i", "bid", "ann", "{\"amount\":1}", "key-59", -1);
    assert_int_equal(a.repeated, 0);

    down(0);
    up();
    assert_true(d.idems.n <= 50);
    down(0);
}


/* whoever has the journal alone cannot try amounts against the answers */

static void
test_keyed(void **state)
{
    u_char       secret[RT_SECRET_SIZE], *data;
    size_t       n;
    FILE        *f;
    char         path[128];
    uint64_t     hash;
    rt_uint_t    i, found[2];

    static const rt_str_t  name = rt_string("bid");
    static const rt_str_t  body = rt_string("{\"amount\":123}");

    (void) state;

    now = rt_time_ms();
    up();
    assert_int_equal(command("s", "create", "", "{\"kind\":\"vickrey\","
                             "\"start\":1,\"ends_in_ms\":100000}"), 201);
    assert_int_equal(ask(0, "s", "bid", "ann", "{\"amount\":123}", "k", -1),
                     201);
    sync_all();

    sprintf(path, "%s/00000001.seg", dir);
    f = fopen(path, "r");
    assert_non_null(f);
    data = malloc(RT_SEGMENT_SIZE_MIN);
    n = fread(data, 1, RT_SEGMENT_SIZE_MIN, f);
    fclose(f);

    memset(secret, 0, sizeof(secret));

    for (i = 0; i < 2; i++) {
        hash = rt_idem_request(i ? d.secret : secret, name, body);
        found[i] = memmem(data, n, &hash, sizeof(hash)) != NULL;
    }

    assert_int_equal(found[0], 0);
    assert_int_equal(found[1], 1);

    assert_true(rt_idem_request(secret, name, body)
                != rt_idem_request(d.secret, name, body));

    free(data);
    down(0);
}


static void
test_versions(void **state)
{
    uint64_t  then;

    (void) state;

    now = rt_time_ms();
    up();

    assert_int_equal(ask(0, "v", "create", "", "{\"kind\":\"english\","
                         "\"start\":1,\"ends_in_ms\":9000}", "", 1), 412);
    assert_int_equal(ask(0, "v", "create", "", "{\"kind\":\"english\","
                         "\"start\":1,\"ends_in_ms\":9000}", "", 0), 201);
    assert_int_equal(a.version, 1);
    assert_int_equal(command("v", "create", "", "{}"), 409);
    assert_int_equal(ask(0, "v", "bid", "ann", "{\"amount\":2}", "", 2), 412);
    assert_int_equal(a.version, 1);
    assert_int_equal(ask(0, "v", "bid", "ann", "{\"amount\":2}", "", 1), 201);
    assert_int_equal(a.version, 2);
    then = now;
    now += 1000;
    assert_int_equal(ask(0, "v", "bid", "bob", "{\"amount\":3}", "", 2), 201);

    assert_int_equal(query("v", "at", "version=2"), 200);
    part("\"leader\":\"ann\"");
    assert_int_equal(query("v", "at", "version=4"), 404);
    assert_int_equal(query("v", "at", "version=0"), 404);
    assert_int_equal(query("v", "at", "version=x"), 400);
    assert_int_equal(query("v", "at", "version=99999999999999999999"), 400);
    assert_int_equal(query("v", "at", ""), 400);
    sprintf(text, "time=%llu", (unsigned long long) then + 999);
    assert_int_equal(query("v", "at", text), 200);
    part("\"leader\":\"ann\"");
    assert_int_equal(a.version, 2);
    sprintf(text, "time=%llu", (unsigned long long) then - 1);
    assert_int_equal(query("v", "at", text), 404);

    assert_int_equal(query("v", "history", "from=3"), 200);
    part("{\"events\":[{\"version\":3,");
    assert_int_equal(query("v", "history", "from=4"), 200);
    assert_string_equal(text, "{\"events\":[]}");

    assert_int_equal(query("nobody", "state", ""), 404);
    assert_int_equal(query("v", "what", ""), 404);
    assert_int_equal(command("a/b", "create", "", "{}"), 400);
    assert_int_equal(command("\x01", "create", "", "{}"), 400);
    assert_int_equal(command("\xc3", "create", "", "{}"), 400);
    assert_int_equal(command("v", "bid", "ann", "{\"amount\":"), 400);
    part("at byte");

    down(0);
}


/* zeros over a part of the journal's first segment */

static void
destroy(uint32_t from, uint32_t to)
{
    int      fd;
    char     path[512];
    u_char  *zeros;

    snprintf(path, sizeof(path), "%s/00000001.seg", dir);
    fd = open(path, O_RDWR);
    zeros = calloc(1, to - from);
    assert_int_equal(pwrite(fd, zeros, to - from, from), to - from);
    free(zeros);
    close(fd);
}


/*
 * A state is read from the nearest checkpoint: nothing of what lies before is
 * looked at, and a checkpoint that is damaged is passed over.
 */

static void
test_checkpoints(void **state)
{
    int                 i;
    char                body[64], want[64];
    rt_entity_t        *e;
    rt_checkpoint_t    *c;

    (void) state;

    conf.journal.segment_size = 16 * 1024 * 1024;
    now = rt_time_ms();
    up();
    assert_int_equal(command("c", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":1000000}"), 201);

    for (i = 2; i <= 5000; i++) {
        sprintf(body, "{\"amount\":%d}", i);
        assert_int_equal(command("c", "bid", i % 2 ? "ann" : "bob", body), 201);
    }

    assert_int_equal(command("c", "cancel", "", "{}"), 200);
    sync_all();
    assert_int_equal(d.stats.checkpoints, 5001 / RT_CHECKPOINT_EVENTS);

    now += conf.idle_ms + 1;
    d.clock_ms = now;
    rt_dispatch_evict(&d);
    assert_int_equal(d.stats.evicted, 1);
    down(1);
    up();

    e = rt_dispatch_entity(&d, &rt_auction_engine, str("c"));
    assert_null(e->state);
    assert_int_equal(e->ncheckpoints, 5001 / RT_CHECKPOINT_EVENTS);
    c = &e->checkpoints[e->ncheckpoints - 1];

    destroy(RT_SEGMENT_HEADER_SIZE, rt_addr_offset(c[-1].addr));

    for (i = 0; i < 2; i++) {
        assert_int_equal(query("c", "state", ""), 200);
        part("\"state\":\"cancelled\"");
        assert_int_equal(d.stats.reloaded, 1);

        sprintf(body, "version=%d", 5000);
        assert_int_equal(query("c", "at", body), 200);
        sprintf(want, "\"price\":%d,", 5000);
        part(want);

        /* again, without the newest one */

        destroy(rt_addr_offset(c->addr), rt_addr_offset(c->addr) + 16);
        down(0);
        up();
        e = rt_dispatch_entity(&d, &rt_auction_engine, str("c"));
        c = &e->checkpoints[e->ncheckpoints - 1];
    }

    /* without any it is unreadable, which is nobody else's trouble */

    destroy(RT_SEGMENT_HEADER_SIZE, rt_addr_offset(c->addr));
    down(0);
    up();
    assert_int_equal(query("c", "state", ""), 500);
    part("unreadable");
    assert_int_equal(command("c", "bid", "ann", "{\"amount\":9999}"), 500);
    assert_int_equal(query("c", "at", "version=5"), 500);
    assert_int_equal(query("c", "history", "from=5"), 500);
    assert_int_equal(command("d", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":1000000}"), 201);
    down(0);
}


/* requests that wait for old records */

static char  answers[8192];
static int   nanswers;


static void
answered(const rt_request_t *rq, const rt_answer_t *an)
{
    nanswers++;

    if (strlen(answers) < sizeof(answers) - 32) {
        sprintf(answers + strlen(answers), "%d=%d ", (int) rq->id,
                (int) an->status);
    }
}


static rt_int_t
wait_for(int id, const char *entity, const char *name, const void *link)
{
    rt_request_t  rq;

    memset(&rq, 0, sizeof(rq));
    rq.query = strcmp(name, "bid") != 0;
    rq.engine = str("auction");
    rq.entity = str(entity);
    rq.name = str(name);
    rq.user = str("eve");
    rq.args = str(rq.query ? "version=2" : "");
    rq.body = str(rq.query ? "" : "{\"amount\":5000}");
    rq.id = (uint64_t) id;
    rq.link = link;

    return rt_dispatch(&d, &rq, &a);
}


static void
answer_all(int n)
{
    int  i;

    for (i = 0; nanswers < n; i++) {
        assert_true(i < 60000);
        (void) rt_dispatch_tick(&d, 1000);
        usleep(1000);
    }
}


static void
test_reads(void **state)
{
    int   i, links[2];
    char  name[16];

    (void) state;

    now = rt_time_ms();
    up();

    for (i = 0; i < 3; i++) {
        sprintf(name, "e%d", i);
        assert_int_equal(command(name, "create", "", "{\"kind\":\"english\","
                                 "\"start\":1,\"ends_in_ms\":9000000}"), 201);
        assert_int_equal(command(name, "bid", "ann", "{\"amount\":7}"), 201);

        if (i < 2) {
            assert_int_equal(command(name, "cancel", "", "{}"), 200);
        }
    }

    sync_all();
    now += conf.idle_ms + 1;
    d.clock_ms = now;
    rt_dispatch_evict(&d);
    assert_int_equal(d.stats.evicted, 2);

    assert_int_equal(rt_loop_init(), RT_OK);
    assert_int_equal(rt_dispatch_start(&d, answered), RT_OK);

    /* each read once, in the order of its requests; a link leaves */

    answers[0] = '\0';
    assert_int_equal(wait_for(1, "e0", "state", &links[0]), RT_DECLINED);
    assert_int_equal(wait_for(2, "e0", "bid", &links[0]), RT_DECLINED);
    assert_int_equal(wait_for(3, "e0", "state", &links[1]), RT_DECLINED);
    assert_int_equal(wait_for(4, "e0", "nonsense", &links[0]), RT_DECLINED);
    assert_int_equal(wait_for(5, "e2", "state", &links[0]), RT_OK);
    assert_int_equal(d.reads.n, 4);
    rt_dispatch_link_gone(&d, &links[1]);
    answer_all(3);
    assert_string_equal(answers, "1=200 2=409 4=404 ");
    assert_int_equal(d.stats.reloaded, 1);
    assert_int_equal(d.reads.n, 0);
    assert_int_equal(d.reads.bytes, 0);

    /* a query of the past waits for the disk, not for what comes after it */

    assert_int_equal(command("e2", "bid", "bob", "{\"amount\":9}"), 201);
    assert_int_equal(wait_for(6, "e2", "at", &links[0]), RT_DECLINED);
    (void) rt_dispatch_tick(&d, 1000);
    assert_non_null(d.reads.held.first);
    sync_all();
    assert_int_equal(command("e2", "bid", "ann", "{\"amount\":11}"), 201);
    answer_all(4);
    sync_all();

    /* of those only so many */

    nanswers = 0;

    for (i = 0; i < RT_READS_QUERIES; i++) {
        assert_int_equal(wait_for(i, "e2", "history", &links[0]), RT_DECLINED);
    }

    assert_int_equal(wait_for(i, "e2", "history", &links[0]), RT_OK);
    assert_int_equal(a.status, 503);
    answer_all(i);
    assert_int_equal(d.reads.queries, 0);

    /* what still waits at the end is dropped */

    assert_int_equal(wait_for(1, "e1", "state", &links[0]), RT_DECLINED);
    assert_int_equal(wait_for(2, "e1", "at", &links[0]), RT_DECLINED);
    (void) rt_dispatch_tick(&d, 1000);
    down(1);
    rt_loop_done();
}


/* a state of several records; and one that the journal has no room for */

static void
test_large_checkpoint(void **state)
{
    int       i, n;
    char      body[64], user[200];
    uint64_t  hash;

    (void) state;

    conf.journal.buffer_size = 4 * RT_SEGMENT_SIZE_MIN;
    now = rt_time_ms();
    up();
    assert_int_equal(command("c", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":1000000,"
                             "\"max_bidders\":100000}"), 201);

    for (i = 2; i <= 20000; i++) {
        n = sprintf(user, "%d", i);
        memset(user + n, 'u', 180 - (size_t) n);
        user[180] = '\0';
        sprintf(body, "{\"amount\":%d}", i);
        assert_int_equal(command("c", "bid", user, body), 201);
    }

    assert_int_equal(command("c", "cancel", "", "{}"), 200);
    assert_in_range(d.stats.checkpoints, 3, 15);
    hash = rt_dispatch_hash(&d);
    sync_all();
    now += conf.idle_ms + 1;
    d.clock_ms = now;
    rt_dispatch_evict(&d);
    assert_int_equal(d.stats.evicted, 1);
    assert_true(rt_dispatch_hash(&d) == hash);
    assert_int_equal(d.stats.reloaded, 1);
    down(0);
    up();
    assert_true(rt_dispatch_hash(&d) == hash);
    down(0);
}


/* many events of one entity: marks, pages, history from anywhere */

static void
test_long_history(void **state)
{
    int       i;
    char      body[64], want[64];
    uint64_t  hash;

    (void) state;

    now = rt_time_ms();
    up();
    assert_int_equal(command("l", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":100000000}"), 201);
    assert_int_equal(command("other", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":100000000}"), 201);

    for (i = 2; i <= 9000; i++) {
        sprintf(body, "{\"amount\":%d}", i);
        assert_int_equal(command("l", "bid", i % 2 ? "ann" : "bob", body), 201);
        assert_int_equal(a.version, i);

        if (i % 3 == 0) {
            (void) command("other", "bid", "ann", body);
        }

        now += i % 2;
    }

    for (i = 1; i < 9000; i += 257) {
        sprintf(body, "version=%d", i);
        assert_int_equal(query("l", "at", body), 200);
        sprintf(want, "\"price\":%d,", i);
        part(want);

        sprintf(body, "from=%d&limit=2", i);
        assert_int_equal(query("l", "history", body), 200);
        sprintf(want, "{\"events\":[{\"version\":%d,", i);
        part(want);
    }

    assert_true(d.journal.stats.records == 0 || d.journal.segment > 0);

    /* hashes are in the journal, and the replay agrees with them */

    hash = rt_dispatch_hash(&d);
    down(0);
    up();
    assert_true(rt_dispatch_hash(&d) == hash);

    /* the clock closes both, then they are idle */

    now += 200000000;
    d.clock_ms = now;
    assert_int_equal(rt_dispatch_tick(&d, 5000), 5000);
    assert_int_equal(command("e", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":1}"), 201);
    now += 1;
    d.clock_ms = now;
    (void) rt_dispatch_tick(&d, 5000);
    sync_all();
    hash = rt_dispatch_hash(&d);

    now += conf.idle_ms + 1;
    d.clock_ms = now;

    for (i = 0; i < 10; i++) {
        rt_dispatch_evict(&d);
    }

    assert_int_equal(d.stats.evicted, 3);
    down(1);
    up();
    assert_int_equal(query("e", "state", ""), 200);
    part("\"state\":\"closed\"");
    assert_int_equal(d.stats.reloaded, 1);
    assert_true(rt_dispatch_hash(&d) == hash);
    down(0);
}


static void
test_bad_snapshot(void **state)
{
    int        fd, i;
    char       path[512], body[64];
    u_char     c;
    uint64_t   seqs[8], hash;
    rt_uint_t  n;

    (void) state;

    now = rt_time_ms();
    up();
    assert_int_equal(command("s", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":1000000}"), 201);

    for (i = 1; i < 6; i++) {
        sprintf(body, "{\"amount\":%d}", i);
        assert_int_equal(command("s", "bid", "ann", body), 201);
        hash = rt_dispatch_hash(&d);
        down(1);
        up();
        assert_int_equal(d.stats.replayed, 0);
    }

    down(0);

    n = rt_snapshot_list(dir, seqs, 8);
    assert_int_equal(n, RT_SNAPSHOTS);
    assert_true(seqs[0] > seqs[1]);

    /* flipped: the one before; both: everything */

    for (i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/snapshot-%020llu", dir,
                 (unsigned long long) seqs[i]);
        fd = open(path, O_RDWR);
        assert_int_equal(pread(fd, &c, 1, 60), 1);
        c ^= 4;
        assert_int_equal(pwrite(fd, &c, 1, 60), 1);
        close(fd);

        up();
        assert_int_equal(d.stats.replayed, i == 0 ? 1 : 6);
        assert_true(rt_dispatch_hash(&d) == hash);
        down(0);
    }
}


/* entities that are evicted when retention begins are read again in time */

static void
test_retention_evicted(void **state)
{
    int       i, round, status;
    char      body[64];

    (void) state;

    now = rt_time_ms();
    up();
    assert_int_equal(command("idle", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":1}"), 201);
    now += 1;
    assert_int_equal(query("idle", "state", ""), 200);
    sync_all();
    now += conf.idle_ms + 1;
    d.clock_ms = now;
    rt_dispatch_evict(&d);
    rt_dispatch_evict(&d);
    assert_true(d.stats.evicted > 0);
    down(1);

    conf.retain_bytes = 1;
    up();
    assert_int_equal(command("x", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":100000000}"), 201);

    for (round = 0; round < 7; round++) {

        for (i = 1; i <= 20000; i++) {
            sprintf(body, "{\"amount\":%d}", round * 20000 + i);
            assert_int_equal(command("x", "bid", i % 2 ? "ann" : "bob", body),
                             201);
        }

        sync_all();
        assert_int_equal(rt_dispatch_snapshot(&d), RT_OK);
        assert_int_equal(waitpid(d.snapshot_pid, &status, 0), d.snapshot_pid);

        if (round == 3) {
            rt_dispatch_evict(&d);          /* not in that snapshot yet */
            rt_dispatch_evict(&d);
        }

        rt_dispatch_snapshot_exited(&d, status);
        rt_dispatch_snapshot_commit(&d);

        if (round < 5) {
            assert_int_equal(d.journal.first_segment, 1);
        }
    }

    assert_true(d.journal.first_segment > 1);
    down(0);
    up();
    assert_int_equal(query("idle", "state", ""), 200);
    part("\"state\":\"closed\"");
    down(0);
}


/* a child writes the snapshot; old segments go; what is gone is told */

static void
test_retention(void **state)
{
    int       i, fd, round, status;
    char      body[64], path[128], log[1024];
    pid_t     pid;
    ssize_t   n;
    uint64_t  hash;

    (void) state;

    conf.retain_bytes = 1;
    now = rt_time_ms();
    up();

    snprintf(path, sizeof(path), "%s/log", dir);
    rt_log_level = RT_LOG_WARN;
    assert_int_equal(rt_log_open(path), RT_OK);

    assert_int_equal(command("x", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":100000000}"), 201);

    for (round = 0; round < 4; round++) {

        for (i = 1; i <= 20000; i++) {
            sprintf(body, "{\"amount\":%d}", round * 20000 + i);
            assert_int_equal(command("x", "bid", i % 2 ? "ann" : "bob", body),
                             201);
        }

        /* a zone that has confirmed next to nothing keeps them all */

        d.publish_floor = round < 3 ? rt_journal_first(&d.journal) : 0;

        assert_int_equal(rt_dispatch_snapshot(&d), RT_OK);
        assert_int_equal(rt_dispatch_snapshot(&d), RT_DECLINED);
        pid = d.snapshot_pid;
        assert_int_equal(waitpid(pid, &status, 0), pid);

        /* not before the journal has all of it */

        rt_dispatch_snapshot_exited(&d, status);
        rt_dispatch_snapshot_commit(&d);
        sync_all();
        rt_dispatch_snapshot_commit(&d);
        assert_int_equal(d.stats.snapshots, round + 1);
        assert_false(rt_dispatch_snapshot_pending(&d));

        if (round == 2) {
            assert_int_equal(d.journal.first_segment, 1);
        }
    }

    rt_log_level = 0;
    assert_int_equal(rt_log_open(NULL), RT_OK);

    fd = open(path, O_RDONLY);
    n = read(fd, log, sizeof(log) - 1);
    close(fd);
    log[rt_max(n, 0)] = '\0';

    assert_non_null(strstr(log, " 00000001.seg and later are kept beyond "));

    assert_true(d.journal.segment > 4);
    assert_true(d.journal.first_segment > 2);

    assert_int_equal(query("x", "history", "from=1"), 410);
    assert_int_equal(query("x", "history", "from=80000&limit=2"), 200);
    assert_int_equal(query("x", "at", "version=5"), 410);
    assert_int_equal(query("x", "at", "time=1"), 410);

    hash = rt_dispatch_hash(&d);
    down(0);
    up();
    assert_true(rt_dispatch_hash(&d) == hash);
    assert_int_equal(d.stats.replayed, 0);
    down(0);

    /* without any snapshot there is nothing to begin with */

    for (i = 0; i < 2; i++) {
        uint64_t  seqs[4];
        char      path[512];

        assert_true(rt_snapshot_list(dir, seqs, 4) > 0);
        snprintf(path, sizeof(path), "%s/snapshot-%020llu", dir,
                 (unsigned long long) seqs[0]);
        unlink(path);
    }

    assert_int_equal(rt_store_open(&d, &conf), RT_ERROR);
}


/* an engine that wants to know: who is in a room, by connection and user */

#define ROOM_MEMBERS  4096

typedef struct {
    uint64_t  connection;
    char      user;
} room_member_t;


typedef struct {
    size_t         n;
    room_member_t  members[ROOM_MEMBERS];
} room_t;


static void *
room_create(void)
{
    return rt_calloc(sizeof(room_t));
}


static size_t
room_find(const room_t *r, uint64_t connection, char user)
{
    size_t  i;

    for (i = 0; i < r->n; i++) {
        if (r->members[i].connection == connection
            && r->members[i].user == user)
        {
            break;
        }
    }

    return i;
}


static void
room_decide(const void *state, const rt_input_t *in, rt_output_t *out)
{
    char           user;
    u_char         data[9];
    unsigned long  n;
    const room_t  *r;

    r = state;
    user = in->user.len ? (char) in->user.data[0] : '-';

    rt_set64(data, in->connection);
    data[8] = (u_char) user;

    if (in->gone) {
        assert_true(rt_str_is(in->name, "gone"));

        if (room_find(r, in->connection, user) < r->n) {
            rt_emit(out, 3, 1, data, sizeof(data));
        }

        return;
    }

    if (rt_str_is(in->name, "many")) {
        for (n = strtoul((const char *) in->user.data, NULL, 10); n; n--) {
            rt_emit(out, 1, 1, NULL, 0);
        }

    } else if (rt_str_is(in->name, "create") || rt_str_is(in->name, "join")) {
        rt_emit(out, r ? 2 : 1, 1, data, r ? sizeof(data) : 0);

    } else if (!rt_str_is(in->name, "look")) {
        rt_refuse(out, 404, "unknown_command", "no");
        return;
    }

    out->status = 200;
    rt_buf_literal(&out->body, "{}");
}


static void
room_apply(void *state, const rt_event_t *ev)
{
    char     user;
    size_t   i;
    room_t  *r;

    r = state;

    if (ev->type == 1) {
        return;
    }

    user = (char) ev->data.data[8];

    if (ev->type == 2) {
        r->members[r->n].user = user;
        r->members[r->n++].connection = rt_get64(ev->data.data);
        return;
    }

    i = room_find(r, rt_get64(ev->data.data), user);
    memmove(&r->members[i], &r->members[i + 1],
            (r->n - i - 1) * sizeof(room_member_t));
    r->n--;
}


static void
room_query(const void *state, const rt_input_t *in, rt_output_t *out)
{
    size_t         i;
    const room_t  *r;

    (void) in;

    r = state;
    out->status = 200;

    for (i = 0; i < r->n; i++) {
        rt_buf_printf(&out->body, "%c%llu ", r->members[i].user,
                      (unsigned long long) r->members[i].connection);
    }
}


static void
room_snapshot(const void *state, rt_buf_t *b)
{
    size_t         i;
    const room_t  *r;

    r = state;
    rt_buf_put64(b, r->n);

    for (i = 0; i < r->n; i++) {
        rt_buf_put64(b, r->members[i].connection);
        rt_buf_put8(b, (uint8_t) r->members[i].user);
    }
}


static rt_int_t
room_restore(void *state, rt_reader_t *rd)
{
    size_t   i;
    room_t  *r;

    r = state;
    r->n = rt_read64(rd);

    for (i = 0; i < r->n; i++) {
        r->members[i].connection = rt_read64(rd);
        r->members[i].user = (char) rt_read8(rd);
    }

    return RT_OK;
}


static uint64_t
room_due(const void *state)
{
    (void) state;

    return 0;
}


static void
room_describe(const rt_event_t *ev, rt_buf_t *b)
{
    rt_buf_printf(b, "\"type\":%u", ev->type);
}


static rt_uint_t
room_publish(const rt_event_t *ev, rt_uint_t index, rt_message_t *m)
{
    (void) ev;
    (void) index;
    (void) m;

    return 0;
}


static const rt_engine_t  room_engine = {
    .name = "room",
    .id = 100,
    .durability = RT_DURABLE_SYNC,
    .wants_gone = 1,
    .create = room_create,
    .destroy = free,
    .decide = room_decide,
    .apply = room_apply,
    .query = room_query,
    .snapshot = room_snapshot,
    .restore = room_restore,
    .due = room_due,
    .describe = room_describe,
    .publish = room_publish
};


/* an engine that ticks each millisecond, two hundred times */

#define BEATS  200

typedef struct {
    uint64_t  start;
    uint64_t  n;
} metronome_t;


static void *
metronome_create(void)
{
    return rt_calloc(sizeof(metronome_t));
}


static void
metronome_decide(const void *state, const rt_input_t *in, rt_output_t *out)
{
    const metronome_t  *m;

    m = state;

    if (in->tick) {
        rt_emit(out, 2, 1, "", 0);
        return;
    }

    rt_emit(out, m ? 3 : 1, 1, "", 0);

    out->status = 200;
    rt_buf_number(&out->body, m ? (int64_t) m->n : 0);
}


static void
metronome_apply(void *state, const rt_event_t *ev)
{
    metronome_t  *m;

    m = state;
    m->start = ev->type == 1 ? ev->time_ms : m->start;
    m->n += ev->type == 2;
}


static void
metronome_query(const void *state, const rt_input_t *in, rt_output_t *out)
{
    const metronome_t  *m;

    (void) in;

    m = state;
    out->status = 200;
    rt_buf_number(&out->body, (int64_t) m->n);
}


static void
metronome_snapshot(const void *state, rt_buf_t *b)
{
    rt_buf_put(b, state, sizeof(metronome_t));
}


static rt_int_t
metronome_restore(void *state, rt_reader_t *r)
{
    metronome_t  *m;

    m = state;
    m->start = rt_read64(r);
    m->n = rt_read64(r);

    return RT_OK;
}


static uint64_t
metronome_due(const void *state)
{
    const metronome_t  *m;

    m = state;

    return m->n < BEATS ? m->start + m->n + 1 : 0;
}


static const rt_engine_t  metronome_engine = {
    .name = "metronome",
    .id = 101,
    .durability = RT_DURABLE_SYNC,
    .create = metronome_create,
    .destroy = free,
    .decide = metronome_decide,
    .apply = metronome_apply,
    .query = metronome_query,
    .snapshot = metronome_snapshot,
    .restore = metronome_restore,
    .due = metronome_due,
    .describe = room_describe,
    .publish = room_publish
};


/* all ticks that are due come before a command, and before a query */

static void
test_late_ticks(void **state)
{
    uint64_t      t;
    rt_request_t  rq;

    (void) state;

    up();
    t = now = d.clock_ms;
    assert_int_equal(ask_engine(0, "metronome", "c", "create", "", "", "", -1),
                     200);
    assert_int_equal(ask_engine(0, "metronome", "q", "create", "", "", "", -1),
                     200);

    now = t + 10;
    assert_int_equal(ask_engine(0, "metronome", "c", "look", "", "", "", -1),
                     200);
    assert_string_equal(text, "10");

    /* more than are run at once: others have their turn first */

    d.clock_ms = now = t + 1000;
    memset(&rq, 0, sizeof(rq));
    rq.engine = str("metronome");
    rq.entity = str("c");
    rq.name = str("look");
    assert_int_equal(rt_dispatch(&d, &rq, &a), RT_AGAIN);

    assert_int_equal(ask_engine(0, "metronome", "c", "look", "", "", "", -1),
                     200);
    assert_string_equal(text, "200");

    assert_int_equal(ask_engine(1, "metronome", "q", "look", "", "", "", -1),
                     200);
    assert_string_equal(text, "200");
    assert_int_equal(d.stats.ticks, 2 * BEATS);

    sync_all();
    down(0);
}


static int
setup_metronome(void **state)
{
    rt_uint_t  i;

    for (i = 0; rt_engines[i] && rt_engines[i] != &metronome_engine; i++) {
        /* void */
    }

    rt_engines[i] = &metronome_engine;

    return setup(state);
}


static int
setup_room(void **state)
{
    rt_uint_t  i;

    for (i = 0; rt_engines[i] && rt_engines[i] != &room_engine; i++) {
        /* void */
    }

    rt_engines[i] = &room_engine;

    return setup(state);
}


static rt_uint_t
room(const char *entity, const char *name, const char *user,
    uint64_t connection, const void *link)
{
    rt_request_t  rq;

    memset(&rq, 0, sizeof(rq));

    rq.engine = str("room");
    rq.entity = str(entity);
    rq.name = str(name);
    rq.user = str(user);
    rq.connection = connection;
    rq.link = link;

    d.clock_ms = now;

    while (rt_dispatch(&d, &rq, &a) == RT_AGAIN) {
        sync_all();
    }

    snprintf(text, sizeof(text), "%.*s", (int) a.body.len, a.body.data);

    return a.status;
}


static void
members(const char *entity, const char *want)
{
    rt_entity_t  *e;

    e = rt_dispatch_entity(&d, &room_engine, str(entity));
    assert_non_null(e);

    d.out.status = 0;
    rt_buf_reset(&d.out.body);
    room_query(e->state, NULL, &d.out);
    snprintf(text, sizeof(text), "%.*s", (int) rt_buf_size(&d.out.body),
             (char *) d.out.body.pos);
    assert_string_equal(text, want);
}


/* a command has 64 events at most; more are refused, and not one is kept */

static void
test_many_events(void **state)
{
    char  link;

    (void) state;

    now = rt_time_ms();
    up();

    assert_int_equal(room("m", "create", "", 0, &link), 200);
    assert_int_equal(room("m", "many", "64", 0, &link), 200);
    assert_true(a.version == 65);
    assert_int_equal(room("m", "many", "65", 0, &link), 422);
    assert_non_null(strstr(text, "too_large"));
    assert_int_equal(room("m", "many", "10000", 0, &link), 422);
    assert_int_equal(room("m", "many", "1", 0, &link), 200);
    assert_true(a.version == 66);

    down(0);
    up();
    assert_int_equal(room("m", "many", "1", 0, &link), 200);
    assert_true(a.version == 67);
    down(0);
}


static void
test_gone(void **state)
{
    char      l1, l2, user[2];
    uint64_t  hash, i;

    (void) state;

    now = rt_time_ms();
    up();

    assert_int_equal(room("r", "create", "ann", 1, &l1), 200);
    assert_int_equal(room("s", "create", "", 0, &l1), 200);
    assert_int_equal(room("r", "join", "ann", 1, &l1), 200);
    assert_int_equal(room("r", "join", "bob", 1, &l1), 200);
    assert_int_equal(room("r", "join", "cat", 2, &l1), 200);
    assert_int_equal(room("r", "join", "dan", 3, &l2), 200);
    assert_int_equal(room("s", "join", "ann", 1, &l1), 200);
    members("r", "a1 b1 c2 d3 ");
    assert_int_equal(d.visits.n, 5);

    /* an auction does not want to know */

    assert_int_equal(command("g", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":100000}"), 201);
    assert_int_equal(d.visits.n, 5);

    /* of another link, of nobody, and a user who calls himself gone */

    rt_visits_gone(&d.visits, &l2, 1);
    rt_visits_gone(&d.visits, &l1, 77);
    assert_int_equal(room("r", "gone", "cat", 2, &l1), 404);
    assert_int_equal(rt_dispatch_tick(&d, 100) <= 100, 1);
    members("r", "a1 b1 c2 d3 ");
    assert_int_equal(d.stats.gone, 0);

    /* one connection, two users, two rooms */

    rt_visits_gone(&d.visits, &l1, 1);
    rt_visits_gone(&d.visits, &l1, 1);
    (void) rt_dispatch_tick(&d, 100);
    members("r", "c2 d3 ");
    members("s", "");
    assert_int_equal(d.stats.gone, 3);
    assert_int_equal(d.visits.n, 2);

    /* back by another link, before anybody was told */

    rt_visits_gone(&d.visits, &l1, 2);
    assert_int_equal(room("r", "look", "cat", 2, &l2), 200);
    (void) rt_dispatch_tick(&d, 100);
    members("r", "c2 d3 ");
    rt_visits_gone(&d.visits, &l1, 2);
    (void) rt_dispatch_tick(&d, 100);
    members("r", "c2 d3 ");

    /* the journal cannot be written: later */

    rt_visits_gone(&d.visits, &l2, 2);
    d.journal.failing = 1;
    assert_int_equal(rt_dispatch_tick(&d, 1000), 100);
    members("r", "c2 d3 ");
    d.journal.failing = 0;
    (void) rt_dispatch_tick(&d, 100);
    members("r", "d3 ");

    /* it is in the journal */

    hash = rt_dispatch_hash(&d);
    down(0);
    up();
    assert_true(rt_dispatch_hash(&d) == hash);
    members("r", "d3 ");
    assert_int_equal(d.visits.n, 0);

    /* the end of a link is the end of all of them, but so many at a time */

    user[1] = '\0';

    for (i = 0; i < 1500; i++) {
        user[0] = (char) ('a' + i % 26);
        assert_int_equal(room("s", "join", user, 100 + i, &l1), 200);
    }

    assert_int_equal(room("r", "join", "eve", 9, &l2), 200);
    rt_visits_link_gone(&d.visits, &l1);
    assert_int_equal(rt_dispatch_tick(&d, 100), 1);
    assert_int_equal(d.stats.gone, 1000);
    assert_int_equal(rt_dispatch_tick(&d, 100), 100);
    members("s", "");
    members("r", "d3 e9 ");
    assert_int_equal(d.visits.n, 1);

    down(0);
}


static void
test_visits_full(void **state)
{
    char      link, user[3];
    rt_str_t  none = rt_string("");
    uint64_t  i;

    (void) state;

    conf.visits_max = 3;
    now = rt_time_ms();
    up();

    assert_int_equal(room("r", "create", "a", 1, &link), 200);
    assert_int_equal(room("r", "join", "b", 2, &link), 200);
    assert_int_equal(room("r", "join", "c", 3, &link), 200);

    /* nothing of it is decided, be there a room already or not */

    assert_int_equal(room("r", "join", "d", 4, &link), 503);
    part("\"visits\"");
    assert_int_equal(room("s", "create", "d", 4, &link), 503);
    assert_null(rt_dispatch_entity(&d, &room_engine, str("s")));
    members("r", "b2 c3 ");
    assert_int_equal(d.stats.visits_full, 2);

    /* those who are known may, and those without a connection */

    assert_int_equal(room("r", "look", "c", 3, &link), 200);
    assert_int_equal(room("r", "join", "x", 0, &link), 200);

    rt_visits_gone(&d.visits, &link, 2);
    (void) rt_dispatch_tick(&d, 100);
    assert_int_equal(room("r", "join", "d", 4, &link), 200);
    members("r", "c3 x0 d4 ");

    /* one connection may not have all of it */

    d.visits.max = 2 * RT_VISITS_CLIENT;

    for (i = 0; i < RT_VISITS_CLIENT; i++) {
        user[0] = (char) ('A' + i / 32);
        user[1] = (char) ('A' + i % 32);
        user[2] = '\0';
        assert_int_equal(room("r", "look", user, 5, &link), 200);
    }

    assert_int_equal(room("r", "look", "other", 5, &link), 503);
    assert_int_equal(rt_visits_add(&d.visits, &link, 6, NULL, none), RT_OK);
    assert_int_equal(room("r", "look", "AB", 5, &link), 200);

    down(0);
    conf.visits_max = RT_VISITS_MAX;
}


/* who is on the list at that time: names, one after another */

static void
clocks(uint64_t at, const char *want)
{
    char         got[64];
    rt_entity_t  *e;

    now = at;
    d.clock_ms = now;
    (void) rt_dispatch_tick(&d, 5000);
    got[0] = '\0';

    for ( ;; ) {
        e = rt_dispatch_clock_next(&d);

        if (e == NULL) {
            break;
        }

        strncat(got, (char *) e->name, e->name_len);
    }

    assert_string_equal(got, want);
}


static void
test_clocks(void **state)
{
    uint64_t      t;
    rt_entity_t  *e;

    (void) state;

    t = rt_time_ms();
    now = t;
    up();
    t = now;

    assert_int_equal(command("a", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":10000,"
                             "\"clock_ms\":1000,\"snipe_ms\":3000}"), 201);
    assert_int_equal(command("b", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":10150,"
                             "\"clock_ms\":500,\"starts_in_ms\":100}"), 201);
    assert_int_equal(command("c", "create", "", "{\"kind\":\"english\","
                             "\"start\":1,\"ends_in_ms\":10000}"), 201);

    /* counted back from the end, an interval after the start or later */

    clocks(t, "");
    clocks(t + 100, "");
    clocks(t + 749, "");
    clocks(t + 750, "b");
    clocks(t + 750, "");
    clocks(t + 1000, "a");
    assert_int_equal(rt_dispatch_tick(&d, 5000), 250);
    clocks(t + 1250, "b");

    /* late by several: once, and an interval later again */

    clocks(t + 5100, "ba");
    clocks(t + 5749, "");
    clocks(t + 5750, "b");
    clocks(t + 6999, "b");
    clocks(t + 7000, "a");

    /* what is on the list is on it once */

    d.clock_ms = now = t + 8250;
    (void) rt_dispatch_tick(&d, 5000);
    d.clock_ms = now = t + 8750;
    (void) rt_dispatch_tick(&d, 5000);
    clocks(t + 8750, "ba");

    /* the end moves, and the grid with it */

    clocks(t + 9000, "a");
    d.clock_ms = now = t + 9500;
    assert_int_equal(command("a", "bid", "ann", "{\"amount\":1}"), 201);
    clocks(t + 9500, "b");
    clocks(t + 10249, "b");
    clocks(t + 10250, "");                  /* "b" has ended */
    clocks(t + 10499, "");
    clocks(t + 10500, "a");
    clocks(t + 11500, "a");

    /* counts and clocks are nothing to the journal, nor to the hash */

    e = rt_dispatch_entity(&d, &rt_auction_engine, str("a"));
    assert_int_equal(e->version, 2);
    down(0);
    up();
    e = rt_dispatch_entity(&d, &rt_auction_engine, str("a"));
    assert_int_equal(e->version, 2);
    clocks(t + 12000, "a");
    clocks(t + 12500, "");                  /* it has ended */
    clocks(t + 20000, "");
    assert_true(e->due_ms == 0 && e->clock->due_ms == 0);

    down(0);
}


#define dispatch_test(t)  cmocka_unit_test_setup_teardown(t, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        dispatch_test(test_model),
        dispatch_test(test_idempotency),
        dispatch_test(test_versions),
        dispatch_test(test_long_history),
        dispatch_test(test_bad_snapshot),
        dispatch_test(test_retention),
        dispatch_test(test_retention_evicted),
        cmocka_unit_test_setup_teardown(test_many_events, setup_room,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_keyed, setup, teardown),
        dispatch_test(test_checkpoints),
        dispatch_test(test_reads),
        dispatch_test(test_large_checkpoint),
        cmocka_unit_test_setup_teardown(test_gone, setup_room, teardown),
        cmocka_unit_test_setup_teardown(test_visits_full, setup_room, teardown),
        cmocka_unit_test_setup_teardown(test_late_ticks, setup_metronome,
                                        teardown),
        dispatch_test(test_clocks)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
