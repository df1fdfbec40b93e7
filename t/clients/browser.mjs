/*
 * Chromium for tests of the demo page, with a profile in nginx's directory.
 *
 * Environment: CHROMIUM (default /usr/bin/chromium), RT_SCREENSHOTS (where the
 * screenshots stay; without it they are made and removed).
 */

import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { after } from 'node:test';
import { chromium } from 'playwright-core';
import { WAIT_MS } from './harness.mjs';


const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

export const skip = !fs.existsSync(executablePath) && `no ${executablePath}`;


export async function launch(nginx) {
    const context = await chromium.launchPersistentContext(
        nginx.file('chromium'),
        { executablePath, headless: true,
          viewport: { width: 1360, height: 860 },
          args: ['--headless', '--no-sandbox', '--disable-gpu',
                 '--disable-quic', '--no-first-run',
                 '--disable-background-networking',
                 '--disable-component-update', '--disable-sync'] });

    context.setDefaultTimeout(WAIT_MS);
    after(() => context.close());

    return context;
}


/* What a page should never do is added to the list. */

export function listen(page, nginx, complaints) {
    page.on('pageerror', (e) => complaints.push(e.message));
    page.on('console', (m) => {
        if (['error', 'warning'].includes(m.type())) {
            complaints.push(m.text());
        }
    });

    page.on('request', (rq) => {
        if (new URL(rq.url()).host !== nginx.host) {
            complaints.push(`asks another host: ${rq.url()}`);
        }
    });
}


export async function screenshot(page, nginx, name) {
    const dir = process.env.RT_SCREENSHOTS ?? nginx.dir;
    const file = path.join(dir, `${name}.png`);

    fs.mkdirSync(dir, { recursive: true });
    await page.screenshot({ path: file });

    assert.ok(fs.statSync(file).size > 10_000);
}
