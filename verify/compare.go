package verify

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pghaul/pghaul/catalog"
	"github.com/pghaul/pghaul/internal/pg"
)

// A comparison is one run under way.
type comparison struct {
	opts     Options
	ends     [2]*end // source and target
	levels   []Level
	encoding string  // of the rows
	pairs    []*pair // by name
	units    []*unit // by name
	engine   Engine  // of tables that either would do for; "" counts only
	// engineReason says why.
	engineReason string
	floats       map[string]string   // the built-in type whose numbers a type holds, by its name
	nestings     map[string]*nesting // of types that hold numbers beside other values, by name
	mapping      *mapping
	report       *Report
	repair       *script // of the statements that repair the target; nil for none
	unlisted     int     // differences of a level that the report has no room for
}

// open opens both ends.
func (c *comparison) open(ctx context.Context) error {
	c.opts.Progress.Phase("catalog")
	g, ctx := errgroup.WithContext(ctx)
	for i, e := range c.ends {
		define := c.has(LevelSchema) || c.opts.Rules != nil && c.opts.Plan == nil
		opts := catalog.Options{Select: c.opts.Select, NoPrivileges: true, NoComments: !define}
		if i == 1 {
			opts.AllowNoMatch, opts.Select.StrictNames = true, false
		}
		g.Go(func() error { return e.open(ctx, opts, define, c.opts.Journal != nil) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if c.opts.Jobs <= 0 {
		c.opts.Jobs = pg.DefaultJobs()
		for _, e := range c.ends {
			if e.rec == nil {
				c.opts.Jobs = min(c.opts.Jobs, e.room)
			}
		}
	}
	c.encoding = copyEncoding(c.ends[0].encoding, c.ends[1].encoding)
	if c.ends[0].rec != nil {
		c.encoding = recordedEncoding(c.ends[0].encoding)
	}
	return c.beginJournal()
}

func (c *comparison) close() {
	for _, e := range c.ends {
		e.close()
	}
}

// beating runs do while the snapshots' sessions are kept in use. Without those
// nobody could read the same data again, so their loss ends the run.
func (c *comparison) beating(ctx context.Context, do func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	beat, stop := context.WithCancel(ctx)
	for _, e := range c.ends {
		g.Go(func() error { return e.beat(beat) })
	}
	g.Go(func() error {
		defer stop()
		return do(ctx)
	})
	return g.Wait()
}

// compare works on one level after the other.
func (c *comparison) compare(ctx context.Context) (err error) {
	if c.report.Same, err = c.isSame(ctx); err != nil {
		return err
	}
	if c.report.Same {
		c.opts.Logger.Warn("source and target are the same database, which is compared with itself")
	}
	if err := c.plan(ctx); err != nil {
		return err
	}
	c.beginRepair()
	for _, l := range c.levels {
		began := time.Now()
		c.opts.Progress.Phase(l.phase())
		before := len(c.report.Differences)
		work := map[Level]func(context.Context) (int, error){
			LevelSchema: c.schema, LevelCounts: c.rows, LevelDigest: c.rows, LevelSequences: c.sequences,
			LevelLargeObjects: c.largeObjects, LevelIndexes: c.indexes, LevelSecurity: c.security, LevelStatistics: c.statistics,
		}[l]
		n, err := work(ctx)
		if err != nil {
			return fmt.Errorf("compare %s: %w", l, err)
		}
		s := Summary{Level: l, Compared: n, Different: c.unlisted, Elapsed: time.Since(began)}
		c.unlisted = 0
		for _, d := range c.report.Differences[before:] {
			s.count(false, d.Expected)
		}
		if l == LevelSequences {
			for _, q := range c.report.Sequences {
				s.count(q.Equal, q.Expected)
			}
		}
		if l == LevelCounts || l == LevelDigest {
			for _, t := range c.report.Tables {
				s.count(t.Equal, t.Expected)
			}
		}
		c.report.Levels = append(c.report.Levels, s)
	}
	return c.endRepair()
}

// count counts an object that was compared.
func (s *Summary) count(equal bool, expected string) {
	switch {
	case equal:
	case expected != "":
		s.Expected++
	default:
		s.Different++
	}
}

// phase is the name of the level's phase for whoever hears of the progress.
func (l Level) phase() string {
	if l == LevelCounts || l == LevelDigest {
		return "compare"
	}
	return string(l)
}

// differ reports differences.
func (c *comparison) differ(list ...Difference) {
	c.report.Differences = append(c.report.Differences, list...)
}

// sequences compares where sequences stand.
func (c *comparison) sequences(context.Context) (int, error) {
	for _, k := range c.keys(c.ends[0].sequences, c.ends[1].sequences) {
		s := Sequence{Schema: k.schema, Name: k.name}
		var problems []string
		for i, value := range []**SequenceValue{&s.Source, &s.Target} {
			switch it := c.ends[i].sequences[k]; {
			case it == nil:
			case it.position == nil:
				problems = append(problems, c.ends[i].name+": "+it.reason)
			default:
				*value = it.position
			}
		}
		s.Problem = strings.Join(problems, "; ")
		s.Equal = s.Source != nil && s.Target != nil && *s.Source == *s.Target
		if s.Target == nil {
			s.Expected = cmp.Or(c.mapping.skipped("SEQUENCE SET", k.schema, k.name), c.mapping.skipped("SEQUENCE", k.schema, k.name))
		} else if s.Source == nil {
			s.Expected = c.mapping.own("SEQUENCE", k.schema, k.name)
		}
		c.report.Sequences = append(c.report.Sequences, s)
	}
	return len(c.report.Sequences), nil
}
