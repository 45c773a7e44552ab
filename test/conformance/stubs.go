// SPDX-License-Identifier: Apache-2.0

package conformance

func segmentCases() []Case      { return nil }
func differentialCases() []Case { return nil }
