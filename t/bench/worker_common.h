/*
 * What the programs that measure realtimed share.
 */

#ifndef _WORKER_COMMON_H_INCLUDED_
#define _WORKER_COMMON_H_INCLUDED_


#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>


static uint64_t
now_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


static void
die(const char *what)
{
    perror(what);
    exit(1);
}


#endif /* _WORKER_COMMON_H_INCLUDED_ */
