// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
)

// plan is what the machine is to do. It is a file in the initramfs.
type plan struct {
	Modules []string `json:"modules"`
	Suites  []suite  `json:"suites"`
}

const planFile = "plan.json"

// suite is one test binary, at /tests/NAME.
type suite struct {
	Name string   `json:"name"`
	Args []string `json:"args"`
}

// archive is what goes into an initramfs.
type archive struct {
	dirs  []string // each after the one that it is in
	files []struct{ name, from string }
}

// add adds a file, and the directories that it is in. A name that is there already stays what it is.
func (a *archive) add(name, from string) {
	for _, f := range a.files {
		if f.name == name {
			return
		}
	}
	a.addDir(path.Dir(name))
	a.files = append(a.files, struct{ name, from string }{name, from})
}

func (a *archive) addDir(name string) {
	if name == "." || slices.Contains(a.dirs, name) {
		return
	}
	a.addDir(path.Dir(name))
	a.dirs = append(a.dirs, name)
}

// write writes the initramfs.
func (a *archive) write(file string, job plan) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("create the initramfs: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return fmt.Errorf("compress the initramfs: %w", err)
	}
	if err := a.pack(z, job); err != nil {
		return fmt.Errorf("write the initramfs: %w", err)
	}
	return z.Close()
}

func (a *archive) pack(w io.Writer, job plan) error {
	c := &cpio{w: bufio.NewWriter(w)}
	for _, d := range a.dirs {
		c.entry(d, modeDir|0o755, 0, 0, nil)
	}
	// The Go runtime opens what is missing of its first three files as /dev/null,
	// and the kernel gives us /dev/console, before we can mount a /dev.
	c.entry("dev/console", modeDevice|0o600, 5, 1, nil)
	c.entry("dev/null", modeDevice|0o666, 1, 3, nil)
	text, err := json.Marshal(job)
	if err != nil {
		return err
	}
	c.entry(planFile, modeFile|0o644, 0, 0, text)
	for _, f := range a.files {
		data, err := os.ReadFile(f.from)
		if err != nil {
			return err
		}
		c.entry(f.name, modeFile|0o755, 0, 0, data)
	}
	return c.close()
}

// File types of a mode.
const (
	modeDevice = 0o020000 // a character device
	modeDir    = 0o040000
	modeFile   = 0o100000
)

// cpio writes the format "newc" (Documentation/driver-api/early-userspace/buffer-format.rst
// of the kernel). The first error stays, and ends it.
type cpio struct {
	w     *bufio.Writer
	n     int // bytes written
	inode int
	err   error
}

// entry writes a file, a directory (before what is in it) or a device.
func (c *cpio) entry(name string, mode, major, minor int, data []byte) {
	c.inode++
	c.header(name, c.inode, mode, len(data), major, minor)
	c.put(data)
	c.pad()
}

func (c *cpio) header(name string, inode, mode, size, major, minor int) {
	// inode, mode, uid, gid, links, mtime, size, device, device of a device,
	// length of the name with its NUL, checksum, which this variant has not
	head := []byte("070701")
	for _, v := range []int{inode, mode, 0, 0, 1, 0, size, 0, 0, major, minor, len(name) + 1, 0} {
		head = fmt.Appendf(head, "%08X", v)
	}
	c.put(head)
	c.put(append([]byte(name), 0))
	c.pad()
}

func (c *cpio) put(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(b)
		c.n += len(b)
	}
}

// pad goes to the next multiple of four.
func (c *cpio) pad() { c.put(make([]byte, -c.n&3)) }

func (c *cpio) close() error {
	c.header("TRAILER!!!", 0, 0, 0, 0, 0)
	if c.err != nil {
		return c.err
	}
	return c.w.Flush()
}
