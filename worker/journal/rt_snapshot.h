/*
 * Snapshot files: the whole state as of one seq of the journal.
 *
 *   snapshot-00000000000000001234
 *
 *    0       "RTSNAP3\n"
 *    8  u64  the journal's epoch
 *   16  u64  seq of the last record that is in it
 *   24  u64  address of the record after that one
 *   32  u64  time of that last record
 *   40       body
 *            u64 size of the body, u32 crc32c of everything before
 *
 * Written aside as *.new, synced, renamed, the directory synced.  The newest
 * RT_SNAPSHOTS are kept.  One that fails its checksum is passed over for the
 * one before.
 */


#ifndef _RT_SNAPSHOT_H_INCLUDED_
#define _RT_SNAPSHOT_H_INCLUDED_


#include "rt_core.h"


#define RT_SNAPSHOTS         2
#define RT_SNAPSHOTS_MAX     64             /* looked at in a directory */
#define RT_SNAPSHOT_HEADER   40
#define RT_SNAPSHOT_TRAILER  12


typedef struct {
    uint64_t     epoch;
    uint64_t     seq;
    uint64_t     addr;
    uint64_t     time_ms;
} rt_snapshot_head_t;


typedef struct {
    int          fd;
    int          error;                     /* errno of the first failure */
    uint32_t     crc;
    uint64_t     size;                      /* so far */
    rt_buf_t     buf;                       /* owner */
} rt_snapshot_writer_t;


/*
 * put() appends to w->buf or calls it; errors are kept until finish().
 */
rt_int_t rt_snapshot_create(rt_snapshot_writer_t *w, const char *dir,
    const rt_snapshot_head_t *head);
void rt_snapshot_flush(rt_snapshot_writer_t *w);
rt_int_t rt_snapshot_finish(rt_snapshot_writer_t *w);

/* the file of that seq gets its name; old ones go */
rt_int_t rt_snapshot_commit(const char *dir, uint64_t seq);
void rt_snapshot_abandon(const char *dir, uint64_t seq);

/* seqs, the newest first; returns how many */
rt_uint_t rt_snapshot_list(const char *dir, uint64_t *seqs, rt_uint_t max);

/* reads and verifies; data is malloc()ed, the body begins at *body */
rt_int_t rt_snapshot_load(const char *dir, uint64_t seq,
    rt_snapshot_head_t *head, u_char **data, rt_reader_t *body);


#endif /* _RT_SNAPSHOT_H_INCLUDED_ */
