// Package catalog reads the system catalogs of a database into a graph of
// objects, sorts it, and writes the SQL that recreates each object.
package catalog
