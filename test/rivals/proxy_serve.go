// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/vethway/vethway/test/netlab"
)

// statusFile is where docker-proxy tells its parent how the start went.
const statusFile = 3

// ServeProxy is docker-proxy's equivalent: it takes the same flags, tells its
// parent the same, and forwards one port until ctx ends.
func ServeProxy(ctx context.Context, args []string) error {
	syscall.CloseOnExec(statusFile)
	status := os.NewFile(statusFile, "status")
	defer status.Close()
	x, err := openProxy(ctx, args)
	if err != nil {
		fmt.Fprintf(status, "1\n%v", err)
		return fmt.Errorf("serve as a proxy: %w", err)
	}
	defer x.close()
	if _, err := fmt.Fprint(status, "0\n"); err != nil {
		return fmt.Errorf("serve as a proxy: %w", err)
	}
	status.Close()
	<-ctx.Done()
	return nil
}

func openProxy(ctx context.Context, args []string) (*proxy, error) {
	flags := flag.NewFlagSet(ProxyCommand, flag.ContinueOnError)
	proto := flags.String("proto", "tcp", "tcp or udp")
	var hostIP, containerIP netip.Addr
	flags.TextVar(&hostIP, "host-ip", netip.Addr{}, "address to listen on")
	flags.TextVar(&containerIP, "container-ip", netip.Addr{}, "address to forward to")
	hostPort := flags.Uint("host-port", 0, "port to listen on")
	containerPort := flags.Uint("container-port", 0, "port to forward to")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if !hostIP.IsValid() || !containerIP.IsValid() || *hostPort > 65535 || *containerPort > 65535 {
		return nil, errors.New("an address is missing or a port is out of range")
	}
	here, err := netlab.OpenNamespace("here", "/proc/self/ns/net")
	if err != nil {
		return nil, err
	}
	x := &proxy{host: here, dial: dialHere}
	x.ctx, x.cancel = context.WithCancel(ctx)
	at := netip.AddrPortFrom(hostIP, uint16(*hostPort))
	if err := x.listen(at, netip.AddrPortFrom(containerIP, uint16(*containerPort)), *proto, true); err != nil {
		x.close()
		return nil, err
	}
	return x, nil
}

// dialHere does without entering a namespace, which would be paid for with
// every connection.
func dialHere(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	d.SetMultipathTCP(false)
	return d.DialContext(ctx, network, to.String())
}
