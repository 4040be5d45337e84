/*
 * paths.js - addresses of the pages, as they are known from the reference: /ui/DC/services/NAME/instances, /ui/DC/kv/KEY/edit, ...
 *
 * The only place that makes them, and the only one that reads them.
 */

/* Where the UI lies (ui_config.content_path): beside this file. */
export const BASE = new URL('.', import.meta.url).pathname;

const page = (dc, ...parts) => BASE + [dc, ...parts].map(encodeURIComponent).join('/');

/*
 * Keys look like paths and are shown as such. But an empty part, "." or ".." would be taken out on the way, so a key with one of these
 * is written as one part.
 */
function key_path(key) {
	const parts = key.replace(/\/$/, '').split('/');

	if (parts.some((part) => part === '' || part === '.' || part === '..'))
		return encodeURIComponent(key);
	return key.split('/').map(encodeURIComponent).join('/');
}

export const paths = {
	overview: (dc) => page(dc, 'overview'),
	services: (dc) => page(dc, 'services'),
	service: (dc, name) => page(dc, 'services', name, 'instances'),
	nodes: (dc) => page(dc, 'nodes'),
	node: (dc, name) => page(dc, 'nodes', name),
	/* folder: '' or ends in a slash */
	folder: (dc, folder) => `${page(dc, 'kv')}${folder === '' ? '' : `/${key_path(folder)}`}`,
	key: (dc, key) => `${page(dc, 'kv')}/${key.endsWith('/') ? encodeURIComponent(key) : key_path(key)}/edit`,
	create: (dc, folder) => `${page(dc, 'kv')}/${folder === '' ? '' : `${key_path(folder).replace(/\/$/, '')}/`}create`,
};

/* The folder that a key, or a folder, lies in. */
export const folder_of = (key) => key.slice(0, key.replace(/\/$/, '').lastIndexOf('/') + 1);

const as_folder = (text) => (text === '' || text.endsWith('/') ? text : `${text}/`);

function kv_route(parts) {
	const raw = parts.join('/');
	const last = parts.at(-1);

	if (last === 'edit' && parts.length > 1)
		return {page: 'key', key: decodeURIComponent(raw.slice(0, -'/edit'.length))};
	if (last === 'create')
		return {page: 'create', folder: as_folder(decodeURIComponent(raw.slice(0, -'create'.length).replace(/\/$/, '')))};
	return {page: 'folder', folder: as_folder(decodeURIComponent(raw))};
}

/* What an address asks for: {dc, page, ...}; page undefined: nothing of ours. */
export function route(pathname) {
	try {
		const [first = '', section = '', ...parts] = pathname.startsWith(BASE) ? pathname.slice(BASE.length).split('/') : [];
		const dc = decodeURIComponent(first);
		const name = decodeURIComponent(parts[0] ?? '');

		switch (section) {
		case '':
			return {dc, page: 'home'};
		case 'overview':
			return {dc, page: 'overview'};
		case 'services':
			return name === '' ? {dc, page: 'services'} : {dc, page: 'service', name};
		case 'nodes':
			return name === '' ? {dc, page: 'nodes'} : {dc, page: 'node', name};
		case 'kv':
			return {dc, ...kv_route(parts)};
		default:
			return {dc};
		}
	} catch {
		return {dc: ''};	/* not percent-encoded */
	}
}
