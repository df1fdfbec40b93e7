/*
 * Publishers: keep-alive connections with one request at a time.
 *
 * Without a rate, a publisher sends its next request when the last has been
 * answered and all readers have got its messages, so that there are as many
 * messages in flight as publishers.  With a rate, requests are due at fixed
 * times, and latency counts from when one was due: a server that is late does
 * not make the load wait (no "coordinated omission").
 *
 * Publishers in the background, if any, keep topic 0 busy without a rate.
 *
 * With "processes", as many publishers speak to each process of the server:
 * GET /process tells which one has taken a connection, and one that has enough
 * already is left again.
 *
 * With "resume", a connection may be closed at any time.  What has not been
 * answered then is sent again with the same Idempotency-Key.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"


#define LOAD_ANSWER  4096
#define LOAD_TRIES   10000                  /* connections, for "processes" */


typedef struct {
    load_event_t    event;
    unsigned        number;
    unsigned        waiting;                /* for an answer */
    unsigned        background;
    unsigned        process;                /* which one it speaks to */
    unsigned        topic;
    unsigned        run;                    /* messages of it, of a batch */
    uint64_t        due;
    size_t          size;                   /* of what is sent again */
    char           *again;
    size_t          len;                    /* of the answer so far */
    char            answer[LOAD_ANSWER];
} load_publisher_t;


static void load_publisher_open(load_publisher_t *p);
static unsigned load_publisher_process(int fd);
static void load_publisher_send(load_publisher_t *p, uint64_t due);
static void load_publisher_write(load_publisher_t *p, char *data, size_t len);
static void load_publisher_again(load_publisher_t *p);
static size_t load_publisher_batch(load_publisher_t *p, uint64_t due);
static unsigned load_publisher_topic(load_publisher_t *p);
static void load_publisher_handler(load_event_t *ev);


load_hist_t               load_publish_hist;
load_hist_t               load_background_hist;
uint64_t                  load_published;
uint64_t                  load_resent;

static load_publisher_t  *publishers;
static unsigned           npublishers;
static unsigned           turn;             /* who sends next, by rate */
static unsigned           stopped;
static uint64_t           next_due;
static char              *request;
static char              *body;
static long               processes[LOAD_PIDS];
static unsigned           publishers_of[LOAD_PIDS];
static uint64_t           published_to[LOAD_PIDS];


void
load_publishers_create(void)
{
    size_t             size;
    unsigned           i;
    load_publisher_t  *p;

    npublishers = load_conf.inflight;
    publishers = calloc(npublishers + 1, sizeof(load_publisher_t));

    size = (load_conf.batch + 1) * (load_conf.size + 64);
    request = malloc(size + 512);
    body = malloc(size);
    memset(body, 'x', size);

    for (i = 0; i < npublishers; i++) {
        p = &publishers[i];

        p->number = i;
        p->topic = i;
        p->background = i < load_conf.background;
        p->event.handler = load_publisher_handler;

        if (load_conf.resume) {
            p->again = malloc(size + 512);
        }

        load_publisher_open(p);
    }
}


static void
load_publisher_open(load_publisher_t *p)
{
    unsigned  i, tries;

    for (tries = 0; tries < LOAD_TRIES; tries++) {

        p->event.fd = load_connect(load_conf.publish_port, 0, 0);
        if (p->event.fd == -1) {
            load_fail("publisher %u: %s", p->number, strerror(errno));
        }

        if (load_conf.processes == 0) {
            break;
        }

        i = load_publisher_process(p->event.fd);

        if (publishers_of[i] * load_conf.processes < npublishers) {
            publishers_of[i]++;
            p->process = i;
            break;
        }

        close(p->event.fd);
    }

    if (tries == LOAD_TRIES) {
        load_fail("only some of %u processes take connections",
                  load_conf.processes);
    }

    if (load_watch_first(&p->event) != LOAD_OK) {
        load_fail("publisher %u: %s", p->number, strerror(errno));
    }
}


static unsigned
load_publisher_process(int fd)
{
    char        text[1024], *body;
    long        pid;
    ssize_t     n;
    unsigned    i;
    const char  get[] = "GET /process HTTP/1.1\r\nHost: localhost\r\n\r\n";

    if (send(fd, get, sizeof(get) - 1, MSG_NOSIGNAL) != sizeof(get) - 1) {
        load_fail("send(): %s", strerror(errno));
    }

    n = recv(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    body = strstr(text, "\r\n\r\n");
    pid = body ? strtol(body + 4, NULL, 10) : 0;

    for (i = 0; pid && i < load_conf.processes; i++) {

        if (processes[i] == 0) {
            processes[i] = pid;
        }

        if (processes[i] == pid) {
            return i;
        }
    }

    load_fail("/process: \"%s\"", text);
}


void
load_publishers_run(void)
{
    uint64_t           now;
    unsigned           i;
    load_publisher_t  *p;

    if (stopped || npublishers == 0) {
        return;
    }

    now = load_now();

    for (i = 0; i < npublishers; i++) {
        p = &publishers[i];

        if ((load_conf.rate == 0 || p->background)
            && !p->waiting && load_ledger_open(i) <= load_conf.ahead)
        {
            load_publisher_send(p, now);
        }
    }

    if (load_conf.rate == 0 || npublishers == load_conf.background) {
        return;
    }

    if (next_due == 0) {
        next_due = now;
    }

    for (i = 0; i < npublishers && next_due <= now; i++) {
        p = &publishers[turn++ % npublishers];

        if (!p->waiting && !p->background) {
            load_publisher_send(p, next_due);
            next_due += (uint64_t) (1e9 / load_conf.rate);
            i = 0;
        }
    }
}


int
load_publishers_timeout(void)
{
    uint64_t  now;

    if (load_conf.rate == 0 || stopped || next_due == 0) {
        return -1;
    }

    now = load_now();

    /* the last millisecond is spun, for the sake of the rate */

    return next_due > now ? (int) ((next_due - now) / 1000000) : 1;
}


void
load_publishers_stop(void)
{
    stopped = 1;
}


unsigned
load_publishers_busy(void)
{
    unsigned  i, n;

    n = 0;

    for (i = 0; i < npublishers; i++) {
        if (publishers[i].waiting || load_ledger_open(i)) {
            n++;
        }
    }

    return n;
}


static void
load_publisher_send(load_publisher_t *p, uint64_t due)
{
    char      key[64];
    size_t    len, size;
    unsigned  topic;

    if (load_conf.batch) {
        size = load_publisher_batch(p, due);
        len = sprintf(request, "POST %s HTTP/1.1\r\n"
                      "Host: localhost\r\n"
                      "Content-Type: application/x-ndjson\r\n"
                      "Realtime-Batch: on\r\n"
                      "Content-Length: %zu\r\n\r\n",
                      load_conf.batch_path, size);

    } else {
        topic = load_publisher_topic(p);
        size = load_conf.size;
        load_ledger_write(p->number, topic, due, (unsigned char *) body);
        key[0] = '\0';

        if (p->again) {
            sprintf(key, "Idempotency-Key: %.*s\r\n", LOAD_MESSAGE_MIN, body);
        }

        len = sprintf(request, "POST %st/%u HTTP/1.1\r\n"
                      "Host: localhost\r\n"
                      "Content-Type: text/plain\r\n%s"
                      "Content-Length: %zu\r\n\r\n",
                      load_conf.publish, topic, key, size);
    }

    memcpy(request + len, body, size);
    len += size;

    p->waiting = 1;
    p->due = due;

    if (p->again) {
        memcpy(p->again, request, len);
        p->size = len;
    }

    load_publisher_write(p, request, len);
}


static void
load_publisher_write(load_publisher_t *p, char *data, size_t len)
{
    p->len = 0;

    if (send(p->event.fd, data, len, MSG_NOSIGNAL) == (ssize_t) len) {
        return;
    }

    if (!load_conf.resume) {
        load_fail("publisher %u: send(): %s", p->number, strerror(errno));
    }

    shutdown(p->event.fd, SHUT_RDWR);       /* its handler does the rest */
}


static void
load_publisher_again(load_publisher_t *p)
{
    close(p->event.fd);
    load_publisher_open(p);

    if (p->waiting) {
        load_resent++;
        load_publisher_write(p, p->again, p->size);
    }
}


static size_t
load_publisher_batch(load_publisher_t *p, uint64_t due)
{
    char      *last;
    unsigned   i, topic;

    last = body;

    for (i = 0; i < load_conf.batch; i++) {
        topic = load_publisher_topic(p);
        last += sprintf(last, "{\"topic\":\"t/%u\",\"data\":\"", topic);
        load_ledger_write(p->number, topic, due, (unsigned char *) last);
        memset(last + LOAD_MESSAGE_MIN, 'x',
               load_conf.size - LOAD_MESSAGE_MIN);
        last += load_conf.size;
        *last++ = '"';
        *last++ = '}';
        *last++ = '\n';
    }

    return last - body;
}


/* publishers share the topics among them, unless there is only one */

static unsigned
load_publisher_topic(load_publisher_t *p)
{
    unsigned  topic;

    if (p->background) {
        return 0;
    }

    if (load_conf.other_topics) {
        return load_conf.topics + p->number % load_conf.other_topics;
    }

    if (load_conf.topics == 1) {
        return 0;
    }

    topic = p->topic;

    if (++p->run >= load_conf.batch_run) {
        p->run = 0;
        p->topic += npublishers;

        if (p->topic >= load_conf.topics) {
            p->topic = p->number;
        }
    }

    return topic;
}


static void
load_publisher_handler(load_event_t *ev)
{
    char              *end, *length;
    ssize_t            n;
    load_publisher_t  *p;

    p = (load_publisher_t *) ev;

    n = recv(ev->fd, p->answer + p->len, LOAD_ANSWER - 1 - p->len,
             MSG_DONTWAIT);

    if (n <= 0) {
        if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }

        if (load_conf.resume) {
            load_publisher_again(p);
            return;
        }

        load_fail("publisher %u has been closed", p->number);
    }

    p->len += n;
    p->answer[p->len] = '\0';

    end = strstr(p->answer, "\r\n\r\n");
    if (end == NULL) {
        return;
    }

    length = strcasestr(p->answer, "\nContent-Length:");

    if (length
        && p->answer + p->len < end + 4 + strtoul(length + 16, NULL, 10))
    {
        return;
    }

    if (p->answer[9] != '2') {
        load_fail("publisher %u: \"%s\"", p->number, p->answer);
    }

    load_hist_add(p->background ? &load_background_hist : &load_publish_hist,
                  load_now() - p->due);

    load_published += load_conf.batch ? load_conf.batch : 1;
    published_to[p->process]++;
    p->waiting = 0;
}


void
load_publishers_shares(uint64_t *shares)
{
    memcpy(shares, published_to, sizeof(published_to));
}
