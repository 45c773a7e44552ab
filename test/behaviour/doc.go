// SPDX-License-Identifier: Apache-2.0

// Package behaviour ties tests to the numbered behaviours that vethway
// promises.
//
// A test says which behaviour it proves, and over which address family:
//
//	func TestPublishedPortFromRemote(t *testing.T) {
//		behaviour.NeedRoot(t)
//		behaviour.Covers(t, "D01", behaviour.IPv4)
//		...
//	}
//
// When the environment variable VETHWAY_COMPLIANCE names a file, each covered
// behaviour appends one JSON line to it once its test has ended. The compliance
// command turns those lines into test/compliance.json and the table in
// test/README.md, and fails if a behaviour required for this release is missing.
//
// The package also holds the rules on skipping: a test that cannot run says why,
// and under STRICT=1 not being able to run is a failure.
package behaviour
