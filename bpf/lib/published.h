/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Published ports: whose is one, and can it be reached by a packet? */
#pragma once

#include "flow.h"

/*
 * What is published as that port at an address of the host's. A port is published at all addresses or at single ones, never both: most
 * are at all, so that is what is asked for first.
 */
static __always_inline struct published_value *published_at(const struct addr *host, __be16 port, __u8 proto)
{
	struct published_key key = { .port = port, .proto = proto };
	struct published_value *found;

	if (addr_is4(host))
		addr_set4(&key.addr, 0);
	found = bpf_map_lookup_elem(&published, &key);
	if (found)
		return found;
	key.addr = *host;
	return bpf_map_lookup_elem(&published, &key);
}

/* What a packet is addressed to. NULL: nothing that is published. */
static __always_inline struct published_value *published_find(const struct packet *pkt)
{
	if (!port_is_published(pkt))
		return NULL;
	return published_at(&pkt->key.dst, pkt->key.dport, pkt->key.proto);
}

/* Can a packet be translated to where the port leads? The checksum of SCTP would have to be made anew for another port. */
static __always_inline bool published_fits(const struct packet *pkt, const struct published_value *port)
{
	return pkt->key.proto != IPPROTO_SCTP || port->port == pkt->key.dport;
}
