/*
 * Pages of other origins, in Chromium: one that realtime_origin names uses all
 * transports and publishes, with the headers that scripts send and read, where
 * nginx's fences would refuse a preflight; another one gets nowhere.
 */

import assert from 'node:assert/strict';
import { launch, skip } from './browser.mjs';
import { seq, start, test } from './harness.mjs';


const nginx = await start({ server: `
        realtime_origin page.localhost;
        location = /page { default_type text/html; return 200 '<p>page'; }
        location = /check {
            internal;
            if ($http_authorization != 'Bearer good') { return 401; }
            return 204;
        }
        location ~ ^/private/(\\w+)$ {
            auth_request       /check;
            realtime_publish   private/$1;
            realtime_subscribe private/$1;
            limit_except GET POST { deny all; }
        }
        location ~ ^/any/(\\w+)$ {
            realtime_origin    any;
            realtime_publish   $1;
            realtime_subscribe $1;
        }
        location ~ ^/own/(\\w+)$ {
            realtime_origin    same;
            realtime_publish   $1;
            realtime_subscribe $1;
        }` });

const browser = skip ? null : await launch(nginx);
const port = new URL(nginx.url).port;
const api = `http://api.localhost:${port}`;


/* runs in a page of the host; "api" is another origin for it */

async function inPage(host, run, arg) {
    const page = await browser.newPage();

    try {
        await page.goto(`http://${host}.localhost:${port}/page`);
        return await page.evaluate(run, { api, ...arg });

    } finally {
        await page.close();
    }
}


test('a page that is named publishes', { skip }, async () => {
    const got = await inPage('page', async ({ api }) => {
        const post = () => fetch(`${api}/pub/cors`, {
            method: 'POST', credentials: 'include', body: '{"a":1}',
            headers: { 'Content-Type': 'application/json',
                       'Idempotency-Key': 'k', 'Realtime-Event': 'e' }
        });

        const first = await post();
        const again = await post();

        return { status: first.status, answer: await first.json(),
                 last: first.headers.get('Realtime-Last-Id'),
                 replay: again.headers.get('Idempotent-Replay'),
                 deleted: (await fetch(`${api}/pub/other`,
                                       { method: 'DELETE' })).status,
                 bad: (await fetch(`${api}/pub/a*`,
                                   { method: 'POST' })).status };
    });

    assert.equal(got.status, 201);
    assert.equal(got.last, got.answer.id);
    assert.equal(got.replay, 'true');
    assert.equal(got.deleted, 204);
    assert.equal(got.bad, 400);
});


test('and subscribes, over every transport', { skip }, async () => {
    const { id } = await nginx.publish('all', 'one');

    await nginx.publish('all', 'two');

    const got = await inPage('page', async ({ api, id }) => {
        const url = `${api}/sub/all`;
        const from = { 'Last-Event-ID': id };

        const poll = await fetch(url, {
            headers: { ...from, Accept: 'application/json',
                       Prefer: 'wait=0' } });
        const stream = await fetch(url, {
            headers: { ...from, Accept: 'application/x-ndjson' } });
        const sse = await fetch(url, {
            headers: { ...from, Accept: 'text/event-stream',
                       'Cache-Control': 'no-cache' } });

        const read = async (answer, word) => {
            const reader = answer.body.pipeThrough(new TextDecoderStream())
                                      .getReader();
            let text = '';

            while (!text.includes(word)) {
                text += (await reader.read()).value;
            }

            reader.cancel();
            return text;
        };

        const event = (init) => new Promise((done, fail) => {
            const es = new EventSource(`${url}?last_event_id=${id}`, init);

            es.onmessage = (e) => { es.close(); done(e.data); };
            es.onerror = () => { es.close(); fail(new Error('refused')); };
        });

        const socket = new Promise((done, fail) => {
            const ws = new WebSocket(`${url.replace('http', 'ws')}`
                                     + `?last_event_id=${id}`);

            ws.onmessage = (e) => { ws.close(); done(e.data); };
            ws.onerror = () => fail(new Error('refused'));
        });

        return { last: poll.headers.get('Realtime-Last-Id'),
                 poll: await poll.json(), stream: await read(stream, 'two'),
                 sse: await read(sse, 'two'), event: await event(),
                 credentials: await event({ withCredentials: true }),
                 socket: await socket };
    }, { id });

    seq(got.last);
    assert.deepEqual(got.poll.map((m) => m.data), ['two']);
    assert.match(got.stream, /"data":"two"/);
    assert.match(got.sse, /data: two/);
    assert.equal(got.event, 'two');
    assert.equal(got.credentials, 'two');
    assert.equal(got.socket, 'two');
});


test('fences refuse the request, not its preflight', { skip }, async () => {
    const got = await inPage('page', async ({ api }) => {
        const ask = async (method, token) => {
            const r = await fetch(`${api}/private/x`, {
                method, headers: { Authorization: `Bearer ${token}`,
                                   Accept: 'application/json',
                                   Prefer: 'wait=0' },
                body: method === 'GET' ? undefined : 'x' });
            return r.status;
        };

        return [await ask('POST', 'good'), await ask('POST', 'bad'),
                await ask('GET', 'good'), await ask('GET', 'bad'),
                await ask('PUT', 'good')];
    });

    assert.deepEqual(got, [201, 401, 200, 401, 403]);
});


test('a page that is not named gets nowhere', { skip }, async () => {
    const before = await nginx.publish('evil', 'before');

    const got = await inPage('evil', async ({ api }) => {
        const refused = (promise) => promise.then(() => 'allowed',
                                                  () => 'refused');
        const url = `${api}/pub/evil`;

        const simple = () => fetch(url, { method: 'POST', mode: 'no-cors',
                                          body: 'forged',
                                          credentials: 'include' });
        await simple();

        return [
            await refused(fetch(url, { method: 'POST', body: 'forged' })),
            await refused(fetch(url, { method: 'DELETE' })),
            await refused(fetch(`${api}/own/evil`,
                                { method: 'POST', body: 'forged' })),
            await refused(fetch(`${api}/sub/evil`)),
            await refused(new Promise((done, fail) => {
                const es = new EventSource(`${api}/sub/evil`);
                es.onopen = done;
                es.onerror = fail;
            })),
            await refused(new Promise((done, fail) => {
                const ws = new WebSocket(`${api.replace('http', 'ws')}`
                                         + '/sub/evil');
                ws.onopen = done;
                ws.onerror = fail;
            }))
        ];
    });

    assert.deepEqual(got, Array(6).fill('refused'));

    const after = await nginx.publish('evil', 'after');

    assert.equal(seq(after.id), seq(before.id) + 1, 'nothing in between');
});


test('any page, without cookies', { skip }, async () => {
    const got = await inPage('evil', async ({ api }) => {
        const r = await fetch(`${api}/any/x`, { method: 'POST', body: 'x' });
        const cookies = fetch(`${api}/any/x`, { method: 'POST', body: 'x',
                                                credentials: 'include' });

        return [r.status, await cookies.then(() => 'seen', () => 'not seen')];
    });

    assert.deepEqual(got, [201, 'not seen']);
});


test('a page of its own needs nothing', { skip }, async () => {
    const got = await inPage('api', async () => {
        const r = await fetch('/own/x', { method: 'POST', body: 'x' });

        return r.status;
    });

    assert.equal(got, 201);
});


test('nginx ends cleanly', async () => {
    await browser?.close();
    await nginx.stop();
});
