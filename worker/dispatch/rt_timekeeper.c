/*
 * The journal's time: each turn's, and from where it goes on at a start.
 *
 * At a start the last record says what time it was at least, and not how long
 * ago that was.  So the time is kept in the file "clock", with the time that
 * had elapsed since the machine was started and the boot it belongs to.  In
 * the same boot the time between is known, whatever the wall clock says.  In
 * another boot only the wall clock can tell it: it is followed at once up to
 * the limit, and not at all beyond it.
 */


#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "rt_dispatch_private.h"
#include "rt_io.h"
#include "rt_log.h"


#define RT_BOOT_FILE  "/proc/sys/kernel/random/boot_id"
#define RT_BOOT_SIZE  36


typedef struct {
    uint64_t    us;                         /* 0: not known */
    uint64_t    elapsed_us;
    char        boot[RT_BOOT_SIZE + 1];
} rt_timekeeper_t;


static ssize_t
rt_timekeeper_read(const char *path, char *text, size_t size)
{
    int      fd;
    ssize_t  n;

    fd = rt_io.open(path, O_RDONLY|O_CLOEXEC, 0);

    if (fd == -1) {
        return -1;
    }

    n = rt_io_read(fd, text, size - 1, 0);
    close(fd);

    text[rt_max(n, 0)] = '\0';

    return n;
}


/* "-" where it cannot be read: then it is another boot each time */

static void
rt_timekeeper_boot(char *boot)
{
    char  text[64];

    strcpy(boot, "-");

    if (rt_timekeeper_read(RT_BOOT_FILE, text, sizeof(text)) >= RT_BOOT_SIZE) {
        memcpy(boot, text, RT_BOOT_SIZE);
        boot[RT_BOOT_SIZE] = '\0';
    }
}


/* a file that is not whole is none: the last record's time is known */

static void
rt_timekeeper_load(rt_dispatch_t *d, rt_timekeeper_t *k)
{
    int                  n;
    char                 path[PATH_MAX], text[256];
    unsigned long long   epoch, us, elapsed;

    memset(k, 0, sizeof(rt_timekeeper_t));

    snprintf(path, sizeof(path), "%s/clock", d->journal.dir);

    if (rt_timekeeper_read(path, text, sizeof(text)) == -1) {
        return;
    }

    n = 0;

    if (sscanf(text, "%llx %llu %llu %36s%n", &epoch, &us, &elapsed, k->boot,
               &n) != 4
        || text[n] != '\n')
    {
        rt_log(RT_LOG_WARN, 0, "\"%s\" is not understood, ignored", path);
        return;
    }

    if (epoch != d->journal.epoch) {
        rt_log(RT_LOG_WARN, 0, "\"%s\" is of another journal, ignored", path);
        return;
    }

    k->us = us;
    k->elapsed_us = elapsed;
}


/* the time now, as far as it is known without trusting the wall clock */

static uint64_t
rt_timekeeper_now(rt_dispatch_t *d, const rt_reading_t *now)
{
    char              boot[RT_BOOT_SIZE + 1];
    uint64_t          us;
    rt_timekeeper_t   kept;

    rt_timekeeper_load(d, &kept);
    rt_timekeeper_boot(boot);

    if (kept.us && boot[0] != '-' && strcmp(boot, kept.boot) == 0
        && now->elapsed_us >= kept.elapsed_us)
    {
        us = kept.us + (now->elapsed_us - kept.elapsed_us);

        return rt_max(us, d->journal.last_time * 1000);
    }

    us = rt_max(kept.us, d->journal.last_time * 1000);

    /* nobody has seen our clock meanwhile */

    if (us == 0
        || (now->wall_us > us
            && now->wall_us - us <= d->conf.clock_step_ms * 1000))
    {
        return now->wall_us;
    }

    return us;
}


void
rt_timekeeper_start(rt_dispatch_t *d)
{
    uint64_t      us;
    rt_reading_t  now;

    rt_time_read(&now);
    us = rt_timekeeper_now(d, &now);

    if (d->conf.accept_time && now.wall_us > us) {
        rt_log(RT_LOG_NOTICE, 0, "the wall clock is accepted: the journal's "
               "time leaps by %.3f s", (double) (now.wall_us - us) / 1e6);
        us = now.wall_us;
    }

    rt_time_start(&d->time, us, d->conf.clock_step_ms, &now);
    rt_dispatch_turn(d);
}


void
rt_dispatch_turn(rt_dispatch_t *d)
{
    rt_reading_t  now;

    rt_time_read(&now);
    rt_time_update(&d->time, &now);

    d->clock_ms = rt_max(d->time.us / 1000, d->journal.last_time);
}


const rt_time_t *
rt_dispatch_time(const rt_dispatch_t *d)
{
    return &d->time;
}


uint64_t
rt_dispatch_accept_time(rt_dispatch_t *d)
{
    uint64_t      ms;
    rt_reading_t  now;

    rt_time_read(&now);
    ms = rt_time_accept(&d->time, &now);

    rt_dispatch_turn(d);
    rt_dispatch_save_time(d, 0);

    return ms;
}


void
rt_dispatch_save_time(rt_dispatch_t *d, rt_uint_t sync)
{
    int   n;
    char  text[256], boot[RT_BOOT_SIZE + 1];

    rt_timekeeper_boot(boot);

    n = snprintf(text, sizeof(text), "%llx %llu %llu %s\n",
                 (unsigned long long) d->journal.epoch,
                 (unsigned long long) d->time.us,
                 (unsigned long long) d->time.last.elapsed_us, boot);

    if (rt_io_replace(d->journal.dir, "clock", text, (size_t) n, sync)
        != RT_OK)
    {
        rt_log(RT_LOG_ERR, errno, "writing the journal's time failed");
    }
}
