/*
 * realtimectl over a daemon's socket: one request and its reply, or events
 * until the connection ends.
 */


#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rt_ctl.h"


typedef struct {
    int            fd;
    size_t         used;                    /* of "in", by the last frame */
    rt_buf_t       in;
    rt_buf_t       out;
} rt_ctl_t;


static int
rt_ctl_connect_unix(const char *path)
{
    int                  fd;
    struct sockaddr_un   sun;

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;
    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);

    fd = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *) &sun, sizeof(sun)) == -1) {
        close(fd);
        return -1;
    }

    return fd;
}


static int
rt_ctl_connect_inet(const char *address)
{
    int                  fd;
    char                 host[64];
    unsigned             port;
    struct sockaddr_in   sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;

    if (sscanf(address, "%63[0-9.]:%u", host, &port) != 2
        || inet_pton(AF_INET, host, &sin.sin_addr) != 1)
    {
        errno = EINVAL;
        return -1;
    }

    sin.sin_port = htons((in_port_t) port);
    fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
        close(fd);
        return -1;
    }

    return fd;
}


static int
rt_ctl_connect(const char *listen)
{
    int  fd;

    if (listen == NULL) {
        fprintf(stderr, "realtimectl: --listen or --config is needed\n");
        return -1;
    }

    fd = strncmp(listen, "unix:", 5) == 0 ? rt_ctl_connect_unix(listen + 5)
                                          : rt_ctl_connect_inet(listen);

    if (fd == -1) {
        fprintf(stderr, "realtimectl: connect() to \"%s\" failed: %s\n",
                listen, strerror(errno));
    }

    return fd;
}


static int
rt_ctl_send(rt_ctl_t *c)
{
    ssize_t  n;

    while (rt_buf_size(&c->out)) {
        n = send(c->fd, c->out.pos, rt_buf_size(&c->out), MSG_NOSIGNAL);

        if (n == -1) {
            if (errno == EINTR) {
                continue;
            }

            fprintf(stderr, "realtimectl: send() failed: %s\n",
                    strerror(errno));
            return -1;
        }

        c->out.pos += n;
    }

    rt_buf_reset(&c->out);

    return 0;
}


static int
rt_ctl_receive(rt_ctl_t *c, rt_wire_frame_t *f)
{
    int      rc;
    ssize_t  n;

    c->in.pos += c->used;
    c->used = 0;

    if (rt_buf_size(&c->in) == 0) {
        rt_buf_reset(&c->in);
    }

    for ( ;; ) {
        rc = rt_wire_parse(f, c->in.pos, rt_buf_size(&c->in),
                           RT_WIRE_FRAME_MAX);

        if (rc == RT_WIRE_OK) {
            c->used = f->size;
            return 0;
        }

        if (rc == RT_WIRE_ERROR) {
            fprintf(stderr, "realtimectl: bad frame: %s\n", f->error);
            return -1;
        }

        rt_buf_reserve(&c->in, 65536);
        n = recv(c->fd, c->in.last, 65536, 0);

        if (n <= 0) {
            fprintf(stderr, "realtimectl: the connection was closed\n");
            return -1;
        }

        c->in.last += n;
    }
}


static int
rt_ctl_open(rt_ctl_t *c, const rt_ctl_options_t *o)
{
    u_char           *p;
    rt_wire_frame_t   f;

    memset(c, 0, sizeof(rt_ctl_t));
    c->fd = rt_ctl_connect(o->listen);

    if (c->fd == -1) {
        return -1;
    }

    p = rt_buf_reserve(&c->out, 256);
    p = rt_wire_begin(p, RT_WIRE_HELLO, 0, 0);
    p = rt_wire_put_number(p, RT_WIRE_F_PROTOCOL, RT_WIRE_PROTOCOL);
    p = rt_wire_put_number(p, RT_WIRE_F_FRAME_MAX, RT_WIRE_FRAME_MAX);
    rt_wire_end(c->out.last, p);
    c->out.last = p;

    return rt_ctl_send(c) == -1 || rt_ctl_receive(c, &f) == -1 ? -1 : 0;
}


static u_char *
rt_ctl_put(u_char *p, rt_wire_field_e tag, const char *s)
{
    size_t  max;

    max = rt_wire_string_max(tag);

    return rt_wire_put_string(p, tag, s, rt_min(strlen(s), max));
}


static int
rt_ctl_request(rt_ctl_t *c, const rt_ctl_options_t *o, rt_wire_type_e type,
    char **args, int n)
{
    u_char      *p;
    const char  *text;

    text = n > 3 ? args[3] : "";

    p = rt_buf_reserve(&c->out, 4096 + strlen(text));
    p = rt_wire_begin(p, type, 0, 1);

    if (n >= 3) {
        p = rt_ctl_put(p, RT_WIRE_F_ENGINE, args[0]);
        p = rt_ctl_put(p, RT_WIRE_F_ENTITY, args[1]);
        p = rt_ctl_put(p, RT_WIRE_F_NAME, args[2]);

        if (*o->key && type == RT_WIRE_COMMAND) {
            p = rt_ctl_put(p, RT_WIRE_F_KEY, o->key);
        }

        if (*o->user) {
            p = rt_ctl_put(p, RT_WIRE_F_USER, o->user);
        }

        if (type == RT_WIRE_COMMAND) {
            p = rt_ctl_put(p, RT_WIRE_F_BODY, *text ? text : "{}");

        } else if (*text) {
            p = rt_ctl_put(p, RT_WIRE_F_ARGS, text);
        }
    }

    rt_wire_end(c->out.last, p);
    c->out.last = p;

    return rt_ctl_send(c);
}


int
rt_ctl_ask(const rt_ctl_options_t *o, rt_wire_type_e type, char **args, int n)
{
    static rt_ctl_t   c;                    /* lives until exit */
    uint64_t          status;
    rt_wire_str_t     body;
    rt_wire_frame_t   f;

    if (rt_ctl_open(&c, o) == -1
        || rt_ctl_request(&c, o, type, args, n) == -1)
    {
        return 1;
    }

    do {
        if (rt_ctl_receive(&c, &f) == -1) {
            return 1;
        }
    } while (f.type != RT_WIRE_REPLY);

    status = rt_wire_number(&f, RT_WIRE_F_STATUS);
    body = rt_wire_string(&f, RT_WIRE_F_BODY);

    printf("%.*s\n", (int) body.len, body.data);

    if (n >= 3) {
        fprintf(stderr, "status %llu", (unsigned long long) status);

        if (rt_wire_has(&f, RT_WIRE_F_VERSION)) {
            fprintf(stderr, ", version %llu", (unsigned long long)
                    rt_wire_number(&f, RT_WIRE_F_VERSION));
        }

        fprintf(stderr, "%s\n", f.flags & RT_WIRE_REPEATED ? ", repeated" : "");
    }

    return status < 300 ? 0 : 1;
}


static int
rt_ctl_subscribe(rt_ctl_t *c, const char *engine, const char *entity,
    uint64_t from)
{
    u_char  *p;

    p = rt_buf_reserve(&c->out, 1024);
    p = rt_wire_begin(p, RT_WIRE_SUBSCRIBE, 0, 1);
    p = rt_wire_put_number(p, RT_WIRE_F_FROM, from);
    p = rt_ctl_put(p, RT_WIRE_F_ENGINE, engine);
    p = rt_ctl_put(p, RT_WIRE_F_ENTITY, entity);
    rt_wire_end(c->out.last, p);
    c->out.last = p;

    return rt_ctl_send(c);
}


static int
rt_ctl_confirm(rt_ctl_t *c, uint64_t count)
{
    u_char  *p;

    p = rt_buf_reserve(&c->out, 64);
    p = rt_wire_begin(p, RT_WIRE_CONFIRM, 0, 1);
    p = rt_wire_put_number(p, RT_WIRE_F_VERSION, count);
    rt_wire_end(c->out.last, p);
    c->out.last = p;

    return rt_ctl_send(c);
}


static void
rt_ctl_print_event(const rt_wire_frame_t *f)
{
    rt_wire_str_t  engine, entity, body;

    engine = rt_wire_string(f, RT_WIRE_F_ENGINE);
    entity = rt_wire_string(f, RT_WIRE_F_ENTITY);
    body = rt_wire_string(f, RT_WIRE_F_BODY);

    if (engine.len) {
        printf("%.*s/%.*s ", (int) engine.len, engine.data,
               (int) entity.len, entity.data);
    }

    printf("%.*s\n", (int) body.len, body.data);
    fflush(stdout);
}


int
rt_ctl_tail(const rt_ctl_options_t *o, char **args, int n)
{
    static rt_ctl_t   c;                    /* lives until exit */
    uint64_t          count;
    rt_wire_str_t     body;
    rt_wire_frame_t   f;

    if (rt_ctl_open(&c, o) == -1
        || rt_ctl_subscribe(&c, n > 0 ? args[0] : "", n > 1 ? args[1] : "",
                            o->from_start || n > 1 ? 0 : UINT64_MAX)
           == -1)
    {
        return 1;
    }

    count = 0;

    for ( ;; ) {
        if (rt_ctl_receive(&c, &f) == -1) {
            return 1;
        }

        if (f.type == RT_WIRE_REPLY) {
            body = rt_wire_string(&f, RT_WIRE_F_BODY);
            printf("%.*s\n", (int) body.len, body.data);
            return 1;
        }

        if (f.type != RT_WIRE_EVENT) {
            continue;
        }

        rt_ctl_print_event(&f);

        if (++count == RT_WIRE_WINDOW / 2) {

            if (rt_ctl_confirm(&c, count) == -1) {
                return 1;
            }

            count = 0;
        }
    }
}
