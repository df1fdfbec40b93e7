/*
 * What is known of one auction.
 *
 * Its events come over an EventSource and are told in the order of their
 * versions, each once.  The beginning, and what a gap has taken, is read from
 * the journal, which is the query "history".
 *
 * Events tell price, leader and end.  The rest (minimum, reserve met) is the
 * query "state", asked after events, one at a time.  It also tells the server's
 * time, so that now() is the server's clock, whatever this machine's says.
 *
 * Tells through what it is given:
 *
 *     begin(id)           another auction
 *     event(e, how)       how: live, resumed, journal
 *     state(s)            the query's answer, and the version it is of
 *     clock(c)            { now, ends_at, price, version, watchers }
 *     feed(name, text)    the EventSource's state, as of a pane
 *     position(id)        the last id
 *     note(text, kind)
 */

import { EventSourceFeed } from './feed.js';
import { query } from './commands.js';


const RETRY_MS = 1000;
const PAGE = 1000;          /* events in one answer of "history" */
const PENDING_MAX = 10000;


export class Watch {
    constructor(shown) {
        this.shown = shown;
        this.offset = 0;
        this.opening = 0;   /* what an answer belongs to that comes late */
        this.attempt = 0;
        this.feed = new EventSourceFeed(this);
        this.feed.learn('clock');
    }

    /* Throws if there is no such auction. */

    async open(id) {
        const opening = ++this.opening;
        const state = await this.ask(id);

        if (opening !== this.opening) {
            return;
        }

        this.attempt++;
        this.id = id;
        this.next = 1;
        this.filled = false;
        this.filling = false;
        this.asking = false;
        this.pending = new Map();
        this.shown.begin(id);
        this.shown.state(state);
        this.feed.subscribe(`auction/${id}`);
    }

    drop() {
        this.feed.drop();
    }

    resume() {
        this.feed.resume();
    }

    now() {
        return performance.now() + this.offset;
    }

    /* what the feed tells */

    state(name, text) {
        this.shown.feed(name, text);

        if (name !== 'open') {
            return;
        }

        if (!this.filled) {
            this.fill();
        }

        this.refresh();
    }

    position(id) {
        this.shown.position(id);
    }

    note(text, kind) {
        this.shown.note(text, kind);
    }

    gap() {
        this.fill();
    }

    message(m) {
        let e;

        try {
            e = JSON.parse(m.text);

        } catch {
            e = null;
        }

        if (m.event === 'clock' && Number.isSafeInteger(e?.now)) {
            /* sent at that time, so it is not earlier now */
            this.offset = Math.max(this.offset, e.now - performance.now());
            this.shown.clock(e);
            return;
        }

        if (!Number.isSafeInteger(e?.version)) {
            this.note('Something else was published to this topic.');
            return;
        }

        this.take(e, m.resumed ? 'resumed' : 'live');

        if (this.pending.size > 0) {
            this.fill();
        }

        this.refresh();
    }

    take(e, how) {
        if (e.version >= this.next && this.pending.size < PENDING_MAX) {
            this.pending.set(e.version, { e, how });
        }

        this.tell();
    }

    tell() {
        while (this.pending.has(this.next)) {
            const { e, how } = this.pending.get(this.next);

            this.pending.delete(this.next++);
            this.shown.event(e, how);
        }
    }

    /* From the journal, whatever is missing; once more if it cannot be read. */

    async fill() {
        const attempt = this.attempt;

        if (this.filling) {
            return;
        }

        this.filling = true;

        while (this.filling) {
            try {
                this.filling = await this.read(attempt);
                this.filled = true;

            } catch {
                await pause(RETRY_MS);
            }

            if (attempt !== this.attempt) {
                return;
            }
        }

        this.refresh();
    }

    /* Whether more has come meanwhile, with something missing again. */

    async read(attempt) {
        const before = [...this.pending.keys()];

        for ( ;; ) {
            const { events } = await this.history();

            if (attempt !== this.attempt) {
                return false;
            }

            events.forEach((e) => this.take(e, 'journal'));

            if (events.length < PAGE) {
                break;
            }
        }

        before.forEach((version) => this.pending.delete(version));

        return this.pending.size > 0;
    }

    async history() {
        try {
            const r = await query(this.id, 'history', { from: this.next });

            return r.value;

        } catch (e) {
            if (e.status !== 410) {
                throw e;
            }

            this.note('The journal no longer keeps what was before.');
            this.next = Math.min(...this.pending.keys(), this.version + 1);
            this.tell();

            return { events: [] };
        }
    }

    async refresh() {
        const attempt = this.attempt;

        if (this.asking) {
            this.again = true;
            return;
        }

        this.asking = true;
        this.again = false;

        try {
            const state = await this.ask(this.id);

            if (attempt === this.attempt) {
                this.shown.state(state);
            }

        } catch {
            this.again = true;
            await pause(RETRY_MS);
        }

        if (attempt === this.attempt) {
            this.asking = false;

            if (this.again) {
                this.refresh();
            }
        }
    }

    async ask(id) {
        const sent = performance.now();
        const { value, version } = await query(id, 'state');
        const received = performance.now();

        this.offset = value.time - (sent + received) / 2;
        this.version = version;

        return { ...value, version };
    }
}


function pause(ms) {
    return new Promise((done) => setTimeout(done, ms));
}
