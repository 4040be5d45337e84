/*
 * app.js - the frame around the pages: which one the address asks for, going from one to the next
 *
 * A page lives until the next one is shown: its signal is then aborted, and with it all that it asked for.
 */
import * as catalog from './catalog.js';
import {$, confirm, h} from './dom.js';
import * as kv from './kv.js';
import {follow} from './live.js';
import {BASE, paths, route} from './paths.js';
import {heading} from './parts.js';

const PAGES = {...catalog, folder: kv.folder, key: kv.key, create: kv.create};
const NAV = [
	['Overview', paths.overview, ['overview']],
	['Services', paths.services, ['services', 'service']],
	['Nodes', paths.nodes, ['nodes', 'node']],
	['Key/Value', (dc) => paths.folder(dc, ''), ['folder', 'key', 'create']],
];

let current = new AbortController();
let unsaved = () => false;
let pages_shown = 0;
let address = '';	/* of the page that is shown */

function draw_nav(dc, page) {
	$('datacenter').textContent = dc;
	$('nav').replaceChildren(h('ul', null, NAV.map(([text, path, pages]) =>
		h('li', null, h('a', {href: path(dc), 'aria-current': pages.includes(page) && 'page'}, text)))));
}

/* Without a datacenter in the address: the agent's own. */
function find_home(signal) {
	follow(['agent', 'self'], {every: 0, signal}, (self) => {
		history.replaceState(null, '', paths.services(self.Config.Datacenter));
		open_page();
	});
}

function open_page() {
	const wanted = route(location.pathname);
	const {signal} = current = (current.abort(), new AbortController());

	unsaved = () => false;
	if (wanted.page === 'home' && wanted.dc === '') {
		find_home(signal);
		return;
	}
	if (wanted.page === 'home') {
		wanted.page = 'services';
		history.replaceState(null, '', paths.services(wanted.dc));
	}
	address = location.href;
	draw_nav(wanted.dc, wanted.page);

	const context = {
		dc: wanted.dc,
		go,
		follow: (parts, {local, query, ...options}, on_data) => follow(parts, {...options, query: {...(local ? {} : {dc: wanted.dc}), ...query}, signal}, on_data),
		show(title, ...elements) {
			document.title = `${title} – consuld`;
			$('main').replaceChildren(...elements.flat());
			/* Who came by a link hears where they are now; who opened the page begins at its top. */
			if (pages_shown++ > 0)
				$('main').querySelector('h1').focus({preventScroll: true});
			scrollTo(0, 0);
		},
		guard(is_dirty) {
			unsaved = is_dirty;
		},
	};
	const page = PAGES[wanted.page];

	if (page)
		page(context, wanted);
	else
		context.show('Not found', heading('Not found'), h('p', {class: 'empty'}, 'There is no such page. ', h('a', {href: BASE}, 'To the services')));
}

const may_leave = async () => !unsaved() || confirm('Leave this page?', 'What you changed is not saved.', 'Leave');

function go(path) {
	unsaved = () => false;
	history.pushState(null, '', path);
	open_page();
}

document.addEventListener('click', async (event) => {
	const a = event.target.closest?.('a[href]');

	if (!a || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
		return;
	if (a.classList.contains('skip')) {
		event.preventDefault();
		$('main').focus();
		return;
	}
	if (a.origin !== location.origin || !a.pathname.startsWith(BASE))
		return;
	event.preventDefault();
	if (await may_leave())
		go(a.pathname + a.search);
});

addEventListener('popstate', async () => {
	const wanted = location.href;

	if (unsaved()) {
		history.pushState(null, '', address);
		if (!await may_leave())
			return;
		history.pushState(null, '', wanted);
	}
	open_page();
});

addEventListener('beforeunload', (event) => {
	if (unsaved())
		event.preventDefault();
});

/* "/" goes to the search box. */
document.addEventListener('keydown', (event) => {
	if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, dialog'))
		return;
	const box = document.getElementById('search');

	if (box) {
		event.preventDefault();
		box.focus();
	}
});

open_page();
