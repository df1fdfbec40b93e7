/*
 * Time: the system's clocks, and a clock of our own for what lasts.
 *
 * The wall clock can be set: by hand, by NTP, by a battery that is empty.  So
 * our clock goes by the time that has elapsed, which includes the time that a
 * machine was suspended, and follows the wall clock slowly: while they differ
 * it runs faster or slower by a tenth.  It never goes back and never leaps.
 *
 * A wall clock that is ahead by more than a limit is not followed at all until
 * somebody says that it is right; our clock goes on by itself meanwhile.
 *
 * A reading is an input: tests make up their own.
 */


#ifndef _RT_TIME_H_INCLUDED_
#define _RT_TIME_H_INCLUDED_


#include "rt_core.h"


#define RT_TIME_LIMIT_MS  (600 * 1000)      /* ahead, and not followed */


typedef struct {
    uint64_t       wall_us;                 /* since 1970 */
    uint64_t       elapsed_us;              /* since the machine was started */
} rt_reading_t;


typedef struct {
    uint64_t       us;                      /* since 1970 */
    int64_t        offset_us;               /* of the wall clock to it */
    uint64_t       limit_us;
    rt_uint_t      held;                    /* it does not follow */
    rt_reading_t   last;
    uint64_t       rest;                    /* of elapsed time, to be slewed */

    uint64_t       steps;                   /* of the wall clock */
    uint64_t       refused;                 /* those beyond the limit */
    int            logged;                  /* what was said last */
    uint64_t       logged_us;               /* when, in elapsed time */
} rt_time_t;


uint64_t rt_time_ms(void);                  /* ms since 1970, now */
uint64_t rt_time_us(void);                  /* monotonic us, now */

void rt_time_read(rt_reading_t *now);

/* it is "us" at that reading */
void rt_time_start(rt_time_t *t, uint64_t us, uint64_t limit_ms,
    const rt_reading_t *now);
void rt_time_update(rt_time_t *t, const rt_reading_t *now);

/* the wall clock is right; returns by how many ms we leapt forwards */
uint64_t rt_time_accept(rt_time_t *t, const rt_reading_t *now);


#endif /* _RT_TIME_H_INCLUDED_ */
