// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// Record is what `vethway run` leaves behind about its processes, for ps, stop and exec.
type Record struct {
	Name    string    `json:"name"`
	PID     int       `json:"pid"`    // of the command
	Runner  int       `json:"runner"` // of the vethway that waits for it and cleans up
	Born    string    `json:"born"`   // the runner's start time: tells it from a later process with its number
	Command []string  `json:"command"`
	Started time.Time `json:"started"`
}

// Write saves the record of a process that this process runs.
func (d Dir) Write(name string, pid int, argv []string) error {
	born, err := startTime(os.Getpid())
	if err != nil {
		return err
	}
	text, err := json.Marshal(Record{Name: name, PID: pid, Runner: os.Getpid(), Born: born, Command: argv, Started: time.Now().UTC()})
	if err != nil {
		return fmt.Errorf("encode the record of %s: %w", name, err)
	}
	temp := d.record(name) + ".new"
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return fmt.Errorf("write the record of %s: %w", name, err)
	}
	if err := os.Rename(temp, d.record(name)); err != nil {
		return fmt.Errorf("write the record of %s: %w", name, err)
	}
	return nil
}

// Read returns a container's record; the error wraps fs.ErrNotExist when it was not made by `vethway run`.
func (d Dir) Read(name string) (Record, error) {
	var r Record
	text, err := os.ReadFile(d.record(name))
	if err != nil {
		return r, fmt.Errorf("read the record of %s: %w", name, err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("read the record of %s: %w", name, err)
	}
	return r, nil
}

// Names lists the containers that have a namespace here.
func (d Dir) Names() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".net"); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// Running reports whether the vethway that waits for the command is alive.
func (r Record) Running() bool {
	born, err := startTime(r.Runner)
	return err == nil && born == r.Born
}

// startTime is field 22 of /proc/PID/stat, in clock ticks since boot; the second field may contain blanks.
func startTime(pid int) (string, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", fmt.Errorf("look up process %d: %w", pid, err)
	}
	_, after, ok := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if !ok || len(fields) < 20 {
		return "", fmt.Errorf("look up process %d: /proc/%d/stat has an unknown shape", pid, pid)
	}
	return fields[19], nil
}
