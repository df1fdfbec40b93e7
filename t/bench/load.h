/*
 * What the files of the load generator share.  Arrows point one way: load.c
 * runs the phases and knows all; publishers and readers know the wire, the
 * ledger and the statistics, and these know nobody.
 *
 *     load.c            options, phases, the epoll loop, the report
 *     load_publisher.c  keep-alive connections that publish
 *     load_reader.c     connections that subscribe: handshake and bytes
 *     load_wire.c       chunks, events, WebSocket and HTTP/2 frames
 *     load_ledger.c     what has been sent, and who has got it
 *     load_stats.c      clocks, CPU time, memory, latencies
 */

#ifndef _LOAD_H_INCLUDED_
#define _LOAD_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


#define LOAD_OK            0
#define LOAD_ERROR         -1
#define LOAD_AGAIN         -2
#define LOAD_DONE          -4

/* digits of a message: publisher, number, topic, seq within the topic, time */
#define LOAD_MESSAGE_MIN   44
#define LOAD_MESSAGE_MAX   65536

#define LOAD_ID_MAX        48       /* of a message's id that is kept */

#define LOAD_PIDS          16
#define LOAD_PROCESS_FDS   64       /* all but readers' and publishers' */


typedef enum {
    LOAD_SSE = 0,
    LOAD_WS
} load_kind_e;


typedef struct {
    const char    *publish;         /* path prefixes; the topic follows */
    const char    *subscribe;
    const char    *batch_path;
    unsigned       port;
    unsigned       publish_port;
    load_kind_e    kind;
    unsigned       readers;
    unsigned       idle;            /* readers that must stay silent */
    unsigned       stalled;         /* readers that never read */
    unsigned       handshakes;      /* readers that connect at once */
    unsigned       topics;
    unsigned       other_topics;    /* publish to those, not to the readers' */
    unsigned       inflight;        /* publishers */
    unsigned       batch;           /* messages of a request */
    unsigned       batch_run;       /* of them, one after another to a topic */
    unsigned       size;
    unsigned       source;          /* which addresses, of several loads */
    unsigned       tls;
    unsigned       h2;
    unsigned       deflate;
    unsigned       follow;          /* no publishers: seconds to wait for */
    unsigned       quiet;           /* seconds without news end following */
    unsigned       resume;          /* who is closed comes back, with its id */
    unsigned       processes;       /* publishers: as many to each of these */
    unsigned       spin;            /* never sleep while measuring */
    unsigned       tell;            /* when it begins to measure */
    unsigned       background;      /* publishers of topic 0, rest elsewhere */
    unsigned       ahead;           /* messages that readers may lag */
    double         rate;            /* publishes a second, 0: as they finish */
    double         seconds;
    double         warmup;
    unsigned       npids;
    pid_t          pids[LOAD_PIDS];
} load_conf_t;


/* latencies: 64 steps for each power of two of nanoseconds */

#define LOAD_HIST_STEPS    64
#define LOAD_HIST_SIZE     (LOAD_HIST_STEPS * 48)

typedef struct {
    uint64_t       count;
    uint64_t       max;
    uint64_t       steps[LOAD_HIST_SIZE];
} load_hist_t;


/* what an epoll event points to begins with this */

typedef struct load_event_s  load_event_t;

struct load_event_s {
    void         (*handler)(load_event_t *ev);
    int            fd;
};


typedef enum {
    LOAD_READER_HEAD = 0,           /* waits for the answer */
    LOAD_READER_OPEN,
    LOAD_READER_AWAY,               /* comes back */
    LOAD_READER_CLOSED
} load_reader_e;


typedef struct {
    size_t         size;
    size_t         len;
    unsigned char  data[];
} load_rest_t;


typedef struct {
    load_event_t   event;
    uint8_t        state;
    uint8_t        chunked;
    uint8_t        chunk_state;
    uint8_t        deflated;
    unsigned       number;
    unsigned       topic;
    size_t         left;            /* of the chunk or DATA frame */
    uint64_t       credit;          /* HTTP/2: received and not given back */
    uint64_t       order;           /* hash of what came, in order */
    uint64_t       received;
    uint32_t       missing;
    uint32_t      *seen;            /* the last seq of each lane */
    load_rest_t   *rest;            /* the beginning of something */
    load_rest_t   *frame;           /* the beginning of an HTTP/2 frame */
    void          *tls;
    char          *id;              /* to resume from */
    uint64_t       back;            /* when it comes back */
} load_reader_t;


extern load_conf_t   load_conf;
extern uint64_t      load_clock;    /* of the bytes at hand */


/* load.c */

int load_watch(load_event_t *ev, unsigned events);
int load_watch_first(load_event_t *ev);
void load_fail(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));


/* load_reader.c */

extern load_reader_t  *load_readers;
extern unsigned        load_nopen;
extern unsigned        load_nclosed;
extern unsigned        load_naway;
extern uint64_t        load_resumed;

void load_readers_create(void);
int load_readers_connect(void);     /* a few; LOAD_DONE: all are open */
void load_readers_run(void);        /* those that may come back */
void load_reader_send(load_reader_t *r, const void *data, size_t len);
void load_reader_close(load_reader_t *r, const char *why);
void load_reader_bye(load_reader_t *r, const char *why);
void load_reader_id(load_reader_t *r, const unsigned char *p, size_t len);
int load_connect(unsigned port, unsigned number, int rcvbuf);


/* load_wire.c */

void load_wire_body(load_reader_t *r, unsigned char *p, size_t len);
void load_wire_h2_body(load_reader_t *r, unsigned char *p, size_t len);
size_t load_wire_h2_request(unsigned char *p, const char *path);


/* load_tls.c */

int load_tls_open(load_reader_t *r);
ssize_t load_tls_read(load_reader_t *r, void *buf, size_t size);
void load_tls_write(load_reader_t *r, const void *data, size_t len);


/* load_publisher.c */

extern load_hist_t   load_publish_hist;
extern load_hist_t   load_background_hist;
extern uint64_t      load_published;    /* messages that were accepted */
extern uint64_t      load_resent;       /* requests that had to be repeated */

void load_publishers_create(void);
void load_publishers_run(void);     /* publishes whatever may be now */
int load_publishers_timeout(void);  /* ms until something is due, or -1 */
void load_publishers_stop(void);
unsigned load_publishers_busy(void);
void load_publishers_shares(uint64_t *shares);  /* of each process */


/* load_ledger.c */

extern load_hist_t   load_delivery_hist;
extern load_hist_t   load_last_hist;
extern uint64_t      load_delivered;
extern uint64_t      load_lost;
extern uint64_t      load_doubled;
extern uint64_t      load_reordered;
extern uint64_t      load_strange;

void load_ledger_create(void);
void load_ledger_write(unsigned publisher, unsigned topic, uint64_t when,
    unsigned char *p);
void load_ledger_read(load_reader_t *r, unsigned char *p, size_t len);
unsigned load_ledger_open(unsigned publisher);
uint64_t load_ledger_sent(void);    /* to topics that have readers */
unsigned load_ledger_disagree(void);
void load_ledger_close(void);


/* load_stats.c */

uint64_t load_now(void);
void load_hist_add(load_hist_t *h, uint64_t ns);
double load_hist_us(load_hist_t *h, double part);
uint64_t load_cpu(void);            /* ns, of the servers */
uint64_t load_waited(void);         /* ns that they wanted a core */
uint64_t load_own_waited(void);
uint64_t load_rss(void);            /* bytes */
uint64_t load_rss_shared(void);


#endif /* _LOAD_H_INCLUDED_ */
