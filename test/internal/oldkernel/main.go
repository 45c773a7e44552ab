// SPDX-License-Identifier: Apache-2.0

// Command oldkernel runs the tests that are nearest to the kernel on an old one:
// it takes Debian's package of one, boots it in qemu with the test binaries, the
// daemon and the tools that they call in its initramfs, and judges what they say.
// The /init of that machine is this very program. The kernel that verifies and runs
// our programs is what is tested: a helper may be there on both, and return
// something else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// suites are the packages whose tests run; the names are those of their binaries.
var suites = []struct{ name, pkg string }{
	{"bpf", "./bpf"},
	{"link", "./control/link"},
	{"dataplane", "./control/dataplane"},
	{"packet", "./test/packet"},
	{"host", "./test/host"},
}

// programs are what the tests of test/host start; they look for the daemon beside themselves.
var programs = []struct{ name, pkg string }{
	{"vethwayd", "./cmd/vethwayd"},
}

// tools are the programs of this machine that the tests call.
var tools = []string{
	"nsenter", "ip", "tc", "bridge", "sh", "cat", "sleep", "sysctl", "ethtool", "traceroute",
	"nft", "iptables", "ip6tables", "iptables-save", "ip6tables-save", "conntrack",
}

// leftOut are the tests that do not run unless -skip says otherwise.
var leftOut = []struct{ pattern, why string }{
	{"^Fuzz", "thousands of packets each, with programs that are marked in every block"},
	{"^TestCorpus", "about the files of the fuzz targets, which are not in the machine"},
	{"^TestAllocatorProof$", "a storm on all CPUs, which emulation makes minutes of"},
	{"^TestSyncReachesAnyStateFromAnyOther$", "hundreds of random states, which emulation makes an hour of"},
}

// maySkip are the tests and subtests that may skip themselves on an old kernel, and why.
var maySkip = []leave{
	{regexp.MustCompile(`^(Test\w+/tcx|TestClsactForReal)$`), "tcx is of Linux 6.6; the same is done by clsact"},
	{regexp.MustCompile(`^TestPortOwnerOfBound$`), "sockets that are bound and do not listen are listed since Linux 6.8"},
	{regexp.MustCompile(`^(TestDetourLasts|TestFragments(Hairpin|/clsact)/(the_last_one_first|tangled))$`), "fragments are put in order for programs since Linux 6.6"},
	{regexp.MustCompile(`^Test((Uplink)?PacketSizes?|BigTCP(FollowsUplinks)?)$`), "sizes of IPv4 packets beyond 64 KiB are of Linux 6.3"},
}

type config struct {
	kernel    string // a .deb, or the name of a package
	suite     string // the only one; empty: all
	run, skip string // patterns as those of go test
	time      time.Duration
	dir       string // for all that is fetched and built
}

func main() {
	if os.Getpid() == 1 {
		guest()
		return
	}
	c := config{dir: filepath.Join("bin", "old-kernel")}
	flag.StringVar(&c.kernel, "kernel", "", "the kernel, a `package` or a .deb file (default: Debian's newest 6.1 for the cloud)")
	flag.StringVar(&c.suite, "suite", "", "run this `suite` only: "+strings.Join(suiteNames(), ", "))
	flag.StringVar(&c.run, "run", "", "run the tests that match this `pattern` only")
	flag.StringVar(&c.skip, "skip", defaultSkip(), "leave out the tests that match this `pattern`")
	flag.DurationVar(&c.time, "time", 90*time.Minute, "how long the machine may run")
	flag.Parse()
	if c.suite != "" && !slices.Contains(suiteNames(), c.suite) {
		fmt.Fprintf(os.Stderr, "oldkernel: there is no suite %q\n", c.suite)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, c)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "oldkernel:", err)
		os.Exit(1)
	}
}

func suiteNames() (names []string) {
	for _, s := range suites {
		names = append(names, s.name)
	}
	return names
}

func defaultSkip() string {
	var all []string
	for _, l := range leftOut {
		all = append(all, l.pattern)
	}
	return strings.Join(all, "|")
}

func run(ctx context.Context, c config) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	k, err := getKernel(ctx, c.dir, c.kernel)
	if err != nil {
		return err
	}
	initrd := filepath.Join(c.dir, "initrd.gz")
	if err := c.pack(ctx, k, initrd); err != nil {
		return err
	}
	if c.skip == defaultSkip() {
		for _, l := range leftOut {
			fmt.Printf("left out: %-22s %s\n", l.pattern, l.why)
		}
	}
	fmt.Printf("boot Linux %s, for %s at most\n", k.release, c.time)
	j := newJudge(os.Stdout, maySkip)
	start := time.Now()
	bootErr := boot(ctx, c, k, initrd, j)
	j.end()
	return errors.Join(bootErr, j.summary(k.release, time.Since(start)))
}

// pack builds the binaries and writes the initramfs.
func (c config) pack(ctx context.Context, k kernel, path string) error {
	a := archive{dirs: []string{"dev", "proc", "sys", "run", "tmp", "var", "var/lib", "root"}}
	var job plan
	init := filepath.Join(c.dir, "init")
	if err := gobuild(ctx, "build", init, "./test/internal/oldkernel"); err != nil {
		return err
	}
	a.add("init", init)
	for _, m := range k.modules {
		name := "modules/" + filepath.Base(m)
		a.add(name, m)
		job.Modules = append(job.Modules, "/"+name)
	}
	for _, t := range tools {
		if err := a.addTool(ctx, t); err != nil {
			return err
		}
	}
	for _, p := range programs {
		bin := filepath.Join(c.dir, p.name)
		fmt.Println("build", p.pkg)
		if err := gobuild(ctx, "build", bin, p.pkg); err != nil {
			return err
		}
		a.add("tests/"+p.name, bin)
	}
	for _, s := range suites {
		if c.suite != "" && s.name != c.suite {
			continue
		}
		bin := filepath.Join(c.dir, s.name+".test")
		fmt.Println("build", s.pkg)
		if err := gobuild(ctx, "test", bin, s.pkg, "-c"); err != nil {
			return err
		}
		a.add("tests/"+s.name, bin)
		args := []string{"-test.v", "-test.timeout=0"}
		if c.run != "" {
			args = append(args, "-test.run="+c.run)
		}
		if c.skip != "" {
			args = append(args, "-test.skip="+c.skip)
		}
		job.Suites = append(job.Suites, suite{Name: s.name, Args: args})
	}
	return a.write(path, job)
}

func gobuild(ctx context.Context, verb, out, pkg string, flags ...string) error {
	args := append([]string{verb, "-trimpath", "-o", out}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64", "GOOS=linux")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	return nil
}
