/*
 * Idempotency keys: the header, and what of a request a key stands for.
 *
 * A key counts for the topic as the location gives it, and with all that the
 * client may vary: batch or not, event, type, body.
 */

#include "ngx_http_rt_key.h"

#include <ngx_sha1.h>


#define NGX_HTTP_RT_KEY_MAX    255


static void ngx_http_rt_key_update(ngx_sha1_t *sha1, const u_char *p,
    size_t len);


const char *
ngx_http_rt_key_find(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_table_elt_t  *h;

    ngx_str_null(key);

    h = ngx_http_rt_header_find(r, "Idempotency-Key");

    if (h == NULL) {
        return NULL;
    }

    *key = h->value;

    return ngx_http_rt_key_check(key);
}


/* NULL, or what is wrong with it */

const char *
ngx_http_rt_key_check(const ngx_str_t *key)
{
    size_t  i;

    if (key->len == 0 || key->len > NGX_HTTP_RT_KEY_MAX) {
        return "Idempotency-Key must have 1 to 255 characters";
    }

    for (i = 0; i < key->len; i++) {
        if (key->data[i] < 0x20 || key->data[i] > 0x7e) {
            return "Idempotency-Key has a character out of ASCII";
        }
    }

    return NULL;
}


void
ngx_http_rt_key_digest(ngx_http_rt_key_t *digest, const ngx_str_t *topic,
    const ngx_str_t *key, const ngx_http_rt_message_t *m,
    const ngx_str_t *body)
{
    ngx_sha1_t  sha1;

    ngx_sha1_init(&sha1);
    ngx_http_rt_key_update(&sha1, topic->data, topic->len);
    ngx_http_rt_key_update(&sha1, (u_char *) "", 1);
    ngx_http_rt_key_update(&sha1, key->data, key->len);
    ngx_sha1_final(digest->key, &sha1);

    ngx_sha1_init(&sha1);
    ngx_http_rt_key_update(&sha1, (u_char *) (m ? "m" : "b"), 1);

    if (m) {
        ngx_http_rt_key_update(&sha1, &m->event_len, 1);
        ngx_http_rt_key_update(&sha1, &m->type_len, 1);
        ngx_http_rt_key_update(&sha1, m->event, m->event_len);
        ngx_http_rt_key_update(&sha1, m->type, m->type_len);
    }

    ngx_http_rt_key_update(&sha1, body->data, body->len);
    ngx_sha1_final(digest->body, &sha1);
}


/* nothing may be at NULL */

static void
ngx_http_rt_key_update(ngx_sha1_t *sha1, const u_char *p, size_t len)
{
    if (len) {
        ngx_sha1_update(sha1, p, len);
    }
}
