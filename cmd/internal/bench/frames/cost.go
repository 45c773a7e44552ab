// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/vethway/vethway/test/netlab"
)

const (
	tcRedirect  = 7
	etherLength = 14

	// struct __sk_buff, of which a test run takes the interface.
	skbLength, skbInterface = 192, 40
	skbData, skbDataEnd     = 76, 80
)

// Stopwatch times the program that a flow's packets meet first, on a packet of a flow that it knows.
//
// A test run repeats the program on one packet, which the first run rewrites: what the second would measure is another
// packet. So a program of our own writes the head anew each time and calls the one that is measured; what that takes is
// known from a run without the call.
type Stopwatch struct {
	cfg     Config
	from    netip.AddrPort
	at      *netlab.Namespace
	device  int
	packet  []byte
	restore *ebpf.Program
	calls   *ebpf.Map
	program *ebpf.Program
	closers []func() error
}

// NewStopwatch finds the program at the other end of the client's veth, and makes the flow with a real datagram.
func NewStopwatch(ctx context.Context, cfg Config) (_ *Stopwatch, err error) {
	s := &Stopwatch{cfg: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("prepare to time a program: %w", err), s.Close())
		}
	}()
	w, err := explore(ctx, cfg.Client, cfg.Dial)
	if err != nil {
		return nil, err
	}
	s.from = netip.AddrPortFrom(w.source, w.port)
	s.packet = netlab.IPFrame(w.dst, w.src, netlab.UDPPacket(s.from, cfg.Dial, make([]byte, payload)))
	var name string
	if s.at, name, err = w.otherEnd(cfg.Others); err != nil {
		return nil, err
	}
	l, err := s.at.Link(name)
	if err != nil {
		return nil, err
	}
	s.device = l.Index
	if err := s.at.Do(s.find); err != nil {
		return nil, err
	}
	return s, s.prepare()
}

// find takes the first program of the device's tc ingress.
func (s *Stopwatch) find() error {
	attached, err := link.QueryPrograms(link.QueryOptions{Target: s.device, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return fmt.Errorf("ask for the programs of a device: %w", err)
	}
	if len(attached.Programs) == 0 {
		return errors.New("the device has no program at tcx ingress")
	}
	if s.program, err = ebpf.NewProgramFromID(attached.Programs[0].ID); err != nil {
		return fmt.Errorf("open a program: %w", err)
	}
	s.closers = append(s.closers, s.program.Close)
	return nil
}

func (s *Stopwatch) prepare() error {
	table, err := heads([][]byte{s.packet})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, table.Close)
	// The two must be of one kind to call each other, and the kernel does not tell which kind that is.
	for _, kind := range []ebpf.AttachType{ebpf.AttachNone, ebpf.AttachTCXIngress} {
		// So must be all that use one table.
		s.calls, err = ebpf.NewMap(&ebpf.MapSpec{Name: "bench_calls", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
		if err != nil {
			return fmt.Errorf("make the table of calls: %w", err)
		}
		s.closers = append(s.closers, s.calls.Close)
		if s.restore, err = restorer(kind, table, s.calls); err != nil {
			return err
		}
		s.closers = append(s.closers, s.restore.Close)
		if err = s.calls.Put(uint32(0), s.program); err == nil {
			return s.calls.Delete(uint32(0))
		}
	}
	return fmt.Errorf("call the program from one of our own: %w", err)
}

// restorer writes the packet's head anew and calls what is in the table, or passes if that is nothing.
func restorer(kind ebpf.AttachType, table, calls *ebpf.Map) (*ebpf.Program, error) {
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, table.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),
		asm.LoadMem(asm.R2, asm.R6, skbData, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, skbDataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, headLength),
		asm.JGT.Reg(asm.R4, asm.R3, "pass"),
	}
	for offset := int16(0); offset < headLength; offset += word {
		code = append(code, asm.LoadMem(asm.R1, asm.R0, offset, asm.DWord), asm.StoreMem(asm.R2, offset, asm.R1, asm.DWord))
	}
	code = append(code,
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, calls.FD()),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("pass"),
		asm.Return(),
	)
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "bench_restore", Type: ebpf.SchedCLS, AttachType: kind, Instructions: code, License: licence,
	})
	if err != nil {
		return nil, fmt.Errorf("load the program that restores a packet: %w", err)
	}
	return program, nil
}

// send has the flow go on with a real datagram. What is only run is not sent, so whoever learns from what is sent, as of the next hop's MAC
// address, would soon know nothing.
func (s *Stopwatch) send() error {
	const settled = 2 * time.Millisecond // a neighbour may have to be asked for first
	err := s.cfg.Client.Do(func() error {
		conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(s.from), net.UDPAddrFromAddrPort(s.cfg.Dial))
		if err != nil {
			return err
		}
		_, err = conn.Write(make([]byte, payload))
		return errors.Join(err, conn.Close())
	})
	if err != nil {
		return fmt.Errorf("send a datagram of the flow: %w", err)
	}
	time.Sleep(settled)
	return nil
}

// Time is what one run of the program takes: the mean of so many, in CPU time. It fails where the last of them has not sent the packet
// on, or as another one than wanted.
func (s *Stopwatch) Time(runs int, want Translation) (took time.Duration, err error) {
	if err := s.send(); err != nil {
		return 0, fmt.Errorf("time a program: %w", err)
	}
	err = onCPU(s.at, s.cfg.CPU, func() error {
		empty, _, _, err := s.run(runs)
		if err != nil {
			return err
		}
		if err := s.calls.Put(uint32(0), s.program); err != nil {
			return fmt.Errorf("put the program into the table of calls: %w", err)
		}
		full, verdict, packet, err := s.run(runs)
		if err := errors.Join(err, s.calls.Delete(uint32(0))); err != nil {
			return err
		}
		if verdict != tcRedirect {
			return fmt.Errorf("the verdict is %d instead of a redirect: the packet did not take the short way", verdict)
		}
		if err := want.check(packet); err != nil {
			return err
		}
		took = (full - empty) / time.Duration(runs)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("time a program: %w", err)
	}
	return took, nil
}

// Translation is what becomes of a packet.
type Translation struct {
	From netip.Addr // whose port may be any
	To   netip.AddrPort
}

func (t Translation) check(frame []byte) error {
	ip, ok := netlab.ParseIP(frame[etherLength:])
	if !ok || ip.Src.Addr() != t.From || ip.Dst != t.To {
		return fmt.Errorf("the packet became one from %s to %s, where from %s to %s was due", ip.Src, ip.Dst, t.From, t.To)
	}
	return nil
}

func (s *Stopwatch) run(runs int) (took time.Duration, verdict uint32, packet []byte, err error) {
	skb := make([]byte, skbLength)
	binary.LittleEndian.PutUint32(skb[skbInterface:], uint32(s.device))
	o := ebpf.RunOptions{Data: s.packet, DataOut: make([]byte, len(s.packet)), Context: skb, Repeat: uint32(runs)}
	began := threadTime()
	verdict, err = s.restore.Run(&o)
	return threadTime() - began, verdict, o.DataOut, err
}

// Marked says whether anything is set in an array of the program's, by the array's name; false where it has no such.
func (s *Stopwatch) Marked(name string) (bool, error) {
	info, err := s.program.Info()
	if err != nil {
		return false, fmt.Errorf("ask for the maps of a program: %w", err)
	}
	ids, _ := info.MapIDs()
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return false, fmt.Errorf("open a map of a program: %w", err)
		}
		marked, err := marked(m, name)
		if err := errors.Join(err, m.Close()); err != nil || marked {
			return marked, err
		}
	}
	return false, nil
}

func marked(m *ebpf.Map, name string) (bool, error) {
	info, err := m.Info()
	if err != nil || info.Name != name {
		return false, err
	}
	key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
	none := make([]byte, m.ValueSize())
	all := m.Iterate()
	for all.Next(&key, &value) {
		if !bytes.Equal(value, none) {
			return true, nil
		}
	}
	return false, all.Err()
}

// Close lets go of the programs; the one that was measured stays where it is.
func (s *Stopwatch) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}
