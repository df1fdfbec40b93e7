/*
 * Sockets and requests for t/bench/beside, as plain as they can be.
 *
 * One request on a blocking connection waits for its answer.  Many clients are
 * an array of non-blocking connections: opened in small groups, so that the
 * listening socket's queue never overflows, and then read with poll().
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "beside.h"


#define BESIDE_GROUP    64                  /* connections opened at once */
#define BESIDE_CLIENTS  4096


unsigned       beside_refused;

static char    answer[BESIDE_BUFFER * 4 + 1];
static size_t  answer_len;


/* as load_connect() does: addresses of 127.0.0.0/8, no two too often */

int
beside_connect(unsigned number, int block)
{
    int                 fd, one;
    struct sockaddr_in  sin;

    one = 1;

    fd = socket(AF_INET, SOCK_STREAM | (block ? 0 : SOCK_NONBLOCK), 0);
    if (fd == -1) {
        load_fail("socket(): %s", strerror(errno));
    }

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(0x7f000001 + (number % 200 << 8));

    if (bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
        load_fail("bind(): %s", strerror(errno));
    }

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons(load_conf.port);

    if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        && errno != EINPROGRESS)
    {
        load_fail("connect(): %s", strerror(errno));
    }

    return fd;
}


void
beside_send(int fd, const void *data, size_t len)
{
    ssize_t        n;
    const char    *p;
    struct pollfd  pfd;

    p = data;

    while (len) {
        n = send(fd, p, len, MSG_NOSIGNAL);

        if (n >= 0) {
            p += n;
            len -= n;
            continue;
        }

        if (errno != EAGAIN && errno != EINTR && errno != ENOTCONN) {
            load_fail("send(): %s", strerror(errno));
        }

        pfd.fd = fd;
        pfd.events = POLLOUT;
        poll(&pfd, 1, 1000);
    }
}


size_t
beside_request(char *buf, size_t size, const char *method, const char *path,
    const char *headers, const void *body, size_t len)
{
    size_t  n;

    n = snprintf(buf, size, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s",
                 method, path, headers);

    if (body) {
        n += snprintf(buf + n, n < size ? size - n : 0,
                      "Content-Length: %zu\r\n", len);
    }

    if (n + 2 + len > size) {
        load_fail("a request of %zu bytes", n + len);
    }

    memcpy(buf + n, "\r\n", 2);
    memcpy(buf + n + 2, body, body ? len : 0);

    return n + 2 + (body ? len : 0);
}


/* one request, and the status of its answer */

int
beside_ask(int fd, const char *method, const char *path, const char *headers,
    const void *body, size_t len)
{
    int           status;
    char         *end, *p;
    size_t        n, want, size;
    ssize_t       got;
    static char  *buf;

    size = len + BESIDE_BUFFER;
    buf = realloc(buf, size);
    n = beside_request(buf, size, method, path, headers, body, len);
    beside_send(fd, buf, n);

    answer_len = 0;
    want = 0;
    status = 0;

    do {
        got = recv(fd, answer + answer_len, sizeof(answer) - 1 - answer_len,
                   0);
        if (got <= 0) {
            load_fail("no answer to %s %.40s", method, path);
        }

        answer_len += got;
        answer[answer_len] = '\0';

        end = strstr(answer, "\r\n\r\n");
        if (end == NULL) {
            continue;
        }

        status = atoi(answer + 9);
        p = strcasestr(answer, "\r\nContent-Length: ");
        want = end + 4 - answer + (p && p < end ? strtoul(p + 18, NULL, 10)
                                                : 0);
    } while (status == 0 || answer_len < want);

    return status;
}


/* what the last answer was, from its head on */

size_t
beside_answer(char *buf, size_t size)
{
    size_t  n;

    n = answer_len < size - 1 ? answer_len : size - 1;
    memcpy(buf, answer, n);
    buf[n] = '\0';

    return n;
}


/* a client's frame with an empty mask */

size_t
beside_frame(unsigned char *p, unsigned first, const void *data, size_t len)
{
    size_t  head;

    p[0] = first;
    head = 2;

    if (len < 126) {
        p[1] = 0x80 | len;

    } else {
        p[1] = 0x80 | 126;
        p[2] = len >> 8;
        p[3] = len & 0xff;
        head = 4;
    }

    memset(p + head, 0, 4);
    memcpy(p + head + 4, data, len);

    return head + 4 + len;
}


/* "%lu" in path and headers is the client's number */

void
beside_clients_open(beside_client_t *clients, unsigned n, const char *path,
    const char *headers)
{
    char      buf[16384], head[512], uri[8192];
    size_t    len;
    unsigned  i, turns;

    for (i = 0; i < n; i++) {
        snprintf(uri, sizeof(uri), path, clients[i].number);
        snprintf(head, sizeof(head), headers, clients[i].number);

        clients[i].fd = beside_connect(i, 0);
        clients[i].open = 0;
        clients[i].bytes = 0;

        len = beside_request(buf, sizeof(buf), "GET", uri, head, NULL, 0);
        beside_send(clients[i].fd, buf, len);

        if (i % BESIDE_GROUP == BESIDE_GROUP - 1) {
            turns = 0;

            while (!clients[i - BESIDE_GROUP / 2].open && turns++ < 1000) {
                beside_clients_read(clients, i + 1, 20);
            }
        }
    }
}


/* reads what there is; how many have an answer */

unsigned
beside_clients_read(beside_client_t *clients, unsigned n, int timeout)
{
    ssize_t               got;
    unsigned              i, nopen;
    static char           buf[BESIDE_BUFFER];
    static struct pollfd  pfds[BESIDE_CLIENTS];

    for (i = 0; i < n; i++) {
        pfds[i].fd = clients[i].fd;
        pfds[i].events = POLLIN;
    }

    poll(pfds, n, timeout);
    nopen = 0;

    for (i = 0; i < n; i++) {

        if (clients[i].fd != -1 && pfds[i].revents) {
            got = recv(clients[i].fd, buf, sizeof(buf), MSG_DONTWAIT);

            if (got > 0) {
                if (!clients[i].open && memcmp(buf + 9, "200", 3) != 0
                    && memcmp(buf + 9, "101", 3) != 0)
                {
                    beside_refused++;
                }

                clients[i].open = 1;
                clients[i].bytes += got;
                clients[i].last = load_now();

            } else if (got == 0 || errno != EAGAIN) {
                close(clients[i].fd);
                clients[i].fd = -1;
            }
        }

        nopen += clients[i].open;
    }

    return nopen;
}


void
beside_clients_close(beside_client_t *clients, unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (clients[i].fd != -1) {
            close(clients[i].fd);
            clients[i].fd = -1;
        }
    }
}
