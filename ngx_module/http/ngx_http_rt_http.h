/*
 * The room of HTTP: directives and their configuration, requests and answers.
 *
 * It owns requests: it reads what they ask, waits with them, answers them and
 * finalizes them.  It has
 *
 *     module, conf_*      directives, configuration, process start and end
 *     handler             which way a request goes
 *     publish*, key       POST, PUT, GET and DELETE of realtime_publish
 *     subscribe, topics   admission of subscribers
 *     template            topics as directives write them
 *     origin              which pages may ask, and CORS
 *     pass*               realtime_pass: commands and queries
 *     status*             realtime_status
 *     body, answer,       parts of requests and answers
 *     variables
 *
 * The room stands at the top: it may call all others, operations (session/)
 * rather than the zone or a link where there is one.  Nobody calls in here.
 *
 * A request is answered exactly once.  A function that has refused one from
 * within returns NGX_DONE, and the handler finalizes with ctx->rc.
 */

#ifndef _NGX_HTTP_RT_HTTP_H_INCLUDED_
#define _NGX_HTTP_RT_HTTP_H_INCLUDED_


#include "ngx_http_rt_dialect.h"
#include "ngx_http_rt_header.h"
#include "ngx_http_rt_link.h"


#define NGX_HTTP_RT_ORIGIN_SAME    0
#define NGX_HTTP_RT_ORIGIN_ANY     1
#define NGX_HTTP_RT_ORIGIN_HOSTS   2


typedef struct ngx_http_rt_pass_conf_s  ngx_http_rt_pass_conf_t;


/* a topic of a directive, ngx_http_rt_template.c */

#define NGX_HTTP_RT_TEMPLATE_PATTERNS  1    /* values may be such, and lists */
#define NGX_HTTP_RT_TEMPLATE_ENCODED   2    /* values are decoded */


typedef struct {
    ngx_array_t                    parts;
    ngx_uint_t                     flags;
    unsigned                       variables:1;
} ngx_http_rt_template_t;


typedef struct {
    ngx_array_t                   *publish;     /* of one template */
    ngx_shm_zone_t                *publish_zone;
    ngx_uint_t                     publish_websocket;

    ngx_array_t                   *subscribe;   /* of templates */
    ngx_shm_zone_t                *subscribe_zone;

    ngx_http_rt_pass_conf_t       *pass;
    ngx_uint_t                     post_fenced; /* limit_except lets only */
                                                /* GET go its way */
    const ngx_http_rt_dialect_t   *dialect;     /* realtime_protocol */

    /* what makes the location ours, and where that is said */
    ngx_http_handler_pt            handler;
    ngx_str_t                      file;
    ngx_uint_t                     line;
    ngx_uint_t                     publish_line;
    ngx_uint_t                     subscribe_line;

    ngx_array_t                   *transports;  /* ngx_uint_t */
    ngx_array_t                   *origins;     /* ngx_str_t */
    ngx_uint_t                     origin;
    ngx_flag_t                     envelope;

    ngx_http_rt_session_conf_t     session;
} ngx_http_rt_loc_conf_t;


/* what the variables of a request tell, of publishers and subscribers */

typedef struct {
    ngx_http_rt_report_t           report;  /* must be first */
    uint64_t                       epoch;
    ngx_uint_t                     transport;
    ngx_uint_t                     subscribers;
    void                          *publish;
    void                          *pass;
    ngx_int_t                      rc;      /* of an answer given within */
    unsigned                       has_id:1;
    unsigned                       has_subscribers:1;
    unsigned                       subscribed:1;
    unsigned                       body:1;  /* there was one, discarded */
} ngx_http_rt_ctx_t;


extern ngx_module_t  ngx_http_realtime_module;


/* ngx_http_rt_handler.c */

ngx_int_t ngx_http_rt_handler(ngx_http_request_t *r);

/* made at the first call; NULL: no memory */
ngx_http_rt_ctx_t *ngx_http_rt_ctx(ngx_http_request_t *r);

/* NGX_OK: a client's own request; subrequests have nobody to wait with */
ngx_int_t ngx_http_rt_handler_main(ngx_http_request_t *r,
    const char *directive);


/* ngx_http_rt_publish.c */

ngx_int_t ngx_http_rt_publish(ngx_http_request_t *r);


/* ngx_http_rt_admit.c */

void ngx_http_rt_admit_init_process(ngx_cycle_t *cycle);

/* as a content handler; NGX_DONE, too, when it waits for its turn */
ngx_int_t ngx_http_rt_admit(ngx_http_request_t *r);


/* ngx_http_rt_subscribe.c */

ngx_int_t ngx_http_rt_subscribe(ngx_http_request_t *r);


/* ngx_http_rt_template.c */

/* appends the topics of a parameter to an array of templates */
char *ngx_http_rt_template_compile(ngx_conf_t *cf, ngx_str_t *text,
    ngx_array_t *templates, ngx_uint_t flags);

/* NGX_OK, or what ends the others and is returned */
typedef ngx_int_t (*ngx_http_rt_template_pt)(ngx_http_request_t *r,
    ngx_str_t *topic, void *data);

/*
 * Calls add() for each topic, which no rule has been asked about yet; NGX_OK,
 * NGX_ERROR, NGX_DECLINED: *reason is what is wrong, or what add() returned.
 */
ngx_int_t ngx_http_rt_template_topics(ngx_http_request_t *r,
    ngx_http_rt_template_t *t, ngx_http_rt_template_pt add, void *data,
    const char **reason);

/* the one of a template without "patterns", or its pattern: *wild is 1 */
ngx_int_t ngx_http_rt_template_topic(ngx_http_request_t *r,
    ngx_http_rt_template_t *t, ngx_str_t *topic, unsigned *wild,
    const char **reason);


/* ngx_http_rt_topics.c; NGX_DONE: it has been refused */

ngx_int_t ngx_http_rt_topics(ngx_http_request_t *r, ngx_array_t *topics);


/* ngx_http_rt_subscribe_args.c */

ngx_int_t ngx_http_rt_subscribe_from(ngx_http_request_t *r,
    ngx_http_rt_from_t *from);
ngx_uint_t ngx_http_rt_subscribe_envelope(ngx_http_request_t *r);
const ngx_http_rt_form_t *ngx_http_rt_subscribe_form(ngx_http_request_t *r,
    ngx_uint_t transport, const ngx_http_rt_form_t *form);


/* ngx_http_rt_origin.c */

ngx_int_t ngx_http_rt_origin_init(ngx_conf_t *cf);

/* NGX_OK, NGX_DECLINED: the page that asks may not */
ngx_int_t ngx_http_rt_origin_check(ngx_http_request_t *r);


/* ngx_http_rt_status.c */

ngx_int_t ngx_http_rt_status(ngx_http_request_t *r);


/* ngx_http_rt_body.c */

/* in one piece; NGX_DECLINED: it is gone */
ngx_int_t ngx_http_rt_body_collect(ngx_http_request_t *r, ngx_str_t *body);
ngx_int_t ngx_http_rt_body_ignore(ngx_http_request_t *r);
ngx_int_t ngx_http_rt_body_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *text);

/* from now on a client that leaves ends its request with 499 */
void ngx_http_rt_body_watch(ngx_http_request_t *r);


/* ngx_http_rt_answer.c */

ngx_int_t ngx_http_rt_answer_init(ngx_conf_t *cf);

/* json is in the request's pool, or static */
ngx_int_t ngx_http_rt_answer(ngx_http_request_t *r, ngx_uint_t status,
    u_char *json, size_t len);
ngx_int_t ngx_http_rt_answer_text(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, u_char *text, size_t len);

/* {"error":"..."}; "fmt" is ngx_sprintf()'s, the text is cut at 511 bytes */
ngx_int_t ngx_http_rt_answer_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *fmt, ...);

/* refuses from within: the handler returns ctx->rc when it sees NGX_DONE */

#define ngx_http_rt_refuse(r, status, ...)                                    \
    (ngx_http_rt_ctx(r)->rc =                                                 \
             ngx_http_rt_answer_error(r, status, __VA_ARGS__), NGX_DONE)


#endif /* _NGX_HTTP_RT_HTTP_H_INCLUDED_ */
