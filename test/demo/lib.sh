# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # demo.sh sets tmp, host, remote, daemon_flags and bench_seconds
# What demo.sh is made of. It uses demo.sh's variables: root, tmp, host, remote, daemon_flags and the counters.

if [ -t 1 ]; then
	bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
	bold='' dim='' green='' red='' plain=''
fi

chapter() { printf '\n%s== %s ==%s\n' "$bold" "$1" "$plain"; }

explain() { printf '%s\n' "$@"; }

# show prints a command as one would type it, and runs it.
show() {
	printf '%s$ %s%s\n' "$dim" "$*" "$plain"
	"$@"
}

# show_head does so for a command with a long output.
show_head() {
	local lines=$1 out
	shift
	printf '%s$ %s%s\n' "$dim" "$*" "$plain"
	out=$("$@")
	head -n "$lines" <<<"$out" | cut -c "1-${COLUMNS:-160}"
	local more=$(($(wc -l <<<"$out") - lines))
	[ "$more" -le 0 ] || printf '... and %d more\n' "$more"
}

# in_ns runs a command in a named namespace. Not by `ip netns exec`, which hides the BPF file system.
in_ns() {
	local ns=$1
	shift
	nsenter "--net=/run/netns/$ns" -- "$@"
}

# from runs a command where a participant is: host, remote, or a container.
from() {
	local who=$1
	shift
	case $who in
	host) in_ns "$host" "$@" ;;
	remote) in_ns "$remote" "$@" ;;
	*) vethway exec "$who" -- "$@" ;;
	esac
}

make_topology() {
	ip netns add "$host"
	ip netns add "$remote"
	for ns in "$host" "$remote"; do
		in_ns "$ns" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
		in_ns "$ns" ip link set lo up
	done
	ip -n "$host" link add eth0 type veth peer name eth0 netns "$remote"
	ip -n "$host" addr add 192.0.2.2/24 dev eth0
	ip -n "$host" addr add 2001:db8:2::2/64 dev eth0 nodad
	ip -n "$remote" addr add 192.0.2.3/24 dev eth0
	ip -n "$remote" addr add 2001:db8:2::3/64 dev eth0 nodad
	ip -n "$host" link set eth0 up
	ip -n "$remote" link set eth0 up
	ip -n "$host" route add default via 192.0.2.3
	ip -n "$host" -6 route add default via 2001:db8:2::3
}

diagram() {
	cat <<'EOF'

    remote client                     host
  +----------------+          +--------------------------------------------------+
  | 192.0.2.3      |          | 192.0.2.2           network one  172.30.1.0/24   |
  | 2001:db8:2::3  +----------+ 2001:db8:2::2         c1 .2  port 8080 -> 80     |
  +----------------+   LAN    |                       c2 .3                      |
                              |                     network two  172.30.2.0/24   |
                              |                       d1 .2  port 9090 -> 80     |
                              +--------------------------------------------------+

EOF
}

# start_daemon starts vethwayd in the host, and waits until its socket answers.
start_daemon() {
	printf '%s$ nsenter --net=HOST vethwayd ... &%s\n' "$dim" "$plain"
	# Not by a function: $! would be a subshell's. In a session of its own: Ctrl-C is for the demo to clean up.
	setsid nsenter "--net=/run/netns/$host" -- vethwayd "${daemon_flags[@]}" >>"$tmp/vethwayd.log" 2>&1 &
	daemon_pid=$!
	for _ in $(seq 200); do
		if vethway status >/dev/null 2>&1; then
			return
		fi
		kill -0 "$daemon_pid" 2>/dev/null || break
		sleep 0.05
	done
	printf '%sThe daemon did not start:%s\n' "$red" "$plain"
	cat "$tmp/vethwayd.log"
	exit 1
}

# The shell would report a job that it sees killed; it has no part in this one.
kill_daemon() {
	disown "$daemon_pid"
	show kill -9 "$daemon_pid"
	while kill -0 "$daemon_pid" 2>/dev/null; do
		sleep 0.05
	done
	daemon_pid=
	if vethway status >/dev/null 2>&1; then
		row no "the daemon is dead" "vethway status" "it answers"
	else
		row yes "the daemon is dead" "vethway status" "no answer"
	fi
}

start_remote_server() {
	setsid nsenter "--net=/run/netns/$remote" -- vethway whoami --label lan 80 >/dev/null 2>&1 &
	server_pid=$!
}

wait_for_servers() {
	local who
	for who in remote c1 c2 d1; do
		for _ in $(seq 100); do
			from "$who" curl -sf -o /dev/null --max-time 1 http://127.0.0.1/ && break
			sleep 0.05
		done
	done
}

header() { printf '\n%s%-28s %-31s %-28s %s%s\n' "$bold" WHO "ASKS" "ANSWER" "" "$plain"; }

row() {
	local ok=$1 mark
	shift
	checks=$((checks + 1))
	if [ "$ok" = yes ]; then
		mark="${green}as expected${plain}"
	else
		failures=$((failures + 1))
		mark="${red}WRONG${plain}"
	fi
	printf '%-28s %-31s %-28s %s\n' "$1" "$2" "$3" "$mark"
}

# ask wants an answer: ask WHO TITLE URL ANSWER
ask() {
	local got ok=no
	got=$(from "$1" curl -s --max-time 3 "$3" 2>/dev/null || echo "no answer")
	[ "$got" = "$4" ] && ok=yes
	[ $ok = yes ] || got="$got (not: $4)"
	row $ok "$2" "$3" "$got"
}

# refuse wants no answer: refuse WHO TITLE URL
refuse() {
	local got ok=no
	got=$(from "$1" curl -s --max-time 1 "$3" 2>/dev/null || true) # that it fails is what is wanted
	[ -z "$got" ] && ok=yes got="no answer"
	row $ok "$2" "$3" "$got"
}

# check_empty runs a command that must print nothing.
check_empty() {
	local title=$1 out
	shift
	out=$("$@" 2>&1 | grep -v '^#' || true) # grep fails when it prints nothing; the command's own errors are in out
	if [ -z "$out" ]; then
		row yes "$title" "" "(empty)"
	else
		row no "$title" "" "$(wc -l <<<"$out") lines"
		printf '%s\n' "$out"
	fi
}

benchmark() {
	if ! timeout --signal=INT 120 vethway-bench run --scenario published --workload rr,crr --target iptables,vethway \
		--rounds 5 --sample "$((bench_seconds * 1000 / 20))ms" --warmup 50ms; then
		failures=$((failures + 1))
		printf '%sThe benchmark failed.%s\n' "$red" "$plain"
	fi
}

# tear_down ends everything in the order in which it was begun, backwards, and proves that nothing is left.
tear_down() {
	show vethway stop -t 2s c1 c2 d1
	show kill "$daemon_pid"
	wait "$daemon_pid"
	daemon_pid=
	printf '%s$ nsenter --net=HOST vethwayd uninstall ...%s\n' "$dim" "$plain"
	in_ns "$host" vethwayd uninstall "${daemon_flags[@]}"
	local left
	left=$(in_ns "$host" ip -o link | grep -cv -e ' lo:' -e ' eth0@' || true) # grep -c counts 0 and fails
	if [ "$left" = 0 ] && [ ! -e "$tmp/state" ] && [ ! -e "$tmp/bpf" ] && [ ! -e "$tmp/run" ]; then
		row yes "what is left behind" "" "nothing"
	else
		row no "what is left behind" "" "$left interfaces, $(find "$tmp" | wc -l) files"
	fi
}

verdict() {
	if [ "$failures" = 0 ]; then
		printf '\n%sAll %d checks are as expected.%s\n' "$green$bold" "$checks" "$plain"
		return 0
	fi
	printf '\n%s%d of %d checks went wrong.%s The log of the daemon:\n' "$red$bold" "$failures" "$checks" "$plain"
	tail -n 20 "$tmp/vethwayd.log"
	return 1
}

# cleanup runs at every end, also at Ctrl-C half-way; after tear_down there is little left for it to do.
cleanup() {
	local code=$?
	trap - EXIT INT TERM
	set +e
	for name in c1 c2 d1; do
		[ -e "$tmp/run/containers/$name.net" ] && [ -n "$daemon_pid" ] && vethway stop -t 1s "$name" >/dev/null 2>&1
	done
	[ -n "$server_pid" ] && kill "$server_pid" 2>/dev/null
	[ -n "$daemon_pid" ] && kill "$daemon_pid" 2>/dev/null && wait "$daemon_pid"
	if [ -e "$tmp/state" ]; then
		in_ns "$host" vethwayd uninstall "${daemon_flags[@]}" >/dev/null 2>&1
	fi
	umount "$tmp/bpf" 2>/dev/null
	ip netns del "$host" 2>/dev/null
	ip netns del "$remote" 2>/dev/null
	rm -rf "$tmp"
	exit "$code"
}
