/*
 * The error log, in nginx's wording: "2026/01/31 12:00:00 [level] pid: text".
 */


#ifndef _RT_LOG_H_INCLUDED_
#define _RT_LOG_H_INCLUDED_


#include "rt_core.h"


typedef enum {
    RT_LOG_STDERR = 0,
    RT_LOG_EMERG,                   /* cannot start */
    RT_LOG_ALERT,                   /* our bug */
    RT_LOG_CRIT,                    /* the system failed us */
    RT_LOG_ERR,                     /* an operation failed */
    RT_LOG_WARN,                    /* odd, but served */
    RT_LOG_NOTICE,
    RT_LOG_INFO,                    /* the peer's fault */
    RT_LOG_DEBUG                    /* one message's path */
} rt_log_level_e;


extern rt_uint_t  rt_log_level;

#define rt_log(level, err, ...)                                               \
    do {                                                                      \
        if ((rt_uint_t) (level) <= rt_log_level) {                            \
            rt_log_write(level, err, __VA_ARGS__);                            \
        }                                                                     \
    } while (0)

void rt_log_write(rt_log_level_e level, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* path NULL: stderr.  Called again with the same path it reopens the file */

rt_int_t rt_log_open(const char *path);
rt_int_t rt_log_level_by_name(const char *name);


#endif /* _RT_LOG_H_INCLUDED_ */
