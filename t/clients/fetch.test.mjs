/*
 * fetch() as a client: long-poll and the ndjson stream need nothing else.
 */

import assert from 'node:assert/strict';
import * as net from 'node:net';
import { Inbox, seq, start, test } from './harness.mjs';


const nginx = await start();


/* one poll: the messages, and where to go on */

async function poll(topic, { last, wait, signal } = {}) {
    const headers = { Accept: 'application/json' };

    if (last) {
        headers['Last-Event-ID'] = last;
    }

    if (wait !== undefined) {
        headers.Prefer = `wait=${wait}`;
    }

    const r = await fetch(`${nginx.url}/sub/${topic}`, { headers, signal });

    assert.equal(r.status, 200);
    assert.match(r.headers.get('Content-Type'), /^application\/json\b/);
    assert.equal(r.headers.get('Cache-Control'), 'no-cache');
    assert.equal(r.headers.get('X-Accel-Buffering'), 'no');

    return { messages: await r.json(),
             last: r.headers.get('Realtime-Last-Id') };
}


/* a stream: its lines in an inbox, and a promise of its end */

async function stream(topic, { last, signal } = {}) {
    const headers = { Accept: 'application/x-ndjson' };

    if (last) {
        headers['Last-Event-ID'] = last;
    }

    const r = await fetch(`${nginx.url}/sub/${topic}`, { headers, signal });

    assert.equal(r.status, 200);
    assert.match(r.headers.get('Content-Type'), /^application\/x-ndjson\b/);
    seq(r.headers.get('Realtime-Last-Id'));

    const inbox = new Inbox();

    const ended = (async () => {
        let rest = '';

        for await (const chunk of r.body.pipeThrough(new TextDecoderStream()))
        {
            const lines = (rest + chunk).split('\n');

            rest = lines.pop();
            lines.filter(Boolean).forEach((l) => inbox.put(JSON.parse(l)));
        }

        assert.equal(rest, '', 'whole lines only');
    })();

    ended.catch(() => {});          /* looked at by who awaits it */

    return { inbox, ended, take: async () => inbox.take() };
}


test('a poll answers at once when there is something', async () => {
    const { last } = await poll('now', { wait: 0 });

    const a = await nginx.publish('now', 'one');
    const b = await nginx.publish('now', new Uint8Array([255]),
                                  { 'Content-Type': 'image/png',
                                    'Realtime-Event': 'pic' });
    const got = await poll('now', { last });
    const [one, two] = got.messages.map(({ time, ...m }) => m);

    assert.equal(one.id, a.id);
    assert.equal(one.topic, 'now');
    assert.equal(one.data, 'one');
    assert.deepEqual(two, { id: b.id, topic: 'now', event: 'pic',
                            type: 'image/png', base64: '/w==' });
    assert.equal(seq(got.last), seq(b.id));

    assert.deepEqual((await poll('now', { last: got.last, wait: 0 })).messages,
                     []);
});


test('earliest, and a gap of another epoch', async () => {
    const { id } = await nginx.publish('past', 'one');

    await nginx.publish('past', 'two');

    const all = await poll('past', { last: 'earliest' });

    assert.deepEqual(all.messages.map((m) => m.data), ['one', 'two']);

    const stranger = `${id.split('-')[0] === '1' ? '2' : '1'}-9`;
    const { messages } = await poll('past', { last: stranger });

    assert.deepEqual(Object.keys(messages[0]), ['gap']);
    assert.equal(messages[0].gap.from, stranger);
    assert.equal(messages[0].gap.reason, 'epoch');
    assert.deepEqual(messages.slice(1).map((m) => m.data), ['one', 'two']);
});


test('a poll waits for the next message', async () => {
    const { last } = await poll('later', { wait: 0 });
    const waiting = poll('later', { last });

    await nginx.subscribers('poll', 1);

    const { id, subscribers } = await nginx.publish('later', 'here');

    assert.equal(subscribers, 1);

    const got = await waiting;

    assert.equal(got.messages.length, 1);
    assert.equal(got.messages[0].data, 'here');
    assert.equal(got.last, id);
});


test('a poll gives up when asked to', async () => {
    const began = Date.now();
    const { messages, last } = await poll('never', { wait: 1 });

    assert.deepEqual(messages, []);
    assert.ok(Date.now() - began >= 900);
    seq(last);
});


test('a poll loop loses nothing and doubles nothing', async () => {
    const N = 100;
    const got = [];
    let { last } = await poll('loop', { wait: 0 });

    const publisher = (async () => {
        for (let i = 0; i < N; i++) {
            await nginx.publish('loop', String(i));
        }
    })();

    while (got.length < N) {
        const answer = await poll('loop', { last });

        assert.ok(answer.messages.length > 0);
        assert.equal(answer.last, answer.messages.at(-1).id);
        got.push(...answer.messages.map((m) => Number(m.data)));
        last = answer.last;
    }

    await publisher;
    assert.deepEqual(got, Array.from({ length: N }, (_, i) => i));
});


test('a poll that is reloaded away gets an empty answer', async () => {
    const { last } = await poll('drain', { wait: 0 });
    const waiting = poll('drain', { last });

    await nginx.subscribers('poll', 1);
    await nginx.reload();

    const empty = await waiting;

    assert.deepEqual(empty.messages, []);

    await nginx.publish('drain', 'after');
    assert.equal((await poll('drain', { last: empty.last })).messages[0].data,
                 'after');
    await nginx.alone();
});


/*
 * fetch() connects ahead of its requests, so one may reach a process that is
 * already leaving.  Whatever it answers, what the client is to know must come,
 * now or when it asks again.
 */

test('a poll that comes to a leaving process loses nothing', async () => {
    const { id } = await nginx.publish('leaving', 'one');
    const stranger = `${id.split('-')[0] === '1' ? '2' : '1'}-9`;
    const socket = net.connect(nginx.port, '127.0.0.1');
    const waiting = poll('leaving', { last: id });

    await new Promise((done) => socket.on('connect', done));
    await nginx.subscribers('poll', 1);
    await nginx.reload();

    let text = '';

    socket.setEncoding('utf8');
    socket.on('data', (part) => text += part);
    socket.write('GET /sub/leaving HTTP/1.1\r\nHost: localhost\r\n'
                 + `Accept: application/json\r\nLast-Event-ID: ${stranger}`
                 + '\r\n\r\n');

    await new Promise((done) => socket.on('close', done));

    const items = JSON.parse(text.split('\r\n\r\n')[1]);
    const [, last] = /^Realtime-Last-Id: (.*)\r$/m.exec(text);

    items.push(...(await poll('leaving', { last, wait: 0 })).messages);

    assert.equal(items[0]?.gap?.reason, 'epoch');
    assert.equal(items[0].gap.from, stranger);
    assert.deepEqual(items.slice(1).map((m) => m.data), ['one']);
    assert.deepEqual((await waiting).messages, []);
    await nginx.alone();
});


test('the ndjson stream', async () => {
    const abort = new AbortController();
    const s = await stream('lines', { signal: abort.signal });
    const { open } = await s.take();

    seq(open.id);

    const text = 'line\nfeed "quoted" \u0001 世界';
    const { id } = await nginx.publish('lines', text,
                                       { 'Realtime-Event': 'e' });
    const m = await s.take();

    assert.equal(m.id, id);
    assert.equal(m.topic, 'lines');
    assert.equal(m.event, 'e');
    assert.equal(m.data, text);

    const big = 'x'.repeat(60_000);

    await nginx.publish('lines', big);
    assert.equal((await s.take()).data, big);

    abort.abort();
    await assert.rejects(s.ended, { name: 'AbortError' });

    await nginx.publish('lines', 'missed');

    const again = await stream('lines', { last: id });
    const [opened, second, third] = await again.inbox.many(3);

    assert.equal(opened.open.id, id);
    assert.equal(second.data, big);
    assert.equal(third.data, 'missed');

    await nginx.reload();
    await again.ended;
    await nginx.alone();
});


test('an aborted poll and an aborted stream are gone', async () => {
    const abort = new AbortController();
    const { signal } = abort;
    const { last } = await poll('gone', { wait: 0 });
    const polls = [1, 2, 3].map(() => poll('gone', { last, signal }));
    const streams = await Promise.all([1, 2].map(() => stream('gone',
                                                              { signal })));

    await nginx.subscribers('poll', 3);
    await nginx.subscribers('stream', 2);

    abort.abort();

    for (const p of [...polls, ...streams.map((s) => s.ended)]) {
        await assert.rejects(p, { name: 'AbortError' });
    }

    await nginx.subscribers('poll', 0);
    await nginx.subscribers('stream', 0);

    assert.equal((await nginx.publish('gone', 'to nobody')).subscribers, 0);
});


test('an aborted publication leaves nothing half done', async () => {
    const { last } = await poll('half', { wait: 0 });
    const abort = new AbortController();

    const body = new ReadableStream({
        start(controller) {
            controller.enqueue(new TextEncoder().encode('half a message'));
        }
    });

    const half = fetch(`${nginx.url}/pub/half`,
                       { method: 'POST', body, duplex: 'half',
                         signal: abort.signal });

    await nginx.publish('other', 'meanwhile');
    abort.abort();
    await assert.rejects(half, { name: 'AbortError' });

    await nginx.publish('half', 'whole');
    assert.deepEqual((await poll('half', { last })).messages
                         .map((m) => m.data), ['whole']);
});


test('a body that is streamed is one message', async () => {
    const { last } = await poll('chunks', { wait: 0 });
    const parts = ['one ', 'two ', 'three'].map((s) =>
                                             new TextEncoder().encode(s));

    const r = await fetch(`${nginx.url}/pub/chunks`, {
        method: 'POST', duplex: 'half',
        headers: { 'Content-Type': 'text/plain' },
        body: new ReadableStream({
            pull(controller) {
                if (parts.length) {
                    controller.enqueue(parts.shift());
                } else {
                    controller.close();
                }
            }
        })
    });

    assert.equal(r.status, 201);
    assert.equal((await poll('chunks', { last })).messages[0].data,
                 'one two three');
});


test('errors are JSON with a reason', async () => {
    for (const [path, method, headers, status] of [
        ['/pub/a*b', 'POST', {}, 400],
        ['/pub/a,b', 'POST', {}, 400],
        ['/pub/a', 'POST', { 'Realtime-Event': 'realtime:gap' }, 400],
        ['/sub/**/a', 'GET', { Accept: 'text/event-stream' }, 400]])
    {
        const r = await fetch(nginx.url + path, { method, headers });

        assert.equal(r.status, status, path);
        assert.ok((await r.json()).error, path);
    }

    const large = await fetch(`${nginx.url}/pub/a`,
                              { method: 'POST', body: 'x'.repeat(65_537) });

    assert.equal(large.status, 413);
    assert.ok((await large.json()).error);
});


test('nobody is left, and nginx ends cleanly', async () => {
    await nginx.subscribers('poll', 0);
    await nginx.subscribers('stream', 0);
    await nginx.stop();
});
