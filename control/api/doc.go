// SPDX-License-Identifier: Apache-2.0

// Package api is what is spoken on the daemon's sockets: HTTP and JSON under /v1, in Docker's words and field style
// where Docker has them. It holds the wire types, the error codes, and the handlers, which call a Backend; it knows
// nothing of how the engine works.
package api
