// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	sockStream   = unix.SOCK_STREAM
	sockDatagram = unix.SOCK_DGRAM
)

var errEarlyEnd = errors.New("the peer closed before the time was over")

// closedByPeer is nil for the ways in which a connection ends when its other side has what it wanted.
func closedByPeer(doing string, err error) error {
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		return nil
	}
	return describe(doing, err)
}

func describe(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("%s: nothing moved for %v", doing, patience)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}
