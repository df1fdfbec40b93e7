/*
 * Shapes: for random patterns and topics, the lookups by shape find those
 * patterns that pattern_match() says match, no more than that but for chance,
 * and counts of shapes are right.
 *
 * Sources: ngx_http_rt_shape.c ngx_http_rt_hash.c ngx_http_rt_pattern.c
 * Sources: ngx_http_rt_utf8.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_pattern.h>
#include <ngx_http_rt_shape.h>
#include "roll.h"


#define PATTERNS  200


typedef struct {
    size_t    len;
    u_char    text[255];
    unsigned  shape;
    uint32_t  hash;
} pattern_t;


static const ngx_http_rt_hash_key_t  key = { 1, 2 };

static ngx_http_rt_shapes_t  shapes;
static pattern_t             patterns[PATTERNS];


/* segments of a few letters, so that much matches; wild: with stars */

static size_t
make(u_char *p, int wild)
{
    size_t    len;
    unsigned  i, n, more;

    len = 0;
    n = 1 + (roll(8) ? roll(4) : roll(20));

    for (i = 0; i < n; i++) {

        if (i) {
            p[len++] = '/';
        }

        if (wild && i == n - 1 && roll(4) == 0) {
            memcpy(p + len, "**", 2);
            return len + 2;
        }

        more = (wild && roll(3) == 0);

        if (!more || roll(2)) {
            do {
                p[len++] = "ab"[roll(2)];
            } while (roll(3) == 0 && len < 200);
        }

        if (more) {
            p[len++] = '*';
        }
    }

    return len;
}


static void
check_topic(const u_char *topic, size_t len, unsigned *matched)
{
    int                     rc;
    unsigned                i, match, shapeless;
    uint32_t                hash;
    ngx_http_rt_segments_t  segments;

    ngx_http_rt_shape_split(&segments, topic, len);

    for (i = 0; i < PATTERNS; i++) {
        match = ngx_http_rt_pattern_match(patterns[i].text, patterns[i].len,
                                          topic, len);
        shapeless = (patterns[i].shape == NGX_HTTP_RT_SHAPE_NONE);

        if (shapeless) {
            continue;
        }

        rc = ngx_http_rt_shape_hash_topic(&shapes, patterns[i].shape, &key,
                                          &segments, &hash);

        assert_int_equal(match, rc == 0 && hash == patterns[i].hash);

        *matched += match;
    }
}


static void
add(unsigned i)
{
    patterns[i].shape = ngx_http_rt_shapes_get(&shapes, patterns[i].text,
                                               patterns[i].len);

    if (patterns[i].shape != NGX_HTTP_RT_SHAPE_NONE) {
        patterns[i].hash = ngx_http_rt_shape_hash_pattern(&shapes,
                                     patterns[i].shape, &key,
                                     patterns[i].text, patterns[i].len);
    }
}


static void
check_counts(void)
{
    unsigned              i, counts[NGX_HTTP_RT_SHAPES];
    ngx_http_rt_shapes_t  again;

    memset(counts, 0, sizeof(counts));
    again = shapes;
    ngx_http_rt_shapes_clear(&again);

    for (i = 0; i < PATTERNS; i++) {

        if (patterns[i].shape == NGX_HTTP_RT_SHAPE_NONE) {
            continue;
        }

        counts[patterns[i].shape]++;

        assert_int_equal(ngx_http_rt_shapes_recount(&again, patterns[i].shape,
                                         patterns[i].text, patterns[i].len),
                         0);
        assert_int_equal(ngx_http_rt_shapes_find(&shapes, patterns[i].text,
                                                 patterns[i].len),
                         patterns[i].shape);
    }

    for (i = 0; i < NGX_HTTP_RT_SHAPES; i++) {
        assert_int_equal(shapes.counts[i], counts[i]);
        assert_int_equal(shapes.used >> i & 1, counts[i] != 0);
    }

    assert_int_equal(again.used, shapes.used);
    assert_memory_equal(again.counts, shapes.counts, sizeof(shapes.counts));
}


static void
test_random(void **state)
{
    size_t    len;
    u_char    topic[255];
    unsigned  i, n, full, without, matched;

    (void) state;

    full = 0;
    without = 0;
    matched = 0;

    memset(&shapes, 0, sizeof(shapes));

    for (i = 0; i < PATTERNS; i++) {
        patterns[i].len = make(patterns[i].text, 1);
        add(i);
    }

    for (n = 0; n < 20000; n++) {
        i = roll(PATTERNS);

        if (patterns[i].shape != NGX_HTTP_RT_SHAPE_NONE) {
            ngx_http_rt_shapes_put(&shapes, patterns[i].shape);
        }

        patterns[i].len = make(patterns[i].text, 1);
        add(i);

        full += (~shapes.used == 0);
        without += (patterns[i].shape == NGX_HTTP_RT_SHAPE_NONE);

        len = make(topic, 0);
        check_topic(topic, len, &matched);

        if (n % 100 == 0) {
            check_counts();
        }
    }

    assert_true(full > 100);
    assert_true(without > 100);
    assert_true(matched > 1000);
}


static void
test_parse(void **state)
{
    u_char               text[255];
    ngx_http_rt_shape_t  shape;

    (void) state;

    assert_int_equal(ngx_http_rt_shape_parse((u_char *) "**", 2, &shape), 0);
    assert_int_equal(shape.n, 0);
    assert_int_equal(shape.deep, 1);

    assert_int_equal(ngx_http_rt_shape_parse((u_char *) "a/bc*/*/d", 9,
                                             &shape), 0);
    assert_int_equal(shape.n, 4);
    assert_int_equal(shape.deep, 0);
    assert_int_equal(shape.parts[0], NGX_HTTP_RT_SHAPE_LITERAL);
    assert_int_equal(shape.parts[1], 2);
    assert_int_equal(shape.parts[2], NGX_HTTP_RT_SHAPE_STAR);

    /* the longest ones */

    memset(text, 'x', 255);
    text[254] = '*';
    assert_int_equal(ngx_http_rt_shape_parse(text, 255, &shape), 0);
    assert_int_equal(shape.parts[0], 254);

    memcpy(text, "*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/*/**", 34);
    assert_int_equal(ngx_http_rt_shape_parse(text, 34, &shape), 0);
    assert_int_equal(shape.n, 16);
    assert_int_equal(ngx_http_rt_shape_parse(text, 33, &shape), -1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_random),
    };

    seed = 88172645463325252ULL;

    return cmocka_run_group_tests(tests, NULL, NULL);
}
