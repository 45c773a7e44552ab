// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
)

func corrupt(path string, err error) error {
	return api.Errorf(api.Corrupt, "state file %s is damaged or not one of vethwayd's: %w", path, err).
		WithHint("restore it from a backup, or move it away to begin afresh; it was not changed")
}

// guard turns bbolt's panics on damaged pages into errors, as it does the fault when the file is shorter than its pages say.
func guard(path string, do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = corrupt(path, fmt.Errorf("%v", r))
		}
	}()
	return do()
}

// check looks over the whole file, while nobody else may change it, to find damage before anything relies on it.
func check(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open state file: %w", err)
	}
	defer f.Close() // and with it the lock goes
	if err := lockShared(path, f); err != nil {
		return err
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("read state file: %w", err)
	}
	if err := checkPages(data); err != nil {
		return corrupt(path, err)
	}
	db, err := open(path, true)
	if err != nil {
		return err
	}
	err = guard(path, func() error {
		return db.View(func(tx *bbolt.Tx) error { return checkSchema(path, tx) })
	})
	return errors.Join(err, db.Close())
}

// lockShared takes the same lock as bbolt, for reading.
func lockShared(path string, f *os.File) error {
	for began := time.Now(); ; time.Sleep(lockWait / 10) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("lock state file: %w", err)
		case time.Since(began) > lockWait:
			return locked(path)
		}
	}
}

func locked(path string) error {
	return api.Errorf(api.Locked, "state file %s is in use by another vethwayd", path).
		WithHint("stop it first, or give this one a state directory of its own")
}

func checkSchema(path string, tx *bbolt.Tx) error {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return corrupt(path, errors.New("it has another program's contents"))
	}
	version, err := strconv.Atoi(string(meta.Get(schemaKey)))
	switch {
	case err != nil:
		return corrupt(path, fmt.Errorf("schema %q", meta.Get(schemaKey)))
	case version > schema:
		return api.Errorf(api.Corrupt, "state file %s was written by a newer vethwayd: schema %d, this one knows up to %d",
			path, version, schema).WithHint("run that version, or move the file away to begin afresh")
	case version < 1:
		return corrupt(path, fmt.Errorf("schema %d", version))
	}
	records := tx.Bucket(recordsPath)
	for _, kind := range control.Kinds() {
		if records == nil || records.Bucket([]byte(kind)) == nil {
			return corrupt(path, fmt.Errorf("it has no %s records", kind))
		}
	}
	return nil
}
