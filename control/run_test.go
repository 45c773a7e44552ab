// SPDX-License-Identifier: Apache-2.0

package control_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vethway/vethway/control"
	"github.com/vethway/vethway/control/api"
	"github.com/vethway/vethway/control/controltest"
)

// running has the engine's loops run for the length of a test, in a bubble with a clock of its own.
func running(t *testing.T, test func(w *world), change ...func(*control.Config)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, change...)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- w.engine.Run(ctx) }()
		synctest.Wait()
		test(w)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestRunFollowsTheHost(t *testing.T) {
	running(t, func(w *world) {
		w.network("web")
		w.mustAttach("c1", "web")
		time.Sleep(5 * time.Second)
		want := w.links.Describe()

		w.links.RemoveLink(w.endpoint("c1", "web").HostInterface)
		time.Sleep(time.Second)
		expect(t, "links, a second after one was removed", w.links.Describe(), want)

		w.links.ChangeHost(func(f *control.HostFacts) {
			f.Uplinks = append(f.Uplinks, control.UplinkFacts{Name: "wg0", Index: 3, MTU: 1420})
			f.Locals = append(f.Locals, netip.MustParsePrefix("192.0.2.9/32"))
		})
		time.Sleep(time.Second)
		if s := w.plane.State(); len(s.Uplinks) != 2 || s.Uplinks[1].MTU != 1420 || len(s.Locals) != 2 {
			t.Errorf("packet programs know of %+v and %v", s.Uplinks, s.Locals)
		}

		w.links.RemoveNamespace("/ns/c1")
		time.Sleep(time.Second)
		if _, err := w.engine.Container(context.Background(), "c1"); !errors.Is(err, control.ErrNotFound) {
			t.Errorf("container whose namespace vanished: %v", err)
		}
	})
}

func TestRunReconcilesAtIntervals(t *testing.T) {
	running(t, func(w *world) {
		time.Sleep(time.Second)
		before := w.plane.Syncs()
		time.Sleep(5 * time.Minute)
		if n := w.plane.Syncs() - before; n < 9 || n > 10 {
			t.Errorf("%d reconciles in 5 minutes", n)
		}
		if n := w.plane.Collected(); n < 59 || n > 61 {
			t.Errorf("flows collected %d times in 5 minutes", n)
		}
	})
}

// A table of hundreds of thousands of flows takes long to look at: that is done less often then.
func TestRunDoesNotCollectAllTheTime(t *testing.T) {
	running(t, func(w *world) {
		w.faults.Set(func(op string) controltest.Fault {
			if op == "Collect" {
				time.Sleep(1200 * time.Millisecond)
			}
			return controltest.Fault{}
		})
		time.Sleep(5 * time.Minute)
		if n := w.plane.Collected(); n < 18 || n > 21 {
			t.Errorf("flows collected %d times in 5 minutes, a second and more each", n)
		}
	})
}

func TestRunTriesAgain(t *testing.T) {
	running(t, func(w *world) {
		w.network("web")
		w.mustAttach("c1", "web")
		w.fail("RemoveEndpoint")
		if err := w.engine.DetachContainer(context.Background(), "c1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if s, _ := w.engine.Status(context.Background()); len(s.Degraded) != 1 {
			t.Errorf("degraded: %+v", s.Degraded)
		}
		w.faults.Set(nil)
		time.Sleep(3 * time.Second)
		if names := w.links.Names(); len(names) != 1 {
			t.Errorf("links left: %v", names)
		}
	})
}

func TestRunDoesNotChaseAStorm(t *testing.T) {
	running(t, func(w *world) {
		before := w.plane.Syncs()
		for range 1000 {
			w.links.ChangeHost(func(*control.HostFacts) {})
			time.Sleep(10 * time.Millisecond)
		}
		if n := w.plane.Syncs() - before; n < 5 || n > 20 {
			t.Errorf("%d reconciles in 10 seconds of changes without pause", n)
		}
	})
}

// TestRunHearsOfTheHostWhileItRests has containers that take long to look at: a new address must not wait for them.
func TestRunHearsOfTheHostWhileItRests(t *testing.T) {
	running(t, func(w *world) {
		w.network("web")
		w.mustAttach("c1", "web")
		time.Sleep(time.Minute)
		w.faults.Set(func(op string) controltest.Fault {
			if op == "EnsureEndpoint" {
				time.Sleep(time.Second)
			}
			return controltest.Fault{}
		})
		w.links.RemoveLink(w.endpoint("c1", "web").HostInterface)
		time.Sleep(2 * time.Second)
		looked := w.links.Calls("EnsureEndpoint")
		w.links.ChangeHost(func(f *control.HostFacts) { f.Locals = append(f.Locals, netip.MustParsePrefix("192.0.2.9/32")) })
		time.Sleep(200 * time.Millisecond)
		if s := w.plane.State(); len(s.Locals) != 2 || w.links.Calls("EnsureEndpoint") != looked {
			t.Errorf("locals %v, containers looked at %d times", s.Locals, w.links.Calls("EnsureEndpoint")-looked)
		}
		time.Sleep(10 * time.Second)
		if w.links.Calls("EnsureEndpoint") == looked {
			t.Error("the containers were not looked at after the rest")
		}
	})
}

func TestUplinksAreNarrowed(t *testing.T) {
	w := newWorld(t, func(c *control.Config) { c.Uplinks = []string{"eth*"} })
	w.links.ChangeHost(func(f *control.HostFacts) { f.Uplinks = append(f.Uplinks, control.UplinkFacts{Name: "wg0", Index: 3}) })
	w.reconcile()
	s, err := w.engine.Status(context.Background())
	if err != nil || len(w.plane.State().Uplinks) != 1 || len(s.Uplinks) != 1 || s.Uplinks[0].Name != "eth0" {
		t.Errorf("uplinks %+v, %v", s.Uplinks, err)
	}
}

// TestConcurrentRequests is for the race detector, and for requests that must not get the same thing.
func TestConcurrentRequests(t *testing.T) {
	w := newWorld(t)
	w.network("web", enable(true, true))
	var all sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		w.links.AddNamespace("/ns/" + name)
		all.Go(func() {
			_, err := w.engine.AttachContainer(context.Background(), api.ContainerAttach{
				Name: name, Namespace: "/ns/" + name, Networks: []api.NetworkConnection{{Network: "web"}},
				Publish: []api.PublishSpec{{ContainerPort: 80}},
			})
			if err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			if _, err := w.engine.Containers(context.Background()); err != nil {
				t.Error(err)
			}
			if err := w.engine.Reconcile(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	w.reconcile()
	seen := map[netip.Addr]bool{}
	for _, ep := range w.plane.State().Endpoints {
		for _, a := range ep.Addrs {
			seen[a] = true
		}
	}
	if len(seen) != 12 {
		t.Errorf("%d addresses for 6 containers", len(seen))
	}
}

// TestRequestsWaitForOneContainer: every request of a series meets a reconcile that is under way, and is to have its turn when that has looked
// at one more container.
func TestRequestsWaitForOneContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.network("web")
		for _, name := range []string{"c1", "c2", "c3", "c4", "c5", "c6"} {
			w.mustAttach(name, "web")
		}
		next := make(chan struct{})
		began, whenPublished := 0, []int{}
		w.faults.Set(func(op string) controltest.Fault {
			switch op {
			case "EnsureEndpoint":
				began++
				<-next
			case "Commit":
				whenPublished = append(whenPublished, began)
			}
			return controltest.Fault{}
		})
		reconciled := make(chan error)
		go func() { reconciled <- w.engine.Reconcile(context.Background()) }()
		synctest.Wait()
		for _, port := range []string{"8080:80", "8081:80"} {
			go func() {
				if _, err := w.publish("c1", port); err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait()
			next <- struct{}{}
			synctest.Wait()
		}
		close(next)
		if err := <-reconciled; err != nil || began != 6 || !slices.Equal(whenPublished, []int{1, 2}) {
			t.Errorf("published when %v of %d containers had been looked at, %v", whenPublished, began, err)
		}
	})
}

func TestWaitingForTheTurnEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.reconcile()
		hold := make(chan struct{})
		w.slow("Owned", hold)
		go w.engine.Reconcile(context.Background())
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := w.engine.CreateNetwork(ctx, api.NetworkCreate{Name: "web"})
		if api.AsError(err).Code != api.Canceled {
			t.Errorf("error %v", err)
		}
		if _, err := w.engine.Networks(context.Background(), nil); err != nil {
			t.Errorf("reading waited: %v", err)
		}
		close(hold)
		synctest.Wait()
	})
}
