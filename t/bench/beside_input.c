/*
 * The loads of one WebSocket client: it sends the same frames again and again,
 * as fast as the server takes them, and throws away what comes back.
 */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "beside.h"


static int beside_upgrade(const char *path, const char *headers);
static double beside_flood(int fd, unsigned char *p, size_t len, size_t each);
static size_t beside_bomb(unsigned char *p, size_t size);


static int
beside_upgrade(const char *path, const char *headers)
{
    int     fd;
    char    buf[1024];
    size_t  n;

    fd = beside_connect(1, 1);
    n = beside_request(buf, sizeof(buf), "GET", path, headers, NULL, 0);
    beside_send(fd, buf, n);

    if (recv(fd, buf, sizeof(buf), 0) < 12 || memcmp(buf + 9, "101", 3) != 0) {
        load_fail("no WebSocket: %.12s", buf);
    }

    return fd;
}


/* the same bytes again and again; frames a second */

static double
beside_flood(int fd, unsigned char *p, size_t len, size_t each)
{
    size_t         at;
    ssize_t        n;
    uint64_t       start, end, sent;
    static char    trash[BESIDE_BUFFER];
    struct pollfd  pfd;

    start = load_now();
    end = start + (uint64_t) (beside_seconds * 1e9);
    at = 0;
    sent = 0;

    while (load_now() < end) {
        pfd.fd = fd;
        pfd.events = POLLIN | POLLOUT;

        if (poll(&pfd, 1, 100) <= 0) {
            continue;
        }

        if (pfd.revents & POLLIN
            && recv(fd, trash, sizeof(trash), MSG_DONTWAIT) == 0)
        {
            break;
        }

        if (pfd.revents & POLLOUT) {
            n = send(fd, p + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);

            if (n < 0 && errno != EAGAIN) {
                break;
            }

            if (n > 0) {
                sent += n;
                at = at + n == len ? 0 : at + n;
            }
        }
    }

    end = load_now();
    close(fd);

    return (double) sent / (double) each / ((double) (end - start) / 1e9);
}


void
beside_pings(void)
{
    int                   fd;
    size_t                len;
    static unsigned char  p[BESIDE_BUFFER];

    fd = beside_upgrade("/sub/t/pings", BESIDE_WS);

    for (len = 0; len + 6 <= sizeof(p); /* void */ ) {
        len += beside_frame(p + len, 0x89, "", 0);
    }

    beside_figure("frames_s", beside_flood(fd, p, len, 6));
}


void
beside_inflate(void)
{
    int                   fd;
    size_t                n, len;
    unsigned char         bomb[256];
    static unsigned char  p[BESIDE_BUFFER];

    n = beside_bomb(bomb, sizeof(bomb));
    fd = beside_upgrade("/bomb/it", BESIDE_WS BESIDE_DEFLATE);

    for (len = 0; len + n + 8 <= sizeof(p); /* void */ ) {
        len += beside_frame(p + len, 0xc1, bomb, n);
    }

    beside_figure("frames_s", beside_flood(fd, p, len,
                                           n + (n < 126 ? 6 : 8)));
}


/* 64k of one letter, as RFC 7692 wants it: without the last four bytes */

static size_t
beside_bomb(unsigned char *p, size_t size)
{
    z_stream              z;
    static unsigned char  text[BESIDE_BUFFER];

    memset(text, 'a', sizeof(text));
    memset(&z, 0, sizeof(z));

    if (deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) != Z_OK) {
        load_fail("deflateInit2()");
    }

    z.next_in = text;
    z.avail_in = sizeof(text);
    z.next_out = p;
    z.avail_out = size;

    if (deflate(&z, Z_SYNC_FLUSH) != Z_OK || z.avail_out == 0) {
        load_fail("deflate()");
    }

    deflateEnd(&z);

    return size - z.avail_out - 4;
}
