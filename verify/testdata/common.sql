-- Rows that are hard to compare. It runs at both ends, whatever their settings:
-- values are written so that no setting changes what is stored.
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 3);

CREATE TABLE generated (a int, twice int GENERATED ALWAYS AS (a * 2) STORED, b text);
INSERT INTO generated (a, b) VALUES (1, 'x'), (2, NULL), (3, '');
CREATE TABLE only_generated (x int GENERATED ALWAYS AS (1) STORED);
INSERT INTO only_generated SELECT FROM generate_series(1, 2);

CREATE SCHEMA "Odd.Schema ""x""";
CREATE TABLE "Odd.Schema ""x"""."select" ("Select" int, "a.b" text, "q""q" text, "ü " text);
INSERT INTO "Odd.Schema ""x"""."select" VALUES (1, 'a', 'b', 'ü');

CREATE TABLE numbers (f8 float8, f4 float4, n numeric, m money);
INSERT INTO numbers VALUES
    ('NaN', 'NaN', 'NaN', 0::numeric::money),
    ('-0', '-0', 0.000, (-1.5)::numeric::money),
    ('Infinity', '-Infinity', 1e100, 1234567.89::numeric::money),
    (0.1::float8 + 0.2::float8, 1.1, 1.10, NULL),
    (1.7976931348623157e308, 1.17549435e-38, -1e-20, NULL);

CREATE TABLE times (tz timestamptz, ts timestamp, d date, ttz timetz, i interval);
INSERT INTO times VALUES
    ('2024-03-31 02:30:00+01', '2024-12-31 23:59:59.999999', '2024-02-29', '12:00:00+05:30', '1 year 2 mons -3 days 04:05:06.7'),
    ('infinity', '-infinity', 'infinity', '24:00:00-12', '-1 mons +2 days'),
    ('0044-03-15 12:00:00+00 BC', '0044-03-15 12:00:00 BC', '0044-03-15 BC', NULL, '0');

CREATE TABLE texts (id int, t text, b bytea);
INSERT INTO texts VALUES
    (1, '', ''),
    (2, chr(9) || chr(10) || chr(13) || chr(92) || chr(92) || 'N', decode('00ff5c0a09', 'hex')),
    (3, chr(92) || '.', decode('5c2e', 'hex')),
    (4, NULL, NULL),
    (5, 'é ü 漢 😀', decode('deadbeef', 'hex')),
    (6, repeat('long ', 200000), decode(repeat('c3', 300000), 'hex')),
    (7, 'twice', NULL), (7, 'twice', NULL);

CREATE TABLE names (c regclass, t regtype, p regproc, o oid, r regnamespace);
INSERT INTO names VALUES ('"Odd.Schema ""x"""."select"', 'timestamptz', 'pg_catalog.now', 42, 'public');

CREATE TABLE documents (j jsonb, k json, a int[], u uuid, v tsvector, p point);
INSERT INTO documents VALUES
    ('{"b": 1, "a": [1.0, "é"]}', '{"b" : 1}', '{{1,NULL},{3,4}}', '01234567-89ab-cdef-0123-456789abcdef', 'a b:1', '(1,0.1)'),
    ('null', NULL, '{}', NULL, '', NULL);

CREATE TABLE parent (a int);
CREATE TABLE child (b text) INHERITS (parent);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2, 'two');

CREATE TABLE parted (k int, v text) PARTITION BY RANGE (k);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (MINVALUE) TO (10);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (10) TO (MAXVALUE);
INSERT INTO parted SELECT i, 'v' || i FROM generate_series(1, 20) i;

CREATE SEQUENCE unused START 7;
CREATE SEQUENCE "Used Seq" INCREMENT -5;
SELECT setval('"Used Seq"', -25);
CREATE TABLE identity (id int GENERATED ALWAYS AS IDENTITY, name text);
INSERT INTO identity (name) VALUES ('one'), ('two');
