/*
 * The start: state from disk.
 *
 * The start takes the newest snapshot whose checksum is right and replays the
 * records after it.
 */


#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rt_dispatch_private.h"
#include "rt_io.h"
#include "rt_log.h"


void
rt_dispatch_defaults(rt_dispatch_conf_t *conf)
{
    rt_uint_t  i;

    memset(conf, 0, sizeof(rt_dispatch_conf_t));

    conf->entities_max = RT_ENTITIES_MAX;
    conf->visits_max = RT_VISITS_MAX;
    conf->user_entities = RT_USER_ENTITIES;
    conf->user_commands = RT_USER_COMMANDS;
    conf->idem_max = RT_IDEM_MAX;
    conf->idem_bytes = RT_IDEM_BYTES;
    conf->idem_age_ms = RT_IDEM_AGE_MS;
    conf->snapshot_events = RT_SNAPSHOT_EVENTS;
    conf->idle_ms = RT_IDLE_MS;
    conf->clock_step_ms = RT_TIME_LIMIT_MS;
    conf->ended_ms = RT_ENDED_MS;

    for (i = 0; i < 256; i++) {
        conf->durability[i] = -1;
    }
}


/* a word that the child which writes a snapshot shares with us */

static uint64_t *
rt_store_shared(void)
{
    void  *p;

    p = mmap(NULL, sizeof(uint64_t), PROT_READ|PROT_WRITE,
             MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        rt_log(RT_LOG_EMERG, errno, "mmap() failed");
        abort();
    }

    return p;
}


void
rt_store_init(rt_dispatch_t *d, const rt_dispatch_conf_t *conf)
{
    memset(d, 0, sizeof(rt_dispatch_t));

    d->conf = *conf;
    rt_entities_init(&d->entities);
    rt_entities_init(&d->projected);
    rt_projection_init(d);
    rt_idem_init(&d->idems, conf->idem_max, conf->idem_bytes,
                 conf->idem_age_ms);
    rt_visits_init(&d->visits, conf->visits_max);
    rt_users_init(&d->users);
    rt_reads_init(&d->reads);
    d->clocks_last = &d->clocks;
    d->evicted_next = rt_store_shared();
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

    if (d->journal.first_segment) {
        rt_log(RT_LOG_EMERG, 0, "\"%s\" is missing, and the journal is not "
               "new: sealed bids cannot be opened without it; put it back, or "
               "32 random bytes in its place", path);
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
rt_store_free(rt_dispatch_t *d)
{
    rt_reads_stop(&d->reads);
    rt_reads_free(&d->reads);
    rt_entities_free(&d->entities);
    rt_entities_free(&d->projected);
    rt_idem_free(&d->idems);
    rt_visits_free(&d->visits);
    rt_users_free(&d->users);
    rt_buf_free(&d->out.body);
    rt_buf_free(&d->out.data);
    free(d->out.events);
    rt_buf_free(&d->scratch);
    rt_json_free(&d->json);
    rt_buf_free(&d->lifted[0]);
    rt_buf_free(&d->lifted[1]);
    rt_buf_free(&d->name);
    munmap(d->evicted_next, sizeof(uint64_t));
}


static rt_int_t
rt_store_replay(void *data, const rt_record_t *rec)
{
    return rt_replay_record(data, rec);
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

        rc = rt_image_load(d, &body);
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


/* the state as of the newest snapshot; *seq and *addr are what comes next */

static rt_int_t
rt_store_begin(rt_dispatch_t *d, rt_snapshot_head_t *head, uint64_t *seq,
    uint64_t *addr)
{
    rt_int_t  rc;

    *addr = rt_journal_first(&d->journal);
    *seq = 1;
    head->time_ms = 0;

    rc = rt_store_newest(d, head);

    if (rc == RT_OK) {
        *addr = head->addr;
        *seq = head->seq + 1;
        d->snapshot_addr[0] = head->addr;
        d->snapshot_seq = head->seq;
        d->evicted_floor[0] = rt_dump_floor(d);

        return rt_projection_build(d, head->seq);
    }

    if (rc == RT_DECLINED && d->journal.first_segment > 1) {
        rt_log(RT_LOG_EMERG, 0, "the journal begins at %08u.seg, and there is "
               "no good snapshot for what was before",
               d->journal.first_segment);
        return RT_ERROR;
    }

    return rc == RT_DECLINED ? RT_OK : rc;
}


/*
 * A snapshot has its name only when the journal is on disk up to it.  Where
 * the journal is shorter, acknowledged events are missing.
 */

static rt_int_t
rt_store_is_ahead(rt_dispatch_t *d, uint64_t addr, uint64_t seq)
{
    if (seq == 1 || rt_journal_has(&d->journal, addr, seq) == RT_OK) {
        return RT_OK;
    }

    rt_log(RT_LOG_EMERG, 0, "the snapshot at seq %llu is ahead of the journal "
           "in \"%s\", which has no record before or at %08u.seg:%u: files "
           "are missing or older; put them back, or see realtimectl journal "
           "repair", (unsigned long long) seq - 1, d->journal.dir,
           rt_addr_segment(addr), rt_addr_offset(addr));

    return RT_ERROR;
}


static rt_int_t
rt_store_recover(rt_dispatch_t *d, uint64_t addr, uint64_t seq,
    rt_scan_result_t *res)
{
    if (rt_journal_recover(&d->journal, addr, seq, res, rt_store_replay, d)
        != RT_OK)
    {
        rt_log(RT_LOG_EMERG, 0, "journal in \"%s\" %s%s", d->journal.dir,
               res->error, res->damaged ? "; see realtimectl journal repair"
                                        : "");
        return RT_ERROR;
    }

    if (res->torn) {
        rt_log(RT_LOG_WARN, 0, "torn tail cut at %08u.seg:%u, after seq %llu",
               d->journal.segment, d->journal.offset,
               (unsigned long long) d->journal.next_seq - 1);
    }

    return RT_OK;
}


rt_int_t
rt_store_open(rt_dispatch_t *d, const rt_dispatch_conf_t *conf)
{
    uint64_t             start, addr, seq;
    rt_scan_result_t     res;
    rt_snapshot_head_t   head;

    start = rt_time_us();

    rt_store_init(d, conf);

    if (rt_journal_open(&d->journal, &conf->journal) != RT_OK) {
        rt_store_free(d);
        return RT_ERROR;
    }

    if (rt_store_secret(d) != RT_OK
        || rt_store_begin(d, &head, &seq, &addr) != RT_OK
        || rt_store_is_ahead(d, addr, seq) != RT_OK
        || rt_store_recover(d, addr, seq, &res) != RT_OK)
    {
        rt_store_close(d);
        return RT_ERROR;
    }

    d->journal.last_time = rt_max(d->journal.last_time, head.time_ms);
    d->stats.replayed = res.records;
    d->stats.start_us = rt_time_us() - start;

    rt_timekeeper_start(d);

    rt_log(RT_LOG_NOTICE, 0, "%zu entities at seq %llu, %llu records replayed "
           "in %llu ms", d->entities.n,
           (unsigned long long) d->journal.next_seq - 1,
           (unsigned long long) res.records,
           (unsigned long long) d->stats.start_us / 1000);

    return RT_OK;
}


void
rt_store_close(rt_dispatch_t *d)
{
    rt_reads_stop(&d->reads);
    rt_journal_close(&d->journal);
    rt_store_free(d);
}
