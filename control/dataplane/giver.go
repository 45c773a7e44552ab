// SPDX-License-Identifier: Apache-2.0

package dataplane

import "sort"

// giver gives slots to ports on one face, in their order.
type giver struct {
	d           *Dataplane
	slots       *slotPlan
	have        []run // what the map holds, from the present port on
	next, write []run
}

// run goes through what the map holds of a run's ports.
func (q *giver) run(w run) error {
	if len(q.have) > 0 && q.have[0].end <= w.first {
		q.have = q.have[sort.Search(len(q.have), func(i int) bool { return q.have[i].end > w.first }):]
	}
	for at := w.first; at < w.end; {
		if len(q.have) == 0 || q.have[0].first >= w.end {
			return q.fresh(w.part(at, w.end))
		}
		if h := q.have[0]; h.first > at {
			if err := q.fresh(w.part(at, h.first)); err != nil {
				return err
			}
			at = h.first
		}
		end := min(q.have[0].end, w.end)
		held, wanted := q.have[0].part(at, end), w.part(at, end)
		if held.digest != w.digest || held.target != wanted.target || q.slots.all.overlaps(held.slot, end-at) {
			if err := q.fresh(wanted); err != nil {
				return err
			}
		} else {
			q.slots.all.add(held.slot, end-at)
			q.next = appendRun(q.next, held)
		}
		if at = end; q.have[0].end <= end {
			q.have = q.have[1:]
		}
	}
	return nil
}

// fresh gives new slots to ports in a row.
func (q *giver) fresh(w run) error {
	for {
		slot, n, err := q.d.slots.find(q.slots, w.end-w.first)
		if err != nil {
			return err
		}
		q.slots.give(slot, n, w.digest)
		w.slot = slot
		part := w.part(w.first, w.first+n)
		q.next, q.write = appendRun(q.next, part), appendRun(q.write, part)
		if part.end == w.end {
			return nil
		}
		w = w.part(part.end, w.end)
	}
}
