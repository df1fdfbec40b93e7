/*
 * The ws package as a client: how most programs in Node speak WebSocket.
 */

import assert from 'node:assert/strict';
import { WebSocket } from 'ws';
import { Inbox, seq, start, test, until } from './harness.mjs';


const LIMIT = 65536;            /* realtime_message_max_size, its default */

const nginx = await start({ server: `
        location ~ ^/busy/(.+)$ {
            realtime_subscribe $1 patterns;
            realtime_keepalive 200ms;
        }
        location ~ ^/json/(.+)$ {
            realtime_publish $1 websocket;
            realtime_subscribe $1 patterns;
            realtime_envelope on;
        }` });


/* a socket with its frames in an inbox, and a promise of how it closed */

async function connect(path, { protocols = [], to = nginx,
                               ...options } = {}) {
    const ws = new WebSocket(`ws://${to.host}${path}`, protocols,
                             { perMessageDeflate: false, ...options });
    const inbox = new Inbox();

    ws.on('message', (data, binary) => {
        inbox.put(binary ? data : data.toString());
    });

    const closed = new Promise((done) => {
        ws.on('close', (code, reason) => {
            done({ code, reason: reason.toString() });
        });
    });

    await new Promise((done, fail) => {
        ws.on('open', done);
        ws.on('unexpected-response', (_, r) => {
            fail(new Error(`status ${r.statusCode}`));
            ws.terminate();
        });
        ws.on('error', fail);
    });

    return { ws, inbox, closed, take: async () => inbox.take(),
             json: async () => JSON.parse(await inbox.take()),
             close: async () => { ws.close(1000); await closed; } };
}


test('bare messages, text and binary', async () => {
    const c = await connect('/sub/bare');

    await nginx.publish('bare', 'grüße, 世界 🎈');
    await nginx.publish('bare', '');
    await nginx.publish('bare', new Uint8Array([0, 255, 128, 10]),
                        { 'Content-Type': 'application/octet-stream' });
    await nginx.publish('other', 'not for us');
    await nginx.publish('bare', '{"a":1}',
                        { 'Content-Type': 'application/json' });

    assert.equal(await c.take(), 'grüße, 世界 🎈');
    assert.equal(await c.take(), '');
    assert.deepEqual(await c.take(), Buffer.from([0, 255, 128, 10]));
    assert.equal(await c.take(), '{"a":1}');

    await c.close();
});


for (const [name, path, protocols] of [
    ['?envelope=1', '/sub/env?envelope=1', []],
    ['the subprotocol', '/sub/env', ['other', 'realtime.json']],
    ['realtime_envelope', '/json/env', []]])
{
    test(`envelopes by ${name}`, async () => {
        const c = await connect(path, { protocols });

        assert.equal(c.ws.protocol, protocols.length ? 'realtime.json' : '');

        const { open, ...rest } = await c.json();

        assert.deepEqual(rest, {});
        seq(open.id);

        const before = Date.now();
        const a = await nginx.publish('env', 'line "1"\nline 2\u0007',
                                      { 'Content-Type': 'text/plain',
                                        'Realtime-Event': 'greet' });
        const b = await nginx.publish('env', new Uint8Array([1, 2, 250]),
                                      { 'Content-Type': 'image/png' });

        const { time, ...text } = await c.json();

        assert.deepEqual(text, { id: a.id, topic: 'env', event: 'greet',
                                 type: 'text/plain',
                                 data: 'line "1"\nline 2\u0007' });
        assert.ok(time >= before - 1000 && time <= Date.now() + 1000);

        const binary = await c.json();

        assert.equal(binary.id, b.id);
        assert.equal(binary.type, 'image/png');
        assert.equal(binary.base64, 'AQL6');
        assert.ok(!('data' in binary) && !('event' in binary));

        await c.close();
    });
}


test('what is sent over the socket is published', async () => {
    const [a, b] = await Promise.all([connect('/room/talk'),
                                      connect('/room/talk?envelope=1')]);
    const { open } = await b.json();

    a.ws.send('from a');
    assert.equal(await a.take(), 'from a');

    const m = await b.json();

    assert.equal(m.data, 'from a');
    assert.equal(m.topic, 'room/talk');
    assert.ok(seq(m.id) > seq(open.id));

    /* bare in either mode */

    b.ws.send('{"data":"from b"}');
    assert.equal(await a.take(), '{"data":"from b"}');
    assert.equal((await b.json()).data, '{"data":"from b"}');

    a.ws.send(Buffer.from([1, 0, 255]));
    assert.deepEqual(await a.take(), Buffer.from([1, 0, 255]));
    assert.equal((await b.json()).base64, 'AQD/');

    await nginx.publish('room/talk', 'over HTTP');
    assert.equal(await a.take(), 'over HTTP');

    await Promise.all([a.close(), b.close()]);
});


test('messages sent in one go keep their order', async () => {
    const a = await connect('/room/order');

    for (let i = 0; i < 500; i++) {
        a.ws.send(String(i));
    }

    const got = await a.inbox.many(500);

    assert.deepEqual(got, Array.from({ length: 500 }, (_, i) => String(i)));

    await a.close();
});


test('sizes around the borders of the frame', async () => {
    const a = await connect('/room/size');

    for (const n of [0, 1, 125, 126, 127, 4096, 65535, LIMIT]) {
        const text = 'x'.repeat(n);
        const binary = Buffer.alloc(n, 0xfe);

        a.ws.send(text);
        assert.equal(await a.take(), text, `${n} bytes of text`);

        a.ws.send(binary);
        assert.ok(binary.equals(await a.take()), `${n} bytes`);

        await nginx.publish('room/size', text);
        assert.equal(await a.take(), text, `${n} bytes by POST`);
    }

    await a.close();
});


test('fragmented messages, with a ping between', async () => {
    const a = await connect('/room/parts');

    a.ws.send('one ', { fin: false });
    a.ws.send('two ', { fin: false });

    const pong = new Promise((done) => a.ws.once('pong', done));

    a.ws.ping('between');
    assert.equal((await pong).toString(), 'between');

    a.ws.send('three', { fin: true });
    assert.equal(await a.take(), 'one two three');

    /* a character in two frames */

    const heart = Buffer.from('♥');

    a.ws.send(heart.subarray(0, 1), { fin: false, binary: false });
    a.ws.send(heart.subarray(1), { fin: true, binary: false });
    assert.equal(await a.take(), '♥');

    a.ws.send(Buffer.from([1, 2]), { fin: false });
    a.ws.send(Buffer.from([]), { fin: false });
    a.ws.send(Buffer.from([3]), { fin: true });
    assert.deepEqual(await a.take(), Buffer.from([1, 2, 3]));

    await a.close();
});


test('fragments that together are too large', async () => {
    const a = await connect('/room/large');

    a.ws.send('x'.repeat(LIMIT), { fin: false });
    a.ws.send('x', { fin: true });

    assert.equal((await a.closed).code, 1009);
});


test('the server pings, and who answers stays', async () => {
    const c = await connect('/busy/ping');
    let pings = 0;

    c.ws.on('ping', () => pings++);
    await until(() => pings >= 5, 'five pings');

    await nginx.publish('ping', 'still here');
    assert.equal(await c.take(), 'still here');

    await c.close();
});


test('who answers no ping twice is closed', async () => {
    const c = await connect('/busy/mute', { autoPong: false });
    let pings = 0;

    c.ws.on('ping', () => pings++);
    await c.closed;

    assert.ok(pings >= 1 && pings <= 3, `${pings} pings`);
});


test('pings of every size are answered', async () => {
    const c = await connect('/sub/pong');

    for (const n of [0, 1, 125]) {
        const payload = Buffer.alloc(n, 'p');
        const pong = new Promise((done) => c.ws.once('pong', done));

        c.ws.ping(payload);
        assert.deepEqual(await pong, payload);
    }

    await c.close();
});


test('closing: the code comes back', async () => {
    for (const code of [1000, 1001, 3000, 4999]) {
        const c = await connect('/sub/bye');

        c.ws.close(code, 'bye');
        assert.equal((await c.closed).code, code);
    }

    const c = await connect('/sub/bye');

    c.ws.close();                       /* no code at all: 1005 or 1000 */
    assert.ok([1000, 1005].includes((await c.closed).code));
});


test('closing: publishing where nothing may be published', async () => {
    const c = await connect('/sub/readonly');

    c.ws.send('may I?');
    assert.equal((await c.closed).code, 1008);
});


test('closing: a text that is not UTF-8', async () => {
    const c = await connect('/room/bad');

    c.ws.send(Buffer.from([0x61, 0xff]), { binary: false });
    assert.equal((await c.closed).code, 1007);
});


test('closing: a message too large', async () => {
    const c = await connect('/room/bad');

    c.ws.send('x'.repeat(LIMIT + 1));
    assert.equal((await c.closed).code, 1009);
});


test('closing: a frame without a mask', async () => {
    const c = await connect('/room/bad');

    c.ws.send('bare', { mask: false });
    assert.equal((await c.closed).code, 1002);
});


test('closing: too many messages', async () => {
    const to = await start({ server: 'realtime_message_rate 1/s burst=2;' });
    const c = await connect('/room/much', { to });

    for (let i = 0; i < 20; i++) {
        c.ws.send(String(i));
    }

    assert.equal((await c.closed).code, 1008);
    await to.stop();
});


test('closing: a gap that a bare socket cannot tell', async () => {
    const { id } = await nginx.publish('gap', 'here');
    const epoch = id.split('-')[0];
    const stranger = `${epoch === '1' ? '2' : '1'}-7`;

    const bare = await connect(`/sub/gap?last_event_id=${stranger}`);
    const { code, reason } = await bare.closed;

    assert.equal(code, 4000);
    assert.match(reason, /epoch/);

    const env = await connect(
                         `/sub/gap?envelope=1&last_event_id=${stranger}`);
    const items = (await env.inbox.many(3)).map((text) => JSON.parse(text));

    assert.ok(items[0].open);
    assert.equal(items[1].gap.reason, 'epoch');
    assert.equal(items[1].gap.from, stranger);
    assert.equal(items[1].gap.topic, 'gap');
    assert.equal(items[2].data, 'here');

    await env.close();
});


test('resuming with the last id', async () => {
    const c = await connect('/sub/resume?envelope=1');

    assert.ok((await c.json()).open);

    const { id } = await nginx.publish('resume', 'one');

    assert.equal((await c.json()).id, id);
    await c.close();

    await nginx.publish('resume', 'two');
    await nginx.publish('resume', 'three');

    const bare = await connect(`/sub/resume?last_event_id=${id}`);

    assert.deepEqual(await bare.inbox.many(2), ['two', 'three']);
    await nginx.publish('resume', 'four');
    assert.equal(await bare.take(), 'four');
    await bare.close();

    /* the header wins */

    const header = await connect('/sub/resume?last_event_id=earliest',
                                 { headers: { 'Last-Event-ID': id } });

    assert.deepEqual(await header.inbox.many(3), ['two', 'three', 'four']);
    await header.close();
});


test('origins: the same, another, none', async () => {
    const same = await connect('/sub/a', { origin: nginx.url });

    await same.close();
    await assert.rejects(connect('/sub/a', { origin: 'http://evil.example' }),
                         /status 403/);
});


/* the server may agree to compress, or not: either has to work */

for (const options of [
    true,
    { threshold: 0 },
    { threshold: 0, serverNoContextTakeover: true },
    { threshold: 0, clientNoContextTakeover: true },
    { threshold: 0, clientMaxWindowBits: 10, serverMaxWindowBits: 10 }])
{
    test(`compression offered: ${JSON.stringify(options)}`, async () => {
        const a = await connect('/room/deflate',
                                { perMessageDeflate: options });
        const plain = await connect('/room/deflate');
        const texts = ['short', 'long '.repeat(200), 'ünï '.repeat(5000),
                       'long '.repeat(200), '{"again":1}'.repeat(100)];

        for (const text of texts) {
            a.ws.send(text);
            assert.equal(await a.take(), text);
            assert.equal(await plain.take(), text);
        }

        a.ws.send('part '.repeat(100), { fin: false });
        a.ws.send('and '.repeat(100), { fin: false });
        a.ws.send('rest', { fin: true });
        assert.equal(await a.take(),
                     'part '.repeat(100) + 'and '.repeat(100) + 'rest');
        assert.ok((await plain.take()).endsWith('rest'));

        const binary = Buffer.alloc(3000, 7);

        a.ws.send(binary);
        assert.ok(binary.equals(await a.take()));
        assert.ok(binary.equals(await plain.take()));

        await Promise.all([a.close(), plain.close()]);
    });
}


test('compression: what unfolds to more than allowed', async () => {
    const a = await connect('/room/bomb',
                            { perMessageDeflate: { threshold: 0 } });

    a.ws.send('0'.repeat(LIMIT * 20));
    assert.equal((await a.closed).code, 1009);
});


test('a reload says 1012, and the id resumes in the new process', async () => {
    const c = await connect('/sub/reload?envelope=1');

    await c.json();

    const { id } = await nginx.publish('reload', 'before');

    assert.equal((await c.json()).id, id);

    await nginx.reload();
    assert.equal((await c.closed).code, 1012);
    await nginx.publish('reload', 'after');

    const again = await connect(`/sub/reload?last_event_id=${id}`);

    assert.equal(await again.take(), 'after');
    await again.close();
});


test('nobody is left, and nginx ends cleanly', async () => {
    await nginx.subscribers('websocket', 0);
    await nginx.stop();
});
