/*
 * Auction rules, case by case: proxies and ties, reserve, increments, the
 * snipe's edges, Dutch, sealed, Vickrey, buying, limits, retraction, the
 * clock; that nothing leaks; input that is wrong; and layouts of former days.
 *
 * Sources: core/ engine/auction/ rt_engines.c
 * Libs: -lyajl -lsodium
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sodium.h>

#include <rt_auction.h>
#include <rt_engine.h>


#define T0  1000000ull


static void         *auction;
static uint64_t      version;
static uint64_t      now;
static rt_output_t   out;
static rt_json_t     json;
static char          text[65536];           /* the last answer */
static char          events[65536];         /* all public events */

static u_char        secret[RT_SECRET_SIZE] = "not a secret at all";


static void
collect(const rt_event_t *ev)
{
    rt_buf_t  b;

    memset(&b, 0, sizeof(b));
    rt_auction_engine.describe(ev, &b);
    snprintf(events + strlen(events), sizeof(events) - strlen(events),
             "{%.*s}\n", (int) rt_buf_size(&b), b.pos);
    rt_buf_free(&b);
}


static void
run(rt_input_t *in)
{
    rt_uint_t   i;
    rt_event_t  ev;

    in->time_ms = now;
    in->seed = now * 7919 + version;
    in->secret = secret;
    in->entity.data = (const u_char *) "a";
    in->entity.len = 1;
    in->version = version;

    out.status = 0;
    out.n = 0;
    rt_buf_reset(&out.body);
    rt_buf_reset(&out.data);

    rt_auction_engine.decide(auction, in, &out);

    snprintf(text, sizeof(text), "%.*s", (int) rt_buf_size(&out.body),
             out.body.pos ? (char *) out.body.pos : "");

    for (i = 0; i < out.n; i++) {
        if (auction == NULL) {
            auction = rt_auction_engine.create();
        }

        ev.time_ms = now;
        ev.version = ++version;
        ev.type = out.events[i].type;
        ev.lift = out.events[i].lift;
        ev.entity = in->entity;
        ev.data.data = out.data.pos + out.events[i].start;
        ev.data.len = out.events[i].size;

        rt_auction_engine.apply(auction, &ev);
        collect(&ev);
    }
}


static void
tick(void)
{
    uint64_t    due;
    rt_input_t  in;

    for ( ;; ) {
        due = auction ? rt_auction_engine.due(auction) : 0;

        if (due == 0 || due > now) {
            return;
        }

        memset(&in, 0, sizeof(in));
        in.tick = 1;
        run(&in);
        assert_true(out.n > 0);
    }
}


static rt_uint_t
cmd(const char *user, const char *name, const char *body)
{
    rt_input_t  in;

    tick();

    assert_int_equal(rt_json_parse(&json, (const u_char *) body, strlen(body)),
                     RT_OK);

    memset(&in, 0, sizeof(in));
    in.name.data = (const u_char *) name;
    in.name.len = strlen(name);
    in.user.data = (const u_char *) user;
    in.user.len = strlen(user);
    in.json = &json;
    in.data = &json.nodes[0];

    run(&in);

    return out.status;
}


static const char *
ask(const char *user, const char *name)
{
    rt_input_t  in;

    tick();
    memset(&in, 0, sizeof(in));
    in.name.data = (const u_char *) name;
    in.name.len = strlen(name);
    in.user.data = (const u_char *) user;
    in.user.len = strlen(user);
    in.time_ms = now;
    in.secret = secret;
    in.entity.data = (const u_char *) "a";
    in.entity.len = 1;

    out.status = 0;
    rt_buf_reset(&out.body);
    rt_auction_engine.query(auction, &in, &out);
    snprintf(text, sizeof(text), "%.*s", (int) rt_buf_size(&out.body),
             out.body.pos);

    return text;
}


static void
begin(const char *terms)
{
    if (auction) {
        rt_auction_engine.destroy(auction);
        auction = NULL;
    }

    version = 0;
    now = T0;
    events[0] = '\0';

    assert_int_equal(cmd("sue", "create", terms), 201);
}


static void
has(const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("no %s in %s", part, text);
    }
}


static void
has_not(const char *where, const char *part)
{
    if (strstr(where, part) != NULL) {
        fail_msg("%s in %s", part, where);
    }
}


/* bids and what the auction says after each */

typedef struct {
    const char  *user;
    int          amount;
    int          max;                       /* 0: none */
    rt_uint_t    status;
    int          price;                     /* or the minimum, when too low */
    const char  *leader;
} bid_t;


static void
bids(const bid_t *b, size_t n)
{
    char  body[128], part[128];

    for ( /* void */ ; n; n--, b++) {
        if (b->max) {
            sprintf(body, "{\"amount\":%d,\"max\":%d}", b->amount, b->max);
        } else {
            sprintf(body, "{\"amount\":%d}", b->amount);
        }

        assert_int_equal(cmd(b->user, "bid", body), b->status);

        if (b->status == 409) {
            has("\"too_low\"");
            sprintf(part, "\"minimum\":%d}", b->price);
            has(part);
            continue;
        }

        sprintf(part, "\"price\":%d,\"leader\":\"%s\"", b->price, b->leader);
        has(part);
    }
}

#define check(list)  bids(list, sizeof(list) / sizeof(bid_t))


static void
test_proxy(void **state)
{
    static const bid_t  proxies[] = {
        { "ann", 99, 0, 409, 100, "" },
        { "ann", 150, 400, 201, 150, "ann" },
        { "bob", 199, 0, 409, 200, "" },
        { "bob", 200, 0, 201, 250, "ann" },     /* ann's proxy answers */
        { "bob", 300, 380, 201, 400, "ann" },   /* not above her max */
        { "cat", 449, 0, 409, 450, "" },
        { "cat", 450, 0, 201, 450, "cat" },
        { "ann", 500, 900, 201, 500, "ann" },   /* amount is visible */
        { "dan", 550, 2000, 201, 950, "dan" },  /* 900 + 50 */
        { "dan", 950, 3000, 201, 950, "dan" },  /* raises only his max */
        { "eve", 1000, 0, 201, 1050, "dan" },
        { "eve", 2990, 0, 201, 3000, "dan" },
        { "eve", 3050, 0, 201, 3050, "eve" }
    };

    static const bid_t  tie[] = {
        { "ann", 100, 400, 201, 100, "ann" },
        { "bob", 200, 400, 201, 400, "ann" },   /* the earlier wins */
        { "bob", 440, 0, 409, 450, "" },
        { "bob", 450, 0, 201, 450, "bob" }
    };

    (void) state;

    begin("{\"kind\":\"english\",\"start\":100,\"increment\":50,"
          "\"ends_in_ms\":60000}");
    check(proxies);

    begin("{\"kind\":\"english\",\"start\":100,\"increment\":50,"
          "\"ends_in_ms\":60000}");
    check(tie);
}


static void
test_reserve(void **state)
{
    static const bid_t  below[] = {
        { "ann", 100, 0, 201, 100, "ann" },
        { "bob", 150, 400, 201, 150, "bob" },
    };

    static const bid_t  above[] = {
        { "ann", 200, 800, 201, 500, "ann" },   /* max reaches it */
    };

    (void) state;

    begin("{\"kind\":\"english\",\"start\":100,\"increment\":50,"
          "\"reserve\":500,\"ends_in_ms\":60000}");
    check(below);
    ask("", "state");
    has("\"reserve_met\":false");
    check(above);
    ask("", "state");
    has("\"reserve_met\":true");
    now += 60000;
    ask("", "state");
    has("\"state\":\"closed\"");
    has("\"winner\":\"ann\",\"paid\":500");

    /* not met: nobody wins, and the reserve is told to nobody */

    begin("{\"kind\":\"english\",\"start\":100,\"increment\":50,"
          "\"reserve\":7777,\"ends_in_ms\":60000}");
    check(below);
    now += 60000;
    ask("", "state");
    has("\"winner\":null,\"paid\":null");
    has_not(text, "7777");
    has_not(events, "7777");
}


static void
test_increments(void **state)
{
    static const bid_t  table[] = {
        { "ann", 100, 0, 201, 100, "ann" },
        { "bob", 104, 0, 409, 105, "" },
        { "bob", 995, 0, 201, 995, "bob" },
        { "ann", 999, 0, 409, 1000, "" },
        { "ann", 1000, 0, 201, 1000, "ann" },
        { "bob", 1099, 0, 409, 1100, "" },
        { "bob", 1100, 0, 201, 1100, "bob" },
    };

    (void) state;

    begin("{\"kind\":\"english\",\"start\":100,\"increment\":1,\"increments\":"
          "[{\"from\":100,\"by\":5},{\"from\":1000,\"by\":100}],"
          "\"ends_in_ms\":60000}");
    check(table);
}


static void
ends(uint64_t at)
{
    char  part[64];

    sprintf(part, "\"ends_at\":%llu", (unsigned long long) at);
    has(part);
}


static void
test_snipe(void **state)
{
    (void) state;

    begin("{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":60000,"
          "\"snipe_ms\":5000,\"snipe_cap_ms\":7000}");

    now = T0 + 54999;                       /* 5001 ms are left */
    assert_int_equal(cmd("ann", "bid", "{\"amount\":1}"), 201);
    ends(T0 + 60000);

    now = T0 + 55000;                       /* exactly 5000: same end */
    assert_int_equal(cmd("bob", "bid", "{\"amount\":2}"), 201);
    ends(T0 + 60000);

    now = T0 + 55001;
    assert_int_equal(cmd("ann", "bid", "{\"amount\":3}"), 201);
    ends(T0 + 60001);

    /* refused bids extend nothing */

    now = T0 + 60000;
    assert_int_equal(cmd("bob", "bid", "{\"amount\":3}"), 409);
    ask("", "state");
    ends(T0 + 60001);

    /* the cap, then the last millisecond and the end's own */

    assert_int_equal(cmd("bob", "bid", "{\"amount\":4}"), 201);
    ends(T0 + 65000);
    now = T0 + 64999;
    assert_int_equal(cmd("ann", "bid", "{\"amount\":5}"), 201);
    ends(T0 + 67000);
    now = T0 + 66999;
    assert_int_equal(cmd("bob", "bid", "{\"amount\":6}"), 201);
    ends(T0 + 67000);
    now = T0 + 67000;
    assert_int_equal(cmd("ann", "bid", "{\"amount\":7}"), 409);
    has("\"closed\"");
    ask("", "state");
    has("\"winner\":\"bob\",\"paid\":6");
}


static void
test_dutch(void **state)
{
    (void) state;

    begin("{\"kind\":\"dutch\",\"start\":1000,\"reserve\":100,"
          "\"increment\":200,\"step_ms\":1000,\"ends_in_ms\":60000}");

    now = T0 + 999;
    ask("", "state");
    has("\"price\":1000");
    now = T0 + 1000;
    ask("", "state");
    has("\"price\":800");
    now = T0 + 2500;
    assert_int_equal(cmd("ann", "bid", "{\"amount\":599}"), 409);
    has("\"minimum\":600");
    now = T0 + 30000;                       /* not below the reserve */
    ask("", "state");
    has("\"price\":100,");
    now = T0 + 30001;
    assert_int_equal(cmd("ann", "bid", "{\"amount\":700}"), 201);
    has("\"paid\":100");
    assert_int_equal(cmd("bob", "buy", "{}"), 409);
    ask("", "state");
    has("\"winner\":\"ann\",\"paid\":100");

    begin("{\"kind\":\"dutch\",\"start\":1000,\"ends_in_ms\":11000}");
    now = T0 + 5000;
    assert_int_equal(cmd("bob", "buy", "{}"), 200);
    has("\"paid\":500");

    begin("{\"kind\":\"dutch\",\"start\":1000,\"ends_in_ms\":11000}");
    now = T0 + 11000;
    assert_int_equal(cmd("bob", "buy", "{}"), 409);
    ask("", "state");
    has("\"winner\":null");
}


static void
sealed(const char *kind)
{
    char  terms[128];

    sprintf(terms, "{\"kind\":\"%s\",\"start\":100,\"reserve\":300,"
            "\"ends_in_ms\":60000}", kind);
    begin(terms);

    assert_int_equal(cmd("ann", "bid", "{\"amount\":99}"), 409);
    has("\"minimum\":100");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":71231}"), 201);
    assert_int_equal(cmd("bob", "bid", "{\"amount\":81232}"), 201);
    assert_int_equal(cmd("cat", "bid", "{\"amount\":81232}"), 201);
}


static void
leaks_nothing(void)
{
    size_t    i;
    u_char    number[8];
    rt_buf_t  b;

    ask("eve", "state");
    has("\"price\":null,\"leader\":null");
    has("\"bids\":3");
    has_not(text, "bob");
    has_not(events, "bob");
    has_not(events, "1232");
    ask("eve", "mine");
    has("\"bids\":0");
    ask("bob", "mine");
    has("\"amount\":81232");
    has("\"leading\":false");

    /* nor is it in a snapshot */

    memset(&b, 0, sizeof(b));
    rt_auction_engine.snapshot(auction, &b);
    rt_set64(number, 81232);

    for (i = 0; i + 8 <= rt_buf_size(&b); i++) {
        assert_memory_not_equal(b.pos + i, number, 3);
    }

    rt_buf_free(&b);
}


static void
test_sealed(void **state)
{
    (void) state;

    sealed("sealed");
    leaks_nothing();
    now += 60000;
    ask("", "state");
    has("\"winner\":\"bob\",\"paid\":81232");   /* the earlier of equals */

    sealed("vickrey");
    leaks_nothing();
    now += 60000;
    ask("", "state");
    has("\"winner\":\"bob\",\"paid\":81232");   /* the second price is equal */

    /* a later bid replaces; one bidder pays the reserve */

    sealed("vickrey");
    assert_int_equal(cmd("bob", "bid", "{\"amount\":500}"), 201);
    assert_int_equal(cmd("cat", "retract", "{}"), 200);
    has_not(events, "cat");
    now += 60000;
    ask("", "state");
    has("\"winner\":\"ann\",\"paid\":500");

    sealed("vickrey");
    assert_int_equal(cmd("cat", "retract", "{}"), 200);
    assert_int_equal(cmd("bob", "retract", "{}"), 200);
    assert_int_equal(cmd("sue", "close", "{}"), 200);
    has("\"winner\":\"ann\"");
    has("\"paid\":300");

    /* the reserve is not met */

    begin("{\"kind\":\"vickrey\",\"start\":100,\"reserve\":300,"
          "\"ends_in_ms\":60000}");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":299}"), 201);
    now += 60000;
    ask("", "state");
    has("\"winner\":null");

    /* with another secret nobody wins by chance */

    sealed("sealed");
    secret[0] ^= 1;
    now += 60000;
    ask("", "state");
    has("\"winner\":null");
    has_not(events, "1232");
    assert_non_null(strstr(events, "unsealable"));
    secret[0] ^= 1;
}


static void
test_buy_now(void **state)
{
    (void) state;

    begin("{\"kind\":\"english\",\"start\":100,\"buy_now\":900,"
          "\"ends_in_ms\":60000}");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":100}"), 201);
    assert_int_equal(cmd("bob", "buy", "{}"), 200);
    has("\"winner\":\"bob\"");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":5000}"), 409);
    ask("", "state");
    has("\"winner\":\"bob\",\"paid\":900");

    begin("{\"kind\":\"english\",\"start\":100,\"buy_now\":900,"
          "\"ends_in_ms\":60000}");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":900}"), 201);
    assert_int_equal(cmd("bob", "buy", "{}"), 409);
    has("no_buy_now");

    begin("{\"kind\":\"english\",\"start\":100,\"ends_in_ms\":60000}");
    assert_int_equal(cmd("bob", "buy", "{}"), 409);
}


static void
test_retract(void **state)
{
    static const bid_t  three[] = {
        { "ann", 100, 300, 201, 100, "ann" },
        { "bob", 150, 500, 201, 350, "bob" },
        { "cat", 400, 0, 201, 450, "bob" },
    };

    (void) state;

    begin("{\"kind\":\"english\",\"start\":100,\"increment\":50,"
          "\"snipe_ms\":5000,\"ends_in_ms\":60000}");
    check(three);
    assert_int_equal(cmd("eve", "retract", "{}"), 404);
    assert_int_equal(cmd("bob", "retract", "{}"), 200);
    ask("", "state");
    has("\"price\":400,\"leader\":\"cat\"");
    assert_int_equal(cmd("cat", "retract", "{}"), 200);
    ask("", "state");
    has("\"price\":100,\"leader\":\"ann\"");
    now = T0 + 55000;
    assert_int_equal(cmd("ann", "retract", "{}"), 409);
    has("too_late");
    now = T0 + 54999;
    assert_int_equal(cmd("ann", "retract", "{}"), 200);
    ask("", "state");
    has("\"price\":100,\"leader\":null");
    has("\"minimum\":100");

    begin("{\"kind\":\"english\",\"start\":100,\"retraction\":false,"
          "\"ends_in_ms\":60000}");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":100}"), 201);
    assert_int_equal(cmd("ann", "retract", "{}"), 409);
    has("binding");
}


/* for so long after the bid, and not so near the end */

static void
test_retract_times(void **state)
{
    (void) state;

    begin("{\"kind\":\"english\",\"start\":100,\"ends_in_ms\":60000,"
          "\"snipe_ms\":5000,\"retract_within_ms\":1000,"
          "\"retract_before_ms\":20000}");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":100}"), 201);
    now = T0 + 1000;
    assert_int_equal(cmd("ann", "retract", "{}"), 200);

    /* a later bid does not set the earlier one free */

    assert_int_equal(cmd("ann", "bid", "{\"amount\":100}"), 201);
    now = T0 + 2000;
    assert_int_equal(cmd("ann", "bid", "{\"amount\":200}"), 201);
    now = T0 + 2001;
    assert_int_equal(cmd("ann", "retract", "{}"), 409);
    has("too_late");
    has("after 1000 ms");

    now = T0 + 39999;
    assert_int_equal(cmd("bob", "bid", "{\"amount\":300}"), 201);
    assert_int_equal(cmd("bob", "retract", "{}"), 200);
    assert_int_equal(cmd("bob", "bid", "{\"amount\":300}"), 201);
    now = T0 + 40000;
    assert_int_equal(cmd("bob", "retract", "{}"), 409);
    has("in the last 20000 ms");

    /* without the first all the time; the second may be less than snipe_ms */

    begin("{\"kind\":\"english\",\"start\":100,\"ends_in_ms\":60000,"
          "\"snipe_ms\":5000,\"retract_before_ms\":0}");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":100}"), 201);
    now = T0 + 59999;
    assert_int_equal(cmd("ann", "retract", "{}"), 200);

    /* a sealed bid is replaced by the later one */

    begin("{\"kind\":\"sealed\",\"start\":100,\"ends_in_ms\":60000,"
          "\"retract_within_ms\":1000}");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":100}"), 201);
    now = T0 + 1001;
    assert_int_equal(cmd("ann", "retract", "{}"), 409);
    assert_int_equal(cmd("ann", "bid", "{\"amount\":200}"), 201);
    assert_int_equal(cmd("ann", "retract", "{}"), 200);
}


static uint64_t
clock_after(uint64_t last)
{
    return rt_auction_engine.clock(auction, last);
}


/* what is said to them, in text */

static rt_uint_t
live(uint64_t watchers, uint64_t told)
{
    rt_uint_t      rc;
    rt_message_t   m;
    rt_audience_t  a;

    memset(&m, 0, sizeof(m));

    a.time_ms = now;
    a.version = version;
    a.watchers = watchers;
    a.told = told;

    rc = rt_auction_engine.live(auction, &a, &m);
    snprintf(text, sizeof(text), "%.*s", (int) rt_buf_size(&m.body),
             rc ? (char *) m.body.pos : "");

    if (rc) {
        assert_string_equal(m.event, "clock");
    }

    rt_buf_free(&m.topic);
    rt_buf_free(&m.body);

    return rc;
}


static void
test_clock(void **state)
{
    size_t      i;
    uint64_t    at, n;
    rt_buf_t    topic;
    rt_str_t    name = rt_string("a");

    static const char  *kinds[] = { "dutch", "sealed", "vickrey" };

    (void) state;

    begin("{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":60000}");
    assert_true(clock_after(0) == 0);

    begin("{\"kind\":\"english\",\"start\":100,\"reserve\":500,"
          "\"starts_in_ms\":1000,\"ends_in_ms\":60100,\"snipe_ms\":5000,"
          "\"clock_ms\":1000}");
    assert_true(clock_after(0) == 0);       /* it is not open */
    now = T0 + 1000;
    tick();

    /* counted back from the end, a whole interval apart, never at the end */

    assert_true(clock_after(0) == T0 + 2100);
    assert_true(clock_after(now) == T0 + 2100);
    assert_true(clock_after(T0 + 1100) == T0 + 2100);
    assert_true(clock_after(T0 + 1101) == T0 + 3100);

    for (at = T0 + 2100, n = 1; clock_after(at); at = clock_after(at), n++) {
        assert_true(clock_after(at) == at + 1000);
    }

    assert_int_equal(n, 59);
    assert_true(at == T0 + 60100);

    /* those who have come or gone; the last ten in any case */

    now = T0 + 51099;
    assert_false(live(7, 7));
    assert_true(live(7, 8));
    has("{\"type\":\"clock\",\"now\":1051099,\"ends_at\":1061100,"
        "\"price\":100,\"version\":2,\"watchers\":7}");
    now = T0 + 51100;
    assert_true(live(7, 7));

    /* the end moves, and the clock with it; no leader, no max */

    now = T0 + 60600;
    assert_int_equal(cmd("ann", "bid", "{\"amount\":100,\"max\":450}"), 201);
    assert_true(clock_after(T0 + 60100) == T0 + 61600);
    assert_true(live(1, 1));
    has("\"ends_at\":1065600,\"price\":100,\"version\":3,");
    has_not(text, "ann");
    has_not(text, "450");
    has_not(text, "500");

    /* over: by the clock, and before its tick; by a command */

    now = T0 + 65600;
    assert_false(live(1, 0));
    tick();
    assert_true(clock_after(T0 + 60100) == 0);
    assert_false(live(1, 0));

    begin("{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":60000,"
          "\"clock_ms\":250}");
    assert_int_equal(cmd("sue", "cancel", "{}"), 200);
    assert_true(clock_after(T0) == 0);
    assert_false(live(1, 0));

    /* a Dutch price falls; a sealed one is nobody's business */

    for (i = 0; i < 3; i++) {
        char  terms[160];

        sprintf(terms, "{\"kind\":\"%s\",\"start\":1000,\"reserve\":0,"
                "\"ends_in_ms\":11000,\"clock_ms\":60000}", kinds[i]);
        begin(terms);
        assert_true(clock_after(T0) == 0);  /* longer than all of it */

        sprintf(terms, "{\"kind\":\"%s\",\"start\":1000,\"reserve\":0,"
                "\"ends_in_ms\":11000,\"clock_ms\":500}", kinds[i]);
        begin(terms);
        now = T0 + 5000;

        if (i == 0) {
            assert_true(live(2, 0));
            has("\"price\":500,");
            continue;
        }

        assert_int_equal(cmd("ann", "bid", "{\"amount\":1234}"), 201);
        assert_true(live(2, 0));
        has("\"ends_at\":1011000,\"version\":2,\"watchers\":2}");
        has_not(text, "price");
        has_not(text, "ann");
    }

    memset(&topic, 0, sizeof(topic));
    rt_auction_engine.watched(name, &topic);
    assert_int_equal(rt_buf_size(&topic), 9);
    assert_memory_equal(topic.pos, "auction/a", 9);
    rt_buf_free(&topic);
}


/* "created" and a snapshot as they were written before there was a clock */

#define OLD_TERMS(step_ms)                                                    \
    "\x00" "\x01" "\x03\0\0\0EUR" "\x03\0\0\0sue"                            \
    "\x64\0\0\0\0\0\0\0" "\xf4\x01\0\0\0\0\0\0" "\x32\0\0\0\0\0\0\0"      \
    "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\x40\x42\x0f\0\0\0\0\0"       \
    "\x40\x42\x0f\0\0\0\0\0" "\xa0\x2c\x10\0\0\0\0\0"                       \
    "\x88\x13\0\0\0\0\0\0" "\xf0\xef\x10\0\0\0\0\0" step_ms "\0\0\0\0\0\0\0" \
    "\xe8\x03\0\0" "\0\0\0\0" "\0\0\0\0"

static const char  old_created[] = OLD_TERMS("\0");

static const char  old_snapshot[] = "\x01" OLD_TERMS("\x01") "\x01"
    "\x96\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0"
    "\xff\xff\xff\xff\xff\xff\xff\xff" "\0\0\0\0\0\0\0\0"
    "\xa0\x2c\x10\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\x01\0\0\0\0\0\0\0"
    "\x01\0\0\0" "\x03\0\0\0ann" "\x01\0\0\0"
    "\x96\0\0\0\0\0\0\0" "\x90\x01\0\0\0\0\0\0" "\x02\0\0\0\0\0\0\0"
    "\x00";


static void
is_old_snapshot(void *a)
{
    rt_buf_t  b;

    memset(&b, 0, sizeof(b));
    rt_auction_engine.snapshot(a, &b);
    assert_int_equal(rt_buf_size(&b), sizeof(old_snapshot) - 1);
    assert_memory_equal(b.pos, old_snapshot, sizeof(old_snapshot) - 1);
    rt_buf_free(&b);
}


static void
test_layouts(void **state)
{
    void         *old, *new;
    rt_buf_t      b, again, lifted[2];
    rt_event_t    ev;
    rt_reader_t   r;

    (void) state;

    memset(&b, 0, sizeof(b));
    memset(&again, 0, sizeof(again));

    /* the same auction, then and now */

    begin("{\"kind\":\"english\",\"currency\":\"EUR\",\"start\":100,"
          "\"reserve\":500,\"increment\":50,\"ends_in_ms\":60000,"
          "\"snipe_ms\":5000}");
    assert_int_equal(out.events[0].lift, 2);

    memset(&ev, 0, sizeof(ev));
    ev.time_ms = T0;
    ev.version = 1;
    ev.type = out.events[0].type;
    ev.lift = 1;
    ev.data.data = (const u_char *) old_created;
    ev.data.len = sizeof(old_created) - 1;

    memset(lifted, 0, sizeof(lifted));
    assert_int_equal(rt_engine_lift(&rt_auction_engine, &ev, lifted), RT_OK);
    assert_int_equal(ev.lift, 2);
    assert_int_equal(ev.data.len, out.events[0].size);
    assert_memory_equal(ev.data.data, out.data.pos, ev.data.len);
    rt_buf_free(&lifted[1]);

    /* its snapshot is what it always was, for its hash is in the journal */

    assert_int_equal(cmd("ann", "bid", "{\"amount\":150,\"max\":400}"), 201);
    is_old_snapshot(auction);

    old = rt_auction_engine.create();
    rt_reader_init(&r, old_snapshot, sizeof(old_snapshot) - 1);
    assert_int_equal(rt_auction_engine.restore(old, &r), RT_OK);
    assert_ptr_equal(r.pos, r.last);
    is_old_snapshot(old);
    rt_auction_engine.destroy(old);

    /* today's, with what the old one cannot say */

    begin("{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":60000,"
          "\"clock_ms\":250,\"retract_within_ms\":1000}");
    now += 5000;
    assert_int_equal(cmd("ann", "bid", "{\"amount\":1}"), 201);
    rt_buf_reset(&b);
    rt_auction_engine.snapshot(auction, &b);
    assert_int_equal(*b.pos, 2);

    new = rt_auction_engine.create();
    rt_reader_init(&r, b.pos, rt_buf_size(&b));
    assert_int_equal(rt_auction_engine.restore(new, &r), RT_OK);
    rt_auction_engine.snapshot(new, &again);
    assert_true(rt_str_eq(rt_buf_str(&again), rt_buf_str(&b)));

    rt_auction_engine.destroy(auction);
    auction = new;
    assert_true(clock_after(now) == now + 250);
    now += 1000;
    assert_int_equal(cmd("ann", "retract", "{}"), 200);

    /* one of a day to come */

    *b.pos = 3;
    new = rt_auction_engine.create();
    rt_reader_init(&r, b.pos, rt_buf_size(&b));
    assert_int_equal(rt_auction_engine.restore(new, &r), RT_ERROR);
    rt_auction_engine.destroy(new);

    rt_buf_free(&b);
    rt_buf_free(&again);
}


static void
test_limits(void **state)
{
    (void) state;

    begin("{\"kind\":\"english\",\"start\":1,\"bidder_max\":1000,"
          "\"bidder_bids\":2,\"max_bidders\":2,\"ends_in_ms\":60000}");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":1,\"max\":1001}"), 409);
    has("over_limit");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":1}"), 201);
    assert_int_equal(cmd("bob", "bid", "{\"amount\":2}"), 201);
    assert_int_equal(cmd("cat", "bid", "{\"amount\":3}"), 409);
    has("too_many_bidders");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":3}"), 201);
    assert_int_equal(cmd("bob", "bid", "{\"amount\":4}"), 201);
    assert_int_equal(cmd("ann", "bid", "{\"amount\":5}"), 409);
    has("too_many_bids");
}


/* the seller neither bids nor walks away from a bid that binds */

static void
test_seller(void **state)
{
    size_t  i;
    char    terms[128];

    static const char  *kinds[] = { "english", "dutch", "sealed", "vickrey" };

    (void) state;

    for (i = 0; i < 4; i++) {
        sprintf(terms, "{\"kind\":\"%s\",\"start\":100,\"reserve\":50,"
                "\"ends_in_ms\":1000}", kinds[i]);
        begin(terms);
        assert_int_equal(cmd("sue", "bid", "{\"amount\":100}"), 403);
        has("own_auction");
        assert_int_equal(cmd("sue", "buy", "{}"), 403);
        assert_int_equal(cmd("ann", "cancel", "{}"), 403);
        assert_int_equal(cmd("sue", "cancel", "{}"), 200);
    }

    /* with a reserve: until it is met */

    begin("{\"kind\":\"english\",\"start\":100,\"reserve\":300,"
          "\"ends_in_ms\":1000}");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":299}"), 201);
    assert_int_equal(cmd("sue", "cancel", "{}"), 200);

    begin("{\"kind\":\"english\",\"start\":100,\"reserve\":300,"
          "\"ends_in_ms\":1000}");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":100,\"max\":300}"), 201);
    assert_int_equal(cmd("sue", "cancel", "{}"), 409);
    has("has_bids");
    assert_int_equal(cmd("sue", "close", "{}"), 200);
    has("\"winner\":\"ann\"");

    /* sealed ones: nobody knows whether it is met */

    begin("{\"kind\":\"vickrey\",\"start\":100,\"reserve\":300,"
          "\"ends_in_ms\":1000}");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":100}"), 201);
    assert_int_equal(cmd("sue", "cancel", "{}"), 409);
    assert_int_equal(cmd("ann", "retract", "{}"), 200);
    assert_int_equal(cmd("sue", "cancel", "{}"), 200);
}


static void
test_life(void **state)
{
    (void) state;

    begin("{\"kind\":\"english\",\"start\":1,\"starts_in_ms\":1000,"
          "\"ends_in_ms\":1000}");
    has("scheduled");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":1}"), 409);
    has("not_open");
    now = T0 + 1000;
    assert_int_equal(cmd("", "bid", "{\"amount\":1}"), 401);
    assert_int_equal(cmd("ann", "bid", "{\"amount\":1}"), 201);
    assert_int_equal(cmd("ann", "cancel", "{}"), 403);
    assert_int_equal(cmd("sue", "cancel", "{}"), 409);
    has("has_bids");
    assert_int_equal(cmd("ann", "retract", "{}"), 200);
    assert_int_equal(cmd("sue", "cancel", "{}"), 200);
    assert_int_equal(cmd("sue", "cancel", "{}"), 409);
    has("closed");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":9}"), 409);
    ask("", "state");
    has("\"state\":\"cancelled\"");
    has("\"winner\":null");

    begin("{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":1000}");
    assert_int_equal(cmd("ann", "bid", "{\"amount\":1}"), 201);
    assert_int_equal(cmd("ann", "close", "{}"), 403);
    assert_int_equal(cmd("sue", "close", "{}"), 200);
    has("\"winner\":\"ann\"");
    assert_int_equal(cmd("sue", "what", "{}"), 404);
}


static void
test_bad_input(void **state)
{
    size_t  i;

    static const char  *creates[] = {
        "{}", "{\"kind\":\"english\"}", "{\"kind\":1}", "{\"kind\":\"x\"}",
        "{\"kind\":\"english\",\"start\":-1,\"ends_in_ms\":1}",
        "{\"kind\":\"english\",\"start\":1.5,\"ends_in_ms\":1}",
        "{\"kind\":\"english\",\"start\":\"1\",\"ends_in_ms\":1}",
        "{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":0}",
        "{\"kind\":\"english\",\"start\":9007199254740992,\"ends_in_ms\":1}",
        "{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":1,\"increment\":0}",
        "{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":1,"
            "\"currency\":\"too long a text\"}",
        "{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":1,"
            "\"increments\":[{\"from\":5,\"by\":1},{\"from\":5,\"by\":1}]}",
        "{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":1,"
            "\"increments\":[1]}",
        "{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":1,"
            "\"retraction\":1}",
        "{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":1,"
            "\"clock_ms\":249}",
        "{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":1,"
            "\"clock_ms\":60001}",
        "{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":1,"
            "\"retract_before_ms\":-1}",
        "{\"kind\":\"dutch\",\"start\":1,\"reserve\":2,\"ends_in_ms\":1}"
    };

    static const char  *bids[] = {
        "{}", "{\"amount\":null}", "{\"amount\":\"1\"}", "{\"amount\":-1}",
        "{\"amount\":1e3}", "{\"amount\":true}", "{\"amount\":[1]}",
        "{\"amount\":9007199254740992}", "{\"amount\":10,\"max\":9}",
        "{\"amount\":10,\"max\":\"11\"}"
    };

    (void) state;

    for (i = 0; i < sizeof(creates) / sizeof(creates[0]); i++) {
        if (auction) {
            rt_auction_engine.destroy(auction);
            auction = NULL;
        }

        version = 0;
        assert_int_equal(cmd("sue", "create", creates[i]), 422);
        assert_null(auction);
    }

    begin("{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":1000}");

    for (i = 0; i < sizeof(bids) / sizeof(bids[0]); i++) {
        assert_int_equal(cmd("ann", "bid", bids[i]), 422);
        assert_int_equal(version, 1);
    }

    /* the greatest money there is */

    assert_int_equal(cmd("ann", "bid", "{\"amount\":9007199254740991}"), 201);
    assert_int_equal(cmd("bob", "bid", "{\"amount\":9007199254740991}"), 409);
}


static void
json_says(const char *s, size_t len, rt_int_t rc, const char *part)
{
    u_char  *copy;

    copy = malloc(len + 1);
    memcpy(copy, s, len);
    assert_int_equal(rt_json_parse(&json, copy, len), rc);

    if (part && strstr(json.error, part) == NULL) {
        fail_msg("no \"%s\" in \"%s\"", part, json.error);
    }

    free(copy);
}

#define says(s, rc, part)  json_says(s, sizeof(s) - 1, rc, part)


static void
test_json(void **state)
{
    int   i, n;
    char  keys[4096];

    (void) state;

    says("{}", RT_OK, NULL);
    says("", RT_DECLINED, "at byte 0");
    says("[]", RT_DECLINED, "not an object");
    says("1", RT_DECLINED, NULL);
    says("{\"a\":1} x", RT_DECLINED, "at byte");
    says("{\"a\":1", RT_DECLINED, "premature EOF at byte 6");
    says("{\"a\":}", RT_DECLINED, "at byte");
    says("{\"a\":\v1}", RT_DECLINED, "invalid character at byte 5");
    says("{\"a\":1\f}", RT_DECLINED, "invalid character at byte 6");
    says("{\"a\":1,\"a\":2}", RT_DECLINED, "duplicate key");
    says("{\"a\":1,\"\\u0061\":2}", RT_DECLINED, "duplicate key");
    says("{\"a\":{\"a\":1},\"b\":{\"a\":1}}", RT_OK, NULL);
    says("{\"a\":9223372036854775808}", RT_DECLINED, "overflow");
    says("{\"a\":\"\xff\"}", RT_DECLINED, "UTF");
    says("{\"a\":[[[[[[[1]]]]]]]}", RT_OK, NULL);
    says("{\"a\":[[[[[[[[1]]]]]]]]}", RT_DECLINED, "nested too deep");
    says("{\"a\":\"\\u00e9\\/\",\"b\":\"plain\"}", RT_OK, NULL);

    n = sprintf(keys, "{");

    for (i = 0; i < 65; i++) {
        n += sprintf(keys + n, "%s\"k%d\":%d", i ? "," : "", i, i);
    }

    n += sprintf(keys + n, "}");
    json_says(keys, (size_t) n, RT_DECLINED, "too many keys");
}


static int
start(void **state)
{
    (void) state;

    return sodium_init() == -1;
}


int
main(void)
{
    int  rc;

    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_increments),
        cmocka_unit_test(test_snipe),
        cmocka_unit_test(test_dutch),
        cmocka_unit_test(test_sealed),
        cmocka_unit_test(test_buy_now),
        cmocka_unit_test(test_retract),
        cmocka_unit_test(test_retract_times),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_seller),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_json)
    };

    rc = cmocka_run_group_tests(tests, start, NULL);

    if (auction) {
        rt_auction_engine.destroy(auction);
    }

    rt_buf_free(&out.body);
    rt_buf_free(&out.data);

    return rc;
}
