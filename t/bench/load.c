/*
 * A load generator for servers that publish to many readers.
 *
 *   load port=8080 pids=123 kind=ws readers=1000 inflight=8 seconds=2
 *
 * One process, one epoll loop.  Phases: readers connect; all is quiet, and
 * memory is looked at; publishers warm up; what follows is measured; and at
 * last everything in flight has to arrive.  Every delivery is verified, from
 * the first message on: load_ledger.c tells how.  The report is one line of
 * JSON.
 *
 * With "follow" it says "ready" once its readers are connected, and hears what
 * another load publishes, until there is nothing new.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "load.h"


#define LOAD_EVENTS     512
#define LOAD_URGENT     16                  /* readers between publishers */
#define LOAD_AWAY_TURN  10                  /* ms, while readers are away */
#define LOAD_QUIET      300000000ull        /* ns before memory is read */
#define LOAD_DRAIN      5000000000ull       /* ns without news */


typedef struct {
    const char  *name;
    unsigned    *number;
    double      *real;
    const char **string;
} load_option_t;


typedef struct {
    uint64_t     rss;
    uint64_t     shared;
    uint64_t     rss_idle;
    uint64_t     shared_idle;
    uint64_t     start;
    uint64_t     end;
    uint64_t     cpu;
    uint64_t     own_cpu;
    uint64_t     waited;
    uint64_t     own_waited;
    uint64_t     shares[LOAD_PIDS];
    uint64_t     delivered;
    uint64_t     published;
    uint64_t     connected;                 /* ns it took */
} load_report_t;


static void load_options(int argc, char **argv);
static void load_option(char *arg);
static void load_turn(int timeout);
static void load_events(int fd, int timeout);
static void load_urgent(load_event_t *ev);
static int load_timeout(void);
static void load_wait(uint64_t ns);
static void load_phase_connect(load_report_t *report);
static void load_phase_measure(load_report_t *report);
static void load_phase_follow(load_report_t *report);
static void load_phase_drain(void);
static uint64_t load_own_cpu(void);
static void load_print(load_report_t *report);
static void load_print_shares(uint64_t *before);
static void load_print_hist(const char *name, load_hist_t *h);


load_conf_t  load_conf = {
    .publish = "/pub/",
    .subscribe = "/sub/",
    .batch_path = "/batch",
    .topics = 1,
    .handshakes = 128,
    .inflight = 1,
    .batch_run = 1,
    .size = 128,
    .quiet = 1,
    .seconds = 2,
    .warmup = 0.3,
};

uint64_t    load_clock;

static int           ep;
static int           first;                 /* another one in it */
static load_event_t  urgent;


static load_option_t  options[] = {
    { "publish",      NULL, NULL, &load_conf.publish },
    { "subscribe",    NULL, NULL, &load_conf.subscribe },
    { "batch_path",   NULL, NULL, &load_conf.batch_path },
    { "port",         &load_conf.port, NULL, NULL },
    { "publish_port", &load_conf.publish_port, NULL, NULL },
    { "readers",      &load_conf.readers, NULL, NULL },
    { "idle",         &load_conf.idle, NULL, NULL },
    { "stalled",      &load_conf.stalled, NULL, NULL },
    { "handshakes",   &load_conf.handshakes, NULL, NULL },
    { "topics",       &load_conf.topics, NULL, NULL },
    { "other_topics", &load_conf.other_topics, NULL, NULL },
    { "inflight",     &load_conf.inflight, NULL, NULL },
    { "ahead",        &load_conf.ahead, NULL, NULL },
    { "background",   &load_conf.background, NULL, NULL },
    { "batch",        &load_conf.batch, NULL, NULL },
    { "batch_run",    &load_conf.batch_run, NULL, NULL },
    { "size",         &load_conf.size, NULL, NULL },
    { "source",       &load_conf.source, NULL, NULL },
    { "tls",          &load_conf.tls, NULL, NULL },
    { "h2",           &load_conf.h2, NULL, NULL },
    { "deflate",      &load_conf.deflate, NULL, NULL },
    { "follow",       &load_conf.follow, NULL, NULL },
    { "quiet",        &load_conf.quiet, NULL, NULL },
    { "resume",       &load_conf.resume, NULL, NULL },
    { "processes",    &load_conf.processes, NULL, NULL },
    { "spin",         &load_conf.spin, NULL, NULL },
    { "tell",         &load_conf.tell, NULL, NULL },
    { "rate",         NULL, &load_conf.rate, NULL },
    { "seconds",      NULL, &load_conf.seconds, NULL },
    { "warmup",       NULL, &load_conf.warmup, NULL },
    { NULL, NULL, NULL, NULL }
};


int
main(int argc, char **argv)
{
    load_report_t  report;

    load_options(argc, argv);

    ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep == -1) {
        load_fail("epoll_create1(): %s", strerror(errno));
    }

    first = epoll_create1(EPOLL_CLOEXEC);
    urgent.handler = load_urgent;
    urgent.fd = first;

    if (first == -1 || load_watch(&urgent, EPOLLIN) != LOAD_OK) {
        load_fail("epoll_create1(): %s", strerror(errno));
    }

    memset(&report, 0, sizeof(report));

    load_readers_create();
    load_ledger_create();

    load_phase_connect(&report);

    if (load_conf.follow) {
        load_phase_follow(&report);

    } else if (load_conf.inflight) {
        load_publishers_create();
        load_phase_measure(&report);
        load_phase_drain();
    }

    load_ledger_close();
    load_print(&report);

    return 0;
}


static void
load_options(int argc, char **argv)
{
    int            i;
    struct rlimit  rl;

    for (i = 1; i < argc; i++) {
        load_option(argv[i]);
    }

    if (load_conf.publish_port == 0) {
        load_conf.publish_port = load_conf.port;
    }

    if (load_conf.port == 0 || load_conf.topics == 0
        || load_conf.handshakes == 0
        || load_conf.size < LOAD_MESSAGE_MIN
        || load_conf.size > LOAD_MESSAGE_MAX
        || load_conf.processes > LOAD_PIDS
        || (load_conf.resume && (load_conf.tls || load_conf.h2
                                 || load_conf.batch || load_conf.deflate))
        || load_conf.idle + load_conf.stalled > load_conf.readers)
    {
        load_fail("bad options");
    }

    if (load_conf.follow) {
        load_conf.inflight = 0;
    }

    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);

    if (load_conf.readers + load_conf.inflight + LOAD_PROCESS_FDS
        > rl.rlim_max)
    {
        load_fail("only %lu files may be open", (unsigned long) rl.rlim_max);
    }
}


static void
load_option(char *arg)
{
    char           *value, *next;
    load_option_t  *o;

    value = strchr(arg, '=');
    if (value == NULL) {
        load_fail("\"%s\": no value", arg);
    }

    *value++ = '\0';

    if (strcmp(arg, "kind") == 0) {
        load_conf.kind = strcmp(value, "ws") == 0 ? LOAD_WS : LOAD_SSE;
        return;
    }

    if (strcmp(arg, "pids") == 0) {
        next = value;

        while (*next && load_conf.npids < LOAD_PIDS) {
            load_conf.pids[load_conf.npids++] = strtol(next, &next, 10);
            next += *next == ',';
        }

        return;
    }

    for (o = options; o->name; o++) {
        if (strcmp(arg, o->name) != 0) {
            continue;
        }

        if (o->number) {
            *o->number = strtoul(value, NULL, 10);

        } else if (o->real) {
            *o->real = strtod(value, NULL);

        } else {
            *o->string = value;
        }

        return;
    }

    load_fail("\"%s\": unknown", arg);
}


void
load_fail(const char *fmt, ...)
{
    va_list  args;

    fputs("load: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);

    exit(1);
}


int
load_watch(load_event_t *ev, unsigned events)
{
    int                 op;
    struct epoll_event  ee;

    ee.events = events;
    ee.data.ptr = ev;

    op = events ? EPOLL_CTL_ADD : EPOLL_CTL_DEL;

    return epoll_ctl(ep, op, ev->fd, &ee) == -1 ? LOAD_ERROR : LOAD_OK;
}


/*
 * Publishers do not stand in line with thousands of readers: their latency is
 * to be the server's and not ours.
 */

int
load_watch_first(load_event_t *ev)
{
    struct epoll_event  ee;

    ee.events = EPOLLIN;
    ee.data.ptr = ev;

    return epoll_ctl(first, EPOLL_CTL_ADD, ev->fd, &ee) == -1 ? LOAD_ERROR
                                                              : LOAD_OK;
}


static void
load_urgent(load_event_t *ev)
{
    load_events(ev->fd, 0);
}


static void
load_turn(int timeout)
{
    if (load_conf.resume) {
        load_readers_run();

        if (load_naway && (timeout < 0 || timeout > LOAD_AWAY_TURN)) {
            timeout = LOAD_AWAY_TURN;
        }
    }

    load_events(ep, timeout);
}


static void
load_events(int fd, int timeout)
{
    int                  i, n;
    load_event_t        *ev;
    struct epoll_event   events[LOAD_EVENTS];

    n = epoll_wait(fd, events, LOAD_EVENTS, timeout);

    for (i = 0; i < n; i++) {
        ev = events[i].data.ptr;

        if (ev->fd != -1) {
            ev->handler(ev);
        }

        if ((load_conf.background || load_conf.ahead)
            && fd == ep && i % LOAD_URGENT == 0)
        {
            load_urgent(&urgent);
            load_publishers_run();
        }
    }
}


/*
 * On loopback a server pays for waking us up.  Over a network it does not, and
 * where each of its sends is for another reader that would be a good part.
 */

static int
load_timeout(void)
{
    if (load_conf.spin) {
        return 0;
    }

    return load_conf.rate ? load_publishers_timeout() : 10;
}


static void
load_wait(uint64_t ns)
{
    uint64_t  end;

    end = load_now() + ns;

    while (load_now() < end) {
        load_turn(10);
    }
}


static void
load_phase_connect(load_report_t *report)
{
    int       rc;
    uint64_t  start, now;
    unsigned  nopen;

    report->rss = load_rss();
    report->shared = load_rss_shared();

    start = load_now();
    now = start;
    nopen = 0;

    for ( ;; ) {
        rc = load_readers_connect();

        if (rc == LOAD_DONE) {
            break;
        }

        if (rc == LOAD_ERROR || load_nclosed) {
            load_fail("only %u readers could connect", load_nopen);
        }

        load_turn(100);

        if (load_nopen > nopen) {
            nopen = load_nopen;
            now = load_now();

        } else if (load_now() - now > LOAD_DRAIN) {
            load_fail("connecting takes too long, %u have", load_nopen);
        }
    }

    report->connected = load_now() - start;

    load_wait(LOAD_QUIET);

    report->rss_idle = load_rss();
    report->shared_idle = load_rss_shared();
}


static void
load_phase_measure(load_report_t *report)
{
    uint64_t  end;

    end = load_now() + (uint64_t) (load_conf.warmup * 1e9);

    while (load_now() < end) {
        load_publishers_run();
        load_turn(load_timeout());
    }

    if (load_conf.tell) {
        printf("measuring\n");
        fflush(stdout);
    }

    memset(&load_delivery_hist, 0, sizeof(load_hist_t));
    memset(&load_last_hist, 0, sizeof(load_hist_t));
    memset(&load_publish_hist, 0, sizeof(load_hist_t));
    memset(&load_background_hist, 0, sizeof(load_hist_t));

    report->delivered = load_delivered;
    report->published = load_published;
    report->cpu = load_cpu();
    report->own_cpu = load_own_cpu();
    report->waited = load_waited();
    report->own_waited = load_own_waited();
    load_publishers_shares(report->shares);
    report->start = load_now();

    end = report->start + (uint64_t) (load_conf.seconds * 1e9);

    do {
        load_publishers_run();
        load_turn(load_timeout());
        report->end = load_now();
    } while (report->end < end);

    report->cpu = load_cpu() - report->cpu;
    report->own_cpu = load_own_cpu() - report->own_cpu;
    report->waited = load_waited() - report->waited;
    report->own_waited = load_own_waited() - report->own_waited;
    report->delivered = load_delivered - report->delivered;
    report->published = load_published - report->published;
}


/* somebody else publishes, until it is quiet again */

static void
load_phase_follow(load_report_t *report)
{
    uint64_t  before, when;

    printf("ready\n");
    fflush(stdout);

    report->start = load_now();

    do {
        load_turn(100);
    } while (load_delivered == 0
             && load_now() - report->start < load_conf.follow * 1000000000ull);

    before = 0;
    when = load_now();

    while (load_now() - when < load_conf.quiet * 1000000000ull) {
        load_turn(100);

        if (load_delivered > before) {
            before = load_delivered;
            when = load_now();
        }
    }

    report->delivered = load_delivered;
    report->end = when;
}


static void
load_phase_drain(void)
{
    uint64_t  before, when;

    load_publishers_stop();

    before = load_delivered;
    when = load_now();

    while (load_publishers_busy() && load_now() - when < LOAD_DRAIN) {
        load_turn(10);

        if (load_delivered > before) {
            before = load_delivered;
            when = load_now();
        }
    }

    load_wait(50000000);                    /* for what comes twice */
}


static uint64_t
load_own_cpu(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


static void
load_print(load_report_t *report)
{
    double   seconds, cpu;
    int64_t  rss;

    seconds = (double) (report->end - report->start) / 1e9;
    cpu = (double) report->cpu / 1e9;
    rss = (int64_t) (report->rss_idle - report->rss);

    printf("{\"readers\":%u,\"seconds\":%.3f", load_conf.readers, seconds);
    printf(",\"connect_s\":%.0f", report->connected
           ? load_conf.readers / ((double) report->connected / 1e9) : 0);
    printf(",\"memory\":%ld,\"memory_shared\":%ld", (long) rss,
           (long) (report->shared_idle - report->shared));

    if (load_conf.readers) {
        printf(",\"memory_each\":%.0f", (double) rss / load_conf.readers);
    }

    if (seconds > 0) {
        printf(",\"publishes\":%lu,\"publishes_s\":%.0f"
               ",\"deliveries\":%lu,\"deliveries_s\":%.0f",
               report->published, (double) report->published / seconds,
               report->delivered, (double) report->delivered / seconds);

        printf(",\"cpu\":%.3f,\"own_cpu\":%.3f", cpu / seconds,
               (double) report->own_cpu / 1e9 / seconds);
        printf(",\"waited\":%.3f,\"own_waited\":%.3f",
               (double) report->waited / 1e9 / seconds,
               (double) report->own_waited / 1e9 / seconds);
    }

    if (load_conf.processes) {
        load_print_shares(report->shares);
    }

    if (load_conf.resume) {
        printf(",\"resumed\":%lu,\"resent\":%lu", load_resumed, load_resent);
    }

    if (report->delivered) {
        printf(",\"cpu_s_per_million\":%.3f",
               cpu / (double) report->delivered * 1e6);
    }

    if (report->published) {
        printf(",\"cpu_us_per_publish\":%.3f",
               cpu / (double) report->published * 1e6);
    }

    load_print_hist("delivery", &load_delivery_hist);
    load_print_hist("last", &load_last_hist);
    load_print_hist("publish", &load_publish_hist);
    load_print_hist("background", &load_background_hist);

    printf(",\"sent\":%lu", load_ledger_sent());
    printf(",\"lost\":%lu,\"doubled\":%lu,\"reordered\":%lu"
           ",\"strange\":%lu,\"disagree\":%u,\"closed\":%u}\n",
           load_lost, load_doubled, load_reordered, load_strange,
           load_ledger_disagree(), load_nclosed);
}


/* messages that each process has taken while it was measured */

static void
load_print_shares(uint64_t *before)
{
    uint64_t  now[LOAD_PIDS];
    unsigned  i;

    load_publishers_shares(now);
    printf(",\"shares\":[");

    for (i = 0; i < load_conf.processes; i++) {
        printf(i ? ",%lu" : "%lu", now[i] - before[i]);
    }

    printf("]");
}


static void
load_print_hist(const char *name, load_hist_t *h)
{
    if (h->count == 0) {
        return;
    }

    printf(",\"%s\":{\"p50\":%.0f,\"p99\":%.0f,\"p999\":%.0f,\"max\":%.0f}",
           name, load_hist_us(h, 0.5), load_hist_us(h, 0.99),
           load_hist_us(h, 0.999), (double) h->max / 1000);
}
