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
	ctx context.Context // of the subprocess
	cfg Config
	now *process
}

// process is one that is running, or has ended.
type process struct {
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
// of its standard input. Should it end before, or not answer, the next order has another one.
func Start(ctx context.Context, cfg Config) (*Generator, error) {
	if len(cfg.Command) == 0 {
		return nil, errors.New("start traffic generator: no command given")
	}
	g := &Generator{ctx: ctx, cfg: cfg}
	return g, g.start()
}

func (g *Generator) start() error {
	cmd := exec.CommandContext(g.ctx, g.cfg.Command[0], g.cfg.Command[1:]...)
	cmd.Stderr = g.cfg.Stderr
	cmd.WaitDelay = time.Second
	// A thread that is inside a raw system call cannot stop for Go's preemption, so the signals would only disturb it.
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
	// A session of its own keeps the terminal's Ctrl-C away: the parent decides when traffic ends. It also is an
	// autogroup of its own, so that client and server share the CPU with each other and not with the shell.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start traffic generator: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start traffic generator: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start traffic generator: %w", err)
	}
	g.now = &process{cmd: cmd, orders: json.NewEncoder(stdin), stdin: stdin, replies: make(chan answer)}
	go g.now.read(stdout)
	return nil
}

func (p *process) read(stdout io.Reader) {
	defer close(p.replies)
	decoder := json.NewDecoder(stdout)
	for {
		var reply Reply
		err := decoder.Decode(&reply)
		if err == nil && reply.Error != "" {
			err = errors.New(reply.Error)
			p.replies <- answer{err: err}
			continue
		}
		if err != nil {
			return
		}
		p.replies <- answer{reply: reply}
	}
}

// slack is how much longer than ordered a sample may take: more than the calls of a path that has lost its packets do.
const slack = 10 * patience

// Do runs one order and waits for its sample.
func (g *Generator) Do(ctx context.Context, order Order) (Reply, error) {
	if err := order.validate(); err != nil {
		return Reply{}, fmt.Errorf("order traffic: %w", err)
	}
	if g.now == nil {
		if err := g.start(); err != nil {
			return Reply{}, err
		}
	}
	limit := time.NewTimer(order.Warmup + order.Duration + slack)
	defer limit.Stop()
	// In the middle of an order, its next reply would be taken for another's: whoever gives up ends it.
	if err := g.now.orders.Encode(order); err != nil {
		return Reply{}, errors.Join(fmt.Errorf("order traffic: %w", err), g.Close())
	}
	select {
	case got, ok := <-g.now.replies:
		switch {
		case !ok:
			return Reply{}, errors.Join(errors.New("order traffic: the generator ended"), g.Close())
		case got.err != nil:
			return Reply{}, fmt.Errorf("%s from %s to %s: %w", order.Kind, order.ClientNS, order.Dial, got.err)
		}
		return got.reply, nil
	case <-limit.C:
		return Reply{}, errors.Join(fmt.Errorf("order traffic: no sample after %v", order.Warmup+order.Duration+slack), g.Close())
	case <-ctx.Done():
		return Reply{}, errors.Join(fmt.Errorf("order traffic: %w", ctx.Err()), g.Close())
	}
}

// Close ends the subprocess and waits for it.
func (g *Generator) Close() error {
	p := g.now
	if p == nil {
		return nil
	}
	g.now = nil
	p.stdin.Close()
	// An error means that it has ended already.
	_ = p.cmd.Process.Kill()
	for range p.replies {
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("end traffic generator: %w", err)
	}
	return nil
}
