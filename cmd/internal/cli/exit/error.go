// SPDX-License-Identifier: Apache-2.0

package exit

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Error is an error that knows its exit code and what to try next.
type Error struct {
	Code Code
	Err  error
	Hint string // a command or a sentence, without "try"
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Wrap gives err a code and a hint; nil stays nil. A code that is there already is kept.
func Wrap(code Code, err error, hint string) error {
	if err == nil {
		return nil
	}
	var have *Error
	if errors.As(err, &have) {
		return err
	}
	return &Error{Code: code, Err: err, Hint: hint}
}

// Errorf makes an error with a code and no hint.
func Errorf(code Code, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// Hintf adds a hint to err, unless it has one.
func Hintf(err error, format string, args ...any) error {
	hint := fmt.Sprintf(format, args...)
	var have *Error
	if errors.As(err, &have) {
		if have.Hint != "" {
			return err
		}
		return &Error{Code: have.Code, Err: err, Hint: hint}
	}
	return &Error{Code: Failure, Err: err, Hint: hint}
}

// Status is the error of a command that `vethway run` or `exec` started: its status is passed on, nothing is printed.
type Status int

func (s Status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// Report prints err as one line, its hint as another, and returns the exit code.
func Report(w io.Writer, program string, err error) int {
	if err == nil {
		return int(OK)
	}
	var status Status
	if errors.As(err, &status) {
		return int(status)
	}
	code, hint := Failure, ""
	var e *Error
	if errors.As(err, &e) {
		code, hint = e.Code, e.Hint
	}
	// One line: an error joined from several arrives with line breaks.
	fmt.Fprintf(w, "%s: %s\n", program, strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; "))
	if hint != "" {
		fmt.Fprintf(w, "try: %s\n", hint)
	}
	return int(code)
}
