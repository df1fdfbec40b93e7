/*
 * realtimectl: a running daemon over its socket, a journal by its directory.
 *
 * Over the socket: status, snapshot, command, query, tail.
 * By the directory, of a stopped daemon: replay --check, journal repair; of
 * any: journal verify, journal cat.
 */


#include <arpa/inet.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rt_conf.h"
#include "rt_dispatch.h"
#include "rt_log.h"
#include "rt_snapshot.h"
#include "rt_wire.h"


typedef struct {
    int            fd;
    rt_buf_t       in;
    rt_buf_t       out;
} rt_ctl_t;


static const char  *rt_ctl_listen;
static const char  *rt_ctl_data;
static const char  *rt_ctl_user = "";
static const char  *rt_ctl_key = "";
static rt_uint_t    rt_ctl_from_now = 1;


static int
rt_ctl_usage(FILE *f)
{
    fprintf(f,
        "usage: realtimectl [options] what\n\n"
        "  -c, --config FILE    realtimed's configuration: socket and data\n"
        "  -l, --listen ADDR    the socket, unix:PATH\n"
        "  -d, --data DIR       the journal's directory\n"
        "  -u, --user NAME      who sends the command or query\n"
        "  -k, --key KEY        its idempotency key\n\n"
        "over the socket:\n"
        "  status\n"
        "  snapshot\n"
        "  command ENGINE ENTITY NAME [JSON]\n"
        "  query ENGINE ENTITY NAME [ARGS]\n"
        "  tail [--from-start] [ENGINE [ENTITY]]\n\n"
        "by the directory:\n"
        "  journal verify       every record of every segment\n"
        "  journal cat          the records, one JSON object a line\n"
        "  journal repair       cut at a damage; what follows is moved aside\n"
        "  replay --check       replay all, compare with snapshots and hashes\n"
        );

    return f == stdout ? 0 : 2;
}


/* the socket */

static int
rt_ctl_connect(void)
{
    int                  fd, rc;
    char                 host[64];
    unsigned             port;
    struct sockaddr_in   sin;
    struct sockaddr_un   sun;

    if (rt_ctl_listen == NULL) {
        fprintf(stderr, "realtimectl: --listen or --config is needed\n");
        return -1;
    }

    if (strncmp(rt_ctl_listen, "unix:", 5) == 0) {
        memset(&sun, 0, sizeof(sun));
        sun.sun_family = AF_UNIX;
        snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", rt_ctl_listen + 5);

        fd = socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0);
        rc = connect(fd, (struct sockaddr *) &sun, sizeof(sun));

    } else {
        memset(&sin, 0, sizeof(sin));
        sin.sin_family = AF_INET;

        if (sscanf(rt_ctl_listen, "%63[0-9.]:%u", host, &port) != 2
            || inet_pton(AF_INET, host, &sin.sin_addr) != 1)
        {
            fprintf(stderr, "realtimectl: bad address \"%s\"\n",
                    rt_ctl_listen);
            return -1;
        }

        sin.sin_port = htons((in_port_t) port);
        fd = socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 0);
        rc = connect(fd, (struct sockaddr *) &sin, sizeof(sin));
    }

    if (rc == -1) {
        fprintf(stderr, "realtimectl: connect() to \"%s\" failed: %s\n",
                rt_ctl_listen, strerror(errno));
        close(fd);
        return -1;
    }

    return fd;
}


static int
rt_ctl_send(rt_ctl_t *c)
{
    ssize_t  n;

    while (rt_buf_size(&c->out)) {
        n = send(c->fd, c->out.pos, rt_buf_size(&c->out), MSG_NOSIGNAL);

        if (n == -1) {
            if (errno == EINTR) {
                continue;
            }

            fprintf(stderr, "realtimectl: send() failed: %s\n",
                    strerror(errno));
            return -1;
        }

        c->out.pos += n;
    }

    rt_buf_reset(&c->out);

    return 0;
}


static int
rt_ctl_receive(rt_ctl_t *c, rt_wire_frame_t *f, size_t *used)
{
    int      rc;
    ssize_t  n;

    c->in.pos += *used;
    *used = 0;

    if (rt_buf_size(&c->in) == 0) {
        rt_buf_reset(&c->in);
    }

    for ( ;; ) {
        rc = rt_wire_parse(f, c->in.pos, rt_buf_size(&c->in),
                           RT_WIRE_FRAME_MAX);

        if (rc == RT_WIRE_OK) {
            *used = f->size;
            return 0;
        }

        if (rc == RT_WIRE_ERROR) {
            fprintf(stderr, "realtimectl: bad frame: %s\n", f->error);
            return -1;
        }

        rt_buf_reserve(&c->in, 65536);
        n = recv(c->fd, c->in.last, 65536, 0);

        if (n <= 0) {
            fprintf(stderr, "realtimectl: the connection was closed\n");
            return -1;
        }

        c->in.last += n;
    }
}


static int
rt_ctl_open(rt_ctl_t *c)
{
    u_char           *p;
    size_t            used;
    rt_wire_frame_t   f;

    memset(c, 0, sizeof(rt_ctl_t));
    c->fd = rt_ctl_connect();

    if (c->fd == -1) {
        return -1;
    }

    p = rt_buf_reserve(&c->out, 256);
    p = rt_wire_begin(p, RT_WIRE_HELLO, 0, 0);
    p = rt_wire_put_number(p, RT_WIRE_F_PROTOCOL, RT_WIRE_PROTOCOL);
    p = rt_wire_put_number(p, RT_WIRE_F_FRAME_MAX, RT_WIRE_FRAME_MAX);
    p = rt_wire_put_string(p, RT_WIRE_F_PROGRAM, "realtimectl", 11);
    rt_wire_end(c->out.last, p);
    c->out.last = p;

    used = 0;

    if (rt_ctl_send(c) == -1 || rt_ctl_receive(c, &f, &used) == -1) {
        return -1;
    }

    c->in.pos += used;

    return 0;
}


static int
rt_ctl_ask(rt_wire_type_e type, char **args, int n)
{
    u_char           *p;
    size_t            used, size;
    static rt_ctl_t   c;                    /* lives until exit */
    uint64_t          status;
    rt_wire_str_t     body;
    rt_wire_frame_t   f;

    if (rt_ctl_open(&c) == -1) {
        return 1;
    }

    size = n > 3 ? strlen(args[3]) : 0;

    p = rt_buf_reserve(&c.out, 4096 + size);
    p = rt_wire_begin(p, type, 0, 1);

    if (n >= 3) {
        p = rt_wire_put_string(p, RT_WIRE_F_ENGINE, args[0],
                               rt_min(strlen(args[0]), RT_WIRE_ENGINE_MAX));
        p = rt_wire_put_string(p, RT_WIRE_F_ENTITY, args[1],
                               rt_min(strlen(args[1]), RT_WIRE_ENTITY_MAX));
        p = rt_wire_put_string(p, RT_WIRE_F_NAME, args[2],
                               rt_min(strlen(args[2]), RT_WIRE_NAME_MAX));

        if (*rt_ctl_key && type == RT_WIRE_COMMAND) {
            p = rt_wire_put_string(p, RT_WIRE_F_KEY, rt_ctl_key,
                                   rt_min(strlen(rt_ctl_key),
                                          RT_WIRE_KEY_MAX));
        }

        if (*rt_ctl_user) {
            p = rt_wire_put_string(p, RT_WIRE_F_USER, rt_ctl_user,
                                   rt_min(strlen(rt_ctl_user),
                                          RT_WIRE_USER_MAX));
        }

        if (type == RT_WIRE_COMMAND) {
            p = rt_wire_put_string(p, RT_WIRE_F_BODY, size ? args[3] : "{}",
                                   size ? size : 2);

        } else if (size) {
            p = rt_wire_put_string(p, RT_WIRE_F_ARGS, args[3],
                                   rt_min(size, RT_WIRE_ARGS_MAX));
        }
    }

    rt_wire_end(c.out.last, p);
    c.out.last = p;

    if (rt_ctl_send(&c) == -1) {
        return 1;
    }

    used = 0;

    do {
        if (rt_ctl_receive(&c, &f, &used) == -1) {
            return 1;
        }
    } while (f.type != RT_WIRE_REPLY);

    status = rt_wire_number(&f, RT_WIRE_F_STATUS);
    body = rt_wire_string(&f, RT_WIRE_F_BODY);

    printf("%.*s\n", (int) body.len, body.data);

    if (n >= 3) {
        fprintf(stderr, "status %llu", (unsigned long long) status);

        if (rt_wire_has(&f, RT_WIRE_F_VERSION)) {
            fprintf(stderr, ", version %llu", (unsigned long long)
                    rt_wire_number(&f, RT_WIRE_F_VERSION));
        }

        fprintf(stderr, "%s\n", f.flags & RT_WIRE_REPEATED ? ", repeated" : "");
    }

    return status < 300 ? 0 : 1;
}


static int
rt_ctl_tail(char **args, int n)
{
    u_char           *p;
    size_t            used;
    static rt_ctl_t   c;                    /* lives until exit */
    uint64_t          from, count;
    rt_wire_str_t     engine, entity, body;
    rt_wire_frame_t   f;

    if (rt_ctl_open(&c) == -1) {
        return 1;
    }

    from = rt_ctl_from_now && n < 2 ? UINT64_MAX : 0;

    p = rt_buf_reserve(&c.out, 1024);
    p = rt_wire_begin(p, RT_WIRE_SUBSCRIBE, 0, 1);
    p = rt_wire_put_number(p, RT_WIRE_F_FROM, from);
    p = rt_wire_put_string(p, RT_WIRE_F_ENGINE, n > 0 ? args[0] : "",
                           n > 0 ? strlen(args[0]) : 0);
    p = rt_wire_put_string(p, RT_WIRE_F_ENTITY, n > 1 ? args[1] : "",
                           n > 1 ? strlen(args[1]) : 0);
    rt_wire_end(c.out.last, p);
    c.out.last = p;

    if (rt_ctl_send(&c) == -1) {
        return 1;
    }

    used = 0;
    count = 0;

    for ( ;; ) {
        if (rt_ctl_receive(&c, &f, &used) == -1) {
            return 1;
        }

        body = rt_wire_string(&f, RT_WIRE_F_BODY);

        if (f.type == RT_WIRE_REPLY) {
            printf("%.*s\n", (int) body.len, body.data);
            return 1;
        }

        if (f.type != RT_WIRE_EVENT) {
            continue;
        }

        engine = rt_wire_string(&f, RT_WIRE_F_ENGINE);
        entity = rt_wire_string(&f, RT_WIRE_F_ENTITY);

        if (engine.len) {
            printf("%.*s/%.*s ", (int) engine.len, engine.data,
                   (int) entity.len, entity.data);
        }

        printf("%.*s\n", (int) body.len, body.data);
        fflush(stdout);

        if (++count < RT_WIRE_WINDOW / 2) {
            continue;
        }

        p = rt_buf_reserve(&c.out, 64);
        p = rt_wire_begin(p, RT_WIRE_CONFIRM, 0, 1);
        p = rt_wire_put_number(p, RT_WIRE_F_VERSION, count);
        rt_wire_end(c.out.last, p);
        c.out.last = p;
        count = 0;

        if (rt_ctl_send(&c) == -1) {
            return 1;
        }
    }
}


/* the directory */

static int
rt_ctl_journal(rt_journal_t *j, rt_uint_t read_only)
{
    rt_journal_conf_t  conf;

    if (rt_ctl_data == NULL) {
        fprintf(stderr, "realtimectl: --data or --config is needed\n");
        return -1;
    }

    memset(&conf, 0, sizeof(rt_journal_conf_t));
    conf.dir = (char *) rt_ctl_data;
    conf.read_only = read_only;

    return rt_journal_open(j, &conf) == RT_OK ? 0 : -1;
}


static rt_int_t
rt_ctl_cat_record(void *data, const rt_record_t *rec)
{
    rt_event_t          ev;
    rt_buf_t           *b;
    const rt_engine_t  *engine;

    static rt_buf_t  lifted[2];             /* live until exit */

    b = data;
    engine = rt_engine_by_id(rec->engine);

    rt_buf_reset(b);
    rt_buf_printf(b, "{\"seq\":%llu,\"at\":\"%08u.seg:%u\",\"engine\":",
                  (unsigned long long) rec->seq, rt_addr_segment(rec->addr),
                  rt_addr_offset(rec->addr));

    if (engine) {
        rt_buf_printf(b, "\"%s\"", engine->name);
    } else {
        rt_buf_printf(b, "%u", rec->engine);
    }

    rt_buf_literal(b, ",\"entity\":");
    rt_json_string(b, rec->entity);
    rt_buf_literal(b, ",");

    if (engine && rec->type < RT_RECORD_SYSTEM
        && rt_history_lift(engine, rec, &ev, lifted) == RT_OK)
    {
        rt_buf_literal(b, "\"event\":");
        rt_history_describe(engine, &ev, b);

    } else {
        rt_buf_printf(b, "\"record\":\"%s\",\"type\":%u,\"lift\":%u,"
                      "\"time\":%llu,\"size\":%zu",
                      rec->type == RT_RECORD_ANSWER ? "answer"
                      : rec->type == RT_RECORD_HASH ? "hash" : "unknown",
                      rec->type, rec->lift, (unsigned long long) rec->time_ms,
                      rec->data.len);
    }

    rt_buf_literal(b, "}");
    printf("%.*s\n", (int) rt_buf_size(b), b->pos);

    return RT_OK;
}


static int
rt_ctl_verify(rt_scan_pt handler)
{
    int                rc;
    rt_buf_t           b;
    rt_journal_t       j;
    rt_scan_result_t   res;

    memset(&b, 0, sizeof(rt_buf_t));

    if (rt_ctl_journal(&j, 1) == -1) {
        return 1;
    }

    rc = rt_journal_scan(&j, rt_journal_first(&j), 0, &res, handler, &b)
         == RT_OK ? 0 : 1;

    if (rc) {
        fprintf(stderr, "%s\n", res.error);

    } else if (handler == NULL) {
        printf("%llu records, %llu bytes, next seq %llu at %08u.seg:%u%s\n",
               (unsigned long long) res.records,
               (unsigned long long) res.bytes,
               (unsigned long long) rt_max(res.seq, 1),
               rt_addr_segment(res.addr), rt_addr_offset(res.addr),
               res.torn || res.torn_last > rt_addr_offset(res.addr) + 7
               ? ", a torn tail" : "");
    }

    rt_buf_free(&b);
    rt_journal_close(&j);

    return rc;
}


static int
rt_ctl_repair(void)
{
    int                rc;
    char               from[PATH_MAX], to[PATH_MAX + 16];
    uint64_t           seqs[RT_SNAPSHOTS_MAX];
    rt_uint_t          i, n;
    rt_journal_t       j;
    rt_scan_result_t   res;

    if (rt_ctl_journal(&j, 0) == -1) {
        return 1;
    }

    rc = 1;

    if (rt_journal_scan(&j, rt_journal_first(&j), 0, &res, NULL, NULL)
        == RT_OK)
    {
        printf("nothing to repair\n");
        rc = 0;

    } else if (!res.damaged) {
        fprintf(stderr, "%s\n", res.error);

    } else if (rt_journal_repair(&j, &res) == RT_OK) {
        printf("%s\ncut before seq %llu, the rest is in *.damaged, the epoch "
               "is now %llx\n", res.error, (unsigned long long) res.seq,
               (unsigned long long) j.epoch);
        rc = 0;
    }

    /* snapshots of what is no more */

    n = rc || !res.damaged ? 0
        : rt_snapshot_list(rt_ctl_data, seqs, RT_SNAPSHOTS_MAX);

    for (i = 0; i < n; i++) {
        if (seqs[i] >= res.seq) {
            snprintf(from, sizeof(from), "%s/snapshot-%020llu", rt_ctl_data,
                     (unsigned long long) seqs[i]);
            snprintf(to, sizeof(to), "%s.damaged", from);
            (void) rename(from, to);
        }
    }

    rt_journal_close(&j);

    return rc;
}


/*
 * replay --check: everything from the first record, against each snapshot as
 * it is passed, the hashes in the journal, and the newest snapshot replayed
 * to the end.
 */

typedef struct {
    rt_dispatch_t   all;
    rt_dispatch_t   part;                   /* from a snapshot on */
    rt_uint_t       has_part;
    uint64_t        seqs[RT_SNAPSHOTS_MAX];
    rt_uint_t       n;
    rt_uint_t       compared;
    rt_uint_t       differ;
} rt_check_t;


static void
rt_check_compare(rt_check_t *ck, uint64_t seq, const char *what)
{
    uint64_t          a, b;
    rt_uint_t         i;
    rt_projection_t  *p, *q;

    a = rt_dispatch_hash(&ck->all);
    b = rt_dispatch_hash(&ck->part);

    for (i = 0; i < ck->all.nprojections; i++) {
        p = &ck->all.projections[i];
        q = &ck->part.projections[i];

        if (p->since != q->since) {
            a -= rt_projection_hash(&ck->all, p);
            b -= rt_projection_hash(&ck->part, q);

            printf("seq %llu: projection \"%s\" begins at seq %llu and at "
                   "seq %llu, not compared\n", (unsigned long long) seq,
                   p->engine->name, (unsigned long long) p->since,
                   (unsigned long long) q->since);
        }
    }

    printf("seq %llu: replayed %016llx, %s %016llx: %s\n",
           (unsigned long long) seq, (unsigned long long) a, what,
           (unsigned long long) b, a == b ? "equal" : "DIFFERENT");

    ck->compared++;
    ck->differ += a != b;
}


static void
rt_check_free(rt_check_t *ck)
{
    if (ck->has_part) {
        rt_dispatch_free(&ck->part);
        rt_journal_reader_close(&ck->part.journal);
        ck->has_part = 0;
    }
}


/* the other dispatcher reads evicted entities from the same journal */

static rt_int_t
rt_check_load(rt_check_t *ck, uint64_t seq)
{
    u_char              *data;
    rt_int_t             rc;
    rt_reader_t          body;
    rt_snapshot_head_t   head;

    if (rt_snapshot_load(rt_ctl_data, seq, &head, &data, &body) != RT_OK) {
        return RT_DECLINED;
    }

    rt_check_free(ck);
    rt_dispatch_init(&ck->part, &ck->all.conf);
    rt_journal_reader_open(&ck->part.journal, &ck->all.journal);
    ck->has_part = 1;

    rc = rt_dispatch_load(&ck->part, &head, &body);
    free(data);

    if (rc == RT_OK) {
        rc = rt_projection_build(&ck->part, seq);
    }

    if (rc != RT_OK) {
        fprintf(stderr, "realtimectl: the snapshot at seq %llu is not "
                "understood, passing over it\n", (unsigned long long) seq);
        ck->differ += rc == RT_ERROR;
        rt_check_free(ck);
    }

    return rc;
}


static rt_int_t
rt_check_record(void *data, const rt_record_t *rec)
{
    rt_uint_t    i;
    rt_check_t  *ck;

    ck = data;

    if (rt_dispatch_replay(&ck->all, rec) != RT_OK
        || (ck->has_part && rt_dispatch_replay(&ck->part, rec) != RT_OK))
    {
        return RT_ERROR;
    }

    for (i = 0; i < ck->n; i++) {
        if (ck->seqs[i] == rec->seq && rt_check_load(ck, rec->seq) == RT_OK) {
            rt_check_compare(ck, rec->seq, "snapshot");
        }
    }

    return RT_OK;
}


static int
rt_ctl_replay(void)
{
    uint64_t              start, us, addr, seq;
    rt_int_t              rc;
    rt_reader_t           body;
    rt_dispatch_conf_t    conf;
    rt_scan_result_t      res;
    rt_snapshot_head_t    head;
    u_char               *data;

    static rt_check_t  ck;

    rt_dispatch_defaults(&conf);
    conf.idle_ms = 0;
    conf.journal.dir = (char *) rt_ctl_data;

    rt_dispatch_init(&ck.all, &conf);

    if (rt_ctl_journal(&ck.all.journal, 0) == -1) {
        return 1;
    }

    ck.n = rt_snapshot_list(rt_ctl_data, ck.seqs, RT_SNAPSHOTS_MAX);
    addr = rt_journal_first(&ck.all.journal);
    seq = 1;

    if (ck.all.journal.first_segment > 1) {

        /* the beginning is gone: the oldest snapshot stands for it */

        if (ck.n == 0
            || rt_snapshot_load(rt_ctl_data, ck.seqs[ck.n - 1], &head, &data,
                                &body)
               != RT_OK
            || rt_dispatch_load(&ck.all, &head, &body) != RT_OK
            || rt_projection_build(&ck.all, head.seq) != RT_OK)
        {
            fprintf(stderr, "realtimectl: nothing to begin with\n");
            return 1;
        }

        free(data);
        addr = head.addr;
        seq = head.seq + 1;
    }

    start = rt_time_us();
    rc = rt_journal_scan(&ck.all.journal, addr, seq, &res, rt_check_record,
                         &ck);
    us = rt_max(rt_time_us() - start, 1);

    if (rc != RT_OK) {
        fprintf(stderr, "realtimectl: %s\n",
                res.damaged ? res.error : "the replay failed");
        return 1;
    }

    printf("%llu records, %zu entities, %.2f s, %.2f million/s\n",
           (unsigned long long) res.records, ck.all.entities.n,
           (double) us / 1e6, (double) res.records / (double) us);

    if (ck.has_part) {
        rt_check_compare(&ck, res.seq - 1, "newest snapshot replayed");

    } else {
        printf("seq %llu: replayed %016llx, no snapshot to compare with\n",
               (unsigned long long) res.seq - 1,
               (unsigned long long) rt_dispatch_hash(&ck.all));
    }

    printf("%s\n", ck.differ ? "the states differ" : "the states agree");

    return ck.differ ? 1 : 0;
}


int
main(int argc, char **argv)
{
    int     c, n;
    char  **args;

    static rt_conf_t  cf;

    static const struct option  options[] = {
        { "config", required_argument, NULL, 'c' },
        { "listen", required_argument, NULL, 'l' },
        { "data", required_argument, NULL, 'd' },
        { "user", required_argument, NULL, 'u' },
        { "key", required_argument, NULL, 'k' },
        { "check", no_argument, NULL, 'C' },
        { "from-start", no_argument, NULL, 'F' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 }
    };

    rt_log_level = RT_LOG_WARN;

    for ( ;; ) {
        c = getopt_long(argc, argv, "c:l:d:u:k:h", options, NULL);

        if (c == -1) {
            break;
        }

        switch (c) {

        case 'c':
            rt_conf_defaults(&cf);

            if (rt_conf_read(&cf, optarg) != RT_OK) {
                return 2;
            }

            rt_ctl_listen = rt_ctl_listen ? rt_ctl_listen : cf.listen;
            rt_ctl_data = rt_ctl_data ? rt_ctl_data : cf.data;
            break;

        case 'l':
            rt_ctl_listen = optarg;
            break;

        case 'd':
            rt_ctl_data = optarg;
            break;

        case 'u':
            rt_ctl_user = optarg;
            break;

        case 'k':
            rt_ctl_key = optarg;
            break;

        case 'F':
            rt_ctl_from_now = 0;
            break;

        case 'C':
            break;                          /* replay does nothing else */

        case 'h':
            return rt_ctl_usage(stdout);

        default:
            return rt_ctl_usage(stderr);
        }
    }

    args = argv + optind;
    n = argc - optind;

    if (n < 1 || sodium_init() == -1) {
        return rt_ctl_usage(stderr);
    }

    if (strcmp(args[0], "status") == 0 && n == 1) {
        return rt_ctl_ask(RT_WIRE_STATUS, args, 0);
    }

    if (strcmp(args[0], "snapshot") == 0 && n == 1) {
        return rt_ctl_ask(RT_WIRE_SNAPSHOT, args, 0);
    }

    if (strcmp(args[0], "command") == 0 && (n == 4 || n == 5)) {
        return rt_ctl_ask(RT_WIRE_COMMAND, args + 1, n - 1);
    }

    if (strcmp(args[0], "query") == 0 && (n == 4 || n == 5)) {
        return rt_ctl_ask(RT_WIRE_QUERY, args + 1, n - 1);
    }

    if (strcmp(args[0], "tail") == 0 && n <= 3) {
        return rt_ctl_tail(args + 1, n - 1);
    }

    if (strcmp(args[0], "journal") == 0 && n == 2) {
        if (strcmp(args[1], "verify") == 0) {
            return rt_ctl_verify(NULL);
        }

        if (strcmp(args[1], "cat") == 0) {
            return rt_ctl_verify(rt_ctl_cat_record);
        }

        if (strcmp(args[1], "repair") == 0) {
            return rt_ctl_repair();
        }
    }

    if (strcmp(args[0], "replay") == 0 && n == 1) {
        return rt_ctl_replay();
    }

    return rt_ctl_usage(stderr);
}
