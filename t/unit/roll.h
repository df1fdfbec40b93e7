/*
 * Chance that can be had again: the same numbers from the same seed, which must
 * not be 0.  xorshift64: G. Marsaglia, "Xorshift RNGs", 2003.
 */


#ifndef _ROLL_H_INCLUDED_
#define _ROLL_H_INCLUDED_


#include <stdint.h>


static uint64_t  seed;


/* from 0 to n - 1 */

static uint64_t
roll(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;

    return seed % n;
}


#endif /* _ROLL_H_INCLUDED_ */
