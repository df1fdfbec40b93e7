/*
 * What the machine gives at best for what realtimed does: its floor.
 *
 *   worker_bare echo SOCKET             messages of 64 bytes come back
 *   worker_bare append SOCKET FILE      the same, each once it is on the disk
 *   worker_bare log FILE WAITING SECONDS
 *
 * One epoll loop.  "append" and "log" have a thread that writes whatever came
 * while it wrote the last batch, records of 200 bytes, and calls fdatasync()
 * once for all of them.  The file is filled with zeros beforehand and written
 * over from its beginning when it is full.  "log" has no socket: so many
 * records always wait for the disk, and it prints a line of JSON.
 *
 * There are no checksums, no state, no events, no errors but fatal ones.
 */


#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "worker_common.h"


#define MESSAGE    64
#define RECORD     200
#define BATCH      65536                    /* records, more never wait */
#define BUFFER     (256 * 1024)
#define FILE_SIZE  (256 * 1024 * 1024)
#define EVENTS     256
#define BUCKETS    1000000                  /* of 1 us */


typedef struct {
    int        fd;
    unsigned   rest;                        /* bytes of a message so far */
    unsigned   answers;                     /* messages to be answered now */
} conn_t;


typedef struct {
    unsigned   n;
    conn_t   **conns;                       /* who waits for each record */
    uint64_t  *times;
    char      *data;
} batch_t;


static int              ep;
static int              done_event = -1;    /* a batch has been written */
static int              file;
static off_t            offset;
static batch_t          batches[3];
static batch_t         *filling = &batches[0];
static batch_t         *writing = &batches[1];
static batch_t         *done = &batches[2];
static pthread_cond_t   some = PTHREAD_COND_INITIALIZER;
static pthread_cond_t   room = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t  mutex = PTHREAD_MUTEX_INITIALIZER;
static char             buffer[BUFFER + MESSAGE];


static void
open_log(const char *name)
{
    unsigned  i;
    ssize_t   size;

    file = open(name, O_RDWR|O_CREAT|O_TRUNC, 0600);
    if (file == -1) {
        die(name);
    }

    for (size = 0; size < FILE_SIZE; size += BUFFER) {
        if (write(file, buffer, BUFFER) != BUFFER) {
            die(name);
        }
    }

    if (fsync(file) == -1) {
        die(name);
    }

    for (i = 0; i < 3; i++) {
        batches[i].conns = calloc(BATCH, sizeof(conn_t *));
        batches[i].times = calloc(BATCH, sizeof(uint64_t));
        batches[i].data = calloc(BATCH, RECORD);
    }
}


/* the thread; done->n is 0 once its answers have been sent */

static void *
write_log(void *arg)
{
    size_t     size;
    batch_t   *batch;
    uint64_t   one;

    one = 1;
    pthread_mutex_lock(&mutex);

    for ( ;; ) {
        while (filling->n == 0) {
            pthread_cond_wait(&some, &mutex);
        }

        batch = filling;
        filling = writing;
        writing = batch;

        pthread_mutex_unlock(&mutex);

        size = (size_t) batch->n * RECORD;

        if (offset + (off_t) size > FILE_SIZE) {
            offset = 0;
        }

        if (pwrite(file, batch->data, size, offset) != (ssize_t) size
            || fdatasync(file) == -1)
        {
            die("log");
        }

        offset += (off_t) size;

        pthread_mutex_lock(&mutex);

        while (done->n) {
            pthread_cond_wait(&room, &mutex);
        }

        writing = done;
        done = batch;

        if (write(done_event, &one, sizeof(one)) != sizeof(one)) {
            die("eventfd");
        }
    }

    return arg;
}


/* the caller holds the mutex */

static void
add_record(conn_t *c, const char *message, uint64_t when)
{
    char  *p;

    if (filling->n == BATCH) {
        errno = ENOBUFS;
        die("log");
    }

    p = filling->data + (size_t) filling->n * RECORD;
    memcpy(p, message, MESSAGE);
    memset(p + MESSAGE, 'x', RECORD - MESSAGE);

    filling->conns[filling->n] = c;
    filling->times[filling->n++] = when;
}


static void
send_all(int fd, const char *p, size_t len)
{
    ssize_t  n;

    while (len) {
        n = send(fd, p, len, MSG_NOSIGNAL);

        if (n == -1) {
            if (errno == EPIPE || errno == ECONNRESET) {
                return;
            }

            die("send");
        }

        p += n;
        len -= (size_t) n;
    }
}


static int
open_socket(const char *path)
{
    int                  fd;
    struct sockaddr_un   sun;

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;
    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);

    fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd == -1 || bind(fd, (struct sockaddr *) &sun, sizeof(sun)) == -1
        || listen(fd, 1024) == -1)
    {
        die(path);
    }

    return fd;
}


static void
watch(int fd, void *data)
{
    struct epoll_event  ee;

    ee.events = EPOLLIN;
    ee.data.ptr = data;

    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ee) == -1) {
        die("epoll_ctl");
    }
}


static void
receive(conn_t *c, unsigned append)
{
    ssize_t    n;
    unsigned   i, count;

    n = recv(c->fd, buffer, BUFFER, 0);

    if (n <= 0) {
        close(c->fd);
        c->fd = -1;                         /* answers may be on their way */
        return;
    }

    count = (c->rest + (unsigned) n) / MESSAGE;
    c->rest = (c->rest + (unsigned) n) % MESSAGE;

    if (!append) {
        send_all(c->fd, buffer, (size_t) count * MESSAGE);
        return;
    }

    pthread_mutex_lock(&mutex);

    for (i = 0; i < count; i++) {
        add_record(c, buffer + (size_t) i * MESSAGE, 0);
    }

    pthread_mutex_unlock(&mutex);
}


/* one send() for all answers of a connection */

static void
answer(void)
{
    conn_t         *c;
    uint64_t        count;
    unsigned        i, n;
    static conn_t  *dirty[BATCH];

    if (read(done_event, &count, sizeof(count)) != sizeof(count)) {
        die("eventfd");
    }

    n = 0;

    pthread_mutex_lock(&mutex);

    for (i = 0; i < done->n; i++) {
        c = done->conns[i];

        if (c->answers++ == 0) {
            dirty[n++] = c;
        }
    }

    done->n = 0;
    pthread_cond_signal(&room);
    pthread_mutex_unlock(&mutex);

    for (i = 0; i < n; i++) {
        c = dirty[i];

        for ( /* void */ ; c->answers; c->answers -= count) {
            count = c->answers < BUFFER / MESSAGE ? c->answers
                                                  : BUFFER / MESSAGE;
            if (c->fd != -1) {
                send_all(c->fd, buffer, count * MESSAGE);
            }
        }
    }
}


static void
serve(const char *path, unsigned append)
{
    int                 i, n, fd, listener;
    conn_t             *c;
    struct epoll_event  events[EVENTS];

    ep = epoll_create1(0);
    listener = open_socket(path);
    watch(listener, NULL);

    if (append) {
        watch(done_event, &done_event);
    }

    for ( ;; ) {
        n = epoll_wait(ep, events, EVENTS, -1);

        for (i = 0; i < n; i++) {

            if (events[i].data.ptr == &done_event) {
                answer();
                continue;
            }

            if (events[i].data.ptr) {
                receive(events[i].data.ptr, append);
                continue;
            }

            fd = accept(listener, NULL, NULL);
            c = calloc(1, sizeof(conn_t));

            if (fd == -1 || c == NULL) {
                die("accept");
            }

            c->fd = fd;
            watch(fd, c);
        }

        if (append) {
            pthread_cond_signal(&some);
        }
    }
}


static double
percentile(uint32_t *latency, double part, uint64_t total)
{
    size_t    i;
    uint64_t  sum;

    sum = 0;

    for (i = 0; i < BUCKETS; i++) {
        sum += latency[i];

        if ((double) sum >= part * (double) total) {
            break;
        }
    }

    return (double) i;
}


static void
measure(unsigned waiting, double seconds)
{
    uint64_t         now, start, end, count, us;
    unsigned         i;
    static uint32_t  latency[BUCKETS];

    start = now_us();
    end = start + (uint64_t) (seconds * 1e6);
    now = start;
    count = 0;

    pthread_mutex_lock(&mutex);

    for (i = 0; i < waiting; i++) {
        add_record(NULL, buffer, now);
    }

    do {
        pthread_cond_signal(&some);
        pthread_mutex_unlock(&mutex);

        if (read(done_event, &us, sizeof(us)) != sizeof(us)) {
            die("eventfd");
        }

        pthread_mutex_lock(&mutex);
        now = now_us();

        for (i = 0; i < done->n; i++) {
            us = now - done->times[i];
            latency[us < BUCKETS ? us : BUCKETS - 1]++;
            add_record(NULL, buffer, now);
        }

        count += done->n;
        done->n = 0;
        pthread_cond_signal(&room);
    } while (now < end);

    printf("{\"rate\":%.0f,\"p50\":%.0f,\"p99\":%.0f,\"p999\":%.0f}\n",
           (double) count / ((double) (now - start) / 1e6),
           percentile(latency, 0.5, count), percentile(latency, 0.99, count),
           percentile(latency, 0.999, count));
}


int
main(int argc, char **argv)
{
    unsigned   log, append;
    pthread_t  thread;

    log = argc == 5 && strcmp(argv[1], "log") == 0;
    append = argc == 4 && strcmp(argv[1], "append") == 0;

    if (!log && !append && (argc != 3 || strcmp(argv[1], "echo") != 0)) {
        fprintf(stderr, "usage: see the head of worker_bare.c\n");
        return 2;
    }

    if (log || append) {
        open_log(argv[log ? 2 : 3]);
        done_event = eventfd(0, 0);

        if (done_event == -1
            || pthread_create(&thread, NULL, write_log, NULL) != 0)
        {
            die("writer");
        }
    }

    if (log) {
        measure((unsigned) atoi(argv[3]), atof(argv[4]));
        return 0;
    }

    serve(argv[2], append);

    return 0;
}
