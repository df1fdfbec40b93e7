/*
 * Sources of publications: what is new, what has been applied, and what the
 * death of a process leaves, between any two steps of an append.
 *
 * Sources: ngx_http_rt_source.c ngx_http_rt_topic.c
 * Sources: ngx_http_rt_index.c ngx_http_rt_ring.c
 * Sources: ngx_http_rt_pattern.c ngx_http_rt_utf8.c
 * Sources: ngx_http_rt_blob.c
 * Sources: ngx_http_rt_presence.c ngx_http_rt_index_repair.c
 * Sources: ngx_http_rt_index_key.c
 * Sources: ngx_http_rt_shape.c ngx_http_rt_hash.c
 * Sources: ngx_http_rt_append.c ngx_http_rt_chain.c
 */


#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ngx_http_rt_topic.h>


#define RING   (64 * 1024)
#define INDEX  (32 * 1024)


static ngx_http_rt_store_t  *store;
static u_char               *memory;


static void
build(void)
{
    store = calloc(1, sizeof(ngx_http_rt_store_t));
    memory = aligned_alloc(256, INDEX + RING);
    memset(memory, 0, INDEX + RING);

    assert_int_equal(ngx_http_rt_index_init(&store->index, memory, INDEX), 0);
    ngx_http_rt_ring_init(&store->ring, memory + INDEX, RING);
}


static void
drop(void)
{
    free(store);
    free(memory);
}


static int
publish_to(const char *topic, uint64_t position, uint32_t len, int refused)
{
    static u_char           data[RING];
    ngx_http_rt_place_t     place = { 7, position, 0 };
    ngx_http_rt_message_t   m;
    ngx_http_rt_presence_t  p;

    memset(&m, 0, sizeof(m));

    m.topic = (const u_char *) topic;
    m.topic_len = strlen(topic);
    m.data = data;
    m.data_len = len;
    m.refused = refused;

    return ngx_http_rt_topic_append_from(store, &m, &p, &place);
}


static int
publish(uint64_t epoch, uint64_t position, uint64_t index, uint32_t len)
{
    static u_char           data[RING];
    ngx_http_rt_place_t     place = { epoch, position, index };
    ngx_http_rt_message_t   m;
    ngx_http_rt_presence_t  p;

    memset(&m, 0, sizeof(m));

    m.topic = (const u_char *) "auction/1";
    m.topic_len = 9;
    m.data = data;
    m.data_len = len;

    return ngx_http_rt_topic_append_from(store, &m, &p, &place);
}


static void
begin(uint64_t epoch, uint64_t position, uint64_t index)
{
    ngx_http_rt_place_t  place = { epoch, position, index };

    (void) ngx_http_rt_source_get(&store->sources, &place, epoch + 1000);
}


static void
at(uint64_t epoch, uint64_t position, uint64_t index)
{
    ngx_http_rt_place_t    place;
    ngx_http_rt_source_t  *source;

    source = ngx_http_rt_source_find(&store->sources, epoch);
    assert_non_null(source);

    ngx_http_rt_source_place(source, &place);

    assert_int_equal(place.epoch, epoch);
    assert_int_equal(place.position, position);
    assert_int_equal(place.index, index);
    assert_int_equal(store->sources.moving, 0);
}


static void
test_once(void **state)
{
    (void) state;

    build();

    /* nobody knows it */
    assert_int_equal(publish(7, 1, 0, 10), NGX_HTTP_RT_TOPIC_REPLAY);

    begin(7, 100, 1);
    begin(7, 0, 0);
    begin(8, 0, 0);
    at(7, 100, 1);

    assert_int_equal(publish(7, 99, 5, 10), NGX_HTTP_RT_TOPIC_REPLAY);
    assert_int_equal(publish(7, 100, 1, 10), NGX_HTTP_RT_TOPIC_REPLAY);
    assert_int_equal(store->ring.seq, 0);

    assert_int_equal(publish(7, 100, 2, 10), NGX_HTTP_RT_TOPIC_OK);
    at(7, 100, 2);
    assert_int_equal(publish(7, 300, 0, 10), NGX_HTTP_RT_TOPIC_OK);
    at(7, 300, 0);
    assert_int_equal(publish(7, 300, 0, 10), NGX_HTTP_RT_TOPIC_REPLAY);
    assert_int_equal(publish(7, 100, 3, 10), NGX_HTTP_RT_TOPIC_REPLAY);
    assert_int_equal(publish(8, 1, 0, 10), NGX_HTTP_RT_TOPIC_OK);
    at(8, 1, 0);
    at(7, 300, 0);
    assert_int_equal(store->ring.seq, 3);

    drop();
}


/* the record at a seq; there is one of each topic */

static void
record_of(ngx_http_rt_record_t *rec, uint64_t seq)
{
    uint64_t  pos;

    pos = ngx_http_rt_ring_seek(&store->ring, seq);

    do {
        assert_int_equal(ngx_http_rt_ring_scan(&store->ring, &pos,
                                               store->ring.head, rec),
                         NGX_HTTP_RT_RING_OK);
        pos += rec->size;

    } while (rec->seq < seq);

    assert_int_equal(rec->seq, seq);
}


/* what cannot be appended leaves its place in the ring, once */

static void
test_refused(void **state)
{
    uint32_t               hash, nfree, oldest;
    unsigned               i;
    ngx_http_rt_record_t   rec;

    (void) state;

    build();
    begin(7, 0, 0);

    assert_int_equal(publish_to("a", 10, 10, 0), NGX_HTTP_RT_TOPIC_OK);
    assert_int_equal(publish_to("a", 20, RING / 2, 0),
                     NGX_HTTP_RT_TOPIC_LARGE);
    at(7, 10, 0);
    assert_int_equal(publish_to("a", 20, RING / 2, 1), NGX_HTTP_RT_TOPIC_OK);
    at(7, 20, 0);
    assert_int_equal(publish_to("a", 20, RING / 2, 1),
                     NGX_HTTP_RT_TOPIC_REPLAY);
    assert_int_equal(publish_to("a", 20, 10, 0), NGX_HTTP_RT_TOPIC_REPLAY);
    assert_int_equal(store->ring.seq, 2);

    record_of(&rec, 2);
    assert_int_equal(rec.flags, NGX_HTTP_RT_RECORD_REFUSED);
    assert_int_equal(rec.data_len, 0);
    assert_int_equal(rec.ordinal, 2);

    /* no room for the topic: those who ask for it learn of it */

    (void) publish_to("t/0", 25, 10, 0);

    nfree = store->index.free;
    oldest = store->index.idle.oldest;
    store->index.free = 0;
    store->index.idle.oldest = 0;

    assert_int_equal(publish_to("b/1", 30, 10, 0), NGX_HTTP_RT_TOPIC_FULL);
    at(7, 25, 0);
    assert_int_equal(publish_to("b/1", 30, 10, 1), NGX_HTTP_RT_TOPIC_OK);
    at(7, 30, 0);

    record_of(&rec, 4);
    assert_int_equal(rec.flags, NGX_HTTP_RT_RECORD_REFUSED);
    assert_int_equal(rec.topic, 0);
    assert_int_equal(rec.topic_len, 3);

    hash = ngx_http_rt_index_hash(&store->index, (u_char *) "b/1", 3);
    assert_int_equal(rec.hash, hash);
    assert_int_equal(ngx_http_rt_index_forgotten(&store->index, hash), 4);
    assert_int_equal(ngx_http_rt_index_forgotten_match(&store->index,
                                               (u_char *) "b/*", 3), 4);

    store->index.free = nfree;
    store->index.idle.oldest = oldest;

    /* and the ring goes over it like over any other */

    for (i = 0; i < 3 * RING / 100; i++) {
        assert_int_equal(publish_to("t/0", 40 + i, 100, 0),
                         NGX_HTTP_RT_TOPIC_OK);
    }

    assert_int_equal(store->damages, 0);

    drop();
}


/* copies of the store, as a death would leave it, are repaired */

static void
test_death(void **state)
{
    uint64_t              head;
    ngx_http_rt_place_t   place = { 7, 500, 3 };
    ngx_http_rt_store_t   before, copy;

    (void) state;

    build();
    begin(7, 100, 1);
    assert_int_equal(publish(7, 200, 0, 10), NGX_HTTP_RT_TOPIC_OK);

    /* before the commit */

    ngx_http_rt_source_prepare(&store->sources,
                               ngx_http_rt_source_find(&store->sources, 7),
                               &place);
    ngx_http_rt_topic_repair(store);
    at(7, 200, 0);

    /* "from" is set, the head is not */

    ngx_http_rt_source_prepare(&store->sources,
                               ngx_http_rt_source_find(&store->sources, 7),
                               &place);
    store->from = store->ring.head;
    ngx_http_rt_topic_repair(store);
    at(7, 200, 0);

    /* after the commit: the head alone tells */

    before = *store;
    head = store->ring.head;

    assert_int_equal(publish(7, 500, 3, 10), NGX_HTTP_RT_TOPIC_OK);
    at(7, 500, 3);

    copy = *store;
    copy.sources = before.sources;
    copy.from = head;

    ngx_http_rt_source_prepare(&copy.sources,
                               ngx_http_rt_source_find(&copy.sources, 7),
                               &place);
    *store = copy;
    ngx_http_rt_topic_repair(store);
    at(7, 500, 3);

    /* and once more, as if the repair had died at its end */

    store->from = head;
    ngx_http_rt_topic_repair(store);
    at(7, 500, 3);

    assert_int_equal(publish(7, 500, 3, 10), NGX_HTTP_RT_TOPIC_REPLAY);

    /* an append without a source moves none */

    assert_int_equal(store->ring.seq, 2);

    drop();
}


static void
test_many(void **state)
{
    uint64_t  i;

    (void) state;

    build();

    for (i = 1; i <= NGX_HTTP_RT_SOURCES; i++) {
        begin(i, i, 0);
    }

    begin(1, 0, 0);
    begin(1000, 5, 0);

    at(1, 1, 0);
    at(1000, 5, 0);
    assert_null(ngx_http_rt_source_find(&store->sources, 2));
    assert_null(ngx_http_rt_source_find(&store->sources, 0));
    at(3, 3, 0);

    assert_ptr_equal(ngx_http_rt_source_of_peer(&store->sources, 1003),
                     ngx_http_rt_source_find(&store->sources, 3));
    assert_null(ngx_http_rt_source_of_peer(&store->sources, 1002));

    drop();
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_death),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
