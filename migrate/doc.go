// Package migrate moves a database into another one with no files between: the
// rows go from one server to the other as they are read.
//
// A migration follows a platform.Plan, in three phases: roles and extensions;
// schema and data; indexes, constraints, privileges and all that is better made
// when the rows are there. Whatever it does is noted in a journal in the target
// itself, by which a failed phase is taken back, a run that was killed goes on,
// and a run is undone as a whole.
package migrate
