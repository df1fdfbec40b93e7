/*
 * Topics against a ledger: whatever is published, deleted, subscribed and given
 * up, in a ring and an index that are too small for it, each message is where
 * it must be, in its topic's chain, and each reader is told exactly what it has
 * lost.
 *
 * The second half is about deaths.  A process is led through an operation one
 * instruction at a time; after each that has changed the zone, a copy of the
 * zone is repaired as the next owner of the mutex would do it, and compared
 * with the ledger: the operation has happened wholly or not at all.  At times
 * it is killed there, or in the repair, and the zone is used on.
 *
 * Sources: ngx_http_rt_topic.c ngx_http_rt_index.c
 * Sources: ngx_http_rt_ring.c ngx_http_rt_pattern.c
 * Sources: ngx_http_rt_utf8.c
 * Sources: ngx_http_rt_source.c ngx_http_rt_blob.c ngx_http_rt_start.c
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

#include <ngx_http_rt_pattern.h>
#include <ngx_http_rt_topic.h>
#include "name.h"
#include "roll.h"


#define TOPICS       40
#define PATTERNS     4
#define NAMES        (TOPICS + PATTERNS)
#define KEYS         12
#define SOURCES      3
#define SLOTS        12              /* used ones */
#define BATCH_MAX    6
#define WINDOW       256             /* more than the ring has records */
#define RING_SIZE    6016             /* a quarter is a size of a record */
#define INDEX_SIZE   (44 * NGX_HTTP_RT_CELL_SIZE)
#define BYTES        4096

#define FORGOTTEN(hash)  ((hash) % NGX_HTTP_RT_FORGOTTEN)


typedef enum {
    PUBLISH = 0,
    ONCE,
    FROM,
    DELETE,
    ENTER,
    LEAVE,
    SWEEP
} kind_e;


/* as in a zone */

typedef struct {
    ngx_http_rt_store_t     store;
    u_char                  index[INDEX_SIZE] __attribute__((aligned(256)));
    u_char                  ring[RING_SIZE] __attribute__((aligned(64)));
} world_t;


typedef struct {
    kind_e                  kind;
    unsigned                of;      /* name, key or source */
    unsigned                slot;
    size_t                  n;
    unsigned                topics[BATCH_MAX];
    ngx_http_rt_message_t   messages[BATCH_MAX];
    ngx_http_rt_key_t  key;
    ngx_http_rt_place_t     place;

    int                     rc;
    ngx_http_rt_presence_t  p;
    volatile int            done;
} op_t;


typedef struct {
    unsigned                topic;
    ngx_http_rt_message_t   m;
    uint64_t                id;      /* of the topic */
    uint64_t                pos;
    uint64_t                size;
    uint64_t                ordinal;
    uint64_t                bytes;
    uint64_t                interest;
    unsigned                gone;    /* deleted, for instance */
} entry_t;


typedef struct {
    int                     known;
    uint32_t                cell;
    uint64_t                id;
    uint64_t                seq;     /* of the last one in this life */
    uint64_t                ordinal;
    uint64_t                bytes;
    uint64_t                base;    /* what was forgotten before it */
    uint64_t                gone;    /* the last one that nobody can have */
    uint64_t                deleted;
    uint64_t                stamp;   /* idle since */
    uint32_t                count[SLOTS];
} topic_t;


typedef struct {
    int                     known;
    int                     pending; /* there, but without an answer */
    ngx_http_rt_key_t  key;
} keyed_t;


typedef struct {
    entry_t                 entries[WINDOW];
    topic_t                 topics[NAMES];
    keyed_t                 keys[KEYS];
    ngx_http_rt_place_t     places[SOURCES];
    uint64_t                forgotten[NGX_HTTP_RT_FORGOTTEN];
    uint64_t                seq;
    uint64_t                evicted;
    uint64_t                at;
    uint64_t                keep;    /* what begins before it is gone */
    uint64_t                clock;
    uint32_t                nfree;
    unsigned                torn;    /* one more may count as evicted */
} ledger_t;


typedef struct {
    world_t                 world;
    op_t                    op;
} shared_t;


typedef struct {
    unsigned                kind;
    uint32_t                hash;
    size_t                  len;
    u_char                  text[255];
} name_t;


static name_t               names[NAMES];
static u_char               bytes[BYTES];
static shared_t            *sh;
static ledger_t             ledger;

static uint64_t             now;
static unsigned             step, instruction;
static op_t                *doing;

static const char          *kinds[] = {
    "publish", "once", "from", "delete", "enter", "leave", "sweep"
};


#define check(c)                                                              \
    do {                                                                      \
        if (!(c)) {                                                           \
            fail_msg("line %d, step %u.%u, %s: %s", __LINE__, step,           \
                     instruction, doing ? kinds[doing->kind] : "-", #c);      \
        }                                                                     \
    } while (0)

#define entry(l, seq)  (&(l)->entries[(seq) % WINDOW])


/* no two of them share a place among the forgotten */

static void
start_names(void)
{
    u_char         used[NGX_HTTP_RT_FORGOTTEN];
    size_t         i, len;
    name_t        *name;
    static char   *patterns[PATTERNS] = { "**", "a/**", "b/*", "*/1*" };

    memset(used, 0, sizeof(used));

    for (i = 0; i < NAMES; i++) {
        name = &names[i];

        if (i >= TOPICS) {
            name->kind = NGX_HTTP_RT_CELL_PATTERN;
            name->len = strlen(patterns[i - TOPICS]);
            memcpy(name->text, patterns[i - TOPICS], name->len);
            continue;
        }

        do {
            name->kind = NGX_HTTP_RT_CELL_TOPIC;
            len = sprintf((char *) name->text, "%c/%u",
                          "abc"[i % 3], (unsigned) roll(1000));

            if (i % 5 == 4) {
                memset(name->text + len, 'x', 255 - len);
                len = roll(3) ? 129 + roll(127) : 128;
            }

            name->len = len;
            name->hash = name_hash(name->text, len);

        } while (used[FORGOTTEN(name->hash)]);

        used[FORGOTTEN(name->hash)] = 1;
    }
}


static void
start(uint64_t pos)
{
    size_t    i;
    world_t  *w;

    w = &sh->world;

    memset(w, 0, sizeof(world_t));
    memset(&ledger, 0, sizeof(ledger_t));

    ngx_http_rt_ring_init(&w->store.ring, w->ring, RING_SIZE);
    assert_int_equal(ngx_http_rt_index_init(&w->store.index, w->index,
                                            INDEX_SIZE), 0);

    /* shares are share.c's business */

    w->store.index.most_readers = UINT32_MAX;
    w->store.index.least_keys = 0;

    if (pos) {
        w->store.ring.head = pos;
        w->store.ring.tail = pos;
    }

    ledger.at = w->store.ring.head;
    ledger.keep = w->store.ring.head;
    ledger.nfree = w->store.index.nfree;

    for (i = 0; i < BYTES; i++) {
        bytes[i] = roll(256);
    }

    for (i = 0; i < SOURCES; i++) {
        ledger.places[i].epoch = i + 1;
        assert_non_null(ngx_http_rt_source_get(&w->store.sources,
                                               &ledger.places[i], i));
    }

    now = 1700000000000;
    doing = NULL;
    step = 0;
    instruction = 0;
}


/* what nginx does with the zone, under its mutex */

static ngx_http_rt_cell_t *
find(world_t *w, unsigned i)
{
    return ngx_http_rt_index_find(&w->store.index, names[i].kind,
                                  names[i].hash, names[i].text, names[i].len);
}


static void
run(world_t *w, op_t *op)
{
    name_t               *name;
    ngx_http_rt_cell_t   *cell;
    ngx_http_rt_index_t  *index;

    index = &w->store.index;
    name = &names[op->of % NAMES];
    cell = find(w, op->of % NAMES);

    op->rc = 0;

    switch (op->kind) {

    case PUBLISH:
        op->rc = ngx_http_rt_topic_append(&w->store, op->messages, op->n,
                                          &op->p);
        break;

    case ONCE:
        op->rc = ngx_http_rt_topic_append_once(&w->store, op->messages, op->n,
                                               &op->p, &op->key);
        break;

    case FROM:
        op->rc = ngx_http_rt_topic_append_from(&w->store, op->messages,
                                               &op->p, &op->place);
        break;

    case DELETE:
        if (cell) {
            (void) ngx_http_rt_topic_delete(&w->store, cell,
                                            cell->topic.seq);
        }

        break;

    case ENTER:
        if (cell == NULL) {
            cell = ngx_http_rt_index_add(index, name->kind, name->hash,
                                         name->text, name->len);
        }

        op->rc = cell ? ngx_http_rt_index_enter(index, cell, op->slot) : -1;
        break;

    case LEAVE:
        if (cell) {
            ngx_http_rt_index_leave(index, cell, op->slot);
        }

        break;

    case SWEEP:
        ngx_http_rt_index_sweep(index, op->slot, 1, index->ncells);
    }
}


static void
make_message(op_t *op)
{
    unsigned                i;
    ngx_http_rt_message_t  *m;

    i = roll(roll(2) ? 8 : TOPICS);
    m = &op->messages[op->n];

    memset(m, 0, sizeof(ngx_http_rt_message_t));

    m->time = now;
    m->binary = roll(2);
    m->topic = names[i].text;
    m->topic_len = names[i].len;
    m->event = bytes + roll(1000);
    m->event_len = roll(3) ? 0 : roll(20);
    m->type = bytes + roll(1000);
    m->type_len = roll(3) ? 0 : roll(20);
    m->data = bytes + roll(1000);
    m->data_len = roll(10) ? roll(80) : roll(RING_SIZE / 5);

    if (roll(10) == 0) {

        /* as large as can be, or a little more */

        m->data_len = RING_SIZE / 4 - sizeof(ngx_http_rt_record_t)
                      - m->topic_len - m->event_len - m->type_len
                      - roll(4) + roll(20) / 18;
    }

    op->topics[op->n++] = i;
}


static void
make(op_t *op)
{
    size_t     i;
    keyed_t   *k;
    uint64_t   at;
    unsigned   what;

    memset(op, 0, sizeof(op_t));
    doing = op;

    now += roll(8) ? roll(10) : roll(NGX_HTTP_RT_TOPIC_KEY_AGE / 2);

    /* there are crowded days */

    what = (step / 200 % 6 == 5 && roll(4)) ? 2 : roll(32);

    switch (what) {

    case 0:
        op->kind = DELETE;
        op->of = roll(TOPICS);
        return;

    case 1:
        op->kind = SWEEP;
        op->slot = roll(SLOTS);
        return;

    case 2:
    case 3:
    case 4:
    case 5:
        op->kind = ENTER;
        op->of = roll(4) ? roll(NAMES) : TOPICS / 2;
        op->slot = roll(SLOTS);
        return;

    case 6:
    case 7:
    case 8:
    case 9:
        op->kind = LEAVE;

        for (i = 0; i < 30; i++) {
            op->of = roll(2) ? roll(NAMES) : TOPICS / 2;
            op->slot = roll(SLOTS);

            if (ledger.topics[op->of].count[op->slot]) {
                break;
            }
        }

        return;

    case 10:
    case 11:
    case 12:
    case 13:
        op->kind = ONCE;
        op->of = roll(KEYS);
        what = (roll(6) == 0);

        /* a key is about to expire, or has just */

        k = &ledger.keys[op->of];
        at = k->key.time + NGX_HTTP_RT_TOPIC_KEY_AGE - 1 + roll(3);

        if (k->known && at >= now && roll(2)) {
            now = at;
        }

        for (i = 0; i < sizeof(op->key.key); i++) {
            op->key.key[i] = op->of * 11 + i;
            op->key.body[i] = what;
        }

        break;

    case 14:
    case 15:
        op->kind = FROM;
        op->of = roll(SOURCES);
        op->place = ledger.places[op->of];

        /* the next one, or one that is sent again */

        if (roll(4)) {
            op->place.position += roll(3);
            op->place.index += 1 + roll(2);

        } else {
            op->place.position -= roll(op->place.position + 1);
            op->place.index -= roll(op->place.index + 1);
        }

        make_message(op);
        return;

    default:
        op->kind = PUBLISH;
    }

    do {
        make_message(op);
    } while (op->n < BATCH_MAX && roll(3) == 0);

    op->key.count = (op->n > 1) ? op->n : 0;
}


/* the ledger */

static unsigned
present(topic_t *t)
{
    unsigned  slot;

    for (slot = 0; slot < SLOTS; slot++) {
        if (t->count[slot]) {
            return 1;
        }
    }

    return 0;
}


static uint64_t
max(uint64_t a, uint64_t b)
{
    return (a > b) ? a : b;
}


/* the slots that have subscribers of topic i, by itself and by patterns */

static void
present_of(ledger_t *l, unsigned i, ngx_http_rt_presence_t *p)
{
    unsigned  k, slot;

    for (k = 0; k < NAMES; k++) {

        if (k != i
            && (k < TOPICS
                || !ngx_http_rt_pattern_match(names[k].text, names[k].len,
                                              names[i].text, names[i].len)))
        {
            continue;
        }

        for (slot = 0; slot < SLOTS; slot++) {
            p->subscribers += l->topics[k].count[slot];

            if (l->topics[k].count[slot]) {
                p->slots[0] |= (uint64_t) 1 << slot;
            }
        }
    }
}


/* cells that a name takes, but for crowds */

static uint32_t
cells(unsigned i)
{
    return 1 + (names[i].len > NGX_HTTP_RT_CELL_NAME);
}


static uint32_t
crowds(world_t *w, ngx_http_rt_cell_t *cell)
{
    uint32_t  n, count;

    for (n = cell->crowd, count = 0; n; n = w->store.index.cells[n].next) {
        check(++count < w->store.index.ncells);
    }

    return count;
}


static void
forget(ledger_t *l, unsigned i)
{
    uint64_t  *f;
    topic_t   *t;

    t = &l->topics[i];
    f = &l->forgotten[FORGOTTEN(names[i].hash)];

    if (i < TOPICS) {
        *f = max(*f, t->seq);
        t->gone = max(t->gone, t->seq);
    }

    t->known = 0;
    memset(t->count, 0, sizeof(t->count));
}


static void
evict(ledger_t *l, uint64_t before)
{
    entry_t  *e;

    while (l->evicted < l->seq) {
        e = entry(l, l->evicted + 1);

        if (e->pos >= before) {
            return;
        }

        l->evicted++;
        l->torn = 0;
        l->topics[e->topic].gone = max(l->topics[e->topic].gone, e->m.seq);
    }
}


/* where the records of an operation would be, and what goes for them */

static uint64_t
place(ledger_t *l, op_t *op, uint64_t *pos)
{
    size_t                  i, size, rest;
    uint64_t                at, keep;
    ngx_http_rt_message_t  *m;

    at = l->at;
    keep = l->keep;

    for (i = 0; i < op->n; i++) {
        m = &op->messages[i];
        size = ngx_http_rt_record_size(m->topic_len, m->event_len,
                                       m->type_len, m->data_len);
        rest = RING_SIZE - at % RING_SIZE;

        pos[i] = (rest < size) ? at + rest : at;
        at = pos[i] + size;
        keep = max(keep, at - RING_SIZE);
    }

    pos[i] = at;

    return keep;
}


static void
append(ledger_t *l, op_t *op, uint64_t *pos)
{
    size_t                   i;
    topic_t                 *t;
    entry_t                 *e;
    ngx_http_rt_presence_t   p;

    for (i = 0; i < op->n; i++) {
        t = &l->topics[op->topics[i]];
        e = entry(l, ++l->seq);

        memset(&p, 0, sizeof(p));
        present_of(l, op->topics[i], &p);

        e->topic = op->topics[i];
        e->m = op->messages[i];
        e->m.seq = l->seq;
        e->id = t->id;
        e->pos = pos[i];
        e->size = ngx_http_rt_record_size(e->m.topic_len, e->m.event_len,
                                          e->m.type_len, e->m.data_len);
        e->ordinal = ++t->ordinal;
        e->bytes = t->bytes += e->m.data_len;
        e->interest = p.slots[0];
        e->gone = 0;

        t->seq = l->seq;
        t->stamp = ++l->clock;
    }

    l->at = pos[i];
}


static unsigned
large(op_t *op)
{
    size_t                  i, total;
    ngx_http_rt_message_t  *m;

    for (i = 0, total = 0; i < op->n; i++) {
        m = &op->messages[i];
        total += ngx_http_rt_record_size(m->topic_len, m->event_len,
                                         m->type_len, m->data_len);
    }

    return total > RING_SIZE / NGX_HTTP_RT_RING_SHARE;
}


static unsigned
concerns(op_t *op, unsigned i)
{
    size_t  k;

    if (op->kind == ENTER || op->kind == LEAVE || op->kind == DELETE) {
        return op->of == i;
    }

    for (k = 0; k < op->n; k++) {
        if (op->topics[k] == i) {
            return 1;
        }
    }

    return op->kind == SWEEP;
}


/* cells that nobody can take away, and those that the operation needs more */

static uint32_t
pinned(ledger_t *l, world_t *w, op_t *op, uint32_t *more, unsigned *once)
{
    uint32_t  i, n;

    *more = 0;
    n = 0;

    for (i = 0; i < NAMES; i++) {

        if (l->topics[i].known && present(&l->topics[i])) {
            n += cells(i)
                 + crowds(w, &w->store.index.cells[l->topics[i].cell]);

        } else if (concerns(op, i) && op->kind != LEAVE && op->kind != SWEEP
                   && op->kind != DELETE)
        {
            *more += cells(i);
        }
    }

    *once = (op->kind == ONCE);

    return n;
}


/* what the next owner finds that the operation has done, in index and keys */

static void
adopt_names(ledger_t *l, world_t *w, op_t *op, int crashed, unsigned roomy)
{
    unsigned             i, k, victim;
    topic_t             *t;
    ngx_http_rt_cell_t  *cell;

    victim = NAMES;

    for (i = 0; i < NAMES; i++) {
        t = &l->topics[i];
        cell = find(w, i);

        if (t->known && (cell == NULL || (i < TOPICS && cell->id != t->id))) {

            if (!concerns(op, i) || op->n) {

                /* given up: nobody subscribes to it, and it was its turn */

                check(!present(t));
                check(i < TOPICS);

                if (t->seq || !crashed) {
                    check(!concerns(op, i) || !roomy);

                    if (victim == NAMES
                        || t->stamp > l->topics[victim].stamp)
                    {
                        victim = i;
                    }
                }

            } else {
                check(op->kind == LEAVE || op->kind == SWEEP
                      || (crashed && t->seq == 0));
                check(i >= TOPICS || t->seq == 0);
            }

            forget(l, i);
        }
    }

    for (i = 0; i < NAMES; i++) {
        t = &l->topics[i];
        cell = find(w, i);

        if (victim < NAMES && t->known && i < TOPICS && !present(t)
            && !concerns(op, i))
        {
            check(t->stamp > l->topics[victim].stamp);
        }

        if (cell && !t->known) {
            check(concerns(op, i));
            check(op->n || op->kind == ENTER);

            t->known = 1;
            t->id = cell->id;
            t->seq = 0;
            t->ordinal = 0;
            t->bytes = 0;
            t->deleted = 0;
            t->base = l->forgotten[FORGOTTEN(names[i].hash)];
            t->stamp = ++l->clock;
        }

        if (cell) {
            t->cell = ngx_http_rt_index_number(&w->store.index, cell);
        }
    }

    /* keys go first */

    for (k = 0; victim < NAMES && k < KEYS; k++) {
        check((!l->keys[k].known && !l->keys[k].pending)
              || ngx_http_rt_index_find_key(&w->store.index,
                                            l->keys[k].key.key) == NULL
              || (op->kind == ONCE && op->of == k));
    }

    if (victim < NAMES && !crashed) {
        check(l->nfree <= 2 * BATCH_MAX + 1);
    }
}


static void
adopt_keys(ledger_t *l, world_t *w, op_t *op, int crashed, int committed)
{
    unsigned             i;
    keyed_t             *k;
    ngx_http_rt_cell_t  *cell;

    for (i = 0; i < KEYS; i++) {
        k = &l->keys[i];

        cell = (k->known || k->pending)
               ? ngx_http_rt_index_find_key(&w->store.index, k->key.key)
               : NULL;

        k->known = k->known && cell;
        k->pending = k->pending && cell;
    }

    if (op->kind != ONCE) {
        return;
    }

    k = &l->keys[op->of];
    cell = ngx_http_rt_index_find_key(&w->store.index, op->key.key);

    if (!crashed && op->rc != NGX_HTTP_RT_TOPIC_OK
        && op->rc != NGX_HTTP_RT_TOPIC_REPLAY
        && op->rc != NGX_HTTP_RT_TOPIC_MISMATCH)
    {
        check(cell == NULL);
    }

    if (cell == NULL) {
        k->known = 0;
        k->pending = 0;
        return;
    }

    if (cell->key.last == 0) {

        /* who died has not answered */

        check(crashed || k->pending);

        k->known = 0;
        k->pending = 1;
        k->key = cell->key;

        return;
    }

    if (committed) {
        k->known = 1;
        k->pending = 0;
        k->key = op->key;
        k->key.time = op->messages[0].time;
        k->key.first = l->seq + 1;
        k->key.last = l->seq + op->n;
        k->key.subscribers = 0;

        for (i = 0; i < op->n; i++) {
            ngx_http_rt_presence_t  p;

            memset(&p, 0, sizeof(p));
            present_of(l, op->topics[i], &p);
            k->key.subscribers += p.subscribers;
        }
    }
}


static void
observe(world_t *w, unsigned i, uint32_t *count)
{
    uint32_t             k, n, *p;
    ngx_http_rt_cell_t  *cell, *in;

    memset(count, 0, SLOTS * sizeof(uint32_t));

    cell = find(w, i);
    in = cell;

    while (in) {
        p = (in == cell) ? in->presence : in->crowded;

        for (k = 0; k < in->npresence; k++) {
            n = p[k] >> 24;
            check(n < SLOTS);
            check(count[n] == 0);
            count[n] = p[k] & NGX_HTTP_RT_PRESENCE_MAX;
            check(count[n]);
        }

        n = (in == cell) ? in->crowd : in->next;
        in = n ? &w->store.index.cells[n] : NULL;
    }
}


static void
adopt_presences(ledger_t *l, world_t *w, op_t *op, int crashed)
{
    unsigned   i, was;
    topic_t   *t;
    uint32_t   count[SLOTS], old, new;

    if (op->kind != ENTER && op->kind != LEAVE && op->kind != SWEEP) {
        return;
    }

    for (i = 0; i < NAMES; i++) {
        t = &l->topics[i];

        if (!concerns(op, i) || !t->known) {
            continue;
        }

        observe(w, i, count);

        was = present(t);
        old = t->count[op->slot];
        new = count[op->slot];

        if (new == old) {
            check(crashed || op->rc != 0 || (op->kind != ENTER && old == 0));

        } else if (op->kind == ENTER) {
            check(new == old + 1);

        } else {
            check(new == (op->kind == LEAVE ? old - 1 : 0));
        }

        t->count[op->slot] = new;

        if (was && !present(t)) {
            t->stamp = 0;
        }
    }
}


static void
adopt_delete(ledger_t *l, world_t *w, op_t *op, int crashed)
{
    topic_t   *t;
    entry_t   *e;
    uint64_t   seq, had;

    t = &l->topics[op->of];

    if (op->kind != DELETE || !t->known) {
        return;
    }

    if (crashed && find(w, op->of)->topic.floor < t->seq) {
        return;
    }

    had = 0;

    for (seq = l->evicted + 1; seq <= l->seq; seq++) {
        e = entry(l, seq);

        if (e->topic == op->of && e->id == t->id && !e->gone) {
            e->gone = 1;
            had = seq;
        }
    }

    if (had) {
        t->gone = t->seq;
        t->deleted = t->seq;
    }
}


static void
adopt_messages(ledger_t *l, world_t *w, op_t *op, int crashed, int committed)
{
    size_t               i;
    entry_t             *e;
    uint64_t             keep, tail, pos[BATCH_MAX + 1];
    ngx_http_rt_cell_t  *cell;

    keep = place(l, op, pos);

    if (committed) {
        evict(l, keep);
        l->keep = keep;

        for (i = 0; i < op->n; i++) {
            check(l->topics[op->topics[i]].known);
        }

        append(l, op, pos);
        return;
    }

    /* some of the room may have been made */

    tail = w->store.ring.tail;

    if (!crashed && op->rc != NGX_HTTP_RT_TOPIC_FULL) {
        keep = l->keep;
    }

    evict(l, (tail < keep) ? tail : keep);
    l->keep = max(l->keep, (tail < keep) ? tail : keep);

    if (crashed && l->evicted < l->seq) {
        e = entry(l, l->evicted + 1);
        cell = find(w, e->topic);

        if (cell && cell->id == e->id && cell->topic.floor >= e->m.seq
            && e->pos < keep && !e->gone)
        {
            e->gone = 1;
            l->topics[e->topic].gone = e->m.seq;
        }

        l->torn = 1;
    }
}


/* of those that the operation is not about */

static void
check_order(ledger_t *l, world_t *w, op_t *op)
{
    unsigned              i;
    uint32_t              n, count;
    uint64_t              stamp;
    ngx_http_rt_index_t  *index;

    index = &w->store.index;
    stamp = 0;

    for (n = index->idle.oldest, count = 0;
         n;
         n = index->cells[n].newer, count++)
    {
        check(n < index->ncells);
        check(count < index->ncells);

        for (i = 0; i < TOPICS; i++) {
            if (l->topics[i].known && l->topics[i].cell == n
                && !concerns(op, i))
            {
                check(l->topics[i].stamp > stamp);
                stamp = l->topics[i].stamp;
            }
        }
    }
}


/* by repair, the order of what is idle is lost: it is as it is found */

static void
adopt_order(ledger_t *l, world_t *w)
{
    unsigned              i;
    uint32_t              n, count;
    ngx_http_rt_index_t  *index;

    index = &w->store.index;

    for (n = index->idle.oldest, count = 0;
         n;
         n = index->cells[n].newer, count++)
    {
        check(n < index->ncells);
        check(count < index->ncells);

        for (i = 0; i < TOPICS; i++) {
            if (l->topics[i].known && l->topics[i].cell == n) {
                l->topics[i].stamp = ++l->clock;
            }
        }
    }
}


static void
adopt_settled(ledger_t *l, world_t *w)
{
    unsigned  i;
    uint32_t  n;

    for (n = 1; n < w->store.index.ncells; n++) {
        for (i = 0; i < TOPICS; i++) {
            if (l->topics[i].known && l->topics[i].cell == n
                && l->topics[i].stamp == 0)
            {
                l->topics[i].stamp = ++l->clock;
            }
        }
    }
}


static int
is_new(ledger_t *l, op_t *op)
{
    ngx_http_rt_place_t  *place;

    place = &l->places[op->of];

    return op->place.position > place->position
           || (op->place.position == place->position
               && op->place.index > place->index);
}


/* with the commit, and only then */

static void
adopt_place(ledger_t *l, world_t *w, op_t *op, int committed)
{
    ngx_http_rt_place_t    place;
    ngx_http_rt_source_t  *source;

    if (op->kind != FROM || !is_new(l, op)) {
        check(op->kind != FROM || !committed);
        return;
    }

    source = ngx_http_rt_source_find(&w->store.sources, op->of + 1);
    check(source != NULL);

    ngx_http_rt_source_place(source, &place);

    check(committed == (memcmp(&place, &op->place, sizeof(place)) == 0));
    l->places[op->of] = place;
}


/* what an operation must answer */

static void
check_answer(ledger_t *l, op_t *op, unsigned roomy)
{
    size_t                   i;
    keyed_t                 *k;
    ngx_http_rt_presence_t   p;

    if (op->kind == ENTER) {
        check(op->rc == 0 || !roomy);
    }

    if (op->n == 0) {
        return;
    }

    if (op->kind == FROM && !is_new(l, op)) {
        check(op->rc == NGX_HTTP_RT_TOPIC_REPLAY);
        return;
    }

    if (op->kind == ONCE) {
        k = &l->keys[op->of];

        if (k->known
            && k->key.time + NGX_HTTP_RT_TOPIC_KEY_AGE >= op->messages[0].time)
        {
            if (memcmp(k->key.body, op->key.body, 20) != 0) {
                check(op->rc == NGX_HTTP_RT_TOPIC_MISMATCH);

            } else {
                check(op->rc == NGX_HTTP_RT_TOPIC_REPLAY);
                check(memcmp(&k->key, &op->key, sizeof(k->key)) == 0);
            }

            return;
        }
    }

    if (large(op)) {
        check(op->rc == NGX_HTTP_RT_TOPIC_LARGE
              || (op->kind == ONCE && op->rc == NGX_HTTP_RT_TOPIC_FULL
                  && !roomy));
        return;
    }

    if (op->rc == NGX_HTTP_RT_TOPIC_FULL) {
        check(!roomy);
        return;
    }

    check(op->rc == NGX_HTTP_RT_TOPIC_OK);

    memset(&p, 0, sizeof(p));

    for (i = 0; i < op->n; i++) {
        check(op->messages[i].seq == l->seq + i + 1);
        present_of(l, op->topics[i], &p);
    }

    check(memcmp(&p, &op->p, sizeof(p)) == 0);

    if (op->kind == ONCE) {
        check(op->key.time == op->messages[0].time);
        check(op->key.first == l->seq + 1);
        check(op->key.last == l->seq + op->n);
        check(op->key.subscribers == p.subscribers);
    }
}


/* brings the ledger to where the operation has brought the world */

static void
adopt(ledger_t *l, world_t *w, op_t *op, int crashed)
{
    int       committed;
    size_t    i, n;
    uint32_t  more, all;
    unsigned  roomy, once;

    all = pinned(l, w, op, &more, &once);

    if (op->kind == ENTER && l->topics[op->of].known
        && present(&l->topics[op->of]))
    {
        more = 1;
    }

    roomy = (all + more + once < w->store.index.ncells);

    if (!crashed) {
        check_answer(l, op, roomy);
    }

    n = op->n;
    committed = n && w->store.ring.seq == l->seq + n;

    check(committed || w->store.ring.seq == l->seq);

    if (!crashed && n) {
        check(committed == (op->rc == NGX_HTTP_RT_TOPIC_OK));
    }

    adopt_names(l, w, op, crashed, roomy);
    adopt_keys(l, w, op, crashed, committed);
    adopt_place(l, w, op, committed);
    adopt_presences(l, w, op, crashed);
    adopt_delete(l, w, op, crashed);
    adopt_messages(l, w, op, crashed, committed);

    if (!crashed) {
        check_order(l, w, op);
    }

    if (!crashed && n && !committed) {

        /* one that has failed may have touched its topics */

        adopt_order(l, w);
    }

    if (crashed) {
        adopt_order(l, w);

        /* a topic may be forgotten before it goes */

        for (i = 0; i < TOPICS; i++) {
            n = FORGOTTEN(names[i].hash);

            if (l->topics[i].known
                && w->store.index.forgotten[n] == l->topics[i].seq)
            {
                l->forgotten[n] = max(l->forgotten[n], l->topics[i].seq);
            }
        }

    } else {
        adopt_settled(l, w);
    }

    l->nfree = w->store.index.nfree;
}


/* what a pattern has lost by topics that were given up, or a little more */

static void
check_forgotten(ledger_t *l, world_t *w, unsigned pattern)
{
    unsigned   i;
    name_t    *p, *t;
    uint64_t   least, most, told;

    p = &names[pattern];
    least = 0;
    most = 0;

    for (i = 0; i < TOPICS; i++) {
        t = &names[i];

        if (!l->topics[i].known
            && ngx_http_rt_pattern_match(p->text, p->len, t->text, t->len))
        {
            least = max(least, l->topics[i].gone);
        }

        if (p->text[0] == '*' || p->text[0] == t->text[0]) {
            most = max(most, l->forgotten[FORGOTTEN(t->hash)]);
        }
    }

    told = ngx_http_rt_index_forgotten_match(&w->store.index, p->text, p->len);

    check(told >= least);
    check(told <= most);
}


/* the world is as the ledger says */

static void
check_records(ledger_t *l, world_t *w)
{
    u_char                 *p, copy[RING_SIZE];
    entry_t                *e;
    uint64_t                pos, seq;
    ngx_http_rt_ring_t     *ring;
    ngx_http_rt_record_t    rec;

    ring = &w->store.ring;

    check(ring->seq == l->seq);
    check(ring->head == l->at);
    check(ring->tail >= l->keep || l->evicted == l->seq);
    check(w->store.from == 0);
    check(w->store.evicted == l->evicted
          || (l->torn && w->store.evicted == l->evicted + 1));

    pos = ring->tail;

    for (seq = l->evicted + 1; seq <= l->seq; seq++) {
        e = entry(l, seq);

        check(ngx_http_rt_ring_scan(ring, &pos, ring->head, &rec)
              == NGX_HTTP_RT_RING_OK);

        check(pos == e->pos);
        check(rec.size == e->size);
        check((rec.flags & ~NGX_HTTP_RT_RECORD_DELETED)
              == (e->m.binary ? NGX_HTTP_RT_RECORD_BINARY : 0));
        check(!(rec.flags & NGX_HTTP_RT_RECORD_DELETED) || e->gone);
        check(rec.seq == seq);
        check(rec.time == e->m.time);
        check(rec.ordinal == e->ordinal);
        check(rec.bytes == e->bytes);
        check(rec.interest == e->interest);
        check(rec.topic_id == e->id);
        check(rec.hash == names[e->topic].hash);
        check(rec.topic_len == e->m.topic_len);
        check(rec.event_len == e->m.event_len);
        check(rec.type_len == e->m.type_len);
        check(rec.data_len == e->m.data_len);

        check(ngx_http_rt_ring_copy(ring, pos, 0, copy,
                                    rec.size - sizeof(rec))
              == NGX_HTTP_RT_RING_OK);

        p = copy;
        check(memcmp(p, e->m.topic, e->m.topic_len) == 0);
        p += e->m.topic_len;
        check(memcmp(p, e->m.event, e->m.event_len) == 0);
        p += e->m.event_len;
        check(memcmp(p, e->m.type, e->m.type_len) == 0);
        p += e->m.type_len;
        check(memcmp(p, e->m.data, e->m.data_len) == 0);

        /* each record has a mark of its own; the older ones had before */

        check(seq + BATCH_MAX < l->seq
              || ngx_http_rt_ring_seek(ring, seq - 1) == pos);

        pos += rec.size;
    }

    check(ngx_http_rt_ring_scan(ring, &pos, ring->head, &rec)
          == NGX_HTTP_RT_RING_END);
    check(pos == l->at);
}


static void
check_topic(ledger_t *l, world_t *w, unsigned i)
{
    topic_t                    *t;
    entry_t                    *e, *before, *first;
    uint64_t                    seq, n, sum;
    ngx_http_rt_cell_t         *cell;
    ngx_http_rt_record_t       *rec;
    ngx_http_rt_topic_stat_t    stat;

    t = &l->topics[i];
    cell = find(w, i);

    check(cell == ngx_http_rt_topic_find(&w->store, names[i].text,
                                         names[i].len, names[i].hash));
    check((cell != NULL) == (t->known != 0));

    if (cell == NULL) {
        return;
    }

    before = NULL;
    first = NULL;
    n = 0;
    sum = 0;

    for (seq = l->evicted + 1; seq <= l->seq; seq++) {
        e = entry(l, seq);

        if (e->topic != i || e->id != t->id || e->gone) {
            continue;
        }

        rec = ngx_http_rt_record(&w->store.ring, e->pos);
        check(rec->topic == t->cell);

        if (before) {
            check(ngx_http_rt_record_prev(rec, e->pos) == before->pos);
            rec = ngx_http_rt_record(&w->store.ring, before->pos);
            check(ngx_http_rt_record_next(rec, before->pos) == e->pos);

        } else {
            first = e;
        }

        before = e;
        n++;
        sum += e->m.data_len;
    }

    if (before) {
        rec = ngx_http_rt_record(&w->store.ring, before->pos);
        check(rec->next == 0);
        check(cell->topic.last == before->pos);
    }

    check(cell->topic.first == (first ? first->pos : 0));
    check(cell->topic.seq == t->seq);
    check(cell->topic.floor == max(t->base, t->gone));
    check(cell->topic.deleted == t->deleted);
    check(cell->topic.ordinal == t->ordinal);
    check(cell->topic.bytes == t->bytes);

    ngx_http_rt_topic_stat(&w->store, cell, &stat);

    check(stat.messages == n);
    check(stat.bytes == sum);

    if (n) {
        check(stat.first == first->m.seq);
        check(stat.last == before->m.seq);
    }
}


/* in steps, as nginx does it */

static void
begin(world_t *w, unsigned i, uint64_t cursor, ngx_http_rt_history_t *history,
    ngx_http_rt_start_t *start)
{
    int                  all;
    ngx_http_rt_cell_t  *cell;
    ngx_http_rt_view_t   view;

    cell = find(w, i);

    all = (history->count == UINT64_MAX && history->since == 0 && roll(2));

    ngx_http_rt_topic_view(&w->store, cell, names[i].hash, &view);
    check(view.now == w->store.ring.seq);

    ngx_http_rt_start_init(start, &view, cursor, all ? NULL : history);

    while (ngx_http_rt_start_step(&w->store.ring, start, 1 + roll(3))
           != NGX_HTTP_RT_START_OVER)
    { /* void */ }
}


/*
 * What a reader gets from its cursor on, and what it is told to have lost,
 * cover all that has ever been published to the topic behind its cursor.
 */

static void
check_start(ledger_t *l, world_t *w, unsigned i)
{
    topic_t                *t;
    entry_t                *e, *lost;
    uint64_t                cursor, seq, pos, count, bound;
    ngx_http_rt_start_t     start;
    ngx_http_rt_history_t   history;

    t = &l->topics[i];

    switch (roll(4)) {

    case 0:
        cursor = 0;
        break;

    case 1:
        cursor = l->seq - roll(l->seq < 3 ? l->seq + 1 : 3);
        break;

    default:
        cursor = l->evicted + roll(l->seq - l->evicted + 1);
    }

    history.count = roll(2) ? UINT64_MAX : roll(6);
    history.since = roll(2) ? 0 : now - roll(200);

    begin(w, i, cursor, &history, &start);

    bound = t->gone;

    if (!t->known) {
        check(l->forgotten[FORGOTTEN(names[i].hash)] >= bound);
        check(start.pos == 0);
        bound = l->forgotten[FORGOTTEN(names[i].hash)];

    } else {
        bound = max(t->base, t->gone);
    }

    lost = NULL;
    count = 0;
    pos = start.pos;

    for (seq = cursor + 1; seq <= l->seq; seq++) {

        if (seq <= l->evicted) {
            continue;
        }

        e = entry(l, seq);

        if (!t->known || e->topic != i || e->id != t->id || e->gone) {
            continue;
        }

        if (start.pos == 0 || e->pos < start.pos) {
            lost = e;
            continue;
        }

        check(pos == e->pos);
        check(seq > start.seq);
        check(e->m.time >= history.since);

        pos = ngx_http_rt_record_next(ngx_http_rt_record(&w->store.ring, pos),
                                      pos);
        count++;
    }

    check(pos == 0);
    check(count <= history.count);

    if (lost) {
        check(count == history.count || lost->m.time < history.since);
        check(start.reason == NGX_HTTP_RT_GAP_HISTORY);
        check(start.seq == lost->m.seq);

    } else if (bound > cursor) {
        check(start.seq == bound);
        check(start.reason == ((t->known && bound == t->deleted)
                               ? NGX_HTTP_RT_GAP_DELETED
                               : NGX_HTTP_RT_GAP_EVICTED));

    } else {
        check(start.reason == NGX_HTTP_RT_GAP_NONE);
        check(start.seq == cursor);
    }
}


static uint32_t
check_list(world_t *w, ngx_http_rt_index_list_t *list, unsigned kind)
{
    uint32_t             n, older, count;
    ngx_http_rt_cell_t  *cell;

    older = 0;
    count = 0;

    for (n = list->oldest; n; n = cell->newer) {
        check(n < w->store.index.ncells);
        check(count < w->store.index.ncells);

        cell = &w->store.index.cells[n];

        check(cell->kind == kind);
        check(cell->listed);
        check(cell->older == older);

        older = n;
        count++;
    }

    check(list->newest == older);

    return count;
}


/* every cell is somewhere, once */

static void
check_index(ledger_t *l, world_t *w)
{
    unsigned               i, slot;
    uint32_t               n, used, nfree, idle, nkeys, topics, patterns;
    uint32_t               count[SLOTS];
    uint64_t               last;
    ngx_http_rt_cell_t    *cell;
    ngx_http_rt_index_t   *index;
    ngx_http_rt_place_t    place;
    ngx_http_rt_source_t  *source;

    index = &w->store.index;

    used = 0;
    idle = 0;
    nkeys = 0;
    topics = 0;
    patterns = 0;

    for (i = 0; i < NAMES; i++) {
        observe(w, i, count);

        for (slot = 0; slot < SLOTS; slot++) {
            check(count[slot] == l->topics[i].count[slot]);
        }

        cell = find(w, i);

        if (cell == NULL) {
            continue;
        }

        used += cells(i) + crowds(w, cell);

        if (i < TOPICS) {
            topics++;
            idle += !present(&l->topics[i]);
            check(cell->listed == !present(&l->topics[i]));

        } else {
            patterns++;
            check(present(&l->topics[i]));
        }
    }

    for (i = 0; i < KEYS; i++) {

        if (!l->keys[i].known && !l->keys[i].pending) {
            continue;
        }

        cell = ngx_http_rt_index_find_key(index, l->keys[i].key.key);
        check(cell != NULL);
        check(memcmp(&cell->key, &l->keys[i].key, sizeof(cell->key)) == 0);
        nkeys++;
    }

    for (n = index->free, nfree = 0; n; n = index->cells[n].next) {
        check(n < index->ncells);
        check(index->cells[n].kind == NGX_HTTP_RT_CELL_FREE);
        check(++nfree < index->ncells);
    }

    check(index->nfree == nfree);
    check(index->topics == topics);
    check(index->patterns == patterns);
    check(used + nkeys + nfree == index->ncells - 1);
    check(check_list(w, &index->idle, NGX_HTTP_RT_CELL_TOPIC) == idle);
    check(check_list(w, &index->keys, NGX_HTTP_RT_CELL_KEY) == nkeys);

    /* in the order of their stamps */

    last = 0;

    for (n = index->idle.oldest; n; n = index->cells[n].newer) {
        for (i = 0; i < TOPICS; i++) {
            if (l->topics[i].known && l->topics[i].cell == n) {
                check(l->topics[i].stamp > last);
                last = l->topics[i].stamp;
            }
        }
    }

    for (i = 0; i < SOURCES; i++) {
        source = ngx_http_rt_source_find(&w->store.sources, i + 1);
        check(source != NULL);

        ngx_http_rt_source_place(source, &place);
        check(memcmp(&place, &l->places[i], sizeof(place)) == 0);
    }

    check(w->store.sources.moving == 0);

    for (n = 0; n < NGX_HTTP_RT_FORGOTTEN; n++) {
        check(index->forgotten[n] == l->forgotten[n]);
    }
}


static void
check_all(ledger_t *l, world_t *w)
{
    unsigned  i;

    check_records(l, w);
    check_index(l, w);

    for (i = 0; i < TOPICS; i++) {
        check_topic(l, w, i);
        check_start(l, w, i);
    }

    for ( /* void */ ; i < NAMES; i++) {
        check_forgotten(l, w, i);
    }
}


static void
do_something(void)
{
    step++;
    instruction = 0;

    make(&sh->op);
    run(&sh->world, &sh->op);
    adopt(&ledger, &sh->world, &sh->op, 0);
}


/* one small message each to one or two topics */

static void
publish(kind_e kind, size_t n, unsigned first, unsigned second)
{
    op_t  *op;

    op = &sh->op;
    memset(op, 0, sizeof(op_t));

    op->kind = kind;

    do {
        op->topics[op->n] = op->n ? second : first;
        op->messages[op->n].time = now;
        op->messages[op->n].topic = names[op->topics[op->n]].text;
        op->messages[op->n].topic_len = names[op->topics[op->n]].len;
        op->messages[op->n].event = bytes;
        op->messages[op->n].type = bytes;
        op->messages[op->n].data = bytes;
    } while (++op->n < n);

    run(&sh->world, op);
    adopt(&ledger, &sh->world, op, 0);
}


static void
test_random(void **state)
{
    size_t                 i, n, full, seen[6];
    static const uint64_t  from[] = {
        0, ((uint64_t) 1 << 32) - 8000, ((uint64_t) 1 << 40) + 8
    };

    (void) state;

    memset(seen, 0, sizeof(seen));
    full = 0;

    for (i = 0; i < 3; i++) {
        start(from[i]);

        for (n = 0; n < 6000; n++) {
            do_something();
            check_all(&ledger, &sh->world);

            if (sh->op.n && sh->op.kind != FROM) {
                seen[-sh->op.rc]++;
            }

            full += (ledger.nfree == 0);
        }
    }

    /* all that can happen has happened */

    assert_true(full > 1000);
    assert_true(seen[0] > 5000);
    assert_true(seen[1] > 10);
    assert_true(seen[2] > 100);
    assert_true(seen[3] > 20);
    assert_true(seen[4] > 5);
}


/* an index in which nothing but idle topics have all cells */

static void
start_full(void)
{
    unsigned  i;

    start(0);
    memset(&sh->op, 0, sizeof(op_t));
    doing = &sh->op;

    for (i = 0; sh->world.store.index.nfree; i++) {
        check(i < TOPICS);

        if (i != TOPICS - 2 && cells(i) <= sh->world.store.index.nfree) {
            publish(PUBLISH, 1, i, i);
        }
    }
}


/* topics of a batch do not make room for each other while others can */

static void
test_full_batch(void **state)
{
    ngx_http_rt_cell_t  *cell;

    (void) state;

    start_full();

    cell = find(&sh->world, 0);
    check(cell != NULL);

    publish(PUBLISH, 2, 0, TOPICS - 2);

    check(sh->op.rc == NGX_HTTP_RT_TOPIC_OK);
    check(find(&sh->world, 0) == cell && cell->topic.ordinal == 2);

    check_all(&ledger, &sh->world);
}


/* nor does the topic for the key, or the key for the topic */

static void
test_full_once(void **state)
{
    ngx_http_rt_cell_t  *cell;

    (void) state;

    start_full();

    cell = find(&sh->world, 0);
    check(cell != NULL);

    publish(ONCE, 1, 0, 0);

    check(sh->op.rc == NGX_HTTP_RT_TOPIC_OK);
    check(find(&sh->world, 0) == cell && cell->topic.ordinal == 2);

    publish(ONCE, 1, 0, 0);

    check(sh->op.rc == NGX_HTTP_RT_TOPIC_REPLAY);
    check(cell->topic.ordinal == 2);

    check_all(&ledger, &sh->world);
}


/* deaths */

static world_t   dead, last;
static ledger_t  heir;
static unsigned  deaths;

#include "death.h"


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
    adopt_order(&heir, &dead);
    check_all(&heir, &dead);
}


static void
test_deaths(void **state)
{
    unsigned             i, n, upto;
    uint64_t             end, was;
    static const kind_e  turns[] = {
        PUBLISH, ENTER, FROM, DELETE, ONCE, LEAVE, PUBLISH, ONCE, SWEEP, FROM
    };

    (void) state;

    start(0);

    end = clock_ms() + 4000;

    stay_on_processor();

    for (i = 0; i < 300 && (i < 20 || clock_ms() < end); i++) {

        for (n = roll(12); n; n--) {
            do_something();
            check_all(&ledger, &sh->world);
        }

        step++;
        was = now;

        do {
            now = was;
            make(&sh->op);
        } while (sh->op.kind != turns[i % 10]);

        upto = roll(2) ? UINT32_MAX : roll(3000);

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

        /* who has had no answer tries again */

        if ((sh->op.kind == ONCE || sh->op.kind == FROM) && roll(3)) {
            run(&sh->world, &sh->op);
            adopt(&ledger, &sh->world, &sh->op, 0);
            check_all(&ledger, &sh->world);
        }
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

    if (sh == MAP_FAILED) {
        return -1;
    }

    start_names();

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_full_batch),
        cmocka_unit_test(test_full_once),
        cmocka_unit_test(test_deaths),
    };

    if (getenv("CMOCKA_MESSAGE_OUTPUT") == NULL) {
        cmocka_set_message_output(CM_OUTPUT_TAP);
    }

    return cmocka_run_group_tests(tests, setup, NULL);
}
