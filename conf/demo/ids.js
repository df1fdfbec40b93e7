/*
 * Ids and addresses.
 *
 * An id is "<epoch>-<seq>", a position in the server's log.  Clients need not
 * look inside; this page does, to tell what it missed from what is new.
 */

export function within(id, limit) {
    const a = parse(id);
    const b = parse(limit);

    return a !== null && b !== null && a.epoch === b.epoch && a.seq <= b.seq;
}


function parse(id) {
    const m = /^([0-9a-f]+)-(\d+)$/.exec(id ?? '');

    return m && { epoch: m[1], seq: BigInt(m[2]) };
}


/* A set of ids that forgets the oldest, so that a page may stay open. */

export class Recent extends Set {
    static MAX = 5000;

    add(id) {
        super.add(id);

        if (this.size > Recent.MAX) {
            this.delete(this.values().next().value);
        }

        return this;
    }
}


/* A topic's segments are the address's, so a dot segment would be lost. */

export function address(place, topic) {
    const segments = topic.split('/');

    if (segments.some((s) => s === '.' || s === '..')) {
        throw new Error('A topic with a segment "." or ".." cannot be written'
                        + ' as an address.');
    }

    return `/${place}/` + segments.map(encodeURIComponent).join('/');
}


/* The position of the server now, or an error that says why not. */

export async function position(topic) {
    const r = await fetch(address('sub', topic), {
        cache: 'no-store',
        headers: { Accept: 'application/json', Prefer: 'wait=0' }
    });

    if (!r.ok) {
        throw new Error(await words(r));
    }

    await r.text();

    return r.headers.get('Realtime-Last-Id');
}


const MEANING = {
    400: 'Not accepted',
    401: 'The server wants to know who you are',
    403: 'The server does not allow it',
    404: 'There is no such address on the server',
    405: 'The server does not allow it',
    406: 'The server does not offer this transport here',
    413: 'The message is too large',
    422: 'The same key was used for another message',
    429: 'Too many requests, try again later',
    500: 'The server failed',
    502: 'The server behind nginx failed',
    503: 'The server has no room now, try again later',
    504: 'The server took too long'
};


/* An answer that is an error, in plain words. */

export async function words(response) {
    const text = await response.text();
    const plain = MEANING[response.status] ?? 'The server refused';

    try {
        return `${plain}: ${JSON.parse(text).error} (${response.status})`;

    } catch {
        return `${plain} (${response.status})`;
    }
}
