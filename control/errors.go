// SPDX-License-Identifier: Apache-2.0

package control

import "github.com/vethway/vethway/control/api"

// What the engine's methods fail with, for errors.Is. The api package holds the codes, their HTTP statuses and exit
// codes; these are the same values under the names that Go code expects.
var (
	ErrInvalidArgument   error = api.InvalidArgument
	ErrNotFound          error = api.NotFound
	ErrAlreadyExists     error = api.AlreadyExists
	ErrConflict          error = api.Conflict
	ErrInUse             error = api.InUse
	ErrPortInUse         error = api.PortInUse
	ErrResourceExhausted error = api.ResourceExhausted
	ErrUnsupported       error = api.Unsupported
	ErrUnavailable       error = api.Unavailable
	ErrCanceled          error = api.Canceled
	ErrCorrupt           error = api.Corrupt
	ErrLocked            error = api.Locked
)
