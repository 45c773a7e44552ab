// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"slices"
	"strings"
)

// Case is one thing asked of a NAT. Cases of one behaviour have the same ID.
type Case struct {
	ID   string // N01
	Name string
	// NAT says that the question makes no sense where nothing is translated.
	NAT bool
	// Option says that the question is about an option of vethway's.
	Option bool
	// Lab is what the case needs; the zero value is the lab that most share.
	Lab LabConfig
	Run func(*T)
}

// String is how a case is named in reports and in the table of pending cases.
func (c Case) String() string { return c.ID + " " + c.Name }

// pointless tells why a target cannot be asked; empty: it can.
func (c Case) pointless(target string) string {
	switch {
	case c.Option && target != Vethway:
		return "it has no such option"
	case c.NAT && target == Router:
		return "it translates nothing"
	}
	return ""
}

// Cases lists all cases by ID.
func Cases() []Case {
	all := slices.Concat(
		uplinkCases(), mappingCases(), uniqueCases(), timerCases(), refreshCases(), filteringCases(), hairpinCases(), loadCases(),
		errorsKeepCases(), mtuCases(), fragmentCases(), handshakeCases(), unsolicitedCases(), icmpErrorCases(),
		scarcityCases(), quotaCases(), holdDownCases(), endingCases(), randomCases(), headerCases(), segmentCases(),
		leakCases(), differentialCases(), optionCases(),
	)
	slices.SortStableFunc(all, func(a, b Case) int { return strings.Compare(a.ID, b.ID) })
	return all
}
