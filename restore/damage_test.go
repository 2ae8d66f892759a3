package restore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pgtest"
	"github.com/pghaul/pghaul/restore"
)

// damageFrame copies an archive with one byte changed in the middle of a frame
// of its one data file, and returns the copy's Source.
func damageFrame(t *testing.T, dir string, frame int) restore.Source {
	t.Helper()
	to := filepath.Join(pgtest.TempDir(t), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	src := open(t, to)
	for _, f := range src.Manifest().Files {
		if len(f.Frames) == 0 {
			continue
		}
		path := filepath.Join(to, f.Name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fr := f.Frames[frame]
		b[fr.Offset+fr.Size/2] ^= 0x01
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return src
}

// frames are the positions of the frames that hold rows.
func frames(t *testing.T, dir string) (list []int) {
	t.Helper()
	for _, f := range open(t, dir).Manifest().Files {
		for i, fr := range f.Frames {
			if fr.Rows > 0 {
				list = append(list, i)
			}
		}
	}
	return list
}

// A table that is loaded in parts and damaged anywhere ends as it was before:
// empty where this run has created it, with the rows it had where not. Other
// steps go on.
func TestDamageInAnyFrame(t *testing.T) {
	s := pgtest.Start(t, 18)
	_, dir := small(t, s, "400")
	for _, c := range []archive.Compression{archive.CompressNone, archive.CompressGzip, archive.CompressLZ4, archive.CompressZstd} {
		t.Run(string(c), func(t *testing.T) {
			ours := convert(t, dir, 3, c)
			all := frames(t, ours)
			if len(all) < 3 {
				t.Fatalf("%d frames, want at least one a part", len(all))
			}
			db := s.Database(t)
			for k, frame := range all {
				src := damageFrame(t, ours, frame)
				for _, existed := range []bool{false, true} {
					opts := restore.Options{Jobs: 1 + 3*((k+len(all))%2)}
					want := "0"
					s.Exec(t, db, "DROP TABLE IF EXISTS t")
					if existed {
						opts.DataOnly, want = true, "1"
						s.Exec(t, db, "CREATE TABLE t (id int, v text); INSERT INTO t VALUES (-1, 'here before')")
					}
					report, err := restore.Run(t.Context(), s.Config(t, db), src, opts)
					if err != nil {
						t.Fatal(err)
					}
					if len(report.Failed) != 1 || report.Failed[0].Name != "public.t" || report.Rows != 0 {
						t.Errorf("frame %d: %d rows, failures %v; want the table, once", frame, report.Rows, report.Failed)
					} else if _, ok := errors.AsType[*archive.CorruptError](report.Failed[0]); !ok {
						t.Errorf("frame %d: %v, want the damage", frame, report.Failed[0])
					}
					if got := s.Text(t, db, "SELECT count(*) FROM t"); got != want {
						t.Errorf("frame %d, table existed %v: %s rows, want %s", frame, existed, got, want)
					}
					if got := s.Text(t, db, "SELECT count(*) FROM pg_indexes WHERE tablename = 't'"); !existed && got != "2" {
						t.Errorf("%s indexes, want 2: the rest is restored all the same", got)
					}
				}
			}
		})
	}
}

// A failSource fails one part of a table after the others are committed, in a
// way that nothing could have told before.
type failSource struct {
	restore.Source
	part  int
	await func()
}

var errLate = errors.New("the disk was pulled out")

func (f *failSource) Data(ctx context.Context, e *archive.Entry, p archive.Part) (copyproto.Source, error) {
	if p.Number != f.part {
		return f.Source.Data(ctx, e, p)
	}
	return copyproto.Opener(func(context.Context) (io.ReadCloser, error) {
		f.await()
		return nil, errLate
	}), nil
}

// Where parts of a table are committed and another one fails, what this run has
// loaded is removed again, if it created the table.
func TestPartsAreAllOrNothing(t *testing.T) {
	s := pgtest.Start(t, 18)
	_, dir := small(t, s, "400")
	ours := convert(t, dir, 3, archive.CompressZstd)
	for name, tt := range map[string]struct {
		opts   restore.Options
		before string
		rows   int64
	}{
		"created":       {opts: restore.Options{Jobs: 2}},
		"exit on error": {opts: restore.Options{Jobs: 2, ExitOnError: true}},
		"existed":       {opts: restore.Options{Jobs: 2, DataOnly: true}, before: "CREATE TABLE t (id int, v text);", rows: 266},
	} {
		t.Run(name, func(t *testing.T) {
			to := s.Database(t)
			if tt.before != "" {
				s.Exec(t, to, tt.before)
			}
			src := &failSource{Source: open(t, ours), part: 2, await: func() {
				await(t, s, to, "SELECT count(*) = 266 FROM t")
			}}
			report, err := restore.Run(t.Context(), s.Config(t, to), src, tt.opts)
			if tt.opts.ExitOnError != errors.Is(err, errLate) {
				t.Errorf("err = %v", err)
			}
			if len(report.Failed) != 1 || !errors.Is(report.Failed[0], errLate) || report.Rows != tt.rows {
				t.Errorf("%d rows, failures %v; want %d and one", report.Rows, report.Failed, tt.rows)
			}
			if got := s.Text(t, to, "SELECT count(*) FROM t"); got != fmt.Sprint(tt.rows) {
				t.Errorf("%s rows, want %d", got, tt.rows)
			}
			if told := strings.Contains(strings.Join(report.Warnings, "\n"), "266 rows of 2 of its parts"); told != (tt.rows > 0) {
				t.Errorf("warnings %q", report.Warnings)
			}
		})
	}
}
