/*
 * The threads that read old records.  Each has a journal reader of its own and
 * does one read at a time; an eventfd rings when it is done.
 */


#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "rt_dispatch_private.h"
#include "rt_log.h"


static void
rt_reads_do(rt_reads_thread_t *t)
{
    if (t->read->query) {
        rt_history_query(&t->past, &t->in, &t->out, &t->version);
        return;
    }

    t->rc = rt_past_state(&t->past, t->past.version, &t->state);
}


static void *
rt_reads_thread(void *data)
{
    uint64_t            one;
    rt_reads_t         *rs;
    rt_reads_thread_t  *t;

    t = data;
    rs = t->reads;
    one = 1;

    pthread_mutex_lock(&rs->mutex);

    while (!rs->stop) {

        if (t->read == NULL || t->done) {
            pthread_cond_wait(&rs->wake, &rs->mutex);
            continue;
        }

        pthread_mutex_unlock(&rs->mutex);

        rt_reads_do(t);

        pthread_mutex_lock(&rs->mutex);
        t->done = 1;

        if (write(rs->poll.fd, &one, sizeof(one)) == -1 && errno != EAGAIN) {
            rt_log(RT_LOG_ALERT, errno, "write() to an eventfd failed");
        }
    }

    pthread_mutex_unlock(&rs->mutex);

    return NULL;
}


/* the end of the turn does the rest */

static void
rt_reads_rung(rt_poll_t *ev, uint32_t events)
{
    uint64_t  n;

    (void) events;

    if (read(ev->fd, &n, sizeof(n)) == -1 && errno != EAGAIN) {
        rt_log(RT_LOG_ALERT, errno, "read() of an eventfd failed");
    }
}


rt_int_t
rt_reads_start(rt_dispatch_t *d, rt_answer_pt handler)
{
    rt_reads_t         *rs;
    rt_reads_thread_t  *t;

    rs = &d->reads;

    rs->handler = handler;
    rs->poll.handler = rt_reads_rung;
    rs->poll.fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

    if (rs->poll.fd == -1) {
        rt_log(RT_LOG_EMERG, errno, "eventfd() failed");
        return RT_ERROR;
    }

    pthread_mutex_init(&rs->mutex, NULL);
    pthread_cond_init(&rs->wake, NULL);

    while (rs->nthreads < RT_READS_THREADS) {
        t = &rs->threads[rs->nthreads];
        t->reads = rs;

        rt_journal_reader_open(&t->journal, &d->journal);

        errno = pthread_create(&t->thread, NULL, rt_reads_thread, t);

        if (errno) {
            rt_log(RT_LOG_EMERG, errno, "pthread_create() failed");
            rt_journal_reader_close(&t->journal);
            return RT_ERROR;
        }

        rs->nthreads++;
    }

    return rt_poll_add(&rs->poll, EPOLLIN);
}


void
rt_reads_stop(rt_reads_t *rs)
{
    rt_uint_t           i;
    rt_reads_thread_t  *t;

    if (rs->poll.fd == -1) {
        return;
    }

    pthread_mutex_lock(&rs->mutex);
    rs->stop = 1;
    pthread_cond_broadcast(&rs->wake);
    pthread_mutex_unlock(&rs->mutex);

    for (i = 0; i < rs->nthreads; i++) {
        t = &rs->threads[i];

        pthread_join(t->thread, NULL);

        if (t->state) {
            t->read->entity->engine->destroy(t->state);
        }

        rt_journal_reader_close(&t->journal);
        free((void *) t->past.marks);
        free((void *) t->past.checkpoints);
        rt_buf_free(&t->out.body);
        rt_buf_free(&t->out.data);
    }

    pthread_cond_destroy(&rs->wake);
    pthread_mutex_destroy(&rs->mutex);

    close(rs->poll.fd);
    rs->poll.fd = -1;
}


static void *
rt_reads_copy(const void *list, size_t size)
{
    void  *copy;

    if (size == 0) {
        return NULL;
    }

    copy = rt_malloc(size);

    return memcpy(copy, list, size);
}


/* the entity as it was when the read came; new events do not touch it */

static void
rt_reads_past(rt_past_t *p, rt_journal_t *j, const rt_read_t *r)
{
    const rt_entity_t  *e;

    e = r->entity;

    free((void *) p->marks);
    free((void *) p->checkpoints);

    rt_past_init(p, j, e);

    p->version = r->version;
    p->last_addr = r->last_addr;
    p->nmarks = rt_min(e->nmarks, r->version / RT_ENTITY_MARK);
    p->marks = rt_reads_copy(e->marks, p->nmarks * sizeof(uint64_t));
    p->checkpoints = rt_reads_copy(e->checkpoints, e->ncheckpoints
                                                   * sizeof(rt_checkpoint_t));
}


void
rt_reads_give(rt_dispatch_t *d, rt_reads_thread_t *t, rt_read_t *r)
{
    rt_reads_t  *rs;

    rs = t->reads;

    /* the thread sleeps, and looks at nothing of this */

    t->journal.first_segment = d->journal.first_segment;
    t->journal.segment = d->journal.segment;
    t->journal.offset = d->journal.offset;

    rt_reads_past(&t->past, &t->journal, r);

    t->state = NULL;
    t->rc = RT_OK;
    t->version = r->version;
    rt_dispatch_reset(&t->out);

    if (r->query) {
        rt_dispatch_query_input(d, &t->in, &r->waits->rq, r->version);
    }

    pthread_mutex_lock(&rs->mutex);
    t->read = r;
    t->done = 0;
    pthread_cond_broadcast(&rs->wake);
    pthread_mutex_unlock(&rs->mutex);
}


rt_read_t *
rt_reads_done(rt_reads_thread_t *t)
{
    rt_read_t  *r;

    if (t->read == NULL) {
        return NULL;                        /* only this thread sets it */
    }

    r = NULL;

    pthread_mutex_lock(&t->reads->mutex);

    if (t->done) {
        r = t->read;
        t->read = NULL;
    }

    pthread_mutex_unlock(&t->reads->mutex);

    return r;
}
