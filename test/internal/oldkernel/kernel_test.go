// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestNewest(t *testing.T) {
	const list = `linux-image-6.1.0-9-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.1.0-50-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.1.0-50-cloud-amd64-dbg - Debug symbols
linux-image-6.1.0-60-cloud-amd64-unsigned - Linux 6.1 for x86-64 cloud
linux-image-6.12.0-70-cloud-amd64 - Linux 6.12
linux-image-6.1.0-47-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
`
	if got := newest(list); got != "linux-image-6.1.0-50-cloud-amd64" {
		t.Errorf("got %q", got)
	}
	if got := newest("linux-image-6.12.0-70-cloud-amd64 - x\n"); got != "" {
		t.Errorf("of no kernel, %q", got)
	}
}

func TestDebName(t *testing.T) {
	got, err := debName("'http://deb.example/l/linux/x_6.1_amd64.deb' x_6.1_amd64.deb 123 SHA256:00\n")
	if err != nil || got != "x_6.1_amd64.deb" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{"", "E: no such package\n", "'u' ../x.deb 1 h\n"} {
		if got, err := debName(bad); err == nil {
			t.Errorf("%q gives %q", bad, got)
		}
	}
}

// tree makes an unpacked package; nothing of it has a content but what is built in.
func tree(t *testing.T, lib, builtin string, modules ...string) string {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{"boot/vmlinuz-6.1.0-5": "", lib + "/modules/6.1.0-5/modules.builtin": builtin}
	for _, m := range modules {
		files[lib+"/modules/6.1.0-5/kernel/net/"+m] = ""
	}
	for name, text := range files {
		p := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFindKernel(t *testing.T) {
	for _, lib := range []string{"lib", "usr/lib"} {
		k, err := findKernel(tree(t, lib, "kernel/net/llc/llc.ko\n", "veth.ko", "macvlan.ko", "tun.ko", "bridge.ko", "stp.ko", "other.ko"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, m := range k.modules {
			names = append(names, filepath.Base(m))
		}
		if got := fmt.Sprintf("%s %v", k.release, names); got != "6.1.0-5 [stp.ko bridge.ko veth.ko tun.ko macvlan.ko]" {
			t.Errorf("%s: got %s", lib, got)
		}
	}
	if k, err := findKernel(tree(t, "lib", "", "veth.ko.xz")); err == nil {
		t.Errorf("modules that are missing: %+v", k)
	}
	if k, err := findKernel(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no kernel: %+v, %v", k, err)
	}
}
