/*
 * A pane shows one feed: its state, its position and what came over it.
 *
 * Whatever comes from the network is put in as text, never as markup.
 */

import { Recent } from './ids.js';


const ROWS_MAX = 500;

const REASONS = {
    evicted: 'overwritten in the ring',
    history: 'older than the history here allows',
    lagged: 'this client was too slow',
    deleted: 'deleted by a publisher',
    refused: 'the server could not take it',
    epoch: 'the server began anew since'
};


export class Pane {
    constructor(section) {
        const name = section.id;
        const find = (what) => section.querySelector(
                                         `[data-testid=${name}-${what}]`);

        this.section = section;
        this.list = find('messages');
        this.stateText = find('state');
        this.lastId = find('last-id');
        this.count = find('count');
        this.buttons = Object.fromEntries(
            [...section.querySelectorAll('[data-do]')]
                .map((b) => [b.dataset.do, b]));

        this.seen = new Recent();
        this.received = 0;
        this.pattern = false;
        this.onmessage = () => {};
    }

    state(name, text) {
        this.section.dataset.state = name;
        this.stateText.textContent = text;
        this.buttons.drop.disabled = name === 'dropped' || name === 'refused';
        this.buttons.resume.disabled = !this.buttons.drop.disabled;
    }

    position(id) {
        this.lastId.textContent = id ?? '–';
    }

    message(m) {
        const duplicate = this.seen.has(m.id);

        this.seen.add(m.id);
        this.count.textContent = ++this.received;

        const li = element('li', 'message');
        const meta = element('div', 'meta');
        const when = element('time', '', time(m.time));

        li.dataset.testid = 'message';
        li.dataset.id = m.id;
        li.dataset.resumed = m.resumed;
        li.classList.toggle('resumed', m.resumed);

        when.dateTime = new Date(m.time).toISOString();
        when.title = m.arrival ? 'when it was received'
                               : 'when it was published';
        meta.append(element('code', 'id', m.id));

        if (m.event) {
            meta.append(element('span', 'chip event', m.event));
        }

        if (m.topic && this.pattern) {
            meta.append(element('span', 'chip plain topic', m.topic));
        }

        if (m.bytes) {
            meta.append(element('span', 'chip plain',
                                `binary, ${m.bytes.length} bytes`));
        }

        if (m.resumed) {
            meta.append(element('span', 'chip resumed', 'resumed'));
        }

        if (duplicate) {
            meta.append(element('span', 'chip duplicate', 'duplicate'));
        }

        meta.append(when);
        li.append(meta, element('pre', 'text',
                                m.bytes ? hex(m.bytes) : m.text));

        this.add(li);
        this.onmessage(m);
    }

    gap(g) {
        const li = element('li', 'gap');
        const list = element('dl');

        li.dataset.testid = 'gap';
        li.dataset.from = g.from;
        li.dataset.to = g.to;
        li.dataset.reason = g.reason;

        const lines = {
            reason: REASONS[g.reason] ? `${g.reason} – ${REASONS[g.reason]}`
                                      : g.reason,
            after: g.from,
            up_to: g.to
        };

        if (this.pattern) {
            lines.topic = g.topic;
        }

        for (const [name, value] of Object.entries(lines)) {
            list.append(element('dt', '', name.replace('_', ' ')),
                        element('dd', '', value));
        }

        li.append(element('b', '', 'Messages are missing here'), list);
        this.add(li);
    }

    note(text, kind = '') {
        this.add(element('li', `note ${kind}`, text));
    }

    clear() {
        this.list.replaceChildren();
        this.seen.clear();
        this.received = 0;
        this.count.textContent = 0;
    }

    add(li) {
        const list = this.list;
        const rest = list.scrollHeight - list.scrollTop - list.clientHeight;

        list.append(li);

        if (list.childElementCount > ROWS_MAX) {
            list.firstElementChild.remove();
        }

        if (rest < 40) {
            list.scrollTop = list.scrollHeight;
        }
    }
}


export function element(tag, className = '', text = '') {
    const e = document.createElement(tag);

    e.className = className;
    e.textContent = text;

    return e;
}


export function time(ms) {
    const d = new Date(ms);
    const two = (n) => String(n).padStart(2, '0');

    return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
           + `.${String(d.getMilliseconds()).padStart(3, '0')}`;
}


function hex(bytes) {
    const shown = [...bytes.subarray(0, 64)]
                      .map((b) => b.toString(16).padStart(2, '0')).join(' ');

    return bytes.length > 64 ? `${shown} …` : shown;
}
