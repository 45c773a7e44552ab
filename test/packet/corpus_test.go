// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vethway/vethway/bpf"
)

var update = flag.Bool("update", false, "write the corpus of the fuzz targets anew")

const corpusDir = "testdata/fuzz"

// TestCorpus compares what the fuzz targets begin with, which is committed, with
// the packets that it is made of.
func TestCorpus(t *testing.T) {
	var want map[string][]byte
	inArena(t, func(a *arena) error { want = a.corpus(); return nil })
	if *update {
		check(t, removeMade())
		for name, b := range want {
			check(t, os.MkdirAll(filepath.Dir(name), 0o755))
			check(t, os.WriteFile(name, b, 0o644))
		}
	}
	for name, b := range want {
		got, err := os.ReadFile(name)
		check(t, err)
		if !bytes.Equal(got, b) {
			t.Errorf("%s is not what it is made of: go test -run TestCorpus -update", name)
		}
	}
}

// found is the name that the fuzzing engine gives an input: those stay.
var found = regexp.MustCompile(`^[0-9a-f]{16}$`)

// removeMade removes the files of the corpus that were made of packets.
func removeMade() error {
	return filepath.WalkDir(corpusDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || found.MatchString(d.Name()) {
			return err
		}
		return os.Remove(path)
	})
}

// TestCorpusReach checks that the corpus gets through the programs: what it does
// not reach, mutations of it hardly will.
func TestCorpusReach(t *testing.T) {
	inArena(t, func(a *arena) error {
		reached := make([]byte, coverMax)
		for _, shots := range a.shots() {
			for i, s := range shots {
				if err := a.play(s, uint32(i)); err != nil {
					return err
				}
			}
			if _, err := a.memory.ReadAt(a.marks, 0); err != nil {
				return err
			}
			for i, b := range a.marks {
				reached[i] |= b
			}
			if err := a.restore(); err != nil {
				return err
			}
		}
		if a.cover.next > coverMax {
			t.Errorf("%d blocks share %d marks: add pages to mark_test.go", a.cover.next, coverMax)
		}
		for name, blocks := range a.cover.blocks {
			if name == bpf.VethwayProgVwFromSpliced && a.FromSpliced == nil {
				continue // the kernel cannot splice
			}
			n := 0
			for _, i := range blocks {
				n += int(reached[i])
			}
			percent := 100 * n / len(blocks)
			t.Logf("%-18s %4d of %4d blocks, %d %%", name, n, len(blocks), percent)
			if percent < 20 {
				t.Errorf("%s: %d %% of its blocks are reached, want 20 %% at least", name, percent)
			}
		}
		return nil
	})
}

// targets are the fuzz targets by program.
var targets = map[string]string{
	"from container": "FuzzFromContainer", "from uplink": "FuzzFromUplink", "from tun": "FuzzFromTun",
	"from spliced": "FuzzFromSpliced", "guard": "FuzzGuard", "guard tun": "FuzzGuardTun",
	"to uplink": "FuzzToUplink", "to tun": "FuzzToTun", "to bridge": "FuzzToBridge",
}

// corpus is the text of each file.
func (a *arena) corpus() map[string][]byte {
	all := map[string][]byte{}
	for name, shots := range a.shots() {
		target := "FuzzSequence"
		text := fmt.Sprintf("[]byte(%q)\n", writeMoves(shots))
		if one := shots[0]; len(shots) == 1 {
			target = targets[one.prog]
			text = fmt.Sprintf("byte('\\x%02x')\nbyte('\\x%02x')\nuint16(%d)\n[]byte(%q)\n", one.from, one.how, one.gso, one.ip)
		}
		file := strings.NewReplacer(" ", "-", ",", "").Replace(name)
		all[filepath.Join(corpusDir, target, file)] = []byte("go test fuzz v1\n" + text)
	}
	return all
}

// shots are packets of every protocol and family, and what they make up when one
// follows the other.
func (a *arena) shots() map[string][]shot {
	all := map[string][]shot{}
	for _, f := range a.families() {
		b := builder{family: f, all: all}
		for _, proto := range []byte{tcp, udp, sctp, f.icmpProto()} {
			b.conversations(proto)
		}
		b.headers()
		b.fragments()
		b.others()
		b.tunnels()
		b.guarded()
		b.spliced()
	}
	return all
}

type builder struct {
	family
	all map[string][]shot
}

// shotOf is a packet from a container or an uplink, at a program.
func shotOf(prog, from string, p packet) shot {
	s := shot{prog: prog, from: byte(slices.Index(sources(prog), from))}
	p.bare = prog != "raw"
	p.padding = 0
	s.ip = p.bytes()
	return s
}

func arrives(from string, p packet) shot {
	if from == "" {
		return shotOf("from uplink", "eth0", p)
	}
	return shotOf("from container", from, p)
}

func (b builder) add(name string, shots ...shot) {
	b.all[strings.ToLower(b.name)+" "+name] = shots
}

// protoName is what a file's name calls a protocol.
func protoName(proto byte) string {
	switch proto {
	case tcp:
		return "tcp"
	case udp:
		return "udp"
	case sctp:
		return "sctp"
	}
	return "ping"
}

func (b builder) conversations(proto byte) {
	which := protoName(proto)
	for _, c := range b.conversationsOf(proto) {
		name := which + " " + c.name
		asked, answer := arrives(c.from, c.asked), arrives(c.to, c.answer)
		b.add(name+", asked", asked)
		b.add(name+", answer", answer)
		talk := []shot{asked, answer, asked}
		for _, e := range b.errors(c) {
			for kind, s := range b.quoteShapes(proto) {
				in, _ := b.buildError(e, s)
				if kind == "whole" {
					talk = append(talk, arrives(e.by, in))
				}
				if c.name == "masquerade" && (proto == udp || kind == "eight bytes") || c.name == "published" && kind == "cut" {
					b.add(which+" error about "+e.name+", "+kind, arrives(e.by, in))
				}
			}
		}
		b.add("talk "+name, append(talk, shot{prog: moveRoutes}, asked, answer, shot{prog: moveCollect}, answer, asked)...)
		if c.from == "c1" || c.from == "" {
			b.add("replaced "+name, asked, shot{prog: moveReplace}, answer, asked, shot{prog: moveCollect})
		}
	}
}
