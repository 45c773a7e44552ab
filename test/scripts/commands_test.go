// SPDX-License-Identifier: Apache-2.0

package scripts

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/vethway/vethway/test/netlab"
)

type command = func(ts *testscript.TestScript, neg bool, args []string)

// verb is a command that returns an error rather than failing the scenario, so that others can be built on it.
type verb func(ts *testscript.TestScript, args []string) error

// verbs are the commands that run something.
func verbs() map[string]verb {
	return map[string]verb{
		"vethway":  program("vethway"),
		"vethwayd": program("vethwayd"),
		"host":     within("host"),
		"remote":   within("remote"),
		"in":       in,
		"ask":      ask,
		"daemon":   control,
		"stream":   stream,
		"exec":     func(ts *testscript.TestScript, args []string) error { return ts.Exec(args[0], args[1:]...) },
	}
}

func commands() map[string]command {
	cmds := map[string]command{"serve": serve, "netns": makeNetns, "endnetns": endNetns, "exits": exits, "normalise": normalise, "eventually": eventually}
	for name, v := range verbs() {
		if name == "exec" {
			continue // testscript has it
		}
		cmds[name] = func(ts *testscript.TestScript, neg bool, args []string) { judge(ts, neg, v(ts, args)) }
	}
	return cmds
}

func judge(ts *testscript.TestScript, neg bool, err error) {
	if err != nil {
		ts.Logf("[%v]", err)
	}
	if neg && err == nil {
		ts.Fatalf("unexpected success")
	}
	if !neg && err != nil {
		ts.Fatalf("unexpected failure: %v", err)
	}
}

func program(name string) verb {
	return func(ts *testscript.TestScript, args []string) error { return ts.Exec(name, args...) }
}

func within(where string) verb {
	return func(ts *testscript.TestScript, args []string) error {
		return in(ts, append([]string{where}, args...))
	}
}

func in(ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: in CONTAINER COMMAND...")
	}
	ns, done, err := labOf(ts).namespace(args[0])
	if err != nil {
		return err
	}
	defer done()
	return ts.Exec("nsenter", append([]string{"--net=" + ns.Path(), "--"}, args[1:]...)...)
}

func control(ts *testscript.TestScript, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: daemon start|stop|kill|reload")
	}
	l := labOf(ts)
	switch args[0] {
	case "start":
		return l.startDaemon(os.Environ(), args[1:])
	case "stop":
		return l.endDaemon(unix.SIGTERM)
	case "kill":
		return l.endDaemon(unix.SIGKILL)
	case "reload":
		if l.daemon == nil {
			return errors.New("the daemon does not run")
		}
		return l.daemon.Process.Signal(unix.SIGHUP)
	}
	return fmt.Errorf("daemon %s: want start, stop, kill or reload", args[0])
}

func makeNetns(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: netns NAME")
	}
	l := labOf(ts)
	ns, err := netlab.NewNamespace(netlab.NamespaceConfig{Name: args[0]})
	ts.Check(err)
	l.extra[args[0]] = ns
	ts.Setenv(args[0], ns.Path())
}

// endNetns ends a namespace as its maker would, without a word to anybody.
func endNetns(ts *testscript.TestScript, neg bool, args []string) {
	l := labOf(ts)
	if neg || len(args) != 1 || l.extra[args[0]] == nil {
		ts.Fatalf("usage: endnetns NAME, of one that netns made")
	}
	ts.Check(l.extra[args[0]].Close())
	delete(l.extra, args[0])
}

func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: serve WHERE LABEL PORT")
	}
	l := labOf(ts)
	ns, done, err := l.namespace(args[0])
	ts.Check(err)
	defer done()
	port, err := strconv.ParseUint(args[2], 10, 16)
	ts.Check(err)
	s, err := netlab.Whoami(context.Background(), ns, netlab.ServerConfig{Label: args[1], Port: uint16(port)})
	ts.Check(err)
	l.servers = append(l.servers, s)
}

// ask prints who the server saw: a container that is asked through its gateway, say, sees the gateway.
func ask(ts *testscript.TestScript, args []string) error {
	if len(args) != 3 {
		return errors.New("usage: ask WHERE tcp|udp ADDRESS:PORT")
	}
	ns, done, err := labOf(ts).namespace(args[0])
	if err != nil {
		return err
	}
	defer done()
	addr, err := netip.ParseAddrPort(args[2])
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	seen, err := netlab.WhoAmI(context.Background(), ns, args[1], addr, netlab.WhoAmIOptions{Timeout: 2 * time.Second})
	if err != nil {
		return err
	}
	return ts.Exec("echo", seen.Server, "saw", seen.Peer.Addr().String())
}

// exits runs a command and wants its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	v, ok := verbs()[args[1]]
	if !ok {
		ts.Fatalf("exits: unknown command %s", args[1])
	}
	err = v(ts, args[2:])
	got := 0
	var end *exec.ExitError
	switch {
	case errors.As(err, &end):
		got = end.ExitCode()
	case err != nil:
		ts.Fatalf("%s: %v", strings.Join(args[1:], " "), err)
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// eventually is for what follows a netlink event or a process's end.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: eventually COMMAND...")
	}
	v, ok := verbs()[args[0]]
	if !ok {
		ts.Fatalf("eventually: unknown command %s", args[0])
	}
	var err error
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = v(ts, args[1:]); (err == nil) != neg {
			return
		}
	}
	ts.Fatalf("%s: not within five seconds: %v", strings.Join(args, " "), err)
}
