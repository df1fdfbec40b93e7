/*
 * The bare send loop: the least that a server must do for its readers, and so
 * what a send() costs on this machine.
 *
 *   bare PORT [joined]
 *
 * One process, one epoll loop.  GET /sub/TOPIC is a WebSocket handshake or an
 * event stream, POST /pub/TOPIC sends the body to all readers of the topic: a
 * frame is built once and goes out with one send() for each of them.  There is
 * no history, no id, no timer, no log, no limit, and HTTP is only what the
 * load generator speaks.
 *
 * "joined" collects the frames of one turn of the loop, so that a reader gets
 * those of all publishes that came together in one send().
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>


#define BARE_EVENTS     512
#define BARE_BUFFER     (1024 * 1024)
#define BARE_BUCKETS    65536
#define BARE_QUEUE_MAX  (1024 * 1024)       /* of a reader that is slow */

#define BARE_GUID       "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


typedef struct bare_conn_s   bare_conn_t;
typedef struct bare_topic_s  bare_topic_t;


typedef struct {
    size_t          size;
    size_t          len;
    unsigned char  *data;
} bare_bytes_t;


struct bare_conn_s {
    int             fd;
    unsigned        place;                  /* in topic->readers */
    bare_topic_t   *topic;
    bare_bytes_t   *rest;                   /* read or to be written */
};


typedef struct {
    bare_conn_t   **conns;
    unsigned        n;
    unsigned        size;
    bare_bytes_t    joined;
} bare_readers_t;


struct bare_topic_s {
    bare_topic_t   *next;                   /* in the bucket */
    bare_topic_t   *dirty;                  /* the next that has news */
    unsigned        is_dirty;
    bare_readers_t  kinds[2];               /* event streams, WebSockets */
    size_t          len;
    char            name[];
};


static void bare_accept(int listener);
static void bare_read(bare_conn_t *c);
static size_t bare_request(bare_conn_t *c, char *p, size_t len);
static void bare_subscribe(bare_conn_t *c, char *path, size_t len, char *p,
    char *end);
static void bare_publish(bare_topic_t *t, char *body, size_t len);
static size_t bare_frame(unsigned ws, unsigned char *p, char *body,
    size_t len);
static void bare_fan_out(bare_readers_t *r, unsigned char *p, size_t len);
static void bare_flush(void);
static void bare_send(bare_conn_t *c, const void *p, size_t len);
static void bare_write(bare_conn_t *c);
static void bare_watch(bare_conn_t *c, int op, unsigned events);
static void bare_close(bare_conn_t *c);
static bare_topic_t *bare_topic(char *name, size_t len);
static int bare_keep(bare_bytes_t *b, const void *p, size_t len);


static int             ep;
static unsigned        joined;
static bare_topic_t   *buckets[BARE_BUCKETS];
static bare_topic_t   *dirty;
static unsigned char   buffer[BARE_BUFFER];
static unsigned char   frame[BARE_BUFFER + 16];

static const char      answer[] = "HTTP/1.1 201 Created\r\n"
                                  "Content-Type: application/json\r\n"
                                  "Content-Length: 3\r\n\r\n{}\n";


int
main(int argc, char **argv)
{
    int                 i, n, on, listener;
    struct rlimit       rl;
    struct sockaddr_in  sin;
    struct epoll_event  events[BARE_EVENTS];

    if (argc < 2) {
        return 2;
    }

    joined = argc > 2;

    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);

    ep = epoll_create1(0);
    listener = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0);

    on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons(atoi(argv[1]));

    if (bind(listener, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(listener, 4096) == -1)
    {
        perror("bare");
        return 1;
    }

    events[0].events = EPOLLIN;
    events[0].data.ptr = NULL;
    epoll_ctl(ep, EPOLL_CTL_ADD, listener, &events[0]);

    for ( ;; ) {
        n = epoll_wait(ep, events, BARE_EVENTS, -1);

        for (i = 0; i < n; i++) {

            if (events[i].data.ptr == NULL) {
                bare_accept(listener);

            } else if (events[i].events & EPOLLOUT) {
                bare_write(events[i].data.ptr);

            } else {
                bare_read(events[i].data.ptr);
            }
        }

        bare_flush();
    }
}


static void
bare_accept(int listener)
{
    int           fd, on;
    bare_conn_t  *c;

    for ( ;; ) {
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd == -1) {
            return;
        }

        on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

        c = calloc(1, sizeof(bare_conn_t));
        if (c == NULL) {
            close(fd);
            return;
        }

        c->fd = fd;
        bare_watch(c, EPOLL_CTL_ADD, EPOLLIN);
    }
}


static void
bare_read(bare_conn_t *c)
{
    char     *p;
    size_t    done, len;
    ssize_t   n;

    n = recv(c->fd, buffer, BARE_BUFFER, 0);

    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            bare_close(c);
        }

        return;
    }

    if (c->topic) {
        return;                             /* readers have nothing to say */
    }

    p = (char *) buffer;
    len = n;

    if (c->rest && c->rest->len) {
        if (!bare_keep(c->rest, p, len)) {
            bare_close(c);
            return;
        }

        p = (char *) c->rest->data;
        len = c->rest->len;
    }

    do {
        done = bare_request(c, p, len);
        p += done;
        len -= done;
    } while (done && len);

    if (c->topic) {
        return;
    }

    if (c->rest == NULL) {
        if (len == 0) {
            return;
        }

        c->rest = calloc(1, sizeof(bare_bytes_t));
    }

    if (c->rest == NULL) {
        bare_close(c);
        return;
    }

    if (c->rest->len) {
        memmove(c->rest->data, p, len);
        c->rest->len = len;

    } else if (!bare_keep(c->rest, p, len)) {
        bare_close(c);
    }
}


/* a whole request, or 0 */

static size_t
bare_request(bare_conn_t *c, char *p, size_t len)
{
    char    *end, *path, *space, *length;
    size_t   size;

    end = memmem(p, len, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }

    end += 4;
    path = memchr(p, '/', end - p);
    path = path ? memchr(path + 1, '/', end - path - 1) : NULL;
    space = path ? memchr(path, ' ', end - path) : NULL;

    if (space == NULL) {
        return len;
    }

    path++;

    if (*p == 'G') {
        bare_subscribe(c, path, space - path, p, end);
        return len;
    }

    length = memmem(space, end - space, "\nContent-Length: ", 17);
    size = length ? strtoul(length + 17, NULL, 10) : 0;

    if (len < (size_t) (end - p) + size) {
        return 0;
    }

    bare_send(c, answer, sizeof(answer) - 1);
    bare_publish(bare_topic(path, space - path), end, size);

    return end - p + size;
}


static void
bare_subscribe(bare_conn_t *c, char *path, size_t len, char *p, char *end)
{
    int              n;
    char            *key, text[512];
    unsigned char    hash[SHA_DIGEST_LENGTH], accept[32];
    bare_readers_t  *r;

    key = memmem(p, end - p, "Sec-WebSocket-Key: ", 19);

    if (key) {
        n = snprintf(text, sizeof(text), "%.24s" BARE_GUID, key + 19);
        SHA1((unsigned char *) text, n, hash);
        EVP_EncodeBlock(accept, hash, SHA_DIGEST_LENGTH);

        n = snprintf(text, sizeof(text),
                     "HTTP/1.1 101 Switching Protocols\r\n"
                     "Upgrade: websocket\r\n"
                     "Connection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n", accept);

    } else {
        n = snprintf(text, sizeof(text),
                     "HTTP/1.1 200 OK\r\n"
                     "Content-Type: text/event-stream\r\n"
                     "Connection: close\r\n\r\n");
    }

    if (c->rest) {
        free(c->rest->data);
        free(c->rest);
        c->rest = NULL;
    }

    c->topic = bare_topic(path, len);
    r = &c->topic->kinds[key != NULL];

    if (r->n == r->size) {
        r->size = r->size ? r->size * 2 : 1;
        r->conns = realloc(r->conns, r->size * sizeof(bare_conn_t *));

        if (r->conns == NULL) {
            exit(1);
        }
    }

    c->place = r->n << 1 | (key != NULL);
    r->conns[r->n++] = c;

    bare_send(c, text, n);
}


static void
bare_publish(bare_topic_t *t, char *body, size_t len)
{
    size_t           n;
    unsigned         ws;
    bare_readers_t  *r;

    for (ws = 0; ws < 2; ws++) {
        r = &t->kinds[ws];

        if (r->n == 0) {
            continue;
        }

        n = bare_frame(ws, frame, body, len);

        if (!joined) {
            bare_fan_out(r, frame, n);
            continue;
        }

        if (!bare_keep(&r->joined, frame, n)) {
            exit(1);
        }

        if (!t->is_dirty) {
            t->is_dirty = 1;
            t->dirty = dirty;
            dirty = t;
        }
    }
}


static size_t
bare_frame(unsigned ws, unsigned char *p, char *body, size_t len)
{
    unsigned char  *start;

    start = p;

    if (!ws) {
        memcpy(p, "data: ", 6);
        memcpy(p + 6, body, len);
        memcpy(p + 6 + len, "\n\n", 2);
        return len + 8;
    }

    *p++ = 0x81;

    if (len < 126) {
        *p++ = len;

    } else {
        *p++ = 126;
        *p++ = len >> 8;
        *p++ = len;
    }

    memcpy(p, body, len);

    return p - start + len;
}


/* from the end: who is closed meanwhile is replaced by one that was served */

static void
bare_fan_out(bare_readers_t *r, unsigned char *p, size_t len)
{
    unsigned  i;

    for (i = r->n; i-- > 0; /* void */ ) {
        bare_send(r->conns[i], p, len);
    }
}


static void
bare_flush(void)
{
    unsigned       ws;
    bare_topic_t  *t;

    while (dirty) {
        t = dirty;
        dirty = t->dirty;
        t->is_dirty = 0;

        for (ws = 0; ws < 2; ws++) {
            bare_fan_out(&t->kinds[ws], t->kinds[ws].joined.data,
                         t->kinds[ws].joined.len);
            t->kinds[ws].joined.len = 0;
        }
    }
}


static void
bare_send(bare_conn_t *c, const void *p, size_t len)
{
    ssize_t  n;

    if (len == 0) {
        return;
    }

    n = 0;

    if (c->topic == NULL || c->rest == NULL) {

        n = send(c->fd, p, len, MSG_NOSIGNAL);

        if (n == (ssize_t) len) {
            return;
        }

        if (n == -1) {
            if (errno != EAGAIN) {
                return;                     /* reading will tell */
            }

            n = 0;
        }
    }

    if (c->topic == NULL) {
        return;                             /* answers always fit */
    }

    if (c->rest == NULL) {
        c->rest = calloc(1, sizeof(bare_bytes_t));
        if (c->rest == NULL) {
            return;
        }

        bare_watch(c, EPOLL_CTL_MOD, EPOLLIN|EPOLLOUT);
    }

    if (c->rest->len < BARE_QUEUE_MAX || n > 0) {
        bare_keep(c->rest, (char *) p + n, len - n);
    }
}


static void
bare_write(bare_conn_t *c)
{
    ssize_t        n;
    bare_bytes_t  *b;

    b = c->rest;
    n = send(c->fd, b->data, b->len, MSG_NOSIGNAL);

    if (n == -1) {
        if (errno != EAGAIN) {
            bare_close(c);
        }

        return;
    }

    b->len -= n;
    memmove(b->data, b->data + n, b->len);

    if (b->len == 0) {
        free(b->data);
        free(b);
        c->rest = NULL;
        bare_watch(c, EPOLL_CTL_MOD, EPOLLIN);
    }
}


static void
bare_watch(bare_conn_t *c, int op, unsigned events)
{
    struct epoll_event  ee;

    ee.events = events;
    ee.data.ptr = c;

    epoll_ctl(ep, op, c->fd, &ee);
}


static void
bare_close(bare_conn_t *c)
{
    bare_readers_t  *r;

    if (c->topic) {
        r = &c->topic->kinds[c->place & 1];

        r->conns[c->place >> 1] = r->conns[--r->n];
        r->conns[c->place >> 1]->place = c->place;
    }

    if (c->rest) {
        free(c->rest->data);
        free(c->rest);
    }

    close(c->fd);
    free(c);
}


static bare_topic_t *
bare_topic(char *name, size_t len)
{
    size_t         i;
    uint32_t       hash;
    bare_topic_t  *t;

    hash = 2166136261u;

    for (i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char) name[i]) * 16777619;
    }

    hash %= BARE_BUCKETS;

    for (t = buckets[hash]; t; t = t->next) {
        if (t->len == len && memcmp(t->name, name, len) == 0) {
            return t;
        }
    }

    t = calloc(1, sizeof(bare_topic_t) + len);
    if (t == NULL) {
        exit(1);
    }

    t->len = len;
    memcpy(t->name, name, len);
    t->next = buckets[hash];
    buckets[hash] = t;

    return t;
}


static int
bare_keep(bare_bytes_t *b, const void *p, size_t len)
{
    void    *data;
    size_t   size;

    if (b->len + len > b->size) {
        size = (b->len + len) * 2;

        data = realloc(b->data, size);
        if (data == NULL) {
            return 0;
        }

        b->data = data;
        b->size = size;
    }

    memcpy(b->data + b->len, p, len);
    b->len += len;

    return 1;
}
