// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net"
)

// notify tells the service manager a state (sd_notify(3)); socket is $NOTIFY_SOCKET, empty when nobody listens.
func notify(socket, state string) error {
	if socket == "" {
		return nil
	}
	if socket[0] == '@' {
		socket = "\x00" + socket[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}
