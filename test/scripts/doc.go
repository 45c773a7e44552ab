// SPDX-License-Identifier: Apache-2.0

// Package scripts runs testdata/*.txtar: scenarios that read like a shell session, on the real vethwayd and vethway.
// Each has a host and a remote of its own (see netlab), and the daemon's state, sockets and pins in its own directory.
//
// Beside testscript's own commands there are:
//
//	daemon start [FLAG...]    start vethwayd in the host's namespace, and wait until it serves
//	daemon stop|kill          end it by SIGTERM or SIGKILL
//	daemon reload             send it SIGHUP; its log is vethwayd.log
//	vethway ...               the client; it finds the daemon by itself
//	host|remote COMMAND...    run a command in the host's or the remote's namespace
//	in CONTAINER COMMAND...   run a command in a container's namespace
//	netns NAME                make an empty namespace, $NAME is its path, and `in NAME` works
//	endnetns NAME             end it
//	serve WHERE LABEL PORT    start a server on WHERE (host, remote or a container) that tells who asked
//	ask WHERE tcp|udp ADDRESS ask a server; prints "LABEL saw ADDRESS"
//	stream open NAME WHERE tcp|udp ADDRESS
//	                          hold a connection to such a server that carries traffic all the time
//	stream close NAME         end it; fails if anything was lost, altered or reset meanwhile
//	exits CODE COMMAND...     run any of the above and want that exit code
//	normalise FILE            write the last output to FILE with IDs, MACs and times replaced
//	eventually COMMAND...     run it again until it succeeds, for five seconds
//
// A line "# covers: D16 -" at the head says which behaviours a scenario proves.
package scripts
