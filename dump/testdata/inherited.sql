-- Constraints that children have from a parent, which an entry of the parent's
-- reaches: they have no entry of their own, but their comments have.
CREATE TABLE parent (a int, b int); CREATE TABLE child () INHERITS (parent); CREATE TABLE grandchild (c int) INHERITS (child);
ALTER TABLE parent ADD CONSTRAINT later CHECK (a > 0) NOT VALID; ALTER TABLE child ADD CONSTRAINT own CHECK (b > 0) NOT VALID;
COMMENT ON CONSTRAINT later ON parent IS 'p'; COMMENT ON CONSTRAINT later ON child IS 'c'; COMMENT ON CONSTRAINT own ON grandchild IS 'g';
CREATE TABLE split (k int, v int) PARTITION BY LIST (k); CREATE TABLE split_1 PARTITION OF split FOR VALUES IN (1);
ALTER TABLE split ADD CONSTRAINT later CHECK (v > 0) NOT VALID; COMMENT ON CONSTRAINT later ON split_1 IS 'part';
ALTER TABLE child ALTER a SET DEFAULT 7; ALTER TABLE grandchild ALTER a DROP DEFAULT; ALTER TABLE grandchild ALTER b SET NOT NULL;
-- A large object may have an OID that initdb could have given out.
SELECT lo_from_bytea(2121, 'low'); COMMENT ON LARGE OBJECT 2121 IS 'low';
--@since 18
ALTER TABLE parent ADD CONSTRAINT a_nn NOT NULL a NOT VALID; COMMENT ON CONSTRAINT a_nn ON parent IS 'p'; COMMENT ON CONSTRAINT a_nn ON child IS 'c';
ALTER TABLE split ADD CONSTRAINT v_nn NOT NULL v NOT VALID; ALTER TABLE split ADD CONSTRAINT ne CHECK (k < 9) NOT ENFORCED;
