/*
 * An nginx of its own for a test file: own directory, own port, and an error
 * log that has to be clean at the end.
 *
 *     const nginx = await start({ workers: 2, server: 'location ...' });
 *     await nginx.publish('a', 'hello');
 *     await nginx.stop();
 *
 * With { daemon: true } there is a realtimed, too, as realtime_worker "main".
 *
 * Nothing here sleeps for a fixed time: until() tries a condition until it
 * holds or the time is over, and Inbox waits for what a client receives.
 *
 * Environment: RT_BUILD (a directory with the module and perhaps an nginx,
 * default "build"), TEST_RT_MODULE, TEST_NGINX_BINARY, RT_LOG (level of the
 * error log), RT_KEEP (leave the directory), RT_TIMEOUT (seconds, for the
 * longest wait).
 */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as http from 'node:http';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, test as nodeTest } from 'node:test';
import { fileURLToPath } from 'node:url';


export const root = fileURLToPath(new URL('../..', import.meta.url));

/* limits for what hangs; what waits goes on as soon as it can */
export const WAIT_MS = (process.env.RT_TIMEOUT ?? 60) * 1000;
const TEST_MS = 2 * WAIT_MS;

const build = path.resolve(root, process.env.RT_BUILD || 'build');

const FAULT = /\[(alert|emerg)\]|Sanitizer|runtime error:/;
const KILLED = new RegExp('worker process (\\d+) exited on signal 9'
                          + '|shared memory zone "main" was locked by (\\d+)$');

const LOCATIONS = `
        location ~ ^/pub/(.+)$  { realtime_publish   $1; }
        location ~ ^/sub/(.+)$  { realtime_subscribe $1 patterns; }
        location ~ ^/room/(.+)$ {
            realtime_publish   room/$1 websocket;
            realtime_subscribe room/$1;
        }
        location = /status      { realtime_status; }`;


/*
 * Whatever happens, no nginx stays, and no client that a failed test has left
 * keeps Node running.
 */

const started = new Set();

after(() => {
    started.forEach((nginx) => nginx.kill());
    setTimeout(() => process.exit(), 500).unref();
});

process.once('SIGTERM', () => process.exit(1));

process.on('exit', () => {
    for (const nginx of started) {
        nginx.kill();
        nginx.remove();
    }
});


/* A test as Node has it, but one that does not hang for ever. */

export function test(name, ...rest) {
    const run = rest.pop();

    nodeTest(name, { timeout: TEST_MS, ...rest[0] }, run);
}


export async function until(condition, what, ms = WAIT_MS) {
    const end = Date.now() + ms;

    for ( ;; ) {
        const value = await condition();

        if (value) {
            return value;
        }

        if (Date.now() > end) {
            throw new Error(`waited ${ms} ms in vain: ${what ?? condition}`);
        }

        await pause(10);
    }
}


export function pause(ms) {
    return new Promise((done) => setTimeout(done, ms));
}


export function seq(id) {
    assert.match(id, /^[0-9a-f]+-(0|[1-9]\d*)$/);

    return Number(id.split('-')[1]);
}


/* What a client receives, in order; take() waits for the next. */

export class Inbox {
    items = [];
    waiting = [];

    put(item) {
        const next = this.waiting.shift();

        if (next) {
            next(item);
            return;
        }

        this.items.push(item);
    }

    async take(ms = WAIT_MS) {
        if (this.items.length) {
            return this.items.shift();
        }

        let timer, next;

        const late = new Promise((_, fail) => {
            timer = setTimeout(() => {
                this.waiting.splice(this.waiting.indexOf(next), 1);
                fail(new Error(`nothing received for ${ms} ms`));
            }, ms);
        });

        const item = new Promise((done) => {
            next = done;
            this.waiting.push(done);
        });

        try {
            return await Promise.race([item, late]);

        } finally {
            clearTimeout(timer);
        }
    }

    async many(n) {
        const items = [];

        while (items.length < n) {
            items.push(await this.take());
        }

        return items;
    }
}


/* Options: workers, zone, http, server (configuration to add), root, daemon. */

export async function start(options = {}) {
    for (let tries = 5; ; tries--) {
        const nginx = new Nginx(options, await freePort());

        try {
            await nginx.start();
            return nginx;

        } catch (e) {
            const log = nginx.log();

            await nginx.abort();
            nginx.remove();

            if (tries === 1 || !log.includes('Address already in use')) {
                throw new Error(`${e.message}\n${log}`);
            }
        }
    }
}


function freePort() {
    return new Promise((done, fail) => {
        const server = net.createServer();

        server.on('error', fail);
        server.listen(0, '127.0.0.1', () => {
            const { port } = server.address();

            server.close(() => done(port));
        });
    });
}


class Nginx {
    constructor(options, port) {
        this.options = { workers: 1, zone: 'main 4m', http: '', server: '',
                         ...options };
        this.port = port;
        this.host = `127.0.0.1:${port}`;
        this.url = `http://${this.host}`;
        this.binary = process.env.TEST_NGINX_BINARY
                      ?? first(path.join(build, 'nginx'), '/usr/sbin/nginx');
        this.module = process.env.TEST_RT_MODULE
                      ?? path.join(build, 'ngx_http_realtime_module.so');
        this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'rt-clients-'));
        this.killed = new Set();
        this.daemon = null;
    }

    async start() {
        if (this.options.daemon) {
            await this.startDaemon();
        }

        const stderr = fs.openSync(this.file('stderr'), 'a');

        fs.writeFileSync(this.file('nginx.conf'), this.config());
        fs.mkdirSync(this.file('body'));

        this.master = spawn(this.binary,
                            ['-p', `${this.dir}/`, '-c', 'nginx.conf',
                             '-e', 'error.log'],
                            { stdio: ['ignore', stderr, stderr] });

        this.exited = new Promise((done) => {
            this.master.on('error', (e) => done(e.message));
            this.master.on('exit', (code, signal) => {
                this.ended = signal ?? code;
                done(this.ended);
            });
        });

        fs.closeSync(stderr);
        started.add(this);

        await until(async () => {
            if (this.ended !== undefined) {
                throw new Error(`nginx exited: ${this.ended}`);
            }

            return await this.status().catch(() => null);
        }, 'nginx answers');
    }

    /* realtimed, which goes on from its journal after stopDaemon() */

    async startDaemon() {
        const stderr = fs.openSync(this.file('stderr'), 'a');
        const child = spawn(path.join(build, 'realtimed'),
                            ['--listen', `unix:${this.file('socket')}`,
                             '--data', this.file('data')],
                            { stdio: ['ignore', stderr, stderr] });

        fs.closeSync(stderr);
        started.add(this);

        this.daemon = child;
        this.daemonExited = new Promise((done) => {
            child.on('error', (e) => done(e.message));
            child.on('exit', (code, signal) => done(signal ?? code));
        });

        await until(() => this.log().includes(`${child.pid}: realtimed/`),
                    'realtimed listens');
    }

    async stopDaemon(signal = 'SIGTERM') {
        this.daemon.kill(signal);

        const status = await this.daemonExited;

        this.daemon = null;

        return status;
    }

    config() {
        const o = this.options;

        return `
load_module ${path.resolve(root, this.module)};
${process.getuid() === 0 ? 'user root;' : ''}
daemon off;
worker_processes ${o.workers};
error_log error.log ${process.env.RT_LOG ?? 'info'};
pid nginx.pid;

events {
    worker_connections 1024;
}

http {
    access_log off;
    client_body_temp_path body;
    client_header_timeout 1s;
    ${tempPaths(this.binary, this.dir)}
    types {
        text/html               html;
        text/css                css;
        application/javascript  js;
    }
    realtime_zone ${o.zone};
    realtime_drain 1s;
    realtime_retry 300ms;
    ${o.daemon ? `realtime_worker main unix:${this.file('socket')};` : ''}
    ${o.http}

    server {
        listen 127.0.0.1:${this.port} ${o.workers > 1 ? 'reuseport' : ''};
        ${o.root ? `root ${path.resolve(root, o.root)};` : ''}
        ${LOCATIONS}
        ${o.server}
    }
}
`;
    }

    file(name) {
        return path.join(this.dir, name);
    }

    log() {
        return ['stderr', 'error.log'].map((name) => {
            try {
                return fs.readFileSync(this.file(name), 'utf8');
            } catch {
                return '';
            }
        }).join('');
    }

    /* a connection for each, so that none belongs to a process that is gone */

    request(method, path, { body = '', headers = {}, agent = false } = {}) {
        return new Promise((done, fail) => {
            const data = Buffer.from(body);
            const rq = http.request(this.url + path,
                                    { method, headers, agent });

            rq.on('error', fail);
            rq.on('response', (r) => {
                let text = '';

                r.setEncoding('utf8');
                r.on('data', (part) => text += part);
                r.on('error', fail);
                r.on('end', () => done({ status: r.statusCode, text }));
            });

            rq.setHeader('Content-Length', data.length);
            rq.end(data);
        });
    }

    async publish(topic, body, headers = {}, agent = false) {
        const r = await this.request('POST', `/pub/${topic}`,
                                     { body, headers, agent });

        assert.equal(r.status, 201, r.text);

        return JSON.parse(r.text);
    }

    async status() {
        const r = await this.request('GET', '/status');

        assert.equal(r.status, 200, r.text);

        return JSON.parse(r.text).zones.main;
    }

    /* waits until so many subscribers of a kind are counted */

    async subscribers(kind, n) {
        let last;

        await until(async () => {
            last = (await this.status().catch(() => null))?.subscribers[kind];
            return last === n;

        }, `${n} ${kind} subscribers`).catch((e) => {
            throw new Error(`${e.message}, but there are ${last}`);
        });
    }

    /* pids of the processes that serve */

    workers() {
        return this.children().filter((child) => {
            try {
                return !fs.readFileSync(`/proc/${child}/cmdline`, 'utf8')
                          .includes('shutting down');
            } catch {
                return false;
            }
        });
    }

    children() {
        const { pid } = this.master;

        return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
                 .split(' ').filter(Boolean).map(Number);
    }

    /* kill -9; the master starts another one */

    async killWorker(pid = this.workers()[0]) {
        this.killed.add(pid);
        process.kill(pid, 'SIGKILL');

        await until(() => {
            const now = this.workers();

            return !now.includes(pid) && now.length === this.options.workers;
        }, 'a new process');
    }

    async reload() {
        const old = this.workers();

        process.kill(this.master.pid, 'SIGHUP');

        await until(() => {
            const now = this.workers();

            return now.length === this.options.workers
                   && !now.some((pid) => old.includes(pid));
        }, 'new processes');
    }

    /*
     * Until the old processes have gone, fetch() may still speak to one over a
     * connection that it opened ahead.
     */

    async alone() {
        await until(() => this.children().length === this.options.workers,
                    'old processes are gone');

        /* and until fetch() has seen that those connections are closed */

        await new Promise(setImmediate);
        await new Promise(setImmediate);
    }

    /* a quiet end, and nothing in the log that should not be there */

    async stop() {
        const log = this.log.bind(this);

        process.kill(this.master.pid, 'SIGQUIT');

        const late = setTimeout(() => this.abort(), WAIT_MS);
        const status = await this.exited;

        if (this.daemon) {
            assert.equal(await this.stopDaemon(), 0, 'realtimed ends, too');
        }

        clearTimeout(late);

        const lines = log().split('\n');
        const faults = lines.filter((line) =>
            FAULT.test(line) && !this.expected(line));

        this.remove();

        if (faults.length) {
            const at = lines.indexOf(faults[0]);

            console.error(lines.slice(at, at + 20).join('\n'));
        }

        assert.deepEqual(faults, [], 'a clean error log');
        assert.equal(status, 0, 'nginx ends by itself when asked to');
    }

    /* what the master says of a process that the test has killed */

    expected(line) {
        const of = KILLED.exec(line);

        return of && this.killed.has(Number(of[1] ?? of[2]));
    }

    async abort() {
        this.kill();
        await this.exited;
    }

    kill() {
        this.daemon?.kill('SIGKILL');

        if (!this.alive()) {
            return;
        }

        const children = this.children();

        this.master.kill('SIGKILL');

        for (const pid of children) {
            process.kill(pid, 'SIGKILL');
        }
    }

    alive() {
        return this.master?.pid !== undefined && this.ended === undefined;
    }

    remove() {
        if (!process.env.RT_KEEP) {
            fs.rmSync(this.dir, { recursive: true, force: true });
        }
    }
}


function first(...files) {
    return files.find((file) => fs.existsSync(file)) ?? files.at(-1);
}


/* Debian's nginx has places for temporary files that only root may use. */

function tempPaths(binary, dir) {
    const said = spawnSync(binary, ['-V'], { encoding: 'utf8' }).stderr ?? '';

    return [...said.matchAll(/--http-(proxy|fastcgi|uwsgi|scgi)-temp-path/g)]
               .map(([, name]) => `${name}_temp_path ${dir}/${name};`)
               .join('\n    ');
}
