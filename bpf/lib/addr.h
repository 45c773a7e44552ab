/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses: 16 bytes, IPv4 as v4-mapped, so that one path serves both families. */
#pragma once

#include "maps.h"

#define V4_PREFIX ((__be32)0xffff0000) /* ::ffff:0:0/96, third word, as loaded on a little-endian machine */

static __always_inline __u64 *addr_quads(const struct addr *a)
{
	return (__u64 *)a->b;
}

static __always_inline __be32 *addr_words(const struct addr *a)
{
	return (__be32 *)a->b;
}

static __always_inline void addr_set4(struct addr *a, __be32 v4)
{
	addr_quads(a)[0] = 0;
	addr_words(a)[2] = V4_PREFIX;
	addr_words(a)[3] = v4;
}

static __always_inline void addr_set6(struct addr *a, const __be32 *v6)
{
	addr_words(a)[0] = v6[0];
	addr_words(a)[1] = v6[1];
	addr_words(a)[2] = v6[2];
	addr_words(a)[3] = v6[3];
}

static __always_inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return addr_quads(a)[0] == addr_quads(b)[0] && addr_quads(a)[1] == addr_quads(b)[1];
}

static __always_inline bool addr_is_zero(const struct addr *a)
{
	return !(addr_quads(a)[0] | addr_quads(a)[1]);
}

static __always_inline bool addr_is4(const struct addr *a)
{
	return !addr_quads(a)[0] && addr_words(a)[2] == V4_PREFIX;
}

/* 127.0.0.0/8 (RFC 1122 section 3.2.1.3) and ::1 (RFC 4291 section 2.5.3). */
static __always_inline bool addr_is_loopback(const struct addr *a)
{
	if (addr_is4(a))
		return a->b[12] == 127;
	return !addr_quads(a)[0] && !addr_words(a)[2] && addr_words(a)[3] == bpf_htonl(1);
}

/* fe80::/10 */
static __always_inline bool addr_is_link_local6(const struct addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* 224.0.0.0/4, ff00::/8 */
static __always_inline bool addr_is_multicast(const struct addr *a)
{
	return addr_is4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

/* For all on a link: multicast, and 255.255.255.255. */
static __always_inline bool addr_is_for_all(const struct addr *a)
{
	return addr_is_multicast(a) || (addr_is4(a) && addr_words(a)[3] == 0xffffffff);
}

static __always_inline bool mac_equal(const __u8 *a, const __u8 *b)
{
	return *(__u16 *)a == *(__u16 *)b && *(__u16 *)(a + 2) == *(__u16 *)(b + 2) && *(__u16 *)(a + 4) == *(__u16 *)(b + 4);
}

static __always_inline void mac_copy(__u8 *to, const __u8 *from)
{
	*(__u16 *)to = *(__u16 *)from;
	*(__u16 *)(to + 2) = *(__u16 *)(from + 2);
	*(__u16 *)(to + 4) = *(__u16 *)(from + 4);
}

/* A MAC address as a number, which is one thing to carry: the lowest 48 bits, as they stand in a header. */
static __always_inline __u64 mac_load(const __u8 *from)
{
	return *(__u32 *)from | (__u64) * (__u16 *)(from + 4) << 32;
}

static __always_inline void mac_store(__u8 *to, __u64 mac)
{
	*(__u32 *)to = (__u32)mac;
	*(__u16 *)(to + 4) = (__u16)(mac >> 32);
}

/* What the host knows of an address: its own, or in a container network; NULL: neither. */
static __always_inline struct address_value *address_find(const struct addr *a)
{
	struct address_key key = { .prefixlen = 128 };

	__builtin_memcpy(key.addr, a->b, sizeof(key.addr));
	return bpf_map_lookup_elem(&addresses, &key);
}

/*
 * What most packets need to know of an address is found by one array access that the JIT inlines instead of by hashes and longest prefixes.
 * An address that has no shortcut, because another one has its place, goes the long way: nothing but time depends on this.
 */
static __always_inline __u32 shortcut_index(const struct addr *a)
{
	const __be32 *w = addr_words(a);

	/* Fibonacci hashing: neighbouring addresses are far apart, and no two of a /24 meet. A subnet's number and a host's are in the same
	 * place of two words of IPv6: alike, they must not cancel each other out. */
	return ((w[0] ^ w[1]) * 2246822519U ^ w[2] ^ w[3]) * 2654435769U >> (32 - SHORTCUT_BITS);
}

/* Where the address has its shortcut, if it has one. */
static __always_inline const struct shortcut_value *shortcut_place(const struct addr *a)
{
	__u32 index = shortcut_index(a);

	return bpf_map_lookup_elem(&shortcuts, &index);
}

static __always_inline const struct shortcut_value *shortcut_find(const struct addr *a)
{
	const struct shortcut_value *found = shortcut_place(a);

	return found && addr_equal(&found->addr, a) ? found : NULL;
}
