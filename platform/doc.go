// Package platform knows what managed services do differently, and plans what
// becomes of everything a source has when it moves to a target: what is kept,
// skipped, mapped to other names, rewritten, or cannot work.
//
// Detect reads the facts of one end. NewPlan is a pure function of the source's
// entries, the facts of both ends and the user's rules. Apply turns entries into
// those that are restored at the target.
package platform
