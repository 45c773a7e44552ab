// SPDX-License-Identifier: Apache-2.0

package traffic

import "golang.org/x/sys/unix"

// ask sends a byte and waits for one, again and again over one connection.
func (s *sample) ask(to *endpoint, m *meter) error {
	conn, err := s.dial(to)
	if err != nil {
		return err
	}
	defer conn.close()
	if err := conn.noDelay(); err != nil {
		return err
	}
	m.begin()
	var data [1]byte
	var read uint64
	for before := m.now(); ; {
		if err := exchange(conn, data[:]); err != nil {
			return err
		}
		read++
		now := m.now()
		if m.counting {
			m.latency.Record(now - before)
		}
		if m.addAt(1, now) {
			return conn.account(m, read)
		}
		before = now
	}
}

// answer is the other side of ask.
func (s *sample) answer(listener socket, _ *meter) error {
	conn, err := s.acceptFirst(listener)
	if err != nil {
		return err
	}
	defer conn.close()
	if err := conn.noDelay(); err != nil {
		return err
	}
	var data [1]byte
	for {
		n, err := conn.receive(data[:])
		if n == 0 || err != nil {
			return closedByPeer("receive", err)
		}
		if _, err := conn.send(data[:]); err != nil {
			return closedByPeer("send", err)
		}
	}
}

func exchange(conn connection, data []byte) error {
	if _, err := conn.send(data); err != nil {
		return describe("send", err)
	}
	n, err := conn.receive(data)
	if err != nil {
		return describe("receive", err)
	}
	if n == 0 {
		return errEarlyEnd
	}
	return nil
}

// askOnce makes a connection for each exchange. The server closes first; the client, having read the end of the
// stream, resets what is left, so that neither end keeps a TIME_WAIT and the ports never run out.
func (s *sample) askOnce(to *endpoint, m *meter) error {
	abort := unix.Linger{Onoff: 1}
	m.begin()
	for before := m.now(); ; {
		if err := s.connectAndAsk(to, &abort); err != nil {
			return err
		}
		now := m.now()
		if m.counting {
			m.latency.Record(now - before)
		}
		if m.addAt(1, now) {
			return nil
		}
		before = now
	}
}

func (s *sample) connectAndAsk(to *endpoint, abort *unix.Linger) error {
	conn, err := s.dial(to)
	if err != nil {
		return err
	}
	defer conn.close()
	if err := setOption(conn.socket, unix.SOL_SOCKET, unix.SO_LINGER, abort); err != nil {
		return describe("set SO_LINGER", err)
	}
	var data [1]byte
	if err := exchange(conn, data[:]); err != nil {
		return err
	}
	if n, err := conn.receive(data[:]); err != nil || n != 0 {
		return describe("wait for the end of the stream", err)
	}
	return nil
}

// answerOnce is the other side of askOnce. What goes wrong with a single connection, its client reports.
func (s *sample) answerOnce(listener socket, _ *meter) error {
	conn, err := s.acceptFirst(listener)
	var data [1]byte
	for {
		if err != nil {
			if s.over.Load() {
				return nil
			}
			return err
		}
		if n, failed := conn.receive(data[:]); failed == nil && n == 1 {
			// The client notices a lost answer.
			_, _ = conn.send(data[:])
		}
		conn.close()
		conn, err = s.accept(listener)
	}
}
