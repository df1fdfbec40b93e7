/*
 * A session of "realtime.json" from JavaScript, with the ws package: a promise
 * for each operation, a callback for each topic, a thousand topics, and coming
 * back after a reload.
 */

import assert from 'node:assert/strict';
import { WebSocket } from 'ws';
import { start, test as always, until } from './harness.mjs';


const CONF = `
        location = /ws {
            realtime_subscribe room/**;
            realtime_publish   room/** websocket;
            realtime_protocol  native;
            realtime_keepalive 500ms;
        }`;

/* older modules know no "websocket", or no sessions at all */

async function startWith(server) {
    try {
        return await start({ workers: 2, server });

    } catch (e) {
        if (/unknown directive "realtime_protocol"/.test(e.message)) {
            return null;
        }

        if (/invalid parameter "websocket"/.test(e.message)) {
            return startWith(server.replace(' websocket;', ';'));
        }

        throw e;
    }
}


const nginx = await startWith(CONF);

const test = (name, run) =>
    always(name, { skip: nginx ? false : 'no realtime_protocol' }, run);


/* What a program would write: 60 lines are enough for all of it. */

class Session {
    refs = 0;
    waiting = new Map();
    topics = new Map();
    pings = 0;
    gaps = [];
    strange = [];

    static async open(url) {
        const session = new Session();

        session.ws = new WebSocket(url, 'realtime.json',
                                   { perMessageDeflate: false });

        session.closed = new Promise((done) => {
            session.ws.on('close', done);
        });

        await new Promise((done, fail) => {
            session.ws.on('error', fail);
            session.opened = done;
            session.ws.on('message', (text) => session.take(text));
        });

        /* the location's own topics may be there from the beginning */

        await session.ask({ unsubscribe: { topic: 'room/**' } })
                     .catch(() => null);

        return session;
    }

    take(text) {
        const m = JSON.parse(text);

        if (m.open) {
            this.hello = m.open;
            this.opened();

        } else if (m.ref !== undefined) {
            const { done, fail } = this.waiting.get(m.ref);

            this.waiting.delete(m.ref);
            m.ok ? done(m.ok) : fail(m.error);

        } else if (m.ping) {
            this.pings++;

        } else if (m.gap) {
            this.gaps.push(m.gap);

        } else if (this.topics.has(m.topic)) {
            this.topics.get(m.topic)(m);

        } else {
            this.strange.push(m);
        }
    }

    ask(operation) {
        const ref = ++this.refs;

        return new Promise((done, fail) => {
            this.waiting.set(ref, { done, fail });
            this.ws.send(JSON.stringify({ ...operation, ref }));
        });
    }

    subscribe(topic, call, id) {
        this.topics.set(topic, call);

        return this.ask({ subscribe: { topic, id } });
    }

    publish(topic, data) {
        return this.ask({ publish: { topic, data } });
    }

    async close() {
        this.ws.close(1000);
        await this.closed;
    }
}


const open = () => Session.open(`ws://${nginx.host}/ws`);


test('a session, its operations and its errors', async () => {
    const s = await open();
    const got = [];

    assert.match(s.hello.id, /^[0-9a-f]+-\d+$/);
    assert.ok(s.hello.client);

    const ok = await s.subscribe('room/a', (m) => got.push(m));

    assert.match(ok.id, /^[0-9a-f]+-\d+$/);

    const { id } = await s.publish('room/a', 'grüße, 世界 🎈');

    await nginx.publish('room/a', 'over HTTP');
    await until(() => got.length === 2, 'both messages');

    assert.equal(got[0].id, id);
    assert.deepEqual(got.map((m) => m.data), ['grüße, 世界 🎈', 'over HTTP']);

    for (const operation of [{ dance: {} },
                             { subscribe: { topic: 'room/a' } },
                             { subscribe: { topic: 'other' } },
                             { unsubscribe: { topic: 'room/b' } },
                             { publish: { topic: 'room/*', data: '' } }])
    {
        const error = await s.ask(operation).then(() => null, (e) => e);

        assert.ok(error?.code, JSON.stringify(operation));
        assert.ok(error.message);
    }

    await s.ask({ unsubscribe: { topic: 'room/a' } });
    await nginx.publish('room/a', 'unheard');
    await s.publish('room/b', 'end');

    assert.equal(got.length, 2);
    assert.deepEqual(s.strange, []);
    await s.close();
});


test('a thousand subscriptions', async () => {
    const s = await open();
    const names = Array.from({ length: 1000 }, (_, i) => `room/many/${i}`);
    const got = new Map(names.map((name) => [name, []]));

    await Promise.all(names.map((name) => s.subscribe(name, (m) => {
        got.get(name).push(m.data);
    })));

    for (const round of ['first', 'second']) {
        const acks = await Promise.all(names.map((name) =>
            s.publish(name, `${round} ${name}`)));

        assert.equal(new Set(acks.map((ack) => ack.id)).size, names.length);
    }

    await until(() => names.every((name) => got.get(name).length >= 2),
                'two messages for each');

    for (const name of names) {
        assert.deepEqual(got.get(name), [`first ${name}`, `second ${name}`]);
    }

    assert.deepEqual(s.gaps, []);
    assert.deepEqual(s.strange, []);
    await s.close();
});


test('a script sees that the connection lives', async () => {
    const s = await open();

    await until(() => s.pings >= 2, 'pings');
    await s.close();
});


test('after a reload each topic goes on where it was', async () => {
    const names = Array.from({ length: 20 }, (_, i) => `room/on/${i}`);
    const got = new Map(names.map((name) => [name, []]));
    const take = (name) => (m) => got.get(name).push(m);

    let s = await open();

    await Promise.all(names.map((name) => s.subscribe(name, take(name))));
    await Promise.all(names.map((name) => s.publish(name, 'before')));
    await until(() => names.every((name) => got.get(name).length), 'messages');

    await nginx.reload();
    assert.equal(await s.closed, 1012);

    await Promise.all(names.map((name) => nginx.publish(name, 'meanwhile')));

    s = await open();

    await Promise.all(names.map((name) =>
        s.subscribe(name, take(name), got.get(name).at(-1).id)));
    await Promise.all(names.map((name) => s.publish(name, 'after')));
    await until(() => names.every((name) => got.get(name).length >= 3),
                'what was missed');

    for (const name of names) {
        assert.deepEqual(got.get(name).map((m) => m.data),
                         ['before', 'meanwhile', 'after']);
    }

    assert.deepEqual(s.gaps, []);
    assert.deepEqual(s.strange, []);
    await s.close();
});


test('nothing is left', async () => {
    await nginx.stop();
});
