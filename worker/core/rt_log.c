/*
 * The error log: one write() per line, so that threads and processes need no
 * lock.  A line is at most 2 KB; the rest of a longer one is cut.
 */


#define _GNU_SOURCE                         /* dup3() */

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "rt_log.h"


#define RT_LOG_LINE_MAX  2048


rt_uint_t  rt_log_level = RT_LOG_NOTICE;

static int  rt_log_fd = STDERR_FILENO;

static const char  *rt_log_levels[] = {
    "stderr", "emerg", "alert", "crit", "error", "warn", "notice", "info",
    "debug"
};


void
rt_log_write(rt_log_level_e level, int err, const char *fmt, ...)
{
    char       line[RT_LOG_LINE_MAX], *p, *last;
    int        n;
    time_t     now;
    va_list    args;
    struct tm  tm;

    p = line;
    last = line + sizeof(line) - 1;

    now = time(NULL);
    localtime_r(&now, &tm);

    p += strftime(p, (size_t) (last - p), "%Y/%m/%d %H:%M:%S ", &tm);
    p += snprintf(p, (size_t) (last - p), "[%s] %d: ", rt_log_levels[level],
                  (int) getpid());

    va_start(args, fmt);
    n = vsnprintf(p, (size_t) (last - p), fmt, args);
    va_end(args);

    p += rt_min(rt_max(n, 0), last - p - 1);

    if (err && last - p > 1) {
        n = snprintf(p, (size_t) (last - p), " (%d: %s)", err, strerror(err));
        p += rt_min(rt_max(n, 0), last - p - 1);
    }

    *p++ = '\n';

    if (write(rt_log_fd, line, (size_t) (p - line)) == -1) {
        return;                             /* there is no other place */
    }
}


rt_int_t
rt_log_open(const char *path)
{
    int  fd, rc;

    if (path == NULL) {
        fd = STDERR_FILENO;

    } else {
        fd = open(path, O_WRONLY|O_APPEND|O_CREAT|O_CLOEXEC, 0644);

        if (fd == -1) {
            rt_log(RT_LOG_EMERG, errno, "open() \"%s\" failed", path);
            return RT_ERROR;
        }
    }

    /*
     * Another thread may be writing a line: the descriptor must never be
     * closed and given to a file of the journal meanwhile.
     */

    if (rt_log_fd != STDERR_FILENO && fd != STDERR_FILENO) {
        rc = dup3(fd, rt_log_fd, O_CLOEXEC);
        close(fd);

        return rc == -1 ? RT_ERROR : RT_OK;
    }

    rt_log_fd = fd;

    return RT_OK;
}


rt_int_t
rt_log_level_by_name(const char *name)
{
    rt_uint_t  i;

    for (i = RT_LOG_EMERG; i <= RT_LOG_DEBUG; i++) {
        if (strcmp(rt_log_levels[i], name) == 0) {
            return (rt_int_t) i;
        }
    }

    return RT_ERROR;
}
