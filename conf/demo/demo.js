/*
 * The frame of the page: tabs, and the counters in the header.
 *
 * Each tab is a module of its own that exports start(section).  It is started
 * when its tab is first shown, and keeps its connections when another is shown
 * instead.  The address says which, #topics, and a tab may add to it what it
 * shows, as its section's data-link.
 */

import { start as auction } from './auction.js';
import { start as counters } from './counters.js';
import { start as topics } from './topics.js';


const starts = { topics, auction };


function show(tab) {
    const tabs = document.querySelectorAll('[role=tab]');

    for (const t of tabs) {
        const name = t.getAttribute('aria-controls');
        const section = document.getElementById(name);

        t.setAttribute('aria-selected', String(t === tab));
        t.tabIndex = t === tab ? 0 : -1;
        section.hidden = t !== tab;

        if (t === tab && starts[section.id]) {
            starts[section.id](section);
            delete starts[section.id];
        }
    }
}


function step(tab, key) {
    const tabs = [...document.querySelectorAll('[role=tab]')];
    const by = { ArrowLeft: -1, ArrowRight: 1 }[key];

    if (by === undefined) {
        return;
    }

    const next = tabs[(tabs.indexOf(tab) + by + tabs.length) % tabs.length];

    pick(next);
    next.focus();
}


/* by the visitor, so that the address follows */

function pick(tab) {
    const name = tab.getAttribute('aria-controls');
    const section = document.getElementById(name);

    show(tab);
    history.replaceState(null, '', section.dataset.link ?? `#${name}`);
}


function fromAddress() {
    const name = location.hash.slice(1).split('/')[0];
    const tab = document.getElementById(`tab-${name}`);

    if (tab) {
        show(tab);
    }

    return tab;
}


for (const tab of document.querySelectorAll('[role=tab]')) {
    tab.addEventListener('click', () => pick(tab));
    tab.addEventListener('keydown', (e) => step(tab, e.key));
}

window.addEventListener('hashchange', fromAddress);

if (!fromAddress()) {
    show(document.querySelector('[role=tab][aria-selected=true]'));
}

counters(document.getElementById('counters'));
