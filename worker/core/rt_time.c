/*
 * The clock that follows the wall clock: rt_time.h.
 *
 * What the wall clock does other than elapse is a step.  Each step is counted
 * and logged; a clock that is set again and again is logged once a minute.
 */


#include <time.h>

#include "rt_log.h"
#include "rt_time.h"


#define RT_TIME_SLEW      10                /* one part of so many */
#define RT_TIME_STEP_US   1000000           /* less is not worth a word */
#define RT_TIME_LOG_US    60000000          /* before the same again */


/* what there is to say of the wall clock */

#define RT_TIME_GOOD      0
#define RT_TIME_AHEAD     1
#define RT_TIME_HELD      2
#define RT_TIME_BEHIND    3
#define RT_TIME_FAR       4                 /* behind, beyond the limit */


static uint64_t
rt_time_clock(clockid_t id)
{
    struct timespec  ts;

    clock_gettime(id, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


uint64_t
rt_time_ms(void)
{
    return rt_time_clock(CLOCK_REALTIME) / 1000;
}


uint64_t
rt_time_us(void)
{
    return rt_time_clock(CLOCK_MONOTONIC);
}


void
rt_time_read(rt_reading_t *now)
{
    now->wall_us = rt_time_clock(CLOCK_REALTIME);
    now->elapsed_us = rt_time_clock(CLOCK_BOOTTIME);
}


static int
rt_time_state(const rt_time_t *t)
{
    if (t->held) {
        return RT_TIME_HELD;
    }

    if (t->offset_us >= RT_TIME_STEP_US) {
        return RT_TIME_AHEAD;
    }

    if (t->offset_us > -RT_TIME_STEP_US) {
        return RT_TIME_GOOD;
    }

    return t->offset_us < - (int64_t) t->limit_us ? RT_TIME_FAR
                                                  : RT_TIME_BEHIND;
}


static void
rt_time_log(rt_time_t *t)
{
    int     state;
    double  s;

    state = rt_time_state(t);

    if (state == t->logged
        && t->last.elapsed_us - t->logged_us < RT_TIME_LOG_US)
    {
        return;
    }

    t->logged = state;
    t->logged_us = t->last.elapsed_us;
    s = (double) t->offset_us / 1e6;

    switch (state) {

    case RT_TIME_HELD:
        rt_log(RT_LOG_CRIT, 0, "the wall clock is %.3f s ahead of the "
               "journal's time, which does not follow it until \"realtimectl "
               "accept-time\" says so", s);
        break;

    case RT_TIME_AHEAD:
        rt_log(RT_LOG_WARN, 0, "the wall clock is %.3f s ahead of the "
               "journal's time, which runs faster by a tenth until it has "
               "caught up", s);
        break;

    case RT_TIME_GOOD:
        rt_log(RT_LOG_NOTICE, 0, "the wall clock is %.3f s ahead of the "
               "journal's time again", s);
        break;

    default:
        rt_log(state == RT_TIME_FAR ? RT_LOG_CRIT : RT_LOG_WARN, 0, "the wall "
               "clock is %.3f s behind the journal's time, which runs slower "
               "by a tenth until both agree", -s);
    }
}


/* the wall clock has moved by that much more than the time that elapsed */

static void
rt_time_judge(rt_time_t *t, int64_t step)
{
    rt_uint_t  held, stepped;

    stepped = step >= RT_TIME_STEP_US || step <= -RT_TIME_STEP_US;
    held = t->offset_us > (int64_t) t->limit_us;

    if (stepped) {
        t->steps++;
    }

    if (held && (stepped || !t->held)) {
        t->refused++;
    }

    if (stepped || held != t->held) {
        t->held = held;
        rt_time_log(t);
    }
}


void
rt_time_start(rt_time_t *t, uint64_t us, uint64_t limit_ms,
    const rt_reading_t *now)
{
    memset(t, 0, sizeof(rt_time_t));

    t->us = us;
    t->limit_us = limit_ms * 1000;
    t->last = *now;
    t->offset_us = (int64_t) (now->wall_us - us);

    rt_time_judge(t, t->offset_us);
}


void
rt_time_update(rt_time_t *t, const rt_reading_t *now)
{
    int64_t   step;
    uint64_t  elapsed, slew;

    elapsed = now->elapsed_us > t->last.elapsed_us
              ? now->elapsed_us - t->last.elapsed_us : 0;
    step = (int64_t) (now->wall_us - t->last.wall_us - elapsed);

    t->last = *now;
    t->us += elapsed;
    t->offset_us = (int64_t) (now->wall_us - t->us);

    slew = (elapsed + t->rest) / RT_TIME_SLEW;
    t->rest = (elapsed + t->rest) % RT_TIME_SLEW;

    if (t->offset_us < 0) {
        t->us -= rt_min(slew, (uint64_t) -t->offset_us);

    } else if (t->offset_us <= (int64_t) t->limit_us) {
        t->us += rt_min(slew, (uint64_t) t->offset_us);
    }

    t->offset_us = (int64_t) (now->wall_us - t->us);

    rt_time_judge(t, step);
}


uint64_t
rt_time_accept(rt_time_t *t, const rt_reading_t *now)
{
    uint64_t  step;

    rt_time_update(t, now);

    if (t->offset_us <= 0) {
        return 0;
    }

    step = (uint64_t) t->offset_us;

    t->us = now->wall_us;
    t->offset_us = 0;
    t->held = 0;
    t->logged = RT_TIME_GOOD;

    rt_log(RT_LOG_NOTICE, 0, "the wall clock is accepted: the journal's time "
           "leaps by %.3f s", (double) step / 1e6);

    return step / 1000;
}
