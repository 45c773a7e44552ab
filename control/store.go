// SPDX-License-Identifier: Apache-2.0

package control

import "context"

// Store keeps the desired state over restarts. It is implemented by control/store.
type Store interface {
	// Load calls yield for every record, in no particular order, until it returns an error.
	Load(ctx context.Context, yield func(Record) error) error
	// Commit writes all records or none. When it returns nil they survive a power cut.
	Commit(ctx context.Context, records []Record) error
}

// Record is a piece of the desired state. A nil Value deletes the record.
type Record struct {
	Kind  Kind
	Key   string
	Value []byte
}

// Kind is a sort of record.
type Kind string

// The kinds of records.
const (
	KindNetwork   Kind = "network"
	KindContainer Kind = "container"
	KindLease     Kind = "lease"
	KindSetting   Kind = "setting"
)

// Kinds are all kinds of records.
func Kinds() []Kind { return []Kind{KindNetwork, KindContainer, KindLease, KindSetting} }
