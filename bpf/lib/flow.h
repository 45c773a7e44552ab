/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flow tables: finding, judging and touching what is in them. */
#pragma once

#include "config.h"
#include "csum.h"

#define NSEC_PER_SEC 1000000000ULL
#define SLOT_ROUTES 0
#define SLOT_HOST 262143 /* the last one is never given away, so never changes: flows that hang on no endpoint */

static __always_inline __u32 clock_seconds(void)
{
	if (clock_mult)
		return (bpf_jiffies64() - clock_base) * clock_mult >> 35;
	return bpf_ktime_get_coarse_ns() / NSEC_PER_SEC;
}

static __always_inline __u32 generation_of(__u32 slot)
{
	__u32 *generation = bpf_map_lookup_elem(&generations, &slot);

	return generation ? *generation : 0;
}

static __always_inline bool flow_is_live(const struct flow_value *flow)
{
	return generation_of(flow->slot) == flow->generation;
}

/*
 * An entry's slot and generation, read and written as one. Whoever turns them into LIFE_OVER, which is never live, is the one to delete
 * the entry: two CPUs that find it stale would otherwise both delete, the slower one what the faster one has put in its place.
 * The memory may have become another entry meanwhile, even one of the same container that is as old: so whoever has ended an entry makes
 * sure that it is the one under its key, and lets it live on if it is not.
 */
typedef __u64 __attribute__((may_alias)) life;
#define LIFE_OVER (~0ULL)

static __always_inline bool life_end(__u32 *slot, life was)
{
	return was != LIFE_OVER && __sync_val_compare_and_swap((life *)slot, was, LIFE_OVER) == was;
}

static __always_inline bool life_is_stale(life was)
{
	return generation_of((__u32)was) != was >> 32;
}

/* To be asked of what was just ended: at is where the entry was found, found where it is now. */
static __always_inline bool life_ended(__u32 *slot, life was, const void *at, const void *found)
{
	if (found == at)
		return true;
	__sync_val_compare_and_swap((life *)slot, LIFE_OVER, was);
	return false;
}

static __always_inline life life_of(__u32 slot, __u32 generation)
{
	return slot | (life)generation << 32;
}

/*
 * The two tables. Which one it is, is a parameter wherever an address of an entry is asked for, since that is what they differ in.
 * verifier: it has to know that v6 is false when an entry is one of flows4; not the other way round.
 */
static __always_inline void flow4_key_of(struct flow4_key *to, const struct flow_key *key)
{
	to->src = addr_words(&key->src)[3];
	to->dst = addr_words(&key->dst)[3];
	to->sport = key->sport;
	to->dport = key->dport;
	*(__u32 *)&to->proto = key->proto;
}

static __always_inline struct flow_value *flow_lookup(const struct flow_key *key, bool v6)
{
	struct flow_value *found;
	struct flow4_key key4;

	if (v6) {
		found = bpf_map_lookup_elem(&flows6, key);
		/* Of two calls compilers like to make one, with a map that the verifier does not know then: it is not inlined. */
		barrier_var(found);
		return found;
	}
	flow4_key_of(&key4, key);
	return bpf_map_lookup_elem(&flows4, &key4);
}

/* scratch: the stack has no room for it. */
static __always_inline int flow_add(const struct flow_key *key, const struct flow6_value *flow, bool v6,
				    struct flow4_value *scratch)
{
	struct flow4_key key4;

	if (v6)
		return bpf_map_update_elem(&flows6, key, flow, BPF_NOEXIST);
	flow4_key_of(&key4, key);
	__builtin_memcpy(scratch, flow, sizeof(struct flow_value));
	scratch->n_src = addr_words(&flow->n_src)[3];
	scratch->n_dst = addr_words(&flow->n_dst)[3];
	return bpf_map_update_elem(&flows4, &key4, scratch, BPF_NOEXIST);
}

static __always_inline void flow_delete(const struct flow_key *key, bool v6)
{
	struct flow4_key key4;

	if (v6) {
		bpf_map_delete_elem(&flows6, key);
	} else {
		flow4_key_of(&key4, key);
		bpf_map_delete_elem(&flows4, &key4);
	}
}

static __always_inline void flow_n_src(const struct flow_value *flow, bool v6, struct addr *to)
{
	if (v6)
		*to = ((const struct flow6_value *)flow)->n_src;
	else
		addr_set4(to, ((const struct flow4_value *)flow)->n_src);
}

static __always_inline void flow_n_dst(const struct flow_value *flow, bool v6, struct addr *to)
{
	if (v6)
		*to = ((const struct flow6_value *)flow)->n_dst;
	else
		addr_set4(to, ((const struct flow4_value *)flow)->n_dst);
}

/* Is it sent on to there? */
static __always_inline bool flow_leads_to(const struct flow_value *flow, bool v6, const struct addr *dst, __be16 port)
{
	struct addr n_dst;

	flow_n_dst(flow, v6, &n_dst);
	return flow->n_dport == port && addr_equal(&n_dst, dst);
}

/* Ends what stands under a key, if it is of that life. The one who gets true deletes it. */
static __always_inline bool flow_entry_end(const struct flow_key *key, struct flow_value *flow, bool v6, life was)
{
	return life_end(&flow->slot, was) && life_ended(&flow->slot, was, flow, flow_lookup(key, v6));
}

static __always_inline life flow_life(const struct flow_value *flow)
{
	return *(volatile life *)&flow->slot;
}

/* Does it let its packets through? */
static __always_inline bool flow_is_open(const struct flow_value *flow)
{
	return flow_is_live(flow) && !(flow->flags & FLOW_RETIRED);
}

static __always_inline struct flow_value *flow_find(const struct flow_key *key, bool v6)
{
	struct flow_value *flow = flow_lookup(key, v6);

	return flow && flow_is_open(flow) ? flow : NULL;
}

static __always_inline __u32 port_use_index(__u8 proto, __be16 port)
{
	__u32 table = proto == IPPROTO_TCP ? PORT_USE_TCP : proto == IPPROTO_UDP ? PORT_USE_UDP : PORT_USE_OTHER;

	return table << 16 | bpf_ntohs(port);
}

static __always_inline __u32 port_use_of(__u8 proto, __be16 port)
{
	__u32 index = port_use_index(proto, port), *use = bpf_map_lookup_elem(&port_use, &index);

	return use ? *use : 0;
}

/* By some address. */
static __always_inline bool port_is_published(const struct packet *pkt)
{
	return port_use_of(pkt->key.proto, pkt->key.dport) & PORT_PUBLISHED;
}

static __always_inline bool port_in_pool(__be16 port)
{
	__u16 p = bpf_ntohs(port);

	return p >= pool_first && p <= pool_last;
}

/* The key under which the other side of the session stands. */
static __always_inline void flow_key_of_pair(struct flow_key *to, const struct flow_key *key, const struct flow_value *flow,
					     bool v6)
{
	__builtin_memset(to, 0, sizeof(*to));
	flow_n_dst(flow, v6, &to->src);
	flow_n_src(flow, v6, &to->dst);
	to->sport = flow->n_dport;
	to->dport = flow->n_sport;
	to->proto = key->proto;
}

/* Sets and clears what both sides of a session have seen. */
static __always_inline void flow_mark_both(const struct packet *pkt, struct flow_value *flow, __u8 set, __u8 clear)
{
	struct flow_value *pair;
	struct flow_key key;

	flow_key_of_pair(&key, &pkt->key, flow, pkt->v6);
	flow->tcp_flags = (flow->tcp_flags & ~clear) | set;
	pair = flow_lookup(&key, pkt->v6);
	if (pair)
		pair->tcp_flags = (pair->tcp_flags & ~clear) | set;
}

/* Does the packet do more to its session than going on with it? */
static __always_inline bool tcp_is_turn(const struct packet *pkt, const struct flow_value *flow)
{
	return packet_is_syn(pkt) || (pkt->tcp_flags | flow->tcp_flags) & TCP_RST;
}

/* RFC 7857 section 2: an RST puts the session in transitory state, but it may be forged: any later packet of either side revives it. A SYN on
 * a closing session begins it afresh. */
static __always_inline void flow_turn(const struct packet *pkt, struct flow_value *flow)
{
	if (pkt->tcp_flags & TCP_RST)
		flow_mark_both(pkt, flow, TCP_RST, 0);
	else if (packet_is_syn(pkt) && flow->tcp_flags & (TCP_FIN | TCP_RST))
		flow_mark_both(pkt, flow, 0, 0xff);
	else if (flow->tcp_flags & TCP_RST)
		flow_mark_both(pkt, flow, 0, TCP_RST);
}

/* Counters and times of the packet's own direction. */
static __always_inline void flow_count(struct __sk_buff *ctx, const struct packet *pkt, struct flow_value *flow, __u32 now)
{
	/* An RST refreshes nothing: a forged one must not keep a session. */
	if (!(pkt->tcp_flags & TCP_RST) && flow->seen != now)
		flow->seen = now;
	if (pkt->tcp_flags & ~flow->tcp_flags)
		flow->tcp_flags |= pkt->tcp_flags;
	if (!++flow->packets)
		flow->bytes += 1ULL << (64 - FLOW_CARRY);
	flow->bytes += ctx->len - pkt->l3;
}

/* What a packet does to its session. */
static __always_inline void flow_touch(struct __sk_buff *ctx, const struct packet *pkt, struct flow_value *flow, __u32 now)
{
	/* verifier: of other protocols than TCP it need not walk this. */
	if (pkt->tcp_flags && tcp_is_turn(pkt, flow))
		flow_turn(pkt, flow);
	flow_count(ctx, pkt, flow, now);
}
