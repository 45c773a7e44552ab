// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

/*
 * `go test -fuzz` keeps an input that reaches code which none before has
 * reached, and looks for such code in Go only. So the programs are loaded with
 * a mark at the head of every basic block, a byte of a map that is set when the
 * block runs, and mark has a branch in Go for each byte.
 */

// coverMap holds the marks: one byte a block.
const (
	coverMap = "fuzz_cover"
	coverMax = markPages * markPageSize
)

// coverage is what instrument has made of a set of programs.
type coverage struct {
	blocks  map[string][]int // by program: its marks
	dropped int              // blocks without a register to spare
	next    int              // the mark to give next; beyond coverMax they are used again
}

// instrument puts marks into the packet programs of a collection.
func instrument(spec *ebpf.CollectionSpec) (*coverage, error) {
	c := &coverage{blocks: map[string][]int{}}
	spec.Maps[coverMap] = &ebpf.MapSpec{
		Name: coverMap, Type: ebpf.Array, KeySize: 4, ValueSize: coverMax, MaxEntries: 1, Flags: 1 << 10, // BPF_F_MMAPABLE
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
		p := spec.Programs[name]
		if p.Type != ebpf.SchedCLS && p.Type != ebpf.XDP {
			continue
		}
		insns, err := c.program(name, p.Instructions)
		if err != nil {
			return nil, fmt.Errorf("marking %s: %w", name, err)
		}
		p.Instructions = insns
	}
	return c, nil
}

// program marks one program, functions that it calls included.
func (c *coverage) program(name string, insns asm.Instructions) (asm.Instructions, error) {
	insns = append(asm.Instructions(nil), insns...)
	targets, err := nameTargets(insns)
	if err != nil {
		return nil, err
	}
	live := liveness(insns, targets)
	var out asm.Instructions
	for i, ins := range insns {
		_, isTarget := targets[i]
		entry := ins.Symbol() != "" && !isTarget
		after := i > 0 && isConditional(insns[i-1])
		if !entry && (isTarget || after) {
			reg, ok := spare(live[i])
			if !ok {
				c.dropped++
			} else {
				n := c.next % coverMax
				c.next++
				c.blocks[name] = append(c.blocks[name], n)
				load := asm.LoadMapValue(reg, 0, uint32(n)).WithReference(coverMap)
				if ins.Symbol() != "" {
					load = load.WithSymbol(ins.Symbol())
					ins = ins.WithSymbol("")
				}
				out = append(out, load, asm.StoreImm(reg, 0, 1, asm.Byte))
			}
		}
		out = append(out, ins)
	}
	return out, nil
}

func isConditional(ins asm.Instruction) bool {
	op := ins.OpCode
	return op.Class().IsJump() && op.JumpOp() != asm.Ja && op.JumpOp() != asm.Call && op.JumpOp() != asm.Exit
}

func isBranch(ins asm.Instruction) bool {
	op := ins.OpCode
	return op.Class().IsJump() && op.JumpOp() != asm.Call && op.JumpOp() != asm.Exit
}

// nameTargets gives every jump a name to jump to instead of a distance, so that instructions can be put in between. It
// returns the indexes that are jumped to.
func nameTargets(insns asm.Instructions) (map[int]string, error) {
	at := map[int64]int{} // index of the instruction at an offset; constants of 64 bits count twice
	offsets := make([]int64, len(insns))
	var offset int64
	for i, ins := range insns {
		at[offset], offsets[i] = i, offset
		offset++
		if ins.OpCode.IsDWordLoad() {
			offset++
		}
	}
	targets := map[int]string{}
	for i, ins := range insns {
		if !isBranch(ins) || ins.Reference() != "" {
			continue
		}
		distance := int64(ins.Offset)
		if ins.OpCode.Class() == asm.Jump32Class && ins.OpCode.JumpOp() == asm.Ja {
			distance = ins.Constant
		}
		to, ok := at[offsets[i]+1+distance]
		if !ok {
			return nil, fmt.Errorf("instruction %d jumps into nothing", i)
		}
		if targets[to] = insns[to].Symbol(); targets[to] == "" {
			targets[to] = fmt.Sprintf("mark-%d", to)
			insns[to] = insns[to].WithSymbol(targets[to])
		} else if !strings.HasPrefix(targets[to], "mark-") {
			return nil, fmt.Errorf("instruction %d jumps to the function %s", i, targets[to])
		}
		ins.Offset = -1
		insns[i] = ins.WithReference(targets[to])
	}
	return targets, nil
}

// registers is a set of r0 to r10.
type registers uint16

func (r registers) has(reg asm.Register) bool { return r&(1<<reg) != 0 }

func set(regs ...asm.Register) (s registers) {
	for _, r := range regs {
		s |= 1 << r
	}
	return s
}

// liveness tells for each instruction which registers somebody may still read when it is reached.
func liveness(insns asm.Instructions, targets map[int]string) []registers {
	index := map[string]int{}
	for i, name := range targets {
		index[name] = i
	}
	live := make([]registers, len(insns))
	for changed := true; changed; {
		changed = false
		for i := len(insns) - 1; i >= 0; i-- {
			ins := insns[i]
			var after registers
			op := ins.OpCode
			exits := op.Class().IsJump() && op.JumpOp() == asm.Exit
			jumps := isBranch(ins)
			if i+1 < len(insns) && !exits && !(jumps && op.JumpOp() == asm.Ja) {
				after |= live[i+1]
			}
			if jumps {
				after |= live[index[ins.Reference()]]
			}
			reads, writes := access(ins)
			if now := after&^writes | reads; now != live[i] {
				live[i], changed = now, true
			}
		}
	}
	return live
}

// access tells what an instruction reads and what it writes; when in doubt it reads more and writes less.
func access(ins asm.Instruction) (reads, writes registers) {
	op := ins.OpCode
	dst, src := ins.Dst, ins.Src
	switch class := op.Class(); {
	case class == asm.LdClass: // a constant
		return 0, set(dst)
	case class.IsLoad():
		return set(src), set(dst)
	case class == asm.StClass:
		return set(dst), 0
	case class == asm.StXClass: // atomic ones may read r0, and write to src
		return set(dst, src, asm.R0), 0
	case class.IsJump():
		switch op.JumpOp() {
		case asm.Exit:
			return set(asm.R0), 0
		case asm.Call:
			return set(asm.R1, asm.R2, asm.R3, asm.R4, asm.R5), set(asm.R0)
		case asm.Ja:
			return 0, 0
		}
	case class.IsALU() && op.ALUOp() == asm.Mov:
		if op.Source() == asm.RegSource {
			return set(src), set(dst)
		}
		return 0, set(dst)
	}
	if op.Source() == asm.RegSource {
		return set(dst, src), 0
	}
	return set(dst), 0
}

// spare is a register that nobody reads any more.
func spare(live registers) (asm.Register, bool) {
	for r := asm.R0; r <= asm.R9; r++ {
		if !live.has(r) {
			return r, true
		}
	}
	return 0, false
}
