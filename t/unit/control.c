/*
 * Control records among messages: the walk of a process sees each of them in
 * its place, readers of messages see none, they count for nothing, and they go
 * with the tail.  A process that dies while it adds one has added it or not.
 *
 * Sources: ngx_http_rt_topic.c ngx_http_rt_start.c ngx_http_rt_index.c
 * Sources: ngx_http_rt_ring.c ngx_http_rt_pattern.c ngx_http_rt_utf8.c
 * Sources: ngx_http_rt_source.c ngx_http_rt_blob.c
 * Sources: ngx_http_rt_presence.c ngx_http_rt_index_repair.c
 * Sources: ngx_http_rt_index_key.c
 * Sources: ngx_http_rt_shape.c ngx_http_rt_hash.c
 * Sources: ngx_http_rt_append.c ngx_http_rt_chain.c
 */


#define _GNU_SOURCE                  /* sched_setaffinity() */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <ngx_http_rt_topic.h>
#include "roll.h"


#define RING_SIZE   8192
#define INDEX_SIZE  (24 * NGX_HTTP_RT_CELL_SIZE)
#define ITEMS       4096


typedef struct {
    ngx_http_rt_store_t     store;
    u_char                  index[INDEX_SIZE] __attribute__((aligned(256)));
    u_char                  ring[RING_SIZE] __attribute__((aligned(64)));
} world_t;


typedef struct {
    size_t                  len;
    unsigned                type;
    volatile int            done;
} op_t;


typedef struct {
    world_t                 world;
    op_t                    op;
} shared_t;


static shared_t  *sh;
static world_t    last, dead;
static unsigned   step, instruction, deaths;
static uint64_t   made;                 /* the head after the operation */
static u_char     bytes[1024];

/* what there is, in order: the type of a control, or 0 for a message */

static unsigned   items[ITEMS];
static unsigned   nitems;


#define check(c)                                                              \
    do {                                                                      \
        if (!(c)) {                                                           \
            fail_msg("line %d, step %u.%u: %s", __LINE__, step, instruction,  \
                     #c);                                                     \
        }                                                                     \
    } while (0)


#include "death.h"


static void
start(void)
{
    world_t  *w;

    w = &sh->world;

    memset(w, 0, sizeof(world_t));
    nitems = 0;

    ngx_http_rt_ring_init(&w->store.ring, w->ring, RING_SIZE);
    assert_int_equal(ngx_http_rt_index_init(&w->store.index, w->index,
                                            INDEX_SIZE), 0);
}


static void
run(world_t *w, op_t *op)
{
    check(ngx_http_rt_topic_control(&w->store, op->type, bytes, op->len) == 0);
}


static void
publish(world_t *w)
{
    ngx_http_rt_message_t   m;
    ngx_http_rt_presence_t  p;

    memset(&m, 0, sizeof(m));

    m.topic = (u_char *) &"abc"[roll(3)];
    m.topic_len = 1;
    m.data = bytes;
    m.data_len = roll(200);

    check(ngx_http_rt_topic_append(&w->store, &m, 1, &p) == 0);
}


/* what is left agrees with the end of the list; torn: one more may count as */
/* overwritten */

static void
check_ring(world_t *w, unsigned n, unsigned torn)
{
    u_char                 copy[1024];
    uint64_t               pos;
    unsigned               i, there, messages, scanned, all;
    ngx_http_rt_ring_t    *ring;
    ngx_http_rt_record_t   rec;

    ring = &w->store.ring;
    there = 0;
    messages = 0;

    for (pos = ring->tail;
         ngx_http_rt_ring_walk(ring, &pos, ring->head, &rec)
         == NGX_HTTP_RT_RING_OK;
         pos += rec.size)
    {
        there++;
    }

    check(pos >= ring->head && there <= n);

    i = n - there;

    for (pos = ring->tail;
         ngx_http_rt_ring_walk(ring, &pos, ring->head, &rec)
         == NGX_HTTP_RT_RING_OK;
         pos += rec.size, i++)
    {
        if (!(rec.flags & NGX_HTTP_RT_RECORD_CONTROL)) {
            check(items[i] == 0);
            messages++;
            continue;
        }

        check(rec.control == items[i]);
        check(ngx_http_rt_ring_copy(ring, pos, 0, copy, rec.data_len) == 0);
        check(memcmp(copy, bytes, rec.data_len) == 0);
    }

    for (pos = ring->tail, scanned = 0;
         ngx_http_rt_ring_scan(ring, &pos, ring->head, &rec)
         == NGX_HTTP_RT_RING_OK;
         pos += rec.size)
    {
        check(!(rec.flags & NGX_HTTP_RT_RECORD_CONTROL));
        scanned++;
    }

    check(scanned == messages);

    for (i = 0, all = 0; i < n; i++) {
        all += (items[i] == 0);
    }

    check(ring->seq == all);
    check(w->store.evicted - (all - messages) <= torn);
}


static void
add(unsigned type)
{
    check(nitems < ITEMS);
    items[nitems++] = type;
}


static void
test_random(void **state)
{
    (void) state;

    start();

    for (step = 0; step < 3000; step++) {

        if (roll(2)) {
            publish(&sh->world);
            add(0);

        } else {
            sh->op.type = 1 + roll(255);
            sh->op.len = roll(300);
            run(&sh->world, &sh->op);
            add(sh->op.type);
        }

        check_ring(&sh->world, nitems, 0);
    }

    /* one that is too large */

    check(ngx_http_rt_topic_control(&sh->world.store, 1, bytes, RING_SIZE / 4)
          == NGX_HTTP_RT_TOPIC_LARGE);
}


static void
check_death(void)
{
    deaths++;

    memcpy(&dead, &last, sizeof(world_t));
    move(&dead);

    ngx_http_rt_topic_repair(&dead.store);

    /* the list has it already */

    check_ring(&dead, nitems - (dead.store.ring.head != made), 1);

    publish(&dead);
}


static void
test_deaths(void **state)
{
    world_t   before;
    uint64_t  end;

    (void) state;

    stay_on_processor();
    start();

    for (step = 0; step < 60; step++) {
        publish(&sh->world);
        add(0);
    }

    end = clock_ms() + 3000;

    for (step = 0; step < 12 && clock_ms() < end; step++) {
        sh->op.type = 1 + step;
        sh->op.len = roll(600);

        /* where the head will be */

        memcpy(&before, &sh->world, sizeof(world_t));
        move(&before);
        run(&before, &sh->op);
        made = before.store.ring.head;

        add(sh->op.type);

        if (trace(0, UINT32_MAX) != 0) {
            skip();
        }

        check(sh->world.store.ring.head == made);
        check_ring(&sh->world, nitems, 0);

        publish(&sh->world);
        add(0);
    }

    print_message("# %u deaths\n", deaths);
    assert_true(deaths > 20);
}


static int
setup(void **state)
{
    size_t  i;

    (void) state;

    seed = 88172645463325252ULL;

    for (i = 0; i < sizeof(bytes); i++) {
        bytes[i] = i * 7;
    }

    sh = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
              MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    return sh == MAP_FAILED;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_deaths),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
