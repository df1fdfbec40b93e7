/*
 * What the variables of a request say about its session: from the session while
 * the request has it, then from what was noted when the request lost it.
 */

#include "ngx_http_rt_session.h"


extern ngx_module_t  ngx_http_realtime_module;


static void ngx_http_rt_session_report_add(ngx_http_rt_report_t *report,
    ngx_http_rt_reader_t *rd);


/* what the variables of the request will say without it */

void
ngx_http_rt_session_tell(ngx_http_rt_session_t *s)
{
    ngx_http_rt_report_t  *report;

    report = ngx_http_get_module_ctx(s->request, ngx_http_realtime_module);

    if (report && report->session == s) {
        ngx_http_rt_session_report(s, report);
        report->session = NULL;
    }
}


void
ngx_http_rt_session_report(ngx_http_rt_session_t *s,
    ngx_http_rt_report_t *report)
{
    ngx_rbtree_t                 *tree;
    ngx_rbtree_node_t            *node;
    ngx_http_rt_session_topic_t  *t;

    report->seq = s->position;
    report->messages = s->messages;
    report->gaps = s->gaps;
    report->bytes = s->bytes;

    if (s->reader) {
        report->seq = s->reader->cursor;
        ngx_http_rt_session_report_add(report, s->reader);
    }

    if (s->topics == NULL || s->topics->count == 0) {
        return;
    }

    tree = &s->topics->tree;

    for (node = ngx_rbtree_min(tree->root, tree->sentinel);
         node;
         node = ngx_rbtree_next(tree, node))
    {
        t = ngx_http_rt_session_topic(node);

        report->seq = ngx_max(report->seq, t->reader.cursor);
        ngx_http_rt_session_report_add(report, &t->reader);
    }
}


static void
ngx_http_rt_session_report_add(ngx_http_rt_report_t *report,
    ngx_http_rt_reader_t *rd)
{
    report->messages += rd->messages;
    report->gaps += rd->gaps;
    report->bytes += rd->bytes;
}
