/*
 * The journal: every event, in order, on disk before its command is answered.
 *
 * This header is the interface of the room worker/journal, together with
 * rt_record.h, the bytes on disk, and rt_snapshot.h, the files of snapshots.
 * The room owns the data directory and calls core only.  It does not know what
 * an event means.  rt_journal_private.h is for its own files:
 *
 *   rt_journal.c     the directory: open, lock, start and stop of the threads
 *   rt_append.c      appending; the hand-over to the writer
 *   rt_writer.c      the thread that writes and syncs
 *   rt_preparer.c    the thread that makes spare files; retention
 *   rt_read.c        one record by its address
 *   rt_scan.c        all records from an address on
 *   rt_recover.c     cutting a torn tail, or at a damage
 *   rt_snapshot.c    snapshot files
 *
 * Files in the data directory:
 *
 *   journal.id       the journal's epoch
 *   00000001.seg     segments, numbered from 1, all of one size
 *   spare-1          a zero-filled file that waits to become a segment
 *   old-1            a segment that retention has dropped; it becomes a spare
 *   lock             flock()ed by the process that writes
 *
 * A batch is what one write and one fdatasync() bring to disk; the next one is
 * written only when that has succeeded.  So a whole record of a batch proves
 * that everything before the batch's first record was on disk.  Recovery uses
 * that to distinguish a torn tail, which it cuts, from damage, on which it
 * refuses to start: a bad record is damage if a whole record of a later batch
 * follows.
 *
 * Two threads write.  The thread of logic appends to a buffer and hands it to
 * the writer when the writer is idle; meanwhile the other buffer fills.  The
 * writer writes, syncs, and signals an eventfd.  A third thread, the preparer,
 * keeps zero-filled spares, so that the writer never waits for a file to grow.
 *
 * When the disk fails, the writer keeps its buffer and tries again; nothing is
 * acknowledged meanwhile, "failing" is set, and the buffers' sizes bound what
 * waits.  After a failed fdatasync() the batch is written anew: the kernel may
 * have dropped its pages.
 */


#ifndef _RT_JOURNAL_H_INCLUDED_
#define _RT_JOURNAL_H_INCLUDED_


#include <pthread.h>

#include "rt_core.h"
#include "rt_record.h"


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
    /* other rooms may read these, and set none */
    rt_journal_conf_t    conf;
    char                *dir;               /* owner */
    int                  event_fd;          /* signalled by the writer */
    uint64_t             epoch;
    uint32_t             segment;           /* appended to; 0: none yet */
    uint32_t             offset;
    uint32_t             first_segment;     /* the oldest kept */
    uint64_t             next_seq;
    uint64_t             last_time;
    uint64_t             durable_seq;
    uint64_t             durable_addr;      /* after the last durable record */
    rt_uint_t            failing;
    rt_journal_stats_t   stats;

    /* the thread of logic's */
    int                  lock_fd;
    uint64_t             batch_seq;         /* the first of the active batch */
    rt_uint_t            active;            /* which of batch[] */
    rt_batch_t           batch[2];
    rt_uint_t            running;

    u_char              *window;            /* of reads; owner */
    uint64_t             window_addr;
    size_t               window_size;
    u_char              *large;             /* a record larger than the window,
                                               owner; NULL: none was read */
    int                  read_error;        /* errno of the last read */
    rt_uint_t            read_short;        /* no descriptors: it is logged */
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
    rt_uint_t            dir_unsynced;      /* a segment's name may not last */
} rt_journal_t;


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

/* bytes that wait for the disk; those of them not yet with the writer */
size_t rt_journal_pending(const rt_journal_t *j);
size_t rt_journal_gathered(const rt_journal_t *j);

/* everything that was appended is on disk */
static inline rt_uint_t
rt_journal_is_synced(const rt_journal_t *j)
{
    return j->durable_seq == j->next_seq - 1;
}

/*
 * The record at an address: RT_OK, RT_DECLINED if there is none (the end, or
 * retention has dropped it), RT_ERROR if it is damaged, RT_AGAIN if it cannot
 * be read now, for want of descriptors, which is logged once.  An END is
 * stepped over: rec->addr may lie in the next segment.
 */
rt_int_t rt_journal_read(rt_journal_t *j, uint64_t addr, rt_record_t *rec);

/* the same, nothing is logged */
rt_int_t rt_journal_try(rt_journal_t *j, uint64_t addr, rt_record_t *rec);

/* does a record end at addr, with the seq before that, or begin there? */
rt_int_t rt_journal_has(rt_journal_t *j, uint64_t addr, uint64_t seq);

/*
 * After a damage: the address of the next record that is whole, or where the
 * next segment's records begin.
 */
uint64_t rt_journal_skip(rt_journal_t *j, uint64_t addr);

/*
 * A second reader of j's files: rt_journal_read() and rt_journal_scan() only.
 * It owns its window and descriptors; j must outlive it.
 */
void rt_journal_reader_open(rt_journal_t *reader, const rt_journal_t *j);
void rt_journal_reader_close(rt_journal_t *reader);

/* segments that end before addr become spares or go; RT_DECLINED: a backup
   is being made, they stay */
rt_int_t rt_journal_retain(rt_journal_t *j, uint64_t addr);

/* the address of the oldest record kept */
uint64_t rt_journal_first(const rt_journal_t *j);


/*
 * All records from an address on.  The handler gets whole commands only;
 * RT_ERROR from it ends the scan.
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
rt_int_t rt_journal_new_epoch(rt_journal_t *j);

#endif /* _RT_JOURNAL_H_INCLUDED_ */
