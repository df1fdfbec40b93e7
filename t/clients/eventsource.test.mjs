/*
 * The eventsource package as a client: the browser's EventSource, in Node.
 */

import assert from 'node:assert/strict';
import { EventSource } from 'eventsource';
import { Inbox, seq, start, test, until } from './harness.mjs';


const nginx = await start({ server: `
        realtime_history count=10000;
        location ~ ^/short/(.+)$ {
            realtime_subscribe $1 patterns;
            realtime_history count=3;
        }` });


/*
 * An EventSource with its events in an inbox.  Its requests are kept, and may
 * be held back at a gate, so that a test says when it comes back.
 */

async function connect(path, names = []) {
    const inbox = new Inbox();
    const client = { inbox, requests: [], gate: Promise.resolve() };

    const es = client.es = new EventSource(nginx.url + path, {
        fetch: async (url, init) => {
            await client.gate;
            client.requests.push(init.headers['Last-Event-ID'] ?? null);
            return fetch(url, init);
        }
    });

    for (const name of ['message', ...names]) {
        es.addEventListener(name, ({ type, data, lastEventId }) => {
            inbox.put({ type, data, id: lastEventId });
        });
    }

    client.take = async () => inbox.take();
    client.opened = () => new Promise((done) => {
        es.addEventListener('open', done, { once: true });
    });
    client.hold = () => {
        client.gate = new Promise((done) => {
            client.release = () => {
                client.gate = Promise.resolve();
                done();
            };
        });
    };

    await client.opened();

    return client;
}


test('messages come with their ids, in order', async () => {
    const c = await connect('/sub/plain');
    const sent = [];

    for (const text of ['one', 'grüße 世界 🎈', ' a space in front', '',
                        'data: not a field', ':not a comment'])
    {
        sent.push({ type: 'message', data: text,
                    id: (await nginx.publish('plain', text)).id });
    }

    assert.deepEqual(await c.inbox.many(sent.length), sent);

    c.es.close();
});


test('named events reach their listeners only', async () => {
    const c = await connect('/sub/named', ['price', 'größe']);

    const name = (text) => Buffer.from(text).toString('latin1');

    await nginx.publish('named', 'a', { 'Realtime-Event': 'price' });
    await nginx.publish('named', 'b', { 'Realtime-Event': 'nobody' });
    await nginx.publish('named', 'c', { 'Realtime-Event': name('größe') });
    await nginx.publish('named', 'd');

    const got = await c.inbox.many(3);

    assert.deepEqual(got.map(({ type, data }) => [type, data]),
                     [['price', 'a'], ['größe', 'c'], ['message', 'd']]);

    c.es.close();
});


test('several lines', async () => {
    const c = await connect('/sub/lines');

    for (const [text, seen] of [
        ['a\nb', 'a\nb'], ['a\r\nb\rc', 'a\nb\nc'], ['a\n', 'a\n'],
        ['\n\n', '\n\n'], ['\r\n', '\n'], ['a\n\nid: 7\n', 'a\n\nid: 7\n'],
        ['x\n'.repeat(1000), 'x\n'.repeat(1000)]])
    {
        await nginx.publish('lines', text);
        assert.equal((await c.take()).data, seen, JSON.stringify(text));
    }

    c.es.close();
});


test('binary messages are base64', async () => {
    const c = await connect('/sub/binary', ['realtime:binary', 'image']);
    const type = { 'Content-Type': 'application/octet-stream' };
    const bytes = new Uint8Array(300).map((_, i) => i);

    await nginx.publish('binary', bytes, type);
    await nginx.publish('binary', bytes.subarray(0, 4),
                        { ...type, 'Realtime-Event': 'image' });
    await nginx.publish('binary', new Uint8Array(0), type);

    const [a, b, empty] = await c.inbox.many(3);

    assert.equal(a.type, 'realtime:binary');
    assert.deepEqual(Buffer.from(a.data, 'base64'), Buffer.from(bytes));
    assert.equal(b.type, 'image');
    assert.equal(b.data, 'AAECAw==');
    assert.equal(empty.type, 'realtime:binary');
    assert.equal(empty.data, '');

    c.es.close();
});


test('envelopes', async () => {
    const c = await connect('/sub/env?envelope=1');
    const opened = await c.take();

    assert.deepEqual(JSON.parse(opened.data), { open: { id: opened.id } });

    const { id } = await nginx.publish('env', 'two\nlines');
    const event = await c.take();

    assert.equal(event.id, id);

    const m = JSON.parse(event.data);

    assert.equal(m.id, id);
    assert.equal(m.topic, 'env');
    assert.equal(m.data, 'two\nlines');

    c.es.close();
});


test('several topics over one connection', async () => {
    const c = await connect('/sub/many/a,many/b,many/c/**?envelope=1');

    assert.ok(JSON.parse((await c.take()).data).open);

    for (const topic of ['many/a', 'many/d', 'many/b', 'many/c/1/2', 'many/c'])
    {
        await nginx.publish(topic, topic);
    }

    await nginx.publish('many/a', 'end');

    const got = (await c.inbox.many(4)).map((e) => JSON.parse(e.data));

    assert.deepEqual(got.map((m) => m.data),
                     ['many/a', 'many/b', 'many/c/1/2', 'end']);
    c.es.close();
});


/*
 * The package's own reconnect: it sends the last id, and what was published
 * meanwhile comes first.
 */

test('the process is killed before any message: nothing is lost', async () => {
    const c = await connect('/sub/early', ['realtime:open']);
    const open = await c.take();

    assert.equal(open.type, 'realtime:open');
    assert.equal(JSON.parse(open.data).id, open.id);

    c.hold();
    await nginx.killWorker();
    await nginx.publish('early', 'meanwhile');
    c.release();

    assert.equal((await c.take()).id, open.id, 'where it goes on');
    assert.equal((await c.take()).data, 'meanwhile');
    assert.deepEqual(c.requests, [null, open.id]);

    c.es.close();
});


test('the process is killed: nothing is lost', async () => {
    const c = await connect('/sub/killed');
    const { id } = await nginx.publish('killed', 'before');

    assert.equal((await c.take()).id, id);

    c.hold();
    await nginx.killWorker();
    await nginx.publish('killed', 'meanwhile 1');
    await nginx.publish('killed', 'meanwhile 2');
    assert.equal(c.inbox.items.length, 0);

    c.release();

    const got = (await c.inbox.many(2)).map((e) => e.data);

    assert.deepEqual(got, ['meanwhile 1', 'meanwhile 2']);
    assert.deepEqual(c.requests, [null, id]);

    await nginx.publish('killed', 'after');
    assert.equal((await c.take()).data, 'after');

    c.es.close();
});


test('killed again and again while messages come', async () => {
    const c = await connect('/sub/again');
    const sent = [];
    let going = true;

    const publisher = (async () => {
        while (going) {
            const text = `message ${sent.length}`;

            try {
                await nginx.publish('again', text);
                sent.push(text);

            } catch (e) {
                if (e.code !== 'ECONNRESET') {
                    throw e;
                }

                /* cut off: it may have been published, or not */

                sent.push({ maybe: text });
            }
        }
    })();

    for (let i = 0; i < 3; i++) {
        const n = sent.length;

        await until(() => sent.length > n + 30, 'messages are published');

        const opened = c.opened();

        await nginx.killWorker();
        await opened;
    }

    going = false;
    await publisher;
    await nginx.publish('again', 'end');

    for (const text of [...sent, 'end']) {
        const next = c.inbox.items[0]?.data;

        if (text.maybe) {
            if (next === text.maybe) {
                await c.take();
            }

        } else {
            assert.equal((await c.take()).data, text);
        }
    }

    assert.equal(c.inbox.items.length, 0);
    assert.ok(c.requests.length >= 4);

    c.es.close();
});


test('a reload: the stream ends, and goes on in the new process', async () => {
    const c = await connect('/sub/reload');
    const { id } = await nginx.publish('reload', 'before');

    assert.equal((await c.take()).id, id);

    c.hold();
    await nginx.reload();
    await until(() => c.es.readyState === EventSource.CONNECTING,
                'the stream ends');
    await nginx.publish('reload', 'meanwhile');
    c.release();

    assert.equal((await c.take()).data, 'meanwhile');

    /*
     * fetch() may hold a connection that the old process has accepted; it is
     * answered there, ended at once, and tried again.
     */

    assert.ok(c.requests.length >= 2);
    assert.ok(c.requests.slice(1).every((last) => last === id));

    c.es.close();
});


test('a gap is told', async () => {
    const ids = [];

    for (let i = 0; i < 6; i++) {
        ids.push((await nginx.publish('gap', String(i))).id);
    }

    const c = await connect(`/short/gap?last_event_id=${ids[0]}`,
                            ['realtime:gap']);
    const [gap, ...rest] = await c.inbox.many(4);

    assert.equal(gap.type, 'realtime:gap');

    const told = JSON.parse(gap.data);

    assert.equal(told.topic, 'gap');
    assert.equal(told.reason, 'history');
    assert.equal(told.from, ids[0]);
    assert.equal(told.to, gap.id);
    assert.ok(seq(told.to) >= seq(ids[2]) && seq(told.to) < seq(ids[3]));
    assert.deepEqual(rest.map((e) => [e.id, e.data]),
                     [[ids[3], '3'], [ids[4], '4'], [ids[5], '5']]);

    c.es.close();
});


test('an id of another server: a gap, and it goes on', async () => {
    const { id } = await nginx.publish('moved', 'kept');
    const c = await connect('/sub/moved?last_event_id=nonsense',
                            ['realtime:gap']);
    const [gap, kept] = await c.inbox.many(2);

    assert.equal(JSON.parse(gap.data).reason, 'epoch');
    assert.deepEqual([kept.id, kept.data], [id, 'kept']);

    c.es.close();
});


test('an error status ends it', async () => {
    const es = new EventSource(`${nginx.url}/sub/a,,b`);
    const e = await new Promise((done) => es.addEventListener('error', done));

    assert.equal(e.code, 400);
    assert.equal(es.readyState, EventSource.CLOSED);
});


test('nobody is left, and nginx ends cleanly', async () => {
    await nginx.subscribers('sse', 0);
    await nginx.stop();
});
