/*
 * Appending: the thread of logic fills one of two buffers and hands it to the
 * writer when the writer is idle.
 */


#include <unistd.h>

#include "rt_journal_private.h"
#include "rt_log.h"


rt_uint_t
rt_journal_has_room(rt_journal_t *j, size_t size)
{
    /* the change of a segment costs an END and a header */

    size += RT_RECORD_END_SIZE + RT_SEGMENT_HEADER_SIZE;

    return j->batch[j->active].used + size <= j->conf.buffer_size;
}


static rt_chunk_t *
rt_journal_chunk(rt_journal_t *j, rt_batch_t *b)
{
    rt_chunk_t  *c;

    if (b->nchunks) {
        c = &b->chunks[b->nchunks - 1];

        if (c->segment == j->segment) {
            return c;
        }
    }

    c = &b->chunks[b->nchunks++];

    c->segment = j->segment;
    c->offset = j->offset;
    c->start = b->used;
    c->size = 0;

    return c;
}


static void
rt_journal_put(rt_journal_t *j, rt_batch_t *b, size_t size)
{
    rt_journal_chunk(j, b)->size += size;
    b->used += size;
    j->offset += (uint32_t) size;

    rt_assert(b->used <= j->conf.buffer_size);
    rt_assert(j->offset <= j->conf.segment_size);
}


static void
rt_journal_next_segment(rt_journal_t *j, rt_batch_t *b, uint64_t time_ms)
{
    rt_record_t  end;

    if (j->segment) {
        memset(&end, 0, sizeof(rt_record_t));

        end.type = RT_RECORD_END;
        end.seq = j->next_seq;
        end.time_ms = time_ms;
        end.batch = (uint32_t) (j->next_seq - j->batch_seq);
        end.entity.data = (const u_char *) "";
        end.data.data = (const u_char *) "";

        rt_record_encode(b->start + b->used, &end,
                         rt_segment_salt(j->segment));
        rt_journal_put(j, b, RT_RECORD_END_SIZE);
    }

    j->segment++;
    j->offset = 0;

    if (j->first_segment == 0) {
        j->first_segment = j->segment;
    }

    rt_segment_encode(b->start + b->used, j->segment, j->epoch, j->next_seq,
                      time_ms, j->conf.segment_size);
    rt_journal_put(j, b, RT_SEGMENT_HEADER_SIZE);
}


void
rt_journal_append(rt_journal_t *j, rt_record_t *rec)
{
    size_t       size;
    rt_batch_t  *b;

    rt_assert(rec->data.len <= RT_RECORD_DATA_MAX);
    rt_assert(rec->entity.len <= 255);
    rt_assert(rec->time_ms >= j->last_time);

    size = rt_record_size(rec);
    b = &j->batch[j->active];

    if (j->segment == 0
        || j->offset + size + RT_RECORD_END_SIZE > j->conf.segment_size)
    {
        rt_journal_next_segment(j, b, rec->time_ms);
    }

    rt_assert(b->used + size <= j->conf.buffer_size);

    rec->seq = j->next_seq++;
    rec->batch = (uint32_t) (rec->seq - j->batch_seq);
    rec->addr = rt_addr(j->segment, j->offset);
    rec->next = rec->addr + size;

    rt_record_encode(b->start + b->used, rec, rt_segment_salt(j->segment));
    rt_journal_put(j, b, size);

    rt_assert(rec->batch == 0 || rec->seq == b->last_seq + 1);

    b->last_seq = rec->seq;
    j->last_time = rec->time_ms;
}


size_t
rt_journal_pending(const rt_journal_t *j)
{
    return j->batch[0].used + j->batch[1].used;
}


size_t
rt_journal_gathered(const rt_journal_t *j)
{
    return j->batch[j->active].used;
}


void
rt_journal_flush(rt_journal_t *j)
{
    rt_batch_t  *b;

    b = &j->batch[j->active];

    if (b->used == 0 || j->batch[!j->active].used != 0) {
        return;
    }

    j->active = !j->active;
    j->batch_seq = j->next_seq;

    pthread_mutex_lock(&j->mutex);
    j->writing = b;
    pthread_cond_signal(&j->wake_writer);
    pthread_mutex_unlock(&j->mutex);
}


void
rt_journal_notified(rt_journal_t *j)
{
    uint64_t     n;
    rt_uint_t    failing;
    rt_batch_t  *b;
    rt_chunk_t  *c;

    if (read(j->event_fd, &n, sizeof(n)) == -1 && errno != EAGAIN) {
        rt_log(RT_LOG_ALERT, errno, "read() of an eventfd failed");
    }

    pthread_mutex_lock(&j->mutex);

    b = &j->batch[!j->active];

    if (b->used && j->writing == NULL) {
        c = &b->chunks[b->nchunks - 1];
        j->durable_addr = rt_addr(c->segment, c->offset + c->size);
        b->used = 0;
        b->nchunks = 0;
    }

    rt_assert(j->done_seq >= j->durable_seq && j->done_seq < j->next_seq);

    j->durable_seq = j->done_seq;
    j->stats = j->shared;
    failing = j->error != 0;

    pthread_mutex_unlock(&j->mutex);

    j->failing = failing;
}
