/*
 * Reading the journal from an address to its end: start, verify, cat, replay.
 *
 * At the first place that holds no whole record with the expected seq the
 * journal ends, torn or not, or it is damaged.  It is damaged if something
 * proves that the place was on disk once:
 *
 * - a whole record further on in the segment, of a batch that began later; or
 * - a later segment that was begun, for the one before is synced first.
 *
 * Otherwise nothing of it was acknowledged, and it is cut: the bytes are
 * zeroed, so that no leftover is ever taken for a record that is written
 * next to it.  A command's records go together: a tail that ends in the
 * middle of a command is cut at its beginning.
 *
 * Reading is by large reads with read-ahead, which beats mmap() on a cold
 * cache more than twice.
 */


#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "rt_crc32c.h"
#include "rt_io.h"
#include "rt_journal_private.h"
#include "rt_log.h"


#define RT_SCAN_READ    (1024 * 1024)
#define RT_SCAN_BUFFER  (RT_SCAN_READ + RT_RECORD_SIZE_MAX)


typedef struct {
    rt_journal_t  *journal;
    int            fd;
    uint32_t       segment;
    uint64_t       offset;                  /* of the next record */
    uint64_t       seq;                     /* expected there */
    uint64_t       time_ms;

    u_char        *buf;                     /* owner; RT_SCAN_BUFFER */
    uint64_t       buf_offset;
    size_t         buf_size;
} rt_scan_t;


static uint64_t rt_scan_search(rt_scan_t *s, uint32_t segment,
    uint64_t offset, uint64_t seq, uint64_t *last);
static rt_int_t rt_scan_judge(rt_scan_t *s, rt_scan_result_t *res);


static void
rt_scan_close(rt_scan_t *s)
{
    if (s->fd != -1) {
        close(s->fd);
        s->fd = -1;
    }
}


static rt_int_t
rt_scan_open(rt_scan_t *s, uint32_t segment, uint64_t offset)
{
    char  path[PATH_MAX];

    if (s->fd == -1 || s->segment != segment) {
        rt_scan_close(s);
        rt_segment_path(s->journal, segment, path);

        s->fd = rt_io.open(path, O_RDONLY|O_CLOEXEC, 0);

        if (s->fd == -1) {
            return errno == ENOENT ? RT_DECLINED : RT_ERROR;
        }

        (void) posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);

        s->segment = segment;
        s->buf_size = 0;
    }

    s->offset = offset;

    return RT_OK;
}


/* at least "need" bytes at s->offset, if the file has them */

static rt_int_t
rt_scan_fill(rt_scan_t *s, size_t need, const u_char **p, size_t *n)
{
    size_t   keep;
    ssize_t  got;

    if (s->offset < s->buf_offset
        || s->offset > s->buf_offset + s->buf_size)
    {
        s->buf_size = 0;
    }

    if (s->buf_size == 0) {
        s->buf_offset = s->offset;
    }

    keep = s->buf_offset + s->buf_size - s->offset;

    if (keep < need) {
        memmove(s->buf, s->buf + (s->offset - s->buf_offset), keep);
        s->buf_offset = s->offset;
        s->buf_size = keep;

        got = rt_io_read(s->fd, s->buf + keep, rt_max(RT_SCAN_READ, need),
                         (off_t) (s->offset + keep));

        if (got == -1) {
            return RT_ERROR;
        }

        s->buf_size += (size_t) got;
        keep = s->buf_size;
    }

    *p = s->buf + (s->offset - s->buf_offset);
    *n = keep;

    return RT_OK;
}


/* does the segment exist, and has it been begun? */

static rt_int_t
rt_scan_header(rt_scan_t *s, uint32_t segment, uint64_t *first_seq)
{
    int      fd;
    char     path[PATH_MAX];
    size_t   size;
    u_char   header[RT_SEGMENT_HEADER_SIZE];
    ssize_t  n;

    rt_segment_path(s->journal, segment, path);

    fd = rt_io.open(path, O_RDONLY|O_CLOEXEC, 0);

    if (fd == -1) {
        return errno == ENOENT ? RT_DECLINED : RT_ERROR;
    }

    n = rt_io_read(fd, header, sizeof(header), 0);
    close(fd);

    if (n == -1) {
        return RT_ERROR;
    }

    if (n < RT_SEGMENT_HEADER_SIZE) {
        return RT_AGAIN;
    }

    return rt_segment_decode(header, segment, first_seq, &size) == RT_OK
           ? RT_OK : RT_AGAIN;
}


/* RT_OK a record, RT_DECLINED nothing whole here, RT_ERROR cannot read */

static rt_int_t
rt_scan_next(rt_scan_t *s, rt_record_t *rec)
{
    size_t         n;
    rt_int_t       rc;
    uint64_t       first;
    const u_char  *p;

    for ( ;; ) {

        if (rt_scan_fill(s, RT_RECORD_HEADER_SIZE, &p, &n) != RT_OK) {
            return RT_ERROR;
        }

        rc = rt_record_decode(rec, p, n, rt_segment_salt(s->segment));

        if (rc == RT_AGAIN && rec->next > n) {
            if (rt_scan_fill(s, rec->next, &p, &n) != RT_OK) {
                return RT_ERROR;
            }

            rc = rt_record_decode(rec, p, n, rt_segment_salt(s->segment));
        }

        if (rc != RT_OK || rec->seq != s->seq || rec->time_ms < s->time_ms) {
            return RT_DECLINED;
        }

        if (rec->type != RT_RECORD_END) {
            break;
        }

        rc = rt_scan_header(s, s->segment + 1, &first);

        if (rc == RT_ERROR) {
            return RT_ERROR;
        }

        if (rc != RT_OK || first != s->seq) {
            return RT_DECLINED;             /* END is written again then */
        }

        if (rt_scan_open(s, s->segment + 1, RT_SEGMENT_HEADER_SIZE) != RT_OK) {
            return RT_ERROR;
        }
    }

    rec->addr = rt_addr(s->segment, s->offset);
    rec->next += rec->addr;

    s->offset = rt_addr_offset(rec->next);
    s->seq++;
    s->time_ms = rec->time_ms;

    return RT_OK;
}


static rt_int_t
rt_scan_deliver(rt_scan_result_t *res, const rt_record_t *rec,
    rt_scan_pt handler, void *data)
{
    res->records++;
    res->bytes += rt_record_size(rec);

    return handler == NULL || handler(data, rec) == RT_OK ? RT_OK : RT_ERROR;
}


/*
 * A command of several records, rec being its first: is all of it there?
 * Then back to its beginning, and its records are delivered.
 */

static rt_int_t
rt_scan_command(rt_scan_t *s, const rt_scan_t *begin, rt_scan_result_t *res,
    rt_scan_pt handler, void *data)
{
    rt_int_t     rc;
    uint64_t     last;
    rt_record_t  rec;

    do {
        rc = rt_scan_next(s, &rec);
    } while (rc == RT_OK && rec.flags & RT_RECORD_MORE);

    last = s->seq;

    if (rc != RT_OK && rt_scan_judge(s, res) != RT_OK) {
        return RT_ERROR;
    }

    /* of what is cut in the segment before, nothing may be left either */

    if (rc != RT_OK && s->segment != begin->segment) {
        (void) rt_scan_search(s, begin->segment, begin->offset, begin->seq,
                              &res->torn_last);
    }

    if (rt_scan_open(s, begin->segment, begin->offset) != RT_OK) {
        return RT_ERROR;
    }

    s->seq = begin->seq;
    s->time_ms = begin->time_ms;

    if (rc != RT_OK) {
        res->torn = 1;
        return rc;
    }

    while (s->seq < last) {
        rc = rt_scan_next(s, &rec);
        rt_assert(rc == RT_OK);

        if (rt_scan_deliver(res, &rec, handler, data) != RT_OK) {
            return RT_ERROR;
        }
    }

    return RT_OK;
}


static rt_int_t
rt_scan_all(rt_scan_t *s, rt_scan_result_t *res, rt_scan_pt handler, void *data)
{
    rt_int_t     rc;
    rt_scan_t    begin;
    rt_record_t  rec;

    for ( ;; ) {
        begin = *s;                         /* only where it stands */

        rc = rt_scan_next(s, &rec);

        if (rc != RT_OK) {
            return rc;
        }

        rc = rec.flags & RT_RECORD_MORE
             ? rt_scan_command(s, &begin, res, handler, data)
             : rt_scan_deliver(res, &rec, handler, data);

        if (rc != RT_OK) {
            return rc;
        }
    }
}


static void
rt_scan_damage(rt_scan_t *s, rt_scan_result_t *res, const char *proof,
    uint32_t segment, uint64_t offset)
{
    res->damaged = 1;
    res->addr = rt_addr(s->segment, s->offset);

    snprintf(res->error, sizeof(res->error),
             "damaged at %08u.seg:%llu (seq %llu): %s at %08u.seg:%llu",
             s->segment, (unsigned long long) s->offset,
             (unsigned long long) s->seq, proof, segment,
             (unsigned long long) offset);
}


/*
 * The records in a segment from an offset on, wherever they begin.  Returns
 * the offset of the first that proves damage, or 0; "last" is the offset
 * after the last one that is whole, of any batch.
 */

static uint64_t
rt_scan_search(rt_scan_t *s, uint32_t segment, uint64_t offset, uint64_t seq,
    uint64_t *last)
{
    int            fd;
    char           path[PATH_MAX];
    size_t         size, i;
    u_char        *data;
    uint32_t       salt;
    uint64_t       proof;
    rt_record_t    rec;
    struct stat    st;
    const u_char  *p;

    *last = offset;
    proof = 0;

    rt_segment_path(s->journal, segment, path);
    fd = rt_io.open(path, O_RDONLY|O_CLOEXEC, 0);

    if (fd == -1) {
        return 0;
    }

    if (rt_io.fstat(fd, &st) == -1 || (uint64_t) st.st_size <= offset) {
        close(fd);
        return 0;
    }

    size = (size_t) ((uint64_t) st.st_size - offset);
    data = rt_malloc(size);

    size = (size_t) rt_max(rt_io_read(fd, data, size, (off_t) offset), 0);
    close(fd);

    salt = rt_segment_salt(segment);

    for (i = 0; i + RT_RECORD_HEADER_SIZE <= size; i += RT_RECORD_ALIGN) {
        p = data + i;

        if (rt_get64(p + 8) < seq
            || rt_get32(p + 4) < RT_RECORD_HEADER_SIZE
            || rt_get32(p + 4) > size - i
            || rt_record_decode(&rec, p, size - i, salt) != RT_OK)
        {
            continue;
        }

        *last = offset + i + rec.next;

        /* at the very place: it is whole, but not what was expected there */

        if (proof == 0 && (rec.seq - rec.batch > seq || rec.seq == seq)
            && i != 0)
        {
            proof = offset + i;
        }
    }

    free(data);

    return proof;
}


/* nothing whole at s->offset: RT_OK the end, torn or not; RT_ERROR damage */

static rt_int_t
rt_scan_judge(rt_scan_t *s, rt_scan_result_t *res)
{
    rt_int_t  rc;
    uint32_t  n;
    uint64_t  proof, last, first, next;

    for (n = s->segment + 1; /* void */ ; n++) {
        rc = rt_scan_header(s, n, &first);

        if (rc == RT_DECLINED) {
            break;
        }

        if (rc == RT_ERROR) {
            snprintf(res->error, sizeof(res->error),
                     "%08u.seg cannot be read: %s", n, strerror(errno));
            return RT_ERROR;
        }

        if (rc == RT_OK) {
            rt_scan_damage(s, res, "a later segment begins", n, 0);
            return RT_ERROR;
        }

        /* made but not begun; or is it its header that is damaged? */

        proof = rt_scan_search(s, n, RT_SEGMENT_HEADER_SIZE, s->seq, &last);

        if (last != RT_SEGMENT_HEADER_SIZE || proof) {
            rt_scan_damage(s, res, "records of a damaged segment", n,
                           RT_SEGMENT_HEADER_SIZE);
            return RT_ERROR;
        }
    }

    next = rt_align(s->offset, RT_RECORD_ALIGN);
    proof = rt_scan_search(s, s->segment, next, s->seq, &last);

    if (proof) {
        rt_scan_damage(s, res, "a later batch", s->segment, proof);
        return RT_ERROR;
    }

    res->torn_last = last;

    return RT_OK;
}


/* the first segment has no good header: RT_OK if it was made but not begun */

static rt_int_t
rt_scan_no_header(rt_scan_t *s, rt_scan_result_t *res, rt_int_t why)
{
    uint64_t  last;

    s->offset = 0;

    if (why == RT_AGAIN && rt_scan_judge(s, res) == RT_OK
        && rt_scan_search(s, s->segment, RT_SEGMENT_HEADER_SIZE, s->seq, &last)
           == 0
        && last == RT_SEGMENT_HEADER_SIZE && s->seq == 1)
    {
        res->addr = rt_addr(s->segment, 0);
        return RT_OK;
    }

    if (!res->damaged && res->error[0] == '\0') {
        res->damaged = why == RT_AGAIN;
        res->addr = rt_addr(s->segment, 0);
        snprintf(res->error, sizeof(res->error), "%08u.seg:0: %s", s->segment,
                 why == RT_AGAIN ? "damaged segment header"
                                 : "no such segment");
    }

    return RT_ERROR;
}


rt_int_t
rt_journal_scan(rt_journal_t *j, uint64_t addr, uint64_t seq,
    rt_scan_result_t *res, rt_scan_pt handler, void *data)
{
    rt_int_t   rc;
    uint64_t   first;
    rt_scan_t  s;

    memset(res, 0, sizeof(rt_scan_result_t));
    memset(&s, 0, sizeof(rt_scan_t));

    res->seq = seq;
    s.journal = j;
    s.fd = -1;
    s.seq = seq;
    s.segment = rt_addr_segment(addr);

    if (j->first_segment == 0) {
        res->addr = 0;
        return RT_OK;                       /* empty */
    }

    s.buf = rt_malloc(RT_SCAN_BUFFER);

    rc = rt_scan_header(&s, s.segment, &first);

    if (rc != RT_OK) {
        rc = rt_scan_no_header(&s, res, rc);
        goto done;
    }

    if (rt_addr_offset(addr) == RT_SEGMENT_HEADER_SIZE && seq == 0) {
        s.seq = first;
    }

    rc = rt_scan_open(&s, s.segment, rt_addr_offset(addr));

    if (rc == RT_OK) {
        rc = rt_scan_all(&s, res, handler, data);
    }

    if (rc == RT_DECLINED && !res->torn) {
        rc = rt_scan_judge(&s, res);

    } else if (rc == RT_DECLINED) {
        rc = RT_OK;                         /* judged where it ended */
    }

    if (!res->damaged) {
        res->addr = rt_addr(s.segment, s.offset);
    }

    res->seq = s.seq;
    res->time_ms = s.time_ms;

    if (rc == RT_ERROR && res->error[0] == '\0') {
        snprintf(res->error, sizeof(res->error), "reading %08u.seg:%llu "
                 "failed: %s", s.segment, (unsigned long long) s.offset,
                 strerror(errno));
    }

done:

    rt_scan_close(&s);
    free(s.buf);

    return rc;
}
