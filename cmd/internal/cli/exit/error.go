// SPDX-License-Identifier: Apache-2.0

package exit

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/vethway/vethway/control/api"
)

// Error is an error that knows its exit code and what to try next.
type Error struct {
	Code Code
	Err  error
	Hint string // what to try next, typically a command
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error with a code and no hint.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// WithHint says what to try next.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Hint gives err a hint unless it has one; its code stays.
func Hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	code, hint := Classify(err)
	if hint != "" {
		return err
	}
	return &Error{Code: code, Err: err, Hint: fmt.Sprintf(format, args...)}
}

// WithHint gives err a hint in place of the one it has; its code stays.
func WithHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	code, _ := Classify(err)
	return &Error{Code: code, Err: err, Hint: fmt.Sprintf(format, args...)}
}

// Status is the end of a command that `vethway run` or `exec` started: it is passed on, nothing is printed.
type Status int

func (s Status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// Classify returns the exit code and the hint of an error: its own, or those that the API gave it.
func Classify(err error) (Code, string) {
	var own *Error
	if errors.As(err, &own) {
		hint := own.Hint
		var answer *api.Error
		if hint == "" && errors.As(err, &answer) {
			hint = answer.Hint
		}
		return own.Code, hint
	}
	var answer *api.Error
	if errors.As(err, &answer) {
		return Of(answer.Code), answer.Hint
	}
	var code api.Code
	if errors.As(err, &code) {
		return Of(code), ""
	}
	return Failure, ""
}

// Report prints err as one line, its hint as another, and returns the exit code.
func Report(w io.Writer, program string, err error) int {
	if err == nil {
		return int(OK)
	}
	var status Status
	if errors.As(err, &status) {
		return int(status)
	}
	code, hint := Classify(err)
	// One line: an error joined from several arrives with line breaks.
	fmt.Fprintf(w, "%s: %s\n", program, strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; "))
	if hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
	return int(code)
}
