// SPDX-License-Identifier: Apache-2.0

// Package wire makes IP packets byte by byte, takes them apart, and puts them on an interface: what a socket would never
// send, and what a socket would never show. A Tap keeps all that arrives, so that a test may ask afterwards.
package wire
