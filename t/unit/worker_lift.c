/*
 * Upcasters: a journal that an older program has written, whose events are of
 * version 1, in the hands of one that writes version 3.  Replay, snapshots,
 * hashes, history, the past, projections, subscriptions and publications see
 * nothing but version 3; the older program does not start on what the newer
 * one has written, and says where that is.
 *
 * Sources: core/ journal/ dispatch/ link/ engine/auction/ rt_engines.c
 * Libs: -lyajl -lsodium -lpthread
 */


#include "worker_dispatch.h"

#include <rt_link_private.h>


#define ask(q, name, body)  ask_engine(q, "sum", "x", name, "", body, "", -1)


/*
 * A sum of amounts.  "added", type 1: u32 amount in version 1; u32 amount and
 * u8 source in version 2; u64 amount and u8 source in version 3.
 */

#define SOURCES  3


typedef struct {
    uint64_t  sum;
    uint64_t  by[SOURCES];                  /* the older one has none */
} sum_t;


static void *
sum_create(void)
{
    return rt_calloc(sizeof(sum_t));
}


static void
sum_destroy(void *state)
{
    free(state);
}


static int64_t
sum_number(const rt_input_t *in, const char *name)
{
    rt_json_node_t  *node;

    node = rt_json_get(in->json, in->data, name);

    return node ? node->number : 0;
}


static void
sum_decide_1(const void *state, const rt_input_t *in, rt_output_t *out)
{
    u_char  data[4];

    (void) state;

    rt_set32(data, (uint32_t) sum_number(in, "amount"));
    rt_emit(out, 1, 1, data, sizeof(data));
    out->status = 200;
    rt_buf_literal(&out->body, "{}");
}


static void
sum_decide_3(const void *state, const rt_input_t *in, rt_output_t *out)
{
    u_char  data[9];

    (void) state;

    rt_set64(data, (uint64_t) sum_number(in, "amount"));
    data[8] = (u_char) sum_number(in, "source");
    rt_emit(out, 1, 3, data, sizeof(data));
    out->status = 200;
    rt_buf_literal(&out->body, "{}");
}


static void
sum_apply_1(void *state, const rt_event_t *ev)
{
    sum_t  *s = state;

    assert_int_equal(ev->lift, 1);
    assert_int_equal(ev->data.len, 4);
    s->sum += rt_get32(ev->data.data);
}


static void
sum_apply_3(void *state, const rt_event_t *ev)
{
    sum_t  *s = state;

    assert_int_equal(ev->lift, 3);
    assert_int_equal(ev->data.len, 9);
    s->sum += rt_get64(ev->data.data);
    s->by[ev->data.data[8]] += rt_get64(ev->data.data);
}


static void
sum_query(const void *state, const rt_input_t *in, rt_output_t *out)
{
    const sum_t  *s = state;

    (void) in;

    out->status = 200;
    rt_buf_printf(&out->body, "{\"sum\":%llu,\"by\":[%llu,%llu,%llu]}",
                  (unsigned long long) s->sum, (unsigned long long) s->by[0],
                  (unsigned long long) s->by[1],
                  (unsigned long long) s->by[2]);
}


static void
sum_snapshot_1(const void *state, rt_buf_t *b)
{
    const sum_t  *s = state;

    rt_buf_put8(b, 1);
    rt_buf_put64(b, s->sum);
}


static void
sum_snapshot_3(const void *state, rt_buf_t *b)
{
    int           i;
    const sum_t  *s = state;

    rt_buf_put8(b, 2);
    rt_buf_put64(b, s->sum);

    for (i = 0; i < SOURCES; i++) {
        rt_buf_put64(b, s->by[i]);
    }
}


static rt_int_t
sum_restore(void *state, rt_reader_t *r)
{
    int     i, layout;
    sum_t  *s = state;

    layout = rt_read8(r);
    s->sum = rt_read64(r);
    s->by[1] = s->sum;

    for (i = 0; i < SOURCES && layout == 2; i++) {
        s->by[i] = rt_read64(r);
    }

    return r->bad ? RT_ERROR : RT_OK;
}


static uint64_t
sum_due(const void *state)
{
    (void) state;

    return 0;
}


static void
sum_describe(const rt_event_t *ev, rt_buf_t *b)
{
    assert_int_equal(ev->lift, 3);

    rt_buf_printf(b, "\"type\":\"added\",\"amount\":%llu,\"source\":%u",
                  (unsigned long long) rt_get64(ev->data.data),
                  ev->data.data[8]);
}


static rt_uint_t
sum_publish(const rt_event_t *ev, rt_uint_t index, rt_message_t *m)
{
    if (index) {
        return 0;
    }

    rt_buf_literal(&m->topic, "sum/x");
    rt_buf_literal(&m->body, "{");
    sum_describe(ev, &m->body);
    rt_buf_literal(&m->body, "}");

    return 1;
}


static void
sum_lift(const rt_event_t *ev, rt_buf_t *b)
{
    assert_int_equal(ev->type, 1);

    if (ev->lift == 1) {
        rt_buf_put(b, ev->data.data, 4);
        rt_buf_put8(b, 1);
        return;
    }

    assert_int_equal(ev->lift, 2);
    assert_int_equal(ev->data.len, 5);
    rt_buf_put64(b, rt_get32(ev->data.data));
    rt_buf_put8(b, ev->data.data[4]);
}


static const uint8_t  types_1[] = { 0, 1 };
static const uint8_t  types_3[] = { 0, 3 };

static const rt_engine_t  sum_1 = {
    .name = "sum",
    .id = 99,
    .create = sum_create,
    .destroy = sum_destroy,
    .decide = sum_decide_1,
    .apply = sum_apply_1,
    .query = sum_query,
    .revision = 1,
    .snapshot = sum_snapshot_1,
    .restore = sum_restore,
    .due = sum_due,
    .describe = sum_describe,
    .publish = sum_publish,
    .types = types_1,
    .ntypes = sizeof(types_1)
};

static const rt_engine_t  sum_3 = {
    .name = "sum",
    .id = 99,
    .create = sum_create,
    .destroy = sum_destroy,
    .decide = sum_decide_3,
    .apply = sum_apply_3,
    .query = sum_query,
    .revision = 2,
    .snapshot = sum_snapshot_3,
    .restore = sum_restore,
    .due = sum_due,
    .describe = sum_describe,
    .publish = sum_publish,
    .types = types_3,
    .ntypes = sizeof(types_3),
    .lift = sum_lift
};


/* the sums of each source, an entity each */

static rt_uint_t
source_project(const rt_event_t *ev, rt_uint_t index, rt_buf_t *name)
{
    assert_int_equal(ev->lift, 3);

    rt_buf_printf(name, "s%u", ev->data.data[8]);

    return index == 0;
}


static const rt_engine_t  source_3 = {
    .name = "source",
    .id = 199,
    .source = &sum_3,
    .revision = 1,
    .project = source_project,
    .create = sum_create,
    .destroy = sum_destroy,
    .apply = sum_apply_3,
    .query = sum_query,
    .snapshot = sum_snapshot_3,
    .restore = sum_restore
};


static void
older(void)
{
    rt_engines[0] = &sum_1;
    rt_engines[1] = NULL;
}


static void
newer(void)
{
    rt_engines[0] = &sum_3;
    rt_engines[1] = &source_3;
}


static int
begin(void **state)
{
    now = rt_time_ms();
    older();

    return setup(state);
}


/* n events of an amount of 1 each */

static void
add(int n, const char *body)
{
    while (n--) {
        now++;
        assert_int_equal(ask(0, "add", body), 200);
    }
}


/* what everything says after 5000 old events and 5000 of source 2 */

static void
check(void)
{
    assert_int_equal(ask(1, "state", ""), 200);
    assert_string_equal(text, "{\"sum\":10000,\"by\":[0,5000,5000]}");

    assert_int_equal(ask(1, "history", "from=5000&limit=2"), 200);
    part("\"version\":5000,");
    part("\"type\":\"added\",\"amount\":1,\"source\":1},");
    part("\"type\":\"added\",\"amount\":1,\"source\":2}]");

    assert_int_equal(ask(1, "at", "version=4000"), 200);
    assert_string_equal(text, "{\"sum\":4000,\"by\":[0,4000,0]}");
    assert_int_equal(ask(1, "at", "version=5001"), 200);
    assert_string_equal(text, "{\"sum\":5001,\"by\":[0,5000,1]}");

    assert_int_equal(ask_engine(1, "source", "s1", "state", "", "", "", -1),
                     200);
    assert_string_equal(text, "{\"sum\":5000,\"by\":[0,5000,0]}");
    assert_int_equal(ask_engine(1, "source", "s2", "state", "", "", "", -1),
                     200);
    assert_string_equal(text, "{\"sum\":5000,\"by\":[0,0,5000]}");
    assert_int_equal(a.version, 5000);
}


static void
test_lift(void **state)
{
    int       snapshot;
    char      path[512];
    uint64_t  hash, seqs[8];

    (void) state;

    /* the old program: with hashes in the journal, and a snapshot */

    up();
    assert_int_equal(ask(0, "create", "{\"amount\":1}"), 200);
    add(2999, "{\"amount\":1}");
    down(1);
    up();
    add(2000, "{\"amount\":1}");
    down(0);

    /* the new one, from that snapshot */

    newer();
    up();
    assert_int_equal(d.stats.replayed, 2000 + 1 + 8);   /* hash, checkpoints */
    add(5000, "{\"amount\":1,\"source\":2}");
    check();
    sync_all();
    hash = rt_dispatch_hash(&d);
    down(0);

    /* again; from its own; from nothing */

    for (snapshot = 0; snapshot < 2; snapshot++) {
        up();
        check();
        assert_true(rt_dispatch_hash(&d) == hash);
        down(1);
    }

    while (rt_snapshot_list(dir, seqs, 8)) {
        snprintf(path, sizeof(path), "%s/snapshot-%020llu", dir,
                 (unsigned long long) seqs[0]);
        assert_int_equal(unlink(path), 0);
    }

    up();
    assert_int_equal(d.stats.replayed, d.journal.next_seq - 1);
    check();
    assert_true(rt_dispatch_hash(&d) == hash);
    down(0);
}


/* a client of the link without a socket */

static rt_link_t  l;
static rt_conn_t  c;


static void
link_up(void)
{
    memset(&l, 0, sizeof(l));
    memset(&c, 0, sizeof(c));
    l.dispatch = &d;
    l.journal = &d.journal;
    l.conns = &c;
    l.nconns = 1;
    c.link = &l;
    c.fd = -1;
    c.frame_max = RT_WIRE_FRAME_MAX;
}


static void
link_say(rt_wire_type_e type, uint64_t from, uint64_t position)
{
    u_char           buf[512], *p;
    rt_wire_frame_t  f;

    p = rt_wire_begin(buf, type, 0, type == RT_WIRE_HELLO ? 0 : 7);

    if (type == RT_WIRE_HELLO) {
        p = rt_wire_put_number(p, RT_WIRE_F_PROTOCOL, RT_WIRE_PROTOCOL);
        p = rt_wire_put_number(p, RT_WIRE_F_FRAME_MAX, RT_WIRE_FRAME_MAX);
        p = rt_wire_put_number(p, RT_WIRE_F_EPOCH, d.journal.epoch);
        p = rt_wire_put_number(p, RT_WIRE_F_POSITION, position);
        p = rt_wire_put_number(p, RT_WIRE_F_INDEX, 0);
        p = rt_wire_put_number(p, RT_WIRE_F_ZONE_EPOCH, 5);
        p = rt_wire_put_string(p, RT_WIRE_F_ZONE, "main", 4);

    } else {
        p = rt_wire_put_number(p, RT_WIRE_F_FROM, from);
        p = rt_wire_put_string(p, RT_WIRE_F_ENGINE, "sum", 3);
        p = rt_wire_put_string(p, RT_WIRE_F_ENTITY, "x", from ? 1 : 0);
    }

    rt_wire_end(buf, p);
    assert_int_equal(rt_wire_parse(&f, buf, (size_t) (p - buf),
                                   RT_WIRE_FRAME_MAX), RT_WIRE_OK);

    if (type == RT_WIRE_HELLO) {
        rt_zone_hello(&c, &f);
    } else {
        rt_subscription_open(&c, &f);
    }
}


/* what has come, all bodies one after another */

static int
link_hear(rt_wire_type_e type)
{
    int              n;
    size_t           len;
    rt_wire_str_t    body;
    rt_wire_frame_t  f;

    n = 0;
    len = 0;
    text[0] = '\0';
    rt_link_serve(&l);

    while (rt_buf_size(&c.out)) {
        assert_int_equal(rt_wire_parse(&f, c.out.pos, rt_buf_size(&c.out),
                                       RT_WIRE_FRAME_MAX), RT_WIRE_OK);
        c.out.pos += f.size;
        assert_int_equal(f.type, type);
        body = rt_wire_string(&f, RT_WIRE_F_BODY);
        len += (size_t) snprintf(text + len, sizeof(text) - len, "%.*s",
                                 (int) body.len, body.data);
        n++;
    }

    rt_buf_reset(&c.out);

    return n;
}


static void
link_down(void)
{
    rt_conn_detach(&c);
    rt_buf_free(&c.out);
    rt_buf_free(&l.scratch);
    rt_buf_free(&l.described.body);
    rt_buf_free(&l.message.topic);
    rt_buf_free(&l.message.body);
    free(l.zones[0].window);
}


static void
test_streams(void **state)
{
    int  many;

    (void) state;

    up();
    assert_int_equal(ask(0, "create", "{\"amount\":1}"), 200);
    add(9, "{\"amount\":1}");
    down(1);

    newer();
    up();
    add(10, "{\"amount\":1,\"source\":2}");
    sync_all();

    /* of the entity from version 5, of the engine from the oldest */

    for (many = 0; many < 2; many++) {
        link_up();
        link_say(RT_WIRE_SUBSCRIBE, many ? 0 : 5, 0);
        assert_int_equal(link_hear(RT_WIRE_EVENT), many ? 20 : 16);
        part("\"version\":10,");
        part("\"amount\":1,\"source\":1}");
        part("\"amount\":1,\"source\":2}");
        link_down();
    }

    /* a zone that has the first record and gets the others */

    link_up();
    link_say(RT_WIRE_HELLO, 0, rt_journal_first(&d.journal));
    assert_int_equal(link_hear(RT_WIRE_PUBLISH), 19);
    part("{\"type\":\"added\",\"amount\":1,\"source\":1}");
    part("{\"type\":\"added\",\"amount\":1,\"source\":2}");
    link_down();

    down(0);
}


/* a subscription that has nothing to send costs nothing in a turn */

static void
test_queue(void **state)
{
    (void) state;

    newer();
    up();
    assert_int_equal(ask(0, "create", "{\"amount\":1,\"source\":2}"), 200);
    sync_all();

    link_up();
    link_say(RT_WIRE_SUBSCRIBE, 1, 0);
    assert_int_equal(c.nready, 1);
    assert_int_equal(link_hear(RT_WIRE_EVENT), 1);
    assert_int_equal(c.nready, 0);

    /* the entity changes */

    add(1, "{\"amount\":1,\"source\":2}");
    assert_int_equal(link_hear(RT_WIRE_EVENT), 0);
    sync_all();
    assert_int_equal(link_hear(RT_WIRE_EVENT), 1);
    assert_int_equal(c.nready, 0);

    /* its window is full, then events are confirmed */

    c.subscriptions->window = 2;
    add(3, "{\"amount\":1,\"source\":2}");
    sync_all();
    assert_int_equal(link_hear(RT_WIRE_EVENT), 0);
    assert_int_equal(c.nready, 0);
    rt_subscription_confirm(&c, 7, 2);
    assert_int_equal(c.nready, 1);
    assert_int_equal(link_hear(RT_WIRE_EVENT), 2);
    rt_subscription_confirm(&c, 7, 2);
    assert_int_equal(link_hear(RT_WIRE_EVENT), 1);

    /* closed while it is in the queue */

    rt_subscription_confirm(&c, 7, 1);
    assert_int_equal(c.nready, 1);
    rt_subscription_gone(&c, 0);
    assert_int_equal(c.nready, 0);
    assert_int_equal(c.nsubscriptions, 0);

    link_down();
    down(0);
}


static void
refused(const char *one, const char *two)
{
    int      fd;
    char     path[512], log[4096];
    ssize_t  n;

    snprintf(path, sizeof(path), "%s/log", dir);
    unlink(path);
    rt_log_level = RT_LOG_WARN;
    assert_int_equal(rt_log_open(path), RT_OK);
    assert_int_equal(rt_store_open(&d, &conf), RT_ERROR);
    rt_log_level = 0;

    fd = open(path, O_RDONLY);
    n = read(fd, log, sizeof(log) - 1);
    close(fd);
    log[rt_max(n, 0)] = '\0';

    if (strstr(log, one) == NULL || strstr(log, two) == NULL) {
        fail_msg("no %s or %s in %s", one, two, log);
    }
}


static void
test_newer(void **state)
{
    uint64_t     seq;
    rt_engine_t  other = {
        .name = "sum",
        .id = 99,
        .create = sum_create,
        .destroy = sum_destroy,
        .restore = sum_restore,
        .due = sum_due,
        .types = types_3,
        .ntypes = 1
    };

    (void) state;

    up();
    assert_int_equal(ask(0, "create", "{\"amount\":1}"), 200);
    down(1);

    /* the newer program has been here, and has written nothing but a snapshot:
     * the older one takes its own */

    newer();
    up();
    seq = d.journal.next_seq;
    down(0);
    older();
    up();
    add(1, "{\"amount\":1}");
    down(0);
    newer();
    up();
    down(1);
    older();
    up();
    assert_int_equal(d.stats.replayed, 1);
    assert_true(d.journal.next_seq == seq + 1);
    down(0);

    /* it has written something */

    newer();
    up();
    add(1, "{\"amount\":1,\"source\":1}");
    down(0);
    older();
    refused("\"sum\" event of type 1 is of version 3, and this realtimed "
            "knows version 1", "version 3, at 00000001.seg:");

    newer();
    up();
    down(1);
    older();
    refused("knows \"sum\" events of type 1 in version 3, this one in 1",
            "passing over the snapshot at seq 3");

    /* a type that is not known at all */

    rt_engines[0] = &other;
    refused("\"sum\" event of type 1, which this realtimed does not know",
            "00000001.seg:");

    newer();
    up();
    assert_int_equal(ask(1, "state", ""), 200);
    assert_string_equal(text, "{\"sum\":3,\"by\":[0,3,0]}");
    down(0);
}


/* an old event is fed to a projection that must be read from old ones first */

static void
test_evicted(void **state)
{
    (void) state;

    newer();
    up();
    assert_int_equal(d.stats.replayed, 0);
    down(0);
    older();
    up();
    assert_int_equal(ask(0, "create", "{\"amount\":3}"), 200);
    down(0);

    newer();
    up();
    now += conf.idle_ms + 1;
    d.clock_ms = now;
    rt_dispatch_evict(&d);
    assert_int_equal(d.stats.evicted, 1);
    down(1);

    older();
    up();
    add(1, "{\"amount\":500}");
    down(0);

    newer();
    up();
    assert_int_equal(d.stats.replayed, 1);
    assert_int_equal(d.stats.reloaded, 1);
    assert_int_equal(ask_engine(1, "source", "s1", "state", "", "", "", -1),
                     200);
    assert_string_equal(text, "{\"sum\":503,\"by\":[0,503,0]}");
    assert_int_equal(ask(1, "state", ""), 200);
    assert_string_equal(text, "{\"sum\":503,\"by\":[0,503,0]}");
    down(0);
}


#define lift_test(t)  cmocka_unit_test_setup_teardown(t, begin, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        lift_test(test_lift),
        lift_test(test_streams),
        lift_test(test_queue),
        lift_test(test_newer),
        lift_test(test_evicted)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
