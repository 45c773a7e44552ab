// SPDX-License-Identifier: Apache-2.0

// Package loader puts the packet programs into the kernel, attaches them, and takes them off again. Everything is
// pinned, so that packets flow while no daemon runs; a daemon that starts adopts what it finds, and replaces programs
// in place when it brings newer ones. README.md draws the pins and the order of an upgrade.
package loader
