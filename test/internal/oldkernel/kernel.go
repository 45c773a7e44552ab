// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// wanted are the modules that the tests use. Nothing in the machine loads one when the kernel asks for it.
var wanted = []string{
	"bridge", "veth", "tun", "macvlan", "sch_ingress", "cls_bpf", "cls_u32", "tcp_diag", "udp_diag",
	// The host's own firewall, which is not to notice us, and the defragmentation on the detour.
	"nf_conntrack_netlink", "nf_defrag_ipv6", "nf_tables", "nft_compat", "nft_chain_nat", "nft_ct", "nft_masq", "nft_reject_inet", "br_netfilter",
	"xt_conntrack", "xt_MASQUERADE", "xt_REDIRECT",
}

// kernel is an unpacked kernel.
type kernel struct {
	image   string
	release string
	modules []string // paths, in the order to load them in
}

// getKernel finds the kernel that is asked for, in the cache or among Debian's
// packages, and unpacks it.
func getKernel(ctx context.Context, dir, name string) (kernel, error) {
	deb := name
	if !strings.HasSuffix(name, ".deb") {
		var err error
		if deb, err = download(ctx, dir, name); err != nil {
			return kernel{}, err
		}
	}
	tree := filepath.Join(dir, strings.TrimSuffix(filepath.Base(deb), ".deb"))
	if _, err := os.Stat(tree); err == nil {
		return findKernel(tree)
	}
	partial := tree + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return kernel{}, fmt.Errorf("remove what was unpacked halfway: %w", err)
	}
	if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", deb, partial).CombinedOutput(); err != nil {
		return kernel{}, fmt.Errorf("unpack %s: %w: %s", deb, err, out)
	}
	if err := os.Rename(partial, tree); err != nil {
		return kernel{}, fmt.Errorf("unpack %s: %w", deb, err)
	}
	return findKernel(tree)
}

// download gets a package into the cache, unless it is there. Without a name it
// is the newest 6.1.
func download(ctx context.Context, dir, name string) (string, error) {
	if name == "" {
		out, err := exec.CommandContext(ctx, "apt-cache", "search", "--names-only", "^linux-image-6[.]1[.].*-cloud-amd64$").Output()
		if err != nil {
			return "", fmt.Errorf("list the kernels: %w", err)
		}
		if name = newest(string(out)); name == "" {
			return "", errors.New("no linux-image-6.1.*-cloud-amd64 among the packages, which are those of Debian 12: try apt-get update, or give another by -kernel")
		}
	}
	out, err := exec.CommandContext(ctx, "apt-get", "download", "--print-uris", name).Output()
	if err != nil {
		return "", fmt.Errorf("look for %s: %w", name, err)
	}
	file, err := debName(string(out))
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, file)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	fmt.Println("download", name)
	cmd := exec.CommandContext(ctx, "apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", name)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("download %s: %w", name, err)
	}
	return path, nil
}

var listed = regexp.MustCompile(`(?m)^(linux-image-6\.1\.(\d+)-(\d+)-cloud-amd64) `)

// newest picks the newest of the kernels that apt-cache lists.
func newest(list string) string {
	var name string
	var best []int
	for _, m := range listed.FindAllStringSubmatch(list, -1) {
		patch, patchErr := strconv.Atoi(m[2])
		abi, abiErr := strconv.Atoi(m[3])
		if v := []int{patch, abi}; patchErr == nil && abiErr == nil && slices.Compare(v, best) > 0 {
			name, best = m[1], v
		}
	}
	return name
}

// debName is the file's name in what apt-get says of a download: 'URI' NAME SIZE HASH.
func debName(uris string) (string, error) {
	for line := range strings.Lines(uris) {
		if f := strings.Fields(line); len(f) >= 3 && strings.HasSuffix(f[1], ".deb") && filepath.Base(f[1]) == f[1] {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("no package in what apt-get says: %q", uris)
}

// findKernel finds the image and the modules in an unpacked package.
func findKernel(tree string) (kernel, error) {
	image, release, files, builtin, err := findTree(tree)
	if err != nil {
		return kernel{}, err
	}
	modules, err := pickModules(files, builtin, moduleDepends)
	return kernel{image, release, modules}, err
}

// findTree finds the image, all files beside the modules, and the list of what is built in.
func findTree(tree string) (image, release string, files []string, builtin string, err error) {
	const prefix = "vmlinuz-"
	images, err := filepath.Glob(filepath.Join(tree, "boot", prefix+"*"))
	if err != nil || len(images) != 1 {
		return "", "", nil, "", fmt.Errorf("%s has %d kernels: %w", tree, len(images), errors.Join(err, fs.ErrNotExist))
	}
	// Since the merge of /usr, it is usr/lib.
	for _, lib := range []string{"lib", "usr/lib"} {
		err := filepath.WalkDir(filepath.Join(tree, lib, "modules"), func(p string, _ fs.DirEntry, err error) error {
			if err == nil {
				files = append(files, p)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", "", nil, "", fmt.Errorf("look for modules: %w", err)
		}
	}
	for _, f := range files {
		if filepath.Base(f) == "modules.builtin" {
			b, err := os.ReadFile(f)
			if err != nil {
				return "", "", nil, "", fmt.Errorf("read what is built in: %w", err)
			}
			builtin += string(b)
		}
	}
	return images[0], strings.TrimPrefix(filepath.Base(images[0]), prefix), files, builtin, nil
}

// pickModules finds the wanted modules among files, but for those built in, and in front of each what it depends on.
func pickModules(files []string, builtin string, depends func(path string) ([]string, error)) ([]string, error) {
	var all []string
	var pick func(name string) error
	pick = func(name string) error {
		i := slices.IndexFunc(files, func(f string) bool { return moduleName(f) == moduleName(name+".ko") })
		if i < 0 {
			for line := range strings.Lines(builtin) {
				if moduleName(strings.TrimSpace(line)) == moduleName(name+".ko") {
					return nil
				}
			}
			return fmt.Errorf("the kernel has no module %s that is not compressed, nor is it built in", name)
		}
		if slices.Contains(all, files[i]) {
			return nil
		}
		needs, err := depends(files[i])
		if err != nil {
			return err
		}
		for _, n := range needs {
			if err := pick(n); err != nil {
				return fmt.Errorf("%s needs another: %w", name, err)
			}
		}
		all = append(all, files[i])
		return nil
	}
	for _, name := range wanted {
		if err := pick(name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// moduleName is a file's name as the kernel compares it: - and _ are one. It is empty for what is no module.
func moduleName(path string) string {
	name, ok := strings.CutSuffix(filepath.Base(path), ".ko")
	if !ok {
		return ""
	}
	return strings.ReplaceAll(name, "-", "_")
}

// moduleDepends reads what a module needs from its section .modinfo, a list of NAME=VALUE that each end with NUL.
func moduleDepends(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("module %s says nothing of itself", path)
	}
	info, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("read what module %s says of itself: %w", path, err)
	}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			return strings.Split(list, ","), nil
		}
	}
	return nil, nil
}
