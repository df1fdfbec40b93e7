/*
 * The hash table against an array: found, not found, deleted, the order of
 * equal hashes, while it grows; and the heap against a scan.
 *
 * Sources: core/
 * Libs: -lyajl -lsodium
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sodium.h>

#include <rt_heap.h>
#include <rt_table.h>


#define THINGS  5000
#define NAMES   1700                        /* so that some have the same */


typedef struct {
    rt_table_node_t  node;
    rt_heap_node_t   timer;
    uint64_t         name;
    unsigned         in;
} thing_t;


static thing_t     things[THINGS];
static rt_table_t  table;
static rt_heap_t   heap;


static unsigned
dice(unsigned n)
{
    static uint64_t  x = 88172645463325252ull;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;

    return (unsigned) (x >> 33) % n;
}


static void
reset(void)
{
    memset(things, 0, sizeof(things));
    rt_table_init(&table, 4);
}


/* all of a name are found, the newest first */

static void
find_all(uint64_t name)
{
    int               last;
    size_t            found, in, i;
    thing_t          *t;
    rt_table_node_t  *n;

    found = 0;
    last = THINGS;

    n = rt_table_first(&table, rt_table_hash_number(&table, name));

    for ( /* void */ ; n; n = rt_table_next(n)) {
        t = rt_item(n, thing_t, node);
        assert_true(t->in && t->name == name);
        assert_true((int) (t - things) < last);
        last = (int) (t - things);
        found++;
    }

    in = 0;

    for (i = name; i < THINGS; i += NAMES) {
        in += things[i].in;
    }

    assert_int_equal(found, in);
}


static void
grows(void **data)
{
    size_t  i, n;

    (void) data;

    reset();

    for (i = 0; i < THINGS; i++) {
        things[i].name = i % NAMES;
        things[i].in = 1;
        rt_table_add(&table, &things[i].node,
                     rt_table_hash_number(&table, things[i].name));

        find_all(dice(NAMES));
        find_all(i % NAMES);
    }

    assert_int_equal(table.n, THINGS);
    assert_true(table.mask >= THINGS / 2 && table.mask < THINGS * 4);

    for (n = THINGS; n > 10; /* void */ ) {
        i = dice(THINGS);

        if (things[i].in) {
            rt_table_delete(&table, &things[i].node);
            things[i].in = 0;
            n--;
            find_all(i % NAMES);
        }
    }

    for (i = 0; i < NAMES; i++) {
        find_all(i);
    }

    assert_int_equal(table.n, 10);
    rt_table_free(&table);
}


/* deleted while the old buckets are there */

static void
shrinks_while_it_grows(void **data)
{
    size_t    i, k, n;
    unsigned  seen;

    (void) data;

    reset();
    seen = 0;
    n = 0;

    for (k = 0; k < 200000; k++) {
        i = dice(THINGS);
        seen |= table.old != NULL;

        if (things[i].in) {
            rt_table_delete(&table, &things[i].node);
            n--;

        } else {
            things[i].name = i;
            rt_table_add(&table, &things[i].node,
                         rt_table_hash_number(&table, i));
            n++;
        }

        things[i].in = !things[i].in;
        assert_int_equal(table.n, n);
        assert_true((rt_table_first(&table, rt_table_hash_number(&table, i))
                     != NULL) == things[i].in);
    }

    assert_true(seen);
    rt_table_free(&table);
}


static void
keyed(void **data)
{
    rt_table_t  other;

    (void) data;

    reset();
    rt_table_init(&other, 4);

    assert_true(rt_table_hash(&table, "a", 1) == rt_table_hash(&table, "a", 1));
    assert_true(rt_table_hash(&table, "a", 1) != rt_table_hash(&other, "a", 1));

    rt_table_free(&table);
    rt_table_free(&other);
}


static void
heaps(void **data)
{
    size_t           i, k, n;
    uint64_t         first;
    rt_heap_node_t  *top;

    (void) data;

    memset(things, 0, sizeof(things));
    n = 0;

    for (k = 0; k < 3000; k++) {
        i = dice(300);

        if (dice(4) == 0) {
            n -= things[i].timer.place != 0;
            rt_heap_delete(&heap, &things[i].timer);

        } else {
            n += things[i].timer.place == 0;
            rt_heap_set(&heap, &things[i].timer, dice(1000));
        }

        first = UINT64_MAX;

        for (i = 0; i < 300; i++) {
            if (things[i].timer.place) {
                first = rt_min(first, things[i].timer.at);
            }
        }

        top = rt_heap_top(&heap);
        assert_int_equal(heap.n, n);
        assert_true(top ? top->at == first : n == 0);
    }

    rt_heap_free(&heap);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(grows),
        cmocka_unit_test(shrinks_while_it_grows),
        cmocka_unit_test(keyed),
        cmocka_unit_test(heaps),
    };

    return sodium_init() == -1 ? 1
           : cmocka_run_group_tests(tests, NULL, NULL);
}
