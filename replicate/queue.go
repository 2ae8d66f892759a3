package replicate

import (
	"context"
	"sync"
	"time"
)

// An event is what the source has sent: a message, or how far its log has been
// read when there was nothing to send.
type event struct {
	message any
	upTo    LSN // with no message: everything committed before has been sent
	bytes   int
}

// queueBytes is how much of what was received may wait to be applied.
const queueBytes = 32 << 20

// A queue hands events from the session that receives to the one that applies.
type queue struct {
	mu     sync.Mutex
	events []event
	bytes  int
	err    error // why no more events come
	more   chan struct{}
	room   chan struct{}
}

func newQueue() *queue {
	return &queue{more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// push adds an event, whether there is room for it or not.
func (q *queue) push(e event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.events); n > 0 && e.message == nil && q.events[n-1].message == nil {
		q.events[n-1] = e // only the latest position counts
		return
	}
	q.events = append(q.events, e)
	q.bytes += e.bytes
	signal(q.more)
}

// full reports whether the sender has to wait for room.
func (q *queue) full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes >= queueBytes
}

// end says that no more events come. Those that wait can still be taken.
func (q *queue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	signal(q.more)
}

// take returns all events that wait. It waits for one for as long as wait, and
// returns none then.
func (q *queue) take(ctx context.Context, wait time.Duration) ([]event, error) {
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		q.mu.Lock()
		list, err := q.events, q.err
		q.events, q.bytes = nil, 0
		q.mu.Unlock()
		if len(list) > 0 {
			signal(q.room)
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-t.C:
			return nil, nil
		case <-q.more:
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
