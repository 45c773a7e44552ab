// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/test/behaviour"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestParse(t *testing.T) {
	behaviour.Covers(t, "D16", behaviour.None)
	for in, want := range map[string]api.PublishSpec{
		"80":                       {ContainerPort: 80, Protocol: "tcp"},
		"80/udp":                   {ContainerPort: 80, Protocol: "udp"},
		"80/SCTP":                  {ContainerPort: 80, Protocol: "sctp"},
		"80-85":                    {ContainerPort: 80, ContainerPortEnd: 85, Protocol: "tcp"},
		"8080:80":                  {HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
		":80":                      {ContainerPort: 80, Protocol: "tcp"},
		"0:80":                     {ContainerPort: 80, Protocol: "tcp"},
		"8000-8005:80-85":          {HostPort: 8000, HostPortEnd: 8005, ContainerPort: 80, ContainerPortEnd: 85, Protocol: "tcp"},
		"8000-8010:80":             {HostPort: 8000, HostPortEnd: 8010, ContainerPort: 80, Protocol: "tcp"},
		"8000-8000:80-80":          {HostPort: 8000, ContainerPort: 80, Protocol: "tcp"},
		"192.0.2.2::80":            {HostIP: addr("192.0.2.2"), ContainerPort: 80, Protocol: "tcp"},
		"192.0.2.2:8080:80":        {HostIP: addr("192.0.2.2"), HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
		"127.0.0.1:8080:80/udp":    {HostIP: addr("127.0.0.1"), HostPort: 8080, ContainerPort: 80, Protocol: "udp"},
		"0.0.0.0:8080:80":          {HostIP: addr("0.0.0.0"), HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
		"[::1]:8080:80":            {HostIP: addr("::1"), HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
		"[::]::80/sctp":            {HostIP: addr("::"), ContainerPort: 80, Protocol: "sctp"},
		"[2001:db8::1]:90-91:8-9":  {HostIP: addr("2001:db8::1"), HostPort: 90, HostPortEnd: 91, ContainerPort: 8, ContainerPortEnd: 9, Protocol: "tcp"},
		"[::ffff:192.0.2.2]:80:80": {HostIP: addr("192.0.2.2"), HostPort: 80, ContainerPort: 80, Protocol: "tcp"},
		"65535:65535":              {HostPort: 65535, ContainerPort: 65535, Protocol: "tcp"},
	} {
		if got, err := Parse(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v\nwant %+v", in, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	behaviour.Covers(t, "D16", behaviour.None)
	for in, want := range map[string]string{
		"":                    "no container port",
		"8080:":               "no container port",
		"web":                 "not a number",
		"+80":                 "not a number",
		"-80":                 "no container port",
		"80-":                 "no container port",
		"0":                   "container port 0",
		"65536":               "not a number",
		"8080:65536":          "not a number",
		"85-80":               "run backwards",
		"8005-8000:80":        "run backwards",
		"0-5:80":              "cannot begin with 0",
		"8000-8005:80-84":     "6 host ports for 5 container ports: the ranges must be of equal length",
		"8000:80-84":          "the ranges must be of equal length",
		"80/icmp":             `protocol "icmp"`,
		"80/":                 "no protocol",
		"80/tcp/udp":          "protocol",
		"192.0.2.2:80":        "192.0.2.2::80",
		"::1:8080:80":         "too many colons",
		"[::1]:80":            "[::1]::80",
		"[::1:8080:80":        "no host port after the address",
		"[192.0.2.2]:8080:80": "not an IPv6 address",
		"host:8080:80":        "not an IP address",
		"[fe80::1%eth0]:1:1":  "zone",
		"224.0.0.1:8080:80":   "not a unicast",
		"1:2:3:4":             "too many colons",
	} {
		_, err := Parse(in)
		var e *api.Error
		if !errors.As(err, &e) || e.Code != api.InvalidArgument || !strings.Contains(e.Message, want) || e.Hint == "" {
			t.Errorf("%q: %v, want an error that says %q", in, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"80", "8080:80/udp", "8000-8005:80-85", "8000-8010:80", "192.0.2.2::80", "[::1]:8080:80/sctp", "[::]::1", ":::", "[]:1:1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		spec, err := Parse(s)
		if err != nil {
			if !errors.Is(err, api.InvalidArgument) {
				t.Errorf("%q: error without a code: %v", s, err)
			}
			return
		}
		if err := Validate(spec); err != nil {
			t.Errorf("%q: accepted, but %v", s, err)
		}
		again, err := Parse(Format(spec))
		if err != nil || again != spec {
			t.Errorf("%q: written as %q, read as %+v, %v", s, Format(spec), again, err)
		}
	})
}
