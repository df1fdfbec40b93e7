/*
 * The walk to where a reader begins; the header has its rules.
 *
 * Positions grow, and each record names how far back its topic's previous one
 * lies, so the walk comes nearer to view.first with each step and ends there,
 * whatever the memory holds: a link that leads elsewhere is damage, and all
 * that is older counts as lost.
 */

#include "ngx_http_rt_ring.h"
#include "ngx_http_rt_start.h"


static int ngx_http_rt_start_back(ngx_http_rt_ring_t *ring,
    ngx_http_rt_start_t *start);
static int ngx_http_rt_start_ahead(ngx_http_rt_ring_t *ring,
    ngx_http_rt_start_t *start);
static int ngx_http_rt_start_end(ngx_http_rt_start_t *start);
static int ngx_http_rt_start_damaged(ngx_http_rt_start_t *start);


void
ngx_http_rt_start_init(ngx_http_rt_start_t *start,
    const ngx_http_rt_view_t *view, uint64_t seq,
    const ngx_http_rt_history_t *history)
{
    start->seq = seq;
    start->pos = 0;
    start->reason = NGX_HTTP_RT_GAP_NONE;

    start->had = seq;
    start->found = 0;
    start->back = 0;
    start->ahead = 0;
    start->steps = 0;
    start->view = *view;
    start->bounded = (history != NULL);
    start->over = 0;
    start->straight = 0;

    if (history) {
        start->history = *history;
    }

    if (view->id == 0) {

        if (view->seq > seq) {
            start->seq = view->seq;
            start->reason = NGX_HTTP_RT_GAP_EVICTED;
        }

        start->over = 1;
        return;
    }

    if (view->first == 0) {
        (void) ngx_http_rt_start_end(start);
        return;
    }

    if (view->floor > seq && history == NULL) {

        /* nothing of what is there has been had */

        start->pos = view->first;
        (void) ngx_http_rt_start_end(start);
        return;
    }

    start->back = view->last;
}


int
ngx_http_rt_start_step(ngx_http_rt_ring_t *ring, ngx_http_rt_start_t *start,
    unsigned steps)
{
    int  rc;

    rc = start->over ? NGX_HTTP_RT_START_OVER : NGX_HTTP_RT_START_MORE;

    while (rc == NGX_HTTP_RT_START_MORE && steps--) {

        if (start->ahead) {
            rc = ngx_http_rt_start_ahead(ring, start);
            continue;
        }

        if (start->steps++ == NGX_HTTP_RT_START_BACK && !start->bounded
            && !start->straight)
        {
            start->ahead = ngx_http_rt_ring_seek(ring, start->had);
            continue;
        }

        rc = ngx_http_rt_start_back(ring, start);
    }

    return rc;
}


static int
ngx_http_rt_start_back(ngx_http_rt_ring_t *ring, ngx_http_rt_start_t *start)
{
    uint64_t                pos;
    ngx_http_rt_record_t    rec;
    ngx_http_rt_history_t  *history;

    pos = start->back;

    if (ngx_http_rt_ring_read(ring, pos, &rec) != NGX_HTTP_RT_RING_OK) {
        return NGX_HTTP_RT_START_AGAIN;
    }

    if (rec.topic_id != start->view.id) {
        return ngx_http_rt_start_damaged(start);
    }

    if (rec.seq <= start->had) {
        start->over = 1;
        return NGX_HTTP_RT_START_OVER;
    }

    if (rec.flags & NGX_HTTP_RT_RECORD_DELETED) {
        return NGX_HTTP_RT_START_AGAIN;
    }

    history = &start->history;

    if (start->bounded
        && (start->view.ordinal - rec.ordinal >= history->count
            || rec.time < history->since))
    {
        start->seq = rec.seq;
        start->reason = NGX_HTTP_RT_GAP_HISTORY;
        start->over = 1;
        return NGX_HTTP_RT_START_OVER;
    }

    start->pos = pos;
    start->found = rec.seq;

    if (pos == start->view.first) {
        return ngx_http_rt_start_end(start);
    }

    start->back = ngx_http_rt_record_prev(&rec, pos);

    if (start->back < start->view.first || start->back >= pos) {
        return ngx_http_rt_start_damaged(start);
    }

    return NGX_HTTP_RT_START_MORE;
}


/*
 * All that the reader misses lies behind the mark, and only reading it all
 * along proves that nothing of it has gone; else the way back goes on.
 */

static int
ngx_http_rt_start_ahead(ngx_http_rt_ring_t *ring, ngx_http_rt_start_t *start)
{
    int                   rc;
    ngx_http_rt_record_t  rec;

    rc = ngx_http_rt_ring_scan(ring, &start->ahead, start->view.last + 1,
                               &rec);

    if (rc != NGX_HTTP_RT_RING_OK) {
        start->ahead = 0;
        start->straight = 1;
        return NGX_HTTP_RT_START_MORE;
    }

    if (rec.seq <= start->had || rec.topic_id != start->view.id) {
        start->ahead += rec.size;
        return NGX_HTTP_RT_START_MORE;
    }

    if (rec.flags & NGX_HTTP_RT_RECORD_DELETED) {
        start->ahead = 0;
        start->straight = 1;
        return NGX_HTTP_RT_START_AGAIN;
    }

    start->pos = start->ahead;
    start->over = 1;

    return NGX_HTTP_RT_START_OVER;
}


/* all that there is has been seen; what is below the floor is gone */

static int
ngx_http_rt_start_end(ngx_http_rt_start_t *start)
{
    ngx_http_rt_view_t  *view;

    view = &start->view;

    if (view->floor > start->had) {
        start->seq = view->floor;
        start->reason = (view->floor == view->deleted)
                        ? NGX_HTTP_RT_GAP_DELETED : NGX_HTTP_RT_GAP_EVICTED;
    }

    start->over = 1;

    return NGX_HTTP_RT_START_OVER;
}


static int
ngx_http_rt_start_damaged(ngx_http_rt_start_t *start)
{
    start->seq = start->pos ? start->found - 1 : start->view.seq;
    start->reason = NGX_HTTP_RT_GAP_EVICTED;
    start->over = 1;

    return NGX_HTTP_RT_START_OVER;
}


/*
 * A record on the way is gone, so the floor has moved.  If it has not come to
 * what the reader wants, that is complete with what has been found; else the
 * reader begins with the oldest that is left, or with what history allows.
 */

int
ngx_http_rt_start_again(ngx_http_rt_start_t *start,
    const ngx_http_rt_view_t *view)
{
    ngx_http_rt_history_t  history;

    if (view->id == start->view.id && view->floor == start->view.floor) {

        /* nothing has gone, so it was no record */

        return ngx_http_rt_start_damaged(start);
    }

    if (view->id == start->view.id && view->floor <= start->had
        && start->pos)
    {
        start->over = 1;
        return NGX_HTTP_RT_START_OVER;
    }

    if (view->id != start->view.id || view->floor <= start->had) {
        history = start->history;

        ngx_http_rt_start_init(start, view, start->had,
                               start->bounded ? &history : NULL);

        return start->over ? NGX_HTTP_RT_START_OVER : NGX_HTTP_RT_START_MORE;
    }

    start->view = *view;

    if (!start->bounded || start->pos == 0 || start->found <= view->floor) {
        start->pos = view->first;
    }

    return ngx_http_rt_start_end(start);
}
