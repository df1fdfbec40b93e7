/*
 * Publishing from a session.
 *
 * Nearly always the zone answers at once, and nothing is copied.  If another
 * process is in the way, a copy of the message waits in the zone and the
 * session's input waits for it.
 */

#include "ngx_http_rt_key.h"
#include "ngx_http_rt_publishing.h"


/* a publication that waits, with all its bytes behind it */

typedef struct {
    ngx_http_rt_session_t      *session;
    ngx_http_rt_publishing_pt   done;
    ngx_str_t                   ref;
    ngx_http_rt_key_t           key;
    ngx_http_rt_message_t       message;
    ngx_http_rt_publication_t   pub;
} ngx_http_rt_publishing_t;


static ngx_int_t ngx_http_rt_publishing_wait(ngx_http_rt_session_t *s,
    ngx_http_rt_publication_t *pub, const u_char *ref, size_t ref_len,
    ngx_http_rt_publishing_pt done);
static const u_char *ngx_http_rt_publishing_copy(u_char **p,
    const u_char *bytes, size_t len);
static void ngx_http_rt_publishing_later(ngx_http_rt_publication_t *pub);


static const char  *ngx_http_rt_publishing_codes[] = {
    "ok", "bad_message", "forbidden", "too_large", "too_large", "mismatch",
    "busy", "no_room"
};


const char *
ngx_http_rt_publishing_code(const ngx_http_rt_publication_t *pub)
{
    return ngx_http_rt_publishing_codes[pub->rc];
}


ngx_int_t
ngx_http_rt_publishing(ngx_http_rt_session_t *s,
    const ngx_http_rt_draft_t *draft, const ngx_str_t *key, const u_char *ref,
    size_t ref_len, ngx_http_rt_publishing_pt done)
{
    ngx_http_rt_key_t          digest;
    ngx_http_rt_message_t      message;
    ngx_http_rt_publication_t  pub;

    ngx_memzero(&pub, sizeof(ngx_http_rt_publication_t));

    pub.who = &s->principal;
    pub.zone = s->publish_zone;
    pub.messages = &message;
    pub.size_max = s->conf->message_max_size;

    if (ngx_http_rt_publication_add(&pub, draft) != NGX_OK) {
        return done(s, &pub, ref, ref_len);
    }

    if (key && key->len) {
        pub.reason = ngx_http_rt_key_check(key);

        if (pub.reason) {
            pub.rc = NGX_HTTP_RT_PUBLISH_INVALID;
            return done(s, &pub, ref, ref_len);
        }

        ngx_http_rt_key_digest(&digest, &draft->topic, key, &message,
                               &draft->data);
        digest.count = 0;
        pub.key = &digest;
    }

    (void) ngx_http_rt_operation_publish(&pub);

    if (pub.rc == NGX_HTTP_RT_PUBLISH_BUSY) {
        return ngx_http_rt_publishing_wait(s, &pub, ref, ref_len, done);
    }

    return done(s, &pub, ref, ref_len);
}


static ngx_int_t
ngx_http_rt_publishing_wait(ngx_http_rt_session_t *s,
    ngx_http_rt_publication_t *pub, const u_char *ref, size_t ref_len,
    ngx_http_rt_publishing_pt done)
{
    u_char                    *p;
    ngx_int_t                  rc;
    ngx_http_rt_message_t     *m;
    ngx_http_rt_publishing_t  *w;

    m = pub->messages;

    w = ngx_alloc(sizeof(ngx_http_rt_publishing_t) + ref_len + m->topic_len
                  + m->event_len + m->type_len + m->data_len,
                  s->sink.connection->log);
    if (w == NULL) {
        return NGX_ERROR;
    }

    p = (u_char *) &w[1];

    w->session = s;
    w->done = done;
    w->message = *m;
    w->pub = *pub;
    w->pub.messages = &w->message;
    w->pub.handler = ngx_http_rt_publishing_later;
    w->pub.data = w;

    if (pub->key) {
        w->key = *pub->key;
        w->pub.key = &w->key;
    }

    w->ref.data = (u_char *) ngx_http_rt_publishing_copy(&p, ref, ref_len);
    w->ref.len = ref_len;

    m = &w->message;
    m->topic = ngx_http_rt_publishing_copy(&p, m->topic, m->topic_len);
    m->event = ngx_http_rt_publishing_copy(&p, m->event, m->event_len);
    m->type = ngx_http_rt_publishing_copy(&p, m->type, m->type_len);
    m->data = ngx_http_rt_publishing_copy(&p, m->data, m->data_len);

    if (ngx_http_rt_operation_publish(&w->pub) == NGX_AGAIN) {
        s->busy = 1;
        s->publishing = w;
        return NGX_OK;
    }

    rc = done(s, &w->pub, ref, ref_len);

    ngx_free(w);

    return rc;
}


static const u_char *
ngx_http_rt_publishing_copy(u_char **p, const u_char *bytes, size_t len)
{
    u_char  *copy;

    copy = *p;

    if (len) {
        *p = ngx_cpymem(copy, bytes, len);
    }

    return copy;
}


static void
ngx_http_rt_publishing_later(ngx_http_rt_publication_t *pub)
{
    ngx_int_t                  rc;
    ngx_http_rt_session_t     *s;
    ngx_http_rt_publishing_t  *w;

    w = pub->data;
    s = w->session;

    s->busy = 0;
    s->publishing = NULL;

    if (s->request) {
        ngx_http_set_log_request(s->sink.connection->log, s->request);
    }

    rc = s->sink.ended ? NGX_OK
                       : w->done(s, pub, w->ref.data, w->ref.len);

    ngx_free(w);

    if (rc == NGX_ERROR) {
        ngx_http_rt_session_end(s, NGX_ERROR);
        return;
    }

    /* what the client has said meanwhile */

    ngx_post_event(s->sink.connection->read, &ngx_posted_events);
}


void
ngx_http_rt_publishing_cancel(ngx_http_rt_session_t *s)
{
    ngx_http_rt_publishing_t  *w;

    w = s->publishing;

    if (w) {
        s->publishing = NULL;
        ngx_http_rt_publication_cancel(&w->pub);
        ngx_free(w);
    }
}
