/*
 * The journal alone: durable appends in large batches, and the scan.
 *
 *   worker_journal DIR RECORDS BYTES [WAITING]
 *
 * A record is durable when its batch's fdatasync() is done; WAITING bounds how
 * many are not.  Segments are reused as spares only when they were dropped, so
 * a cold directory also pays for zero-filling: "rate" is of the second half.
 * Prints a line of JSON.
 */


#include <stdio.h>
#include <unistd.h>

#include "rt_journal.h"
#include "rt_log.h"
#include "rt_loop.h"


int
main(int argc, char **argv)
{
    u_char               data[4096];
    uint64_t             n, i, start, half, us, waiting;
    rt_journal_t         j;
    rt_record_t          rec;
    rt_scan_result_t     res;
    rt_journal_conf_t    conf;

    if (argc < 4) {
        fprintf(stderr, "usage: worker_journal DIR RECORDS BYTES [WAITING]\n");
        return 2;
    }

    memset(&conf, 0, sizeof(conf));
    memset(data, 'x', sizeof(data));
    memset(&rec, 0, sizeof(rec));

    conf.dir = argv[1];
    conf.spares = 20;
    n = strtoull(argv[2], NULL, 10);
    rec.data.len = strtoull(argv[3], NULL, 10);
    rec.data.data = data;
    waiting = argc > 4 ? strtoull(argv[4], NULL, 10) : 65536;

    if (rec.data.len > sizeof(data)
        || rt_journal_open(&j, &conf) != RT_OK
        || rt_journal_recover(&j, rt_journal_first(&j), 1, &res, NULL, NULL)
           != RT_OK
        || rt_journal_start(&j) != RT_OK)
    {
        return 1;
    }

    /* the spares first: what is measured is the steady state */

    while (j.nspares < conf.spares) {
        usleep(10000);
    }

    rec.type = 1;
    rec.engine = 1;
    rec.entity.data = (const u_char *) "bench";
    rec.entity.len = 5;

    start = rt_time_us();
    half = start;

    for (i = 0; i < n; i++) {

        if ((i & 1023) == 0) {
            rec.time_ms = rt_max(rt_time_ms(), j.last_time);
            rt_journal_notified(&j);
            rt_journal_flush(&j);
        }

        while (j.next_seq - 1 - j.durable_seq >= waiting
               || !rt_journal_has_room(&j, 4096))
        {
            rt_journal_flush(&j);
            rt_journal_notified(&j);
            usleep(20);
        }

        rec.version++;
        rt_journal_append(&j, &rec);

        if (i == n / 2) {
            half = rt_time_us();
        }
    }

    if (rt_journal_stop(&j, 60000) != RT_OK) {
        return 1;
    }

    us = rt_time_us();

    printf("{\"records\":%llu,\"first_half\":%.0f,\"rate\":%.0f,"
           "\"batches\":%llu,", (unsigned long long) n,
           (double) (n / 2) / (double) (half - start) * 1e6,
           (double) (n - n / 2) / (double) (us - half) * 1e6,
           (unsigned long long) j.stats.batches);

    rt_journal_close(&j);
    conf.read_only = 1;

    if (rt_journal_open(&j, &conf) != RT_OK) {
        return 1;
    }

    start = rt_time_us();

    if (rt_journal_scan(&j, rt_journal_first(&j), 1, &res, NULL, NULL) != RT_OK)
    {
        fprintf(stderr, "%s\n", res.error);
        return 1;
    }

    us = rt_time_us() - start;

    printf("\"scan\":%.0f}\n", (double) res.records / (double) us * 1e6);

    rt_journal_close(&j);

    return 0;
}
