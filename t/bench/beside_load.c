/*
 * What one client, or many of them together, make a server do; each load is
 * one row of the table at the end.
 *
 *     patterns    60 subscribers with 256 patterns each that share a head
 *     nothing     GETs with 256 patterns that match nothing, "earliest"
 *     conflated   1,000 conflated readers of one topic
 *     plain       2,000 clients of a "return 200": what nginx itself costs
 *     same        2,000 readers come back, all with the same old id
 *     scattered   2,000 readers come back, each with another id
 *     scan        100 readers of a pattern come back with the same old id
 *     pings       one WebSocket client that sends pings as fast as it can
 *     inflate     one that sends small deflated frames of 64k
 *     index       126 subscribers with 256 topics each
 *
 * Each is bounded by "seconds" or by what it counts, and by a time limit.
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "beside.h"


#define BESIDE_MANY         2000
#define BESIDE_PUBLISHERS   8
#define BESIDE_TOPICS       256             /* of a subscription */
#define BESIDE_BATCH        1000
#define BESIDE_SIZE         128
#define BESIDE_WAVE         500             /* messages that were missed */
#define BESIDE_KEYS         100
#define BESIDE_RATE         20              /* messages a second */
#define BESIDE_COSTS        4
#define BESIDE_QUIET        500000000ull    /* ns */
#define BESIDE_PATIENCE     20000000000ull  /* ns, of one wave */

#define BESIDE_DELIVERED    "\"messages_delivered\":"
#define BESIDE_FREE         "\"index_free_bytes\":"


typedef struct {
    const char  *name;
    const char  *path;
    const char  *headers;
    double       cpu_us;
} beside_cost_t;


static void beside_list(char *path, size_t size, const char *prefix,
    const char *format);
static double beside_publish(void);
static void beside_batch(unsigned lines, const char *topic, unsigned topics);
static void beside_fill(void);
static void beside_patterns_prepare(void);
static void beside_patterns(void);
static void beside_nothing(void);
static void beside_conflated_prepare(void);
static void beside_conflated(void);
static double beside_deliver(const char *path, const char *headers);
static void beside_wave_prepare(void);
static void beside_wave(const char *path, unsigned n);
static void beside_plain(void);
static void beside_same(void);
static void beside_scattered(void);
static void beside_scan(void);
static void beside_index_prepare(void);
static void beside_index(void);
static uint64_t beside_status(const char *name);


static beside_cost_t  costs[BESIDE_COSTS] = {
    { "sse_cpu_us", "/sub/t/c", BESIDE_SSE, 0 },
    { "conflated_sse_cpu_us", "/conflated/t/c", BESIDE_SSE, 0 },
    { "deflated_cpu_us", "/sub/t/c", BESIDE_WS BESIDE_DEFLATE, 0 },
    { "conflated_deflated_cpu_us", "/conflated/t/c",
      BESIDE_WS BESIDE_DEFLATE, 0 },
};

static beside_client_t  clients[BESIDE_MANY];
static double           published_alone;
static uint64_t         wave_epoch;
static uint64_t         wave_first;
static uint64_t         wave_last;


/* one path with many topics */

static void
beside_list(char *path, size_t size, const char *prefix, const char *format)
{
    size_t    n;
    unsigned  i;

    n = snprintf(path, size, "%s", prefix);

    for (i = 0; i < BESIDE_TOPICS; i++) {
        n += snprintf(path + n, size - n, "%s", i ? "," : "");
        n += snprintf(path + n, size - n, format, i);
    }
}


/* messages a second, of publishers that never rest */

static double
beside_publish(void)
{
    int            fds[BESIDE_PUBLISHERS];
    char           buf[512], path[64], body[BESIDE_SIZE];
    size_t         len;
    uint64_t       start, end, now;
    unsigned       i, n;
    struct pollfd  pfds[BESIDE_PUBLISHERS];

    memset(body, 'x', sizeof(body));
    start = load_now();
    end = start + (uint64_t) (beside_seconds * 1e9);
    n = 0;

    for (i = 0; i < BESIDE_PUBLISHERS; i++) {
        fds[i] = beside_connect(i, 1);
        pfds[i].fd = fds[i];
        pfds[i].events = POLLIN;
        pfds[i].revents = POLLIN;
    }

    do {
        for (i = 0; i < BESIDE_PUBLISHERS; i++) {

            if (!pfds[i].revents) {
                continue;
            }

            if (n >= BESIDE_PUBLISHERS
                && recv(fds[i], buf, sizeof(buf), MSG_DONTWAIT) <= 0)
            {
                load_fail("a publisher was closed");
            }

            snprintf(path, sizeof(path), "/pub/t/u%u", n % 100);
            len = beside_request(buf, sizeof(buf), "POST", path, "", body,
                                 sizeof(body));
            beside_send(fds[i], buf, len);
            n++;
        }

        poll(pfds, BESIDE_PUBLISHERS, 1000);
        now = load_now();

    } while (now < end);

    for (i = 0; i < BESIDE_PUBLISHERS; i++) {
        close(fds[i]);
    }

    return (double) n / ((double) (now - start) / 1e9);
}


/* one batch to topics "t/<topic>0", "t/<topic>1" and so on */

static void
beside_batch(unsigned lines, const char *topic, unsigned topics)
{
    char             data[BESIDE_SIZE + 1];
    static char      body[2048 * (BESIDE_SIZE + 64)];
    size_t           n;
    unsigned         i;
    static int       fd = -1;
    static unsigned  number;

    if (fd == -1) {
        fd = beside_connect(0, 1);
    }

    memset(data, 'x', BESIDE_SIZE);
    data[BESIDE_SIZE] = '\0';
    n = 0;

    for (i = 0; i < lines; i++) {
        n += snprintf(body + n, sizeof(body) - n,
                      "{\"topic\":\"t/%s%u\",\"data\":\"%s\"}\n", topic,
                      topics ? number++ % topics : 0, data);
    }

    if (beside_ask(fd, "POST", "/batch", "Realtime-Batch: on\r\n"
                   "Content-Type: application/x-ndjson\r\n", body, n) != 201)
    {
        load_fail("a batch was refused");
    }
}


/* a ring of 64m that is full, and an index with 10,000 topics */

static void
beside_fill(void)
{
    unsigned  i;

    for (i = 0; i < 400; i++) {
        beside_batch(BESIDE_BATCH, "f", 10000);
    }
}


static void
beside_patterns_prepare(void)
{
    published_alone = beside_publish();
}


static void
beside_patterns(void)
{
    char      path[8192];
    uint64_t  start;
    double    published;
    unsigned  i;

    for (i = 0; i < 60; i++) {
        clients[i].number = i;
    }

    beside_list(path, sizeof(path), "/patterns/", "*/x%%1$lu-%u");
    beside_clients_open(clients, 60, path, BESIDE_SSE);

    while (beside_clients_read(clients, 60, 1000) < 60) { /* void */ }

    published = beside_publish();
    start = load_now();
    beside_batch(2000, "u", 100);

    beside_figure("published_alone_s", published_alone);
    beside_figure("published_s", published);
    beside_figure("batch_ms", (double) (load_now() - start) / 1e6);
}


static void
beside_nothing(void)
{
    int       fd, i;
    char      path[8192];
    uint64_t  start;

    beside_list(path, sizeof(path),
                "/patterns/", "zz%u/*");
    strcat(path, "?last_event_id=earliest");

    fd = beside_connect(1, 1);
    start = load_now();

    for (i = 0; i < 3; i++) {
        if (beside_ask(fd, "GET", path, "Accept: application/json\r\n"
                       "Prefer: wait=0\r\n", NULL, 0) != 200)
        {
            beside_answer(path, sizeof(path));
            load_fail("patterns were refused: %.300s", path);
        }
    }

    beside_figure("answered_ms", (double) (load_now() - start) / 1e6 / i);
}


/* CPU time for each delivery, while there is no probe; once more beside it */

static void
beside_conflated_prepare(void)
{
    unsigned  i;

    for (i = 0; i < BESIDE_COSTS; i++) {
        costs[i].cpu_us = beside_deliver(costs[i].path, costs[i].headers);
    }
}


static void
beside_conflated(void)
{
    unsigned  i;

    for (i = 0; i < BESIDE_COSTS; i++) {
        beside_figure(costs[i].name, costs[i].cpu_us);

        if (costs[i].path[1] == 'c') {
            beside_deliver(costs[i].path, costs[i].headers);
        }
    }
}


static double
beside_deliver(const char *path, const char *headers)
{
    int       fd;
    char      body[1024];
    double    cpu;
    uint64_t  start, due, delivered;
    unsigned  i, sent;

    beside_clients_open(clients, 1000, path, headers);

    while (beside_clients_read(clients, 1000, 1000) < 1000) { /* void */ }

    fd = beside_connect(1, 1);
    delivered = beside_status(BESIDE_DELIVERED);
    cpu = (double) load_cpu();
    start = load_now();
    sent = 0;

    do {
        due = start + sent * (1000000000ull / BESIDE_RATE);

        if (load_now() >= due) {
            for (i = 0; i < sizeof(body); i++) {
                body[i] = 'a' + rand() % 16;
            }

            beside_ask(fd, "POST", "/pub/t/c", "", body, sizeof(body));
            sent++;
        }

        beside_clients_read(clients, 1000, 10);

    } while (load_now() - start < (uint64_t) (beside_seconds * 1e9));

    due = load_now() + BESIDE_QUIET;

    while (load_now() < due) {
        beside_clients_read(clients, 1000, 100);
    }

    cpu = (double) load_cpu() - cpu;
    delivered = beside_status(BESIDE_DELIVERED) - delivered;

    beside_clients_close(clients, 1000);
    close(fd);
    usleep(200000);

    return delivered ? cpu / 1000 / (double) delivered : 0;
}


/* what the zone counts; the probe's deliveries are a hundredth of them */

static uint64_t
beside_status(const char *name)
{
    int   fd;
    char  buf[4096], *p;

    fd = beside_connect(1, 1);
    beside_ask(fd, "GET", "/status", "", NULL, 0);
    beside_answer(buf, sizeof(buf));
    close(fd);

    p = strstr(buf, name);

    return p ? strtoull(p + strlen(name), NULL, 10) : 0;
}


/* some of what fills the ring is what the wave has missed */

static void
beside_wave_prepare(void)
{
    char      buf[4096], *p;
    unsigned  i;

    for (i = 0; i < BESIDE_WAVE; i++) {
        beside_batch(1, "wave", 0);

        if (i == 0) {
            beside_answer(buf, sizeof(buf));
            p = strstr(buf, "\"first_id\":\"");

            if (p == NULL || sscanf(p + 12, "%lx-%lu", &wave_epoch,
                                    &wave_first) != 2)
            {
                load_fail("a batch has no id");
            }
        }

        beside_batch(200, "f", 10000);
    }

    wave_last = wave_first + BESIDE_WAVE * 201 - 201;
}


static void
beside_wave(const char *path, unsigned n)
{
    char      headers[256];
    uint64_t  start, now, last, bytes, before;
    unsigned  i, nopen;

    snprintf(headers, sizeof(headers),
             BESIDE_SSE "Last-Event-ID: %lx-%%lu\r\n", wave_epoch);

    start = load_now();
    last = start;
    before = 0;

    beside_clients_open(clients, n, path, headers);

    do {
        nopen = beside_clients_read(clients, n, 100);
        now = load_now();
        bytes = 0;

        for (i = 0; i < n; i++) {
            bytes += clients[i].bytes;
        }

        if (bytes > before) {
            before = bytes;
            last = now;
        }

    } while (now - start < BESIDE_PATIENCE
             && (nopen < n || now - last < BESIDE_QUIET));

    for (last = start, i = 0; i < n; i++) {
        last = clients[i].last > last ? clients[i].last : last;
    }

    beside_clients_close(clients, n);
    beside_figure("wave_ms", (double) (last - start) / 1e6);
    beside_figure("wave_mb", (double) bytes / 1e6);
}


static void
beside_plain(void)
{
    beside_wave("/plain", BESIDE_MANY);
}


static void
beside_same(void)
{
    unsigned  i;

    for (i = 0; i < BESIDE_MANY; i++) {
        clients[i].number = wave_first;
    }

    beside_wave("/long/t/wave0", BESIDE_MANY);
}


static void
beside_scattered(void)
{
    unsigned  i;

    for (i = 0; i < BESIDE_MANY; i++) {
        clients[i].number = wave_first + (wave_last - wave_first)
                                         * (i * 7919 % BESIDE_MANY)
                                         / BESIDE_MANY;
    }

    beside_wave("/long/t/wave0", BESIDE_MANY);
}


/* a hundred, but each has to look at all that came since */

static void
beside_scan(void)
{
    unsigned  i;

    for (i = 0; i < BESIDE_MANY; i++) {
        clients[i].number = wave_first;
    }

    beside_wave("/long/t/wav*", 100);
}


/* what the index holds of others: keys and topics that nobody reads now */

static void
beside_index_prepare(void)
{
    int       fd;
    char      path[64], headers[64];
    unsigned  i;

    fd = beside_connect(1, 1);

    for (i = 0; i < BESIDE_KEYS; i++) {
        snprintf(path, sizeof(path), "/pub/t/kept%u", i);
        snprintf(headers, sizeof(headers), "Idempotency-Key: k%u\r\n", i);

        if (beside_ask(fd, "POST", path, headers, "x", 1) != 201) {
            load_fail("not published");
        }
    }

    close(fd);
}


static void
beside_index(void)
{
    int       fd;
    char      path[8192], headers[64], buf[4096];
    unsigned  i, nopen, topics, keys;
    uint64_t  end;

    for (i = 0; i < 126; i++) {
        clients[i].number = i;
    }

    /* one more than the index has room for */

    beside_list(path, sizeof(path), "/patterns/", "index/%%1$lu/number-%u");
    beside_clients_open(clients, 126, path, BESIDE_SSE);

    end = load_now() + BESIDE_PATIENCE / 2;

    do {
        nopen = beside_clients_read(clients, 126, 100);
    } while (nopen < 126 && load_now() < end);

    fd = beside_connect(1, 1);
    topics = 0;
    keys = 0;

    for (i = 0; i < BESIDE_KEYS; i++) {
        snprintf(path, sizeof(path), "/pub/t/kept%u", i);
        topics += beside_ask(fd, "GET", path, "", NULL, 0) == 200;

        snprintf(headers, sizeof(headers), "Idempotency-Key: k%u\r\n", i);
        beside_ask(fd, "POST", path, headers, "x", 1);
        beside_answer(buf, sizeof(buf));
        keys += strcasestr(buf, "\r\nIdempotent-Replay: true") != NULL;
    }

    beside_figure("answered", nopen);
    beside_figure("refused", beside_refused);
    beside_figure("index_free", (double) beside_status(BESIDE_FREE));
    beside_figure("topics_kept", topics);
    beside_figure("keys_kept", keys);
}


const beside_load_t *
beside_load_find(const char *name)
{
    const beside_load_t         *load;
    static const beside_load_t   loads[] = {
        { "patterns",  beside_patterns_prepare,  beside_patterns, 0 },
        { "nothing",   beside_fill,              beside_nothing, 0 },
        { "conflated", beside_conflated_prepare, beside_conflated, 0 },
        { "plain",     beside_wave_prepare,      beside_plain, 0 },
        { "same",      beside_wave_prepare,      beside_same, 0 },
        { "scattered", beside_wave_prepare,      beside_scattered, 0 },
        { "scan",      beside_wave_prepare,      beside_scan, 0 },
        { "pings",     NULL,                     beside_pings, 0 },
        { "inflate",   NULL,                     beside_inflate, 0 },
        { "index",     beside_index_prepare,     beside_index, 1 },
        { NULL, NULL, NULL, 0 }
    };

    for (load = loads; load->name; load++) {
        if (strcmp(load->name, name) == 0) {
            return load;
        }
    }

    return NULL;
}
