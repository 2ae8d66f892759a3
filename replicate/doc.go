// Package replicate keeps a copy of a database up to date: it takes the snapshot
// from which the copy is made, and from there on brings over every change that
// is committed on the source, in the order of the commits, until the application
// is moved to the copy.
//
// The source needs wal_level = logical and is given a publication and a logical
// replication slot, nothing else. The target keeps what is known of the follow in
// the schema pghaul_follow, so that any machine can look, pause, go on or clean up.
//
// There are two engines. With EngineNative a subscription makes the target fetch the
// changes itself. With EngineApply this process does: it reads the slot with the protocol of
// the plugin pgoutput and runs each change as a statement. The position that has
// been applied is written in the transaction that applies, so that a change is
// applied exactly once however either server, the network or this process end.
//
// What must hold while EngineApply follows: nobody else writes to the tables on the
// target, and nothing there does by itself. Triggers and foreign keys that act
// (ON DELETE CASCADE and such) would do again what the source has done, whose
// changes come by themselves; Run refuses targets that have them enabled.
package replicate
