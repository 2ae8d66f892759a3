package platform

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/quote"
)

// Apply returns the entries to restore: those of the plan's source without what
// is skipped, with definitions, owners, tablespaces and privileges as the plan
// has them. entries must be those that the plan was made from, or that it was
// followed with; they are not changed.
//
// EXTENSION entries stay, as CREATE EXTENSION IF NOT EXISTS, for what a caller
// has not created before: an extension may need a schema that only comes with
// the entries. Privileges and comments of the source's database are about the
// target's own database then, and their tag is no longer one that is only
// restored together with the database.
//
// Plan.Grants become ACL entries with dump IDs behind all others.
//
// A plan that blocks cannot be applied.
func (p *Plan) Apply(entries []archive.Entry) ([]archive.Entry, error) {
	if b := p.Blocked(); len(b) > 0 {
		return nil, fmt.Errorf("the plan blocks: %s", strings.Join(b, "; "))
	}
	items := make(map[int]*Item, len(p.Items))
	for i := range p.Items {
		items[p.Items[i].ID] = &p.Items[i]
	}
	instead := map[int][]int{} // what is waited for instead of a skipped entry
	for i := range entries {
		it := items[entries[i].ID]
		if it == nil || it.Kind != entries[i].Kind || it.Name != entries[i].Tag {
			return nil, fmt.Errorf("apply the plan: it has no item for %s (dump ID %d): it was made for other entries", describe(&entries[i]), entries[i].ID)
		}
		if it.Verdict == Skip {
			instead[it.ID] = entries[i].After
		}
	}
	out := make([]archive.Entry, 0, len(entries))
	for i := range entries {
		if it := items[entries[i].ID]; it.Verdict != Skip {
			out = append(out, p.apply(entries[i], it, instead))
		}
	}
	next := 0
	for i := range entries {
		next = max(next, entries[i].ID)
	}
	for _, name := range p.NewSchemas {
		next++
		out = p.withSchema(out, next, name)
	}
	for _, g := range p.Grants {
		next++
		out = append(out, archive.Entry{
			ID: next, Kind: "ACL", Section: archive.SectionNone, Tag: "ALL IN SCHEMA " + quote.Ident(g.Schema) + " TO " + quote.Ident(g.Role),
			Namespace: g.Schema, Owner: g.Owner, Create: g.SQL,
		})
	}
	return out, nil
}

// withSchema puts a schema that no entry makes before those that are in it. Its
// privileges are those of public in a new database.
func (p *Plan) withSchema(entries []archive.Entry, id int, name string) []archive.Entry {
	for i := range entries {
		if e := &entries[i]; e.Namespace == name {
			e.After = append(slices.Clone(e.After), id)
		}
	}
	return slices.Insert(entries, 0, archive.Entry{
		ID: id, Kind: "SCHEMA", Section: archive.SectionPreData, Tag: name, Owner: p.Target.User.Name, Drop: "DROP SCHEMA " + quote.Ident(name) + ";\n",
		Create: "CREATE SCHEMA " + quote.Ident(name) + ";\nGRANT USAGE ON SCHEMA " + quote.Ident(name) + " TO PUBLIC;\n",
	})
}

func (p *Plan) apply(e archive.Entry, it *Item, instead map[int][]int) archive.Entry {
	e.After = after(e.After, instead)
	p.MapEntry(&e)
	if it.SQL != "" {
		e.Create = it.SQL
	} else {
		e.Create = p.MapSQL(e.Create)
	}
	if it.Drop != "" {
		e.Drop = it.Drop
	}
	if e.Owner != "" {
		e.Owner = it.Owner
	}
	if e.Tablespace != nil {
		name := it.Tablespace
		e.Tablespace = &name
	}
	if satellite(&e) && strings.HasPrefix(e.Tag, "DATABASE ") {
		e.Tag = "CURRENT DATABASE"
	}
	return e
}

// after follows edges through entries that are skipped to those behind them.
func after(ids []int, instead map[int][]int) []int {
	if !slices.ContainsFunc(ids, func(id int) bool { _, gone := instead[id]; return gone }) {
		return ids
	}
	var out []int
	seen := map[int]bool{}
	var follow func([]int)
	follow = func(ids []int) {
		for _, id := range ids {
			if seen[id] {
				continue
			}
			seen[id] = true
			if behind, gone := instead[id]; gone {
				follow(behind)
			} else {
				out = append(out, id)
			}
		}
	}
	follow(ids)
	return out
}

// definition is a short hash of what an entry is at the source, by which a plan
// that is read again sees that it has changed.
func definition(e *archive.Entry) string {
	switch e.Kind {
	case "TABLE DATA", "SEQUENCE SET", "STATISTICS DATA", "BLOB", "BLOBS", "BLOB METADATA", "ENCODING", "STDSTRINGS", "SEARCHPATH",
		"MATERIALIZED VIEW DATA", "DATABASE", "DATABASE PROPERTIES":
		return ""
	}
	h := sha256.New()
	for _, s := range []string{e.Create, e.Owner, deref(e.Tablespace), deref(e.AccessMethod)} {
		_, _ = io.WriteString(h, s+"\x00") // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// OfExtension reports whether what is said of an item is said of an extension
// already: the extension's own entry and comment, and what it blocks.
func (p *Plan) OfExtension(it *Item) bool {
	has := func(name string) bool {
		return slices.ContainsFunc(p.Extensions, func(x ExtensionItem) bool { return x.Name == name })
	}
	if it.Kind == "EXTENSION" {
		return has(it.Name)
	}
	if name, ok := strings.CutPrefix(it.Name, "EXTENSION "); ok && it.Kind == "COMMENT" {
		return has(strings.Trim(name, `"`))
	}
	if it.Verdict != Block {
		return false
	}
	rest, needs := strings.CutPrefix(it.Reason, needsExtension)
	name, _, blocks := strings.Cut(rest, whichBlocks) // more may have been said since
	return needs && blocks && has(name)
}

// needsExtension and whichBlocks stand around the name of an extension that
// blocks, in the reason of what needs it.
const needsExtension, whichBlocks = "needs extension ", ", which blocks"

// Blocked lists every reason why nothing may run, each with a way out. An
// extension that blocks is one, with all that needs it.
func (p *Plan) Blocked() []string {
	var out []string
	for _, n := range p.Notes {
		if n.Verdict == Block {
			out = append(out, n.Text)
		}
	}
	for i := range p.Roles {
		if r := &p.Roles[i]; r.Verdict == Block {
			out = append(out, fmt.Sprintf("role %q: %s", r.From, r.Reason))
		}
	}
	for i := range p.Memberships {
		if m := &p.Memberships[i]; m.Verdict == Block {
			out = append(out, fmt.Sprintf("membership of %q in %q: %s", m.Membership.Member, m.Membership.Role, m.Reason))
		}
	}
	for i := range p.Settings {
		if s := &p.Settings[i]; s.Verdict == Block {
			out = append(out, fmt.Sprintf("setting %s: %s", s.Setting.Name, s.Reason))
		}
	}
	for i := range p.Extensions {
		if x := &p.Extensions[i]; x.Verdict == Block {
			text := fmt.Sprintf("extension %s: %s", x.Name, x.Reason)
			if len(x.Dependents) > 0 {
				text += " (" + strings.Join(x.Dependents, ", ") + ")"
			}
			out = append(out, text)
		}
	}
	for i := range p.Items {
		it := &p.Items[i]
		if it.Verdict != Block || p.OfExtension(it) {
			continue
		}
		name := it.Name
		if it.Schema != "" {
			name = it.Schema + "." + name
		}
		out = append(out, fmt.Sprintf("%s %s: %s", strings.ToLower(it.Kind), name, it.Reason))
	}
	return out
}
