// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"strings"

	"github.com/vethway/vethway/test/conformance/wire"
)

// N22: the same traffic through nf_nat and through the target comes out the same, but for the ports that they choose. Where
// it does not, there is a reason.
func differentialCases() []Case {
	var all []Case
	for seed := range uint64(4) {
		own := LabConfig{Own: fmt.Sprintf("trace %d", seed)}
		all = append(all, Case{
			ID: "N22", Name: fmt.Sprintf("made-up trace %d", seed), NAT: true, Lab: own, Run: func(t *T) { sameAsNetfilter(t, seed) },
		})
	}
	return all
}

// divergence is a step of which two things came.
type divergence struct {
	step         step
	session      tracedSession
	ours, theirs string
	// disturbed: there has been a segment in the session that connection tracking calls invalid, and its idea of the session
	// may be wrong since.
	disturbed bool
}

// difference is a reason for two NATs to disagree.
type difference struct {
	why     string
	applies func(d divergence) bool
}

// differences lists them.
func differences() []difference {
	return []difference{
		{
			"nf_nat does not translate what connection tracking calls invalid: the container's address leaves (N21)",
			func(d divergence) bool { return leaks(d.theirs) && !leaks(d.ours) },
		},
		{
			"whether a segment is in the window, and its flags make sense, is for the ends to say (RFC 9293 section 3.10.7); nf_nat drops it or has the host answer with RST",
			func(d divergence) bool {
				told := delivers(d) || d.step.op == opTTLIn && strings.Contains(d.ours, " about ")
				return d.session.kind == tcp && d.disturbed && told && (d.theirs == nothing || hostResets(d.theirs))
			},
		},
		{
			"a port that is not translated is the host's, which answers with RST (RFC 9293 section 3.5.2); nf_nat drops that when it has seen a like segment before",
			func(d divergence) bool {
				return (d.step.op == opUnmappedIn || d.step.op == opStrangerIn) && hostResets(d.ours) && d.theirs == nothing
			},
		},
		{
			"a session to a published port begins with a SYN, anything else is answered with RST (RFC 9293 section 3.5.2); nf_nat picks up from the middle",
			func(d divergence) bool {
				return d.session.published && d.session.kind == tcp && d.step.op == opStrangerIn && hostResets(d.ours)
			},
		},
	}
}

const nothing = "nothing arrives"

// leaks: R sees an address of a container.
func leaks(outcome string) bool {
	return strings.Contains(outcome, "from 172.30.") && strings.Contains(outcome, "R gets") ||
		strings.Contains(outcome, "from [fd30:") && strings.Contains(outcome, "R gets")
}

// hostResets: the host took a segment for its own.
func hostResets(outcome string) bool {
	return strings.HasPrefix(outcome, "R gets protocol 6 from the ") && strings.Contains(outcome, "ttl 64 tos 0x0 [R") &&
		!strings.Contains(outcome, " and ")
}

// delivers: the packet came to the other end of its session, and nothing else came of it.
func delivers(d divergence) bool {
	to := d.session.side + " gets protocol"
	if d.step.out() {
		to = "R gets protocol"
	}
	isError := d.step.op == opErrorIn || d.step.op == opErrorOut
	return strings.HasPrefix(d.ours, to) && !strings.Contains(d.ours, " and ") && strings.Contains(d.ours, " about ") == isError
}

// disturbs tells steps whose segment connection tracking calls invalid, or may.
func (s step) disturbs() bool {
	switch s.op {
	case opOddIn, opOddOut, opBadOut, opTTLIn, opTTLOut, opHeaderIn, opHeaderOut, opStrangerIn:
		return true
	}
	return s.flags&wire.RST != 0
}

// explained finds the reason for a divergence.
func explained(d divergence) string {
	for _, known := range differences() {
		if known.applies(d) {
			return known.why
		}
	}
	return ""
}

func sameAsNetfilter(t *T, seed uint64) {
	if t.Lab.Name == NFNAT {
		t.NotApplicable("it is what the others are compared with")
	}
	reference, err := newLab(t.ctx, NFNAT, t.Lab.Config, "")
	t.must(err)
	t.Cleanup(func() {
		if err := reference.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
	tr := newTrace(seed)
	ours := t.newReplay(tr).run()
	other := &T{Lab: reference, Family: t.Family, ctx: t.ctx, patience: patience}
	theirs := other.runTrace(tr)
	for _, f := range other.failures {
		t.Errorf("nf_nat: %s", f)
	}
	t.compare(tr, ours, theirs)
}

// compare tells what differs without a reason.
func (t *T) compare(tr trace, ours, theirs []string) {
	disturbed := map[int]bool{}
	for i, s := range tr.steps {
		if i >= len(ours) || i >= len(theirs) {
			return // which has been told
		}
		disturbed[s.session] = disturbed[s.session] || s.disturbs()
		d := divergence{s, tr.sessions[s.session], ours[i], theirs[i], disturbed[s.session]}
		if ours[i] == theirs[i] {
			continue
		}
		if explained(d) != "" {
			disturbed[s.session] = true
		} else {
			t.Errorf("step %d, %s of session %d: %s; with nf_nat %s", i, s.describe(tr), s.session, ours[i], theirs[i])
		}
	}
}

// runTrace runs in a goroutine of its own, which a failure ends.
func (t *T) runTrace(tr trace) (outcomes []string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		outcomes = t.newReplay(tr).run()
	}()
	<-done
	return outcomes
}
