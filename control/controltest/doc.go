// SPDX-License-Identifier: Apache-2.0

// Package controltest has stand-ins for what the engine works on: links, packet programs and store. They are strict
// about the contract of the interfaces, can be told to fail at any call, and can be compared with what should be.
package controltest
