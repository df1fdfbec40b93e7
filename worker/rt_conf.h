/*
 * The configuration: realtimed.conf, INI, read by libinih.
 *
 * INI because the daemon's configuration is flat, and libinih because it is
 * small, packaged everywhere and tells the line of an error.
 */


#ifndef _RT_CONF_H_INCLUDED_
#define _RT_CONF_H_INCLUDED_


#include "rt_dispatch.h"
#include "rt_link.h"


#define RT_CONF_TEXT_MAX  256


typedef struct {
    char                 listen[RT_CONF_TEXT_MAX];
    char                 data[RT_CONF_TEXT_MAX];
    char                 group[RT_CONF_TEXT_MAX];
    char                 user[RT_CONF_TEXT_MAX];
    char                 pid[RT_CONF_TEXT_MAX];
    char                 log[RT_CONF_TEXT_MAX];
    rt_uint_t            log_level;
    rt_uint_t            daemon;

    rt_link_conf_t       link;
    rt_dispatch_conf_t   dispatch;

    const char          *file;              /* while reading */
    char                 error[RT_CONF_TEXT_MAX];
    char                 error_name[RT_CONF_TEXT_MAX];
} rt_conf_t;


void rt_conf_defaults(rt_conf_t *cf);

/* RT_ERROR: logged, with file and line */
rt_int_t rt_conf_read(rt_conf_t *cf, const char *file);

/* after everything has been said: what is missing, pointers */
rt_int_t rt_conf_finish(rt_conf_t *cf);


#endif /* _RT_CONF_H_INCLUDED_ */
