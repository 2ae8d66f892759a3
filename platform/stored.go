package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/pghaul/pghaul/archive"
)

// storedVersion is the version of the facts in a manifest. Fields are added to
// them, never changed.
const storedVersion = 1

// storedFacts are the facts of a source as an archive keeps them.
type storedFacts struct {
	Version       int               `json:"version"`
	Platform      Name              `json:"platform"`
	ServerVersion int               `json:"server_version_num"`
	Database      string            `json:"database"`
	User          Role              `json:"user"`
	Privileged    string            `json:"privileged,omitempty"`
	Locale        Locale            `json:"locale"`
	Owner         string            `json:"owner"`
	ACL           []string          `json:"acl"` // null for the default
	ConnLimit     int               `json:"connection_limit"`
	Size          int64             `json:"size"`
	PublicCreate  bool              `json:"public_create,omitempty"`
	Roles         []Role            `json:"roles"`
	Memberships   []Membership      `json:"memberships"`
	Settings      []Setting         `json:"settings"`
	Extensions    []storedExtension `json:"extensions"`
	Parameters    []ParameterGrant  `json:"parameter_grants,omitempty"`
	CronJobs      []CronJob         `json:"cron_jobs,omitempty"`
	Unread        []string          `json:"unread,omitempty"`
}

type storedExtension struct {
	Extension
	Members []Object `json:"members,omitempty"`
}

// Archived reads those facts of the database that conn is connected to which a
// plan needs to know of a source, as Manifest.Facts keeps them. There are no
// passwords among them, nor what only concerns targets. It takes a round trip,
// and is what dump.Options.Facts wants.
func Archived(ctx context.Context, conn *pgx.Conn) (facts json.RawMessage, platform string, err error) {
	f, err := detect(ctx, conn, "", false)
	if err != nil {
		return nil, "", err
	}
	s := storedFacts{
		Version: storedVersion, Platform: f.Platform, ServerVersion: f.Version, Database: f.Database, User: f.User, Privileged: f.Privileged,
		Locale: f.Locale, Owner: f.Owner, ACL: f.ACL, ConnLimit: f.ConnLimit, Size: f.Size, PublicCreate: f.PublicCreate, Roles: f.Roles, Memberships: f.Memberships,
		Settings: f.Settings, Parameters: f.ParameterGrants, CronJobs: f.CronJobs, Unread: f.Unread,
	}
	for _, x := range f.Extensions {
		s.Extensions = append(s.Extensions, storedExtension{x, x.Members})
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, "", fmt.Errorf("write the facts of database %q: %w", f.Database, err)
	}
	return text, string(f.Platform), nil
}

// fromStored reads what Archived has written.
func fromStored(m *archive.Manifest) (*Facts, error) {
	var s storedFacts
	if err := json.Unmarshal(m.Facts, &s); err != nil {
		return nil, err
	}
	if s.Version != storedVersion {
		return nil, fmt.Errorf("their version is %d, and this program knows version %d", s.Version, storedVersion)
	}
	if _, err := s.Platform.service(); err != nil {
		return nil, err
	}
	f := &Facts{
		Platform: s.Platform, Version: s.ServerVersion, Database: s.Database, User: s.User, Privileged: s.Privileged, Locale: s.Locale,
		Owner: s.Owner, ACL: s.ACL, ConnLimit: s.ConnLimit, Size: s.Size, LSN: m.Source.LSN, Time: m.Source.Started, Changes: -1, PublicCreate: s.PublicCreate,
		Roles: s.Roles, Memberships: s.Memberships, Settings: s.Settings, CronJobs: s.CronJobs, Unread: slices.Clip(s.Unread),
		ParameterGrants: s.Parameters, Parameters: map[string]Parameter{},
	}
	for _, x := range s.Extensions {
		x.Extension.Members = x.Members
		f.Extensions = append(f.Extensions, x.Extension)
	}
	return f, nil
}
