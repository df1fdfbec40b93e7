/*
 * Appending to the journal, its threads, and reading single records back;
 * rt_journal.h has the format and the promises, rt_recover.c the start.
 */


#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "rt_crc32c.h"
#include "rt_io.h"
#include "rt_journal.h"
#include "rt_log.h"
#include "rt_loop.h"


#define RT_JOURNAL_ID_SIZE     32
#define RT_JOURNAL_LOCK_TRIES  100          /* 10 ms apart */
#define RT_JOURNAL_ZEROS       (1024 * 1024)  /* written at once by preparer */
#define RT_JOURNAL_ZERO_SYNC   4              /* of them, then a sync */

static const u_char  rt_segment_magic[] = "RTSEGM1\n";
static const u_char  rt_journal_magic[] = "RTJRNL1\n";


static rt_int_t rt_journal_lock(rt_journal_t *j);
static rt_int_t rt_journal_identify(rt_journal_t *j);
static rt_int_t rt_journal_scan_dir(rt_journal_t *j);
static void *rt_journal_writer(void *data);
static void *rt_journal_preparer(void *data);


/* the format */

size_t
rt_record_size(const rt_record_t *rec)
{
    return rt_align(RT_RECORD_HEADER_SIZE + rec->entity.len + rec->data.len,
                    RT_RECORD_ALIGN);
}


u_char *
rt_record_encode(u_char *p, const rt_record_t *rec, uint32_t salt)
{
    size_t   size, padded;
    u_char  *start;

    start = p;
    size = RT_RECORD_HEADER_SIZE + rec->entity.len + rec->data.len;
    padded = rt_align(size, RT_RECORD_ALIGN);

    p = rt_set32(p + 4, (uint32_t) size);
    p = rt_set64(p, rec->seq);
    p = rt_set64(p, rec->time_ms);
    p = rt_set64(p, rec->version);
    p = rt_set64(p, rec->prev);
    p = rt_set32(p, rec->batch);
    p = rt_set16(p, rec->type);
    *p++ = rec->lift;
    *p++ = rec->engine;
    *p++ = rec->flags;
    *p++ = (u_char) rec->entity.len;
    p = rt_set16(p, 0);

    memcpy(p, rec->entity.data, rec->entity.len);
    p += rec->entity.len;

    if (rec->data.len) {
        memcpy(p, rec->data.data, rec->data.len);
        p += rec->data.len;
    }

    memset(p, 0, padded - size);

    rt_set32(start, rt_crc32c(salt, start + 4, padded - 4));

    return start + padded;
}


rt_int_t
rt_record_decode(rt_record_t *rec, const u_char *p, size_t n, uint32_t salt)
{
    size_t  size, padded, name;

    rec->next = RT_RECORD_HEADER_SIZE;

    if (n < RT_RECORD_HEADER_SIZE) {
        return RT_AGAIN;
    }

    size = rt_get32(p + 4);
    name = p[49];

    if (size < RT_RECORD_HEADER_SIZE + name
        || size > RT_RECORD_HEADER_SIZE + name + RT_RECORD_DATA_MAX)
    {
        return RT_DECLINED;
    }

    padded = rt_align(size, RT_RECORD_ALIGN);
    rec->next = padded;

    if (n < padded) {
        return RT_AGAIN;
    }

    if (rt_get32(p) != rt_crc32c(salt, p + 4, padded - 4)) {
        return RT_DECLINED;
    }

    rec->seq = rt_get64(p + 8);
    rec->time_ms = rt_get64(p + 16);
    rec->version = rt_get64(p + 24);
    rec->prev = rt_get64(p + 32);
    rec->batch = rt_get32(p + 40);
    rec->type = rt_get16(p + 44);
    rec->lift = p[46];
    rec->engine = p[47];
    rec->flags = p[48];
    rec->entity.len = name;
    rec->entity.data = p + RT_RECORD_HEADER_SIZE;
    rec->data.len = size - RT_RECORD_HEADER_SIZE - name;
    rec->data.data = rec->entity.data + name;

    return RT_OK;
}


void
rt_segment_encode(u_char *p, uint32_t segment, uint64_t epoch,
    uint64_t first_seq, uint64_t time_ms, size_t size)
{
    u_char  *start;

    start = p;

    memset(p, 0, RT_SEGMENT_HEADER_SIZE);
    memcpy(p, rt_segment_magic, 8);

    p = rt_set32(p + 8, segment);
    p = rt_set32(p, (uint32_t) size);
    p = rt_set64(p, epoch);
    p = rt_set64(p, first_seq);
    p = rt_set64(p, time_ms);

    rt_set32(start + RT_SEGMENT_HEADER_SIZE - 4,
             rt_crc32c(0, start, RT_SEGMENT_HEADER_SIZE - 4));
}


rt_int_t
rt_segment_decode(const u_char *p, uint32_t segment, uint64_t *first_seq,
    size_t *size)
{
    if (memcmp(p, rt_segment_magic, 8) != 0
        || rt_get32(p + RT_SEGMENT_HEADER_SIZE - 4)
           != rt_crc32c(0, p, RT_SEGMENT_HEADER_SIZE - 4)
        || rt_get32(p + 8) != segment)
    {
        return RT_DECLINED;
    }

    *size = rt_get32(p + 12);
    *first_seq = rt_get64(p + 24);

    return RT_OK;
}


void
rt_segment_path(const rt_journal_t *j, uint32_t segment, char *path)
{
    snprintf(path, PATH_MAX, "%s/%08u.seg", j->dir, segment);
}


static void
rt_spare_path(const rt_journal_t *j, uint32_t spare, char *path)
{
    snprintf(path, PATH_MAX, "%s/spare-%u", j->dir, spare);
}


static void
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

    if (!conf->read_only && mkdir(j->dir, 0700) == -1 && errno != EEXIST) {
        rt_log(RT_LOG_EMERG, errno, "mkdir() \"%s\" failed", j->dir);
        goto failed;
    }

    if (!conf->read_only && rt_journal_lock(j) != RT_OK) {
        goto failed;
    }

    if (rt_journal_identify(j) != RT_OK || rt_journal_scan_dir(j) != RT_OK) {
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

    j->lock_fd = open(path, O_RDWR|O_CREAT|O_CLOEXEC, 0600);

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

    memset(id, 0, sizeof(id));
    memcpy(id, rt_journal_magic, 8);

    if (getentropy(&j->epoch, sizeof(uint64_t)) == -1) {
        rt_log(RT_LOG_EMERG, errno, "getentropy() failed");
        return RT_ERROR;
    }

    rt_set64(id + 8, j->epoch);
    rt_set64(id + 16, rt_time_ms());
    rt_set32(id + 28, rt_crc32c(0, id, 28));

    if (rt_io_replace(j->dir, "journal.id", id, sizeof(id), 1) != RT_OK) {
        rt_log(RT_LOG_EMERG, errno, "writing \"%s\" failed", path);
        return RT_ERROR;
    }

    return RT_OK;
}


/*
 * Which segments are there?  A hole in the numbers is damage: something has
 * removed a file.  Spares are renumbered by what is found.
 */

static rt_int_t
rt_journal_scan_dir(rt_journal_t *j)
{
    DIR            *d;
    char            path[PATH_MAX];
    uint32_t        n, first, last, count;
    struct dirent  *de;
    struct stat     st;

    d = opendir(j->dir);

    if (d == NULL) {
        rt_log(RT_LOG_EMERG, errno, "opendir() \"%s\" failed", j->dir);
        return RT_ERROR;
    }

    first = 0;
    last = 0;
    count = 0;

    for (de = readdir(d); de != NULL; de = readdir(d)) {

        if (strlen(de->d_name) == 12
            && strcmp(de->d_name + 8, ".seg") == 0
            && sscanf(de->d_name, "%8u", &n) == 1 && n != 0)
        {
            count++;
            first = first ? rt_min(first, n) : n;
            last = rt_max(last, n);
            continue;
        }

        if (j->conf.read_only
            || (strncmp(de->d_name, "spare-", 6) != 0
                && strncmp(de->d_name, "old-", 4) != 0))
        {
            continue;
        }

        /* keep none that is half made, or of another size */

        snprintf(path, sizeof(path), "%s/%s", j->dir, de->d_name);

        if (strstr(de->d_name, ".new") != NULL
            || de->d_name[0] == 'o'
            || stat(path, &st) == -1
            || (size_t) st.st_size != j->conf.segment_size)
        {
            unlink(path);
            continue;
        }

        n = (uint32_t) atoi(de->d_name + 6);

        if (j->spare_next == 0) {
            j->spare_first = n;
            j->spare_next = n + 1;

        } else if (n == j->spare_next) {
            j->spare_next++;

        } else {
            unlink(path);
        }
    }

    closedir(d);

    j->nspares = j->spare_next - j->spare_first;

    if (count && last - first + 1 != count) {
        rt_log(RT_LOG_EMERG, 0, "segments are missing in \"%s\": "
               "%u files from %08u.seg to %08u.seg",
               j->dir, count, first, last);
        return RT_ERROR;
    }

    j->first_segment = first;
    j->segment = last;
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

    for (i = 0; i < RT_JOURNAL_FDS; i++) {
        if (j->fds[i].fd != -1) {
            close(j->fds[i].fd);
            j->fds[i].fd = -1;
        }
    }

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

    free(j->window);
    free(j->dir);

    pthread_cond_destroy(&j->wake_writer);
    pthread_cond_destroy(&j->wake_preparer);
    pthread_mutex_destroy(&j->mutex);

    j->window = NULL;
    j->dir = NULL;
}


/* appending */

rt_uint_t
rt_journal_has_room(rt_journal_t *j, size_t size)
{
    /* the change of a segment costs an END and a header */

    size += RT_RECORD_END_SIZE + RT_SEGMENT_HEADER_SIZE;

    return j->batch[j->active].used + size <= j->conf.buffer_size;
}


static rt_chunk_t *
rt_journal_chunk(rt_journal_t *j, rt_batch_t *b)
{
    rt_chunk_t  *c;

    if (b->nchunks) {
        c = &b->chunks[b->nchunks - 1];

        if (c->segment == j->segment) {
            return c;
        }
    }

    c = &b->chunks[b->nchunks++];

    c->segment = j->segment;
    c->offset = j->offset;
    c->start = b->used;
    c->size = 0;

    return c;
}


static void
rt_journal_put(rt_journal_t *j, rt_batch_t *b, size_t size)
{
    rt_journal_chunk(j, b)->size += size;
    b->used += size;
    j->offset += (uint32_t) size;
}


static void
rt_journal_next_segment(rt_journal_t *j, rt_batch_t *b, uint64_t time_ms)
{
    rt_record_t  end;

    if (j->segment) {
        memset(&end, 0, sizeof(rt_record_t));

        end.type = RT_RECORD_END;
        end.seq = j->next_seq;
        end.time_ms = time_ms;
        end.batch = (uint32_t) (j->next_seq - j->batch_seq);
        end.entity.data = (const u_char *) "";
        end.data.data = (const u_char *) "";

        rt_record_encode(b->start + b->used, &end,
                         rt_segment_salt(j->segment));
        rt_journal_put(j, b, RT_RECORD_END_SIZE);
    }

    j->segment++;
    j->offset = 0;

    if (j->first_segment == 0) {
        j->first_segment = j->segment;
    }

    rt_segment_encode(b->start + b->used, j->segment, j->epoch, j->next_seq,
                      time_ms, j->conf.segment_size);
    rt_journal_put(j, b, RT_SEGMENT_HEADER_SIZE);
}


void
rt_journal_append(rt_journal_t *j, rt_record_t *rec)
{
    size_t       size;
    rt_batch_t  *b;

    rt_assert(rec->data.len <= RT_RECORD_DATA_MAX);
    rt_assert(rec->entity.len <= 255);
    rt_assert(rec->time_ms >= j->last_time);

    size = rt_record_size(rec);
    b = &j->batch[j->active];

    if (j->segment == 0
        || j->offset + size + RT_RECORD_END_SIZE > j->conf.segment_size)
    {
        rt_journal_next_segment(j, b, rec->time_ms);
    }

    rt_assert(b->used + size <= j->conf.buffer_size);

    rec->seq = j->next_seq++;
    rec->batch = (uint32_t) (rec->seq - j->batch_seq);
    rec->addr = rt_addr(j->segment, j->offset);
    rec->next = rec->addr + size;

    rt_record_encode(b->start + b->used, rec, rt_segment_salt(j->segment));
    rt_journal_put(j, b, size);

    b->last_seq = rec->seq;
    j->last_time = rec->time_ms;
}


size_t
rt_journal_pending(const rt_journal_t *j)
{
    return j->batch[0].used + j->batch[1].used;
}


void
rt_journal_flush(rt_journal_t *j)
{
    rt_batch_t  *b;

    b = &j->batch[j->active];

    if (b->used == 0 || j->batch[!j->active].used != 0) {
        return;
    }

    j->active = !j->active;
    j->batch_seq = j->next_seq;

    pthread_mutex_lock(&j->mutex);
    j->writing = b;
    pthread_cond_signal(&j->wake_writer);
    pthread_mutex_unlock(&j->mutex);
}


void
rt_journal_notified(rt_journal_t *j)
{
    uint64_t     n;
    rt_uint_t    failing;
    rt_batch_t  *b;
    rt_chunk_t  *c;

    if (read(j->event_fd, &n, sizeof(n)) == -1 && errno != EAGAIN) {
        rt_log(RT_LOG_ALERT, errno, "read() of an eventfd failed");
    }

    pthread_mutex_lock(&j->mutex);

    b = &j->batch[!j->active];

    if (b->used && j->writing == NULL) {
        c = &b->chunks[b->nchunks - 1];
        j->durable_addr = rt_addr(c->segment, c->offset + c->size);
        b->used = 0;
        b->nchunks = 0;
    }

    j->durable_seq = j->done_seq;
    j->stats = j->shared;
    failing = j->error != 0;

    pthread_mutex_unlock(&j->mutex);

    j->failing = failing;
}


/* the writer */

static void
rt_journal_ring(rt_journal_t *j)
{
    uint64_t  one = 1;

    if (write(j->event_fd, &one, sizeof(one)) == -1 && errno != EAGAIN) {
        rt_log(RT_LOG_ALERT, errno, "write() to an eventfd failed");
    }
}


static void
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


static void
rt_journal_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, rt_uint_t ms)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    ts.tv_nsec += (long) ms * 1000000;
    ts.tv_sec += ts.tv_nsec / 1000000000;
    ts.tv_nsec %= 1000000000;

    pthread_cond_timedwait(cond, mutex, &ts);
}


static rt_int_t
rt_journal_take_spare(rt_journal_t *j, uint32_t segment)
{
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

    if (rt_io.rename(from, to) == -1 || rt_io_sync_dir(j->dir) != RT_OK) {
        return RT_ERROR;
    }

    pthread_mutex_lock(&j->mutex);
    j->spare_first++;
    j->nspares--;
    pthread_cond_signal(&j->wake_preparer);
    pthread_mutex_unlock(&j->mutex);

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


static rt_int_t
rt_journal_write(rt_journal_t *j, rt_batch_t *b, uint64_t *us)
{
    uint64_t     start;
    rt_uint_t    i;
    rt_chunk_t  *c;

    for (i = 0; i < b->nchunks; i++) {
        c = &b->chunks[i];

        if (rt_journal_write_to(j, c->segment) != RT_OK) {
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


static void *
rt_journal_writer(void *data)
{
    uint64_t       us, n;
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

        n = b->last_seq - j->done_seq;

        j->shared.batches++;
        j->shared.records += n;
        j->shared.batch_max = rt_max(j->shared.batch_max, n);
        j->shared.bytes += b->used;
        j->shared.sync_us += us;
        j->shared.sync_max_us = rt_max(j->shared.sync_max_us, us);

        j->done_seq = b->last_seq;
        j->writing = NULL;

        rt_journal_ring(j);
    }

    pthread_mutex_unlock(&j->mutex);

    return NULL;
}


/* the preparer */

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

    close(fd);

    return rt_io.rename(aside, path) == -1 ? RT_ERROR : RT_OK;

failed:

    err = errno;
    close(fd);
    unlink(aside);
    errno = err;

    return RT_ERROR;
}


/* a dropped segment's blocks are allocated: its bytes fit no new salt */

static rt_int_t
rt_journal_recycle(rt_journal_t *j, uint32_t spare, uint32_t old)
{
    char         from[PATH_MAX], to[PATH_MAX];
    struct stat  st;

    rt_old_path(j, old, from);
    rt_spare_path(j, spare, to);

    if (stat(from, &st) == -1
        || (size_t) st.st_size != j->conf.segment_size)
    {
        unlink(from);
        return RT_ERROR;
    }

    return rt_io.rename(from, to) == -1 ? RT_ERROR : RT_OK;
}


static void *
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

        rc = recycle ? rt_journal_recycle(j, spare, old)
                     : rt_journal_make_spare(j, spare, zeros);
        err = errno;

        if (rc == RT_OK) {
            pthread_mutex_lock(&j->mutex);

            if (j->nspares == 0) {
                j->spare_first = spare;
            }

            j->spare_next = spare + 1;
            j->nspares = j->spare_next - j->spare_first;
            pthread_cond_signal(&j->wake_writer);
            continue;
        }

        /* fatal only when the writer has none left: it waits, and is told */

        pthread_mutex_lock(&j->mutex);

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

    pthread_mutex_unlock(&j->mutex);

    free(zeros);

    return NULL;
}


/* reading back */

static int
rt_journal_fd(rt_journal_t *j, uint32_t segment)
{
    char              path[PATH_MAX];
    rt_uint_t         i;
    rt_journal_fd_t  *f, *old;

    old = &j->fds[0];

    for (i = 0; i < RT_JOURNAL_FDS; i++) {
        f = &j->fds[i];

        if (f->fd != -1 && f->segment == segment) {
            f->used = ++j->fd_clock;
            return f->fd;
        }

        if (f->fd == -1 || (old->fd != -1 && f->used < old->used)) {
            old = f;
        }
    }

    if (old->fd != -1) {
        close(old->fd);
    }

    rt_segment_path(j, segment, path);

    old->fd = rt_io.open(path, O_RDONLY|O_CLOEXEC, 0);
    old->segment = segment;
    old->used = ++j->fd_clock;

    return old->fd;
}


/* what still waits for the disk is read from its buffer */

static const u_char *
rt_journal_memory(rt_journal_t *j, uint64_t addr, size_t *size)
{
    rt_uint_t    i, k;
    rt_batch_t  *b;
    rt_chunk_t  *c;

    for (i = 0; i < 2; i++) {
        b = &j->batch[i];

        for (k = 0; k < b->nchunks; k++) {
            c = &b->chunks[k];

            if (c->segment == rt_addr_segment(addr)
                && c->offset <= rt_addr_offset(addr)
                && rt_addr_offset(addr) < c->offset + c->size)
            {
                *size = c->offset + c->size - rt_addr_offset(addr);
                return b->start + c->start + (rt_addr_offset(addr) - c->offset);
            }
        }
    }

    return NULL;
}


static const u_char *
rt_journal_window(rt_journal_t *j, uint64_t addr, size_t need, size_t *size)
{
    int       fd;
    size_t    back;
    ssize_t   n;
    uint64_t  start;

    fd = rt_journal_fd(j, rt_addr_segment(addr));

    if (fd == -1) {
        return NULL;
    }

    start = addr;

    /* chains are walked backwards: then what lies before comes along */

    if (addr < j->window_addr && need <= RT_JOURNAL_WINDOW / 8) {
        back = RT_JOURNAL_WINDOW - RT_JOURNAL_WINDOW / 8;
        start = addr - rt_min(back, rt_addr_offset(addr));
    }

    n = rt_io_read(fd, j->window, RT_JOURNAL_WINDOW,
                   (off_t) rt_addr_offset(start));

    j->window_addr = start;
    j->window_size = n < 0 ? 0 : (size_t) n;

    if (j->window_size <= addr - start) {
        return NULL;
    }

    *size = j->window_size - (addr - start);

    return j->window + (addr - start);
}


static const u_char *
rt_journal_large(rt_journal_t *j, uint64_t addr, size_t need)
{
    int             fd;
    static u_char  *large;                  /* one, of the greatest size */

    if (need > RT_RECORD_SIZE_MAX) {
        return NULL;
    }

    if (large == NULL) {
        large = rt_malloc(RT_RECORD_SIZE_MAX);
    }

    fd = rt_journal_fd(j, rt_addr_segment(addr));

    if (fd == -1
        || rt_io_read(fd, large, need, (off_t) rt_addr_offset(addr))
           != (ssize_t) need)
    {
        return NULL;
    }

    return large;
}


static rt_int_t
rt_journal_read_at(rt_journal_t *j, uint64_t addr, rt_record_t *rec)
{
    size_t         n;
    rt_int_t       rc;
    uint32_t       salt;
    const u_char  *p;

    salt = rt_segment_salt(rt_addr_segment(addr));

    p = rt_journal_memory(j, addr, &n);

    if (p != NULL) {
        return rt_record_decode(rec, p, n, salt);
    }

    if (addr >= j->window_addr && addr < j->window_addr + j->window_size) {
        n = j->window_addr + j->window_size - addr;
        p = j->window + (addr - j->window_addr);

        rc = rt_record_decode(rec, p, n, salt);

        if (rc == RT_OK) {
            return RT_OK;
        }
    }

    /* not there, or read before it was written */

    p = rt_journal_window(j, addr, RT_RECORD_HEADER_SIZE, &n);

    if (p == NULL) {
        return RT_DECLINED;
    }

    rc = rt_record_decode(rec, p, n, salt);

    if (rc != RT_AGAIN) {
        return rc;
    }

    n = rec->next;
    p = rt_journal_large(j, addr, n);

    return p == NULL ? RT_DECLINED : rt_record_decode(rec, p, n, salt);
}


rt_int_t
rt_journal_try(rt_journal_t *j, uint64_t addr, rt_record_t *rec)
{
    rt_int_t   rc;
    rt_uint_t  again;

    for (again = 0; again < 2; again++) {

        if (rt_addr_segment(addr) < j->first_segment
            || addr >= rt_addr(j->segment, j->offset))
        {
            return RT_DECLINED;
        }

        rc = rt_journal_read_at(j, addr, rec);

        if (rc != RT_OK) {
            return RT_ERROR;
        }

        rec->addr = addr;
        rec->next += addr;

        if (rec->type != RT_RECORD_END) {
            return RT_OK;
        }

        addr = rt_addr(rt_addr_segment(addr) + 1, RT_SEGMENT_HEADER_SIZE);
    }

    return RT_ERROR;
}


rt_int_t
rt_journal_read(rt_journal_t *j, uint64_t addr, rt_record_t *rec)
{
    rt_int_t  rc;

    rc = rt_journal_try(j, addr, rec);

    if (rc == RT_ERROR) {
        rt_log(RT_LOG_CRIT, 0, "no record at %08u.seg:%u",
               rt_addr_segment(addr), rt_addr_offset(addr));
    }

    return rc;
}


uint64_t
rt_journal_first(const rt_journal_t *j)
{
    return rt_addr(rt_max(j->first_segment, 1), RT_SEGMENT_HEADER_SIZE);
}


void
rt_journal_retain(rt_journal_t *j, uint64_t addr)
{
    int        rc;
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
            rc = unlink(path);
        }

        pthread_mutex_unlock(&j->mutex);

        if (rc == -1) {
            rt_log(RT_LOG_CRIT, errno, "removing \"%s\" failed", path);
            return;
        }

        j->first_segment++;
    }
}
