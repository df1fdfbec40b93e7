/*
 * The preparer's thread keeps zero-filled spare files, so that the writer
 * never waits for a file to grow.  Segments that retention drops become spares
 * again.
 */


#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "rt_io.h"
#include "rt_journal_private.h"
#include "rt_log.h"


#define RT_JOURNAL_ZEROS      (1024 * 1024) /* written at once */
#define RT_JOURNAL_ZERO_SYNC  4             /* of them, then a sync */


static rt_int_t
rt_journal_make_spare(rt_journal_t *j, uint32_t spare, const u_char *zeros)
{
    int        fd, err;
    char       path[PATH_MAX], aside[PATH_MAX];
    size_t     n, left;
    rt_uint_t  i;

    rt_spare_path(j, spare, path);
    snprintf(aside, sizeof(aside), "%s/spare-%u.new", j->dir, spare);

    fd = rt_io.open(aside, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600);

    if (fd == -1) {
        return RT_ERROR;
    }

    left = j->conf.segment_size;

    for (i = 1; left; i++) {
        n = rt_min(left, RT_JOURNAL_ZEROS);

        if (rt_io_write(fd, zeros, n, (off_t) (j->conf.segment_size - left))
            != RT_OK)
        {
            goto failed;
        }

        left -= n;

        /* small bites: a large one would hold up the writer's sync */

        if ((i % RT_JOURNAL_ZERO_SYNC == 0 || left == 0)
            && rt_io_sync(fd) != RT_OK)
        {
            goto failed;
        }
    }

    if (rt_io.rename(aside, path) == 0) {
        close(fd);
        return RT_OK;
    }

failed:

    err = errno;
    close(fd);
    (void) rt_io_remove(aside);
    errno = err;

    return RT_ERROR;
}


/*
 * A dropped segment's blocks are allocated: its bytes fit no new salt.  Where
 * that fails it goes, at the next start at the latest.
 */

static rt_int_t
rt_journal_recycle(rt_journal_t *j, uint32_t spare, uint32_t old)
{
    char         from[PATH_MAX], to[PATH_MAX];
    struct stat  st;

    rt_old_path(j, old, from);
    rt_spare_path(j, spare, to);

    if (rt_io.stat(from, &st) == 0
        && (size_t) st.st_size == j->conf.segment_size
        && rt_io.rename(from, to) == 0)
    {
        return RT_OK;
    }

    (void) rt_io_remove(from);

    return RT_ERROR;
}


/* both under the mutex */

static void
rt_journal_add_spare(rt_journal_t *j, uint32_t spare)
{
    if (j->nspares == 0) {
        j->spare_first = spare;
    }

    rt_assert(spare == j->spare_first + j->nspares);

    j->spare_next = spare + 1;
    j->nspares = j->spare_next - j->spare_first;
    pthread_cond_signal(&j->wake_writer);
}


static void
rt_journal_no_spare(rt_journal_t *j, int err)
{
    /* an error only if the writer has none left and waits for one */

    if (j->nspares == 0 && j->starved) {
        pthread_mutex_unlock(&j->mutex);
        rt_journal_set_error(j, err, "making a segment");
        pthread_mutex_lock(&j->mutex);
        pthread_cond_signal(&j->wake_writer);
    }

    if (!j->stop) {
        rt_journal_wait(&j->wake_preparer, &j->mutex, RT_JOURNAL_RETRY_MS);
    }
}


void *
rt_journal_preparer(void *data)
{
    int            err;
    u_char        *zeros;
    rt_int_t       rc;
    uint32_t       spare, old;
    rt_uint_t      recycle;
    rt_journal_t  *j;

    j = data;
    zeros = rt_calloc(RT_JOURNAL_ZEROS);

    pthread_mutex_lock(&j->mutex);

    while (!j->stop) {

        if (j->nspares >= j->conf.spares) {
            pthread_cond_wait(&j->wake_preparer, &j->mutex);
            continue;
        }

        spare = j->spare_next;
        old = j->old_first;
        recycle = old != j->old_next;
        j->old_first += recycle;

        pthread_mutex_unlock(&j->mutex);

        rc = recycle ? rt_journal_recycle(j, spare, old) : RT_ERROR;

        if (rc != RT_OK) {
            rc = rt_journal_make_spare(j, spare, zeros);
        }

        err = errno;

        pthread_mutex_lock(&j->mutex);

        if (rc == RT_OK) {
            rt_journal_add_spare(j, spare);

        } else {
            rt_journal_no_spare(j, err);
        }
    }

    pthread_mutex_unlock(&j->mutex);

    free(zeros);

    return NULL;
}


static void
rt_journal_drop(rt_journal_t *j, uint64_t addr)
{
    int        rc, err;
    char       path[PATH_MAX], old[PATH_MAX];
    rt_uint_t  i, recycle;

    while (j->first_segment && j->first_segment < rt_addr_segment(addr)
           && j->first_segment < rt_addr_segment(j->durable_addr))
    {
        for (i = 0; i < RT_JOURNAL_FDS; i++) {
            if (j->fds[i].fd != -1 && j->fds[i].segment == j->first_segment) {
                close(j->fds[i].fd);
                j->fds[i].fd = -1;
            }
        }

        rt_segment_path(j, j->first_segment, path);

        pthread_mutex_lock(&j->mutex);

        recycle = j->old_next - j->old_first < j->conf.spares;

        if (recycle) {
            rt_old_path(j, j->old_next, old);
            rc = rt_io.rename(path, old);
            j->old_next += rc == 0;

        } else {
            rc = rt_io.unlink(path);
        }

        err = errno;

        pthread_mutex_unlock(&j->mutex);

        if (rc == -1 && err != ENOENT) {
            rt_log(RT_LOG_CRIT, err, "removing \"%s\" failed", path);
            return;
        }

        j->first_segment++;
    }
}


/* a backup holds a shared lock on the directory while it copies */

rt_int_t
rt_journal_retain(rt_journal_t *j, uint64_t addr)
{
    int  fd;

    fd = rt_io.open(j->dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC, 0);

    if (fd == -1 || flock(fd, LOCK_EX|LOCK_NB) == -1) {

        if (fd != -1) {
            close(fd);
        }

        return RT_DECLINED;
    }

    rt_journal_drop(j, addr);
    close(fd);

    return RT_OK;
}
