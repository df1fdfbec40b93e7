/*
 * Blobs against a ledger: processes reserve, copy, append and die in between,
 * in a ring that is too small for them.  The ledger knows what lies where, so
 * it can say of each step how far the tail must move, what is lost with it, and
 * whether a pin is in the way; the rest must be readable, byte by byte.
 *
 * The second half is about deaths, as in topic.c: a process is led through an
 * operation one instruction at a time, and after each that has changed the
 * zone, a copy is repaired and compared, and appended to.
 *
 * Sources: ngx_http_rt_blob.c ngx_http_rt_topic.c
 * Sources: ngx_http_rt_index.c ngx_http_rt_ring.c
 * Sources: ngx_http_rt_pattern.c ngx_http_rt_utf8.c
 * Sources: ngx_http_rt_source.c
 * Sources: ngx_http_rt_presence.c ngx_http_rt_index_repair.c
 * Sources: ngx_http_rt_index_key.c
 * Sources: ngx_http_rt_shape.c ngx_http_rt_hash.c
 * Sources: ngx_http_rt_append.c ngx_http_rt_chain.c ngx_http_rt_start.c
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

#include <ngx_http_rt_pattern.h>
#include <ngx_http_rt_topic.h>
#include "name.h"
#include "roll.h"


#define TOPICS       4
#define SLOTS        4
#define KEYS         3
#define WINDOW       256             /* more than the ring has records */
#define ITEMS        512
#define RING_SIZE    8008
#define INDEX_SIZE   (24 * NGX_HTTP_RT_CELL_SIZE)
#define SHARE        (RING_SIZE / NGX_HTTP_RT_RING_SHARE)


typedef enum {
    SMALL = 0,
    RESERVE,
    APPEND,
    ONCE,
    UNPIN,
    DELETE
} kind_e;


typedef enum {
    FREE = 0,
    RESERVED,
    DEAD
} life_e;


typedef struct {
    ngx_http_rt_store_t     store;
    u_char                  index[INDEX_SIZE] __attribute__((aligned(256)));
    u_char                  ring[RING_SIZE] __attribute__((aligned(64)));
} world_t;


typedef struct {
    kind_e                  kind;
    unsigned                slot;
    unsigned                topic;
    unsigned                of;      /* key */
    uint64_t                number;  /* what its data is made of */
    ngx_http_rt_message_t   m;
    ngx_http_rt_key_t  key;

    int                     rc;
    ngx_http_rt_presence_t  p;
    volatile int            done;
} op_t;


/* what lies in the ring, one behind the other; a seq of 0 is a filler */

typedef struct {
    uint64_t                pos;
    uint64_t                size;
    uint64_t                seq;     /* of this message, */
    unsigned                blob;    /* or of the one whose data it is */
} item_t;


typedef struct {
    unsigned                topic;
    uint64_t                number;
    uint64_t                pos;
    uint64_t                blob;
    uint32_t                len;
} entry_t;


typedef struct {
    uint64_t                seq;
    uint64_t                floor;
    uint64_t                deleted;
} topic_t;


typedef struct {
    life_e                  life;
    unsigned                topic;
    uint64_t                number;
    uint64_t                pin;
    uint32_t                len;
    uint32_t                copied;
} slot_t;


typedef struct {
    item_t                  items[ITEMS];
    entry_t                 entries[WINDOW];
    topic_t                 topics[TOPICS];
    slot_t                  slots[SLOTS];
    ngx_http_rt_key_t  keys[KEYS];
    unsigned                first;   /* items */
    unsigned                next;
    uint64_t                tail;
    uint64_t                head;
    uint64_t                seq;
    uint64_t                evicted;
    uint64_t                torn;    /* counts as evicted, not gone yet */
} ledger_t;


typedef struct {
    world_t                 world;
    op_t                    op;
} shared_t;


typedef struct {
    unsigned                answers[6];
    unsigned                wraps;
    unsigned                apart;   /* messages lost with their blob alone */
    unsigned                before;  /* and for a later one's blob */
} seen_t;


static const char          *names[TOPICS] = { "a", "b/1", "b/22", "c" };
static const char          *kinds[] = {
    "small", "reserve", "append", "once", "unpin", "delete"
};

static shared_t            *sh;
static ledger_t             ledger;
static seen_t               seen;
static u_char               data[RING_SIZE];

static uint64_t             numbers, keys;
static unsigned             step, instruction;
static op_t                *doing;


#define check(c)                                                              \
    do {                                                                      \
        if (!(c)) {                                                           \
            fail_msg("line %d, step %u.%u, %s: %s", __LINE__, step,           \
                     instruction, doing ? kinds[doing->kind] : "-", #c);      \
        }                                                                     \
    } while (0)

#define item(l, n)       (&(l)->items[(n) % ITEMS])
#define entry(l, seq)    (&(l)->entries[(seq) % WINDOW])


static u_char
byte_of(uint64_t number, size_t i)
{
    return (number + (i + 1) * (number | 1) * 2654435761U) >> 24;
}


static void
fill(uint64_t number, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        data[i] = byte_of(number, i);
    }
}


static unsigned
is_filled(const u_char *p, uint64_t number, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (p[i] != byte_of(number, i)) {
            return 0;
        }
    }

    return 1;
}


static void
start(uint64_t pos)
{
    world_t  *w;

    w = &sh->world;

    memset(w, 0, sizeof(world_t));
    memset(&ledger, 0, sizeof(ledger_t));

    ngx_http_rt_ring_init(&w->store.ring, w->ring, RING_SIZE);
    assert_int_equal(ngx_http_rt_index_init(&w->store.index, w->index,
                                            INDEX_SIZE), 0);

    if (pos) {
        w->store.ring.head = pos;
        w->store.ring.tail = pos;
    }

    ledger.head = w->store.ring.head;
    ledger.tail = w->store.ring.tail;

    doing = NULL;
    step = 0;
    instruction = 0;
}


static ngx_http_rt_cell_t *
find(world_t *w, unsigned i)
{
    const u_char  *name;

    name = (const u_char *) names[i];

    return ngx_http_rt_topic_find(&w->store, name, strlen(names[i]),
                                  name_hash(name, strlen(names[i])));
}


/* what nginx does under the zone's mutex */

static void
run(world_t *w, op_t *op)
{
    ngx_http_rt_cell_t   *cell;
    ngx_http_rt_store_t  *store;

    store = &w->store;
    op->rc = 0;

    switch (op->kind) {

    case SMALL:
        op->rc = ngx_http_rt_topic_append(store, &op->m, 1, &op->p);
        break;

    case RESERVE:
        op->rc = ngx_http_rt_topic_reserve(store, op->slot, &op->m);
        break;

    case APPEND:
        op->rc = ngx_http_rt_topic_append(store, &op->m, 1, &op->p);
        ngx_http_rt_blob_unpin(&store->ring, &store->pins, op->slot);
        break;

    case ONCE:
        op->rc = ngx_http_rt_topic_append_once(store, &op->m, 1, &op->p,
                                               &op->key);
        ngx_http_rt_blob_unpin(&store->ring, &store->pins, op->slot);
        break;

    case UNPIN:
        ngx_http_rt_blob_unpin(&store->ring, &store->pins, op->slot);
        break;

    case DELETE:
        cell = find(w, op->topic);

        if (cell) {
            (void) ngx_http_rt_topic_delete(&w->store, cell,
                                            cell->topic.seq);
        }
    }
}


static void
make_message(op_t *op, unsigned topic, uint64_t number, uint32_t len)
{
    fill(number, len);

    op->topic = topic;
    op->number = number;

    op->m.time = 1700000000000;
    op->m.topic = (const u_char *) names[topic];
    op->m.topic_len = strlen(names[topic]);
    op->m.data = data;
    op->m.data_len = len;
}


/* as large as can be, or a little more */

static uint32_t
largest(void)
{
    return SHARE - sizeof(ngx_http_rt_record_t) - roll(30) + roll(8);
}


static void
make_key(op_t *op)
{
    ngx_http_rt_cell_t   *cell;
    ngx_http_rt_index_t  *index;

    index = &sh->world.store.index;
    op->of = roll(KEYS);

    if (ledger.keys[op->of].last == 0 || roll(2)) {

        /* a fresh one; the old one makes room */

        cell = ngx_http_rt_index_find_key(index, ledger.keys[op->of].key);

        if (cell) {
            ngx_http_rt_index_remove(index, cell);
        }

        memset(&ledger.keys[op->of], 0, sizeof(ngx_http_rt_key_t));
        keys++;
        memcpy(ledger.keys[op->of].key, &keys, sizeof(keys));
        ledger.keys[op->of].body[0] = 1;
    }

    op->key = ledger.keys[op->of];
    op->key.body[0] = 1 + (roll(5) == 0);
}


static void
make_append(op_t *op, unsigned slot)
{
    slot_t  *s;

    s = &ledger.slots[slot];

    op->kind = roll(3) ? APPEND : ONCE;
    op->slot = slot;

    make_message(op, s->topic, s->number, s->len);
    op->m.blob = s->pin;

    if (op->kind == ONCE) {
        make_key(op);
    }
}


/* an operation, or 0 if only the ledger has changed */

static unsigned
make(op_t *op)
{
    uint32_t   len;
    slot_t    *s;

    memset(op, 0, sizeof(op_t));
    doing = op;

    op->slot = roll(SLOTS);
    s = &ledger.slots[op->slot];

    if (roll(40) == 0) {
        op->kind = DELETE;
        op->topic = roll(TOPICS);
        return 1;
    }

    if (roll(2)) {
        op->kind = SMALL;
        make_message(op, roll(TOPICS), ++numbers,
                     roll(20) ? roll(150) : largest());
        return 1;
    }

    switch (s->life) {

    case FREE:
        op->kind = RESERVE;
        len = roll(3) ? roll(900) : roll(SHARE);
        make_message(op, roll(TOPICS), ++numbers, roll(8) ? len : largest());
        return 1;

    case RESERVED:
        if (roll(20) == 0) {
            s->life = DEAD;
            return 0;
        }

        if (s->copied < s->len) {
            s->copied = roll(3) ? s->len : roll(s->len + 1);
            fill(s->number, s->copied);
            ngx_http_rt_blob_write(&sh->world.store.ring, s->pin, data,
                                   s->copied);
            return 0;
        }

        make_append(op, op->slot);
        return 1;

    case DEAD:
        if (roll(3) == 0) {
            op->kind = UNPIN;
            return 1;
        }
    }

    return 0;
}


/* the ledger */

static uint64_t
least_pin(ledger_t *l)
{
    unsigned  i;
    uint64_t  pin, least;

    least = 0;

    for (i = 0; i < SLOTS; i++) {
        pin = l->slots[i].pin;

        if (pin && (least == 0 || pin < least)) {
            least = pin;
        }
    }

    return least;
}


/* where so many bytes go, how far the tail must move, and whether it can */

static unsigned
place(ledger_t *l, uint64_t size, uint64_t *pos, uint64_t *tail)
{
    unsigned  n;
    uint64_t  rest, pin;

    pin = least_pin(l);
    rest = RING_SIZE - l->head % RING_SIZE;

    *pos = (rest < size) ? l->head + rest : l->head;
    *tail = l->tail;

    for (n = l->first; *pos + size > *tail + RING_SIZE; n++) {
        check(n < l->next);
        check(item(l, n)->pos == *tail);

        if (pin && pin <= *tail) {

            /* then nothing goes for it in vain */

            *tail = l->tail;
            return 0;
        }

        *tail += item(l, n)->size;
    }

    return 1;
}


static void
push(ledger_t *l, uint64_t pos, uint64_t size, uint64_t seq, unsigned blob)
{
    item_t  *it;

    if (pos != l->head) {
        it = item(l, l->next++);
        it->pos = l->head;
        it->size = pos - l->head;
        it->seq = 0;
        it->blob = 0;
        seen.wraps++;
    }

    it = item(l, l->next++);
    it->pos = pos;
    it->size = size;
    it->seq = seq;
    it->blob = blob;

    l->head = pos + size;

    check(l->next - l->first < ITEMS);
}


static void
evict(ledger_t *l, item_t *it)
{
    uint64_t   seq;
    topic_t   *t;

    if (it->seq == 0) {
        return;
    }

    t = &l->topics[entry(l, it->seq)->topic];

    if (it->blob && t->floor < it->seq) {
        seen.apart++;

        for (seq = t->floor + 1; seq < it->seq; seq++) {
            seen.before += (entry(l, seq)->topic == entry(l, it->seq)->topic
                            && seq > l->evicted);
        }
    }

    if (t->floor < it->seq) {
        t->floor = it->seq;
    }

    if (!it->blob) {
        l->evicted = it->seq;
    }
}


/* "torn": the writer died on its way to where the tail was to be */

static void
adopt_tail(ledger_t *l, world_t *w, uint64_t wanted, unsigned torn)
{
    item_t              *it;
    topic_t             *t;
    uint64_t             floor;
    ngx_http_rt_cell_t  *cell;

    check(w->store.ring.tail == wanted
          || (torn && w->store.ring.tail < wanted));

    while (l->tail < w->store.ring.tail) {
        it = item(l, l->first++);
        evict(l, it);
        l->tail += it->size;
    }

    check(l->tail == w->store.ring.tail);

    if (l->torn <= l->evicted) {
        l->torn = 0;
    }

    if (l->tail == wanted || item(l, l->first)->seq == 0) {
        return;
    }

    /* the next one is gone, or what goes with it, or not yet */

    it = item(l, l->first);
    l->torn = it->blob ? 0 : it->seq;

    t = &l->topics[entry(l, it->seq)->topic];
    cell = find(w, entry(l, it->seq)->topic);
    check(cell != NULL);

    floor = cell->topic.floor;

    if (floor != t->floor) {
        check(floor > t->floor);
        check(floor == it->seq || (it->blob && floor < it->seq));
        check(entry(l, floor)->topic == entry(l, it->seq)->topic);
        t->floor = floor;
    }
}


static void
adopt_pin(ledger_t *l, world_t *w, op_t *op, int crashed)
{
    slot_t    *s;
    uint64_t   pin;

    s = &l->slots[op->slot];
    pin = w->store.pins.pos[op->slot];

    check(pin == 0 || (crashed && pin == s->pin));

    s->pin = pin;
    s->life = pin ? DEAD : FREE;
}


static void
adopt_reserve(ledger_t *l, world_t *w, op_t *op, int crashed)
{
    slot_t    *s;
    uint64_t   size, pos, tail;
    unsigned   roomy, done;

    if (ngx_http_rt_record_size(op->m.topic_len, 0, 0, op->m.data_len)
        > SHARE)
    {
        check(crashed || op->rc == NGX_HTTP_RT_TOPIC_LARGE);
        return;
    }

    size = ngx_http_rt_record_size(0, 0, 0, op->m.data_len);
    roomy = place(l, size, &pos, &tail);
    done = (w->store.ring.head != l->head);

    check(!done || (roomy && w->store.ring.head == pos + size));

    if (!crashed) {
        check(op->rc == (roomy ? NGX_HTTP_RT_TOPIC_OK
                               : NGX_HTTP_RT_TOPIC_BUSY));
        check(done == roomy);
        check(op->m.blob == (roomy ? pos : 0));
    }

    adopt_tail(l, w, tail, crashed && !done);

    if (done) {
        push(l, pos, size, 0, 1);

        s = &l->slots[op->slot];
        s->life = crashed ? DEAD : RESERVED;
        s->topic = op->topic;
        s->number = op->number;
        s->pin = pos;
        s->len = op->m.data_len;
        s->copied = 0;
    }
}


/* the key has been used before, so nothing is appended */

static unsigned
adopt_replay(ledger_t *l, op_t *op, int crashed)
{
    ngx_http_rt_key_t  *key;

    key = &l->keys[op->of];

    if (op->kind != ONCE || key->last == 0) {
        return 0;
    }

    if (!crashed && op->key.body[0] != key->body[0]) {
        check(op->rc == NGX_HTTP_RT_TOPIC_MISMATCH);

    } else if (!crashed) {
        check(op->rc == NGX_HTTP_RT_TOPIC_REPLAY);
        check(op->key.first == key->first && op->key.last == key->last);
    }

    return 1;
}


static void
adopt_append(ledger_t *l, world_t *w, op_t *op, int crashed)
{
    unsigned             n, roomy, committed;
    entry_t             *e;
    uint64_t             size, pos, tail, blob;
    ngx_http_rt_cell_t  *cell;

    blob = (op->kind == SMALL) ? 0 : l->slots[op->slot].pin;

    committed = (w->store.ring.seq != l->seq);

    if (adopt_replay(l, op, crashed)) {
        check(!committed);
        return;
    }

    if (ngx_http_rt_record_size(op->m.topic_len, 0, 0, op->m.data_len)
        > SHARE)
    {
        check(crashed || op->rc == NGX_HTTP_RT_TOPIC_LARGE);
        check(!committed);
        return;
    }

    size = ngx_http_rt_record_size(op->m.topic_len, 0, 0,
                                   blob ? 8 : op->m.data_len);
    roomy = place(l, size, &pos, &tail);

    check(!committed || (roomy && w->store.ring.seq == l->seq + 1));

    if (!crashed) {
        check(op->rc == (roomy ? NGX_HTTP_RT_TOPIC_OK
                               : NGX_HTTP_RT_TOPIC_BUSY));
        check(committed == roomy);
    }

    adopt_tail(l, w, tail, crashed && !committed);

    if (committed) {
        l->seq++;

        e = entry(l, l->seq);
        e->topic = op->topic;
        e->number = op->number;
        e->pos = pos;
        e->blob = blob;
        e->len = op->m.data_len;

        l->topics[op->topic].seq = l->seq;

        for (n = l->first; n < l->next; n++) {
            if (item(l, n)->pos == blob) {
                item(l, n)->seq = l->seq;
            }
        }

        push(l, pos, size, l->seq, 0);
        check(crashed || op->m.seq == l->seq);
    }

    if (op->kind == ONCE) {
        cell = ngx_http_rt_index_find_key(&w->store.index, op->key.key);

        check(crashed || (cell != NULL) == committed);

        if (cell && cell->key.last) {
            check(committed);
            check(cell->key.first == l->seq && cell->key.last == l->seq);
            l->keys[op->of] = cell->key;

        } else {
            check(crashed || !committed);
        }
    }
}


static void
adopt(ledger_t *l, world_t *w, op_t *op, int crashed)
{
    topic_t  *t;

    switch (op->kind) {

    case RESERVE:
        adopt_reserve(l, w, op, crashed);
        break;

    case SMALL:
        adopt_append(l, w, op, crashed);
        break;

    case APPEND:
    case ONCE:
        adopt_append(l, w, op, crashed);
        adopt_pin(l, w, op, crashed);
        break;

    case UNPIN:
        adopt_pin(l, w, op, crashed);
        break;

    case DELETE:
        t = &l->topics[op->topic];

        if (t->floor < t->seq) {
            t->floor = t->seq;
            t->deleted = t->seq;
        }
    }
}


/* the world is as the ledger says */

static void
check_ring(ledger_t *l, world_t *w)
{
    unsigned               i, n;
    slot_t                *s;
    uint64_t               pos, last;
    ngx_http_rt_ring_t    *ring;
    ngx_http_rt_record_t   rec, *blob;

    ring = &w->store.ring;

    check(ring->head == l->head);
    check(ring->tail == l->tail);
    check(ring->head - ring->tail <= RING_SIZE);
    check(ring->seq == l->seq);
    check(ring->pin == least_pin(l));
    check(w->store.from == 0);
    check(w->store.evicted == l->evicted
          || (l->torn && w->store.evicted == l->torn));

    for (i = 0; i < NGX_HTTP_RT_SLOTS; i++) {
        check(w->store.pins.pos[i] == (i < SLOTS ? l->slots[i].pin : 0));
    }

    pos = ring->tail;
    last = l->evicted;

    for (n = l->first; n < l->next; n++) {

        if (item(l, n)->seq == 0 || item(l, n)->blob) {
            continue;
        }

        check(ngx_http_rt_ring_scan(ring, &pos, ring->head, &rec)
              == NGX_HTTP_RT_RING_OK);
        check(pos == item(l, n)->pos);
        check(rec.size == item(l, n)->size);
        check(rec.seq == item(l, n)->seq);
        check(rec.seq == last + 1);

        last = rec.seq;
        pos += rec.size;
    }

    check(last == l->seq);
    check(ngx_http_rt_ring_scan(ring, &pos, ring->head, &rec)
          == NGX_HTTP_RT_RING_END);

    for (i = 0; i < SLOTS; i++) {
        s = &l->slots[i];

        if (s->pin) {
            check(ring->tail <= s->pin);

            blob = ngx_http_rt_record(ring, s->pin);
            check(blob->size == ngx_http_rt_record_size(0, 0, 0, s->len));
            check(is_filled((u_char *) &blob[1], s->number, s->copied));
        }
    }
}


/* as a reader does */

static void
check_message(world_t *w, entry_t *e, uint64_t seq)
{
    size_t                 len;
    u_char                 copy[RING_SIZE];
    uint64_t               blob;
    ngx_http_rt_ring_t    *ring;
    ngx_http_rt_record_t   rec;

    ring = &w->store.ring;
    len = strlen(names[e->topic]);

    check(ngx_http_rt_ring_read(ring, e->pos, &rec) == NGX_HTTP_RT_RING_OK);
    check(rec.seq == seq);
    check(rec.flags == (e->blob ? NGX_HTTP_RT_RECORD_APART : 0));
    check(rec.topic_len == len);
    check(rec.data_len == e->len);

    check(ngx_http_rt_ring_copy(ring, e->pos, 0, copy, len)
          == NGX_HTTP_RT_RING_OK);
    check(memcmp(copy, names[e->topic], len) == 0);

    if (e->blob) {
        check(ngx_http_rt_ring_copy(ring, e->pos, len, (u_char *) &blob, 8)
              == NGX_HTTP_RT_RING_OK);
        check(blob == e->blob);
        check(ring->tail <= blob && blob < e->pos);
        check(ngx_http_rt_ring_copy(ring, blob, 0, copy, e->len)
              == NGX_HTTP_RT_RING_OK);

    } else {
        check(ngx_http_rt_ring_copy(ring, e->pos, len, copy, e->len)
              == NGX_HTTP_RT_RING_OK);
    }

    check(is_filled(copy, e->number, e->len));
}


static void
check_start(ledger_t *l, world_t *w, unsigned i, uint64_t seq)
{
    uint64_t                      n, had, pos;
    topic_t                      *t;
    ngx_http_rt_cell_t           *cell;
    ngx_http_rt_view_t            view;
    ngx_http_rt_start_t           start;
    const ngx_http_rt_history_t   all = { UINT64_MAX, 0 };

    t = &l->topics[i];
    cell = find(w, i);
    had = (t->floor > seq) ? t->floor : seq;
    pos = 0;

    for (n = l->seq; n > had && n > l->evicted; n--) {
        if (entry(l, n)->topic == i) {
            pos = entry(l, n)->pos;
        }
    }

    ngx_http_rt_topic_view(&w->store, cell,
                           name_hash((u_char *) names[i], strlen(names[i])),
                           &view);
    ngx_http_rt_start_init(&start, &view, seq, roll(2) ? &all : NULL);

    while (ngx_http_rt_start_step(&w->store.ring, &start, 1 + roll(3))
           != NGX_HTTP_RT_START_OVER)
    { /* void */ }

    check(start.seq == had);
    check(start.pos == pos);
    check(start.reason == (t->floor <= seq ? NGX_HTTP_RT_GAP_NONE
                           : t->floor == t->deleted ? NGX_HTTP_RT_GAP_DELETED
                           : NGX_HTTP_RT_GAP_EVICTED));
}


static void
check_topic(ledger_t *l, world_t *w, unsigned i)
{
    topic_t                   *t;
    entry_t                   *e, *before;
    uint64_t                   seq, pos, back, count, bytes, first;
    ngx_http_rt_cell_t        *cell;
    ngx_http_rt_record_t      *rec;
    ngx_http_rt_topic_stat_t   stat;

    t = &l->topics[i];
    cell = find(w, i);

    check_start(l, w, i, 0);
    check_start(l, w, i, roll(l->seq + 1));
    check_start(l, w, i, l->seq - roll(l->seq < 20 ? l->seq + 1 : 20));

    if (cell == NULL) {
        check(t->seq == 0);
        return;
    }

    check(cell->topic.seq == t->seq);
    check(cell->topic.floor == t->floor);
    check(cell->topic.deleted == t->deleted);

    pos = cell->topic.first;
    before = NULL;
    count = 0;
    bytes = 0;
    first = 0;

    for (seq = (t->floor > l->evicted ? t->floor : l->evicted) + 1;
         seq <= l->seq;
         seq++)
    {
        e = entry(l, seq);

        if (e->topic != i) {
            continue;
        }

        check(pos == e->pos);
        check_message(w, e, seq);

        rec = ngx_http_rt_record(&w->store.ring, pos);

        if (before) {
            back = ngx_http_rt_record_prev(rec, pos);
            check(back == before->pos);

        } else {
            first = seq;
        }

        pos = ngx_http_rt_record_next(rec, pos);
        before = e;
        count++;
        bytes += e->len;
    }

    check(pos == 0);
    check(before == NULL || cell->topic.last == before->pos);

    ngx_http_rt_topic_stat(&w->store, cell, &stat);

    check(stat.messages == count);
    check(stat.bytes == bytes);
    check(count == 0 || (stat.first == first && stat.last == t->seq));
}


static void
check_all(ledger_t *l, world_t *w)
{
    unsigned  i;

    check_ring(l, w);

    for (i = 0; i < TOPICS; i++) {
        check_topic(l, w, i);
    }
}


static void
do_something(void)
{
    step++;
    instruction = 0;

    if (make(&sh->op)) {
        run(&sh->world, &sh->op);
        adopt(&ledger, &sh->world, &sh->op, 0);

        seen.answers[-sh->op.rc]++;
    }

    check_all(&ledger, &sh->world);
}


static void
test_random(void **state)
{
    size_t                 i, n;
    static const uint64_t  from[] = {
        0, ((uint64_t) 1 << 32) - 8000, ((uint64_t) 1 << 40) + 8
    };

    (void) state;

    memset(&seen, 0, sizeof(seen));

    for (i = 0; i < 3; i++) {
        start(from[i]);

        for (n = 0; n < 20000; n++) {
            do_something();
        }
    }

    print_message("# %u ok, %u large, %u replay, %u mismatch, %u busy; "
                  "%u wraps, %u lost with a blob, %u before them\n",
                  seen.answers[0], seen.answers[2], seen.answers[3],
                  seen.answers[4], seen.answers[5], seen.wraps, seen.apart,
                  seen.before);

    /* all that can happen has happened */

    assert_true(seen.answers[0] > 10000);
    assert_int_equal(seen.answers[1], 0);
    assert_true(seen.answers[2] > 100);
    assert_true(seen.answers[3] > 100);
    assert_true(seen.answers[4] > 20);
    assert_true(seen.answers[5] > 500);
    assert_true(seen.wraps > 500);
    assert_true(seen.apart > 500);
    assert_true(seen.before > 100);
}


/* deaths */

static world_t   dead, last;
static ledger_t  heir;
static unsigned  deaths;

#include "death.h"


/* nobody is in the way for ever: the dead are reaped, and appends succeed */

static void
check_next(ledger_t *l, world_t *w)
{
    unsigned   i, n;
    op_t       op, *was;

    was = doing;
    doing = &op;

    for (i = 0; i < SLOTS; i++) {
        memset(&op, 0, sizeof(op_t));
        op.kind = UNPIN;
        op.slot = i;

        run(w, &op);
        adopt(l, w, &op, 0);
    }

    for (n = 0; n < 7; n++) {
        memset(&op, 0, sizeof(op_t));
        op.kind = SMALL;
        make_message(&op, n % TOPICS, n, SHARE - 200);

        run(w, &op);
        adopt(l, w, &op, 0);
        check(op.rc == NGX_HTTP_RT_TOPIC_OK);
        check_all(l, w);
    }

    doing = was;
}


/* if it died now */

static void
check_death(void)
{
    deaths++;

    memcpy(&dead, &sh->world, sizeof(world_t));
    memcpy(&heir, &ledger, sizeof(ledger_t));
    move(&dead);

    ngx_http_rt_topic_repair(&dead.store);
    adopt(&heir, &dead, &sh->op, 1);
    check_all(&heir, &dead);

    /* and the one that repaired it, too */

    ngx_http_rt_topic_repair(&dead.store);
    check_all(&heir, &dead);

    if (roll(3) == 0) {
        check_next(&heir, &dead);
    }
}


static void
test_deaths(void **state)
{
    unsigned             i, n, upto;
    uint64_t             end;
    static const kind_e  turns[] = {
        RESERVE, APPEND, SMALL, ONCE, APPEND, RESERVE, UNPIN
    };

    (void) state;

    start(0);

    end = clock_ms() + 4000;

    stay_on_processor();

    for (i = 0; i < 300 && (i < 28 || clock_ms() < end); i++) {

        for (n = 10 + roll(20); n; n--) {
            do_something();
        }

        while (!make(&sh->op) || sh->op.kind != turns[i % 7]) {
            do_something();
        }

        step++;
        upto = roll(2) ? UINT32_MAX : roll(2000);

        if (trace(0, upto) != 0) {
            print_message("# skipped: no ptrace()\n");
            return;
        }

        if (sh->op.done) {
            adopt(&ledger, &sh->world, &sh->op, 0);
            check_all(&ledger, &sh->world);
            continue;
        }

        /* it is dead; who finds it so may die in repairing */

        if (roll(3) == 0) {
            check(trace(1, roll(6000)) == 0);
        }

        ngx_http_rt_topic_repair(&sh->world.store);
        adopt(&ledger, &sh->world, &sh->op, 1);
        check_all(&ledger, &sh->world);
    }

    print_message("# %u deaths in %u operations\n", deaths, i);
}


static int
setup(void **state)
{
    (void) state;

    seed = 88172645463325252ULL;

    sh = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
              MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    return (sh == MAP_FAILED) ? -1 : 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_deaths),
    };

    if (getenv("CMOCKA_MESSAGE_OUTPUT") == NULL) {
        cmocka_set_message_output(CM_OUTPUT_TAP);
    }

    return cmocka_run_group_tests(tests, setup, NULL);
}
