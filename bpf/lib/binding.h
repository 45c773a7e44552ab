/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Endpoint-independent mapping: one external port for each internal endpoint, whatever it sends to. */
#pragma once

#include "draft.h"
#include "quota.h"

/* Has an internal endpoint one external port for all destinations? With TCP, by option. */
static __always_inline bool proto_is_bound(__u8 proto)
{
	return proto != IPPROTO_TCP || settings_have(SETTING_BIND_TCP);
}

/* Whoever binds no port spares those of TCP sessions; those that are bound, binding_makes_way() does. */
static __always_inline void flow_draft_bind(struct flow_draft *draft)
{
	draft->bind = proto_is_bound(draft->key.proto);
	draft->spares = !draft->bind && settings_have(SETTING_PORTS_REST);
}

static __always_inline bool binding_is_live(const struct binding_value *binding)
{
	return generation_of(binding->slot) == binding->generation;
}

/* As flow_entry_end(). */
static __always_inline bool binding_end(const struct binding_key *key, struct binding_value *binding, life was)
{
	return life_end(&binding->slot, was) && life_ended(&binding->slot, was, binding, bpf_map_lookup_elem(&bindings, key));
}

static __always_inline bool binding_end_if_stale(const struct binding_key *key, struct binding_value *binding)
{
	life was = *(volatile life *)&binding->slot;

	return life_is_stale(was) && binding_end(key, binding, was);
}

static __always_inline bool binding_end_any(const struct binding_key *key, struct binding_value *binding)
{
	return binding_end(key, binding, *(volatile life *)&binding->slot);
}

/* Both keys of the binding that a draft needs for its external port. */
static __always_inline void binding_keys(struct flow_draft *draft, __be16 port)
{
	struct binding_key *inside = &draft->inside, *outside = &draft->outside;

	__builtin_memset(inside, 0, sizeof(*inside));
	__builtin_memset(outside, 0, sizeof(*outside));
	inside->addr = draft->key.src;
	inside->ext = draft->flow.n_src;
	inside->port = draft->key.sport;
	inside->proto = outside->proto = draft->key.proto;
	inside->inside = 1;
	outside->addr = draft->flow.n_src;
	outside->port = port;
}

/* A flow hangs on it again. */
static __always_inline void binding_wake(struct binding_value *binding, struct binding_key *outside)
{
	outside->port = binding->port;
	binding->rests = 0;
	binding = bpf_map_lookup_elem(&bindings, outside);
	if (binding)
		binding->rests = 0;
}

/* If the internal endpoint has an external port already, that is the draft's only candidate. */
static __always_inline void binding_use(struct flow_draft *draft)
{
	struct binding_key *inside = &draft->inside, *outside = &draft->outside;
	struct binding_value *binding;
	__be16 port;

	binding_keys(draft, 0);
	binding = bpf_map_lookup_elem(&bindings, inside);
	if (!binding)
		return;
	if (binding_end_if_stale(inside, binding)) {
		/* Who has the address of a container that is gone may have its port. */
		outside->port = draft->wanted = binding->port;
		bpf_map_delete_elem(&bindings, inside);
		binding = bpf_map_lookup_elem(&bindings, outside);
		if (binding && binding_end_if_stale(outside, binding))
			bpf_map_delete_elem(&bindings, outside);
		return;
	}
	port = binding->port;
	/* It may have been deleted, and its memory be another one's by now. */
	if (!binding_is_live(binding) || bpf_map_lookup_elem(&bindings, inside) != binding)
		return;
	binding->seen = clock_seconds();
	if (binding->rests)
		binding_wake(binding, outside);
	draft->wanted = port;
	draft->bound = 1;
}

/* The port of a container that is gone rests until the daemon collects it (RFC 6888 REQ-8). */
static __always_inline bool binding_makes_way(const struct binding_key *outside, struct binding_value *other)
{
	return !settings_have(SETTING_PORTS_REST) && binding_end_if_stale(outside, other);
}

/*
 * Takes an external port for an internal endpoint: the outside entry is the reservation, as the reply entry is for a flow. 0: *port is the
 * endpoint's (perhaps another one than asked for: another CPU was faster). -EEXIST: somebody else's. Anything else: no room.
 */
static __always_inline int binding_reserve(struct flow_draft *draft, __be16 *port)
{
	struct binding_key *inside = &draft->inside, *outside = &draft->outside;
	struct binding_value *value = &draft->binding, *other;
	int ret;

	binding_keys(draft, *port);
	__builtin_memset(value, 0, sizeof(*value));
	value->addr = draft->key.src;
	value->port = draft->key.sport;
	value->network = draft->bind_network;
	value->slot = draft->bind_slot;
	value->generation = draft->bind_generation;
	value->seen = clock_seconds();
	ret = bpf_map_update_elem(&bindings, outside, value, BPF_NOEXIST);
	if (ret == -EEXIST) {
		other = bpf_map_lookup_elem(&bindings, outside);
		if (!other || !binding_makes_way(outside, other))
			return -EEXIST;
		bpf_map_delete_elem(&bindings, outside);
		ret = bpf_map_update_elem(&bindings, outside, value, BPF_NOEXIST);
	}
	if (ret)
		return ret;
	value->addr = draft->flow.n_src;
	value->port = *port;
	ret = bpf_map_update_elem(&bindings, inside, value, BPF_NOEXIST);
	if (!ret)
		return 0;
	other = bpf_map_lookup_elem(&bindings, outside);
	if (other && binding_end(outside, other, life_of(value->slot, value->generation)))
		bpf_map_delete_elem(&bindings, outside);
	if (ret != -EEXIST)
		return ret;
	other = bpf_map_lookup_elem(&bindings, inside);
	if (!other || !binding_is_live(other))
		return -EEXIST;
	*port = other->port;
	return bpf_map_lookup_elem(&bindings, inside) == other ? 0 : -EEXIST;
}

/* Whose the external endpoint is that a packet is addressed to; NULL: nobody's. */
static __always_inline struct binding_value *binding_find(const struct packet *pkt)
{
	struct binding_key outside = { .addr = pkt->key.dst, .port = pkt->key.dport, .proto = pkt->key.proto };
	struct binding_value *binding = bpf_map_lookup_elem(&bindings, &outside);

	return binding && binding_is_live(binding) ? binding : NULL;
}

/* May somebody whom no container has sent to be let in? */
static __always_inline bool any_remote(const struct packet *pkt)
{
	__u32 flags = SETTING_ANY_REMOTE;

	if (pkt->key.proto == IPPROTO_TCP && packet_is_syn(pkt))
		flags |= SETTING_BIND_TCP;
	else if (pkt->key.proto != IPPROTO_UDP)
		return false;
	return settings_have(flags);
}
