/*
 * After a scan: a torn tail is cut at the start; at a damage the journal is
 * cut by realtimectl only.
 */


#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "rt_io.h"
#include "rt_journal_private.h"
#include "rt_log.h"


#define RT_RECOVER_WRITE  (1024 * 1024)


/* zeros from an offset on, to "last", and to the size a segment has */

static rt_int_t
rt_recover_zero(rt_journal_t *j, uint32_t segment, uint64_t offset,
    uint64_t last)
{
    int           fd;
    char          path[PATH_MAX];
    size_t        n;
    u_char       *zeros;
    rt_int_t      rc;
    struct stat   st;

    rt_segment_path(j, segment, path);
    fd = rt_io.open(path, O_RDWR|O_CLOEXEC, 0);

    if (fd == -1) {
        rt_log(RT_LOG_EMERG, errno, "open() \"%s\" failed", path);
        return RT_ERROR;
    }

    if (rt_io.fstat(fd, &st) == -1) {
        rt_log(RT_LOG_EMERG, errno, "fstat() \"%s\" failed", path);
        close(fd);
        return RT_ERROR;
    }

    if ((size_t) st.st_size < j->conf.segment_size) {
        last = j->conf.segment_size;
    }

    rc = RT_OK;
    zeros = rt_calloc(RT_RECOVER_WRITE);

    while (offset < last && rc == RT_OK) {
        n = rt_min(last - offset, RT_RECOVER_WRITE);
        rc = rt_io_write(fd, zeros, n, (off_t) offset);
        offset += n;
    }

    if (rc == RT_OK) {
        rc = rt_io_sync(fd);
    }

    if (rc != RT_OK) {
        rt_log(RT_LOG_EMERG, errno, "zeroing the tail of \"%s\" failed", path);
    }

    free(zeros);
    close(fd);

    return rc;
}


/* is anything but zeros at the end, so that there is something to tell? */

static rt_uint_t
rt_recover_torn(rt_journal_t *j, uint64_t addr, uint64_t last)
{
    char      path[PATH_MAX];
    int       fd;
    u_char    p[RT_RECORD_ALIGN];
    ssize_t   n;
    size_t    i;

    if (last > rt_align((uint64_t) rt_addr_offset(addr), RT_RECORD_ALIGN)) {
        return 1;
    }

    rt_segment_path(j, rt_addr_segment(addr), path);
    fd = rt_io.open(path, O_RDONLY|O_CLOEXEC, 0);

    if (fd == -1) {
        return 0;
    }

    n = rt_io_read(fd, p, sizeof(p), (off_t) rt_addr_offset(addr));
    close(fd);

    for (i = 0; n > 0 && i < (size_t) n; i++) {
        if (p[i] != 0) {
            return 1;
        }
    }

    return 0;
}


/*
 * What was begun after the cut, or made and never begun.  The last goes first:
 * a failure on the way must not leave a hole in the numbers.
 */

static rt_int_t
rt_recover_unlink(rt_journal_t *j, uint32_t from)
{
    char         path[PATH_MAX];
    uint32_t     n;
    struct stat  st;

    for (n = from; /* void */ ; n++) {
        rt_segment_path(j, n, path);

        if (rt_io.stat(path, &st) == -1) {

            if (errno == ENOENT) {
                break;
            }

            rt_log(RT_LOG_EMERG, errno, "stat() \"%s\" failed", path);
            return RT_ERROR;
        }
    }

    if (n == from) {
        return RT_OK;
    }

    while (n-- > from) {
        rt_segment_path(j, n, path);

        if (rt_io.unlink(path) == -1) {
            rt_log(RT_LOG_EMERG, errno, "unlink() \"%s\" failed", path);
            return RT_ERROR;
        }
    }

    if (rt_io_sync_dir(j->dir) != RT_OK) {
        rt_log(RT_LOG_EMERG, errno, "fsync() \"%s\" failed", j->dir);
        return RT_ERROR;
    }

    return RT_OK;
}


rt_int_t
rt_journal_recover(rt_journal_t *j, uint64_t addr, uint64_t seq,
    rt_scan_result_t *res, rt_scan_pt handler, void *data)
{
    uint64_t  last;

    if (rt_journal_scan(j, addr, seq, res, handler, data) != RT_OK) {
        return RT_ERROR;
    }

    j->next_seq = rt_max(res->seq, 1);
    j->last_time = res->time_ms;
    j->window_size = 0;                     /* it may hold what is cut */

    /* names that a predecessor gave may not be on disk yet */

    if (rt_io_sync_dir(j->dir) != RT_OK) {
        rt_log(RT_LOG_EMERG, errno, "fsync() \"%s\" failed", j->dir);
        return RT_ERROR;
    }

    if (res->addr == 0) {
        return RT_OK;
    }

    j->segment = rt_addr_segment(res->addr);
    j->offset = rt_addr_offset(res->addr);

    if (j->offset == 0) {

        /* the file is there; its header comes with the first record */

        j->segment--;
        j->first_segment = 0;
        return RT_OK;
    }

    if (rt_recover_unlink(j, j->segment + 1) != RT_OK) {
        return RT_ERROR;
    }

    last = rt_max(res->torn_last, (uint64_t) j->offset + RT_RECORD_END_SIZE);
    res->torn |= rt_recover_torn(j, res->addr, res->torn_last);

    return rt_recover_zero(j, j->segment, j->offset, last);
}


/* a copy of the damaged segment, beside it */

static rt_int_t
rt_repair_save(rt_journal_t *j, uint32_t segment, uint64_t *segment_size)
{
    int          fd;
    char         path[PATH_MAX], aside[32];
    u_char      *data;
    ssize_t      size;
    rt_int_t     rc;
    struct stat  st;

    rt_segment_path(j, segment, path);

    fd = rt_io.open(path, O_RDONLY|O_CLOEXEC, 0);

    if (fd == -1 || rt_io.fstat(fd, &st) == -1) {
        rt_log(RT_LOG_ERR, errno, "open() \"%s\" failed", path);

        if (fd != -1) {
            close(fd);
        }

        return RT_ERROR;
    }

    data = rt_malloc((size_t) st.st_size);
    size = rt_io_read(fd, data, (size_t) st.st_size, 0);
    close(fd);

    snprintf(aside, sizeof(aside), "%08u.seg.damaged", segment);

    rc = size < 0 ? RT_ERROR
                  : rt_io_replace(j->dir, aside, data, (size_t) size, 1);
    free(data);

    if (rc != RT_OK) {
        rt_log(RT_LOG_ERR, errno, "saving \"%s\" failed", aside);
    }

    *segment_size = (uint64_t) st.st_size;

    return rc;
}


static rt_int_t
rt_repair_rename(rt_journal_t *j, uint32_t segment)
{
    char  path[PATH_MAX], aside[PATH_MAX + 16];

    rt_segment_path(j, segment, path);
    snprintf(aside, sizeof(aside), "%s.damaged", path);

    if (rt_io.rename(path, aside) == -1) {

        if (errno == ENOENT) {
            return RT_DECLINED;
        }

        rt_log(RT_LOG_ERR, errno, "rename() \"%s\" failed", path);
        return RT_ERROR;
    }

    return RT_OK;
}


rt_int_t
rt_journal_repair(rt_journal_t *j, const rt_scan_result_t *res)
{
    rt_int_t  rc;
    uint32_t  n, segment;
    uint64_t  size;

    segment = rt_addr_segment(res->addr);

    if (rt_repair_save(j, segment, &size) != RT_OK) {
        return RT_ERROR;
    }

    n = segment;

    do {
        rc = rt_repair_rename(j, ++n);
    } while (rc == RT_OK);

    if (rc == RT_ERROR) {
        return RT_ERROR;
    }

    if (rt_addr_offset(res->addr) == 0) {
        if (rt_repair_rename(j, segment) != RT_OK) {
            return RT_ERROR;
        }

    } else if (rt_recover_zero(j, segment, rt_addr_offset(res->addr), size)
               != RT_OK)
    {
        return RT_ERROR;
    }

    return rt_journal_new_epoch(j);
}
