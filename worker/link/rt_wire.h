/*
 * The link's wire: what an nginx process and realtimed say to each other.
 *
 * This header and rt_wire.c are compiled into both programs.  They are plain
 * C over bytes: no allocation, no descriptor, no clock, no nginx type beyond
 * u_char, so that they are tested and fuzzed alone.
 *
 *
 * Frames
 *
 * A connection is a stream of frames in each direction.  All numbers are
 * little-endian; nothing is aligned.
 *
 *      0        4      5       6          8                16
 *      +--------+------+-------+----------+----------------+-----------
 *      | size   | type | flags | zero     | id             | fields ...
 *      +--------+------+-------+----------+----------------+-----------
 *
 * "size" counts the whole frame, header included: 16 <= size <= frame_max of
 * the receiver (told in its HELLO; RT_WIRE_FRAME_MAX until then).  "zero" is
 * sent as 0 and must be 0.  "id" ties an answer to its question: the asker
 * picks it, the answer repeats it, and nobody reads more into it.  An id must
 * not be used again on the connection while its answer, or its subscription,
 * is outstanding.
 *
 * A field is a 32-bit word, "tag | length << 8", then "length" bytes:
 *
 *      +-----+--------+-----------
 *      | tag | length | value ...
 *      +-----+--------+-----------
 *
 * Tags 1-31 are numbers, always 8 bytes; tags 32-63 are strings, whose
 * lengths are limited by the table in rt_wire.c.  Fields come in any order
 * (senders write them by ascending tag), each at most once.  The last field
 * ends where the frame ends.
 *
 *
 * Versioning
 *
 * The first frame each side sends is HELLO; the connecting side (nginx)
 * begins, realtimed answers.  PROTOCOL is the highest version the sender
 * speaks; the connection then uses the lower of both.  Within a version new
 * fields may be added: an unknown tag (a free number, 1-63) is skipped if its
 * length is right for its range; tags above 63 are an error.  An unknown
 * frame type is an error: types are added with a new version only.  Version 2
 * has added AUDIENCE, WATCHERS, NOTICE and ACCEPT_TIME.
 *
 * A frame that breaks any rule here (impossible size, unknown type, a field
 * past the end, twice, too long, missing where it is required) has no answer:
 * the receiver counts it, logs it at "info", and closes the connection.
 *
 *
 * Frame types.  "n" is nginx or realtimectl, "d" is realtimed; fields in
 * [brackets] may be left out.
 *
 *  HELLO        n->d  id 0.  PROTOCOL FRAME_MAX
 *                     [ZONE ZONE_EPOCH] [EPOCH POSITION [INDEX]] [WINDOW]
 *                     [SENT]
 *               With ZONE the sender offers to take publications for that
 *               zone (see Publications).  Without it, it gets none.
 *
 *  HELLO        d->n  id 0.  PROTOCOL FRAME_MAX INFLIGHT EPOCH POSITION INDEX
 *                     [OFFSET HELD STEPS REFUSED]
 *               EPOCH is the journal's.  POSITION and INDEX are where
 *               publication to the zone will go on after (0: at the start).
 *               INFLIGHT is how many COMMANDs, QUERYs, STATUSes and
 *               SUBSCRIBEs may be unanswered on this connection; one more is
 *               answered with status 503 at once.
 *
 *  COMMAND      n->d  ENGINE ENTITY NAME BODY [USER CONNECTION]
 *                     [KEY] [EXPECT [EXPECT_TOO]] [TIMEOUT SENT]
 *               BODY is the JSON as the client sent it, unchecked; empty
 *               counts as {}.  CONNECTION is an id of the client's connection
 *               that is never used again (GONE tells its end).  KEY is the
 *               Idempotency-Key.  EXPECT is If-Match, and EXPECT_TOO what
 *               else it has in its list: versions of 8 bytes, little-endian.
 *               TIMEOUT: after that many ms nobody waits for the answer; a
 *               command that was not decided by then is not decided any more
 *               (status 503).  SENT is when that time began: CLOCK_MONOTONIC
 *               of the sender, ms.  It is the receiver's clock as well, but
 *               for containers that have their own; then HELLO and PING show
 *               the difference.  Without SENT, and over TCP, only the time
 *               that the frame waited for room in the journal counts.
 *
 *  QUERY        n->d  ENGINE ENTITY NAME [ARGS USER CONNECTION]
 *                     [TIMEOUT SENT]
 *               ARGS is the raw query string, still percent-encoded.
 *
 *  REPLY        d->n  STATUS BODY [VERSION] [RETRY]
 *               Exactly one for each COMMAND, QUERY, STATUS, SNAPSHOT and
 *               ACCEPT_TIME, and for a SUBSCRIBE that ends or is refused.
 *               STATUS is the HTTP status, BODY JSON.  VERSION is the
 *               entity's (Realtime-Version, ETag).  RETRY is Retry-After in
 *               seconds.  Flag RT_WIRE_REPEATED: the first answer to this KEY,
 *               given again (Idempotent-Replay: true).  Replies come in any
 *               order.
 *
 *  PUBLISH      d->n  id 0.  POSITION INDEX TOPIC BODY [EVENT TYPE]
 *               Flag RT_WIRE_LOST: it was larger than a frame of the receiver;
 *               its BODY is empty, and readers are to be told of a gap.
 *  CONFIRM      n->d  id 0.  POSITION INDEX
 *               See Publications.
 *
 *  AUDIENCE     d->n  BODY
 *               How many subscribers have these topics in the zone, patterns
 *               that match included?  BODY is 1 to RT_WIRE_AUDIENCE_MAX
 *               topics with a newline between two.  Asked only on the link
 *               that publishes, and not again before the answer has come.
 *  WATCHERS     n->d  id of the AUDIENCE.  BODY
 *               The numbers, 8 bytes each, in the order of the topics; 0 for
 *               a topic that is none.
 *  NOTICE       d->n  id 0.  TOPIC BODY [EVENT TYPE]
 *               A message for the present subscribers.  It has no place in
 *               the journal, so that it is not confirmed and not sent again:
 *               it is appended to the ring at most once.
 *
 *  SUBSCRIBE    n->d  ENGINE ENTITY FROM [WINDOW] [USER CONNECTION]
 *               Events of an entity from version FROM on (0 or 1: from the
 *               first one), then for ever.  FROM may be a version that is yet
 *               to come.  With an empty ENTITY: all events of the engine, or
 *               of all engines if ENGINE is empty too; FROM is then a position
 *               after which to begin: 0 the oldest kept, 2^64 - 1 now.
 *  EVENT        d->n  id of the SUBSCRIBE.  VERSION BODY POSITION
 *                     [ENGINE ENTITY] if the subscription has no entity
 *               BODY is one JSON object, {"version","time","type",...}, the
 *               same as in the query "history".  An entity's versions ascend
 *               without holes: what was, and then, without a seam, what
 *               becomes.
 *               Flag RT_WIRE_LIVE: it happened after the subscription had
 *               caught up.
 *  CONFIRM      n->d  id of the SUBSCRIBE.  VERSION
 *               That many more events (a count, in the field VERSION) have
 *               been passed on.  realtimed sends at most WINDOW (default
 *               RT_WIRE_WINDOW) events that are not confirmed, so a slow
 *               reader holds up only itself.
 *  UNSUBSCRIBE  n->d  id of the SUBSCRIBE.  No answer; EVENTs under way may
 *               still arrive and are to be ignored, as is any unknown id.
 *
 *  GONE         n->d  id 0.  CONNECTION
 *               That client's connection is closed.  Its commands are decided
 *               nevertheless; its subscriptions on this link end, and engines
 *               that want to know are told.  Comes for each connection that
 *               was named in a COMMAND or SUBSCRIBE, and may come for others.
 *               The end of the link is the end of all that were named on it.
 *
 *  STATUS       n->d  No fields.  The answer is a REPLY with the daemon's
 *               counters as a JSON object, to be merged into "workers".
 *  SNAPSHOT     n->d  No fields.  Write a snapshot now; REPLY when it is done.
 *
 *  ACCEPT_TIME  n->d  No fields.  The wall clock is right, however far it is
 *               ahead of the journal's time, which becomes the same at once.
 *
 *  PING         both  [BODY SENT], answered by PONG with the same id and BODY.
 *  PONG         both
 *               From realtimed it has [OFFSET HELD STEPS REFUSED], too, as
 *               HELLO has: how its wall clock stands to the journal's time.
 *               OFFSET is signed, ms; HELD 1: it is not followed; STEPS and
 *               REFUSED count.
 *
 *  CLOSE        d->n  id 0.  realtimed stops: it decides no more commands
 *               from this connection, sends the answers that are outstanding,
 *               and closes.
 *
 *
 * Publications
 *
 * Every journal record may give publications: topics and messages, which are
 * a pure function of the record.  Publishing is a cursor on the journal:
 *
 * - (EPOCH, POSITION, INDEX) names a publication: the journal's incarnation,
 *   the record's place in it, the publication's number within the record from
 *   0.  Positions ascend, never by one; nothing else may be read into them.
 *   POSITION 0 is before everything.
 *
 * - The zone remembers, per EPOCH, the last (POSITION, INDEX) applied, in
 *   shared memory.  Under the zone's lock, in one step: if the new pair is
 *   not greater than the remembered one the publication is dropped, else it
 *   is appended to the ring and the pair remembered.  A process that dies
 *   before has done nothing, one that dies after has done all of it.
 *
 * - Each nginx process says in HELLO what its zone remembers (for the EPOCH
 *   it knew last; nothing, if it knows none).  Of the links with equal ZONE
 *   and ZONE_EPOCH realtimed publishes over one.  When that link closes, or is
 *   silent for two seconds while it owes a CONFIRM or WATCHERS, another takes
 *   over after the last confirmed pair; what was sent twice by
 *   that is dropped by the rule above.  When no link is left, the cursor
 *   waits, and the journal keeps what it still needs.
 *
 * - If the zone remembers nothing of this EPOCH (it is new: nginx was
 *   restarted), realtimed goes on after what the last zone of that name has
 *   confirmed, as far as realtimed knows; the new zone stores the POSITION
 *   and INDEX of HELLO as its own first.
 *
 * - CONFIRM says that everything up to (POSITION, INDEX) has been applied,
 *   dropped as a repetition, or refused by the zone for good (no room for the
 *   topic, too large; counted and logged by nginx, and readers are told of a
 *   gap in its place).  Once per loop turn is enough.
 *   realtimed sends at most WINDOW (default RT_WIRE_WINDOW) publications
 *   beyond the confirmed one.
 *
 * Only records that are on disk are published.
 */


#ifndef _RT_WIRE_H_INCLUDED_
#define _RT_WIRE_H_INCLUDED_


#include <sys/types.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>


#define RT_WIRE_OK              0
#define RT_WIRE_ERROR          -1
#define RT_WIRE_AGAIN          -2

#define RT_WIRE_PROTOCOL        2

#define RT_WIRE_HEADER_SIZE     16
#define RT_WIRE_FIELD_SIZE      4           /* the word before a value */
#define RT_WIRE_NUMBER_SIZE     12          /* a number with its word */

/*
 * A frame holds one command body or one answer; 1 MiB is far above both and
 * still bounds what a connection can make the other side buffer.
 */
#define RT_WIRE_FRAME_MAX       (1024 * 1024)
#define RT_WIRE_FRAME_MAX_MIN   4096        /* no receiver may say less */

#define RT_WIRE_WINDOW          1024        /* unconfirmed PUBLISHes, EVENTs */

/* topics of one AUDIENCE: they are looked up in one go */
#define RT_WIRE_AUDIENCE_MAX    256
#define RT_WIRE_WATCHERS_SIZE   8           /* of each number of the answer */

/* the longest strings */
#define RT_WIRE_ENGINE_MAX      32
#define RT_WIRE_ENTITY_MAX      200         /* "engine/entity/x" is a topic */
#define RT_WIRE_NAME_MAX        64
#define RT_WIRE_KEY_MAX         255
#define RT_WIRE_USER_MAX        255
#define RT_WIRE_TOPIC_MAX       255
#define RT_WIRE_EVENT_MAX       128
#define RT_WIRE_TYPE_MAX        128
#define RT_WIRE_ZONE_MAX        64
#define RT_WIRE_ARGS_MAX        8192


typedef enum {
    RT_WIRE_HELLO = 1,
    RT_WIRE_COMMAND,
    RT_WIRE_QUERY,
    RT_WIRE_REPLY,
    RT_WIRE_PUBLISH,
    RT_WIRE_CONFIRM,
    RT_WIRE_SUBSCRIBE,
    RT_WIRE_EVENT,
    RT_WIRE_UNSUBSCRIBE,
    RT_WIRE_GONE,
    RT_WIRE_STATUS,
    RT_WIRE_SNAPSHOT,
    RT_WIRE_PING,
    RT_WIRE_PONG,
    RT_WIRE_CLOSE,
    RT_WIRE_AUDIENCE,
    RT_WIRE_WATCHERS,
    RT_WIRE_NOTICE,
    RT_WIRE_ACCEPT_TIME,
    RT_WIRE_TYPE_LAST
} rt_wire_type_e;


/* flags; those a type does not know are ignored */
#define RT_WIRE_REPEATED        0x01        /* REPLY */
#define RT_WIRE_LIVE            0x01        /* EVENT */
#define RT_WIRE_LOST            0x01        /* PUBLISH */


/* 4, 16, 37, 44 and 45 were in use before; peers that send them are heard */

typedef enum {
    /* numbers */
    RT_WIRE_F_PROTOCOL = 1,
    RT_WIRE_F_FRAME_MAX,
    RT_WIRE_F_INFLIGHT,
    RT_WIRE_F_EPOCH = 5,                    /* the journal's */
    RT_WIRE_F_POSITION,
    RT_WIRE_F_INDEX,
    RT_WIRE_F_ZONE_EPOCH,
    RT_WIRE_F_WINDOW,
    RT_WIRE_F_CONNECTION,
    RT_WIRE_F_EXPECT,
    RT_WIRE_F_TIMEOUT,
    RT_WIRE_F_STATUS,
    RT_WIRE_F_VERSION,
    RT_WIRE_F_RETRY,
    RT_WIRE_F_FROM = 17,
    RT_WIRE_F_OFFSET,
    RT_WIRE_F_HELD,
    RT_WIRE_F_STEPS,
    RT_WIRE_F_REFUSED,
    RT_WIRE_F_SENT,

    /* strings */
    RT_WIRE_F_ENGINE = 32,
    RT_WIRE_F_ENTITY,
    RT_WIRE_F_NAME,
    RT_WIRE_F_KEY,
    RT_WIRE_F_USER,
    RT_WIRE_F_ARGS = 38,
    RT_WIRE_F_BODY,
    RT_WIRE_F_TOPIC,
    RT_WIRE_F_EVENT,
    RT_WIRE_F_TYPE,                         /* content type */
    RT_WIRE_F_ZONE,
    RT_WIRE_F_EXPECT_TOO = 46,

    RT_WIRE_F_MAX = 63
} rt_wire_field_e;


#define RT_WIRE_F_STRING        32          /* the first tag of a string */

#define rt_wire_bit(tag)        ((uint64_t) 1 << (tag))


typedef struct {
    size_t           len;
    const u_char    *data;                  /* borrowed from the input */
} rt_wire_str_t;


typedef struct {
    uint32_t         size;                  /* of the whole frame */
    uint8_t          type;
    uint8_t          flags;
    uint64_t         id;
    uint64_t         present;               /* rt_wire_bit() of each field */
    uint64_t         number[RT_WIRE_F_STRING];
    rt_wire_str_t    string[RT_WIRE_F_MAX + 1 - RT_WIRE_F_STRING];
    const char      *error;                 /* why RT_WIRE_ERROR */
} rt_wire_frame_t;


/*
 * Reading.  rt_wire_parse() looks at the n bytes at p, which begin with a
 * frame's first byte:
 *
 *   RT_WIRE_OK     a whole and valid frame; f->size bytes are used up.  Its
 *                  strings point into p.
 *   RT_WIRE_AGAIN  not all of it is there.  f->size is the size of the whole
 *                  if the first 16 bytes are there, else 0.
 *   RT_WIRE_ERROR  not a frame; f->error says why.  Close the connection.
 *
 * Impossible headers are told as soon as they are seen, so a receiver never
 * waits for, nor makes room for, more than frame_max.
 *
 * A field that is absent reads as 0 or as the empty string.
 */

int rt_wire_parse(rt_wire_frame_t *f, const u_char *p, size_t n,
    size_t frame_max);

#define rt_wire_has(f, tag)   (((f)->present & rt_wire_bit(tag)) != 0)

uint64_t rt_wire_number(const rt_wire_frame_t *f, rt_wire_field_e tag);
rt_wire_str_t rt_wire_string(const rt_wire_frame_t *f, rt_wire_field_e tag);

const char *rt_wire_type_name(unsigned type);


/*
 * Writing, straight into a buffer that the caller knows to be large enough
 * (RT_WIRE_HEADER_SIZE, and per field RT_WIRE_NUMBER_SIZE or
 * RT_WIRE_FIELD_SIZE plus the length):
 *
 *   start = p;
 *   p = rt_wire_begin(p, RT_WIRE_COMMAND, 0, id);
 *   p = rt_wire_put_string(p, RT_WIRE_F_ENGINE, engine.data, engine.len);
 *   ...
 *   rt_wire_end(start, p);
 */

u_char *rt_wire_begin(u_char *p, rt_wire_type_e type, unsigned flags,
    uint64_t id);
u_char *rt_wire_put_number(u_char *p, rt_wire_field_e tag, uint64_t value);
u_char *rt_wire_put_string(u_char *p, rt_wire_field_e tag, const void *data,
    size_t len);
void rt_wire_end(u_char *start, const u_char *last);

/* one of the numbers of WATCHERS, which are not fields */
u_char *rt_wire_put_watchers(u_char *p, uint64_t n);
uint64_t rt_wire_watchers(const rt_wire_str_t *body, size_t i);

/* the greatest length rt_wire_parse() accepts for a string, 0 for numbers */
size_t rt_wire_string_max(rt_wire_field_e tag);


#endif /* _RT_WIRE_H_INCLUDED_ */
