/*
 * api.h - the handlers of the endpoints, by family (routes: route.c)
 */
#ifndef HTTPD_API_H
#define HTTPD_API_H

#include "request.h"

void kv_endpoint(struct request *r);

void session_create(struct request *r);
void session_destroy(struct request *r);
void session_renew(struct request *r);
void session_info(struct request *r);
void session_node(struct request *r);
void session_list(struct request *r);

void status_leader(struct request *r);
void status_peers(struct request *r);

void catalog_register(struct request *r);
void catalog_deregister(struct request *r);
void catalog_datacenters(struct request *r);
void catalog_nodes(struct request *r);
void catalog_services(struct request *r);
void catalog_service(struct request *r);
void catalog_connect(struct request *r);
void catalog_node(struct request *r);
void catalog_node_services(struct request *r);

void health_node(struct request *r);
void health_checks(struct request *r);
void health_state(struct request *r);
void health_service(struct request *r);
void health_connect(struct request *r);
void health_ingress(struct request *r);

void operator_raft_configuration(struct request *r);
void operator_raft_peer(struct request *r);
void operator_transfer_leader(struct request *r);
void operator_autopilot_configuration(struct request *r);
void operator_autopilot_health(struct request *r);
void operator_autopilot_state(struct request *r);
void ui_nodes(struct request *r);
void ui_node(struct request *r);
void ui_services(struct request *r);

void acl_disabled(struct request *r);

void event_fire(struct request *r);
void event_list(struct request *r);
void operator_keyring(struct request *r);

void coordinate_datacenters(struct request *r);
void coordinate_nodes(struct request *r);
void coordinate_node(struct request *r);
void coordinate_update(struct request *r);

void agent_self(struct request *r);
void agent_host(struct request *r);
void agent_version(struct request *r);
void agent_maintenance(struct request *r);
void agent_reload(struct request *r);
void agent_monitor(struct request *r);
void agent_metrics(struct request *r);
void agent_services(struct request *r);
void agent_service(struct request *r);
void agent_checks(struct request *r);
void agent_members(struct request *r);
void agent_join(struct request *r);
void agent_leave(struct request *r);
void agent_force_leave(struct request *r);
void agent_health_id(struct request *r);
void agent_health_name(struct request *r);
void agent_check_register(struct request *r);
void agent_check_deregister(struct request *r);
void agent_check_pass(struct request *r);
void agent_check_warn(struct request *r);
void agent_check_fail(struct request *r);
void agent_check_update(struct request *r);
void agent_service_register(struct request *r);
void agent_service_deregister(struct request *r);
void agent_service_maintenance(struct request *r);

#endif
