/*
 * Clients of every kind lose their connection again and again while messages
 * are published from several connections.  A ledger at the end: each client
 * has seen every acknowledged message of its topics exactly once, in order,
 * and was told of no gap.
 *
 * RT_SEED repeats a run's choices, though not its timing.
 */

import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';
import { pause, seq, start, test, until } from './harness.mjs';


const PUBLISHERS = 4;
const TOPICS = ['hammer/a', 'hammer/b', 'hammer/c/1', 'hammer/c/2'];

const WANTS = [
    ['hammer/**', () => true],
    ['hammer/a,hammer/c/*', (t) => t === 'hammer/a' || t.includes('/c/')],
    ['hammer/b', (t) => t === 'hammer/b']
];

const seed = Number(process.env.RT_SEED ?? Date.now() % 1e9);
const random = generator(seed);

const nginx = await start({ workers: 2, zone: 'main 32m',
                            http: 'realtime_history count=100000 age=1h;' });


function generator(state) {
    return (n) => {                                     /* mulberry32 */
        state = (state + 0x6d2b79f5) | 0;

        let t = Math.imul(state ^ (state >>> 15), 1 | state);

        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;

        return ((t ^ (t >>> 14)) >>> 0) % n;
    };
}


/*
 * A client lives through many connections.  connect() of its kind resolves
 * when the connection is over; a connection that was cut is not listened to
 * any more, so what it may still say has to come again.
 */

class Client {
    lifetimeMs = 250;

    constructor([topics, wanted], position) {
        this.topics = topics;
        this.wanted = wanted;
        this.last = position;
        this.got = [];
        this.gaps = [];
        this.connections = 0;
        this.done = false;
    }

    get url() {
        return `${nginx.url}/sub/${this.topics}`;
    }

    async run() {
        while (!this.done) {
            const connection = { live: true, cut: () => {} };

            this.connections++;

            const timer = setTimeout(() => this.cut(connection),
                                     5 + random(this.lifetimeMs));

            this.connection = connection;
            await this.connect(connection);
            clearTimeout(timer);

            if (connection.live) {
                await pause(random(20));        /* the server ended it */
            }
        }
    }

    cut(connection) {
        connection.live = false;
        connection.cut();
    }

    take(item) {
        if (item.gap) {
            this.gaps.push(item.gap);
            this.last = item.gap.to;

        } else if (!item.open) {
            this.got.push(item);
            this.last = item.id;
        }
    }

    has(id) {
        return this.got.some((m) => m.id === id);
    }

    end() {
        this.done = true;
        this.cut(this.connection);
    }
}


class SseClient extends Client {
    connect(connection) {
        return new Promise((done) => {
            const url = `${this.url}?last_event_id=${this.last}`;
            const es = new EventSource(url);

            es.addEventListener('message', (e) => {
                if (connection.live) {
                    this.take({ id: e.lastEventId, data: e.data });
                }
            });

            es.addEventListener('realtime:gap', (e) => {
                if (connection.live) {
                    this.take({ gap: JSON.parse(e.data) });
                }
            });

            es.addEventListener('error', () => {
                if (es.readyState === EventSource.CLOSED) {
                    done();
                }
            });

            connection.cut = () => {
                es.close();
                done();
            };
        });
    }
}


class WsClient extends Client {
    connect(connection) {
        return new Promise((done) => {
            const url = `${this.url}?envelope=1&last_event_id=${this.last}`;
            const ws = new WebSocket(url.replace('http', 'ws'),
                                     { perMessageDeflate: random(2) === 0 });

            ws.on('message', (data) => {
                if (connection.live) {
                    this.take(JSON.parse(data));
                }
            });

            ws.on('error', () => {});
            ws.on('close', done);

            connection.cut = () => {
                if (random(2)) {
                    ws.close(1000);
                } else {
                    ws.terminate();
                }
            };
        });
    }
}


class FetchClient extends Client {
    async connect(connection) {
        const abort = new AbortController();
        const cut = new Promise((done) => {
            connection.cut = () => {
                abort.abort();
                done();
            };
        });

        try {
            const r = await Promise.race([cut, fetch(this.url, {
                signal: abort.signal,
                headers: { 'Accept': this.accept, 'Last-Event-ID': this.last }
            })]);

            if (!r) {
                return;
            }

            assert.equal(r.status, 200);
            const reading = this.read(r, connection);

            reading.catch(() => {});
            await Promise.race([cut, reading]);

        } catch (e) {
            if (e.name !== 'AbortError' && !(e instanceof TypeError)) {
                throw e;
            }
        }
    }
}


class PollClient extends FetchClient {
    lifetimeMs = 20;
    accept = 'application/json';

    async read(r, connection) {
        const items = await r.json();

        if (connection.live) {
            items.forEach((item) => this.take(item));
            this.last = r.headers.get('Realtime-Last-Id');
        }
    }
}


class StreamClient extends FetchClient {
    accept = 'application/x-ndjson';

    async read(r, connection) {
        let rest = '';

        for await (const chunk of r.body.pipeThrough(new TextDecoderStream()))
        {
            const lines = (rest + chunk).split('\n');

            rest = lines.pop();

            if (connection.live) {
                lines.filter(Boolean).forEach((l) => this.take(JSON.parse(l)));
            }
        }
    }
}


/* One connection that publishes, one message after the other. */

class Publisher {
    agent = new Agent({ keepAlive: true, maxSockets: 1 });
    acknowledged = [];
    maybe = new Set();          /* the answer was lost: it may be there */

    constructor(name) {
        this.name = name;
    }

    async run(going) {
        for (let n = 0; going(); n++) {
            const topic = TOPICS[random(TOPICS.length)];

            await this.publish(topic,
                               `${this.name}-${n} ${'.'.repeat(random(2000))}`);
            await pause(random(8));
        }
    }

    async publish(topic, data) {
        try {
            const { id } = await nginx.publish(topic, data, {}, this.agent);

            this.acknowledged.push({ id, topic, data });

        } catch (e) {
            if (!['ECONNRESET', 'EPIPE'].includes(e.code)) {
                throw e;
            }

            this.maybe.add(data);
        }
    }
}


/* All of it, while meanwhile() goes on; then the ledger. */

async function hammer(t, meanwhile) {
    const r = await fetch(`${nginx.url}/sub/hammer/**`, {
        headers: { Accept: 'application/json', Prefer: 'wait=0' }
    });
    const position = r.headers.get('Realtime-Last-Id');

    await r.text();

    const clients = [SseClient, WsClient, PollClient, StreamClient]
        .flatMap((Kind) => WANTS.map((want) => new Kind(want, position)));
    const publishers = Array.from({ length: PUBLISHERS },
                                  (_, i) => new Publisher(`p${i}`));
    let going = true;

    const running = clients.map((c) => c.run());
    const publishing = publishers.map((p) => p.run(() => going));

    await Promise.race([meanwhile(), ...running, ...publishing]);

    going = false;
    await Promise.all(publishing);

    for (const topic of TOPICS) {
        await publishers[0].publish(topic, 'end');
    }

    const ledger = publishers.flatMap((p) => p.acknowledged)
                             .sort((a, b) => seq(a.id) - seq(b.id));
    const maybe = new Set(publishers.flatMap((p) => [...p.maybe]));

    /* they go on reconnecting until they have the last of their topics */

    await until(() => clients.every((c) =>
                    c.has(ledger.findLast((m) => c.wanted(m.topic)).id)),
                'everyone reaches the end')
        .catch(() => {});               /* the ledger tells who has not */

    clients.forEach((c) => c.end());
    await Promise.all(running);

    const connections = clients.reduce((n, c) => n + c.connections, 0);
    const seen = clients.reduce((n, c) => n + c.got.length, 0);

    t.diagnostic(`seed ${seed}: ${ledger.length} messages acknowledged, `
                 + `${maybe.size} unknown, ${clients.length} clients, `
                 + `${connections} connections, ${seen} messages seen`);

    for (const c of clients) {
        check(c, ledger, maybe);
    }

    assert.ok(connections > clients.length * 5, 'they did reconnect');
}


function check(c, ledger, maybe) {
    const who = `${c.constructor.name} of ${c.topics}`;
    const wanted = ledger.filter((m) => c.wanted(m.topic));
    const known = new Map(wanted.map((m) => [m.id, m]));
    const ids = new Set(c.got.map((m) => m.id));
    const order = c.got.filter((m, i) => i > 0
                                         && seq(m.id) <= seq(c.got[i - 1].id));
    const lost = wanted.filter((m) => !ids.has(m.id));

    const strange = c.got.filter((m) => known.has(m.id)
                                        ? m.data !== known.get(m.id).data
                                        : !maybe.has(m.data));

    assert.deepEqual(c.gaps, [], `${who}: no gap`);
    assert.deepEqual(lost.map((m) => m.id), [], `${who}: nothing lost`);
    assert.equal(c.got.length, ids.size, `${who}: nothing twice`);
    assert.deepEqual(order.map((m) => m.id), [], `${who}: in order`);
    assert.deepEqual(strange.map((m) => m.id), [], `${who}: nothing strange`);
}


test('clients reconnect at random', async (t) => {
    await hammer(t, () => pause(4000));
});


test('processes are killed and reloaded, too', async (t) => {
    await hammer(t, async () => {
        for (let i = 0; i < 2; i++) {
            await pause(400 + random(400));
            await nginx.killWorker(nginx.workers()[random(2)]);
            await pause(400 + random(400));
            await nginx.reload();
        }

        await pause(300);
    });
});


/*
 * fetch() of Node 18 now and then keeps a connection whose request has been
 * aborted, whoever the server is.  This closes what it has.
 */

async function closeFetch() {
    const key = Symbol.for('undici.globalDispatcher.1');
    const agent = globalThis[key];

    globalThis[key] = new agent.constructor();
    await agent.destroy();
}


test('nobody is left, and nginx ends cleanly', async () => {
    await closeFetch();

    for (const kind of ['sse', 'websocket', 'poll', 'stream']) {
        await nginx.subscribers(kind, 0);
    }

    await nginx.stop();
});
