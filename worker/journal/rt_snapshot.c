/*
 * Writing, finding and verifying snapshot files.  What is in them is the
 * dispatcher's business.
 */


#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "rt_crc32c.h"
#include "rt_io.h"
#include "rt_log.h"
#include "rt_snapshot.h"


#define RT_SNAPSHOT_BUFFER  (1024 * 1024)

static const u_char  rt_snapshot_magic[] = "RTSNAP3\n";


static void
rt_snapshot_path(const char *dir, uint64_t seq, const char *tail, char *path)
{
    snprintf(path, PATH_MAX, "%s/snapshot-%020llu%s", dir,
             (unsigned long long) seq, tail);
}


rt_int_t
rt_snapshot_create(rt_snapshot_writer_t *w, const char *dir,
    const rt_snapshot_head_t *head)
{
    char  path[PATH_MAX];

    memset(w, 0, sizeof(rt_snapshot_writer_t));
    rt_snapshot_path(dir, head->seq, ".new", path);

    w->fd = rt_io.open(path, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600);

    if (w->fd == -1) {
        rt_log(RT_LOG_ERR, errno, "open() \"%s\" failed", path);
        return RT_ERROR;
    }

    rt_buf_put(&w->buf, rt_snapshot_magic, 8);
    rt_buf_put64(&w->buf, head->epoch);
    rt_buf_put64(&w->buf, head->seq);
    rt_buf_put64(&w->buf, head->addr);
    rt_buf_put64(&w->buf, head->time_ms);

    return RT_OK;
}


static void
rt_snapshot_write(rt_snapshot_writer_t *w)
{
    size_t  size;

    size = rt_buf_size(&w->buf);

    if (w->error == 0
        && rt_io_write(w->fd, w->buf.pos, size, (off_t) w->size) != RT_OK)
    {
        w->error = errno;
    }

    w->crc = rt_crc32c(w->crc, w->buf.pos, size);
    w->size += size;
    rt_buf_reset(&w->buf);
}


void
rt_snapshot_flush(rt_snapshot_writer_t *w)
{
    if (rt_buf_size(&w->buf) >= RT_SNAPSHOT_BUFFER) {
        rt_snapshot_write(w);
    }
}


rt_int_t
rt_snapshot_finish(rt_snapshot_writer_t *w)
{
    rt_snapshot_write(w);

    rt_buf_put64(&w->buf, w->size - RT_SNAPSHOT_HEADER);
    rt_buf_put32(&w->buf, rt_crc32c(w->crc, w->buf.pos, 8));
    rt_snapshot_write(w);

    if (w->error == 0 && rt_io_sync(w->fd) != RT_OK) {
        w->error = errno;
    }

    close(w->fd);
    rt_buf_free(&w->buf);

    if (w->error) {
        rt_log(RT_LOG_ERR, w->error, "writing a snapshot failed");
        return RT_ERROR;
    }

    return RT_OK;
}


rt_int_t
rt_snapshot_commit(const char *dir, uint64_t seq)
{
    char       from[PATH_MAX], to[PATH_MAX];
    uint64_t   seqs[RT_SNAPSHOTS_MAX];
    rt_uint_t  i, n;

    rt_snapshot_path(dir, seq, ".new", from);
    rt_snapshot_path(dir, seq, "", to);

    if (rt_io.rename(from, to) == -1) {
        rt_log(RT_LOG_ERR, errno, "rename() to \"%s\" failed", to);
        (void) rt_io_remove(from);
        return RT_ERROR;
    }

    if (rt_io_sync_dir(dir) != RT_OK) {
        rt_log(RT_LOG_ERR, errno, "fsync() \"%s\" failed", dir);
        return RT_ERROR;
    }

    n = rt_snapshot_list(dir, seqs, RT_SNAPSHOTS_MAX);

    for (i = RT_SNAPSHOTS; i < n; i++) {
        rt_snapshot_path(dir, seqs[i], "", to);
        (void) rt_io_remove(to);
    }

    return RT_OK;
}


void
rt_snapshot_abandon(const char *dir, uint64_t seq)
{
    char  path[PATH_MAX];

    rt_snapshot_path(dir, seq, ".new", path);
    (void) rt_io_remove(path);
}


static int
rt_snapshot_newer(const void *a, const void *b)
{
    uint64_t  x, y;

    x = *(const uint64_t *) a;
    y = *(const uint64_t *) b;

    return x < y ? 1 : x > y ? -1 : 0;
}


rt_uint_t
rt_snapshot_list(const char *dir, uint64_t *seqs, rt_uint_t max)
{
    DIR                 *d;
    char                 end;
    rt_uint_t            n;
    struct dirent       *de;
    unsigned long long   seq;

    d = rt_io.opendir(dir);

    if (d == NULL) {
        return 0;
    }

    n = 0;

    for (de = readdir(d); de != NULL && n < max; de = readdir(d)) {
        if (sscanf(de->d_name, "snapshot-%20llu%c", &seq, &end) == 1) {
            seqs[n++] = seq;
        }
    }

    closedir(d);

    qsort(seqs, n, sizeof(uint64_t), rt_snapshot_newer);

    return n;
}


rt_int_t
rt_snapshot_load(const char *dir, uint64_t seq, rt_snapshot_head_t *head,
    u_char **data, rt_reader_t *body)
{
    int          fd;
    char         path[PATH_MAX];
    size_t       size;
    u_char      *p;
    struct stat  st;

    rt_snapshot_path(dir, seq, "", path);

    fd = rt_io.open(path, O_RDONLY|O_CLOEXEC, 0);

    if (fd == -1 || rt_io.fstat(fd, &st) == -1) {
        rt_log(RT_LOG_ERR, errno, "open() \"%s\" failed", path);

        if (fd != -1) {
            close(fd);
        }

        return RT_ERROR;
    }

    size = (size_t) st.st_size;
    p = rt_malloc(size);

    if (rt_io_read(fd, p, size, 0) != (ssize_t) size) {
        rt_log(RT_LOG_ERR, errno, "reading \"%s\" failed", path);
        goto failed;
    }

    if (size < RT_SNAPSHOT_HEADER + RT_SNAPSHOT_TRAILER
        || memcmp(p, rt_snapshot_magic, 8) != 0
        || rt_get64(p + size - RT_SNAPSHOT_TRAILER)
           != size - RT_SNAPSHOT_HEADER - RT_SNAPSHOT_TRAILER
        || rt_get32(p + size - 4) != rt_crc32c(0, p, size - 4)
        || rt_get64(p + 16) != seq)
    {
        rt_log(RT_LOG_ERR, 0, "\"%s\" is damaged", path);
        goto failed;
    }

    close(fd);

    head->epoch = rt_get64(p + 8);
    head->seq = rt_get64(p + 16);
    head->addr = rt_get64(p + 24);
    head->time_ms = rt_get64(p + 32);

    *data = p;
    rt_reader_init(body, p + RT_SNAPSHOT_HEADER,
                   size - RT_SNAPSHOT_HEADER - RT_SNAPSHOT_TRAILER);

    return RT_OK;

failed:

    close(fd);
    free(p);

    return RT_ERROR;
}
