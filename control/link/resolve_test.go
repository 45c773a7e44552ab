// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/test/netlab"
)

func TestOpenNamespace(t *testing.T) {
	l := newLab(t)
	name := fmt.Sprintf("vwlink%d", os.Getpid())
	ns, err := netlab.NewNamespace(netlab.NamespaceConfig{Name: name, Public: true})
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	cmd := ns.Command(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	pid := fmt.Sprint(cmd.Process.Pid)
	l.waitFor(func() bool {
		ref, err := l.OpenNamespace(t.Context(), pid)
		return err == nil && ref.Cookie == ns.Cookie() && ref.Path == "/proc/"+pid+"/ns/net"
	})
	for _, ref := range []string{name, "/run/netns/" + name} {
		got, err := l.OpenNamespace(t.Context(), ref)
		if err != nil || got.Cookie != ns.Cookie() || got.Path != "/run/netns/"+name {
			t.Errorf("%s: %+v, %v", ref, got, err)
		}
	}
	empty := t.TempDir() + "/empty"
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]struct {
		is   error
		says string
	}{
		"no-such-name":       {control.ErrNamespaceGone, "/run/netns/no-such-name, /var/run/docker/netns/no-such-name"},
		"2147483646":         {control.ErrNamespaceGone, "/proc/2147483646/ns/net, /run/netns/2147483646"},
		"/no/such/path":      {control.ErrNamespaceGone, "tried /no/such/path"},
		l.host.Path():        {control.ErrHostNamespace, l.host.Path()},
		"":                   {nil, "neither path, pid nor name"},
		"..":                 {nil, "neither path, pid nor name"},
		empty:                {control.ErrNamespaceGone, "an empty file"},
		"/proc/self/ns/mnt":  {nil, "not a network namespace"},
		"/proc/self/cmdline": {nil, "not a network namespace"},
	} {
		_, err := l.OpenNamespace(t.Context(), ref)
		if err == nil || !strings.Contains(err.Error(), want.says) || want.is != nil && !errors.Is(err, want.is) {
			t.Errorf("%q: %v; want %v, %q", ref, err, want.is, want.says)
		}
	}
}

func TestNewRefusesWhatIsNoNamespace(t *testing.T) {
	for _, path := range []string{"/no/such/path", "/proc/self/ns/mnt"} {
		if l, err := New(Config{Namespace: path}); err == nil {
			l.Close()
			t.Errorf("%s was taken for a namespace", path)
		}
	}
}
