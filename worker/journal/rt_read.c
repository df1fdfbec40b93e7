/*
 * Reading single records back by address: from the buffers that still wait
 * for the disk, or from a window of a segment's file.
 */


#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "rt_io.h"
#include "rt_journal_private.h"
#include "rt_log.h"


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
    j->read_error = old->fd == -1 ? errno : 0;
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

    j->read_error = n < 0 ? errno : 0;
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
    int  fd;

    if (need > RT_RECORD_SIZE_MAX) {
        return NULL;
    }

    if (j->large == NULL) {
        j->large = rt_malloc(RT_RECORD_SIZE_MAX);
    }

    fd = rt_journal_fd(j, rt_addr_segment(addr));

    if (fd == -1
        || rt_io_read(fd, j->large, need, (off_t) rt_addr_offset(addr))
           != (ssize_t) need)
    {
        return NULL;
    }

    return j->large;
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


/* no descriptors, no memory: the record may be good, and is read later */

static rt_uint_t
rt_journal_is_short(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOMEM;
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

        j->read_error = 0;
        rc = rt_journal_read_at(j, addr, rec);

        if (rc != RT_OK) {
            return rt_journal_is_short(j->read_error) ? RT_AGAIN : RT_ERROR;
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

    if (rc == RT_AGAIN && !j->read_short) {
        rt_log(RT_LOG_CRIT, j->read_error, "reading %08u.seg failed, it is "
               "tried again", rt_addr_segment(addr));
    }

    j->read_short = rc == RT_AGAIN;

    return rc;
}


rt_int_t
rt_journal_has(rt_journal_t *j, uint64_t addr, uint64_t seq)
{
    int           fd;
    size_t        i, back, size;
    u_char       *data;
    rt_int_t      rc;
    uint32_t      salt;
    rt_record_t   rec;

    fd = rt_journal_fd(j, rt_addr_segment(addr));

    if (fd == -1) {
        return RT_DECLINED;
    }

    rc = RT_DECLINED;
    salt = rt_segment_salt(rt_addr_segment(addr));
    back = rt_min(rt_addr_offset(addr), RT_RECORD_SIZE_MAX);
    size = back + RT_RECORD_SIZE_MAX;
    data = rt_malloc(size);

    size = (size_t) rt_max(rt_io_read(fd, data, size,
                               (off_t) (rt_addr_offset(addr) - back)), 0);

    if (size > back
        && rt_record_decode(&rec, data + back, size - back, salt) == RT_OK
        && rec.seq == seq)
    {
        rc = RT_OK;
    }

    for (i = RT_RECORD_END_SIZE; i <= back && rc != RT_OK && size >= back;
         i += RT_RECORD_ALIGN)
    {
        if (rt_get64(data + back - i + 8) == seq - 1
            && rt_record_decode(&rec, data + back - i, i, salt) == RT_OK
            && rec.next == i)
        {
            rc = RT_OK;
        }
    }

    free(data);

    return rc;
}


uint64_t
rt_journal_skip(rt_journal_t *j, uint64_t addr)
{
    int            fd;
    size_t         i, size;
    u_char        *data;
    uint32_t       salt;
    uint64_t       next;
    rt_record_t    rec;

    next = rt_addr(rt_addr_segment(addr) + 1, RT_SEGMENT_HEADER_SIZE);
    fd = rt_journal_fd(j, rt_addr_segment(addr));

    if (fd == -1) {
        return next;
    }

    /* one record may be damaged, and the next one of the greatest size */

    addr = rt_align(addr + 1, RT_RECORD_ALIGN);
    size = 2 * RT_RECORD_SIZE_MAX;
    data = rt_malloc(size);
    salt = rt_segment_salt(rt_addr_segment(addr));

    size = (size_t) rt_max(rt_io_read(fd, data, size,
                                      (off_t) rt_addr_offset(addr)), 0);

    for (i = 0; i + RT_RECORD_HEADER_SIZE <= size; i += RT_RECORD_ALIGN) {
        if (rt_record_decode(&rec, data + i, size - i, salt) == RT_OK) {
            next = addr + i;
            break;
        }
    }

    free(data);

    return next;
}


void
rt_journal_reader_open(rt_journal_t *reader, const rt_journal_t *j)
{
    rt_uint_t  i;

    *reader = *j;

    reader->window = rt_malloc(RT_JOURNAL_WINDOW);
    reader->window_size = 0;
    reader->large = NULL;

    for (i = 0; i < RT_JOURNAL_FDS; i++) {
        reader->fds[i].fd = -1;
    }
}


void
rt_journal_reader_close(rt_journal_t *reader)
{
    rt_uint_t  i;

    for (i = 0; i < RT_JOURNAL_FDS; i++) {
        if (reader->fds[i].fd != -1) {
            close(reader->fds[i].fd);
            reader->fds[i].fd = -1;
        }
    }

    free(reader->window);
    free(reader->large);

    reader->window = NULL;
    reader->large = NULL;
}


uint64_t
rt_journal_first(const rt_journal_t *j)
{
    return rt_addr(rt_max(j->first_segment, 1), RT_SEGMENT_HEADER_SIZE);
}
