/*
 * Text: what a string must be before it may come into a journal.
 */


#ifndef _RT_UTF8_H_INCLUDED_
#define _RT_UTF8_H_INCLUDED_


#include "rt_core.h"


/* well-formed UTF-8 without control characters: C0, DEL, C1; empty is text */
rt_uint_t rt_utf8_is_text(rt_str_t s);


#endif /* _RT_UTF8_H_INCLUDED_ */
