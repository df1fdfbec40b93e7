/*
 * realtimectl: a running daemon over its socket, a journal by its directory.
 */


#include <getopt.h>
#include <sodium.h>
#include <stdio.h>

#include "rt_conf.h"
#include "rt_ctl.h"
#include "rt_log.h"


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
        "  accept-time          the wall clock is right, however far ahead\n"
        "  command ENGINE ENTITY NAME [JSON]\n"
        "  query ENGINE ENTITY NAME [ARGS]\n"
        "  tail [--from-start] [ENGINE [ENTITY]]\n\n"
        "by the directory:\n"
        "  backup DIR           a copy in a new DIR; the daemon may run\n"
        "  journal verify       every record of every segment\n"
        "  journal cat          the records, one JSON object a line\n"
        "  journal repair       cut at a damage; what follows is moved aside\n"
        "  replay --check       replay all, compare with snapshots and hashes\n"
        );

    return f == stdout ? 0 : 2;
}


/* RT_DECLINED: all is done, exit with *code */

static rt_int_t
rt_ctl_options(int argc, char **argv, rt_ctl_options_t *o, int *code)
{
    int  c;

    static rt_conf_t  cf;                   /* the options point into it */

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

    for ( ;; ) {
        c = getopt_long(argc, argv, "c:l:d:u:k:h", options, NULL);

        if (c == -1) {
            return RT_OK;
        }

        switch (c) {

        case 'c':
            rt_conf_defaults(&cf);

            if (rt_conf_read(&cf, optarg) != RT_OK) {
                *code = 2;
                return RT_DECLINED;
            }

            o->listen = o->listen ? o->listen : cf.listen;
            o->data = o->data ? o->data : cf.data;
            break;

        case 'l':
            o->listen = optarg;
            break;

        case 'd':
            o->data = optarg;
            break;

        case 'u':
            o->user = optarg;
            break;

        case 'k':
            o->key = optarg;
            break;

        case 'F':
            o->from_start = 1;
            break;

        case 'C':
            break;                          /* replay does nothing else */

        case 'h':
            *code = rt_ctl_usage(stdout);
            return RT_DECLINED;

        default:
            *code = rt_ctl_usage(stderr);
            return RT_DECLINED;
        }
    }
}


static int
rt_ctl_run_journal(const rt_ctl_options_t *o, const char *name)
{
    if (strcmp(name, "verify") == 0) {
        return rt_ctl_verify(o);
    }

    if (strcmp(name, "cat") == 0) {
        return rt_ctl_cat(o);
    }

    if (strcmp(name, "repair") == 0) {
        return rt_ctl_repair(o);
    }

    return rt_ctl_usage(stderr);
}


static int
rt_ctl_run(const rt_ctl_options_t *o, char **args, int n)
{
    if (strcmp(args[0], "status") == 0 && n == 1) {
        return rt_ctl_ask(o, RT_WIRE_STATUS, args, 0);
    }

    if (strcmp(args[0], "snapshot") == 0 && n == 1) {
        return rt_ctl_ask(o, RT_WIRE_SNAPSHOT, args, 0);
    }

    if (strcmp(args[0], "accept-time") == 0 && n == 1) {
        return rt_ctl_ask(o, RT_WIRE_ACCEPT_TIME, args, 0);
    }

    if (strcmp(args[0], "command") == 0 && (n == 4 || n == 5)) {
        return rt_ctl_ask(o, RT_WIRE_COMMAND, args + 1, n - 1);
    }

    if (strcmp(args[0], "query") == 0 && (n == 4 || n == 5)) {
        return rt_ctl_ask(o, RT_WIRE_QUERY, args + 1, n - 1);
    }

    if (strcmp(args[0], "tail") == 0 && n <= 3) {
        return rt_ctl_tail(o, args + 1, n - 1);
    }

    if (strcmp(args[0], "journal") == 0 && n == 2) {
        return rt_ctl_run_journal(o, args[1]);
    }

    if (strcmp(args[0], "backup") == 0 && n == 2) {
        return rt_ctl_backup(o, args[1]);
    }

    if (strcmp(args[0], "replay") == 0 && n == 1) {
        return rt_ctl_replay(o);
    }

    return rt_ctl_usage(stderr);
}


int
main(int argc, char **argv)
{
    int               code;
    rt_ctl_options_t  o;

    memset(&o, 0, sizeof(rt_ctl_options_t));
    o.user = "";
    o.key = "";

    rt_log_level = RT_LOG_WARN;

    if (rt_ctl_options(argc, argv, &o, &code) != RT_OK) {
        return code;
    }

    if (argc == optind || sodium_init() == -1) {
        return rt_ctl_usage(stderr);
    }

    return rt_ctl_run(&o, argv + optind, argc - optind);
}
