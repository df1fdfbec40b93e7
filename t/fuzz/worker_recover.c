/*
 * Recovery of a journal in which anything may stand: it ends whole, torn or
 * damaged; what was taken is taken again, and what was cut stays cut.
 *
 * Sources: core/ journal/
 * Libs: -lyajl -lsodium -lpthread
 */


#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rt_io.h>
#include <rt_journal.h>
#include <rt_log.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


#define SEGMENT  8192


static char  dir[64];


/* the disk is not what is tested */

static int
no_sync(int fd)
{
    return fd < 0;
}


static void
leave(void)
{
    char  command[80];

    snprintf(command, sizeof(command), "rm -rf %s", dir);

    if (system(command) != 0) {
        perror(dir);
    }
}


static uint64_t
scan(rt_scan_result_t *res, rt_uint_t *ok)
{
    rt_journal_t        j;
    rt_journal_conf_t   conf;

    memset(&conf, 0, sizeof(conf));
    conf.dir = dir;
    conf.segment_size = SEGMENT;

    if (rt_journal_open(&j, &conf) != RT_OK) {
        abort();
    }

    *ok = rt_journal_recover(&j, rt_journal_first(&j), 1, res, NULL, NULL)
          == RT_OK;

    if (*ok && (j.next_seq != res->records + 1 || j.offset > SEGMENT)) {
        abort();
    }

    rt_journal_close(&j);

    return res->records;
}


/*
 * Input: bytes that are xored over two good batches, as (offset, value) of
 * three bytes; what is left over is written behind.
 */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                 fd, i;
    char                path[128];
    u_char              seg[SEGMENT], *p;
    size_t              at;
    uint64_t            n;
    rt_uint_t           ok;
    rt_record_t         rec;
    rt_journal_t        j;
    rt_scan_result_t    res;
    rt_journal_conf_t   conf;

    if (dir[0] == '\0') {
        strcpy(dir, "/tmp/rt_fuzz_XXXXXX");

        if (mkdtemp(dir) == NULL) {
            abort();
        }

        atexit(leave);

        rt_log_level = 0;
        rt_io.fdatasync = no_sync;

        memset(&conf, 0, sizeof(conf));
        conf.dir = dir;

        if (rt_journal_open(&j, &conf) != RT_OK) {  /* makes its id */
            abort();
        }

        rt_journal_close(&j);
    }

    memset(seg, 0, sizeof(seg));
    rt_segment_encode(seg, 1, 7, 1, 1000, SEGMENT);
    p = seg + RT_SEGMENT_HEADER_SIZE;
    memset(&rec, 0, sizeof(rec));

    for (i = 1; i <= 12; i++) {
        rec.seq = (uint64_t) i;
        rec.time_ms = 1000;
        rec.batch = (uint32_t) ((i - 1) % 4);
        rec.flags = i % 4 ? RT_RECORD_MORE * (i > 4) : 0;
        rec.entity.data = (const u_char *) "entity";
        rec.entity.len = 6;
        rec.data.data = (const u_char *) "some data of an event";
        rec.data.len = (size_t) i;
        p = rt_record_encode(p, &rec, rt_segment_salt(1));
    }

    for ( /* void */ ; size >= 3; size -= 3, data += 3) {
        at = (size_t) (data[0] | data[1] << 8) % (SEGMENT - 1);
        seg[at] ^= data[2];
    }

    snprintf(path, sizeof(path), "%s/00000001.seg", dir);
    fd = open(path, O_WRONLY|O_CREAT|O_TRUNC, 0600);

    if (fd == -1 || write(fd, seg, sizeof(seg)) != SEGMENT) {
        abort();
    }

    close(fd);

    n = scan(&res, &ok);

    if (!ok && !res.damaged) {
        abort();
    }

    if (n > 12) {
        abort();
    }

    /* what was cut stays cut */

    if (ok && (scan(&res, &ok) != n || !ok || res.torn)) {
        abort();
    }

    return 0;
}
