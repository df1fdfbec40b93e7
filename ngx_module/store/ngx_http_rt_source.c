/*
 * Finding sources and moving their places; the header has the rules.
 */

#include "ngx_http_rt_source.h"


ngx_http_rt_source_t *
ngx_http_rt_source_find(ngx_http_rt_sources_t *sources, uint64_t epoch)
{
    unsigned               i;
    ngx_http_rt_source_t  *source;

    for (i = 0; i < NGX_HTTP_RT_SOURCES; i++) {
        source = &sources->sources[i];

        if (source->epoch == epoch && epoch) {
            return source;
        }
    }

    return NULL;
}


/* the one that was used last */

ngx_http_rt_source_t *
ngx_http_rt_source_of_peer(ngx_http_rt_sources_t *sources, uint64_t peer)
{
    unsigned               i;
    ngx_http_rt_source_t  *source, *found;

    found = NULL;

    for (i = 0; i < NGX_HTTP_RT_SOURCES; i++) {
        source = &sources->sources[i];

        if (source->epoch && source->peer == peer
            && (found == NULL || found->used < source->used))
        {
            found = source;
        }
    }

    return found;
}


/* the epoch goes last, and first: without it there is no source */

ngx_http_rt_source_t *
ngx_http_rt_source_get(ngx_http_rt_sources_t *sources,
    const ngx_http_rt_place_t *place, uint64_t peer)
{
    unsigned               i;
    ngx_http_rt_source_t  *source, *oldest;

    source = ngx_http_rt_source_find(sources, place->epoch);

    if (source == NULL) {
        oldest = &sources->sources[0];

        for (i = 0; i < NGX_HTTP_RT_SOURCES; i++) {
            source = &sources->sources[i];

            if (source->epoch == 0) {
                oldest = source;
                break;
            }

            if (source->used < oldest->used) {
                oldest = source;
            }
        }

        source = oldest;

        __atomic_store_n(&source->epoch, 0, __ATOMIC_SEQ_CST);

        source->current = 0;
        source->position[0] = place->position;
        source->index[0] = place->index;

        __atomic_store_n(&source->epoch, place->epoch, __ATOMIC_SEQ_CST);
    }

    source->peer = peer;
    source->used = ++sources->uses;

    return source;
}


void
ngx_http_rt_source_place(const ngx_http_rt_source_t *source,
    ngx_http_rt_place_t *place)
{
    place->epoch = source->epoch;
    place->position = source->position[source->current];
    place->index = source->index[source->current];
}


int
ngx_http_rt_source_is_new(const ngx_http_rt_source_t *source,
    const ngx_http_rt_place_t *place)
{
    uint64_t  position;

    position = source->position[source->current];

    return place->position > position
           || (place->position == position
               && place->index > source->index[source->current]);
}


/* "moving" is the source's number and the place to become current, plus 1 */

void
ngx_http_rt_source_prepare(ngx_http_rt_sources_t *sources,
    ngx_http_rt_source_t *source, const ngx_http_rt_place_t *place)
{
    uint32_t  next;

    next = !source->current;

    source->position[next] = place->position;
    source->index[next] = place->index;

    __atomic_store_n(&sources->moving,
                     (uint32_t) (source - sources->sources) * 2 + next + 1,
                     __ATOMIC_SEQ_CST);
}


/* doing it twice changes nothing */

void
ngx_http_rt_source_settle(ngx_http_rt_sources_t *sources)
{
    uint32_t  n;

    if (sources->moving) {
        n = sources->moving - 1;

        __atomic_store_n(&sources->sources[n / 2].current, n % 2,
                         __ATOMIC_SEQ_CST);
    }
}


void
ngx_http_rt_source_cancel(ngx_http_rt_sources_t *sources)
{
    __atomic_store_n(&sources->moving, 0, __ATOMIC_SEQ_CST);
}
