// SPDX-License-Identifier: Apache-2.0

package conformance

func quotaCases() []Case { return nil }
