package platform

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pghaul/pghaul/internal/pgddl"
	"github.com/pghaul/pghaul/internal/quote"
)

// planSettings decides about what ALTER DATABASE and ALTER ROLE have stored.
func (p *planner) planSettings() {
	p.plan.Settings = make([]SettingItem, 0, len(p.in.Source.Settings))
	for _, s := range p.in.Source.Settings {
		p.plan.Settings = append(p.plan.Settings, p.planSetting(s))
	}
	source, target := &p.in.Source, &p.in.Target
	if source.ConnLimit <= 0 || source.ConnLimit == target.ConnLimit {
		return
	}
	it := SettingItem{Setting: Setting{Database: target.Database, Name: ConnectionLimit, Value: strconv.Itoa(source.ConnLimit)}, Verdict: Keep}
	if !p.ownsDatabase() {
		it.Verdict, it.Reason = Skip, fmt.Sprintf("database %q belongs to %q: its owner has to set it", target.Database, target.Owner)
	}
	p.plan.Settings = append(p.plan.Settings, it)
}

// ConnectionLimit is the name of a setting of the database that is none of the
// server's parameters: ALTER DATABASE … CONNECTION LIMIT.
const ConnectionLimit = "connection limit"

func (p *planner) planSetting(s Setting) SettingItem {
	it := SettingItem{Setting: s, Verdict: Keep}
	if s.Database != "" && s.Database != p.in.Target.Database {
		it.Setting.Database = p.in.Target.Database
		it.Verdict, it.Reason = Map, "the database has another name"
	}
	if s.Role != "" {
		to, ok := p.plan.MapRole(s.Role)
		switch r := p.roles[s.Role]; {
		case !ok:
			it.Verdict, it.Reason = Skip, fmt.Sprintf("role %q is not carried over", s.Role)
			return it
		case to != s.Role:
			it.Setting.Role = to
			it.Verdict, it.Reason = Map, "the role has another name"
		case r != nil && r.Verdict == Skip:
			it.Verdict, it.Reason = Skip, fmt.Sprintf("role %q: %s", s.Role, r.Reason)
			return it
		}
		if (predefined(to) || p.dst.role(to, p.in.Target.Privileged)) && !p.super {
			it.Verdict, it.Reason = Skip, fmt.Sprintf("role %q is not the customer's", to)
			return it
		}
	}
	if s.Database == "" && s.Role == "" {
		it.Verdict, it.Reason = Skip, "is for every role in every database" // ALTER ROLE ALL: a superuser's
		if p.super {
			it.Verdict, it.Reason = Keep, ""
		}
	}
	if why := p.refuses(s.Name, s.Value); why != "" {
		it.Verdict, it.Reason = Skip, why
		return it
	}
	if s.Role == "" && s.Database != "" && !p.ownsDatabase() {
		it.Verdict, it.Reason = Skip, fmt.Sprintf("database %q belongs to %q: its owner has to set it", p.in.Target.Database, p.in.Target.Owner)
		return it
	}
	if s.Name == "role" {
		it = p.planRoleSetting(it)
	}
	p.schemasOf(&it)
	return it
}

// planRoleSetting maps the role that a login becomes.
func (p *planner) planRoleSetting(it SettingItem) SettingItem {
	if it.Setting.Value == "none" {
		return it
	}
	to, ok := p.plan.MapRole(it.Setting.Value)
	switch {
	case !ok:
		it.Verdict, it.Reason = Skip, fmt.Sprintf("role %q is not carried over", it.Setting.Value)
	case to != it.Setting.Value:
		it.Setting.Value = to
		it.Verdict, it.Reason = Map, join(it.Reason, "the role it names has another name")
	}
	return it
}

// refuses says why a setting cannot be stored at the target, "" if it can.
func (p *planner) refuses(name, value string) string {
	if p.in.Source.Platform != p.in.Target.Platform && p.src.setting(name) {
		return "means something at " + p.src.title + " only"
	}
	param, known := p.in.Target.Parameters[name]
	switch {
	case !known && p.super && strings.Contains(name, "."):
		return ""
	case !known && strings.Contains(name, "."):
		return "the target does not know it, and only a superuser may set what is not known"
	case !known:
		return "the target's version does not know it"
	case name == "role" || name == "session_authorization":
		return ""
	}
	switch param.Context {
	case "user", "backend":
	case "superuser", "superuser-backend":
		if !p.super {
			return "only a superuser may set it"
		}
	default:
		return "can only be set for the whole server"
	}
	switch name {
	case "default_tablespace", "temp_tablespaces":
		for t := range strings.SplitSeq(value, ",") {
			t = strings.Trim(strings.TrimSpace(t), `"`)
			if t != "" && !slices.Contains(p.in.Target.Tablespaces, t) {
				return fmt.Sprintf("the target has no tablespace %q", t)
			}
		}
	case "lc_monetary", "lc_numeric", "lc_time", "lc_messages":
		if !p.hasLocale(value) {
			return fmt.Sprintf("the target does not have the locale %q", value)
		}
	}
	return ""
}

// planParameterGrants tells which privileges on parameters stay behind: they
// belong to the server and not to the database, and few may give them.
func (p *planner) planParameterGrants() {
	var missing []string
	for _, g := range p.in.Source.ParameterGrants {
		if p.src.name != Plain && predefined(g.Role) || p.src.own(g.Role, p.in.Source.Privileged) {
			continue
		}
		to, ok := "", true
		if g.Role != "" {
			to, ok = p.plan.MapRole(g.Role)
		}
		if !ok || slices.ContainsFunc(p.in.Target.ParameterGrants, func(have ParameterGrant) bool {
			return have.Parameter == g.Parameter && have.Privilege == g.Privilege && (have.Role == to || have.Role == "") && (have.Grantable || !g.Grantable)
		}) {
			continue
		}
		grant := pgddl.Grant{
			Privileges: []pgddl.Privilege{{Name: g.Privilege}}, ObjectKind: "PARAMETER", Object: quote.Qualified(strings.Split(g.Parameter, ".")...),
			Grantees: []pgddl.Role{{Name: to, Public: to == ""}}, WithGrantOption: g.Grantable,
		}
		missing = append(missing, grant.String())
	}
	if len(missing) > 0 {
		p.note(Warn, "privileges on parameters of the server are not carried over; whoever may give them at the target can: %s", strings.Join(missing, "; "))
	}
}

// ownsDatabase says that the target's user may do with the database what its
// owner may.
func (p *planner) ownsDatabase() bool {
	target := &p.in.Target
	return p.super || target.Owner == "" || target.memberOf(target.User.Name, target.Owner)
}
