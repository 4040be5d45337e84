/*
 * cmd_later.c - commands of the reference that this version of the suite has no server side for
 *
 * They are known, so that help names them and scripts get one clear error instead of a usage text.
 */
#include "command.h"

static int
later_run(struct invocation *in)
{
	return command_fail("consul %s: not supported by this version of consuld", in->command->path);
}

#define LATER(path, synopsis)                                                                                          \
	{                                                                                                              \
		path, synopsis, "[options]", "Not supported by this version of consuld.", COMMAND_RAW, NULL, later_run \
	}
#define GROUP(path, synopsis)                                                                                          \
	{                                                                                                              \
		path, synopsis, NULL, NULL, 0, NULL, NULL                                                              \
	}

const struct command later_commands[] = {
    GROUP("acl", "Interact with Consul's ACLs"),
    GROUP("acl auth-method", "Manage auth methods"),
    LATER("acl auth-method create", "Create an auth method"),
    LATER("acl auth-method delete", "Delete an auth method"),
    LATER("acl auth-method list", "List auth methods"),
    LATER("acl auth-method read", "Read an auth method"),
    LATER("acl auth-method update", "Update an auth method"),
    GROUP("acl binding-rule", "Manage binding rules"),
    LATER("acl binding-rule create", "Create a binding rule"),
    LATER("acl binding-rule delete", "Delete a binding rule"),
    LATER("acl binding-rule list", "List binding rules"),
    LATER("acl binding-rule read", "Read a binding rule"),
    LATER("acl binding-rule update", "Update a binding rule"),
    LATER("acl bootstrap", "Make the first management token"),
    GROUP("acl policy", "Manage policies"),
    LATER("acl policy create", "Create a policy"),
    LATER("acl policy delete", "Delete a policy"),
    LATER("acl policy list", "List policies"),
    LATER("acl policy read", "Read a policy"),
    LATER("acl policy update", "Update a policy"),
    GROUP("acl role", "Manage roles"),
    LATER("acl role create", "Create a role"),
    LATER("acl role delete", "Delete a role"),
    LATER("acl role list", "List roles"),
    LATER("acl role read", "Read a role"),
    LATER("acl role update", "Update a role"),
    LATER("acl set-agent-token", "Give the agent one of its tokens"),
    GROUP("acl templated-policy", "Look at templated policies"),
    LATER("acl templated-policy list", "List templated policies"),
    LATER("acl templated-policy preview", "Show what a templated policy becomes"),
    LATER("acl templated-policy read", "Read a templated policy"),
    GROUP("acl token", "Manage tokens"),
    LATER("acl token clone", "Clone a token"),
    LATER("acl token create", "Create a token"),
    LATER("acl token delete", "Delete a token"),
    LATER("acl token list", "List tokens"),
    LATER("acl token read", "Read a token"),
    LATER("acl token update", "Update a token"),
    GROUP("config", "Interact with Consul's Centralized Configurations"),
    LATER("config delete", "Delete a config entry"),
    LATER("config list", "List config entries"),
    LATER("config read", "Read a config entry"),
    LATER("config write", "Write a config entry"),
    GROUP("connect", "Interact with Consul Connect"),
    GROUP("connect ca", "Manage the certificate authority"),
    LATER("connect ca get-config", "Show the authority's configuration"),
    LATER("connect ca set-config", "Change the authority's configuration"),
    LATER("connect expose", "Expose a service through an ingress gateway"),
    LATER("connect proxy", "Run a proxy for a service"),
    LATER("debug", "Records a debugging archive for operators"),
    LATER("exec", "Executes a command on Consul nodes"),
    GROUP("intention", "Interact with Connect service intentions"),
    LATER("intention check", "Tell whether a connection is allowed"),
    LATER("intention create", "Create an intention"),
    LATER("intention delete", "Delete an intention"),
    LATER("intention get", "Show an intention"),
    LATER("intention list", "List intentions"),
    LATER("intention match", "Show the intentions that match a service"),
    LATER("login", "Login to Consul using an auth method"),
    LATER("logout", "Destroy a Consul token created with login"),
    GROUP("operator usage", "Provides cluster-level usage information"),
    LATER("operator usage instances", "Show how many service instances there are"),
    GROUP("peering", "Create and manage peering connections between Consul clusters"),
    LATER("peering delete", "Delete a peering"),
    LATER("peering establish", "Establish a peering with a token"),
    LATER("peering exported-services", "List the services that a peering exports"),
    LATER("peering generate-token", "Make a token for a peering"),
    LATER("peering list", "List peerings"),
    LATER("peering read", "Read a peering"),
    LATER("services export", "Export a service to a peer"),
    LATER("services exported-services", "List exported services"),
    LATER("snapshot decode", "Print the records of a snapshot file"),
    LATER("snapshot inspect", "Show what is in a snapshot file"),
    GROUP("tls", "Builtin helpers for creating CAs and certificates"),
    GROUP("tls ca", "Make certificate authorities"),
    LATER("tls ca create", "Create a certificate authority"),
    GROUP("tls cert", "Make certificates"),
    LATER("tls cert create", "Create a certificate"),
    GROUP("troubleshoot", "CLI tools for troubleshooting Consul service mesh"),
    LATER("troubleshoot ports", "Probe the ports of a server"),
    LATER("troubleshoot proxy", "Look into a proxy"),
    LATER("troubleshoot upstreams", "List the upstreams of a proxy"),
    {NULL},
};
