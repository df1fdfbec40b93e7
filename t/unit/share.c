/*
 * The shares of the index: whoever takes all cells that there are, subscribers,
 * keys or topics, leaves the others theirs, and what goes is counted.  And
 * patterns: publishing costs the same with one as with thousands of them.
 *
 * Sources: ngx_http_rt_index.c ngx_http_rt_presence.c
 * Sources: ngx_http_rt_index_repair.c ngx_http_rt_shape.c ngx_http_rt_hash.c
 * Sources: ngx_http_rt_index_key.c
 * Sources: ngx_http_rt_pattern.c ngx_http_rt_utf8.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_index.h>
#include <ngx_http_rt_pattern.h>
#include "name.h"


#define SIZE     (2 * 1024 * 1024)
#define TOPIC    NGX_HTTP_RT_CELL_TOPIC
#define PATTERN  NGX_HTTP_RT_CELL_PATTERN
#define YOUNG    1000000


static u_char               memory[SIZE] __attribute__((aligned(256)));
static ngx_http_rt_index_t  ix;


static void
start(size_t size)
{
    memset(memory, 0, sizeof(memory));
    assert_int_equal(ngx_http_rt_index_init(&ix, memory, size), 0);
}


static ngx_http_rt_cell_t *
find(unsigned kind, const char *name)
{
    size_t  len = strlen(name);

    return ngx_http_rt_index_find(&ix, kind,
                                  name_hash((u_char *) name, len),
                                  (u_char *) name, len);
}


static ngx_http_rt_cell_t *
add(unsigned kind, const char *name)
{
    size_t               len = strlen(name);
    ngx_http_rt_cell_t  *cell;

    cell = find(kind, name);

    return cell ? cell : ngx_http_rt_index_add(&ix, kind,
                                  name_hash((u_char *) name, len),
                                  (u_char *) name, len);
}


/* as the zone does it */

static int
enter(unsigned kind, const char *name, unsigned slot)
{
    ngx_http_rt_cell_t  *cell;

    cell = find(kind, name);

    if (!ngx_http_rt_index_room(&ix, cell, strlen(name))) {
        return -1;
    }

    cell = add(kind, name);

    if (cell == NULL) {
        return -1;
    }

    if (ngx_http_rt_index_enter(&ix, cell, slot) != 0) {
        ngx_http_rt_index_settle(&ix, cell);
        return -1;
    }

    return 0;
}


static const char *
numbered(const char *format, unsigned n)
{
    static char  text[256];

    snprintf(text, sizeof(text), format, n);

    return text;
}


static void
topic(unsigned n)
{
    ngx_http_rt_cell_t  *cell;

    cell = add(TOPIC, numbered("topic/%u", n));
    assert_non_null(cell);
    cell->topic.seq = n + 1;
}


static void
key(unsigned n, uint64_t time)
{
    ngx_http_rt_key_t  k;

    memset(&k, 0, sizeof(k));
    memcpy(k.key, &n, sizeof(n));
    k.time = time;

    assert_non_null(ngx_http_rt_index_add_key(&ix, &k, YOUNG));
}


static unsigned
keys(void)
{
    unsigned  i, n;

    for (i = 1, n = 0; i < ix.ncells; i++) {
        n += (ix.cells[i].kind == NGX_HTTP_RT_CELL_KEY);
    }

    assert_int_equal(ix.nkeys, n);

    return n;
}


/* what a repair counts is what has been counted all along */

static void
check_counts(void)
{
    uint32_t              readers, nkeys, nfree, patterns;
    ngx_http_rt_shapes_t  shapes;

    readers = ix.nreaders;
    nkeys = ix.nkeys;
    nfree = ix.nfree;
    patterns = ix.patterns;
    shapes = ix.shapes;

    ngx_http_rt_index_repair(&ix);

    assert_int_equal(ix.nreaders, readers);
    assert_int_equal(ix.nkeys, nkeys);
    assert_int_equal(ix.nfree, nfree);
    assert_int_equal(ix.patterns, patterns);
    assert_int_equal(ix.shapes.used, shapes.used);
    assert_memory_equal(ix.shapes.counts, shapes.counts,
                        sizeof(shapes.counts));
}


static void
test_readers(void **state)
{
    unsigned  i, n, refused;

    (void) state;

    start(64 * 1024);

    for (i = 0; i < 100; i++) {
        topic(i);
    }

    for (i = 0; i < 20; i++) {
        key(i, YOUNG);
    }

    for (i = 0, n = 0, refused = 0; i < 1000; i++) {
        if (enter(i % 2 ? TOPIC : PATTERN,
                  numbered(i % 4 > 1 ? "reader/%0150u" : "reader/%u", i),
                  i % 256)
            == 0)
        {
            n++;

        } else {
            refused++;
        }

        assert_true(ix.nreaders <= ix.most_readers);
    }

    assert_true(n > ix.ncells / 4);
    assert_true(refused > 0);
    assert_true(ix.nreaders + 2 > ix.most_readers);

    /* all keys are there, and those topics for which there was room */

    assert_int_equal(keys(), 20);
    assert_int_equal(ix.keys_evicted, 0);
    assert_non_null(find(TOPIC, "topic/99"));

    check_counts();

    /* who is in may have more company, but not more cells */

    assert_int_equal(enter(TOPIC, "reader/1", 7), 0);

    for (i = 0; i < 1000; i++) {
        ngx_http_rt_index_sweep(&ix, i % 256, 1, ix.ncells);
    }

    assert_int_equal(ix.nreaders, 0);
    assert_int_equal(ix.patterns, 0);
    assert_int_equal(ix.shapes.used, 0);
    check_counts();
}


/* crowds are readers' cells, too */

static void
test_crowds(void **state)
{
    unsigned  i, n;

    (void) state;

    start(64 * 1024);

    for (n = 0; n < 400; n++) {
        for (i = 0; i < 256; i++) {
            (void) enter(n % 2 ? TOPIC : PATTERN, numbered("crowd/%u", n), i);
        }

        assert_true(ix.nreaders <= ix.most_readers);
    }

    check_counts();

    for (i = 0; i < 256; i++) {
        ngx_http_rt_index_sweep(&ix, i, 1, ix.ncells);
    }

    assert_int_equal(ix.nreaders, 0);
    check_counts();
}


static void
test_keys(void **state)
{
    unsigned  i, share;

    (void) state;

    start(64 * 1024);
    share = ix.least_keys;

    /* topics leave the share of young keys */

    for (i = 0; i < 2 * share; i++) {
        key(i, YOUNG);
    }

    for (i = 0; i < 2 * ix.ncells; i++) {
        topic(i);
    }

    assert_int_equal(keys(), share);
    assert_int_equal(ix.keys_evicted, share);
    assert_true(ix.topics_evicted > 0);

    /* keys that are many take each other's place, not that of topics */

    i = ix.topics_evicted;

    for (share = 0; share < 2 * ix.ncells; share++) {
        key(1000000 + share, YOUNG);
    }

    assert_int_equal(keys(), ix.least_keys);
    assert_int_equal(ix.topics_evicted, i);

    /* those that are few get what is theirs, and expired ones go first */

    start(64 * 1024);

    for (i = 0; i < 2 * ix.ncells; i++) {
        topic(i);
    }

    for (i = 0; i < ix.ncells; i++) {
        key(i, YOUNG);
    }

    assert_int_equal(keys(), ix.least_keys);
    assert_int_equal(ix.keys_evicted, ix.ncells - ix.least_keys);

    start(64 * 1024);

    for (i = 0; i < ix.least_keys; i++) {
        key(i, YOUNG - 1);
    }

    for (i = 0; i < 2 * ix.ncells; i++) {
        topic(i);
    }

    assert_int_equal(keys(), 0);
    assert_int_equal(ix.keys_evicted, 0);

    check_counts();
}


/* patterns that have no shape ring for everything, and are found again */

static void
test_shapeless(void **state)
{
    char                     text[128];
    unsigned                 i, n;
    ngx_http_rt_presence_t   p;
    static const char        deep[] =
                              "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a";

    (void) state;

    start(SIZE);

    for (i = 0; i < 20; i++) {
        snprintf(text, sizeof(text), "%s/%u*", deep, i);
        assert_int_equal(enter(PATTERN, text, i), 0);
        assert_int_equal(enter(PATTERN, text, i), 0);
    }

    memset(&p, 0, sizeof(p));
    ngx_http_rt_index_patterns(&ix, (u_char *) "other", 5, &p);
    assert_int_equal(p.slots[0], 0xfffff);
    assert_int_equal(p.subscribers, 0);

    snprintf(text, sizeof(text), "%s/3x", deep);
    memset(&p, 0, sizeof(p));
    ngx_http_rt_index_patterns(&ix, (u_char *) text, strlen(text), &p);
    assert_int_equal(p.slots[0], 0xfffff);
    assert_int_equal(p.subscribers, 2);

    /* one of them gets a shape later, for there is none for it now */

    for (n = 0; n < NGX_HTTP_RT_SHAPES; n++) {
        memset(text, 'x', n + 1);
        strcpy(text + n + 1, "*/s");
        assert_int_equal(enter(PATTERN, text, 30), 0);
    }

    assert_true(~ix.shapes.used == 0);
    assert_int_equal(enter(PATTERN, "late/*", 40), 0);
    assert_int_equal(find(PATTERN, "late/*")->shape, NGX_HTTP_RT_SHAPE_NONE);

    ngx_http_rt_index_leave(&ix, find(PATTERN, "x*/s"), 30);
    assert_int_equal(enter(PATTERN, "early/*", 41), 0);
    assert_true(find(PATTERN, "early/*")->shape < NGX_HTTP_RT_SHAPES);
    assert_non_null(find(PATTERN, "late/*"));
    assert_int_equal(enter(PATTERN, "late/*", 40), 0);

    check_counts();
    assert_int_equal(ix.rung[40], 2);

    ngx_http_rt_index_leave(&ix, find(PATTERN, "late/*"), 40);
    ngx_http_rt_index_leave(&ix, find(PATTERN, "late/*"), 40);
    assert_null(find(PATTERN, "late/*"));
    assert_int_equal(ix.rung[40], 0);

    for (i = 0; i < 256; i++) {
        ngx_http_rt_index_sweep(&ix, i, 1, ix.ncells);
        assert_int_equal(ix.rung[i], 0);
    }

    check_counts();
}


/* how many cells a publish looks at does not grow with patterns of one head */

static void
test_same_head(void **state)
{
    unsigned                 i, n, most;
    uint32_t                 b;
    ngx_http_rt_presence_t   p;

    (void) state;

    start(SIZE);

    for (i = 0; i < 3000; i++) {
        assert_int_equal(enter(PATTERN, numbered("*/%u", i), i % 60), 0);
    }

    assert_int_equal(__builtin_popcountll(ix.shapes.used), 1);

    for (b = 0, most = 0; b <= ix.mask; b++) {
        for (i = ix.buckets[b], n = 0; i; i = ix.cells[i].next) {
            n++;
        }

        most = (n > most) ? n : most;
    }

    assert_true(most < 16);

    memset(&p, 0, sizeof(p));
    ngx_http_rt_index_patterns(&ix, (u_char *) "a/77", 4, &p);
    assert_int_equal(p.subscribers, 1);
    assert_int_equal(p.slots[0], (uint64_t) 1 << 17);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_crowds),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_shapeless),
        cmocka_unit_test(test_same_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
