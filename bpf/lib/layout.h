/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The layout of what is in maps.h, which the daemon shares. Padding is explicit and always zero: keys are compared as bytes. */
#pragma once

#include "../include/kernel.h"
#include "drop.h"

/* An IPv6 address, or an IPv4 address as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). */
struct addr {
	__u8 b[16];
} __attribute__((aligned(8)));

/*
 * flows4, flows6: who sends what to whom, as the packet is when it reaches the first hook, to how it leaves the last. A session is two
 * entries, each with a complete rewrite. An ICMP echo request has its identifier as sport and 0 as dport; a reply has it as dport: so the
 * reverse of a key is the key of the answer.
 */
struct flow_key {
	struct addr src, dst;
	__be16 sport, dport;
	__u8 proto;
	__u8 pad[3];
};

struct flow4_key {
	__be32 src, dst;
	__be16 sport, dport;
	__u8 proto;
	__u8 pad[3];
};

enum flow_kind {
	FLOW_KIND_UNSPEC,
	FLOW_PUBLISHED,	 /* from outside to a published port */
	FLOW_MASQUERADE, /* from a container to the outside, source translated */
	FLOW_HAIRPIN,	 /* from a container to a published port through an address of the host */
	FLOW_ROUTED,	 /* from a container to the outside, addresses as they are */
	FLOW_HOST,	 /* the host's own, in the table so that nobody else is given its port or identifier */
} __attribute__((packed));

enum flow_action {
	FLOW_TO_STACK,	/* rewrite, then on to the stack */
	FLOW_TO_PEER,	/* rewrite, then into the container behind veth oif */
	FLOW_TO_UPLINK, /* rewrite, then to next hop through oif */
	FLOW_HELD,	/* drop until the other side has sent: it has not let this one in yet */
} __attribute__((packed));

#define FLOW_REPLY 1	 /* flags: this is the answering side's entry */
#define FLOW_NAT_SRC 2	 /* the source was translated: its reply tuple holds a NAT port */
#define FLOW_FIXED_SRC 4 /* by an address of the network, not the egress route's */
#define FLOW_BY_STACK 8	 /* the stack carries the container side of it */
#define FLOW_PORTS 16	 /* a port is rewritten */
#define FLOW_OPENS 32	 /* the next packet of this entry lets the other side in: its FLOW_HELD becomes FLOW_TO_PEER */
#define FLOW_RETIRED 64	 /* over, but its port rests (RFC 6888 REQ-8): lets nothing through, keeps the tuple taken */

/*
 * What the entries of both tables begin with. An entry says no more than what nothing else knows: where a container is, its address tells
 * (endpoints, shortcuts); the next hop is that of many flows (ways).
 */
#define FLOW_FIELDS                                                                                                       \
	__u32 slot, generation;	 /* live while generations[slot] == generation; see life_end() */                         \
	__be16 n_sport, n_dport; /* rewrite */                                                                            \
	enum flow_kind kind;                                                                                              \
	enum flow_action action;                                                                                          \
	__u8 flags;                                                                                                       \
	__u8 tcp_flags; /* all that were seen in this direction since the last SYN */                                     \
	__u32 seen;	/* CLOCK_MONOTONIC seconds of the last packet of this direction that counts as activity */        \
	__u32 iif;	/* the interface this side's packets come from; 0: any uplink, or the stack */                    \
	__u32 way;	/* FLOW_TO_UPLINK: see way.h, 0: to be looked up; FLOW_TO_PEER: ifindex of the veth's host end */ \
	__u32 packets;	/* this direction's, the lower 32 bits */                                                         \
	__u64 bytes	/* this direction's; its upper FLOW_CARRY bits continue packets */

#define FLOW_CARRY 8

struct flow_value {
	FLOW_FIELDS;
};

struct flow4_value {
	FLOW_FIELDS;
	__be32 n_src, n_dst; /* rewrite */
};

struct flow6_value {
	FLOW_FIELDS;
	struct addr n_src, n_dst; /* rewrite */
	__u32 addr_diff;	  /* checksum difference of the rewritten addresses, one's complement */
	__u32 pad;
};

#define WAYS 4096 /* what a flow's way has room for in front of its generation */
#define WAY_GENERATION_BITS 20

/* ways: next hops, and the MAC addresses between which packets go there. A cache: a flow whose way has become another one looks for its route
 * again. */
struct way_value {
	__u32 generation; /* WAY_GENERATION_BITS; 0: never used */
	__u32 routes;	  /* good while generations[0] is that */
	__u32 oif;
	__u32 mtu; /* of oif, bytes of layer 3 */
	struct addr next_hop;
	__u8 dmac[6], smac[6];
	__u32 seen;   /* CLOCK_MONOTONIC seconds when the kernel last put dmac and smac on a packet to the next hop; 0: never */
	__u32 pad[4]; /* to a cache line */
};

/* published: what arrives for addr:port goes to target:port. addr is ::ffff:0.0.0.0 or :: for all of a family. */
struct published_key {
	struct addr addr;
	__be16 port;
	__u8 proto;
	__u8 pad[5];
};

struct published_value {
	struct addr target;
	__be16 port;
	__u16 flags;
	__u32 slot, generation;
	__u32 pad;
};

/* endpoints: a container's address to where it is. veths: the same by the ifindex of the veth's host end. */
struct endpoint_value {
	__u32 ifindex;
	__u32 slot, generation;
	__u16 network;
	__u16 mtu;
	__u8 mac[6];
	__u8 bridge_mac[6];
	__u32 also_on; /* the container's other networks, as bits: their numbers modulo 32 */
};

struct veth_value {
	struct addr addr4, addr6; /* all zero: none */
	__u32 slot, generation;
	__u32 bridge; /* ifindex */
	__u16 network;
	__u16 mtu;
	__u8 mac[6];
	__u8 bridge_mac[6];
	__u32 flags; /* of the network: NETWORK_* */
};

#define NETWORK_INTERNAL 1
#define NETWORK_NO_ICC 2
#define NETWORK_MASQUERADE4 4
#define NETWORK_MASQUERADE6 8
#define NETWORK_ANY_REMOTE 16 /* a mapping lets in whoever sends to it (RFC 4787 section 5: endpoint-independent filtering) */

struct network_value {
	struct addr gateway4, gateway6; /* all zero: none */
	struct addr snat4, snat6;	/* all zero: the egress route's preferred source */
	__u32 bridge;
	__u32 flags;
	__u16 mtu;
	__u8 bridge_mac[6];
};

/* addresses: longest prefix: is it the host's own, or in a container network, or neither (no entry)? */
struct address_key {
	__u32 prefixlen; /* 0..128; an IPv4 prefix counts 96 more */
	__u8 addr[16];
};

enum address_kind {
	ADDRESS_UNKNOWN,
	ADDRESS_LOCAL,	/* the host's own (type RTN_LOCAL) */
	ADDRESS_SUBNET, /* of a container network */
};

struct address_value {
	enum address_kind kind;
	__u32 network; /* whose subnet; or the network whose gateway the local address is; else 0 */
};

/* shortcuts: see shortcut.h. */
#define SHORTCUT_BITS 15
#define SHORTCUT_HOST 1	    /* kind: an address of the host's own, and no network's gateway */
#define SHORTCUT_ENDPOINT 2 /* a container's */
#define SHORTCUT_GATEWAY 3  /* an address of the host's own that is a network's gateway */

struct shortcut_value {
	struct addr addr; /* all zero: nothing here */
	__u32 kind;
	__u32 ifindex;		/* SHORTCUT_ENDPOINT: of the veth's host end */
	__u32 slot, generation; /* ... of the endpoint */
	__u16 network;
	__u8 mac[6];
	__u32 flags; /* of the network: NETWORK_* */
	__u8 bridge_mac[6];
	__u16 mtu;
	__u32 bridge; /* SHORTCUT_ENDPOINT: ifindex of the network's bridge */
	__u32 pad[2]; /* to a cache line */
};

struct uplink_value {
	struct addr addr4, addr6; /* preferred source where the kernel cannot name the route's (before 6.7); zero: none */
	__u32 flags;
	__u32 mtu;
};

/* port_use: flags; its index, and that of port_flows, is the port behind one of PORT_USE_*, see port_use_index(). */
#define PORT_PUBLISHED 1 /* some address has it published */
#define PORT_HOST 2	 /* a socket of the host is bound to it */

#define PORT_USE_TCP 0
#define PORT_USE_UDP 1
#define PORT_USE_OTHER 2

/*
 * peers: what a socket of the host asked for before it was sent to a container: getpeername and recvmsg give it back. It is made with every
 * connection, so it is small. sockets: what it asked for beside that.
 */
#define PEERS_MAX 8

struct peer {
	struct addr asked, target;
	__be16 asked_port, target_port; /* target_port 0: nothing here */
	__u32 pad;
};

struct socket_value {
	struct peer peers[PEERS_MAX];
	__u32 next; /* the one to overwrite when all are taken */
	__u32 pad;
};

struct counter_key {
	enum hook hook;
	enum drop_reason reason;
};

struct counter_value {
	__u64 packets, bytes;
};

/* tries: classes of how many it took; the last one: none was free. */
#define TRIES_FAILED 8

/*
 * bindings: an internal endpoint of an endpoint-independent protocol to its external one, and back (RFC 4787 REQ-1, RFC 5508 REQ-1). Two
 * entries: inside 1 says which external port the internal endpoint has on the external address; inside 0 says whose an external port is.
 */
struct binding_key {
	struct addr addr; /* internal address; external address when inside is 0 */
	struct addr ext;  /* external address; all zero when inside is 0 */
	__be16 port;	  /* of addr; ICMP identifier */
	__u8 proto;
	__u8 inside;
	__u8 pad[4];
};

struct binding_value {
	struct addr addr; /* the other side's */
	__be16 port;
	__u16 network;
	__u32 seen; /* CLOCK_MONOTONIC seconds when a flow was last made by it */
	__u32 slot, generation;
	__u32 rests; /* CLOCK_MONOTONIC seconds since when no flow hangs on it: it lets nobody in; 0: some do */
	__u32 pad;
};

/* settings: what is the same for all. */
#define SETTING_ANY_REMOTE 1 /* some network has NETWORK_ANY_REMOTE */
#define SETTING_BIND_TCP 2   /* TCP has bindings, too */
#define SETTING_PORTS_REST 4 /* external ports of containers that are gone rest until the daemon collects them */

struct settings_value {
	__u32 flags;	 /* SETTING_* */
	__u32 max_flows; /* a container may have at the same time; 0: any number */
	__u32 max_rate;	 /* and begin in a second; 0: any number */
	__u32 detour;	 /* ifindex of the way to where fragments are put in order; 0: none */
	__u32 cutter;	 /* ifindex of the way to where datagrams are cut up; 0: none */
	__u8 detour_mac[6], cutter_mac[6];
};

/* fragments: the ports of a datagram, which only its first fragment has. */
struct fragment_key {
	struct addr src, dst;
	__be32 id; /* 16 bits in IPv4 */
	__u8 proto;
	__u8 pad[3];
};

struct fragment_value {
	__be16 sport, dport;
	__u32 detour; /* another one came before the first: all of them take the detour */
	__u32 seen;   /* CLOCK_MONOTONIC seconds */
};

/* origins: where fragments on a detour belong. Identifiers do not survive it. */
struct origin_key {
	struct addr src, dst;
	__u8 proto;
	__u8 pad[7];
};

struct origin_value {
	__u32 ifindex;
	__u8 dmac[6], smac[6];
};

/* quotas: what a container has begun, by the slot of its endpoint. */
struct quota_value {
	__u32 flows;   /* it has now */
	__u32 second;  /* CLOCK_MONOTONIC seconds of the following two */
	__u32 begun;   /* flows begun in that second */
	__u32 told;    /* refusals told by ICMP in that second */
	__u64 refused; /* for want of quota, port or room, since it was attached */
};

/* guards: what vw_xdp and vw_guard drop before anything else looks at it. */
#define GUARD_DENIED 1 /* denied has entries */
#define GUARD_CLOSED 2 /* what is for a port that nobody has, in the range */

struct guard_value {
	__u32 flags; /* GUARD_* */
	__u16 closed_first, closed_last;
	__u64 interval; /* nanoseconds that a flow to a published port costs its source; 0: nothing */
	__u64 burst;	/* nanoseconds that a source may be ahead */
};

/* denied: longest prefix: nothing from there comes in. */
struct denied_value {
	__u32 pad; /* that there is an entry says it all */
};

/* sources: who begins flows to published ports. IPv6: a /64, which is what one customer has at least (RFC 6177). */
struct source_value {
	__u64 due; /* CLOCK_MONOTONIC nanoseconds: when all that it has begun is paid for */
};

/* events: a container was refused something. */
struct event {
	struct flow_key key; /* of the packet */
	enum drop_reason reason;
	__u32 ifindex; /* of the container's host end */
	__u32 network;
	__u32 second;  /* CLOCK_MONOTONIC */
	__u64 refused; /* of the container, in all */
};

/* The argument of vw_gc_binding: what to do with the binding of an internal endpoint if no flow was made by it since the scan. */
struct gc_binding_args {
	struct binding_key key;
	__u32 seen;
	__u32 keep;  /* it is not deleted yet, but its time of rest set: */
	__u32 rests; /* CLOCK_MONOTONIC seconds; 0: it does not rest any more */
	__u32 pad;
};

/* The argument of vw_gc: delete the pair whose entries are key and reverse, if neither was seen since the scan. */
struct gc_args {
	struct flow_key key, reverse;
	__u32 seen, reverse_seen;
	__u32 retire; /* leave the reply's entry, as FLOW_RETIRED: nobody else is to have the port for a while */
	__u32 pad;
};

/* spliced: an address whose TCP connections may be spliced: a container's; or a gateway's, for the host's own sockets. */
#define SPLICED_PORTS 8

struct spliced_value {
	__s32 netns;   /* number of its network namespace as the host's has it; -1: the host's own */
	__u32 ifindex; /* of the container's host end; 0: the host's own */
	__u32 slot, generation;
	__u32 network;
	__be16 ports[SPLICED_PORTS]; /* of a connection, one end must have one of these; none: any will do */
	__u32 pad;
};

/* splices: one end of a connection between two sockets of this host, as it sees itself; and what was put into its queue. */
struct splice_key {
	struct addr local, remote;
	__be16 local_port, remote_port;
	__u32 pad;
};

#define SPLICE_REFUSED 1  /* the ordinary way: because of this end or the other */
#define SPLICE_REDIRECT 2 /* what is sent to this end goes straight into its queue */
#define SPLICE_FILLED 4	  /* that was full once: what goes the ordinary way is to be kept short */

struct splice_value {
	__u64 sock;		/* address of the kernel's structure, to look at what it has read */
	__u64 messages, bytes;	/* put into its queue */
	__u32 queued;		/* memory that these took since its queue was last seen empty */
	__u32 room;		/* as much may be taken */
	__u32 slot, generation; /* of its endpoint */
	__u32 started, seen;	/* CLOCK_MONOTONIC seconds: made; last put into its queue */
	__u32 network;
	__u32 flags;
	__u32 tries;   /* to splice it, in the entry of the end that both directions begin with */
	__u32 bounded; /* its window is kept small */
};

/* splice_sockets: what a socket knows of the connection that it is an end of. */
struct splice_socket {
	struct splice_key peer; /* the other end's */
	__u32 slot, generation; /* of its own endpoint */
	__u32 closed;		/* nothing is to be noted of it any more */
	__u32 pad;
};
