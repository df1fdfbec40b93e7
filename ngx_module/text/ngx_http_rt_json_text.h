/*
 * JSON as it comes, before a parser sees it.
 */


#ifndef _NGX_HTTP_RT_JSON_TEXT_H_INCLUDED_
#define _NGX_HTTP_RT_JSON_TEXT_H_INCLUDED_


#include <stddef.h>
#include <sys/types.h>


/* what is wrong with the text that yajl would not mind, or NULL */
const char *ngx_http_rt_json_text_check(const u_char *p, size_t len);


#endif /* _NGX_HTTP_RT_JSON_TEXT_H_INCLUDED_ */
