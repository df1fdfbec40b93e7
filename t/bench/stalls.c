/*
 * What holds realtimed up: the latency of an uninvolved client while another
 * one creates a million auctions, has a snapshot written, and bids where
 * thousands listen; then how long a stop takes.
 *
 *   realtimed --listen unix:/tmp/s --data /tmp/d & stalls /tmp/s $! 999000
 *
 * The uninvolved client asks for the state of an auction of its own, one
 * question after another with a millisecond between two.
 *
 *   cc -O2 -pthread -Iworker/link t/bench/stalls.c worker/link/rt_wire.c
 */


#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "rt_wire.h"
#include "worker_common.h"


#define AHEAD    4096                       /* commands in flight */
#define STREAMS  8192
#define BIDS     100
#define BUFFER   (4 * 1024 * 1024)

#define TERMS  "{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":86400000}"


typedef struct {
    int      fd;
    size_t   in;
    size_t   out;
    long     due[RT_WIRE_TYPE_LAST];        /* frames that are to come */
    u_char  *input;
    u_char  *output;
} peer_t;


static const char        *address;
static int                server;
static volatile unsigned  done;
static volatile unsigned  worst;            /* of this phase, us */
static volatile unsigned  asked;
static volatile unsigned  slow;             /* of them, beyond 5 ms */


static u_char *
frame(peer_t *p, unsigned type, uint64_t id, const char *entity,
    const char *name, const char *body)
{
    char     user[32];
    u_char  *start, *last;

    start = p->output + p->out;
    last = rt_wire_begin(start, (rt_wire_type_e) type, 0, id);

    if (type == RT_WIRE_HELLO) {
        last = rt_wire_put_number(last, RT_WIRE_F_PROTOCOL, RT_WIRE_PROTOCOL);
        last = rt_wire_put_number(last, RT_WIRE_F_FRAME_MAX,
                                  RT_WIRE_FRAME_MAX);
    }

    if (type == RT_WIRE_SUBSCRIBE) {
        last = rt_wire_put_number(last, RT_WIRE_F_FROM, 1);
    }

    if (entity) {
        last = rt_wire_put_string(last, RT_WIRE_F_ENGINE, "auction", 7);
        last = rt_wire_put_string(last, RT_WIRE_F_ENTITY, entity,
                                  strlen(entity));
    }

    if (name) {
        last = rt_wire_put_string(last, RT_WIRE_F_NAME, name, strlen(name));
        sprintf(user, "user%u", (unsigned) (id % 97));
        last = rt_wire_put_string(last, RT_WIRE_F_USER, user, strlen(user));
    }

    if (body) {
        last = rt_wire_put_string(last, RT_WIRE_F_BODY, body, strlen(body));
    }

    rt_wire_end(start, last);
    p->out += (size_t) (last - start);

    return last;
}


static void
flush_out(peer_t *p)
{
    size_t   n;
    ssize_t  sent;

    for (n = 0; n < p->out; n += (size_t) sent) {
        sent = send(p->fd, p->output + n, p->out - n, MSG_NOSIGNAL);

        if (sent <= 0) {
            die("send");
        }
    }

    p->out = 0;
}


/* reads until "n" frames of that type have come; confirms events */

static void
take(peer_t *p, unsigned type, unsigned n)
{
    size_t            used;
    u_char           *start;
    ssize_t           len;
    rt_wire_frame_t   f;

    p->due[type] += n;

    while (p->due[type] > 0) {
        len = recv(p->fd, p->input + p->in, BUFFER - p->in, 0);

        if (len <= 0) {
            die("recv");
        }

        p->in += (size_t) len;

        for (used = 0; rt_wire_parse(&f, p->input + used, p->in - used,
                                     RT_WIRE_FRAME_MAX) == RT_WIRE_OK;
             used += f.size)
        {
            if (f.type == RT_WIRE_REPLY
                && rt_wire_number(&f, RT_WIRE_F_STATUS) >= 300)
            {
                fprintf(stderr, "%.*s\n",
                        (int) rt_wire_string(&f, RT_WIRE_F_BODY).len,
                        rt_wire_string(&f, RT_WIRE_F_BODY).data);
                exit(1);
            }

            if (f.type == RT_WIRE_EVENT) {
                start = p->output + p->out;
                p->out += (size_t) (rt_wire_put_number(
                              rt_wire_begin(start, RT_WIRE_CONFIRM, 0, f.id),
                              RT_WIRE_F_VERSION, 1) - start);
                rt_wire_end(start, p->output + p->out);
            }

            p->due[f.type]--;
        }

        memmove(p->input, p->input + used, p->in - used);
        p->in -= used;

        flush_out(p);
    }
}


static peer_t *
join(void)
{
    peer_t              *p;
    struct sockaddr_un   sun;

    p = calloc(1, sizeof(peer_t));
    p->input = malloc(BUFFER);
    p->output = malloc(BUFFER);

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;
    strncpy(sun.sun_path, address, sizeof(sun.sun_path) - 1);

    p->fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (connect(p->fd, (struct sockaddr *) &sun, sizeof(sun)) == -1) {
        die("connect");
    }

    frame(p, RT_WIRE_HELLO, 0, NULL, NULL, NULL);
    flush_out(p);
    take(p, RT_WIRE_HELLO, 1);

    return p;
}


static void *
uninvolved(void *data)
{
    peer_t    *p;
    unsigned   us;
    uint64_t   start;

    (void) data;

    p = join();
    frame(p, RT_WIRE_COMMAND, 1, "uninvolved", "create", TERMS);
    flush_out(p);
    take(p, RT_WIRE_REPLY, 1);

    while (!done) {
        start = now_us();
        frame(p, RT_WIRE_QUERY, 1, "uninvolved", "state", NULL);
        flush_out(p);
        take(p, RT_WIRE_REPLY, 1);
        us = (unsigned) (now_us() - start);
        worst = us > worst ? us : worst;
        slow += us > 5000;
        asked++;
        usleep(1000);
    }

    return NULL;
}


/* of the server, all its threads */

static double
cpu_ms(void)
{
    char           path[64], line[1024], *p;
    FILE          *f;
    unsigned long  user, kernel;

    sprintf(path, "/proc/%d/stat", server);
    f = fopen(path, "r");

    if (f == NULL || fgets(line, sizeof(line), f) == NULL) {
        die(path);
    }

    fclose(f);
    p = strrchr(line, ')');
    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
           &user, &kernel);

    return (double) (user + kernel) * 1000 / (double) sysconf(_SC_CLK_TCK);
}


static void
report(const char *what, uint64_t us)
{
    printf("%-10s %8.1f ms; uninvolved: %u asked, worst %.1f ms, %u beyond "
           "5 ms\n", what, (double) us / 1000, asked, worst / 1000.0, slow);
    fflush(stdout);
    worst = 0;
    asked = 0;
    slow = 0;
}


static void
create(peer_t *p, unsigned n)
{
    char      name[32];
    unsigned  i;

    for (i = 0; i < n; i++) {
        sprintf(name, "stall-%u", i);
        frame(p, RT_WIRE_COMMAND, i, name, "create", TERMS);

        if (i % 64 == 63) {
            flush_out(p);
        }

        if (i >= AHEAD && i % 64 == 63) {
            take(p, RT_WIRE_REPLY, 64);
        }
    }

    flush_out(p);
}


static void
listen_and_bid(peer_t *p, peer_t *many)
{
    char      body[64];
    double    cpu;
    unsigned  i;
    uint64_t  start;

    frame(p, RT_WIRE_COMMAND, 1, "popular", "create", TERMS);
    flush_out(p);
    take(p, RT_WIRE_REPLY, 1);

    start = now_us();

    for (i = 0; i < STREAMS; i++) {
        frame(many, RT_WIRE_SUBSCRIBE, i + 1, "popular", NULL, NULL);
    }

    flush_out(many);
    take(many, RT_WIRE_EVENT, STREAMS);
    report("subscribe", now_us() - start);

    cpu = cpu_ms();
    start = now_us();

    for (i = 0; i < BIDS; i++) {
        sprintf(body, "{\"amount\":%u}", (i + 1) * 10);
        frame(p, RT_WIRE_COMMAND, i, "popular", "bid", body);
        flush_out(p);
        take(p, RT_WIRE_REPLY, 1);
        take(many, RT_WIRE_EVENT, STREAMS);
    }

    report("bids", now_us() - start);
    printf("%-10s %8.1f ms of CPU each, %u streams\n", "a bid",
           (cpu_ms() - cpu) / BIDS, STREAMS);
}


int
main(int argc, char **argv)
{
    peer_t     *p, *many;
    unsigned    n;
    uint64_t    start;
    pthread_t   thread;

    if (argc != 4) {
        fprintf(stderr, "usage: stalls SOCKET PID AUCTIONS\n");
        return 1;
    }

    address = argv[1];
    server = atoi(argv[2]);
    n = (unsigned) atoi(argv[3]) & ~63U;

    p = join();
    many = join();

    if (pthread_create(&thread, NULL, uninvolved, NULL) != 0) {
        die("pthread_create");
    }

    start = now_us();
    create(p, n);
    take(p, RT_WIRE_REPLY, n < AHEAD ? n : AHEAD);
    report("create", now_us() - start);

    start = now_us();
    frame(p, RT_WIRE_SNAPSHOT, 1, NULL, NULL, NULL);
    flush_out(p);
    take(p, RT_WIRE_REPLY, 1);
    report("snapshot", now_us() - start);

    listen_and_bid(p, many);

    done = 1;
    pthread_join(thread, NULL);
    start = now_us();
    kill(server, SIGTERM);

    while (kill(server, 0) == 0) {
        usleep(1000);
    }

    printf("%-10s %8.1f ms\n", "stop", (double) (now_us() - start) / 1000);

    return 0;
}
