// SPDX-License-Identifier: Apache-2.0

package bpf_test

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"

	"github.com/vethway/vethway/bpf"
	"github.com/vethway/vethway/test/behaviour"
)

// verifiedBudget is the number of instructions the verifier may walk for one program. Linux 6.1 prunes less and walks up to five times
// as many as 6.18. The kernel's own limit is a million.
const verifiedBudget = 400_000

// The verifier's work grows with every branch: a program that comes near the kernel's limit of a million instructions does not load
// on the next kernel.
func TestVerifierAcceptsAllPrograms(t *testing.T) {
	behaviour.NeedRoot(t)
	spec, err := bpf.LoadVethway()
	if err != nil {
		t.Fatal(err)
	}
	if err := features.HaveProgramType(ebpf.Netfilter); errors.Is(err, ebpf.ErrNotSupported) {
		delete(spec.Programs, bpf.VethwayProgVwDefragment) // before 6.4; loader leaves it out as well
	}
	coll, err := ebpf.NewCollection(spec)
	var verr *ebpf.VerifierError
	if errors.As(err, &verr) {
		t.Fatalf("%+v", verr)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	for name, prog := range coll.Programs {
		info, err := prog.Info()
		if err != nil {
			t.Fatal(err)
		}
		insns, ok := info.VerifiedInstructions()
		if !ok {
			t.Fatal("the kernel does not tell the number of verified instructions")
		}
		size, err := info.TranslatedSize()
		if err != nil {
			t.Fatal(err)
		}
		if insns > verifiedBudget {
			t.Errorf("%s: the verifier walks %d instructions, budget %d", name, insns, verifiedBudget)
		}
		t.Logf("%-20s %7d instructions verified, %5d bytes translated", name, insns, size)
	}
}
