package pghaul_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/dump"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/progress"
	"github.com/pghaul/pghaul/restore"
	"github.com/pghaul/pghaul/verify"
)

// shopRows are the rows of the sample shop.
var shopRows = map[string]int64{
	"public.customers": 1000, "public.order_items": 15044, "public.orders": 5000, "public.products": 100,
}

const allShopRows = 21144

// shop loads the sample shop into a new database of the oldest server.
func shop(tb testing.TB) (s *pgtest.Server, db string) {
	tb.Helper()
	s = pgtest.Start(tb, pgtest.Versions(tb)[0])
	db = s.Database(tb)
	s.Load(tb, db, pgtest.Sample(tb, "shop.sql"))
	return s, db
}

// A program embeds the libraries: it hears of the work through its own logger
// and callback, and through nothing else.
func TestEmbed(t *testing.T) {
	from, fromDB := shop(t)
	versions := pgtest.Versions(t)
	to := pgtest.Start(t, versions[len(versions)-1])
	toDB := to.Database(t)
	source, target := from.Config(t, fromDB), to.Config(t, toDB)
	before := goleak.IgnoreCurrent()

	var dumped *dump.Report
	var restored *restore.Report
	var compared *verify.Report
	var errs [3]error
	apps := [3]app{}
	dir := filepath.Join(t.TempDir(), "shop.dump")
	printed := capture(t, func() {
		dumped, errs[0] = dump.Run(t.Context(), source, dump.Options{Dir: dir, Jobs: 3, Logger: apps[0].logger(), Progress: apps[0].tracker()})
		if errs[0] != nil {
			return
		}
		restored, errs[1] = restoreDir(t.Context(), target, dir, restore.Options{Jobs: 3, Logger: apps[1].logger(), Progress: apps[1].tracker()})
		compared, errs[2] = verify.Run(t.Context(), source, target, verify.Options{Jobs: 3, Logger: apps[2].logger(), Progress: apps[2].tracker()})
	})
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	if printed != "" {
		t.Errorf("the libraries printed:\n%s", printed)
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}

	if !dumped.Complete() || dumped.Tables != len(shopRows) || dumped.Rows != allShopRows || dumped.Stored == 0 || len(dumped.Warnings) > 0 {
		t.Errorf("dump: %+v", dumped)
	}
	if !restored.Complete() || restored.Restored == 0 || restored.Rows != allShopRows || restored.Bytes != dumped.Bytes || len(restored.Warnings) > 0 {
		t.Errorf("restore: %+v", restored)
	}
	rows := map[string]int64{}
	for _, table := range compared.Tables {
		rows[table.Schema+"."+table.Name] = table.Target.Rows
	}
	if d := cmp.Diff(shopRows, rows); d != "" || !compared.Equal() || len(compared.Sequences) != 3 {
		t.Errorf("verify: %+v\n%s", compared, d)
	}
	for i, verb := range []string{"dump", "restore", "verify"} {
		if d := cmp.Diff(shopRows, apps[i].finished()); d != "" {
			t.Errorf("%s: rows of finished tables (-want +got):\n%s", verb, d)
		}
		if got := apps[i].progress.Snapshot(); got.Rows != allShopRows || got.Failed != 0 || len(got.Active) > 0 {
			t.Errorf("%s: progress ended as %+v", verb, got)
		}
		if !strings.Contains(apps[i].log.String(), "orders") {
			t.Errorf("%s: the log does not mention the table orders:\n%s", verb, &apps[i].log)
		}
	}
}

func restoreDir(ctx context.Context, target *pgx.ConnConfig, dir string, opts restore.Options) (*restore.Report, error) {
	r, err := archive.Open(dir)
	if err != nil {
		return nil, err
	}
	report, err := restore.Run(ctx, target, restore.FromArchive(r), opts)
	return report, errors.Join(err, r.Close())
}

// Wherever a dump is cancelled, it leaves no archive, no session and no goroutine.
func TestEmbedCancel(t *testing.T) {
	s, db := shop(t)
	first := func(edge progress.Edge, phase string) func(progress.Event) bool {
		return func(e progress.Event) bool { return e.Edge == edge && e.Phase == phase }
	}
	for name, at := range map[string]func(progress.Event) bool{
		"before anything":    first(progress.Entered, "snapshot"),
		"reading catalog":    first(progress.Entered, "catalog"),
		"entering data":      first(progress.Entered, "data"),
		"starting a table":   first(progress.Started, "data"),
		"having dumped some": first(progress.Finished, "data"),
	} {
		t.Run(name, func(t *testing.T) {
			config := s.Config(t, db)
			before := goleak.IgnoreCurrent()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			tracker := progress.NewTracker(func(e progress.Event) {
				if at(e) {
					cancel()
				}
			})
			parent := t.TempDir()
			report, err := dump.Run(ctx, config, dump.Options{Dir: filepath.Join(parent, "shop.dump"), Jobs: 1, Progress: tracker})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v, want one that wraps context.Canceled (report %+v)", err, report)
			}
			if err := goleak.Find(before); err != nil {
				t.Error(err)
			}
			left, err := os.ReadDir(parent)
			if err != nil {
				t.Fatal(err)
			}
			if len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			noSession(t, s)
		})
	}
}

// noSession fails the test unless the sessions of pghaul end soon: the server
// takes a moment to notice that its client has gone.
func noSession(tb testing.TB, s *pgtest.Server) {
	tb.Helper()
	const query = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pghaul%'"
	deadline := time.After(10 * time.Second)
	for {
		if s.Text(tb, "postgres", query) == "0" {
			return
		}
		select {
		case <-deadline:
			tb.Error("sessions of the dump are left on the server")
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// An app is what a program that embeds a library gives it.
type app struct {
	log      lockedBuffer
	progress *progress.Tracker

	mu     sync.Mutex
	events []progress.Event
}

func (a *app) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&a.log, nil)) }

func (a *app) tracker() *progress.Tracker {
	a.progress = progress.NewTracker(func(e progress.Event) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.events = append(a.events, e)
	})
	return a.progress
}

// finished are the rows of the tables whose end was told, and only of those
// whose beginning was told before.
func (a *app) finished() map[string]int64 {
	rows, started := map[string]int64{}, map[string]bool{}
	for _, e := range a.events {
		started[e.Item] = started[e.Item] || e.Edge == progress.Started
		if _, table := shopRows[e.Item]; table && e.Edge == progress.Finished && started[e.Item] {
			rows[e.Item] += e.Rows
		}
	}
	return rows
}

// A lockedBuffer is a buffer that several goroutines may write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// capture returns what the process wrote to its standard output and error while
// do ran, by whatever way: the descriptors themselves point to a file.
func capture(tb testing.TB, do func()) string {
	tb.Helper()
	f, err := os.Create(filepath.Join(tb.TempDir(), "printed"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	redirect := func(fd int) (restore func() error, err error) {
		saved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("save descriptor %d: %w", fd, err)
		}
		if err := unix.Dup2(int(f.Fd()), fd); err != nil {
			return nil, errors.Join(fmt.Errorf("redirect descriptor %d: %w", fd, err), unix.Close(saved))
		}
		return func() error { return errors.Join(unix.Dup2(saved, fd), unix.Close(saved)) }, nil
	}
	var back []func() error
	defer func() {
		for _, restore := range slices.Backward(back) {
			if err := restore(); err != nil {
				tb.Error(err)
			}
		}
	}()
	for _, fd := range []int{1, 2} { // standard output and error
		restore, err := redirect(fd)
		if err != nil {
			tb.Fatal(err)
		}
		back = append(back, restore)
	}
	do()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		tb.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

func TestCapture(t *testing.T) {
	got := capture(t, func() {
		fmt.Print("to stdout ")
		fmt.Fprint(os.Stderr, "to stderr")
	})
	if want := "to stdout to stderr"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
