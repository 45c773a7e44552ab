// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vethway/vethway/cmd/internal/bench/report"
	"github.com/vethway/vethway/cmd/internal/bench/stats"
	"github.com/vethway/vethway/cmd/internal/bench/target"
	"github.com/vethway/vethway/cmd/internal/bench/traffic"
	"github.com/vethway/vethway/test/netlab"
)

// A cross-check is a few pairs: it is to show that the two programs agree, not by how much of a per cent.
const (
	checkPairs   = 3
	iperfProgram = "iperf3"
)

// checkable says whether iperf3 can do the same: streams to a published port.
func checkable(c Cell) bool {
	streams, _ := c.Workload.Streams()
	return streams == 1 && c.Scenario == target.Published
}

// unchecked are the targets that a cross-check leaves away: what the two programs agree on does not hang on the way.
func unchecked(m target.Maker) bool { return m.Extra }

// crossCheck has iperf3 measure the same streams, in turn with our own generator.
func (r *runner) crossCheck(ctx context.Context, sites []built) ([]report.CrossCheck, error) {
	if _, err := exec.LookPath(iperfProgram); err != nil {
		r.Log.Info("no cross-check: iperf3 is not installed")
		return nil, nil
	}
	sites = slices.DeleteFunc(slices.Clone(sites), func(b built) bool { return unchecked(b.maker) })
	var checks []report.CrossCheck
	var errs []error
	for _, c := range r.Plan.Cells {
		if !checkable(c) {
			continue
		}
		turns, err := r.turns(ctx, c, sites)
		errs = append(errs, err)
		for i, t := range turns {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			r.say(fmt.Sprintf("iperf3 %s of %s", c, t.result.Target), i, len(turns))
			check, err := r.checkOne(ctx, c, t)
			checks, errs = append(checks, check), append(errs, err)
		}
	}
	return checks, errors.Join(errs...)
}

func (r *runner) checkOne(ctx context.Context, c Cell, t *turn) (report.CrossCheck, error) {
	check := report.CrossCheck{
		Scenario: t.result.Scenario, Workload: t.result.Workload, Family: t.result.Family, CPUs: t.result.CPUs,
		Target: t.result.Target, Unit: t.result.Unit, By: iperfProgram,
	}
	path, err := t.site.Path(c.Scenario, c.Workload.Proto, c.Family)
	if err != nil {
		return check, err
	}
	for range checkPairs {
		own := r.sample(ctx, c, t)
		if own.Error != "" {
			return check, errors.New(own.Error)
		}
		theirs, err := iperf(ctx, path, t.order)
		if err != nil {
			return check, fmt.Errorf("cross-check %s through %s: %w", c, t.result.Target, err)
		}
		check.Own, check.Theirs = append(check.Own, own.Value), append(check.Theirs, theirs*c.Workload.Scale)
	}
	check.Ratio = stats.Spread(stats.PairedRatios(check.Theirs, check.Own))
	return check, nil
}

// iperf is one run of iperf3 with the CPUs, the congestion control and the length of an order; it returns bits in a second.
func iperf(ctx context.Context, path target.Path, order traffic.Order) (float64, error) {
	// iperf3 knows whole seconds.
	seconds := max(int(order.Duration.Round(time.Second)/time.Second), 1)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+10*time.Second)
	defer cancel()
	server := pinned(ctx, path.Server, order.CPUs, "--server", "--one-off", "--forceflush",
		"--bind", order.Listen.Addr().String(), "--port", strconv.Itoa(int(order.Listen.Port())))
	listening := newWatch("Server listening")
	server.Stdout = listening
	if err := server.Start(); err != nil {
		return 0, fmt.Errorf("start iperf3's server: %w", err)
	}
	defer func() {
		cancel()
		// It has ended by itself, or by the context.
		_ = server.Wait()
	}()
	if err := listening.wait(ctx); err != nil {
		return 0, fmt.Errorf("wait for iperf3's server: %w", err)
	}
	args := []string{
		"--client", order.Dial.Addr().String(), "--port", strconv.Itoa(int(order.Dial.Port())), "--json", "--time", strconv.Itoa(seconds),
		"--congestion", traffic.CongestionControl, "--length", strconv.Itoa(order.Size), "--parallel", strconv.Itoa(order.Flows),
	}
	if order.FromServer {
		args = append(args, "--reverse")
	}
	out, err := pinned(ctx, path.Client, order.CPUs, args...).Output()
	bits, parseErr := parseIperf(out)
	if err != nil {
		return 0, errors.Join(fmt.Errorf("run iperf3: %w", err), parseErr)
	}
	return bits, parseErr
}

// pinned is iperf3 in a namespace and on some CPUs.
func pinned(ctx context.Context, ns *netlab.Namespace, cpus []int, args ...string) *exec.Cmd {
	var list []string
	for _, cpu := range cpus {
		list = append(list, strconv.Itoa(cpu))
	}
	cmd := ns.Command(ctx, "taskset", append([]string{"--cpu-list", strings.Join(list, ","), iperfProgram}, args...)...)
	cmd.WaitDelay = time.Second
	return cmd
}

// parseIperf reads what arrived from iperf3's JSON.
func parseIperf(out []byte) (float64, error) {
	var doc struct {
		Error string `json:"error"`
		End   struct {
			Received struct {
				Bits float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		return 0, fmt.Errorf("read iperf3's result: %w", err)
	}
	if doc.Error != "" {
		return 0, fmt.Errorf("iperf3: %s", doc.Error)
	}
	if doc.End.Received.Bits <= 0 {
		return 0, errors.New("iperf3 received nothing")
	}
	return doc.End.Received.Bits, nil
}

// watch takes a program's output and tells when it says something.
type watch struct {
	want []byte
	text bytes.Buffer
	seen chan struct{}
}

func newWatch(want string) *watch { return &watch{want: []byte(want), seen: make(chan struct{})} }

func (w *watch) Write(p []byte) (int, error) {
	before := bytes.Contains(w.text.Bytes(), w.want)
	w.text.Write(p)
	if !before && bytes.Contains(w.text.Bytes(), w.want) {
		close(w.seen)
	}
	return len(p), nil
}

func (w *watch) wait(ctx context.Context) error {
	select {
	case <-w.seen:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
