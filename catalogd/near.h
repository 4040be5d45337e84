/*
 * near.h - ?near=NODE: the elements of a list by their distance from a node
 */
#ifndef CATALOGD_NEAR_H
#define CATALOGD_NEAR_H

#include "select.h"

/*
 * Sorts the elements of l, all of which are written, by the estimated round-trip time of their nodes from source.node, nearest first; equal ones stay
 * in their order, those of nodes without coordinates are last. An element names its node by "Node", as text or as the node itself. Does
 * nothing when source (a msgpack query_source, or size 0) names no node, one without coordinates, or another datacenter.
 *
 * Coordinates that change wake nobody who waits for the list; an answer that is kept must not outlive them.
 */
void near_sort(struct select *l, struct bytes source);

#endif
