// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
)

func open1(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func contents(t *testing.T, db *DB) string {
	t.Helper()
	var out []string
	err := db.Load(context.Background(), func(r control.Record) error {
		out = append(out, fmt.Sprintf("%s/%s=%s", r.Kind, r.Key, r.Value))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

func commit(t *testing.T, db *DB, records ...control.Record) {
	t.Helper()
	if err := db.Commit(context.Background(), records); err != nil {
		t.Fatal(err)
	}
}

func TestCommitAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "state.db")
	db := open1(t, path)
	commit(t, db, control.Record{Kind: control.KindNetwork, Key: "a", Value: []byte("1")},
		control.Record{Kind: control.KindContainer, Key: "b", Value: []byte("2")})
	commit(t, db, control.Record{Kind: control.KindNetwork, Key: "a"}, control.Record{Kind: control.KindNetwork, Key: "never"})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, open1(t, path)); got != "container/b=2" {
		t.Errorf("contents: %s", got)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("files: %v, %v", left, err)
	}
}

func TestCommitIsWholeOrNot(t *testing.T) {
	db := open1(t, filepath.Join(t.TempDir(), "state.db"))
	err := db.Commit(context.Background(), []control.Record{
		{Kind: control.KindNetwork, Key: "a", Value: []byte("1")}, {Kind: "colour", Key: "red", Value: []byte("2")},
	})
	if err == nil || contents(t, db) != "" {
		t.Errorf("%v, contents %q", err, contents(t, db))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := db.Commit(ctx, []control.Record{{Kind: control.KindNetwork, Key: "a", Value: []byte("1")}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestSecondDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	open1(t, path)
	began := time.Now()
	_, err := Open(Config{Path: path})
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.Locked || e.Hint == "" || !strings.Contains(err.Error(), "another vethwayd") {
		t.Errorf("error %v", err)
	}
	if time.Since(began) > 5*time.Second {
		t.Errorf("it took %s", time.Since(began))
	}
}

// damage makes files that are not whole, or not ours.
var damage = map[string]func(whole []byte) []byte{
	"text":          func([]byte) []byte { return []byte("hello") },
	"empty":         func([]byte) []byte { return nil },
	"zeroes":        func(whole []byte) []byte { return make([]byte, len(whole)) },
	"half":          func(whole []byte) []byte { return whole[:len(whole)/2] },
	"one page":      func(whole []byte) []byte { return whole[:4096] },
	"two pages":     func(whole []byte) []byte { return whole[:8192] },
	"long text":     func([]byte) []byte { return bytes.Repeat([]byte("not a database\n"), 10000) },
	"no meta pages": func(whole []byte) []byte { return append(make([]byte, 8192), whole[8192:]...) },
	"no data pages": func(whole []byte) []byte { return append(bytes.Clone(whole[:8192]), make([]byte, len(whole)-8192)...) },
	"noise in the data": func(whole []byte) []byte {
		noisy := bytes.Clone(whole)
		for i := 8192; i < len(noisy); i += 701 {
			noisy[i] ^= 0x5a
		}
		return noisy
	},
}

func TestDamagedFileIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "whole.db")
	db := open1(t, path)
	for i := range 200 {
		commit(t, db, control.Record{Kind: control.KindNetwork, Key: strconv.Itoa(i), Value: bytes.Repeat([]byte("x"), 300)})
	}
	db.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range damage {
		spoiled := spoil(whole)
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(path, spoiled, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(Config{Path: path})
		var e *api.Error
		if !errors.As(err, &e) || e.Code != api.Corrupt || e.Hint == "" || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v", name, err)
			if err == nil {
				db.Close()
			}
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, spoiled) {
			t.Errorf("%s: the file was changed, %v", name, err)
		}
	}
}

func TestForeignFileIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	write := func(change func(*bbolt.Tx) error) {
		t.Helper()
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(change), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(want string) {
		t.Helper()
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Config{Path: path}); !errors.Is(err, api.Corrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("the file was changed, %v", err)
		}
	}
	write(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("somebody's"))
		if err != nil {
			return err
		}
		return b.Put([]byte("key"), []byte("value"))
	})
	refused("another program's")
	write(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		return b.Put(schemaKey, []byte("99"))
	})
	refused("newer vethwayd: schema 99")
	write(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(schemaKey, []byte("one")) })
	refused(`schema "one"`)
	write(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(schemaKey, []byte("1")) })
	refused("no network records")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Path: path}); !errors.Is(err, api.Corrupt) {
		t.Errorf("a directory: %v", err)
	}
}

// TestKilledWhileWriting has another process killed while it commits, and reads what is left: every commit that was
// reported done is there, and none is there by half.
func TestKilledWhileWriting(t *testing.T) {
	const env = "VETHWAY_STORE_TEST_PATH"
	if path := os.Getenv(env); path != "" {
		writeForever(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "state.db")
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileWriting$")
		cmd.Env = append(os.Environ(), env+"="+path)
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(150+70*round) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
		lines := strings.Fields(out.String())
		if len(lines) == 0 {
			t.Logf("round %d: killed before its first commit", round)
			continue
		}
		done, err := strconv.Atoi(lines[len(lines)-1])
		if err != nil {
			t.Fatalf("%q: %v", out.String(), err)
		}
		db := open1(t, path)
		found := map[string]string{}
		err = db.Load(context.Background(), func(r control.Record) error {
			found[string(r.Kind)] = string(r.Value)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := strconv.Atoi(found["network"])
		if err != nil || found["network"] != found["container"] || got < done || got > done+1 {
			t.Errorf("round %d: %d was done, found %v", round, done, found)
		}
		db.Close()
	}
}

func writeForever(t *testing.T, path string) {
	db := open1(t, path)
	for i := 1; ; i++ {
		value := []byte(strconv.Itoa(i))
		commit(t, db, control.Record{Kind: control.KindNetwork, Key: "n", Value: value},
			control.Record{Kind: control.KindContainer, Key: "c", Value: value})
		fmt.Println(i)
	}
}

// TestRandomDamage flips random bytes: what is read is what was written, or an error.
func TestRandomDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	db := open1(t, path)
	for i := range 60 {
		commit(t, db, control.Record{Kind: control.KindContainer, Key: strconv.Itoa(i), Value: bytes.Repeat([]byte("y"), 20*i)})
	}
	want := contents(t, db)
	db.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		spoiled := bytes.Clone(whole)
		for range 1 + random.IntN(8) {
			spoiled[random.IntN(len(spoiled))] ^= byte(1 + random.IntN(255))
		}
		path := filepath.Join(dir, "spoiled.db")
		if err := os.WriteFile(path, spoiled, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(Config{Path: path})
		if err != nil {
			if !errors.Is(err, api.Corrupt) {
				t.Errorf("round %d: open: %v", round, err)
			}
			continue
		}
		var got []string
		err = db.Load(context.Background(), func(r control.Record) error {
			got = append(got, fmt.Sprintf("%s/%s=%s", r.Kind, r.Key, r.Value))
			return nil
		})
		if err != nil && !errors.Is(err, api.Corrupt) || err == nil && strings.Join(got, " ") != want {
			t.Errorf("round %d: read %d records, %v", round, len(got), err)
		}
		db.Close()
	}
}
