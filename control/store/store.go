// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
)

// schema is the version of the records' layout: 1 had a record for each published port, 2 has one for as many as were published
// in a row. What 1 wrote reads as 2.
const schema = 2

// lockWait is how long another process may take to let go of the file, such as a daemon that is just ending.
const lockWait = 500 * time.Millisecond

var (
	metaBucket  = []byte("vethwayd")
	schemaKey   = []byte("schema")
	recordsPath = []byte("records")
)

// Config says where the state is.
type Config struct {
	// Path of the file; its directory is made when it is missing.
	Path string
}

// DB is an open state file. It implements control.Store.
type DB struct {
	path string
	bolt *bbolt.DB
}

var _ control.Store = (*DB)(nil)

// Open opens the state file, or makes it. It fails with api.Locked while another process has it open, and with
// api.Corrupt when it is damaged, somebody else's, or of a newer version; such a file is left as it is.
func Open(cfg Config) (*DB, error) {
	if cfg.Path == "" {
		return nil, errors.New("store: no path given")
	}
	if err := os.MkdirAll(filepath.Dir(cfg.Path), 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	info, err := os.Stat(cfg.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(cfg.Path); err != nil {
			return nil, fmt.Errorf("make the state file: %w", err)
		}
	case err != nil:
		return nil, fmt.Errorf("look at the state file: %w", err)
	case !info.Mode().IsRegular():
		return nil, api.Errorf(api.Corrupt, "state file %s is no regular file", cfg.Path)
	default:
		// A look without the right to write comes first, as opening for writing may already write.
		if err := check(cfg.Path); err != nil {
			return nil, err
		}
	}
	db, err := open(cfg.Path, false)
	if err != nil {
		return nil, err
	}
	if err := upgrade(db); err != nil {
		return nil, errors.Join(fmt.Errorf("upgrade state file %s: %w", cfg.Path, err), db.Close())
	}
	return &DB{path: cfg.Path, bolt: db}, nil
}

// upgrade marks a file of an older layout, so that a vethwayd which knows that one only does not take it for its own.
func upgrade(db *bbolt.DB) error {
	current := []byte(strconv.Itoa(schema))
	same := false
	err := db.View(func(tx *bbolt.Tx) error {
		same = bytes.Equal(tx.Bucket(metaBucket).Get(schemaKey), current)
		return nil
	})
	if err != nil || same {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(schemaKey, current) })
}

// create makes the file under another name and renames it when it is whole.
func create(path string) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if rm := os.Remove(temporary.Name()); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}()
	if err := temporary.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(temporary.Name(), 0o600, &bbolt.Options{Timeout: lockWait})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		if err := meta.Put(schemaKey, []byte(strconv.Itoa(schema))); err != nil {
			return err
		}
		records, err := tx.CreateBucket(recordsPath)
		if err != nil {
			return err
		}
		for _, kind := range control.Kinds() {
			if _, err := records.CreateBucket([]byte(kind)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	// Link, not rename: if another daemon made the file meanwhile, it is that one's.
	if err := os.Link(temporary.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// open opens the file and explains failures.
func open(path string, readOnly bool) (db *bbolt.DB, err error) {
	err = guard(path, func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, ReadOnly: readOnly})
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, locked(path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("open state file: %w", err)
	case errors.Is(err, api.Corrupt):
		return nil, err
	}
	return nil, corrupt(path, err)
}

// Path is the file's.
func (d *DB) Path() string { return d.path }

// Close lets go of the file.
func (d *DB) Close() error { return d.bolt.Close() }

// Load implements control.Store.
func (d *DB) Load(ctx context.Context, yield func(control.Record) error) error {
	return guard(d.path, func() error {
		return d.bolt.View(func(tx *bbolt.Tx) error {
			for _, kind := range control.Kinds() {
				err := tx.Bucket(recordsPath).Bucket([]byte(kind)).ForEach(func(k, v []byte) error {
					if err := ctx.Err(); err != nil {
						return err
					}
					value, err := unseal(k, v)
					if err != nil {
						return corrupt(d.path, fmt.Errorf("%s %s: %w", kind, k, err))
					}
					return yield(control.Record{Kind: kind, Key: string(k), Value: value})
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// seal puts a checksum before a value: bbolt has none, and a flipped bit in an address would go unnoticed.
func seal(key, value []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(value)), checksum(key, value)), value...)
}

func unseal(key, sealed []byte) ([]byte, error) {
	if len(sealed) < 4 || binary.BigEndian.Uint32(sealed) != checksum(key, sealed[4:]) {
		return nil, errors.New("its checksum is wrong")
	}
	return bytes.Clone(sealed[4:]), nil
}

func checksum(key, value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(key, table), table, value)
}

// Commit implements control.Store.
func (d *DB) Commit(ctx context.Context, records []control.Record) error {
	if len(records) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	err := d.bolt.Update(func(tx *bbolt.Tx) error {
		for _, r := range records {
			bucket := tx.Bucket(recordsPath).Bucket([]byte(r.Kind))
			if bucket == nil {
				return fmt.Errorf("no records of kind %q", r.Kind)
			}
			var err error
			if r.Value == nil {
				err = bucket.Delete([]byte(r.Key))
			} else {
				err = bucket.Put([]byte(r.Key), seal([]byte(r.Key), r.Value))
			}
			if err != nil {
				return fmt.Errorf("%s %s: %w", r.Kind, r.Key, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the state to %s: %w", d.path, err)
	}
	return nil
}
