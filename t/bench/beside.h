/*
 * What the files of t/bench/beside share.  Arrows point one way: beside.c runs
 * the phases and the probe; beside_load.c is the other client's work, and
 * beside_input.c what it sends on a WebSocket; beside_http.c has sockets and
 * requests, for both.
 */

#ifndef _BESIDE_H_INCLUDED_
#define _BESIDE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "load.h"


#define BESIDE_BUFFER       65536

#define BESIDE_SSE          "Accept: text/event-stream\r\n"
#define BESIDE_WS           "Upgrade: websocket\r\nConnection: Upgrade\r\n"  \
                            "Sec-WebSocket-Version: 13\r\n"                  \
                            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
#define BESIDE_DEFLATE      "Sec-WebSocket-Extensions: permessage-deflate\r\n"


typedef struct {
    int          fd;
    uint64_t     number;
    unsigned     open;                      /* the head has come */
    uint64_t     bytes;
    uint64_t     last;                      /* when the last of them came */
} beside_client_t;


typedef struct {
    const char  *name;
    void       (*prepare)(void);            /* before the idle phase */
    void       (*run)(void);
    unsigned     refused;                   /* some clients may be */
} beside_load_t;


extern double    beside_seconds;


/* beside.c */

void beside_figure(const char *name, double value);


/* beside_load.c */

const beside_load_t *beside_load_find(const char *name);


/* beside_input.c */

void beside_pings(void);
void beside_inflate(void);


/* beside_http.c */

extern unsigned  beside_refused;

int beside_connect(unsigned number, int block);
void beside_send(int fd, const void *data, size_t len);
int beside_ask(int fd, const char *method, const char *path,
    const char *headers, const void *body, size_t len);
size_t beside_answer(char *buf, size_t size);
size_t beside_request(char *buf, size_t size, const char *method,
    const char *path, const char *headers, const void *body, size_t len);
size_t beside_frame(unsigned char *p, unsigned first, const void *data,
    size_t len);
void beside_clients_open(beside_client_t *clients, unsigned n,
    const char *path, const char *headers);
unsigned beside_clients_read(beside_client_t *clients, unsigned n,
    int timeout);
void beside_clients_close(beside_client_t *clients, unsigned n);


#endif /* _BESIDE_H_INCLUDED_ */
