#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Show vethway at work: a throw-away host, a remote client, two networks, three containers. Called by `sudo make demo`.
# Everything lives in network namespaces of the demo's own and in one temporary directory; nothing of this machine's
# network is touched. Ends with a verdict: exit code 0 if everything was as it should be.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH=$root/bin:$PATH:/usr/sbin:/sbin
bench_seconds=${BENCH_SECONDS-10}

tmp=$(mktemp -d /tmp/vethway-demo.XXXXXX)
host=vethway-demo-$$-host
remote=vethway-demo-$$-remote
daemon_pid=
server_pid=
failures=0
checks=0

# VETHWAY_* tell the client where this instance is; nothing else has to be said on a command line.
export VETHWAY_INSTANCE=demo VETHWAY_SOCKET=$tmp/run/vethway.sock VETHWAY_BPFFS=$tmp/bpf/pins
daemon_flags=(--instance=demo "--state-dir=$tmp/state" "--run-dir=$tmp/run" "--bpffs=$tmp/bpf/pins" --log-level=warn)

# shellcheck source=test/demo/lib.sh
. "$root/test/demo/lib.sh"
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

chapter "A host and a remote client"
explain "Two network namespaces joined by a cable. The one plays a Docker host, the other a client on its LAN."
make_topology
diagram

chapter "The daemon, two networks, three containers"
explain "vethwayd is started inside the host. A container here is the smallest there is: a process in a network namespace" \
	"of its own. Each runs a web server that answers with its name and the address that it saw."
start_daemon
show vethway network create --subnet 172.30.1.0/24 --ipv6 --subnet fd30:1::/64 one
show vethway network create --subnet 172.30.2.0/24 --ipv6 --subnet fd30:2::/64 two
show vethway run -d --network one --name c1 -p 8080:80 -- vethway whoami --label c1 80
show vethway run -d --network one --name c2 -- vethway whoami --label c2 80
show vethway run -d --network two --name d1 -p 9090:80 -- vethway whoami --label d1 80
start_remote_server
wait_for_servers
show vethway network ls -o table
show vethway ps -o table

chapter "Who does the server see?"
explain "c1 publishes its port 80 as the host's port 8080. It is asked from every side, over IPv4 and IPv6."
header
ask remote "a client on the LAN" http://192.0.2.2:8080 "c1 saw 192.0.2.3"
ask remote "" "http://[2001:db8:2::2]:8080" "c1 saw 2001:db8:2::3"
ask host "the host, by loopback" http://127.0.0.1:8080 "c1 saw 172.30.1.1"
ask host "" "http://[::1]:8080" "c1 saw fd30:1::1"
ask host "the host, by its address" http://192.0.2.2:8080 "c1 saw 172.30.1.1"
ask host "" "http://[2001:db8:2::2]:8080" "c1 saw fd30:1::1"
ask c2 "a neighbour, directly" http://172.30.1.2 "c1 saw 172.30.1.3"
ask c2 "" "http://[fd30:1::2]" "c1 saw fd30:1::3"
ask c2 "a neighbour, by the host" http://192.0.2.2:8080 "c1 saw 172.30.1.3"
ask c2 "" "http://[2001:db8:2::2]:8080" "c1 saw fd30:1::3"
ask d1 "the other network" http://192.0.2.2:8080 "c1 saw 172.30.2.2"
ask d1 "" "http://[2001:db8:2::2]:8080" "c1 saw fd30:2::2"
ask c1 "c1 itself, by the host" http://192.0.2.2:8080 "c1 saw 172.30.1.1"
ask c1 "" "http://[2001:db8:2::2]:8080" "c1 saw fd30:1::1"
ask c1 "c1 asks the LAN" http://192.0.2.3 "lan saw 192.0.2.2"
ask c1 "" "http://[2001:db8:2::3]" "lan saw 2001:db8:2::2"

chapter "Isolation: what must not work"
explain "Networks are closed to each other, and to the LAN but for published ports. The LAN client is given a route to the" \
	"containers, and still gets no answer."
in_ns "$remote" ip route add 172.30.0.0/16 via 192.0.2.2
in_ns "$remote" ip -6 route add fd30::/16 via 2001:db8:2::2
header
refuse d1 "the other network, directly" http://172.30.1.2
refuse d1 "" "http://[fd30:1::2]"
refuse remote "the LAN, directly" http://172.30.1.2
refuse remote "" "http://[fd30:1::2]"
explain "" "Nothing is dropped in silence: every drop is counted, by hook and reason."
show vethway drop ls -o table

chapter "Where the translations are"
explain "The flow table is a BPF map. What the initiator sends, and what comes back, tell the translation."
show_head 12 vethway flow ls -o table
explain "" "The same map as it is pinned in the BPF file system, decoded without asking the daemon:"
show_head 5 vethway map dump flows4 -o table
show_head 5 vethway map dump published -o table
show vethway map ls --format '{{.Get "name"}}: {{with .Get "entries"}}{{.}}{{else}}0{{end}} of {{.Get "max_entries"}}'

chapter "Not one netfilter rule"
explain "The host namespace's firewall, seen by both tools:"
check_empty "iptables-save" in_ns "$host" iptables-save
check_empty "ip6tables-save" in_ns "$host" ip6tables-save
check_empty "nft list ruleset" in_ns "$host" nft list ruleset

chapter "The daemon is killed"
explain "kill -9. Everything is pinned in the kernel, so the answers keep coming. Then it is started again, and adopts what is there."
header
kill_daemon
ask remote "a client, daemon dead" http://192.0.2.2:8080 "c1 saw 192.0.2.3"
ask c1 "c1 asks the LAN" http://192.0.2.3 "lan saw 192.0.2.2"
start_daemon
ask remote "a client, daemon back" http://192.0.2.2:8080 "c1 saw 192.0.2.3"

if [ "$bench_seconds" != 0 ]; then
	chapter "Ten seconds against iptables"
	explain "The same traffic through Docker's iptables rules and through vethway, in turn, in namespaces of the benchmark's own." \
		"(For a real measurement: vethway-bench run.)"
	benchmark
fi

chapter "Cleaning up"
tear_down
verdict
