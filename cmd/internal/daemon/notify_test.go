// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vethway/vethway/cmd/internal/cli/exit"
	"github.com/vethway/vethway/control/api"
)

func TestNotify(t *testing.T) {
	dir, err := os.MkdirTemp("", "vwn-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{filepath.Join(dir, "notify"), "@vethway-test-" + filepath.Base(dir)} {
		listen := name
		if listen[0] == '@' {
			listen = "\x00" + listen[1:]
		}
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: listen, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		if err := notify(name, "READY=1"); err != nil {
			t.Error(err)
		}
		buf := make([]byte, 32)
		if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if err != nil || string(buf[:n]) != "READY=1" {
			t.Errorf("%q: read %q, %v", name, buf[:n], err)
		}
		c.Close()
	}
	if err := notify("", "READY=1"); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
	if err := notify(filepath.Join(dir, "nobody"), "READY=1"); err == nil {
		t.Error("nobody listens, and it was no error")
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	first, err := acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = acquire(dir)
	if code, hint := exit.Classify(err); code != exit.Of(api.Locked) || hint == "" {
		t.Errorf("the second: %v", err)
	}
	if err := first.release(); err != nil {
		t.Fatal(err)
	}
	again, err := acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.release(); err != nil {
		t.Fatal(err)
	}
}
