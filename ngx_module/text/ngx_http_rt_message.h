/*
 * A message as the encoders see it: borrowed bytes, wherever they live.
 */


#ifndef _NGX_HTTP_RT_MESSAGE_H_INCLUDED_
#define _NGX_HTTP_RT_MESSAGE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


/*
 * Everything has been checked at publishing: topic, event, type and the data
 * that is not binary are UTF-8, an event has no control characters.  A length
 * of 0 is "not given".
 */

typedef struct {
    uint64_t       epoch;
    uint64_t       seq;
    uint64_t       time;             /* ms since 1970 */

    const u_char  *topic;
    const u_char  *event;
    const u_char  *type;
    const u_char  *data;
    uint64_t       blob;             /* where the data is already, or 0 */

    uint64_t       topic_id;         /* set when it is appended, */
    uint32_t       cell;             /* as are seq and hash */
    uint32_t       hash;

    uint32_t       data_len;
    uint8_t        topic_len;
    uint8_t        event_len;
    uint8_t        type_len;
    unsigned       binary:1;
    unsigned       refused:1;        /* only its place is told: a gap */
} ngx_http_rt_message_t;


#endif /* _NGX_HTTP_RT_MESSAGE_H_INCLUDED_ */
