// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Code classifies an error for programs. A Code is itself an error, so errors.Is(err, api.NotFound) works on both
// sides of the socket.
type Code string

// The fixed set of codes.
const (
	InvalidArgument   Code = "invalid_argument"
	NotFound          Code = "not_found"
	AlreadyExists     Code = "already_exists"
	Conflict          Code = "conflict"
	InUse             Code = "in_use"
	PortInUse         Code = "port_in_use"
	ResourceExhausted Code = "resource_exhausted"
	ReadOnly          Code = "read_only"
	Unsupported       Code = "unsupported"
	Unavailable       Code = "unavailable"
	Canceled          Code = "canceled"
	Corrupt           Code = "corrupt_state"
	Locked            Code = "state_locked"
	Internal          Code = "internal"
)

// class is what a code means outside of JSON.
type class struct{ status, exit int }

// classes is the one place that maps a code to its HTTP status and to the exit code of a command that failed with it.
// Exit code 1 is left to errors without a code, 2 to a wrong command line, and 125 and above to `vethway run`.
var classes = map[Code]class{
	InvalidArgument:   {http.StatusBadRequest, 3},
	NotFound:          {http.StatusNotFound, 4},
	AlreadyExists:     {http.StatusConflict, 5},
	Conflict:          {http.StatusConflict, 6},
	InUse:             {http.StatusConflict, 7},
	PortInUse:         {http.StatusConflict, 8},
	ResourceExhausted: {http.StatusInsufficientStorage, 9},
	ReadOnly:          {http.StatusForbidden, 10},
	Unsupported:       {http.StatusNotImplemented, 11},
	Unavailable:       {http.StatusServiceUnavailable, 12},
	Canceled:          {499, 13}, // as nginx has it: the client went away
	Corrupt:           {http.StatusInternalServerError, 14},
	Locked:            {http.StatusServiceUnavailable, 15},
	Internal:          {http.StatusInternalServerError, 16},
}

// Error makes a Code usable as a sentinel.
func (c Code) Error() string { return string(c) }

// HTTPStatus is the status a response with this code has.
func (c Code) HTTPStatus() int {
	if k, ok := classes[c]; ok {
		return k.status
	}
	return http.StatusInternalServerError
}

// ExitCode is what a command that failed with this code exits with.
func (c Code) ExitCode() int {
	if k, ok := classes[c]; ok {
		return k.exit
	}
	return 1
}

// Error is an error with a code, and a hint: what to try next.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`

	cause error
}

// Errorf makes an Error. A %w among the arguments stays reachable for errors.Is.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), cause: errors.Unwrap(err)}
}

// WithHint says what to try next, typically a command.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Error is the message without the hint, which is printed on a line of its own.
func (e *Error) Error() string { return e.Message }

// Unwrap makes both the code and the cause reachable.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.cause}
}

// AsError turns whatever err is into an Error: the outermost Error's code and hint with the whole message, and
// Internal for what has no code.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return &Error{Code: e.Code, Message: err.Error(), Hint: e.Hint, cause: err}
	}
	code := Internal
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		code = Canceled
	default:
		errors.As(err, &code)
	}
	return &Error{Code: code, Message: err.Error(), cause: err}
}

// ExitCode is what a command that failed with err exits with: 0 for nil, 1 for an error that carries no code.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code.ExitCode()
	}
	var c Code
	if errors.As(err, &c) {
		return c.ExitCode()
	}
	return 1
}

// errorBody is an error on the wire.
type errorBody struct {
	Error *Error `json:"error"`
}
