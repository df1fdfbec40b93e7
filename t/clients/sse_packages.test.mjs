/*
 * Clients of event streams that are no EventSource, as they come from npm:
 * @microsoft/fetch-event-source, which takes each block for a message, and
 * event-source-polyfill, which has the last id in its query.
 */

import assert from 'node:assert/strict';
import { Inbox, start, test, until } from './harness.mjs';


const { fetchEventSource } = await import('@microsoft/fetch-event-source');
const { EventSourcePolyfill } = (await import('event-source-polyfill')).default;

/* what the first of them uses of a page */

globalThis.window = globalThis;
globalThis.document = {
    hidden: false, addEventListener() {}, removeEventListener() {}
};

const nginx = await start({ server: `
        location ~ ^/brief/(.+)$ {
            realtime_subscribe $1;
            realtime_keepalive 100ms;
        }` });


/* with messages that are JSON, as its README has them */

function follow(path, options = {}) {
    const c = { inbox: new Inbox(), requests: 0, errors: [],
                end: new AbortController(), beats: 0 };

    /* keepalives, of which it says nothing */

    async function count(body) {
        for await (const part of body.pipeThrough(new TextDecoderStream())) {
            c.beats += part.match(/^:$/gm)?.length ?? 0;
        }
    }

    c.opened = new Promise((done) => {
        c.done = fetchEventSource(nginx.url + path, {
            openWhenHidden: true,
            signal: c.end.signal,
            onopen: async (r) => {
                assert.equal(r.status, 200);
                c.requests++;
                done();
            },
            fetch: async (url, init) => {
                const r = await fetch(url, init);
                const [ours, its] = r.body.tee();

                count(ours).catch(() => {});

                return new Response(its, r);
            },
            onmessage: (m) => c.inbox.put({ ...m, data: JSON.parse(m.data) }),
            onerror: (e) => {
                c.errors.push(e);
                return 10;
            },
            ...options
        });
    });

    return c;
}


test('fetch-event-source: messages, and nothing else', async () => {
    const c = follow('/brief/plain');

    await c.opened;

    for (let n = 1; n <= 3; n++) {
        const { id } = await nginx.publish('plain', `{"n":${n}}`);
        const m = await c.inbox.take();

        assert.deepEqual(m.data, { n });
        assert.equal(m.id, id);
        assert.equal(m.event, '');
    }

    await until(() => c.beats >= 3, 'keepalives');

    await nginx.publish('plain', '{"n":4}');
    assert.deepEqual((await c.inbox.take()).data, { n: 4 });

    assert.deepEqual(c.errors, []);
    assert.equal(c.requests, 1);

    c.end.abort();
    await c.done;
});


test('fetch-event-source: it comes back with its id', async () => {
    const c = follow('/sub/back');

    await c.opened;
    await nginx.publish('back', '"before any message"');
    assert.equal((await c.inbox.take()).data, 'before any message');

    await nginx.reload();

    await nginx.publish('back', '"after"');
    assert.equal((await c.inbox.take()).data, 'after');

    c.end.abort();
    await c.done;
});


test('fetch-event-source: what has no cache tells where it begins',
     async () => {
    const c = follow('/sub/nocache', { cache: 'no-store' });

    await c.opened;

    const m = await c.inbox.take();

    assert.equal(m.event, 'realtime:open');
    assert.equal(m.data.id, m.id);

    c.end.abort();
    await c.done;
});


test('fetch-event-source: envelopes with JSON in them', async () => {
    const c = follow('/sub/enveloped?envelope=2');

    await c.opened;

    assert.ok((await c.inbox.take()).data.open.id);

    await nginx.publish('enveloped', '{"n":[1,2]}',
                        { 'Content-Type': 'application/json',
                          'Realtime-Event': 'named' });

    const m = await c.inbox.take();

    assert.deepEqual(m.data.json, { n: [1, 2] });
    assert.equal(m.data.event, 'named');
    assert.equal(m.event, '', 'its name is in the JSON');

    c.end.abort();
    await c.done;
});


test('event-source-polyfill: it comes back with lastEventId', async () => {
    const inbox = new Inbox();
    const es = new EventSourcePolyfill(`${nginx.url}/sub/poly`);

    es.onmessage = (m) => inbox.put(m);

    await until(() => es.readyState === 1, 'it is open');

    const { id } = await nginx.publish('poly', 'one');

    assert.equal((await inbox.take()).data, 'one');

    await nginx.reload();
    await nginx.publish('poly', 'two');

    const two = await inbox.take();

    assert.equal(two.data, 'two');
    assert.notEqual(two.lastEventId, id);

    es.close();
});


test('event-source-polyfill: an id of another server', async () => {
    const inbox = new Inbox();

    await nginx.publish('moved', 'kept');

    const es = new EventSourcePolyfill(
        `${nginx.url}/sub/moved?lastEventId=12345`);

    es.addEventListener('realtime:gap', (m) => inbox.put(m));
    es.onmessage = (m) => inbox.put(m);

    const gap = await inbox.take();

    assert.equal(JSON.parse(gap.data).reason, 'epoch');
    assert.equal((await inbox.take()).data, 'kept');

    es.close();
});


test('a clean end', () => nginx.stop());
