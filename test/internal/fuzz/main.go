// SPDX-License-Identifier: Apache-2.0

// Command fuzz runs every fuzz target of the module, one after the other, each
// for its share of the time, and closes with a table. What makes a target fail
// is written into its testdata, and every `go test` sends it again.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	total := flag.Duration("time", 10*time.Minute, "how long, all targets together")
	only := flag.String("only", "", "run the targets that match this `pattern` only")
	flag.Parse()
	if err := run(context.Background(), *total, *only, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// target is a fuzz target, and what became of it.
type target struct {
	pkg, name   string
	executions  string
	interesting string
	overrun     bool // the go command says that the time is over, as if that were a failure
	found       bool // an input that fails
	err         error
}

func run(ctx context.Context, total time.Duration, only string, packages []string) error {
	if len(packages) == 0 {
		packages = []string{"./..."}
	}
	targets, err := list(ctx, packages)
	if err != nil {
		return err
	}
	if only != "" {
		pattern, err := regexp.Compile(only)
		if err != nil {
			return fmt.Errorf("pattern %q: %w", only, err)
		}
		var kept []target
		for _, t := range targets {
			if pattern.MatchString(t.pkg + "." + t.name) {
				kept = append(kept, t)
			}
		}
		targets = kept
	}
	if len(targets) == 0 {
		return errors.New("there are no fuzz targets")
	}
	share := total / time.Duration(len(targets))
	fmt.Printf("%d targets, %s each\n", len(targets), share.Round(time.Second))
	var errs []error
	for i := range targets {
		t := &targets[i]
		if t.err = t.run(ctx, share); t.err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", t.pkg, t.name, t.err))
		}
	}
	table(os.Stdout, targets)
	return errors.Join(errs...)
}

// list finds all targets. It reads the sources: the go command's own list takes
// building every test there is.
func list(ctx context.Context, packages []string) ([]target, error) {
	const format = `{{$p := .}}{{range .TestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}
{{end}}{{range .XTestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}
{{end}}`
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-f", format}, packages...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages: %w", err)
	}
	var all []target
	for line := range strings.Lines(string(out)) {
		pkg, file, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("list the targets: %w", err)
		}
		for _, name := range names(string(source)) {
			all = append(all, target{pkg: pkg, name: name})
		}
	}
	return all, nil
}

var declaration = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// names are the targets that a source file declares.
func names(source string) []string {
	var all []string
	for _, m := range declaration.FindAllStringSubmatch(source, -1) {
		all = append(all, m[1])
	}
	return all
}

// run fuzzes one target, and shows what the go command says. Inputs are not made
// smaller: what a packet reaches depends on the second in which it comes, and
// most of the time would go into trying again.
func (t *target) run(ctx context.Context, d time.Duration) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-vet=off", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", d.String(), "-fuzzminimizetime", "0s", t.pkg)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("pipe from go test: %w", err)
	}
	fmt.Printf("\n=== %s %s\n", t.pkg, t.name)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go test: %w", err)
	}
	readErr := t.follow(out, os.Stdout)
	return errors.Join(readErr, t.judge(cmd.Wait()))
}

// judge takes the end of the time for what it is. Before Go 1.27 the fuzzing engine now and then reports it as the
// target's failure (go.dev/issue/75804); an input that does fail is always written down, and said so.
func (t *target) judge(err error) error {
	if t.overrun && !t.found {
		return nil
	}
	return err
}

var progress = regexp.MustCompile(`^fuzz: elapsed: \S+, execs: (\d+) .*new interesting: (\d+)`)

// follow passes the output on, and notes how far the target got. Of the lines
// about progress it shows one in ten.
func (t *target) follow(r io.Reader, w io.Writer) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 0; lines.Scan(); {
		if m := progress.FindStringSubmatch(lines.Text()); m != nil {
			t.executions, t.interesting = m[1], m[2]
			if n++; n%10 != 1 {
				continue
			}
		}
		t.overrun = t.overrun || lines.Text() == "    context deadline exceeded"
		t.found = t.found || strings.Contains(lines.Text(), "Failing input written")
		fmt.Fprintln(w, lines.Text())
	}
	return lines.Err()
}

func table(out io.Writer, targets []target) {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PACKAGE\tTARGET\tEXECUTIONS\tNEW INPUTS\tRESULT")
	for _, t := range targets {
		result := "ok"
		if t.err != nil {
			result = "FAIL"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.pkg, t.name, t.executions, t.interesting, result)
	}
	w.Flush()
}
