// SPDX-License-Identifier: Apache-2.0

package control

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/vethway/vethway/control/api"
)

// maxName bounds names, which become labels of DNS names.
const maxName = 63

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// checkName accepts what Docker does, up to a length.
func checkName(noun, name string) error {
	if len(name) > maxName || !namePattern.MatchString(name) {
		return api.Errorf(api.InvalidArgument, "%s name %q is not valid", noun, name).
			WithHint("up to %d letters, digits, underscores, dots and dashes, the first a letter or digit", maxName)
	}
	return nil
}

// checkInterface accepts what the kernel does as an interface's name.
func checkInterface(name string) error {
	if name == "" {
		return nil
	}
	if len(name) > 15 || name == "." || name == ".." || name == "lo" || strings.ContainsAny(name, "/:% \t\n\x00") {
		return api.Errorf(api.InvalidArgument, "%q cannot be an interface's name", name).
			WithHint("up to 15 characters, without slash, colon and space, as in eth0")
	}
	return nil
}

// newID makes an ID like Docker's. crypto/rand never fails.
func newID() string {
	var raw [32]byte
	rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}

// newIncarnation makes the mark by which the flows of one life of an endpoint or port are told from another's.
func newIncarnation() string { return newID()[:16] }

// newEndpointID makes an ID whose beginning, which the host end's name has, no other endpoint has.
func (s *state) newEndpointID() string {
	taken := map[string]bool{}
	for _, c := range s.containers {
		for _, ep := range c.Endpoints {
			taken[ep.ID[:12]] = true
		}
	}
	for {
		if id := newID(); !taken[id[:12]] {
			return id
		}
	}
}
