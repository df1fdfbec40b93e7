/*
 * realtimectl backup: a copy of a data directory from which a daemon can start,
 * taken while one runs on it.
 *
 * A shared lock on the directory keeps retention from dropping segments
 * meanwhile.  What only the journal must be ahead of comes first: the zones,
 * the snapshots.  Then the segments, ascending.  One that has a successor does
 * not change any more and is copied as it is; the last is copied up to the
 * first place that holds no whole record, and filled with zeros: whatever was
 * acknowledged before the copy began is before that place, and nothing after
 * it can look like damage.  journal.id comes last: without it no daemon
 * starts on the copy.
 */


#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "rt_ctl.h"
#include "rt_io.h"
#include "rt_journal.h"
#include "rt_snapshot.h"


typedef struct {
    const char  *from;
    const char  *to;
    u_char      *data;                      /* one segment; owner */
    size_t       size;
} rt_ctl_backup_t;


static int
rt_ctl_backup_failed(const char *what, const char *name)
{
    fprintf(stderr, "realtimectl: %s \"%s\" failed: %s\n", what, name,
            strerror(errno));

    return -1;
}


/* all of a file into b->data; 1: there is none */

static int
rt_ctl_backup_read(rt_ctl_backup_t *b, const char *name)
{
    int          fd;
    char         path[PATH_MAX];
    ssize_t      n;
    struct stat  st;

    snprintf(path, sizeof(path), "%s/%s", b->from, name);
    fd = rt_io.open(path, O_RDONLY|O_CLOEXEC, 0);

    if (fd == -1) {
        return errno == ENOENT ? 1 : rt_ctl_backup_failed("open()", path);
    }

    n = -1;

    if (rt_io.fstat(fd, &st) == 0) {
        b->data = rt_realloc(b->data, (size_t) st.st_size + 1);
        n = rt_io_read(fd, b->data, (size_t) st.st_size, 0);
    }

    close(fd);

    if (n == -1) {
        return rt_ctl_backup_failed("read()", path);
    }

    b->size = (size_t) n;

    return 0;
}


static int
rt_ctl_backup_write(rt_ctl_backup_t *b, const char *name)
{
    if (rt_io_replace(b->to, name, b->data, b->size, 1) != RT_OK) {
        return rt_ctl_backup_failed("writing", name);
    }

    return 0;
}


static int
rt_ctl_backup_file(rt_ctl_backup_t *b, const char *name)
{
    int  rc;

    rc = rt_ctl_backup_read(b, name);

    return rc == 0 ? rt_ctl_backup_write(b, name) : rc;
}


/* where the whole records of a segment in memory end; 0: it is not begun */

static size_t
rt_ctl_backup_end(rt_ctl_backup_t *b, uint32_t segment, rt_uint_t *closed)
{
    size_t       offset, size;
    uint64_t     seq;
    rt_record_t  rec;

    *closed = 0;

    if (b->size < RT_SEGMENT_HEADER_SIZE
        || rt_segment_decode(b->data, segment, &seq, &size) != RT_OK)
    {
        return 0;
    }

    offset = RT_SEGMENT_HEADER_SIZE;

    while (rt_record_decode(&rec, b->data + offset, b->size - offset,
                            rt_segment_salt(segment))
           == RT_OK && rec.seq == seq)
    {
        offset += rec.next;
        seq++;

        if (rec.type == RT_RECORD_END) {
            *closed = 1;
            break;
        }
    }

    return offset;
}


/* 1: it was the last */

static int
rt_ctl_backup_segment(rt_ctl_backup_t *b, uint32_t segment)
{
    int          rc, next;
    char         name[32], after[PATH_MAX];
    size_t       end;
    rt_uint_t    closed;
    struct stat  st;

    snprintf(name, sizeof(name), "%08u.seg", segment);
    snprintf(after, sizeof(after), "%s/%08u.seg", b->from, segment + 1);

    /* asked first: if it is there, nothing is written here any more */

    next = rt_io.stat(after, &st) == 0;
    rc = rt_ctl_backup_read(b, name);

    if (rc != 0) {
        return rc;
    }

    end = rt_ctl_backup_end(b, segment, &closed);

    if (next && !closed) {
        fprintf(stderr, "realtimectl: %s is damaged at %zu, copied as it is\n",
                name, end);
        return rt_ctl_backup_write(b, name) == 0 ? 2 : -1;
    }

    if (end == 0) {
        return 1;                           /* made, and not begun */
    }

    memset(b->data + end, 0, b->size - end);
    rc = rt_ctl_backup_write(b, name);

    return rc == 0 && !next ? 1 : rc;
}


static int
rt_ctl_backup_snapshots(rt_ctl_backup_t *b)
{
    int        rc;
    char       name[64];
    uint64_t   seqs[RT_SNAPSHOTS_MAX];
    rt_uint_t  i, n;

    n = rt_snapshot_list(b->from, seqs, RT_SNAPSHOTS_MAX);

    for (i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "snapshot-%020llu",
                 (unsigned long long) seqs[i]);

        rc = rt_ctl_backup_file(b, name);

        if (rc == -1) {
            return -1;
        }
    }

    return 0;
}


static int
rt_ctl_backup_copy(rt_ctl_backup_t *b, uint32_t first)
{
    int       rc, damaged;
    uint32_t  n;

    if (rt_ctl_backup_file(b, "zones") == -1
        || rt_ctl_backup_snapshots(b) == -1
        || rt_ctl_backup_file(b, "secret") == -1)
    {
        return 1;
    }

    damaged = 0;

    for (n = first; n; n++) {
        rc = rt_ctl_backup_segment(b, n);

        if (rc == -1) {
            return 1;
        }

        damaged |= rc == 2;

        if (rc == 1) {
            break;
        }
    }

    if (rt_ctl_backup_file(b, "journal.id") != 0) {
        return 1;
    }

    printf("copied to \"%s\"%s\n", b->to, damaged ? ", with damage" : "");

    return damaged;
}


int
rt_ctl_backup(const rt_ctl_options_t *o, const char *to)
{
    int                 fd, rc;
    rt_journal_t        j;
    rt_ctl_backup_t     b;
    rt_journal_conf_t   conf;

    if (o->data == NULL) {
        fprintf(stderr, "realtimectl: --data or --config is needed\n");
        return 1;
    }

    if (rt_io.mkdir(to, 0700) == -1) {
        (void) rt_ctl_backup_failed("mkdir()", to);
        return 1;
    }

    fd = rt_io.open(o->data, O_RDONLY|O_DIRECTORY|O_CLOEXEC, 0);

    if (fd == -1 || flock(fd, LOCK_SH) == -1) {
        (void) rt_ctl_backup_failed("locking", o->data);
        return 1;
    }

    memset(&conf, 0, sizeof(rt_journal_conf_t));
    conf.dir = (char *) o->data;
    conf.read_only = 1;

    if (rt_journal_open(&j, &conf) != RT_OK) {
        close(fd);
        return 1;
    }

    memset(&b, 0, sizeof(rt_ctl_backup_t));
    b.from = o->data;
    b.to = to;

    rc = rt_ctl_backup_copy(&b, j.first_segment);

    free(b.data);
    rt_journal_close(&j);
    close(fd);                              /* and the lock */

    return rc;
}
