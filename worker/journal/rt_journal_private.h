/*
 * What the files of worker/journal share, and nobody else includes.
 */


#ifndef _RT_JOURNAL_PRIVATE_H_INCLUDED_
#define _RT_JOURNAL_PRIVATE_H_INCLUDED_


#include "rt_journal.h"


/* of PATH_MAX bytes */
void rt_segment_path(const rt_journal_t *j, uint32_t segment, char *path);
void rt_spare_path(const rt_journal_t *j, uint32_t spare, char *path);
void rt_old_path(const rt_journal_t *j, uint32_t old, char *path);

/* the threads */
void *rt_journal_writer(void *data);
void *rt_journal_preparer(void *data);

/* 0: the disk is well again; the thread of logic is told of a change */
void rt_journal_set_error(rt_journal_t *j, int err, const char *what);
void rt_journal_wait(pthread_cond_t *cond, pthread_mutex_t *mutex,
    rt_uint_t ms);


#endif /* _RT_JOURNAL_PRIVATE_H_INCLUDED_ */
