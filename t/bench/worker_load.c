/*
 * Load for realtimed and for Redis: the same bids, the same clients, the same
 * epoll loop, so that only the server differs.
 *
 *   worker_load realtimed SOCKET CLIENTS INFLIGHT SECONDS [RATE]
 *   worker_load redis SOCKET CLIENTS INFLIGHT SECONDS [RATE]
 *
 * Each client bids on an auction of its own, with rising amounts, so that all
 * bids are accepted and all must be made durable.  With a rate, bids are sent
 * at that pace, and latency counts from when one should have been sent.
 */


#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../worker/rt_wire.h"


#define BUFFER    (256 * 1024)
#define INFLIGHT  1024
#define BUCKETS   100000                    /* of 10 us */

#define LUA  "local c = tonumber(redis.call('HGET', KEYS[1], 'price') or '0') "\
             "if tonumber(ARGV[1]) > c then "                                 \
             "redis.call('HSET', KEYS[1], 'price', ARGV[1], 'leader', ARGV[2])"\
             " return 1 end return 0"


typedef struct {
    int        fd;
    unsigned   number;
    unsigned   waiting;
    uint64_t   amount;
    uint64_t   first;                       /* ring of send times */
    uint64_t   next;
    uint64_t   sent[INFLIGHT];
    size_t     in_size;
    size_t     out_size;
    u_char     in[BUFFER];
    u_char     out[BUFFER];
} client_t;


static unsigned    redis;
static unsigned    nclients;
static unsigned    inflight;
static uint64_t    rate;
static uint64_t    accepted;
static uint64_t    refused;
static uint64_t    due;                     /* paced sends so far */
static uint64_t    started;
static uint32_t    latency[BUCKETS];
static char        sha[64];
static client_t  **clients;


static uint64_t
now_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


static void
die(const char *what)
{
    perror(what);
    exit(1);
}


static void
add_frame(client_t *c, unsigned type, const char *name, const char *body,
    uint64_t id)
{
    int      n;
    char     entity[32], user[32];
    u_char  *p, *start;

    start = c->out + c->out_size;
    p = rt_wire_begin(start, (rt_wire_type_e) type, 0, id);

    if (type == RT_WIRE_HELLO) {
        p = rt_wire_put_number(p, RT_WIRE_F_PROTOCOL, 1);
        p = rt_wire_put_number(p, RT_WIRE_F_FRAME_MAX, RT_WIRE_FRAME_MAX);

    } else {
        p = rt_wire_put_string(p, RT_WIRE_F_ENGINE, "auction", 7);
        n = sprintf(entity, "bench-%u", c->number);
        p = rt_wire_put_string(p, RT_WIRE_F_ENTITY, entity, (size_t) n);
        p = rt_wire_put_string(p, RT_WIRE_F_NAME, name, strlen(name));
        n = sprintf(user, "user%u", (unsigned) (c->amount & 3));
        p = rt_wire_put_string(p, RT_WIRE_F_USER, user, (size_t) n);
        p = rt_wire_put_string(p, RT_WIRE_F_BODY, body, strlen(body));
    }

    rt_wire_end(start, p);
    c->out_size += (size_t) (p - start);
}


static void
add_bid(client_t *c, uint64_t at)
{
    int   n;
    char  body[64], key[32];

    c->amount++;
    c->waiting++;
    c->sent[c->next++ % INFLIGHT] = at;

    if (!redis) {
        sprintf(body, "{\"amount\":%llu}", (unsigned long long) c->amount);
        add_frame(c, RT_WIRE_COMMAND, "bid", body, c->amount);
        return;
    }

    n = sprintf(body, "%llu", (unsigned long long) c->amount);

    c->out_size += (size_t) sprintf((char *) c->out + c->out_size,
        "*6\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n1\r\n$%d\r\n%s\r\n"
        "$%d\r\n%s\r\n$5\r\nuser%u\r\n", sha,
        sprintf(key, "bench-%u", c->number), key, n, body,
        (unsigned) (c->amount & 3));
}


static void
flush_out(client_t *c)
{
    size_t   done;
    ssize_t  n;

    for (done = 0; done < c->out_size; done += (size_t) n) {
        n = send(c->fd, c->out + done, c->out_size - done, MSG_NOSIGNAL);

        if (n == -1) {
            die("send");
        }
    }

    c->out_size = 0;
}


static void
answered(client_t *c, unsigned ok)
{
    uint64_t  us;

    us = now_us() - c->sent[c->first++ % INFLIGHT];
    latency[us / 10 < BUCKETS ? us / 10 : BUCKETS - 1]++;

    c->waiting--;
    accepted += ok;
    refused += !ok;
}


static size_t
take_answers(client_t *c, unsigned count)
{
    u_char            *p, *last, *eol;
    uint64_t           status;
    rt_wire_frame_t    f;

    p = c->in;
    last = p + c->in_size;

    while (p < last) {

        if (redis) {
            eol = memchr(p, '\n', (size_t) (last - p));

            if (eol == NULL) {
                break;
            }

            if (p[0] == '-') {
                fprintf(stderr, "%.*s", (int) (eol - p), p);
                exit(1);
            }

            answered(c, p[1] == '1');
            p = eol + 1;
            continue;
        }

        switch (rt_wire_parse(&f, p, (size_t) (last - p), RT_WIRE_FRAME_MAX)) {

        case RT_WIRE_OK:
            break;

        case RT_WIRE_AGAIN:
            goto done;

        default:
            fprintf(stderr, "bad frame: %s\n", f.error);
            exit(1);
        }

        p += f.size;
        status = rt_wire_number(&f, RT_WIRE_F_STATUS);

        if (count) {
            answered(c, status == 201);
        }
    }

done:

    memmove(c->in, p, (size_t) (last - p));
    c->in_size = (size_t) (last - p);

    return c->in_size;
}


static void
receive(client_t *c, unsigned count)
{
    ssize_t  n;

    n = recv(c->fd, c->in + c->in_size, BUFFER - c->in_size, 0);

    if (n <= 0) {
        die("recv");
    }

    c->in_size += (size_t) n;
    take_answers(c, count);
}


static client_t *
open_client(const char *path, unsigned number)
{
    char                 text[1024];
    ssize_t              n;
    client_t            *c;
    struct sockaddr_un   sun;

    c = calloc(1, sizeof(client_t));

    c->number = number;
    c->amount = 1;
    c->fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;
    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);

    if (connect(c->fd, (struct sockaddr *) &sun, sizeof(sun)) == -1) {
        die(path);
    }

    if (redis) {
        n = sprintf(text, "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$%zu\r\n%s\r\n"
                    "*2\r\n$3\r\nDEL\r\n$%d\r\nbench-%u\r\n",
                    sizeof(LUA) - 1, LUA, number < 10 ? 7 : number < 100
                    ? 8 : 9, number);

        if (send(c->fd, text, (size_t) n, 0) != n) {
            die("send");
        }

        usleep(2000);
        n = recv(c->fd, text, sizeof(text) - 1, 0);

        if (n < 47 || text[0] != '$') {
            fprintf(stderr, "no script: %.*s\n", (int) n, text);
            exit(1);
        }

        memcpy(sha, text + 5, 40);

        return c;
    }

    add_frame(c, RT_WIRE_HELLO, NULL, NULL, 0);
    add_frame(c, RT_WIRE_COMMAND, "create", "{\"kind\":\"english\",\"start\":1,"
              "\"ends_in_ms\":86400000}", 1);
    flush_out(c);

    for (n = 0; n < 2; n++) {
        usleep(20000);
        receive(c, 0);

        if (c->in_size == 0) {
            break;
        }
    }

    /* it may have been there before */

    c->amount = now_us() & 0xffffffffffffull;

    return c;
}


static void
fill(client_t *c, uint64_t now)
{
    uint64_t  at;

    while (c->waiting < inflight) {
        at = now;

        if (rate) {
            at = started + due * 1000000 / rate;

            if (at > now) {
                break;
            }

            due++;
        }

        add_bid(c, at);
    }

    if (c->out_size) {
        flush_out(c);
    }
}


static double
percentile(double part, uint64_t total)
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

    return (double) (i + 1) / 100;
}


int
main(int argc, char **argv)
{
    int                  ep, i, n;
    double               seconds;
    uint64_t             end, now;
    unsigned             k;
    struct epoll_event   ee, list[1024];

    if (argc < 6) {
        fprintf(stderr, "usage: worker_load realtimed|redis SOCKET CLIENTS "
                "INFLIGHT SECONDS [RATE]\n");
        return 2;
    }

    redis = strcmp(argv[1], "redis") == 0;
    nclients = (unsigned) atoi(argv[3]);
    inflight = (unsigned) atoi(argv[4]);
    seconds = atof(argv[5]);
    rate = argc > 6 ? (uint64_t) atoll(argv[6]) : 0;

    if (inflight > INFLIGHT) {
        inflight = INFLIGHT;
    }

    ep = epoll_create1(0);
    clients = calloc(nclients, sizeof(client_t *));

    for (k = 0; k < nclients; k++) {
        clients[k] = open_client(argv[2], k);
        ee.events = EPOLLIN;
        ee.data.ptr = clients[k];
        epoll_ctl(ep, EPOLL_CTL_ADD, clients[k]->fd, &ee);
    }

    started = now_us();
    end = started + (uint64_t) (seconds * 1e6);

    do {
        now = now_us();

        for (k = 0; k < nclients && (rate || now - started < 1000); k++) {
            fill(clients[k], now);
        }

        n = epoll_wait(ep, list, 1024, rate ? 1 : 100);
        now = now_us();

        for (i = 0; i < n; i++) {
            receive(list[i].data.ptr, 1);
            fill(list[i].data.ptr, now);
        }

    } while (now < end);

    seconds = (double) (now_us() - started) / 1e6;

    printf("%s %u x %u: %.0f bids/s accepted, %llu refused, "
           "p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms\n", argv[1], nclients,
           inflight, (double) accepted / seconds,
           (unsigned long long) refused, percentile(0.5, accepted + refused),
           percentile(0.99, accepted + refused),
           percentile(0.999, accepted + refused));

    return 0;
}
