/*
 * One line of a batch: a flat JSON object that names a message to publish.
 */


#ifndef _NGX_HTTP_RT_BATCH_H_INCLUDED_
#define _NGX_HTTP_RT_BATCH_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


#define NGX_HTTP_RT_BATCH_ERROR_LEN  128


typedef struct {
    const u_char  *topic;
    const u_char  *event;
    const u_char  *type;
    const u_char  *data;             /* decoded if it came as base64 */

    size_t         topic_len;
    size_t         event_len;
    size_t         type_len;
    size_t         data_len;

    unsigned       topic_given:1;
    unsigned       data_given:1;     /* always 1 after a success */
    unsigned       binary:1;         /* came as base64 */
} ngx_http_rt_batch_line_t;


/*
 * 0, or -1 with the reason in err, NUL-terminated; it may have quotes in it.
 * The line comes without its newline.  All that out points to is in arena,
 * which has at least len bytes; the line itself is not needed any more.
 *
 * This is about JSON only: whether topic, event and type are fit to publish
 * with is the caller's to check.
 */
int ngx_http_rt_batch_parse(const u_char *line, size_t len, u_char *arena,
    ngx_http_rt_batch_line_t *out, char *err, size_t errlen);


#endif /* _NGX_HTTP_RT_BATCH_H_INCLUDED_ */
