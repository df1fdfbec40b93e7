/*
 * A command as a WebSocket client sends it:
 *
 *     {"id":1,"command":"bid","data":{...},"key":"...","version":7}
 *
 * Members may be left out; which of them are needed is for the caller to say.
 * "id" is a number or a string and comes back as it was written; "data" is an
 * object and goes to the daemon as it was written.
 */


#ifndef _NGX_HTTP_RT_COMMAND_H_INCLUDED_
#define _NGX_HTTP_RT_COMMAND_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


/* as written */
#define NGX_HTTP_RT_COMMAND_ID_MAX  64


typedef struct {
    const u_char    *id;                    /* in the text, with its quotes */
    const u_char    *data;                  /* in the text */
    const u_char    *name;                  /* in the arena */
    const u_char    *key;                   /* in the arena */
    size_t           id_len;                /* 0: no answer is wanted */
    size_t           data_len;
    size_t           name_len;
    size_t           key_len;
    uint64_t         version;
    unsigned         has_version:1;
} ngx_http_rt_command_t;


/*
 * 0, or -1 and what is wrong in err; the id is there even then, if it came
 * before what is wrong.  The arena is as large as the text.
 */

int ngx_http_rt_command_parse(const u_char *text, size_t len, u_char *arena,
    ngx_http_rt_command_t *command, char *err, size_t errlen);


#endif /* _NGX_HTTP_RT_COMMAND_H_INCLUDED_ */
