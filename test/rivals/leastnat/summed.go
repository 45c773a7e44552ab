// SPDX-License-Identifier: Apache-2.0

package leastnat

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// summed is where the kernel notes what it knows of a packet's transport
// checksum, which is either the whole one or that of the pseudo-header alone,
// and by which of its functions a program gets there.
type summed struct {
	function btf.TypeID
	offset   int16
	mask     int32
	// partial is CHECKSUM_PARTIAL, as it lies there.
	partial int32
}

// findSummed asks the kernel's BTF.
func findSummed() (summed, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return summed{}, fmt.Errorf("find ip_summed: %w", err)
	}
	var function *btf.Func
	if err := spec.TypeByName("bpf_cast_to_kern_ctx", &function); err != nil {
		return summed{}, fmt.Errorf("find ip_summed: %w", err)
	}
	id, err := spec.TypeID(function)
	if err != nil {
		return summed{}, fmt.Errorf("find ip_summed: %w", err)
	}
	var skb *btf.Struct
	if err := spec.TypeByName("sk_buff", &skb); err != nil {
		return summed{}, fmt.Errorf("find ip_summed: %w", err)
	}
	at, size, ok := member(skb.Members, "ip_summed")
	if !ok || size == 0 || size > 8 {
		return summed{}, errors.New("find ip_summed: struct sk_buff has no such bits")
	}
	const checksumPartial = 3
	shift := at % 8
	return summed{
		function: id, offset: int16(at / 8), mask: int32((1<<size - 1) << shift), partial: checksumPartial << shift,
	}, nil
}

// member finds a bit field, also in what has no name.
func member(members []btf.Member, name string) (at, size btf.Bits, ok bool) {
	for _, m := range members {
		if m.Name == name {
			return m.Offset, m.BitfieldSize, true
		}
		if m.Name != "" {
			continue
		}
		switch inner := btf.UnderlyingType(m.Type).(type) {
		case *btf.Struct:
			at, size, ok = member(inner.Members, name)
		case *btf.Union:
			at, size, ok = member(inner.Members, name)
		}
		if ok {
			return m.Offset + at, size, true
		}
	}
	return 0, 0, false
}

// load has R0 be what is noted of the packet whose context R6 is.
func (s summed) load() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.R6),
		{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoKfuncCall, Constant: int64(s.function)},
		asm.LoadMem(asm.R0, asm.R0, s.offset, asm.Byte),
		asm.And.Imm(asm.R0, s.mask),
	}
}
