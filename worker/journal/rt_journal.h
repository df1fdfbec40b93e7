/*
 * The journal: every event, in order, on disk before its command is answered.
 *
 * Files in the data directory:
 *
 *   journal.id       the journal's epoch
 *   00000001.seg     segments, numbered from 1, all of one size
 *   spare-1          a zero-filled file that waits to become a segment
 *   old-1            a segment that retention has dropped, a spare to be
 *   lock             flock()ed by who may write
 *
 * A segment begins with a header of 64 bytes; records follow without holes; an
 * END record closes it when the next record does not fit.  After the last
 * record of the last segment there are zeros, or what a former life of the
 * file has left, which no checksum fits: checksums are seeded with a salt
 * made of the segment's number.
 *
 * A record, little-endian, padded with zeros to a multiple of 8:
 *
 *    0  u32  crc32c of all that follows, padding included, seeded with salt
 *    4  u32  size without padding
 *    8  u64  seq, from 1 without holes
 *   16  u64  time, ms since 1970, never falling
 *   24  u64  version of the entity after this event
 *   32  u64  address of the entity's previous record, 0: none
 *   40  u32  batch: seq less the seq of the first record of its batch
 *   44  u16  type, the engine's; 0xff00 and above are the journal's
 *   46  u8   version of the type
 *   47  u8   engine
 *   48  u8   flags
 *   49  u8   length of the entity's name
 *   50  u16  zero
 *   52       name, then data
 *
 * An address is segment << 32 | offset.  "previous" makes each entity's events
 * a chain, so its history is read without an index on disk.
 *
 * A batch is what one write and one fdatasync() bring to disk; the next one is
 * written only when that has succeeded.  So a whole record of a batch proves
 * that everything before the batch's first record was on disk.  That is how
 * recovery tells a torn tail, which it cuts, from damage, on which it refuses:
 * a bad record is damage if a whole one of a later batch follows.
 *
 * Two threads.  The thread of logic appends to a buffer and hands it over when
 * the writer is idle; what comes meanwhile gathers in the other buffer.  The
 * writer writes, syncs, and rings an eventfd.  A third thread, the preparer,
 * keeps zero-filled spares, so that the writer never waits for a file to grow.
 *
 * When the disk fails, the writer keeps its buffer and tries again; nothing is
 * acknowledged meanwhile, rt_journal_failing() says so, and the buffers'
 * sizes bound what waits.  After a failed fdatasync() the batch is written
 * anew: the kernel may have dropped its pages.
 */


#ifndef _RT_JOURNAL_H_INCLUDED_
#define _RT_JOURNAL_H_INCLUDED_


#include <pthread.h>

#include "rt_core.h"


#define RT_SEGMENT_HEADER_SIZE   64
#define RT_RECORD_HEADER_SIZE    52
#define RT_RECORD_ALIGN          8

/* the END record: a header without name and data, padded */
#define RT_RECORD_END_SIZE       56

/* one event; a snapshot of a large book would not fit, and must not */
#define RT_RECORD_DATA_MAX       (1024 * 1024)
#define RT_RECORD_SIZE_MAX                                                    \
    rt_align(RT_RECORD_HEADER_SIZE + 255 + RT_RECORD_DATA_MAX, RT_RECORD_ALIGN)

/* 64m: a spare is made in a blink, and 10 million events are 30 files */
#define RT_SEGMENT_SIZE          (64 * 1024 * 1024)
#define RT_SEGMENT_SIZE_MIN      (2 * 1024 * 1024)
#define RT_SEGMENT_SIZE_MAX      (1024 * 1024 * 1024)

/* each of two; the most that may wait for the disk */
#define RT_JOURNAL_BUFFER        (16 * 1024 * 1024)

#define RT_JOURNAL_SPARES        2
#define RT_JOURNAL_RETRY_MS      100        /* between tries of a failed disk */
#define RT_JOURNAL_WINDOW        (64 * 1024)   /* read at once by a cursor */
#define RT_JOURNAL_FDS           16         /* segments open for reading */

/* types that are the journal's and the dispatcher's own */
#define RT_RECORD_END            0xffff     /* the segment ends here */
#define RT_RECORD_ANSWER         0xfffe     /* an idempotency key's answer */
#define RT_RECORD_HASH           0xfffd     /* the entity's state hash */
#define RT_RECORD_SYSTEM         0xff00     /* from here on */

/* flags */
#define RT_RECORD_MORE           0x01       /* the command has more records */


typedef struct {
    uint64_t       addr;
    uint64_t       next;                    /* address after it */
    uint64_t       seq;
    uint64_t       time_ms;
    uint64_t       version;
    uint64_t       prev;
    uint32_t       batch;
    uint16_t       type;
    uint8_t        lift;                    /* the type's version */
    uint8_t        engine;
    uint8_t        flags;
    rt_str_t       entity;                  /* borrowed, until the next read */
    rt_str_t       data;
} rt_record_t;


typedef struct {
    uint32_t       segment;
    uint32_t       offset;
    size_t         start;                   /* in the buffer */
    size_t         size;
} rt_chunk_t;


typedef struct {
    u_char        *start;
    size_t         used;
    rt_chunk_t    *chunks;
    rt_uint_t      nchunks;
    uint64_t       last_seq;
} rt_batch_t;


typedef struct {
    uint64_t       records;
    uint64_t       bytes;
    uint64_t       batches;
    uint64_t       batch_max;               /* records */
    uint64_t       sync_us;                 /* sum */
    uint64_t       sync_max_us;
    uint64_t       errors;
} rt_journal_stats_t;


typedef struct {
    char          *dir;
    size_t         segment_size;
    size_t         buffer_size;
    rt_uint_t      spares;
    rt_uint_t      read_only;
} rt_journal_conf_t;


typedef struct {
    int            fd;
    uint32_t       segment;
    uint64_t       used;
} rt_journal_fd_t;


typedef struct {
    rt_journal_conf_t    conf;
    char                *dir;               /* owner */
    int                  lock_fd;
    int                  event_fd;          /* rung by the writer */
    uint64_t             epoch;

    /* the thread of logic's */
    uint32_t             segment;           /* appended to; 0: none yet */
    uint32_t             offset;
    uint32_t             first_segment;     /* the oldest kept */
    uint64_t             next_seq;
    uint64_t             last_time;
    uint64_t             durable_seq;
    uint64_t             durable_addr;      /* after the last durable record */
    uint64_t             batch_seq;         /* the first of the active batch */
    rt_uint_t            active;            /* which of batch[] */
    rt_batch_t           batch[2];
    rt_uint_t            failing;
    rt_uint_t            running;
    rt_journal_stats_t   stats;

    u_char              *window;            /* of reads; owner */
    uint64_t             window_addr;
    size_t               window_size;
    uint64_t             fd_clock;
    rt_journal_fd_t      fds[RT_JOURNAL_FDS];

    /* shared, under the mutex */
    pthread_mutex_t      mutex;
    pthread_cond_t       wake_writer;
    pthread_cond_t       wake_preparer;
    pthread_t            writer;
    pthread_t            preparer;
    rt_batch_t          *writing;           /* NULL: the writer is idle */
    uint64_t             done_seq;
    int                  error;             /* errno while failing */
    rt_uint_t            stop;
    rt_uint_t            nspares;
    rt_uint_t            starved;           /* the writer needs one */
    uint32_t             spare_first;       /* spare-N: first <= N < next */
    uint32_t             spare_next;
    uint32_t             old_first;         /* old-N, dropped by retention */
    uint32_t             old_next;
    rt_journal_stats_t   shared;

    /* the writer's */
    int                  write_fd;
    uint32_t             write_segment;
} rt_journal_t;


#define rt_addr(segment, offset)  ((uint64_t) (segment) << 32 | (offset))
#define rt_addr_segment(addr)     ((uint32_t) ((addr) >> 32))
#define rt_addr_offset(addr)      ((uint32_t) (addr))


/* opens the directory, makes it if it is not there, takes the lock */
rt_int_t rt_journal_open(rt_journal_t *j, const rt_journal_conf_t *conf);

/* after rt_journal_recover(): the threads */
rt_int_t rt_journal_start(rt_journal_t *j);

/* everything appended goes to disk; RT_ERROR if it does not within ms */
rt_int_t rt_journal_stop(rt_journal_t *j, rt_uint_t ms);
void rt_journal_close(rt_journal_t *j);

/* is there room for a command of that many bytes in all of its records */
rt_uint_t rt_journal_has_room(rt_journal_t *j, size_t size);

/* sets seq, addr, next and batch in rec; the caller has asked for room */
void rt_journal_append(rt_journal_t *j, rt_record_t *rec);

/* hand what has gathered to the writer if it is idle */
void rt_journal_flush(rt_journal_t *j);

/* the eventfd has rung: durable_seq, failing and stats are new */
void rt_journal_notified(rt_journal_t *j);

/* bytes that wait for the disk */
size_t rt_journal_pending(const rt_journal_t *j);

/*
 * The record at an address: RT_OK, RT_DECLINED if there is none (the end, or
 * retention has dropped it), RT_ERROR if it is damaged.  An END is stepped
 * over: rec->addr may lie in the next segment.
 */
rt_int_t rt_journal_read(rt_journal_t *j, uint64_t addr, rt_record_t *rec);

/* the same for an address that a peer has given: nothing is logged */
rt_int_t rt_journal_try(rt_journal_t *j, uint64_t addr, rt_record_t *rec);

/* segments that end before addr become spares or go */
void rt_journal_retain(rt_journal_t *j, uint64_t addr);

/* the address of the oldest record kept */
uint64_t rt_journal_first(const rt_journal_t *j);


/* the format, shared with rt_recover.c */

#define rt_segment_salt(n)  ((uint32_t) (n) * 0x9e3779b1u)

size_t rt_record_size(const rt_record_t *rec);      /* with padding */
u_char *rt_record_encode(u_char *p, const rt_record_t *rec, uint32_t salt);

/*
 * RT_OK, RT_AGAIN if n bytes do not hold all of it (rec->next is then the
 * size), RT_DECLINED if there is no record here.
 */
rt_int_t rt_record_decode(rt_record_t *rec, const u_char *p, size_t n,
    uint32_t salt);

void rt_segment_encode(u_char *p, uint32_t segment, uint64_t epoch,
    uint64_t first_seq, uint64_t time_ms, size_t size);
rt_int_t rt_segment_decode(const u_char *p, uint32_t segment,
    uint64_t *first_seq, size_t *size);


/*
 * Going through the files from an address on, in rt_recover.c.  The handler
 * gets whole commands only; RT_ERROR from it ends the scan.
 */

typedef rt_int_t (*rt_scan_pt)(void *data, const rt_record_t *rec);

typedef struct {
    uint64_t       addr;                    /* out: where it ended */
    uint64_t       seq;                     /* out: what would come next */
    uint64_t       time_ms;                 /* out: of the last record */
    uint64_t       records;
    uint64_t       bytes;

    rt_uint_t      damaged;                 /* at addr, when RT_ERROR */
    rt_uint_t      torn;                    /* bytes to cut are there */
    uint64_t       torn_last;               /* the offset after them */
    char           error[256];
} rt_scan_result_t;

rt_int_t rt_journal_scan(rt_journal_t *j, uint64_t addr, uint64_t seq,
    rt_scan_result_t *res, rt_scan_pt handler, void *data);

/* scan, cut a torn tail, and be ready for rt_journal_start() */
rt_int_t rt_journal_recover(rt_journal_t *j, uint64_t addr, uint64_t seq,
    rt_scan_result_t *res, rt_scan_pt handler, void *data);

/*
 * Cut at a damage that rt_journal_scan() has found: what follows is moved
 * aside to *.damaged, and the journal gets a new epoch, for seqs that have
 * been published will be given again.
 */
rt_int_t rt_journal_repair(rt_journal_t *j, const rt_scan_result_t *res);

void rt_segment_path(const rt_journal_t *j, uint32_t segment, char *path);


#endif /* _RT_JOURNAL_H_INCLUDED_ */
