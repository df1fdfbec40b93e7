/*
 * The wire: bytes of an answer's body become messages for the ledger.
 *
 * Chunks and HTTP/2 frames are taken off first; what is inside goes to the
 * parser of events or of WebSocket frames as it lies in the buffer.  Only what
 * is incomplete at the end of the bytes at hand is copied, to the reader's
 * "rest".
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "load.h"


enum {
    LOAD_CHUNK_SIZE = 0,
    LOAD_CHUNK_EXTENSION,
    LOAD_CHUNK_DATA,
    LOAD_CHUNK_END
};


typedef size_t (*load_wire_pt)(load_reader_t *r, unsigned char *p, size_t len);


static void load_wire_feed(load_reader_t *r, load_rest_t **rest,
    load_wire_pt parse, unsigned char *p, size_t len);
static void load_wire_chunks(load_reader_t *r, unsigned char *p, size_t len);
static size_t load_wire_sse(load_reader_t *r, unsigned char *p, size_t len);
static size_t load_wire_ws(load_reader_t *r, unsigned char *p, size_t len);
static void load_wire_ws_message(load_reader_t *r, unsigned char *p,
    size_t len);
static void load_wire_inflate(load_reader_t *r, unsigned char *p, size_t len);
static size_t load_wire_h2(load_reader_t *r, unsigned char *p, size_t len);


void
load_wire_body(load_reader_t *r, unsigned char *p, size_t len)
{
    if (load_conf.kind == LOAD_WS) {
        load_wire_feed(r, &r->rest, load_wire_ws, p, len);

    } else if (r->chunked) {
        load_wire_chunks(r, p, len);

    } else {
        load_wire_feed(r, &r->rest, load_wire_sse, p, len);
    }
}


void
load_wire_h2_body(load_reader_t *r, unsigned char *p, size_t len)
{
    load_wire_feed(r, &r->frame, load_wire_h2, p, len);
}


static void
load_wire_feed(load_reader_t *r, load_rest_t **rest, load_wire_pt parse,
    unsigned char *p, size_t len)
{
    size_t        n;
    load_rest_t  *t;

    t = *rest;

    if (t == NULL || t->len == 0) {

        n = parse(r, p, len);
        p += n;
        len -= n;

        if (len == 0) {
            return;
        }
    }

    if (t == NULL || t->len + len > t->size) {
        n = (t ? t->len : 0) + len;

        t = realloc(t, sizeof(load_rest_t) + n);
        if (t == NULL) {
            load_fail("no memory");
        }

        t->len = *rest ? t->len : 0;
        t->size = n;
        *rest = t;
    }

    memcpy(t->data + t->len, p, len);
    n = t->len;
    t->len += len;

    if (n == 0) {
        return;                             /* has been parsed already */
    }

    n = parse(r, t->data, t->len);
    t->len -= n;
    memmove(t->data, t->data + n, t->len);

    if (t->len == 0) {
        free(t);
        *rest = NULL;
    }
}


static void
load_wire_chunks(load_reader_t *r, unsigned char *p, size_t len)
{
    size_t          n;
    unsigned char   ch, *end;

    end = p + len;

    while (p < end) {

        switch (r->chunk_state) {

        case LOAD_CHUNK_DATA:
            n = (size_t) (end - p) < r->left ? (size_t) (end - p) : r->left;
            load_wire_feed(r, &r->rest, load_wire_sse, p, n);
            p += n;
            r->left -= n;

            if (r->left == 0) {
                r->chunk_state = LOAD_CHUNK_END;
            }

            break;

        case LOAD_CHUNK_END:
            if (*p++ == '\n') {
                r->chunk_state = LOAD_CHUNK_SIZE;
            }

            break;

        default:
            ch = *p++;

            if (ch == '\n') {
                if (r->left == 0) {
                    load_reader_bye(r, "the last chunk");
                    return;
                }

                r->chunk_state = LOAD_CHUNK_DATA;

            } else if (r->chunk_state == LOAD_CHUNK_SIZE) {

                if (ch >= '0' && ch <= '9') {
                    r->left = r->left << 4 | (ch - '0');

                } else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f') {
                    r->left = r->left << 4 | ((ch | 0x20) - 'a' + 10);

                } else {
                    r->chunk_state = LOAD_CHUNK_EXTENSION;
                }
            }
        }
    }
}


/* whole events; our messages are one line of data */

static size_t
load_wire_sse(load_reader_t *r, unsigned char *p, size_t len)
{
    size_t          size, id_size;
    unsigned char  *start, *end, *nl, *data, *id;

    start = p;
    end = p + len;
    data = NULL;
    size = 0;
    id = NULL;
    id_size = 0;

    while (p < end) {

        nl = memchr(p, '\n', end - p);
        if (nl == NULL) {
            break;
        }

        if (nl == p || (nl == p + 1 && *p == '\r')) {

            if (data) {
                load_ledger_read(r, data, size);
                data = NULL;
            }

            if (id) {
                load_reader_id(r, id, id_size);
                id = NULL;
            }

            start = nl + 1;

        } else if (nl - p > 5 && p[0] == 'd' && memcmp(p, "data:", 5) == 0) {
            data = p + 5 + (p[5] == ' ');
            size = nl - data - (nl[-1] == '\r');

        } else if (r->id && nl - p > 4 && memcmp(p, "id: ", 4) == 0) {
            id = p + 4;
            id_size = nl - id - (nl[-1] == '\r');

        } else if (nl - p > 12 && memcmp(p, "event: realt", 12) == 0) {
            load_strange++;                 /* a gap */
        }

        p = nl + 1;
    }

    return len - (end - start);
}


static size_t
load_wire_ws(load_reader_t *r, unsigned char *p, size_t len)
{
    size_t          size, head;
    unsigned char  *start, *end, pong[6];

    start = p;
    end = p + len;

    while (end - p >= 2) {

        size = p[1] & 0x7f;
        head = 2;

        if (size == 126) {
            if (end - p < 4) {
                break;
            }

            size = (size_t) p[2] << 8 | p[3];
            head = 4;

        } else if (size == 127) {
            if (end - p < 10) {
                break;
            }

            size = (size_t) p[6] << 24 | (size_t) p[7] << 16
                   | (size_t) p[8] << 8 | p[9];
            head = 10;

            if (p[2] | p[3] | p[4] | p[5] || size > LOAD_MESSAGE_MAX * 2) {
                load_fail("a frame of %zu bytes", size);
            }
        }

        if ((size_t) (end - p) < head + size) {
            break;
        }

        switch (p[0]) {

        case 0x81:
        case 0x82:
            load_wire_ws_message(r, p + head, size);
            break;

        case 0xc1:
        case 0xc2:
            load_wire_inflate(r, p + head, size);
            break;

        case 0x89:
            memcpy(pong, "\x8a\x80\0\0\0\0", 6);
            load_reader_send(r, pong, 6);
            break;

        case 0x88:
            if (size >= 2 && p[head] == 1012 >> 8
                && p[head + 1] == (1012 & 0xff))
            {
                load_reader_bye(r, "1012");

            } else {
                load_reader_close(r, "a close frame, not 1012");
            }

            return len;

        default:
            load_strange++;
        }

        p += head + size;
    }

    return p - start;
}


/* who resumes asks for envelopes: {"id":"...",...,"data":"..."} or "open" */

static void
load_wire_ws_message(load_reader_t *r, unsigned char *p, size_t len)
{
    unsigned char  *id, *data, *end;

    if (r->id == NULL) {
        load_ledger_read(r, p, len);
        return;
    }

    id = memmem(p, len, "\"id\":\"", 6);
    end = id ? memchr(id + 6, '"', p + len - id - 6) : NULL;

    if (end == NULL
        || (id != p + 1 && (len < 9 || memcmp(p, "{\"open\":", 8) != 0)))
    {
        load_strange++;                     /* a gap */
        return;
    }

    if (id == p + 1) {
        data = memmem(end, p + len - end, "\"data\":\"", 8);

        if (data == NULL || p[len - 1] != '}' || p[len - 2] != '"') {
            load_strange++;
            return;
        }

        data += 8;
        load_ledger_read(r, data, p + len - 2 - data);
    }

    load_reader_id(r, id + 6, end - id - 6);
}


/* no context takeover: each message is for itself */

static void
load_wire_inflate(load_reader_t *r, unsigned char *p, size_t len)
{
    int                   rc;
    static z_stream       z;
    static unsigned       ready;
    static unsigned char  in[65536], out[65536];

    if (!r->deflated || len + 4 > sizeof(in)) {
        load_strange++;
        return;
    }

    if (!ready) {
        ready = 1;
        inflateInit2(&z, -15);
    }

    memcpy(in, p, len);
    memcpy(in + len, "\0\0\xff\xff", 4);

    inflateReset(&z);
    z.next_in = in;
    z.avail_in = len + 4;
    z.next_out = out;
    z.avail_out = sizeof(out);

    rc = inflate(&z, Z_SYNC_FLUSH);

    if (rc != Z_OK && rc != Z_BUF_ERROR) {
        load_strange++;
        return;
    }

    load_ledger_read(r, out, sizeof(out) - z.avail_out);
}


/* RFC 9113: one stream, no server push, windows as large as they get */

size_t
load_wire_h2_request(unsigned char *p, const char *path)
{
    size_t          len;
    unsigned char  *start, *head;

    start = p;

    memcpy(p, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    p += 24;

    memcpy(p, "\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff", 15);
    p += 15;
    memcpy(p, "\0\0\x04\x08\0\0\0\0\0\x7f\xff\0\0", 13);
    p += 13;

    head = p;
    memcpy(p, "\0\0\0\x01\x05\0\0\0\x01", 9);   /* END_STREAM, END_HEADERS */
    p += 9;

    *p++ = 0x82;                            /* :method: GET */
    *p++ = 0x80 | (load_conf.tls ? 7 : 6);  /* :scheme: https or http */
    *p++ = 0x01;                            /* :authority */
    *p++ = 9;
    memcpy(p, "localhost", 9);
    p += 9;

    len = strlen(path);
    *p++ = 0x04;                            /* :path */
    *p++ = len;                             /* less than 127 */
    memcpy(p, path, len);
    p += len;

    *p++ = 0x0f;                            /* accept, 19 = 15 + 4 */
    *p++ = 0x04;
    *p++ = 17;
    memcpy(p, "text/event-stream", 17);
    p += 17;

    head[2] = p - head - 9;

    return p - start;
}


static size_t
load_wire_h2(load_reader_t *r, unsigned char *p, size_t len)
{
    size_t          size;
    unsigned char  *start, *end, frame[26];

    start = p;
    end = p + len;

    while (end - p >= 9) {

        size = (size_t) p[0] << 16 | (size_t) p[1] << 8 | p[2];

        if ((size_t) (end - p) < 9 + size) {
            break;
        }

        switch (p[3]) {

        case 0:                             /* DATA */
            load_wire_feed(r, &r->rest, load_wire_sse, p + 9, size);
            r->credit += size;
            break;

        case 1:                             /* HEADERS */
            if (r->state == LOAD_READER_HEAD) {

                if (size == 0 || p[9] != 0x88) {    /* :status: 200 */
                    load_reader_close(r, "a bad status");
                    return len;
                }

                r->state = LOAD_READER_OPEN;
                load_nopen++;
            }

            break;

        case 3:                             /* RST_STREAM */
        case 7:                             /* GOAWAY */
            load_reader_close(r, "RST_STREAM or GOAWAY");
            return len;

        case 4:                             /* SETTINGS */
            if (!(p[4] & 1)) {
                load_reader_send(r, "\0\0\0\x04\x01\0\0\0\0", 9);
            }

            break;

        case 6:                             /* PING */
            if (!(p[4] & 1)) {
                memcpy(frame, "\0\0\x08\x06\x01\0\0\0\0", 9);
                memcpy(frame + 9, p + 9, 8);
                load_reader_send(r, frame, 17);
            }

            break;

        default:
            break;
        }

        p += 9 + size;
    }

    if (r->credit > 1024 * 1024 * 1024) {
        memcpy(frame, "\0\0\x04\x08\0\0\0\0\0\x40\0\0\0", 13);
        memcpy(frame + 13, "\0\0\x04\x08\0\0\0\0\x01\x40\0\0\0", 13);
        load_reader_send(r, frame, 26);
        r->credit -= 0x40000000;
    }

    return p - start;
}
