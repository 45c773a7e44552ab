// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"

	"github.com/vethway/vethway/bpf"
)

// decodeAny reads an entry out of any bytes, as a map that others have written to
// may hold them, and shows it.
func decodeAny[WK, WV, K, V any](t *testing.T, w wire[K, V], b []byte, row func(K, V) Row) {
	t.Helper()
	c, ok := w.(codec[K, V, WK, WV])
	if !ok {
		t.Fatalf("%T is another codec", w)
	}
	var key WK
	var value WV
	for _, into := range []any{&key, &value} {
		n := binary.Size(into)
		if n < 0 {
			t.Fatalf("%T has no fixed size", into)
		}
		if len(b) < n {
			return
		}
		if _, err := binary.Decode(b[:n], binary.NativeEndian, into); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	k, v := c.unkey(key), c.unvalue(value)
	shown, err := json.Marshal(row(k, v))
	if err != nil || !json.Valid(shown) {
		t.Errorf("%+v: shown as %s, %v", key, shown, err)
	}
	row(k, v).Text()
	if p, ok := any(k).(netip.Prefix); ok {
		k = any(p.Masked()).(K) // the kernel keeps host bits, but does not look at them
	}
	// Whatever it is, it is written as something that reads the same.
	if again := c.unkey(c.key(k)); fmt.Sprint(again) != fmt.Sprint(k) {
		t.Errorf("%+v is read as %v, written and read again as %v", key, k, again)
	}
	if again := c.unvalue(c.value(v)); fmt.Sprint(again) != fmt.Sprint(v) {
		t.Errorf("%+v is read as %v, written and read again as %v", value, v, again)
	}
}

// FuzzDecode shows entries of every map whose keys or values have addresses or
// names in them.
func FuzzDecode(f *testing.F) {
	pattern := make([]byte, 512)
	for i := range pattern {
		pattern[i] = byte(i)
	}
	for which := range byte(12) {
		f.Add(which, make([]byte, 512))
		f.Add(which, pattern)
	}
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		var n Names
		switch which % 12 {
		case 0:
			decodeAny[bpf.VethwayFlowKey, bpf.VethwayFlow6Value](t, flows6Wire(), b, n.flowRow(7))
		case 1:
			decodeAny[bpf.VethwayBindingKey, bpf.VethwayBindingValue](t, bindingsWire(), b, bindingRow(7))
		case 2:
			decodeAny[bpf.VethwayPublishedKey, bpf.VethwayPublishedValue](t, publishedWire(), b, publishedRow)
		case 3:
			decodeAny[bpf.VethwayAddr, bpf.VethwayEndpointValue](t, endpointsWire(), b, endpointRow)
		case 4:
			decodeAny[bpf.VethwayAddressKey, bpf.VethwayAddressValue](t, addressesWire(), b, n.addressRow)
		case 5:
			decodeAny[bpf.VethwayFragmentKey, bpf.VethwayFragmentValue](t, fragmentsWire(), b, fragmentRow(7))
		case 6:
			decodeAny[bpf.VethwayOriginKey, bpf.VethwayOriginValue](t, originsWire(), b, originRow)
		case 7:
			decodeAny[uint32, bpf.VethwayNetworkValue](t, networksWire(), b, networkRow)
		case 8:
			decodeAny[uint32, bpf.VethwayVethValue](t, vethsWire(), b, vethRow)
		case 9:
			decodeAny[uint32, bpf.VethwayQuotaValue](t, quotasWire(), b, quotaRow)
		case 10:
			decodeAny[bpf.VethwayFlow4Key, bpf.VethwayFlow4Value](t, flows4Wire(), b, n.flowRow(7))
		case 11:
			decodeAny[uint32, bpf.VethwayWayValue](t, waysWire(), b, wayRow(7))
		}
	})
}
