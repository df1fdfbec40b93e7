/*
 * The counters in the header: /status, read every two seconds.
 *
 * The first zone is shown.  Rates are differences between two readings; they
 * begin anew with another epoch, which means that the zone was made anew.
 */

const PERIOD_MS = 2000;
const numbers = new Intl.NumberFormat('en', { notation: 'compact',
                                              maximumFractionDigits: 1 });


export function start(list) {
    let last = null;

    async function read() {
        try {
            const r = await fetch('/status', { cache: 'no-store',
                                   headers: { Accept: 'application/json' } });
            if (!r.ok) {
                throw new Error(`/status answered ${r.status}`);
            }

            last = show(list, await r.json(), last);
            list.dataset.state = 'open';
            list.title = `epoch ${last.zone.epoch}`;

        } catch (e) {
            list.dataset.state = 'lost';
            list.title = `No counters: ${e.message}`;
        }

        setTimeout(read, PERIOD_MS);
    }

    read();
}


function show(list, status, last) {
    const now = performance.now();
    const zone = Object.values(status.zones)[0];
    const subscribers = Object.entries(zone.subscribers);
    const total = subscribers.reduce((sum, [, n]) => sum + n, 0);
    const ring = list.querySelector('meter');
    const used = zone.ring_used_bytes / zone.ring_bytes;

    put('published', zone.messages_published);
    put('delivered', zone.messages_delivered);
    put('topics', zone.topics);
    put('gaps', zone.gaps);
    put('evicted', zone.messages_evicted);
    put('subscribers', total,
        subscribers.map(([kind, n]) => `${n} ${kind}`).join(', '));

    ring.value = used;
    ring.title = `${numbers.format(zone.ring_used_bytes)} of `
                 + `${numbers.format(zone.ring_bytes)} bytes`;

    if (last && last.zone.epoch === zone.epoch) {
        const seconds = (now - last.now) / 1000;
        const rate = (name) => (zone[name] - last.zone[name]) / seconds;

        put('rate', Math.max(0, Math.round(rate('messages_delivered'))),
            `${rate('messages_published').toFixed(1)} published, `
            + `${rate('messages_delivered').toFixed(1)} delivered per second`);
    }

    return { zone, now };
}


function put(name, value, title = String(value)) {
    const dd = document.getElementById(`count-${name}`);

    dd.textContent = numbers.format(value);
    dd.title = title;
    dd.dataset.value = value;
}
