package copyproto

// sendable are the built-in types whose binary form depends on the value alone,
// so that a server of the same major version reads back what another has sent.
// Not those that stand for an object by its OID (regclass and its kin), xml,
// whose text names the encoding of the session, those without functions to send
// or receive them, and int2vector and oidvector, of which servers refuse to
// receive the empty ones that they send.
var sendable = map[uint32]bool{
	16: true, 17: true, 18: true, 19: true, 20: true, 21: true, 23: true, 25: true, // bool, bytea, "char", name, int8, int2, int4, text
	26: true, 27: true, 28: true, 29: true, 5069: true, // oid, tid, xid, cid, xid8
	114: true, 3802: true, 4072: true, // json, jsonb, jsonpath
	600: true, 601: true, 602: true, 603: true, 604: true, 628: true, 718: true, // point, lseg, path, box, polygon, line, circle
	700: true, 701: true, 790: true, 1700: true, // float4, float8, money, numeric
	650: true, 869: true, 829: true, 774: true, // cidr, inet, macaddr, macaddr8
	1042: true, 1043: true, 1560: true, 1562: true, 1790: true, // bpchar, varchar, bit, varbit, refcursor
	1082: true, 1083: true, 1114: true, 1184: true, 1186: true, 1266: true, // date, time, timestamp, timestamptz, interval, timetz
	2950: true, 2970: true, 5038: true, 3220: true, // uuid, txid_snapshot, pg_snapshot, pg_lsn
	3614: true, 3615: true, // tsvector, tsquery
	3904: true, 3906: true, 3908: true, 3910: true, 3912: true, 3926: true, // ranges
	4451: true, 4532: true, 4533: true, 4534: true, 4535: true, 4536: true, // multiranges
}

// Sendable reports whether values of a type can travel in the binary format
// between servers of the same major version. oid and kind are those of its line
// in pg_type (typtype), with those of the base type for a domain; element is the
// type of an array's elements, 0 for others.
func Sendable(oid uint32, kind byte, element uint32) bool {
	switch {
	case vector(oid):
		return false
	case element != 0: // which is written into each value: only built-in ones have the same everywhere
		return sendable[element]
	case kind == 'e':
		return true // the label
	}
	return sendable[oid]
}

// Portable is Sendable for servers of any versions: for types whose binary form
// has always been the same.
func Portable(oid uint32, kind byte, element uint32) bool {
	switch {
	case vector(oid):
		return false
	case element != 0:
		return TypeOf(element) != TypeUnknown
	case kind == 'e':
		return true
	}
	return TypeOf(oid) != TypeUnknown
}

// vector tells int2vector and oidvector, which pg_type has as arrays.
func vector(oid uint32) bool { return oid == 22 || oid == 30 }
