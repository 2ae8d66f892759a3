package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/copyproto"
	"github.com/pghaul/pghaul/internal/pg"
)

// rows compares the tables' rows.
func (c *comparison) rows(ctx context.Context) (int, error) {
	if err := c.measure(ctx); err != nil {
		return 0, err
	}
	if err := c.learnFloats(ctx); err != nil {
		return 0, err
	}
	c.match()
	if err := c.chooseEngine(ctx); err != nil {
		return 0, err
	}
	c.report.Engine, c.report.EngineReason = c.engine, c.engineReason
	var todo []*unit
	for _, u := range c.units {
		if c.choose(u); !c.recall(u) {
			todo = append(todo, u)
		}
	}
	if err := c.readAll(ctx, todo); err != nil {
		return 0, err
	}
	// Where servers digest rows differently, the rows are found. If none is, or a
	// server has refused, all are read.
	var again []*unit
	for _, u := range todo {
		if u.engine != EnginePush || u.equal() || !u.comparable() {
			continue
		}
		if c.denied(u) {
			continue
		}
		reason := u.refused()
		if reason == "" {
			found, err := c.drillPushed(ctx, u)
			if err != nil {
				return 0, err
			}
			if found {
				continue
			}
			reason = "the digests that the servers have computed differ"
		}
		u.stream(reason)
		again = append(again, u)
	}
	if err := c.readAll(ctx, again); err != nil {
		return 0, err
	}
	if err := c.readAll(ctx, slices.DeleteFunc(slices.Clone(todo), func(u *unit) bool { return !u.inBinary() })); err != nil {
		return 0, err
	}
	for _, u := range c.units {
		t := c.table(u)
		if err := c.judgeView(ctx, u, &t); err != nil {
			return 0, err
		}
		c.report.Tables = append(c.report.Tables, t)
	}
	return len(c.units), c.drillDown(ctx)
}

// measure asks for the sizes of all tables.
func (c *comparison) measure(ctx context.Context) error {
	_, _, err := both(ctx, c, func(e *end, ctx context.Context) (struct{}, error) { return struct{}{}, e.measure(ctx) })
	return err
}

func (e *end) measure(ctx context.Context) error {
	if e.rec != nil {
		return nil
	}
	var list []*catalog.TableData
	for _, it := range e.tables {
		if it.data != nil {
			list = append(list, it.data)
		}
	}
	return e.with(ctx, func(conn *pgx.Conn) error {
		sizes, err := catalog.Sizes(ctx, conn, list)
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		for _, it := range e.tables {
			if it.data == nil {
				continue
			}
			if it.size = sizes[it.data.Table.ID.OID]; it.size.Rewritten {
				it.reason = "another session has truncated or rewritten it after the snapshot was taken, which hides the rows from it: run again"
			}
		}
		return nil
	})
}

// sum adds up the digests of an end; nil if it has none.
func (u *unit) sum(end int) *copyproto.Digest {
	var sum *copyproto.Digest
	for _, p := range u.pairs {
		if d := p.digest[end]; d != nil {
			if sum == nil {
				sum = new(copyproto.Digest)
			}
			*sum = sum.Add(*d)
		}
	}
	return sum
}

// equal reports whether both ends have the same rows, and all of them were read.
func (u *unit) equal() bool {
	for _, p := range u.pairs {
		if p.refused != [2]error{} {
			return false
		}
	}
	source, target := u.sum(0), u.sum(1)
	return source != nil && target != nil && *source == *target
}

// comparable reports whether both ends have rows to compare, or should have.
func (u *unit) comparable() bool {
	var there [2]bool
	for _, p := range u.pairs {
		for i, it := range p.items {
			there[i] = there[i] || it != nil
		}
	}
	return there == [2]bool{true, true} || u.refused() != ""
}

// refused says why a server did not digest rows; "" if all did.
func (u *unit) refused() string {
	for _, p := range u.pairs {
		for _, err := range p.refused {
			if err != nil {
				return "a server could not digest the rows: " + explain(err)
			}
		}
	}
	return ""
}

// denied reports whether a server does not let us read rows that it was to digest.
// It would not let us stream them, either: that is the tables' problem.
func (c *comparison) denied(u *unit) bool {
	denied := false
	for _, p := range u.pairs {
		for i, err := range p.refused {
			if pg.Code(err) == "42501" {
				denied = true
				p.problems = append(p.problems, c.ends[i].name+": "+explain(err))
			}
		}
	}
	return denied
}

// problem is what else is wrong with a unit.
func (u *unit) problem() string {
	var problems []string
	for _, p := range u.pairs {
		problems = append(problems, p.problems...)
	}
	return strings.Join(problems, "; ")
}

// table is the line of the report about a unit.
func (c *comparison) table(u *unit) Table {
	t := Table{Schema: u.schema, Name: u.name, Source: u.sum(0), Target: u.sum(1), Engine: u.engine, EngineReason: u.engineReason, Elapsed: u.elapsed}
	if !u.earlier.IsZero() {
		t.Earlier = &u.earlier
	}
	for _, p := range u.pairs {
		if c.has(LevelDigest) {
			t.CountOnly = cmp.Or(t.CountOnly, p.countOnly)
		}
		if p.root == nil {
			t.Expected = c.expected(p)
		}
	}
	if t.CountOnly != "" {
		t.Engine, t.EngineReason = "", ""
	}
	t.Problem = u.problem()
	t.Equal = t.Problem == "" && u.equal()
	if t.Equal {
		t.Expected = ""
	}
	return t
}

// expected says why a table is at one end only; "" if there is no reason.
func (c *comparison) expected(p *pair) string {
	if rec := c.ends[0].rec; rec != nil && p.items[0] == nil && rec.empty[p.key] {
		return "the archive has no rows of it"
	}
	switch {
	case p.items[0] == nil:
		return c.mapping.own("TABLE", p.schema, p.name)
	case p.items[1] != nil:
		return ""
	}
	name := p.items[0].tableName()
	return cmp.Or(c.mapping.skipped("TABLE DATA", name.schema, name.name), c.mapping.skipped("TABLE", name.schema, name.name))
}
