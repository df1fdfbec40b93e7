/*
 * Memory that is not as it should be: bytes of records, cells and buckets are
 * changed at random, and everything is done with the zone that can be done.
 * Each operation ends, and none reads or writes outside of the memory; the
 * build with sanitizers would say so.  After a repair and one round of the ring
 * all is in order again.
 *
 * Sources: ngx_http_rt_topic.c ngx_http_rt_start.c ngx_http_rt_index.c
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
#include <unistd.h>
#include <cmocka.h>

#include <ngx_http_rt_topic.h>
#include "name.h"
#include "roll.h"


#define TOPICS      12
#define RING_SIZE   (16 * 1024)
#define INDEX_SIZE  (40 * NGX_HTTP_RT_CELL_SIZE)


static ngx_http_rt_store_t  store;
static u_char              *ring, *cells;
static u_char               data[4096];


static void
start(void)
{
    memset(&store, 0, sizeof(store));
    memset(ring, 0, RING_SIZE);
    memset(cells, 0, INDEX_SIZE);

    ngx_http_rt_ring_init(&store.ring, ring, RING_SIZE);
    assert_int_equal(ngx_http_rt_index_init(&store.index, cells, INDEX_SIZE),
                     0);
}


/* some are longer than a cell has room for, and some are patterns */

static size_t
name(u_char *p, unsigned i)
{
    size_t  len;

    len = sprintf((char *) p, "t/%u%s", i, i % 4 == 3 ? "*" : "");

    if (i % 3 == 0) {
        memset(p + len, 'x', 150);
        len += 150;
    }

    return len;
}


static ngx_http_rt_cell_t *
find(unsigned kind, unsigned i)
{
    size_t  len;
    u_char  text[255];

    len = name(text, i);

    return ngx_http_rt_index_find(&store.index, kind, name_hash(text, len),
                                  text, len);
}


static int
publish(unsigned i, size_t len)
{
    u_char                  text[255];
    ngx_http_rt_message_t   m;
    ngx_http_rt_presence_t  p;

    memset(&m, 0, sizeof(m));

    m.topic = text;
    m.topic_len = name(text, i);
    m.data = data;
    m.data_len = len;

    return ngx_http_rt_topic_append(&store, &m, 1, &p);
}


static void
enter(unsigned kind, unsigned i, unsigned slot)
{
    size_t               len;
    u_char               text[255];
    ngx_http_rt_cell_t  *cell;

    cell = find(kind, i);

    if (cell == NULL) {
        len = name(text, i);
        cell = ngx_http_rt_index_add(&store.index, kind, name_hash(text, len),
                                     text, len);
    }

    if (cell && ngx_http_rt_index_enter(&store.index, cell, slot) != 0) {
        ngx_http_rt_index_settle(&store.index, cell);
    }
}


static void
keyed(void)
{
    ngx_http_rt_key_t       key;
    ngx_http_rt_message_t   m;
    ngx_http_rt_presence_t  p;

    memset(&key, roll(5), sizeof(key));
    memset(&m, 0, sizeof(m));

    m.topic = (u_char *) "t/1";
    m.topic_len = 3;
    m.time = NGX_HTTP_RT_TOPIC_KEY_AGE + 1000;

    (void) ngx_http_rt_topic_append_once(&store, &m, 1, &p, &key);
}


/* from the oldest record on, and along a topic's way back */

static void
read_all(unsigned i)
{
    int                    rc;
    u_char                 text[4096];
    uint64_t               pos;
    unsigned               n;
    ngx_http_rt_view_t     view;
    ngx_http_rt_start_t    s;
    ngx_http_rt_record_t   rec;

    pos = ngx_http_rt_ring_seek(&store.ring, roll(store.ring.seq + 1));

    while (ngx_http_rt_ring_walk(&store.ring, &pos, store.ring.head, &rec)
           == NGX_HTTP_RT_RING_OK)
    {
        (void) ngx_http_rt_ring_copy(&store.ring, pos, rec.topic_len, text,
                                     rec.data_len % sizeof(text));
        pos += rec.size;
    }

    if (pos < store.ring.head) {
        ngx_http_rt_topic_mend(&store, pos);
        assert_true(store.ring.tail > pos);
    }

    ngx_http_rt_topic_view(&store, find(NGX_HTTP_RT_CELL_TOPIC, i),
                           0, &view);
    ngx_http_rt_start_init(&s, &view, 0, NULL);

    for (n = 0; n < 10000; n++) {
        rc = ngx_http_rt_start_step(&store.ring, &s, 1 + roll(10));

        if (rc == NGX_HTTP_RT_START_AGAIN) {
            ngx_http_rt_topic_view(&store, find(NGX_HTTP_RT_CELL_TOPIC, i), 0,
                                   &view);
            rc = ngx_http_rt_start_again(&s, &view);
        }

        if (rc == NGX_HTTP_RT_START_OVER) {
            break;
        }
    }

    assert_true(n < 10000);
}


static void
use(void)
{
    unsigned                   i, kind;
    ngx_http_rt_cell_t        *cell;
    ngx_http_rt_topic_stat_t   stat;

    i = roll(TOPICS);
    kind = (i % 4 == 3) ? NGX_HTTP_RT_CELL_PATTERN : NGX_HTTP_RT_CELL_TOPIC;

    switch (roll(9)) {

    case 0:
        enter(kind, i, roll(20));
        break;

    case 1:
        cell = find(kind, i);

        if (cell) {
            ngx_http_rt_index_leave(&store.index, cell, roll(20));
        }

        break;

    case 2:
        cell = find(NGX_HTTP_RT_CELL_TOPIC, i);

        if (cell) {
            (void) ngx_http_rt_topic_delete(&store, cell, cell->topic.seq);
        }

        break;

    case 3:
        cell = find(NGX_HTTP_RT_CELL_TOPIC, i);

        if (cell) {
            ngx_http_rt_topic_stat(&store, cell, &stat);
        }

        break;

    case 4:
        keyed();
        break;

    case 5:
        read_all(i);
        break;

    case 6:
        (void) ngx_http_rt_index_sweep(&store.index, roll(20), 1, 100);
        break;

    default:
        (void) publish(i, roll(300));
    }

    if (store.index.damaged) {
        ngx_http_rt_topic_repair(&store);
        assert_int_equal(store.index.damaged, 0);
    }
}


/* in a record's or a cell's links, mostly */

static void
damage(void)
{
    unsigned   n;
    uint64_t   pos;
    u_char    *p;
    size_t     at;

    switch (roll(4)) {

    case 0:
        pos = store.ring.tail;

        for (n = roll(30); n && pos < store.ring.head; n--) {

            if (RING_SIZE - pos % RING_SIZE < sizeof(ngx_http_rt_record_t)
                || ngx_http_rt_record(&store.ring, pos)->size == 0
                || ngx_http_rt_record(&store.ring, pos)->size % 8)
            {
                break;
            }

            pos += ngx_http_rt_record(&store.ring, pos)->size;
        }

        if (RING_SIZE - pos % RING_SIZE < sizeof(ngx_http_rt_record_t)) {
            return;
        }

        p = (u_char *) ngx_http_rt_record(&store.ring, pos);
        at = roll(2) ? 0 : 64 + roll(16);
        break;

    case 1:
        p = ring;
        at = roll(RING_SIZE - 4);
        break;

    default:
        p = cells;
        at = roll(INDEX_SIZE - 4);

        if (roll(2)) {
            at = at / 256 * 256 + roll(96);
        }
    }

    for (n = 1 + roll(4); n; n--) {
        p[at + n - 1] = roll(3) ? roll(256) : roll(2) * 255;
    }
}


static void
test_random(void **state)
{
    unsigned  i, n;

    (void) state;

    (void) alarm(120);

    for (i = 0; i < 400; i++) {
        start();

        for (n = 0; n < 100; n++) {
            use();
        }

        for (n = roll(3) + 1; n; n--) {
            damage();
        }

        for (n = 0; n < 100; n++) {
            use();
        }

        /* the next process that takes the mutex may have to repair */

        ngx_http_rt_topic_repair(&store);

        for (n = 0; n < 300; n++) {
            (void) publish(1, 200);
        }

        assert_int_equal(publish(1, 10), NGX_HTTP_RT_TOPIC_OK);
        assert_int_equal(find(NGX_HTTP_RT_CELL_TOPIC, 1)->topic.seq,
                         store.ring.seq);
    }

    assert_true(store.ring.seq > 0);
}


/* a record of size 0 at each place: the writer goes on, all is told as lost */

static void
test_size_0(void **state)
{
    unsigned             i, n;
    uint64_t             pos, seq, damages;
    ngx_http_rt_view_t   view;
    ngx_http_rt_cell_t  *cell;

    (void) state;

    for (i = 0; i < 60; i++) {
        start();

        for (n = 0; n < 60; n++) {
            assert_int_equal(publish(1, 8), NGX_HTTP_RT_TOPIC_OK);
        }

        pos = store.ring.tail;

        for (n = 0; n < i; n++) {
            pos += ngx_http_rt_record(&store.ring, pos)->size;
        }

        ngx_http_rt_record(&store.ring, pos)->size = i % 3 ? 0 : 80 + i;

        seq = store.ring.seq;
        damages = store.damages;

        if (i % 2) {
            ngx_http_rt_topic_mend(&store, pos);
            assert_true(store.damages > damages);
            assert_int_equal(store.ring.tail, store.ring.head);
        }

        for (n = 0; n < 300; n++) {
            assert_int_equal(publish(2, 8), NGX_HTTP_RT_TOPIC_OK);
        }

        assert_true(store.damages > damages);
        assert_true(store.evicted >= seq);

        cell = find(NGX_HTTP_RT_CELL_TOPIC, 1);
        ngx_http_rt_topic_view(&store, cell, 0, &view);
        assert_int_equal(view.first, 0);
        assert_int_equal(view.floor, seq);
    }
}


/* a record is no damage, nor is what has been overwritten */

static void
test_no_damage(void **state)
{
    unsigned              n;
    uint64_t              pos;
    ngx_http_rt_record_t  rec;

    (void) state;

    start();

    for (n = 0; n < 500; n++) {
        (void) publish(n % 3, roll(100));

        ngx_http_rt_topic_mend(&store, store.ring.tail - 8);
        ngx_http_rt_topic_mend(&store, store.ring.head);

        for (pos = store.ring.tail;
             ngx_http_rt_ring_scan(&store.ring, &pos, store.ring.head, &rec)
             == NGX_HTTP_RT_RING_OK;
             pos += rec.size)
        {
            ngx_http_rt_topic_mend(&store, pos);
        }
    }

    assert_int_equal(store.damages, 0);
}


static int
setup(void **state)
{
    (void) state;

    seed = 88172645463325252ULL;

    ring = malloc(RING_SIZE);
    cells = aligned_alloc(256, INDEX_SIZE);

    return ring == NULL || cells == NULL;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_size_0),
        cmocka_unit_test(test_no_damage),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
