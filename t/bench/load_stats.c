/*
 * Clocks, the servers' CPU time and memory, latencies.
 *
 * CPU time is what the scheduler counted for the servers' processes, in
 * nanoseconds: utime and stime of /proc/PID/stat are the same sum, but in
 * ticks.  With loopback it holds both ends of the network, for what send()
 * causes on the receiver's side is done before it returns.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load.h"


static uint64_t load_schedstat(const char *name, unsigned waited);
static uint64_t load_status(const char *field);


uint64_t
load_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


void
load_hist_add(load_hist_t *h, uint64_t ns)
{
    unsigned  shift, step;

    if (ns > h->max) {
        h->max = ns;
    }

    if (ns < LOAD_HIST_STEPS) {
        step = ns;

    } else {
        shift = 63 - __builtin_clzll(ns) - 6;
        step = (shift + 1) * LOAD_HIST_STEPS
               + (ns >> shift) % LOAD_HIST_STEPS;
    }

    if (step >= LOAD_HIST_SIZE) {
        step = LOAD_HIST_SIZE - 1;
    }

    h->steps[step]++;
    h->count++;
}


/* microseconds that this part stays below */

double
load_hist_us(load_hist_t *h, double part)
{
    uint64_t  n, sum;
    unsigned  i;

    n = (uint64_t) (part * (double) h->count);
    sum = 0;

    for (i = 0; i < LOAD_HIST_SIZE; i++) {
        sum += h->steps[i];

        if (sum > n) {
            break;
        }
    }

    if (sum <= n) {
        return (double) h->max / 1000;
    }

    if (i < LOAD_HIST_STEPS) {
        return (double) i / 1000;
    }

    return (double) ((uint64_t) (LOAD_HIST_STEPS + i % LOAD_HIST_STEPS)
                     << (i / LOAD_HIST_STEPS - 1)) / 1000;
}


uint64_t
load_cpu(void)
{
    return load_schedstat(NULL, 0);
}


/*
 * What they would have run, had nobody else been on their core: a rate that
 * was measured meanwhile says less about the server.
 */

uint64_t
load_waited(void)
{
    return load_schedstat(NULL, 1);
}


uint64_t
load_own_waited(void)
{
    return load_schedstat("/proc/self/schedstat", 1);
}


static uint64_t
load_schedstat(const char *name, unsigned waited)
{
    FILE      *f;
    char       text[64];
    uint64_t   ran, wait, sum;
    unsigned   i, n;

    sum = 0;
    n = name ? 1 : load_conf.npids;

    for (i = 0; i < n; i++) {

        if (name) {
            snprintf(text, sizeof(text), "%s", name);

        } else {
            snprintf(text, sizeof(text), "/proc/%d/schedstat",
                     (int) load_conf.pids[i]);
        }

        f = fopen(text, "r");
        if (f == NULL) {
            load_fail("no %s: the server has gone", text);
        }

        if (fscanf(f, "%lu %lu", &ran, &wait) != 2) {
            load_fail("%s tells nothing", text);
        }

        fclose(f);
        sum += waited ? wait : ran;
    }

    return sum;
}


/* without what is shared: that is the zone, and the same for all */

uint64_t
load_rss(void)
{
    return load_status("RssAnon:");
}


uint64_t
load_rss_shared(void)
{
    return load_status("RssShmem:");
}


static uint64_t
load_status(const char *field)
{
    FILE      *f;
    char       line[256];
    uint64_t   sum;
    unsigned   i;

    sum = 0;

    for (i = 0; i < load_conf.npids; i++) {
        snprintf(line, sizeof(line), "/proc/%d/status",
                 (int) load_conf.pids[i]);

        f = fopen(line, "r");
        if (f == NULL) {
            load_fail("no %s: the server has gone", line);
        }

        while (fgets(line, sizeof(line), f)) {
            if (strncmp(line, field, strlen(field)) == 0) {
                sum += strtoull(line + strlen(field), NULL, 10) * 1024;
            }
        }

        fclose(f);
    }

    return sum;
}
