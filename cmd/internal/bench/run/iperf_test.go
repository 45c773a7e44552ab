// SPDX-License-Identifier: Apache-2.0

package run

import (
	"strings"
	"testing"
)

func TestParseIperf(t *testing.T) {
	const good = `{"start": {}, "end": {"sum_sent": {"bits_per_second": 5e9}, "sum_received": {"bits_per_second": 4.5e9}}}`
	if got, err := parseIperf([]byte(good)); err != nil || got != 4.5e9 {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]string{
		`{"error": "unable to connect to server"}`: "unable to connect",
		`{"end": {}}`:  "received nothing",
		`iperf3: what`: "read iperf3's result",
	} {
		if _, err := parseIperf([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestWatch(t *testing.T) {
	w := newWatch("Server listening")
	for _, part := range []string{"-----\nServer li", "stening on 5201\n", "Server listening again\n"} {
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.wait(t.Context()); err != nil {
		t.Error(err)
	}
}
