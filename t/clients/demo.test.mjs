/*
 * The demo page, conf/demo, in Chromium: its frame and the Topics tab.
 */

import assert from 'node:assert/strict';
import { launch, listen, screenshot, skip } from './browser.mjs';
import { seq, start, test, until } from './harness.mjs';


const PANES = ['sse', 'ws'];

const nginx = await start({ root: 'conf/demo',
                            server: 'realtime_history count=20;' });
const browser = skip ? null : await launch(nginx);
const page = browser?.pages()[0];
const complaints = [];

const find = (id) => page.getByTestId(id);


/* the rows of a pane, as they are seen */

async function rows(pane) {
    return await find(`${pane}-messages`).locator('li').evaluateAll((list) =>
        list.map((li) => ({
            ...li.dataset,
            event: li.querySelector('.event')?.textContent,
            topic: li.querySelector('.topic')?.textContent,
            time: li.querySelector('time')?.textContent,
            duplicate: li.querySelector('.duplicate') !== null,
            text: (li.querySelector('pre') ?? li).textContent
        })));
}


async function messages(pane) {
    return (await rows(pane)).filter((row) => row.testid === 'message');
}


async function both(n) {
    const got = {};

    for (const pane of PANES) {
        let now;

        await until(async () => (now = await messages(pane)).length >= n,
                    `${n} messages in ${pane}`).catch((e) => {
            throw new Error(`${e.message}, there are ${now.length}`);
        });

        assert.equal(now.length, n);
        assert.ok(now.every((m) => !m.duplicate));
        got[pane] = now;
    }

    assert.deepEqual(got.sse.map(essence), got.ws.map(essence));

    return got.ws;
}


function essence({ id, event, text, resumed }) {
    return { id, event, text, resumed };
}


async function connected(...panes) {
    for (const pane of panes) {
        await page.locator(`#${pane}[data-state=open]`).waitFor();
    }
}


async function subscribe(topic) {
    await find('topic').fill(topic);
    await find('topic').press('Enter');
    await connected(...PANES);
}


/* through the form; answers the id */

async function publish(text, event = '') {
    const n = await find('id').count();

    await find('publish-event').fill(event);
    await find('publish-text').fill(text);
    await find('publish-button').click();
    await until(async () => await find('id').count() > n, 'an answer');

    return await find('id').first().getAttribute('data-id');
}


function demo(name, run) {
    test(name, { skip }, run);
}


demo('the page opens and connects', async () => {
    listen(page, nginx, complaints);
    await page.goto(nginx.url);
    await connected(...PANES);
});


demo('what is published is seen on both sides', async () => {
    await subscribe('room/first');

    const id = await publish('Hello, world');
    const [m] = await both(1);

    assert.equal(m.id, id);
    assert.equal(m.text, 'Hello, world');
    assert.equal(m.resumed, 'false');
    assert.match(m.time, /^\d\d:\d\d:\d\d\.\d{3}$/);

    const answer = await find('answer').textContent();

    assert.match(answer, new RegExp(`201.*${id}.*2 subscribers`));

    for (const pane of PANES) {
        assert.equal(await find(`${pane}-last-id`).textContent(), id);
        assert.equal(await find('id').first().locator(`.seen.${pane}`)
                           .getAttribute('data-seen'), 'true');
    }
});


demo('event names, lines, and no markup', async () => {
    await subscribe('room/second');
    await publish('42', 'price');
    await publish('two\nlines\n');
    await publish('<img src=x onerror=alert(1)><b>bold</b>');
    await publish('', 'größe');

    /* Enter publishes, Shift+Enter begins a line */

    await find('publish-event').fill('');
    await find('publish-text').fill('one');
    await find('publish-text').press('Shift+Enter');
    await find('publish-text').pressSequentially('two');
    await find('publish-text').press('Enter');

    const got = await both(5);

    assert.deepEqual(got.map((m) => [m.event, m.text]), [
        ['price', '42'], [undefined, 'two\nlines\n'],
        [undefined, '<img src=x onerror=alert(1)><b>bold</b>'],
        ['größe', ''], [undefined, 'one\ntwo']]);

    assert.equal(await page.locator('.messages img, .messages pre *').count(),
                 0);
});


demo('on a phone what comes is right below the forms', async () => {
    const size = page.viewportSize();

    await page.setViewportSize({ width: 390, height: 844 });

    const top = async (id) => (await page.locator(id).boundingBox()).y;

    assert.ok(await top('#publish') < await top('#sse'));
    assert.ok(await top('#sse') < await top('#ws'));
    assert.ok(await top('#ws') < await top('.ids'));

    await page.setViewportSize(size);

    /* whose elements are those of a list */

    assert.equal(await page.locator('#sse').getByRole('list').count(), 1);
});


demo('drop, publish, resume', async () => {
    await subscribe('room/resume');
    await publish('before');
    await both(1);

    for (const pane of PANES) {
        await find(`${pane}-drop`).click();
        await page.locator(`#${pane}[data-state=dropped]`).waitFor();
    }

    await nginx.subscribers('sse', 0);
    await nginx.subscribers('websocket', 0);

    const missed = [await publish('missed 1'),
                    await publish('missed 2', 'late'),
                    await publish('missed 3')];

    assert.equal((await messages('sse')).length, 1);
    assert.equal((await messages('ws')).length, 1);
    assert.equal(await find('id').first().locator('[data-seen=true]').count(),
                 0);

    for (const pane of PANES) {
        await find(`${pane}-resume`).click();
    }

    await connected(...PANES);
    await both(4);
    await publish('after');

    const got = await both(5);

    assert.deepEqual(got.map((m) => [m.text, m.resumed]), [
        ['before', 'false'], ['missed 1', 'true'], ['missed 2', 'true'],
        ['missed 3', 'true'], ['after', 'false']]);
    assert.deepEqual(got.slice(1, 4).map((m) => m.id), missed);

    for (const pane of PANES) {
        assert.equal(await find(`${pane}-messages`).getByText('resumed',
                                                  { exact: true }).count(), 3);
    }

    await screenshot(page, nginx, 'light');
});


demo('drop before any message, and resume', async () => {
    await nginx.publish('elsewhere', 'so that positions move');
    await subscribe('room/silent');

    for (const pane of PANES) {
        await find(`${pane}-drop`).click();
    }

    await publish('the first');

    for (const pane of PANES) {
        await find(`${pane}-resume`).click();
    }

    assert.equal((await both(1))[0].resumed, 'true');
});


demo('a gap is shown', async () => {
    await subscribe('room/gap');

    const from = await publish('before');

    await both(1);

    for (const pane of PANES) {
        await find(`${pane}-drop`).click();
    }

    const ids = [];

    for (let i = 0; i < 30; i++) {
        ids.push((await nginx.publish('room/gap', `number ${i}`)).id);
    }

    for (const pane of PANES) {
        await find(`${pane}-resume`).click();
    }

    await both(21);

    for (const pane of PANES) {
        const gap = (await rows(pane))[1];

        assert.equal(gap.testid, 'gap');
        assert.equal(gap.from, from);
        assert.equal(gap.reason, 'history');
        assert.ok(seq(gap.to) >= seq(ids[9]) && seq(gap.to) < seq(ids[10]));

        for (const shown of [gap.from, gap.to, 'history']) {
            assert.ok(gap.text.includes(shown), shown);
        }
    }

    for (const pane of PANES) {
        await find(`${pane}-messages`).evaluate((list) => list.scrollTop = 0);
    }

    await page.emulateMedia({ colorScheme: 'dark' });
    await screenshot(page, nginx, 'dark');
    await page.emulateMedia({ colorScheme: 'light' });
});


demo('messages of others: binary, and names not heard before', async () => {
    await subscribe('room/others');
    await nginx.publish('room/others', 'plain');
    await nginx.publish('room/others', 'surprise', { 'Realtime-Event': 'new' });
    await nginx.publish('room/others', new Uint8Array([1, 2, 255]),
                        { 'Content-Type': 'application/octet-stream' });
    await until(async () => (await messages('sse')).length === 3, 'all three');

    const got = await messages('ws');

    assert.deepEqual(got.map((m) => [m.event, m.text]),
                     [[undefined, 'plain'], ['new', 'surprise'],
                      [undefined, '01 02 ff']]);
    assert.deepEqual((await messages('sse')).map(essence).sort(byId),
                     got.map(essence).sort(byId));
});


function byId(a, b) {
    return seq(a.id) - seq(b.id);
}


demo('wildcards tell the topic; the socket of a room publishes', async () => {
    await subscribe('room/*');
    assert.ok(await find('ws-send').isHidden());
    await nginx.publish('room/x', 'to x');
    await nginx.publish('room/y', 'to y');
    await both(2);
    assert.deepEqual((await messages('ws')).map((m) => m.topic),
                     ['room/x', 'room/y']);

    await subscribe('room/x');
    await find('ws-text').fill('over the socket');
    await find('ws-text').press('Enter');
    assert.equal((await both(1))[0].text, 'over the socket');
});


demo('a reload: both come back by themselves', async () => {
    await subscribe('room/reload');
    await publish('before');
    await both(1);

    await nginx.reload();
    await nginx.publish('room/reload', 'meanwhile');
    await nginx.alone();
    await connected(...PANES);
    await until(async () => (await messages('sse')).length === 2
                            && (await messages('ws')).length === 2, 'both');

    for (const pane of PANES) {
        assert.deepEqual((await messages(pane)).map((m) => m.text),
                         ['before', 'meanwhile']);
    }
});


demo('the counters are alive', async () => {
    const published = async () =>
        Number(await find('count-published').getAttribute('data-value'));
    const before = await published();

    await nginx.publish('room/counted', 'one');
    await until(async () => await published() > before, 'a higher count');
    assert.equal(await published(),
                 (await nginx.status()).messages_published);
});


demo('nothing was wrong on the console', () => {
    assert.deepEqual(complaints, []);
});


/* The page has no hand in this: it is how browsers reconnect. */

demo('killed before any message: the browser knows where it was', async () => {
    await nginx.publish('elsewhere', 'so that positions move');

    await page.evaluate(() => {
        window.silent = [];
        window.source = new EventSource('/sub/silent');
        window.source.onmessage = (e) => window.silent.push(e.data);
        return new Promise((done) => window.source.onopen = done);
    });

    await nginx.killWorker();
    await page.waitForFunction(() => window.source.readyState
                                     === EventSource.CONNECTING);
    await nginx.publish('silent', 'the first');
    await page.waitForFunction(() => window.silent.length > 0);

    assert.deepEqual(await page.evaluate(() => window.silent), ['the first']);

    await page.evaluate(() => window.source.close());
    await connected(...PANES);
});


demo('an error is told in plain words', async () => {
    const id = await find('id').first().getAttribute('data-id');

    await find('publish-topic').fill('no,lists');
    await find('publish-text').fill('kept');
    await find('publish-button').click();
    await page.locator('#answer[data-kind=bad]').waitFor();

    assert.match(await find('answer').textContent(), /topic.*\(400\)/);
    assert.equal(await find('publish-text').inputValue(), 'kept');
    assert.equal(await find('id').first().getAttribute('data-id'), id);

    await find('topic').fill('**/no');
    await find('topic').press('Enter');

    for (const pane of PANES) {
        await page.locator(`#${pane}[data-state=refused]`).waitFor();
        assert.match((await rows(pane)).at(-1).text, /topic.*\(400\)/);
    }
});


test('nginx ends cleanly', async () => {
    await browser?.close();
    await nginx.subscribers('sse', 0);
    await nginx.subscribers('websocket', 0);
    await nginx.stop();
});
