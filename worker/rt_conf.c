/*
 * One table of names: section, name, what kind of value, where it goes.
 */


#include <ini.h>
#include <pwd.h>
#include <stdio.h>

#include "rt_conf.h"
#include "rt_log.h"


typedef enum {
    RT_CONF_TEXT,
    RT_CONF_SIZE,                           /* 64k, 16m, 1g */
    RT_CONF_TIME,                           /* 500ms, 10s, 5m, 1h, 1d */
    RT_CONF_NUMBER,
    RT_CONF_MODE,
    RT_CONF_FLAG,
    RT_CONF_LEVEL,
    RT_CONF_PEERS
} rt_conf_type_e;


typedef struct {
    const char      *section;
    const char      *name;
    rt_conf_type_e   type;
    size_t           offset;
    uint64_t         min;
    uint64_t         max;
} rt_conf_name_t;


#define rt_conf_at(m)  offsetof(rt_conf_t, m)

static const rt_conf_name_t  rt_conf_names[] = {
    { "realtimed", "listen", RT_CONF_TEXT, rt_conf_at(listen), 0, 0 },
    { "realtimed", "data", RT_CONF_TEXT, rt_conf_at(data), 0, 0 },
    { "realtimed", "group", RT_CONF_TEXT, rt_conf_at(group), 0, 0 },
    { "realtimed", "mode", RT_CONF_MODE, rt_conf_at(link.mode), 0, 0777 },
    { "realtimed", "peers", RT_CONF_PEERS, 0, 0, 0 },
    { "realtimed", "user", RT_CONF_TEXT, rt_conf_at(user), 0, 0 },
    { "realtimed", "pid", RT_CONF_TEXT, rt_conf_at(pid), 0, 0 },
    { "realtimed", "log", RT_CONF_TEXT, rt_conf_at(log), 0, 0 },
    { "realtimed", "log_level", RT_CONF_LEVEL, 0, 0, 0 },
    { "realtimed", "daemon", RT_CONF_FLAG, rt_conf_at(daemon), 0, 0 },

    { "journal", "segment_size", RT_CONF_SIZE,
      rt_conf_at(dispatch.journal.segment_size),
      RT_SEGMENT_SIZE_MIN, RT_SEGMENT_SIZE_MAX },
    { "journal", "buffer_size", RT_CONF_SIZE,
      rt_conf_at(dispatch.journal.buffer_size),
      RT_SEGMENT_SIZE_MIN, RT_SEGMENT_SIZE_MAX },
    { "journal", "spares", RT_CONF_NUMBER,
      rt_conf_at(dispatch.journal.spares), 1, 64 },
    { "journal", "retain", RT_CONF_SIZE,
      rt_conf_at(dispatch.retain_bytes), 0, UINT64_MAX / 2 },
    { "journal", "snapshot_events", RT_CONF_NUMBER,
      rt_conf_at(dispatch.snapshot_events), 0, UINT64_MAX / 2 },

    { "limits", "entities", RT_CONF_NUMBER,
      rt_conf_at(dispatch.entities_max), 1, 1000000000 },
    { "limits", "visits", RT_CONF_NUMBER,
      rt_conf_at(dispatch.visits_max), 1, 100000000 },
    { "limits", "user_entities", RT_CONF_NUMBER,
      rt_conf_at(dispatch.user_entities), 0, 1000000000 },
    { "limits", "user_commands", RT_CONF_NUMBER,
      rt_conf_at(dispatch.user_commands), 0, RT_USER_COMMANDS_MAX },
    { "limits", "idle", RT_CONF_TIME,
      rt_conf_at(dispatch.idle_ms), 0, UINT64_MAX / 2 },
    { "limits", "clock_step", RT_CONF_TIME,
      rt_conf_at(dispatch.clock_step_ms), 1000, 86400000ULL * 3650 },
    { "limits", "ended", RT_CONF_TIME,
      rt_conf_at(dispatch.ended_ms), 0, UINT64_MAX / 4 },
    { "limits", "idempotency_keys", RT_CONF_NUMBER,
      rt_conf_at(dispatch.idem_max), 1, 100000000 },
    { "limits", "idempotency_size", RT_CONF_SIZE,
      rt_conf_at(dispatch.idem_bytes), 1024 * 1024, UINT64_MAX / 2 },
    { "limits", "idempotency_age", RT_CONF_TIME,
      rt_conf_at(dispatch.idem_age_ms), 1000, UINT64_MAX / 2 },

    { NULL, NULL, RT_CONF_TEXT, 0, 0, 0 }
};


void
rt_conf_defaults(rt_conf_t *cf)
{
    memset(cf, 0, sizeof(rt_conf_t));

    cf->log_level = RT_LOG_NOTICE;
    cf->link.mode = 0660;
    rt_dispatch_defaults(&cf->dispatch);
    cf->dispatch.journal.segment_size = RT_SEGMENT_SIZE;
    cf->dispatch.journal.buffer_size = RT_JOURNAL_BUFFER;
    cf->dispatch.journal.spares = RT_JOURNAL_SPARES;
}


static rt_int_t
rt_conf_number(const char *value, rt_conf_type_e type, uint64_t *n)
{
    char      *end;
    uint64_t   by;

    if (*value < '0' || *value > '9') {
        return RT_ERROR;
    }

    errno = 0;
    *n = strtoull(value, &end, 10);
    by = 1;

    if (errno) {
        return RT_ERROR;
    }

    if (type == RT_CONF_SIZE) {

        switch (*end | 0x20) {
        case 'k':
            by = 1024;
            break;
        case 'm':
            by = 1024 * 1024;
            break;
        case 'g':
            by = 1024 * 1024 * 1024;
            break;
        default:
            end--;
        }

        end++;

    } else if (type == RT_CONF_TIME) {

        if (strcmp(end, "ms") == 0) {
            return RT_OK;
        }

        switch (*end) {
        case 's':
            by = 1000;
            break;
        case 'm':
            by = 60 * 1000;
            break;
        case 'h':
            by = 3600 * 1000;
            break;
        case 'd':
            by = 86400 * 1000;
            break;
        default:
            end--;
            by = 1000;                      /* seconds, as in nginx */
        }

        end++;
    }

    if (*end != '\0' || __builtin_mul_overflow(*n, by, n)) {
        return RT_ERROR;
    }

    return RT_OK;
}


static rt_int_t
rt_conf_peers(rt_conf_t *cf, const char *value)
{
    char           list[RT_CONF_TEXT_MAX], *p, *rest;
    struct passwd *pw;

    snprintf(list, sizeof(list), "%s", value);

    for (p = strtok_r(list, ", ", &rest); p; p = strtok_r(NULL, ", ", &rest)) {

        pw = getpwnam(p);

        if (pw == NULL) {
            snprintf(cf->error, sizeof(cf->error), "there is no user \"%.64s\"",
                     p);
            return RT_ERROR;
        }

        if (cf->link.npeers == RT_LINK_PEERS) {
            snprintf(cf->error, sizeof(cf->error), "more than %d peers",
                     RT_LINK_PEERS);
            return RT_ERROR;
        }

        cf->link.peers[cf->link.npeers++] = pw->pw_uid;
    }

    return RT_OK;
}


static rt_int_t
rt_conf_durability(rt_conf_t *cf, const char *engine, const char *value)
{
    rt_uint_t  i, k;

    static const char  *names[] = { "sync", "batch", "none" };

    for (i = 0; rt_engines[i]; i++) {
        if (strcmp(rt_engines[i]->name, engine) != 0
            || rt_engines[i]->source)
        {
            continue;
        }

        for (k = 0; k < 3; k++) {
            if (strcmp(value, names[k]) == 0) {
                cf->dispatch.durability[rt_engines[i]->id] = (int) k;
                return RT_OK;
            }
        }

        snprintf(cf->error, sizeof(cf->error),
                 "durability is one of sync, batch, none");
        return RT_ERROR;
    }

    return RT_DECLINED;
}


static rt_int_t
rt_conf_set(rt_conf_t *cf, const rt_conf_name_t *n, const char *value)
{
    char      *end, *at;
    rt_int_t   level;
    uint64_t   number;

    at = (char *) cf + n->offset;

    switch (n->type) {

    case RT_CONF_TEXT:
        if (strlen(value) >= RT_CONF_TEXT_MAX) {
            goto invalid;
        }

        strcpy(at, value);
        return RT_OK;

    case RT_CONF_FLAG:
        if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0) {
            goto invalid;
        }

        *(rt_uint_t *) at = value[1] == 'n';
        return RT_OK;

    case RT_CONF_LEVEL:
        level = rt_log_level_by_name(value);

        if (level == RT_ERROR) {
            goto invalid;
        }

        cf->log_level = (rt_uint_t) level;
        return RT_OK;

    case RT_CONF_PEERS:
        return rt_conf_peers(cf, value);

    case RT_CONF_MODE:
        number = strtoul(value, &end, 8);

        if (*end != '\0' || end == value || number > n->max) {
            goto invalid;
        }

        *(mode_t *) at = (mode_t) number;
        return RT_OK;

    default:
        if (rt_conf_number(value, n->type, &number) != RT_OK
            || number < n->min || number > n->max)
        {
            goto invalid;
        }

        *(uint64_t *) at = number;
        return RT_OK;
    }

invalid:

    snprintf(cf->error, sizeof(cf->error), "invalid value \"%.64s\"", value);

    return RT_ERROR;
}


static int
rt_conf_handler(void *data, const char *section, const char *name,
    const char *value)
{
    rt_int_t                rc;
    rt_conf_t              *cf;
    const rt_conf_name_t   *n;

    cf = data;
    rc = RT_DECLINED;

    for (n = rt_conf_names; n->name; n++) {
        if (strcmp(n->section, section) == 0 && strcmp(n->name, name) == 0) {
            rc = rt_conf_set(cf, n, value);
            break;
        }
    }

    if (rc == RT_DECLINED && strcmp(name, "durability") == 0) {
        rc = rt_conf_durability(cf, section, value);
    }

    if (rc == RT_DECLINED) {
        snprintf(cf->error, sizeof(cf->error), "unknown name");
    }

    if (rc != RT_OK && cf->error_name[0] == '\0') {
        snprintf(cf->error_name, sizeof(cf->error_name), "\"%.64s\" in [%.64s]",
                 name, section);
    }

    return rc == RT_OK;
}


rt_int_t
rt_conf_read(rt_conf_t *cf, const char *file)
{
    int  line;

    line = ini_parse(file, rt_conf_handler, cf);

    if (line == 0) {
        return RT_OK;
    }

    if (line < 0) {
        rt_log(RT_LOG_EMERG, errno, "open() \"%s\" failed", file);

    } else if (cf->error_name[0]) {
        rt_log(RT_LOG_EMERG, 0, "%s: %s in %s:%d", cf->error_name, cf->error,
               file, line);

    } else {
        rt_log(RT_LOG_EMERG, 0, "not understood: %s:%d", file, line);
    }

    return RT_ERROR;
}


rt_int_t
rt_conf_finish(rt_conf_t *cf)
{
    if (cf->listen[0] == '\0') {
        rt_log(RT_LOG_EMERG, 0, "no \"listen\" in [realtimed], nor --listen");
        return RT_ERROR;
    }

    if (cf->data[0] == '\0') {
        rt_log(RT_LOG_EMERG, 0, "no \"data\" in [realtimed], nor --data");
        return RT_ERROR;
    }

    if (strncmp(cf->listen, "unix:", 5) != 0 && strchr(cf->listen, ':') == NULL)
    {
        rt_log(RT_LOG_EMERG, 0, "\"listen\" is neither unix:path nor "
               "address:port");
        return RT_ERROR;
    }

    cf->link.listen = cf->listen;
    cf->link.group = cf->group[0] ? cf->group : NULL;
    cf->dispatch.journal.dir = cf->data;

    return RT_OK;
}
