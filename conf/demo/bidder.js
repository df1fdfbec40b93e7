/*
 * A bidder: a form that bids, over whatever it is given for that.
 *
 * A bid that got no answer may have been accepted.  It keeps its key until it
 * is known, so to press the button again bids once.
 */

import { query, random } from './commands.js';
import { major, minor, money, step } from './money.js';


const WORDS = {
    busy: 'The server has too much to do.',
    closed: 'The auction is over.',
    forbidden: 'Only the seller may do that.',
    has_bids: 'There is a bid that binds the seller.',
    no_buy_now: 'There is no buying it now any more.',
    not_open: 'The auction is not open.',
    own_auction: 'A seller does not bid.',
    unavailable: 'realtimed is away, nothing was done.'
};


export class Bidder {
    constructor(form, send) {
        const name = form.id;
        const find = (what) => form.querySelector(
                                        `[data-testid=${name}-${what}]`);

        this.name = name;
        this.form = form;
        this.send = send;       /* (id, command, data, key) => result */
        this.amount = find('amount');
        this.max = find('max');
        this.button = find('bid');
        this.buyButton = find('buy');
        this.standing = find('standing');
        this.answer = find('answer');
        this.limit = find('limit');
        this.wire = find('wire');

        form.addEventListener('submit', (e) => {
            e.preventDefault();
            this.bid();
        });

        this.amount.addEventListener('input', () => this.edited());
        this.amount.addEventListener('blur', () => this.least());

        this.buyButton.addEventListener('click',
                                        () => this.command('buy', {}));
    }

    begin(id) {
        this.id = id;
        this.shown = null;
        this.unsure = null;
        this.has = false;
        this.sent = [];
        this.form.reset();
        this.wire.textContent = '';
        this.limit.textContent = '';
        this.say('', '');
        this.amount.removeAttribute('aria-invalid');
        this.typed = false;
        this.mine();
    }

    edited() {
        this.amount.removeAttribute('aria-invalid');
        this.typed = this.amount.value !== '';
    }

    /* The same name may have bid in another window. */

    event(e, how) {
        if (e.type !== 'bid' || e.bidder !== this.name) {
            return;
        }

        this.has = true;

        if (how !== 'journal') {
            this.mine();
        }
    }

    /* The amount is the minimum, until somebody types in the field. */

    least() {
        const { minimum, currency } = this.shown;

        if (!this.typed && document.activeElement !== this.amount) {
            this.amount.value = major(minimum, currency);
        }
    }

    state(s) {
        const dutch = s.kind === 'dutch';
        const open = s.state === 'open';

        this.shown = s;
        this.form.dataset.kind = s.kind;
        this.amount.step = this.max.step = step(s.currency);

        this.least();
        this.button.disabled = !open;
        this.buyButton.disabled = !open;
        this.buyButton.hidden = !open || !dutch && s.buy_now === null;
        this.buyButton.textContent = dutch
            ? `Take it at ${money(s.price ?? s.minimum, s.currency)}`
            : `Buy now, ${money(s.buy_now, s.currency)}`;

        this.stand(s);
    }

    stand(s) {
        const standing = s.winner === this.name ? 'won'
                         : s.leader === this.name ? 'leads'
                         : !this.has || s.leader === null ? ''
                         : s.state === 'open' ? 'outbid' : 'lost';

        if (this.standing.textContent !== standing) {
            this.standing.textContent = standing;
            this.form.dataset.standing = standing;

            if (['outbid', 'lost'].includes(standing)
                && this.answer.dataset.kind === 'good')
            {
                this.say('', '');
            }
        }
    }

    bid() {
        const { currency } = this.shown;
        const amount = minor(this.amount.value, currency);
        const max = minor(this.max.value, currency);

        if (amount === undefined) {
            this.wrong('How much?');
            return;
        }

        this.sent = [this.amount.value, this.max.value];
        this.command('bid', max === undefined ? { amount } : { amount, max });
    }

    async command(name, data) {
        const id = this.id;
        const what = JSON.stringify([name, data]);

        if (this.unsure?.what !== what) {
            this.unsure = { what, key: random(8) };
        }

        this.button.disabled = true;

        const r = await this.send(id, name, data, this.unsure.key);

        if (id !== this.id) {
            return;
        }

        this.button.disabled = this.shown.state !== 'open';
        this.wire.textContent = r.wire;

        if (!r.again) {
            this.unsure = null;
        }

        if (r.ok) {
            this.accepted(r.value);
        } else {
            this.refused(r);
        }

        this.mine();
    }

    accepted({ price, leader, winner, paid }) {
        const { currency } = this.shown;
        const [amount, max] = this.sent;

        /* unless the next bid is being typed already */

        if (this.amount.value === amount && this.max.value === max) {
            this.typed = false;
            this.max.value = '';
        }

        this.amount.removeAttribute('aria-invalid');

        if (winner) {
            this.say('good', `Bought for ${money(paid, currency)}.`);

        } else if (leader === null) {
            this.say('good', 'Taken; nobody sees it before the end.');

        } else if (leader === this.name) {
            this.say('good', `Took the lead at ${money(price, currency)}.`);

        } else {
            this.say('bad', `Outbid at once: ${leader} had set a greater `
                            + `limit, and leads at ${money(price, currency)}.`);
        }
    }

    refused({ error, again }) {
        const { currency } = this.shown;

        if (error.code === 'too_low') {
            this.wrong('Too low: the least is now '
                       + `${money(error.minimum, currency)}.`);
            return;
        }

        this.say('bad', (WORDS[error.code] ?? `Refused: ${error.message}.`)
                        + (again ? ' Bid again: it counts once.' : ''));
    }

    wrong(text) {
        this.say('bad', text);
        this.amount.setAttribute('aria-invalid', 'true');
        this.amount.focus();
        this.amount.select();
    }

    say(kind, text) {
        this.answer.dataset.kind = kind;
        this.answer.value = text;
    }

    /* What the server tells nobody else. */

    async mine() {
        const id = this.id;

        try {
            const { value } = await query(id, 'mine', { user: this.name });

            if (id === this.id) {
                this.limits(value);
            }

        } catch {
            /* it is for show, and asked again after the next bid */
        }
    }

    limits({ bids, max, amount }) {
        const { currency, kind } = this.shown;
        const known = kind === 'english' ? max <= amount : amount === null;

        this.has = bids > 0;
        this.limit.textContent = known ? ''
            : kind === 'english'
            ? `Bids up to ${money(max, currency)}; only ${this.name} knows.`
            : `Has bid ${money(amount, currency)}; only ${this.name} knows.`;
        this.stand(this.shown);
    }
}
