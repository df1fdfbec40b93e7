/*
 * Snapshots of a running daemon.
 *
 * A snapshot is written by a child process, which has the state of one moment
 * by fork() while the parent goes on.  Walks over all entities are the child's.
 * The file gets its name only when the journal is on disk up to its seq: a
 * snapshot never knows more than the journal.  Then segments that nothing needs
 * any more may go.
 */


#define _GNU_SOURCE                         /* close_range() */

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rt_dispatch_private.h"
#include "rt_log.h"


#define RT_DUMP_NICE  10                    /* of the child */


/* the oldest event that an evicted entity needs */

uint64_t
rt_dump_floor(rt_dispatch_t *d)
{
    size_t        i;
    uint64_t      floor;
    rt_entity_t  *e;

    floor = UINT64_MAX;

    for (i = 0; i < d->entities.n; i++) {
        e = d->entities.list[i];

        if (e->state == NULL && !e->damaged) {
            floor = rt_min(floor, e->first_addr);
        }
    }

    return floor;
}


static rt_int_t
rt_dump_begin(rt_dispatch_t *d)
{
    if (d->snapshot_pid || d->snapshot_written || d->journal.next_seq == 1) {
        return RT_DECLINED;
    }

    d->snapshot_seq = d->journal.next_seq - 1;
    d->snapshot_next = rt_addr(d->journal.segment, d->journal.offset);
    d->since_snapshot = 0;

    return RT_OK;
}


/*
 * The child must not outlive its parent: with the lock and the listening
 * socket in its hands it would keep the next daemon from starting.
 */

static void
rt_dump_child(rt_dispatch_t *d, pid_t parent)
{
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL);

    if (getppid() != parent) {
        _exit(1);
    }

    (void) close_range(STDERR_FILENO + 1, ~0U, 0);

    if (nice(RT_DUMP_NICE) == -1) {
        errno = 0;                          /* slower for others, no more */
    }

    *d->evicted_next = rt_dump_floor(d);

    _exit(rt_image_write(d) == RT_OK ? 0 : 1);
}


rt_int_t
rt_dispatch_snapshot(rt_dispatch_t *d)
{
    pid_t     pid, parent;
    uint64_t  start;

    if (rt_dump_begin(d) != RT_OK) {
        return RT_DECLINED;
    }

    start = rt_time_us();
    parent = getpid();
    pid = fork();

    if (pid == -1) {
        rt_log(RT_LOG_ERR, errno, "fork() for a snapshot failed");
        d->stats.snapshots_failed++;
        return RT_ERROR;
    }

    if (pid == 0) {
        rt_dump_child(d, parent);
    }

    d->snapshot_pid = pid;
    d->stats.snapshot_us = rt_time_us() - start;

    return RT_OK;
}


static void
rt_dump_retain(rt_dispatch_t *d)
{
    uint32_t  keep;
    uint64_t  addr, segments;

    if (d->conf.retain_bytes == 0 || d->snapshot_addr[1] == 0) {
        return;
    }

    /* what the older snapshot needs, and what zones have not confirmed */

    segments = d->conf.retain_bytes / d->journal.conf.segment_size + 1;
    keep = d->journal.segment > segments
           ? d->journal.segment - (uint32_t) segments : 0;

    addr = rt_min(rt_addr(keep, 0), d->snapshot_addr[1]);
    addr = rt_min(addr, d->evicted_floor[0]);
    addr = rt_min(addr, d->evicted_floor[1]);
    addr = rt_min(addr, rt_reads_floor(&d->reads));

    if (d->publish_floor && d->publish_floor < addr) {

        if (rt_addr_segment(d->publish_floor) < rt_addr_segment(addr)) {
            rt_log(RT_LOG_WARN, 0, "%08u.seg and later are kept beyond "
                   "\"retain\", for a zone that has not confirmed them",
                   rt_addr_segment(d->publish_floor));
        }

        addr = d->publish_floor;
    }

    if (rt_journal_retain(&d->journal, addr) == RT_DECLINED) {
        rt_log(RT_LOG_NOTICE, 0, "a backup is being made of \"%s\", nothing is "
               "dropped meanwhile", d->journal.dir);
    }
}


void
rt_dispatch_snapshot_exited(rt_dispatch_t *d, int status)
{
    d->snapshot_pid = 0;

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        rt_log(RT_LOG_ERR, 0, "the snapshot at seq %llu failed",
               (unsigned long long) d->snapshot_seq);
        rt_snapshot_abandon(d->conf.journal.dir, d->snapshot_seq);
        d->stats.snapshots_failed++;
        return;
    }

    d->snapshot_written = 1;
}


rt_int_t
rt_dispatch_snapshot_child(rt_dispatch_t *d, pid_t pid, int status)
{
    if (d->snapshot_pid == 0 || pid != d->snapshot_pid) {
        return RT_DECLINED;
    }

    rt_dispatch_snapshot_exited(d, status);

    return d->snapshot_written ? RT_OK : RT_ERROR;
}


rt_uint_t
rt_dispatch_snapshot_due(const rt_dispatch_t *d)
{
    return d->conf.snapshot_events
           && d->since_snapshot >= d->conf.snapshot_events;
}


uint64_t
rt_dispatch_snapshot_seq(const rt_dispatch_t *d)
{
    return d->snapshot_seq;
}


rt_uint_t
rt_dispatch_snapshot_pending(const rt_dispatch_t *d)
{
    return d->snapshot_pid || d->snapshot_written;
}


rt_int_t
rt_dispatch_snapshot_commit(rt_dispatch_t *d)
{
    if (!d->snapshot_written || d->journal.durable_seq < d->snapshot_seq) {
        return RT_DECLINED;
    }

    rt_assert(d->snapshot_pid == 0);

    d->snapshot_written = 0;

    if (rt_snapshot_commit(d->conf.journal.dir, d->snapshot_seq) != RT_OK) {
        d->stats.snapshots_failed++;
        return RT_ERROR;
    }

    d->snapshot_addr[1] = d->snapshot_addr[0];
    d->snapshot_addr[0] = d->snapshot_next;
    d->evicted_floor[1] = d->evicted_floor[0];
    d->evicted_floor[0] = *d->evicted_next;

    d->stats.snapshots++;
    rt_log(RT_LOG_INFO, 0, "snapshot at seq %llu",
           (unsigned long long) d->snapshot_seq);

    rt_dump_retain(d);

    return RT_OK;
}


rt_int_t
rt_dispatch_snapshot_now(rt_dispatch_t *d)
{
    uint64_t   seqs[RT_SNAPSHOTS_MAX];
    rt_uint_t  n;

    if (d->snapshot_pid) {
        waitpid(d->snapshot_pid, NULL, 0);
        d->snapshot_pid = 0;
    }

    d->snapshot_written = 0;

    n = rt_snapshot_list(d->conf.journal.dir, seqs, RT_SNAPSHOTS_MAX);

    if (n && seqs[0] == d->journal.next_seq - 1) {
        return RT_OK;                       /* nothing has happened since */
    }

    if (rt_dump_begin(d) != RT_OK) {
        return RT_DECLINED;
    }

    if (rt_image_write(d) != RT_OK) {
        rt_snapshot_abandon(d->conf.journal.dir, d->snapshot_seq);
        return RT_ERROR;
    }

    return rt_snapshot_commit(d->conf.journal.dir, d->snapshot_seq);
}
