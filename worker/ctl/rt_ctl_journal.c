/*
 * realtimectl on a journal's directory: verify and cat read that of any
 * daemon; repair and replay --check want it stopped.
 */


#include <limits.h>
#include <stdio.h>

#include "rt_ctl.h"
#include "rt_dispatch.h"
#include "rt_snapshot.h"


static int
rt_ctl_journal(const rt_ctl_options_t *o, rt_journal_t *j,
    rt_uint_t read_only)
{
    rt_journal_conf_t  conf;

    if (o->data == NULL) {
        fprintf(stderr, "realtimectl: --data or --config is needed\n");
        return -1;
    }

    memset(&conf, 0, sizeof(rt_journal_conf_t));
    conf.dir = (char *) o->data;
    conf.read_only = read_only;

    return rt_journal_open(j, &conf) == RT_OK ? 0 : -1;
}


static rt_int_t
rt_ctl_cat_record(void *data, const rt_record_t *rec)
{
    rt_event_t          ev;
    rt_buf_t           *b;
    const rt_engine_t  *engine;

    static rt_buf_t  lifted[2];             /* live until exit */

    b = data;
    engine = rt_engine_by_id(rec->engine);

    rt_buf_reset(b);
    rt_buf_printf(b, "{\"seq\":%llu,\"at\":\"%08u.seg:%u\",\"engine\":",
                  (unsigned long long) rec->seq, rt_addr_segment(rec->addr),
                  rt_addr_offset(rec->addr));

    if (engine) {
        rt_buf_printf(b, "\"%s\"", engine->name);
    } else {
        rt_buf_printf(b, "%u", rec->engine);
    }

    rt_buf_literal(b, ",\"entity\":");
    rt_json_string(b, rec->entity);
    rt_buf_literal(b, ",");

    if (engine && rec->type < RT_RECORD_SYSTEM
        && rt_history_lift(engine, rec, &ev, lifted) == RT_OK)
    {
        rt_buf_literal(b, "\"event\":");
        rt_history_describe(engine, &ev, b);

    } else {
        rt_buf_printf(b, "\"record\":\"%s\",\"type\":%u,\"lift\":%u,"
                      "\"time\":%llu,\"size\":%zu",
                      rec->type == RT_RECORD_ANSWER ? "answer"
                      : rec->type == RT_RECORD_HASH ? "hash"
                      : rec->type == RT_RECORD_CHECKPOINT ? "checkpoint"
                      : rec->type == RT_RECORD_ENDED ? "ended"
                      : "unknown",
                      rec->type, rec->lift, (unsigned long long) rec->time_ms,
                      rec->data.len);
    }

    rt_buf_literal(b, "}");
    printf("%.*s\n", (int) rt_buf_size(b), b->pos);

    return RT_OK;
}


static int
rt_ctl_scan(const rt_ctl_options_t *o, rt_scan_pt handler)
{
    int                rc;
    rt_buf_t           b;
    rt_journal_t       j;
    rt_scan_result_t   res;

    memset(&b, 0, sizeof(rt_buf_t));

    if (rt_ctl_journal(o, &j, 1) == -1) {
        return 1;
    }

    rc = rt_journal_scan(&j, rt_journal_first(&j), 0, &res, handler, &b)
         == RT_OK ? 0 : 1;

    if (rc) {
        fprintf(stderr, "%s\n", res.error);

    } else if (handler == NULL) {
        printf("%llu records, %llu bytes, next seq %llu at %08u.seg:%u%s\n",
               (unsigned long long) res.records,
               (unsigned long long) res.bytes,
               (unsigned long long) rt_max(res.seq, 1),
               rt_addr_segment(res.addr), rt_addr_offset(res.addr),
               res.torn || res.torn_last > rt_addr_offset(res.addr) + 7
               ? ", a torn tail" : "");
    }

    rt_buf_free(&b);
    rt_journal_close(&j);

    return rc;
}


int
rt_ctl_verify(const rt_ctl_options_t *o)
{
    return rt_ctl_scan(o, NULL);
}


int
rt_ctl_cat(const rt_ctl_options_t *o)
{
    return rt_ctl_scan(o, rt_ctl_cat_record);
}


/* snapshots of what has been cut */

static rt_uint_t
rt_ctl_set_aside(const char *dir, uint64_t seq)
{
    char       from[PATH_MAX], to[PATH_MAX + 16];
    uint64_t   seqs[RT_SNAPSHOTS_MAX];
    rt_uint_t  i, n, moved;

    moved = 0;
    n = rt_snapshot_list(dir, seqs, RT_SNAPSHOTS_MAX);

    for (i = 0; i < n; i++) {
        if (seqs[i] >= seq) {
            snprintf(from, sizeof(from), "%s/snapshot-%020llu", dir,
                     (unsigned long long) seqs[i]);
            snprintf(to, sizeof(to), "%s.damaged", from);
            moved += rename(from, to) == 0;
        }
    }

    return moved;
}


/* the journal is whole, but perhaps shorter than a snapshot */

static int
rt_ctl_repair_ahead(rt_journal_t *j, const rt_scan_result_t *res)
{
    uint64_t  seq;

    seq = rt_max(res->seq, 1);

    if (rt_ctl_set_aside(j->dir, seq) == 0) {
        printf("nothing to repair\n");
        return 0;
    }

    if (rt_journal_new_epoch(j) != RT_OK) {
        return 1;
    }

    printf("snapshots from seq %llu on, of events that the journal does not "
           "have, are in *.damaged, the epoch is now %llx\n",
           (unsigned long long) seq, (unsigned long long) j->epoch);

    return 0;
}


int
rt_ctl_repair(const rt_ctl_options_t *o)
{
    int                rc;
    rt_journal_t       j;
    rt_scan_result_t   res;

    if (rt_ctl_journal(o, &j, 0) == -1) {
        return 1;
    }

    rc = 1;

    if (rt_journal_scan(&j, rt_journal_first(&j), 0, &res, NULL, NULL)
        == RT_OK)
    {
        rc = rt_ctl_repair_ahead(&j, &res);

    } else if (!res.damaged) {
        fprintf(stderr, "%s\n", res.error);

    } else if (rt_journal_repair(&j, &res) == RT_OK) {
        printf("%s\ncut before seq %llu, the rest is in *.damaged, the epoch "
               "is now %llx\n", res.error, (unsigned long long) res.seq,
               (unsigned long long) j.epoch);
        (void) rt_ctl_set_aside(o->data, res.seq);
        rc = 0;
    }

    rt_journal_close(&j);

    return rc;
}


int
rt_ctl_replay(const rt_ctl_options_t *o)
{
    if (o->data == NULL) {
        fprintf(stderr, "realtimectl: --data or --config is needed\n");
        return 1;
    }

    return rt_check(o->data) == RT_OK ? 0 : 1;
}
