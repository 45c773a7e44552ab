// SPDX-License-Identifier: Apache-2.0

package loader

import "github.com/vethway/vethway/bpf"

// isDatagramHook tells the cgroup's programs that are attached while somebody may ask for a published port of UDP from those that always are.
func isDatagramHook(program string) bool {
	switch program {
	case bpf.VethwayProgVwSendmsg4, bpf.VethwayProgVwSendmsg6, bpf.VethwayProgVwRecvmsg4, bpf.VethwayProgVwRecvmsg6:
		return true
	}
	return false
}

// Datagrams attaches the programs for datagrams of the host's sockets, or takes them off. While they are attached anywhere, the kernel locks
// every socket of the machine to send a datagram to an address, and to receive one with the sender's (BPF_CGROUP_RUN_PROG_UDP4_RECVMSG_LOCK in
// include/linux/bpf-cgroup.h): whoever does not need them shall not pay for that.
func (l *Loader) Datagrams(on bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !on {
		l.datagrams = false
		return l.detachCgroup(isDatagramHook)
	}
	l.datagrams = true
	_, err := l.attachCgroup()
	return err
}
