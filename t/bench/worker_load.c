/*
 * Load for realtimed, directly and through nginx, and for Redis: the same bids,
 * the same clients, the same epoll loop, so that only the server differs.
 *
 *   worker_load KIND ADDRESS CLIENTS INFLIGHT SECONDS [RATE]
 *
 *     realtimed, redis    bids; ADDRESS is a Unix socket
 *     http, ws            bids through nginx, on that port of 127.0.0.1; over
 *                         HTTP a client has one in flight
 *     bare                64 bytes to worker_bare.c, by a Unix socket
 *
 * Each client bids on an auction of its own, with rising amounts, so that all
 * bids are accepted and all must be made durable; others fail the run.  With a
 * rate, bids are sent at that pace, and latency counts from when one should
 * have been sent.  Prints a line of JSON: bids a second, and microseconds.
 */


#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "rt_wire.h"
#include "worker_common.h"


#define BUFFER    (256 * 1024)
#define INFLIGHT  1024
#define BUCKETS   4000000                   /* of 1 us */
#define MESSAGE   64                        /* of the bare servers */

#define TERMS     "{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":86400000}"

#define LUA  "local c = tonumber(redis.call('HGET', KEYS[1], 'price') or '0') "\
             "if tonumber(ARGV[1]) > c then "                                 \
             "redis.call('HSET', KEYS[1], 'price', ARGV[1], 'leader', ARGV[2])"\
             " return 1 end return 0"


typedef enum {
    REALTIMED = 0,
    REDIS,
    HTTP,
    WS,
    BARE
} kind_e;


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


static kind_e      kind;
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

static const char *const  kinds[] = { "realtimed", "redis", "http", "ws",
                                      "bare", NULL };


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
add_post(client_t *c, const char *command, const char *body)
{
    c->out_size += (size_t) sprintf((char *) c->out + c->out_size,
        "POST /auction/bench-%u/%s?user=user%u HTTP/1.1\r\n"
        "Host: localhost\r\n"
        "Content-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n%s", c->number, command,
        (unsigned) (c->amount & 3), strlen(body), body);
}


/* less than 126 bytes, and masked with zeros */

static void
add_message(client_t *c, const char *command, const char *data)
{
    int    n;
    char  *p;

    p = (char *) c->out + c->out_size;

    n = sprintf(p + 6, "{\"id\":%llu,\"command\":\"%s\",\"data\":%s}",
                (unsigned long long) c->amount, command, data);

    if (n > 125) {
        die("a message is too long");
    }

    p[0] = (char) 0x81;
    p[1] = (char) (0x80 | n);
    memset(p + 2, 0, 4);

    c->out_size += (size_t) n + 6;
}


static void
add_bid(client_t *c, uint64_t at)
{
    int   n;
    char  body[64], key[32];

    c->amount++;
    c->waiting++;
    c->sent[c->next++ % INFLIGHT] = at;

    sprintf(body, "{\"amount\":%llu}", (unsigned long long) c->amount);

    switch (kind) {

    case REALTIMED:
        add_frame(c, RT_WIRE_COMMAND, "bid", body, c->amount);
        break;

    case HTTP:
        add_post(c, "bid", body);
        break;

    case WS:
        add_message(c, "bid", body);
        break;

    case BARE:
        memset(c->out + c->out_size, 'x', MESSAGE);
        c->out_size += MESSAGE;
        break;

    case REDIS:
        n = sprintf(body, "%llu", (unsigned long long) c->amount);

        c->out_size += (size_t) sprintf((char *) c->out + c->out_size,
            "*6\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n1\r\n$%d\r\n%s\r\n"
            "$%d\r\n%s\r\n$5\r\nuser%u\r\n", sha,
            sprintf(key, "bench-%u", c->number), key, n, body,
            (unsigned) (c->amount & 3));
    }
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
    latency[us < BUCKETS ? us : BUCKETS - 1]++;

    c->waiting--;
    accepted += ok;
    refused += !ok;
}


/*
 * These take one answer: its size, or 0 if it is not whole.  "ok" is what a
 * bid that was accepted gets.
 */

static size_t
take_frame(u_char *p, size_t len, unsigned *ok)
{
    rt_wire_frame_t  f;

    switch (rt_wire_parse(&f, p, len, RT_WIRE_FRAME_MAX)) {

    case RT_WIRE_OK:
        *ok = rt_wire_number(&f, RT_WIRE_F_STATUS) == 201;
        return f.size;

    case RT_WIRE_AGAIN:
        return 0;

    default:
        fprintf(stderr, "bad frame: %s\n", f.error);
        exit(1);
    }
}


static size_t
take_line(u_char *p, size_t len, unsigned *ok)
{
    u_char  *eol;

    eol = memchr(p, '\n', len);

    if (eol == NULL) {
        return 0;
    }

    if (p[0] == '-') {
        fprintf(stderr, "%.*s", (int) (eol - p), p);
        exit(1);
    }

    *ok = p[1] == '1';

    return (size_t) (eol - p) + 1;
}


static size_t
take_response(u_char *p, size_t len, unsigned *ok)
{
    u_char  *end, *length;
    size_t   size;

    end = memmem(p, len, "\r\n\r\n", 4);

    if (end == NULL) {
        return 0;
    }

    length = memmem(p, (size_t) (end - p), "\nContent-Length: ", 17);

    if (length == NULL) {
        fprintf(stderr, "%.*s\n", (int) (end - p), p);
        exit(1);
    }

    size = (size_t) (end + 4 - p) + strtoul((char *) length + 17, NULL, 10);

    *ok = memcmp(p + 9, "201", 3) == 0;

    return size > len ? 0 : size;
}


static size_t
take_message(u_char *p, size_t len, unsigned *ok)
{
    size_t  head, size;

    if (len < 4) {
        return 0;
    }

    head = 2;
    size = p[1];

    if (size == 126) {
        size = (size_t) p[2] << 8 | p[3];
        head = 4;
    }

    if (p[0] != 0x81 || p[1] > 126) {
        fprintf(stderr, "a frame with %02x%02x\n", p[0], p[1]);
        exit(1);
    }

    if (len < head + size) {
        return 0;
    }

    *ok = memmem(p + head, size, ",\"ok\":", 6) != NULL;

    return head + size;
}


static size_t
take_answer(u_char *p, size_t len, unsigned *ok)
{
    switch (kind) {

    case REALTIMED:
        return take_frame(p, len, ok);

    case REDIS:
        return take_line(p, len, ok);

    case HTTP:
        return take_response(p, len, ok);

    case WS:
        return take_message(p, len, ok);

    default:
        *ok = 1;
        return len < MESSAGE ? 0 : MESSAGE;
    }
}


static void
take_answers(client_t *c, unsigned count)
{
    size_t     n;
    u_char    *p, *last;
    unsigned   ok;

    p = c->in;
    last = p + c->in_size;

    while (p < last) {

        n = take_answer(p, (size_t) (last - p), &ok);

        if (n == 0) {
            break;
        }

        if (count) {
            answered(c, ok);
        }

        p += n;
    }

    memmove(c->in, p, (size_t) (last - p));
    c->in_size = (size_t) (last - p);
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


static int
connect_unix(const char *path)
{
    int                  fd;
    struct sockaddr_un   sun;

    memset(&sun, 0, sizeof(sun));
    sun.sun_family = AF_UNIX;
    snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);

    fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd == -1 || connect(fd, (struct sockaddr *) &sun, sizeof(sun)) == -1) {
        die(path);
    }

    return fd;
}


static int
connect_port(const char *port)
{
    int                  fd, on;
    struct sockaddr_in   sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((uint16_t) atoi(port));

    fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd == -1 || connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
        die(port);
    }

    on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    return fd;
}


static void
prepare_redis(client_t *c)
{
    char     text[1024], key[32];
    ssize_t  n;

    n = sprintf(key, "bench-%u", c->number);
    n = sprintf(text, "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$%zu\r\n%s\r\n"
                "*2\r\n$3\r\nDEL\r\n$%zd\r\n%s\r\n",
                sizeof(LUA) - 1, LUA, n, key);

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
}


/* the answers to what has been added are whole and not looked at */

static void
skip_answers(client_t *c, unsigned n)
{
    size_t    size;
    ssize_t   got;
    unsigned  ok;

    flush_out(c);

    while (n) {
        size = take_answer(c->in, c->in_size, &ok);

        if (size) {
            c->in_size -= size;
            memmove(c->in, c->in + size, c->in_size);
            n--;
            continue;
        }

        got = recv(c->fd, c->in + c->in_size, BUFFER - c->in_size, 0);

        if (got <= 0) {
            die("recv");
        }

        c->in_size += (size_t) got;
    }
}


static void
upgrade(client_t *c)
{
    u_char   *end;
    ssize_t   n;

    c->out_size = (size_t) sprintf((char *) c->out,
        "GET /auction/bench-%u/ws?user=user HTTP/1.1\r\n"
        "Host: localhost\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n", c->number);
    flush_out(c);

    n = recv(c->fd, c->in, BUFFER, 0);
    end = n > 12 ? memmem(c->in, (size_t) n, "\r\n\r\n", 4) : NULL;

    if (end == NULL || memcmp(c->in + 9, "101", 3) != 0) {
        fprintf(stderr, "%.*s\n", (int) (n > 0 ? n : 0), c->in);
        exit(1);
    }

    end += 4;
    c->in_size = (size_t) (c->in + n - end);
    memmove(c->in, end, c->in_size);
}


/* its auction may have been there before */

static client_t *
open_client(const char *address, unsigned number)
{
    client_t  *c;

    c = calloc(1, sizeof(client_t));

    if (c == NULL) {
        die("calloc");
    }

    c->number = number;
    c->amount = 1;
    c->fd = kind == HTTP || kind == WS ? connect_port(address)
                                       : connect_unix(address);

    switch (kind) {

    case REALTIMED:
        add_frame(c, RT_WIRE_HELLO, NULL, NULL, 0);
        add_frame(c, RT_WIRE_COMMAND, "create", TERMS, 1);
        skip_answers(c, 2);
        break;

    case REDIS:
        prepare_redis(c);
        break;

    case HTTP:
        add_post(c, "create", TERMS);
        skip_answers(c, 1);
        break;

    case WS:
        upgrade(c);
        add_message(c, "create", TERMS);
        skip_answers(c, 2);                 /* {"open":...} comes first */
        break;

    case BARE:
        break;
    }

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

    return (double) i;
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
        fprintf(stderr, "usage: worker_load realtimed|redis|http|ws|bare "
                "ADDRESS CLIENTS INFLIGHT SECONDS [RATE]\n");
        return 2;
    }

    while (strcmp(kinds[kind], argv[1]) != 0) {
        if (kinds[++kind] == NULL) {
            fprintf(stderr, "\"%s\": unknown\n", argv[1]);
            return 2;
        }
    }

    nclients = (unsigned) atoi(argv[3]);
    inflight = (unsigned) atoi(argv[4]);
    seconds = atof(argv[5]);
    rate = argc > 6 ? (uint64_t) atoll(argv[6]) : 0;

    if (inflight > INFLIGHT || (kind == HTTP && inflight > 1)) {
        fprintf(stderr, "too many in flight\n");
        return 2;
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

    printf("{\"rate\":%.0f,\"refused\":%llu,"
           "\"p50\":%.0f,\"p99\":%.0f,\"p999\":%.0f}\n",
           (double) accepted / seconds, (unsigned long long) refused,
           percentile(0.5, accepted + refused),
           percentile(0.99, accepted + refused),
           percentile(0.999, accepted + refused));

    return refused ? 1 : 0;
}
