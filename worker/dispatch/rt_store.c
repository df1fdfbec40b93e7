/*
 * State from disk and to disk: the start, and snapshots.
 *
 * A snapshot is written by a child process, which has the state of one moment
 * by fork() while the parent goes on.  It gets its name only when the journal
 * is on disk up to its seq: a snapshot never knows more than the journal.
 *
 * The start takes the newest snapshot whose checksum is right and replays the
 * records after it.
 */


#define _GNU_SOURCE                         /* close_range() */

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rt_dispatch.h"
#include "rt_io.h"
#include "rt_log.h"
#include "rt_snapshot.h"


#define RT_STORE_NICE  10                   /* of the child */


void
rt_dispatch_defaults(rt_dispatch_conf_t *conf)
{
    rt_uint_t  i;

    memset(conf, 0, sizeof(rt_dispatch_conf_t));

    conf->entities_max = RT_ENTITIES_MAX;
    conf->visits_max = RT_VISITS_MAX;
    conf->idem_max = RT_IDEM_MAX;
    conf->idem_bytes = RT_IDEM_BYTES;
    conf->idem_age_ms = RT_IDEM_AGE_MS;
    conf->snapshot_events = RT_SNAPSHOT_EVENTS;
    conf->idle_ms = RT_IDLE_MS;

    for (i = 0; i < 256; i++) {
        conf->durability[i] = -1;
    }
}


void
rt_dispatch_init(rt_dispatch_t *d, const rt_dispatch_conf_t *conf)
{
    memset(d, 0, sizeof(rt_dispatch_t));

    d->conf = *conf;
    rt_entities_init(&d->entities);
    rt_entities_init(&d->projected);
    rt_projection_init(d);
    rt_idem_init(&d->idems, conf->idem_max, conf->idem_bytes,
                 conf->idem_age_ms);
    rt_visits_init(&d->visits, conf->visits_max);
    d->clocks_last = &d->clocks;
}


/* sealing keys are derived from it; it is never in the journal */

static rt_int_t
rt_store_secret(rt_dispatch_t *d)
{
    int      fd;
    char     path[PATH_MAX];
    ssize_t  n;

    snprintf(path, sizeof(path), "%s/secret", d->conf.journal.dir);

    fd = rt_io.open(path, O_RDONLY|O_CLOEXEC, 0);

    if (fd != -1) {
        n = rt_io_read(fd, d->secret, RT_SECRET_SIZE, 0);
        close(fd);

        if (n != RT_SECRET_SIZE) {
            rt_log(RT_LOG_EMERG, 0, "\"%s\" is too short", path);
            return RT_ERROR;
        }

        return RT_OK;
    }

    if (errno != ENOENT) {
        rt_log(RT_LOG_EMERG, errno, "open() \"%s\" failed", path);
        return RT_ERROR;
    }

    randombytes_buf(d->secret, RT_SECRET_SIZE);

    if (rt_io_replace(d->conf.journal.dir, "secret", d->secret,
                      RT_SECRET_SIZE, 1)
        != RT_OK)
    {
        rt_log(RT_LOG_EMERG, errno, "writing \"%s\" failed", path);
        return RT_ERROR;
    }

    return RT_OK;
}


void
rt_dispatch_free(rt_dispatch_t *d)
{
    rt_entities_free(&d->entities);
    rt_entities_free(&d->projected);
    rt_idem_free(&d->idems);
    rt_visits_free(&d->visits);
    rt_buf_free(&d->out.body);
    rt_buf_free(&d->out.data);
    rt_buf_free(&d->scratch);
    rt_buf_free(&d->lifted[0]);
    rt_buf_free(&d->lifted[1]);
    rt_buf_free(&d->name);
}


/*
 * What a snapshot says of the program that wrote it: the versions of its
 * event types, and which projections are in it.
 */

static void
rt_store_engines(rt_dispatch_t *d, rt_buf_t *b)
{
    rt_uint_t           i;
    rt_projection_t    *p;
    const rt_engine_t  *engine;

    for (i = 0; rt_engines[i]; i++) {
        engine = rt_engines[i];
        p = rt_projection_find(d, engine);

        rt_buf_put8(b, engine->id);
        rt_buf_put32(b, engine->revision);
        rt_buf_put64(b, p ? p->since : 0);
        rt_buf_put8(b, (uint8_t) engine->ntypes);
        rt_buf_put(b, engine->types, engine->ntypes);
    }

    rt_buf_put8(b, 0);                      /* no engine's id */
}


static void
rt_store_entity(rt_entity_t *e, rt_buf_t *b)
{
    size_t    at;
    uint32_t  i;

    rt_buf_put8(b, e->engine->id);
    rt_buf_put_str(b, rt_entity_name(e));
    rt_buf_put64(b, e->version);
    rt_buf_put64(b, e->first_addr);
    rt_buf_put64(b, e->last_addr);
    rt_buf_put64(b, e->last_seq);
    rt_buf_put64(b, e->used_ms);
    rt_buf_put32(b, e->nmarks);

    for (i = 0; i < e->nmarks; i++) {
        rt_buf_put64(b, e->marks[i]);
    }

    rt_buf_put8(b, e->state != NULL);

    if (e->state == NULL) {
        return;                             /* evicted: its events are kept */
    }

    at = rt_buf_size(b);
    rt_buf_put32(b, 0);

    e->engine->snapshot(e->state, b);

    rt_set32(b->pos + at, (uint32_t) (rt_buf_size(b) - at - 4));
}


static void
rt_store_entities(rt_entities_t *t, rt_snapshot_writer_t *w)
{
    size_t  i;

    rt_buf_put64(&w->buf, t->n);

    for (i = 0; i <= t->mask; i++) {
        if (t->slots[i]) {
            rt_store_entity(t->slots[i], &w->buf);
            rt_snapshot_flush(w);
        }
    }
}


static rt_int_t
rt_store_write(rt_dispatch_t *d)
{
    rt_snapshot_head_t    head;
    rt_snapshot_writer_t  w;

    head.epoch = d->journal.epoch;
    head.seq = d->snapshot_seq;
    head.addr = d->snapshot_addr;
    head.time_ms = d->journal.last_time;

    if (rt_snapshot_create(&w, d->conf.journal.dir, &head) != RT_OK) {
        return RT_ERROR;
    }

    rt_store_engines(d, &w.buf);

    rt_buf_put64(&w.buf, d->since_hash);
    rt_idem_save(&d->idems, &w.buf);

    rt_store_entities(&d->entities, &w);
    rt_store_entities(&d->projected, &w);

    return rt_snapshot_finish(&w);
}


/*
 * A newer program's state may come from events that this one cannot read.
 * The projections that are in the snapshot get their "since".
 */

static rt_int_t
rt_store_load_engines(rt_dispatch_t *d, uint64_t *sinces, rt_reader_t *r)
{
    uint8_t             id, n;
    uint32_t            revision;
    uint64_t            since;
    rt_uint_t           i, known;
    const u_char       *types;
    rt_projection_t    *p;
    const rt_engine_t  *engine;

    for (id = rt_read8(r); id; id = rt_read8(r)) {
        revision = rt_read32(r);
        since = rt_read64(r);
        n = rt_read8(r);
        types = rt_read(r, n);

        engine = rt_engine_by_id(id);

        if (types == NULL || engine == NULL) {
            continue;
        }

        for (i = 0; i < n; i++) {
            known = rt_engine_version(engine, i);

            if (types[i] > known) {
                rt_log(RT_LOG_WARN, 0, "the snapshot is of a newer realtimed: "
                       "it knows \"%s\" events of type %u in version %u, this "
                       "one in %u", engine->name, (unsigned) i, types[i],
                       (unsigned) known);
                return RT_DECLINED;
            }
        }

        p = rt_projection_find(d, engine);

        if (p && revision == engine->revision) {
            sinces[p - d->projections] = since;
        }
    }

    return RT_OK;
}


static rt_int_t
rt_store_load_state(rt_dispatch_t *d, rt_entity_t *e, rt_str_t bytes)
{
    rt_reader_t  r;

    rt_reader_init(&r, bytes.data, bytes.len);

    e->state = e->engine->create();

    if (e->engine->restore(e->state, &r) != RT_OK || r.bad || r.pos != r.last) {
        return RT_ERROR;
    }

    if (e->engine->source == NULL) {
        rt_dispatch_due(d, e);
    }

    return RT_OK;
}


static rt_int_t
rt_store_load_entity(rt_dispatch_t *d, rt_entities_t *t, rt_reader_t *r)
{
    rt_str_t            name, state;
    uint32_t            i, n;
    rt_uint_t           evicted;
    rt_entity_t        *e;
    rt_projection_t    *p;
    const u_char       *numbers, *marks;
    const rt_engine_t  *engine;

    engine = rt_engine_by_id(rt_read8(r));
    name = rt_read_str(r);

    numbers = rt_read(r, 5 * 8);
    n = rt_read32(r);
    marks = rt_read(r, (size_t) n * 8);

    evicted = rt_read8(r) == 0;
    memset(&state, 0, sizeof(rt_str_t));

    if (!evicted) {
        state = rt_read_str(r);
    }

    if (r->bad) {
        return RT_ERROR;
    }

    p = engine ? rt_projection_find(d, engine) : NULL;

    if (t == &d->projected && (p == NULL || p->since == 0)) {
        return RT_OK;                       /* gone, or to be built anew */
    }

    if (engine == NULL) {
        return RT_ERROR;
    }

    e = rt_entity_add(t, engine, name);

    e->version = rt_get64(numbers);
    e->first_addr = rt_get64(numbers + 8);
    e->last_addr = rt_get64(numbers + 16);
    e->last_seq = rt_get64(numbers + 24);
    e->used_ms = rt_get64(numbers + 32);

    e->nmarks = n;
    e->max_marks = n;
    e->marks = n ? rt_malloc(n * sizeof(uint64_t)) : NULL;

    for (i = 0; i < n; i++) {
        e->marks[i] = rt_get64(marks + i * 8);
    }

    if (p) {
        p->entities++;
    }

    return evicted ? RT_OK : rt_store_load_state(d, e, state);
}


static rt_int_t
rt_store_load_entities(rt_dispatch_t *d, rt_entities_t *t, rt_reader_t *r)
{
    uint64_t  n;

    for (n = rt_read64(r); n; n--) {
        if (rt_store_load_entity(d, t, r) != RT_OK) {
            return RT_ERROR;
        }
    }

    return RT_OK;
}


rt_int_t
rt_dispatch_load(rt_dispatch_t *d, const rt_snapshot_head_t *head,
    rt_reader_t *r)
{
    uint64_t   sinces[RT_ENGINES_MAX];
    rt_uint_t  i;

    memset(sinces, 0, sizeof(sinces));

    if (head->format > 1 && rt_store_load_engines(d, sinces, r) != RT_OK) {
        return RT_DECLINED;
    }

    for (i = 0; i < d->nprojections; i++) {
        d->projections[i].since = sinces[i];
    }

    d->since_hash = rt_read64(r);

    if (rt_idem_restore(&d->idems, r) != RT_OK
        || rt_store_load_entities(d, &d->entities, r) != RT_OK)
    {
        return RT_ERROR;
    }

    if (head->format > 1
        && rt_store_load_entities(d, &d->projected, r) != RT_OK)
    {
        return RT_ERROR;
    }

    return r->bad || r->pos != r->last ? RT_ERROR : RT_OK;
}


static rt_int_t
rt_store_replay(void *data, const rt_record_t *rec)
{
    return rt_dispatch_replay(data, rec);
}


/* the newest good one; RT_DECLINED: none, replay everything */

static rt_int_t
rt_store_newest(rt_dispatch_t *d, rt_snapshot_head_t *head)
{
    u_char       *data;
    uint64_t      seqs[RT_SNAPSHOTS_MAX];
    rt_int_t      rc;
    rt_uint_t     i, n;
    rt_reader_t   body;

    n = rt_snapshot_list(d->conf.journal.dir, seqs, RT_SNAPSHOTS_MAX);

    for (i = 0; i < n; i++) {

        if (rt_snapshot_load(d->conf.journal.dir, seqs[i], head, &data, &body)
            != RT_OK)
        {
            rt_log(RT_LOG_WARN, 0, "passing over the snapshot at seq %llu",
                   (unsigned long long) seqs[i]);
            continue;
        }

        rc = rt_dispatch_load(d, head, &body);
        free(data);

        if (rc == RT_DECLINED) {
            rt_log(RT_LOG_WARN, 0, "passing over the snapshot at seq %llu",
                   (unsigned long long) seqs[i]);
            continue;
        }

        if (rc != RT_OK) {
            rt_log(RT_LOG_EMERG, 0, "the snapshot at seq %llu is whole but "
                   "not understood: is this realtimed older than the one "
                   "that wrote it", (unsigned long long) seqs[i]);
            return RT_ERROR;
        }

        return RT_OK;
    }

    return RT_DECLINED;
}


/* the oldest event that an evicted entity needs */

static uint64_t
rt_store_evicted_floor(rt_dispatch_t *d)
{
    size_t          i;
    uint64_t        floor;
    rt_uint_t       k;
    rt_entity_t    *e;
    rt_entities_t  *tables[2] = { &d->entities, &d->projected };

    floor = UINT64_MAX;

    for (k = 0; k < 2; k++) {
        for (i = 0; i <= tables[k]->mask; i++) {
            e = tables[k]->slots[i];

            if (e && e->state == NULL) {
                floor = rt_min(floor, e->first_addr);
            }
        }
    }

    return floor;
}


rt_int_t
rt_dispatch_open(rt_dispatch_t *d, const rt_dispatch_conf_t *conf)
{
    rt_int_t             rc;
    uint64_t             start, addr, seq;
    rt_scan_result_t     res;
    rt_snapshot_head_t   head;

    start = rt_time_us();

    rt_dispatch_init(d, conf);

    if (rt_journal_open(&d->journal, &conf->journal) != RT_OK) {
        rt_dispatch_free(d);
        return RT_ERROR;
    }

    if (rt_store_secret(d) != RT_OK) {
        goto failed;
    }

    rc = rt_store_newest(d, &head);

    if (rc == RT_ERROR) {
        goto failed;
    }

    addr = rt_journal_first(&d->journal);
    seq = 1;

    if (rc == RT_OK) {
        addr = head.addr;
        seq = head.seq + 1;
        d->snapshot_addr = head.addr;
        d->snapshot_seq = head.seq;
        d->evicted_floor[0] = rt_store_evicted_floor(d);

        if (rt_projection_build(d, head.seq) != RT_OK) {
            goto failed;
        }

    } else if (d->journal.first_segment > 1) {
        rt_log(RT_LOG_EMERG, 0, "the journal begins at %08u.seg, and there is "
               "no good snapshot for what was before",
               d->journal.first_segment);
        goto failed;
    }

    if (rt_journal_recover(&d->journal, addr, seq, &res, rt_store_replay, d)
        != RT_OK)
    {
        rt_log(RT_LOG_EMERG, 0, "journal in \"%s\" %s%s", conf->journal.dir,
               res.error, res.damaged ? "; see realtimectl journal repair"
                                      : "");
        goto failed;
    }

    if (rc == RT_OK) {
        d->journal.last_time = rt_max(d->journal.last_time, head.time_ms);
    }

    if (res.torn) {
        rt_log(RT_LOG_WARN, 0, "torn tail cut at %08u.seg:%u, after seq %llu",
               d->journal.segment, d->journal.offset,
               (unsigned long long) d->journal.next_seq - 1);
    }

    d->stats.replayed = res.records;
    d->stats.start_us = rt_time_us() - start;

    rt_dispatch_turn(d);

    rt_log(RT_LOG_NOTICE, 0, "%zu entities at seq %llu, %llu records replayed "
           "in %llu ms", d->entities.n,
           (unsigned long long) d->journal.next_seq - 1,
           (unsigned long long) res.records,
           (unsigned long long) d->stats.start_us / 1000);

    return RT_OK;

failed:

    rt_dispatch_close(d);

    return RT_ERROR;
}


void
rt_dispatch_close(rt_dispatch_t *d)
{
    rt_journal_close(&d->journal);
    rt_dispatch_free(d);
}


/* snapshots of a running daemon */

static rt_int_t
rt_store_begin(rt_dispatch_t *d)
{
    if (d->snapshot_pid || d->snapshot_written || d->journal.next_seq == 1) {
        return RT_DECLINED;
    }

    d->evicted_next = rt_store_evicted_floor(d);
    d->snapshot_floor = d->snapshot_addr;
    d->snapshot_seq = d->journal.next_seq - 1;
    d->snapshot_addr = rt_addr(d->journal.segment, d->journal.offset);
    d->since_snapshot = 0;

    return RT_OK;
}


/*
 * The child must not outlive its parent: with the lock and the listening
 * socket in its hands it would keep the next daemon from starting.
 */

static void
rt_store_child(rt_dispatch_t *d, pid_t parent)
{
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL);

    if (getppid() != parent) {
        _exit(1);
    }

    (void) close_range(STDERR_FILENO + 1, ~0U, 0);

    if (nice(RT_STORE_NICE) == -1) {
        errno = 0;                          /* slower for others, no more */
    }

    _exit(rt_store_write(d) == RT_OK ? 0 : 1);
}


rt_int_t
rt_dispatch_snapshot(rt_dispatch_t *d)
{
    pid_t  pid, parent;

    if (rt_store_begin(d) != RT_OK) {
        return RT_DECLINED;
    }

    parent = getpid();
    pid = fork();

    if (pid == -1) {
        rt_log(RT_LOG_ERR, errno, "fork() for a snapshot failed");
        d->stats.snapshots_failed++;
        return RT_ERROR;
    }

    if (pid == 0) {
        rt_store_child(d, parent);
    }

    d->snapshot_pid = pid;

    return RT_OK;
}


static void
rt_store_retain(rt_dispatch_t *d)
{
    uint32_t  keep;
    uint64_t  addr, segments;

    if (d->conf.retain_bytes == 0 || d->snapshot_floor == 0) {
        return;
    }

    /* what the older snapshot needs, and what zones have not confirmed */

    segments = d->conf.retain_bytes / d->journal.conf.segment_size + 1;
    keep = d->journal.segment > segments
           ? d->journal.segment - (uint32_t) segments : 0;

    addr = rt_min(rt_addr(keep, 0), d->snapshot_floor);
    addr = rt_min(addr, d->evicted_floor[0]);
    addr = rt_min(addr, d->evicted_floor[1]);

    if (d->publish_floor && d->publish_floor < addr) {

        if (rt_addr_segment(d->publish_floor) < rt_addr_segment(addr)) {
            rt_log(RT_LOG_WARN, 0, "%08u.seg and later are kept beyond "
                   "\"retain\", for a zone that has not confirmed them",
                   rt_addr_segment(d->publish_floor));
        }

        addr = d->publish_floor;
    }

    rt_journal_retain(&d->journal, addr);
}


void
rt_dispatch_snapshot_exited(rt_dispatch_t *d, int status)
{
    d->snapshot_pid = 0;

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        rt_log(RT_LOG_ERR, 0, "the snapshot at seq %llu failed",
               (unsigned long long) d->snapshot_seq);
        rt_snapshot_abandon(d->conf.journal.dir, d->snapshot_seq);
        d->snapshot_addr = d->snapshot_floor;
        d->stats.snapshots_failed++;
        return;
    }

    d->snapshot_written = 1;
}


rt_uint_t
rt_dispatch_snapshot_pending(const rt_dispatch_t *d)
{
    return d->snapshot_pid || d->snapshot_written;
}


void
rt_dispatch_snapshot_commit(rt_dispatch_t *d)
{
    if (!d->snapshot_written || d->journal.durable_seq < d->snapshot_seq) {
        return;
    }

    d->snapshot_written = 0;

    if (rt_snapshot_commit(d->conf.journal.dir, d->snapshot_seq) != RT_OK) {
        d->snapshot_addr = d->snapshot_floor;
        d->stats.snapshots_failed++;
        return;
    }

    d->evicted_floor[1] = d->evicted_floor[0];
    d->evicted_floor[0] = d->evicted_next;

    d->stats.snapshots++;
    rt_log(RT_LOG_INFO, 0, "snapshot at seq %llu",
           (unsigned long long) d->snapshot_seq);

    rt_store_retain(d);
}


rt_int_t
rt_dispatch_snapshot_now(rt_dispatch_t *d)
{
    uint64_t   seqs[RT_SNAPSHOTS_MAX];
    rt_uint_t  n;

    n = rt_snapshot_list(d->conf.journal.dir, seqs, RT_SNAPSHOTS_MAX);

    if (n && seqs[0] == d->journal.next_seq - 1) {
        return RT_OK;                       /* nothing has happened since */
    }

    if (rt_store_begin(d) != RT_OK) {
        return RT_DECLINED;
    }

    if (rt_store_write(d) != RT_OK) {
        rt_snapshot_abandon(d->conf.journal.dir, d->snapshot_seq);
        return RT_ERROR;
    }

    return rt_snapshot_commit(d->conf.journal.dir, d->snapshot_seq);
}
