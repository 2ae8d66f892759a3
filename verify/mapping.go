package verify

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/platform"
)

// A mapping says how the source's things are called at the target, and what
// stayed behind on purpose. Without a plan everything is called the same.
type mapping struct {
	plan  *platform.Plan // may be nil
	items map[entryKey]*platform.Item
	// facts are those of both ends; nil where nobody asked for them.
	facts [2]*platform.Facts
}

func newMapping(plan *platform.Plan) *mapping {
	m := &mapping{plan: plan, items: map[entryKey]*platform.Item{}}
	if plan != nil {
		for i := range plan.Items {
			it := &plan.Items[i]
			m.items[entryKey{it.Kind, it.Schema, it.Name}] = it
		}
	}
	return m
}

// item is the plan's verdict over an entry of the source; nil for none.
func (m *mapping) item(kind, schema, name string) *platform.Item {
	return m.items[entryKey{kind, schema, name}]
}

// skipped says why something of the source stayed behind; "" if it did not.
func (m *mapping) skipped(kind, schema, name string) string {
	for _, it := range []*platform.Item{m.item(kind, schema, name), m.item("SCHEMA", "", schema)} {
		if it != nil && it.Verdict == platform.Skip {
			if it.Reason == "" {
				return "the plan leaves it out"
			}
			return it.Reason
		}
	}
	return ""
}

// own says why the target has something that the source has not; "" if there is
// no reason.
func (m *mapping) own(kind, schema, name string) string {
	f := m.facts[1]
	if f == nil {
		return ""
	}
	if f.OwnsSchema(schema) || kind == "SCHEMA" && f.OwnsSchema(name) ||
		kind == "EXTENSION" && f.OwnsExtension(name) || kind == "COMMENT" && f.OwnsExtension(strings.TrimPrefix(name, "EXTENSION ")) {
		return "it belongs to the target's platform"
	}
	return ""
}

// schema is a schema's name at the target.
func (m *mapping) schema(name string) string {
	if m.plan != nil {
		if to := m.plan.Rules.Schemas[name]; to != "" {
			return to
		}
	}
	return name
}

// sql is an expression of the source with the target's names of schemas.
func (m *mapping) sql(text string) string {
	if m.plan == nil {
		return text
	}
	return m.plan.MapSQL(text)
}

// role is the name at the target of a role that something is granted to; ok is
// false if it is left out.
func (m *mapping) role(name string) (to string, ok bool) {
	if m.plan == nil || name == "" {
		return name, true
	}
	return m.plan.MapRole(name)
}

// owner is who has at the target what a role has at the source.
func (m *mapping) owner(name string) string {
	if m.plan == nil {
		return name
	}
	return m.plan.MapOwner(name)
}

// plan settles what the source's things are called at the target.
func (c *comparison) plan(ctx context.Context) error {
	c.mapping = newMapping(c.opts.Plan)
	live := c.ends[0].rec == nil
	if live && (c.opts.Rules != nil || c.has(LevelSecurity)) {
		names := [2]platform.Name{c.opts.SourcePlatform, c.opts.TargetPlatform}
		for i, e := range c.ends {
			f, err := e.facts(ctx, names[i])
			if err != nil {
				return err
			}
			c.mapping.facts[i] = f
		}
	}
	if live && c.opts.Plan == nil && c.opts.Rules != nil && !c.plainly() {
		in := platform.Input{Entries: c.ends[0].entries, Source: *c.mapping.facts[0], Target: *c.mapping.facts[1], Rules: *c.opts.Rules}
		in.Target.Objects = nil // what has been restored is no obstacle any more
		plan, err := platform.NewPlan(in)
		if err != nil {
			return err
		}
		facts := c.mapping.facts
		c.mapping = newMapping(plan)
		c.mapping.facts = facts
	}
	for _, list := range []*map[key]*item{&c.ends[0].tables, &c.ends[0].sequences} {
		renamed := make(map[key]*item, len(*list))
		for k, it := range *list {
			renamed[key{c.mapping.schema(k.schema), k.name}] = it
		}
		*list = renamed
	}
	return nil
}

// plainly reports whether neither the ends nor the rules ask for a plan.
func (c *comparison) plainly() bool {
	return reflect.DeepEqual(*c.opts.Rules, platform.Rules{}) &&
		c.mapping.facts[0].Platform == platform.Plain && c.mapping.facts[1].Platform == platform.Plain
}

// facts detects what an end is.
func (e *end) facts(ctx context.Context, name platform.Name) (f *platform.Facts, err error) {
	err = e.with(ctx, func(conn *pgx.Conn) (err error) {
		if f, err = platform.DetectAs(ctx, conn, name); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		return nil
	})
	return f, err
}
