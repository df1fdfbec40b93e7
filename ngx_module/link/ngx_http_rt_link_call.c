/*
 * Calls: questions to the daemon that wait for an answer, in the link's table
 * by id.
 *
 * The table is bounded.  As many answers may be owed as the daemon allows, and
 * no more than NGX_HTTP_RT_LINK_INFLIGHT_MAX; an answer stays owed when its
 * call has been cancelled or has timed out.  Subscriptions, which are owed
 * none, have a limit of their own, and what waits for the socket has one in
 * bytes.  Beyond these nothing may be asked.
 *
 * Ids are numbers of ours, in order: nobody else chooses where a call stands in
 * the table.
 */

#include "ngx_http_rt_link_private.h"


/* output that waits for the socket; the daemon reads on when it can */
#define NGX_HTTP_RT_LINK_OUT_MAX      (4 * 1024 * 1024)

/* the daemon has a list of them, and a limit of twice as many */
#define NGX_HTTP_RT_LINK_STREAMS      8192

/* ids of PINGs that follow a SUBSCRIBE */
#define NGX_HTTP_RT_LINK_PONG         ((uint64_t) 1 << 62)


static ngx_int_t ngx_http_rt_link_call_takes(ngx_http_rt_link_t *link,
    size_t size, ngx_uint_t stream);
static void ngx_http_rt_link_call_insert(ngx_http_rt_link_t *link,
    ngx_http_rt_call_t *call, const ngx_http_rt_ask_t *ask);
static void ngx_http_rt_link_call_timeout(ngx_http_rt_call_t *call,
    ngx_msec_t timeout);
static size_t ngx_http_rt_link_call_size(const ngx_http_rt_ask_t *ask);
static u_char *ngx_http_rt_link_call_frame(u_char *p, uint64_t id,
    const ngx_http_rt_ask_t *ask);
static u_char *ngx_http_rt_link_call_numbers(u_char *p,
    const ngx_http_rt_ask_t *ask);
static u_char *ngx_http_rt_link_call_strings(u_char *p,
    const ngx_http_rt_ask_t *ask);
static u_char *ngx_http_rt_link_call_put(u_char *p, rt_wire_field_e tag,
    const ngx_str_t *s);
static ngx_http_rt_call_t *ngx_http_rt_link_call_find(
    ngx_http_rt_link_t *link, ngx_uint_t id);
static void ngx_http_rt_link_call_late(ngx_event_t *ev);
static void ngx_http_rt_link_call_forget(ngx_http_rt_call_t *call);


ngx_int_t
ngx_http_rt_link_ask(ngx_http_rt_link_t *link, ngx_http_rt_call_t *call,
    const ngx_http_rt_ask_t *ask)
{
    size_t       size;
    u_char      *p, *start;
    ngx_int_t    rc;
    ngx_uint_t   stream;

    call->link = NULL;

    size = ngx_http_rt_link_call_size(ask);
    stream = (ask->type == RT_WIRE_SUBSCRIBE);

    rc = ngx_http_rt_link_call_takes(link, size, stream);
    if (rc != NGX_OK) {
        return rc;
    }

    start = ngx_http_rt_link_output_reserve(link, size);
    if (start == NULL) {
        return NGX_ERROR;
    }

    ngx_http_rt_link_call_insert(link, call, ask);

    p = ngx_http_rt_link_call_frame(start, call->node.key, ask);
    rt_wire_end(start, p);

    ngx_http_rt_link_output_add(link, p);

    if (stream) {

        /* the PONG shows that there was no refusal before it */

        (void) ngx_http_rt_link_tell(link, RT_WIRE_PING, call->node.key
                                     | NGX_HTTP_RT_LINK_PONG, 0, 0);
    }

    return NGX_OK;
}


static void
ngx_http_rt_link_call_insert(ngx_http_rt_link_t *link,
    ngx_http_rt_call_t *call, const ngx_http_rt_ask_t *ask)
{
    ngx_uint_t  stream;

    stream = (ask->type == RT_WIRE_SUBSCRIBE);

    /* ids of subscriptions are odd: their answers are not owed */

    link->ids += 2;

    call->node.key = link->ids + stream;
    call->link = link;
    call->type = ask->type;
    call->at = link->sent + (link->out.last - link->out.pos);

    ngx_rbtree_insert(&link->calls, &call->node);

    if (stream) {
        link->nsubscriptions++;

    } else {
        link->owed++;
    }

    ngx_http_rt_link_tally(link);

    ngx_http_rt_link_call_timeout(call, ask->timeout);
}


static void
ngx_http_rt_link_call_timeout(ngx_http_rt_call_t *call, ngx_msec_t timeout)
{
    ngx_memzero(&call->timer, sizeof(ngx_event_t));

    if (timeout == 0) {
        return;
    }

    call->timer.handler = ngx_http_rt_link_call_late;
    call->timer.data = call;
    call->timer.log = ngx_cycle->log;

    ngx_add_timer(&call->timer, timeout);
}


/* whether a question may be asked now */

static ngx_int_t
ngx_http_rt_link_call_takes(ngx_http_rt_link_t *link, size_t size,
    ngx_uint_t stream)
{
    if (link->state != NGX_HTTP_RT_LINK_S_UP
        && (link->state != NGX_HTTP_RT_LINK_S_HELLO || link->failures))
    {
        return NGX_HTTP_RT_LINK_DOWN;
    }

    if (size > link->frame_max) {
        return NGX_HTTP_RT_LINK_LARGE;
    }

    if (link->out.last - link->out.pos + size > NGX_HTTP_RT_LINK_OUT_MAX
        || (stream ? link->nsubscriptions >= NGX_HTTP_RT_LINK_STREAMS
                   : link->owed >= link->inflight))
    {
        return NGX_HTTP_RT_LINK_BUSY;
    }

    return NGX_OK;
}


/* no less than what ngx_http_rt_link_call_frame() writes */

static size_t
ngx_http_rt_link_call_size(const ngx_http_rt_ask_t *ask)
{
    return RT_WIRE_HEADER_SIZE + 6 * RT_WIRE_NUMBER_SIZE
           + 9 * RT_WIRE_FIELD_SIZE
           + ask->engine.len + ask->entity.len + ask->name.len
           + ask->key.len + ask->user.len + ask->expect_too.len
           + ask->args.len + ask->body.len;
}


static u_char *
ngx_http_rt_link_call_frame(u_char *p, uint64_t id,
    const ngx_http_rt_ask_t *ask)
{
    p = rt_wire_begin(p, ask->type, 0, id);

    if (ask->type == RT_WIRE_STATUS) {
        return p;
    }

    p = ngx_http_rt_link_call_numbers(p, ask);

    return ngx_http_rt_link_call_strings(p, ask);
}


static u_char *
ngx_http_rt_link_call_numbers(u_char *p, const ngx_http_rt_ask_t *ask)
{
    if (ask->window) {
        p = rt_wire_put_number(p, RT_WIRE_F_WINDOW, ask->window);
    }

    p = rt_wire_put_number(p, RT_WIRE_F_CONNECTION, ask->connection);

    if (ask->has_expect) {
        p = rt_wire_put_number(p, RT_WIRE_F_EXPECT, ask->expect);
    }

    if (ask->timeout) {
        p = rt_wire_put_number(p, RT_WIRE_F_TIMEOUT, ask->timeout);
    }

    if (ask->type == RT_WIRE_SUBSCRIBE) {
        p = rt_wire_put_number(p, RT_WIRE_F_FROM, ask->from);
    }

    if (ask->timeout) {
        p = rt_wire_put_number(p, RT_WIRE_F_SENT, ngx_current_msec);
    }

    return p;
}


static u_char *
ngx_http_rt_link_call_strings(u_char *p, const ngx_http_rt_ask_t *ask)
{
    p = ngx_http_rt_link_call_put(p, RT_WIRE_F_ENGINE, &ask->engine);
    p = ngx_http_rt_link_call_put(p, RT_WIRE_F_ENTITY, &ask->entity);

    if (ask->type != RT_WIRE_SUBSCRIBE) {
        p = ngx_http_rt_link_call_put(p, RT_WIRE_F_NAME, &ask->name);
    }

    if (ask->key.len) {
        p = ngx_http_rt_link_call_put(p, RT_WIRE_F_KEY, &ask->key);
    }

    if (ask->user.len) {
        p = ngx_http_rt_link_call_put(p, RT_WIRE_F_USER, &ask->user);
    }

    if (ask->expect_too.len) {
        p = ngx_http_rt_link_call_put(p, RT_WIRE_F_EXPECT_TOO,
                                      &ask->expect_too);
    }

    if (ask->args.len) {
        p = ngx_http_rt_link_call_put(p, RT_WIRE_F_ARGS, &ask->args);
    }

    if (ask->type == RT_WIRE_COMMAND) {
        p = ngx_http_rt_link_call_put(p, RT_WIRE_F_BODY, &ask->body);
    }

    return p;
}


static u_char *
ngx_http_rt_link_call_put(u_char *p, rt_wire_field_e tag, const ngx_str_t *s)
{
    return rt_wire_put_string(p, tag, s->len ? s->data : (u_char *) "",
                              s->len);
}


void
ngx_http_rt_link_call_answer(ngx_http_rt_link_t *link,
    const rt_wire_frame_t *f)
{
    ngx_uint_t           id;
    ngx_http_rt_call_t  *call;

    id = f->id & ~NGX_HTTP_RT_LINK_PONG;

    if (f->type == RT_WIRE_REPLY && (id & 1) == 0 && link->owed) {
        link->owed--;
        ngx_http_rt_link_tally(link);
    }

    call = ngx_http_rt_link_call_find(link, id);

    if (call == NULL) {
        return;
    }

    if (f->type == RT_WIRE_REPLY) {
        ngx_http_rt_link_call_forget(call);

    } else if (call->type != RT_WIRE_SUBSCRIBE) {
        return;
    }

    call->handler(call, f, 0);
}


static ngx_http_rt_call_t *
ngx_http_rt_link_call_find(ngx_http_rt_link_t *link, ngx_uint_t id)
{
    ngx_rbtree_node_t  *node;

    node = link->calls.root;

    while (node != &link->sentinel && node->key != id) {
        node = (id < node->key) ? node->left : node->right;
    }

    return (node == &link->sentinel) ? NULL : (ngx_http_rt_call_t *) node;
}


/* the answer that may come yet is nobody's, but still owed */

void
ngx_http_rt_link_cancel(ngx_http_rt_call_t *call)
{
    ngx_http_rt_link_t  *link;

    link = call->link;

    if (link == NULL) {
        return;
    }

    if (call->type == RT_WIRE_SUBSCRIBE) {
        (void) ngx_http_rt_link_tell(link, RT_WIRE_UNSUBSCRIBE,
                                     call->node.key, 0, 0);
    }

    ngx_http_rt_link_call_forget(call);
}


static void
ngx_http_rt_link_call_late(ngx_event_t *ev)
{
    ngx_http_rt_call_t  *call;

    call = ev->data;

    ngx_http_rt_link_call_forget(call);

    call->handler(call, NULL, NGX_HTTP_GATEWAY_TIME_OUT);
}


void
ngx_http_rt_link_passed(ngx_http_rt_call_t *call, ngx_uint_t n)
{
    if (call->link) {
        (void) ngx_http_rt_link_tell(call->link, RT_WIRE_CONFIRM,
                                     call->node.key, RT_WIRE_F_VERSION, n);
    }
}


/* it waits no more */

static void
ngx_http_rt_link_call_forget(ngx_http_rt_call_t *call)
{
    ngx_http_rt_link_t  *link;

    link = call->link;

    ngx_rbtree_delete(&link->calls, &call->node);

    if (call->type == RT_WIRE_SUBSCRIBE) {
        link->nsubscriptions--;
        ngx_http_rt_link_tally(link);
    }

    if (call->timer.timer_set) {
        ngx_del_timer(&call->timer);
    }

    call->link = NULL;
}


/*
 * A command that has gone to the socket may have been decided; what has not,
 * and a query, may be asked again.
 */

void
ngx_http_rt_link_call_end_all(ngx_http_rt_link_t *link)
{
    uint64_t             sent;
    ngx_uint_t           unsure;
    ngx_http_rt_call_t  *call;

    sent = link->sent;
    link->sent = 0;

    while (link->calls.root != &link->sentinel) {

        call = (ngx_http_rt_call_t *) ngx_rbtree_min(link->calls.root,
                                                     &link->sentinel);

        unsure = (call->type == RT_WIRE_COMMAND && call->at < sent);

        ngx_http_rt_link_call_forget(call);

        call->handler(call, NULL, unsure ? NGX_HTTP_GATEWAY_TIME_OUT
                                         : NGX_HTTP_SERVICE_UNAVAILABLE);
    }
}
