/*
 * replay --check: everything from the first record, compared with each
 * snapshot at its seq, with the hashes in the journal, and with the newest
 * snapshot replayed to the end.
 */


#include <stdio.h>

#include "rt_dispatch_private.h"
#include "rt_log.h"


typedef struct {
    rt_dispatch_t   all;
    rt_dispatch_t   part;                   /* from a snapshot on */
    rt_uint_t       has_part;
    uint64_t        seqs[RT_SNAPSHOTS_MAX];
    rt_uint_t       n;
    rt_uint_t       compared;
    rt_uint_t       differ;
} rt_check_t;


static void
rt_check_compare(rt_check_t *ck, uint64_t seq, const char *what)
{
    uint64_t          a, b;
    rt_uint_t         i;
    rt_projection_t  *p, *q;

    a = rt_dispatch_hash(&ck->all);
    b = rt_dispatch_hash(&ck->part);

    for (i = 0; i < ck->all.nprojections; i++) {
        p = &ck->all.projections[i];
        q = &ck->part.projections[i];

        if (p->since != q->since) {
            a -= rt_projection_hash(&ck->all, p);
            b -= rt_projection_hash(&ck->part, q);

            printf("seq %llu: projection \"%s\" begins at seq %llu and at "
                   "seq %llu, not compared\n", (unsigned long long) seq,
                   p->engine->name, (unsigned long long) p->since,
                   (unsigned long long) q->since);
        }
    }

    printf("seq %llu: replayed %016llx, %s %016llx: %s\n",
           (unsigned long long) seq, (unsigned long long) a, what,
           (unsigned long long) b, a == b ? "equal" : "DIFFERENT");

    ck->compared++;
    ck->differ += a != b;
}


static void
rt_check_free(rt_check_t *ck)
{
    if (ck->has_part) {
        rt_store_free(&ck->part);
        rt_journal_reader_close(&ck->part.journal);
        ck->has_part = 0;
    }
}


/* the other dispatcher reads evicted entities from the same journal */

static rt_int_t
rt_check_load(rt_check_t *ck, uint64_t seq)
{
    u_char              *data;
    rt_int_t             rc;
    rt_reader_t          body;
    rt_snapshot_head_t   head;

    if (rt_snapshot_load(ck->all.conf.journal.dir, seq, &head, &data, &body)
        != RT_OK)
    {
        return RT_DECLINED;
    }

    rt_check_free(ck);
    rt_store_init(&ck->part, &ck->all.conf);
    rt_journal_reader_open(&ck->part.journal, &ck->all.journal);
    ck->has_part = 1;

    rc = rt_image_load(&ck->part, &body);
    free(data);

    if (rc == RT_OK) {
        rc = rt_projection_build(&ck->part, seq);
    }

    if (rc != RT_OK) {
        rt_log(RT_LOG_ERR, 0, "the snapshot at seq %llu is not understood, "
               "passing over it", (unsigned long long) seq);
        ck->differ += rc == RT_ERROR;
        rt_check_free(ck);
    }

    return rc;
}


static rt_int_t
rt_check_record(void *data, const rt_record_t *rec)
{
    rt_uint_t    i;
    rt_check_t  *ck;

    ck = data;

    if (rt_replay_record(&ck->all, rec) != RT_OK
        || (ck->has_part && rt_replay_record(&ck->part, rec) != RT_OK))
    {
        return RT_ERROR;
    }

    for (i = 0; i < ck->n; i++) {
        if (ck->seqs[i] == rec->seq && rt_check_load(ck, rec->seq) == RT_OK) {
            rt_check_compare(ck, rec->seq, "snapshot");
        }
    }

    return RT_OK;
}


/* where the replay begins: the first record, or the oldest snapshot */

static rt_int_t
rt_check_begin(rt_check_t *ck, uint64_t *addr, uint64_t *seq)
{
    u_char              *data;
    rt_int_t             rc;
    rt_reader_t          body;
    rt_dispatch_t       *d;
    rt_snapshot_head_t   head;

    d = &ck->all;

    *addr = rt_journal_first(&d->journal);
    *seq = 1;

    if (d->journal.first_segment <= 1) {
        return RT_OK;
    }

    if (ck->n == 0
        || rt_snapshot_load(d->conf.journal.dir, ck->seqs[ck->n - 1], &head,
                            &data, &body)
           != RT_OK)
    {
        rt_log(RT_LOG_ERR, 0, "nothing to begin with");
        return RT_ERROR;
    }

    rc = rt_image_load(d, &body);
    free(data);

    if (rc != RT_OK || rt_projection_build(d, head.seq) != RT_OK) {
        rt_log(RT_LOG_ERR, 0, "nothing to begin with");
        return RT_ERROR;
    }

    *addr = head.addr;
    *seq = head.seq + 1;

    return RT_OK;
}


static rt_int_t
rt_check_run(rt_check_t *ck)
{
    uint64_t          start, us, addr, seq;
    rt_int_t          rc;
    rt_scan_result_t  res;

    if (rt_check_begin(ck, &addr, &seq) != RT_OK) {
        return RT_ERROR;
    }

    start = rt_time_us();
    rc = rt_journal_scan(&ck->all.journal, addr, seq, &res, rt_check_record,
                         ck);
    us = rt_max(rt_time_us() - start, 1);

    if (rc != RT_OK) {
        rt_log(RT_LOG_ERR, 0, "%s", res.damaged ? res.error
                                                : "the replay failed");
        return RT_ERROR;
    }

    printf("%llu records, %zu entities, %.2f s, %.2f million/s\n",
           (unsigned long long) res.records, ck->all.entities.n,
           (double) us / 1e6, (double) res.records / (double) us);

    if (ck->has_part) {
        rt_check_compare(ck, res.seq - 1, "newest snapshot replayed");

    } else {
        printf("seq %llu: replayed %016llx, no snapshot to compare with\n",
               (unsigned long long) res.seq - 1,
               (unsigned long long) rt_dispatch_hash(&ck->all));
    }

    printf("%s\n", ck->differ ? "the states differ" : "the states agree");

    return ck->differ ? RT_ERROR : RT_OK;
}


rt_int_t
rt_check(const char *dir)
{
    rt_int_t             rc;
    rt_check_t          *ck;
    rt_dispatch_conf_t   conf;

    rt_dispatch_defaults(&conf);
    conf.idle_ms = 0;
    conf.ended_ms = 0;
    conf.journal.dir = (char *) dir;

    ck = rt_calloc(sizeof(rt_check_t));
    rt_store_init(&ck->all, &conf);

    if (rt_journal_open(&ck->all.journal, &conf.journal) != RT_OK) {
        rt_store_free(&ck->all);
        free(ck);
        return RT_ERROR;
    }

    ck->n = rt_snapshot_list(dir, ck->seqs, RT_SNAPSHOTS_MAX);

    rc = rt_check_run(ck);

    rt_check_free(ck);
    rt_store_close(&ck->all);
    free(ck);

    return rc;
}
