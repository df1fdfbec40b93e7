/*
 * What other clients notice while one makes the server work.
 *
 *   beside load=pings port=8080 pids=123 seconds=2 kind=ws
 *
 * The probe is two clients that have nothing to do with the load: a subscriber
 * of a topic of its own, to which a message is published every 5 ms, and plain
 * GETs of "/nothing", each on a new connection.  Latency counts from when a
 * probe was due, so a server that stalls for a second makes 200 late probes
 * and not one.
 *
 * A child process does the load, with less priority.  It prepares; the probe
 * measures the idle server; the child does its work; the probe measures until
 * the child is done.  The report is one line of JSON.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "beside.h"


#define BESIDE_PERIOD   5000000ull          /* ns between probes */
#define BESIDE_GETS     512                 /* on their way at once */
#define BESIDE_LONGEST  40                  /* seconds of a load */
#define BESIDE_DRAIN    30000000000ull      /* ns for what is on its way */
#define BESIDE_IDLE     1500000000ull       /* ns */


typedef struct {
    int            fd;
    uint64_t       due;
    uint64_t       cpu;                     /* of the server, then */
} beside_get_t;


static void beside_options(int argc, char **argv);
static void beside_child(const beside_load_t *load, int out, int in);
static void beside_measure_idle(void);
static void beside_measure_load(int to, int from, pid_t pid);
static void beside_probe_open(void);
static void beside_probe_reset(void);
static unsigned beside_probe_drain(void);
static int beside_probe_turn(int control);
static void beside_probe_send(uint64_t due);
static void beside_probe_messages(void);
static void beside_probe_get(beside_get_t *get);
static void beside_probe_until(uint64_t end, int control);
static void beside_print(const char *prefix);


load_conf_t  load_conf = { .seconds = 2 };
double       beside_seconds;

static FILE          *report;               /* of the child */
static const char    *load_name;
static int            publisher;
static int            subscriber;
static char           text[BESIDE_BUFFER * 2];
static size_t         text_len;
static beside_get_t   gets[BESIDE_GETS];
static uint64_t       next_due;
static uint64_t       skipped;
static uint64_t       sent_messages;
static uint64_t       sent_gets;
static load_hist_t    messages;
static load_hist_t    plain;
static load_hist_t    worked;


int
main(int argc, char **argv)
{
    int                   i, to[2], from[2];
    char                  line[4096];
    pid_t                 pid;
    const beside_load_t  *load;

    beside_options(argc, argv);

    load = beside_load_find(load_name);
    if (load == NULL) {
        load_fail("no load \"%s\"", load_name);
    }

    if (pipe(to) == -1 || pipe(from) == -1) {
        load_fail("pipe(): %s", strerror(errno));
    }

    pid = fork();
    if (pid == -1) {
        load_fail("fork(): %s", strerror(errno));
    }

    if (pid == 0) {
        close(to[1]);
        close(from[0]);
        beside_child(load, from[1], to[0]);
    }

    close(to[0]);
    close(from[1]);

    if (read(from[0], line, 1) != 1) {
        load_fail("the load has died");
    }

    setpriority(PRIO_PROCESS, 0, -10);

    for (i = 0; i < BESIDE_GETS; i++) {
        gets[i].fd = -1;
    }

    beside_probe_open();
    beside_measure_idle();
    beside_measure_load(to[1], from[0], pid);

    return 0;
}


static void
beside_measure_idle(void)
{
    beside_probe_until(load_now() + 200000000, -1);
    beside_probe_drain();
    beside_probe_reset();

    beside_probe_until(load_now() + BESIDE_IDLE, -1);
    beside_probe_drain();
    printf("{");
    beside_print("idle_");
}


static void
beside_measure_load(int to, int from, pid_t pid)
{
    char      line[4096];
    size_t    n;
    ssize_t   got;
    uint64_t  start, took;
    unsigned  missing;

    beside_probe_reset();
    start = load_now();
    next_due = start;

    if (write(to, "g", 1) != 1) {
        load_fail("the load has died");
    }

    beside_probe_until(start + BESIDE_LONGEST * 1000000000ull, from);
    took = load_now() - start;
    missing = beside_probe_drain();

    for (n = 0; n < sizeof(line) - 1; n += got) {
        got = read(from, line + n, sizeof(line) - 1 - n);
        if (got <= 0) {
            break;
        }
    }

    line[n] = '\0';

    if (strchr(line, '\n') == NULL) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        load_fail("the load has died, or is not done after %d s",
                  BESIDE_LONGEST);
    }

    waitpid(pid, NULL, 0);

    beside_print("");
    *strchr(line, '\n') = '\0';
    printf("\"took\":%.3f,\"skipped\":%lu,\"missing\":%u%s}\n",
           (double) took / 1e9, skipped, missing, line);
}


static void
beside_options(int argc, char **argv)
{
    int     i;
    char   *value;

    for (i = 1; i < argc; i++) {
        value = strchr(argv[i], '=');

        if (value == NULL) {
            load_fail("\"%s\": no value", argv[i]);
        }

        *value++ = '\0';

        if (strcmp(argv[i], "load") == 0) {
            load_name = value;

        } else if (strcmp(argv[i], "port") == 0) {
            load_conf.port = strtoul(value, NULL, 10);

        } else if (strcmp(argv[i], "pids") == 0) {
            load_conf.pids[0] = strtol(value, NULL, 10);
            load_conf.npids = 1;

        } else if (strcmp(argv[i], "seconds") == 0) {
            load_conf.seconds = strtod(value, NULL);

        } else if (strcmp(argv[i], "kind") == 0) {
            load_conf.kind = strcmp(value, "ws") == 0 ? LOAD_WS : LOAD_SSE;

        } else {
            load_fail("\"%s\": unknown", argv[i]);
        }
    }

    beside_seconds = load_conf.seconds;

    if (load_conf.port == 0 || load_conf.npids == 0 || load_name == NULL) {
        load_fail("load, port and pids are needed");
    }
}


void
load_fail(const char *fmt, ...)
{
    va_list  args;

    fputs("beside: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);

    exit(1);
}


/*
 * The child writes one byte when it has prepared, and its figures at the end.
 */

static void
beside_child(const beside_load_t *load, int out, int in)
{
    char  go;

    setpriority(PRIO_PROCESS, 0, 5);
    signal(SIGPIPE, SIG_IGN);
    alarm(BESIDE_LONGEST * 2);

    report = fdopen(out, "w");

    if (load->prepare) {
        load->prepare();
    }

    fputc('r', report);
    fflush(report);

    if (read(in, &go, 1) != 1) {
        _exit(1);
    }

    load->run();

    if (beside_refused && !load->refused) {
        load_fail("%u clients were refused", beside_refused);
    }

    fputc('\n', report);
    fclose(report);
    _exit(0);
}


void
beside_figure(const char *name, double value)
{
    fprintf(report, ",\"%s\":%.3f", name, value);
}


/* the probe: publisher and subscriber of one topic */

static void
beside_probe_open(void)
{
    char     buf[1024];
    size_t   n;

    publisher = beside_connect(0, 0);
    subscriber = beside_connect(0, 1);

    n = beside_request(buf, sizeof(buf), "GET", "/probe/it",
                       load_conf.kind == LOAD_WS
                       ? "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                       : "Accept: text/event-stream\r\n",
                       NULL, 0);

    beside_send(subscriber, buf, n);

    if (recv(subscriber, buf, 12, MSG_WAITALL) != 12
        || (memcmp(buf + 9, "200", 3) != 0 && memcmp(buf + 9, "101", 3) != 0))
    {
        load_fail("the probe cannot subscribe: %.12s", buf);
    }

    next_due = load_now();
}


static void
beside_probe_until(uint64_t end, int control)
{
    while (load_now() < end) {
        if (beside_probe_turn(control)) {
            return;
        }
    }
}


static void
beside_probe_reset(void)
{
    memset(&messages, 0, sizeof(messages));
    memset(&plain, 0, sizeof(plain));
    memset(&worked, 0, sizeof(worked));
    sent_messages = 0;
    sent_gets = 0;
}


/*
 * What is still on its way counts, too, as long as it comes.  How many have
 * not: messages, of which a server may tell a gap instead, and answers.
 */

static unsigned
beside_probe_drain(void)
{
    uint64_t  end;
    unsigned  i, missing;

    end = load_now() + BESIDE_DRAIN;

    do {
        next_due = load_now() + BESIDE_PERIOD;
        beside_probe_turn(-1);

        missing = (unsigned) (sent_messages - messages.count)
                  + (unsigned) (sent_gets - plain.count);

    } while (missing && load_now() < end);

    /* an answer that never came was at least so late */

    for (i = 0; i < BESIDE_GETS; i++) {
        if (gets[i].fd != -1) {
            load_hist_add(&plain, load_now() - gets[i].due);
            load_hist_add(&worked, load_cpu() - gets[i].cpu);
            close(gets[i].fd);
            gets[i].fd = -1;
        }
    }

    next_due = load_now();

    return missing;
}


/* not 0 when the child has something to say */

static int
beside_probe_turn(int control)
{
    char                  trash[BESIDE_BUFFER];
    uint64_t              now;
    unsigned              i, n;
    struct pollfd         pfds[BESIDE_GETS + 3];
    struct timespec       wait;
    static beside_get_t  *who[BESIDE_GETS + 3];

    now = load_now();

    while (now >= next_due) {
        beside_probe_send(next_due);
        next_due += BESIDE_PERIOD;
    }

    pfds[0].fd = subscriber;
    pfds[1].fd = publisher;
    pfds[2].fd = control;
    pfds[0].events = pfds[1].events = pfds[2].events = POLLIN;

    n = 3;

    for (i = 0; i < BESIDE_GETS; i++) {
        if (gets[i].fd != -1) {
            pfds[n].fd = gets[i].fd;
            pfds[n].events = POLLIN;
            who[n++] = &gets[i];
        }
    }

    wait.tv_sec = 0;
    wait.tv_nsec = next_due - now;

    if (ppoll(pfds, n, &wait, NULL) <= 0) {
        return 0;
    }

    if (pfds[0].revents) {
        beside_probe_messages();
    }

    if (pfds[1].revents
        && recv(publisher, trash, sizeof(trash), MSG_DONTWAIT) == 0)
    {
        load_fail("the probe's publisher was closed");
    }

    for (i = 3; i < n; i++) {
        if (pfds[i].revents) {
            beside_probe_get(who[i]);
        }
    }

    return control != -1 && pfds[2].revents != 0;
}


/* requests are not held back for answers that are late */

static void
beside_probe_send(uint64_t due)
{
    char           body[32], buf[256];
    size_t         n;
    unsigned       i;

    snprintf(body, sizeof(body), "due=%016lx", due);
    n = beside_request(buf, sizeof(buf), "POST", "/publish/probe", "", body,
                       20);

    if (send(publisher, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t) n) {
        skipped++;

    } else {
        sent_messages++;
    }

    for (i = 0; i < BESIDE_GETS && gets[i].fd != -1; i++) { /* void */ }

    if (i == BESIDE_GETS) {
        skipped++;
        return;
    }

    gets[i].fd = beside_connect(0, 0);
    gets[i].due = due;
    gets[i].cpu = load_cpu();
    sent_gets++;
    n = beside_request(buf, sizeof(buf), "GET", "/nothing",
                       "Connection: close\r\n", NULL, 0);
    beside_send(gets[i].fd, buf, n);
}


static void
beside_probe_get(beside_get_t *get)
{
    char     buf[1024];
    ssize_t  n;

    n = recv(get->fd, buf, sizeof(buf), MSG_DONTWAIT);

    if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }

    if (n < 12 || memcmp(buf + 9, "204", 3) != 0) {
        load_fail("the probe's GET: %.*s", n > 0 ? (int) n : 0, buf);
    }

    load_hist_add(&plain, load_now() - get->due);
    load_hist_add(&worked, load_cpu() - get->cpu);
    close(get->fd);
    get->fd = -1;
}


/* messages are found by their text, whatever is around them */

static void
beside_probe_messages(void)
{
    char     *p, *next;
    ssize_t   n;
    uint64_t  now;

    n = recv(subscriber, text + text_len, sizeof(text) - 1 - text_len,
             MSG_DONTWAIT);

    if (n == 0) {
        load_fail("the probe was closed");
    }

    if (n < 0) {
        return;
    }

    text_len += n;
    now = load_now();
    p = text;

    for ( ;; ) {
        next = memmem(p, text + text_len - p, "due=", 4);

        if (next == NULL || text + text_len - next < 20) {
            break;
        }

        load_hist_add(&messages, now - strtoull(next + 4, NULL, 16));
        p = next + 20;
    }

    if (next == NULL) {
        next = text_len > 3 && p < text + text_len - 3 ? text + text_len - 3
                                                       : p;
    }

    text_len -= next - text;
    memmove(text, next, text_len);
}


static void
beside_print_hist(const char *prefix, const char *name, load_hist_t *h)
{
    printf("\"%s%s\":{\"count\":%lu,\"p50\":%.0f,\"p99\":%.0f,\"max\":%.0f},",
           prefix, name, h->count, load_hist_us(h, 0.5),
           load_hist_us(h, 0.99), (double) h->max / 1000);
}


static void
beside_print(const char *prefix)
{
    beside_print_hist(prefix, "message", &messages);
    beside_print_hist(prefix, "get", &plain);
    beside_print_hist(prefix, "work", &worked);
}
