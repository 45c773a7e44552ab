// SPDX-License-Identifier: Apache-2.0

// Package maps holds typed handles on the pinned maps. It is the only place where the kernel's bytes become addresses,
// ports and names: wire.go converts, and every other file is one map.
//
// A Set is all maps of an instance, opened by the loader. Tables are read and written in batches where the kernel can.
//
// A Decoder reads the same maps without knowing their types, for people and scripts, also while the daemon is down:
//
//	d, err := maps.NewDecoder(maps.DecoderConfig{PinDir: "/sys/fs/bpf/vethway/default"})
//	list, err := d.List()                                     // name, type, entries, memory
//	err = d.Dump("published", func(row maps.Row) bool { ... }) // every entry
//	row, err := d.Get("published", "192.0.2.2:8080/tcp")       // one entry
//
// A Row keeps its fields in order, marshals to a JSON object, and gives its column heads by Names and its cells by
// Text. Keys are written as people write them:
//
//	flows4        tcp 172.30.1.2:40000 192.0.2.3:80
//	flows6        tcp [fd00:1::2]:40000 [2001:db8::3]:80
//	ways          17                              (the part of a flow's way in front of the dot)
//	bindings      udp 172.30.1.2:40000 192.0.2.2   udp 192.0.2.2:40000
//	published     8080/tcp   192.0.2.2:8080/udp   [::]:8080/tcp
//	endpoints     172.30.1.2
//	addresses     172.30.1.2   172.30.1.0/24      (the longest prefix that covers it)
//	veths         5                               (ifindex; so for uplinks)
//	networks      1                               (number; so for generations and incarnations: the slot)
//	port_use      8080/tcp   5060/other
//	counters      from-container/spoofed-ip
package maps
