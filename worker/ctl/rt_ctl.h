/*
 * What the files of worker/ctl share.  The room is the program realtimectl: it
 * owns nothing that lasts, and may call every other room.
 *
 *   realtimectl.c     options; which command it is
 *   rt_ctl_client.c   commands over a daemon's socket
 *   rt_ctl_journal.c  commands on a journal's directory
 *   rt_ctl_backup.c   a copy of one, also of a running daemon's
 */


#ifndef _RT_CTL_H_INCLUDED_
#define _RT_CTL_H_INCLUDED_


#include "rt_core.h"
#include "rt_wire.h"


typedef struct {
    const char    *listen;                  /* NULL: not given */
    const char    *data;
    const char    *user;
    const char    *key;
    rt_uint_t      from_start;
} rt_ctl_options_t;


/* each returns the exit code of the program */

int rt_ctl_ask(const rt_ctl_options_t *o, rt_wire_type_e type, char **args,
    int n);
int rt_ctl_tail(const rt_ctl_options_t *o, char **args, int n);

int rt_ctl_verify(const rt_ctl_options_t *o);
int rt_ctl_cat(const rt_ctl_options_t *o);
int rt_ctl_repair(const rt_ctl_options_t *o);
int rt_ctl_replay(const rt_ctl_options_t *o);
int rt_ctl_backup(const rt_ctl_options_t *o, const char *to);


#endif /* _RT_CTL_H_INCLUDED_ */
