// SPDX-License-Identifier: Apache-2.0

// Package parity sends the same traffic through Docker's iptables rules and through vethway, and compares who reached
// whom and which address each server saw. What may differ is listed in allowed, each with its reason; everything else
// that differs is a bug, and so is an allowed difference that is none any more.
//
//	go test -v -run Parity ./test/parity     # prints the table
package parity
