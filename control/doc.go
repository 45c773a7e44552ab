// SPDX-License-Identifier: Apache-2.0

// Package control is the engine: it holds the desired state of networks, containers and published ports, compares it
// with the host, and changes what differs. It knows neither BPF nor netlink: it talks to the small interfaces it
// declares (Dataplane, Links, Store), which the packages below it implement.
package control
