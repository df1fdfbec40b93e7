/*
 * realtimed: options, signals, the order of starting and stopping.
 *
 * Start: read the configuration, open the log, listen, write the pid file,
 * drop privileges, open the journal and replay, start its threads, serve.
 * The socket is there before the replay is done: a peer that connects early
 * waits in the backlog until the state is complete.
 *
 * Stop (SIGTERM, SIGINT): no new connections, CLOSE to all, outstanding answers
 * are synced and sent, a last snapshot, exit.
 */


#define _GNU_SOURCE                         /* setresuid() */

#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rt_conf.h"
#include "rt_log.h"
#include "rt_loop.h"


#define RT_MAIN_EVICT_MS   1000             /* between looks at idle entities */
#define RT_MAIN_SAVE_MS    5000             /* the zones' cursors */
#define RT_MAIN_CLOCK_MS   60000            /* the journal's time */


typedef struct {
    rt_conf_t        conf;
    rt_dispatch_t   *dispatch;
    rt_journal_t    *journal;               /* of the dispatcher */
    rt_link_t       *link;
    const char      *file;                  /* -c */
    const char      *listen;
    const char      *data;
    rt_uint_t        accept_time;

    rt_poll_t        signals;
    rt_timer_t       tick;
    rt_timer_t       flush;
    rt_timer_t       evict;
    rt_timer_t       save;
    rt_timer_t       clock;
    rt_timer_t       drain;
    rt_uint_t        stopping;
    rt_uint_t        failed;
} rt_main_t;


static rt_main_t  rt_main;


static void
rt_main_usage(FILE *f)
{
    fprintf(f, "realtimed version: realtimed/" RT_VERSION "\n"
            "usage: realtimed -c file [-t]\n"
            "       realtimed --listen unix:PATH --data DIR\n\n"
            "  -c, --config file   configuration file\n"
            "  -t, --test          test the configuration and exit\n"
            "  -l, --listen addr   unix:PATH, or ADDRESS:PORT for tests\n"
            "  -d, --data dir      where the journal is\n"
            "      --accept-time   the wall clock is right, however far it "
            "is ahead\n"
            "  -v, --version       show the version and exit\n"
            "  -h, --help          this help\n");
}


static void
rt_main_notify(const char *state)
{
    int                  fd;
    char                *path;
    socklen_t            len;
    struct sockaddr_un   sun;

    path = getenv("NOTIFY_SOCKET");

    if (path == NULL || strlen(path) >= sizeof(sun.sun_path)) {
        return;
    }

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;
    strcpy(sun.sun_path, path);
    len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(path));

    if (path[0] == '@') {
        sun.sun_path[0] = '\0';
    }

    fd = socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0);

    if (fd == -1) {
        return;
    }

    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL,
               (struct sockaddr *) &sun, len)
        == -1)
    {
        rt_log(RT_LOG_WARN, errno, "sd_notify to \"%s\" failed", path);
    }

    close(fd);
}


static rt_int_t
rt_main_configure(rt_conf_t *cf)
{
    rt_conf_defaults(cf);

    if (rt_main.file && rt_conf_read(cf, rt_main.file) != RT_OK) {
        return RT_ERROR;
    }

    if (rt_main.listen) {
        snprintf(cf->listen, sizeof(cf->listen), "%s", rt_main.listen);
    }

    if (rt_main.data) {
        snprintf(cf->data, sizeof(cf->data), "%s", rt_main.data);
    }

    cf->dispatch.accept_time = rt_main.accept_time;

    return rt_conf_finish(cf);
}


/* the number in a pid file; 0: empty, -1: it is something else */

static long
rt_main_read_pid(int fd)
{
    char         text[32], *end;
    long         pid;
    ssize_t      n;
    struct stat  st;

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)
        || st.st_size >= (off_t) sizeof(text))
    {
        return -1;
    }

    n = pread(fd, text, sizeof(text) - 1, 0);

    if (n <= 0) {
        return n;
    }

    text[n] = '\0';
    pid = strtol(text, &end, 10);

    return pid > 0 && strcmp(end, "\n") == 0 ? pid : -1;
}


/* a file that is there is written over only if it is a pid file */

static rt_int_t
rt_main_pid_file(const char *path)
{
    int      fd;
    char     text[32];
    ssize_t  n;

    if (path[0] == '\0') {
        return RT_OK;
    }

    fd = open(path, O_RDWR|O_CREAT|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC, 0644);

    if (fd == -1) {
        rt_log(RT_LOG_EMERG, errno, "open() \"%s\" failed", path);
        return RT_ERROR;
    }

    if (rt_main_read_pid(fd) == -1) {
        rt_log(RT_LOG_EMERG, 0, "\"%s\" is there and is no pid file", path);
        close(fd);
        return RT_ERROR;
    }

    n = snprintf(text, sizeof(text), "%d\n", (int) getpid());

    if (ftruncate(fd, 0) == -1 || pwrite(fd, text, (size_t) n, 0) != n) {
        rt_log(RT_LOG_EMERG, errno, "write() to \"%s\" failed", path);
        close(fd);
        return RT_ERROR;
    }

    close(fd);

    return RT_OK;
}


/* at the end; not if another daemon has written its own there */

static void
rt_main_remove_pid(const char *path)
{
    int   fd;
    long  pid;

    if (path[0] == '\0') {
        return;
    }

    fd = open(path, O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);

    if (fd == -1) {
        return;
    }

    pid = rt_main_read_pid(fd);
    close(fd);

    if (pid == (long) getpid()) {
        unlink(path);
    }
}


static rt_int_t
rt_main_drop_privileges(const rt_conf_t *cf)
{
    struct passwd  *pw;

    if (cf->user[0] == '\0' || geteuid() != 0) {
        return RT_OK;
    }

    pw = getpwnam(cf->user);

    if (pw == NULL) {
        rt_log(RT_LOG_EMERG, 0, "there is no user \"%s\"", cf->user);
        return RT_ERROR;
    }

    if (mkdir(cf->data, 0700) == 0
        && chown(cf->data, pw->pw_uid, pw->pw_gid) == -1)
    {
        rt_log(RT_LOG_EMERG, errno, "chown() \"%s\" failed", cf->data);
        return RT_ERROR;
    }

    if (strncmp(cf->listen, "unix:", 5) == 0
        && chown(cf->listen + 5, pw->pw_uid,
                 cf->group[0] ? (gid_t) -1 : pw->pw_gid)
           == -1)
    {
        rt_log(RT_LOG_EMERG, errno, "chown() \"%s\" failed", cf->listen + 5);
        return RT_ERROR;
    }

    if (initgroups(cf->user, pw->pw_gid) == -1
        || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == -1
        || setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == -1)
    {
        rt_log(RT_LOG_EMERG, errno, "becoming user \"%s\" failed", cf->user);
        return RT_ERROR;
    }

    return RT_OK;
}


/* signals */

static void
rt_main_reload(void)
{
    rt_conf_t  *cf;

    static rt_conf_t  new;

    rt_log(RT_LOG_NOTICE, 0, "signal SIGHUP received, reloading");

    if (rt_main_configure(&new) != RT_OK) {
        rt_log(RT_LOG_ERR, 0, "the old configuration stays");
        return;
    }

    cf = &rt_main.conf;

    if (cf->log[0] && rt_log_open(cf->log) != RT_OK) {
        rt_log(RT_LOG_ERR, 0, "the log could not be reopened");
    }

    /* what a running daemon can change; the rest needs a restart */

    rt_log_level = new.log_level;
    cf->log_level = new.log_level;

    rt_dispatch_configure(rt_main.dispatch, &new.dispatch);
    rt_link_configure(rt_main.link, &new.link);
}


static void
rt_main_drained(rt_timer_t *t)
{
    (void) t;

    rt_log(RT_LOG_WARN, 0, "stopping before all answers were taken");
    rt_loop_stop();
}


static void
rt_main_stop(void)
{
    if (rt_main.stopping) {
        return;
    }

    rt_main.stopping = 1;
    rt_main_notify("STOPPING=1");
    rt_link_stop(rt_main.link);
    rt_timer_set(&rt_main.drain, RT_LINK_DRAIN_MS);
}


static void
rt_main_children(void)
{
    int    status;
    pid_t  pid;

    for ( ;; ) {
        pid = waitpid(-1, &status, WNOHANG);

        if (pid <= 0) {
            return;
        }

        if (rt_dispatch_snapshot_child(rt_main.dispatch, pid, status)
            == RT_ERROR)
        {
            rt_link_snapshot_done(rt_main.link, 0);
        }
    }
}


static void
rt_main_signal(rt_poll_t *ev, uint32_t events)
{
    struct signalfd_siginfo  si;

    (void) events;

    while (read(ev->fd, &si, sizeof(si)) == sizeof(si)) {

        switch (si.ssi_signo) {

        case SIGHUP:
        case SIGUSR1:
            rt_main_reload();
            break;

        case SIGCHLD:
            rt_main_children();
            break;

        default:
            rt_log(RT_LOG_NOTICE, 0, "signal %u received, stopping",
                   si.ssi_signo);
            rt_main_stop();
        }
    }
}


static rt_int_t
rt_main_signals(void)
{
    sigset_t  set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);

    signal(SIGPIPE, SIG_IGN);

    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1) {
        rt_log(RT_LOG_EMERG, errno, "sigprocmask() failed");
        return RT_ERROR;
    }

    rt_main.signals.fd = signalfd(-1, &set, SFD_NONBLOCK|SFD_CLOEXEC);
    rt_main.signals.handler = rt_main_signal;

    if (rt_main.signals.fd == -1) {
        rt_log(RT_LOG_EMERG, errno, "signalfd() failed");
        return RT_ERROR;
    }

    return rt_poll_add(&rt_main.signals, EPOLLIN);
}


/* timers, and the end of a turn */

static void
rt_main_tick(rt_timer_t *t)
{
    (void) t;                               /* the end of the turn does it */
}


static void
rt_main_flush(rt_timer_t *t)
{
    (void) t;

    (void) rt_dispatch_flush(rt_main.dispatch, 1);
}


static void
rt_main_evict(rt_timer_t *t)
{
    rt_dispatch_evict(rt_main.dispatch);
    rt_timer_set(t, RT_MAIN_EVICT_MS);
}


static void
rt_main_save(rt_timer_t *t)
{
    /* the loop must not wait for the disk; an older cursor is good enough */

    rt_link_save(rt_main.link, 0);
    rt_timer_set(t, RT_MAIN_SAVE_MS);
}


static void
rt_main_clock(rt_timer_t *t)
{
    rt_dispatch_save_time(rt_main.dispatch, 0);
    rt_timer_set(t, RT_MAIN_CLOCK_MS);
}


static void
rt_main_turn(void *data)
{
    uint64_t        ms, at;
    rt_int_t        rc;
    rt_dispatch_t  *d;

    (void) data;

    d = rt_main.dispatch;

    rt_dispatch_turn(d);
    rt_timer_set(&rt_main.tick, rt_max(rt_dispatch_tick(d, 10000), 1));

    rt_link_flush(rt_main.link);

    ms = rt_dispatch_flush(d, rt_main.stopping);

    at = rt_timer_at(&rt_main.flush);

    if (ms && (at == 0 || at > rt_loop_now() + ms)) {
        rt_timer_set(&rt_main.flush, ms);
    }

    rc = rt_dispatch_snapshot_commit(d);

    if (rc != RT_DECLINED) {
        rt_link_snapshot_done(rt_main.link, rc == RT_OK);
        rt_loop_again();
    }

    if (rt_dispatch_snapshot_due(d) && !rt_main.stopping) {
        (void) rt_dispatch_snapshot(d);
    }

    if (rt_main.stopping && rt_link_idle(rt_main.link)
        && rt_journal_is_synced(rt_main.journal))
    {
        rt_loop_stop();
    }
}


/* what is left when the loop has ended */

static void
rt_main_finish(void)
{
    if (rt_journal_stop(rt_main.journal, RT_LINK_DRAIN_MS) != RT_OK) {
        rt_log(RT_LOG_CRIT, 0, "stopping, and the journal could not be "
               "written: what was not answered is lost");
        rt_main.failed = 1;

    } else if (rt_dispatch_snapshot_now(rt_main.dispatch) == RT_ERROR) {
        rt_log(RT_LOG_ERR, 0, "no last snapshot, the start will replay");
    }

    rt_dispatch_save_time(rt_main.dispatch, 1);

    rt_dispatch_stop(rt_main.dispatch);
    rt_link_close(rt_main.link);

    /* the state is not freed: a million entities would take seconds */

    rt_journal_close(rt_main.journal);
}


static rt_int_t
rt_main_serve(void)
{
    rt_dispatch_t  *d;

    d = rt_dispatch_open(&rt_main.conf.dispatch);

    if (d == NULL) {
        return RT_ERROR;
    }

    rt_main.dispatch = d;
    rt_main.journal = rt_dispatch_journal(d);

    if (rt_journal_start(rt_main.journal) != RT_OK
        || rt_link_start(rt_main.link, d) != RT_OK)
    {
        return RT_ERROR;
    }

    rt_main.tick.handler = rt_main_tick;
    rt_main.flush.handler = rt_main_flush;
    rt_main.evict.handler = rt_main_evict;
    rt_main.save.handler = rt_main_save;
    rt_main.clock.handler = rt_main_clock;
    rt_main.drain.handler = rt_main_drained;

    rt_timer_set(&rt_main.tick, 1);
    rt_timer_set(&rt_main.evict, RT_MAIN_EVICT_MS);
    rt_timer_set(&rt_main.save, RT_MAIN_SAVE_MS);
    rt_timer_set(&rt_main.clock, 1);
    rt_loop_before_sleep(rt_main_turn, NULL);

    rt_log(RT_LOG_NOTICE, 0, "realtimed/" RT_VERSION " listens on %s",
           rt_main.conf.listen);
    rt_main_notify("READY=1");

    rt_loop_run();

    rt_main_finish();

    return rt_main.failed ? RT_ERROR : RT_OK;
}


/* RT_DECLINED: all is done, exit with *code */

static rt_int_t
rt_main_options(int argc, char **argv, rt_uint_t *test, int *code)
{
    int  c;

    static const struct option  options[] = {
        { "config", required_argument, NULL, 'c' },
        { "test", no_argument, NULL, 't' },
        { "listen", required_argument, NULL, 'l' },
        { "data", required_argument, NULL, 'd' },
        { "accept-time", no_argument, NULL, 'A' },
        { "version", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 }
    };

    *test = 0;
    *code = 0;

    for ( ;; ) {
        c = getopt_long(argc, argv, "c:tl:d:vh", options, NULL);

        if (c == -1) {
            break;
        }

        switch (c) {
        case 'c':
            rt_main.file = optarg;
            break;
        case 't':
            *test = 1;
            break;
        case 'l':
            rt_main.listen = optarg;
            break;
        case 'd':
            rt_main.data = optarg;
            break;
        case 'A':
            rt_main.accept_time = 1;
            break;
        case 'v':
            printf("realtimed version: realtimed/" RT_VERSION "\n");
            return RT_DECLINED;
        case 'h':
            rt_main_usage(stdout);
            return RT_DECLINED;
        default:
            rt_main_usage(stderr);
            *code = 1;
            return RT_DECLINED;
        }
    }

    if (optind < argc
        || (rt_main.file == NULL && (!rt_main.listen || !rt_main.data)))
    {
        rt_main_usage(stderr);
        *code = 1;
        return RT_DECLINED;
    }

    return RT_OK;
}


/* the configuration is good: everything before the journal */

static rt_int_t
rt_main_start(const rt_conf_t *cf)
{
    rt_log_level = cf->log_level;

    if ((cf->log[0] && rt_log_open(cf->log) != RT_OK) || sodium_init() == -1) {
        return RT_ERROR;
    }

    rt_main.link = rt_link_listen(&cf->link);

    if (rt_main.link == NULL) {
        return RT_ERROR;
    }

    if (cf->daemon && daemon(1, 0) == -1) {
        rt_log(RT_LOG_EMERG, errno, "daemon() failed");
        return RT_ERROR;
    }

    if (rt_loop_init() != RT_OK || rt_main_signals() != RT_OK
        || rt_main_pid_file(cf->pid) != RT_OK
        || rt_main_drop_privileges(cf) != RT_OK)
    {
        return RT_ERROR;
    }

    return RT_OK;
}


int
main(int argc, char **argv)
{
    int         code;
    rt_int_t    rc;
    rt_uint_t   test;
    rt_conf_t  *cf;

    cf = &rt_main.conf;

    if (rt_main_options(argc, argv, &test, &code) != RT_OK) {
        return code;
    }

    if (rt_main_configure(cf) != RT_OK) {
        if (test) {
            fprintf(stderr, "realtimed: configuration file %s test failed\n",
                    rt_main.file ? rt_main.file : "");
        }

        return 1;
    }

    if (test) {
        fprintf(stderr, "realtimed: configuration file %s test is "
                "successful\n", rt_main.file ? rt_main.file : "");
        return 0;
    }

    if (rt_main_start(cf) != RT_OK) {
        return 1;
    }

    rc = rt_main_serve();

    rt_main_remove_pid(cf->pid);

    rt_loop_done();

    rt_log(RT_LOG_NOTICE, 0, "exit");

    return rc == RT_OK ? 0 : 1;
}
