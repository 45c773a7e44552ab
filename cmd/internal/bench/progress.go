// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/cmd/internal/bench/run"
)

const eraseLine = "\r\x1b[K"

// progress shows how far a run is: one line that rewrites itself on a terminal, one line for each comparison elsewhere.
// It also is the writer of the log, and of what the traffic generator has to complain of, which must not end up on the same line.
type progress struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	cell     int
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out}
	if f, ok := out.(*os.File); ok {
		_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		p.terminal = err == nil
	}
	return p
}

func (p *progress) begin(takes time.Duration) {
	p.printf("about %v\n", takes.Round(time.Second))
}

func (p *progress) show(now run.Progress) {
	if p.terminal {
		p.printf(eraseLine+"[%d/%d] %s, round %d/%d, %v left",
			now.Number, now.All, now.Cell, now.Round, now.Rounds, now.Left.Round(time.Second))
		return
	}
	if now.Number != p.cell {
		p.cell = now.Number
		p.printf("[%d/%d] %s, %v left\n", now.Number, now.All, now.Cell, now.Left.Round(time.Second))
	}
}

func (p *progress) end() {
	if p.terminal {
		p.printf(eraseLine)
	}
}

// Write takes whole lines of the log.
func (p *progress) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		if _, err := io.WriteString(p.out, eraseLine); err != nil {
			return 0, err
		}
	}
	return p.out.Write(line)
}

func (p *progress) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// There is nowhere left to complain to when standard error fails.
	_, _ = fmt.Fprintf(p.out, format, args...)
}
