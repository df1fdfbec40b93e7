/*
 * What realtime_status tells of workers: how the links of all processes are,
 * and what each daemon says of itself.
 *
 * All daemons that are up are asked at once; when the last has answered, or has
 * not in time, the request goes on where it waited.  A client that leaves takes
 * its questions with it.
 */

#include "ngx_http_rt_http.h"
#include "ngx_http_rt_json.h"
#include "ngx_http_rt_worker_status.h"


/* ms; a status is asked for often, and by impatient programs */
#define NGX_HTTP_RT_WORKER_STATUS_TIMEOUT  500

/* of one link, and of all together, but for names and what daemons say */
#define NGX_HTTP_RT_WORKER_STATUS_SIZE     2048


typedef struct {
    ngx_http_rt_call_t              call;
    ngx_http_rt_worker_status_t    *status;
    ngx_http_rt_link_t             *link;
    ngx_http_rt_tally_sum_t         sum;
    ngx_str_t                       body;   /* in the request's pool */
} ngx_http_rt_worker_question_t;


struct ngx_http_rt_worker_status_s {
    ngx_http_request_t             *request;
    ngx_http_rt_worker_status_pt    handler;
    ngx_uint_t                      waiting;
    ngx_uint_t                      n;
    ngx_http_rt_worker_question_t   questions[];
};


typedef struct {
    const char                     *name;
    const char                     *type;
    const char                     *help;
    size_t                          offset; /* in the link's clock */
} ngx_http_rt_worker_clock_t;


static void ngx_http_rt_worker_status_collect(
    ngx_http_rt_worker_status_t *status, ngx_http_rt_main_conf_t *mcf);
static void ngx_http_rt_worker_status_answered(ngx_http_rt_call_t *call,
    const rt_wire_frame_t *f, ngx_uint_t code);
static u_char *ngx_http_rt_worker_status_link(u_char *p,
    ngx_http_rt_worker_question_t *q);
static u_char *ngx_http_rt_worker_status_gauge(u_char *p,
    ngx_http_rt_worker_status_t *status, const char *name, const char *help,
    size_t offset);
static u_char *ngx_http_rt_worker_status_clock(u_char *p,
    ngx_http_rt_worker_status_t *status,
    const ngx_http_rt_worker_clock_t *metric);
static u_char *ngx_http_rt_worker_status_labels(u_char *p,
    const ngx_http_rt_worker_question_t *q, const char *name);
static void ngx_http_rt_worker_status_sum(ngx_http_rt_worker_status_t *status);
static void ngx_http_rt_worker_status_cleanup(void *data);


static const ngx_http_rt_worker_clock_t  ngx_http_rt_worker_clocks[] = {

    { "realtime_worker_clock_offset_milliseconds", "gauge",
      "The daemon's wall clock less its journal's time.",
      offsetof(ngx_http_rt_link_clock_t, offset_ms) },

    { "realtime_worker_clock_held", "gauge",
      "Whether the wall clock is too far ahead to be followed.",
      offsetof(ngx_http_rt_link_clock_t, held) },

    { "realtime_worker_clock_steps_total", "counter",
      "Times that the wall clock was set, by a second or more.",
      offsetof(ngx_http_rt_link_clock_t, steps) },

    { "realtime_worker_clock_steps_refused_total", "counter",
      "Times that it was set too far ahead to be followed.",
      offsetof(ngx_http_rt_link_clock_t, refused) },

    { NULL, NULL, NULL, 0 }
};


/* the questions of one request, and its answer when the last has come */

ngx_int_t
ngx_http_rt_worker_status(ngx_http_request_t *r, ngx_uint_t ask,
    ngx_http_rt_worker_status_pt handler, ngx_http_rt_worker_status_t **sp)
{
    ngx_uint_t                      i;
    ngx_http_cleanup_t             *cln;
    ngx_http_rt_ask_t               what;
    ngx_http_rt_main_conf_t        *mcf;
    ngx_http_rt_worker_status_t    *status;
    ngx_http_rt_worker_question_t  *q;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_realtime_module);

    status = ngx_pcalloc(r->pool, sizeof(ngx_http_rt_worker_status_t)
                                  + mcf->nlinks
                                    * sizeof(ngx_http_rt_worker_question_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (status == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_rt_worker_status_cleanup;
    cln->data = status;

    status->request = r;
    status->handler = handler;

    ngx_http_rt_worker_status_collect(status, mcf);

    *sp = status;

    ngx_memzero(&what, sizeof(ngx_http_rt_ask_t));

    what.type = RT_WIRE_STATUS;
    what.timeout = NGX_HTTP_RT_WORKER_STATUS_TIMEOUT;

    for (i = 0; i < status->n && ask; i++) {
        q = &status->questions[i];

        if (ngx_http_rt_link_ask(q->link, &q->call, &what) == NGX_OK) {
            status->waiting++;
        }
    }

    return status->waiting ? NGX_AGAIN : NGX_OK;
}


static void
ngx_http_rt_worker_status_collect(ngx_http_rt_worker_status_t *status,
    ngx_http_rt_main_conf_t *mcf)
{
    ngx_uint_t                      i, n;
    ngx_http_rt_link_t             *link;
    ngx_http_rt_worker_t          **workers;
    ngx_http_rt_worker_question_t  *q;

    workers = mcf->workers.elts;

    for (i = 0; i < mcf->workers.nelts; i++) {
        link = workers[i]->links.elts;

        for (n = 0; n < workers[i]->links.nelts; n++) {
            q = &status->questions[status->n++];

            q->status = status;
            q->link = &link[n];
            q->call.handler = ngx_http_rt_worker_status_answered;
            q->call.data = q;
        }
    }
}


static void
ngx_http_rt_worker_status_answered(ngx_http_rt_call_t *call,
    const rt_wire_frame_t *f, ngx_uint_t code)
{
    rt_wire_str_t                   body;
    ngx_connection_t               *c;
    ngx_http_request_t             *r;
    ngx_http_rt_worker_status_t    *status;
    ngx_http_rt_worker_question_t  *q;

    q = call->data;
    status = q->status;
    r = status->request;
    c = r->connection;

    if (f && rt_wire_number(f, RT_WIRE_F_STATUS) == 200) {
        body = rt_wire_string(f, RT_WIRE_F_BODY);

        q->body.data = ngx_pnalloc(r->pool, body.len);

        if (q->body.data) {
            ngx_memcpy(q->body.data, body.data, body.len);
            q->body.len = body.len;
        }
    }

    if (--status->waiting) {
        return;
    }

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r, status->handler(r, status));
    ngx_http_run_posted_requests(c);
}


size_t
ngx_http_rt_worker_status_size(ngx_http_rt_worker_status_t *status)
{
    size_t                          size;
    ngx_uint_t                      i;
    ngx_http_rt_worker_question_t  *q;

    size = NGX_HTTP_RT_WORKER_STATUS_SIZE;

    for (i = 0; i < status->n; i++) {
        q = &status->questions[i];

        size += NGX_HTTP_RT_WORKER_STATUS_SIZE + q->body.len
                + 6 * 8 * (q->link->name.len + q->link->worker->name.len);
    }

    return size;
}


/* "main":{"unix:/run/realtimed.sock":{...}} */

u_char *
ngx_http_rt_worker_status_json(u_char *p, ngx_http_rt_worker_status_t *status)
{
    ngx_uint_t                      i;
    ngx_http_rt_link_t             *link;
    ngx_http_rt_worker_t           *worker;
    ngx_http_rt_worker_question_t  *q;

    ngx_http_rt_worker_status_sum(status);

    worker = NULL;

    for (i = 0; i < status->n; i++) {
        q = &status->questions[i];
        link = q->link;

        if (link->worker == worker) {
            *p++ = ',';

        } else {
            if (worker) {
                p = ngx_cpymem(p, "},", 2);
            }

            worker = link->worker;

            *p++ = '"';
            p = ngx_http_rt_json_escape(p, worker->name.data,
                                        worker->name.len);
            p = ngx_cpymem(p, "\":{", 3);
        }

        p = ngx_http_rt_worker_status_link(p, q);
    }

    if (worker) {
        *p++ = '}';
    }

    return p;
}


/* the daemon's members follow ours */

static u_char *
ngx_http_rt_worker_status_link(u_char *p, ngx_http_rt_worker_question_t *q)
{
    const char  *state;

    state = q->sum.up ? "up" : q->sum.linked ? "partly" : "down";

    *p++ = '"';
    p = ngx_http_rt_json_escape(p, q->link->name.data, q->link->name.len);
    p = ngx_sprintf(p, "\":{\"state\":\"%s\",\"processes\":%ui,"
                    "\"linked\":%ui,\"waiting\":%ui,\"streams\":%ui",
                    state, q->sum.processes, q->sum.linked, q->sum.waiting,
                    q->sum.streams);

    if (q->body.len > 2 && q->body.data[0] == '{') {
        *p++ = ',';
        return ngx_cpymem(p, q->body.data + 1, q->body.len - 1);
    }

    *p++ = '}';

    return p;
}


u_char *
ngx_http_rt_worker_status_text(u_char *p, ngx_http_rt_worker_status_t *status)
{
    const ngx_http_rt_worker_clock_t  *clock;

    if (status->n == 0) {
        return p;
    }

    ngx_http_rt_worker_status_sum(status);

    for (clock = ngx_http_rt_worker_clocks; clock->name; clock++) {
        p = ngx_http_rt_worker_status_clock(p, status, clock);
    }

    p = ngx_http_rt_worker_status_gauge(p, status, "realtime_worker_up",
                             "Whether all processes are linked to the daemon.",
                             offsetof(ngx_http_rt_tally_sum_t, up));

    p = ngx_http_rt_worker_status_gauge(p, status, "realtime_worker_linked",
                             "Processes that are linked to the daemon.",
                             offsetof(ngx_http_rt_tally_sum_t, linked));

    p = ngx_http_rt_worker_status_gauge(p, status, "realtime_worker_waiting",
                             "Answers that the daemon owes.",
                             offsetof(ngx_http_rt_tally_sum_t, waiting));

    return ngx_http_rt_worker_status_gauge(p, status,
                             "realtime_worker_streams",
                             "Streams of events from the daemon.",
                             offsetof(ngx_http_rt_tally_sum_t, streams));
}


static u_char *
ngx_http_rt_worker_status_gauge(u_char *p,
    ngx_http_rt_worker_status_t *status, const char *name, const char *help,
    size_t offset)
{
    ngx_uint_t                      i;
    ngx_http_rt_worker_question_t  *q;

    p = ngx_sprintf(p, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);

    for (i = 0; i < status->n; i++) {
        q = &status->questions[i];

        p = ngx_http_rt_worker_status_labels(p, q, name);
        p = ngx_sprintf(p, "%ui\n",
                        *(ngx_uint_t *) ((u_char *) &q->sum + offset));
    }

    return p;
}


/* of the daemons that this process is linked to */

static u_char *
ngx_http_rt_worker_status_clock(u_char *p,
    ngx_http_rt_worker_status_t *status,
    const ngx_http_rt_worker_clock_t *metric)
{
    ngx_uint_t                 i;
    ngx_http_rt_link_clock_t  *clock;

    p = ngx_sprintf(p, "# HELP %s %s\n# TYPE %s %s\n", metric->name,
                    metric->help, metric->name, metric->type);

    for (i = 0; i < status->n; i++) {
        clock = &status->questions[i].link->clock;

        if (!clock->known) {
            continue;
        }

        p = ngx_http_rt_worker_status_labels(p, &status->questions[i],
                                             metric->name);
        p = ngx_sprintf(p, "%L\n",
                        *(int64_t *) ((u_char *) clock + metric->offset));
    }

    return p;
}


static u_char *
ngx_http_rt_worker_status_labels(u_char *p,
    const ngx_http_rt_worker_question_t *q, const char *name)
{
    const ngx_http_rt_link_t  *link;

    link = q->link;

    p = ngx_sprintf(p, "%s{worker=\"", name);
    p = ngx_http_rt_json_escape(p, link->worker->name.data,
                                link->worker->name.len);
    p = ngx_cpymem(p, "\",address=\"", 11);
    p = ngx_http_rt_json_escape(p, link->name.data, link->name.len);

    return ngx_cpymem(p, "\"} ", 3);
}


static void
ngx_http_rt_worker_status_sum(ngx_http_rt_worker_status_t *status)
{
    ngx_uint_t                      i;
    ngx_http_rt_main_conf_t        *mcf;
    ngx_http_rt_worker_question_t  *q;

    mcf = ngx_http_get_module_main_conf(status->request,
                                        ngx_http_realtime_module);

    for (i = 0; i < status->n; i++) {
        q = &status->questions[i];
        ngx_http_rt_tally_sum(mcf, q->link, &q->sum);
    }
}


static void
ngx_http_rt_worker_status_cleanup(void *data)
{
    ngx_http_rt_worker_status_t *status = data;

    ngx_uint_t  i;

    for (i = 0; i < status->n; i++) {
        ngx_http_rt_link_cancel(&status->questions[i].call);
    }
}
