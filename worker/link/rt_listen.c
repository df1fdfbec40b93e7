/*
 * The socket, and connections that come in: who may connect, and how many.
 */


#define _GNU_SOURCE                         /* struct ucred, accept4() */

#include <arpa/inet.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "rt_link_private.h"
#include "rt_log.h"


#define RT_LINK_BACKLOG     511
#define RT_LINK_BIND_TRIES  20              /* 10 ms apart */


static void rt_listen_accept(rt_poll_t *ev, uint32_t events);


static rt_uint_t
rt_listen_is_same(const struct stat *a, const struct stat *b)
{
    return S_ISSOCK(a->st_mode) && a->st_dev == b->st_dev
           && a->st_ino == b->st_ino;
}


/*
 * A socket file on which nobody listens is a leftover and goes; anything else
 * of that name is not ours and stays.  A predecessor that was killed may still
 * listen for a moment.
 */

static rt_int_t
rt_listen_probe(const struct sockaddr_un *sun)
{
    int          probe, rc, err, tries;
    struct stat  st, now;

    if (lstat(sun->sun_path, &st) == -1) {
        return RT_OK;                       /* bind() will say what is wrong */
    }

    if (!S_ISSOCK(st.st_mode)) {
        rt_log(RT_LOG_EMERG, 0, "\"%s\" is there and is no socket",
               sun->sun_path);
        return RT_ERROR;
    }

    for (tries = 0; /* void */ ; tries++) {

        probe = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0);
        rc = connect(probe, (const struct sockaddr *) sun,
                     sizeof(struct sockaddr_un));
        err = errno;
        close(probe);

        if (rc == -1) {
            break;
        }

        if (tries == RT_LINK_BIND_TRIES) {
            rt_log(RT_LOG_EMERG, EADDRINUSE, "bind() to \"%s\" failed",
                   sun->sun_path);
            return RT_ERROR;
        }

        usleep(10000);
    }

    if (err == ECONNREFUSED && lstat(sun->sun_path, &now) == 0
        && rt_listen_is_same(&now, &st))
    {
        rt_log(RT_LOG_NOTICE, 0, "removing the socket \"%s\", on which nobody "
               "listens", sun->sun_path);
        unlink(sun->sun_path);
    }

    return RT_OK;
}


/* at the end; not if another daemon has taken the name */

void
rt_listen_remove(rt_link_t *l)
{
    const char   *path;
    struct stat   st;

    if (strncmp(l->conf.listen, "unix:", 5) != 0) {
        return;
    }

    path = l->conf.listen + 5;

    if (lstat(path, &st) == 0 && rt_listen_is_same(&st, &l->file)) {
        unlink(path);
    }
}


static rt_int_t
rt_listen_group(const char *path, const char *group)
{
    struct group  *gr;

    gr = getgrnam(group);

    if (gr == NULL || chown(path, (uid_t) -1, gr->gr_gid) == -1) {
        rt_log(RT_LOG_EMERG, errno, "chown() \"%s\" to group \"%s\" failed",
               path, group);
        return RT_ERROR;
    }

    return RT_OK;
}


static rt_int_t
rt_listen_unix(const rt_link_conf_t *conf, const char *path)
{
    int                  fd;
    mode_t               mask;
    struct sockaddr_un   sun;

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;

    if (strlen(path) >= sizeof(sun.sun_path)) {
        rt_log(RT_LOG_EMERG, 0, "socket path \"%s\" is too long", path);
        return RT_ERROR;
    }

    strcpy(sun.sun_path, path);

    if (rt_listen_probe(&sun) != RT_OK) {
        return RT_ERROR;
    }

    fd = socket(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (fd == -1) {
        rt_log(RT_LOG_EMERG, errno, "socket() failed");
        return RT_ERROR;
    }

    mask = umask(0777 & ~conf->mode);

    if (bind(fd, (struct sockaddr *) &sun, sizeof(sun)) == -1) {
        umask(mask);
        rt_log(RT_LOG_EMERG, errno, "bind() to \"%s\" failed", path);
        close(fd);
        return RT_ERROR;
    }

    umask(mask);

    if (conf->group && rt_listen_group(path, conf->group) != RT_OK) {
        close(fd);
        return RT_ERROR;
    }

    return fd;
}


static rt_int_t
rt_listen_inet(const char *address)
{
    int                  fd, on;
    char                 host[64];
    unsigned             port;
    struct sockaddr_in   sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    on = 1;

    if (sscanf(address, "%63[0-9.]:%u", host, &port) != 2 || port > 65535
        || inet_pton(AF_INET, host, &sin.sin_addr) != 1)
    {
        rt_log(RT_LOG_EMERG, 0, "\"%s\" is neither unix:path nor address:port",
               address);
        return RT_ERROR;
    }

    sin.sin_port = htons((in_port_t) port);

    fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);

    if (fd == -1
        || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1
        || bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1)
    {
        rt_log(RT_LOG_EMERG, errno, "bind() to %s failed", address);

        if (fd != -1) {
            close(fd);
        }

        return RT_ERROR;
    }

    return fd;
}


rt_link_t *
rt_link_listen(const rt_link_conf_t *conf)
{
    rt_int_t    fd;
    rt_link_t  *l;

    fd = strncmp(conf->listen, "unix:", 5) == 0
         ? rt_listen_unix(conf, conf->listen + 5)
         : rt_listen_inet(conf->listen);

    if (fd == RT_ERROR) {
        return NULL;
    }

    if (listen((int) fd, RT_LINK_BACKLOG) == -1) {
        rt_log(RT_LOG_EMERG, errno, "listen() failed");
        close((int) fd);
        return NULL;
    }

    l = rt_calloc(sizeof(rt_link_t));

    l->conf = *conf;
    l->listening.fd = (int) fd;
    l->listening.handler = rt_listen_accept;
    l->listening.data = l;

    if (strncmp(conf->listen, "unix:", 5) == 0
        && lstat(conf->listen + 5, &l->file) == -1)
    {
        rt_log(RT_LOG_EMERG, errno, "stat() \"%s\" failed", conf->listen + 5);
        close((int) fd);
        free(l);
        return NULL;
    }

    return l;
}


static rt_int_t
rt_listen_check_peer(rt_link_t *l, int fd, struct ucred *cred)
{
    rt_uint_t  i;
    socklen_t  len;

    cred->pid = 0;
    cred->uid = (uid_t) -1;
    len = sizeof(struct ucred);

    if (strncmp(l->conf.listen, "unix:", 5) != 0) {
        return RT_OK;
    }

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, cred, &len) == -1) {
        rt_log(RT_LOG_ALERT, errno, "getsockopt(SO_PEERCRED) failed");
        return RT_ERROR;
    }

    if (l->conf.npeers == 0 || cred->uid == geteuid() || cred->uid == 0) {
        return RT_OK;
    }

    for (i = 0; i < l->conf.npeers; i++) {
        if (l->conf.peers[i] == cred->uid) {
            return RT_OK;
        }
    }

    return RT_DECLINED;
}


static rt_int_t
rt_listen_check(rt_link_t *l, int fd, struct ucred *cred)
{
    if (rt_listen_check_peer(l, fd, cred) != RT_OK) {
        rt_log(RT_LOG_INFO, 0, "peer %d of user %d is not allowed",
               (int) cred->pid, (int) cred->uid);
        return RT_DECLINED;
    }

    if (l->nconns == RT_LINK_CONNECTIONS) {
        rt_log(RT_LOG_INFO, 0, "too many connections");
        return RT_DECLINED;
    }

    return RT_OK;
}


/*
 * Without descriptors or memory the connection stays in the backlog, and the
 * socket readable: it is left alone for a while.
 */

static void
rt_listen_failed(rt_link_t *l, int err)
{
    if (err == EAGAIN || err == ECONNABORTED || err == EINTR) {
        return;
    }

    if (!l->cannot_accept) {
        l->cannot_accept = 1;
        rt_log(RT_LOG_CRIT, err, "accept4() failed, tried again every %d ms",
               RT_LINK_ACCEPT_MS);
    }

    (void) rt_poll_change(&l->listening, 0);
    rt_timer_set(&l->accepting, RT_LINK_ACCEPT_MS);
}


void
rt_listen_again(rt_timer_t *t)
{
    rt_link_t  *l;

    l = t->data;

    (void) rt_poll_change(&l->listening, EPOLLIN);
}


static void
rt_listen_accept(rt_poll_t *ev, uint32_t events)
{
    int            fd, on;
    rt_link_t     *l;
    struct ucred   cred;

    (void) events;

    l = ev->data;
    on = 1;

    fd = accept4(ev->fd, NULL, NULL, SOCK_NONBLOCK|SOCK_CLOEXEC);

    if (fd == -1) {
        rt_listen_failed(l, errno);
        return;
    }

    l->cannot_accept = 0;

    if (rt_listen_check(l, fd, &cred) != RT_OK) {
        l->stats.refused++;
        close(fd);
        return;
    }

    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    rt_conn_open(l, fd, cred.pid);
}
