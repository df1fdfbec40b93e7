/*
 * Files: reads and writes that are complete, and files replaced at once.
 *
 * All that the journal and the snapshots do to files and directories goes
 * through the table rt_io, so that a test can make each call fail: with short
 * writes, EINTR, ENOSPC, EIO, EMFILE, and a slow fdatasync().
 */


#ifndef _RT_IO_H_INCLUDED_
#define _RT_IO_H_INCLUDED_


#include <dirent.h>
#include <sys/stat.h>

#include "rt_core.h"


typedef struct {
    int        (*open)(const char *path, int flags, mode_t mode);
    ssize_t    (*pread)(int fd, void *buf, size_t size, off_t offset);
    ssize_t    (*pwrite)(int fd, const void *buf, size_t size, off_t offset);
    int        (*fdatasync)(int fd);
    int        (*fsync)(int fd);            /* of a directory */
    int        (*rename)(const char *from, const char *to);
    int        (*unlink)(const char *path);
    int        (*mkdir)(const char *path, mode_t mode);
    int        (*stat)(const char *path, struct stat *st);
    int        (*fstat)(int fd, struct stat *st);
    DIR       *(*opendir)(const char *path);
} rt_io_t;


extern rt_io_t  rt_io;              /* the system's, unless a test says so */


/* all of it or RT_ERROR with errno; interrupted and short writes go on */
rt_int_t rt_io_write(int fd, const void *buf, size_t size, off_t offset);

/* how much there was, or -1 */
ssize_t rt_io_read(int fd, void *buf, size_t size, off_t offset);

rt_int_t rt_io_sync(int fd);
rt_int_t rt_io_sync_dir(const char *path);

/* the directory, made if it is not there; it lasts then, as its parent says */
rt_int_t rt_io_make_dir(const char *path);

/* a file that has no use any more; RT_ERROR if it is still there, logged */
rt_int_t rt_io_remove(const char *path);

/*
 * A whole file at once: written aside, synced, renamed.  Without sync it does
 * not wait for the disk, and a power failure may bring the old one back.
 */
rt_int_t rt_io_replace(const char *dir, const char *name, const void *data,
    size_t size, rt_uint_t sync);


#endif /* _RT_IO_H_INCLUDED_ */
