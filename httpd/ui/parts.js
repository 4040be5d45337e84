/*
 * parts.js - what several pages show: headings, health, checks, search boxes
 */
import {h, hidden} from './dom.js';

const STATES = ['passing', 'warning', 'critical'];
const GLYPHS = {passing: '✓', warning: '!', critical: '✕', none: '–'};

/* {passing, warning, critical} of a list of checks. Maintenance is a critical check, as everywhere. */
export function count_checks(checks) {
	const counts = {passing: 0, warning: 0, critical: 0};

	for (const check of checks)
		if (check.Status in counts)
			counts[check.Status]++;
	return counts;
}

/* For sort(): what needs a look comes first. */
export const by_severity = (a, b) => STATES.indexOf(b.Status) - STATES.indexOf(a.Status);

export const worst = (counts) => [...STATES].reverse().find((state) => counts[state] > 0) ?? 'none';

function badge(state, text, words) {
	return h('span', {class: `badge ${state}`, title: words},
		h('span', {class: 'glyph', 'aria-hidden': 'true'}, GLYPHS[state]),
		h('span', {'aria-hidden': 'true'}, text), hidden(words));
}

export const state_badge = (state) => badge(GLYPHS[state] ? state : 'none', state, state);

export function badges(counts) {
	const some = STATES.filter((state) => counts[state] > 0);

	return h('span', {class: 'badges'}, some.length === 0 ? badge('none', 'no checks', 'no checks') :
		some.map((state) => badge(state, `${counts[state]}`, `${counts[state]} ${state} `)));
}

/* Each check with what it last said. items: checks as the API gives them. */
export function check_item(check) {
	return h('li', {class: `check ${check.Status}`},
		h('div', {class: 'check-head'},
			h('strong', null, check.Name || check.CheckID),
			state_badge(check.Status),
			h('span', {class: 'dim'}, check.CheckID, check.ServiceName ? ` · service ${check.ServiceName}` : '', check.Type ? ` · ${check.Type}` : '')),
		check.Notes && h('p', {class: 'dim'}, check.Notes),
		check.Output && h('pre', null, check.Output));
}

export const tags = (list) => h('span', {class: 'tags'}, (list ?? []).map((tag) => h('span', {class: 'tag'}, tag)));

/* The page's head: where we are, what it is called, what belongs beside it. */
export function heading(title, {trail = [], aside = []} = {}) {
	return h('div', {class: 'heading'},
		trail.length > 0 && h('nav', {class: 'trail', 'aria-label': 'You are here'}, h('ol', null,
			trail.map(([text, href]) => h('li', null, h('a', {href}, text))))),
		h('h1', {tabindex: '-1'}, title),
		h('div', {class: 'aside'}, aside));
}

/* A section that is folded into the page under its own heading. */
export function section(title, ...content) {
	return h('section', null, h('h2', null, title), ...content);
}

/* Label and value, for facts. pairs: [[label, text or node]]; those without a value are left out. */
export function facts(pairs) {
	return h('dl', {class: 'facts'}, pairs.filter(([, value]) => value !== undefined && value !== null && value !== '')
		.map(([label, value]) => h('div', null, h('dt', null, label), h('dd', null, value))));
}

export const pairs_of = (map) => Object.entries(map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));

/*
 * Search box and, if states is set, a choice of health; both live in the address (?filter=, ?status=), so that a link shows the same.
 * on_change is called whenever they change. Answers {element, text(), state(), focus()}.
 */
export function search(label, {states = false, on_change}) {
	const words = new URLSearchParams(location.search);
	const input = h('input', {type: 'search', id: 'search', value: words.get('filter') ?? '', autocomplete: 'off', spellcheck: 'false', placeholder: label});
	const select = states && h('select', {id: 'status'}, ['', ...STATES].map((state) =>
		h('option', {value: state, selected: (words.get('status') ?? '') === state}, state === '' ? 'any health' : state)));
	const count = h('p', {class: 'dim count', role: 'status'});

	function changed() {
		const next = new URLSearchParams();

		if (input.value !== '')
			next.set('filter', input.value);
		if (select && select.value !== '')
			next.set('status', select.value);
		history.replaceState(null, '', location.pathname + (`${next}` === '' ? '' : `?${next}`));
		on_change();
	}
	input.addEventListener('input', changed);
	select && select.addEventListener('change', changed);
	return {
		element: h('form', {class: 'search', role: 'search', on: {submit: (event) => event.preventDefault()}},
			h('label', {for: 'search', class: 'hidden-text'}, label), input,
			select && [h('label', {for: 'status', class: 'hidden-text'}, 'Health'), select],
			count),
		matches: (...texts) => texts.some((text) => text.toLowerCase().includes(input.value.trim().toLowerCase())),
		state: () => (select ? select.value : ''),
		/* Tells how many there are. */
		told: (shown, all, one, many) => {
			const text = `${shown === all ? '' : `${shown} of `}${all} ${all === 1 ? one : many}`;

			if (count.textContent !== text)
				count.textContent = text;
		},
	};
}
