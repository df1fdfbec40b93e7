/*
 * WebSocket frames on the server's side.
 *
 * The parser is a machine that goes round, once for each frame,
 *
 *     head      two bytes: flags, opcode, length
 *     length    two or eight more, if the length asks for them
 *     mask      the four bytes of the masking key
 *     control   the payload of a control frame, or
 *     payload   that of a piece of a message
 *
 * and two ends, closed after the peer's close frame and failed after an error.
 * Header bytes gather in the buffer until a step has its own.  A control frame
 * is told of when it is whole: mostly it is, and its payload is passed on where
 * it lies; one that comes in pieces gathers in memory of its own, which the
 * parser then keeps.  Payload of messages is not kept: each piece is unmasked
 * where it lies and passed on at once.
 *
 * Whatever is wrong is found at the first byte that shows it: a frame too large
 * at its length, a text that is not UTF-8 within the piece (RFC 6455, 8.1).
 * The text of compressed messages is for the inflater to check, and the size
 * of what comes out of it too.
 */


#include <stdlib.h>
#include <string.h>

#include <ngx_http_rt_utf8.h>
#include <ngx_http_rt_ws_frame.h>


#define NGX_HTTP_RT_WS_RSV          (NGX_HTTP_RT_WS_RSV1                      \
                                     |NGX_HTTP_RT_WS_RSV2                     \
                                     |NGX_HTTP_RT_WS_RSV3)

#define NGX_HTTP_RT_WS_PROTOCOL     1002
#define NGX_HTTP_RT_WS_BAD_DATA     1007
#define NGX_HTTP_RT_WS_TOO_BIG      1009
#define NGX_HTTP_RT_WS_INTERNAL     1011

#define ngx_http_rt_ws_is_control(opcode)  ((opcode) & 0x8)


enum {
    ngx_http_rt_ws_st_head = 0,
    ngx_http_rt_ws_st_length,
    ngx_http_rt_ws_st_mask,
    ngx_http_rt_ws_st_control,
    ngx_http_rt_ws_st_payload,
    ngx_http_rt_ws_st_closed,
    ngx_http_rt_ws_st_failed
};


static int ngx_http_rt_ws_gather(ngx_http_rt_ws_parser_t *ws, u_char **pos,
    u_char *last);
static int ngx_http_rt_ws_step(ngx_http_rt_ws_parser_t *ws);
static void ngx_http_rt_ws_enter(ngx_http_rt_ws_parser_t *ws, unsigned state,
    size_t need);
static int ngx_http_rt_ws_head(ngx_http_rt_ws_parser_t *ws);
static int ngx_http_rt_ws_length(ngx_http_rt_ws_parser_t *ws);
static int ngx_http_rt_ws_announce(ngx_http_rt_ws_parser_t *ws, uint64_t len);
static int ngx_http_rt_ws_control(ngx_http_rt_ws_parser_t *ws, u_char **pos,
    u_char *last);
static int ngx_http_rt_ws_control_data(ngx_http_rt_ws_parser_t *ws,
    u_char **pos, u_char *last);
static int ngx_http_rt_ws_told(ngx_http_rt_ws_parser_t *ws);
static int ngx_http_rt_ws_peer_close(ngx_http_rt_ws_parser_t *ws);
static int ngx_http_rt_ws_part(ngx_http_rt_ws_parser_t *ws, u_char **pos,
    u_char *last);
static void ngx_http_rt_ws_unmask(ngx_http_rt_ws_parser_t *ws, u_char *p,
    size_t len);
static int ngx_http_rt_ws_error(ngx_http_rt_ws_parser_t *ws, uint16_t code,
    const char *reason);


void
ngx_http_rt_ws_parser_init(ngx_http_rt_ws_parser_t *ws, size_t max,
    unsigned deflate)
{
    memset(ws, 0, sizeof(ngx_http_rt_ws_parser_t));

    ws->max = max;
    ws->deflate = (deflate != 0);

    ngx_http_rt_ws_enter(ws, ngx_http_rt_ws_st_head, 2);
}


void
ngx_http_rt_ws_parser_free(ngx_http_rt_ws_parser_t *ws)
{
    free(ws->control);
    ws->control = NULL;
}


int
ngx_http_rt_ws_parse(ngx_http_rt_ws_parser_t *ws, u_char **pos, u_char *last)
{
    int  rc;

    do {
        switch (ws->state) {

        case ngx_http_rt_ws_st_failed:
            rc = NGX_HTTP_RT_WS_ERROR;
            break;

        case ngx_http_rt_ws_st_closed:
            *pos = last;
            return NGX_HTTP_RT_WS_AGAIN;

        case ngx_http_rt_ws_st_payload:

            if (ws->rest && *pos == last) {
                return NGX_HTTP_RT_WS_AGAIN;
            }

            rc = ngx_http_rt_ws_part(ws, pos, last);
            break;

        case ngx_http_rt_ws_st_control:

            if (ws->have < ws->need && *pos == last) {
                return NGX_HTTP_RT_WS_AGAIN;
            }

            rc = ngx_http_rt_ws_control(ws, pos, last);
            break;

        default:

            if (!ngx_http_rt_ws_gather(ws, pos, last)) {
                return NGX_HTTP_RT_WS_AGAIN;
            }

            rc = ngx_http_rt_ws_step(ws);
        }

    } while (rc == NGX_HTTP_RT_WS_AGAIN);

    if (rc == NGX_HTTP_RT_WS_ERROR) {
        *pos = last;
    }

    return rc;
}


/* whether the buffer has what the state needs */

static int
ngx_http_rt_ws_gather(ngx_http_rt_ws_parser_t *ws, u_char **pos, u_char *last)
{
    size_t  n;

    n = ws->need - ws->have;

    if (n > (size_t) (last - *pos)) {
        n = last - *pos;
    }

    if (n) {
        memcpy(ws->buffer + ws->have, *pos, n);
        ws->have += n;
        *pos += n;
    }

    return ws->have == ws->need;
}


/* AGAIN is to go on with the next state */

static int
ngx_http_rt_ws_step(ngx_http_rt_ws_parser_t *ws)
{
    switch (ws->state) {

    case ngx_http_rt_ws_st_head:
        return ngx_http_rt_ws_head(ws);

    case ngx_http_rt_ws_st_length:
        return ngx_http_rt_ws_length(ws);

    default: /* ngx_http_rt_ws_st_mask */
        memcpy(&ws->mask, ws->buffer, 4);

        if (ngx_http_rt_ws_is_control(ws->frame_opcode)) {
            ngx_http_rt_ws_enter(ws, ngx_http_rt_ws_st_control, ws->rest);

        } else {
            ngx_http_rt_ws_enter(ws, ngx_http_rt_ws_st_payload, 0);
        }

        return NGX_HTTP_RT_WS_AGAIN;
    }
}


static void
ngx_http_rt_ws_enter(ngx_http_rt_ws_parser_t *ws, unsigned state, size_t need)
{
    ws->state = state;
    ws->have = 0;
    ws->need = (uint8_t) need;
}


static int
ngx_http_rt_ws_head(ngx_http_rt_ws_parser_t *ws)
{
    u_char    len;
    unsigned  rsv, opcode;

    rsv = ws->buffer[0] & NGX_HTTP_RT_WS_RSV;
    opcode = ws->buffer[0] & 0xf;
    len = ws->buffer[1] & 0x7f;

    ws->frame_fin = (ws->buffer[0] & NGX_HTTP_RT_WS_FIN) != 0;
    ws->frame_opcode = opcode;

    /* RFC 7692, 6: RSV1 belongs to the first frame of a message */

    if (rsv
        && (rsv != NGX_HTTP_RT_WS_RSV1
            || !ws->deflate
            || opcode == NGX_HTTP_RT_WS_CONTINUE
            || ngx_http_rt_ws_is_control(opcode)))
    {
        return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_PROTOCOL,
                                    "reserved bit set");
    }

    if ((ws->buffer[1] & 0x80) == 0) {
        return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_PROTOCOL,
                                    "frame is not masked");
    }

    switch (opcode) {

    case NGX_HTTP_RT_WS_CONTINUE:

        if (!ws->message_open) {
            return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_PROTOCOL,
                                        "continuation without a message");
        }

        break;

    case NGX_HTTP_RT_WS_TEXT:
    case NGX_HTTP_RT_WS_BINARY:

        if (ws->message_open) {
            return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_PROTOCOL,
                                        "message within a message");
        }

        ws->message_open = 1;
        ws->message_opcode = opcode;
        ws->compressed = (rsv != 0);
        ws->received = 0;
        ws->utf8 = NGX_HTTP_RT_UTF8_ACCEPT;
        break;

    case NGX_HTTP_RT_WS_CLOSE:
    case NGX_HTTP_RT_WS_PING:
    case NGX_HTTP_RT_WS_PONG:

        if (!ws->frame_fin) {
            return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_PROTOCOL,
                                        "fragmented control frame");
        }

        if (len > NGX_HTTP_RT_WS_CONTROL_MAX) {
            return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_PROTOCOL,
                                        "control frame too long");
        }

        break;

    default:
        return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_PROTOCOL,
                                    "unknown opcode");
    }

    if (len > 125) {
        ngx_http_rt_ws_enter(ws, ngx_http_rt_ws_st_length, len == 126 ? 2 : 8);
        return NGX_HTTP_RT_WS_AGAIN;
    }

    return ngx_http_rt_ws_announce(ws, len);
}


static int
ngx_http_rt_ws_length(ngx_http_rt_ws_parser_t *ws)
{
    unsigned  i;
    uint64_t  len;

    len = 0;

    for (i = 0; i < ws->need; i++) {
        len = len << 8 | ws->buffer[i];
    }

    /* RFC 6455, 5.2: the highest bit is 0, and no form is longer than needed */

    if (len >> 63) {
        return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_PROTOCOL,
                                    "bad frame length");
    }

    if (len < (ws->need == 2 ? 126 : 65536)) {
        return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_PROTOCOL,
                                    "frame length is not minimal");
    }

    return ngx_http_rt_ws_announce(ws, len);
}


static int
ngx_http_rt_ws_announce(ngx_http_rt_ws_parser_t *ws, uint64_t len)
{
    if (!ngx_http_rt_ws_is_control(ws->frame_opcode)) {

        if (len > ngx_http_rt_ws_limit(ws) - ws->received) {
            return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_TOO_BIG,
                                        "message too big");
        }

        ws->received += (size_t) len;
    }

    ws->rest = (size_t) len;

    ngx_http_rt_ws_enter(ws, ngx_http_rt_ws_st_mask, 4);

    return NGX_HTTP_RT_WS_AGAIN;
}


/* AGAIN: more of it is to come */

static int
ngx_http_rt_ws_control(ngx_http_rt_ws_parser_t *ws, u_char **pos, u_char *last)
{
    int  rc;

    rc = ngx_http_rt_ws_control_data(ws, pos, last);

    return (rc == NGX_HTTP_RT_WS_CONTROL) ? ngx_http_rt_ws_told(ws) : rc;
}


static int
ngx_http_rt_ws_control_data(ngx_http_rt_ws_parser_t *ws, u_char **pos,
    u_char *last)
{
    size_t  n;

    n = ws->need - ws->have;

    if (ws->have == 0 && n <= (size_t) (last - *pos)) {
        ws->data = *pos;
        *pos += n;

        return NGX_HTTP_RT_WS_CONTROL;
    }

    if (n > (size_t) (last - *pos)) {
        n = last - *pos;
    }

    if (ws->control == NULL) {
        ws->control = malloc(NGX_HTTP_RT_WS_CONTROL_MAX);

        if (ws->control == NULL) {
            return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_INTERNAL,
                                        "no memory");
        }
    }

    memcpy(ws->control + ws->have, *pos, n);
    ws->have += n;
    *pos += n;

    ws->data = ws->control;

    return (ws->have == ws->need) ? NGX_HTTP_RT_WS_CONTROL
                                  : NGX_HTTP_RT_WS_AGAIN;
}


static int
ngx_http_rt_ws_told(ngx_http_rt_ws_parser_t *ws)
{
    ws->opcode = ws->frame_opcode;
    ws->len = ws->rest;

    ngx_http_rt_ws_unmask(ws, ws->data, ws->len);

    if (ws->opcode == NGX_HTTP_RT_WS_CLOSE) {
        return ngx_http_rt_ws_peer_close(ws);
    }

    ngx_http_rt_ws_enter(ws, ngx_http_rt_ws_st_head, 2);

    return NGX_HTTP_RT_WS_CONTROL;
}


/* RFC 6455, 5.5.1 and 7.4 */

static int
ngx_http_rt_ws_peer_close(ngx_http_rt_ws_parser_t *ws)
{
    unsigned  code;

    if (ws->len == 0) {
        ws->code = NGX_HTTP_RT_WS_NO_CODE;
        ngx_http_rt_ws_enter(ws, ngx_http_rt_ws_st_closed, 0);
        return NGX_HTTP_RT_WS_CONTROL;
    }

    if (ws->len == 1) {
        return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_PROTOCOL,
                                    "close frame of one byte");
    }

    code = ws->data[0] << 8 | ws->data[1];

    if (!((code >= 1000 && code <= 1003)
          || (code >= 1007 && code <= 1014)
          || (code >= 3000 && code <= 4999)))
    {
        return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_PROTOCOL,
                                    "bad close code");
    }

    ws->data += 2;
    ws->len -= 2;

    if (ngx_http_rt_utf8_step(NGX_HTTP_RT_UTF8_ACCEPT, ws->data, ws->len)
        != NGX_HTTP_RT_UTF8_ACCEPT)
    {
        return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_BAD_DATA,
                                    "close reason is not valid UTF-8");
    }

    ws->code = (uint16_t) code;
    ngx_http_rt_ws_enter(ws, ngx_http_rt_ws_st_closed, 0);

    return NGX_HTTP_RT_WS_CONTROL;
}


static int
ngx_http_rt_ws_part(ngx_http_rt_ws_parser_t *ws, u_char **pos, u_char *last)
{
    size_t    n;
    unsigned  check;

    n = last - *pos;

    if (n > ws->rest) {
        n = ws->rest;
    }

    ngx_http_rt_ws_unmask(ws, *pos, n);

    ws->opcode = ws->message_opcode;
    ws->data = *pos;
    ws->len = n;
    ws->rest -= n;
    ws->fin = (ws->rest == 0 && ws->frame_fin);

    *pos += n;

    check = (ws->opcode == NGX_HTTP_RT_WS_TEXT && !ws->compressed);

    if (check) {
        ws->utf8 = ngx_http_rt_utf8_step(ws->utf8, ws->data, n);

        if (ws->utf8 == NGX_HTTP_RT_UTF8_REJECT
            || (ws->fin && ws->utf8 != NGX_HTTP_RT_UTF8_ACCEPT))
        {
            return ngx_http_rt_ws_error(ws, NGX_HTTP_RT_WS_BAD_DATA,
                                        "text is not valid UTF-8");
        }
    }

    if (ws->fin) {
        ws->message_open = 0;
    }

    if (ws->rest == 0) {
        ngx_http_rt_ws_enter(ws, ngx_http_rt_ws_st_head, 2);
    }

    return (n || ws->fin) ? NGX_HTTP_RT_WS_PART : NGX_HTTP_RT_WS_AGAIN;
}


/* leaves the mask as the next byte of the payload needs it */

static void
ngx_http_rt_ws_unmask(ngx_http_rt_ws_parser_t *ws, u_char *p, size_t len)
{
    size_t    i;
    u_char    key[8];
    uint64_t  mask, word;

    memcpy(key, &ws->mask, 4);
    memcpy(key + 4, &ws->mask, 4);
    memcpy(&mask, key, 8);

    while (len >= 8) {
        memcpy(&word, p, 8);
        word ^= mask;
        memcpy(p, &word, 8);

        p += 8;
        len -= 8;
    }

    for (i = 0; i < len; i++) {
        p[i] ^= key[i];
    }

    memcpy(&ws->mask, key + (len & 3), 4);
}


static int
ngx_http_rt_ws_error(ngx_http_rt_ws_parser_t *ws, uint16_t code,
    const char *reason)
{
    ws->data = NULL;
    ws->len = 0;
    ws->code = code;
    ws->reason = reason;

    ngx_http_rt_ws_enter(ws, ngx_http_rt_ws_st_failed, 0);

    return NGX_HTTP_RT_WS_ERROR;
}


u_char *
ngx_http_rt_ws_header(u_char *p, unsigned first, uint64_t len)
{
    int  shift;

    *p++ = (u_char) first;

    if (len < 126) {
        *p++ = (u_char) len;
        return p;
    }

    if (len < 65536) {
        *p++ = 126;
        shift = 8;

    } else {
        *p++ = 127;
        shift = 56;
    }

    for ( /* void */ ; shift >= 0; shift -= 8) {
        *p++ = (u_char) (len >> shift);
    }

    return p;
}


u_char *
ngx_http_rt_ws_close(u_char *p, uint16_t code, const u_char *reason,
    size_t len)
{
    const unsigned  first = NGX_HTTP_RT_WS_FIN|NGX_HTTP_RT_WS_CLOSE;

    if (code == 0 || code == NGX_HTTP_RT_WS_NO_CODE) {
        return ngx_http_rt_ws_header(p, first, 0);
    }

    if (len > NGX_HTTP_RT_WS_CONTROL_MAX - 2) {
        len = NGX_HTTP_RT_WS_CONTROL_MAX - 2;

        /* the first byte left out begins a character */

        while (len && (reason[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    p = ngx_http_rt_ws_header(p, first, 2 + len);

    *p++ = (u_char) (code >> 8);
    *p++ = (u_char) code;

    if (len) {
        memcpy(p, reason, len);
    }

    return p + len;
}
