/*
 * kv.js - pages on keys: folders, and the editor of one key
 *
 * A value is bytes. What is text (UTF-8, line ends of one kind) may be edited as text; anything else only as Base64, so that saving never changes
 * a byte that nobody touched. Writes name the index that was read (?cas=): what someone else changed meanwhile is not overwritten unasked.
 */
import {confirm, h, hidden, table, toast} from './dom.js';
import {ask, explain} from './live.js';
import {folder_of, paths} from './paths.js';
import {facts, heading, search} from './parts.js';

/* [text, address] of each folder on the way to folder. */
function trail_to(dc, folder) {
	const trail = [['Key/Value', paths.folder(dc, '')]];

	for (let end = folder.indexOf('/'); end !== -1; end = folder.indexOf('/', end + 1)) {
		const path = folder.slice(0, end + 1);

		trail.push([path.slice(folder_of(path).length).replace(/(?<=.)\/$/, ''), paths.folder(dc, path)]);
	}
	return trail;
}

/* --- folders */

async function delete_folder({dc, go}, folder) {
	try {
		const keys = JSON.parse((await ask(['kv', folder], {query: {dc, keys: ''}, missing: true})).text || '[]');

		if (!await confirm('Delete this folder?', `${folder} and all below it: ${keys.length} ${keys.length === 1 ? 'key' : 'keys'}. This can not be undone.`, 'Delete folder'))
			return;
		await ask(['kv', folder], {method: 'DELETE', query: {dc, recurse: ''}});
		toast(`Deleted ${folder}`);
		go(paths.folder(dc, folder_of(folder)));
	} catch (error) {
		toast(explain(error));
	}
}

export function folder(context, {folder: here}) {
	const {dc, follow, show} = context;
	const list = h('div', null, h('p', {class: 'empty wait'}, 'Loading…'));
	const found = search('Search keys of this folder', {on_change: draw});
	const rows = table('Keys', [{title: 'Key'}], {
		key: (entry) => entry.key,
		cells: ({key, name, is_folder}) => [[
			h('span', {class: `glyph ${is_folder ? 'folder' : 'leaf'}`, 'aria-hidden': 'true'}), hidden(is_folder ? 'Folder ' : 'Key '),
			h('a', {href: is_folder ? paths.folder(dc, key) : paths.key(dc, key)}, name)]],
	});
	let keys;

	function draw() {
		if (keys === undefined)
			return;
		const chosen = keys.filter((entry) => found.matches(entry.name));

		found.told(chosen.length, keys.length, 'entry', 'entries');
		rows.update(chosen);
		list.replaceChildren(chosen.length > 0 ? rows.element : h('p', {class: 'empty'}, keys.length > 0 ? 'No key is found by this search.' : 'There are no keys here.'));
	}

	const trail = trail_to(dc, here).slice(0, -1);
	const title = here === '' ? 'Key/Value' : here.slice(folder_of(here).length);

	show(title, heading(title, {trail, aside: [
		here !== '' && h('button', {type: 'button', class: 'danger', on: {click: () => delete_folder(context, here)}}, 'Delete folder'),
		h('a', {class: 'button primary', href: paths.create(dc, here)}, 'Create key'),
	]}), found.element, list);
	follow(['kv', here], {query: {keys: '', separator: '/'}, missing: true}, (data) => {
		keys = (data ?? []).filter((key) => key !== here).map((key) => ({key, name: key.slice(here.length), is_folder: key.endsWith('/')}));
		keys.sort((a, b) => b.is_folder - a.is_folder || (a.key < b.key ? -1 : 1));
		draw();
	});
}

/* --- bytes, Base64, text */

function from_base64(text) {
	return Uint8Array.from(atob(text.replace(/\s+/g, '')), (c) => c.charCodeAt(0));
}

function to_base64(bytes) {
	let text = '';

	for (let i = 0; i < bytes.length; i += 8192)
		text += String.fromCharCode(...bytes.subarray(i, i + 8192));
	return btoa(text);
}

/*
 * {text, crlf} if these bytes come back the same from a text field, else null: such a field knows one kind of line end, so it must be the same all over;
 * a zero byte or bad UTF-8 is no text.
 */
export function as_text(bytes) {
	let text;

	try {
		text = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes);
	} catch {
		return null;
	}
	const returns = text.split('\r').length - 1, pairs = text.split('\r\n').length - 1, feeds = text.split('\n').length - 1;

	if (text.includes('\0') || returns !== pairs || (pairs > 0 && pairs !== feeds))
		return null;
	return {text: text.replaceAll('\r\n', '\n'), crlf: pairs > 0};
}

/* Two radio buttons and a text area that hold bytes. */
function value_field(on_change) {
	const radio = (value, label) => h('label', null, h('input', {type: 'radio', name: 'coding', value, on: {change: recode}}), label);
	const area = h('textarea', {id: 'value', rows: '14', spellcheck: 'false', autocomplete: 'off', autocapitalize: 'off', on: {input: () => on_change()}});
	const hint = h('p', {class: 'dim', id: 'value-hint', role: 'status'});
	const choice = h('fieldset', {class: 'coding'}, h('legend', {class: 'hidden-text'}, 'Shown as'), radio('text', 'Text'), radio('base64', 'Base64'));
	let coding, crlf = false;

	function bytes() {
		if (coding === 'base64')
			return from_base64(area.value);
		return new TextEncoder().encode(crlf ? area.value.replaceAll('\n', '\r\n') : area.value);
	}

	function fill(content, wanted) {
		const text = wanted === 'base64' ? null : as_text(content);

		coding = text ? 'text' : 'base64';
		crlf = text?.crlf ?? false;
		area.value = text ? text.text : to_base64(content);
		for (const input of choice.querySelectorAll('input'))
			input.checked = input.value === coding;
		hint.textContent = !text && wanted !== 'base64' ? 'These bytes are not text, so they are shown as Base64.' : crlf ? 'Lines end in CR LF, and will again.' : '';
	}

	function recode(event) {
		try {
			fill(bytes(), event.target.value);
		} catch {
			for (const input of choice.querySelectorAll('input'))
				input.checked = input.value === coding;
			hint.textContent = 'This is not Base64.';
		}
	}

	area.setAttribute('aria-describedby', 'value-hint');
	return {element: [h('div', {class: 'field-head'}, h('label', {for: 'value'}, 'Value'), choice), area, hint], bytes, fill};
}

/* --- one key */

/* What the API says of one key. JSON numbers of JavaScript do not hold all flags: they stay digits. */
function entry_of(data, text) {
	return {index: data[0].ModifyIndex, flags: /"Flags":\s*(\d+)/.exec(text)[1], value: from_base64(data[0].Value ?? ''), session: data[0].Session ?? '', created: data[0].CreateIndex, locks: data[0].LockIndex};
}

/* Editor of `key`; undefined: of one that is to be named, in folder. */
function editor(context, key, folder_here) {
	const {dc, go, follow, show, guard} = context;
	const home = key === undefined ? folder_here : folder_of(key);
	const trail = trail_to(dc, home);
	const title = key === undefined ? 'Create key' : key.slice(home.length);
	const field = value_field(changed);
	const name = key === undefined && h('input', {id: 'key', value: folder_here, required: true, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', 'aria-describedby': 'key-hint', on: {input: changed}});
	const about = h('div');
	const problem = h('div', {role: 'alert'});
	const remove = h('button', {type: 'button', class: 'danger', hidden: true, on: {click: delete_key}}, 'Delete');
	const save = h('button', {type: 'submit', class: 'primary'}, key === undefined ? 'Create' : 'Save');
	const form = h('form', {class: 'card editor', on: {submit}},
		name && h('p', {class: 'field'}, h('label', {for: 'key'}, 'Key'), name, h('span', {class: 'dim', id: 'key-hint'}, 'Slashes make folders. A name that ends in a slash is an empty folder.')),
		field.element, problem, h('div', {class: 'actions'}, remove, h('span', {class: 'space'}), h('a', {class: 'button', href: paths.folder(dc, home)}, 'Cancel'), save));
	let entry = null;	/* what the editor began with; null: no such key */
	let dirty = false, known = key === undefined;

	function changed() {
		dirty = true;
	}

	function complain(text, ...buttons) {
		problem.replaceChildren(...(text === '' ? [] : [h('div', {class: 'problem'}, h('p', null, text), buttons)]));
	}

	/* Takes over what is stored now. */
	function load(found) {
		entry = found;
		dirty = false;
		complain(found === null && key !== undefined ? 'There is no such key. Saving creates it.' : '');
		field.fill(found?.value ?? new Uint8Array());
		draw();
	}

	function draw() {
		remove.hidden = entry === null;
		about.replaceChildren(...(entry === null ? [] : [facts([['Key', h('code', null, key)], ['Bytes', `${entry.value.length}`], ['Flags', entry.flags === '0' ? '' : entry.flags],
			['Created at index', entry.created], ['Modified at index', entry.index], ['Lock index', entry.locks || ''], ['Locked by session', entry.session && h('code', null, entry.session)]])]));
	}

	function found_now(found) {
		if (!known || !dirty) {
			known = true;
			load(found);
		} else if (found?.index !== entry?.index)
			complain(found === null ? 'This key was deleted meanwhile.' : 'This key was changed meanwhile.',
				h('button', {type: 'button', on: {click: () => load(found)}}, found === null ? 'Forget my changes' : 'Show the new value'),
				h('button', {type: 'button', on: {click: () => {
					entry = found;
					complain('');
					draw();
				}}}, 'Keep mine'));
	}

	async function submit(event) {
		const target = key ?? name.value;

		event.preventDefault();
		let body;

		try {
			body = field.bytes();
		} catch {
			complain('The value is not Base64.');
			return;
		}
		complain('');
		save.disabled = true;
		try {
			const answer = await ask(['kv', target], {method: 'PUT', body, query: {dc, cas: entry?.index ?? 0, flags: entry?.flags}});

			if (answer.text.trim() !== 'true')
				complain(entry === null ? 'There is such a key already: it was not changed.' : 'This key was changed meanwhile: it was not saved.');
			else {
				toast(`Saved ${target}`);
				dirty = false;
				if (key === undefined)
					go(target.endsWith('/') ? paths.folder(dc, target) : paths.folder(dc, folder_of(target)));
				else
					await read_again();
			}
		} catch (error) {
			complain(explain(error));
		} finally {
			save.disabled = false;
		}
	}

	async function read_again() {
		const {status, text} = await ask(['kv', key], {query: {dc}, missing: true});

		found_now(status === 404 ? null : entry_of(JSON.parse(text), text));
	}

	async function delete_key() {
		if (!await confirm('Delete this key?', `${key}: its value is lost. This can not be undone.`, 'Delete'))
			return;
		try {
			const answer = await ask(['kv', key], {method: 'DELETE', query: {dc, cas: entry.index}});

			if (answer.text.trim() !== 'true') {
				complain('This key was changed meanwhile: it was not deleted.');
				return;
			}
			dirty = false;
			toast(`Deleted ${key}`);
			go(paths.folder(dc, home));
		} catch (error) {
			complain(explain(error));
		}
	}

	guard(() => dirty);
	show(title, heading(title, {trail}), about, form);
	if (key === undefined) {
		field.fill(new Uint8Array());
		name.focus();
		name.setSelectionRange(name.value.length, name.value.length);
		return;
	}
	form.hidden = true;
	follow(['kv', key], {missing: true}, (data, text) => {
		form.hidden = false;
		found_now(data === null ? null : entry_of(data, text));
	});
}

export const key = (context, route) => editor(context, route.key);
export const create = (context, route) => editor(context, undefined, route.folder);
