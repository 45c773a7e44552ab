// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// QdiscFile is the file in Config.StateDir that says on which interfaces we made the clsact qdisc. The kernel cannot say:
// a qdisc has nothing that its maker could mark. After a restart we would take our own for somebody else's, and leave it.
const QdiscFile = "qdiscs.json"

const bootIDPath = "/proc/sys/kernel/random/boot_id"

// qdiscs holds the ifindexes of interfaces on which we made the clsact qdisc. Links.mu guards it.
type qdiscs struct {
	path string // empty: not kept
	made map[int]bool
	file qdiscRecord
}

// qdiscRecord is the file. It means something only for as long as the machine and the namespace last.
type qdiscRecord struct {
	Boot       string
	Netns      uint64
	Interfaces []int
}

// openQdiscs reads what an earlier process made, less what is gone. A file that makes no sense costs an empty qdisc that stays
// behind, and is no reason not to start.
func (l *Links) openQdiscs(dir string) error {
	l.qdiscs.made = map[int]bool{}
	if dir == "" {
		return nil
	}
	boot, err := os.ReadFile(bootIDPath)
	if err != nil {
		return fmt.Errorf("tell this boot from others: %w", err)
	}
	l.qdiscs.path = filepath.Join(dir, QdiscFile)
	l.qdiscs.file = qdiscRecord{Boot: strings.TrimSpace(string(boot)), Netns: l.ns.cookie}
	data, err := os.ReadFile(l.qdiscs.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the list of qdiscs made: %w", err)
	}
	var was qdiscRecord
	if err := json.Unmarshal(data, &was); err != nil {
		l.log.Warn("the list of qdiscs made is damaged", "file", l.qdiscs.path, "error", err)
		return nil
	}
	if was.Boot != l.qdiscs.file.Boot || was.Netns != l.qdiscs.file.Netns {
		return nil
	}
	for _, index := range was.Interfaces {
		if _, err := l.h.LinkByIndex(index); err == nil {
			l.qdiscs.made[index] = true
		}
	}
	return nil
}

// setQdisc notes whether the qdisc of an interface is ours, and writes that down. Without the note an empty qdisc may stay behind one
// day: no reason to leave an interface without its program today.
func (l *Links) setQdisc(index int, ours bool) {
	q := &l.qdiscs
	if q.made[index] == ours {
		return
	}
	if ours {
		q.made[index] = true
	} else {
		delete(q.made, index)
	}
	if q.path == "" {
		return
	}
	q.file.Interfaces = slices.Sorted(maps.Keys(q.made))
	if err := q.write(); err != nil {
		l.log.Warn("the list of qdiscs made is not written", "error", err)
	}
}

// write replaces the file. It is not synced: it is worthless after what a sync protects from.
func (q *qdiscs) write() error {
	data, err := json.Marshal(q.file)
	if err != nil {
		return err
	}
	temporary := q.path + ".new"
	if err := os.WriteFile(temporary, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, q.path)
}

// dropQdiscs removes every qdisc of ours that nobody uses.
func (l *Links) dropQdiscs() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for index := range l.qdiscs.made {
		errs = append(errs, l.dropEmpty(index))
	}
	return join(errs...)
}
