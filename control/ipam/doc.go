// SPDX-License-Identifier: Apache-2.0

// Package ipam chooses subnets for networks, and addresses and MACs for endpoints. It is arithmetic on memory: what has
// to survive is handed out as a Lease, and put back with Restore.
package ipam
