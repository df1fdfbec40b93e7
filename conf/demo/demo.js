/*
 * The frame of the page: tabs, and the counters in the header.
 *
 * Each tab is a module of its own that exports start(section).  It is started
 * when its tab is first shown, and keeps its connections when another is shown
 * instead.
 */

import { start as topics } from './topics.js';
import { start as counters } from './counters.js';


const starts = { topics };


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

    show(next);
    next.focus();
}


for (const tab of document.querySelectorAll('[role=tab]')) {
    tab.addEventListener('click', () => show(tab));
    tab.addEventListener('keydown', (e) => step(tab, e.key));
}

show(document.querySelector('[role=tab][aria-selected=true]'));
counters(document.getElementById('counters'));
