/*
 * The ledger: what has been sent, and who has got it.
 *
 * A message begins with 44 hex digits: its publisher (4), its number among all
 * of that publisher (8), its topic (8), its seq among those of this publisher
 * to this topic (8) and the time it counts from (16).  A reader keeps the last
 * seq of each lane; a lane is a publisher, or the topic itself where each topic
 * has only one publisher.  Whatever is not the next seq is lost, doubled or
 * reordered.  A connection that resumes is the same reader.
 *
 * Between publishers there is no given order, but all readers of a topic must
 * have seen the same one: each keeps a hash of what came, and the hashes of
 * all must be equal in the end.
 *
 * Each publisher has a ring of messages in flight, with the time they count
 * from and how many readers have not got them yet.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"


#define LOAD_RING  32768                    /* messages of a publisher */


typedef struct {
    uint64_t   when;
    uint32_t   number;
    uint32_t   left;                        /* readers */
} load_entry_t;


typedef struct {
    load_entry_t  *ring;
    uint32_t      *seqs;                    /* of each topic */
    uint32_t       number;
    unsigned       open;                    /* messages not yet with all */
} load_lane_t;


load_hist_t          load_delivery_hist;
load_hist_t          load_last_hist;
uint64_t             load_delivered;
uint64_t             load_lost;
uint64_t             load_doubled;
uint64_t             load_reordered;
uint64_t             load_strange;

static load_lane_t  *lanes;
static unsigned      nlanes;
static unsigned      reader_lanes;
static unsigned      topic_readers;
static signed char   digits[256];


void
load_ledger_create(void)
{
    unsigned        i, n;
    load_reader_t  *r;

    memset(digits, -1, sizeof(digits));

    for (i = 0; i < 16; i++) {
        digits[(unsigned) "0123456789abcdef"[i]] = i;
    }

    nlanes = load_conf.inflight;

    /* who follows others has no publisher of its own, but hears some */

    if (load_conf.follow && nlanes < 16) {
        nlanes = 16;
    }

    lanes = calloc(nlanes ? nlanes : 1, sizeof(load_lane_t));

    for (i = 0; i < nlanes; i++) {
        lanes[i].ring = calloc(LOAD_RING, sizeof(load_entry_t));
        lanes[i].seqs = calloc(load_conf.topics + load_conf.other_topics,
                               sizeof(uint32_t));
    }

    reader_lanes = load_conf.topics > 1 ? 1 : nlanes;
    n = load_conf.readers - load_conf.idle - load_conf.stalled;
    topic_readers = n / load_conf.topics;

    for (i = 0; i < load_conf.readers; i++) {
        r = &load_readers[i];
        r->seen = calloc(reader_lanes ? reader_lanes : 1, sizeof(uint32_t));
    }
}


/* the next message of a publisher: its first digits */

void
load_ledger_write(unsigned publisher, unsigned topic, uint64_t when,
    unsigned char *p)
{
    char           text[LOAD_MESSAGE_MIN + 1];
    load_lane_t   *lane;
    load_entry_t  *e;

    lane = &lanes[publisher];
    e = &lane->ring[++lane->number % LOAD_RING];

    if (e->left) {
        lane->open--;                       /* overrun: never mind */
    }

    e->when = when;
    e->number = lane->number;
    e->left = topic < load_conf.topics ? topic_readers : 0;

    if (e->left) {
        lane->open++;
    }

    snprintf(text, sizeof(text), "%04x%08x%08x%08x%016lx", publisher,
             lane->number, topic, ++lane->seqs[topic], when);

    memcpy(p, text, LOAD_MESSAGE_MIN);
}


static uint32_t
load_ledger_hex(unsigned char *p, size_t n)
{
    int       bad;
    size_t    i;
    uint32_t  v;

    v = 0;
    bad = 0;

    for (i = 0; i < n; i++) {
        v = v << 4 | (digits[p[i]] & 15);
        bad |= digits[p[i]];
    }

    if (bad < 0) {
        load_strange++;
    }

    return v;
}


void
load_ledger_read(load_reader_t *r, unsigned char *p, size_t len)
{
    uint32_t       publisher, number, topic, seq, *seen;
    load_lane_t   *lane;
    load_entry_t  *e;

    if (len != load_conf.size) {
        load_strange++;
        return;
    }

    publisher = load_ledger_hex(p, 4);
    number = load_ledger_hex(p + 4, 8);
    topic = load_ledger_hex(p + 12, 8);
    seq = load_ledger_hex(p + 20, 8);

    if (publisher >= nlanes || topic != r->topic) {
        load_strange++;
        return;
    }

    load_delivered++;
    r->received++;
    r->order = (r->order ^ ((uint64_t) publisher << 32 | number))
               * 0x9e3779b97f4a7c15;

    seen = &r->seen[reader_lanes > 1 ? publisher : 0];

    if (seq == *seen + 1) {
        *seen = seq;

    } else if (seq > *seen) {
        load_lost += seq - *seen - 1;
        r->missing += seq - *seen - 1;
        *seen = seq;

    } else if (r->missing) {
        r->missing--;
        load_lost--;
        load_reordered++;

    } else {
        load_doubled++;
        return;
    }

    if (load_conf.follow) {
        load_hist_add(&load_delivery_hist,
                      load_clock - ((uint64_t) load_ledger_hex(p + 28, 8) << 32
                                    | load_ledger_hex(p + 36, 8)));
        return;
    }

    lane = &lanes[publisher];
    e = &lane->ring[number % LOAD_RING];

    if (e->number != number || e->left == 0) {
        return;
    }

    load_hist_add(&load_delivery_hist, load_clock - e->when);

    if (--e->left == 0) {
        load_hist_add(&load_last_hist, load_clock - e->when);
        lane->open--;
    }
}


unsigned
load_ledger_open(unsigned publisher)
{
    return lanes[publisher].open;
}


uint64_t
load_ledger_sent(void)
{
    unsigned  i, t;
    uint64_t  n;

    n = 0;

    for (i = 0; i < nlanes; i++) {
        for (t = 0; t < load_conf.topics; t++) {
            n += lanes[i].seqs[t];
        }
    }

    return n;
}


/* what has been sent and never came, once all is quiet */

void
load_ledger_close(void)
{
    unsigned        i, p, n;
    load_reader_t  *r;

    if (load_conf.follow) {
        return;
    }

    n = load_conf.readers - load_conf.idle - load_conf.stalled;

    for (i = 0; i < n; i++) {
        r = &load_readers[i];

        for (p = 0; p < nlanes; p++) {

            if (reader_lanes == 1) {
                p = r->topic % nlanes;
            }

            load_lost += lanes[p].seqs[r->topic]
                         - r->seen[reader_lanes > 1 ? p : 0];

            if (reader_lanes == 1) {
                break;
            }
        }
    }
}


/* readers whose order is not that of the first */

unsigned
load_ledger_disagree(void)
{
    unsigned  i, n, bad;

    if (load_conf.topics > 1) {
        return 0;
    }

    n = load_conf.readers - load_conf.idle - load_conf.stalled;
    bad = 0;

    for (i = 1; i < n; i++) {
        if (load_readers[i].order != load_readers[0].order) {
            bad++;
        }
    }

    return bad;
}
