/*
 * The board shows what is known of the auction that is watched: price, leader,
 * the clock, and the list of its events.
 *
 * Whatever comes from the network is put in as text, never as markup.
 */

import { element, time } from './pane.js';
import { money } from './money.js';


const TICK_MS = 100;
const ROWS_MAX = 500;

const REASONS = {
    bought: 'bought now',
    closed: 'closed by the seller',
    unsealable: 'the secret of the bids was lost'
};


export class Board {
    constructor(section, now) {
        this.section = section;
        this.now = now;
        this.find = (id) => section.querySelector(`[data-testid=${id}]`);
        this.list = this.find('events-list');
        this.events = this.find('events');

        setInterval(() => this.tick(), TICK_MS);
    }

    begin(id) {
        this.id = id;
        this.over = null;
        this.s = null;
        this.end = null;
        this.extension = 0;
        this.list.replaceChildren();
        this.put('auction-id', id);
        this.put('events-topic', `auction/${id}`);
        this.find('another').href = `#auction/${id}`;
        this.find('watching').hidden = true;
        this.find('extended').hidden = true;
        this.say('', '');
    }

    money(amount) {
        return money(amount, this.s.currency);
    }

    put(id, text) {
        const e = this.find(id);

        if (e.textContent !== text) {       /* or it would be read aloud */
            e.textContent = text;
        }
    }

    say(kind, text) {
        const output = this.find('board-answer');

        output.dataset.kind = kind;
        output.value = text;
    }

    /* An event is shown at once; the state, which is asked for, follows. */

    event(e, how) {
        const from = this.end;

        if (e.type === 'closed' || e.type === 'cancelled') {
            this.over = e.time;
        }

        this.end = e.ends_at;
        this.row(e, how, from !== null && e.type === 'bid' && e.ends_at > from
                         ? e.ends_at - from : 0);

        if (e.version > this.s.version) {
            this.state({ ...this.s, price: e.price, leader: e.leader,
                         ends_at: e.ends_at, bids: e.bids ?? this.s.bids,
                         version: e.version });
        }
    }

    state(s) {
        const { state, price, leader, winner } = s;
        const sold = winner !== null;
        const over = state === 'closed' || state === 'cancelled';

        this.s = s;
        this.section.dataset.state = state;
        this.put('auction-state', state);
        this.put('price-label', sold ? 'sold for'
                                : leader === null ? 'price' : 'price now');
        this.put('price', sold ? this.money(s.paid)
                          : price === null ? 'sealed' : this.money(price));
        this.put('leader', sold ? `to ${winner}`
                           : over ? 'nobody wins'
                           : leader !== null ? `${leader} leads`
                           : price === null ? 'until the end'
                           : s.kind === 'dutch' ? 'and falling'
                           : 'no bid yet');
        this.put('bids', String(s.bids));
        this.put('minimum', over ? '–' : this.money(s.minimum));
        this.put('reserve', price === null ? '–'
                            : s.reserve_met ? 'met' : 'not met');
        this.put('kind', s.kind);
        this.put('version', String(s.version));
        this.put('ends-at', !over ? `ends ${time(s.ends_at)}`
                            : this.over ? `at ${time(this.over)}` : '');

        for (const b of this.section.querySelectorAll('.board [data-do]')) {
            b.disabled = over;
        }

        this.tick();
    }

    /* By the server's clock, at the end of which nothing is over yet. */

    tick() {
        const s = this.s;

        if (!s) {
            return;
        }

        const over = s.state === 'closed' || s.state === 'cancelled';
        const waits = s.state === 'scheduled';
        const left = over ? 0 : Math.max(0, (waits ? s.starts_at : s.ends_at)
                                            - this.now());
        const whole = s.ends_at - s.starts_at;

        this.put('left-label', waits ? 'begins in' : 'time left');
        this.put('left', over ? 'over' : remaining(left));
        this.find('bar').value = waits || over ? 0 : left / whole;
        this.find('board').dataset.near = !over && left < 10_000;
    }

    clock({ watchers }) {
        if (Number.isSafeInteger(watchers)) {
            this.put('watching', `${watchers} watching`);
            this.find('watching').hidden = false;
        }
    }

    feed(name, text) {
        this.events.dataset.state = name;
        this.put('events-state', text);

        const stopped = name === 'dropped' || name === 'refused';

        this.find('events-drop').disabled = stopped;
        this.find('events-resume').disabled = !stopped;
    }

    position(id) {
        this.put('events-last-id', id ?? '–');
    }

    note(text, kind = '') {
        this.add(element('li', `note ${kind}`, text));
    }

    row(e, how, extension) {
        const li = element('li', how);
        const meta = element('div', 'meta');
        const when = element('time', '', time(e.time));

        li.dataset.testid = 'event';
        li.dataset.version = e.version;
        li.dataset.type = e.type;
        li.dataset.how = how;

        when.dateTime = new Date(e.time).toISOString();
        meta.append(element('code', 'id', `v${e.version}`),
                    element('span', 'chip', e.type));

        if (how === 'resumed') {
            meta.append(element('span', 'chip resumed', 'resumed'));
        }

        if (how === 'journal') {
            meta.append(element('span', 'chip plain', 'journal'));
        }

        meta.append(when);
        li.append(meta, element('p', 'text', this.words(e)));

        if (extension) {
            li.append(this.extended(extension, e.ends_at));
        }

        this.add(li);
    }

    extended(ms, end) {
        const chip = this.find('extended');

        this.extension += ms;
        chip.hidden = false;
        chip.textContent = `extended by ${seconds(this.extension)}`;

        return element('p', 'extension',
                       `The end moves by ${seconds(ms)}, to ${time(end)}.`);
    }

    words(e) {
        const amount = (n) => n === null || n === undefined
                              ? 'a sealed amount' : this.money(n);

        switch (e.type) {

        case 'created':
            return `${e.seller || 'Somebody'} offers, from `
                   + `${amount(e.start)}.`;

        case 'opened':
            return 'Bids are taken.';

        case 'bid':
            return e.leader === null ? 'Somebody bids, sealed.'
                   : `${e.bidder} bids ${amount(e.amount)}`
                     + (e.leader !== e.bidder ? `; ${e.leader} leads` :
                        ' and leads')
                     + (e.price !== e.amount ? ` at ${amount(e.price)}.` : '.');

        case 'retracted':
            return e.leader === null ? 'A bid is taken back; nobody leads.'
                   : `A bid is taken back; ${e.leader} leads at `
                     + `${amount(e.price)}.`;

        case 'price':
            return `The price falls to ${amount(e.price)}.`;

        case 'closed':
            return (e.winner === null ? 'Nobody wins'
                    : `Sold to ${e.winner}, who pays ${amount(e.paid)}`)
                   + (REASONS[e.reason] ? `; ${REASONS[e.reason]}.` : '.');

        case 'cancelled':
            return 'The seller has cancelled it.';
        }

        return JSON.stringify(e);
    }

    add(li) {
        this.list.prepend(li);

        if (this.list.childElementCount > ROWS_MAX) {
            this.list.lastElementChild.remove();
        }
    }
}


function seconds(ms) {
    return `${(ms / 1000).toFixed(1)} s`;
}


function remaining(ms) {
    const two = (n) => String(n).padStart(2, '0');
    const s = Math.ceil(ms / 1000);

    if (ms < 10_000) {
        return `${(ms / 1000).toFixed(1)} s`;
    }

    return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}`
                    : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}`
                      + `:${two(s % 60)}`;
}
