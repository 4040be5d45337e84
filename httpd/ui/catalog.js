/*
 * catalog.js - pages on what is registered: overview, services and their instances, nodes
 *
 * Each page gets {dc, follow, show} and its route: follow(parts, options, on_data) for as long as the page is open; show(title, ...elements)
 * once, before any data is there.
 */
import {h, keyed, table, toast, confirm} from './dom.js';
import {ask, explain} from './live.js';
import {paths} from './paths.js';
import {badges, by_severity, check_item, count_checks, facts, heading, pairs_of, search, section, tags, worst} from './parts.js';

const by = (get) => (a, b) => (get(a) < get(b) ? -1 : get(a) > get(b) ? 1 : 0);
const loading = () => h('p', {class: 'empty wait'}, 'Loading…');
const endpoint = (address, port) => (port ? `${address.includes(':') ? `[${address}]` : address}:${port}` : address);

function group(checks, get) {
	const groups = new Map();

	for (const check of checks) {
		const name = get(check);

		if (!groups.has(name))
			groups.set(name, []);
		groups.get(name).push(check);
	}
	return groups;
}

/* --- overview */

const MEMBER_STATUS = {0: 'none', 1: 'alive', 2: 'leaving', 3: 'left', 4: 'failed'};
const MEMBER_BADGE = {alive: 'passing', leaving: 'warning', left: 'none', failed: 'critical', none: 'none'};

function member_of(m) {
	return {
		name: m.Name,
		address: endpoint(m.Addr, m.Port),
		role: m.Tags?.role === 'consul' ? 'server' : m.Tags?.role === 'node' ? 'client' : m.Tags?.role ?? '',
		rpc: m.Tags?.role === 'consul' ? endpoint(m.Addr, m.Tags.port) : '',
		status: MEMBER_STATUS[m.Status] ?? 'unknown',
		build: (m.Tags?.build ?? '').split(':')[0],
	};
}

export function overview({dc, follow, show}) {
	const summary = h('div', {class: 'tiles'});
	const seen = {leader: '', members: [], servers: [], services: undefined, nodes: undefined, checks: undefined};
	const members = table('Members', [{title: 'Member'}, {title: 'State'}, {title: 'Role'}, {title: 'Address'}, {title: 'Version', minor: true}], {
		key: (m) => m.name,
		cells: (m) => [
			h('a', {href: paths.node(dc, m.name)}, m.name),
			h('span', {class: `badge ${MEMBER_BADGE[m.status] ?? 'none'}`}, m.status),
			[m.role, m.leader && h('span', {class: 'tag strong'}, 'leader')],
			m.address,
			m.build,
		],
	});
	const tile = (label, value, href) => h(href ? 'a' : 'div', {class: 'card tile', href}, h('span', {class: 'dim'}, label), h('span', {class: 'value'}, value));

	function draw() {
		const leader = seen.members.find((m) => m.rpc !== '' && m.rpc === seen.leader);

		summary.replaceChildren(
			tile('Leader', seen.leader === '' ? 'none' : leader?.name ?? seen.leader),
			tile('Servers', `${seen.servers.length}`),
			tile('Services', seen.services === undefined ? '…' : `${seen.services}`, paths.services(dc)),
			tile('Nodes', seen.nodes === undefined ? '…' : `${seen.nodes}`, paths.nodes(dc)),
			tile('Checks', seen.checks === undefined ? '…' : badges(seen.checks)));
		members.update(seen.members.map((m) => ({...m, leader: m === leader})));
	}
	const take = (name, convert) => (data) => {
		seen[name] = convert(data);
		draw();
	};

	show('Overview', heading('Overview'), summary, section('Members', members.element));
	follow(['status', 'leader'], {every: 3000}, take('leader', (data) => data));
	follow(['status', 'peers'], {every: 10_000}, take('servers', (data) => data));
	follow(['agent', 'members'], {every: 3000, local: true}, take('members', (data) => data.map(member_of).sort(by((m) => m.name))));
	follow(['catalog', 'services'], {every: 5000}, take('services', (data) => Object.keys(data).length));
	follow(['catalog', 'nodes'], {every: 5000}, take('nodes', (data) => data.length));
	follow(['health', 'state', 'any'], {every: 5000}, take('checks', count_checks));
}

/* --- services */

export function services({dc, follow, show}) {
	const list = h('div', null, loading());
	const found = search('Search services by name or tag', {states: true, on_change: draw});
	const rows = table('Services', [{title: 'Service'}, {title: 'Checks'}, {title: 'Tags'}], {
		key: (s) => s.name,
		cells: (s) => [h('a', {href: paths.service(dc, s.name)}, s.name), badges(s.counts), tags(s.tags)],
	});
	const none = h('p', {class: 'empty'}, 'No service is found by this search.');
	let names, checks = [];

	function draw() {
		if (names === undefined)
			return;
		const of_service = group(checks, (check) => check.ServiceName);
		const all = names.map(([name, list_of_tags]) => ({name, tags: list_of_tags, counts: count_checks(of_service.get(name) ?? [])}));
		const chosen = all.filter((s) => found.matches(s.name, ...s.tags) && (found.state() === '' || s.counts[found.state()] > 0));

		found.told(chosen.length, all.length, 'service', 'services');
		rows.update(chosen);
		list.replaceChildren(chosen.length > 0 ? rows.element : none);
	}

	show('Services', heading('Services'), found.element, list);
	follow(['catalog', 'services'], {}, (data) => {
		names = Object.entries(data).sort(by(([name]) => name));
		draw();
	});
	follow(['health', 'state', 'any'], {}, (data) => {
		checks = data;
		draw();
	});
}

/* Name, where, health, and the checks behind it. */
function instance(dc, {Node, Service, Checks}) {
	const own = Checks.filter((check) => check.ServiceID !== '');
	const of_node = Checks.filter((check) => check.ServiceID === '');
	const meta = pairs_of(Service.Meta);
	const health = worst(count_checks(Checks));

	return h('li', {class: `card instance ${health}`},
		h('div', {class: 'instance-head'},
			h('h3', null, Service.ID),
			h('span', {class: 'dim'}, 'on '), h('a', {href: paths.node(dc, Node.Node)}, Node.Node),
			h('code', null, endpoint(Service.Address || Node.Address, Service.Port)),
			badges(count_checks(Checks))),
		tags(Service.Tags),
		h('details', {open: health === 'warning' || health === 'critical'}, h('summary', null, `Checks of the service: ${own.length}, of its node: ${of_node.length}`),
			h('ul', {class: 'checks'}, [...own, ...of_node].sort(by_severity).map(check_item))),
		meta.length > 0 && h('details', null, h('summary', null, `Meta: ${meta.length}`), facts(meta)));
}

export function service({dc, follow, show}, {name}) {
	const health = h('span');
	const list = h('ul', {class: 'cards'});
	const more = h('div', {class: 'more'});
	const state = h('div', null, loading());
	const found = search('Search instances by ID, node, address or tag', {states: true, on_change: draw});
	const update = keyed(list, {key: (i) => `${i.Node.Node}\n${i.Service.ID}`, build: (i) => instance(dc, i), step: 200, more});
	let instances;

	function draw() {
		if (instances === undefined)
			return;
		const chosen = instances.filter(({Node, Service, Checks}) => (found.state() === '' || worst(count_checks(Checks)) === found.state()) &&
			found.matches(Service.ID, Node.Node, endpoint(Service.Address || Node.Address, Service.Port), ...(Service.Tags ?? [])));

		health.replaceChildren(badges(count_checks(instances.flatMap((i) => i.Checks))));
		found.told(chosen.length, instances.length, 'instance', 'instances');
		update(chosen);
		state.replaceChildren(...(chosen.length > 0 ? [] : [h('p', {class: 'empty'}, instances.length > 0 ? 'No instance is found by this search.' :
			'This service has no instances: nothing is registered under this name.')]));
	}

	show(name, heading(name, {trail: [['Services', paths.services(dc)]], aside: [health]}), found.element, state, list, more);
	follow(['health', 'service', name], {}, (data) => {
		instances = data.sort(by((i) => `${i.Service.ID}\n${i.Node.Node}`));
		draw();
	});
}

/* --- nodes */

export function nodes({dc, follow, show}) {
	const list = h('div', null, loading());
	const found = search('Search nodes by name or address', {states: true, on_change: draw});
	const rows = table('Nodes', [{title: 'Node'}, {title: 'Checks'}, {title: 'Address'}, {title: 'Version', minor: true}], {
		key: (n) => n.name,
		cells: (n) => [h('a', {href: paths.node(dc, n.name)}, n.name), badges(n.counts), h('code', null, n.address), n.version],
	});
	const none = h('p', {class: 'empty'}, 'No node is found by this search.');
	let known, checks = [];

	function draw() {
		if (known === undefined)
			return;
		const of_node = group(checks, (check) => check.Node);
		const all = known.map((n) => ({...n, counts: count_checks(of_node.get(n.name) ?? [])}));
		const chosen = all.filter((n) => found.matches(n.name, n.address) && (found.state() === '' || n.counts[found.state()] > 0));

		found.told(chosen.length, all.length, 'node', 'nodes');
		rows.update(chosen);
		list.replaceChildren(chosen.length > 0 ? rows.element : none);
	}

	show('Nodes', heading('Nodes'), found.element, list);
	follow(['catalog', 'nodes'], {}, (data) => {
		known = data.map((n) => ({name: n.Node, address: n.Address, version: n.Meta?.['consul-version'] ?? ''})).sort(by((n) => n.name));
		draw();
	});
	follow(['health', 'state', 'any'], {}, (data) => {
		checks = data;
		draw();
	});
}

async function end_session(dc, session) {
	if (!await confirm('End this session?', `${session.Name || session.ID}: the locks it holds are ${session.Behavior === 'delete' ? 'deleted with their keys' : 'released'}.`, 'End session'))
		return;
	try {
		await ask(['session', 'destroy', session.ID], {method: 'PUT', query: {dc}});
		toast('The session is ended.');
	} catch (error) {
		toast(explain(error));
	}
}

export function node({dc, follow, show}, {name}) {
	const health = h('span');
	const about = h('div', null, loading());
	const checks = h('ul', {class: 'card checks'});
	const more = h('div', {class: 'more'});
	const rest = h('div', {hidden: true});
	const meta = h('div');
	const no_sessions = h('p', {class: 'empty'}, 'No session is held for this node.');
	const no_services = h('p', {class: 'empty'}, 'No service is registered on this node.');
	const no_checks = h('p', {class: 'empty'}, 'No check is registered on this node.');
	const update_checks = keyed(checks, {key: (check) => check.CheckID, build: check_item, step: 200, more});
	const services_here = table('Services of this node', [{title: 'Service'}, {title: 'Checks'}, {title: 'ID'}, {title: 'Address'}, {title: 'Tags', minor: true}], {
		key: (s) => s.id,
		cells: (s) => [h('a', {href: paths.service(dc, s.name)}, s.name), badges(s.counts), s.id, h('code', null, s.address), tags(s.tags)],
	});
	const sessions = table('Lock sessions', [{title: 'Session'}, {title: 'ID'}, {title: 'Behavior'}, {title: 'TTL', minor: true}, {title: 'Action'}], {
		key: (s) => s.ID,
		cells: (s) => [s.Name || 'unnamed', h('code', null, s.ID), s.Behavior, s.TTL || 'none',
			h('button', {type: 'button', class: 'small', 'aria-label': `End session ${s.Name || s.ID}`, on: {click: () => end_session(dc, s)}}, 'End')],
	});
	let info, health_checks = [];

	function draw() {
		if (info === undefined)
			return;
		rest.hidden = info === null;
		health.replaceChildren(...(info ? [badges(count_checks(health_checks))] : []));
		if (info === null) {
			about.replaceChildren(h('p', {class: 'empty'}, 'No node of this name is in the catalog.'));
			return;
		}
		const {Node, Services} = info;
		const of_service = group(health_checks, (check) => check.ServiceID);

		about.replaceChildren(facts([['Address', h('code', null, Node.Address)], ['ID', Node.ID && h('code', null, Node.ID)], ['Datacenter', Node.Datacenter],
			['Version', Node.Meta?.['consul-version']]]));
		meta.replaceChildren(...[['Meta', Node.Meta], ['Tagged addresses', Node.TaggedAddresses]].filter(([, map]) => pairs_of(map).length > 0)
			.map(([title, map]) => section(title, h('div', {class: 'card'}, facts(pairs_of(map))))));
		update_checks(health_checks);
		no_checks.hidden = health_checks.length > 0;
		checks.hidden = !no_checks.hidden;
		const rows = Object.values(Services ?? {}).sort(by((s) => `${s.Service}\n${s.ID}`)).map((s) => ({
			name: s.Service, id: s.ID, address: endpoint(s.Address || Node.Address, s.Port), tags: s.Tags, counts: count_checks(of_service.get(s.ID) ?? []),
		}));

		services_here.update(rows);
		no_services.hidden = rows.length > 0;
		services_here.element.hidden = rows.length === 0;
	}

	rest.append(
		section('Checks', checks, more, no_checks),
		section('Services', services_here.element, no_services),
		section('Lock sessions', sessions.element, no_sessions),
		meta);
	show(name, heading(name, {trail: [['Nodes', paths.nodes(dc)]], aside: [health]}), about, rest);
	follow(['catalog', 'node', name], {}, (data) => {
		info = data;
		draw();
	});
	follow(['health', 'node', name], {}, (data) => {
		health_checks = data.sort((a, b) => by_severity(a, b) || by((check) => `${check.ServiceName}\n${check.CheckID}`)(a, b));
		draw();
	});
	follow(['session', 'node', name], {every: 5000}, (data) => {
		sessions.update(data.sort(by((s) => s.ID)).map(({ID, Name, Behavior, TTL}) => ({ID, Name, Behavior, TTL})));
		no_sessions.hidden = data.length > 0;
		sessions.element.hidden = data.length === 0;
	});
}
