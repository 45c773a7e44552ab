// SPDX-License-Identifier: Apache-2.0

// Package ports reads what is written after -p, and keeps the book of which host ports are published by whom.
package ports
