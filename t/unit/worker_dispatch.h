/*
 * A dispatcher over a journal in a directory of its own, for unit tests:
 * opened, closed with or without a snapshot, asked with a clock that stands
 * still unless "now" is moved.
 */


#ifndef _WORKER_DISPATCH_H_INCLUDED_
#define _WORKER_DISPATCH_H_INCLUDED_


#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sodium.h>

#include <rt_auction.h>
#include <rt_dispatch_private.h>
#include <rt_log.h>
#include <rt_snapshot.h>

#include "worker_dir.h"


static char                 dir[64];
static rt_dispatch_t        d;
static rt_dispatch_conf_t   conf;
static rt_answer_t          a;
static char                 text[262144];
static uint64_t             now;


static int
setup(void **state)
{
    (void) state;

    rt_log_level = 0;
    strcpy(dir, "/tmp/rt_dispatch_XXXXXX");
    rt_dispatch_defaults(&conf);
    conf.journal.dir = dir;
    conf.journal.segment_size = RT_SEGMENT_SIZE_MIN;
    conf.journal.buffer_size = RT_SEGMENT_SIZE_MIN;
    conf.idem_max = 50;
    conf.user_commands = 0;

    return sodium_init() == -1 || mkdtemp(dir) == NULL;
}


static int
teardown(void **state)
{
    (void) state;

    return remove_dir(dir);
}


static void
up(void)
{
    assert_int_equal(rt_store_open(&d, &conf), RT_OK);
    assert_int_equal(rt_journal_start(&d.journal), RT_OK);
    now = rt_max(now, d.journal.last_time);
}


static void
down(rt_uint_t snapshot)
{
    assert_int_equal(rt_journal_stop(&d.journal, 20000), RT_OK);

    if (snapshot) {
        assert_int_equal(rt_dispatch_snapshot_now(&d), RT_OK);
    }

    rt_store_close(&d);
}


static void
sync_all(void)
{
    while (d.journal.durable_seq != d.journal.next_seq - 1) {
        rt_dispatch_flush(&d, 1);
        rt_journal_notified(&d.journal);
        usleep(50);
    }
}


static rt_str_t
str(const char *s)
{
    rt_str_t  r;

    r.data = (const u_char *) s;
    r.len = strlen(s);

    return r;
}


static rt_uint_t
ask_engine(rt_uint_t query, const char *engine, const char *entity,
    const char *name, const char *user, const char *body, const char *key,
    int64_t expect)
{
    rt_request_t  rq;

    memset(&rq, 0, sizeof(rq));

    rq.query = query;
    rq.engine = str(engine);
    rq.entity = str(entity);
    rq.name = str(name);
    rq.user = str(user);
    rq.key = str(key);
    rq.body = str(query ? "" : body);
    rq.args = str(query ? body : "");
    rq.has_expect = expect >= 0;
    rq.expect = (uint64_t) expect;

    d.clock_ms = now;

    while (rt_dispatch(&d, &rq, &a) == RT_AGAIN) {
        sync_all();
    }

    snprintf(text, sizeof(text), "%.*s", (int) a.body.len, a.body.data);

    return a.status;
}

static inline unsigned
dice(unsigned n)
{
    static uint64_t  x = 88172645463325252ull;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;

    return (unsigned) (x >> 33) % n;
}


static inline void
part(const char *s)
{
    if (strstr(text, s) == NULL) {
        fail_msg("no %s in %s", s, text);
    }
}


#endif /* _WORKER_DISPATCH_H_INCLUDED_ */
