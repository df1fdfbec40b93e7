/*
 * A feed is one subscription over one kind of connection.  It may be dropped
 * and resumed, and keeps the last id between the two.
 *
 * It tells its pane, through the functions that it is given,
 *
 *     state(name, text)   connecting, open, waiting, dropped, refused
 *     message(m)          { id, time, arrival, event, topic, text, bytes,
 *                           resumed }
 *     gap(g)              { topic, from, to, reason }
 *
 * When a feed comes back it first asks where the server is: everything up to
 * there was published while it was away, and is marked as resumed.
 */

import { Recent, address, position, within } from './ids.js';


const RETRY_MS = 1000;
const RETRY_MAX_MS = 10000;


class Feed {
    constructor(pane) {
        this.pane = pane;
        this.topic = null;
        this.lastId = null;
        this.resumedTo = null;
        this.attempt = 0;       /* what an answer belongs to that comes late */
    }

    subscribe(topic, from = null) {
        this.drop();
        this.topic = topic;
        this.lastId = null;
        this.open(from, false);
    }

    resume() {
        this.open(this.lastId, true);
    }

    drop() {
        this.attempt++;
        this.disconnect();
        this.pane.state('dropped', 'dropped');
    }

    refuse(reason) {
        this.attempt++;
        this.disconnect();
        this.pane.state('refused', 'refused');
        this.pane.note(reason, 'bad');
    }

    async open(from, resuming) {
        const attempt = ++this.attempt;

        this.pane.state('connecting', resuming ? 'resuming' : 'connecting');

        try {
            const now = await position(this.topic);

            if (attempt !== this.attempt) {
                return;
            }

            this.resumedTo = resuming ? now : null;
            this.lastId ??= now;
            this.pane.position(this.lastId);

            this.connect(from);

        } catch (e) {
            if (attempt !== this.attempt) {
                return;
            }

            if (e instanceof TypeError) {       /* fetch() got no answer */
                this.retry('server unreachable');
                return;
            }

            this.refuse(e.message);
        }
    }

    retry(why) {
        const attempt = ++this.attempt;

        this.disconnect();
        this.retryMs = Math.min((this.retryMs ?? RETRY_MS / 2) * 2,
                                RETRY_MAX_MS);
        this.pane.state('waiting', `${why}, comes back by itself`);

        setTimeout(() => {
            if (attempt === this.attempt) {
                this.open(this.lastId, true);
            }
        }, this.retryMs);
    }

    opened() {
        this.retryMs = undefined;
        this.pane.state('open', 'connected');
    }

    message(m) {
        this.lastId = m.id;
        this.pane.position(m.id);
        this.pane.message({ ...m, resumed: within(m.id, this.resumedTo) });
    }

    gap(g, id) {
        this.lastId = id;
        this.pane.position(id);
        this.pane.gap(g);
    }

    url(place, from, query = {}) {
        const u = new URL(address(place, this.topic), location.href);

        for (const [name, value] of Object.entries(query)) {
            u.searchParams.set(name, value);
        }

        if (from) {
            u.searchParams.set('last_event_id', from);
        }

        return u;
    }
}


/*
 * An EventSource hands over only those named events that somebody listens for.
 * Names are learned from what this page publishes and from the other feed.  If
 * a name was learned too late, we go back to just before and skip what we have.
 */

export class EventSourceFeed extends Feed {
    names = new Set(['message', 'realtime:binary']);
    shown = new Recent();
    skip = new Set();
    held = null;

    connect(from) {
        const source = new EventSource(this.url('sub', from));

        this.source = source;

        source.addEventListener('realtime:gap', (e) => {
            const g = JSON.parse(e.data);

            this.gap(g.gap ?? g, e.lastEventId);
        });

        for (const name of this.names) {
            this.listen(name);
        }

        /* messages may be named "open" and "error", too */

        source.addEventListener('open', (e) => {
            if (!(e instanceof MessageEvent)) {
                this.opened();
            }
        });

        source.addEventListener('error', (e) => {
            if (!(e instanceof MessageEvent)) {
                this.lost();
            }
        });
    }

    disconnect() {
        this.source?.close();
        this.source = null;
        this.away = false;
        this.held = null;
        this.skip.clear();
    }

    listen(name) {
        const source = this.source;

        source.addEventListener(name, (e) => {
            if (e instanceof MessageEvent && source === this.source) {
                this.take(e);
            }
        });
    }

    take(e) {
        if (this.held) {
            this.held.push(e);
            return;
        }

        if (this.skip.delete(e.lastEventId)) {
            return;
        }

        this.shown.add(e.lastEventId);

        const binary = e.type === 'realtime:binary';

        this.message({
            id: e.lastEventId,
            time: Date.now(),
            arrival: true,      /* SSE tells no time */
            event: e.type === 'message' || binary ? undefined : e.type,
            text: binary ? undefined : e.data,
            bytes: binary ? bytes(e.data) : undefined
        });
    }

    learn(name, before = null) {
        if (!name || this.names.has(name)) {
            return;
        }

        this.names.add(name);

        if (!this.source) {
            return;
        }

        if (!before) {
            this.listen(name);
            return;
        }

        /* the other feed may be ahead of this one */

        const from = within(before, this.lastId) ? before : this.lastId;

        this.attempt++;
        this.disconnect();
        this.skip = new Set([...this.shown].filter((id) =>
                                                   !within(id, from)));
        this.connect(from);
    }

    /* The browser comes back by itself, unless the answer was an error. */

    lost() {
        if (this.source.readyState === EventSource.CLOSED) {
            this.retry('connection refused');
            return;
        }

        this.away = true;
        this.pane.state('waiting', 'connection lost, comes back by itself');
    }

    /* What comes before we know where the server was is held until then. */

    async opened() {
        super.opened();

        if (!this.away) {
            return;
        }

        this.away = false;

        const held = this.held = [];

        try {
            this.resumedTo = await position(this.topic);

        } catch {
            this.resumedTo = null;
        }

        if (this.held === held) {
            this.held = null;
            held.forEach((e) => this.take(e));
        }
    }

    subscribe(topic, from) {
        this.shown.clear();
        super.subscribe(topic, from);
    }
}


/* Codes after which it makes no sense to come back with the same. */

const FINAL = {
    1002: 'protocol error',
    1003: 'unsupported data',
    1007: 'not valid text',
    1008: 'not allowed here',
    1009: 'message too large',
    4000: 'messages are missing'
};


export class WebSocketFeed extends Feed {
    connect(from) {
        const url = this.room
                    ? this.url('room', from, { envelope: 1 })
                    : this.url('sub', from, { envelope: 1 });

        url.protocol = url.protocol.replace('http', 'ws');

        const socket = new WebSocket(url);

        this.socket = socket;
        socket.binaryType = 'arraybuffer';

        const own = (handler) => (e) => {
            if (socket === this.socket) {
                handler(e);
            }
        };

        socket.addEventListener('open', own(() => this.opened()));
        socket.addEventListener('close', own((e) => this.lost(e)));
        socket.addEventListener('message', own((e) => this.take(e.data)));
    }

    disconnect() {
        const socket = this.socket;

        this.socket = null;
        socket?.close(1000);
    }

    /* In room/<name> whatever is sent over the socket is published. */

    get room() {
        return /^room\/[^*,]+$/.test(this.topic);
    }

    url(place, from, query) {
        const u = super.url(place, from, query);

        if (place === 'room') {
            u.pathname = u.pathname.replace(/^\/room\/room\//, '/room/');
        }

        return u;
    }

    send(text) {
        if (this.socket?.readyState !== WebSocket.OPEN) {
            return false;
        }

        this.socket.send(text);
        return true;
    }

    take(text) {
        const m = JSON.parse(text);

        if (m.open) {
            this.lastId = m.open.id;
            this.pane.position(this.lastId);
            return;
        }

        if (m.gap) {
            this.gap(m.gap, m.gap.to);
            return;
        }

        this.previousId = this.lastId;
        this.message({ ...m, text: m.data,
                       bytes: m.base64 === undefined ? undefined
                                                     : bytes(m.base64) });
    }

    lost(e) {
        if (FINAL[e.code]) {
            this.refuse(`Closed with ${e.code}: ${e.reason || FINAL[e.code]}`);
            return;
        }

        this.retry(e.code === 1012 ? 'server is restarting'
                                   : 'connection lost');
    }
}


function bytes(base64) {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}
