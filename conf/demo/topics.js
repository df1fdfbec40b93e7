/*
 * The Topics tab: one subscription over two kinds of connection, a form that
 * publishes, and the ids of what was accepted.
 */

import { EventSourceFeed, WebSocketFeed } from './feed.js';
import { Pane, element } from './pane.js';
import { Recent, address, words } from './ids.js';


const IDS_MAX = 200;


export function start(section) {
    const sse = side('sse', EventSourceFeed);
    const ws = side('ws', WebSocketFeed);

    const topic = document.getElementById('topic');
    const publishTopic = document.getElementById('publish-topic');
    const text = document.getElementById('publish-text');
    const send = section.querySelector('.send');

    function subscribe() {
        const value = topic.value.trim();
        const pattern = /[*,]/.test(value);
        const from = document.getElementById('earliest').checked
                     ? 'earliest' : null;

        for (const { pane, feed } of [sse, ws]) {
            pane.clear();
            pane.pattern = pattern;
            feed.subscribe(value, from);
        }

        send.hidden = !ws.feed.room;

        if (!pattern) {
            publishTopic.value = value;
        }
    }

    /* a name that the WebSocket tells, the EventSource must listen for */

    ws.pane.onmessage = (m) => {
        saw('ws', m.id);
        sse.feed.learn(m.event, ws.feed.previousId);
    };

    on('subscribe', subscribe);

    on('publish', () => publish(sse.feed));

    send.addEventListener('submit', (e) => {
        const input = send.querySelector('input');

        e.preventDefault();

        if (ws.feed.send(input.value)) {
            input.value = '';
        }
    });

    text.addEventListener('keydown', (e) => {
        if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) {
            e.preventDefault();
            text.form.requestSubmit();
        }
    });

    subscribe();
}


function on(id, handler) {
    document.getElementById(id).addEventListener('submit', (e) => {
        e.preventDefault();
        handler();
    });
}


function side(name, Kind) {
    const pane = new Pane(document.getElementById(name));
    const feed = new Kind(pane);

    pane.onmessage = (m) => saw(name, m.id);

    pane.buttons.drop.addEventListener('click', () => feed.drop());
    pane.buttons.resume.addEventListener('click', () => feed.resume());
    pane.buttons.clear.addEventListener('click', () => pane.clear());

    return { pane, feed };
}


async function publish(source) {
    const topic = document.getElementById('publish-topic').value.trim();
    const event = document.getElementById('publish-event').value;
    const text = document.getElementById('publish-text');
    const headers = {};

    source.learn(event);

    if (event) {
        headers['Realtime-Event'] = utf8(event);
    }

    try {
        const r = await fetch(address('pub', topic),
                              { method: 'POST', headers, body: text.value });

        if (r.status !== 201) {
            answer('bad', await words(r));
            return;
        }

        const { id, subscribers } = await r.json();

        answer('good', `201 ${id}, ${people(subscribers)}`);
        accepted(id, topic);
        text.value = '';

    } catch (e) {
        answer('bad', e instanceof TypeError
                      ? 'The server could not be reached.' : e.message);
    }

    text.focus();
}


function answer(kind, text) {
    const output = document.getElementById('answer');

    output.dataset.kind = kind;
    output.value = text;
}


function people(n) {
    return n === 1 ? '1 subscriber' : `${n} subscribers`;
}


/* A header's characters are bytes to fetch(). */

function utf8(text) {
    return String.fromCharCode(...new TextEncoder().encode(text));
}


/*
 * The ids: a message may be received before its publisher has the answer, so
 * what was seen is kept on its own.
 */

const received = { sse: new Recent(), ws: new Recent() };


function accepted(id, topic) {
    const list = document.getElementById('ids');
    const li = element('li');

    li.dataset.testid = 'id';
    li.dataset.id = id;
    li.append(element('code', '', id), element('span', 'topic', topic));

    for (const [name, title] of [['sse', 'EventSource'], ['ws', 'WebSocket']]) {
        const light = element('span', `seen ${name}`);

        light.setAttribute('role', 'img');
        li.append(light);
        lit(light, title, received[name].has(id));
    }

    list.prepend(li);

    if (list.childElementCount > IDS_MAX) {
        list.lastElementChild.remove();
    }
}


function saw(name, id) {
    const title = { sse: 'EventSource', ws: 'WebSocket' }[name];

    received[name].add(id);

    for (const li of document.getElementById('ids').children) {
        if (li.dataset.id === id) {
            lit(li.querySelector(`.seen.${name}`), title, true);
            return;
        }
    }
}


function lit(light, title, seen) {
    light.dataset.seen = seen;
    light.title = `${title}: ${seen ? 'received' : 'not received'}`;
    light.setAttribute('aria-label', light.title);
}
