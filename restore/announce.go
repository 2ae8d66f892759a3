package restore

import (
	"fmt"

	"github.com/pghaul/pghaul/archive"
)

// announce says what a step is about to do.
func announce(s *Step) string {
	e := s.Entry
	switch {
	case s.Stage == StageDrop:
		return fmt.Sprintf("dropping %s %s", e.Kind, e.Tag)
	case s.piece == pieceAnalyze:
		return fmt.Sprintf("analyzing %q", describe(e))
	case s.piece == pieceAttach:
		return fmt.Sprintf("attaching the index of %s %q", e.Kind, describe(e))
	case s.piece == pieceValidate:
		return fmt.Sprintf("validating %s %q", e.Kind, describe(e))
	case s.Action == ActionCopy || s.Action == ActionInsert:
		return fmt.Sprintf("processing data for table %q", describe(e)) + partOf(s)
	case s.Action == ActionLargeObjects, e.Kind == "SEQUENCE SET", e.Section == archive.SectionData:
		return fmt.Sprintf("executing %s %s", e.Kind, e.Tag)
	}
	return fmt.Sprintf("creating %s %q", e.Kind, describe(e))
}

// partOf tells the parts of one table apart.
func partOf(s *Step) string {
	if s.parts < 2 {
		return ""
	}
	return fmt.Sprintf(", part %d", s.Part.Number)
}
