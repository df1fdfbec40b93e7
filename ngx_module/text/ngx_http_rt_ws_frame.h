/*
 * WebSocket frames (RFC 6455, 5) on the server's side: a streaming parser of
 * what a client sends, and writers of what it gets.
 *
 * The parser reads a buffer that the caller fills and turns it into events.
 * It keeps no pointer into that buffer between calls, except ws->data of the
 * event just returned, which holds until the next call.
 */


#ifndef _NGX_HTTP_RT_WS_FRAME_H_INCLUDED_
#define _NGX_HTTP_RT_WS_FRAME_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


/* events */
#define NGX_HTTP_RT_WS_ERROR        -1
#define NGX_HTTP_RT_WS_AGAIN        0
#define NGX_HTTP_RT_WS_PART         1
#define NGX_HTTP_RT_WS_CONTROL      2

/* bits of a frame's first byte */
#define NGX_HTTP_RT_WS_FIN          0x80
#define NGX_HTTP_RT_WS_RSV1         0x40
#define NGX_HTTP_RT_WS_RSV2         0x20
#define NGX_HTTP_RT_WS_RSV3         0x10

/* opcodes */
#define NGX_HTTP_RT_WS_CONTINUE     0x0
#define NGX_HTTP_RT_WS_TEXT         0x1
#define NGX_HTTP_RT_WS_BINARY       0x2
#define NGX_HTTP_RT_WS_CLOSE        0x8
#define NGX_HTTP_RT_WS_PING         0x9
#define NGX_HTTP_RT_WS_PONG         0xa

#define NGX_HTTP_RT_WS_NO_CODE      1005

#define NGX_HTTP_RT_WS_CONTROL_MAX  125
#define NGX_HTTP_RT_WS_HEADER_MAX   10
#define NGX_HTTP_RT_WS_CLOSE_MAX    (2 + NGX_HTTP_RT_WS_CONTROL_MAX)


typedef struct {
    /* the event just returned */
    u_char      *data;
    size_t       len;
    const char  *reason;             /* ERROR: static text */
    uint16_t     code;               /* ERROR: to send; a close: the peer's */
    uint8_t      opcode;
    unsigned     fin:1;              /* PART: completes the message */
    unsigned     compressed:1;       /* PART: the message began with RSV1 */

    /* the parser's own */
    unsigned     deflate:1;
    unsigned     message_open:1;     /* between first and last fragment */
    unsigned     frame_fin:1;
    unsigned     state:3;
    unsigned     frame_opcode:4;
    unsigned     message_opcode:4;
    uint8_t      have;               /* bytes gathered in buffer */
    uint8_t      need;
    uint32_t     utf8;
    uint32_t     mask;               /* as in memory, rotated as it is used */
    size_t       max;
    size_t       rest;               /* payload of the frame still to come */
    size_t       received;           /* announced payload of the message */
    u_char       buffer[8];          /* of a frame's header */
    u_char      *control;            /* a payload that came in pieces */
} ngx_http_rt_ws_parser_t;


/*
 * Payload that the message being read may have: data that cannot be compressed
 * become a little more by it, and how much is up to the client's deflate.
 */
#define ngx_http_rt_ws_limit(ws)                                              \
    ((ws)->compressed ? (ws)->max + (ws)->max / 4 + 16 : (ws)->max)

/*
 * A message may have max bytes; of a compressed one it is for the inflater to
 * see.  deflate: permessage-deflate has been agreed.
 */
void ngx_http_rt_ws_parser_init(ngx_http_rt_ws_parser_t *ws, size_t max,
    unsigned deflate);
void ngx_http_rt_ws_parser_free(ngx_http_rt_ws_parser_t *ws);

/*
 * Reads from *pos on, unmasking in place, and moves *pos:
 *
 * AGAIN    all is read, nothing to tell;
 * PART     data, len: a piece of the message of type opcode (TEXT or BINARY);
 *          empty only when it completes the message, which fin says;
 * CONTROL  data, len: the whole payload of opcode CLOSE, PING or PONG, valid
 *          until the next call; for CLOSE, code and data as the reason.  What
 *          follows a close frame is read and ignored;
 * ERROR    code and reason to close with; any further call says the same.
 */
int ngx_http_rt_ws_parse(ngx_http_rt_ws_parser_t *ws, u_char **pos,
    u_char *last);

/*
 * The header of a server's frame; first is FIN|RSV1|opcode.  Returns the end,
 * at most NGX_HTTP_RT_WS_HEADER_MAX bytes on.
 */
u_char *ngx_http_rt_ws_header(u_char *p, unsigned first, uint64_t len);

/*
 * A whole close frame, at most NGX_HTTP_RT_WS_CLOSE_MAX bytes; a reason too
 * long is cut at a character.  Code 0 or NGX_HTTP_RT_WS_NO_CODE: an empty one.
 */
u_char *ngx_http_rt_ws_close(u_char *p, uint16_t code, const u_char *reason,
    size_t len);


#endif /* _NGX_HTTP_RT_WS_FRAME_H_INCLUDED_ */
