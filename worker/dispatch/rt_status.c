/*
 * The counters of the room as members of a JSON object.
 */


#include "rt_dispatch_private.h"


void
rt_dispatch_status(rt_dispatch_t *d, rt_buf_t *b)
{
    rt_journal_t         *j;
    rt_dispatch_stats_t  *s;

    j = &d->journal;
    s = &d->stats;

    rt_buf_printf(b, "\"entities\":%zu,\"commands\":%llu,\"queries\":%llu,"
                  "\"refused\":%llu,\"repeated\":%llu,\"busy\":%llu,"
                  "\"visits\":%zu,\"visits_full\":%llu,\"gone\":%llu,"
                  "\"users\":%zu,\"user_limits\":%llu,"
                  "\"events\":%llu,\"ticks\":%llu,\"tick_late_ms_max\":%llu,"
                  "\"evicted\":%llu,\"reloaded\":%llu,\"checkpoints\":%llu,"
                  "\"ended\":%llu,"
                  "\"snapshots\":%llu,\"snapshots_failed\":%llu,"
                  "\"snapshot_pause_us\":%llu,"
                  "\"replayed\":%llu,\"start_ms\":%llu,"
                  "\"time\":%llu,\"clock_offset_ms\":%lld,"
                  "\"clock_held\":%u,\"clock_steps\":%llu,"
                  "\"clock_steps_refused\":%llu,",
                  d->entities.n, (unsigned long long) s->commands,
                  (unsigned long long) s->queries,
                  (unsigned long long) s->refused,
                  (unsigned long long) s->repeated,
                  (unsigned long long) s->busy, d->visits.n,
                  (unsigned long long) s->visits_full,
                  (unsigned long long) s->gone,
                  d->users.table.n, (unsigned long long) s->user_limits,
                  (unsigned long long) s->events,
                  (unsigned long long) s->ticks,
                  (unsigned long long) s->late_ms_max,
                  (unsigned long long) s->evicted,
                  (unsigned long long) s->reloaded,
                  (unsigned long long) s->checkpoints,
                  (unsigned long long) s->ended,
                  (unsigned long long) s->snapshots,
                  (unsigned long long) s->snapshots_failed,
                  (unsigned long long) s->snapshot_us,
                  (unsigned long long) s->replayed,
                  (unsigned long long) s->start_us / 1000,
                  (unsigned long long) d->clock_ms,
                  (long long) d->time.offset_us / 1000,
                  (unsigned) d->time.held,
                  (unsigned long long) d->time.steps,
                  (unsigned long long) d->time.refused);

    rt_projection_status(d, b);

    rt_buf_printf(b, ",\"journal\":{\"epoch\":\"%llx\",\"seq\":%llu,"
                  "\"durable_seq\":%llu,\"segments\":%u,\"failing\":%s,"
                  "\"pending_bytes\":%zu,\"records\":%llu,\"bytes\":%llu,"
                  "\"batches\":%llu,\"batch_max\":%llu,\"sync_us_avg\":%llu,"
                  "\"sync_us_max\":%llu,\"errors\":%llu}",
                  (unsigned long long) j->epoch,
                  (unsigned long long) j->next_seq - 1,
                  (unsigned long long) j->durable_seq,
                  j->segment - j->first_segment + (j->first_segment != 0),
                  j->failing ? "true" : "false", rt_journal_pending(j),
                  (unsigned long long) j->stats.records,
                  (unsigned long long) j->stats.bytes,
                  (unsigned long long) j->stats.batches,
                  (unsigned long long) j->stats.batch_max,
                  (unsigned long long) (j->stats.batches
                                        ? j->stats.sync_us / j->stats.batches
                                        : 0),
                  (unsigned long long) j->stats.sync_max_us,
                  (unsigned long long) j->stats.errors);
}
