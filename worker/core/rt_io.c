/*
 * Reads and writes that go on after an interruption or a short result.
 */


#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "rt_io.h"
#include "rt_log.h"


static int
rt_io_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}


rt_io_t  rt_io = { rt_io_open, pread, pwrite, fdatasync, fsync, rename,
                   unlink, mkdir, stat, fstat, opendir };


rt_int_t
rt_io_write(int fd, const void *buf, size_t size, off_t offset)
{
    ssize_t        n;
    const u_char  *p;

    p = buf;

    while (size) {
        n = rt_io.pwrite(fd, p, size, offset);

        if (n == -1) {
            if (errno == EINTR) {
                continue;
            }

            return RT_ERROR;
        }

        if (n == 0) {
            errno = ENOSPC;
            return RT_ERROR;
        }

        p += n;
        size -= (size_t) n;
        offset += n;
    }

    return RT_OK;
}


ssize_t
rt_io_read(int fd, void *buf, size_t size, off_t offset)
{
    size_t   done;
    ssize_t  n;

    for (done = 0; done < size; done += (size_t) n) {
        n = rt_io.pread(fd, (u_char *) buf + done, size - done,
                        offset + (off_t) done);

        if (n == -1) {
            if (errno == EINTR) {
                n = 0;
                continue;
            }

            return -1;
        }

        if (n == 0) {
            break;
        }
    }

    return (ssize_t) done;
}


rt_int_t
rt_io_sync(int fd)
{
    while (rt_io.fdatasync(fd) == -1) {
        if (errno != EINTR) {
            return RT_ERROR;
        }
    }

    return RT_OK;
}


rt_int_t
rt_io_sync_dir(const char *path)
{
    int  fd, rc, err;

    fd = rt_io.open(path, O_RDONLY|O_DIRECTORY|O_CLOEXEC, 0);

    if (fd == -1) {
        return RT_ERROR;
    }

    do {
        rc = rt_io.fsync(fd);
    } while (rc == -1 && errno == EINTR);

    err = errno;
    close(fd);
    errno = err;

    return rc == -1 ? RT_ERROR : RT_OK;
}


rt_int_t
rt_io_make_dir(const char *path)
{
    char  parent[PATH_MAX];

    if (rt_io.mkdir(path, 0700) == -1 && errno != EEXIST) {
        return RT_ERROR;
    }

    /* always: a start that failed here before has made it */

    snprintf(parent, sizeof(parent), "%s/..", path);

    if (rt_io_sync_dir(parent) != RT_OK && errno != EACCES) {
        return RT_ERROR;
    }

    return RT_OK;                           /* not ours: another made it */
}


rt_int_t
rt_io_remove(const char *path)
{
    if (rt_io.unlink(path) == 0 || errno == ENOENT) {
        return RT_OK;
    }

    rt_log(RT_LOG_ERR, errno, "unlink() \"%s\" failed", path);

    return RT_ERROR;
}


rt_int_t
rt_io_replace(const char *dir, const char *name, const void *data, size_t size,
    rt_uint_t sync)
{
    int   fd, err;
    char  path[PATH_MAX], aside[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    snprintf(aside, sizeof(aside), "%s/%s.new", dir, name);

    fd = rt_io.open(aside, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600);

    if (fd == -1) {
        return RT_ERROR;
    }

    if (rt_io_write(fd, data, size, 0) != RT_OK
        || (sync && rt_io_sync(fd) != RT_OK))
    {
        err = errno;
        close(fd);
        (void) rt_io_remove(aside);
        errno = err;
        return RT_ERROR;
    }

    close(fd);

    if (rt_io.rename(aside, path) == -1) {
        err = errno;
        (void) rt_io_remove(aside);
        errno = err;
        return RT_ERROR;
    }

    return sync ? rt_io_sync_dir(dir) : RT_OK;
}
