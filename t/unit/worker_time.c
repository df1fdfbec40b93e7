/*
 * The clock that follows the wall clock, by readings that are made up: it
 * never goes back, never leaps, follows by a tenth, and not beyond the limit.
 *
 * Sources: core/
 * Libs: -lyajl -lsodium
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "rt_log.h"
#include "rt_time.h"


#define S       1000000
#define HOUR    (3600ULL * S)
#define DAY     (24 * HOUR)
#define BEGIN   (500000 * HOUR)             /* some time in 2027 */
#define LIMIT   600000


static rt_time_t     t;
static rt_reading_t  now;


static void
start(void)
{
    now.wall_us = BEGIN;
    now.elapsed_us = 5 * S;
    rt_time_start(&t, BEGIN, LIMIT, &now);
}


/* time elapses, and the wall clock is set besides; in so many readings */

static void
elapse(uint64_t us, int64_t set_us, uint64_t readings)
{
    uint64_t  i, was, n;

    now.wall_us += (uint64_t) set_us;

    for (i = 0; i < readings; i++) {
        n = us / readings;
        was = t.us;

        now.wall_us += n;
        now.elapsed_us += n;
        rt_time_update(&t, &now);

        assert_true(t.us >= was);
        assert_true(t.us - was <= n + n / 10 + 1);
        assert_true(t.us - was + 1 >= n - n / 10);
        assert_true((int64_t) (now.wall_us - t.us) == t.offset_us);
    }
}


static void
test_follows(void **state)
{
    (void) state;

    start();
    elapse(HOUR, 0, 1000);
    assert_int_equal(t.us, now.wall_us);

    /* 60 s ahead take 600 s, in large steps and in small ones alike */

    elapse(300 * S, 60 * S, 100);
    assert_int_equal(t.offset_us, 30 * S);
    elapse(299 * S, 0, 299 * 100000);
    assert_int_equal(t.offset_us, 100000);
    elapse(2 * S, 0, 1);
    assert_int_equal(t.offset_us, 0);
    assert_int_equal(t.steps, 1);

    /* and so does a minute back */

    elapse(300 * S, -60 * S, 7);
    assert_in_range(-t.offset_us, 30 * S, 30 * S + 7);
    elapse(301 * S, 0, 3);
    assert_int_equal(t.offset_us, 0);
    assert_int_equal(t.steps, 2);
    assert_int_equal(t.refused, 0);

    /* less than a second is followed, and is no step */

    elapse(20 * S, 900000, 20);
    assert_int_equal(t.offset_us, 0);
    assert_int_equal(t.steps, 2);
}


static void
test_held(void **state)
{
    uint64_t  was;

    (void) state;

    start();
    elapse(S, DAY, 1);
    assert_int_equal(t.held, 1);
    assert_int_equal(t.refused, 1);

    was = t.us;
    elapse(HOUR, 0, 1000);
    assert_int_equal(t.us - was, HOUR);
    assert_int_equal(t.offset_us, DAY);

    elapse(S, DAY, 1);
    assert_int_equal(t.refused, 2);

    /* back, and all is well: nothing has been lost */

    elapse(S, -2 * (int64_t) DAY, 1);
    assert_int_equal(t.held, 0);
    assert_int_equal(t.us, now.wall_us);
    assert_int_equal(t.steps, 3);

    /* many small ones are one large one */

    elapse(14 * S, 0, 1);
    elapse(S, 400 * S, 1);
    assert_int_equal(t.held, 0);
    elapse(S, 400 * S, 1);
    assert_int_equal(t.held, 1);
    assert_int_equal(t.refused, 3);
}


static void
test_accept(void **state)
{
    (void) state;

    start();
    elapse(S, DAY, 1);

    assert_int_equal(rt_time_accept(&t, &now), DAY / 1000);
    assert_int_equal(t.us, now.wall_us);
    assert_int_equal(t.held, 0);
    assert_int_equal(rt_time_accept(&t, &now), 0);

    /* it goes on from there, and a clock that is behind changes nothing */

    elapse(S, 0, 10);
    assert_int_equal(t.us, now.wall_us);
    elapse(S, - (int64_t) DAY, 1);
    assert_int_equal(rt_time_accept(&t, &now), 0);
    assert_true(t.offset_us < - (int64_t) (DAY - S));
}


static void
test_start(void **state)
{
    (void) state;

    now.wall_us = BEGIN + DAY;
    now.elapsed_us = 0;
    rt_time_start(&t, BEGIN, LIMIT, &now);
    assert_int_equal(t.held, 1);
    assert_int_equal(t.refused, 1);
    elapse(S, 0, 1);
    assert_int_equal(t.us, BEGIN + S);

    now.wall_us = BEGIN - DAY;
    now.elapsed_us = 0;
    rt_time_start(&t, BEGIN, LIMIT, &now);
    assert_int_equal(t.held, 0);
    elapse(10 * S, 0, 1);
    assert_int_equal(t.us, BEGIN + 9 * S);

    /* elapsed time that goes back is nobody's, and is none */

    now.elapsed_us = 0;
    rt_time_update(&t, &now);
    assert_int_equal(t.us, BEGIN + 9 * S);
}


static void
test_any(void **state)
{
    int       i;
    uint64_t  x, us;
    int64_t   set;

    (void) state;

    start();
    x = 1;

    for (i = 0; i < 200000; i++) {
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
        us = (x >> 33) % (1ULL << (x >> 59));
        set = x >> 40 & 15 ? 0 : (int64_t) ((x >> 20) % (2 * DAY)) -
                                 (int64_t) DAY;
        elapse(us, set, 1);
    }

    assert_true(t.steps > 10000 && t.refused > 1000);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_follows),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_any)
    };

    rt_log_level = RT_LOG_STDERR;

    return cmocka_run_group_tests(tests, NULL, NULL);
}
