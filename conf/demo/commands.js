/*
 * Commands and queries to an auction, by POST and GET or over a WebSocket.
 *
 * A command's result is the same over both,
 *
 *     { ok, value, error, again, wire }
 *
 * where value is the engine's answer, error is { code, message, ... }, again
 * says that it is not known whether it was done, or that it can be done later:
 * to send it again with the same key counts once.  wire is what went over the
 * network.
 */

import { words } from './ids.js';


const AGAIN = ['busy', 'timeout', 'unavailable'];
const RETRY_MS = 1000;
const ANSWER_MS = 8000;     /* nginx itself gives up after 5 s */

const LOST = { code: 'lost', message: 'the connection was lost' };


/* crypto.randomUUID() is there only on pages that the browser calls secure */

export function random(bytes) {
    return [...crypto.getRandomValues(new Uint8Array(bytes))]
               .map((b) => b.toString(16).padStart(2, '0')).join('');
}


function path(id, command, args = {}) {
    const query = String(new URLSearchParams(args));

    return `/auction/${encodeURIComponent(id)}/${command}`
           + (query && `?${query}`);
}


function failed(error, wire) {
    return { ok: false, error, again: AGAIN.includes(error.code)
                                      || error === LOST, wire };
}


/* Throws a TypeError if there is no answer, an Error if the answer is one. */

export async function query(id, name, args) {
    const r = await fetch(path(id, name, args), { cache: 'no-store' });

    if (!r.ok) {
        const e = new Error(await words(r));

        e.status = r.status;
        throw e;
    }

    return { value: await r.json(),
             version: Number(r.headers.get('Realtime-Version')) };
}


export async function post(id, command, user, data, key = random(8)) {
    const body = JSON.stringify(data);
    const url = path(id, command, { user });
    const wire = [`POST ${url}`, `Idempotency-Key: ${key}`, body];
    let r, text;

    try {
        r = await fetch(url, {
            method: 'POST', body,
            headers: { 'Content-Type': 'application/json',
                       'Idempotency-Key': key },
            signal: AbortSignal.timeout(ANSWER_MS)
        });
        text = await r.text();

    } catch {
        return failed(LOST, wire.join('\n'));
    }

    wire.push('', `${r.status}`
                  + (r.headers.has('Idempotent-Replay')
                     ? ' Idempotent-Replay: true' : ''), text);

    try {
        const { error, ...more } = JSON.parse(text);

        return r.ok ? { ok: true, value: JSON.parse(text),
                        wire: wire.join('\n') }
                    : failed({ ...more, code: error }, wire.join('\n'));

    } catch {
        return failed({ code: String(r.status),
                        message: `the server answered ${r.status}` },
                      wire.join('\n'));
    }
}


/* A WebSocket whose messages are commands; it comes back by itself. */

export class CommandSocket {
    last = 0;
    waiting = new Map();

    constructor(state) {
        this.state = state;     /* told "open", "waiting" */
    }

    open(id, user) {
        this.close();

        const url = new URL(path(id, 'ws', { user }), location.href);

        url.protocol = url.protocol.replace('http', 'ws');
        this.url = url;
        this.connect();
    }

    connect() {
        const socket = new WebSocket(this.url);

        this.socket = socket;
        this.state('waiting');

        socket.addEventListener('open', () => {
            if (socket === this.socket) {
                this.state('open');
            }
        });

        socket.addEventListener('message', (e) => {
            if (socket === this.socket) {
                this.answer(e.data);
            }
        });

        socket.addEventListener('close', () => {
            if (socket === this.socket) {
                this.lost();
            }
        });
    }

    close() {
        const socket = this.socket;

        clearTimeout(this.timer);
        this.socket = null;
        socket?.close(1000);
        this.forget();
    }

    lost() {
        this.socket = null;
        this.state('waiting');
        this.forget();
        this.timer = setTimeout(() => this.connect(), RETRY_MS);
    }

    forget() {
        this.waiting.forEach((done) => done(null));
        this.waiting.clear();
    }

    answer(text) {
        const id = JSON.parse(text).id;

        this.waiting.get(id)?.(text);
        this.waiting.delete(id);
    }

    async send(command, data, key = random(8)) {
        const id = ++this.last;
        const frame = JSON.stringify({ id, command, data, key });

        if (this.socket?.readyState !== WebSocket.OPEN) {
            return failed(LOST, `→ ${frame}`);
        }

        const text = await new Promise((done) => {
            this.waiting.set(id, done);
            this.socket.send(frame);
            setTimeout(() => done(null), ANSWER_MS);
        });

        this.waiting.delete(id);

        if (text === null) {
            return failed(LOST, `→ ${frame}`);
        }

        const { ok, error } = JSON.parse(text);
        const wire = `→ ${frame}\n\n← ${text}`;

        return ok ? { ok: true, value: ok, wire } : failed(error, wire);
    }
}
