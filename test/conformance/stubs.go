// SPDX-License-Identifier: Apache-2.0

package conformance

func differentialCases() []Case { return nil }
