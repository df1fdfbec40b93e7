/*
 * How the sanitizers behave in the nginx that the tests run.
 *
 * Leaks are looked for when a process begins to exit: connections are closed
 * by then, and what lives as long as the process can still be reached.  Later,
 * configuration and modules are gone, and all that only they pointed to would
 * count; nginx, too, leaves some of its memory to exit().
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <sanitizer/lsan_interface.h>


const char *__asan_default_options(void);
const char *__lsan_default_options(void);
const char *__lsan_default_suppressions(void);
const char *__ubsan_default_options(void);

static void ngx_sanitize_exit_process(ngx_cycle_t *cycle);


static ngx_core_module_t  ngx_sanitize_module_ctx = {
    ngx_string("sanitize"),
    NULL,
    NULL
};


ngx_module_t  ngx_sanitize_module = {
    NGX_MODULE_V1,
    &ngx_sanitize_module_ctx,              /* module context */
    NULL,                                  /* module directives */
    NGX_CORE_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_sanitize_exit_process,             /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


const char *
__asan_default_options(void)
{
    /* every nginx module has an ngx_modules[] of its own */

    return "detect_odr_violation=0:allocator_may_return_null=1";
}


const char *
__lsan_default_options(void)
{
    return "leak_check_at_exit=0:print_suppressions=0";
}


const char *
__lsan_default_suppressions(void)
{
    /* nginx 1.22 never frees PCRE's compile contexts */

    return "leak:ngx_regex_malloc\n";
}


const char *
__ubsan_default_options(void)
{
    return "print_stacktrace=1";
}


static void
ngx_sanitize_exit_process(ngx_cycle_t *cycle)
{
    if (__lsan_do_recoverable_leak_check()) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0, "memory leaked");
    }
}
