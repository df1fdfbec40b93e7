/*
 * Where a reader begins, while others append, overwrite and delete: the way is
 * walked in steps, and between two of them anything may happen.  Whatever does,
 * the reader gets each message behind what it had, or is told up to where they
 * are lost.
 *
 * Sources: ngx_http_rt_start.c ngx_http_rt_topic.c ngx_http_rt_index.c
 * Sources: ngx_http_rt_ring.c ngx_http_rt_pattern.c ngx_http_rt_utf8.c
 * Sources: ngx_http_rt_source.c ngx_http_rt_blob.c
 * Sources: ngx_http_rt_presence.c ngx_http_rt_index_repair.c
 * Sources: ngx_http_rt_index_key.c
 * Sources: ngx_http_rt_shape.c ngx_http_rt_hash.c
 * Sources: ngx_http_rt_append.c ngx_http_rt_chain.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_topic.h>
#include "roll.h"


#define INDEX_SIZE   (64 * NGX_HTTP_RT_CELL_SIZE)
#define RING_SIZE    (1024 * 1024)
#define SEQS         1000000
#define TOPICS       3


static ngx_http_rt_store_t  store;
static u_char               cells[INDEX_SIZE] __attribute__((aligned(256)));
static u_char               ring[RING_SIZE] __attribute__((aligned(64)));
static unsigned char        of[SEQS];    /* the topic of each message */
static uint64_t             deleted;     /* of topic 0, up to here */
static uint64_t             now;


static void
start(size_t size)
{
    memset(&store, 0, sizeof(store));
    memset(cells, 0, sizeof(cells));
    memset(ring, 0, sizeof(ring));

    ngx_http_rt_ring_init(&store.ring, ring, size);
    assert_int_equal(ngx_http_rt_index_init(&store.index, cells, INDEX_SIZE),
                     0);
    deleted = 0;
    now = 1000;
}


static void
publish(unsigned topic, size_t len)
{
    static u_char           data[4096];
    ngx_http_rt_message_t   m;
    ngx_http_rt_presence_t  p;

    memset(&m, 0, sizeof(m));

    m.topic = (u_char *) &"abc"[topic];
    m.topic_len = 1;
    m.data = data;
    m.data_len = len;
    m.time = now++;

    assert_int_equal(ngx_http_rt_topic_append(&store, &m, 1, &p), 0);

    of[m.seq] = topic;
}


static ngx_http_rt_cell_t *
topic(unsigned i)
{
    const u_char *name = (const u_char *) &"abc"[i];

    return ngx_http_rt_topic_find(&store, name, 1,
                                  ngx_http_rt_index_hash(&store.index, name,
                                                         1));
}


static void
look(unsigned i, ngx_http_rt_view_t *view)
{
    ngx_http_rt_topic_view(&store, topic(i),
                           ngx_http_rt_index_hash(&store.index,
                                             (u_char *) &"abc"[i], 1), view);
}


static void
delete(void)
{
    ngx_http_rt_cell_t  *cell;

    cell = topic(0);

    while (ngx_http_rt_topic_delete(&store, cell, cell->topic.seq)) { }

    deleted = cell->topic.deleted;
}


/* steps of this many, and change() after each but the last */

static unsigned
walk(ngx_http_rt_start_t *s, uint64_t had, ngx_http_rt_history_t *history,
    unsigned steps, void (*change)(void))
{
    int                 rc;
    unsigned            n;
    ngx_http_rt_view_t  view;

    look(0, &view);
    ngx_http_rt_start_init(s, &view, had, history);

    for (n = 1; /* void */ ; n++) {
        rc = ngx_http_rt_start_step(&store.ring, s, steps);

        if (rc == NGX_HTTP_RT_START_AGAIN) {
            look(0, &view);
            rc = ngx_http_rt_start_again(s, &view);
        }

        if (rc == NGX_HTTP_RT_START_OVER) {
            return n;
        }

        if (change) {
            change();
        }

        assert_true(n < 1000000);
    }
}


/*
 * From start->pos on there is each message of topic 0 behind start->seq; none
 * before it, and behind what was had, is there; what is not there has been told
 * by a reason.
 */

static void
verify(ngx_http_rt_start_t *s, uint64_t had, int lapped)
{
    uint64_t              seq, pos, first;
    ngx_http_rt_record_t  rec;

    if (s->pos && ngx_http_rt_ring_read(&store.ring, s->pos, &rec)
                  != NGX_HTTP_RT_RING_OK)
    {
        /* overwritten since it was found, so the reader looks again */

        assert_true(lapped);
        return;
    }

    assert_true(s->seq >= had);
    assert_int_equal(s->reason != NGX_HTTP_RT_GAP_NONE, s->seq > had);

    first = s->pos ? rec.seq : store.ring.seq + 1;

    for (seq = s->seq + 1; seq < first; seq++) {
        assert_true(of[seq] != 0 || (lapped && s->pos == 0));
    }

    for (pos = s->pos; pos; pos = ngx_http_rt_record_next(&rec, pos)) {
        assert_int_equal(ngx_http_rt_ring_read(&store.ring, pos, &rec), 0);
        assert_true(rec.seq > s->seq);
        assert_int_equal(of[rec.seq], 0);
    }

    if (s->seq > had) {

        /* a message of it is lost, the last one that is */

        assert_int_equal(of[s->seq], 0);
    }
}


/* changes between two steps */

static void
one_more(void)
{
    publish(roll(TOPICS), roll(60));
}


static void
many_more(void)
{
    unsigned  i;

    for (i = roll(40); i; i--) {
        publish(roll(TOPICS), roll(100));
    }
}


static void
some_deleted(void)
{
    one_more();

    if (roll(3) == 0) {
        delete();
    }
}


/* the ring goes round while the reader walks */

static void
test_eviction(void **state)
{
    unsigned               i, told, n;
    uint64_t               had;
    ngx_http_rt_start_t    s;
    ngx_http_rt_history_t  history;

    (void) state;

    start(16 * 1024);
    told = 0;

    for (i = 0; i < 4000; i++) {
        many_more();

        had = store.ring.seq - roll(store.ring.seq < 150 ? 1 : 150);
        history.count = 1 + roll(100);
        history.since = 0;

        n = store.ring.seq;
        (void) walk(&s, had, roll(2) ? NULL : &history, 1 + roll(4),
                    roll(2) ? one_more : many_more);

        told += (s.reason == NGX_HTTP_RT_GAP_EVICTED);

        verify(&s, had, store.ring.seq > n);
    }

    assert_true(told > 100);
}


static void
test_deletion(void **state)
{
    unsigned             i, told;
    uint64_t             had;
    ngx_http_rt_start_t  s;

    (void) state;

    start(64 * 1024);
    told = 0;

    for (i = 0; i < 2000; i++) {
        many_more();

        had = store.ring.seq - roll(store.ring.seq < 150 ? 1 : 150);

        (void) walk(&s, had, NULL, 1 + roll(4), some_deleted);

        if (s.reason == NGX_HTTP_RT_GAP_DELETED) {
            assert_true(s.seq <= deleted);
            told++;
        }

        verify(&s, had, 1);
    }

    assert_true(told > 100);
}


/* a reader of a busy topic that is far behind is there after some thousand */

static void
test_far(void **state)
{
    unsigned             i, n;
    uint64_t             had;
    ngx_http_rt_start_t  s;

    (void) state;

    start(RING_SIZE);

    for (i = 0; i < 9000; i++) {
        publish(0, 0);
    }

    had = store.ring.seq - 8500;

    n = walk(&s, had, NULL, 1, NULL);

    verify(&s, had, 0);
    assert_true(n > NGX_HTTP_RT_START_BACK);
    assert_true(n < NGX_HTTP_RT_START_BACK + 50);

    /* the marks of the ring lead nowhere when that is overwritten */

    had = store.ring.seq - 8500;
    ngx_http_rt_start_init(&s, &(ngx_http_rt_view_t) { 0 }, 0, NULL);
    (void) walk(&s, had, NULL, 1024, many_more);
    verify(&s, had, 1);
}


static void
test_budget(void **state)
{
    unsigned               i;
    ngx_http_rt_view_t     view;
    ngx_http_rt_start_t    s;
    ngx_http_rt_history_t  history = { UINT64_MAX, 0 };

    (void) state;

    start(RING_SIZE);

    for (i = 0; i < 1000; i++) {
        publish(0, 0);
    }

    assert_int_equal(walk(&s, 0, &history, 10, NULL), 100);
    verify(&s, 0, 0);

    /* all is wanted and some of it has gone: it begins at the oldest */

    for (i = 0; i < 20000; i++) {
        publish(0, 0);
    }

    assert_int_equal(walk(&s, 5, NULL, 1, NULL), 1);
    assert_int_equal(s.reason, NGX_HTTP_RT_GAP_EVICTED);
    assert_int_equal(s.pos, topic(0)->topic.first);
    verify(&s, 5, 0);

    /* one that is not known */

    memset(&view, 0, sizeof(view));
    view.seq = 7;
    ngx_http_rt_start_init(&s, &view, 5, NULL);
    assert_int_equal(ngx_http_rt_start_step(&store.ring, &s, 1),
                     NGX_HTTP_RT_START_OVER);
    assert_int_equal(s.seq, 7);
    assert_int_equal(s.pos, 0);
    assert_int_equal(s.reason, NGX_HTTP_RT_GAP_EVICTED);
}


/* whatever the links say, the walk ends, within the memory */

static void
test_damage(void **state)
{
    unsigned               i, n;
    uint64_t               had, pos;
    ngx_http_rt_start_t    s;
    ngx_http_rt_record_t  *rec, was;

    (void) state;

    start(64 * 1024);

    for (i = 0; i < 2000; i++) {
        many_more();
        publish(0, 0);

        pos = topic(0)->topic.last;

        for (n = roll(20); n && pos > topic(0)->topic.first; n--) {
            pos = ngx_http_rt_record_prev(
                                     ngx_http_rt_record(&store.ring, pos), pos);
        }

        rec = ngx_http_rt_record(&store.ring, pos);
        was = *rec;

        switch (roll(4)) {
        case 0: rec->prev = roll(2) ? 0 : (uint32_t) -1; break;
        case 1: rec->prev = 1 + roll(100); break;
        case 2: rec->topic_id++; break;
        default: rec->size = roll(3) ? 0 : (uint32_t) -8; break;
        }

        had = roll(2) ? 0 : store.ring.seq - 20;

        (void) walk(&s, had, NULL, 7, NULL);

        if (s.pos) {
            assert_int_equal(ngx_http_rt_ring_read(&store.ring, s.pos, &was)
                             == NGX_HTTP_RT_RING_OK
                             || s.pos == pos, 1);
        }

        start(64 * 1024);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_eviction),
        cmocka_unit_test(test_deletion),
        cmocka_unit_test(test_far),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_damage),
    };

    seed = 88172645463325252ULL;

    return cmocka_run_group_tests(tests, NULL, NULL);
}
