/*
 * dom.js - elements from data: built by name, filled as text
 *
 * Names, values and outputs come from whoever may write to the catalog. They enter the page as text nodes and attributes that
 * hold text, never as markup; addresses of links come from paths.js alone.
 */

export const $ = (id) => document.getElementById(id);

/*
 * h('a', {class: 'name', href: '/x', on: {click: f}}, 'text', node, [more], null)
 * Attributes: true is an empty one, false, null and undefined are none.
 */
export function h(tag, attributes, ...children) {
	const element = document.createElement(tag);

	for (const [name, value] of Object.entries(attributes ?? {})) {
		if (name === 'on') {
			for (const [event, handler] of Object.entries(value))
				element.addEventListener(event, handler);
		} else if (value === true)
			element.setAttribute(name, '');
		else if (value !== false && value !== null && value !== undefined)
			element.setAttribute(name, value);
	}
	element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
	return element;
}

/* Text for screen readers alone. */
export const hidden = (text) => h('span', {class: 'hidden-text'}, text);

/* What a person has done to an element passes to the one that takes its place: the focus, and what is folded open. */
function take_over(old, fresh) {
	const CAN_FOCUS = 'a, button, input, summary';
	const focus = [...old.querySelectorAll(CAN_FOCUS)].indexOf(document.activeElement);
	const folds = fresh.querySelectorAll('details');

	old.querySelectorAll('details').forEach((fold, i) => {
		if (folds[i])
			folds[i].open = fold.open;
	});
	old.replaceWith(fresh);
	if (focus !== -1)
		fresh.querySelectorAll(CAN_FOCUS)[focus]?.focus({preventScroll: true});
}

/*
 * A list that is told its items again and again, and touches only the elements of those that changed. Items are plain data;
 * key(item) is unique, build(item) makes the element. Only the first `step` are shown, and a button for more.
 */
export function keyed(parent, {key, build, step = 500, more}) {
	let known = new Map();
	let shown = step;
	let last = [];

	function update(items) {
		const next = new Map();
		let at = parent.firstElementChild;

		last = items;
		for (const item of items.slice(0, shown)) {
			const name = key(item);
			const signature = JSON.stringify(item);
			let row = known.get(name);

			if (next.has(name))
				continue;
			if (!row || row.signature !== signature) {
				const element = build(item);

				if (row) {
					if (at === row.element)
						at = element;
					take_over(row.element, element);
				}
				row = {signature, element};
			}
			next.set(name, row);
		}
		for (const [name, row] of known)
			if (!next.has(name)) {
				if (at === row.element)
					at = at.nextElementSibling;
				row.element.remove();
			}
		for (const {element} of next.values()) {
			if (at === element)
				at = at.nextElementSibling;
			else
				parent.insertBefore(element, at);
		}
		known = next;
		more?.replaceChildren(...(items.length > shown ? [
			h('button', {type: 'button', on: {click: () => {
				shown += 4 * step;
				update(last);
			}}}, `Show more (${items.length - shown} are left out)`),
		] : []));
	}
	return update;
}

/* A table with a head that says what each column is. columns: [{title, minor}]; minor ones give way on narrow screens. */
export function table(caption, columns, {key, cells}) {
	const body = h('tbody');
	const more = h('div', {class: 'more'});
	const element = h('div', {class: 'card table'},
		h('table', null,
			h('caption', {class: 'hidden-text'}, caption),
			h('thead', null, h('tr', null, columns.map((c) => h('th', {scope: 'col', class: c.minor && 'minor'}, c.title)))),
			body),
		more);
	const build = (item) => h('tr', null, cells(item).map((content, i) => h(i === 0 ? 'th' : 'td',
		{scope: i === 0 && 'row', class: columns[i].minor && 'minor'}, content)));

	return {element, update: keyed(body, {key, build, more})};
}

let toast_timer;

/* A short word that something is done; it goes by itself. */
export function toast(text) {
	clearTimeout(toast_timer);
	$('toast').textContent = text;
	toast_timer = setTimeout(() => { $('toast').textContent = ''; }, 5000);
}

/* Asks; resolves to true only if the dangerous button was pressed. */
export function confirm(title, text, action) {
	const dialog = $('question');
	const button = (label, attributes, value) => h('button', {type: 'button', ...attributes, on: {click: () => dialog.close(value)}}, label);

	return new Promise((resolve) => {
		dialog.replaceChildren(
			h('h2', {id: 'question-title'}, title),
			h('p', null, text),
			h('div', {class: 'actions'}, button('Cancel', {autofocus: true}, ''), button(action, {class: 'danger'}, 'yes')));
		dialog.returnValue = '';
		dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), {once: true});
		dialog.showModal();
	});
}
