/*
 * The pages of docs/guide.md in Chromium.  guide.t has written and started all
 * that the guide shows; RT_GUIDE says the ports, nginx's pid and the directory.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as path from 'node:path';
import { launch, skip as noBrowser } from './browser.mjs';
import { test, until } from './harness.mjs';


const guide = process.env.RT_GUIDE && JSON.parse(process.env.RT_GUIDE);
const WAIT_MS = 20_000;     // beside a busy machine

const skip = noBrowser || (!guide && 'it is guide.t that runs it');
const browser = skip ? null
                     : await launch({ file: (f) => path.join(guide.dir, f) });


function page(name, run) {
    test(name, { skip }, run);
}


function url(port, path = '/') {
    return `http://127.0.0.1:${guide[port]}${path}`;
}


/* A window of the browser, where a click has told who is there. */

async function open(port, user) {
    const context = user && await browser.browser().newContext();
    const tab = await (context ?? browser).newPage();

    tab.complaints = [];
    tab.on('pageerror', (e) => tab.complaints.push(e.message));

    await tab.goto(url(port));

    if (user) {
        await tab.getByText(`I am ${user}`).click();
        await tab.waitForURL(url(port));
    }

    return tab;
}


async function reads(tab, selector, pattern) {
    let text;

    await until(async () => {
        text = await tab.locator(selector).innerText();
        return pattern.test(text);
    }, `${selector} is ${pattern}`, WAIT_MS).catch((e) => {
        throw new Error(`${e.message}: ${text}`);
    });
}


async function post(port, path, body) {
    const response = await fetch(url(port, path), { method: 'POST', body });

    assert.equal(response.status, 201);
}


function notify(user, event, data) {
    const curl = spawnSync('curl', [
        '-sSf', '--unix-socket', `${guide.dir}/run/realtime/notify.sock`,
        '-H', `Realtime-Event: ${event}`, '-d', data,
        `http://localhost/notify/${user}`]);

    assert.equal(curl.status, 0, String(curl.stderr));
}


page('the dashboard has the latest values, also after a reload', async () => {
    await post(8091, '/metrics/oven/temperature', '180');
    await post(8091, '/metrics/oven/temperature', '181.5');

    const tab = await open(8080);

    await reads(tab, '#values', /^metrics\/oven\/temperature\s+181\.5$/);
    await post(8091, '/metrics/queue/length', '12');
    await reads(tab, '#values', /metrics\/queue\/length\s+12$/);
    await reads(tab, '#state', /^open$/);

    const ids = [];

    tab.on('request', async (rq) =>
        ids.push((await rq.allHeaders())['last-event-id']));

    process.kill(guide.pid, 'SIGHUP');
    await post(8091, '/metrics/oven/temperature', '182');
    await until(() => ids.length, 'the page reconnects');
    await reads(tab, '#state', /^open$/);
    await reads(tab, '#values', /^metrics\/oven\/temperature\s+182\s/);

    assert.match(ids[0], /^[0-9a-f]+-\d+$/);
    assert.deepEqual(tab.complaints, []);
});


page('a chat of two, and a guest', async () => {
    const ann = await open(8081, 'Ann');
    const bob = await open(8081, 'Bob');
    const guest = await open(8081);

    await reads(ann, '#state', /^open$/);
    await reads(bob, '#state', /^open$/);
    await reads(guest, '#state', /^lost$/);

    await ann.locator('#text').fill('hello, Bob');
    await ann.getByText('Say').click();
    await reads(bob, '#log', /^ann: hello, Bob$/);

    await bob.locator('#text').fill('ann: I am Ann');
    await bob.getByText('Say').click();
    await reads(ann, '#log', /^ann: hello, Bob\nbob: ann: I am Ann$/);

    const heard = await guest.evaluate(() => new Promise((done) => {
        const all = [];
        const source = new EventSource(
            '/watch/lobby?last_event_id=earliest');

        source.onmessage = (e) => {
            all.push(JSON.parse(e.data));
            if (all.length === 3) {
                done(all.map((m) => m.data));
            }
        };
    }));

    assert.deepEqual(heard.slice(1), ['hello, Bob', 'ann: I am Ann']);
    assert.deepEqual([...ann.complaints, ...bob.complaints], []);
});


page('a notification is for one user', async () => {
    const ann = await open(8082, 'Ann');
    const bob = await open(8082, 'Bob');

    notify('ann', 'order', '{"order":17,"state":"sent"}');
    notify('bob', 'news', 'We are open on Sunday.');

    await reads(ann, '#list', /^Your order 17 is sent\.$/);
    await reads(bob, '#list', /^We are open on Sunday\.$/);

    assert.deepEqual([...ann.complaints, ...bob.complaints], []);
});


page('an auction', async () => {
    await post(8092, '/auction/1/create',
               '{"kind":"english","start":100,"ends_in_ms":600000}');

    const ann = await open(8083, 'Ann');
    const bob = await open(8083, 'Bob');

    await reads(ann, '#price', /^100$/);
    await ann.locator('#amount').fill('150');
    await ann.locator('#bid button').click();

    for (const tab of [ann, bob]) {
        await reads(tab, '#price', /^150$/);
        await reads(tab, '#leader', /^ann$/);
    }

    await reads(ann, '#answer', /^Your bid counts\.$/);

    await bob.locator('#amount').fill('1');
    await bob.locator('#bid button').click();
    await reads(bob, '#answer', /below the minimum/);

    assert.deepEqual([...ann.complaints, ...bob.complaints], []);
});
