package ui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghaul/pghaul/internal/golden"
	"github.com/pghaul/pghaul/progress"
)

func columnsOf(n int) func() int { return func() int { return n } }

// A vt is as much of a terminal as a Screen needs: it wraps lines, moves up,
// erases below.
type vt struct {
	width int
	rows  [][]rune
	r, c  int
}

var escape = regexp.MustCompile(`^\x1b\[(\??\d*)([A-Za-z])`)

func (v *vt) Write(p []byte) (int, error) {
	for s := string(p); s != ""; {
		if m := escape.FindStringSubmatch(s); m != nil {
			s = s[len(m[0]):]
			switch m[2] {
			case "A":
				n := 0
				fmt.Sscan(m[1], &n)
				v.r = max(0, v.r-n)
			case "J":
				v.rows = v.rows[:min(len(v.rows), v.r+1)]
				if v.r < len(v.rows) {
					v.rows[v.r] = v.rows[v.r][:min(v.c, len(v.rows[v.r]))]
				}
			}
			continue
		}
		r := []rune(s)[0]
		s = s[len(string(r)):]
		switch r {
		case '\r':
			v.c = 0
		case '\n':
			v.r, v.c = v.r+1, 0 // the line discipline adds the return
		default:
			if v.c == v.width {
				v.r, v.c = v.r+1, 0
			}
			for len(v.rows) <= v.r {
				v.rows = append(v.rows, nil)
			}
			for len(v.rows[v.r]) <= v.c {
				v.rows[v.r] = append(v.rows[v.r], ' ')
			}
			v.rows[v.r][v.c] = r
			v.c++
		}
	}
	return len(p), nil
}

func (v *vt) String() string {
	var b strings.Builder
	for _, row := range v.rows {
		b.WriteString(strings.TrimRight(string(row), " ") + "\n")
	}
	return b.String()
}

func TestStatusStandsBelowTheLog(t *testing.T) {
	term := &vt{width: 40}
	s := NewScreen(term, columnsOf(40))
	s.Status([]string{"one", "two"})
	s.Printf("first log line")
	s.Status([]string{"one again", "two again"})
	if _, err := s.Write([]byte("without newline")); err != nil {
		t.Fatal(err)
	}
	s.Printf("a line that is longer than the terminal is wide, and wraps")
	want := "first log line\nwithout newline\na line that is longer than the terminal\nis wide, and wraps\none again\ntwo again\n"
	if got := term.String(); got != want {
		t.Errorf("screen:\n%s\nwant:\n%s", got, want)
	}
	s.Status(nil)
	s.Printf("last")
	want = "first log line\nwithout newline\na line that is longer than the terminal\nis wide, and wraps\nlast\n"
	if got := term.String(); got != want {
		t.Errorf("screen at the end:\n%s\nwant:\n%s", got, want)
	}
}

// Long status lines must not wrap, or a stale half would stay behind.
func TestStatusFitsTheWidth(t *testing.T) {
	term := &vt{width: 20}
	s := NewScreen(term, columnsOf(20))
	for range 3 {
		s.Status([]string{strings.Repeat("a", 50), strings.Repeat("b", 20)})
	}
	want := strings.Repeat("a", 16) + "...\n" + strings.Repeat("b", 16) + "...\n"
	if got := term.String(); got != want {
		t.Errorf("screen:\n%s\nwant:\n%s", got, want)
	}
}

// A window made narrower wraps what was drawn; all of it must go.
func TestStatusSurvivesResize(t *testing.T) {
	var out bytes.Buffer
	width := 80
	s := NewScreen(&out, func() int { return width })
	s.Status([]string{strings.Repeat("a", 70), strings.Repeat("b", 50)})
	out.Reset()
	width = 30 // 70 columns take three rows now, 50 take two
	s.Status([]string{"a", "b"})
	if want := "\r\x1b[4A\x1b[J" + "a\r\nb"; out.String() != want {
		t.Errorf("wrote %q, want %q", out.String(), want)
	}
}

// Whatever many goroutines write while status lines come and go, each line
// comes out whole and the cursor is back at the end.
func TestLinesNeverTear(t *testing.T) {
	var out bytes.Buffer
	s := NewScreen(&out, columnsOf(60))
	const writers, each = 8, 200
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				s.Printf("<writer %d line %d>", w, i)
			}
		})
	}
	stop := make(chan struct{})
	drawn := make(chan struct{})
	go func() {
		defer close(drawn)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				s.Status([]string{fmt.Sprint("active ", i), fmt.Sprint("total ", i)})
			}
		}
	}()
	wg.Wait()
	close(stop)
	<-drawn
	s.Status(nil)
	// Without the escapes and the status lines exactly the log must be left.
	text := regexp.MustCompile(`\x1b\[\??\d*[A-Za-z]`).ReplaceAllString(out.String(), "\x00")
	text = regexp.MustCompile(`active \d+\r\ntotal \d+`).ReplaceAllString(text, "")
	lines := strings.Split(strings.Trim(strings.NewReplacer("\x00", "", "\r", "").Replace(text), "\n"), "\n")
	if len(lines) != writers*each {
		t.Errorf("%d lines, want %d", len(lines), writers*each)
	}
	whole := regexp.MustCompile(`^<writer \d line \d+>$`)
	for _, line := range lines {
		if !whole.MatchString(line) {
			t.Fatalf("torn line %q", line)
		}
	}
	if !strings.HasSuffix(out.String(), showCursor) {
		t.Error("the cursor is still hidden at the end")
	}
}

func TestNoStatusWithoutTerminal(t *testing.T) {
	var out bytes.Buffer
	s := NewScreen(&out, nil)
	s.Status([]string{"one", "two"})
	s.Printf("log")
	s.Status(nil)
	if out.String() != "log\n" {
		t.Errorf("wrote %q", out.String())
	}
}

func example() (progress.Snapshot, speed) {
	return progress.Snapshot{
		Elapsed: 75 * time.Second, Phase: "data", Rows: 12_345_678, Bytes: 1_234_567_890,
		Finished: 17, ExpectedTasks: 120, Completed: 1_300_000_000, ExpectedBytes: 2_750_000_000,
		Active: []progress.Activity{
			{Phase: "data", Item: "public.orders", Rows: 10, Bytes: 640_000_000, Expected: 1_000_000_000},
			{Phase: "data", Item: "public.order_items_with_a_very_long_name_2024", Rows: 10, Bytes: 12_000_000, Expected: 1_000_000_000},
			{Phase: "post-data", Item: "public.orders_pkey"},
			{Phase: "data", Item: "public.unknown_size", Bytes: 123_456},
		},
	}, speed{rows: 45_100, bytes: 12_300_000, left: 94 * time.Second}
}

func TestStatusLinesGolden(t *testing.T) {
	s, v := example()
	var b strings.Builder
	show := func(title string, s progress.Snapshot, v speed, width int) {
		fmt.Fprintf(&b, "%s, %d columns\n", title, width)
		for _, line := range statusLines("dumping", s, v, width) {
			if columns(line) > width {
				t.Errorf("%s: line of %d columns does not fit %d: %s", title, columns(line), width, line)
			}
			b.WriteString("|" + line + "\n")
		}
	}
	for _, width := range []int{40, 79, 119, 199} {
		show("four at work", s, v, width)
	}
	begin := progress.Snapshot{Elapsed: 300 * time.Millisecond, Phase: "catalog"}
	show("reading the catalog", begin, speed{}, 79)
	unsized := s
	unsized.ExpectedBytes, unsized.Completed, unsized.ExpectedTasks = 0, 0, 0
	show("sizes unknown", unsized, speed{rows: 5, bytes: 100}, 79)
	failed := s
	failed.Failed, failed.Active = 3, failed.Active[:1]
	show("failures", failed, v, 79)
	golden.Check(t, "status.txt", b.String())
}

func TestPlainLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		f := Start(t.Context(), NewScreen(&out, nil), Auto, "dumping", nil)
		f.Tracker.Expect(5, 4000)
		f.Tracker.Phase("data")
		orders := f.Tracker.StartSized("data", "public.orders", 2000)
		f.Tracker.Start("data", "public.some_id_seq").Done(nil) // no rows to speak of
		quick := f.Tracker.Start("post-data", "public.quick_idx")
		quick.Done(nil)
		slow := f.Tracker.Start("post-data", "public.slow_idx")
		time.Sleep(4 * time.Second)
		orders.Add(5000, 1_000_000)
		orders.Done(nil)
		slow.Done(nil)
		items := f.Tracker.StartSized("data", "public.items", 2000)
		items.Add(100, 1000)
		time.Sleep(7 * time.Second)
		items.Done(errors.New("boom"))
		f.Tracker.Skip("post-data", "public.items_idx", "its table failed")
		f.Stop()
		f.Stop()
		want := `public.orders: 5,000 rows, 1.0 MB in 4.0 s
post-data public.slow_idx: 4.0 s
dumping 75% after 10.0 s: 5,100 rows, 1.0 MB, 510 rows/s, 100 kB/s, 4 of 5 done, ETA 0:03
public.items: failed after 7.0 s: boom
`
		if out.String() != want {
			t.Errorf("lines:\n%s\nwant:\n%s", out.String(), want)
		}
	})
}

func TestBarDrawsAndCleansUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := &vt{width: 80}
		s := NewScreen(term, columnsOf(80))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f := Start(ctx, s, Auto, "dumping", nil)
		f.Tracker.Expect(1, 1000)
		k := f.Tracker.StartSized("data", "public.orders", 1000)
		k.Add(5, 500)
		s.Printf("log")
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		want := "log\npublic.orders [####----] 50%\ndumping [#####-----] 50%  0/1  500 B  5 rows  50 rows/s  5.0 kB/s  0:00\n"
		if got := term.String(); got != want {
			t.Errorf("screen:\n%s\nwant:\n%s", got, want)
		}
		cancel() // as a signal does
		synctest.Wait()
		if got := strings.TrimSpace(term.String()); got != "log" {
			t.Errorf("screen at the end:\n%s", got)
		}
		f.Stop()
	})
}

func TestJSONLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		f := Start(t.Context(), NewScreen(&out, nil), JSON, "dumping", nil)
		f.Tracker.Expect(2, 4000)
		f.Tracker.Phase("data")
		k := f.Tracker.StartSized("data", "public.orders", 2000)
		time.Sleep(1500 * time.Millisecond)
		k.Add(5, 1000)
		k.Done(fmt.Errorf("copy: %w", &pgconn.PgError{Severity: "ERROR", Code: "57014", Message: "canceling password=x"}))
		f.Tracker.Skip("post-data", "public.orders_idx", "its table failed")
		f.Stop()
		golden.Check(t, "progress.jsonl", out.String())
	})
}

func TestModeNoneCountsNothing(t *testing.T) {
	var out bytes.Buffer
	f := Start(t.Context(), NewScreen(&out, columnsOf(80)), None, "dumping", nil)
	f.Tracker.Start("data", "t").Done(nil)
	f.Stop()
	if f.Tracker != nil || out.Len() > 0 {
		t.Errorf("tracker %v, output %q", f.Tracker, out.String())
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	table := Table{
		Header: []string{"table_name", "source", "target", "digest"},
		Right:  []bool{false, true, true, false},
		Rows: [][]string{
			{"public.customers", "1000", "1000", "equal"},
			{"public.order_items", "15044", "15043", "DIFFERENT"},
			{`public."new` + "\n" + `line"`, "1", "-", ""},
		},
	}
	if _, err := table.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	want := `table_name         | source | target | digest
-------------------+--------+--------+----------
public.customers   |   1000 |   1000 | equal
public.order_items |  15044 |  15043 | DIFFERENT
public."new?line"  |      1 |      - |
`
	if out.String() != want {
		t.Errorf("table:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestTableReportsFailedWrites(t *testing.T) {
	f, err := os.Open(os.DevNull) // not open for writing
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table := Table{Header: []string{"a"}, Right: []bool{false}}
	if _, err := table.WriteTo(f); err == nil {
		t.Error("no error")
	}
}
