/*
 * Readers: connections that subscribe, one topic each.
 *
 * They are opened a few at a time, from as many addresses of 127.0.0.0/8 as
 * the ports of one do not suffice for.  Of the last in the list some never
 * read (stalled), and before them some are never written to (idle).
 *
 * With "resume", a reader that was told goodbye (the last chunk, or a close
 * frame with 1012) comes back a moment later, with the id of the last message
 * that it has got, as an EventSource does.  It stays the same reader for the
 * ledger.  Any other end while it is open is an error.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"


#define LOAD_BUFFER      (256 * 1024)
#define LOAD_ADDRESS     16000              /* connections of an address */
#define LOAD_AWAY_STEPS  16                 /* back after 10 to 160 ms */
#define LOAD_AWAY        10000000ull


static int load_reader_open(load_reader_t *r);
static void load_reader_handler(load_event_t *ev);
static void load_reader_head(load_reader_t *r, unsigned char *p, size_t len);
static void load_reader_end(load_reader_t *r, const char *why);
static void load_reader_away(load_reader_t *r);
static void load_reader_forget(load_reader_t *r);


load_reader_t         *load_readers;
unsigned               load_nopen;
unsigned               load_nclosed;
unsigned               load_naway;
uint64_t               load_resumed;

static unsigned        nstarted;
static unsigned char   buffer[LOAD_BUFFER];


void
load_readers_create(void)
{
    unsigned        i, n;
    load_reader_t  *r;

    load_readers = calloc(load_conf.readers + 1, sizeof(load_reader_t));
    n = load_conf.readers - load_conf.idle - load_conf.stalled;

    for (i = 0; i < load_conf.readers; i++) {
        r = &load_readers[i];
        r->event.fd = -1;
        r->number = i;
        r->topic = i % load_conf.topics;

        if (i >= n && i < n + load_conf.idle) {
            r->topic = load_conf.topics + load_conf.other_topics;
        }

        if (load_conf.resume) {
            r->id = calloc(1, LOAD_ID_MAX);
        }
    }
}


int
load_readers_connect(void)
{
    while (nstarted < load_conf.readers
           && nstarted - load_nopen < load_conf.handshakes)
    {
        if (load_reader_open(&load_readers[nstarted++]) != LOAD_OK) {
            return LOAD_ERROR;
        }
    }

    return load_nopen == load_conf.readers ? LOAD_DONE : LOAD_AGAIN;
}


void
load_readers_run(void)
{
    uint64_t        now;
    unsigned        i;
    load_reader_t  *r;

    if (load_naway == 0) {
        return;
    }

    now = load_now();

    for (i = 0; i < load_conf.readers; i++) {
        r = &load_readers[i];

        if (r->state == LOAD_READER_AWAY && r->back <= now) {
            load_naway--;
            load_reader_forget(r);

            if (load_reader_open(r) != LOAD_OK) {
                load_fail("reader %u cannot come back", i);
            }
        }
    }
}


/* a blocking connect(): on loopback it does not wait */

int
load_connect(unsigned port, unsigned number, int rcvbuf)
{
    int                 fd, on;
    struct linger       linger;
    struct sockaddr_in  sin;

    fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return -1;
    }

    on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));

    if (rcvbuf) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
    }

    /* no TIME_WAIT, of which the next run would suffer */

    linger.l_onoff = 1;
    linger.l_linger = 0;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(0x7f010001 + load_conf.source * 256
                                + number / LOAD_ADDRESS);

    if (bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
        close(fd);
        return -1;
    }

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons(port);

    if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
        close(fd);
        return -1;
    }

    return fd;
}


static int
load_reader_open(load_reader_t *r)
{
    int             n, stalled;
    char            path[128], id[LOAD_ID_MAX + 32];
    unsigned char   request[512];

    stalled = r->number >= load_conf.readers - load_conf.stalled;

    r->event.handler = load_reader_handler;
    r->event.fd = load_connect(load_conf.port, r->number, stalled ? 4096 : 0);

    if (r->event.fd == -1) {
        fprintf(stderr, "load: reader %u: %s\n", r->number, strerror(errno));
        return LOAD_ERROR;
    }

    if (load_conf.tls && load_tls_open(r) != LOAD_OK) {
        fprintf(stderr, "load: reader %u: no TLS\n", r->number);
        return LOAD_ERROR;
    }

    snprintf(path, sizeof(path), "%st/%u", load_conf.subscribe, r->topic);
    id[0] = '\0';

    if (r->id && load_conf.kind == LOAD_WS) {
        n = strlen(path);
        n += snprintf(path + n, sizeof(path) - n, "?envelope=1");

        if (r->id[0]) {
            snprintf(path + n, sizeof(path) - n, "&last_event_id=%s", r->id);
        }

    } else if (r->id && r->id[0]) {
        snprintf(id, sizeof(id), "Last-Event-ID: %s\r\n", r->id);
    }

    if (load_conf.h2) {
        n = load_wire_h2_request(request, path);

    } else if (load_conf.kind == LOAD_WS) {
        n = snprintf((char *) request, sizeof(request),
                     "GET %s HTTP/1.1\r\n"
                     "Host: localhost\r\n"
                     "Upgrade: websocket\r\n"
                     "Connection: Upgrade\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     "Sec-WebSocket-Version: 13\r\n%s\r\n", path,
                     !load_conf.deflate ? ""
                     : "Sec-WebSocket-Extensions: permessage-deflate; "
                       "server_no_context_takeover; "
                       "client_no_context_takeover\r\n");

    } else {
        n = snprintf((char *) request, sizeof(request),
                     "GET %s HTTP/1.1\r\n"
                     "Host: localhost\r\n"
                     "Accept: text/event-stream\r\n%s\r\n", path, id);
    }

    load_reader_send(r, request, n);

    if (r->state != LOAD_READER_HEAD) {
        return LOAD_OK;                     /* another time */
    }

    return load_watch(&r->event, EPOLLIN);
}


void
load_reader_send(load_reader_t *r, const void *data, size_t len)
{
    if (r->tls) {
        load_tls_write(r, data, len);
        return;
    }

    if (send(r->event.fd, data, len, MSG_NOSIGNAL) != (ssize_t) len) {
        load_reader_end(r, "send() failed");
    }
}


static void
load_reader_handler(load_event_t *ev)
{
    ssize_t         n;
    load_reader_t  *r;

    r = (load_reader_t *) ev;

    if (r->tls) {
        n = load_tls_read(r, buffer, sizeof(buffer));

    } else {
        n = recv(ev->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    }

    if (n <= 0) {
        if (n == 0 || (!r->tls && errno != EAGAIN && errno != EINTR)) {

            load_reader_end(r, "the end");
        }

        return;
    }

    load_clock = load_now();

    if (load_conf.h2) {
        load_wire_h2_body(r, buffer, n);

    } else if (r->state == LOAD_READER_OPEN) {
        load_wire_body(r, buffer, n);

    } else {
        load_reader_head(r, buffer, n);
    }

    if (r->state == LOAD_READER_OPEN
        && r->number >= load_conf.readers - load_conf.stalled)
    {
        load_watch(ev, 0);
    }
}


/* the header is in one piece, for it is the first that a server sends */

static void
load_reader_head(load_reader_t *r, unsigned char *p, size_t len)
{
    unsigned char  *end;

    end = memmem(p, len, "\r\n\r\n", 4);

    if (end == NULL || len < 16) {
        load_reader_close(r, "no whole header");
        return;
    }

    end += 4;

    if (memcmp(p + 9, load_conf.kind == LOAD_WS ? "101" : "200", 3) != 0) {
        load_fail("reader %u: \"%.*s\"", r->number, 60, p);
    }

    r->chunked = memmem(p, end - p, "chunked", 7) != NULL;
    r->deflated = memmem(p, end - p, "permessage-deflate", 18) != NULL;

    if (load_conf.deflate && !r->deflated) {
        load_fail("the server does not deflate");
    }

    r->state = LOAD_READER_OPEN;
    load_nopen++;

    if (r->id && r->back) {
        load_resumed++;
    }

    if (p + len > end) {
        load_wire_body(r, end, p + len - end);
    }
}


void
load_reader_close(load_reader_t *r, const char *why)
{
    if (r->state == LOAD_READER_CLOSED) {
        return;
    }

    if (load_nclosed++ < 3) {
        fprintf(stderr, "load: reader %u closed: %s\n", r->number, why);
    }

    r->state = LOAD_READER_CLOSED;
    close(r->event.fd);
    r->event.fd = -1;
}


/* the server has said that it goes */

void
load_reader_bye(load_reader_t *r, const char *why)
{
    if (!load_conf.resume || r->state != LOAD_READER_OPEN) {
        load_reader_close(r, why);
        return;
    }

    load_nopen--;
    load_reader_away(r);
}


/* a process that goes closes what has not sent it a request yet */

static void
load_reader_end(load_reader_t *r, const char *why)
{
    if (load_conf.resume && r->state == LOAD_READER_HEAD) {
        load_reader_away(r);

    } else {
        load_reader_close(r, why);
    }
}


/* not all at once; what the parser still holds is freed later */

static void
load_reader_away(load_reader_t *r)
{
    r->state = LOAD_READER_AWAY;
    r->back = load_now() + LOAD_AWAY * (1 + r->number % LOAD_AWAY_STEPS);
    load_naway++;

    close(r->event.fd);
    r->event.fd = -1;
}


static void
load_reader_forget(load_reader_t *r)
{
    free(r->rest);

    r->rest = NULL;
    r->state = LOAD_READER_HEAD;
    r->chunked = 0;
    r->chunk_state = 0;
    r->left = 0;
}


void
load_reader_id(load_reader_t *r, const unsigned char *p, size_t len)
{
    if (len >= LOAD_ID_MAX) {
        load_fail("an id of %zu bytes", len);
    }

    memcpy(r->id, p, len);
    r->id[len] = '\0';
}
