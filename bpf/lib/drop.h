/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Why a packet was dropped, and where. Both enums are append-only: their values are stored in pinned maps and read by
 * older and newer tools, which take the names from this object's BTF.
 */
#pragma once

enum hook {
	HOOK_UNSPEC,
	HOOK_FROM_CONTAINER,
	HOOK_FROM_UPLINK,
	HOOK_TO_UPLINK,
	HOOK_TO_BRIDGE,
	HOOK_FROM_DETOUR,
	HOOK_FROM_CUTTER,
	HOOK_XDP,
	HOOK_GUARD,
};

enum drop_reason {
	DROP_UNSPEC,
	DROP_MALFORMED,	       /* a header is cut off or contradicts itself */
	DROP_SPOOFED_MAC,      /* a container sent from a MAC address that is not its own */
	DROP_SPOOFED_IP,       /* a container sent from, or an uplink delivered from, an address of somebody else */
	DROP_SPOOFED_ARP,      /* a container claimed an address in ARP or ND that is not its own */
	DROP_ROUTER_ADVERT,    /* a container posed as a router (RFC 6105) */
	DROP_UNKNOWN_ENDPOINT, /* the interface or the published port's container is not known (any more) */
	DROP_ISOLATED,	       /* from one network to another */
	DROP_INTERNAL,	       /* out of or into an internal network */
	DROP_NO_ICC,	       /* container to container where the network forbids it */
	DROP_DIRECT,	       /* from outside directly to a container's address */
	DROP_NOT_UPLINK,       /* the route leads over an interface that is not an uplink */
	DROP_FORWARDING_OFF,   /* forwarding is off on the network's bridge */
	DROP_NO_FLOW,	       /* a packet that cannot begin a flow belongs to none: TCP RST or FIN, ICMP error */
	DROP_TABLE_FULL,       /* the flow table is full; live flows are kept (RFC 6888 REQ-11) */
	DROP_NO_PORT,	       /* no NAT port was free after all tries */
	DROP_NO_ADDRESS,       /* the egress route has no source address to masquerade with */
	DROP_PROTOCOL,	       /* a protocol that is not translated would leave with a private address */
	DROP_FRAGMENT,	       /* a fragment that cannot be matched to a flow */
	DROP_LEAK,	       /* the guard: a container's address was about to leave the host */
	DROP_TOO_BIG,	       /* larger than the next link's MTU; the sender is told, unless it asks too often */
	DROP_TTL,	       /* TTL or hop limit ran out; likewise */
	DROP_REWRITE,	       /* a packet could not be rewritten half-way */
	DROP_TAIL_CALL,	       /* the program set is incomplete */
	DROP_SOURCE_GONE,      /* the flow's masquerade address is not the route's any more */
	DROP_QUOTA,	       /* the container has, or begins, more flows than it may (RFC 6888 REQ-4, REQ-5) */
	DROP_UNSOLICITED,      /* a TCP SYN to a NAT port: an answer would break a simultaneous open (RFC 5382 REQ-4) */
	DROP_FILTERED,	       /* to another container's mapping, which has not sent there (RFC 4787 REQ-8, REQ-9) */
	DROP_DENIED,	       /* from a source on the deny list */
	DROP_CLOSED_PORT,      /* to a port of the host that nobody has, where these are to be dropped */
	DROP_SOURCE_RATE,      /* the source begins more flows to published ports than one may */
};
