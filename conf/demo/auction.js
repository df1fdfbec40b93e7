/*
 * The Auction tab: a form that creates an auction, a board that shows one, and
 * two bidders, one by POST, the other over a WebSocket.
 *
 * The auction that is shown stands in the address, #auction/<id>, so that
 * another window may show it, too.
 */

import { Bidder } from './bidder.js';
import { Board } from './board.js';
import { CommandSocket, post, random } from './commands.js';
import { Watch } from './watch.js';
import { minor } from './money.js';


const SELLER = 'eve';
const CURRENCY = 'EUR';
const CLOCK_MS = 1000;

const KINDS = {
    english: {
        start: 100, reserve: 150, increment: 5, buy: 500,
        hint: 'The highest bid wins. A bid near the end moves the end.'
    },
    dutch: {
        start: 500, reserve: 100, increment: 20,
        hint: 'The price falls by the increment, down to the reserve; who '
              + 'takes it first has it.'
    },
    sealed: {
        start: 100, reserve: 150,
        hint: 'One bid each, seen by nobody before the end. The highest wins '
              + 'and is paid.'
    },
    vickrey: {
        start: 100, reserve: 150,
        hint: 'One bid each, seen by nobody before the end. The highest wins '
              + 'and pays the second highest.'
    }
};


export function start(section) {
    const find = (id) => document.getElementById(id);
    const kind = find('create-kind');
    const board = new Board(section, () => watch.now());

    const socket = new CommandSocket((state) => {
        find('bob').dataset.state = state;
    });

    const bidders = [
        new Bidder(find('ann'), (id, command, data, key) =>
                                post(id, command, 'ann', data, key)),
        new Bidder(find('bob'), (id, command, data, key) =>
                                socket.send(command, data, key))
    ];

    const watch = new Watch({
        begin(id) {
            board.begin(id);
            bidders.forEach((b) => b.begin(id));
            socket.open(id, 'bob');
            find('watch-id').value = id;
            section.dataset.link = `#auction/${id}`;
            history.replaceState(null, '', section.dataset.link);
        },
        state(s) {
            board.state(s);
            bidders.forEach((b) => b.state(s));
        },
        event(e, how) {
            board.event(e, how);
            bidders.forEach((b) => b.event(e, how));
        },
        clock: (c) => board.clock(c),
        feed: (name, text) => board.feed(name, text),
        position: (id) => board.position(id),
        note: (text, kind) => board.note(text, kind)
    });

    function show() {
        const fields = KINDS[kind.value];

        for (const e of section.querySelectorAll('[data-for]')) {
            e.hidden = !e.dataset.for.split(' ').includes(kind.value);
        }

        for (const name of ['start', 'reserve', 'increment', 'buy']) {
            find(`create-${name}`).value = fields[name] ?? '';
        }

        find('create-hint').textContent = fields.hint;
    }

    async function open(id) {
        try {
            await watch.open(id);
            say('watch', '', '');

        } catch (e) {
            say('watch', 'bad', e.status === 404 ? `There is no auction ${id}.`
                                : e.status ? e.message
                                : 'The server could not be reached.');
        }
    }

    async function create() {
        const id = find('create-id').value;
        const r = await post(id, 'create', SELLER, terms(find));

        if (r.ok) {
            say('create', 'good', `Created ${id}`);
            find('create-id').value = random(3);
            await open(id);
            return;
        }

        say('create', 'bad', {
            exists: `There is an auction ${id} already.`,
            unavailable: 'realtimed is away: is it running?'
        }[r.error.code] ?? `Refused: ${r.error.message}.`);
    }

    async function sell(command) {
        const r = await post(board.id, command, SELLER, {});

        board.say('bad', r.ok ? '' : `Refused: ${r.error.message}.`);
    }

    function fromAddress() {
        const [, id] = /^#auction\/([\w-]{1,64})$/.exec(location.hash) ?? [];

        if (id && id !== watch.id) {
            open(id);
        }
    }

    kind.addEventListener('change', show);
    on('create', create);
    on('watch', () => open(find('watch-id').value));
    window.addEventListener('hashchange', fromAddress);

    for (const command of ['close', 'cancel']) {
        board.find(command).addEventListener('click', () => sell(command));
    }

    board.find('events-drop').addEventListener('click', () => watch.drop());
    board.find('events-resume').addEventListener('click',
                                                 () => watch.resume());

    find('create-id').value = random(3);
    show();
    fromAddress();
}


function on(id, handler) {
    document.getElementById(id).addEventListener('submit', (e) => {
        e.preventDefault();
        handler();
    });
}


function say(form, kind, text) {
    const output = document.getElementById(`${form}-answer`);

    output.dataset.kind = kind;
    output.value = text;
}


/* Fields that are hidden or empty are left out. */

function terms(find) {
    const value = (name) => {
        const input = find(`create-${name}`);

        return input.closest('[hidden]') ? '' : input.value;
    };
    const ms = (name) => value(name) === '' ? undefined
                                            : Math.round(value(name) * 1000);

    return {
        kind: value('kind'),
        currency: CURRENCY,
        start: minor(value('start'), CURRENCY),
        reserve: minor(value('reserve'), CURRENCY),
        increment: minor(value('increment'), CURRENCY),
        buy_now: minor(value('buy'), CURRENCY),
        ends_in_ms: ms('ends'),
        snipe_ms: ms('snipe'),
        clock_ms: CLOCK_MS
    };
}
