/*
 * The journal's directory: it is opened, locked and looked through, and its
 * threads are started and stopped.
 */


#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "rt_crc32c.h"
#include "rt_io.h"
#include "rt_journal_private.h"
#include "rt_log.h"
#include "rt_loop.h"


#define RT_JOURNAL_ID_SIZE     32
#define RT_JOURNAL_LOCK_TRIES  100          /* 10 ms apart */


typedef struct {
    uint32_t    first;
    uint32_t    last;
    uint32_t    count;
} rt_journal_range_t;


static const u_char  rt_journal_magic[] = "RTJRNL1\n";


static rt_int_t rt_journal_lock(rt_journal_t *j);
static rt_int_t rt_journal_identify(rt_journal_t *j);
static rt_int_t rt_journal_scan_dir(rt_journal_t *j);


void
rt_segment_path(const rt_journal_t *j, uint32_t segment, char *path)
{
    snprintf(path, PATH_MAX, "%s/%08u.seg", j->dir, segment);
}


void
rt_spare_path(const rt_journal_t *j, uint32_t spare, char *path)
{
    snprintf(path, PATH_MAX, "%s/spare-%u", j->dir, spare);
}


void
rt_old_path(const rt_journal_t *j, uint32_t old, char *path)
{
    snprintf(path, PATH_MAX, "%s/old-%u", j->dir, old);
}


/* opening */

rt_int_t
rt_journal_open(rt_journal_t *j, const rt_journal_conf_t *conf)
{
    rt_uint_t  i;

    memset(j, 0, sizeof(rt_journal_t));

    j->conf = *conf;
    j->lock_fd = -1;
    j->write_fd = -1;
    j->event_fd = -1;
    j->next_seq = 1;
    j->batch_seq = 1;

    if (j->conf.segment_size == 0) {
        j->conf.segment_size = RT_SEGMENT_SIZE;
    }

    if (j->conf.buffer_size == 0) {
        j->conf.buffer_size = RT_JOURNAL_BUFFER;
    }

    if (j->conf.spares == 0) {
        j->conf.spares = RT_JOURNAL_SPARES;
    }

    for (i = 0; i < RT_JOURNAL_FDS; i++) {
        j->fds[i].fd = -1;
    }

    j->dir = rt_malloc(strlen(conf->dir) + 1);
    strcpy(j->dir, conf->dir);

    pthread_mutex_init(&j->mutex, NULL);
    pthread_cond_init(&j->wake_writer, NULL);
    pthread_cond_init(&j->wake_preparer, NULL);

    if (!conf->read_only && rt_io_make_dir(j->dir) != RT_OK) {
        rt_log(RT_LOG_EMERG, errno, "making \"%s\" failed", j->dir);
        goto failed;
    }

    if (!conf->read_only && rt_journal_lock(j) != RT_OK) {
        goto failed;
    }

    if (rt_journal_scan_dir(j) != RT_OK || rt_journal_identify(j) != RT_OK) {
        goto failed;
    }

    j->window = rt_malloc(RT_JOURNAL_WINDOW);

    return RT_OK;

failed:

    rt_journal_close(j);

    return RT_ERROR;
}


static rt_int_t
rt_journal_lock(rt_journal_t *j)
{
    char             path[PATH_MAX];
    rt_uint_t        i;
    struct timespec  pause = { 0, 10000000 };

    snprintf(path, sizeof(path), "%s/lock", j->dir);

    j->lock_fd = rt_io.open(path, O_RDWR|O_CREAT|O_CLOEXEC, 0600);

    if (j->lock_fd == -1) {
        rt_log(RT_LOG_EMERG, errno, "open() \"%s\" failed", path);
        return RT_ERROR;
    }

    /* a predecessor that was killed may not be quite gone */

    for (i = 0; flock(j->lock_fd, LOCK_EX|LOCK_NB) == -1; i++) {

        if (i == RT_JOURNAL_LOCK_TRIES) {
            rt_log(RT_LOG_EMERG, errno,
                   "journal in \"%s\" is used by another process", j->dir);
            return RT_ERROR;
        }

        nanosleep(&pause, NULL);
    }

    return RT_OK;
}


static rt_int_t
rt_journal_identify(rt_journal_t *j)
{
    int      fd;
    char     path[PATH_MAX];
    u_char   id[RT_JOURNAL_ID_SIZE];
    ssize_t  n;

    snprintf(path, sizeof(path), "%s/journal.id", j->dir);

    fd = rt_io.open(path, O_RDONLY|O_CLOEXEC, 0);

    if (fd != -1) {
        n = rt_io_read(fd, id, sizeof(id), 0);
        close(fd);

        if (n != RT_JOURNAL_ID_SIZE
            || memcmp(id, rt_journal_magic, 8) != 0
            || rt_get32(id + 28) != rt_crc32c(0, id, 28))
        {
            rt_log(RT_LOG_EMERG, 0, "\"%s\" is damaged", path);
            return RT_ERROR;
        }

        j->epoch = rt_get64(id + 8);
        return RT_OK;
    }

    if (errno != ENOENT || j->conf.read_only) {
        rt_log(RT_LOG_EMERG, errno, "open() \"%s\" failed", path);
        return RT_ERROR;
    }

    if (j->first_segment) {
        rt_log(RT_LOG_EMERG, 0, "\"%s\" is missing, and there are segments: "
               "is the copy of another directory incomplete", path);
        return RT_ERROR;
    }

    return rt_journal_new_epoch(j);
}


/* a new epoch for the journal, on disk */

rt_int_t
rt_journal_new_epoch(rt_journal_t *j)
{
    u_char  id[RT_JOURNAL_ID_SIZE];

    if (getentropy(&j->epoch, sizeof(uint64_t)) == -1) {
        rt_log(RT_LOG_EMERG, errno, "getentropy() failed");
        return RT_ERROR;
    }

    memset(id, 0, sizeof(id));
    memcpy(id, rt_journal_magic, 8);
    rt_set64(id + 8, j->epoch);
    rt_set64(id + 16, rt_time_ms());
    rt_set32(id + 28, rt_crc32c(0, id, 28));

    if (rt_io_replace(j->dir, "journal.id", id, sizeof(id), 1) != RT_OK) {
        rt_log(RT_LOG_EMERG, errno, "writing \"%s/journal.id\" failed",
               j->dir);
        return RT_ERROR;
    }

    return RT_OK;
}


/* is it prefix, a number, tail: a name that only we give? */

static rt_uint_t
rt_journal_is_name(const char *name, const char *prefix, const char *tail,
    uint32_t *n)
{
    char           want[64];
    const char    *p;
    unsigned long  number;

    p = name + strlen(prefix);

    if (strncmp(name, prefix, strlen(prefix)) != 0 || *p < '0' || *p > '9') {
        return 0;
    }

    number = strtoul(p, NULL, 10);

    if (number > UINT32_MAX / 2) {
        return 0;
    }

    snprintf(want, sizeof(want), "%s%lu%s", prefix, number, tail);
    *n = (uint32_t) number;

    return strcmp(name, want) == 0;
}


/* what a predecessor began to write aside, and did not finish */

static rt_uint_t
rt_journal_is_begun(const char *name)
{
    char                end;
    unsigned long long  seq;

    return (strlen(name) == 33
            && sscanf(name, "snapshot-%20llu.ne%c", &seq, &end) == 2
            && end == 'w')
           || strcmp(name, "zones.new") == 0
           || strcmp(name, "secret.new") == 0
           || strcmp(name, "journal.id.new") == 0;
}


/* a spare is kept if it is whole and its number continues the others */

static void
rt_journal_found_spare(rt_journal_t *j, const char *name, uint32_t n)
{
    char         path[PATH_MAX];
    struct stat  st;

    snprintf(path, sizeof(path), "%s/%s", j->dir, name);

    if (rt_io.stat(path, &st) == 0
        && (size_t) st.st_size == j->conf.segment_size)
    {
        if (j->spare_next == 0) {
            j->spare_first = n;
            j->spare_next = n + 1;
            return;
        }

        if (n == j->spare_next) {
            j->spare_next++;
            return;
        }
    }

    (void) rt_io_remove(path);
}


static void
rt_journal_found(rt_journal_t *j, const char *name, rt_journal_range_t *range)
{
    char      path[PATH_MAX];
    uint32_t  n;

    if (strlen(name) == 12 && strcmp(name + 8, ".seg") == 0
        && sscanf(name, "%8u", &n) == 1 && n != 0)
    {
        range->count++;
        range->first = range->first ? rt_min(range->first, n) : n;
        range->last = rt_max(range->last, n);
        return;
    }

    if (j->conf.read_only) {
        return;
    }

    if (rt_journal_is_name(name, "spare-", "", &n)) {
        rt_journal_found_spare(j, name, n);
        return;
    }

    if (rt_journal_is_name(name, "spare-", ".new", &n)
        || rt_journal_is_name(name, "old-", "", &n)
        || rt_journal_is_begun(name))
    {
        snprintf(path, sizeof(path), "%s/%s", j->dir, name);
        (void) rt_io_remove(path);
    }
}


/*
 * Which segments are there?  A hole in the numbers is damage: something has
 * removed a file.
 */

static rt_int_t
rt_journal_scan_dir(rt_journal_t *j)
{
    int                  err;
    DIR                 *d;
    struct dirent       *de;
    rt_journal_range_t   range;

    d = rt_io.opendir(j->dir);

    if (d == NULL) {
        rt_log(RT_LOG_EMERG, errno, "opendir() \"%s\" failed", j->dir);
        return RT_ERROR;
    }

    memset(&range, 0, sizeof(rt_journal_range_t));

    for ( ;; ) {
        errno = 0;
        de = readdir(d);

        if (de == NULL) {
            break;
        }

        rt_journal_found(j, de->d_name, &range);
    }

    err = errno;
    closedir(d);

    if (err) {
        rt_log(RT_LOG_EMERG, err, "readdir() \"%s\" failed", j->dir);
        return RT_ERROR;
    }

    j->nspares = j->spare_next - j->spare_first;

    if (range.count && range.last - range.first + 1 != range.count) {
        rt_log(RT_LOG_EMERG, 0, "segments are missing in \"%s\": "
               "%u files from %08u.seg to %08u.seg",
               j->dir, range.count, range.first, range.last);
        return RT_ERROR;
    }

    j->first_segment = range.first;
    j->segment = range.last;
    j->offset = UINT32_MAX;                 /* the end is not known yet */

    return RT_OK;
}


rt_int_t
rt_journal_start(rt_journal_t *j)
{
    rt_uint_t  i, n;

    j->event_fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

    if (j->event_fd == -1) {
        rt_log(RT_LOG_EMERG, errno, "eventfd() failed");
        return RT_ERROR;
    }

    n = j->conf.buffer_size / j->conf.segment_size + 3;

    for (i = 0; i < 2; i++) {
        j->batch[i].start = rt_malloc(j->conf.buffer_size);
        j->batch[i].chunks = rt_malloc(n * sizeof(rt_chunk_t));
        j->batch[i].used = 0;
        j->batch[i].nchunks = 0;
    }

    j->batch_seq = j->next_seq;
    j->durable_seq = j->next_seq - 1;
    j->durable_addr = rt_addr(j->segment, j->offset);
    j->done_seq = j->durable_seq;

    errno = pthread_create(&j->preparer, NULL, rt_journal_preparer, j);

    if (errno) {
        rt_log(RT_LOG_EMERG, errno, "pthread_create() failed");
        return RT_ERROR;
    }

    errno = pthread_create(&j->writer, NULL, rt_journal_writer, j);

    if (errno) {
        rt_log(RT_LOG_EMERG, errno, "pthread_create() failed");
        return RT_ERROR;
    }

    j->running = 1;

    return RT_OK;
}


rt_int_t
rt_journal_stop(rt_journal_t *j, rt_uint_t ms)
{
    uint64_t         until;
    rt_int_t         rc;
    struct timespec  pause = { 0, 1000000 };

    if (!j->running) {
        return RT_OK;
    }

    rc = RT_OK;
    until = rt_time_us() + (uint64_t) ms * 1000;

    for ( ;; ) {
        rt_journal_flush(j);
        rt_journal_notified(j);

        if (j->durable_seq == j->next_seq - 1) {
            break;
        }

        if (rt_time_us() > until) {
            rc = RT_ERROR;
            break;
        }

        nanosleep(&pause, NULL);
    }

    pthread_mutex_lock(&j->mutex);
    j->stop = 1;
    pthread_cond_broadcast(&j->wake_writer);
    pthread_cond_broadcast(&j->wake_preparer);
    pthread_mutex_unlock(&j->mutex);

    pthread_join(j->writer, NULL);
    pthread_join(j->preparer, NULL);

    j->running = 0;

    return rc;
}


void
rt_journal_close(rt_journal_t *j)
{
    rt_uint_t  i;

    rt_journal_reader_close(j);

    for (i = 0; i < 2; i++) {
        free(j->batch[i].start);
        free(j->batch[i].chunks);
    }

    if (j->write_fd != -1) {
        close(j->write_fd);
    }

    if (j->event_fd != -1) {
        close(j->event_fd);
    }

    if (j->lock_fd != -1) {
        close(j->lock_fd);
    }

    free(j->dir);

    pthread_cond_destroy(&j->wake_writer);
    pthread_cond_destroy(&j->wake_preparer);
    pthread_mutex_destroy(&j->mutex);

    j->dir = NULL;
}
