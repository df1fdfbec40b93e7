/*
 * The writer's thread: a batch is written and synced, then the thread of logic
 * is told by an eventfd.  When the disk fails, the batch is tried again.
 */


#define _GNU_SOURCE                         /* pthread_cond_clockwait() */

#include <fcntl.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#include "rt_io.h"
#include "rt_journal_private.h"
#include "rt_log.h"
#include "rt_loop.h"


static void
rt_journal_ring(rt_journal_t *j)
{
    uint64_t  one = 1;

    if (write(j->event_fd, &one, sizeof(one)) == -1 && errno != EAGAIN) {
        rt_log(RT_LOG_ALERT, errno, "write() to an eventfd failed");
    }
}


void
rt_journal_set_error(rt_journal_t *j, int err, const char *what)
{
    pthread_mutex_lock(&j->mutex);

    if (j->error == 0 && err != 0) {
        rt_log(RT_LOG_CRIT, err, "%s failed, journal in \"%s\" waits",
               what, j->dir);

    } else if (j->error != 0 && err == 0) {
        rt_log(RT_LOG_NOTICE, 0, "journal in \"%s\" goes on", j->dir);
    }

    if (err) {
        j->shared.errors++;
    }

    if ((j->error != 0) != (err != 0)) {
        j->error = err;
        rt_journal_ring(j);
    }

    pthread_mutex_unlock(&j->mutex);
}


void
rt_journal_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, rt_uint_t ms)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    ts.tv_nsec += (long) ms * 1000000;
    ts.tv_sec += ts.tv_nsec / 1000000000;
    ts.tv_nsec %= 1000000000;

    pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &ts);
}


/* it has become a segment, or it is gone */

static void
rt_journal_spare_used(rt_journal_t *j)
{
    pthread_mutex_lock(&j->mutex);
    j->spare_first++;
    j->nspares--;
    pthread_cond_signal(&j->wake_preparer);
    pthread_mutex_unlock(&j->mutex);
}


static rt_int_t
rt_journal_take_spare(rt_journal_t *j, uint32_t segment)
{
    int        err;
    char       from[PATH_MAX], to[PATH_MAX];
    uint32_t   spare;
    rt_uint_t  n;

    pthread_mutex_lock(&j->mutex);

    j->starved = 1;

    while (j->nspares == 0 && !j->stop && j->error == 0) {
        pthread_cond_signal(&j->wake_preparer);
        rt_journal_wait(&j->wake_writer, &j->mutex, RT_JOURNAL_RETRY_MS);
    }

    n = j->nspares;
    spare = j->spare_first;
    j->starved = j->nspares == 0;

    pthread_mutex_unlock(&j->mutex);

    if (n == 0) {
        errno = ENOSPC;
        return RT_ERROR;
    }

    rt_spare_path(j, spare, from);
    rt_segment_path(j, segment, to);

    if (rt_io.rename(from, to) == -1) {

        if (errno == ENOENT) {
            err = errno;
            rt_journal_spare_used(j);       /* somebody has removed it */
            errno = err;
        }

        return RT_ERROR;
    }

    /* whatever fails from here on, the file has its new name */

    j->dir_unsynced = 1;
    rt_journal_spare_used(j);

    return RT_OK;
}


static rt_int_t
rt_journal_write_to(rt_journal_t *j, uint32_t segment)
{
    int   fd;
    char  path[PATH_MAX];

    if (j->write_segment == segment && j->write_fd != -1) {
        return RT_OK;
    }

    /* a segment's first byte proves that the one before is whole */

    if (j->write_fd != -1 && rt_io_sync(j->write_fd) != RT_OK) {
        return RT_ERROR;
    }

    rt_segment_path(j, segment, path);

    fd = rt_io.open(path, O_WRONLY|O_CLOEXEC, 0);

    if (fd == -1 && errno == ENOENT) {

        if (rt_journal_take_spare(j, segment) != RT_OK) {
            return RT_ERROR;
        }

        fd = rt_io.open(path, O_WRONLY|O_CLOEXEC, 0);
    }

    if (fd == -1) {
        return RT_ERROR;
    }

    if (j->write_fd != -1) {
        close(j->write_fd);
    }

    j->write_fd = fd;
    j->write_segment = segment;

    return RT_OK;
}


/* until it succeeds, in this try or a later one */

static rt_int_t
rt_journal_sync_names(rt_journal_t *j)
{
    if (j->dir_unsynced) {

        if (rt_io_sync_dir(j->dir) != RT_OK) {
            return RT_ERROR;
        }

        j->dir_unsynced = 0;
    }

    return RT_OK;
}


static rt_int_t
rt_journal_write(rt_journal_t *j, rt_batch_t *b, uint64_t *us)
{
    uint64_t     start;
    rt_uint_t    i;
    rt_chunk_t  *c;

    for (i = 0; i < b->nchunks; i++) {
        c = &b->chunks[i];

        if (rt_journal_write_to(j, c->segment) != RT_OK
            || rt_journal_sync_names(j) != RT_OK)
        {
            return RT_ERROR;
        }

        if (rt_io_write(j->write_fd, b->start + c->start, c->size,
                        (off_t) c->offset)
            != RT_OK)
        {
            return RT_ERROR;
        }
    }

    start = rt_time_us();

    if (rt_io_sync(j->write_fd) != RT_OK) {
        return RT_ERROR;
    }

    *us = rt_time_us() - start;

    return RT_OK;
}


/* under the mutex: the batch is on disk */

static void
rt_journal_written(rt_journal_t *j, const rt_batch_t *b, uint64_t us)
{
    uint64_t  n;

    rt_assert(j->writing == b && b->last_seq > j->done_seq);

    n = b->last_seq - j->done_seq;

    j->shared.batches++;
    j->shared.records += n;
    j->shared.batch_max = rt_max(j->shared.batch_max, n);
    j->shared.bytes += b->used;
    j->shared.sync_us += us;
    j->shared.sync_max_us = rt_max(j->shared.sync_max_us, us);

    j->done_seq = b->last_seq;
    j->writing = NULL;
}


void *
rt_journal_writer(void *data)
{
    uint64_t       us;
    rt_batch_t    *b;
    rt_journal_t  *j;

    j = data;

    pthread_mutex_lock(&j->mutex);

    for ( ;; ) {

        while (j->writing == NULL && !j->stop) {
            pthread_cond_wait(&j->wake_writer, &j->mutex);
        }

        b = j->writing;

        if (j->stop) {
            break;
        }

        pthread_mutex_unlock(&j->mutex);

        if (rt_journal_write(j, b, &us) != RT_OK) {
            rt_journal_set_error(j, errno ? errno : EIO, "writing");

            /* it may have failed anywhere: open and write all of it anew */

            if (j->write_fd != -1) {
                close(j->write_fd);
                j->write_fd = -1;
            }

            pthread_mutex_lock(&j->mutex);

            if (!j->stop) {
                rt_journal_wait(&j->wake_writer, &j->mutex,
                                RT_JOURNAL_RETRY_MS);
            }

            continue;
        }

        rt_journal_set_error(j, 0, NULL);

        pthread_mutex_lock(&j->mutex);
        rt_journal_written(j, b, us);
        rt_journal_ring(j);
    }

    pthread_mutex_unlock(&j->mutex);

    return NULL;
}
