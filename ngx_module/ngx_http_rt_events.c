#include "ngx_http_rt_pass.h"
ngx_int_t ngx_http_rt_events(ngx_http_request_t *r, ngx_http_rt_link_t *link,
    ngx_http_rt_ask_t *ask, ngx_uint_t sse) { return 501; }
void ngx_http_rt_events_drain(void) {}
