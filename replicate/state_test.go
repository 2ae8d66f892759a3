package replicate

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pghaul/pghaul/internal/pg"
	"github.com/pghaul/pghaul/internal/pgtest"
)

func TestLSN(t *testing.T) {
	for text, want := range map[string]LSN{"0/0": 0, "16/B374D848": 0x16B374D848, "FFFFFFFF/FFFFFFFF": 1<<64 - 1} {
		got, err := ParseLSN(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s is %d, %s, %v", text, got, got, err)
		}
	}
	for _, text := range []string{"", "0", "/", "1/", "x/0", "100000000/0", "0/100000000", "-1/0"} {
		if got, err := ParseLSN(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func TestState(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, s *pgtest.Server) {
		t.Parallel()
		ctx, db := t.Context(), s.Database(t)
		conn, err := pg.Connect(ctx, s.Config(t, db), pg.Write, pg.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer pg.Close(conn)
		if _, err := readRecord(ctx, conn, ""); !errors.Is(err, ErrNoFollow) {
			t.Fatal(err)
		}
		if list, err := readRecords(ctx, conn); err != nil || len(list) != 0 {
			t.Fatal(list, err)
		}
		want := &Record{
			ID: "a1", Engine: EngineApply, Slot: "pghaul_a1", Publication: "pghaul_a1", SourceSystem: "7", SourceDatabase: "d'ä\"\\",
			Stage: Starting, Warnings: []string{}, ViaRoot: true,
			Tables: []Table{{
				Schema: "s\\'ö", Name: "t", TargetName: "u", OID: 1<<32 - 1, Identity: IdentityDefault,
				Columns: []Column{{Name: "Ünï\"", Type: "numeric(3,1)", OID: 1700, Mod: 196613, Key: true}, {Name: "b", Type: "text", OID: 25, Mod: -1}},
			}},
		}
		if err := insertRecord(ctx, conn, want); err != nil {
			t.Fatal(err)
		}
		if err := insertRecord(ctx, conn, want); err == nil {
			t.Error("the same follow twice")
		}
		got, err := readRecord(ctx, conn, "")
		if err != nil {
			t.Fatal(err)
		}
		if time.Since(got.Created) > time.Hour || got.Updated.Before(got.Created) {
			t.Errorf("created %s, updated %s", got.Created, got.Updated)
		}
		want.Created, want.Updated = got.Created, got.Updated
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}

		if err := setRecord(ctx, conn, "a1", "stop_at = $2::text::pg_lsn, applied_lsn = $3::text::pg_lsn, pause = $4, commit_time = $5", LSN(77).String(), LSN(1<<40).String(), true, time.UnixMicro(1700000000123456)); err != nil {
			t.Fatal(err)
		}
		if err := setStage(ctx, conn, "a1", Failed, "it's broken"); err != nil {
			t.Fatal(err)
		}
		if err := setStage(ctx, conn, "a2", Failed, ""); !errors.Is(err, ErrNoFollow) {
			t.Error(err)
		}
		got, err = readRecord(ctx, conn, "a1")
		if err != nil || got.StopAt != 77 || got.Applied != 1<<40 || !got.Pause || got.Stage != Failed || got.Detail != "it's broken" || got.CommitTime.UnixMicro() != 1700000000123456 {
			t.Errorf("%+v, %v", got, err)
		}

		want.ID = "a2"
		if err := insertRecord(ctx, conn, want); err != nil {
			t.Fatal(err)
		}
		if _, err := readRecord(ctx, conn, ""); err == nil || errors.Is(err, ErrNoFollow) {
			t.Errorf("two follows: %v", err)
		}
		if err := setStage(ctx, conn, "a1", CutOver, ""); err != nil {
			t.Fatal(err)
		}
		if got, err := readRecord(ctx, conn, ""); err != nil || got.ID != "a2" {
			t.Error(got, err)
		}
		for _, id := range []string{"a1", "a2", "a2"} {
			if err := deleteRecord(ctx, conn, id); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.Text(t, db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pghaul_follow'"); n != "0" {
			t.Error("the schema is left")
		}
	})
}

// A schema of that name that somebody else has made is not believed.
func TestStateOfAnother(t *testing.T) {
	majors := pgtest.Versions(t)
	s := pgtest.Start(t, majors[len(majors)-1])
	db := s.Database(t)
	role := s.Role(t, "LOGIN")
	s.Exec(t, db, stateTable)
	cfg := s.Config(t, db)
	cfg.User = role
	conn, err := pg.Connect(t.Context(), cfg, pg.Write, pg.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer pg.Close(conn)
	if _, err := readRecords(t.Context(), conn); err == nil {
		t.Error("no error")
	}
	if err := insertRecord(t.Context(), conn, &Record{ID: "a"}); err == nil {
		t.Error("no error")
	}
}
