// SPDX-License-Identifier: Apache-2.0

// Package streams is the terminal, or what stands in for it in a pipe and in tests.
package streams

import (
	"bytes"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Streams are a command's input and output.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// Terminal is true when a person reads Out: tables are aligned and have headers.
	Terminal bool
	// Width is the terminal's, 0 when unknown.
	Width int
}

// System returns the process's own streams.
func System() *Streams {
	s := &Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	if ws, err := unix.IoctlGetWinsize(int(os.Stdout.Fd()), unix.TIOCGWINSZ); err == nil {
		s.Terminal, s.Width = true, int(ws.Col)
	}
	return s
}

// Test returns streams that write into buffers.
func Test() (s *Streams, out, err *bytes.Buffer) {
	out, err = new(bytes.Buffer), new(bytes.Buffer)
	return &Streams{In: new(bytes.Buffer), Out: out, Err: err}, out, err
}
