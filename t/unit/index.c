/*
 * The index against a model of it that has neither cells nor lists: what it
 * knows, who is present, what it gives up for what, and that no cell is ever
 * lost or used twice.
 *
 * Sources: ngx_http_rt_index.c ngx_http_rt_pattern.c
 * Sources: ngx_http_rt_utf8.c
 * Sources: ngx_http_rt_presence.c ngx_http_rt_index_repair.c
 * Sources: ngx_http_rt_index_key.c
 * Sources: ngx_http_rt_shape.c ngx_http_rt_hash.c
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
#include "roll.h"


#define NAMES        96
#define KEYS         64
#define MEMORY_SIZE  (64 * 1024)

#define TOPIC        NGX_HTTP_RT_CELL_TOPIC
#define PATTERN      NGX_HTTP_RT_CELL_PATTERN


typedef struct {
    unsigned             kind;
    uint32_t             hash;
    size_t               len;
    u_char               name[255];

    int                  there;
    ngx_http_rt_cell_t  *cell;
    uint64_t             id;
    uint64_t             seq;
    uint64_t             floor;
    uint64_t             stamp;      /* idle since */
    uint32_t             count[NGX_HTTP_RT_SLOTS];
    uint32_t             slots;
    uint32_t             crowds;     /* cells for more presences */
} named_t;


typedef struct {
    int                     there;
    ngx_http_rt_key_t  key;
    uint64_t                stamp;
} keyed_t;


static u_char               memory[MEMORY_SIZE]
                                __attribute__((aligned(256)));
static ngx_http_rt_index_t  ix;

static named_t              names[NAMES];
static keyed_t               keys[KEYS];
static uint64_t             forgotten[NGX_HTTP_RT_FORGOTTEN];
static uint32_t             nfree;
static uint64_t             ids, clock, seqs, now;

static unsigned             step;
static const char          *doing;


#define check(c)                                                              \
    do {                                                                      \
        if (!(c)) {                                                           \
            fail_msg("line %d, step %u, %s: %s", __LINE__, step, doing, #c);  \
        }                                                                     \
    } while (0)


/*
 * Names that differ late, of all lengths, with few hashes; some patterns have
 * a topic's name.
 */

static void
start(size_t size)
{
    size_t                i;
    named_t              *e;
    static const size_t   edges[] = { 1, 2, 127, 128, 129, 254, 255, 255 };

    memset(memory, 0, sizeof(memory));
    memset(names, 0, sizeof(names));
    memset(keys, 0, sizeof(keys));
    memset(forgotten, 0, sizeof(forgotten));

    doing = "init";
    check(ngx_http_rt_index_init(&ix, memory, size) == 0);

    /* shares are share.c's business */

    ix.most_readers = UINT32_MAX;
    ix.least_keys = 0;

    check(ix.ncells >= 2);
    check(ix.ncells * sizeof(ngx_http_rt_cell_t)
          + (ix.mask + 1) * sizeof(uint32_t) <= size);

    nfree = ix.ncells - 1;
    ids = 0;
    clock = 0;
    seqs = 0;
    now = 10000000;

    for (i = 0; i < NAMES; i++) {
        e = &names[i];

        e->kind = (i % 6 == 5) ? PATTERN : TOPIC;
        e->len = (i % 3) ? 1 + roll(255) : edges[i / 3 % 8];

        memset(e->name, 'a', e->len);
        e->name[e->len - 1] = '0' + i;

        e->hash = (i / 8) * 0x01010101;

        if (e->kind == PATTERN && roll(2)) {
            memcpy(e->name, e[-1].name, e[-1].len);
            e->len = e[-1].len;
            e->hash = e[-1].hash;
        }
    }
}


/* the model */

static void
model_forget(named_t *e)
{
    uint64_t  *f;

    if (e->kind == TOPIC) {
        f = &forgotten[e->hash % NGX_HTTP_RT_FORGOTTEN];
        *f = (*f < e->seq) ? e->seq : *f;
    }

    nfree += 1 + (e->len > NGX_HTTP_RT_CELL_NAME) + e->crowds;

    e->there = 0;
    e->crowds = 0;
    e->slots = 0;
    memset(e->count, 0, sizeof(e->count));
}


/* takes a cell; what has to go goes, and if nothing can, -1 */

static int
model_alloc(void)
{
    size_t    i;
    keyed_t   *k, *oldest;
    named_t  *e, *idle;

    if (nfree == 0) {
        oldest = NULL;
        idle = NULL;

        for (i = 0; i < KEYS; i++) {
            k = &keys[i];

            if (k->there && (oldest == NULL || k->stamp < oldest->stamp)) {
                oldest = k;
            }
        }

        for (i = 0; i < NAMES; i++) {
            e = &names[i];

            if (e->there && e->kind == TOPIC && e->slots == 0
                && (idle == NULL || e->stamp < idle->stamp))
            {
                idle = e;
            }
        }

        if (oldest) {
            oldest->there = 0;
            nfree++;

        } else if (idle) {
            model_forget(idle);

        } else {
            return -1;
        }
    }

    nfree--;

    return 0;
}


static int
model_add(named_t *e)
{
    if (model_alloc() != 0) {
        return -1;
    }

    if (e->len > NGX_HTTP_RT_CELL_NAME && model_alloc() != 0) {
        nfree++;
        return -1;
    }

    e->there = 1;
    e->id = (e->kind == TOPIC) ? ++ids : 0;
    e->seq = 0;
    e->floor = forgotten[e->hash % NGX_HTTP_RT_FORGOTTEN];
    e->stamp = ++clock;

    return 0;
}


/* after the last one has left */

static void
model_settle(named_t *e)
{
    if (e->slots) {
        return;
    }

    if (e->kind == PATTERN || e->seq == 0) {
        model_forget(e);

    } else {
        e->stamp = ++clock;
    }
}


static int
model_enter(named_t *e, unsigned slot)
{
    if (e->count[slot] == 0) {

        if (e->slots == NGX_HTTP_RT_CELL_PRESENCES
                        + e->crowds * NGX_HTTP_RT_CELL_CROWD)
        {
            if (model_alloc() != 0) {
                return -1;
            }

            e->crowds++;
        }

        e->slots++;
    }

    e->count[slot]++;

    return 0;
}


/* the whole index is as the model says */

static void
check_cell(u_char *used, uint32_t n)
{
    check(n > 0 && n < ix.ncells);
    check(used[n] == 0);

    used[n] = 1;
}


static void
check_named(named_t *e, u_char *used)
{
    u_char                   name[255];
    unsigned                 slot;
    uint32_t                 n, crowds;
    uint64_t                 sum;
    ngx_http_rt_cell_t      *cell;
    ngx_http_rt_presence_t   p;

    cell = ngx_http_rt_index_find(&ix, e->kind, e->hash, e->name, e->len);

    if (!e->there) {
        check(cell == NULL);

        if (e->cell && e->kind == TOPIC) {
            n = ngx_http_rt_index_number(&ix, e->cell);
            check(ngx_http_rt_index_of_topic(&ix, n, e->id) == NULL);
        }

        return;
    }

    check(cell == e->cell);
    check(cell->kind == e->kind);

    n = ngx_http_rt_index_number(&ix, cell);
    check_cell(used, n);

    check(ngx_http_rt_index_name(&ix, cell, name) == e->len);
    check(memcmp(name, e->name, e->len) == 0);

    if (e->len > NGX_HTTP_RT_CELL_NAME) {
        check_cell(used, cell->rest);

    } else {
        check(cell->rest == 0);
    }

    crowds = 0;

    for (n = cell->crowd; n; n = ix.cells[n].next) {
        check_cell(used, n);
        check(ix.cells[n].kind == NGX_HTTP_RT_CELL_CROWDED);
        crowds++;
    }

    check(crowds == e->crowds);

    if (e->kind == TOPIC) {
        n = ngx_http_rt_index_number(&ix, cell);
        check(cell->id == e->id);
        check(ngx_http_rt_index_of_topic(&ix, n, e->id) == cell);
        check(ngx_http_rt_index_of_topic(&ix, n, e->id + 1) == NULL);
        check(cell->topic.floor == e->floor);
        check(cell->topic.seq == e->seq);
        check(cell->listed == (e->slots == 0));
    }

    memset(&p, 0, sizeof(p));
    ngx_http_rt_index_presence(&ix, cell, &p);

    for (slot = 0, sum = 0; slot < NGX_HTTP_RT_SLOTS; slot++) {
        sum += e->count[slot];
        check((p.slots[slot / 64] >> slot % 64 & 1) == (e->count[slot] != 0));
    }

    check(p.subscribers == sum);
}


static void
check_key(keyed_t *k, u_char *used)
{
    ngx_http_rt_cell_t  *cell;

    cell = ngx_http_rt_index_find_key(&ix, k->key.key);

    if (!k->there) {
        check(cell == NULL);
        return;
    }

    check(cell && cell->kind == NGX_HTTP_RT_CELL_KEY);
    check_cell(used, ngx_http_rt_index_number(&ix, cell));
    check(memcmp(&cell->key, &k->key, sizeof(k->key)) == 0);
}


/* both ways, and in the order of stamps */

static uint32_t
check_list(ngx_http_rt_index_list_t *list, unsigned kind)
{
    size_t               i;
    uint32_t             n, older, count;
    uint64_t             stamp, last;
    ngx_http_rt_cell_t  *cell;

    older = 0;
    count = 0;
    last = 0;

    for (n = list->oldest; n; n = cell->newer) {
        check(n < ix.ncells);
        check(count < ix.ncells);

        cell = &ix.cells[n];

        check(cell->kind == kind);
        check(cell->listed);
        check(cell->older == older);

        stamp = 0;

        for (i = 0; i < NAMES; i++) {
            if (names[i].there && names[i].cell == cell) {
                stamp = names[i].stamp;
            }
        }

        for (i = 0; i < KEYS; i++) {
            if (keys[i].there
                && memcmp(keys[i].key.key, cell->key.key, 20) == 0
                && kind == NGX_HTTP_RT_CELL_KEY)
            {
                stamp = keys[i].stamp;
            }
        }

        check(stamp > last);

        last = stamp;
        older = n;
        count++;
    }

    check(list->newest == older);

    return count;
}


static void
check_all(void)
{
    size_t    i;
    u_char    used[MEMORY_SIZE / NGX_HTTP_RT_CELL_SIZE];
    uint32_t  n, count, topics, patterns, idle, nkeys;

    memset(used, 0, sizeof(used));

    topics = 0;
    patterns = 0;
    idle = 0;
    nkeys = 0;

    for (i = 0; i < NAMES; i++) {
        check_named(&names[i], used);

        if (names[i].there) {
            *(names[i].kind == TOPIC ? &topics : &patterns) += 1;
            idle += (names[i].kind == TOPIC && names[i].slots == 0);
        }
    }

    for (i = 0; i < KEYS; i++) {
        check_key(&keys[i], used);
        nkeys += keys[i].there;
    }

    for (n = ix.free, count = 0; n; n = ix.cells[n].next) {
        check_cell(used, n);
        check(ix.cells[n].kind == NGX_HTTP_RT_CELL_FREE);
        count++;
    }

    check(count == nfree);
    check(ix.nfree == nfree);

    for (n = 1; n < ix.ncells; n++) {
        check(used[n]);
    }

    check(ix.topics == topics);
    check(ix.patterns == patterns);
    check(ix.ids == ids);
    check(check_list(&ix.idle, TOPIC) == idle);
    check(check_list(&ix.keys, NGX_HTTP_RT_CELL_KEY) == nkeys);

    for (i = 0; i < NGX_HTTP_RT_FORGOTTEN; i++) {
        check(ngx_http_rt_index_forgotten(&ix, i) == forgotten[i]);
    }
}


/* operations, on both */

static void
do_add(named_t *e)
{
    ngx_http_rt_cell_t  *cell;

    doing = "add";

    if (e->there) {
        return;
    }

    cell = ngx_http_rt_index_add(&ix, e->kind, e->hash, e->name, e->len);

    check((cell != NULL) == (model_add(e) == 0));

    if (cell) {
        e->cell = cell;
    }
}


static void
do_remove(named_t *e)
{
    doing = "remove";

    if (e->there) {
        ngx_http_rt_index_remove(&ix, e->cell);
        model_forget(e);
    }
}


static void
do_enter(named_t *e, unsigned slot)
{
    int  rc;

    doing = "enter";

    if (!e->there) {
        do_add(e);
    }

    if (e->there) {
        rc = ngx_http_rt_index_enter(&ix, e->cell, slot);
        check(rc == model_enter(e, slot));
    }
}


static void
do_leave(named_t *e, unsigned slot)
{
    doing = "leave";

    if (!e->there) {
        return;
    }

    ngx_http_rt_index_leave(&ix, e->cell, slot);

    if (e->count[slot] && --e->count[slot] == 0) {
        e->slots--;
        model_settle(e);
    }
}


/* a message */

static void
do_publish(named_t *e)
{
    doing = "publish";

    if (!e->there || e->kind != TOPIC) {
        return;
    }

    e->seq = ++seqs;
    e->cell->topic.seq = e->seq;

    ngx_http_rt_index_touch(&ix, e->cell);
    e->stamp = ++clock;
}


static named_t *
by_cell(uint32_t n)
{
    size_t  i;

    for (i = 0; i < NAMES; i++) {
        if (names[i].there && names[i].cell == &ix.cells[n]) {
            return &names[i];
        }
    }

    return NULL;
}


static void
do_sweep(unsigned slot)
{
    named_t   *e;
    uint32_t   n, from, next, piece;

    doing = "sweep";
    from = 1;

    do {
        piece = 1 + roll(ix.ncells);
        next = ngx_http_rt_index_sweep(&ix, slot, from, piece);

        check(next == ((from + piece < ix.ncells) ? from + piece : 0));

        for (n = from; n < from + piece && n < ix.ncells; n++) {
            e = by_cell(n);

            if (e && e->count[slot]) {
                e->count[slot] = 0;
                e->slots--;
                model_settle(e);
            }
        }

        check_all();
        from = next;

    } while (from);
}


static void
do_key(keyed_t *k)
{
    int                  i;
    size_t               n;
    uint64_t             expired;
    keyed_t              *oldest;
    ngx_http_rt_cell_t  *cell;

    doing = "key";

    if (k->there) {
        return;
    }

    for (n = 0; n < sizeof(k->key.key); n++) {
        k->key.key[n] = (n < 4) ? (u_char) (k - keys) % 3 : roll(256);
        k->key.body[n] = roll(256);
    }

    k->key.key[19] = k - keys;
    k->key.time = now;
    k->key.first = roll(100);
    k->key.last = roll(100);
    k->key.count = roll(100);
    k->key.subscribers = roll(100);

    expired = now - roll(3) * 50;

    for (i = 0; i < 2; i++) {
        oldest = NULL;

        for (n = 0; n < KEYS; n++) {
            if (keys[n].there
                && (oldest == NULL || keys[n].stamp < oldest->stamp))
            {
                oldest = &keys[n];
            }
        }

        if (oldest && oldest->key.time < expired) {
            oldest->there = 0;
            nfree++;
        }
    }

    cell = ngx_http_rt_index_add_key(&ix, &k->key, expired);

    check((cell != NULL) == (model_alloc() == 0));

    if (cell) {
        k->there = 1;
        k->stamp = ++clock;
    }
}


static void
do_remove_key(keyed_t *k)
{
    doing = "remove key";

    if (k->there) {
        ngx_http_rt_index_remove(&ix, ngx_http_rt_index_find_key(&ix,
                                                             k->key.key));
        k->there = 0;
        nfree++;
    }
}


/*
 * Nothing is lost but the order.  Topics that have never had a message nor
 * have anybody may go.
 */

static void
do_repair(void)
{
    size_t    i;
    named_t  *e;
    uint32_t  n;

    doing = "repair";

    ngx_http_rt_index_repair(&ix);

    for (i = 0; i < NAMES; i++) {
        e = &names[i];

        if (e->there && e->slots == 0
            && (e->kind == PATTERN || e->seq == 0)
            && ngx_http_rt_index_find(&ix, e->kind, e->hash, e->name, e->len)
               == NULL)
        {
            model_forget(e);
        }
    }

    for (n = 1; n < ix.ncells; n++) {
        e = by_cell(n);

        if (e && e->slots == 0) {
            e->stamp = ++clock;
        }

        for (i = 0; i < KEYS; i++) {
            if (keys[i].there
                && ngx_http_rt_index_find_key(&ix, keys[i].key.key)
                   == &ix.cells[n])
            {
                keys[i].stamp = ++clock;
            }
        }
    }
}


static void
do_something(unsigned crowd)
{
    named_t   *e;
    unsigned   slot;

    e = &names[roll(NAMES)];

    slot = crowd ? roll(NGX_HTTP_RT_SLOTS) : roll(12) * 23;

    now += roll(3) * 10;

    /* many slots meet in few topics, and leave again */

    if (crowd && roll(3)) {
        e = &names[NAMES / 2 + roll(3)];

        if ((step / 1500 % 2) ^ (roll(5) == 0)) {
            do_leave(e, slot);

        } else {
            do_enter(e, slot);
        }

        return;
    }

    switch (roll(16)) {

    case 0:
    case 1:
        do_add(e);
        do_publish(e);
        break;

    case 2:
    case 3:
        do_publish(e);
        break;

    case 4:
        do_remove(e);
        break;

    case 5:
        if (roll(10) == 0) {
            do_sweep(slot);
        }

        break;

    case 6:
        do_key(&keys[roll(KEYS)]);
        break;

    case 7:
        if (roll(8) == 0) {
            do_remove_key(&keys[roll(KEYS)]);
        }

        break;

    case 8:
        if (roll(50) == 0) {
            do_repair();
        }

        break;

    case 9:
        do_add(e);
        break;

    case 10:
    case 11:
    case 12:
        do_leave(e, slot);
        break;

    default:
        do_enter(e, slot);
    }
}


static void
test_random(void **state)
{
    size_t    i, size;
    unsigned  full, crowds;

    (void) state;

    for (i = 0; i < 6; i++) {

        size = 5000 + i * 4001;
        start(size);
        check_all();

        full = 0;
        crowds = 0;

        for (step = 0; step < 6000; step++) {
            do_something(i % 2);
            check_all();

            full += (nfree == 0);
            crowds += (names[NAMES / 2].crowds > 1);
        }

        assert_true(full > 100);
        assert_true(crowds > 100 || i % 2 == 0);
    }
}


/* no size loses more than it must, none goes beyond the memory */

static void
test_init(void **state)
{
    size_t    size;
    uint32_t  n;

    (void) state;

    doing = "init";

    for (size = 8; size < 40000; size += (size < 2000) ? 1 : 97) {
        memset(memory, 0, size);
        memset(memory + size, 0xa5, 300);

        if (ngx_http_rt_index_init(&ix, memory, size) != 0) {
            check(size < 3 * NGX_HTTP_RT_CELL_SIZE);
            continue;
        }

        check((u_char *) &ix.buckets[ix.mask + 1] <= memory + size);
        check(ix.ncells + 1 + ix.ncells / 50
              >= size / NGX_HTTP_RT_CELL_SIZE);
        check(ix.nfree == ix.ncells - 1);
        check((ix.mask & (ix.mask + 1)) == 0);

        for (n = 0; n < 300; n++) {
            check(memory[size + n] == 0xa5);
        }
    }
}


/* number 0 is nobody, nor is anything beyond the last */

static void
test_of_topic(void **state)
{
    (void) state;

    start(5000);
    do_add(&names[0]);

    check(ngx_http_rt_index_of_topic(&ix, 0, 0) == NULL);
    check(ngx_http_rt_index_of_topic(&ix, ix.ncells, 0) == NULL);
    check(ngx_http_rt_index_of_topic(&ix, UINT32_MAX, 1) == NULL);
    check(ngx_http_rt_index_of_topic(&ix, ix.ncells - 1, 0) == NULL);
}


/* what goes when it is full, in words */

static void
test_order(void **state)
{
    int     i, n;
    keyed_t  *k;

    (void) state;

    start(16 * 256);
    step = 0;

    /* topics only: every name short, no pattern */

    for (i = 0, n = 0; nfree > 3; i++) {
        if (names[i].kind == TOPIC
            && names[i].len <= NGX_HTTP_RT_CELL_NAME)
        {
            do_add(&names[i]);
            do_publish(&names[i]);
            n = n ? n : i + 1;
        }
    }

    do_enter(&names[n - 1], 7);

    for (k = keys; nfree; k++) {
        do_key(k);
    }

    check(k - keys == 3);

    /* the oldest key, then the next ones, then the longest idle topic */

    for ( /* void */ ; i < NAMES; i++) {
        if (names[i].kind != TOPIC || names[i].len > NGX_HTTP_RT_CELL_NAME) {
            continue;
        }

        do_add(&names[i]);
        do_enter(&names[i], 1);
        check_all();

        if (!names[i].there) {
            break;
        }
    }

    /* all have subscribers now: there is no room, and nobody had to go */

    check(i < NAMES);
    check(names[n - 1].there);
    check(ix.topics == ix.ncells - 1);
    check(ngx_http_rt_index_add_key(&ix, &keys[0].key, 0) == NULL);

    do_leave(&names[n - 1], 7);
    do_add(&names[i]);

    check(names[i].there && !names[n - 1].there);
    check(ngx_http_rt_index_forgotten(&ix, names[n - 1].hash)
          >= names[n - 1].seq);
    check_all();
}


/* one slot, as many as fit in its count */

static void
test_presence_max(void **state)
{
    named_t                 *e;
    ngx_http_rt_presence_t   p;

    (void) state;

    start(5000);
    e = &names[0];
    do_enter(e, 255);

    e->cell->presence[0] += NGX_HTTP_RT_PRESENCE_MAX - 2;

    check(ngx_http_rt_index_enter(&ix, e->cell, 255) == 0);
    check(ngx_http_rt_index_enter(&ix, e->cell, 255) == -1);
    check(ngx_http_rt_index_enter(&ix, e->cell, 254) == 0);

    memset(&p, 0, sizeof(p));
    ngx_http_rt_index_presence(&ix, e->cell, &p);

    check(p.subscribers == NGX_HTTP_RT_PRESENCE_MAX + 1);
    check(p.slots[3] == (uint64_t) 3 << 62);

    ngx_http_rt_index_leave(&ix, e->cell, 255);
    check(ngx_http_rt_index_enter(&ix, e->cell, 255) == 0);

    /* who was never there cannot leave */

    ngx_http_rt_index_leave(&ix, e->cell, 3);

    memset(&p, 0, sizeof(p));
    ngx_http_rt_index_presence(&ix, e->cell, &p);

    check(p.subscribers == NGX_HTTP_RT_PRESENCE_MAX + 1);
}


/* the patterns that match, and no others, against trying each of them */

static void
test_patterns(void **state)
{
    size_t                   i, k, n, len;
    u_char                   topic[255];
    unsigned                 slot;
    named_t                 *e;
    ngx_http_rt_presence_t   p, want;
    static const char       *parts[] = { "a", "b", "ab", "*", "a*", "b*" };

    (void) state;

    start(40000);
    step = 0;

    ngx_http_rt_index_patterns(&ix, (u_char *) "a", 1, &p);

    for (i = 0; i < NAMES; i++) {
        e = &names[i];
        len = 0;

        for (k = 0, n = roll(4); k < n; k++) {
            len += sprintf((char *) e->name + len, "%s/", parts[roll(6)]);
        }

        len += sprintf((char *) e->name + len, "%s",
                       roll(3) ? (roll(2) ? "*" : "a*") : "**");

        e->kind = PATTERN;
        e->len = len;
        e->hash = name_hash(e->name,
                                   ngx_http_rt_pattern_head(e->name, len));

        if (ngx_http_rt_index_find(&ix, PATTERN, e->hash, e->name, len)) {
            e->len = 0;
            continue;
        }

        do_enter(e, i);
        do_enter(e, roll(256));
    }

    for (step = 0; step < 3000; step++) {
        doing = "patterns";
        len = 0;

        for (k = 0, n = roll(5); k < n; k++) {
            len += sprintf((char *) topic + len, "%s/", parts[roll(3)]);
        }

        len += sprintf((char *) topic + len, "%s", parts[roll(3)]);

        memset(&p, 0, sizeof(p));
        memset(&want, 0, sizeof(want));

        p.subscribers = 3;
        want.subscribers = 3;

        for (i = 0; i < NAMES; i++) {
            e = &names[i];

            if (e->len == 0
                || !ngx_http_rt_pattern_match(e->name, e->len, topic, len))
            {
                continue;
            }

            for (slot = 0; slot < NGX_HTTP_RT_SLOTS; slot++) {
                want.subscribers += e->count[slot];

                if (e->count[slot]) {
                    want.slots[slot / 64] |= (uint64_t) 1 << slot % 64;
                }
            }
        }

        ngx_http_rt_index_patterns(&ix, topic, len, &p);

        check(memcmp(&p, &want, sizeof(p)) == 0);
    }
}


/* a presence is found twice where a death has interrupted its removal */

static void
test_repair_presences(void **state)
{
    int                      i, n, k;
    named_t                 *e;
    ngx_http_rt_presence_t   p;

    (void) state;

    step = 0;

    for (n = 2; n <= NGX_HTTP_RT_CELL_PRESENCES; n++) {
        for (k = 0; k < n - 1; k++) {
            start(5000);
            e = &names[0];
            do_add(e);
            do_publish(e);

            for (i = 0; i < n; i++) {
                do_enter(e, i);
                do_enter(e, i);
            }

            doing = "repair";

            e->cell->presence[k] = e->cell->presence[n - 1];
            ngx_http_rt_index_repair(&ix);

            memset(&p, 0, sizeof(p));
            ngx_http_rt_index_presence(&ix, e->cell, &p);

            check(p.subscribers == 2 * ((uint64_t) n - 1));
            check(e->cell->npresence == n - 1);
            check(p.slots[0] == ((((uint64_t) 1 << n) - 1)
                                 & ~((uint64_t) 1 << k)));
        }
    }
}


static int
setup(void **state)
{
    (void) state;

    seed = 88172645463325252ULL;

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_of_topic),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_presence_max),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_repair_presences),
        cmocka_unit_test(test_random),
    };

    if (getenv("CMOCKA_MESSAGE_OUTPUT") == NULL) {
        cmocka_set_message_output(CM_OUTPUT_TAP);
    }

    return cmocka_run_group_tests(tests, setup, NULL);
}
