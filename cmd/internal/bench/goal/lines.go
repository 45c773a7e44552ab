// SPDX-License-Identifier: Apache-2.0

package goal

const (
	iptables = "iptables"
	nftables = "nftables"
	routing  = "routing"
	proxy    = "docker-proxy"
)

// lines is the table. Goals are ratios within one run unless they have a unit: a figure by itself says more of the machine
// than of the way.
func lines() []line {
	var all []line
	for _, block := range [][]line{
		pinned(), nft(), bare(), unpinned(), local(), spliced(), large(), ports(), publishing(), flows(), memory(), programs(),
	} {
		all = append(all, block...)
	}
	return all
}

type wanted struct {
	scenario, workload string
	want               float64
}

func block(group, rival string, cpus int, list ...wanted) []line {
	var lines []line
	for _, w := range list {
		lines = append(lines, line{
			group: group, name: w.scenario + " " + w.workload, rival: rival, want: w.want,
			cell: cell{scenario: w.scenario, workload: w.workload, family: 4, cpus: cpus},
		})
	}
	return lines
}

// pinned is what the way costs, all of it on one CPU.
func pinned() []line {
	return block("one CPU, times Docker's rules on iptables-nft", iptables, 1,
		wanted{"published", "stream-in", 1.46}, wanted{"published", "stream-out", 1.44}, wanted{"published", "rr", 1.40},
		wanted{"published", "crr", 1.45}, wanted{"published", "udp", 1.53},
		wanted{"masquerade", "stream-out", 1.47}, wanted{"masquerade", "crr", 1.46}, wanted{"masquerade", "udp", 1.48},
		wanted{"c2c", "stream-in", 1.38}, wanted{"c2c", "rr", 1.33}, wanted{"c2c", "crr", 1.45}, wanted{"c2c", "udp", 1.54},
	)
}

func nft() []line {
	lines := pinned()
	for i := range lines {
		lines[i].group, lines[i].rival, lines[i].want = "one CPU, times an nftables map", nftables, 1.35
	}
	return lines
}

// bare is how near it comes to the limit of the machine.
func bare() []line {
	lines := block("one CPU, part of what a bare veth carries", direct, 1,
		wanted{"published", "stream-in", 0.96}, wanted{"published", "stream-out", 0.96}, wanted{"published", "rr", 0.97},
		wanted{"published", "crr", 0.93}, wanted{"published", "udp", 0.95}, wanted{"published", "limit", 0.95},
	)
	lines[len(lines)-1].note = "generated frames: what client and receiver cost is in neither figure"
	return lines
}

// unpinned is what a user sees who tunes nothing.
func unpinned() []line {
	list := []wanted{
		{"published", "stream-in", 1.25}, {"published", "stream-in-4", 1.45}, {"published", "rr", 1.15}, {"published", "crr", 1.35},
		{"published", "udp", 1.60},
	}
	lines := block("two CPUs, times Docker's rules on iptables-nft", iptables, 2, list...)
	for i := range list {
		list[i].want = 1
	}
	lines = append(lines, block("two CPUs, no line below an nftables map", nftables, 2, list...)...)
	for i := range lines {
		lines[i].rounds = 11 // one swings from half to twice
	}
	return lines
}

// local is a process of the host, for which Docker has its proxy.
func local() []line {
	const even = 0.97 // equal, as far as can be told
	lines := block("host to published port, times docker-proxy", proxy, 1,
		wanted{"host", "stream-in", 5}, wanted{"host", "rr", 3}, wanted{"host", "crr", 3})
	return append(lines, block("host to published port, equal to routing without NAT", routing, 1,
		wanted{"host", "stream-in", even}, wanted{"host", "rr", even}, wanted{"host", "crr", even})...)
}

// spliced is TCP within the host that never becomes packets.
func spliced() []line {
	list := []wanted{{"c2c", "rr-poll", 2.2}, {"c2c", "stream-in-poll", 1.75}, {"host", "rr-poll", 2.2}}
	lines := block("TCP within the host spliced, times Docker's rules on iptables-nft", iptables, 1, list...)
	for i := range list {
		list[i].want = 1
	}
	lines = append(lines, block("TCP within the host spliced, faster than a bare veth", direct, 1, list...)...)
	for i := range lines {
		lines[i].who = "vethway-spliced"
		if lines[i].cell.workload == "stream-in-poll" {
			lines[i].note = "what does not fit into the reader's queue goes the way of packets"
		}
	}
	return lines
}

// large is packets of 192 KB where the kernel has them.
func large() []line {
	list := []wanted{{"published", "stream-in", 2.4}, {"published", "stream-out", 2.4}, {"c2c", "stream-in", 2.4}}
	lines := block("streams with BIG TCP, times Docker as it comes", iptables, 1, list...)
	for i := range list {
		list[i].want = 1.3
	}
	lines = append(lines, block("streams with BIG TCP, times Docker's rules with BIG TCP", "iptables-bigtcp", 1, list...)...)
	for i := range lines {
		lines[i].who = "vethway-bigtcp"
	}
	return lines
}

// ports is what published ports cost those who use one of them.
func ports() []line {
	at := func(workload string, x int) cell {
		return cell{scenario: "published", workload: workload, family: 4, cpus: 1, axis: "ports", x: x}
	}
	const group, flat = "published ports", 0.97
	const once = "a connection passes one rule for each port, in nat or in filter, not two"
	return []line{
		{group: group, name: "connections/s, most ports to one", cell: at("crr", last), from: 1, want: flat},
		{group: group, name: "new UDP flows/s, most ports to one", cell: at("udp-new", last), from: 1, want: flat},
		{group: group, name: "connection latency, most ports to one", cell: at("crr", last), from: 1, figure: latency, want: 1.03, atMost: true},
		{group: group, name: "connections/s at 10,000 ports", cell: at("crr", 10000), rival: iptables, want: 25, note: once},
	}
}

func publishing() []line {
	at := func(scenario, axis string, x int) cell {
		return cell{scenario: scenario, workload: scenario, axis: axis, x: x}
	}
	const group = "publishing"
	return []line{
		{group: group, name: "10,000 ports by one request", cell: at("publish", "ports", 10000), want: 20, atMost: true},
		{group: group, name: "65,000 ports by one request", cell: at("publish", "ports", 65000), want: 200, atMost: true},
		{group: group, name: "the 470th container, 32 ports each", cell: at("create", "containers", 470), want: 50, atMost: true},
	}
}

// flows is what other people's flows cost.
func flows() []line {
	at := func(workload string) cell {
		return cell{scenario: "published", workload: workload, family: 4, cpus: 1, axis: "flows", x: last}
	}
	const group = "flows in the table"
	return []line{
		{group: group, name: "request/response, most flows to one", cell: at("rr"), from: 1, want: 0.9},
		{group: group, name: "64-byte UDP, most flows to one", cell: at("udp"), from: 1, want: 0.9},
	}
}

// memory is what is taken by what the host keeps for others.
func memory() []line {
	at := func(axis string, x int) cell { return cell{scenario: "memory", workload: "memory", axis: axis, x: x} }
	const group = "memory"
	return []line{
		{group: group, name: "100,000 flows", cell: at("flows", 100000), want: 24, atMost: true},
		// An entry of the kernel's tables and one of the daemon's, where docker-proxy takes 1.2 MB for its process.
		{group: group, name: "a published port, in tables and daemon", cell: at("ports", last), want: 1200, atMost: true},
	}
}

// programs is the time from a hook to its verdict, for a packet of a flow that is known.
func programs() []line {
	at := func(scenario string, family int) cell {
		return cell{scenario: scenario, workload: "program", family: family, cpus: 1}
	}
	const group = "programs, established flows"
	return []line{
		{group: group, name: "published, IPv4", cell: at("published", 4), want: 85, atMost: true},
		{group: group, name: "masquerade, IPv4", cell: at("masquerade", 4), want: 85, atMost: true},
		{group: group, name: "published, IPv6", cell: at("published", 6), want: 100, atMost: true},
		{group: group, name: "masquerade, IPv6", cell: at("masquerade", 6), want: 100, atMost: true},
		{group: group, name: "container to container, IPv4", cell: at("c2c", 4), want: 60, atMost: true},
		{group: group, name: "container to container, IPv6", cell: at("c2c", 6), want: 60, atMost: true},
	}
}
