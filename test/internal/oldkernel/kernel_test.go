// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// tree makes an unpacked package with all wanted modules but those that are built in.
func tree(t *testing.T, lib, builtin string) string {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{"boot/vmlinuz-6.1.0-5": "", lib + "/modules/6.1.0-5/modules.builtin": builtin}
	for _, m := range append([]string{"llc", "stp", "other"}, wanted...) {
		if !strings.Contains(builtin, "/"+m+".ko") {
			files[lib+"/modules/6.1.0-5/kernel/net/"+m+".ko"] = m
		}
	}
	for name, text := range files {
		p := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFindTree(t *testing.T) {
	for _, lib := range []string{"lib", "usr/lib"} {
		image, release, files, builtin, err := findTree(tree(t, lib, "kernel/net/llc/llc.ko\n"))
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(image) != "vmlinuz-6.1.0-5" || release != "6.1.0-5" || builtin != "kernel/net/llc/llc.ko\n" {
			t.Errorf("%s: %s, %s, %q", lib, image, release, builtin)
		}
		if !slices.ContainsFunc(files, func(f string) bool { return filepath.Base(f) == "bridge.ko" }) {
			t.Errorf("%s: no bridge among %q", lib, files)
		}
	}
	if _, err := findKernel(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no kernel: %v", err)
	}
}

func TestPickModules(t *testing.T) {
	needs := map[string][]string{"bridge": {"stp", "llc"}, "stp": {"llc"}, "cls_bpf": {"nft-ct"}}
	depends := func(path string) ([]string, error) { return needs[moduleName(path)], nil }
	var files []string
	for _, m := range append([]string{"other", "llc", "stp"}, wanted...) {
		files = append(files, "/m/"+m+".ko")
	}
	builtin := "kernel/drivers/net/veth.ko\n"
	files = slices.DeleteFunc(files, func(f string) bool { return f == "/m/veth.ko" })
	got, err := pickModules(files, builtin, depends)
	if err != nil {
		t.Fatal(err)
	}
	place := make(map[string]int)
	for i, f := range got {
		place[moduleName(f)] = i + 1
	}
	if len(got) != len(wanted)+1 || place["veth"] != 0 || place["other"] != 0 { // llc and stp came, veth did not
		t.Errorf("%d modules: %q", len(got), got)
	}
	for module, before := range needs {
		for _, b := range before {
			if b = moduleName(b + ".ko"); place[b] == 0 || place[b] > place[module] {
				t.Errorf("%s is not in front of %s: %q", b, module, got)
			}
		}
	}
	for name, broken := range map[string][]string{
		"compressed": append(slices.DeleteFunc(slices.Clone(files), func(f string) bool { return f == "/m/tun.ko" }), "/m/tun.ko.xz"),
		"a need":     slices.DeleteFunc(slices.Clone(files), func(f string) bool { return f == "/m/llc.ko" }),
	} {
		if got, err := pickModules(broken, builtin, depends); err == nil {
			t.Errorf("%s is missing: %q", name, got)
		}
	}
}

func TestParseLibraries(t *testing.T) {
	const ldd = `	linux-vdso.so.1 (0x00007ffd2b5f2000)
	libmnl.so.0 => /lib/x86_64-linux-gnu/libmnl.so.0 (0x00007f3a5c1f4000)
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f3a5be00000)
	/lib64/ld-linux-x86-64.so.2 (0x00007f3a5c3b2000)
`
	want := []string{"/lib/x86_64-linux-gnu/libmnl.so.0", "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}
	if got := parseLibraries(ldd); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := parseLibraries("\tnot a dynamic executable\n"); got != nil {
		t.Errorf("of none, %q", got)
	}
}
