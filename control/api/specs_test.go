// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func someSpec(t *rapid.T) PublishSpec {
	port := rapid.OneOf(rapid.Just(uint16(0)), rapid.Uint16())
	s := PublishSpec{
		HostPort: port.Draw(t, "host"), HostPortEnd: port.Draw(t, "host end"),
		ContainerPort: port.Draw(t, "container"), ContainerPortEnd: port.Draw(t, "container end"),
		Protocol: rapid.OneOf(rapid.SampledFrom([]string{"", TCP, UDP, SCTP, "é\"\\"}), rapid.String()).Draw(t, "protocol"),
	}
	if a := rapid.SampledFrom([]string{"", "0.0.0.0", "192.0.2.1", "::", "2001:db8::1", "fe80::1%eth\"0"}).Draw(t, "address"); a != "" {
		s.HostIP = netip.MustParseAddr(a)
	}
	return s
}

func TestAppendJSONIsWhatPackageJSONWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		specs := []PublishSpec{}
		for range rapid.IntRange(0, 4).Draw(t, "specs") {
			specs = append(specs, someSpec(t))
		}
		want, err := json.Marshal(PortPublish{specs})
		if err != nil {
			t.Fatal(err)
		}
		if got := (PortPublish{specs}).AppendJSON(nil); !bytes.Equal(got, want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		if got := (PortUnpublish{specs}).AppendJSON(nil); !bytes.Equal(got, want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

// FuzzScanSpecs: what is read the short way reads the same the long way.
func FuzzScanSpecs(f *testing.F) {
	for _, s := range []string{
		`{"Publish":[{"HostIp":"192.0.2.1","HostPort":8080,"HostPortEnd":8081,"ContainerPort":80,"ContainerPortEnd":81,"Protocol":"udp"},{}]}`,
		" {\n\"Publish\" : [ { \"ContainerPort\" : 0 } ] }\n", `{"Publish":[]}`, `{"Publish":[],"Publish":[]}`, `{"Publish":[{"HostPort":065}]}`,
		`{"Publish":[{"ContainerPort":1,}]}`, `{"Publish":[{"ContainerPort":65536}]}`, `{"Publish":[{"ContainerPort":1e1}]}`,
		`{"Publish":[{"Protocol":"\u0074cp"}]}`, `{"publish":[{"containerport":1}]}`, `{"Publish":null}`, `{"Publish":[null]}`, `{"Publish":[{}]}x`,
		`{"Publish":[{"HostIp":""}]}`, `{"Publish":[{"HostIp":null,"ContainerPort":5}]}`, `{`, ``, `{"Publish":[{"HostPort":-1}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, ok := scanSpecs(data)
		if !ok {
			return
		}
		var want PortPublish
		if err := decodeBytes(data, &want); err != nil {
			t.Fatalf("%q is read as %+v, but it is wrong: %v", data, got, err)
		}
		if !slices.Equal(got, want.Publish) {
			t.Errorf("%q is read as %+v, want %+v", data, got, want.Publish)
		}
	})
}

func TestScanSpecsReadsTheUsual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := someSpec(t)
		s.Protocol = rapid.SampledFrom([]string{"", TCP, UDP, SCTP}).Draw(t, "known protocol")
		if s.HostIP.Zone() != "" {
			s.HostIP = netip.Addr{}
		}
		got, ok := scanSpecs(PortPublish{[]PublishSpec{s, s}}.AppendJSON(nil))
		if !ok || !slices.Equal(got, []PublishSpec{s, s}) {
			t.Fatalf("%+v is read as %+v, %v", s, got, ok)
		}
	})
}
