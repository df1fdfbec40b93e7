/*
 * Patterns that subscribe to topics, and what matches.  What is valid differs
 * by protocol; see ngx_http_rt_rule.h for HTTP.
 *
 * A pattern is a topic in which a whole segment may be "*" (any one segment),
 * a segment may end with "*" (any segment with that prefix, the bare prefix
 * too), and the last segment may be "**" (one segment or more).
 */


#ifndef _NGX_HTTP_RT_PATTERN_H_INCLUDED_
#define _NGX_HTTP_RT_PATTERN_H_INCLUDED_


#include <stddef.h>
#include <sys/types.h>


#define NGX_HTTP_RT_TOPIC_MAX  255


/* 1 or 0; both sides have been checked, and the topic has no stars */
int ngx_http_rt_pattern_match(const u_char *pat, size_t plen,
    const u_char *topic, size_t tlen);

/*
 * The length of the literal head, that is the whole segments before the first
 * one with a star, without the slash after them: "chat/42/" + "**" has 7,
 * "chat/ab*" has 4, a pattern without stars its own length.
 */
size_t ngx_http_rt_pattern_head(const u_char *pat, size_t plen);


#endif /* _NGX_HTTP_RT_PATTERN_H_INCLUDED_ */
