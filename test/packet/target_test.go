// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/vethway/vethway/bpf"
)

// The targets of `go test -fuzz`; make fuzz runs all of them. Without -fuzz they
// send what is in testdata, which corpus_test.go writes.

func FuzzFromContainer(f *testing.F) { fuzzProgram(f, "from container") }
func FuzzFromUplink(f *testing.F)    { fuzzProgram(f, "from uplink") }
func FuzzFromTun(f *testing.F)       { fuzzProgram(f, "from tun") }
func FuzzFromSpliced(f *testing.F)   { fuzzProgram(f, "from spliced") }
func FuzzToUplink(f *testing.F)      { fuzzProgram(f, "to uplink") }
func FuzzToTun(f *testing.F)         { fuzzProgram(f, "to tun") }
func FuzzToBridge(f *testing.F)      { fuzzProgram(f, "to bridge") }
func FuzzGuard(f *testing.F)         { fuzzProgram(f, "guard") } // vw_guard, vw_xdp and vw_xdp_generic
func FuzzGuardTun(f *testing.F)      { fuzzProgram(f, "guard tun") }

// fuzzProgram sends any packet at all to one program, from anybody.
func fuzzProgram(f *testing.F, prog string) {
	openArenaToFuzz(f)
	f.Fuzz(func(t *testing.T, from, how byte, gso uint16, ip []byte) {
		inArena(t, func(a *arena) error {
			_, err := a.shoot(shot{prog, from, how, gso, ip})
			return errors.Join(err, a.judgeTables(1), a.judgeUntouched(prog))
		})
	})
}

// FuzzSequence sends several packets, one after the other, to all programs;
// between them containers come and go, routes change and sessions are
// collected.
func FuzzSequence(f *testing.F) {
	openArenaToFuzz(f)
	f.Fuzz(func(t *testing.T, script []byte) {
		inArena(t, func(a *arena) error {
			var errs []error
			moves := readMoves(script)
			for i, m := range moves {
				if err := a.play(m, uint32(i)); err != nil {
					errs = append(errs, err)
				}
			}
			return errors.Join(errors.Join(errs...), a.judgeTables(len(moves)))
		})
	})
}

// The moves of a sequence besides packets to programs.
const (
	moveReplace = "replace" // a container's addresses are given to another one
	moveRoutes  = "routes"  // the routes have changed
	moveCollect = "collect" // all sessions are idle
	movesMax    = 24
	moveHead    = 5 // bytes
)

// moves are what the first byte of a move counts, over and over: what fuzzing has found must be written anew when there are more.
var moves = []string{
	"from container", "from uplink", "to uplink", "to bridge", "from tun", "to tun", "from detour", "from cutter",
	moveReplace, moveRoutes, moveCollect, "guard", "guard tun", "from spliced",
}

// readMoves reads a script: what, from whom, how, and a packet with its length before it.
func readMoves(script []byte) []shot {
	var all []shot
	for len(script) >= moveHead && len(all) < movesMax {
		n := min(int(binary.BigEndian.Uint16(script[3:])), len(script)-moveHead)
		all = append(all, shot{prog: moves[int(script[0])%len(moves)], from: script[1], how: script[2], ip: script[moveHead : moveHead+n]})
		script = script[moveHead+n:]
	}
	return all
}

func writeMoves(all []shot) []byte {
	var script []byte
	for _, s := range all {
		what := byte(0)
		for i, name := range moves {
			if name == s.prog {
				what = byte(i)
			}
		}
		script = append(script, what, s.from, s.how)
		script = binary.BigEndian.AppendUint16(script, uint16(len(s.ip)))
		script = append(script, s.ip...)
	}
	return script
}

func (a *arena) play(m shot, n uint32) error {
	a.renewed = a.renewed || m.prog == moveReplace || m.prog == moveRoutes
	switch m.prog {
	case moveReplace:
		return a.renew(containerNames[int(m.from)%len(containerNames)], generation+1+n)
	case moveRoutes:
		return a.Generations.Put(uint32(slotRoutes), 2+n)
	case moveCollect:
		return a.collect()
	}
	_, err := a.shoot(m)
	return err
}

// collect does what the daemon does when every session is idle.
func (a *arena) collect() error {
	if err := a.flows.read(); err != nil {
		return err
	}
	for k, v := range a.flows.now {
		pair := pairKey(k, v)
		reply, ok := a.flows.now[pair]
		if v.Flags&flowReply != 0 || !ok {
			continue
		}
		args := bpf.VethwayGcArgs{Key: k, Reverse: pair, Seen: v.Seen, ReverseSeen: reply.Seen}
		if _, err := a.GC.Run(&ebpf.RunOptions{Context: args}); err != nil {
			return err
		}
	}
	return nil
}
