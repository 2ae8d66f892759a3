package platform

import "slices"

// OwnsRole reports whether a role belongs to the platform or comes with
// PostgreSQL, as opposed to one that a customer has made.
func (f *Facts) OwnsRole(name string) bool {
	s, err := f.Platform.service()
	return predefined(name) || err == nil && s.own(name, f.Privileged)
}

// OwnsSchema reports whether a schema is the platform's, with all that is in it.
func (f *Facts) OwnsSchema(name string) bool {
	s, err := f.Platform.service()
	return err == nil && slices.Contains(s.schemas, name)
}

// OwnsExtension reports whether an extension is the platform's own.
func (f *Facts) OwnsExtension(name string) bool {
	s, err := f.Platform.service()
	return err == nil && s.extensions[name] != ""
}
