package restore

import (
	"slices"
	"strings"

	"github.com/pghaul/pghaul/archive"
)

// sections returns the section each entry runs in. Entries without one, such as
// comments, are in that of the entry before them, which is the one they are
// about.
func sections(entries []archive.Entry) []archive.Section {
	in := make([]archive.Section, len(entries))
	last := archive.SectionPreData
	for i := range entries {
		if entries[i].Section != archive.SectionNone {
			last = entries[i].Section
		}
		in[i] = last
	}
	return in
}

// wanted says whether an entry is to be restored at all.
func wanted(e *archive.Entry, section archive.Section, o Options) bool {
	switch e.Kind {
	case "ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE", "DATABASE PROPERTIES", "<Init>":
		// The session's, and those of the database itself: that exists already.
		return false
	case "ACL", "ACL LANGUAGE", "DEFAULT ACL":
		if o.NoPrivileges {
			return false
		}
	case "COMMENT":
		if o.NoComments {
			return false
		}
	case "STATISTICS DATA":
		if o.SchemaOnly || o.DataOnly {
			return false
		}
	}
	if satellite(e) && strings.HasPrefix(e.Tag, "DATABASE ") {
		return false
	}
	if len(o.Sections) > 0 && !slices.Contains(o.Sections, section) {
		return false
	}
	if o.SchemaOnly {
		return !isData(e)
	}
	if o.DataOnly {
		return isData(e)
	}
	return true
}

func satellite(e *archive.Entry) bool {
	return e.Kind == "ACL" || e.Kind == "COMMENT" || e.Kind == "SECURITY LABEL"
}

// isData says whether an entry is data rather than schema. Everything about
// large objects is.
func isData(e *archive.Entry) bool {
	switch e.Kind {
	case "SEQUENCE SET", "BLOB", "BLOB METADATA", "BLOBS":
		return true
	}
	return e.HasData || satellite(e) && strings.HasPrefix(e.Tag, "LARGE OBJECT")
}
