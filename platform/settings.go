package platform

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// ownsDatabase says that the target's user may do with the database what its
// owner may.
func (p *planner) ownsDatabase() bool {
	target := &p.in.Target
	return p.super || target.Owner == "" || target.memberOf(target.User.Name, target.Owner)
}
