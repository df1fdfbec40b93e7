/*
 * Points: named places in the middle of a change of the zone, where a process
 * dies if a test wants it to.  Only builds with NGX_HTTP_RT_DIE have them.
 *
 * With RT_DIE=commit:17 in its environment a process kills itself when it
 * comes to the point "commit" for the 17th time; with RT_DIE=commit:17:stop it
 * stops there, until it is told to go on.  A name stands in one file.
 */

#ifndef _NGX_HTTP_RT_POINT_H_INCLUDED_
#define _NGX_HTTP_RT_POINT_H_INCLUDED_


#if (NGX_HTTP_RT_DIE)

#include <signal.h>
#include <stdlib.h>
#include <string.h>


static void
ngx_http_rt_point(const char *name)
{
    char        *end;
    size_t       len;
    const char  *order;

    static unsigned long  passed;

    order = getenv("RT_DIE");
    len = strlen(name);

    if (order == NULL || strncmp(order, name, len) != 0 || order[len] != ':') {
        return;
    }

    if (++passed == strtoul(order + len + 1, &end, 10)) {
        (void) raise(*end == ':' ? SIGSTOP : SIGKILL);
    }
}

#else

#define ngx_http_rt_point(name)

#endif


#endif /* _NGX_HTTP_RT_POINT_H_INCLUDED_ */
