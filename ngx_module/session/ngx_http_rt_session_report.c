/*
 * What the variables of a request say about its session: from the session while
 * the request has it, then from what was noted when they parted.
 */

#include "ngx_http_rt_session.h"


extern ngx_module_t  ngx_http_realtime_module;


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
    report->seq = s->reader ? s->reader->cursor : s->position;
    report->messages = s->messages;
    report->gaps = s->gaps;
    report->bytes = s->bytes;

    if (s->reader) {
        report->messages += s->reader->messages;
        report->gaps += s->reader->gaps;
        report->bytes += s->reader->bytes;
    }
}
