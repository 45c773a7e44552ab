// SPDX-License-Identifier: Apache-2.0

package conformance

func timerCases() []Case        { return nil }
func refreshCases() []Case      { return nil }
func hairpinCases() []Case      { return nil }
func loadCases() []Case         { return nil }
func errorsKeepCases() []Case   { return nil }
func scarcityCases() []Case     { return nil }
func quotaCases() []Case        { return nil }
func holdDownCases() []Case     { return nil }
func endingCases() []Case       { return nil }
func randomCases() []Case       { return nil }
func segmentCases() []Case      { return nil }
func differentialCases() []Case { return nil }
