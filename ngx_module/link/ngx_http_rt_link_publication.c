/*
 * What the daemon has for the zone, and asks of it.
 *
 * Publications go into the zone as they are read, each with its place in the
 * daemon's journal (ngx_http_rt_source.h), and are confirmed once a turn.
 * Which process the daemon sends them to is its choice; two at a time do no
 * harm.
 */

#include "ngx_http_rt_link_private.h"
#include "ngx_http_rt_rule.h"
#include "ngx_http_rt_utf8.h"


static void ngx_http_rt_link_publication_message(ngx_http_rt_message_t *m,
    const rt_wire_frame_t *f);
static const char *ngx_http_rt_link_publication_check(
    const ngx_http_rt_message_t *m, const rt_wire_frame_t *f);
static ngx_int_t ngx_http_rt_link_publication_try(ngx_http_rt_link_t *link,
    ngx_http_rt_message_t *m, ngx_uint_t placed, const char **reason);
static void ngx_http_rt_link_publication_refused(ngx_http_rt_link_t *link,
    ngx_http_rt_message_t *m, const char *reason);
static ngx_int_t ngx_http_rt_link_publication_count(ngx_http_rt_link_t *link,
    rt_wire_str_t *topics, u_char *numbers, ngx_uint_t *np);


ngx_int_t
ngx_http_rt_link_publication_known(ngx_http_rt_link_t *link,
    ngx_http_rt_place_t *place)
{
    return ngx_http_rt_zone_source(link->zone, link->peer, place);
}


void
ngx_http_rt_link_publication_begin(ngx_http_rt_link_t *link,
    const ngx_http_rt_place_t *place)
{
    ngx_http_rt_zone_source_set(link->zone, link->peer, place);

    link->place.epoch = place->epoch;
}


/*
 * What the zone refuses leaves its place in the ring, so that readers are told
 * of a gap.  Only a topic that is none leaves nothing: nobody reads it.
 */

ngx_int_t
ngx_http_rt_link_publication_append(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f)
{
    ngx_int_t               rc;
    ngx_uint_t              placed;
    const char             *reason, *busy;
    ngx_http_rt_message_t   m;

    placed = (f->type == RT_WIRE_PUBLISH);

    ngx_http_rt_link_publication_message(&m, f);

    if (placed) {
        link->place.position = rt_wire_number(f, RT_WIRE_F_POSITION);
        link->place.index = rt_wire_number(f, RT_WIRE_F_INDEX);
        link->confirm = 1;
    }

    reason = ngx_http_rt_rule_topic(m.topic, m.topic_len);

    if (reason) {
        ngx_http_rt_link_publication_refused(link, &m, reason);
        return NGX_OK;
    }

    rc = NGX_DECLINED;
    reason = ngx_http_rt_link_publication_check(&m, f);

    if (reason == NULL) {
        rc = ngx_http_rt_link_publication_try(link, &m, placed, &reason);
    }

    if (rc == NGX_DECLINED && placed) {
        m.refused = 1;
        rc = ngx_http_rt_link_publication_try(link, &m, placed, &busy);
    }

    if (rc != NGX_ERROR && rc != NGX_DONE && reason) {
        ngx_http_rt_link_publication_refused(link, &m, reason);
    }

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


static void
ngx_http_rt_link_publication_message(ngx_http_rt_message_t *m,
    const rt_wire_frame_t *f)
{
    rt_wire_str_t  s;

    ngx_memzero(m, sizeof(ngx_http_rt_message_t));

    s = rt_wire_string(f, RT_WIRE_F_TOPIC);
    m->topic = s.data;
    m->topic_len = s.len;

    s = rt_wire_string(f, RT_WIRE_F_EVENT);
    m->event = s.data;
    m->event_len = s.len;

    s = rt_wire_string(f, RT_WIRE_F_TYPE);
    m->type = s.data;
    m->type_len = s.len;

    s = rt_wire_string(f, RT_WIRE_F_BODY);
    m->data = s.data;
    m->data_len = s.len;
}


static const char *
ngx_http_rt_link_publication_check(const ngx_http_rt_message_t *m,
    const rt_wire_frame_t *f)
{
    if (f->type == RT_WIRE_PUBLISH && (f->flags & RT_WIRE_LOST)) {
        return "it is larger than a frame";
    }

    if (ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, m->data, m->data_len)
        != NGX_HTTP_RT_UTF8_ACCEPT)
    {
        return "data is not valid UTF-8";
    }

    return NULL;
}


/*
 * NGX_DECLINED: it never goes into this zone, for the reason; NGX_DONE: it has
 * been there before.  With a place in the journal a busy ring is worth another
 * attempt: NGX_ERROR.
 */

static ngx_int_t
ngx_http_rt_link_publication_try(ngx_http_rt_link_t *link,
    ngx_http_rt_message_t *m, ngx_uint_t placed, const char **reason)
{
    ngx_int_t              rc;
    ngx_http_rt_append_t   a;

    *reason = NULL;

    ngx_memzero(&a, sizeof(ngx_http_rt_append_t));

    a.messages = m;
    a.n = 1;
    a.place = placed ? &link->place : NULL;

    rc = ngx_http_rt_zone_append_now(link->zone, &a);

    switch (rc) {

    case NGX_HTTP_RT_TOPIC_LARGE:
        *reason = "it is too large";
        return NGX_DECLINED;

    case NGX_HTTP_RT_TOPIC_FULL:
        *reason = "no room for the topic";
        return NGX_DECLINED;

    case NGX_HTTP_RT_TOPIC_BUSY:
        break;

    case NGX_HTTP_RT_TOPIC_REPLAY:
        return NGX_DONE;

    default:
        return NGX_OK;
    }

    *reason = "the ring is busy";

    if (!placed) {
        return NGX_DECLINED;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "publication of realtime_worker \"%V\" must wait, "
                  "the ring is busy", &link->name);

    return NGX_ERROR;
}


static void
ngx_http_rt_link_publication_refused(ngx_http_rt_link_t *link,
    ngx_http_rt_message_t *m, const char *reason)
{
    if (link->zone->slot) {
        link->zone->slot->refused++;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "publication of realtime_worker \"%V\" to \"%*s\" "
                  "was refused: %s", &link->name, (size_t) m->topic_len,
                  m->topic, reason);
}


/* how many subscribe to each topic of the frame */

ngx_int_t
ngx_http_rt_link_publication_audience(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f)
{
    u_char         *p, *start;
    ngx_uint_t      n;
    rt_wire_str_t   body;
    u_char          numbers[RT_WIRE_AUDIENCE_MAX * RT_WIRE_WATCHERS_SIZE];

    body = rt_wire_string(f, RT_WIRE_F_BODY);

    if (ngx_http_rt_link_publication_count(link, &body, numbers, &n)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    start = ngx_http_rt_link_output_reserve(link, RT_WIRE_HEADER_SIZE
                                            + RT_WIRE_FIELD_SIZE
                                            + n * RT_WIRE_WATCHERS_SIZE);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = rt_wire_begin(start, RT_WIRE_WATCHERS, 0, f->id);
    p = rt_wire_put_string(p, RT_WIRE_F_BODY, numbers,
                           n * RT_WIRE_WATCHERS_SIZE);
    rt_wire_end(start, p);

    ngx_http_rt_link_output_add(link, p);

    return NGX_OK;
}


/* a line for each topic; the mutex is held for one at a time */

static ngx_int_t
ngx_http_rt_link_publication_count(ngx_http_rt_link_t *link,
    rt_wire_str_t *topics, u_char *numbers, ngx_uint_t *np)
{
    uint64_t             watchers;
    ngx_uint_t           n;
    const u_char        *topic, *end, *last;
    ngx_http_rt_name_t   name;

    last = topics->data + topics->len;

    for (topic = topics->data, n = 0; topic <= last; topic = end + 1, n++) {

        end = ngx_strlchr((u_char *) topic, (u_char *) last, '\n');
        if (end == NULL) {
            end = last;
        }

        if (n == RT_WIRE_AUDIENCE_MAX) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "realtime_worker \"%V\" asked for too many topics",
                          &link->name);
            return NGX_ERROR;
        }

        watchers = 0;

        if (ngx_http_rt_rule_topic(topic, end - topic) == NULL) {
            ngx_http_rt_zone_name_set(link->zone, &name, topic, end - topic,
                                      0);
            watchers = ngx_http_rt_zone_watchers(link->zone, &name);
        }

        numbers = rt_wire_put_watchers(numbers, watchers);
    }

    *np = n;

    return NGX_OK;
}


/* everything up to the last that was read */

void
ngx_http_rt_link_publication_confirm(ngx_http_rt_link_t *link)
{
    u_char  *p, *start;

    if (!link->confirm) {
        return;
    }

    start = ngx_http_rt_link_output_reserve(link, RT_WIRE_HEADER_SIZE
                                           + 2 * RT_WIRE_NUMBER_SIZE);
    if (start == NULL) {
        return;
    }

    link->confirm = 0;

    p = rt_wire_begin(start, RT_WIRE_CONFIRM, 0, 0);
    p = rt_wire_put_number(p, RT_WIRE_F_POSITION, link->place.position);
    p = rt_wire_put_number(p, RT_WIRE_F_INDEX, link->place.index);
    rt_wire_end(start, p);

    ngx_http_rt_link_output_add(link, p);
}
