/*
 * realtime_pass over WebSocket: each text message of the client is a command,
 * see ngx_http_rt_command.h; the answers are objects among the envelopes of the
 * topics' messages:
 *
 *     {"id":1,"ok":{...},"version":7}
 *     {"id":1,"error":{"code":"too_low","message":"...","minimum":200}}
 *
 * A command without an id has no answer; what cannot be read as a command is
 * answered with the id null.
 */

#include "ngx_http_rt_http.h"
#include "ngx_http_rt_command.h"
#include "ngx_http_rt_json.h"
#include "ngx_http_rt_operation.h"
#include "ngx_http_rt_pass.h"
#include "ngx_http_rt_rule.h"


/* commands of one client that wait for their answers */
#define NGX_HTTP_RT_PASS_WS_CALLS    256


typedef struct {
    ngx_http_rt_session_t     *session;
    ngx_http_rt_link_t        *link;
    ngx_http_rt_ask_t          ask;         /* who and whom */
    ngx_queue_t                calls;
    ngx_uint_t                 ncalls;
    unsigned                   fenced:1;    /* POST is, so commands are */
} ngx_http_rt_pass_ws_t;


typedef struct {
    ngx_http_rt_call_t         call;
    ngx_http_rt_pass_ws_t     *ws;
    ngx_queue_t                queue;
    size_t                     id_len;
    u_char                     id[NGX_HTTP_RT_COMMAND_ID_MAX];
} ngx_http_rt_pass_ws_call_t;


static ngx_int_t ngx_http_rt_pass_ws_input(ngx_http_rt_session_t *s,
    u_char *data, size_t len, ngx_uint_t binary);
static ngx_int_t ngx_http_rt_pass_ws_named(ngx_http_rt_pass_ws_t *ws,
    ngx_http_rt_command_t *command);
static const char *ngx_http_rt_pass_ws_check(ngx_http_rt_command_t *command);
static void ngx_http_rt_pass_ws_ask(ngx_http_rt_pass_ws_t *ws,
    ngx_http_rt_command_t *command);
static ngx_http_rt_pass_ws_call_t *ngx_http_rt_pass_ws_call(
    ngx_http_rt_pass_ws_t *ws, ngx_http_rt_command_t *command);
static void ngx_http_rt_pass_ws_fill(ngx_http_rt_ask_t *ask,
    ngx_http_rt_command_t *command);
static void ngx_http_rt_pass_ws_answered(ngx_http_rt_call_t *call,
    const rt_wire_frame_t *f, ngx_uint_t status);
static void ngx_http_rt_pass_ws_reply(ngx_http_rt_pass_ws_t *ws,
    const u_char *id, size_t id_len, const rt_wire_frame_t *f);
static u_char *ngx_http_rt_pass_ws_json_ok(u_char *p, rt_wire_str_t *body,
    const rt_wire_frame_t *f);
static u_char *ngx_http_rt_pass_ws_json_error(u_char *p, rt_wire_str_t *body);
static void ngx_http_rt_pass_ws_error(ngx_http_rt_pass_ws_t *ws,
    const u_char *id, size_t id_len, const char *code, const char *message);
static void ngx_http_rt_pass_ws_send(ngx_http_rt_pass_ws_t *ws, u_char *json,
    size_t len);
static void ngx_http_rt_pass_ws_free(ngx_http_rt_pass_ws_call_t *wc);
static void ngx_http_rt_pass_ws_cleanup(void *data);


const ngx_http_rt_dialect_t  ngx_http_rt_pass_ws = {
    ngx_null_string,
    ngx_null_string,
    &ngx_http_rt_form_json,
    0,
    0,
    ngx_http_rt_hello,
    ngx_http_rt_pass_ws_input,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL
};


ngx_int_t
ngx_http_rt_pass_ws_attach(ngx_http_rt_session_t *s)
{
    ngx_http_request_t      *r;
    ngx_http_cleanup_t      *cln;
    ngx_http_rt_pass_ws_t   *ws;
    ngx_http_rt_loc_conf_t  *rlcf;

    r = s->request;

    ws = ngx_pcalloc(r->pool, sizeof(ngx_http_rt_pass_ws_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (ws == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_realtime_module);

    ws->session = s;
    ws->fenced = rlcf->post_fenced;
    ngx_queue_init(&ws->calls);

    cln->handler = ngx_http_rt_pass_ws_cleanup;
    cln->data = ws;

    s->dialect_ctx = ws;
    s->attached = 1;

    return ngx_http_rt_pass_ask(r, &ws->ask, &ws->link);
}


static ngx_int_t
ngx_http_rt_pass_ws_input(ngx_http_rt_session_t *s, u_char *data, size_t len,
    ngx_uint_t binary)
{
    char                    err[128];
    u_char                 *arena;
    const char             *code, *wrong;
    ngx_http_rt_command_t   command;
    ngx_http_rt_pass_ws_t  *ws;

    if (binary) {
        ngx_http_rt_session_close(s, 1003, "commands are text");
        return NGX_OK;
    }

    ws = s->dialect_ctx;

    if (ws->fenced) {
        ngx_http_rt_session_close(s, 1008, "no commands may be sent here");
        return NGX_OK;
    }

    arena = ngx_alloc(len + 1, s->sink.connection->log);
    if (arena == NULL) {
        return NGX_ERROR;
    }

    code = "bad_request";
    wrong = err;

    if (ngx_http_rt_command_parse(data, len, arena, &command, err,
                                  sizeof(err))
        == 0)
    {
        if (ngx_http_rt_pass_ws_named(ws, &command) == NGX_OK) {
            wrong = ngx_http_rt_pass_ws_check(&command);

        } else {
            code = "forbidden";
            wrong = "this location is for another command";
        }
    }

    if (wrong == NULL) {
        ngx_http_rt_pass_ws_ask(ws, &command);

    } else if (command.id_len) {
        ngx_http_rt_pass_ws_error(ws, command.id, command.id_len, code, wrong);

    } else {
        ngx_http_rt_pass_ws_error(ws, (u_char *) "null", 4, code, wrong);
    }

    ngx_free(arena);

    return NGX_OK;
}


/* a location with a command has no other, and need not be told it */

static ngx_int_t
ngx_http_rt_pass_ws_named(ngx_http_rt_pass_ws_t *ws,
    ngx_http_rt_command_t *command)
{
    ngx_str_t  *name;

    name = &ws->ask.name;

    if (name->len == 0) {
        return NGX_OK;
    }

    if (command->name_len
        && (command->name_len != name->len
            || ngx_memcmp(command->name, name->data, name->len) != 0))
    {
        return NGX_DECLINED;
    }

    command->name = name->data;
    command->name_len = name->len;

    return NGX_OK;
}


static const char *
ngx_http_rt_pass_ws_check(ngx_http_rt_command_t *command)
{
    size_t  i;

    if (command->name_len == 0) {
        return "no \"command\"";
    }

    if (command->name_len > RT_WIRE_NAME_MAX) {
        return "\"command\" is longer than 64 bytes";
    }

    if (command->key_len > RT_WIRE_KEY_MAX) {
        return "\"key\" is longer than 255 bytes";
    }

    if (!ngx_http_rt_rule_plain(command->name, command->name_len)) {
        return "\"command\" has a control character";
    }

    for (i = 0; i < command->key_len; i++) {
        if (command->key[i] < 0x20 || command->key[i] > 0x7e) {
            return "\"key\" has a character out of ASCII";
        }
    }

    return NULL;
}


static void
ngx_http_rt_pass_ws_ask(ngx_http_rt_pass_ws_t *ws,
    ngx_http_rt_command_t *command)
{
    ngx_int_t                    rc;
    const char                  *code, *message;
    ngx_http_rt_ask_t            ask;
    ngx_http_rt_pass_ws_call_t  *wc;

    rc = NGX_HTTP_RT_LINK_BUSY;

    if (ws->ncalls < NGX_HTTP_RT_PASS_WS_CALLS) {
        rc = NGX_ERROR;

        wc = ngx_http_rt_pass_ws_call(ws, command);

        if (wc) {
            ask = ws->ask;
            ngx_http_rt_pass_ws_fill(&ask, command);

            rc = ngx_http_rt_operation_command(NULL, ws->link, &wc->call,
                                               &ask);
            if (rc == NGX_OK) {
                return;
            }

            ngx_http_rt_pass_ws_free(wc);
        }
    }

    (void) ngx_http_rt_pass_reason(rc, &code, &message);

    ngx_http_rt_pass_ws_error(ws, command->id, command->id_len, code, message);
}


static ngx_http_rt_pass_ws_call_t *
ngx_http_rt_pass_ws_call(ngx_http_rt_pass_ws_t *ws,
    ngx_http_rt_command_t *command)
{
    ngx_http_rt_pass_ws_call_t  *wc;

    wc = ngx_calloc(sizeof(ngx_http_rt_pass_ws_call_t), ngx_cycle->log);
    if (wc == NULL) {
        return NULL;
    }

    wc->ws = ws;
    wc->call.handler = ngx_http_rt_pass_ws_answered;
    wc->call.data = wc;
    wc->id_len = command->id_len;

    if (wc->id_len) {
        ngx_memcpy(wc->id, command->id, wc->id_len);
    }

    ngx_queue_insert_tail(&ws->calls, &wc->queue);
    ws->ncalls++;

    return wc;
}


static void
ngx_http_rt_pass_ws_fill(ngx_http_rt_ask_t *ask,
    ngx_http_rt_command_t *command)
{
    ask->name.data = (u_char *) command->name;
    ask->name.len = command->name_len;
    ask->key.data = (u_char *) command->key;
    ask->key.len = command->key_len;
    ask->body.data = (u_char *) command->data;
    ask->body.len = command->data_len;
    ask->expect = command->version;
    ask->has_expect = command->has_version;
}


static void
ngx_http_rt_pass_ws_answered(ngx_http_rt_call_t *call,
    const rt_wire_frame_t *f, ngx_uint_t status)
{
    const char                  *code, *message;
    ngx_http_rt_pass_ws_t       *ws;
    ngx_http_rt_pass_ws_call_t  *wc;

    wc = call->data;
    ws = wc->ws;

    if (f) {
        ngx_http_rt_pass_ws_reply(ws, wc->id, wc->id_len, f);

    } else {
        (void) ngx_http_rt_pass_reason(status, &code, &message);
        ngx_http_rt_pass_ws_error(ws, wc->id, wc->id_len, code, message);
    }

    ngx_http_rt_pass_ws_free(wc);
}


static void
ngx_http_rt_pass_ws_reply(ngx_http_rt_pass_ws_t *ws, const u_char *id,
    size_t id_len, const rt_wire_frame_t *f)
{
    u_char         *json, *p;
    uint64_t        status;
    rt_wire_str_t   body;

    if (id_len == 0) {
        return;
    }

    body = rt_wire_string(f, RT_WIRE_F_BODY);
    status = rt_wire_number(f, RT_WIRE_F_STATUS);

    if (body.len == 0) {
        body.data = (u_char *) "{}";
        body.len = 2;
    }

    json = ngx_alloc(id_len + body.len + 64 + NGX_INT64_LEN, ngx_cycle->log);
    if (json == NULL) {
        return;
    }

    p = ngx_cpymem(json, "{\"id\":", 6);
    p = ngx_cpymem(p, id, id_len);

    p = (status >= 200 && status < 300)
        ? ngx_http_rt_pass_ws_json_ok(p, &body, f)
        : ngx_http_rt_pass_ws_json_error(p, &body);

    *p++ = '}';

    ngx_http_rt_pass_ws_send(ws, json, p - json);

    ngx_free(json);
}


static u_char *
ngx_http_rt_pass_ws_json_ok(u_char *p, rt_wire_str_t *body,
    const rt_wire_frame_t *f)
{
    p = ngx_cpymem(p, ",\"ok\":", 6);
    p = ngx_cpymem(p, body->data, body->len);

    if (rt_wire_has(f, RT_WIRE_F_VERSION)) {
        p = ngx_sprintf(p, ",\"version\":%uL",
                        rt_wire_number(f, RT_WIRE_F_VERSION));
    }

    return p;
}


/* the daemon's {"error":"code",...} becomes {"code":"code",...} */

static u_char *
ngx_http_rt_pass_ws_json_error(u_char *p, rt_wire_str_t *body)
{
    p = ngx_cpymem(p, ",\"error\":", 9);

    if (body->len > 9 && ngx_strncmp(body->data, "{\"error\":", 9) == 0) {
        p = ngx_cpymem(p, "{\"code\":", 8);
        return ngx_cpymem(p, body->data + 9, body->len - 9);
    }

    return ngx_cpymem(p, body->data, body->len);
}


/* the id may be absent; the message is escaped */

static void
ngx_http_rt_pass_ws_error(ngx_http_rt_pass_ws_t *ws, const u_char *id,
    size_t id_len, const char *code, const char *message)
{
    u_char  json[1024], *p;

    if (id_len == 0) {
        return;
    }

    p = ngx_cpymem(json, "{\"id\":", 6);
    p = ngx_cpymem(p, id, id_len);
    p = ngx_sprintf(p, ",\"error\":{\"code\":\"%s\",\"message\":\"", code);
    p = ngx_http_rt_json_escape(p, (u_char *) message, ngx_strlen(message));
    p = ngx_cpymem(p, "\"}}", 3);

    ngx_http_rt_pass_ws_send(ws, json, p - json);
}


static void
ngx_http_rt_pass_ws_send(ngx_http_rt_pass_ws_t *ws, u_char *json, size_t len)
{
    ngx_http_rt_session_t  *s;

    s = ws->session;

    ngx_http_set_log_request(s->sink.connection->log, s->request);

    if (ngx_http_rt_session_reply(s, json, len) != NGX_OK) {
        ngx_http_rt_session_end(s, NGX_ERROR);
    }
}


static void
ngx_http_rt_pass_ws_free(ngx_http_rt_pass_ws_call_t *wc)
{
    ngx_queue_remove(&wc->queue);
    wc->ws->ncalls--;

    ngx_free(wc);
}


static void
ngx_http_rt_pass_ws_cleanup(void *data)
{
    ngx_http_rt_pass_ws_t *ws = data;

    ngx_queue_t                 *q;
    ngx_http_rt_pass_ws_call_t  *wc;

    while (!ngx_queue_empty(&ws->calls)) {
        q = ngx_queue_head(&ws->calls);
        wc = ngx_queue_data(q, ngx_http_rt_pass_ws_call_t, queue);

        ngx_http_rt_link_cancel(&wc->call);
        ngx_http_rt_pass_ws_free(wc);
    }
}
