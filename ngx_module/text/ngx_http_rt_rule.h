/*
 * HTTP's rules for what a publisher and a subscriber name.  The ring carries
 * any bytes as a topic; these are the ones that HTTP, SSE and the native
 * WebSocket allow: 1 to 255 bytes of UTF-8 in segments between slashes, none of
 * them empty, without commas, stars and control characters.  Another protocol
 * has rules of its own, with functions of the same kind.
 *
 * A function returns NULL if all is well, else the reason, short and static.
 */


#ifndef _NGX_HTTP_RT_RULE_H_INCLUDED_
#define _NGX_HTTP_RT_RULE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


#define NGX_HTTP_RT_EVENT_MAX  128
#define NGX_HTTP_RT_TYPE_MAX   255


const char *ngx_http_rt_rule_topic(const u_char *p, size_t len);

/* a topic, or a pattern with stars at their place; *wild is 1 if there is a */
/* star, else 0, and left alone on errors */
const char *ngx_http_rt_rule_pattern(const u_char *p, size_t len,
    unsigned *wild);

const char *ngx_http_rt_rule_event(const u_char *p, size_t len);
const char *ngx_http_rt_rule_type(const u_char *p, size_t len);

/* 1: UTF-8 without control characters (C0, DEL, C1) */
int ngx_http_rt_rule_plain(const u_char *p, size_t len);

/* 1: messages of this media type are text, 0: they are binary */
int ngx_http_rt_rule_is_text(const u_char *type, size_t len);


#endif /* _NGX_HTTP_RT_RULE_H_INCLUDED_ */
