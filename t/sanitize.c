/*
 * How the sanitizers behave in the nginx that the tests run; linked into it.
 *
 * Leaks are looked for where our code lives, in worker processes.  Elsewhere
 * nginx leaves memory to exit(): main()'s first pool after "nginx -t" or when
 * it cannot start, and much more with "master_process off".
 */

#include <stddef.h>
#include <stdint.h>


#define RT_PROCESS_WORKER  3          /* NGX_PROCESS_WORKER */


/* weak, for configure links its little tests with this file, too */

extern uintptr_t  ngx_process __attribute__((weak));


const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
const char *__lsan_default_suppressions(void);
int __lsan_is_turned_off(void);


const char *
__asan_default_options(void)
{
    /* every nginx module has an ngx_modules[] of its own */

    return "detect_odr_violation=0:allocator_may_return_null=1";
}


const char *
__ubsan_default_options(void)
{
    return "print_stacktrace=1";
}


const char *
__lsan_default_suppressions(void)
{
    /* nginx 1.22 never frees PCRE's compile contexts */

    return "leak:ngx_regex_malloc\n";
}


int
__lsan_is_turned_off(void)
{
    return &ngx_process == NULL || ngx_process != RT_PROCESS_WORKER;
}
