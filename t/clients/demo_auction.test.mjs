/*
 * The demo page's Auction tab in two windows of Chromium, with the locations
 * of conf/nginx.conf and a realtimed.
 */

import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { launch, listen, screenshot, skip } from './browser.mjs';
import { root, start, test, until } from './harness.mjs';


const conf = fs.readFileSync(path.join(root, 'conf/nginx.conf'), 'utf8');
const locations = conf.match(/^ {8}location ~ \^\/auction\/[^]*?^ {8}}/gm);

const nginx = await start({
    root: 'conf/demo', daemon: true,
    http: conf.match(/^ {4}limit_req_zone .*$/m)[0],
    server: `realtime_history count=20; ${locations.join('\n')}`
});
const browser = skip ? null : await launch(nginx);
const page = browser?.pages()[0];
const other = await browser?.newPage();
const pages = [page, other];
const complaints = [];

const HOUR_MS = 3600_000;


function demo(name, run) {
    test(name, { skip }, run);
}


/* Shows another auction on both pages; the fields are those of the form. */

async function create(id, fields = {}) {
    const kind = fields.kind ?? 'english';

    await page.getByTestId('create-id').fill(id);
    await page.getByTestId('create-kind').selectOption(kind);

    for (const [name, value] of Object.entries({ ends: 600, ...fields })) {
        if (name !== 'kind') {
            await page.getByTestId(`create-${name}`).fill(String(value));
        }
    }

    await page.getByTestId('create-button').click();
    await shows(page, 'auction-id', id);
    await other.goto(`${nginx.url}/#auction/${id}`);

    await shows(other, 'auction-id', id);

    for (const p of pages) {
        await p.locator('#events[data-state=open]').waitFor();
        await p.locator('#bob[data-state=open]').waitFor();
    }
}


async function text(p, id) {
    return await p.getByTestId(id).textContent();
}


async function shows(p, id, wanted) {
    const right = (now) => wanted instanceof RegExp ? wanted.test(now)
                                                    : now === wanted;
    let now;

    await until(async () => right(now = await text(p, id)),
                `${id} is ${wanted}`).catch((e) => {
        throw new Error(`${e.message}, but it is ${now}`);
    });
}


/* on both pages, { price: ..., leader: ... } */

async function both(wanted) {
    for (const p of pages) {
        for (const [id, value] of Object.entries(wanted)) {
            await shows(p, id, value);
        }
    }
}


async function bid(p, name, amount, max) {
    await p.getByTestId(`${name}-amount`).fill(String(amount));

    if (max !== undefined) {
        await p.getByTestId(`${name}-max`).fill(String(max));
    }

    await p.getByTestId(`${name}-bid`).click();
}


/* the events on a page, oldest first */

async function events(p) {
    return await p.getByTestId('event').evaluateAll((list) =>
        list.map((li) => ({ ...li.dataset, text: li.textContent })).reverse());
}


async function versions(p, n) {
    let all;

    await until(async () => (all = await events(p)).length >= n,
                `${n} events`).catch((e) => {
        throw new Error(`${e.message}, but there are ${all.length}`);
    });

    assert.deepEqual(all.map((e) => Number(e.version)),
                     Array.from({ length: n }, (_, i) => i + 1));

    return all;
}


/* as somebody who does not look at the page */

async function command(id, name, user, data = {}) {
    const r = await nginx.request('POST',
                                  `/auction/${id}/${name}?user=${user}`,
                                  { body: JSON.stringify(data) });

    assert.ok(r.status < 300, r.text);
}


demo('an auction is created, and watched elsewhere', async () => {
    for (const p of pages) {
        listen(p, nginx, complaints);
    }

    /* a clock that is wrong by an hour, for the countdown not to look at */

    await other.addInitScript((ms) => {
        const now = Date.now;

        Date.now = () => now() + ms;
    }, HOUR_MS);

    await page.goto(nginx.url);
    await page.getByRole('tab', { name: 'Auction' }).click();
    assert.ok(await page.getByTestId('auction-empty').isVisible());
    await create('first');

    assert.equal(new URL(page.url()).hash, '#auction/first');
    assert.equal(await page.getByTestId('another').getAttribute('href'),
                 '#auction/first');
    await both({ 'auction-state': 'open', price: '€100.00',
                 leader: 'no bid yet', bids: '0', minimum: '€100.00',
                 reserve: 'not met', kind: 'english', left: /^(10:00|9:\d\d)$/,
                 watching: '2 watching' });
});


demo('one without clock and currency, made by another program', async () => {
    await command('plain', 'create', 'eve', { kind: 'english', start: 100,
                                              ends_in_ms: HOUR_MS });
    await other.goto(`${nginx.url}/#auction/plain`);
    await shows(other, 'price', '100');
    await bid(other, 'bob', 120);
    await shows(other, 'leader', 'bob leads');
    assert.ok(await other.getByTestId('watching').isHidden());
    await shows(page, 'watching', '1 watching');
    await other.goto(`${nginx.url}/#auction/first`);
    await both({ watching: '2 watching' });
});


demo('two bid, one by POST, the other over a WebSocket', async () => {
    await bid(page, 'ann', 110, 140);
    await both({ price: '€110.00', leader: 'ann leads', bids: '1',
                 minimum: '€115.00' });
    await shows(page, 'ann-answer', 'Took the lead at €110.00.');
    await shows(page, 'ann-limit', 'Bids up to €140.00; only ann knows.');
    await shows(page, 'ann-standing', 'leads');
    assert.match(await text(page, 'ann-wire'),
                 /^POST .*user=ann\nIdempotency-Key: \S+\n.*\n\n201\n/);

    await bid(other, 'bob', 120);
    await both({ price: '€125.00', leader: 'ann leads', bids: '2' });
    await shows(other, 'bob-answer', 'Outbid at once: ann had set a greater '
                                     + 'limit, and leads at €125.00.');
    assert.match(await text(other, 'bob-wire'),
                 /^→ \{"id":2,"command":"bid",.*"key":"\w+"\}\n\n← \{"id":2,/);

    await bid(other, 'bob', 150);
    await both({ price: '€150.00', leader: 'bob leads', bids: '3',
                 reserve: 'met', 'ann-standing': 'outbid',
                 'bob-standing': 'leads' });
});


demo('too low is told where it was typed', async () => {
    for (const name of ['ann', 'bob']) {
        const amount = page.getByTestId(`${name}-amount`);

        await bid(page, name, 101);
        await shows(page, `${name}-answer`,
                    'Too low: the least is now €155.00.');
        assert.equal(await amount.getAttribute('aria-invalid'), 'true');
        assert.equal(await amount.inputValue(), '101');
    }

    await both({ price: '€150.00', bids: '3' });
    await screenshot(page, nginx, 'auction');
});


demo('a bid near the end moves the end', async () => {
    await create('snipe', { ends: 60, snipe: 300 });
    await both({ left: /^(1:00|0:\d\d)$/ });
    assert.ok(await other.getByTestId('extended').isHidden());

    await bid(page, 'ann', 100);
    await both({ extended: /^extended by 2\d\d\.\d s$/, left: /^[45]:\d\d$/ });
    assert.match((await versions(other, 2))[1].text,
                 /The end moves by 2\d\d\.\d s/);
});


demo('drop, bids of others, resume', async () => {
    await create('resume');
    await bid(page, 'ann', 100);
    await versions(page, 2);

    await page.getByTestId('events-drop').click();
    await page.locator('#events[data-state=dropped]').waitFor();
    await nginx.subscribers('sse', 2);     /* of Topics, and the other's */

    for (const amount of [110, 120, 130]) {
        await bid(other, 'bob', amount);
        await shows(other, 'price', `€${amount}.00`);
    }

    assert.equal((await events(page)).length, 2);
    assert.equal(await text(page, 'price'), '€100.00');

    await page.getByTestId('events-resume').click();
    await both({ price: '€130.00', leader: 'bob leads', bids: '4' });
    await bid(other, 'bob', 140);

    assert.deepEqual((await versions(page, 6)).slice(2).map((e) => e.how),
                     ['resumed', 'resumed', 'resumed', 'live']);
    await versions(other, 6);
});


demo('what the topic no longer has comes from the journal', async () => {
    await create('gap');
    await page.getByTestId('events-drop').click();
    await page.locator('#events[data-state=dropped]').waitFor();

    for (let i = 0; i < 30; i++) {
        await command('gap', 'bid', `u${i}`, { amount: 10_000 + 500 * i });
    }

    await page.getByTestId('events-resume').click();

    const how = (await versions(page, 31)).map((e) => e.how);

    assert.ok(how.slice(1, 11).every((h) => h === 'journal'), how);
    await both({ price: '€245.00', leader: 'u29 leads', bids: '30' });
});


demo('without an answer the same bid counts once', async () => {
    await create('again');
    await page.route('**/bid?*', async (route) => {
        await route.fetch();
        await route.abort();
    }, { times: 1 });

    await bid(page, 'ann', 100);
    await shows(page, 'ann-answer', /Bid again: it counts once/);
    await both({ price: '€100.00', bids: '1' });

    await bid(page, 'ann', 100);
    await shows(page, 'ann-answer', 'Took the lead at €100.00.');
    assert.match(await text(page, 'ann-wire'), /Idempotent-Replay: true/);
    await bid(page, 'ann', 200);
    await both({ bids: '2' });
});


demo('the next bid may be typed before the answer to the last', async () => {
    let release;
    const released = new Promise((done) => release = done);

    await create('typing');
    await page.route('**/bid?*', async (route) => {
        const response = await route.fetch();

        await released;
        await route.fulfill({ response });
    }, { times: 1 });

    await bid(page, 'ann', 100);
    await both({ minimum: '€105.00' });
    await page.getByTestId('ann-amount').fill('150');
    await page.getByTestId('ann-max').focus();
    release();

    await shows(page, 'ann-answer', 'Took the lead at €100.00.');
    await bid(other, 'bob', 110);
    await both({ minimum: '€115.00' });
    assert.equal(await page.getByTestId('ann-amount').inputValue(), '150');
    assert.equal(await page.getByTestId('bob-amount').inputValue(), '115.00');
});


demo('realtimed goes and comes back', async () => {
    await create('away');
    await bid(page, 'ann', 100);
    await both({ bids: '1' });

    await nginx.stopDaemon('SIGKILL');

    for (const name of ['ann', 'bob']) {
        await bid(page, name, 110);
        await shows(page, `${name}-answer`, /realtimed is away/);
    }

    await nginx.startDaemon();
    await until(async () => (await nginx.request('GET', '/auction/away/state'))
                                .status === 200, 'it is back');

    await page.getByTestId('bob-bid').click();
    await both({ price: '€110.00', leader: 'bob leads', bids: '2' });
    await versions(page, 3);
});


demo('the end: a winner who pays, or none', async () => {
    await create('sold');
    await bid(page, 'ann', 150, 200);
    await bid(other, 'bob', 160);
    await both({ leader: 'ann leads', price: '€165.00' });

    await other.getByTestId('close').click();
    await both({ 'auction-state': 'closed', 'price-label': 'sold for',
                 price: '€165.00', leader: 'to ann', left: 'over',
                 'ann-standing': 'won', 'bob-standing': 'lost' });
    assert.match((await versions(page, 4))[3].text,
                 /Sold to ann, who pays €165.00; closed by the seller/);
    assert.ok(await page.getByTestId('ann-bid').isDisabled());

    await create('none', { ends: 0.5 });
    await both({ 'auction-state': 'closed', leader: 'nobody wins' });
});


demo('sealed: nothing is seen before the end', async () => {
    await create('sealed', { kind: 'vickrey', reserve: '' });
    await bid(page, 'ann', 300);
    await bid(other, 'bob', 200);
    await both({ price: 'sealed', leader: 'until the end', bids: '2' });
    await shows(page, 'ann-limit', 'Has bid €300.00; only ann knows.');
    await page.getByTestId('close').click();
    await both({ price: '€200.00', leader: 'to ann' });
});


demo('dutch: the first takes it', async () => {
    await create('dutch', { kind: 'dutch' });
    await shows(page, 'bob-buy', /^Take it at €\d+\.00$/);
    await page.getByTestId('bob-buy').click();
    await shows(page, 'bob-answer', /Bought for/);
    await both({ 'auction-state': 'closed', price: /^€/, leader: 'to bob' });
});


demo('one that is not there, and one that is there already', async () => {
    await page.getByTestId('watch-id').fill('nowhere');
    await page.getByTestId('watch-id').press('Enter');
    await shows(page, 'watch-answer', 'There is no auction nowhere.');

    await page.getByTestId('create-id').fill('first');
    await page.getByTestId('create-button').click();
    await shows(page, 'create-answer', 'There is an auction first already.');
    await both({ 'auction-id': 'dutch' });
});


demo('on a telephone nothing is wider than it', async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await page.emulateMedia({ colorScheme: 'dark' });
    assert.equal(await page.evaluate(
        () => document.documentElement.scrollWidth), 360);
    await screenshot(page, nginx, 'auction-phone');
});


demo('nothing was wrong on the console but refusals', () => {
    assert.deepEqual(complaints.filter(
        (c) => !c.startsWith('Failed to load resource')), []);
});


test('nginx ends cleanly', async () => {
    await browser?.close();
    await nginx.subscribers('sse', 0);
    await nginx.stop();
});
