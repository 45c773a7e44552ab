// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Generator is the parent's handle on the traffic subprocess. It takes one order at a time.
type Generator struct {
	cmd     *exec.Cmd
	orders  *json.Encoder
	stdin   io.Closer
	replies chan answer
}

type answer struct {
	reply Reply
	err   error
}

// Config says how to start a generator.
type Config struct {
	// Command starts the program that calls Serve on its standard input and output.
	Command []string
	// Stderr takes what the subprocess has to say; nil discards it.
	Stderr io.Writer
}

// Start runs the subprocess. It ends by Close, by the end of ctx, or with this process, whose death it sees as the end
// of its standard input.
func Start(ctx context.Context, cfg Config) (*Generator, error) {
	if len(cfg.Command) == 0 {
		return nil, errors.New("start traffic generator: no command given")
	}
	cmd := exec.CommandContext(ctx, cfg.Command[0], cfg.Command[1:]...)
	cmd.Stderr = cfg.Stderr
	cmd.WaitDelay = time.Second
	// A thread that is inside a raw system call cannot stop for Go's preemption, so the signals would only disturb it.
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
	// A session of its own keeps the terminal's Ctrl-C away: the parent decides when traffic ends. It also is an
	// autogroup of its own, so that client and server share the CPU with each other and not with the shell.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start traffic generator: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start traffic generator: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start traffic generator: %w", err)
	}
	g := &Generator{cmd: cmd, orders: json.NewEncoder(stdin), stdin: stdin, replies: make(chan answer)}
	go g.read(stdout)
	return g, nil
}

func (g *Generator) read(stdout io.Reader) {
	defer close(g.replies)
	decoder := json.NewDecoder(stdout)
	for {
		var reply Reply
		err := decoder.Decode(&reply)
		if err == nil && reply.Error != "" {
			err = errors.New(reply.Error)
			g.replies <- answer{err: err}
			continue
		}
		if err != nil {
			return
		}
		g.replies <- answer{reply: reply}
	}
}

// Do runs one order and waits for its sample.
func (g *Generator) Do(ctx context.Context, order Order) (Reply, error) {
	if err := order.validate(); err != nil {
		return Reply{}, fmt.Errorf("order traffic: %w", err)
	}
	if err := g.orders.Encode(order); err != nil {
		return Reply{}, fmt.Errorf("order traffic: %w", err)
	}
	select {
	case got, ok := <-g.replies:
		if !ok {
			return Reply{}, errors.New("order traffic: the generator ended")
		}
		if got.err != nil {
			return Reply{}, fmt.Errorf("%s from %s to %s: %w", order.Kind, order.ClientNS, order.Dial, got.err)
		}
		return got.reply, nil
	case <-ctx.Done():
		// The generator is in the middle of an order and its next reply would be taken for another's.
		g.kill()
		return Reply{}, fmt.Errorf("order traffic: %w", ctx.Err())
	}
}

// Close ends the subprocess and waits for it.
func (g *Generator) Close() error {
	g.stdin.Close()
	g.kill()
	for range g.replies {
	}
	var exit *exec.ExitError
	if err := g.cmd.Wait(); err != nil && !errors.As(err, &exit) && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("end traffic generator: %w", err)
	}
	return nil
}

func (g *Generator) kill() {
	// An error means that it has ended already.
	_ = g.cmd.Process.Kill()
}
