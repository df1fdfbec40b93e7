/*
 * A streaming UTF-8 validator (RFC 3629): text may come in pieces cut anywhere,
 * the state carries what is open between them.
 */


#ifndef _NGX_HTTP_RT_UTF8_H_INCLUDED_
#define _NGX_HTTP_RT_UTF8_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


#define NGX_HTTP_RT_UTF8_ACCEPT  0
#define NGX_HTTP_RT_UTF8_REJECT  0xffffffff


/*
 * The state after the bytes: ACCEPT at a character boundary, REJECT from the
 * first byte that cannot continue, anything else within a character.  Starts
 * from ACCEPT; a whole text is valid if it also ends there.
 */
uint32_t ngx_http_rt_utf8_step(uint32_t state, const u_char *p, size_t len);


#endif /* _NGX_HTTP_RT_UTF8_H_INCLUDED_ */
