/*
 * CRC-32C (Castagnoli), by the processor's instruction where it has one.
 */


#ifndef _RT_CRC32C_H_INCLUDED_
#define _RT_CRC32C_H_INCLUDED_


#include "rt_core.h"


uint32_t rt_crc32c(uint32_t seed, const void *data, size_t size);

/* the same without the instruction: the tests compare both */
uint32_t rt_crc32c_table(uint32_t seed, const void *data, size_t size);


#endif /* _RT_CRC32C_H_INCLUDED_ */
