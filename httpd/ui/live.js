/*
 * live.js - the HTTP API: single requests, and answers that stay fresh by blocking queries
 *
 * A page follows what it shows. Each follower asks again with the index it has; errors are told once, at one place, and asked
 * again after a growing, jittered pause. A page that is left or not visible asks nothing: browsers keep only six connections
 * to a server, for all tabs together.
 */
import {$, h} from './dom.js';

const WAIT_S = 55;
const SILENCE_MS = 75_000;	/* an agent that is away without a word: the wait, its sixteenth of jitter, and some */
const GAP_MS = 500;		/* between two answers of one follower: a busy catalog must not occupy the reader */
const PAUSE_MS = [1000, 2000, 4000, 8000, 15_000, 30_000];

export class ApiError extends Error {
	constructor(status, text) {
		super(text);
		this.status = status;
	}
}

/*
 * The address of ['kv', KEY] and the like; undefined if no browser can ask for it: every one takes a part "." or ".." out, however it
 * is written, and would ask for something else.
 */
function api_path(parts) {
	const path = `/v1/${parts.map(encodeURIComponent).join('/')}`;

	return new URL(path, location.origin).pathname === path ? path : undefined;
}

/* One request. Answers {status, text, index}; throws ApiError for what is not a success, but for 404 if missing. */
export async function ask(parts, {method = 'GET', query = {}, body, signal, missing = false} = {}) {
	const path = api_path(parts);
	const words = new URLSearchParams();

	if (path === undefined)
		throw new ApiError(400, 'This name can not be part of a web address. Use consulctl for it.');
	for (const [name, value] of Object.entries(query))
		if (value !== undefined)
			words.set(name, value);
	const answer = await fetch(`${path}?${words}`, {method, body, signal, cache: 'no-store'});
	const text = await answer.text();

	if (!answer.ok && !(missing && answer.status === 404))
		throw new ApiError(answer.status, text.trim().slice(0, 500) || answer.statusText);
	return {status: answer.status, text, index: Number(answer.headers.get('X-Consul-Index')) || 0};
}

const NO_ANSWER = 'The agent does not answer.';

export function explain(error) {
	if (error instanceof ApiError)
		return `The agent answered ${error.status}: ${error.message}`;
	return NO_ANSWER;
}

/* --- troubles: which followers fail now */

const troubles = new Map();
const wakers = new Set();

function show_troubles() {
	const texts = [...new Set(troubles.values())];
	const link = $('link');

	link.dataset.state = texts.length > 0 ? 'bad' : 'good';
	link.textContent = texts.length === 0 ? 'Live' : texts.includes(NO_ANSWER) ? 'No connection' : 'Not live';
	$('main').classList.toggle('stale', texts.length > 0);
	if ($('trouble').dataset.texts === texts.join('\n'))
		return;
	$('trouble').dataset.texts = texts.join('\n');
	$('trouble').replaceChildren(...(texts.length === 0 ? [] : [
		h('div', {class: 'trouble'},
			h('p', null, h('strong', null, texts.join(' ')), ' What is shown may be old. Trying again…'),
			h('button', {type: 'button', on: {click: wake}}, 'Try now')),
	]));
}

/* Ends all pauses. */
function wake() {
	for (const waker of [...wakers])
		waker();
}

function pause(ms, signal) {
	return new Promise((resolve) => {
		const timer = setTimeout(done, ms);

		function done() {
			clearTimeout(timer);
			wakers.delete(done);
			signal.removeEventListener('abort', done);
			resolve();
		}
		wakers.add(done);
		signal.addEventListener('abort', done);
		if (signal.aborted)
			done();
	});
}

function visible(signal) {
	return new Promise((resolve) => {
		function look() {
			if (document.visibilityState === 'visible' || signal.aborted) {
				document.removeEventListener('visibilitychange', look);
				signal.removeEventListener('abort', look);
				resolve();
			}
		}
		document.addEventListener('visibilitychange', look);
		signal.addEventListener('abort', look);
		look();
	});
}

addEventListener('online', wake);
document.addEventListener('visibilitychange', wake);

/* One request of a follower: ends early when the page is left or hidden, or the agent says nothing for too long. */
async function ask_once(parts, options, signal) {
	const attempt = new AbortController();
	const stop = () => attempt.abort();
	const hide = () => document.visibilityState === 'hidden' && attempt.abort();
	const timer = setTimeout(stop, SILENCE_MS);

	signal.addEventListener('abort', stop);
	document.addEventListener('visibilitychange', hide);
	try {
		return await ask(parts, {...options, signal: attempt.signal});
	} finally {
		clearTimeout(timer);
		signal.removeEventListener('abort', stop);
		document.removeEventListener('visibilitychange', hide);
	}
}

/*
 * Calls on_data(data, text) now and whenever the answer changed, until signal is aborted. data: the parsed JSON, null for an answer
 * 404 (if missing is set). every: for what has no index, the pause in ms between two questions; 0: ask until there is one answer.
 */
export async function follow(parts, {query = {}, missing = false, every, signal}, on_data) {
	const id = Symbol(parts[0]);
	let index = 0, failures = 0;

	signal.addEventListener('abort', () => {
		if (troubles.delete(id))
			show_troubles();
	});
	for (;;) {
		let answer, data;

		await visible(signal);
		if (signal.aborted)
			return;
		const started = performance.now();

		try {
			const blocking = index > 0 ? {index, wait: `${WAIT_S}s`} : {};

			answer = await ask_once(parts, {query: {...query, ...blocking}, missing}, signal);
			data = answer.status === 404 ? null : JSON.parse(answer.text);
		} catch (error) {
			if (signal.aborted)
				return;
			if (document.visibilityState === 'hidden')
				continue;
			/* Whoever comes back may be another: its index means nothing to us. */
			index = 0;
			troubles.set(id, explain(error));
			show_troubles();
			await pause(PAUSE_MS[Math.min(failures++, PAUSE_MS.length - 1)] * (0.75 + Math.random() / 2), signal);
			continue;
		}
		if (signal.aborted)
			return;
		failures = 0;
		troubles.delete(id);
		show_troubles();
		if (index === 0 || answer.index !== index)
			on_data(data, answer.text);
		if (every === 0)
			return;
		index = answer.index < index || every !== undefined ? 0 : answer.index;
		await pause(every ?? Math.max(index === 0 ? 2 * GAP_MS : 0, GAP_MS - (performance.now() - started)), signal);
	}
}
