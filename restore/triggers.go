package restore

import (
	"github.com/pghaul/pghaul/archive"
	"github.com/pghaul/pghaul/internal/quote"
)

// triggers has a load switch the triggers of its table off and on again. It
// does so in its own transaction: if the load fails, they are as before. The
// lock that takes lets no other load of the table run.
func (p *planner) triggers(e *archive.Entry, s *Step) {
	table := "ALTER TABLE " + quote.Qualified(e.Namespace, e.Tag)
	s.Enter = append(s.Enter, table+" DISABLE TRIGGER ALL;")
	s.Finish = append(s.Finish, table+" ENABLE TRIGGER ALL;")
	if p.opts.Superuser != "" {
		s.Enter = append([]string{"SET SESSION AUTHORIZATION " + quote.Literal(p.opts.Superuser) + ";"}, s.Enter...)
		s.Finish = append(s.Finish, "RESET SESSION AUTHORIZATION;")
		if p.opts.Role != "" {
			s.Finish = append(s.Finish, setRole(p.opts.Role))
		}
	}
	if len(e.After) > 0 {
		s.Locks = append(s.Locks, e.After[0])
	}
}

// exclusive makes loads that lock their tables wait for those that bring rows
// to them through the root of their partition tree.
func (d *dependencies) exclusive(s *Step) {
	if len(s.Enter) == 0 || len(s.Entry.After) == 0 {
		return
	}
	if root := d.root(s.Entry.After[0]); len(d.viaRoot[root]) > 0 {
		s.Locks = []int{root}
	}
}
