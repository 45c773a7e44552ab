// SPDX-License-Identifier: Apache-2.0

package traffic

// openStream is the side that connects.
func (s *sample) openStream(to *endpoint, m *meter) error {
	conn, err := dial(to, sockStream)
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

func (s *sample) acceptFirst(listener socket) (socket, error) {
	conn, err := listener.accept()
	if err != nil {
		return -1, err
	}
	peer, err := conn.peer()
	if err == nil {
		err = conn.verify()
	}
	if err != nil {
		conn.close()
		return -1, err
	}
	s.sawPeer(peer)
	return conn, nil
}

// pour writes until the receiver has enough and closes, which a sender sees as a reset or a broken pipe.
func (s *sample) pour(conn socket) error {
	data := make([]byte, s.order.Size)
	for {
		if _, err := conn.send(data); err != nil {
			return closedByPeer("send", err)
		}
	}
}

func (s *sample) drain(conn socket, m *meter) error {
	data := make([]byte, s.order.Size)
	m.begin()
	for {
		n, err := conn.receive(data)
		if err != nil {
			return describe("receive", err)
		}
		if n == 0 {
			return errEarlyEnd
		}
		if m.add(n) {
			return nil
		}
	}
}
