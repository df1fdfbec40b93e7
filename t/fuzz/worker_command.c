/*
 * Commands to an auction: any JSON, any command; no event without a change of
 * version, a snapshot gives the same state, and a clock goes forward.
 *
 * Sources: core/ engine/auction/ rt_engines.c
 * Libs: -lyajl -lsodium
 */


#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <rt_auction.h>
#include <rt_engine.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static const char  *names[] = {
    "create", "bid", "buy", "retract", "close", "cancel", "other"
};

static const char  *users[] = { "", "ann", "bob", "cat" };

static const char  *terms[] = {
    "{\"kind\":\"english\",\"start\":1,\"ends_in_ms\":1000,\"snipe_ms\":50}",
    "{\"kind\":\"dutch\",\"start\":900,\"ends_in_ms\":1000}",
    "{\"kind\":\"sealed\",\"start\":1,\"ends_in_ms\":1000,\"clock_ms\":250}",
    "{\"kind\":\"vickrey\",\"start\":1,\"reserve\":5,\"ends_in_ms\":1000}"
};


static void
check_restored(void *state)
{
    void         *other;
    rt_buf_t      a, b;
    rt_reader_t   r;

    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));

    rt_auction_engine.snapshot(state, &a);
    other = rt_auction_engine.create();
    rt_reader_init(&r, a.pos, rt_buf_size(&a));

    if (rt_auction_engine.restore(other, &r) != RT_OK || r.pos != r.last) {
        abort();
    }

    rt_auction_engine.snapshot(other, &b);

    if (!rt_str_eq(rt_buf_str(&a), rt_buf_str(&b))) {
        abort();
    }

    rt_auction_engine.destroy(other);
    rt_buf_free(&a);
    rt_buf_free(&b);
}


static void
check_clock(void *state, uint64_t now)
{
    uint64_t       due;
    rt_message_t   m;
    rt_audience_t  a;

    due = rt_auction_engine.clock(state, now);

    if (due && due <= now) {
        abort();
    }

    memset(&m, 0, sizeof(m));
    a.time_ms = now;
    a.version = 1;
    a.watchers = 2;
    a.told = 1;

    if (rt_auction_engine.live(state, &a, &m) != (rt_buf_size(&m.body) != 0)) {
        abort();
    }

    rt_buf_free(&m.body);
}


static void
run(void **state, rt_input_t *in, rt_output_t *out)
{
    rt_buf_t    b;
    rt_uint_t   i;
    rt_event_t  ev;

    out->status = 0;
    out->n = 0;
    rt_buf_reset(&out->body);
    rt_buf_reset(&out->data);

    rt_auction_engine.decide(*state, in, out);

    if (out->status == 0 || (out->status >= 400 && out->n)) {
        abort();
    }

    memset(&b, 0, sizeof(b));

    for (i = 0; i < out->n; i++) {
        if (*state == NULL) {
            *state = rt_auction_engine.create();
        }

        ev.time_ms = in->time_ms;
        ev.version = ++in->version;
        ev.type = out->events[i].type;
        ev.lift = 1;
        ev.entity = in->entity;
        ev.data.data = out->data.pos + out->events[i].start;
        ev.data.len = out->events[i].size;

        rt_auction_engine.apply(*state, &ev);
        rt_auction_engine.describe(&ev, &b);
    }

    rt_buf_free(&b);
}


/* lines: two bytes for command, user and time, then the JSON */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void           *state;
    size_t          len;
    uint64_t        due;
    rt_input_t      in;
    rt_output_t     out;
    const uint8_t  *end;

    static rt_json_t     js;
    static const u_char  secret[RT_SECRET_SIZE];

    if (size == 0) {
        return 0;
    }

    memset(&in, 0, sizeof(in));
    memset(&out, 0, sizeof(out));
    state = NULL;

    in.secret = secret;
    in.entity.data = (const u_char *) "e";
    in.entity.len = 1;
    in.time_ms = 1000;
    in.name.data = (const u_char *) "create";
    in.name.len = 6;

    len = strlen(terms[*data & 3]);
    (void) rt_json_parse(&js, (const u_char *) terms[*data & 3], len);
    in.json = &js;
    in.data = &js.nodes[0];
    run(&state, &in, &out);

    for (data++, size--; size > 2; data = end + 1) {
        end = memchr(data + 2, '\n', size - 2);
        len = (size_t) ((end ? end : data + size) - data);

        in.name.data = (const u_char *) names[1 + data[0] % 6];
        in.name.len = strlen((const char *) in.name.data);
        in.user.data = (const u_char *) users[data[1] & 3];
        in.user.len = strlen((const char *) in.user.data);
        in.time_ms += data[1] >> 2;
        in.seed++;

        for ( ;; ) {
            due = rt_auction_engine.due(state);

            if (due == 0 || due > in.time_ms) {
                break;
            }

            in.tick = 1;
            run(&state, &in, &out);
            in.tick = 0;
        }

        if (rt_json_parse(&js, data + 2, len - 2) == RT_OK) {
            in.data = &js.nodes[0];
            run(&state, &in, &out);
            check_restored(state);
            check_clock(state, in.time_ms);
        }

        rt_buf_reset(&out.body);
        in.name.data = (const u_char *) (data[0] & 1 ? "mine" : "state");
        in.name.len = data[0] & 1 ? 4 : 5;
        rt_auction_engine.query(state, &in, &out);

        if (end == NULL) {
            break;
        }

        size -= len + 1;
    }

    rt_auction_engine.destroy(state);
    rt_buf_free(&out.body);
    rt_buf_free(&out.data);
    free(out.events);

    return 0;
}
