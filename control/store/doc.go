// SPDX-License-Identifier: Apache-2.0

// Package store keeps the engine's desired state in a bbolt file: one transaction a request, synced before it returns.
package store
