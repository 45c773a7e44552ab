// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"
)

// A request may name tens of thousands of ports, one by one. Package json takes a microsecond for each, on either side, which is
// more than all the rest that is done about it: so requests about ports are written and read here, where they look as usual.

// AppendJSON writes the request as package json would.
func (p PortPublish) AppendJSON(b []byte) []byte { return appendSpecs(b, p.Publish) }

// AppendJSON writes the request as package json would.
func (p PortUnpublish) AppendJSON(b []byte) []byte { return appendSpecs(b, p.Publish) }

func appendSpecs(b []byte, specs []PublishSpec) []byte {
	b = append(b, `{"Publish":[`...)
	for i, s := range specs {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.appendJSON(b)
	}
	return append(b, `]}`...)
}

func (s PublishSpec) appendJSON(b []byte) []byte {
	b = append(b, '{')
	if s.HostIP != (netip.Addr{}) {
		b = append(appendString(append(b, `"HostIp":`...), s.HostIP.String()), ',')
	}
	for _, f := range [...]struct {
		name  string
		value uint16
	}{{`"HostPort":`, s.HostPort}, {`"HostPortEnd":`, s.HostPortEnd}} {
		if f.value != 0 {
			b = append(strconv.AppendUint(append(b, f.name...), uint64(f.value), 10), ',')
		}
	}
	b = strconv.AppendUint(append(b, `"ContainerPort":`...), uint64(s.ContainerPort), 10)
	if s.ContainerPortEnd != 0 {
		b = strconv.AppendUint(append(b, `,"ContainerPortEnd":`...), uint64(s.ContainerPortEnd), 10)
	}
	if s.Protocol != "" {
		b = appendString(append(b, `,"Protocol":`...), s.Protocol)
	}
	return append(b, '}')
}

func appendString(b []byte, s string) []byte {
	quoted, _ := json.Marshal(s) // a string never fails
	return append(b, quoted...)
}

// usualSpec is how long one is, and the comma: host and container port of five digits each, and no more.
const usualSpec = len(`{"HostPort":10000,"ContainerPort":10000},`)

// announcedMost is how much memory a request gets before it has come.
const announcedMost = 1 << 20

// decodeSpecs reads a PortPublish or PortUnpublish. What does not look as usual is left to decode, which knows all of JSON and says
// what is wrong.
func decodeSpecs(r *http.Request) ([]PublishSpec, error) {
	var body bytes.Buffer
	// A length that is announced saves growing, but nobody gets much memory for announcing one.
	body.Grow(int(min(max(r.ContentLength, 0), announcedMost)) + bytes.MinRead)
	if _, err := body.ReadFrom(r.Body); err != nil {
		return nil, Errorf(InvalidArgument, "request body: %s", err)
	}
	data := body.Bytes()
	if specs, ok := scanSpecs(data); ok {
		return specs, nil
	}
	var req PortPublish
	if err := decodeBytes(data, &req); err != nil {
		return nil, err
	}
	return req.Publish, nil
}

// scanSpecs reads {"Publish":[...]} if there is nothing in it that is unusual: no escapes, no null, no number but plain digits, no
// field in another case.
func scanSpecs(data []byte) ([]PublishSpec, bool) {
	s := scanner{data}
	if !s.take('{') || string(s.word()) != "Publish" || !s.take(':') || !s.take('[') {
		return nil, false
	}
	specs := make([]PublishSpec, 0, len(data)/usualSpec)
	for more := !s.take(']'); more; {
		spec, ok := s.spec()
		if !ok {
			return nil, false
		}
		specs = append(specs, spec)
		if more = s.take(','); !more && !s.take(']') {
			return nil, false
		}
	}
	return specs, s.take('}') && s.next() == 0 && len(s.rest) == 0
}

// scanner reads what is left of a text.
type scanner struct{ rest []byte }

// next is what comes behind white space; 0 at the end.
func (s *scanner) next() byte {
	for len(s.rest) > 0 {
		switch c := s.rest[0]; c {
		case ' ', '\t', '\n', '\r':
			s.rest = s.rest[1:]
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.next() != c || c == 0 {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// word reads a string of plain characters, and nil where there is none.
func (s *scanner) word() []byte {
	if !s.take('"') {
		return nil
	}
	for i, c := range s.rest {
		switch {
		case c == '"':
			word := s.rest[:i]
			s.rest = s.rest[i+1:]
			return word
		case c < ' ' || c > '~' || c == '\\':
			return nil
		}
	}
	return nil
}

// number reads digits that make a port.
func (s *scanner) number() (uint16, bool) {
	s.next()
	n, digits := 0, 0
	for ; digits < len(s.rest) && s.rest[digits] >= '0' && s.rest[digits] <= '9'; digits++ {
		if n = n*10 + int(s.rest[digits]-'0'); n > 65535 {
			return 0, false
		}
	}
	if digits == 0 || digits > 1 && s.rest[0] == '0' {
		return 0, false
	}
	s.rest = s.rest[digits:]
	return uint16(n), true
}

func (s *scanner) spec() (p PublishSpec, ok bool) {
	if !s.take('{') {
		return p, false
	}
	for more := !s.take('}'); more; {
		name := s.word()
		if !s.take(':') {
			return p, false
		}
		switch string(name) {
		case "HostIp":
			addr, err := netip.ParseAddr(string(s.word()))
			p.HostIP, ok = addr, err == nil
		case "HostPort":
			p.HostPort, ok = s.number()
		case "HostPortEnd":
			p.HostPortEnd, ok = s.number()
		case "ContainerPort":
			p.ContainerPort, ok = s.number()
		case "ContainerPortEnd":
			p.ContainerPortEnd, ok = s.number()
		case "Protocol":
			p.Protocol, ok = s.protocol()
		default:
			ok = false
		}
		if !ok {
			return p, false
		}
		if more = s.take(','); !more && !s.take('}') {
			return p, false
		}
	}
	return p, true
}

// protocol is one that is known, which takes no memory of its own.
func (s *scanner) protocol() (string, bool) {
	switch string(s.word()) {
	case TCP:
		return TCP, true
	case UDP:
		return UDP, true
	case SCTP:
		return SCTP, true
	}
	return "", false
}
