// SPDX-License-Identifier: Apache-2.0

// Package whoami holds `vethway whoami`, a server to try things out with: it answers with the address that it saw.
package whoami

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/vethway/vethway/cmd/internal/cli/app"
	"github.com/vethway/vethway/cmd/internal/cli/exit"
)

// New returns the command.
func New(a *app.App) *cobra.Command {
	var label string
	cmd := &cobra.Command{
		Use:   "whoami [flags] PORT",
		Short: "A little server that answers with the address it saw, for trying things out",
		Long: `Answer every HTTP request, and every UDP datagram, on PORT with one line: who asked, as seen from here. It listens on
all addresses of both families.`,
		Example: `  vethway run --network web --name c1 -p 8080:80 -d -- vethway whoami 80
  curl http://127.0.0.1:8080/`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Started = true
			if port, err := strconv.ParseUint(args[0], 10, 16); err != nil || port == 0 {
				return exit.Errorf(exit.Usage, "whoami %q: want a port from 1 to 65535", args[0])
			}
			return serve(cmd.Context(), label, args[0])
		},
	}
	cmd.Flags().StringVar(&label, "label", "", "what the server calls itself (default: its first address)")
	return cmd
}

// serve answers until ctx ends.
func serve(ctx context.Context, label, port string) error {
	var lc net.ListenConfig
	// A wildcard listener of Go's takes both families.
	l, err := lc.Listen(ctx, "tcp", ":"+port)
	if err != nil {
		return fmt.Errorf("listen on port %s: %w", port, err)
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		// The client may be gone, which is no concern of the server's.
		_, _ = fmt.Fprint(w, line(label, local, r.RemoteAddr))
	})}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve on port %s: %w", port, err)
		}
		return nil
	})
	// UDP answers have to leave from the address that was asked: one socket for each address.
	addrs, err := ownAddrs()
	if err != nil {
		return errors.Join(err, server.Close())
	}
	for _, addr := range addrs {
		c, err := lc.ListenPacket(ctx, "udp", net.JoinHostPort(addr, port))
		if err != nil {
			return errors.Join(fmt.Errorf("listen on %s port %s: %w", addr, port, err), server.Close())
		}
		group.Go(func() error { return answer(c, label) })
		context.AfterFunc(ctx, func() { c.Close() })
	}
	context.AfterFunc(ctx, func() { server.Close() })
	return group.Wait()
}

// answer answers datagrams until the socket is closed.
func answer(c net.PacketConn, label string) error {
	buf := make([]byte, 2048)
	for {
		_, peer, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			// An ICMP error that an earlier answer met.
			continue
		}
		// The client may be gone, which is no concern of the server's.
		_, _ = c.WriteTo([]byte(line(label, c.LocalAddr(), peer.String())), peer)
	}
}

func line(label string, local net.Addr, peer string) string {
	if label == "" {
		label = local.String()
	}
	host, _, err := net.SplitHostPort(peer)
	if err != nil {
		host = peer
	}
	return fmt.Sprintf("%s saw %s\n", label, host)
}

// ownAddrs lists the addresses of this network namespace, without link-local ones.
func ownAddrs() ([]string, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var out []string
	for _, a := range list {
		n, ok := a.(*net.IPNet)
		if ok && !n.IP.IsLinkLocalUnicast() {
			out = append(out, n.IP.String())
		}
	}
	return out, nil
}
