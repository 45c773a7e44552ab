// SPDX-License-Identifier: Apache-2.0

package traffic

// openStream is the side that connects.
func (s *sample) openStream(to *endpoint, m *meter) error {
	conn, err := s.dial(to)
	if err != nil {
		return err
	}
	defer conn.close()
	if s.order.FromServer {
		return s.drain(conn, m)
	}
	return s.pour(conn)
}

// serveStream is the side that was connected to.
func (s *sample) serveStream(listener socket, m *meter) error {
	conn, err := s.acceptFirst(listener)
	if err != nil {
		return err
	}
	defer conn.close()
	if s.order.FromServer {
		return s.pour(conn)
	}
	return s.drain(conn, m)
}

func (s *sample) acceptFirst(listener socket) (connection, error) {
	c, err := s.accept(listener)
	if err != nil {
		return connection{}, err
	}
	peer, err := c.peer()
	if err == nil {
		err = c.verify()
	}
	if err != nil {
		c.close()
		return connection{}, err
	}
	s.sawPeer(peer)
	return c, nil
}

// pour writes until the receiver has enough and closes, which a sender sees as a reset or a broken pipe.
func (s *sample) pour(conn connection) error {
	data := make([]byte, s.order.Size)
	for {
		if _, err := conn.send(data); err != nil {
			return closedByPeer("send", err)
		}
	}
}

func (s *sample) drain(conn connection, m *meter) error {
	data := make([]byte, s.order.Size)
	m.begin()
	var read uint64
	for {
		n, err := conn.receive(data)
		if err != nil {
			return describe("receive", err)
		}
		if n == 0 {
			return errEarlyEnd
		}
		read += uint64(n)
		if m.add(n) {
			return conn.account(m, read)
		}
	}
}
